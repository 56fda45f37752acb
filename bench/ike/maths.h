/* What the public-key maths of one side costs alone, in the same run on the same CPU. */
#ifndef SHRIKE_BENCH_IKE_MATHS_H
#define SHRIKE_BENCH_IKE_MATHS_H

#include <stdint.h>

/* Microseconds for one key pair and one shared secret in the group, the way dh.c does it. */
double maths_us(uint16_t group);
/* The same through EVP_PKEY, which is what `openssl speed` times; 0 where it does not know the
 * group. */
double maths_evp_us(uint16_t group);

#endif
