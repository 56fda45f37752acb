/* Aggressive Mode as the initiator: messages 1 and 3 go out, 2 comes in. */
#include <errno.h>
#include <string.h>

#include "aggressive.h"
#include "diagnose.h"
#include "secret.h"

#define WHY_LEN 300

static int am_send_1(struct exchange *x)
{
	const struct ike_peer_cfg *cfg = &x->sa->peer->cfg;
	uint8_t id[4 + IKE_MAX_ID];
	struct msgbuf m;

	if (mm_nonce(x, &x->ni) != 0)
		return -ENOMEM;
	exchange_begin(x, &m, false);
	ike_offer_write(&m, cfg->ike, cfg->n_ike, peer_auth(x->sa->peer, true), mm_life(x->sa->peer), cfg->life_kb);
	if (m.overflow ||
	    buf_set(x->ike, &x->sai, m.buf + ISAKMP_HDR_LEN + 4, m.len - ISAKMP_HDR_LEN - 4) != 0)
		return -ENOMEM;
	am_put_keys(&m, x, &x->ni, am_own_id(x->sa, id));
	if (mm_they_sign(x->sa))
		mm_put_requests(&m, x->sa);
	vendor_write(&m, x->sa, SIZE_MAX);
	ike_note(x->ike, x->sa->peer, x->sa, "Aggressive Mode to %s begins", cfg->name);
	return exchange_send(x, &m, mm_they_sign(x->sa) ? AM_STEP_ANSWER_SIGNED : AM_STEP_ANSWER);
}

static void am_begin(struct exchange *x, int rc)
{
	if (rc != 0 || am_send_1(x) != 0)
		mm_public_failed(x, rc);
}

int aggressive_start(struct peer *peer)
{
	struct ike_path path = { peer->cfg.local, peer->cfg.remote, 500, 500 };
	struct isakmp_sa *sa = sa_new(peer, &path, true, EXCH_AGGRESSIVE);
	struct exchange *x = sa ? exchange_new(sa, EXCH_AGGRESSIVE, true, 0) : NULL;

	if (x) {
		sa->auth = peer_auth(peer, true);
		sa->t.group = peer->cfg.ike[0].group; /* one for all: see config_peer.c */
	}
	if (x && job_start(x, sa->t.group, am_begin) == 0)
		return 0;
	if (sa)
		sa_kill(sa);
	return -ENOMEM;
}

/* ------------------------------------------------------------------------- message 2 -------- */

static int am_check_answer(struct exchange *x, const struct inmsg *m, struct ike_choice *out)
{
	char why[WHY_LEN] = "";
	const char *bad = why;
	struct ike *ike = x->ike;

	if (sa_payload_parse(buf_view(&x->sai), &ike->offer, &bad) == 0 &&
	    sa_payload_parse(need(m, PL_SA)->body, &ike->answer, &bad) == 0 &&
	    ike_answer_check(&ike->offer, &ike->answer, out, why, sizeof(why)) == 0)
		return am_check_ke(x, m, out->t.group);
	peer_error(x->sa->peer, x->sa, "the answer of %s to our phase 1 offer is not one of it: %s",
		   x->sa->peer->cfg.name, bad);
	return -EBADMSG;
}

/* The form; what it proves is found out once the keys are there. */
int am_verify_2(struct exchange *x, const struct inmsg *m)
{
	static const uint8_t zero[ISAKMP_COOKIE_LEN];
	struct ike_choice choice;
	struct ike_id id;

	if (memcmp(m->hdr.rcookie, zero, sizeof(zero)) == 0 ||
	    ike_id_parse(need(m, PL_ID)->body, &id) != 0)
		return -EBADMSG;
	if (mm_they_sign(x->sa) ? need(m, PL_SIG)->body.len > CERT_MAX_SIG
				: need(m, PL_HASH)->body.len > HASH_MAX_LEN)
		return -EBADMSG;
	return am_check_answer(x, m, &choice);
}

static int am_send_3(struct exchange *x)
{
	uint8_t id[4 + IKE_MAX_ID];
	struct view own = am_own_id(x->sa, id);
	struct msgbuf m;
	int rc;

	exchange_begin(x, &m, true);
	natt_write(&m, x->sa, x->sa->t.hash);
	rc = am_put_auth(&m, x, own);
	if (rc != 0)
		return rc;
	mm_put_contact(&m, x->sa);
	return exchange_send(x, &m, STEP_NONE);
}

static void am_finish(struct exchange *x, int rc)
{
	if (rc != 0 || am_send_3(x) != 0)
		mm_sign_failed(x, rc);
	else
		phase1_done(x);
}

/* The responder has proved who it is. */
static void am_answer(struct exchange *x)
{
	struct ike_id id;

	if (ike_id_parse(buf_view(&x->am.id), &id) != 0 || !mm_accept(x, &id, false))
		return;
	natt_float(x->sa);
	if (!mm_we_sign(x->sa))
		am_finish(x, 0);
	else if (mm_sign(x, am_finish) != 0)
		mm_public_failed(x, -ENOMEM);
}

static void am_checked(struct exchange *x, int rc)
{
	if (mm_proved(x, rc))
		am_answer(x);
}

static bool am_hash_good(struct exchange *x)
{
	const struct buf *hash = &x->am.hash;
	uint8_t expect[HASH_MAX_LEN];

	return hash->len == x->sa->keys->prf_len &&
	       mm_auth_hash(x, false, buf_view(&x->am.id), expect) == 0 &&
	       secret_equal(expect, hash->p, hash->len);
}

static void am_keyed(struct exchange *x, int rc)
{
	struct ike_diagnosis d;

	if (rc != 0) {
		mm_public_failed(x, rc);
	} else if (mm_derive(x) != 0) {
		am_no_keys(x);
	} else if (mm_they_sign(x->sa)) {
		mm_check_signed(x, buf_view(&x->am.id), am_checked);
	} else if (am_hash_good(x)) {
		am_answer(x);
	} else {
		diag_garbage(&d, x->sa, 2);
		exchange_diagnose(x, N_AUTHENTICATION_FAILED, &d);
	}
}

void am_handle_2(struct exchange *x, const struct inmsg *m)
{
	struct isakmp_sa *sa = x->sa;
	struct ike_choice choice;
	struct view hash;

	if (am_check_answer(x, m, &choice) != 0)
		return;
	memcpy(sa->rcookie, m->hdr.rcookie, ISAKMP_COOKIE_LEN);
	sa->heard_us = ike_now(x->ike);
	mm_chosen(sa, &choice);
	vendor_read(sa, &m->list);
	natt_read(sa, &m->list);
	if (mm_they_sign(sa)) {
		if (!mm_take_signed(x, m, need(m, PL_ID)->body))
			return;
	} else {
		hash = need(m, PL_HASH)->body;
		if (buf_set(x->ike, &x->am.hash, hash.p, hash.len) != 0) {
			mm_public_failed(x, -ENOMEM);
			return;
		}
	}
	if (am_take(x, m, &x->nr) != 0 || job_start(x, sa->t.group, am_keyed) != 0)
		mm_public_failed(x, -ENOMEM);
}

/* ------------------------------------------------------------------------- afterwards ------- */

bool aggressive_refused(struct isakmp_sa *sa, uint16_t notify)
{
	struct ike *ike = sa->ike;
	struct peer *peer = sa->peer;
	struct ike_diagnosis d;

	/* with XAuth or Mode Config the responder has more to say than that */
	if (sa->phase1 != EXCH_AGGRESSIVE || !sa->initiator || !phase1_refusal(sa, notify))
		return false;
	sa->hint = (struct ike_hint){ .proved = true, .deleted = !notify, .notify = notify };
	diag_phase1_stop(&d, sa, 3, 0);
	peer_error(peer, sa, "%s", d.text);
	ike->totals.phase1.failed++;
	ike_event_diagnosis(ike, IKE_EV_PHASE1_FAILED, peer, NULL, sa, &d);
	sa_kill(sa);
	peer_phase1_failed(peer);
	return true;
}
