/* The engine's outside: what comes in, and what an operator asks for. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "access.h"
#include "diagnose.h"
#include "fragment.h"
#include "secret.h"

uint64_t ike_now(struct ike *ike)
{
	return ike->ops.now_us(ike->ops.ctx);
}

int64_t ike_wall(struct ike *ike)
{
	return ike->ops.wall_s ? ike->ops.wall_s(ike->ops.ctx) : (int64_t)time(NULL);
}

uint32_t ike_random32(struct ike *ike)
{
	uint32_t v;

	return ike->ops.random(ike->ops.ctx, &v, sizeof(v)) == 0 ? v : 0;
}

void message_digest(const uint8_t *msg, size_t len, uint8_t out[DIGEST_LEN])
{
	const struct view all = { msg, len };

	ike_hash(HASH_SHA256, &all, 1, out);
}

struct ike *ike_new(const struct ike_ops *ops, const struct ike_limits *limits)
{
	struct ike *ike = secret_alloc(sizeof(*ike)); /* it decrypts into itself */

	if (!ike)
		return NULL;
	ike->ops = *ops;
	if (limits)
		ike->limits = *limits;
	if (!ike->limits.half_open_max)
		ike->limits.half_open_max = 2048;
	if (!ike->limits.half_open_per_source)
		ike->limits.half_open_per_source = 16;
	if (!ike->limits.half_open_s)
		ike->limits.half_open_s = 30;
	if (!ike->limits.calls_per_second)
		ike->limits.calls_per_second = CALLS_PER_SECOND;
	TAILQ_INIT(&ike->peers);
	TAILQ_INIT(&ike->half_open);
	index_init(ike);
	fragment_init(ike);
	ike->bucket_seed = ike_random32(ike);
	return ike;
}

void engine_reap(struct ike *ike)
{
	struct exchange *x;
	struct isakmp_sa *sa;
	struct pair *pair;

	while ((x = SLIST_FIRST(&ike->dead_exchanges))) {
		SLIST_REMOVE_HEAD(&ike->dead_exchanges, dead_link);
		exchange_free(x);
	}
	while ((pair = SLIST_FIRST(&ike->dead_pairs))) {
		SLIST_REMOVE_HEAD(&ike->dead_pairs, dead_link);
		pair_free(pair);
	}
	while ((sa = SLIST_FIRST(&ike->dead_sas))) {
		SLIST_REMOVE_HEAD(&ike->dead_sas, dead_link);
		isakmp_sa_free(sa);
	}
}

void ike_free(struct ike *ike)
{
	struct peer *p;
	struct child *c;
	struct pair *pair;
	struct isakmp_sa *sa;
	struct job *job;

	if (!ike)
		return;
	ike->closing = true;
	TAILQ_FOREACH(p, &ike->peers, link) {
		TAILQ_FOREACH(c, &p->children, link)
			TAILQ_FOREACH(pair, &c->pairs, link)
				if (!pair->x)
					pair_kill(pair);
		TAILQ_FOREACH(sa, &p->sas, link)
			sa_kill(sa);
	}
	engine_reap(ike);
	while ((p = TAILQ_FIRST(&ike->peers)))
		peer_free(p);
	while ((job = LIST_FIRST(&ike->jobs)))
		job_free(ike, job);
	secret_free(ike, sizeof(*ike));
}

size_t ike_objects(const struct ike *ike)
{
	return ike->bytes;
}

/* ---------------------------------------------------------------------------- messages ------ */

/* Another version of IKE, or an exchange that we do not have, as the first message of a peer or as the
 * answer to ours. Says so, and no more: nothing of it is authenticated. */
static void input_foreign(struct ike *ike, struct inmsg *m)
{
	struct isakmp_sa *sa = sa_find(ike, m->hdr.icookie, m->hdr.rcookie);
	struct peer *peer = peer_by_path(ike, m->path, 0);
	uint64_t now = ike_now(ike);
	struct ike_diagnosis d;

	ike->totals.dropped++;
	if (sa) {
		informational_hint(sa, (struct ike_hint){ .version = m->hdr.version,
							  .exchange = m->hdr.exchange });
		return;
	}
	if (!peer || peer->down || now < peer->foreign_at || !complaint_allowed(ike))
		return;
	peer->foreign_at = now + FOREIGN_US;
	diag_exchange(&d, peer, m->path, m->hdr.version, m->hdr.exchange);
	peer_diagnosis(peer, NULL, NULL, &d);
	if (m->hdr.version >> 4 == ISAKMP_VERSION >> 4)
		info_clear_notify(ike, m->path, m->hdr.icookie, m->hdr.rcookie,
				  N_UNSUPPORTED_EXCHANGE_TYPE);
}

/* No responder cookie yet: message 1 of phase 1, new or repeated, or an error about ours. */
static void input_first(struct ike *ike, struct inmsg *m)
{
	struct isakmp_sa *sa = sa_find_first(ike, m->hdr.icookie, m->path);
	struct peer *peer;

	if (m->hdr.exchange == EXCH_INFORMATIONAL) {
		sa = sa_find(ike, m->hdr.icookie, m->hdr.rcookie);
		if (sa)
			informational_clear(sa, m);
		return;
	}
	if (!exchange_is_phase1(m->hdr.exchange) || m->hdr.msgid != 0 || ike->closing)
		goto drop;
	if (sa) {
		struct exchange *x = exchange_find(sa, m->hdr.exchange, 0);
		if (x)
			exchange_receive(x, m);
		return;
	}
	/* before anything is parsed: a flood costs no more than this */
	if (half_open_full(ike, &m->path->remote))
		return;
	peer = peer_by_path(ike, m->path, m->hdr.exchange);
	if (!peer) {
		input_foreign(ike, m);
		return;
	}
	if (!peer->down) {
		phase1_respond(peer, m);
		return;
	}
	ike_note(ike, peer, NULL, "%s from %s ignored: it is down by command",
		 exchange_name(m->hdr.exchange), peer->cfg.name);
drop:
	ike->totals.dropped++;
}

/* One that was replaced, or that has made its last Quick Mode, answers as long as it is there. */
static bool sa_answers(const struct isakmp_sa *sa, uint32_t msgid)
{
	return (sa->state == IKE_SA_ESTABLISHED || sa->state == IKE_SA_REKEYED) && !sa->used_up &&
	       msgid != 0 && !sa_msgid_used(sa, msgid);
}

static void input_quick(struct isakmp_sa *sa, struct inmsg *m)
{
	struct exchange *x = exchange_find(sa, EXCH_QUICK, m->hdr.msgid);

	/* whoever goes on has got the good news; only its acknowledgement was lost */
	if (sa->locked && sa->access->proved && access_is_server(sa->peer))
		access_done(sa);
	if (sa->locked) {
		ike_note(sa->ike, sa->peer, sa,
			 "Quick Mode of %s dropped: it has not said its user yet",
			 sa->peer->cfg.name);
		sa->ike->totals.dropped++;
	} else if (x)
		exchange_receive(x, m);
	else if (sa_answers(sa, m->hdr.msgid))
		quick_mode_respond(sa, m);
	else
		sa->ike->totals.dropped++;
}

static void input_transaction(struct isakmp_sa *sa, struct inmsg *m)
{
	struct exchange *x = exchange_find(sa, EXCH_TRANSACTION, m->hdr.msgid);

	if (x)
		exchange_receive(x, m);
	else if (sa_answers(sa, m->hdr.msgid))
		transaction_respond(sa, m);
	else
		sa->ike->totals.dropped++;
}

static void input_known(struct isakmp_sa *sa, struct inmsg *m)
{
	bool encrypted = m->hdr.flags & ISAKMP_FLAG_ENC;
	struct exchange *x;

	sa->heard_natt |= m->path->local_port == 4500;
	if (encrypted && sa->half_open && sa->phase1 == EXCH_AGGRESSIVE &&
	    (m->hdr.exchange == EXCH_QUICK || m->hdr.exchange == EXCH_TRANSACTION)) {
		aggressive_early(sa, m);
		return;
	}
	switch (m->hdr.exchange) {
	case EXCH_IDENTITY_PROTECTION:
	case EXCH_AGGRESSIVE:
		x = exchange_find(sa, m->hdr.exchange, 0);
		if (x && m->hdr.msgid == 0)
			exchange_receive(x, m);
		else
			sa->ike->totals.dropped++;
		return;
	case EXCH_QUICK:
		input_quick(sa, m);
		return;
	case EXCH_TRANSACTION:
		input_transaction(sa, m);
		return;
	case EXCH_INFORMATIONAL:
		if (sa->established_us && encrypted && m->hdr.msgid != 0)
			informational_receive(sa, m);
		else
			informational_clear(sa, m);
		return;
	default:
		sa->ike->totals.dropped++;
	}
}

static bool cookie_is_zero(const uint8_t *cookie)
{
	static const uint8_t zero[ISAKMP_COOKIE_LEN];

	return memcmp(cookie, zero, sizeof(zero)) == 0;
}

/* One message, whole. */
static void input_message(struct ike *ike, struct inmsg *m, bool other)
{
	struct isakmp_sa *sa;

	ike->totals.messages_in++;
	m->list.n = 0;
	if (other) {
		input_foreign(ike, m);
	} else if (cookie_is_zero(m->hdr.rcookie)) {
		input_first(ike, m);
	} else {
		sa = sa_find(ike, m->hdr.icookie, m->hdr.rcookie);
		if (sa)
			input_known(sa, m);
		else
			ike->totals.dropped++;
	}
}

/* A piece of one; the last that was missing brings the whole. */
static void input_fragment(struct ike *ike, struct inmsg *m)
{
	bool first = cookie_is_zero(m->hdr.rcookie);
	struct isakmp_sa *sa = first ? NULL : sa_find(ike, m->hdr.icookie, m->hdr.rcookie);
	struct buf whole = { 0 };

	if (!first && !sa) {
		ike->totals.fragments_in++;
		ike->totals.fragments_dropped++;
		return;
	}
	if (!fragment_input(ike, sa, m, &whole))
		return;
	isakmp_hdr_parse(whole.p, whole.len, &m->hdr);
	m->raw = (struct view){ whole.p, whole.len };
	input_message(ike, m, false);
	buf_free(ike, &whole);
}

void ike_input(struct ike *ike, const struct ike_path *path, const uint8_t *msg, size_t len)
{
	struct inmsg *m = &ike->in;
	int rc = isakmp_hdr_parse(msg, len, &m->hdr);
	bool other = rc == -EPROTONOSUPPORT;

	if ((rc != 0 && !other) || len > IKE_MAX_MESSAGE || cookie_is_zero(m->hdr.icookie)) {
		ike->totals.messages_in++;
		ike->totals.dropped++;
		return;
	}
	m->path = path;
	m->raw = (struct view){ msg, m->hdr.length };
	if (m->hdr.next == PL_FRAGMENT && !other)
		input_fragment(ike, m);
	else
		input_message(ike, m, other);
	engine_reap(ike);
}

/* ------------------------------------------------------------------------------ timers ------ */

#define TIMERS_MAX 64 /* of one call: what is due for ten thousand peers at once must not hold up messages */

uint64_t ike_next_timer(struct ike *ike)
{
	return timer_next(&ike->timers);
}

void ike_run_timers(struct ike *ike)
{
	uint64_t now = ike_now(ike);
	struct timer *t;

	for (unsigned i = 0; i < TIMERS_MAX && (t = timer_pop(&ike->timers, now)); i++) {
		t->fn(t->arg);
		engine_reap(ike);
	}
}

/* --------------------------------------------------------------------- what packets want ---- */

void ike_acquire(struct ike *ike, uint32_t policy)
{
	struct child *c = NULL;

	while ((c = child_next_of(ike, policy, c))) {
		if ((c->cfg.start != START_ON_DEMAND && !c->idle) || !child_missing(c, 0))
			continue;
		c->down = c->peer->down = false;
		c->wanted = true;
		peer_kick(c->peer);
	}
}

/* The peer sends under an SPI that we do not have: it does not know that we lost it. Under an
 * ISAKMP SA it can be told; without one, a new one with INITIAL-CONTACT tells it. Then it has nothing
 * left to send with, and perhaps nothing that makes it ask for more: what may come up on demand is in
 * demand, for an unknown SPI does not say which child it was. */
void ike_bad_spi(struct ike *ike, const struct ip_addr *remote, uint32_t spi)
{
	uint64_t now = ike_now(ike);
	static const struct ip_addr any = { .family = IP_NONE };
	struct peer *p, *caller = NULL;
	struct isakmp_sa *sa;
	struct child *c;
	uint8_t raw[4] = { (uint8_t)(spi >> 24), (uint8_t)(spi >> 16), (uint8_t)(spi >> 8),
			   (uint8_t)spi };

	p = peer_next_at(ike, remote, NULL);
	sa = p ? peer_sa(p) : NULL;
	while (!p && (caller = peer_next_at(ike, &any, caller))) {
		sa = peer_sa(caller);
		if (sa && ip_addr_equal(&sa->path.remote, remote))
			p = caller;
	}
	if (!p || ike->closing || p->down || now < p->bad_spi_at)
		return;
	p->bad_spi_at = now + BAD_SPI_US;
	if (sa) {
		info_notify(sa, PROTO_ESP, N_INVALID_SPI, raw, sizeof(raw), raw, sizeof(raw));
	} else {
		ike_note(ike, p, NULL, "%s uses SPI %08x, which we do not have", p->cfg.name, spi);
		p->want_phase1 = true;
		TAILQ_FOREACH(c, &p->children, link)
			c->wanted |= c->cfg.start == START_ON_DEMAND && child_missing(c, 0);
		peer_kick(p);
	}
	engine_reap(ike);
}
