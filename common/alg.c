#include "alg.h"

#include <stddef.h>

#define WEAK_DES  "56-bit keys can be searched"
#define WEAK_3DES "64-bit blocks leak after 32 GB (Sweet32)"
#define WEAK_MD5  "MD5 is broken as a hash"
#define WEAK_DH   "the group is small enough to precompute (Logjam)"
#define WEAK_5114 "the RFC 5114 primes have no published origin"

static const struct encr_info encr_table[ENCR_COUNT] = {
	[ENCR_NONE] = { .name = "none", .title = "none" },
	[ENCR_NULL] = { .name = "null", .title = "NULL", .esp_id = 11, .block_len = 1,
			.weak = "nothing is encrypted" },
	[ENCR_DES] = { .name = "des", .title = "DES-CBC", .ike_id = 1, .esp_id = 2, .key_bits = 64,
		       .block_len = 8, .iv_len = 8, .weak = WEAK_DES },
	[ENCR_3DES] = { .name = "3des", .title = "3DES-CBC", .ike_id = 5, .esp_id = 3,
			.key_bits = 192, .block_len = 8, .iv_len = 8, .weak = WEAK_3DES },
	[ENCR_AES_CBC] = { .name = "aes", .title = "AES-CBC", .ike_id = 7, .esp_id = 12,
			   .has_key_len = true, .key_bits = 128, .block_len = 16, .iv_len = 16 },
	[ENCR_AES_CTR] = { .name = "aesctr", .title = "AES-CTR", .esp_id = 13,
			   .has_key_len = true, .key_bits = 128, .block_len = 1, .iv_len = 8,
			   .salt_len = 4 },
	[ENCR_AES_GCM_8] = { .name = "aesgcm8", .title = "AES-GCM-8", .esp_id = 18, .aead = true,
			     .has_key_len = true, .key_bits = 128, .block_len = 1, .iv_len = 8,
			     .salt_len = 4, .icv_len = 8 },
	[ENCR_AES_GCM_12] = { .name = "aesgcm12", .title = "AES-GCM-12", .esp_id = 19,
			      .aead = true, .has_key_len = true, .key_bits = 128, .block_len = 1,
			      .iv_len = 8, .salt_len = 4, .icv_len = 12 },
	[ENCR_AES_GCM_16] = { .name = "aesgcm16", .title = "AES-GCM-16", .esp_id = 20,
			      .aead = true, .has_key_len = true, .key_bits = 128, .block_len = 1,
			      .iv_len = 8, .salt_len = 4, .icv_len = 16 },
	[ENCR_AES_GMAC] = { .name = "aesgmac", .title = "AES-GMAC", .esp_id = 23, .aead = true,
			    .has_key_len = true, .key_bits = 128, .block_len = 1, .iv_len = 8,
			    .salt_len = 4, .icv_len = 16, .ah_id = 11,
			    .weak = "nothing is encrypted" },
};

static const struct integ_info integ_table[INTEG_COUNT] = {
	[INTEG_NONE] = { .name = "none", .title = "none" },
	[INTEG_HMAC_MD5_96] = { "md5", "HMAC-MD5-96", 1, 2, HASH_MD5, 16, 12, WEAK_MD5 },
	[INTEG_HMAC_SHA1_96] = { "sha1", "HMAC-SHA1-96", 2, 3, HASH_SHA1, 20, 12, NULL },
	[INTEG_HMAC_SHA256_96] = { "sha256_96", "HMAC-SHA256-96", 5, 5, HASH_SHA256, 32, 12, NULL },
	[INTEG_HMAC_SHA256_128] = { "sha256", "HMAC-SHA256-128", 5, 5, HASH_SHA256, 32, 16, NULL },
	[INTEG_HMAC_SHA384_192] = { "sha384", "HMAC-SHA384-192", 6, 6, HASH_SHA384, 48, 24, NULL },
	[INTEG_HMAC_SHA512_256] = { "sha512", "HMAC-SHA512-256", 7, 7, HASH_SHA512, 64, 32, NULL },
};

static const struct hash_info hash_table[HASH_COUNT] = {
	[HASH_NONE] = { .name = "none" },
	[HASH_MD5] = { "md5", "MD5", 1, 16, WEAK_MD5 },
	[HASH_SHA1] = { "sha1", "SHA1", 2, 20, NULL },
	[HASH_SHA256] = { "sha256", "SHA256", 4, 32, NULL },
	[HASH_SHA384] = { "sha384", "SHA384", 5, 48, NULL },
	[HASH_SHA512] = { "sha512", "SHA512", 6, 64, NULL },
};

/* RFC 2409 6.1-6.2, 3526, 5114, 5903, 8031. RFC 5903 section 9: the KE body is x | y and g^xy is x. */
static const struct group_info group_table[] = {
	{ "modp768", 1, GROUP_MODP, NULL, 96, 96, WEAK_DH },
	{ "modp1024", 2, GROUP_MODP, NULL, 128, 128, WEAK_DH },
	{ "modp1536", 5, GROUP_MODP, "modp_1536", 192, 192, WEAK_DH },
	{ "modp2048", 14, GROUP_MODP, "modp_2048", 256, 256, NULL },
	{ "modp3072", 15, GROUP_MODP, "modp_3072", 384, 384, NULL },
	{ "modp4096", 16, GROUP_MODP, "modp_4096", 512, 512, NULL },
	{ "modp6144", 17, GROUP_MODP, "modp_6144", 768, 768, NULL },
	{ "modp8192", 18, GROUP_MODP, "modp_8192", 1024, 1024, NULL },
	{ "ecp256", 19, GROUP_ECP, "P-256", 64, 32, NULL },
	{ "ecp384", 20, GROUP_ECP, "P-384", 96, 48, NULL },
	{ "ecp521", 21, GROUP_ECP, "P-521", 132, 66, NULL },
	{ "modp1024s160", 22, GROUP_MODP, "dh_1024_160", 128, 128, WEAK_5114 },
	{ "modp2048s224", 23, GROUP_MODP, "dh_2048_224", 256, 256, WEAK_5114 },
	{ "modp2048s256", 24, GROUP_MODP, "dh_2048_256", 256, 256, WEAK_5114 },
	{ "x25519", 31, GROUP_CURVE25519, "X25519", 32, 32, NULL },
};

#define N_GROUPS (sizeof(group_table) / sizeof(group_table[0]))

const struct group_info *group_at(unsigned i)
{
	return i < N_GROUPS ? &group_table[i] : NULL;
}

const struct encr_info *encr_info(enum encr_alg a)
{
	return &encr_table[a];
}

const struct integ_info *integ_info(enum integ_alg a)
{
	return &integ_table[a];
}

const struct hash_info *hash_info(enum hash_alg a)
{
	return &hash_table[a];
}

const struct group_info *group_info(uint16_t id)
{
	for (size_t i = 0; i < N_GROUPS; i++)
		if (group_table[i].id == id)
			return &group_table[i];
	return NULL;
}

enum encr_alg encr_from_ike(uint16_t ike_id)
{
	for (unsigned a = ENCR_NULL; a < ENCR_COUNT; a++)
		if (encr_table[a].ike_id && encr_table[a].ike_id == ike_id)
			return (enum encr_alg)a;
	return ENCR_NONE;
}

enum encr_alg encr_from_esp(uint8_t esp_id)
{
	for (unsigned a = ENCR_NULL; a < ENCR_COUNT; a++)
		if (encr_table[a].esp_id == esp_id)
			return (enum encr_alg)a;
	return ENCR_NONE;
}

enum integ_alg integ_from_attr(uint16_t attr_id)
{
	if (attr_id == integ_table[INTEG_HMAC_SHA256_128].attr_id)
		return INTEG_HMAC_SHA256_128;
	for (unsigned a = INTEG_HMAC_MD5_96; a < INTEG_COUNT; a++)
		if (integ_table[a].attr_id == attr_id)
			return (enum integ_alg)a;
	return INTEG_NONE;
}

enum integ_alg integ_from_ah(uint8_t ah_id)
{
	if (ah_id == integ_table[INTEG_HMAC_SHA256_128].ah_id)
		return INTEG_HMAC_SHA256_128;
	for (unsigned a = INTEG_HMAC_MD5_96; a < INTEG_COUNT; a++)
		if (integ_table[a].ah_id == ah_id)
			return (enum integ_alg)a;
	return INTEG_NONE;
}

#define AH_KEY_BITS	128 /* of the first of a cipher's numbers for AH, */
#define AH_KEY_BITS_MORE 64 /* and how many more the next one has */
#define AH_KEY_LENGTHS	3

enum encr_alg encr_from_ah(uint8_t ah_id, uint16_t *key_bits)
{
	for (unsigned a = ENCR_NULL; a < ENCR_COUNT; a++) {
		unsigned first = encr_table[a].ah_id;
		if (!first || ah_id < first || ah_id >= first + AH_KEY_LENGTHS)
			continue;
		*key_bits = (uint16_t)(AH_KEY_BITS + (ah_id - first) * AH_KEY_BITS_MORE);
		return (enum encr_alg)a;
	}
	return ENCR_NONE;
}

uint8_t encr_ah_id(enum encr_alg a, uint16_t key_bits)
{
	uint8_t first = encr_table[a].ah_id;

	return first ? (uint8_t)(first + (key_bits - AH_KEY_BITS) / AH_KEY_BITS_MORE) : 0;
}

enum hash_alg hash_from_ike(uint16_t ike_id)
{
	for (unsigned a = HASH_MD5; a < HASH_COUNT; a++)
		if (hash_table[a].ike_id == ike_id)
			return (enum hash_alg)a;
	return HASH_NONE;
}
