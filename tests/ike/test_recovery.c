/* How two sides find each other again when one of them has lost its SAs. */
#include "two_nodes.h"

/* Node 0 forgets everything, and there is no traffic of its own: one packet of node 1's, under an SPI
 * that node 0 does not know any more, is all there is to start with. */
static void lost_by(enum child_start start, unsigned pairs_after)
{
	struct sim *s = nodes_with(SIM_IDLE, NULL, NULL);
	struct ip_addr node1;
	uint32_t spi;

	node1 = sim_peer_cfg(s, 0, 1)->remote;
	sim_peer_cfg(s, 0, 1)->children[0].start = start;
	sim_peer_cfg(s, 1, 0)->children[0].start = START_PASSIVE;
	sim_start(s);
	cr_assert_eq(ike_up(sim_engine(s, 1), "node0/net0"), 0);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	spi = node_pair(s, 0)->ref.spi;
	sim_restart(s, 0);
	sim_run(s, 5 * SEC);
	cr_expect_eq(sim_pairs(s, 0), 0, "it came up without being asked");
	ike_bad_spi(sim_engine(s, 0), &node1, spi);
	sim_run(s, 5 * SEC);
	cr_expect_not_null(node_sa(s, 0));
	cr_expect_eq(sim_pairs(s, 0), pairs_after);
	cr_expect_eq(sim_pairs(s, 1), pairs_after);
	two_nodes_end(s);
}

Test(recovery, an_unknown_spi_brings_up_what_may_come_up_on_demand)
{
	lost_by(START_ON_DEMAND, 1);
}

/* The peer learns that its pair is void, and it is the peer's business to make a new one. */
Test(recovery, an_unknown_spi_does_not_start_what_only_the_peer_starts)
{
	lost_by(START_PASSIVE, 0);
}
