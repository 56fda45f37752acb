/* Offers, choices and answers of phase 1. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sa_msg.h"

static const struct ike_transform aes256 = { ENCR_AES_CBC, 256, HASH_SHA256, 14 };
static const struct ike_transform aes128 = { ENCR_AES_CBC, 128, HASH_SHA256, 14 };
static const struct ike_transform tdes = { ENCR_3DES, 192, HASH_SHA1, 2 };

Test(proposal, phase1_round_trip)
{
	const struct ike_transform t[] = { aes256, aes128, tdes };
	struct sa_msg offer, answer;
	struct ike_choice c;

	sa_begin(&offer);
	ike_offer_write(&offer.m, t, 3, AUTH_PSK, 14400, 5000000000);
	sa_end(&offer);
	cr_assert_eq(offer.sa->n_transforms, 3);

	/* our order decides, not the peer's */
	const struct ike_transform ours[] = { tdes, aes256 };
	cr_assert_eq(ike_offer_select(offer.sa, ours, 2, AUTH_PSK, &c, offer.why, 256), 0);
	cr_assert_eq(c.transform, 2);
	cr_assert_eq(c.t.encr, ENCR_3DES);
	cr_assert_eq(c.t.key_bits, 192);
	cr_assert_eq(c.life_s, 14400);
	cr_assert_eq(c.life_kb, 5000000000);

	sa_begin(&answer);
	answer_write(&answer.m, offer.sa, c.proposal, c.transform, 0);
	sa_end(&answer);
	memset(&c, 0, sizeof(c));
	cr_assert_eq(ike_answer_check(offer.sa, answer.sa, &c, offer.why, 256), 0, "%s", offer.why);
	cr_assert_eq(c.transform, 2);
	cr_assert_eq(c.t.encr, ENCR_3DES);
	cr_assert_eq(c.auth, AUTH_PSK);
	sa_free(&offer);
	sa_free(&answer);
}

/* Kerberos has the number of XAuth with a pre-shared key, and a name in every transform. */
Test(proposal, kerberos_names_both_sides)
{
	const struct ike_transform t[] = { aes256, aes128 };
	const struct view i = { (const uint8_t *)"i\0", 2 }, r = { (const uint8_t *)"r\0s\0", 4 };
	struct sa_msg offer, answer;
	struct ike_choice c;

	sa_begin(&offer);
	ike_offer_write_named(&offer.m, t, 2, AUTH_KERBEROS, 14400, 5000000000, i);
	sa_end(&offer);
	cr_assert_eq(transform_attr(&offer.sa->transforms[1], ATTR_AUTH)->num, 65001);
	cr_assert_eq(ike_offer_select(offer.sa, t, 2, AUTH_XAUTH_INIT_PSK, &c, offer.why, 256),
		     -ENOENT);
	cr_assert_eq(ike_offer_select(offer.sa, t + 1, 1, AUTH_KERBEROS, &c, offer.why, 256), 0);
	cr_assert_eq(c.auth, AUTH_KERBEROS);
	sa_begin(&answer);
	answer_write_named(&answer.m, offer.sa, c.proposal, c.transform, r);
	sa_end(&answer);
	const struct attr *name = transform_attr(&answer.sa->transforms[0], ATTR_GSS_NAME);
	cr_assert(name && name->value.len == r.len && memcmp(name->value.p, r.p, r.len) == 0);
	cr_assert_eq(answer.sa->transforms[0].n_attrs, offer.sa->transforms[1].n_attrs);
	cr_assert_eq(ike_answer_check(offer.sa, answer.sa, &c, offer.why, 256), 0, "%s", offer.why);
	cr_assert_eq(c.auth, AUTH_KERBEROS);
	cr_assert_eq(c.life_kb, 5000000000);
	sa_free(&offer);
	sa_free(&answer);

	/* without a name it is XAuth */
	sa_begin(&offer);
	ike_offer_write(&offer.m, t, 2, AUTH_XAUTH_INIT_PSK, 14400, 0);
	sa_end(&offer);
	cr_assert_eq(ike_offer_select(offer.sa, t, 2, AUTH_KERBEROS, &c, offer.why, 256), -ENOENT);
	cr_assert_eq(ike_offer_select(offer.sa, t, 2, AUTH_XAUTH_INIT_PSK, &c, offer.why, 256), 0);
	sa_free(&offer);
}

Test(proposal, answer_is_the_offer_byte_for_byte)
{
	const struct ike_transform t[] = { aes256, aes128 };
	struct sa_msg offer, answer;
	struct ike_choice c;

	sa_begin(&offer);
	ike_offer_write(&offer.m, t, 2, AUTH_PSK, 86400, 0);
	sa_end(&offer);
	sa_begin(&answer);
	answer_write(&answer.m, offer.sa, 0, 1, 0);
	sa_end(&answer);
	const struct view a = answer.sa->transforms[0].raw, o = offer.sa->transforms[1].raw;
	cr_assert_eq(a.len, o.len);
	cr_assert_arr_eq(a.p, o.p, a.len);

	/* any changed byte of number, id or attributes makes it another transform */
	for (size_t i = 4; i < a.len; i++) {
		if (i == 6 || i == 7) /* reserved */
			continue;
		size_t at = (size_t)(a.p - answer.buf) + i;
		const char *why;
		answer.buf[at] ^= 1;
		int rc = sa_payload_parse(answer.sa->body, answer.sa, &why);
		if (rc == 0)
			rc = ike_answer_check(offer.sa, answer.sa, &c, answer.why, 256);
		cr_assert_eq(rc, -EBADMSG, "byte %zu", i);
		answer.buf[at] ^= 1;
	}
	sa_free(&offer);
	sa_free(&answer);
}

/* RFC 2409 appendix A lets the responder do that. */
Test(proposal, answer_may_encode_a_duration_otherwise)
{
	static const uint8_t variable[] = { 0, 12, 0, 4, 0, 0, 0x0e, 0x10 }; /* the last attribute */
	struct sa_payload *sa = calloc(1, sizeof(*sa));
	uint8_t body[128];
	struct sa_msg offer;
	struct ike_choice c;
	const char *why = "";

	sa_begin(&offer);
	ike_offer_write(&offer.m, &aes256, 1, AUTH_PSK, 3600, 0);
	sa_end(&offer);
	memcpy(body, offer.sa->body.p, offer.sa->body.len - 4);
	memcpy(body + offer.sa->body.len - 4, variable, sizeof(variable));
	body[11] += 4;
	body[19] += 4;
	cr_assert_eq(sa_payload_parse((struct view){ body, offer.sa->body.len + 4 }, sa, &why), 0, "%s",
		     why);
	cr_assert_eq(ike_answer_check(offer.sa, sa, &c, offer.why, 256), 0, "%s", offer.why);
	cr_assert_eq(c.life_s, 3600);
	body[offer.sa->body.len + 3] ^= 1;
	cr_assert_eq(sa_payload_parse((struct view){ body, offer.sa->body.len + 4 }, sa, &why), 0);
	cr_assert_eq(ike_answer_check(offer.sa, sa, &c, offer.why, 256), -EBADMSG);
	free(sa);
	sa_free(&offer);
}

Test(proposal, answer_with_two_transforms_is_refused)
{
	const struct ike_transform t[] = { aes256, aes128 };
	struct sa_msg offer;
	struct ike_choice c;

	sa_begin(&offer);
	ike_offer_write(&offer.m, t, 2, AUTH_PSK, 86400, 0);
	sa_end(&offer);
	cr_assert_eq(ike_answer_check(offer.sa, offer.sa, &c, offer.why, 256), -EBADMSG);
	cr_assert(strstr(offer.why, "2 transforms"), "%s", offer.why);
	sa_free(&offer);
}

Test(proposal, closest_offer_is_named)
{
	const struct ike_transform t[] = { tdes, { ENCR_AES_CBC, 128, HASH_SHA1, 2 },
					   { ENCR_AES_CBC, 256, HASH_SHA256, 2 } };
	struct sa_msg offer;
	struct ike_choice c;

	sa_begin(&offer);
	ike_offer_write(&offer.m, t, 3, AUTH_PSK, 86400, 0);
	sa_end(&offer);
	cr_assert_eq(ike_offer_select(offer.sa, &aes256, 1, AUTH_PSK, &c, offer.why, 256), -ENOENT);
	cr_assert_str_eq(offer.why, "offer 1, transform 3: only GROUP differs: peer modp1024, ours "
				    "modp2048");
	cr_assert_eq(ike_offer_select(offer.sa, &t[1], 1, AUTH_RSA_SIG, &c, offer.why, 256), -ENOENT);
	cr_assert_str_eq(offer.why, "offer 1, transform 2: only AUTH differs: peer pre-shared key, "
				    "ours RSA signatures");
	cr_assert_eq(ike_offer_select(offer.sa, &aes128, 1, AUTH_PSK, &c, offer.why, 256), -ENOENT);
	cr_assert_str_eq(offer.why, "offer 1, transform 2: HASH, GROUP differ: peer sha1, modp1024, "
				    "ours sha256, modp2048");
	cr_assert_eq(ike_offer_select(offer.sa, t, 0, AUTH_PSK, &c, offer.why, 256), -ENOENT);
	sa_free(&offer);
}

Test(proposal, unknown_numbers_are_still_named)
{
	struct sa_msg s;
	struct ike_choice c;

	HAND(&s, PROTO_ISAKMP, 1, 0, { ATTR_ENCR, 65001 }, { ATTR_HASH, 4 }, { ATTR_GROUP, 14 },
	     { ATTR_AUTH, 1 });
	cr_assert_eq(ike_offer_select(s.sa, &aes256, 1, AUTH_PSK, &c, s.why, 256), -ENOENT);
	cr_assert(strstr(s.why, "only ENCR differs: peer encryption 65001"), "%s", s.why);
	sa_free(&s);
}

/* Ways in which a phase 1 transform is not acceptable whatever we have. */
Test(proposal, phase1_transforms_that_are_never_acceptable)
{
	static const struct {
		struct hand_attr a[6];
		const char *why;
	} cases[] = {
		{ { { ATTR_ENCR, 7 }, { ATTR_HASH, 4 }, { ATTR_GROUP, 14 }, { ATTR_AUTH, 1 },
		    { ATTR_KEY_LENGTH, 256 }, { ATTR_PRF, 1 } }, "attribute 13 is not known" },
		{ { { ATTR_ENCR, 7 }, { ATTR_HASH, 4 }, { ATTR_GROUP, 14 }, { ATTR_AUTH, 1 },
		    { ATTR_KEY_LENGTH, 256 }, { ATTR_HASH, 4 } }, "HASH is given twice" },
		{ { { ATTR_ENCR, 7 }, { ATTR_HASH, 4 }, { ATTR_GROUP, 14 }, { ATTR_AUTH, 1 },
		    { ATTR_KEY_LENGTH, 256 }, { ATTR_LIFE_DURATION, 60 } }, "no life type" },
		{ { { ATTR_ENCR, 7 }, { ATTR_HASH, 4 }, { ATTR_GROUP, 14 }, { ATTR_AUTH, 1 },
		    { ATTR_KEY_LENGTH, 256 }, { ATTR_LIFE_TYPE, 3 } }, "neither seconds" },
		{ { { ATTR_ENCR, 7 }, { ATTR_HASH, 4 }, { ATTR_LIFE_TYPE, 1 }, { ATTR_AUTH, 1 },
		    { ATTR_KEY_LENGTH, 256 }, { ATTR_LIFE_DURATION, 60 } }, "GROUP is missing" },
		{ { { ATTR_ENCR, 5 }, { ATTR_HASH, 2 }, { ATTR_GROUP, 2 }, { ATTR_AUTH, 1 },
		    { ATTR_KEY_LENGTH, 192 }, { ATTR_LIFE_TYPE, 1 } }, "Key Length is not allowed" },
	};
	const struct ike_transform ours[] = { aes256, tdes };
	struct ike_choice c;
	struct sa_msg s;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		hand_sa(&s, PROTO_ISAKMP, 1, 0, cases[i].a, 6);
		cr_assert_eq(ike_offer_select(s.sa, ours, 2, AUTH_PSK, &c, s.why, 256), -ENOENT);
		cr_assert(strstr(s.why, cases[i].why), "%s", s.why);
		sa_free(&s);
	}
}

Test(pitfall, p06_aes_without_key_length_means_128)
{
	const struct ike_transform ours[] = { aes256, aes128 };
	struct ike_choice c;
	struct sa_msg s;

	HAND(&s, PROTO_ISAKMP, 1, 0, { ATTR_ENCR, 7 }, { ATTR_HASH, 4 }, { ATTR_GROUP, 14 },
	     { ATTR_AUTH, 1 });
	cr_assert_eq(ike_offer_select(s.sa, ours, 2, AUTH_PSK, &c, s.why, 256), 0, "%s", s.why);
	cr_assert_eq(c.t.key_bits, 128);
	cr_assert_eq(c.life_s, 0);
	sa_free(&s);
}

Test(pitfall, p08_phase1_spi_of_any_length_is_legal)
{
	static const uint8_t transform[] = { 0, 0, 0, 28, 1, 1, 0, 0, 0x80, 1, 0, 7, 0x80, 2, 0, 4,
					     0x80, 3, 0, 1, 0x80, 4, 0, 14, 0x80, 14, 1, 0 };

	for (uint8_t spi_len = 0; spi_len <= 17; spi_len++) {
		uint8_t body[8 + 8 + 17 + sizeof(transform)] = { 0, 0, 0, 1, 0, 0, 0, 1 };
		const uint8_t head[] = { 0, 0, 0, (uint8_t)(8 + spi_len + sizeof(transform)), 1,
					 PROTO_ISAKMP, spi_len, 1 };
		struct sa_payload *sa = calloc(1, sizeof(*sa));
		struct ike_choice c;
		char why[256];
		const char *bad;

		memcpy(body + 8, head, sizeof(head));
		memset(body + 16, 0xee, spi_len);
		memcpy(body + 16 + spi_len, transform, sizeof(transform));
		const struct view v = { body, 16U + spi_len + sizeof(transform) };
		if (spi_len > 16) {
			cr_assert_eq(sa_payload_parse(v, sa, &bad), -EBADMSG);
		} else {
			cr_assert_eq(sa_payload_parse(v, sa, &bad), 0, "%s", bad);
			cr_assert_eq(ike_offer_select(sa, &aes256, 1, AUTH_PSK, &c, why, 256), 0);
		}
		free(sa);
	}
}

/* Seconds and kilobytes, basic and variable; zero is none; the shorter of two holds. */
Test(proposal, lifetimes_in_every_shape)
{
	static const uint8_t attrs[] = {
		0x80, 1, 0, 7, 0x80, 14, 1, 0, 0x80, 2, 0, 4, 0x80, 3, 0, 1, 0x80, 4, 0, 14,
		0x80, 11, 0, 1, 0, 12, 0, 4, 0, 1, 0x51, 0x80,	     /* 86400 s */
		0x80, 11, 0, 1, 0x80, 12, 0x0e, 0x10,		     /* 3600 s */
		0x80, 11, 0, 2, 0, 12, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, /* 2^32 kB */
		0x80, 11, 0, 2, 0, 12, 0, 0,			     /* 0 kB: none */
	};
	uint8_t body[24 + sizeof(attrs)] = {
		0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, (uint8_t)(16 + sizeof(attrs)), 1, 1, 0, 1,
		0, 0, 0, (uint8_t)(8 + sizeof(attrs)), 1, 1, 0, 0,
	};
	struct sa_payload *sa = calloc(1, sizeof(*sa));
	struct ike_choice c;
	char text[256];
	const char *why = "";

	memcpy(body + 24, attrs, sizeof(attrs));
	cr_assert_eq(sa_payload_parse((struct view){ body, sizeof(body) }, sa, &why), 0, "%s", why);
	cr_assert_eq(ike_offer_select(sa, &aes256, 1, AUTH_PSK, &c, text, sizeof(text)), 0, "%s", text);
	cr_assert_eq(c.life_s, 3600);
	cr_assert_eq(c.life_kb, 1ULL << 32);
	free(sa);
}

Test(proposal, nothing_to_offer_is_an_error)
{
	struct sa_msg s;

	sa_begin(&s);
	ike_offer_write(&s.m, NULL, 0, AUTH_PSK, 1, 0);
	cr_assert_eq(msg_finish(&s.m), -ENOSPC);
}
