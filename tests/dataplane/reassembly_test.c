/* Packets to this host that come in pieces: every order, every lie about where a piece belongs, and
 * floods of pieces that never become a packet. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "env.h"
#include "reassembly.h"

#define PEER 0x0a090002u

static struct lcore *lc;
static uint8_t bytes[4096];

static void start(void)
{
	lc = env_start();
	srandom(20261122);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)random();
}

static void finish(void)
{
	lc->now_tsc += lc->tsc_hz * 3600;
	reassembly_expire(lc);
	cr_assert_eq(env_leaked(lc), 0, "%u packets leaked", env_leaked(lc));
}

TestSuite(reassembly, .init = start, .fini = finish);

static uint64_t drops(enum drop_reason why)
{
	return lc->count.drop[why];
}

/* Bytes off .. off + len of an IP payload, id says of which packet. */
static struct rte_mbuf *piece(uint16_t id, unsigned off, unsigned len, bool more)
{
	struct env_packet p = { .src = PEER,
				.dst = WAN_ADDR,
				.proto = PROTO_ESP,
				.frag = (uint16_t)(off / 8 | (more ? IP4_MF : 0)),
				.payload = len,
				.data = bytes + off };
	struct rte_mbuf *pkt = env_ip(lc, &p);
	uint8_t *ip = rte_pktmbuf_mtod(pkt, uint8_t *);

	store_be16(ip + IP4_ID, id);
	ip4_sum_set(ip);
	return pkt;
}

static void expect_whole(struct rte_mbuf *pkt, unsigned len)
{
	const uint8_t *ip;

	cr_assert(pkt, "not complete");
	ip = rte_pktmbuf_mtod(pkt, const uint8_t *);
	cr_expect_eq(pkt->nb_segs, 1);
	cr_expect_eq(rte_pktmbuf_pkt_len(pkt), IP4_LEN + len);
	cr_expect_eq(load_be16(ip + IP4_TOTAL), IP4_LEN + len);
	cr_expect_not(ip4_is_fragment(ip));
	cr_expect(ip4_sum_ok(ip));
	cr_expect_eq(memcmp(ip + IP4_LEN, bytes, len), 0, "other bytes");
	rte_pktmbuf_free(pkt);
}

Test(reassembly, every_order)
{
	static const unsigned order[6][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
					      { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
	struct rte_mbuf *whole;

	for (unsigned i = 0; i < 6; i++) {
		whole = NULL;
		for (unsigned j = 0; j < 3; j++) {
			unsigned at = order[i][j];
			cr_expect_null(whole, "too early");
			whole = reassembly_add(lc, piece((uint16_t)i, at * 1000,
							 at == 2 ? 7 : 1000, at < 2));
		}
		expect_whole(whole, 2007);
	}
	cr_expect_eq(env_drops(lc), 0);
	cr_expect_eq(lc->count.reassembled, 6);
	cr_expect_eq(lc->count.reassembled_from, 18);
}

/* Random cuts in random order, some pieces twice, other packets between them. */
Test(reassembly, agrees_with_the_original)
{
	struct rte_mbuf *whole;

	for (unsigned round = 0; round < 3000; round++) {
		unsigned len = 100 + (unsigned)random() % 3000, at[17] = { 0 }, n = 0;
		while (n < 15 && at[n] + 64 < len) {
			at[n + 1] = at[n] + 48 + 8 * ((unsigned)random() % 100);
			n++;
		}
		at[n] = len;
		if (n < 2) /* not cut */
			continue;
		bool sent[16] = { 0 };
		unsigned todo = n;
		while (todo) {
			unsigned i = (unsigned)random() % n;
			bool twice = sent[i];
			if (twice && random() % 4)
				continue;
			whole = reassembly_add(lc, piece((uint16_t)round, at[i], at[i + 1] - at[i],
							 i < n - 1));
			todo -= !twice;
			sent[i] = true;
			if (todo == 0)
				expect_whole(whole, len);
			else
				cr_assert_null(whole);
		}
	}
	cr_expect_gt(lc->count.reassembled, 2000, "%lu", lc->count.reassembled);
	cr_expect_eq(drops(DROP_frag_malformed), 0);
}

Test(reassembly, overlap_takes_the_whole_packet)
{
	/* with 0..1000 and 2000..2500 (the last) there */
	static const struct {
		unsigned off, len;
		bool more;
	} lies[] = { { 992, 1000, true }, { 1008, 1000, true }, { 0, 992, true },
		     { 0, 1008, true },	  { 2000, 496, false }, { 2504, 48, false },
		     { 1000, 1000, false }, { 2496, 48, true } };

	for (unsigned i = 0; i < RTE_DIM(lies); i++) {
		uint64_t before = drops(DROP_frag_overlap);
		reassembly_add(lc, piece((uint16_t)i, 0, 1000, true));
		reassembly_add(lc, piece((uint16_t)i, 2000, 500, false));
		cr_expect_null(reassembly_add(
			lc, piece((uint16_t)i, lies[i].off, lies[i].len, lies[i].more)));
		cr_expect_eq(drops(DROP_frag_overlap), before + 3, "lie %u", i);
		/* not even the missing one helps now */
		cr_expect_null(reassembly_add(lc, piece((uint16_t)i, 1000, 1000, true)));
		cr_expect_eq(drops(DROP_frag_overlap), before + 4);
	}
	cr_expect_eq(rte_mempool_in_use_count(lc->pool), 0);
}

Test(reassembly, a_copy_does_no_harm)
{
	reassembly_add(lc, piece(1, 0, 1000, true));
	cr_expect_null(reassembly_add(lc, piece(1, 0, 1000, true)));
	cr_expect_eq(drops(DROP_frag_overlap), 1);
	expect_whole(reassembly_add(lc, piece(1, 1000, 100, false)), 1100);
}

Test(reassembly, malformed_pieces)
{
	struct rte_mbuf *pkt = piece(1, 0, 1000, true);

	reassembly_add(lc, piece(2, 0, 40, true));   /* smaller than any link makes them */
	reassembly_add(lc, piece(2, 0, 1001, true)); /* the next one cannot begin there */
	reassembly_add(lc, piece(2, 8, 0, false));   /* nothing */
	store_be16(rte_pktmbuf_mtod(pkt, uint8_t *) + IP4_FRAG, IP4_OFFSET_MASK);
	reassembly_add(lc, pkt); /* beyond 64 KB */
	cr_expect_eq(drops(DROP_frag_malformed), 4);
	cr_expect_eq(env_drops(lc), 4);
	cr_expect_eq(rte_mempool_in_use_count(lc->pool), 0);
	/* the last one may be as small as it likes */
	reassembly_add(lc, piece(2, 0, 48, true));
	expect_whole(reassembly_add(lc, piece(2, 48, 1, false)), 49);
}

Test(reassembly, too_many_pieces)
{
	for (unsigned i = 0; i <= REASSEMBLY_PIECES; i++)
		cr_expect_null(reassembly_add(lc, piece(1, i * 48, 48, true)));
	cr_expect_eq(drops(DROP_frag_limit), REASSEMBLY_PIECES + 1);
	cr_expect_eq(rte_mempool_in_use_count(lc->pool), 0);
}

Test(reassembly, time_is_bounded)
{
	reassembly_add(lc, piece(1, 0, 1000, true));
	lc->now_tsc += lc->tsc_hz;
	reassembly_add(lc, piece(2, 0, 1000, true));
	cr_expect_eq(lc->reassembly_due, lc->now_tsc + (REASSEMBLY_SECONDS - 1) * lc->tsc_hz);
	lc->now_tsc = lc->reassembly_due;
	reassembly_expire(lc);
	cr_expect_eq(drops(DROP_frag_timeout), 1);
	cr_expect_eq(lc->reassembly_due, lc->now_tsc + lc->tsc_hz);
	expect_whole(reassembly_add(lc, piece(2, 1000, 8, false)), 1008);
	lc->now_tsc += lc->tsc_hz;
	reassembly_expire(lc);
	cr_expect_eq(lc->reassembly_due, UINT64_MAX);
}

/* A packet whose pieces come one after the other gets through any flood of others. */
Test(reassembly, flood)
{
	unsigned held = 0;

	for (unsigned i = 0; i < 50000; i++) {
		struct rte_mbuf *pkt = piece((uint16_t)random(), 0, 48, true);
		store_be32(rte_pktmbuf_mtod(pkt, uint8_t *) + IP4_SRC, 0xc0000000 + i);
		reassembly_add(lc, pkt);
		if (i % 50 == 0) {
			reassembly_add(lc, piece((uint16_t)i, 0, 1000, true));
			expect_whole(reassembly_add(lc, piece((uint16_t)i, 1000, 8, false)), 1008);
		}
		held = RTE_MAX(held, rte_mempool_in_use_count(lc->pool));
	}
	cr_expect_leq(held, REASSEMBLY_PACKETS, "%u", held);
	for (unsigned i = 0; i < 20000; i++) { /* many pieces in each */
		reassembly_add(lc, piece((uint16_t)(i / 10), 48 * (i % 10), 48, true));
		held = RTE_MAX(held, rte_mempool_in_use_count(lc->pool));
	}
	cr_expect_leq(held, REASSEMBLY_HELD + 1, "%u", held);
	cr_expect_gt(drops(DROP_frag_limit), 60000);
}

static struct rte_mbuf *marked(uint16_t id, bool last, uint8_t ecn)
{
	struct rte_mbuf *pkt = last ? piece(id, 48, 8, false) : piece(id, 0, 48, true);
	uint8_t *ip = rte_pktmbuf_mtod(pkt, uint8_t *);

	ip[IP4_TOS] = (uint8_t)(0xb8 | ecn);
	ip4_sum_set(ip);
	return pkt;
}

Test(reassembly, congestion_marks)
{
	/* first, last -> whole; 9: dropped (RFC 3168 section 5.3) */
	static const uint8_t cases[][3] = { { 2, 3, 3 }, { 3, 1, 3 }, { 0, 0, 0 }, { 2, 2, 2 },
					    { 3, 0, 9 }, { 0, 3, 9 }, { 3, 3, 3 } };

	for (unsigned i = 0; i < RTE_DIM(cases); i++) {
		struct rte_mbuf *whole;
		reassembly_add(lc, marked((uint16_t)i, false, cases[i][0]));
		whole = reassembly_add(lc, marked((uint16_t)i, true, cases[i][1]));
		if (cases[i][2] == 9) {
			cr_expect_null(whole);
			continue;
		}
		cr_assert(whole);
		cr_expect_eq(rte_pktmbuf_mtod(whole, uint8_t *)[IP4_TOS], 0xb8 | cases[i][2]);
		rte_pktmbuf_free(whole);
	}
	cr_expect_eq(drops(DROP_ecn_invalid), 2);
}

Test(reassembly, protected_and_clear_pieces_do_not_mix)
{
	struct rte_mbuf *pkt = piece(1, 0, 1000, true), *whole;

	pkt_meta(pkt)->flags = PKT_FROM_ESP;
	reassembly_add(lc, pkt);
	cr_expect_null(reassembly_add(lc, piece(1, 1000, 8, false)));
	pkt = piece(1, 1000, 8, false);
	pkt_meta(pkt)->flags = PKT_FROM_ESP;
	whole = reassembly_add(lc, pkt);
	cr_assert(whole);
	cr_expect_eq(pkt_meta(whole)->flags, PKT_FROM_ESP);
	expect_whole(whole, 1008);
}

/* ------------------------------------------------------------------------- on its way ------- */

static struct rte_mbuf *esp[8], *host[8];
static uint16_t n_esp, n_host;

/* Both pieces of a packet as frames through stage_classify, and on by way of the hand-over. Returns
 * which worker they went to. */
static unsigned both(const struct env_packet *p, unsigned first)
{
	struct rte_mbuf *pkt, *e[1], *h[1];
	uint16_t n, n_e, n_h;
	unsigned worker = 0;

	n_esp = n_host = 0;
	for (unsigned i = 0; i < 2; i++) {
		struct env_packet part = *p;
		uint8_t *ip;
		part.payload = i ? p->payload - first : first;
		part.frag = i ? (uint16_t)((first + 8) / 8) : IP4_MF;
		part.data = p->data + (i ? first : 0);
		pkt = env_frame(lc, &part);
		ip = rte_pktmbuf_mtod_offset(pkt, uint8_t *, ETH_LEN);
		if (i == 0 && p->proto == PROTO_UDP) {
			store_be16(ip + IP4_LEN + UDP_LENGTH, (uint16_t)(UDP_LEN + p->payload));
			ip4_sum_set(ip);
		}
		n = stage_classify(lc, &pkt, 1, e, &n_e, h, &n_h);
		cr_assert_eq(n + n_e + n_h, 0);
		worker = lc->to_worker[1].n;
		cr_assert_eq(lc->to_worker[0].n + lc->to_worker[1].n, 1, "handed over");
		pkt = lc->to_worker[worker].pkt[0];
		lc->to_worker[worker].n = 0;
		cr_expect_eq(pkt_meta(pkt)->flags, PKT_FRAGMENT);
		stage_reassemble(lc, &pkt, 1, esp, &n_esp, host, &n_host);
	}
	return worker;
}

Test(reassembly, ike_and_encapsulated_esp)
{
	struct env_packet p = { .src = PEER, .dst = WAN_ADDR, .proto = PROTO_UDP, .sport = 500,
				.dport = 500, .payload = 2000, .data = bytes };

	both(&p, 1000);
	cr_assert_eq(n_host, 1);
	cr_expect_eq(rte_pktmbuf_pkt_len(host[0]), 2028);
	cr_expect_eq(memcmp(rte_pktmbuf_mtod_offset(host[0], uint8_t *, 28), bytes, 2000), 0);
	stage_host(lc, host, 1);
	host[0] = env_punted(lc);
	cr_assert(host[0], "control gets it in one piece");
	rte_pktmbuf_free(host[0]);

	p.sport = p.dport = 4500;
	bytes[0] = 1; /* an SPI, not the marker */
	both(&p, 48);
	cr_assert_eq(n_esp, 1);
	cr_expect_eq(pkt_meta(esp[0])->l4_off, 28);
	cr_expect_eq(pkt_meta(esp[0])->flags, PKT_UDP_ENCAP);
	rte_pktmbuf_free(esp[0]);

	p.sport = p.dport = 53;
	both(&p, 48);
	cr_expect_eq(drops(DROP_ip_not_ours), 1);
	p.sport = p.dport = 500;
	p.src = 0x0a010007; /* inside */
	both(&p, 48);
	cr_expect_eq(n_host, 0);
	cr_expect_eq(drops(DROP_source_check), 1);
}

/* One worker for all pieces of a packet, all workers for all packets. */
Test(reassembly, pieces_meet)
{
	unsigned seen[2] = { 0 };

	for (unsigned i = 0; i < 64; i++) {
		struct rte_mbuf *a = piece((uint16_t)i, 0, 48, true);
		struct rte_mbuf *b = piece((uint16_t)i, 48, 8, false);
		uint16_t worker = reassembly_worker(lc, a);
		cr_expect_eq(reassembly_worker(lc, b), worker);
		cr_assert_lt(worker, 2);
		seen[worker]++;
		rte_pktmbuf_free(a);
		rte_pktmbuf_free(b);
	}
	cr_expect_gt(seen[0], 10);
	cr_expect_gt(seen[1], 10);
}

/* RFC 4303 section 3.3.4 has no use for pieces of other protocols to us. */
Test(reassembly, only_what_is_listened_for)
{
	struct env_packet p = { .src = PEER, .dst = WAN_ADDR, .proto = PROTO_TCP, .frag = IP4_MF,
				.payload = 48 };
	struct rte_mbuf *pkt = env_frame(lc, &p);

	cr_expect_eq(stage_classify(lc, &pkt, 1, esp, &n_esp, host, &n_host), 0);
	cr_expect_eq(drops(DROP_ip_fragment), 1);
}
