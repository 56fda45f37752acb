/* The exchanges as a table: RFC 2409 sections 5.1 and 5.4 (Main Mode and Aggressive Mode, with
 * signatures and with a pre-shared key) and 5.5 (Quick Mode), RFC 2408 section 4.8 (Informational), and
 * draft-ietf-ipsec-isakmp-mode-cfg-05 section 3 (Transaction). */
#include <errno.h>
#include <stddef.h>

#include "exchange.h"

#define NATD     (PB(PL_NAT_D) | PB(PL_NAT_D_DRAFT))
#define NATOA    (PB(PL_NAT_OA) | PB(PL_NAT_OA_DRAFT))
#define CERTS    (PB(PL_CERT) | PB(PL_CERT_REQ))
#define ANYWHERE (PB(PL_VENDOR) | PB(PL_NOTIFY))

/* clang-format off */
const struct step step_table[] = {
	/* Main Mode, responder */
	{ .name = "Main Mode message 1", .exchange = EXCH_IDENTITY_PROTECTION, .initiator = false,
	  .step = 0, .number = 1, .first = PL_SA, .required = PB(PL_SA),
	  .optional = ANYWHERE | PB(PL_CERT_REQ),
	  .verify = mm_verify_1, .handle = mm_handle_1 },
	{ .name = "Main Mode message 3", .exchange = EXCH_IDENTITY_PROTECTION, .initiator = false,
	  .step = 1, .number = 3, .required = PB(PL_KE) | PB(PL_NONCE),
	  .optional = NATD | ANYWHERE | PB(PL_CERT_REQ) | PB(PL_GSS),
	  .verify = mm_verify_ke, .handle = mm_handle_3 },
	{ .name = "Main Mode message 5", .exchange = EXCH_IDENTITY_PROTECTION, .initiator = false,
	  .step = 2, .number = 5, .encrypted = true, .required = PB(PL_ID) | PB(PL_HASH),
	  .optional = PB(PL_CERT_REQ) | ANYWHERE, .hash = STEP_AUTH,
	  .verify = mm_verify_auth, .handle = mm_handle_5 },
	/* the same place where signatures were agreed */
	{ .name = "Main Mode message 5", .exchange = EXCH_IDENTITY_PROTECTION, .initiator = false,
	  .step = MM_STEP_SIGNED, .number = 5, .encrypted = true,
	  .required = PB(PL_ID) | PB(PL_SIG), .optional = CERTS | ANYWHERE, .hash = STEP_AUTH,
	  .verify = mm_verify_signed, .handle = mm_handle_signed },

	/* Main Mode, initiator; its message 1 opens, so the first to come in is message 2 */
	{ .name = "Main Mode message 2", .exchange = EXCH_IDENTITY_PROTECTION, .initiator = true,
	  .step = 0, .number = 2, .first = PL_SA, .required = PB(PL_SA),
	  .optional = ANYWHERE | PB(PL_CERT_REQ),
	  .retransmit = true, .verify = mm_verify_2, .handle = mm_handle_2 },
	{ .name = "Main Mode message 4", .exchange = EXCH_IDENTITY_PROTECTION, .initiator = true,
	  .step = 1, .number = 4, .required = PB(PL_KE) | PB(PL_NONCE),
	  .optional = NATD | ANYWHERE | PB(PL_CERT_REQ) | PB(PL_GSS), .retransmit = true,
	  .verify = mm_verify_ke, .handle = mm_handle_4 },
	{ .name = "Main Mode message 6", .exchange = EXCH_IDENTITY_PROTECTION, .initiator = true,
	  .step = 2, .number = 6, .encrypted = true, .required = PB(PL_ID) | PB(PL_HASH),
	  .optional = PB(PL_CERT_REQ) | ANYWHERE, .retransmit = true, .hash = STEP_AUTH,
	  .verify = mm_verify_auth, .handle = mm_handle_6 },
	{ .name = "Main Mode message 6", .exchange = EXCH_IDENTITY_PROTECTION, .initiator = true,
	  .step = MM_STEP_SIGNED, .number = 6, .encrypted = true,
	  .required = PB(PL_ID) | PB(PL_SIG), .optional = CERTS | ANYWHERE, .retransmit = true,
	  .hash = STEP_AUTH, .verify = mm_verify_signed, .handle = mm_handle_signed },

	/* Aggressive Mode, responder. Identities and certificates come before any keys; who sends the
	 * last message may leave it in the clear. NAT-D: anywhere (RFC 3947 has them before HASH) */
	{ .name = "Aggressive Mode message 1", .exchange = EXCH_AGGRESSIVE, .initiator = false,
	  .step = 0, .number = 1, .first = PL_SA,
	  .required = PB(PL_SA) | PB(PL_KE) | PB(PL_NONCE) | PB(PL_ID),
	  .optional = ANYWHERE | PB(PL_CERT_REQ),
	  .verify = am_verify_1, .handle = am_handle_1 },
	{ .name = "Aggressive Mode message 3", .exchange = EXCH_AGGRESSIVE, .initiator = false,
	  .step = AM_STEP_AUTH, .number = 3, .encrypted = true, .or_clear = true,
	  .required = PB(PL_HASH), .optional = NATD | ANYWHERE, .hash = STEP_AUTH,
	  .verify = am_verify_3, .handle = am_handle_3 },
	{ .name = "Aggressive Mode message 3", .exchange = EXCH_AGGRESSIVE, .initiator = false,
	  .step = AM_STEP_SIGNED, .number = 3, .encrypted = true, .or_clear = true,
	  .required = PB(PL_SIG), .optional = CERTS | NATD | ANYWHERE, .hash = STEP_AUTH,
	  .verify = am_verify_signed, .handle = am_handle_signed },

	/* Aggressive Mode, initiator. The keys are made of message 2, so it is proved after it was taken */
	{ .name = "Aggressive Mode message 2", .exchange = EXCH_AGGRESSIVE, .initiator = true,
	  .step = AM_STEP_ANSWER, .number = 2, .first = PL_SA,
	  .required = PB(PL_SA) | PB(PL_KE) | PB(PL_NONCE) | PB(PL_ID) | PB(PL_HASH),
	  .optional = NATD | ANYWHERE, .retransmit = true,
	  .verify = am_verify_2, .handle = am_handle_2 },
	{ .name = "Aggressive Mode message 2", .exchange = EXCH_AGGRESSIVE, .initiator = true,
	  .step = AM_STEP_ANSWER_SIGNED, .number = 2, .first = PL_SA,
	  .required = PB(PL_SA) | PB(PL_KE) | PB(PL_NONCE) | PB(PL_ID) | PB(PL_SIG),
	  .optional = CERTS | NATD | ANYWHERE, .retransmit = true,
	  .verify = am_verify_2, .handle = am_handle_2 },

	/* Quick Mode, responder */
	{ .name = "Quick Mode message 1", .exchange = EXCH_QUICK, .initiator = false, .step = 0,
	  .number = 1, .encrypted = true, .first = PL_HASH,
	  .required = PB(PL_HASH) | PB(PL_SA) | PB(PL_NONCE),
	  .optional = PB(PL_KE) | PB(PL_ID) | NATOA | ANYWHERE, .hash = STEP_HASH1,
	  .verify = qm_verify_hash, .handle = qm_handle_1 },
	{ .name = "Quick Mode message 3", .exchange = EXCH_QUICK, .initiator = false, .step = 1,
	  .number = 3, .encrypted = true, .first = PL_HASH, .required = PB(PL_HASH),
	  .optional = ANYWHERE, .retransmit = true, .hash = STEP_HASH3,
	  .verify = qm_verify_hash, .handle = qm_handle_3 },

	/* Quick Mode, initiator */
	{ .name = "Quick Mode message 2", .exchange = EXCH_QUICK, .initiator = true, .step = 0,
	  .number = 2, .encrypted = true, .first = PL_HASH,
	  .required = PB(PL_HASH) | PB(PL_SA) | PB(PL_NONCE),
	  .optional = PB(PL_KE) | PB(PL_ID) | NATOA | ANYWHERE, .retransmit = true,
	  .hash = STEP_HASH2, .verify = qm_verify_hash, .handle = qm_handle_2 },

	/* Transaction: who begins it is not who began phase 1 */
	{ .name = "Transaction message 1", .exchange = EXCH_TRANSACTION, .initiator = false,
	  .step = 0, .number = 1, .encrypted = true, .first = PL_HASH,
	  .required = PB(PL_HASH) | PB(PL_ATTR), .optional = ANYWHERE, .hash = STEP_HASH1,
	  .verify = qm_verify_hash, .handle = tx_handle_1 },
	{ .name = "Transaction message 2", .exchange = EXCH_TRANSACTION, .initiator = true,
	  .step = 0, .number = 2, .encrypted = true, .first = PL_HASH,
	  .required = PB(PL_HASH) | PB(PL_ATTR), .optional = ANYWHERE, .retransmit = true,
	  .hash = STEP_HASH1, .verify = qm_verify_hash, .handle = tx_handle_2 },

	/* Informational: one message, from either side */
	{ .name = "Informational", .exchange = EXCH_INFORMATIONAL, .initiator = false, .step = 0,
	  .number = 1, .encrypted = true, .first = PL_HASH, .required = PB(PL_HASH),
	  .optional = PB(PL_DELETE) | ANYWHERE, .hash = STEP_HASH1,
	  .verify = qm_verify_hash, .handle = info_handle },
};
/* clang-format on */

const unsigned step_count = sizeof(step_table) / sizeof(step_table[0]);

const struct step *step_find(uint8_t exchange, bool initiator, uint8_t step)
{
	for (unsigned i = 0; i < step_count; i++)
		if (step_table[i].exchange == exchange && step_table[i].initiator == initiator &&
		    step_table[i].step == step)
			return &step_table[i];
	return NULL;
}

/* Private-use payloads that we do not know are passed over (RFC 2408 section 3.1), others not. */
static bool known_payload(uint8_t type)
{
	return type < 60 || (type >= PL_GSS && type <= PL_FRAGMENT);
}

/* How many of one type a message may hold: identities come in pairs in Quick Mode, and both ends of
 * a path have a NAT-D each, several where a host has more addresses. */
static unsigned most_of(const struct step *s, uint8_t type)
{
	switch (type) {
	case PL_ID:
		return s->exchange == EXCH_QUICK ? 2 : 1;
	case PL_VENDOR:
	case PL_NOTIFY:
	case PL_DELETE:
	case PL_CERT:
	case PL_CERT_REQ:
	case PL_NAT_D:
	case PL_NAT_D_DRAFT:
	case PL_NAT_OA:
	case PL_NAT_OA_DRAFT:
		return IKE_MAX_PAYLOADS;
	default:
		return 1;
	}
}

int step_check(const struct step *s, const struct payload_list *l, const char **why)
{
	uint64_t found = 0;

	for (unsigned i = 0; i < l->n; i++) {
		uint8_t type = l->p[i].type;
		if (!known_payload(type)) {
			if (type >= 128)
				continue;
			*why = "it holds a payload of an unknown type";
			return -EBADMSG;
		}
		if (!((s->required | s->optional) & PB(type))) {
			*why = "it holds a payload that does not belong there";
			return -EBADMSG;
		}
		if (payload_find(l, type, most_of(s, type))) {
			*why = "it holds a payload too often";
			return -EBADMSG;
		}
		found |= PB(type);
	}
	if ((found & s->required) != s->required) {
		*why = "a payload is missing";
		return -EBADMSG;
	}
	if (s->first != PL_NONE && l->p[0].type != s->first) {
		*why = "its first payload is not the one that must come first";
		return -EBADMSG;
	}
	if (payload_find(l, PL_ID, 0) && s->exchange == EXCH_QUICK && !payload_find(l, PL_ID, 1)) {
		*why = "one of the two identities is missing";
		return -EBADMSG;
	}
	return 0;
}
