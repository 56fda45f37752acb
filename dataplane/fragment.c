/* Fragmentation, RFC 791 section 3.2 and RFC 8200 section 4.5: of what leaves in the clear, and of
 * inner packets before they are encrypted, so that the other gateway need not put outer packets
 * together again. */
#include <rte_branch_prediction.h>
#include <rte_ip_frag.h>
#include <rte_random.h>

#include "esp_out.h"
#include "lcore.h"
#include "wire.h"

#define ESP_OVERHEAD 128 /* no transform adds more to a packet */

int packet_split(struct lcore *lc, struct rte_mbuf *pkt, uint16_t mtu,
		 struct rte_mbuf *part[MAX_FRAGMENTS])
{
	const struct pkt_meta meta = *pkt_meta(pkt);
	struct rte_mempool *pool = pkt_pool(lc, RTE_PKTMBUF_HEADROOM + (uint64_t)mtu);
	int n;

	if (pkt->nb_segs == 1 && pool)
		n = rte_ipv4_fragment_copy_nonseg_packet(pkt, part, MAX_FRAGMENTS, mtu, pool);
	else
		n = rte_ipv4_fragment_packet(pkt, part, MAX_FRAGMENTS, mtu, lc->pool, lc->pool);
	if (n <= 0) {
		pkt_drop(lc, pkt, n == -ENOMEM ? DROP_no_mbuf : DROP_too_big);
		return 0;
	}
	rte_pktmbuf_free(pkt);
	for (int i = 0; i < n; i++) {
		part[i]->ol_flags = 0;
		ip4_sum_set(rte_pktmbuf_mtod(part[i], uint8_t *));
		*pkt_meta(part[i]) = meta;
	}
	return n;
}

/* A piece of an IPv6 packet: its header, a fragment header, and len bytes from `at` on. */
static struct rte_mbuf *piece6(struct lcore *lc, struct rte_mbuf *pkt, uint32_t id, uint32_t at,
			       uint32_t len)
{
	const uint8_t *old = rte_pktmbuf_mtod(pkt, const uint8_t *);
	struct rte_mempool *pool =
		pkt_pool(lc, RTE_PKTMBUF_HEADROOM + IP6_LEN + IP6F_LEN + (uint64_t)len);
	struct rte_mbuf *part = pool ? rte_pktmbuf_alloc(pool) : NULL;
	uint32_t offset = at - IP6_LEN;
	bool more = at + len < rte_pktmbuf_pkt_len(pkt);
	const void *data;
	uint8_t *ip;

	if (!part)
		return NULL;
	ip = (uint8_t *)rte_pktmbuf_append(part, (uint16_t)(IP6_LEN + IP6F_LEN + len));
	if (!ip) {
		rte_pktmbuf_free(part);
		return NULL;
	}
	memcpy(ip, old, IP6_LEN);
	store_be16(ip + IP6_PAYLOAD, (uint16_t)(IP6F_LEN + len));
	ip[IP6_NEXT] = PROTO_FRAGMENT;
	ip += IP6_LEN;
	ip[IP6F_NEXT] = old[IP6_NEXT];
	ip[IP6F_NEXT + 1] = 0;
	store_be16(ip + IP6F_FRAG, (uint16_t)(offset | more));
	store_be32(ip + IP6F_ID, id);
	data = rte_pktmbuf_read(pkt, at, len, ip + IP6F_LEN);
	if (data && data != ip + IP6F_LEN)
		memcpy(ip + IP6F_LEN, data, len);
	*pkt_meta(part) = *pkt_meta(pkt);
	return part;
}

/* What we make has no extension headers: all behind the IPv6 header may be cut. The identification
 * is random, so that nobody can guess the next one (RFC 7739). */
int packet_split6(struct lcore *lc, struct rte_mbuf *pkt, uint16_t mtu,
		  struct rte_mbuf *part[MAX_FRAGMENTS])
{
	uint32_t whole = rte_pktmbuf_pkt_len(pkt), id = (uint32_t)rte_rand(), at, len;
	uint32_t room = ((uint32_t)mtu - IP6_LEN - IP6F_LEN) & ~7u;
	enum drop_reason why = DROP_too_big;
	int n = 0;

	/* no device sums up what is in several packets */
	if (pkt->ol_flags & RTE_MBUF_F_TX_UDP_CKSUM)
		out_udp6_sum(rte_pktmbuf_mtod(pkt, uint8_t *),
			     rte_pktmbuf_mtod_offset(pkt, uint8_t *, pkt->l3_len));
	for (at = IP6_LEN; at < whole && n < MAX_FRAGMENTS; at += len) {
		len = RTE_MIN(room, whole - at);
		part[n] = piece6(lc, pkt, id, at, len);
		if (!part[n]) {
			why = DROP_no_mbuf;
			break;
		}
		n++;
	}
	if (at >= whole) {
		rte_pktmbuf_free(pkt);
		return n;
	}
	rte_pktmbuf_free_bulk(part, (unsigned)n);
	pkt_drop(lc, pkt, why);
	return 0;
}

/* What each of the pieces may measure; 0: encrypt it whole. Selectors with ports want ports in
 * every packet, which only the first fragment has. */
static uint16_t piece_mtu(const struct lcore *lc, struct rte_mbuf *pkt)
{
	const struct sa *sa = lc->sa_out[pkt_meta(pkt)->slot].sa;
	const uint8_t *ip = rte_pktmbuf_mtod(pkt, const uint8_t *);
	uint16_t mtu;

	/* transport mode carries whole packets: the outer one is cut */
	if (!sa || !sa->outer_mtu || sa->path == SA_PATH_TRANSPORT || sa->sel.local_port ||
	    sa->sel.remote_port)
		return 0;
	if (ip_version(ip) == 4) {
		mtu = load_be16(ip + IP4_FRAG) & IP4_DF ? 0 : esp_inner_mtu(sa);
	} else {
		/* IPv6 is cut by its sender or by nobody; we, who do not ask how much the way
		 * behind the other gateway carries, cut our own to what every link does (RFC 8200
		 * section 5) */
		bool ours = pkt_meta(pkt)->flags & PKT_LOCAL_OUT && ip[IP6_NEXT] != PROTO_FRAGMENT;

		mtu = ours ? IP6_MTU_MIN : 0;
	}
	return rte_pktmbuf_pkt_len(pkt) > mtu ? mtu : 0;
}

uint16_t stage_cut(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n)
{
	struct rte_mbuf *part[MAX_FRAGMENTS];
	uint32_t fits = lc->path_mtu ? lc->path_mtu : UINT16_MAX;
	uint16_t kept = 0;

	for (unsigned i = 0; i < lc->n_ports; i++)
		fits = RTE_MIN(fits, lc->port[i].mtu);
	fits = RTE_MIN(fits - RTE_MIN(fits, (uint32_t)ESP_OVERHEAD), (uint32_t)IP6_MTU_MIN);
	for (uint16_t i = 0; i < n; i++) {
		uint16_t mtu = 0, parts;

		/* most packets fit through any SA: theirs need not be looked at yet */
		if (unlikely(rte_pktmbuf_pkt_len(pkts[i]) > fits))
			mtu = piece_mtu(lc, pkts[i]);
		if (likely(mtu == 0)) {
			pkts[kept++] = pkts[i];
			continue;
		}
		parts = (uint16_t)(ip_version(rte_pktmbuf_mtod(pkts[i], const uint8_t *)) == 4
					   ? packet_split(lc, pkts[i], mtu, part)
					   : packet_split6(lc, pkts[i], mtu, part));
		parts = stage_esp_out(lc, part, parts);
		stage_forward(lc, part, parts);
	}
	return kept;
}

uint16_t stage_cut_outer(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n)
{
	struct rte_mbuf *part[MAX_FRAGMENTS];
	uint16_t kept = 0;

	for (uint16_t i = 0; i < n; i++) {
		const struct sa *sa = lc->sa_out[pkt_meta(pkts[i])->slot].sa;
		uint32_t len = rte_pktmbuf_pkt_len(pkts[i]);
		int parts;

		if (ip_version(rte_pktmbuf_mtod(pkts[i], const uint8_t *)) == 4 || !sa ||
		    !sa->outer_mtu || len <= sa->outer_mtu) {
			pkts[kept++] = pkts[i];
			continue;
		}
		parts = packet_split6(lc, pkts[i], sa->outer_mtu, part);
		for (int k = 0; k < parts; k++) /* at most 2 * BURST at once */
			stage_forward(lc, &part[k], 1);
	}
	return kept;
}
