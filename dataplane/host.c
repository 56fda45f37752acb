/* Being a host: what workers send up (ARP, ICMP, IKE, packets without a neighbour, packets whose
 * sender is to hear why they were dropped), and what goes down again. Control thread. */
#include <errno.h>
#include <rte_cycles.h>

#include "dp.h"

#define ECHO_PER_SECOND 1000
#define ECHO_BURST      200
#define ICMP_PER_SECOND 100
#define ICMP_BURST      20
#define ICMP_QUOTE_MAX  548 /* RFC 1812 section 4.3.2.3: 576 bytes in all */

enum { ICMP_ECHO_REPLY = 0, ICMP_UNREACHABLE = 3, ICMP_ECHO = 8, ICMP_TIME_EXCEEDED = 11 };
#define ICMP_CODE_FRAG_NEEDED 4

void host_inject(struct worker *w, struct rte_mbuf *pkt)
{
	if (rte_ring_sp_enqueue(w->lc->inject, pkt))
		host_drop(w, pkt, DROP_tx_full);
}

/* A packet may come early by burst intervals, as in lcore_punt(). */
static bool rate_allows(uint64_t *due, unsigned per_second, unsigned burst)
{
	uint64_t interval = rte_get_tsc_hz() / per_second, now = rte_rdtsc();
	uint64_t at = RTE_MAX(*due, now);

	if (at > now + interval * burst)
		return false;
	*due = at + interval;
	return true;
}

static uint16_t l4_sum(const uint8_t *ip, const uint8_t *l4, unsigned len)
{
	uint8_t tail[4] = { 0, ip[IP4_PROTO] };

	store_be16(tail + 2, (uint16_t)len);
	return sum_fold(sum_add(sum_add(sum_add(0, ip + IP4_SRC, 8), tail, 4), l4, len));
}

static void ip4_header_write(struct dp *dp, uint8_t *ip, unsigned total, uint8_t proto,
			     uint32_t src, uint32_t dst)
{
	memset(ip, 0, IP4_LEN);
	ip[IP4_VER_IHL] = 0x45;
	store_be16(ip + IP4_TOTAL, (uint16_t)total);
	store_be16(ip + IP4_ID, ++dp->ip_id);
	ip[IP4_TTL] = 64;
	ip[IP4_PROTO] = proto;
	store_be32(ip + IP4_SRC, src);
	store_be32(ip + IP4_DST, dst);
	ip4_sum_set(ip);
}

/* ------------------------------------------------------------------------- ICMP ------------- */

/* An answer quotes what it answers: after a protected packet only policies that protect let it out,
 * see stage_spd(). */
static uint8_t answer_flags(const struct pkt_meta *question)
{
	return (uint8_t)(PKT_LOCAL_OUT | (question->flags & PKT_FROM_ESP));
}

/* RFC 1122 section 3.2.2.6. The request becomes its own answer. */
static void echo_answer(struct dp *dp, struct worker *w, struct rte_mbuf *pkt)
{
	uint8_t *ip = rte_pktmbuf_mtod(pkt, uint8_t *);
	unsigned ihl = ip4_header_len(ip), len = rte_pktmbuf_data_len(pkt);
	uint8_t *icmp = ip + ihl;
	uint16_t sum = 0;
	uint8_t addr[4];

	if (pkt->nb_segs != 1 || len < ihl + ICMP_LEN || ip4_is_fragment(ip) ||
	    icmp[ICMP_TYPE] != ICMP_ECHO || icmp[ICMP_CODE] != 0 ||
	    sum_fold(sum_add(0, icmp, len - ihl)) != 0xffff) {
		host_drop(w, pkt, DROP_ip_not_ours);
		return;
	}
	if (!rate_allows(&dp->echo_due, ECHO_PER_SECOND, ECHO_BURST)) {
		host_drop(w, pkt, DROP_punt_policed);
		return;
	}
	memcpy(addr, ip + IP4_SRC, 4);
	memcpy(ip + IP4_SRC, ip + IP4_DST, 4);
	memcpy(ip + IP4_DST, addr, 4);
	store_be16(ip + IP4_FRAG, 0);
	ip[IP4_TTL] = 64;
	ip4_sum_set(ip);
	icmp[ICMP_TYPE] = ICMP_ECHO_REPLY;
	memcpy(icmp + ICMP_SUM, &sum, 2);
	sum = (uint16_t)~sum_fold(sum_add(0, icmp, len - ihl));
	memcpy(icmp + ICMP_SUM, &sum, 2);
	*pkt_meta(pkt) = (struct pkt_meta){ .flags = answer_flags(pkt_meta(pkt)) };
	host_inject(w, pkt);
}

/* RFC 1122 section 3.2.2: never about an ICMP error or a fragment that is not the first. */
static bool error_may_answer(const uint8_t *ip, unsigned len)
{
	unsigned ihl = ip4_header_len(ip);
	uint8_t type;

	if (load_be16(ip + IP4_FRAG) & IP4_OFFSET_MASK)
		return false;
	if (ip[IP4_PROTO] != PROTO_ICMP)
		return true;
	if (len < ihl + 1)
		return false;
	type = ip[ihl + ICMP_TYPE];
	return type == ICMP_ECHO || type == ICMP_ECHO_REPLY || type >= 13;
}

static bool icmp_is_protected(const struct dp *dp, uint32_t src, uint32_t dst)
{
	struct spd_key key = { .proto = PROTO_ICMP,
			       .local = rte_cpu_to_be_32(src),
			       .remote = rte_cpu_to_be_32(dst) };
	uint32_t match;

	spd_lookup(dp->spd, &key, &match, 1);
	return match && match != SPD_UNKNOWN && dp->spd->rule[match - 1].action == POLICY_PROTECT;
}

/* The address that speaks for us: on the link that the packet came from. What came out of an SA is
 * answered from an address of ours from which the answer goes back through an SA; where we have
 * none (0), its sender hears nothing. */
static uint32_t error_source(const struct dp *dp, const struct pkt_meta *meta, const uint8_t *ip)
{
	struct ip_addr peer = ip_addr_v4(load_be32(ip + IP4_SRC)), ours;

	if (!(meta->flags & PKT_FROM_ESP)) {
		ours = port_address(&dp->port[meta->port], &peer);
		return ours.family == IP_V4 ? ip_addr_to_v4(&ours) : 0;
	}
	for (unsigned i = 0; i < dp->n_ports; i++)
		for (unsigned j = 0; j < dp->port[i].n_addrs; j++) {
			ours = dp->port[i].addr[j].addr;
			if (ours.family == IP_V4 &&
			    icmp_is_protected(dp, ip_addr_to_v4(&ours), load_be32(ip + IP4_SRC)))
				return ip_addr_to_v4(&ours);
		}
	return 0;
}

/* The drop was counted by the worker. */
static void error_send(struct dp *dp, struct worker *w, struct rte_mbuf *pkt)
{
	const uint8_t *old = rte_pktmbuf_mtod(pkt, const uint8_t *);
	const struct pkt_meta *meta = pkt_meta(pkt);
	unsigned quote = RTE_MIN(rte_pktmbuf_data_len(pkt), (unsigned)ICMP_QUOTE_MAX);
	uint32_t src = error_source(dp, meta, old);
	struct rte_mbuf *out = NULL;
	uint8_t *ip = NULL, *icmp;
	uint16_t sum;

	if (src && error_may_answer(old, rte_pktmbuf_data_len(pkt)) &&
	    rate_allows(&dp->icmp_due, ICMP_PER_SECOND, ICMP_BURST))
		out = rte_pktmbuf_alloc(dp->own_pool);
	if (out)
		ip = (uint8_t *)rte_pktmbuf_append(out, (uint16_t)(IP4_LEN + ICMP_LEN + quote));
	if (!ip)
		goto done;
	ip4_header_write(dp, ip, IP4_LEN + ICMP_LEN + quote, PROTO_ICMP, src,
			 load_be32(old + IP4_SRC));
	icmp = ip + IP4_LEN;
	memset(icmp, 0, ICMP_LEN);
	if (meta->slot >> 16 == DROP_too_big) {
		icmp[ICMP_TYPE] = ICMP_UNREACHABLE;
		icmp[ICMP_CODE] = ICMP_CODE_FRAG_NEEDED;
		store_be16(icmp + ICMP_MTU, (uint16_t)meta->slot); /* RFC 1191 section 4 */
	} else {
		icmp[ICMP_TYPE] = ICMP_TIME_EXCEEDED;
	}
	memcpy(icmp + ICMP_LEN, old, quote);
	sum = (uint16_t)~sum_fold(sum_add(0, icmp, ICMP_LEN + quote));
	memcpy(icmp + ICMP_SUM, &sum, 2);
	*pkt_meta(out) = (struct pkt_meta){ .flags = answer_flags(meta) };
	host_inject(w, out);
done:
	rte_pktmbuf_free(pkt);
}

/* ------------------------------------------------------------------------- IKE -------------- */

/* A whole UDP datagram, checked; the path's addresses and the payload come out of it. */
static bool udp_parse(const uint8_t *ip, unsigned len, struct dp_udp_path *path,
		      const uint8_t **data, size_t *data_len)
{
	unsigned ihl = ip4_header_len(ip), udp_len;
	const uint8_t *udp = ip + ihl;

	if (len < ihl + UDP_LEN)
		return false;
	udp_len = load_be16(udp + UDP_LENGTH);
	if (udp_len < UDP_LEN || udp_len > len - ihl)
		return false;
	if (load_be16(udp + UDP_SUM) != 0 && l4_sum(ip, udp, udp_len) != 0xffff)
		return false;
	*path = (struct dp_udp_path){
		.local = ip_addr_v4(load_be32(ip + IP4_DST)),
		.remote = ip_addr_v4(load_be32(ip + IP4_SRC)),
		.local_port = load_be16(udp + UDP_DPORT),
		.remote_port = load_be16(udp + UDP_SPORT),
	};
	*data = udp + UDP_LEN;
	*data_len = udp_len - UDP_LEN;
	if (path->local_port == PORT_IKE)
		return true;
	if (path->local_port != PORT_IKE_NATT || *data_len < 4 || load_be32(*data) != 0)
		return false;
	*data += 4;
	*data_len -= 4;
	return true;
}

static void ike_input(struct dp *dp, struct worker *w, struct rte_mbuf *pkt)
{
	static uint8_t flat[65536]; /* control thread only */
	struct dp_udp_path path;
	const uint8_t *ip, *data;
	size_t data_len;
	unsigned len;

	len = rte_pktmbuf_pkt_len(pkt);
	ip = len <= sizeof(flat) ? rte_pktmbuf_read(pkt, 0, len, flat) : NULL;
	if (!ip || !udp_parse(ip, len, &path, &data, &data_len)) {
		host_drop(w, pkt, DROP_ip_not_ours);
		return;
	}
	if (dp->cb.on_ike)
		dp->cb.on_ike(dp->cb.ctx, &path, data, data_len);
	rte_pktmbuf_free(pkt);
}

/* Sends a piece of a datagram (everything when it fits) where the routes say. */
static int piece_send(struct dp *dp, const uint8_t *header, const uint8_t *data, unsigned offset,
		      unsigned len, bool more)
{
	struct rte_mbuf *pkt = rte_pktmbuf_alloc(dp->own_pool);
	uint8_t *ip;

	if (!pkt)
		return -ENOBUFS;
	ip = (uint8_t *)rte_pktmbuf_append(pkt, (uint16_t)(IP4_LEN + len));
	if (!ip) {
		rte_pktmbuf_free(pkt);
		return -EMSGSIZE;
	}
	memcpy(ip, header, IP4_LEN);
	store_be16(ip + IP4_TOTAL, (uint16_t)(IP4_LEN + len));
	store_be16(ip + IP4_FRAG, (uint16_t)((more ? IP4_MF : 0) | offset / 8));
	ip4_sum_set(ip);
	memcpy(ip + IP4_LEN, data + offset, len);
	neigh_route(dp, &dp->worker[0], pkt);
	return 0;
}

int dp_send_udp(struct dp *dp, const struct dp_udp_path *path, bool marker, const uint8_t *data,
		size_t len)
{
	static uint8_t udp[65536]; /* control thread only */
	size_t total = UDP_LEN + (marker ? 4 : 0) + len;
	const struct next_hop *hop;
	uint8_t header[IP4_LEN];
	unsigned max, whole;
	uint16_t sum;
	int rc = 0;

	if (path->local.family != IP_V4 || path->remote.family != IP_V4)
		return -EAFNOSUPPORT;
	if (total + IP4_LEN > UINT16_MAX)
		return -EMSGSIZE;
	if (!local_set_has(&dp->local, ip_addr_to_v4(&path->local)))
		return -EADDRNOTAVAIL;
	hop = fib_lookup(dp->fib, ip_addr_to_v4(&path->remote));
	if (hop->kind < HOP_CONNECTED)
		return -ENETUNREACH;
	store_be16(udp + UDP_SPORT, path->local_port);
	store_be16(udp + UDP_DPORT, path->remote_port);
	store_be16(udp + UDP_LENGTH, (uint16_t)total);
	memset(udp + UDP_SUM, 0, 6);
	memcpy(udp + total - len, data, len);
	ip4_header_write(dp, header, IP4_LEN + (unsigned)total, PROTO_UDP,
			 ip_addr_to_v4(&path->local), ip_addr_to_v4(&path->remote));
	sum = (uint16_t)~l4_sum(header, udp, (unsigned)total);
	if (sum == 0)
		sum = 0xffff; /* RFC 768: zero means none */
	memcpy(udp + UDP_SUM, &sum, 2);
	whole = hop->mtu - IP4_LEN;
	max = whole & ~7u; /* of a fragment with others behind it */
	for (unsigned at = 0; at < total && rc == 0; at += max) {
		bool more = total - at > whole;
		rc = piece_send(dp, header, udp, at, more ? max : (unsigned)total - at, more);
		if (!more)
			break;
	}
	return rc;
}

/* ------------------------------------------------------------------------- dispatch --------- */

void host_input(struct dp *dp, struct worker *w, struct rte_mbuf *pkt)
{
	struct pkt_meta *meta = pkt_meta(pkt);

	if (meta->flags & PKT_ERROR)
		error_send(dp, w, pkt);
	else if (meta->flags & PKT_UNRESOLVED)
		neigh_route(dp, w, pkt);
	else if (meta->flags & PKT_FRAME)
		arp_input(dp, w, pkt);
	else if (rte_pktmbuf_mtod(pkt, uint8_t *)[IP4_PROTO] == PROTO_UDP)
		ike_input(dp, w, pkt);
	else if (!pmtu_input(dp, w, pkt))
		echo_answer(dp, w, pkt);
}
