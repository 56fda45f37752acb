/* Packets for this host: which service of control's they are for, and whether they may go there. */
#include <rte_branch_prediction.h>

#include "classify.h"
#include "ip6.h"
#include "spd.h"
#include "wire.h"

enum service { TO_NOBODY, TO_IKE, TO_ND, TO_ICMP, TO_REASSEMBLY };

static bool is_ike_port(const uint8_t *udp)
{
	uint16_t port = load_be16(udp + UDP_DPORT);

	return port == PORT_IKE || port == PORT_IKE_NATT;
}

static enum service service4(const uint8_t *ip, uint32_t len, uint8_t *proto)
{
	unsigned ihl = ip4_header_len(ip);

	*proto = ip[IP4_PROTO];
	if (unlikely(ip4_is_fragment(ip))) /* out of an SA; others were sorted out before */
		return TO_REASSEMBLY;
	if (ip[IP4_PROTO] == PROTO_ICMP)
		return TO_ICMP;
	if (ip[IP4_PROTO] != PROTO_UDP)
		return TO_NOBODY;
	return len >= ihl + UDP_LEN && is_ike_port(ip + ihl) ? TO_IKE : TO_NOBODY;
}

static enum service service6(const uint8_t *ip, uint32_t len, uint8_t *proto)
{
	struct ip6_chain chain;
	uint8_t type;

	if (len < IP6_LEN || ip6_chain_read(ip, len, &chain) != DROP_COUNT)
		return TO_NOBODY;
	*proto = chain.proto;
	if (chain.frag)
		return TO_REASSEMBLY;
	if (chain.proto == PROTO_ICMP6 && len > chain.l4_off) {
		/* router discovery and redirects, too: counted where they are refused */
		type = ip[chain.l4_off];
		return (type >= ND_FIRST && type <= ND_LAST) || type == MLD_QUERY ? TO_ND : TO_ICMP;
	}
	if (chain.proto != PROTO_UDP || len < (uint32_t)chain.l4_off + UDP_LEN)
		return TO_NOBODY;
	return is_ike_port(ip + chain.l4_off) ? TO_IKE : TO_NOBODY;
}

#define NON_ESP_MARKER 4
#define COOKIES_LEN    16 /* both, at the start of an ISAKMP header */

/* The ISAKMP header of an IKE datagram, NULL where it is not in sight. */
static const uint8_t *isakmp_find(const uint8_t *ip, uint32_t len)
{
	struct ip6_chain chain;
	uint32_t at;

	if (ip_version(ip) == 4)
		at = ip4_header_len(ip);
	else if (ip6_chain_read(ip, len, &chain) == DROP_COUNT)
		at = chain.l4_off;
	else
		return NULL;
	if (len < at + UDP_LEN)
		return NULL;
	if (load_be16(ip + at + UDP_DPORT) == PORT_IKE_NATT)
		at += NON_ESP_MARKER;
	at += UDP_LEN;
	return len >= at + COOKIES_LEN ? ip + at : NULL;
}

/* Cookies that control knows go first: nobody but the peer can have both. Then what comes from a configured peer's
 * address, or pretends to; strangers share what is left. */
static enum punt_class ike_class(const struct lcore *lc, const uint8_t *ip, uint32_t len)
{
	const uint8_t *isakmp = isakmp_find(ip, len);
	const struct known *k = lc->known;
	bool four = ip_version(ip) == 4;
	uint32_t from;

	if (!k)
		return PUNT_IKE;
	if (isakmp && (known_at(k, known_cookies(k, isakmp, isakmp + COOKIES_LEN / 2)) ||
		       known_at(k, known_cookies(k, isakmp, NULL))))
		return PUNT_IKE;
	from = four ? known_address(k, ip + IP4_SRC, 4) : known_address(k, ip + IP6_SRC, 16);
	return known_at(k, from) ? PUNT_IKE_PEER : PUNT_IKE_STRANGER;
}

/* Neighbour Discovery needs no policy: it is the link's own matter, and never comes from a tunnel. */
static void host_one(struct lcore *lc, struct rte_mbuf *pkt)
{
	const uint8_t *ip = rte_pktmbuf_mtod(pkt, const uint8_t *);
	uint32_t len = rte_pktmbuf_data_len(pkt);
	bool from_esp = pkt_meta(pkt)->flags & PKT_FROM_ESP;
	uint8_t proto = 0;

	switch (ip_version(ip) == 4 ? service4(ip, len, &proto) : service6(ip, len, &proto)) {
	case TO_REASSEMBLY:
		fragment_hand_over(lc, pkt, proto);
		break;
	case TO_IKE:
		lcore_punt(lc, pkt, ike_class(lc, ip, len));
		break;
	case TO_ND:
		if (from_esp)
			pkt_drop(lc, pkt, DROP_nd_malformed);
		else
			lcore_punt(lc, pkt, PUNT_ARP);
		break;
	case TO_ICMP:
		if (!from_esp && spd_must_be_protected(lc->spd, ip, len))
			pkt_drop(lc, pkt, DROP_spd_in_clear);
		else
			lcore_punt(lc, pkt, PUNT_ICMP);
		break;
	case TO_NOBODY:
		pkt_drop(lc, pkt, DROP_ip_not_ours);
		break;
	}
}

void stage_host(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		if (pkt_meta(pkts[i])->flags & PKT_FRAME)
			lcore_punt(lc, pkts[i], PUNT_ARP);
		else
			host_one(lc, pkts[i]);
	}
}
