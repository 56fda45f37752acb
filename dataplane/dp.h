/* The facade's own state: control thread only. Files: dataplane.c (start, stop, poll), stats.c,
 * eal.c, port.c, install.c (SAs and policies), senders.c (which pair sends), routes.c, neigh.c, arp.c,
 * nd.c, host.c, icmp.c, udp.c (IKE's datagrams). */
#ifndef SHRIKE_DATAPLANE_DP_H
#define SHRIKE_DATAPLANE_DP_H

#include <sys/queue.h>

#include "fib.h"
#include "lcore.h"
#include "pmtu.h"
#include "spd.h"

#define INJECT_RING   1024
#define PUNT_RING     2048
#define COMMAND_RING  1024
#define EVENT_RING    1024
#define HANDOVER_RING 4096
#define RX_RING	      1024 /* of each queue of a port */
#define TX_RING	      1024

#define NEIGH_MAX     4096
#define NEIGH_BUCKETS 1024
#define NEIGH_QUEUE   16   /* packets that wait for one neighbour */
#define NEIGH_WAITING 2048 /* and for all of them: a part of the packet buffers */
#define NEIGH_LEARNT \
	(NEIGH_MAX / 2) /* unasked only up to here: the rest is for those that we need */

struct port {
	char name[DP_NAME_LEN];
	char dev_name[64];
	bool started;
	uint16_t vlan; /* 0, or a port that is a VLAN of another one, whose device it shares */
	uint8_t *vlan_port; /* see struct lcore_port; ours to free */
	bool vlan_strip, vlan_insert; /* the device takes tags off, puts them on, */
	bool scatter, rx_sum, tx_udp_sum; /* fills several buffers with a frame, checks IPv4 headers'
					   * checksums, writes those of UDP */
	uint16_t dev; /* DPDK port id */
	uint16_t n_rxq, n_txq, mtu;
	uint16_t clamp_mss; /* see MSS_AUTO */
	uint64_t rss; /* RTE_ETH_RSS_*: what the device hashes */
	uint8_t mac[6];
	enum dp_source_check source_check;
	bool down; /* no link, as workers were told */
	unsigned if_index; /* the kernel's, 0: none */
	uint64_t mld_due_ms; /* when to report our groups, 0: not yet asked */
	bool mld_old; /* the querier knows RFC 2710 only */
	uint8_t mld_said; /* reports that nobody had asked for: two are due */
	unsigned n_addrs;
	struct ip_prefix addr[DP_MAX_PORT_ADDR + 1]; /* with their host bits; the link-local one last */
};

enum place_state { PLACE_EMPTY, PLACE_STORING, PLACE_STORED, PLACE_REMOVING };

/* The two directions of a slot. */
struct pair {
	struct sa_ref ref; /* the last one given out here */
	uint32_t policy;
	bool reserved, released;
	bool spread;      /* one of several of its policy, see struct sa_params */
	uint8_t state[2]; /* enum place_state, by enum sa_dir */
	struct sa *sa[2]; /* ours to free from PLACE_REMOVING's confirmation on */
	LIST_ENTRY(pair) out_link; /* in its policy's senders, from PLACE_STORED on */
};

struct worker {
	struct lcore *lc;
	unsigned lcore_id;
	bool launched;
	struct pair *pair;   /* sa_slots of them */
	uint32_t *free_slot; /* a circle: the slot that is free longest is used next */
	uint32_t free_first, n_free;
	struct cmd *late; /* commands that found the ring full, in order */
	size_t late_first, n_late, late_size;
	uint64_t drop[DROP_COUNT]; /* of packets that this worker punted, by control */
	uint64_t busy_seen, idle_seen;
};

/* RFC 4861 section 7.3.2, for ARP as well. Workers do not tell whom they send to, so that nothing is
 * stale for long: it is probed soon, as if there were traffic. All but ASKING are used. */
enum neigh_state {
	NEIGH_ASKING,  /* INCOMPLETE */
	NEIGH_GOOD,    /* REACHABLE: has answered us */
	NEIGH_STALE,   /* has spoken, but not in answer to us */
	NEIGH_PROBING, /* PROBE: asked directly */
};

struct neigh {
	struct neigh *next; /* in its bucket */
	struct ip_addr addr;
	uint8_t port, state, tries;
	bool gateway;    /* a route needs it: never forgotten */
	bool challenged; /* rival says that the address is his */
	uint8_t mac[6], rival[6];
	uint64_t due_ms;  /* when to ask again */
	uint64_t good_ms; /* when it answered last */
	unsigned n_queue;
	struct rte_mbuf *queue[NEIGH_QUEUE]; /* IP packets, data at the IP header */
};

/* The pairs that can send for a policy, the latest first. */
LIST_HEAD(senders, pair);

struct dp {
	struct dp_callbacks cb;
	struct port port[DP_MAX_PORTS];
	unsigned n_ports, n_named; /* the last ones are those of trunks, see trunks_add() */
	struct worker worker[DP_MAX_WORKERS];
	unsigned n_workers;
	uint32_t sa_slots;
	struct spi_layout spi;
	/* By worker, of its NUMA node: what it receives and makes. Workers of a node share one. */
	struct rte_mempool *pools[DP_MAX_WORKERS];
	struct rte_mempool *pool; /* the first of them */
	struct rte_mempool *own_pool; /* what control sends */
	struct rte_mempool *large;    /* whole frames, where those of pool hold less; or NULL */
	struct rte_mempool *jumbo;    /* packets that do not fit one mbuf of pool, see esp.h */
	IMB_MGR *mb;
	uint64_t pool_bytes;
	char versions[128];
	bool eal;

	struct spd *spd;
	struct senders *senders; /* SPD_MAX_POLICIES, by policy id */
	/* [policy id * n_workers + worker]: the pair (its SPI) that the worker sends through, as it
	 * knows or is about to; 0 = none */
	uint32_t *told;

	struct known *known;

	struct fib *fib;
	bool fib_stale;
	uint64_t fib_ms;         /* when it was built */
	struct fib_route *route; /* sorted */
	size_t n_routes;
	struct ip_addr assigned[DP_MAX_ASSIGNED]; /* see dp_assigned_set() */
	unsigned n_assigned;
	struct neigh *bucket[NEIGH_BUCKETS];
	unsigned n_neigh;
	unsigned n_waiting; /* packets in all queues */
	uint64_t neigh_ms;  /* last look at the timers */
	struct local_set local;

	/* trace or capture, see watching.c */
	bool watching;
	uint32_t watch_id;
	uint64_t watch_missed; /* of the last one */
	struct watch *watch[DP_MAX_WORKERS]; /* as told to each worker */
	void (*on_watched)(void *ctx, const struct dp_watched *seen);
	void *watch_ctx;
	struct rte_mempool *watch_pool;
	struct rte_ring *watch_ring;

	uint32_t reassembly_seed;
	uint64_t link_ms; /* last look at the links */
	struct pmtu pmtu;
	uint64_t echo_due; /* rate limits, see host.c */
	uint64_t icmp_due;
	uint16_t ip_id;
};

static inline uint64_t dp_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Drops a packet on the control side, in the name of the worker that punted it. */
static inline void host_drop(struct worker *w, struct rte_mbuf *pkt, enum drop_reason reason)
{
	w->drop[reason]++;
	rte_pktmbuf_free(pkt);
}

/* ---- eal.c: 0 or -errno with a sentence in why ---- */
int eal_start(const struct dp_cfg *cfg, char *why, size_t why_size);
/* No packet buffer and no SA in a core dump. */
void eal_hide_from_dumps(void);

/* ---- port.c ---- */
struct port_wants {
	bool vlans;  /* the device may take tags off and put them on */
	bool chains; /* it may be given packets in several buffers */
};
/* Probes and configures, but does not start; n_workers queues where the device has them, each filled
 * from the pool of its worker. */
int port_open(struct port *port, const struct dp_port_cfg *cfg, struct port_wants wants,
	      unsigned n_workers, struct rte_mempool *const *pools, char *why, size_t why_size);
/* A VLAN of parent, which is open. 0 or -ENOMEM. */
int port_open_vlan(struct port *port, const struct dp_port_cfg *cfg, uint8_t index,
		   struct port *parent);
int port_start(struct port *port, char *why, size_t why_size);
void port_close(struct port *port);
/* The view of a worker. */
struct lcore_port port_view(const struct port *port, uint16_t worker);

/* ---- pools.c ---- */
/* Buffers that the pool of a node needs for so many workers on it. */
unsigned pool_size(const struct dp_cfg *cfg, unsigned workers_there);
int pools_create(struct dp *dp, const struct dp_cfg *cfg); /* EAL runs; 0 or -ENOMEM */
void pools_free(struct dp *dp);

/* ---- steer.c ---- */
/* Of what a device can hash (RTE_ETH_RSS_*), what spreads our traffic. */
uint64_t steer_hash(uint64_t offered);
/* Once the port runs: flow rules for ESP by the SPI's owner where the device takes them, and a line in
 * the log about its queues. */
void steer_start(const struct port *port, const struct spi_layout *spi);

/* ---- link.c ---- */
/* Looks at the links now and then. */
void link_tick(struct dp *dp, uint64_t now_ms);

/* ---- install.c ---- */
/* Queues a command; never fails except for lack of memory, which is logged. */
void command_send(struct worker *w, const struct cmd *cmd);
void command_send_all(struct dp *dp, const struct cmd *cmd);
/* Commands that found the ring full. */
void command_flush(struct worker *w);
int slots_init(struct worker *w, uint32_t n);
void slots_free(struct worker *w, uint32_t n);
void event_handle(struct dp *dp, struct worker *w, const struct evt *evt);

/* ---- senders.c ---- */
int senders_init(struct dp *dp); /* n_workers is known; 0 or -ENOMEM */
void senders_free(struct dp *dp);
/* The pair can send for its policy from now on, or cannot any more: tells the workers. */
void sender_add(struct dp *dp, struct pair *pair);
void sender_remove(struct dp *dp, struct pair *pair);

/* ---- watching.c ---- */
void watch_retired(struct watch *w); /* NULL is fine */
unsigned watch_drain(struct dp *dp);
void watch_free_all(struct dp *dp); /* the lcores have ended */

/* ---- routes.c ---- */
int routes_init(struct dp *dp, const struct dp_cfg *cfg, char *why, size_t why_size);
/* Builds a snapshot of routes and neighbours, NULL without memory. */
struct fib *fib_snapshot(struct dp *dp);
/* True when addr is on the link of the port; *ours: our address there. */
bool port_on_link(const struct port *port, const struct ip_addr *addr, struct ip_addr *ours);
/* Our address on the port for somebody who is perhaps not on its link; IP_NONE when there is none. */
struct ip_addr port_address(const struct port *port, const struct ip_addr *peer);
/* True for an address of ours; link-local ones on their port. */
bool is_ours(const struct dp *dp, uint8_t port, const struct ip_addr *addr);

/* ---- neigh.c ---- */
/* Sends an IP packet (data at the IP header) out of a port to a neighbour; waits for it in a bounded
 * queue while it is not resolved. Takes the packet. */
void neigh_send(struct dp *dp, struct worker *w, uint8_t port, const struct ip_addr *addr,
		struct rte_mbuf *pkt);
/* Sends it where the routes say. Takes the packet. */
void neigh_route(struct dp *dp, struct worker *w, struct rte_mbuf *pkt);
/* Makes an entry that is never forgotten. */
void neigh_pin(struct dp *dp, uint8_t port, const struct ip_addr *addr);
/* Somebody answers a question of ours, or answers as if there had been one: ARP replies to us. */
void neigh_answer(struct dp *dp, uint8_t port, const struct ip_addr *addr, const uint8_t *mac);
/* Somebody says unasked where addr is; create: remember it even if nobody wanted to know. What is
 * known to answer is not given up for it: it is probed, and loses only if it is silent. */
void neigh_claim(struct dp *dp, uint8_t port, const struct ip_addr *addr, const uint8_t *mac,
		 bool create);
/* A neighbour advertisement, RFC 4861 section 7.2.5; mac may be NULL. */
void neigh_advert(struct dp *dp, uint8_t port, const struct ip_addr *addr, const uint8_t *mac,
		  bool solicited, bool override);
/* The station of a neighbour that is known; otherwise asks for it and returns NULL. */
const uint8_t *neigh_station(struct dp *dp, uint8_t port, const struct ip_addr *addr);
/* Asks again, forgets, and gives the workers new routes when they are stale. */
void neigh_tick(struct dp *dp, uint64_t now_ms);
void neigh_free_all(struct dp *dp);

/* ---- host.c ---- */
/* A punted packet. Takes it. */
void host_input(struct dp *dp, struct worker *w, struct rte_mbuf *pkt);
/* Sends a frame (meta.port) or, with PKT_LOCAL_OUT, an IP packet through worker w. Takes it. */
void host_inject(struct worker *w, struct rte_mbuf *pkt);
void ip4_header_write(struct dp *dp, uint8_t *ip, unsigned total, uint8_t proto, uint32_t src,
		      uint32_t dst);
void ip6_header_write(uint8_t *ip, unsigned payload, uint8_t next, const uint8_t *src,
		      const uint8_t *dst);

/* ---- icmp.c ---- */
/* ICMP and ICMPv6 for us. Takes the packet. */
void icmp_input(struct dp *dp, struct worker *w, struct rte_mbuf *pkt);
/* Tells the sender of a packet why it was dropped (meta.slot, see PKT_ERROR), if RFC 1122 and RFC
 * 4443 allow it and there were not too many. Takes it; the drop is counted already. */
void icmp_error(struct dp *dp, struct worker *w, struct rte_mbuf *pkt);

/* ---- udp.c ---- */
/* A whole datagram for IKE. Takes it. */
void ike_input_packet(struct dp *dp, struct worker *w, struct rte_mbuf *pkt);

/* ---- arp.c ---- */
/* A question (to NULL = everybody), an announcement of our addresses, and what others say. */
void arp_ask(struct dp *dp, uint8_t port, const struct ip_addr *addr, const uint8_t *to);
void arp_announce(struct dp *dp);
void arp_input(struct dp *dp, struct worker *w, struct rte_mbuf *pkt);

/* ---- mld.c ---- */
struct ip_addr ip6_solicited_node(const struct ip_addr *addr);
/* The groups of our addresses: into the devices' filters, and soon reported. The ports are open. */
void mld_start(struct dp *dp);
/* A query, data at the IP header. Takes it. */
void mld_input(struct dp *dp, struct worker *w, struct rte_mbuf *pkt);
void mld_tick(struct dp *dp, uint64_t now_ms);

/* ---- nd.c: the same for IPv6, RFC 4861 ---- */
void nd_ask(struct dp *dp, uint8_t port, const struct ip_addr *addr, const uint8_t *to);
void nd_announce(struct dp *dp);
/* ICMPv6 types ND_FIRST to ND_LAST, data at the IP header. */
void nd_input(struct dp *dp, struct worker *w, struct rte_mbuf *pkt);

#endif
