/* Groups: Multicast Listener Discovery (RFC 3810, and RFC 2710 towards queriers that know no other), so
 * that switches which listen to it pass on the solicitations for our addresses, and the devices' own
 * filters. The only groups that we are in are those of our addresses (RFC 4291 section 2.7.1); in
 * that of all nodes everybody is. */
#include <rte_ethdev.h>
#include <rte_random.h>

#include "dp.h"
#include "log.h"

enum { MLD_REPORT_V1 = 131, MLD_REPORT = 143 };
/* Offsets behind the ICMPv6 header's first four bytes, and lengths. */
enum { MLD_DELAY = 4, MLD_GROUP = 8, MLD_LEN = 24, MLD_LEN_V2 = 28 };
enum { REPORT_COUNT = 6, REPORT_LEN = 8, RECORD_GROUP = 4, RECORD_LEN = 20 };
enum { RECORD_IS_EXCLUDE = 2, RECORD_TO_EXCLUDE = 4 }; /* excluding no source: everything */

#define ALERT_LEN  8 /* hop-by-hop options: router alert, RFC 2711, and padding */
#define GROUPS_MAX (DP_MAX_PORT_ADDR + 1)
#define AGAIN_MS   1000 /* RFC 3810 section 9.11: the first reports are sent twice */
#define MACS_MAX   (DP_MAX_PORTS * GROUPS_MAX + 1)

struct ip_addr ip6_solicited_node(const struct ip_addr *addr)
{
	struct ip_addr group = { IP_V6, { 0xff, 2, [11] = 1, 0xff } };

	memcpy(group.b + 13, addr->b + 13, 3);
	return group;
}

/* The groups of a port, each once. */
static unsigned groups_of(const struct port *port, struct ip_addr group[GROUPS_MAX])
{
	unsigned n = 0, k;

	for (unsigned i = 0; i < port->n_addrs; i++) {
		if (port->addr[i].addr.family != IP_V6)
			continue;
		group[n] = ip6_solicited_node(&port->addr[i].addr);
		for (k = 0; k < n && !ip_addr_equal(&group[k], &group[n]); k++)
			;
		n += k == n;
	}
	return n;
}

static const struct ip_addr *link_address(const struct port *port)
{
	for (unsigned i = 0; i < port->n_addrs; i++)
		if (port->addr[i].addr.family == IP_V6 && ip6_is_link_local(port->addr[i].addr.b))
			return &port->addr[i].addr;
	return NULL;
}

/* ------------------------------------------------------------------------- reports ---------- */

/* An ICMPv6 message of len bytes, whose checksum is still zero, to a group. */
static void message_send(struct dp *dp, uint8_t port, const struct ip_addr *dst, const uint8_t *icmp,
			 unsigned len)
{
	static const uint8_t alert[ALERT_LEN] = { PROTO_ICMP6, 0, 5, 2, 0, 0, 1, 0 };
	const struct ip_addr *src = link_address(&dp->port[port]);
	struct rte_mbuf *pkt = src ? rte_pktmbuf_alloc(dp->own_pool) : NULL;
	uint8_t *eth = NULL, *ip, *to;
	uint16_t sum;

	if (pkt)
		eth = (uint8_t *)rte_pktmbuf_append(pkt,
						    (uint16_t)(ETH_LEN + IP6_LEN + ALERT_LEN + len));
	if (!eth) /* told again when somebody asks */
		return;
	eth[ETH_DST] = eth[ETH_DST + 1] = 0x33; /* RFC 2464 section 7 */
	memcpy(eth + ETH_DST + 2, dst->b + 12, 4);
	memcpy(eth + ETH_SRC, dp->port[port].mac, 6);
	store_be16(eth + ETH_TYPE, ETHERTYPE_IP6);
	ip = eth + ETH_LEN;
	ip6_header_write(ip, ALERT_LEN + len, PROTO_HOPOPTS, src->b, dst->b);
	ip[IP6_HOPS] = 1;
	memcpy(ip + IP6_LEN, alert, ALERT_LEN);
	to = ip + IP6_LEN + ALERT_LEN;
	memcpy(to, icmp, len);
	sum = (uint16_t)~ip6_l4_sum(ip, PROTO_ICMP6, to, len);
	memcpy(to + ICMP_SUM, &sum, 2);
	*pkt_meta(pkt) = (struct pkt_meta){ .port = port, .flags = PKT_FRAME };
	host_inject(&dp->worker[0], pkt);
}

static void report(struct dp *dp, uint8_t port, uint8_t record)
{
	static const struct ip_addr routers = { IP_V6, { 0xff, 2, [15] = 0x16 } };
	uint8_t icmp[REPORT_LEN + GROUPS_MAX * RECORD_LEN] = { MLD_REPORT };
	struct ip_addr group[GROUPS_MAX];
	unsigned n = groups_of(&dp->port[port], group);

	for (unsigned i = 0; i < n; i++) {
		icmp[REPORT_LEN + i * RECORD_LEN] = record;
		memcpy(icmp + REPORT_LEN + i * RECORD_LEN + RECORD_GROUP, group[i].b, 16);
	}
	store_be16(icmp + REPORT_COUNT, (uint16_t)n);
	if (n)
		message_send(dp, port, &routers, icmp, REPORT_LEN + n * RECORD_LEN);
}

/* RFC 2710 section 3: a message for each group. */
static void report_v1(struct dp *dp, uint8_t port)
{
	struct ip_addr group[GROUPS_MAX];
	unsigned n = groups_of(&dp->port[port], group);

	for (unsigned i = 0; i < n; i++) {
		uint8_t icmp[MLD_LEN] = { MLD_REPORT_V1 };

		memcpy(icmp + MLD_GROUP, group[i].b, 16);
		message_send(dp, port, &group[i], icmp, sizeof(icmp));
	}
}

void mld_tick(struct dp *dp, uint64_t now_ms)
{
	for (uint8_t i = 0; i < dp->n_ports; i++) {
		struct port *port = &dp->port[i];

		if (!port->mld_due_ms || now_ms < port->mld_due_ms)
			continue;
		port->mld_due_ms = 0;
		if (port->mld_old)
			report_v1(dp, i);
		else
			report(dp, i, port->mld_said < 2 ? RECORD_TO_EXCLUDE : RECORD_IS_EXCLUDE);
		if (port->mld_said < 2 && ++port->mld_said < 2)
			port->mld_due_ms = now_ms + AGAIN_MS;
	}
}

/* ------------------------------------------------------------------------- queries ---------- */

/* RFC 3810 section 5.1.3: above 32767 it is a small floating point number. */
static uint32_t delay_read(uint16_t code)
{
	return code < 32768 ? code : (uint32_t)((code & 0xfff) | 0x1000) << ((code >> 12 & 7) + 3);
}

static bool ours(const struct port *port, const uint8_t *group)
{
	struct ip_addr mine[GROUPS_MAX];
	unsigned n = groups_of(port, mine);

	for (unsigned i = 0; i < n; i++)
		if (memcmp(mine[i].b, group, 16) == 0)
			return true;
	return false;
}

/* RFC 3810 sections 5.1.14 and 6.2: from the link, hop limit 1, with a router alert option. */
static const uint8_t *query_read(const uint8_t *ip, unsigned len, unsigned *icmp_len)
{
	struct ip6_chain chain;

	if (len < IP6_LEN || ip6_total(ip) != len || ip[IP6_HOPS] != 1 ||
	    !ip6_is_link_local(ip + IP6_SRC) || ip[IP6_NEXT] != PROTO_HOPOPTS ||
	    ip6_chain_read(ip, len, &chain) != DROP_COUNT || chain.proto != PROTO_ICMP6 || chain.frag_at)
		return NULL;
	*icmp_len = len - chain.l4_off;
	if (*icmp_len < MLD_LEN || ip[chain.l4_off + ICMP_TYPE] != MLD_QUERY ||
	    ip6_l4_sum(ip, PROTO_ICMP6, ip + chain.l4_off, *icmp_len) != 0xffff)
		return NULL;
	return ip + chain.l4_off;
}

void mld_input(struct dp *dp, struct worker *w, struct rte_mbuf *pkt)
{
	const uint8_t *ip = rte_pktmbuf_mtod(pkt, const uint8_t *), *icmp = NULL;
	struct port *port = &dp->port[pkt_meta(pkt)->port];
	uint64_t due = dp_now_ms();
	unsigned len = 0;

	if (pkt->nb_segs == 1)
		icmp = query_read(ip, rte_pktmbuf_data_len(pkt), &len);
	/* between the two lengths it is neither, RFC 3810 section 8.1 */
	if (!icmp || (len > MLD_LEN && len < MLD_LEN_V2)) {
		host_drop(w, pkt, DROP_nd_malformed);
		return;
	}
	if (ip6_is_unspecified(icmp + MLD_GROUP) || ours(port, icmp + MLD_GROUP)) {
		port->mld_old = len == MLD_LEN;
		due += rte_rand_max(delay_read(load_be16(icmp + MLD_DELAY)) + 1);
		if (!port->mld_due_ms || due < port->mld_due_ms)
			port->mld_due_ms = due;
	}
	rte_pktmbuf_free(pkt);
}

/* ------------------------------------------------------------------------- devices ---------- */

static unsigned macs_of(const struct dp *dp, uint16_t dev, struct rte_ether_addr mac[MACS_MAX])
{
	struct ip_addr group[GROUPS_MAX];
	unsigned n = 0, k;

	for (unsigned i = 0; i < dp->n_ports; i++) {
		unsigned groups = dp->port[i].dev == dev ? groups_of(&dp->port[i], group) : 0;
		for (k = 0; k < groups; k++) {
			memset(mac[n].addr_bytes, 0x33, 2);
			memcpy(mac[n++].addr_bytes + 2, group[k].b + 12, 4);
		}
	}
	if (n)
		mac[n++] = (struct rte_ether_addr){ { 0x33, 0x33, 0, 0, 0, 1 } }; /* all nodes */
	return n;
}

void mld_start(struct dp *dp)
{
	struct rte_ether_addr mac[MACS_MAX];

	for (unsigned i = 0; i < dp->n_ports; i++) {
		struct port *port = &dp->port[i];
		unsigned n = port->vlan ? 0 : macs_of(dp, port->dev, mac);

		if (link_address(port))
			port->mld_due_ms = dp_now_ms();
		/* a filter for these, for all groups, or none at all */
		if (n && rte_eth_dev_set_mc_addr_list(port->dev, mac, n) &&
		    rte_eth_allmulticast_enable(port->dev) && rte_eth_promiscuous_enable(port->dev))
			log_warn("port %s: the device may not pass on IPv6 neighbours' solicitations",
				 port->name);
	}
}
