/* Whom control knows: the cookies of ISAKMP SAs that stand or are being made, and the addresses of configured peers. One
 * table for all workers, so that a flood of strangers' messages is policed apart from theirs.
 *
 * A filter, not a list: an unknown one is taken for a known one with the share of its places that are in use, 4 % with
 * 10,000 peers. What it says decides about nothing but the order at the door. */
#ifndef SHRIKE_DATAPLANE_KNOWN_H
#define SHRIKE_DATAPLANE_KNOWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KNOWN_PLACES (1u << 20)

struct known {
	uint64_t seed;		      /* set once */
	uint8_t count[KNOWN_PLACES]; /* control: rw (atomic), lcores: ro; 255 stays */
};

/* Places of a pair of cookies (rcookie NULL: of any), and of an address of len bytes. */
uint32_t known_cookies(const struct known *k, const uint8_t *icookie, const uint8_t *rcookie);
uint32_t known_address(const struct known *k, const uint8_t *addr, size_t len);

/* Control: one more, or one less. */
void known_change(struct known *k, uint32_t place, bool more);

static inline bool known_at(const struct known *k, uint32_t place)
{
	return __atomic_load_n(&k->count[place], __ATOMIC_RELAXED) != 0;
}

#endif
