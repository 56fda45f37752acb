/* What an operator asks for: up, down, rekey, shutdown. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "exchange.h"

/* What a name means: a peer and all of its children, or some children, or one of their pairs. */
struct target {
	struct peer *peer;
	char child[IKE_NAME_LEN]; /* "" = all */
	int pair;		  /* -1 = all */
};

/* By its own name, or as one that a list of networks of that name made. */
static bool target_has(const struct target *t, const struct child *c)
{
	return !c->dead && (t->child[0] == '\0' || strcmp(c->cfg.name, t->child) == 0 ||
			    strcmp(c->cfg.list, t->child) == 0);
}

/* Up to len bytes of text as a name; false when it is too long. */
static bool copy_name(char out[IKE_NAME_LEN], const char *text, size_t len)
{
	if (len >= IKE_NAME_LEN)
		return false;
	memcpy(out, text, len);
	out[len] = '\0';
	return true;
}

/* The number of a pair behind '#', -1 without, -2 when it is none. */
static int pair_number(const char *hash)
{
	char *end;
	unsigned long n;

	if (*hash == '\0')
		return -1;
	n = strtoul(hash + 1, &end, 10);
	return end != hash + 1 && *end == '\0' && n < IKE_MAX_PAIRS ? (int)n : -2;
}

/* "gw-b", "gw-b/net" or "gw-b/net#2". 0 or -ENOENT. */
static int target_find(struct ike *ike, const char *name, struct target *t)
{
	const char *slash = strchrnul(name, '/'), *child = *slash ? slash + 1 : slash;
	const char *hash = strchrnul(child, '#');
	char peer[IKE_NAME_LEN];
	struct child *c;

	t->pair = pair_number(hash);
	if (t->pair == -2 || !copy_name(peer, name, (size_t)(slash - name)) ||
	    !copy_name(t->child, child, (size_t)(hash - child)))
		return -ENOENT;
	t->peer = peer_find(ike, peer);
	if (!t->peer)
		return -ENOENT;
	if (!*slash)
		return 0;
	TAILQ_FOREACH(c, &t->peer->children, link)
		if (t->child[0] && target_has(t, c))
			return 0;
	return -ENOENT;
}

/* True when there was something to do. */
static bool child_up(struct child *c)
{
	bool missing = false;

	for (unsigned i = 0; i < child_pairs(c); i++)
		missing |= child_missing(c, i);
	c->down = c->idle = false;
	if (missing) {
		c->wanted = true;
		c->retry_at = 0;
	}
	return missing;
}

int ike_up(struct ike *ike, const char *name)
{
	struct target t;
	struct child *c;
	bool work = false;

	if (target_find(ike, name, &t) != 0)
		return -ENOENT;
	t.peer->down = false;
	TAILQ_FOREACH(c, &t.peer->children, link)
		if (target_has(&t, c))
			work |= child_up(c);
	if (!peer_sa(t.peer)) {
		if (!peer_may_initiate(t.peer))
			return -ENOTCONN;
		t.peer->want_phase1 = true;
		work = true;
	}
	if (!work)
		return -EALREADY;
	t.peer->retry_at = 0;
	peer_kick(t.peer);
	return 0;
}

static int children_down(const struct target *t)
{
	struct child *c;
	int rc = -EALREADY;

	TAILQ_FOREACH(c, &t->peer->children, link) {
		if (!target_has(t, c) || c->down)
			continue;
		c->down = true;
		c->wanted = false;
		child_delete_pairs(c, "taken down by command");
		child_protect(c, "taken down by command");
		rc = 0;
	}
	return rc;
}

static int everything_down(struct peer *p)
{
	struct child *c;

	if (p->down)
		return -EALREADY;
	p->down = true;
	p->want_phase1 = false;
	TAILQ_FOREACH(c, &p->children, link)
		c->wanted = false;
	peer_down(p, "taken down by command");
	return 0;
}

int ike_down(struct ike *ike, const char *name)
{
	struct target t;

	if (target_find(ike, name, &t) != 0)
		return -ENOENT;
	int rc = t.child[0] ? children_down(&t) : everything_down(t.peer);
	engine_reap(ike);
	return rc;
}

static bool pairs_due(struct child *c, int number)
{
	struct pair *pair;
	bool any = false;

	TAILQ_FOREACH(pair, &c->pairs, link) {
		if (pair->dead || pair->state != PAIR_LIVE ||
		    (number >= 0 && pair->idx != (unsigned)number))
			continue;
		pair->rekey_due = true;
		any = true;
	}
	if (any)
		c->retry_at = 0;
	return any;
}

int ike_rekey(struct ike *ike, const char *name)
{
	struct target t;
	struct child *c;
	bool any = false;

	if (target_find(ike, name, &t) != 0)
		return -ENOENT;
	if (t.child[0]) {
		TAILQ_FOREACH(c, &t.peer->children, link)
			if (target_has(&t, c))
				any |= pairs_due(c, t.pair);
		if (!any)
			return -ENOTCONN;
	} else {
		if (!peer_may_initiate(t.peer))
			return -ENOTCONN;
		t.peer->want_phase1 = true;
		t.peer->retry_at = 0;
	}
	peer_kick(t.peer);
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
