/* Phase 1: the responder's choice and the initiator's check of the answer. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "proposal_read.h"

static const char *hash_text(enum hash_alg a, uint16_t number, char *buf, size_t size)
{
	if (a == HASH_NONE)
		snprintf(buf, size, "hash %u", number);
	else
		snprintf(buf, size, "%s", hash_info(a)->name);
	return buf;
}

static const char *auth_text(uint16_t auth, char *buf, size_t size)
{
	switch (auth) {
	case AUTH_PSK:
		return "pre-shared key";
	case AUTH_DSS:
		return "DSS signatures";
	case AUTH_RSA_SIG:
		return "RSA signatures";
	case AUTH_ECDSA_256:
		return "ECDSA-256 signatures";
	case AUTH_ECDSA_384:
		return "ECDSA-384 signatures";
	case AUTH_ECDSA_521:
		return "ECDSA-521 signatures";
	case AUTH_KERBEROS:
		return "Kerberos";
	case AUTH_XAUTH_INIT_PSK:
		return "pre-shared key with XAuth";
	case AUTH_XAUTH_RESP_PSK:
		return "pre-shared key with XAuth of the responder";
	case AUTH_XAUTH_INIT_RSA:
		return "RSA signatures with XAuth";
	case AUTH_XAUTH_RESP_RSA:
		return "RSA signatures with XAuth of the responder";
	case AUTH_HYBRID_INIT_RSA:
		return "hybrid RSA with XAuth";
	case AUTH_HYBRID_RESP_RSA:
		return "hybrid RSA with XAuth of the responder";
	default:
		snprintf(buf, size, "authentication method %u", auth);
		return buf;
	}
}

static void ike_diff(const struct ike_seen *s, const struct ike_transform *ours, uint16_t auth,
		     struct diff *d)
{
	enum encr_alg encr = encr_from_ike(s->encr);
	enum hash_alg hash = hash_from_ike(s->hash);
	char a[48], b[48];

	memset(d, 0, sizeof(*d));
	if (encr != ours->encr || s->key_bits != ours->key_bits)
		diff_add(d, "ENCR", encr_text(encr, s->encr, s->key_bits, a, sizeof(a)),
			 encr_text(ours->encr, 0, ours->key_bits, b, sizeof(b)));
	if (hash != ours->hash)
		diff_add(d, "HASH", hash_text(hash, s->hash, a, sizeof(a)),
			 hash_text(ours->hash, 0, b, sizeof(b)));
	if (s->group != ours->group)
		diff_add(d, "GROUP", group_text(s->group, a, sizeof(a)),
			 group_text(ours->group, b, sizeof(b)));
	if (s->auth != auth)
		diff_add(d, "AUTH", auth_text(s->auth, a, sizeof(a)),
			 auth_text(auth, b, sizeof(b)));
}

static bool ike_matches(const struct ike_seen *s, const struct ike_transform *ours, uint16_t auth)
{
	return encr_from_ike(s->encr) == ours->encr && s->key_bits == ours->key_bits &&
	       hash_from_ike(s->hash) == ours->hash && s->group == ours->group && s->auth == auth;
}

static void ike_choice_fill(const struct ike_seen *s, struct ike_choice *out)
{
	*out = (struct ike_choice){
		.t = { .encr = encr_from_ike(s->encr),
		       .key_bits = s->key_bits,
		       .hash = hash_from_ike(s->hash),
		       .group = s->group },
		.auth = s->auth,
		.life_s = s->life.s,
		.life_kb = s->life.kb,
	};
}

/* One of ours against the whole offer. */
static bool ike_find(const struct sa_payload *offer, const struct ike_transform *ours,
		     uint16_t auth, struct ike_choice *out)
{
	struct ike_seen seen;
	char why[96];

	for (unsigned p = 0; p < offer->n_proposals; p++) {
		const struct proposal *pr = &offer->proposals[p];
		if (proposal_is_bundle(offer, p))
			continue;
		for (unsigned i = pr->first; i < pr->first + pr->n_transforms; i++) {
			if (ike_transform_read(pr, &offer->transforms[i], &seen, why,
					       sizeof(why)) ||
			    !ike_matches(&seen, ours, auth))
				continue;
			ike_choice_fill(&seen, out);
			out->proposal = p;
			out->transform = i;
			return true;
		}
	}
	return false;
}

static void ike_asked(const struct ike_seen *s, struct mismatch *m)
{
	struct ike_choice c;

	ike_choice_fill(s, &c);
	m->ike = c.t;
	m->auth = s->auth;
	m->known = c.t.encr != ENCR_NONE && c.t.hash != HASH_NONE && group_info(s->group);
}

static void ike_explain(const struct sa_payload *offer, const struct ike_transform *ours,
			unsigned n, uint16_t auth, struct closest *c)
{
	struct ike_seen seen;
	struct diff d;
	char why[96];

	for (unsigned p = 0; p < offer->n_proposals; p++) {
		const struct proposal *pr = &offer->proposals[p];
		for (unsigned i = 0; i < pr->n_transforms; i++) {
			if (proposal_is_bundle(offer, p)) {
				closest_reason(c, "it asks for several protocols at once", p, i);
				continue;
			}
			if (ike_transform_read(pr, &offer->transforms[pr->first + i], &seen, why,
					       sizeof(why))) {
				closest_reason(c, why, p, i);
				continue;
			}
			for (unsigned k = 0; k < n; k++) {
				ike_diff(&seen, &ours[k], auth, &d);
				if (closest_diff(c, &d, p, i))
					ike_asked(&seen, c->m);
			}
		}
	}
}

int ike_offer_choose(const struct sa_payload *offer, const struct ike_transform *ours, unsigned n,
		     uint16_t auth, struct ike_choice *out, struct mismatch *why)
{
	struct closest c = { .distance = UINT_MAX, .m = why };

	for (unsigned k = 0; k < n; k++)
		if (ike_find(offer, &ours[k], auth, out))
			return 0;
	memset(why, 0, sizeof(*why));
	why->cut = offer->cut;
	snprintf(why->reason, sizeof(why->reason), "%s",
		 n ? "the offer is empty" : "no phase 1 proposal is configured");
	if (n)
		ike_explain(offer, ours, n, auth, &c);
	return -ENOENT;
}

int ike_offer_select(const struct sa_payload *offer, const struct ike_transform *ours, unsigned n,
		     uint16_t auth, struct ike_choice *out, char *why, size_t why_size)
{
	struct mismatch m;
	int rc = ike_offer_choose(offer, ours, n, auth, out, &m);

	if (rc != 0)
		mismatch_str(&m, why, why_size);
	return rc;
}

int ike_answer_check(const struct sa_payload *offer, const struct sa_payload *answer,
		     struct ike_choice *out, char *why, size_t why_size)
{
	unsigned proposal, transform;
	struct ike_seen seen;
	char reason[96];

	if (answer_find(offer, answer, &proposal, &transform, why, why_size))
		return -EBADMSG;
	if (ike_transform_read(&answer->proposals[0], &answer->transforms[0], &seen, reason,
			       sizeof(reason))) {
		snprintf(why, why_size, "the answer is not usable: %s", reason);
		return -EBADMSG;
	}
	ike_choice_fill(&seen, out);
	out->proposal = proposal;
	out->transform = transform;
	return 0;
}
