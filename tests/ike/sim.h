/* A simulated network: IKE engines in one process on virtual time. Everything that happens follows
 * from the seed: configuration, delays, loss, duplicates, restarts, random numbers. A sink stands
 * in for the data plane of each node and checks what it is told.
 *
 * Node 0 is a hub with a connection to each other node. Packets of traffic cross the network all
 * the time, "encrypted" with the sender's outbound SA: the receiver must have that SPI with that
 * key. */
#ifndef SHRIKE_TEST_SIM_H
#define SHRIKE_TEST_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "ike.h"

#define SIM_MAX_NODES 1024
#define SIM_SECRETS   4
#define SIM_WORKERS   4 /* lcores of a node */
#define SIM_ERR_LEN   400
#define SIM_EPOCH     1800000000 /* seconds: what a node's calendar says at virtual time 0 */

enum sim_faults {
	SIM_LOSS = 1,    /* packets get lost */
	SIM_DUP = 2,     /* or come twice */
	SIM_RESTART = 4, /* nodes forget everything */
	SIM_NAT = 8,     /* every node but the hub sits behind a NAT */
	SIM_REKEY = 16,  /* an operator rekeys at random, often on both sides at once */
	SIM_IDLE = 32,   /* no traffic: nothing but IKE itself can notice what went wrong */
	SIM_REBIND = 64, /* with SIM_NAT: NATs forget, and take other ports or addresses */
	SIM_CLOCK = 128, /* clocks jump ahead, calendars either way */
	SIM_HUB_NAT = 256, /* the hub sits behind a NAT that maps its ports one to one */
};

/* Choose at random, for each connection or child. */
enum sim_mix {
	SIM_MIX_ESP = 1,   /* AH, ESN, ciphers with salts */
	SIM_MIX_MODE = 2,  /* transport mode for the gateways themselves */
	SIM_MIX_PAIRS = 4, /* up to four parallel SA pairs */
	SIM_MIX_V6 = 8,    /* IPv6 inside */
	SIM_V6 = 16,       /* and all of the outside */
	SIM_STRANGERS = 32, /* nodes do not know each other for what they are */
};

struct sim_cfg {
	uint64_t seed;
	unsigned nodes;                      /* 2..SIM_MAX_NODES */
	unsigned faults;                     /* enum sim_faults */
	unsigned mix;                        /* enum sim_mix */
	uint64_t traffic_us;                 /* between two packets of a policy, 0 = 250 ms */
	unsigned loss, dup;                  /* percent */
	uint64_t delay_min_us, delay_max_us; /* of a packet; the spread makes them overtake */
	uint64_t job_max_us, install_max_us;
	uint64_t rough_us; /* how long the faults last */
	uint64_t rate;     /* bytes a second that flow all the time, each way under each policy; 0 =
			      none */
	bool fragments; /* of IKE messages, in packets of few bytes */
	bool policies; /* limits of Quick Modes and the like, at random */
	bool aggressive; /* a third of the connections in Aggressive Mode */
	bool verbose;
	const char *psk[SIM_SECRETS]; /* NULL: "secret" */
};

struct sim_totals {
	uint64_t packets, delivered, unknown, messages, lost, restarts, rebinds, jumps;
	uint64_t rekeys1, rekeys2, negotiations1, negotiations2;
	uint64_t volume_lost; /* bytes of the flow that found no SA to carry them */
};

struct sim;

/* Configurations by number, so that a failing seed says all. */
struct sim_cfg sim_cfg_from_seed(uint64_t seed);
struct sim *sim_new(const struct sim_cfg *cfg);
void sim_free(struct sim *sim); /* checks for leaks first: see sim_error() */
/* A change to the configuration of node's peer before it is set, for tests of their own. */
struct ike *sim_engine(struct sim *sim, unsigned node);
struct ike_peer_cfg *sim_peer_cfg(struct sim *sim, unsigned node, unsigned peer);
void sim_start(struct sim *sim); /* hands all configurations to the engines */
void sim_restart(struct sim *sim, unsigned node);
void sim_rebind(struct sim *sim, unsigned node); /* its NAT forgets its ports and takes others */
void sim_jump(struct sim *sim, unsigned node, uint64_t us); /* its clock, ahead */
void sim_run(struct sim *sim, uint64_t us);      /* virtual time passes */
uint64_t sim_now(const struct sim *sim);
void sim_stop_flow(struct sim *sim); /* of cfg.rate: only single packets from then on */
void sim_set_faults(struct sim *sim, unsigned faults);
/* Both ends agree on everything and nothing is under way. */
bool sim_quiet(struct sim *sim, char *why, size_t size);
/* The same of one connection of the hub: among many peers somebody always renews something. */
bool sim_quiet_with(struct sim *sim, unsigned node, char *why, size_t size);
/* Current SA pairs of a node, in all. */
unsigned sim_pairs(struct sim *sim, unsigned node);
/* The first violated invariant, or NULL. */
const char *sim_error(const struct sim *sim);
struct sim_totals sim_totals(const struct sim *sim);
/* The last error that a node remembers for its peer. */
const char *sim_last_error(struct sim *sim, unsigned node, unsigned peer);
/* The last diagnosis of that kind that a node has made, or NULL. */
const struct ike_diagnosis *sim_diagnosis(struct sim *sim, unsigned node, enum ike_diag code);
/* A hook that sees every ISAKMP message when it is sent; it may change it or return false to drop.
 */
void sim_set_tap(struct sim *sim,
		 bool (*tap)(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg,
			     size_t *len),
		 void *ctx);
/* Tears everything down by configuration and checks that nothing stays. */
void sim_finish(struct sim *sim);

#endif
