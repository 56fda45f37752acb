/* Times one case: the whole way, the sink alone and the cryptography alone, interleaved. */
#ifndef SHRIKE_BENCH_MEASURE_H
#define SHRIKE_BENCH_MEASURE_H

#include "rig.h"

#define MEASURE_MAX_REPS  1024
#define MEASURE_MAX_TRIES 16384

struct stat {
	double median, low, high; /* low and high: quartiles */
};

/* Of n values, which it sorts. */
struct stat stat_of(double *v, unsigned n);

struct result {
	enum sa_dir dir;
	struct rig_case what;
	unsigned lcores;
	double bytes; /* of an inner packet, on average */
	/* ns a packet of one lcore; with two lcores: of the first, while the other does the same */
	struct stat gross;             /* classify to transmit, with the sink */
	struct stat sink;              /* transmitting to net_null and freeing, alone */
	struct stat crypto;            /* the code that the gateway uses, alone on the same buffers */
	struct stat library;           /* IPsec-MB likewise: the same where the gateway uses it */
	struct stat stage[RIG_STAGES]; /* parts of gross, in a pass of their own; the last holds the sink */
	double net;         /* gross - sink, medians; with two lcores: of both together */
	struct stat scale;  /* two lcores: packets of both against those of one alone, in turns */
	struct stat crypto_scale; /* likewise of the cryptography alone: what the CPUs themselves give */
	unsigned disturbed; /* repetitions that were thrown away: noisier than those that count */
	double calibration; /* us, during those that count, see calibrate(); median */
};

/* reps repetitions of at least `packets` packets each, on one rig, or on two at once (the second on
 * EAL lcore 1). While a neighbour disturbs there are more of them, for `patience` seconds in all; those during
 * which the calibration (which knows nothing of what was measured) found least noise count. 0, or -1 when
 * packets were dropped. */
int measure(struct rig *rigs, unsigned lcores, enum sa_dir dir, unsigned reps, unsigned packets,
	    double patience, struct result *out);

/* One pass without a clock, for counting instructions. 0, or -1 when packets were dropped. */
int measure_once(struct rig *rig, enum sa_dir dir, unsigned packets);

/* Sends n packets out and back in and compares each with what was sent. 0 or -1. */
int verify(struct rig *rig, unsigned n);

#endif
