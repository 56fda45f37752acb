/* Memory for keys and other secrets: locked, kept out of core dumps, wiped when freed. Backed by
 * OpenSSL's secure heap (a fixed arena with guard pages, MADV_DONTDUMP); when the arena is full
 * or could not be locked, ordinary memory that is excluded from nothing but still wiped. */
#ifndef SHRIKE_COMMON_SECRET_H
#define SHRIKE_COMMON_SECRET_H

#include <stdbool.h>
#include <stddef.h>

/* Sets up the arena (bytes, rounded up to a power of two), and has OpenSSL wipe whatever it frees. Call
 * once, before threads and before anything else uses OpenSSL. Returns false when the pages could not
 * be locked; secrets then still work and are still wiped. */
bool secret_init(size_t bytes);

/* Zeroed memory, or NULL. Free with secret_free() and the same size. NULL and 0 are fine. */
void *secret_alloc(size_t len);
void secret_free(void *p, size_t len);

/* Overwrites memory in a way the compiler keeps. */
void secret_wipe(void *p, size_t len);
/* Constant-time comparison: true when the len bytes are equal. */
bool secret_equal(const void *a, const void *b, size_t len);

#endif
