/* Encryption of ISAKMP messages. */
#include "keymat.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include <openssl/err.h>

#include "crypto.h"
#include "secret.h"

/* Single DES as 3DES with the same key thrice: E(D(E(x))) = E(x). */
static void cipher_key(const struct ike_keys *k, uint8_t key[IKE_MAX_KEY])
{
	memcpy(key, k->cipher_key, IKE_MAX_KEY);
	if (k->t.encr == ENCR_DES) {
		memcpy(key + 8, k->cipher_key, 8);
		memcpy(key + 16, k->cipher_key, 8);
	}
}

static int cbc(const struct ike_keys *k, bool encrypt, const uint8_t *iv, uint8_t *data, size_t len)
{
	const EVP_CIPHER *cipher = crypto_cbc(k->t.encr, k->t.key_bits);
	EVP_CIPHER_CTX *ctx = cipher ? EVP_CIPHER_CTX_new() : NULL;
	uint8_t key[IKE_MAX_KEY];
	int out = 0;

	cipher_key(k, key);
	bool ok = ctx && EVP_CipherInit_ex2(ctx, cipher, key, iv, encrypt, NULL) &&
		  EVP_CIPHER_CTX_set_padding(ctx, 0) &&
		  EVP_CipherUpdate(ctx, data, &out, data, (int)len) && (size_t)out == len;
	EVP_CIPHER_CTX_free(ctx);
	secret_wipe(key, sizeof(key));
	ERR_clear_error();
	return ok ? 0 : -EINVAL;
}

static bool whole_blocks(const struct ike_keys *k, size_t len)
{
	return k->block_len && len && len <= INT_MAX && len % k->block_len == 0;
}

int ike_encrypt(const struct ike_keys *k, uint8_t *iv, uint8_t *data, size_t len)
{
	if (!whole_blocks(k, len) || cbc(k, true, iv, data, len))
		return -EINVAL;
	memcpy(iv, data + len - k->block_len, k->block_len);
	return 0;
}

int ike_decrypt(const struct ike_keys *k, uint8_t *iv, uint8_t *data, size_t len)
{
	uint8_t next[IKE_MAX_BLOCK];

	if (!whole_blocks(k, len))
		return -EINVAL;
	memcpy(next, data + len - k->block_len, k->block_len);
	if (cbc(k, false, iv, data, len))
		return -EINVAL;
	memcpy(iv, next, k->block_len);
	return 0;
}
