/* The pitfalls of IKEv1 that the engine as a whole must stay out of: messages, hashes, limits.
 * Those of single functions stand with the functions' other tests. Numbers: the list of pitfalls in
 * the design. */
#include "pitfall.h"

/* ----------------------------------------------------------------------------- 1 to 3 ------- */

struct forger {
	struct sim *s;
	bool busy;
	unsigned forged;
};

/* Before each encrypted message a copy of it with one wrong bit, from either side. The bit is in the
 * middle of the HASH, so that everything but the hash itself looks right. */
static bool forge_first(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg, size_t *len)
{
	struct forger *f = ctx;
	uint8_t bad[4096];
	struct ike_path seen = path_back(path);

	if (f->busy || !is_encrypted(msg) || *len > sizeof(bad))
		return true;
	memcpy(bad, msg, *len);
	bad[ISAKMP_HDR_LEN + (msg[18] == EXCH_IDENTITY_PROTECTION ? 32 : 16)] ^= 1;
	f->busy = true; /* what it answers is not forged again */
	ike_input(sim_engine(f->s, 1 - from), &seen, bad, *len);
	f->busy = false;
	f->forged++;
	return true;
}

Test(pitfall, p01_an_iv_moves_only_when_the_message_verified)
{
	struct sim *s = two_nodes();
	struct forger f = { .s = s };

	sim_set_tap(s, forge_first, &f);
	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	cr_assert_eq(ike_rekey(sim_engine(s, 0), "node1/net0"), 0);
	sim_run(s, SEC / 2);
	cr_expect_geq(f.forged, 8);
	for (unsigned i = 0; i < 2; i++) { /* nothing had to be said twice */
		struct ike_totals t;
		ike_totals(sim_engine(s, i), &t);
		cr_expect_eq(t.retransmits, 0, "node %u: %u", i, (unsigned)t.retransmits);
		cr_expect_eq(t.phase2.count, 2);
	}
	sim_run(s, 60 * SEC);
	two_nodes_end(s);
}

/* The bytes as they came are hashed: a reserved byte that is set counts, and padding does not. */
Test(pitfall, p02_hash_covers_the_raw_rest)
{
	for (unsigned lie = 0; lie < 2; lie++) {
		struct sim *s = two_nodes_up();
		struct counter c = { .from = 0 };
		struct isakmp_sa *sa = node_sa(s, 0);
		struct info i;

		sim_set_tap(s, count, &c);
		info_begin(&i, sa, 77, true);
		size_t at = i.m.len;
		info_probe_payload(&i, sa);
		if (!lie)
			i.buf[at + 1] = 0x5a; /* reserved, and hashed as it is */
		size_t rest = i.hash_at + sa->keys->prf_len;
		ike_hash1(sa->keys, 77, (struct view){ i.buf + rest, i.m.len - rest },
			  i.buf + i.hash_at);
		i.hash_at = 0;
		if (lie)
			i.buf[at + 1] = 0x5a; /* hashed as if it were zero */
		size_t len = info_end(&i, sa);
		ike_input(sim_engine(s, 0), &sa->path, i.buf, len);
		cr_expect_eq(c.n, lie ? 0u : 1u, "%s: %u answers", lie ? "changed" : "raw", c.n);
		sim_set_tap(s, NULL, NULL);
		two_nodes_end(s);
	}
}

static bool replace(uint8_t *msg, size_t len, uint32_t was, uint32_t now)
{
	for (size_t at = ISAKMP_HDR_LEN; at + 4 <= len; at++) {
		if (get_u32(msg + at) != was)
			continue;
		put_u32(msg + at, now);
		return true;
	}
	return false;
}

#define LIFE_OFFERED 0x800c0e10u /* Life Duration, basic, 3600 s */
#define LIFE_FORGED  0x800c0e0fu

/* A man in the middle shortens the lifetime in message 1 and puts it back in message 2. */
static bool edit_offer(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg, size_t *len)
{
	unsigned *edits = ctx;

	(void)path;
	if (msg[18] != EXCH_IDENTITY_PROTECTION || msg[16] != PL_SA)
		return true;
	*edits += from == 1 ? replace(msg, *len, LIFE_OFFERED, LIFE_FORGED)
			    : replace(msg, *len, LIFE_FORGED, LIFE_OFFERED);
	return true;
}

Test(pitfall, p03_the_initiators_offer_is_authenticated)
{
	struct sim *s = two_nodes();
	unsigned edits = 0;

	sim_peer_cfg(s, 0, 1)->initiate = false;
	sim_set_tap(s, edit_offer, &edits);
	sim_start(s);
	sim_run(s, 5 * SEC);
	cr_expect_eq(edits, 2);
	cr_expect_null(node_sa(s, 0), "an offer that was tampered with was accepted");
	expect_text(sim_last_error(s, 0, 1), "Main Mode message 5 does not verify");
	sim_set_tap(s, NULL, NULL);
	two_nodes_end(s);
}

Test(pitfall, p03_hashes_cover_all_of_the_identity)
{
	struct ike_keys k = { .t = { ENCR_AES_CBC, 128, HASH_SHA256, 14 }, .prf_len = 32 };
	const struct view v = { (const uint8_t *)"12345678", 8 };
	uint8_t id[8] = { ID_IPV4_ADDR, 17, 1, 244, 192, 0, 2, 1 }, a[HASH_MAX_LEN],
		b[HASH_MAX_LEN];
	const struct view body = { id, sizeof(id) };

	cr_assert_eq(ike_auth_hash(&k, true, v, v, v.p, v.p, v, body, a), 0);
	for (size_t i = 0; i < sizeof(id); i++) {
		id[i] ^= 1;
		cr_assert_eq(ike_auth_hash(&k, true, v, v, v.p, v.p, v, body, b), 0);
		cr_expect_neq(memcmp(a, b, 32), 0, "byte %zu of the identity is not covered", i);
		id[i] ^= 1;
	}
}

/* ----------------------------------------------------------------------------- 7, 8 --------- */

static bool set_flags(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg, size_t *len)
{
	(void)ctx;
	(void)from;
	(void)path;
	(void)len;
	msg[19] |= ISAKMP_FLAG_COMMIT | 0x40;
	return true;
}

Test(pitfall, p07_nobody_waits_for_a_commit_bit)
{
	struct sim *s = two_nodes();

	sim_set_tap(s, set_flags, NULL);
	sim_start(s);
	sim_run(s, SEC / 2);
	must_be_up(s);
	two_nodes_end(s);
}

struct rewrite {
	unsigned nonce;  /* new length, 0: as it is */
	bool natd_first; /* and the other payloads from the last to the first */
	unsigned answers, rewritten;
};

/* Puts messages 3 and 4 together anew. */
static bool rewrite_ke(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg, size_t *len)
{
	struct rewrite *r = ctx;
	struct payload_list l;
	struct isakmp_hdr h;
	uint8_t copy[2048], nonce[300] = { 1 };
	struct msgbuf m;
	const char *why;

	(void)path;
	if (isakmp_hdr_parse(msg, *len, &h) != 0 || h.exchange != EXCH_IDENTITY_PROTECTION ||
	    is_encrypted(msg) || msg[16] == PL_SA)
		return true;
	r->answers += from == 0;
	if (r->nonce && from == 0)
		return true;
	memcpy(copy, msg, *len);
	cr_assert_eq(
		payload_list_parse(h.next, copy + ISAKMP_HDR_LEN, *len - ISAKMP_HDR_LEN, &l, &why),
		0);
	msg_begin(&m, msg, sizeof(copy), &h);
	for (unsigned i = 0; r->natd_first && i < l.n; i++)
		if (l.p[i].type == PL_NAT_D)
			msg_payload(&m, PL_NAT_D, l.p[i].body.p, l.p[i].body.len);
	for (unsigned i = 0; i < l.n; i++) {
		const struct payload *p = &l.p[r->natd_first ? l.n - 1 - i : i];
		if (p->type == PL_NONCE && r->nonce)
			msg_payload(&m, PL_NONCE, nonce, r->nonce);
		else if (p->type != PL_NAT_D || !r->natd_first)
			msg_payload(&m, p->type, p->body.p, p->body.len);
	}
	cr_assert_gt(msg_finish(&m), 0);
	*len = m.len;
	r->rewritten++;
	return true;
}

Test(pitfall, p08_nonces_of_8_to_256_bytes)
{
	static const struct {
		unsigned len;
		bool good;
	} cases[] = { { 7, false }, { 8, true }, { 256, true }, { 257, false } };

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sim *s = two_nodes();
		struct rewrite r = { .nonce = cases[i].len };

		sim_peer_cfg(s, 0, 1)->initiate = false;
		sim_set_tap(s, rewrite_ke, &r);
		sim_start(s);
		sim_run(s, SEC / 2); /* it cannot come up: the initiator hashes another nonce */
		cr_expect_geq(r.rewritten, 1);
		cr_expect_eq(r.answers, cases[i].good ? 1u : 0u, "%u bytes", cases[i].len);
		two_nodes_end(s);
	}
}

/* ----------------------------------------------------------------------------- 9, 10 -------- */

Test(pitfall, p09_the_identity_must_be_that_of_the_connection)
{
	for (unsigned who = 0; who < 2; who++) { /* whose identity is not the expected one */
		struct sim *s = two_nodes();

		ike_id_from_text("intruder", &sim_peer_cfg(s, who, 1 - who)->local_id);
		sim_peer_cfg(s, 0, 1)->initiate = false;
		sim_start(s);
		sim_run(s, 3 * SEC);
		cr_expect_null(node_sa(s, 1 - who));
		cr_expect_eq(sim_pairs(s, 0), 0);
		expect_text(sim_last_error(s, 1 - who, who), "received FQDN intruder");
		two_nodes_end(s);
	}
}

Test(pitfall, p10_natd_is_found_wherever_it_stands)
{
	for (unsigned nat = 0; nat < 2; nat++) {
		struct sim_cfg cfg = sim_cfg_from_seed(3);
		struct rewrite r = { .natd_first = true };

		cfg.nodes = 2;
		cfg.faults = nat ? SIM_NAT : SIM_IDLE;
		struct sim *s = sim_new(&cfg);
		sim_set_faults(s, 0);
		sim_set_tap(s, rewrite_ke, &r);
		sim_start(s);
		sim_run(s, 10 * SEC);
		cr_assert(node_sa(s, 0) && node_sa(s, 1));
		cr_expect_geq(r.rewritten, 2);
		cr_expect_eq(node_sa(s, 0)->nat_remote, nat);
		cr_expect_eq(node_sa(s, 1)->nat_local, nat);
		cr_expect_eq(node_sa(s, 0)->nat_local || node_sa(s, 1)->nat_remote, false);
		cr_expect_eq(node_sa(s, 0)->encap, nat);
		sim_set_tap(s, NULL, NULL);
		two_nodes_end(s);
	}
}

/* ----------------------------------------------------------------------------- 11, 12 ------- */

/* Whoever has not proved who he is gets one answer for each message of his, never more. */
Test(pitfall, p11_a_responder_repeats_nothing_by_itself)
{
	for (unsigned skip = 1; skip < 3; skip++) {
		struct sim *s = two_nodes();
		struct lose l = { .from = 1, .skip = skip };

		sim_peer_cfg(s, 0, 1)->initiate = false;
		sim_set_tap(s, lose_after, &l);
		sim_start(s);
		sim_run(s, 100 * SEC);
		cr_expect_eq(l.other, skip, "%u answers to %u messages", l.other, skip);
		sim_set_tap(s, NULL, NULL);
		two_nodes_end(s);
	}
}

Test(pitfall, p11_duplicates_are_answered_a_few_times)
{
	struct sim *s = two_nodes();
	struct lose l = { .from = 1, .skip = 0 };
	struct ike_totals t;

	sim_peer_cfg(s, 0, 1)->initiate = false;
	sim_set_tap(s, lose_after, &l);
	sim_start(s);
	sim_run(s, SEC / 2);
	cr_assert_gt(l.held_len, 0);
	for (unsigned i = 0; i < 50; i++)
		ike_input(sim_engine(s, 0), &l.path, l.held, l.held_len);
	cr_expect_eq(l.other, 1 + REPLIES_MAX);
	ike_totals(sim_engine(s, 0), &t);
	cr_expect_eq(t.duplicates, 49);
	cr_expect_eq(t.half_open, 1);
	sim_set_tap(s, NULL, NULL);
	two_nodes_end(s);
}

Test(pitfall, p11_half_open_exchanges_are_counted_before_anything_is_parsed)
{
	struct sim *s = two_nodes();
	struct lose l = { .from = 1, .skip = 0 };
	struct ike_totals t;

	sim_peer_cfg(s, 0, 1)->initiate = false;
	sim_set_tap(s, lose_after, &l);
	sim_start(s);
	sim_run(s, SEC / 2);
	uint8_t first = l.held[0];
	for (unsigned i = 0; i < 16; i++) {
		l.held[0] = (uint8_t)(first + 1 + i);
		ike_input(sim_engine(s, 0), &l.path, l.held, l.held_len);
	}
	cr_expect_eq(l.other, 16);
	l.held[0] = (uint8_t)(first + 17);
	memset(l.held + ISAKMP_HDR_LEN, 0xff, l.held_len - ISAKMP_HDR_LEN); /* malformed */
	ike_input(sim_engine(s, 0), &l.path, l.held, l.held_len);
	ike_totals(sim_engine(s, 0), &t);
	cr_expect_eq(t.half_open_refused, 1);
	cr_expect_eq(t.dropped, 0, "it was parsed");
	sim_run(s, 40 * SEC);
	ike_totals(sim_engine(s, 0), &t);
	cr_expect_eq(t.half_open, 0, "they do not die of age");
	sim_set_tap(s, NULL, NULL);
	two_nodes_end(s);
}

static int (*true_random)(void *, void *, size_t);
static unsigned random_calls;

/* Message IDs are four bytes: each number comes three times. */
static int stuttering_random(void *ctx, void *buf, size_t len)
{
	uint32_t v = 0x01010101u * (1 + random_calls / 3);

	if (len != sizeof(v))
		return true_random(ctx, buf, len);
	random_calls++;
	memcpy(buf, &v, sizeof(v));
	return 0;
}

struct ids {
	uint32_t id[64];
	unsigned n, zero, twice;
};

static bool collect_ids(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg, size_t *len)
{
	struct ids *ids = ctx;

	(void)path;
	(void)len;
	if (from != 1 || !is_encrypted(msg) || msg[18] != EXCH_INFORMATIONAL)
		return true;
	ids->zero += msgid_of(msg) == 0;
	for (unsigned i = 0; i < ids->n; i++)
		ids->twice += ids->id[i] == msgid_of(msg);
	if (ids->n < 64)
		ids->id[ids->n++] = msgid_of(msg);
	return true;
}

Test(pitfall, p12_message_ids_are_never_zero_or_used_twice)
{
	struct sim *s = two_nodes_up();
	struct ike *ike = sim_engine(s, 1);
	struct ids ids = { .n = 0 };

	true_random = ike->ops.random;
	ike->ops.random = stuttering_random;
	sim_set_tap(s, collect_ids, &ids);
	for (unsigned i = 0; i < 20; i++) /* probes: nothing repeats them */
		info_notify(node_sa(s, 1), PROTO_ISAKMP, N_DPD, "0123456789abcdef", 16, "1234", 4);
	engine_reap(ike);
	cr_expect_eq(ids.n, 20);
	cr_expect_eq(ids.twice, 0);
	cr_expect_eq(ids.zero, 0);
	sim_set_tap(s, NULL, NULL);
	ike->ops.random = true_random;
	two_nodes_end(s);
}

Test(pitfall, p12_quick_mode_message_2_is_repeated_until_3_comes)
{
	struct sim *s = two_nodes();
	struct lose l = { .from = 1, .exchange = EXCH_QUICK, .skip = 1 };
	struct ike_totals t;

	sim_set_tap(s, lose_after, &l);
	sim_start(s);
	sim_run(s, 5 * SEC);
	ike_totals(sim_engine(s, 0), &t);
	cr_expect_geq(t.retransmits, 2);
	cr_assert_not_null(node_pair(s, 0));
	cr_expect_eq(node_pair(s, 0)->state, PAIR_NEW);
	sim_set_tap(s, NULL, NULL);
	sim_run(s, 10 * SEC);
	must_be_up(s);
	two_nodes_end(s);
}
