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

struct spd_entry {
	uint64_t key[SPD_WORDS];
	uint32_t index; /* of the policy, SPD_NO_MATCH = empty place */
	uint32_t shape;
};

struct spd_shape {
	uint64_t mask[SPD_WORDS];
	uint32_t first; /* the first policy of this shape */
};

struct spd_shapes {
	uint32_t n;      /* in the order of `first` */
	uint32_t places; /* of entry, a power of two less one */
	uint32_t taken;
	struct spd_shape shape[SPD_SHAPES];
	struct spd_entry *entry;
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
	__builtin_prefetch(&s->entry[spd_shape_place(s, masked, words, 0)]);
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
		for (const struct spd_entry *e = &s->entry[at]; e->index != SPD_NO_MATCH;
		     e = &s->entry[at = (at + 1) & s->places]) {
			diff = e->shape ^ i;
			for (unsigned w = 0; w < words; w++)
				diff |= e->key[w] ^ masked[w];
			if (diff)
				continue;
			if (e->index < best)
				best = e->index;
			break;
		}
	}
	return best;
}

#endif
