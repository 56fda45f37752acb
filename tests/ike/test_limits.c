/* What an attacker, or a random source that fails, can make the engine do. */
#include <errno.h>
#include <stdio.h>

#include "two_nodes.h"

struct first {
	uint8_t msg[2048];
	size_t len;
	struct ike_path path;
};

/* Keeps node 1's first message, and loses it. */
static bool keep_first(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg, size_t *len)
{
	struct first *f = ctx;

	if (from != 1 || f->len || *len > sizeof(f->msg))
		return true;
	memcpy(f->msg, msg, *len);
	f->len = *len;
	f->path = path_back(path);
	return false;
}

/* Somebody who cannot see our answers sends first messages in the name of a peer: those that never
 * go on must make room for the one that does. */
Test(limits, forged_first_messages_do_not_lock_a_peer_out)
{
	struct sim *s = two_nodes();
	struct first f = { .len = 0 };
	struct ike_totals t;

	sim_peer_cfg(s, 0, 1)->initiate = false;
	sim_set_tap(s, keep_first, &f);
	sim_start(s);
	sim_run(s, SEC / 2);
	cr_assert_gt(f.len, 0);
	uint8_t real = f.msg[0];
	for (unsigned i = 0; i < 16; i++) {
		f.msg[0] = (uint8_t)(real + 1 + i);
		ike_input(sim_engine(s, 0), &f.path, f.msg, f.len);
	}
	ike_totals(sim_engine(s, 0), &t);
	cr_expect_eq(t.half_open, 16);
	sim_run(s, 8 * SEC);
	cr_expect_not_null(node_sa(s, 0));
	ike_totals(sim_engine(s, 0), &t);
	cr_expect_leq(t.half_open, 16);
	sim_run(s, 40 * SEC);
	must_be_up(s);
	two_nodes_end(s);
}

static unsigned complaints, warnings;
static void (*true_event)(void *, const struct ike_event *);

static void count_warnings(void *ctx, const struct ike_event *ev)
{
	warnings += ev->type == IKE_EV_PHASE1_FAILED;
	true_event(ctx, ev);
}

static bool count_complaints(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg,
			     size_t *len)
{
	complaints += from == 0 && msg[18] == EXCH_INFORMATIONAL;
	return keep_first(ctx, from, path, msg, len);
}

/* What cannot be accepted is refused in words and with a warning, but not as often as strangers like. */
Test(limits, refusals_of_strangers_are_few)
{
	struct sim *s = two_nodes();
	struct ike *ike = sim_engine(s, 0);
	struct first f = { .len = 0 };
	struct ike_totals t;

	true_event = ike->ops.event;
	ike->ops.event = count_warnings;
	sim_peer_cfg(s, 0, 1)->ike[0].group = 14;
	sim_peer_cfg(s, 0, 1)->initiate = false;
	sim_set_tap(s, count_complaints, &f);
	sim_start(s);
	sim_run(s, SEC / 2);
	cr_assert_gt(f.len, 0);
	for (unsigned round = 1; round < 3; round++) {
		for (unsigned i = 0; i < 200; i++) {
			f.msg[1] = (uint8_t)i;
			ike_input(ike, &f.path, f.msg, f.len);
		}
		ike_totals(ike, &t);
		cr_expect_geq(t.phase1.failed, 200 * round);
		cr_expect_eq(complaints, COMPLAINTS_MAX, "%u answers", complaints);
		cr_expect_eq(warnings, COMPLAINTS_MAX, "%u warnings", warnings);
		expect_text(sim_last_error(s, 0, 1), "no phase 1 proposal");
		complaints = warnings = 0;
		sim_set_tap(s, NULL, NULL); /* node 1 goes on by itself meanwhile */
		sim_run(s, 4 * SEC);
		sim_set_tap(s, count_complaints, &f);
		warnings = 0;
	}
	sim_set_tap(s, NULL, NULL);
	two_nodes_end(s);
}

static size_t no_random_of; /* bytes asked for; 0: of any number */
static int (*true_random)(void *, void *, size_t);

static int no_random(void *ctx, void *buf, size_t len)
{
	return no_random_of && len != no_random_of ? true_random(ctx, buf, len) : -EIO;
}

/* The random source fails for a while, as a whole or for nonces: the engine must try again later,
 * not at once for ever, and not never. */
static void random_fails(size_t of)
{
	struct sim *s = two_nodes();
	struct ike *ike = sim_engine(s, 1);
	struct ike_totals t;

	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	cr_assert_eq(ike_rekey(ike, "node0/net0"), 0);
	no_random_of = of;
	true_random = ike->ops.random;
	ike->ops.random = no_random;
	sim_run(s, 5 * SEC);
	ike->ops.random = true_random;
	sim_run(s, 60 * SEC);
	must_be_up(s);
	ike_totals(ike, &t);
	cr_expect_eq(t.rekeys_phase2, 1);
	two_nodes_end(s);
}

Test(limits, without_randomness_a_rekey_waits, .timeout = 20)
{
	random_fails(0);
}

Test(limits, without_a_nonce_a_rekey_waits, .timeout = 20)
{
	random_fails(IKE_NONCE_OURS);
}

/* An ISAKMP SA that runs out of message IDs cannot even ask whether the peer lives: whoever may not call
 * must end it while it still can, or takes a live peer for a dead one. */
Test(limits, an_sa_ends_before_its_message_ids_do)
{
	struct sim *s = two_nodes();

	sim_peer_cfg(s, 0, 1)->initiate = false;
	sim_peer_cfg(s, 0, 1)->dpd_s = 10;
	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	struct isakmp_sa *sa = node_sa(s, 0);
	while (sa->n_msgids < MSGIDS_MAX - MSGIDS_MAX / 8)
		cr_assert_neq(sa_msgid_new(sa), 0);
	sim_run(s, SEC);
	cr_expect_null(node_sa(s, 0));
	cr_expect_null(node_sa(s, 1), "the peer was not told");
	cr_expect_eq(sim_pairs(s, 0), 1);
	cr_expect_eq(sim_pairs(s, 1), 1);
	cr_assert_eq(ike_rekey(sim_engine(s, 1), "node0/net0"), 0);
	sim_run(s, 60 * SEC);
	must_be_up(s);
	two_nodes_end(s);
}

static unsigned acquired;

static void count_calls(void *ctx, const struct ike_path *path, const uint8_t *msg, size_t len)
{
	(void)ctx;
	(void)msg;
	(void)len;
	acquired += ip_addr_to_v4(&path->remote) == 0x0b000000u + 4711;
}

/* Ten thousand peers: what strangers send, and packets without an SA, must not walk over all of them.
 * A walk takes milliseconds here, and this would take minutes. */
Test(limits, ten_thousand_peers, .timeout = 30)
{
	enum { N = 10000 };
	struct sim *s = two_nodes();
	struct ike *ike = sim_engine(s, 0);
	struct ike_peer_cfg cfg = *sim_peer_cfg(s, 0, 1);
	struct ike_child_cfg child = cfg.children[0];
	char name[IKE_NAME_LEN];
	uint8_t msg[ISAKMP_HDR_LEN] = { 1, [16] = PL_SA, ISAKMP_VERSION, EXCH_IDENTITY_PROTECTION,
					[27] = ISAKMP_HDR_LEN };
	struct ike_path path = { cfg.local, ip_addr_v4(0x0c000001), 500, 500 };

	child.start = START_ON_DEMAND;
	cfg.children = &child;
	cfg.initiate = true;
	for (unsigned round = 0; round < 2; round++) { /* set, and set again as a reload does */
		for (unsigned i = 0; i < N; i++) {
			snprintf(cfg.name, sizeof(cfg.name), "peer-%u", i);
			cfg.remote = ip_addr_v4(0x0b000000u + i);
			child.policy = 100 + i;
			cr_assert_eq(ike_peer_set(ike, &cfg), 0);
		}
	}
	for (unsigned i = 0; i < 4 * N; i++) {
		msg[1] = (uint8_t)i;
		msg[2] = (uint8_t)(i >> 8);
		ike_input(ike, &path, msg, sizeof(msg));
		ike_bad_spi(ike, &path.remote, i);
		ike_acquire(ike, 100 + N + i);
	}
	ike->ops.send = count_calls;
	ike_acquire(ike, 100 + 4711);
	sim_run(s, SEC / 10);
	cr_expect_eq(acquired, 1);
	for (unsigned i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "peer-%u", i);
		cr_assert_eq(ike_peer_remove(ike, name), 0);
		cr_assert_eq(ike_peer_remove(ike, name), -ENOENT);
	}
	two_nodes_end(s);
}

/* -------------------------------------------------------- Quick Modes at the same time ---- */

/* Takes out of the first messages what says that a side takes any number of exchanges at once. */
static bool hide_parallel(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg,
			  size_t *len)
{
	static const uint8_t id[] = { 0x49, 0xae, 0x10, 0x5a };
	unsigned *hidden = ctx;

	(void)from;
	(void)path;
	for (size_t i = 0; i + sizeof(id) <= *len; i++)
		if (memcmp(msg + i, id, sizeof(id)) == 0) {
			msg[i] ^= 0xff;
			(*hidden)++;
		}
	return true;
}

static unsigned quick_modes_open(struct sim *s, unsigned node)
{
	struct isakmp_sa *sa = node_sa(s, node);
	const struct exchange *x;
	unsigned n = 0;

	if (!sa)
		return 0;
	TAILQ_FOREACH(x, &sa->exchanges, link)
		n += x->type == EXCH_QUICK && !x->dead && !x->done;
	return n;
}

/* Eight pairs at once; the most Quick Modes that were under way together. */
static unsigned most_quick_modes(bool hide, unsigned *hidden)
{
	struct sim *s = two_nodes();
	unsigned most = 0;

	for (unsigned i = 0; i < 2; i++)
		sim_peer_cfg(s, i, 1 - i)->children[0].pairs = 8;
	if (hide)
		sim_set_tap(s, hide_parallel, hidden);
	sim_start(s);
	for (unsigned i = 0; i < 10000; i++) {
		sim_run(s, SEC / 2000);
		unsigned open = quick_modes_open(s, 1);
		most = open > most ? open : most;
	}
	cr_expect_eq(sim_pairs(s, 1), 8);
	two_nodes_end(s);
	return most;
}

/* strongSwan loses the thread of a Quick Mode when three other exchanges come between. */
Test(limits, strangers_get_one_quick_mode_after_the_other)
{
	unsigned hidden = 0;

	cr_expect_eq(most_quick_modes(true, &hidden), 1);
	cr_expect_eq(hidden, 2);
}

Test(limits, one_of_us_gets_many_quick_modes_at_once)
{
	cr_expect_eq(most_quick_modes(false, NULL), 8);
}
