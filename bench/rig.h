/* The benchmark's rig: two gateways' worker lcores in one thread, 10.9.0.1 (encrypts) and 10.9.0.2
 * (decrypts), with everything a worker has: policies, routes, SAs, a port. Packets are made in
 * memory and leave through a net_null port. With two lcores there is a rig for each; they share
 * nothing but what the process shares. */
#ifndef SHRIKE_BENCH_RIG_H
#define SHRIKE_BENCH_RIG_H

#include <rte_mempool.h>
#include <stdbool.h>
#include <stdint.h>

#include "lcore.h"

#define RIG_BURST      BURST
#define RIG_MAX_LCORES 2
#define RIG_MAX_SAS    (1u << 17)
#define RIG_MIN_FRAMES \
	4096 /* encrypted frames that wait for the way in: these, or one for each SA */
#define RIG_MAX_INNER  1420
#define RIG_FRAME_ROOM 1536

struct rig_alg {
	const char *name; /* "AES-128-GCM" */
	enum encr_alg encr;
	uint16_t key_bits;
	enum integ_alg integ;
};

extern const struct rig_alg rig_algs[];
extern const unsigned rig_n_algs;

#define RIG_IMIX 0 /* as a size: 7 of 64, 4 of 570 and 1 of 1420 bytes in twelve */

struct rig_case {
	const struct rig_alg *alg;
	unsigned n_sas;
	unsigned n_policies; /* at least one for each SA; the others match nothing and come first */
	uint16_t size;       /* bytes of the inner packets, or RIG_IMIX */
};

struct rig {
	struct lcore *gw[2]; /* enum sa_dir: who decrypts, who encrypts */
	struct rte_mempool *pool;
	uint16_t null_port;
	struct rig_case now;
	unsigned n_frames; /* a multiple of RIG_BURST */
	uint8_t *frames;   /* n_frames of RIG_FRAME_ROOM bytes each */
	uint16_t *frame_len;
	uint32_t *order;  /* the SA of packet i: every one equally often, shuffled */
	unsigned n_built; /* SAs that exist */
	struct gcm_key_data *library_key; /* IPsec-MB's of each SA, where the SAs use our own code */
};

/* Starts EAL with one lcore on each of these CPUs, in huge pages if wanted and possible; 0 or -1
 * with a message on standard error. */
int rig_eal_start(const unsigned *cpu, unsigned n, bool huge_pages);
/* A rig for one lcore; index: 0..RIG_MAX_LCORES-1. 0 or -1 likewise. */
int rig_init(struct rig *rig, unsigned index);
void rig_fini(struct rig *rig);

/* ---- case.c ---- */

/* Policies, SAs and encrypted frames for one case; what was there before is freed. */
int rig_setup(struct rig *rig, const struct rig_case *c);
/* Frees the SAs. */
void rig_clear(struct rig *rig);
/* Builds pair i anew with other keys and puts it in the old one's place, as control and lcore do
 * together. 0 or -1. */
int rig_rebuild(struct rig *rig, enum sa_dir dir, unsigned i);

/* ---- traffic.c ---- */

/* Chooses the SA of every packet and takes memory for the frames. 0 or -1. */
int traffic_plan(struct rig *rig);
/* Encrypts the frames that the way in will receive. 0 or -1. */
int traffic_frames(struct rig *rig);
/* Bytes and SA of the inner packet number i. */
uint16_t traffic_size(const struct rig *rig, unsigned i);
uint32_t traffic_sa(const struct rig *rig, unsigned i);
/* Fills pkts with RIG_BURST packets number first and on, as they would come from a port: headers
 * only, the payload is whatever lies in the buffer. */
void traffic_clear(struct rig *rig, struct rte_mbuf **pkts, unsigned first);
void traffic_esp(struct rig *rig, struct rte_mbuf **pkts, unsigned first);
/* The inner packet number i (without Ethernet) as the sending host made it. */
void traffic_inner(const struct rig *rig, unsigned i, uint8_t *ip);
/* Forgets the received sequence numbers, so that the frames can come again. */
void traffic_replay_reset(struct rig *rig);

/* ---- rig.c ---- */

/* The parts of the two ways, for the times of each. */
enum rig_stage { RIG_CLASSIFY, RIG_POLICY, RIG_ESP, RIG_FORWARD, RIG_STAGES };

/* What a worker does with a burst, up to the transmit buffer. ticks, if not NULL: what each stage
 * took is added there. */
void rig_way_out(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n, uint64_t *ticks);
void rig_way_in(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n, uint64_t *ticks);

uint64_t rig_drops(const struct lcore *lc);
/* Prints the names of the reasons that are not zero. */
void rig_drops_print(const struct lcore *lc);

/* Addresses of the two gateways and what lies around them, host order. */
#define GW_OUT     0x0a090001u
#define GW_IN      0x0a090002u
#define NEXT_HOST  0x0a080002u /* behind GW_IN */
#define DST_NET    0x0a100000u /* pair i carries the packets to DST_NET + i */
#define SRC_HOST   0x0a010005u
#define SLOT_BITS  17
#define OWNER_BITS 2
#define SPI(slot)  (0x5cu << 24 | (uint32_t)(slot))
extern const uint8_t rig_macs[2][2]
			     [6]; /* [enum sa_dir][port 0: to the other gateway, 1: to hosts] */
extern const uint8_t rig_host_mac[6];

#endif
