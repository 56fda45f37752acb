/* Known answers: draft-mcgrew-gcm-test-01 (GCM as ESP uses it), RFC 3602 (AES-CBC), RFC 4868
 * (HMAC-SHA2) through the functions that the stages call. */
#include <criterion/criterion.h>
#include <string.h>

#include "crypto.h"
#include "esp_env.h"

static struct esp_env env;

static void setup(void)
{
	esp_env_init(&env, false, 127);
}

static void teardown(void)
{
	esp_env_done(&env);
}

static unsigned unhex(const char *hex, uint8_t *out)
{
	unsigned n = 0;

	for (; hex[0] && hex[1]; hex += 2) {
		unsigned v;

		cr_assert_eq(sscanf(hex, "%2x", &v), 1);
		out[n++] = (uint8_t)v;
	}
	return n;
}

struct gcm_kat {
	uint16_t bits;
	const char *key, *nonce, *aad, *plain, *cipher, *tag;
};

static const struct gcm_kat gcm_kats[] = {
	{ 128, "4c80cdefbb5d10da906ac73c3613a634", "2e443b684956ed7e3b244cfe",
	  "000043218765432100000000",
	  "45000048699a000080114db7c0a80102c0a801010a9bf15638d3010000010000"
	  "00000000045f736970045f756470037369700963796265726369747902646b00"
	  "0021000101020201",
	  "fecf537e729d5b07dc30df528dd22b768d1b98736696a6fd348509fa13ceac34"
	  "cfa2436f14a3f3cf65925bf1f4a13c5d15b21e1884f5ff6247aeabb786b93bce"
	  "61bc17d768fd9732",
	  "459018148f6cbe722fd04796562dfdb4" },
	{ 192, "feffe9928665731c6d6a8f9467308308feffe9928665731c",
	  "cafebabefacedbaddecaf888", "0000a5f80000000a",
	  "45000028a4ad4000400678800a01038f0a010612802306b8cb712602dd6bb03e501016d075680001",
	  "a5b1f8066029aea40e598b8122de02420938b3ab33f828e687b8858b5bfbdbd0315b27452144cc77",
	  "95457b9652037f5318027b5b4cd7a636" },
	{ 256, "abbccddef00112233445566778899aababbccddef00112233445566778899aab",
	  "112233440102030405060708", "4a2cbfe300000002",
	  "4500003069a6400080062690c0a801029389155e0a9e008b2dc57ee000000000"
	  "7002400020bf0000020405b40101040201020201",
	  "ff425c9b724599df7a3bcd510194e00d6a78107f1b0b1cbf06efae9d65a5d763"
	  "748a637985771d347f0545659f14e99def842d8e",
	  "b335f4eecfdbf831824b4c4915956c96" },
};

Test(esp_kat, gcm, .init = setup, .fini = teardown)
{
	for (size_t i = 0; i < sizeof(gcm_kats) / sizeof(gcm_kats[0]); i++) {
		const struct gcm_kat *k = &gcm_kats[i];
		struct sa_params p = esp_env_params(SA_OUT, ENV_SPI(1), ENCR_AES_GCM_16, k->bits,
						    INTEG_NONE, false);
		uint8_t nonce[12], aad[32], data[128], cipher[128], plain[128], tag[16], want_tag[16];
		struct gcm_context_data ctx;
		unsigned n, aad_len;
		struct sa *sa;

		unhex(k->key, p.key);
		unhex(k->nonce, nonce);
		memcpy(p.key + k->bits / 8, nonce, 4); /* the salt */
		aad_len = unhex(k->aad, aad);
		n = unhex(k->plain, plain);
		unhex(k->cipher, cipher);
		unhex(k->tag, want_tag);
		sa = esp_env_add(&env, &p);
		cr_assert(sa);
		cr_assert_arr_eq((uint8_t *)&sa->salt, nonce, 4);
		memcpy(data, plain, n);
		crypto_gcm_encrypt(env.lc->mb, sa, &ctx, data, n, nonce, aad, aad_len, tag);
		cr_assert_arr_eq(data, cipher, n, "vector %zu", i);
		cr_assert_arr_eq(tag, want_tag, 16, "vector %zu", i);
		crypto_gcm_decrypt(env.lc->mb, sa, &ctx, data, n, nonce, aad, aad_len, tag);
		cr_assert_arr_eq(data, plain, n);
		cr_assert_arr_eq(tag, want_tag, 16);
	}
}

struct cbc_kat {
	uint16_t bits;
	const char *key, *iv, *plain, *cipher;
};

/* RFC 3602 section 4 cases 1 and 2; NIST SP 800-38A F.2.5 for 256 bits. */
static const struct cbc_kat cbc_kats[] = {
	{ 128, "06a9214036b8a15b512e03d534120006", "3dafba429d9eb430b422da802c9fac41",
	  "53696e676c6520626c6f636b206d7367", "e353779c1079aeb82708942dbe77181a" },
	{ 128, "c286696d887c9aa0611bbb3e2025a45a", "562e17996d093d28ddb3ba695a2e6f58",
	  "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
	  "d296cd94c2cccf8a3a863028b5e1dc0a7586602d253cfff91b8266bea6d61ab1" },
	{ 256, "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
	  "000102030405060708090a0b0c0d0e0f",
	  "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51",
	  "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d" },
};

/* Inbound decryption of an ESP packet around the known ciphertext. */
Test(esp_kat, cbc_decrypt, .init = setup, .fini = teardown)
{
	for (size_t i = 0; i < sizeof(cbc_kats) / sizeof(cbc_kats[0]); i++) {
		const struct cbc_kat *k = &cbc_kats[i];
		struct sa_params p = esp_env_params(SA_IN, ENV_SPI(1), ENCR_AES_CBC, k->bits,
						    INTEG_HMAC_SHA1_96, false);
		uint8_t packet[128] = { 0 }, plain[64], tag[CRYPTO_TAG_MAX];
		struct crypto_op op = { .esp = packet, .tag = tag };
		unsigned n;

		unhex(k->key, p.key);
		unhex(k->iv, packet + 8);
		n = unhex(k->cipher, packet + 24);
		unhex(k->plain, plain);
		op.sa = esp_env_add(&env, &p);
		cr_assert(op.sa);
		op.esp_len = 24 + n;
		crypto_chain_run(env.lc->mb, &op, 1);
		cr_assert(op.ok);
		cr_assert_arr_eq(packet + 24, plain, n, "vector %zu", i);
	}
}

struct hmac_kat {
	enum integ_alg integ;
	unsigned key_len, tag_len;
	const char *tag;
};

/* RFC 4868 section 2.7.2: AUTH256-1, AUTH384-1, AUTH512-1; key 0x0b..., data "Hi There". */
static const struct hmac_kat hmac_kats[] = {
	{ INTEG_HMAC_SHA256_128, 32, 16, "198a607eb44bfbc69903a0f1cf2bbdc5" },
	{ INTEG_HMAC_SHA384_192, 48, 24, "b6a8d5636f5c6a7224f9977dcf7ee6c7fb6d0c48cbdee973" },
	{ INTEG_HMAC_SHA512_256, 64, 32,
	  "637edc6e01dce7e6742a99451aae82df23da3e92439e590e43e761b33e910fb8" },
};

/* With NULL encryption the job is the HMAC alone, over the eight bytes in the ESP header's place. */
Test(esp_kat, hmac_sha2, .init = setup, .fini = teardown)
{
	for (size_t i = 0; i < sizeof(hmac_kats) / sizeof(hmac_kats[0]); i++) {
		const struct hmac_kat *k = &hmac_kats[i];
		struct sa_params p = esp_env_params(SA_IN, ENV_SPI(1), ENCR_NULL, 0, k->integ, false);
		uint8_t packet[16] = "Hi There", want[64], tag[CRYPTO_TAG_MAX];
		struct crypto_op op = { .esp = packet, .esp_len = 8, .tag = tag };

		memset(p.auth, 0x0b, k->key_len);
		unhex(k->tag, want);
		op.sa = esp_env_add(&env, &p);
		cr_assert(op.sa);
		crypto_chain_run(env.lc->mb, &op, 1);
		cr_assert(op.ok);
		cr_assert_arr_eq(tag, want, k->tag_len, "vector %zu", i);
	}
}

Test(esp_kat, unsupported, .init = setup, .fini = teardown)
{
	struct sa_params p = esp_env_params(SA_OUT, ENV_SPI(1), ENCR_AES_CTR, 128, INTEG_NONE, false);

	errno = 0;
	cr_assert_null(sa_build(env.lc->mb, &p, SOCKET_ID_ANY));
	cr_assert_eq(errno, ENOTSUP);
	p = esp_env_params(SA_OUT, ENV_SPI(1), ENCR_AES_GCM_16, 128, INTEG_HMAC_SHA1_96, false);
	cr_assert_null(sa_build(env.lc->mb, &p, SOCKET_ID_ANY));
	p = esp_env_params(SA_OUT, ENV_SPI(1), ENCR_AES_GCM_16, 160, INTEG_NONE, false);
	cr_assert_null(sa_build(env.lc->mb, &p, SOCKET_ID_ANY));
	p = esp_env_params(SA_IN, ENV_SPI(1), ENCR_AES_GCM_16, 128, INTEG_NONE, false);
	p.replay_window = 100;
	cr_assert_null(sa_build(env.lc->mb, &p, SOCKET_ID_ANY));
	cr_assert_eq(errno, EINVAL);
	p.replay_window = 8192;
	cr_assert_null(sa_build(env.lc->mb, &p, SOCKET_ID_ANY));
	sa_free(NULL);
}
