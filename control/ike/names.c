/* Names of the numbers on the wire, for people. */
#include "message.h"

struct name {
	uint16_t num;
	const char *name;
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char *name_find(const struct name *t, size_t n, uint16_t num, const char *otherwise)
{
	for (size_t i = 0; i < n; i++)
		if (t[i].num == num)
			return t[i].name;
	return otherwise;
}

const char *payload_name(uint8_t type)
{
	static const struct name names[] = {
		{ PL_NONE, "none" },
		{ PL_SA, "SA" },
		{ PL_PROPOSAL, "P" },
		{ PL_TRANSFORM, "T" },
		{ PL_KE, "KE" },
		{ PL_ID, "ID" },
		{ PL_CERT, "CERT" },
		{ PL_CERT_REQ, "CR" },
		{ PL_HASH, "HASH" },
		{ PL_SIG, "SIG" },
		{ PL_NONCE, "NONCE" },
		{ PL_NOTIFY, "N" },
		{ PL_DELETE, "D" },
		{ PL_VENDOR, "VID" },
		{ PL_ATTR, "ATTR" },
		{ PL_NAT_D, "NAT-D" },
		{ PL_NAT_OA, "NAT-OA" },
		{ PL_NAT_D_DRAFT, "NAT-D (draft)" },
		{ PL_NAT_OA_DRAFT, "NAT-OA (draft)" },
		{ PL_FRAGMENT, "FRAG" },
	};

	return name_find(names, COUNT(names), type, "unknown payload");
}

const char *exchange_name(uint8_t exchange)
{
	static const struct name names[] = {
		{ EXCH_IDENTITY_PROTECTION, "Main Mode" },
		{ EXCH_AGGRESSIVE, "Aggressive Mode" },
		{ EXCH_INFORMATIONAL, "Informational" },
		{ EXCH_TRANSACTION, "Transaction" },
		{ EXCH_QUICK, "Quick Mode" },
		{ EXCH_NEW_GROUP, "New Group Mode" },
	};

	return name_find(names, COUNT(names), exchange, "unknown exchange");
}

/* RFC 2408 section 3.14.1 */
const char *notify_name(uint16_t type)
{
	static const struct name names[] = {
		{ N_INVALID_PAYLOAD_TYPE, "INVALID-PAYLOAD-TYPE" },
		{ N_DOI_NOT_SUPPORTED, "DOI-NOT-SUPPORTED" },
		{ N_SITUATION_NOT_SUPPORTED, "SITUATION-NOT-SUPPORTED" },
		{ N_INVALID_COOKIE, "INVALID-COOKIE" },
		{ N_INVALID_MAJOR_VERSION, "INVALID-MAJOR-VERSION" },
		{ N_INVALID_MINOR_VERSION, "INVALID-MINOR-VERSION" },
		{ N_INVALID_EXCHANGE_TYPE, "INVALID-EXCHANGE-TYPE" },
		{ N_INVALID_FLAGS, "INVALID-FLAGS" },
		{ N_INVALID_MESSAGE_ID, "INVALID-MESSAGE-ID" },
		{ N_INVALID_PROTOCOL_ID, "INVALID-PROTOCOL-ID" },
		{ N_INVALID_SPI, "INVALID-SPI" },
		{ N_INVALID_TRANSFORM_ID, "INVALID-TRANSFORM-ID" },
		{ N_ATTRIBUTES_NOT_SUPPORTED, "ATTRIBUTES-NOT-SUPPORTED" },
		{ N_NO_PROPOSAL_CHOSEN, "NO-PROPOSAL-CHOSEN" },
		{ N_BAD_PROPOSAL_SYNTAX, "BAD-PROPOSAL-SYNTAX" },
		{ N_PAYLOAD_MALFORMED, "PAYLOAD-MALFORMED" },
		{ N_INVALID_KEY_INFORMATION, "INVALID-KEY-INFORMATION" },
		{ N_INVALID_ID_INFORMATION, "INVALID-ID-INFORMATION" },
		{ N_INVALID_CERTIFICATE, "INVALID-CERTIFICATE" },
		{ 19, "INVALID-CERT-ENCODING" },
		{ 20, "INVALID-CERTIFICATE" },
		{ 21, "CERT-TYPE-UNSUPPORTED" },
		{ 22, "INVALID-CERT-AUTHORITY" },
		{ N_INVALID_HASH_INFORMATION, "INVALID-HASH-INFORMATION" },
		{ N_AUTHENTICATION_FAILED, "AUTHENTICATION-FAILED" },
		{ N_INVALID_SIGNATURE, "INVALID-SIGNATURE" },
		{ 26, "ADDRESS-NOTIFICATION" },
		{ N_NOTIFY_SA_LIFETIME, "NOTIFY-SA-LIFETIME" },
		{ 28, "CERTIFICATE-UNAVAILABLE" },
		{ N_UNSUPPORTED_EXCHANGE_TYPE, "UNSUPPORTED-EXCHANGE-TYPE" },
		{ N_UNEQUAL_PAYLOAD_LENGTHS, "UNEQUAL-PAYLOAD-LENGTHS" },
		{ N_CONNECTED, "CONNECTED" },
		{ N_RESPONDER_LIFETIME, "RESPONDER-LIFETIME" },
		{ N_REPLAY_STATUS, "REPLAY-STATUS" },
		{ N_INITIAL_CONTACT, "INITIAL-CONTACT" },
		{ N_PAIR_INDEX, "PAIR-INDEX" },
		{ N_DPD, "R-U-THERE" },
		{ N_DPD_ACK, "R-U-THERE-ACK" },
	};

	return name_find(names, COUNT(names), type, "unknown notify");
}

const char *ike_id_type_name(uint8_t type)
{
	static const struct name names[] = {
		{ ID_IPV4_ADDR, "IPv4 address" },
		{ ID_FQDN, "FQDN" },
		{ ID_USER_FQDN, "user FQDN" },
		{ ID_IPV4_SUBNET, "IPv4 subnet" },
		{ ID_IPV6_ADDR, "IPv6 address" },
		{ ID_IPV6_SUBNET, "IPv6 subnet" },
		{ ID_IPV4_RANGE, "IPv4 range" },
		{ ID_IPV6_RANGE, "IPv6 range" },
		{ ID_DER_DN, "distinguished name" },
		{ ID_DER_GN, "general name" },
		{ ID_KEY_ID, "key id" },
	};

	return name_find(names, COUNT(names), type, "unknown identity type");
}
