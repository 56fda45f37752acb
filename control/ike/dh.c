/* Diffie-Hellman through OpenSSL's big numbers and curve points rather than EVP_PKEY: for the safe
 * primes a range check of the peer's value is enough, where EVP_PKEY raises it to the full group
 * order and takes ten times as long as the exchange itself. */
#include "dh.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/rand.h>

#include "secret.h"

#define X25519_LEN 32

/* What is fixed for a group, made on first use and kept. */
struct group {
	uint16_t id;
	unsigned exp_bits; /* private exponent, MODP with a safe prime */
	int curve;         /* OpenSSL's number, ECP */
	BIGNUM *(*prime)(BIGNUM *);
	/* filled in by group_get() */
	const struct group_info *info;
	BIGNUM *p, *p_minus_1, *q, *g; /* q only where it is not (p-1)/2 */
	BN_MONT_CTX *mont;
	EC_GROUP *ec;
};

/* Exponents are at least twice the strength that RFC 3526 section 8 and RFC 7919 appendix A give
 * the group, rounded up to words of 64 bits: constant-time exponentiation costs whole words. */
static struct group groups[] = {
	{ .id = 1, .exp_bits = 256, .prime = BN_get_rfc2409_prime_768 },
	{ .id = 2, .exp_bits = 256, .prime = BN_get_rfc2409_prime_1024 },
	{ .id = 5, .exp_bits = 256, .prime = BN_get_rfc3526_prime_1536 },
	{ .id = 14, .exp_bits = 256, .prime = BN_get_rfc3526_prime_2048 },
	{ .id = 15, .exp_bits = 320, .prime = BN_get_rfc3526_prime_3072 },
	{ .id = 16, .exp_bits = 384, .prime = BN_get_rfc3526_prime_4096 },
	{ .id = 17, .exp_bits = 384, .prime = BN_get_rfc3526_prime_6144 },
	{ .id = 18, .exp_bits = 448, .prime = BN_get_rfc3526_prime_8192 },
	{ .id = 19, .curve = NID_X9_62_prime256v1 },
	{ .id = 20, .curve = NID_secp384r1 },
	{ .id = 21, .curve = NID_secp521r1 },
	{ .id = 22 },
	{ .id = 23 },
	{ .id = 24 },
	{ .id = 31 },
};

struct dh {
	const struct group *g;
	BIGNUM *priv;                 /* MODP, ECP */
	uint8_t raw_priv[X25519_LEN]; /* X25519 */
	EVP_PKEY *key;                /* likewise */
	uint8_t pub[GROUP_MAX_LEN];
};

/* --------------------------------------------------------------------- the groups ----------- */

/* The RFC 5114 groups: OpenSSL knows p, q and g by name. */
static bool group_load_named(struct group *g)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME,
						 (char *)g->info->openssl, 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "DHX", NULL);
	EVP_PKEY *key = NULL;
	bool ok = ctx && EVP_PKEY_fromdata_init(ctx) > 0 &&
		  EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEY_PARAMETERS, params) > 0 &&
		  EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_FFC_P, &g->p) &&
		  EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_FFC_Q, &g->q) &&
		  EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_FFC_G, &g->g);

	EVP_PKEY_free(key);
	EVP_PKEY_CTX_free(ctx);
	return ok;
}

static bool group_load_modp(struct group *g)
{
	BN_CTX *ctx = BN_CTX_new();
	bool ok;

	if (g->prime) {
		g->p = g->prime(NULL);
		g->g = BN_new();
		ok = g->p && g->g && BN_set_word(g->g, 2);
	} else {
		ok = group_load_named(g);
	}
	g->mont = BN_MONT_CTX_new();
	g->p_minus_1 = g->p ? BN_dup(g->p) : NULL;
	ok = ok && ctx && g->mont && g->p_minus_1 && BN_sub_word(g->p_minus_1, 1) &&
	     BN_MONT_CTX_set(g->mont, g->p, ctx);
	BN_CTX_free(ctx);
	return ok;
}

static void group_unload(struct group *g)
{
	BN_free(g->p);
	BN_free(g->p_minus_1);
	BN_free(g->q);
	BN_free(g->g);
	BN_MONT_CTX_free(g->mont);
	EC_GROUP_free(g->ec);
	g->info = NULL;
	g->p = g->p_minus_1 = g->q = g->g = NULL;
	g->mont = NULL;
	g->ec = NULL;
}

static bool group_load(struct group *g)
{
	g->info = group_info(g->id);
	switch (g->info->kind) {
	case GROUP_MODP:
		return group_load_modp(g);
	case GROUP_ECP:
		g->ec = EC_GROUP_new_by_curve_name(g->curve);
		return g->ec != NULL;
	case GROUP_CURVE25519:
		return true;
	}
	return false;
}

static void groups_free(void)
{
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		group_unload(&groups[i]);
}

static const struct group *group_get(uint16_t id)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static bool registered;
	const struct group *found = NULL;

	pthread_mutex_lock(&lock);
	if (!registered)
		registered = OPENSSL_atexit(groups_free);
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		struct group *g = &groups[i];
		if (g->id != id)
			continue;
		if (g->info || group_load(g))
			found = g;
		else
			group_unload(g);
	}
	pthread_mutex_unlock(&lock);
	return found;
}

/* ------------------------------------------------------------------- secret numbers --------- */

/* Secret numbers live in OpenSSL's locked heap; its BN functions fail when that is full. Then the
 * same is done in ordinary memory, which is wiped likewise, so that a full heap never stops a
 * negotiation. */
static BIGNUM *secret_num(bool locked)
{
	return locked ? BN_secure_new() : BN_new();
}

static BN_CTX *secret_ctx(bool locked)
{
	return locked ? BN_CTX_secure_new() : BN_CTX_new();
}

/* ------------------------------------------------------------------------- MODP ------------- */

static bool modp_power_in(bool locked, const struct group *g, const BIGNUM *base, const BIGNUM *exp,
			  uint8_t *out)
{
	BN_CTX *ctx = secret_ctx(locked);
	BIGNUM *r = secret_num(locked);
	bool ok = ctx && r && BN_mod_exp_mont_consttime(r, base, exp, g->p, ctx, g->mont) &&
		  BN_bn2binpad(r, out, g->info->public_len) == g->info->public_len;

	BN_clear_free(r);
	BN_CTX_free(ctx);
	return ok;
}

/* out = base^exp mod p, left-padded */
static bool modp_power(const struct group *g, const BIGNUM *base, const BIGNUM *exp, uint8_t *out)
{
	return modp_power_in(true, g, base, exp, out) || modp_power_in(false, g, base, exp, out);
}

static bool modp_random(const struct group *g, BIGNUM *priv)
{
	if (!g->q)
		return BN_priv_rand(priv, (int)g->exp_bits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY);
	do {
		if (!BN_priv_rand_range(priv, g->q))
			return false;
	} while (BN_is_zero(priv));
	return true;
}

/* RFC 2631 section 2.1.5: 2 <= y <= p-2, and y^q = 1 where the subgroup is a small one. */
static bool modp_peer_ok(const struct group *g, const BIGNUM *y)
{
	if (BN_is_zero(y) || BN_is_one(y) || BN_cmp(y, g->p_minus_1) >= 0)
		return false;
	if (!g->q)
		return true;
	BN_CTX *ctx = BN_CTX_new();
	BIGNUM *r = BN_new();
	bool ok = ctx && r && BN_mod_exp_mont(r, y, g->q, g->p, ctx, g->mont) && BN_is_one(r);
	BN_free(r);
	BN_CTX_free(ctx);
	return ok;
}

static int modp_shared(const struct dh *dh, const uint8_t *peer, size_t len, uint8_t *out)
{
	BIGNUM *y = BN_bin2bn(peer, (int)len, NULL);
	int rc = 0;

	if (!y)
		rc = -ENOMEM;
	else if (!modp_peer_ok(dh->g, y))
		rc = -EKEYREJECTED;
	else if (!modp_power(dh->g, y, dh->priv, out))
		rc = -ENOMEM;
	BN_free(y);
	return rc;
}

/* ------------------------------------------------------------------------- ECP -------------- */

static bool ecp_random(const struct group *g, BIGNUM *priv)
{
	do {
		if (!BN_priv_rand_range(priv, EC_GROUP_get0_order(g->ec)))
			return false;
	} while (BN_is_zero(priv));
	return true;
}

/* x | y of a point, or x alone, each padded to the field. */
static bool ecp_write(bool locked, const struct group *g, const EC_POINT *pt, bool with_y,
		      uint8_t *out)
{
	BN_CTX *ctx = secret_ctx(locked);
	BIGNUM *x = secret_num(locked), *y = secret_num(locked);
	int half = g->info->public_len / 2;
	bool ok = ctx && x && y && EC_POINT_get_affine_coordinates(g->ec, pt, x, y, ctx) &&
		  BN_bn2binpad(x, out, half) == half &&
		  (!with_y || BN_bn2binpad(y, out + half, half) == half);

	BN_clear_free(x);
	BN_clear_free(y);
	BN_CTX_free(ctx);
	return ok;
}

static bool ecp_multiply_in(bool locked, const struct dh *dh, const EC_POINT *peer, bool with_y,
			    uint8_t *out)
{
	const struct group *g = dh->g;
	BN_CTX *ctx = secret_ctx(locked);
	EC_POINT *r = EC_POINT_new(g->ec);
	const BIGNUM *base_times = peer ? NULL : dh->priv, *peer_times = peer ? dh->priv : NULL;
	bool ok = ctx && r && EC_POINT_mul(g->ec, r, base_times, peer, peer_times, ctx) &&
		  ecp_write(locked, g, r, with_y, out);

	EC_POINT_clear_free(r);
	BN_CTX_free(ctx);
	return ok;
}

/* out = priv * (peer, or the base point) */
static bool ecp_multiply(const struct dh *dh, const EC_POINT *peer, bool with_y, uint8_t *out)
{
	return ecp_multiply_in(true, dh, peer, with_y, out) ||
	       ecp_multiply_in(false, dh, peer, with_y, out);
}

/* These curves have cofactor 1, so a point on the curve is in the group. */
static int ecp_shared(const struct dh *dh, const uint8_t *peer, size_t len, uint8_t *out)
{
	uint8_t octets[1 + 2 * 66] = { POINT_CONVERSION_UNCOMPRESSED };
	EC_POINT *pt = EC_POINT_new(dh->g->ec);
	int rc = 0;

	memcpy(octets + 1, peer, len);
	if (!pt)
		rc = -ENOMEM;
	else if (!EC_POINT_oct2point(dh->g->ec, pt, octets, len + 1, NULL))
		rc = -EKEYREJECTED; /* also checks that it is on the curve */
	else if (!ecp_multiply(dh, pt, false, out))
		rc = -ENOMEM;
	EC_POINT_free(pt);
	return rc;
}

/* ------------------------------------------------------------------------ X25519 ------------ */

/* The key object is kept: making it again from the private value would compute the public one again, a
 * third of all the work. OpenSSL has its copy of the private value in its locked heap. */
static bool x25519_public(struct dh *dh)
{
	size_t len = X25519_LEN;

	dh->key = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, dh->raw_priv, X25519_LEN);
	return dh->key && EVP_PKEY_get_raw_public_key(dh->key, dh->pub, &len) > 0;
}

static int x25519_shared(const struct dh *dh, const uint8_t *peer, uint8_t *out)
{
	size_t len = X25519_LEN;
	EVP_PKEY *theirs = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, peer, X25519_LEN);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, dh->key, NULL);
	int rc = 0;

	if (!theirs || !ctx || EVP_PKEY_derive_init(ctx) <= 0 ||
	    EVP_PKEY_derive_set_peer(ctx, theirs) <= 0)
		rc = -ENOMEM;
	else if (EVP_PKEY_derive(ctx, out, &len) <= 0)
		rc = -EKEYREJECTED; /* a small-order point: the secret would be zero */
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(theirs);
	return rc;
}

/* ------------------------------------------------------------------------ interface --------- */

static struct dh *dh_alloc(uint16_t group)
{
	const struct group *g = group_get(group);
	struct dh *dh = g ? secret_alloc(sizeof(*dh)) : NULL;

	if (!dh)
		return NULL;
	dh->g = g;
	return dh;
}

/* A new private number, random or as given. */
static bool dh_set_priv_in(bool locked, struct dh *dh, const uint8_t *fixed, size_t len)
{
	BN_clear_free(dh->priv);
	dh->priv = secret_num(locked);
	if (!dh->priv)
		return false;
	BN_set_flags(dh->priv, BN_FLG_CONSTTIME);
	if (fixed)
		return BN_bin2bn(fixed, (int)len, dh->priv) && !BN_is_zero(dh->priv);
	return dh->g->info->kind == GROUP_ECP ? ecp_random(dh->g, dh->priv)
					      : modp_random(dh->g, dh->priv);
}

static bool dh_set_priv(struct dh *dh, const uint8_t *fixed, size_t len)
{
	return dh_set_priv_in(true, dh, fixed, len) || dh_set_priv_in(false, dh, fixed, len);
}

static bool dh_make_public(struct dh *dh)
{
	switch (dh->g->info->kind) {
	case GROUP_MODP:
		return modp_power(dh->g, dh->g->g, dh->priv, dh->pub);
	case GROUP_ECP:
		return ecp_multiply(dh, NULL, true, dh->pub);
	case GROUP_CURVE25519:
		return x25519_public(dh);
	}
	return false;
}

static bool dh_make_private(struct dh *dh)
{
	if (dh->g->info->kind == GROUP_CURVE25519)
		return RAND_priv_bytes(dh->raw_priv, X25519_LEN) == 1;
	return dh_set_priv(dh, NULL, 0);
}

struct dh *dh_new(uint16_t group)
{
	struct dh *dh = dh_alloc(group);

	if (dh && (!dh_make_private(dh) || !dh_make_public(dh))) {
		dh_free(dh);
		dh = NULL;
	}
	ERR_clear_error();
	return dh;
}

struct dh *dh_new_fixed(uint16_t group, const uint8_t *priv, size_t len)
{
	struct dh *dh = dh_alloc(group);
	bool ok = dh && len > 0;

	if (ok && dh->g->info->kind == GROUP_CURVE25519) {
		ok = len == X25519_LEN;
		if (ok)
			memcpy(dh->raw_priv, priv, len);
	} else if (ok) {
		ok = len <= GROUP_MAX_LEN && dh_set_priv(dh, priv, len);
	}
	if (!ok || !dh_make_public(dh)) {
		dh_free(dh);
		dh = NULL;
	}
	ERR_clear_error();
	return dh;
}

void dh_free(struct dh *dh)
{
	if (!dh)
		return;
	BN_clear_free(dh->priv);
	EVP_PKEY_free(dh->key);
	secret_free(dh, sizeof(*dh));
}

uint16_t dh_group(const struct dh *dh)
{
	return dh->g->id;
}

const uint8_t *dh_public(const struct dh *dh)
{
	return dh->pub;
}

int dh_shared(const struct dh *dh, const uint8_t *peer, size_t peer_len, uint8_t *out)
{
	int rc = -EKEYREJECTED;

	if (peer_len != dh->g->info->public_len)
		return rc;
	switch (dh->g->info->kind) {
	case GROUP_MODP:
		rc = modp_shared(dh, peer, peer_len, out);
		break;
	case GROUP_ECP:
		rc = ecp_shared(dh, peer, peer_len, out);
		break;
	case GROUP_CURVE25519:
		rc = x25519_shared(dh, peer, out);
		break;
	}
	ERR_clear_error();
	return rc;
}
