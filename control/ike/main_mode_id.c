/* Who it is that Main Mode has authenticated: which connection its identity means. */
#include <string.h>

#include "access.h"
#include "diagnose.h"
#include "main_mode.h"
#include "secret.h"

/* Whoever authenticated to the one has authenticated to the other. */
static bool same_proof(const struct peer *a, const struct peer *b)
{
	if (a->cfg.auth != b->cfg.auth || peer_auth(a, false) != peer_auth(b, false))
		return false; /* nor has it said that it takes part in XAuth */
	if (a->cfg.auth != AUTH_PSK)
		return a->cfg.trust == b->cfg.trust && a->cfg.own && b->cfg.own;
	return a->cfg.psk_len == b->cfg.psk_len &&
	       secret_equal(a->cfg.psk, b->cfg.psk, a->cfg.psk_len);
}

/* The connection that an identity means, of those that share addresses and secret or authorities
 * with `was`: by identity first, then one that takes any. NULL: none. */
static struct peer *mm_find_peer(struct isakmp_sa *sa, struct peer *was, const struct ike_id *id)
{
	struct ike_id want = peer_remote_id(was, &sa->path);
	struct peer *p, *open = peer_is_open(was) ? was : NULL;

	if (ike_id_equal(&want, id) && (!open || sa->initiator))
		return was;
	if (sa->initiator)
		return NULL;
	for (unsigned any = 0; any < 2; any++) {
		const struct ip_addr none = { .family = IP_NONE };
		p = NULL;
		while ((p = peer_next_at(sa->ike, any ? &none : &sa->path.remote, p))) {
			if (p == was || p->cfg.aggressive || !peer_accepts(p, &sa->path) ||
			    !same_proof(p, was))
				continue;
			want = peer_remote_id(p, &sa->path);
			if (!peer_is_open(p) && ike_id_equal(&want, id))
				return p;
			if (!open && peer_is_open(p))
				open = p;
		}
	}
	return open;
}

static bool peer_allows(const struct peer *p, const struct ike_transform *t)
{
	for (unsigned i = 0; i < p->cfg.n_ike; i++) {
		const struct ike_transform *o = &p->cfg.ike[i];
		if (o->encr == t->encr && o->key_bits == t->key_bits && o->hash == t->hash &&
		    o->group == t->group)
			return true;
	}
	return false;
}

static void mm_wrong_identity(struct exchange *x, const struct ike_id *got)
{
	struct ike_id want = peer_remote_id(x->sa->peer, &x->sa->path);
	struct ike_diagnosis d;

	diag_identity(&d, x->sa, &want, got);
	exchange_diagnose(x, N_INVALID_ID_INFORMATION, &d);
}

/* The identity that was proved must be the one configured; where several connections share the
 * address and the secret, it says which of them this is, and that one decides whether it wants it.
 * Returns false after failing the exchange. */
static bool mm_identify(struct exchange *x, const struct ike_id *id)
{
	struct isakmp_sa *sa = x->sa;
	struct peer *was = sa->peer, *p = mm_find_peer(sa, was, id);
	char t[TRANSFORM_STR_LEN];

	if (!p) {
		mm_wrong_identity(x, id);
		return false;
	}
	if (p == was)
		return true;
	sa_move(sa, p);
	if (p->down) {
		exchange_fail(x, N_AUTHENTICATION_FAILED,
			      "%s of %s refused: down by command", exchange_name(x->type),
			      p->cfg.name);
		return false;
	}
	if (!peer_allows(p, &sa->t)) {
		exchange_fail(
			x, N_NO_PROPOSAL_CHOSEN,
			"Main Mode of %s refused: %s is not among its proposals (chosen for %s, "
			"which has the same addresses)",
			p->cfg.name, ike_transform_str(&sa->t, t, sizeof(t)), was->cfg.name);
		return false;
	}
	return true;
}

bool mm_says_contact(const struct inmsg *m)
{
	const struct payload *p;
	struct notify n;

	for (unsigned k = 0; (p = payload_find(&m->list, PL_NOTIFY, k)); k++)
		if (notify_parse(p->body, &n) == 0 && n.type == N_INITIAL_CONTACT)
			return true;
	return false;
}

bool mm_accept(struct exchange *x, const struct ike_id *id, bool contact)
{
	if (!mm_identify(x, id))
		return false;
	mm_accepted(x, id, contact);
	return true;
}

void mm_accepted(struct exchange *x, const struct ike_id *id, bool contact)
{
	struct isakmp_sa *sa = x->sa;

	sa->remote_id = *id;
	if (!contact || access_contact(sa))
		return;
	ike_note(x->ike, sa->peer, sa, "%s has started anew (INITIAL-CONTACT)", sa->peer->cfg.name);
	peer_forget_before(sa->peer, sa->heard_us, sa);
}

void phase1_done(struct exchange *x)
{
	sa_established(x->sa, x->iv);
	exchange_done(x);
}
