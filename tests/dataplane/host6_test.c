/* Being a host in IPv6: Neighbour Discovery, ICMPv6, datagrams for IKE. */
#include <criterion/criterion.h>

#include "env.h"
#include "reassembly.h"

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

TestSuite(host6, .init = start, .fini = finish);

#define HOST "2001:db8:1::77"

static uint64_t dropped(enum drop_reason reason)
{
	return dp->worker[0].drop[reason];
}

static void input(struct rte_mbuf *pkt)
{
	host_input(dp, &dp->worker[0], pkt);
}

/* ------------------------------------------------------------------------- ND --------------- */

enum { S = 0x40, O = 0x20, R = 0x80 };

struct nd {
	const char *src, *dst, *target;
	uint8_t type, flags, hops;
	uint8_t station; /* its last byte; 0: no option */
	bool plain;      /* no option at all, though type says so */
};

static struct rte_mbuf *nd_packet(const struct nd *m)
{
	uint8_t data[32] = { m->type, 0, 0, 0, m->flags };
	struct env_packet6 p = { .port = 1,
				 .src = m->src,
				 .dst = m->dst,
				 .next = PROTO_ICMP6,
				 .hops = m->hops ? m->hops : 255,
				 .data = data,
				 .len = 32,
				 .sum = true };

	memcpy(data + 8, env_addr(m->target).b, 16);
	data[24] = m->type == ND_SOLICIT ? 1 : 2;
	data[25] = 1;
	data[26] = 2;
	data[31] = m->station;
	if (!m->station)
		p.len = 24;
	return env_ip6(lc, &p);
}

static void heard(const struct nd *m)
{
	input(nd_packet(m));
}

/* The next Neighbour Discovery message that we send: 0 when there is none. */
struct said {
	uint8_t type, flags, to, hops; /* to: last byte of the station */
	struct ip_addr src, dst, target;
	uint8_t option, station;
};

static struct said say(void)
{
	struct rte_mbuf *pkt = env_injected(lc);
	struct said s = { 0 };
	const uint8_t *f, *nd;

	while (pkt && load_be16(rte_pktmbuf_mtod_offset(pkt, uint8_t *, 12)) == ETHERTYPE_ARP) {
		rte_pktmbuf_free(pkt); /* for the IPv4 gateway */
		pkt = env_injected(lc);
	}
	if (!pkt)
		return s;
	f = rte_pktmbuf_mtod(pkt, const uint8_t *);
	nd = f + 54;
	cr_assert_eq(pkt_meta(pkt)->flags, PKT_FRAME);
	cr_assert_eq(load_be16(f + 12), ETHERTYPE_IP6);
	cr_assert_eq(rte_pktmbuf_pkt_len(pkt), 86);
	cr_assert_eq(ip6_l4_sum(f + 14, PROTO_ICMP6, nd, 32), 0xffff);
	s = (struct said){ .type = nd[0],
			   .flags = nd[4],
			   .to = f[5],
			   .hops = f[14 + IP6_HOPS],
			   .option = nd[24],
			   .station = nd[31] };
	s.src.family = s.dst.family = s.target.family = IP_V6;
	memcpy(s.src.b, f + 14 + IP6_SRC, 16);
	memcpy(s.dst.b, f + 14 + IP6_DST, 16);
	memcpy(s.target.b, nd + 8, 16);
	rte_pktmbuf_free(pkt);
	return s;
}

static bool is(const struct ip_addr *a, const char *text)
{
	struct ip_addr b = env_addr(text);

	return ip_addr_equal(a, &b);
}

Test(host6, solicitations_are_answered)
{
	struct nd ask = { .src = HOST,
			  .dst = "ff02::1:ff00:fe",
			  .target = LAN_ADDR6,
			  .type = ND_SOLICIT,
			  .station = 7 };
	struct said s;

	heard(&ask);
	s = say();
	cr_expect(s.type == ND_ADVERT && s.flags == (R | S | O) && s.hops == 255);
	cr_expect(is(&s.src, LAN_ADDR6) && is(&s.dst, HOST) && is(&s.target, LAN_ADDR6));
	cr_expect(s.option == 2 && s.station == 0xfe && s.to == 7);
	ask.target = LAN_LINK;
	ask.src = "fe80::77";
	heard(&ask);
	s = say();
	cr_expect(is(&s.src, LAN_LINK) && is(&s.dst, "fe80::77"));
	ask.target = "2001:db8:1::99";
	heard(&ask);
	cr_expect_eq(say().type, 0, "not for others");
	ask.target = WAN_ADDR6;
	heard(&ask);
	cr_expect_eq(say().type, 0, "not for the address of another port");
	/* somebody tries our address for himself */
	ask = (struct nd){
		.src = "::", .dst = "ff02::1:ff00:fe", .target = LAN_ADDR6, .type = ND_SOLICIT
	};
	heard(&ask);
	s = say();
	cr_expect(s.type == ND_ADVERT && s.flags == (R | O) && is(&s.dst, "ff02::1") && s.to == 1);
	cr_expect_eq(dropped(DROP_nd_malformed), 0);
}

Test(host6, rubbish)
{
	const struct nd good = { .src = HOST,
				 .dst = "ff02::1:ff00:fe",
				 .target = LAN_ADDR6,
				 .type = ND_SOLICIT,
				 .station = 7 };
	struct nd bad[5] = { good, good, good, good, good };
	struct rte_mbuf *pkt;
	unsigned n = 0;

	bad[0].hops = 254;
	bad[1].target = "ff02::9";
	bad[2].src = "::"; /* with an option */
	bad[3] = (struct nd){ .src = HOST,
			      .dst = "ff02::1",
			      .target = HOST,
			      .type = ND_ADVERT,
			      .flags = S,
			      .station = 7 };
	bad[4].src = "::";
	bad[4].station = 0;
	bad[4].dst = LAN_ADDR6; /* a probe to one */
	for (; n < 5; n++) {
		heard(&bad[n]);
		cr_expect_eq(say().type, 0, "case %u", n);
		cr_expect_eq(dropped(DROP_nd_malformed), n + 1, "case %u", n);
	}
	static const struct {
		uint8_t at, value;
	} bytes[] = { { 41, 1 }, { 42, 0xaa }, { 65, 0 }, { 65, 2 } };
	for (unsigned i = 0; i < RTE_DIM(bytes); i++) {
		uint16_t sum = 0;
		pkt = nd_packet(&good);
		uint8_t *ip = rte_pktmbuf_mtod(pkt, uint8_t *);
		ip[bytes[i].at] = bytes[i].value;
		if (bytes[i].at != 42) { /* wrong in something else than the checksum */
			memcpy(ip + 42, &sum, 2);
			sum = (uint16_t)~ip6_l4_sum(ip, PROTO_ICMP6, ip + 40, 32);
			memcpy(ip + 42, &sum, 2);
		}
		input(pkt);
		cr_expect_eq(say().type, 0);
		cr_expect_eq(dropped(DROP_nd_malformed), ++n, "byte %u", bytes[i].at);
	}
	for (uint16_t cut = 1; cut < 32; cut++) {
		pkt = nd_packet(&good);
		rte_pktmbuf_trim(pkt, cut);
		input(pkt);
		cr_expect_eq(say().type, 0);
	}
}

static struct neigh *neighbour(const char *text)
{
	struct ip_addr a = env_addr(text);

	for (unsigned b = 0; b < NEIGH_BUCKETS; b++)
		for (struct neigh *n = dp->bucket[b]; n; n = n->next)
			if (ip_addr_equal(&n->addr, &a))
				return n;
	return NULL;
}

static struct rte_mbuf *waits(const char *dst)
{
	struct env_packet6 p = {
		.port = 0, .src = "2001:db8:2::1", .dst = dst, .next = PROTO_UDP, .len = 20
	};
	struct rte_mbuf *pkt = env_ip6(lc, &p);

	pkt_meta(pkt)->flags = PKT_UNRESOLVED;
	return pkt;
}

Test(host6, packets_wait_for_their_neighbour)
{
	struct nd answer = { .src = HOST,
			     .dst = LAN_ADDR6,
			     .target = HOST,
			     .type = ND_ADVERT,
			     .flags = S | O,
			     .station = 7 };
	struct rte_mbuf *pkt;
	struct said s;

	input(waits(HOST));
	input(waits(HOST));
	s = say();
	cr_expect(s.type == ND_SOLICIT && is(&s.dst, "ff02::1:ff00:77") && s.to == 0x77);
	cr_expect(is(&s.src, LAN_ADDR6) && is(&s.target, HOST) && s.option == 1 &&
		  s.station == 0xfe);
	cr_expect_eq(say().type, 0, "one question");
	heard(&answer);
	for (unsigned i = 0; i < 2; i++) {
		pkt = env_injected(lc);
		cr_assert(pkt);
		cr_expect_eq(rte_pktmbuf_mtod(pkt, uint8_t *)[5], 7);
		cr_expect_eq(load_be16(rte_pktmbuf_mtod_offset(pkt, uint8_t *, 12)), ETHERTYPE_IP6);
		cr_expect_eq(pkt_meta(pkt)->port, 1);
		rte_pktmbuf_free(pkt);
	}
	struct fib *fib = fib_snapshot(dp);
	struct ip_addr host = env_addr(HOST);
	cr_expect_eq(fib_lookup_addr(fib, &host)->kind, HOP_READY);
	fib_free(fib);
	/* asked directly when the answer is old, and forgotten when silent */
	uint64_t now = dp_now_ms();
	for (unsigned i = 0; i < 3; i++) {
		bool seen = false;
		neigh_tick(dp, now + 61000 + i * 1100);
		for (s = say(); s.type; s = say())
			seen |= is(&s.target, HOST) && is(&s.dst, HOST) && s.to == 7;
		cr_expect(seen, "round %u", i);
	}
	neigh_tick(dp, now + 65000);
	cr_expect_null(neighbour(HOST));
}

Test(host6, a_host_that_is_not_there_is_told)
{
	uint64_t now = dp_now_ms();
	struct rte_mbuf *pkt;
	unsigned told = 0;

	input(waits(HOST));
	for (unsigned i = 1; i < 6; i++)
		neigh_tick(dp, now + i * 1100);
	while ((pkt = env_injected(lc))) {
		const uint8_t *ip = rte_pktmbuf_mtod(pkt, const uint8_t *);
		told += !(pkt_meta(pkt)->flags & PKT_FRAME) && ip_version(ip) == 6 && ip[40] == 1 &&
			ip[41] == 3;
		rte_pktmbuf_free(pkt);
	}
	cr_expect_eq(told, 1);
	cr_expect_eq(dropped(DROP_no_neighbour), 1);
}

/* RFC 4861 section 7.2.5, case by case. */
Test(host6, override_rule)
{
	static const struct {
		uint8_t state, flags, station; /* before, what comes (0: no option) */
		uint8_t then, mac;             /* state and station afterwards */
	} cases[] = {
		{ NEIGH_ASKING, S | O, 0, NEIGH_ASKING, 0 },
		{ NEIGH_ASKING, S, 7, NEIGH_GOOD, 7 },
		{ NEIGH_ASKING, 0, 7, NEIGH_STALE, 7 },
		{ NEIGH_GOOD, 0, 8, NEIGH_STALE, 7 },
		{ NEIGH_GOOD, S, 8, NEIGH_STALE, 7 },
		{ NEIGH_PROBING, S, 8, NEIGH_PROBING, 7 },
		{ NEIGH_GOOD, O, 8, NEIGH_STALE, 8 },
		{ NEIGH_GOOD, S | O, 8, NEIGH_GOOD, 8 },
		{ NEIGH_STALE, S, 7, NEIGH_GOOD, 7 },
		{ NEIGH_STALE, S, 0, NEIGH_GOOD, 7 },
		{ NEIGH_STALE, O, 7, NEIGH_STALE, 7 },
		{ NEIGH_PROBING, S | O, 0, NEIGH_GOOD, 7 },
		{ NEIGH_PROBING, O, 0, NEIGH_PROBING, 7 },
	};
	struct ip_addr host = env_addr(HOST);

	for (unsigned i = 0; i < RTE_DIM(cases); i++) {
		struct nd m = { .src = HOST,
				.dst = LAN_ADDR6,
				.target = HOST,
				.type = ND_ADVERT,
				.flags = cases[i].flags,
				.station = cases[i].station };
		struct neigh *n;

		neigh_pin(dp, 1, &host);
		n = neighbour(HOST);
		cr_assert(n);
		n->state = cases[i].state;
		memset(n->mac, 0, 6);
		if (n->state != NEIGH_ASKING)
			memcpy(n->mac, (uint8_t[]){ 2, 0, 0, 0, 0, 7 }, 6);
		heard(&m);
		cr_expect_eq(n->state, cases[i].then, "case %u: state %u", i, n->state);
		cr_expect_eq(n->mac[5], cases[i].mac, "case %u: station %u", i, n->mac[5]);
	}
	cr_expect_eq(dropped(DROP_nd_malformed), 0);
}

/* A question in the name of a neighbour that we know does not move it. */
Test(host6, questions_teach_little)
{
	struct nd ask = { .src = HOST,
			  .dst = "ff02::1:ff00:fe",
			  .target = LAN_ADDR6,
			  .type = ND_SOLICIT,
			  .station = 7 };
	struct nd advert = { .src = "fe80::9",
			     .dst = "ff02::1",
			     .target = "fe80::9",
			     .type = ND_ADVERT,
			     .flags = O,
			     .station = 9 };
	struct said s;

	heard(&ask);
	say();
	cr_assert(neighbour(HOST));
	cr_expect_eq(neighbour(HOST)->state, NEIGH_STALE);
	ask.station = 66;
	heard(&ask);
	cr_expect_eq(neighbour(HOST)->mac[5], 7);
	s = say();
	cr_expect(s.type == ND_SOLICIT && s.to == 7, "the known one is asked");
	ask.src = "2001:db8:7::1"; /* not on this link */
	heard(&ask);
	ask.src = LAN_ADDR6; /* claims to be us */
	heard(&ask);
	heard(&advert); /* nobody asked */
	cr_expect_null(neighbour("2001:db8:7::1"));
	cr_expect_null(neighbour("fe80::9"));
	cr_expect_null(neighbour(LAN_ADDR6));
	while (say().type)
		;
}

/* ------------------------------------------------------------------------- ICMPv6 ----------- */

static struct rte_mbuf *echo(const char *src, const char *dst, uint8_t type)
{
	uint8_t data[48] = { type };
	struct env_packet6 p = { .port = 1,
				 .src = src,
				 .dst = dst,
				 .next = PROTO_ICMP6,
				 .data = data,
				 .len = sizeof(data),
				 .sum = true };

	for (unsigned i = 8; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 3);
	return env_ip6(lc, &p);
}

Test(host6, echo)
{
	struct rte_mbuf *pkt;
	const uint8_t *ip;

	input(echo(HOST, LAN_ADDR6, 128));
	pkt = env_injected(lc);
	cr_assert(pkt);
	ip = rte_pktmbuf_mtod(pkt, const uint8_t *);
	cr_expect_eq(pkt_meta(pkt)->flags, PKT_LOCAL_OUT);
	cr_expect_eq(rte_pktmbuf_pkt_len(pkt), 88);
	cr_expect(memcmp(ip + IP6_SRC, env_addr(LAN_ADDR6).b, 16) == 0);
	cr_expect(memcmp(ip + IP6_DST, env_addr(HOST).b, 16) == 0);
	cr_expect_eq(ip[40], 129);
	cr_expect_eq(ip[60], 60);
	cr_expect_eq(ip6_l4_sum(ip, PROTO_ICMP6, ip + 40, 48), 0xffff);
	rte_pktmbuf_free(pkt);

	pkt = echo(HOST, LAN_ADDR6, 128);
	rte_pktmbuf_mtod(pkt, uint8_t *)[50] ^= 1;
	input(pkt);
	input(echo(HOST, LAN_ADDR6, 129));
	cr_expect_null(env_injected(lc), "a bad checksum and an answer are not answered");
	cr_expect_eq(dropped(DROP_ip_not_ours), 2);
	/* on the link: no route leads back */
	input(echo("fe80::77", LAN_LINK, 128));
	cr_expect_eq(say().type, ND_SOLICIT);
	for (unsigned i = 0; i < 400; i++) {
		input(echo(HOST, LAN_ADDR6, 128));
		rte_pktmbuf_free(env_injected(lc));
	}
	cr_expect_geq(dropped(DROP_punt_policed), 150, "a flood is not answered in full");
}

static struct rte_mbuf *refused(const char *src, uint8_t next, uint8_t type, uint32_t why)
{
	static uint8_t data[1400];
	struct env_packet6 p = { .port = 1,
				 .src = src,
				 .dst = "2001:db8:2::1",
				 .next = next,
				 .data = data,
				 .len = sizeof(data) };
	struct rte_mbuf *pkt;

	data[0] = type;
	pkt = env_ip6(lc, &p);
	pkt_meta(pkt)->flags = PKT_ERROR;
	pkt_meta(pkt)->slot = why;
	return pkt;
}

Test(host6, errors)
{
	static const struct {
		uint32_t why;
		uint8_t type, code;
		uint32_t mtu;
	} cases[] = { { (uint32_t)DROP_too_big << 16 | 1400, 2, 0, 1400 },
		      { (uint32_t)DROP_ip_ttl << 16, 3, 0, 0 },
		      { (uint32_t)DROP_no_route << 16, 1, 0, 0 },
		      { (uint32_t)DROP_no_neighbour << 16, 1, 3, 0 } };
	struct rte_mbuf *pkt;
	const uint8_t *ip;

	for (unsigned i = 0; i < RTE_DIM(cases); i++) {
		input(refused(HOST, PROTO_UDP, 9, cases[i].why));
		pkt = env_injected(lc);
		cr_assert(pkt);
		ip = rte_pktmbuf_mtod(pkt, const uint8_t *);
		cr_expect_eq(rte_pktmbuf_pkt_len(pkt), IP6_MTU_MIN);
		cr_expect(ip[40] == cases[i].type && ip[41] == cases[i].code, "case %u", i);
		cr_expect_eq(load_be32(ip + 44), cases[i].mtu);
		cr_expect_eq(ip6_l4_sum(ip, PROTO_ICMP6, ip + 40, 1240), 0xffff);
		cr_expect(memcmp(ip + IP6_SRC, env_addr(LAN_ADDR6).b, 16) == 0);
		cr_expect(memcmp(ip + IP6_DST, env_addr(HOST).b, 16) == 0);
		cr_expect_eq(ip[48], 0x60);
		rte_pktmbuf_free(pkt);
	}
}

Test(host6, what_is_not_answered)
{
	const uint32_t why = (uint32_t)DROP_too_big << 16 | 1400;
	struct rte_mbuf *pkt;
	unsigned sent = 0;

	input(refused(HOST, PROTO_ICMP6, 1, why));
	input(refused(HOST, PROTO_ICMP6, 137, why));
	input(refused("::", PROTO_UDP, 0, why));
	input(refused("ff02::1", PROTO_UDP, 0, why));
	input(refused("fe80::7", PROTO_UDP, 0, why));
	cr_expect_null(env_injected(lc), "errors, redirects, nobody and many");
	input(refused(HOST, PROTO_ICMP6, 128, why));
	pkt = env_injected(lc);
	cr_expect(pkt, "an echo is told");
	rte_pktmbuf_free(pkt);
	for (unsigned i = 0; i < 100; i++) {
		input(refused(HOST, PROTO_UDP, 0, why));
		pkt = env_injected(lc);
		sent += pkt != NULL;
		rte_pktmbuf_free(pkt);
	}
	cr_expect_lt(sent, 40, "a flood is not answered in full: %u", sent);
	/* out of a tunnel, with no policy that would protect the answer */
	dp->icmp_due = 0;
	pkt = refused("2001:db8:2::9", PROTO_UDP, 0, why);
	pkt_meta(pkt)->flags |= PKT_FROM_ESP;
	input(pkt);
	cr_expect_null(env_injected(lc));
}

/* ------------------------------------------------------------------------- IKE -------------- */

static struct dp_udp_path last_path;
static uint8_t last_data[8192];
static size_t last_len;
static unsigned n_ike;

static void on_ike(void *ctx, const struct dp_udp_path *path, const uint8_t *data, size_t len)
{
	(void)ctx;
	last_path = *path;
	last_len = len;
	memcpy(last_data, data, len);
	n_ike++;
}

Test(host6, ike_checks)
{
	uint8_t udp[48] = { 0x01, 0xf4, 0x01, 0xf4, 0, 48 };
	struct env_packet6 p = { .port = 0,
				 .src = "2001:db8:2::9",
				 .dst = WAN_ADDR6,
				 .next = PROTO_UDP,
				 .data = udp,
				 .len = sizeof(udp),
				 .sum = true };
	struct rte_mbuf *pkt;

	dp->cb.on_ike = on_ike;
	input(env_ip6(lc, &p));
	cr_assert_eq(n_ike, 1);
	cr_expect_eq(last_len, 40);
	cr_expect(is(&last_path.remote, "2001:db8:2::9") && is(&last_path.local, WAN_ADDR6));
	pkt = env_ip6(lc, &p);
	rte_pktmbuf_mtod(pkt, uint8_t *)[60] ^= 1;
	input(pkt);
	cr_expect_eq(n_ike, 1, "bad checksum");
	p.sum = false;
	input(env_ip6(lc, &p));
	cr_expect_eq(n_ike, 1, "no checksum");
	p.sum = true;
	udp[5] = 49;
	input(env_ip6(lc, &p));
	cr_expect_eq(n_ike, 1, "longer than the packet");
	store_be16(udp + 2, 4500);
	udp[5] = 48;
	input(env_ip6(lc, &p));
	cr_expect_eq(n_ike, 2);
	cr_expect_eq(last_len, 36, "without the marker");
	cr_expect_eq(dropped(DROP_ip_not_ours), 3);
}

/* What dp_send_udp() makes, in one piece and in several, must be what comes out again. */
Test(host6, datagrams_sent_are_sound)
{
	struct dp_udp_path path = { .local = env_addr(WAN_ADDR6),
				    .remote = env_addr("2001:db8:9::2"),
				    .local_port = 4500,
				    .remote_port = 4500 };
	static const unsigned sizes[] = { 1, 100, 1448, 1449, 1450, 5000 };
	static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 7 };
	static uint8_t data[5000];

	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 11);
	neigh_claim(dp, 0, &path.remote, mac, true);
	dp->cb.on_ike = on_ike;
	for (unsigned i = 0; i < RTE_DIM(sizes); i++) {
		unsigned n = 0;
		cr_assert_eq(dp_send_udp(dp, &path, true, data, sizes[i]), 0);
		for (struct rte_mbuf *pkt; (pkt = env_injected(lc)); n++) {
			uint8_t *ip = (uint8_t *)rte_pktmbuf_adj(pkt, ETH_LEN);
			cr_assert_leq(rte_pktmbuf_pkt_len(pkt), 1500);
			cr_assert_eq(ip6_total(ip), rte_pktmbuf_pkt_len(pkt));
			*pkt_meta(pkt) = (struct pkt_meta){ 0 };
			/* as if the peer had sent it: the pseudo-header has the same sum */
			memcpy(ip + IP6_SRC, path.remote.b, 16);
			memcpy(ip + IP6_DST, path.local.b, 16);
			if (ip[IP6_NEXT] == PROTO_FRAGMENT)
				pkt = reassembly_add(lc, pkt);
			if (pkt)
				input(pkt);
		}
		cr_expect_eq(n,
			     sizes[i] <= 1448   ? 1
			     : sizes[i] <= 2000 ? 2
						: 4,
			     "%u pieces of %u", n, sizes[i]);
		cr_assert_eq(n_ike, i + 1, "%u bytes", sizes[i]);
		cr_expect_eq(last_len, sizes[i]);
		cr_expect_arr_eq(last_data, data, sizes[i]);
	}
	path.local = env_addr(HOST);
	cr_expect_eq(dp_send_udp(dp, &path, true, data, 10), -EADDRNOTAVAIL);
	path.local = ip_addr_v4(WAN_ADDR);
	cr_expect_eq(dp_send_udp(dp, &path, true, data, 10), -EAFNOSUPPORT);
	path.local = env_addr(WAN_ADDR6);
	path.remote = env_addr(LAN_ADDR6);
	cr_expect_eq(dp_send_udp(dp, &path, true, data, 10), -ENETUNREACH);
}
