#include "ocsp_cache.h"

#include <openssl/sha.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define KEY_LEN 32

struct entry {
	uint8_t key[KEY_LEN]; /* SHA-256 of the certificate, or of the responder's URL */
	int64_t until;        /* 0: unused */
	bool revoked;
};

struct ocsp_cache {
	pthread_mutex_t lock;
	struct entry answers[OCSP_CACHE_MAX], silent[OCSP_SILENT_MAX];
};

struct ocsp_cache *ocsp_cache_new(void)
{
	struct ocsp_cache *c = calloc(1, sizeof(*c));

	if (c)
		pthread_mutex_init(&c->lock, NULL);
	return c;
}

void ocsp_cache_free(struct ocsp_cache *c)
{
	if (!c)
		return;
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* NULL: none that holds. most: no entry can have longer to live, unless the clock was put back. */
static struct entry *find(struct entry *e, size_t n, const uint8_t *key, int64_t now, int64_t most)
{
	for (size_t i = 0; i < n; i++)
		if (e[i].until > now && e[i].until <= now + most &&
		    memcmp(e[i].key, key, KEY_LEN) == 0)
			return &e[i];
	return NULL;
}

/* The one of that key, or the one that ends first. */
static struct entry *place(struct entry *e, size_t n, const uint8_t *key)
{
	struct entry *first = e;

	for (size_t i = 0; i < n; i++) {
		if (e[i].until && memcmp(e[i].key, key, KEY_LEN) == 0)
			return &e[i];
		if (e[i].until < first->until)
			first = &e[i];
	}
	memcpy(first->key, key, KEY_LEN);
	return first;
}

static bool cert_key(X509 *cert, uint8_t *key)
{
	return X509_digest(cert, EVP_sha256(), key, NULL) == 1;
}

bool ocsp_cache_get(struct ocsp_cache *c, X509 *cert, int64_t now, bool *revoked)
{
	uint8_t key[KEY_LEN];

	if (!cert_key(cert, key))
		return false;
	pthread_mutex_lock(&c->lock);
	const struct entry *e = find(c->answers, OCSP_CACHE_MAX, key, now, OCSP_CACHE_S);
	if (e)
		*revoked = e->revoked;
	pthread_mutex_unlock(&c->lock);
	return e != NULL;
}

void ocsp_cache_put(struct ocsp_cache *c, X509 *cert, int64_t now, int64_t until, bool revoked)
{
	uint8_t key[KEY_LEN];

	if (until <= now || !cert_key(cert, key))
		return;
	pthread_mutex_lock(&c->lock);
	struct entry *e = place(c->answers, OCSP_CACHE_MAX, key);
	e->until = until < now + OCSP_CACHE_S ? until : now + OCSP_CACHE_S;
	e->revoked = revoked;
	pthread_mutex_unlock(&c->lock);
}

bool ocsp_cache_silent(struct ocsp_cache *c, const char *url, int64_t now)
{
	uint8_t key[KEY_LEN];

	SHA256((const uint8_t *)url, strlen(url), key);
	pthread_mutex_lock(&c->lock);
	bool silent = find(c->silent, OCSP_SILENT_MAX, key, now, OCSP_SILENT_S) != NULL;
	pthread_mutex_unlock(&c->lock);
	return silent;
}

void ocsp_cache_mute(struct ocsp_cache *c, const char *url, int64_t now)
{
	uint8_t key[KEY_LEN];

	SHA256((const uint8_t *)url, strlen(url), key);
	pthread_mutex_lock(&c->lock);
	place(c->silent, OCSP_SILENT_MAX, key)->until = now + OCSP_SILENT_S;
	pthread_mutex_unlock(&c->lock);
}
