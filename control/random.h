/* Randomness for the engine's many small numbers: cookies, nonces, message IDs. Keys are made
 * elsewhere. */
#ifndef SHRIKE_RANDOM_H
#define SHRIKE_RANDOM_H

#include <stddef.h>

/* Fills buf from OpenSSL's generator, by way of a supply of some kilobytes: one call of it costs a
 * microsecond for four bytes as for a thousand. What was given out is wiped from the supply, and
 * each thread has its own. 0 or -EIO. */
int random_bytes(void *buf, size_t len);

#endif
