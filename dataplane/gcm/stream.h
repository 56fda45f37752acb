/* What the kernels share: a packet as pairs of blocks, counters, and how its two ends are read and written.
 *
 * A packet is seen as blocks from 16 bytes before its data on: block 0 stands for the additional
 * data, whose place in the counter sequence is that of the tag's mask; then come the data. So both
 * the cipher and the hash work on the same pairs of blocks, pair j at counters 2j + 1 and 2j + 2.
 *
 *     place        | data - 16 | data      | data + 16 | ...
 *     counter      | 1         | 2         | 3         |       pair 0 | pair 1 | ...
 *     keystream is | tag mask  | for data  | for data  |
 *     hashed is    | AAD       | ciphertext| ciphertext|       and at last the block of lengths
 *
 * A last pair that is not full: its keystream is masked, so that bytes behind the data stay what
 * they are, and its ciphertext is masked before it is hashed. */
#ifndef SHRIKE_DATAPLANE_GCM_STREAM_H
#define SHRIKE_DATAPLANE_GCM_STREAM_H

#include <string.h>

#include "ghash.h"

/* A packet on its way. */
struct stream {
	const struct gcm_key *key;
	uint8_t *at;      /* of the next pair */
	uint32_t left;    /* bytes from there on */
	pair start;       /* the nonce with a count of 0 and the first round key, twice */
	pair base, next;  /* the same with the count of the batch, and of the next one */
	uint32_t batch;   /* the number of the next one */
	__m128i tag_mask; /* the keystream of block 0 */
	pair first;       /* pair 0 as it is hashed */
	__m128i hash;     /* of all batches up to now */
};

static const uint8_t masks[64] = {
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
};

GCM_INLINE struct stream stream_open(const struct gcm_op *op)
{
	__m128i nonce = _mm_blend_epi16(op->nonce, _mm_setzero_si128(), 0xc0);
	struct stream s; /* clearing all of it would cost as much as a round of AES */

	s.key = op->key;
	s.at = op->data - 16;
	s.left = op->len + 16;
	s.base = _mm256_xor_si256(_mm256_broadcastsi128_si256(nonce), pair_both(s.key->round[0]));
	s.hash = _mm_setzero_si128();
	return s;
}

GCM_INLINE unsigned pairs(uint32_t bytes)
{
	return (bytes + 31) / 32;
}

/* What a batch's counters differ in from its base: the last four bits of their counts. The last
 * block is the first, 0, of the next base. */
#define COUNT(c) 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, (c) % 16
static const alignas(32) uint8_t counts[GCM_BATCH][32] = {
	{ COUNT(1), COUNT(2) },	  { COUNT(3), COUNT(4) },   { COUNT(5), COUNT(6) },
	{ COUNT(7), COUNT(8) },	  { COUNT(9), COUNT(10) },  { COUNT(11), COUNT(12) },
	{ COUNT(13), COUNT(14) }, { COUNT(15), COUNT(16) },
};

/* The base of the next batch. Two packets at once, which are less than a batch, do without. */
GCM_INLINE void base_next(struct stream *s)
{
	const pair place = _mm256_setr_epi32(0, 0, 0, -1, 0, 0, 0, -1);
	uint32_t count = __builtin_bswap32(++s->batch * 2 * GCM_BATCH);

	s->next = _mm256_xor_si256(s->start, _mm256_and_si256(_mm256_set1_epi32((int)count), place));
}

GCM_INLINE void stream_long(struct stream *s)
{
	s->start = s->base;
	s->batch = 0;
	base_next(s);
}

/* The counters of n pairs, with the first round key. */
GCM_INLINE void counters(const struct stream *s, pair *b, unsigned n)
{
	for (unsigned j = 0; j < n; j++)
		b[j] = _mm256_xor_si256(pair_load(counts[j]),
					j < GCM_BATCH - 1 ? s->base :
							    _mm256_blend_epi32(s->base, s->next, 0xf0));
}

GCM_INLINE void last_round(struct stream *s, pair *b, unsigned n, unsigned rounds)
{
	pair key = pair_both(s->key->round[rounds]);

	for (unsigned j = 0; j < n; j++)
		b[j] = _mm256_aesenclast_epi128(b[j], key);
}

/* Pair 0 as it lies there: nothing is read before the data. */
GCM_INLINE pair first_load(const struct stream *s)
{
	return _mm256_inserti128_si256(_mm256_setzero_si256(),
				       _mm_loadu_si128((const __m128i *)(s->at + 16)), 1);
}

/* Pair 0: enciphers its second block, and makes of it what is hashed. */
GCM_INLINE void first_pair(struct stream *s, pair keystream, pair mask, const struct gcm_op *op,
			   bool decrypt)
{
	pair in = first_load(s);
	pair out = _mm256_xor_si256(in, _mm256_and_si256(mask, keystream));

	s->tag_mask = _mm256_castsi256_si128(keystream);
	_mm_storeu_si128((__m128i *)(s->at + 16), _mm256_extracti128_si256(out, 1));
	s->first = _mm256_and_si256(decrypt ? in : out, mask);
	s->first = _mm256_inserti128_si256(s->first, op->aad, 0);
}

/* What the last batch of n pairs does with its keystream; x: what is hashed. */
GCM_INLINE void last_write(struct stream *s, const struct gcm_op *op, pair *b, pair *x, unsigned n,
			   bool whole, bool decrypt)
{
	pair mask = pair_load(masks + (32 * n - s->left));

	for (unsigned j = 0; j < n; j++) {
		pair m = j == n - 1 ? mask : _mm256_set1_epi8(-1), in, out;

		if (whole && j == 0) {
			first_pair(s, b[0], m, op, decrypt);
			x[0] = s->first;
			continue;
		}
		in = pair_load(s->at + 32 * j);
		out = _mm256_xor_si256(in, _mm256_and_si256(m, b[j]));
		pair_store(s->at + 32 * j, out);
		x[j] = _mm256_and_si256(decrypt ? in : out, m);
	}
}

GCM_INLINE __m128i lengths_of(const struct gcm_op *op)
{
	return _mm_set_epi64x((long long)op->aad_len * 8, (long long)op->len * 8);
}

GCM_INLINE const __m128i *first_power(const struct stream *s)
{
	return (const __m128i *)ghash_power(s->key, 1);
}

/* The hash of the last n pairs and the lengths begins with this power. */
GCM_INLINE const uint8_t *last_power(const struct stream *s)
{
	return ghash_power(s->key, (s->left + 15) / 16 + 1);
}

#endif
