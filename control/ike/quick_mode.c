/* Quick Mode, both roles (RFC 2409 section 5.5):
 *
 *   initiator                                     responder
 *   1  HDR*, HASH(1), SA, Ni [, KE] [, IDci, IDcr]  -->
 *                                  <--  2  HDR*, HASH(2), SA, Nr [, KE] [, IDci, IDcr]
 *   3  HDR*, HASH(3)               -->
 *
 * Make before break: the responder's inbound SA stands before message 2 leaves, the initiator's
 * before message 3 does; each side sends through the new pair only afterwards. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bytes.h"
#include "diagnose.h"
#include "quick_mode.h"
#include "secret.h"

#define WHY_LEN 300

static uint32_t phase2_life(const struct child *child)
{
	return child->cfg.life_s ? child->cfg.life_s : 3600;
}

struct esp_policy qm_policy(const struct exchange *x, const struct child *child)
{
	return (struct esp_policy){ .t = child->cfg.esp,
				    .n = child->cfg.n_esp,
				    .encap = natt_encap(x->sa, child->cfg.mode),
				    .group = child->cfg.n_esp ? child->cfg.esp[0].group : 0,
				    .life_s = phase2_life(child),
				    .life_kb = child->cfg.life_kb };
}

void qm_no_memory(struct exchange *x)
{
	exchange_fail(x, 0, "Quick Mode with %s: out of memory or no free SA slot",
		      x->sa->peer->cfg.name);
}

int qm_nonce(struct exchange *x, struct buf *nonce)
{
	uint8_t n[IKE_NONCE_OURS];
	struct ike *ike = x->ike;

	if (ike->ops.random(ike->ops.ctx, n, sizeof(n)) != 0)
		return -EIO;
	return buf_set(ike, nonce, n, sizeof(n));
}

/* ------------------------------------------------------------------------------ hashes ------ */

/* The raw bytes that follow the HASH payload. */
static struct view after_hash(const struct inmsg *m)
{
	size_t skip = m->list.p[0].raw.len;

	return (struct view){ m->plain.p + skip, m->list.used - skip };
}

int qm_verify_hash(struct exchange *x, const struct inmsg *m)
{
	const struct step *s = step_find(x->type, x->initiator, x->step);
	const struct ike_keys *k = x->sa->keys;
	struct view got = need(m, PL_HASH)->body;
	uint8_t want[HASH_MAX_LEN];
	int rc;

	if (s->hash == STEP_HASH1)
		rc = ike_hash1(k, x->msgid, after_hash(m), want);
	else if (s->hash == STEP_HASH2)
		rc = ike_hash2(k, x->msgid, buf_view(&x->ni), after_hash(m), want);
	else
		rc = ike_hash3(k, x->msgid, buf_view(&x->ni), buf_view(&x->nr), want);
	if (rc == 0 && got.len == k->prf_len && secret_equal(got.p, want, got.len))
		return 0;
	ike_note(x->ike, x->sa->peer, x->sa, "%s dropped: its hash does not verify", s->name);
	return -EBADMSG;
}

/* ------------------------------------------------------------------------------- sending ---- */

/* Fills in HASH(1) or HASH(2) over everything behind it, and sends. */
static int qm_send(struct exchange *x, struct msgbuf *m, size_t hash_at, uint8_t next)
{
	const struct ike_keys *k = x->sa->keys;
	struct view rest = { m->buf + hash_at + k->prf_len, m->len - hash_at - k->prf_len };
	int rc;

	if (m->overflow)
		return -ENOSPC;
	rc = x->initiator ? ike_hash1(k, x->msgid, rest, m->buf + hash_at)
			  : ike_hash2(k, x->msgid, buf_view(&x->ni), rest, m->buf + hash_at);
	return rc != 0 ? rc : exchange_send(x, m, next);
}

static void qm_put_common(struct exchange *x, struct msgbuf *m)
{
	struct buf *nonce = x->initiator ? &x->ni : &x->nr;

	msg_payload(m, PL_NONCE, nonce->p, nonce->len);
	if (x->qm.group)
		msg_payload(m, PL_KE, dh_public(x->dh), group_info(x->qm.group)->public_len);
	if (x->qm.have_ids) {
		msg_payload(m, PL_ID, x->qm.id_i.p, x->qm.id_i.len);
		msg_payload(m, PL_ID, x->qm.id_r.p, x->qm.id_r.len);
	}
	if (x->sa->encap && x->qm.child->cfg.mode == SA_TRANSPORT)
		natt_oa_write(m, x->sa, x->initiator);
}

/* The identities of a selector, seen from the initiator (us). */
static int qm_set_ids(struct exchange *x, const struct pair *pair)
{
	static const struct ip_range all = { { .family = IP_V4 },
					     { .family = IP_V4, .b = { 255, 255, 255, 255 } } };
	const struct selector *sel = &pair->sel;
	struct ike_id i = ike_id_from_range(pair->everything ? &all : &sel->local, sel->proto,
					    sel->local_port);
	struct ike_id r = ike_id_from_range(&sel->remote, sel->proto, sel->remote_port);
	uint8_t body[4 + IKE_MAX_ID];
	size_t len = ike_id_write(&i, body, sizeof(body));

	if (buf_set(x->ike, &x->qm.id_i, body, len) != 0)
		return -ENOMEM;
	len = ike_id_write(&r, body, sizeof(body));
	x->qm.have_ids = true;
	return buf_set(x->ike, &x->qm.id_r, body, len);
}

static void qm_send_1(struct exchange *x, int rc)
{
	struct qm *q = &x->qm;
	struct esp_policy policy = qm_policy(x, q->child);
	struct msgbuf m;

	if (!esp_offer_possible(&policy)) {
		exchange_fail(x, 0, "%s has only AH proposals, and AH cannot pass the NAT on the way "
			      "to %s: add one for ESP", q->child->cfg.name, x->sa->peer->cfg.name);
		return;
	}
	if (rc != 0 || qm_nonce(x, &x->ni) != 0 || qm_set_ids(x, q->pair) != 0)
		goto failed;
	exchange_begin(x, &m, true);
	size_t hash_at = msg_reserve(&m, PL_HASH, x->sa->keys->prf_len);
	size_t sa_at = m.len + 4;
	esp_offer_write(&m, &policy, q->pair->ref.spi);
	if (m.overflow || buf_set(x->ike, &q->sa_body, m.buf + sa_at, m.len - sa_at) != 0)
		goto failed;
	qm_put_common(x, &m);
	if (q->indexed)
		pair_index_tell(&m, q->pair);
	if (qm_send(x, &m, hash_at, 0) == 0)
		return;
failed:
	qm_no_memory(x);
}

void quick_mode_start(struct isakmp_sa *sa, struct child *child, unsigned idx, uint32_t replaces)
{
	uint32_t msgid = sa_msgid_new(sa);
	struct exchange *x = msgid ? exchange_new(sa, EXCH_QUICK, true, msgid) : NULL;
	const struct pair *was;

	if (!x) {
		child_failed(child); /* so that it is tried again */
		return;
	}
	x->qm.child = child;
	x->qm.idx = idx;
	x->qm.replaces = replaces;
	x->qm.group = child->cfg.n_esp ? child->cfg.esp[0].group : 0;
	x->qm.pair = pair_new(child, idx, true, x);
	if (!x->qm.pair) {
		qm_no_memory(x);
		return;
	}
	x->qm.indexed = x->qm.pair->indexed = sa->peer_parallel;
	was = pair_find(sa->ike, replaces);
	x->qm.pair->everything = was && was->everything;
	ike_note(x->ike, sa->peer, sa, "Quick Mode for %s begins%s", child->cfg.name,
		 replaces ? " (rekey)" : "");
	if (!x->qm.group)
		qm_send_1(x, 0);
	else if (job_start(x, x->qm.group, qm_send_1) != 0)
		qm_no_memory(x);
}

/* What of our lifetimes is shorter than what was offered. */
static void qm_put_lifetime(const struct exchange *x, struct msgbuf *m)
{
	const struct qm *q = &x->qm;
	uint32_t s = phase2_life(q->child);
	uint64_t kb = q->child->cfg.life_kb;

	if (lifetime_shorter(q->choice.life_s, s) == q->choice.life_s)
		s = 0;
	if (lifetime_shorter(q->choice.life_kb, kb) == q->choice.life_kb)
		kb = 0;
	lifetime_tell(m, q->choice.t.ah ? PROTO_AH : PROTO_ESP, q->pair->ref.spi, s, kb);
}

static int qm_send_2(struct exchange *x)
{
	struct qm *q = &x->qm;
	const char *why;
	struct msgbuf m;

	if (sa_payload_parse(buf_view(&q->sa_body), &x->ike->offer, &why) != 0)
		return -EBADMSG;
	exchange_begin(x, &m, true);
	size_t hash_at = msg_reserve(&m, PL_HASH, x->sa->keys->prf_len);
	answer_write(&m, &x->ike->offer, q->choice.proposal, q->choice.transform, q->pair->ref.spi);
	qm_put_common(x, &m);
	qm_put_lifetime(x, &m);
	return qm_send(x, &m, hash_at, 1);
}

static int qm_send_3(struct exchange *x)
{
	const struct ike_keys *k = x->sa->keys;
	uint8_t hash[HASH_MAX_LEN];
	struct msgbuf m;
	int rc = ike_hash3(k, x->msgid, buf_view(&x->ni), buf_view(&x->nr), hash);

	if (rc != 0)
		return rc;
	exchange_begin(x, &m, true);
	msg_payload(&m, PL_HASH, hash, k->prf_len);
	return exchange_send(x, &m, STEP_NONE);
}

/* --------------------------------------------------------- what both roles do with keys ----- */

/* Everything is chosen and g^xy is there: derive, and put the inbound SA in place. */
static void qm_keyed(struct exchange *x, int rc)
{
	struct pair *pair = x->qm.pair;
	char t[TRANSFORM_STR_LEN];

	if (rc != 0) {
		exchange_fail(x, N_INVALID_KEY_INFORMATION,
			      "Quick Mode with %s: its public value is not usable",
			      x->sa->peer->cfg.name);
		return;
	}
	x->busy = true; /* until quick_mode_installed() */
	rc = pair_derive(pair, x);
	if (rc == 0)
		rc = pair_install(pair, SA_IN);
	if (rc == -ENOTSUP)
		exchange_fail(x, N_NO_PROPOSAL_CHOSEN,
			      "the data plane does not have %s in %s mode, which was agreed on with "
			      "%s: propose something else",
			      esp_transform_str(&pair->t, t, sizeof(t)),
			      pair->child->cfg.mode == SA_TUNNEL ? "tunnel" : "transport",
			      x->sa->peer->cfg.name);
	else if (rc != 0)
		exchange_fail(x, N_NO_PROPOSAL_CHOSEN,
			      "the data plane does not take the SA pair agreed on with %s",
			      x->sa->peer->cfg.name);
}

/* Outbound, and the exchange is over. */
static void qm_finish(struct exchange *x)
{
	struct qm *q = &x->qm;
	struct pair *pair = q->pair;
	uint32_t life = phase2_life(q->child);
	struct ike_diagnosis d;

	/* what the initiator offered, or what a RESPONDER-LIFETIME told it */
	if (diag_lifetime(&d, x->sa, q->child, q->choice.life_s, q->choice.life_kb))
		peer_diagnosis(x->sa->peer, q->child, x->sa, &d);

	if (q->choice.life_s && q->choice.life_s < life)
		life = q->choice.life_s;
	pair->x = NULL;
	q->pair = NULL;
	x->sa->quick_modes++;
	x->sa->peer->failures = 0;
	exchange_done(x);
	pair_established(pair, q->replaces, life);
}

/* The inbound SA stands: now the message that makes the peer send through it may leave. */
void quick_mode_installed(struct exchange *x)
{
	x->busy = false;
	if ((x->initiator ? qm_send_3(x) : qm_send_2(x)) != 0) {
		qm_no_memory(x);
		return;
	}
	if (x->initiator)
		qm_finish(x);
}

void qm_handle_3(struct exchange *x, const struct inmsg *m)
{
	(void)m; /* its hash was all */
	qm_finish(x);
}

/* Nonce and public value of the other side. Returns false after failing the exchange. */
bool qm_take(struct exchange *x, const struct inmsg *m, uint16_t group)
{
	struct view nonce = need(m, PL_NONCE)->body;
	const struct payload *ke = payload_find(&m->list, PL_KE, 0);
	const struct group_info *g = group ? group_info(group) : NULL;
	const char *name = x->sa->peer->cfg.name;

	if (nonce.len < IKE_NONCE_MIN || nonce.len > IKE_NONCE_MAX) {
		exchange_fail(x, N_PAYLOAD_MALFORMED, "Quick Mode with %s: nonce of %zu bytes",
			      name, nonce.len);
		return false;
	}
	if ((g != NULL) != (ke != NULL) || (g && ke->body.len != g->public_len)) {
		exchange_fail(x, N_INVALID_KEY_INFORMATION, "Quick Mode with %s: %s", name,
			      g ? "the public value for PFS is missing or has a wrong length"
				: "a public value came, but no PFS group was chosen");
		return false;
	}
	if (buf_set(x->ike, x->initiator ? &x->nr : &x->ni, nonce.p, nonce.len) != 0 ||
	    (ke && buf_set(x->ike, &x->peer_ke, ke->body.p, ke->body.len) != 0)) {
		qm_no_memory(x);
		return false;
	}
	return true;
}

void qm_compute(struct exchange *x, uint16_t group)
{
	if (!group)
		qm_keyed(x, 0);
	else if (job_start(x, group, qm_keyed) != 0)
		qm_no_memory(x);
}

/* ------------------------------------------------------------------------- initiator -------- */

/* What a pair of identities says, seen from the initiator; false: no addresses. */
static bool ids_selector(struct view id_i, struct view id_r, struct selector *out)
{
	struct ike_id i, r;

	if (ike_id_parse(id_i, &i) != 0 || ike_id_parse(id_r, &r) != 0 || i.proto != r.proto)
		return false;
	*out = (struct selector){ .proto = i.proto, .local_port = i.port, .remote_port = r.port };
	return ike_id_to_range(&i, &out->local) == 0 && ike_id_to_range(&r, &out->remote) == 0;
}

/* The peer's must be the selectors that we offered. Returns false after failing the exchange. */
static bool qm_same_selectors(struct exchange *x, const struct payload *id_i,
			      const struct payload *id_r)
{
	const struct child *child = x->qm.child;
	struct ike_diagnosis d;
	struct selector ours, theirs;

	if (!ids_selector(id_i->body, id_r->body, &theirs) ||
	    !ids_selector(buf_view(&x->qm.id_i), buf_view(&x->qm.id_r), &ours)) {
		exchange_fail(x, N_INVALID_ID_INFORMATION,
			      "the phase 2 identities that %s answered with are no addresses",
			      x->sa->peer->cfg.name);
		return false;
	}
	if (selector_equal(&ours, &theirs))
		return true;
	diag_narrowed(&d, x->sa, child, &theirs);
	exchange_diagnose(x, N_INVALID_ID_INFORMATION, &d);
	return false;
}

/* The last one that the SA may carry was its maker's, see qm_beyond_limit(). True after failing the
 * exchange, and telling the peer, in whose way its half of the pair would be. */
static bool qm_too_late(struct exchange *x)
{
	if (x->sa->initiator || !sa_quick_beyond(x->sa, true))
		return false;
	info_delete_pair(x->sa, x->qm.pair);
	exchange_fail(x, 0, "Quick Mode for %s gives way to one that %s began at the same time: one Main "
		      "Mode SA may carry %u", x->qm.child->cfg.name, x->sa->peer->cfg.name,
		      x->sa->peer->cfg.quick_limit);
	return true;
}

void qm_handle_2(struct exchange *x, const struct inmsg *m)
{
	struct qm *q = &x->qm;
	const struct payload *id_i = payload_find(&m->list, PL_ID, 0);
	const struct payload *id_r = payload_find(&m->list, PL_ID, 1);
	const char *name = x->sa->peer->cfg.name, *bad = NULL;
	struct esp_policy policy = qm_policy(x, q->child);
	char why[WHY_LEN] = "";

	if (qm_too_late(x))
		return;
	if (sa_payload_parse(buf_view(&q->sa_body), &x->ike->offer, &bad) != 0 ||
	    sa_payload_parse(need(m, PL_SA)->body, &x->ike->answer, &bad) != 0 ||
	    esp_answer_check(&x->ike->offer, &x->ike->answer, &q->choice, why, sizeof(why)) != 0) {
		exchange_fail(x, N_BAD_PROPOSAL_SYNTAX,
			      "the answer of %s to our phase 2 offer is not one of it: %s", name,
			      bad ? bad : why);
		return;
	}
	esp_answer_resolve(&policy, &q->choice);
	lifetime_read(&m->list, &q->choice);
	natt_oa_read(x, &m->list);
	if (id_i && id_r && !qm_same_selectors(x, id_i, id_r))
		return;
	if (qm_take(x, m, q->group))
		qm_compute(x, q->group);
}

/* ----------------------------------------------------------------------------- failures ----- */

void qm_timeout(struct exchange *x)
{
	struct isakmp_sa *sa = x->sa;
	const char *name = sa->peer->cfg.name;
	struct ike_diagnosis d;

	if (!x->initiator) {
		/* it may have sent message 3 and use the pair: tell it that we do not */
		if (x->qm.pair)
			info_delete_pair(sa, x->qm.pair);
		exchange_fail(x, 0, "Quick Mode message 3 of %s never came", name);
		return;
	}
	sa->stale = true; /* it may have lost this ISAKMP SA: the next try makes a new one */
	diag_quick_silent(&d, sa, x->qm.child, x->tries + 1);
	exchange_diagnose(x, 0, &d);
}

void qm_dropped(struct exchange *x)
{
	if (x->qm.pair) {
		x->qm.pair->x = NULL;
		pair_kill(x->qm.pair);
		x->qm.pair = NULL;
	}
	if (!x->done)
		peer_kick(x->sa->peer);
}

void quick_mode_refused(struct isakmp_sa *sa, const struct notify *n)
{
	struct exchange *x, *only = NULL;
	struct ike_diagnosis d;
	unsigned open = 0;

	TAILQ_FOREACH(x, &sa->exchanges, link) {
		if (x->dead || x->done || x->type != EXCH_QUICK || !x->initiator || !x->qm.pair)
			continue;
		open++;
		only = x;
		if (n->spi.len == 4 && get_u32(n->spi.p) == x->qm.pair->ref.spi) {
			open = 1;
			break;
		}
	}
	if (open != 1)
		return; /* nobody, or no telling whom it means: it will time out */
	/* where Quick Modes are limited the peer may have counted more of them than we: the next goes
	 * under a new Main Mode SA, at once */
	struct child *child = only->qm.child;
	bool beyond = n->type == N_NO_PROPOSAL_CHOSEN && sa->quick_modes &&
		      sa->quick_modes < sa->peer->cfg.quick_limit;
	if (beyond)
		sa->quick_modes = sa->peer->cfg.quick_limit;
	diag_quick_refused(&d, sa, only->qm.pair, n->type);
	exchange_diagnose(only, 0, &d);
	if (beyond) {
		child->retry_at = ike_now(sa->ike);
		peer_kick(sa->peer);
	}
}
