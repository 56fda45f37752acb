/* Being a host: what workers send up (ARP, Neighbour Discovery, ICMP, IKE, packets without a
 * neighbour, packets whose sender is to hear why they were dropped), and what goes down again.
 * Control thread. */
#include "dp.h"

#define TTL 64

void host_inject(struct worker *w, struct rte_mbuf *pkt)
{
	if (rte_ring_sp_enqueue(w->lc->inject, pkt))
		host_drop(w, pkt, DROP_tx_full);
}

void ip4_header_write(struct dp *dp, uint8_t *ip, unsigned total, uint8_t proto, uint32_t src,
		      uint32_t dst)
{
	memset(ip, 0, IP4_LEN);
	ip[IP4_VER_IHL] = 0x45;
	store_be16(ip + IP4_TOTAL, (uint16_t)total);
	store_be16(ip + IP4_ID, ++dp->ip_id);
	ip[IP4_TTL] = TTL;
	ip[IP4_PROTO] = proto;
	store_be32(ip + IP4_SRC, src);
	store_be32(ip + IP4_DST, dst);
	ip4_sum_set(ip);
}

void ip6_header_write(uint8_t *ip, unsigned payload, uint8_t next, const uint8_t *src,
		      const uint8_t *dst)
{
	memset(ip, 0, IP6_SRC);
	ip[IP6_VTF] = 0x60;
	store_be16(ip + IP6_PAYLOAD, (uint16_t)payload);
	ip[IP6_NEXT] = next;
	ip[IP6_HOPS] = TTL;
	memcpy(ip + IP6_SRC, src, 16);
	memcpy(ip + IP6_DST, dst, 16);
}

/* IPv6 packets for this host: the workers sent up nothing but these three. */
static void input6(struct dp *dp, struct worker *w, struct rte_mbuf *pkt)
{
	const uint8_t *ip = rte_pktmbuf_mtod(pkt, const uint8_t *);
	uint32_t len = rte_pktmbuf_data_len(pkt);
	struct ip6_chain chain;

	if (len < IP6_LEN || ip6_chain_read(ip, len, &chain) != DROP_COUNT)
		host_drop(w, pkt, DROP_ip6_extension);
	else if (chain.proto == PROTO_UDP)
		ike_input_packet(dp, w, pkt);
	else if (chain.l4_off < len && ip[chain.l4_off] >= ND_FIRST && ip[chain.l4_off] <= ND_LAST)
		nd_input(dp, w, pkt);
	else if (chain.l4_off < len && ip[chain.l4_off] == MLD_QUERY)
		mld_input(dp, w, pkt);
	else if (!pmtu_input6(dp, w, pkt))
		icmp_input(dp, w, pkt);
}

/* In one piece, or dropped. Those that only pass through may stay as they are. */
static struct rte_mbuf *flat(struct dp *dp, struct worker *w, struct rte_mbuf *pkt)
{
	struct rte_mbuf *one = NULL;
	uint32_t len = rte_pktmbuf_pkt_len(pkt);

	if (len + RTE_PKTMBUF_HEADROOM <= rte_pktmbuf_data_room_size(dp->own_pool))
		one = rte_pktmbuf_copy(pkt, dp->own_pool, 0, len);
	if (!one) {
		host_drop(w, pkt, DROP_no_mbuf);
		return NULL;
	}
	*pkt_meta(one) = *pkt_meta(pkt);
	rte_pktmbuf_free(pkt);
	return one;
}

void host_input(struct dp *dp, struct worker *w, struct rte_mbuf *pkt)
{
	uint8_t flags = pkt_meta(pkt)->flags;
	const uint8_t *data;

	if (pkt->nb_segs > 1 && !(flags & (PKT_ERROR | PKT_UNRESOLVED))) {
		pkt = flat(dp, w, pkt);
		if (!pkt)
			return;
	}
	data = rte_pktmbuf_mtod(pkt, const uint8_t *);
	if (flags & PKT_ERROR)
		icmp_error(dp, w, pkt);
	else if (flags & PKT_UNRESOLVED)
		neigh_route(dp, w, pkt);
	else if (flags & PKT_FRAME)
		arp_input(dp, w, pkt);
	else if (ip_version(data) == 6)
		input6(dp, w, pkt);
	else if (data[IP4_PROTO] == PROTO_UDP)
		ike_input_packet(dp, w, pkt);
	else if (!pmtu_input(dp, w, pkt))
		icmp_input(dp, w, pkt);
}
