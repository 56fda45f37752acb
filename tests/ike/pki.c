#include "pki.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/pkcs7.h>
#include <openssl/x509v3.h>

#define YEAR (365 * 86400L)

static char dir[64];

static void must(bool ok)
{
	if (!ok)
		abort();
}

EVP_PKEY *pki_key(const char *kind)
{
	EVP_PKEY *key = strncmp(kind, "RSA:", 4) == 0
				? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)atoi(kind + 4))
				: EVP_PKEY_Q_keygen(NULL, NULL, "EC", kind + 3);

	must(key != NULL);
	return key;
}

static void add_extension(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	must(ext && X509_add_ext(x, ext, -1));
	X509_EXTENSION_free(ext);
}

X509 *pki_cert(const struct pki_cert *c)
{
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);

	must(X509_set_version(x, X509_VERSION_3));
	ASN1_INTEGER_set(X509_get_serialNumber(x), c->serial ? c->serial : 1);
	ASN1_TIME_set(X509_getm_notBefore(x), c->from ? c->from : PKI_NOW - YEAR);
	ASN1_TIME_set(X509_getm_notAfter(x), c->to ? c->to : PKI_NOW + YEAR);
	if (c->cn)
		must(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const uint8_t *)c->cn,
						-1, -1, 0));
	must(X509_set_issuer_name(x, c->issuer ? X509_get_subject_name(c->issuer) : name));
	must(X509_set_pubkey(x, c->key));
	if (c->ca)
		add_extension(x, NID_basic_constraints, "critical,CA:TRUE");
	if (c->san)
		add_extension(x, NID_subject_alt_name, c->san);
	if (c->ocsp_signing)
		add_extension(x, NID_ext_key_usage, "OCSPSigning");
	if (c->ocsp_url)
		add_extension(x, NID_info_access, c->ocsp_url);
	if (c->key_usage)
		add_extension(x, NID_key_usage, c->key_usage);
	must(X509_sign(x, c->issuer_key ? c->issuer_key : c->key, c->md ? c->md : EVP_sha256()) >
	     0);
	return x;
}

X509_CRL *pki_crl(X509 *issuer, EVP_PKEY *key, long revoked, int64_t from, int64_t to)
{
	X509_CRL *crl = X509_CRL_new();
	ASN1_TIME *t = ASN1_TIME_new();

	X509_CRL_set_version(crl, X509_CRL_VERSION_2);
	X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer));
	X509_CRL_set1_lastUpdate(crl, ASN1_TIME_set(t, from ? from : PKI_NOW - YEAR));
	X509_CRL_set1_nextUpdate(crl, ASN1_TIME_set(t, to ? to : PKI_NOW + YEAR));
	if (revoked) {
		X509_REVOKED *r = X509_REVOKED_new();
		ASN1_INTEGER *serial = ASN1_INTEGER_new();
		ASN1_INTEGER_set(serial, revoked);
		X509_REVOKED_set_serialNumber(r, serial);
		X509_REVOKED_set_revocationDate(r, ASN1_TIME_set(t, PKI_NOW - 86400));
		must(X509_CRL_add0_revoked(crl, r));
		ASN1_INTEGER_free(serial);
	}
	ASN1_TIME_free(t);
	X509_CRL_sort(crl);
	must(X509_CRL_sign(crl, key, EVP_sha256()) > 0);
	return crl;
}

static const char *path_of(const char *name)
{
	static char paths[8][128];
	static unsigned next;
	char *p = paths[next++ % 8];

	if (!dir[0]) {
		snprintf(dir, sizeof(dir), "/tmp/shrike-pki-XXXXXX");
		must(mkdtemp(dir) != NULL);
	}
	snprintf(p, sizeof(paths[0]), "%s/%s", dir, name);
	return p;
}

static FILE *open_for(const char *path)
{
	FILE *f = fopen(path, "wb");

	must(f != NULL);
	return f;
}

const char *pki_write_cert(const char *name, X509 *const *certs, unsigned n, bool der)
{
	const char *path = path_of(name);
	FILE *f = open_for(path);

	for (unsigned i = 0; i < n; i++)
		must(der ? i2d_X509_fp(f, certs[i]) : PEM_write_X509(f, certs[i]));
	must(fclose(f) == 0);
	return path;
}

const char *pki_write_crl(const char *name, X509_CRL *crl)
{
	const char *path = path_of(name);
	FILE *f = open_for(path);

	must(PEM_write_X509_CRL(f, crl) && fclose(f) == 0);
	return path;
}

const char *pki_write_key(const char *name, EVP_PKEY *key, const char *passphrase, unsigned mode)
{
	const char *path = path_of(name);
	FILE *f = open_for(path);

	must(PEM_write_PKCS8PrivateKey(f, key, passphrase ? EVP_aes_256_cbc() : NULL, passphrase,
				       passphrase ? (int)strlen(passphrase) : 0, NULL, NULL));
	must(fclose(f) == 0 && chmod(path, mode) == 0);
	return path;
}

const char *pki_write_text(const char *name, const char *text)
{
	const char *path = path_of(name);
	FILE *f = open_for(path);

	must(fputs(text, f) >= 0 && fclose(f) == 0 && chmod(path, 0600) == 0);
	return path;
}

void pki_clean(void)
{
	DIR *d = dir[0] ? opendir(dir) : NULL;
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.')
			unlinkat(dirfd(d), e->d_name, 0);
	if (d) {
		closedir(d);
		rmdir(dir);
		dir[0] = '\0';
	}
}

struct view pki_payload(uint8_t encoding, X509 *cert)
{
	uint8_t *body = malloc(8192), *p = body + 1;
	int len;

	body[0] = encoding;
	if (encoding == 1) {
		PKCS7 *p7 = PKCS7_new();
		must(PKCS7_set_type(p7, NID_pkcs7_signed) && PKCS7_content_new(p7, NID_pkcs7_data));
		PKCS7_set_detached(p7, 1);
		must(PKCS7_add_certificate(p7, cert));
		len = i2d_PKCS7(p7, &p);
		PKCS7_free(p7);
	} else {
		len = i2d_X509(cert, &p);
	}
	must(len > 0 && len < 8191);
	return (struct view){ body, (size_t)len + 1 };
}

/* ---------------------------------------------------------------------------------- OCSP ---- */

static void ocsp_add_status(OCSP_BASICRESP *basic, OCSP_CERTID *id, const struct pki_ocsp *o)
{
	ASN1_TIME *from = ASN1_TIME_set(NULL, o->from ? o->from : PKI_NOW - 60);
	ASN1_TIME *to = ASN1_TIME_set(NULL, o->to ? o->to : PKI_NOW + 600);
	ASN1_TIME *revoked = ASN1_TIME_set(NULL, PKI_NOW - 86400);

	must(OCSP_basic_add1_status(basic, id, o->status, 0, revoked, from, o->no_end ? NULL : to) !=
	     NULL);
	ASN1_TIME_free(from);
	ASN1_TIME_free(to);
	ASN1_TIME_free(revoked);
}

uint8_t *pki_ocsp(struct view request, const struct pki_ocsp *o, size_t *len)
{
	const uint8_t *p = request.p;
	OCSP_REQUEST *req = d2i_OCSP_REQUEST(NULL, &p, (long)request.len);
	OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
	uint8_t *der = NULL, *copy;

	must(req != NULL && OCSP_request_onereq_count(req) == 1);
	OCSP_CERTID *id =
		OCSP_CERTID_dup(OCSP_onereq_get0_id(OCSP_request_onereq_get0(req, 0)));
	if (o->other_serial) {
		ASN1_INTEGER *serial;
		must(OCSP_id_get0_info(NULL, NULL, NULL, &serial, id) == 1);
		ASN1_INTEGER_set(serial, 4711);
	}
	ocsp_add_status(basic, id, o);
	if (o->nonce == PKI_NONCE_COPY)
		must(OCSP_copy_nonce(basic, req) > 0);
	else if (o->nonce == PKI_NONCE_OTHER)
		must(OCSP_basic_add1_nonce(basic, (uint8_t *)"another question", 16) == 1);
	must(OCSP_basic_sign(basic, o->signer, o->key, EVP_sha256(), NULL, 0) == 1);
	OCSP_RESPONSE *rsp = OCSP_response_create(o->error, o->error ? NULL : basic);
	int n = i2d_OCSP_RESPONSE(rsp, &der);
	must(n > 0);
	copy = malloc((size_t)n);
	must(copy != NULL);
	memcpy(copy, der, (size_t)n);
	*len = (size_t)n;
	OPENSSL_free(der);
	OCSP_CERTID_free(id);
	OCSP_RESPONSE_free(rsp);
	OCSP_BASICRESP_free(basic);
	OCSP_REQUEST_free(req);
	return copy;
}
