#include "calibrate.h"

#include <rte_cycles.h>
#include <rte_malloc.h>
#include <stdint.h>

#define WORDS (256 * 1024 / sizeof(uint64_t))
#define STEPS 12000
#define LINES (6 * 1024 * 1024 / 64) /* more than second level caches hold, less than third level ones */
#define READS 12288
#define AHEAD 16

static uint64_t memory[WORDS];
static uint8_t (*lines)[64];
static uint64_t best = UINT64_MAX, calls, slow;

static inline uint32_t next(uint32_t x)
{
	x ^= x << 13, x ^= x >> 17, x ^= x << 5;
	return x;
}

/* Each step needs the one before. */
static uint64_t compute(void)
{
	uint64_t x = 0x9e3779b97f4a7c15, start = rte_rdtsc();

	for (unsigned i = 0; i < STEPS; i++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		x += memory[x % WORDS]++;
	}
	memory[0] = x;
	return rte_rdtsc() - start;
}

/* The same lines each time, fetched ahead as the packet path does. */
static uint64_t fetch(void)
{
	uint32_t ahead = 88172645, here = ahead;
	uint64_t sum = 0, start = rte_rdtsc();

	for (unsigned i = 0; i < READS + AHEAD; i++) {
		if (i < READS)
			__builtin_prefetch(lines[(ahead = next(ahead)) % LINES]);
		if (i >= AHEAD)
			sum += lines[(here = next(here)) % LINES][0];
	}
	memory[0] += sum;
	return rte_rdtsc() - start;
}

/* What is measured in between throws the memory out of the caches: each part first fetches its own again. */
double calibrate(void)
{
	uint64_t t = 0;

	if (!lines) /* in huge pages: addresses need no look-up */
		lines = rte_zmalloc(NULL, LINES * sizeof(*lines), 64);
	for (unsigned i = 0; i < WORDS; i += 8)
		memory[i]++;
	t += compute();
	if (lines) {
		fetch();
		t += fetch();
	}
	if (t < best)
		best = t;
	calls++;
	slow += (double)t > CALIBRATE_QUIET * (double)best;
	return (double)t / (double)best;
}

double calibrate_best_us(void)
{
	return (double)best * 1e6 / (double)rte_get_tsc_hz();
}

double calibrate_disturbed(void)
{
	return calls ? (double)slow / (double)calls : 0;
}
