/* Aggressive Mode between two nodes of the simulated network. */
#include "pitfall.h"

static struct sim *aggressive(const char *psk0, const char *psk1)
{
	struct sim *s = nodes_with(0, psk0, psk1);

	for (unsigned i = 0; i < 2; i++)
		sim_peer_cfg(s, i, 1 - i)->aggressive = true;
	return s;
}

Test(aggressive, three_messages_make_an_sa)
{
	struct sim *s = aggressive(NULL, NULL);

	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	cr_assert_eq(node_sa(s, 0)->phase1, EXCH_AGGRESSIVE);
	cr_assert_eq(node_sa(s, 1)->phase1, EXCH_AGGRESSIVE);
	two_nodes_end(s);
}

Test(aggressive, another_secret)
{
	struct sim *s = aggressive("one secret", "another");

	sim_start(s);
	sim_run(s, 5 * SEC);
	cr_assert_eq(sim_pairs(s, 0) + sim_pairs(s, 1), 0);
	expect_text(sim_last_error(s, 1, 0),
		    "Aggressive Mode message 2 does not verify: probable "
		    "pre-shared key mismatch with node0 (secret secret-0)");
	two_nodes_end(s);
}
