/* Fall back to clear: a child whose user prefers packets in the clear to none, where no SA can be
 * had. Off unless asked for; whenever it happens, an event of its own says so, and when it ends. */
#include "engine.h"

#define CLEAR_RETRY_US (300 * SECOND) /* the time between two attempts to protect again */

static bool has_pair(const struct child *c)
{
	const struct pair *pair;

	TAILQ_FOREACH(pair, &c->pairs, link)
		if (!pair->dead && pair->state == PAIR_LIVE)
			return true;
	return false;
}

void child_fall_back(struct child *c)
{
	struct ike *ike = c->ike;

	if (!c->cfg.fallback_clear || !ike->ops.policy_clear || c->dead || c->down ||
	    c->peer->down || c->peer->dead || ike->closing || has_pair(c))
		return;
	c->retry_at = ike_now(ike) + CLEAR_RETRY_US;
	c->wanted = true; /* a policy that lets packets pass does not ask any more */
	if (c->clear)
		return;
	c->clear = true;
	ike->ops.policy_clear(ike->ops.ctx, c->cfg.policy, true);
	ike_event(ike, IKE_EV_CHILD_CLEAR, c->peer, c, NULL,
		  "its packets pass unprotected from now on (fallback-clear); the next attempt is "
		  "in %llu s; the reason: %s",
		  (unsigned long long)(CLEAR_RETRY_US / SECOND), c->peer->last_error);
}

void child_protect(struct child *c, const char *why)
{
	struct ike *ike = c->ike;

	if (!c->clear)
		return;
	c->clear = false;
	ike->ops.policy_clear(ike->ops.ctx, c->cfg.policy, false);
	ike_event(ike, IKE_EV_CHILD_PROTECTED, c->peer, c, NULL,
		  "no packet passes unprotected any more: %s", why);
}
