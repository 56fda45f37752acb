/* The first stage for IPv6, RFC 8200 and RFC 4291. */
#include <rte_branch_prediction.h>

#include "classify.h"
#include "ip6.h"
#include "source.h"

/* ::1, ::, and IPv4 addresses in IPv6 clothes: on no wire. */
static bool is_martian(const uint8_t *a)
{
	static const uint8_t zero[10], mapped[12] = { [10] = 0xff, 0xff };

	if (memcmp(a, mapped, 12) == 0)
		return true;
	return memcmp(a, zero, 10) == 0 && a[10] == 0 && a[11] == 0 && a[12] == 0 && a[13] == 0 &&
	       a[14] == 0 && a[15] <= 1;
}

/* Options that we do not know either want to be passed over (00 in the two highest bits) or
 * refused: RFC 8200 section 4.2. The walk has checked that the header at `at` lies within the
 * packet. */
static bool options_allow(const uint8_t *ip, unsigned at)
{
	unsigned end = at + 8 + ip[at + 1] * 8u;

	for (unsigned i = at + 2; i < end;) {
		if (ip[i] == 0) { /* Pad1 */
			i++;
			continue;
		}
		if (i + 2 > end || i + 2 + ip[i + 1] > end || ip[i] >> 6 != 0)
			return false;
		i += 2u + ip[i + 1];
	}
	return true;
}

/* All options headers of a packet for us. */
static bool chain_allows(const uint8_t *ip, const struct ip6_chain *chain)
{
	uint8_t next = ip[IP6_NEXT];

	for (unsigned at = IP6_LEN; at < chain->l4_off;) {
		if ((next == PROTO_HOPOPTS || next == PROTO_DSTOPTS) && !options_allow(ip, at))
			return false;
		next = next == PROTO_FRAGMENT ? ip[at + IP6F_NEXT] : ip[at];
		at += ip[at + 1] * 8u * (at != chain->frag_at) + 8;
	}
	return true;
}

/* Solicitations, advertisements and queries for groups come to groups: ours, or all nodes. */
static enum verdict group_classify(struct lcore *lc, struct rte_mbuf *pkt, const uint8_t *ip,
				   uint32_t len)
{
	struct ip6_chain chain;

	if ((ip[IP6_HOPS] == ND_HOPS || ip[IP6_HOPS] == 1) &&
	    ip6_chain_read(ip, len, &chain) == DROP_COUNT && chain.proto == PROTO_ICMP6 &&
	    !chain.frag_at && chain.l4_off < len) {
		uint8_t type = ip[chain.l4_off];

		if (ip[IP6_HOPS] == ND_HOPS ? type == ND_SOLICIT || type == ND_ADVERT
					    : type == MLD_QUERY)
			return V_HOST;
	}
	return gone(lc, pkt, DROP_ip6_multicast);
}

static enum verdict udp_classify(struct lcore *lc, struct rte_mbuf *pkt, const uint8_t *ip,
				 const struct ip6_chain *chain)
{
	unsigned end = chain->l4_off + UDP_LEN;
	uint16_t port;

	if (rte_pktmbuf_data_len(pkt) < end || ip6_total(ip) < end)
		return gone(lc, pkt, DROP_ip_malformed);
	port = load_be16(ip + chain->l4_off + UDP_DPORT);
	/* a peer's address has to be one that routes lead to */
	if (ip6_is_link_local(ip + IP6_DST) || (port != PORT_IKE && port != PORT_IKE_NATT))
		return gone(lc, pkt, DROP_ip_not_ours);
	if (port == PORT_IKE)
		return V_HOST;
	return natt_classify(lc, pkt, chain->l4_off, ip6_total(ip));
}

/* A sound packet to one of our addresses. */
static enum verdict local_classify(struct lcore *lc, struct rte_mbuf *pkt, const uint8_t *ip,
				   const struct ip6_chain *chain)
{
	struct pkt_meta *meta = pkt_meta(pkt);

	if (unlikely(chain->l4_off > UINT8_MAX - UDP_LEN || !chain_allows(ip, chain)))
		return gone(lc, pkt, DROP_ip6_extension);
	if (unlikely(chain->frag))
		return fragment_hand_over(lc, pkt, chain->proto);
	switch (chain->proto) {
	case PROTO_ESP:
		meta->l4_off = (uint8_t)chain->l4_off;
		return V_ESP;
	case PROTO_AH:
		meta->l4_off = (uint8_t)chain->l4_off;
		meta->flags |= PKT_AH;
		return V_ESP;
	case PROTO_ICMP6:
		return V_HOST;
	case PROTO_UDP:
		return udp_classify(lc, pkt, ip, chain);
	default:
		return gone(lc, pkt, DROP_ip_not_ours);
	}
}

static enum drop_reason header_check(const struct lcore *lc, struct rte_mbuf *pkt,
				     const uint8_t *ip)
{
	uint8_t port = pkt_meta(pkt)->port;
	const uint8_t *src = ip + IP6_SRC;

	if (rte_pktmbuf_data_len(pkt) < IP6_LEN || ip_version(ip) != 6 ||
	    ip6_total(ip) > rte_pktmbuf_pkt_len(pkt))
		return DROP_ip_malformed;
	if (ip6_is_multicast(src) || is_martian(ip + IP6_DST))
		return DROP_ip_martian;
	/* nobody's address asks for ours: see nd.c */
	if (ip6_is_unspecified(src))
		return ip6_is_multicast(ip + IP6_DST) ? DROP_COUNT : DROP_ip_martian;
	if (is_martian(src) || local_set_has6(&lc->local, src, port))
		return DROP_ip_martian;
	return DROP_COUNT;
}

enum verdict ip6_sort(struct lcore *lc, struct rte_mbuf *pkt, const uint8_t *ip)
{
	enum verdict verdict = V_TRANSIT;
	uint8_t port = pkt_meta(pkt)->port;
	struct ip6_chain chain;
	enum drop_reason bad;

	bad = ip6_chain_read(ip, rte_pktmbuf_data_len(pkt), &chain);
	if (unlikely(bad != DROP_COUNT))
		return gone(lc, pkt, bad);
	if (local_set_has6(&lc->local, ip + IP6_DST, port))
		verdict = local_classify(lc, pkt, ip, &chain);
	else if (ip6_is_link_local(ip + IP6_DST) || ip6_is_link_local(ip + IP6_SRC))
		return gone(lc, pkt, DROP_ip_martian); /* RFC 4291 section 2.5.6 */
	if ((verdict == V_TRANSIT || verdict == V_HOST) &&
	    unlikely(!source_allowed6(lc, port, ip + IP6_SRC)))
		return gone(lc, pkt, DROP_source_check);
	return verdict;
}

enum verdict ip6_classify(struct lcore *lc, struct rte_mbuf *pkt, int station)
{
	const uint8_t *ip = rte_pktmbuf_mtod(pkt, const uint8_t *);
	enum drop_reason bad = header_check(lc, pkt, ip);
	uint32_t total, len;

	if (unlikely(bad != DROP_COUNT))
		return gone(lc, pkt, bad);
	total = ip6_total(ip);
	len = rte_pktmbuf_pkt_len(pkt);
	if (len > total && rte_pktmbuf_trim(pkt, (uint16_t)(len - total)))
		return gone(lc, pkt, DROP_ip_malformed);
	if (ip6_is_multicast(ip + IP6_DST))
		return group_classify(lc, pkt, ip, rte_pktmbuf_data_len(pkt));
	if (station == 0)
		return gone(lc, pkt, DROP_eth_dst);
	return ip6_sort(lc, pkt, ip);
}
