/* Parallel SA pairs: four workers, one policy, four pairs of which each worker owns one. Every worker
 * sends through its own; where it has none, through the latest. Replacing and removing pairs under
 * load loses nothing. */
#include <stdio.h>

#include "ring_rig.h"

#define WORKERS 4
#define ROUNDS  40 /* rekeys under load */

static struct sa_ref ref[WORKERS];

static void install(const struct sa_ref *r, enum sa_dir dir, bool spread)
{
	unsigned want = rig_stored + 1;
	struct sa_params p;

	rig_params(&p, r, dir, 0);
	p.spread = spread;
	must(dp_sa_install(rig_dp, &p) == 0, "an SA is installed");
	rig_poll_until_stored(want);
	must(rig_stored == want, "an SA is stored");
}

static void pair_make(struct sa_ref *r, uint16_t owner, bool spread)
{
	must(dp_sa_reserve(rig_dp, owner, r) == 0, "a place is reserved");
	install(r, SA_IN, spread);
	install(r, SA_OUT, spread);
}

static void out_remove(const struct sa_ref *r)
{
	double end = rig_seconds() + 20;
	struct sa_stats s;

	dp_sa_remove(rig_dp, r, SA_OUT);
	while (dp_sa_stats(rig_dp, r, SA_OUT, &s) && rig_seconds() < end)
		dp_poll(rig_dp);
}

/* Packets under the old key are still on their way round: the inbound SA stays until they are in. */
static void pair_replace(struct flow *f, unsigned i, uint16_t owner)
{
	struct sa_ref old = ref[i];

	pair_make(&ref[i], owner, true);
	out_remove(&old);
	if (f)
		must(flow_turnover(f), "packets come round while an SA is rekeyed");
	dp_sa_remove(rig_dp, &old, SA_IN);
	dp_sa_release(rig_dp, &old);
}

/* Runs packets round for a while; by_owner and what was handed over come from this while alone. */
static struct rig_totals run(struct flow *f, bool to_owner, double seconds)
{
	struct rig_totals before = rig_totals(false), t;
	double start = rig_seconds();

	*f = (struct flow){ .policies = 1, .to_owner = to_owner };
	flow_start(f);
	rig_poll_for(seconds);
	flow_stop(f);
	t = rig_totals(false);
	t.handed -= before.handed;
	printf("# %llu packets round, %.0f a second; of 100 encrypted by worker 0-3: %.0f %.0f %.0f %.0f; "
	       "handed over per 100 ways: %.0f\n",
	       (unsigned long long)f->back, (double)f->back / (rig_seconds() - start - 0.2),
	       100.0 * (double)f->by_owner[0] / (double)f->esp,
	       100.0 * (double)f->by_owner[1] / (double)f->esp,
	       100.0 * (double)f->by_owner[2] / (double)f->esp,
	       100.0 * (double)f->by_owner[3] / (double)f->esp,
	       100.0 * (double)t.handed / (double)(2 * f->back));
	check(f->sent == f->back && f->sent > 200, "every packet comes back");
	return t;
}

static bool even(const struct flow *f)
{
	for (unsigned i = 0; i < WORKERS; i++)
		if (f->by_owner[i] * WORKERS < f->esp - WORKERS * 2 ||
		    f->by_owner[i] * WORKERS > f->esp + WORKERS * 2)
			return false;
	return true;
}

static void one_pair(void)
{
	struct rig_totals t;
	struct flow f;

	printf("# one pair\n");
	pair_make(&ref[0], 1, false);
	t = run(&f, true, 1);
	check(f.by_owner[1] == f.esp, "one pair: its owner encrypts all");
	check(t.handed * 4 > f.sent * 3 - 4, "and three of four packets are handed to it");
	/* a second one without spread takes over for everybody */
	pair_make(&ref[1], 2, false);
	run(&f, true, 0.3);
	check(f.by_owner[2] == f.esp, "the latest pair sends for all workers");
	rig_pair_remove(&ref[0]);
	rig_pair_remove(&ref[1]);
	rig_poll_until_removed(0);
}

static void four_pairs(void)
{
	struct rig_totals t;
	struct flow f;

	printf("# four pairs\n");
	for (uint16_t i = 0; i < WORKERS; i++)
		pair_make(&ref[i], i, true);
	t = run(&f, true, 1);
	check(even(&f), "four pairs: every worker encrypts what it receives");
	check(t.handed == 0, "and nothing is handed over, in neither direction");
	run(&f, false, 0.5);
	check(even(&f), "ESP on any queue finds its owner");
}

static void rekeys(void)
{
	struct flow f = { .policies = 1 };
	struct rig_totals t;

	printf("# %u rekeys under load\n", ROUNDS);
	flow_start(&f);
	for (unsigned i = 0; i < ROUNDS; i++)
		pair_replace(&f, i % WORKERS, (uint16_t)(i % WORKERS));
	/* as when the peer's rekeys land where they will: some workers are without a pair */
	for (unsigned i = 0; i < ROUNDS; i++)
		pair_replace(&f, i % WORKERS, (uint16_t)(i / 3 % 2));
	flow_stop(&f);
	t = rig_totals(true);
	printf("# %llu packets round\n", (unsigned long long)f.back);
	check(f.sent == f.back && f.sent > 1000, "rekeying one of four loses no packet");
	check(t.drops == 0, "nothing was dropped");
	for (uint16_t i = 0; i < WORKERS; i++)
		pair_replace(NULL, i, i);
	run(&f, true, 0.3);
	check(even(&f), "with a pair for each again, the load is even again");
}

/* One after the other goes under load; what is left carries all. */
static void removals(void)
{
	struct flow f = { .policies = 1, .to_owner = true };

	printf("# removals\n");
	flow_start(&f);
	for (unsigned i = 0; i < WORKERS - 1; i++) {
		rig_poll_for(0.05);
		dp_sa_remove(rig_dp, &ref[i], SA_OUT);
		rig_poll_for(0.05);
	}
	flow_stop(&f);
	check(f.sent == f.back, "removing pairs loses no packet while one is left");
	run(&f, true, 0.3);
	check(f.by_owner[3] == f.esp, "the last one carries all");
	dp_sa_remove(rig_dp, &ref[3], SA_OUT);
	rig_poll_for(0.1);
	rig_frame_in(LAN, 0, rig_clear(0, 0, 10), false);
	rig_poll_for(0.1);
	check(rig_totals(false).drops == 1, "without any, a packet is dropped");
}

int main(void)
{
	struct rig_cfg cfg = { .workers = WORKERS };

	rig_start(&cfg, 1);
	one_pair();
	four_pairs();
	rekeys();
	removals();
	for (unsigned i = 0; i < WORKERS; i++)
		rig_pair_remove(&ref[i]);
	rig_poll_until_removed(0);
	check(rig_installed() == 0 && rte_mempool_in_use_count(rig_pool) == 0,
	      "no SA and no packet buffer is left");
	rig_stop();
	return checks_end();
}
