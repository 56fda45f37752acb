/* AES-GCM (NIST SP 800-38D) with 256-bit VAES and VPCLMULQDQ.
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
 * Long packets go in batches of eight pairs. The rounds of a batch's AES alternate with the hash of
 * a batch whose ciphertext is known: outbound the one before, inbound the same; neither unit waits
 * for the other's latency. The hash multiplies by Karatsuba's method there, three instructions a
 * pair instead of four. What is left, one to eight pairs, is the last batch. Two small packets in
 * sequence that have as many pairs are computed at once, for the same reason.
 *
 * A last pair that is not full: its keystream is masked, so that bytes behind the data stay what
 * they are, and its ciphertext is masked before it is hashed. */
#include <string.h>

#include "ghash.h"

#define BATCH_BYTES (32 * GCM_BATCH)
#define SMALL_PAIRS 4 /* up to so many, packets go by twos */

/* A packet on its way. */
struct stream {
	const struct gcm_key *key;
	uint8_t *at;      /* of the next pair */
	uint32_t left;    /* bytes from there on */
	pair counter;     /* of the next pair, the count in host order */
	__m128i tag_mask; /* the keystream of block 0 */
	pair first;       /* pair 0 as it is hashed */
	__m128i hash;     /* of all batches up to now */
	/* between the steps of a batch's hash */
	struct product sum;
	struct product1 narrow;
	pair x;
};

static const uint8_t masks[64] = {
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
};

GCM_INLINE struct stream stream_open(const struct gcm_op *op)
{
	const pair start = _mm256_set_epi32(2, 0, 0, 0, 1, 0, 0, 0);
	__m128i nonce = _mm_blend_epi16(op->nonce, _mm_setzero_si128(), 0xc0);

	return (struct stream){
		.key = op->key,
		.at = op->data - 16,
		.left = op->len + 16,
		.counter = _mm256_or_si256(_mm256_broadcastsi128_si256(nonce), start),
		.hash = _mm_setzero_si128(),
	};
}

/* ------------------------------------------------------------------------- hash ------------- */

GCM_INLINE pair karatsuba_sum(pair v)
{
	return _mm256_xor_si256(v, _mm256_shuffle_epi32(v, 0x4e));
}

/* A third of the work on pair j of the batch at `from`. The pair that waits for the last batch's
 * hash, the first, is the last to be multiplied. */
GCM_INLINE void hash_third(struct stream *s, const uint8_t *from, bool first, unsigned j,
			   unsigned third)
{
	pair h = pair_load(ghash_power(s->key, 2 * GCM_BATCH) + 32 * j);
	pair folded = pair_load(s->key->folded[j / 2]);

	if (third == 0) {
		s->x = pair_swap(first && j == 0 ? s->first : pair_load(from + 32 * j));
		if (j == 0)
			s->x = _mm256_xor_si256(s->x, _mm256_zextsi128_si256(s->hash));
		s->sum.lo = _mm256_xor_si256(s->sum.lo, _mm256_clmulepi64_epi128(s->x, h, 0x00));
		KEEP_ORDER(s->sum.lo);
	} else if (third == 1) {
		s->sum.hi = _mm256_xor_si256(s->sum.hi, _mm256_clmulepi64_epi128(s->x, h, 0x11));
		KEEP_ORDER(s->sum.hi);
		s->x = karatsuba_sum(s->x);
		KEEP_ORDER(s->x);
	} else {
		s->sum.mid = _mm256_xor_si256(s->sum.mid,
					      j % 2 ? _mm256_clmulepi64_epi128(s->x, folded, 0x10)
						    : _mm256_clmulepi64_epi128(s->x, folded, 0x00));
		KEEP_ORDER(s->sum.mid);
	}
}

/* One step of 3 * 9 of a whole batch; the ninth three sum up. */
GCM_INLINE void hash_step(struct stream *s, const uint8_t *from, bool first, unsigned step)
{
	if (step == 0)
		s->sum = product_zero();
	if (step < 3 * GCM_BATCH) {
		hash_third(s, from, first, (step / 3 + 1) % GCM_BATCH, step % 3);
	} else if (step == 3 * GCM_BATCH) {
		s->sum.mid = _mm256_xor_si256(s->sum.mid, _mm256_xor_si256(s->sum.lo, s->sum.hi));
		s->narrow = product_sum(&s->sum);
	} else if (step == 3 * GCM_BATCH + 1) {
		reduce_low(&s->narrow);
	}
}

/* The last n pairs and the lengths; the tag. */
GCM_INLINE __m128i last_hash(const struct stream *s, const pair *x, unsigned n,
			     const struct gcm_op *op)
{
	__m128i lengths = _mm_set_epi64x((long long)op->aad_len * 8, (long long)op->len * 8);
	const uint8_t *h = ghash_power(s->key, (s->left + 15) / 16 + 1);
	struct product sum = product_zero();
	struct product1 narrow;

	for (unsigned j = 0; j < n; j++) {
		pair v = pair_swap(x[j]);

		if (j == 0)
			v = _mm256_xor_si256(v, _mm256_zextsi128_si256(s->hash));
		product_add(&sum, v, pair_load(h + 32 * j));
	}
	narrow = product_sum(&sum);
	product1_add(&narrow, lengths, _mm_loadu_si128((const __m128i *)ghash_power(s->key, 1)));
	return _mm_xor_si128(block_swap(product_reduce(narrow)), s->tag_mask);
}

/* ------------------------------------------------------------------------- cipher ----------- */

/* The counters of n pairs, with the first round key. */
GCM_INLINE void counters(struct stream *s, pair *b, unsigned n)
{
	const pair order = _mm256_set_epi8(12, 13, 14, 15, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 12,
					   13, 14, 15, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
	const pair two = _mm256_set_epi32(2, 0, 0, 0, 2, 0, 0, 0);
	pair key = pair_both(s->key->round[0]);

	for (unsigned j = 0; j < n; j++) {
		b[j] = _mm256_xor_si256(_mm256_shuffle_epi8(s->counter, order), key);
		s->counter = _mm256_add_epi32(s->counter, two);
	}
}

/* All rounds but the last on n pairs of each of m packets. */
GCM_INLINE void aes(struct stream *s, pair (*b)[GCM_BATCH], unsigned m, unsigned n, unsigned rounds)
{
	for (unsigned i = 0; i < m; i++)
		counters(&s[i], b[i], n);
#pragma GCC unroll 16
	for (unsigned r = 1; r < rounds; r++)
		for (unsigned i = 0; i < m; i++) {
			pair key = pair_both(s[i].key->round[r]);

			for (unsigned j = 0; j < n; j++)
				b[i][j] = _mm256_aesenc_epi128(b[i][j], key);
		}
}

/* The same on n pairs of one packet, and meanwhile the hash of the batch at `from`, whose first
 * pair is s->first if `first`. */
GCM_INLINE void aes_and_hash(struct stream *s, pair *b, unsigned n, unsigned rounds,
			     const uint8_t *from, bool first)
{
	counters(s, b, n);
#pragma GCC unroll 16
	for (unsigned r = 1; r < rounds; r++) {
		pair key = pair_both(s->key->round[r]);

		for (unsigned j = 0; j < n; j++) {
			b[j] = _mm256_aesenc_epi128(b[j], key);
			KEEP_ORDER(b[j]);
			for (unsigned third = 0; third < 3; third++)
				if (j == n * (third + 1) / 4)
					hash_step(s, from, first, 3 * (r - 1) + third);
		}
	}
	s->hash = reduce_mid(&s->narrow);
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

GCM_INLINE void stream_advance(struct stream *s)
{
	s->at += BATCH_BYTES;
	s->left -= BATCH_BYTES;
}

/* A whole batch that is not the first. */
GCM_INLINE void batch_write(struct stream *s, pair *b, unsigned rounds)
{
	pair key = pair_both(s->key->round[rounds]);

	for (unsigned j = 0; j < GCM_BATCH; j++) {
		pair data = pair_load(s->at + 32 * j);

		pair_store(s->at + 32 * j,
			   _mm256_aesenclast_epi128(b[j], _mm256_xor_si256(key, data)));
	}
	stream_advance(s);
}

/* The first batch of a long packet. */
GCM_INLINE void first_batch(struct stream *s, const struct gcm_op *op, unsigned rounds,
			    bool decrypt)
{
	pair b[1][GCM_BATCH];

	if (decrypt) {
		s->first = _mm256_inserti128_si256(first_load(s), op->aad, 0);
		aes_and_hash(s, b[0], GCM_BATCH, rounds, s->at, true);
	} else {
		aes(s, b, 1, GCM_BATCH, rounds);
	}
	last_round(s, b[0], GCM_BATCH, rounds);
	first_pair(s, b[0][0], _mm256_set1_epi8(-1), op, decrypt);
	for (unsigned j = 1; j < GCM_BATCH; j++)
		pair_store(s->at + 32 * j, _mm256_xor_si256(b[0][j], pair_load(s->at + 32 * j)));
	stream_advance(s);
}

/* ------------------------------------------------------------------------- the end ---------- */

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

GCM_INLINE void tag_write(struct gcm_op *op, __m128i tag, bool decrypt)
{
	if (decrypt)
		op->tag = tag;
	else
		_mm_storeu_si128((__m128i *)(op->data + op->len), tag);
}

/* m packets that are whole in n pairs. */
GCM_INLINE void small(struct stream *s, struct gcm_op *op, unsigned m, unsigned n, unsigned rounds,
		      bool decrypt)
{
	pair b[2][GCM_BATCH], x[2][GCM_BATCH];

	aes(s, b, m, n, rounds);
	for (unsigned i = 0; i < m; i++) {
		last_round(&s[i], b[i], n, rounds);
		last_write(&s[i], &op[i], b[i], x[i], n, true, decrypt);
	}
	for (unsigned i = 0; i < m; i++)
		tag_write(&op[i], last_hash(&s[i], x[i], n, &op[i]), decrypt);
}

/* The last n pairs of a long packet. behind, first: the batch whose hash is still due, see
 * aes_and_hash(); behind NULL: none. */
GCM_INLINE void last(struct stream *s, struct gcm_op *op, unsigned n, unsigned rounds,
		     const uint8_t *behind, bool first, bool decrypt)
{
	pair b[1][GCM_BATCH], x[GCM_BATCH];

	if (behind)
		aes_and_hash(s, b[0], n, rounds, behind, first);
	else
		aes(s, b, 1, n, rounds);
	last_round(s, b[0], n, rounds);
	last_write(s, op, b[0], x, n, false, decrypt);
	tag_write(op, last_hash(s, x, n, op), decrypt);
}

GCM_INLINE unsigned pairs(uint32_t bytes)
{
	return (bytes + 31) / 32;
}

/* Calls what(n) with n a constant. */
#define BY_PAIRS(count, what) \
	switch (count) {      \
	case 1:               \
		what(1);      \
		break;        \
	case 2:               \
		what(2);      \
		break;        \
	case 3:               \
		what(3);      \
		break;        \
	case 4:               \
		what(4);      \
		break;        \
	case 5:               \
		what(5);      \
		break;        \
	case 6:               \
		what(6);      \
		break;        \
	case 7:               \
		what(7);      \
		break;        \
	default:              \
		what(8);      \
	}

GCM_INLINE void last_any(struct stream *s, struct gcm_op *op, unsigned rounds,
			 const uint8_t *behind, bool first, bool decrypt){
#define LAST(n) last(s, op, n, rounds, behind, first, decrypt)
	BY_PAIRS(pairs(s->left), LAST)
}

GCM_INLINE void one(struct gcm_op *op, unsigned rounds, bool decrypt)
{
	struct stream s = stream_open(op);
	bool first = true; /* the batch to be hashed is the first */
	pair b[GCM_BATCH];

	if (s.left <= BATCH_BYTES) {
#define ONE(n) small(&s, op, 1, n, rounds, decrypt)
		BY_PAIRS(pairs(s.left), ONE)
		return;
	}
	first_batch(&s, op, rounds, decrypt);
	if (decrypt) {
		for (; s.left > BATCH_BYTES; batch_write(&s, b, rounds))
			aes_and_hash(&s, b, GCM_BATCH, rounds, s.at, false);
		last_any(&s, op, rounds, NULL, false, true);
		return;
	}
	if (s.left > BATCH_BYTES) {
		aes_and_hash(&s, b, GCM_BATCH, rounds, s.at - BATCH_BYTES, true);
		batch_write(&s, b, rounds);
		first = false;
	}
	for (; s.left > BATCH_BYTES; batch_write(&s, b, rounds))
		aes_and_hash(&s, b, GCM_BATCH, rounds, s.at - BATCH_BYTES, false);
	if (first)
		last_any(&s, op, rounds, s.at - BATCH_BYTES, true, false);
	else
		last_any(&s, op, rounds, s.at - BATCH_BYTES, false, false);
}

/* Two small packets with as many pairs and rounds. */
GCM_INLINE void two(struct gcm_op *op, unsigned rounds, bool decrypt)
{
	struct stream s[2] = { stream_open(op), stream_open(op + 1) };

	switch (pairs(s[0].left)) {
	case 1:
		small(s, op, 2, 1, rounds, decrypt);
		break;
	case 2:
		small(s, op, 2, 2, rounds, decrypt);
		break;
	case 3:
		small(s, op, 2, 3, rounds, decrypt);
		break;
	default:
		small(s, op, 2, SMALL_PAIRS, rounds, decrypt);
	}
}

/* ------------------------------------------------------------------------- by key size ------ */

#define FOR_ROUNDS(rounds)                                                            \
	static __attribute__((noinline)) void encrypt_one_##rounds(struct gcm_op *op) \
	{                                                                             \
		one(op, rounds, false);                                               \
	}                                                                             \
	static __attribute__((noinline)) void encrypt_two_##rounds(struct gcm_op *op) \
	{                                                                             \
		two(op, rounds, false);                                               \
	}                                                                             \
	static __attribute__((noinline)) void decrypt_one_##rounds(struct gcm_op *op) \
	{                                                                             \
		one(op, rounds, true);                                                \
	}                                                                             \
	static __attribute__((noinline)) void decrypt_two_##rounds(struct gcm_op *op) \
	{                                                                             \
		two(op, rounds, true);                                                \
	}
FOR_ROUNDS(10)
FOR_ROUNDS(12)
FOR_ROUNDS(14)

typedef void kernel(struct gcm_op *op);

/* [one, two][rounds / 2 - 5] */
static kernel *const encrypt[2][3] = {
	{ encrypt_one_10, encrypt_one_12, encrypt_one_14 },
	{ encrypt_two_10, encrypt_two_12, encrypt_two_14 },
};
static kernel *const decrypt[2][3] = {
	{ decrypt_one_10, decrypt_one_12, decrypt_one_14 },
	{ decrypt_two_10, decrypt_two_12, decrypt_two_14 },
};

static inline bool go_together(const struct gcm_op *a, const struct gcm_op *b)
{
	return pairs(a->len + 16) <= SMALL_PAIRS && pairs(a->len + 16) == pairs(b->len + 16) &&
	       a->key->rounds == b->key->rounds;
}

static inline void run(kernel *const table[2][3], struct gcm_op *op, unsigned n)
{
	for (unsigned i = 0; i < n;) {
		unsigned both = i + 1 < n && go_together(&op[i], &op[i + 1]);

		table[both][op[i].key->rounds / 2 - 5](&op[i]);
		i += 1 + both;
	}
}

void gcm_encrypt(struct gcm_op *op, unsigned n)
{
	run(encrypt, op, n);
}

void gcm_decrypt(struct gcm_op *op, unsigned n)
{
	run(decrypt, op, n);
}
