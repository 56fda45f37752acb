/* Inside proposal_*.c: what an offered transform says, and how it differs from one of ours. */
#ifndef SHRIKE_IKE_PROPOSAL_READ_H
#define SHRIKE_IKE_PROPOSAL_READ_H

#include "proposal.h"

struct life {
	uint16_t type; /* the last Life Type, 0 = none yet */
	uint32_t s;    /* the shortest of its kind, 0 = not given */
	uint64_t kb;
};

/* Numbers as on the wire, so that values that we do not know can still be named. */
struct ike_seen {
	uint16_t encr, hash, group, auth;
	uint16_t key_bits; /* the cipher's own where the attribute is absent */
	struct life life;
	bool gss; /* a GSS Identity Name is there: it makes 65001 Kerberos */
};

struct esp_seen {
	bool ah;
	enum encr_alg cipher; /* what encr means; of AH: GMAC, and integ is absent then */
	uint8_t encr;	      /* of ESP */
	uint16_t integ, group, encap; /* 0 = absent */
	uint16_t key_bits;
	bool esn;
	struct life life;
	uint32_t spi;
};

/* 0, or -ENOTSUP with a reason why no choice of ours can make this transform acceptable. */
int ike_transform_read(const struct proposal *pr, const struct transform *t, struct ike_seen *out,
		       char *why, size_t why_size);
int esp_transform_read(const struct proposal *pr, const struct transform *t, struct esp_seen *out,
		       char *why, size_t why_size);

/* The attributes that differ. */
struct diff {
	unsigned n;
	struct ike_difference d[IKE_DIFFERENCES];
};

void diff_add(struct diff *d, const char *name, const char *peer, const char *ours);

/* The best near miss so far. */
struct closest {
	unsigned distance; /* attributes that differ; UINT_MAX = nothing seen */
	struct mismatch *m;
};

/* Takes d for this transform (0-based positions) when it is nearer than what was seen: true. */
bool closest_diff(struct closest *c, const struct diff *d, unsigned proposal, unsigned transform);
/* Takes a reason, which is further away than any difference. */
void closest_reason(struct closest *c, const char *reason, unsigned proposal, unsigned transform);

/* AH through a NAT would never arrive: RFC 3948 has UDP encapsulation for ESP alone. */
bool esp_transform_fits(const struct esp_transform *t, uint16_t encap);
/* Is it one of those that we offer under this policy? */
bool esp_offered(const struct esp_policy *p, const struct esp_transform *t);

/* True when another proposal has the same number: both protocols would be wanted at once. */
bool proposal_is_bundle(const struct sa_payload *offer, unsigned proposal);

/* Where the answer stands in the offer (indices). 0, or -EBADMSG with why. */
int answer_find(const struct sa_payload *offer, const struct sa_payload *answer, unsigned *proposal,
		unsigned *transform, char *why, size_t why_size);

const char *encr_text(enum encr_alg a, uint16_t number, uint16_t key_bits, char *buf, size_t size);
const char *group_text(uint16_t group, char *buf, size_t size);

#endif
