/* A NAT gives a peer another address or port: its ESP is still taken, and control hears where the newest
 * packet came from. */
#include <criterion/criterion.h>

#include "esp_env.h"
#include "wire.h"

#define SPI  ENV_SPI(3)
#define ELSE 0xc0a80907u

static struct esp_env env;
static struct sa *in;

static void start_with(bool udp)
{
	struct sa_params p;

	esp_env_init(&env, false, 63);
	p = esp_env_params(SA_OUT, SPI, ENCR_AES_GCM_16, 128, INTEG_NONE, udp);
	cr_assert(esp_env_add(&env, &p));
	p = esp_env_params(SA_IN, SPI, ENCR_AES_GCM_16, 128, INTEG_NONE, udp);
	in = esp_env_add(&env, &p);
	cr_assert(in);
}

static void start(void)
{
	start_with(true);
}

static void finish(void)
{
	esp_env_remove(&env, SA_OUT, SPI);
	esp_env_remove(&env, SA_IN, SPI);
	cr_expect(esp_env_done(&env), "a packet leaked");
}

TestSuite(moved, .init = start, .fini = finish);

/* The next packet of the peer, as it arrives from there. */
static struct rte_mbuf *packet(uint32_t from, uint16_t port)
{
	struct inner_spec spec = { .total = 100 };
	struct rte_mbuf *pkt = esp_env_inner(&env, &spec, ENV_SPI(3) & 0x7ff);
	uint8_t *ip;

	cr_assert_eq(stage_esp_out(env.lc, &pkt, 1), 1);
	esp_env_turn(pkt);
	ip = rte_pktmbuf_mtod(pkt, uint8_t *);
	if (from)
		store_be32(ip + IP4_SRC, from);
	if (port)
		store_be16(ip + IP4_LEN + UDP_SPORT, port);
	ip4_sum_set(ip);
	return pkt;
}

static bool taken(struct rte_mbuf *pkt)
{
	uint16_t n = stage_esp_in(env.lc, &pkt, 1);

	if (n)
		rte_pktmbuf_free(pkt);
	return n;
}

static bool moved(struct evt *e)
{
	return esp_env_event(&env, e) && e->op == EVT_PEER_MOVED && e->spi == SPI;
}

static void second_later(void)
{
	env.lc->now_tsc += env.lc->tsc_hz;
}

Test(moved, who_stays_is_not_spoken_of)
{
	struct evt e;

	cr_expect(taken(packet(0, 0)));
	cr_expect_not(esp_env_event(&env, &e));
}

Test(moved, another_port)
{
	struct evt e;

	cr_expect(taken(packet(0, 5678)));
	cr_assert(moved(&e));
	cr_expect_eq(e.port, 5678);
	cr_expect_eq(e.remote.family, IP_V4);
	cr_expect_eq(ip_addr_to_v4(&e.remote), in->remote_v4);
}

Test(moved, another_address)
{
	struct evt e;

	cr_expect(taken(packet(ELSE, 0)));
	cr_assert(moved(&e));
	cr_expect_eq(ip_addr_to_v4(&e.remote), ELSE);
	cr_expect_eq(in->packets, 1);
}

Test(moved, once_a_second)
{
	struct evt e;

	for (unsigned i = 0; i < 5; i++)
		cr_expect(taken(packet(ELSE, 5678)));
	cr_expect(moved(&e));
	cr_expect_not(esp_env_event(&env, &e));
	second_later();
	cr_expect(taken(packet(ELSE, 5678)));
	cr_expect(moved(&e));
}

/* What is late, held back, repeated or forged moves nobody. */
Test(moved, only_the_newest_authentic_packet)
{
	struct rte_mbuf *late = packet(ELSE, 5678), *forged, *again;
	struct evt e;

	cr_expect(taken(packet(0, 0)));
	cr_expect(taken(late), "late, and within the window");
	cr_expect_not(esp_env_event(&env, &e));

	forged = packet(ELSE, 5678);
	*rte_pktmbuf_mtod_offset(forged, uint8_t *, 60) ^= 1;
	cr_expect_not(taken(forged));
	cr_expect_eq(env.lc->count.drop[DROP_esp_icv], 1);
	cr_expect_not(esp_env_event(&env, &e));

	again = packet(0, 0);
	late = rte_pktmbuf_copy(again, env.pool, 0, UINT32_MAX);
	cr_assert(late);
	*pkt_meta(late) = *pkt_meta(again);
	cr_expect(taken(again));
	store_be16(rte_pktmbuf_mtod_offset(late, uint8_t *, IP4_LEN + UDP_SPORT), 5678);
	cr_expect_not(taken(late));
	cr_expect_eq(env.lc->count.drop[DROP_replay_dup], 1);
	cr_expect_not(esp_env_event(&env, &e));
}

Test(moved, our_own_address_must_be_right)
{
	struct rte_mbuf *pkt = packet(0, 0);

	store_be32(rte_pktmbuf_mtod_offset(pkt, uint8_t *, IP4_DST), ELSE);
	cr_expect_not(taken(pkt));
	cr_expect_eq(env.lc->count.drop[DROP_esp_addr], 1);
}

static void start_plain(void)
{
	start_with(false);
}

TestSuite(moved_plain, .init = start_plain, .fini = finish);

/* Without UDP there is no NAT to blame. */
Test(moved_plain, nobody_moves)
{
	struct evt e;

	cr_expect_not(taken(packet(ELSE, 0)));
	cr_expect_eq(env.lc->count.drop[DROP_esp_addr], 1);
	cr_expect_not(esp_env_event(&env, &e));
}
