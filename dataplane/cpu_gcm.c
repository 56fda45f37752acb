/* Our own AES-GCM against IPsec-MB's, before the first packet: every length that takes another way
 * through it, with every length of key, as two packets and as one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu.h"
#include "gcm/gcm.h"

#define DATA_MAX  1600
#define ROOM      (DATA_MAX + 64)
#define ALL_UP_TO 600 /* every length; beyond it, steps */
#define STEP      37

struct bench {
	struct gcm_key_data theirs;
	struct gcm_key ours;
	struct gcm_context_data ctx;
	uint8_t key[32];
	alignas(16) uint8_t nonce[16], aad[16];
	uint8_t clear[ROOM], want[ROOM], got[2][ROOM];
	uint8_t tag[16];
};

static void bench_fill(struct bench *b)
{
	uint32_t x = 2463534242u;

	for (size_t i = 0; i < ROOM; i++) {
		x ^= x << 13, x ^= x >> 17, x ^= x << 5;
		b->clear[i] = (uint8_t)(x >> 9);
		b->key[i % 32] ^= (uint8_t)(x >> 3);
		b->nonce[i % 12] ^= (uint8_t)(x >> 5);
		b->aad[i % 12] ^= (uint8_t)(x >> 7);
	}
}

static void keys_make(IMB_MGR *mb, struct bench *b, unsigned bits)
{
	gcm_key_init(&b->ours, b->key, bits / 8);
	if (bits == 128)
		IMB_AES128_GCM_PRE(mb, b->key, &b->theirs);
	else if (bits == 192)
		IMB_AES192_GCM_PRE(mb, b->key, &b->theirs);
	else
		IMB_AES256_GCM_PRE(mb, b->key, &b->theirs);
}

static void theirs_run(IMB_MGR *mb, struct bench *b, unsigned bits, unsigned len, unsigned aad_len)
{
	memcpy(b->want, b->clear, ROOM);
	if (bits == 128)
		IMB_AES128_GCM_ENC(mb, &b->theirs, &b->ctx, b->want, b->clear, len, b->nonce,
				   b->aad, aad_len, b->tag, 16);
	else if (bits == 192)
		IMB_AES192_GCM_ENC(mb, &b->theirs, &b->ctx, b->want, b->clear, len, b->nonce,
				   b->aad, aad_len, b->tag, 16);
	else
		IMB_AES256_GCM_ENC(mb, &b->theirs, &b->ctx, b->want, b->clear, len, b->nonce,
				   b->aad, aad_len, b->tag, 16);
}

/* There and back: n packets alike. */
static bool ours_agree(struct bench *b, unsigned n, unsigned len, unsigned aad_len)
{
	__m128i aad = _mm_load_si128((const __m128i *)b->aad);
	struct gcm_op op[2];

	if (aad_len == 8)
		aad = _mm_move_epi64(aad);
	memcpy(b->want + len, b->tag, 16);
	for (unsigned i = 0; i < n; i++) {
		op[i] = (struct gcm_op){ .key = &b->ours,
					 .data = b->got[i],
					 .len = len,
					 .aad_len = aad_len,
					 .nonce = _mm_load_si128((const __m128i *)b->nonce),
					 .aad = aad };
		memcpy(b->got[i], b->clear, ROOM);
	}
	gcm_encrypt(op, n);
	for (unsigned i = 0; i < n; i++)
		if (memcmp(b->got[i], b->want, ROOM))
			return false;
	memcpy(b->want, b->clear, len);
	gcm_decrypt(op, n);
	for (unsigned i = 0; i < n; i++)
		if (memcmp(b->got[i], b->want, ROOM) || memcmp(&op[i].tag, b->tag, 16))
			return false;
	return true;
}

bool cpu_gcm_same(IMB_MGR *mb, char *why, size_t why_size)
{
	struct bench *b = aligned_alloc(64, (sizeof(*b) + 63) / 64 * 64);
	bool same = b;

	if (b) {
		memset(b, 0, sizeof(*b));
		bench_fill(b);
	}
	for (unsigned bits = 128; same && bits <= 256; bits += 64) {
		keys_make(mb, b, bits);
		for (unsigned len = 0; same && len <= DATA_MAX; len += len < ALL_UP_TO ? 1 : STEP)
			for (unsigned aad = 8; same && aad <= 12; aad += 4) {
				theirs_run(mb, b, bits, len, aad);
				same = ours_agree(b, 1 + (len + aad / 4) % 2, len, aad);
				if (!same)
					snprintf(why, why_size,
						 "AES-%u-GCM over %u bytes is not IPsec-MB's", bits,
						 len);
			}
	}
	free(b);
	return same;
}
