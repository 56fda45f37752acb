/* The forwarding table in IPv6, and gateways of the other family, against a plain longest-prefix
 * search. (IPv4: forward_test.c) */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "env.h"

static void start(void)
{
	env_start();
}

TestSuite(fib, .init = start);

static struct ip_addr addr(const char *text)
{
	struct ip_addr a;

	cr_assert_eq(ip_addr_parse(text, &a), 0, "%s", text);
	return a;
}

static struct fib_route route(const char *dst, enum hop_kind kind, uint8_t port, const char *via)
{
	struct fib_route r = { .kind = (uint8_t)kind, .port = port };

	cr_assert_eq(ip_prefix_parse(dst, &r.dst), 0, "%s", dst);
	if (via)
		r.via = addr(via);
	return r;
}

static const struct next_hop *look(const struct fib *fib, const char *dst)
{
	struct ip_addr a = addr(dst);

	return fib_lookup_addr(fib, &a);
}

static void mask(struct ip_addr *a, unsigned len)
{
	for (unsigned i = len; i < 128; i++)
		a->b[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
}

static bool matches(const struct ip_prefix *p, const struct ip_addr *a)
{
	struct ip_addr m = *a;

	mask(&m, p->len);
	return ip_addr_equal(&m, &p->addr);
}

static const struct fib_route *longest(const struct fib_route *r, size_t n, const struct ip_addr *a)
{
	const struct fib_route *best = NULL;

	for (size_t i = 0; i < n; i++)
		if (matches(&r[i].dst, a) && (!best || r[i].dst.len >= best->dst.len))
			best = &r[i];
	return best;
}

/* Few different bits, spread over the address, so that prefixes of all lengths nest. */
static struct ip_addr random_addr(void)
{
	struct ip_addr a = { .family = IP_V6, .b = { 0x20, 1 } };

	for (unsigned i = 2; i < 16; i++)
		a.b[i] = (uint8_t)(random() % 3 ? 0 : 1 << random() % 8);
	return a;
}

/* lengths: how many different ones there are */
static void agree(unsigned size, unsigned lengths)
{
	struct fib_route *r = calloc(size, sizeof(*r));
	struct fib_input in = { .route = r, .n_routes = size };
	uint8_t len[129];
	struct fib *fib;

	for (unsigned i = 0; i < lengths; i++)
		len[i] = (uint8_t)(random() % 129);
	for (unsigned i = 0; i < size; i++) {
		r[i].dst = (struct ip_prefix){ random_addr(), len[(unsigned)random() % lengths] };
		mask(&r[i].dst.addr, r[i].dst.len);
		r[i].kind = HOP_UNRESOLVED;
		r[i].via = ip_addr_v4(i + 1);
	}
	qsort(r, size, sizeof(r[0]), fib_route_cmp);
	fib = fib_build(&in);
	cr_assert(fib);
	for (unsigned i = 0; i < 500; i++) {
		struct ip_addr a = random_addr();
		if (i % 2) { /* close to a route: its bits, then others */
			const struct ip_prefix *p = &r[(unsigned)random() % size].dst;
			struct ip_addr tail = a;
			mask(&tail, p->len);
			for (unsigned k = 0; k < 16; k++)
				a.b[k] = (uint8_t)((a.b[k] ^ tail.b[k]) | p->addr.b[k]);
		}
		const struct fib_route *want = longest(r, size, &a);
		const struct next_hop *got = fib_lookup_addr(fib, &a);
		cr_assert_eq(got->kind, want ? HOP_UNRESOLVED : HOP_NONE);
		if (want)
			cr_assert(ip_addr_equal(&fib->gateway[got->gateway], &want->via),
				  "route %u of %u", i, size);
	}
	fib_free(fib);
	free(r);
}

Test(fib, six_agrees_with_a_plain_search)
{
	srandom(3);
	for (unsigned size = 1; size <= 300; size += 43)
		for (unsigned lengths = 1; lengths <= 128; lengths = lengths * 3 + 1)
			agree(size, lengths);
}

Test(fib, six_neighbours)
{
	/* as in IPv4: a neighbour counts on the link of its own port only, and a host route beats
	 * it, unless that, too, says that the host is on the link */
	struct fib_route r[] = { route("2001:db8:1::/64", HOP_CONNECTED, 1, NULL),
				 route("2001:db8:1::/80", HOP_UNRESOLVED, 0, "fe80::2"),
				 route("2001:db8:1:0:1::8", HOP_UNRESOLVED, 0, "fe80::2"),
				 route("2001:db8:9::1", HOP_CONNECTED, 0, NULL) };
	struct fib_neighbour n[] = { { addr("2001:db8:1:0:1::7"), 1, { 1 } },
				     { addr("2001:db8:1:0:1::8"), 1, { 2 } },
				     { addr("2001:db8:1:0:1::9"), 0, { 3 } },
				     { addr("2001:db8:1::7"), 1, { 4 } },
				     { addr("2001:db8:9::1"), 0, { 5 } } };
	struct fib_input in = { .route = r, .n_routes = 4, .neighbour = n, .n_neighbours = 5 };
	struct fib *fib;

	qsort(n, 5, sizeof(n[0]), fib_neighbour_cmp);
	fib = fib_build(&in);
	cr_assert(fib);
	cr_expect_eq(look(fib, "2001:db8:1:0:1::7")->kind, HOP_READY);
	cr_expect_eq(look(fib, "2001:db8:1:0:1::7")->eth[0], 1);
	cr_expect_eq(load_be16(look(fib, "2001:db8:1:0:1::7")->eth + ETH_TYPE), ETHERTYPE_IP6);
	cr_expect_eq(look(fib, "2001:db8:1:0:1::6")->kind, HOP_CONNECTED);
	cr_expect_eq(look(fib, "2001:db8:1:0:1::8")->kind, HOP_UNRESOLVED);
	cr_expect_eq(look(fib, "2001:db8:1:0:1::9")->kind, HOP_CONNECTED);
	cr_expect_eq(look(fib, "2001:db8:1::7")->kind, HOP_UNRESOLVED);
	cr_expect_eq(look(fib, "2001:db8:9::1")->eth[0], 5);
	cr_expect_eq(look(fib, "2001:db8:2::1")->kind, HOP_NONE);
	fib_free(fib);
}

Test(fib, gateways_of_the_other_family)
{
	struct fib_route r[] = { route("0.0.0.0/0", HOP_UNRESOLVED, 1, "fe80::2"),
				 route("::/0", HOP_UNRESOLVED, 0, "10.9.0.2") };
	struct fib_neighbour n[] = { { addr("10.9.0.2"), 0, { 1 } },
				     { addr("fe80::2"), 0, { 2 } },
				     { addr("fe80::2"), 1, { 4 } } };
	struct fib_input in = { .route = r, .n_routes = 2, .neighbour = n, .n_neighbours = 3 };
	struct ip_addr dst = addr("192.0.2.1"), next;
	struct fib *fib = fib_build(&in);
	const struct next_hop *hop;

	cr_assert(fib);
	hop = fib_lookup_addr(fib, &dst);
	cr_expect_eq(hop->kind, HOP_READY);
	cr_expect_eq(hop->eth[0], 4, "the station on the port of the route");
	cr_expect_eq(load_be16(hop->eth + ETH_TYPE), ETHERTYPE_IP4);
	next = fib_neighbour_of(fib, hop, &dst);
	cr_expect(ip_addr_equal(&next, &n[1].addr));
	hop = look(fib, "2001:db8::1");
	cr_expect_eq(hop->eth[0], 1);
	cr_expect_eq(load_be16(hop->eth + ETH_TYPE), ETHERTYPE_IP6);
	fib_free(fib);
}
