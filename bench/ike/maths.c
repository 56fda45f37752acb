#include "maths.h"

#include <openssl/core_names.h>
#include <openssl/dh.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>

#include "dh.h"
#include "node.h"

#define MATHS_US 400000 /* of one loop */

double maths_us(uint16_t group)
{
	uint8_t shared[GROUP_MAX_LEN];
	struct dh *peer = dh_new(group);
	uint64_t start = node_clock_us(), now;
	unsigned n = 0;

	do {
		struct dh *dh = dh_new(group);
		if (!dh || !peer ||
		    dh_shared(dh, dh_public(peer), group_info(group)->public_len, shared) != 0)
			abort();
		dh_free(dh);
		n++;
		now = node_clock_us();
	} while (now < start + MATHS_US);
	dh_free(peer);
	return (double)(now - start) / n;
}

/* A fresh key pair of the group. */
static EVP_PKEY *evp_key(uint16_t group)
{
	const struct group_info *g = group_info(group);

	switch (g->kind) {
	case GROUP_ECP:
		return EVP_PKEY_Q_keygen(NULL, NULL, "EC", g->openssl);
	case GROUP_CURVE25519:
		return EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
	default:
		break;
	}
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "DH", NULL);
	EVP_PKEY *key = NULL;
	if (!ctx || EVP_PKEY_keygen_init(ctx) <= 0 ||
	    EVP_PKEY_CTX_set_group_name(ctx, g->openssl) <= 0 || EVP_PKEY_generate(ctx, &key) <= 0)
		key = NULL;
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static bool evp_derive(EVP_PKEY *ours, EVP_PKEY *theirs)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, ours, NULL);
	uint8_t shared[GROUP_MAX_LEN];
	size_t len = sizeof(shared);
	bool ok = ctx && EVP_PKEY_derive_init(ctx) > 0 &&
		  EVP_PKEY_derive_set_peer(ctx, theirs) > 0 &&
		  EVP_PKEY_derive(ctx, shared, &len) > 0;

	EVP_PKEY_CTX_free(ctx);
	return ok;
}

double maths_evp_us(uint16_t group)
{
	EVP_PKEY *peer = group_info(group)->openssl ? evp_key(group) : NULL;
	uint64_t start = node_clock_us(), now = start;
	unsigned n = 0;

	while (peer && now < start + MATHS_US) {
		EVP_PKEY *key = evp_key(group);
		if (!key || !evp_derive(key, peer))
			abort();
		EVP_PKEY_free(key);
		n++;
		now = node_clock_us();
	}
	EVP_PKEY_free(peer);
	return n ? (double)(now - start) / n : 0;
}
