/* What is true of a network that has come to rest, and what a test asks of it. */
#include <stdio.h>
#include <string.h>

#include "sim_internal.h"

struct listing {
	struct {
		uint32_t in, out;
	} v[SIM_MAX_SAS];
	unsigned n, negotiating, old;
	const char *peer;
};

static void list_pair(void *ctx, const struct ike_child_info *i)
{
	struct listing *l = ctx;

	if (l->peer && strcmp(i->peer, l->peer) != 0)
		return;
	l->negotiating += !i->established;
	l->old += i->established && !i->current;
	if (i->current && l->n < SIM_MAX_SAS) {
		l->v[l->n].in = i->ref.spi;
		l->v[l->n++].out = i->spi_out;
	}
}

static void list_sa(void *ctx, const struct ike_sa_info *i)
{
	struct listing *l = ctx;

	l->negotiating += i->state != IKE_SA_ESTABLISHED;
}

static bool agree(struct sim *s, unsigned a, unsigned b, char *why, size_t size)
{
	struct listing la = { .peer = s->nodes[a].peers[b].name };
	struct listing lb = { .peer = s->nodes[b].peers[a].name };

	ike_child_foreach(s->nodes[a].ike, list_pair, &la);
	ike_child_foreach(s->nodes[b].ike, list_pair, &lb);
	if (la.negotiating || lb.negotiating || la.old || lb.old) {
		snprintf(why, size, "nodes %u and %u negotiate (%u, %u) or keep old pairs (%u, %u)",
			 a, b, la.negotiating, lb.negotiating, la.old, lb.old);
		return false;
	}
	if (la.n != lb.n) {
		snprintf(why, size, "node %u has %u pairs with %u, which has %u", a, la.n, b, lb.n);
		return false;
	}
	for (unsigned i = 0; i < la.n; i++) {
		bool found = false;
		for (unsigned k = 0; k < lb.n; k++)
			found |= la.v[i].in == lb.v[k].out && la.v[i].out == lb.v[k].in;
		struct sink_sa *in = sim_sink_find(&s->nodes[a], la.v[i].in, SA_IN);
		struct sink_sa *out = sim_sink_find(&s->nodes[b], la.v[i].out, SA_OUT);
		if (!found || !in || !out) {
			snprintf(why, size, "node %u has pair %08x/%08x, node %u does not", a,
				 la.v[i].in, la.v[i].out, b);
			return false;
		}
		if (memcmp(in->p.key, out->p.key, sizeof(in->p.key)) != 0) {
			sim_violated(s, "keys of SPI %08x differ", la.v[i].in);
			return false;
		}
	}
	return true;
}

bool sim_quiet(struct sim *s, char *why, size_t size)
{
	if (s->totals.volume_lost && !(s->cfg.faults & ~SIM_IDLE))
		sim_violated(s, "%llu bytes are lost over rekeys by volume",
			     (unsigned long long)s->totals.volume_lost);
	for (unsigned i = 0; i < s->cfg.nodes; i++) {
		struct listing l = { 0 };
		unsigned n = 0;
		ike_sa_foreach(s->nodes[i].ike, list_sa, &l);
		if (l.negotiating) {
			snprintf(why, size, "node %u has %u ISAKMP SAs that are coming or going", i,
				 l.negotiating);
			return false;
		}
		if (i > 0 && !agree(s, 0, i, why, size))
			return false;
		memset(&l, 0, sizeof(l));
		ike_child_foreach(s->nodes[i].ike, list_pair, &l);
		for (unsigned k = 0; k < SIM_MAX_SAS; k++)
			n += s->nodes[i].sas[k].used;
		if (n != 2 * l.n || s->nodes[i].n_reserved != l.n) {
			snprintf(why, size,
				 "node %u: %u SAs installed and %u reserved for %u pairs", i, n,
				 s->nodes[i].n_reserved, l.n);
			return false;
		}
	}
	return true;
}

unsigned sim_pairs(struct sim *s, unsigned node)
{
	struct listing l = { 0 };

	ike_child_foreach(s->nodes[node].ike, list_pair, &l);
	return l.n;
}

struct ike *sim_engine(struct sim *s, unsigned node)
{
	return s->nodes[node].ike;
}

struct ike_peer_cfg *sim_peer_cfg(struct sim *s, unsigned node, unsigned peer)
{
	return &s->nodes[node].peers[peer];
}

uint64_t sim_now(const struct sim *s)
{
	return s->now;
}

void sim_set_faults(struct sim *s, unsigned faults)
{
	s->faults = faults;
}

const char *sim_error(const struct sim *s)
{
	return s->error[0] ? s->error : NULL;
}

struct sim_totals sim_totals(const struct sim *s)
{
	return s->totals;
}

void sim_set_tap(struct sim *s,
		 bool (*tap)(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg,
			     size_t *len),
		 void *ctx)
{
	s->tap = tap;
	s->tap_ctx = ctx;
}

struct want_error {
	const char *peer;
	char text[512];
};

static void copy_error(void *ctx, const struct ike_peer_cfg *cfg, const char *last_error)
{
	struct want_error *w = ctx;

	if (strcmp(cfg->name, w->peer) == 0)
		snprintf(w->text, sizeof(w->text), "%s", last_error);
}

const char *sim_last_error(struct sim *s, unsigned node, unsigned peer)
{
	static struct want_error w;

	w.peer = s->nodes[node].peers[peer].name;
	w.text[0] = '\0';
	ike_peer_foreach(s->nodes[node].ike, copy_error, &w);
	return w.text;
}
