/* What OCSP responders have said, for as long as it may be believed, and who did not answer of
 * late. Bounded; any thread, several at once. Times are seconds since the epoch. */
#ifndef SHRIKE_IKE_OCSP_CACHE_H
#define SHRIKE_IKE_OCSP_CACHE_H

#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>

#define OCSP_CACHE_MAX  1024 /* certificates; the answer that ends first makes room */
#define OCSP_CACHE_S    3600 /* an answer is asked for again after that, however long it is valid */
#define OCSP_SILENT_MAX 16   /* responders */
#define OCSP_SILENT_S   30   /* one that did not answer is not asked again that long */

struct ocsp_cache;

struct ocsp_cache *ocsp_cache_new(void);    /* NULL: no memory */
void ocsp_cache_free(struct ocsp_cache *c); /* NULL is fine */
/* False: nothing is known. */
bool ocsp_cache_get(struct ocsp_cache *c, X509 *cert, int64_t now, bool *revoked);
/* until: the answer's nextUpdate. */
void ocsp_cache_put(struct ocsp_cache *c, X509 *cert, int64_t now, int64_t until, bool revoked);
bool ocsp_cache_silent(struct ocsp_cache *c, const char *url, int64_t now);
/* It did not answer. */
void ocsp_cache_mute(struct ocsp_cache *c, const char *url, int64_t now);

#endif
