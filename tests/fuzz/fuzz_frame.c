/* Frames from the wire through the stages that need no SA, and what goes up through the control side.
 *
 * Input: one byte (bit 0: port of arrival, bit 1: the frame comes in two segments, bit 2: as if it
 * came out of an SA, bit 3: time passes, bit 4: leave the checksum as it is (IPv4, ICMPv6, UDP over IPv6), which
 * otherwise is repaired, so that mutations get further, bit 5: VLAN 5 came as the device's word), then the frame. Its bytes lie in heap blocks of exactly
 * their size, so that AddressSanitizer sees a read past a segment.
 *
 * Packets wait for neighbours from one input to the next: libFuzzer needs -detect_leaks=0. */
#include <stdlib.h>

#include "env.h"
#include "mss.h"
#include "reassembly.h"

#define FRAME_MAX 9000
#define HEADROOM  128

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct lcore *lc;
static struct dp *dp;
static uint8_t vlan_port[VLAN_MAX + 2]; /* VLAN 5 of lan is wan: one more way in */

static void on_ike(void *ctx, const struct dp_udp_path *path, const uint8_t *data, size_t len)
{
	static volatile uint8_t sink;

	(void)ctx;
	(void)path;
	for (size_t i = 0; i < len; i++)
		sink = sink + data[i];
}

/* Packets that still wait for a neighbour or for their other pieces are no leak. */
static void finish(void)
{
	env_dp_forget(dp);
	if (env_leaked(lc))
		abort();
}

static void setup(void)
{
	struct spd_policy p[20];

	lc = env_start();
	dp = env_dp(lc);
	dp->cb.on_ike = on_ike;
	/* enough for rte_acl, and one with ports */
	for (unsigned i = 0; i < 20; i++) {
		p[i] = env_policy(i, i % 3, "10.1.0.0/24", "10.0.0.0/8");
		p[i].sel.remote = (struct ip_range){ ip_addr_v4(0x0a000000 + (i << 16)),
						     ip_addr_v4(0x0a00ffff + (i << 16)) };
	}
	/* and some of IPv6, in tables as well */
	for (unsigned i = 10; i < 16; i++) {
		p[i] = env_policy(i, i % 3, "2001:db8:1::/64", "2001:db8:2::/48");
		p[i].sel.remote.lo.b[6] = p[i].sel.remote.hi.b[6] = (uint8_t)(i - 10);
	}
	p[12].sel.proto = PROTO_UDP;
	p[12].sel.remote_port = 53;
	p[5].sel.proto = PROTO_UDP;
	p[5].sel.remote_port = 53;
	env_policies(lc, p, 20);
	lc->policy_sa[2] = (struct policy_sa){ .slot = 1, .spi = 0x01000001, .owner = 0 };
	lc->sa_out[1].spi = 0x01000001;
	memset(vlan_port, UINT8_MAX, sizeof(vlan_port));
	vlan_port[5] = 0;
	lc->port[1].vlan_port = vlan_port;
	lc->port[0].clamp_mss = 1000;
	lc->clamp_mss = true;
	atexit(finish);
	lc->policy_sa[8] = (struct policy_sa){ .slot = 1, .spi = 0x01000041, .owner = 1 };
}

static void block_free(void *addr, void *opaque)
{
	(void)addr;
	free(opaque);
}

/* The shared info comes first in the block, then headroom, then the bytes, and nothing after them. */
static struct rte_mbuf *segment(const uint8_t *data, size_t len)
{
	struct rte_mbuf *pkt = rte_pktmbuf_alloc(lc->pool);
	size_t head = sizeof(struct rte_mbuf_ext_shared_info) + HEADROOM;
	uint8_t *block = malloc(head + len);
	struct rte_mbuf_ext_shared_info *info = (void *)block;

	if (!pkt || !block)
		abort();
	info->free_cb = block_free;
	info->fcb_opaque = block;
	rte_mbuf_ext_refcnt_set(info, 1);
	rte_pktmbuf_attach_extbuf(pkt, block + sizeof(*info), RTE_BAD_IOVA,
				  (uint16_t)(HEADROOM + len), info);
	pkt->data_off = HEADROOM;
	pkt->data_len = (uint16_t)len;
	pkt->pkt_len = (uint32_t)len;
	memcpy(rte_pktmbuf_mtod(pkt, uint8_t *), data, len);
	return pkt;
}

static void checksum_repair6(struct rte_mbuf *pkt)
{
	uint8_t *ip = rte_pktmbuf_mtod_offset(pkt, uint8_t *, ETH_LEN), *l4;
	uint32_t len = rte_pktmbuf_data_len(pkt) - ETH_LEN, at;
	struct ip6_chain chain;
	uint16_t sum = 0;

	if (len < IP6_LEN || ip6_total(ip) > len ||
	    ip6_chain_read(ip, ip6_total(ip), &chain) != DROP_COUNT || chain.frag)
		return;
	at = chain.proto == PROTO_ICMP6 ? ICMP_SUM : UDP_SUM;
	l4 = ip + chain.l4_off;
	len = ip6_total(ip) - chain.l4_off;
	if ((chain.proto != PROTO_ICMP6 && chain.proto != PROTO_UDP) || len < at + 2)
		return;
	memcpy(l4 + at, &sum, 2);
	sum = (uint16_t)~ip6_l4_sum(ip, chain.proto, l4, len);
	memcpy(l4 + at, &sum, 2);
}

static void checksum_repair(struct rte_mbuf *pkt)
{
	uint8_t *ip = rte_pktmbuf_mtod_offset(pkt, uint8_t *, ETH_LEN);

	if (rte_pktmbuf_data_len(pkt) >= ETH_LEN && load_be16(ip - 2) == ETHERTYPE_IP6)
		checksum_repair6(pkt);
	if (rte_pktmbuf_data_len(pkt) >= ETH_LEN + IP4_LEN && ip4_header_len(ip) >= IP4_LEN &&
	    rte_pktmbuf_data_len(pkt) >= ETH_LEN + ip4_header_len(ip) &&
	    load_be16(ip - 2) == ETHERTYPE_IP4)
		ip4_sum_set(ip);
}

static struct rte_mbuf *frame(const uint8_t *data, size_t len, bool two)
{
	size_t first = two ? len / 2 : len;
	struct rte_mbuf *pkt = segment(data, first);

	if (two && rte_pktmbuf_chain(pkt, segment(data + first, len - first)))
		abort();
	return pkt;
}

static void transit(struct rte_mbuf *pkt)
{
	struct rte_mbuf *out[1];
	uint16_t n_out, n;

	mss_clamp_arrived(lc, &pkt, 1);
	n = stage_spd(lc, &pkt, 1, out, &n_out);
	mss_clamp_leaving(lc, &pkt, n);
	stage_forward(lc, &pkt, n);
	rte_pktmbuf_free_bulk(out, n_out);
}

/* What went up comes down again at most once more. */
static void control(void)
{
	struct rte_mbuf *pkt;

	while ((pkt = env_punted(lc)))
		host_input(dp, &dp->worker[0], pkt);
	while ((pkt = env_injected(lc))) {
		if (pkt_meta(pkt)->flags & PKT_FRAME)
			rte_pktmbuf_free(pkt);
		else
			transit(pkt);
	}
}

/* Pieces go to the worker that puts them together; both are this one here. */
static void put_together(void)
{
	struct rte_mbuf *piece[2 * BURST], *esp[2 * BURST], *host[2 * BURST];
	uint16_t n = 0, n_esp = 0, n_host = 0;

	for (unsigned i = 0; i < 2; i++) {
		struct tx_buffer *b = &lc->to_worker[i];
		for (; b->n && pkt_meta(b->pkt[b->n - 1])->flags & PKT_FRAGMENT; b->n--)
			piece[n++] = b->pkt[b->n - 1];
	}
	stage_reassemble(lc, piece, n, esp, &n_esp, host, &n_host);
	if (stage_esp_in(lc, esp, n_esp))
		abort();
	stage_host(lc, host, n_host);
	if (lc->now_tsc >= lc->reassembly_due)
		reassembly_expire(lc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct rte_mbuf *pkt, *esp[1], *host[1];
	uint16_t n, n_esp, n_host;

	if (!lc)
		setup();
	if (len < 1 || len > FRAME_MAX)
		return 0;
	if (data[0] & 8)
		lc->now_tsc += lc->tsc_hz;
	pkt = frame(data + 1, len - 1, data[0] & 2);
	pkt_meta(pkt)->port = data[0] & 1;
	if (data[0] & 32) {
		pkt->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
		pkt->vlan_tci = 5;
	}
	if (!(data[0] & 16))
		checksum_repair(pkt);
	n = stage_classify(lc, &pkt, 1, esp, &n_esp, host, &n_host);
	if (n && data[0] & 4)
		pkt_meta(pkt)->flags |= PKT_FROM_ESP;
	if (n)
		transit(pkt);
	n_esp = stage_esp_in(lc, esp, n_esp); /* there is no SA */
	if (n_esp)
		abort();
	stage_host(lc, host, n_host);
	put_together();
	control();
	env_leaked(lc); /* empties the transmit buffers; neighbours may hold packets for a while */
	if (rte_mempool_in_use_count(lc->pool) > 300) {
		env_dp_forget(dp);
		if (env_leaked(lc))
			abort();
	}
	return 0;
}
