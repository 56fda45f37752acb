/* IPv6 through stage_classify, stage_forward and stage_host. */
#include <criterion/criterion.h>

#include "env.h"

static struct lcore *lc;

static void start(void)
{
	lc = env_start();
}

static void finish(void)
{
	cr_assert_eq(env_leaked(lc), 0, "%u packets leaked", env_leaked(lc));
}

TestSuite(classify6, .init = start, .fini = finish);

enum way { TRANSIT, ESP, HOST, GONE };

static struct rte_mbuf *esp[1], *host[1];
static struct pkt_meta last;

static enum way classify(struct rte_mbuf *pkt)
{
	uint16_t n_esp, n_host, n = stage_classify(lc, &pkt, 1, esp, &n_esp, host, &n_host);
	enum way way = n ? TRANSIT : n_esp ? ESP : n_host ? HOST : GONE;

	if (way == GONE)
		return GONE;
	pkt = way == ESP ? esp[0] : way == HOST ? host[0] : pkt;
	last = *pkt_meta(pkt);
	rte_pktmbuf_free(pkt);
	return way;
}

static enum way one(const struct env_packet6 *p)
{
	return classify(env_frame6(lc, p));
}

#define expect_drop(reason, ...)                                                      \
	do {                                                                          \
		uint64_t before = lc->count.drop[DROP_##reason], all = env_drops(lc); \
		cr_expect_eq(__VA_ARGS__, GONE);                                      \
		cr_expect_eq(lc->count.drop[DROP_##reason], before + 1, #reason);     \
		cr_expect_eq(env_drops(lc), all + 1);                                 \
	} while (0)

static const struct env_packet6 transit = {
	.port = 1, .src = "2001:db8:1::7", .dst = "2001:db8:2::9", .next = PROTO_UDP, .len = 38
};
static const struct env_packet6 to_us = {
	.port = 0, .src = "2001:db8:2::9", .dst = WAN_ADDR6, .next = PROTO_UDP, .len = 60
};

Test(classify6, transit_without_padding)
{
	struct env_packet6 p = transit;
	struct rte_mbuf *pkt, *none[1];
	uint16_t n;

	p.padding = 9;
	pkt = env_frame6(lc, &p);
	cr_assert_eq(stage_classify(lc, &pkt, 1, none, &n, none, &n), 1);
	cr_expect_eq(rte_pktmbuf_pkt_len(pkt), 78);
	cr_expect_eq(rte_pktmbuf_mtod(pkt, uint8_t *)[0], 0x60);
	rte_pktmbuf_free(pkt);
}

Test(classify6, martians)
{
	static const char *const sources[] = { "ff02::1", "::1",     "::",    "::ffff:10.1.0.7",
					       WAN_ADDR6, LAN_ADDR6, LAN_LINK };
	static const char *const destinations[] = { "::1", "::", "::ffff:10.2.0.1", "fe80::77",
						    WAN_LINK };
	struct env_packet6 p = transit;

	for (unsigned i = 0; i < RTE_DIM(sources); i++) {
		p.src = sources[i];
		expect_drop(ip_martian, one(&p));
	}
	p = transit;
	for (unsigned i = 0; i < RTE_DIM(destinations); i++) {
		p.dst = destinations[i];
		expect_drop(ip_martian, one(&p));
	}
	p = transit;
	p.src = "fe80::7"; /* must not leave its link */
	expect_drop(ip_martian, one(&p));
	p = transit;
	p.src = "2001:db8:2::9"; /* routes back through the other port */
	expect_drop(source_check, one(&p));
	p = transit;
	p.dst = "ff0e::1";
	expect_drop(ip6_multicast, one(&p));
}

Test(classify6, lengths)
{
	struct rte_mbuf *pkt = env_frame6(lc, &transit);
	struct env_packet6 p = to_us;

	store_be16(rte_pktmbuf_mtod_offset(pkt, uint8_t *, ETH_LEN + IP6_PAYLOAD), 39);
	expect_drop(ip_malformed, classify(pkt));
	for (uint16_t len = ETH_LEN; len < ETH_LEN + IP6_LEN; len++) {
		pkt = env_frame6(lc, &transit);
		rte_pktmbuf_trim(pkt, (uint16_t)(rte_pktmbuf_data_len(pkt) - len));
		expect_drop(ip_malformed, classify(pkt));
	}
	p.len = 7; /* UDP without its header */
	expect_drop(ip_malformed, one(&p));
	pkt = env_frame6(lc, &transit);
	memset(rte_pktmbuf_mtod(pkt, uint8_t *), 0xff, 6);
	expect_drop(eth_dst, classify(pkt));
}

Test(classify6, services)
{
	uint8_t udp[60] = { 0x11, 0x94, 0x11, 0x94, 0, 60, 0, 0, 1, 2, 3, 4 };
	struct env_packet6 p = to_us;

	p.data = udp;
	cr_expect_eq(one(&p), ESP);
	cr_expect(last.l4_off == 48 && last.flags == PKT_UDP_ENCAP);
	memset(udp + 8, 0, 4);
	cr_expect_eq(one(&p), HOST, "IKE behind its marker");
	store_be16(udp + UDP_DPORT, 500);
	cr_expect_eq(one(&p), HOST);
	store_be16(udp + UDP_DPORT, 501);
	expect_drop(ip_not_ours, one(&p));
	store_be16(udp + UDP_DPORT, 4500);
	store_be16(udp + UDP_LENGTH, 61);
	expect_drop(natt_malformed, one(&p));
	store_be16(udp + UDP_LENGTH, 9);
	udp[8] = 0xff;
	cr_expect_eq(one(&p), GONE);
	cr_expect_eq(lc->count.natt_keepalives, 1);
	p.next = PROTO_ESP;
	cr_expect_eq(one(&p), ESP);
	cr_expect(last.l4_off == 40 && last.flags == 0);
	p.next = PROTO_AH;
	cr_expect_eq(one(&p), ESP);
	cr_expect(last.l4_off == 40 && last.flags == PKT_AH);
	p.next = PROTO_TCP;
	expect_drop(ip_not_ours, one(&p));
	p.next = PROTO_UDP;
	p.dst = WAN_LINK; /* IKE wants addresses that are routed */
	p.src = "fe80::2";
	store_be16(udp + UDP_DPORT, 500);
	expect_drop(ip_not_ours, one(&p));
}

Test(classify6, ah_over_four)
{
	struct env_packet p = {
		.src = 0x0a090002, .dst = WAN_ADDR, .proto = PROTO_AH, .payload = 60
	};

	cr_expect_eq(classify(env_frame(lc, &p)), ESP);
	cr_expect(last.l4_off == 20 && last.flags == PKT_AH);
}

Test(classify6, extension_headers_to_us)
{
	uint8_t ext[48] = { PROTO_ESP, 0, 1, 4 };
	struct env_packet6 p = to_us;

	p.next = PROTO_DSTOPTS;
	p.data = ext;
	p.len = sizeof(ext);
	cr_expect_eq(one(&p), ESP);
	cr_expect_eq(last.l4_off, 48);
	ext[2] = 0x3e; /* unknown, to be passed over */
	cr_expect_eq(one(&p), ESP);
	ext[2] = 0x7e; /* unknown, to be refused */
	expect_drop(ip6_extension, one(&p));
	ext[2] = 0x3e;
	ext[3] = 5; /* reaches past its header */
	expect_drop(ip6_extension, one(&p));
	ext[1] = 6; /* longer than the packet */
	expect_drop(ip6_extension, one(&p));
	p.next = PROTO_ROUTING;
	ext[1] = 0;
	ext[2] = 3;
	ext[3] = 1;
	expect_drop(ip6_routing, one(&p));
	p.next = PROTO_FRAGMENT;
	ext[2] = ext[3] = 0;
	cr_expect_eq(one(&p), ESP, "an atomic fragment is whole");
	ext[3] = 1;
	cr_expect_eq(one(&p), GONE);
	cr_expect_eq(lc->to_worker[0].n + lc->to_worker[1].n, 1, "to the worker that joins pieces");
	ext[0] = PROTO_TCP;
	expect_drop(ip_fragment, one(&p));
}

Test(classify6, groups)
{
	uint8_t nd[32] = { ND_SOLICIT };
	struct env_packet6 p = { .port = 1,
				 .src = "fe80::7",
				 .dst = "ff02::1:ff00:fe",
				 .next = PROTO_ICMP6,
				 .hops = 255,
				 .data = nd,
				 .len = 32 };

	cr_expect_eq(one(&p), HOST);
	p.src = "::";
	cr_expect_eq(one(&p), HOST, "somebody wants an address");
	p.hops = 254;
	expect_drop(ip6_multicast, one(&p));
	p.hops = 255;
	nd[0] = 134;
	expect_drop(ip6_multicast, one(&p)); /* router advertisement */
}

/* Pieces to us become a packet again, whatever their order, and go where the whole would. */
Test(classify6, pieces_are_put_together)
{
	static const unsigned order[][3] = { { 0, 1, 2 }, { 2, 1, 0 }, { 1, 2, 0 } };
	struct rte_mbuf *in[1], *joined_esp[1], *joined_host[1], *pkt, *part[MAX_FRAGMENTS];
	struct env_packet6 p = to_us;
	uint16_t n_esp, n_host;

	p.next = PROTO_ESP;
	p.len = 2001;
	for (unsigned i = 0; i < RTE_DIM(order); i++) {
		cr_assert_eq(packet_split6(lc, env_ip6(lc, &p), 800, part), 3);
		n_esp = n_host = 0;
		for (unsigned k = 0; k < 3; k++) {
			in[0] = part[order[i][k]];
			pkt_meta(in[0])->flags = PKT_FRAGMENT;
			stage_reassemble(lc, in, 1, joined_esp, &n_esp, joined_host, &n_host);
			cr_assert_eq(n_esp, k == 2, "order %u, piece %u", i, k);
		}
		pkt = joined_esp[0];
		const uint8_t *ip = rte_pktmbuf_mtod(pkt, const uint8_t *);
		cr_expect_eq(rte_pktmbuf_pkt_len(pkt), 2041);
		cr_expect_eq(ip6_total(ip), 2041);
		cr_expect_eq(ip[IP6_NEXT], PROTO_ESP);
		cr_expect_eq(pkt_meta(pkt)->l4_off, 40);
		for (unsigned k = 0; k < 2001; k++)
			cr_assert_eq(ip[40 + k], (uint8_t)k);
		rte_pktmbuf_free(pkt);
	}
}

/* ------------------------------------------------------------------------- forward ---------- */

static uint16_t forward(struct rte_mbuf *pkt)
{
	return stage_forward(lc, &pkt, 1);
}

static const uint8_t *sent(unsigned port, unsigned i)
{
	cr_assert_gt(lc->tx[port].n, i);
	return rte_pktmbuf_mtod(lc->tx[port].pkt[i], const uint8_t *);
}

static uint32_t refused(struct rte_mbuf *pkt)
{
	struct rte_mbuf *up;
	uint32_t slot;

	cr_assert_eq(forward(pkt), 0);
	up = env_punted(lc);
	if (!up)
		return 0;
	slot = pkt_meta(up)->flags & PKT_ERROR ? pkt_meta(up)->slot : 1;
	rte_pktmbuf_free(up);
	return slot;
}

Test(classify6, forwarding)
{
	static const uint8_t eth[] = { 2, 0, 0, 0, 9, 2, 2, 0, 0, 0, 9, 1, 0x86, 0xdd };
	struct env_packet6 p = transit;

	cr_assert_eq(forward(env_ip6(lc, &p)), 1);
	cr_expect_arr_eq(sent(0, 0), eth, sizeof(eth));
	cr_expect_eq(sent(0, 0)[ETH_LEN + IP6_HOPS], 63);
	p.hops = 1;
	cr_expect_eq(refused(env_ip6(lc, &p)), (uint32_t)DROP_ip_ttl << 16);
	p = transit;
	p.dst = "2001:db8:77::1"; /* by the default route, not resolved */
	cr_expect_eq(refused(env_ip6(lc, &p)), 1);
	p.dst = LAN_ADDR6;
	cr_expect_eq(refused(env_ip6(lc, &p)), 0);
	cr_expect_eq(lc->count.drop[DROP_ip_not_ours], 1);
	p.dst = "fe80::9"; /* out of a tunnel, say: the default route must not take it */
	cr_expect_eq(refused(env_ip6(lc, &p)), 0);
	cr_expect_eq(lc->count.drop[DROP_ip_martian], 1);
}

Test(classify6, too_big_is_told_and_not_cut)
{
	struct env_packet6 p = { .port = 0,
				 .src = "2001:db8:2::9",
				 .dst = "2001:db8:1::7",
				 .next = PROTO_UDP,
				 .len = 1360 };

	cr_assert_eq(forward(env_ip6(lc, &p)), 1, "exactly the MTU");
	p.len++;
	cr_expect_eq(refused(env_ip6(lc, &p)), (uint32_t)DROP_too_big << 16 | 1400);
}

/* What we made ourselves is cut, and the pieces give the whole again. */
Test(classify6, our_own_packets_are_cut)
{
	struct env_packet6 p = {
		.src = LAN_ADDR6, .dst = "2001:db8:1::7", .next = PROTO_ESP, .len = 3001
	};
	struct rte_mbuf *pkt = env_ip6(lc, &p);
	unsigned at = 0;

	pkt_meta(pkt)->flags = PKT_LOCAL_OUT | PKT_PROTECTED;
	cr_assert_eq(forward(pkt), 1);
	cr_assert_eq(lc->tx[1].n, 3);
	for (unsigned i = 0; i < 3; i++) {
		const uint8_t *ip = sent(1, i) + ETH_LEN, *f = ip + IP6_LEN;
		unsigned len = ip6_total(ip) - IP6_LEN - IP6F_LEN;
		cr_assert_leq(ip6_total(ip), 1400);
		cr_assert_eq(ip6_total(ip) + ETH_LEN, rte_pktmbuf_pkt_len(lc->tx[1].pkt[i]));
		cr_assert_eq(ip[IP6_NEXT], PROTO_FRAGMENT);
		cr_assert_eq(f[IP6F_NEXT], PROTO_ESP);
		cr_assert_eq(load_be16(f + IP6F_FRAG), at | (i < 2));
		cr_assert_eq(load_be32(f + IP6F_ID), load_be32(sent(1, 0) + ETH_LEN + 44));
		for (unsigned k = 0; k < len; k++)
			cr_assert_eq(f[IP6F_LEN + k], (uint8_t)(at + k));
		at += len;
	}
	cr_expect_eq(at, 3001);
}

/* ------------------------------------------------------------------------- policy ----------- */

Test(classify6, both_families_in_one_burst)
{
	struct spd_policy policies[] = {
		env_policy(3, POLICY_PROTECT, "2001:db8:1::/64", "2001:db8:2::/48"),
		env_policy(4, POLICY_BYPASS, "2001:db8:1::/64", "2001:db8:3::/48"),
		env_policy(5, POLICY_BYPASS, "10.1.0.0/16", "10.2.0.0/16"),
	};
	struct env_packet four = {
		.port = 1, .src = 0x0a010007, .dst = 0x0a020009, .proto = PROTO_UDP
	};
	struct env_packet6 bypass = transit, in = transit, none = transit;
	struct rte_mbuf *pkts[6], *out[6];
	uint16_t n, n_out;

	env_policies(lc, policies, 3);
	lc->policy_sa[3] = (struct policy_sa){ .slot = 2, .spi = 7, .owner = 0 };
	lc->sa_out[2].spi = 7;
	bypass.dst = "2001:db8:3::9";
	in.src = "2001:db8:2::9";
	in.dst = "2001:db8:1::7";
	none.dst = "2001:db8:4::9";
	pkts[0] = env_ip6(lc, &transit);
	pkts[1] = env_ip(lc, &four);
	pkts[2] = env_ip6(lc, &bypass);
	pkts[3] = env_ip6(lc, &in);
	pkts[4] = env_ip6(lc, &none);
	pkts[5] = env_ip(lc, &four);
	n = stage_spd(lc, pkts, 6, out, &n_out);
	cr_assert_eq(n, 3);
	cr_assert_eq(n_out, 1);
	cr_expect_eq(pkt_meta(out[0])->slot, 2);
	cr_expect_eq(lc->count.drop[DROP_spd_in_clear], 1);
	cr_expect_eq(lc->count.drop[DROP_spd_discard], 1);
	cr_expect_eq(env_drops(lc), 2);
	rte_pktmbuf_free_bulk(pkts, n);
	rte_pktmbuf_free(out[0]);
}

/* The fragment header hides the ports, or whatever comes behind it. */
Test(classify6, fragments_and_policies_about_ports)
{
	uint8_t data[40] = { PROTO_UDP, 0, 0, 8 };
	struct spd_policy p = env_policy(1, POLICY_BYPASS, "2001:db8:1::/64", "2001:db8:2::/48");
	struct env_packet6 piece = transit;
	struct rte_mbuf *pkt, *out[1];
	uint16_t n_out;

	p.sel.proto = PROTO_UDP;
	p.sel.remote_port = 53;
	env_policies(lc, &p, 1);
	piece.next = PROTO_FRAGMENT;
	piece.data = data;
	piece.len = sizeof(data);
	store_be16(data + 10, 53);
	pkt = env_ip6(lc, &piece);
	cr_expect_eq(stage_spd(lc, &pkt, 1, out, &n_out), 0);
	cr_expect_eq(lc->count.drop[DROP_spd_discard], 1);
	data[3] = 1; /* the first piece shows them */
	pkt = env_ip6(lc, &piece);
	cr_expect_eq(stage_spd(lc, &pkt, 1, out, &n_out), 1);
	rte_pktmbuf_free(pkt);
}
