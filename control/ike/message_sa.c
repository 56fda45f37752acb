/* Parsing of the SA payload: proposals, transforms, attributes (RFC 2408 sections 3.3 to 3.6). */
#include "message.h"

#include <errno.h>
#include <string.h>

#include "bytes.h"

#define SA_FIXED_LEN        8 /* DOI and situation */
#define PROPOSAL_FIXED_LEN  8 /* generic header, number, protocol, SPI size, count */
#define TRANSFORM_FIXED_LEN 8 /* generic header, number, id, reserved */
#define ATTR_FIXED_LEN      4
#define ATTR_BASIC          0x8000

static int bad(const char **why, const char *sentence)
{
	*why = sentence;
	return -EBADMSG;
}

static uint64_t view_number(struct view v)
{
	uint64_t num = 0;

	if (v.len > sizeof(num))
		return UINT64_MAX;
	for (size_t i = 0; i < v.len; i++)
		num = num << 8 | v.p[i];
	return num;
}

/* RFC 2408 section 3.3: attributes up to the end of v, at most max. */
static int attrs_parse(struct view v, struct attr *attr, unsigned max, unsigned *n,
		       const char **why)
{
	*n = 0;
	while (v.len) {
		if (*n == max)
			return bad(why, "there are too many attributes");
		if (v.len < ATTR_FIXED_LEN)
			return bad(why, "an attribute reaches beyond what it is part of");
		struct attr *a = &attr[(*n)++];
		uint16_t type = get_u16(v.p);
		a->type = type & ~ATTR_BASIC;
		a->basic = type & ATTR_BASIC;
		if (a->basic)
			a->value = (struct view){ v.p + 2, 2 };
		else
			a->value = (struct view){ v.p + 4, get_u16(v.p + 2) };
		size_t used = ATTR_FIXED_LEN + (a->basic ? 0 : a->value.len);
		if (used > v.len)
			return bad(why, "an attribute's value reaches beyond what it is part of");
		a->num = view_number(a->value);
		v.p += used;
		v.len -= used;
	}
	return 0;
}

/* One header of a chain of proposals or transforms at the start of v: checks the length and the
 * "next" byte, which is `more` or, at the end of v, zero. */
static int link_parse(struct view v, uint8_t more, size_t fixed, size_t *size, const char **why)
{
	if (v.len < fixed)
		return bad(why, "a proposal or transform reaches beyond the SA payload");
	*size = get_u16(v.p + 2);
	if (*size < fixed || *size > v.len)
		return bad(why, "a proposal or transform has an impossible length");
	if (v.p[0] != (*size < v.len ? more : PL_NONE))
		return bad(why, "proposals or transforms are chained wrongly");
	return 0;
}

/* keep: into out; otherwise they are only checked. */
static int transforms_parse(struct view v, struct sa_payload *out, struct proposal *pr,
			    unsigned claimed, bool keep, const char **why)
{
	struct transform beyond, *t;
	unsigned n = 0;

	pr->first = out->n_transforms;
	for (; v.len; n++) {
		size_t size;
		int rc = link_parse(v, PL_TRANSFORM, TRANSFORM_FIXED_LEN, &size, why);
		if (rc)
			return rc;
		if (keep && out->n_transforms < IKE_MAX_TRANSFORMS) {
			t = &out->transforms[out->n_transforms++];
		} else {
			out->cut = true;
			t = &beyond;
		}
		t->num = v.p[4];
		t->id = v.p[5];
		t->raw = (struct view){ v.p, size };
		rc = attrs_parse(
			(struct view){ v.p + TRANSFORM_FIXED_LEN, size - TRANSFORM_FIXED_LEN },
			t->attr, IKE_MAX_ATTRS, &t->n_attrs, why);
		if (rc)
			return rc;
		v.p += size;
		v.len -= size;
	}
	pr->n_transforms = out->n_transforms - pr->first;
	if (n != claimed)
		return bad(why, "a proposal's number of transforms is not what it says");
	return 0;
}

static int proposal_parse(struct view raw, struct sa_payload *out, const char **why)
{
	bool keep = out->n_proposals < IKE_MAX_PROPOSALS;
	struct proposal beyond, *pr = keep ? &out->proposals[out->n_proposals++] : &beyond;
	size_t spi_len = raw.p[6];

	if (!keep && !out->cut_num)
		out->cut_num = raw.p[4];
	out->cut |= !keep;

	if (spi_len > IKE_MAX_SPI)
		return bad(why, "a proposal's SPI is too long");
	if (spi_len > raw.len - PROPOSAL_FIXED_LEN)
		return bad(why, "a proposal's SPI reaches beyond it");
	*pr = (struct proposal){
		.num = raw.p[4],
		.proto = raw.p[5],
		.spi = { raw.p + PROPOSAL_FIXED_LEN, spi_len },
		.raw = raw,
	};
	struct view rest = { pr->spi.p + spi_len, raw.len - PROPOSAL_FIXED_LEN - spi_len };
	return transforms_parse(rest, out, pr, raw.p[7], keep, why);
}

int sa_payload_parse(struct view body, struct sa_payload *out, const char **why)
{
	out->n_proposals = 0;
	out->n_transforms = 0;
	out->doi = 0;
	out->situation = 0;
	out->cut = false;
	out->cut_num = 0;
	out->body = body;
	if (body.len < SA_FIXED_LEN)
		return bad(why, "the SA payload is too short");
	out->doi = get_u32(body.p);
	out->situation = get_u32(body.p + 4);
	/* the layout of what follows depends on both (RFC 2407 section 4.6.1) */
	if (out->doi != DOI_IPSEC)
		return bad(why, "the SA payload's DOI is not IPsec");
	if (out->situation != SIT_IDENTITY_ONLY)
		return bad(why, "the SA payload's situation is not identity-only");

	struct view v = { body.p + SA_FIXED_LEN, body.len - SA_FIXED_LEN };
	if (v.len == 0)
		return bad(why, "the SA payload has no proposal");
	while (v.len) {
		size_t size;
		int rc = link_parse(v, PL_PROPOSAL, PROPOSAL_FIXED_LEN, &size, why);
		if (rc)
			return rc;
		rc = proposal_parse((struct view){ v.p, size }, out, why);
		if (rc)
			return rc;
		v.p += size;
		v.len -= size;
	}
	return 0;
}

const struct attr *transform_attr(const struct transform *t, uint16_t type)
{
	for (unsigned i = 0; i < t->n_attrs; i++)
		if (t->attr[i].type == type)
			return &t->attr[i];
	return NULL;
}

/* ------------------------------------------------------------------- Transaction payload ---- */

#define CFG_FIXED_LEN 4 /* type, reserved, identifier */

int cfg_parse(struct view body, struct cfg_payload *out, const char **why)
{
	if (body.len < CFG_FIXED_LEN)
		return bad(why, "the attribute payload is too short");
	out->type = body.p[0];
	out->id = get_u16(body.p + 2);
	return attrs_parse((struct view){ body.p + CFG_FIXED_LEN, body.len - CFG_FIXED_LEN },
			   out->attr, IKE_MAX_CFG_ATTRS, &out->n, why);
}

const struct attr *cfg_attr(const struct cfg_payload *p, uint16_t type, unsigned k)
{
	for (unsigned i = 0; i < p->n; i++)
		if (p->attr[i].type == type && k-- == 0)
			return &p->attr[i];
	return NULL;
}
