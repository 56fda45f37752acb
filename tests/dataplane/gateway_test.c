/* A gateway without IKE, for gateway_test.py: the facade on two net_af_packet ports, told what to do
 * by lines on standard input, telling what happens by lines on standard output.
 *
 * Usage: gateway_test WORKERS WAN-INTERFACE LAN-INTERFACE
 * wan 10.9.0.1/24 and 2001:db8:9::1/64, lan 10.1.0.254/24 and 2001:db8:1::fe/64; default routes via
 * 10.9.0.2 and fe80::2. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataplane.h"

#define MAX_POLICIES 64

static struct dp *dp;
static struct spd_policy policy[MAX_POLICIES];
static size_t n_policies;
static struct sa_ref pair[MAX_POLICIES];
static bool over6[MAX_POLICIES]; /* the pair's outer addresses are IPv6 */
static bool quiet;

/* ------------------------------------------------------------------------- callbacks -------- */

static void on_ike(void *ctx, const struct dp_udp_path *path, const uint8_t *data, size_t len)
{
	(void)ctx;
	printf("ike %u %zu\n", path->local_port, len);
	/* back to the sender, as it came */
	if (dp_send_udp(dp, path, path->local_port == 4500, data, len))
		printf("error cannot answer\n");
}

static void on_sa_stored(void *ctx, const struct sa_ref *ref, enum sa_dir dir)
{
	(void)ctx;
	if (quiet)
		return;
	printf("stored %08x %u %s\n", ref->spi, ref->owner, dir == SA_IN ? "in" : "out");
}

static void on_sa_limit(void *ctx, const struct sa_ref *ref, enum sa_dir dir, bool hard)
{
	(void)ctx;
	printf("limit %08x %s %s\n", ref->spi, dir == SA_IN ? "in" : "out", hard ? "hard" : "soft");
}

static void on_acquire(void *ctx, uint32_t id)
{
	(void)ctx;
	printf("acquire %u\n", id);
}

static void on_bad_spi(void *ctx, const struct ip_addr *remote, uint32_t spi)
{
	char text[ADDR_STR_LEN];

	(void)ctx;
	printf("bad-spi %s %08x\n", ip_addr_str(remote, text, sizeof(text)), spi);
}

/* ------------------------------------------------------------------------- commands --------- */

static bool hex_read(const char *text, uint8_t *out, size_t len)
{
	unsigned byte;

	for (size_t i = 0; i < len; i++) {
		if (sscanf(text + 2 * i, "%2x", &byte) != 1)
			return false;
		out[i] = (uint8_t)byte;
	}
	return text[2 * len] == 0;
}

static struct sa_params params(unsigned id, bool udp, enum sa_dir dir, uint32_t spi,
			       const char *key)
{
	struct sa_params p = { .ref = pair[id],
			       .dir = dir,
			       .spi = spi,
			       .policy = id,
			       .proto = SA_ESP,
			       .mode = SA_TUNNEL,
			       .encr = ENCR_AES_GCM_16,
			       .key_bits = 128,
			       .udp_encap = udp,
			       .local_port = 4500,
			       .remote_port = 4500 };

	for (size_t i = 0; i < n_policies; i++)
		if (policy[i].id == id)
			p.sel = policy[i].sel;
	ip_addr_parse(over6[id] ? "2001:db8:9::1" : "10.9.0.1", &p.local);
	ip_addr_parse(over6[id] ? "2001:db8:9::2" : "10.9.0.2", &p.remote);
	if (!hex_read(key, p.key, 20))
		printf("error bad key\n");
	return p;
}

/* pair POLICY OWNER UDP SPI-OUT KEY-IN KEY-OUT; UDP 2: not in UDP, over IPv6 */
static void pair_command(const char *line)
{
	char key_in[64], key_out[64];
	unsigned id, owner, udp, spi;
	struct sa_params in, out;
	int rc;

	if (sscanf(line, "pair %u %u %u %x %63s %63s", &id, &owner, &udp, &spi, key_in, key_out) != 6 ||
	    id >= MAX_POLICIES) {
		printf("error usage\n");
		return;
	}
	over6[id] = udp == 2;
	udp &= 1;
	rc = dp_sa_reserve(dp, (uint16_t)owner, &pair[id]);
	if (rc == 0) {
		in = params(id, udp, SA_IN, pair[id].spi, key_in);
		out = params(id, udp, SA_OUT, spi, key_out);
		rc = dp_sa_install(dp, &in);
	}
	if (rc == 0)
		rc = dp_sa_install(dp, &out);
	if (rc)
		printf("error pair: %s\n", strerror(-rc));
	else
		printf("pair %u %08x %u\n", id, pair[id].spi, pair[id].owner);
}

/* policy ID bypass|discard|protect LOCAL REMOTE; then commit */
static void policy_command(const char *line)
{
	struct spd_policy *p = &policy[n_policies];
	char action[16], local[64], remote[64];

	memset(p, 0, sizeof(*p));
	if (n_policies == MAX_POLICIES ||
	    sscanf(line, "policy %u %15s %63s %63s", &p->id, action, local, remote) != 4 ||
	    ip_range_parse(local, &p->sel.local) || ip_range_parse(remote, &p->sel.remote)) {
		printf("error usage\n");
		return;
	}
	p->action = action[0] == 'b' ? POLICY_BYPASS : action[0] == 'd' ? POLICY_DISCARD : POLICY_PROTECT;
	n_policies++;
}

static void stats_command(void)
{
	struct sa_stats s;

	for (unsigned i = 0; i < dp_worker_count(dp); i++) {
		struct dp_lcore_stats l;
		dp_lcore_stats(dp, i, &l);
		printf("worker %u rx=%lu tx=%lu in=%lu out=%lu handover_in=%lu handover_out=%lu "
		       "bypassed=%lu forwarded=%lu punted=%lu injected=%lu keepalives=%lu reassembled=%lu pieces=%lu sa_in=%u "
		       "sa_out=%u\n",
		       i, l.rx_packets, l.tx_packets, l.esp_in_packets, l.esp_out_packets,
		       l.handover_in, l.handover_out, l.bypassed, l.forwarded, l.punted, l.injected,
		       l.natt_keepalives, l.reassembled, l.reassembled_from, l.sa_in, l.sa_out);
		for (unsigned j = 0; j < dp_drop_count(); j++)
			if (dp_drop_value(dp, i, j))
				printf("drop %u %s=%lu\n", i, dp_drop_name(j), dp_drop_value(dp, i, j));
	}
	for (unsigned i = 0; i < MAX_POLICIES; i++)
		for (int dir = SA_IN; dir <= SA_OUT; dir++)
			if (pair[i].spi && dp_sa_stats(dp, &pair[i], dir, &s))
				printf("sa %u %s packets=%lu bytes=%lu replay=%lu icv=%lu other=%lu\n",
				       i, dir ? "out" : "in", s.packets, s.bytes, s.replay_drops,
				       s.icv_drops, s.other_drops);
	printf("pool-bytes %lu\nversions %s\nend\n", dp_pool_bytes(dp), dp_versions(dp));
}

static void remove_command(const char *line)
{
	unsigned id;

	if (sscanf(line, "remove %u", &id) != 1 || id >= MAX_POLICIES)
		return;
	dp_sa_remove(dp, &pair[id], SA_OUT);
	dp_sa_remove(dp, &pair[id], SA_IN);
	dp_sa_release(dp, &pair[id]);
}

/* Waits until control has heard everything that it waits for. */
static unsigned installed(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < dp_worker_count(dp); i++) {
		struct dp_lcore_stats l;
		dp_poll(dp);
		dp_lcore_stats(dp, i, &l);
		n += l.sa_in + l.sa_out;
	}
	return n;
}

static bool install_patiently(const struct sa_params *p)
{
	int rc;

	while ((rc = dp_sa_install(dp, p)) == -EAGAIN)
		dp_poll(dp);
	return rc == 0;
}

/* many N: so many pairs at once, and away again. They serve policy 63, which nothing matches. */
static void many_command(const char *line)
{
	static struct sa_ref kept[10000];
	struct sa_ref saved = pair[63];
	unsigned before = installed(), want, got = 0;

	if (sscanf(line, "many %u", &want) != 1 || want > 10000)
		return;
	quiet = true;
	for (; got < want && dp_sa_reserve(dp, UINT16_MAX, &pair[63]) == 0; got++) {
		struct sa_params in = params(63, false, SA_IN, pair[63].spi,
					     "000102030405060708090a0b0c0d0e0f10111213");
		struct sa_params out;
		in.sel = policy[0].sel;
		out = in;
		out.dir = SA_OUT;
		out.spi = 0x5000 + got;
		kept[got] = pair[63];
		if (!install_patiently(&in) || !install_patiently(&out))
			break;
	}
	while (installed() < before + 2 * got)
		;
	for (unsigned i = 0; i < got; i++) {
		dp_sa_remove(dp, &kept[i], SA_OUT);
		dp_sa_remove(dp, &kept[i], SA_IN);
		dp_sa_release(dp, &kept[i]);
	}
	while (installed() > before)
		;
	quiet = false;
	pair[63] = saved;
	printf("many %u installed and removed\n", got);
}

/* send ADDRESS BYTES: an IKE-like datagram from port 500 */
static void send_command(const char *line)
{
	static uint8_t data[60000];
	struct dp_udp_path path = { .local_port = 500, .remote_port = 500 };
	char remote[64];
	size_t len;
	int rc;

	if (sscanf(line, "send %63s %zu", remote, &len) != 2 || len > sizeof(data) ||
	    ip_addr_parse(remote, &path.remote) || ip_addr_parse("10.9.0.1", &path.local))
		return;
	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(i * 7);
	rc = dp_send_udp(dp, &path, false, data, len);
	if (rc)
		printf("error send: %s\n", strerror(-rc));
}

/* False: stop. */
static bool command(const char *line)
{
	char why[200] = "";

	if (strncmp(line, "quit", 4) == 0)
		return false;
	if (strncmp(line, "pair ", 5) == 0)
		pair_command(line);
	else if (strncmp(line, "policy ", 7) == 0)
		policy_command(line);
	else if (strncmp(line, "commit", 6) == 0) {
		if (dp_spd_set(dp, policy, n_policies, why, sizeof(why)))
			printf("error %s\n", why);
	} else if (strncmp(line, "stats", 5) == 0)
		stats_command();
	else if (strncmp(line, "remove ", 7) == 0)
		remove_command(line);
	else if (strncmp(line, "many ", 5) == 0)
		many_command(line);
	else if (strncmp(line, "send ", 5) == 0)
		send_command(line);
	else
		printf("error unknown command\n");
	return true;
}

static void serve(void)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	char buf[4096], *end;
	size_t n = 0;

	for (;;) {
		dp_poll(dp);
		fflush(stdout);
		if (poll(&in, 1, 0) <= 0) {
			usleep(200);
			continue;
		}
		ssize_t got = read(STDIN_FILENO, buf + n, sizeof(buf) - 1 - n);
		if (got <= 0)
			return;
		n += (size_t)got;
		buf[n] = 0;
		while ((end = strchr(buf, '\n'))) {
			*end = 0;
			if (!command(buf))
				return;
			n -= (size_t)(end + 1 - buf);
			memmove(buf, end + 1, n + 1);
		}
	}
}

/* ------------------------------------------------------------------------- start ------------ */

static void port_config(struct dp_port_cfg *p, const char *name, unsigned index, const char *iface,
			const char *addr, const char *addr6)
{
	snprintf(p->name, sizeof(p->name), "%s", name);
	snprintf(p->device, sizeof(p->device), "net_af_packet%u,iface=%s", index, iface);
	ip_addr_parse(addr, &p->addrs[0].addr);
	p->addrs[0].len = 24;
	ip_addr_parse(addr6, &p->addrs[1].addr);
	p->addrs[1].len = 64;
	p->n_addrs = 2;
}

int main(int argc, char **argv)
{
	struct dp_route_cfg route[2] = { 0 };
	struct dp_callbacks cb = { .on_ike = on_ike,
				   .on_sa_stored = on_sa_stored,
				   .on_sa_limit = on_sa_limit,
				   .on_acquire = on_acquire,
				   .on_bad_spi = on_bad_spi };
	struct dp_cfg cfg = { .n_ports = 2,
			      .routes = route,
			      .n_routes = 2,
			      .worker_cores = { 1, 0 },
			      .control_core = 0,
			      .memory_mb = 256,
			      .mbufs = 4096,
			      .sa_slots = 16384,
			      .idle = DP_IDLE_SLEEP,
			      .share_core = true };
	char why[300] = "";

	if (argc != 4)
		return 2;
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		cfg.worker_cores[0] = 0;
	cfg.n_workers = (unsigned)atoi(argv[1]);
	port_config(&cfg.ports[0], "wan", 0, argv[2], "10.9.0.1", "2001:db8:9::1");
	port_config(&cfg.ports[1], "lan", 1, argv[3], "10.1.0.254", "2001:db8:1::fe");
	route[0].dst.addr = ip_addr_v4(0);
	ip_addr_parse("10.9.0.2", &route[0].via);
	ip_addr_parse("::", &route[1].dst.addr);
	ip_addr_parse("fe80::2", &route[1].via);
	if (dp_start(&cfg, &cb, &dp, why, sizeof(why))) {
		fprintf(stderr, "gateway: %s\n", why);
		return 1;
	}
	printf("ready\n");
	serve();
	dp_stop(dp);
	printf("stopped\n");
	return 0;
}
