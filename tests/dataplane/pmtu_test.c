/* ICMP "fragmentation needed" about our own ESP: who is believed, what follows, and for how long. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include <rte_malloc.h>

#include "env.h"

#define PEER   0x0a020009u /* behind the gateway 10.9.0.2 of the test's routes */
#define ROUTER 0x0a090002u
#define SPI    0xc0ffee01u
#define SEQ    5000000u

static struct lcore *lc;
static struct dp *dp;
static struct sa *sa[2];

static struct sa *sa_make(uint32_t slot, uint32_t spi)
{
	struct sa *s = rte_zmalloc("sa", sizeof(*s), 64);

	cr_assert(s);
	s->spi = spi;
	s->seq = SEQ;
	s->local = ip_addr_v4(WAN_ADDR);
	s->remote = ip_addr_v4(PEER);
	s->outer_mtu = pmtu_outer(dp, &s->remote);
	dp->worker[0].pair[slot].sa[SA_OUT] = s;
	return s;
}

static void start(void)
{
	lc = env_start();
	dp = env_dp(lc);
	dp->sa_slots = 1 << ENV_SLOT_BITS;
	cr_assert_eq(slots_init(&dp->worker[0], dp->sa_slots), 0);
	sa[0] = sa_make(3, SPI);
	sa[1] = sa_make(9, SPI + 1);
}

static void finish(void)
{
	env_dp_forget(dp);
	cr_assert_eq(env_leaked(lc), 0, "%u packets leaked", env_leaked(lc));
}

TestSuite(pmtu, .init = start, .fini = finish);

struct message {
	uint32_t src, dst, spi, seq; /* of the quoted packet; 0: ours */
	uint16_t len, mtu;	     /* len 0: 1500 */
	uint8_t proto;		     /* 0: ESP */
	unsigned quoted;	     /* bytes of the quote, 0: 28 */
	uint8_t code;		     /* 0: fragmentation needed */
	bool bad_sum, from_esp;
};

static struct rte_mbuf *message(const struct message *m)
{
	uint8_t icmp[120] = { 3, m->code ? m->code : 4 }, *ip = icmp + ICMP_LEN, *l4 = ip + IP4_LEN;
	unsigned quoted = m->quoted ? m->quoted : m->proto == PROTO_UDP ? 36 : 28;
	struct env_packet p = { .src = ROUTER, .dst = WAN_ADDR, .proto = 99,
				.payload = ICMP_LEN + quoted, .data = icmp };
	struct rte_mbuf *pkt;
	uint16_t sum;

	store_be16(icmp + ICMP_MTU, m->mtu);
	ip[0] = 0x45;
	store_be16(ip + IP4_TOTAL, m->len ? m->len : 1500);
	ip[IP4_PROTO] = m->proto ? m->proto : PROTO_ESP;
	store_be32(ip + IP4_SRC, m->src ? m->src : WAN_ADDR);
	store_be32(ip + IP4_DST, m->dst ? m->dst : PEER);
	if (m->proto == PROTO_UDP) {
		store_be16(l4, 4500);
		l4 += 8;
	} else if (m->proto == PROTO_AH) {
		l4 += 4;
	}
	store_be32(l4, m->spi ? m->spi : SPI);
	store_be32(l4 + 4, m->seq ? m->seq : SEQ - 10);
	sum = (uint16_t)~sum_fold(sum_add(0, icmp, ICMP_LEN + quoted));
	if (!m->bad_sum)
		memcpy(icmp + ICMP_SUM, &sum, 2);
	pkt = env_ip(lc, &p);
	ip = rte_pktmbuf_mtod(pkt, uint8_t *);
	ip[IP4_PROTO] = PROTO_ICMP;
	ip4_sum_set(ip);
	if (m->from_esp)
		pkt_meta(pkt)->flags |= PKT_FROM_ESP;
	return pkt;
}

/* Tells it, with nothing known before, and gives back what the SAs have then. */
static uint16_t told(const struct message *m)
{
	memset(&dp->pmtu, 0, sizeof(dp->pmtu));
	sa[0]->outer_mtu = sa[1]->outer_mtu = 1500;
	host_input(dp, &dp->worker[0], message(m));
	cr_expect_eq(sa[0]->outer_mtu, sa[1]->outer_mtu, "the same way, the same size");
	return sa[0]->outer_mtu;
}

Test(pmtu, who_is_believed)
{
	static const struct message good[] = {
		{ .mtu = 1400 },
		{ .mtu = 1400, .spi = SPI + 1 },
		{ .mtu = 1400, .seq = SEQ },
		{ .mtu = 1400, .len = 1401 },
		{ .mtu = 1400, .proto = PROTO_UDP },
		{ .mtu = 1400, .proto = PROTO_AH, .quoted = 32 },
	};
	static const struct message bad[] = {
		{ .mtu = 1400, .spi = SPI + 7 },
		{ .mtu = 1400, .dst = PEER + 1 },
		{ .mtu = 1400, .src = LAN_ADDR },
		{ .mtu = 1400, .seq = SEQ + 1 },
		{ .mtu = 1400, .seq = SEQ - PMTU_SEQ_PAST - 1 },
		{ .mtu = 1400, .len = 1400 }, /* it would have fitted */
		{ .mtu = 1400, .proto = PROTO_TCP },
		{ .mtu = 1400, .quoted = 27 },
		{ .mtu = 1400, .quoted = 19 },
		{ .mtu = 1400, .proto = PROTO_UDP, .quoted = 35 },
		{ .mtu = 1400, .bad_sum = true },
		{ .mtu = 1400, .from_esp = true },
		{ .mtu = 1600 },
	};

	for (unsigned i = 0; i < RTE_DIM(good); i++)
		cr_expect_eq(told(&good[i]), 1400, "good %u: %u", i, sa[0]->outer_mtu);
	cr_expect_eq(dp->worker[0].drop[DROP_icmp_unbelieved], 0);
	for (unsigned i = 0; i < RTE_DIM(bad); i++) {
		cr_expect_eq(told(&bad[i]), 1500, "bad %u: %u", i, sa[0]->outer_mtu);
		cr_expect_eq(dp->worker[0].drop[DROP_icmp_unbelieved], i + 1, "bad %u", i);
	}
	struct message other = { .mtu = 1400, .code = 3 };
	cr_expect_eq(told(&other), 1500);
	cr_expect_eq(dp->worker[0].drop[DROP_ip_not_ours], 1);
}

Test(pmtu, bounds)
{
	static const struct {
		uint16_t mtu, len, then;
	} cases[] = { { 68, 1500, 576 },   { 1, 1500, 576 },    { 576, 1500, 576 },
		      { 577, 1500, 577 },  { 0, 1500, 1492 },   { 0, 1492, 1280 },
		      { 0, 1000, 576 },	   { 1499, 1500, 1499 } };

	for (unsigned i = 0; i < RTE_DIM(cases); i++) {
		struct message m = { .mtu = cases[i].mtu, .len = cases[i].len };
		cr_expect_eq(told(&m), cases[i].then, "%u: %u", i, sa[0]->outer_mtu);
	}
}

Test(pmtu, lower_only_and_for_ten_minutes)
{
	struct message m = { .mtu = 1300 };
	uint64_t now = dp_now_ms();

	told(&m);
	cr_expect_eq(lc->path_mtu, 1300);
	m.mtu = 1400;
	host_input(dp, &dp->worker[0], message(&m));
	cr_expect_eq(sa[0]->outer_mtu, 1300, "no router makes it larger");
	pmtu_tick(dp, now + PMTU_MS - 1);
	cr_expect_eq(sa[0]->outer_mtu, 1300);
	cr_expect_eq(pmtu_outer(dp, &sa[0]->remote), 1300, "also for SAs to come");
	pmtu_tick(dp, now + PMTU_MS + 2000);
	cr_expect_eq(sa[0]->outer_mtu, 1500);
	cr_expect_eq(lc->path_mtu, 0);
	cr_expect_eq(dp->pmtu.n, 0);
}

/* Any number of peers; the oldest makes room. */
Test(pmtu, table_is_bounded)
{
	struct message m = { .mtu = 1400 };

	for (unsigned i = 0; i < PMTU_PATHS + 5; i++) {
		sa[0]->remote = ip_addr_v4(PEER + 1 + i);
		sa[0]->outer_mtu = 1500;
		m.dst = PEER + 1 + i;
		dp->pmtu.in_second = 0;
		host_input(dp, &dp->worker[0], message(&m));
		cr_assert_eq(sa[0]->outer_mtu, 1400);
	}
	cr_expect_eq(dp->pmtu.n, PMTU_PATHS);
}

Test(pmtu, flood_of_messages)
{
	struct message m = { .mtu = 1400, .spi = 1 };

	for (unsigned i = 0; i < 1000; i++)
		host_input(dp, &dp->worker[0], message(&m));
	cr_expect_lt(dp->worker[0].drop[DROP_icmp_unbelieved], 300);
	cr_expect_gt(dp->worker[0].drop[DROP_punt_policed], 600);
}

/* ------------------------------------------------------------------------- IPv6 ------------- */

#define PEER6 "2001:db8:9::2"

struct message6 {
	const char *src, *dst; /* of the quoted packet; NULL: ours */
	uint32_t spi, seq, mtu;
	uint16_t len;	 /* 0: 1500 */
	uint8_t proto;	 /* 0: ESP */
	uint16_t frag;	 /* not 0: it was a fragment, with this in its header */
	unsigned quoted; /* bytes of the quote behind the IPv6 header, 0: 40 */
	bool bad_sum, from_esp;
};

static struct rte_mbuf *message6(const struct message6 *m)
{
	uint8_t icmp[160] = { 2 }, *ip = icmp + ICMP_LEN, *l4 = ip + IP6_LEN;
	struct env_packet6 p = { .src = "2001:db8:9::2", .dst = WAN_ADDR6, .next = PROTO_ICMP6,
				 .data = icmp, .sum = !m->bad_sum,
				 .len = ICMP_LEN + IP6_LEN + (m->quoted ? m->quoted : 40) };
	uint8_t proto = m->proto ? m->proto : PROTO_ESP;
	struct rte_mbuf *pkt;

	store_be32(icmp + 4, m->mtu);
	ip[0] = 0x60;
	store_be16(ip + IP6_PAYLOAD, (uint16_t)((m->len ? m->len : 1500) - IP6_LEN));
	ip[IP6_NEXT] = m->frag ? PROTO_FRAGMENT : proto;
	memcpy(ip + IP6_SRC, env_addr(m->src ? m->src : WAN_ADDR6).b, 16);
	memcpy(ip + IP6_DST, env_addr(m->dst ? m->dst : PEER6).b, 16);
	if (m->frag) {
		l4[IP6F_NEXT] = proto;
		store_be16(l4 + IP6F_FRAG, m->frag);
		l4 += IP6F_LEN;
	}
	if (proto == PROTO_UDP) {
		store_be16(l4, 4500);
		l4 += 8;
	} else if (proto == PROTO_AH) {
		l4 += 4;
	}
	store_be32(l4, m->spi ? m->spi : SPI);
	store_be32(l4 + 4, m->seq ? m->seq : SEQ - 10);
	pkt = env_ip6(lc, &p);
	if (m->from_esp)
		pkt_meta(pkt)->flags |= PKT_FROM_ESP;
	return pkt;
}

static uint16_t told6(const struct message6 *m)
{
	memset(&dp->pmtu, 0, sizeof(dp->pmtu));
	for (unsigned i = 0; i < 2; i++) {
		sa[i]->local = env_addr(WAN_ADDR6);
		sa[i]->remote = env_addr(PEER6);
		sa[i]->outer_mtu = 1500;
	}
	host_input(dp, &dp->worker[0], message6(m));
	cr_expect_eq(sa[0]->outer_mtu, sa[1]->outer_mtu);
	return sa[0]->outer_mtu;
}

Test(pmtu, packet_too_big)
{
	static const struct message6 good[] = {
		{ .mtu = 1400 },
		{ .mtu = 1400, .spi = SPI + 1 },
		{ .mtu = 1400, .seq = SEQ },
		{ .mtu = 1400, .proto = PROTO_UDP },
		{ .mtu = 1400, .proto = PROTO_AH },
		{ .mtu = 1400, .frag = IP6F_MF }, /* of ours, the first */
		{ .mtu = 1400, .quoted = 8 },
	};
	static const struct message6 bad[] = {
		{ .mtu = 1400, .spi = SPI + 7 },
		{ .mtu = 1400, .dst = "2001:db8:9::a" },
		{ .mtu = 1400, .src = LAN_ADDR6 },
		{ .mtu = 1400, .seq = SEQ + 1 },
		{ .mtu = 1400, .seq = SEQ - PMTU_SEQ_PAST - 1 },
		{ .mtu = 1400, .len = 1400 },
		{ .mtu = 1400, .proto = PROTO_TCP },
		{ .mtu = 1400, .frag = 8 },
		{ .mtu = 1400, .quoted = 7 },
		{ .mtu = 1400, .proto = PROTO_UDP, .quoted = 15 },
		{ .mtu = 1400, .bad_sum = true },
		{ .mtu = 1400, .from_esp = true },
		{ .mtu = 0 },
		{ .mtu = 0x10000 },
		{ .mtu = UINT32_MAX },
	};
	struct message6 small = { .mtu = 68 };

	for (unsigned i = 0; i < RTE_DIM(good); i++)
		cr_expect_eq(told6(&good[i]), 1400, "good %u: %u", i, sa[0]->outer_mtu);
	cr_expect_eq(dp->worker[0].drop[DROP_icmp_unbelieved], 0);
	for (unsigned i = 0; i < RTE_DIM(bad); i++) {
		cr_expect_eq(told6(&bad[i]), 1500, "bad %u: %u", i, sa[0]->outer_mtu);
		cr_expect_eq(dp->worker[0].drop[DROP_icmp_unbelieved], i + 1, "bad %u", i);
	}
	cr_expect_eq(told6(&small), 1280, "RFC 8201 section 4: never less");
	cr_expect_eq(lc->path_mtu, 1280);
}

/* What the path does not carry leaves in fragments, which together are the packet. */
Test(pmtu, outer_packets_are_cut)
{
	uint8_t data[1400];
	struct env_packet6 p = { .src = WAN_ADDR6, .dst = "2001:db8:2::9", .next = PROTO_ESP, .data = data,
				 .len = sizeof(data) };
	struct rte_mbuf *pkt[3];
	unsigned at = 0;

	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7);
	pkt[0] = env_ip6(lc, &p);
	p.len = 1240;
	pkt[1] = env_ip6(lc, &p); /* this one fits */
	pkt[2] = env_ip(lc, &(struct env_packet){ .src = WAN_ADDR, .dst = PEER, .payload = 1400 });
	for (unsigned i = 0; i < 3; i++)
		*pkt_meta(pkt[i]) = (struct pkt_meta){ .slot = 3,
						       .flags = PKT_PROTECTED | PKT_LOCAL_OUT };
	sa[0]->outer_mtu = 1280;
	lc->sa_out[3].sa = sa[0];
	cr_assert_eq(stage_cut_outer(lc, pkt, 3), 2);
	cr_expect_eq(rte_pktmbuf_pkt_len(pkt[0]), 1280);
	cr_expect_eq(rte_pktmbuf_mtod(pkt[1], uint8_t *)[0], 0x45);
	cr_assert_eq(lc->tx[0].n, 2);
	for (unsigned i = 0; i < 2; i++) {
		const uint8_t *ip = rte_pktmbuf_mtod_offset(lc->tx[0].pkt[i], uint8_t *, ETH_LEN);
		const uint8_t *f = ip + IP6_LEN;
		unsigned len = ip6_total(ip) - IP6_LEN - IP6F_LEN;

		cr_assert_leq(ip6_total(ip), 1280);
		cr_expect_eq(ip[IP6_NEXT], PROTO_FRAGMENT);
		cr_expect_eq(f[IP6F_NEXT], PROTO_ESP);
		cr_expect_eq(load_be16(f + IP6F_FRAG), at | (i == 0));
		cr_expect_arr_eq(f + IP6F_LEN, data + at, len);
		at += len;
	}
	cr_expect_eq(at, sizeof(data));
	rte_pktmbuf_free(pkt[0]);
	rte_pktmbuf_free(pkt[1]);
}
