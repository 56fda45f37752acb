#include "calibrate.h"

#include <rte_cycles.h>
#include <stdint.h>

#define WORDS (256 * 1024 / sizeof(uint64_t))
#define STEPS 12000

static uint64_t memory[WORDS];
static uint64_t best = UINT64_MAX, calls, slow;

static uint64_t work(void)
{
	uint64_t x = 0x9e3779b97f4a7c15, start = rte_rdtsc();

	/* each step needs the one before */
	for (unsigned i = 0; i < STEPS; i++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		x += memory[x % WORDS]++;
	}
	memory[0] = x;
	return rte_rdtsc() - start;
}

bool calibrate_quiet(void)
{
	uint64_t t = work();

	if (t < best)
		best = t;
	calls++;
	if (t <= best + best / 10)
		return true;
	slow++;
	return false;
}

double calibrate_best_us(void)
{
	return (double)best * 1e6 / (double)rte_get_tsc_hz();
}

double calibrate_disturbed(void)
{
	return calls ? (double)slow / (double)calls : 0;
}
