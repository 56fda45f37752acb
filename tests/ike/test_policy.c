/* Policy in the user's terms: how many Quick Modes a Main Mode SA may carry, idle time, signs of
 * life, and how a refusal reaches the one who is refused. */
#include <stdio.h>

#include "two_nodes.h"

static unsigned children_up(struct sim *s, unsigned node)
{
	return sim_pairs(s, node);
}

/* Node 1 gets n children with networks of their own, node 0 likewise. */
static void give_children(struct sim *s, unsigned n)
{
	for (unsigned i = 0; i < 2; i++) {
		struct ike_peer_cfg *p = sim_peer_cfg(s, i, 1 - i);
		p->children = realloc(p->children, n * sizeof(*p->children));
		for (unsigned k = 1; k < n; k++) {
			struct ike_child_cfg *c = &p->children[k];
			*c = p->children[0];
			snprintf(c->name, sizeof(c->name), "net%u", k);
			c->policy += k;
			c->sel.local.lo.b[2] = c->sel.local.hi.b[2] = (uint8_t)k;
			c->sel.remote.lo.b[2] = c->sel.remote.hi.b[2] = (uint8_t)k;
		}
		p->n_children = n;
	}
}

/* ---------------------------------------------------------------- Quick Modes per Main Mode - */

static void expect_limit(unsigned limit, unsigned on, unsigned children, unsigned main_modes)
{
	struct sim *s = two_nodes();
	struct ike_totals t;

	for (unsigned i = 0; i < 2; i++)
		if (on & (1u << i))
			sim_peer_cfg(s, i, 1 - i)->quick_limit = limit;
	give_children(s, children);
	sim_start(s);
	sim_run(s, 60 * SEC);
	for (unsigned i = 0; i < 2; i++) {
		struct isakmp_sa *sa;
		cr_assert_eq(children_up(s, i), children, "node %u: %u of %u", i, children_up(s, i),
			     children);
		TAILQ_FOREACH(sa, &node_sa(s, i)->peer->sas, link)
			cr_expect_leq(sa->quick_modes, limit, "node %u", i);
	}
	ike_totals(sim_engine(s, 1), &t);
	cr_expect_geq(t.phase1.count, main_modes, "%u", (unsigned)t.phase1.count);
	if (on == 3) /* otherwise one has to find out about the other's limit */
		cr_expect_eq(t.phase1.count, main_modes, "%u", (unsigned)t.phase1.count);
	sim_run(s, 60 * SEC);
	/* the rekeys, too */
	for (unsigned k = 0; k < 2; k++) {
		uint64_t before = t.phase2.count;
		cr_assert_eq(ike_rekey(sim_engine(s, k), k ? "node0/net0" : "node1/net0"), 0);
		sim_run(s, 60 * SEC);
		ike_totals(sim_engine(s, 1), &t);
		cr_expect_gt(t.phase2.count, before);
	}
	sim_run(s, 60 * SEC);
	cr_expect_eq(children_up(s, 0), children);
	cr_expect_eq(children_up(s, 1), children);
	two_nodes_end(s);
}

Test(policy, master_pfs_is_a_main_mode_for_every_quick_mode)
{
	expect_limit(1, 3, 3, 3);
}

Test(policy, a_main_mode_carries_so_many_quick_modes)
{
	expect_limit(2, 3, 5, 3);
}

Test(policy, a_limit_of_the_initiator_alone)
{
	expect_limit(1, 2, 3, 3);
}

/* It refuses what is beyond, and makes the Main Mode itself. */
Test(policy, a_limit_of_the_responder_alone)
{
	expect_limit(1, 1, 3, 3);
}

/* Where the responder may not call, the DELETE of its Main Mode SA makes the initiator do so. */
Test(policy, a_limit_of_a_responder_that_may_not_call)
{
	struct sim *s = two_nodes();
	struct ike_totals t;

	sim_peer_cfg(s, 0, 1)->quick_limit = 1;
	sim_peer_cfg(s, 0, 1)->initiate = false;
	give_children(s, 2);
	sim_start(s);
	sim_run(s, 120 * SEC);
	cr_expect_eq(children_up(s, 0), 2);
	cr_expect_eq(children_up(s, 1), 2);
	ike_totals(sim_engine(s, 1), &t);
	cr_expect_leq(t.phase1.count, 3, "%u", (unsigned)t.phase1.count);
	two_nodes_end(s);
}

/* The initiator has counted less than the responder: its next Quick Mode goes under a new Main Mode SA, and
 * at once. */
Test(policy, a_refusal_beyond_the_limit_means_a_new_main_mode)
{
	struct sim *s = two_nodes();
	uint32_t before;

	sim_peer_cfg(s, 0, 1)->quick_limit = 1;
	sim_peer_cfg(s, 1, 0)->quick_limit = 5;
	sim_peer_cfg(s, 0, 1)->initiate = false;
	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	before = node_pair(s, 1)->ref.spi;
	cr_assert_eq(ike_rekey(sim_engine(s, 1), "node0/net0"), 0);
	sim_run(s, SEC / 2);
	cr_expect_eq(node_pair(s, 1)->ref.spi, before);
	cr_expect_eq(node_pair(s, 1)->state, PAIR_OLD, "%s", sim_last_error(s, 1, 0));
	two_nodes_end(s);
}

/* An initiator that gives up says nothing: the pair that it wanted is in nobody's way for long. */
Test(policy, an_abandoned_quick_mode_does_not_keep_what_is_due)
{
	struct sim *s = two_nodes();
	struct pair *pair, *theirs;

	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	pair = node_pair(s, 1);
	theirs = pair_new(pair->child, pair->idx, false, NULL);
	cr_assert_not_null(theirs);
	pair->rekey_due = true;
	cr_expect_not(child_has_work(pair->child));
	theirs->created_us -= 3 * SEC;
	cr_expect(child_has_work(pair->child));
	pair->rekey_due = false;
	pair_kill(theirs);
	two_nodes_end(s);
}

/* What is due waits, at both ends, for the Main Mode that only one of them can make: then only that one
 * renews it. */
Test(policy, both_do_not_renew_at_once_under_a_new_main_mode)
{
	struct sim *s = two_nodes();
	struct ike_totals t;

	for (unsigned i = 0; i < 2; i++)
		sim_peer_cfg(s, i, 1 - i)->quick_limit = 2;
	sim_peer_cfg(s, 0, 1)->initiate = false;
	sim_start(s);
	for (unsigned n = 0; n < 10; n++) {
		sim_run(s, 60 * SEC);
		ike_rekey(sim_engine(s, 0), "node1/net0"); /* the second, and last, of this SA */
		sim_run(s, 60 * SEC);
		ike_rekey(sim_engine(s, 0), "node1/net0");
		sim_run(s, SEC);
		ike_rekey(sim_engine(s, 1), "node0/net0");
	}
	sim_run(s, 60 * SEC);
	for (unsigned i = 0; i < 2; i++) {
		ike_totals(sim_engine(s, i), &t);
		cr_expect_eq(t.rekeys_phase2, 20);
		cr_expect_eq(t.phase2.count, t.rekeys_phase2 + 1, "node %u made %u pairs in vain", i,
			     (unsigned)(t.phase2.count - t.rekeys_phase2 - 1));
	}
	two_nodes_end(s);
}

/* Both sides begin what each takes for the last Quick Mode of the Main Mode SA: that of its maker is done,
 * at once, and no third one. */
Test(policy, the_last_quick_mode_is_the_makers)
{
	struct sim *s = two_nodes();
	struct ike_totals t;

	for (unsigned i = 0; i < 2; i++)
		sim_peer_cfg(s, i, 1 - i)->quick_limit = 2;
	sim_peer_cfg(s, 0, 1)->initiate = false;
	sim_start(s);
	sim_run(s, 10 * SEC);
	must_be_up(s);
	for (unsigned i = 0; i < 2; i++)
		ike_rekey(sim_engine(s, i), i ? "node0/net0" : "node1/net0");
	sim_run(s, SEC / 2);
	for (unsigned i = 0; i < 2; i++) {
		ike_totals(sim_engine(s, i), &t);
		cr_expect_eq(t.rekeys_phase2, 1, "node %u: %u", i, (unsigned)t.rekeys_phase2);
		cr_expect_eq(t.phase1.count, 1);
	}
	sim_run(s, 60 * SEC);
	must_be_up(s);
	two_nodes_end(s);
}

/* Both begin two where three may be made: one of those that are not the maker's gives way, and says so. */
Test(policy, what_gives_way_leaves_no_half_of_a_pair)
{
	static const char *const names[2][2] = { { "node1/net0", "node1/net1" },
						 { "node0/net0", "node0/net1" } };
	struct sim *s = two_nodes();
	struct child *c;
	struct pair *pair;

	for (unsigned i = 0; i < 2; i++)
		sim_peer_cfg(s, i, 1 - i)->quick_limit = 5;
	give_children(s, 2);
	sim_start(s);
	sim_run(s, 10 * SEC);
	for (unsigned i = 0; i < 4; i++)
		cr_assert_eq(ike_rekey(sim_engine(s, i % 2), names[i % 2][i / 2]), 0);
	sim_run(s, SEC / 2);
	for (unsigned i = 0; i < 2; i++)
		TAILQ_FOREACH(c, &node_sa(s, i)->peer->children, link)
			TAILQ_FOREACH(pair, &c->pairs, link)
				cr_expect(pair->dead || pair->state != PAIR_NEW, "node %u, %s", i,
					  c->cfg.name);
	sim_run(s, 60 * SEC);
	cr_expect_eq(sim_pairs(s, 0), 2);
	two_nodes_end(s);
}

/* Whichever of limit and lifetime is first: time ends it before the number does. */
Test(policy, the_lifetime_ends_what_the_limit_has_not)
{
	struct sim *s = two_nodes();
	struct ike_totals t;

	for (unsigned i = 0; i < 2; i++) {
		sim_peer_cfg(s, i, 1 - i)->quick_limit = 100;
		sim_peer_cfg(s, i, 1 - i)->life_s = 120;
	}
	sim_start(s);
	sim_run(s, 200 * SEC);
	ike_totals(sim_engine(s, 1), &t);
	cr_expect_geq(t.phase1.count, 2);
	cr_expect_eq(t.phase2.count, 1);
	two_nodes_end(s);
}

/* ----------------------------------------------------------------------------- refusals ----- */

struct lose {
	unsigned from, informationals; /* so many of that node's get lost */
	unsigned lost;
};

static bool lose_informationals(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg,
				size_t *len)
{
	struct lose *l = ctx;

	(void)path;
	(void)len;
	if (from != l->from || msg[18] != EXCH_INFORMATIONAL || l->lost == l->informationals)
		return true;
	l->lost++;
	return false;
}

/* The notify that refuses a Quick Mode gets lost; the initiator asks again and is answered again,
 * long before it would give up. */
Test(policy, a_lost_refusal_of_a_quick_mode_is_said_again)
{
	struct lose l = { .from = 0, .informationals = 2 };
	struct sim *s = two_nodes();

	sim_peer_cfg(s, 0, 1)->children[0].esp[0].key_bits = 256;
	sim_set_tap(s, lose_informationals, &l);
	sim_start(s);
	sim_run(s, 6 * SEC);
	cr_expect_eq(l.lost, 2);
	expect_text(sim_last_error(s, 1, 0), "NO-PROPOSAL-CHOSEN");
	two_nodes_end(s);
}

/* The responder has its SA once message 6 left; an initiator that does not want it says so. */
Test(policy, an_initiator_that_refuses_message_6_leaves_nothing_behind)
{
	struct sim *s = two_nodes();

	cr_assert_eq(ike_id_from_text("somebody", &sim_peer_cfg(s, 1, 0)->remote_id), 0);
	sim_peer_cfg(s, 0, 1)->initiate = false;
	sim_start(s);
	sim_run(s, SEC - SEC / 10);
	expect_text(sim_last_error(s, 1, 0), "the identity of node0 differs");
	cr_expect_null(node_sa(s, 0), "it was told that nobody wants it");
	cr_expect_null(node_sa(s, 1));
	two_nodes_end(s);
}

/* A Quick Mode that nobody answers makes a new Main Mode, and is tried there. */
Test(policy, a_quick_mode_without_an_answer_goes_under_a_new_main_mode)
{
	struct sim *s = two_nodes();
	struct isakmp_sa *sa;

	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	/* the other side loses the ISAKMP SA, and nobody is told */
	sa_kill(node_sa(s, 0));
	engine_reap(sim_engine(s, 0));
	sa = node_sa(s, 1);
	cr_assert_eq(ike_rekey(sim_engine(s, 1), "node0/net0"), 0);
	sim_run(s, 90 * SEC);
	cr_assert_not_null(node_sa(s, 1));
	cr_expect_neq(node_sa(s, 1), sa);
	sim_run(s, 60 * SEC);
	must_be_up(s);
	two_nodes_end(s);
}

/* The number of repeats is the user's; five without a word of his. */
Test(policy, a_message_is_repeated_as_often_as_configured)
{
	static const struct {
		uint32_t retries;
		unsigned sent;
	} cases[] = { { 0, 6 }, { 2, 3 }, { 8, 9 } };

	for (unsigned i = 0; i < 3; i++) {
		struct sim *s = two_nodes();
		char want[40];
		sim_peer_cfg(s, 1, 0)->retries = cases[i].retries;
		sim_peer_cfg(s, 1, 0)->remote.b[3] = 99; /* nobody is there */
		sim_start(s);
		sim_run(s, 700 * SEC);
		snprintf(want, sizeof(want), "sent %u times", cases[i].sent);
		expect_text(sim_last_error(s, 1, 0), want);
		two_nodes_end(s);
	}
}

/* ------------------------------------------------------------------------ idle, and alive --- */

static struct sim *idle_nodes(unsigned who, enum child_start start)
{
	struct sim *s = nodes_with(SIM_IDLE, NULL, NULL);
	struct ike_peer_cfg *p = sim_peer_cfg(s, who, 1 - who);

	p->idle_s = p->children[0].idle_s = 60;
	sim_peer_cfg(s, 1, 0)->children[0].start = start;
	sim_start(s);
	if (start == START_ON_DEMAND)
		ike_acquire(sim_engine(s, 1), sim_peer_cfg(s, 1, 0)->children[0].policy);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	return s;
}

/* First the pair goes, later the Main Mode SA; a packet brings both back. */
Test(policy, without_traffic_pairs_and_then_the_main_mode_sa_go)
{
	static const enum child_start starts[] = { START_ON_DEMAND, START_IMMEDIATE };

	for (unsigned i = 0; i < 2; i++) {
		struct sim *s = idle_nodes(1, starts[i]);
		sim_run(s, 40 * SEC);
		must_be_up(s);
		sim_run(s, 45 * SEC);
		cr_expect_eq(sim_pairs(s, 0) + sim_pairs(s, 1), 0);
		cr_expect(node_sa(s, 1) && node_sa(s, 0), "not yet");
		sim_run(s, 90 * SEC);
		cr_expect_null(node_sa(s, 1));
		cr_expect_null(node_sa(s, 0));
		ike_acquire(sim_engine(s, 1), sim_peer_cfg(s, 1, 0)->children[0].policy);
		sim_run(s, 5 * SEC);
		must_be_up(s);
		sim_run(s, 200 * SEC);
		cr_expect_null(node_sa(s, 1));
		cr_expect_eq(ike_up(sim_engine(s, 1), "node0"), 0);
		sim_run(s, 5 * SEC);
		must_be_up(s);
		two_nodes_end(s);
	}
}

/* Packets in either direction keep it, over its rekeys; those are no traffic. */
Test(policy, traffic_keeps_a_child_and_rekeys_do_not)
{
	for (unsigned busy = 0; busy < 2; busy++) {
		struct sim *s = nodes_with(busy ? 0 : SIM_IDLE, NULL, NULL);
		struct ike_peer_cfg *p = sim_peer_cfg(s, 0, 1);
		p->idle_s = p->children[0].idle_s = 60;
		p->children[0].life_s = 40;
		sim_peer_cfg(s, 1, 0)->children[0].start = START_ON_DEMAND;
		sim_start(s);
		ike_acquire(sim_engine(s, 1), sim_peer_cfg(s, 1, 0)->children[0].policy);
		sim_run(s, 300 * SEC);
		cr_expect_eq(sim_pairs(s, 1), busy, "%u", sim_pairs(s, 1));
		cr_expect_eq(node_sa(s, 1) != NULL, busy);
		two_nodes_end(s);
	}
}

static unsigned probes;

static bool count_probes(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg, size_t *len)
{
	(void)ctx;
	(void)path;
	(void)len;
	probes += from == 1 && msg[18] == EXCH_INFORMATIONAL;
	return true;
}

/* Counts what node 1 asks in ten minutes, with or without traffic. */
static unsigned probes_with(bool on_demand, bool traffic)
{
	struct sim *s = nodes_with(traffic ? 0 : SIM_IDLE, NULL, NULL);
	struct ike_peer_cfg *p = sim_peer_cfg(s, 1, 0);

	p->dpd_s = 30;
	p->dpd_on_demand = on_demand;
	probes = 0;
	sim_set_tap(s, count_probes, NULL);
	sim_start(s);
	sim_run(s, 600 * SEC);
	must_be_up(s);
	unsigned n = probes;
	two_nodes_end(s);
	return n;
}

Test(policy, a_peer_is_asked_only_when_nothing_comes_from_it)
{
	cr_expect_geq(probes_with(false, false), 18);
	cr_expect_leq(probes_with(false, false), 20);
	cr_expect_eq(probes_with(false, true), 0, "ESP is a sign of life");
	cr_expect_eq(probes_with(true, false), 0, "nobody waits for anything");
	cr_expect_eq(probes_with(true, true), 0);
}

static bool deaf;

static bool drop_esp_and_all(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg,
			     size_t *len)
{
	(void)ctx;
	(void)path;
	(void)msg;
	(void)len;
	return !(deaf && from == 0);
}

/* On demand as well a dead peer is noticed, by what goes out and is not answered. */
Test(policy, on_demand_a_dead_peer_is_missed_by_its_traffic)
{
	for (unsigned traffic = 0; traffic < 2; traffic++) {
		struct sim *s = nodes_with(traffic ? 0 : SIM_IDLE, NULL, NULL);
		struct ike_peer_cfg *p = sim_peer_cfg(s, 1, 0);
		p->dpd_s = 20;
		p->dpd_on_demand = true;
		deaf = false;
		sim_set_tap(s, drop_esp_and_all, NULL);
		sim_start(s);
		sim_run(s, 10 * SEC);
		must_be_up(s);
		deaf = true;
		ike_down(sim_engine(s, 0), "node1"); /* its DELETEs get lost: silent from now on */
		sim_run(s, 200 * SEC);
		cr_expect_eq(sim_pairs(s, 1), traffic ? 0 : 1);
		two_nodes_end(s);
	}
}
