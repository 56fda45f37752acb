/* AES-GCM (NIST SP 800-38D) with 256-bit VAES and VPCLMULQDQ.
 *
 * Long packets go in batches of eight pairs. The rounds of a batch's AES alternate with the hash of
 * a batch whose ciphertext is known: outbound the one before, inbound the same; neither unit waits
 * for the other's latency. The hash multiplies by Karatsuba's method there, three instructions a
 * pair instead of four. What is left, one to eight pairs, is the last batch. Small packets in
 * sequence that have as many pairs go by twos: two.c.
 *
 * What bounds a batch is what the core decodes: on Zen 3 some 245 instructions take 88 cycles, while
 * the units that AES and the multiplications share are busy for 65. So every instruction counts. */
#include "stream.h"
#include "two.h"

#define BATCH_BYTES (32 * GCM_BATCH)

/* The hash of a batch, between its steps. */
struct digest {
	struct product sum;
	struct product1 narrow;
	pair even, odd;
};

/* Adds the products of the low and of the high halves of x and of what lies there. In assembler, to
 * have them side by side and without an operand in memory: both decode faster. */
GCM_INLINE void products_add(pair *low_sum, pair *high_sum, pair x, const uint8_t *at)
{
	pair high = pair_load(at), low;

	__asm__("vpclmulqdq $0x00, %1, %2, %0\n\tvpclmulqdq $0x11, %1, %2, %1"
		: "=&x"(low), "+x"(high)
		: "x"(x));
	*low_sum = _mm256_xor_si256(*low_sum, low);
	KEEP_ORDER(*low_sum);
	*high_sum = _mm256_xor_si256(*high_sum, high);
	KEEP_ORDER(*high_sum);
}

#define HASH_STEPS (3 * GCM_BATCH / 2 + 2)

/* One of three steps of the pairs 2k and 2k + 1 of the batch at `from`. */
GCM_INLINE void hash_two(const struct stream *s, struct digest *d, const uint8_t *from, bool first, unsigned k,
			 unsigned step)
{
	const uint8_t *h = ghash_power(s->key, 2 * GCM_BATCH) + 64 * k;
	pair high;

	if (step == 0) {
		d->even = pair_swap(first && k == 0 ? s->first : pair_load(from + 64 * k));
		if (k == 0)
			d->even = _mm256_xor_si256(d->even, _mm256_zextsi128_si256(s->hash));
		products_add(&d->sum.lo, &d->sum.hi, d->even, h);
	} else if (step == 1) {
		d->odd = pair_swap(pair_load(from + 64 * k + 32));
		products_add(&d->sum.lo, &d->sum.hi, d->odd, h + 32);
	} else {
		high = _mm256_unpackhi_epi64(d->even, d->odd);
		d->even = _mm256_xor_si256(high, _mm256_unpacklo_epi64(d->even, d->odd));
		products_add(&d->sum.mid, &d->sum.mid, d->even, s->key->folded[k]);
	}
}

/* One step of a whole batch; the last two sum up and begin to reduce. The pair that waits for the
 * hash of the batch before, the first, is among the last to be multiplied. */
GCM_INLINE void hash_step(const struct stream *s, struct digest *d, const uint8_t *from, bool first,
			  unsigned step)
{
	if (step == 0)
		d->sum = product_zero();
	if (step < HASH_STEPS - 2) {
		hash_two(s, d, from, first, (step / 3 + 1) % (GCM_BATCH / 2), step % 3);
	} else if (step == HASH_STEPS - 2) {
		d->sum.mid = _mm256_xor_si256(d->sum.mid, _mm256_xor_si256(d->sum.lo, d->sum.hi));
		d->narrow = product_sum(&d->sum);
	} else {
		reduce_low(&d->narrow);
	}
}

/* Products of the last n pairs. */
GCM_INLINE struct product last_products(const struct stream *s, const pair *x, unsigned n)
{
	const uint8_t *h = ghash_power(s->key, (s->left + 15) / 16 + 1);
	struct product sum = product_zero();

	for (unsigned j = 0; j < n; j++) {
		pair v = pair_swap(x[j]);

		if (j == 0)
			v = _mm256_xor_si256(v, _mm256_zextsi128_si256(s->hash));
		product_add(&sum, v, pair_load(h + 32 * j));
	}
	return sum;
}

/* The last n pairs and the lengths; the tag. */
GCM_INLINE __m128i last_hash(const struct stream *s, const pair *x, unsigned n,
			     const struct gcm_op *op)
{
	struct product sum = last_products(s, x, n);
	struct product1 narrow = product_sum(&sum);

	product1_add(&narrow, lengths_of(op),
		     _mm_loadu_si128((const __m128i *)ghash_power(s->key, 1)));
	return _mm_xor_si128(block_swap(product_reduce(narrow)), s->tag_mask);
}

/* ------------------------------------------------------------------------- batches ---------- */

/* All rounds but the last on n pairs. */
GCM_INLINE void aes(struct stream *s, pair *b, unsigned n, unsigned rounds)
{
	counters(s, b, n);
#pragma GCC unroll 16
	for (unsigned r = 1; r < rounds; r++) {
		pair key = pair_both(s->key->round[r]);

		for (unsigned j = 0; j < n; j++)
			b[j] = _mm256_aesenc_epi128(b[j], key);
	}
}

/* The same, and meanwhile the hash of the batch at `from`, whose first
 * pair is s->first if `first`. */
GCM_INLINE void aes_and_hash(struct stream *s, pair *b, unsigned n, unsigned rounds,
			     const uint8_t *from, bool first)
{
	struct digest d;

	counters(s, b, n);
#pragma GCC unroll 16
	for (unsigned r = 1; r < rounds; r++) {
		pair key = pair_both(s->key->round[r]);

#pragma GCC unroll 16
		for (unsigned j = 0; j < n; j++) {
			b[j] = _mm256_aesenc_epi128(b[j], key);
			KEEP_ORDER(b[j]);
#pragma GCC unroll 16
			for (unsigned step = 0; step < HASH_STEPS; step++)
				if ((r - 1) * n + j == step * 9 * n / HASH_STEPS)
					hash_step(s, &d, from, first, step);
		}
	}
	s->hash = reduce_mid(&d.narrow);
}

GCM_INLINE void stream_advance(struct stream *s)
{
	s->at += BATCH_BYTES;
	s->left -= BATCH_BYTES;
	s->base = s->next;
	base_next(s);
}

/* A whole batch that is not the first, and the hash of the one at `from`, see aes_and_hash(). */
GCM_INLINE void next_batch(struct stream *s, unsigned rounds, const uint8_t *from, bool first)
{
	pair b[GCM_BATCH], key;

	aes_and_hash(s, b, GCM_BATCH, rounds, from, first);
	key = pair_both(s->key->round[rounds]);
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
	pair b[GCM_BATCH];

	if (decrypt) {
		s->first = _mm256_inserti128_si256(first_load(s), op->aad, 0);
		aes_and_hash(s, b, GCM_BATCH, rounds, s->at, true);
	} else {
		aes(s, b, GCM_BATCH, rounds);
	}
	last_round(s, b, GCM_BATCH, rounds);
	first_pair(s, b[0], _mm256_set1_epi8(-1), op, decrypt);
	for (unsigned j = 1; j < GCM_BATCH; j++)
		pair_store(s->at + 32 * j, _mm256_xor_si256(b[j], pair_load(s->at + 32 * j)));
	stream_advance(s);
}

/* ------------------------------------------------------------------------- the end ---------- */

GCM_INLINE void tag_write(struct gcm_op *op, __m128i tag, bool decrypt)
{
	if (decrypt)
		op->tag = tag;
	else
		_mm_storeu_si128((__m128i *)(op->data + op->len), tag);
}

/* The last n pairs. whole: they are all of the packet. behind, first: the batch whose hash is still due, see
 * aes_and_hash(); behind NULL: none. */
GCM_INLINE void last(struct stream *s, struct gcm_op *op, unsigned n, unsigned rounds, bool whole,
		     const uint8_t *behind, bool first, bool decrypt)
{
	pair b[GCM_BATCH], x[GCM_BATCH];

	/* Or what all n begin with is loaded before they part, into more registers than there are. */
	__asm__ volatile("" ::: "memory");
	if (behind)
		aes_and_hash(s, b, n, rounds, behind, first);
	else
		aes(s, b, n, rounds);
	last_round(s, b, n, rounds);
	last_write(s, op, b, x, n, whole, decrypt);
	tag_write(op, last_hash(s, x, n, op), decrypt);
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

GCM_INLINE void last_any(struct stream *s, struct gcm_op *op, unsigned rounds, bool whole,
			 const uint8_t *behind, bool first, bool decrypt)
{
#define LAST(n) last(s, op, n, rounds, whole, behind, first, decrypt)
	BY_PAIRS(pairs(s->left), LAST)
}

GCM_INLINE void one(struct gcm_op *op, unsigned rounds, bool decrypt)
{
	struct stream s = stream_open(op);

	stream_long(&s);
	if (s.left <= BATCH_BYTES) {
		last_any(&s, op, rounds, true, NULL, false, decrypt);
		return;
	}
	first_batch(&s, op, rounds, decrypt);
	if (decrypt) {
		while (s.left > BATCH_BYTES)
			next_batch(&s, rounds, s.at, false);
		last_any(&s, op, rounds, false, NULL, false, true);
		return;
	}
	if (s.left <= BATCH_BYTES) {
		last_any(&s, op, rounds, false, s.at - BATCH_BYTES, true, false);
		return;
	}
	next_batch(&s, rounds, s.at - BATCH_BYTES, true);
	while (s.left > BATCH_BYTES)
		next_batch(&s, rounds, s.at - BATCH_BYTES, false);
	last_any(&s, op, rounds, false, s.at - BATCH_BYTES, false, false);
}

/* ------------------------------------------------------------------------- by key size ------ */

#define FOR_ROUNDS(rounds)                                                        \
	static __attribute__((noinline)) void encrypt_##rounds(struct gcm_op *op) \
	{                                                                         \
		one(op, rounds, false);                                           \
	}                                                                         \
	static __attribute__((noinline)) void decrypt_##rounds(struct gcm_op *op) \
	{                                                                         \
		one(op, rounds, true);                                            \
	}
FOR_ROUNDS(10)
FOR_ROUNDS(12)
FOR_ROUNDS(14)

/* By rounds / 2 - 5. */
static void (*const encrypt_one[3])(struct gcm_op *) = { encrypt_10, encrypt_12, encrypt_14 };
static void (*const decrypt_one[3])(struct gcm_op *) = { decrypt_10, decrypt_12, decrypt_14 };

void gcm_encrypt(struct gcm_op *op, unsigned n)
{
	for (unsigned i = 0; i < n;) {
		unsigned twos = gcm_twos(&op[i], n - i);

		if (twos)
			gcm_encrypt_twos(&op[i], twos);
		else
			encrypt_one[op[i].key->rounds / 2 - 5](&op[i]);
		i += twos ? 2 * twos : 1;
	}
}

void gcm_decrypt(struct gcm_op *op, unsigned n)
{
	for (unsigned i = 0; i < n;) {
		unsigned twos = gcm_twos(&op[i], n - i);

		if (twos)
			gcm_decrypt_twos(&op[i], twos);
		else
			decrypt_one[op[i].key->rounds / 2 - 5](&op[i]);
		i += twos ? 2 * twos : 1;
	}
}
