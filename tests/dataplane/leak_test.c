/* A protected destination is never reached in the clear: random frames through the whole worker,
 * with policies, SAs and control changing all the time. Every payload that must stay secret is made
 * of a mark, and no frame that leaves by the wrong port may contain it. */
#include <criterion/criterion.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>
#include <stdlib.h>

#include "cpu.h"
#include "crypto.h"
#include "env.h"
#include "reassembly.h"

enum { WAN, LAN };

#define MARK_LEN 12
static const uint8_t secret_mark[] = "SECRET-UP->#"; /* between the protected nets */
static const uint8_t forged_mark[] = "FORGED-CLEAR"; /* clear, but should have come protected */
static const uint8_t public_mark[] = "public-bytes";

static struct lcore *lc, *peer;
static struct dp *dp;
static struct rte_ring *rx[2], *tx[2];

static uint32_t below(uint32_t n)
{
	return (uint32_t)random() % n;
}

/* ------------------------------------------------------------------------- set up ----------- */

static void port_make(unsigned i)
{
	static const char *const name[] = { "wan", "lan" };
	struct rte_eth_conf conf = { 0 };
	char text[8];
	int dev;

	snprintf(text, sizeof(text), "rx%u", i);
	rx[i] = rte_ring_create(text, 256, SOCKET_ID_ANY, 0);
	snprintf(text, sizeof(text), "tx%u", i);
	tx[i] = rte_ring_create(text, 1024, SOCKET_ID_ANY, 0);
	cr_assert(rx[i] && tx[i]);
	dev = rte_eth_from_rings(name[i], &rx[i], 1, &tx[i], 1, 0);
	cr_assert_geq(dev, 0);
	cr_assert_eq(rte_eth_dev_configure((uint16_t)dev, 1, 1, &conf), 0);
	cr_assert_eq(rte_eth_rx_queue_setup((uint16_t)dev, 0, 256, 0, NULL, lc->pool), 0);
	cr_assert_eq(rte_eth_tx_queue_setup((uint16_t)dev, 0, 256, 0, NULL), 0);
	cr_assert_eq(rte_eth_dev_start((uint16_t)dev), 0);
	lc->port[i].dev = (uint16_t)dev;
}

/* The other gateway: it only encrypts. */
static void peer_make(void)
{
	peer = rte_zmalloc("peer", sizeof(*peer), 64);
	cr_assert(peer);
	*peer = *lc;
	peer->mb = cpu_mgr_new();
	peer->sa_out = calloc(1 << ENV_SLOT_BITS, sizeof(*peer->sa_out));
	cr_assert(peer->mb && peer->sa_out);
}

static void start(void)
{
	lc = env_start();
	lc->n_workers = 1;
	lc->mb = cpu_mgr_new();
	cr_assert(lc->mb);
	port_make(WAN);
	port_make(LAN);
	peer_make();
	dp = env_dp(lc);
	dp->mb = cpu_mgr_new();
	dp->spi = lc->spi;
	dp->sa_slots = 1 << ENV_SLOT_BITS;
	cr_assert(dp->mb && senders_init(dp) == 0 &&
		  slots_init(&dp->worker[0], dp->sa_slots) == 0);
	lc->spd->refs = lc->fib->refs = 1;
	dp->spd = lc->spd;
}

static void drain(struct rte_ring *r)
{
	void *pkt;

	while (rte_ring_dequeue(r, &pkt) == 0)
		rte_pktmbuf_free(pkt);
}

static void finish(void)
{
	for (unsigned i = 0; i < 2; i++) {
		drain(rx[i]);
		drain(tx[i]);
	}
	env_dp_forget(dp);
	cr_assert_eq(env_leaked(lc), 0, "%u packets leaked", env_leaked(lc));
}

TestSuite(leak, .init = start, .fini = finish);

/* ------------------------------------------------------------------------- policies, SAs ---- */

/* The gateway's own address on the LAN, .254, is outside of what is protected. */
#define LOCAL_NET  "10.1.0.0-10.1.0.199"
#define REMOTE_NET "10.2.0.0/16"
#define PROTECTED  3 /* policy id */

static void policies_set(unsigned kind)
{
	struct spd_policy p[64] = { 0 };
	char why[200] = "";
	size_t n = 0;

	if (kind == 0) { /* none */
		cr_assert_eq(dp_spd_set(dp, p, 0, why, sizeof(why)), 0, "%s", why);
		return;
	}
	if (kind == 3) /* enough for rte_acl, with ports among them */
		for (; n < 40; n++) {
			p[n] = env_policy(100 + (uint32_t)n, POLICY_BYPASS, "10.77.0.0/16",
					  "10.78.0.0/16");
			p[n].sel.proto = PROTO_UDP;
			p[n].sel.remote_port = (uint16_t)(100 + n);
		}
	p[n++] = env_policy(PROTECTED, POLICY_PROTECT, LOCAL_NET, REMOTE_NET);
	if (kind == 2) /* spokes of a hub */
		p[n++] = env_policy(PROTECTED + 1, POLICY_PROTECT, REMOTE_NET, LOCAL_NET);
	p[n++] = env_policy(7, POLICY_BYPASS, "10.1.0.0/24", "10.3.0.0/16");
	p[n++] = env_policy(8, POLICY_BYPASS, "10.9.0.0/24", "10.0.0.0/8");
	cr_assert_eq(dp_spd_set(dp, p, n, why, sizeof(why)), 0, "%s", why);
}

static void params_fill(struct sa_params *p, const struct sa_ref *ref, enum sa_dir dir)
{
	*p = (struct sa_params){ .ref = *ref,
				 .dir = dir,
				 .spi = ref->spi,
				 .policy = PROTECTED,
				 .proto = SA_ESP,
				 .mode = SA_TUNNEL,
				 .encr = ref->slot % 2 ? ENCR_AES_GCM_16 : ENCR_AES_CBC,
				 .key_bits = 128,
				 .integ = ref->slot % 2 ? INTEG_NONE : INTEG_HMAC_SHA256_128,
				 .udp_encap = ref->slot % 3 == 0,
				 .local = ip_addr_v4(WAN_ADDR),
				 .remote = ip_addr_v4(0x0a090002),
				 .local_port = 4500,
				 .remote_port = 4500 };
	/* some carry more than the policies say now: the gateway's own address among it */
	ip_range_parse(ref->slot % 2 ? "10.1.0.0/24" : LOCAL_NET, &p->sel.local);
	ip_range_parse(REMOTE_NET, &p->sel.remote);
	memset(p->key, (int)ref->slot, sizeof(p->key));
	memset(p->auth, (int)ref->slot, sizeof(p->auth));
}

static struct sa_ref pair[8];
static unsigned n_pairs;

static void pair_add(void)
{
	struct sa_params p, mirror;
	struct sa *sa;

	if (n_pairs == RTE_DIM(pair) || dp_sa_reserve(dp, 0, &pair[n_pairs]))
		return;
	params_fill(&p, &pair[n_pairs], SA_IN);
	mirror = p;
	mirror.dir = SA_OUT;
	mirror.local = p.remote;
	mirror.remote = p.local;
	sa = sa_build(dp->mb, &mirror, SOCKET_ID_ANY);
	cr_assert(sa);
	sa_free(peer->sa_out[p.ref.slot].sa);
	peer->sa_out[p.ref.slot] = (struct sa_entry){ .spi = p.spi, .sa = sa };
	cr_assert_eq(dp_sa_install(dp, &p), 0);
	params_fill(&p, &pair[n_pairs], SA_OUT);
	p.hard_packets = below(3) ? 0 : 1 + below(40);
	cr_assert_eq(dp_sa_install(dp, &p), 0);
	n_pairs++;
}

static void pair_drop(void)
{
	struct sa_ref ref;
	unsigned i;

	if (n_pairs == 0)
		return;
	i = below(n_pairs);
	ref = pair[i];
	pair[i] = pair[--n_pairs];
	dp_sa_remove(dp, &ref, SA_OUT);
	dp_sa_remove(dp, &ref, SA_IN);
	dp_sa_release(dp, &ref);
}

/* ------------------------------------------------------------------------- traffic ---------- */

static uint32_t address(bool local)
{
	static const uint32_t of_local[] = { 0x0a010007, 0x0a010007, 0x0a010008, 0x0a0100c8,
					     LAN_ADDR,   WAN_ADDR,   0x0a0100ff };
	static const uint32_t of_remote[] = { 0x0a020000, 0x0a020000, 0x0a030000, 0x0a040000,
					      0x0a090000 };

	if (local)
		return of_local[below(RTE_DIM(of_local))];
	return of_remote[below(RTE_DIM(of_remote))] + below(8);
}

static bool in_local(uint32_t a)
{
	return a >= 0x0a010000 && a <= 0x0a0100c7;
}

static bool in_remote(uint32_t a)
{
	return a >> 16 == 0x0a02;
}

/* May be cut into a chain of two, as a driver with small buffers delivers it. */
static struct rte_mbuf *chained(struct rte_mbuf *pkt)
{
	uint32_t len = rte_pktmbuf_data_len(pkt), head = 34 + below(40);
	struct rte_mbuf *tail;

	if (below(4) || len <= head)
		return pkt;
	tail = rte_pktmbuf_alloc(lc->pool);
	cr_assert(tail);
	memcpy(rte_pktmbuf_append(tail, (uint16_t)(len - head)),
	       rte_pktmbuf_mtod_offset(pkt, void *, head), len - head);
	memset(rte_pktmbuf_mtod_offset(pkt, void *, head), 0, len - head);
	rte_pktmbuf_trim(pkt, (uint16_t)(len - head));
	cr_assert_eq(rte_pktmbuf_chain(pkt, tail), 0);
	return pkt;
}

static const uint8_t *payload_of(const uint8_t *mark)
{
	static uint8_t data[4096];

	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = mark[i % MARK_LEN];
	return data;
}

static struct env_packet packet_any(bool upward)
{
	static const uint8_t protos[] = {
		PROTO_UDP, PROTO_UDP, PROTO_TCP, PROTO_ICMP, PROTO_ESP, 47
	};
	static const uint16_t frags[] = { 0, 0, 0, IP4_DF, IP4_DF, IP4_MF, IP4_MF | 10, 20 };
	static const uint8_t ttls[] = { 64, 64, 64, 2, 1, 255 };
	static const uint8_t options[8] = { 7, 7, 4, 0, 0, 0, 0, 0 };
	struct env_packet p = { .proto = protos[below(6)],
				.ttl = ttls[below(6)],
				.frag = frags[below(8)],
				.sport = (uint16_t)(below(2) ? 500 : below(65536)),
				.dport = (uint16_t)(below(2) ? 500 : 99 + below(60)),
				.payload = below(5) ? below(200) : below(2000) };

	p.src = address(upward);
	p.dst = address(!upward);
	if (below(8) == 0) {
		p.options = options;
		p.n_options = sizeof(options);
	}
	if (below(8) == 0)
		p.padding = below(30);
	return p;
}

static void arrive(unsigned port, struct rte_mbuf *pkt)
{
	if (rte_ring_enqueue(rx[port], pkt))
		rte_pktmbuf_free(pkt);
}

static void send_clear(void)
{
	bool upward = below(4) > 0;
	struct env_packet p = packet_any(upward);

	p.port = (uint8_t)(upward ? below(8) ? LAN : WAN : WAN);
	if (in_local(p.src) && in_remote(p.dst))
		p.data = payload_of(secret_mark);
	else if (in_remote(p.src) && in_local(p.dst))
		p.data = payload_of(forged_mark);
	else
		p.data = payload_of(public_mark);
	arrive(p.port, chained(env_frame(lc, &p)));
}

static void icmp_echo_make(struct rte_mbuf *pkt)
{
	uint8_t *ip = rte_pktmbuf_mtod(pkt, uint8_t *), *icmp = ip + ip4_header_len(ip);
	unsigned len = rte_pktmbuf_data_len(pkt) - ip4_header_len(ip);
	uint16_t sum = 0;

	if (len < 8)
		return;
	memset(icmp, 0, 8);
	icmp[0] = 8;
	sum = (uint16_t)~sum_fold(sum_add(0, icmp, len));
	memcpy(icmp + 2, &sum, 2);
}

static void arrive_packet(struct rte_mbuf *pkt)
{
	uint8_t *eth = (uint8_t *)rte_pktmbuf_prepend(pkt, ETH_LEN);

	memcpy(eth, env_mac[WAN], 6);
	memset(eth + 6, 0x42, 6);
	store_be16(eth + ETH_TYPE, ETHERTYPE_IP4);
	arrive(WAN, pkt);
}

/* As if a link on its way had a small MTU; now and then a piece is lost. */
static void arrive_in_pieces(struct rte_mbuf *pkt)
{
	struct rte_mbuf *part[MAX_FRAGMENTS];
	int n;

	store_be16(rte_pktmbuf_mtod_offset(pkt, uint8_t *, IP4_FRAG), 0);
	n = packet_split(peer, pkt, (uint16_t)(168 + 8 * below(100)), part);
	for (int i = n - 1; i >= 0; i--) {
		if (below(20))
			arrive_packet(part[i]);
		else
			rte_pktmbuf_free(part[i]);
	}
}

/* From the remote net through one of the SAs. */
static void send_protected(void)
{
	struct env_packet p = packet_any(false);
	struct rte_mbuf *pkt;

	if (n_pairs == 0)
		return;
	p.src = 0x0a020000 + below(8);
	p.payload = RTE_MIN(p.payload, 1800u);
	p.data = payload_of(secret_mark);
	p.padding = 0;
	pkt = env_ip(lc, &p);
	if (p.proto == PROTO_ICMP && p.frag == 0)
		icmp_echo_make(pkt);
	*pkt_meta(pkt) =
		(struct pkt_meta){ .slot = pair[below(n_pairs)].slot, .flags = PKT_LOCAL_OUT };
	if (stage_esp_out(peer, &pkt, 1) == 0)
		return;
	if (below(5) == 0 && rte_pktmbuf_pkt_len(pkt) > 200)
		arrive_in_pieces(pkt);
	else
		arrive_packet(pkt);
}

/* ------------------------------------------------------------------------- the question ----- */

static struct {
	unsigned esp, clear, wan, lan, lan_secret;
} seen;

static void frame_check(unsigned port, struct rte_mbuf *pkt)
{
	static uint8_t flat[8192];
	uint32_t len = rte_pktmbuf_pkt_len(pkt);
	const uint8_t *f = rte_pktmbuf_read(pkt, 0, RTE_MIN(len, sizeof(flat)), flat);
	bool secret = memmem(f, len, secret_mark, MARK_LEN) != NULL;
	bool esp = load_be16(f + ETH_TYPE) == ETHERTYPE_IP4 && f[ETH_LEN + IP4_PROTO] == PROTO_ESP;

	cr_assert_not(memmem(f, len, forged_mark, MARK_LEN), "clear packet let through");
	if (port == LAN) {
		seen.lan++;
		seen.lan_secret += secret;
	} else {
		cr_assert_not(secret, "in the clear: proto %u, %x to %x", f[ETH_LEN + IP4_PROTO],
			      load_be32(f + ETH_LEN + IP4_SRC), load_be32(f + ETH_LEN + IP4_DST));
		seen.wan++;
		seen.esp += esp;
		seen.clear += memmem(f, len, public_mark, MARK_LEN) != NULL;
	}
	rte_pktmbuf_free(pkt);
}

static void round_run(void)
{
	void *pkt;

	lc->now_tsc += 2000000; /* 2 ms, so that the policers rarely say no */
	peer->now_tsc = lc->now_tsc;
	lcore_round(lc);
	for (unsigned i = 0; i < 2; i++)
		while (rte_ring_dequeue(tx[i], &pkt) == 0)
			frame_check(i, pkt);
}

static void control_run(void)
{
	dp->icmp_due = dp->echo_due = 0;
	dp_poll(dp);
}

Test(leak, nothing_protected_leaves_in_the_clear)
{
	srandom(20261122);
	for (unsigned i = 0; i < 60000; i++) {
		switch (below(100)) {
		case 0:
			policies_set(below(4));
			break;
		case 1:
		case 2:
			policies_set(1 + below(3));
			pair_add();
			break;
		case 3:
			pair_drop();
			break;
		}
		for (unsigned j = below(4); j > 0; j--)
			below(2) ? send_clear() : send_protected();
		if (below(3))
			round_run();
		if (below(2))
			control_run();
	}
	cr_expect_gt(seen.esp, 1000, "%u", seen.esp);
	cr_expect_gt(seen.clear, 300, "%u", seen.clear);
	cr_expect_gt(seen.lan_secret, 1000, "%u", seen.lan_secret);
	cr_expect_gt(lc->count.reassembled, 300, "%lu", lc->count.reassembled);
	cr_expect_gt(lc->count.drop[DROP_frag_timeout], 10);
	while (n_pairs)
		pair_drop();
	for (unsigned i = 0; i < 64; i++) {
		round_run();
		control_run();
	}
}

static uint32_t spi_sent(void)
{
	struct env_packet p = { .port = LAN,
				.src = 0x0a010007,
				.dst = 0x0a020001,
				.proto = PROTO_UDP,
				.payload = 100 };
	const uint8_t *ip;
	uint32_t spi = 0;
	void *pkt;

	arrive(LAN, env_frame(lc, &p));
	lcore_round(lc);
	while (rte_ring_dequeue(tx[WAN], &pkt) == 0) {
		ip = rte_pktmbuf_mtod_offset((struct rte_mbuf *)pkt, uint8_t *, ETH_LEN);
		if (ip[IP4_PROTO] == PROTO_ESP)
			spi = load_be32(ip + IP4_LEN);
		else if (ip[IP4_PROTO] == PROTO_UDP)
			spi = load_be32(ip + IP4_LEN + UDP_LEN);
		rte_pktmbuf_free(pkt);
	}
	return spi;
}

static void settle(void)
{
	for (unsigned i = 0; i < 8; i++) {
		round_run();
		control_run();
	}
}

/* Parallel pairs of one policy, or two that both sides made at once: when the one that sends goes,
 * the others are still good. */
Test(leak, another_pair_steps_in)
{
	policies_set(1);
	for (unsigned i = 0; i < 3; i++) {
		pair_add();
		dp_poll(dp);
		settle();
		dp->worker[0].pair[pair[i].slot].sa[SA_OUT]->hard_packets = UINT64_MAX;
		dp->worker[0].pair[pair[i].slot].sa[SA_OUT]->packets_check = UINT64_MAX;
		cr_expect_eq(spi_sent(), pair[i].spi, "the latest one sends");
	}
	dp_sa_remove(dp, &pair[2], SA_OUT);
	settle();
	cr_expect_eq(spi_sent(), pair[1].spi, "%x", spi_sent());
	dp_sa_remove(dp, &pair[0], SA_OUT);
	settle();
	cr_expect_eq(spi_sent(), pair[1].spi);
	dp_sa_remove(dp, &pair[1], SA_OUT);
	settle();
	cr_expect_eq(spi_sent(), 0, "and with the last one it is over");
	cr_expect_gt(lc->count.drop[DROP_spd_no_sa], 0);
}

/* A packet from another worker for a pair that has gone meanwhile is still sent, by its successor. */
Test(leak, what_waits_for_a_removed_pair_is_sent)
{
	struct env_packet p = { .src = 0x0a010007, .dst = 0x0a020001, .proto = PROTO_UDP };
	struct rte_mbuf *pkt;

	policies_set(1);
	for (unsigned i = 0; i < 2; i++) {
		pair_add();
		settle();
	}
	pkt = env_ip(lc, &p);
	pkt_meta(pkt)->slot = pair[0].spi;
	pkt_meta(pkt)->flags = PKT_TO_ENCRYPT;
	dp_sa_remove(dp, &pair[0], SA_OUT);
	settle();
	cr_assert_eq(rte_ring_enqueue(lc->handover[0], pkt), 0);
	lcore_round(lc);
	cr_expect_eq(rte_ring_count(tx[WAN]), 1);
	dp_sa_remove(dp, &pair[1], SA_OUT);
	settle();
	pkt = env_ip(lc, &p);
	pkt_meta(pkt)->slot = pair[1].spi;
	pkt_meta(pkt)->flags = PKT_TO_ENCRYPT;
	cr_assert_eq(rte_ring_enqueue(lc->handover[0], pkt), 0);
	lcore_round(lc);
	cr_expect_eq(lc->count.drop[DROP_spd_no_sa], 1, "or, without one, dropped");
}

Test(leak, ports_towards_other_gateways_are_outside)
{
	struct spd_policy p[] = {
		env_policy(1, POLICY_BYPASS, "10.1.0.0/24", "10.9.0.0/24"),
		env_policy(2, POLICY_PROTECT, "10.1.0.0/24", "10.2.0.0/24"),
		env_policy(3, POLICY_PROTECT, "10.1.0.0/24", "10.3.0.0/24"),
	};
	char why[200];

	p[0].gateway = ip_addr_v4(0x0a010007); /* a bypass has none */
	cr_assert_eq(dp_spd_set(dp, p, 3, why, sizeof(why)), 0);
	cr_expect_eq(dp->spd->outside, 0);
	settle();
	p[1].gateway = ip_addr_v4(0x0a090002);
	cr_assert_eq(dp_spd_set(dp, p, 3, why, sizeof(why)), 0);
	cr_expect_eq(dp->spd->outside, 1 << WAN);
	settle();
	p[2].gateway = ip_addr_v4(LAN_ADDR); /* anybody may call us there */
	cr_assert_eq(dp_spd_set(dp, p, 3, why, sizeof(why)), 0);
	cr_expect_eq(dp->spd->outside, 1 << WAN | 1 << LAN);
	settle();
}

Test(leak, port_without_a_link_drops)
{
	struct env_packet p = { .port = WAN, .src = 0x0a090002, .dst = 0x0a010007,
				.proto = PROTO_UDP, .payload = 10 };
	struct spd_policy bypass = env_policy(1, POLICY_BYPASS, "10.1.0.0/24", "10.9.0.0/24");
	char why[200];

	cr_assert_eq(dp_spd_set(dp, &bypass, 1, why, sizeof(why)), 0);
	for (unsigned i = 0; i < 2; i++)
		dp->port[i].dev = lc->port[i].dev;
	neigh_claim(dp, LAN, &(struct ip_addr){ IP_V4, { 10, 1, 0, 7 } },
		    (const uint8_t[6]){ 2, 0, 0, 0, 1, 7 }, true);
	dp->fib_stale = true;
	settle();
	for (unsigned i = 0; i < 3; i++) {
		if (i == 1)
			cr_assert_eq(rte_eth_dev_set_link_down(lc->port[LAN].dev), 0);
		if (i == 2)
			cr_assert_eq(rte_eth_dev_set_link_up(lc->port[LAN].dev), 0);
		link_tick(dp, dp_now_ms() + 1000 * (i + 1));
		arrive(WAN, env_frame(lc, &p));
		lcore_round(lc);
		cr_expect_eq(rte_ring_count(tx[LAN]), i != 1, "%u: %u", i, rte_ring_count(tx[LAN]));
		drain(tx[LAN]);
		cr_expect_eq(lc->count.drop[DROP_port_down], i > 0);
	}
}

/* Where the outer DF bit is cleared, a large inner packet goes whole and the outer one is cut: what
 * the other gateway puts together again is one packet. */
Test(leak, df_clear_cuts_the_outer_packet)
{
	struct env_packet p = { .port = LAN,
				.src = 0x0a010007,
				.dst = 0x0a020001,
				.proto = PROTO_UDP,
				.frag = IP4_DF,
				.payload = 1470 };
	struct rte_mbuf *whole = NULL;
	unsigned n;
	void *pkt;

	policies_set(1);
	pair_add();
	settle();
	dp->worker[0].pair[pair[0].slot].sa[SA_OUT]->df = DF_CLEAR;
	dp->worker[0].pair[pair[0].slot].sa[SA_OUT]->hard_packets = UINT64_MAX;
	arrive(LAN, env_frame(lc, &p));
	lcore_round(lc);
	for (n = 0; rte_ring_dequeue(tx[WAN], &pkt) == 0; n++) {
		rte_pktmbuf_adj(pkt, ETH_LEN);
		cr_expect_leq(rte_pktmbuf_pkt_len((struct rte_mbuf *)pkt), 1500);
		cr_expect_null(whole);
		whole = reassembly_add(lc, pkt);
	}
	cr_expect_eq(n, 2, "%u pieces", n);
	cr_assert(whole, "they make one packet");
	cr_expect_gt(rte_pktmbuf_pkt_len(whole), 1500);
	rte_pktmbuf_free(whole);
	cr_expect_eq(lc->count.drop[DROP_too_big], 0);
}

/* Outer fragments are for the peer to put together, and not every peer does. */
Test(leak, too_large_is_cut_before_encryption)
{
	struct env_packet p = { .port = LAN,
				.src = 0x0a010007,
				.dst = 0x0a020001,
				.proto = PROTO_UDP,
				.payload = 3000 };
	unsigned n = 0;
	void *pkt;
	const uint8_t *ip;

	policies_set(1);
	for (enum df_policy df = DF_COPY; df <= DF_CLEAR; df++) {
		pair_add();
		for (unsigned i = 0; i < 8; i++) {
			round_run();
			control_run();
		}
		dp->worker[0].pair[pair[n_pairs - 1].slot].sa[SA_OUT]->df = (uint8_t)df;
		dp->worker[0].pair[pair[n_pairs - 1].slot].sa[SA_OUT]->hard_packets = UINT64_MAX;
		arrive(LAN, env_frame(lc, &p));
		lcore_round(lc);
		for (n = 0; rte_ring_dequeue(tx[WAN], &pkt) == 0; n++) {
			ip = rte_pktmbuf_mtod_offset((struct rte_mbuf *)pkt, uint8_t *, ETH_LEN);
			cr_expect_leq(load_be16(ip + IP4_TOTAL), 1500);
			cr_expect_not(ip4_is_fragment(ip), "an outer fragment");
			cr_expect(ip4_sum_ok(ip));
			rte_pktmbuf_free(pkt);
		}
		cr_expect_eq(n, 3, "DF policy %u: %u packets", df, n);
	}
}
