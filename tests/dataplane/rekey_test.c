/* Rekeying under load, step by step and the same every time: control queues the successors of all
 * pairs at once; the lcore takes a few commands a round; and in every round a packet of every
 * policy goes out under the old key or the new one. */
#include <criterion/criterion.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <stdlib.h>

#include "cpu.h"
#include "crypto.h"
#include "env.h"

#define POLICIES 20
#define TURNS    25 /* rekeys of each */

static struct lcore *lc;
static struct dp *dp;
static struct rte_ring *tx;
static struct sa_ref gone[POLICIES], old[POLICIES], fresh[POLICIES];
static unsigned stored, rekeyed;

static void port_make(void)
{
	struct rte_eth_conf conf = { 0 };
	int dev;

	tx = rte_ring_create("tx", 256, SOCKET_ID_ANY, 0);
	cr_assert(tx);
	dev = rte_eth_from_ring(tx);
	cr_assert_geq(dev, 0);
	cr_assert_eq(rte_eth_dev_configure((uint16_t)dev, 1, 1, &conf), 0);
	cr_assert_eq(rte_eth_rx_queue_setup((uint16_t)dev, 0, 256, 0, NULL, lc->pool), 0);
	cr_assert_eq(rte_eth_tx_queue_setup((uint16_t)dev, 0, 256, 0, NULL), 0);
	cr_assert_eq(rte_eth_dev_start((uint16_t)dev), 0);
	for (unsigned i = 0; i < 2; i++) {
		lc->port[i].dev = (uint16_t)dev;
		lc->port[i].rx_queue = NO_QUEUE;
	}
}

static void on_stored(void *ctx, const struct sa_ref *ref, enum sa_dir dir)
{
	uint32_t policy = dp->worker[0].pair[ref->slot].policy;

	(void)ctx;
	stored++;
	if (dir != SA_OUT)
		return;
	rekeyed++;
	if (old[policy].spi) {
		dp_sa_remove(dp, &old[policy], SA_OUT);
		dp_sa_remove(dp, &old[policy], SA_IN);
		dp_sa_release(dp, &old[policy]);
	}
	gone[policy] = old[policy]; /* until the lcore has heard of it */
	old[policy] = fresh[policy];
}

static void pair_add(uint32_t policy)
{
	struct sa_params p = {
		.policy = policy,
		.proto = SA_ESP,
		.mode = SA_TUNNEL,
		.encr = ENCR_AES_GCM_16,
		.key_bits = 128,
		.local = ip_addr_v4(WAN_ADDR),
		.remote = ip_addr_v4(0x0a090002),
	};

	cr_assert_eq(dp_sa_reserve(dp, 0, &p.ref), 0);
	fresh[policy] = p.ref;
	p.spi = p.ref.spi;
	ip_range_parse("10.1.0.0/16", &p.sel.local);
	ip_range_parse("10.2.0.0/16", &p.sel.remote);
	for (enum sa_dir dir = SA_IN; dir <= SA_OUT; dir++) {
		p.dir = dir;
		cr_assert_eq(dp_sa_install(dp, &p), 0);
	}
}

static void start(void)
{
	struct spd_policy p[POLICIES];
	char why[200] = "", remote[32];

	lc = env_start();
	lc->mb = cpu_mgr_new();
	port_make();
	dp = env_dp(lc);
	dp->mb = cpu_mgr_new();
	dp->spi = lc->spi;
	dp->sa_slots = 1 << ENV_SLOT_BITS;
	dp->cb.on_sa_stored = on_stored;
	cr_assert(lc->mb && dp->mb && senders_init(dp) == 0 &&
		  slots_init(&dp->worker[0], dp->sa_slots) == 0);
	lc->spd->refs = lc->fib->refs = 1;
	dp->spd = lc->spd;
	for (uint32_t i = 0; i < POLICIES; i++) {
		snprintf(remote, sizeof(remote), "10.2.0.%u/32", i);
		p[i] = env_policy(i, POLICY_PROTECT, "10.1.0.0/16", remote);
	}
	cr_assert_eq(dp_spd_set(dp, p, POLICIES, why, sizeof(why)), 0, "%s", why);
}

TestSuite(rekey, .init = start);

/* A round with a packet for every policy; each must come out, under one of the policy's two keys.
 */
static unsigned round_run(void)
{
	unsigned queued = rte_ring_count(lc->cmd);
	bool seen[POLICIES] = { false };
	void *pkt;

	for (uint32_t i = 0; i < POLICIES; i++) {
		struct env_packet p = {
			.src = 0x0a010007, .dst = 0x0a020000 + i, .proto = PROTO_UDP, .payload = 20
		};
		struct rte_mbuf *m = env_ip(lc, &p);

		pkt_meta(m)->flags = PKT_LOCAL_OUT;
		cr_assert_eq(rte_ring_enqueue(lc->inject, m), 0);
	}
	lcore_round(lc);
	while (rte_ring_dequeue(tx, &pkt) == 0) {
		const uint8_t *ip =
			rte_pktmbuf_mtod_offset((struct rte_mbuf *)pkt, const uint8_t *, ETH_LEN);
		uint32_t spi = load_be32(ip + IP4_LEN);

		for (uint32_t i = 0; ip[0] == 0x45 && i < POLICIES; i++) /* not ARP */
			if (spi == gone[i].spi || spi == old[i].spi || spi == fresh[i].spi) {
				cr_expect_not(seen[i], "policy %u twice", i);
				seen[i] = true;
			}
		rte_pktmbuf_free(pkt);
	}
	for (uint32_t i = 0; i < POLICIES; i++)
		cr_assert(seen[i], "policy %u lost its packet", i);
	return queued - rte_ring_count(lc->cmd);
}

Test(rekey, no_packet_is_lost_and_no_round_takes_many_commands)
{
	unsigned most = 0, rounds = 0;

	for (uint32_t i = 0; i < POLICIES; i++)
		pair_add(i);
	for (unsigned i = 0; i < 200; i++) {
		lcore_commands(lc);
		dp_poll(dp);
	}
	cr_assert_eq(stored, 2 * POLICIES);
	srandom(4);
	for (unsigned turn = 1; turn <= TURNS; turn++) {
		for (uint32_t i = 0; i < POLICIES; i++)
			pair_add(i);
		while (rekeyed < (turn + 1) * POLICIES || rte_ring_count(lc->cmd) ||
		       dp->worker[0].n_late || rte_ring_count(lc->evt) || lc->backlog.n) {
			unsigned took = round_run();

			most = RTE_MAX(most, took);
			cr_assert_lt(++rounds, 10000, "it never ends");
			if (random() % 3 == 0)
				dp_poll(dp);
		}
	}
	cr_expect_leq(most, COMMANDS_PER_ROUND);
	cr_expect_eq(lc->sa_out_count, POLICIES, "the old ones are gone");
	cr_expect_eq(lc->sa_in_count, POLICIES);
	cr_expect_eq(env_drops(lc), 0);
	cr_expect_eq(env_leaked(lc), 0);
}
