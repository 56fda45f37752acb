#include "replay.h"

#include <stdio.h>
#include <string.h>

#include "bytes.h"

#define REQUIRE(r, what)                            \
	do {                                        \
		if (!(what)) {                      \
			(r)->error = #what;         \
			(r)->error_line = __LINE__; \
			return false;               \
		}                                   \
	} while (0)

static void note(struct replay *r, const char *name, const uint8_t *data, size_t len)
{
	struct replay_value *v = &r->value[r->n_values];

	if (r->n_values == REPLAY_MAX_VALUES || len > sizeof(v->data))
		return;
	snprintf(v->name, sizeof(v->name), "%s", name);
	memcpy(v->data, data, len);
	v->len = len;
	r->n_values++;
}

bool replay_has(const struct replay *r, const char *name, const uint8_t *data, size_t len)
{
	for (unsigned i = 0; i < r->n_values; i++)
		if (r->value[i].len == len && strcmp(r->value[i].name, name) == 0 &&
		    memcmp(r->value[i].data, data, len) == 0)
			return true;
	return false;
}

static bool body_of(const struct replay_msg *m, uint8_t type, struct view *out)
{
	const struct payload *p = payload_find(&m->list, type, 0);

	if (p)
		*out = p->body;
	return p != NULL;
}

/* ------------------------------------------------------------------------ phase 1 ----------- */

static bool derive_keys(struct replay *r)
{
	const struct isakmp_hdr *h = &r->msg[1].hdr;
	uint8_t gxy[GROUP_MAX_LEN];
	size_t len =
		vector_key(r->v, "initiator", "shared Diffie Hellman secret", 0, gxy, sizeof(gxy));
	struct ike_keys_in in = {
		.psk = { (const uint8_t *)VECTOR_PSK, strlen(VECTOR_PSK) },
		.ni = r->nonce[0],
		.nr = r->nonce[1],
		.gxi = r->ke[0],
		.gxr = r->ke[1],
		.gxy = { gxy, len },
		.icookie = h->icookie,
		.rcookie = h->rcookie,
	};

	if (r->choice.auth != AUTH_PSK)
		in.psk = (struct view){ NULL, 0 };
	REQUIRE(r, group_info(r->choice.t.group)->shared_len == len);
	REQUIRE(r, group_info(r->choice.t.group)->public_len == r->ke[0].len);
	REQUIRE(r, ike_keys_derive(&r->choice.t, &in, &r->keys) == 0);
	r->have_keys = true;
	memcpy(r->phase1_iv, r->keys.phase1_iv, r->keys.block_len);
	note(r, "SKEYID", r->keys.skeyid, r->keys.prf_len);
	note(r, "SKEYID_d", r->keys.skeyid_d, r->keys.prf_len);
	note(r, "SKEYID_a", r->keys.skeyid_a, r->keys.prf_len);
	note(r, "SKEYID_e", r->keys.skeyid_e, r->keys.prf_len);
	note(r, "encryption key Ka", r->keys.cipher_key, r->choice.t.key_bits / 8U);
	note(r, "initial IV", r->keys.phase1_iv, r->keys.block_len);
	return true;
}

/* What HASH_I or HASH_R is made of, as one string, for the recording writes it down too. */
static void note_auth_data(struct replay *r, unsigned dir, struct view id)
{
	const struct isakmp_hdr *h = &r->msg[1].hdr;
	const struct view pieces[] = {
		r->ke[dir],
		r->ke[!dir],
		{ dir ? h->rcookie : h->icookie, 8 },
		{ dir ? h->icookie : h->rcookie, 8 },
		r->offer.body,
		id,
	};
	uint8_t data[1024];
	size_t len = 0;

	for (unsigned i = 0; i < 6; i++) {
		memcpy(data + len, pieces[i].p, pieces[i].len);
		len += pieces[i].len;
	}
	note(r, dir ? "HASH_R data" : "HASH_I data", data, len);
}

static bool check_auth(struct replay *r, const struct replay_msg *m)
{
	const struct isakmp_hdr *h = &m->hdr;
	struct view hash, sig, id = r->id[m->dir], cert = r->cert[m->dir];
	uint8_t expected[HASH_MAX_LEN];
	bool has_hash = body_of(m, PL_HASH, &hash), has_sig = body_of(m, PL_SIG, &sig);

	if (!has_hash && !has_sig)
		return true;
	REQUIRE(r, id.p);
	REQUIRE(r, ike_auth_hash(&r->keys, m->dir == 0, r->ke[0], r->ke[1], h->icookie, h->rcookie,
				 r->offer.body, id, expected) == 0);
	note_auth_data(r, m->dir, id);
	note(r, m->dir ? "HASH_R" : "HASH_I", expected, r->keys.prf_len);
	if (has_hash) {
		REQUIRE(r, hash.len == r->keys.prf_len && memcmp(hash.p, expected, hash.len) == 0);
		r->hashes++;
		return true;
	}
	REQUIRE(r, cert.len > 1 && cert.p[0] == 4); /* X.509 certificate - signature */
	REQUIRE(r, ike_rsa_verify((struct view){ cert.p + 1, cert.len - 1 },
				  (struct view){ expected, r->keys.prf_len }, sig) == 0);
	r->signatures++;
	return true;
}

/* The first NAT-D is the receiver's address, which this recording's peers left as it is; the others
 * are the sender's, falsified to force encapsulation. */
static bool check_natd(struct replay *r, const struct replay_msg *m, const struct vector_packet *p)
{
	struct ip_addr addr = { .family = IP_V4 };
	uint8_t hash[HASH_MAX_LEN];
	struct view natd;
	size_t len = hash_info(r->choice.t.hash)->len;

	if (!body_of(m, PL_NAT_D, &natd))
		return true;
	/* aggressive mode's third message has them too, after the float: towards port 4500 */
	for (unsigned k = 0; k < 2; k++) {
		memcpy(addr.b, k ? p->src : p->dst, 4);
		REQUIRE(r, ike_natd_hash(r->choice.t.hash, m->hdr.icookie, m->hdr.rcookie, &addr,
					 k ? p->sport : p->dport, hash) == 0);
		note(r, "natd_hash", hash, len);
		note(r, k ? "precalculated src_hash" : "precalculated dst_hash", hash, len);
		note(r, k ? "precalculated dst_hash" : "precalculated src_hash", hash, len);
		note(r, "received dst_hash", hash, len);
		if (k == 0)
			REQUIRE(r, natd.len == len && memcmp(natd.p, hash, len) == 0);
	}
	r->natd++;
	return true;
}

static bool phase1_message(struct replay *r, struct replay_msg *m, const struct vector_packet *p)
{
	const char *why = "";
	char text[256];
	struct view sa;

	if (body_of(m, PL_SA, &sa))
		REQUIRE(r, sa_payload_parse(sa, m->dir ? &r->answer : &r->offer, &why) == 0);
	if (m->dir && body_of(m, PL_SA, &sa))
		REQUIRE(r, ike_answer_check(&r->offer, &r->answer, &r->choice, text,
					    sizeof(text)) == 0);
	body_of(m, PL_KE, &r->ke[m->dir]);
	body_of(m, PL_NONCE, &r->nonce[m->dir]);
	body_of(m, PL_ID, &r->id[m->dir]);
	body_of(m, PL_CERT, &r->cert[m->dir]);
	if (!r->have_keys && r->ke[0].p && r->ke[1].p && !derive_keys(r))
		return false;
	if (r->choice.t.hash && !check_natd(r, m, p))
		return false;
	return !r->have_keys || check_auth(r, m);
}

/* ------------------------------------------------------------------------ phase 2 ----------- */

static bool same_hash(struct replay *r, const char *name, struct view got, const uint8_t *expected)
{
	note(r, name, expected, r->keys.prf_len);
	note(r, "HASH received", expected, r->keys.prf_len);
	note(r, "HASH expected", expected, r->keys.prf_len);
	REQUIRE(r, got.len == r->keys.prf_len && memcmp(got.p, expected, got.len) == 0);
	r->hashes++;
	return true;
}

/* The raw bytes of the payloads after HASH. */
static struct view rest_of(const struct replay_msg *m)
{
	const struct payload *hash = &m->list.p[0];
	const uint8_t *from = hash->raw.p + hash->raw.len;

	return (struct view){ from, (size_t)(m->buf + ISAKMP_HDR_LEN + m->list.used - from) };
}

static bool note_keymat(struct replay *r)
{
	uint8_t key[IKE_MAX_KEY + 8], auth[HASH_MAX_LEN], gxy[GROUP_MAX_LEN];
	uint32_t spi[2] = { get_u32(r->qm_offer.proposals[0].spi.p),
			    get_u32(r->qm_answer.proposals[0].spi.p) };
	const struct esp_transform *t = &r->esp.t;
	struct view none = { NULL, 0 }, dh = { gxy, 0 };

	if (r->qm_ke[0].p)
		dh.len = vector_key(r->v, "initiator", "DH secret", 0, gxy, sizeof(gxy));
	REQUIRE(r, !r->qm_ke[0].p == !t->group);
	REQUIRE(r, !t->group || dh.len == group_info(t->group)->shared_len);
	/* what the initiator encrypts with is named by the responder's SPI, and the other way round
	 */
	for (unsigned dir = 0; dir < 2; dir++) {
		REQUIRE(r, ike_keymat(&r->keys, PROTO_ESP, spi[!dir], dh.len ? dh : none,
				      r->qm_nonce[0], r->qm_nonce[1], t, key, auth) == 0);
		note(r, dir ? "encryption responder key" : "encryption initiator key", key,
		     esp_key_len(t));
		note(r, dir ? "integrity responder key" : "integrity initiator key", auth,
		     esp_auth_len(t));
	}
	r->have_esp = true;
	return true;
}

static bool quick_message(struct replay *r, const struct replay_msg *m, struct view hash)
{
	struct sa_payload *sa = m->dir ? &r->qm_answer : &r->qm_offer;
	uint8_t expected[HASH_MAX_LEN];
	const char *why = "";
	char text[256];
	struct view body;

	switch (++r->in_exchange) {
	case 1:
		ike_hash1(&r->keys, r->msgid, rest_of(m), expected);
		if (!same_hash(r, "Hash(1)", hash, expected))
			return false;
		break;
	case 2:
		ike_hash2(&r->keys, r->msgid, r->qm_nonce[0], rest_of(m), expected);
		if (!same_hash(r, "Hash(2)", hash, expected))
			return false;
		break;
	default:
		ike_hash3(&r->keys, r->msgid, r->qm_nonce[0], r->qm_nonce[1], expected);
		return same_hash(r, "Hash(3)", hash, expected);
	}
	REQUIRE(r, body_of(m, PL_NONCE, &r->qm_nonce[m->dir]));
	body_of(m, PL_KE, &r->qm_ke[m->dir]);
	REQUIRE(r, body_of(m, PL_SA, &body) && sa_payload_parse(body, sa, &why) == 0);
	if (!m->dir)
		return true;
	REQUIRE(r, esp_answer_check(&r->qm_offer, &r->qm_answer, &r->esp, text, sizeof(text)) == 0);
	return note_keymat(r);
}

static bool phase2_message(struct replay *r, const struct replay_msg *m)
{
	uint8_t expected[HASH_MAX_LEN];

	REQUIRE(r, m->list.n > 0 && m->list.p[0].type == PL_HASH);
	struct view hash = m->list.p[0].body;
	if (m->hdr.exchange == EXCH_QUICK)
		return quick_message(r, m, hash);
	REQUIRE(r, m->hdr.exchange == EXCH_INFORMATIONAL);
	ike_hash1(&r->keys, r->msgid, rest_of(m), expected);
	return same_hash(r, "Hash", hash, expected);
}

/* ------------------------------------------------------------------------ messages ---------- */

static bool decrypt(struct replay *r, struct replay_msg *m)
{
	uint8_t *iv = r->phase1_iv;
	char name[40];

	REQUIRE(r, r->have_keys);
	if (m->hdr.msgid) {
		iv = r->phase2_iv;
		if (m->hdr.msgid != r->msgid) {
			r->msgid = m->hdr.msgid;
			r->in_exchange = 0;
			REQUIRE(r, ike_phase2_iv(&r->keys, r->phase1_iv, r->msgid, iv) == 0);
		}
	}
	snprintf(name, sizeof(name), "next IV for MID %u", m->hdr.msgid);
	note(r, "IV", iv, r->keys.block_len);
	note(r, name, iv, r->keys.block_len);
	REQUIRE(r,
		ike_decrypt(&r->keys, iv, m->buf + ISAKMP_HDR_LEN, m->len - ISAKMP_HDR_LEN) == 0);
	note(r, "IV", iv, r->keys.block_len);
	note(r, name, iv, r->keys.block_len);
	r->decrypted++;
	return true;
}

static bool message(struct replay *r, const struct vector_packet *p, const uint8_t *data,
		    size_t len)
{
	struct replay_msg *m = &r->msg[r->n_msgs++];
	const char *why = "";

	REQUIRE(r, len <= sizeof(m->buf));
	memcpy(m->buf, data, len);
	m->len = len;
	m->dir = memcmp(p->src, r->v->packet[0].src, 4) != 0;
	REQUIRE(r, isakmp_hdr_parse(m->buf, len, &m->hdr) == 0 && m->hdr.length == len);
	if ((m->hdr.flags & ISAKMP_FLAG_ENC) && !decrypt(r, m))
		return false;
	REQUIRE(r, payload_list_parse(m->hdr.next, m->buf + ISAKMP_HDR_LEN, len - ISAKMP_HDR_LEN,
				      &m->list, &why) == 0);
	return m->hdr.msgid ? phase2_message(r, m) : phase1_message(r, m, p);
}

bool replay_run(struct replay *r, const struct vector *v)
{
	const uint8_t *data;
	size_t len;

	memset(r, 0, sizeof(*r));
	r->v = v;
	for (unsigned i = 0; i < v->n; i++) {
		if (vector_isakmp(&v->packet[i], &data, &len)) {
			if (!message(r, &v->packet[i], data, len))
				return false;
		} else if (r->have_esp && vector_esp(&v->packet[i], &data, &len)) {
			size_t iv_len = encr_info(r->esp.t.encr)->iv_len;
			REQUIRE(r, len > 8 + iv_len);
			note(r, "IV", data + 8, iv_len);
		}
	}
	return true;
}
