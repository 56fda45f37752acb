#include "mss.h"

#include "fib.h"

#define OPT_END 0
#define OPT_NOP 1
#define OPT_MSS 2
#define MSS_LEN 4

/* The MSS option, in bytes from tcp on; 0: none, or what comes before it is malformed. */
static uint32_t option_find(const uint8_t *tcp, uint32_t len)
{
	uint32_t end = (tcp[TCP_DATA_OFF] >> 4) * 4u, size;

	if (end > len)
		end = len;
	for (uint32_t i = TCP_LEN; i < end && tcp[i] != OPT_END; i += size) {
		size = 1;
		if (tcp[i] == OPT_NOP)
			continue;
		if (i + 1 >= end || tcp[i + 1] < 2 || i + tcp[i + 1] > end)
			return 0;
		size = tcp[i + 1];
		if (tcp[i] == OPT_MSS)
			return size == MSS_LEN ? i : 0;
	}
	return 0;
}

static uint16_t swapped(uint16_t v)
{
	return (uint16_t)(v << 8 | v >> 8);
}

void mss_lower(uint8_t *ip, uint32_t len, uint32_t l4, uint16_t limit)
{
	uint8_t *tcp = ip + l4;
	uint32_t at = option_find(tcp, len - l4);
	uint16_t old;

	if (!at)
		return;
	old = load_be16(tcp + at + 2);
	if (old <= limit)
		return;
	store_be16(tcp + at + 2, limit);
	/* an odd place: its bytes are in the other halves of their words */
	if (at & 1)
		sum_patch(tcp + TCP_SUM, swapped(old), swapped(limit));
	else
		sum_patch(tcp + TCP_SUM, old, limit);
}

static void clamp_by_port(const struct lcore *lc, uint8_t port, uint8_t *ip, uint32_t len, uint32_t l4)
{
	const struct lcore_port *p = &lc->port[port];

	if (p->clamp_mss)
		mss_lower(ip, len, l4, mss_limit(p->clamp_mss, p->mtu, ip_version(ip) == 4));
}

void mss_clamp_arrived(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		uint8_t *ip = rte_pktmbuf_mtod(pkts[i], uint8_t *);
		uint32_t len = rte_pktmbuf_data_len(pkts[i]), l4 = mss_syn(ip, len);

		if (l4)
			clamp_by_port(lc, pkt_meta(pkts[i])->port, ip, len, l4);
	}
}

void mss_clamp_leaving(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		uint8_t *ip = rte_pktmbuf_mtod(pkts[i], uint8_t *);
		uint32_t len = rte_pktmbuf_data_len(pkts[i]), l4 = mss_syn(ip, len);
		const struct next_hop *hop;

		if (!l4)
			continue;
		hop = ip_version(ip) == 4 ? fib_lookup(lc->fib, load_be32(ip + IP4_DST))
					  : fib_lookup6(lc->fib, ip + IP6_DST);
		if (hop->kind >= HOP_CONNECTED)
			clamp_by_port(lc, hop->port, ip, len, l4);
	}
}
