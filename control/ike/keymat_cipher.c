/* Encryption of ISAKMP messages and verification of RSA signatures. */
#include "keymat.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

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

/* Without a digest set, OpenSSL recovers the padded block, insists that 00 01 ff..ff 00 fills all that
 * the hash leaves, and compares the rest with the hash, length included. It reads a short signature
 * as a small number, though; one that is not as long as the modulus is refused here. */
static bool rsa_verify(EVP_PKEY *key, struct view hash, struct view sig)
{
	if (!EVP_PKEY_is_a(key, "RSA") || (size_t)EVP_PKEY_get_size(key) != sig.len || !hash.len)
		return false;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	bool ok = ctx && EVP_PKEY_verify_init(ctx) > 0 &&
		  EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) > 0 &&
		  EVP_PKEY_verify(ctx, sig.p, sig.len, hash.p, hash.len) == 1;
	EVP_PKEY_CTX_free(ctx);
	return ok;
}

int ike_rsa_verify(struct view cert_der, struct view hash, struct view sig)
{
	const uint8_t *p = cert_der.p;
	X509 *cert = cert_der.len <= LONG_MAX ? d2i_X509(NULL, &p, (long)cert_der.len) : NULL;
	EVP_PKEY *key = cert ? X509_get0_pubkey(cert) : NULL;
	bool ok = key && rsa_verify(key, hash, sig);

	X509_free(cert);
	ERR_clear_error();
	return ok ? 0 : -EKEYREJECTED;
}
