/* The Transaction exchange (draft-ietf-ipsec-isakmp-mode-cfg-05 section 3): HDR*, HASH, ATTR, and
 * the answer to it under the same message ID. HASH is HASH(1) in both. */
#include <string.h>

#include "access.h"
#include "secret.h"

#define XAUTH_FIRST XAUTH_TYPE
#define XAUTH_LAST  16529

static void tx_open(struct exchange *x, uint8_t type, struct msgbuf *m, size_t *hash_at)
{
	exchange_begin(x, m, true);
	*hash_at = msg_reserve(m, PL_HASH, x->sa->keys->prf_len);
	msg_open_cfg(m, type, x->tx_own.id);
}

struct exchange *tx_begin(struct isakmp_sa *sa, enum tx_kind kind, uint8_t type, struct msgbuf *m,
			  size_t *hash_at)
{
	uint32_t msgid = sa_msgid_new(sa);
	struct exchange *x = msgid ? exchange_new(sa, EXCH_TRANSACTION, true, msgid) : NULL;

	if (!x) {
		access_fail(sa, "Transaction with %s: out of memory", sa->peer->cfg.name);
		return NULL;
	}
	x->tx_own = (struct tx){ .kind = kind, .id = sa->access->tx_id };
	tx_open(x, type, m, hash_at);
	return x;
}

void tx_begin_answer(struct exchange *x, uint8_t type, struct msgbuf *m, size_t *hash_at)
{
	tx_open(x, type, m, hash_at);
}

void tx_send(struct exchange *x, struct msgbuf *m, size_t hash_at)
{
	const struct ike_keys *k = x->sa->keys;
	size_t rest = hash_at + k->prf_len;
	bool answer = !x->initiator;

	msg_close(m);
	if (m->overflow ||
	    ike_hash1(k, x->msgid, (struct view){ m->buf + rest, m->len - rest },
		      m->buf + hash_at) != 0 ||
	    exchange_send(x, m, answer ? STEP_NONE : 0) != 0)
		access_fail(x->sa, "Transaction with %s: out of memory", x->sa->peer->cfg.name);
	else if (answer)
		exchange_done(x);
}

static unsigned tx_taken(const struct isakmp_sa *sa)
{
	const struct exchange *x;
	unsigned n = 0;

	TAILQ_FOREACH(x, &sa->exchanges, link)
		n += !x->dead && x->type == EXCH_TRANSACTION && !x->initiator;
	return n;
}

void transaction_respond(struct isakmp_sa *sa, struct inmsg *m)
{
	struct exchange *x;

	if (!sa->access || sa->access->refused || sa->ike->closing ||
	    tx_taken(sa) >= (sa->locked ? TRANSACTIONS_MAX : TRANSACTIONS_LATER)) {
		sa->ike->totals.dropped++;
		return;
	}
	x = exchange_new(sa, EXCH_TRANSACTION, false, m->hdr.msgid);
	if (!x)
		return;
	exchange_receive(x, m);
	if (x->n_seen == 0)
		exchange_kill(x);
	else if (sa_msgid_use(sa, m->hdr.msgid) != 0 && !x->dead)
		exchange_kill(x);
}

/* Into ike->attrs; false when it is malformed, and the exchange is over. */
static bool tx_parse(struct exchange *x, const struct inmsg *m)
{
	const char *why;

	if (cfg_parse(need(m, PL_ATTR)->body, &x->ike->attrs, &why) == 0)
		return true;
	ike_note(x->ike, x->sa->peer, x->sa, "Transaction of %s dropped: %s", x->sa->peer->cfg.name,
		 why);
	exchange_kill(x);
	return false;
}

static bool about_xauth(const struct cfg_payload *p)
{
	for (unsigned i = 0; i < p->n; i++)
		if (p->attr[i].type >= XAUTH_FIRST && p->attr[i].type <= XAUTH_LAST)
			return true;
	return false;
}

/* Theirs. */
void tx_handle_1(struct exchange *x, const struct inmsg *m)
{
	const struct cfg_payload *p = &x->ike->attrs;

	if (!tx_parse(x, m))
		return;
	x->tx_own.id = p->id;
	if (p->type == CFG_REQUEST) {
		if (about_xauth(p))
			xauth_asked(x, p);
		else
			config_pulled(x, p);
	} else if (p->type == CFG_SET) {
		if (about_xauth(p))
			xauth_told(x, p);
		else
			config_pushed(x, p);
	} else {
		ike_note(x->ike, x->sa->peer, x->sa,
			 "Transaction of %s dropped: its first message is of type %u",
			 x->sa->peer->cfg.name, p->type);
		exchange_kill(x);
	}
}

/* The answer to ours. */
void tx_handle_2(struct exchange *x, const struct inmsg *m)
{
	const struct cfg_payload *p = &x->ike->attrs;
	enum tx_kind kind = x->tx_own.kind;
	struct isakmp_sa *sa = x->sa;
	bool asked = kind == TX_XAUTH || kind == TX_PULL;

	if (!tx_parse(x, m) || p->type != (asked ? CFG_REPLY : CFG_ACK)) {
		access_fail(sa, "%s answers our Transaction with something else",
			    sa->peer->cfg.name);
		return;
	}
	switch (kind) {
	case TX_XAUTH:
		xauth_replied(x, p);
		secret_wipe(x->ike->plain, m->plain.len); /* there was a password in it */
		return;
	case TX_STATUS:
		exchange_done(x);
		xauth_told_acked(x);
		return;
	case TX_PULL:
		exchange_done(x);
		config_replied(x, p);
		return;
	case TX_PUSH:
		exchange_done(x);
		access_done(sa);
	}
}

void tx_timeout(struct exchange *x)
{
	struct isakmp_sa *sa = x->sa;
	const char *name = sa->peer->cfg.name;

	switch (x->tx_own.kind) {
	case TX_XAUTH:
		access_fail(sa, "%s does not answer the question for its user", name);
		return;
	case TX_STATUS:
		exchange_kill(x);
		xauth_told_acked(x);
		return;
	case TX_PULL:
		access_fail(sa, "%s does not answer our request for an address", name);
		return;
	case TX_PUSH:
		access_fail(sa, "%s does not acknowledge the address that we gave it", name);
	}
}
