/* The last stage: route, TTL, MTU, Ethernet header, transmit buffer. */
#include <rte_branch_prediction.h>

#include "fib.h"
#include "lcore.h"
#include "wire.h"

/* A whole packet (or fragment) that fits: out of a port, or up to control, which resolves. */
static bool packet_send(struct lcore *lc, struct rte_mbuf *pkt, const struct next_hop *hop)
{
	struct pkt_meta *meta = pkt_meta(pkt);
	uint8_t *eth;

	meta->port = hop->port;
	if (unlikely(hop->kind != HOP_READY)) {
		meta->flags |= PKT_UNRESOLVED;
		lcore_punt(lc, pkt, PUNT_NEIGHBOUR);
		return false;
	}
	eth = (uint8_t *)rte_pktmbuf_prepend(pkt, ETH_LEN);
	if (unlikely(!eth)) {
		pkt_drop(lc, pkt, DROP_no_headroom);
		return false;
	}
	memcpy(eth, hop->eth, ETH_LEN);
	lcore_tx(lc, pkt);
	return true;
}

/* Larger than the port's MTU: fragments where DF allows, RFC 791 section 3.2, and in IPv6 where the
 * packet is our own, RFC 8200 section 4.5. */
static bool packet_fragment(struct lcore *lc, struct rte_mbuf *pkt, const struct next_hop *hop)
{
	const uint8_t *ip = rte_pktmbuf_mtod(pkt, const uint8_t *);
	bool ours = pkt_meta(pkt)->flags & (PKT_PROTECTED | PKT_LOCAL_OUT);
	bool four = ip_version(ip) == 4;
	struct rte_mbuf *part[MAX_FRAGMENTS];
	bool sent = true;
	int n;

	if (four ? load_be16(ip + IP4_FRAG) & IP4_DF : !ours) {
		if (ours)
			pkt_drop(lc, pkt, DROP_too_big);
		else
			lcore_drop_icmp(lc, pkt, DROP_too_big, hop->mtu);
		return false;
	}
	n = four ? packet_split(lc, pkt, hop->mtu, part) : packet_split6(lc, pkt, hop->mtu, part);
	for (int i = 0; i < n; i++)
		sent &= packet_send(lc, part[i], hop);
	return sent && n > 0;
}

/* One hop less to live; false when that was the last. */
static inline bool hop_count(uint8_t *ip)
{
	uint8_t *hops = ip + (likely(ip_version(ip) == 4) ? IP4_TTL : IP6_HOPS);

	if (unlikely(*hops <= 1))
		return false;
	if (likely(ip_version(ip) == 4))
		ip4_ttl_decrement(ip);
	else
		--*hops;
	return true;
}

static __rte_noinline bool packet_forward(struct lcore *lc, struct rte_mbuf *pkt,
					  const struct next_hop *hop)
{
	uint8_t *ip = rte_pktmbuf_mtod(pkt, uint8_t *);
	uint8_t flags = pkt_meta(pkt)->flags;

	switch (hop->kind) {
	case HOP_READY:
	case HOP_CONNECTED:
	case HOP_UNRESOLVED:
		break;
	case HOP_LOCAL:
		if (flags & PKT_FROM_ESP)
			stage_host(lc, &pkt, 1);
		else
			pkt_drop(lc, pkt, DROP_ip_not_ours);
		return false;
	case HOP_BROADCAST:
		pkt_drop(lc, pkt, DROP_ip_martian);
		return false;
	default:
		if (flags & (PKT_LOCAL_OUT | PKT_PROTECTED))
			pkt_drop(lc, pkt, DROP_no_route);
		else
			lcore_drop_icmp(lc, pkt, DROP_no_route, 0);
		return false;
	}

	if (!(flags & (PKT_LOCAL_OUT | PKT_PROTECTED)) && unlikely(!hop_count(ip))) {
		lcore_drop_icmp(lc, pkt, DROP_ip_ttl, 0);
		return false;
	}
	if (unlikely(rte_pktmbuf_pkt_len(pkt) > hop->mtu))
		return packet_fragment(lc, pkt, hop);
	return packet_send(lc, pkt, hop);
}

/* Nothing in the way: IPv4 that lives on, fits, and whose next station is known. */
static inline bool is_plain(const struct rte_mbuf *pkt, const uint8_t *ip, uint8_t flags,
			    const struct next_hop *hop)
{
	return hop->kind == HOP_READY && pkt->pkt_len <= hop->mtu && pkt->data_off >= ETH_LEN &&
	       ip_version(ip) == 4 &&
	       (flags & (PKT_LOCAL_OUT | PKT_PROTECTED) || ip[IP4_TTL] > 1);
}

static inline void plain_forward(struct lcore *lc, struct rte_mbuf *pkt, uint8_t *ip, uint8_t flags,
				 const struct next_hop *hop)
{
	if (!(flags & (PKT_LOCAL_OUT | PKT_PROTECTED)))
		ip4_ttl_decrement(ip);
	memcpy(ip - ETH_LEN, hop->eth, ETH_LEN);
	pkt->data_off -= ETH_LEN;
	pkt->data_len += ETH_LEN;
	pkt->pkt_len += ETH_LEN;
	pkt_meta(pkt)->port = hop->port;
	lcore_tx(lc, pkt);
}

uint16_t stage_forward(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n)
{
	const struct next_hop *hop[2 * BURST];
	uint16_t sent = 0;

	for (uint16_t i = 0; i < n; i++) {
		const uint8_t *ip = rte_pktmbuf_mtod(pkts[i], const uint8_t *);
		hop[i] = likely(ip_version(ip) == 4) ? fib_lookup(lc->fib, load_be32(ip + IP4_DST))
						     : fib_lookup6(lc->fib, ip + IP6_DST);
		rte_prefetch0(hop[i]);
	}
	for (uint16_t i = 0; i < n; i++) {
		uint8_t *ip = rte_pktmbuf_mtod(pkts[i], uint8_t *);
		uint8_t flags = pkt_meta(pkts[i])->flags;

		if (likely(is_plain(pkts[i], ip, flags, hop[i]))) {
			plain_forward(lc, pkts[i], ip, flags, hop[i]);
			sent++;
		} else {
			sent += packet_forward(lc, pkts[i], hop[i]);
		}
	}
	lc->count.forwarded += sent;
	return sent;
}
