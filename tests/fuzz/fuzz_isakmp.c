/* An attacker's message, as it is after decryption, through every parser and through proposal
 * selection. What parses must also keep some promises; breaking one aborts. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"
#include "proposal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(bool ok)
{
	if (!ok)
		abort();
}

static bool inside(struct view inner, const uint8_t *outer, size_t len)
{
	return inner.len == 0 || (inner.p >= outer && inner.p + inner.len <= outer + len);
}

/* An SA payload of our own writing, parsed back from buf. */
static bool reparse(struct msgbuf *m, struct sa_payload *out)
{
	struct payload_list list;
	const char *why;
	int len = msg_finish(m);

	if (len < 0)
		return false; /* the attacker's transform did not fit */
	require(payload_list_parse(m->buf[16], m->buf + ISAKMP_HDR_LEN,
				   (size_t)len - ISAKMP_HDR_LEN, &list, &why) == 0);
	require(list.n == 1);
	require(sa_payload_parse(list.p[0].body, out, &why) == 0);
	return true;
}

static const struct isakmp_hdr answer_hdr = { .version = ISAKMP_VERSION };

/* What we choose of an offer must pass the initiator's own check, as the same choice. */
static void try_ike(const struct sa_payload *offer, struct sa_payload *answer, uint8_t *buf,
		    size_t cap)
{
	static const struct ike_transform ours[] = {
		{ ENCR_AES_CBC, 256, HASH_SHA256, 14 }, { ENCR_AES_CBC, 128, HASH_SHA1, 2 },
		{ ENCR_3DES, 192, HASH_MD5, 2 },        { ENCR_3DES, 192, HASH_MD5, 5 },
		{ ENCR_AES_CBC, 192, HASH_SHA512, 21 },
	};
	struct ike_choice c, back;
	struct msgbuf m;
	char why[256];

	if (ike_offer_select(offer, ours, sizeof(ours) / sizeof(ours[0]), AUTH_PSK, &c, why,
			     sizeof(why))) {
		require(strlen(why) > 0);
		return;
	}
	require(c.proposal < offer->n_proposals && c.transform < offer->n_transforms);
	msg_begin(&m, buf, cap, &answer_hdr);
	answer_write(&m, offer, c.proposal, c.transform, 0);
	if (!reparse(&m, answer))
		return;
	require(ike_answer_check(offer, answer, &back, why, sizeof(why)) == 0);
	require(back.t.encr == c.t.encr && back.t.key_bits == c.t.key_bits);
	require(back.t.hash == c.t.hash && back.t.group == c.t.group && back.auth == c.auth);
	require(back.life_s == c.life_s && back.life_kb == c.life_kb);
}

static void try_esp(const struct sa_payload *offer, struct sa_payload *answer, uint16_t encap,
		    uint8_t *buf, size_t cap)
{
	static const struct esp_transform ours[] = {
		{ ENCR_AES_GCM_16, 128, INTEG_NONE, 0, false, false },
		{ ENCR_AES_GCM_16, 256, INTEG_NONE, 14, true, false },
		{ ENCR_AES_CBC, 128, INTEG_HMAC_SHA256_96, 14, false, false },
		{ ENCR_AES_CBC, 256, INTEG_HMAC_SHA256_128, 0, false, false },
		{ ENCR_3DES, 192, INTEG_HMAC_SHA1_96, 0, false, false },
		{ ENCR_NULL, 0, INTEG_HMAC_MD5_96, 0, false, false },
		{ ENCR_NONE, 0, INTEG_HMAC_SHA256_128, 0, false, true },
		{ ENCR_AES_CTR, 192, INTEG_HMAC_SHA1_96, 0, true, false },
	};
	const struct esp_policy p = { .t = ours,
				      .n = sizeof(ours) / sizeof(ours[0]),
				      .encap = encap };
	struct esp_choice c, back;
	struct msgbuf m;
	char why[256];

	if (esp_offer_select(offer, &p, &c, why, sizeof(why))) {
		require(strlen(why) > 0);
		return;
	}
	require(c.spi >= 256);
	require((c.t.integ == INTEG_NONE) == encr_info(c.t.encr)->aead);
	msg_begin(&m, buf, cap, &answer_hdr);
	answer_write(&m, offer, c.proposal, c.transform, 0x01020304);
	if (!reparse(&m, answer))
		return;
	require(esp_answer_check(offer, answer, &back, why, sizeof(why)) == 0);
	require(back.spi == 0x01020304 && back.t.encr == c.t.encr && back.t.group == c.t.group);
	require(back.t.esn == c.t.esn && back.t.ah == c.t.ah && back.encap == c.encap);
	require(!c.t.ah || encap == ENCAP_TUNNEL);
}

static void try_sa(struct view body)
{
	enum { CAP = 2048 };
	struct sa_payload *sa = malloc(sizeof(*sa)), *answer = malloc(sizeof(*answer));
	uint8_t *buf = malloc(CAP);
	const char *why = NULL;

	require(sa && answer && buf);
	if (sa_payload_parse(body, sa, &why)) {
		require(why != NULL);
	} else {
		require(sa->n_proposals <= IKE_MAX_PROPOSALS);
		require(sa->n_transforms <= IKE_MAX_TRANSFORMS);
		for (unsigned i = 0; i < sa->n_transforms; i++)
			for (unsigned k = 0; k < sa->transforms[i].n_attrs; k++)
				require(inside(sa->transforms[i].attr[k].value, body.p, body.len));
		try_ike(sa, answer, buf, CAP);
		try_esp(sa, answer, ENCAP_TUNNEL, buf, CAP);
		try_esp(sa, answer, ENCAP_UDP_TUNNEL, buf, CAP);
	}
	free(sa);
	free(answer);
	free(buf);
}

/* What parses is written back as the same bytes, prints, and as a range stays in order. */
static void try_id(struct view body)
{
	uint8_t wire[4 + IKE_MAX_ID];
	char text[128];
	struct ip_range r;
	struct ike_id id;

	if (ike_id_parse(body, &id))
		return;
	require(ike_id_write(&id, wire, sizeof(wire)) == body.len);
	require(memcmp(wire, body.p, body.len) == 0);
	require(ike_id_equal(&id, &id));
	ike_id_str(&id, text, sizeof(text));
	require(strlen(text) < sizeof(text));
	for (const char *c = text; *c; c++)
		require(*c >= ' ' && *c <= '~');
	if (ike_id_to_range(&id, &r) == 0)
		require(ip_addr_cmp(&r.lo, &r.hi) <= 0);
}

static void try_cfg(struct view body)
{
	struct cfg_payload *p = malloc(sizeof(*p));
	const char *why = NULL;

	require(p);
	if (cfg_parse(body, p, &why)) {
		require(why != NULL);
	} else {
		require(p->n <= IKE_MAX_CFG_ATTRS);
		for (unsigned i = 0; i < p->n; i++)
			require(inside(p->attr[i].value, body.p, body.len) &&
				cfg_attr(p, p->attr[i].type, 0) != NULL);
	}
	free(p);
}

static void try_body(struct view body)
{
	struct delete_payload d;
	struct fragment f;
	struct notify n;

	try_sa(body);
	try_id(body);
	try_cfg(body);
	if (notify_parse(body, &n) == 0)
		require(inside(n.spi, body.p, body.len) && inside(n.data, body.p, body.len));
	if (fragment_parse(body, &f) == 0)
		require(f.number >= 1 && f.number <= IKE_MAX_FRAGMENTS && f.data.len >= 1 &&
			inside(f.data, body.p, body.len));
	if (delete_parse(body, &d) == 0)
		require((size_t)d.n_spis * d.spi_len == d.spis.len &&
			inside(d.spis, body.p, body.len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct payload_list list;
	struct isakmp_hdr h;
	const char *why = NULL;

	if (len < ISAKMP_HDR_LEN || len > IKE_MAX_MESSAGE)
		return 0;
	/* a wrong length in the header must not hide the rest from the fuzzer */
	if (isakmp_hdr_parse(data, len, &h) == 0)
		require(h.length >= ISAKMP_HDR_LEN && h.length <= len);
	if (payload_list_parse(data[16], data + ISAKMP_HDR_LEN, len - ISAKMP_HDR_LEN, &list,
			       &why)) {
		require(why != NULL);
		return 0;
	}
	require(list.used <= len - ISAKMP_HDR_LEN && list.n <= IKE_MAX_PAYLOADS);
	for (unsigned i = 0; i < list.n; i++) {
		require(inside(list.p[i].raw, data, len));
		payload_name(list.p[i].type);
		try_body(list.p[i].body);
	}
	return 0;
}
