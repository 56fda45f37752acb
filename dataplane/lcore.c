/* What all stages need of their lcore: events, hand-over, transmit buffers and the way up. */
#include "lcore.h"

#include <rte_branch_prediction.h>
#include <rte_ethdev.h>
#include <rte_ring_elem.h>

#include "watch.h"
#include "wire.h"

/* Packets a second that control is asked to look at, by kind, and how many at once. */
static const struct {
	uint32_t per_second, burst;
} punt_limits[PUNT_CLASSES] = {
	[PUNT_IKE] = { 50000, 512 },
	[PUNT_IKE_PEER] = { 10000, 256 },
	[PUNT_IKE_STRANGER] = { 2000, 128 },
	[PUNT_ARP] = { 2000, 128 },
	[PUNT_ICMP] = { 2000, 128 },
	[PUNT_NEIGHBOUR] = { 2000, 128 }, [PUNT_ERROR] = { 200, 32 },
};

uint32_t event_backlog_size(uint32_t sa_slots)
{
	return sa_slots * 4 + COMMANDS_PER_ROUND;
}

bool lcore_event_flush(struct lcore *lc)
{
	struct event_backlog *b = &lc->backlog;

	while (b->n > 0) {
		if (rte_ring_sp_enqueue_elem(lc->evt, &b->evt[b->first], sizeof(*b->evt)))
			return false;
		b->first = (b->first + 1) % b->size;
		b->n--;
	}
	return true;
}

void lcore_event(struct lcore *lc, const struct evt *evt)
{
	struct event_backlog *b = &lc->backlog;
	struct evt e = *evt;

	e.lcore = lc->id;
	if (lcore_event_flush(lc) && rte_ring_sp_enqueue_elem(lc->evt, &e, sizeof(e)) == 0)
		return;
	if (e.op == EVT_ACQUIRE || e.op == EVT_BAD_SPI || e.op == EVT_PEER_MOVED)
		return;
	RTE_ASSERT(b->n < b->size);
	b->evt[(b->first + b->n++) % b->size] = e;
}

/* ------------------------------------------------------------------------- hand-over -------- */

static void handover_flush(struct lcore *lc, uint16_t worker)
{
	struct tx_buffer *buf = &lc->to_worker[worker];
	unsigned n =
		rte_ring_mp_enqueue_burst(lc->handover[worker], (void **)buf->pkt, buf->n, NULL);

	lc->count.handover_out += n;
	for (; n < buf->n; n++)
		pkt_drop(lc, buf->pkt[n], DROP_handover_full);
	buf->n = 0;
}

void lcore_handover(struct lcore *lc, uint16_t worker, struct rte_mbuf *pkt)
{
	struct tx_buffer *buf = &lc->to_worker[worker];

	buf->pkt[buf->n++] = pkt;
	if (buf->n == BURST)
		handover_flush(lc, worker);
}

/* ------------------------------------------------------------------------- transmit --------- */

static void tx_flush(struct lcore *lc, uint16_t port)
{
	struct tx_buffer *buf = &lc->tx[port];
	const struct lcore_port *p = &lc->port[port];
	uint64_t bytes = 0;
	uint16_t sent;

	watch_sent(lc, (uint8_t)port, buf->pkt, buf->n);
	/* lengths first: a sent packet is no longer ours to read */
	for (uint16_t i = 0; i < buf->n; i++)
		bytes += rte_pktmbuf_pkt_len(buf->pkt[i]);
	sent = rte_eth_tx_burst(p->dev, p->tx_queue, buf->pkt, buf->n);
	lc->count.tx_packets += sent;
	for (; unlikely(sent < buf->n); sent++) {
		bytes -= rte_pktmbuf_pkt_len(buf->pkt[sent]);
		pkt_drop(lc, buf->pkt[sent], DROP_tx_full);
	}
	lc->count.tx_bytes += bytes;
	buf->n = 0;
}

static inline void tx_add(struct lcore *lc, uint8_t port, struct rte_mbuf *frame)
{
	struct tx_buffer *buf = &lc->tx[port];

	buf->pkt[buf->n++] = frame;
	if (buf->n == BURST)
		tx_flush(lc, port);
}

/* IEEE 802.1Q section 9.6: behind the addresses, priority 0. */
static bool tag_write(struct rte_mbuf *frame, uint16_t vlan)
{
	uint8_t *eth = (uint8_t *)rte_pktmbuf_prepend(frame, VLAN_LEN);

	if (!eth)
		return false;
	memmove(eth, eth + VLAN_LEN, ETH_TYPE);
	store_be16(eth + ETH_TYPE, ETHERTYPE_VLAN);
	store_be16(eth + ETH_TYPE + 2, vlan);
	if (frame->ol_flags & RTE_MBUF_F_TX_UDP_CKSUM)
		frame->l2_len += VLAN_LEN;
	return true;
}

/* Where something stands between the frame and the transmit buffer. */
static __rte_noinline void tx_by_way(struct lcore *lc, struct rte_mbuf *frame)
{
	struct pkt_meta *meta = pkt_meta(frame);
	const struct lcore_port *p = &lc->port[meta->port];
	struct vlan_counters *count = &lc->vlan[meta->port];

	if (p->way & WAY_DOWN) {
		pkt_drop(lc, frame, DROP_port_down);
		return;
	}
	if (p->way & WAY_OTHER) {
		meta->flags = PKT_FRAME;
		lcore_handover(lc, p->tx_worker, frame);
		return;
	}
	if (p->way & WAY_TAG && !tag_write(frame, p->vlan)) {
		pkt_drop(lc, frame, DROP_no_headroom);
		return;
	}
	if (p->way & WAY_TAG_DEVICE) {
		frame->vlan_tci = p->vlan;
		frame->ol_flags |= RTE_MBUF_F_TX_VLAN;
	}
	count->tx_packets++;
	count->tx_bytes += rte_pktmbuf_pkt_len(frame);
	tx_add(lc, meta->port, frame);
}

void lcore_tx_any(struct lcore *lc, struct rte_mbuf *frame)
{
	uint8_t port = pkt_meta(frame)->port;

	if (unlikely(lc->port[port].way))
		tx_by_way(lc, frame);
	else
		tx_add(lc, port, frame);
}

void lcore_flush(struct lcore *lc)
{
	for (uint16_t i = 0; i < lc->n_ports; i++)
		if (lc->tx[i].n)
			tx_flush(lc, i);
	for (uint16_t i = 0; i < lc->n_workers; i++)
		if (lc->to_worker[i].n)
			handover_flush(lc, i);
}

/* ------------------------------------------------------------------------- the way up ------- */

/* One number a kind: the time at which the next packet is due if they came evenly. A packet may
 * come early by burst intervals. */
static bool punt_allowed(struct lcore *lc, enum punt_class kind)
{
	uint64_t interval = lc->tsc_hz / punt_limits[kind].per_second;
	uint64_t due = RTE_MAX(lc->punt_due[kind], lc->now_tsc);

	if (due > lc->now_tsc + interval * punt_limits[kind].burst)
		return false;
	lc->punt_due[kind] = due + interval;
	return true;
}

void lcore_punt(struct lcore *lc, struct rte_mbuf *pkt, enum punt_class kind)
{
	if (!punt_allowed(lc, kind))
		pkt_drop(lc, pkt,
			 kind == PUNT_IKE_STRANGER ? DROP_ike_stranger : DROP_punt_policed);
	else if (rte_ring_sp_enqueue(lc->punt, pkt))
		pkt_drop(lc, pkt, DROP_punt_full);
	else
		lc->count.punted++;
}

void lcore_drop_icmp(struct lcore *lc, struct rte_mbuf *pkt, enum drop_reason reason, uint16_t mtu)
{
	struct pkt_meta *meta = pkt_meta(pkt);

	lc->count.drop[reason]++;
	meta->flags |= PKT_ERROR;
	meta->slot = (uint32_t)reason << 16 | mtu;
	if (!punt_allowed(lc, PUNT_ERROR) || rte_ring_sp_enqueue(lc->punt, pkt))
		rte_pktmbuf_free(pkt);
}
