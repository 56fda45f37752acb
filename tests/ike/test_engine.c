/* The exchange engine, one behaviour a test: diagnosis, limits, NAT, loss of a peer, the operator. Two
 * nodes of the simulated network, whose configuration each test bends. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "exchange.h"
#include "sim.h"

#define SEC 1000000ull

/* Two nodes without faults; node 1 initiates, node 0 waits unless a test says otherwise. */
static struct sim *two_nodes(unsigned faults, const char *psk0, const char *psk1)
{
	struct sim_cfg cfg = { .seed = 4, .nodes = 2, .delay_min_us = 1000, .delay_max_us = 5000,
			       .job_max_us = 1000, .install_max_us = 1000,
			       .psk = { psk0, psk1 } };
	/* the faults are off, but lost packets are no violation here */
	cfg.faults = SIM_LOSS | faults;
	struct sim *s = sim_new(&cfg);
	sim_set_faults(s, 0);
	for (unsigned i = 0; i < 2; i++) {
		struct ike_peer_cfg *p = sim_peer_cfg(s, i, 1 - i);
		p->n_children = 1;
		p->life_s = 3600;
		p->dpd_s = 0;
		p->retry_ms = 1000;
		p->children[0].life_s = 1800;
		p->children[0].start = i == 0 ? START_PASSIVE : START_IMMEDIATE;
		p->children[0].esp[0].group = 0;
	}
	return s;
}

static struct sim *pair_of_nodes(const char *psk0, const char *psk1)
{
	return two_nodes(0, psk0, psk1);
}

static void finish(struct sim *s)
{
	if (!sim_error(s))
		sim_finish(s);
	cr_expect_null(sim_error(s), "%s", sim_error(s));
	sim_free(s);
}

static void must_be_up(struct sim *s)
{
	char why[300] = "";

	cr_assert(sim_quiet(s, why, sizeof(why)), "%s; %s", why,
		  sim_error(s) ? sim_error(s) : "");
	cr_assert_eq(sim_pairs(s, 0), 1);
	cr_assert_eq(sim_pairs(s, 1), 1);
}

static void expect_text(const char *text, const char *part)
{
	cr_expect(strstr(text, part), "\"%s\" is not in \"%s\"", part, text);
}

/* ------------------------------------------------------------------------- the table -------- */

Test(table, is_sound)
{
	for (unsigned i = 0; i < step_count; i++) {
		const struct step *s = &step_table[i];
		cr_assert(s->name && s->verify && s->handle, "row %u", i);
		cr_assert_eq(step_find(s->exchange, s->initiator, s->step), s,
			     "%s: two rows for one step", s->name);
		cr_assert(s->step == 0 || step_find(s->exchange, s->initiator, s->step - 1),
			  "%s: no row before it", s->name);
		cr_assert_eq(s->required & s->optional, 0, "%s: required and optional", s->name);
		cr_assert(s->required, "%s: asks for nothing", s->name);
		if (s->first != PL_NONE)
			cr_assert(s->required & PB(s->first), "%s: first is not required", s->name);
		/* only phase 1 runs in the clear, and never with a hash to believe in */
		cr_assert(s->encrypted || s->exchange == EXCH_IDENTITY_PROTECTION, "%s", s->name);
		cr_assert_eq(s->encrypted, s->hash != STEP_NO_HASH, "%s", s->name);
		cr_assert_eq(s->encrypted, (s->required & PB(PL_HASH)) != 0, "%s", s->name);
		/* an unauthenticated peer is never sent anything by a timer */
		if (s->exchange == EXCH_IDENTITY_PROTECTION && !s->initiator)
			cr_assert_not(s->retransmit, "%s", s->name);
		/* messages of the initiator are odd, and it never receives its own */
		cr_assert_eq(s->number % 2 == 1, !s->initiator, "%s", s->name);
		cr_assert_lt(s->step, SEEN_MAX, "%s", s->name);
	}
}

Test(table, payload_bits_do_not_collide)
{
	uint64_t seen = 0;

	for (unsigned t = 1; t < 256; t++) {
		if (t >= 61 && (t < PL_NAT_D_DRAFT || t > PL_FRAGMENT))
			continue;
		cr_assert_eq(seen & PB(t), 0, "type %u", t);
		seen |= PB(t);
	}
}

Test(table, counts_payloads)
{
	const struct step *s = step_find(EXCH_QUICK, false, 0);
	struct payload_list l = { .n = 3 };
	const char *why = NULL;

	l.p[0].type = PL_HASH;
	l.p[1].type = PL_SA;
	l.p[2].type = PL_NONCE;
	cr_assert_eq(step_check(s, &l, &why), 0);
	l.n = 2;
	cr_assert_eq(step_check(s, &l, &why), -EBADMSG); /* no nonce */
	l.n = 4;
	l.p[3].type = PL_ID;
	cr_assert_eq(step_check(s, &l, &why), -EBADMSG); /* one identity */
	l.p[3].type = PL_NONCE;
	cr_assert_eq(step_check(s, &l, &why), -EBADMSG); /* two nonces */
	l.p[3].type = PL_CERT;
	cr_assert_eq(step_check(s, &l, &why), -EBADMSG);
	l.p[3].type = 200; /* private use, unknown: passed over */
	cr_assert_eq(step_check(s, &l, &why), 0);
	l.n = 3;
	l.p[0].type = PL_SA;
	l.p[1].type = PL_HASH;
	cr_assert_eq(step_check(s, &l, &why), -EBADMSG); /* the hash must come first */
}

/* -------------------------------------------------------------------------- timers ---------- */

static void count_up(void *arg)
{
	(void)arg;
}

Test(timers, come_in_order)
{
	enum { N = 3000 };
	static struct timer t[N];
	struct timer_heap h = { 0 };
	uint64_t r = 7, last = 0;
	unsigned armed = 0, popped = 0;

	for (unsigned i = 0; i < N; i++)
		timer_init(&t[i], count_up, NULL);
	for (unsigned k = 0; k < 4 * N; k++) {
		r = r * 6364136223846793005ull + 1442695040888963407ull;
		if (r >> 62 == 0)
			timer_cancel(&h, &t[r % N]);
		else
			timer_set(&h, &t[r % N], r >> 40);
	}
	for (unsigned i = 0; i < N; i++)
		armed += t[i].armed;
	for (struct timer *p; (p = timer_pop(&h, TIMER_NEVER - 1)); popped++) {
		cr_assert_geq(p->at, last);
		last = p->at;
	}
	cr_assert_eq(popped, armed);
	cr_assert_eq(timer_next(&h), TIMER_NEVER);
}

Test(timers, a_long_queue_does_not_recurse)
{
	enum { N = 200000 };
	struct timer *t = calloc(N, sizeof(*t));
	struct timer_heap h = { 0 };

	for (unsigned i = 0; i < N; i++) {
		timer_init(&t[i], count_up, NULL);
		timer_set(&h, &t[i], i);
	}
	for (unsigned i = 0; i < N; i++)
		cr_assert_eq(timer_pop(&h, N), &t[i]);
	free(t);
}

/* ------------------------------------------------------------------------ negotiation ------- */

Test(engine, comes_up_and_says_so)
{
	struct sim *s = pair_of_nodes(NULL, NULL);
	struct ike_totals t;

	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	ike_totals(sim_engine(s, 0), &t);
	cr_expect_eq(t.phase1.count, 1);
	cr_expect_eq(t.phase2.count, 1);
	cr_expect_eq(t.half_open, 0);
	cr_expect_eq(t.retransmits, 0);
	finish(s);
}

Test(engine, pfs_offered_by_the_initiator_alone_is_accepted)
{
	struct sim *s = pair_of_nodes(NULL, NULL);

	sim_peer_cfg(s, 1, 0)->children[0].esp[0].group = 19;
	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	finish(s);
}

Test(engine, pfs_required_by_the_responder_alone_is_refused)
{
	struct sim *s = pair_of_nodes(NULL, NULL);

	sim_peer_cfg(s, 0, 1)->children[0].esp[0].group = 19;
	sim_start(s);
	sim_run(s, 2 * SEC);
	cr_expect_eq(sim_pairs(s, 0), 0);
	expect_text(sim_last_error(s, 0, 1), "no phase 2 proposal");
	expect_text(sim_last_error(s, 1, 0), "NO-PROPOSAL-CHOSEN; we offered aes128gcm16, 10.1");
	finish(s);
}

/* A peer may rekey as often as it likes: what it makes one after the other is no collision. */
Test(engine, quick_rekeys_by_one_side_follow_each_other)
{
	for (unsigned who = 0; who < 2; who++) {
		struct sim *s = pair_of_nodes(NULL, NULL);
		struct ike_totals t;

		sim_start(s);
		sim_run(s, 5 * SEC);
		for (unsigned i = 0; i < 6; i++) {
			cr_assert_eq(ike_rekey(sim_engine(s, who), who ? "node0/net0" : "node1/net0"),
				     0);
			sim_run(s, 2 * SEC);
		}
		ike_totals(sim_engine(s, 0), &t);
		cr_expect_geq(t.rekeys_phase2, 5, "%u", (unsigned)t.rekeys_phase2);
		sim_run(s, 60 * SEC);
		must_be_up(s);
		finish(s);
	}
}

/* Both at once: one of the two pairs is kept, the same on both sides, and traffic never stops. */
Test(engine, simultaneous_rekeys_converge)
{
	struct sim *s = pair_of_nodes(NULL, NULL);

	sim_start(s);
	sim_run(s, 20 * SEC);
	for (unsigned i = 0; i < 5; i++) {
		cr_assert_eq(ike_rekey(sim_engine(s, 0), "node1/net0"), 0);
		cr_assert_eq(ike_rekey(sim_engine(s, 1), "node0/net0"), 0);
		sim_run(s, SEC);
		cr_expect_eq(sim_pairs(s, 0), 1);
		cr_expect_eq(sim_pairs(s, 1), 1);
		sim_run(s, 59 * SEC);
		must_be_up(s);
	}
	cr_expect_eq(sim_totals(s).unknown, 0);
	finish(s);
}

Test(engine, parallel_pairs)
{
	struct sim *s = pair_of_nodes(NULL, NULL);

	for (unsigned i = 0; i < 2; i++)
		sim_peer_cfg(s, i, 1 - i)->children[0].pairs = 3;
	sim_start(s);
	sim_run(s, 5 * SEC);
	cr_expect_eq(sim_pairs(s, 0), 3);
	cr_expect_eq(sim_pairs(s, 1), 3);
	cr_assert_eq(ike_rekey(sim_engine(s, 1), "node0/net0"), 0);
	sim_run(s, 60 * SEC);
	cr_expect_eq(sim_pairs(s, 0), 3);
	cr_expect_eq(sim_pairs(s, 1), 3);
	finish(s);
}

/* Both sides must hold one current pair at any time, whoever asked for the new ones and however soon
 * after each other. */
static void rekey_often(const unsigned *by, unsigned n, uint64_t apart)
{
	struct sim *s = pair_of_nodes(NULL, NULL);

	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	for (unsigned i = 0; i < n; i++) {
		cr_assert_eq(ike_rekey(sim_engine(s, by[i]), by[i] ? "node0/net0" : "node1/net0"),
			     0);
		sim_run(s, apart);
		cr_expect_eq(sim_pairs(s, 0), 1, "rekey %u: node 0 has %u", i, sim_pairs(s, 0));
		cr_expect_eq(sim_pairs(s, 1), 1, "rekey %u: node 1 has %u", i, sim_pairs(s, 1));
	}
	for (unsigned i = 0; i < 60; i++) {
		sim_run(s, SEC);
		cr_expect_eq(sim_pairs(s, 0), 1, "%u s later: node 0 has %u", i, sim_pairs(s, 0));
		cr_expect_eq(sim_pairs(s, 1), 1, "%u s later: node 1 has %u", i, sim_pairs(s, 1));
	}
	must_be_up(s);
	finish(s);
}

Test(engine, rekeys_soon_after_each_other_by_the_initiator)
{
	rekey_often((const unsigned[]){ 1, 1, 1, 1, 1, 1 }, 6, SEC / 2);
}

Test(engine, rekeys_soon_after_each_other_by_the_responder)
{
	rekey_often((const unsigned[]){ 0, 0, 0, 0, 0, 0 }, 6, SEC / 2);
}

Test(engine, rekeys_soon_after_each_other_by_both)
{
	rekey_often((const unsigned[]){ 1, 0, 1, 1, 0, 0, 1, 0 }, 8, SEC);
}

/* -------------------------------------------------------------------------- diagnosis ------- */

Test(diagnosis, wrong_psk)
{
	struct sim *s = pair_of_nodes("secret", "secret?");

	sim_start(s);
	sim_run(s, 5 * SEC);
	cr_expect_eq(sim_pairs(s, 0), 0);
	expect_text(sim_last_error(s, 0, 1),
		    "probable pre-shared key mismatch with node1 (secret secret-1)");
	expect_text(sim_last_error(s, 1, 0), "probable pre-shared key mismatch");
	expect_text(sim_last_error(s, 1, 0), "secret-0");
	sim_run(s, 60 * SEC);
	expect_text(sim_last_error(s, 1, 0), "pre-shared key mismatch");
	finish(s);
}

Test(diagnosis, proposals_differ)
{
	struct sim *s = pair_of_nodes(NULL, NULL);

	sim_peer_cfg(s, 0, 1)->ike[0].group = 14;
	sim_start(s);
	sim_run(s, 2 * SEC);
	expect_text(sim_last_error(s, 0, 1), "no phase 1 proposal of node1");
	expect_text(sim_last_error(s, 0, 1), "ecp256");
	expect_text(sim_last_error(s, 0, 1), "modp2048");
	expect_text(sim_last_error(s, 1, 0), "NO-PROPOSAL-CHOSEN; we offered aes128-sha256-ecp256");
	finish(s);
}

Test(diagnosis, identity_differs)
{
	struct sim *s = pair_of_nodes(NULL, NULL);

	ike_id_from_text("somebody.else", &sim_peer_cfg(s, 0, 1)->remote_id);
	sim_start(s);
	sim_run(s, 2 * SEC);
	cr_expect_eq(sim_pairs(s, 0), 0);
	expect_text(sim_last_error(s, 0, 1), "expected FQDN somebody.else, received FQDN node1");
	finish(s);
}

Test(diagnosis, selectors_differ)
{
	struct sim *s = pair_of_nodes(NULL, NULL);
	struct selector *sel = &sim_peer_cfg(s, 0, 1)->children[0].sel;

	sel->local.hi = ip_addr_v4(ip_addr_to_v4(&sel->local.lo) | 127);
	sim_start(s);
	sim_run(s, 2 * SEC);
	cr_expect_eq(sim_pairs(s, 0), 0);
	expect_text(sim_last_error(s, 0, 1), "10.0.0.0/24 === 10.1.0.0/24");
	expect_text(sim_last_error(s, 0, 1), "we have 10.0.0.0/25 === 10.1.0.0/24 (net0)");
	expect_text(sim_last_error(s, 1, 0), "INVALID-ID-INFORMATION");
	finish(s);
}

static bool swallow(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg, size_t *len)
{
	(void)path;
	(void)msg;
	(void)len;
	return from != *(unsigned *)ctx;
}

Test(diagnosis, silent_peer)
{
	struct sim *s = pair_of_nodes(NULL, NULL);
	unsigned mute = 0;

	sim_set_tap(s, swallow, &mute);
	sim_start(s);
	sim_run(s, 70 * SEC);
	expect_text(sim_last_error(s, 1, 0), "is silent on UDP port 500");
	sim_set_tap(s, NULL, NULL);
	sim_run(s, 30 * SEC); /* tries again by itself */
	cr_expect_eq(sim_pairs(s, 1), 1);
	finish(s);
}

/* ----------------------------------------------------------------------- robustness --------- */

struct injector {
	uint8_t first[4096];
	size_t len;
	struct ike_path path;
	unsigned answers;
};

/* Keeps node 1's first message; counts what node 0 sends. */
static bool keep_first(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg, size_t *len)
{
	struct injector *in = ctx;

	if (from == 1 && in->len == 0) {
		memcpy(in->first, msg, *len);
		in->len = *len;
		in->path = *path;
	}
	in->answers += from == 0;
	return from != 1; /* and nothing of node 1 arrives by itself */
}

static struct ike_path reversed(const struct ike_path *p)
{
	return (struct ike_path){ p->remote, p->local, p->remote_port, p->local_port };
}

Test(robust, half_open_limits)
{
	struct sim *s = pair_of_nodes(NULL, NULL);
	struct injector in = { 0 };
	struct ike *ike = sim_engine(s, 0);
	struct ike_totals t;

	sim_set_tap(s, keep_first, &in);
	sim_start(s);
	sim_run(s, SEC);
	cr_assert_gt(in.len, 0);
	struct ike_path path = reversed(&in.path);
	for (unsigned i = 0; i < 100; i++) { /* a flood of fresh cookies */
		in.first[0] = (uint8_t)(i + 1);
		ike_input(ike, &path, in.first, in.len);
	}
	ike_totals(ike, &t);
	cr_expect_eq(t.half_open, 16);
	cr_expect_eq(t.half_open_refused, 84);
	cr_expect_eq(in.answers, 16);
	/* repeated, one of them is answered from store, a limited number of times */
	in.first[0] = 1;
	for (unsigned i = 0; i < 100; i++)
		ike_input(ike, &path, in.first, in.len);
	cr_expect_eq(in.answers, 16 + REPLIES_MAX);
	in.answers = 0;
	sim_run(s, 40 * SEC); /* never on a timer, and they die of age */
	cr_expect_eq(in.answers, 0);
	ike_totals(ike, &t);
	cr_expect_eq(t.half_open, 0);
	finish(s);
}

/* Replays every message of node 1 right after it was sent, changed in one bit of its body. */
static bool flip_bit(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg, size_t *len)
{
	struct sim *s = ctx;
	uint8_t bad[4096];

	if (from != 1 || *len > sizeof(bad))
		return true;
	memcpy(bad, msg, *len);
	bad[*len - 1 - sim_now(s) % (*len - ISAKMP_HDR_LEN)] ^= 1;
	struct ike_path seen = reversed(path);
	if (msg[19] & ISAKMP_FLAG_ENC) /* clear ones may legitimately be taken for the real ones */
		ike_input(sim_engine(s, 0), &seen, bad, *len);
	return true;
}

Test(robust, forged_messages_change_nothing)
{
	struct sim *s = pair_of_nodes(NULL, NULL);

	sim_set_tap(s, flip_bit, s);
	sim_start(s);
	sim_run(s, 20 * SEC);
	must_be_up(s);
	ike_rekey(sim_engine(s, 1), "node0/net0");
	sim_run(s, 60 * SEC);
	must_be_up(s);
	finish(s);
}

Test(robust, unauthenticated_delete_and_notify_are_ignored)
{
	struct sim *s = pair_of_nodes(NULL, NULL);
	struct isakmp_sa *sa;
	uint8_t buf[128];
	struct msgbuf m;

	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	sa = peer_sa(peer_find(sim_engine(s, 0), "node1"));
	cr_assert_not_null(sa);
	for (unsigned enc = 0; enc < 2; enc++) {
		struct isakmp_hdr h = { .version = ISAKMP_VERSION,
					.exchange = EXCH_INFORMATIONAL,
					.flags = enc ? ISAKMP_FLAG_ENC : 0,
					.msgid = 77 };
		memcpy(h.icookie, sa->icookie, 8);
		memcpy(h.rcookie, sa->rcookie, 8);
		msg_begin(&m, buf, sizeof(buf), &h);
		msg_open(&m, PL_DELETE);
		msg_put_u32(&m, DOI_IPSEC);
		msg_put_u8(&m, PROTO_ISAKMP);
		msg_put_u8(&m, 16);
		msg_put_u16(&m, 1);
		msg_put(&m, sa->icookie, 8);
		msg_put(&m, sa->rcookie, 8);
		msg_close(&m);
		msg_pad(&m, 16);
		cr_assert_gt(msg_finish(&m), 0);
		if (enc) { /* right key, but no HASH payload (CVE-2002-1623's neighbours) */
			uint8_t iv[16];
			ike_phase2_iv(sa->keys, sa->last_block, 77, iv);
			ike_encrypt(sa->keys, iv, buf + 28, m.len - 28);
		}
		ike_input(sim_engine(s, 0), &sa->path, buf, m.len);
	}
	must_be_up(s);
	finish(s);
}

struct replay {
	struct {
		uint8_t msg[1024];
		size_t len;
		struct ike_path path;
	} v[64];
	unsigned n;
};

static bool record(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg, size_t *len)
{
	struct replay *r = ctx;

	if (from == 1 && r->n < 64 && *len <= sizeof(r->v[0].msg)) {
		memcpy(r->v[r->n].msg, msg, *len);
		r->v[r->n].len = *len;
		r->v[r->n++].path = reversed(path);
	}
	return true;
}

Test(robust, replayed_messages_change_nothing)
{
	struct sim *s = pair_of_nodes(NULL, NULL);
	struct replay *r = calloc(1, sizeof(*r));
	struct ike_totals before, after;

	for (unsigned i = 0; i < 2; i++)
		sim_peer_cfg(s, i, 1 - i)->dpd_s = 10;
	sim_set_tap(s, record, r);
	sim_start(s);
	sim_run(s, 200 * SEC);
	must_be_up(s);
	cr_assert_gt(r->n, 6);
	sim_set_tap(s, NULL, NULL);
	ike_totals(sim_engine(s, 0), &before);
	for (unsigned i = 0; i < r->n; i++) {
		r->v[i].path.remote_port = 31337; /* an attacker's */
		ike_input(sim_engine(s, 0), &r->v[i].path, r->v[i].msg, r->v[i].len);
	}
	sim_run(s, 100 * SEC);
	ike_totals(sim_engine(s, 0), &after);
	cr_expect_eq(before.phase1.count, after.phase1.count);
	cr_expect_eq(before.phase2.count, after.phase2.count);
	cr_expect_eq(peer_sa(peer_find(sim_engine(s, 0), "node1"))->path.remote_port, 500);
	must_be_up(s);
	free(r);
	finish(s);
}

struct lossy {
	unsigned exchange, from, drop, seen, skip; /* skip: let so many through first */
};

/* Loses the first messages of a kind. */
static bool lose_first(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg, size_t *len)
{
	struct lossy *l = ctx;

	(void)path;
	(void)len;
	if (from != l->from || msg[18] != l->exchange)
		return true;
	unsigned n = l->seen++;
	return n < l->skip || n >= l->skip + l->drop;
}

Test(robust, delete_survives_loss)
{
	struct sim *s = two_nodes(SIM_IDLE, NULL, NULL); /* no traffic that would notice */
	struct lossy l = { EXCH_INFORMATIONAL, 1, 2, 0, 0 };

	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	sim_set_tap(s, lose_first, &l);
	cr_expect_eq(ike_down(sim_engine(s, 1), "node0/net0"), 0);
	sim_run(s, 10 * SEC);
	cr_expect_eq(l.seen, 1 + BLIND_REPEATS);
	cr_expect_eq(sim_pairs(s, 0), 0);
	finish(s);
}

Test(robust, every_lost_message_is_repeated)
{
	for (unsigned from = 0; from < 2; from++) {
		for (unsigned quick = 0; quick < 2; quick++) {
			for (unsigned first = 0; first < 3; first++) {
				struct sim *s = pair_of_nodes(NULL, NULL);
				struct lossy l = { quick ? EXCH_QUICK : EXCH_IDENTITY_PROTECTION,
						   from, 2, 0, first };
				sim_set_tap(s, lose_first, &l);
				sim_start(s);
				sim_run(s, 20 * SEC);
				must_be_up(s);
				finish(s);
			}
		}
	}
}

/* --------------------------------------------------------------------- loss of a peer ------- */

Test(recovery, restarted_node_is_back_in_a_round_trip)
{
	struct sim *s = pair_of_nodes(NULL, NULL);

	sim_start(s);
	sim_run(s, 20 * SEC);
	must_be_up(s);
	sim_restart(s, 1); /* the initiator: INITIAL-CONTACT */
	sim_run(s, 5 * SEC);
	must_be_up(s);
	sim_peer_cfg(s, 0, 1)->initiate = true;
	sim_restart(s, 0); /* the passive one: unknown SPIs make it call */
	sim_run(s, 5 * SEC);
	must_be_up(s);
	finish(s);
}

Test(recovery, dead_peer_is_noticed)
{
	struct sim *s = pair_of_nodes(NULL, NULL);
	unsigned mute = 1;

	sim_peer_cfg(s, 0, 1)->dpd_s = 20;
	sim_start(s);
	sim_run(s, 10 * SEC);
	must_be_up(s);
	sim_set_tap(s, swallow, &mute);
	sim_run(s, 120 * SEC);
	cr_expect_eq(sim_pairs(s, 0), 0);
	expect_text(sim_last_error(s, 0, 1), "is dead");
	sim_set_tap(s, NULL, NULL);
	sim_run(s, 30 * SEC); /* node 1 hears of unknown SPIs, or of the new Main Mode */
	must_be_up(s);
	finish(s);
}

Test(recovery, quick_mode_timeout_leads_to_a_new_main_mode)
{
	struct sim *s = pair_of_nodes(NULL, NULL);
	struct ike_totals t;

	sim_start(s);
	sim_run(s, 10 * SEC);
	must_be_up(s);
	sim_peer_cfg(s, 0, 1)->initiate = false; /* so that it cannot help */
	sim_restart(s, 0);
	ike_rekey(sim_engine(s, 1), "node0/net0");
	sim_run(s, 90 * SEC);
	must_be_up(s);
	ike_totals(sim_engine(s, 1), &t);
	cr_expect_eq(t.phase1.count, 2);
	finish(s);
}

/* ---------------------------------------------------------------------------------- NAT ----- */

struct ports {
	unsigned port500, port4500;
	uint16_t of_exchange_5;
};

static bool watch_ports(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg, size_t *len)
{
	struct ports *p = ctx;

	(void)from;
	(void)len;
	p->port500 += path->local_port == 500;
	p->port4500 += path->local_port == 4500;
	if (path->local_port == 500)
		cr_expect_not(msg[19] & ISAKMP_FLAG_ENC, "message 5 and later belong on 4500");
	return true;
}

static void child_encap(void *ctx, const struct ike_child_info *i)
{
	*(bool *)ctx = i->udp_encap;
}

Test(nat, floats_to_4500)
{
	struct sim_cfg cfg = sim_cfg_from_seed(3);
	struct ports ports = { 0 };
	bool encap[2] = { false, false };

	cfg.nodes = 2;
	cfg.faults = SIM_NAT;
	struct sim *s = sim_new(&cfg);
	sim_set_tap(s, watch_ports, &ports);
	sim_start(s);
	sim_run(s, 10 * SEC);
	cr_expect_eq(ports.port500, 4);
	cr_expect_gt(ports.port4500, 4);
	for (unsigned i = 0; i < 2; i++)
		ike_child_foreach(sim_engine(s, i), child_encap, &encap[i]);
	cr_expect(encap[0] && encap[1]);
	struct isakmp_sa *hub = peer_sa(peer_find(sim_engine(s, 0), "node1"));
	struct isakmp_sa *inner = peer_sa(peer_find(sim_engine(s, 1), "node0"));
	cr_assert(hub && inner);
	cr_expect(hub->nat_remote && !hub->nat_local);
	cr_expect(inner->nat_local && !inner->nat_remote);
	cr_expect_eq(hub->path.remote_port, 24500);
	finish(s);
}

static void child_port(void *ctx, const struct ike_child_info *i)
{
	if (i->current)
		*(uint16_t *)ctx = i->path.remote_port;
}

Test(nat, a_new_mapping_is_followed)
{
	struct sim_cfg cfg = sim_cfg_from_seed(3);
	uint16_t port = 0;

	cfg.nodes = 2;
	cfg.faults = SIM_NAT;
	struct sim *s = sim_new(&cfg);
	sim_peer_cfg(s, 1, 0)->dpd_s = 10;
	sim_peer_cfg(s, 1, 0)->n_children = sim_peer_cfg(s, 0, 1)->n_children = 1;
	sim_start(s);
	sim_run(s, 10 * SEC);
	ike_child_foreach(sim_engine(s, 0), child_port, &port);
	cr_expect_eq(port, 24500);
	sim_rebind(s, 1);
	sim_run(s, 20 * SEC); /* a probe from inside shows the new port */
	cr_expect_eq(peer_sa(peer_find(sim_engine(s, 0), "node1"))->path.remote_port, 25500);
	ike_child_foreach(sim_engine(s, 0), child_port, &port);
	cr_expect_eq(port, 25500, "the SA pair still goes to port %u", port);
	finish(s);
}

Test(nat, encapsulation_can_be_forced)
{
	for (unsigned who = 0; who < 2; who++) {
		struct sim *s = pair_of_nodes(NULL, NULL);
		struct ports ports = { 0 };
		bool encap[2] = { false, false };

		sim_peer_cfg(s, who, 1 - who)->force_encap = true;
		sim_set_tap(s, watch_ports, &ports);
		sim_start(s);
		sim_run(s, 5 * SEC);
		must_be_up(s);
		cr_expect_eq(ports.port500, 4);
		for (unsigned i = 0; i < 2; i++)
			ike_child_foreach(sim_engine(s, i), child_encap, &encap[i]);
		cr_expect(encap[0] && encap[1], "forced by node %u", who);
		finish(s);
	}
}

/* --------------------------------------------------------------------------- operator ------- */

Test(operator, down_stays_down_until_up)
{
	struct sim *s = pair_of_nodes(NULL, NULL);
	struct ike *ike = sim_engine(s, 1);

	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	cr_expect_eq(ike_down(ike, "node9"), -ENOENT);
	cr_expect_eq(ike_up(ike, "node0"), -EALREADY);
	cr_expect_eq(ike_down(ike, "node0"), 0);
	sim_run(s, 60 * SEC);
	cr_expect_eq(sim_pairs(s, 0), 0);
	cr_expect_eq(sim_pairs(s, 1), 0);
	cr_expect_eq(ike_up(ike, "node0"), 0);
	sim_run(s, 30 * SEC);
	must_be_up(s);
	cr_expect_eq(ike_down(ike, "node0/net0"), 0);
	sim_run(s, 60 * SEC);
	cr_expect_eq(sim_pairs(s, 0), 0);
	cr_expect_eq(ike_up(ike, "node0/net0"), 0);
	sim_run(s, 30 * SEC);
	must_be_up(s);
	finish(s);
}

Test(operator, reload_touches_only_what_changed)
{
	struct sim *s = pair_of_nodes(NULL, NULL);
	struct ike *ike = sim_engine(s, 1);
	struct ike_peer_cfg *cfg = sim_peer_cfg(s, 1, 0);
	struct ike_totals t;

	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	cr_expect_eq(ike_peer_set(ike, cfg), 0);
	cfg->children[0].life_s++; /* the child anew, under the same ISAKMP SA */
	cr_expect_eq(ike_peer_set(ike, cfg), 0);
	sim_run(s, 50 * SEC);
	must_be_up(s);
	ike_totals(ike, &t);
	cr_expect_eq(t.phase1.count, 1);
	cr_expect_eq(t.phase2.count, 2);
	cfg->dpd_s++; /* the peer anew */
	cr_expect_eq(ike_peer_set(ike, cfg), 0);
	sim_run(s, 50 * SEC);
	must_be_up(s);
	ike_totals(ike, &t);
	cr_expect_eq(t.phase1.count, 2);
	finish(s);
}

Test(operator, shutdown_says_goodbye)
{
	struct sim *s = pair_of_nodes(NULL, NULL);

	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	ike_shutdown(sim_engine(s, 1));
	sim_run(s, 20 * SEC);
	cr_expect_eq(sim_pairs(s, 0), 0);
	cr_expect_eq(sim_pairs(s, 1), 0);
	finish(s);
}
