/* What peers of other makers do that is not quite as the RFCs have it, or as we would. */
#include <errno.h>
#include <string.h>

#include "gss.h"
#include "pitfall.h"

#define TRACKED 256

/* The last block of each exchange as it went over the wire: where its next IV starts. */
struct wire {
	struct sim *sim;
	uint32_t msgid[TRACKED];
	uint8_t block[TRACKED][IKE_MAX_BLOCK];
	unsigned n, padded;
	uint8_t fill;
};

static uint8_t *wire_block(struct wire *w, const struct isakmp_sa *sa, uint32_t msgid)
{
	for (unsigned i = 0; i < w->n; i++)
		if (w->msgid[i] == msgid)
			return w->block[i];
	cr_assert_lt(w->n, TRACKED);
	w->msgid[w->n] = msgid;
	if (msgid)
		ike_phase2_iv(sa->keys, sa->last_block, msgid, w->block[w->n]);
	else
		memcpy(w->block[w->n], sa->keys->phase1_iv, IKE_MAX_BLOCK);
	return w->block[w->n++];
}

/* Opens a message on its way, fills its padding with anything, adds some blocks of it, and closes
 * it again, as if the sender had done so. */
static bool pad_anyhow(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg, size_t *len)
{
	struct wire *w = ctx;
	struct ike *ike = sim_engine(w->sim, from);
	struct isakmp_sa *sa = sa_find(ike, msg, msg + ISAKMP_COOKIE_LEN);
	uint8_t iv[IKE_MAX_BLOCK], *body = msg + ISAKMP_HDR_LEN, *last;
	struct payload_list l;
	const char *why;

	(void)path;
	if (!is_encrypted(msg) || !sa)
		return true;
	struct exchange *x = exchange_find(sa, msg[18], msgid_of(msg));
	if (x->replies) /* once more, and so not as it went the first time: passed over there */
		return true;
	last = wire_block(w, sa, msgid_of(msg));
	memcpy(iv, last, sizeof(iv));
	size_t plain = *len - ISAKMP_HDR_LEN, block = sa->keys->block_len;
	ike_decrypt(sa->keys, iv, body, plain);
	cr_assert_eq(payload_list_parse(msg[16], body, plain, &l, &why), 0, "%s", why);
	plain += (w->padded % 3) * block;
	for (size_t i = l.used; i < plain; i++)
		body[i] = w->fill = (uint8_t)(w->fill * 5 + 0x5b);
	*len = ISAKMP_HDR_LEN + plain;
	put_u32(msg + 24, (uint32_t)*len);
	memcpy(iv, last, sizeof(iv));
	ike_encrypt(sa->keys, iv, body, plain);
	memcpy(last, iv, sizeof(iv));
	memcpy(x->iv, iv, sizeof(iv));
	w->padded++;
	return true;
}

/* Pitfall 7. Some pad with random bytes, some with a whole block more than needed. */
Test(vendor, p07_any_padding_is_fine)
{
	for (unsigned mode = 0; mode < 2; mode++) {
		struct sim *s = nodes_with(SIM_IDLE, NULL, NULL);
		struct wire w = { .sim = s };

		for (unsigned i = 0; i < 2; i++) {
			sim_peer_cfg(s, i, 1 - i)->aggressive = mode;
			sim_peer_cfg(s, i, 1 - i)->dpd_s = 5;
		}
		sim_peer_cfg(s, 0, 1)->initiate = false;
		sim_set_tap(s, pad_anyhow, &w);
		sim_start(s);
		sim_run(s, 60 * SEC); /* with probes, and their answers */
		must_be_up(s);
		cr_expect_str_empty(sim_last_error(s, 0, 1));
		cr_expect_str_empty(sim_last_error(s, 1, 0));
		cr_expect_gt(w.padded, 8);
		sim_set_tap(s, NULL, NULL);
		two_nodes_end(s);
	}
}

/* ------------------------------------------------------------------------- Windows ---------- */

struct windows {
	struct wire wire;
	uint8_t msg[256]; /* its fourth message */
	size_t len;
	struct ike_path path;
	uint32_t msgid;
	unsigned answers;
};

/* HDR*, HASH(1), N(CONNECTED) under the message ID of the Quick Mode: what a Windows responder that
 * set the commit bit sends when message 3 has come. */
static void connected(struct windows *w, struct isakmp_sa *sa, uint8_t *iv)
{
	struct isakmp_hdr h = { .version = ISAKMP_VERSION,
				.exchange = EXCH_QUICK,
				.flags = ISAKMP_FLAG_ENC | ISAKMP_FLAG_COMMIT,
				.msgid = w->msgid };
	struct msgbuf m;

	memcpy(h.icookie, sa->icookie, ISAKMP_COOKIE_LEN);
	memcpy(h.rcookie, sa->rcookie, ISAKMP_COOKIE_LEN);
	msg_begin(&m, w->msg, sizeof(w->msg), &h);
	size_t at = msg_reserve(&m, PL_HASH, sa->keys->prf_len), rest = at + sa->keys->prf_len;
	msg_open(&m, PL_NOTIFY);
	msg_put_u32(&m, DOI_IPSEC);
	msg_put_u8(&m, PROTO_ESP);
	msg_put_u8(&m, 4);
	msg_put_u16(&m, N_CONNECTED);
	msg_put_u32(&m, 0x12345678);
	msg_close(&m);
	ike_hash1(sa->keys, w->msgid, (struct view){ w->msg + rest, m.len - rest }, w->msg + at);
	msg_pad(&m, sa->keys->block_len);
	cr_assert_gt(msg_finish(&m), 0);
	w->len = m.len;
	ike_encrypt(sa->keys, iv, w->msg + ISAKMP_HDR_LEN, w->len - ISAKMP_HDR_LEN);
}

/* Node 0 is Windows: sets the commit bit in message 2, and makes the fourth of what comes of
 * message 3. */
static bool like_windows(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg, size_t *len)
{
	struct windows *w = ctx;
	uint8_t iv[IKE_MAX_BLOCK];

	if (msg[18] != EXCH_QUICK)
		return true;
	if (w->len)
		w->answers += from == 1;
	if (from == 0)
		msg[19] |= ISAKMP_FLAG_COMMIT;
	else if (w->msgid == msgid_of(msg) && !w->len) { /* message 3 */
		struct isakmp_sa *sa = node_sa(w->wire.sim, 0);
		memcpy(iv, msg + *len - sa->keys->block_len, sa->keys->block_len);
		connected(w, sa, iv);
		w->path = *path;
	}
	w->msgid = msgid_of(msg);
	return true;
}

/* Nobody waits for it, nobody minds it: not the first time, not when it is repeated, not under
 * another message ID, not in the middle of the next Quick Mode. */
Test(vendor, windows_says_connected)
{
	struct sim *s = two_nodes();
	struct windows w = { .wire.sim = s };

	sim_peer_cfg(s, 0, 1)->initiate = false;
	sim_set_tap(s, like_windows, &w);
	sim_start(s);
	sim_run(s, SEC);
	must_be_up(s);
	cr_assert_gt(w.len, 0, "there was no message 3");
	uint32_t spi = node_pair(s, 1)->ref.spi;
	for (unsigned i = 0; i < 3; i++)
		ike_input(sim_engine(s, 1), &w.path, w.msg, w.len);
	sim_run(s, 80 * SEC); /* and when the Quick Mode is forgotten */
	ike_input(sim_engine(s, 1), &w.path, w.msg, w.len);
	sim_run(s, SEC);
	cr_expect_eq(w.answers, 0, "it was answered");
	must_be_up(s);
	cr_expect_eq(node_pair(s, 1)->ref.spi, spi);
	cr_expect_str_empty(sim_last_error(s, 1, 0));
	cr_assert_eq(ike_rekey(sim_engine(s, 1), "node0/net0"), 0);
	sim_run(s, 30 * SEC);
	must_be_up(s);
	cr_expect_neq(node_pair(s, 1)->ref.spi, spi);
	two_nodes_end(s);
}

/* ------------------------------------------------------------------------- Kerberos -------- */

/* With a KDC: tests/interop/kerberos.sh. */
Test(kerberos, without_a_keytab_it_says_so)
{
	struct ike_kerberos_cfg k[2] = {
		{ "host/node0@LAB.TEST", "host/node1@LAB.TEST", "/nowhere/keytab" },
		{ "host/node1@LAB.TEST", "host/node0@LAB.TEST", "/nowhere/keytab" }
	};
	struct sim *s = two_nodes();

	for (unsigned i = 0; i < 2; i++) {
		sim_peer_cfg(s, i, 1 - i)->auth = AUTH_KERBEROS;
		sim_peer_cfg(s, i, 1 - i)->kerberos = &k[i];
	}
	sim_peer_cfg(s, 0, 1)->initiate = false;
	sim_start(s);
	sim_run(s, 5 * SEC);
	cr_expect_eq(sim_pairs(s, 0) + sim_pairs(s, 1), 0);
	expect_text(sim_last_error(s, 1, 0), "Kerberos with node0: ");
	expect_text(sim_last_error(s, 1, 0), "No credentials cache");
	two_nodes_end(s);
}

Test(kerberos, the_hash_needs_a_context)
{
	struct ike_kerberos_cfg k = { "host/a@LAB.TEST", "host/b@LAB.TEST", "/nowhere/keytab" };
	uint8_t out[GSS_WRAPPED_MAX], long_token[GSS_TOKEN_MAX + 1] = { 0 };
	const struct view some = { (const uint8_t *)"0123456789abcdef", 16 };
	struct gss_side *g = gss_side_new(&k, false);

	cr_assert_not_null(g);
	cr_expect_eq(gss_side_take(g, (struct view){ long_token, sizeof(long_token) }), -EMSGSIZE);
	cr_expect_eq(gss_side_take(g, some), 0);
	cr_expect_neq(gss_side_step(g), 0);
	cr_expect_gt(strlen(gss_side_why(g)), 0);
	cr_expect_not(gss_side_done(g));
	cr_expect_str_empty(gss_side_peer(g));
	cr_expect_lt(gss_side_wrap(g, some, out, sizeof(out)), 0);
	cr_expect_lt(gss_side_unwrap(g, some, out, sizeof(out)), 0);
	gss_side_free(g);
}
