/* IPv6 prefixes: a hash table over all prefix lengths, with binary search on the length.
 *
 * The distinct lengths are the levels of the search. A look-up probes the middle length: a hit
 * leads to longer prefixes, a miss to shorter ones. So that a longer prefix is found at all, it
 * leaves markers at the lengths where the search for it turns to the longer side; a marker carries
 * the best match of its own bits, so that a search that it led astray needs no way back. Up to
 * seven lengths cost at most three probes, all 128 cost eight. */
#ifndef SHRIKE_DATAPLANE_FIB6_H
#define SHRIKE_DATAPLANE_FIB6_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define FIB6_LEVELS 128 /* every length from 1 on; 0 is default_hop */

struct fib6_entry {
	uint64_t addr[2]; /* as in the packet, other bits zero */
	uint32_t hop;     /* of the prefix, or the best match of the marker */
	uint8_t level;    /* index into the lengths + 1; 0 = empty place */
	bool deeper;      /* longer prefixes begin like this */
	bool real;        /* builder: a prefix, not only a marker */
};

struct fib6 {
	uint64_t key[2]; /* random and odd: nobody can choose addresses that collide */
	uint32_t places; /* of entry, a power of two less one; at most half are taken */
	uint32_t default_hop;
	unsigned n_levels;
	uint64_t mask[FIB6_LEVELS][2]; /* by level, in the packet's byte order */
	struct fib6_entry *entry;
};

static inline uint32_t fib6_place(const struct fib6 *t, uint64_t a, uint64_t b, unsigned level)
{
	uint64_t h = (a ^ level) * t->key[0];

	h = (h ^ h >> 32 ^ b) * t->key[1];
	return (uint32_t)(h >> 32) & t->places;
}

/* The entry of a level, or the empty place where it would be. */
static inline struct fib6_entry *fib6_probe(const struct fib6 *t, uint64_t a, uint64_t b,
					    unsigned level)
{
	uint32_t i = fib6_place(t, a, b, level);
	struct fib6_entry *e = &t->entry[i];

	while (e->level && (e->addr[0] != a || e->addr[1] != b || e->level != level + 1))
		e = &t->entry[i = (i + 1) & t->places];
	return e;
}

/* The number of the next hop for dst (16 bytes). */
static inline uint32_t fib6_lookup(const struct fib6 *t, const uint8_t *dst)
{
	unsigned lo = 0, hi = t->n_levels;
	uint32_t hop = t->default_hop;
	uint64_t addr[2];

	memcpy(addr, dst, 16);
	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;
		const struct fib6_entry *e =
			fib6_probe(t, addr[0] & t->mask[mid][0], addr[1] & t->mask[mid][1], mid);

		if (!e->level) {
			hi = mid;
			continue;
		}
		hop = e->hop;
		if (!e->deeper)
			break;
		lo = mid + 1;
	}
	return hop;
}

/* ------------------------------------------------------------------------- building --------- */

struct fib6_prefix {
	const uint8_t *addr; /* 16 bytes, host bits zero */
	uint8_t len;
	uint32_t hop;
};

/* The most entries that n prefixes can take. */
size_t fib6_places(size_t n, unsigned n_levels);

/* Notes the lengths that will occur, before any prefix is added. bit[len / 64] */
void fib6_levels_set(struct fib6 *t, const uint64_t bit[3]);
/* Adds a prefix; of two equal ones the later wins. */
void fib6_add(struct fib6 *t, const struct fib6_prefix *p);
/* The longest prefix among those that were added, without markers. Slower. */
uint32_t fib6_lookup_real(const struct fib6 *t, const uint8_t *dst, unsigned below);
/* Last of all: the best matches of the markers. */
void fib6_finish(struct fib6 *t);

#endif
