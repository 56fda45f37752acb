/* How one SA pair replaces another: make before break, collisions, what steps in for one that goes. */
#include <stdio.h>

#include "isakmp_sa.h"
#include "pair.h"

/* Where new keys are made many times a second, those of seconds ago need not be kept, and the data plane
 * has no slots for them. */
static void pairs_thin_out(const struct pair *newest)
{
	struct pair *o, *oldest = NULL;
	unsigned n = 0;

	TAILQ_FOREACH(o, &newest->child->pairs, link) {
		if (o->dead || o->state != PAIR_OLD || o->idx != newest->idx)
			continue;
		n++;
		if (!oldest)
			oldest = o;
	}
	if (n > OLD_PAIRS_MAX)
		pair_delete(oldest, !oldest->told, oldest->end_why);
}

/* Lets a pair live on for packets on their way; it takes no part in anything new. */
static void pair_retire(struct pair *pair, const char *why, bool ours)
{
	struct ike *ike = pair->ike;
	uint64_t at = ike_now(ike) + (ours ? GRACE_US : 3 * GRACE_US);

	pair->state = PAIR_OLD;
	timer_cancel(&ike->timers, &pair->soft);
	if (pair->send.armed) { /* its own successor takes over from its predecessor */
		timer_cancel(&ike->timers, &pair->send);
		pair_wipe(pair);
	}
	snprintf(pair->end_why, sizeof(pair->end_why), "%s", why);
	if (at < pair->expires_us)
		timer_set(&ike->timers, &pair->end, at);
	pairs_thin_out(pair);
}

/* Both sides made a pair at the same time: each keeps the one with the larger SPI, whichever
 * direction that is of, so that both keep the same. */
static bool pair_wins(const struct pair *a, const struct pair *b)
{
	uint32_t max_a = a->ref.spi > a->spi_out ? a->ref.spi : a->spi_out;
	uint32_t max_b = b->ref.spi > b->spi_out ? b->ref.spi : b->spi_out;

	if (max_a != max_b)
		return max_a > max_b;
	return (a->ref.spi ^ a->spi_out) > (b->ref.spi ^ b->spi_out);
}

/* Is o of an earlier negotiation than pair, for certain? One side makes its pairs one after the
 * other (and the responder sees their first messages in that order), so only pairs of both sides
 * can be of the same time. */
static bool pair_precedes(const struct pair *o, const struct pair *pair)
{
	if (o->initiator == pair->initiator)
		return o->created_us <= pair->created_us;
	if (o->known_us && o->known_us <= pair->created_us)
		return true;
	return o->established_us + SETTLE_US < pair->created_us;
}

/* Retires what the new pair replaces (*was). Returns false when the new one is itself redundant. A
 * peer that is no shrike sends with the one that was made last, and which that is of two that cross
 * the two sides may see differently: we send with the last one, too, and leave the other to it. */
static bool pair_succeeds(struct pair *pair, uint32_t replaces, struct pair **was)
{
	bool stranger = !pair->indexed;
	/* where only the peer knows which one it replaces, its DELETE says so */
	bool parallel = child_pairs(pair->child) > 1 && stranger;
	uint64_t settled_at = ike_now(pair->ike) + SETTLE_US;
	struct pair *o;

	TAILQ_FOREACH(o, &pair->child->pairs, link) {
		if (o == pair || o->dead || o->state != PAIR_LIVE || o->idx != pair->idx)
			continue;
		if (o->ref.spi == replaces || (pair_precedes(o, pair) && !parallel)) {
			pair_retire(o, "rekeyed", pair->initiator);
			*was = o;
			continue;
		}
		if (parallel)
			continue;
		/* a third pair now could be weighed against different ones by the two sides */
		pair->child->settled_at = settled_at;
		if (o->initiator == pair->initiator || (!stranger && pair_wins(o, pair)))
			return false;
		pair_retire(o, "redundant: both sides negotiated at once", o->initiator);
		if (stranger && !o->dead)
			timer_set(&pair->ike->timers, &o->end, o->expires_us);
		*was = o; /* and it sends on until ours can */
	}
	return true;
}

static void pair_limits(struct pair *pair, uint32_t life_s)
{
	struct ike *ike = pair->ike;
	uint64_t now = ike_now(ike);

	pair->life_s = life_s;
	pair->state = PAIR_LIVE;
	pair->established_us = now;
	pair->expires_us = now + life_s * SECOND;
	pair->seen_us = now;
	child_watch(pair->child);
	snprintf(pair->end_why, sizeof(pair->end_why), "its lifetime is over");
	timer_set(&ike->timers, &pair->end, pair->expires_us);
	timer_set(&ike->timers, &pair->soft,
		  now + soft_limit_us(ike, life_s, pair->child->cfg.margin_s, pair->initiator));
}

/* A redundant pair that could still be sent with: its keys are there and the peer has it. */
static bool pair_stands_by(const struct pair *o)
{
	return !o->dead && o->redundant && !o->told && !o->used_up &&
	       o->expires_us > ike_now(o->ike) + SECOND;
}

/* One that was replaced, and whose end the peer has not been told yet: where the successor turns out
 * not to be the peer's choice, it may be. */
static bool pair_still_there(const struct pair *o)
{
	return !o->dead && o->state == PAIR_OLD && o->out_set && !o->told && !o->used_up &&
	       o->expires_us > ike_now(o->ike) + SECOND;
}

static bool pair_promote(struct pair *o)
{
	uint64_t now = ike_now(o->ike), since = o->established_us;

	if (!o->out_set && pair_install(o, SA_OUT) != 0)
		return false;
	o->redundant = false;
	pair_wipe(o);
	pair_limits(o, (uint32_t)((o->expires_us - now) / SECOND));
	o->established_us = since;
	ike_event(o->ike, IKE_EV_CHILD_REKEYED, o->child->peer, o->child, NULL,
		  "the peer keeps the SA pair with SPI %08x in, %08x out", o->ref.spi, o->spi_out);
	return true;
}

/* Where both sides rekey again while they are still making up their minds, the peer compares the
 * new pair with the one of its own that lost here before: that one may be its choice. */
static bool pair_rival_wins(struct pair *pair)
{
	struct pair *o;

	TAILQ_FOREACH(o, &pair->child->pairs, link)
		if (o != pair && o->idx == pair->idx && pair_stands_by(o) &&
		    o->initiator != pair->initiator && !pair_precedes(o, pair) &&
		    pair_wins(o, pair))
			return pair_promote(o);
	return false;
}

/* From now on the pair sends. Returns false when it is gone instead. */
static bool pair_send_now(struct pair *pair)
{
	timer_cancel(&pair->ike->timers, &pair->send);
	if (pair_install(pair, SA_OUT) != 0) {
		pair_delete(pair, true, "the data plane does not take its outbound SA");
		return false;
	}
	pair_wipe(pair);
	return true;
}

void pair_send(void *arg)
{
	pair_send_now(arg);
}

void pair_send_instead(const struct pair *gone)
{
	struct pair *o;

	TAILQ_FOREACH(o, &gone->child->pairs, link) {
		if (o != gone && !o->dead && o->idx == gone->idx && o->send.armed) {
			pair_send_now(o);
			return;
		}
	}
}

/* Does what it is to replace send to where the peer is no more? */
static bool pair_astray(const struct pair *pair)
{
	const struct pair *o;

	TAILQ_FOREACH(o, &pair->child->pairs, link)
		if (o != pair && !o->dead && o->state == PAIR_LIVE && o->idx == pair->idx &&
		    (!ip_addr_equal(&o->path.remote, &pair->path.remote) ||
		     o->path.remote_port != pair->path.remote_port))
			return true;
	return false;
}

void pair_established(struct pair *pair, uint32_t replaces, uint32_t life_s)
{
	struct ike *ike = pair->ike;
	struct child *child = pair->child;
	char t[TRANSFORM_STR_LEN];
	struct pair *was = NULL;
	bool astray = pair_astray(pair);

	child->quick_us = ike_now(ike) - pair->created_us;
	timing_add(&ike->totals.phase2, child->quick_us);
	pair_limits(pair, life_s);
	bool winner = pair_succeeds(pair, replaces, &was) && !pair_rival_wins(pair);
	child_established(child);
	if (!winner) {
		/* not used for sending; the peer may until it has seen the other one. Its keys
		 * stay, in case that the peer decides otherwise, see pair_deleted() */
		pair->redundant = true;
		pair_retire(pair, "redundant: both sides negotiated at once", pair->initiator);
		ike_note(ike, child->peer, NULL, "%s: a second SA pair was made at the same time",
			 child->cfg.name);
		return;
	}
	/* The responder can take packets under the new keys once it has handled message 3, which may be
	 * slower than our next packet, or be lost: until then the old keys do. */
	if (was && pair->initiator && !astray)
		timer_set(&ike->timers, &pair->send, ike_now(ike) + pair_send_on_us(pair));
	else if (!pair_send_now(pair))
		return;
	child_protect(child, "an SA pair stands");
	ike->totals.rekeys_phase2 += was != NULL;
	ike_event(ike, was ? IKE_EV_CHILD_REKEYED : IKE_EV_CHILD_UP, child->peer, child, NULL,
		  "%s, SPI %08x in, %08x out", esp_transform_str(&pair->t, t, sizeof(t)),
		  pair->ref.spi, pair->spi_out);
}

void pair_step_in(struct pair *gone)
{
	struct pair *o;

	TAILQ_FOREACH(o, &gone->child->pairs, link)
		if (pair_stands_by(o) && o->idx == gone->idx)
			break;
	for (struct pair *k = TAILQ_FIRST(&gone->child->pairs); k && !o; k = TAILQ_NEXT(k, link))
		if (k != gone && pair_still_there(k) && k->idx == gone->idx)
			o = k;
	if (o && pair_promote(o))
		gone->state = PAIR_OLD;
}
