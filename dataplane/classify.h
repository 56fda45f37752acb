/* What the two families' halves of the first stage share. */
#ifndef SHRIKE_DATAPLANE_CLASSIFY_H
#define SHRIKE_DATAPLANE_CLASSIFY_H

#include "lcore.h"

/* V_AGAIN: a frame that had a tag is now like others. */
enum verdict { V_TRANSIT, V_ESP, V_HOST, V_GONE, V_AGAIN };

static inline enum verdict gone(struct lcore *lc, struct rte_mbuf *pkt, enum drop_reason reason)
{
	pkt_drop(lc, pkt, reason);
	return V_GONE;
}

/* UDP port 4500 to us, RFC 3948 section 2: a keepalive, IKE behind four zero bytes, or ESP. The UDP
 * header, l4_off bytes into the packet, is in sight; the IP packet ends after total bytes. */
enum verdict natt_classify(struct lcore *lc, struct rte_mbuf *pkt, unsigned l4_off, unsigned total);

/* A piece of a packet to us, of either family, of a kind that we put together: to the worker that does,
 * see reassembly.h. */
enum verdict fragment_hand_over(struct lcore *lc, struct rte_mbuf *pkt, uint8_t proto);

/* A sound IPv6 packet, trimmed, that is not for a group. */
enum verdict ip6_sort(struct lcore *lc, struct rte_mbuf *pkt, const uint8_t *ip);

/* An IPv6 packet, data at its header. station: 1 = the frame came to our address, 0 = to a group.
 */
enum verdict ip6_classify(struct lcore *lc, struct rte_mbuf *pkt, int station);

#endif
