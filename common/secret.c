#include "secret.h"

#include <openssl/crypto.h>

static size_t arena; /* bytes */

bool secret_init(size_t bytes)
{
	size_t size = 4096;

	while (size < bytes)
		size *= 2;
	arena = size;
	return CRYPTO_secure_malloc_init(size, 32) == 1;
}

/* The last quarter is left to OpenSSL, which keeps private keys there while it works on them and has
 * nothing to fall back to. */
static bool arena_has(size_t len)
{
	return !arena || CRYPTO_secure_used() + len <= arena - arena / 4;
}

void *secret_alloc(size_t len)
{
	void *p = arena_has(len) ? OPENSSL_secure_zalloc(len ? len : 1) : NULL;

	/* a full arena must not stop a negotiation: fall back to memory that is only wiped */
	return p ? p : OPENSSL_zalloc(len ? len : 1);
}

void secret_free(void *p, size_t len)
{
	if (p)
		OPENSSL_secure_clear_free(p, len ? len : 1);
}

void secret_wipe(void *p, size_t len)
{
	OPENSSL_cleanse(p, len);
}

bool secret_equal(const void *a, const void *b, size_t len)
{
	return CRYPTO_memcmp(a, b, len) == 0;
}
