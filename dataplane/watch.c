/* The lcore's part of trace and capture: which packets, and their copies. */
#include "watch.h"

#include <rte_cycles.h>
#include <string.h>

#include "spd.h"
#include "wire.h"

/* ------------------------------------------------------------------------- which ------------ */

static bool address_wanted(const struct watch *w, uint8_t family, const uint8_t *a)
{
	for (unsigned i = 0; i < w->n_addrs; i++)
		if (w->addr[i].family == family &&
		    memcmp(w->addr[i].b, a, family == IP_V4 ? 4 : 16) == 0)
			return true;
	return false;
}

int watch_policy(const struct lcore *lc, const uint8_t *ip, uint32_t len, bool reverse)
{
	struct spd_key key;
	uint32_t match;

	if (len < IP4_LEN || ip[0] >> 4 != 4 || ip4_header_len(ip) > len)
		return -1;
	spd_key_read(lc->spd, &key, ip, len);
	if (reverse)
		spd_key_reverse(&key);
	spd_lookup(lc->spd, &key, &match, 1);
	return match == 0 || match == SPD_UNKNOWN ? -1 : (int)match - 1;
}

static bool policy_wanted(const struct lcore *lc, const uint8_t *ip, uint32_t len, bool reverse)
{
	int i = watch_policy(lc, ip, len, reverse);
	uint32_t id = i < 0 ? 0 : lc->spd->rule[i].id;

	return i >= 0 && lc->watch->policies[id / 64] >> (id % 64) & 1;
}

/* A packet of the peer: between it and us, or for one of its policies. */
static bool ip_wanted(const struct lcore *lc, const uint8_t *ip, uint32_t len)
{
	const struct watch *w = lc->watch;

	if (!w->by_peer)
		return true;
	if (len >= IP4_LEN && ip[0] >> 4 == 4 &&
	    (address_wanted(w, IP_V4, ip + IP4_SRC) || address_wanted(w, IP_V4, ip + IP4_DST)))
		return true;
	if (len >= IP6_LEN && ip[0] >> 4 == 6 &&
	    (address_wanted(w, IP_V6, ip + IP6_SRC) || address_wanted(w, IP_V6, ip + IP6_DST)))
		return true;
	return policy_wanted(lc, ip, len, false) || policy_wanted(lc, ip, len, true);
}

/* Where the IP header of a frame is; 0: there is none. One VLAN tag is seen through. */
static uint32_t frame_ip(const uint8_t *eth, uint32_t len)
{
	uint32_t at = ETH_LEN;
	uint16_t type;

	if (len < ETH_LEN + 4)
		return 0;
	type = load_be16(eth + ETH_TYPE);
	if (type == ETHERTYPE_VLAN) {
		type = load_be16(eth + ETH_TYPE + 4);
		at += 4;
	}
	return (type == ETHERTYPE_IP4 || type == ETHERTYPE_IP6) && at < len ? at : 0;
}

static bool frame_wanted(const struct lcore *lc, struct rte_mbuf *pkt)
{
	const uint8_t *eth = rte_pktmbuf_mtod(pkt, const uint8_t *);
	uint32_t len = rte_pktmbuf_data_len(pkt), ip = frame_ip(eth, len);

	if (!lc->watch->by_peer)
		return true;
	return ip && ip_wanted(lc, eth + ip, len - ip);
}

/* ESP, AH or IKE: what gateways say to each other. */
static bool frame_sealed(struct rte_mbuf *pkt)
{
	const uint8_t *eth = rte_pktmbuf_mtod(pkt, const uint8_t *), *ip;
	uint32_t len = rte_pktmbuf_data_len(pkt), at = frame_ip(eth, len), l4;
	uint16_t from, to;
	uint8_t proto;

	if (!at || at + IP4_LEN > len)
		return false;
	ip = eth + at;
	l4 = ip[0] >> 4 == 4 ? ip4_header_len(ip) : IP6_LEN;
	if (at + l4 + 4 > len)
		return false;
	proto = ip[0] >> 4 == 4 ? ip[IP4_PROTO] : ip[IP6_NEXT];
	if (proto != PROTO_UDP)
		return proto == PROTO_ESP || proto == PROTO_AH;
	from = load_be16(ip + l4 + UDP_SPORT);
	to = load_be16(ip + l4 + UDP_DPORT);
	return from == PORT_IKE || from == PORT_IKE_NATT || to == PORT_IKE || to == PORT_IKE_NATT;
}

/* ------------------------------------------------------------------------- copies ----------- */

/* To control; a packet that cannot be is counted. */
static void pass(struct lcore *lc, struct rte_mbuf *copy, const struct watch_note *note)
{
	struct watch *w = lc->watch;

	if (copy) {
		*(struct watch_note *)rte_mbuf_to_priv(copy) = *note;
		if (rte_ring_mp_enqueue(w->ring, copy) == 0) {
			w->left--;
			return;
		}
		rte_pktmbuf_free(copy);
	}
	w->missed++;
}

/* The port that a received frame belongs to: that of its VLAN, if it is one. */
static uint8_t frame_port(const struct lcore *lc, uint8_t port, struct rte_mbuf *pkt)
{
	const uint8_t *eth = rte_pktmbuf_mtod(pkt, const uint8_t *), *by_vlan = lc->port[port].vlan_port;
	uint16_t vlan = 0;

	if (!by_vlan)
		return port;
	if (pkt->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED)
		vlan = pkt->vlan_tci & VLAN_MASK;
	else if (rte_pktmbuf_data_len(pkt) >= ETH_LEN + VLAN_LEN &&
		 load_be16(eth + ETH_TYPE) == ETHERTYPE_VLAN)
		vlan = load_be16(eth + ETH_TYPE + 2) & VLAN_MASK;
	return vlan && by_vlan[vlan] != UINT8_MAX ? by_vlan[vlan] : port;
}

/* The tag that a device took off or will put on. */
static struct rte_mbuf *tag_show(const struct rte_mbuf *pkt, struct rte_mbuf *copy)
{
	uint8_t *eth;

	if (!copy || !(pkt->ol_flags & (RTE_MBUF_F_RX_VLAN_STRIPPED | RTE_MBUF_F_TX_VLAN)) ||
	    rte_pktmbuf_data_len(copy) < ETH_LEN)
		return copy;
	eth = (uint8_t *)rte_pktmbuf_prepend(copy, VLAN_LEN);
	if (!eth)
		return copy;
	memmove(eth, eth + VLAN_LEN, ETH_TYPE);
	store_be16(eth + ETH_TYPE, ETHERTYPE_VLAN);
	store_be16(eth + ETH_TYPE + 2, pkt->vlan_tci);
	return copy;
}

static void copy_pass(struct lcore *lc, struct rte_mbuf *pkt, uint8_t kind, uint8_t port)
{
	struct watch *w = lc->watch;
	struct watch_note note = { .tsc = rte_rdtsc(),
				   .id = w->id,
				   .wire_len = rte_pktmbuf_pkt_len(pkt),
				   .policy = UINT32_MAX,
				   .worker = lc->id,
				   .port = port,
				   .kind = kind };

	if (port != UINT8_MAX && pkt->ol_flags & (RTE_MBUF_F_RX_VLAN_STRIPPED | RTE_MBUF_F_TX_VLAN))
		note.wire_len += VLAN_LEN;
	pass(lc, port == UINT8_MAX ? rte_pktmbuf_copy(pkt, w->pool, 0, w->snap)
				   : tag_show(pkt, rte_pktmbuf_copy(pkt, w->pool, 0, w->snap)),
	     &note);
}

static void story_pass(struct lcore *lc, const struct watch_story *s)
{
	struct watch *w = lc->watch;
	struct rte_mbuf *copy = rte_pktmbuf_alloc(w->pool);
	struct watch_note note = { .tsc = rte_rdtsc(),
				   .id = w->id,
				   .wire_len = s->n,
				   .policy = s->policy,
				   .worker = lc->id,
				   .port = s->port,
				   .kind = DP_WATCHED_STORY };
	char *to = copy ? rte_pktmbuf_append(copy, s->n) : NULL;

	if (to)
		memcpy(to, s->text, s->n);
	else
		rte_pktmbuf_free(copy);
	pass(lc, to ? copy : NULL, &note);
}

static void frames_copy(struct lcore *lc, uint8_t device, struct rte_mbuf **pkts, uint16_t n,
			uint8_t kind)
{
	const struct watch *w = lc->watch;
	uint8_t port = device;

	for (uint16_t i = 0; i < n && w->left; i++) {
		if (kind == DP_WATCHED_RECEIVED)
			port = frame_port(lc, device, pkts[i]);
		if (w->what == DP_WATCH_FRAMES && w->port != UINT_MAX && w->port != port)
			continue;
		if ((w->what == DP_WATCH_FRAMES || frame_sealed(pkts[i])) &&
		    frame_wanted(lc, pkts[i]))
			copy_pass(lc, pkts[i], kind, port);
	}
}

/* ------------------------------------------------------------------------- the hooks -------- */

void watch_sent_look(struct lcore *lc, uint8_t port, struct rte_mbuf **pkts, uint16_t n)
{
	if (lc->watch->what == DP_WATCH_FRAMES || lc->watch->what == DP_WATCH_SEALED)
		frames_copy(lc, port, pkts, n, DP_WATCHED_SENT);
}

void watch_place_look(struct lcore *lc, enum watch_place place, struct rte_mbuf **pkts, uint16_t n)
{
	struct watch *w = lc->watch;

	if (w->now && n)
		trace_place(lc, place, pkts[0]);
	if (w->what != DP_WATCH_PLAIN || (place != AT_DECRYPTED && place != AT_ESP_OUT))
		return;
	for (uint16_t i = 0; i < n && w->left; i++)
		if (ip_wanted(lc, rte_pktmbuf_mtod(pkts[i], const uint8_t *),
			      rte_pktmbuf_data_len(pkts[i])))
			copy_pass(lc, pkts[i],
				  place == AT_ESP_OUT ? DP_WATCHED_SENT : DP_WATCHED_RECEIVED,
				  UINT8_MAX);
}

/* Alone from its source to its end: what the counters and buffers say afterwards, this packet did.
 */
static void trace(struct lcore *lc, struct rte_mbuf *pkt, bool from_port,
		  void (*run)(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n))
{
	struct watch *w = lc->watch;

	lcore_flush(lc);
	w->now = &w->story;
	trace_begin(lc, pkt, from_port);
	run(lc, &pkt, 1);
	trace_end(lc);
	w->now = NULL;
	story_pass(lc, &w->story);
}

uint16_t watch_source_look(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n, bool from_port,
			   void (*run)(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n))
{
	const struct watch *w = lc->watch;
	uint16_t kept = 0;

	if (from_port && n && (w->what == DP_WATCH_FRAMES || w->what == DP_WATCH_SEALED))
		frames_copy(lc, pkt_meta(pkts[0])->port, pkts, n, DP_WATCHED_RECEIVED);
	if (w->what != DP_WATCH_TRACE)
		return n;
	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *pkt = pkts[i];
		bool frame = from_port || pkt_meta(pkt)->flags & PKT_FRAME;

		if (w->left && (frame ? frame_wanted(lc, pkt)
				      : ip_wanted(lc, rte_pktmbuf_mtod(pkt, const uint8_t *),
						  rte_pktmbuf_data_len(pkt))))
			trace(lc, pkt, from_port, run);
		else
			pkts[kept++] = pkt;
	}
	return kept;
}
