/* Reading offered transforms. Attributes may come basic or variable: only the number counts. */
#include "proposal_read.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bytes.h"

#define SPI_LEN 4
#define SPI_MIN 256 /* RFC 4303 section 2.1: the values below are reserved */

__attribute__((format(printf, 3, 4))) static int refuse(char *why, size_t size, const char *fmt,
							...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, size, fmt, args);
	va_end(args);
	return -ENOTSUP;
}

/* A 16-bit attribute, at most once and not zero. */
static int take_number(const struct attr *a, uint16_t *out, const char *name, char *why,
		       size_t size)
{
	if (*out)
		return refuse(why, size, "%s is given twice", name);
	if (a->num == 0 || a->num > UINT16_MAX)
		return refuse(why, size, "%s has an impossible value", name);
	*out = (uint16_t)a->num;
	return 0;
}

static int take_life_type(const struct attr *a, struct life *life, char *why, size_t size)
{
	if (a->num != LIFE_SECONDS && a->num != LIFE_KILOBYTES)
		return refuse(why, size, "the life type is neither seconds nor kilobytes");
	life->type = (uint16_t)a->num;
	return 0;
}

/* A duration belongs to the type before it. Zero counts as not given; of two the shorter holds. */
static int take_life_duration(const struct attr *a, struct life *life, char *why, size_t size)
{
	uint64_t num = a->num;

	if (life->type == 0)
		return refuse(why, size, "a life duration has no life type before it");
	if (num == 0)
		return 0;
	if (life->type == LIFE_KILOBYTES) {
		if (life->kb == 0 || num < life->kb)
			life->kb = num;
	} else {
		uint32_t s = num > UINT32_MAX ? UINT32_MAX : (uint32_t)num;
		if (life->s == 0 || s < life->s)
			life->s = s;
	}
	return 0;
}

/* Key Length is required of AES by the RFCs, but left out by peers that mean 128; ciphers of one
 * key length must not have it (RFC 2409 appendix A, RFC 2407 section 4.5). */
static int settle_key_bits(enum encr_alg encr, uint16_t *key_bits, char *why, size_t size)
{
	const struct encr_info *info = encr_info(encr);

	if (encr == ENCR_NONE)
		return 0; /* told apart from ours later, by name */
	if (*key_bits && !info->has_key_len)
		return refuse(why, size, "Key Length is not allowed with %s", info->title);
	if (!*key_bits)
		*key_bits = info->key_bits;
	return 0;
}

static int ike_attr_read(const struct attr *a, struct ike_seen *s, char *why, size_t size)
{
	switch (a->type) {
	case ATTR_ENCR:
		return take_number(a, &s->encr, "ENCR", why, size);
	case ATTR_HASH:
		return take_number(a, &s->hash, "HASH", why, size);
	case ATTR_AUTH:
		return take_number(a, &s->auth, "AUTH", why, size);
	case ATTR_GROUP:
		return take_number(a, &s->group, "GROUP", why, size);
	case ATTR_KEY_LENGTH:
		return take_number(a, &s->key_bits, "Key Length", why, size);
	case ATTR_LIFE_TYPE:
		return take_life_type(a, &s->life, why, size);
	case ATTR_LIFE_DURATION:
		return take_life_duration(a, &s->life, why, size);
	case ATTR_GSS_NAME:
		s->gss = true;
		return 0;
	default:
		return refuse(why, size, "attribute %u is not known", a->type);
	}
}

int ike_transform_read(const struct proposal *pr, const struct transform *t, struct ike_seen *out,
		       char *why, size_t why_size)
{
	memset(out, 0, sizeof(*out));
	if (pr->proto != PROTO_ISAKMP)
		return refuse(why, why_size, "protocol %u is not ISAKMP", pr->proto);
	if (t->id != TRANSFORM_KEY_IKE)
		return refuse(why, why_size, "transform id %u is not KEY_IKE", t->id);
	for (unsigned i = 0; i < t->n_attrs; i++)
		if (ike_attr_read(&t->attr[i], out, why, why_size))
			return -ENOTSUP;
	if (!out->encr || !out->hash || !out->auth || !out->group)
		return refuse(why, why_size, "%s is missing",
			      !out->encr   ? "ENCR"
			      : !out->hash ? "HASH"
			      : !out->auth ? "AUTH"
					   : "GROUP");
	if (out->gss && out->auth == AUTH_XAUTH_INIT_PSK)
		out->auth = AUTH_KERBEROS;
	return settle_key_bits(encr_from_ike(out->encr), &out->key_bits, why, why_size);
}

static int take_esn(const struct attr *a, struct esp_seen *s, char *why, size_t size)
{
	if (a->num != 1) /* RFC 4304 section 2: 64-bit sequence numbers */
		return refuse(why, size, "ESN has an impossible value");
	s->esn = true;
	return 0;
}

static int esp_attr_read(const struct attr *a, struct esp_seen *s, char *why, size_t size)
{
	switch (a->type) {
	case IPSEC_LIFE_TYPE:
		return take_life_type(a, &s->life, why, size);
	case IPSEC_LIFE_DURATION:
		return take_life_duration(a, &s->life, why, size);
	case IPSEC_GROUP:
		return take_number(a, &s->group, "GROUP", why, size);
	case IPSEC_MODE:
		return take_number(a, &s->encap, "the encapsulation mode", why, size);
	case IPSEC_AUTH:
		return take_number(a, &s->integ, "AUTH", why, size);
	case IPSEC_KEY_LENGTH:
		return take_number(a, &s->key_bits, "Key Length", why, size);
	case IPSEC_ESN:
		return take_esn(a, s, why, size);
	default:
		return refuse(why, size, "attribute %u is not known", a->type);
	}
}

/* RFC 2407 section 4.5: the transform says the algorithm, and AUTH says it again. */
static int ah_seen_check(struct esp_seen *s, uint8_t id, char *why, size_t size)
{
	uint16_t key_bits;
	enum encr_alg gmac = encr_from_ah(id, &key_bits);

	if (s->key_bits)
		return refuse(why, size, "Key Length is not allowed with AH");
	if (!s->integ)
		return refuse(why, size, "AH comes without AUTH");
	if (gmac == ENCR_NONE && integ_from_ah(id) == INTEG_NONE)
		return refuse(why, size, "AH transform %u is not known", id);
	if (gmac != ENCR_NONE ? s->integ != id : integ_from_ah(id) != integ_from_attr(s->integ))
		return refuse(why, size, "AH transform %u contradicts AUTH %u", id, s->integ);
	if (gmac == ENCR_NONE)
		return 0;
	s->cipher = gmac;
	s->key_bits = key_bits;
	s->integ = 0;
	return 0;
}

static int esp_seen_check(const struct esp_seen *s, char *why, size_t size)
{
	enum encr_alg encr = s->cipher;

	if (encr == ENCR_NONE)
		return 0; /* told apart from ours later, by name */
	if (encr_info(encr)->aead && s->integ)
		return refuse(why, size, "AUTH is not allowed with %s", encr_info(encr)->title);
	if (!encr_info(encr)->aead && !s->integ)
		return refuse(why, size, "%s comes without integrity", encr_info(encr)->title);
	return 0;
}

int esp_transform_read(const struct proposal *pr, const struct transform *t, struct esp_seen *out,
		       char *why, size_t why_size)
{
	memset(out, 0, sizeof(*out));
	if (pr->proto != PROTO_ESP && pr->proto != PROTO_AH)
		return refuse(why, why_size, "protocol %u is neither ESP nor AH", pr->proto);
	if (pr->spi.len != SPI_LEN)
		return refuse(why, why_size, "the SPI has %zu bytes instead of 4", pr->spi.len);
	out->spi = get_u32(pr->spi.p);
	if (out->spi < SPI_MIN)
		return refuse(why, why_size, "SPI %u is reserved", out->spi);
	out->ah = pr->proto == PROTO_AH;
	out->encr = out->ah ? 0 : t->id;
	for (unsigned i = 0; i < t->n_attrs; i++)
		if (esp_attr_read(&t->attr[i], out, why, why_size))
			return -ENOTSUP;
	if (!out->encap)
		return refuse(why, why_size, "the encapsulation mode is missing");
	if (out->ah)
		return ah_seen_check(out, t->id, why, why_size);
	out->cipher = encr_from_esp(out->encr);
	if (settle_key_bits(out->cipher, &out->key_bits, why, why_size))
		return -ENOTSUP;
	return esp_seen_check(out, why, why_size);
}

bool proposal_is_bundle(const struct sa_payload *offer, unsigned proposal)
{
	for (unsigned i = 0; i < offer->n_proposals; i++)
		if (i != proposal && offer->proposals[i].num == offer->proposals[proposal].num)
			return true;
	/* its other half may be what did not fit */
	return offer->cut_num && proposal + 1 == offer->n_proposals &&
	       offer->proposals[proposal].num == offer->cut_num;
}

/* ------------------------------------------------------------------------- as text ---------- */

const char *encr_text(enum encr_alg a, uint16_t number, uint16_t key_bits, char *buf, size_t size)
{
	const struct encr_info *info = encr_info(a);

	if (a == ENCR_NONE)
		snprintf(buf, size, "encryption %u", number);
	else if (info->has_key_len)
		snprintf(buf, size, "%s with %u bits", info->title, key_bits);
	else
		snprintf(buf, size, "%s", info->title);
	return buf;
}

const char *group_text(uint16_t group, char *buf, size_t size)
{
	const struct group_info *info = group_info(group);

	if (group == 0)
		snprintf(buf, size, "none");
	else if (info)
		snprintf(buf, size, "%s", info->name);
	else
		snprintf(buf, size, "group %u", group);
	return buf;
}

void diff_add(struct diff *d, const char *name, const char *peer, const char *ours)
{
	struct ike_difference *e = &d->d[d->n];

	if (d->n == IKE_DIFFERENCES)
		return;
	d->n++;
	snprintf(e->what, sizeof(e->what), "%s", name);
	snprintf(e->theirs, sizeof(e->theirs), "%s", peer);
	snprintf(e->ours, sizeof(e->ours), "%s", ours);
}

bool closest_diff(struct closest *c, const struct diff *d, unsigned proposal, unsigned transform)
{
	if (d->n >= c->distance)
		return false;
	c->distance = d->n;
	c->m->offer = proposal + 1;
	c->m->transform = transform + 1;
	c->m->n = d->n;
	memcpy(c->m->diff, d->d, sizeof(c->m->diff));
	return true;
}

void closest_reason(struct closest *c, const char *reason, unsigned proposal, unsigned transform)
{
	if (c->distance != UINT_MAX)
		return;
	c->distance = UINT_MAX - 1;
	c->m->offer = proposal + 1;
	c->m->transform = transform + 1;
	snprintf(c->m->reason, sizeof(c->m->reason), "%s", reason);
}
