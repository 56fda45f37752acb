/* The benchmark's rig: two gateways' worker lcores in one thread, 10.9.0.1 (encrypts) and 10.9.0.2
 * (decrypts), with everything a worker has: policies, routes, SAs, a port. Packets are made in
 * memory and leave through a net_null port. */
#ifndef SHRIKE_BENCH_RIG_H
#define SHRIKE_BENCH_RIG_H

#include <rte_mempool.h>
#include <stdbool.h>
#include <stdint.h>

#include "lcore.h"

#define RIG_BURST   BURST
#define RIG_MAX_SAS 1024
#define RIG_FRAMES  4096 /* encrypted frames that wait for the way in; a multiple of RIG_BURST */

struct rig_alg {
	const char *name; /* "AES-128-GCM" */
	enum encr_alg encr;
	uint16_t key_bits;
	enum integ_alg integ;
};

extern const struct rig_alg rig_algs[];
extern const unsigned rig_n_algs;

struct rig {
	struct lcore *gw[2]; /* enum sa_dir: who decrypts, who encrypts */
	struct rte_mempool *pool;
	uint16_t null_port;
	const struct rig_alg *alg;
	unsigned n_sas;
	uint16_t size;	     /* bytes of the inner packet */
	uint16_t frame_len;  /* bytes of an encrypted frame */
	uint8_t *frames;     /* RIG_FRAMES of frame_len bytes each */
	uint16_t order[RIG_FRAMES]; /* the SA of packet i: every one equally often, shuffled */
};

/* Starts EAL on one CPU; 0 or -1 with a message on standard error. */
int rig_start(struct rig *rig, unsigned cpu);
/* Policies, SAs and encrypted frames for one case; what was there before is freed. */
int rig_setup(struct rig *rig, const struct rig_alg *alg, unsigned n_sas, uint16_t size);
void rig_stop(struct rig *rig);

/* Fills pkts with RIG_BURST packets number first and on, as they would come from a port. */
void rig_source_clear(struct rig *rig, struct rte_mbuf **pkts, unsigned first);
void rig_source_esp(struct rig *rig, struct rte_mbuf **pkts, unsigned first);
/* The inner packet number i (without Ethernet) as the sending host made it. */
void rig_inner(const struct rig *rig, unsigned i, uint8_t *ip);

/* The parts of the two ways, for the times of each. */
enum rig_stage { RIG_CLASSIFY, RIG_POLICY, RIG_ESP, RIG_FORWARD, RIG_STAGES };

/* What a worker does with a burst, up to the transmit buffer. ticks, if not NULL: what each stage took
 * is added there. */
void rig_way_out(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n, uint64_t *ticks);
void rig_way_in(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n, uint64_t *ticks);

/* Forgets the received sequence numbers, so that the frames can come again. */
void rig_replay_reset(struct rig *rig);
uint64_t rig_drops(const struct lcore *lc);
/* Prints the names of the reasons that are not zero. */
void rig_drops_print(const struct lcore *lc);

#endif
