/* Aggressive Mode, both roles (RFC 2409 sections 5.1 and 5.4):
 *
 *   initiator                                     responder
 *   1  HDR, SA, KE, Ni, IDii              -->
 *                                         <--     2  HDR, SA, KE, Nr, IDir, [NAT-D ..], HASH_R
 *   3  HDR*, [NAT-D ..], HASH_I           -->
 *
 * or with signatures [CERT ..], SIG_R and [CERT ..], SIG_I in the place of the hashes.
 *
 * The initiator makes its key pair before message 1, so all it offers is of one group. The
 * responder finds the connection, and with it the secret, by the identity in message 1, which
 * nothing has proved yet; whoever asks gets a hash made with the secret, and can try out secrets at
 * home. Message 3 is the first that proves anything to the responder: what matters and would stand
 * in the clear in message 2 (INITIAL-CONTACT, RESPONDER-LIFETIME) follows in an Informational. */
#include "aggressive.h"

#include <errno.h>

int am_check_ke(struct exchange *x, const struct inmsg *m, uint16_t group)
{
	size_t nonce = need(m, PL_NONCE)->body.len, ke = need(m, PL_KE)->body.len;
	const struct group_info *g = group_info(group);

	if (nonce >= IKE_NONCE_MIN && nonce <= IKE_NONCE_MAX && g && ke == g->public_len)
		return 0;
	peer_error(x->sa->peer, x->sa,
		   "Aggressive Mode with %s: nonce of %zu bytes, public value of %zu bytes: one of "
		   "the two has a wrong length",
		   x->sa->peer->cfg.name, nonce, ke);
	return -EBADMSG;
}

int am_take(struct exchange *x, const struct inmsg *m, struct buf *nonce)
{
	struct view ke = need(m, PL_KE)->body, n = need(m, PL_NONCE)->body;
	struct view id = need(m, PL_ID)->body;

	if (mm_we_sign(x->sa))
		mm_read_requests(x->sa, &m->list);
	return buf_set(x->ike, &x->peer_ke, ke.p, ke.len) != 0 ||
			       buf_set(x->ike, nonce, n.p, n.len) != 0 ||
			       buf_set(x->ike, &x->am.id, id.p, id.len) != 0
		       ? -ENOMEM
		       : 0;
}

struct view am_own_id(const struct isakmp_sa *sa, uint8_t *out)
{
	struct ike_id id = peer_local_id(sa->peer, &sa->path);

	return (struct view){ out, ike_id_write(&id, out, 4 + IKE_MAX_ID) };
}

void am_put_keys(struct msgbuf *m, struct exchange *x, const struct buf *nonce, struct view id)
{
	struct view ours = mm_public_ours(x);

	msg_payload(m, PL_KE, ours.p, ours.len);
	msg_payload(m, PL_NONCE, nonce->p, nonce->len);
	if (id.p)
		msg_payload(m, PL_ID, id.p, id.len);
}

int am_put_auth(struct msgbuf *m, struct exchange *x, struct view id)
{
	uint8_t hash[HASH_MAX_LEN];
	int rc;

	if (mm_we_sign(x->sa)) {
		mm_put_signed(m, x->work);
		return 0;
	}
	rc = mm_auth_hash(x, x->sa->initiator, id, hash);
	if (rc == 0)
		msg_payload(m, PL_HASH, hash, x->sa->keys->prf_len);
	return rc;
}

void am_no_keys(struct exchange *x)
{
	exchange_fail(x, 0, "no keys can be derived for %s: its secret or key is missing or weak",
		      x->sa->peer->cfg.name);
}
