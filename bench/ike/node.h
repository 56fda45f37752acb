/* An IKE engine with everything around it that is not the engine: a sink that keeps nothing,
 * messages that pile up (or go to a hook), public-key maths at once or on one thread. For measuring
 * and for peers that are simulated; one thread drives a node. */
#ifndef SHRIKE_BENCH_IKE_NODE_H
#define SHRIKE_BENCH_IKE_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ike.h"
#include "jobs.h"

struct message {
	struct ike_path path; /* as the sender sees it */
	uint8_t *data;        /* owned */
	size_t len;
};

struct messages { /* a queue that grows */
	struct message *m;
	size_t first, n, cap;
};

struct stored {
	struct sa_ref ref;
	enum sa_dir dir;
};

struct node {
	struct ike *ike;
	struct jobs *jobs; /* NULL: maths is done at once, on the node's own thread */
	unsigned jobs_open;
	struct ike_job **at_once; /* those */
	size_t n_at_once, cap_at_once;
	struct stored *stored; /* installed, the engine is to be told */
	size_t n_stored, cap_stored;
	struct messages out;
	/* instead of out, when set */
	void (*send)(void *ctx, const struct ike_path *path, const uint8_t *msg, size_t len);
	void (*event)(void *ctx, const struct ike_event *ev); /* may be NULL */
	void *ctx;
	uint64_t (*clock)(void); /* node_clock_us(), or a virtual one */
	uint32_t spi;
	uint64_t phase1_up, children_up, rekeyed, failed; /* events */
	char error[256];                                  /* the last failure's sentence */
};

uint64_t node_clock_us(void); /* monotonic */

/* An engine with these limits (NULL: the defaults). With jobs its maths goes there. 0 or -ENOMEM.
 */
int node_init(struct node *n, const struct ike_limits *limits, struct jobs *jobs);
void node_free(struct node *n); /* not the jobs */

/* What is due: results, installations, timers. True when there was any. */
bool node_turn(struct node *n);
/* Until nothing is due and no maths is under way; sleeps while only the thread works. */
void node_settle(struct node *n);

/* Appends a copy. Ends the process without memory. */
void messages_put(struct messages *q, const struct ike_path *path, const uint8_t *data, size_t len);
/* The oldest, whose data the caller frees; false when there is none. */
bool messages_get(struct messages *q, struct message *out);

/* Two ends of connection i: a gateway (gw true) and one of its many peers, 10.64.0.0 + i. proposals
 * as in a configuration. children of each: selectors of their own. Freed with peer_cfg_done(). */
struct peer_plan {
	const char *ike_proposal, *esp_proposal;
	struct ip_addr gateway;
	unsigned children;
	uint32_t life_s, child_life_s; /* 0: the defaults */
	uint32_t dpd_s;
};
int peer_cfg_make(const struct peer_plan *plan, unsigned i, bool gw, struct ike_peer_cfg *out);
void peer_cfg_done(struct ike_peer_cfg *cfg);
/* The address of peer i, host order. */
uint32_t peer_address(unsigned i);

#endif
