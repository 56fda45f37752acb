/* Signatures of phase 1: over HASH_I or HASH_R itself, which is a hash already. */
#include <errno.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#include "cert_x509.h"
#include "keymat.h"

#define ECDSA_MAX_DER 144 /* two integers of 67 bytes and their headers */

struct ecdsa_kind {
	uint16_t auth;
	int bits; /* of the curve */
	const char *curve;
	const char *alias; /* as keys in files may call it */
	enum hash_alg hash;
};

/* RFC 4754 section 4 */
static const struct ecdsa_kind ecdsa_kinds[] = {
	{ AUTH_ECDSA_256, 256, "prime256v1", "P-256", HASH_SHA256 },
	{ AUTH_ECDSA_384, 384, "secp384r1", "P-384", HASH_SHA384 },
	{ AUTH_ECDSA_521, 521, "secp521r1", "P-521", HASH_SHA512 },
};

#define N_KINDS (sizeof(ecdsa_kinds) / sizeof(ecdsa_kinds[0]))

static const struct ecdsa_kind *ecdsa_kind(uint16_t auth)
{
	for (size_t i = 0; i < N_KINDS; i++)
		if (ecdsa_kinds[i].auth == auth)
			return &ecdsa_kinds[i];
	return NULL;
}

enum hash_alg cert_auth_hash(uint16_t auth, enum hash_alg negotiated)
{
	const struct ecdsa_kind *kind = ecdsa_kind(auth);

	return kind ? kind->hash : negotiated;
}

uint16_t cert_key_auth(EVP_PKEY *key)
{
	char curve[64];
	size_t len;

	if (EVP_PKEY_is_a(key, "RSA"))
		return AUTH_RSA_SIG;
	if (!EVP_PKEY_is_a(key, "EC") || !EVP_PKEY_get_group_name(key, curve, sizeof(curve), &len))
		return 0;
	for (size_t i = 0; i < N_KINDS; i++)
		if (strcmp(curve, ecdsa_kinds[i].curve) == 0 ||
		    strcmp(curve, ecdsa_kinds[i].alias) == 0)
			return ecdsa_kinds[i].auth;
	return 0;
}

/* Without a digest set, OpenSSL recovers the padded block, insists that 00 01 ff..ff 00 fills all
 * that the hash leaves, and compares the rest with the hash, length included. It reads a short
 * signature as a small number, though; one that is not as long as the modulus is refused here. */
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

/* r | s as OpenSSL's DER; the length of it, or 0. */
static size_t ecdsa_to_der(struct view sig, uint8_t *der)
{
	ECDSA_SIG *s = ECDSA_SIG_new();
	BIGNUM *r_num = BN_bin2bn(sig.p, (int)(sig.len / 2), NULL);
	BIGNUM *s_num = BN_bin2bn(sig.p + sig.len / 2, (int)(sig.len / 2), NULL);
	int len = 0;

	if (s && r_num && s_num && ECDSA_SIG_set0(s, r_num, s_num)) {
		len = i2d_ECDSA_SIG(s, &der);
	} else {
		BN_free(r_num);
		BN_free(s_num);
	}
	ECDSA_SIG_free(s);
	return len > 0 ? (size_t)len : 0;
}

static bool ecdsa_verify(EVP_PKEY *key, const struct ecdsa_kind *kind, struct view hash,
			 struct view sig)
{
	size_t half = ((size_t)kind->bits + 7) / 8, len;
	uint8_t der[ECDSA_MAX_DER];

	/* RFC 4754 section 7: both numbers padded to the field */
	if (cert_key_auth(key) != kind->auth || sig.len != 2 * half ||
	    hash.len != hash_info(kind->hash)->len)
		return false;
	len = ecdsa_to_der(sig, der);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	bool ok = len && ctx && EVP_PKEY_verify_init(ctx) > 0 &&
		  EVP_PKEY_verify(ctx, der, len, hash.p, hash.len) == 1;
	EVP_PKEY_CTX_free(ctx);
	return ok;
}

bool signature_verify(EVP_PKEY *key, uint16_t auth, struct view hash, struct view sig)
{
	const struct ecdsa_kind *kind = ecdsa_kind(auth);
	bool ok = auth == AUTH_RSA_SIG ? rsa_verify(key, hash, sig)
		  : kind               ? ecdsa_verify(key, kind, hash, sig)
				       : false;

	ERR_clear_error();
	return ok;
}

static int ecdsa_from_der(const uint8_t *der, size_t len, uint8_t *out, size_t half)
{
	ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &der, (long)len);
	bool ok = s && BN_bn2binpad(ECDSA_SIG_get0_r(s), out, (int)half) == (int)half &&
		  BN_bn2binpad(ECDSA_SIG_get0_s(s), out + half, (int)half) == (int)half;

	ECDSA_SIG_free(s);
	return ok ? (int)(2 * half) : -EIO;
}

int signature_make(EVP_PKEY *key, struct view hash, uint8_t *out, size_t cap)
{
	const struct ecdsa_kind *kind = ecdsa_kind(cert_key_auth(key));
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	size_t half = kind ? ((size_t)kind->bits + 7) / 8 : 0;
	uint8_t der[ECDSA_MAX_DER];
	size_t len = kind ? sizeof(der) : cap;
	int rc = -EIO;

	if (2 * half > cap || !ctx || EVP_PKEY_sign_init(ctx) <= 0)
		goto done;
	if (!kind && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) <= 0)
		goto done;
	if (EVP_PKEY_sign(ctx, kind ? der : out, &len, hash.p, hash.len) <= 0)
		goto done;
	rc = kind ? ecdsa_from_der(der, len, out, half) : (int)len;
done:
	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
	return rc;
}

int ike_rsa_verify(struct view cert_der, struct view hash, struct view sig)
{
	const uint8_t *p = cert_der.p;
	X509 *cert = d2i_X509(NULL, &p, (long)cert_der.len);
	EVP_PKEY *key = cert ? X509_get0_pubkey(cert) : NULL;
	bool ok = key && signature_verify(key, AUTH_RSA_SIG, hash, sig);

	X509_free(cert);
	ERR_clear_error();
	return ok ? 0 : -EKEYREJECTED;
}
