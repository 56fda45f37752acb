/* Multicast listeners: what queries are answered, with what, when, and what is no query. */
#include <criterion/criterion.h>

#include "env.h"

#define GROUP "ff02::1:ff00:fe" /* of lan's two addresses: 2001:db8:1::fe and fe80::ff:fe00:1fe */
#define OTHER "ff02::1:ff00:1fe"

static struct lcore *lc;
static struct dp *dp;

static void start(void)
{
	lc = env_start();
	dp = env_dp(lc);
}

static void finish(void)
{
	env_dp_forget(dp);
	cr_assert_eq(env_leaked(lc), 0, "%u packets leaked", env_leaked(lc));
}

TestSuite(mld, .init = start, .fini = finish);

struct query {
	const char *src, *group; /* NULL: fe80::7, all */
	uint8_t hops;		 /* 0: 1 */
	uint16_t delay;
	unsigned len; /* 0: 28, of version 2 */
	bool no_alert, bad_sum;
};

static struct rte_mbuf *query(const struct query *q)
{
	uint8_t data[8 + 40] = { PROTO_ICMP6, 0, 5, 2, 0, 0, 1, 0 }, *icmp = data + 8;
	unsigned len = q->len ? q->len : 28, off = q->no_alert ? 8 : 0;
	struct env_packet6 p = { .port = 1, .src = q->src ? q->src : "fe80::7", .dst = "ff02::1",
				 .next = q->no_alert ? PROTO_ICMP6 : PROTO_HOPOPTS,
				 .hops = q->hops ? q->hops : 1, .data = data + off,
				 .len = 8 + len - off };
	struct rte_mbuf *pkt;
	uint8_t *ip;
	uint16_t sum;

	icmp[0] = MLD_QUERY;
	store_be16(icmp + 4, q->delay);
	if (q->group)
		memcpy(icmp + 8, env_addr(q->group).b, 16);
	pkt = env_frame6(lc, &p);
	ip = rte_pktmbuf_mtod_offset(pkt, uint8_t *, ETH_LEN);
	icmp = ip + IP6_LEN + 8 - off;
	sum = (uint16_t)~ip6_l4_sum(ip, PROTO_ICMP6, icmp, len);
	sum ^= q->bad_sum;
	memcpy(icmp + ICMP_SUM, &sum, 2);
	return pkt;
}

/* Through the first stages and up; true when it came there. */
static bool heard(const struct query *q)
{
	struct rte_mbuf *pkt = query(q), *esp[1], *host[1];
	uint16_t n_esp, n_host;

	if (stage_classify(lc, &pkt, 1, esp, &n_esp, host, &n_host) || n_esp || !n_host)
		return false;
	stage_host(lc, host, 1);
	pkt = env_punted(lc);
	if (!pkt)
		return false;
	host_input(dp, &dp->worker[0], pkt);
	return true;
}

/* Checks the frame around a message and returns its type; 0: none. */
static uint8_t said(const uint8_t **icmp, unsigned *len, struct ip_addr *dst)
{
	struct rte_mbuf *pkt = env_injected(lc);
	static uint8_t frame[400];
	const uint8_t *ip = frame + ETH_LEN;

	if (!pkt)
		return 0;
	cr_assert_eq(pkt_meta(pkt)->port, 1);
	cr_assert(pkt_meta(pkt)->flags & PKT_FRAME);
	memcpy(frame, rte_pktmbuf_mtod(pkt, uint8_t *), rte_pktmbuf_data_len(pkt));
	cr_assert_eq(ip6_total(ip), rte_pktmbuf_data_len(pkt) - ETH_LEN);
	rte_pktmbuf_free(pkt);
	cr_expect_eq(ip[IP6_HOPS], 1);
	cr_expect_arr_eq(ip + IP6_SRC, env_addr(LAN_LINK).b, 16);
	cr_expect(ip[IP6_NEXT] == PROTO_HOPOPTS && ip[IP6_LEN] == PROTO_ICMP6 && ip[IP6_LEN + 2] == 5,
		  "router alert");
	*icmp = ip + IP6_LEN + 8;
	*len = ip6_total(ip) - IP6_LEN - 8;
	cr_expect_eq(ip6_l4_sum(ip, PROTO_ICMP6, *icmp, *len), 0xffff);
	dst->family = IP_V6;
	memcpy(dst->b, ip + IP6_DST, 16);
	cr_expect(frame[0] == 0x33 && frame[1] == 0x33 && !memcmp(frame + 2, dst->b + 12, 4));
	return (*icmp)[0];
}

static void expect_report(uint8_t record)
{
	struct ip_addr dst;
	const uint8_t *icmp;
	unsigned len;

	cr_assert_eq(said(&icmp, &len, &dst), 143);
	cr_expect(ip_addr_equal(&dst, &(struct ip_addr){ IP_V6, { 0xff, 2, [15] = 0x16 } }));
	cr_assert_eq(len, 8 + 2 * 20);
	cr_expect_eq(load_be16(icmp + 6), 2);
	for (unsigned i = 0; i < 2; i++) {
		const uint8_t *r = icmp + 8 + 20 * i;
		cr_expect(r[0] == record && r[1] == 0 && load_be16(r + 2) == 0);
		cr_expect(!memcmp(r + 4, env_addr(i ? OTHER : GROUP).b, 16));
	}
	cr_expect_eq(said(&icmp, &len, &dst), 0);
}

Test(mld, a_query_is_answered_in_its_time)
{
	uint64_t now = dp_now_ms();

	dp->port[1].mld_said = 2;
	cr_assert(heard(&(struct query){ .delay = 2000 }));
	cr_expect_leq(dp->port[1].mld_due_ms, now + 2100);
	cr_expect_eq(dp->port[0].mld_due_ms, 0, "the other link was not asked");
	mld_tick(dp, dp->port[1].mld_due_ms - 1);
	cr_expect_null(env_injected(lc));
	mld_tick(dp, dp->port[1].mld_due_ms);
	expect_report(2);
	mld_tick(dp, now + 100000);
	cr_expect_null(env_injected(lc), "once");
	/* about one group: of ours, of others */
	cr_assert(heard(&(struct query){ .group = "ff02::1:ff00:77" }));
	cr_expect_eq(dp->port[1].mld_due_ms, 0);
	cr_assert(heard(&(struct query){ .group = OTHER }));
	mld_tick(dp, now + 100000);
	expect_report(2);
	/* RFC 3810 section 5.1.3: 0x8000 is 1 (implied) << 12 << 3 ms */
	for (unsigned i = 0; i < 50; i++) {
		dp->port[1].mld_due_ms = 0;
		cr_assert(heard(&(struct query){ .delay = 0xffff }));
		cr_expect_leq(dp->port[1].mld_due_ms, dp_now_ms() + (0x1fffu << 10));
	}
}

Test(mld, the_beginning)
{
	dp->port[1].mld_due_ms = 1;
	mld_tick(dp, 1);
	expect_report(4);
	cr_assert_geq(dp->port[1].mld_due_ms, 1 + 1000, "twice, RFC 3810 section 9.1");
	mld_tick(dp, dp->port[1].mld_due_ms);
	expect_report(4);
	cr_expect_eq(dp->port[1].mld_due_ms, 0);
}

Test(mld, an_old_querier)
{
	struct ip_addr dst, want;
	const uint8_t *icmp;
	unsigned len;

	dp->port[1].mld_said = 2;
	cr_assert(heard(&(struct query){ .len = 24 }));
	mld_tick(dp, dp_now_ms() + 10);
	for (unsigned i = 0; i < 2; i++) {
		want = env_addr(i ? OTHER : GROUP);
		cr_assert_eq(said(&icmp, &len, &dst), 131);
		cr_expect_eq(len, 24);
		cr_expect(ip_addr_equal(&dst, &want), "to the group itself");
		cr_expect(!memcmp(icmp + 8, want.b, 16));
	}
	cr_expect_eq(said(&icmp, &len, &dst), 0);
}

Test(mld, what_is_no_query)
{
	static const struct query bad[] = {
		{ .src = "2001:db8:1::7" }, { .bad_sum = true }, { .len = 23 },
		{ .len = 25 },		    { .len = 27 },	 { .no_alert = true },
	};

	for (unsigned i = 0; i < RTE_DIM(bad); i++) {
		cr_expect(heard(&bad[i]), "case %u", i);
		cr_expect_eq(dp->worker[0].drop[DROP_nd_malformed], i + 1, "case %u", i);
	}
	cr_expect_not(heard(&(struct query){ .hops = 255 }));
	cr_expect_not(heard(&(struct query){ .hops = 2 }));
	cr_expect_eq(lc->count.drop[DROP_ip6_multicast], 2);
	cr_expect_eq(dp->port[1].mld_due_ms, 0);
}
