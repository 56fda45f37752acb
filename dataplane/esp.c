#include "esp.h"

struct rte_mbuf *pkt_rebuild(struct lcore *lc, struct rte_mbuf *pkt, uint32_t head, uint32_t tail)
{
	uint32_t len = pkt->pkt_len;
	struct rte_mbuf *fresh = rte_pktmbuf_alloc(lc->pool);
	const void *data;
	uint8_t *to;

	if (!fresh) {
		pkt_drop(lc, pkt, DROP_no_mbuf);
		return NULL;
	}
	if (head + (uint64_t)len + tail > fresh->buf_len) {
		rte_pktmbuf_free(fresh);
		pkt_drop(lc, pkt, DROP_no_headroom);
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
