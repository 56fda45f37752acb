/* Informational exchanges (RFC 2408 section 4.8, RFC 2409 section 5.7, RFC 3706): DELETE, notifies,
 * dead peer detection. Only what is encrypted and hashed changes anything; the rest is at most a
 * hint in a sentence for people. Nothing here is ever answered with an error. */
#include <stdio.h>
#include <string.h>

#include "bytes.h"
#include "exchange.h"

/* ------------------------------------------------------------------------------- sending ---- */

/* HASH(1) | N/D under the SA. repeat: the same message again, later, because nobody acknowledges.
 */
static void info_send(struct isakmp_sa *sa, uint8_t type, const uint8_t *body, size_t len,
		      bool repeat)
{
	uint32_t msgid = sa_msgid_new(sa);
	struct exchange *x = msgid ? exchange_new(sa, EXCH_INFORMATIONAL, true, msgid) : NULL;
	struct ike *ike = sa->ike;
	struct msgbuf m;

	if (!x)
		return;
	exchange_begin(x, &m, true);
	size_t at = msg_reserve(&m, PL_HASH, sa->keys->prf_len);
	msg_payload(&m, type, body, len);
	size_t rest = at + sa->keys->prf_len;
	if (m.overflow ||
	    ike_hash1(sa->keys, msgid, (struct view){ m.buf + rest, m.len - rest }, m.buf + at) !=
		    0 ||
	    exchange_send(x, &m, STEP_NONE) != 0 || !repeat) {
		exchange_kill(x);
		return;
	}
	timer_set(&ike->timers, &x->timer, ike_now(ike) + x->interval_us);
}

void info_notify(struct isakmp_sa *sa, uint8_t proto, uint16_t type, const void *spi,
		 size_t spi_len, const void *data, size_t data_len)
{
	uint8_t body[8 + IKE_MAX_SPI + 64];

	if (!sa->keys || spi_len > IKE_MAX_SPI || data_len > 64)
		return;
	put_u32(body, DOI_IPSEC);
	body[4] = proto;
	body[5] = (uint8_t)spi_len;
	put_u16(body + 6, type);
	memcpy(body + 8, spi, spi_len);
	if (data_len)
		memcpy(body + 8 + spi_len, data, data_len);
	ike_note(sa->ike, sa->peer, sa, "%s sent", notify_name(type));
	info_send(sa, PL_NOTIFY, body, 8 + spi_len + data_len, false);
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

/* The pair of this peer that sends to that SPI of that protocol (0: of either). */
static struct pair *peer_pair_out(struct peer *peer, uint8_t proto, uint32_t spi)
{
	struct child *c;
	struct pair *p;

	TAILQ_FOREACH(c, &peer->children, link)
		TAILQ_FOREACH(p, &c->pairs, link)
			if (!p->dead && p->spi_out == spi && (proto == 0 || pair_proto(p) == proto))
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
		peer_forget_before(sa->peer, sa->heard_us, sa);
		return;
	case N_RESPONDER_LIFETIME:
		lifetime_read_sa(sa, n);
		return;
	case N_INVALID_SPI:
		pair = peer_pair_out(sa->peer, 0, notify_spi(n));
		if (pair && pair->state != PAIR_NEW)
			pair_delete(pair, false, "the peer does not know its SPI");
		return;
	default:
		ike_note(sa->ike, sa->peer, sa, "%s says %s", sa->peer->cfg.name,
			 notify_name(n->type));
		if (n->type < N_CONNECTED)
			quick_mode_refused(sa, n);
	}
}

static void info_deleted(struct isakmp_sa *sa, const struct delete_payload *d)
{
	struct isakmp_sa *other;

	for (unsigned i = 0; i < d->n_spis && i < IKE_MAX_DELETE_SPIS; i++) {
		const uint8_t *spi = d->spis.p + (size_t)i * d->spi_len;
		if ((d->proto == PROTO_ESP || d->proto == PROTO_AH) && d->spi_len == 4) {
			struct pair *pair = peer_pair_out(sa->peer, d->proto, get_u32(spi));
			if (pair && pair->x) /* it overtook Quick Mode message 3 */
				exchange_kill(pair->x);
			else if (pair)
				pair_deleted(pair);
		} else if (d->proto == PROTO_ISAKMP && d->spi_len == 2 * ISAKMP_COOKIE_LEN) {
			other = sa_find(sa->ike, spi, spi + ISAKMP_COOKIE_LEN);
			if (other && other->peer == sa->peer)
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

/* What an unauthenticated notify means for Main Mode: a hint in a sentence, and nothing else. */
static void hint(struct isakmp_sa *sa, bool readable, uint16_t type)
{
	const struct ike_peer_cfg *cfg = &sa->peer->cfg;
	char offer[200], text[sizeof(sa->hint)];

	if (readable)
		snprintf(text, sizeof(text), "it says, unauthenticated, %s", notify_name(type));
	else
		snprintf(text, sizeof(text), "it sent an encrypted notify that we cannot read");
	if (strcmp(text, sa->hint) == 0)
		return; /* said before */
	snprintf(sa->hint, sizeof(sa->hint), "%s", text);
	if (sa->keys && sa->auth != AUTH_PSK)
		peer_error(
			sa->peer, sa,
			"Main Mode with %s does not go on after message 5: %s; it may not accept "
			"our certificate or identity",
			cfg->name, sa->hint);
	else if (sa->keys)
		peer_error(sa->peer, sa,
			   "Main Mode with %s does not go on after message 5: %s; probable "
			   "pre-shared key mismatch with %s (secret %s)",
			   cfg->name, sa->hint, cfg->name, cfg->psk_name);
	else
		peer_error(sa->peer, sa, "Main Mode with %s does not go on: %s; we offered %s",
			   cfg->name, sa->hint, ike_offer_text(cfg, offer, sizeof(offer)));
}

/* During Main Mode, or under an SA that cannot decrypt it: anybody may have written it. */
void informational_clear(struct isakmp_sa *sa, struct inmsg *m)
{
	struct notify n;
	const struct payload *p;
	const char *why;

	if (sa->state != IKE_SA_CONNECTING || !sa->initiator)
		return;
	if (m->hdr.flags & ISAKMP_FLAG_ENC) {
		hint(sa, false, 0);
		return;
	}
	if (payload_list_parse(m->hdr.next, m->raw.p + ISAKMP_HDR_LEN,
			       m->hdr.length - ISAKMP_HDR_LEN, &m->list, &why) != 0)
		return;
	p = payload_find(&m->list, PL_NOTIFY, 0);
	if (p && notify_parse(p->body, &n) == 0 && n.type < N_CONNECTED)
		hint(sa, true, n.type);
}
