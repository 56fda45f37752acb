/* Neighbour Discovery, RFC 4861: what ARP does for IPv4. Router discovery, redirects and duplicate
 * address detection are not for this gateway: its addresses and routes are configured. */
#include "dp.h"

enum { OPT_SOURCE = 1, OPT_TARGET = 2 };
enum { FLAG_ROUTER = 0x80, FLAG_SOLICITED = 0x40, FLAG_OVERRIDE = 0x20 };

/* Offsets after the IPv6 header. */
enum { ND_FLAGS = 4, ND_TARGET = 8, ND_LEN = 24, ND_OPTION = 24, OPTION_LEN = 8 };

static const struct ip_addr all_nodes = { IP_V6, { 0xff, 2, [15] = 1 } };

/* ------------------------------------------------------------------------- sending ---------- */

struct message {
	uint8_t port, type, flags, option;
	struct ip_addr src, dst, target;
	const uint8_t *to; /* station; NULL: that of the group dst */
};

static void message_send(struct dp *dp, struct worker *w, const struct message *m)
{
	const unsigned len = ND_LEN + OPTION_LEN;
	struct rte_mbuf *pkt = rte_pktmbuf_alloc(dp->own_pool);
	uint8_t *eth = NULL, *ip, *nd;
	uint16_t sum;

	if (pkt)
		eth = (uint8_t *)rte_pktmbuf_append(pkt, (uint16_t)(ETH_LEN + IP6_LEN + len));
	if (!eth) /* asked again later */
		return;
	memset(eth, 0, ETH_LEN + IP6_LEN + len);
	ip = eth + ETH_LEN;
	nd = ip + IP6_LEN;
	eth[ETH_DST] = eth[ETH_DST + 1] = 0x33; /* RFC 2464 section 7 */
	memcpy(eth + ETH_DST + 2, m->dst.b + 12, 4);
	if (m->to)
		memcpy(eth + ETH_DST, m->to, 6);
	memcpy(eth + ETH_SRC, dp->port[m->port].mac, 6);
	store_be16(eth + ETH_TYPE, ETHERTYPE_IP6);
	ip[IP6_VTF] = 0x60;
	store_be16(ip + IP6_PAYLOAD, (uint16_t)len);
	ip[IP6_NEXT] = PROTO_ICMP6;
	ip[IP6_HOPS] = ND_HOPS;
	memcpy(ip + IP6_SRC, m->src.b, 16);
	memcpy(ip + IP6_DST, m->dst.b, 16);
	nd[ICMP_TYPE] = m->type;
	nd[ND_FLAGS] = m->flags;
	memcpy(nd + ND_TARGET, m->target.b, 16);
	nd[ND_OPTION] = m->option;
	nd[ND_OPTION + 1] = 1;
	memcpy(nd + ND_OPTION + 2, dp->port[m->port].mac, 6);
	sum = (uint16_t)~ip6_l4_sum(ip, PROTO_ICMP6, nd, len);
	memcpy(nd + ICMP_SUM, &sum, 2);
	*pkt_meta(pkt) = (struct pkt_meta){ .port = m->port, .flags = PKT_FRAME };
	host_inject(w, pkt);
}

void nd_ask(struct dp *dp, uint8_t port, const struct ip_addr *addr, const uint8_t *to)
{
	struct message m = { .port = port,
			     .type = ND_SOLICIT,
			     .option = OPT_SOURCE,
			     .src = port_address(&dp->port[port], addr),
			     .dst = to ? *addr : ip6_solicited_node(addr),
			     .target = *addr,
			     .to = to };

	if (m.src.family == IP_V6) /* otherwise the port does not speak IPv6 */
		message_send(dp, &dp->worker[0], &m);
}

void nd_announce(struct dp *dp)
{
	for (uint8_t i = 0; i < dp->n_ports; i++)
		for (unsigned j = 0; j < dp->port[i].n_addrs; j++) {
			const struct ip_addr *addr = &dp->port[i].addr[j].addr;
			struct message m = { .port = i,
					     .type = ND_ADVERT,
					     .flags = FLAG_ROUTER | FLAG_OVERRIDE,
					     .option = OPT_TARGET,
					     .src = *addr,
					     .dst = all_nodes,
					     .target = *addr };
			if (addr->family == IP_V6)
				message_send(dp, &dp->worker[0], &m);
		}
}

/* ------------------------------------------------------------------------- receiving -------- */

struct received {
	const uint8_t *nd; /* the ICMP header */
	struct ip_addr src, dst, target;
	const uint8_t *source, *station; /* options: link-layer addresses, or NULL */
	bool options_sound;
};

static void options_read(struct received *r, unsigned len)
{
	unsigned at = ND_OPTION, size;

	for (; at + 2 <= len; at += size) {
		size = r->nd[at + 1] * 8u;
		if (size == 0 || at + size > len)
			return;
		/* a group is nobody's station */
		if (r->nd[at] == OPT_SOURCE && size == 8 && !(r->nd[at + 2] & 1))
			r->source = r->nd + at + 2;
		if (r->nd[at] == OPT_TARGET && size == 8 && !(r->nd[at + 2] & 1))
			r->station = r->nd + at + 2;
	}
	r->options_sound = at == len;
}

/* Sections 7.1.1 and 7.1.2, and RFC 6980: never in fragments. */
static bool sound(const uint8_t *ip, unsigned len, struct received *r)
{
	struct ip6_chain chain;
	unsigned l4_len;

	if (len < IP6_LEN || ip6_total(ip) != len || ip[IP6_HOPS] != ND_HOPS ||
	    ip6_chain_read(ip, len, &chain) != DROP_COUNT || chain.proto != PROTO_ICMP6 ||
	    chain.frag_at)
		return false;
	l4_len = len - chain.l4_off;
	r->nd = ip + chain.l4_off;
	if (l4_len < ND_LEN || r->nd[ICMP_CODE] != 0 ||
	    ip6_l4_sum(ip, PROTO_ICMP6, r->nd, l4_len) != 0xffff)
		return false;
	r->src.family = r->dst.family = r->target.family = IP_V6;
	memcpy(r->src.b, ip + IP6_SRC, 16);
	memcpy(r->dst.b, ip + IP6_DST, 16);
	memcpy(r->target.b, r->nd + ND_TARGET, 16);
	options_read(r, l4_len);
	return r->options_sound && !ip6_is_multicast(r->target.b) &&
	       !ip6_is_unspecified(r->target.b);
}

static bool port_has(const struct port *port, const struct ip_addr *addr)
{
	for (unsigned i = 0; i < port->n_addrs; i++)
		if (ip_addr_equal(&port->addr[i].addr, addr))
			return true;
	return false;
}

static bool solicit_input(struct dp *dp, struct worker *w, uint8_t port, const struct received *r)
{
	struct message answer = { .port = port,
				  .type = ND_ADVERT,
				  .flags = FLAG_ROUTER | FLAG_SOLICITED | FLAG_OVERRIDE,
				  .option = OPT_TARGET,
				  .src = r->target,
				  .dst = r->src,
				  .target = r->target,
				  .to = r->source };
	bool probe = ip6_is_unspecified(r->src.b); /* somebody wants the address for himself */
	struct ip_addr group = ip6_solicited_node(&r->target), ours;
	bool for_us = port_has(&dp->port[port], &r->target);

	if (probe && (r->source || !ip_addr_equal(&r->dst, &group)))
		return false;
	if (!probe && r->source && !is_ours(dp, port, &r->src))
		neigh_claim(dp, port, &r->src, r->source,
			    for_us && port_on_link(&dp->port[port], &r->src, &ours));
	if (!for_us)
		return true;
	if (probe) {
		answer.flags = FLAG_ROUTER | FLAG_OVERRIDE;
		answer.dst = all_nodes;
	} else if (!r->source) { /* he knows us; do we know him? */
		answer.to = neigh_station(dp, port, &r->src);
		if (!answer.to)
			return true;
	}
	message_send(dp, w, &answer);
	return true;
}

static bool advert_input(struct dp *dp, uint8_t port, const struct received *r)
{
	uint8_t flags = r->nd[ND_FLAGS];

	if (ip6_is_multicast(r->dst.b) && (flags & FLAG_SOLICITED))
		return false;
	if (!is_ours(dp, port, &r->target))
		neigh_advert(dp, port, &r->target, r->station, flags & FLAG_SOLICITED,
			     flags & FLAG_OVERRIDE);
	return true;
}

void nd_input(struct dp *dp, struct worker *w, struct rte_mbuf *pkt)
{
	const uint8_t *ip = rte_pktmbuf_mtod(pkt, const uint8_t *);
	uint8_t port = pkt_meta(pkt)->port;
	enum drop_reason why = DROP_COUNT;
	struct received r = { 0 };

	if (pkt->nb_segs != 1 || !sound(ip, rte_pktmbuf_data_len(pkt), &r) ||
	    ip6_is_multicast(r.src.b))
		why = DROP_nd_malformed;
	else if (r.nd[ICMP_TYPE] == ND_SOLICIT && !solicit_input(dp, w, port, &r))
		why = DROP_nd_malformed;
	else if (r.nd[ICMP_TYPE] == ND_ADVERT && !advert_input(dp, port, &r))
		why = DROP_nd_malformed;
	else if (r.nd[ICMP_TYPE] != ND_SOLICIT && r.nd[ICMP_TYPE] != ND_ADVERT)
		why = DROP_ip_not_ours;
	if (why != DROP_COUNT)
		host_drop(w, pkt, why);
	else
		rte_pktmbuf_free(pkt);
}
