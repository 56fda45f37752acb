/* Mutated messages into a live engine, before and after decryption. Two nodes of the simulated
 * network negotiate; at one of their messages, chosen by the input, changed copies of it go to the
 * receiver first. A copy may be changed as it is on the wire, or in its plaintext and encrypted
 * again with the real keys, with or without a valid hash: so that every state sees every kind of
 * nonsense, also from a peer that is authenticated. Whatever was taken for real, nothing may crash,
 * leak, hang or confuse the sink.
 *
 * Input: options, index of the message, then for each copy: how, number of edits, edits of three
 * bytes (offset, value). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "exchange.h"
#include "sim.h"
#include "sim_access.h"

#define SEC     1000000ull
#define MAX_MSG 2048
#define COPIES  48

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static unsigned long messages;

__attribute__((destructor)) static void report(void)
{
	fprintf(stderr, "%lu changed messages reached an engine\n", messages);
}

enum how { HOW_PLAIN = 1, HOW_HASH = 2, HOW_NEW_ID = 4, HOW_CUT = 8, HOW_INSERT = 16 };

struct attack {
	struct sim *sim;
	const uint8_t *data;
	size_t len, pos;
	uint8_t round;
	unsigned at, seen;
	bool busy;
};

struct target { /* the receiver's view of the message */
	struct isakmp_sa *sa;
	struct exchange *x; /* NULL: a new exchange */
	uint8_t iv[IKE_MAX_BLOCK];
};

static bool target_find(struct ike *ike, const struct isakmp_hdr *h, struct target *t)
{
	t->sa = sa_find(ike, h->icookie, h->rcookie);
	if (!t->sa || !t->sa->keys)
		return false;
	t->x = exchange_find(t->sa, h->exchange, h->msgid);
	if (t->x)
		memcpy(t->iv, t->x->iv, sizeof(t->iv));
	else
		ike_phase2_iv(t->sa->keys, t->sa->last_block, h->msgid, t->iv);
	return true;
}

/* What the receiver will expect in a HASH payload, written into the plaintext. */
static void fix_hash(const struct target *t, const struct isakmp_hdr *h, uint8_t *plain, size_t len)
{
	const struct ike_keys *k = t->sa->keys;
	static struct payload_list l;
	const char *why;

	if (payload_list_parse(h->next, plain, len, &l, &why) != 0)
		return;
	const struct payload *hash = payload_find(&l, PL_HASH, 0), *id = payload_find(&l, PL_ID, 0);
	if (!hash || hash->body.len != k->prf_len)
		return;
	uint8_t *out = plain + (hash->body.p - plain);
	struct view rest = { hash->body.p + hash->body.len,
			     l.used - (size_t)(hash->body.p + hash->body.len - plain) };
	if (!t->x || h->exchange == EXCH_TRANSACTION) {
		ike_hash1(k, h->msgid, rest, out);
	} else if (h->exchange == EXCH_QUICK && t->x->initiator) {
		ike_hash2(k, h->msgid, buf_view(&t->x->ni), rest, out);
	} else if (h->exchange == EXCH_QUICK) {
		ike_hash3(k, h->msgid, buf_view(&t->x->ni), buf_view(&t->x->nr), out);
	} else if ((id || t->x->am.id.len) && t->x->dh && t->x->peer_ke.len) {
		struct view ours = { dh_public(t->x->dh), t->x->peer_ke.len };
		struct view theirs = buf_view(&t->x->peer_ke);
		bool init = t->x->initiator;
		ike_auth_hash(k, !init, init ? ours : theirs, init ? theirs : ours, t->sa->icookie,
			      t->sa->rcookie, buf_view(&t->x->sai),
			      id ? id->body : buf_view(&t->x->am.id), out);
	}
}

/* The input's next byte; behind its end it begins again, changed, so that a short one makes as many
 * different copies as a long one. */
static uint8_t take(struct attack *a)
{
	if (a->pos == a->len) {
		a->pos = 0;
		a->round = (uint8_t)(a->round * 5 + 0x4d);
	}
	return a->data[a->pos++] ^ a->round;
}

static size_t edit(struct attack *a, uint8_t how, uint8_t *buf, size_t from, size_t len, size_t cap)
{
	unsigned edits = take(a) % 8;

	for (unsigned i = 0; i < edits; i++) {
		size_t at = from + (size_t)(take(a) << 8 | take(a)) % (len - from + 1);
		uint8_t value = take(a);
		if ((how & HOW_CUT) && i == 0) {
			len = at;
		} else if ((how & HOW_INSERT) && i == 0 && len + value <= cap) {
			memmove(buf + at + value, buf + at, len - at);
			len += value;
		} else if (at < len) {
			buf[at] = value;
		}
	}
	return len;
}

/* One changed copy of the message goes to the receiver. */
static void attack_once(struct attack *a, unsigned to, const struct ike_path *seen,
			const uint8_t *msg, size_t len)
{
	struct ike *ike = sim_engine(a->sim, to);
	uint8_t how = take(a), buf[MAX_MSG + 16];
	struct isakmp_hdr h;
	struct target t = { 0 };

	memcpy(buf, msg, len);
	if (isakmp_hdr_parse(buf, len, &h) != 0)
		return;
	if (!(how & HOW_PLAIN) || !(h.flags & ISAKMP_FLAG_ENC) || !target_find(ike, &h, &t)) {
		len = edit(a, how, buf, 0, len, MAX_MSG);
	} else {
		ike_decrypt(t.sa->keys, t.iv, buf + ISAKMP_HDR_LEN, len - ISAKMP_HDR_LEN);
		len = edit(a, how, buf, ISAKMP_HDR_LEN, len, MAX_MSG);
		if ((how & HOW_NEW_ID) && !exchange_is_phase1(h.exchange))
			buf[20] ^= take(a);
		isakmp_hdr_parse(buf, len, &h);
		while ((len - ISAKMP_HDR_LEN) % t.sa->keys->block_len)
			buf[len++] = 0;
		buf[24] = buf[25] = 0;
		buf[26] = (uint8_t)(len >> 8);
		buf[27] = (uint8_t)len;
		memcpy(h.icookie, buf, 8);
		if (isakmp_hdr_parse(buf, len, &h) != 0 || !target_find(ike, &h, &t))
			return;
		if (how & HOW_HASH)
			fix_hash(&t, &h, buf + ISAKMP_HDR_LEN, len - ISAKMP_HDR_LEN);
		ike_encrypt(t.sa->keys, t.iv, buf + ISAKMP_HDR_LEN, len - ISAKMP_HDR_LEN);
	}
	uint8_t *exact = malloc(len ? len : 1); /* a sanitizer sees the first byte beyond */
	memcpy(exact, buf, len);
	messages++;
	ike_input(ike, seen, exact, len);
	free(exact);
}

static bool tap(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg, size_t *len)
{
	struct attack *a = ctx;
	struct ike_path seen = { path->remote, path->local, path->remote_port, path->local_port };

	if (a->busy || a->seen++ != a->at || *len > MAX_MSG)
		return true;
	a->busy = true;
	for (unsigned i = 0; i < COPIES; i++)
		attack_once(a, 1 - from, &seen, msg, *len);
	a->busy = false;
	return true;
}

static void bend(struct sim *s, uint8_t options)
{
	for (unsigned i = 0; i < 2; i++) {
		struct ike_peer_cfg *p = sim_peer_cfg(s, i, 1 - i);
		p->n_children = 1;
		p->life_s = 60;
		p->margin_s = 20;
		p->dpd_s = options & 4 ? 5 : 0;
		p->retries = 2;
		p->force_encap = options & 2;
		p->aggressive = options & 16;
		p->fragmentation = options & 16 ? FRAGMENTATION_FORCE : FRAGMENTATION_YES;
		p->fragment_size = options & 16 ? IKE_FRAGMENT_MIN : 0;
		p->children[0].life_s = 40;
		p->children[0].margin_s = 10;
		p->children[0].esp[0].group = options & 1 ? 19 : 0;
		p->children[0].start = i == 0 && !(options & 8) ? START_PASSIVE : START_IMMEDIATE;
	}
	if (options & 32)
		sim_access_use(s, 2, options >> 6 & 3);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct sim_cfg cfg = {
		.seed = 1, .nodes = 2, .faults = SIM_IDLE, .delay_min_us = 100, .delay_max_us = 2000
	};

	if (len < 3)
		return 0;
	struct sim *s = sim_new(&cfg);
	struct attack a = { .sim = s, .data = data + 2, .len = len - 2, .at = data[1] % 40 };
	bend(s, data[0]);
	sim_set_tap(s, tap, &a);
	sim_start(s);
	sim_run(s, 75 * SEC);
	sim_finish(s);
	if (sim_error(s)) {
		fprintf(stderr, "%s\n", sim_error(s));
		abort();
	}
	sim_free(s);
	return 0;
}
