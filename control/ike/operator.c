/* What an operator asks for: up, down, rekey, shutdown. */
#include <errno.h>
#include <string.h>

#include "exchange.h"

/* "gw-b" or "gw-b/net". Returns 0 with child NULL or set, or -ENOENT. */
static int target_find(struct ike *ike, const char *name, struct peer **peer, struct child **child)
{
	const char *slash = strchr(name, '/');
	char text[IKE_NAME_LEN];
	size_t n = slash ? (size_t)(slash - name) : strlen(name);

	*child = NULL;
	if (n >= sizeof(text))
		return -ENOENT;
	memcpy(text, name, n);
	text[n] = '\0';
	*peer = peer_find(ike, text);
	if (!*peer)
		return -ENOENT;
	if (!slash)
		return 0;
	*child = child_find(*peer, slash + 1);
	return *child ? 0 : -ENOENT;
}

/* True when there was something to do. */
static bool child_up(struct child *c)
{
	bool missing = false;

	for (unsigned i = 0; i < child_pairs(c); i++)
		missing |= child_missing(c, i);
	c->down = false;
	if (missing) {
		c->wanted = true;
		c->retry_at = 0;
	}
	return missing;
}

int ike_up(struct ike *ike, const char *name)
{
	struct peer *p;
	struct child *child, *c;
	bool work = false;

	if (target_find(ike, name, &p, &child) != 0)
		return -ENOENT;
	p->down = false;
	TAILQ_FOREACH(c, &p->children, link)
		if (!c->dead && (!child || c == child))
			work |= child_up(c);
	if (!peer_sa(p)) {
		if (!peer_may_initiate(p))
			return -ENOTCONN;
		p->want_phase1 = true;
		work = true;
	}
	if (!work)
		return -EALREADY;
	p->retry_at = 0;
	peer_kick(p);
	return 0;
}

int ike_down(struct ike *ike, const char *name)
{
	struct peer *p;
	struct child *child;

	if (target_find(ike, name, &p, &child) != 0)
		return -ENOENT;
	if (child ? child->down : p->down)
		return -EALREADY;
	if (child) {
		child->down = true;
		child->wanted = false;
		child_delete_pairs(child, "taken down by command");
	} else {
		struct child *c;
		p->down = true;
		p->want_phase1 = false;
		TAILQ_FOREACH(c, &p->children, link)
			c->wanted = false;
		peer_down(p, "taken down by command");
	}
	engine_reap(ike);
	return 0;
}

static bool pairs_due(struct child *c)
{
	struct pair *pair;
	bool any = false;

	TAILQ_FOREACH(pair, &c->pairs, link) {
		if (pair->dead || pair->state != PAIR_LIVE)
			continue;
		pair->rekey_due = true;
		any = true;
	}
	return any;
}

int ike_rekey(struct ike *ike, const char *name)
{
	struct peer *p;
	struct child *child;

	if (target_find(ike, name, &p, &child) != 0)
		return -ENOENT;
	if (child && !pairs_due(child))
		return -ENOTCONN;
	if (child) {
		child->retry_at = 0;
	} else {
		if (!peer_may_initiate(p))
			return -ENOTCONN;
		p->want_phase1 = true;
		p->retry_at = 0;
	}
	peer_kick(p);
	return 0;
}

void ike_shutdown(struct ike *ike)
{
	struct peer *p;

	TAILQ_FOREACH(p, &ike->peers, link)
		if (!p->dead)
			peer_down(p, "shutting down");
	ike->closing = true;
	engine_reap(ike);
}
