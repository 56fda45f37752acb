/* A certificate authority for tests: keys, certificates and revocation lists made on the spot.
 * Failures abort: they are the test's fault. */
#ifndef SHRIKE_TESTS_PKI_H
#define SHRIKE_TESTS_PKI_H

#include <stdbool.h>
#include <stdint.h>

#include <openssl/x509.h>

#include "message.h"

#define PKI_NOW 1800000000 /* 2027-01-15: the time at which tests verify */

struct pki_cert {
	const char *cn;
	X509 *issuer;          /* NULL: itself */
	EVP_PKEY *issuer_key;  /* NULL: its own */
	EVP_PKEY *key;         /* borrowed */
	const char *san;       /* as in openssl.cnf: "DNS:gwa,IP:192.0.2.1", or NULL */
	const char *key_usage; /* "digitalSignature", or NULL */
	bool ocsp_signing;     /* an extended key usage */
	const char *ocsp_url;  /* "OCSP;URI:http://...", or NULL */
	bool ca;
	long serial;
	int64_t from, to; /* 0: a year before and after PKI_NOW */
	const EVP_MD *md; /* NULL: SHA-256 */
};

/* "RSA:2048", "EC:P-256" */
EVP_PKEY *pki_key(const char *kind);
X509 *pki_cert(const struct pki_cert *c);
/* Revokes one serial number (0: none). */
X509_CRL *pki_crl(X509 *issuer, EVP_PKEY *key, long revoked, int64_t from, int64_t to);

/* A responder's answer to a request with one question. */
struct pki_ocsp {
	int status;   /* V_OCSP_CERTSTATUS_GOOD ... */
	int error;    /* instead: OCSP_RESPONSE_STATUS_* */
	X509 *signer; /* and its key, borrowed */
	EVP_PKEY *key;
	int64_t from, to; /* 0: from a minute before PKI_NOW to ten after */
	bool no_end;      /* no nextUpdate */
	bool other_serial; /* about another certificate */
	enum { PKI_NONCE_COPY, PKI_NONCE_NONE, PKI_NONCE_OTHER } nonce;
};

/* malloc()ed. */
uint8_t *pki_ocsp(struct view request, const struct pki_ocsp *o, size_t *len);

/* Into a file below a temporary directory; returns its name in a static ring of buffers. */
const char *pki_write_cert(const char *name, X509 *const *certs, unsigned n, bool der);
const char *pki_write_crl(const char *name, X509_CRL *crl);
const char *pki_write_key(const char *name, EVP_PKEY *key, const char *passphrase, unsigned mode);
const char *pki_write_text(const char *name, const char *text);
/* Removes the directory with everything in it. */
void pki_clean(void);

/* A CERT payload body, malloc()ed. */
struct view pki_payload(uint8_t encoding, X509 *cert);

#endif
