/* Looking over a lcore's shoulder: copies of packets (capture), or the way of a packet in words
 * (trace).
 *
 * Off (lc->watch is NULL) it costs one predictable branch a burst at each place that can be looked
 * at. On, what is looked for is chosen on the lcore, copied into buffers of its own pool and passed
 * to control through a ring; where either is full the packet goes on unseen and is counted. A
 * packet that is traced runs through the very same stages, but alone. */
#ifndef SHRIKE_DATAPLANE_WATCH_H
#define SHRIKE_DATAPLANE_WATCH_H

#include <rte_branch_prediction.h>
#include <rte_mempool.h>
#include <rte_ring.h>

#include "lcore.h"

#define WATCH_TEXT 1800 /* bytes of a traced packet's story */

/* The story of one packet: lines of "stage\ttext\n". */
struct watch_story {
	struct lcore_counters before;
	uint32_t policy; /* the last one that it met, UINT32_MAX = none */
	uint8_t port;    /* of arrival; UINT8_MAX: it came from a worker or from control */
	uint16_t n;
	char text[WATCH_TEXT];
};

/* One for each worker. Control fills it in before it hands it over. */
struct watch {
	uint32_t id; /* of this watch: tells its packets from those of the last one */
	enum dp_watch_what what;
	unsigned port; /* WATCH_FRAMES: this port; UINT_MAX = every one */
	uint32_t snap; /* bytes of a packet that are copied */
	bool by_peer;
	unsigned n_addrs;
	struct ip_addr addr[DP_WATCH_ADDRS];
	char port_name[DP_MAX_PORTS][DP_NAME_LEN];
	struct rte_mempool *pool;
	struct rte_ring *ring; /* mbufs to control, multi-producer */

	/* lcore: rw, control: ro */
	alignas(64) uint32_t left; /* packets still wanted */
	uint64_t missed;
	struct watch_story *now; /* of the packet that is being traced */
	struct watch_story story;

	alignas(64) uint64_t policies[SPD_MAX_POLICIES / 64]; /* by_peer: a bit for each of its */
};

/* What goes with a copy, in its mbuf's private area. */
struct watch_note {
	uint64_t tsc;
	uint32_t id;
	uint32_t wire_len;
	uint32_t policy;
	uint16_t worker;
	uint8_t port; /* UINT8_MAX: none */
	uint8_t kind; /* enum dp_watched_kind */
};

/* Where a packet is when it is looked at. */
enum watch_place { AT_HOST, AT_ESP_IN, AT_DECRYPTED, AT_POLICY, AT_ESP_OUT, AT_FORWARD };

void watch_place_look(struct lcore *lc, enum watch_place place, struct rte_mbuf **pkts, uint16_t n);
uint16_t watch_source_look(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n, bool from_port,
			   void (*run)(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n));
void watch_sent_look(struct lcore *lc, uint8_t port, struct rte_mbuf **pkts, uint16_t n);

/* Packets come to a place. */
static inline void watch_at(struct lcore *lc, enum watch_place place, struct rte_mbuf **pkts,
			    uint16_t n)
{
	if (unlikely(lc->watch))
		watch_place_look(lc, place, pkts, n);
}

/* Packets come from a source: frames from a port (meta.port), or packets from workers and control.
 * Those to be traced are taken out and go through run() one by one. Returns how many are left. */
static inline uint16_t watch_from(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n,
				  bool from_port,
				  void (*run)(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n))
{
	if (likely(!lc->watch))
		return n;
	return watch_source_look(lc, pkts, n, from_port, run);
}

/* Frames are about to be sent (some may still be refused by the port). */
static inline void watch_sent(struct lcore *lc, uint8_t port, struct rte_mbuf **pkts, uint16_t n)
{
	if (unlikely(lc->watch))
		watch_sent_look(lc, port, pkts, n);
}

/* ---- trace.c ---- */
void trace_begin(struct lcore *lc, struct rte_mbuf *pkt, bool from_port);
/* The packet is at a place. */
void trace_place(struct lcore *lc, enum watch_place place, struct rte_mbuf *pkt);
/* What became of it. */
void trace_end(struct lcore *lc);

/* ---- watch.c, for trace.c ---- */
/* The first policy for a packet that leaves (or, reverse, arrives), as an index into spd->rule; -1:
 * none, or not to be told. */
int watch_policy(const struct lcore *lc, const uint8_t *ip, uint32_t len, bool reverse);

#endif
