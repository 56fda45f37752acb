/* Children: what should be up, and what to negotiate for it. */
#include <string.h>

#include "exchange.h"

struct child *child_new(struct peer *peer, const struct ike_child_cfg *cfg)
{
	struct child *child = ike_alloc(peer->ike, sizeof(*child));

	if (!child)
		return NULL;
	child->ike = peer->ike;
	child->peer = peer;
	child->cfg = *cfg;
	TAILQ_INIT(&child->pairs);
	child_watch_init(child);
	TAILQ_INSERT_TAIL(&peer->children, child, link);
	index_child(child);
	return child;
}

void child_free(struct child *child)
{
	static const struct ip_addr none = { .family = IP_NONE };
	const struct ike_ops *ops = &child->ike->ops;

	child_protect(child, "it is no more");
	if (child->cfg.assigned && ops->policy_local)
		ops->policy_local(ops->ctx, child->cfg.policy, &none);
	timer_cancel(&child->ike->timers, &child->watch);
	unindex_child(child);
	TAILQ_REMOVE(&child->peer->children, child, link);
	ike_dealloc(child->ike, child, sizeof(*child));
}

struct child *child_find(struct peer *peer, const char *name)
{
	struct child *c;

	TAILQ_FOREACH(c, &peer->children, link)
		if (!c->dead && strcmp(c->cfg.name, name) == 0)
			return c;
	return NULL;
}

unsigned child_pairs(const struct child *child)
{
	return child->cfg.pairs ? child->cfg.pairs : 1;
}

bool child_missing(struct child *child, unsigned idx)
{
	struct pair *p;

	TAILQ_FOREACH(p, &child->pairs, link)
		if (!p->dead && p->idx == idx && p->state != PAIR_OLD)
			return false;
	return true;
}

static bool child_any_missing(struct child *child)
{
	for (unsigned i = 0; i < child_pairs(child); i++)
		if (child_missing(child, i))
			return true;
	return false;
}

bool child_wants(const struct child *child)
{
	return !child->dead && !child->down && !child->peer->down &&
	       (child->wanted || (child->cfg.start == START_IMMEDIATE && !child->idle));
}

/* Where the peer does not know which of the parallel pairs a new one replaces, both sides may have
 * renewed the same: one that another of its number outlives just ends. */
static bool child_outlived(const struct child *child, const struct pair *p)
{
	const struct pair *o;

	TAILQ_FOREACH(o, &child->pairs, link)
		if (!p->indexed && !p->runs_out && o != p && !o->dead && o->state == PAIR_LIVE &&
		    o->idx == p->idx && !o->rekey_due && o->expires_us > p->expires_us)
			return true;
	return false;
}

/* Somebody negotiates this pair, and has not given up: the peer, where it does so, need not say it. */
static bool pair_under_way(const struct pair *p)
{
	return !p->dead && p->state == PAIR_NEW &&
	       (p->initiator || ike_now(p->ike) < p->created_us + QUICK_STALLED_US);
}

/* A pair that is due and whose successor nobody negotiates yet, or NULL: of parallel ones first that
 * whose volume runs out. */
static struct pair *child_due(struct child *child)
{
	struct pair *p, *o, *due = NULL;

	TAILQ_FOREACH(p, &child->pairs, link) {
		bool taken = false;
		if (p->dead || p->state != PAIR_LIVE || !p->rekey_due || child_outlived(child, p))
			continue;
		TAILQ_FOREACH(o, &child->pairs, link)
			taken |= o->idx == p->idx && pair_under_way(o);
		if (!taken && (!due || (p->runs_out && !due->runs_out)))
			due = p;
	}
	return due;
}

bool child_has_work(struct child *child)
{
	if (child->dead || child->down)
		return false;
	return child_due(child) || (child_wants(child) && child_any_missing(child));
}

bool child_can_wait(struct child *child)
{
	const struct pair *due = child_due(child);

	return due && !due->runs_out && !(child_wants(child) && child_any_missing(child));
}

uint64_t child_not_before(struct child *child)
{
	const struct pair *due = child_due(child);
	/* a volume that runs out does not wait: a hard limit is worse than another collision */
	bool settled = child->settled_at <= child->retry_at || (due && due->runs_out);

	if (settled || (child_wants(child) && child_any_missing(child)))
		return child->retry_at;
	return child->settled_at;
}

unsigned child_negotiate(struct child *child, struct isakmp_sa *sa, unsigned budget)
{
	uint64_t now = ike_now(child->ike);
	unsigned begun = 0;
	struct pair *due;

	/* one that failed at once has set the time of the next try */
	for (unsigned i = 0; i < child_pairs(child) && child_wants(child) && begun < budget; i++)
		if (child_missing(child, i) && child->retry_at <= now) {
			quick_mode_start(sa, child, i, 0);
			begun++;
		}
	while (begun < budget && child_not_before(child) <= now && (due = child_due(child))) {
		quick_mode_start(sa, child, due->idx, due->ref.spi);
		begun++;
	}
	return begun;
}

void child_failed(struct child *child)
{
	child->retry_at = ike_now(child->ike) + backoff_us(child->ike, child->failures++);
	if (child->cfg.start != START_IMMEDIATE && child->failures > 3)
		child->wanted = false; /* the next packet, or the operator, asks again */
	child_fall_back(child);
	peer_kick(child->peer);
}

void child_established(struct child *child)
{
	child->failures = 0;
	child->retry_at = 0;
	child->idle = false;
	if (!child_any_missing(child))
		child->wanted = false;
}

unsigned child_pick_index(struct child *child)
{
	struct pair *p, *oldest = NULL;

	for (unsigned i = 0; i < child_pairs(child); i++)
		if (child_missing(child, i))
			return i;
	TAILQ_FOREACH(p, &child->pairs, link)
		if (!p->dead && p->state == PAIR_LIVE &&
		    (!oldest || p->established_us < oldest->established_us))
			oldest = p;
	return oldest ? oldest->idx : 0;
}

void child_delete_pairs(struct child *child, const char *why)
{
	struct pair *p;

	TAILQ_FOREACH(p, &child->pairs, link) {
		if (p->dead)
			continue;
		if (p->x)
			exchange_kill(p->x);
		else
			pair_delete(p, why != NULL, why ? why : "the peer is gone");
	}
}
