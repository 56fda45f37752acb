/* Pools of addresses for Mode Config: who has one gets it again, for as long as nobody else needs
 * it. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access.h"

struct pool *pool_new(struct ike *ike, const struct ip_range *r)
{
	uint32_t n = ip_addr_to_v4(&r->hi) - ip_addr_to_v4(&r->lo) + 1;
	struct pool *pool;

	if (r->lo.family != IP_V4 || n == 0 || n > IKE_POOL_MAX)
		return NULL;
	pool = ike_alloc(ike, sizeof(*pool) + n * sizeof(pool->lease[0]));
	if (!pool)
		return NULL;
	pool->first = r->lo;
	pool->n = n;
	return pool;
}

void pool_free(struct ike *ike, struct pool *pool)
{
	if (!pool)
		return;
	for (unsigned i = 0; i < pool->n; i++)
		if (pool->lease[i])
			ike_dealloc(ike, pool->lease[i], sizeof(*pool->lease[i]));
	ike_dealloc(ike, pool, sizeof(*pool) + pool->n * sizeof(pool->lease[0]));
}

static struct ip_addr addr_of(const struct pool *pool, unsigned i)
{
	return ip_addr_v4(ip_addr_to_v4(&pool->first) + i);
}

/* Its place, UINT_MAX: not of this pool. */
static unsigned index_of(const struct pool *pool, const struct ip_addr *a)
{
	uint32_t i;

	if (!pool || a->family != IP_V4)
		return UINT_MAX;
	i = ip_addr_to_v4(a) - ip_addr_to_v4(&pool->first);
	return i < pool->n ? i : UINT_MAX;
}

const char *pool_user(const struct pool *pool, const struct ip_addr *a)
{
	unsigned i = index_of(pool, a);

	return i != UINT_MAX && pool->lease[i] ? pool->lease[i]->user : NULL;
}

/* Marks in used (a byte each) what is in use now, but for what the party of `except` (or nobody)
 * has. */
static void mark_used(struct peer *p, const struct isakmp_sa *except, uint8_t *used)
{
	const struct isakmp_sa *sa;
	const struct child *c;
	const struct pair *pair;
	unsigned i;

	TAILQ_FOREACH(sa, &p->sas, link) {
		if (sa->dead || !sa->access || (except && access_same_party(sa, except)))
			continue;
		i = index_of(p->pool, &sa->access->leased);
		if (i != UINT_MAX)
			used[i] = 1;
	}
	TAILQ_FOREACH(c, &p->children, link) { /* pairs outlive their ISAKMP SA */
		i = c->cfg.pooled ? index_of(p->pool, &c->cfg.sel.remote.lo) : UINT_MAX;
		if (i == UINT_MAX)
			continue;
		TAILQ_FOREACH(pair, &c->pairs, link)
			if (!pair->dead && pair->state != PAIR_OLD &&
			    !(except && access_owns(except, pair)))
				used[i] = 1;
	}
}

/* The best place for that user, UINT_MAX: none. */
static unsigned choose(const struct pool *pool, const uint8_t *used, const char *user)
{
	unsigned never = UINT_MAX, oldest = UINT_MAX;

	for (unsigned i = 0; i < pool->n; i++) {
		const struct lease *l = pool->lease[i];
		if (used[i])
			continue;
		if (l && strcmp(l->user, user) == 0)
			return i;
		if (!l && never == UINT_MAX)
			never = i;
		if (l && (oldest == UINT_MAX || l->last_s < pool->lease[oldest]->last_s))
			oldest = i;
	}
	return never != UINT_MAX ? never : oldest;
}

static int give(struct ike *ike, struct pool *pool, unsigned i, const char *user, int64_t now)
{
	if (!pool->lease[i])
		pool->lease[i] = ike_alloc(ike, sizeof(*pool->lease[i]));
	if (!pool->lease[i])
		return -ENOMEM;
	snprintf(pool->lease[i]->user, sizeof(pool->lease[i]->user), "%s", user);
	pool->lease[i]->last_s = now;
	return 0;
}

static void changed(struct ike *ike)
{
	if (ike->ops.leases_changed)
		ike->ops.leases_changed(ike->ops.ctx);
}

bool pool_lease(struct isakmp_sa *sa, struct ip_addr *out)
{
	struct peer *p = sa->peer;
	struct pool *pool = p->pool;
	uint8_t *used = calloc(1, pool->n);
	unsigned i;
	bool ok = false;

	if (!used)
		return false;
	mark_used(p, sa, used);
	i = choose(pool, used, sa->access->user);
	if (i != UINT_MAX && give(sa->ike, pool, i, sa->access->user, ike_wall(sa->ike)) == 0) {
		*out = addr_of(pool, i);
		ok = true;
		changed(sa->ike);
	}
	free(used);
	return ok;
}

void pool_seen(struct isakmp_sa *sa)
{
	unsigned i = sa->access ? index_of(sa->peer->pool, &sa->access->leased) : UINT_MAX;

	if (i == UINT_MAX || !sa->peer->pool->lease[i])
		return;
	sa->peer->pool->lease[i]->last_s = ike_wall(sa->ike);
	changed(sa->ike);
}

/* ------------------------------------------------------------------------- from outside ----- */

static void pool_each(struct peer *p, void (*fn)(void *ctx, const struct ike_lease *l), void *ctx)
{
	struct pool *pool = p->pool;
	uint8_t *used = calloc(1, pool->n);

	if (!used)
		return;
	mark_used(p, NULL, used);
	for (unsigned i = 0; i < pool->n; i++) {
		const struct lease *l = pool->lease[i];
		if (!l)
			continue;
		struct ike_lease info = { .peer = p->cfg.name,
					  .user = l->user,
					  .address = addr_of(pool, i),
					  .active = used[i],
					  .last_s = used[i] ? ike_wall(p->ike) : l->last_s };
		fn(ctx, &info);
	}
	free(used);
}

void ike_lease_foreach(struct ike *ike, void (*fn)(void *ctx, const struct ike_lease *l), void *ctx)
{
	struct peer *p;

	TAILQ_FOREACH(p, &ike->peers, link)
		if (p->pool)
			pool_each(p, fn, ctx);
}

int ike_lease_restore(struct ike *ike, const char *peer, const char *user,
		      const struct ip_addr *address, int64_t last_s)
{
	struct peer *p = peer_find(ike, peer);
	unsigned i = p ? index_of(p->pool, address) : UINT_MAX;

	if (i == UINT_MAX || !user[0] || strlen(user) >= IKE_USER_LEN)
		return -ENOENT;
	if (p->pool->lease[i])
		return -EEXIST;
	return give(ike, p->pool, i, user, last_s);
}

static void count(void *ctx, const struct ike_lease *l)
{
	struct ike_pool_info *i = ctx;

	i->active += l->active;
	i->kept += !l->active;
}

bool ike_pool_info(struct ike *ike, const char *peer, struct ike_pool_info *out)
{
	struct peer *p = peer_find(ike, peer);

	if (!p || !p->pool)
		return false;
	*out = (struct ike_pool_info){ .range = p->cfg.access->pool, .size = p->pool->n };
	pool_each(p, count, out);
	return true;
}

const struct ike_settings *ike_assigned(struct ike *ike, const char *peer)
{
	struct peer *p = peer_find(ike, peer);

	return p ? p->assigned : NULL;
}
