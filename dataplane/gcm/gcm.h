/* AES-GCM of our own, for CPUs with VAES and VPCLMULQDQ but without AVX-512: AMD's Zen 3, and what
 * Intel sells without AVX-512. As ESP uses it (RFC 4106): a nonce of 12 bytes, 8 or 12 bytes of
 * additional data, in place.
 *
 * Against one call a packet of a library it saves what is the same for every packet: no context, no
 * copy of the nonce, no branch but by length, two small packets at a time. The keys of an SA are
 * 704 bytes, of which a small packet needs 300 in one piece. How it computes: ghash.h,
 * stream.h, two.c (small packets) and vaes.c.
 *
 * Constant time: no branch and no address depends on keys or data, only on lengths. */
#ifndef SHRIKE_DATAPLANE_GCM_H
#define SHRIKE_DATAPLANE_GCM_H

#include <immintrin.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GCM_BATCH  8                   /* pairs of blocks that are computed together */
#define GCM_POWERS (2 * GCM_BATCH + 1) /* of the hash key: a batch, and the block of lengths */

/* A small packet needs the last powers, the number of rounds and the first round keys: they stand
 * side by side, H^8 at the start of a cache line. */
struct gcm_key {
	alignas(64) uint8_t folded[GCM_BATCH / 2][32]; /* Karatsuba's sums of H^16 ... H^1 */
	uint8_t pad[48];
	uint8_t power[GCM_POWERS][16]; /* H^17 ... H^1 */
	uint8_t rounds; /* 10, 12 or 14 */
	alignas(16) uint8_t round[15][16];
};
#define GCM_KEY_HOT   320 /* where a small packet's part of it begins */
#define GCM_KEY_LINES 5   /* and how many cache lines it has with a key of 128 bits */
_Static_assert(offsetof(struct gcm_key, power) + 16 * (GCM_POWERS - 8) == GCM_KEY_HOT,
	       "H^8 begins the hot part");
_Static_assert(offsetof(struct gcm_key, round) + 16 * 11 == GCM_KEY_HOT + 64 * GCM_KEY_LINES,
	       "ten rounds' keys end it");

/* So many bytes behind the data are read. Decryption writes them back as they were; encryption
 * writes the tag there, always 16 bytes. */
#define GCM_BEHIND 32

/* One packet. */
struct gcm_op {
	const struct gcm_key *key;
	uint8_t *data;    /* what is encrypted or decrypted */
	uint32_t len;     /* bytes of it, below 2^31 */
	uint32_t aad_len; /* 8 or 12 bytes; the rest of aad is zero */
	__m128i nonce;    /* 12 bytes, the last four do not matter */
	__m128i aad;
	__m128i tag; /* decryption, out: the computed one */
};

/* key: 16, 24 or 32 bytes. */
void gcm_key_init(struct gcm_key *k, const uint8_t *key, unsigned key_len);

/* n packets, in any mix of keys and lengths. */
void gcm_encrypt(struct gcm_op *op, unsigned n);
void gcm_decrypt(struct gcm_op *op, unsigned n);

#endif
