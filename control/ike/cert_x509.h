/* Inside cert_*.c: helpers over OpenSSL's objects. */
#ifndef SHRIKE_IKE_CERT_X509_H
#define SHRIKE_IKE_CERT_X509_H

#include <openssl/x509.h>

#include "cert.h"

/* The certificates and CRLs of a file. Either may be NULL: not wanted. Returns 0, or -errno with
 * why. */
int cert_file_read(const char *path, STACK_OF(X509) * certs, STACK_OF(X509_CRL) * crls, char *why,
		   size_t why_size);

/* "CN = gwb, O = Lab", printable and bounded; returns buf. */
const char *cert_name_text(const X509_NAME *name, char *buf, size_t size);
/* "2026-11-22 04:14:03 UTC"; returns buf. */
const char *cert_time_text(const ASN1_TIME *t, char *buf, size_t size);

/* FQDN against dNSName, user FQDN against rfc822Name, address against iPAddress, distinguished name
 * against the subject (RFC 4945 section 3.1). No wildcards; a common name is no host name. */
bool cert_has_id(X509 *cert, const struct ike_id *id);

/* The method for a key, 0 = none: AUTH_RSA_SIG, AUTH_ECDSA_256, ... */
uint16_t cert_key_auth(EVP_PKEY *key);

/* Signature over the hash itself: RSA PKCS #1 v1.5 without DigestInfo, ECDSA as r | s. */
bool signature_verify(EVP_PKEY *key, uint16_t auth, struct view hash, struct view sig);
int signature_make(EVP_PKEY *key, struct view hash, uint8_t *out, size_t cap);

#endif
