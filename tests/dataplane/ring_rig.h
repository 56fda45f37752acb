/* The whole facade on two ports that are made of rings, with packets that go round: one comes in
 * behind us (LAN), leaves as ESP (WAN), is turned round as if the peer had sent it, and comes back
 * decrypted. What goes in must come out. The output is TAP. */
#ifndef SHRIKE_TESTS_DATAPLANE_RING_RIG_H
#define SHRIKE_TESTS_DATAPLANE_RING_RIG_H

#include <pthread.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane.h"
#include "drop.h"

enum { WAN, LAN, PORTS };

#define RIG_WORKERS 4  /* at most */
#define RIG_RING    256 /* packets on each side of each queue of a port */
#define IN_FLIGHT   64 /* less than any ring or burst: nothing may be dropped */

extern struct rte_ring *rig_rx[PORTS][RIG_WORKERS], *rig_tx[PORTS][RIG_WORKERS];
extern struct dp *rig_dp;
extern struct rte_mempool *rig_pool;
extern unsigned rig_stored; /* on_sa_stored() so far */

/* One line of TAP; must: ends the program when it is not so. */
void check(bool ok, const char *what);
void must(bool ok, const char *what);
/* The plan, and the program's exit code. */
int checks_end(void);

struct rig_cfg {
	unsigned workers;  /* all of them share two CPUs */
	unsigned sa_slots; /* 0 = 8192 */
	struct dp_callbacks cb; /* on_sa_stored is the rig's */
};

/* wan is 10.9.0.1/24 with the peer 10.9.0.2, lan 10.1.0.254/24 with the next hop of 10.2.0.0/16; both
 * neighbours, and the host 10.1.0.7, are known when it returns. Every packet from 10.1/16 to 10.2.0.i
 * (i below policies) is for policy i. */
void rig_start(const struct rig_cfg *cfg, unsigned policies);
void rig_stop(void);

/* A pair of the policy, both directions with the same keys and the same SPI. */
void rig_params(struct sa_params *p, const struct sa_ref *ref, enum sa_dir dir, uint32_t policy);
int rig_pair_add(struct sa_ref *ref, uint16_t owner, uint32_t policy);
void rig_pair_remove(const struct sa_ref *ref);

double rig_seconds(void);
void rig_poll_for(double s);
/* Until so many on_sa_stored() came in all, at most 20 seconds. */
void rig_poll_until_stored(unsigned n);
/* SAs in service; until so many are left. */
unsigned rig_installed(void);
void rig_poll_until_removed(unsigned left);

/* Sums over the workers. */
struct rig_totals {
	uint64_t rx, tx, handed, taken, esp_in, esp_out, punted, injected, drops;
};
/* verbose: prints the drop reasons. */
struct rig_totals rig_totals(bool verbose);

/* Frames into a receive queue. A full ring ends the program, unless they may be lost: then false. */
struct rte_mbuf *rig_clear(uint32_t n, uint32_t policy, unsigned payload);
bool rig_frame_in(unsigned port, unsigned queue, struct rte_mbuf *pkt, bool may_lose);
/* A frame that has left, or NULL. */
struct rte_mbuf *rig_leaving(unsigned port, unsigned queue);
/* The SPI of an ESP frame; 0: it is none. */
uint32_t rig_spi_of(struct rte_mbuf *frame);
/* When it asks for a neighbour's address: the neighbour is heard of. */
void rig_arp_answer(unsigned port, struct rte_mbuf *frame);
/* ESP of ours becomes a packet of the peer's, without its Ethernet header. */
void rig_turn(struct rte_mbuf *frame);

/* Keeps IN_FLIGHT packets on their way, in a thread of its own. */
struct flow {
	unsigned policies;
	bool to_owner; /* ESP comes back on the queue of its SA's owner, as with RSS by SPI */
	bool swap;     /* with two workers and a pair for each: everything on the other's queue */
	int stop;
	pthread_t thread;
	uint64_t sent, esp, back, other;
	uint64_t by_owner[RIG_WORKERS]; /* ESP that left, by the owner of its SA */
	uint16_t on_way[IN_FLIGHT];     /* IP identifications; they come back in any order */
	bool old[IN_FLIGHT];            /* on its way since before flow_turnover() */
	int turnover;                   /* asked for */
};
void flow_start(struct flow *f);
/* Waits until all packets that are on their way now are back (new ones set out meanwhile), at most ten
 * seconds; false: some are not. */
bool flow_turnover(struct flow *f);
/* Waits until all are back, at most two seconds. */
void flow_stop(struct flow *f);

#endif
