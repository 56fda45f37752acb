/* The engine under attack, under loss, and when one end forgets everything. */
#include <stdlib.h>

#include "two_nodes.h"

static bool swallow(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg, size_t *len)
{
	(void)path;
	(void)msg;
	(void)len;
	return from != *(unsigned *)ctx;
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

Test(robust, half_open_limits)
{
	struct sim *s = two_nodes();
	struct injector in = { 0 };
	struct ike *ike = sim_engine(s, 0);
	struct ike_totals t;

	sim_set_tap(s, keep_first, &in);
	sim_start(s);
	sim_run(s, SEC);
	cr_assert_gt(in.len, 0);
	struct ike_path path = path_back(&in.path);
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
	two_nodes_end(s);
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
	struct ike_path seen = path_back(path);
	if (msg[19] & ISAKMP_FLAG_ENC) /* clear ones may legitimately be taken for the real ones */
		ike_input(sim_engine(s, 0), &seen, bad, *len);
	return true;
}

Test(robust, forged_messages_change_nothing)
{
	struct sim *s = two_nodes();

	sim_set_tap(s, flip_bit, s);
	sim_start(s);
	sim_run(s, 20 * SEC);
	must_be_up(s);
	ike_rekey(sim_engine(s, 1), "node0/net0");
	sim_run(s, 60 * SEC);
	must_be_up(s);
	two_nodes_end(s);
}

Test(robust, unauthenticated_delete_and_notify_are_ignored)
{
	struct sim *s = two_nodes();
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
	two_nodes_end(s);
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
		r->v[r->n++].path = path_back(path);
	}
	return true;
}

Test(robust, replayed_messages_change_nothing)
{
	struct sim *s = nodes_with(SIM_IDLE, NULL, NULL);
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
	two_nodes_end(s);
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
	struct sim *s = nodes_with(SIM_IDLE, NULL, NULL); /* no traffic that would notice */
	struct lossy l = { EXCH_INFORMATIONAL, 1, 2, 0, 0 };

	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	sim_set_tap(s, lose_first, &l);
	cr_expect_eq(ike_down(sim_engine(s, 1), "node0/net0"), 0);
	sim_run(s, 10 * SEC);
	cr_expect_eq(l.seen, 1 + BLIND_REPEATS);
	cr_expect_eq(sim_pairs(s, 0), 0);
	two_nodes_end(s);
}

Test(robust, every_lost_message_is_repeated)
{
	for (unsigned from = 0; from < 2; from++) {
		for (unsigned quick = 0; quick < 2; quick++) {
			for (unsigned first = 0; first < 3; first++) {
				struct sim *s = two_nodes();
				struct lossy l = { quick ? EXCH_QUICK : EXCH_IDENTITY_PROTECTION,
						   from, 2, 0, first };
				sim_set_tap(s, lose_first, &l);
				sim_start(s);
				sim_run(s, 20 * SEC);
				must_be_up(s);
				two_nodes_end(s);
			}
		}
	}
}

/* --------------------------------------------------------------------- loss of a peer ------- */

Test(recovery, restarted_node_is_back_in_a_round_trip)
{
	struct sim *s = two_nodes();

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
	two_nodes_end(s);
}

Test(recovery, dead_peer_is_noticed)
{
	struct sim *s = nodes_with(SIM_IDLE, NULL, NULL); /* ESP would be a sign of life */
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
	/* a packet of node 1 under the SPI that node 0 has no more */
	ike_bad_spi(sim_engine(s, 0), &sim_peer_cfg(s, 0, 1)->remote, node_pair(s, 1)->spi_out);
	sim_run(s, 70 * SEC);
	must_be_up(s);
	two_nodes_end(s);
}

Test(recovery, quick_mode_timeout_leads_to_a_new_main_mode)
{
	struct sim *s = two_nodes();
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
	two_nodes_end(s);
}
