/* When one Main Mode SA takes over from another, and what stands under it meanwhile. */
#include "two_nodes.h"

/* Renews the Main Mode SA from one side, and returns when it is there; NULL when it is not. */
static struct isakmp_sa *renew(struct sim *s, unsigned who)
{
	struct isakmp_sa *old = node_sa(s, who), *sa = old;

	cr_assert_eq(ike_rekey(sim_engine(s, who), who ? "node0" : "node1"), 0);
	for (unsigned i = 0; i < 100 && sa == old; i++) {
		sim_run(s, SEC / 100);
		TAILQ_FOREACH(sa, &old->peer->sas, link)
			if (sa != old && sa->state == IKE_SA_ESTABLISHED && sa->initiator)
				break;
		if (!sa)
			sa = old;
	}
	sim_run(s, SEC / 10); /* the other side has it, too */
	return sa != old ? sa : NULL;
}

/* The SA of a node with these cookies, or NULL. */
static struct isakmp_sa *same_sa(struct sim *s, unsigned node, const struct isakmp_sa *sa)
{
	return sa_find(sim_engine(s, node), sa->icookie, sa->rcookie);
}

/* Main Modes in opposite directions, one after the other: whoever begins later knew the first one
 * and wants to be rid of it. Cookies have no say, so eight in turns come out the same way. */
Test(renewal, a_main_mode_that_begins_later_replaces_the_first)
{
	struct sim *s = two_nodes();

	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	for (unsigned i = 0; i < 8; i++) {
		struct isakmp_sa *before = node_sa(s, 0);
		sim_run(s, 3 * SEC);
		struct isakmp_sa *sa = renew(s, i % 2);
		cr_assert_not_null(sa, "renewal %u", i);
		for (unsigned k = 0; k < 2; k++) {
			struct isakmp_sa *there = same_sa(s, k, sa);
			struct isakmp_sa *old = same_sa(s, k, before);
			cr_assert(there && old, "renewal %u", i);
			cr_expect_eq(there->state, IKE_SA_ESTABLISHED, "renewal %u, node %u", i, k);
			cr_expect_eq(old->state, IKE_SA_REKEYED, "renewal %u, node %u", i, k);
			cr_expect_eq(node_sa(s, k), there, "renewal %u, node %u", i, k);
		}
	}
	sim_run(s, 90 * SEC);
	must_be_up(s);
	two_nodes_end(s);
}

/* Two that cross on the way are a collision: both sides keep the one with the smaller cookie. */
Test(renewal, main_modes_that_cross_are_settled_by_their_cookies)
{
	struct sim *s = two_nodes();

	sim_start(s);
	sim_run(s, 5 * SEC);
	for (unsigned i = 0; i < 8; i++) {
		struct isakmp_sa *sa, *first[2] = { NULL, NULL };
		cr_assert_eq(ike_rekey(sim_engine(s, 0), "node1"), 0);
		cr_assert_eq(ike_rekey(sim_engine(s, 1), "node0"), 0);
		sim_run(s, SEC);
		TAILQ_FOREACH(sa, &node_sa(s, 0)->peer->sas, link)
			if (sim_now(s) - sa->created_us < 2 * SEC && sa->established_us)
				first[sa->initiator] = sa;
		cr_assert(first[0] && first[1], "they did not cross");
		sa = memcmp(first[0]->icookie, first[1]->icookie, ISAKMP_COOKIE_LEN) < 0 ? first[0]
											 : first[1];
		for (unsigned k = 0; k < 2; k++)
			cr_expect_eq(node_sa(s, k), same_sa(s, k, sa), "round %u, node %u", i, k);
		sim_run(s, 70 * SEC);
		must_be_up(s);
	}
	two_nodes_end(s);
}

/* Takes out of the first messages what says that the other one is a shrike, too. */
static bool hide_vendor(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg, size_t *len)
{
	static const uint8_t id[] = { 0x49, 0xae, 0x10, 0x5a };

	(void)ctx;
	(void)from;
	(void)path;
	for (size_t i = 0; i + sizeof(id) <= *len; i++)
		if (memcmp(msg + i, id, sizeof(id)) == 0)
			msg[i] ^= 0xff;
	return true;
}

/* strongSwan, for one, answers nothing on the one that came up first. */
Test(renewal, with_strangers_the_last_of_two_that_cross_stays)
{
	struct sim *s = two_nodes();

	sim_set_tap(s, hide_vendor, NULL);
	sim_start(s);
	sim_run(s, 5 * SEC);
	for (unsigned i = 0; i < 8; i++) {
		struct isakmp_sa *sa, *last = NULL;
		uint64_t begun = sim_now(s);
		cr_assert_eq(ike_rekey(sim_engine(s, 0), "node1"), 0);
		cr_assert_eq(ike_rekey(sim_engine(s, 1), "node0"), 0);
		sim_run(s, SEC);
		TAILQ_FOREACH(sa, &node_sa(s, 0)->peer->sas, link)
			if (sa->created_us >= begun && sa->established_us &&
			    (!last || sa->established_us > last->established_us))
				last = sa;
		cr_assert_not_null(last);
		cr_expect_eq(node_sa(s, 0), last, "round %u", i);
		sim_run(s, 100 * SEC);
		for (unsigned k = 0; k < 2; k++)
			cr_expect_eq(sim_pairs(s, k), 1, "round %u, node %u", i, k);
	}
	two_nodes_end(s);
}

/* Pairs that cross: strongSwan sends with the last one, and keeps both. */
Test(renewal, with_strangers_the_last_of_two_pairs_that_cross_sends)
{
	struct sim *s = two_nodes();

	sim_set_tap(s, hide_vendor, NULL);
	sim_start(s);
	sim_run(s, 5 * SEC);
	for (unsigned i = 0; i < 8; i++) {
		cr_assert_eq(ike_rekey(sim_engine(s, 0), "node1/net0"), 0);
		cr_assert_eq(ike_rekey(sim_engine(s, 1), "node0/net0"), 0);
		sim_run(s, 2 * SEC);
		for (unsigned k = 0; k < 2; k++) {
			struct pair *p, *last = NULL, *live = NULL;
			TAILQ_FOREACH(p, &node_pair(s, k)->child->pairs, link) {
				if (!last || p->established_us > last->established_us)
					last = p;
				if (p->state == PAIR_LIVE)
					live = p;
			}
			cr_assert(live && last);
			cr_expect_eq(live, last, "round %u, node %u", i, k);
		}
		sim_run(s, 60 * SEC);
	}
	cr_expect_eq(sim_totals(s).unknown, 0);
	two_nodes_end(s);
}

/* The pairs do not belong to the Main Mode SA that made them: they stay, and carry packets. */
Test(renewal, the_children_stay)
{
	struct sim *s = two_nodes();
	struct ike_totals t;
	uint32_t spi;

	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	spi = node_pair(s, 0)->ref.spi;
	for (unsigned i = 0; i < 4; i++) {
		cr_assert_not_null(renew(s, i % 2));
		sim_run(s, 80 * SEC);
		must_be_up(s);
		cr_expect_eq(node_pair(s, 0)->ref.spi, spi);
	}
	cr_expect_eq(sim_totals(s).unknown, 0);
	ike_totals(sim_engine(s, 0), &t);
	cr_expect_eq(t.phase1.count, 5);
	cr_expect_eq(t.phase2.count, 1);
	two_nodes_end(s);
}

/* INITIAL-CONTACT ends what stood before it began, but not what the peer has spoken under since. */
Test(renewal, a_new_start_of_the_peer_leaves_what_it_uses)
{
	struct sim *s = two_nodes();
	struct isakmp_sa *sa, newer;

	sim_start(s);
	sim_run(s, 5 * SEC);
	sa = node_sa(s, 0);
	cr_assert_not_null(sa);
	newer = *sa;
	sa->last_rx_us = sim_now(s);
	peer_forget_before(sa->peer, sim_now(s) - SEC, &newer);
	cr_expect_not(sa->dead);
	peer_forget_before(sa->peer, sim_now(s) + 1, &newer);
	cr_expect(sa->dead);
	sim_run(s, 60 * SEC);
	two_nodes_end(s);
}

/* After the DELETE of an old pair the peer takes nothing through it any more, whatever else may fail. */
Test(renewal, nothing_leaves_through_a_pair_that_was_given_up)
{
	struct sim *s = two_nodes();
	struct pair *old;

	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	old = node_pair(s, 1);
	cr_assert_eq(ike_rekey(sim_engine(s, 1), "node0/net0"), 0);
	sim_run(s, 5 * SEC);
	cr_assert(old->state == PAIR_OLD && old->in_set && old->out_set && !old->told);
	for (unsigned i = 0; i < 100 && !old->told; i++)
		sim_run(s, SEC / 10);
	cr_assert(old->told && !old->dead);
	cr_expect(old->in_set);
	cr_expect_not(old->out_set);
	sim_run(s, 30 * SEC);
	must_be_up(s);
	two_nodes_end(s);
}
