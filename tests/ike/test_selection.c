/* Which of several connections answers, where their addresses alone do not tell. */
#include "two_nodes.h"

/* Node 0 gets another peer with node 1's addresses and secret, looked at before node 1's own. */
static struct ike_peer_cfg sibling(struct sim *s)
{
	struct ike_peer_cfg other = *sim_peer_cfg(s, 0, 1);

	strcpy(other.name, "other");
	cr_assert_eq(ike_id_from_text("other", &other.remote_id), 0);
	other.n_children = 0;
	other.initiate = false;
	return other;
}

Test(selection, a_peer_that_is_down_does_not_block_its_siblings)
{
	struct sim *s = two_nodes();
	struct ike_peer_cfg other = sibling(s);

	cr_assert_eq(ike_peer_set(sim_engine(s, 0), &other), 0);
	cr_assert_eq(ike_down(sim_engine(s, 0), "other"), 0);
	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	ike_peer_remove(sim_engine(s, 0), "other");
	two_nodes_end(s);
}

Test(selection, a_sibling_does_not_revive_a_peer_that_is_down)
{
	struct sim *s = two_nodes();
	struct ike_peer_cfg other = sibling(s);

	cr_assert_eq(ike_peer_set(sim_engine(s, 0), &other), 0);
	sim_start(s);
	cr_assert_eq(ike_down(sim_engine(s, 0), "node1"), 0);
	sim_run(s, 5 * SEC);
	cr_expect_null(node_sa(s, 0));
	expect_text(sim_last_error(s, 0, 1), "down by command");
	cr_assert_eq(ike_up(sim_engine(s, 0), "node1"), 0);
	sim_run(s, 90 * SEC);
	must_be_up(s);
	ike_peer_remove(sim_engine(s, 0), "other");
	two_nodes_end(s);
}

/* The proposal was chosen for the first of the two; the one that the identity names must allow it.
 */
Test(selection, the_connection_that_is_meant_decides_about_the_proposal)
{
	struct sim *s = two_nodes();
	struct ike_peer_cfg other = sibling(s);

	cr_assert_eq(ike_peer_set(sim_engine(s, 0), &other), 0);
	sim_peer_cfg(s, 0, 1)->ike[0].key_bits = 256;
	sim_peer_cfg(s, 0, 1)->initiate = false;
	sim_start(s);
	sim_run(s, 5 * SEC);
	cr_expect_null(node_sa(s, 0));
	expect_text(sim_last_error(s, 0, 1), "aes128-sha256-ecp256 is not among its proposals");
	ike_peer_remove(sim_engine(s, 0), "other");
	two_nodes_end(s);
}

/* "remote: any" without a remote-id takes whoever knows the secret, by any identity: a client
 * behind a NAT names its private address. */
Test(selection, any_without_an_identity_takes_every_identity)
{
	struct sim *s = two_nodes();
	struct ike_peer_cfg *hub = sim_peer_cfg(s, 0, 1);

	memset(&hub->remote, 0, sizeof(hub->remote));
	memset(&hub->remote_id, 0, sizeof(hub->remote_id));
	hub->initiate = false;
	cr_assert_eq(ike_id_from_text("192.168.7.9", &sim_peer_cfg(s, 1, 0)->local_id), 0);
	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	two_nodes_end(s);
}

/* By identity first, whatever the order: the open connection is the last resort. */
Test(selection, an_identity_goes_before_any)
{
	struct sim *s = two_nodes();
	struct ike_peer_cfg other = sibling(s), *hub = sim_peer_cfg(s, 0, 1);

	memset(&hub->remote, 0, sizeof(hub->remote));
	memset(&other.remote, 0, sizeof(other.remote));
	memset(&other.remote_id, 0, sizeof(other.remote_id));
	hub->initiate = false;
	cr_assert_eq(ike_peer_set(sim_engine(s, 0), &other), 0);
	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	ike_peer_remove(sim_engine(s, 0), "other");
	two_nodes_end(s);
}

/* Two clients behind one NAT under one open connection: one that starts anew voids what it had itself, not
 * what the other one has. The other one's SA is made of the first, with another identity and port. */
Test(selection, clients_behind_one_nat_leave_each_other_alone)
{
	for (unsigned other = 0; other < 2; other++) {
		struct sim *s = two_nodes();
		struct ike_peer_cfg *hub = sim_peer_cfg(s, 0, 1);
		struct isakmp_sa *sa;
		struct pair *pair;

		memset(&hub->remote, 0, sizeof(hub->remote));
		memset(&hub->remote_id, 0, sizeof(hub->remote_id));
		hub->initiate = false;
		sim_start(s);
		sim_run(s, 5 * SEC);
		must_be_up(s);
		sa = node_sa(s, 0);
		pair = node_pair(s, 0);
		uint32_t spi = pair->ref.spi;
		uint8_t icookie[ISAKMP_COOKIE_LEN], rcookie[ISAKMP_COOKIE_LEN];
		memcpy(icookie, sa->icookie, sizeof(icookie));
		memcpy(rcookie, sa->rcookie, sizeof(rcookie));
		if (other) {
			cr_assert_eq(ike_id_from_text("other", &sa->remote_id), 0);
			sa->path.remote_port = pair->path.remote_port = 4711;
		}
		sim_restart(s, 1);
		sim_run(s, 5 * SEC);
		cr_expect_eq(sim_pairs(s, 1), 1);
		sa = sa_find(sim_engine(s, 0), icookie, rcookie);
		cr_expect_eq(sa && sa->state == IKE_SA_ESTABLISHED, other);
		cr_expect_eq(pair_find(sim_engine(s, 0), spi) != NULL, other);
		two_nodes_end(s);
	}
}
