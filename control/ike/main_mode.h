/* What main_mode.c and main_mode_sig.c share. */
#ifndef SHRIKE_IKE_MAIN_MODE_H
#define SHRIKE_IKE_MAIN_MODE_H

#include "exchange.h"

/* Both sides authenticate with signatures. */
static inline bool mm_signs(const struct isakmp_sa *sa)
{
	return sa->auth != AUTH_PSK;
}

/* HASH_I (initiator) or HASH_R over the sender's ID body; with ECDSA by the curve's hash. 0 or
 * -errno. */
int mm_auth_hash(struct exchange *x, bool initiator, struct view id, uint8_t *out);
/* Fails the exchange: rc says whether a public value or memory is to blame. */
void mm_public_failed(struct exchange *x, int rc);
/* Adds INITIAL-CONTACT, the first time since we started. */
void mm_put_contact(struct msgbuf *m, const struct isakmp_sa *sa);
bool mm_says_contact(const struct inmsg *m);
/* The peer has proved who it is: finds out whether that is who we want. Returns false when it is
 * not, and the exchange is over. */
bool mm_accept(struct exchange *x, const struct ike_id *id, bool contact);

/* main_mode_sig.c */
/* Adds CERT_REQ payloads for the CAs that we trust (RFC 4945 section 3.2). */
void mm_put_requests(struct msgbuf *m, const struct isakmp_sa *sa);
/* Notes when the peer asks for other CAs than ours. */
void mm_read_requests(struct isakmp_sa *sa, const struct payload_list *l);
/* Signs, and then sends message 5 or 6. 0 or -errno; after 0 the exchange is busy. */
int mm_sign(struct exchange *x);

#endif
