/* The one algorithm table. Everything that needs a name, a number on the wire, a key length or a
 * block length of an algorithm reads it here; no other file knows any of them.
 *
 * Numbers: phase 1 attribute values from RFC 2409 appendix A and the IANA registry "IPSEC
 * Attributes (IKE)"; ESP transforms and authentication values from RFC 2407 sections 4.4.4 and
 * 4.5 and the registry "ISAKMP ESP Transform Identifiers". */
#ifndef SHRIKE_COMMON_ALG_H
#define SHRIKE_COMMON_ALG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum encr_alg {
	ENCR_NONE = 0, /* no encryption chosen (not the same as NULL encryption) */
	ENCR_NULL,
	ENCR_DES,
	ENCR_3DES,
	ENCR_AES_CBC,
	ENCR_AES_CTR,
	ENCR_AES_GCM_8,
	ENCR_AES_GCM_12,
	ENCR_AES_GCM_16,
	ENCR_AES_GMAC, /* NULL encryption with GMAC authentication, RFC 4543 */
	ENCR_COUNT
};

enum integ_alg {
	INTEG_NONE = 0, /* AEAD transforms carry their own */
	INTEG_HMAC_MD5_96,
	INTEG_HMAC_SHA1_96,
	INTEG_HMAC_SHA256_96, /* pre-RFC truncation; same wire number as _128, a per-peer switch */
	INTEG_HMAC_SHA256_128,
	INTEG_HMAC_SHA384_192,
	INTEG_HMAC_SHA512_256,
	INTEG_COUNT
};

enum hash_alg {
	HASH_NONE = 0,
	HASH_MD5,
	HASH_SHA1,
	HASH_SHA256,
	HASH_SHA384,
	HASH_SHA512,
	HASH_COUNT
};

enum group_kind { GROUP_MODP, GROUP_ECP, GROUP_CURVE25519 };

struct encr_info {
	const char *name;      /* the token in a proposal without key length: "aes", "aesgcm16" */
	const char *title;     /* for people and JSON: "AES-GCM-16" */
	uint16_t ike_id;       /* phase 1 Encryption Algorithm, 0 = none exists in IKEv1 */
	uint8_t esp_id;	       /* ESP transform identifier */
	bool aead;	       /* integrity included */
	bool has_key_len;      /* the Key Length attribute is sent and required */
	uint16_t key_bits;     /* the fixed or default key length */
	uint8_t block_len;     /* bytes; padding granularity in ESP is max(4, block_len) */
	uint8_t iv_len;	       /* bytes of IV in an ESP packet */
	uint8_t salt_len;      /* bytes after the key in KEYMAT, not counted in Key Length */
	uint8_t icv_len;       /* AEAD only */
	uint8_t ah_id;	       /* of AH with a key of 128 bits, RFC 4543 section 9: transform and
				* Authentication Algorithm attribute; 192 and 256 bits follow. 0 = none */
	const char *weak;      /* why it is off unless named; NULL when it is fine */
};

struct integ_info {
	const char *name;  /* "sha256" */
	const char *title; /* "HMAC-SHA256-128" */
	uint8_t attr_id;   /* phase 2 Authentication Algorithm attribute */
	uint8_t ah_id;	   /* AH transform identifier */
	enum hash_alg hash;
	uint8_t key_len; /* bytes of KEYMAT */
	uint8_t icv_len; /* bytes on the wire */
	const char *weak;
};

struct hash_info {
	const char *name;    /* "sha256" */
	const char *openssl; /* EVP name */
	uint16_t ike_id;     /* phase 1 Hash Algorithm; the PRF is its HMAC */
	uint8_t len;	     /* bytes */
	const char *weak;
};

struct group_info {
	const char *name;    /* "modp2048" */
	uint16_t id;	     /* phase 1 Group Description */
	enum group_kind kind;
	const char *openssl; /* named group for OpenSSL; NULL where only the prime is known */
	uint16_t public_len; /* bytes of the KE payload body */
	uint16_t shared_len; /* bytes of g^xy as used in key derivation */
	const char *weak;
};

#define HASH_MAX_LEN  64
#define GROUP_MAX_LEN 1024 /* modp8192 */

/* Never NULL for a valid enumerator. */
const struct encr_info *encr_info(enum encr_alg a);
const struct integ_info *integ_info(enum integ_alg a);
const struct hash_info *hash_info(enum hash_alg a);

/* NULL for a group that we do not have. */
const struct group_info *group_info(uint16_t id);
/* The i-th that we have, NULL behind the last. */
const struct group_info *group_at(unsigned i);

/* From numbers on the wire; *_NONE when unknown. */
enum encr_alg encr_from_ike(uint16_t ike_id);
enum encr_alg encr_from_esp(uint8_t esp_id);
enum integ_alg integ_from_attr(uint16_t attr_id);
enum integ_alg integ_from_ah(uint8_t ah_id);
/* AH whose integrity is a cipher's: the same, and the length of its key. */
enum encr_alg encr_from_ah(uint8_t ah_id, uint16_t *key_bits);
/* The number of AH with that cipher, 0 = none exists. */
uint8_t encr_ah_id(enum encr_alg a, uint16_t key_bits);
enum hash_alg hash_from_ike(uint16_t ike_id);

/* One acceptable combination for phase 1; key_bits is always filled in (also for 3DES). */
struct ike_transform {
	enum encr_alg encr;
	uint16_t key_bits;
	enum hash_alg hash;
	uint16_t group;
};

/* One acceptable combination for phase 2. ESP: integ is INTEG_NONE exactly when encr is AEAD. AH: encr
 * is ENCR_NONE and integ is not INTEG_NONE, or encr is ENCR_AES_GMAC and integ is INTEG_NONE. */
struct esp_transform {
	enum encr_alg encr;
	uint16_t key_bits; /* without the salt; 0 for NULL */
	enum integ_alg integ;
	uint16_t group; /* PFS group, 0 = no PFS */
	bool esn;
	bool ah; /* AH instead of ESP */
};

/* Proposals in strongSwan's notation: tokens joined by '-', several of a kind allowed
 * ("aes256-aes128-sha256-modp2048" is two transforms, AES-256 first); the caller splits on commas.
 * Phase 2 also knows "esn", "noesn" (both: either, the first preferred) and "ah" ("ah-sha256").
 * Appends at most max - *n transforms to out. Returns 0, or -EINVAL with a sentence in why
 * (why_size bytes) that names the token and, where there is one, the alternative. */
int ike_proposal_parse(const char *text, struct ike_transform *out, size_t max, size_t *n,
		       char *why, size_t why_size);
int esp_proposal_parse(const char *text, struct esp_transform *out, size_t max, size_t *n,
		       char *why, size_t why_size);

/* The notation above for one transform: "aes256-sha256-modp2048", "aes128gcm16"; returns buf. */
const char *ike_transform_str(const struct ike_transform *t, char *buf, size_t size);
const char *esp_transform_str(const struct esp_transform *t, char *buf, size_t size);

/* The reasons why parts of the transform are weak, in buf (WEAK_STR_LEN); NULL when none is. */
const char *ike_transform_weak(const struct ike_transform *t, char *buf, size_t size);
const char *esp_transform_weak(const struct esp_transform *t, char *buf, size_t size);

#define TRANSFORM_STR_LEN 64
#define WEAK_STR_LEN	  160

#endif
