#include "secret.h"

#include <malloc.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

static size_t arena; /* bytes */

/* OpenSSL decodes a private key in ordinary memory and gives that back as it is. */
static void *wiping_malloc(size_t len, const char *file, int line)
{
	(void)file;
	(void)line;
	return malloc(len);
}

static void wiping_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	if (p)
		OPENSSL_cleanse(p, malloc_usable_size(p));
	free(p);
}

static void *wiping_realloc(void *p, size_t len, const char *file, int line)
{
	size_t had = p ? malloc_usable_size(p) : 0;
	void *q = len ? malloc(len) : NULL;

	if (len && !q)
		return NULL;
	if (q && p)
		memcpy(q, p, had < len ? had : len);
	wiping_free(p, file, line);
	return q;
}

bool secret_init(size_t bytes)
{
	size_t size = 4096;

	/* refused once something was allocated: then only what is told to be secret is wiped */
	CRYPTO_set_mem_functions(wiping_malloc, wiping_realloc, wiping_free);
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
