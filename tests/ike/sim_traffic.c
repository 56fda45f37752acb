/* Packets that cross the network under the SAs of the moment. */
#include <string.h>

#include "sim_internal.h"

/* The peer's node for a policy of n: policies are numbered peer * 8 + child. */
static void traffic_policy(struct sim_node *n, unsigned policy)
{
	struct sim *s = n->sim;
	struct sink_sa *out;
	struct sim_node *to;

	if (n->current[policy] == 0) {
		if (n->was_up[policy] && !(s->cfg.faults & (SIM_LOSS | SIM_RESTART)))
			sim_violated(s, "node %u has no outbound SA for policy %u any more", n->idx,
				     policy);
		ike_acquire(n->ike, policy);
		return;
	}
	out = &n->sas[n->current[policy] - 1];
	to = sim_node_at(s, &out->p.remote);
	if (!to)
		return;
	n->was_up[policy] = true;
	out->packets++;
	out->used_us = s->now;
	struct sim_ev *e = sim_ev_new(s, EV_ESP, to->idx, sim_delay(s));
	e->path.remote = n->outside;
	e->spi = out->p.spi;
	memcpy(e->key, out->p.key, sizeof(e->key));
	memcpy(e->auth, out->p.auth, sizeof(e->auth));
	e->clean = !(s->cfg.faults & (SIM_LOSS | SIM_RESTART));
	s->totals.packets++;
}

void sim_traffic_arrives(struct sim_node *n, const struct sim_ev *e)
{
	struct sim *s = n->sim;
	struct sink_sa *in = sim_sink_find(n, e->spi, SA_IN);

	if (!in) {
		s->totals.unknown++;
		if (e->clean)
			sim_violated(s, "node %u does not know SPI %08x: a packet is lost", n->idx,
				     e->spi);
		ike_bad_spi(n->ike, &e->path.remote, e->spi);
		return;
	}
	if (!in->confirmed)
		sim_violated(s, "node %u: SPI %08x is used before its lcore has it", n->idx,
			     e->spi);
	if (memcmp(in->p.key, e->key, sizeof(e->key)) != 0 ||
	    memcmp(in->p.auth, e->auth, sizeof(e->auth)) != 0)
		sim_violated(s, "node %u: keys of SPI %08x differ", n->idx, e->spi);
	in->packets++;
	in->used_us = s->now;
	s->totals.delivered++;
}

static unsigned policies(const struct sim *s)
{
	return s->cfg.nodes * 8;
}

static bool has_policy(const struct sim_node *n, unsigned policy)
{
	const struct ike_peer_cfg *cfg = &n->peers[policy / 8];

	return cfg->name[0] && policy % 8 < cfg->n_children;
}

void sim_traffic(struct sim_node *n)
{
	for (unsigned p = 0; p < policies(n->sim); p++)
		if (has_policy(n, p))
			traffic_policy(n, p);
}
