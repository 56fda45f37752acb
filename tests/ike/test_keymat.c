/* Key derivation, encryption and signatures, where the recorded negotiations do not reach. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "des.h"
#include "keymat.h"
#include "vectors.h"

#define V(s) ((struct view){ (const uint8_t *)(s), sizeof(s) - 1 })

static const uint8_t icookie[8] = "initiato", rcookie[8] = "responde";

static void derive(const struct ike_transform *t, struct ike_keys *k)
{
	const struct ike_keys_in in = {
		.psk = V("secret"),
		.ni = V("0123456789abcdef"),
		.nr = V("fedcba9876543210"),
		.gxy = V("shared shared shared"),
		.gxi = V("public i"),
		.gxr = V("public r"),
		.icookie = icookie,
		.rcookie = rcookie,
	};

	cr_assert_eq(ike_keys_derive(t, &in, k), 0);
}

/* RFC 2202 and 4231, test case 2 */
Test(keymat, prf_is_hmac)
{
	static const struct {
		enum hash_alg h;
		const char *hex;
	} cases[] = {
		{ HASH_MD5, "750c783e6ab0b503eaa86e310a5db738" },
		{ HASH_SHA1, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79" },
		{ HASH_SHA256, "5bdcc146bf60754e6a042426089575c7"
			       "5a003f089d2739839dec58b964ec3843" },
		{ HASH_SHA384, "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47"
			       "e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649" },
		{ HASH_SHA512, "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
			       "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737" },
	};
	const struct view pieces[] = { V("what do ya "), V("want for"), V(" nothing?") };
	uint8_t want[64], got[64];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len = hex_decode(cases[i].hex, want, sizeof(want));
		cr_assert_eq(ike_prf(cases[i].h, V("Jefe"), pieces, 3, got), 0);
		cr_assert_eq(len, hash_info(cases[i].h)->len);
		cr_assert_arr_eq(got, want, len);
	}
	cr_assert_eq(ike_prf(HASH_NONE, V("Jefe"), pieces, 3, got), -EINVAL);
	cr_assert_eq(ike_hash(HASH_NONE, pieces, 3, got), -EINVAL);
}

/* A key of no bytes and one longer than the block are both legal for HMAC. */
Test(keymat, prf_takes_any_key_length)
{
	static uint8_t key[300];
	const size_t lengths[] = { 0, 1, 64, 65, 128, 129, 300 };
	const struct view text = V("text");
	uint8_t want[64], got[64];
	unsigned len;

	memset(key, 0x5a, sizeof(key));
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		HMAC(EVP_sha384(), key, (int)lengths[i], text.p, text.len, want, &len);
		const struct view k = { lengths[i] ? key : NULL, lengths[i] };
		cr_assert_eq(ike_prf(HASH_SHA384, k, &text, 1, got), 0);
		cr_assert_arr_eq(got, want, len, "key of %zu bytes", lengths[i]);
	}
}

static void hmac_bytes(enum hash_alg h, const uint8_t *key, size_t key_len, const uint8_t *data,
		       size_t len, uint8_t *out)
{
	HMAC(EVP_get_digestbyname(hash_info(h)->openssl), key, (int)key_len, data, len, out, NULL);
}

Test(pitfall, p04_skeyid_depends_on_the_method)
{
	const struct ike_transform t = { ENCR_AES_CBC, 128, HASH_SHA1, 14 };
	struct ike_keys_in in = {
		.psk = V("secret"),
		.ni = V("0123456789abcdef"),
		.nr = V("fedcba9876543210"),
		.gxy = V("shared shared shared"),
		.gxi = V("public i"),
		.gxr = V("public r"),
		.icookie = icookie,
		.rcookie = rcookie,
	};
	const struct view nonces = V("0123456789abcdeffedcba9876543210");
	struct ike_keys k;
	uint8_t want[64];

	cr_assert_eq(ike_keys_derive(&t, &in, &k), 0);
	hmac_bytes(HASH_SHA1, in.psk.p, in.psk.len, nonces.p, nonces.len, want);
	cr_assert_arr_eq(k.skeyid, want, 20);
	in.psk.p = NULL;
	cr_assert_eq(ike_keys_derive(&t, &in, &k), 0);
	hmac_bytes(HASH_SHA1, nonces.p, nonces.len, in.gxy.p, in.gxy.len, want);
	cr_assert_arr_eq(k.skeyid, want, 20);
}

/* Every cipher and hash: where SKEYID_e is too short, Ka = K1 | K2 | .. with K1 = prf(SKEYID_e, 0).
 */
Test(pitfall, p05_short_skeyid_e_is_expanded)
{
	static const struct {
		enum encr_alg encr;
		uint16_t bits;
	} ciphers[] = { { ENCR_3DES, 192 },
			{ ENCR_AES_CBC, 128 },
			{ ENCR_AES_CBC, 192 },
			{ ENCR_AES_CBC, 256 } };
	unsigned expanded = 0;

	for (unsigned c = 0; c < 4; c++)
		for (unsigned h = HASH_MD5; h < HASH_COUNT; h++) {
			const struct ike_transform t = { ciphers[c].encr, ciphers[c].bits,
							 (enum hash_alg)h, 14 };
			size_t need = ciphers[c].bits / 8U, n = hash_info((enum hash_alg)h)->len;
			uint8_t want[3 * HASH_MAX_LEN];
			struct ike_keys k;

			derive(&t, &k);
			if (need <= n) {
				cr_assert_arr_eq(k.cipher_key, k.skeyid_e, need);
				continue;
			}
			hmac_bytes(t.hash, k.skeyid_e, n, (const uint8_t *)"", 1, want);
			hmac_bytes(t.hash, k.skeyid_e, n, want, n, want + n);
			cr_assert_arr_eq(k.cipher_key, want, need);
			expanded++;
		}
	/* MD5 with 192 bits twice and 256, SHA-1 likewise */
	cr_assert_eq(expanded, 6);
}

Test(pitfall, p05_weak_des_keys_are_refused)
{
	uint8_t key[24];

	hex_decode("0101010101010101", key, 8);
	cr_assert(des_key_weak(ENCR_DES, key));
	hex_decode("0000000000000000", key, 8); /* parity bits do not count */
	cr_assert(des_key_weak(ENCR_DES, key));
	hex_decode("e0fee0fef1fef1fe", key, 8);
	cr_assert(des_key_weak(ENCR_DES, key));
	hex_decode("e0fee0fef1fef1ee", key, 8);
	cr_assert_not(des_key_weak(ENCR_DES, key));

	hex_decode("0123456789abcdef23456789abcdef01456789abcdef0123", key, 24);
	cr_assert_not(des_key_weak(ENCR_3DES, key));
	memcpy(key + 8, key, 8);
	cr_assert(des_key_weak(ENCR_3DES, key), "K1 = K2");
	hex_decode("0123456789abcdef23456789abcdef01456789abcdef0123", key, 24);
	memcpy(key + 16, key + 8, 8);
	key[23] ^= 1;
	cr_assert(des_key_weak(ENCR_3DES, key), "K2 = K3 apart from parity");
	hex_decode("0123456789abcdef23456789abcdef010101010101010101", key, 24);
	cr_assert(des_key_weak(ENCR_3DES, key), "a weak part");
	cr_assert_not(des_key_weak(ENCR_AES_CBC, key));
}

Test(keymat, unusable_transforms_are_refused_and_wiped)
{
	static const struct ike_transform bad[] = {
		{ ENCR_AES_CBC, 100, HASH_SHA1, 14 },
		{ ENCR_AES_GCM_16, 128, HASH_SHA1, 14 },
		{ ENCR_AES_CBC, 128, HASH_NONE, 14 },
	};
	const struct ike_keys_in in = { .psk = V("s"),
					.ni = V("12345678"),
					.nr = V("12345678"),
					.gxy = V("x"),
					.gxi = V("x"),
					.gxr = V("x"),
					.icookie = icookie,
					.rcookie = rcookie };
	static const struct ike_keys zero;
	struct ike_keys k;

	for (size_t i = 0; i < 3; i++) {
		memset(&k, 0xaa, sizeof(k));
		cr_assert_eq(ike_keys_derive(&bad[i], &in, &k), -EINVAL);
		cr_assert_arr_eq(k.skeyid, zero.skeyid, sizeof(k.skeyid));
	}
}

Test(pitfall, p01_ivs_are_those_of_appendix_b)
{
	const struct ike_transform t = { ENCR_AES_CBC, 256, HASH_SHA256, 14 };
	uint8_t want[32], iv[IKE_MAX_BLOCK];
	struct ike_keys k;

	derive(&t, &k);
	EVP_Digest("public ipublic r", 16, want, NULL, EVP_sha256(), NULL);
	cr_assert_arr_eq(k.phase1_iv, want, 16);
	EVP_Digest("last block 16 by\x01\x02\x03\x04", 20, want, NULL, EVP_sha256(), NULL);
	cr_assert_eq(ike_phase2_iv(&k, (const uint8_t *)"last block 16 by", 0x01020304, iv), 0);
	cr_assert_arr_eq(iv, want, 16);
}

Test(keymat, cbc_chains_from_message_to_message)
{
	static const struct ike_transform ts[] = { { ENCR_DES, 64, HASH_MD5, 14 },
						   { ENCR_3DES, 192, HASH_SHA1, 14 },
						   { ENCR_AES_CBC, 128, HASH_SHA1, 14 },
						   { ENCR_AES_CBC, 192, HASH_SHA384, 14 },
						   { ENCR_AES_CBC, 256, HASH_SHA512, 14 } };

	for (size_t i = 0; i < sizeof(ts) / sizeof(ts[0]); i++) {
		uint8_t data[96], plain[96], tx[16], rx[16], last[16];
		struct ike_keys k;

		derive(&ts[i], &k);
		size_t b = k.block_len;
		memcpy(tx, k.phase1_iv, b);
		memcpy(rx, k.phase1_iv, b);
		for (unsigned round = 0; round < 3; round++) {
			memset(plain, 'a' + (int)round, sizeof(plain));
			memcpy(data, plain, sizeof(data));
			cr_assert_eq(ike_encrypt(&k, tx, data, sizeof(data)), 0);
			cr_assert_arr_neq(data, plain, sizeof(data));
			memcpy(last, data + sizeof(data) - b, b);
			cr_assert_arr_eq(tx, last, b);
			cr_assert_eq(ike_decrypt(&k, rx, data, sizeof(data)), 0);
			cr_assert_arr_eq(data, plain, sizeof(data));
			cr_assert_arr_eq(rx, last, b);
		}
		cr_assert_eq(ike_decrypt(&k, rx, data, b + 1), -EINVAL);
		cr_assert_eq(ike_decrypt(&k, rx, data, 0), -EINVAL);
		cr_assert_arr_eq(rx, last, b, "a refused message does not move the IV");
	}
}

/* NIST SP 800-17: DES of 8000000000000000 under 0101010101010101 is 95f8a5e5dd31d900; that key is
 * weak, so the keys are set by hand. */
Test(keymat, des_is_des)
{
	struct ike_keys k = { .t = { ENCR_DES, 64, HASH_MD5, 1 }, .block_len = 8 };
	uint8_t iv[8] = { 0 }, data[8], want[8];

	hex_decode("0101010101010101", k.cipher_key, 8);
	hex_decode("8000000000000000", data, 8);
	hex_decode("95f8a5e5dd31d900", want, 8);
	cr_assert_eq(ike_encrypt(&k, iv, data, 8), 0);
	cr_assert_arr_eq(data, want, 8);
}

/* KEYMAT of each length is a prefix of the longer one, and salt comes after the key. */
Test(pitfall, p06_keymat_per_spi_and_protocol_with_salt)
{
	const struct ike_transform t = { ENCR_AES_CBC, 128, HASH_SHA1, 14 };
	const struct esp_transform gcm = { ENCR_AES_GCM_16, 256, INTEG_NONE, 0, false, false };
	const struct esp_transform cbc = { ENCR_AES_CBC, 256, INTEG_HMAC_SHA512_256, 0, false, false };
	const struct esp_transform null = { ENCR_NULL, 0, INTEG_HMAC_SHA1_96, 0, false, false };
	const struct esp_transform ctr = { ENCR_AES_CTR, 192, INTEG_HMAC_SHA1_96, 0, false, false };
	const struct esp_transform gmac = { ENCR_AES_GMAC, 128, INTEG_NONE, 0, false, false };
	const struct esp_transform ah = { ENCR_NONE, 0, INTEG_HMAC_SHA384_192, 0, false, true };
	const struct view ni = V("nonce ii"), nr = V("nonce rr"), gxy = V("quick mode secret");
	uint8_t key[64], auth[64], key2[64], auth2[64], want[5 * 20], seed[64];
	struct ike_keys k;
	size_t n;

	cr_assert_eq(esp_key_len(&gcm), 36);
	cr_assert_eq(esp_auth_len(&gcm), 0);
	cr_assert_eq(esp_key_len(&cbc), 32);
	cr_assert_eq(esp_auth_len(&cbc), 64);
	cr_assert_eq(esp_key_len(&null), 0);
	cr_assert_eq(esp_key_len(&ctr), 24 + 4, "the nonce of RFC 3686 is keying material");
	cr_assert_eq(esp_key_len(&gmac), 16 + 4, "the salt of RFC 4543 is keying material");
	cr_assert_eq(esp_auth_len(&gmac), 0);
	cr_assert_eq(esp_key_len(&ah), 0);
	cr_assert_eq(esp_auth_len(&ah), 48);

	derive(&t, &k);
	/* K1 | K2 | ..: Kn = prf(SKEYID_d, Kn-1 | g(qm)^xy | protocol | SPI | Ni_b | Nr_b) */
	for (unsigned i = 0; i < 5; i++) {
		n = 0;
		if (i) {
			memcpy(seed, want + 20 * (i - 1), 20);
			n = 20;
		}
		memcpy(seed + n, "quick mode secret\x03\x12\x34\x56\x78nonce iinonce rr", 38);
		hmac_bytes(HASH_SHA1, k.skeyid_d, 20, seed, n + 38, want + 20 * i);
	}
	cr_assert_eq(ike_keymat(&k, PROTO_ESP, 0x12345678, gxy, ni, nr, &cbc, key, auth), 0);
	cr_assert_arr_eq(key, want, 32);
	cr_assert_arr_eq(auth, want + 32, 64);
	cr_assert_eq(ike_keymat(&k, PROTO_ESP, 0x12345678, gxy, ni, nr, &gcm, key2, auth2), 0);
	cr_assert_arr_eq(key2, want, 36);
	cr_assert_eq(ike_keymat(&k, PROTO_ESP, 0x12345678, gxy, ni, nr, &null, key2, auth2), 0);
	cr_assert_arr_eq(auth2, want, 20);

	cr_assert_eq(ike_keymat(&k, PROTO_ESP, 0x12345678, gxy, ni, nr, &ctr, key2, auth2), 0);
	cr_assert_arr_eq(key2, want, 28);
	cr_assert_arr_eq(auth2, want + 28, 20, "the HMAC key comes after the nonce");
	cr_assert_eq(ike_keymat(&k, PROTO_ESP, 0x12345678, gxy, ni, nr, &gmac, key2, auth2), 0);
	cr_assert_arr_eq(key2, want, 20);

	/* another SPI, another protocol, no PFS: nothing in common */
	const struct view none = { NULL, 0 };
	cr_assert_eq(ike_keymat(&k, PROTO_ESP, 0x12345679, gxy, ni, nr, &cbc, key2, auth2), 0);
	cr_assert_arr_neq(key2, key, 32);
	cr_assert_eq(ike_keymat(&k, PROTO_AH, 0x12345678, gxy, ni, nr, &cbc, key2, auth2), 0);
	cr_assert_arr_neq(key2, key, 32);
	cr_assert_eq(ike_keymat(&k, PROTO_ESP, 0x12345678, none, ni, nr, &cbc, key2, auth2), 0);
	cr_assert_arr_neq(key2, key, 32);
}

/* The protocol is part of the seed: AH's keys begin with K1 of protocol 2. */
Test(pitfall, p06_keymat_of_ah)
{
	const struct ike_transform t = { ENCR_AES_CBC, 128, HASH_SHA1, 14 };
	const struct esp_transform ah = { ENCR_NONE, 0, INTEG_HMAC_SHA384_192, 0, false, true };
	const struct view ni = V("nonce ii"), nr = V("nonce rr"), none = { NULL, 0 };
	uint8_t key[64], auth[64], want[3 * 20], seed[64];
	struct ike_keys k;

	derive(&t, &k);
	for (unsigned i = 0; i < 3; i++) {
		size_t n = i ? 20 : 0;
		if (i)
			memcpy(seed, want + 20 * (i - 1), 20);
		memcpy(seed + n, "\x02\x12\x34\x56\x78nonce iinonce rr", 21);
		hmac_bytes(HASH_SHA1, k.skeyid_d, 20, seed, n + 21, want + 20 * i);
	}
	cr_assert_eq(ike_keymat(&k, PROTO_AH, 0x12345678, none, ni, nr, &ah, key, auth), 0);
	cr_assert_arr_eq(auth, want, 48);
}

Test(pitfall, p10_natd_covers_cookies_address_and_port)
{
	struct ip_addr a4 = ip_addr_v4(0x0a090001), a6;
	uint8_t got[64], want[64], text[64];

	memcpy(text, "initiatoresponde", 16);
	memcpy(text, icookie, 8);
	memcpy(text + 8, rcookie, 8);
	memcpy(text + 16, "\x0a\x09\x00\x01\x01\xf4", 6);
	EVP_Digest(text, 22, want, NULL, EVP_sha1(), NULL);
	cr_assert_eq(ike_natd_hash(HASH_SHA1, icookie, rcookie, &a4, 500, got), 0);
	cr_assert_arr_eq(got, want, 20);
	cr_assert_eq(ip_addr_parse("2001:db8::1", &a6), 0);
	memcpy(text + 16, a6.b, 16);
	memcpy(text + 32, "\x11\x94", 2);
	EVP_Digest(text, 34, want, NULL, EVP_sha256(), NULL);
	cr_assert_eq(ike_natd_hash(HASH_SHA256, icookie, rcookie, &a6, 4500, got), 0);
	cr_assert_arr_eq(got, want, 32);
}

/* --------------------------------------------------------------- RSA signatures ------------- */

/* A key with public exponent 3, and a certificate around it. */
static EVP_PKEY *rsa_key(unsigned bits, unsigned e)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	OSSL_PARAM params[] = { OSSL_PARAM_construct_uint(OSSL_PKEY_PARAM_RSA_BITS, &bits),
				OSSL_PARAM_construct_uint(OSSL_PKEY_PARAM_RSA_E, &e),
				OSSL_PARAM_construct_end() };
	EVP_PKEY *key = NULL;

	cr_assert(EVP_PKEY_keygen_init(ctx) > 0 && EVP_PKEY_CTX_set_params(ctx, params) > 0);
	cr_assert(EVP_PKEY_generate(ctx, &key) > 0);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static struct view self_signed(EVP_PKEY *key)
{
	X509 *x = X509_new();
	struct view der = { NULL, 0 };
	uint8_t *p = NULL;

	X509_set_pubkey(x, key);
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	cr_assert(X509_sign(x, key, EVP_sha256()));
	der.len = (size_t)i2d_X509(x, &p);
	der.p = p;
	X509_free(x);
	return der;
}

/* block^d mod n: a signature over any padded block, right or wrong. */
static void raw_sign(EVP_PKEY *key, const uint8_t *block, uint8_t *sig, size_t len)
{
	BIGNUM *n = NULL, *d = NULL, *m = BN_bin2bn(block, (int)len, NULL);
	BN_CTX *ctx = BN_CTX_new();

	cr_assert(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n));
	cr_assert(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_D, &d));
	cr_assert(BN_mod_exp(m, m, d, n, ctx));
	cr_assert_eq(BN_bn2binpad(m, sig, (int)len), (int)len);
	BN_free(n);
	BN_free(d);
	BN_free(m);
	BN_CTX_free(ctx);
}

Test(pitfall, p15_rsa_padding_is_checked_in_full)
{
	enum { LEN = 128, HASH = 20 };
	EVP_PKEY *key = rsa_key(LEN * 8, 3);
	struct view cert = self_signed(key);
	uint8_t block[LEN], good[LEN], hash_bytes[HASH], sig[LEN];
	const struct view hash = { hash_bytes, HASH }, s = { sig, LEN };

	memset(hash_bytes, 0x42, HASH);
	memset(good, 0xff, LEN);
	good[0] = 0;
	good[1] = 1;
	good[LEN - HASH - 1] = 0;
	memcpy(good + LEN - HASH, hash_bytes, HASH);
	raw_sign(key, good, sig, LEN);
	cr_assert_eq(ike_rsa_verify(cert, hash, s), 0);

	/* a signature that begins with a zero is the same number without it, but too short */
	for (unsigned i = 0; i < 65536 && (i == 0 || sig[0] != 0); i++) {
		good[LEN - 1] = hash_bytes[HASH - 1] = (uint8_t)i;
		good[LEN - 2] = hash_bytes[HASH - 2] = (uint8_t)(i >> 8);
		raw_sign(key, good, sig, LEN);
	}
	cr_assert_eq(sig[0], 0);
	cr_assert_eq(ike_rsa_verify(cert, hash, s), 0);
	cr_assert_eq(ike_rsa_verify(cert, hash, (struct view){ sig + 1, LEN - 1 }), -EKEYREJECTED);

	/* a signature without its first byte, or none */
	cr_assert_eq(ike_rsa_verify(cert, hash, (struct view){ sig + 1, LEN - 1 }), -EKEYREJECTED);
	cr_assert_eq(ike_rsa_verify(cert, hash, (struct view){ sig, 0 }), -EKEYREJECTED);
	cr_assert_eq(ike_rsa_verify(cert, (struct view){ hash_bytes, 0 }, s), -EKEYREJECTED);
	/* part of the hash only */
	cr_assert_eq(ike_rsa_verify(cert, (struct view){ hash_bytes, HASH - 1 }, s), -EKEYREJECTED);

	/* short padding with the hash in the middle and free bytes behind it: what a forger without
	 * the key can reach by taking a cube root */
	memcpy(block, good, LEN);
	memset(block + 2, 0xff, 8);
	block[10] = 0;
	memcpy(block + 11, hash_bytes, HASH);
	raw_sign(key, block, sig, LEN);
	cr_assert_eq(ike_rsa_verify(cert, hash, s), -EKEYREJECTED);
	/* a hole in the padding */
	memcpy(block, good, LEN);
	block[50] = 0xfe;
	raw_sign(key, block, sig, LEN);
	cr_assert_eq(ike_rsa_verify(cert, hash, s), -EKEYREJECTED);
	/* block type 2 */
	memcpy(block, good, LEN);
	block[1] = 2;
	raw_sign(key, block, sig, LEN);
	cr_assert_eq(ike_rsa_verify(cert, hash, s), -EKEYREJECTED);
	/* with a DigestInfo, as TLS has it but IKEv1 does not */
	static const uint8_t sha1_info[] = { 0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e,
					     0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14 };
	memcpy(block, good, LEN);
	memcpy(block + LEN - HASH - sizeof(sha1_info), sha1_info, sizeof(sha1_info));
	block[LEN - HASH - sizeof(sha1_info) - 1] = 0;
	raw_sign(key, block, sig, LEN);
	cr_assert_eq(ike_rsa_verify(cert, hash, s), -EKEYREJECTED);

	cr_assert_eq(ike_rsa_verify((struct view){ cert.p, cert.len / 2 }, hash, s), -EKEYREJECTED);
	OPENSSL_free((void *)cert.p);
	EVP_PKEY_free(key);
}
