/* Numbers of ISAKMP and IKEv1 on the wire, and every limit that the engine keeps. */
#ifndef SHRIKE_IKE_ISAKMP_H
#define SHRIKE_IKE_ISAKMP_H

#include <stdint.h>

/* RFC 2408 section 3.1 */
#define ISAKMP_HDR_LEN	   28
#define ISAKMP_COOKIE_LEN  8
#define ISAKMP_VERSION	   0x10
#define ISAKMP_FLAG_ENC	   0x01
#define ISAKMP_FLAG_COMMIT 0x02
#define ISAKMP_FLAG_AUTH   0x04

enum exchange_type {
	EXCH_IDENTITY_PROTECTION = 2, /* Main Mode */
	EXCH_AGGRESSIVE = 4,
	EXCH_INFORMATIONAL = 5,
	EXCH_TRANSACTION = 6,	/* Mode Config, XAuth */
	EXCH_QUICK = 32,	/* RFC 2409 appendix A */
	EXCH_NEW_GROUP = 33,
};

enum payload_type {
	PL_NONE = 0,
	PL_SA = 1,
	PL_PROPOSAL = 2,
	PL_TRANSFORM = 3,
	PL_KE = 4,
	PL_ID = 5,
	PL_CERT = 6,
	PL_CERT_REQ = 7,
	PL_HASH = 8,
	PL_SIG = 9,
	PL_NONCE = 10,
	PL_NOTIFY = 11,
	PL_DELETE = 12,
	PL_VENDOR = 13,
	PL_ATTR = 14,		  /* Mode Config */
	PL_NAT_D = 20,		  /* RFC 3947 */
	PL_NAT_OA = 21,
	PL_GSS = 129,		  /* draft-ietf-ipsec-isakmp-gss-auth-07: a GSS-API token */
	PL_NAT_D_DRAFT = 130,	  /* drafts 02 and 03 */
	PL_NAT_OA_DRAFT = 131,
	PL_FRAGMENT = 132,
};

enum protocol_id { PROTO_ISAKMP = 1, PROTO_AH = 2, PROTO_ESP = 3 };

#define FRAGMENT_LAST 0x01 /* flag in a fragment */

#define DOI_ISAKMP	     0
#define DOI_IPSEC	     1
#define SIT_IDENTITY_ONLY    1
#define TRANSFORM_KEY_IKE    1 /* the only phase 1 transform id */

/* Phase 1 attributes, RFC 2409 appendix A. */
enum ike_attr {
	ATTR_ENCR = 1,
	ATTR_HASH = 2,
	ATTR_AUTH = 3,
	ATTR_GROUP = 4,
	ATTR_GROUP_TYPE = 5,
	ATTR_LIFE_TYPE = 11,
	ATTR_LIFE_DURATION = 12,
	ATTR_PRF = 13,
	ATTR_KEY_LENGTH = 14,
	ATTR_GSS_NAME = 16384, /* draft-ietf-ipsec-isakmp-gss-auth-07 */
};

/* Phase 2 attributes, RFC 2407 section 4.5 and RFC 4304. */
enum ipsec_attr {
	IPSEC_LIFE_TYPE = 1,
	IPSEC_LIFE_DURATION = 2,
	IPSEC_GROUP = 3,
	IPSEC_MODE = 4,
	IPSEC_AUTH = 5,
	IPSEC_KEY_LENGTH = 6,
	IPSEC_ESN = 11,
};

enum life_type { LIFE_SECONDS = 1, LIFE_KILOBYTES = 2 };

enum encap_mode {
	ENCAP_TUNNEL = 1,
	ENCAP_TRANSPORT = 2,
	ENCAP_UDP_TUNNEL = 3, /* RFC 3947 */
	ENCAP_UDP_TRANSPORT = 4,
	ENCAP_UDP_TUNNEL_DRAFT = 61443,
	ENCAP_UDP_TRANSPORT_DRAFT = 61444,
};

enum auth_method {
	AUTH_PSK = 1,
	AUTH_DSS = 2,
	AUTH_RSA_SIG = 3,
	AUTH_ECDSA_256 = 9, /* RFC 4754 */
	AUTH_ECDSA_384 = 10,
	AUTH_ECDSA_521 = 11,
	/* draft-ietf-ipsec-isakmp-hybrid-auth-05: the initiator, or the responder, proves itself by
	 * XAuth alone, the other side with a certificate */
	AUTH_HYBRID_INIT_RSA = 64221,
	AUTH_HYBRID_RESP_RSA = 64222,
	/* draft-beaulieu-ike-xauth-02 section 6: which side of phase 1 is asked for a user */
	AUTH_XAUTH_INIT_PSK = 65001, /* and with ATTR_GSS_NAME it is AUTH_KERBEROS */
	AUTH_XAUTH_RESP_PSK = 65002,
	AUTH_XAUTH_INIT_RSA = 65005,
	AUTH_XAUTH_RESP_RSA = 65006,
	/* GSS-API using Kerberos; a number of our own, for on the wire it has that of another */
	AUTH_KERBEROS = 65535,
};

/* Messages of the Transaction exchange, draft-ietf-ipsec-isakmp-mode-cfg-05 section 3.2. */
enum cfg_type { CFG_REQUEST = 1, CFG_REPLY = 2, CFG_SET = 3, CFG_ACK = 4 };

/* Their attributes: section 3.4 of that, draft-beaulieu-ike-xauth-02 section 6.2, and Cisco's Unity. */
enum cfg_attr {
	CFG_IP4_ADDRESS = 1,
	CFG_IP4_NETMASK = 2,
	CFG_IP4_DNS = 3,
	CFG_IP4_NBNS = 4,
	CFG_ADDRESS_EXPIRY = 5,
	CFG_APPLICATION_VERSION = 7,
	CFG_IP4_SUBNET = 13,
	CFG_SUPPORTED = 14,
	XAUTH_TYPE = 16520,
	XAUTH_USER = 16521,
	XAUTH_PASSWORD = 16522,
	XAUTH_MESSAGE = 16524,
	XAUTH_STATUS = 16527,
	UNITY_BANNER = 28672,
	UNITY_SAVE_PASSWORD = 28673,
	UNITY_DOMAIN = 28674,
	UNITY_SPLIT_DNS = 28675,
	UNITY_SPLIT_INCLUDE = 28676,
	UNITY_LOCAL_LAN = 28678,
};

#define XAUTH_GENERIC 0 /* the only type that we have: a name and a password */
#define XAUTH_OK      1 /* of XAUTH_STATUS */
#define XAUTH_FAIL    0

enum id_type {
	ID_IPV4_ADDR = 1,
	ID_FQDN = 2,
	ID_USER_FQDN = 3,
	ID_IPV4_SUBNET = 4,
	ID_IPV6_ADDR = 5,
	ID_IPV6_SUBNET = 6,
	ID_IPV4_RANGE = 7,
	ID_IPV6_RANGE = 8,
	ID_DER_DN = 9,
	ID_DER_GN = 10,
	ID_KEY_ID = 11,
};

/* RFC 2408 section 3.14.1, RFC 2407 section 4.6.3, RFC 3706. */
enum notify_type {
	N_INVALID_PAYLOAD_TYPE = 1,
	N_DOI_NOT_SUPPORTED = 2,
	N_SITUATION_NOT_SUPPORTED = 3,
	N_INVALID_COOKIE = 4,
	N_INVALID_MAJOR_VERSION = 5,
	N_INVALID_MINOR_VERSION = 6,
	N_INVALID_EXCHANGE_TYPE = 7,
	N_INVALID_FLAGS = 8,
	N_INVALID_MESSAGE_ID = 9,
	N_INVALID_PROTOCOL_ID = 10,
	N_INVALID_SPI = 11,
	N_INVALID_TRANSFORM_ID = 12,
	N_ATTRIBUTES_NOT_SUPPORTED = 13,
	N_NO_PROPOSAL_CHOSEN = 14,
	N_BAD_PROPOSAL_SYNTAX = 15,
	N_PAYLOAD_MALFORMED = 16,
	N_INVALID_KEY_INFORMATION = 17,
	N_INVALID_ID_INFORMATION = 18,
	N_INVALID_CERTIFICATE = 20,
	N_INVALID_HASH_INFORMATION = 23,
	N_AUTHENTICATION_FAILED = 24,
	N_INVALID_SIGNATURE = 25,
	N_NOTIFY_SA_LIFETIME = 27,
	N_UNSUPPORTED_EXCHANGE_TYPE = 29,
	N_UNEQUAL_PAYLOAD_LENGTHS = 30,
	N_CONNECTED = 16384,
	N_RESPONDER_LIFETIME = 24576,
	N_REPLAY_STATUS = 24577,
	N_INITIAL_CONTACT = 24578,
	N_DPD = 36136,	   /* R-U-THERE */
	N_DPD_ACK = 36137, /* R-U-THERE-ACK */
	N_PAIR_INDEX = 33110, /* ours, private use: which of parallel SA pairs; see pair_index.c */
};

/* --------------------------------------------------------------------------------- limits --- */
#define IKE_MAX_MESSAGE	    16384 /* bytes of one ISAKMP message that we parse */
#define IKE_MAX_PAYLOADS    48	  /* in one message */
#define IKE_MAX_PROPOSALS   64	  /* looked at in one SA payload; those behind do not count */
#define IKE_MAX_TRANSFORMS  128	  /* likewise, all proposals together */
#define IKE_MAX_ATTRS	    16	  /* in one transform */
#define IKE_NONCE_MIN	    8	  /* RFC 2409 section 5 */
#define IKE_NONCE_MAX	    256
#define IKE_NONCE_OURS	    32
#define IKE_MAX_ID	    256	  /* bytes of identification data */
#define IKE_MAX_PAIRS	    64	  /* parallel SA pairs of one child */
#define IKE_MAX_SPI	    16
#define IKE_MAX_DELETE_SPIS 256
#define IKE_MAX_FRAGMENTS   128	  /* of one message */
#define IKE_FRAGMENT_SIZE   1280  /* bytes of an IP packet with a fragment, unless configured */
#define IKE_FRAGMENT_MAX    9000  /* the most that can be configured */
#define IKE_FRAGMENT_MIN    256	  /* what can be configured: 16 KB still are few enough fragments */
#define IKE_FRAGMENT_US	    30000000ull /* so long the fragments of a message are waited for */
#define IKE_FRAGMENT_AGAIN_US 300000ull /* what comes once more after that was sent once more */
#define IKE_FRAGMENT_SETS   256	  /* messages of which some fragments are here, in all: 4 MB */
#define IKE_FRAGMENT_SETS_SOURCE 32 /* from one address */
#define IKE_FRAGMENT_SETS_SA 4	  /* under one ISAKMP SA */
#define IKE_FRAGMENT_FIRST  16	  /* first messages, which have no ISAKMP SA, in all */
#define IKE_FRAGMENT_FIRST_SOURCE 2 /* from one address */
#define IKE_FRAGMENT_FIRST_BYTES 4096
#define IKE_MAX_CFG_ATTRS   96	  /* in one message of a Transaction */

#endif
