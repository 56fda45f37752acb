/* What is wrong with a negotiation or an SA, as data: a code, the values of both sides, and the
 * configuration that would mend it. Whatever fails attaches one to its event; the sentence for
 * people is made from it in one place (diagnosis_text.c), the mending lines in another
 * (diagnosis_mend.c). Never holds a secret: secrets are named by their entry in the configuration.
 */
#ifndef SHRIKE_IKE_DIAGNOSIS_H
#define SHRIKE_IKE_DIAGNOSIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ike_diag {
	IKE_DIAG_OTHER, /* only a sentence */
	/* negotiations that fail */
	IKE_DIAG_PHASE1_TRANSFORM, /* no phase 1 transform of the peer's is one of ours */
	IKE_DIAG_PHASE2_TRANSFORM,
	IKE_DIAG_PFS,            /* the same, and only the group differs */
	IKE_DIAG_MODE,           /* the same, and only the encapsulation mode differs */
	IKE_DIAG_PHASE1_REFUSED, /* the peer takes none of our offers and does not say why */
	IKE_DIAG_PHASE2_REFUSED,
	IKE_DIAG_PSK,
	IKE_DIAG_IDENTITY,     /* the peer is somebody else than configured */
	IKE_DIAG_OUR_IDENTITY, /* the peer does not accept who we are, or our certificate */
	IKE_DIAG_CERT_UNKNOWN_CA,
	IKE_DIAG_CERT_EXPIRED,
	IKE_DIAG_CERT_REVOKED,
	IKE_DIAG_OCSP, /* no OCSP responder says whether the peer's certificate was revoked */
	IKE_DIAG_CERT_OTHER,
	IKE_DIAG_SELECTORS,
	IKE_DIAG_SILENT,
	IKE_DIAG_NATT_BLOCKED, /* UDP 500 passes, 4500 does not */
	IKE_DIAG_USER,	       /* XAuth: a user is not accepted */
	IKE_DIAG_EXCHANGE,     /* another exchange or version of IKE */
	/* what stands but is not as it should be */
	IKE_DIAG_TRUNCATION, /* every packet fails its ICV, and SHA-256 explains it */
	IKE_DIAG_INTEGRITY,  /* every packet fails its ICV */
	IKE_DIAG_LIFETIME,
	IKE_DIAG_COUNT
};

#define IKE_DIFFERENCES 6
#define IKE_DIAG_NAME   64 /* IKE_NAME_LEN */
#define IKE_DIAG_PREFIX 24 /* room for what stands in front of a name */

struct ike_difference {
	char what[16]; /* "GROUP", "ID", "LOCAL" */
	char ours[160], theirs[160];
};

/* What the other side said about our message, if anything. */
struct ike_hint {
	bool unreadable; /* an encrypted notify that we cannot decrypt */
	bool proved;     /* under the keys of this exchange; otherwise anybody may have said it */
	bool deleted;    /* proved, too: it deleted the SA */
	uint16_t notify; /* 0: nothing was said */
	uint8_t version,
		exchange; /* it answered in another version of IKE, or not with Main Mode */
};

struct ike_diagnosis {
	enum ike_diag code;
	bool initiator; /* our role */
	uint8_t phase1; /* the exchange of phase 1, enum exchange_type */
	bool degraded;  /* it works nevertheless */
	bool probable;  /* what the evidence suggests; otherwise it is certain */
	bool nat;       /* and a NAT is on the way */
	bool cut;       /* the peer's offer is longer than what is looked at */
	char peer[IKE_DIAG_NAME], child[IKE_DIAG_NAME]; /* child "": phase 1 */
	char secret[IKE_DIAG_NAME];                     /* the entry that holds the key, or "" */
	unsigned offer, transform; /* which of the peer's, from 1; 0: not about one */
	struct ike_difference diff[IKE_DIFFERENCES];
	unsigned n_diff;
	struct ike_hint hint;
	unsigned message,
		sent;    /* that was not answered, or did not verify; how often it went out */
	char remote[48]; /* the peer's address and */
	uint16_t port;   /* UDP port, where that matters */
	char fact[384];  /* what fits nowhere else: a certificate's fault, our offer */

	/* lines of configuration, without indentation, that would mend it on our side, or "": then
	 * only `remedy` helps; where they belong: "peer gw-b, child net" */
	char mend[640];
	char where[2 * IKE_DIAG_NAME + IKE_DIAG_PREFIX];
	char remedy[320]; /* what to do elsewhere, a sentence without the final stop, or "" */
	char text[400];   /* the whole in a sentence */
};

/* "phase1-transform", "pre-shared-key", ...; stable, for programs. */
const char *diagnosis_code_name(enum ike_diag code);

#endif
