/* Notices a noisy neighbour: the same work, timed again and again. */
#ifndef SHRIKE_BENCH_CALIBRATE_H
#define SHRIKE_BENCH_CALIBRATE_H

#include <stdbool.h>

/* Does some 60 microseconds of arithmetic and memory accesses (256 KB, in second level cache). True
 * when it took at most a tenth longer than the best time so far in this process. */
bool calibrate_quiet(void);
/* The best time so far and the share of calls that were slower than allowed. */
double calibrate_best_us(void);
double calibrate_disturbed(void);

#endif
