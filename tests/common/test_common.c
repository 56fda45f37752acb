/* Addresses, selectors and the algorithm table. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "addr.h"
#include "alg.h"

Test(addr, ranges_print_as_written)
{
	static const char *const same[] = { "10.1.0.0/24", "10.1.2.3/32", "0.0.0.0/0",
					    "10.1.0.1-10.1.0.9", "2001:db8::/32" };
	char buf[RANGE_STR_LEN];

	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		struct ip_range r;
		cr_assert_eq(ip_range_parse(same[i], &r), 0, "%s", same[i]);
		cr_assert_str_eq(ip_range_str(&r, buf, sizeof(buf)), same[i]);
	}
}

Test(addr, bad_text_is_refused)
{
	static const struct {
		const char *text;
		int rc;
	} bad[] = {
		{ "10.1.0.0/33", -EINVAL },   { "10.1.0.0/", -EINVAL },	   { "10.1.0.1/24", -EDOM },
		{ "10.1.0/24", -EINVAL },     { "", -EINVAL },		   { "10.1.0.0/2x", -EINVAL },
		{ "10.2.0.0-10.1.0.0", -EINVAL }, { "10.1.0.0-::1", -EINVAL }, { "::/129", -EINVAL },
	};
	struct ip_range r;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(ip_range_parse(bad[i].text, &r), bad[i].rc, "%s", bad[i].text);
}

Test(addr, selectors_as_text)
{
	struct selector s = { .local = { ip_addr_v4(0x0a010000), ip_addr_v4(0x0a0100ff) },
			      .remote = { ip_addr_v4(0x0a020001), ip_addr_v4(0x0a020009) } };
	char buf[SELECTOR_STR_LEN];

	cr_expect_str_eq(selector_str(&s, buf, sizeof(buf)), "10.1.0.0/24 === 10.2.0.1-10.2.0.9");
	s.proto = 6;
	cr_expect_str_eq(selector_str(&s, buf, sizeof(buf)), "10.1.0.0/24 === 10.2.0.1-10.2.0.9 [tcp]");
	s.remote_port = 443;
	cr_expect_str_eq(selector_str(&s, buf, sizeof(buf)),
			 "10.1.0.0/24 === 10.2.0.1-10.2.0.9 [tcp/any === 443]");
	s.local_port = 65535;
	s.proto = 132;
	cr_expect_str_eq(selector_str(&s, buf, sizeof(buf)),
			 "10.1.0.0/24 === 10.2.0.1-10.2.0.9 [132/65535 === 443]");
}

Test(addr, selector_containment)
{
	struct selector wide = { 0 }, narrow;

	ip_range_parse("10.1.0.0/16", &wide.local);
	ip_range_parse("10.2.0.0/16", &wide.remote);
	narrow = wide;
	ip_range_parse("10.1.3.0/24", &narrow.local);
	narrow.proto = 6;
	narrow.remote_port = 443;
	cr_assert(selector_contains(&wide, &narrow));
	cr_assert_not(selector_contains(&narrow, &wide));
	wide.proto = 17;
	cr_assert_not(selector_contains(&wide, &narrow));
}

Test(alg, phase1_proposals)
{
	struct ike_transform t[8];
	char why[256], buf[TRANSFORM_STR_LEN];
	size_t n = 0;

	cr_assert_eq(ike_proposal_parse("aes256-aes128-sha256-modp2048", t, 8, &n, why, sizeof(why)), 0);
	cr_assert_eq(n, 2);
	cr_assert_str_eq(ike_transform_str(&t[0], buf, sizeof(buf)), "aes256-sha256-modp2048");
	cr_assert_str_eq(ike_transform_str(&t[1], buf, sizeof(buf)), "aes128-sha256-modp2048");
	cr_assert_null(ike_transform_weak(&t[0], why, sizeof(why)));

	n = 0;
	cr_assert_eq(ike_proposal_parse("aes128gcm16-sha256-modp2048", t, 8, &n, why, sizeof(why)), -EINVAL);
	cr_assert(strstr(why, "phase 1"), "%s", why);
	cr_assert_eq(ike_proposal_parse("aes256-modp2048", t, 8, &n, why, sizeof(why)), -EINVAL);
	cr_assert_eq(ike_proposal_parse("aes256-sha256-modp999", t, 8, &n, why, sizeof(why)), -EINVAL);
	cr_assert_eq(ike_proposal_parse("3des-md5-modp1024", t, 8, &n, why, sizeof(why)), 0);
	cr_assert_not_null(ike_transform_weak(&t[0], why, sizeof(why)));
}

/* What cannot be had in IKEv1, or is not built, is refused with the reason and what to take. */
Test(alg, refused_with_the_reason_and_the_alternative)
{
	static const struct {
		const char *text, *why, *instead;
		bool phase1;
	} rows[] = {
		{ "aes256gcm16-sha256-modp2048", "no phase 1 number", "aes256 with a hash", true },
		{ "aes256ctr-sha256-modp2048", "no phase 1 number", "aes256 with a hash", true },
		{ "null-sha256-modp2048", "no phase 1 number", "aes256 with a hash", true },
		{ "ah-sha256-modp2048", "not to phase 1", "children", true },
		{ "aes256-sha256_96-modp2048", "truncation", "sha256", true },
		{ "aes256-prfsha256-sha256-modp2048", "PRF is the HMAC", "leave it out", true },
		{ "aes256-sha256-curve448", "no number for Curve448", "x25519", true },
		{ "aes256-sha256-ecp192", "too small", "ecp256", true },
		{ "chacha20poly1305", "no number for ChaCha20", "aes256gcm16", false },
		{ "aes256ccm16", "AES-CCM", "aes256gcm16", false },
		{ "blowfish128-sha1", "64-bit blocks", "aes128", false },
		{ "aes128-aesxcbc", "AES-XCBC", "sha256", false },
		{ "ah-aes128-sha256", "AH does not encrypt", "leave 'ah' out", false },
		{ "ah", "needs an integrity", "ah-sha256", false },
		{ "ah-aes128gmac-aes128gcm16", "AH does not encrypt", "leave 'ah' out", false },
		{ "null", "without integrity", "null-sha256", false },
		{ "aes128ctr", "without integrity", "aes128ctr-sha256", false },
		{ "aes128gmac-sha1", "own integrity", "leave 'sha1' out", false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ike_transform ike[8];
		struct esp_transform esp[8];
		char why[256] = "";
		size_t n = 0;
		int rc = rows[i].phase1
				 ? ike_proposal_parse(rows[i].text, ike, 8, &n, why, sizeof(why))
				 : esp_proposal_parse(rows[i].text, esp, 8, &n, why, sizeof(why));
		cr_expect_eq(rc, -EINVAL, "%s", rows[i].text);
		cr_expect(strstr(why, rows[i].why), "%s: %s", rows[i].text, why);
		cr_expect(strstr(why, rows[i].instead), "%s: %s", rows[i].text, why);
	}
}

Test(alg, every_reason_for_weakness_is_named)
{
	struct ike_transform ike[8];
	struct esp_transform esp[8];
	char why[WEAK_STR_LEN], text[256];
	size_t n = 0;

	cr_assert_eq(ike_proposal_parse("des-md5-modp768", ike, 8, &n, text, sizeof(text)), 0);
	cr_assert_not_null(ike_transform_weak(&ike[0], why, sizeof(why)));
	cr_expect(strstr(why, "56-bit") && strstr(why, "MD5") && strstr(why, "Logjam"), "%s", why);
	n = 0;
	cr_assert_eq(esp_proposal_parse("null-md5-modp1024s160", esp, 8, &n, text, sizeof(text)), 0);
	cr_assert_not_null(esp_transform_weak(&esp[0], why, sizeof(why)));
	cr_expect(strstr(why, "nothing is encrypted") && strstr(why, "MD5") && strstr(why, "5114"),
		  "%s", why);
}

/* What is printed for a transform is read as the same transform again: all of them. */
Test(alg, phase2_notation_round_trip)
{
	static const char *const all[] = {
		"aes128-sha1", "aes192-sha256", "aes256-sha256_96", "aes128ctr-sha384",
		"aes192ctr-sha512", "aes256ctr-md5", "aes128gcm8", "aes192gcm8", "aes256gcm8",
		"aes128gcm12", "aes192gcm12", "aes256gcm12", "aes128gcm16", "aes192gcm16",
		"aes256gcm16", "aes128gmac", "aes192gmac", "aes256gmac", "3des-sha1", "des-md5",
		"null-sha256", "ah-md5", "ah-sha1", "ah-sha256", "ah-sha256_96", "ah-sha384",
		"ah-aes128gmac", "ah-aes192gmac-esn", "ah-aes256gmac-modp2048",
		"ah-sha512-modp2048-esn", "aes128gcm16-x25519-esn", "aes128-sha1-modp1024s160",
	};
	char why[256], buf[TRANSFORM_STR_LEN];

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct esp_transform t[2];
		size_t n = 0;
		cr_assert_eq(esp_proposal_parse(all[i], t, 2, &n, why, sizeof(why)), 0, "%s", why);
		cr_assert_eq(n, 1);
		cr_expect_str_eq(esp_transform_str(&t[0], buf, sizeof(buf)), all[i]);
		cr_expect_eq(t[0].ah, strncmp(all[i], "ah", 2) == 0);
	}
	struct esp_transform t[4];
	size_t n = 0;
	cr_assert_eq(esp_proposal_parse("aes128gcm16-noesn-esn", t, 4, &n, why, sizeof(why)), 0);
	cr_expect(n == 2 && !t[0].esn && t[1].esn, "in the order written");
	n = 0;
	cr_assert_eq(esp_proposal_parse("ah-aes256gmac-sha256", t, 4, &n, why, sizeof(why)), 0);
	cr_assert_eq(n, 2);
	cr_expect(t[0].encr == ENCR_AES_GMAC && t[0].integ == INTEG_NONE && t[0].ah);
	cr_expect(t[1].encr == ENCR_NONE && t[1].integ == INTEG_HMAC_SHA256_128 && t[1].ah);
	cr_expect_null(esp_transform_weak(&t[0], buf, sizeof(buf)), "AH need not encrypt");
}

Test(alg, phase2_proposals)
{
	struct esp_transform t[8];
	char why[256], buf[TRANSFORM_STR_LEN];
	size_t n = 0;

	cr_assert_eq(esp_proposal_parse("aes128gcm16", t, 8, &n, why, sizeof(why)), 0);
	cr_assert_eq(t[0].encr, ENCR_AES_GCM_16);
	cr_assert_eq(t[0].group, 0);
	cr_assert_eq(esp_proposal_parse("aes256-sha256-sha1-modp2048", t, 8, &n, why, sizeof(why)), 0);
	cr_assert_eq(n, 3);
	cr_assert_str_eq(esp_transform_str(&t[1], buf, sizeof(buf)), "aes256-sha256-modp2048");
	cr_assert_eq(esp_proposal_parse("aes256", t, 8, &n, why, sizeof(why)), -EINVAL);
	cr_assert_eq(esp_proposal_parse("aes256gcm16-sha256", t, 8, &n, why, sizeof(why)), -EINVAL);
}
