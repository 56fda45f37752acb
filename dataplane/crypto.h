/* Cryptography of the packet path: IPsec-MB behind a few functions.
 *
 * GCM is our own code where the CPU fits (gcm/gcm.h), else one direct call of IPsec-MB a packet. A
 * cipher with an HMAC runs as chained jobs, all packets of a
 * burst at once, so that the library fills its SIMD lanes across packets and SAs. */
#ifndef SHRIKE_DATAPLANE_CRYPTO_H
#define SHRIKE_DATAPLANE_CRYPTO_H

#include <intel-ipsec-mb.h>
#include <rte_branch_prediction.h>
#include <rte_prefetch.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "sa.h"

#define CRYPTO_BURST   64 /* operations in one crypto_chain_run() */
#define CRYPTO_TAG_MAX 64

/* RFC 2104: the hash state after one block of key XOR pad (0x36 inner, 0x5c outer), at most 64
 * bytes. */
void crypto_hmac_half(IMB_MGR *mb, IMB_HASH_ALG alg, const uint8_t *key, size_t key_len,
		      uint8_t pad, uint8_t *state);

/* Expands the keys of p into sa (whose constants are filled in already). 0, -ENOTSUP. */
int crypto_sa_init(IMB_MGR *mb, struct sa *sa, const struct sa_params *p);

/* Bytes of keys that an SA has for p, which is supported. */
size_t crypto_keys_size(const struct sa_params *p);

/* True when this combination can be built; protocol and key length are part of it. */
bool crypto_supported(const struct sa_params *p);

/* One operation of a chained transform, in place. */
struct crypto_op {
	const struct sa *sa;
	uint8_t *esp;     /* the ESP header (AH: the IP header): hashing starts here */
	uint32_t esp_len; /* bytes from there to the end of the ciphertext */
	uint32_t more;    /* bytes behind them that are hashed too: the high half of an ESN */
	uint8_t *tag;     /* CRYPTO_TAG_MAX bytes: the computed ICV, untruncated at most */
	uint8_t iv[12];   /* CTR: salt | IV, RFC 3686 section 4 */
	bool ok;          /* out: false when the library refused the job */
};

/* Encrypts then hashes (OUT), or hashes and decrypts (IN), n <= CRYPTO_BURST operations. Outbound
 * the IV field of CBC holds the counter block; it is enciphered with the rest and so becomes the IV
 * (equal to CBC under an unpredictable IV: the block is encrypted under the SA's key). */
void crypto_chain_run(IMB_MGR *mb, struct crypto_op *ops, uint16_t n);

/* The nonce: salt | IV (RFC 4106 section 4); iv as it lies in the packet. */
static inline __m128i crypto_nonce(const struct sa *sa, uint64_t iv)
{
	return _mm_set_epi64x((long long)(iv >> 32), (long long)(iv << 32 | sa->salt));
}

/* RFC 4106 section 5: SPI | sequence number, all 64 bits of it with ESN. From registers: the header
 * that has the same was only just written. */
static inline __m128i crypto_aad(const struct sa *sa, uint64_t seq)
{
	uint32_t high = __builtin_bswap32((uint32_t)(seq >> 32));
	uint32_t low = __builtin_bswap32((uint32_t)seq), spi = __builtin_bswap32(sa->spi);

	if (unlikely(sa->flags & SA_F_ESN))
		return _mm_set_epi32(0, (int)low, (int)high, (int)spi);
	return _mm_set_epi32(0, 0, (int)low, (int)spi);
}

/* Fills in one packet of an SA of SA_GCM_OWN. */
static inline void crypto_own_add(struct gcm_op *op, const struct sa *sa, uint64_t iv, uint64_t seq,
				  uint8_t *data, uint32_t len)
{
	op->key = &sa->own;
	op->data = data;
	op->len = len;
	op->aad_len = unlikely(sa->flags & SA_F_ESN) ? 12 : 8;
	op->nonce = crypto_nonce(sa, iv);
	op->aad = crypto_aad(sa, seq);
}

/* IPsec-MB's AES-GCM in place over len bytes; nonce 12 bytes, tag: tag_len bytes written. */
static inline void crypto_gcm_encrypt(IMB_MGR *mb, const struct sa *sa,
				      struct gcm_context_data *ctx, uint8_t *data, uint64_t len,
				      const uint8_t *nonce, const uint8_t *aad, uint64_t aad_len,
				      uint8_t *tag)
{
	switch (sa->crypto) {
	case SA_GCM_128:
		IMB_AES128_GCM_ENC(mb, &sa->gcm, ctx, data, data, len, nonce, aad, aad_len, tag,
				   sa->icv_len);
		break;
	case SA_GCM_192:
		IMB_AES192_GCM_ENC(mb, &sa->gcm, ctx, data, data, len, nonce, aad, aad_len, tag,
				   sa->icv_len);
		break;
	default:
		IMB_AES256_GCM_ENC(mb, &sa->gcm, ctx, data, data, len, nonce, aad, aad_len, tag,
				   sa->icv_len);
	}
}

static inline void crypto_gcm_decrypt(IMB_MGR *mb, const struct sa *sa,
				      struct gcm_context_data *ctx, uint8_t *data, uint64_t len,
				      const uint8_t *nonce, const uint8_t *aad, uint64_t aad_len,
				      uint8_t *tag)
{
	switch (sa->crypto) {
	case SA_GCM_128:
		IMB_AES128_GCM_DEC(mb, &sa->gcm, ctx, data, data, len, nonce, aad, aad_len, tag,
				   sa->icv_len);
		break;
	case SA_GCM_192:
		IMB_AES192_GCM_DEC(mb, &sa->gcm, ctx, data, data, len, nonce, aad, aad_len, tag,
				   sa->icv_len);
		break;
	default:
		IMB_AES256_GCM_DEC(mb, &sa->gcm, ctx, data, data, len, nonce, aad, aad_len, tag,
				   sa->icv_len);
	}
}

/* AES-GMAC over len bytes: GCM of nothing, with all of them as additional data. */
static inline void crypto_gmac(IMB_MGR *mb, const struct sa *sa, uint8_t *data, uint64_t len,
			       const uint8_t *nonce, uint8_t *tag)
{
	struct gcm_context_data ctx;

	switch (sa->crypto) {
	case SA_GMAC_128:
		IMB_AES128_GCM_ENC(mb, &sa->gcm, &ctx, data, data, 0, nonce, data, len, tag,
				   sa->icv_len);
		break;
	case SA_GMAC_192:
		IMB_AES192_GCM_ENC(mb, &sa->gcm, &ctx, data, data, 0, nonce, data, len, tag,
				   sa->icv_len);
		break;
	default:
		IMB_AES256_GCM_ENC(mb, &sa->gcm, &ctx, data, data, 0, nonce, data, len, tag,
				   sa->icv_len);
	}
}

/* Fetches the keys that a small packet needs. */
static inline void crypto_prefetch(const struct sa *sa)
{
	const uint8_t *keys = (const uint8_t *)&sa->own + GCM_KEY_HOT;

	for (unsigned i = 0; i < GCM_KEY_LINES; i++)
		rte_prefetch0(keys + 64 * i);
}

#define HDR_COPY 64 /* bytes of the header template that esp_out copies: one line, right-aligned */

/* Constant-time comparison of a computed tag with a received ICV of len bytes, at most 16, behind
 * which as many bytes can be read as are missing to 16. */
static inline bool crypto_tag_match(__m128i tag, const uint8_t *icv, unsigned len)
{
	__m128i same = _mm_cmpeq_epi8(tag, _mm_loadu_si128((const __m128i *)icv));

	return (~(unsigned)_mm_movemask_epi8(same) & ((1u << len) - 1)) == 0;
}

/* Constant-time comparison of two ICVs, 8 bytes or more: whole words, the last one overlapping. */
static inline bool crypto_tag_equal(const uint8_t *a, const uint8_t *b, unsigned len)
{
	uint64_t x, y, diff;

	memcpy(&x, a + len - 8, 8);
	memcpy(&y, b + len - 8, 8);
	diff = x ^ y;
	for (unsigned i = 0; i + 8 < len; i += 8) {
		memcpy(&x, a + i, 8);
		memcpy(&y, b + i, 8);
		diff |= x ^ y;
	}
	return diff == 0;
}

#endif
