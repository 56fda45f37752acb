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

void arp_ask(struct dp *dp, uint8_t port, const struct ip_addr *addr, const uint8_t *to)
{
	struct ip_addr ours = port_address(&dp->port[port], addr);

	arp_send(dp, &dp->worker[0], port, ARP_REQUEST,
		 ours.family == IP_V4 ? ip_addr_to_v4(&ours) : 0, to ? to : everybody, NULL,
		 ip_addr_to_v4(addr));
}

void arp_announce(struct dp *dp)
{
	for (uint8_t i = 0; i < dp->n_ports; i++)
		for (unsigned j = 0; j < dp->port[i].n_addrs; j++) {
			const struct ip_addr *addr = &dp->port[i].addr[j].addr;
			if (addr->family == IP_V4)
				arp_send(dp, &dp->worker[0], i, ARP_REQUEST, ip_addr_to_v4(addr),
					 everybody, NULL, ip_addr_to_v4(addr));
		}
}

static bool sound(const uint8_t *eth, const uint8_t *arp)
{
	static const uint8_t zero[6];

	return load_be16(arp + ARP_HTYPE) == 1 && load_be16(arp + ARP_PTYPE) == ETHERTYPE_IP4 &&
	       arp[ARP_HLEN] == 6 && arp[ARP_PLEN] == 4 && !(arp[ARP_SHA] & 1) &&
	       memcmp(arp + ARP_SHA, zero, 6) != 0 && memcmp(arp + ARP_SHA, eth + ETH_SRC, 6) == 0;
}

static bool port_has(const struct port *port, uint32_t addr)
{
	struct ip_addr a = ip_addr_v4(addr);

	for (unsigned i = 0; i < port->n_addrs; i++)
		if (ip_addr_equal(&port->addr[i].addr, &a))
			return true;
	return false;
}

void arp_input(struct dp *dp, struct worker *w, struct rte_mbuf *pkt)
{
	const uint8_t *eth = rte_pktmbuf_mtod(pkt, const uint8_t *), *arp = eth + ETH_LEN;
	uint8_t port = pkt_meta(pkt)->port;
	struct ip_addr sender, ours;
	bool for_us, request;
	uint32_t spa, tpa;

	if (rte_pktmbuf_data_len(pkt) < ETH_LEN + ARP_LEN || !sound(eth, arp)) {
		host_drop(w, pkt, DROP_arp_malformed);
		return;
	}
	spa = load_be32(arp + ARP_SPA);
	tpa = load_be32(arp + ARP_TPA);
	sender = ip_addr_v4(spa);
	for_us = port_has(&dp->port[port], tpa);
	request = load_be16(arp + ARP_OP) == ARP_REQUEST;
	/* a probe (sender 0, RFC 5227) and foreign addresses teach nothing, unless we asked: a
	 * route may say that they are on the link */
	if (spa == 0 || is_ours(dp, port, &sender))
		;
	else if (for_us && !request)
		neigh_answer(dp, port, &sender, arp + ARP_SHA);
	else
		neigh_claim(dp, port, &sender, arp + ARP_SHA,
			    for_us && port_on_link(&dp->port[port], &sender, &ours));
	if (for_us && request)
		arp_send(dp, w, port, ARP_REPLY, tpa, arp + ARP_SHA, arp + ARP_SHA, spa);
	rte_pktmbuf_free(pkt);
}
