/* The first stage: is the frame sound, is it for us, and what is it? Nothing is read past the first
 * segment, and every length is checked before the bytes that it covers are looked at. */
#include <rte_branch_prediction.h>
#include <rte_prefetch.h>

#include "classify.h"
#include "ip6.h"
#include "reassembly.h"
#include "source.h"
#include "wire.h"

/* Multicast (nothing here routes it), the limited broadcast, loopback and "this network". */
static inline bool is_martian(const uint8_t *addr)
{
	return (uint8_t)(addr[0] - 1) >= 0xdf || addr[0] == 127;
}

/* RFC 1122 section 3.2.1.3 and RFC 1812 section 5.3.7: addresses that are nobody's source. */
static inline bool source_is_martian(const struct lcore *lc, const uint8_t *src)
{
	return is_martian(src) || local_set_has(&lc->local, load_be32(src));
}

/* Walks the options, RFC 791 section 3.1. Source routes are not for a security gateway. */
static enum drop_reason options_check(const uint8_t *ip, unsigned ihl)
{
	for (unsigned i = IP4_LEN; i < ihl && ip[i] != 0;) {
		if (ip[i] == 1) { /* no operation */
			i++;
			continue;
		}
		if (i + 1 >= ihl || ip[i + 1] < 2 || i + ip[i + 1] > ihl)
			return DROP_ip_malformed;
		if (ip[i] == 131 || ip[i] == 137)
			return DROP_ip_options;
		i += ip[i + 1];
	}
	return DROP_COUNT;
}

/* The device has seen that the checksum of the (outermost) header is right. */
static inline bool sum_known(const struct rte_mbuf *pkt)
{
	return (pkt->ol_flags & (RTE_MBUF_F_RX_IP_CKSUM_MASK | RTE_MBUF_F_RX_OUTER_IP_CKSUM_BAD)) ==
	       RTE_MBUF_F_RX_IP_CKSUM_GOOD;
}

/* The header alone, RFC 1812 section 5.2.2; DROP_COUNT when it is sound. */
static enum drop_reason header_check(const struct lcore *lc, struct rte_mbuf *pkt,
				     const uint8_t *ip)
{
	uint32_t len = rte_pktmbuf_data_len(pkt);
	unsigned ihl, total;

	if (len < IP4_LEN || ip[IP4_VER_IHL] >> 4 != 4)
		return DROP_ip_malformed;
	ihl = ip4_header_len(ip);
	total = load_be16(ip + IP4_TOTAL);
	if (ihl < IP4_LEN || ihl > len || total < ihl || total > rte_pktmbuf_pkt_len(pkt))
		return DROP_ip_malformed;
	if (!sum_known(pkt) && !ip4_sum_ok(ip))
		return DROP_ip_malformed;
	if (source_is_martian(lc, ip + IP4_SRC) || is_martian(ip + IP4_DST))
		return DROP_ip_martian;
	return ihl > IP4_LEN ? options_check(ip, ihl) : DROP_COUNT;
}

enum verdict natt_classify(struct lcore *lc, struct rte_mbuf *pkt, unsigned l4_off, unsigned total)
{
	const uint8_t *udp = rte_pktmbuf_mtod_offset(pkt, const uint8_t *, l4_off);
	unsigned len = load_be16(udp + UDP_LENGTH);

	if (len < UDP_LEN || len > total - l4_off)
		return gone(lc, pkt, DROP_natt_malformed);
	if (len == UDP_LEN + 1 && rte_pktmbuf_data_len(pkt) > l4_off + UDP_LEN &&
	    udp[UDP_LEN] == 0xff) {
		lc->count.natt_keepalives++;
		rte_pktmbuf_free(pkt);
		return V_GONE;
	}
	if (len < UDP_LEN + 4 || rte_pktmbuf_data_len(pkt) < l4_off + UDP_LEN + 4)
		return gone(lc, pkt, DROP_natt_malformed);
	if (load_be32(udp + UDP_LEN) == 0)
		return V_HOST;
	if (len < total - l4_off && rte_pktmbuf_trim(pkt, (uint16_t)(total - l4_off - len)))
		return gone(lc, pkt, DROP_natt_malformed);
	pkt_meta(pkt)->l4_off = (uint8_t)(l4_off + UDP_LEN);
	pkt_meta(pkt)->flags |= PKT_UDP_ENCAP;
	return V_ESP;
}

enum verdict fragment_hand_over(struct lcore *lc, struct rte_mbuf *pkt, uint8_t proto)
{
	bool four = ip_version(rte_pktmbuf_mtod(pkt, const uint8_t *)) == 4;

	if (proto != PROTO_ESP && proto != PROTO_AH && proto != PROTO_UDP &&
	    proto != (four ? PROTO_ICMP : PROTO_ICMP6))
		return gone(lc, pkt, DROP_ip_fragment);
	pkt_meta(pkt)->flags |= PKT_FRAGMENT;
	lcore_handover(lc, reassembly_worker(lc, pkt), pkt);
	return V_GONE;
}

/* A sound packet to one of our addresses. */
static enum verdict local_classify(struct lcore *lc, struct rte_mbuf *pkt, const uint8_t *ip)
{
	unsigned ihl = ip4_header_len(ip), len = rte_pktmbuf_data_len(pkt);
	uint16_t port;

	if (unlikely(ip4_is_fragment(ip)))
		return fragment_hand_over(lc, pkt, ip[IP4_PROTO]);
	switch (ip[IP4_PROTO]) {
	case PROTO_ESP:
		pkt_meta(pkt)->l4_off = (uint8_t)ihl;
		return V_ESP;
	case PROTO_AH:
		pkt_meta(pkt)->l4_off = (uint8_t)ihl;
		pkt_meta(pkt)->flags |= PKT_AH;
		return V_ESP;
	case PROTO_ICMP:
		return V_HOST;
	case PROTO_UDP:
		if (len < ihl + UDP_LEN || load_be16(ip + IP4_TOTAL) < ihl + UDP_LEN)
			return gone(lc, pkt, DROP_ip_malformed);
		port = load_be16(ip + ihl + UDP_DPORT);
		if (port == PORT_IKE_NATT)
			return natt_classify(lc, pkt, ihl, load_be16(ip + IP4_TOTAL));
		if (port == PORT_IKE)
			return V_HOST;
		break;
	}
	return gone(lc, pkt, DROP_ip_not_ours);
}

/* A sound packet, trimmed. */
static enum verdict ip4_sort(struct lcore *lc, struct rte_mbuf *pkt, const uint8_t *ip)
{
	enum verdict verdict = V_TRANSIT;

	if (local_set_has(&lc->local, load_be32(ip + IP4_DST)))
		verdict = local_classify(lc, pkt, ip);
	if ((verdict == V_TRANSIT || verdict == V_HOST) &&
	    unlikely(!source_allowed(lc, pkt_meta(pkt)->port, ip)))
		return gone(lc, pkt, DROP_source_check);
	return verdict;
}

static enum verdict ip4_classify(struct lcore *lc, struct rte_mbuf *pkt)
{
	const uint8_t *ip = rte_pktmbuf_mtod(pkt, const uint8_t *);
	enum drop_reason bad = header_check(lc, pkt, ip);
	uint32_t total, len;

	if (unlikely(bad != DROP_COUNT))
		return gone(lc, pkt, bad);
	total = load_be16(ip + IP4_TOTAL);
	len = rte_pktmbuf_pkt_len(pkt);
	if (len > total && rte_pktmbuf_trim(pkt, (uint16_t)(len - total)))
		return gone(lc, pkt, DROP_ip_malformed); /* more padding than a last segment */
	return ip4_sort(lc, pkt, ip);
}

/* 1 = ours, 0 = a group's or everybody's, -1 = another station's. */
static int station(const struct lcore_port *port, const uint8_t *eth)
{
	if (station_word(eth + ETH_DST) == port->mac)
		return 1;
	return eth[ETH_DST] & 1 ? 0 : -1;
}

/* A frame with this tag belongs to the VLAN's port; VLAN 0 is a priority alone. False: to none. */
static bool vlan_enter(struct lcore *lc, struct rte_mbuf *pkt, uint16_t tci)
{
	struct pkt_meta *meta = pkt_meta(pkt);
	const uint8_t *port = lc->port[meta->port].vlan_port;
	uint16_t vlan = tci & VLAN_MASK;

	if (vlan == 0)
		return true;
	if (!port || port[vlan] == UINT8_MAX)
		return false;
	meta->port = port[vlan];
	lc->vlan[meta->port].rx_packets++;
	lc->vlan[meta->port].rx_bytes += rte_pktmbuf_pkt_len(pkt);
	return true;
}

/* A tag that the device took off the frame, or left in it: then it is taken out here. One is enough. */
static __rte_noinline enum verdict tagged_classify(struct lcore *lc, struct rte_mbuf *pkt)
{
	bool off = pkt->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED;
	uint8_t *eth = rte_pktmbuf_mtod(pkt, uint8_t *);
	const uint8_t *type = eth + ETH_TYPE + (off ? 0 : VLAN_LEN);

	if (type + 2 > eth + rte_pktmbuf_data_len(pkt))
		return gone(lc, pkt, DROP_eth_short);
	if (load_be16(type) == ETHERTYPE_VLAN ||
	    !vlan_enter(lc, pkt, off ? pkt->vlan_tci : load_be16(eth + ETH_TYPE + 2)))
		return gone(lc, pkt, DROP_vlan_unknown);
	pkt->ol_flags &= ~(RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED);
	if (!off) {
		memmove(eth + VLAN_LEN, eth, ETH_TYPE);
		rte_pktmbuf_adj(pkt, VLAN_LEN);
	}
	return V_AGAIN;
}

static __rte_noinline enum verdict frame_classify(struct lcore *lc, struct rte_mbuf *pkt)
{
	const uint8_t *eth = rte_pktmbuf_mtod(pkt, const uint8_t *);
	struct pkt_meta *meta = pkt_meta(pkt);
	int to_us;

	if (rte_pktmbuf_data_len(pkt) < ETH_LEN)
		return gone(lc, pkt, DROP_eth_short);
	if (unlikely(pkt->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED))
		return tagged_classify(lc, pkt);
	to_us = station(&lc->port[meta->port], eth);
	if (to_us < 0)
		return gone(lc, pkt, DROP_eth_dst);
	switch (load_be16(eth + ETH_TYPE)) {
	case ETHERTYPE_IP4:
		/* RFC 1122 section 3.3.6: a unicast packet does not come in a broadcast frame */
		if (to_us == 0)
			return gone(lc, pkt, DROP_eth_dst);
		rte_pktmbuf_adj(pkt, ETH_LEN);
		return ip4_classify(lc, pkt);
	case ETHERTYPE_ARP:
		meta->flags = PKT_FRAME;
		meta->l3_off = ETH_LEN;
		return V_HOST;
	case ETHERTYPE_IP6:
		rte_pktmbuf_adj(pkt, ETH_LEN);
		return ip6_classify(lc, pkt, to_us);
	case ETHERTYPE_VLAN:
		return tagged_classify(lc, pkt);
	default:
		return gone(lc, pkt, DROP_eth_type);
	}
}

/* Nobody else may see what is written to any of the segments. */
static inline bool is_private(const struct rte_mbuf *pkt)
{
	if (rte_mbuf_refcnt_read(pkt) != 1 || RTE_MBUF_CLONED(pkt))
		return false;
	if (likely(pkt->nb_segs == 1)) /* `next` lies in another cache line */
		return true;
	for (const struct rte_mbuf *seg = pkt->next; seg; seg = seg->next)
		if (rte_mbuf_refcnt_read(seg) != 1 || RTE_MBUF_CLONED(seg))
			return false;
	return true;
}

/* A packet whose bytes others may see too (a clone, or one that is cloned) is never written to. */
static struct rte_mbuf *make_private(struct lcore *lc, struct rte_mbuf *pkt)
{
	struct rte_mbuf *copy;

	if (likely(is_private(pkt)))
		return pkt;
	copy = rte_pktmbuf_copy(pkt, lc->pool, 0, UINT32_MAX);
	if (copy)
		*pkt_meta(copy) = *pkt_meta(pkt);
	else
		lc->count.drop[DROP_no_mbuf]++;
	rte_pktmbuf_free(pkt);
	return copy;
}

/* To our station, no tag, IPv4 without options. */
static inline bool is_plain4(const struct lcore_port *port, const uint8_t *eth)
{
	uint32_t what;

	memcpy(&what, eth + ETH_TYPE, sizeof(what));
	return station_word(eth + ETH_DST) == port->mac &&
	       (what & rte_cpu_to_be_32(0xffffff00)) ==
		       rte_cpu_to_be_32(ETHERTYPE_IP4 << 16 | 0x4500);
}

/* Nearly all frames: plain4, one piece, with nothing wrong about the header. V_AGAIN: it is not so, and nothing has
 * been written. */
static inline enum verdict plain4_classify(struct lcore *lc, struct rte_mbuf *pkt)
{
	const uint8_t *eth = rte_pktmbuf_mtod(pkt, const uint8_t *), *ip = eth + ETH_LEN;
	struct pkt_meta *meta = pkt_meta(pkt);
	uint16_t total;

	if (unlikely(pkt->data_len < ETH_LEN + IP4_LEN || pkt->nb_segs != 1 ||
		     pkt->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED ||
		     !is_plain4(&lc->port[meta->port], eth)))
		return V_AGAIN;
	total = load_be16(ip + IP4_TOTAL);
	if (unlikely(total < IP4_LEN || total > pkt->data_len - ETH_LEN ||
		     (!sum_known(pkt) && !ip4_sum_ok(ip)) ||
		     source_is_martian(lc, ip + IP4_SRC) || is_martian(ip + IP4_DST)))
		return V_AGAIN;
	pkt->data_off += ETH_LEN;
	pkt->data_len = total;
	pkt->pkt_len = total;
	if (!local_set_has(&lc->local, load_be32(ip + IP4_DST)))
		return likely(source_allowed(lc, meta->port, ip)) ? V_TRANSIT
								  : gone(lc, pkt, DROP_source_check);
	if (unlikely(ip[IP4_PROTO] != PROTO_ESP || ip4_is_fragment(ip)))
		return ip4_sort(lc, pkt, ip);
	meta->l4_off = IP4_LEN;
	return V_ESP;
}

uint16_t stage_classify(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n, struct rte_mbuf **esp,
			uint16_t *n_esp, struct rte_mbuf **host, uint16_t *n_host)
{
	uint16_t kept = 0;

	*n_esp = *n_host = 0;
	for (uint16_t i = 0; i < n && i < 4; i++)
		rte_prefetch0(rte_pktmbuf_mtod(pkts[i], void *));
	for (uint16_t i = 0; i < n; i++) {
		enum verdict verdict;
		struct rte_mbuf *pkt;

		if (i + 4 < n)
			rte_prefetch0(rte_pktmbuf_mtod(pkts[i + 4], void *));
		pkt = make_private(lc, pkts[i]);
		if (!pkt)
			continue;
		*pkt_meta(pkt) = (struct pkt_meta){ .port = pkt_meta(pkt)->port };
		verdict = plain4_classify(lc, pkt);
		while (unlikely(verdict == V_AGAIN))
			verdict = frame_classify(lc, pkt);
		switch (verdict) {
		case V_TRANSIT:
			pkts[kept++] = pkt;
			break;
		case V_ESP:
			esp[(*n_esp)++] = pkt;
			break;
		case V_HOST:
			host[(*n_host)++] = pkt;
			break;
		case V_AGAIN:
		case V_GONE:
			break;
		}
	}
	return kept;
}

void stage_reassemble(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n, struct rte_mbuf **esp,
		      uint16_t *n_esp, struct rte_mbuf **host, uint16_t *n_host)
{
	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *pkt = pkts[i];
		const uint8_t *ip;

		pkt_meta(pkt)->flags &= (uint8_t)~PKT_FRAGMENT;
		pkt = reassembly_add(lc, pkt);
		if (!pkt)
			continue;
		if (pkt_meta(pkt)->flags & PKT_FROM_ESP) {
			host[(*n_host)++] = pkt;
			continue;
		}
		ip = rte_pktmbuf_mtod(pkt, const uint8_t *);
		switch (ip_version(ip) == 4 ? ip4_sort(lc, pkt, ip) : ip6_sort(lc, pkt, ip)) {
		case V_ESP:
			esp[(*n_esp)++] = pkt;
			break;
		case V_HOST:
			host[(*n_host)++] = pkt;
			break;
		case V_TRANSIT: /* only what is for us comes here, and addresses do not change */
			pkt_drop(lc, pkt, DROP_ip_not_ours);
			break;
		case V_AGAIN:
		case V_GONE:
			break;
		}
	}
}
