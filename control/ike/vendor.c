/* Vendor IDs: how IKEv1 says which extensions it knows. */
#include <string.h>

#include "access.h"

/* clang-format off */
static const struct vendor_id {
	uint8_t id[16];
	enum natt_version natt; /* NATT_NONE: not about NAT */
	bool dpd;
	bool parallel; /* ours: many Quick Modes at once, and see pair_index.c */
} vendor_table[] = {
	{ { 0x4a, 0x13, 0x1c, 0x81, 0x07, 0x03, 0x58, 0x45, 0x5c, 0x57, 0x28, 0xf2, 0x0e, 0x95, 0x45,
	    0x2f },
	  NATT_RFC3947, false, false },
	{ { 0x7d, 0x94, 0x19, 0xa6, 0x53, 0x10, 0xca, 0x6f, 0x2c, 0x17, 0x9d, 0x92, 0x15, 0x52, 0x9d,
	    0x56 },
	  NATT_DRAFT_03, false, false },
	{ { 0x90, 0xcb, 0x80, 0x91, 0x3e, 0xbb, 0x69, 0x6e, 0x08, 0x63, 0x81, 0xb5, 0xec, 0x42, 0x7b,
	    0x1f }, /* "draft-ietf-ipsec-nat-t-ike-02\n" */
	  NATT_DRAFT_02, false, false },
	{ { 0xcd, 0x60, 0x46, 0x43, 0x35, 0xdf, 0x21, 0xf8, 0x7c, 0xfd, 0xb2, 0xfc, 0x68, 0xb6, 0xa4,
	    0x48 }, /* the same without the newline */
	  NATT_DRAFT_02, false, false },
	{ { 0xaf, 0xca, 0xd7, 0x13, 0x68, 0xa1, 0xf1, 0xc9, 0x6b, 0x86, 0x96, 0xfc, 0x77, 0x57, 0x01,
	    0x00 },
	  NATT_NONE, true, false },
	{ { 0x49, 0xae, 0x10, 0x5a, 0xd6, 0xab, 0x9f, 0xb0, 0x08, 0x2e, 0x51, 0xab, 0x38, 0x93, 0xb9,
	    0x05 }, /* MD5("shrike: many Quick Modes at once") */
	  NATT_NONE, false, true },
};
/* clang-format on */

#define N_VENDORS (sizeof(vendor_table) / sizeof(vendor_table[0]))

#define FRAGMENTS_MAIN_MODE  0x80
#define FRAGMENTS_AGGRESSIVE 0x40

/* MD5("FRAGMENTATION") and in which exchanges: Main Mode, Aggressive Mode. Windows sends it without
 * the second part. */
static const uint8_t vendor_fragments[20] = { 0x40, 0x48, 0xb7, 0xd5, 0x6e, 0xbc, 0xe8,
					      0x85, 0x25, 0xe7, 0xde, 0x7f, 0x00, 0xd6,
					      0xc2, 0xd3, 0xc0, 0x00, 0x00, 0x00 };

/* Some know only one bit, whatever the mode. */
static bool takes_fragments(const struct isakmp_sa *sa, struct view id)
{
	uint8_t bits = FRAGMENTS_MAIN_MODE;

	if (sa->phase1 == EXCH_AGGRESSIVE)
		bits |= FRAGMENTS_AGGRESSIVE;
	return id.len >= 16 && memcmp(id.p, vendor_fragments, 16) == 0 &&
	       (id.len < sizeof(vendor_fragments) || id.p[16] & bits);
}
/* draft-beaulieu-ike-xauth-02 section 2, and Cisco's, whose last two bytes are a version. */
static const uint8_t xauth_id[] = { 0x09, 0x00, 0x26, 0x89, 0xdf, 0xd6, 0xb7, 0x12 };
static const uint8_t unity_id[] = { 0x12, 0xf5, 0xf2, 0x8c, 0x45, 0x71, 0x68, 0xa9,
				    0x70, 0x2d, 0x9f, 0xe2, 0x74, 0xcc, 0x01, 0x00 };

/* draft-ietf-ipsec-isakmp-gss-auth-07 section 3.4: MD5 of the draft's title, and of "GSSAPI", which
 * Windows wants to see. */
static const uint8_t gss_ids[2][16] = {
	{ 0xb4, 0x6d, 0x89, 0x14, 0xf3, 0xaa, 0xa3, 0xf2, 0xfe, 0xde, 0xb7, 0xc7, 0xdb, 0x29, 0x43, 0xca },
	{ 0x62, 0x1b, 0x04, 0xbb, 0x09, 0x88, 0x2a, 0xc1, 0xe1, 0x59, 0x35, 0xfe, 0xfa, 0x24, 0xae, 0xee },
};

static void vendor_put(struct msgbuf *m, size_t room, const uint8_t *id, size_t len)
{
	if (m->len + 4 + len <= room)
		msg_payload(m, PL_VENDOR, id, len);
}

/* The initiator lists all that it knows, the responder only what it chose from the list; what it cannot do without
 * first. */
void vendor_write(struct msgbuf *m, struct isakmp_sa *sa, size_t room)
{
	for (size_t i = 0; i < N_VENDORS; i++) {
		const struct vendor_id *v = &vendor_table[i];
		if (sa->initiator || v->natt == NATT_NONE || v->natt == sa->natt)
			vendor_put(m, room, v->id, sizeof(v->id));
	}
	if (sa->peer->cfg.fragmentation != FRAGMENTATION_NO) {
		vendor_put(m, room, vendor_fragments, sizeof(vendor_fragments));
		sa->told_fragments = true;
	}
	for (unsigned i = 0; i < 2 && sa->peer->cfg.auth == AUTH_KERBEROS; i++)
		vendor_put(m, room, gss_ids[i], sizeof(gss_ids[i]));
	if (!sa->peer->cfg.access)
		return;
	if (sa->peer->cfg.access->xauth != XAUTH_NONE)
		vendor_put(m, room, xauth_id, sizeof(xauth_id));
	if (sa->peer->cfg.access->config)
		vendor_put(m, room, unity_id, sizeof(unity_id));
}

void vendor_read(struct isakmp_sa *sa, const struct payload_list *l)
{
	const struct payload *p;

	for (unsigned k = 0; (p = payload_find(l, PL_VENDOR, k)); k++) {
		sa->peer_fragments |= takes_fragments(sa, p->body);
		if (p->body.len == sizeof(unity_id) &&
		    memcmp(p->body.p, unity_id, sizeof(unity_id) - 2) == 0)
			access_unity(sa);
		for (size_t i = 0; i < N_VENDORS; i++) {
			const struct vendor_id *v = &vendor_table[i];
			if (p->body.len != sizeof(v->id) ||
			    memcmp(p->body.p, v->id, sizeof(v->id)) != 0)
				continue;
			if (v->natt > sa->natt)
				sa->natt = v->natt;
			sa->peer_dpd |= v->dpd;
			sa->peer_parallel |= v->parallel;
		}
	}
}
