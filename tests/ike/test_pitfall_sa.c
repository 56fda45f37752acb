/* The pitfalls of IKEv1 that the engine as a whole must stay out of: what becomes of an SA. Those
 * of single functions stand with the functions' other tests. Numbers: the list of pitfalls in the
 * design. */
#include <stdio.h>
#include <stdlib.h>

#include "pitfall.h"

/* ----------------------------------------------------------------------------- 13, 14 ------- */

enum forgery { IN_CLEAR, NO_HASH, WRONG_HASH, WRONG_KEY, FORGERIES };

Test(pitfall, p13_only_authenticated_informationals_count)
{
	for (unsigned how = 0; how < FORGERIES; how++) {
		struct sim *s = two_nodes_up();
		struct counter c = { .from = 0 };
		struct isakmp_sa *sa = node_sa(s, 0);
		struct info i;

		sim_set_tap(s, count, &c);
		info_begin(&i, sa, 77, how == WRONG_HASH || how == WRONG_KEY);
		info_delete_sa_payload(&i, sa);
		if (how == IN_CLEAR) {
			i.buf[19] = 0;
			cr_assert_gt(msg_finish(&i.m), 0);
		} else {
			if (how == WRONG_HASH)
				i.hash_at = 0; /* left as zeros */
			info_end(&i, sa);
			if (how == WRONG_KEY)
				i.buf[ISAKMP_HDR_LEN + 3] ^= 0x80;
		}
		ike_input(sim_engine(s, 0), &sa->path, i.buf, i.m.len);
		cr_expect_eq(c.n, 0, "forgery %u was answered", how);
		cr_expect_eq(node_sa(s, 0), sa, "forgery %u closed the SA", how);
		must_be_up(s);
		sim_set_tap(s, NULL, NULL);
		two_nodes_end(s);
	}
}

Test(pitfall, p13_nothing_counts_behind_a_delete)
{
	struct sim *s = two_nodes_up();
	struct isakmp_sa *sa = node_sa(s, 0);
	struct info i;

	for (unsigned before = 2; before--;) { /* the probe before the DELETE is answered */
		struct counter c = { .from = 0 };
		sim_set_tap(s, count, &c);
		info_begin(&i, sa, 77 + before, true);
		if (before)
			info_probe_payload(&i, sa);
		else
			info_delete_sa_payload(&i, sa);
		if (!before)
			info_probe_payload(&i, sa);
		size_t len = info_end(&i, sa);
		ike_input(sim_engine(s, 0), &sa->path, i.buf, len);
		cr_expect_eq(c.n, before, "%u messages", c.n);
		sim_set_tap(s, NULL, NULL);
	}
	cr_expect_eq(sa->state, IKE_SA_CLOSING, "the DELETE itself counts");
	two_nodes_end(s);
}

Test(pitfall, p14_the_dpd_sequence_waits_for_the_answer)
{
	struct sim *s = nodes_with(SIM_IDLE, NULL, NULL); /* traffic would be a sign of life */
	struct lose l = { .from = 1, .exchange = EXCH_INFORMATIONAL };

	sim_peer_cfg(s, 0, 1)->dpd_s = 10;
	sim_start(s);
	sim_run(s, 25 * SEC);
	struct isakmp_sa *sa = node_sa(s, 0);
	cr_assert_not_null(sa);
	uint32_t seq = sa->dpd_seq;
	cr_assert_neq(seq, 0, "nothing was asked");
	sim_set_tap(s, lose_after, &l);
	sim_run(s, 15 * SEC);
	cr_expect_geq(sa->dpd_tries, 2);
	cr_expect_eq(sa->dpd_seq, seq, "it moved without an answer");
	sim_set_tap(s, NULL, NULL);
	sim_run(s, 15 * SEC);
	cr_expect_eq(sa->dpd_tries, 0);
	cr_expect_gt(sa->dpd_seq, seq, "it did not move with the answer");
	seq = sa->dpd_seq;
	sa_dpd_ack(sa, seq + 7);
	sa_dpd_ack(sa, seq - 1);
	cr_expect_eq(sa->dpd_seq, seq, "another number than the one asked with counts");
	two_nodes_end(s);
}

/* ----------------------------------------------------------------------------- 16, 17 ------- */

struct deletes {
	struct sim *s;
	struct isakmp_sa *sa;
	uint8_t proto[8];
	unsigned n;
};

static bool collect_deletes(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg,
			    size_t *len)
{
	struct deletes *d = ctx;
	struct delete_payload del;
	struct payload_list l;
	uint8_t buf[INFO_MAX];

	(void)path;
	if (from != 1 || !info_open(d->sa, msg, *len, buf, &l))
		return true;
	const struct payload *p = payload_find(&l, PL_DELETE, 0);
	if (p && delete_parse(p->body, &del) == 0 && d->n < sizeof(d->proto))
		d->proto[d->n++] = del.proto;
	return true;
}

Test(pitfall, p16_quick_mode_sas_are_deleted_before_their_main_mode_sa)
{
	struct sim *s = two_nodes_up();
	struct deletes d = { .s = s, .sa = node_sa(s, 1) };

	sim_set_tap(s, collect_deletes, &d);
	cr_assert_eq(ike_down(sim_engine(s, 1), "node0"), 0);
	cr_expect_geq(d.n, 2);
	cr_expect_eq(d.proto[0], PROTO_ESP);
	cr_expect_eq(d.proto[d.n - 1], PROTO_ISAKMP);
	sim_run(s, 5 * SEC);
	sim_set_tap(s, NULL, NULL);
	two_nodes_end(s);
}

Test(pitfall, p16_a_delete_may_overtake_quick_mode_message_3)
{
	struct sim *s = two_nodes();
	struct lose l = { .from = 1, .exchange = EXCH_QUICK, .skip = 1 };

	sim_peer_cfg(s, 0, 1)->initiate = false;
	sim_set_tap(s, lose_after, &l);
	sim_start(s);
	sim_run(s, SEC / 2);
	cr_assert_gt(l.held_len, 0);
	cr_assert_not_null(node_pair(s, 0));
	cr_assert_eq(node_pair(s, 0)->state, PAIR_NEW);
	cr_assert_eq(ike_down(sim_engine(s, 1), "node0/net0"), 0);
	sim_run(s, SEC / 10);
	cr_expect_null(node_pair(s, 0), "the pair that was deleted is still there");
	ike_input(sim_engine(s, 0), &l.path, l.held, l.held_len); /* message 3, late */
	sim_run(s, SEC / 10);
	cr_expect_null(node_pair(s, 0), "a pair came back");
	two_nodes_end(s);
}

static int never_stored(void *ctx, const struct sa_params *p)
{
	(void)ctx;
	(void)p;
	return 0; /* and nothing is ever confirmed */
}

static void never_there(void *ctx, const struct sa_ref *ref, enum sa_dir dir)
{
	(void)ctx;
	(void)ref;
	(void)dir;
}

/* Message 2 makes the initiator send, message 3 makes the responder do so: neither leaves before
 * the lcore has said that it knows the SPI. */
Test(pitfall, p16_inbound_stands_before_the_message_that_makes_the_peer_send)
{
	for (unsigned who = 0; who < 2; who++) {
		struct sim *s = two_nodes();
		struct ike *ike = sim_engine(s, who);
		struct counter c = { .from = who };

		sim_peer_cfg(s, 0, 1)->initiate = false;
		ike->ops.sa_install = never_stored;
		ike->ops.sa_remove = never_there;
		sim_set_tap(s, count, &c);
		sim_start(s);
		sim_run(s, SEC / 2);
		cr_expect_not_null(node_sa(s, who));
		cr_expect_eq(c.quick, who, "node %u sent %u Quick Mode messages", who, c.quick);
		sim_set_tap(s, NULL, NULL);
		two_nodes_end(s);
	}
}

static const char precious[] = "Kx7-precious-9Q";
static void (*true_event)(void *, const struct ike_event *);
static unsigned events, leaks;

static bool holds_hex(const char *text, const uint8_t *key, size_t len)
{
	char hex[17];

	for (size_t at = 0; at + 8 <= len; at += 8) {
		for (unsigned i = 0; i < 8; i++)
			snprintf(hex + 2 * i, 3, "%02x", key[at + i]);
		if (strcasestr(text, hex))
			return true;
	}
	return false;
}

static void look_for_leaks(void *ctx, const struct ike_event *ev)
{
	events++;
	leaks += strstr(ev->text, precious) != NULL;
	leaks += holds_hex(ev->text, (const uint8_t *)precious, sizeof(precious) - 1);
	true_event(ctx, ev);
}

static void set_secret(struct ike_peer_cfg *cfg, const char *text)
{
	free(cfg->psk);
	cfg->psk = (uint8_t *)strdup(text);
	cfg->psk_len = strlen(text);
}

Test(pitfall, p17_no_secret_in_any_sentence)
{
	for (unsigned wrong = 0; wrong < 2; wrong++) {
		struct sim *s = two_nodes();

		events = leaks = 0;
		for (unsigned i = 0; i < 2; i++) {
			struct ike *ike = sim_engine(s, i);
			set_secret(sim_peer_cfg(s, i, 1 - i), precious);
			true_event = ike->ops.event;
			ike->ops.event = look_for_leaks;
		}
		if (wrong)
			set_secret(sim_peer_cfg(s, 1, 0), "Kx7-precious-9R");
		sim_start(s);
		sim_run(s, 70 * SEC);
		cr_expect_gt(events, 10);
		cr_expect_eq(leaks, 0);
		for (unsigned i = 0; i < 2; i++)
			cr_expect_null(strstr(sim_last_error(s, i, 1 - i), precious));
		cr_expect_eq(sim_pairs(s, 0), wrong ? 0u : 1u);
		two_nodes_end(s);
	}
}

/* Nothing that a finished negotiation does not need any more stays in memory. */
Test(pitfall, p17_what_is_not_needed_any_more_is_wiped)
{
	struct sim *s = two_nodes();

	for (unsigned i = 0; i < 2; i++)
		sim_peer_cfg(s, i, 1 - i)->children[0].esp[0].group = 19;
	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	for (unsigned i = 0; i < 2; i++) {
		struct exchange *x;
		unsigned n = 0;
		cr_expect_null(node_pair(s, i)->keys, "node %u keeps the keys of its SAs", i);
		TAILQ_FOREACH(x, &node_sa(s, i)->exchanges, link)
		{
			n++;
			cr_expect(x->done);
			cr_expect(!x->gxy.p && !x->dh && !x->ni.p && !x->nr.p && !x->peer_ke.p,
				  "node %u: exchange type %u keeps what it computed", i, x->type);
		}
		cr_expect_eq(n, 2, "Main Mode and Quick Mode still know duplicates");
		cr_expect(LIST_EMPTY(&sim_engine(s, i)->jobs));
	}
	two_nodes_end(s);
}
