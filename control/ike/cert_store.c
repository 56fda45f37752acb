/* Trusted CAs and revocation lists, and what a peer sent. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pkcs7.h>
#include <openssl/x509v3.h>

#include "cert_store.h"

struct cert_store *cert_store_new(enum crl_policy policy)
{
	struct cert_store *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->refs = 1;
	s->policy = policy;
	s->cas = sk_X509_new_null();
	s->store = X509_STORE_new();
	if (!s->cas || !s->store) {
		cert_store_free(s);
		return NULL;
	}
	return s;
}

struct cert_store *cert_store_ref(struct cert_store *s)
{
	if (s)
		s->refs++;
	return s;
}

void cert_store_free(struct cert_store *s)
{
	if (!s || --s->refs > 0)
		return;
	sk_X509_pop_free(s->cas, X509_free);
	X509_STORE_free(s->store);
	ocsp_cache_free(s->ocsp_cache);
	free(s);
}

/* The store and our list share the certificate. */
static int add_ca(struct cert_store *s, X509 *ca, const char *path, char *why, size_t why_size)
{
	char name[256];

	if (X509_check_ca(ca) != 1) {
		snprintf(why, why_size, "%s: the certificate \"%s\" is not one of a CA", path,
			 cert_name_text(X509_get_subject_name(ca), name, sizeof(name)));
		return -EINVAL;
	}
	if (!X509_STORE_add_cert(s->store, ca) || !sk_X509_push(s->cas, ca))
		return -ENOMEM;
	X509_up_ref(ca);
	return 0;
}

int cert_store_add_ca(struct cert_store *s, const char *path, char *why, size_t why_size)
{
	STACK_OF(X509) *certs = sk_X509_new_null();
	int rc = certs ? cert_file_read(path, certs, NULL, why, why_size) : -ENOMEM;

	for (int i = 0; i < sk_X509_num(certs) && rc == 0; i++)
		rc = add_ca(s, sk_X509_value(certs, i), path, why, why_size);
	sk_X509_pop_free(certs, X509_free);
	ERR_clear_error();
	return rc;
}

int cert_store_add_crl(struct cert_store *s, const char *path, char *why, size_t why_size)
{
	STACK_OF(X509_CRL) *crls = sk_X509_CRL_new_null();
	int rc = crls ? cert_file_read(path, NULL, crls, why, why_size) : -ENOMEM;

	for (int i = 0; i < sk_X509_CRL_num(crls) && rc == 0; i++)
		rc = X509_STORE_add_crl(s->store, sk_X509_CRL_value(crls, i)) ? 0 : -ENOMEM;
	sk_X509_CRL_pop_free(crls, X509_CRL_free);
	ERR_clear_error();
	return rc;
}

unsigned cert_store_count(const struct cert_store *s)
{
	return (unsigned)sk_X509_num(s->cas);
}

struct view cert_store_ca_name(const struct cert_store *s, unsigned k)
{
	X509 *ca = sk_X509_value(s->cas, (int)k);
	struct view der = { NULL, 0 };

	if (ca && !X509_NAME_get0_der(X509_get_subject_name(ca), &der.p, &der.len))
		der = (struct view){ NULL, 0 };
	return der;
}

/* ------------------------------------------------------------------------- the bag ---------- */

struct cert_bag *cert_bag_new(void)
{
	struct cert_bag *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->certs = sk_X509_new_null();
	b->crls = sk_X509_CRL_new_null();
	if (!b->certs || !b->crls) {
		cert_bag_free(b);
		return NULL;
	}
	return b;
}

void cert_bag_free(struct cert_bag *b)
{
	if (!b)
		return;
	sk_X509_pop_free(b->certs, X509_free);
	sk_X509_CRL_pop_free(b->crls, X509_CRL_free);
	free(b);
}

static bool bag_full(const struct cert_bag *b)
{
	return sk_X509_num(b->certs) + sk_X509_CRL_num(b->crls) >= CERT_MAX_CHAIN;
}

/* Owns cert from here on. */
static int bag_push(struct cert_bag *b, X509 *cert)
{
	if (bag_full(b) || !sk_X509_push(b->certs, cert)) {
		X509_free(cert);
		return -E2BIG;
	}
	return 0;
}

static int add_x509(struct cert_bag *b, struct view der)
{
	const uint8_t *p = der.p;
	X509 *cert = d2i_X509(NULL, &p, (long)der.len);

	if (cert && p == der.p + der.len)
		return bag_push(b, cert);
	X509_free(cert);
	return -EBADMSG;
}

/* Windows wraps its chain in a PKCS #7 without a signature (RFC 4945 section 3.3.10.1). */
static int add_pkcs7(struct cert_bag *b, struct view der)
{
	const uint8_t *p = der.p;
	PKCS7 *p7 = d2i_PKCS7(NULL, &p, (long)der.len);
	STACK_OF(X509) *certs = NULL;
	int rc = 0;

	if (p7 && PKCS7_type_is_signed(p7) && p7->d.sign)
		certs = p7->d.sign->cert;
	if (sk_X509_num(certs) <= 0)
		rc = -EBADMSG;
	for (int i = 0; i < sk_X509_num(certs) && rc == 0; i++) {
		X509_up_ref(sk_X509_value(certs, i));
		rc = bag_push(b, sk_X509_value(certs, i));
	}
	PKCS7_free(p7);
	return rc;
}

static int add_crl(struct cert_bag *b, struct view der)
{
	const uint8_t *p = der.p;
	X509_CRL *crl = d2i_X509_CRL(NULL, &p, (long)der.len);

	if (!crl || p != der.p + der.len) {
		X509_CRL_free(crl);
		return -EBADMSG;
	}
	if (bag_full(b) || !sk_X509_CRL_push(b->crls, crl)) {
		X509_CRL_free(crl);
		return -E2BIG;
	}
	return 0;
}

int cert_bag_add(struct cert_bag *b, struct view cert_body)
{
	struct view der = { cert_body.p + 1, cert_body.len - 1 };
	int rc;

	if (cert_body.len < 2)
		return -EBADMSG;
	switch (cert_body.p[0]) {
	case CERT_X509_SIGNATURE:
		rc = add_x509(b, der);
		break;
	case CERT_PKCS7:
		rc = add_pkcs7(b, der);
		break;
	case CERT_CRL:
		rc = add_crl(b, der);
		break;
	default:
		rc = -ENOTSUP;
	}
	ERR_clear_error();
	return rc;
}
