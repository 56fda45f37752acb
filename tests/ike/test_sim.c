/* The simulated network: many seeded runs, each rough for a while and then quiet; at the end both
 * ends of every connection must have the same SA pairs with the same keys, and nothing else.
 *
 *   test_sim [--runs N] [--from SEED]     N runs with successive seeds
 *   test_sim --seed SEED                  one run with its timeline */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_certs.h"

#define SEC         1000000ull
#define SETTLE_SECS 900 /* virtual seconds until everybody must have agreed */

/* Runs one seed; returns false and prints what is wrong. */
static bool run_one(uint64_t seed, bool verbose, struct sim_totals *sum)
{
	struct sim_cfg cfg = sim_cfg_from_seed(seed);
	char why[300] = "";
	bool ok = false;

	cfg.verbose = verbose;
	struct sim *s = sim_new(&cfg);
	if (seed % 8 < 2) /* with faults and without */
		sim_certs_use(s, cfg.nodes);
	sim_start(s);
	sim_run(s, cfg.rough_us);
	sim_set_faults(s, 0);
	sim_stop_flow(s);
	sim_run(s, 100 * SEC); /* retransmissions of what was lost before */
	for (unsigned i = 0; i < SETTLE_SECS && !ok && !sim_error(s); i++) {
		sim_run(s, SEC);
		ok = sim_quiet(s, why, sizeof(why));
		for (unsigned n = 0; ok && n < cfg.nodes; n++)
			if (sim_pairs(s, n) == 0) {
				snprintf(why, sizeof(why), "node %u has no SA at all", n);
				ok = false;
			}
	}
	if (!sim_error(s))
		sim_finish(s);
	if (sim_error(s))
		ok = false;
	if (!ok)
		printf("FAILED: %s\n", sim_error(s) ? sim_error(s) : why);
	if (!ok && !sim_error(s))
		printf("  (seed %llu)\n", (unsigned long long)seed);
	struct sim_totals t = sim_totals(s);
	const uint64_t *from = (const uint64_t *)&t;
	uint64_t *to = (uint64_t *)sum;
	for (size_t i = 0; i < sizeof(t) / sizeof(*from); i++)
		to[i] += from[i];
	sim_free(s);
	return ok;
}

int main(int argc, char **argv)
{
	uint64_t runs = 200, from = 1, failed = 0;
	struct sim_totals sum = { 0 };

	for (int i = 1; i + 1 < argc; i += 2) {
		uint64_t v = strtoull(argv[i + 1], NULL, 0);
		if (strcmp(argv[i], "--seed") == 0)
			return run_one(v, true, &sum) ? 0 : 1;
		if (strcmp(argv[i], "--runs") == 0)
			runs = v;
		else if (strcmp(argv[i], "--from") == 0)
			from = v;
	}
	for (uint64_t i = 0; i < runs && failed < 20; i++)
		failed += !run_one(from + i, false, &sum);
	sim_certs_free();
	printf("%llu runs, %llu failed: %llu messages (%llu lost), %llu restarts, "
	       "%llu Main Modes (%llu rekeys), %llu Quick Modes (%llu rekeys), "
	       "%llu packets: %llu delivered, %llu with an unknown SPI\n",
	       (unsigned long long)runs, (unsigned long long)failed,
	       (unsigned long long)sum.messages, (unsigned long long)sum.lost,
	       (unsigned long long)sum.restarts, (unsigned long long)sum.negotiations1,
	       (unsigned long long)sum.rekeys1, (unsigned long long)sum.negotiations2,
	       (unsigned long long)sum.rekeys2, (unsigned long long)sum.packets,
	       (unsigned long long)sum.delivered, (unsigned long long)sum.unknown);
	return failed ? 1 : 0;
}
