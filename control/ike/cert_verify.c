/* The check of a peer's certificate, and the sentence that says what failed. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "cert_store.h"

#define NAME_LEN 192
#define TIME_LEN 32

void cert_peer_free(struct cert_peer *p)
{
	if (!p)
		return;
	X509_free(p->cert);
	sk_X509_pop_free(p->chain, X509_free);
	free(p);
}

int cert_peer_check(const struct cert_peer *p, uint16_t auth, struct view hash, struct view sig)
{
	return signature_verify(X509_get0_pubkey(p->cert), auth, hash, sig) ? 0 : -EKEYREJECTED;
}

int64_t cert_peer_not_after(const struct cert_peer *p)
{
	struct tm tm;

	return ASN1_TIME_to_tm(X509_get0_notAfter(p->cert), &tm) ? (int64_t)timegm(&tm) : 0;
}

const char *cert_peer_subject(const struct cert_peer *p, char *buf, size_t size)
{
	return cert_name_text(X509_get_subject_name(p->cert), buf, size);
}

/* ------------------------------------------------------------------------- sentences -------- */

static void explain_serial(X509 *cert, char *buf, size_t size)
{
	BIGNUM *n = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
	char *hex = n ? BN_bn2hex(n) : NULL;

	snprintf(buf, size, "%s", hex ? hex : "?");
	OPENSSL_free(hex);
	BN_free(n);
}

static void explain_time(const char *subject, const char *what, const ASN1_TIME *t, char *why,
			 size_t size)
{
	char date[TIME_LEN];

	snprintf(why, size, "the certificate \"%s\" %s %s", subject, what,
		 cert_time_text(t, date, sizeof(date)));
}

/* The chain ended before a CA that we trust. */
static void explain_issuer(const char *subject, const char *issuer, char *why, size_t size)
{
	snprintf(why, size,
		 "unknown CA: the certificate \"%s\" was issued by \"%s\", which is not among the "
		 "trusted CAs",
		 subject, issuer);
}

static void explain_revoked(X509 *cert, const char *subject, const char *issuer, char *why,
			    size_t size)
{
	char serial[80];

	explain_serial(cert, serial, sizeof(serial));
	snprintf(why, size, "the certificate \"%s\" (serial %s) was revoked by \"%s\"", subject,
		 serial, issuer);
}

/* Returns the -errno that says which kind of fault it is. */
static int explain(X509_STORE_CTX *ctx, char *why, size_t size)
{
	X509 *cert = X509_STORE_CTX_get_current_cert(ctx);
	int err = X509_STORE_CTX_get_error(ctx);
	char subject[NAME_LEN] = "?", issuer[NAME_LEN] = "?";

	if (cert) {
		cert_name_text(X509_get_subject_name(cert), subject, sizeof(subject));
		cert_name_text(X509_get_issuer_name(cert), issuer, sizeof(issuer));
	}
	switch (cert ? err : X509_V_ERR_UNSPECIFIED) {
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
		explain_issuer(subject, issuer, why, size);
		return -ENOKEY;
	case X509_V_ERR_CERT_HAS_EXPIRED:
		explain_time(subject, "expired at", X509_get0_notAfter(cert), why, size);
		return -EKEYEXPIRED;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		explain_time(subject, "is not valid before", X509_get0_notBefore(cert), why, size);
		return -EKEYEXPIRED;
	case X509_V_ERR_CERT_REVOKED:
		explain_revoked(cert, subject, issuer, why, size);
		return -EKEYREVOKED;
	case X509_V_ERR_UNABLE_TO_GET_CRL:
	case X509_V_ERR_CRL_HAS_EXPIRED:
		snprintf(why, size,
			 "no current revocation list of \"%s\" is at hand to check \"%s\" against, "
			 "and one is required",
			 issuer, subject);
		break;
	case X509_V_ERR_CERT_SIGNATURE_FAILURE:
		snprintf(why, size, "the certificate \"%s\" does not carry a signature of \"%s\"",
			 subject, issuer);
		break;
	default:
		snprintf(why, size, "the certificate \"%s\" is not acceptable: %s", subject,
			 X509_verify_cert_error_string(err));
	}
	return -EKEYREJECTED;
}

/* ------------------------------------------------------------------------- checks ----------- */

/* Without a required CRL, its absence or age is no reason; what it revokes still is. */
static int on_verify(int ok, X509_STORE_CTX *ctx)
{
	const enum crl_policy *policy = X509_STORE_CTX_get_app_data(ctx);

	if (ok || *policy == CRL_REQUIRED)
		return ok;
	switch (X509_STORE_CTX_get_error(ctx)) {
	case X509_V_ERR_UNABLE_TO_GET_CRL:
	case X509_V_ERR_CRL_HAS_EXPIRED:
	case X509_V_ERR_CRL_NOT_YET_VALID:
		X509_STORE_CTX_set_error(ctx, X509_V_OK);
		return 1;
	default:
		return 0;
	}
}

/* *chain: with cert first and a trusted one last, the caller's; NULL after an error. */
static int chain_verify(const struct cert_store *s, const struct cert_bag *b, X509 *cert,
			int64_t now, STACK_OF(X509) * *chain, char *why, size_t why_size)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	enum crl_policy policy = s->policy;
	int rc = -EKEYREJECTED;

	if (!ctx || !X509_STORE_CTX_init(ctx, s->store, cert, b->certs) ||
	    !X509_STORE_CTX_set_app_data(ctx, &policy)) {
		snprintf(why, why_size, "out of memory while checking a certificate");
		goto done;
	}
	X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
	X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL |
						   X509_V_FLAG_PARTIAL_CHAIN);
	/* 80 bits: no RSA below 1024, no MD5 or SHA-1 under a certificate */
	X509_VERIFY_PARAM_set_auth_level(param, 1);
	X509_VERIFY_PARAM_set_depth(param, CERT_MAX_CHAIN);
	if (now)
		X509_VERIFY_PARAM_set_time(param, (time_t)now);
	X509_STORE_CTX_set0_crls(ctx, b->crls);
	X509_STORE_CTX_set_verify_cb(ctx, on_verify);
	if (X509_verify_cert(ctx) != 1)
		rc = explain(ctx, why, why_size);
	else if ((*chain = X509_STORE_CTX_get1_chain(ctx)))
		rc = 0;
	else
		snprintf(why, why_size, "out of memory while checking a certificate");
done:
	X509_STORE_CTX_free(ctx);
	return rc;
}

static const char *auth_text(uint16_t auth)
{
	switch (auth) {
	case AUTH_RSA_SIG:
		return "RSA";
	case AUTH_ECDSA_256:
		return "ECDSA-256";
	case AUTH_ECDSA_384:
		return "ECDSA-384";
	case AUTH_ECDSA_521:
		return "ECDSA-521";
	default:
		return "other";
	}
}

/* The key fits the method, and its owner may sign with it (RFC 4945 section 5.1.3.2). */
static int key_verify(X509 *cert, uint16_t auth, char *why, size_t why_size)
{
	EVP_PKEY *key = X509_get0_pubkey(cert);
	uint16_t kind = key ? cert_key_auth(key) : 0;
	char subject[NAME_LEN];

	cert_name_text(X509_get_subject_name(cert), subject, sizeof(subject));
	if (kind != auth) {
		snprintf(why, why_size,
			 "the key of the certificate \"%s\" makes %s signatures, but %s signatures "
			 "were agreed",
			 subject, auth_text(kind), auth_text(auth));
		return -EKEYREJECTED;
	}
	if (!(X509_get_key_usage(cert) & (KU_DIGITAL_SIGNATURE | KU_NON_REPUDIATION))) {
		snprintf(why, why_size,
			 "the certificate \"%s\" may not be used for signatures (key "
			 "usage)",
			 subject);
		return -EKEYREJECTED;
	}
	return 0;
}

/* The identity decides which of several certificates is the peer's own. */
static X509 *find_by_id(const struct cert_bag *b, const struct ike_id *id, char *why,
			size_t why_size)
{
	char claimed[128], subject[NAME_LEN];

	for (int i = 0; i < sk_X509_num(b->certs); i++)
		if (cert_has_id(sk_X509_value(b->certs, i), id))
			return sk_X509_value(b->certs, i);
	if (sk_X509_num(b->certs) <= 0) {
		snprintf(why, why_size, "the peer sent no certificate");
		return NULL;
	}
	snprintf(why, why_size,
		 "identity mismatch: the peer claims to be \"%s\" (%s), which its certificate "
		 "\"%s\" "
		 "does not say",
		 ike_id_str(id, claimed, sizeof(claimed)), ike_id_type_name(id->type),
		 cert_name_text(X509_get_subject_name(sk_X509_value(b->certs, 0)), subject,
				sizeof(subject)));
	return NULL;
}

int cert_verify_peer(const struct cert_store *s, const struct cert_bag *b, const struct ike_id *id,
		     uint16_t auth, int64_t now, struct cert_peer **out, char *why, size_t why_size)
{
	X509 *cert = find_by_id(b, id, why, why_size);
	int rc = cert ? 0 : -EKEYREJECTED;
	STACK_OF(X509) *chain = NULL;

	if (rc == 0)
		rc = chain_verify(s, b, cert, now, &chain, why, why_size);
	if (rc == 0)
		rc = key_verify(cert, auth, why, why_size);
	if (rc == 0) {
		*out = calloc(1, sizeof(**out));
		if (*out) {
			X509_up_ref(cert);
			(*out)->cert = cert;
			(*out)->chain = chain;
			chain = NULL;
		} else {
			snprintf(why, why_size, "out of memory while checking a certificate");
			rc = -EKEYREJECTED;
		}
	}
	sk_X509_pop_free(chain, X509_free);
	ERR_clear_error();
	return rc;
}
