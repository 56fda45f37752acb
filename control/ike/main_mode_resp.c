/* Main Mode as the responder: messages 1, 3 and 5 come in, 2, 4 and 6 go out. */
#include <errno.h>
#include <string.h>

#include "diagnose.h"
#include "gss.h"
#include "main_mode.h"

void phase1_respond(struct peer *peer, struct inmsg *m)
{
	struct isakmp_sa *sa = sa_new(peer, m->path, false, m->hdr.exchange);
	struct exchange *x = NULL;

	if (!sa)
		return;
	memcpy(sa->icookie, m->hdr.icookie, ISAKMP_COOKIE_LEN);
	sa_publish(sa);
	x = exchange_new(sa, m->hdr.exchange, false, 0);
	if (x)
		exchange_receive(x, m);
	if (!x || (!x->dead && x->n_seen == 0)) /* not even a message 1 */
		sa_kill(sa);
}

int mm_verify_1(struct exchange *x, const struct inmsg *m)
{
	const char *why = "";

	if (sa_payload_parse(need(m, PL_SA)->body, &x->ike->offer, &why) == 0)
		return 0;
	ike_note(x->ike, x->sa->peer, x->sa, "Main Mode message 1 dropped: %s", why);
	return -EBADMSG;
}

/* What this connection accepts; else what another between the same addresses does that
 * authenticates in another way. 0 with sa->peer the one that accepted. */
static int mm_select(struct isakmp_sa *sa, struct ike_choice *out, struct mismatch *why)
{
	const struct sa_payload *offer = &sa->ike->offer;
	const struct ip_addr none = { .family = IP_NONE };
	struct peer *was = sa->peer, *p;
	struct mismatch other;

	if (ike_offer_choose(offer, was->cfg.ike, was->cfg.n_ike, peer_auth(was, false), out, why) == 0)
		return 0;
	for (unsigned any = 0; any < 2; any++) {
		p = NULL;
		while ((p = peer_next_at(sa->ike, any ? &none : &sa->path.remote, p))) {
			if (peer_auth(p, false) == peer_auth(was, false) || p->down ||
			    p->cfg.aggressive ||
			    !peer_accepts(p, &sa->path) ||
			    ike_offer_choose(offer, p->cfg.ike, p->cfg.n_ike, peer_auth(p, false), out,
					     &other) != 0)
				continue;
			sa_move(sa, p);
			return 0;
		}
	}
	return -ENOENT;
}

void mm_handle_1(struct exchange *x, const struct inmsg *in)
{
	struct isakmp_sa *sa = x->sa;
	struct view body = need(in, PL_SA)->body;
	struct ike_choice choice = { 0 };
	struct ike_diagnosis d;
	uint8_t name[2 * GSS_PRINCIPAL_LEN];
	struct mismatch why;
	struct msgbuf m;

	sa->heard_us = ike_now(x->ike);
	if (mm_select(sa, &choice, &why) != 0) {
		diag_mismatch(&d, sa, NULL, &why);
		exchange_diagnose(x, N_NO_PROPOSAL_CHOSEN, &d);
		return;
	}
	mm_chosen(sa, &choice);
	vendor_read(sa, &in->list);
	exchange_begin(x, &m, false);
	if (sa->auth == AUTH_KERBEROS)
		answer_write_named(&m, &x->ike->offer, choice.proposal, choice.transform,
				   gss_own_name(sa->peer, name));
	else
		answer_write(&m, &x->ike->offer, choice.proposal, choice.transform, 0);
	/* nobody has proved where it comes from: no more bytes go back than came */
	vendor_write(&m, sa, in->hdr.length);
	if (mm_gss_name(x, &x->ike->offer, choice.transform) != 0 ||
	    buf_set(x->ike, &x->sai, body.p, body.len) != 0 || exchange_send(x, &m, 1) != 0)
		exchange_fail(x, 0, "Main Mode with %s: out of memory", sa->peer->cfg.name);
}

static void mm_send_4(struct exchange *x, int rc)
{
	if (rc != 0 || mm_send_ke(x, &x->nr, mm_they_sign(x->sa) ? MM_STEP_SIGNED : MM_STEP_AUTH) != 0)
		mm_public_failed(x, rc);
	else if (mm_derive(x) != 0)
		exchange_fail(x, 0,
			      "no keys can be derived for %s: its secret or key is missing or weak",
			      x->sa->peer->cfg.name);
}

static void mm_computed_4(struct exchange *x, int rc)
{
	if (rc != 0)
		mm_public_failed(x, rc);
	else
		mm_gss_step(x, mm_send_4);
}

void mm_handle_3(struct exchange *x, const struct inmsg *m)
{
	if (!mm_gss_take(x, m))
		return;
	if (mm_take_ke(x, m, &x->ni) != 0 || job_start(x, x->sa->t.group, mm_computed_4) != 0)
		mm_public_failed(x, -ENOMEM);
}

void mm_answer_5(struct exchange *x)
{
	if (mm_we_sign(x->sa)) {
		if (mm_sign(x, mm_signed) != 0)
			mm_public_failed(x, -ENOMEM);
	} else if (mm_send_auth(x, STEP_NONE) != 0) {
		mm_public_failed(x, -ENOMEM);
	} else {
		phase1_done(x);
	}
}

bool phase1_refusal(const struct isakmp_sa *sa, uint16_t notify)
{
	const struct isakmp_sa *o;

	if (sa->state != IKE_SA_ESTABLISHED || sa->access || sa->quick_modes > 0 ||
	    (!notify && sa->established_us + REFUSED_US < ike_now(sa->ike)))
		return false;
	/* the peer deletes one of two that crossed: that is no refusal */
	TAILQ_FOREACH(o, &sa->peer->sas, link)
		if (o != sa && !o->dead && o->established_us)
			return false;
	return true;
}

void main_mode_refused(struct isakmp_sa *sa, uint16_t notify)
{
	struct ike_diagnosis d;

	if (sa->phase1 != EXCH_IDENTITY_PROTECTION || sa->initiator || sa->asked || sa->hint.notify ||
	    !phase1_refusal(sa, notify))
		return;
	sa->hint = (struct ike_hint){ .proved = true, .deleted = !notify, .notify = notify };
	diag_phase1_stop(&d, sa, 6, 0);
	peer_diagnosis(sa->peer, NULL, sa, &d);
}

void mm_handle_5(struct exchange *x, const struct inmsg *m)
{
	if (mm_authenticated(x, m))
		mm_answer_5(x);
}
