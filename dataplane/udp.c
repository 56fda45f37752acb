/* IKE's datagrams, in both families: checked on the way in, cut on the way out. */
#include <errno.h>
#include <rte_random.h>

#include "dp.h"

/* ------------------------------------------------------------------------- in --------------- */

/* The folded sum of an IPv4 datagram with its pseudo-header. */
static uint16_t ip4_l4_sum(const uint8_t *ip, const uint8_t *l4, unsigned len)
{
	uint8_t tail[4] = { 0, ip[IP4_PROTO] };

	store_be16(tail + 2, (uint16_t)len);
	return sum_fold(sum_add(sum_add(sum_add(0, ip + IP4_SRC, 8), tail, 4), l4, len));
}

/* The UDP header of a whole datagram, or NULL. */
static const uint8_t *udp_find(const uint8_t *ip, unsigned len)
{
	struct ip6_chain chain;

	if (ip_version(ip) == 4)
		return len >= ip4_header_len(ip) + UDP_LEN ? ip + ip4_header_len(ip) : NULL;
	if (len < IP6_LEN || ip6_chain_read(ip, len, &chain) != DROP_COUNT ||
	    chain.proto != PROTO_UDP || chain.frag || len < (unsigned)chain.l4_off + UDP_LEN)
		return NULL;
	return ip + chain.l4_off;
}

/* No checksum is a choice in IPv4 alone (RFC 8200 section 8.1). */
static bool sum_right(const uint8_t *ip, const uint8_t *udp, unsigned udp_len)
{
	bool none = load_be16(udp + UDP_SUM) == 0;

	if (ip_version(ip) == 4)
		return none || ip4_l4_sum(ip, udp, udp_len) == 0xffff;
	return !none && ip6_l4_sum(ip, PROTO_UDP, udp, udp_len) == 0xffff;
}

static void addresses_read(const uint8_t *ip, struct dp_udp_path *path)
{
	if (ip_version(ip) == 4) {
		path->local = ip_addr_v4(load_be32(ip + IP4_DST));
		path->remote = ip_addr_v4(load_be32(ip + IP4_SRC));
		return;
	}
	path->local.family = path->remote.family = IP_V6;
	memcpy(path->local.b, ip + IP6_DST, 16);
	memcpy(path->remote.b, ip + IP6_SRC, 16);
}

/* A whole UDP datagram, checked; the path's addresses and the payload come out of it. */
static bool udp_parse(const uint8_t *ip, unsigned len, struct dp_udp_path *path,
		      const uint8_t **data, size_t *data_len)
{
	const uint8_t *udp = udp_find(ip, len);
	unsigned udp_len;

	if (!udp)
		return false;
	udp_len = load_be16(udp + UDP_LENGTH);
	if (udp_len < UDP_LEN || udp_len > len - (unsigned)(udp - ip) ||
	    !sum_right(ip, udp, udp_len))
		return false;
	*path = (struct dp_udp_path){
		.local_port = load_be16(udp + UDP_DPORT),
		.remote_port = load_be16(udp + UDP_SPORT),
	};
	addresses_read(ip, path);
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

void ike_input_packet(struct dp *dp, struct worker *w, struct rte_mbuf *pkt)
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

/* ------------------------------------------------------------------------- out -------------- */

/* A datagram on its way out. */
struct datagram {
	uint8_t ip[IP6_LEN]; /* header of an unfragmented packet, either family */
	bool four;
	const uint8_t *data;
	unsigned len;
	uint32_t id; /* IPv6 fragments */
};

/* The headers of a piece; returns their length. */
static unsigned piece_headers(const struct datagram *d, uint8_t *ip, unsigned offset, unsigned len,
			      bool more)
{
	bool whole = offset == 0 && !more;
	uint8_t *f = ip + IP6_LEN;

	if (d->four) {
		memcpy(ip, d->ip, IP4_LEN);
		store_be16(ip + IP4_TOTAL, (uint16_t)(IP4_LEN + len));
		store_be16(ip + IP4_FRAG, (uint16_t)((more ? IP4_MF : 0) | offset / 8));
		ip4_sum_set(ip);
		return IP4_LEN;
	}
	memcpy(ip, d->ip, IP6_LEN);
	if (whole)
		return IP6_LEN;
	store_be16(ip + IP6_PAYLOAD, (uint16_t)(IP6F_LEN + len));
	ip[IP6_NEXT] = PROTO_FRAGMENT;
	f[IP6F_NEXT] = PROTO_UDP;
	f[IP6F_NEXT + 1] = 0;
	store_be16(f + IP6F_FRAG, (uint16_t)(offset | more));
	store_be32(f + IP6F_ID, d->id);
	return IP6_LEN + IP6F_LEN;
}

/* Sends a piece of a datagram (everything when it fits) where the routes say. */
static int piece_send(struct dp *dp, const struct datagram *d, unsigned offset, unsigned len,
		      bool more)
{
	uint8_t header[IP6_LEN + IP6F_LEN], *ip;
	unsigned n = piece_headers(d, header, offset, len, more);
	struct rte_mbuf *pkt = rte_pktmbuf_alloc(dp->own_pool);

	if (!pkt)
		return -ENOBUFS;
	ip = (uint8_t *)rte_pktmbuf_append(pkt, (uint16_t)(n + len));
	if (!ip) {
		rte_pktmbuf_free(pkt);
		return -EMSGSIZE;
	}
	memcpy(ip, header, n);
	memcpy(ip + n, d->data + offset, len);
	neigh_route(dp, &dp->worker[0], pkt);
	return 0;
}

static int pieces_send(struct dp *dp, const struct datagram *d, unsigned mtu)
{
	unsigned whole = mtu - (d->four ? IP4_LEN : IP6_LEN);
	/* of a fragment with others behind it, and of the last one in IPv6 */
	unsigned cut = d->four ? whole : whole - IP6F_LEN, max = cut & ~7u;
	bool more;
	int rc;

	if (d->len <= whole)
		return piece_send(dp, d, 0, d->len, false);
	for (unsigned at = 0; at < d->len; at += max) {
		more = d->len - at > cut;
		rc = piece_send(dp, d, at, more ? max : d->len - at, more);
		if (rc || !more)
			return rc;
	}
	return 0;
}

/* Fills the IP header and the UDP checksum. */
static void datagram_finish(struct dp *dp, const struct dp_udp_path *path, uint8_t *udp,
			    unsigned total, struct datagram *d)
{
	uint16_t sum;

	*d = (struct datagram){ .four = path->local.family == IP_V4, .data = udp, .len = total };
	if (d->four) {
		ip4_header_write(dp, d->ip, IP4_LEN + total, PROTO_UDP, ip_addr_to_v4(&path->local),
				 ip_addr_to_v4(&path->remote));
		sum = (uint16_t)~ip4_l4_sum(d->ip, udp, total);
	} else {
		d->id = (uint32_t)rte_rand();
		ip6_header_write(d->ip, total, PROTO_UDP, path->local.b, path->remote.b);
		sum = (uint16_t)~ip6_l4_sum(d->ip, PROTO_UDP, udp, total);
	}
	if (sum == 0)
		sum = 0xffff; /* RFC 768: zero means none */
	memcpy(udp + UDP_SUM, &sum, 2);
}

int dp_send_udp(struct dp *dp, const struct dp_udp_path *path, bool marker, const uint8_t *data,
		size_t len)
{
	static uint8_t udp[65536]; /* control thread only */
	size_t total = UDP_LEN + (marker ? 4 : 0) + len;
	const struct next_hop *hop;
	struct datagram d;

	if (path->local.family != path->remote.family || path->local.family == IP_NONE)
		return -EAFNOSUPPORT;
	if (total + IP4_LEN > UINT16_MAX)
		return -EMSGSIZE;
	if (!is_ours(dp, 0, &path->local) ||
	    (path->local.family == IP_V6 && ip6_is_link_local(path->local.b)))
		return -EADDRNOTAVAIL;
	hop = fib_lookup_addr(dp->fib, &path->remote);
	if (hop->kind < HOP_CONNECTED)
		return -ENETUNREACH;
	store_be16(udp + UDP_SPORT, path->local_port);
	store_be16(udp + UDP_DPORT, path->remote_port);
	store_be16(udp + UDP_LENGTH, (uint16_t)total);
	memset(udp + UDP_SUM, 0, 6);
	memcpy(udp + total - len, data, len);
	datagram_finish(dp, path, udp, (unsigned)total, &d);
	return pieces_send(dp, &d, hop->mtu);
}
