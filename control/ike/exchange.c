/* The driver of every exchange: what is the same for all of them. */
#include "exchange.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bytes.h"
#include "diagnose.h"
#include "fragment.h"
#include "secret.h"

static void exchange_timer(void *arg);

struct exchange *exchange_new(struct isakmp_sa *sa, uint8_t type, bool initiator, uint32_t msgid)
{
	struct ike *ike = sa->ike;
	struct exchange *x = ike_secret_alloc(ike, sizeof(*x));

	if (!x)
		return NULL;
	x->ike = ike;
	x->sa = sa;
	x->type = type;
	x->initiator = initiator;
	x->msgid = msgid;
	x->started_us = ike_now(ike);
	timer_init(&x->timer, exchange_timer, x);
	if (!exchange_is_phase1(type) &&
	    ike_phase2_iv(sa->keys, sa->last_block, msgid, x->iv) != 0) {
		ike_secret_dealloc(ike, x, sizeof(*x));
		return NULL;
	}
	TAILQ_INSERT_TAIL(&sa->exchanges, x, link);
	return x;
}

struct exchange *exchange_find(struct isakmp_sa *sa, uint8_t type, uint32_t msgid)
{
	struct exchange *x;

	TAILQ_FOREACH(x, &sa->exchanges, link)
		if (!x->dead && x->type == type && x->msgid == msgid)
			return x;
	return NULL;
}

struct exchange *exchange_phase1(struct isakmp_sa *sa)
{
	return exchange_find(sa, sa->phase1, 0);
}

/* What only the negotiation itself needed. */
static void exchange_forget(struct exchange *x)
{
	struct ike *ike = x->ike;

	buf_free(ike, &x->ni);
	buf_free(ike, &x->nr);
	buf_free(ike, &x->peer_ke);
	buf_free(ike, &x->sai);
	buf_free(ike, &x->am.id);
	buf_free(ike, &x->am.hash);
	buf_free(ike, &x->gss_name);
	buf_free(ike, &x->gss_token);
	buf_free(ike, &x->qm.sa_body);
	buf_free(ike, &x->qm.id_i);
	buf_free(ike, &x->qm.id_r);
	buf_wipe(ike, &x->gxy);
	dh_free(x->dh);
	x->dh = NULL;
	auth_work_free(ike, x->work);
	x->work = NULL;
	user_work_free(ike, x->users);
	x->users = NULL;
}

void exchange_kill(struct exchange *x)
{
	if (x->dead)
		return;
	x->dead = true;
	timer_cancel(&x->ike->timers, &x->timer);
	if (x->job)
		job_abandon(x->job);
	if (x->type == EXCH_QUICK)
		qm_dropped(x);
	SLIST_INSERT_HEAD(&x->ike->dead_exchanges, x, dead_link);
}

void exchange_free(struct exchange *x)
{
	TAILQ_REMOVE(&x->sa->exchanges, x, link);
	exchange_forget(x);
	buf_free(x->ike, &x->am.early);
	buf_free(x->ike, &x->tx);
	ike_secret_dealloc(x->ike, x, sizeof(*x));
}

void exchange_done(struct exchange *x)
{
	struct ike *ike = x->ike;

	x->done = true;
	x->busy = false;
	exchange_forget(x);
	timer_set(&ike->timers, &x->timer, ike_now(ike) + LINGER_US);
}

/* ----------------------------------------------------------------------------- sending ------ */

void exchange_begin(struct exchange *x, struct msgbuf *m, bool encrypted)
{
	struct isakmp_hdr h = { .version = ISAKMP_VERSION,
				.exchange = x->type,
				.flags = encrypted ? ISAKMP_FLAG_ENC : 0,
				.msgid = x->msgid };

	memcpy(h.icookie, x->sa->icookie, ISAKMP_COOKIE_LEN);
	memcpy(h.rcookie, x->sa->rcookie, ISAKMP_COOKIE_LEN);
	msg_begin(m, x->ike->out, sizeof(x->ike->out), &h);
}

void exchange_repeat(struct exchange *x)
{
	struct ike *ike = x->ike;

	ike->totals.messages_out++;
	if (x->tx.p[19] & ISAKMP_FLAG_ENC)
		sa_count(x->sa, x->tx.len);
	fragment_send(x->sa, &x->tx, x->fragment_id);
}

static void exchange_arm(struct exchange *x)
{
	const struct step *s = step_find(x->type, x->initiator, x->step);
	struct timer_heap *h = &x->ike->timers;

	x->tries = 0;
	x->interval_us = retry_ms(x->sa->peer) * 1000ull;
	if (s && s->retransmit)
		timer_set(h, &x->timer, ike_now(x->ike) + x->interval_us);
	else
		timer_cancel(h, &x->timer);
}

int exchange_send(struct exchange *x, struct msgbuf *m, uint8_t next)
{
	bool encrypted = m->buf[19] & ISAKMP_FLAG_ENC;
	int rc;

	if (encrypted)
		msg_pad(m, x->sa->keys->block_len);
	rc = msg_finish(m);
	if (rc < 0)
		return rc;
	if (encrypted) {
		rc = ike_encrypt(x->sa->keys, x->iv, m->buf + ISAKMP_HDR_LEN,
				 m->len - ISAKMP_HDR_LEN);
		if (rc != 0)
			return rc;
	}
	rc = buf_set(x->ike, &x->tx, m->buf, m->len);
	if (rc != 0)
		return rc;
	x->fragment_id = ++x->sa->fragment_ids;
	x->step = next;
	x->replies = 0;
	x->busy = false;
	exchange_repeat(x);
	exchange_arm(x);
	return 0;
}

static void exchange_timeout(struct exchange *x)
{
	const struct step *s = step_find(x->type, x->initiator, x->step);

	if (exchange_is_phase1(x->type))
		mm_timeout(x, s);
	else if (x->type == EXCH_QUICK)
		qm_timeout(x);
	else if (x->type == EXCH_TRANSACTION)
		tx_timeout(x);
	else
		exchange_kill(x);
}

static void exchange_timer(void *arg)
{
	struct exchange *x = arg;
	struct ike *ike = x->ike;
	unsigned most = x->type == EXCH_INFORMATIONAL ? BLIND_REPEATS : retry_count(x->sa->peer);

	if (x->dead)
		return;
	if (x->done && x->am.early.len) {
		am_replay(x);
		return;
	}
	if (x->done) {
		exchange_kill(x);
		return;
	}
	if (x->tries >= most) {
		exchange_timeout(x);
		return;
	}
	x->tries++;
	x->interval_us *= 2;
	ike->totals.retransmits++;
	exchange_repeat(x);
	timer_set(&ike->timers, &x->timer, ike_now(ike) + x->interval_us);
}

/* --------------------------------------------------------------------------- receiving ------ */

/* Answers a duplicate of the newest message with the stored reply, a limited number of times; an
 * older one is not worth an answer. True when it was a duplicate. */
static bool exchange_duplicate(struct exchange *x, const uint8_t *digest)
{
	for (unsigned i = 0; i < x->n_seen; i++) {
		if (memcmp(x->seen[i], digest, DIGEST_LEN) != 0)
			continue;
		x->ike->totals.duplicates++;
		if (i + 1 == x->n_seen && x->tx.p && !x->busy && x->replies < REPLIES_MAX) {
			x->replies++;
			x->ike->totals.retransmits++;
			exchange_repeat(x);
		}
		return true;
	}
	return false;
}

static bool same_remote(const struct ike_path *a, const struct ike_path *b)
{
	return ip_addr_equal(&a->remote, &b->remote) && a->remote_port == b->remote_port;
}

/* Copies the body to ike->plain and decrypts it there with a pending IV. */
static int message_open(struct exchange *x, const struct step *s, struct inmsg *m, uint8_t *iv,
			const char **why)
{
	struct ike *ike = x->ike;
	size_t len = m->hdr.length - ISAKMP_HDR_LEN;

	if (len > sizeof(ike->plain)) {
		*why = "it is too long";
		return -EBADMSG;
	}
	memcpy(ike->plain, m->raw.p + ISAKMP_HDR_LEN, len);
	memcpy(iv, x->iv, IKE_MAX_BLOCK);
	if ((m->hdr.flags & ISAKMP_FLAG_ENC) && (len == 0 || ike_decrypt(x->sa->keys, iv, ike->plain, len) != 0)) {
		*why = "its length is not a whole number of cipher blocks";
		return -EBADMSG;
	}
	m->plain = (struct view){ ike->plain, len };
	if (payload_list_parse(m->hdr.next, ike->plain, len, &m->list, why) != 0)
		return -EBADMSG;
	return step_check(s, &m->list, why);
}

static bool step_admits(struct exchange *x, const struct step *s, const struct inmsg *m)
{
	bool encrypted = m->hdr.flags & ISAKMP_FLAG_ENC;

	if ((encrypted != s->encrypted && !s->or_clear) || (encrypted && !x->sa->keys))
		return false;
	/* nothing authenticates an address before the hash does: it must not move until then */
	return (encrypted && s->hash != STEP_NO_HASH) || same_remote(m->path, &x->sa->path);
}

void exchange_receive(struct exchange *x, struct inmsg *m)
{
	struct ike *ike = x->ike;
	uint8_t digest[DIGEST_LEN], iv[IKE_MAX_BLOCK];
	const char *why = "";

	message_digest(m->raw.p, m->hdr.length, digest);
	if (exchange_duplicate(x, digest))
		return;
	const struct step *s = step_find(x->type, x->initiator, x->step);
	if (!s || x->done || x->busy || x->n_seen == SEEN_MAX || !step_admits(x, s, m)) {
		ike->totals.dropped++;
		return;
	}
	if (message_open(x, s, m, iv, &why) != 0) {
		ike->totals.dropped++;
		if (s->encrypted && exchange_is_phase1(s->exchange))
			mm_garbage(x, s);
		else
			ike_note(ike, x->sa->peer, x->sa, "%s dropped: %s", s->name, why);
		return;
	}
	if (s->verify(x, m) != 0) {
		ike->totals.dropped++;
		return;
	}
	memcpy(x->iv, iv, sizeof(x->iv));
	memcpy(x->seen[x->n_seen++], digest, DIGEST_LEN);
	timer_cancel(&ike->timers, &x->timer);
	buf_free(ike, &x->tx); /* it answered an older message */
	if (m->hdr.flags & ISAKMP_FLAG_ENC)
		sa_count(x->sa, m->hdr.length);
	if (s->hash != STEP_NO_HASH)
		sa_heard(x->sa, m->path);
	ike_note(ike, x->sa->peer, x->sa, "%s received", s->name);
	s->handle(x, m);
	secret_wipe(iv, sizeof(iv));
}

bool complaint_allowed(struct ike *ike)
{
	uint64_t now = ike_now(ike);

	if (now >= ike->complaints_from + SECOND) {
		ike->complaints_from = now;
		ike->complaints = 0;
	}
	return ike->complaints++ < COMPLAINTS_MAX;
}

/* Tells the peer, once, and returns what it was told under Quick Mode. */
static const struct buf *exchange_notify(struct exchange *x, uint16_t notify)
{
	struct isakmp_sa *sa = x->sa;
	uint8_t spi[4];

	if (!notify || x->notified)
		return NULL;
	x->notified = true;
	if (exchange_is_phase1(x->type)) {
		info_clear_notify(x->ike, &sa->path, sa->icookie, sa->rcookie, notify);
		return NULL;
	}
	put_u32(spi, x->qm.choice.spi);
	return info_notify(sa, PROTO_ESP, notify, spi, sizeof(spi), NULL, 0);
}

/* A Quick Mode of ours is tried again; one of the peer's is refused, and stays to say so again when
 * the first message comes again: the notify may get lost. */
static void quick_failed(struct exchange *x, uint16_t notify, const struct ike_diagnosis *d)
{
	struct isakmp_sa *sa = x->sa;
	struct ike *ike = x->ike;
	struct child *child = x->qm.child;
	const struct buf *said = exchange_notify(x, notify);

	ike->totals.phase2.failed++;
	ike_event_diagnosis(ike, IKE_EV_CHILD_FAILED, sa->peer, child, sa, d);
	if (said && !x->initiator && x->n_seen == 1 && !x->job &&
	    buf_set(ike, &x->tx, said->p, said->len) == 0) {
		qm_dropped(x);
		exchange_done(x);
	} else {
		exchange_kill(x);
	}
	if (child && x->initiator)
		child_failed(child);
}

/* We have the last message of phase 1: for the other side the SA stands. */
static bool has_last_message(const struct exchange *x)
{
	if (x->type == EXCH_AGGRESSIVE)
		return !x->initiator && x->n_seen == AM_MESSAGES_IN;
	return x->initiator && x->n_seen == MM_MESSAGES_IN;
}

void exchange_diagnose(struct exchange *x, uint16_t notify, const struct ike_diagnosis *d)
{
	struct isakmp_sa *sa = x->sa;
	struct ike *ike = x->ike;

	if (sa->half_open && !complaint_allowed(ike)) {
		ike->totals.phase1.failed++;
		sa_kill(sa);
		return;
	}
	peer_error(sa->peer, sa, "%s", d->text);
	if (x->type == EXCH_QUICK) {
		quick_failed(x, notify, d);
		return;
	}
	bool stands = has_last_message(x);
	if (!stands)
		exchange_notify(x, notify);
	ike->totals.phase1.failed++;
	ike_event_diagnosis(ike, IKE_EV_PHASE1_FAILED, sa->peer, NULL, sa, d);
	if (stands)
		sa_take_back(sa, x->iv, notify);
	else
		sa_kill(sa);
	if (x->initiator)
		peer_phase1_failed(sa->peer);
}

void exchange_fail(struct exchange *x, uint16_t notify, const char *fmt, ...)
{
	struct ike_diagnosis d;
	char text[sizeof(d.fact)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	diag_other(&d, x->sa, x->qm.child, text);
	exchange_diagnose(x, notify, &d);
}
