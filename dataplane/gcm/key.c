/* The tables of one key: AES round keys (FIPS 197 section 5.2) and powers of the hash key. */
#include <string.h>

#include "ghash.h"

#define KEY_WORDS 60 /* of 32 bits: fifteen round keys */

/* AESKEYGENASSIST looks all four bytes up in AES's table without a table in memory. */
static uint32_t sub_word(uint32_t w)
{
	__m128i v = _mm_aeskeygenassist_si128(_mm_set1_epi32((int)w), 0);

	return (uint32_t)_mm_cvtsi128_si32(v);
}

static void round_keys(uint8_t *out, const uint8_t *key, unsigned words, unsigned rounds)
{
	uint32_t w[KEY_WORDS], t;
	uint8_t rcon = 1;

	memcpy(w, key, 4 * words);
	for (unsigned i = words; i < 4 * (rounds + 1); i++) {
		t = w[i - 1];
		if (i % words == 0) {
			t = sub_word(t);
			t = (t >> 8 | t << 24) ^ rcon;
			rcon = (uint8_t)(rcon << 1 ^ (rcon >> 7) * 0x1b);
		} else if (words > 6 && i % words == 4) {
			t = sub_word(t);
		}
		w[i] = w[i - words] ^ t;
	}
	memcpy(out, w, 16 * (rounds + 1));
	explicit_bzero(w, sizeof(w));
}

/* H = AES(0), bytes swapped, times x: see ghash.h. */
static __m128i hash_key(const struct gcm_key *k)
{
	__m128i h = _mm_loadu_si128((const __m128i *)k->round[0]), carry;

	for (unsigned r = 1; r < k->rounds; r++)
		h = _mm_aesenc_si128(h, _mm_loadu_si128((const __m128i *)k->round[r]));
	h = _mm_aesenclast_si128(h, _mm_loadu_si128((const __m128i *)k->round[k->rounds]));
	h = block_swap(h);
	carry = _mm_shuffle_epi32(_mm_srai_epi32(h, 31), 0xff);
	h = _mm_or_si128(_mm_slli_epi64(h, 1), _mm_slli_si128(_mm_srli_epi64(h, 63), 8));
	return _mm_xor_si128(h, _mm_and_si128(carry, ghash_poly()));
}

/* Karatsuba: high plus low half of each power of a batch. Two pairs share 32 bytes: a lane has the
 * sum of the first pair's block in its low half, that of the second's in its high half. */
static void fold_powers(struct gcm_key *k)
{
	for (unsigned j = 0; j < GCM_BATCH; j++) {
		const uint8_t *h = ghash_power(k, 2 * GCM_BATCH) + 32 * j;

		for (unsigned lane = 0; lane < 2; lane++) {
			uint64_t half[2];

			memcpy(half, h + 16 * lane, 16);
			half[0] ^= half[1];
			memcpy(&k->folded[j / 2][16 * lane + 8 * (j % 2)], half, 8);
		}
	}
}

void gcm_key_init(struct gcm_key *k, const uint8_t *key, unsigned key_len)
{
	__m128i h, power;

	k->rounds = (uint8_t)(key_len / 4 + 6);
	round_keys(k->round[0], key, key_len / 4, k->rounds);
	power = h = hash_key(k);
	for (unsigned n = 1; n <= GCM_POWERS; n++) {
		struct product1 p = { _mm_setzero_si128(), _mm_setzero_si128(),
				      _mm_setzero_si128() };

		memcpy(k->power[GCM_POWERS - n], &power, 16);
		product1_add(&p, power, h);
		power = product_reduce(p);
	}
	fold_powers(k);
}
