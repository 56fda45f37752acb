/* The way of a packet in words: where it is, what is known there, and how it ends. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "spd.h"
#include "watch.h"
#include "wire.h"

#define DESCRIPTION 160

__attribute__((format(printf, 3, 4))) static void say(struct watch_story *s, const char *stage,
						      const char *fmt, ...)
{
	char text[400];
	va_list ap;
	int n;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	n = snprintf(s->text + s->n, sizeof(s->text) - s->n, "%s\t%s\n", stage, text);
	if (n > 0 && s->n + (unsigned)n < sizeof(s->text)) /* else: this line is left out */
		s->n = (uint16_t)(s->n + n);
}

/* ------------------------------------------------------------------------- packets ---------- */

static const char *proto_name(uint8_t proto, char *buf, size_t size)
{
	static const struct {
		uint8_t proto;
		const char *name;
	} names[] = { { PROTO_ICMP, "ICMP" }, { PROTO_TCP, "TCP" }, { PROTO_UDP, "UDP" },
		      { PROTO_ESP, "ESP" },   { PROTO_AH, "AH" },   { 58, "ICMPv6" },
		      { 47, "GRE" },          { 89, "OSPF" },       { 132, "SCTP" } };

	for (size_t i = 0; i < RTE_DIM(names); i++)
		if (names[i].proto == proto)
			return names[i].name;
	snprintf(buf, size, "protocol %u", proto);
	return buf;
}

static void addresses(const uint8_t *ip, char *buf, size_t size)
{
	struct ip_addr src = { .family = ip[0] >> 4 == 4 ? IP_V4 : IP_V6 }, dst = src;
	char a[ADDR_STR_LEN], b[ADDR_STR_LEN];

	memcpy(src.b, ip + (src.family == IP_V4 ? IP4_SRC : IP6_SRC), src.family == IP_V4 ? 4 : 16);
	memcpy(dst.b, ip + (src.family == IP_V4 ? IP4_DST : IP6_DST), src.family == IP_V4 ? 4 : 16);
	snprintf(buf, size, "%s > %s", ip_addr_str(&src, a, sizeof(a)),
		 ip_addr_str(&dst, b, sizeof(b)));
}

/* "10.1.0.7 > 10.2.0.1 UDP 500 > 500, 128 bytes" */
static const char *ip_text(const uint8_t *ip, uint32_t len, uint32_t whole, char *buf)
{
	char who[100], name[24], ports[32] = "";
	uint32_t l4;
	bool first = true;
	uint8_t proto;

	if (len < IP4_LEN || (ip[0] >> 4 != 4 && (ip[0] >> 4 != 6 || len < IP6_LEN))) {
		snprintf(buf, DESCRIPTION, "no IP header, %u bytes", whole);
		return buf;
	}
	addresses(ip, who, sizeof(who));
	if (ip[0] >> 4 == 4) {
		l4 = ip4_header_len(ip);
		proto = ip[IP4_PROTO];
		first = !(load_be16(ip + IP4_FRAG) & IP4_OFFSET_MASK);
	} else {
		l4 = IP6_LEN;
		proto = ip[IP6_NEXT];
	}
	if (first && (proto == PROTO_TCP || proto == PROTO_UDP) && l4 + 4 <= len)
		snprintf(ports, sizeof(ports), " %u > %u", load_be16(ip + l4),
			 load_be16(ip + l4 + 2));
	snprintf(buf, DESCRIPTION, "%s %s%s%s, %u bytes", who,
		 proto_name(proto, name, sizeof(name)), ports, first ? "" : " fragment", whole);
	return buf;
}

static const char *pkt_text(struct rte_mbuf *pkt, uint32_t at, char *buf)
{
	uint32_t len = rte_pktmbuf_data_len(pkt);

	return ip_text(rte_pktmbuf_mtod_offset(pkt, const uint8_t *, at), len > at ? len - at : 0,
		       rte_pktmbuf_pkt_len(pkt) - at, buf);
}

static const char *frame_text(struct rte_mbuf *pkt, char *buf)
{
	const uint8_t *eth = rte_pktmbuf_mtod(pkt, const uint8_t *);
	uint16_t type;

	if (rte_pktmbuf_data_len(pkt) < ETH_LEN) {
		snprintf(buf, DESCRIPTION, "%u bytes, less than an Ethernet header",
			 rte_pktmbuf_pkt_len(pkt));
		return buf;
	}
	type = load_be16(eth + ETH_TYPE);
	if (type == ETHERTYPE_IP4 || type == ETHERTYPE_IP6)
		return pkt_text(pkt, ETH_LEN, buf);
	snprintf(buf, DESCRIPTION, "%s, %u bytes",
		 type == ETHERTYPE_ARP ? "ARP"
		 : type == ETHERTYPE_VLAN ? "VLAN frame"
				       : "frame of another type",
		 rte_pktmbuf_pkt_len(pkt));
	return buf;
}

/* ------------------------------------------------------------------------- places ----------- */

void trace_begin(struct lcore *lc, struct rte_mbuf *pkt, bool from_port)
{
	struct watch_story *s = lc->watch->now;
	const struct pkt_meta *meta = pkt_meta(pkt);
	char what[DESCRIPTION];

	s->n = 0;
	s->policy = UINT32_MAX;
	s->port = UINT8_MAX;
	s->before = lc->count;
	if (from_port) { /* its flags are not set yet */
		s->port = meta->port;
		say(s, "receive", "port %s, %s", lc->watch->port_name[meta->port],
		    frame_text(pkt, what));
	} else {
		say(s, "receive", "from another worker or from control, %s",
		    meta->flags & PKT_FRAME ? frame_text(pkt, what) : pkt_text(pkt, 0, what));
	}
}

static void esp_in_say(struct lcore *lc, struct watch_story *s, struct rte_mbuf *pkt)
{
	const struct pkt_meta *meta = pkt_meta(pkt);
	const uint8_t *ip = rte_pktmbuf_mtod_offset(pkt, const uint8_t *, meta->l3_off), *esp;
	bool ah = ip[0] >> 4 == 4 && ip[IP4_PROTO] == PROTO_AH;
	const char *udp = meta->flags & PKT_UDP_ENCAP ? " in UDP" : "";
	const struct sa_entry *entry;
	uint32_t spi, seq, owner;

	if (meta->l4_off + 12u > rte_pktmbuf_data_len(pkt)) {
		say(s, "decrypt", "too short for an ESP header");
		return;
	}
	esp = rte_pktmbuf_mtod_offset(pkt, const uint8_t *, meta->l4_off) + (ah ? 4 : 0);
	spi = load_be32(esp);
	seq = load_be32(esp + 4);
	owner = spi_owner(&lc->spi, spi);
	entry = &lc->sa_in[spi_slot(&lc->spi, spi)];
	if (owner != lc->id) {
		say(s, "decrypt", "%s%s SPI %08x sequence %u: %s", ah ? "AH" : "ESP", udp, spi, seq,
		    owner < lc->n_workers ? "another worker's SA" : "no such SA");
	} else if (entry->spi != spi || !entry->sa) {
		say(s, "decrypt", "%s%s SPI %08x sequence %u: no such SA", ah ? "AH" : "ESP", udp,
		    spi, seq);
	} else {
		s->policy = entry->sa->policy;
		say(s, "decrypt",
		    "%s%s SPI %08x sequence %u (highest so far %llu): SA of policy %u",
		    ah ? "AH" : "ESP", udp, spi, seq, (unsigned long long)entry->sa->seq,
		    s->policy);
	}
}

static void policy_say(struct lcore *lc, struct watch_story *s, struct rte_mbuf *pkt)
{
	static const char *const words[] = { [POLICY_DISCARD] = "discard",
					     [POLICY_BYPASS] = "pass in the clear",
					     [POLICY_PROTECT] = "protect" };
	const uint8_t *ip = rte_pktmbuf_mtod(pkt, const uint8_t *);
	uint32_t len = rte_pktmbuf_data_len(pkt);
	int out = watch_policy(lc, ip, len, false), in = watch_policy(lc, ip, len, true);
	const struct spd_rule *rule;
	char what[DESCRIPTION];

	pkt_text(pkt, 0, what);
	if (out < 0 && in < 0) {
		say(s, "policy", "%s: no policy matches", what);
		return;
	}
	rule = &lc->spd->rule[out < 0 ? in : out];
	s->policy = rule->id;
	if (out < 0)
		say(s, "policy", "%s: policy %u (%s) matches it as a packet from the other side",
		    what, rule->id, words[rule->action]);
	else if (rule->action == POLICY_PROTECT && lc->policy_sa[rule->id].owner == UINT16_MAX)
		say(s, "policy", "%s: policy %u, protect, which has no SA", what, rule->id);
	else if (rule->action == POLICY_PROTECT && lc->policy_sa[rule->id].owner != lc->id)
		say(s, "policy", "%s: policy %u, protect, through an SA of worker %u", what,
		    rule->id, lc->policy_sa[rule->id].owner);
	else
		say(s, "policy", "%s: policy %u, %s", what, rule->id, words[rule->action]);
}

static void esp_out_say(struct lcore *lc, struct watch_story *s, struct rte_mbuf *pkt)
{
	const struct sa *sa = lc->sa_out[pkt_meta(pkt)->slot].sa;
	char a[ADDR_STR_LEN], what[DESCRIPTION];

	if (!sa) {
		say(s, "encrypt", "the SA is gone");
		return;
	}
	s->policy = sa->policy;
	say(s, "encrypt", "%s: SPI %08x to %s, sequence %llu%s", pkt_text(pkt, 0, what), sa->spi,
	    ip_addr_str(&sa->remote, a, sizeof(a)), (unsigned long long)sa->seq + 1,
	    sa->flags & SA_F_DEAD ? ", past its hard limit" : "");
}

void trace_place(struct lcore *lc, enum watch_place place, struct rte_mbuf *pkt)
{
	struct watch_story *s = lc->watch->now;
	char what[DESCRIPTION];

	switch (place) {
	case AT_HOST:
		say(s, "host", "for this gateway: %s",
		    pkt_meta(pkt)->flags & PKT_FRAME ? frame_text(pkt, what)
						     : pkt_text(pkt, 0, what));
		break;
	case AT_ESP_IN:
		esp_in_say(lc, s, pkt);
		break;
	case AT_DECRYPTED:
		say(s, "decrypted", "integrity, window and selectors are right: %s",
		    pkt_text(pkt, 0, what));
		break;
	case AT_POLICY:
		policy_say(lc, s, pkt);
		break;
	case AT_ESP_OUT:
		esp_out_say(lc, s, pkt);
		break;
	case AT_FORWARD:
		say(s, "route", "%s", pkt_text(pkt, 0, what));
		break;
	}
}

/* ------------------------------------------------------------------------- the end ---------- */

/* Everything that this packet (or its pieces) left in a transmit buffer: they were empty before. */
static unsigned buffers_say(const struct lcore *lc, struct watch_story *s)
{
	unsigned said = 0;

	for (unsigned i = 0; i < lc->n_ports; i++) {
		const struct tx_buffer *b = &lc->tx[i];
		const uint8_t *mac;

		if (!b->n)
			continue;
		said++;
		mac = rte_pktmbuf_mtod(b->pkt[0], const uint8_t *);
		say(s, "sent", "port %s, %u frame%s, %u bytes, to %02x:%02x:%02x:%02x:%02x:%02x",
		    lc->watch->port_name[i], b->n, b->n == 1 ? "" : "s",
		    rte_pktmbuf_pkt_len(b->pkt[0]), mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	}
	for (unsigned i = 0; i < lc->n_workers; i++)
		if (lc->to_worker[i].n && ++said)
			say(s, "handed over", "to worker %u", i);
	return said;
}

void trace_end(struct lcore *lc)
{
	struct watch_story *s = lc->watch->now;
	unsigned said = buffers_say(lc, s);

	if (lc->count.punted != s->before.punted && ++said)
		say(s, "to control", "IKE, ARP, ICMP, or a next hop that is to be resolved");
	if (lc->count.natt_keepalives != s->before.natt_keepalives && ++said)
		say(s, "dropped", "a NAT keepalive: nothing more to do");
	for (unsigned i = 0; i < DROP_COUNT; i++)
		if (lc->count.drop[i] != s->before.drop[i] && ++said)
			say(s, "dropped", "%s: %s", dp_drop_name(i), dp_drop_text(i));
	if (!said)
		say(s, "sent", "more than one burst of frames, or to nowhere that a counter knows");
}
