/* stage_esp_out(): the outer header, sizes, limits, and what it must refuse. */
#include <criterion/criterion.h>
#include <rte_ring.h>
#include <string.h>

#include "esp_env.h"
#include "esp_ref.h"
#include "wire.h"

#define SLOT 9
#define SPI  ENV_SPI(SLOT)

static struct esp_env env;
static struct sa_params out;

static struct sa *sa_add(void)
{
	struct sa *sa = esp_env_add(&env, &out);

	cr_assert(sa);
	return sa;
}

static void setup(void)
{
	esp_env_init(&env, false, 1023);
	out = esp_env_params(SA_OUT, SPI, ENCR_AES_GCM_16, 128, INTEG_NONE, false);
	sa_add();
}

static void teardown(void)
{
	cr_assert(esp_env_done(&env), "mbufs leaked");
}

static struct rte_mbuf *packet(struct inner_spec spec)
{
	if (!spec.total)
		spec.total = 100;
	return esp_env_inner(&env, &spec, SLOT);
}

static struct rte_mbuf *encrypt(struct rte_mbuf *pkt)
{
	cr_assert_eq(stage_esp_out(env.lc, &pkt, 1), 1);
	return pkt;
}

#define refuse(pkt_, reason)                                                                       \
	do {                                                                                       \
		struct rte_mbuf *refuse_pkt = (pkt_);                                              \
		uint64_t before = env.lc->count.drop[DROP_##reason];                               \
		cr_assert_eq(stage_esp_out(env.lc, &refuse_pkt, 1), 0, "not refused: " #reason);   \
		cr_assert_eq(env.lc->count.drop[DROP_##reason], before + 1, "not " #reason);       \
	} while (0)

Test(esp_out, no_sa, .init = setup, .fini = teardown)
{
	struct rte_mbuf *pkt = packet((struct inner_spec){ 0 });

	pkt_meta(pkt)->slot = SLOT + 1;
	refuse(pkt, spd_no_sa);
}

Test(esp_out, inner_malformed, .init = setup, .fini = teardown)
{
	static const struct {
		unsigned off;
		uint8_t value;
	} bad[] = { { 0, 0x55 }, { 0, 0x44 }, { 0, 0x4f }, { 3, 101 }, { 3, 19 }, { 2, 0x80 } };
	struct rte_mbuf *pkt;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		pkt = packet((struct inner_spec){ .total = bad[i].value == 0x4f ? 59 : 100 });
		rte_pktmbuf_mtod(pkt, uint8_t *)[bad[i].off] = bad[i].value;
		refuse(pkt, inner_malformed);
	}
	pkt = packet((struct inner_spec){ .total = 40 });
	rte_pktmbuf_trim(pkt, 21);
	refuse(pkt, inner_malformed);
	pkt = packet((struct inner_spec){ 0 });
	rte_pktmbuf_mtod(pkt, uint8_t *)[0] = 0x60;
	refuse(pkt, inner_malformed);
	cr_assert_eq(env.lc->sa_out[SLOT].sa->seq, 0, "a refused packet used up a number");
}

Test(esp_out, ttl, .init = setup, .fini = teardown)
{
	struct rte_mbuf *pkt;
	uint8_t plain[256], next;
	uint32_t seq;

	refuse(packet((struct inner_spec){ .ttl = 1 }), ip_ttl);
	pkt = encrypt(packet((struct inner_spec){ .ttl = 2 }));
	cr_assert_eq(esp_ref_open(&out, rte_pktmbuf_mtod(pkt, uint8_t *), pkt->data_len, plain, &seq,
				  &next), 100);
	cr_assert_eq(plain[IP4_TTL], 1);
	cr_assert(ip4_sum_ok(plain));
	cr_assert_eq(rte_pktmbuf_mtod(pkt, uint8_t *)[IP4_TTL], 64, "the outer TTL is ours");
	rte_pktmbuf_free(pkt);
	/* what the gateway makes itself keeps its TTL, also 1 */
	pkt = packet((struct inner_spec){ .ttl = 1 });
	pkt_meta(pkt)->flags = PKT_LOCAL_OUT;
	pkt = encrypt(pkt);
	cr_assert_eq(esp_ref_open(&out, rte_pktmbuf_mtod(pkt, uint8_t *), pkt->data_len, plain, &seq,
				  &next), 100);
	cr_assert_eq(plain[IP4_TTL], 1);
	rte_pktmbuf_free(pkt);
}

static struct rte_mbuf *outer_of(struct inner_spec spec)
{
	return encrypt(packet(spec));
}

Test(esp_out, df_policy, .init = setup, .fini = teardown)
{
	static const uint16_t want[3][2] = { [DF_COPY] = { 0, IP4_DF },
					     [DF_SET] = { IP4_DF, IP4_DF },
					     [DF_CLEAR] = { 0, 0 } };

	for (unsigned df = DF_COPY; df <= DF_CLEAR; df++) {
		out.df = (enum df_policy)df;
		sa_add();
		for (unsigned i = 0; i < 2; i++) {
			struct rte_mbuf *pkt = outer_of((struct inner_spec){ .frag = i ? IP4_DF : 0 });
			uint8_t *ip = rte_pktmbuf_mtod(pkt, uint8_t *);

			cr_assert_eq(load_be16(ip + IP4_FRAG), want[df][i], "policy %u inner %u", df, i);
			cr_assert(ip4_sum_ok(ip));
			rte_pktmbuf_free(pkt);
		}
	}
}

Test(esp_out, tos, .init = setup, .fini = teardown)
{
	for (unsigned tos = 0; tos < 256; tos++) {
		struct rte_mbuf *pkt = outer_of((struct inner_spec){ .tos = (uint8_t)tos });
		uint8_t *ip = rte_pktmbuf_mtod(pkt, uint8_t *);

		cr_assert_eq(ip[IP4_TOS], tos);
		cr_assert(ip4_sum_ok(ip));
		rte_pktmbuf_free(pkt);
	}
	out.copy_dscp = false;
	out.dscp = 46;
	sa_add();
	for (unsigned ecn = 0; ecn < 4; ecn++) {
		struct rte_mbuf *pkt = outer_of((struct inner_spec){ .tos = (uint8_t)(0x28 | ecn) });

		cr_assert_eq(rte_pktmbuf_mtod(pkt, uint8_t *)[IP4_TOS], 46 << 2 | ecn);
		rte_pktmbuf_free(pkt);
	}
}

Test(esp_out, too_big, .init = setup, .fini = teardown)
{
	struct sa *sa = env.lc->sa_out[SLOT].sa;
	struct rte_mbuf *pkt;
	void *punted;
	uint16_t fits;

	sa->outer_mtu = 1400;
	/* 20 + 8 + 8 + 16 around; 1348 of ciphertext; 2 of trailer */
	fits = 1346;
	pkt = outer_of((struct inner_spec){ .total = fits, .frag = IP4_DF });
	cr_assert_eq(pkt->data_len, 1400);
	rte_pktmbuf_free(pkt);
	refuse(packet((struct inner_spec){ .total = fits + 1, .frag = IP4_DF }), too_big);
	cr_assert_eq(rte_ring_dequeue(env.lc->punt, &punted), 0, "the sender is to hear of it");
	cr_assert_eq(pkt_meta(punted)->slot & 0xffff, fits, "and of the right size");
	rte_pktmbuf_free(punted);
	pkt = outer_of((struct inner_spec){ .total = fits + 1 });
	cr_assert_eq(pkt->data_len, 1404);
	rte_pktmbuf_free(pkt);
	/* RFC 4301 section 8.1: cleared outside, so that the outer packet can be cut */
	sa->df = DF_CLEAR;
	pkt = outer_of((struct inner_spec){ .total = fits + 1, .frag = IP4_DF });
	cr_assert_eq(pkt->data_len, 1404);
	cr_assert_eq(load_be16(rte_pktmbuf_mtod(pkt, uint8_t *) + IP4_FRAG), 0);
	rte_pktmbuf_free(pkt);
	sa->df = DF_SET;
	refuse(packet((struct inner_spec){ .total = fits + 1, .frag = IP4_DF }), too_big);
	cr_assert_eq(rte_ring_dequeue(env.lc->punt, &punted), 0);
	rte_pktmbuf_free(punted);
}

/* Ethernet padding behind the inner packet does not go into the tunnel. */
Test(esp_out, trailing_bytes, .init = setup, .fini = teardown)
{
	struct rte_mbuf *pkt = packet((struct inner_spec){ .total = 28 });
	uint8_t plain[256], next;
	uint32_t seq;

	memset(rte_pktmbuf_append(pkt, 18), 0xee, 18);
	pkt = encrypt(pkt);
	cr_assert_eq(pkt->data_len, 20 + 16 + 32 + 16);
	cr_assert_eq(esp_ref_open(&out, rte_pktmbuf_mtod(pkt, uint8_t *), pkt->data_len, plain, &seq,
				  &next), 28);
	rte_pktmbuf_free(pkt);
}

Test(esp_out, sequence_exhaustion, .init = setup, .fini = teardown)
{
	struct sa *sa = env.lc->sa_out[SLOT].sa;
	struct evt evt;
	uint8_t plain[256], next;
	uint32_t seq;

	sa->seq = UINT32_MAX - UINT32_MAX / 4 - 1;
	rte_pktmbuf_free(outer_of((struct inner_spec){ 0 }));
	cr_assert(esp_env_event(&env, &evt), "time to ask for a successor");
	cr_assert(evt.op == EVT_SA_SOFT && evt.limit == LIMIT_SEQUENCE && evt.dir == SA_OUT);
	sa->seq = UINT32_MAX - 3;
	for (unsigned i = 0; i < 3; i++) {
		struct rte_mbuf *pkt = outer_of((struct inner_spec){ 0 });

		cr_assert_eq(esp_ref_open(&out, rte_pktmbuf_mtod(pkt, uint8_t *), pkt->data_len, plain,
					  &seq, &next), 100);
		cr_assert_eq(seq, UINT32_MAX - 2 + i);
		rte_pktmbuf_free(pkt);
	}
	cr_assert(esp_env_event(&env, &evt));
	cr_assert(evt.op == EVT_SA_HARD && evt.limit == LIMIT_SEQUENCE);
	for (unsigned i = 0; i < 3; i++)
		refuse(packet((struct inner_spec){ 0 }), sa_seq_exhausted);
	cr_assert_eq(sa->seq, UINT32_MAX);
	cr_assert_not(esp_env_event(&env, &evt));
}

/* Within one burst, too, exactly the hard limit passes. */
Test(esp_out, limits_within_a_burst, .init = setup, .fini = teardown)
{
	struct rte_mbuf *pkts[32];
	struct evt evt;

	out.soft_bytes = 500;
	out.hard_bytes = 1000;
	sa_add();
	for (unsigned i = 0; i < 32; i++)
		pkts[i] = packet((struct inner_spec){ 0 });
	cr_assert_eq(stage_esp_out(env.lc, pkts, 32), 10);
	cr_assert_eq(env.lc->count.drop[DROP_sa_expired], 22);
	for (unsigned i = 0; i < 10; i++)
		rte_pktmbuf_free(pkts[i]);
	cr_assert(esp_env_event(&env, &evt) && evt.op == EVT_SA_SOFT && evt.limit == LIMIT_BYTES);
	cr_assert(esp_env_event(&env, &evt) && evt.op == EVT_SA_HARD && evt.limit == LIMIT_BYTES);
	cr_assert_not(esp_env_event(&env, &evt));
	cr_assert_eq(env.lc->sa_out[SLOT].sa->bytes, 1000);
	cr_assert_eq(env.lc->count.esp_out_packets, 10);
	cr_assert_eq(env.lc->count.esp_out_bytes, 1000);
}

/* Soft and hard by the same packet: both events, in that order. */
Test(esp_out, soft_and_hard_at_once, .init = setup, .fini = teardown)
{
	struct evt evt;

	out.soft_packets = out.hard_packets = 1;
	sa_add();
	rte_pktmbuf_free(outer_of((struct inner_spec){ 0 }));
	cr_assert(esp_env_event(&env, &evt) && evt.op == EVT_SA_SOFT);
	cr_assert(esp_env_event(&env, &evt) && evt.op == EVT_SA_HARD);
	refuse(packet((struct inner_spec){ 0 }), sa_expired);
}

static void expect_copied(struct rte_mbuf *given, struct rte_mbuf *kept, const uint8_t *before)
{
	struct rte_mbuf *pkt = encrypt(given);
	uint8_t plain[256], next, want[100];
	uint32_t seq;

	if (kept)
		cr_assert_arr_eq(rte_pktmbuf_mtod(kept, uint8_t *), before, 100, "written in place");
	cr_assert_eq(esp_ref_open(&out, rte_pktmbuf_mtod(pkt, uint8_t *), pkt->data_len, plain, &seq,
				  &next), 100);
	esp_env_inner_bytes(&(struct inner_spec){ .total = 100 }, want);
	ip4_ttl_decrement(want);
	cr_assert_arr_eq(plain, want, 100);
	rte_pktmbuf_free(pkt);
}

Test(esp_out, not_ours_alone, .init = setup, .fini = teardown)
{
	struct rte_mbuf *pkt = packet((struct inner_spec){ 0 }), *other;
	uint8_t before[100];

	memcpy(before, rte_pktmbuf_mtod(pkt, uint8_t *), 100);
	rte_mbuf_refcnt_update(pkt, 1);
	expect_copied(pkt, pkt, before);

	other = rte_pktmbuf_clone(pkt, env.pool);
	*pkt_meta(other) = *pkt_meta(pkt);
	expect_copied(other, pkt, before);
	rte_pktmbuf_free(pkt);

	for (uint16_t cut = 1; cut < 100; cut++) {
		pkt = packet((struct inner_spec){ 0 });
		other = rte_pktmbuf_alloc(env.pool);
		memcpy(rte_pktmbuf_append(other, cut), rte_pktmbuf_mtod(pkt, void *), cut);
		*pkt_meta(other) = *pkt_meta(pkt);
		rte_pktmbuf_adj(pkt, cut);
		cr_assert_eq(rte_pktmbuf_chain(other, pkt), 0);
		expect_copied(other, NULL, NULL);
	}
	/* no room in front, no room behind */
	pkt = packet((struct inner_spec){ 0 });
	memmove((char *)pkt->buf_addr + 10, rte_pktmbuf_mtod(pkt, char *), 100);
	pkt->data_off = 10;
	expect_copied(pkt, NULL, NULL);
	pkt = packet((struct inner_spec){ 0 });
	memmove((char *)pkt->buf_addr + pkt->buf_len - 100, rte_pktmbuf_mtod(pkt, char *), 100);
	pkt->data_off = pkt->buf_len - 100;
	expect_copied(pkt, NULL, NULL);
}

Test(esp_out, no_mbuf_for_the_copy, .init = setup, .fini = teardown)
{
	struct rte_mbuf *pkt = packet((struct inner_spec){ 0 }), *all[1023];
	unsigned n = 0;

	rte_mbuf_refcnt_update(pkt, 1);
	while ((all[n] = rte_pktmbuf_alloc(env.pool)))
		n++;
	refuse(pkt, no_mbuf);
	while (n > 0)
		rte_pktmbuf_free(all[--n]);
	rte_pktmbuf_free(pkt);
	/* longer than any mbuf of the pools */
	env.lc->jumbo = NULL;
	pkt = packet((struct inner_spec){ .total = 1800 });
	all[0] = rte_pktmbuf_alloc(env.pool);
	memset(rte_pktmbuf_append(all[0], 1800), 0, 1800);
	cr_assert_eq(rte_pktmbuf_chain(pkt, all[0]), 0);
	store_be16(rte_pktmbuf_mtod(pkt, uint8_t *) + IP4_TOTAL, 3600);
	refuse(pkt, no_headroom);
}

/* RFC 3948 in IPv6: the device sums up what the pseudo-header does not cover; a packet that is cut in two
 * must be summed up before. */
Test(esp_out, udp_checksum_by_the_device, .init = setup, .fini = teardown)
{
	struct rte_mbuf *pkt, *part[MAX_FRAGMENTS];
	uint8_t whole[2048], plain[2048], next;
	uint32_t seq, at = 0;
	uint16_t sum;
	int n;

	out.udp_encap = true;
	esp_env_form(&out, FORM_TUNNEL46);
	sa_add()->flags |= SA_F_DEVICE_SUM;
	for (unsigned cut = 0; cut < 2; cut++) {
		pkt = encrypt(packet((struct inner_spec){ .total = 1301 }));
		cr_assert_eq(pkt->ol_flags & (RTE_MBUF_F_TX_IPV6 | RTE_MBUF_F_TX_L4_MASK),
			     RTE_MBUF_F_TX_IPV6 | RTE_MBUF_F_TX_UDP_CKSUM);
		cr_assert_eq(pkt->l2_len, ETH_LEN);
		cr_assert_eq(pkt->l3_len, IP6_LEN);
		if (cut) {
			n = packet_split6(env.lc, pkt, 1280, part);
			cr_assert_eq(n, 2);
			for (int i = 0; i < n; i++) {
				uint8_t *ip = rte_pktmbuf_mtod(part[i], uint8_t *);
				uint32_t head = i ? 0 : IP6_LEN, len = part[i]->data_len - IP6_LEN - IP6F_LEN;

				cr_assert_not(part[i]->ol_flags & RTE_MBUF_F_TX_L4_MASK);
				memcpy(whole, ip, head);
				at += head;
				memcpy(whole + at, ip + IP6_LEN + IP6F_LEN, len);
				at += len;
				rte_pktmbuf_free(part[i]);
			}
			whole[IP6_NEXT] = PROTO_UDP;
			store_be16(whole + IP6_PAYLOAD, (uint16_t)(at - IP6_LEN));
		} else { /* as a device does: the sum over the datagram, with what stands in the field */
			at = pkt->data_len;
			memcpy(whole, rte_pktmbuf_mtod(pkt, uint8_t *), at);
			sum = (uint16_t)~sum_fold(sum_add(0, whole + IP6_LEN, at - IP6_LEN));
			memcpy(whole + IP6_LEN + UDP_SUM, &sum, 2);
			rte_pktmbuf_free(pkt);
		}
		cr_assert_eq(esp_ref_open(&out, whole, at, plain, &seq, &next), 1301, "cut %u", cut);
		at = 0;
	}
}
