/* Key derivation and authentication hashes: RFC 2409 section 5 and appendix B. */
#include "keymat.h"

#include <errno.h>
#include <string.h>

#include "bytes.h"
#include "crypto.h"
#include "des.h"
#include "secret.h"

#define COUNT(a)       (sizeof(a) / sizeof((a)[0]))
#define COOKIE(c)      ((struct view){ (c), ISAKMP_COOKIE_LEN })
#define HMAC_MAX_BLOCK 128 /* of SHA-384 and SHA-512 */
#define BYTES(a, len)  ((struct view){ (a), (len) })

/* Key to a whole block: padded with zeros, hashed first when it is longer (RFC 2104). */
static bool hmac_block(EVP_MD_CTX *ctx, const EVP_MD *md, struct view key, uint8_t *block)
{
	memset(block, 0, HMAC_MAX_BLOCK);
	if (key.len <= (size_t)EVP_MD_get_block_size(md)) {
		if (key.len)
			memcpy(block, key.p, key.len);
		return true;
	}
	return EVP_DigestInit_ex2(ctx, md, NULL) && EVP_DigestUpdate(ctx, key.p, key.len) &&
	       EVP_DigestFinal_ex(ctx, block, NULL);
}

/* out = hash((block ^ pad) | pieces) */
static bool hmac_half(EVP_MD_CTX *ctx, const EVP_MD *md, const uint8_t *block, uint8_t pad,
		      const struct view *pieces, unsigned n, uint8_t *out)
{
	size_t len = (size_t)EVP_MD_get_block_size(md);
	uint8_t padded[HMAC_MAX_BLOCK];

	for (size_t i = 0; i < len; i++)
		padded[i] = block[i] ^ pad;
	bool ok = EVP_DigestInit_ex2(ctx, md, NULL) && EVP_DigestUpdate(ctx, padded, len);
	for (unsigned i = 0; i < n && ok; i++)
		ok = EVP_DigestUpdate(ctx, pieces[i].p, pieces[i].len);
	secret_wipe(padded, sizeof(padded));
	return ok && EVP_DigestFinal_ex(ctx, out, NULL);
}

/* HMAC from the hash: OpenSSL's own copies its key into the locked heap at every call, which is
 * slower and fails when that heap is full. */
int ike_prf(enum hash_alg h, struct view key, const struct view *pieces, unsigned n, uint8_t *out)
{
	const EVP_MD *md = crypto_md(h);
	EVP_MD_CTX *ctx = md ? EVP_MD_CTX_new() : NULL;
	uint8_t block[HMAC_MAX_BLOCK], inner[HASH_MAX_LEN];
	const struct view middle = { inner, hash_info(h)->len };
	bool ok = ctx && hmac_block(ctx, md, key, block) &&
		  hmac_half(ctx, md, block, 0x36, pieces, n, inner) &&
		  hmac_half(ctx, md, block, 0x5c, &middle, 1, out);

	EVP_MD_CTX_free(ctx);
	secret_wipe(block, sizeof(block));
	secret_wipe(inner, sizeof(inner));
	return ok ? 0 : -EINVAL;
}

int ike_hash(enum hash_alg h, const struct view *pieces, unsigned n, uint8_t *out)
{
	const EVP_MD *md = crypto_md(h);
	EVP_MD_CTX *ctx = md ? EVP_MD_CTX_new() : NULL;
	bool ok = ctx && EVP_DigestInit_ex2(ctx, md, NULL);

	for (unsigned i = 0; i < n && ok; i++)
		ok = EVP_DigestUpdate(ctx, pieces[i].p, pieces[i].len);
	ok = ok && EVP_DigestFinal_ex(ctx, out, NULL);
	EVP_MD_CTX_free(ctx);
	return ok ? 0 : -EINVAL;
}

/* ------------------------------------------------------------------------ phase 1 ----------- */

/* SKEYID from the pre-shared key, or from the nonces and g^xy with signatures. */
static int skeyid_derive(const struct ike_keys_in *in, struct ike_keys *k)
{
	uint8_t nonces[2 * IKE_NONCE_MAX];

	if (in->psk.p) {
		const struct view pieces[] = { in->ni, in->nr };
		return ike_prf(k->t.hash, in->psk, pieces, COUNT(pieces), k->skeyid);
	}
	if (in->ni.len > IKE_NONCE_MAX || in->nr.len > IKE_NONCE_MAX)
		return -EINVAL;
	memcpy(nonces, in->ni.p, in->ni.len);
	memcpy(nonces + in->ni.len, in->nr.p, in->nr.len);
	return ike_prf(k->t.hash, BYTES(nonces, in->ni.len + in->nr.len), &in->gxy, 1, k->skeyid);
}

/* SKEYID_x = prf(SKEYID, [SKEYID_previous |] g^xy | CKY-I | CKY-R | n) */
static int skeyid_next(const struct ike_keys *k, const struct ike_keys_in *in, uint8_t n,
		       const uint8_t *previous, uint8_t *out)
{
	const struct view pieces[] = {
		BYTES(previous, previous ? k->prf_len : 0U),
		in->gxy,
		COOKIE(in->icookie),
		COOKIE(in->rcookie),
		BYTES(&n, 1),
	};

	return ike_prf(k->t.hash, BYTES(k->skeyid, k->prf_len), pieces, COUNT(pieces), out);
}

/* Ka: SKEYID_e, or where that is too short K1 | K2 | ... with K1 = prf(SKEYID_e, 0),
 * Kn = prf(SKEYID_e, Kn-1). */
static int cipher_key_derive(struct ike_keys *k)
{
	static const uint8_t zero;
	size_t want = k->t.key_bits / 8U;
	uint8_t block[HASH_MAX_LEN];
	struct view last = { &zero, 1 };
	int rc = 0;

	if (want <= k->prf_len) {
		memcpy(k->cipher_key, k->skeyid_e, want);
		return 0;
	}
	for (size_t at = 0; at < want && rc == 0;) {
		size_t n = want - at < k->prf_len ? want - at : k->prf_len;
		rc = ike_prf(k->t.hash, BYTES(k->skeyid_e, k->prf_len), &last, 1, block);
		memcpy(k->cipher_key + at, block, n);
		last = BYTES(block, k->prf_len);
		at += n;
	}
	secret_wipe(block, sizeof(block));
	return rc;
}

static int initial_iv(const struct ike_keys_in *in, struct ike_keys *k)
{
	const struct view pieces[] = { in->gxi, in->gxr };
	uint8_t hash[HASH_MAX_LEN];
	int rc = ike_hash(k->t.hash, pieces, COUNT(pieces), hash);

	memcpy(k->phase1_iv, hash, k->block_len);
	return rc;
}

int ike_keys_derive(const struct ike_transform *t, const struct ike_keys_in *in,
		    struct ike_keys *out)
{
	int rc;

	memset(out, 0, sizeof(*out));
	if (!crypto_md(t->hash) || !crypto_cbc(t->encr, t->key_bits))
		return -EINVAL;
	out->t = *t;
	out->prf_len = hash_info(t->hash)->len;
	out->block_len = encr_info(t->encr)->block_len;
	if ((rc = skeyid_derive(in, out)) || (rc = skeyid_next(out, in, 0, NULL, out->skeyid_d)) ||
	    (rc = skeyid_next(out, in, 1, out->skeyid_d, out->skeyid_a)) ||
	    (rc = skeyid_next(out, in, 2, out->skeyid_a, out->skeyid_e)) ||
	    (rc = cipher_key_derive(out)) || (rc = initial_iv(in, out)))
		goto fail;
	if (des_key_weak(t->encr, out->cipher_key)) {
		rc = -EKEYREJECTED;
		goto fail;
	}
	return 0;
fail:
	secret_wipe(out, sizeof(*out));
	return rc;
}

int ike_auth_hash(const struct ike_keys *k, bool initiator, struct view gxi, struct view gxr,
		  const uint8_t *icookie, const uint8_t *rcookie, struct view sai_b,
		  struct view id_body, uint8_t *out)
{
	return ike_auth_hash_with(k->t.hash, k, initiator, gxi, gxr, icookie, rcookie, sai_b,
				  id_body, out);
}

int ike_auth_hash_with(enum hash_alg h, const struct ike_keys *k, bool initiator, struct view gxi,
		       struct view gxr, const uint8_t *icookie, const uint8_t *rcookie,
		       struct view sai_b, struct view id_body, uint8_t *out)
{
	const struct view pieces[] = {
		initiator ? gxi : gxr,
		initiator ? gxr : gxi,
		COOKIE(initiator ? icookie : rcookie),
		COOKIE(initiator ? rcookie : icookie),
		sai_b,
		id_body,
	};

	return ike_prf(h, BYTES(k->skeyid, k->prf_len), pieces, COUNT(pieces), out);
}

int ike_natd_hash(enum hash_alg h, const uint8_t *icookie, const uint8_t *rcookie,
		  const struct ip_addr *addr, uint16_t port, uint8_t *out)
{
	uint8_t net_port[2];
	const struct view pieces[] = {
		COOKIE(icookie),
		COOKIE(rcookie),
		BYTES(addr->b, ip_addr_len(addr)),
		BYTES(net_port, sizeof(net_port)),
	};

	put_u16(net_port, port);
	return ike_hash(h, pieces, COUNT(pieces), out);
}

/* ------------------------------------------------------------------------ phase 2 ----------- */

static int skeyid_a_prf(const struct ike_keys *k, const struct view *pieces, unsigned n,
			uint8_t *out)
{
	return ike_prf(k->t.hash, BYTES(k->skeyid_a, k->prf_len), pieces, n, out);
}

int ike_hash1(const struct ike_keys *k, uint32_t msgid, struct view rest, uint8_t *out)
{
	uint8_t mid[4];
	const struct view pieces[] = { BYTES(mid, sizeof(mid)), rest };

	put_u32(mid, msgid);
	return skeyid_a_prf(k, pieces, COUNT(pieces), out);
}

int ike_hash2(const struct ike_keys *k, uint32_t msgid, struct view ni, struct view rest,
	      uint8_t *out)
{
	uint8_t mid[4];
	const struct view pieces[] = { BYTES(mid, sizeof(mid)), ni, rest };

	put_u32(mid, msgid);
	return skeyid_a_prf(k, pieces, COUNT(pieces), out);
}

int ike_hash3(const struct ike_keys *k, uint32_t msgid, struct view ni, struct view nr,
	      uint8_t *out)
{
	uint8_t head[5] = { 0 };
	const struct view pieces[] = { BYTES(head, sizeof(head)), ni, nr };

	put_u32(head + 1, msgid);
	return skeyid_a_prf(k, pieces, COUNT(pieces), out);
}

int ike_phase2_iv(const struct ike_keys *k, const uint8_t *last_phase1_block, uint32_t msgid,
		  uint8_t *iv)
{
	uint8_t mid[4], hash[HASH_MAX_LEN];
	const struct view pieces[] = { BYTES(last_phase1_block, k->block_len),
				       BYTES(mid, sizeof(mid)) };

	put_u32(mid, msgid);
	int rc = ike_hash(k->t.hash, pieces, COUNT(pieces), hash);
	if (rc == 0)
		memcpy(iv, hash, k->block_len);
	return rc;
}

size_t esp_key_len(const struct esp_transform *t)
{
	return t->key_bits / 8U + encr_info(t->encr)->salt_len;
}

size_t esp_auth_len(const struct esp_transform *t)
{
	return t->integ == INTEG_NONE ? 0 : integ_info(t->integ)->key_len;
}

/* K1 = prf(SKEYID_d, seed), Kn = prf(SKEYID_d, Kn-1 | seed), until len bytes are there. */
static int prf_plus(const struct ike_keys *k, const struct view *seed, unsigned n, uint8_t *out,
		    size_t len)
{
	struct view pieces[8] = { { NULL, 0 } };
	uint8_t block[HASH_MAX_LEN];
	int rc = 0;

	memcpy(pieces + 1, seed, n * sizeof(*seed));
	for (size_t at = 0; at < len && rc == 0;) {
		size_t take = len - at < k->prf_len ? len - at : k->prf_len;
		rc = ike_prf(k->t.hash, BYTES(k->skeyid_d, k->prf_len), pieces, n + 1, block);
		memcpy(out + at, block, take);
		pieces[0] = BYTES(block, k->prf_len);
		at += take;
	}
	secret_wipe(block, sizeof(block));
	return rc;
}

int ike_keymat(const struct ike_keys *k, uint8_t protocol, uint32_t spi, struct view gxy,
	       struct view ni, struct view nr, const struct esp_transform *t, uint8_t *key,
	       uint8_t *auth)
{
	uint8_t net_spi[4], keymat[IKE_MAX_KEY + 8 + HASH_MAX_LEN];
	const struct view seed[] = { gxy, BYTES(&protocol, 1), BYTES(net_spi, sizeof(net_spi)), ni,
				     nr };
	size_t key_len = esp_key_len(t), auth_len = esp_auth_len(t);

	if (key_len + auth_len > sizeof(keymat))
		return -EINVAL;
	put_u32(net_spi, spi);
	int rc = prf_plus(k, seed, COUNT(seed), keymat, key_len + auth_len);
	if (rc == 0 && des_key_weak(t->encr, keymat))
		rc = -EKEYREJECTED;
	if (rc == 0) {
		memcpy(key, keymat, key_len);
		memcpy(auth, keymat + key_len, auth_len);
	}
	secret_wipe(keymat, sizeof(keymat));
	return rc;
}
