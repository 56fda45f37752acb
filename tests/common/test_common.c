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
	cr_assert_null(ike_transform_weak(&t[0]));

	n = 0;
	cr_assert_eq(ike_proposal_parse("aes128gcm16-sha256-modp2048", t, 8, &n, why, sizeof(why)), -EINVAL);
	cr_assert(strstr(why, "phase 1"), "%s", why);
	cr_assert_eq(ike_proposal_parse("aes256-modp2048", t, 8, &n, why, sizeof(why)), -EINVAL);
	cr_assert_eq(ike_proposal_parse("aes256-sha256-modp999", t, 8, &n, why, sizeof(why)), -EINVAL);
	cr_assert_eq(ike_proposal_parse("3des-md5-modp1024", t, 8, &n, why, sizeof(why)), 0);
	cr_assert_not_null(ike_transform_weak(&t[0]));
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
