/* ISAKMP SAs: their life from the first message to the last DELETE. */
#include "isakmp_sa.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "access.h"
#include "bytes.h"
#include "diagnose.h"
#include "fragment.h"

static void sa_life(void *arg);

static unsigned bucket_of(const struct ike *ike, const uint8_t *icookie)
{
	/* the other side chose it, perhaps with care */
	uint64_t h = ((uint64_t)get_u32(icookie) << 32 | get_u32(icookie + 4)) ^ ike->bucket_seed;

	h = (h ^ h >> 32) * 0x9e3779b97f4a7c15ull ^ (uint64_t)ike->bucket_seed << 29;
	return (unsigned)((h ^ h >> 29) * 0xbf58476d1ce4e5b9ull >> 40) % SA_BUCKETS;
}

static bool is_zero(const uint8_t *cookie)
{
	static const uint8_t zero[ISAKMP_COOKIE_LEN];

	return memcmp(cookie, zero, sizeof(zero)) == 0;
}

struct isakmp_sa *sa_new(struct peer *peer, const struct ike_path *path, bool initiator,
			 uint8_t phase1)
{
	struct ike *ike = peer->ike;
	struct isakmp_sa *sa = ike_alloc(ike, sizeof(*sa));

	if (!sa)
		return NULL;
	if (ike->ops.random(ike->ops.ctx, initiator ? sa->icookie : sa->rcookie,
			    ISAKMP_COOKIE_LEN) != 0) {
		ike_dealloc(ike, sa, sizeof(*sa));
		return NULL;
	}
	sa->ike = ike;
	sa->peer = peer;
	sa->initiator = initiator;
	sa->phase1 = phase1;
	sa->path = *path;
	sa->created_us = ike_now(ike);
	TAILQ_INIT(&sa->exchanges);
	timer_init(&sa->life, sa_life, sa);
	timer_init(&sa->dpd, sa_dpd_timer, sa);
	timer_init(&sa->keepalive, sa_keepalive_timer, sa);
	timer_init(&sa->idle, sa_idle_timer, sa);
	TAILQ_INSERT_TAIL(&peer->sas, sa, link);
	if (initiator) {
		sa_publish(sa);
		return sa;
	}
	sa_half_open(sa);
	return sa;
}

static void tell_cookies(const struct isakmp_sa *sa, bool known)
{
	struct ike *ike = sa->ike;

	/* what the answer to a message of ours has as its other cookie, we do not know */
	if (ike->ops.cookies)
		ike->ops.cookies(ike->ops.ctx, sa->icookie, sa->initiator ? NULL : sa->rcookie, known);
}

void sa_publish(struct isakmp_sa *sa)
{
	tell_cookies(sa, true);
	LIST_INSERT_HEAD(&sa->ike->sas[bucket_of(sa->ike, sa->icookie)], sa, bucket);
	sa->published = true;
}

struct isakmp_sa *sa_find(struct ike *ike, const uint8_t *icookie, const uint8_t *rcookie)
{
	struct isakmp_sa *sa;

	LIST_FOREACH(sa, &ike->sas[bucket_of(ike, icookie)], bucket) {
		if (memcmp(sa->icookie, icookie, ISAKMP_COOKIE_LEN) != 0)
			continue;
		if (memcmp(sa->rcookie, rcookie, ISAKMP_COOKIE_LEN) == 0 ||
		    (sa->initiator && is_zero(sa->rcookie)))
			return sa;
	}
	return NULL;
}

struct isakmp_sa *sa_find_first(struct ike *ike, const uint8_t *icookie,
				const struct ike_path *path)
{
	struct isakmp_sa *sa;

	LIST_FOREACH(sa, &ike->sas[bucket_of(ike, icookie)], bucket)
		if (memcmp(sa->icookie, icookie, ISAKMP_COOKIE_LEN) == 0 && !sa->initiator &&
		    ip_addr_equal(&sa->path.remote, &path->remote))
			return sa;
	return NULL;
}

void sa_kill(struct isakmp_sa *sa)
{
	struct timer_heap *h = &sa->ike->timers;
	struct exchange *x;

	if (sa->dead)
		return;
	sa->dead = true;
	sa_not_half_open(sa);
	timer_cancel(h, &sa->life);
	timer_cancel(h, &sa->dpd);
	timer_cancel(h, &sa->keepalive);
	timer_cancel(h, &sa->idle);
	if (sa->access)
		timer_cancel(h, &sa->access->timer);
	if (sa->state != IKE_SA_CLOSING)
		pool_seen(sa);
	if (sa->published) {
		LIST_REMOVE(sa, bucket);
		tell_cookies(sa, false);
	}
	fragment_forget(sa->ike, sa, NULL);
	TAILQ_FOREACH(x, &sa->exchanges, link)
		exchange_kill(x);
	SLIST_INSERT_HEAD(&sa->ike->dead_sas, sa, dead_link);
}

void isakmp_sa_free(struct isakmp_sa *sa)
{
	struct ike *ike = sa->ike;

	TAILQ_REMOVE(&sa->peer->sas, sa, link);
	access_free(sa);
	ike_secret_dealloc(ike, sa->keys, sizeof(*sa->keys));
	ike_dealloc(ike, sa->msgids, sa->cap_msgids * sizeof(*sa->msgids));
	ike_dealloc(ike, sa, sizeof(*sa));
}

void sa_move(struct isakmp_sa *sa, struct peer *to)
{
	TAILQ_REMOVE(&sa->peer->sas, sa, link);
	sa->peer = to;
	TAILQ_INSERT_TAIL(&to->sas, sa, link);
}

/* ----------------------------------------------------------------------------- message IDs -- */

bool sa_msgid_used(const struct isakmp_sa *sa, uint32_t msgid)
{
	for (unsigned i = 0; i < sa->n_msgids; i++)
		if (sa->msgids[i] == msgid)
			return true;
	return false;
}

int sa_msgid_use(struct isakmp_sa *sa, uint32_t msgid)
{
	struct ike *ike = sa->ike;

	if (sa->n_msgids == MSGIDS_MAX)
		return -ENOSPC;
	if (sa->n_msgids == sa->cap_msgids) {
		unsigned cap = sa->cap_msgids ? sa->cap_msgids * 2 : 32;
		uint32_t *v = ike_alloc(ike, cap * sizeof(*v));
		if (!v)
			return -ENOMEM;
		if (sa->n_msgids)
			memcpy(v, sa->msgids, sa->n_msgids * sizeof(*v));
		ike_dealloc(ike, sa->msgids, sa->cap_msgids * sizeof(*v));
		sa->msgids = v;
		sa->cap_msgids = cap;
	}
	sa->msgids[sa->n_msgids++] = msgid;
	if (sa->n_msgids == MSGIDS_MAX - MSGIDS_MAX / 8 && sa_usable(sa)) {
		sa->peer->want_phase1 = true;
		peer_kick(sa->peer);
		if (!peer_may_initiate(sa->peer))
			sa_retire(sa, 0); /* the peer makes a new one when it needs one */
	}
	return 0;
}

uint32_t sa_msgid_new(struct isakmp_sa *sa)
{
	uint32_t id;

	do {
		id = ike_random32(sa->ike);
	} while (id != 0 && sa_msgid_used(sa, id));
	return id != 0 && sa_msgid_use(sa, id) == 0 ? id : 0;
}

/* ------------------------------------------------------------------------------- life ------- */

static unsigned quick_used(const struct isakmp_sa *sa, bool ours)
{
	const struct exchange *x;
	unsigned used = sa->quick_modes;

	TAILQ_FOREACH(x, &sa->exchanges, link)
		used += !x->dead && !x->done && x->type == EXCH_QUICK && (ours || !x->initiator);
	return used;
}

bool sa_quick_beyond(const struct isakmp_sa *sa, bool ours)
{
	unsigned limit = sa->peer->cfg.quick_limit;

	return limit && quick_used(sa, ours) > limit;
}

unsigned sa_quick_left(const struct isakmp_sa *sa)
{
	unsigned limit = sa->peer->cfg.quick_limit, used = quick_used(sa, true);

	if (limit == 0)
		return UINT_MAX;
	return used < limit ? limit - used : 0;
}

bool sa_usable(const struct isakmp_sa *sa)
{
	return !sa->dead && !sa->stale && !sa->locked && sa->state == IKE_SA_ESTABLISHED;
}

/* When the rekey is due, seconds after the start. The initiator goes first, the responder steps in
 * only when it did not: that keeps simultaneous rekeys rare. */
uint64_t soft_limit_us(struct ike *ike, uint32_t life_s, uint32_t margin_s, bool initiator)
{
	uint64_t life = life_s * SECOND, margin = margin_s ? margin_s * SECOND : life / 10;
	uint64_t jitter = ike_random32(ike);

	if (margin > life / 3)
		margin = life / 3;
	if (initiator)
		return life - margin - jitter * margin / UINT32_MAX;
	return life - margin / 2 - jitter * (margin / 4) / UINT32_MAX;
}

void sa_established(struct isakmp_sa *sa, const uint8_t *last_block)
{
	struct ike *ike = sa->ike;
	uint64_t now = ike_now(ike);
	struct ike_diagnosis d;
	char t[TRANSFORM_STR_LEN];

	sa_not_half_open(sa);
	memcpy(sa->last_block, last_block, sizeof(sa->last_block));
	sa->state = IKE_SA_ESTABLISHED;
	sa->established_us = sa->last_rx_us = now;
	sa->expires_us = now + sa->life_s * SECOND;
	sa->peer->main_us = now - sa->created_us;
	timing_add(&ike->totals.phase1, sa->peer->main_us);
	timer_set(&ike->timers, &sa->life,
		  now + soft_limit_us(ike, sa->life_s, sa->peer->cfg.margin_s, sa->initiator));
	if (sa->peer->cfg.dpd_s && sa->peer_dpd)
		timer_set(&ike->timers, &sa->dpd, now + sa->peer->cfg.dpd_s * SECOND);
	if (sa->nat_local)
		timer_set(&ike->timers, &sa->keepalive, now + KEEPALIVE_US);
	if (sa->peer->cfg.idle_s)
		timer_set(&ike->timers, &sa->idle, now + sa->peer->cfg.idle_s * SECOND);
	ike_event(ike, IKE_EV_PHASE1_UP, sa->peer, NULL, sa, "established as %s with %s%s",
		  sa->initiator ? "initiator" : "responder",
		  ike_transform_str(&sa->t, t, sizeof(t)),
		  sa->phase1 == EXCH_AGGRESSIVE ? " in Aggressive Mode" : "");
	if (diag_lifetime(&d, sa, NULL, sa->offered_s, sa->offered_kb))
		peer_diagnosis(sa->peer, NULL, sa, &d);
	if (!access_begin(sa))
		peer_phase1_up(sa->peer, sa);
}

/* Where the rekey by volume is due; as with time, the initiator goes first. */
static uint64_t soft_bytes(const struct isakmp_sa *sa)
{
	return sa->life_bytes / 20 * (sa->initiator ? 16 : 18);
}

void sa_count(struct isakmp_sa *sa, size_t len)
{
	struct timer_heap *h = &sa->ike->timers;

	sa->bytes += len;
	if (!sa->life_bytes || sa->dead || sa->used_up || sa->state != IKE_SA_ESTABLISHED)
		return;
	/* by the timer, because this is the middle of an exchange */
	if (sa->bytes >= sa->life_bytes) {
		sa->used_up = true;
		timer_set(h, &sa->life, ike_now(sa->ike));
	} else if (!sa->soft_done && sa->bytes >= soft_bytes(sa)) {
		timer_set(h, &sa->life, ike_now(sa->ike));
	}
}

void sa_shorten(struct isakmp_sa *sa, uint32_t life_s, uint64_t bytes)
{
	struct ike *ike = sa->ike;
	uint64_t soft;

	sa->life_bytes = lifetime_shorter(sa->life_bytes, bytes);
	if (life_s == 0 || life_s >= sa->life_s)
		return;
	sa->life_s = life_s;
	if (sa->state != IKE_SA_ESTABLISHED)
		return; /* its clock starts with that */
	sa->expires_us = sa->established_us + life_s * SECOND;
	soft = sa->established_us +
	       soft_limit_us(ike, life_s, sa->peer->cfg.margin_s, sa->initiator);
	timer_set(&ike->timers, &sa->life, sa->soft_done ? sa->expires_us : soft);
}

void sa_retire(struct isakmp_sa *sa, uint64_t grace_us)
{
	sa->state = IKE_SA_REKEYED;
	timer_set(&sa->ike->timers, &sa->life, ike_now(sa->ike) + grace_us);
}

bool sa_negotiates(const struct isakmp_sa *sa)
{
	const struct exchange *x;

	TAILQ_FOREACH(x, &sa->exchanges, link)
		if (!x->dead && !x->done && x->type == EXCH_QUICK)
			return true;
	return false;
}

/* It does nothing any more but read: DELETEs for its pairs may come after its own. */
static void sa_closing(struct isakmp_sa *sa, const char *why)
{
	struct ike *ike = sa->ike;
	struct exchange *x;

	TAILQ_FOREACH(x, &sa->exchanges, link)
		if (!x->done && (x->type == EXCH_QUICK || x->type == EXCH_TRANSACTION))
			exchange_kill(x);
	pool_seen(sa);
	sa->state = IKE_SA_CLOSING;
	if (sa->access)
		timer_cancel(&ike->timers, &sa->access->timer);
	timer_cancel(&ike->timers, &sa->dpd);
	timer_cancel(&ike->timers, &sa->keepalive);
	timer_cancel(&ike->timers, &sa->idle);
	ike_event(ike, IKE_EV_PHASE1_DOWN, sa->peer, NULL, sa, "%s", why);
	timer_set(&ike->timers, &sa->life, ike_now(ike) + GRACE_US);
}

void sa_close(struct isakmp_sa *sa, const char *why)
{
	if (sa->dead || sa->state == IKE_SA_CLOSING)
		return;
	if (sa->state == IKE_SA_CONNECTING) {
		sa_kill(sa);
		return;
	}
	sa_closing(sa, why);
	info_delete_sa(sa);
}

void sa_deleted(struct isakmp_sa *sa)
{
	if (sa->dead || sa->state == IKE_SA_CLOSING || sa->state == IKE_SA_CONNECTING)
		return;
	if (aggressive_refused(sa, 0))
		return;
	main_mode_refused(sa, 0);
	sa_closing(sa, "deleted by the peer");
	peer_kick(sa->peer);
}

void sa_take_back(struct isakmp_sa *sa, const uint8_t *last_block, uint16_t notify)
{
	struct ike *ike = sa->ike;
	struct exchange *x;
	uint8_t spi[2 * ISAKMP_COOKIE_LEN];

	TAILQ_FOREACH(x, &sa->exchanges, link)
		exchange_kill(x);
	memcpy(sa->last_block, last_block, sizeof(sa->last_block));
	memcpy(spi, sa->icookie, ISAKMP_COOKIE_LEN);
	memcpy(spi + ISAKMP_COOKIE_LEN, sa->rcookie, ISAKMP_COOKIE_LEN);
	sa->state = IKE_SA_CLOSING;
	if (notify)
		info_notify(sa, PROTO_ISAKMP, notify, spi, sizeof(spi), NULL, 0);
	info_delete_sa(sa);
	timer_set(&ike->timers, &sa->life, ike_now(ike) + GRACE_US);
}

/* The phase 1 of a responder did not come to its end in time. */
static void sa_abandoned(struct isakmp_sa *sa)
{
	struct ike *ike = sa->ike;
	struct exchange *x = exchange_phase1(sa);
	const struct step *s = x ? step_find(x->type, x->initiator, x->step) : NULL;
	struct ike_diagnosis d;

	ike->totals.phase1.failed++;
	if (x && x->notified) { /* the reason has been told */
		ike_event(ike, IKE_EV_PHASE1_FAILED, sa->peer, NULL, sa, "%s",
			  sa->peer->last_error);
	} else if (complaint_allowed(ike)) { /* after a flood there are thousands */
		diag_abandoned(&d, sa, s ? s->number : 1);
		snprintf(sa->peer->last_error, sizeof(sa->peer->last_error), "%s", d.text);
		ike_event_diagnosis(ike, IKE_EV_PHASE1_FAILED, sa->peer, NULL, sa, &d);
	}
	sa_kill(sa);
}

/* One timer for what time does to an SA: deadline, soft limit, hard limit, grace. */
static void sa_life(void *arg)
{
	struct isakmp_sa *sa = arg;
	struct ike *ike = sa->ike;

	if (sa->state == IKE_SA_CLOSING) {
		sa_kill(sa);
	} else if (sa->half_open) {
		sa_abandoned(sa);
	} else if (sa->state == IKE_SA_REKEYED) {
		if (sa_negotiates(sa) && ike_now(ike) < sa->expires_us)
			timer_set(&ike->timers, &sa->life, ike_now(ike) + GRACE_US);
		else
			sa_close(sa, sa->used_up ? "its volume is used up" : "replaced by a newer one");
	} else if (!sa->soft_done && !sa->used_up) {
		sa->soft_done = true;
		timer_set(&ike->timers, &sa->life, sa->expires_us);
		if (peer_sa(sa->peer) == sa && peer_needs_phase1(sa->peer)) {
			sa->peer->want_phase1 = true;
			peer_kick(sa->peer);
		}
	} else if (sa->used_up) {
		/* a DELETE could overtake the last message of a Quick Mode; nothing new begins */
		sa_retire(sa, USED_UP_US);
		peer_kick(sa->peer);
	} else {
		sa_close(sa, "its lifetime is over");
		peer_kick(sa->peer);
	}
}
