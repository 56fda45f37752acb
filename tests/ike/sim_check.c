/* What is true of a network that has come to rest, and what a test asks of it. */
#include <stdio.h>
#include <string.h>

#include "sim_internal.h"

#define LISTED 256 /* pairs of one connection */

struct listing {
	struct {
		uint32_t in, out;
		unsigned idx;
		char child[IKE_NAME_LEN];
	} v[LISTED];
	unsigned n, negotiating, old;
	const char *peer; /* only with this one; NULL: all, and none in v */
};

static void list_pair(void *ctx, const struct ike_child_info *i)
{
	struct listing *l = ctx;

	if (l->peer && strcmp(i->peer, l->peer) != 0)
		return;
	l->negotiating += !i->established;
	l->old += i->established && !i->current;
	if (!i->current)
		return;
	if (l->peer && l->n < LISTED) {
		l->v[l->n].in = i->ref.spi;
		l->v[l->n].out = i->spi_out;
		l->v[l->n].idx = i->pair;
		snprintf(l->v[l->n].child, sizeof(l->v[l->n].child), "%s", i->child);
	}
	l->n++;
}

static void list_sa(void *ctx, const struct ike_sa_info *i)
{
	struct listing *l = ctx;

	l->negotiating += i->state != IKE_SA_ESTABLISHED;
}

/* Of every child that is to be up each parallel pair is there, and once. */
static bool complete(const struct listing *l, const struct ike_peer_cfg *cfg, bool strangers,
		     char *why, size_t size)
{
	for (unsigned c = 0; c < cfg->n_children; c++) {
		const struct ike_child_cfg *child = &cfg->children[c];
		unsigned want = child->pairs ? child->pairs : 1, seen[IKE_MAX_PAIRS] = { 0 };
		for (unsigned i = 0; i < l->n && i < LISTED; i++)
			if (strcmp(l->v[i].child, child->name) == 0)
				seen[l->v[i].idx]++;
		for (unsigned i = 0; i < IKE_MAX_PAIRS; i++) {
			bool missing = i < want && child->start == START_IMMEDIATE &&
				       cfg->initiate && !seen[i];
			if (!missing && (seen[i] < 2 || strangers))
				continue;
			snprintf(why, size, "%s/%s has %u pairs of number %u", cfg->name,
				 child->name, seen[i], i);
			return false;
		}
	}
	return true;
}

/* Each pair of one side is one of the other's, under the same keys. */
static bool same_pairs(struct sim *s, unsigned a, const struct listing *la, unsigned b,
		       const struct listing *lb, char *why, size_t size)
{
	for (unsigned i = 0; i < la->n && i < LISTED; i++) {
		bool found = false;
		for (unsigned k = 0; k < lb->n && k < LISTED; k++)
			found |= la->v[i].in == lb->v[k].out && la->v[i].out == lb->v[k].in;
		struct sink_sa *in = sim_sink_find(&s->nodes[a], la->v[i].in, SA_IN);
		struct sink_sa *out = sim_sink_find(&s->nodes[b], la->v[i].out, SA_OUT);
		if (!found || !in || !out) {
			snprintf(why, size, "node %u has pair %08x/%08x, node %u does not", a,
				 la->v[i].in, la->v[i].out, b);
			return false;
		}
		if (memcmp(in->p.key, out->p.key, sizeof(in->p.key)) != 0 ||
		    memcmp(in->p.auth, out->p.auth, sizeof(in->p.auth)) != 0) {
			sim_violated(s, "keys of SPI %08x differ", la->v[i].in);
			return false;
		}
	}
	return true;
}

static bool agree(struct sim *s, unsigned a, unsigned b, char *why, size_t size)
{
	const struct ike_peer_cfg *ca = sim_peer_cfg(s, a, b), *cb = sim_peer_cfg(s, b, a);
	bool strangers = s->cfg.mix & SIM_STRANGERS;
	struct listing la = { .peer = ca->name }, lb = { .peer = cb->name };

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
	return complete(&la, ca, strangers, why, size) && complete(&lb, cb, strangers, why, size) &&
	       same_pairs(s, a, &la, b, &lb, why, size);
}

bool sim_quiet(struct sim *s, char *why, size_t size)
{
	/* less than a packet: times are rounded to microseconds */
	if (s->totals.volume_lost >= 1000 && !(s->cfg.faults & ~(unsigned)(SIM_IDLE | SIM_HUB_NAT)))
		sim_violated(s, "%llu bytes are lost over rekeys by volume",
			     (unsigned long long)s->totals.volume_lost);
	for (unsigned i = 0; i < s->cfg.nodes; i++) {
		struct listing l = { 0 };
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
		if (s->nodes[i].n_sas != 2 * l.n || s->nodes[i].n_reserved != l.n) {
			snprintf(why, size,
				 "node %u: %u SAs installed and %u reserved for %u pairs", i,
				 s->nodes[i].n_sas, s->nodes[i].n_reserved, l.n);
			return false;
		}
	}
	return true;
}

bool sim_quiet_with(struct sim *s, unsigned node, char *why, size_t size)
{
	struct listing l = { 0 };

	ike_sa_foreach(s->nodes[node].ike, list_sa, &l);
	if (!l.negotiating)
		return agree(s, 0, node, why, size);
	snprintf(why, size, "node %u has %u ISAKMP SAs that are coming or going", node,
		 l.negotiating);
	return false;
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
	return &s->nodes[node].peers[node == 0 ? peer : 0];
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

	w.peer = sim_peer_cfg(s, node, peer)->name;
	w.text[0] = '\0';
	ike_peer_foreach(s->nodes[node].ike, copy_error, &w);
	return w.text;
}

const struct ike_diagnosis *sim_diagnosis(struct sim *s, unsigned node, enum ike_diag code)
{
	const struct ike_diagnosis *d = s->nodes[node].diagnosed;

	return d && d[code].text[0] ? &d[code] : NULL;
}
