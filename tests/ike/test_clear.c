/* Fall back to clear: when it happens, when it ends, and that it never happens unasked. */
#include <stdio.h>

#include "two_nodes.h"

static unsigned clears, protects, attempts;
static bool is_clear, silent;
static char reason[512];
static void (*true_event)(void *, const struct ike_event *);

static void on_clear(void *ctx, uint32_t policy, bool clear)
{
	(void)ctx;
	(void)policy;
	cr_expect_neq(clear, is_clear, "nothing is said twice");
	is_clear = clear;
	clears += clear;
	protects += !clear;
}

static void watch_events(void *ctx, const struct ike_event *ev)
{
	if (ev->type == IKE_EV_CHILD_CLEAR)
		snprintf(reason, sizeof(reason), "%s", ev->text);
	attempts += ev->type == IKE_EV_NOTE && strstr(ev->text, "Main Mode to node0 begins");
	true_event(ctx, ev);
}

static bool drop_all(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg, size_t *len)
{
	(void)ctx;
	(void)from;
	(void)path;
	(void)msg;
	(void)len;
	return !silent;
}

static struct sim *nodes(bool fallback)
{
	struct sim *s = nodes_with(SIM_IDLE, NULL, NULL);

	sim_peer_cfg(s, 1, 0)->children[0].fallback_clear = fallback;
	sim_peer_cfg(s, 0, 1)->initiate = false;
	true_event = sim_engine(s, 1)->ops.event;
	sim_engine(s, 1)->ops.event = watch_events;
	sim_engine(s, 1)->ops.policy_clear = on_clear;
	sim_set_tap(s, drop_all, NULL);
	clears = protects = attempts = 0;
	is_clear = false;
	return s;
}

/* The peer is silent: after the first failure packets pass, an attempt every five minutes; with the
 * first SA they are protected. */
Test(clear, until_an_sa_is_up)
{
	struct sim *s = nodes(true);

	silent = true;
	sim_start(s);
	sim_run(s, 50 * SEC);
	cr_expect_not(is_clear, "the negotiation has not failed yet");
	sim_run(s, 30 * SEC);
	cr_expect(is_clear);
	expect_text(reason, "pass unprotected");
	expect_text(reason, "is silent on UDP port 500");
	cr_expect_eq(attempts, 1);
	sim_run(s, 270 * SEC);
	cr_expect_eq(attempts, 1);
	sim_run(s, 840 * SEC);
	cr_expect_geq(attempts, 3);
	cr_expect_leq(attempts, 4, "%u: one in five minutes, and what it takes", attempts);
	cr_expect(is_clear);
	silent = false;
	sim_run(s, 370 * SEC);
	must_be_up(s);
	cr_expect_not(is_clear);
	cr_expect_eq(clears, 1);
	cr_expect_eq(protects, 1);
	two_nodes_end(s);
}

Test(clear, never_unasked)
{
	struct sim *s = nodes(false);

	silent = true;
	sim_start(s);
	sim_run(s, 600 * SEC);
	cr_expect_eq(clears, 0);
	silent = false;
	sim_run(s, 200 * SEC);
	must_be_up(s);
	two_nodes_end(s);
}

/* A refused Quick Mode is a failure, too; a peer that negotiates by itself ends it. */
Test(clear, after_a_refusal_until_the_peer_comes)
{
	struct sim *s = nodes(true);
	struct ike_peer_cfg *hub = sim_peer_cfg(s, 0, 1);

	silent = false;
	hub->initiate = true;
	hub->children[0].esp[0].key_bits = 256;
	sim_start(s);
	sim_run(s, 10 * SEC);
	cr_expect(is_clear);
	expect_text(reason, "NO-PROPOSAL-CHOSEN");
	hub->children[0].esp[0].key_bits = 128;
	cr_assert_eq(ike_peer_set(sim_engine(s, 0), hub), 0);
	cr_assert_eq(ike_up(sim_engine(s, 0), "node1"), 0);
	sim_run(s, 10 * SEC);
	cr_expect_not(is_clear);
	two_nodes_end(s);
}

/* While an SA stands nothing passes, whatever fails; nor when the operator, or a new configuration,
 * takes the child away. */
Test(clear, not_beside_an_sa_nor_after_the_end)
{
	struct sim *s = nodes(true);
	struct ike_peer_cfg *cfg = sim_peer_cfg(s, 1, 0);

	silent = false;
	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	silent = true;
	cr_assert_eq(ike_rekey(sim_engine(s, 1), "node0/net0"), 0);
	sim_run(s, 200 * SEC);
	cr_expect_eq(clears, 0, "the old pair still stands");
	cr_assert_eq(ike_down(sim_engine(s, 1), "node0/net0"), 0);
	sim_run(s, 400 * SEC);
	cr_expect_eq(clears, 0, "down is down");
	cr_assert_eq(ike_up(sim_engine(s, 1), "node0/net0"), 0);
	sim_run(s, 100 * SEC);
	cr_expect(is_clear);
	cr_assert_eq(ike_down(sim_engine(s, 1), "node0/net0"), 0);
	cr_expect_not(is_clear, "down by command");
	cr_assert_eq(ike_up(sim_engine(s, 1), "node0/net0"), 0);
	sim_run(s, 100 * SEC);
	cr_expect(is_clear);
	cfg->children[0].fallback_clear = false;
	cr_assert_eq(ike_peer_set(sim_engine(s, 1), cfg), 0);
	cr_expect_not(is_clear, "the configuration does not want it any more");
	silent = false;
	two_nodes_end(s);
}
