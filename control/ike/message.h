/* ISAKMP messages: parsing into views of the received bytes, and building.
 *
 * Parsing runs in two passes. The first walks the payload chain, bounds-checks every generic header
 * and records (type, body, length); the second interprets single bodies. No packet bytes are cast to
 * structs, nothing recurses, every count is bounded (isakmp.h). Views point into the message, which
 * must outlive them. */
#ifndef SHRIKE_IKE_MESSAGE_H
#define SHRIKE_IKE_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "isakmp.h"

/* A borrowed run of bytes. */
struct view {
	const uint8_t *p;
	size_t len;
};

struct isakmp_hdr {
	uint8_t icookie[ISAKMP_COOKIE_LEN], rcookie[ISAKMP_COOKIE_LEN];
	uint8_t next;	  /* enum payload_type of the first payload */
	uint8_t version;  /* major << 4 | minor */
	uint8_t exchange; /* enum exchange_type */
	uint8_t flags;
	uint32_t msgid;	  /* host order */
	uint32_t length;  /* of the whole message, as claimed */
};

struct payload {
	uint8_t type; /* enum payload_type */
	struct view body; /* without the generic header */
	struct view raw;  /* with it */
};

struct payload_list {
	struct payload p[IKE_MAX_PAYLOADS];
	unsigned n;
	size_t used; /* bytes of buf that the chain covered; what follows is padding */
};

/* Reads the fixed header. Returns 0, -EMSGSIZE (shorter than a header, or the claimed length is not
 * within it), -EPROTONOSUPPORT (major version is not 1). */
int isakmp_hdr_parse(const uint8_t *msg, size_t len, struct isakmp_hdr *out);
/* Writes it (ISAKMP_HDR_LEN bytes). */
void isakmp_hdr_write(const struct isakmp_hdr *h, uint8_t *out);

/* First pass over the chain in buf (what follows the fixed header, decrypted). Tolerates reserved
 * bytes that are set and any bytes after the last payload. Returns 0, or -EBADMSG with a static
 * sentence in *why. */
int payload_list_parse(uint8_t first, const uint8_t *buf, size_t len, struct payload_list *out,
		       const char **why);
/* The k-th (0-based) payload of that type, or NULL. */
const struct payload *payload_find(const struct payload_list *l, uint8_t type, unsigned k);
const char *payload_name(uint8_t type); /* "SA", "KE", ... never NULL */
const char *exchange_name(uint8_t exchange); /* "Main Mode", ... */
const char *notify_name(uint16_t type);	     /* "NO-PROPOSAL-CHOSEN", ... */

/* ---------------------------------------------------------------------- SA payload ---------- */

struct attr {
	uint16_t type;	    /* without the AF bit */
	bool basic;	    /* two-byte value */
	struct view value;  /* 2 bytes when basic */
	uint64_t num;	    /* the value as a number, big-endian; UINT64_MAX when it has over 8 bytes */
};

struct transform {
	uint8_t num, id;
	struct view raw;   /* the whole transform payload with its generic header */
	struct attr attr[IKE_MAX_ATTRS];
	unsigned n_attrs;
};

struct proposal {
	uint8_t num, proto; /* enum protocol_id */
	struct view spi;    /* 0..16 bytes */
	struct view raw;
	unsigned first, n_transforms; /* transforms[first..first+n) of the offer */
};

struct sa_payload {
	uint32_t doi, situation;
	struct view body; /* the whole SA body: what HASH_I/HASH_R cover (SAi_b) */
	struct proposal proposals[IKE_MAX_PROPOSALS];
	unsigned n_proposals;
	struct transform transforms[IKE_MAX_TRANSFORMS];
	unsigned n_transforms;
	bool cut;	 /* it held more than fits here */
	uint8_t cut_num; /* number of the first proposal that did not fit, 0 = all did */
};

/* Returns 0, or -EBADMSG with a static sentence (doi and situation are then still set when the body
 * has them). What is beyond the limits is checked and left out. Views point into body. A large struct: callers keep one on the heap. */
int sa_payload_parse(struct view body, struct sa_payload *out, const char **why);
/* The first attribute of that type, or NULL. */
const struct attr *transform_attr(const struct transform *t, uint16_t type);

/* ------------------------------------------------------- other bodies ----------------------- */

/* An identity: RFC 2407 section 4.6.2. */
struct ike_id {
	uint8_t type; /* enum id_type; 0 = unset */
	uint8_t proto;
	uint16_t port;
	uint16_t len;
	uint8_t data[IKE_MAX_ID];
};

/* Returns 0 or -EBADMSG. Checks that addresses, subnets and ranges have their length, and masks
 * are contiguous. */
int ike_id_parse(struct view body, struct ike_id *out);
/* The body on the wire (4 + len bytes) into out (cap bytes); returns its length, 0 when it does not
 * fit. */
size_t ike_id_write(const struct ike_id *id, uint8_t *out, size_t cap);
/* From text: an address, "@fqdn" or a bare name (FQDN), "user@host", "keyid:hex..". 0 or -EINVAL. */
int ike_id_from_text(const char *text, struct ike_id *out);
/* "gw.example.com", "192.0.2.1", "10.1.0.0/24", printable always; returns buf. */
const char *ike_id_str(const struct ike_id *id, char *buf, size_t size);
const char *ike_id_type_name(uint8_t type); /* "FQDN" */
/* Same type and data (FQDN and user FQDN without case, distinguished names as names whatever their
 * string encoding); port and protocol are not looked at. */
bool ike_id_equal(const struct ike_id *a, const struct ike_id *b);
struct ike_id ike_id_from_addr(const struct ip_addr *a);
/* Phase 2: a range with protocol and port, as the tightest of address, subnet, range. */
struct ike_id ike_id_from_range(const struct ip_range *r, uint8_t proto, uint16_t port);
/* And back. 0, or -EINVAL when it is not an address kind. */
int ike_id_to_range(const struct ike_id *id, struct ip_range *out);

struct notify {
	uint32_t doi;
	uint8_t proto;
	uint16_t type;
	struct view spi, data;
};
/* 0 or -EBADMSG. */
int notify_parse(struct view body, struct notify *out);

/* A piece of a message, [MS-IKEE] section 2.2.3.1. */
struct fragment {
	uint16_t id;
	uint8_t number; /* from 1 to IKE_MAX_FRAGMENTS */
	bool last;
	struct view data; /* one byte at least */
};
/* 0, or -EBADMSG. */
int fragment_parse(struct view body, struct fragment *out);

struct delete_payload {
	uint32_t doi;
	uint8_t proto, spi_len;
	unsigned n_spis;
	struct view spis; /* n_spis * spi_len bytes */
};
/* 0 or -EBADMSG; the SPIs fill the body exactly, spi_len is 1..16. */
int delete_parse(struct view body, struct delete_payload *out);

/* A body of type PL_ATTR: draft-ietf-ipsec-isakmp-mode-cfg-05 section 3.2. */
struct cfg_payload {
	uint8_t type; /* enum cfg_type */
	uint16_t id;
	struct attr attr[IKE_MAX_CFG_ATTRS];
	unsigned n;
};
/* 0, or -EBADMSG with a static sentence. Views point into body. */
int cfg_parse(struct view body, struct cfg_payload *out, const char **why);
/* The k-th (0-based) attribute of that type, or NULL. */
const struct attr *cfg_attr(const struct cfg_payload *p, uint16_t type, unsigned k);

/* ----------------------------------------------------------------------- building ----------- */

/* A message under construction in a caller's buffer. Overflow is sticky and checked once at the
 * end. Payload "next" fields are chained as payloads are added. */
struct msgbuf {
	uint8_t *buf;
	size_t cap, len;
	size_t next_at;	 /* where the last "next payload" byte is */
	size_t payload_at; /* start of the open payload, 0 = none */
	bool overflow;
};

/* Writes the fixed header with length 0; h->next is ignored. */
void msg_begin(struct msgbuf *m, uint8_t *buf, size_t cap, const struct isakmp_hdr *h);
void msg_open(struct msgbuf *m, uint8_t type); /* starts a payload: its generic header */
void msg_close(struct msgbuf *m);	       /* ends it: sets its length */
void msg_put(struct msgbuf *m, const void *data, size_t len);
void msg_put_u8(struct msgbuf *m, uint8_t v);
void msg_put_u16(struct msgbuf *m, uint16_t v);
void msg_put_u32(struct msgbuf *m, uint32_t v);
/* msg_open, msg_put, msg_close */
void msg_payload(struct msgbuf *m, uint8_t type, const void *body, size_t len);
/* Room for a payload body of len zero bytes (a HASH filled in later); returns its offset in buf, 0
 * after an overflow. */
size_t msg_reserve(struct msgbuf *m, uint8_t type, size_t len);
/* An open PL_ATTR payload, and its attributes: of two bytes, or of any length. */
void msg_open_cfg(struct msgbuf *m, uint8_t type, uint16_t id);
void msg_attr_basic(struct msgbuf *m, uint16_t type, uint16_t value);
void msg_attr(struct msgbuf *m, uint16_t type, const void *value, size_t len);
/* Zero bytes up to a whole number of cipher blocks after the fixed header (RFC 2409 appendix B). */
void msg_pad(struct msgbuf *m, size_t block);
/* Sets the header's length. Returns it, or -ENOSPC after an overflow. */
int msg_finish(struct msgbuf *m);

#endif
