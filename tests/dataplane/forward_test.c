/* The forwarding table against a plain longest-prefix search, and stage_forward. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "env.h"
#include "mss.h"

static struct lcore *lc;

static void start(void)
{
	lc = env_start();
}

static void finish(void)
{
	cr_assert_eq(env_leaked(lc), 0, "%u packets leaked", env_leaked(lc));
}

TestSuite(forward, .init = start, .fini = finish);

/* ------------------------------------------------------------------------- the table -------- */

static const struct fib_route *longest(const struct fib_route *r, size_t n, uint32_t dst)
{
	const struct fib_route *best = NULL;

	for (size_t i = 0; i < n; i++) {
		uint8_t len = r[i].dst.len;
		uint32_t mask = len ? UINT32_MAX << (32 - len) : 0;
		if ((dst & mask) == ip_addr_to_v4(&r[i].dst.addr) &&
		    (!best || len >= best->dst.len))
			best = &r[i];
	}
	return best;
}

Test(forward, table_agrees_with_a_plain_search)
{
	struct fib_route r[400];
	struct fib_input in = { .route = r };

	srandom(3);
	for (unsigned size = 1; size <= 400; size += 57) {
		for (unsigned i = 0; i < size; i++) {
			uint8_t len = (uint8_t)(random() % 33);
			uint32_t mask = len ? UINT32_MAX << (32 - len) : 0;
			/* few different high bits, so that prefixes nest */
			uint32_t dst = 0x0a000000 | ((uint32_t)random() & 0x00030303);
			r[i] = fib_route_v4(dst & mask, len, HOP_UNRESOLVED, i % 2, i + 1);
		}
		qsort(r, size, sizeof(r[0]), fib_route_cmp);
		in.n_routes = size;
		struct fib *fib = fib_build(&in);
		cr_assert(fib);
		for (unsigned i = 0; i < 20000; i++) {
			uint32_t dst = 0x0a000000 | ((uint32_t)random() & 0x00070707);
			const struct fib_route *want = longest(r, size, dst);
			const struct next_hop *got = fib_lookup(fib, dst);
			cr_assert_eq(got->kind, want ? HOP_UNRESOLVED : HOP_NONE);
			if (want)
				cr_assert(ip_addr_equal(&fib->gateway[got->gateway], &want->via),
					  "%x of %u", dst, size);
		}
		fib_free(fib);
	}
}

Test(forward, neighbours)
{
	/* a neighbour counts on the link of its own port only, and a route of 32 bits beats it */
	struct fib_route r[] = { fib_route_v4(0x0a010000, 24, HOP_CONNECTED, 1, 0),
				 fib_route_v4(0x0a010080, 25, HOP_UNRESOLVED, 0, 0x0a090002),
				 fib_route_v4(0x0a010008, 32, HOP_UNRESOLVED, 0, 0x0a090002) };
	struct fib_neighbour n[] = { { ip_addr_v4(0x0a010007), 1, { 1 } },
				     { ip_addr_v4(0x0a010008), 1, { 2 } },
				     { ip_addr_v4(0x0a010009), 0, { 3 } },
				     { ip_addr_v4(0x0a010081), 1, { 4 } } };
	struct fib_input in = { .route = r, .n_routes = 3, .neighbour = n, .n_neighbours = 4 };
	struct fib *fib = fib_build(&in);

	cr_assert(fib);
	cr_expect_eq(fib_lookup(fib, 0x0a010007)->kind, HOP_READY);
	cr_expect_eq(fib_lookup(fib, 0x0a010007)->eth[0], 1);
	cr_expect_eq(fib_lookup(fib, 0x0a010006)->kind, HOP_CONNECTED);
	cr_expect_eq(fib_lookup(fib, 0x0a010008)->kind, HOP_UNRESOLVED);
	cr_expect_eq(fib_lookup(fib, 0x0a010009)->kind, HOP_CONNECTED);
	cr_expect_eq(fib_lookup(fib, 0x0a010081)->kind, HOP_UNRESOLVED);
	cr_expect_eq(fib_lookup(fib, 0x0a020001)->kind, HOP_NONE);
	fib_free(fib);
}

/* ------------------------------------------------------------------------- the stage -------- */

static const struct env_packet to_lan = { .src = 0x0a020009, .dst = 0x0a010007, .proto = PROTO_UDP,
					  .payload = 100 };

static uint16_t forward(struct rte_mbuf *pkt)
{
	return stage_forward(lc, &pkt, 1);
}

static const uint8_t *sent(unsigned port, unsigned i)
{
	cr_assert_gt(lc->tx[port].n, i);
	return rte_pktmbuf_mtod(lc->tx[port].pkt[i], const uint8_t *);
}

Test(forward, header_and_ttl)
{
	static const uint8_t eth[] = { 2, 0, 0, 0, 1, 7, 2, 0, 0, 0, 1, 0xfe, 8, 0 };
	const uint8_t *frame;

	cr_assert_eq(forward(env_ip(lc, &to_lan)), 1);
	frame = sent(1, 0);
	cr_expect_arr_eq(frame, eth, sizeof(eth));
	cr_expect_eq(frame[ETH_LEN + IP4_TTL], 63);
	cr_expect(ip4_sum_ok(frame + ETH_LEN));
	cr_expect_eq(lc->count.forwarded, 1);
}

Test(forward, incremental_checksum_is_right_for_every_ttl)
{
	for (unsigned ttl = 2; ttl < 256; ttl++)
		for (unsigned id = 0; id < 65536; id += 771) {
			uint8_t ip[20] = { 0x45, 0, 0, 20, (uint8_t)(id >> 8), (uint8_t)id, 0, 0,
					   (uint8_t)ttl, 17, 0, 0, 10, 1, 1, 1, 10, 2, 2, 2 };
			ip4_sum_set(ip);
			ip4_ttl_decrement(ip);
			cr_assert(ip4_sum_ok(ip), "ttl %u id %u", ttl, id);
			cr_assert_eq(ip[IP4_TTL], ttl - 1);
		}
}

Test(forward, ttl_ends_here)
{
	struct env_packet p = to_lan;
	struct rte_mbuf *pkt, *up;

	p.ttl = 1;
	pkt = env_ip(lc, &p);
	cr_assert_eq(forward(pkt), 0);
	cr_expect_eq(lc->count.drop[DROP_ip_ttl], 1);
	up = env_punted(lc);
	cr_assert_eq(up, pkt);
	cr_expect(pkt_meta(up)->flags & PKT_ERROR);
	cr_expect_eq(pkt_meta(up)->slot >> 16, DROP_ip_ttl);
	rte_pktmbuf_free(up);

	pkt = env_ip(lc, &p);
	pkt_meta(pkt)->flags = PKT_LOCAL_OUT;
	cr_assert_eq(forward(pkt), 1, "our own packets keep their TTL");
	cr_expect_eq(sent(1, 0)[ETH_LEN + IP4_TTL], 1);
}

Test(forward, gateway_and_link)
{
	struct env_packet p = { .src = 0x0a010007, .dst = 0x0a02ffff, .proto = PROTO_UDP };
	struct rte_mbuf *pkt;

	cr_assert_eq(forward(env_ip(lc, &p)), 1);
	cr_expect_eq(sent(0, 0)[5], 2, "to the gateway's station");

	p.dst = 0x08080808; /* by the default route, not resolved */
	pkt = env_ip(lc, &p);
	cr_assert_eq(forward(pkt), 0);
	cr_assert_eq(env_punted(lc), pkt);
	cr_expect(pkt_meta(pkt)->flags & PKT_UNRESOLVED);
	cr_expect_eq(pkt_meta(pkt)->port, 0);
	cr_expect_eq(rte_pktmbuf_mtod(pkt, uint8_t *)[IP4_TTL], 63);
	rte_pktmbuf_free(pkt);

	p.dst = 0x0a010055; /* on the link, not resolved */
	pkt = env_ip(lc, &p);
	cr_assert_eq(forward(pkt), 0);
	cr_assert_eq(env_punted(lc), pkt);
	cr_expect_eq(pkt_meta(pkt)->port, 1);
	rte_pktmbuf_free(pkt);
	cr_expect_eq(env_drops(lc), 0);
}

Test(forward, local_broadcast_and_nowhere)
{
	struct env_packet p = { .src = 0x0a020007, .dst = LAN_ADDR, .proto = PROTO_ICMP };
	struct rte_mbuf *pkt = env_ip(lc, &p);

	cr_assert_eq(forward(pkt), 0);
	cr_expect_eq(lc->count.drop[DROP_ip_not_ours], 1);
	pkt = env_ip(lc, &p);
	pkt_meta(pkt)->flags = PKT_FROM_ESP;
	cr_assert_eq(forward(pkt), 0);
	cr_expect_eq(env_punted(lc), pkt, "out of a tunnel to us");
	rte_pktmbuf_free(pkt);
	p.dst = 0x0a0100ff;
	cr_assert_eq(forward(env_ip(lc, &p)), 0);
	cr_expect_eq(lc->count.drop[DROP_ip_martian], 1);

	struct fib_input none = { 0 };
	fib_free(lc->fib);
	lc->fib = fib_build(&none);
	cr_assert_eq(forward(env_ip(lc, &p)), 0);
	cr_expect_eq(lc->count.drop[DROP_no_route], 1);
}

Test(forward, too_big_with_df_tells_the_sender)
{
	struct env_packet p = to_lan;
	struct rte_mbuf *up;

	p.payload = 1400 - 28;
	p.frag = IP4_DF;
	cr_assert_eq(forward(env_ip(lc, &p)), 1, "exactly the MTU");
	p.payload++;
	cr_assert_eq(forward(env_ip(lc, &p)), 0);
	cr_expect_eq(lc->count.drop[DROP_too_big], 1);
	up = env_punted(lc);
	cr_assert(up);
	cr_expect_eq(pkt_meta(up)->slot, (uint32_t)DROP_too_big << 16 | 1400);
	rte_pktmbuf_free(up);
}

/* Puts fragments together again, in order. */
static unsigned collect(unsigned port, uint8_t *out)
{
	unsigned end = 0, n = lc->tx[port].n;

	for (unsigned i = 0; i < n; i++) {
		struct rte_mbuf *pkt = lc->tx[port].pkt[i];
		uint8_t flat[2048];
		const uint8_t *frame = rte_pktmbuf_read(pkt, 0, rte_pktmbuf_pkt_len(pkt), flat);
		const uint8_t *ip = frame + ETH_LEN;
		unsigned total = load_be16(ip + IP4_TOTAL), frag = load_be16(ip + IP4_FRAG);
		cr_assert_eq(total + ETH_LEN, rte_pktmbuf_pkt_len(pkt));
		cr_assert_leq(total, 1400);
		cr_assert(ip4_sum_ok(ip));
		cr_assert_eq((frag & IP4_OFFSET_MASK) * 8, end);
		cr_assert_eq(!!(frag & IP4_MF), i + 1 < n);
		memcpy(out + end, ip + 20, total - 20);
		end += total - 20;
	}
	return end;
}

Test(forward, too_big_without_df_is_fragmented)
{
	struct env_packet p = to_lan;
	uint8_t all[4096];
	struct rte_mbuf *tail;

	p.payload = 3000;
	cr_assert_eq(forward(env_ip(lc, &p)), 1);
	cr_assert_eq(lc->tx[1].n, 3);
	cr_assert_eq(collect(1, all), 3008);
	for (unsigned i = 0; i < 3000; i++)
		cr_assert_eq(all[8 + i], (uint8_t)i);
	cr_expect_eq(lc->count.forwarded, 1);
	cr_assert_eq(env_leaked(lc), 0);

	/* the same in two segments */
	struct rte_mbuf *pkt = env_ip(lc, &p);
	tail = rte_pktmbuf_alloc(lc->pool);
	memcpy(rte_pktmbuf_append(tail, 1028), rte_pktmbuf_mtod_offset(pkt, uint8_t *, 2000), 1028);
	rte_pktmbuf_trim(pkt, 1028);
	cr_assert_eq(rte_pktmbuf_chain(pkt, tail), 0);
	cr_assert_eq(forward(pkt), 1);
	cr_assert_eq(collect(1, all), 3008);
	for (unsigned i = 0; i < 3000; i++)
		cr_assert_eq(all[8 + i], (uint8_t)i);
}

/* A SYN from a host behind lan to one behind wan, as it is in the clear; both ports clamp, or one. */
static uint16_t clamped(uint16_t lan, uint16_t wan, uint8_t flags)
{
	struct env_packet p = { 1, .src = 0x0a010007, .dst = 0x0a020001, .proto = PROTO_TCP,
				.payload = 40 };
	struct rte_mbuf *pkt = env_ip(lc, &p);
	uint8_t *tcp = rte_pktmbuf_mtod_offset(pkt, uint8_t *, IP4_LEN), *mss = tcp + TCP_LEN;
	uint16_t got;

	tcp[TCP_DATA_OFF] = 6 << 4;
	tcp[TCP_FLAGS] = flags;
	memcpy(mss, (uint8_t[4]){ 2, 4, 9000 >> 8, 9000 & 0xff }, 4);
	lc->port[1].clamp_mss = lan;
	lc->port[0].clamp_mss = wan;
	mss_clamp_arrived(lc, &pkt, 1);
	mss_clamp_leaving(lc, &pkt, 1);
	got = load_be16(mss + 2);
	lc->port[0].clamp_mss = lc->port[1].clamp_mss = 0;
	rte_pktmbuf_free(pkt);
	return got;
}

Test(forward, ports_clamp_the_mss)
{
	cr_expect_eq(clamped(0, 0, TCP_SYN), 9000);
	cr_expect_eq(clamped(1000, 0, TCP_SYN), 1000);
	cr_expect_eq(clamped(0, 900, TCP_SYN), 900);
	cr_expect_eq(clamped(1000, 900, TCP_SYN), 900);
	cr_expect_eq(clamped(MSS_AUTO, 0, TCP_SYN), 1360, "lan has an MTU of 1400");
	cr_expect_eq(clamped(0, MSS_AUTO, TCP_SYN), 1460);
	cr_expect_eq(clamped(MSS_AUTO, MSS_AUTO, TCP_SYN), 1360);
	cr_expect_eq(clamped(MSS_AUTO, MSS_AUTO, 0x10), 9000, "no SYN");
}

Test(forward, events_survive_a_full_ring)
{
	struct evt evt = { .op = EVT_SA_SOFT }, hint = { .op = EVT_ACQUIRE };

	/* the ring holds 7 */
	for (uint32_t i = 0; i < 20; i++) {
		evt.slot = i;
		lcore_event(lc, &evt);
	}
	lcore_event(lc, &hint);
	cr_expect_eq(lc->backlog.n, 13);
	for (uint32_t i = 0; i < 20; i++) {
		struct evt got;
		if (i % 7 == 0 && i)
			lcore_event_flush(lc);
		cr_assert(env_event(lc, &got));
		cr_assert_eq(got.op, EVT_SA_SOFT);
		cr_assert_eq(got.slot, i);
	}
	cr_expect(lcore_event_flush(lc));
	cr_expect_not(env_event(lc, &evt));
}
