/* Aggressive Mode as the responder: messages 1 and 3 come in, 2 goes out. */
#include <errno.h>
#include <string.h>

#include "aggressive.h"
#include "diagnose.h"
#include "secret.h"

int am_verify_1(struct exchange *x, const struct inmsg *m)
{
	size_t nonce = need(m, PL_NONCE)->body.len;
	const char *why = "its identity or its nonce is malformed";
	struct ike_id id;

	if (ike_id_parse(need(m, PL_ID)->body, &id) == 0 && nonce >= IKE_NONCE_MIN &&
	    nonce <= IKE_NONCE_MAX &&
	    sa_payload_parse(need(m, PL_SA)->body, &x->ike->offer, &why) == 0)
		return 0;
	ike_note(x->ike, x->sa->peer, x->sa, "Aggressive Mode message 1 dropped: %s", why);
	return -EBADMSG;
}

/* ------------------------------------------------------------------- which connection ------- */

/* What looking for the connection came to. */
struct search {
	const struct inmsg *m;
	struct ike_id id;
	struct ike_choice choice;
	struct mismatch why;   /* with known: of the first whose identity it is */
	struct peer *known;    /* its identity, but it accepts nothing of the offer */
	struct peer *down;     /* its identity, but down by command */
	struct peer *stranger; /* the first of another identity */
};

/* All transforms have the group of the public value that came along (RFC 2409 section 5): where
 * they do not, only those of its length can be meant. */
static int am_choose(struct isakmp_sa *sa, const struct peer *p, struct search *s,
		     struct mismatch *why)
{
	size_t ke = need(s->m, PL_KE)->body.len;
	struct ike_transform fit[IKE_CFG_TRANSFORMS];
	unsigned n = 0;

	for (unsigned i = 0; i < p->cfg.n_ike; i++) {
		const struct group_info *g = group_info(p->cfg.ike[i].group);
		if (g && g->public_len == ke)
			fit[n++] = p->cfg.ike[i];
	}
	if (n && ike_offer_choose(&sa->ike->offer, fit, n, peer_auth(p, false), &s->choice, why) == 0)
		return 0;
	/* for the reason; what it finds would not go with the public value */
	if (ike_offer_choose(&sa->ike->offer, p->cfg.ike, p->cfg.n_ike, peer_auth(p, false), &s->choice,
			     why) == 0)
		*why = (struct mismatch){ .reason = "its public value has the length of another "
						    "group than the one it offers" };
	return -ENOENT;
}

/* Is p what the message means? open: of those that take any identity. */
static bool am_means(struct isakmp_sa *sa, struct peer *p, bool open, struct search *s)
{
	struct ike_id want = peer_remote_id(p, &sa->path);
	struct mismatch why;

	if (!p->cfg.aggressive || !peer_accepts(p, &sa->path) || peer_is_open(p) != open)
		return false;
	if (!open && !ike_id_equal(&want, &s->id)) {
		if (!s->stranger)
			s->stranger = p;
		return false;
	}
	if (p->down) {
		s->down = p;
		return false;
	}
	if (am_choose(sa, p, s, &why) == 0)
		return true;
	if (!s->known) {
		s->known = p;
		s->why = why;
	}
	return false;
}

/* By identity, among those for the address that it comes from, then among those for any; at last
 * one that takes any identity. */
static struct peer *am_find_peer(struct isakmp_sa *sa, struct search *s)
{
	const struct ip_addr none = { .family = IP_NONE };
	const struct ip_addr *where[] = { &sa->path.remote, &none, &none };
	struct peer *p;

	for (unsigned k = 0; k < 3; k++) {
		p = NULL;
		while ((p = peer_next_at(sa->ike, where[k], p)))
			if (am_means(sa, p, k == 2, s))
				return p;
	}
	return NULL;
}

static void am_nobody(struct exchange *x, struct search *s)
{
	struct isakmp_sa *sa = x->sa;
	struct ike_diagnosis d;
	struct ike_id want;

	if (s->known) {
		sa_move(sa, s->known);
		diag_mismatch(&d, sa, NULL, &s->why);
		exchange_diagnose(x, N_NO_PROPOSAL_CHOSEN, &d);
		return;
	}
	if (s->down) {
		sa_move(sa, s->down);
		exchange_fail(x, N_AUTHENTICATION_FAILED,
			      "Aggressive Mode of %s refused: down by command", s->down->cfg.name);
		return;
	}
	if (s->stranger)
		sa_move(sa, s->stranger);
	want = peer_remote_id(sa->peer, &sa->path);
	diag_identity(&d, sa, &want, &s->id);
	exchange_diagnose(x, N_INVALID_ID_INFORMATION, &d);
}

/* ------------------------------------------------------------------------- message 2 -------- */

static int am_send_2(struct exchange *x)
{
	struct isakmp_sa *sa = x->sa;
	uint8_t id[4 + IKE_MAX_ID];
	struct view own = am_own_id(sa, id);
	const char *why;
	struct msgbuf m;
	int rc;

	if (sa_payload_parse(buf_view(&x->sai), &x->ike->offer, &why) != 0)
		return -EBADMSG;
	exchange_begin(x, &m, false);
	answer_write(&m, &x->ike->offer, x->am.proposal, x->am.transform, 0);
	am_put_keys(&m, x, &x->nr, own);
	if (mm_they_sign(sa))
		mm_put_requests(&m, sa);
	natt_write(&m, sa, sa->t.hash);
	rc = am_put_auth(&m, x, own);
	if (rc != 0)
		return rc;
	vendor_write(&m, sa, SIZE_MAX);
	return exchange_send(x, &m, mm_they_sign(sa) ? AM_STEP_SIGNED : AM_STEP_AUTH);
}

static void am_answer(struct exchange *x, int rc)
{
	if (rc != 0 || am_send_2(x) != 0)
		mm_sign_failed(x, rc);
}

static void am_keyed(struct exchange *x, int rc)
{
	if (rc != 0 || mm_nonce(x, &x->nr) != 0)
		mm_public_failed(x, rc);
	else if (mm_derive(x) != 0)
		am_no_keys(x);
	else if (!mm_we_sign(x->sa))
		am_answer(x, 0);
	else if (mm_sign(x, am_answer) != 0)
		mm_public_failed(x, -ENOMEM);
}

void am_handle_1(struct exchange *x, const struct inmsg *m)
{
	struct isakmp_sa *sa = x->sa;
	struct view body = need(m, PL_SA)->body;
	struct search s = { .m = m };
	struct peer *p;

	sa->heard_us = ike_now(x->ike);
	ike_id_parse(need(m, PL_ID)->body, &s.id); /* verified before */
	p = am_find_peer(sa, &s);
	if (!p) {
		am_nobody(x, &s);
		return;
	}
	if (p != sa->peer)
		sa_move(sa, p);
	mm_chosen(sa, &s.choice);
	x->am.proposal = s.choice.proposal;
	x->am.transform = s.choice.transform;
	vendor_read(sa, &m->list);
	if (buf_set(x->ike, &x->sai, body.p, body.len) != 0 || am_take(x, m, &x->ni) != 0 ||
	    job_start(x, sa->t.group, am_keyed) != 0)
		mm_public_failed(x, -ENOMEM);
}

/* ------------------------------------------------------------------------- message 3 -------- */

int am_verify_3(struct exchange *x, const struct inmsg *m)
{
	struct view hash = need(m, PL_HASH)->body;
	uint8_t expect[HASH_MAX_LEN];

	if (hash.len == x->sa->keys->prf_len &&
	    mm_auth_hash(x, true, buf_view(&x->am.id), expect) == 0 &&
	    secret_equal(expect, hash.p, hash.len))
		return 0;
	mm_garbage(x, step_find(x->type, x->initiator, x->step));
	return -EBADMSG;
}

/* What Main Mode says in its encrypted message 6. */
static void am_tell(struct isakmp_sa *sa, bool contact)
{
	uint8_t spi[2 * ISAKMP_COOKIE_LEN];

	memcpy(spi, sa->icookie, ISAKMP_COOKIE_LEN);
	memcpy(spi + ISAKMP_COOKIE_LEN, sa->rcookie, ISAKMP_COOKIE_LEN);
	if (contact)
		info_notify(sa, PROTO_ISAKMP, N_INITIAL_CONTACT, spi, sizeof(spi), NULL, 0);
	lifetime_notify_sa(sa);
}

/* Nothing answers message 3: the initiator goes on at once, and what it sends next may overtake it,
 * or come while we check its signature, or come alone because message 3 got lost. It is kept; and
 * when we still wait, message 2 once more makes the initiator repeat message 3. */
void aggressive_early(struct isakmp_sa *sa, const struct inmsg *m)
{
	struct exchange *x = exchange_phase1(sa);

	if (!x || x->done || x->initiator || !sa->keys || m->raw.len > EARLY_MAX)
		return;
	if (!x->am.early.len && buf_set(sa->ike, &x->am.early, m->raw.p, m->raw.len) == 0)
		x->am.early_path = *m->path;
	if (!x->busy && x->tx.len && x->replies < REPLIES_MAX) {
		x->replies++;
		sa->ike->totals.retransmits++;
		exchange_repeat(x);
	}
}

void am_replay(struct exchange *x)
{
	struct ike *ike = x->ike;
	struct ike_path path = x->am.early_path;
	struct buf msg = x->am.early;

	x->am.early = (struct buf){ 0 };
	exchange_done(x); /* the timer goes on with what it was for */
	ike_input(ike, &path, msg.p, msg.len);
	buf_free(ike, &msg);
}

static void am_accept(struct exchange *x, bool contact)
{
	struct isakmp_sa *sa = x->sa;
	bool first = peer_first_contact(sa->peer, sa);
	struct ike_id id;

	ike_id_parse(buf_view(&x->am.id), &id);
	mm_accepted(x, &id, contact);
	phase1_done(x);
	if (x->am.early.len) /* not in the middle of this call */
		timer_set(&x->ike->timers, &x->timer, ike_now(x->ike));
	am_tell(sa, first);
}

void am_handle_3(struct exchange *x, const struct inmsg *m)
{
	natt_read(x->sa, &m->list);
	am_accept(x, (m->hdr.flags & ISAKMP_FLAG_ENC) && mm_says_contact(m));
}

int am_verify_signed(struct exchange *x, const struct inmsg *m)
{
	(void)x;
	return need(m, PL_SIG)->body.len <= CERT_MAX_SIG ? 0 : -EBADMSG;
}

static void am_checked(struct exchange *x, int rc)
{
	if (mm_proved(x, rc))
		am_accept(x, x->work->contact);
}

void am_handle_signed(struct exchange *x, const struct inmsg *m)
{
	struct view id = buf_view(&x->am.id);

	natt_read(x->sa, &m->list);
	if (mm_take_signed(x, m, id))
		mm_check_signed(x, id, am_checked);
}
