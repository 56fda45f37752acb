/* GHASH (NIST SP 800-38D section 6.4) with carry-less multiplication, two blocks at a time.
 *
 * A block is a polynomial over GF(2) modulo x^128 + x^7 + x^2 + x + 1. GCM numbers bits from the
 * left: with its bytes swapped, a block is that polynomial with the coefficients in reverse. A
 * carry-less product of two reversed polynomials of 128 coefficients is their product reversed,
 * times x^-1; the powers of the hash key are therefore kept times x.
 *
 * n blocks are hashed at once: (((X1·H) + X2)·H + ...)·H = X1·H^n + X2·H^(n-1) + ... + Xn·H. The
 * products are 256 bits wide, as sums of low, middle and high parts; they are added as they are,
 * and reduced once for all of them.
 *
 * Reduction: in reverse, the modulus is x^128 + x^127 + x^126 + x^121 + 1. A low half L (64 bits)
 * is got rid of by adding L times the modulus, which is 1 at that end: what remains is L (from its
 * 1), 64 bits up, and L·(x^63 + x^62 + x^57) = L·0xc200000000000000. Done twice, for both low
 * halves. */
#ifndef SHRIKE_DATAPLANE_GHASH_H
#define SHRIKE_DATAPLANE_GHASH_H

#include "gcm.h"

#define GCM_INLINE static inline __attribute__((always_inline))
/* The order of what is computed is the order in which it stands: the compiler's own is worse. */
#define KEEP_ORDER(v) __asm__("" : "+x"(v))

typedef __m256i pair; /* of blocks */

/* Products before reduction, of pairs and of one block. */
struct product {
	pair lo, mid, hi;
};
struct product1 {
	__m128i lo, mid, hi;
};

GCM_INLINE pair pair_load(const uint8_t *p)
{
	return _mm256_loadu_si256((const __m256i *)p);
}

GCM_INLINE void pair_store(uint8_t *p, pair v)
{
	_mm256_storeu_si256((__m256i *)p, v);
}

GCM_INLINE pair pair_both(const uint8_t *p)
{
	return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)p));
}

GCM_INLINE __m128i block_swap(__m128i v)
{
	return _mm_shuffle_epi8(v,
				_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}

/* The order is an operand in memory: where many pairs are on their way, registers are scarce. */
GCM_INLINE pair pair_swap(pair v)
{
	static const alignas(32) uint8_t order[32] = {
		15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0,
		15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0,
	};

	__asm__("vpshufb %1, %0, %0" : "+x"(v) : "m"(order));
	return v;
}

GCM_INLINE struct product product_zero(void)
{
	return (struct product){ _mm256_setzero_si256(), _mm256_setzero_si256(),
				 _mm256_setzero_si256() };
}

/* Adds both lanes' products. */
GCM_INLINE void product_add(struct product *a, pair x, pair h)
{
	a->lo = _mm256_xor_si256(a->lo, _mm256_clmulepi64_epi128(x, h, 0x00));
	a->mid = _mm256_xor_si256(a->mid, _mm256_clmulepi64_epi128(x, h, 0x01));
	a->mid = _mm256_xor_si256(a->mid, _mm256_clmulepi64_epi128(x, h, 0x10));
	a->hi = _mm256_xor_si256(a->hi, _mm256_clmulepi64_epi128(x, h, 0x11));
}

GCM_INLINE void product1_add(struct product1 *a, __m128i x, __m128i h)
{
	a->lo = _mm_xor_si128(a->lo, _mm_clmulepi64_si128(x, h, 0x00));
	a->mid = _mm_xor_si128(a->mid, _mm_clmulepi64_si128(x, h, 0x01));
	a->mid = _mm_xor_si128(a->mid, _mm_clmulepi64_si128(x, h, 0x10));
	a->hi = _mm_xor_si128(a->hi, _mm_clmulepi64_si128(x, h, 0x11));
}

GCM_INLINE __m128i pair_sum(pair v)
{
	return _mm_xor_si128(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
}

GCM_INLINE struct product1 product_sum(const struct product *a)
{
	return (struct product1){ pair_sum(a->lo), pair_sum(a->mid), pair_sum(a->hi) };
}

GCM_INLINE __m128i ghash_poly(void)
{
	return _mm_set_epi64x((long long)0xc200000000000000ull, 1);
}

/* The first half of the reduction, and the second. */
GCM_INLINE void reduce_low(struct product1 *a)
{
	__m128i t = _mm_clmulepi64_si128(ghash_poly(), a->lo, 0x01);

	a->mid = _mm_xor_si128(_mm_xor_si128(a->mid, t), _mm_shuffle_epi32(a->lo, 0x4e));
}

GCM_INLINE __m128i reduce_mid(const struct product1 *a)
{
	__m128i t = _mm_clmulepi64_si128(ghash_poly(), a->mid, 0x01);

	return _mm_xor_si128(_mm_xor_si128(a->hi, t), _mm_shuffle_epi32(a->mid, 0x4e));
}

/* The same for two packets at once, a lane each. sum: lane 0 is what a's lanes add up to, lane 1 b's. */
GCM_INLINE pair lanes_sum(pair a, pair b)
{
	return _mm256_xor_si256(_mm256_permute2x128_si256(a, b, 0x20),
				_mm256_permute2x128_si256(a, b, 0x31));
}

GCM_INLINE struct product product_lanes(const struct product *a, const struct product *b)
{
	return (struct product){ lanes_sum(a->lo, b->lo), lanes_sum(a->mid, b->mid),
				 lanes_sum(a->hi, b->hi) };
}

GCM_INLINE pair lanes_reduce(const struct product *a)
{
	const pair poly = _mm256_broadcastsi128_si256(ghash_poly());
	pair t = _mm256_clmulepi64_epi128(poly, a->lo, 0x01);
	pair mid = _mm256_xor_si256(_mm256_xor_si256(a->mid, t), _mm256_shuffle_epi32(a->lo, 0x4e));

	t = _mm256_clmulepi64_epi128(poly, mid, 0x01);
	return _mm256_xor_si256(_mm256_xor_si256(a->hi, t), _mm256_shuffle_epi32(mid, 0x4e));
}

GCM_INLINE __m128i product_reduce(struct product1 a)
{
	reduce_low(&a);
	return reduce_mid(&a);
}

/* H^n; a pair read from there is H^n and H^(n-1). */
GCM_INLINE const uint8_t *ghash_power(const struct gcm_key *k, unsigned n)
{
	return &k->power[0][0] + 16 * (GCM_POWERS - n);
}

#endif
