/* SA pairs: reserved, keyed, installed inbound first, replaced, deleted. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "diagnose.h"
#include "isakmp_sa.h"
#include "secret.h"

static unsigned bucket_of(uint32_t spi)
{
	return (spi * 2654435761u >> 16) % PAIR_BUCKETS;
}

static void pair_soft(void *arg)
{
	struct pair *pair = arg;

	pair->rekey_due = true;
	peer_kick(pair->child->peer);
}

static void pair_end(void *arg)
{
	struct pair *pair = arg;
	struct isakmp_sa *sa = peer_sa(pair->child->peer);

	/* The peer may have kept this one and not its successor: it learns otherwise from the
	 * DELETE, and until then its packets are still taken. */
	if (pair->state == PAIR_OLD && !pair->told && sa) {
		pair->told = true;
		info_delete_pair(sa, pair);
		timer_set(&pair->ike->timers, &pair->end, ike_now(pair->ike) + TOLD_US);
		return;
	}
	pair_delete(pair, !pair->told, pair->end_why);
}

static void pair_send(void *arg);

uint8_t pair_proto(const struct pair *pair)
{
	return pair->t.ah ? PROTO_AH : PROTO_ESP;
}

/* The peer sends through a pair that we made only once it has message 3: what it begins then, it begins
 * knowing that pair. Its packets may overtake, but not by that much. */
#define OVERTAKE_US (2 * SECOND)

static void pair_note_known(const struct pair *pair)
{
	uint64_t now = ike_now(pair->ike);
	struct pair *o;

	TAILQ_FOREACH(o, &pair->child->pairs, link)
		if (!o->dead && o->state == PAIR_LIVE && o->initiator && !o->known_us &&
		    o->established_us + OVERTAKE_US < now && pair_carried(o, SA_IN))
			o->known_us = now;
}

struct pair *pair_new(struct child *child, unsigned idx, bool initiator, struct exchange *x)
{
	struct ike *ike = child->ike;
	struct pair *pair = ike_alloc(ike, sizeof(*pair));

	if (!pair)
		return NULL;
	if (ike->ops.sa_reserve(ike->ops.ctx, child->cfg.policy, idx, &pair->ref) != 0) {
		ike_dealloc(ike, pair, sizeof(*pair));
		return NULL;
	}
	pair->ike = ike;
	pair->child = child;
	pair->x = x;
	pair->idx = idx;
	pair->initiator = initiator;
	pair->sel = child->cfg.sel;
	pair->created_us = ike_now(ike);
	timer_init(&pair->soft, pair_soft, pair);
	timer_init(&pair->end, pair_end, pair);
	timer_init(&pair->send, pair_send, pair);
	TAILQ_INSERT_TAIL(&child->pairs, pair, link);
	LIST_INSERT_HEAD(&ike->pairs[bucket_of(pair->ref.spi)], pair, bucket);
	if (!initiator)
		pair_note_known(pair);
	return pair;
}

struct pair *pair_find(struct ike *ike, uint32_t spi)
{
	struct pair *pair;

	LIST_FOREACH(pair, &ike->pairs[bucket_of(spi)], bucket)
		if (pair->ref.spi == spi)
			return pair;
	return NULL;
}

static void pair_wipe(struct pair *pair)
{
	ike_secret_dealloc(pair->ike, pair->keys, sizeof(*pair->keys));
	pair->keys = NULL;
}

void pair_kill(struct pair *pair)
{
	struct ike *ike = pair->ike;

	if (pair->dead)
		return;
	pair->dead = true;
	pair->child->peer->used_us = ike_now(ike);
	timer_cancel(&ike->timers, &pair->soft);
	timer_cancel(&ike->timers, &pair->end);
	timer_cancel(&ike->timers, &pair->send);
	LIST_REMOVE(pair, bucket);
	pair_wipe(pair);
	if (pair->out_set)
		ike->ops.sa_remove(ike->ops.ctx, &pair->ref, SA_OUT);
	if (pair->in_set)
		ike->ops.sa_remove(ike->ops.ctx, &pair->ref, SA_IN);
	ike->ops.sa_release(ike->ops.ctx, &pair->ref);
	SLIST_INSERT_HEAD(&ike->dead_pairs, pair, dead_link);
}

void pair_free(struct pair *pair)
{
	TAILQ_REMOVE(&pair->child->pairs, pair, link);
	ike_dealloc(pair->ike, pair, sizeof(*pair));
}

int pair_derive(struct pair *pair, struct exchange *x)
{
	const struct esp_choice *c = &x->qm.choice;
	const struct ike_keys *k = x->sa->keys;
	struct view gxy = buf_view(&x->gxy), ni = buf_view(&x->ni), nr = buf_view(&x->nr);

	pair->t = c->t;
	pair->spi_out = c->spi;
	pair->life_kb = lifetime_shorter(pair->child->cfg.life_kb, c->life_kb);
	pair->udp_encap = x->sa->encap && !pair->t.ah;
	pair->oa_local = x->qm.oa_local;
	pair->oa_remote = x->qm.oa_remote;
	pair->path = x->sa->path;
	pair->keys = ike_secret_alloc(pair->ike, sizeof(*pair->keys));
	if (!pair->keys)
		return -ENOMEM;
	int rc = ike_keymat(k, pair_proto(pair), pair->ref.spi, gxy, ni, nr, &pair->t,
			    pair->keys->in, pair->keys->in_auth);
	if (rc != 0)
		return rc;
	return ike_keymat(k, pair_proto(pair), pair->spi_out, gxy, ni, nr, &pair->t,
			  pair->keys->out, pair->keys->out_auth);
}

int pair_install(struct pair *pair, enum sa_dir dir)
{
	const struct ike_child_cfg *cfg = &pair->child->cfg;
	struct ike *ike = pair->ike;
	bool in = dir == SA_IN;
	struct sa_params p = {
		.ref = pair->ref,
		.dir = dir,
		.spi = in ? pair->ref.spi : pair->spi_out,
		.policy = cfg->policy,
		.spread = child_pairs(pair->child) > 1,
		.proto = pair->t.ah ? SA_AH : SA_ESP,
		.mode = cfg->mode,
		.encr = pair->t.encr,
		.key_bits = pair->t.key_bits,
		.integ = pair->t.integ,
		.esn = pair->t.esn,
		.local = pair->path.local,
		.remote = pair->path.remote,
		.udp_encap = pair->udp_encap,
		.local_port = pair->path.local_port,
		.remote_port = pair->path.remote_port,
		.oa_local = pair->oa_local,
		.oa_remote = pair->oa_remote,
		.sel = pair->sel,
		.replay_window = cfg->replay_window,
		.df = cfg->df,
		.copy_dscp = cfg->copy_dscp,
		.dscp = cfg->dscp,
	};

	pair_volume(pair, &p);
	memcpy(p.key, in ? pair->keys->in : pair->keys->out, sizeof(p.key));
	memcpy(p.auth, in ? pair->keys->in_auth : pair->keys->out_auth, sizeof(p.auth));
	int rc = ike->ops.sa_install(ike->ops.ctx, &p);
	secret_wipe(&p, sizeof(p));
	if (rc == 0 && in)
		pair->in_set = true;
	else if (rc == 0)
		pair->out_set = true;
	if (rc == 0 && !in)
		pair->out_since_us = ike_now(ike);
	return rc;
}

void ike_sa_installed(struct ike *ike, const struct sa_ref *ref, enum sa_dir dir)
{
	struct pair *pair = pair_find(ike, ref->spi);

	if (pair && dir == SA_IN && pair->x && pair->state == PAIR_NEW)
		quick_mode_installed(pair->x);
	engine_reap(ike);
}

void ike_peer_moved(struct ike *ike, const struct sa_ref *ref, const struct ip_addr *remote,
		    uint16_t port)
{
	struct pair *pair = pair_find(ike, ref->spi);
	struct isakmp_sa *sa = pair && pair->udp_encap ? peer_sa(pair->child->peer) : NULL;

	/* its ESP and its IKE share a port, so the ISAKMP SA moves, and takes the pairs along */
	if (sa && sa->encap && pair->state != PAIR_NEW)
		sa_moved(sa, remote, port);
	engine_reap(ike);
}

/* ----------------------------------------------------------------------- replacement -------- */

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

static void pair_send(void *arg)
{
	pair_send_now(arg);
}

/* The one that sends is going: its successor waits no longer. */
static void pair_send_instead(const struct pair *gone)
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

/* Puts the pair that stands beside this one in its place. */
static void pair_step_in(struct pair *gone)
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

void pair_deleted(struct pair *pair)
{
	if (pair->state == PAIR_LIVE)
		pair_step_in(pair);
	pair_delete(pair, false, "deleted by the peer");
}

void pair_delete(struct pair *pair, bool tell, const char *why)
{
	struct ike *ike = pair->ike;
	struct child *child = pair->child;
	struct isakmp_sa *sa = tell ? peer_sa(child->peer) : NULL;

	if (pair->dead)
		return;
	if (sa && pair->state != PAIR_NEW)
		info_delete_pair(sa, pair);
	if (pair->state == PAIR_LIVE)
		ike_event(ike, IKE_EV_CHILD_DOWN, child->peer, child, NULL, "%s", why);
	else
		ike_note(ike, child->peer, NULL, "%s: old SA pair removed: %s", child->cfg.name,
			 why);
	pair_send_instead(pair);
	pair_kill(pair);
	peer_kick(child->peer);
}

void ike_sa_garbled(struct ike *ike, const struct sa_ref *ref, uint64_t packets)
{
	struct pair *pair = pair_find(ike, ref->spi);
	struct ike_diagnosis d;

	if (!pair || pair->garbled)
		return;
	pair->garbled = true;
	diag_icv(&d, pair, packets);
	peer_diagnosis(pair->child->peer, pair->child, NULL, &d);
}

void ike_sa_limit(struct ike *ike, const struct sa_ref *ref, enum sa_dir dir, bool hard)
{
	struct pair *pair = pair_find(ike, ref->spi);

	if (pair)
		pair->used_up |= hard;
	if (pair && pair->state == PAIR_LIVE) {
		pair_measure(pair);
		if (hard) {
			pair_step_in(pair);
			pair_delete(pair, true,
				    dir == SA_IN ? "its inbound volume is used up"
						 : "its outbound volume is used up");
		} else {
			pair->runs_out = true;
			pair_soft(pair);
		}
	} else if (pair && hard && dir == SA_OUT) {
		pair_send_instead(pair); /* it sent on for its successor, and cannot any more */
	} else if (pair && hard && pair->state == PAIR_OLD) {
		/* the peer has not seen yet that there is a successor, or prefers this one */
		pair_delete(pair, true, "its inbound volume is used up");
	}
	engine_reap(ike);
}
