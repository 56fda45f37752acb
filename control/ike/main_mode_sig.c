/* The end of Main Mode with signatures, both roles (RFC 2409 section 5.1, RFC 4754, RFC 4945):
 *
 *   initiator                                     responder
 *   3  HDR, KE, Ni, [CERT_REQ ..]         -->
 *                                         <--     4  HDR, KE, Nr, [CERT_REQ ..]
 *   5  HDR*, IDii, [CERT ..], SIG_I       -->
 *                                         <--     6  HDR*, IDir, [CERT ..], SIG_R
 *
 * Signing and checking are jobs. A message that decrypts to a well-formed one comes from whoever
 * did the Diffie-Hellman exchange with us: when its certificate or signature is not good, the
 * exchange is over, as no better message can follow. Our whole chain always goes along, asked for
 * or not. */
#include <errno.h>
#include <string.h>

#include "diagnose.h"
#include "main_mode.h"

#define REQUESTS_MAX 1024 /* bytes of names in our requests; with more, one that asks for any CA \
			   */
#define LIFE_MIN_S 60     /* a certificate that is about to end gives an SA that long */

/* ------------------------------------------------------------------ certificate requests ---- */

void mm_put_requests(struct msgbuf *m, const struct isakmp_sa *sa)
{
	const struct cert_store *trust = sa->peer->cfg.trust;
	unsigned n = trust ? cert_store_count(trust) : 0;
	size_t all = 0;

	for (unsigned i = 0; i < n; i++)
		all += cert_store_ca_name(trust, i).len;
	if (all > REQUESTS_MAX)
		n = 0;
	for (unsigned i = 0; i < n || i == 0; i++) {
		struct view name = n ? cert_store_ca_name(trust, i) : (struct view){ NULL, 0 };
		msg_open(m, PL_CERT_REQ);
		msg_put_u8(m, CERT_X509_SIGNATURE);
		if (name.len)
			msg_put(m, name.p, name.len);
		msg_close(m);
	}
}

void mm_read_requests(struct isakmp_sa *sa, const struct payload_list *l)
{
	const struct cert_own *own = sa->peer->cfg.own;
	const struct payload *p;
	unsigned n = 0;

	for (; own && (p = payload_find(l, PL_CERT_REQ, n)); n++)
		if (cert_own_matches(own, p->body))
			return;
	if (n > 0)
		ike_note(sa->ike, sa->peer, sa,
			 "%s asks for certificates of CAs that have not issued ours",
			 sa->peer->cfg.name);
}

/* -------------------------------------------------------------------------- our proof ------- */

static struct auth_work *work_new(struct exchange *x)
{
	struct auth_work *w = ike_secret_alloc(x->ike, sizeof(*w));

	auth_work_free(x->ike, x->work);
	x->work = w;
	if (!w)
		return NULL;
	w->auth = auth_signature(x->sa->auth);
	w->hash_len = hash_info(cert_auth_hash(w->auth, x->sa->t.hash))->len;
	return w;
}

/* On any thread. */
static int work_sign(struct auth_work *w)
{
	int n = cert_own_sign(w->own, (struct view){ w->hash, w->hash_len }, w->sig,
			      sizeof(w->sig));

	if (n < 0)
		return n;
	w->sig_len = (size_t)n;
	return 0;
}

void mm_put_signed(struct msgbuf *m, const struct auth_work *w)
{
	for (unsigned i = 0; i < cert_own_count(w->own); i++) {
		struct view der = cert_own_der(w->own, i);
		msg_open(m, PL_CERT);
		msg_put_u8(m, CERT_X509_SIGNATURE);
		msg_put(m, der.p, der.len);
		msg_close(m);
	}
	msg_payload(m, PL_SIG, w->sig, w->sig_len);
}

static int mm_send_signed(struct exchange *x, const struct auth_work *w)
{
	struct isakmp_sa *sa = x->sa;
	uint8_t body[4 + IKE_MAX_ID];
	size_t len = ike_id_write(&w->id, body, sizeof(body));
	struct msgbuf m;

	exchange_begin(x, &m, true);
	msg_payload(&m, PL_ID, body, len);
	mm_put_signed(&m, w);
	mm_put_contact(&m, sa);
	lifetime_tell_sa(&m, sa);
	return exchange_send(x, &m,
			     !sa->initiator     ? STEP_NONE
			     : mm_they_sign(sa) ? MM_STEP_SIGNED
						: MM_STEP_AUTH);
}

void mm_sign_failed(struct exchange *x, int rc)
{
	const char *name = x->sa->peer->cfg.name, *mode = exchange_name(x->type);

	if (rc != 0)
		exchange_fail(x, 0, "%s with %s: our private key cannot sign", mode, name);
	else
		exchange_fail(x, 0,
			      "%s with %s: our certificates do not fit into one message of %d "
			      "bytes, or there is no memory",
			      mode, name, MSG_MAX);
}

void mm_signed(struct exchange *x, int rc)
{
	if (rc != 0 || mm_send_signed(x, x->work) != 0)
		mm_sign_failed(x, rc);
	else if (!x->sa->initiator)
		phase1_done(x);
}

int mm_sign(struct exchange *x, void (*then)(struct exchange *x, int rc))
{
	struct isakmp_sa *sa = x->sa;
	struct auth_work *w = work_new(x);
	uint8_t body[4 + IKE_MAX_ID];
	size_t len;
	int rc;

	if (!w)
		return -ENOMEM;
	w->own = cert_own_ref(sa->peer->cfg.own);
	w->id = peer_local_id(sa->peer, &sa->path);
	len = ike_id_write(&w->id, body, sizeof(body));
	rc = mm_auth_hash(x, sa->initiator, (struct view){ body, len }, w->hash);
	return rc ? rc : job_start_auth(x, IKE_JOB_MATHS, work_sign, then);
}

/* ------------------------------------------------------------------------- their proof ------ */

/* The form only: what it proves is found out by a job. */
bool mm_signed_form(struct view id, struct view sig)
{
	struct ike_id parsed;

	return ike_id_parse(id, &parsed) == 0 && sig.len <= CERT_MAX_SIG;
}

int mm_verify_signed(struct exchange *x, const struct inmsg *m)
{
	if (mm_signed_form(need(m, PL_ID)->body, need(m, PL_SIG)->body))
		return 0;
	mm_garbage(x, step_find(x->type, x->initiator, x->step));
	return -EBADMSG;
}

/* On any thread. -EAGAIN: all is well but for what OCSP is to say. */
static int work_check(struct auth_work *w)
{
	int rc = cert_verify_peer(w->trust, w->bag, &w->id, w->auth, w->now, &w->peer, w->why,
				  sizeof(w->why));

	if (rc != 0)
		return rc;
	w->not_after = cert_peer_not_after(w->peer);
	cert_peer_subject(w->peer, w->subject, sizeof(w->subject));
	rc = cert_peer_check(w->peer, w->auth, (struct view){ w->hash, w->hash_len },
			     (struct view){ w->sig, w->sig_len });
	if (rc == 0)
		return cert_peer_known(w->trust, w->peer, w->now, w->why, sizeof(w->why));
	w->cert_ok = true;
	return rc;
}

/* On a thread that may wait. */
static int work_ask(struct auth_work *w)
{
	return cert_peer_ask(w->trust, w->peer, w->now, w->why, sizeof(w->why));
}

/* An SA must not outlive what it rests on. */
static void mm_limit_life(struct isakmp_sa *sa, const struct auth_work *w)
{
	int64_t left = w->not_after - w->now;

	if (left < LIFE_MIN_S)
		left = LIFE_MIN_S;
	if (left < sa->life_s)
		sa->life_s = (uint32_t)left;
	else
		return;
	if (!sa->initiator)
		sa->told_s = sa->life_s;
}

/* rc: what the check came to. */
static void mm_refused(struct exchange *x, const struct auth_work *w, int rc)
{
	struct ike_diagnosis d;
	const char *name = x->sa->peer->cfg.name;

	if (w->cert_ok) {
		exchange_fail(x, N_INVALID_SIGNATURE,
			      "%s is not authenticated: its signature was not made with the key of "
			      "its certificate \"%s\"",
			      name, w->subject);
		return;
	}
	diag_certificate(&d, x->sa, rc, w->why);
	exchange_diagnose(x, N_AUTHENTICATION_FAILED, &d);
}

bool mm_proved(struct exchange *x, int rc)
{
	struct auth_work *w = x->work;
	struct ike_diagnosis d;

	if (rc != 0) {
		mm_refused(x, w, rc);
		return false;
	}
	if (w->why[0]) {
		diag_certificate(&d, x->sa, 0, w->why);
		peer_diagnosis(x->sa->peer, NULL, x->sa, &d);
	}
	ike_note(x->ike, x->sa->peer, x->sa, "the certificate \"%s\" and its signature are good",
		 w->subject);
	mm_limit_life(x->sa, w);
	return true;
}

static void mm_checked(struct exchange *x, int rc)
{
	struct auth_work *w = x->work;

	if (!mm_proved(x, rc) || !mm_accept(x, &w->id, w->contact))
		return;
	if (x->sa->initiator)
		phase1_done(x);
	else
		mm_answer_5(x);
}

/* Returns false after failing the exchange. */
static bool mm_take_certs(struct exchange *x, const struct inmsg *m, struct cert_bag *bag)
{
	const struct payload *p;

	for (unsigned k = 0; (p = payload_find(&m->list, PL_CERT, k)); k++) {
		int rc = cert_bag_add(bag, p->body);
		if (rc == 0)
			continue;
		if (rc == -ENOTSUP) {
			ike_note(x->ike, x->sa->peer, x->sa,
				 "a certificate in encoding %u is passed over",
				 p->body.len ? p->body.p[0] : 0);
			continue;
		}
		exchange_fail(x, N_INVALID_CERTIFICATE, "%s is not authenticated: %s",
			      x->sa->peer->cfg.name,
			      rc == -E2BIG ? "it sent too many certificates"
					   : "a certificate that it sent is malformed");
		return false;
	}
	return true;
}

bool mm_take_signed(struct exchange *x, const struct inmsg *m, struct view id)
{
	struct isakmp_sa *sa = x->sa;
	struct view sig = need(m, PL_SIG)->body;
	struct auth_work *w = work_new(x);

	if (!w || !(w->bag = cert_bag_new()) || ike_id_parse(id, &w->id) != 0) {
		mm_public_failed(x, -ENOMEM);
		return false;
	}
	if (!mm_take_certs(x, m, w->bag))
		return false;
	w->trust = cert_store_ref(sa->peer->cfg.trust);
	w->now = ike_wall(x->ike);
	if (m->hdr.flags & ISAKMP_FLAG_ENC) {
		w->contact = mm_says_contact(m);
		mm_read_lifetime(sa, m); /* should it lie, nothing comes of this SA anyway */
	}
	memcpy(w->sig, sig.p, sig.len);
	w->sig_len = sig.len;
	return true;
}

/* The maths is done: OCSP has the last word where it must be asked. */
static void mm_ask(struct exchange *x, int rc)
{
	void (*then)(struct exchange *x, int rc) = x->work->then;

	if (rc != -EAGAIN)
		then(x, rc);
	else if (job_start_auth(x, IKE_JOB_FETCH, work_ask, then) != 0)
		mm_public_failed(x, -ENOMEM);
}

void mm_check_signed(struct exchange *x, struct view id, void (*then)(struct exchange *x, int rc))
{
	x->work->then = then;
	if (mm_auth_hash(x, !x->sa->initiator, id, x->work->hash) != 0 ||
	    job_start_auth(x, IKE_JOB_MATHS, work_check, mm_ask) != 0)
		mm_public_failed(x, -ENOMEM);
}

void mm_handle_signed(struct exchange *x, const struct inmsg *m)
{
	struct view id = need(m, PL_ID)->body;

	if (mm_take_signed(x, m, id))
		mm_check_signed(x, id, mm_checked);
}
