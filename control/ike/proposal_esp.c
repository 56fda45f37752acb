/* Phase 2: the responder's choice and the initiator's check of the answer. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "proposal_read.h"

/* The drafts of RFC 3947 had numbers of their own for its two modes. */
static uint16_t encap_plain(uint16_t encap)
{
	switch (encap) {
	case ENCAP_UDP_TUNNEL_DRAFT:
		return ENCAP_UDP_TUNNEL;
	case ENCAP_UDP_TRANSPORT_DRAFT:
		return ENCAP_UDP_TRANSPORT;
	default:
		return encap;
	}
}

static const char *encap_text(uint16_t encap, char *buf, size_t size)
{
	switch (encap_plain(encap)) {
	case ENCAP_TUNNEL:
		return "tunnel";
	case ENCAP_TRANSPORT:
		return "transport";
	case ENCAP_UDP_TUNNEL:
		return "UDP-encapsulated tunnel";
	case ENCAP_UDP_TRANSPORT:
		return "UDP-encapsulated transport";
	default:
		snprintf(buf, size, "mode %u", encap);
		return buf;
	}
}

static const char *integ_text(enum integ_alg a, uint16_t number, char *buf, size_t size)
{
	if (a != INTEG_NONE)
		snprintf(buf, size, "%s", integ_info(a)->title);
	else if (number)
		snprintf(buf, size, "integrity %u", number);
	else
		snprintf(buf, size, "none");
	return buf;
}

/* The integrity of AH may be a cipher's. */
static const char *seen_integ_text(const struct esp_seen *s, char *buf, size_t size)
{
	if (s->ah && s->cipher != ENCR_NONE)
		return encr_text(s->cipher, 0, s->key_bits, buf, size);
	return integ_text(integ_from_attr(s->integ), s->integ, buf, size);
}

static const char *our_integ_text(const struct esp_transform *t, char *buf, size_t size)
{
	if (t->ah && t->encr != ENCR_NONE)
		return encr_text(t->encr, 0, t->key_bits, buf, size);
	return integ_text(t->integ, 0, buf, size);
}

/* SHA-256 with 96 and with 128 bits share a number: which one it is, our configuration says. */
static bool integ_matches(uint16_t number, enum integ_alg ours)
{
	return ours == INTEG_NONE ? number == 0 : number == integ_info(ours)->attr_id;
}

/* Without PFS of our own we follow the initiator, as far as we have its group. */
static bool group_matches(uint16_t peer, uint16_t ours)
{
	return peer == ours || (ours == 0 && group_info(peer));
}

bool esp_transform_fits(const struct esp_transform *t, uint16_t encap)
{
	uint16_t plain = encap_plain(encap);

	return !t->ah || (plain != ENCAP_UDP_TUNNEL && plain != ENCAP_UDP_TRANSPORT);
}

static bool esp_matches(const struct esp_seen *s, const struct esp_transform *t, uint16_t encap)
{
	return s->ah == t->ah && esp_transform_fits(t, encap) &&
	       s->cipher == t->encr && s->key_bits == t->key_bits &&
	       integ_matches(s->integ, t->integ) && group_matches(s->group, t->group) &&
	       s->esn == t->esn && encap_plain(s->encap) == encap_plain(encap);
}

static void esp_diff(const struct esp_seen *s, const struct esp_transform *t, uint16_t encap,
		     struct diff *d)
{
	bool cipher_differs = s->cipher != t->encr || s->key_bits != t->key_bits;
	char a[48], b[48];

	memset(d, 0, sizeof(*d));
	if (s->ah != t->ah)
		diff_add(d, "PROTOCOL", s->ah ? "AH" : "ESP", t->ah ? "AH" : "ESP");
	if (!s->ah && !t->ah && cipher_differs)
		diff_add(d, "ENCR", encr_text(s->cipher, s->encr, s->key_bits, a, sizeof(a)),
			 encr_text(t->encr, 0, t->key_bits, b, sizeof(b)));
	if (!integ_matches(s->integ, t->integ) || (s->ah && t->ah && cipher_differs))
		diff_add(d, "AUTH", seen_integ_text(s, a, sizeof(a)), our_integ_text(t, b, sizeof(b)));
	if (!group_matches(s->group, t->group))
		diff_add(d, "GROUP", group_text(s->group, a, sizeof(a)),
			 group_text(t->group, b, sizeof(b)));
	if (s->esn != t->esn)
		diff_add(d, "ESN", s->esn ? "yes" : "no", t->esn ? "yes" : "no");
	if (!esp_transform_fits(t, encap))
		diff_add(d, "NAT", s->ah ? "AH" : "ESP", "no AH, it cannot pass a NAT");
	else if (encap_plain(s->encap) != encap_plain(encap))
		diff_add(d, "MODE", encap_text(s->encap, a, sizeof(a)),
			 encap_text(encap, b, sizeof(b)));
}

bool esp_offered(const struct esp_policy *p, const struct esp_transform *t)
{
	return t->group == p->group && esp_transform_fits(t, p->encap);
}

static void esp_choice_fill(const struct esp_seen *s, struct esp_choice *out)
{
	*out = (struct esp_choice){
		.t = { .encr = s->cipher,
		       .key_bits = s->key_bits,
		       .integ = integ_from_attr(s->integ),
		       .group = s->group,
		       .esn = s->esn,
		       .ah = s->ah },
		.encap = s->encap,
		.life_s = s->life.s,
		.life_kb = s->life.kb,
		.spi = s->spi,
	};
}

static bool esp_find(const struct sa_payload *offer, const struct esp_transform *ours,
		     uint16_t encap, struct esp_choice *out)
{
	struct esp_seen seen;
	char why[96];

	for (unsigned p = 0; p < offer->n_proposals; p++) {
		const struct proposal *pr = &offer->proposals[p];
		if (proposal_is_bundle(offer, p))
			continue;
		for (unsigned i = pr->first; i < pr->first + pr->n_transforms; i++) {
			if (esp_transform_read(pr, &offer->transforms[i], &seen, why,
					       sizeof(why)) ||
			    !esp_matches(&seen, ours, encap))
				continue;
			esp_choice_fill(&seen, out);
			out->t.integ = ours->integ;
			out->proposal = p;
			out->transform = i;
			return true;
		}
	}
	return false;
}

/* ours: what our transform means by the number that SHA-256 has for both of its lengths. */
static void esp_asked(const struct esp_seen *s, enum integ_alg ours, struct mismatch *m)
{
	struct esp_choice c;

	esp_choice_fill(s, &c);
	if (ours != INTEG_NONE && integ_matches(s->integ, ours))
		c.t.integ = ours;
	m->esp = c.t;
	m->encap = encap_plain(s->encap);
	m->known = (s->group == 0 || group_info(s->group)) &&
		   (s->ah ? c.t.integ != INTEG_NONE || c.t.encr != ENCR_NONE
			  : c.t.encr != ENCR_NONE &&
				    (c.t.integ != INTEG_NONE || encr_info(c.t.encr)->aead));
}

/* One offered transform against all of ours. */
static void esp_explain_one(const struct esp_seen *s, const struct esp_policy *pol,
			    unsigned proposal, unsigned transform, struct closest *c)
{
	struct diff d;

	for (unsigned k = 0; k < pol->n; k++) {
		esp_diff(s, &pol->t[k], pol->encap, &d);
		if (closest_diff(c, &d, proposal, transform))
			esp_asked(s, pol->t[k].integ, c->m);
	}
}

static void esp_explain(const struct sa_payload *offer, const struct esp_policy *pol,
			struct closest *c)
{
	struct esp_seen seen;
	char why[96];

	for (unsigned p = 0; p < offer->n_proposals; p++) {
		const struct proposal *pr = &offer->proposals[p];
		for (unsigned i = 0; i < pr->n_transforms; i++) {
			if (proposal_is_bundle(offer, p))
				closest_reason(c, "it asks for several protocols at once", p, i);
			else if (esp_transform_read(pr, &offer->transforms[pr->first + i], &seen,
						    why, sizeof(why)))
				closest_reason(c, why, p, i);
			else
				esp_explain_one(&seen, pol, p, i, c);
		}
	}
}

int esp_offer_choose(const struct sa_payload *offer, const struct esp_policy *p,
		     struct esp_choice *out, struct mismatch *why)
{
	struct closest c = { .distance = UINT_MAX, .m = why };

	for (unsigned k = 0; k < p->n; k++)
		if (esp_find(offer, &p->t[k], p->encap, out))
			return 0;
	memset(why, 0, sizeof(*why));
	why->cut = offer->cut;
	snprintf(why->reason, sizeof(why->reason), "%s",
		 p->n ? "the offer is empty" : "no phase 2 proposal is configured");
	if (p->n)
		esp_explain(offer, p, &c);
	return -ENOENT;
}

int esp_offer_select(const struct sa_payload *offer, const struct esp_policy *p,
		     struct esp_choice *out, char *why, size_t why_size)
{
	struct mismatch m;
	int rc = esp_offer_choose(offer, p, out, &m);

	if (rc != 0)
		mismatch_str(&m, why, why_size);
	return rc;
}

int esp_answer_check(const struct sa_payload *offer, const struct sa_payload *answer,
		     struct esp_choice *out, char *why, size_t why_size)
{
	unsigned proposal, transform;
	struct esp_seen seen;
	char reason[96];

	if (answer_find(offer, answer, &proposal, &transform, why, why_size))
		return -EBADMSG;
	if (esp_transform_read(&answer->proposals[0], &answer->transforms[0], &seen, reason,
			       sizeof(reason))) {
		snprintf(why, why_size, "the answer is not usable: %s", reason);
		return -EBADMSG;
	}
	esp_choice_fill(&seen, out);
	out->proposal = proposal;
	out->transform = transform;
	return 0;
}

void esp_answer_resolve(const struct esp_policy *p, struct esp_choice *c)
{
	unsigned k = c->transform;

	for (unsigned i = 0; i < p->n; i++) {
		if (!esp_offered(p, &p->t[i]))
			continue;
		if (k-- == 0) {
			c->t.integ = p->t[i].integ;
			return;
		}
	}
}
