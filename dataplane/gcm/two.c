/* Small packets by twos, two after two.
 *
 * The rounds of two packets' AES alternate with the products of two packets' hash: inbound the same ones',
 * outbound those of the two before, whose ciphertext is known. What follows the products, the lengths and the
 * reduction, is done for both packets at once, each in a lane. */
#include "two.h"
#include "stream.h"

#define SMALL_PAIRS 4 /* a packet of so many at most is small */

/* What is left to do for two packets whose ciphertext is known. */
struct ends {
	pair x[2][SMALL_PAIRS]; /* what is multiplied */
	const uint8_t *power[2];    /* by this one and the following */
	pair lengths, first_powers; /* and at last these, a lane each */
	pair tag_masks;
};

/* x: what is hashed, as it lies in the packets. */
GCM_INLINE void ends_fill(struct ends *e, const struct stream *s, const struct gcm_op *op,
			  const pair (*x)[SMALL_PAIRS], unsigned n)
{
	for (unsigned i = 0; i < 2; i++) {
		e->power[i] = last_power(&s[i]);
		for (unsigned j = 0; j < n; j++)
			e->x[i][j] = pair_swap(x[i][j]);
	}
	e->lengths = _mm256_setr_m128i(lengths_of(&op[0]), lengths_of(&op[1]));
	e->first_powers = _mm256_loadu2_m128i((const __m128i *)ghash_power(s[1].key, 1),
					      (const __m128i *)ghash_power(s[0].key, 1));
}

/* All rounds but the last on n pairs of each packet, and meanwhile, if e is not NULL, its products. */
GCM_INLINE void aes_two(struct stream *s, pair (*b)[SMALL_PAIRS], unsigned n, unsigned rounds,
			const struct ends *e, struct product *sum)
{
	for (unsigned i = 0; i < 2; i++) {
		counters(&s[i], b[i], n);
		sum[i] = product_zero();
	}
#pragma GCC unroll 16
	for (unsigned r = 1; r < rounds; r++) {
		for (unsigned i = 0; i < 2; i++) {
			pair key = pair_both(s[i].key->round[r]);

			for (unsigned j = 0; j < n; j++) {
				b[i][j] = _mm256_aesenc_epi128(b[i][j], key);
				KEEP_ORDER(b[i][j]);
			}
		}
		for (unsigned t = 0; e && t < 2 * n; t++) /* 2n products over nine rounds */
			if (t * 9 / (2 * n) == r - 1)
				product_add(&sum[t / n], e->x[t / n][t % n],
					    pair_load(e->power[t / n] + 32 * (t % n)));
	}
}

GCM_INLINE void products(const struct ends *e, unsigned n, struct product *sum)
{
	for (unsigned i = 0; i < 2; i++) {
		sum[i] = product_zero();
		for (unsigned j = 0; j < n; j++)
			product_add(&sum[i], e->x[i][j], pair_load(e->power[i] + 32 * j));
	}
}

GCM_INLINE void write_two(struct stream *s, const struct gcm_op *op, pair (*b)[SMALL_PAIRS],
			  pair (*x)[SMALL_PAIRS], unsigned n, unsigned rounds, bool decrypt)
{
	for (unsigned i = 0; i < 2; i++) {
		last_round(&s[i], b[i], n, rounds);
		last_write(&s[i], &op[i], b[i], x[i], n, true, decrypt);
	}
}

/* The tags of two packets, a lane each. */
GCM_INLINE pair tags(const struct ends *e, const struct product *sum)
{
	struct product both = product_lanes(&sum[0], &sum[1]);

	product_add(&both, e->lengths, e->first_powers);
	return _mm256_xor_si256(pair_swap(lanes_reduce(&both)), e->tag_masks);
}

GCM_INLINE void tags_write(const struct gcm_op *op, pair tag)
{
	_mm256_storeu2_m128i((__m128i *)(op[1].data + op[1].len),
			     (__m128i *)(op[0].data + op[0].len), tag);
}

/* The last round, and what then is left to do. */
GCM_INLINE void cipher_end(struct ends *e, struct stream *s, const struct gcm_op *op,
			   pair (*b)[SMALL_PAIRS], unsigned n, unsigned rounds)
{
	pair x[2][SMALL_PAIRS];

	write_two(s, op, b, x, n, rounds, false);
	ends_fill(e, s, op, x, n);
	e->tag_masks = _mm256_setr_m128i(s[0].tag_mask, s[1].tag_mask);
}

GCM_INLINE void encrypt(struct gcm_op *op, unsigned twos, unsigned n, unsigned rounds)
{
	struct stream s[2] = { stream_open(op), stream_open(op + 1) };
	pair b[2][SMALL_PAIRS];
	struct product sum[2];
	struct ends e;

	aes_two(s, b, n, rounds, NULL, sum);
	cipher_end(&e, s, op, b, n, rounds);
	for (; --twos; op += 2) {
		s[0] = stream_open(op + 2);
		s[1] = stream_open(op + 3);
		aes_two(s, b, n, rounds, &e, sum);
		tags_write(op, tags(&e, sum));
		cipher_end(&e, s, op + 2, b, n, rounds);
	}
	products(&e, n, sum);
	tags_write(op, tags(&e, sum));
}

/* What is hashed of a packet that is encrypted as it lies there. */
GCM_INLINE void cipher_load(const struct stream *s, const struct gcm_op *op, pair *x, unsigned n)
{
	x[0] = first_load(s);
	for (unsigned j = 1; j < n; j++)
		x[j] = pair_load(s->at + 32 * j);
	x[n - 1] = _mm256_and_si256(x[n - 1], pair_load(masks + (32 * n - s->left)));
	x[0] = _mm256_inserti128_si256(x[0], op->aad, 0);
}

GCM_INLINE void decrypt(struct gcm_op *op, unsigned twos, unsigned n, unsigned rounds)
{
	for (unsigned k = 0; k < twos; k++, op += 2) {
		struct stream s[2] = { stream_open(op), stream_open(op + 1) };
		pair b[2][SMALL_PAIRS], x[2][SMALL_PAIRS], tag;
		struct product sum[2];
		struct ends e;

		cipher_load(&s[0], &op[0], x[0], n);
		cipher_load(&s[1], &op[1], x[1], n);
		ends_fill(&e, s, op, x, n);
		aes_two(s, b, n, rounds, &e, sum);
		write_two(s, op, b, x, n, rounds, true);
		e.tag_masks = _mm256_setr_m128i(s[0].tag_mask, s[1].tag_mask);
		tag = tags(&e, sum);
		op[0].tag = _mm256_castsi256_si128(tag);
		op[1].tag = _mm256_extracti128_si256(tag, 1);
	}
}

#define KERNEL(what, n, rounds)                                                            \
	static __attribute__((noinline)) void what##_##n##_##rounds(struct gcm_op *op,     \
								    unsigned twos)         \
	{                                                                                  \
		what(op, twos, n, rounds);                                                 \
	}
#define KERNELS_OF(what, rounds) \
	KERNEL(what, 1, rounds)  \
	KERNEL(what, 2, rounds)  \
	KERNEL(what, 3, rounds)  \
	KERNEL(what, 4, rounds)
#define KERNELS(what)                                                     \
	KERNELS_OF(what, 10)                                              \
	KERNELS_OF(what, 12)                                              \
	KERNELS_OF(what, 14)                                              \
	/* [rounds / 2 - 5][pairs - 1] */                                 \
	static void (*const what##_kernel[3][SMALL_PAIRS])(struct gcm_op *, unsigned) = { \
		{ what##_1_10, what##_2_10, what##_3_10, what##_4_10 },   \
		{ what##_1_12, what##_2_12, what##_3_12, what##_4_12 },   \
		{ what##_1_14, what##_2_14, what##_3_14, what##_4_14 },   \
	};
KERNELS(encrypt)
KERNELS(decrypt)

static inline unsigned op_pairs(const struct gcm_op *op)
{
	return pairs(op->len + 16);
}

unsigned gcm_twos(const struct gcm_op *op, unsigned n)
{
	unsigned i = 1;

	if (op_pairs(op) > SMALL_PAIRS)
		return 0;
	while (i < n && op_pairs(&op[i]) == op_pairs(op) && op[i].key->rounds == op->key->rounds)
		i++;
	return i / 2;
}

void gcm_encrypt_twos(struct gcm_op *op, unsigned twos)
{
	encrypt_kernel[op->key->rounds / 2 - 5][op_pairs(op) - 1](op, twos);
}

void gcm_decrypt_twos(struct gcm_op *op, unsigned twos)
{
	decrypt_kernel[op->key->rounds / 2 - 5][op_pairs(op) - 1](op, twos);
}
