/* Informational exchanges (RFC 2408 section 4.8, RFC 2409 section 5.7, RFC 3706): DELETE, notifies,
 * dead peer detection. Only what is encrypted and hashed changes anything; the rest is at most a
 * hint in a sentence for people. Nothing here is ever answered with an error. */
#include <string.h>

#include "access.h"
#include "bytes.h"
#include "diagnose.h"
#include "secret.h"

/* ------------------------------------------------------------------------------- sending ---- */

/* HASH(1) | N/D under the SA. repeat: the same message again, later, because nobody acknowledges.
 */
static const struct buf *info_send(struct isakmp_sa *sa, uint8_t type, const uint8_t *body,
				   size_t len, bool repeat)
{
	uint32_t msgid = sa_msgid_new(sa);
	struct exchange *x = msgid ? exchange_new(sa, EXCH_INFORMATIONAL, true, msgid) : NULL;
	struct ike *ike = sa->ike;
	struct msgbuf m;

	if (!x)
		return NULL;
	exchange_begin(x, &m, true);
	size_t at = msg_reserve(&m, PL_HASH, sa->keys->prf_len);
	msg_payload(&m, type, body, len);
	size_t rest = at + sa->keys->prf_len;
	if (m.overflow ||
	    ike_hash1(sa->keys, msgid, (struct view){ m.buf + rest, m.len - rest }, m.buf + at) !=
		    0 ||
	    exchange_send(x, &m, STEP_NONE) != 0 || !repeat) {
		exchange_kill(x);
		return x->tx.len ? &x->tx : NULL;
	}
	timer_set(&ike->timers, &x->timer, ike_now(ike) + x->interval_us);
	return &x->tx;
}

const struct buf *info_notify(struct isakmp_sa *sa, uint8_t proto, uint16_t type, const void *spi,
			      size_t spi_len, const void *data, size_t data_len)
{
	uint8_t body[8 + IKE_MAX_SPI + 64];

	if (!sa->keys || spi_len > IKE_MAX_SPI || data_len > 64)
		return NULL;
	put_u32(body, DOI_IPSEC);
	body[4] = proto;
	body[5] = (uint8_t)spi_len;
	put_u16(body + 6, type);
	memcpy(body + 8, spi, spi_len);
	if (data_len)
		memcpy(body + 8 + spi_len, data, data_len);
	ike_note(sa->ike, sa->peer, sa, "%s sent", notify_name(type));
	return info_send(sa, PL_NOTIFY, body, 8 + spi_len + data_len, false);
}

static void info_delete(struct isakmp_sa *sa, uint8_t proto, const uint8_t *spi, uint8_t spi_len)
{
	uint8_t body[8 + IKE_MAX_SPI];

	put_u32(body, DOI_IPSEC);
	body[4] = proto;
	body[5] = spi_len;
	put_u16(body + 6, 1);
	memcpy(body + 8, spi, spi_len);
	info_send(sa, PL_DELETE, body, 8u + spi_len, true);
}

void info_delete_pair(struct isakmp_sa *sa, const struct pair *pair)
{
	uint8_t spi[4];

	put_u32(spi, pair->ref.spi);
	info_delete(sa, pair_proto(pair), spi, sizeof(spi));
}

void info_delete_sa(struct isakmp_sa *sa)
{
	uint8_t spi[2 * ISAKMP_COOKIE_LEN];

	memcpy(spi, sa->icookie, ISAKMP_COOKIE_LEN);
	memcpy(spi + ISAKMP_COOKIE_LEN, sa->rcookie, ISAKMP_COOKIE_LEN);
	info_delete(sa, PROTO_ISAKMP, spi, sizeof(spi));
}

void info_clear_notify(struct ike *ike, const struct ike_path *path, const uint8_t *icookie,
		       const uint8_t *rcookie, uint16_t type)
{
	struct isakmp_hdr h = { .version = ISAKMP_VERSION,
				.exchange = EXCH_INFORMATIONAL,
				.msgid = ike_random32(ike) };
	uint8_t buf[ISAKMP_HDR_LEN + 16];
	struct msgbuf m;

	memcpy(h.icookie, icookie, ISAKMP_COOKIE_LEN);
	memcpy(h.rcookie, rcookie, ISAKMP_COOKIE_LEN);
	msg_begin(&m, buf, sizeof(buf), &h);
	msg_open(&m, PL_NOTIFY);
	msg_put_u32(&m, DOI_IPSEC);
	msg_put_u8(&m, PROTO_ISAKMP);
	msg_put_u8(&m, 0);
	msg_put_u16(&m, type);
	msg_close(&m);
	if (msg_finish(&m) < 0)
		return;
	ike->totals.messages_out++;
	ike->ops.send(ike->ops.ctx, path, m.buf, m.len);
}

/* ----------------------------------------------------------------------------- receiving ---- */

void informational_receive(struct isakmp_sa *sa, struct inmsg *m)
{
	struct exchange *x;

	if (sa_msgid_used(sa, m->hdr.msgid)) { /* a duplicate, or replayed */
		sa->ike->totals.duplicates++;
		return;
	}
	x = exchange_new(sa, EXCH_INFORMATIONAL, false, m->hdr.msgid);
	if (!x)
		return;
	exchange_receive(x, m);
	exchange_kill(x);
}

static void info_dpd(struct isakmp_sa *sa, const struct notify *n)
{
	uint8_t spi[2 * ISAKMP_COOKIE_LEN];

	if (n->data.len != 4)
		return;
	if (n->type == N_DPD_ACK) {
		sa_dpd_ack(sa, get_u32(n->data.p));
		return;
	}
	memcpy(spi, sa->icookie, ISAKMP_COOKIE_LEN);
	memcpy(spi + ISAKMP_COOKIE_LEN, sa->rcookie, ISAKMP_COOKIE_LEN);
	info_notify(sa, PROTO_ISAKMP, N_DPD_ACK, spi, sizeof(spi), n->data.p, 4);
}

/* The SPI that a notify means: in its SPI field, or in its data. */
static uint32_t notify_spi(const struct notify *n)
{
	if (n->data.len == 4)
		return get_u32(n->data.p);
	return n->spi.len == 4 ? get_u32(n->spi.p) : 0;
}

/* The pair of this party that sends to that SPI of that protocol (0: of either). */
static struct pair *pair_out(struct isakmp_sa *sa, uint8_t proto, uint32_t spi)
{
	struct peer *peer = sa->peer;
	struct child *c;
	struct pair *p;

	TAILQ_FOREACH(c, &peer->children, link)
		TAILQ_FOREACH(p, &c->pairs, link)
			if (!p->dead && p->spi_out == spi &&
			    (proto == 0 || pair_proto(p) == proto) && access_owns(sa, p))
				return p;
	return NULL;
}

static void info_notified(struct isakmp_sa *sa, const struct notify *n)
{
	struct pair *pair;

	switch (n->type) {
	case N_DPD:
	case N_DPD_ACK:
		info_dpd(sa, n);
		return;
	case N_INITIAL_CONTACT:
		if (!access_contact(sa))
			peer_forget_before(sa->peer, sa->heard_us, sa);
		return;
	case N_RESPONDER_LIFETIME:
		lifetime_read_sa(sa, n);
		return;
	case N_INVALID_SPI:
		pair = pair_out(sa, 0, notify_spi(n));
		if (pair && pair->state != PAIR_NEW)
			pair_delete(pair, false, "the peer does not know its SPI");
		return;
	default:
		ike_note(sa->ike, sa->peer, sa, "%s says %s", sa->peer->cfg.name,
			 notify_name(n->type));
		if (n->type >= N_CONNECTED)
			return;
		if (n->type == N_AUTHENTICATION_FAILED && aggressive_refused(sa, n->type))
			return;
		if (n->type == N_AUTHENTICATION_FAILED || n->type == N_INVALID_ID_INFORMATION)
			main_mode_refused(sa, n->type);
		quick_mode_refused(sa, n);
	}
}

static void info_deleted(struct isakmp_sa *sa, const struct delete_payload *d)
{
	struct isakmp_sa *other;

	for (unsigned i = 0; i < d->n_spis && i < IKE_MAX_DELETE_SPIS; i++) {
		const uint8_t *spi = d->spis.p + (size_t)i * d->spi_len;
		if ((d->proto == PROTO_ESP || d->proto == PROTO_AH) && d->spi_len == 4) {
			struct pair *pair = pair_out(sa, d->proto, get_u32(spi));
			if (pair && pair->x) /* it overtook Quick Mode message 3 */
				exchange_kill(pair->x);
			else if (pair)
				pair_deleted(pair);
		} else if (d->proto == PROTO_ISAKMP && d->spi_len == 2 * ISAKMP_COOKIE_LEN) {
			other = sa_find(sa->ike, spi, spi + ISAKMP_COOKIE_LEN);
			if (other && other->peer == sa->peer && access_same_party(other, sa))
				sa_deleted(other);
		}
	}
}

void info_handle(struct exchange *x, const struct inmsg *m)
{
	struct isakmp_sa *sa = x->sa;
	struct delete_payload d;
	struct notify n;

	if (sa_msgid_use(sa, x->msgid) != 0)
		return;
	for (unsigned i = 0; i < m->list.n && !sa->dead; i++) {
		const struct payload *p = &m->list.p[i];
		if (p->type == PL_NOTIFY && notify_parse(p->body, &n) == 0) {
			info_notified(sa, &n);
		} else if (p->type == PL_DELETE && delete_parse(p->body, &d) == 0) {
			/* RFC 2408 section 3.15: nothing of the message counts after it */
			info_deleted(sa, &d);
			return;
		}
	}
}

/* The number of our phase 1 message that is not answered yet; 0: none. */
static unsigned awaits_answer(struct isakmp_sa *sa)
{
	struct exchange *x = exchange_phase1(sa);
	const struct step *s = x && !x->done ? step_find(x->type, x->initiator, x->step) : NULL;

	return s ? s->number - 1u : 0;
}

/* Its last message may say why ours does not please: an initiator's always; as a responder only that of
 * Aggressive Mode has proved something. */
static bool awaits_proof(const struct isakmp_sa *sa)
{
	return sa->state == IKE_SA_CONNECTING &&
	       (sa->initiator || sa->phase1 == EXCH_AGGRESSIVE);
}

void informational_hint(struct isakmp_sa *sa, struct ike_hint h)
{
	unsigned message = awaits_answer(sa);
	struct ike_diagnosis d;

	if (!awaits_proof(sa) || message == 0 ||
	    memcmp(&sa->hint, &h, sizeof(h)) == 0 || sa->hint.proved)
		return; /* said before, or less than what is known */
	if (!sa->initiator && !complaint_allowed(sa->ike))
		return;
	sa->hint = h;
	diag_phase1_stop(&d, sa, message, 0);
	peer_diagnosis(sa->peer, NULL, sa, &d);
}

/* The first error in it, or 0. */
static uint16_t error_in(const struct payload_list *l)
{
	const struct payload *p;
	struct notify n;

	for (unsigned k = 0; (p = payload_find(l, PL_NOTIFY, k)); k++)
		if (notify_parse(p->body, &n) == 0 && n.type < N_CONNECTED)
			return n.type;
	return 0;
}

/* A peer that does not like message 5 has all the keys already: its notify is encrypted, and carries a
 * hash that only somebody can make who knows the secret. So it tells a wrong secret from a wrong
 * identity. The IV starts at the last block of Main Mode so far, which is our message 5's. */
static bool hint_open(struct isakmp_sa *sa, const struct inmsg *m, struct ike_hint *h)
{
	struct exchange *x = exchange_phase1(sa);
	size_t len = m->hdr.length - ISAKMP_HDR_LEN;
	uint8_t *plain = sa->ike->plain, iv[IKE_MAX_BLOCK], want[HASH_MAX_LEN];
	struct payload_list *l = &sa->ike->in.list;
	const struct payload *hash;
	const char *why;

	if (!x || !sa->keys || m->hdr.msgid == 0 || len == 0 || len > sizeof(sa->ike->plain))
		return false;
	memcpy(plain, m->raw.p + ISAKMP_HDR_LEN, len);
	if (ike_phase2_iv(sa->keys, x->iv, m->hdr.msgid, iv) != 0 ||
	    ike_decrypt(sa->keys, iv, plain, len) != 0 ||
	    payload_list_parse(m->hdr.next, plain, len, l, &why) != 0 || l->n < 2 ||
	    l->p[0].type != PL_HASH)
		return false;
	hash = &l->p[0];
	if (hash->body.len != sa->keys->prf_len ||
	    ike_hash1(sa->keys, m->hdr.msgid,
		      (struct view){ plain + hash->raw.len, l->used - hash->raw.len }, want) != 0 ||
	    !secret_equal(hash->body.p, want, hash->body.len))
		return false;
	*h = (struct ike_hint){ .proved = true, .notify = error_in(l) };
	return true;
}

/* During phase 1, or under an SA that cannot decrypt it: anybody may have written it. */
void informational_clear(struct isakmp_sa *sa, struct inmsg *m)
{
	struct ike_hint h = { 0 };
	const char *why;

	if (!awaits_proof(sa))
		return;
	if (m->hdr.flags & ISAKMP_FLAG_ENC) {
		h.unreadable = !hint_open(sa, m, &h);
	} else {
		if (payload_list_parse(m->hdr.next, m->raw.p + ISAKMP_HDR_LEN,
				       m->hdr.length - ISAKMP_HDR_LEN, &m->list, &why) != 0)
			return;
		h.notify = error_in(&m->list);
	}
	if (h.unreadable || h.notify)
		informational_hint(sa, h);
}
