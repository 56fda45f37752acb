/* Key derivation, message protection and authentication hashes of IKEv1: pure functions over bytes,
 * checked against recorded negotiations. Formulas stand above each function as the RFC has them.
 *
 * Secrets come and go in caller-owned buffers; callers wipe them (secret.h). Lengths are bytes. */
#ifndef SHRIKE_IKE_KEYMAT_H
#define SHRIKE_IKE_KEYMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "alg.h"
#include "isakmp.h"
#include "message.h"

#define IKE_MAX_BLOCK 16
#define IKE_MAX_KEY   32

/* HMAC over several pieces; out gets hash_info(h)->len bytes. 0 or -EINVAL. */
int ike_prf(enum hash_alg h, struct view key, const struct view *pieces, unsigned n, uint8_t *out);
/* Plain hash over several pieces. */
int ike_hash(enum hash_alg h, const struct view *pieces, unsigned n, uint8_t *out);

/* The keys of an ISAKMP SA. Kept in secret memory by its owner. */
struct ike_keys {
	struct ike_transform t;
	uint8_t prf_len;
	uint8_t skeyid[HASH_MAX_LEN], skeyid_d[HASH_MAX_LEN];
	uint8_t skeyid_a[HASH_MAX_LEN], skeyid_e[HASH_MAX_LEN];
	uint8_t cipher_key[IKE_MAX_KEY]; /* Ka: skeyid_e, expanded where that is too short */
	uint8_t block_len;		 /* of the phase 1 cipher */
	uint8_t phase1_iv[IKE_MAX_BLOCK]; /* initial IV */
};

/* RFC 2409 section 5:
 *   PSK:        SKEYID = prf(pre-shared-key, Ni_b | Nr_b)
 *   signatures: SKEYID = prf(Ni_b | Nr_b, g^xy)
 *   SKEYID_d = prf(SKEYID, g^xy | CKY-I | CKY-R | 0)
 *   SKEYID_a = prf(SKEYID, SKEYID_d | g^xy | CKY-I | CKY-R | 1)
 *   SKEYID_e = prf(SKEYID, SKEYID_a | g^xy | CKY-I | CKY-R | 2)
 * and appendix B for Ka; the initial IV is hash(g^xi | g^xr).
 * psk.p == NULL: signature method. 0, -EINVAL, or -EKEYREJECTED (weak DES/3DES key). */
struct ike_keys_in {
	struct view psk, ni, nr, gxy, gxi, gxr;
	const uint8_t *icookie, *rcookie;
};
int ike_keys_derive(const struct ike_transform *t, const struct ike_keys_in *in,
		    struct ike_keys *out);

/* HASH_I = prf(SKEYID, g^xi | g^xr | CKY-I | CKY-R | SAi_b | IDii_b)
 * HASH_R = prf(SKEYID, g^xr | g^xi | CKY-R | CKY-I | SAi_b | IDir_b)
 * initiator selects which; id_body is the sender's whole ID body. */
int ike_auth_hash(const struct ike_keys *k, bool initiator, struct view gxi, struct view gxr,
		  const uint8_t *icookie, const uint8_t *rcookie, struct view sai_b,
		  struct view id_body, uint8_t *out);

/* The same through the HMAC of another hash: ECDSA methods take the curve's own (cert_auth_hash() in
 * cert.h), the keys themselves stay with the negotiated one. */
int ike_auth_hash_with(enum hash_alg h, const struct ike_keys *k, bool initiator, struct view gxi,
		       struct view gxr, const uint8_t *icookie, const uint8_t *rcookie,
		       struct view sai_b, struct view id_body, uint8_t *out);

/* Quick Mode and Informational hashes over the raw payload bytes that follow HASH (rest):
 *   HASH(1) = prf(SKEYID_a, M-ID | rest)            (also Informational)
 *   HASH(2) = prf(SKEYID_a, M-ID | Ni_b | rest)
 *   HASH(3) = prf(SKEYID_a, 0 | M-ID | Ni_b | Nr_b) */
int ike_hash1(const struct ike_keys *k, uint32_t msgid, struct view rest, uint8_t *out);
int ike_hash2(const struct ike_keys *k, uint32_t msgid, struct view ni, struct view rest,
	      uint8_t *out);
int ike_hash3(const struct ike_keys *k, uint32_t msgid, struct view ni, struct view nr,
	      uint8_t *out);

/* hash(last phase 1 CBC block | M-ID), cut to the block (RFC 2409 appendix B). */
int ike_phase2_iv(const struct ike_keys *k, const uint8_t *last_phase1_block, uint32_t msgid,
		  uint8_t *iv);

/* CBC over whole blocks, in place. iv: in the IV, out the last ciphertext block (the IV of the next
 * message; commit it only once the message verified). 0 or -EINVAL (length not whole blocks). */
int ike_encrypt(const struct ike_keys *k, uint8_t *iv, uint8_t *data, size_t len);
int ike_decrypt(const struct ike_keys *k, uint8_t *iv, uint8_t *data, size_t len);

/* NAT-D: hash(CKY-I | CKY-R | IP | port), RFC 3947 section 3.2. */
int ike_natd_hash(enum hash_alg h, const uint8_t *icookie, const uint8_t *rcookie,
		  const struct ip_addr *addr, uint16_t port, uint8_t *out);

/* KEYMAT = prf+(SKEYID_d, [g(qm)^xy |] protocol | SPI | Ni_b | Nr_b), RFC 2409 section 5.5, for one
 * direction: spi (host order) is the receiver's. Fills key (cipher key and salt) and auth to the
 * lengths that t asks for; see esp_key_len() and esp_auth_len(). gxy.len 0: no PFS. */
int ike_keymat(const struct ike_keys *k, uint8_t protocol, uint32_t spi, struct view gxy,
	       struct view ni, struct view nr, const struct esp_transform *t, uint8_t *key,
	       uint8_t *auth);
size_t esp_key_len(const struct esp_transform *t);  /* with salt */
size_t esp_auth_len(const struct esp_transform *t); /* 0 for AEAD */

/* RSA signature of phase 1: PKCS#1 v1.5 over the raw hash, without DigestInfo (RFC 2409 section 5.1).
 * cert_der: the peer's certificate. 0, or -EKEYREJECTED. */
int ike_rsa_verify(struct view cert_der, struct view hash, struct view sig);

#endif
