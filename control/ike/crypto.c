#include "crypto.h"

#include <pthread.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

enum { CBC_3DES, CBC_AES128, CBC_AES192, CBC_AES256, CBC_COUNT };

static EVP_MD *mds[HASH_COUNT];
static EVP_CIPHER *ciphers[CBC_COUNT];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void release(void)
{
	for (unsigned h = HASH_MD5; h < HASH_COUNT; h++)
		EVP_MD_free(mds[h]);
	for (unsigned c = 0; c < CBC_COUNT; c++)
		EVP_CIPHER_free(ciphers[c]);
}

static void fetch(void)
{
	static const char *const names[CBC_COUNT] = { "DES-EDE3-CBC", "AES-128-CBC", "AES-192-CBC",
						      "AES-256-CBC" };

	for (unsigned h = HASH_MD5; h < HASH_COUNT; h++)
		mds[h] = EVP_MD_fetch(NULL, hash_info(h)->openssl, NULL);
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
