/* Packets that cross the network under the SAs of the moment. */
#include <string.h>

#include "sim_internal.h"

#define ROUGH (SIM_LOSS | SIM_RESTART | SIM_REBIND | SIM_CLOCK)

/* Nothing has gone wrong that may cost a packet. */
static bool smooth(const struct sim *s)
{
	return !(s->cfg.faults & ROUGH) && s->totals.rebinds + s->totals.jumps == 0;
}

/* What a worker sends through: its own pair where it has one, else the latest (sa_params.h). */
static struct sink_sa *sender(struct sim_policy *p, unsigned worker)
{
	struct sink_sa *sa;

	TAILQ_FOREACH(sa, &p->senders, sender)
		if (sa->p.spread && sa->p.ref.owner == worker)
			return sa;
	return TAILQ_FIRST(&p->senders);
}

static void traffic_policy(struct sim_node *n, unsigned policy)
{
	struct sim *s = n->sim;
	struct sim_policy *pol = &n->policies[policy];
	struct sink_sa *out = sender(pol, (unsigned)sim_below(s, SIM_WORKERS));
	struct ike_path path, seen;
	struct sim_node *to;

	if (!out) {
		if (pol->was_up && smooth(s))
			sim_violated(s, "node %u has no outbound SA for policy %u any more", n->idx,
				     policy);
		ike_acquire(n->ike, policy);
		return;
	}
	path = (struct ike_path){ out->p.local, out->p.remote, out->p.local_port,
				  out->p.remote_port };
	if (!out->p.udp_encap)
		path.local_port = path.remote_port = 0;
	if (!sim_route(n, &path, &to, &seen)) {
		if (smooth(s))
			sim_violated(s, "node %u sends under SPI %08x to nowhere", n->idx,
				     out->p.spi);
		return;
	}
	pol->was_up = true;
	out->packets++;
	out->used_us = s->now;
	struct sim_ev *e = sim_ev_new(s, EV_ESP, to->idx, sim_delay(s));
	e->path = seen;
	e->spi = out->p.spi;
	e->proto = out->p.proto;
	e->esn = out->p.esn;
	e->udp = out->p.udp_encap;
	memcpy(e->key, out->p.key, sizeof(e->key));
	memcpy(e->auth, out->p.auth, sizeof(e->auth));
	e->clean = smooth(s);
	s->totals.packets++;
}

/* Was it under way when the volume of its SA was used up, which counts the flow without delay (see
 * sim_volume.c)? */
static bool volume_over(const struct sim_node *n, const struct sim_ev *e)
{
	for (unsigned i = 0; i < SIM_USED_UP; i++)
		if (n->used_up[i] == e->spi)
			return true;
	return false;
}

void sim_traffic_arrives(struct sim_node *n, const struct sim_ev *e)
{
	struct sim *s = n->sim;
	struct sink_sa *in = sim_sink_find(n, e->spi, SA_IN);

	if (!in) {
		s->totals.unknown++;
		if (e->clean && !volume_over(n, e))
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
	if (in->p.proto != e->proto || in->p.esn != e->esn || in->p.udp_encap != e->udp)
		sim_violated(s, "node %u: SPI %08x is something else at the other end", n->idx,
			     e->spi);
	s->totals.delivered++;
	in->packets++;
	in->used_us = s->now;
	/* it is authentic, and new: where it came from is where the peer is */
	if (e->udp && (!ip_addr_equal(&in->p.remote, &e->path.remote) ||
		       in->p.remote_port != e->path.remote_port))
		ike_peer_moved(n->ike, &in->p.ref, &e->path.remote, e->path.remote_port);
}

static bool has_policy(const struct sim_node *n, unsigned policy)
{
	const struct ike_peer_cfg *cfg = &n->peers[policy / POLICIES_PER_PEER];

	return cfg->name[0] && policy % POLICIES_PER_PEER < cfg->n_children;
}

void sim_traffic(struct sim_node *n)
{
	for (unsigned p = 0; p < n->n_peers * POLICIES_PER_PEER; p++)
		if (has_policy(n, p))
			traffic_policy(n, p);
}
