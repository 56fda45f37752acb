/* Diffie-Hellman for one exchange, through OpenSSL. A dh holds one private value; making it and using
 * it are pure maths that may run on any thread, one thread at a time. */
#ifndef SHRIKE_IKE_DH_H
#define SHRIKE_IKE_DH_H

#include <stddef.h>
#include <stdint.h>

#include "alg.h"

struct dh;

/* Generates a key pair in the group. NULL: group not supported or out of memory. */
struct dh *dh_new(uint16_t group);
/* A pair with a given private value (big-endian; X25519: the 32 bytes of RFC 7748), for known-answer
 * tests. */
struct dh *dh_new_fixed(uint16_t group, const uint8_t *priv, size_t len);
void dh_free(struct dh *dh); /* wipes; NULL is fine */

uint16_t dh_group(const struct dh *dh);
/* Our public value as it goes on the wire, group_info()->public_len bytes, left-padded. */
const uint8_t *dh_public(const struct dh *dh);

/* g^xy into out (group_info()->shared_len bytes, left-padded). Refuses with -EKEYREJECTED a peer value
 * of the wrong length, 0, 1, p-1, above p, not on the curve, or (groups 22-24) outside of the
 * subgroup. */
int dh_shared(const struct dh *dh, const uint8_t *peer, size_t peer_len, uint8_t *out);

#endif
