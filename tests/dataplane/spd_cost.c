/* What a policy look-up costs, one by one and through rte_acl: the reason for SPD_LINEAR_MAX.
 *
 * Keys match the last policy in half of the cases and a random one in the others. Prints ns a key. */
#include <rte_cycles.h>
#include <stdio.h>
#include <stdlib.h>

#include "env.h"

#define KEYS   32
#define ROUNDS 500
#define TRIES  60 /* the best of: others use this machine too */

static struct spd_policy *policies(uint32_t n)
{
	struct spd_policy *p = calloc(n, sizeof(*p));

	for (uint32_t i = 0; p && i < n; i++) {
		uint32_t net = 0x0b000000 + (i << 8);
		p[i] = env_policy(i, POLICY_PROTECT, "10.1.0.0/16", "0.0.0.0/0");
		p[i].sel.remote = (struct ip_range){ ip_addr_v4(net), ip_addr_v4(net + 255) };
	}
	return p;
}

static double cost(const struct spd *spd, uint32_t n)
{
	struct spd_key key[KEYS] = { 0 };
	uint32_t match[KEYS];
	uint64_t best = UINT64_MAX;

	for (unsigned i = 0; i < KEYS; i++) {
		uint32_t hit = i & 1 ? n - 1 : (uint32_t)random() % n;
		key[i].proto = PROTO_UDP;
		key[i].local = rte_cpu_to_be_32(0x0a010007);
		key[i].remote = rte_cpu_to_be_32(0x0b000000 + (hit << 8) + 9);
	}
	for (unsigned t = 0; t < TRIES; t++) {
		uint64_t start = rte_rdtsc();
		for (unsigned i = 0; i < ROUNDS; i++)
			spd_lookup(spd, key, match, KEYS);
		best = RTE_MIN(best, rte_rdtsc() - start);
	}
	return (double)best * 1e9 / (double)rte_get_tsc_hz() / ROUNDS / KEYS;
}

int main(void)
{
	static const uint32_t sizes[] = { 1, 4, 8, 16, 17, 24, 32, 64, 256, 1024, 10000 };
	char why[200];

	env_start();
	printf("policies  one by one ns  rte_acl ns  build ms\n");
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct spd_policy *p = policies(sizes[i]);
		uint64_t start = rte_rdtsc();
		struct spd *spd = spd_build(p, sizes[i], why, sizeof(why));
		double build = (double)(rte_rdtsc() - start) * 1e3 / (double)rte_get_tsc_hz();
		struct rte_acl_ctx *acl = spd ? spd->acl : NULL;
		double through_acl = acl ? cost(spd, sizes[i]) : 0;

		if (!spd)
			return 1;
		spd->acl = NULL;
		printf("%8u  %13.1f  %10.1f  %8.1f\n", sizes[i], sizes[i] <= 1024 ? cost(spd, sizes[i]) : 0,
		       through_acl, build);
		spd->acl = acl;
		spd_free(spd);
		free(p);
	}
	return 0;
}
