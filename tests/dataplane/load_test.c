/* The facade under load: two workers that hand packets to each other, both ways, while control
 * installs and removes thousands of SA pairs. Ports are made of rings. A packet comes in behind us,
 * leaves as ESP, is turned round as if the peer had sent it, and comes back decrypted: what goes in
 * must come out, and the counters must add up to the packet. */
#include <pthread.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "dataplane.h"
#include "drop.h"
#include "wire.h"

enum { WAN, LAN, PORTS };

#define WORKERS   2
#define PAIRS     10000
#define IN_FLIGHT 64 /* less than any ring or burst: nothing may be dropped */

static struct rte_ring *rx[PORTS][WORKERS], *tx[PORTS][WORKERS];
static struct dp *dp;
static unsigned failed, stored;

static void check(bool ok, const char *what)
{
	static unsigned n;

	printf("%s %u - %s\n", ok ? "ok" : "not ok", ++n, what);
	fflush(stdout);
	failed += !ok;
}

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	printf("Bail out! %s\n", what);
	exit(1);
}

/* ------------------------------------------------------------------------- ports ------------ */

int __wrap_rte_dev_probe(const char *devargs);

/* What the facade calls to make a device appear; the linker puts this in the place of DPDK's. */
int __wrap_rte_dev_probe(const char *devargs)
{
	const char *name = devargs + strlen("net_ring_");
	unsigned port = strcmp(name, "lan") == 0;
	char text[32];

	for (unsigned i = 0; i < WORKERS; i++) {
		snprintf(text, sizeof(text), "%s-rx%u", name, i);
		rx[port][i] = rte_ring_create(text, 256, SOCKET_ID_ANY, 0);
		snprintf(text, sizeof(text), "%s-tx%u", name, i);
		tx[port][i] = rte_ring_create(text, 256, SOCKET_ID_ANY, 0);
		must(rx[port][i] && tx[port][i], "no rings");
	}
	return rte_eth_from_rings(name, rx[port], WORKERS, tx[port], WORKERS, 0) < 0 ? -1 : 0;
}

static void on_stored(void *ctx, const struct sa_ref *ref, enum sa_dir dir)
{
	(void)ctx;
	(void)ref;
	(void)dir;
	stored++;
}

static struct ip_prefix prefix(uint32_t addr, uint8_t len)
{
	return (struct ip_prefix){ ip_addr_v4(addr), len };
}

static void start(void)
{
	static struct dp_cfg cfg = {
		.ports = { { .name = "wan", .device = "net_ring_wan", .n_addrs = 1 },
			   { .name = "lan", .device = "net_ring_lan", .n_addrs = 1 } },
		.n_ports = PORTS,
		.n_workers = WORKERS,
		.memory_mb = 400,
		.mbufs = 4096,
		.sa_slots = 8192,
		.idle = DP_IDLE_SLEEP,
		.share_core = true,
	};
	struct dp_route_cfg route = { .dst = prefix(0x0a020000, 16),
				      .via = ip_addr_v4(0x0a010001) };
	struct dp_callbacks cb = { .on_sa_stored = on_stored };
	char why[256] = "";

	cfg.ports[WAN].addrs[0] = prefix(0x0a090001, 24);
	cfg.ports[LAN].addrs[0] = prefix(0x0a0100fe, 24);
	cfg.routes = &route;
	cfg.n_routes = 1;
	cfg.worker_cores[1] = sysconf(_SC_NPROCESSORS_ONLN) > 1;
	must(dp_start(&cfg, &cb, &dp, why, sizeof(why)) == 0, why);
}

/* ------------------------------------------------------------------------- packets ---------- */

static struct rte_mempool *pool;
static uint8_t mac[PORTS][6];

static void frame_in(unsigned port, unsigned queue, struct rte_mbuf *pkt)
{
	uint8_t *eth = (uint8_t *)rte_pktmbuf_prepend(pkt, ETH_LEN);

	must(eth != NULL, "no headroom");
	memcpy(eth, mac[port], 6);
	memset(eth + 6, 0x42, 6);
	store_be16(eth + ETH_TYPE, ETHERTYPE_IP4);
	must(rte_ring_enqueue(rx[port][queue], pkt) == 0, "receive ring full");
}

/* A neighbour asks for our address, and so is known. */
static void arp_in(unsigned port, uint32_t from, uint32_t to)
{
	static const uint8_t head[8] = { 0, 1, 8, 0, 6, 4, 0, 1 };
	struct rte_mbuf *pkt = rte_pktmbuf_alloc(pool);
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
	must(rte_ring_enqueue(rx[port][0], pkt) == 0, "receive ring full");
}

static void clear_in(uint32_t n)
{
	struct rte_mbuf *pkt = rte_pktmbuf_alloc(pool);
	unsigned len = 28 + n % 1300;
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
	store_be32(ip + IP4_DST, 0x0a020000 + n % 3); /* three policies */
	ip4_sum_set(ip);
	frame_in(LAN, n % WORKERS, pkt);
}

/* ESP of ours, turned round: the SA has the same SPI and key in both directions. */
static void turn(struct rte_mbuf *pkt, unsigned queue)
{
	uint8_t *ip = (uint8_t *)rte_pktmbuf_adj(pkt, ETH_LEN);
	uint8_t addr[4];

	memcpy(addr, ip + IP4_SRC, 4);
	memcpy(ip + IP4_SRC, ip + IP4_DST, 4);
	memcpy(ip + IP4_DST, addr, 4);
	frame_in(WAN, queue, pkt);
}

struct flow {
	int stop;
	uint64_t sent, esp, back, other;
};

static struct rte_mbuf *leaving(unsigned port, unsigned queue)
{
	void *pkt;

	return rte_ring_dequeue(tx[port][queue], &pkt) ? NULL : pkt;
}

static unsigned flow_turn(struct flow *f, unsigned queue)
{
	struct rte_mbuf *pkt = leaving(WAN, queue);
	const uint8_t *eth;

	if (!pkt)
		return 0;
	eth = rte_pktmbuf_mtod(pkt, const uint8_t *);
	if (load_be16(eth + ETH_TYPE) == ETHERTYPE_IP4 && eth[ETH_LEN + IP4_PROTO] == PROTO_ESP) {
		turn(pkt, (unsigned)(f->esp++ / 3 % WORKERS));
	} else {
		f->other++;
		rte_pktmbuf_free(pkt);
	}
	return 1;
}

static unsigned flow_end(struct flow *f, unsigned queue)
{
	struct rte_mbuf *pkt = leaving(LAN, queue);

	if (!pkt)
		return 0;
	if (load_be16(rte_pktmbuf_mtod(pkt, const uint8_t *) + ETH_TYPE) == ETHERTYPE_IP4)
		f->back++;
	else
		f->other++;
	rte_pktmbuf_free(pkt);
	return 1;
}

/* Keeps packets on their way; after stop waits until all are back, at most two seconds. */
static void *flow_run(void *arg)
{
	struct flow *f = arg;
	struct timespec nap = { .tv_nsec = 20000 };

	for (unsigned idle = 0; idle < 40000;) {
		bool stop = __atomic_load_n(&f->stop, __ATOMIC_ACQUIRE);
		unsigned work = 0;
		for (unsigned i = 0; i < WORKERS; i++)
			work += flow_turn(f, i) + flow_end(f, i);
		if (stop && f->back == f->sent)
			break;
		for (; !stop && f->sent - f->back < IN_FLIGHT; work++)
			clear_in((uint32_t)f->sent++);
		idle = stop && !work ? idle + 1 : 0;
		if (!work)
			nanosleep(&nap, NULL);
	}
	return NULL;
}

/* ------------------------------------------------------------------------- SA pairs --------- */

static void params_fill(struct sa_params *p, const struct sa_ref *ref, enum sa_dir dir,
			uint32_t policy)
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

static int pair_add(struct sa_ref *ref, uint16_t owner, uint32_t policy)
{
	struct sa_params p;
	int rc = dp_sa_reserve(dp, owner, ref);

	for (enum sa_dir dir = SA_IN; rc == 0 && dir <= SA_OUT; dir++) {
		params_fill(&p, ref, dir, policy);
		rc = dp_sa_install(dp, &p);
	}
	return rc;
}

static void pair_remove(const struct sa_ref *ref)
{
	dp_sa_remove(dp, ref, SA_OUT);
	dp_sa_remove(dp, ref, SA_IN);
	dp_sa_release(dp, ref);
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void poll_for(double s)
{
	struct timespec nap = { .tv_nsec = 100000 };

	for (double end = seconds() + s; seconds() < end;)
		if (!dp_poll(dp))
			nanosleep(&nap, NULL);
}

static void poll_until_stored(unsigned n)
{
	for (double end = seconds() + 20; stored < n && seconds() < end;)
		dp_poll(dp);
}

static unsigned installed(void)
{
	struct dp_lcore_stats s;
	unsigned n = 0;

	for (unsigned i = 0; i < WORKERS; i++) {
		dp_lcore_stats(dp, i, &s);
		n += s.sa_in + s.sa_out;
	}
	return n;
}

static void poll_until_removed(unsigned left)
{
	for (double end = seconds() + 20; installed() > left && seconds() < end;)
		dp_poll(dp);
	poll_for(0.1);
}

static size_t heap_bytes(void)
{
	struct rte_malloc_socket_stats s;
	size_t sum = 0;

	for (int i = 0; i < RTE_MAX_NUMA_NODES; i++)
		if (rte_malloc_get_socket_stats(i, &s) == 0)
			sum += s.heap_allocsz_bytes;
	return sum;
}

static long resident_kb(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long size = 0, pages = 0;

	if (f && fscanf(f, "%ld %ld", &size, &pages) != 2)
		pages = 0;
	if (f)
		fclose(f);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* ------------------------------------------------------------------------- the test --------- */

static void policies_set(void)
{
	struct spd_policy p[3];
	char why[200] = "";

	for (uint32_t i = 0; i < 3; i++) {
		struct ip_addr a = ip_addr_v4(0x0a020000 + i);
		p[i] = (struct spd_policy){ .id = i, .action = POLICY_PROTECT };
		p[i].sel.local =
			(struct ip_range){ ip_addr_v4(0x0a010000), ip_addr_v4(0x0a01ffff) };
		p[i].sel.remote = (struct ip_range){ a, a };
	}
	must(dp_spd_set(dp, p, 3, why, sizeof(why)) == 0, why);
}

static void thousands(const char *title)
{
	static struct sa_ref ref[PAIRS];
	size_t heap = heap_bytes();
	long rss = resident_kb();
	unsigned before = stored, refused = 0;
	double t = seconds();

	for (unsigned i = 0; i < PAIRS; i++)
		refused += pair_add(&ref[i], UINT16_MAX, 100 + i) != 0;
	printf("# %s: %u pairs built and queued in %.3f s\n", title, PAIRS, seconds() - t);
	check(refused == 0, "thousands of installs in a row are all taken");
	poll_until_stored(before + 2 * PAIRS);
	printf("# in service after %.3f s; %.0f bytes of EAL memory and %.0f resident for a pair\n",
	       seconds() - t, (double)(heap_bytes() - heap) / PAIRS,
	       (double)(resident_kb() - rss) * 1024 / PAIRS);
	check(stored == before + 2 * PAIRS, "and are all stored");
	for (unsigned i = 0; i < PAIRS; i++)
		pair_remove(&ref[i]);
	poll_until_removed(6);
	check(installed() == 6, "as many removals are all confirmed");
	check(heap_bytes() == heap, "and give back all memory");
}

static uint64_t drops(void)
{
	uint64_t sum = 0;

	for (unsigned w = 0; w < WORKERS; w++)
		for (unsigned i = 0; i < dp_drop_count(); i++) {
			uint64_t n = dp_drop_value(dp, w, i);
			if (n)
				printf("# worker %u: %s %llu\n", w, dp_drop_name(i),
				       (unsigned long long)n);
			sum += n;
		}
	return sum;
}

static void totals(const struct flow *f)
{
	uint64_t in = 0, out = 0, handed = 0, taken = 0, esp_in = 0, esp_out = 0;
	struct dp_lcore_stats s;

	for (unsigned i = 0; i < WORKERS; i++) {
		dp_lcore_stats(dp, i, &s);
		in += s.rx_packets + s.injected;
		out += s.tx_packets + s.punted;
		handed += s.handover_out;
		taken += s.handover_in;
		esp_in += s.esp_in_packets;
		esp_out += s.esp_out_packets;
	}
	printf("# %llu packets round, %llu handed over\n", (unsigned long long)f->back,
	       (unsigned long long)handed);
	check(f->sent == f->back && f->sent > 1000, "every packet comes back");
	check(esp_in == f->back && esp_out == f->back, "each is encrypted and decrypted once");
	check(handed == taken && handed > f->sent / 2, "what is handed over arrives");
	check(drops() == 0, "nothing is dropped");
	check(in == out, "received and injected equals sent and punted");
}

int main(void)
{
	struct flow flow = { 0 };
	struct sa_ref ref[3];
	pthread_t thread;

	start();
	pool = rte_mempool_lookup("packets");
	for (unsigned i = 0; i < PORTS; i++) {
		struct dp_port_stats s;
		dp_port_stats(dp, i, &s);
		memcpy(mac[i], s.mac, 6);
	}
	arp_in(WAN, 0x0a090002, 0x0a090001);
	arp_in(LAN, 0x0a010001, 0x0a0100fe);
	policies_set();
	for (uint16_t i = 0; i < 3; i++)
		must(pair_add(&ref[i], i % WORKERS, i) == 0, "no first SA pair");
	poll_until_stored(6);
	poll_for(0.3);
	must(pthread_create(&thread, NULL, flow_run, &flow) == 0, "no thread");
	poll_for(1);
	thousands("first");
	thousands("again");
	poll_for(0.5);
	__atomic_store_n(&flow.stop, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	poll_for(0.2);
	totals(&flow);
	check(rte_mempool_in_use_count(pool) == 0, "no packet buffer is missing");
	for (unsigned i = 0; i < 3; i++)
		pair_remove(&ref[i]);
	dp_stop(dp);
	printf("1..%d\n", 14);
	return failed > 0;
}
