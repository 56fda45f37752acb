/* The benchmark's packets: which SA, which size, and the buffers that hold them. */
#include <stdlib.h>
#include <string.h>

#include "rig.h"
#include "wire.h"

uint16_t traffic_size(const struct rig *rig, unsigned i)
{
	static const uint16_t imix[12] = { 64, 570, 64, 64, 570, 64, 1420, 64, 570, 64, 64, 570 };

	return rig->now.size == RIG_IMIX ? imix[i % 12] : rig->now.size;
}

uint32_t traffic_sa(const struct rig *rig, unsigned i)
{
	return rig->order[i % rig->n_frames];
}

int traffic_plan(struct rig *rig)
{
	unsigned n = RTE_MAX(rig->now.n_sas, (unsigned)RIG_MIN_FRAMES);
	uint32_t x = 88172645;

	n = (n + RIG_BURST - 1) / RIG_BURST * RIG_BURST;
	free(rig->order);
	free(rig->frames);
	free(rig->frame_len);
	rig->n_frames = n;
	rig->order = calloc(n, sizeof(*rig->order));
	rig->frame_len = calloc(n, sizeof(*rig->frame_len));
	rig->frames = malloc((size_t)n * RIG_FRAME_ROOM);
	if (!rig->order || !rig->frame_len || !rig->frames)
		return -1;
	for (unsigned i = 0; i < n; i++)
		rig->order[i] = i % rig->now.n_sas;
	for (unsigned i = n - 1; i > 0; i--) {
		unsigned k;
		uint32_t t;

		x ^= x << 13, x ^= x >> 17, x ^= x << 5;
		k = x % (i + 1);
		t = rig->order[i];
		rig->order[i] = rig->order[k];
		rig->order[k] = t;
	}
	return 0;
}

/* Half bursts stay in the transmit buffer. */
int traffic_frames(struct rig *rig)
{
	struct lcore *lc = rig->gw[SA_OUT];

	for (unsigned i = 0; i < rig->n_frames; i += RIG_BURST / 2) {
		struct rte_mbuf *pkts[RIG_BURST];
		struct tx_buffer *tx = &lc->tx[0];

		traffic_clear(rig, pkts, i);
		rte_pktmbuf_free_bulk(pkts + RIG_BURST / 2, RIG_BURST / 2);
		rig_way_out(lc, pkts, RIG_BURST / 2, NULL);
		if (tx->n != RIG_BURST / 2)
			return -1;
		for (unsigned k = 0; k < tx->n; k++) {
			if (tx->pkt[k]->data_len > RIG_FRAME_ROOM)
				return -1;
			rig->frame_len[i + k] = tx->pkt[k]->data_len;
			memcpy(rig->frames + (size_t)(i + k) * RIG_FRAME_ROOM,
			       rte_pktmbuf_mtod(tx->pkt[k], void *), tx->pkt[k]->data_len);
		}
		rte_pktmbuf_free_bulk(tx->pkt, tx->n);
		tx->n = 0;
	}
	return 0;
}

static void inner_header(const struct rig *rig, unsigned i, uint8_t *ip)
{
	static const uint8_t head[28] = { 0x45, 0, 0, 0, 0, 0, 0, 0, 64, PROTO_UDP };
	uint16_t size = traffic_size(rig, i);

	memcpy(ip, head, sizeof(head));
	store_be16(ip + IP4_TOTAL, size);
	store_be16(ip + IP4_ID, (uint16_t)i);
	store_be32(ip + IP4_SRC, SRC_HOST);
	store_be32(ip + IP4_DST, DST_NET + traffic_sa(rig, i));
	ip4_sum_set(ip);
	store_be16(ip + 20, 4000);
	store_be16(ip + 22, 4001);
	store_be16(ip + 24, (uint16_t)(size - 20));
}

void traffic_inner(const struct rig *rig, unsigned i, uint8_t *ip)
{
	for (unsigned k = 28; k < traffic_size(rig, i); k++)
		ip[k] = (uint8_t)(i * 31 + k);
	inner_header(rig, i, ip);
}

static void frame_open(struct rte_mbuf *pkt, uint16_t len)
{
	pkt->data_len = len;
	pkt->pkt_len = len;
	*pkt_meta(pkt) = (struct pkt_meta){ 0 };
}

void traffic_clear(struct rig *rig, struct rte_mbuf **pkts, unsigned first)
{
	if (rte_pktmbuf_alloc_bulk(rig->pool, pkts, RIG_BURST))
		rte_panic("bench: packets leak\n");
	for (unsigned i = 0; i < RIG_BURST; i++) {
		uint8_t *eth = rte_pktmbuf_mtod(pkts[i], uint8_t *);

		frame_open(pkts[i], (uint16_t)(ETH_LEN + traffic_size(rig, first + i)));
		pkt_meta(pkts[i])->port = 1;
		memcpy(eth + ETH_DST, rig_macs[SA_OUT][1], 6);
		memcpy(eth + ETH_SRC, rig_host_mac, 6);
		store_be16(eth + ETH_TYPE, ETHERTYPE_IP4);
		inner_header(rig, first + i, eth + ETH_LEN);
	}
}

void traffic_esp(struct rig *rig, struct rte_mbuf **pkts, unsigned first)
{
	if (rte_pktmbuf_alloc_bulk(rig->pool, pkts, RIG_BURST))
		rte_panic("bench: packets leak\n");
	for (unsigned i = 0; i < RIG_BURST; i++) {
		unsigned k = (first + i) % rig->n_frames;

		frame_open(pkts[i], rig->frame_len[k]);
		memcpy(rte_pktmbuf_mtod(pkts[i], void *), rig->frames + (size_t)k * RIG_FRAME_ROOM,
		       rig->frame_len[k]);
	}
}

void traffic_replay_reset(struct rig *rig)
{
	for (unsigned i = 0; i < rig->now.n_sas; i++) {
		struct sa *sa = rig->gw[SA_IN]->sa_in[i].sa;

		sa->seq = 0;
		memset(sa_window(sa), 0, (sa->window_mask + 1u) * sizeof(uint64_t));
	}
}
