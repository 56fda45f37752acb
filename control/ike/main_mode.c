/* Main Mode, both roles (RFC 2409 section 5.4; with signatures main_mode_sig.c takes over for the
 * last two messages):
 *
 *   initiator                              responder
 *   1  HDR, SA                     -->
 *                                  <--     2  HDR, SA
 *   3  HDR, KE, Ni, [NAT-D ..]     -->
 *                                  <--     4  HDR, KE, Nr, [NAT-D ..]
 *   5  HDR*, IDii, HASH_I          -->
 *                                  <--     6  HDR*, IDir, HASH_R
 *
 * The initiator makes its key pair after message 2 and the secret after message 4, the responder
 * both after message 3: each time a job, and the next message when it is done. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "main_mode.h"
#include "secret.h"

#define WHY_LEN 300

static uint32_t phase1_life(const struct peer *peer)
{
	return peer->cfg.life_s ? peer->cfg.life_s : 14400;
}

int main_mode_start(struct peer *peer)
{
	struct ike *ike = peer->ike;
	struct ike_path path = { peer->cfg.local, peer->cfg.remote, 500, 500 };
	struct isakmp_sa *sa = sa_new(peer, &path, true);
	struct exchange *x = sa ? exchange_new(sa, EXCH_IDENTITY_PROTECTION, true, 0) : NULL;
	struct msgbuf m;

	if (!x)
		goto failed;
	exchange_begin(x, &m, false);
	ike_offer_write(&m, peer->cfg.ike, peer->cfg.n_ike, peer->cfg.auth, phase1_life(peer), 0);
	if (m.overflow ||
	    buf_set(ike, &x->sai, m.buf + ISAKMP_HDR_LEN + 4, m.len - ISAKMP_HDR_LEN - 4) != 0)
		goto failed;
	vendor_write(&m, sa);
	ike_note(ike, peer, sa, "Main Mode to %s begins", peer->cfg.name);
	if (exchange_send(x, &m, 0) != 0)
		goto failed;
	return 0;
failed:
	if (sa)
		sa_kill(sa);
	return -ENOMEM;
}

void main_mode_respond(struct ike *ike, struct peer *peer, struct inmsg *m)
{
	struct isakmp_sa *sa = sa_new(peer, m->path, false);
	struct exchange *x = NULL;

	if (!sa)
		return;
	memcpy(sa->icookie, m->hdr.icookie, ISAKMP_COOKIE_LEN);
	sa_publish(sa);
	x = exchange_new(sa, EXCH_IDENTITY_PROTECTION, false, 0);
	if (x)
		exchange_receive(x, m);
	if (!x || (!x->dead && x->n_seen == 0)) /* not even a message 1 */
		sa_kill(sa);
	(void)ike;
}

/* -------------------------------------------------------------------- messages 1 and 2 ------ */

int mm_verify_1(struct exchange *x, const struct inmsg *m)
{
	const char *why = "";

	if (sa_payload_parse(need(m, PL_SA)->body, &x->ike->offer, &why) == 0)
		return 0;
	ike_note(x->ike, x->sa->peer, x->sa, "Main Mode message 1 dropped: %s", why);
	return -EBADMSG;
}

static void mm_chosen(struct isakmp_sa *sa, const struct ike_choice *c)
{
	sa->t = c->t;
	sa->auth = c->auth;
	sa->life_s = phase1_life(sa->peer);
	if (c->life_s && c->life_s < sa->life_s)
		sa->life_s = c->life_s;
}

/* What this connection accepts; else what another between the same addresses does that
 * authenticates in another way. 0 with sa->peer the one that accepted. */
static int mm_select(struct isakmp_sa *sa, struct ike_choice *out, char *why, size_t why_size)
{
	const struct sa_payload *offer = &sa->ike->offer;
	const struct ip_addr none = { .family = IP_NONE };
	struct peer *was = sa->peer, *p;
	char other[WHY_LEN];

	if (ike_offer_select(offer, was->cfg.ike, was->cfg.n_ike, was->cfg.auth, out, why,
			     why_size) == 0)
		return 0;
	for (unsigned any = 0; any < 2; any++) {
		p = NULL;
		while ((p = peer_next_at(sa->ike, any ? &none : &sa->path.remote, p))) {
			if (p->cfg.auth == was->cfg.auth || p->down ||
			    !peer_accepts(p, &sa->path) ||
			    ike_offer_select(offer, p->cfg.ike, p->cfg.n_ike, p->cfg.auth, out,
					     other, sizeof(other)) != 0)
				continue;
			sa_move(sa, p);
			return 0;
		}
	}
	return -ENOENT;
}

void mm_handle_1(struct exchange *x, const struct inmsg *in)
{
	struct isakmp_sa *sa = x->sa;
	struct view body = need(in, PL_SA)->body;
	struct ike_choice choice = { 0 };
	char why[WHY_LEN] = "";
	struct msgbuf m;

	sa->heard_us = ike_now(x->ike);
	if (mm_select(sa, &choice, why, sizeof(why)) != 0) {
		exchange_fail(x, N_NO_PROPOSAL_CHOSEN,
			      "no phase 1 proposal of %s is acceptable: %s", sa->peer->cfg.name,
			      why);
		return;
	}
	mm_chosen(sa, &choice);
	vendor_read(sa, &in->list);
	exchange_begin(x, &m, false);
	answer_write(&m, &x->ike->offer, choice.proposal, choice.transform, 0);
	vendor_write(&m, sa);
	if (buf_set(x->ike, &x->sai, body.p, body.len) != 0 || exchange_send(x, &m, 1) != 0)
		exchange_fail(x, 0, "Main Mode with %s: out of memory", sa->peer->cfg.name);
}

static int mm_check_answer(struct exchange *x, const struct inmsg *m, struct ike_choice *out)
{
	char why[WHY_LEN] = "";
	const char *bad = why;
	struct ike *ike = x->ike;

	if (sa_payload_parse(buf_view(&x->sai), &ike->offer, &bad) == 0 &&
	    sa_payload_parse(need(m, PL_SA)->body, &ike->answer, &bad) == 0 &&
	    ike_answer_check(&ike->offer, &ike->answer, out, why, sizeof(why)) == 0)
		return 0;
	peer_error(x->sa->peer, x->sa, "the answer of %s to our phase 1 offer is not one of it: %s",
		   x->sa->peer->cfg.name, bad);
	return -EBADMSG;
}

int mm_verify_2(struct exchange *x, const struct inmsg *m)
{
	static const uint8_t zero[ISAKMP_COOKIE_LEN];
	struct ike_choice choice;

	if (memcmp(m->hdr.rcookie, zero, sizeof(zero)) == 0)
		return -EBADMSG;
	return mm_check_answer(x, m, &choice);
}

/* ----------------------------------------------------------------------- messages 3, 4 ------ */

int mm_verify_ke(struct exchange *x, const struct inmsg *m)
{
	size_t nonce = need(m, PL_NONCE)->body.len, ke = need(m, PL_KE)->body.len;
	const struct group_info *g = group_info(x->sa->t.group);

	if (nonce >= IKE_NONCE_MIN && nonce <= IKE_NONCE_MAX && g && ke == g->public_len)
		return 0;
	peer_error(x->sa->peer, x->sa,
		   "Main Mode with %s: nonce of %zu bytes, public value of %zu bytes: one of the "
		   "two has a wrong length",
		   x->sa->peer->cfg.name, nonce, ke);
	return -EBADMSG;
}

/* Adds KE, our nonce and NAT-D, and sends. */
static int mm_send_ke(struct exchange *x, struct buf *nonce, uint8_t next)
{
	uint8_t n[IKE_NONCE_OURS];
	struct ike *ike = x->ike;
	struct msgbuf m;

	if (ike->ops.random(ike->ops.ctx, n, sizeof(n)) != 0 ||
	    buf_set(ike, nonce, n, sizeof(n)) != 0)
		return -ENOMEM;
	exchange_begin(x, &m, false);
	msg_payload(&m, PL_KE, dh_public(x->dh), group_info(x->sa->t.group)->public_len);
	msg_payload(&m, PL_NONCE, n, sizeof(n));
	if (mm_signs(x->sa))
		mm_put_requests(&m, x->sa);
	natt_write(&m, x->sa, x->sa->t.hash);
	return exchange_send(x, &m, next);
}

void mm_public_failed(struct exchange *x, int rc)
{
	exchange_fail(x, rc == -EKEYREJECTED ? N_INVALID_KEY_INFORMATION : 0,
		      rc == -EKEYREJECTED ? "the public value of %s is not usable in its group"
					  : "Main Mode with %s: out of memory",
		      x->sa->peer->cfg.name);
}

static void mm_send_3(struct exchange *x, int rc)
{
	if (rc != 0 || mm_send_ke(x, &x->ni, 1) != 0)
		mm_public_failed(x, rc);
}

void mm_handle_2(struct exchange *x, const struct inmsg *m)
{
	struct isakmp_sa *sa = x->sa;
	struct ike_choice choice;

	if (mm_check_answer(x, m, &choice) != 0)
		return;
	memcpy(sa->rcookie, m->hdr.rcookie, ISAKMP_COOKIE_LEN);
	sa->heard_us = ike_now(x->ike);
	mm_chosen(sa, &choice);
	vendor_read(sa, &m->list);
	if (job_start(x, sa->t.group, mm_send_3) != 0)
		mm_public_failed(x, -ENOMEM);
}

/* SKEYID and what follows from it, once g^xy is there. */
static int mm_derive(struct exchange *x)
{
	struct isakmp_sa *sa = x->sa;
	const struct ike_peer_cfg *cfg = &sa->peer->cfg;
	struct view ours = { dh_public(x->dh), group_info(sa->t.group)->public_len };
	struct view theirs = buf_view(&x->peer_ke);
	struct ike_keys_in in = {
		.ni = buf_view(&x->ni),
		.nr = buf_view(&x->nr),
		.gxy = buf_view(&x->gxy),
		.gxi = sa->initiator ? ours : theirs,
		.gxr = sa->initiator ? theirs : ours,
		.icookie = sa->icookie,
		.rcookie = sa->rcookie,
	};

	if (!peer_has_credentials(sa->peer))
		return -EINVAL;
	if (!mm_signs(sa))
		in.psk = (struct view){ cfg->psk, cfg->psk_len };
	sa->keys = ike_secret_alloc(x->ike, sizeof(*sa->keys));
	if (!sa->keys)
		return -ENOMEM;
	int rc = ike_keys_derive(&sa->t, &in, sa->keys);
	memcpy(x->iv, sa->keys->phase1_iv, sizeof(x->iv));
	return rc;
}

static void mm_send_4(struct exchange *x, int rc)
{
	if (rc != 0 || mm_send_ke(x, &x->nr, mm_signs(x->sa) ? MM_STEP_SIGNED : MM_STEP_AUTH) != 0)
		mm_public_failed(x, rc);
	else if (mm_derive(x) != 0)
		exchange_fail(x, 0,
			      "no keys can be derived for %s: its secret or key is missing or weak",
			      x->sa->peer->cfg.name);
}

/* Copies what the other side's KE message holds. */
static int mm_take_ke(struct exchange *x, const struct inmsg *m, struct buf *nonce)
{
	struct view ke = need(m, PL_KE)->body, n = need(m, PL_NONCE)->body;

	natt_read(x->sa, &m->list);
	if (mm_signs(x->sa))
		mm_read_requests(x->sa, &m->list);
	if (buf_set(x->ike, &x->peer_ke, ke.p, ke.len) != 0)
		return -ENOMEM;
	return buf_set(x->ike, nonce, n.p, n.len);
}

void mm_handle_3(struct exchange *x, const struct inmsg *m)
{
	if (mm_take_ke(x, m, &x->ni) != 0 || job_start(x, x->sa->t.group, mm_send_4) != 0)
		mm_public_failed(x, -ENOMEM);
}

/* -------------------------------------------------------------------- messages 5 and 6 ------ */

int mm_auth_hash(struct exchange *x, bool initiator, struct view id, uint8_t *out)
{
	struct isakmp_sa *sa = x->sa;
	struct view ours = { dh_public(x->dh), group_info(sa->t.group)->public_len };
	struct view theirs = buf_view(&x->peer_ke);

	return ike_auth_hash_with(cert_auth_hash(sa->auth, sa->t.hash), sa->keys, initiator,
				  sa->initiator ? ours : theirs, sa->initiator ? theirs : ours,
				  sa->icookie, sa->rcookie, buf_view(&x->sai), id, out);
}

/* The first time since we started: the peer's older SAs are void. */
void mm_put_contact(struct msgbuf *m, const struct isakmp_sa *sa)
{
	if (sa->peer->contacted)
		return;
	msg_open(m, PL_NOTIFY);
	msg_put_u32(m, DOI_IPSEC);
	msg_put_u8(m, PROTO_ISAKMP);
	msg_put_u8(m, 2 * ISAKMP_COOKIE_LEN);
	msg_put_u16(m, N_INITIAL_CONTACT);
	msg_put(m, sa->icookie, ISAKMP_COOKIE_LEN);
	msg_put(m, sa->rcookie, ISAKMP_COOKIE_LEN);
	msg_close(m);
}

static int mm_send_auth(struct exchange *x, uint8_t next)
{
	struct isakmp_sa *sa = x->sa;
	struct ike_id id = peer_local_id(sa->peer, &sa->path);
	uint8_t body[4 + IKE_MAX_ID], hash[HASH_MAX_LEN];
	size_t len = ike_id_write(&id, body, sizeof(body));
	struct msgbuf m;
	int rc = mm_auth_hash(x, sa->initiator, (struct view){ body, len }, hash);

	if (rc != 0)
		return rc;
	exchange_begin(x, &m, true);
	msg_payload(&m, PL_ID, body, len);
	msg_payload(&m, PL_HASH, hash, sa->keys->prf_len);
	mm_put_contact(&m, sa);
	return exchange_send(x, &m, next);
}

static void mm_send_5(struct exchange *x, int rc)
{
	if (rc != 0) {
		mm_public_failed(x, rc);
		return;
	}
	if (mm_derive(x) != 0) {
		exchange_fail(x, 0,
			      "no keys can be derived for %s: its secret or key is missing or weak",
			      x->sa->peer->cfg.name);
		return;
	}
	natt_float(x->sa);
	if ((mm_signs(x->sa) ? mm_sign(x) : mm_send_auth(x, MM_STEP_AUTH)) != 0)
		mm_public_failed(x, -ENOMEM);
}

void mm_handle_4(struct exchange *x, const struct inmsg *m)
{
	if (mm_take_ke(x, m, &x->nr) != 0 || job_start(x, x->sa->t.group, mm_send_5) != 0)
		mm_public_failed(x, -ENOMEM);
}

int mm_verify_auth(struct exchange *x, const struct inmsg *m)
{
	struct isakmp_sa *sa = x->sa;
	struct view hash = need(m, PL_HASH)->body, id_body = need(m, PL_ID)->body;
	uint8_t expect[HASH_MAX_LEN];
	struct ike_id id;

	if (ike_id_parse(id_body, &id) == 0 && hash.len == sa->keys->prf_len &&
	    mm_auth_hash(x, !sa->initiator, id_body, expect) == 0 &&
	    secret_equal(expect, hash.p, hash.len))
		return 0;
	mm_garbage(x, step_find(x->type, x->initiator, x->step));
	return -EBADMSG;
}

/* Whoever authenticated to the one has authenticated to the other. */
static bool same_proof(const struct peer *a, const struct peer *b)
{
	if (a->cfg.auth != b->cfg.auth)
		return false;
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
			if (p == was || !peer_accepts(p, &sa->path) || !same_proof(p, was))
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
	char a[300], b[300];

	exchange_fail(x, N_INVALID_ID_INFORMATION,
		      "the identity of %s differs: expected %s %.120s, received %s %.120s",
		      x->sa->peer->cfg.name, ike_id_type_name(want.type),
		      ike_id_str(&want, a, sizeof(a)), ike_id_type_name(got->type),
		      ike_id_str(got, b, sizeof(b)));
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
			      "Main Mode of %s refused: down by command", p->cfg.name);
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
	struct isakmp_sa *sa = x->sa;

	if (!mm_identify(x, id))
		return false;
	sa->remote_id = *id;
	if (contact) {
		ike_note(x->ike, sa->peer, sa, "%s has started anew (INITIAL-CONTACT)",
			 sa->peer->cfg.name);
		peer_forget_before(sa->peer, sa->heard_us, sa);
	}
	return true;
}

static bool mm_authenticated(struct exchange *x, const struct inmsg *m)
{
	struct ike_id id;

	ike_id_parse(need(m, PL_ID)->body, &id); /* verified before */
	return mm_accept(x, &id, mm_says_contact(m));
}

void mm_handle_5(struct exchange *x, const struct inmsg *m)
{
	if (!mm_authenticated(x, m))
		return;
	if (mm_send_auth(x, STEP_NONE) != 0) {
		mm_public_failed(x, -ENOMEM);
		return;
	}
	sa_established(x->sa, x->iv);
	exchange_done(x);
}

void mm_handle_6(struct exchange *x, const struct inmsg *m)
{
	if (!mm_authenticated(x, m))
		return;
	sa_established(x->sa, x->iv);
	exchange_done(x);
}

/* ----------------------------------------------------------------------------- failures ----- */

void mm_garbage(struct exchange *x, const struct step *s)
{
	const struct ike_peer_cfg *cfg = &x->sa->peer->cfg;

	if (mm_signs(x->sa))
		peer_error(x->sa->peer, x->sa, "%s of %s cannot be read: damaged, or forged",
			   s->name, cfg->name);
	else
		peer_error(
			x->sa->peer, x->sa,
			"%s does not verify: probable pre-shared key mismatch with %s (secret %s)",
			s->name, cfg->name, cfg->psk_name);
	if (x->notified || x->initiator)
		return;
	/* the exchange stays: anybody could have sent this, the real message may follow */
	x->notified = true;
	info_clear_notify(x->ike, &x->sa->path, x->sa->icookie, x->sa->rcookie,
			  N_PAYLOAD_MALFORMED);
}

void mm_timeout(struct exchange *x, const struct step *s)
{
	struct isakmp_sa *sa = x->sa;
	const struct ike_peer_cfg *cfg = &sa->peer->cfg;
	char addr[ADDR_STR_LEN];

	ip_addr_str(&sa->path.remote, addr, sizeof(addr));
	if (s->number == 6 && mm_signs(sa))
		exchange_fail(x, 0,
			      "%s (%s) does not answer Main Mode message 5 on UDP port %u: it does "
			      "not accept our certificate or identity, or the fragments of a long "
			      "message get lost on the way%s%s",
			      cfg->name, addr, sa->path.remote_port, sa->hint[0] ? "; " : "",
			      sa->hint);
	else if (s->number == 6)
		exchange_fail(
			x, 0,
			"%s (%s) does not answer Main Mode message 5 on UDP port %u: probable "
			"pre-shared key mismatch with %s (secret %s)%s%s",
			cfg->name, addr, sa->path.remote_port, cfg->name, cfg->psk_name,
			sa->hint[0] ? "; " : "", sa->hint);
	else
		exchange_fail(x, 0,
			      "%s (%s) is silent on UDP port %u: no answer to Main Mode message %u "
			      "sent %u times%s%s",
			      cfg->name, addr, sa->path.remote_port, s->number - 1u, x->tries + 1,
			      sa->hint[0] ? "; " : "", sa->hint);
}
