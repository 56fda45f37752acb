/* VLANs: which port a tag means, tags that the device took off or left in, and tags on the way out. Here
 * wan (port 0) carries VLAN 20, which is port 2; lan has none. */
#include <criterion/criterion.h>

#include "env.h"

#define VLAN 20
#define PORT 2

static struct lcore *lc;
static uint8_t vlan_port[VLAN_MAX + 2];
static struct rte_mbuf *esp[2], *host[2];
static uint16_t n_esp, n_host;

static void start(void)
{
	lc = env_start();
	memset(vlan_port, UINT8_MAX, sizeof(vlan_port));
	vlan_port[VLAN] = PORT;
	lc->n_ports = 3;
	lc->port[PORT] = lc->port[0];
	lc->port[0].vlan_port = vlan_port;
	lc->port[PORT].vlan = VLAN;
	lc->port[PORT].way = WAY_TAG;
	lc->port[PORT].source_check = DP_SOURCE_OFF;
}

static void finish(void)
{
	cr_assert_eq(env_leaked(lc), 0, "%u packets leaked", env_leaked(lc));
}

TestSuite(vlan, .init = start, .fini = finish);

static const struct env_packet transit = {
	.port = 0, .src = 0x0a030007, .dst = 0x0a020009, .proto = PROTO_UDP, .payload = 30
};

/* The frame with tags before its type, the last one outermost. */
static struct rte_mbuf *tagged(struct rte_mbuf *pkt, uint16_t tci)
{
	uint8_t *eth = (uint8_t *)rte_pktmbuf_prepend(pkt, VLAN_LEN);

	cr_assert(eth);
	memmove(eth, eth + VLAN_LEN, ETH_TYPE);
	store_be16(eth + ETH_TYPE, ETHERTYPE_VLAN);
	store_be16(eth + ETH_TYPE + 2, tci);
	return pkt;
}

static struct rte_mbuf *stripped(struct rte_mbuf *pkt, uint16_t tci)
{
	pkt->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
	pkt->vlan_tci = tci;
	return pkt;
}

/* The port that a packet in transit is taken for; -1: it was dropped. Frees it. */
static int port_of(struct rte_mbuf *pkt)
{
	uint16_t n = stage_classify(lc, &pkt, 1, esp, &n_esp, host, &n_host);
	int port = -1;

	cr_assert_eq(n_esp + n_host, 0);
	if (n) {
		port = pkt_meta(pkt)->port;
		cr_assert_eq(rte_pktmbuf_pkt_len(pkt), 58);
		cr_assert_eq(rte_pktmbuf_mtod(pkt, uint8_t *)[0], 0x45);
		rte_pktmbuf_free(pkt);
	}
	return port;
}

#define expect_drop(reason, pkt_)                                                                  \
	do {                                                                                       \
		uint64_t before = lc->count.drop[DROP_##reason], all = env_drops(lc);              \
		cr_expect_eq(port_of(pkt_), -1);                                                   \
		cr_expect_eq(lc->count.drop[DROP_##reason], before + 1, #reason);                  \
		cr_expect_eq(env_drops(lc), all + 1);                                              \
	} while (0)

Test(vlan, a_tag_means_a_port)
{
	struct env_packet p = transit;

	lc->port[0].source_check = lc->port[1].source_check = DP_SOURCE_OFF;
	cr_expect_eq(port_of(env_frame(lc, &p)), 0);
	cr_expect_eq(port_of(tagged(env_frame(lc, &p), VLAN)), PORT);
	cr_expect_eq(port_of(tagged(env_frame(lc, &p), 7 << 13 | VLAN)), PORT, "with a priority");
	cr_expect_eq(port_of(stripped(env_frame(lc, &p), VLAN)), PORT);
	cr_expect_eq(port_of(stripped(env_frame(lc, &p), 7 << 13 | VLAN)), PORT);
	/* IEEE 802.1Q section 6.9.1: VLAN 0 is a priority and nothing else */
	cr_expect_eq(port_of(tagged(env_frame(lc, &p), 0)), 0);
	cr_expect_eq(port_of(stripped(env_frame(lc, &p), 5 << 13)), 0);
	cr_expect_eq(lc->vlan[PORT].rx_packets, 4);
	/* without or with the tag, as the wire or the device gave them */
	cr_expect_eq(lc->vlan[PORT].rx_bytes, 2 * 76 + 2 * 72);
	p.port = 1;
	cr_expect_eq(port_of(tagged(env_frame(lc, &p), 0)), 1, "a port without VLANs");
}

Test(vlan, others_are_dropped)
{
	const uint16_t others[] = { 1, VLAN - 1, VLAN + 1, VLAN_MAX, VLAN_MAX + 1 };
	struct env_packet p = transit;
	struct rte_mbuf *pkt;

	for (unsigned i = 0; i < RTE_DIM(others); i++) {
		expect_drop(vlan_unknown, tagged(env_frame(lc, &p), others[i]));
		expect_drop(vlan_unknown, stripped(env_frame(lc, &p), others[i]));
	}
	expect_drop(vlan_unknown, tagged(tagged(env_frame(lc, &p), VLAN), VLAN));
	expect_drop(vlan_unknown, tagged(tagged(env_frame(lc, &p), 0), 0));
	expect_drop(vlan_unknown, stripped(tagged(env_frame(lc, &p), VLAN), VLAN));
	p.port = 1;
	expect_drop(vlan_unknown, tagged(env_frame(lc, &p), VLAN));
	for (unsigned len = ETH_LEN; len < ETH_LEN + VLAN_LEN; len++) {
		pkt = tagged(env_frame(lc, &transit), VLAN);
		pkt->data_len = (uint16_t)len;
		pkt->pkt_len = len;
		expect_drop(eth_short, pkt);
	}
	pkt = tagged(env_frame(lc, &transit), VLAN);
	store_be16(rte_pktmbuf_mtod_offset(pkt, uint8_t *, ETH_TYPE + VLAN_LEN), 0x88a8);
	expect_drop(eth_type, pkt);
	pkt = tagged(env_frame(lc, &transit), VLAN);
	rte_pktmbuf_mtod(pkt, uint8_t *)[5] ^= 1;
	expect_drop(eth_dst, pkt);
}

/* The tag goes where a copy of the frame that somebody else holds does not see it go. */
Test(vlan, a_shared_frame_keeps_its_tag)
{
	struct rte_mbuf *pkt = tagged(env_frame(lc, &transit), VLAN), *mine = pkt;
	uint8_t before[128];

	rte_mbuf_refcnt_update(mine, 1);
	memcpy(before, rte_pktmbuf_mtod(mine, uint8_t *), 76);
	cr_expect_eq(port_of(pkt), PORT);
	cr_expect_arr_eq(rte_pktmbuf_mtod(mine, uint8_t *), before, 76);
	rte_pktmbuf_free(mine);
}

Test(vlan, arp_and_neighbour_discovery_come_through)
{
	struct env_packet6 six = { .port = 0, .src = "fe80::7", .dst = "ff02::1:ff00:fe",
				   .next = PROTO_ICMP6, .hops = 255, .len = 24, .sum = true,
				   .data = (const uint8_t[24]){ ND_SOLICIT } };
	struct rte_mbuf *pkt = tagged(env_frame(lc, &transit), VLAN);

	memset(rte_pktmbuf_mtod(pkt, uint8_t *), 0xff, 6);
	store_be16(rte_pktmbuf_mtod_offset(pkt, uint8_t *, ETH_TYPE + VLAN_LEN), ETHERTYPE_ARP);
	cr_assert_eq(stage_classify(lc, &pkt, 1, esp, &n_esp, host, &n_host), 0);
	cr_assert_eq(n_host, 1);
	cr_expect_eq(pkt_meta(host[0])->port, PORT);
	cr_expect_eq(pkt_meta(host[0])->flags, PKT_FRAME);
	cr_expect_eq(load_be16(rte_pktmbuf_mtod_offset(host[0], uint8_t *, ETH_TYPE)), ETHERTYPE_ARP);
	rte_pktmbuf_free(host[0]);
	pkt = tagged(env_frame6(lc, &six), VLAN);
	cr_assert_eq(stage_classify(lc, &pkt, 1, esp, &n_esp, host, &n_host), 0);
	cr_assert_eq(n_host, 1);
	cr_expect_eq(pkt_meta(host[0])->port, PORT);
	rte_pktmbuf_free(host[0]);
}

/* ------------------------------------------------------------------------- out -------------- */

static struct rte_mbuf *sent(void)
{
	struct rte_mbuf *pkt = env_frame(lc, &transit);

	pkt_meta(pkt)->port = PORT;
	lcore_tx(lc, pkt);
	return pkt;
}

Test(vlan, frames_leave_with_the_tag)
{
	struct rte_mbuf *pkt = sent();
	const uint8_t *eth = rte_pktmbuf_mtod(pkt, const uint8_t *);

	cr_assert_eq(lc->tx[PORT].n, 1);
	cr_expect_eq(rte_pktmbuf_pkt_len(pkt), 76);
	cr_expect_arr_eq(eth + ETH_DST, env_mac[0], 6);
	cr_expect_eq(load_be16(eth + ETH_TYPE), ETHERTYPE_VLAN);
	cr_expect_eq(load_be16(eth + ETH_TYPE + 2), VLAN);
	cr_expect_eq(load_be16(eth + ETH_TYPE + 4), ETHERTYPE_IP4);
	cr_expect_eq(eth[18], 0x45);
	cr_expect_eq(lc->vlan[PORT].tx_packets, 1);
	lc->port[PORT].way = WAY_TAG_DEVICE;
	pkt = sent();
	cr_expect_eq(rte_pktmbuf_pkt_len(pkt), 72);
	cr_expect(pkt->ol_flags & RTE_MBUF_F_TX_VLAN);
	cr_expect_eq(pkt->vlan_tci, VLAN);
}

/* A worker without a queue hands frames on as they are: the other one puts the tag on, once. */
Test(vlan, the_worker_that_sends_puts_the_tag_on)
{
	struct rte_mbuf *pkt;

	lc->port[PORT].way = WAY_TAG | WAY_OTHER;
	lc->port[PORT].tx_worker = 1;
	pkt = sent();
	cr_assert_eq(lc->to_worker[1].n, 1);
	cr_expect_eq(rte_pktmbuf_pkt_len(pkt), 72);
	cr_expect_eq(lc->vlan[PORT].tx_packets, 0);
	lc->to_worker[1].n = 0;
	lc->port[PORT].way = WAY_TAG; /* as the other one sees it */
	lcore_tx(lc, pkt);
	cr_expect_eq(rte_pktmbuf_pkt_len(pkt), 76);
}

Test(vlan, no_link_and_no_room)
{
	struct rte_mbuf *pkt = env_frame(lc, &transit);

	lc->port[PORT].way = WAY_TAG | WAY_DOWN;
	sent();
	cr_expect_eq(lc->count.drop[DROP_port_down], 1);
	cr_expect_eq(lc->tx[PORT].n, 0);
	lc->port[PORT].way = WAY_TAG;
	pkt_meta(pkt)->port = PORT;
	rte_pktmbuf_prepend(pkt, rte_pktmbuf_headroom(pkt));
	lcore_tx(lc, pkt);
	cr_expect_eq(lc->count.drop[DROP_no_headroom], 1);
	cr_expect_eq(lc->tx[PORT].n, 0);
}
