/* How long one negotiation takes. */
#ifndef SHRIKE_BENCH_IKE_LOOPBACK_H
#define SHRIKE_BENCH_IKE_LOOPBACK_H

#include <stdbool.h>

struct latency {
	unsigned n;
	double median_ms, p90_ms, max_ms;
};

/* Two engines, each with a thread of its own and one for its maths, and UDP over the loopback
 * interface between them. main: from the initiator's decision to its ISAKMP SA; quick: to its SA
 * pair, without PFS. n of each. */
bool loopback_measure(const char *group, unsigned n, struct latency *main_mode,
		      struct latency *quick);

#endif
