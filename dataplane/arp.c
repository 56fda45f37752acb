/* ARP, RFC 826: answers for our addresses, questions for others, announcements (RFC 5227). */
#include "dp.h"
#include "log.h"

/* Offsets after the Ethernet header, for Ethernet and IPv4. */
enum {
	ARP_HTYPE = 0,
	ARP_PTYPE = 2,
	ARP_HLEN = 4,
	ARP_PLEN = 5,
	ARP_OP = 6,
	ARP_SHA = 8,
	ARP_SPA = 14,
	ARP_THA = 18,
	ARP_TPA = 24,
	ARP_LEN = 28,
};
enum { ARP_REQUEST = 1, ARP_REPLY = 2 };

#define FRAME_MIN 60

static const uint8_t everybody[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

/* tha: who the packet speaks to; the frame goes to the same station, or to eth_dst. */
static void arp_send(struct dp *dp, struct worker *w, uint8_t port, uint16_t op, uint32_t spa,
		     const uint8_t *eth_dst, const uint8_t *tha, uint32_t tpa)
{
	struct rte_mbuf *pkt = rte_pktmbuf_alloc(dp->own_pool);
	uint8_t *eth = pkt ? (uint8_t *)rte_pktmbuf_append(pkt, FRAME_MIN) : NULL, *arp;

	if (!eth) /* asked again later */
		return;
	memset(eth, 0, FRAME_MIN);
	memcpy(eth + ETH_DST, eth_dst, 6);
	memcpy(eth + ETH_SRC, dp->port[port].mac, 6);
	store_be16(eth + ETH_TYPE, ETHERTYPE_ARP);
	arp = eth + ETH_LEN;
	store_be16(arp + ARP_HTYPE, 1);
	store_be16(arp + ARP_PTYPE, ETHERTYPE_IP4);
	arp[ARP_HLEN] = 6;
	arp[ARP_PLEN] = 4;
	store_be16(arp + ARP_OP, op);
	memcpy(arp + ARP_SHA, dp->port[port].mac, 6);
	store_be32(arp + ARP_SPA, spa);
	if (tha)
		memcpy(arp + ARP_THA, tha, 6);
	store_be32(arp + ARP_TPA, tpa);
	*pkt_meta(pkt) = (struct pkt_meta){ .port = port, .flags = PKT_FRAME };
	host_inject(w, pkt);
}

void arp_ask(struct dp *dp, uint8_t port, uint32_t addr, const uint8_t *to)
{
	const struct port *p = &dp->port[port];
	uint32_t ours = p->n_addrs ? p->addr[0] : 0;

	port_on_link(p, addr, &ours);
	arp_send(dp, &dp->worker[0], port, ARP_REQUEST, ours, to ? to : everybody, NULL, addr);
}

void arp_announce(struct dp *dp)
{
	for (uint8_t i = 0; i < dp->n_ports; i++)
		for (unsigned j = 0; j < dp->port[i].n_addrs; j++)
			arp_send(dp, &dp->worker[0], i, ARP_REQUEST, dp->port[i].addr[j], everybody,
				 NULL, dp->port[i].addr[j]);
}

static bool sound(const uint8_t *eth, const uint8_t *arp)
{
	static const uint8_t zero[6];

	return load_be16(arp + ARP_HTYPE) == 1 && load_be16(arp + ARP_PTYPE) == ETHERTYPE_IP4 &&
	       arp[ARP_HLEN] == 6 && arp[ARP_PLEN] == 4 && !(arp[ARP_SHA] & 1) &&
	       memcmp(arp + ARP_SHA, zero, 6) != 0 && memcmp(arp + ARP_SHA, eth + ETH_SRC, 6) == 0;
}

void arp_input(struct dp *dp, struct worker *w, struct rte_mbuf *pkt)
{
	const uint8_t *eth = rte_pktmbuf_mtod(pkt, const uint8_t *), *arp = eth + ETH_LEN;
	uint8_t port = pkt_meta(pkt)->port;
	uint32_t spa, tpa, on_link;
	bool for_us = false;

	if (rte_pktmbuf_data_len(pkt) < ETH_LEN + ARP_LEN || !sound(eth, arp)) {
		host_drop(w, pkt, DROP_arp_malformed);
		return;
	}
	spa = load_be32(arp + ARP_SPA);
	tpa = load_be32(arp + ARP_TPA);
	for (unsigned i = 0; i < dp->port[port].n_addrs; i++)
		if (dp->port[port].addr[i] == tpa)
			for_us = true;
	/* a probe (sender 0, RFC 5227) and foreign addresses teach nothing, unless we asked: a
	 * route may say that they are on the link */
	if (!local_set_has(&dp->local, spa))
		neigh_learn(dp, port, spa, arp + ARP_SHA,
			    for_us && port_on_link(&dp->port[port], spa, &on_link));
	if (for_us && load_be16(arp + ARP_OP) == ARP_REQUEST)
		arp_send(dp, w, port, ARP_REPLY, tpa, arp + ARP_SHA, arp + ARP_SHA, spa);
	rte_pktmbuf_free(pkt);
}
