/* Notices a noisy neighbour: the same work, timed again and again. */
#ifndef SHRIKE_BENCH_CALIBRATE_H
#define SHRIKE_BENCH_CALIBRATE_H

#define CALIBRATE_QUIET 1.1

/* Does some 100 microseconds of arithmetic that fills the core and of memory accesses: 256 KB, in second level cache,
 * and 12,288 lines out of 6 MB, in third level cache. Returns how long it took, in microseconds: not more than
 * CALIBRATE_QUIET times the best time, and nobody disturbs. */
double calibrate(void);
/* The best time so far and the share of calls that were slower than CALIBRATE_QUIET. */
double calibrate_best_us(void);
double calibrate_disturbed(void);

#endif
