/* Our own certificate and key. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <openssl/decoder.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "cert_x509.h"

struct cert_own {
	unsigned refs;
	STACK_OF(X509) * chain; /* our own first */
	struct view der[CERT_MAX_CHAIN];
	EVP_PKEY *key;
};

struct cert_own *cert_own_ref(struct cert_own *o)
{
	if (o)
		o->refs++;
	return o;
}

void cert_own_free(struct cert_own *o)
{
	if (!o || --o->refs > 0)
		return;
	for (unsigned i = 0; i < CERT_MAX_CHAIN; i++)
		OPENSSL_free((void *)o->der[i].p);
	sk_X509_pop_free(o->chain, X509_free);
	EVP_PKEY_free(o->key);
	free(o);
}

/* Never asks a terminal: without a passphrase an encrypted key is an error. */
static int on_passphrase(char *buf, int size, int rwflag, void *arg)
{
	const char *passphrase = arg;
	size_t len = passphrase ? strlen(passphrase) : 0;

	(void)rwflag;
	if (!passphrase || len > (size_t)size)
		return -1;
	memcpy(buf, passphrase, len);
	return (int)len;
}

static EVP_PKEY *key_decode(FILE *f, const char *passphrase)
{
	EVP_PKEY *key = NULL;
	OSSL_DECODER_CTX *ctx = OSSL_DECODER_CTX_new_for_pkey(
		&key, NULL, NULL, NULL, OSSL_KEYMGMT_SELECT_PRIVATE_KEY, NULL, NULL);

	if (ctx) {
		OSSL_DECODER_CTX_set_pem_password_cb(ctx, on_passphrase, (void *)passphrase);
		OSSL_DECODER_from_fp(ctx, f);
	}
	OSSL_DECODER_CTX_free(ctx);
	return key;
}

static int key_load(struct cert_own *o, const char *path, const char *passphrase, char *why,
		    size_t why_size)
{
	FILE *f = fopen(path, "rbe");
	struct stat st;
	int rc = 0;

	if (!f || fstat(fileno(f), &st)) {
		rc = -errno;
		snprintf(why, why_size, "%s: %s", path, strerror(-rc));
	} else if (st.st_mode & 077) {
		rc = -EACCES;
		snprintf(why, why_size,
			 "%s: the key can be read by others (mode %03o); chmod 600 it", path,
			 st.st_mode & 0777U);
	} else {
		o->key = key_decode(f, passphrase);
		if (!o->key) {
			rc = -EINVAL;
			snprintf(why, why_size, "%s holds no private key, or %s", path,
				 passphrase ? "the passphrase is wrong"
					    : "it is encrypted and no passphrase is given");
		}
	}
	if (f)
		fclose(f);
	return rc;
}

static int chain_load(struct cert_own *o, const char *path, char *why, size_t why_size)
{
	int rc = cert_file_read(path, o->chain, NULL, why, why_size);

	if (rc == 0 && sk_X509_num(o->chain) > CERT_MAX_CHAIN) {
		snprintf(why, why_size, "%s holds more than %d certificates", path, CERT_MAX_CHAIN);
		rc = -EINVAL;
	}
	for (int i = 0; i < sk_X509_num(o->chain) && rc == 0; i++) {
		uint8_t *der = NULL;
		int len = i2d_X509(sk_X509_value(o->chain, i), &der);
		if (len <= 0)
			rc = -ENOMEM;
		else
			o->der[i] = (struct view){ der, (size_t)len };
	}
	return rc;
}

static int key_check(const struct cert_own *o, const char *cert_path, const char *key_path,
		     char *why, size_t why_size)
{
	if (X509_check_private_key(sk_X509_value(o->chain, 0), o->key) != 1) {
		snprintf(why, why_size, "the key in %s is not that of the first certificate in %s",
			 key_path, cert_path);
		return -EINVAL;
	}
	if (cert_key_auth(o->key) == 0) {
		snprintf(
			why, why_size,
			"%s: IKEv1 can sign with RSA and with ECDSA on P-256, P-384 and P-521 only",
			key_path);
		return -EINVAL;
	}
	return 0;
}

int cert_own_load(const char *cert_path, const char *key_path, const char *passphrase,
		  struct cert_own **out, char *why, size_t why_size)
{
	struct cert_own *o = calloc(1, sizeof(*o));
	int rc = -ENOMEM;

	if (o)
		o->refs = 1;
	if (!o || !(o->chain = sk_X509_new_null()))
		snprintf(why, why_size, "out of memory");
	else if ((rc = chain_load(o, cert_path, why, why_size)) == 0 &&
		 (rc = key_load(o, key_path, passphrase, why, why_size)) == 0)
		rc = key_check(o, cert_path, key_path, why, why_size);
	ERR_clear_error();
	if (rc) {
		cert_own_free(o);
		return rc;
	}
	*out = o;
	return 0;
}

uint16_t cert_own_auth(const struct cert_own *o)
{
	return cert_key_auth(o->key);
}

unsigned cert_own_count(const struct cert_own *o)
{
	return (unsigned)sk_X509_num(o->chain);
}

struct view cert_own_der(const struct cert_own *o, unsigned k)
{
	return k < cert_own_count(o) ? o->der[k] : (struct view){ NULL, 0 };
}

bool cert_own_has_id(const struct cert_own *o, const struct ike_id *id)
{
	return cert_has_id(sk_X509_value(o->chain, 0), id);
}

static int64_t epoch(const ASN1_TIME *t)
{
	struct tm tm;

	return ASN1_TIME_to_tm(t, &tm) ? (int64_t)timegm(&tm) : 0;
}

void cert_own_validity(const struct cert_own *o, int64_t *from, int64_t *to)
{
	const X509 *cert = sk_X509_value(o->chain, 0);

	*from = epoch(X509_get0_notBefore(cert));
	*to = epoch(X509_get0_notAfter(cert));
}

int cert_own_subject(const struct cert_own *o, struct ike_id *out)
{
	const uint8_t *der;
	size_t len;

	if (!X509_NAME_get0_der(X509_get_subject_name(sk_X509_value(o->chain, 0)), &der, &len) ||
	    len > IKE_MAX_ID)
		return -EINVAL;
	*out = (struct ike_id){ .type = ID_DER_DN, .len = (uint16_t)len };
	memcpy(out->data, der, len);
	return 0;
}

bool cert_own_matches(const struct cert_own *o, struct view request_body)
{
	const uint8_t *p = request_body.p + 1;
	X509_NAME *name;
	bool found = false;

	if (request_body.len < 1 || request_body.p[0] != CERT_X509_SIGNATURE)
		return false;
	if (request_body.len == 1) /* any CA will do */
		return true;
	name = d2i_X509_NAME(NULL, &p, (long)request_body.len - 1);
	for (int i = 0; name && i < sk_X509_num(o->chain) && !found; i++)
		found = X509_NAME_cmp(name, X509_get_issuer_name(sk_X509_value(o->chain, i))) == 0;
	X509_NAME_free(name);
	ERR_clear_error();
	return found;
}

int cert_own_sign(const struct cert_own *o, struct view hash, uint8_t *out, size_t cap)
{
	return signature_make(o->key, hash, out, cap);
}
