/* stage_classify and stage_host: what is ours, what is in transit, and what is dropped why. */
#include <criterion/criterion.h>

#include "env.h"

static struct lcore *lc;
static struct rte_mbuf *esp[64], *host[64];
static uint16_t n_esp, n_host;

static void start(void)
{
	lc = env_start();
}

static void finish(void)
{
	cr_assert_eq(env_leaked(lc), 0, "%u packets leaked", env_leaked(lc));
}

TestSuite(classify, .init = start, .fini = finish);

enum way { TRANSIT, ESP, HOST, GONE };

static enum way classify(struct rte_mbuf *pkt)
{
	uint16_t n = stage_classify(lc, &pkt, 1, esp, &n_esp, host, &n_host);

	cr_assert_leq(n + n_esp + n_host, 1);
	return n ? TRANSIT : n_esp ? ESP : n_host ? HOST : GONE;
}

/* Classifies and frees. */
static enum way classify_one(const struct env_packet *p)
{
	struct rte_mbuf *pkt = env_frame(lc, p);
	enum way way = classify(pkt);

	if (way != GONE)
		rte_pktmbuf_free(way == ESP ? esp[0] : way == HOST ? host[0] : pkt);
	return way;
}

#define expect_drop(reason, ...)                                                                   \
	do {                                                                                       \
		uint64_t before = lc->count.drop[DROP_##reason], all = env_drops(lc);              \
		cr_expect_eq(__VA_ARGS__, GONE);                                                   \
		cr_expect_eq(lc->count.drop[DROP_##reason], before + 1, #reason);                  \
		cr_expect_eq(env_drops(lc), all + 1);                                              \
	} while (0)

static const struct env_packet transit = {
	.port = 1, .src = 0x0a010007, .dst = 0x0a020009, .proto = PROTO_UDP, .payload = 30
};
static const struct env_packet to_us = {
	.port = 0, .src = 0x0a090002, .dst = WAN_ADDR, .proto = PROTO_UDP, .payload = 30
};

Test(classify, transit_starts_at_ip_without_padding)
{
	struct env_packet p = transit;
	struct rte_mbuf *pkt;

	p.padding = 13;
	pkt = env_frame(lc, &p);
	cr_assert_eq(classify(pkt), TRANSIT);
	cr_expect_eq(rte_pktmbuf_pkt_len(pkt), 58);
	cr_expect_eq(rte_pktmbuf_mtod(pkt, uint8_t *)[0], 0x45);
	cr_expect_eq(pkt_meta(pkt)->l3_off, 0);
	cr_expect_eq(pkt_meta(pkt)->port, 1);
	rte_pktmbuf_free(pkt);
}

Test(classify, meta_of_the_last_owner_is_wiped)
{
	struct rte_mbuf *pkt = env_frame(lc, &transit);

	memset(pkt_meta(pkt), 0xff, sizeof(struct pkt_meta));
	pkt_meta(pkt)->port = 1;
	cr_assert_eq(classify(pkt), TRANSIT);
	cr_expect_eq(pkt_meta(pkt)->flags, 0);
	rte_pktmbuf_free(pkt);
}

Test(classify, esp_and_its_udp_encapsulation)
{
	struct env_packet p = to_us;
	uint8_t keepalive = 0xff, marker[12] = { 0 }, esp_bytes[12] = { 1, 2, 3, 4 };

	p.proto = PROTO_ESP;
	cr_assert_eq(classify(env_frame(lc, &p)), ESP);
	cr_expect_eq(pkt_meta(esp[0])->l4_off, 20);
	cr_expect_eq(pkt_meta(esp[0])->flags, 0);
	rte_pktmbuf_free(esp[0]);

	p = to_us;
	p.sport = p.dport = 4500;
	p.data = esp_bytes;
	p.payload = sizeof(esp_bytes);
	p.padding = 6;
	cr_assert_eq(classify(env_frame(lc, &p)), ESP);
	cr_expect_eq(pkt_meta(esp[0])->l4_off, 28);
	cr_expect_eq(pkt_meta(esp[0])->flags, PKT_UDP_ENCAP);
	cr_expect_eq(rte_pktmbuf_pkt_len(esp[0]), 40);
	rte_pktmbuf_free(esp[0]);

	p.data = marker;
	cr_expect_eq(classify_one(&p), HOST);
	p.data = &keepalive;
	p.payload = 1;
	cr_expect_eq(classify_one(&p), GONE);
	cr_expect_eq(lc->count.natt_keepalives, 1);
	cr_expect_eq(env_drops(lc), 0, "a keepalive is no drop");
	for (p.payload = 0, p.data = esp_bytes; p.payload < 4; p.payload++)
		expect_drop(natt_malformed, classify_one(&p));
}

Test(classify, udp_shorter_than_ip_is_cut_and_longer_is_dropped)
{
	struct env_packet p = to_us;
	uint8_t esp_bytes[40] = { 1, 2, 3, 4 };
	struct rte_mbuf *pkt;

	p.dport = 4500;
	p.data = esp_bytes;
	p.payload = sizeof(esp_bytes);
	pkt = env_frame(lc, &p);
	store_be16(rte_pktmbuf_mtod_offset(pkt, uint8_t *, 14 + 20 + UDP_LENGTH), 8 + 36);
	cr_assert_eq(classify(pkt), ESP);
	cr_expect_eq(rte_pktmbuf_pkt_len(pkt), 20 + 8 + 36);
	rte_pktmbuf_free(pkt);

	pkt = env_frame(lc, &p);
	store_be16(rte_pktmbuf_mtod_offset(pkt, uint8_t *, 14 + 20 + UDP_LENGTH), 8 + 41);
	expect_drop(natt_malformed, classify(pkt));
}

Test(classify, host_services)
{
	struct env_packet p = to_us;
	struct rte_mbuf *pkt;

	p.dport = 500;
	cr_expect_eq(classify_one(&p), HOST);
	p.dport = 501;
	expect_drop(ip_not_ours, classify_one(&p));
	p.proto = PROTO_TCP;
	expect_drop(ip_not_ours, classify_one(&p));
	p.proto = PROTO_ICMP;
	cr_expect_eq(classify_one(&p), HOST);
	p.proto = PROTO_ESP;
	p.frag = IP4_MF;
	cr_expect_eq(classify_one(&p), GONE);
	p.frag = 100;
	cr_expect_eq(classify_one(&p), GONE);
	cr_expect_eq(lc->to_worker[0].n + lc->to_worker[1].n, 2, "to be put together");

	pkt = env_frame(lc, &to_us);
	store_be16(rte_pktmbuf_mtod_offset(pkt, uint8_t *, ETH_TYPE), ETHERTYPE_ARP);
	memset(rte_pktmbuf_mtod(pkt, uint8_t *), 0xff, 6);
	cr_assert_eq(classify(pkt), HOST);
	cr_expect_eq(pkt_meta(pkt)->flags, PKT_FRAME);
	cr_expect_eq(pkt_meta(pkt)->l3_off, 14);
	rte_pktmbuf_free(pkt);
}

Test(classify, frames_that_are_not_for_us)
{
	struct rte_mbuf *pkt = env_frame(lc, &transit);

	rte_pktmbuf_mtod(pkt, uint8_t *)[5] ^= 1;
	expect_drop(eth_dst, classify(pkt));
	pkt = env_frame(lc, &transit);
	memset(rte_pktmbuf_mtod(pkt, uint8_t *), 0xff, 6);
	expect_drop(eth_dst, classify(pkt));
	pkt = env_frame(lc, &transit);
	store_be16(rte_pktmbuf_mtod_offset(pkt, uint8_t *, ETH_TYPE), ETHERTYPE_IP6);
	expect_drop(ip_malformed, classify(pkt)); /* an IPv4 header */
	pkt = env_frame(lc, &transit);
	store_be16(rte_pktmbuf_mtod_offset(pkt, uint8_t *, ETH_TYPE), 0x8100);
	expect_drop(vlan_unknown, classify(pkt));
	pkt = env_frame(lc, &transit);
	pkt->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
	pkt->vlan_tci = 1;
	expect_drop(vlan_unknown, classify(pkt));
	pkt = env_frame(lc, &transit);
	store_be16(rte_pktmbuf_mtod_offset(pkt, uint8_t *, ETH_TYPE), 0x88a8);
	expect_drop(eth_type, classify(pkt));
	pkt = env_frame(lc, &transit);
	rte_pktmbuf_trim(pkt, (uint16_t)(rte_pktmbuf_pkt_len(pkt) - 13));
	expect_drop(eth_short, classify(pkt));
}

/* Every way to cut or bend an IP header. */
Test(classify, malformed_headers)
{
	static const struct {
		uint8_t offset, value;
	} bent[] = { { 0, 0x55 }, { 0, 0x44 }, { 0, 0x4f }, { 2, 0xff }, { 3, 19 }, { 10, 0 } };
	struct rte_mbuf *pkt;

	for (size_t i = 0; i < sizeof(bent) / sizeof(bent[0]); i++) {
		pkt = env_frame(lc, &transit);
		uint8_t *ip = rte_pktmbuf_mtod_offset(pkt, uint8_t *, ETH_LEN);
		ip[bent[i].offset] = bent[i].value;
		if (bent[i].offset != IP4_SUM && bent[i].value != 0x4f && bent[i].value != 0x44)
			ip4_sum_set(ip);
		expect_drop(ip_malformed, classify(pkt));
	}
	for (unsigned keep = 0; keep < 20; keep++) {
		pkt = env_frame(lc, &transit);
		rte_pktmbuf_trim(pkt, (uint16_t)(58 - keep));
		expect_drop(ip_malformed, classify(pkt));
	}
}

/* A device that has checked the header spares us that; where it says otherwise, we look. */
Test(classify, checksums_by_the_device)
{
	static const struct {
		uint64_t flags;
		bool right, taken;
	} c[] = {
		{ RTE_MBUF_F_RX_IP_CKSUM_GOOD, true, true },
		{ RTE_MBUF_F_RX_IP_CKSUM_GOOD, false, true },
		{ RTE_MBUF_F_RX_IP_CKSUM_BAD, true, true },
		{ RTE_MBUF_F_RX_IP_CKSUM_BAD, false, false },
		{ RTE_MBUF_F_RX_IP_CKSUM_NONE, true, true },
		{ RTE_MBUF_F_RX_IP_CKSUM_NONE, false, false },
		{ RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_OUTER_IP_CKSUM_BAD, false, false },
		{ 0, false, false },
	};

	for (unsigned i = 0; i < RTE_DIM(c); i++) {
		struct rte_mbuf *pkt = env_frame(lc, &transit);

		pkt->ol_flags |= c[i].flags;
		rte_pktmbuf_mtod_offset(pkt, uint8_t *, ETH_LEN)[IP4_SUM] ^= !c[i].right;
		if (!c[i].taken) {
			expect_drop(ip_malformed, classify(pkt));
			continue;
		}
		cr_expect_eq(classify(pkt), TRANSIT, "case %u", i);
		rte_pktmbuf_free(pkt);
	}
}

Test(classify, options)
{
	static const uint8_t record_route[8] = { 7, 7, 4, 0, 0, 0, 0, 0 };
	static const uint8_t loose[8] = { 1, 131, 7, 4, 10, 1, 1, 1 };
	static const uint8_t strict[8] = { 137, 7, 4, 10, 1, 1, 1, 0 };
	static const uint8_t too_long[4] = { 7, 9, 4, 0 };
	static const uint8_t zero_len[4] = { 7, 0, 4, 0 };
	static const uint8_t cut[4] = { 1, 1, 1, 7 };
	struct env_packet p = transit;

	p.n_options = 8;
	p.options = record_route;
	cr_expect_eq(classify_one(&p), TRANSIT);
	p.options = loose;
	expect_drop(ip_options, classify_one(&p));
	p.options = strict;
	expect_drop(ip_options, classify_one(&p));
	p.n_options = 4;
	p.options = too_long;
	expect_drop(ip_malformed, classify_one(&p));
	p.options = zero_len;
	expect_drop(ip_malformed, classify_one(&p));
	p.options = cut;
	expect_drop(ip_malformed, classify_one(&p));
}

Test(classify, martians)
{
	static const uint32_t bad[] = { 0, 0x7f000001, 0xe0000001, 0xffffffff, 0xf0000001 };
	struct env_packet p = transit;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		p.src = bad[i];
		expect_drop(ip_martian, classify_one(&p));
		p = transit;
		p.dst = bad[i];
		expect_drop(ip_martian, classify_one(&p));
		p = transit;
	}
	p.src = WAN_ADDR;
	expect_drop(ip_martian, classify_one(&p));
}

/* Who forges an inside address outside would have us encrypt for him. */
Test(classify, source_routes_back_through_the_port)
{
	static const uint32_t outside[] = { 0x0a020009, 0x0a090002, 0x08080808 };
	struct env_packet p = transit;

	p.port = 0;
	expect_drop(source_check, classify_one(&p));
	p.dst = WAN_ADDR;
	p.dport = 500;
	expect_drop(source_check, classify_one(&p));
	p.proto = PROTO_ESP; /* the SA knows its addresses */
	cr_expect_eq(classify_one(&p), ESP);

	for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
		p = transit;
		p.src = outside[i];
		expect_drop(source_check, classify_one(&p));
		p.port = 0;
		cr_expect_eq(classify_one(&p), TRANSIT);
	}
	p.src = 0x0a0100ff; /* the broadcast address of the other link */
	p.port = 1;
	expect_drop(source_check, classify_one(&p));
}

Test(classify, source_check_loose_and_off)
{
	struct fib_route inside = fib_route_v4(0x0a010000, 24, HOP_CONNECTED, 1, 0);
	struct fib_input in = { .route = &inside, .n_routes = 1 };
	struct env_packet p = transit;

	fib_free(lc->fib);
	lc->fib = fib_build(&in);
	cr_assert(lc->fib);
	p.port = 0;
	expect_drop(source_check, classify_one(&p));
	lc->port[0].source_check = DP_SOURCE_LOOSE;
	cr_expect_eq(classify_one(&p), TRANSIT);
	p.src = 0x0a020009;
	expect_drop(source_check, classify_one(&p));
	lc->port[0].source_check = DP_SOURCE_OFF;
	cr_expect_eq(classify_one(&p), TRANSIT);
	p.src = WAN_ADDR;
	expect_drop(ip_martian, classify_one(&p));
}

Test(classify, clones_are_copied_before_anybody_writes)
{
	struct rte_mbuf *pkt = env_frame(lc, &transit), *clone, *in;

	clone = rte_pktmbuf_clone(pkt, lc->pool);
	cr_assert(clone);
	*pkt_meta(clone) = *pkt_meta(pkt);
	in = clone;
	cr_assert_eq(stage_classify(lc, &in, 1, esp, &n_esp, host, &n_host), 1);
	cr_expect_neq(in, clone);
	cr_expect_neq(rte_pktmbuf_mtod(in, uint8_t *), rte_pktmbuf_mtod(pkt, uint8_t *) + 14);
	cr_expect_eq(rte_mbuf_refcnt_read(pkt), 1);
	rte_pktmbuf_free(in);
	rte_pktmbuf_free(pkt);
}

Test(classify, clear_icmp_that_must_be_protected)
{
	struct spd_policy p = env_policy(3, POLICY_PROTECT, "10.1.0.0/24", "10.2.0.0/24");
	struct env_packet echo = { .src = 0x0a020005, .dst = LAN_ADDR, .proto = PROTO_ICMP,
				   .payload = 8 };
	struct rte_mbuf *pkt;

	env_policies(lc, &p, 1);
	pkt = env_ip(lc, &echo);
	stage_host(lc, &pkt, 1);
	cr_expect_eq(lc->count.drop[DROP_spd_in_clear], 1);
	cr_expect_null(env_punted(lc));
	pkt = env_ip(lc, &echo);
	pkt_meta(pkt)->flags = PKT_FROM_ESP;
	stage_host(lc, &pkt, 1);
	cr_expect_eq(env_punted(lc), pkt);
	rte_pktmbuf_free(pkt);
	echo.src = 0x0a010005;
	pkt = env_ip(lc, &echo);
	stage_host(lc, &pkt, 1);
	cr_expect_eq(env_punted(lc), pkt);
	rte_pktmbuf_free(pkt);
	cr_expect_eq(lc->count.punted, 2);
}

Test(classify, punting_is_policed_by_kind)
{
	struct env_packet echo = { .src = 0x0a090005, .dst = WAN_ADDR, .proto = PROTO_ICMP };
	struct env_packet ike = to_us;
	struct rte_mbuf *pkt;

	ike.dport = 500;
	for (unsigned i = 0; i < 200; i++) {
		pkt = env_ip(lc, &echo);
		stage_host(lc, &pkt, 1);
	}
	cr_expect_eq(lc->count.punted, 129, "a burst of 128 and the one that is due");
	cr_expect_eq(lc->count.drop[DROP_punt_policed], 71);
	pkt = env_ip(lc, &ike);
	stage_host(lc, &pkt, 1);
	cr_expect_eq(lc->count.punted, 130, "a flood of ICMP does not stop IKE");
	lc->now_tsc += lc->tsc_hz / 100;
	for (unsigned i = 0; i < 200; i++) {
		pkt = env_ip(lc, &echo);
		stage_host(lc, &pkt, 1);
	}
	cr_expect_eq(lc->count.punted, 150, "20 more are due 10 ms later, got %lu",
		     lc->count.punted);
}
