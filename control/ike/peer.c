/* Peers: which ISAKMP SA serves them, and what has to be started for them. */
#include <string.h>

#include "access.h"
#include "fragment.h"
#include "isakmp_sa.h"

struct isakmp_sa *peer_sa(struct peer *p)
{
	struct isakmp_sa *sa, *best = NULL;

	TAILQ_FOREACH(sa, &p->sas, link)
		if (sa_usable(sa) && (!best || sa->established_us >= best->established_us))
			best = sa;
	return best;
}

uint32_t retry_ms(const struct peer *p)
{
	return p->cfg.retry_ms ? p->cfg.retry_ms : 1000;
}

unsigned retry_count(const struct peer *p)
{
	return p->cfg.retries ? p->cfg.retries : 5;
}

uint64_t backoff_us(struct ike *ike, unsigned failures)
{
	uint64_t s = failures < 6 ? 1ull << failures : RETRY_MAX_S;

	return s * SECOND + ike_random32(ike) % (s * SECOND / 4);
}

/* --------------------------------------------------------------------------- looking after -- */

void peer_kick(struct peer *p)
{
	if (!p->dead && !p->ike->closing)
		timer_set(&p->ike->timers, &p->kick, ike_now(p->ike));
}

static bool peer_calls(const struct peer *p)
{
	const struct isakmp_sa *sa;

	TAILQ_FOREACH(sa, &p->sas, link)
		if (!sa->dead && ((sa->initiator && sa->state == IKE_SA_CONNECTING) ||
				  (sa->locked && sa->state == IKE_SA_ESTABLISHED)))
			return true;
	return false;
}

bool peer_needs_phase1(struct peer *p)
{
	struct child *c;
	struct pair *pair;

	if (p->down)
		return false;
	TAILQ_FOREACH(c, &p->children, link) {
		if (child_wants(c))
			return true;
		TAILQ_FOREACH(pair, &c->pairs, link)
			if (!pair->dead && pair->state == PAIR_LIVE)
				return true;
	}
	return false;
}

/* How many Quick Modes of ours may begin under sa now. Thousands at once would only fill queues on
 * the way and the other side's limits, and then wait for their repeats. Who has not said that it
 * takes many gets one after the other: strongSwan remembers the IVs of three exchanges under an
 * ISAKMP SA, of both sides, and cannot read the last message of a Quick Mode when three others came
 * between. */
static unsigned quick_budget(struct isakmp_sa *sa)
{
	uint64_t now = ike_now(sa->ike);
	unsigned open = 0, max = sa->peer_parallel ? QUICK_OPEN_MAX : 1;
	const struct exchange *x;

	TAILQ_FOREACH(x, &sa->exchanges, link) {
		if (x->type != EXCH_QUICK || !x->initiator || x->dead || x->done)
			continue;
		open += sa->peer_parallel || now < x->started_us + QUICK_STALLED_US;
	}
	return open < max ? max - open : 0;
}

/* The SA that a Quick Mode of ours may go under now, NULL: a new one is needed. Where their number is
 * limited, a side that cannot make an SA waits whether the other, who just made one, does anything with it
 * (*wait, when it has to): what is due was so for both of them all the time that there was none, and both
 * would renew it at once, each time. With one Quick Mode each, a Main Mode SA belongs to who made it. */
static struct isakmp_sa *peer_quick_sa(struct peer *p, uint64_t *wait)
{
	struct isakmp_sa *sa, *best = NULL;

	if (p->cfg.quick_limit != 1) {
		sa = peer_sa(p);
		if (sa && sa_quick_left(sa) == 0)
			sa = NULL;
		if (sa && p->cfg.quick_limit > 1 && !sa->initiator && !peer_may_initiate(p))
			*wait = sa->established_us + YIELD_US;
		return sa;
	}
	TAILQ_FOREACH(sa, &p->sas, link) {
		if (sa->dead || sa->stale || sa->locked || sa_quick_left(sa) == 0 ||
		    (sa->state != IKE_SA_ESTABLISHED && sa->state != IKE_SA_REKEYED))
			continue;
		if (sa->initiator || !peer_may_initiate(p))
			best = sa;
	}
	if (best && !best->initiator)
		*wait = best->established_us + YIELD_US;
	return best;
}

/* When the peer may begin its phase 1. */
static uint64_t call_turn(struct peer *p, uint64_t now)
{
	struct ike *ike = p->ike;
	uint64_t each = SECOND / ike->limits.calls_per_second, unused = CALL_BURST * each;

	if (!p->call_at) {
		if (now > unused && ike->call_next < now - unused)
			ike->call_next = now - unused;
		p->call_at = ike->call_next;
		ike->call_next += each;
	}
	return p->call_at;
}

/* The one place that starts negotiations. Runs from a timer, never in the middle of another call.
 */
void peer_maintain(void *arg)
{
	struct peer *p = arg;
	struct ike *ike = p->ike;
	uint64_t now = ike_now(ike), next = TIMER_NEVER, wait = 0;
	struct isakmp_sa *sa = peer_quick_sa(p, &wait);
	bool call = p->want_phase1;
	unsigned budget = 0;
	struct child *c;

	if (p->dead || ike->closing)
		return;
	if (sa)
		budget = quick_budget(sa);
	TAILQ_FOREACH(c, &p->children, link) {
		if (!child_has_work(c))
			continue;
		uint64_t at = child_not_before(c);
		if (at < wait && (p->cfg.quick_limit == 1 || child_can_wait(c)))
			at = wait;
		if (now < at) {
			next = at < next ? at : next;
			continue;
		}
		if (c->cfg.pooled) {
			struct isakmp_sa *its = child_sa(c);
			if (its && !child_negotiate(c, its, quick_budget(its)))
				next = now + QUICK_PACE_US;
			continue; /* without an SA of its own: whoever has the address calls us */
		}
		if (!sa) {
			call = true; /* under a new one, which stands for itself */
			continue;
		}
		unsigned left = sa_quick_left(sa) < budget ? sa_quick_left(sa) : budget;
		budget -= child_negotiate(c, sa, left);
		if (sa_quick_left(sa) == 0)
			call |= child_has_work(c);
		else if (budget == 0)
			next = now + QUICK_PACE_US; /* more may wait */
	}
	if (call && !p->down && peer_may_initiate(p) && !peer_calls(p)) {
		uint64_t at = now < p->retry_at ? p->retry_at : call_turn(p, now);
		if (now >= at)
			p->call_at = 0;
		if (now < at)
			next = at < next ? at : next;
		else if ((p->cfg.aggressive ? aggressive_start(p) : main_mode_start(p)) != 0)
			next = now + backoff_us(ike, p->failures++);
	}
	if (next != TIMER_NEVER && !p->kick.armed)
		timer_set(&ike->timers, &p->kick, next);
}

void peer_phase1_failed(struct peer *p)
{
	struct child *c;

	p->retry_at = ike_now(p->ike) + backoff_us(p->ike, p->failures++);
	if (p->failures > 3)
		p->want_phase1 = false;
	TAILQ_FOREACH(c, &p->children, link) {
		bool wanted = child_wants(c);
		if (c->cfg.start != START_IMMEDIATE && p->failures > 3)
			c->wanted = false;
		if (wanted)
			child_fall_back(c);
	}
	peer_kick(p);
}

/* Which of two that were made at the same time goes: both sides must say the same. */
static bool sa_loses(const struct isakmp_sa *a, const struct isakmp_sa *b)
{
	return memcmp(a->icookie, b->icookie, ISAKMP_COOKIE_LEN) > 0;
}

/* Two Main Modes in opposite directions are one collision when the second began before the first was
 * known to be done: allowing for one lost message, not more. A peer that begins later knew the first
 * one and wants to be rid of it; strongSwan answers nothing on it from then on. */
#define CROSSED_US (2 * SECOND)

/* Only another shrike settles a collision as we do. Others, strongSwan among them, go on with the
 * ISAKMP SA that came up last, and answer nothing on the one before; what we see come up last is one
 * that they still have. */
static bool sa_collides(const struct isakmp_sa *o, const struct isakmp_sa *sa)
{
	return sa->peer_parallel && !o->stale && o->initiator != sa->initiator &&
	       sa->created_us <= o->established_us + CROSSED_US;
}

/* Whoever made the new one takes the old one away. But strongSwan's pairs end with the ISAKMP SA that
 * they hang on, and where two crossed, only strongSwan knows on which: what a stranger has made it may
 * take away itself. */
static uint64_t sa_grace_us(const struct isakmp_sa *o, const struct isakmp_sa *sa)
{
	uint64_t now = ike_now(o->ike);

	if (!sa->peer_parallel && !o->initiator && o->expires_us > now)
		return o->expires_us - now;
	return sa->initiator ? GRACE_US : 6 * GRACE_US;
}

/* Of the same party: an open connection has several, which may share the address of a NAT. */
static bool same_client(const struct isakmp_sa *a, const struct isakmp_sa *b)
{
	return access_same_party(a, b) && ip_addr_equal(&a->path.remote, &b->path.remote) &&
	       (!peer_is_open(a->peer) || ike_id_equal(&a->remote_id, &b->remote_id));
}

/* The pair belongs to the party of sa: it goes where one of that party's SAs goes, or went. */
static bool pair_of_client(const struct pair *pair, const struct isakmp_sa *sa)
{
	const struct isakmp_sa *o;

	if (access_is_server(sa->peer))
		return access_owns(sa, pair);
	if (!peer_is_open(sa->peer))
		return true;
	TAILQ_FOREACH(o, &sa->peer->sas, link)
		if (same_client(o, sa) && ip_addr_equal(&o->path.remote, &pair->path.remote) &&
		    o->path.remote_port == pair->path.remote_port)
			return true;
	return false;
}

/* An SA that stands but whose XAuth or Mode Config is under way has said it already. */
bool peer_first_contact(const struct peer *p, const struct isakmp_sa *sa)
{
	const struct isakmp_sa *o;

	if (p->contacted)
		return false;
	TAILQ_FOREACH(o, &p->sas, link)
		if (o != sa && !o->dead && o->established_us &&
		    ip_addr_equal(&o->path.remote, &sa->path.remote))
			return false;
	return true;
}

void peer_phase1_up(struct peer *p, struct isakmp_sa *sa)
{
	struct isakmp_sa *o;
	bool rekey = false;

	p->contacted = true;
	p->want_phase1 = false;
	if (sa->phase1 != EXCH_AGGRESSIVE || !sa->initiator) { /* otherwise the peer may refuse it yet */
		p->failures = 0;
		p->retry_at = 0;
	}
	TAILQ_FOREACH(o, &p->sas, link) {
		if (o == sa || o->dead || o->state != IKE_SA_ESTABLISHED || !same_client(o, sa))
			continue;
		rekey = true;
		if (!sa_collides(o, sa)) {
			sa_retire(o, sa_grace_us(o, sa));
		} else {
			struct isakmp_sa *loser = sa_loses(o, sa) ? o : sa;
			sa_retire(loser, loser->initiator ? GRACE_US : 6 * GRACE_US);
		}
	}
	p->ike->totals.rekeys_phase1 += rekey;
	peer_kick(p);
}

void peer_forget_before(struct peer *p, uint64_t before, struct isakmp_sa *except)
{
	struct isakmp_sa *sa;
	struct child *c;
	struct pair *pair;

	TAILQ_FOREACH(sa, &p->sas, link) {
		/* what it spoke under since then, it still has */
		if (sa->dead || sa == except || !sa->established_us ||
		    sa->established_us >= before || sa->last_rx_us >= before ||
		    !same_client(sa, except))
			continue;
		ike_event(p->ike, IKE_EV_PHASE1_DOWN, p, NULL, sa, "the peer has started anew");
		sa_kill(sa);
	}
	TAILQ_FOREACH(c, &p->children, link)
		TAILQ_FOREACH(pair, &c->pairs, link)
			if (!pair->dead && pair->established_us && pair->established_us < before &&
			    pair_of_client(pair, except))
				pair_delete(pair, false, "the peer has started anew");
}

/* What the party of a dead SA has; others of the same connection live on. */
static void peer_forget_pairs(struct peer *p, const struct isakmp_sa *gone)
{
	struct child *c;
	struct pair *pair;

	TAILQ_FOREACH(c, &p->children, link)
		TAILQ_FOREACH(pair, &c->pairs, link)
			if (!pair->dead && !pair->x && access_owns(gone, pair))
				pair_delete(pair, false, "the peer is gone");
}

void peer_lost(struct peer *p, struct isakmp_sa *sa)
{
	uint64_t silent_since = sa->last_rx_us;
	struct isakmp_sa *o;
	struct child *c;
	bool alive = false;

	peer_error(p, sa, "%s is dead: it answered none of %u probes", p->cfg.name, sa->dpd_tries);
	ike_event(p->ike, IKE_EV_PHASE1_DOWN, p, NULL, sa, "%s", p->last_error);
	sa_kill(sa);
	TAILQ_FOREACH(o, &p->sas, link)
		alive |= sa_usable(o) && o->last_rx_us > silent_since && access_same_party(o, sa);
	if (!alive && access_is_server(p)) {
		peer_forget_pairs(p, sa);
	} else if (!alive) {
		p->contacted = false; /* whatever it still has of ours is void then */
		TAILQ_FOREACH(c, &p->children, link)
			child_delete_pairs(c, NULL);
	}
	peer_kick(p);
}

void peer_moved(struct peer *p, const struct ike_path *from)
{
	struct child *c;
	struct pair *pair;

	TAILQ_FOREACH(c, &p->children, link)
		TAILQ_FOREACH(pair, &c->pairs, link)
			if (!pair->dead && pair->state == PAIR_LIVE &&
			    ip_addr_equal(&pair->path.remote, &from->remote) &&
			    pair->path.remote_port == from->remote_port)
				pair->rekey_due = true;
	peer_kick(p);
}

void peer_down(struct peer *p, const char *why)
{
	struct isakmp_sa *sa;
	struct child *c;

	TAILQ_FOREACH(c, &p->children, link) {
		child_delete_pairs(c, why);
		child_protect(c, why);
	}
	TAILQ_FOREACH(sa, &p->sas, link)
		sa_close(sa, why);
}

void peer_free(struct peer *p)
{
	struct ike *ike = p->ike;
	struct child *c;

	timer_cancel(&ike->timers, &p->kick);
	fragment_forget(ike, NULL, p);
	while ((c = TAILQ_FIRST(&p->children)))
		child_free(c);
	pool_free(ike, p->pool);
	ike_dealloc(ike, p->assigned, sizeof(*p->assigned));
	unindex_peer(p);
	peer_cfg_clear(ike, &p->cfg);
	TAILQ_REMOVE(&ike->peers, p, link);
	ike_dealloc(ike, p, sizeof(*p));
}
