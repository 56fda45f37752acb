#include "crypto.h"

#include <pthread.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>

enum { CBC_3DES, CBC_AES128, CBC_AES192, CBC_AES256, CBC_COUNT };

static EVP_MD *mds[HASH_COUNT];
static EVP_MAC *hmac;
static EVP_MAC_CTX *hmacs[HASH_COUNT];
static EVP_CIPHER *ciphers[CBC_COUNT];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static EVP_MAC_CTX *hmac_with(const char *digest)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)digest, 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC_CTX *ctx = hmac ? EVP_MAC_CTX_new(hmac) : NULL;

	if (ctx && EVP_MAC_CTX_set_params(ctx, params))
		return ctx;
	EVP_MAC_CTX_free(ctx);
	return NULL;
}

static void release(void)
{
	for (unsigned h = HASH_MD5; h < HASH_COUNT; h++) {
		EVP_MAC_CTX_free(hmacs[h]);
		EVP_MD_free(mds[h]);
	}
	for (unsigned c = 0; c < CBC_COUNT; c++)
		EVP_CIPHER_free(ciphers[c]);
	EVP_MAC_free(hmac);
}

static void fetch(void)
{
	static const char *const names[CBC_COUNT] = { "DES-EDE3-CBC", "AES-128-CBC", "AES-192-CBC",
						      "AES-256-CBC" };

	hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	for (unsigned h = HASH_MD5; h < HASH_COUNT; h++) {
		mds[h] = EVP_MD_fetch(NULL, hash_info(h)->openssl, NULL);
		hmacs[h] = hmac_with(hash_info(h)->openssl);
	}
	for (unsigned c = 0; c < CBC_COUNT; c++)
		ciphers[c] = EVP_CIPHER_fetch(NULL, names[c], NULL);
	OPENSSL_atexit(release);
	ERR_clear_error();
}

const EVP_MD *crypto_md(enum hash_alg h)
{
	pthread_once(&once, fetch);
	return h < HASH_COUNT ? mds[h] : NULL;
}

const EVP_MAC_CTX *crypto_hmac(enum hash_alg h)
{
	pthread_once(&once, fetch);
	return h < HASH_COUNT ? hmacs[h] : NULL;
}

const EVP_CIPHER *crypto_cbc(enum encr_alg encr, uint16_t key_bits)
{
	pthread_once(&once, fetch);
	if (encr == ENCR_DES || encr == ENCR_3DES)
		return ciphers[CBC_3DES];
	if (encr != ENCR_AES_CBC)
		return NULL;
	switch (key_bits) {
	case 128:
		return ciphers[CBC_AES128];
	case 192:
		return ciphers[CBC_AES192];
	case 256:
		return ciphers[CBC_AES256];
	default:
		return NULL;
	}
}
