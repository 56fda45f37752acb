/* How many negotiations a gateway's engine does in a second. */
#ifndef SHRIKE_BENCH_IKE_PAIRS_H
#define SHRIKE_BENCH_IKE_PAIRS_H

#include <stdbool.h>
#include <stdint.h>

struct rate {
	unsigned done;
	double per_second;    /* wall clock while the gateway had something to do */
	double control_us;    /* CPU time of its control thread for one */
	double public_key_us; /* likewise of the thread for the maths */
	double maths_us;      /* of the key pair and shared secret, alone; 0: there is none in it */
	double evp_us;        /* the same through EVP_PKEY, 0: not known there */
	double share;         /* of what the maths alone allows on that thread; 0: there is none */
};

/* Main Mode with pre-shared keys and a Quick Mode without PFS for each of n peers, phase 1 in the
 * given group. False (with a line on standard error) when a negotiation failed. */
bool pairs_measure(const char *group, unsigned n, struct rate *out);
/* Quick Modes with n peers whose Main Mode SA stands, each renewing its pair `rounds` times; group:
 * PFS, NULL = none. */
bool quick_measure(const char *group, unsigned n, unsigned rounds, struct rate *out);

#endif
