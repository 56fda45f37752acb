/* Building the forwarding snapshot. Prefixes go in from short to long, so that a longer one simply
 * overwrites the range of entries that it covers. */
#include "fib.h"

#include <rte_malloc.h>
#include <stdlib.h>

struct builder {
	const struct fib_input *in;
	uint32_t *root, *group;
	struct next_hop *hop;
	uint32_t n_groups, max_groups, n_hops;
};

int fib_route_cmp(const void *a, const void *b)
{
	const struct fib_route *x = a, *y = b;

	return x->len < y->len ? -1 : x->len > y->len;
}

int fib_neighbour_cmp(const void *a, const void *b)
{
	const struct fib_neighbour *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

/* A group in place of *entry, which it inherits everywhere; *entry may lie in b->group, so it is
 * named by its index there (or in the root). Returns the group's first entry's index, or -1. */
static int64_t group_below(struct builder *b, bool in_root, size_t index)
{
	uint32_t e = in_root ? b->root[index] : b->group[index];

	if (e & FIB_GROUP)
		return (int64_t)(e & ~FIB_GROUP) * 256;
	if (b->n_groups == b->max_groups) {
		uint32_t max = b->max_groups ? b->max_groups * 2 : 64;
		uint32_t *grown = realloc(b->group, (size_t)max * 256 * sizeof(*grown));
		if (!grown)
			return -1;
		b->group = grown;
		b->max_groups = max;
	}
	for (unsigned i = 0; i < 256; i++)
		b->group[b->n_groups * 256 + i] = e;
	*(in_root ? &b->root[index] : &b->group[index]) = FIB_GROUP | b->n_groups;
	return (int64_t)b->n_groups++ * 256;
}

static void fill(uint32_t *entry, size_t n, uint32_t value)
{
	while (n-- > 0)
		*entry++ = value;
}

static bool prefix_add(struct builder *b, uint32_t dst, uint8_t len, uint32_t hop)
{
	int64_t g;

	if (len <= 16) {
		fill(&b->root[dst >> 16], 1u << (16 - len), hop);
		return true;
	}
	g = group_below(b, true, dst >> 16);
	if (g >= 0 && len > 24)
		g = group_below(b, false, (size_t)g + (dst >> 8 & 0xff));
	if (g < 0)
		return false;
	if (len <= 24)
		fill(&b->group[g + (dst >> 8 & 0xff)], 1u << (24 - len), hop);
	else
		fill(&b->group[g + (dst & 0xff)], 1u << (32 - len), hop);
	return true;
}

static uint32_t trie_get(const struct builder *b, uint32_t dst)
{
	uint32_t e = b->root[dst >> 16];

	if (e & FIB_GROUP)
		e = b->group[(e & ~FIB_GROUP) * 256 + (dst >> 8 & 0xff)];
	if (e & FIB_GROUP)
		e = b->group[(e & ~FIB_GROUP) * 256 + (dst & 0xff)];
	return e;
}

static const struct fib_neighbour *neighbour_find(const struct fib_input *in, uint32_t addr,
						  uint8_t port)
{
	struct fib_neighbour key = { .addr = addr };
	const struct fib_neighbour *n = NULL;

	if (in->n_neighbours)
		n = bsearch(&key, in->neighbour, in->n_neighbours, sizeof(key), fib_neighbour_cmp);
	return n && n->port == port ? n : NULL;
}

static void hop_resolve(const struct builder *b, struct next_hop *hop,
			const struct fib_neighbour *n)
{
	hop->kind = HOP_READY;
	hop->addr = n->addr;
	memcpy(hop->eth + ETH_DST, n->mac, 6);
	memcpy(hop->eth + ETH_SRC, b->in->port[n->port].mac, 6);
	store_be16(hop->eth + ETH_TYPE, ETHERTYPE_IP4);
}

static bool route_add(struct builder *b, const struct fib_route *r)
{
	struct next_hop *hop = &b->hop[b->n_hops];
	const struct fib_neighbour *n;

	*hop = (struct next_hop){ .kind = r->kind,
				  .port = r->port,
				  .mtu = b->in->port[r->port].mtu };
	if (r->kind == HOP_UNRESOLVED) {
		hop->addr = r->via;
		n = neighbour_find(b->in, r->via, r->port);
		if (n)
			hop_resolve(b, hop, n);
	}
	return prefix_add(b, r->dst, r->len, b->n_hops++);
}

/* Neighbours count where the routes say that they are on the link. */
static bool neighbours_add(struct builder *b)
{
	for (size_t i = 0; i < b->in->n_neighbours; i++) {
		const struct fib_neighbour *n = &b->in->neighbour[i];
		const struct next_hop *link = &b->hop[trie_get(b, n->addr)];

		if (link->kind != HOP_CONNECTED || link->port != n->port)
			continue;
		b->hop[b->n_hops] = *link;
		hop_resolve(b, &b->hop[b->n_hops], n);
		if (!prefix_add(b, n->addr, 32, b->n_hops++))
			return false;
	}
	return true;
}

/* One piece of EAL memory (huge pages, where there are any) with everything in it. */
static struct fib *fib_pack(const struct builder *b)
{
	size_t groups = (size_t)b->n_groups * 256 * sizeof(*b->group);
	size_t hops = b->n_hops * sizeof(*b->hop);
	struct fib *fib = rte_malloc("fib", sizeof(*fib) + groups + hops, 64);

	if (!fib)
		return NULL;
	fib->refs = 0;
	fib->n_hops = b->n_hops;
	fib->n_groups = b->n_groups;
	fib->group = (uint32_t *)(fib + 1);
	fib->hop = (struct next_hop *)((uint8_t *)fib->group + groups);
	memcpy(fib->root, b->root, sizeof(fib->root));
	if (groups)
		memcpy(fib->group, b->group, groups);
	memcpy(fib->hop, b->hop, hops);
	return fib;
}

struct fib *fib_build(const struct fib_input *in)
{
	struct builder b = { .in = in, .n_hops = 1 };
	struct fib *fib = NULL;
	size_t i = 0;

	b.root = calloc(65536, sizeof(*b.root));
	b.hop = calloc(1 + in->n_routes + in->n_neighbours, sizeof(*b.hop));
	if (!b.root || !b.hop)
		goto out;
	/* a configured /32 is stronger than a neighbour that was learnt */
	for (; i < in->n_routes && in->route[i].len < 32; i++)
		if (!route_add(&b, &in->route[i]))
			goto out;
	if (!neighbours_add(&b))
		goto out;
	for (; i < in->n_routes; i++)
		if (!route_add(&b, &in->route[i]))
			goto out;
	fib = fib_pack(&b);
out:
	free(b.root);
	free(b.group);
	free(b.hop);
	return fib;
}

void fib_free(struct fib *fib)
{
	rte_free(fib);
}
