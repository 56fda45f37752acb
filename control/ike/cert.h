/* Certificates: whom we trust, who the peer is, and our own key. RFC 4945 profile, RFC 2409
 * section 5.1 and RFC 4754 signatures. Every refusal comes with a sentence that names the
 * certificate and what is wrong with it.
 *
 * Loading is for the control thread. What works on loaded objects (cert_verify_peer, cert_own_sign,
 * cert_peer_check) is pure maths over objects that it does not change: any thread, several at once.
 * So is OCSP, but cert_peer_ask() waits for others: not on threads that maths waits for.
 */
#ifndef SHRIKE_IKE_CERT_H
#define SHRIKE_IKE_CERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "alg.h"
#include "isakmp.h"
#include "message.h"

#define CERT_MAX_SIG   1024 /* bytes of a signature: RSA with 8192 bits */
#define CERT_MAX_CHAIN 16   /* certificates and CRLs taken from one peer */
#define CERT_WHY_LEN   512  /* room for any sentence below */

/* Certificate encodings, RFC 2408 section 3.9. */
enum cert_encoding { CERT_PKCS7 = 1, CERT_X509_SIGNATURE = 4, CERT_CRL = 7 };

/* ------------------------------------------------------------------------- trust ------------ */

struct cert_store;

/* A revoked certificate is refused under either policy. */
enum crl_policy {
	CRL_IF_PRESENT, /* no CRL, or one past its date: accept what it does not revoke */
	CRL_REQUIRED,   /* a current CRL of every issuer must be there */
};

struct cert_store *cert_store_new(enum crl_policy policy);
/* One more owner; returns s. NULL is fine. References come and go on the control thread only. */
struct cert_store *cert_store_ref(struct cert_store *s);
/* Gives up one reference; the last one frees. NULL is fine. */
void cert_store_free(struct cert_store *s);

/* Adds every CA certificate in a file (PEM, several allowed, or DER). An intermediate CA is trusted
 * as it is, without its root. 0, -errno of opening it, or -EINVAL (nothing in it, or not a CA). */
int cert_store_add_ca(struct cert_store *s, const char *path, char *why, size_t why_size);
/* Adds every CRL in a file; its signature is checked when it is used. */
int cert_store_add_crl(struct cert_store *s, const char *path, char *why, size_t why_size);
unsigned cert_store_count(const struct cert_store *s);
/* The k-th CA's distinguished name in DER, as a certificate request carries it. Borrowed. */
struct view cert_store_ca_name(const struct cert_store *s, unsigned k);

/* ------------------------------------------------------------------------- the peer --------- */

/* What a peer sent in its CERT payloads. */
struct cert_bag;

struct cert_bag *cert_bag_new(void);
void cert_bag_free(struct cert_bag *b); /* NULL is fine */
/* Takes one CERT payload body: X.509, a PKCS #7 wrapping of several, or a CRL. 0; -ENOTSUP: another
 * encoding (ignore it); -EBADMSG: malformed; -E2BIG: more than CERT_MAX_CHAIN. */
int cert_bag_add(struct cert_bag *b, struct view cert_body);

/* A peer's certificate that has been found good. */
struct cert_peer;

/* Finds the certificate for the identity that the peer claims (its whole ID payload decides, see
 * cert_has_id) and checks it up to a trusted CA at this time (seconds since the epoch, 0 = now):
 * signatures, validity, revocation, CA flags, key usage, strength, and that its key fits the agreed
 * authentication method. 0 with *out (free it); or with why: -ENOKEY (no trusted CA above it),
 * -EKEYEXPIRED (or not valid yet), -EKEYREVOKED, -EKEYREJECTED (anything else). */
int cert_verify_peer(const struct cert_store *s, const struct cert_bag *b, const struct ike_id *id,
		     uint16_t auth, int64_t now, struct cert_peer **out, char *why,
		     size_t why_size);
void cert_peer_free(struct cert_peer *p); /* NULL is fine */
/* Checks a SIG payload body over HASH_I or HASH_R (see cert_auth_hash). 0 or -EKEYREJECTED. */
int cert_peer_check(const struct cert_peer *p, uint16_t auth, struct view hash, struct view sig);
/* When it ends, seconds since the epoch: an SA should not outlive it. */
int64_t cert_peer_not_after(const struct cert_peer *p);
/* "CN = gwb", printable; returns buf. */
const char *cert_peer_subject(const struct cert_peer *p, char *buf, size_t size);

/* The hash whose HMAC makes HASH_I and HASH_R: the negotiated one, but with ECDSA the one that
 * belongs to the curve (RFC 4754 section 4). */
enum hash_alg cert_auth_hash(uint16_t auth, enum hash_alg negotiated);

/* ------------------------------------------------------------------------- OCSP ------------- */

#define OCSP_MAX_URL      256
#define OCSP_MAX_RESPONSE 65536 /* bytes */

enum ocsp_policy {
	OCSP_OFF,
	OCSP_IF_AVAILABLE, /* revoked is refused; without an answer that counts, accepted */
	OCSP_REQUIRED,     /* without an answer that counts, refused */
};

struct ocsp_cfg {
	enum ocsp_policy policy;
	char url[OCSP_MAX_URL]; /* of one responder for all; "": those that the certificates name */
	unsigned timeout_s;     /* for one answer */
	/* Sends a request to a responder and waits for its answer. 0 with *response malloc()ed (at most
	 * OCSP_MAX_RESPONSE bytes), or -errno. On any thread, several at once. */
	int (*fetch)(const char *url, unsigned timeout_s, struct view request, uint8_t **response,
		     size_t *len);
};

/* Before the store is used. 0 or -ENOMEM. */
int cert_store_set_ocsp(struct cert_store *s, const struct ocsp_cfg *cfg);
/* By answers that are still valid: 0 (nothing is revoked, or OCSP is off), -EKEYREVOKED with why, or
 * -EAGAIN: cert_peer_ask() must find out. now: seconds since the epoch, 0 = the system's. */
int cert_peer_known(const struct cert_store *s, const struct cert_peer *p, int64_t now, char *why,
		    size_t why_size);
/* Asks about every certificate between the peer's and the trusted one that no valid answer is known
 * of; waits. 0, with a why that is not empty when there was no answer; -EKEYREVOKED; -EHOSTUNREACH: no
 * answer that counts, and one is required. */
int cert_peer_ask(const struct cert_store *s, const struct cert_peer *p, int64_t now, char *why,
		  size_t why_size);

/* ------------------------------------------------------------------------- ourselves -------- */

struct cert_own;

/* Loads our chain (PEM, our own certificate first, or one in DER) and its private key (PEM or DER,
 * PKCS #8 or traditional; passphrase NULL = not encrypted). 0 with *out; -errno of opening;
 * -EACCES: the key file can be read by others; -EINVAL: malformed, the key is not the
 * certificate's, or of a kind that IKEv1 has no method for. */
int cert_own_load(const char *cert_path, const char *key_path, const char *passphrase,
		  struct cert_own **out, char *why, size_t why_size);
/* One more owner; returns o. NULL is fine. References come and go on the control thread only. */
struct cert_own *cert_own_ref(struct cert_own *o);
/* Gives up one reference; the last one wipes the key. NULL is fine. */
void cert_own_free(struct cert_own *o);
/* The authentication method that the key can do: AUTH_RSA_SIG or AUTH_ECDSA_*. */
uint16_t cert_own_auth(const struct cert_own *o);
unsigned cert_own_count(const struct cert_own *o);
/* The k-th certificate in DER, 0 = our own. Borrowed. */
struct view cert_own_der(const struct cert_own *o, unsigned k);
/* Whether the certificate carries this identity, as a peer would check it. */
bool cert_own_has_id(const struct cert_own *o, const struct ike_id *id);
/* When our certificate is valid, seconds since the epoch. */
void cert_own_validity(const struct cert_own *o, int64_t *from, int64_t *to);
/* Our subject as an identity (ID_DER_DN). 0, or -EINVAL when it is longer than IKE_MAX_ID. */
int cert_own_subject(const struct cert_own *o, struct ike_id *out);
/* Whether a CERT_REQ payload body asks for a CA that our chain leads to (or for any). */
bool cert_own_matches(const struct cert_own *o, struct view request_body);
/* Signs HASH_I or HASH_R. The length of the signature, or -EIO. */
int cert_own_sign(const struct cert_own *o, struct view hash, uint8_t *out, size_t cap);

#endif
