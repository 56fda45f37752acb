/* Offers and answers: SA payloads from configuration, the responder's choice, and the initiator's
 * check of the answer. A refusal always says what differed. */
#ifndef SHRIKE_IKE_PROPOSAL_H
#define SHRIKE_IKE_PROPOSAL_H

#include <stddef.h>
#include <stdint.h>

#include "alg.h"
#include "diagnosis.h"
#include "message.h"

/* What the two sides agreed on for phase 1. */
struct ike_choice {
	struct ike_transform t;
	uint16_t auth;	    /* enum auth_method */
	uint32_t life_s;    /* of the chosen transform, 0 = not given */
	uint64_t life_kb;
	unsigned proposal, transform; /* indices into the parsed offer */
};

/* What the two sides agreed on for phase 2. */
struct esp_choice {
	struct esp_transform t;
	uint16_t encap;	    /* enum encap_mode as on the wire */
	uint32_t life_s;
	uint64_t life_kb;
	uint32_t spi;	    /* the peer's, host order */
	unsigned proposal, transform;
};

/* What we would accept or offer in phase 2, besides the transforms. */
struct esp_policy {
	const struct esp_transform *t; /* by preference */
	unsigned n;
	uint16_t encap;	    /* the mode for the path: ENCAP_TUNNEL, ENCAP_UDP_TUNNEL, ...; AH has none
			     * in UDP, and is neither offered nor taken then */
	uint16_t group;	    /* initiator: the one PFS group offered, 0 = none */
	uint32_t life_s;
	uint64_t life_kb;
};

/* Why nothing of an offer was acceptable: the transform that comes closest, and what differs. */
struct mismatch {
	unsigned offer, transform; /* from 1; 0: the offer, or our configuration, is empty */
	struct ike_difference diff[IKE_DIFFERENCES];
	unsigned n;
	char reason[96]; /* with n == 0: why it could not be used at all */
	/* what that transform asks for; known: all of it is something that we have */
	bool known;
	struct ike_transform ike;
	struct esp_transform esp;
	uint16_t auth, encap;
	bool cut; /* the offer is longer than what is looked at */
};

/* "offer 1, transform 3: only GROUP differs: peer modp1024, ours modp2048"; returns buf. */
const char *mismatch_str(const struct mismatch *m, char *buf, size_t size);

/* Adds the SA payload with one proposal and a transform each. Nothing to offer (n == 0, or in phase 2
 * no transform of p->group) makes msg_finish() fail. */
void ike_offer_write(struct msgbuf *m, const struct ike_transform *t, unsigned n, uint16_t auth,
		     uint32_t life_s, uint64_t life_kb);
/* The same for AUTH_KERBEROS: each transform with our GSS Identity Name. */
void ike_offer_write_named(struct msgbuf *m, const struct ike_transform *t, unsigned n,
			   uint16_t auth, uint32_t life_s, uint64_t life_kb, struct view name);
/* Is there anything of p to offer? */
bool esp_offer_possible(const struct esp_policy *p);
/* Phase 2: a proposal with our SPI for each run of ESP or AH transforms; only those of p->group. */
void esp_offer_write(struct msgbuf *m, const struct esp_policy *p, uint32_t spi);

/* Responder: the first of ours that was offered. 0, or -ENOENT with why. n == 0 of ours never matches. */
int ike_offer_choose(const struct sa_payload *offer, const struct ike_transform *ours, unsigned n,
		     uint16_t auth, struct ike_choice *out, struct mismatch *why);
/* The same, with the reason as a text. */
int ike_offer_select(const struct sa_payload *offer, const struct ike_transform *ours, unsigned n,
		     uint16_t auth, struct ike_choice *out, char *why, size_t why_size);
/* Phase 2 likewise. PFS follows the offered transform: initiator with PFS and we without is accepted with
 * the initiator's group (when we have that group at all); we with PFS and the initiator without is refused. */
int esp_offer_choose(const struct sa_payload *offer, const struct esp_policy *p,
		     struct esp_choice *out, struct mismatch *why);
int esp_offer_select(const struct sa_payload *offer, const struct esp_policy *p,
		     struct esp_choice *out, char *why, size_t why_size);

/* Responder: adds the SA payload with exactly the chosen transform, echoed byte for byte (number and
 * attributes); spi: ours, for phase 2 (0 = phase 1, none). */
void answer_write(struct msgbuf *m, const struct sa_payload *offer, unsigned proposal,
		  unsigned transform, uint32_t spi);

/* Phase 1 of AUTH_KERBEROS: the same with our GSS Identity Name in the place of the initiator's. */
void answer_write_named(struct msgbuf *m, const struct sa_payload *offer, unsigned proposal,
			unsigned transform, struct view name);

/* Initiator: the answer must hold one proposal with one transform that equals one of our offers: the
 * same numbers and the same attributes, none more or less (phase 2: except the SPI). Their order and
 * their encoding, basic or variable, do not count (RFC 2409 appendix A; strongSwan encodes the choice
 * anew), and a GSS Identity Name is the responder's own. 0, or -EBADMSG with why; proposal and transform of out are indices into the offer. */
int ike_answer_check(const struct sa_payload *offer, const struct sa_payload *answer,
		     struct ike_choice *out, char *why, size_t why_size);
int esp_answer_check(const struct sa_payload *offer, const struct sa_payload *answer,
		     struct esp_choice *out, char *why, size_t why_size);
/* After esp_answer_check(): the number on the wire does not tell SHA-256 truncated at 96 bits from 128;
 * the policy that the offer was written from does. */
void esp_answer_resolve(const struct esp_policy *p, struct esp_choice *c);

#endif
