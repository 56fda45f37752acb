/* Two nodes of the simulated network without faults: node 1 initiates, node 0 waits. For tests that
 * bend the configuration, the messages or the engine itself. */
#ifndef SHRIKE_TEST_TWO_NODES_H
#define SHRIKE_TEST_TWO_NODES_H

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "exchange.h"
#include "sim.h"

#define SEC 1000000ull

static inline struct sim *nodes_by(unsigned faults, uint64_t rate, const char *psk0,
				    const char *psk1)
{
	/* SIM_LOSS is off below; it says that lost packets are no violation here */
	struct sim_cfg cfg = { .seed = 4, .rate = rate,
			       .verbose = getenv("SIM_VERBOSE") != NULL, .nodes = 2, .faults = SIM_LOSS | faults,
			       .delay_min_us = 1000, .delay_max_us = 5000, .job_max_us = 1000,
			       .install_max_us = 1000, .psk = { psk0, psk1 } };
	struct sim *s = sim_new(&cfg);

	sim_set_faults(s, 0);
	for (unsigned i = 0; i < 2; i++) {
		struct ike_peer_cfg *p = sim_peer_cfg(s, i, 1 - i);
		p->n_children = 1;
		p->life_s = 3600;
		p->dpd_s = 0;
		p->retry_ms = 1000;
		p->children[0].life_s = 1800;
		p->children[0].life_kb = p->children[0].life_packets = 0;
		p->children[0].start = i == 0 ? START_PASSIVE : START_IMMEDIATE;
		p->children[0].esp[0].group = 0;
	}
	return s;
}

static inline struct sim *nodes_with(unsigned faults, const char *psk0, const char *psk1)
{
	return nodes_by(faults, 0, psk0, psk1);
}

/* Bytes that flow all the time. */
static inline struct sim *nodes_at_rate(uint64_t rate)
{
	return nodes_by(0, rate, NULL, NULL);
}

static inline struct sim *two_nodes(void)
{
	return nodes_with(0, NULL, NULL);
}

static inline void two_nodes_end(struct sim *s)
{
	if (!sim_error(s))
		sim_finish(s);
	cr_expect_null(sim_error(s), "%s", sim_error(s));
	sim_free(s);
}

static inline void must_be_up(struct sim *s)
{
	char why[300] = "";

	cr_assert(sim_quiet(s, why, sizeof(why)), "%s; %s", why,
		  sim_error(s) ? sim_error(s) : "");
	cr_assert_eq(sim_pairs(s, 0), 1, "node 0 has %u pairs: %s", sim_pairs(s, 0),
		     sim_last_error(s, 0, 1));
	cr_assert_eq(sim_pairs(s, 1), 1, "node 1 has %u pairs: %s", sim_pairs(s, 1),
		     sim_last_error(s, 1, 0));
}

/* The path as the other side sees it. */
static inline struct ike_path path_back(const struct ike_path *p)
{
	return (struct ike_path){ p->remote, p->local, p->remote_port, p->local_port };
}

/* What node has with its only peer; NULL when there is none. */
static inline struct isakmp_sa *node_sa(struct sim *s, unsigned node)
{
	return peer_sa(peer_find(sim_engine(s, node), node ? "node0" : "node1"));
}

static inline struct pair *node_pair(struct sim *s, unsigned node)
{
	struct peer *p = peer_find(sim_engine(s, node), node ? "node0" : "node1");
	struct child *c = p ? TAILQ_FIRST(&p->children) : NULL;

	return c ? TAILQ_FIRST(&c->pairs) : NULL;
}

static inline void expect_text(const char *text, const char *part)
{
	cr_expect(strstr(text, part), "\"%s\" is not in \"%s\"", part, text);
}

#endif
