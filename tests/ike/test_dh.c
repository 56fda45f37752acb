/* Diffie-Hellman: known answers, agreement, and what must be refused. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>

#include "dh.h"
#include "secret.h"
#include "vectors.h"

static const uint16_t all_groups[] = { 1, 2, 5, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 31 };

#define N_GROUPS (sizeof(all_groups) / sizeof(all_groups[0]))

Test(dh, both_sides_agree_in_every_group)
{
	static uint8_t a[GROUP_MAX_LEN], b[GROUP_MAX_LEN];

	for (size_t i = 0; i < N_GROUPS; i++) {
		const struct group_info *g = group_info(all_groups[i]);
		struct dh *x = dh_new(g->id), *y = dh_new(g->id);

		cr_assert(x && y, "%s", g->name);
		cr_assert_eq(dh_group(x), g->id);
		cr_assert_arr_neq(dh_public(x), dh_public(y), g->public_len);
		cr_assert_eq(dh_shared(x, dh_public(y), g->public_len, a), 0, "%s", g->name);
		cr_assert_eq(dh_shared(y, dh_public(x), g->public_len, b), 0, "%s", g->name);
		cr_assert_arr_eq(a, b, g->shared_len, "%s", g->name);
		dh_free(x);
		dh_free(y);
	}
	cr_assert_null(dh_new(3));
	cr_assert_null(dh_new(0));
	dh_free(NULL);
}

/* Thousands of exchanges must not make the locked heap a limit: fill it, then go on. */
Test(dh, a_full_locked_heap_stops_nothing)
{
	static uint8_t a[256], b[256];
	static void *held[1024];
	struct dh *x[64];

	cr_assert(secret_init(65536));
	for (unsigned i = 0; i < 1024; i++)
		cr_assert_not_null(held[i] = secret_alloc(256));
	for (unsigned i = 0; i < 64; i++) {
		static const uint16_t groups[] = { 2, 14, 19, 24, 31 };
		x[i] = dh_new(groups[i % 5]);
		cr_assert_not_null(x[i], "exchange %u", i);
	}
	for (unsigned i = 0; i + 5 < 64; i++) {
		const struct group_info *g = group_info(dh_group(x[i]));
		cr_assert_eq(dh_shared(x[i], dh_public(x[i + 5]), g->public_len, a), 0);
		cr_assert_eq(dh_shared(x[i + 5], dh_public(x[i]), g->public_len, b), 0);
		cr_assert_arr_eq(a, b, g->shared_len);
	}
	for (unsigned i = 0; i < 64; i++)
		dh_free(x[i]);
	for (unsigned i = 0; i < 1024; i++)
		secret_free(held[i], 256);
}

/* The prime of a group, not taken from the code under test. */
static BIGNUM *prime_of(uint16_t group)
{
	switch (group) {
	case 1:
		return BN_get_rfc2409_prime_768(NULL);
	case 2:
		return BN_get_rfc2409_prime_1024(NULL);
	default: {
		BIGNUM *p = NULL;
		OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string(
						OSSL_PKEY_PARAM_GROUP_NAME,
						(char *)group_info(group)->openssl, 0),
					OSSL_PARAM_construct_end() };
		EVP_PKEY_CTX *ctx =
			EVP_PKEY_CTX_new_from_name(NULL, group >= 22 ? "DHX" : "DH", NULL);
		EVP_PKEY *key = NULL;
		EVP_PKEY_fromdata_init(ctx);
		cr_assert(EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEY_PARAMETERS, params) > 0);
		cr_assert(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_FFC_P, &p));
		EVP_PKEY_free(key);
		EVP_PKEY_CTX_free(ctx);
		return p;
	}
	}
}

/* Against plain modular exponentiation, with a result that needs padding on the left. */
Test(dh, modp_is_exponentiation_modulo_the_prime)
{
	static const uint16_t groups[] = { 1, 2, 5, 14, 15, 16, 17, 18 };
	static uint8_t want[GROUP_MAX_LEN], got[GROUP_MAX_LEN], peer[GROUP_MAX_LEN];
	uint8_t priv[32];
	BN_CTX *ctx = BN_CTX_new();

	for (size_t i = 0; i < sizeof(priv); i++)
		priv[i] = (uint8_t)(i * 7 + 3);
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		int len = group_info(groups[i])->public_len;
		BIGNUM *p = prime_of(groups[i]), *x = BN_bin2bn(priv, sizeof(priv), NULL);
		BIGNUM *g = BN_new(), *r = BN_new();
		struct dh *dh = dh_new_fixed(groups[i], priv, sizeof(priv));

		BN_set_word(g, 2);
		BN_mod_exp(r, g, x, p, ctx);
		cr_assert_eq(BN_bn2binpad(r, want, len), len);
		cr_assert_arr_eq(dh_public(dh), want, (size_t)len, "group %u", groups[i]);
		BN_set_word(g, 0x12345);
		BN_bn2binpad(g, peer, len);
		BN_mod_exp(r, g, x, p, ctx);
		BN_bn2binpad(r, want, len);
		cr_assert_eq(dh_shared(dh, peer, (size_t)len, got), 0);
		cr_assert_arr_eq(got, want, (size_t)len, "group %u", groups[i]);
		dh_free(dh);
		BN_free(p);
		BN_free(x);
		BN_free(g);
		BN_free(r);
	}
	BN_CTX_free(ctx);
}

Test(pitfall, p05_dh_secrets_are_padded_to_the_modulus)
{
	static uint8_t peer[256], got[256], zero[192];
	const uint8_t one = 1;
	struct dh *dh = dh_new_fixed(14, &one, 1);

	memset(peer + 200, 0x77, 56);
	cr_assert_eq(dh_public(dh)[255], 2, "2^1, padded on the left");
	cr_assert_arr_eq(dh_public(dh), zero, 192);
	cr_assert_eq(dh_shared(dh, peer, 256, got), 0);
	cr_assert_arr_eq(got, peer, 256, "peer^1 = peer, leading zeros kept");
	dh_free(dh);
}

/* With 1 for our private key the secret is the peer's public value (of a curve: its x). In every group
 * one that begins with a zero byte is looked for, one in 256 does, and must come out whole. Curve25519
 * has no such thing: its numbers are little-endian and always 32 bytes. */
Test(pitfall, p05_secrets_of_every_group_keep_their_leading_zeros, .timeout = 60)
{
	static uint8_t got[GROUP_MAX_LEN + 1];

	for (size_t i = 0; i < N_GROUPS; i++) {
		const struct group_info *g = group_info(all_groups[i]);
		const uint8_t one = 1;
		struct dh *ours = dh_new_fixed(g->id, &one, 1), *peer = NULL;
		unsigned k = 1;
		if (g->kind == GROUP_CURVE25519) {
			dh_free(ours);
			continue;
		}
		cr_assert_not_null(ours, "%s", g->name);
		do {
			k++;
			uint8_t priv[2] = { (uint8_t)(k >> 8), (uint8_t)k };
			dh_free(peer);
			peer = dh_new_fixed(g->id, priv, 2);
			cr_assert_not_null(peer, "%s", g->name);
		} while (dh_public(peer)[0] != 0 && k < 5000);
		cr_assert_eq(dh_public(peer)[0], 0, "%s", g->name);
		memset(got, 0xee, sizeof(got));
		cr_assert_eq(dh_shared(ours, dh_public(peer), g->public_len, got), 0, "%s",
			     g->name);
		cr_expect_arr_eq(got, dh_public(peer), g->shared_len, "%s", g->name);
		cr_expect_eq(got[g->shared_len], 0xee, "%s: it is longer than it says", g->name);
		dh_free(ours);
		dh_free(peer);
	}
}

Test(pitfall, p05_bad_modp_values_are_refused)
{
	static uint8_t v[GROUP_MAX_LEN + 1], out[GROUP_MAX_LEN];

	for (size_t i = 0; i < N_GROUPS; i++) {
		const struct group_info *g = group_info(all_groups[i]);
		int len = g->public_len;

		if (g->kind != GROUP_MODP)
			continue;
		struct dh *dh = dh_new(g->id);
		BIGNUM *p = prime_of(g->id);
		memset(v, 0, sizeof(v));
		cr_assert_eq(dh_shared(dh, v, (size_t)len, out), -EKEYREJECTED, "%s: 0", g->name);
		v[len - 1] = 1;
		cr_assert_eq(dh_shared(dh, v, (size_t)len, out), -EKEYREJECTED, "%s: 1", g->name);
		for (int k = -1; k <= 1; k++) { /* p-1, p, p+1 */
			BIGNUM *q = BN_dup(p);
			k < 0 ? BN_sub_word(q, 1) : BN_add_word(q, (BN_ULONG)k);
			BN_bn2binpad(q, v, len);
			cr_assert_eq(dh_shared(dh, v, (size_t)len, out), -EKEYREJECTED);
			BN_free(q);
		}
		memset(v, 0xff, sizeof(v));
		cr_assert_eq(dh_shared(dh, v, (size_t)len, out), -EKEYREJECTED, "above p");
		memcpy(v, dh_public(dh), (size_t)len);
		cr_assert_eq(dh_shared(dh, v, (size_t)len - 1, out), -EKEYREJECTED, "short");
		memmove(v + 1, v, (size_t)len);
		v[0] = 0;
		cr_assert_eq(dh_shared(dh, v, (size_t)len + 1, out), -EKEYREJECTED, "long");
		BN_free(p);
		dh_free(dh);
	}
}

/* 2 and 3 are not in the subgroups of prime order of RFC 5114 (checked by raising to q elsewhere:
 * the subgroup holds one in 2^860 of all values). */
Test(pitfall, p05_subgroup_is_checked_for_groups_22_to_24)
{
	static uint8_t v[256], out[256];

	for (uint16_t group = 22; group <= 24; group++) {
		size_t len = group_info(group)->public_len;
		struct dh *dh = dh_new(group);
		for (uint8_t small = 2; small <= 3; small++) {
			memset(v, 0, sizeof(v));
			v[len - 1] = small;
			cr_assert_eq(dh_shared(dh, v, len, out), -EKEYREJECTED);
		}
		dh_free(dh);
	}
}

/* RFC 5903 section 8: private values i and r, public values, and the x of g^ir. */
struct ecp_answer {
	uint16_t group;
	const char *i, *gi, *r, *gr, *gir;
};

static const struct ecp_answer ecp_answers[] = {
	{ 19, "C88F01F510D9AC3F70A292DAA2316DE544E9AAB8AFE84049C62A9C57862D1433",
	  "DAD0B65394221CF9B051E1FECA5787D098DFE637FC90B9EF945D0C3772581180"
	  "5271A0461CDB8252D61F1C456FA3E59AB1F45B33ACCF5F58389E0577B8990BB3",
	  "C6EF9C5D78AE012A011164ACB397CE2088685D8F06BF9BE0B283AB46476BEE53",
	  "D12DFB5289C8D4F81208B70270398C342296970A0BCCB74C736FC7554494BF63"
	  "56FBF3CA366CC23E8157854C13C58D6AAC23F046ADA30F8353E74F33039872AB",
	  "D6840F6B42F6EDAFD13116E0E12565202FEF8E9ECE7DCE03812464D04B9442DE" },
	{ 20,
	  "099F3C7034D4A2C699884D73A375A67F7624EF7C6B3C0F160647B67414DCE655E35B538041E649EE"
	  "3FAEF896783AB194",
	  "667842D7D180AC2CDE6F74F37551F55755C7645C20EF73E31634FE72B4C55EE6DE3AC808ACB4BDB4"
	  "C88732AEE95F41AA9482ED1FC0EEB9CAFC4984625CCFC23F65032149E0E144ADA024181535A0F38E"
	  "EB9FCFF3C2C947DAE69B4C634573A81C",
	  "41CB0779B4BDB85D47846725FBEC3C9430FAB46CC8DC5060855CC9BDA0AA2942E0308312916B8ED2"
	  "960E4BD55A7448FC",
	  "E558DBEF53EECDE3D3FCCFC1AEA08A89A987475D12FD950D83CFA41732BC509D0D1AC43A0336DEF9"
	  "6FDA41D0774A3571DCFBEC7AACF3196472169E838430367F66EEBE3C6E70C416DD5F0C68759DD1FF"
	  "F83FA40142209DFF5EAAD96DB9E6386C",
	  "11187331C279962D93D604243FD592CB9D0A926F422E47187521287E7156C5C4D603135569B9E9D0"
	  "9CF5D4A270F59746" },
	{ 21,
	  "0037ADE9319A89F4DABDB3EF411AACCCA5123C61ACAB57B5393DCE47608172A095AA85A30FE1C295"
	  "2C6771D937BA9777F5957B2639BAB072462F68C27A57382D4A52",
	  "0015417E84DBF28C0AD3C278713349DC7DF153C897A1891BD98BAB4357C9ECBEE1E3BF42E00B8E38"
	  "0AEAE57C2D107564941885942AF5A7F4601723C4195D176CED3E"
	  "017CAE20B6641D2EEB695786D8C946146239D099E18E1D5A514C739D7CB4A10AD8A788015AC405D7"
	  "799DC75E7B7D5B6CF2261A6A7F1507438BF01BEB6CA3926F9582",
	  "0145BA99A847AF43793FDD0E872E7CDFA16BE30FDC780F97BCCC3F078380201E9C677D600B343757"
	  "A3BDBF2A3163E4C2F869CCA7458AA4A4EFFC311F5CB151685EB9",
	  "00D0B3975AC4B799F5BEA16D5E13E9AF971D5E9B984C9F39728B5E5739735A219B97C356436ADC6E"
	  "95BB0352F6BE64A6C2912D4EF2D0433CED2B6171640012D9460F"
	  "015C68226383956E3BD066E797B623C27CE0EAC2F551A10C2C724D9852077B87220B6536C5C408A1"
	  "D2AEBB8E86D678AE49CB57091F4732296579AB44FCD17F0FC56A",
	  "01144C7D79AE6956BC8EDB8E7C787C4521CB086FA64407F97894E5E6B2D79B04D1427E73CA4BAA24"
	  "0A34786859810C06B3C715A3A8CC3151F2BEE417996D19F3DDEA" },
};

Test(dh, ecp_known_answers)
{
	for (size_t k = 0; k < sizeof(ecp_answers) / sizeof(ecp_answers[0]); k++) {
		const struct ecp_answer *a = &ecp_answers[k];
		const struct group_info *g = group_info(a->group);
		uint8_t priv[66], pub[132], want[66], got[66];
		size_t n = hex_decode(a->i, priv, sizeof(priv));
		struct dh *i = dh_new_fixed(a->group, priv, n);

		n = hex_decode(a->r, priv, sizeof(priv));
		struct dh *r = dh_new_fixed(a->group, priv, n);
		cr_assert(i && r);
		cr_assert_eq(hex_decode(a->gi, pub, sizeof(pub)), g->public_len);
		cr_assert_arr_eq(dh_public(i), pub, g->public_len, "%s", g->name);
		cr_assert_eq(hex_decode(a->gr, pub, sizeof(pub)), g->public_len);
		cr_assert_arr_eq(dh_public(r), pub, g->public_len, "%s", g->name);
		cr_assert_eq(hex_decode(a->gir, want, sizeof(want)), g->shared_len);
		cr_assert_eq(dh_shared(i, pub, g->public_len, got), 0);
		cr_assert_arr_eq(got, want, g->shared_len, "%s", g->name);
		dh_free(i);
		dh_free(r);
	}
}

Test(pitfall, p05_points_off_the_curve_are_refused)
{
	for (uint16_t group = 19; group <= 21; group++) {
		size_t len = group_info(group)->public_len;
		struct dh *dh = dh_new(group), *peer = dh_new(group);
		uint8_t v[132], out[66];

		memcpy(v, dh_public(peer), len);
		v[len - 1] ^= 1;
		cr_assert_eq(dh_shared(dh, v, len, out), -EKEYREJECTED, "not on the curve");
		memset(v, 0, len);
		cr_assert_eq(dh_shared(dh, v, len, out), -EKEYREJECTED, "0, 0");
		memset(v, 0xff, len);
		cr_assert_eq(dh_shared(dh, v, len, out), -EKEYREJECTED, "beyond the field");
		cr_assert_eq(dh_shared(dh, dh_public(peer), len / 2, out), -EKEYREJECTED, "x only");
		cr_assert_eq(dh_shared(dh, dh_public(peer), len, out), 0);
		dh_free(dh);
		dh_free(peer);
	}
}

/* RFC 7748 section 6.1 */
Test(dh, x25519_known_answer)
{
	uint8_t priv[32], pub_a[32], pub_b[32], want[32], got[32];

	hex_decode("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a", priv, 32);
	hex_decode("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a", pub_a, 32);
	hex_decode("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f", pub_b, 32);
	hex_decode("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742", want, 32);
	struct dh *a = dh_new_fixed(31, priv, 32);
	cr_assert_arr_eq(dh_public(a), pub_a, 32);
	cr_assert_eq(dh_shared(a, pub_b, 32, got), 0);
	cr_assert_arr_eq(got, want, 32);
	memset(pub_b, 0, 32); /* a point of small order: the secret would be zero */
	cr_assert_eq(dh_shared(a, pub_b, 32, got), -EKEYREJECTED);
	cr_assert_eq(dh_shared(a, pub_a, 31, got), -EKEYREJECTED);
	dh_free(a);
	cr_assert_null(dh_new_fixed(31, priv, 31));
}
