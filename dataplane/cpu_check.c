/* Two managers of IPsec-MB against each other, over everything that crypto.c uses. The keys and
 * data are arbitrary but fixed: a difference shows in any. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu.h"
#include "crypto.h"

#define LENGTHS  48 /* 16, 32, ... bytes, and some odd ones for GCM and CTR */
#define DATA_MAX 1600
#define TAG_MAX  64

struct vector {
	uint8_t key[32], iv[16], aad[12], auth[128];
	uint8_t data[DATA_MAX];
};

/* What one manager made of it. */
struct answer {
	uint8_t data[DATA_MAX];
	uint8_t tag[TAG_MAX];
};

static void vector_fill(struct vector *v, uint32_t seed)
{
	uint8_t *b = (uint8_t *)v;
	uint32_t x = seed * 2654435761u + 1;

	for (size_t i = 0; i < sizeof(*v); i++) {
		x ^= x << 13, x ^= x >> 17, x ^= x << 5;
		b[i] = (uint8_t)(x >> 11);
	}
}

/* 0..15 first, then steps that leave every remainder by 16 */
static uint32_t length_at(unsigned i)
{
	return i < 16 ? i : (i - 15) * 49;
}

/* ------------------------------------------------------------------------- GCM -------------- */

static void gcm_run(IMB_MGR *mb, unsigned bits, const struct vector *v, uint32_t len,
		    struct answer *a)
{
	static struct gcm_key_data key;
	struct gcm_context_data ctx;

	memset(a, 0, sizeof(*a));
	switch (bits) {
	case 128:
		IMB_AES128_GCM_PRE(mb, v->key, &key);
		IMB_AES128_GCM_ENC(mb, &key, &ctx, a->data, v->data, len, v->iv, v->aad, 12, a->tag,
				   16);
		break;
	case 192:
		IMB_AES192_GCM_PRE(mb, v->key, &key);
		IMB_AES192_GCM_ENC(mb, &key, &ctx, a->data, v->data, len, v->iv, v->aad, 12, a->tag,
				   16);
		break;
	default:
		IMB_AES256_GCM_PRE(mb, v->key, &key);
		IMB_AES256_GCM_ENC(mb, &key, &ctx, a->data, v->data, len, v->iv, v->aad, 12, a->tag,
				   16);
	}
	memset(&key, 0, sizeof(key));
}

/* Decrypts in place what gcm_run() made; the tag must come out again. */
static void gcm_back(IMB_MGR *mb, unsigned bits, const struct vector *v, uint32_t len,
		     struct answer *a)
{
	static struct gcm_key_data key;
	struct gcm_context_data ctx;

	switch (bits) {
	case 128:
		IMB_AES128_GCM_PRE(mb, v->key, &key);
		IMB_AES128_GCM_DEC(mb, &key, &ctx, a->data, a->data, len, v->iv, v->aad, 12, a->tag,
				   16);
		break;
	case 192:
		IMB_AES192_GCM_PRE(mb, v->key, &key);
		IMB_AES192_GCM_DEC(mb, &key, &ctx, a->data, a->data, len, v->iv, v->aad, 12, a->tag,
				   16);
		break;
	default:
		IMB_AES256_GCM_PRE(mb, v->key, &key);
		IMB_AES256_GCM_DEC(mb, &key, &ctx, a->data, a->data, len, v->iv, v->aad, 12, a->tag,
				   16);
	}
	memset(&key, 0, sizeof(key));
}

/* GMAC: nothing to encrypt, everything is additional data. */
static void gmac_run(IMB_MGR *mb, unsigned bits, const struct vector *v, uint32_t len, uint8_t *tag)
{
	static struct gcm_key_data key;
	struct gcm_context_data ctx;
	uint8_t none[16] = { 0 };

	switch (bits) {
	case 128:
		IMB_AES128_GCM_PRE(mb, v->key, &key);
		IMB_AES128_GCM_ENC(mb, &key, &ctx, none, none, 0, v->iv, v->data, len, tag, 16);
		break;
	case 192:
		IMB_AES192_GCM_PRE(mb, v->key, &key);
		IMB_AES192_GCM_ENC(mb, &key, &ctx, none, none, 0, v->iv, v->data, len, tag, 16);
		break;
	default:
		IMB_AES256_GCM_PRE(mb, v->key, &key);
		IMB_AES256_GCM_ENC(mb, &key, &ctx, none, none, 0, v->iv, v->data, len, tag, 16);
	}
	memset(&key, 0, sizeof(key));
}

static bool gmac_same(IMB_MGR *one, IMB_MGR *two, unsigned bits, const struct vector *v,
		      uint32_t len)
{
	uint8_t a[16] = { 0 }, b[16] = { 1 };

	gmac_run(one, bits, v, len, a);
	gmac_run(two, bits, v, len, b);
	return memcmp(a, b, sizeof(a)) == 0;
}

static bool gcm_same(IMB_MGR *one, IMB_MGR *two, unsigned bits)
{
	static struct vector v;
	static struct answer a, b;

	for (unsigned i = 0; i < LENGTHS; i++) {
		uint32_t len = length_at(i);

		vector_fill(&v, bits + i);
		gcm_run(one, bits, &v, len, &a);
		gcm_run(two, bits, &v, len, &b);
		if (memcmp(&a, &b, sizeof(a)) != 0)
			return false;
		gcm_back(two, bits, &v, len, &b);
		if (memcmp(b.data, v.data, len) != 0 || memcmp(a.tag, b.tag, 16) != 0)
			return false;
		if (!gmac_same(one, two, bits, &v, len))
			return false;
	}
	return true;
}

/* ------------------------------------------------------------------------- jobs ------------- */

struct cipher {
	const char *name;
	IMB_CIPHER_MODE mode;
	unsigned key_len, block, iv_len;
};

struct hash {
	const char *name;
	IMB_HASH_ALG alg;
	unsigned tag_len, block;
};

static const struct cipher ciphers[] = {
	{ "AES-128-CBC", IMB_CIPHER_CBC, 16, 16, 16 },
	{ "AES-192-CBC", IMB_CIPHER_CBC, 24, 16, 16 },
	{ "AES-256-CBC", IMB_CIPHER_CBC, 32, 16, 16 },
	{ "AES-128-CTR", IMB_CIPHER_CNTR, 16, 1, 16 },
	{ "AES-192-CTR", IMB_CIPHER_CNTR, 24, 1, 16 },
	{ "AES-256-CTR", IMB_CIPHER_CNTR, 32, 1, 16 },
	{ "DES-CBC", IMB_CIPHER_DES, 8, 8, 8 },
	{ "3DES-CBC", IMB_CIPHER_DES3, 24, 8, 8 },
	{ "NULL", IMB_CIPHER_NULL, 0, 1, 0 },
};

static const struct hash hashes[] = {
	{ "HMAC-MD5", IMB_AUTH_MD5, 12, 64 },
	{ "HMAC-SHA1", IMB_AUTH_HMAC_SHA_1, 12, 64 },
	{ "HMAC-SHA256", IMB_AUTH_HMAC_SHA_256, 16, 64 },
	{ "HMAC-SHA384", IMB_AUTH_HMAC_SHA_384, 24, 128 },
	{ "HMAC-SHA512", IMB_AUTH_HMAC_SHA_512, 32, 128 },
};

/* Expanded keys, by the manager that uses them. */
struct keys {
	_Alignas(64) uint8_t enc[16 * 15], dec[16 * 15];
	_Alignas(64) uint64_t des[3][IMB_DES_KEY_SCHED_SIZE / 8];
	const void *des3[3];
	_Alignas(64) uint8_t ipad[64], opad[64];
};

static void keys_expand(IMB_MGR *mb, const struct cipher *c, const struct hash *h,
			const struct vector *v, struct keys *k)
{
	memset(k, 0, sizeof(*k));
	switch (c->key_len) {
	case 16:
		IMB_AES_KEYEXP_128(mb, v->key, k->enc, k->dec);
		break;
	case 24:
		IMB_AES_KEYEXP_192(mb, v->key, k->enc, k->dec);
		break;
	case 32:
		IMB_AES_KEYEXP_256(mb, v->key, k->enc, k->dec);
		break;
	default:
		break;
	}
	for (unsigned i = 0; i < 3; i++) {
		IMB_DES_KEYSCHED(mb, k->des[i], v->key + 8 * i);
		k->des3[i] = k->des[i];
	}
	crypto_hmac_half(mb, h->alg, v->auth, h->block, 0x36, k->ipad);
	crypto_hmac_half(mb, h->alg, v->auth, h->block, 0x5c, k->opad);
}

static void job_fill(IMB_JOB *job, const struct cipher *c, const struct hash *h,
		     const struct vector *v, const struct keys *k, uint32_t len, bool encrypt,
		     struct answer *a)
{
	*job = (IMB_JOB){
		.cipher_mode = c->mode,
		.cipher_direction = encrypt ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT,
		.chain_order = encrypt ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER,
		.hash_alg = h->alg,
		.key_len_in_bytes = c->key_len,
		.iv = v->iv,
		.iv_len_in_bytes = c->iv_len,
		.src = a->data,
		.dst = a->data,
		.msg_len_to_cipher_in_bytes = c->mode == IMB_CIPHER_NULL ? 0 : len,
		.msg_len_to_hash_in_bytes = len,
		.auth_tag_output = a->tag,
		.auth_tag_output_len_in_bytes = h->tag_len,
		.u.HMAC._hashed_auth_key_xor_ipad = k->ipad,
		.u.HMAC._hashed_auth_key_xor_opad = k->opad,
	};
	job->enc_keys = c->mode == IMB_CIPHER_DES    ? k->des[0]
			: c->mode == IMB_CIPHER_DES3 ? (const void *)k->des3
						     : k->enc;
	job->dec_keys = c->mode == IMB_CIPHER_CBC ? k->dec : job->enc_keys;
}

/* DES and 3DES, which the library does block by block in plain C, and so slowly that all lengths with all hashes
 * would take more than a second of every start. */
static bool is_des(const struct cipher *c)
{
	return c->mode == IMB_CIPHER_DES || c->mode == IMB_CIPHER_DES3;
}

static unsigned lengths_of(const struct cipher *c)
{
	return is_des(c) ? LENGTHS / 2 : LENGTHS;
}

/* All lengths in one go, so that the library fills its lanes; DES and 3DES one by one (see
 * crypto.c). */
static bool jobs_run(IMB_MGR *mb, const struct cipher *c, const struct hash *h,
		     const struct vector *v, bool encrypt, const struct answer *from,
		     struct answer *to)
{
	bool alone = is_des(c);
	unsigned done = 0, sent = 0;
	struct keys k;
	IMB_JOB *job;

	keys_expand(mb, c, h, v, &k);
	for (unsigned i = 1; i < lengths_of(c); i++) {
		uint32_t len = length_at(i) / c->block * c->block;
		const uint8_t *src = from ? from[i].data : v->data;

		if (len == 0)
			continue;
		memcpy(to[i].data, src, len); /* in place: the hash is that of src */
		job_fill(IMB_GET_NEXT_JOB(mb), c, h, v, &k, len, encrypt, &to[i]);
		sent++;
		for (job = IMB_SUBMIT_JOB(mb); job; job = alone ? NULL : IMB_GET_COMPLETED_JOB(mb))
			done += job->status == IMB_STATUS_COMPLETED;
		while (alone && (job = IMB_FLUSH_JOB(mb)) != NULL)
			done += job->status == IMB_STATUS_COMPLETED;
	}
	while ((job = IMB_FLUSH_JOB(mb)) != NULL)
		done += job->status == IMB_STATUS_COMPLETED;
	return done == sent;
}

static bool chain_same(IMB_MGR *one, IMB_MGR *two, const struct cipher *c, const struct hash *h,
		       struct answer *a, struct answer *b, struct answer *back)
{
	static struct vector v;
	const size_t size = LENGTHS * sizeof(*a);

	vector_fill(&v, (uint32_t)(c->mode * 64 + h->alg * 8 + c->key_len));
	memset(a, 0, size);
	memset(b, 0, size);
	memset(back, 0, size);
	if (!jobs_run(one, c, h, &v, true, NULL, a) || !jobs_run(two, c, h, &v, true, NULL, b) ||
	    memcmp(a, b, size) != 0)
		return false;
	if (c->mode == IMB_CIPHER_NULL)
		return true;
	/* hash of the ciphertext, then plaintext: the same tag, and what was there before */
	if (!jobs_run(two, c, h, &v, false, b, back))
		return false;
	for (unsigned i = 1; i < lengths_of(c); i++) {
		uint32_t len = length_at(i) / c->block * c->block;

		if (memcmp(back[i].data, v.data, len) != 0 ||
		    memcmp(back[i].tag, b[i].tag, h->tag_len) != 0)
			return false;
	}
	return true;
}

static bool chains_same(IMB_MGR *one, IMB_MGR *two, char *why, size_t why_size)
{
	struct answer *memory = calloc(3 * LENGTHS, sizeof(*memory));
	bool same = memory != NULL;

	for (unsigned i = 0; same && i < sizeof(ciphers) / sizeof(ciphers[0]); i++)
		for (unsigned k = 0; same && k < sizeof(hashes) / sizeof(hashes[0]); k++) {
			same = chain_same(one, two, &ciphers[i], &hashes[k], memory,
					  memory + LENGTHS, memory + 2 * (size_t)LENGTHS);
			if (!same)
				snprintf(why, why_size, "%s with %s differs", ciphers[i].name,
					 hashes[k].name);
		}
	free(memory);
	return same;
}

bool cpu_same_results(IMB_MGR *ordinary, IMB_MGR *other, char *why, size_t why_size)
{
	for (unsigned bits = 128; bits <= 256; bits += 64)
		if (!gcm_same(ordinary, other, bits)) {
			snprintf(why, why_size, "AES-%u-GCM differs", bits);
			return false;
		}
	return chains_same(ordinary, other, why, why_size);
}
