/* ICMP of both families: echo, and why a packet was dropped. RFC 792, RFC 1122, RFC 4443. */
#include <rte_cycles.h>

#include "dp.h"

#define ECHO_PER_SECOND 1000
#define ECHO_BURST      200
#define ICMP_PER_SECOND 100
#define ICMP_BURST      20
#define QUOTE_MAX4      548 /* RFC 1812 section 4.3.2.3: 576 bytes in all */
#define QUOTE_MAX6      (IP6_MTU_MIN - IP6_LEN - ICMP_LEN) /* RFC 4443 section 2.4 (c) */

enum { ICMP_ECHO_REPLY = 0, ICMP_UNREACHABLE = 3, ICMP_ECHO = 8, ICMP_TIME_EXCEEDED = 11 };
enum { ICMP6_UNREACHABLE = 1, ICMP6_TOO_BIG = 2, ICMP6_TIME_EXCEEDED = 3 };
enum { ICMP6_ECHO = 128, ICMP6_ECHO_REPLY = 129, ICMP6_REDIRECT = 137 };
enum { ICMP6_MTU = 4 }; /* offset: 32 bits */

#define TTL 64

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

/* An answer quotes what it answers: after a protected packet only policies that protect let it out,
 * see stage_spd(). */
static uint8_t answer_flags(const struct pkt_meta *question)
{
	return (uint8_t)(PKT_LOCAL_OUT | (question->flags & PKT_FROM_ESP));
}

static struct ip_addr addr6(const uint8_t *b)
{
	struct ip_addr a = { .family = IP_V6 };

	memcpy(a.b, b, 16);
	return a;
}

/* ------------------------------------------------------------------------- echo ------------- */

/* RFC 1122 section 3.2.2.6. The request becomes its own answer. */
static bool echo4(uint8_t *ip, unsigned len)
{
	unsigned ihl = ip4_header_len(ip);
	uint8_t *icmp = ip + ihl, addr[4];
	uint16_t sum = 0;

	if (len < ihl + ICMP_LEN || ip4_is_fragment(ip) || icmp[ICMP_TYPE] != ICMP_ECHO ||
	    icmp[ICMP_CODE] != 0 || sum_fold(sum_add(0, icmp, len - ihl)) != 0xffff)
		return false;
	memcpy(addr, ip + IP4_SRC, 4);
	memcpy(ip + IP4_SRC, ip + IP4_DST, 4);
	memcpy(ip + IP4_DST, addr, 4);
	store_be16(ip + IP4_FRAG, 0);
	ip[IP4_TTL] = TTL;
	ip4_sum_set(ip);
	icmp[ICMP_TYPE] = ICMP_ECHO_REPLY;
	memcpy(icmp + ICMP_SUM, &sum, 2);
	sum = (uint16_t)~sum_fold(sum_add(0, icmp, len - ihl));
	memcpy(icmp + ICMP_SUM, &sum, 2);
	return true;
}

/* RFC 4443 section 4.2. Extension headers are left out of the answer. */
static bool echo6(struct rte_mbuf *pkt)
{
	uint8_t *ip = rte_pktmbuf_mtod(pkt, uint8_t *), *icmp, addr[16];
	unsigned len = rte_pktmbuf_data_len(pkt);
	struct ip6_chain chain;
	uint16_t sum = 0;

	if (len < IP6_LEN || ip6_total(ip) != len || ip6_chain_read(ip, len, &chain) != DROP_COUNT)
		return false;
	icmp = ip + chain.l4_off;
	len -= chain.l4_off;
	if (chain.proto != PROTO_ICMP6 || chain.frag || len < ICMP_LEN ||
	    icmp[ICMP_TYPE] != ICMP6_ECHO || icmp[ICMP_CODE] != 0 ||
	    ip6_l4_sum(ip, PROTO_ICMP6, icmp, len) != 0xffff)
		return false;
	memmove(icmp - IP6_LEN, ip, IP6_LEN);
	ip = (uint8_t *)rte_pktmbuf_adj(pkt, (uint16_t)(chain.l4_off - IP6_LEN));
	memcpy(addr, ip + IP6_SRC, 16);
	memcpy(ip + IP6_SRC, ip + IP6_DST, 16);
	memcpy(ip + IP6_DST, addr, 16);
	store_be16(ip + IP6_PAYLOAD, (uint16_t)len);
	ip[IP6_NEXT] = PROTO_ICMP6;
	ip[IP6_HOPS] = TTL;
	icmp[ICMP_TYPE] = ICMP6_ECHO_REPLY;
	memcpy(icmp + ICMP_SUM, &sum, 2);
	sum = (uint16_t)~ip6_l4_sum(ip, PROTO_ICMP6, icmp, len);
	memcpy(icmp + ICMP_SUM, &sum, 2);
	return true;
}

void icmp_input(struct dp *dp, struct worker *w, struct rte_mbuf *pkt)
{
	const struct pkt_meta question = *pkt_meta(pkt);
	bool four = ip_version(rte_pktmbuf_mtod(pkt, const uint8_t *)) == 4;
	struct ip_addr to;

	if (pkt->nb_segs != 1 ||
	    (four ? !echo4(rte_pktmbuf_mtod(pkt, uint8_t *), rte_pktmbuf_data_len(pkt))
		  : !echo6(pkt))) {
		host_drop(w, pkt, DROP_ip_not_ours);
		return;
	}
	if (!rate_allows(&dp->echo_due, ECHO_PER_SECOND, ECHO_BURST)) {
		host_drop(w, pkt, DROP_punt_policed);
		return;
	}
	*pkt_meta(pkt) = (struct pkt_meta){ .flags = answer_flags(&question) };
	if (!four) {
		to = addr6(rte_pktmbuf_mtod_offset(pkt, const uint8_t *, IP6_DST));
		if (ip6_is_link_local(to.b)) { /* no route leads there: back by the link */
			neigh_send(dp, w, question.port, &to, pkt);
			return;
		}
	}
	host_inject(w, pkt);
}

/* ------------------------------------------------------------------------- errors ----------- */

/* RFC 1122 section 3.2.2: never about an ICMP error or a fragment that is not the first. */
static bool may_answer4(const uint8_t *ip, unsigned len)
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

/* RFC 4443 section 2.4 (e): never about an error or a redirect, nor to or from many or nobody. */
static bool may_answer6(const uint8_t *ip, unsigned len)
{
	struct ip6_chain chain;

	if (len < IP6_LEN || ip6_is_multicast(ip + IP6_DST) || ip6_is_multicast(ip + IP6_SRC) ||
	    ip6_is_unspecified(ip + IP6_SRC) || ip6_is_link_local(ip + IP6_SRC) ||
	    ip6_chain_read(ip, len, &chain) != DROP_COUNT)
		return false;
	if (chain.proto != PROTO_ICMP6)
		return true;
	if (chain.frag & IP6F_OFFSET_MASK || len <= chain.l4_off)
		return false;
	return ip[chain.l4_off] >= ICMP6_ECHO && ip[chain.l4_off] != ICMP6_REDIRECT;
}

/* The address that speaks for us: on the link that the packet came from. What came out of an SA is
 * answered from an address of ours from which the answer goes back through an SA; where we have
 * none (IP_NONE), its sender hears nothing. */
static struct ip_addr error_source(const struct dp *dp, const struct pkt_meta *meta,
				   const struct ip_addr *peer)
{
	const uint8_t proto = peer->family == IP_V4 ? PROTO_ICMP : PROTO_ICMP6;
	struct ip_addr ours = { 0 };

	if (!(meta->flags & PKT_FROM_ESP))
		return port_address(&dp->port[meta->port], peer);
	for (unsigned i = 0; i < dp->n_ports; i++)
		for (unsigned j = 0; j < dp->port[i].n_addrs; j++) {
			ours = dp->port[i].addr[j].addr;
			if (ours.family == peer->family &&
			    spd_protects(dp->spd, proto, &ours, peer))
				return ours;
		}
	return (struct ip_addr){ 0 };
}

static void error4_write(struct dp *dp, uint8_t *ip, const uint8_t *old, unsigned quote,
			 const struct ip_addr *src, uint32_t reason)
{
	uint8_t *icmp = ip + IP4_LEN;
	uint16_t sum;

	ip4_header_write(dp, ip, IP4_LEN + ICMP_LEN + quote, PROTO_ICMP, ip_addr_to_v4(src),
			 load_be32(old + IP4_SRC));
	memset(icmp, 0, ICMP_LEN);
	icmp[ICMP_TYPE] = ICMP_UNREACHABLE;
	switch (reason >> 16) {
	case DROP_too_big:
		icmp[ICMP_CODE] = 4;
		store_be16(icmp + ICMP_MTU, (uint16_t)reason); /* RFC 1191 section 4 */
		break;
	case DROP_ip_ttl:
		icmp[ICMP_TYPE] = ICMP_TIME_EXCEEDED;
		break;
	case DROP_no_neighbour: /* host unreachable; otherwise the network */
		icmp[ICMP_CODE] = 1;
		break;
	}
	memcpy(icmp + ICMP_LEN, old, quote);
	sum = (uint16_t)~sum_fold(sum_add(0, icmp, ICMP_LEN + quote));
	memcpy(icmp + ICMP_SUM, &sum, 2);
}

static void error6_write(uint8_t *ip, const uint8_t *old, unsigned quote, const struct ip_addr *src,
			 uint32_t reason)
{
	uint8_t *icmp = ip + IP6_LEN;
	uint16_t sum;

	ip6_header_write(ip, ICMP_LEN + quote, PROTO_ICMP6, src->b, old + IP6_SRC);
	memset(icmp, 0, ICMP_LEN);
	icmp[ICMP_TYPE] = ICMP6_UNREACHABLE;
	switch (reason >> 16) {
	case DROP_too_big:
		icmp[ICMP_TYPE] = ICMP6_TOO_BIG;
		store_be32(icmp + ICMP6_MTU, (uint16_t)reason);
		break;
	case DROP_ip_ttl:
		icmp[ICMP_TYPE] = ICMP6_TIME_EXCEEDED;
		break;
	case DROP_no_neighbour: /* address unreachable; otherwise: no route */
		icmp[ICMP_CODE] = 3;
		break;
	}
	memcpy(icmp + ICMP_LEN, old, quote);
	sum = (uint16_t)~ip6_l4_sum(ip, PROTO_ICMP6, icmp, ICMP_LEN + quote);
	memcpy(icmp + ICMP_SUM, &sum, 2);
}

void icmp_error(struct dp *dp, struct worker *w, struct rte_mbuf *pkt)
{
	const uint8_t *old = rte_pktmbuf_mtod(pkt, const uint8_t *);
	const struct pkt_meta *meta = pkt_meta(pkt);
	unsigned len = rte_pktmbuf_data_len(pkt), head, quote;
	bool four = ip_version(old) == 4;
	struct rte_mbuf *out = NULL;
	struct ip_addr peer, src;
	uint8_t *ip = NULL;

	if (four ? !may_answer4(old, len) : !may_answer6(old, len))
		goto done;
	peer = four ? ip_addr_v4(load_be32(old + IP4_SRC)) : addr6(old + IP6_SRC);
	src = error_source(dp, meta, &peer);
	if (src.family != peer.family || !rate_allows(&dp->icmp_due, ICMP_PER_SECOND, ICMP_BURST))
		goto done;
	head = (four ? IP4_LEN : IP6_LEN) + ICMP_LEN;
	quote = RTE_MIN(len, (unsigned)(four ? QUOTE_MAX4 : QUOTE_MAX6));
	out = rte_pktmbuf_alloc(dp->own_pool);
	if (out)
		ip = (uint8_t *)rte_pktmbuf_append(out, (uint16_t)(head + quote));
	if (!ip)
		goto done;
	if (four)
		error4_write(dp, ip, old, quote, &src, meta->slot);
	else
		error6_write(ip, old, quote, &src, meta->slot);
	*pkt_meta(out) = (struct pkt_meta){ .flags = answer_flags(meta) };
	host_inject(w, out);
	out = NULL;
done:
	rte_pktmbuf_free(out);
	rte_pktmbuf_free(pkt);
}
