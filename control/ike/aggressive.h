/* What the files of Aggressive Mode share. */
#ifndef SHRIKE_IKE_AGGRESSIVE_H
#define SHRIKE_IKE_AGGRESSIVE_H

#include "main_mode.h"

/* The length of the other side's public value and nonce, for that group. 0 or -EBADMSG with the
 * peer's last error. */
int am_check_ke(struct exchange *x, const struct inmsg *m, uint16_t group);
/* Keeps the other side's public value, nonce and ID body. 0 or -ENOMEM. */
int am_take(struct exchange *x, const struct inmsg *m, struct buf *nonce);
/* Adds KE, nonce and our ID body. */
void am_put_keys(struct msgbuf *m, struct exchange *x, const struct buf *nonce, struct view id);
/* Our ID body into out (4 + IKE_MAX_ID bytes). */
struct view am_own_id(const struct isakmp_sa *sa, uint8_t *out);
/* Adds our HASH or, with what mm_sign() made, our certificates and signature. 0 or -errno. */
int am_put_auth(struct msgbuf *m, struct exchange *x, struct view id);
/* Fails the exchange: no keys can be derived. */
void am_no_keys(struct exchange *x);

#endif
