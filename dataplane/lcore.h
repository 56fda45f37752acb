/* A worker lcore: all that one core touches while it moves packets. */
#ifndef SHRIKE_DATAPLANE_LCORE_H
#define SHRIKE_DATAPLANE_LCORE_H

#include <intel-ipsec-mb.h>
#include <rte_branch_prediction.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <stdalign.h>
#include <stdint.h>

#include "dataplane.h"
#include "drop.h"
#include "ip6.h"
#include "known.h"
#include "messages.h"
#include "pkt.h"
#include "sa.h"

#define BURST	 32 /* packets per receive; esp_* stages take up to 2 * BURST */
#define NO_QUEUE UINT16_MAX
#define COMMANDS_PER_ROUND 8

/* lcore: rw, control: ro */
struct lcore_counters {
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes;
	uint64_t esp_in_packets, esp_in_bytes, esp_out_packets, esp_out_bytes;
	uint64_t handover_in, handover_out;
	uint64_t bypassed, forwarded, punted, injected, natt_keepalives;
	uint64_t reassembled, reassembled_from; /* packets, and the pieces that they came in */
	uint64_t busy_tsc, idle_tsc;
	uint64_t drop[DROP_COUNT];
};

/* Frames of a VLAN; lcore: rw, control: ro. Those of devices are counted by the devices. */
struct vlan_counters {
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes;
};

struct tx_buffer {
	uint16_t n;
	struct rte_mbuf *pkt[BURST];
};

/* What stands between a frame and its port's transmit buffer; 0: nothing. */
enum way_out {
	WAY_DOWN = 1 << 0,  /* no link */
	WAY_OTHER = 1 << 1, /* no queue of ours: frames are handed to tx_worker, which has one */
	WAY_TAG = 1 << 2,   /* a VLAN: they get its tag here, */
	WAY_TAG_DEVICE = 1 << 3, /* or from the device */
};

/* A port as one worker sees it; constant while the worker runs, but for the link. A VLAN is a port of its
 * own, which shares its device's queues: only the device's port is polled. */
struct lcore_port {
	uint16_t dev;	    /* DPDK port id */
	uint16_t rx_queue;  /* NO_QUEUE: other workers receive from this port */
	uint16_t tx_queue;  /* NO_QUEUE: frames are handed to tx_worker, which has one */
	uint16_t tx_worker;
	uint16_t mtu;	    /* bytes of IP */
	uint16_t clamp_mss; /* see MSS_AUTO */
	uint8_t source_check; /* enum dp_source_check */
	uint8_t way;	    /* enum way_out; control: rw (atomic): WAY_DOWN */
	uint16_t vlan;	    /* of its frames; 0: they have no tag */
	uint64_t mac;	    /* station_word() of its address */
	const uint8_t *vlan_port; /* by VLAN: the port that it is, UINT8_MAX = none; NULL: no VLANs */
};

/* A station's address in one word: the first six of eight bytes that can be read. */
static inline uint64_t station_word(const uint8_t *addr)
{
	uint64_t word;

	memcpy(&word, addr, sizeof(word));
	return word << 16; /* little-endian: the seventh byte and the eighth go */
}

static inline void port_mac_set(struct lcore_port *port, const uint8_t mac[6])
{
	uint8_t addr[8] = { 0 };

	memcpy(addr, mac, 6);
	port->mac = station_word(addr);
}

/* The gateway's own addresses: open addressing, at most half full. 0.0.0.0 and :: are never one. */
#define LOCAL_SET_BITS 9
#define LOCAL_SET_SIZE (1 << LOCAL_SET_BITS)
struct local_set {
	uint32_t addr[LOCAL_SET_SIZE]; /* host order, 0 = empty */
	struct local6 {
		uint8_t addr[16]; /* :: = empty */
	} six[LOCAL_SET_SIZE];
	uint8_t link_local[DP_MAX_PORTS][16]; /* one a port, valid there alone; :: = none */
};

static inline uint32_t local_set_slot(uint32_t addr)
{
	return addr * 0x9e3779b1u >> (32 - LOCAL_SET_BITS);
}

static inline bool local_set_has(const struct local_set *set, uint32_t addr)
{
	uint32_t i = local_set_slot(addr);

	while (set->addr[i] != 0 && set->addr[i] != addr)
		i = (i + 1) % LOCAL_SET_SIZE;
	return set->addr[i] != 0;
}

static inline void local_set_add(struct local_set *set, uint32_t addr)
{
	uint32_t i = local_set_slot(addr);

	while (set->addr[i] != 0 && set->addr[i] != addr)
		i = (i + 1) % LOCAL_SET_SIZE;
	set->addr[i] = addr;
}

/* The place of an IPv6 address, or the empty one where it would be. */
static inline uint32_t local_set_place6(const struct local_set *set, const uint8_t *addr)
{
	uint32_t low, i;

	memcpy(&low, addr + 12, 4);
	i = local_set_slot(low);
	while (!ip6_is_unspecified(set->six[i].addr) && memcmp(set->six[i].addr, addr, 16) != 0)
		i = (i + 1) % LOCAL_SET_SIZE;
	return i;
}

/* addr is not ::. Link-local addresses count on their own port. */
static inline bool local_set_has6(const struct local_set *set, const uint8_t *addr, uint8_t port)
{
	if (unlikely(ip6_is_link_local(addr)))
		return memcmp(set->link_local[port], addr, 16) == 0;
	return !ip6_is_unspecified(set->six[local_set_place6(set, addr)].addr);
}

static inline void local_set_add6(struct local_set *set, const uint8_t *addr, uint8_t port)
{
	if (ip6_is_link_local(addr))
		memcpy(set->link_local[port], addr, 16);
	else
		memcpy(set->six[local_set_place6(set, addr)].addr, addr, 16);
}

_Static_assert(DP_MAX_PORTS * DP_MAX_PORT_ADDR <= LOCAL_SET_SIZE / 2, "the set has room");

/* What goes up to control is policed by kind, so that no flood starves another kind. */
enum punt_class {
	PUNT_IKE,	   /* of an ISAKMP SA that control knows */
	PUNT_IKE_PEER,	   /* of a configured peer's address */
	PUNT_IKE_STRANGER, /* all other IKE: whom "remote: any" waits for, and floods */
	PUNT_ARP,
	PUNT_ICMP,
	PUNT_NEIGHBOUR,
	PUNT_ERROR,
	PUNT_CLASSES
};

/* Events that found the ring full. Size: see lcore_event(). */
struct event_backlog {
	struct evt *evt;
	uint32_t size, first, n;
};

/* policy id -> the SA pair to send through; lcore: rw (CMD_POLICY_SA) */
struct policy_sa {
	uint32_t slot;
	uint32_t spi;	/* our inbound SPI of the pair, guards against slot reuse */
	uint16_t owner; /* UINT16_MAX: none */
	uint16_t pad;
	uint32_t acquire_s; /* second of the last EVT_ACQUIRE */
};

struct lcore {
	/* read-mostly: set before the lcore runs, or swapped by commands */
	uint16_t id;	  /* worker index */
	uint16_t n_ports;
	uint16_t n_workers;
	uint16_t cpu;
	struct spi_layout spi;
	struct sa_entry *sa_in;	 /* 1 << spi.slot_bits entries */
	struct sa_entry *sa_out; /* likewise; .spi is the pair's inbound SPI */
	struct policy_sa *policy_sa; /* SPD_MAX_POLICIES entries */
	struct spd *spd;
	struct fib *fib;
	const struct known *known; /* shared by all */
	struct watch *watch; /* NULL: nobody traces or captures */
	IMB_MGR *mb;
	struct rte_mempool *pool; /* for packets that the lcore makes itself */
	struct rte_mempool *large; /* for those that do not fit one mbuf of pool; NULL: none */
	struct rte_mempool *jumbo; /* for those that do not fit that either; NULL: dropped */
	struct rte_ring *cmd, *evt; /* struct cmd, struct evt by value */
	struct rte_ring *punt, *inject; /* mbuf pointers */
	struct rte_ring *handover[DP_MAX_WORKERS]; /* mbufs to worker i; [id] is our own inbox */
	enum dp_idle idle;
	bool clamp_mss; /* some port does */
	uint64_t tsc_hz;
	uint64_t now_tsc; /* read once per loop */
	uint32_t sa_in_count, sa_out_count;
	struct lcore_port port[DP_MAX_PORTS];
	struct local_set local;
	uint64_t punt_due[PUNT_CLASSES]; /* TSC: when the next packet of the kind would be due */
	struct event_backlog backlog;
	uint64_t bad_spi_due; /* TSC: no EVT_BAD_SPI before then */
	struct reassembly *reassembly;
	uint64_t reassembly_due; /* TSC: then reassembly_expire() has work */
	uint32_t reassembly_seed; /* the same on all workers */
	uint16_t path_mtu; /* control: rw (atomic): the least that was learnt of a path, 0 = none */

	alignas(64) struct lcore_counters count;
	struct vlan_counters vlan[DP_MAX_PORTS];
	struct tx_buffer tx[DP_MAX_PORTS];
	struct tx_buffer to_worker[DP_MAX_WORKERS]; /* hand-over, not yet on the ring */
	int stop; /* control: rw (atomic), lcore: ro */
};

/* Frees a packet and counts why. */
static inline void pkt_drop(struct lcore *lc, struct rte_mbuf *pkt, enum drop_reason reason)
{
	lc->count.drop[reason]++;
	rte_pktmbuf_free(pkt);
}

/* ------------------------------------------------------------------------- lcore.c ---------- */

/* Tells control. EVT_ACQUIRE, EVT_BAD_SPI and EVT_PEER_MOVED are hints that repeat themselves: they are dropped
 * while the ring is full. Every other event is kept, in order, until the ring takes it. */
void lcore_event(struct lcore *lc, const struct evt *evt);
/* Room for the backlog so that no event is ever lost: one soft and one hard limit for each
 * direction of each slot, and what one round of commands answers. Commands wait while there is a
 * backlog, so that no more can come. */
uint32_t event_backlog_size(uint32_t sa_slots);
/* Moves the backlog to the ring as far as it goes; true when it is empty. */
bool lcore_event_flush(struct lcore *lc);

/* Hands a packet to another worker; full rings drop it (handover_full). Sent on when a burst is
 * full, at the latest at the end of the loop's round. Any stage may call it. ESP inbound: meta as
 * stage_classify left it. To encrypt: PKT_TO_ENCRYPT and the SPI in slot. */
void lcore_handover(struct lcore *lc, uint16_t worker, struct rte_mbuf *pkt);
/* Queues a complete frame for meta.port. _any: whatever stands in between, and when the buffer becomes full. */
void lcore_tx_any(struct lcore *lc, struct rte_mbuf *frame);
static inline void lcore_tx(struct lcore *lc, struct rte_mbuf *frame)
{
	uint8_t port = pkt_meta(frame)->port;
	struct tx_buffer *buf = &lc->tx[port];

	if (unlikely(lc->port[port].way || buf->n == BURST - 1))
		lcore_tx_any(lc, frame);
	else
		buf->pkt[buf->n++] = frame;
}
/* Sends everything that lcore_handover() and lcore_tx() gathered. */
void lcore_flush(struct lcore *lc);

/* A packet for control, policed; drops and counts it when there are too many. */
void lcore_punt(struct lcore *lc, struct rte_mbuf *pkt, enum punt_class kind);
/* Drops a packet (data starts at its IP header) whose sender is to hear why: reason is
 * DROP_too_big (mtu is what would have fitted), DROP_ip_ttl or DROP_no_route. Control sends the
 * ICMP error. */
void lcore_drop_icmp(struct lcore *lc, struct rte_mbuf *pkt, enum drop_reason reason,
		     uint16_t mtu);

/* ------------------------------------------------------------------------- fragment.c ------- */

#define MAX_FRAGMENTS 64
/* Takes an IPv4 packet without DF apart into fragments of at most mtu bytes with its meta. Returns
 * how many; 0: it was dropped. */
int packet_split(struct lcore *lc, struct rte_mbuf *pkt, uint16_t mtu,
		 struct rte_mbuf *part[MAX_FRAGMENTS]);
/* The same for an IPv6 packet that this gateway made itself. */
int packet_split6(struct lcore *lc, struct rte_mbuf *pkt, uint16_t mtu,
		  struct rte_mbuf *part[MAX_FRAGMENTS]);

/* ------------------------------------------------------------------------- command.c -------- */

/* One round of the commands that wait, at most COMMANDS_PER_ROUND, and none while events wait for
 * their ring. Returns how many there were. */
unsigned lcore_commands(struct lcore *lc);

/* ------------------------------------------------------------------------- loop.c ----------- */

/* Runs until lc->stop; arg is a struct lcore. The signature is rte_eal_remote_launch()'s. */
int lcore_main(void *arg);
/* One round of everything: commands, packets from control, from other workers and from the ports,
 * and what they cause. Returns how many messages and packets came. */
unsigned lcore_round(struct lcore *lc);

/* ------------------------------------------------------------------------- the stages -------
 * Each takes a burst and returns how many packets went on: those are first in pkts, in their old
 * order; the others are already freed and counted, or handed to somebody else. */

/* Ethernet and IP checks; sorts a burst into ESP for us (*esp), packets for this host (*host) and
 * packets in transit (left in pkts, the return value). The output arrays hold n entries each. On
 * entry meta.port is the port of arrival. On return data starts at the IP header (meta.l3_off = 0)
 * and ends with the IP packet; only ARP (in host) keeps its Ethernet header (PKT_FRAME). ESP and AH
 * have meta.l4_off, PKT_UDP_ENCAP where UDP came before it, and PKT_AH. */
uint16_t stage_classify(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n,
			struct rte_mbuf **esp, uint16_t *n_esp, struct rte_mbuf **host,
			uint16_t *n_host);
/* ESP (plain or in UDP) to inner packets: SA look-up (hand-over to the owner if it is another),
 * replay check, decrypt, verify, window, trailer, selectors, ECN. On return the data starts at
 * the inner IP header and meta.l3_off is 0. Packets handed over are not in the returned ones. */
uint16_t stage_esp_in(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n);
/* Policy for packets in transit: protect (*out gets the packet, meta.slot set, data starts at the IP
 * header; handed over when another lcore owns the SA), bypass (stays in pkts) or discard.
 * For PKT_FROM_ESP and PKT_LOCAL_OUT only "protect" counts: what came out of an SA was authorised by
 * it, and may go into another one; it never leaves in the clear where a policy protects.
 * At most 2 * BURST packets. */
uint16_t stage_spd(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n, struct rte_mbuf **out,
		   uint16_t *n_out);
/* Packets for this host, as stage_classify sorts them: policed, then up to control. Clear ICMP that
 * a policy wants protected is dropped here. Consumes all. */
void stage_host(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n);
/* Pieces of packets to this host (PKT_FRAGMENT), from the hand-over ring. What becomes whole is sorted
 * as stage_classify() does; at most n in each of esp and host. */
void stage_reassemble(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n, struct rte_mbuf **esp,
		      uint16_t *n_esp, struct rte_mbuf **host, uint16_t *n_host);
/* Packets that are to be encrypted, meta.slot set, at most 2 * BURST: cuts those that are too large
 * for their SA and may be cut, and sends the pieces on through stage_esp_out() and stage_forward().
 * Returns how many are left, which are for the caller to encrypt. */
uint16_t stage_cut(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n);
/* Encrypted packets that leave over IPv6, where routers cut nothing, and are larger than the path carries:
 * sends them on in fragments. Returns how many others are left. */
uint16_t stage_cut_outer(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n);
/* Encrypts: data starts at the inner IP header, meta.slot names the SA on this lcore. On return the
 * data starts at the outer IP header and PKT_PROTECTED is set. */
uint16_t stage_esp_out(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n);
/* Route, TTL (unless PKT_LOCAL_OUT), MTU, Ethernet header; into the port's transmit buffer. Packets
 * start at the IP header (meta.l3_off = 0). Fragments what is too large and may be. Packets for this
 * host that came out of an SA go to stage_host(), those without a neighbour up to control. At most
 * 2 * BURST packets. Returns how many were queued for transmit. */
uint16_t stage_forward(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n);

#endif
