#include "pmtu.h"

#include "dp.h"
#include "log.h"

enum { UNREACHABLE = 3, FRAG_NEEDED = 4 };
enum { TOO_BIG6 = 2, MTU6 = 4 }; /* ICMPv6, RFC 4443 section 3.2: 32 bits of MTU */

/* What a router quotes of a packet that it could not pass on. */
struct quote {
	struct ip_addr local, remote;
	uint32_t len; /* of the whole packet, as its header says */
	uint32_t spi, seq;
};

static uint16_t least(const struct ip_addr *remote)
{
	return remote->family == IP_V6 ? PMTU_MIN_V6 : PMTU_MIN_V4;
}

/* ------------------------------------------------------------------------- what we know ----- */

static struct pmtu_path *path_find(struct pmtu *m, const struct ip_addr *remote)
{
	for (unsigned i = 0; i < m->n; i++)
		if (ip_addr_equal(&m->path[i].remote, remote))
			return &m->path[i];
	return NULL;
}

uint16_t pmtu_outer(const struct dp *dp, const struct ip_addr *remote)
{
	const struct next_hop *hop = fib_lookup_addr(dp->fib, remote);
	const struct pmtu_path *path;

	if (hop->kind < HOP_CONNECTED)
		return 0;
	path = path_find((struct pmtu *)&dp->pmtu, remote);
	return path && path->mtu < hop->mtu ? path->mtu : hop->mtu;
}

/* The workers read one field, whose change no packet needs to see at once. */
static void sas_update(struct dp *dp, const struct ip_addr *remote)
{
	uint16_t mtu = pmtu_outer(dp, remote), all = 0;

	for (unsigned i = 0; i < dp->n_workers; i++)
		for (uint32_t slot = 0; slot < dp->sa_slots; slot++) {
			struct pair *pair = &dp->worker[i].pair[slot];
			for (unsigned dir = 0; mtu && dir < 2; dir++)
				if (pair->sa[dir] && ip_addr_equal(&pair->sa[dir]->remote, remote))
					__atomic_store_n(&pair->sa[dir]->outer_mtu, mtu,
							 __ATOMIC_RELAXED);
		}
	for (unsigned i = 0; i < dp->pmtu.n; i++)
		if (all == 0 || dp->pmtu.path[i].mtu < all)
			all = dp->pmtu.path[i].mtu;
	for (unsigned i = 0; i < dp->n_workers; i++)
		__atomic_store_n(&dp->worker[i].lc->path_mtu, all, __ATOMIC_RELAXED);
}

static void path_learn(struct dp *dp, const struct ip_addr *remote, uint16_t mtu,
		       const struct ip_addr *router)
{
	struct pmtu *m = &dp->pmtu;
	struct pmtu_path *path = path_find(m, remote);
	struct ip_addr forgotten = { 0 };
	char to[ADDR_STR_LEN], by[ADDR_STR_LEN];

	if (!path && m->n < PMTU_PATHS) {
		path = &m->path[m->n++];
	} else if (!path) {
		path = &m->path[0];
		for (unsigned i = 1; i < m->n; i++)
			if (m->path[i].until_ms < path->until_ms)
				path = &m->path[i];
		forgotten = path->remote;
	}
	*path = (struct pmtu_path){ *remote, mtu, dp_now_ms() + PMTU_MS };
	log_info("the way to %s carries packets of %u bytes, says %s",
		 ip_addr_str(remote, to, sizeof(to)), mtu, ip_addr_str(router, by, sizeof(by)));
	sas_update(dp, remote);
	if (forgotten.family != IP_NONE)
		sas_update(dp, &forgotten);
}

void pmtu_tick(struct dp *dp, uint64_t now_ms)
{
	struct pmtu *m = &dp->pmtu;

	if (now_ms < m->tick_ms + 1000)
		return;
	m->tick_ms = now_ms;
	for (unsigned i = 0; i < m->n;) {
		struct ip_addr remote = m->path[i].remote;
		if (now_ms < m->path[i].until_ms) {
			i++;
			continue;
		}
		m->path[i] = m->path[--m->n];
		sas_update(dp, &remote);
	}
}

/* ------------------------------------------------------------------------- what they say ---- */

/* The SA that sent what is quoted. The walk is bounded by PMTU_PER_SECOND. */
static const struct sa *sender_find(const struct dp *dp, const struct quote *q)
{
	for (unsigned i = 0; i < dp->n_workers; i++)
		for (uint32_t slot = 0; slot < dp->sa_slots; slot++) {
			const struct sa *sa = dp->worker[i].pair[slot].sa[SA_OUT];
			if (sa && sa->spi == q->spi && ip_addr_equal(&sa->remote, &q->remote) &&
			    ip_addr_equal(&sa->local, &q->local))
				return sa;
		}
	return NULL;
}

/* The SPI and sequence number behind the IP headers, l4 of the len bytes from ip on. AH has them four
 * bytes further. */
static bool quote_l4_read(struct quote *q, const uint8_t *ip, unsigned len, unsigned l4,
			  uint8_t proto)
{
	switch (proto) {
	case PROTO_ESP:
		break;
	case PROTO_AH:
		l4 += 4;
		break;
	case PROTO_UDP: /* RFC 3948 */
		if (len < l4 + UDP_LEN || load_be16(ip + l4 + UDP_SPORT) != PORT_IKE_NATT)
			return false;
		l4 += UDP_LEN;
		break;
	default:
		return false;
	}
	if (len < l4 + 8)
		return false;
	q->spi = load_be32(ip + l4);
	q->seq = load_be32(ip + l4 + 4);
	return true;
}

/* A first fragment of ours is as good as a whole packet: its length is what did not fit. */
static bool quote6_read(struct quote *q, const uint8_t *ip, unsigned len)
{
	struct ip6_chain chain;

	if (len < IP6_LEN || ip_version(ip) != 6 || ip6_chain_read(ip, len, &chain) != DROP_COUNT ||
	    chain.frag & IP6F_OFFSET_MASK)
		return false;
	*q = (struct quote){ .local = { .family = IP_V6 },
			     .remote = { .family = IP_V6 },
			     .len = ip6_total(ip) };
	memcpy(q->local.b, ip + IP6_SRC, 16);
	memcpy(q->remote.b, ip + IP6_DST, 16);
	return quote_l4_read(q, ip, len, chain.l4_off, chain.proto);
}

/* len bytes from the quoted header on. */
static bool quote_read(struct quote *q, const uint8_t *ip, unsigned len)
{
	unsigned l4 = len >= IP4_LEN ? ip4_header_len(ip) : 0;

	if (l4 < IP4_LEN || ip[0] >> 4 != 4)
		return false;
	if (load_be16(ip + IP4_FRAG) & IP4_OFFSET_MASK)
		return false;
	*q = (struct quote){ .local = ip_addr_v4(load_be32(ip + IP4_SRC)),
			     .remote = ip_addr_v4(load_be32(ip + IP4_DST)),
			     .len = load_be16(ip + IP4_TOTAL) };
	return quote_l4_read(q, ip, len, l4, ip[IP4_PROTO]);
}

/* RFC 1191 section 7: the next smaller of the usual sizes, for routers that name none. */
static uint16_t plateau(uint32_t len)
{
	static const uint16_t sizes[] = { 8166, 4352, 2002, 1492, 1280, 1006, PMTU_MIN_V4 };
	unsigned i = 0;

	while (i + 1 < RTE_DIM(sizes) && sizes[i] >= len)
		i++;
	return sizes[i];
}

static bool allowed(struct pmtu *m)
{
	uint64_t second = dp_now_ms() / 1000;

	if (m->second != second)
		m->in_second = 0;
	m->second = second;
	return m->in_second++ < PMTU_PER_SECOND;
}

/* DROP_COUNT when it was believed. */
static enum drop_reason said(struct dp *dp, const struct quote *q, uint16_t mtu,
			     const struct ip_addr *router)
{
	const struct sa *sa;

	if (!allowed(&dp->pmtu))
		return DROP_punt_policed;
	sa = sender_find(dp, q);
	if (!sa || (uint32_t)sa->seq - q->seq > PMTU_SEQ_PAST)
		return DROP_icmp_unbelieved;
	if (mtu == 0)
		mtu = plateau(q->len);
	if (q->len <= mtu)
		return DROP_icmp_unbelieved;
	mtu = RTE_MAX(mtu, least(&q->remote));
	if (mtu < sa->outer_mtu)
		path_learn(dp, &q->remote, mtu, router);
	return DROP_COUNT;
}

bool pmtu_input(struct dp *dp, struct worker *w, struct rte_mbuf *pkt)
{
	const uint8_t *ip = rte_pktmbuf_mtod(pkt, const uint8_t *), *icmp;
	unsigned ihl = ip4_header_len(ip), len = rte_pktmbuf_data_len(pkt);
	enum drop_reason bad = DROP_icmp_unbelieved;
	struct ip_addr router;
	struct quote q;

	if (ip[0] >> 4 != 4 || pkt->nb_segs != 1 || len < ihl + ICMP_LEN || ip4_is_fragment(ip))
		return false;
	icmp = ip + ihl;
	if (icmp[ICMP_TYPE] != UNREACHABLE || icmp[ICMP_CODE] != FRAG_NEEDED)
		return false;
	len -= ihl;
	router = ip_addr_v4(load_be32(ip + IP4_SRC));
	/* what came out of an SA says nothing about the way of the SA's own packets */
	if (!(pkt_meta(pkt)->flags & PKT_FROM_ESP) && sum_fold(sum_add(0, icmp, len)) == 0xffff &&
	    quote_read(&q, icmp + ICMP_LEN, len - ICMP_LEN))
		bad = said(dp, &q, load_be16(icmp + ICMP_MTU), &router);
	if (bad == DROP_COUNT)
		rte_pktmbuf_free(pkt);
	else
		host_drop(w, pkt, bad);
	return true;
}

bool pmtu_input6(struct dp *dp, struct worker *w, struct rte_mbuf *pkt)
{
	const uint8_t *ip = rte_pktmbuf_mtod(pkt, const uint8_t *), *icmp;
	unsigned len = rte_pktmbuf_data_len(pkt);
	enum drop_reason bad = DROP_icmp_unbelieved;
	struct ip_addr router = { .family = IP_V6 };
	struct ip6_chain chain;
	struct quote q;
	uint32_t mtu;

	if (pkt->nb_segs != 1 || len < IP6_LEN || ip6_chain_read(ip, len, &chain) != DROP_COUNT ||
	    chain.frag || len < (unsigned)chain.l4_off + ICMP_LEN)
		return false;
	icmp = ip + chain.l4_off;
	if (chain.proto != PROTO_ICMP6 || icmp[ICMP_TYPE] != TOO_BIG6)
		return false;
	len -= chain.l4_off;
	memcpy(router.b, ip + IP6_SRC, 16);
	mtu = load_be32(icmp + MTU6);
	if (!(pkt_meta(pkt)->flags & PKT_FROM_ESP) &&
	    ip6_l4_sum(ip, PROTO_ICMP6, icmp, len) == 0xffff && mtu != 0 &&
	    quote6_read(&q, icmp + ICMP_LEN, len - ICMP_LEN))
		bad = said(dp, &q, (uint16_t)RTE_MIN(mtu, UINT16_MAX), &router);
	if (bad == DROP_COUNT)
		rte_pktmbuf_free(pkt);
	else
		host_drop(w, pkt, bad);
	return true;
}
