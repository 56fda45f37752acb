/* Times one case: the whole way, the sink alone and the cryptography alone, interleaved. */
#ifndef SHRIKE_BENCH_MEASURE_H
#define SHRIKE_BENCH_MEASURE_H

#include "rig.h"

#define MEASURE_MAX_REPS 1024

struct stat {
	double median, low, high; /* ns a packet; low and high: quartiles */
};

struct result {
	enum sa_dir dir;
	const struct rig_alg *alg;
	unsigned n_sas;
	uint16_t size;
	struct stat gross;  /* classify to transmit, with the sink */
	struct stat sink;   /* transmitting to net_null and freeing, alone */
	struct stat crypto; /* IPsec-MB alone on the same buffers */
	double net;	    /* gross - sink, medians */
	struct stat stage[RIG_STAGES]; /* parts of gross; the last holds the sink */
};

/* reps repetitions of at least `packets` packets each. 0, or -1 when packets were dropped. */
int measure(struct rig *rig, enum sa_dir dir, unsigned reps, unsigned packets, struct result *out);

/* Sends n packets out and back in and compares each with what was sent. 0 or -1. */
int verify(struct rig *rig, unsigned n);

#endif
