/* Files, names and identities of certificates. */
#include "cert_x509.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

/* ------------------------------------------------------------------------- files ------------ */

/* Moves what a PEM file holds; false when it holds nothing of what is wanted. */
static bool take_pem(BIO *bio, STACK_OF(X509) * certs, STACK_OF(X509_CRL) * crls)
{
	STACK_OF(X509_INFO) *all = PEM_X509_INFO_read_bio(bio, NULL, NULL, NULL);
	bool any = false;

	for (int i = 0; i < sk_X509_INFO_num(all); i++) {
		X509_INFO *info = sk_X509_INFO_value(all, i);
		if (certs && info->x509 && sk_X509_push(certs, info->x509)) {
			info->x509 = NULL;
			any = true;
		}
		if (crls && info->crl && sk_X509_CRL_push(crls, info->crl)) {
			info->crl = NULL;
			any = true;
		}
	}
	sk_X509_INFO_pop_free(all, X509_INFO_free);
	return any;
}

static bool take_der(BIO *bio, STACK_OF(X509) * certs, STACK_OF(X509_CRL) * crls)
{
	X509 *cert = certs ? d2i_X509_bio(bio, NULL) : NULL;
	X509_CRL *crl = NULL;

	if (cert && sk_X509_push(certs, cert))
		return true;
	X509_free(cert);
	if (!crls || BIO_reset(bio) < 0)
		return false;
	crl = d2i_X509_CRL_bio(bio, NULL);
	if (crl && sk_X509_CRL_push(crls, crl))
		return true;
	X509_CRL_free(crl);
	return false;
}

int cert_file_read(const char *path, STACK_OF(X509) * certs, STACK_OF(X509_CRL) * crls, char *why,
		   size_t why_size)
{
	FILE *f = fopen(path, "rbe");
	int rc = f ? 0 : -errno;
	BIO *bio;

	if (!f) {
		snprintf(why, why_size, "%s: %s", path, strerror(-rc));
		return rc;
	}
	bio = BIO_new_fp(f, BIO_CLOSE);
	if (!bio) {
		fclose(f);
		rc = -ENOMEM;
	} else if (!take_pem(bio, certs, crls) &&
		   (BIO_seek(bio, 0) < 0 || !take_der(bio, certs, crls))) {
		rc = -EINVAL;
	}
	if (rc)
		snprintf(why, why_size, "%s holds no %s, neither as PEM nor as DER", path,
			 certs ? "certificate" : "revocation list");
	BIO_free(bio);
	ERR_clear_error();
	return rc;
}

/* ------------------------------------------------------------------------- text ------------- */

const char *cert_name_text(const X509_NAME *name, char *buf, size_t size)
{
	BIO *bio = BIO_new(BIO_s_mem());
	size_t n = 0;
	char *text;

	if (bio && X509_NAME_print_ex(bio, name, 0, XN_FLAG_ONELINE) >= 0) {
		long len = BIO_get_mem_data(bio, &text);
		for (; n < (size_t)len && n + 1 < size; n++)
			buf[n] = isprint((unsigned char)text[n]) ? text[n] : '?';
	}
	buf[n] = '\0';
	if (n == 0)
		snprintf(buf, size, "(no name)");
	BIO_free(bio);
	return buf;
}

const char *cert_time_text(const ASN1_TIME *t, char *buf, size_t size)
{
	struct tm tm;

	if (!t || !ASN1_TIME_to_tm(t, &tm) || !strftime(buf, size, "%Y-%m-%d %H:%M:%S UTC", &tm))
		snprintf(buf, size, "(no date)");
	return buf;
}

/* ------------------------------------------------------------------------- identity --------- */

static bool text_is(const ASN1_STRING *s, const struct ike_id *id)
{
	return ASN1_STRING_length(s) == id->len &&
	       strncasecmp((const char *)ASN1_STRING_get0_data(s), (const char *)id->data,
			   id->len) == 0 &&
	       !memchr(id->data, 0, id->len);
}

static bool bytes_are(const ASN1_STRING *s, const struct ike_id *id)
{
	return ASN1_STRING_length(s) == id->len &&
	       memcmp(ASN1_STRING_get0_data(s), id->data, id->len) == 0;
}

static bool alt_name_is(const GENERAL_NAME *name, const struct ike_id *id)
{
	switch (id->type) {
	case ID_FQDN:
		return name->type == GEN_DNS && text_is(name->d.dNSName, id);
	case ID_USER_FQDN:
		return name->type == GEN_EMAIL && text_is(name->d.rfc822Name, id);
	case ID_IPV4_ADDR:
	case ID_IPV6_ADDR:
		return name->type == GEN_IPADD && bytes_are(name->d.iPAddress, id);
	default:
		return false;
	}
}

static bool subject_is(X509 *cert, const struct ike_id *id)
{
	const uint8_t *p = id->data;
	X509_NAME *name = d2i_X509_NAME(NULL, &p, id->len);
	bool same = name && p == id->data + id->len && X509_NAME_entry_count(name) > 0 &&
		    X509_NAME_cmp(name, X509_get_subject_name(cert)) == 0;

	X509_NAME_free(name);
	return same;
}

bool cert_has_id(X509 *cert, const struct ike_id *id)
{
	GENERAL_NAMES *names;
	bool found = false;

	if (id->type == ID_DER_DN)
		return subject_is(cert, id);
	names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	for (int i = 0; i < sk_GENERAL_NAME_num(names) && !found; i++)
		found = alt_name_is(sk_GENERAL_NAME_value(names, i), id);
	GENERAL_NAMES_free(names);
	return found;
}
