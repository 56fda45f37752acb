/* Identities: on the wire, as text, as ranges, and when two are the same. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"

static struct ike_id id_of(const char *text)
{
	struct ike_id id;

	cr_assert_eq(ike_id_from_text(text, &id), 0, "%s", text);
	return id;
}

Test(id, from_text_and_back)
{
	static const struct {
		const char *text;
		uint8_t type;
		const char *printed; /* NULL: as written */
	} cases[] = {
		{ "192.0.2.1", ID_IPV4_ADDR, NULL },
		{ "2001:db8::1", ID_IPV6_ADDR, NULL },
		{ "gw.example.com", ID_FQDN, NULL },
		{ "gwa", ID_FQDN, NULL },
		{ "@gwa", ID_FQDN, "gwa" },
		{ "ann@example.com", ID_USER_FQDN, NULL },
		{ "C=DE, O=Lab\\, Ltd, CN=gwb", ID_DER_DN, "C = DE, O = \"Lab, Ltd\", CN = gwb" },
		{ "/C=DE/CN=gw b", ID_DER_DN, "C = DE, CN = gw b" },
		{ "keyid:00ff7E", ID_KEY_ID, "00ff7e" },
	};
	char buf[128];
	uint8_t wire[64];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ike_id id = id_of(cases[i].text), back;
		cr_assert_eq(id.type, cases[i].type, "%s", cases[i].text);
		cr_assert_str_eq(ike_id_str(&id, buf, sizeof(buf)),
				 cases[i].printed ? cases[i].printed : cases[i].text);
		id.proto = 17;
		id.port = 500;
		size_t len = ike_id_write(&id, wire, sizeof(wire));
		cr_assert_eq(len, 4U + id.len);
		cr_assert_eq(ike_id_parse((struct view){ wire, len }, &back), 0);
		cr_assert(ike_id_equal(&id, &back));
		cr_assert_eq(back.proto, 17);
		cr_assert_eq(back.port, 500);
		cr_assert_eq(ike_id_write(&id, wire, len - 1), 0, "no room");
	}
}

Test(id, bad_text_is_refused)
{
	static const char *const bad[] = { "",     "@",      "two words", "a\tb",    "user@",
					   "@a@b", "keyid:", "keyid:0",   "keyid:0g",
					   "CN=",  "=x",     "/",         "XY=1",	"CN=a,b" };
	struct ike_id id;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(ike_id_from_text(bad[i], &id), -EINVAL, "\"%s\"", bad[i]);
	char *longest = calloc(1, IKE_MAX_ID + 2);
	memset(longest, 'a', IKE_MAX_ID + 1);
	cr_assert_eq(ike_id_from_text(longest, &id), -EINVAL);
	longest[IKE_MAX_ID] = '\0';
	cr_assert_eq(ike_id_from_text(longest, &id), 0);
	free(longest);
}

Test(id, shapes_are_checked)
{
	static const struct {
		uint8_t body[40];
		size_t len;
		int rc;
	} cases[] = {
		{ { ID_IPV4_ADDR, 0, 0, 0, 1, 2, 3, 4 }, 8, 0 },
		{ { ID_IPV4_ADDR, 0, 0, 0, 1, 2, 3, 4 }, 7, -EBADMSG },
		{ { ID_IPV4_ADDR, 0, 0, 0, 1, 2, 3, 4 }, 9, -EBADMSG },
		{ { ID_IPV6_ADDR, 0, 0, 0, 1 }, 20, 0 },
		{ { ID_IPV6_ADDR, 0, 0, 0, 1 }, 8, -EBADMSG },
		{ { ID_IPV4_SUBNET, 0, 0, 0, 10, 0, 0, 0, 255, 0, 0, 0 }, 12, 0 },
		{ { ID_IPV4_SUBNET, 0, 0, 0, 10, 0, 0, 0, 255, 0, 255, 0 }, 12, -EBADMSG },
		{ { ID_IPV4_SUBNET, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0 }, 12, 0 },
		{ { ID_IPV4_SUBNET, 0, 0, 0, 10, 0, 0, 0, 0x7f, 0, 0, 0 }, 12, -EBADMSG },
		{ { ID_IPV4_RANGE, 0, 0, 0, 10, 0, 0, 1, 10, 0, 0, 9 }, 12, 0 },
		{ { ID_IPV4_RANGE, 0, 0, 0, 10, 0, 0, 9, 10, 0, 0, 1 }, 12, -EBADMSG },
		{ { ID_IPV6_SUBNET, 0, 0, 0 }, 36, 0 },
		{ { ID_IPV6_SUBNET, 0, 0, 0 }, 20, -EBADMSG },
		{ { ID_FQDN, 0, 0, 0, 'a' }, 5, 0 },
		{ { ID_FQDN, 0, 0, 0 }, 4, -EBADMSG },
		{ { 0, 0, 0, 0, 'a' }, 5, -EBADMSG },
		{ { ID_KEY_ID, 0, 0 }, 3, -EBADMSG },
	};
	struct ike_id id;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_assert_eq(ike_id_parse((struct view){ cases[i].body, cases[i].len }, &id),
			     cases[i].rc, "case %zu", i);
	uint8_t big[4 + IKE_MAX_ID + 1] = { ID_KEY_ID };
	cr_assert_eq(ike_id_parse((struct view){ big, sizeof(big) - 1 }, &id), 0);
	cr_assert_eq(ike_id_parse((struct view){ big, sizeof(big) }, &id), -EBADMSG);
}

Test(id, ranges_become_the_tightest_kind)
{
	static const struct {
		const char *text;
		uint8_t type;
	} cases[] = {
		{ "10.1.0.0/24", ID_IPV4_SUBNET },
		{ "10.1.0.1-10.1.0.9", ID_IPV4_RANGE },
		{ "0.0.0.0/0", ID_IPV4_SUBNET },
		{ "2001:db8::/32", ID_IPV6_SUBNET },
		{ "2001:db8::1-2001:db8::3", ID_IPV6_RANGE },
	};
	char buf[RANGE_STR_LEN];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ip_range r, back;
		uint8_t wire[64];
		struct ike_id id, parsed;

		cr_assert_eq(ip_range_parse(cases[i].text, &r), 0);
		id = ike_id_from_range(&r, 6, 443);
		cr_assert_eq(id.type, cases[i].type, "%s", cases[i].text);
		size_t len = ike_id_write(&id, wire, sizeof(wire));
		cr_assert_eq(ike_id_parse((struct view){ wire, len }, &parsed), 0);
		cr_assert_eq(parsed.proto, 6);
		cr_assert_eq(parsed.port, 443);
		cr_assert_eq(ike_id_to_range(&parsed, &back), 0);
		cr_assert(ip_range_equal(&r, &back));
		cr_assert_str_eq(ike_id_str(&parsed, buf, sizeof(buf)), cases[i].text);
	}
	struct ip_range one, back;
	cr_assert_eq(ip_range_parse("10.1.0.1", &one), 0);
	struct ike_id id = ike_id_from_range(&one, 0, 0);
	cr_assert_eq(id.type, ID_IPV4_ADDR);
	cr_assert_eq(ike_id_to_range(&id, &back), 0);
	cr_assert(ip_range_equal(&one, &back));
	id = id_of("gwa");
	cr_assert_eq(ike_id_to_range(&id, &back), -EINVAL);
}

/* Peers send a subnet with host bits: the mask decides. */
Test(id, host_bits_of_a_subnet_are_masked)
{
	const uint8_t body[] = { ID_IPV4_SUBNET, 0, 0, 0, 10, 1, 0, 5, 255, 255, 255, 0 };
	struct ip_range r;
	struct ike_id id;
	char buf[RANGE_STR_LEN];

	cr_assert_eq(ike_id_parse((struct view){ body, sizeof(body) }, &id), 0);
	cr_assert_eq(ike_id_to_range(&id, &r), 0);
	cr_assert_str_eq(ip_range_str(&r, buf, sizeof(buf)), "10.1.0.0/24");
}

Test(id, equality)
{
	struct ike_id a = id_of("GW.Example.com"), b = id_of("gw.example.COM"),
		      c = id_of("gw.example.cob");
	struct ike_id k1 = id_of("keyid:41"), k2 = id_of("keyid:61");

	cr_assert(ike_id_equal(&a, &b));
	cr_assert_not(ike_id_equal(&a, &c));
	cr_assert_not(ike_id_equal(&k1, &k2), "key ids are bytes");
	b.port = 500;
	cr_assert(ike_id_equal(&a, &b), "port and protocol are not looked at");
	b.type = ID_USER_FQDN;
	cr_assert_not(ike_id_equal(&a, &b));
}

/* CN=gw as PrintableString and as UTF8String: one name. */
Test(id, distinguished_names_compare_as_names)
{
	static const uint8_t printable[] = { 0x30, 0x0d, 0x31, 0x0b, 0x30, 0x09, 0x06, 0x03,
					     0x55, 0x04, 0x03, 0x13, 0x02, 'g',  'w' };
	struct ike_id a = { .type = ID_DER_DN, .len = sizeof(printable) }, b;
	char buf[64];

	memcpy(a.data, printable, sizeof(printable));
	b = a;
	b.data[11] = 0x0c;
	cr_assert(ike_id_equal(&a, &b));
	cr_assert_str_eq(ike_id_str(&a, buf, sizeof(buf)), "CN = gw");
	b.data[14] = 'x';
	cr_assert_not(ike_id_equal(&a, &b));
	b.len--;
	cr_assert_not(ike_id_equal(&a, &b), "cut");
	cr_assert_str_eq(ike_id_str(&b, buf, sizeof(buf)), "300d310b300906035504030c0267");
}

Test(id, text_is_always_printable_and_bounded)
{
	struct ike_id id = { .type = ID_FQDN, .len = IKE_MAX_ID };
	char buf[16];

	memset(id.data, 'a', sizeof(id.data));
	id.data[0] = '\n';
	id.data[1] = 0;
	id.data[2] = 0x1b;
	cr_assert_str_eq(ike_id_str(&id, buf, sizeof(buf)), "???aaaaaaaaaaaa");
	id.type = ID_KEY_ID;
	cr_assert_eq(strlen(ike_id_str(&id, buf, sizeof(buf))), 14);
	id.type = 0;
	cr_assert_str_eq(ike_id_str(&id, buf, sizeof(buf)), "(none)");
}
