/* Bytes that flow all the time, at a rate, through the outbound SA of the moment and into the
 * inbound one at the other end: what they have carried, and the limits that a data plane would
 * report. Nothing happens for a byte: amounts follow from the time that has passed. */
#include <string.h>

#include "sim_internal.h"

#define PACKET 1000 /* bytes of each */

static struct sink_sa *other_end(struct sim *s, const struct sink_sa *out)
{
	struct sim_node *to = sim_node_at(s, &out->p.remote);

	return to ? sim_sink_find(to, out->p.spi, SA_IN) : NULL;
}

static void flow_lost(struct sim *s, const struct sink_sa *out, uint64_t bytes)
{
	s->totals.volume_lost += bytes;
	sim_say(s, "node %u: %lu bytes are lost under %08x", out->node->idx, (unsigned long)bytes,
		out->p.spi);
}

/* Brings the counters of a flowing SA up to now. */
static void flow_sync(struct sim *s, struct sink_sa *out)
{
	struct sink_sa *in = other_end(s, out);
	uint64_t due, bytes;

	if (!out->flowing)
		return;
	due = (s->now - out->since) * s->cfg.rate + out->rest;
	bytes = due / SEC;
	out->rest = due % SEC;
	out->since = s->now;
	if (bytes == 0)
		return;
	if (out->dead) {
		flow_lost(s, out, bytes);
		return;
	}
	out->bytes += bytes;
	out->used_us = s->now;
	if (!in || in->dead) {
		flow_lost(s, out, bytes);
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

/* The SA of an event, while it is still there and sent through. */
static struct sink_sa *flowing(struct sim_node *n, const struct sim_ev *e)
{
	struct sink_sa *out = sim_sink_find(n, e->ref.spi, SA_OUT);

	return out && out->p.spi == e->spi && out->flowing ? out : NULL;
}

void sim_flow_due(struct sim_node *n, const struct sim_ev *e)
{
	struct sink_sa *out = flowing(n, e), *in;

	if (!out)
		return;
	flow_sync(n->sim, out);
	in = other_end(n->sim, out);
	if (in)
		limits(in);
	out = flowing(n, e);
	if (out)
		limits(out);
	out = flowing(n, e);
	if (out)
		flow_schedule(n->sim, out);
}

static void flow_stop(struct sink_sa *out)
{
	flow_sync(out->node->sim, out);
	out->flowing = false;
}

static void flow_begin(struct sink_sa *out)
{
	struct sim *s = out->node->sim;

	if (!s->cfg.rate || s->stopped)
		return;
	out->flowing = true;
	out->since = s->now;
	out->rest = 0;
	flow_schedule(s, out);
}

/* Pairs that share the load have a flow each, of their lcore; others take each other's. */
static bool same_flow(const struct sink_sa *a, const struct sink_sa *b)
{
	return a->p.spread == b->p.spread && (!a->p.spread || a->p.ref.owner == b->p.ref.owner);
}

void sim_flow_start(struct sink_sa *out)
{
	struct sink_list *senders = &out->node->policies[out->p.policy].senders;
	struct sink_sa *o;

	TAILQ_FOREACH(o, senders, sender)
		if (o->flowing && same_flow(o, out))
			flow_stop(o);
	TAILQ_INSERT_HEAD(senders, out, sender);
	flow_begin(out);
}

/* As the data plane does it: the latest other pair in service sends on. */
void sim_flow_end(struct sink_sa *out)
{
	struct sink_list *senders = &out->node->policies[out->p.policy].senders;
	bool was = out->flowing;
	struct sink_sa *o;

	flow_stop(out);
	TAILQ_REMOVE(senders, out, sender);
	TAILQ_FOREACH(o, senders, sender) {
		if (!was || !same_flow(o, out))
			continue;
		flow_begin(o);
		return;
	}
}

/* Calls fn for everything that is sent through now. */
static void flows(struct sim *s, void (*fn)(struct sim *s, struct sink_sa *out))
{
	struct sink_sa *sa;

	for (unsigned i = 0; i < s->cfg.nodes && s->cfg.rate; i++)
		for (unsigned p = 0; p < s->nodes[i].n_peers * POLICIES_PER_PEER; p++)
			TAILQ_FOREACH(sa, &s->nodes[i].policies[p].senders, sender)
				if (sa->flowing)
					fn(s, sa);
}

static void stop_one(struct sim *s, struct sink_sa *out)
{
	(void)s;
	flow_stop(out);
}

void sim_stop_flow(struct sim *s)
{
	flows(s, stop_one);
	s->cfg.rate = 0;
}

bool sim_op_stats(void *ctx, const struct sa_ref *ref, enum sa_dir dir, struct sa_stats *out)
{
	struct sim_node *n = ctx;
	struct sink_sa *sa = sim_sink_find(n, ref->spi, dir);

	if (!sa)
		return false;
	flows(n->sim, flow_sync);
	*out = (struct sa_stats){ .bytes = sa->bytes + sa->packets * PACKET,
				  .packets = sa->bytes / PACKET + sa->packets,
				  .last_used_us = sa->used_us };
	return true;
}
