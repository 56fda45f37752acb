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
#include <string.h>

#include "diagnose.h"
#include "main_mode.h"
#include "secret.h"

uint32_t mm_life(const struct peer *peer)
{
	return peer->cfg.life_s ? peer->cfg.life_s : 14400;
}

void mm_chosen(struct isakmp_sa *sa, const struct ike_choice *c)
{
	uint32_t s = mm_life(sa->peer);
	uint64_t kb = sa->peer->cfg.life_kb;

	sa->t = c->t;
	sa->auth = c->auth;
	sa->life_s = (uint32_t)lifetime_shorter(s, c->life_s);
	sa->life_bytes = lifetime_bytes(lifetime_shorter(kb, c->life_kb));
	if (sa->initiator)
		return;
	sa->offered_s = c->life_s;
	sa->offered_kb = c->life_kb;
	/* RFC 2407 section 4.6.3.1: an answer echoes the offer, so what is shorter is told apart */
	sa->told_s = sa->life_s != c->life_s ? sa->life_s : 0;
	sa->told_kb = kb && (!c->life_kb || kb < c->life_kb) ? kb : 0;
}

int mm_verify_ke(struct exchange *x, const struct inmsg *m)
{
	size_t nonce = need(m, PL_NONCE)->body.len, ke = need(m, PL_KE)->body.len;
	const struct group_info *g = group_info(x->sa->t.group);

	if (nonce >= IKE_NONCE_MIN && nonce <= IKE_NONCE_MAX && g && ke == g->public_len)
		return 0;
	peer_error(x->sa->peer, x->sa,
		   "%s with %s: nonce of %zu bytes, public value of %zu bytes: one of the two has "
		   "a wrong length",
		   exchange_name(x->type), x->sa->peer->cfg.name, nonce, ke);
	return -EBADMSG;
}

int mm_nonce(struct exchange *x, struct buf *nonce)
{
	uint8_t n[IKE_NONCE_OURS];
	struct ike *ike = x->ike;

	if (ike->ops.random(ike->ops.ctx, n, sizeof(n)) != 0)
		return -ENOMEM;
	return buf_set(ike, nonce, n, sizeof(n));
}

struct view mm_public_ours(const struct exchange *x)
{
	return (struct view){ dh_public(x->dh), group_info(x->sa->t.group)->public_len };
}

/* Adds KE, our nonce and NAT-D, and sends. */
int mm_send_ke(struct exchange *x, struct buf *nonce, uint8_t next)
{
	struct view ours = mm_public_ours(x);
	struct msgbuf m;

	if (mm_nonce(x, nonce) != 0)
		return -ENOMEM;
	exchange_begin(x, &m, false);
	msg_payload(&m, PL_KE, ours.p, ours.len);
	msg_payload(&m, PL_NONCE, nonce->p, nonce->len);
	mm_gss_put(&m, x);
	if (mm_they_sign(x->sa))
		mm_put_requests(&m, x->sa);
	natt_write(&m, x->sa, x->sa->t.hash);
	return exchange_send(x, &m, next);
}

void mm_public_failed(struct exchange *x, int rc)
{
	exchange_fail(x, rc == -EKEYREJECTED ? N_INVALID_KEY_INFORMATION : 0,
		      rc == -EKEYREJECTED ? "the public value of %s is not usable in its group"
					  : "phase 1 with %s: out of memory",
		      x->sa->peer->cfg.name);
}

/* SKEYID and what follows from it, once g^xy is there. */
int mm_derive(struct exchange *x)
{
	struct isakmp_sa *sa = x->sa;
	const struct ike_peer_cfg *cfg = &sa->peer->cfg;
	struct view ours = mm_public_ours(x), theirs = buf_view(&x->peer_ke);
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
	if (auth_is_psk(sa->auth))
		in.psk = (struct view){ cfg->psk, cfg->psk_len };
	sa->keys = ike_secret_alloc(x->ike, sizeof(*sa->keys));
	if (!sa->keys)
		return -ENOMEM;
	int rc = ike_keys_derive(&sa->t, &in, sa->keys);
	memcpy(x->iv, sa->keys->phase1_iv, sizeof(x->iv));
	if (rc == 0 && x->ike->ops.ike_key)
		x->ike->ops.ike_key(x->ike->ops.ctx, sa->icookie, sa->keys->cipher_key,
				    sa->t.key_bits / 8);
	return rc;
}

/* Copies what the other side's KE message holds. */
int mm_take_ke(struct exchange *x, const struct inmsg *m, struct buf *nonce)
{
	struct view ke = need(m, PL_KE)->body, n = need(m, PL_NONCE)->body;

	natt_read(x->sa, &m->list);
	if (mm_we_sign(x->sa))
		mm_read_requests(x->sa, &m->list);
	if (buf_set(x->ike, &x->peer_ke, ke.p, ke.len) != 0)
		return -ENOMEM;
	return buf_set(x->ike, nonce, n.p, n.len);
}

int mm_auth_hash(struct exchange *x, bool initiator, struct view id, uint8_t *out)
{
	struct isakmp_sa *sa = x->sa;
	struct view ours = mm_public_ours(x), theirs = buf_view(&x->peer_ke);

	return ike_auth_hash_with(cert_auth_hash(auth_signature(sa->auth), sa->t.hash), sa->keys, initiator,
				  sa->initiator ? ours : theirs, sa->initiator ? theirs : ours,
				  sa->icookie, sa->rcookie, buf_view(&x->sai), id, out);
}

/* The first time since we started: the peer's older SAs are void. */
void mm_put_contact(struct msgbuf *m, const struct isakmp_sa *sa)
{
	if (!peer_first_contact(sa->peer, sa))
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

int mm_send_auth(struct exchange *x, uint8_t next)
{
	struct isakmp_sa *sa = x->sa;
	struct ike_id id = peer_local_id(sa->peer, &sa->path);
	uint8_t body[4 + IKE_MAX_ID];
	size_t len = ike_id_write(&id, body, sizeof(body));
	struct msgbuf m;
	int rc;

	exchange_begin(x, &m, true);
	msg_payload(&m, PL_ID, body, len);
	rc = mm_proof_write(&m, x, (struct view){ body, len });
	if (rc != 0)
		return rc;
	mm_put_contact(&m, sa);
	lifetime_tell_sa(&m, sa);
	return exchange_send(x, &m, next);
}

int mm_verify_auth(struct exchange *x, const struct inmsg *m)
{
	struct view hash = need(m, PL_HASH)->body, id_body = need(m, PL_ID)->body;
	uint8_t expect[HASH_MAX_LEN], got[HASH_MAX_LEN];
	struct ike_id id;
	size_t len;

	if (ike_id_parse(id_body, &id) == 0 && mm_proof_read(x, id_body, hash, expect, got, &len) &&
	    secret_equal(expect, got, len))
		return 0;
	mm_garbage(x, step_find(x->type, x->initiator, x->step));
	return -EBADMSG;
}

void mm_read_lifetime(struct isakmp_sa *sa, const struct inmsg *m)
{
	const struct payload *p;
	struct notify n;

	for (unsigned k = 0; (p = payload_find(&m->list, PL_NOTIFY, k)); k++)
		if (notify_parse(p->body, &n) == 0)
			lifetime_read_sa(sa, &n);
}

bool mm_authenticated(struct exchange *x, const struct inmsg *m)
{
	struct ike_id id;

	ike_id_parse(need(m, PL_ID)->body, &id); /* verified before */
	mm_read_lifetime(x->sa, m);
	return mm_accept(x, &id, mm_says_contact(m));
}

/* ----------------------------------------------------------------------------- failures ----- */

void mm_garbage(struct exchange *x, const struct step *s)
{
	struct ike_diagnosis d;

	diag_garbage(&d, x->sa, s->number);
	peer_diagnosis(x->sa->peer, NULL, x->sa, &d);
	if (x->notified || x->initiator)
		return;
	/* the exchange stays: anybody could have sent this, the real message may follow */
	x->notified = true;
	info_clear_notify(x->ike, &x->sa->path, x->sa->icookie, x->sa->rcookie,
			  N_PAYLOAD_MALFORMED);
}

void mm_timeout(struct exchange *x, const struct step *s)
{
	struct ike_diagnosis d;

	diag_phase1_stop(&d, x->sa, s->number - 1u, x->tries + 1);
	exchange_diagnose(x, 0, &d);
}
