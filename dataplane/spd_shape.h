/* Policies by shape: those that look at the same bits of a packet lie in one hash table, under the
 * bits that they ask for. A look-up masks the key once for each shape; ten thousand site-to-site
 * policies have one or two. Ranges that are no prefixes are several entries.
 *
 * Keys are arrays of 64-bit words: two in IPv4, five in IPv6, see spd.h. */
#ifndef SHRIKE_DATAPLANE_SPD_SHAPE_H
#define SHRIKE_DATAPLANE_SPD_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sa_params.h"

#define SPD_WORDS4   2
#define SPD_WORDS6   5
#define SPD_WORDS    SPD_WORDS6
#define SPD_SHAPES   255 /* at most */
#define SPD_NO_MATCH UINT32_MAX

/* An entry: the words of the key, and in the next one the index of the policy (SPD_NO_MATCH: the place is empty)
 * below its shape. In IPv4 half a cache line. */
static inline unsigned spd_entry_words(unsigned words)
{
	return words == SPD_WORDS4 ? 4 : words + 1;
}

struct spd_shape {
	uint64_t mask[SPD_WORDS];
	uint32_t first; /* the first policy of this shape */
};

struct spd_shapes {
	uint32_t n;      /* in the order of `first` */
	uint32_t places; /* for entries, a power of two less one */
	uint32_t taken;
	struct spd_shape shape[SPD_SHAPES];
	uint64_t *entry;
};

/* Tables of the policies of one family; index i stands for the i-th of that family. Without ports:
 * as if no policy asked for any. most: more shapes than that are refused (NULL, errno E2BIG), and
 * more than an honest number of entries (likewise); NULL with ENOMEM. */
struct spd_shapes *spd_shapes_build(const struct spd_policy *p, size_t n, enum ip_family family,
				    bool without_ports, unsigned most);
void spd_shapes_free(struct spd_shapes *s);

static inline uint32_t spd_shape_place(const struct spd_shapes *s, const uint64_t *key,
				       unsigned words, uint32_t shape)
{
	uint64_t h = shape;

	for (unsigned i = 0; i < words; i++) {
		h = (h ^ key[i]) * 0x9e3779b97f4a7c15u;
		h ^= h >> 32;
	}
	return (uint32_t)h & s->places;
}

/* Fetches what a look-up will see first. */
static inline void spd_shapes_prefetch(const struct spd_shapes *s, const uint64_t *key,
				       unsigned words)
{
	uint64_t masked[SPD_WORDS];

	for (unsigned w = 0; w < words; w++)
		masked[w] = key[w] & s->shape[0].mask[w];
	__builtin_prefetch(&s->entry[(size_t)spd_shape_place(s, masked, words, 0) * spd_entry_words(words)]);
}

/* The index of the first policy that matches, or SPD_NO_MATCH. words: a constant. */
static inline uint32_t spd_shapes_lookup(const struct spd_shapes *s, const uint64_t *key,
					 unsigned words)
{
	uint32_t best = SPD_NO_MATCH;

	for (uint32_t i = 0; i < s->n && s->shape[i].first < best; i++) {
		uint64_t masked[SPD_WORDS], diff;
		uint32_t at;

		for (unsigned w = 0; w < words; w++)
			masked[w] = key[w] & s->shape[i].mask[w];
		at = spd_shape_place(s, masked, words, i);
		for (;; at = (at + 1) & s->places) {
			const uint64_t *e = &s->entry[(size_t)at * spd_entry_words(words)];

			if ((uint32_t)e[words] == SPD_NO_MATCH)
				break;
			diff = e[words] >> 32 ^ i;
			for (unsigned w = 0; w < words; w++)
				diff |= e[w] ^ masked[w];
			if (diff)
				continue;
			if ((uint32_t)e[words] < best)
				best = (uint32_t)e[words];
			break;
		}
	}
	return best;
}

#endif
