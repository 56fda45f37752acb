/* SA pairs: reserved, keyed, installed inbound first, deleted. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "access.h"
#include "diagnose.h"
#include "isakmp_sa.h"
#include "pair.h"
#include "secret.h"

static unsigned bucket_of(uint32_t spi)
{
	return (spi * 2654435761u >> 14) % PAIR_BUCKETS;
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
	struct isakmp_sa *sa = child_sa(pair->child);

	/* The peer may have kept this one and not its successor: it learns otherwise from the
	 * DELETE, and until then its packets are still taken. Ours must not go through it any more, not
	 * even where nothing else is left to send with. */
	if (pair->state == PAIR_OLD && !pair->told && sa) {
		pair->told = true;
		info_delete_pair(sa, pair);
		pair_send_instead(pair);
		if (pair->out_set)
			pair->ike->ops.sa_remove(pair->ike->ops.ctx, &pair->ref, SA_OUT);
		pair->out_set = false;
		timer_set(&pair->ike->timers, &pair->end, ike_now(pair->ike) + TOLD_US);
		return;
	}
	pair_delete(pair, !pair->told, pair->end_why);
}

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

void pair_wipe(struct pair *pair)
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
		.clamp_mss = cfg->clamp_mss,
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
	struct isakmp_sa *sa = pair && pair->udp_encap ? child_sa(pair->child) : NULL;

	/* its ESP and its IKE share a port, so the ISAKMP SA moves, and takes the pairs along */
	if (sa && sa->encap && pair->state != PAIR_NEW)
		sa_moved(sa, remote, port);
	engine_reap(ike);
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
	struct isakmp_sa *sa = tell ? child_sa(child) : NULL;

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
