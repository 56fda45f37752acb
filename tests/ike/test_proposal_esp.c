/* Offers, choices and answers of phase 2: ESP and AH. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sa_msg.h"

static const struct esp_transform gcm128 = { ENCR_AES_GCM_16, 128, INTEG_NONE, 0, false, false };
static const struct esp_transform cbc256 = { ENCR_AES_CBC, 256, INTEG_HMAC_SHA256_128, 0, false, false };

/* One phase 2 transform with these basic attributes, against our offer of GCM-128 in tunnel mode with
 * 3600 s and 1000 kB. */
static int check_answer(const struct hand_attr *a, unsigned n)
{
	const struct esp_policy p = { .t = &gcm128, .n = 1, .encap = 1, .life_s = 3600,
				      .life_kb = 1000 };
	struct sa_msg offer, answer;
	struct esp_choice c;

	sa_begin(&offer);
	esp_offer_write(&offer.m, &p, 0x1000);
	sa_end(&offer);
	hand_sa(&answer, PROTO_ESP, 20, 0x2000, a, n);
	int rc = esp_answer_check(offer.sa, answer.sa, &c, offer.why, 256);
	sa_free(&offer);
	sa_free(&answer);
	return rc;
}

Test(proposal_esp, answer_in_another_order_is_the_same)
{
	static const struct {
		struct hand_attr a[7];
		unsigned n;
		int rc;
	} cases[] = {
		{ { { IPSEC_MODE, 1 }, { IPSEC_KEY_LENGTH, 128 }, { IPSEC_LIFE_TYPE, 1 },
		    { IPSEC_LIFE_DURATION, 3600 }, { IPSEC_LIFE_TYPE, 2 },
		    { IPSEC_LIFE_DURATION, 1000 } }, 6, 0 },
		{ { { IPSEC_LIFE_TYPE, 2 }, { IPSEC_LIFE_DURATION, 1000 }, { IPSEC_KEY_LENGTH, 128 },
		    { IPSEC_LIFE_TYPE, 1 }, { IPSEC_LIFE_DURATION, 3600 }, { IPSEC_MODE, 1 } }, 6, 0 },
		/* the two durations changed places: other lifetimes */
		{ { { IPSEC_MODE, 1 }, { IPSEC_KEY_LENGTH, 128 }, { IPSEC_LIFE_TYPE, 1 },
		    { IPSEC_LIFE_DURATION, 1000 }, { IPSEC_LIFE_TYPE, 2 },
		    { IPSEC_LIFE_DURATION, 3600 } }, 6, -EBADMSG },
		/* one less, one more, one twice in the place of another */
		{ { { IPSEC_MODE, 1 }, { IPSEC_KEY_LENGTH, 128 }, { IPSEC_LIFE_TYPE, 1 },
		    { IPSEC_LIFE_DURATION, 3600 } }, 4, -EBADMSG },
		{ { { IPSEC_MODE, 1 }, { IPSEC_KEY_LENGTH, 128 }, { IPSEC_LIFE_TYPE, 1 },
		    { IPSEC_LIFE_DURATION, 3600 }, { IPSEC_LIFE_TYPE, 2 },
		    { IPSEC_LIFE_DURATION, 1000 }, { IPSEC_ESN, 1 } }, 7, -EBADMSG },
		{ { { IPSEC_MODE, 1 }, { IPSEC_MODE, 1 }, { IPSEC_LIFE_TYPE, 1 },
		    { IPSEC_LIFE_DURATION, 3600 }, { IPSEC_LIFE_TYPE, 2 },
		    { IPSEC_LIFE_DURATION, 1000 } }, 6, -EBADMSG },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_assert_eq(check_answer(cases[i].a, cases[i].n), cases[i].rc, "case %zu", i);
}

Test(pitfall, p06_3des_with_key_length_is_invalid)
{
	const struct esp_transform t = { ENCR_3DES, 192, INTEG_HMAC_SHA1_96, 0, false, false };
	const struct esp_policy p = { .t = &t, .n = 1, .encap = ENCAP_TUNNEL };
	struct esp_choice c;
	struct sa_msg s;

	HAND(&s, PROTO_ESP, 3, 0x1000, { IPSEC_MODE, 1 }, { IPSEC_AUTH, 2 },
	     { IPSEC_KEY_LENGTH, 192 });
	cr_assert_eq(esp_offer_select(s.sa, &p, &c, s.why, 256), -ENOENT);
	cr_assert(strstr(s.why, "Key Length is not allowed with 3DES"), "%s", s.why);
	sa_free(&s);
}

Test(pitfall, p08_encapsulation_mode_missing_is_refused_clearly)
{
	const struct esp_policy p = { .t = &gcm128, .n = 1, .encap = ENCAP_TUNNEL };
	struct esp_choice c;
	struct sa_msg s;

	HAND(&s, PROTO_ESP, 20, 0x1000, { IPSEC_KEY_LENGTH, 128 });
	cr_assert_eq(esp_offer_select(s.sa, &p, &c, s.why, 256), -ENOENT);
	cr_assert_str_eq(s.why, "offer 1, transform 1: the encapsulation mode is missing");
	sa_free(&s);
}

static const struct esp_transform ah256 = { ENCR_NONE, 0, INTEG_HMAC_SHA256_128, 0, false, true };
static const struct esp_transform ahg192 = { ENCR_AES_GMAC, 192, INTEG_NONE, 0, false, true };
static const struct esp_transform ah1 = { ENCR_NONE, 0, INTEG_HMAC_SHA1_96, 0, false, true };
static const struct esp_transform gcm128_esn = { ENCR_AES_GCM_16, 128, INTEG_NONE, 0, true, false };

/* Each run of one protocol is a proposal of its own, by preference. */
Test(proposal_esp, esp_and_ah_are_alternatives)
{
	const struct esp_transform t[] = { gcm128, ah256, ahg192, ah1, cbc256 };
	const struct esp_policy p = { .t = t, .n = 5, .encap = ENCAP_TUNNEL, .life_s = 3600 };
	struct sa_msg offer, answer;
	struct esp_choice c, back;

	sa_begin(&offer);
	esp_offer_write(&offer.m, &p, 0x1000);
	sa_end(&offer);
	cr_assert_eq(offer.sa->n_proposals, 3);
	cr_assert_eq(offer.sa->proposals[0].proto, PROTO_ESP);
	cr_assert_eq(offer.sa->proposals[1].proto, PROTO_AH);
	cr_assert_eq(offer.sa->proposals[1].n_transforms, 3);
	cr_assert_eq(offer.sa->proposals[2].proto, PROTO_ESP);
	for (unsigned i = 0; i < 5; i++) { /* each is found where it stands, and the answer fits */
		const struct esp_policy ours = { .t = &t[i], .n = 1, .encap = ENCAP_TUNNEL };
		cr_assert_eq(esp_offer_select(offer.sa, &ours, &c, offer.why, 256), 0, "%s",
			     offer.why);
		cr_expect_eq(c.transform, i);
		cr_expect_eq(c.t.ah, t[i].ah);
		cr_expect_eq(c.t.encr, t[i].encr);
		cr_expect_eq(c.t.integ, t[i].integ);
		sa_begin(&answer);
		answer_write(&answer.m, offer.sa, c.proposal, c.transform, 0x2000);
		sa_end(&answer);
		cr_assert_eq(esp_answer_check(offer.sa, answer.sa, &back, answer.why, 256), 0, "%s",
			     answer.why);
		esp_answer_resolve(&p, &back);
		cr_expect_eq(back.t.ah, t[i].ah);
		cr_expect_eq(back.t.encr, t[i].encr);
		cr_expect_eq(back.t.key_bits, t[i].key_bits);
		cr_expect_eq(back.t.integ, t[i].integ);
		cr_expect_eq(back.spi, 0x2000);
		sa_free(&answer);
	}
	sa_free(&offer);
}

/* RFC 4543 section 9 with erratum 1821: 11 to 13 are GMAC with 128, 192 and 256 bits, both as the transform
 * and as AUTH; there is no Key Length. */
Test(proposal_esp, ah_with_gmac_on_the_wire)
{
	static const struct {
		uint8_t id;
		uint16_t bits;
	} rows[] = { { 11, 128 }, { 12, 192 }, { 13, 256 } };
	struct esp_transform t = ahg192;
	const struct esp_policy p = { .t = &t, .n = 1, .encap = ENCAP_TUNNEL };
	struct sa_msg offer, hand;
	struct esp_choice c;

	for (size_t i = 0; i < 3; i++) {
		t.key_bits = rows[i].bits;
		sa_begin(&offer);
		esp_offer_write(&offer.m, &p, 0x1000);
		sa_end(&offer);
		const struct transform *w = &offer.sa->transforms[0];
		cr_expect_eq(w->id, rows[i].id);
		cr_assert_eq(w->n_attrs, 2);
		cr_expect_eq(w->attr[0].type, IPSEC_MODE);
		cr_expect_eq(w->attr[1].type, IPSEC_AUTH);
		cr_expect_eq(w->attr[1].num, rows[i].id);
		const struct hand_attr attrs[] = { { IPSEC_MODE, 1 }, { IPSEC_AUTH, rows[i].id } };
		hand_sa(&hand, PROTO_AH, rows[i].id, 0x1000, attrs, 2);
		cr_expect_eq(esp_offer_select(hand.sa, &p, &c, hand.why, 256), 0, "%s", hand.why);
		cr_expect_eq(c.t.key_bits, rows[i].bits);
		sa_free(&hand);
		HAND(&hand, PROTO_AH, 3, 0x1000, { IPSEC_MODE, 1 }, { IPSEC_AUTH, 2 });
		cr_expect_eq(esp_offer_select(hand.sa, &p, &c, hand.why, 256), -ENOENT);
		cr_expect(strstr(hand.why, "only AUTH differs: peer HMAC-SHA1-96, ours AES-GMAC"), "%s",
			  hand.why);
		sa_free(&hand);
		sa_free(&offer);
	}
}

/* An answer that takes the ESP proposal's number for AH is not one of our offers. */
Test(proposal_esp, answer_of_the_other_protocol_is_refused)
{
	const struct esp_policy p = { .t = &ah256, .n = 1, .encap = ENCAP_TUNNEL };
	struct sa_msg offer, answer;
	struct esp_choice c;

	sa_begin(&offer);
	esp_offer_write(&offer.m, &p, 0x1000);
	sa_end(&offer);
	HAND(&answer, PROTO_ESP, 5, 0x2000, { IPSEC_MODE, 1 }, { IPSEC_AUTH, 5 });
	cr_expect_eq(esp_answer_check(offer.sa, answer.sa, &c, answer.why, 256), -EBADMSG);
	sa_free(&answer);
	HAND(&answer, PROTO_AH, 5, 0x2000, { IPSEC_MODE, 1 }, { IPSEC_AUTH, 5 });
	cr_expect_eq(esp_answer_check(offer.sa, answer.sa, &c, answer.why, 256), 0, "%s",
		     answer.why);
	sa_free(&answer);
	sa_free(&offer);
}

Test(proposal_esp, ah_that_cannot_be_taken)
{
	static const struct {
		uint8_t id;
		uint16_t auth, bits, mode;
		const char *why;
	} rows[] = {
		{ 5, 2, 0, 1, "contradicts AUTH 2" },
		{ 5, 0, 0, 1, "without AUTH" },
		{ 5, 5, 128, 1, "Key Length is not allowed with AH" },
		{ 9, 9, 0, 1, "AH transform 9 is not known" },
		{ 14, 14, 0, 1, "AH transform 14 is not known" },
		{ 11, 12, 0, 1, "AH transform 11 contradicts AUTH 12" },
		{ 12, 12, 192, 1, "Key Length is not allowed with AH" },
		{ 12, 12, 0, 1, "only AUTH differs: peer AES-GMAC with 192 bits, ours HMAC-SHA256-128" },
		{ 5, 5, 0, 0, "encapsulation mode is missing" },
		{ 3, 2, 0, 1, "only AUTH differs: peer HMAC-SHA1-96, ours HMAC-SHA256-128" },
		{ 5, 5, 0, 2, "only MODE differs: peer asks transport, path needs tunnel" },
	};
	const struct esp_policy p = { .t = &ah256, .n = 1, .encap = ENCAP_TUNNEL };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct hand_attr a[3];
		struct esp_choice c;
		struct sa_msg s;
		unsigned n = 0;
		if (rows[i].mode)
			a[n++] = (struct hand_attr){ IPSEC_MODE, rows[i].mode };
		if (rows[i].auth)
			a[n++] = (struct hand_attr){ IPSEC_AUTH, rows[i].auth };
		if (rows[i].bits)
			a[n++] = (struct hand_attr){ IPSEC_KEY_LENGTH, rows[i].bits };
		hand_sa(&s, PROTO_AH, rows[i].id, 0x1000, a, n);
		cr_expect_eq(esp_offer_select(s.sa, &p, &c, s.why, 256), -ENOENT, "row %zu", i);
		cr_expect(strstr(s.why, rows[i].why), "row %zu: %s", i, s.why);
		sa_free(&s);
	}
}

Test(proposal_esp, protocols_that_differ_are_named)
{
	const struct esp_policy p = { .t = &ah256, .n = 1, .encap = ENCAP_TUNNEL };
	struct esp_choice c;
	struct sa_msg s;

	HAND(&s, PROTO_ESP, 12, 0x1000, { IPSEC_MODE, 1 }, { IPSEC_KEY_LENGTH, 256 },
	     { IPSEC_AUTH, 5 });
	cr_expect_eq(esp_offer_select(s.sa, &p, &c, s.why, 256), -ENOENT);
	cr_expect(strstr(s.why, "only PROTOCOL differs: peer ESP, ours AH"), "%s", s.why);
	sa_free(&s);
}

/* RFC 3948 has no encapsulation for AH: behind a NAT it is neither offered nor taken. */
Test(proposal_esp, ah_never_goes_through_a_nat)
{
	const struct esp_transform t[] = { ah256, gcm128 };
	struct esp_policy p = { .t = t, .n = 2, .encap = ENCAP_UDP_TUNNEL };
	struct esp_choice c;
	struct sa_msg s;

	sa_begin(&s);
	esp_offer_write(&s.m, &p, 0x1000);
	sa_end(&s);
	cr_expect_eq(s.sa->n_proposals, 1);
	cr_expect_eq(s.sa->proposals[0].proto, PROTO_ESP);
	cr_expect_eq(esp_offer_select(s.sa, &p, &c, s.why, 256), 0);
	cr_expect(!c.t.ah);
	c.transform = 0;
	esp_answer_resolve(&p, &c);
	cr_expect_eq(c.t.integ, INTEG_NONE, "the first that was offered is not the first of ours");
	sa_free(&s);
	HAND(&s, PROTO_AH, 5, 0x1000, { IPSEC_MODE, 1 }, { IPSEC_AUTH, 5 });
	p.n = 1;
	cr_expect_eq(esp_offer_select(s.sa, &p, &c, s.why, 256), -ENOENT);
	cr_expect(strstr(s.why, "cannot pass a NAT"), "%s", s.why);
	cr_expect(!esp_offer_possible(&p));
	sa_free(&s);
}

/* RFC 4304: with and without are two transforms; which it is, our order says. */
Test(proposal_esp, esn_is_negotiated)
{
	const struct esp_transform t[] = { gcm128_esn, gcm128 };
	const struct esp_policy both = { .t = t, .n = 2, .encap = ENCAP_TUNNEL },
				yes = { .t = t, .n = 1, .encap = ENCAP_TUNNEL },
				no = { .t = t + 1, .n = 1, .encap = ENCAP_TUNNEL };
	struct esp_choice c;
	struct sa_msg s;

	sa_begin(&s);
	esp_offer_write(&s.m, &both, 0x1000);
	sa_end(&s);
	cr_assert_eq(s.sa->n_transforms, 2);
	cr_assert_not_null(transform_attr(&s.sa->transforms[0], IPSEC_ESN));
	cr_assert_null(transform_attr(&s.sa->transforms[1], IPSEC_ESN));
	cr_expect(esp_offer_select(s.sa, &both, &c, s.why, 256) == 0 && c.t.esn);
	cr_expect(esp_offer_select(s.sa, &no, &c, s.why, 256) == 0 && !c.t.esn);
	sa_free(&s);
	sa_begin(&s);
	esp_offer_write(&s.m, &no, 0x1000);
	sa_end(&s);
	cr_expect_eq(esp_offer_select(s.sa, &yes, &c, s.why, 256), -ENOENT);
	cr_expect(strstr(s.why, "only ESN differs: peer no, ours yes"), "%s", s.why);
	sa_free(&s);
}

static void put_many(struct sa_msg *s, unsigned n, unsigned good)
{
	sa_begin(s);
	msg_open(&s->m, PL_SA);
	msg_put_u32(&s->m, DOI_IPSEC);
	msg_put_u32(&s->m, SIT_IDENTITY_ONLY);
	for (unsigned i = 0; i < n; i++) {
		const uint8_t raw[28] = { i + 1 < n ? PL_PROPOSAL : 0, 0, 0, 28, (uint8_t)(i + 1),
					  PROTO_ESP, 4, 1, 0, 0, 0x10, 0, 0, 0, 0, 16, 1,
					  i == good ? 20 : 7, 0, 0, 0x80, IPSEC_MODE, 0, 1, 0x80,
					  IPSEC_KEY_LENGTH, 0, 128 };
		msg_put(&s->m, raw, sizeof(raw));
	}
	msg_close(&s->m);
	sa_end(s);
}

/* Some peers offer every combination: long offers are looked at as far as they fit. */
Test(proposal_esp, long_offers_are_not_dropped_whole)
{
	const struct esp_policy p = { .t = &gcm128, .n = 1, .encap = ENCAP_TUNNEL };
	struct esp_choice c;
	struct sa_msg s;

	put_many(&s, 40, 39);
	cr_expect_eq(esp_offer_select(s.sa, &p, &c, s.why, 256), 0, "%s", s.why);
	cr_expect_eq(c.proposal, 39);
	sa_free(&s);
	put_many(&s, 70, IKE_MAX_PROPOSALS - 1);
	cr_expect_eq(esp_offer_select(s.sa, &p, &c, s.why, 256), 0, "%s", s.why);
	sa_free(&s);
	put_many(&s, 70, IKE_MAX_PROPOSALS);
	cr_expect_eq(esp_offer_select(s.sa, &p, &c, s.why, 256), -ENOENT, "beyond the limit");
	cr_expect(strstr(s.why, "longer than"), "%s", s.why);
	sa_free(&s);
}

Test(proposal_esp, phase2_round_trip)
{
	const struct esp_transform t[] = { gcm128, cbc256,
					   { ENCR_AES_GCM_16, 256, INTEG_NONE, 14, false, false } };
	const struct esp_policy p = { .t = t, .n = 3, .encap = ENCAP_UDP_TUNNEL, .life_s = 3600,
				      .life_kb = 4194304 };
	struct sa_msg offer, answer;
	struct esp_choice c;

	sa_begin(&offer);
	esp_offer_write(&offer.m, &p, 0xc1886c8e);
	sa_end(&offer);
	cr_assert_eq(offer.sa->n_transforms, 2, "only transforms of the offered group");

	const struct esp_policy peer = { .t = &cbc256, .n = 1, .encap = ENCAP_UDP_TUNNEL };
	cr_assert_eq(esp_offer_select(offer.sa, &peer, &c, offer.why, 256), 0, "%s", offer.why);
	cr_assert_eq(c.spi, 0xc1886c8e);
	cr_assert_eq(c.encap, ENCAP_UDP_TUNNEL);
	cr_assert_eq(c.life_s, 3600);
	cr_assert_eq(c.life_kb, 4194304);

	sa_begin(&answer);
	answer_write(&answer.m, offer.sa, c.proposal, c.transform, 0xfa6183fb);
	sa_end(&answer);
	cr_assert_eq(esp_answer_check(offer.sa, answer.sa, &c, offer.why, 256), 0, "%s", offer.why);
	cr_assert_eq(c.spi, 0xfa6183fb);
	cr_assert_eq(c.t.encr, ENCR_AES_CBC);
	cr_assert_eq(c.t.key_bits, 256);
	cr_assert_eq(c.t.integ, INTEG_HMAC_SHA256_128);
	sa_free(&offer);
	sa_free(&answer);
}

Test(proposal_esp, pfs_follows_the_initiator_but_is_not_given_up)
{
	struct esp_transform pfs = gcm128;
	const struct esp_policy with = { .t = &pfs, .n = 1, .encap = 1, .group = 14 };
	const struct esp_policy without = { .t = &gcm128, .n = 1, .encap = 1 };
	struct sa_msg offer;
	struct esp_choice c;

	pfs.group = 14;
	sa_begin(&offer);
	esp_offer_write(&offer.m, &with, 0x1000);
	sa_end(&offer);
	cr_assert_eq(esp_offer_select(offer.sa, &without, &c, offer.why, 256), 0);
	cr_assert_eq(c.t.group, 14);
	sa_free(&offer);

	sa_begin(&offer);
	esp_offer_write(&offer.m, &without, 0x1000);
	sa_end(&offer);
	cr_assert_eq(esp_offer_select(offer.sa, &with, &c, offer.why, 256), -ENOENT);
	cr_assert(strstr(offer.why, "only GROUP differs: peer none, ours modp2048"), "%s", offer.why);
	sa_free(&offer);

	HAND(&offer, PROTO_ESP, 20, 0x1000, { IPSEC_MODE, 1 }, { IPSEC_KEY_LENGTH, 128 },
	     { IPSEC_GROUP, 27 });
	cr_assert_eq(esp_offer_select(offer.sa, &without, &c, offer.why, 256), -ENOENT);
	cr_assert(strstr(offer.why, "peer group 27, ours none"), "%s", offer.why);
	sa_free(&offer);
}

Test(proposal_esp, mode_must_fit_the_path)
{
	static const struct {
		uint16_t peer, path;
		const char *why; /* NULL: accepted */
	} cases[] = {
		{ 1, ENCAP_TUNNEL, NULL },
		{ 3, ENCAP_UDP_TUNNEL, NULL },
		{ 61443, ENCAP_UDP_TUNNEL, NULL },
		{ 3, ENCAP_UDP_TUNNEL_DRAFT, NULL },
		{ 61444, ENCAP_UDP_TRANSPORT, NULL },
		{ 2, ENCAP_TUNNEL, "peer asks transport, path needs tunnel" },
		{ 1, ENCAP_UDP_TUNNEL, "peer asks tunnel, path needs UDP-encapsulated tunnel" },
		{ 61444, ENCAP_UDP_TUNNEL, "peer asks UDP-encapsulated transport, path needs UDP" },
		{ 3, ENCAP_TUNNEL, "peer asks UDP-encapsulated tunnel, path needs tunnel" },
		{ 77, ENCAP_TUNNEL, "peer asks mode 77, path needs tunnel" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct hand_attr a[] = { { IPSEC_MODE, cases[i].peer },
					       { IPSEC_KEY_LENGTH, 128 } };
		const struct esp_policy p = { .t = &gcm128, .n = 1, .encap = cases[i].path };
		struct esp_choice c;
		struct sa_msg s;
		hand_sa(&s, PROTO_ESP, 20, 0x1000, a, 2);
		int rc = esp_offer_select(s.sa, &p, &c, s.why, 256);
		cr_assert_eq(rc, cases[i].why ? -ENOENT : 0, "case %zu: %s", i, s.why);
		if (cases[i].why)
			cr_assert(strstr(s.why, cases[i].why), "%s", s.why);
		else
			cr_assert_eq(c.encap, cases[i].peer);
		sa_free(&s);
	}
}

/* The number on the wire is the same for both truncations of SHA-256. */
Test(proposal_esp, sha256_at_96_bits_when_configured)
{
	struct esp_transform t = { ENCR_AES_CBC, 128, INTEG_HMAC_SHA256_96, 0, false, false };
	const struct esp_policy p = { .t = &t, .n = 1, .encap = 1 };
	struct sa_msg offer, answer;
	struct esp_choice c;

	sa_begin(&offer);
	esp_offer_write(&offer.m, &p, 0x1000);
	sa_end(&offer);
	cr_assert_eq(esp_offer_select(offer.sa, &p, &c, offer.why, 256), 0, "%s", offer.why);
	cr_assert_eq(c.t.integ, INTEG_HMAC_SHA256_96);
	sa_begin(&answer);
	answer_write(&answer.m, offer.sa, 0, 0, 0x2000);
	sa_end(&answer);
	cr_assert_eq(esp_answer_check(offer.sa, answer.sa, &c, offer.why, 256), 0);
	cr_assert_eq(c.t.integ, INTEG_HMAC_SHA256_128);
	esp_answer_resolve(&p, &c);
	cr_assert_eq(c.t.integ, INTEG_HMAC_SHA256_96);
	sa_free(&offer);
	sa_free(&answer);
}

Test(proposal_esp, esn_must_agree)
{
	struct esp_transform esn = gcm128;
	const struct esp_policy with = { .t = &esn, .n = 1, .encap = 1 };
	const struct esp_policy without = { .t = &gcm128, .n = 1, .encap = 1 };
	struct sa_msg s;
	struct esp_choice c;

	esn.esn = true;
	sa_begin(&s);
	esp_offer_write(&s.m, &with, 0x1000);
	sa_end(&s);
	cr_assert_eq(esp_offer_select(s.sa, &with, &c, s.why, 256), 0);
	cr_assert(c.t.esn);
	cr_assert_eq(esp_offer_select(s.sa, &without, &c, s.why, 256), -ENOENT);
	cr_assert(strstr(s.why, "only ESN differs: peer yes, ours no"), "%s", s.why);
	sa_free(&s);
}

Test(proposal_esp, no_esp_without_integrity)
{
	const struct esp_policy p = { .t = &cbc256, .n = 1, .encap = 1 };
	struct sa_msg s;
	struct esp_choice c;

	HAND(&s, PROTO_ESP, 12, 0x1000, { IPSEC_MODE, 1 }, { IPSEC_KEY_LENGTH, 256 });
	cr_assert_eq(esp_offer_select(s.sa, &p, &c, s.why, 256), -ENOENT);
	cr_assert(strstr(s.why, "AES-CBC comes without integrity"), "%s", s.why);
	sa_free(&s);
	HAND(&s, PROTO_ESP, 20, 0x1000, { IPSEC_MODE, 1 }, { IPSEC_KEY_LENGTH, 128 },
	     { IPSEC_AUTH, 5 });
	cr_assert_eq(esp_offer_select(s.sa, &p, &c, s.why, 256), -ENOENT);
	cr_assert(strstr(s.why, "AUTH is not allowed with AES-GCM-16"), "%s", s.why);
	sa_free(&s);
}

Test(proposal_esp, reserved_or_odd_spis_are_refused)
{
	const struct esp_policy p = { .t = &gcm128, .n = 1, .encap = 1 };
	struct sa_msg s;
	struct esp_choice c;

	HAND(&s, PROTO_ESP, 20, 255, { IPSEC_MODE, 1 }, { IPSEC_KEY_LENGTH, 128 });
	cr_assert_eq(esp_offer_select(s.sa, &p, &c, s.why, 256), -ENOENT);
	cr_assert(strstr(s.why, "SPI 255 is reserved"), "%s", s.why);
	sa_free(&s);
	HAND(&s, PROTO_ESP, 20, 0, { IPSEC_MODE, 1 }, { IPSEC_KEY_LENGTH, 128 });
	cr_assert_eq(esp_offer_select(s.sa, &p, &c, s.why, 256), -ENOENT);
	cr_assert(strstr(s.why, "SPI has 0 bytes"), "%s", s.why);
	sa_free(&s);
}

/* ESP and AH under one number: both are wanted at once. Alone, the ESP part would be acceptable. */
Test(proposal_esp, bundles_are_parsed_but_not_chosen)
{
	const struct esp_policy p = { .t = &gcm128, .n = 1, .encap = 1 };
	uint8_t body[8 + 28 + 28] = {
		0, 0, 0, 1, 0, 0, 0, 1,
		2, 0, 0, 28, 1, PROTO_ESP, 4, 1, 0, 0, 0x10, 0,
		0, 0, 0, 16, 1, 20, 0, 0, 0x80, 4, 0, 1, 0x80, 6, 0, 128,
		0, 0, 0, 28, 1, PROTO_AH, 4, 1, 0, 0, 0x20, 0,
		0, 0, 0, 16, 1, 5, 0, 0, 0x80, 4, 0, 1, 0x80, 5, 0, 5,
	};
	struct sa_payload *sa = calloc(1, sizeof(*sa));
	struct esp_choice c;
	char text[256];
	const char *why = "";

	cr_assert_eq(sa_payload_parse((struct view){ body, sizeof(body) }, sa, &why), 0, "%s", why);
	cr_assert_eq(sa->n_proposals, 2);
	cr_assert_eq(esp_offer_select(sa, &p, &c, text, sizeof(text)), -ENOENT);
	cr_assert(strstr(text, "several protocols at once"), "%s", text);
	body[36 + 4] = 2; /* a number of its own: now an alternative */
	cr_assert_eq(sa_payload_parse((struct view){ body, sizeof(body) }, sa, &why), 0, "%s", why);
	cr_assert_eq(esp_offer_select(sa, &p, &c, text, sizeof(text)), 0, "%s", text);
	free(sa);
}

Test(proposal_esp, nothing_to_offer_is_an_error)
{
	const struct esp_policy p = { .t = &gcm128, .n = 1, .encap = 1, .group = 14 };
	struct sa_msg s;

	sa_begin(&s);
	esp_offer_write(&s.m, &p, 0x1000);
	cr_assert_eq(msg_finish(&s.m), -ENOSPC);
}
