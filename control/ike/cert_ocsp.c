/* OCSP (RFC 6960): whether the certificates of a peer have been revoked, by those who issued them.
 * The transport is not here: struct ocsp_cfg brings it.
 *
 * An answer counts when it is signed by the issuer itself, or by a certificate that the issuer made
 * for that purpose; is about this certificate, for this time, and repeats our nonce or has none.
 * Anything else is as good as no answer: whoever can send nonsense could also send nothing. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/x509v3.h>

#include "cert_store.h"

#define NAME_LEN 192
#define SKEW_S   300 /* by which the responder's clock may differ from ours */

int cert_store_set_ocsp(struct cert_store *s, const struct ocsp_cfg *cfg)
{
	if (!s->ocsp_cache)
		s->ocsp_cache = ocsp_cache_new();
	if (!s->ocsp_cache)
		return -ENOMEM;
	s->ocsp = *cfg;
	return 0;
}

/* One certificate of a chain, and what is found out about it. */
struct query {
	const struct cert_store *s;
	X509 *cert, *issuer;
	int64_t now;
	char url[OCSP_MAX_URL];
	const char *reason; /* why there is no answer that counts */
	const ASN1_TIME *revoked_at;
};

enum verdict { GOOD, REVOKED, NO_ANSWER };

static enum verdict no_answer(struct query *q, const char *reason)
{
	q->reason = reason;
	return NO_ANSWER;
}

/* Whom to ask: the configured responder, or the first one over HTTP that the certificate names. */
static bool responder(struct query *q)
{
	STACK_OF(OPENSSL_STRING) * urls;

	snprintf(q->url, sizeof(q->url), "%s", q->s->ocsp.url);
	if (q->url[0])
		return true;
	urls = X509_get1_ocsp(q->cert);
	for (int i = 0; i < sk_OPENSSL_STRING_num(urls) && !q->url[0]; i++) {
		const char *url = sk_OPENSSL_STRING_value(urls, i);
		if (strncmp(url, "http://", 7) == 0 && strlen(url) < sizeof(q->url))
			snprintf(q->url, sizeof(q->url), "%s", url);
	}
	X509_email_free(urls);
	return q->url[0] != '\0';
}

static int64_t seconds_of(const ASN1_GENERALIZEDTIME *t)
{
	struct tm tm;

	return t && ASN1_TIME_to_tm(t, &tm) ? (int64_t)timegm(&tm) : 0;
}

/* By the issuer, or by one whom it made a responder (RFC 6960 section 4.2.2.2). */
static bool signed_for_issuer(const struct query *q, OCSP_BASICRESP *basic)
{
	STACK_OF(X509) *certs = sk_X509_new_null();
	X509_STORE *store = X509_STORE_new();
	bool ok = false;

	if (!certs || !store || !sk_X509_push(certs, q->issuer) ||
	    !X509_STORE_add_cert(store, q->issuer))
		goto done;
	X509_VERIFY_PARAM *param = X509_STORE_get0_param(store);
	X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
	X509_VERIFY_PARAM_set_auth_level(param, 1);
	X509_VERIFY_PARAM_set_time(param, (time_t)q->now);
	ok = OCSP_basic_verify(basic, certs, store, OCSP_NOEXPLICIT) == 1;
done:
	X509_STORE_free(store);
	sk_X509_free(certs);
	return ok;
}

/* What a response says whose signature is good. */
static enum verdict read_status(struct query *q, OCSP_BASICRESP *basic, OCSP_CERTID *id)
{
	ASN1_GENERALIZEDTIME *revoked_at = NULL, *from = NULL, *to = NULL;
	int status, reason;

	if (!OCSP_resp_find_status(basic, id, &status, &reason, &revoked_at, &from, &to))
		return no_answer(q, "its answer is about another certificate");
	int64_t until = to ? seconds_of(to) : q->now + 1;
	if (seconds_of(from) > q->now + SKEW_S || until + SKEW_S < q->now)
		return no_answer(q, "its answer is not of this time");
	if (!to && seconds_of(from) < q->now - SKEW_S)
		return no_answer(q, "its answer is old and says not how long it holds");
	if (status == V_OCSP_CERTSTATUS_UNKNOWN)
		return no_answer(q, "it does not know the certificate");
	if (to)
		ocsp_cache_put(q->s->ocsp_cache, q->cert, q->now, until,
			       status == V_OCSP_CERTSTATUS_REVOKED);
	return status == V_OCSP_CERTSTATUS_GOOD ? GOOD : REVOKED;
}

static enum verdict read_response(struct query *q, OCSP_REQUEST *request, OCSP_CERTID *id,
				  struct view der)
{
	const uint8_t *p = der.p;
	OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &p, (long)der.len);
	OCSP_BASICRESP *basic = NULL;
	enum verdict v;

	if (!response) {
		v = no_answer(q, "its answer is malformed");
	} else if (OCSP_response_status(response) != OCSP_RESPONSE_STATUS_SUCCESSFUL) {
		v = no_answer(q, OCSP_response_status_str(OCSP_response_status(response)));
	} else if (!(basic = OCSP_response_get1_basic(response))) {
		v = no_answer(q, "its answer is malformed");
	} else if (OCSP_check_nonce(request, basic) == 0) {
		v = no_answer(q, "its answer is to another question (nonce)");
	} else if (!signed_for_issuer(q, basic)) {
		v = no_answer(q, "its answer is not signed by the issuer, or by a responder of the "
				 "issuer's");
	} else {
		v = read_status(q, basic, id);
	}
	OCSP_BASICRESP_free(basic);
	OCSP_RESPONSE_free(response);
	return v;
}

static enum verdict transfer(struct query *q, OCSP_REQUEST *request, OCSP_CERTID *id)
{
	const struct ocsp_cfg *cfg = &q->s->ocsp;
	uint8_t *der = NULL, *answer = NULL;
	int len = i2d_OCSP_REQUEST(request, &der);
	size_t answer_len = 0;
	enum verdict v;

	if (len <= 0)
		return no_answer(q, "out of memory");
	if (cfg->fetch(q->url, cfg->timeout_s, (struct view){ der, (size_t)len }, &answer,
		       &answer_len) != 0) {
		ocsp_cache_mute(q->s->ocsp_cache, q->url, q->now);
		v = no_answer(q, "it did not answer in time");
	} else {
		v = read_response(q, request, id, (struct view){ answer, answer_len });
	}
	free(answer);
	OPENSSL_free(der);
	return v;
}

static enum verdict ask(struct query *q)
{
	OCSP_REQUEST *request = NULL;
	OCSP_CERTID *id, *mine;
	enum verdict v;

	if (!responder(q))
		return no_answer(q, "the certificate names none, nor does ocsp-responder");
	if (ocsp_cache_silent(q->s->ocsp_cache, q->url, q->now))
		return no_answer(q, "it did not answer a moment ago");
	request = OCSP_REQUEST_new();
	id = OCSP_cert_to_id(EVP_sha1(), q->cert, q->issuer);
	mine = id ? OCSP_CERTID_dup(id) : NULL;
	if (!request || !id || !mine || !OCSP_request_add0_id(request, mine)) {
		OCSP_CERTID_free(mine);
		v = no_answer(q, "out of memory");
	} else if (!OCSP_request_add1_nonce(request, NULL, -1)) {
		v = no_answer(q, "there is no random number for a nonce");
	} else {
		v = transfer(q, request, id);
	}
	OCSP_CERTID_free(id);
	OCSP_REQUEST_free(request);
	return v;
}

static void say_revoked(const struct query *q, char *why, size_t size)
{
	char subject[NAME_LEN], issuer[NAME_LEN];

	snprintf(why, size, "the certificate \"%s\" was revoked by \"%s\", says OCSP%s%s",
		 cert_name_text(X509_get_subject_name(q->cert), subject, sizeof(subject)),
		 cert_name_text(X509_get_issuer_name(q->cert), issuer, sizeof(issuer)),
		 q->url[0] ? " at " : "", q->url);
}

static void say_no_answer(const struct query *q, char *why, size_t size)
{
	char subject[NAME_LEN];

	snprintf(why, size,
		 "no answer from the OCSP responder%s%.160s about the certificate \"%s\": %s%s",
		 q->url[0] ? " " : "", q->url,
		 cert_name_text(X509_get_subject_name(q->cert), subject, sizeof(subject)),
		 q->reason,
		 q->s->ocsp.policy == OCSP_REQUIRED ? "; one is required" : "; accepted without");
}

/* Every certificate but the trusted one at the end: the peer's own, then those above it. */
static int check_chain(const struct cert_store *s, const struct cert_peer *p, int64_t now,
		       bool asks, char *why, size_t size)
{
	int rc = 0;

	why[0] = '\0';
	for (int i = 0; i + 1 < sk_X509_num(p->chain); i++) {
		struct query q = { .s = s,
				   .cert = sk_X509_value(p->chain, i),
				   .issuer = sk_X509_value(p->chain, i + 1),
				   .now = now };
		enum verdict v = NO_ANSWER;
		bool revoked = false;
		if (ocsp_cache_get(s->ocsp_cache, q.cert, now, &revoked))
			v = revoked ? REVOKED : GOOD;
		else if (asks)
			v = ask(&q);
		else
			rc = -EAGAIN;
		if (v == REVOKED) {
			say_revoked(&q, why, size);
			return -EKEYREVOKED;
		}
		if (v == NO_ANSWER && asks)
			say_no_answer(&q, why, size);
		if (v == NO_ANSWER && asks && s->ocsp.policy == OCSP_REQUIRED)
			return -EHOSTUNREACH;
	}
	return rc;
}

int cert_peer_known(const struct cert_store *s, const struct cert_peer *p, int64_t now, char *why,
		    size_t size)
{
	if (s->ocsp.policy == OCSP_OFF)
		return 0;
	return check_chain(s, p, now ? now : (int64_t)time(NULL), false, why, size);
}

int cert_peer_ask(const struct cert_store *s, const struct cert_peer *p, int64_t now, char *why,
		  size_t size)
{
	int rc = check_chain(s, p, now ? now : (int64_t)time(NULL), true, why, size);

	ERR_clear_error();
	return rc;
}
