/* Parsing and building of ISAKMP messages. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"
#include "vectors.h"

static const struct isakmp_hdr hdr = {
	.icookie = { 1, 2, 3, 4, 5, 6, 7, 8 },
	.rcookie = { 9, 10, 11, 12, 13, 14, 15, 16 },
	.version = ISAKMP_VERSION,
	.exchange = EXCH_QUICK,
	.flags = ISAKMP_FLAG_ENC,
	.msgid = 0xdeadbeef,
};

static int parse(uint8_t first, const void *buf, size_t len, struct payload_list *l)
{
	const char *why = NULL;
	int rc = payload_list_parse(first, buf, len, l, &why);

	cr_assert_eq(rc != 0, why != NULL, "a refusal comes with a sentence");
	return rc;
}

Test(message, header_round_trip)
{
	uint8_t buf[ISAKMP_HDR_LEN];
	struct isakmp_hdr h = hdr, out;

	h.length = ISAKMP_HDR_LEN;
	h.next = PL_HASH;
	isakmp_hdr_write(&h, buf);
	cr_assert_eq(isakmp_hdr_parse(buf, sizeof(buf), &out), 0);
	cr_assert_arr_eq(out.icookie, h.icookie, 8);
	cr_assert_arr_eq(out.rcookie, h.rcookie, 8);
	cr_assert_eq(out.next, PL_HASH);
	cr_assert_eq(out.msgid, 0xdeadbeef);
	cr_assert_eq(out.flags, ISAKMP_FLAG_ENC);
	cr_assert_eq(out.exchange, EXCH_QUICK);
}

Test(message, header_refusals)
{
	uint8_t buf[ISAKMP_HDR_LEN + 4] = { 0 };
	struct isakmp_hdr h = hdr, out;

	for (size_t len = 0; len < ISAKMP_HDR_LEN; len++)
		cr_assert_eq(isakmp_hdr_parse(buf, len, &out), -EMSGSIZE);
	h.length = ISAKMP_HDR_LEN - 1;
	isakmp_hdr_write(&h, buf);
	cr_assert_eq(isakmp_hdr_parse(buf, sizeof(buf), &out), -EMSGSIZE);
	h.length = sizeof(buf) + 1;
	isakmp_hdr_write(&h, buf);
	cr_assert_eq(isakmp_hdr_parse(buf, sizeof(buf), &out), -EMSGSIZE);
	h.length = 0xffffffff;
	isakmp_hdr_write(&h, buf);
	cr_assert_eq(isakmp_hdr_parse(buf, sizeof(buf), &out), -EMSGSIZE);
	h.length = ISAKMP_HDR_LEN;
	h.version = 0x20; /* IKEv2 */
	isakmp_hdr_write(&h, buf);
	cr_assert_eq(isakmp_hdr_parse(buf, sizeof(buf), &out), -EPROTONOSUPPORT);
	cr_assert_eq(out.version, 0x20, "still told, for the notify");
	h.version = 0x15; /* a minor version above ours is tolerated */
	isakmp_hdr_write(&h, buf);
	cr_assert_eq(isakmp_hdr_parse(buf, sizeof(buf), &out), 0);
}

Test(pitfall, p07_commit_bit_and_unknown_flags_are_tolerated)
{
	uint8_t buf[ISAKMP_HDR_LEN];
	struct isakmp_hdr h = hdr, out;

	h.flags = 0xff;
	h.length = sizeof(buf);
	isakmp_hdr_write(&h, buf);
	cr_assert_eq(isakmp_hdr_parse(buf, sizeof(buf), &out), 0);
	cr_assert_eq(out.flags, 0xff);
}

Test(message, built_messages_parse_back)
{
	uint8_t buf[256];
	struct msgbuf m;
	struct isakmp_hdr h;
	struct payload_list l;

	msg_begin(&m, buf, sizeof(buf), &hdr);
	size_t hash_at = msg_reserve(&m, PL_HASH, 20);
	cr_assert_eq(hash_at, 32);
	msg_payload(&m, PL_NONCE, "12345678", 8);
	msg_open(&m, PL_NOTIFY);
	msg_put_u32(&m, DOI_IPSEC);
	msg_put_u8(&m, PROTO_ESP);
	msg_put_u8(&m, 4);
	msg_put_u16(&m, N_NO_PROPOSAL_CHOSEN);
	msg_put_u32(&m, 0x01020304);
	msg_put(&m, "why", 3);
	msg_close(&m);
	size_t plain = m.len;
	msg_pad(&m, 16);
	int len = msg_finish(&m);
	cr_assert_eq((len - ISAKMP_HDR_LEN) % 16, 0);

	cr_assert_eq(isakmp_hdr_parse(buf, (size_t)len, &h), 0);
	cr_assert_eq(h.length, (uint32_t)len);
	cr_assert_eq(parse(h.next, buf + 28, (size_t)len - 28, &l), 0);
	cr_assert_eq(l.n, 3);
	cr_assert_eq(l.used, plain - 28);
	cr_assert_eq(payload_find(&l, PL_HASH, 0)->body.p - buf, (ptrdiff_t)hash_at);
	cr_assert_eq(payload_find(&l, PL_HASH, 0)->body.len, 20);
	cr_assert_arr_eq(payload_find(&l, PL_NONCE, 0)->body.p, "12345678", 8);
	cr_assert_null(payload_find(&l, PL_NONCE, 1));
	cr_assert_null(payload_find(&l, PL_KE, 0));

	struct notify n;
	cr_assert_eq(notify_parse(payload_find(&l, PL_NOTIFY, 0)->body, &n), 0);
	cr_assert_eq(n.type, N_NO_PROPOSAL_CHOSEN);
	cr_assert_eq(n.proto, PROTO_ESP);
	cr_assert_eq(n.spi.len, 4);
	cr_assert_eq(n.data.len, 3);
	cr_assert_arr_eq(n.data.p, "why", 3);
}

/* Whatever the room, nothing is written beyond it, and the end says so. */
Test(message, overflow_is_sticky_and_harmless)
{
	for (size_t cap = 0; cap < 90; cap++) {
		uint8_t *buf = malloc(cap + 1);
		struct msgbuf m;

		buf[cap] = 0xa5;
		msg_begin(&m, buf, cap, &hdr);
		msg_reserve(&m, PL_HASH, 20);
		msg_payload(&m, PL_NONCE, "1234567890123456", 16);
		msg_put_u8(&m, 1);
		msg_put_u16(&m, 2);
		msg_put_u32(&m, 3);
		msg_pad(&m, 8);
		int len = msg_finish(&m);
		cr_assert_eq(buf[cap], 0xa5);
		cr_assert_eq(len, cap >= 84 ? 84 : -ENOSPC);
		free(buf);
	}
}

Test(message, padding_is_what_blocks_need)
{
	uint8_t buf[64];
	struct msgbuf m;

	for (size_t n = 0; n <= 16; n++) {
		msg_begin(&m, buf, sizeof(buf), &hdr);
		memset(buf + 28, 0xff, sizeof(buf) - 28);
		for (size_t i = 0; i < n; i++)
			msg_put_u8(&m, 0xee);
		msg_pad(&m, 8);
		cr_assert_eq(m.len, 28 + (n + 7) / 8 * 8);
		for (size_t i = 28 + n; i < m.len; i++)
			cr_assert_eq(buf[i], 0, "zeros are sent");
	}
}

Test(pitfall, p07_any_padding_and_reserved_bytes_are_accepted)
{
	const uint8_t chain[] = { 13, 0x77, 0, 8, 1, 2, 3, 4, 0, 0xff, 0, 5, 9, 0xde, 0xad, 0xbe };
	struct payload_list l;

	cr_assert_eq(parse(PL_NONCE, chain, sizeof(chain), &l), 0);
	cr_assert_eq(l.n, 2);
	cr_assert_eq(l.used, 13);
	cr_assert_eq(l.p[1].type, PL_VENDOR);
	cr_assert_eq(l.p[1].body.len, 1);
	cr_assert_eq(l.p[1].raw.len, 5);
}

Test(pitfall, p15_chains_are_bounded)
{
	struct payload_list l;
	uint8_t many[4 * (IKE_MAX_PAYLOADS + 1)];
	const uint8_t empty_payload[] = { 0, 0, 0, 4 };

	cr_assert_eq(parse(PL_NONE, "xx", 2, &l), 0);
	cr_assert_eq(l.n, 0);
	cr_assert_eq(parse(PL_HASH, "", 0, &l), -EBADMSG);
	cr_assert_eq(parse(PL_HASH, "\0\0\0", 3, &l), -EBADMSG);
	cr_assert_eq(parse(PL_HASH, "\0\0\0\3", 4, &l), -EBADMSG, "shorter than its header");
	cr_assert_eq(parse(PL_HASH, "\0\0\0\0", 4, &l), -EBADMSG, "no progress");
	cr_assert_eq(parse(PL_HASH, "\0\0\0\5", 4, &l), -EBADMSG, "beyond the end");
	cr_assert_eq(parse(PL_HASH, "\0\0\xff\xff", 4, &l), -EBADMSG);
	cr_assert_eq(parse(PL_HASH, "\x0a\0\0\4", 4, &l), -EBADMSG, "promises another");
	cr_assert_eq(parse(PL_HASH, "\x0a\0\0\4\0\0\0\5", 8, &l), -EBADMSG, "the second beyond");
	cr_assert_eq(parse(PL_HASH, empty_payload, 4, &l), 0);

	for (unsigned n = 1; n <= IKE_MAX_PAYLOADS + 1; n++) {
		for (unsigned i = 0; i < n; i++) {
			const uint8_t h[] = { i + 1 < n ? PL_VENDOR : 0, 0, 0, 4 };
			memcpy(many + 4 * i, h, 4);
		}
		cr_assert_eq(parse(PL_VENDOR, many, 4 * n, &l),
			     n > IKE_MAX_PAYLOADS ? -EBADMSG : 0);
	}
}

/* Every cut of a good body is refused, never read beyond: under AddressSanitizer each copy ends
 * where its allocation ends. */
static void every_cut_is_refused(const uint8_t *body, size_t len, int (*fn)(struct view))
{
	for (size_t n = 0; n <= len; n++) {
		uint8_t *copy = malloc(n ? n : 1);
		memcpy(copy, body, n);
		int rc = fn((struct view){ copy, n });
		cr_assert_eq(rc, n == len ? 0 : -EBADMSG, "%zu of %zu bytes", n, len);
		free(copy);
	}
}

static int sa_fn(struct view v)
{
	struct sa_payload *sa = malloc(sizeof(*sa));
	const char *why = NULL;
	int rc = sa_payload_parse(v, sa, &why);

	cr_assert_eq(rc != 0, why != NULL);
	free(sa);
	return rc;
}

static int delete_fn(struct view v)
{
	struct delete_payload d;

	return delete_parse(v, &d);
}

static int notify_fn(struct view v)
{
	struct notify n;

	return notify_parse(v, &n);
}

static int id_fn(struct view v)
{
	struct ike_id id;

	return ike_id_parse(v, &id);
}

/* Main Mode message 1 of the recording. */
static struct view recorded_sa(struct vector *v, struct payload_list *l)
{
	const uint8_t *msg;
	struct isakmp_hdr h;
	size_t len;

	cr_assert(vector_load("main-psk", v));
	cr_assert(vector_isakmp(&v->packet[0], &msg, &len));
	cr_assert_eq(isakmp_hdr_parse(msg, len, &h), 0);
	cr_assert_eq(parse(h.next, msg + 28, len - 28, l), 0);
	cr_assert_not_null(payload_find(l, PL_SA, 0));
	return payload_find(l, PL_SA, 0)->body;
}

Test(message, cut_bodies_are_refused)
{
	static const uint8_t del[] = { 0, 0, 0, 1, 3, 4, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8 };
	static const uint8_t note[] = { 0, 0, 0, 1, 3, 4, 0, 14, 1, 2, 3, 4 };
	static const uint8_t id[] = { ID_IPV4_SUBNET, 0, 0, 0, 10, 1, 0, 0, 255, 255, 255, 0 };
	struct payload_list l;
	struct vector v;
	struct view sa = recorded_sa(&v, &l);

	every_cut_is_refused(sa.p, sa.len, sa_fn);
	every_cut_is_refused(del, sizeof(del), delete_fn);
	every_cut_is_refused(note, sizeof(note), notify_fn);
	every_cut_is_refused(id, sizeof(id), id_fn);
	vector_free(&v);
}

Test(message, sa_payload_of_the_recording)
{
	struct sa_payload *sa = malloc(sizeof(*sa));
	struct payload_list l;
	struct vector v;
	const char *why = "";
	struct view body = recorded_sa(&v, &l);

	cr_assert_eq(sa_payload_parse(body, sa, &why), 0, "%s", why);
	cr_assert_eq(sa->doi, DOI_IPSEC);
	cr_assert_eq(sa->n_proposals, 1);
	cr_assert_eq(sa->proposals[0].proto, PROTO_ISAKMP);
	cr_assert_eq(sa->n_transforms, 1);
	const struct transform *t = &sa->transforms[0];
	cr_assert_eq(transform_attr(t, ATTR_ENCR)->num, 7);
	cr_assert_eq(transform_attr(t, ATTR_KEY_LENGTH)->num, 256);
	cr_assert_eq(transform_attr(t, ATTR_GROUP)->num, 14);
	cr_assert_null(transform_attr(t, ATTR_PRF));
	vector_free(&v);
	free(sa);
}

/* One change each to a good SA body, and why it is refused. */
Test(message, sa_payload_refusals)
{
	static const uint8_t good[] = {
		0, 0, 0, 1,  0, 0, 0, 1,                /* DOI, situation */
		0, 0, 0, 28, 1, 1, 0, 2,                /* proposal */
		3, 0, 0, 12, 1, 1, 0, 0, 0x80, 1, 0, 7, /* transform */
		0, 0, 0, 8,  2, 1, 0, 0,                /* transform without attributes */
	};
	static const struct {
		size_t at;
		uint8_t value;
		const char *why;
	} cases[] = {
		{ 3, 0, "DOI" },
		{ 7, 2, "situation" },
		{ 8, 2, "chained" }, /* promises another proposal */
		{ 8, 3, "chained" },
		{ 11, 7, "impossible length" },
		{ 11, 29, "impossible length" },
		{ 11, 20, "chained" }, /* leaves bytes behind */
		{ 14, 17, "SPI is too long" },
		{ 15, 1, "number of transforms" },
		{ 15, 3, "number of transforms" },
		{ 16, 0, "chained" },
		{ 16, 2, "chained" },
		{ 19, 7, "impossible length" },
		{ 19, 10, "attribute" },        /* cuts the attribute */
		{ 24, 0, "attribute's value" }, /* variable: 7 bytes that are not there */
		{ 28, 3, "chained" },
		{ 31, 9, "impossible length" },
	};

	struct sa_payload *sa = malloc(sizeof(*sa));
	const char *why = "";
	cr_assert_eq(sa_payload_parse((struct view){ good, sizeof(good) }, sa, &why), 0, "%s", why);
	cr_assert_eq(sa->n_transforms, 2);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t body[sizeof(good)];
		memcpy(body, good, sizeof(good));
		body[cases[i].at] = cases[i].value;
		cr_assert_eq(sa_payload_parse((struct view){ body, sizeof(body) }, sa, &why),
			     -EBADMSG, "byte %zu = %u", cases[i].at, cases[i].value);
		cr_assert(strstr(why, cases[i].why), "byte %zu: %s", cases[i].at, why);
	}
	free(sa);
}

/* Counts at their limit and one beyond: what is beyond is left out, the rest of the offer stands. */
Test(pitfall, p15_counts_in_the_sa_payload_are_bounded)
{
	struct sa_payload *sa = malloc(sizeof(*sa));
	const char *why = "";

	for (unsigned n = IKE_MAX_TRANSFORMS; n <= IKE_MAX_TRANSFORMS + 1; n++) {
		uint8_t body[16 + 8 * (IKE_MAX_TRANSFORMS + 1)] = { 0, 0, 0, 1, 0, 0, 0, 1 };
		const uint8_t pr[] = {
			0, 0, (uint8_t)((8 + 8 * n) >> 8), (uint8_t)(8 + 8 * n), 1, 1, 0, (uint8_t)n
		};
		memcpy(body + 8, pr, 8);
		for (unsigned i = 0; i < n; i++) {
			const uint8_t t[] = { i + 1 < n ? 3 : 0, 0, 0, 8, (uint8_t)i, 1, 0, 0 };
			memcpy(body + 16 + 8 * i, t, 8);
		}
		cr_assert_eq(sa_payload_parse((struct view){ body, 16 + 8 * n }, sa, &why), 0, "%s",
			     why);
		cr_assert_eq(sa->n_transforms, IKE_MAX_TRANSFORMS);
		cr_assert_eq(sa->proposals[0].n_transforms, IKE_MAX_TRANSFORMS);
		cr_assert_eq(sa->cut, n > IKE_MAX_TRANSFORMS);
		body[15] ^= 1; /* it counts them wrongly, also those that are left out */
		cr_assert_eq(sa_payload_parse((struct view){ body, 16 + 8 * n }, sa, &why),
			     -EBADMSG);
	}
	for (unsigned n = IKE_MAX_PROPOSALS; n <= IKE_MAX_PROPOSALS + 1; n++) {
		uint8_t body[8 + 8 * (IKE_MAX_PROPOSALS + 1)] = { 0, 0, 0, 1, 0, 0, 0, 1 };
		for (unsigned i = 0; i < n; i++) {
			const uint8_t pr[] = { i + 1 < n ? 2 : 0, 0, 0, 8, (uint8_t)i, 1, 0, 0 };
			memcpy(body + 8 + 8 * i, pr, 8);
		}
		cr_assert_eq(sa_payload_parse((struct view){ body, 8 + 8 * n }, sa, &why), 0, "%s",
			     why);
		cr_assert_eq(sa->n_proposals, IKE_MAX_PROPOSALS);
		cr_assert_eq(sa->cut, n > IKE_MAX_PROPOSALS);
		cr_assert_eq(sa->cut_num, n > IKE_MAX_PROPOSALS ? IKE_MAX_PROPOSALS : 0);
		body[8 + 8 * (n - 1) + 3] = 9; /* the last one reaches beyond the payload */
		cr_assert_eq(sa_payload_parse((struct view){ body, 8 + 8 * n }, sa, &why),
			     -EBADMSG);
	}
	for (unsigned n = IKE_MAX_ATTRS; n <= IKE_MAX_ATTRS + 1; n++) {
		uint8_t body[24 + 4 * 17] = { 0, 0, 0, 1, 0, 0, 0, 1 };
		const uint8_t head[] = { 0, 0, 0, (uint8_t)(16 + 4 * n), 1, 1, 0, 1,
					 0, 0, 0, (uint8_t)(8 + 4 * n),  1, 1, 0, 0 };
		memcpy(body + 8, head, 16);
		for (unsigned i = 0; i < n; i++)
			body[24 + 4 * i] = 0x80;
		cr_assert_eq(sa_payload_parse((struct view){ body, 24 + 4 * n }, sa, &why),
			     n > IKE_MAX_ATTRS ? -EBADMSG : 0, "%s", why);
	}
	free(sa);
}

Test(message, attribute_values_of_any_length)
{
	static const struct {
		uint8_t attr[16];
		size_t len;
		uint64_t num;
	} cases[] = {
		{ { 0x80, 12, 0x12, 0x34 }, 4, 0x1234 },
		{ { 0, 12, 0, 0 }, 4, 0 },
		{ { 0, 12, 0, 1, 0xff }, 5, 0xff },
		{ { 0, 12, 0, 3, 1, 0, 0 }, 7, 0x10000 },
		{ { 0, 12, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8 }, 12, 0x0102030405060708 },
		{ { 0, 12, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 1 }, 13, UINT64_MAX },
	};
	struct sa_payload *sa = malloc(sizeof(*sa));
	const char *why = "";

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t n = (uint8_t)cases[i].len;
		uint8_t body[40] = { 0, 0, 0, 1,
				     0, 0, 0, 1,
				     0, 0, 0, (uint8_t)(16 + n),
				     1, 1, 0, 1,
				     0, 0, 0, (uint8_t)(8 + n),
				     1, 1, 0, 0 };
		memcpy(body + 24, cases[i].attr, n);
		cr_assert_eq(sa_payload_parse((struct view){ body, 24U + n }, sa, &why), 0, "%s",
			     why);
		cr_assert_eq(transform_attr(&sa->transforms[0], 12)->num, cases[i].num, "case %zu",
			     i);
	}
	free(sa);
}

Test(message, delete_counts_must_fit)
{
	struct delete_payload d;
	const uint8_t isakmp[24] = { 0, 0, 0, 1, 1, 16, 0, 1, 0xaa };
	const uint8_t no_len[] = { 0, 0, 0, 1, 3, 0, 0, 9 };
	const uint8_t long_spi[25] = { 0, 0, 0, 1, 1, 17, 0, 1 };
	const uint8_t wrong[] = { 0, 0, 0, 1, 3, 4, 0, 2, 1, 2, 3, 4, 5, 6, 7 };

	cr_assert_eq(delete_parse((struct view){ isakmp, 24 }, &d), 0);
	cr_assert_eq(d.n_spis, 1);
	cr_assert_eq(d.spi_len, 16);
	cr_assert_eq(d.spis.p[0], 0xaa);
	cr_assert_eq(delete_parse((struct view){ no_len, sizeof(no_len) }, &d), -EBADMSG);
	cr_assert_eq(delete_parse((struct view){ long_spi, sizeof(long_spi) }, &d), -EBADMSG);
	cr_assert_eq(delete_parse((struct view){ wrong, sizeof(wrong) }, &d), -EBADMSG);
}

Test(names, known_and_unknown)
{
	cr_assert_str_eq(payload_name(PL_KE), "KE");
	cr_assert_str_eq(exchange_name(EXCH_IDENTITY_PROTECTION), "Main Mode");
	cr_assert_str_eq(notify_name(N_NO_PROPOSAL_CHOSEN), "NO-PROPOSAL-CHOSEN");
	cr_assert_str_eq(ike_id_type_name(ID_FQDN), "FQDN");
	for (unsigned i = 0; i < 65536; i++) {
		cr_assert_not_null(notify_name((uint16_t)i));
		cr_assert_not_null(payload_name((uint8_t)i));
		cr_assert_not_null(exchange_name((uint8_t)i));
		cr_assert_not_null(ike_id_type_name((uint8_t)i));
	}
}
