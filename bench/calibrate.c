#include "calibrate.h"

#include <rte_cycles.h>
#include <rte_malloc.h>
#include <stdint.h>

#define WORDS (256 * 1024 / sizeof(uint64_t))
#define STEPS 6000
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

static inline uint64_t step(uint64_t x)
{
	x ^= x << 13, x ^= x >> 7, x ^= x << 17;
	return x + memory[x % WORDS]++;
}

/* Five chains that do not wait for each other: they fill the core, and whoever has its other thread is felt. */
static uint64_t compute(void)
{
	uint64_t x[5] = { 0x9e3779b97f4a7c15, 2, 3, 4, 5 }, start = rte_rdtsc();

	for (unsigned i = 0; i < STEPS; i++) {
		x[0] = step(x[0]);
		x[1] = step(x[1]);
		x[2] = step(x[2]);
		x[3] = step(x[3]);
		x[4] = step(x[4]);
	}
	memory[0] = x[0] ^ x[1] ^ x[2] ^ x[3] ^ x[4];
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

static double us(uint64_t ticks)
{
	return (double)ticks * 1e6 / (double)rte_get_tsc_hz();
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
	return us(t);
}

double calibrate_best_us(void)
{
	return us(best);
}

double calibrate_disturbed(void)
{
	return calls ? (double)slow / (double)calls : 0;
}
