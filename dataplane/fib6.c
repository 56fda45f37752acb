#include "fib6.h"

#include <rte_common.h>
#include <rte_random.h>

/* What a search for a prefix leaves behind: itself and a marker at every turn to the longer side.
 */
static unsigned search_depth(unsigned n_levels)
{
	unsigned depth = 0;

	for (; n_levels; n_levels /= 2)
		depth++;
	return depth;
}

size_t fib6_places(size_t n, unsigned n_levels)
{
	return rte_align64pow2(2 * n * RTE_MAX(search_depth(n_levels), 1u) + 2);
}

static void mask_set(uint64_t mask[2], unsigned len)
{
	uint8_t m[16] = { 0 };

	for (unsigned i = 0; i < len; i++)
		m[i / 8] |= (uint8_t)(0x80 >> i % 8);
	memcpy(mask, m, 16);
}

void fib6_levels_set(struct fib6 *t, const uint64_t bit[3])
{
	t->key[0] = rte_rand() | 1;
	t->key[1] = rte_rand() | 1;
	t->n_levels = 0;
	for (unsigned len = 1; len <= 128; len++)
		if (bit[len / 64] >> len % 64 & 1)
			mask_set(t->mask[t->n_levels++], len);
}

static struct fib6_entry *entry_get(struct fib6 *t, const uint64_t addr[2], unsigned level)
{
	uint64_t a = addr[0] & t->mask[level][0], b = addr[1] & t->mask[level][1];
	struct fib6_entry *e = fib6_probe(t, a, b, level);

	if (!e->level)
		*e = (struct fib6_entry){ .addr = { a, b }, .level = (uint8_t)(level + 1) };
	return e;
}

static unsigned level_of(const struct fib6 *t, unsigned len)
{
	uint64_t mask[2];
	unsigned level = 0;

	mask_set(mask, len);
	while (level < t->n_levels && memcmp(t->mask[level], mask, 16) != 0)
		level++;
	return level;
}

void fib6_add(struct fib6 *t, const struct fib6_prefix *p)
{
	unsigned level = level_of(t, p->len), lo = 0, hi = t->n_levels;
	uint64_t addr[2];

	if (p->len == 0) {
		t->default_hop = p->hop;
		return;
	}
	memcpy(addr, p->addr, 16);
	for (unsigned mid = (lo + hi) / 2; mid != level; mid = (lo + hi) / 2) {
		if (mid > level) {
			hi = mid;
			continue;
		}
		entry_get(t, addr, mid)->deeper = true;
		lo = mid + 1;
	}
	struct fib6_entry *e = entry_get(t, addr, level);
	e->real = true;
	e->hop = p->hop;
}

uint32_t fib6_lookup_real(const struct fib6 *t, const uint8_t *dst, unsigned below)
{
	uint64_t addr[2];

	memcpy(addr, dst, 16);
	while (below-- > 0) {
		const struct fib6_entry *e = fib6_probe(t, addr[0] & t->mask[below][0],
							addr[1] & t->mask[below][1], below);
		if (e->level && e->real)
			return e->hop;
	}
	return t->default_hop;
}

void fib6_finish(struct fib6 *t)
{
	for (uint32_t i = 0; i <= t->places; i++) {
		struct fib6_entry *e = &t->entry[i];
		if (e->level && !e->real)
			e->hop = fib6_lookup_real(t, (const uint8_t *)e->addr, e->level - 1u);
	}
}
