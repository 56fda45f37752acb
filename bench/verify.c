/* Packets go out of one gateway and into the other: each must come back as it was. */
#include <stdio.h>
#include <string.h>

#include "measure.h"
#include "wire.h"

/* Moves what waits in a transmit buffer into pkts, as if it came in on port 0. */
static uint16_t take(struct tx_buffer *tx, struct rte_mbuf **pkts)
{
	uint16_t n = tx->n;

	memcpy(pkts, tx->pkt, n * sizeof(*pkts));
	for (uint16_t i = 0; i < n; i++)
		*pkt_meta(pkts[i]) = (struct pkt_meta){ 0 };
	tx->n = 0;
	return n;
}

static bool same(const struct rig *rig, unsigned i, const struct rte_mbuf *pkt)
{
	uint16_t size = traffic_size(rig, i);
	uint8_t want[2048];
	const uint8_t *ip = rte_pktmbuf_mtod_offset(pkt, const uint8_t *, ETH_LEN);

	traffic_inner(rig, i, want);
	/* one TTL at each gateway */
	ip4_ttl_decrement(want);
	ip4_ttl_decrement(want);
	return pkt->pkt_len == (uint32_t)ETH_LEN + size && memcmp(ip, want, size) == 0;
}

int verify(struct rig *rig, unsigned n)
{
	const unsigned half = RIG_BURST / 2; /* less than a full buffer: it is not sent on */

	/* SA_IN has not seen the numbers of the frames that rig_setup() made: they are simply older
	 */
	for (unsigned i = 0; i < n; i += half) {
		struct rte_mbuf *pkts[RIG_BURST];
		uint16_t got;

		traffic_clear(rig, pkts, i);
		rte_pktmbuf_free_bulk(pkts + half, half);
		for (unsigned k = 0; k < half; k++)
			traffic_inner(rig, i + k,
				      rte_pktmbuf_mtod_offset(pkts[k], uint8_t *, ETH_LEN));
		rig_way_out(rig->gw[SA_OUT], pkts, (uint16_t)half, NULL);
		got = take(&rig->gw[SA_OUT]->tx[0], pkts);
		rig_way_in(rig->gw[SA_IN], pkts, got, NULL);
		got = take(&rig->gw[SA_IN]->tx[1], pkts);
		for (unsigned k = 0; k < half; k++) {
			if (k < got && same(rig, i + k, pkts[k]))
				continue;
			fprintf(stderr, "bench: packet %u came back %s\n", i + k,
				k < got ? "different" : "not at all");
			rig_drops_print(rig->gw[SA_OUT]);
			rig_drops_print(rig->gw[SA_IN]);
			return -1;
		}
		rte_pktmbuf_free_bulk(pkts, got);
	}
	return 0;
}
