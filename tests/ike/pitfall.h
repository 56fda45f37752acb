/* Messages by hand and taps, for the tests of pitfalls. */
#ifndef SHRIKE_TEST_PITFALL_H
#define SHRIKE_TEST_PITFALL_H

#include "bytes.h"
#include "two_nodes.h"

#define INFO_MAX 512

static inline bool is_encrypted(const uint8_t *msg)
{
	return msg[19] & ISAKMP_FLAG_ENC;
}

static inline uint32_t msgid_of(const uint8_t *msg)
{
	return get_u32(msg + 20);
}

/* What an Informational of an SA holds behind its HASH, decrypted into buf. */
static inline bool info_open(struct isakmp_sa *sa, const uint8_t *msg, size_t len, uint8_t *buf,
			     struct payload_list *l)
{
	uint8_t iv[IKE_MAX_BLOCK];
	const char *why;

	if (!sa || !is_encrypted(msg) || msg[18] != EXCH_INFORMATIONAL || len > INFO_MAX)
		return false;
	memcpy(buf, msg + ISAKMP_HDR_LEN, len - ISAKMP_HDR_LEN);
	return ike_phase2_iv(sa->keys, sa->last_block, msgid_of(msg), iv) == 0 &&
	       ike_decrypt(sa->keys, iv, buf, len - ISAKMP_HDR_LEN) == 0 &&
	       payload_list_parse(msg[16], buf, len - ISAKMP_HDR_LEN, l, &why) == 0;
}

struct info {
	struct msgbuf m;
	uint8_t buf[INFO_MAX];
	uint32_t msgid;
	size_t hash_at;
};

static inline void info_begin(struct info *i, struct isakmp_sa *sa, uint32_t msgid, bool hash)
{
	struct isakmp_hdr h = { .version = ISAKMP_VERSION,
				.exchange = EXCH_INFORMATIONAL,
				.flags = ISAKMP_FLAG_ENC,
				.msgid = msgid };

	memcpy(h.icookie, sa->icookie, ISAKMP_COOKIE_LEN);
	memcpy(h.rcookie, sa->rcookie, ISAKMP_COOKIE_LEN);
	i->msgid = msgid;
	msg_begin(&i->m, i->buf, sizeof(i->buf), &h);
	i->hash_at = hash ? msg_reserve(&i->m, PL_HASH, sa->keys->prf_len) : 0;
}

static inline void info_delete_sa_payload(struct info *i, const struct isakmp_sa *sa)
{
	msg_open(&i->m, PL_DELETE);
	msg_put_u32(&i->m, DOI_IPSEC);
	msg_put_u8(&i->m, PROTO_ISAKMP);
	msg_put_u8(&i->m, 2 * ISAKMP_COOKIE_LEN);
	msg_put_u16(&i->m, 1);
	msg_put(&i->m, sa->icookie, ISAKMP_COOKIE_LEN);
	msg_put(&i->m, sa->rcookie, ISAKMP_COOKIE_LEN);
	msg_close(&i->m);
}

static inline void info_probe_payload(struct info *i, const struct isakmp_sa *sa)
{
	msg_open(&i->m, PL_NOTIFY);
	msg_put_u32(&i->m, DOI_IPSEC);
	msg_put_u8(&i->m, PROTO_ISAKMP);
	msg_put_u8(&i->m, 2 * ISAKMP_COOKIE_LEN);
	msg_put_u16(&i->m, N_DPD);
	msg_put(&i->m, sa->icookie, ISAKMP_COOKIE_LEN);
	msg_put(&i->m, sa->rcookie, ISAKMP_COOKIE_LEN);
	msg_put_u32(&i->m, 4711);
	msg_close(&i->m);
}

/* Hashes what stands behind the HASH payload, as it stands, and encrypts. */
static inline size_t info_end(struct info *i, const struct isakmp_sa *sa)
{
	uint8_t iv[IKE_MAX_BLOCK];

	if (i->hash_at) {
		size_t rest = i->hash_at + sa->keys->prf_len;
		ike_hash1(sa->keys, i->msgid, (struct view){ i->buf + rest, i->m.len - rest },
			  i->buf + i->hash_at);
	}
	msg_pad(&i->m, sa->keys->block_len);
	cr_assert_gt(msg_finish(&i->m), 0);
	ike_phase2_iv(sa->keys, sa->last_block, i->msgid, iv);
	ike_encrypt(sa->keys, iv, i->buf + ISAKMP_HDR_LEN, i->m.len - ISAKMP_HDR_LEN);
	return i->m.len;
}

/* Counts what a node sends. */
struct counter {
	unsigned from, n, quick;
};

static inline bool count(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg, size_t *len)
{
	struct counter *c = ctx;

	(void)path;
	(void)len;
	c->n += from == c->from;
	c->quick += from == c->from && msg[18] == EXCH_QUICK;
	return true;
}

static inline struct sim *two_nodes_up(void)
{
	struct sim *s = two_nodes();

	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	return s;
}

struct lose {
	unsigned from, exchange, skip, n; /* loses what comes after the first `skip` */
	unsigned other;                   /* messages of the other node */
	uint8_t held[2048];
	size_t held_len;
	struct ike_path path;
};

static inline bool lose_after(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg,
			      size_t *len)
{
	struct lose *l = ctx;

	l->other += from != l->from;
	if (from != l->from || (l->exchange && msg[18] != l->exchange) || l->n++ < l->skip)
		return true;
	if (!l->held_len && *len <= sizeof(l->held)) {
		memcpy(l->held, msg, *len);
		l->held_len = *len;
		l->path = path_back(path);
	}
	return false;
}

#endif
