#include "ring_rig.h"

#include <rte_eth_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "wire.h"

struct rte_ring *rig_rx[PORTS][RIG_WORKERS], *rig_tx[PORTS][RIG_WORKERS];
struct dp *rig_dp;
struct rte_mempool *rig_pool;
unsigned rig_stored;

static uint8_t mac[PORTS][6];
static unsigned workers, failed, checks;

void check(bool ok, const char *what)
{
	printf("%s %u - %s\n", ok ? "ok" : "not ok", ++checks, what);
	fflush(stdout);
	failed += !ok;
}

void must(bool ok, const char *what)
{
	if (ok)
		return;
	printf("Bail out! %s\n", what);
	exit(1);
}

int checks_end(void)
{
	printf("1..%u\n", checks);
	return failed > 0;
}

/* ------------------------------------------------------------------------- ports ------------ */

int __wrap_rte_dev_probe(const char *devargs);

/* What the facade calls to make a device appear; the linker puts this in the place of DPDK's. */
int __wrap_rte_dev_probe(const char *devargs)
{
	const char *name = devargs + strlen("net_ring_");
	unsigned port = strcmp(name, "lan") == 0;
	char text[32];

	for (unsigned i = 0; i < workers; i++) {
		snprintf(text, sizeof(text), "%s-rx%u", name, i);
		rig_rx[port][i] = rte_ring_create(text, RIG_RING, SOCKET_ID_ANY, 0);
		snprintf(text, sizeof(text), "%s-tx%u", name, i);
		rig_tx[port][i] = rte_ring_create(text, RIG_RING, SOCKET_ID_ANY, 0);
		must(rig_rx[port][i] && rig_tx[port][i], "no rings");
	}
	return rte_eth_from_rings(name, rig_rx[port], workers, rig_tx[port], workers, 0) < 0 ? -1
											      : 0;
}

static void on_stored(void *ctx, const struct sa_ref *ref, enum sa_dir dir)
{
	(void)ctx;
	(void)ref;
	(void)dir;
	rig_stored++;
}

static struct ip_prefix prefix(uint32_t addr, uint8_t len)
{
	return (struct ip_prefix){ ip_addr_v4(addr), len };
}

/* A neighbour asks for our address, or answers, and so is known. */
static void arp_in(unsigned port, uint32_t from, uint32_t to)
{
	static const uint8_t head[8] = { 0, 1, 8, 0, 6, 4, 0, 1 };
	struct rte_mbuf *pkt = rte_pktmbuf_alloc(rig_pool);
	uint8_t *f = pkt ? (uint8_t *)rte_pktmbuf_append(pkt, 60) : NULL;

	must(f != NULL, "no packet buffer");
	memset(f, 0, 60);
	memset(f, 0xff, 6);
	memset(f + 6, 0x42, 6);
	store_be16(f + 12, ETHERTYPE_ARP);
	memcpy(f + 14, head, 8);
	memset(f + 22, 0x42, 6);
	store_be32(f + 28, from);
	store_be32(f + 38, to);
	must(rte_ring_enqueue(rig_rx[port][0], pkt) == 0, "receive ring full");
}

static void policies_set(unsigned n)
{
	struct spd_policy p[8];
	char why[200] = "";

	must(n <= 8, "too many policies for this rig");
	for (uint32_t i = 0; i < n; i++) {
		struct ip_addr a = ip_addr_v4(0x0a020000 + i);
		p[i] = (struct spd_policy){ .id = i, .action = POLICY_PROTECT };
		p[i].sel.local =
			(struct ip_range){ ip_addr_v4(0x0a010000), ip_addr_v4(0x0a01ffff) };
		p[i].sel.remote = (struct ip_range){ a, a };
	}
	must(dp_spd_set(rig_dp, p, n, why, sizeof(why)) == 0, why);
}

void rig_start(const struct rig_cfg *r, unsigned policies)
{
	struct dp_cfg cfg = {
		.ports = { { .name = "wan", .device = "net_ring_wan", .n_addrs = 1 },
			   { .name = "lan", .device = "net_ring_lan", .n_addrs = 1 } },
		.n_ports = PORTS,
		.n_workers = r->workers,
		.memory_mb = 400,
		.mbufs = 4096,
		.sa_slots = r->sa_slots ? r->sa_slots : 8192,
		.idle = DP_IDLE_SLEEP,
		.share_core = true,
	};
	struct dp_route_cfg route = { .dst = prefix(0x0a020000, 16),
				      .via = ip_addr_v4(0x0a010001) };
	struct dp_callbacks cb = r->cb;
	struct dp_port_stats s;
	char why[256] = "";

	workers = r->workers;
	cb.on_sa_stored = on_stored;
	cfg.ports[WAN].addrs[0] = prefix(0x0a090001, 24);
	cfg.ports[LAN].addrs[0] = prefix(0x0a0100fe, 24);
	cfg.routes = &route;
	cfg.n_routes = 1;
	for (unsigned i = 0; i < workers; i++)
		cfg.worker_cores[i] = (uint16_t)(sysconf(_SC_NPROCESSORS_ONLN) > 1 ? i % 2 : 0);
	must(dp_start(&cfg, &cb, &rig_dp, why, sizeof(why)) == 0, why);
	rig_pool = rte_mempool_lookup("packets");
	must(rig_pool != NULL, "no pool");
	for (unsigned i = 0; i < PORTS; i++) {
		dp_port_stats(rig_dp, i, &s);
		memcpy(mac[i], s.mac, 6);
	}
	arp_in(WAN, 0x0a090002, 0x0a090001);
	arp_in(LAN, 0x0a010001, 0x0a0100fe);
	arp_in(LAN, 0x0a010007, 0x0a0100fe);
	policies_set(policies);
	rig_poll_for(0.3);
}

void rig_stop(void)
{
	dp_stop(rig_dp);
	rig_dp = NULL;
}

/* ------------------------------------------------------------------------- packets ---------- */

bool rig_frame_in(unsigned port, unsigned queue, struct rte_mbuf *pkt, bool may_lose)
{
	uint8_t *eth = (uint8_t *)rte_pktmbuf_prepend(pkt, ETH_LEN);

	must(eth != NULL, "no headroom");
	memcpy(eth, mac[port], 6);
	memset(eth + 6, 0x42, 6);
	store_be16(eth + ETH_TYPE, ETHERTYPE_IP4);
	if (rte_ring_enqueue(rig_rx[port][queue], pkt) == 0)
		return true;
	must(may_lose, "receive ring full");
	rte_pktmbuf_free(pkt);
	return false;
}

struct rte_mbuf *rig_clear(uint32_t n, uint32_t policy, unsigned payload)
{
	struct rte_mbuf *pkt = rte_pktmbuf_alloc(rig_pool);
	unsigned len = 28 + payload;
	uint8_t *ip;

	must(pkt != NULL, "no packet buffer left: they leak");
	ip = (uint8_t *)rte_pktmbuf_append(pkt, (uint16_t)len);
	must(ip != NULL, "no room in a packet buffer");
	memset(ip, (int)n, len);
	memset(ip, 0, 28);
	ip[0] = 0x45;
	store_be16(ip + IP4_TOTAL, (uint16_t)len);
	ip[IP4_TTL] = 64;
	ip[IP4_PROTO] = PROTO_UDP;
	store_be32(ip + IP4_SRC, 0x0a010007);
	store_be32(ip + IP4_DST, 0x0a020000 + policy);
	ip4_sum_set(ip);
	return pkt;
}

struct rte_mbuf *rig_leaving(unsigned port, unsigned queue)
{
	void *pkt;

	return rte_ring_dequeue(rig_tx[port][queue], &pkt) ? NULL : pkt;
}

uint32_t rig_spi_of(struct rte_mbuf *frame)
{
	const uint8_t *eth = rte_pktmbuf_mtod(frame, const uint8_t *);

	if (load_be16(eth + ETH_TYPE) != ETHERTYPE_IP4 || eth[ETH_LEN + IP4_PROTO] != PROTO_ESP)
		return 0;
	return load_be32(eth + ETH_LEN + IP4_LEN);
}

void rig_arp_answer(unsigned port, struct rte_mbuf *frame)
{
	const uint8_t *arp = rte_pktmbuf_mtod(frame, const uint8_t *);

	if (load_be16(arp + ETH_TYPE) == ETHERTYPE_ARP && arp[ETH_LEN + 7] == 1)
		arp_in(port, load_be32(arp + ETH_LEN + 24), load_be32(arp + ETH_LEN + 14));
}

void rig_turn(struct rte_mbuf *frame)
{
	uint8_t *ip = (uint8_t *)rte_pktmbuf_adj(frame, ETH_LEN);
	uint8_t addr[4];

	memcpy(addr, ip + IP4_SRC, 4);
	memcpy(ip + IP4_SRC, ip + IP4_DST, 4);
	memcpy(ip + IP4_DST, addr, 4);
}

/* ------------------------------------------------------------------------- flow ------------- */

static unsigned flow_turn(struct flow *f, unsigned queue)
{
	struct rte_mbuf *pkt = rig_leaving(WAN, queue);
	unsigned owner;
	uint32_t spi;

	if (!pkt)
		return 0;
	spi = rig_spi_of(pkt);
	if (spi) {
		/* generation | 6 bits of owner | 13 bits of slot, with 8192 slots */
		owner = spi >> 13 & 63;
		must(owner < workers, "an SPI names a worker");
		f->by_owner[owner]++;
		rig_turn(pkt);
		f->esp++;
		rig_frame_in(WAN,
			     f->to_owner ? owner :
			     f->swap	 ? !owner :
					   (unsigned)(f->esp / 3 % workers),
			     pkt, false);
	} else {
		f->other++;
		rte_pktmbuf_free(pkt);
	}
	return 1;
}

/* The place of a packet in on_way: it has one while fewer than IN_FLIGHT are out. */
static unsigned place_of(const struct flow *f, uint16_t id)
{
	for (unsigned i = 0; i < IN_FLIGHT; i++)
		if (f->on_way[i] == id)
			return i;
	must(false, "a packet came back twice, or was never sent");
	return 0;
}

static void flow_back(struct flow *f, struct rte_mbuf *pkt)
{
	unsigned i = place_of(
		f, load_be16(rte_pktmbuf_mtod_offset(pkt, const uint8_t *, ETH_LEN + IP4_ID)));

	f->on_way[i] = 0;
	f->old[i] = false;
	f->back++;
}

static unsigned flow_end(struct flow *f, unsigned queue)
{
	struct rte_mbuf *pkt = rig_leaving(LAN, queue);

	if (!pkt)
		return 0;
	if (load_be16(rte_pktmbuf_mtod(pkt, const uint8_t *) + ETH_TYPE) == ETHERTYPE_IP4)
		flow_back(f, pkt);
	else
		f->other++;
	rte_pktmbuf_free(pkt);
	return 1;
}

static void flow_begin(struct flow *f)
{
	uint32_t n = (uint32_t)f->sent++;
	uint16_t id = (uint16_t)(1 + n % 60000); /* 0: a free place */
	unsigned queue = n % workers;
	uint32_t policy = f->policies == workers ? (f->swap ? !queue : queue) :
						   n / workers % f->policies;
	struct rte_mbuf *pkt = rig_clear(n, policy, n % 1300);
	uint8_t *ip = rte_pktmbuf_mtod(pkt, uint8_t *);

	store_be16(ip + IP4_ID, id);
	ip4_sum_set(ip);
	f->on_way[place_of(f, 0)] = id;
	rig_frame_in(LAN, queue, pkt, false);
}

/* A turnover is asked for (1), begins (2) and is over (0) when no old packet is left. */
static void turnover_look(struct flow *f)
{
	int state = __atomic_load_n(&f->turnover, __ATOMIC_ACQUIRE);
	unsigned old = 0;

	if (state == 0)
		return;
	for (unsigned i = 0; i < IN_FLIGHT; i++) {
		if (state == 1)
			f->old[i] = f->on_way[i] != 0;
		old += f->old[i];
	}
	__atomic_store_n(&f->turnover, old ? 2 : 0, __ATOMIC_RELEASE);
}

static void *flow_run(void *arg)
{
	struct flow *f = arg;
	struct timespec nap = { .tv_nsec = 20000 };

	for (unsigned idle = 0; idle < 40000;) {
		bool stop = __atomic_load_n(&f->stop, __ATOMIC_ACQUIRE);
		unsigned work = 0;
		turnover_look(f);
		for (unsigned i = 0; i < workers; i++)
			work += flow_turn(f, i) + flow_end(f, i);
		if (stop && f->back == f->sent)
			break;
		for (; !stop && f->sent - f->back < IN_FLIGHT; work++)
			flow_begin(f);
		idle = stop && !work ? idle + 1 : 0;
		if (!work)
			nanosleep(&nap, NULL);
	}
	return NULL;
}

void flow_start(struct flow *f)
{
	must(pthread_create(&f->thread, NULL, flow_run, f) == 0, "no thread");
}

bool flow_turnover(struct flow *f)
{
	double end = rig_seconds() + 10;

	__atomic_store_n(&f->turnover, 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(&f->turnover, __ATOMIC_ACQUIRE) && rig_seconds() < end)
		dp_poll(rig_dp);
	return __atomic_load_n(&f->turnover, __ATOMIC_ACQUIRE) == 0;
}

void flow_stop(struct flow *f)
{
	__atomic_store_n(&f->stop, 1, __ATOMIC_RELEASE);
	pthread_join(f->thread, NULL);
	rig_poll_for(0.2);
}

/* ------------------------------------------------------------------------- SA pairs --------- */

void rig_params(struct sa_params *p, const struct sa_ref *ref, enum sa_dir dir, uint32_t policy)
{
	uint32_t a = dir == SA_OUT ? 0x0a010000 : 0x0a020000,
		 b = dir == SA_OUT ? 0x0a020000 : 0x0a010000;

	*p = (struct sa_params){ .ref = *ref,
				 .dir = dir,
				 .spi = ref->spi,
				 .policy = policy,
				 .proto = SA_ESP,
				 .mode = SA_TUNNEL,
				 .encr = ref->slot % 2 ? ENCR_AES_GCM_16 : ENCR_AES_CBC,
				 .key_bits = 256,
				 .integ = ref->slot % 2 ? INTEG_NONE : INTEG_HMAC_SHA256_128,
				 .local = ip_addr_v4(0x0a090001),
				 .remote = ip_addr_v4(0x0a090002) };
	p->sel.local = (struct ip_range){ ip_addr_v4(a), ip_addr_v4(a | 0xffff) };
	p->sel.remote = (struct ip_range){ ip_addr_v4(b), ip_addr_v4(b | 0xffff) };
	memset(p->key, (int)ref->spi, sizeof(p->key));
	memset(p->auth, (int)ref->spi, sizeof(p->auth));
}

int rig_pair_add(struct sa_ref *ref, uint16_t owner, uint32_t policy)
{
	struct sa_params p;
	int rc = dp_sa_reserve(rig_dp, owner, ref);

	for (enum sa_dir dir = SA_IN; rc == 0 && dir <= SA_OUT; dir++) {
		rig_params(&p, ref, dir, policy);
		rc = dp_sa_install(rig_dp, &p);
	}
	return rc;
}

void rig_pair_remove(const struct sa_ref *ref)
{
	dp_sa_remove(rig_dp, ref, SA_OUT);
	dp_sa_remove(rig_dp, ref, SA_IN);
	dp_sa_release(rig_dp, ref);
}

double rig_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

void rig_poll_for(double s)
{
	struct timespec nap = { .tv_nsec = 100000 };

	for (double end = rig_seconds() + s; rig_seconds() < end;)
		if (!dp_poll(rig_dp))
			nanosleep(&nap, NULL);
}

void rig_poll_until_stored(unsigned n)
{
	for (double end = rig_seconds() + 20; rig_stored < n && rig_seconds() < end;)
		dp_poll(rig_dp);
}

unsigned rig_installed(void)
{
	struct dp_lcore_stats s;
	unsigned n = 0;

	for (unsigned i = 0; i < workers; i++) {
		dp_lcore_stats(rig_dp, i, &s);
		n += s.sa_in + s.sa_out;
	}
	return n;
}

void rig_poll_until_removed(unsigned left)
{
	for (double end = rig_seconds() + 20; rig_installed() > left && rig_seconds() < end;)
		dp_poll(rig_dp);
	rig_poll_for(0.1);
}

/* ------------------------------------------------------------------------- counters --------- */

struct rig_totals rig_totals(bool verbose)
{
	struct rig_totals t = { 0 };
	struct dp_lcore_stats s;

	for (unsigned w = 0; w < workers; w++) {
		dp_lcore_stats(rig_dp, w, &s);
		t.rx += s.rx_packets;
		t.tx += s.tx_packets;
		t.handed += s.handover_out;
		t.taken += s.handover_in;
		t.esp_in += s.esp_in_packets;
		t.esp_out += s.esp_out_packets;
		t.punted += s.punted;
		t.injected += s.injected;
		for (unsigned i = 0; i < dp_drop_count(); i++) {
			uint64_t n = dp_drop_value(rig_dp, w, i);
			if (n && verbose)
				printf("# worker %u: %s %llu\n", w, dp_drop_name(i),
				       (unsigned long long)n);
			t.drops += n;
		}
	}
	return t;
}
