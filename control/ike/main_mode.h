/* What the files of Main Mode share with each other and with Aggressive Mode (am_*). */
#ifndef SHRIKE_IKE_MAIN_MODE_H
#define SHRIKE_IKE_MAIN_MODE_H

#include "exchange.h"

/* Who authenticates with a signature; with hybrid methods only the side that has no user. */
static inline bool mm_we_sign(const struct isakmp_sa *sa)
{
	return auth_signs(sa->auth, sa->initiator);
}

static inline bool mm_they_sign(const struct isakmp_sa *sa)
{
	return auth_signs(sa->auth, !sa->initiator);
}

/* The lifetime that we offer, in seconds. */
uint32_t mm_life(const struct peer *peer);
/* Takes over what was agreed on; of the lifetimes the shorter. */
void mm_chosen(struct isakmp_sa *sa, const struct ike_choice *c);
/* Sends our public value, a fresh nonce (kept in *nonce) and NAT-D; then waits for step next. 0 or
 * -errno. */
int mm_send_ke(struct exchange *x, struct buf *nonce, uint8_t next);
/* A fresh nonce of ours. 0 or -ENOMEM. */
int mm_nonce(struct exchange *x, struct buf *nonce);
/* Keeps the other side's public value and its nonce. 0 or -ENOMEM. */
int mm_take_ke(struct exchange *x, const struct inmsg *m, struct buf *nonce);
/* SKEYID and what follows from it, once g^xy is there. 0 or -errno. */
int mm_derive(struct exchange *x);
/* The public values of both sides, once x->dh is there. */
struct view mm_public_ours(const struct exchange *x);
/* Sends our identity and HASH_I or HASH_R. 0 or -errno. */
int mm_send_auth(struct exchange *x, uint8_t next);
/* Heeds RESPONDER-LIFETIME in message 6. */
void mm_read_lifetime(struct isakmp_sa *sa, const struct inmsg *m);
/* Who proved itself last gets this for an answer: an error, or (notify 0) a DELETE, at once and before anything was
 * done under the SA. */
bool phase1_refusal(const struct isakmp_sa *sa, uint16_t notify);
/* Its hash verified: see mm_accept(). */
bool mm_authenticated(struct exchange *x, const struct inmsg *m);

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
/* The same once the connection is found. */
void mm_accepted(struct exchange *x, const struct ike_id *id, bool contact);
/* The SA stands, and with it the exchange is over. */
void phase1_done(struct exchange *x);

/* The responder, to a message 5 that proved who sent it: sends message 6. */
void mm_answer_5(struct exchange *x);

/* main_mode_gss.c: what Kerberos adds; without it these do what they would without */
/* Our GSS Identity Name into out (2 * GSS_PRINCIPAL_LEN bytes); empty without Kerberos. */
struct view gss_own_name(const struct peer *peer, uint8_t *out);
/* Keeps the other side's, of the transform (an index) in the SA payload that it sent. 0 or -ENOMEM. */
int mm_gss_name(struct exchange *x, const struct sa_payload *sa, unsigned transform);
/* Adds our token. */
void mm_gss_put(struct msgbuf *m, const struct exchange *x);
/* Keeps the other side's token. Returns false after failing the exchange. */
bool mm_gss_take(struct exchange *x, const struct inmsg *m);
/* Makes our next token on another thread; then(x, 0) when it is there. */
void mm_gss_step(struct exchange *x, void (*then)(struct exchange *x, int rc));
/* Adds HASH_I or HASH_R over our ID body. 0 or -errno. */
int mm_proof_write(struct msgbuf *m, struct exchange *x, struct view id);
/* What the other side's HASH payload should say of its ID body, and what it does (HASH_MAX_LEN bytes
 * each). False when it cannot be read. */
bool mm_proof_read(struct exchange *x, struct view id, struct view proof, uint8_t *expect,
		   uint8_t *got, size_t *len);

/* main_mode_sig.c */
/* Adds CERT_REQ payloads for the CAs that we trust (RFC 4945 section 3.2). */
void mm_put_requests(struct msgbuf *m, const struct isakmp_sa *sa);
/* Notes when the peer asks for other CAs than ours. */
void mm_read_requests(struct isakmp_sa *sa, const struct payload_list *l);
/* Signs, and then calls then(x, rc) with the signature in x->work. 0 or -errno; after 0 the exchange
 * is busy. */
int mm_sign(struct exchange *x, void (*then)(struct exchange *x, int rc));
/* Sends message 5 or 6 with that. */
void mm_signed(struct exchange *x, int rc);
/* Adds our chain and signature, what mm_sign() made. */
void mm_put_signed(struct msgbuf *m, const struct auth_work *w);
/* What mm_signed() says when it cannot sign, or the message cannot be sent. */
void mm_sign_failed(struct exchange *x, int rc);
/* The form of an identity and a signature. */
bool mm_signed_form(struct view id, struct view sig);
/* Takes the certificates and the signature of the message into x->work, with the sender's ID body.
 * Returns false after failing the exchange. */
bool mm_take_signed(struct exchange *x, const struct inmsg *m, struct view id);
/* Checks that, once the keys are there; then calls then(x, rc), which asks mm_proved(). */
void mm_check_signed(struct exchange *x, struct view id, void (*then)(struct exchange *x, int rc));
/* Whether the check came out well; otherwise the exchange is over. */
bool mm_proved(struct exchange *x, int rc);

#endif
