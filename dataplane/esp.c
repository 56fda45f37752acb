#include "esp.h"

struct rte_mempool *pkt_pool(const struct lcore *lc, uint64_t need)
{
	if (need <= rte_pktmbuf_data_room_size(lc->pool))
		return lc->pool;
	if (lc->large && need <= rte_pktmbuf_data_room_size(lc->large))
		return lc->large;
	return lc->jumbo && need <= rte_pktmbuf_data_room_size(lc->jumbo) ? lc->jumbo : NULL;
}

struct rte_mbuf *pkt_rebuild(struct lcore *lc, struct rte_mbuf *pkt, uint32_t head, uint32_t tail)
{
	uint32_t len = pkt->pkt_len;
	struct rte_mempool *pool = pkt_pool(lc, head + (uint64_t)len + tail);
	struct rte_mbuf *fresh = pool ? rte_pktmbuf_alloc(pool) : NULL;
	const void *data;
	uint8_t *to;

	if (!fresh) {
		pkt_drop(lc, pkt, pool ? DROP_no_mbuf : DROP_no_headroom);
		return NULL;
	}
	fresh->data_off = (uint16_t)head;
	fresh->data_len = (uint16_t)len;
	fresh->pkt_len = len;
	fresh->port = pkt->port;
	fresh->packet_type = pkt->packet_type;
	*pkt_meta(fresh) = *pkt_meta(pkt);
	to = rte_pktmbuf_mtod(fresh, uint8_t *);
	data = rte_pktmbuf_read(pkt, 0, len, to);
	if (data && data != to)
		memcpy(to, data, len);
	rte_pktmbuf_free(pkt);
	return fresh;
}
