/* OpenSSL's algorithms, fetched once and kept. Looking one up by name takes longer than using it on
 * a message of IKE's size. Everything here may be called from any thread. */
#ifndef SHRIKE_IKE_CRYPTO_H
#define SHRIKE_IKE_CRYPTO_H

#include <openssl/evp.h>

#include "alg.h"

/* NULL: OpenSSL does not have it. Borrowed. */
const EVP_MD *crypto_md(enum hash_alg h);
/* The CBC cipher for phase 1, NULL when there is none. DES is 3DES with three equal keys, so that
 * OpenSSL's legacy provider is not needed. */
const EVP_CIPHER *crypto_cbc(enum encr_alg encr, uint16_t key_bits);

#endif
