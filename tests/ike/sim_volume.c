/* Bytes that flow all the time, at a rate, through the outbound SA of the moment and into the
 * inbound one at the other end: what they have carried, and the limits that a data plane would
 * report. Nothing happens for a byte: amounts follow from the time that has passed. */
#include <string.h>

#include "sim_internal.h"

#define PACKET 1000 /* bytes of each */

static struct sink_sa *other_end(struct sim *s, const struct sink_sa *out)
{
	struct sim_node *to = sim_node_at(s, &out->p.remote);

	if (!to)
		return NULL;
	for (unsigned i = 0; i < SIM_MAX_SAS; i++)
		if (to->sas[i].used && to->sas[i].p.dir == SA_IN &&
		    to->sas[i].p.spi == out->p.spi && to->sas[i].node == to)
			return &to->sas[i];
	return NULL;
}

/* Brings the counters of a flowing SA up to now. */
static void flow_sync(struct sim *s, struct sink_sa *out)
{
	struct sink_sa *in = other_end(s, out);
	uint64_t bytes = (s->now - out->since) * s->cfg.rate / SEC;

	if (!out->flowing || bytes == 0)
		return;
	out->since += bytes * SEC / s->cfg.rate;
	if (out->dead) {
		s->totals.volume_lost += bytes;
		return;
	}
	out->bytes += bytes;
	out->used_us = s->now;
	if (!in || in->dead) {
		s->totals.volume_lost += bytes;
		return;
	}
	in->bytes += bytes;
	in->used_us = s->now;
}

/* When the next limit of this SA is reached, in microseconds from now. */
static uint64_t time_left(const struct sim *s, const struct sink_sa *sa)
{
	uint64_t bytes = sa->p.hard_bytes ? sa->p.hard_bytes : UINT64_MAX;
	uint64_t packets = sa->p.hard_packets ? sa->p.hard_packets * PACKET : UINT64_MAX;
	uint64_t limit = bytes < packets ? bytes : packets;

	if (sa->dead || limit == UINT64_MAX)
		return UINT64_MAX;
	if (!sa->soft) {
		bytes = sa->p.soft_bytes ? sa->p.soft_bytes : UINT64_MAX;
		packets = sa->p.soft_packets ? sa->p.soft_packets * PACKET : UINT64_MAX;
		limit = bytes < packets ? bytes : packets;
	}
	return limit > sa->bytes ? (limit - sa->bytes) * SEC / s->cfg.rate + 1 : 0;
}

static void flow_schedule(struct sim *s, struct sink_sa *out)
{
	struct sink_sa *in = other_end(s, out);
	uint64_t left = time_left(s, out), there = in ? time_left(s, in) : UINT64_MAX;

	if (there < left)
		left = there;
	if (left == UINT64_MAX)
		return;
	struct sim_ev *e = sim_ev_new(s, EV_FLOW, out->node->idx, left);
	e->ref = out->p.ref;
	e->spi = out->p.spi;
}

/* Reports what was reached. The engine may take the SA away meanwhile. */
static void limits(struct sink_sa *sa)
{
	struct sim_node *n = sa->node;
	struct sa_ref ref = sa->p.ref;
	enum sa_dir dir = sa->p.dir;
	bool soft = (sa->p.soft_bytes && sa->bytes >= sa->p.soft_bytes) ||
		    (sa->p.soft_packets && sa->bytes >= sa->p.soft_packets * PACKET);
	bool hard = (sa->p.hard_bytes && sa->bytes >= sa->p.hard_bytes) ||
		    (sa->p.hard_packets && sa->bytes >= sa->p.hard_packets * PACKET);

	if (hard && !sa->dead) {
		sa->dead = true;
		sim_say(n->sim, "node %u: hard limit of %08x", n->idx, sa->p.spi);
		ike_sa_limit(n->ike, &ref, dir, true);
	} else if (soft && !sa->soft) {
		sa->soft = true;
		sim_say(n->sim, "node %u: soft limit of %08x", n->idx, sa->p.spi);
		ike_sa_limit(n->ike, &ref, dir, false);
	}
}

void sim_flow_due(struct sim_node *n, const struct sim_ev *e)
{
	struct sink_sa *out = sim_sink_find(n, e->ref.spi, SA_OUT), *in;

	if (!out || out->p.spi != e->spi || !out->flowing)
		return;
	flow_sync(n->sim, out);
	in = other_end(n->sim, out);
	if (in)
		limits(in);
	if (!out->used || out->p.spi != e->spi)
		return;
	limits(out);
	if (out->used && out->p.spi == e->spi && out->flowing)
		flow_schedule(n->sim, out);
}

void sim_flow_stop(struct sink_sa *out)
{
	flow_sync(out->node->sim, out);
	out->flowing = false;
}

void sim_flow_start(struct sink_sa *out)
{
	struct sim *s = out->node->sim;

	if (!s->cfg.rate || s->stopped)
		return;
	out->flowing = true;
	out->since = s->now;
	flow_schedule(s, out);
}

void sim_stop_flow(struct sim *s)
{
	for (unsigned i = 0; i < s->cfg.nodes; i++)
		for (unsigned k = 0; k < SIM_MAX_SAS; k++)
			if (s->nodes[i].sas[k].used && s->nodes[i].sas[k].flowing)
				sim_flow_stop(&s->nodes[i].sas[k]);
	s->cfg.rate = 0;
}

bool sim_op_stats(void *ctx, const struct sa_ref *ref, enum sa_dir dir, struct sa_stats *out)
{
	struct sim_node *n = ctx;
	struct sink_sa *sa = sim_sink_find(n, ref->spi, dir);

	if (!sa)
		return false;
	for (unsigned i = 0; i < n->sim->cfg.nodes; i++)
		for (unsigned k = 0; k < SIM_MAX_SAS; k++)
			if (n->sim->nodes[i].sas[k].used && n->sim->nodes[i].sas[k].flowing)
				flow_sync(n->sim, &n->sim->nodes[i].sas[k]);
	*out = (struct sa_stats){ .bytes = sa->bytes + sa->packets * PACKET,
				  .packets = sa->bytes / PACKET + sa->packets,
				  .last_used_us = sa->used_us };
	return true;
}
