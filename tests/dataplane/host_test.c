/* Being a host: ARP and neighbours, ICMP, datagrams for IKE. */
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

TestSuite(host, .init = start, .fini = finish);

static uint64_t dropped(enum drop_reason reason)
{
	return dp->worker[0].drop[reason];
}

static void input(struct rte_mbuf *pkt)
{
	host_input(dp, &dp->worker[0], pkt);
}

/* ------------------------------------------------------------------------- ARP -------------- */

#define HOST 0x0a010007

static const uint8_t host_mac[6] = { 2, 0, 0, 0, 1, 7 };

static struct rte_mbuf *arp(uint8_t port, uint16_t op, uint32_t spa, uint32_t tpa)
{
	static const uint8_t head[8] = { 0, 1, 8, 0, 6, 4, 0, 0 };
	struct rte_mbuf *pkt = rte_pktmbuf_alloc(lc->pool);
	uint8_t *f = (uint8_t *)rte_pktmbuf_append(pkt, 60);

	cr_assert(f);
	memset(f, 0, 60);
	memset(f, 0xff, 6);
	memcpy(f + 6, host_mac, 6);
	store_be16(f + 12, ETHERTYPE_ARP);
	memcpy(f + 14, head, 8);
	store_be16(f + 20, op);
	memcpy(f + 22, host_mac, 6);
	store_be32(f + 28, spa);
	store_be32(f + 38, tpa);
	*pkt_meta(pkt) = (struct pkt_meta){ .port = port, .flags = PKT_FRAME, .l3_off = 14 };
	return pkt;
}

/* Expects one injected ARP packet, frees it, returns its operation and target. */
static uint16_t asked(uint32_t *target)
{
	struct rte_mbuf *pkt = env_injected(lc);
	const uint8_t *f;
	uint16_t op;

	if (!pkt)
		return 0;
	f = rte_pktmbuf_mtod(pkt, const uint8_t *);
	cr_assert_eq(pkt_meta(pkt)->flags, PKT_FRAME);
	cr_assert_eq(load_be16(f + 12), ETHERTYPE_ARP);
	cr_assert_eq(rte_pktmbuf_pkt_len(pkt), 60);
	op = load_be16(f + 20);
	*target = load_be32(f + 38);
	rte_pktmbuf_free(pkt);
	return op;
}

Test(host, arp_answers_for_us_only)
{
	uint32_t target;

	input(arp(1, 1, HOST, LAN_ADDR));
	cr_expect_eq(asked(&target), 2);
	cr_expect_eq(target, HOST);
	input(arp(1, 1, HOST, 0x0a010063));
	cr_expect_eq(asked(&target), 0);
	input(arp(0, 1, 0x0a090005, LAN_ADDR));
	cr_expect_eq(asked(&target), 0, "not for the address of another port");
	input(arp(1, 2, HOST, LAN_ADDR));
	cr_expect_eq(asked(&target), 0, "an answer is not answered");
}

Test(host, arp_rubbish)
{
	static const struct {
		uint8_t offset, value;
	} bad[] = { { 15, 6 }, { 16, 0x86 }, { 18, 8 }, { 19, 16 }, { 22, 3 }, { 23, 1 } };
	struct rte_mbuf *pkt;
	uint32_t target;

	for (unsigned i = 0; i < 6; i++) {
		pkt = arp(1, 1, HOST, LAN_ADDR);
		rte_pktmbuf_mtod(pkt, uint8_t *)[bad[i].offset] = bad[i].value;
		input(pkt);
		cr_expect_eq(asked(&target), 0);
		cr_expect_eq(dropped(DROP_arp_malformed), i + 1);
	}
	pkt = arp(1, 1, HOST, LAN_ADDR);
	rte_pktmbuf_trim(pkt, 60 - 41);
	input(pkt);
	cr_expect_eq(dropped(DROP_arp_malformed), 7);
}

static enum hop_kind kind_of(uint32_t addr)
{
	struct fib *fib = fib_snapshot(dp);
	enum hop_kind kind = fib_lookup(fib, addr)->kind;

	fib_free(fib);
	return kind;
}

Test(host, arp_teaches_little)
{
	uint32_t target;

	input(arp(1, 1, 0xc0a80005, LAN_ADDR)); /* not on this link */
	input(arp(1, 1, LAN_ADDR, LAN_ADDR));	/* claims to be us */
	input(arp(1, 1, 0, LAN_ADDR));		/* a probe */
	input(arp(1, 2, 0x0a010008, 0x0a010009)); /* between others */
	while (asked(&target))
		;
	cr_expect_eq(dp->n_neigh, 1, "the gateway of the default route alone, got %u", dp->n_neigh);
	input(arp(1, 1, HOST, LAN_ADDR));
	asked(&target);
	cr_expect_eq(dp->n_neigh, 2);
	cr_expect(dp->fib_stale);
	cr_expect_eq(kind_of(HOST), HOP_READY);
}

static struct rte_mbuf *unresolved(uint32_t addr, uint8_t port)
{
	struct env_packet p = { .src = 0x0a020001, .dst = addr, .proto = PROTO_UDP, .payload = 20 };
	struct rte_mbuf *pkt = env_ip(lc, &p);

	*pkt_meta(pkt) = (struct pkt_meta){ .port = port, .flags = PKT_UNRESOLVED };
	return pkt;
}

/* A route of 16 bits to the link of port 1. */
static void link_add(uint32_t dst)
{
	dp->route[dp->n_routes++] = fib_route_v4(dst, 16, HOP_CONNECTED, 1, 0);
	fib_free(dp->fib);
	dp->fib = fib_snapshot(dp);
}

Test(host, packets_wait_for_their_neighbour)
{
	uint32_t target = 0;

	for (unsigned i = 0; i < NEIGH_QUEUE + 3; i++)
		input(unresolved(HOST, 1));
	cr_expect_eq(asked(&target), 1, "one question");
	cr_expect_eq(target, HOST);
	cr_expect_eq(asked(&target), 0);
	cr_expect_eq(dropped(DROP_no_neighbour), 3, "the queue is bounded");
	input(arp(1, 2, HOST, LAN_ADDR));
	for (unsigned i = 0; i < NEIGH_QUEUE; i++) {
		struct rte_mbuf *pkt = env_injected(lc);
		cr_assert(pkt);
		cr_expect_arr_eq(rte_pktmbuf_mtod(pkt, uint8_t *), host_mac, 6);
		cr_expect_eq(pkt_meta(pkt)->port, 1);
		cr_expect_eq(pkt_meta(pkt)->flags, PKT_FRAME);
		rte_pktmbuf_free(pkt);
	}
	input(unresolved(HOST, 1));
	cr_expect_eq(rte_ring_count(lc->inject), 1, "at once when it is known");
}

Test(host, neighbours_age)
{
	uint64_t now = dp_now_ms();
	uint32_t target;

	input(arp(1, 1, HOST, LAN_ADDR));
	asked(&target);
	dp->fib_stale = false;
	neigh_tick(dp, now + 1000);
	while (asked(&target))
		cr_expect_eq(target, 0x0a0900fe, "only the unknown gateway is asked for");
	for (unsigned i = 0; i < 3; i++) {
		bool seen = false;
		neigh_tick(dp, now + 61000 + i * 1100);
		while (asked(&target))
			seen |= target == HOST;
		cr_expect(seen, "asked again after a minute, round %u", i);
		cr_expect_eq(kind_of(HOST), HOP_READY, "and used meanwhile");
	}
	neigh_tick(dp, now + 65000);
	cr_expect_eq(kind_of(HOST), HOP_CONNECTED, "forgotten");
	cr_expect_eq(dp->n_neigh, 1, "the gateway is not");
}

/* The station that a snapshot has for a neighbour. */
static uint8_t station_of(uint32_t addr)
{
	struct fib *fib = fib_snapshot(dp);
	uint8_t last = fib_lookup(fib, addr)->eth[5];

	fib_free(fib);
	return last;
}

static void arp_from(uint8_t last, uint16_t op)
{
	struct rte_mbuf *pkt = arp(1, op, HOST, LAN_ADDR);
	uint8_t *f = rte_pktmbuf_mtod(pkt, uint8_t *);

	f[11] = f[27] = last;
	input(pkt);
}

/* Who is asked next, by the station that the frame goes to; 0: nobody. */
static uint8_t asked_directly(void)
{
	struct rte_mbuf *pkt;
	uint8_t last = 0;

	while ((pkt = env_injected(lc))) {
		const uint8_t *f = rte_pktmbuf_mtod(pkt, const uint8_t *);
		if (load_be16(f + 20) == 1 && load_be32(f + 38) == HOST)
			last = f[5];
		rte_pktmbuf_free(pkt);
	}
	return last;
}

Test(host, an_address_is_not_given_up_while_its_station_answers)
{
	uint64_t now;
	struct neigh *n = NULL;

	arp_from(7, 2);	 /* not asked for: nothing to learn */
	input(unresolved(HOST, 1));
	asked_directly();
	arp_from(7, 2);
	for (unsigned b = 0; b < NEIGH_BUCKETS && !n; b++)
		for (n = dp->bucket[b]; n && ip_addr_to_v4(&n->addr) != HOST;)
			n = n->next;
	cr_assert(n);
	asked_directly();
	n->good_ms -= 5000; /* a while ago */
	for (uint16_t op = 1; op <= 2; op++) {
		arp_from(66, op);
		cr_expect_eq(asked_directly(), 7, "the one that we know is asked");
		cr_expect_eq(station_of(HOST), 7);
		arp_from(66, op);
		arp_from(7, 2);
		cr_expect_eq(n->state, NEIGH_GOOD);
		cr_expect_eq(station_of(HOST), 7, "and keeps the address");
		n->good_ms -= 5000;
		asked_directly();
	}
	/* right after an answer the question waits */
	n->good_ms = dp_now_ms();
	arp_from(66, 2);
	cr_expect_eq(asked_directly(), 0);
	now = dp_now_ms() + 2000;
	for (unsigned i = 0; i < 3; i++, now += 400) {
		neigh_tick(dp, now);
		cr_expect_eq(asked_directly(), 7, "question %u", i);
		cr_expect_eq(station_of(HOST), 7);
	}
	neigh_tick(dp, now);
	cr_expect_eq(station_of(HOST), 66, "silent: the other one has it");
	neigh_tick(dp, now + 200);
	cr_expect_eq(asked_directly(), 66, "and has to answer, too");
}

Test(host, neighbour_table_is_bounded)
{
	dp->port[1].addr[0] = (struct ip_prefix){ ip_addr_v4(0x0a010001), 16 };
	link_add(0x0a010000);
	for (uint32_t i = 0; i < NEIGH_MAX + 100; i++) {
		uint32_t target;
		input(unresolved(0x0a010100 + i, 1));
		asked(&target);
		/* keep the pool: a question is enough here */
		if (i % 50 == 49)
			for (unsigned b = 0; b < NEIGH_BUCKETS; b++)
				for (struct neigh *n = dp->bucket[b]; n; n = n->next) {
					rte_pktmbuf_free_bulk(n->queue, n->n_queue);
					dp->n_waiting -= n->n_queue;
					n->n_queue = 0;
				}
	}
	cr_expect_eq(dp->n_neigh, NEIGH_MAX);
	cr_expect_eq(dropped(DROP_no_neighbour), 101);
}

/* Whoever sits on the link can ask in the name of every address of it. */
Test(host, questions_to_us_leave_room_in_the_table)
{
	uint32_t target;

	dp->port[1].addr[0].len = 16;
	for (uint32_t i = 0; i < NEIGH_MAX + 100; i++) {
		input(arp(1, 1, 0x0a010100 + i, LAN_ADDR));
		while (asked(&target))
			;
	}
	cr_expect_eq(dp->n_neigh, NEIGH_LEARNT);
	input(unresolved(HOST, 1));
	cr_expect_eq(dp->n_neigh, NEIGH_LEARNT + 1);
	cr_expect_eq(asked(&target), 1);
	cr_expect_eq(target, HOST);
}

Test(host, packets_that_wait_are_bounded_together)
{
	uint32_t target;

	dp->n_waiting = NEIGH_WAITING - 1;
	input(unresolved(HOST, 1));
	input(unresolved(HOST + 1, 1));
	while (asked(&target))
		;
	cr_expect_eq(dropped(DROP_no_neighbour), 1);
	cr_expect_eq(dp->n_waiting, NEIGH_WAITING);
}

/* A route without a gateway: its addresses are on the link, though not of our prefix. */
Test(host, answers_from_beyond_our_prefix)
{
	const uint32_t beyond = 0x0a800005;
	uint32_t target;

	link_add(0x0a800000);
	input(unresolved(beyond, 1));
	cr_expect_eq(asked(&target), 1);
	input(arp(1, 2, beyond, LAN_ADDR));
	struct rte_mbuf *pkt = env_injected(lc);
	cr_assert(pkt, "the packet that waited");
	cr_expect_arr_eq(rte_pktmbuf_mtod(pkt, uint8_t *), host_mac, 6);
	rte_pktmbuf_free(pkt);
}

/* ------------------------------------------------------------------------- ICMP ------------- */

static const struct env_packet ping = { .port = 1, .src = HOST, .dst = LAN_ADDR,
					.proto = PROTO_ICMP, .payload = 40 };

static struct rte_mbuf *echo(void)
{
	struct rte_mbuf *pkt = env_ip(lc, &ping);
	uint8_t *icmp = rte_pktmbuf_mtod_offset(pkt, uint8_t *, 20);
	uint16_t sum;

	icmp[0] = 8;
	icmp[1] = icmp[2] = icmp[3] = 0;
	sum = (uint16_t)~sum_fold(sum_add(0, icmp, 40));
	memcpy(icmp + 2, &sum, 2);
	return pkt;
}

Test(host, echo)
{
	struct rte_mbuf *pkt;
	const uint8_t *ip;

	input(echo());
	pkt = env_injected(lc);
	cr_assert(pkt);
	ip = rte_pktmbuf_mtod(pkt, const uint8_t *);
	cr_expect_eq(load_be32(ip + IP4_SRC), LAN_ADDR);
	cr_expect_eq(load_be32(ip + IP4_DST), HOST);
	cr_expect(ip4_sum_ok(ip));
	cr_expect_eq(ip[20], 0);
	cr_expect_eq(sum_fold(sum_add(0, ip + 20, 40)), 0xffff);
	cr_expect_eq(pkt_meta(pkt)->flags, PKT_LOCAL_OUT);
	rte_pktmbuf_free(pkt);

	pkt = echo();
	rte_pktmbuf_mtod(pkt, uint8_t *)[50] ^= 1;
	input(pkt);
	cr_expect_null(env_injected(lc), "a bad checksum is not answered");
	for (unsigned i = 0; i < 400; i++) {
		input(echo());
		rte_pktmbuf_free(env_injected(lc));
	}
	cr_expect_geq(dropped(DROP_punt_policed), 150, "a flood is not");
}

static struct rte_mbuf *dropped_packet(uint8_t proto, uint16_t frag)
{
	struct env_packet p = { .port = 1, .src = HOST, .dst = 0x0a020001, .proto = proto,
				.frag = frag, .payload = 1300 };
	struct rte_mbuf *pkt = env_ip(lc, &p);

	pkt_meta(pkt)->flags = PKT_ERROR;
	pkt_meta(pkt)->slot = (uint32_t)DROP_too_big << 16 | 1234;
	return pkt;
}

Test(host, icmp_error)
{
	struct rte_mbuf *pkt = dropped_packet(PROTO_UDP, IP4_DF);
	uint8_t quoted[48];
	const uint8_t *ip;

	memcpy(quoted, rte_pktmbuf_mtod(pkt, uint8_t *), sizeof(quoted));
	input(pkt);
	pkt = env_injected(lc);
	cr_assert(pkt);
	ip = rte_pktmbuf_mtod(pkt, const uint8_t *);
	cr_expect_eq(rte_pktmbuf_pkt_len(pkt), 576);
	cr_expect_eq(load_be32(ip + IP4_SRC), LAN_ADDR);
	cr_expect_eq(load_be32(ip + IP4_DST), HOST);
	cr_expect(ip4_sum_ok(ip));
	cr_expect_eq(ip[20], 3);
	cr_expect_eq(ip[21], 4);
	cr_expect_eq(load_be16(ip + 26), 1234);
	cr_expect_eq(sum_fold(sum_add(0, ip + 20, 556)), 0xffff);
	cr_expect_arr_eq(ip + 28, quoted, sizeof(quoted));
	rte_pktmbuf_free(pkt);

	input(dropped_packet(PROTO_UDP, 20));
	cr_expect_null(env_injected(lc), "not about a later fragment");
	pkt = dropped_packet(PROTO_ICMP, 0);
	rte_pktmbuf_mtod(pkt, uint8_t *)[20] = 3;
	input(pkt);
	cr_expect_null(env_injected(lc), "not about an error");
	unsigned sent = 0;
	for (unsigned i = 0; i < 100; i++) {
		input(dropped_packet(PROTO_UDP, IP4_DF));
		pkt = env_injected(lc);
		sent += pkt != NULL;
		rte_pktmbuf_free(pkt);
	}
	cr_expect_lt(sent, 40, "a flood is not answered in full: %u", sent);
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

/* A piece of a datagram of 8 + 4000 bytes. */
static struct rte_mbuf *piece(unsigned at, unsigned len, bool more)
{
	struct env_packet p = { .src = 0x0a090002, .dst = WAN_ADDR, .proto = PROTO_UDP };
	static uint8_t datagram[4008];
	struct rte_mbuf *pkt;

	store_be16(datagram, 500);
	store_be16(datagram + 2, 500);
	store_be16(datagram + 4, 4008);
	for (unsigned i = 8; i < 4008; i++)
		datagram[i] = (uint8_t)(i * 3);
	p.frag = (uint16_t)((more ? IP4_MF : 0) | at / 8);
	p.proto = 99; /* no L4 header by the maker */
	p.payload = len;
	p.data = datagram + at;
	pkt = env_ip(lc, &p);
	rte_pktmbuf_mtod(pkt, uint8_t *)[IP4_PROTO] = PROTO_UDP;
	ip4_sum_set(rte_pktmbuf_mtod(pkt, uint8_t *));
	return pkt;
}

/* As the worker does it that puts it together. */
static void input_piece(struct rte_mbuf *pkt)
{
	pkt = reassembly_add(lc, pkt);
	if (pkt)
		input(pkt);
}

Test(host, ike_in_pieces)
{
	dp->cb.on_ike = on_ike;
	input_piece(piece(2000, 1000, true));
	input_piece(piece(0, 2000, true));
	cr_expect_eq(n_ike, 0);
	input_piece(piece(3000, 1008, false));
	cr_assert_eq(n_ike, 1);
	cr_expect_eq(last_len, 4000);
	for (unsigned i = 0; i < 4000; i++)
		cr_assert_eq(last_data[i], (uint8_t)((i + 8) * 3));
	cr_expect_eq(last_path.remote_port, 500);
}

Test(host, ike_checks)
{
	struct env_packet p = { .src = 0x0a090002, .dst = WAN_ADDR, .proto = PROTO_UDP,
				.sport = 4500, .dport = 4500, .payload = 40, .data = last_data };
	struct rte_mbuf *pkt;

	dp->cb.on_ike = on_ike;
	memset(last_data, 0, sizeof(last_data));
	input(env_ip(lc, &p));
	cr_expect_eq(n_ike, 1);
	cr_expect_eq(last_len, 36, "without the marker");
	pkt = env_ip(lc, &p);
	store_be16(rte_pktmbuf_mtod_offset(pkt, uint8_t *, 26), 0x1234);
	input(pkt);
	cr_expect_eq(n_ike, 1, "bad UDP checksum");
	pkt = env_ip(lc, &p);
	store_be16(rte_pktmbuf_mtod_offset(pkt, uint8_t *, 24), 49);
	input(pkt);
	cr_expect_eq(n_ike, 1, "UDP longer than IP");
	pkt = env_ip(lc, &p);
	store_be16(rte_pktmbuf_mtod_offset(pkt, uint8_t *, 24), 7);
	input(pkt);
	cr_expect_eq(n_ike, 1, "UDP shorter than its header");
	cr_expect_eq(dropped(DROP_ip_not_ours), 3);
}

/* What dp_send_udp() makes must be what udp_parse() takes. */
Test(host, datagrams_sent_are_sound)
{
	struct dp_udp_path path = { .local = ip_addr_v4(WAN_ADDR), .remote = ip_addr_v4(0x0a090002),
				    .local_port = 4500, .remote_port = 4500 };
	static uint8_t data[5000];
	unsigned n = 0, bytes = 0;

	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 11);
	struct ip_addr peer = ip_addr_v4(0x0a090002);
	neigh_claim(dp, 0, &peer, host_mac, true);
	fib_free(dp->fib);
	dp->fib = fib_snapshot(dp);
	cr_assert_eq(dp_send_udp(dp, &path, true, data, sizeof(data)), 0);
	dp->cb.on_ike = on_ike;
	for (struct rte_mbuf *pkt; (pkt = env_injected(lc)); n++) {
		uint8_t *ip = (uint8_t *)rte_pktmbuf_adj(pkt, ETH_LEN);
		cr_assert_leq(rte_pktmbuf_pkt_len(pkt), 1500);
		cr_assert(ip4_sum_ok(ip));
		bytes += load_be16(ip + IP4_TOTAL) - 20;
		pkt_meta(pkt)->flags = 0;
		/* as if the peer had sent it to us: the pseudo header has the same sum */
		store_be32(ip + IP4_SRC, 0x0a090002);
		store_be32(ip + IP4_DST, WAN_ADDR);
		ip4_sum_set(ip);
		input_piece(pkt);
	}
	cr_expect_eq(n, 4);
	cr_expect_eq(bytes, 8 + 4 + sizeof(data));
	cr_assert_eq(n_ike, 1);
	cr_expect_eq(last_len, sizeof(data));
	cr_expect_arr_eq(last_data, data, sizeof(data));

	path.local = ip_addr_v4(HOST);
	cr_expect_eq(dp_send_udp(dp, &path, true, data, 10), -EADDRNOTAVAIL);
	path.local = ip_addr_v4(WAN_ADDR);
	cr_expect_eq(dp_send_udp(dp, &path, true, data, 65510), -EMSGSIZE);
	path.remote = ip_addr_v4(LAN_ADDR);
	cr_expect_eq(dp_send_udp(dp, &path, true, data, 10), -ENETUNREACH);
}
