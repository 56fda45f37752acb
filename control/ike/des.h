/* Weak DES keys. */
#ifndef SHRIKE_IKE_DES_H
#define SHRIKE_IKE_DES_H

#include <stdbool.h>
#include <stdint.h>

#include "alg.h"

/* True for a DES key that is weak or semi-weak (parity bits do not count), and for a 3DES key with
 * such a part or with K1 = K2 or K2 = K3, which is single DES (RFC 2409 appendix A, RFC 2451
 * section 2.3). key: 8 or 24 bytes. Always false for other ciphers. */
bool des_key_weak(enum encr_alg encr, const uint8_t *key);

#endif
