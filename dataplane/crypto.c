#include "crypto.h"

#include <errno.h>
#include <rte_branch_prediction.h>
#include <string.h>

#include "cpu.h"
#include "secret.h"

/* What IPsec-MB calls our integrity algorithms. hash_len: bytes of one HMAC state and block. */
struct hash_map {
	IMB_HASH_ALG alg;
	uint8_t tag_len; /* a length that the library writes for this algorithm, >= ours */
	uint8_t block;
	uint8_t state;
};

static const struct hash_map hash_map[INTEG_COUNT] = {
	[INTEG_HMAC_MD5_96] = { IMB_AUTH_MD5, 12, 64, 16 },
	[INTEG_HMAC_SHA1_96] = { IMB_AUTH_HMAC_SHA_1, 12, 64, 20 },
	[INTEG_HMAC_SHA256_96] = { IMB_AUTH_HMAC_SHA_256, 16, 64, 32 },
	[INTEG_HMAC_SHA256_128] = { IMB_AUTH_HMAC_SHA_256, 16, 64, 32 },
	[INTEG_HMAC_SHA384_192] = { IMB_AUTH_HMAC_SHA_384, 24, 128, 64 },
	[INTEG_HMAC_SHA512_256] = { IMB_AUTH_HMAC_SHA_512, 32, 128, 64 },
};

/* The IV of an outbound packet is the first ciphertext block: its own IV is zero. */
static const uint8_t zero_iv[16];

static bool aes_bits_valid(uint16_t bits)
{
	return bits == 128 || bits == 192 || bits == 256;
}

bool crypto_supported(const struct sa_params *p)
{
	bool hmac = hash_map[p->integ].tag_len;

	if (p->proto == SA_AH && p->encr != ENCR_AES_GMAC)
		return p->encr == ENCR_NONE && hmac;
	switch (p->encr) {
	case ENCR_AES_GCM_8:
	case ENCR_AES_GCM_12:
	case ENCR_AES_GCM_16:
	case ENCR_AES_GMAC:
		return aes_bits_valid(p->key_bits) && p->integ == INTEG_NONE;
	case ENCR_AES_CBC:
	case ENCR_AES_CTR:
		return aes_bits_valid(p->key_bits) && hmac;
	case ENCR_3DES:
		return p->key_bits == 192 && hmac;
	case ENCR_DES:
		return p->key_bits == 64 && hmac;
	case ENCR_NULL:
		return hmac;
	default:
		return false;
	}
}

static void salt_init(struct sa *sa, const struct sa_params *p)
{
	memcpy(&sa->salt, p->key + p->key_bits / 8, sizeof(sa->salt));
}

static bool own_fits(const struct sa_params *p)
{
	return encr_info(p->encr)->aead && p->encr != ENCR_AES_GMAC && cpu_gcm_own();
}

size_t crypto_keys_size(const struct sa_params *p)
{
	if (!encr_info(p->encr)->aead)
		return sizeof(struct sa_chain);
	return own_fits(p) ? sizeof(struct gcm_key) : sizeof(struct gcm_key_data);
}

static void gcm_init(IMB_MGR *mb, struct sa *sa, const struct sa_params *p)
{
	salt_init(sa, p);
	if (own_fits(p)) {
		sa->crypto = SA_GCM_OWN;
		gcm_key_init(&sa->own, p->key, p->key_bits / 8);
		return;
	}
	switch (p->key_bits) {
	case 128:
		sa->crypto = SA_GCM_128;
		IMB_AES128_GCM_PRE(mb, p->key, &sa->gcm);
		break;
	case 192:
		sa->crypto = SA_GCM_192;
		IMB_AES192_GCM_PRE(mb, p->key, &sa->gcm);
		break;
	default:
		sa->crypto = SA_GCM_256;
		IMB_AES256_GCM_PRE(mb, p->key, &sa->gcm);
	}
	if (p->encr == ENCR_AES_GMAC)
		sa->crypto += SA_GMAC_128 - SA_GCM_128;
}

void crypto_hmac_half(IMB_MGR *mb, IMB_HASH_ALG alg, const uint8_t *key, size_t key_len,
		      uint8_t pad, uint8_t *state)
{
	uint8_t block[128];

	memset(block, pad, sizeof(block));
	for (size_t i = 0; i < key_len; i++)
		block[i] ^= key[i];
	switch (alg) {
	case IMB_AUTH_MD5:
		IMB_MD5_ONE_BLOCK(mb, block, state);
		break;
	case IMB_AUTH_HMAC_SHA_1:
		IMB_SHA1_ONE_BLOCK(mb, block, state);
		break;
	case IMB_AUTH_HMAC_SHA_256:
		IMB_SHA256_ONE_BLOCK(mb, block, state);
		break;
	case IMB_AUTH_HMAC_SHA_384:
		IMB_SHA384_ONE_BLOCK(mb, block, state);
		break;
	default:
		IMB_SHA512_ONE_BLOCK(mb, block, state);
	}
	secret_wipe(block, sizeof(block));
}

static void aes_keys(IMB_MGR *mb, struct sa_chain *c, const struct sa_params *p)
{
	if (p->key_bits == 128)
		IMB_AES_KEYEXP_128(mb, p->key, c->key_enc, c->key_dec);
	else if (p->key_bits == 192)
		IMB_AES_KEYEXP_192(mb, p->key, c->key_enc, c->key_dec);
	else
		IMB_AES_KEYEXP_256(mb, p->key, c->key_enc, c->key_dec);
	c->job.enc_keys = c->key_enc;
	c->job.dec_keys = p->encr == ENCR_AES_CTR ? c->key_enc : c->key_dec;
}

static void cipher_init(IMB_MGR *mb, struct sa_chain *c, const struct sa_params *p)
{
	IMB_JOB *job = &c->job;

	switch (p->encr) {
	case ENCR_AES_CBC:
		job->cipher_mode = IMB_CIPHER_CBC;
		aes_keys(mb, c, p);
		break;
	case ENCR_AES_CTR:
		job->cipher_mode = IMB_CIPHER_CNTR;
		aes_keys(mb, c, p);
		break;
	case ENCR_3DES:
		for (unsigned i = 0; i < 3; i++) {
			IMB_DES_KEYSCHED(mb, c->des[i], p->key + 8 * i);
			c->des_keys[i] = c->des[i];
		}
		job->cipher_mode = IMB_CIPHER_DES3;
		job->enc_keys = c->des_keys;
		job->dec_keys = c->des_keys;
		break;
	case ENCR_DES:
		IMB_DES_KEYSCHED(mb, c->des[0], p->key);
		job->cipher_mode = IMB_CIPHER_DES;
		job->enc_keys = c->des[0];
		job->dec_keys = c->des[0];
		break;
	default:
		job->cipher_mode = IMB_CIPHER_NULL;
	}
	job->key_len_in_bytes = p->key_bits / 8;
}

/* Where the cipher starts, and with which IV. CBC outbound: see crypto_chain_run(). */
static void cipher_place(const struct sa *sa, IMB_JOB *job, const struct sa_params *p)
{
	bool cbc_out = p->dir == SA_OUT && p->encr != ENCR_AES_CTR;

	job->iv_len_in_bytes = sa->iv_len;
	job->cipher_start_src_offset_in_bytes = p->proto == SA_AH ? 0 : 8;
	if (cbc_out)
		job->iv = zero_iv;
	else
		job->cipher_start_src_offset_in_bytes += sa->iv_len;
	if (p->encr == ENCR_AES_CTR)
		job->iv_len_in_bytes = 12; /* the library counts the blocks, from 1 */
}

static void chain_init(IMB_MGR *mb, struct sa *sa, const struct sa_params *p)
{
	struct sa_chain *c = &sa->chain;
	IMB_JOB *job = &c->job;
	size_t auth_len = integ_info(p->integ)->key_len;

	sa->crypto = p->encr == ENCR_3DES || p->encr == ENCR_DES ? SA_CHAIN_ALONE : SA_CHAIN;
	if (p->encr == ENCR_AES_CTR)
		salt_init(sa, p);
	cipher_init(mb, c, p);
	cipher_place(sa, job, p);
	job->hash_alg = hash_map[p->integ].alg;
	crypto_hmac_half(mb, job->hash_alg, p->auth, auth_len, 0x36, c->hmac_ipad);
	crypto_hmac_half(mb, job->hash_alg, p->auth, auth_len, 0x5c, c->hmac_opad);
	job->auth_tag_output_len_in_bytes = hash_map[p->integ].tag_len;
	job->u.HMAC._hashed_auth_key_xor_ipad = c->hmac_ipad;
	job->u.HMAC._hashed_auth_key_xor_opad = c->hmac_opad;
	if (p->dir == SA_OUT) {
		job->cipher_direction = IMB_DIR_ENCRYPT;
		job->chain_order = IMB_ORDER_CIPHER_HASH;
	} else {
		job->cipher_direction = IMB_DIR_DECRYPT;
		job->chain_order = IMB_ORDER_HASH_CIPHER;
	}
#if IMB_VERSION_NUM >= IMB_VERSION(1, 4, 0)
	imb_set_session(mb, job);
#endif
}

int crypto_sa_init(IMB_MGR *mb, struct sa *sa, const struct sa_params *p)
{
	if (!crypto_supported(p))
		return -ENOTSUP;
	if (encr_info(p->encr)->aead)
		gcm_init(mb, sa, p);
	else
		chain_init(mb, sa, p);
	return 0;
}

static void job_fill(IMB_JOB *job, struct crypto_op *op)
{
	const IMB_JOB *tmpl = &op->sa->chain.job;

	*job = *tmpl;
	job->src = op->esp;
	job->dst = op->esp + tmpl->cipher_start_src_offset_in_bytes;
	job->msg_len_to_cipher_in_bytes = op->esp_len - tmpl->cipher_start_src_offset_in_bytes;
	job->msg_len_to_hash_in_bytes = op->esp_len + op->more;
	job->auth_tag_output = op->tag;
	if (tmpl->cipher_mode == IMB_CIPHER_CNTR)
		job->iv = op->iv;
	else if (!job->iv)
		job->iv = op->esp + 8;
	job->user_data = op;
}

static void jobs_collect(IMB_JOB **jobs, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct crypto_op *op = jobs[i]->user_data;

		op->ok = jobs[i]->status == IMB_STATUS_COMPLETED;
	}
}

/* Runs n jobs to the end: the manager is empty before and after, so its ring holds them all. */
static void jobs_run(IMB_MGR *mb, struct crypto_op **ops, uint32_t n)
{
	IMB_JOB *jobs[CRYPTO_BURST];
	uint32_t got = IMB_GET_NEXT_BURST(mb, n, jobs), done;

	for (uint32_t i = 0; i < got; i++)
		job_fill(jobs[i], ops[i]);
	done = IMB_SUBMIT_BURST_NOCHECK(mb, got, jobs);
	jobs_collect(jobs, done);
	while (done < got) {
		uint32_t more = IMB_FLUSH_BURST(mb, got - done, jobs);

		if (!more)
			break;
		jobs_collect(jobs, more);
		done += more;
	}
}

void crypto_chain_run(IMB_MGR *mb, struct crypto_op *ops, uint16_t n)
{
	struct crypto_op *batch[CRYPTO_BURST], *alone;
	uint32_t n_batch = 0;

	for (uint16_t i = 0; i < n; i++) {
		ops[i].ok = false;
		if (likely(ops[i].sa->crypto == SA_CHAIN))
			batch[n_batch++] = &ops[i];
	}
	if (n_batch)
		jobs_run(mb, batch, n_batch);
	if (likely(n_batch == n))
		return;
	/* IPsec-MB up to 2.0 mixes up the buffers of several 3DES jobs on AVX512 (its issue 169);
	 * DES runs in the same kernels */
	for (uint16_t i = 0; i < n; i++) {
		alone = &ops[i];
		if (alone->sa->crypto == SA_CHAIN_ALONE)
			jobs_run(mb, &alone, 1);
	}
}
