/* What a policy look-up costs: one by one, by shapes and through rte_acl, and how long a snapshot
 * takes to build. The reason for SPD_LINEAR_MAX and SPD_SHAPES_FAST.
 *
 * Keys match the last policy in half of the cases and a random one in the others. Prints ns a key.
 */
#include <rte_cycles.h>
#include <stdio.h>
#include <stdlib.h>

#include "env.h"
#include "spd_shape.h"

#define KEYS   32
#define ROUNDS 200
#define TRIES  40 /* the best of: others use this machine too */

/* Site to site: one local network, many remote ones of `shapes` different lengths. */
static struct spd_policy *policies(uint32_t n, bool four, uint32_t shapes)
{
	struct spd_policy *p = calloc(n, sizeof(*p));

	for (uint32_t i = 0; p && i < n; i++) {
		struct ip_range *r = &p[i].sel.remote;
		p[i] = four ? env_policy(i, POLICY_PROTECT, "10.1.0.0/16", "11.0.0.0/24")
			    : env_policy(i, POLICY_PROTECT, "2001:db8:1::/48", "2001:db8:2::/64");
		store_be32(r->lo.b + (four ? 0 : 4), (four ? 0x0b000000 : 0) + (i << 8));
		r->hi = r->lo;
		if (four)
			r->hi.b[3] = (uint8_t)(0xff >> i % shapes);
		else
			memset(r->hi.b + 8 + i % shapes, 0xff, 8 - i % shapes);
	}
	return p;
}

static double ns(uint64_t cycles)
{
	return (double)cycles * 1e9 / (double)rte_get_tsc_hz();
}

static double cost(const struct spd *spd, const struct spd_policy *p, uint32_t n, bool four)
{
	struct spd_key6 key6[KEYS] = { 0 };
	struct spd_key key[KEYS] = { 0 };
	uint32_t match[KEYS];
	uint64_t best = UINT64_MAX;

	for (unsigned i = 0; i < KEYS; i++) {
		const struct selector *s = &p[i & 1 ? n - 1 : (uint32_t)random() % n].sel;
		key[i].proto = key6[i].proto = PROTO_UDP;
		memcpy(&key[i].local, s->local.hi.b, 4);
		memcpy(&key[i].remote, s->remote.hi.b, 4);
		memcpy(key6[i].local, s->local.hi.b, 16);
		memcpy(key6[i].remote, s->remote.hi.b, 16);
	}
	for (unsigned t = 0; t < TRIES; t++) {
		uint64_t start = rte_rdtsc();
		for (unsigned i = 0; i < ROUNDS; i++) {
			if (four)
				spd_lookup(spd, key, match, KEYS);
			else
				spd_lookup6(spd, key6, match, KEYS);
		}
		best = RTE_MIN(best, rte_rdtsc() - start);
	}
	for (unsigned i = 0; i < KEYS; i++)
		if (match[i] == 0)
			abort();
	return ns(best) / ROUNDS / KEYS;
}

static void line(uint32_t n, bool four, uint32_t shapes)
{
	struct spd_policy *p = policies(n, four, shapes);
	double build = 1e18, look, linear = 0, acl = 0, acl_build = 0;
	struct spd_shapes *saved;
	struct spd *spd = NULL;
	char why[200];

	for (unsigned i = 0; i < 5; i++) {
		uint64_t start = rte_rdtsc();
		spd_free(spd);
		spd = spd_build(p, n, why, sizeof(why));
		build = RTE_MIN(build, ns(rte_rdtsc() - start) / 1e6);
	}
	if (!p || !spd)
		abort();
	look = cost(spd, p, n, four);
	if (four && n > 1) {
		uint64_t start = rte_rdtsc();
		if (!spd->acl)
			spd->acl = spd_acl_build(spd, false);
		acl_build = ns(rte_rdtsc() - start) / 1e6;
		acl = cost(spd, p, n, true);
		if (spd->four || n <= SPD_LINEAR_MAX) {
			spd_acl_free(spd->acl);
			spd->acl = NULL;
		}
	}
	if (n <= 1024 && !spd->acl) {
		saved = four ? spd->four : spd->six;
		*(four ? &spd->four : &spd->six) = NULL;
		linear = cost(spd, p, n, four);
		*(four ? &spd->four : &spd->six) = saved;
	}
	printf("IPv%c %8u %6u  %11.1f %8.1f  %13.1f  %10.1f %8.1f\n", four ? '4' : '6', n, shapes,
	       look, build, linear, acl, acl_build);
	spd_free(spd);
	free(p);
}

int main(void)
{
	static const uint32_t sizes[] = { 1, 4, 8, 9, 16, 64, 256, 1024, 10000 };
	static const uint32_t shapes[] = { 1, 2, 4, 6 };

	env_start();
	printf("     policies shapes  chosen way ns build ms  one by one ns  rte_acl ns build "
	       "ms\n");
	for (unsigned four = 0; four < 2; four++) {
		for (unsigned i = 0; i < RTE_DIM(sizes); i++)
			line(sizes[i], !four, 1);
		for (unsigned i = 1; i < RTE_DIM(shapes); i++)
			line(10000, !four, shapes[i]);
	}
	return 0;
}
