/* Small packets by twos: for vaes.c alone. */
#ifndef SHRIKE_DATAPLANE_GCM_TWO_H
#define SHRIKE_DATAPLANE_GCM_TWO_H

#include "gcm.h"

/* How many twos op begins with, of the n packets there: small, with as many pairs of blocks and rounds. */
unsigned gcm_twos(const struct gcm_op *op, unsigned n);

/* These twos. */
void gcm_encrypt_twos(struct gcm_op *op, unsigned twos);
void gcm_decrypt_twos(struct gcm_op *op, unsigned twos);

#endif
