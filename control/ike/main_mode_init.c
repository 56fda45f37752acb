/* Main Mode as the initiator: messages 1, 3 and 5 go out, 2, 4 and 6 come in. */
#include <errno.h>
#include <string.h>

#include "gss.h"
#include "main_mode.h"

#define WHY_LEN 300

int main_mode_start(struct peer *peer)
{
	struct ike *ike = peer->ike;
	struct ike_path path = { peer->cfg.local, peer->cfg.remote, 500, 500 };
	struct isakmp_sa *sa = sa_new(peer, &path, true, EXCH_IDENTITY_PROTECTION);
	struct exchange *x = sa ? exchange_new(sa, EXCH_IDENTITY_PROTECTION, true, 0) : NULL;
	uint8_t name[2 * GSS_PRINCIPAL_LEN];
	struct msgbuf m;

	if (!x)
		goto failed;
	exchange_begin(x, &m, false);
	ike_offer_write_named(&m, peer->cfg.ike, peer->cfg.n_ike, peer_auth(peer, true),
			      mm_life(peer), peer->cfg.life_kb, gss_own_name(peer, name));
	if (m.overflow ||
	    buf_set(ike, &x->sai, m.buf + ISAKMP_HDR_LEN + 4, m.len - ISAKMP_HDR_LEN - 4) != 0)
		goto failed;
	vendor_write(&m, sa, SIZE_MAX);
	ike_note(ike, peer, sa, "Main Mode to %s begins", peer->cfg.name);
	if (exchange_send(x, &m, 0) != 0)
		goto failed;
	return 0;
failed:
	if (sa)
		sa_kill(sa);
	return -ENOMEM;
}

static int mm_check_answer(struct exchange *x, const struct inmsg *m, struct ike_choice *out)
{
	char why[WHY_LEN] = "";
	const char *bad = why;
	struct ike *ike = x->ike;

	if (sa_payload_parse(buf_view(&x->sai), &ike->offer, &bad) == 0 &&
	    sa_payload_parse(need(m, PL_SA)->body, &ike->answer, &bad) == 0 &&
	    ike_answer_check(&ike->offer, &ike->answer, out, why, sizeof(why)) == 0)
		return 0;
	peer_error(x->sa->peer, x->sa, "the answer of %s to our phase 1 offer is not one of it: %s",
		   x->sa->peer->cfg.name, bad);
	return -EBADMSG;
}

int mm_verify_2(struct exchange *x, const struct inmsg *m)
{
	static const uint8_t zero[ISAKMP_COOKIE_LEN];
	struct ike_choice choice;

	if (memcmp(m->hdr.rcookie, zero, sizeof(zero)) == 0)
		return -EBADMSG;
	return mm_check_answer(x, m, &choice);
}

static void mm_send_3(struct exchange *x, int rc)
{
	if (rc != 0 || mm_send_ke(x, &x->ni, 1) != 0)
		mm_public_failed(x, rc);
}

static void mm_computed_3(struct exchange *x, int rc)
{
	if (rc != 0)
		mm_public_failed(x, rc);
	else
		mm_gss_step(x, mm_send_3);
}

void mm_handle_2(struct exchange *x, const struct inmsg *m)
{
	struct isakmp_sa *sa = x->sa;
	struct ike_choice choice;

	if (mm_check_answer(x, m, &choice) != 0)
		return;
	memcpy(sa->rcookie, m->hdr.rcookie, ISAKMP_COOKIE_LEN);
	sa->heard_us = ike_now(x->ike);
	mm_chosen(sa, &choice);
	vendor_read(sa, &m->list);
	if (mm_gss_name(x, &x->ike->answer, 0) != 0 ||
	    job_start(x, sa->t.group, mm_computed_3) != 0)
		mm_public_failed(x, -ENOMEM);
}

static void mm_send_5(struct exchange *x, int rc)
{
	(void)rc; /* what failed has been told */
	natt_float(x->sa);
	if ((mm_we_sign(x->sa) ? mm_sign(x, mm_signed)
			       : mm_send_auth(x, mm_they_sign(x->sa) ? MM_STEP_SIGNED : MM_STEP_AUTH)) != 0)
		mm_public_failed(x, -ENOMEM);
}

static void mm_computed_5(struct exchange *x, int rc)
{
	if (rc != 0) {
		mm_public_failed(x, rc);
		return;
	}
	if (mm_derive(x) != 0) {
		exchange_fail(x, 0,
			      "no keys can be derived for %s: its secret or key is missing or weak",
			      x->sa->peer->cfg.name);
		return;
	}
	mm_gss_step(x, mm_send_5);
}

void mm_handle_4(struct exchange *x, const struct inmsg *m)
{
	if (!mm_gss_take(x, m))
		return;
	if (mm_take_ke(x, m, &x->nr) != 0 || job_start(x, x->sa->t.group, mm_computed_5) != 0)
		mm_public_failed(x, -ENOMEM);
}

void mm_handle_6(struct exchange *x, const struct inmsg *m)
{
	if (!mm_authenticated(x, m))
		return;
	phase1_done(x);
}
