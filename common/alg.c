#include "alg.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

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
			    .salt_len = 4, .icv_len = 16, .weak = "nothing is encrypted" },
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

enum hash_alg hash_from_ike(uint16_t ike_id)
{
	for (unsigned a = HASH_MD5; a < HASH_COUNT; a++)
		if (hash_table[a].ike_id == ike_id)
			return (enum hash_alg)a;
	return HASH_NONE;
}

/* ------------------------------------------------------------------ proposals as text ------- */

struct encr_token {
	const char *token;
	enum encr_alg encr;
	uint16_t key_bits;
};

#define AES_TOKENS(suffix, alg)                                                                    \
	{ "aes128" suffix, alg, 128 }, { "aes192" suffix, alg, 192 }, { "aes256" suffix, alg, 256 }

static const struct encr_token encr_tokens[] = {
	{ "aes", ENCR_AES_CBC, 128 },
	AES_TOKENS("", ENCR_AES_CBC),
	AES_TOKENS("ctr", ENCR_AES_CTR),
	AES_TOKENS("gcm8", ENCR_AES_GCM_8),
	AES_TOKENS("gcm64", ENCR_AES_GCM_8),
	AES_TOKENS("gcm12", ENCR_AES_GCM_12),
	AES_TOKENS("gcm96", ENCR_AES_GCM_12),
	AES_TOKENS("gcm16", ENCR_AES_GCM_16),
	AES_TOKENS("gcm128", ENCR_AES_GCM_16),
	AES_TOKENS("gcm", ENCR_AES_GCM_16),
	AES_TOKENS("gmac", ENCR_AES_GMAC),
	{ "3des", ENCR_3DES, 192 },
	{ "des", ENCR_DES, 64 },
	{ "null", ENCR_NULL, 0 },
};

#define MAX_TOKENS 8 /* of one kind in one proposal */

/* The tokens of one proposal, sorted by kind, each kind in the order written. */
struct tokens {
	const struct encr_token *encr[MAX_TOKENS];
	enum integ_alg integ[MAX_TOKENS];
	uint16_t group[MAX_TOKENS];
	size_t n_encr, n_integ, n_group;
	bool esn, no_esn;
};

static const struct encr_token *find_encr(const char *tok)
{
	for (size_t i = 0; i < sizeof(encr_tokens) / sizeof(encr_tokens[0]); i++)
		if (strcmp(encr_tokens[i].token, tok) == 0)
			return &encr_tokens[i];
	return NULL;
}

static enum integ_alg find_integ(const char *tok)
{
	if (strcmp(tok, "sha") == 0)
		return INTEG_HMAC_SHA1_96;
	for (unsigned a = INTEG_HMAC_MD5_96; a < INTEG_COUNT; a++)
		if (strcmp(integ_table[a].name, tok) == 0)
			return (enum integ_alg)a;
	return INTEG_NONE;
}

static uint16_t find_group(const char *tok)
{
	if (strcmp(tok, "curve25519") == 0)
		tok = "x25519";
	for (size_t i = 0; i < N_GROUPS; i++)
		if (strcmp(group_table[i].name, tok) == 0)
			return group_table[i].id;
	return 0;
}

static int add_token(struct tokens *t, const char *tok, char *why, size_t why_size)
{
	const struct encr_token *e = find_encr(tok);
	enum integ_alg integ = find_integ(tok);
	uint16_t group = find_group(tok);

	if (t->n_encr == MAX_TOKENS || t->n_integ == MAX_TOKENS || t->n_group == MAX_TOKENS) {
		snprintf(why, why_size, "too many algorithms in one proposal (at most %d of a kind)",
			 MAX_TOKENS - 1);
		return -EINVAL;
	}
	if (e) {
		t->encr[t->n_encr++] = e;
	} else if (integ != INTEG_NONE) {
		t->integ[t->n_integ++] = integ;
	} else if (group) {
		t->group[t->n_group++] = group;
	} else if (strcmp(tok, "esn") == 0) {
		t->esn = true;
	} else if (strcmp(tok, "noesn") == 0) {
		t->no_esn = true;
	} else {
		snprintf(why, why_size,
			 "unknown algorithm '%s'; examples: aes256-sha256-modp2048, aes128gcm16",
			 tok);
		return -EINVAL;
	}
	return 0;
}

static int tokenize(const char *text, struct tokens *t, char *why, size_t why_size)
{
	char buf[256], *save = NULL;

	if (strlen(text) >= sizeof(buf)) {
		snprintf(why, why_size, "proposal is longer than %zu characters", sizeof(buf) - 1);
		return -EINVAL;
	}
	strcpy(buf, text);
	memset(t, 0, sizeof(*t));
	for (char *tok = strtok_r(buf, "-", &save); tok; tok = strtok_r(NULL, "-", &save)) {
		int rc = add_token(t, tok, why, why_size);
		if (rc != 0)
			return rc;
	}
	if (t->n_encr == 0) {
		snprintf(why, why_size, "proposal '%s' names no encryption algorithm", text);
		return -EINVAL;
	}
	return 0;
}

static int too_many(char *why, size_t why_size, size_t max)
{
	snprintf(why, why_size, "more than %zu transforms", max);
	return -EINVAL;
}

static int ike_check_encr(const struct encr_token *e, char *why, size_t why_size)
{
	if (encr_info(e->encr)->ike_id)
		return 0;
	snprintf(why, why_size,
		 "'%s' cannot protect IKEv1 phase 1: it has no phase 1 number in IKEv1 "
		 "(IANA registry \"IPSEC Attributes\"); use aes128 or aes256 with a hash there, "
		 "and '%s' in esp proposals",
		 e->token, e->token);
	return -EINVAL;
}

int ike_proposal_parse(const char *text, struct ike_transform *out, size_t max, size_t *n,
		       char *why, size_t why_size)
{
	struct tokens t;
	int rc = tokenize(text, &t, why, why_size);

	if (rc != 0)
		return rc;
	if (t.n_integ == 0 || t.n_group == 0) {
		snprintf(why, why_size, "phase 1 proposal '%s' needs a %s, like "
			 "aes256-sha256-modp2048", text, t.n_integ == 0 ? "hash" : "group");
		return -EINVAL;
	}
	if (t.esn || t.no_esn) {
		snprintf(why, why_size, "esn belongs to esp proposals, not to phase 1");
		return -EINVAL;
	}
	for (size_t e = 0; e < t.n_encr; e++) {
		rc = ike_check_encr(t.encr[e], why, why_size);
		if (rc != 0)
			return rc;
		for (size_t h = 0; h < t.n_integ; h++) {
			for (size_t g = 0; g < t.n_group; g++) {
				if (*n == max)
					return too_many(why, why_size, max);
				out[(*n)++] = (struct ike_transform){
					.encr = t.encr[e]->encr,
					.key_bits = t.encr[e]->key_bits,
					.hash = integ_info(t.integ[h])->hash,
					.group = t.group[g],
				};
			}
		}
	}
	return 0;
}

static int esp_check(const struct tokens *t, const struct encr_token *e, char *why, size_t why_size)
{
	bool aead = encr_info(e->encr)->aead;

	if (aead && t->n_integ) {
		snprintf(why, why_size, "'%s' carries its own integrity: leave '%s' out", e->token,
			 integ_info(t->integ[0])->name);
		return -EINVAL;
	}
	if (!aead && !t->n_integ) {
		snprintf(why, why_size, "'%s' without integrity is not safe: add one, like %s-sha256",
			 e->token, e->token);
		return -EINVAL;
	}
	return 0;
}

int esp_proposal_parse(const char *text, struct esp_transform *out, size_t max, size_t *n,
		       char *why, size_t why_size)
{
	struct tokens t;
	int rc = tokenize(text, &t, why, why_size);

	if (rc != 0)
		return rc;
	for (size_t e = 0; e < t.n_encr; e++) {
		rc = esp_check(&t, t.encr[e], why, why_size);
		if (rc != 0)
			return rc;
		/* one pass with "none" where a kind has no token */
		for (size_t i = 0; i < (t.n_integ ? t.n_integ : 1); i++) {
			for (size_t g = 0; g < (t.n_group ? t.n_group : 1); g++) {
				if (*n == max)
					return too_many(why, why_size, max);
				out[(*n)++] = (struct esp_transform){
					.encr = t.encr[e]->encr,
					.key_bits = t.encr[e]->key_bits,
					.integ = t.n_integ ? t.integ[i] : INTEG_NONE,
					.group = t.n_group ? t.group[g] : 0,
					.esn = t.esn,
				};
			}
		}
	}
	return 0;
}

static const char *encr_token_str(enum encr_alg encr, uint16_t key_bits)
{
	for (size_t i = 1; i < sizeof(encr_tokens) / sizeof(encr_tokens[0]); i++)
		if (encr_tokens[i].encr == encr && encr_tokens[i].key_bits == key_bits &&
		    !strstr(encr_tokens[i].token, "gcm64") && !strstr(encr_tokens[i].token, "gcm96"))
			return encr_tokens[i].token;
	return encr_info(encr)->name;
}

const char *ike_transform_str(const struct ike_transform *t, char *buf, size_t size)
{
	const struct group_info *g = group_info(t->group);

	snprintf(buf, size, "%s-%s-%s", encr_token_str(t->encr, t->key_bits),
		 hash_info(t->hash)->name, g ? g->name : "unknown-group");
	return buf;
}

const char *esp_transform_str(const struct esp_transform *t, char *buf, size_t size)
{
	const struct group_info *g = t->group ? group_info(t->group) : NULL;

	snprintf(buf, size, "%s%s%s%s%s%s", encr_token_str(t->encr, t->key_bits),
		 t->integ ? "-" : "", t->integ ? integ_info(t->integ)->name : "", g ? "-" : "",
		 g ? g->name : "", t->esn ? "-esn" : "");
	return buf;
}

static const char *first_weak(const char *a, const char *b, uint16_t group)
{
	const struct group_info *g = group_info(group);

	return a ? a : b ? b : g ? g->weak : NULL;
}

const char *ike_transform_weak(const struct ike_transform *t)
{
	return first_weak(encr_info(t->encr)->weak, hash_info(t->hash)->weak, t->group);
}

const char *esp_transform_weak(const struct esp_transform *t)
{
	return first_weak(encr_info(t->encr)->weak, integ_info(t->integ)->weak, t->group);
}
