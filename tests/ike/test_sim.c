/* The simulated network: many seeded runs, each rough for a while and then quiet; at the end both
 * ends of every connection must have the same SA pairs with the same keys, and nothing else.
 *
 *   test_sim [--runs N] [--from SEED]     N runs with successive seeds
 *   test_sim --seed SEED                  one run with its timeline
 *   test_sim --peers N [--runs R]         R runs of one gateway with N peers */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_access.h"
#include "sim_certs.h"

#define SEC         1000000ull
#define SIM_FEW     4   /* nodes of which each is looked at on its own */
#define SETTLE_SECS 900 /* virtual seconds until everybody must have agreed */

static void add_totals(struct sim_totals *sum, struct sim_totals t)
{
	const uint64_t *from = (const uint64_t *)&t;
	uint64_t *to = (uint64_t *)sum;

	for (size_t i = 0; i < sizeof(t) / sizeof(*from); i++)
		to[i] += from[i];
}

/* Waits until everybody agrees at the same moment. */
static bool settle(struct sim *s, const struct sim_cfg *cfg, char *why, size_t size)
{
	bool ok = false;

	for (unsigned i = 0; i < SETTLE_SECS && !ok && !sim_error(s); i++) {
		sim_run(s, SEC);
		ok = sim_quiet(s, why, size);
		for (unsigned n = 0; ok && n < cfg->nodes; n++)
			if (sim_pairs(s, n) == 0) {
				snprintf(why, size, "node %u has no SA at all", n);
				ok = false;
			}
	}
	return ok;
}

/* Waits until the hub has agreed with each of many once. */
static bool settle_many(struct sim *s, const struct sim_cfg *cfg, char *why, size_t size)
{
	bool done[SIM_MAX_NODES] = { true };
	unsigned left = cfg->nodes - 1;

	for (unsigned i = 0; i < SETTLE_SECS && left && !sim_error(s); i += 10) {
		sim_run(s, 10 * SEC);
		for (unsigned n = 1; n < cfg->nodes; n++) {
			if (done[n] || !sim_quiet_with(s, n, why, size) || sim_pairs(s, n) == 0)
				continue;
			done[n] = true;
			left--;
		}
	}
	return left == 0;
}

/* Runs one configuration; returns false and prints what is wrong. */
static bool run_one(const struct sim_cfg *cfg, struct sim_totals *sum)
{
	bool many = cfg->nodes > SIM_FEW;
	char why[300] = "";
	struct sim *s = sim_new(cfg);

	if (cfg->seed % 8 < 2 && !many) /* with faults and without */
		sim_certs_use(s, cfg->nodes);
	else if (cfg->seed % 16 >= 12 && !many) /* likewise */
		sim_access_use(s, cfg->nodes, (unsigned)(cfg->seed / 16 % 3));
	sim_start(s);
	sim_run(s, cfg->rough_us / 2);
	if (many)
		sim_restart(s, 0);
	sim_run(s, cfg->rough_us / 2);
	sim_set_faults(s, 0);
	sim_stop_flow(s);
	sim_run(s, 100 * SEC); /* retransmissions of what was lost before */
	bool ok = many ? settle_many(s, cfg, why, sizeof(why)) : settle(s, cfg, why, sizeof(why));
	if (!sim_error(s))
		sim_finish(s);
	if (sim_error(s))
		ok = false;
	if (!ok)
		printf("FAILED: %s\n", sim_error(s) ? sim_error(s) : why);
	if (!ok && !sim_error(s))
		printf("  (seed %llu)\n", (unsigned long long)cfg->seed);
	add_totals(sum, sim_totals(s));
	sim_free(s);
	return ok;
}

static struct sim_cfg from_seed(uint64_t seed)
{
	struct sim_cfg c = sim_cfg_from_seed(seed);

	c.policies = true;
	c.fragments = true;
	c.aggressive = true;
	return c;
}

/* Many sites on one gateway: it restarts with all of them, some of them restart, packets get lost. */
static struct sim_cfg many_peers(uint64_t seed, unsigned peers)
{
	struct sim_cfg c = sim_cfg_from_seed(seed);

	c.nodes = peers + 1;
	c.faults = SIM_LOSS | SIM_DUP | SIM_RESTART | (seed % 2 ? SIM_NAT : 0);
	c.mix = SIM_MIX_ESP | (seed % 3 ? 0 : SIM_V6);
	c.loss = c.dup = 10;
	c.rough_us = 90 * SEC;
	c.traffic_us = 5 * SEC;
	c.rate = 0;
	return c;
}

int main(int argc, char **argv)
{
	uint64_t runs = 200, from = 1, failed = 0, peers = 0;
	struct sim_totals sum = { 0 };
	struct sim_cfg cfg;

	for (int i = 1; i + 1 < argc; i += 2) {
		uint64_t v = strtoull(argv[i + 1], NULL, 0);
		if (strcmp(argv[i], "--seed") == 0) {
			cfg = from_seed(v);
			cfg.verbose = true;
			return run_one(&cfg, &sum) ? 0 : 1;
		}
		if (strcmp(argv[i], "--runs") == 0)
			runs = v;
		else if (strcmp(argv[i], "--from") == 0)
			from = v;
		else if (strcmp(argv[i], "--peers") == 0 && v < SIM_MAX_NODES)
			peers = v;
	}
	if (peers && runs == 200)
		runs = 1;
	for (uint64_t i = 0; i < runs && failed < 20; i++) {
		cfg = peers ? many_peers(from + i, (unsigned)peers) : from_seed(from + i);
		failed += !run_one(&cfg, &sum);
	}
	sim_certs_free();
	printf("%llu runs, %llu failed: %llu messages (%llu lost), %llu restarts, "
	       "%llu NATs rebound, %llu clocks jumped, "
	       "%llu Main Modes (%llu rekeys), %llu Quick Modes (%llu rekeys), "
	       "%llu packets: %llu delivered, %llu with an unknown SPI\n",
	       (unsigned long long)runs, (unsigned long long)failed,
	       (unsigned long long)sum.messages, (unsigned long long)sum.lost,
	       (unsigned long long)sum.restarts, (unsigned long long)sum.rebinds,
	       (unsigned long long)sum.jumps, (unsigned long long)sum.negotiations1,
	       (unsigned long long)sum.rekeys1, (unsigned long long)sum.negotiations2,
	       (unsigned long long)sum.rekeys2, (unsigned long long)sum.packets,
	       (unsigned long long)sum.delivered, (unsigned long long)sum.unknown);
	return failed ? 1 : 0;
}
