#include "env.h"

#include "reassembly.h"

#include <rte_eal.h>
#include <rte_malloc.h>
#include <rte_ring_elem.h>
#include <stdio.h>
#include <stdlib.h>

#define POOL_SIZE 1023

const uint8_t env_mac[2][6] = { { 2, 0, 0, 0, 9, 1 }, { 2, 0, 0, 0, 1, 0xfe } };

static void check(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "test environment: %s\n", what);
	abort();
}

static void environment_start(void)
{
	char *argv[] = { "test",	  "--no-huge", "-m",	"256",
			 "--no-pci",	  "--no-shconf", "--no-telemetry", "--lcores=0",
			 "--log-level=*:4", NULL };

	check(rte_eal_init(9, argv) >= 0, "EAL does not start");
}

struct ip_addr env_addr(const char *text)
{
	struct ip_addr a;

	check(ip_addr_parse(text, &a) == 0, text);
	return a;
}

static struct fib_route route6(const char *dst, enum hop_kind kind, uint8_t port, const char *via)
{
	struct fib_route r = { .kind = (uint8_t)kind, .port = port };

	check(ip_prefix_parse(dst, &r.dst) == 0, dst);
	if (via)
		r.via = env_addr(via);
	return r;
}

static struct fib *routes(void)
{
	struct fib_route r[] = {
		fib_route_v4(0, 0, HOP_UNRESOLVED, 0, 0x0a0900fe),
		fib_route_v4(0x0a020000, 16, HOP_UNRESOLVED, 0, 0x0a090002),
		fib_route_v4(0x0a090000, 24, HOP_CONNECTED, 0, 0),
		fib_route_v4(0x0a010000, 24, HOP_CONNECTED, 1, 0),
		fib_route_v4(0x0a0100ff, 32, HOP_BROADCAST, 1, 0),
		fib_route_v4(WAN_ADDR, 32, HOP_LOCAL, 0, 0),
		fib_route_v4(LAN_ADDR, 32, HOP_LOCAL, 1, 0),
		route6("::/0", HOP_UNRESOLVED, 0, "2001:db8:9::fe"),
		route6("2001:db8:2::/48", HOP_UNRESOLVED, 0, "fe80::2"),
		route6("2001:db8:9::/64", HOP_CONNECTED, 0, NULL),
		route6("2001:db8:1::/64", HOP_CONNECTED, 1, NULL),
		route6("fe80::/10", HOP_BROADCAST, 0, NULL),
		route6("ff00::/8", HOP_BROADCAST, 0, NULL),
		route6(WAN_ADDR6, HOP_LOCAL, 0, NULL),
		route6(LAN_ADDR6, HOP_LOCAL, 1, NULL),
	};
	struct fib_neighbour n[] = { { ip_addr_v4(0x0a010007), 1, { 2, 0, 0, 0, 1, 7 } },
				     { ip_addr_v4(0x0a090002), 0, { 2, 0, 0, 0, 9, 2 } },
				     { env_addr("2001:db8:1::7"), 1, { 2, 0, 0, 0, 1, 7 } },
				     { env_addr("fe80::2"), 0, { 2, 0, 0, 0, 9, 2 } } };
	struct fib_input in = { .route = r,
				.n_routes = RTE_DIM(r),
				.neighbour = n,
				.n_neighbours = RTE_DIM(n),
				.port = { { .mtu = 1500 }, { .mtu = 1400 } } };

	memcpy(in.port[0].mac, env_mac[0], 6);
	memcpy(in.port[1].mac, env_mac[1], 6);
	qsort(r, RTE_DIM(r), sizeof(r[0]), fib_route_cmp);
	qsort(n, RTE_DIM(n), sizeof(n[0]), fib_neighbour_cmp);
	return fib_build(&in);
}

static void rings(struct lcore *lc)
{
	lc->cmd = rte_ring_create_elem("cmd", sizeof(struct cmd), 64, SOCKET_ID_ANY,
				       RING_F_SP_ENQ | RING_F_SC_DEQ);
	lc->evt = rte_ring_create_elem("evt", sizeof(struct evt), 8, SOCKET_ID_ANY,
				       RING_F_SP_ENQ | RING_F_SC_DEQ);
	lc->punt = rte_ring_create("punt", 256, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	lc->inject = rte_ring_create("inject", 64, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	lc->handover[0] = rte_ring_create("inbox0", 64, SOCKET_ID_ANY, RING_F_SC_DEQ);
	lc->handover[1] = rte_ring_create("inbox1", 64, SOCKET_ID_ANY, RING_F_SC_DEQ);
	check(lc->cmd && lc->evt && lc->punt && lc->inject && lc->handover[0] && lc->handover[1],
	      "no rings");
}

struct lcore *env_start(void)
{
	const uint32_t slots = 1 << ENV_SLOT_BITS;
	struct lcore *lc;

	environment_start();
	lc = rte_zmalloc("lcore", sizeof(*lc), 64);
	check(lc, "no memory");
	lc->n_ports = lc->n_workers = 2;
	lc->spi = (struct spi_layout){ ENV_SLOT_BITS, ENV_OWNER_BITS };
	lc->sa_in = rte_zmalloc(NULL, slots * sizeof(*lc->sa_in), 64);
	lc->sa_out = rte_zmalloc(NULL, slots * sizeof(*lc->sa_out), 64);
	lc->policy_sa = rte_zmalloc(NULL, SPD_MAX_POLICIES * sizeof(*lc->policy_sa), 64);
	lc->backlog.size = event_backlog_size(slots);
	lc->backlog.evt = rte_zmalloc(NULL, lc->backlog.size * sizeof(struct evt), 64);
	check(lc->sa_in && lc->sa_out && lc->policy_sa && lc->backlog.evt, "no memory");
	for (unsigned i = 0; i < SPD_MAX_POLICIES; i++)
		lc->policy_sa[i].owner = UINT16_MAX;
	lc->tsc_hz = 1000000000;
	lc->now_tsc = 5000000000;
	for (uint16_t i = 0; i < 2; i++) {
		lc->port[i] = (struct lcore_port){ .dev = UINT16_MAX, .mtu = i ? 1400 : 1500 };
		port_mac_set(&lc->port[i], env_mac[i]);
	}
	local_set_add(&lc->local, WAN_ADDR);
	local_set_add(&lc->local, LAN_ADDR);
	local_set_add6(&lc->local, env_addr(WAN_ADDR6).b, 0);
	local_set_add6(&lc->local, env_addr(WAN_LINK).b, 0);
	local_set_add6(&lc->local, env_addr(LAN_ADDR6).b, 1);
	local_set_add6(&lc->local, env_addr(LAN_LINK).b, 1);
	lc->pool = rte_pktmbuf_pool_create("pool", POOL_SIZE, 0, 0, 4096 + 128, SOCKET_ID_ANY);
	lc->jumbo = rte_pktmbuf_pool_create("jumbo", 15, 0, 0, UINT16_MAX, SOCKET_ID_ANY);
	check(lc->pool && lc->jumbo, "no packet pool");
	lc->reassembly = reassembly_new(SOCKET_ID_ANY);
	lc->reassembly_due = UINT64_MAX;
	check(lc->reassembly, "no reassembly");
	rings(lc);
	lc->fib = routes();
	check(lc->fib, "no routes");
	env_policies(lc, NULL, 0);
	return lc;
}

static void ring_empty(struct rte_ring *r)
{
	void *pkt;

	while (rte_ring_dequeue(r, &pkt) == 0)
		rte_pktmbuf_free(pkt);
}

static void buffer_empty(struct tx_buffer *b)
{
	rte_pktmbuf_free_bulk(b->pkt, b->n);
	b->n = 0;
}

unsigned env_leaked(struct lcore *lc)
{
	for (unsigned i = 0; i < lc->n_ports; i++)
		buffer_empty(&lc->tx[i]);
	for (unsigned i = 0; i < 2; i++) {
		buffer_empty(&lc->to_worker[i]);
		ring_empty(lc->handover[i]);
	}
	ring_empty(lc->punt);
	ring_empty(lc->inject);
	return rte_mempool_in_use_count(lc->pool) + rte_mempool_in_use_count(lc->jumbo);
}

/* ------------------------------------------------------------------------- packets ---------- */

static unsigned l4_write(uint8_t *l4, const struct env_packet *p)
{
	unsigned len = p->proto == PROTO_UDP ? 8 : p->proto == PROTO_TCP ? 20 : 0;

	if (p->frag & IP4_OFFSET_MASK)
		len = 0;
	if (len) {
		memset(l4, 0, len);
		store_be16(l4 + UDP_SPORT, p->sport);
		store_be16(l4 + UDP_DPORT, p->dport);
	}
	if (len == 8)
		store_be16(l4 + UDP_LENGTH, (uint16_t)(8 + p->payload));
	for (unsigned i = 0; i < p->payload; i++)
		l4[len + i] = p->data ? p->data[i] : (uint8_t)i;
	return len + p->payload;
}

struct rte_mbuf *env_ip(struct lcore *lc, const struct env_packet *p)
{
	struct rte_mbuf *pkt = rte_pktmbuf_alloc(lc->pool);
	unsigned ihl = IP4_LEN + p->n_options, total;
	uint8_t *ip;

	check(pkt, "no mbuf");
	ip = rte_pktmbuf_mtod(pkt, uint8_t *);
	memset(ip, 0, ihl);
	total = ihl + l4_write(ip + ihl, p);
	ip[IP4_VER_IHL] = (uint8_t)(0x40 | ihl / 4);
	store_be16(ip + IP4_TOTAL, (uint16_t)total);
	store_be16(ip + IP4_FRAG, p->frag);
	ip[IP4_TTL] = p->ttl ? p->ttl : 64;
	ip[IP4_PROTO] = p->proto;
	store_be32(ip + IP4_SRC, p->src);
	store_be32(ip + IP4_DST, p->dst);
	if (p->options)
		memcpy(ip + IP4_LEN, p->options, p->n_options);
	ip4_sum_set(ip);
	memset(ip + total, 0xee, p->padding);
	check(rte_pktmbuf_append(pkt, (uint16_t)(total + p->padding)) != NULL, "packet too long");
	*pkt_meta(pkt) = (struct pkt_meta){ .port = p->port };
	return pkt;
}

struct rte_mbuf *env_frame(struct lcore *lc, const struct env_packet *p)
{
	struct rte_mbuf *pkt = env_ip(lc, p);
	uint8_t *eth = (uint8_t *)rte_pktmbuf_prepend(pkt, ETH_LEN);

	check(eth, "no headroom");
	memcpy(eth + ETH_DST, env_mac[p->port], 6);
	memset(eth + ETH_SRC, 0x42, 6);
	store_be16(eth + ETH_TYPE, ETHERTYPE_IP4);
	return pkt;
}

struct rte_mbuf *env_ip6(struct lcore *lc, const struct env_packet6 *p)
{
	unsigned at = p->next == PROTO_UDP ? UDP_SUM : ICMP_SUM;
	struct rte_mbuf *pkt = rte_pktmbuf_alloc(lc->pool);
	uint8_t *ip, *l4;
	uint16_t sum = 0;

	check(pkt, "no mbuf");
	ip = (uint8_t *)rte_pktmbuf_append(pkt, (uint16_t)(IP6_LEN + p->len + p->padding));
	check(ip, "packet too long");
	memset(ip, 0, IP6_LEN);
	ip[IP6_VTF] = 0x60;
	store_be16(ip + IP6_PAYLOAD, (uint16_t)p->len);
	ip[IP6_NEXT] = p->next;
	ip[IP6_HOPS] = p->hops ? p->hops : 64;
	memcpy(ip + IP6_SRC, env_addr(p->src).b, 16);
	memcpy(ip + IP6_DST, env_addr(p->dst).b, 16);
	l4 = ip + IP6_LEN;
	for (unsigned i = 0; i < p->len; i++)
		l4[i] = p->data ? p->data[i] : (uint8_t)i;
	memset(l4 + p->len, 0xee, p->padding);
	if (p->sum) {
		memcpy(l4 + at, &sum, 2);
		sum = (uint16_t)~ip6_l4_sum(ip, p->next, l4, p->len);
		memcpy(l4 + at, &sum, 2);
	}
	*pkt_meta(pkt) = (struct pkt_meta){ .port = p->port };
	return pkt;
}

struct rte_mbuf *env_frame6(struct lcore *lc, const struct env_packet6 *p)
{
	struct rte_mbuf *pkt = env_ip6(lc, p);
	uint8_t *ip = rte_pktmbuf_mtod(pkt, uint8_t *);
	uint8_t *eth = (uint8_t *)rte_pktmbuf_prepend(pkt, ETH_LEN);

	check(eth, "no headroom");
	memcpy(eth + ETH_DST, env_mac[p->port], 6);
	if (ip6_is_multicast(ip + IP6_DST)) {
		eth[0] = eth[1] = 0x33;
		memcpy(eth + 2, ip + IP6_DST + 12, 4);
	}
	memset(eth + ETH_SRC, 0x42, 6);
	store_be16(eth + ETH_TYPE, ETHERTYPE_IP6);
	return pkt;
}

/* ------------------------------------------------------------------------- the rest --------- */

bool env_event(struct lcore *lc, struct evt *out)
{
	return rte_ring_sc_dequeue_elem(lc->evt, out, sizeof(*out)) == 0;
}

struct rte_mbuf *env_punted(struct lcore *lc)
{
	void *pkt;

	return rte_ring_dequeue(lc->punt, &pkt) ? NULL : pkt;
}

void env_policies(struct lcore *lc, const struct spd_policy *p, size_t n)
{
	char why[200] = "";
	struct spd *spd = spd_build(p, n, why, sizeof(why));

	check(spd, why);
	spd_free(lc->spd);
	lc->spd = spd;
}

struct spd_policy env_policy(uint32_t id, enum policy_action action, const char *local,
			     const char *remote)
{
	struct spd_policy p = { .id = id, .action = action };

	check(ip_range_parse(local, &p.sel.local) == 0 && ip_range_parse(remote, &p.sel.remote) == 0,
	      "bad selector");
	return p;
}

struct rte_mbuf *env_injected(struct lcore *lc)
{
	void *pkt;

	return rte_ring_dequeue(lc->inject, &pkt) ? NULL : pkt;
}

static void env_port(struct port *port, const struct lcore *lc, unsigned i, uint32_t addr,
		     const char *addr6, const char *link)
{
	port->mtu = lc->port[i].mtu;
	memcpy(port->mac, env_mac[i], 6);
	port->n_addrs = 3;
	port->addr[0] = (struct ip_prefix){ ip_addr_v4(addr), 24 };
	port->addr[1] = (struct ip_prefix){ env_addr(addr6), 64 };
	port->addr[2] = (struct ip_prefix){ env_addr(link), 64 };
}

struct dp *env_dp(struct lcore *lc)
{
	struct dp *dp = calloc(1, sizeof(*dp));
	struct dp_route_cfg route = { .dst = { .addr = ip_addr_v4(0) },
				      .via = ip_addr_v4(0x0a0900fe) };
	struct dp_cfg cfg = { .routes = &route, .n_routes = 1 };
	char why[200] = "";

	check(dp, "no memory");
	dp->n_ports = 2;
	dp->n_workers = 1;
	dp->worker[0].lc = lc;
	dp->own_pool = dp->pool = lc->pool;
	env_port(&dp->port[0], lc, 0, WAN_ADDR, WAN_ADDR6, WAN_LINK);
	env_port(&dp->port[1], lc, 1, LAN_ADDR, LAN_ADDR6, LAN_LINK);
	check(routes_init(dp, &cfg, why, sizeof(why)) == 0, why);
	dp->fib = fib_snapshot(dp);
	dp->spd = lc->spd;
	check(dp->fib, "no routes");
	return dp;
}

void env_dp_forget(struct dp *dp)
{
	neigh_free_all(dp);
	dp->worker[0].lc->now_tsc += dp->worker[0].lc->tsc_hz * 3600;
	reassembly_expire(dp->worker[0].lc);
}

uint64_t env_drops(const struct lcore *lc)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < DROP_COUNT; i++)
		sum += lc->count.drop[i];
	return sum;
}
