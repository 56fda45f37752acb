/* What the files of the simulated network share. */
#ifndef SHRIKE_TEST_SIM_INTERNAL_H
#define SHRIKE_TEST_SIM_INTERNAL_H

#include <sys/queue.h>

#include "sim.h"

#define SEC               1000000ull
#define MSG_CAP           8192
#define POLICIES_PER_PEER 8
#define SINK_BUCKETS      256
#define SIM_USED_UP       16

struct sink_sa {
	LIST_ENTRY(sink_sa) bucket;          /* by ref.spi */
	TAILQ_ENTRY(sink_sa) sender;         /* SA_OUT: of its policy, the latest first */
	struct sim_node *node;
	bool confirmed;
	bool flowing, soft, dead;  /* of the volume: sent through; limits reported */
	uint64_t bytes, since;     /* carried, until then */
	uint64_t rest;             /* and not yet: millionths of a byte */
	uint64_t packets, used_us; /* of traffic, and the last packet of either */
	struct sa_params p;
};

TAILQ_HEAD(sink_list, sink_sa);

struct sim_reservation {
	LIST_ENTRY(sim_reservation) bucket;
	struct sa_ref ref;
};

struct sim_policy {
	struct sink_list senders;
	bool was_up; /* traffic flowed in this epoch of everybody */
};

struct sim_node {
	struct sim *sim;
	unsigned idx, epoch;
	struct ike *ike;
	uint64_t rng;
	uint64_t timer_at;	      /* when EV_TIMER is due; older ones do not count */
	uint64_t ahead_us;	      /* of its clock */
	int64_t wall_off;	      /* seconds, of its calendar */
	struct ip_addr addr, outside; /* outside: as others see it */
	uint16_t nat_base;            /* what its NAT adds to its ports */
	struct ike_peer_cfg *peers;   /* the hub: one for each node; others: the hub's alone */
	unsigned n_peers;
	LIST_HEAD(, sink_sa) sas[SINK_BUCKETS];
	LIST_HEAD(, sim_reservation) reserved[SINK_BUCKETS];
	unsigned n_sas, n_reserved, slots;
	uint32_t used_up[SIM_USED_UP]; /* inbound SPIs of late that went with their volume, in turns */
	unsigned n_used_up;
	struct sim_policy *policies; /* n_peers * POLICIES_PER_PEER */
	struct ike_diagnosis *diagnosed; /* the last of each kind, text "": none; or NULL */
};

enum ev_type { EV_MSG, EV_ESP, EV_JOB, EV_INSTALLED, EV_TRAFFIC, EV_CHAOS, EV_TIMER, EV_FLOW };

struct sim_ev {
	uint64_t at, order;
	enum ev_type type;
	unsigned node, epoch;
	struct ike_path path;
	uint8_t *msg;
	size_t len;
	struct ike_job *job;
	struct sa_ref ref;
	enum sa_dir dir;
	uint32_t spi;
	enum sa_proto proto;
	bool esn, udp;
	uint8_t key[SA_KEY_MAX], auth[SA_AUTH_MAX];
	bool clean; /* must arrive: nothing was wrong when it was sent */
};

struct sim {
	struct sim_cfg cfg;
	uint64_t now, rng, order;
	unsigned faults;
	struct sim_node *nodes;
	struct sim_ev **heap;
	size_t n, cap;
	char error[SIM_ERR_LEN];
	struct sim_totals totals;
	bool (*tap)(void *, unsigned, struct ike_path *, uint8_t *, size_t *);
	void *tap_ctx;
	bool stopped; /* no traffic, no chaos */
};

/* sim.c */
uint64_t sim_random(uint64_t *state); /* splitmix64 */
uint64_t sim_below(struct sim *s, uint64_t n);
/* Notes the first violated invariant; the run ends. */
__attribute__((format(printf, 2, 3))) void sim_violated(struct sim *s, const char *fmt, ...);
__attribute__((format(printf, 2, 3))) void sim_say(struct sim *s, const char *fmt, ...);
struct sim_ev *sim_ev_new(struct sim *s, enum ev_type type, unsigned node, uint64_t delay);
struct sim_ev *sim_ev_pop(struct sim *s);
void sim_ev_free(struct sim_ev *e);
void sim_node_configure(struct sim_node *n);
void sim_node_halt(struct sim_node *n);
/* sim_chaos.c: what goes wrong */
void sim_chaos(struct sim *s);
/* sim_outside.c: the interfaces that an engine sees */
void sim_node_boot(struct sim_node *n);
uint64_t sim_delay(struct sim *s);
struct sim_node *sim_node_at(struct sim *s, const struct ip_addr *outside);
bool sim_behind_nat(const struct sim_node *n);
/* The path as the receiver sees it; false when the packet ends at a NAT, or nowhere. */
bool sim_route(struct sim_node *from, const struct ike_path *path, struct sim_node **to,
	       struct ike_path *seen);
struct sink_sa *sim_sink_find(struct sim_node *n, uint32_t ref_spi, enum sa_dir dir);
/* sim_volume.c: out has been put into service, or is about to go */
void sim_flow_start(struct sink_sa *out);
void sim_flow_end(struct sink_sa *out);
void sim_flow_due(struct sim_node *n, const struct sim_ev *e);
bool sim_op_stats(void *ctx, const struct sa_ref *ref, enum sa_dir dir, struct sa_stats *out);
/* sim_traffic.c */
void sim_traffic(struct sim_node *n);
void sim_traffic_arrives(struct sim_node *n, const struct sim_ev *e);

#endif
