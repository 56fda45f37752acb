/* Writing offers and answers, and finding the answer in the offer. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bytes.h"
#include "proposal_read.h"

#define ATTR_BASIC         0x8000
#define TRANSFORM_HEAD_LEN 8 /* generic header, number, id, reserved */

/* Where a nested structure began, so that its length can be set at its end. */
static size_t nested_open(struct msgbuf *m, uint8_t next)
{
	size_t at = m->len;

	msg_put_u8(m, next);
	msg_put_u8(m, 0);
	msg_put_u16(m, 0);
	return at;
}

static void nested_close(struct msgbuf *m, size_t at)
{
	if (!m->overflow)
		put_u16(m->buf + at + 2, (uint16_t)(m->len - at));
}

static void sa_open(struct msgbuf *m)
{
	msg_open(m, PL_SA);
	msg_put_u32(m, DOI_IPSEC);
	msg_put_u32(m, SIT_IDENTITY_ONLY);
}

/* spi 0: none. last: no further proposal follows. */
static size_t proposal_open(struct msgbuf *m, uint8_t num, bool last, uint8_t proto, uint32_t spi,
			    unsigned n)
{
	size_t at = nested_open(m, last ? PL_NONE : PL_PROPOSAL);

	msg_put_u8(m, num);
	msg_put_u8(m, proto);
	msg_put_u8(m, spi ? 4 : 0);
	msg_put_u8(m, (uint8_t)n);
	if (spi)
		msg_put_u32(m, spi);
	return at;
}

static size_t transform_open(struct msgbuf *m, unsigned k, unsigned n, uint8_t id)
{
	size_t at = nested_open(m, k + 1 < n ? PL_TRANSFORM : PL_NONE);

	msg_put_u8(m, (uint8_t)(k + 1));
	msg_put_u8(m, id);
	msg_put_u16(m, 0);
	return at;
}

static void put_attr(struct msgbuf *m, uint16_t type, uint16_t value)
{
	msg_put_u16(m, ATTR_BASIC | type);
	msg_put_u16(m, value);
}

/* A life duration as small as it goes: basic, or 4 or 8 bytes. */
static void put_life(struct msgbuf *m, uint16_t type_attr, uint16_t type, uint64_t value)
{
	uint16_t duration_attr = type_attr + 1;

	if (value == 0)
		return;
	put_attr(m, type_attr, type);
	if (value <= UINT16_MAX) {
		put_attr(m, duration_attr, (uint16_t)value);
		return;
	}
	msg_put_u16(m, duration_attr);
	msg_put_u16(m, value <= UINT32_MAX ? 4 : 8);
	if (value > UINT32_MAX)
		msg_put_u32(m, (uint32_t)(value >> 32));
	msg_put_u32(m, (uint32_t)value);
}

_Static_assert(ATTR_LIFE_DURATION == ATTR_LIFE_TYPE + 1, "put_life() relies on it");
_Static_assert(IPSEC_LIFE_DURATION == IPSEC_LIFE_TYPE + 1, "put_life() relies on it");

static void put_name(struct msgbuf *m, struct view name)
{
	if (name.len == 0)
		return;
	msg_put_u16(m, ATTR_GSS_NAME);
	msg_put_u16(m, (uint16_t)name.len);
	msg_put(m, name.p, name.len);
}

void ike_offer_write(struct msgbuf *m, const struct ike_transform *t, unsigned n, uint16_t auth,
		     uint32_t life_s, uint64_t life_kb)
{
	ike_offer_write_named(m, t, n, auth, life_s, life_kb, (struct view){ NULL, 0 });
}

void ike_offer_write_named(struct msgbuf *m, const struct ike_transform *t, unsigned n,
			   uint16_t auth, uint32_t life_s, uint64_t life_kb, struct view name)
{
	if (n == 0 || n > IKE_MAX_TRANSFORMS) {
		m->overflow = true;
		return;
	}
	sa_open(m);
	size_t proposal = proposal_open(m, 1, true, PROTO_ISAKMP, 0, n);
	for (unsigned k = 0; k < n; k++) {
		size_t at = transform_open(m, k, n, TRANSFORM_KEY_IKE);
		put_attr(m, ATTR_ENCR, encr_info(t[k].encr)->ike_id);
		if (encr_info(t[k].encr)->has_key_len)
			put_attr(m, ATTR_KEY_LENGTH, t[k].key_bits);
		put_attr(m, ATTR_HASH, hash_info(t[k].hash)->ike_id);
		put_attr(m, ATTR_GROUP, t[k].group);
		put_attr(m, ATTR_AUTH, auth == AUTH_KERBEROS ? AUTH_XAUTH_INIT_PSK : auth);
		put_life(m, ATTR_LIFE_TYPE, LIFE_SECONDS, life_s);
		put_life(m, ATTR_LIFE_TYPE, LIFE_KILOBYTES, life_kb);
		put_name(m, name);
		nested_close(m, at);
	}
	nested_close(m, proposal);
	msg_close(m);
}

static void esp_transform_write(struct msgbuf *m, const struct esp_policy *p,
				const struct esp_transform *t, unsigned k, unsigned n)
{
	bool ah_gmac = t->ah && t->integ == INTEG_NONE; /* its numbers say the key length, too */
	uint8_t id = ah_gmac ? encr_ah_id(t->encr, t->key_bits)
		     : t->ah ? integ_info(t->integ)->ah_id
			     : encr_info(t->encr)->esp_id;
	size_t at = transform_open(m, k, n, id);

	put_attr(m, IPSEC_MODE, p->encap);
	if (encr_info(t->encr)->has_key_len && !t->ah)
		put_attr(m, IPSEC_KEY_LENGTH, t->key_bits);
	if (ah_gmac)
		put_attr(m, IPSEC_AUTH, id);
	else if (t->integ != INTEG_NONE)
		put_attr(m, IPSEC_AUTH, integ_info(t->integ)->attr_id);
	if (t->group)
		put_attr(m, IPSEC_GROUP, t->group);
	if (t->esn)
		put_attr(m, IPSEC_ESN, 1);
	put_life(m, IPSEC_LIFE_TYPE, LIFE_SECONDS, p->life_s);
	put_life(m, IPSEC_LIFE_TYPE, LIFE_KILOBYTES, p->life_kb);
	nested_close(m, at);
}

/* One proposal is for one protocol: the run of transforms from i on that have its. Returns where the
 * next one begins, p->n at the end. */
static unsigned esp_run(const struct esp_policy *p, unsigned i, unsigned *n)
{
	bool ah = p->t[i].ah;

	for (*n = 0; i < p->n; i++) {
		if (!esp_offered(p, &p->t[i]))
			continue;
		if (p->t[i].ah != ah)
			break;
		(*n)++;
	}
	return i;
}

static unsigned next_offered(const struct esp_policy *p, unsigned i)
{
	while (i < p->n && !esp_offered(p, &p->t[i]))
		i++;
	return i;
}

bool esp_offer_possible(const struct esp_policy *p)
{
	return next_offered(p, 0) < p->n;
}

void esp_offer_write(struct msgbuf *m, const struct esp_policy *p, uint32_t spi)
{
	unsigned i = next_offered(p, 0), n, end;

	if (i == p->n || p->n > IKE_MAX_TRANSFORMS || spi == 0) {
		m->overflow = true;
		return;
	}
	sa_open(m);
	for (uint8_t num = 1; i < p->n; num++, i = end) {
		unsigned k = 0;
		end = esp_run(p, i, &n);
		size_t at = proposal_open(m, num, end == p->n, p->t[i].ah ? PROTO_AH : PROTO_ESP,
					  spi, n);
		for (; i < end; i++)
			if (esp_offered(p, &p->t[i]))
				esp_transform_write(m, p, &p->t[i], k++, n);
		nested_close(m, at);
	}
	msg_close(m);
}

void answer_write(struct msgbuf *m, const struct sa_payload *offer, unsigned proposal,
		  unsigned transform, uint32_t spi)
{
	const struct proposal *pr = &offer->proposals[proposal];
	struct view raw = offer->transforms[transform].raw;

	sa_open(m);
	size_t at = proposal_open(m, pr->num, true, pr->proto, spi, 1);
	msg_put_u8(m, PL_NONE); /* all but the link to the next transform is the offer's */
	msg_put(m, raw.p + 1, raw.len - 1);
	nested_close(m, at);
	msg_close(m);
}

void answer_write_named(struct msgbuf *m, const struct sa_payload *offer, unsigned proposal,
			unsigned transform, struct view name)
{
	const struct proposal *pr = &offer->proposals[proposal];
	const struct transform *t = &offer->transforms[transform];

	sa_open(m);
	size_t at = proposal_open(m, pr->num, true, pr->proto, 0, 1);
	size_t inner = m->len;
	msg_put_u8(m, PL_NONE);
	msg_put(m, t->raw.p + 1, TRANSFORM_HEAD_LEN - 1);
	for (unsigned i = 0; i < t->n_attrs; i++) {
		const struct attr *a = &t->attr[i];
		size_t head = 4; /* type, and length or value; a value that is longer follows */
		if (a->type == ATTR_GSS_NAME)
			put_name(m, name);
		else if (a->basic)
			msg_put(m, a->value.p - 2, head);
		else
			msg_put(m, a->value.p - head, head + a->value.len);
	}
	nested_close(m, inner);
	nested_close(m, at);
	msg_close(m);
}

/* An attribute may come back basic where it went out variable, or the other way round (RFC 2409
 * appendix A): only type and value count. */
static bool attr_same(const struct attr *a, const struct attr *b)
{
	if (a->type == ATTR_GSS_NAME && b->type == ATTR_GSS_NAME)
		return true; /* each side names itself */
	if (a->type != b->type || a->num != b->num)
		return false;
	return a->num != UINT64_MAX ||
	       (a->value.len == b->value.len && memcmp(a->value.p, b->value.p, a->value.len) == 0);
}

/* The life type that a duration at index i belongs to: the last one before it. */
static uint64_t life_type_of(const struct transform *t, unsigned i)
{
	bool ike = t->id == TRANSFORM_KEY_IKE;

	if (t->attr[i].type != (ike ? (uint16_t)ATTR_LIFE_DURATION : (uint16_t)IPSEC_LIFE_DURATION))
		return 0;
	while (i-- > 0)
		if (t->attr[i].type == (ike ? (uint16_t)ATTR_LIFE_TYPE : (uint16_t)IPSEC_LIFE_TYPE))
			return t->attr[i].num;
	return 0;
}

/* Attribute i of a, wherever it stands in b: strongSwan answers Quick Mode in an order of its own.
 */
static bool attr_within(const struct transform *a, unsigned i, const struct transform *b)
{
	for (unsigned k = 0; k < b->n_attrs; k++)
		if (attr_same(&a->attr[i], &b->attr[k]) && life_type_of(a, i) == life_type_of(b, k))
			return true;
	return false;
}

static bool transform_same(const struct transform *a, const struct transform *b)
{
	if (a->num != b->num || a->id != b->id || a->n_attrs != b->n_attrs)
		return false;
	for (unsigned i = 0; i < a->n_attrs; i++)
		if (!attr_within(a, i, b))
			return false;
	return true;
}

int answer_find(const struct sa_payload *offer, const struct sa_payload *answer, unsigned *proposal,
		unsigned *transform, char *why, size_t why_size)
{
	if (answer->n_proposals != 1 || answer->n_transforms != 1) {
		snprintf(why, why_size,
			 "the answer holds %u proposals and %u transforms instead of one",
			 answer->n_proposals, answer->n_transforms);
		return -EBADMSG;
	}
	for (unsigned p = 0; p < offer->n_proposals; p++) {
		const struct proposal *pr = &offer->proposals[p];
		if (pr->num != answer->proposals[0].num || pr->proto != answer->proposals[0].proto)
			continue;
		for (unsigned i = pr->first; i < pr->first + pr->n_transforms; i++) {
			if (!transform_same(&offer->transforms[i], &answer->transforms[0]))
				continue;
			*proposal = p;
			*transform = i;
			return 0;
		}
	}
	snprintf(why, why_size,
		 "the answer (proposal %u, transform %u) is not one of our offers as we sent them",
		 answer->proposals[0].num, answer->transforms[0].num);
	return -EBADMSG;
}
