/* Building the forwarding snapshot. Prefixes go in from short to long, so that a longer one simply
 * overwrites the range of trie entries that it covers. */
#include "fib.h"

#include <rte_malloc.h>
#include <stdlib.h>

struct builder {
	const struct fib_input *in;
	uint32_t *root, *group;
	struct next_hop *hop;
	struct ip_addr *gateway;
	struct fib6 six;
	uint32_t n_groups, max_groups, n_hops, n_gateways;
};

int fib_route_cmp(const void *a, const void *b)
{
	const struct fib_route *x = a, *y = b;

	return x->dst.len < y->dst.len ? -1 : x->dst.len > y->dst.len;
}

int fib_neighbour_cmp(const void *a, const void *b)
{
	const struct fib_neighbour *x = a, *y = b;
	int order = ip_addr_cmp(&x->addr, &y->addr);

	return order ? order : x->port < y->port ? -1 : x->port > y->port;
}

const struct next_hop *fib_lookup_addr(const struct fib *fib, const struct ip_addr *dst)
{
	switch (dst->family) {
	case IP_V4:
		return fib_lookup(fib, ip_addr_to_v4(dst));
	case IP_V6:
		return fib_lookup6(fib, dst->b);
	default:
		return &fib->hop[0];
	}
}

struct ip_addr fib_neighbour_of(const struct fib *fib, const struct next_hop *hop,
				const struct ip_addr *dst)
{
	return hop->gateway == HOP_DIRECT ? *dst : fib->gateway[hop->gateway];
}

/* ------------------------------------------------------------------------- IPv4 ------------- */

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

static bool trie_add(struct builder *b, uint32_t dst, uint8_t len, uint32_t hop)
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

/* ------------------------------------------------------------------------- IPv6 ------------- */

/* Which lengths there will be, and an empty table for all of them. */
static bool six_init(struct builder *b)
{
	uint64_t bit[3] = { 0 };
	size_t n = 0, places;

	for (size_t i = 0; i < b->in->n_routes; i++) {
		const struct ip_prefix *p = &b->in->route[i].dst;
		if (p->addr.family != IP_V6)
			continue;
		bit[p->len / 64] |= 1ull << p->len % 64;
		n++;
	}
	for (size_t i = 0; i < b->in->n_neighbours; i++)
		if (b->in->neighbour[i].addr.family == IP_V6) {
			bit[2] = 1; /* 128 */
			n++;
		}
	fib6_levels_set(&b->six, bit);
	places = fib6_places(n, b->six.n_levels);
	b->six.places = (uint32_t)places - 1;
	b->six.entry = calloc(places, sizeof(*b->six.entry));
	return b->six.entry;
}

/* ------------------------------------------------------------------------- both ------------- */

static bool prefix_add(struct builder *b, const struct ip_prefix *p, uint32_t hop)
{
	struct fib6_prefix six = { .addr = p->addr.b, .len = p->len, .hop = hop };

	if (p->addr.family == IP_V4)
		return trie_add(b, ip_addr_to_v4(&p->addr), p->len, hop);
	fib6_add(&b->six, &six);
	return true;
}

static uint32_t prefix_get(const struct builder *b, const struct ip_addr *dst)
{
	if (dst->family == IP_V4)
		return trie_get(b, ip_addr_to_v4(dst));
	return fib6_lookup_real(&b->six, dst->b, b->six.n_levels);
}

static bool is_host(const struct ip_prefix *p)
{
	return p->len == ip_addr_len(&p->addr) * 8;
}

static const struct fib_neighbour *neighbour_find(const struct fib_input *in,
						  const struct ip_addr *addr, uint8_t port)
{
	struct fib_neighbour key = { .addr = *addr, .port = port };

	if (in->n_neighbours == 0)
		return NULL;
	return bsearch(&key, in->neighbour, in->n_neighbours, sizeof(key), fib_neighbour_cmp);
}

/* family: of the packets that take this hop. */
static void hop_resolve(const struct builder *b, struct next_hop *hop, uint8_t family,
			const struct fib_neighbour *n)
{
	hop->kind = HOP_READY;
	memcpy(hop->eth + ETH_DST, n->mac, 6);
	memcpy(hop->eth + ETH_SRC, b->in->port[n->port].mac, 6);
	store_be16(hop->eth + ETH_TYPE, family == IP_V4 ? ETHERTYPE_IP4 : ETHERTYPE_IP6);
}

static bool route_add(struct builder *b, const struct fib_route *r)
{
	struct next_hop *hop = &b->hop[b->n_hops];
	const struct fib_neighbour *n = NULL;

	*hop = (struct next_hop){ .kind = r->kind,
				  .port = r->port,
				  .mtu = b->in->port[r->port].mtu,
				  .gateway = HOP_DIRECT };
	if (r->kind == HOP_UNRESOLVED) {
		hop->gateway = b->n_gateways;
		b->gateway[b->n_gateways++] = r->via;
		n = neighbour_find(b->in, &r->via, r->port);
	} else if (r->kind == HOP_CONNECTED && is_host(&r->dst)) {
		n = neighbour_find(b->in, &r->dst.addr, r->port);
	}
	if (n)
		hop_resolve(b, hop, r->dst.addr.family, n);
	return prefix_add(b, &r->dst, b->n_hops++);
}

/* Neighbours count where the routes say that they are on the link. */
static bool neighbours_add(struct builder *b)
{
	for (size_t i = 0; i < b->in->n_neighbours; i++) {
		const struct fib_neighbour *n = &b->in->neighbour[i];
		const struct next_hop *link = &b->hop[prefix_get(b, &n->addr)];
		struct ip_prefix host = { n->addr, (uint8_t)(ip_addr_len(&n->addr) * 8) };

		if (link->kind != HOP_CONNECTED || link->port != n->port)
			continue;
		b->hop[b->n_hops] = *link;
		hop_resolve(b, &b->hop[b->n_hops], n->addr.family, n);
		if (!prefix_add(b, &host, b->n_hops++))
			return false;
	}
	return true;
}

/* One piece of EAL memory (huge pages, where there are any) with everything in it. */
static struct fib *fib_pack(const struct builder *b)
{
	size_t groups = (size_t)b->n_groups * 256 * sizeof(*b->group);
	size_t hops = b->n_hops * sizeof(*b->hop);
	size_t six = ((size_t)b->six.places + 1) * sizeof(*b->six.entry);
	size_t gateways = b->n_gateways * sizeof(*b->gateway);
	struct fib *fib = rte_malloc("fib", sizeof(*fib) + six + groups + hops + gateways, 64);

	if (!fib)
		return NULL;
	fib->refs = 0;
	fib->n_hops = b->n_hops;
	fib->n_groups = b->n_groups;
	fib->six = b->six;
	fib->six.entry = (struct fib6_entry *)(fib + 1);
	fib->group = (uint32_t *)((uint8_t *)fib->six.entry + six);
	fib->hop = (struct next_hop *)((uint8_t *)fib->group + groups);
	fib->gateway = (struct ip_addr *)((uint8_t *)fib->hop + hops);
	memcpy(fib->root, b->root, sizeof(fib->root));
	memcpy(fib->six.entry, b->six.entry, six);
	if (groups)
		memcpy(fib->group, b->group, groups);
	memcpy(fib->hop, b->hop, hops);
	if (gateways)
		memcpy(fib->gateway, b->gateway, gateways);
	return fib;
}

static bool routes_add(struct builder *b, bool hosts)
{
	for (size_t i = 0; i < b->in->n_routes; i++)
		if (is_host(&b->in->route[i].dst) == hosts && !route_add(b, &b->in->route[i]))
			return false;
	return true;
}

struct fib *fib_build(const struct fib_input *in)
{
	struct builder b = { .in = in, .n_hops = 1 };
	struct fib *fib = NULL;

	b.root = calloc(65536, sizeof(*b.root));
	b.hop = calloc(1 + in->n_routes + in->n_neighbours, sizeof(*b.hop));
	b.gateway = calloc(1 + in->n_routes, sizeof(*b.gateway));
	if (!b.root || !b.hop || !b.gateway || !six_init(&b))
		goto out;
	/* a configured host route is stronger than a neighbour that was learnt */
	if (!routes_add(&b, false) || !neighbours_add(&b) || !routes_add(&b, true))
		goto out;
	fib6_finish(&b.six);
	fib = fib_pack(&b);
out:
	free(b.root);
	free(b.group);
	free(b.hop);
	free(b.gateway);
	free(b.six.entry);
	return fib;
}

void fib_free(struct fib *fib)
{
	rte_free(fib);
}
