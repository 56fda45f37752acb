/* Looking at the engine from outside. */
#include <stdlib.h>
#include <string.h>

#include "engine.h"

#define HALF_OPEN_SHOWN 32 /* of one peer */

static uint64_t left(uint64_t until, uint64_t now)
{
	return until > now ? until - now : 0;
}

static void sa_info(struct isakmp_sa *sa, uint64_t now, struct ike_sa_info *i)
{
	bool up = sa->established_us != 0;

	*i = (struct ike_sa_info){
		.peer = sa->peer->cfg.name,
		.state = sa->state,
		.initiator = sa->initiator,
		.phase1 = sa->phase1,
		.path = sa->path,
		.nat_local = sa->nat_local,
		.nat_remote = sa->nat_remote,
		.local_id = peer_local_id(sa->peer, &sa->path),
		.remote_id = sa->remote_id,
		.t = sa->t,
		.age_us = up ? now - sa->established_us : 0,
		.life_left_us = up ? left(sa->expires_us, now) : 0,
		.negotiation_us = (up ? sa->established_us : now) - sa->created_us,
		.quick_modes = sa->quick_modes,
		.user = sa->access && sa->peer->cfg.access &&
				sa->peer->cfg.access->xauth == XAUTH_SERVER ? sa->access->user : "",
	};
	if (sa->access)
		i->leased = sa->access->leased;
	memcpy(i->icookie, sa->icookie, sizeof(i->icookie));
	memcpy(i->rcookie, sa->rcookie, sizeof(i->rcookie));
	if (sa->half_open)
		i->peer = "";
}

static void sas_show(struct peer *p, uint64_t now,
		     void (*fn)(void *ctx, const struct ike_sa_info *i), void *ctx)
{
	struct ike_sa_info info;
	struct isakmp_sa *sa;
	unsigned half_open = 0;

	TAILQ_FOREACH(sa, &p->sas, link) {
		/* of a flood some are enough; how many there are stands in the totals */
		if (sa->dead || (sa->half_open && ++half_open > HALF_OPEN_SHOWN))
			continue;
		sa_info(sa, now, &info);
		fn(ctx, &info);
	}
}

void ike_sa_foreach(struct ike *ike, void (*fn)(void *ctx, const struct ike_sa_info *i), void *ctx)
{
	uint64_t now = ike_now(ike);
	struct peer *p;

	TAILQ_FOREACH(p, &ike->peers, link)
		sas_show(p, now, fn, ctx);
}

static struct ike_child_info pair_info(const struct pair *pair, uint64_t now)
{
	bool up = pair->state != PAIR_NEW;

	return (struct ike_child_info){
		.peer = pair->child->peer->cfg.name,
		.child = pair->child->cfg.name,
		.established = up,
		.current = pair->state == PAIR_LIVE,
		.udp_encap = pair->udp_encap,
		.ref = pair->ref,
		.spi_out = pair->spi_out,
		.pair = pair->idx,
		.t = pair->t,
		.mode = pair->child->cfg.mode,
		.sel = pair->sel,
		.age_us = up ? now - pair->established_us : 0,
		.life_left_us = up ? left(pair->expires_us, now) : 0,
		.negotiation_us = (up ? pair->established_us : now) - pair->created_us,
		.path = pair->path,
	};
}

static void pairs_show(struct peer *p, uint64_t now,
		       void (*fn)(void *ctx, const struct ike_child_info *i), void *ctx)
{
	struct child *c;
	struct pair *pair;

	TAILQ_FOREACH(c, &p->children, link) {
		TAILQ_FOREACH(pair, &c->pairs, link) {
			if (pair->dead)
				continue;
			struct ike_child_info info = pair_info(pair, now);
			fn(ctx, &info);
		}
	}
}

void ike_child_foreach(struct ike *ike, void (*fn)(void *ctx, const struct ike_child_info *i),
		       void *ctx)
{
	uint64_t now = ike_now(ike);
	struct peer *p;

	TAILQ_FOREACH(p, &ike->peers, link)
		pairs_show(p, now, fn, ctx);
}

/* An address of a pool that nobody has. */
static bool unused(const struct child *c)
{
	return c->cfg.pooled && TAILQ_EMPTY(&c->pairs);
}

/* False without memory. */
static bool peer_show(struct peer *p,
		      void (*fn)(void *ctx, const struct ike_peer_cfg *cfg, const char *last_error),
		      void *ctx)
{
	struct ike_peer_cfg cfg = p->cfg;
	struct child *c;
	unsigned n = 0;

	TAILQ_FOREACH(c, &p->children, link)
		n += !unused(c);
	cfg.children = calloc(n ? n : 1, sizeof(*cfg.children));
	if (!cfg.children)
		return false;
	TAILQ_FOREACH(c, &p->children, link)
		if (!unused(c))
			cfg.children[cfg.n_children++] = c->cfg;
	fn(ctx, &cfg, p->last_error);
	free(cfg.children);
	return true;
}

void ike_peer_foreach(struct ike *ike,
		      void (*fn)(void *ctx, const struct ike_peer_cfg *cfg, const char *last_error),
		      void *ctx)
{
	struct peer *p;

	TAILQ_FOREACH(p, &ike->peers, link)
		if (!peer_show(p, fn, ctx))
			return;
}

static void peer_visit(struct peer *p, const struct ike_visitor *v)
{
	uint64_t now = ike_now(p->ike);

	if (v->sa)
		sas_show(p, now, v->sa, v->ctx);
	if (v->child)
		pairs_show(p, now, v->child, v->ctx);
	if (v->peer)
		peer_show(p, v->peer, v->ctx);
}

bool ike_peer_visit(struct ike *ike, const char *name, const struct ike_visitor *v)
{
	struct peer *p = peer_find(ike, name);

	if (p)
		peer_visit(p, v);
	return p != NULL;
}

struct ike_walk *ike_walk_new(struct ike *ike)
{
	struct ike_walk *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->ike = ike;
	w->next = TAILQ_FIRST(&ike->peers);
	LIST_INSERT_HEAD(&ike->walks, w, link);
	return w;
}

bool ike_walk_step(struct ike_walk *w, const struct ike_visitor *v)
{
	struct peer *p = w->next;

	if (!p)
		return false;
	w->next = TAILQ_NEXT(p, link);
	peer_visit(p, v);
	return true;
}

void ike_walk_free(struct ike_walk *w)
{
	if (!w)
		return;
	LIST_REMOVE(w, link);
	free(w);
}

void ike_totals(struct ike *ike, struct ike_totals *out)
{
	*out = ike->totals;
}
