/* Proposals as text: strongSwan's notation, read and written. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "alg.h"

struct encr_token {
	const char *token;
	enum encr_alg encr;
	uint16_t key_bits;
};

#define AES_TOKENS(suffix, alg)                                                                    \
	{ "aes128" suffix, alg, 128 }, { "aes192" suffix, alg, 192 }, { "aes256" suffix, alg, 256 }

/* Of several tokens for one thing the first is the one that is printed. */
static const struct encr_token encr_tokens[] = {
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
	{ "aes", ENCR_AES_CBC, 128 },
	{ "3des", ENCR_3DES, 192 },
	{ "des", ENCR_DES, 64 },
	{ "null", ENCR_NULL, 0 },
};

/* What people know from elsewhere and cannot have here: by how the token begins. */
static const struct {
	const char *start, *why;
} refused[] = {
	{ "chacha20", "IKEv1 has no number for ChaCha20-Poly1305; use aes256gcm16 in phase 2" },
	{ "aes128ccm", "AES-CCM is not built in; use aes128gcm16 in phase 2" },
	{ "aes192ccm", "AES-CCM is not built in; use aes192gcm16 in phase 2" },
	{ "aes256ccm", "AES-CCM is not built in; use aes256gcm16 in phase 2" },
	{ "camellia", "Camellia is not built in; use aes128 or aes256" },
	{ "blowfish", "Blowfish has 64-bit blocks and is not built in; use aes128 or aes256" },
	{ "cast", "CAST has 64-bit blocks and is not built in; use aes128 or aes256" },
	{ "idea", "IDEA has 64-bit blocks and is not built in; use aes128 or aes256" },
	{ "rc5", "RC5 has 64-bit blocks and is not built in; use aes128 or aes256" },
	{ "twofish", "IKEv1 has no number for Twofish; use aes256" },
	{ "serpent", "IKEv1 has no number for Serpent; use aes256" },
	{ "aesxcbc", "AES-XCBC is not built in; use sha256" },
	{ "aescmac", "IKEv1 has no number for AES-CMAC; use sha256" },
	{ "prf", "in IKEv1 the PRF is the HMAC of the hash: leave it out" },
	{ "sha3", "IKEv1 has no number for SHA-3; use sha256 or sha512" },
	{ "tiger", "Tiger is not built in; use sha256" },
	{ "curve448", "IKEv1 has no number for Curve448; use x25519 or ecp384" },
	{ "x448", "IKEv1 has no number for Curve448; use x25519 or ecp384" },
	{ "ecp192", "the group is too small and not built in; use ecp256" },
	{ "ecp224", "the group is too small and not built in; use ecp256" },
	{ "kyber", "IKEv1 has no post-quantum groups; use modp4096 or ecp384" },
	{ "mlkem", "IKEv1 has no post-quantum groups; use modp4096 or ecp384" },
};

#define COUNT(a)   (sizeof(a) / sizeof((a)[0]))
#define MAX_TOKENS 8 /* of one kind in one proposal */

/* The tokens of one proposal, sorted by kind, each kind in the order written. */
struct tokens {
	const struct encr_token *encr[MAX_TOKENS];
	enum integ_alg integ[MAX_TOKENS];
	uint16_t group[MAX_TOKENS];
	bool esn[MAX_TOKENS];
	size_t n_encr, n_integ, n_group, n_esn;
	bool ah;
};

static const struct encr_token *find_encr(const char *tok)
{
	for (size_t i = 0; i < COUNT(encr_tokens); i++)
		if (strcmp(encr_tokens[i].token, tok) == 0)
			return &encr_tokens[i];
	return NULL;
}

static enum integ_alg find_integ(const char *tok)
{
	if (strcmp(tok, "sha") == 0)
		return INTEG_HMAC_SHA1_96;
	for (unsigned a = INTEG_HMAC_MD5_96; a < INTEG_COUNT; a++)
		if (strcmp(integ_info((enum integ_alg)a)->name, tok) == 0)
			return (enum integ_alg)a;
	return INTEG_NONE;
}

static uint16_t find_group(const char *tok)
{
	const struct group_info *g;

	if (strcmp(tok, "curve25519") == 0)
		tok = "x25519";
	for (unsigned i = 0; (g = group_at(i)); i++)
		if (strcmp(g->name, tok) == 0)
			return g->id;
	return 0;
}

static int unknown_token(const char *tok, char *why, size_t why_size)
{
	for (size_t i = 0; i < COUNT(refused); i++) {
		if (strncmp(refused[i].start, tok, strlen(refused[i].start)) != 0)
			continue;
		snprintf(why, why_size, "'%s': %s", tok, refused[i].why);
		return -EINVAL;
	}
	snprintf(why, why_size,
		 "unknown algorithm '%s'; examples: aes256-sha256-modp2048, aes128gcm16", tok);
	return -EINVAL;
}

static int add_token(struct tokens *t, const char *tok, char *why, size_t why_size)
{
	const struct encr_token *e = find_encr(tok);
	enum integ_alg integ = find_integ(tok);
	uint16_t group = find_group(tok);

	if (t->n_encr == MAX_TOKENS || t->n_integ == MAX_TOKENS || t->n_group == MAX_TOKENS ||
	    t->n_esn == MAX_TOKENS) {
		snprintf(why, why_size, "too many algorithms in one proposal (at most %d of a kind)",
			 MAX_TOKENS - 1);
		return -EINVAL;
	}
	if (e)
		t->encr[t->n_encr++] = e;
	else if (integ != INTEG_NONE)
		t->integ[t->n_integ++] = integ;
	else if (group)
		t->group[t->n_group++] = group;
	else if (strcmp(tok, "esn") == 0 || strcmp(tok, "noesn") == 0)
		t->esn[t->n_esn++] = tok[0] == 'e';
	else if (strcmp(tok, "ah") == 0)
		t->ah = true;
	else
		return unknown_token(tok, why, why_size);
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
	if (t->n_encr == 0 && !t->ah) {
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

static int ike_check(const struct tokens *t, const char *text, char *why, size_t why_size)
{
	if (t->ah) {
		snprintf(why, why_size, "ah belongs to proposals of children, not to phase 1");
		return -EINVAL;
	}
	for (size_t e = 0; e < t->n_encr; e++)
		if (ike_check_encr(t->encr[e], why, why_size) != 0)
			return -EINVAL;
	if (t->n_integ == 0 || t->n_group == 0) {
		snprintf(why, why_size, "phase 1 proposal '%s' needs a %s, like "
			 "aes256-sha256-modp2048", text, t->n_integ == 0 ? "hash" : "group");
		return -EINVAL;
	}
	if (t->n_esn) {
		snprintf(why, why_size, "esn belongs to esp proposals, not to phase 1");
		return -EINVAL;
	}
	for (size_t h = 0; h < t->n_integ; h++) {
		if (t->integ[h] != INTEG_HMAC_SHA256_96)
			continue;
		snprintf(why, why_size, "sha256_96 is a truncation in ESP and AH; phase 1 has sha256");
		return -EINVAL;
	}
	return 0;
}

int ike_proposal_parse(const char *text, struct ike_transform *out, size_t max, size_t *n,
		       char *why, size_t why_size)
{
	struct tokens t;
	int rc = tokenize(text, &t, why, why_size);

	if (rc != 0 || (rc = ike_check(&t, text, why, why_size)) != 0)
		return rc;
	for (size_t e = 0; e < t.n_encr; e++) {
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

static int ah_check(const struct tokens *t, char *why, size_t why_size)
{
	for (size_t e = 0; e < t->n_encr; e++) {
		if (encr_info(t->encr[e]->encr)->ah_id)
			continue;
		snprintf(why, why_size, "AH does not encrypt: leave '%s' out, or leave 'ah' out for ESP",
			 t->encr[e]->token);
		return -EINVAL;
	}
	if (t->n_integ == 0 && t->n_encr == 0) {
		snprintf(why, why_size, "'ah' needs an integrity algorithm, like ah-sha256");
		return -EINVAL;
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

/* Everything that goes with one cipher (NULL: AH with a hash); one pass with "none" where a kind has no
 * token, or a cipher that brings its own. */
static int esp_expand(const struct tokens *t, const struct encr_token *e, struct esp_transform *out,
		      size_t max, size_t *n)
{
	size_t n_integ = e && encr_info(e->encr)->aead ? 0 : t->n_integ;

	for (size_t i = 0; i < (n_integ ? n_integ : 1); i++) {
		for (size_t g = 0; g < (t->n_group ? t->n_group : 1); g++) {
			for (size_t s = 0; s < (t->n_esn ? t->n_esn : 1); s++) {
				if (*n == max)
					return -ENOSPC;
				out[(*n)++] = (struct esp_transform){
					.encr = e ? e->encr : ENCR_NONE,
					.key_bits = e ? e->key_bits : 0,
					.integ = n_integ ? t->integ[i] : INTEG_NONE,
					.group = t->n_group ? t->group[g] : 0,
					.esn = t->n_esn && t->esn[s],
					.ah = t->ah,
				};
			}
		}
	}
	return 0;
}

int esp_proposal_parse(const char *text, struct esp_transform *out, size_t max, size_t *n,
		       char *why, size_t why_size)
{
	struct tokens t;
	int rc = tokenize(text, &t, why, why_size);

	if (rc == 0 && t.ah) {
		rc = ah_check(&t, why, why_size);
		for (size_t e = 0; rc == 0 && e < t.n_encr; e++)
			rc = esp_expand(&t, t.encr[e], out, max, n);
		if (rc == 0 && t.n_integ)
			rc = esp_expand(&t, NULL, out, max, n);
		return rc == -ENOSPC ? too_many(why, why_size, max) : rc;
	}
	for (size_t e = 0; rc == 0 && e < t.n_encr; e++) {
		rc = esp_check(&t, t.encr[e], why, why_size);
		if (rc == 0 && esp_expand(&t, t.encr[e], out, max, n) != 0)
			rc = too_many(why, why_size, max);
	}
	return rc;
}

static const char *encr_token_str(enum encr_alg encr, uint16_t key_bits)
{
	for (size_t i = 0; i < COUNT(encr_tokens); i++)
		if (encr_tokens[i].encr == encr && encr_tokens[i].key_bits == key_bits)
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
	const char *encr = t->encr ? encr_token_str(t->encr, t->key_bits) : "";

	snprintf(buf, size, "%s%s%s%s%s%s%s%s", t->ah ? "ah" : "", t->ah && t->encr ? "-" : "",
		 encr, t->integ ? "-" : "", t->integ ? integ_info(t->integ)->name : "",
		 g ? "-" : "", g ? g->name : "", t->esn ? "-esn" : "");
	return buf;
}

/* Every reason once, in the order of the notation. NULL when there is none. */
static const char *weak_text(const char *const reason[3], char *buf, size_t size)
{
	size_t at = 0;

	buf[0] = '\0';
	for (unsigned i = 0; i < 3 && at < size; i++)
		if (reason[i])
			at += (size_t)snprintf(buf + at, size - at, "%s%s", at ? "; " : "",
					       reason[i]);
	return at ? buf : NULL;
}

static const char *group_weak(uint16_t group)
{
	const struct group_info *g = group ? group_info(group) : NULL;

	return g ? g->weak : NULL;
}

const char *ike_transform_weak(const struct ike_transform *t, char *buf, size_t size)
{
	return weak_text((const char *const[]){ encr_info(t->encr)->weak, hash_info(t->hash)->weak,
						group_weak(t->group) },
			 buf, size);
}

const char *esp_transform_weak(const struct esp_transform *t, char *buf, size_t size)
{
	/* that AH does not encrypt, its name says */
	return weak_text((const char *const[]){ t->ah ? NULL : encr_info(t->encr)->weak,
						integ_info(t->integ)->weak, group_weak(t->group) },
			 buf, size);
}
