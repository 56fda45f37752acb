/* A worker lcore: all that one core touches while it moves packets. */
#ifndef SHRIKE_DATAPLANE_LCORE_H
#define SHRIKE_DATAPLANE_LCORE_H

#include <intel-ipsec-mb.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <stdint.h>

#include "dataplane.h"
#include "drop.h"
#include "messages.h"
#include "pkt.h"
#include "sa.h"

#define BURST 32 /* packets per receive; esp_* stages take up to 2 * BURST */

/* lcore: rw, control: ro */
struct lcore_counters {
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes;
	uint64_t esp_in_packets, esp_in_bytes, esp_out_packets, esp_out_bytes;
	uint64_t handover_in, handover_out;
	uint64_t bypassed, forwarded, punted, injected, natt_keepalives;
	uint64_t busy_tsc, idle_tsc;
	uint64_t drop[DROP_COUNT];
};

struct tx_buffer {
	uint16_t n;
	struct rte_mbuf *pkt[BURST];
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
	IMB_MGR *mb;
	struct rte_mempool *pool; /* for packets that the lcore makes itself */
	struct rte_ring *cmd, *evt; /* struct cmd, struct evt by value */
	struct rte_ring *punt, *inject; /* mbuf pointers */
	struct rte_ring *handover[DP_MAX_WORKERS]; /* mbufs to worker i; [id] is our own inbox */
	enum dp_idle idle;
	uint64_t tsc_hz;
	uint64_t now_tsc; /* read once per loop */
	uint32_t sa_in_count, sa_out_count;

	alignas(64) struct lcore_counters count;
	struct tx_buffer tx[DP_MAX_PORTS];
	int stop; /* control: rw (atomic), lcore: ro */
};

/* Frees a packet and counts why. */
static inline void pkt_drop(struct lcore *lc, struct rte_mbuf *pkt, enum drop_reason reason)
{
	lc->count.drop[reason]++;
	rte_pktmbuf_free(pkt);
}

/* ------------------------------------------------------------------------- the stages -------
 * Each takes a burst and returns how many packets went on: those are first in pkts, in their old
 * order; the others are already freed and counted, or handed to somebody else. */

/* Ethernet and IP checks; sorts a burst into ESP for us (*esp), packets for this host (*host) and
 * packets in transit (left in pkts, the return value). The output arrays hold n entries each. */
uint16_t stage_classify(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n,
			struct rte_mbuf **esp, uint16_t *n_esp, struct rte_mbuf **host,
			uint16_t *n_host);
/* ESP (plain or in UDP) to inner packets: SA look-up (hand-over to the owner if it is another),
 * replay check, decrypt, verify, window, trailer, selectors, ECN. On return the data starts at
 * the inner IP header and meta.l3_off is 0. Packets handed over are not in the returned ones. */
uint16_t stage_esp_in(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n);
/* Policy for packets in transit: protect (*out gets the packet, meta.slot set, data starts at the IP
 * header; handed over when another lcore owns the SA), bypass (stays in pkts) or discard. */
uint16_t stage_spd(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n, struct rte_mbuf **out,
		   uint16_t *n_out);
/* Encrypts: data starts at the inner IP header, meta.slot names the SA on this lcore. On return the
 * data starts at the outer IP header and PKT_PROTECTED is set. */
uint16_t stage_esp_out(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n);
/* Route, TTL (unless PKT_LOCAL_OUT), MTU, Ethernet header; into the port's transmit buffer. Packets
 * start at the IP header (meta.l3_off = 0). Returns how many were queued for transmit. */
uint16_t stage_forward(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n);

#endif
