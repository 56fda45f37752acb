/* What the two roles of Quick Mode share. */
#ifndef SHRIKE_IKE_QUICK_MODE_H
#define SHRIKE_IKE_QUICK_MODE_H

#include "exchange.h"

/* What we offer or accept for a child under the exchange's ISAKMP SA. */
struct esp_policy qm_policy(const struct exchange *x, const struct child *child);
/* Fails the exchange for want of memory or of an SA slot. */
void qm_no_memory(struct exchange *x);
/* Draws our nonce. 0 or -errno. */
int qm_nonce(struct exchange *x, struct buf *nonce);
/* Takes the other side's nonce and, with a PFS group, its public value. Returns false after failing
 * the exchange. */
bool qm_take(struct exchange *x, const struct inmsg *m, uint16_t group);
/* Computes g^xy (group 0: none), derives the keys and installs the inbound SA. */
void qm_compute(struct exchange *x, uint16_t group);

#endif
