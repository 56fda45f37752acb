/* MSS clamping: the option wherever it stands, both families, both directions of an SA, and never in
 * bytes that somebody else sees. */
#include <criterion/criterion.h>
#include <string.h>

#include "esp_env.h"
#include "esp_ref.h"
#include "mss.h"

#define SLOT 5
#define SPI  ENV_SPI(SLOT)
#define ROOM 256

static struct esp_env env;

static void setup(void)
{
	esp_env_init(&env, false, 255);
}

static void teardown(void)
{
	cr_assert(esp_env_done(&env), "mbufs leaked");
}

/* A TCP segment without payload from 10.1.0.5 to 10.2.0.9, or 2001:db8:1::5 to 2001:db8:2::9, with a
 * right checksum. Returns its length. */
static uint32_t segment(uint8_t *ip, bool four, uint8_t flags, const uint8_t *opt, uint32_t n_opt)
{
	static const uint8_t from[2] = { 1, 5 }, to[2] = { 2, 9 };
	uint32_t l4 = four ? IP4_LEN : IP6_LEN, n = TCP_LEN + n_opt;
	uint8_t *tcp = ip + l4, pseudo[4] = { 0, PROTO_TCP, 0, (uint8_t)n };
	uint16_t sum;

	memset(ip, 0, ROOM);
	store_be16(tcp, 40000);
	store_be16(tcp + 2, 80);
	tcp[TCP_DATA_OFF] = (uint8_t)(n / 4 << 4);
	tcp[TCP_FLAGS] = flags;
	memcpy(tcp + TCP_LEN, opt, n_opt);
	if (four) {
		ip[IP4_VER_IHL] = 0x45;
		store_be16(ip + IP4_TOTAL, (uint16_t)(l4 + n));
		ip[IP4_TTL] = 64;
		ip[IP4_PROTO] = PROTO_TCP;
		store_be32(ip + IP4_SRC, 0x0a000000u | (uint32_t)from[0] << 16 | from[1]);
		store_be32(ip + IP4_DST, 0x0a000000u | (uint32_t)to[0] << 16 | to[1]);
		ip4_sum_set(ip);
		sum = (uint16_t)~sum_fold(
			sum_add(sum_add(sum_add(0, ip + IP4_SRC, 8), pseudo, 4), tcp, n));
	} else {
		ip[0] = 0x60;
		store_be16(ip + IP6_PAYLOAD, (uint16_t)n);
		ip[IP6_NEXT] = PROTO_TCP;
		ip[IP6_HOPS] = 64;
		memcpy(ip + IP6_SRC, (uint8_t[6]){ 0x20, 1, 0x0d, 0xb8, 0, from[0] }, 6);
		ip[IP6_SRC + 15] = from[1];
		memcpy(ip + IP6_DST, (uint8_t[6]){ 0x20, 1, 0x0d, 0xb8, 0, to[0] }, 6);
		ip[IP6_DST + 15] = to[1];
		sum = (uint16_t)~ip6_l4_sum(ip, PROTO_TCP, tcp, n);
	}
	memcpy(tcp + TCP_SUM, &sum, 2);
	return l4 + n;
}

static bool sum_right(const uint8_t *ip)
{
	if (ip_version(ip) == 6)
		return ip6_l4_sum(ip, PROTO_TCP, ip + IP6_LEN, load_be16(ip + IP6_PAYLOAD)) == 0xffff;
	uint16_t n = (uint16_t)(load_be16(ip + IP4_TOTAL) - IP4_LEN);
	uint8_t pseudo[4] = { 0, PROTO_TCP, (uint8_t)(n >> 8), (uint8_t)n };

	return sum_fold(sum_add(sum_add(sum_add(0, ip + IP4_SRC, 8), pseudo, 4), ip + IP4_LEN, n)) ==
	       0xffff;
}

#define MSS(v) 2, 4, (v) >> 8, (v) & 0xff

/* ------------------------------------------------------------------------- the option ------- */

Test(mss, option_in_every_place)
{
	static const struct {
		uint8_t opt[12];
		unsigned at; /* of the value; 0: nothing changes */
	} c[] = {
		{ { MSS(1460), 1, 3, 3, 7, 4, 2, 0, 0 }, 2 },
		{ { 1, MSS(1460), 3, 3, 7, 4, 2, 0, 0 }, 3 }, /* in the halves of two words */
		{ { 4, 2, MSS(1460), 1, 3, 3, 7, 1, 1 }, 4 },
		{ { 3, 3, 7, 1, 1, 1, 1, MSS(1460), 1 }, 9 },
		{ { 1, 1, 1, 1, 1, 1, 1, 1, MSS(1460) }, 10 },
		{ { MSS(1200), 1, 1, 1, 1, 0, 0, 0, 0 }, 0 }, /* small enough */
		{ { MSS(1100), 1, 1, 1, 1, 0, 0, 0, 0 }, 0 },
		{ { 0, MSS(1460), 1, 1, 1, 1, 1, 1, 1 }, 0 }, /* behind the end */
		{ { 3, 0, MSS(1460), 1, 1, 1, 1, 1, 1 }, 0 }, /* malformed */
		{ { 3, 1, MSS(1460), 1, 1, 1, 1, 1, 1 }, 0 },
		{ { 3, 40, MSS(1460), 1, 1, 1, 1, 1, 1 }, 0 },
		{ { 2, 3, 1460 >> 8, 1460 & 0xff, 1, 1, 1, 1, 1, 1, 1, 1 }, 0 },
		{ { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2 }, 0 }, /* cut off */
		{ { 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 4, 5 }, 0 },
	};

	for (unsigned i = 0; i < sizeof(c) / sizeof(c[0]) * 2; i++) {
		uint8_t ip[ROOM], before[ROOM];
		uint32_t len = segment(ip, i & 1, TCP_SYN, c[i / 2].opt, 12), l4;

		cr_assert(sum_right(ip));
		memcpy(before, ip, ROOM);
		l4 = mss_syn(ip, len);
		cr_assert_eq(l4, i & 1 ? IP4_LEN : IP6_LEN);
		mss_lower(ip, len, l4, 1200);
		cr_assert(sum_right(ip), "case %u", i / 2);
		if (c[i / 2].at) {
			uint8_t *value = ip + l4 + TCP_LEN + c[i / 2].at;
			cr_assert_eq(load_be16(value), 1200, "case %u", i / 2);
			memcpy(value, before + (value - ip), 2);
			memcpy(ip + l4 + TCP_SUM, before + l4 + TCP_SUM, 2);
		}
		cr_assert_arr_eq(ip, before, ROOM, "case %u", i / 2);
	}
}

/* Every old value, new value and place: the checksum is right, also where it becomes zero. */
Test(mss, checksum)
{
	uint8_t ip[ROOM], opt[8] = { 0 };
	unsigned wrong = 0;

	for (unsigned odd = 0; odd < 2; odd++)
		for (uint32_t old = 0; old < 65536; old += 7)
			for (uint32_t limit = 128; limit < 9600; limit += 977) {
				opt[0] = 1;
				memcpy(opt + odd, (uint8_t[4]){ MSS(old) }, 4);
				uint32_t len = segment(ip, true, TCP_SYN, opt, 8);
				mss_lower(ip, len, IP4_LEN, (uint16_t)limit);
				wrong += !sum_right(ip) ||
					 load_be16(ip + IP4_LEN + TCP_LEN + odd + 2) !=
						 RTE_MIN(old, limit);
			}
	cr_assert_eq(wrong, 0);
}

Test(mss, what_is_a_syn)
{
	uint8_t ip[ROOM], opt[4] = { MSS(1460) };
	uint32_t len = segment(ip, true, TCP_SYN | 0x10, opt, 4);

	cr_assert_eq(mss_syn(ip, len), IP4_LEN, "SYN and ACK");
	for (uint32_t n = 0; n < IP4_LEN + TCP_LEN; n++)
		cr_assert_eq(mss_syn(ip, n), 0, "%u bytes", n);
	store_be16(ip + IP4_FRAG, 1);
	cr_assert_eq(mss_syn(ip, len), 0, "a later fragment");
	store_be16(ip + IP4_FRAG, IP4_MF);
	cr_assert_eq(mss_syn(ip, len), IP4_LEN, "a first fragment");
	ip[IP4_PROTO] = PROTO_UDP;
	cr_assert_eq(mss_syn(ip, len), 0);
	segment(ip, true, 0x10, opt, 4);
	cr_assert_eq(mss_syn(ip, len), 0, "no SYN");
	ip[0] = 0x4f; /* options up to behind the packet */
	cr_assert_eq(mss_syn(ip, len), 0);
	len = segment(ip, false, TCP_SYN, opt, 4);
	cr_assert_eq(mss_syn(ip, IP6_LEN + TCP_LEN - 1), 0);
	cr_assert_eq(mss_syn(ip, len), IP6_LEN);
}

/* ------------------------------------------------------------------------- through SAs ------ */

/* The MSS of what comes out at the other end, of a SYN of 9000. */
static uint16_t through(struct sa_params *p, enum sa_dir dir, bool four, bool shared)
{
	static const uint8_t opt[4] = { MSS(9000) };
	uint8_t ip[ROOM], outer[2 * ROOM], before[ROOM], plain[2 * ROOM], next;
	uint32_t len = segment(ip, four, TCP_SYN, opt, 4), seq;
	struct rte_mbuf *pkt, *mine = NULL;
	uint32_t l4 = four ? IP4_LEN : IP6_LEN;
	struct sa *sa;

	p->dir = dir;
	sa = esp_env_add(&env, p);
	cr_assert(sa);
	sa->outer_mtu = 1400;
	memcpy(before, ip, ROOM);
	if (dir == SA_OUT) {
		pkt = esp_env_chain(&env, ip, len, 0);
		pkt_meta(pkt)->slot = SLOT;
		if (shared) {
			mine = pkt;
			rte_mbuf_refcnt_update(mine, 1);
		}
		cr_assert_eq(stage_esp_out(env.lc, &pkt, 1), 1);
		if (mine)
			cr_assert_arr_eq(rte_pktmbuf_mtod(mine, uint8_t *), before, len,
					 "written where another sees it");
		cr_assert_geq(esp_ref_open(p, rte_pktmbuf_mtod(pkt, uint8_t *), pkt->data_len, plain,
					   &seq, &next), 0);
	} else {
		memcpy(plain, ip, len);
		len = esp_ref_trailer(p, plain, len, four ? 4 : 41);
		len = esp_ref_seal(p, 1, plain, len, outer);
		pkt = esp_env_packet(&env, outer, len, p->udp_encap);
		esp_env_turn(pkt);
		cr_assert_eq(stage_esp_in(env.lc, &pkt, 1), 1);
		memcpy(plain, rte_pktmbuf_mtod(pkt, uint8_t *), pkt->data_len);
	}
	rte_pktmbuf_free(pkt);
	rte_pktmbuf_free(mine);
	cr_assert(sum_right(plain));
	return load_be16(plain + l4 + TCP_LEN + 2);
}

Test(mss, through_sas, .init = setup, .fini = teardown)
{
	static const enum esp_form forms[] = { FORM_TUNNEL44, FORM_TUNNEL46, FORM_TUNNEL64,
					       FORM_TUNNEL66 };

	for (unsigned i = 0; i < 4 * 2 * 2; i++) {
		enum esp_form form = forms[i / 4];
		bool four = form == FORM_TUNNEL44 || form == FORM_TUNNEL46, gcm = i & 1;
		enum sa_dir dir = i & 2 ? SA_OUT : SA_IN;
		struct sa_params p = gcm ? esp_env_params(dir, SPI, ENCR_AES_GCM_16, 128, INTEG_NONE,
							  false)
					 : esp_env_params(dir, SPI, ENCR_AES_CBC, 128,
							  INTEG_HMAC_SHA1_96, false);
		uint16_t outer = form == FORM_TUNNEL44 || form == FORM_TUNNEL64 ? 20 : 40;
		/* what is left of 1400: ESP header, IV and ICV; whole blocks; trailer */
		uint16_t inner = gcm ? (uint16_t)(((1400 - outer - 8 - 8 - 16) & ~3) - 2)
				     : (uint16_t)(((1400 - outer - 8 - 16 - 12) & ~15) - 2);
		uint16_t want = (uint16_t)(inner - (four ? 40 : 60));

		esp_env_form(&p, form);
		cr_expect_eq(through(&p, dir, four, i & 1), 9000, "asked of nobody");
		p.clamp_mss = 1000;
		cr_expect_eq(through(&p, dir, four, i & 1), 1000);
		p.clamp_mss = MSS_AUTO;
		cr_expect_eq(through(&p, dir, four, i & 1), want, "form %u dir %u: %u, not %u", form,
			     dir, through(&p, dir, four, i & 1), want);
	}
}

/* A SYN that fills the MSS that was announced goes through the SA in one packet of exactly its MTU, or
 * less by no more than the padding. */
Test(mss, auto_fits, .init = setup, .fini = teardown)
{
	struct sa_params p = esp_env_params(SA_OUT, SPI, ENCR_AES_CBC, 256, INTEG_HMAC_SHA256_128,
					    true);
	uint16_t mss;

	p.clamp_mss = MSS_AUTO;
	mss = through(&p, SA_OUT, true, false);
	for (unsigned more = 0; more < 2; more++) {
		struct inner_spec spec = { .total = (uint16_t)(mss + 40 + more), .frag = IP4_DF };
		struct rte_mbuf *pkt = esp_env_inner(&env, &spec, SLOT);
		uint16_t n = stage_esp_out(env.lc, &pkt, 1);

		cr_assert_eq(n, more ? 0 : 1);
		if (n) {
			cr_assert_leq(pkt->pkt_len, 1400);
			cr_assert_gt(pkt->pkt_len, 1400 - 16);
			rte_pktmbuf_free(pkt);
		}
	}
	while (rte_ring_count(env.lc->punt)) {
		void *pkt;

		cr_assert_eq(rte_ring_dequeue(env.lc->punt, &pkt), 0);
		rte_pktmbuf_free(pkt);
	}
}

/* A SYN in several pieces is clamped, too. */
Test(mss, chained, .init = setup, .fini = teardown)
{
	static const uint8_t opt[4] = { MSS(1460) };
	struct sa_params p = esp_env_params(SA_OUT, SPI, ENCR_AES_GCM_16, 128, INTEG_NONE, false);
	uint8_t ip[ROOM], plain[ROOM], next;
	uint32_t len = segment(ip, true, TCP_SYN, opt, 4), seq;
	struct rte_mbuf *pkt = esp_env_chain(&env, ip, len, 11);

	p.clamp_mss = 1234;
	cr_assert(esp_env_add(&env, &p));
	pkt_meta(pkt)->slot = SLOT;
	cr_assert_eq(stage_esp_out(env.lc, &pkt, 1), 1);
	cr_assert_eq(esp_ref_open(&p, rte_pktmbuf_mtod(pkt, uint8_t *), pkt->data_len, plain, &seq,
				  &next), (int)len);
	cr_assert_eq(load_be16(plain + IP4_LEN + TCP_LEN + 2), 1234);
	cr_assert(sum_right(plain));
	rte_pktmbuf_free(pkt);
}
