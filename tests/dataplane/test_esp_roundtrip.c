/* Every transform, every size, plain and UDP-encapsulated: what esp_out makes, OpenSSL opens and
 * esp_in opens; what OpenSSL makes, esp_in opens. Known answers for the parts below. */
#include <criterion/criterion.h>
#include <string.h>

#include "crypto.h"
#include "esp_env.h"
#include "esp_ref.h"
#include "wire.h"

#define MAX_SIZE 1500

struct transform {
	enum encr_alg encr;
	uint16_t bits;
	enum integ_alg integ;
};

static const struct transform transforms[] = {
	{ ENCR_AES_GCM_16, 128, INTEG_NONE },         { ENCR_AES_GCM_16, 192, INTEG_NONE },
	{ ENCR_AES_GCM_16, 256, INTEG_NONE },         { ENCR_AES_GCM_12, 128, INTEG_NONE },
	{ ENCR_AES_GCM_8, 256, INTEG_NONE },          { ENCR_AES_CBC, 128, INTEG_HMAC_SHA1_96 },
	{ ENCR_AES_CBC, 128, INTEG_HMAC_SHA256_128 }, { ENCR_AES_CBC, 192, INTEG_HMAC_SHA256_96 },
	{ ENCR_AES_CBC, 256, INTEG_HMAC_SHA256_128 }, { ENCR_AES_CBC, 256, INTEG_HMAC_SHA384_192 },
	{ ENCR_AES_CBC, 256, INTEG_HMAC_SHA512_256 }, { ENCR_AES_CBC, 128, INTEG_HMAC_MD5_96 },
	{ ENCR_3DES, 192, INTEG_HMAC_SHA1_96 },       { ENCR_3DES, 192, INTEG_HMAC_MD5_96 },
	{ ENCR_NULL, 0, INTEG_HMAC_SHA256_128 },      { ENCR_DES, 64, INTEG_HMAC_MD5_96 },
	{ ENCR_AES_CTR, 128, INTEG_HMAC_SHA1_96 },    { ENCR_AES_CTR, 256, INTEG_HMAC_SHA256_128 },
	{ ENCR_AES_GMAC, 128, INTEG_NONE },           { ENCR_AES_GMAC, 256, INTEG_NONE },
};

#define N_TRANSFORMS (sizeof(transforms) / sizeof(transforms[0]))

static struct esp_env env;

static void setup(void)
{
	esp_env_init(&env, false, 1023);
}

static void teardown(void)
{
	cr_assert(esp_env_done(&env), "mbufs leaked");
}

/* The transit packet as it should come out: one TTL less. */
static void expect_inner(const struct inner_spec *spec, uint8_t *out)
{
	esp_env_inner_bytes(spec, out);
	ip4_ttl_decrement(out);
}

static void check_with_openssl(const struct sa_params *p, struct rte_mbuf *pkt,
			       const struct inner_spec *spec, uint32_t want_seq)
{
	uint8_t plain[2048], want[2048], next = 0;
	uint32_t seq = 0;
	int n = esp_ref_open(p, rte_pktmbuf_mtod(pkt, uint8_t *), pkt->data_len, plain, &seq,
			     &next);

	cr_assert_eq(n, spec->total, "encr %d integ %d size %u: OpenSSL opened %d", p->encr,
		     p->integ, spec->total, n);
	cr_assert_eq(seq, want_seq);
	cr_assert_eq(next, 4);
	expect_inner(spec, want);
	cr_assert_arr_eq(plain, want, spec->total);
}

/* Every size once, from an IP header's: but DES is slow, and then beyond some hundred bytes every
 * fifth will do (five has no factor in common with a block). */
static unsigned next_size(const struct transform *t, unsigned size)
{
	bool slow = t->encr == ENCR_DES || t->encr == ENCR_3DES;

	return size + (slow && size > 256 ? 5 : 1);
}

static void round_trip(const struct transform *t, bool udp)
{
	uint32_t spi = ENV_SPI(7);
	struct sa_params out = esp_env_params(SA_OUT, spi, t->encr, t->bits, t->integ, udp);
	struct sa_params in = esp_env_params(SA_IN, spi, t->encr, t->bits, t->integ, udp);
	uint32_t seq = 0;

	cr_assert(esp_env_add(&env, &out), "encr %d integ %d", t->encr, t->integ);
	cr_assert(esp_env_add(&env, &in));
	for (unsigned size = 20; size <= MAX_SIZE;) {
		struct rte_mbuf *pkts[48];
		struct inner_spec spec[48];
		uint16_t n = 0;

		for (; n < 48 && size <= MAX_SIZE; n++, size = next_size(t, size)) {
			spec[n] = (struct inner_spec){ .total = (uint16_t)size, .seed = size };
			pkts[n] = esp_env_inner(&env, &spec[n], 7);
		}
		cr_assert_eq(stage_esp_out(env.lc, pkts, n), n);
		for (uint16_t i = 0; i < n; i++) {
			cr_assert(pkt_meta(pkts[i])->flags & PKT_PROTECTED);
			check_with_openssl(&out, pkts[i], &spec[i], ++seq);
			esp_env_turn(pkts[i]);
		}
		cr_assert_eq(stage_esp_in(env.lc, pkts, n), n);
		for (uint16_t i = 0; i < n; i++) {
			uint8_t want[2048];

			expect_inner(&spec[i], want);
			cr_assert_eq(pkts[i]->data_len, spec[i].total);
			cr_assert_arr_eq(rte_pktmbuf_mtod(pkts[i], uint8_t *), want, spec[i].total);
			cr_assert_eq(pkt_meta(pkts[i])->flags, PKT_FROM_ESP);
			rte_pktmbuf_free(pkts[i]);
		}
	}
	cr_assert_eq(env.lc->sa_in[7].sa->packets, seq);
	cr_assert_eq(env.lc->sa_out[7].sa->packets, seq);
}

Test(esp_roundtrip, all_transforms_plain, .init = setup, .fini = teardown)
{
	for (size_t i = 0; i < N_TRANSFORMS; i++)
		round_trip(&transforms[i], false);
}

Test(esp_roundtrip, all_transforms_udp, .init = setup, .fini = teardown)
{
	for (size_t i = 0; i < N_TRANSFORMS; i++)
		round_trip(&transforms[i], true);
}

/* What an independent encoder makes is accepted, also with more padding than needed. */
Test(esp_roundtrip, openssl_to_us, .init = setup, .fini = teardown)
{
	for (size_t i = 0; i < N_TRANSFORMS; i++) {
		const struct transform *t = &transforms[i];
		struct sa_params in =
			esp_env_params(SA_IN, ENV_SPI(3), t->encr, t->bits, t->integ, i & 1);
		uint32_t seq = 0;

		cr_assert(esp_env_add(&env, &in));
		for (uint16_t size = 20; size < 300; size++) {
			struct inner_spec spec = { .total = size, .seed = size };
			uint8_t plain[512], want[512], outer[1024];
			struct rte_mbuf *pkt;
			uint32_t len;

			esp_env_inner_bytes(&spec, plain);
			memcpy(want, plain, size);
			len = esp_ref_trailer(&in, plain, size, 4);
			len = esp_ref_seal(&in, ++seq, plain, len, outer);
			pkt = esp_env_packet(&env, outer, len, in.udp_encap);
			cr_assert_eq(stage_esp_in(env.lc, &pkt, 1), 1, "transform %zu size %u", i,
				     size);
			cr_assert_eq(pkt->data_len, size);
			cr_assert_arr_eq(rte_pktmbuf_mtod(pkt, uint8_t *), want, size);
			rte_pktmbuf_free(pkt);
		}
	}
}

/* Transforms of all kinds mixed in one burst keep their order. */
Test(esp_roundtrip, mixed_burst, .init = setup, .fini = teardown)
{
	struct rte_mbuf *pkts[64];

	for (size_t i = 0; i < N_TRANSFORMS; i++) {
		const struct transform *t = &transforms[i];
		struct sa_params out =
			esp_env_params(SA_OUT, ENV_SPI(i), t->encr, t->bits, t->integ, 0);
		struct sa_params in =
			esp_env_params(SA_IN, ENV_SPI(i), t->encr, t->bits, t->integ, 0);

		cr_assert(esp_env_add(&env, &out));
		cr_assert(esp_env_add(&env, &in));
	}
	for (uint32_t i = 0; i < 64; i++) {
		struct inner_spec spec = { .total = (uint16_t)(40 + i * 20), .seed = i };

		pkts[i] = esp_env_inner(&env, &spec, (i * 7) % N_TRANSFORMS);
	}
	cr_assert_eq(stage_esp_out(env.lc, pkts, 64), 64);
	for (uint32_t i = 0; i < 64; i++)
		esp_env_turn(pkts[i]);
	cr_assert_eq(stage_esp_in(env.lc, pkts, 64), 64);
	for (uint32_t i = 0; i < 64; i++) {
		struct inner_spec spec = { .total = (uint16_t)(40 + i * 20), .seed = i };
		uint8_t want[2048];

		expect_inner(&spec, want);
		cr_assert_eq(pkts[i]->data_len, spec.total);
		cr_assert_arr_eq(rte_pktmbuf_mtod(pkts[i], uint8_t *), want, spec.total);
		rte_pktmbuf_free(pkts[i]);
	}
}

/* What a packet between the networks, or the gateways, of p looks like: UDP, size bytes. */
static uint32_t form_inner(const struct sa_params *p, uint16_t size, uint8_t *out)
{
	bool v6 = p->sel.local.lo.family == IP_V6;
	uint32_t head = v6 ? IP6_LEN : IP4_LEN;
	struct ip_addr src = p->sel.local.hi, dst = p->sel.remote.hi;

	esp_env_inner_bytes(&(struct inner_spec){ .total = size, .seed = size }, out);
	memset(out, 0, head);
	out[0] = v6 ? 0x60 : 0x45;
	out[v6 ? IP6_HOPS : IP4_TTL] = 9;
	out[v6 ? IP6_NEXT : IP4_PROTO] = PROTO_UDP;
	memcpy(out + (v6 ? IP6_SRC : IP4_SRC), src.b, v6 ? 16 : 4);
	memcpy(out + (v6 ? IP6_DST : IP4_DST), dst.b, v6 ? 16 : 4);
	store_be16(out + (v6 ? IP6_PAYLOAD : IP4_TOTAL), (uint16_t)(size - (v6 ? IP6_LEN : 0)));
	if (!v6)
		ip4_sum_set(out);
	store_be16(out + head + UDP_LENGTH, (uint16_t)(size - head));
	store_be16(out + head + UDP_SUM, 0);
	return head;
}

static void form_check(const struct sa_params *p, struct rte_mbuf *pkt, uint32_t high,
		       uint8_t *want, uint32_t size, uint32_t head)
{
	uint8_t plain[2048], next = 0, v6 = head == IP6_LEN;
	uint32_t seq, keep = p->mode == SA_TRANSPORT ? head : 0;
	int n = esp_ref_open_esn(p, rte_pktmbuf_mtod(pkt, uint8_t *), pkt->data_len, high, plain,
				 &seq, &next);

	cr_assert_eq(n, (int)(size - keep), "mode %d proto %d encr %d esn %d size %u: %d", p->mode,
		     p->proto, p->encr, p->esn, size, n);
	cr_assert_eq(next, keep ? PROTO_UDP : v6 ? 41 : 4);
	cr_assert_arr_eq(plain, want + keep, size - keep);
}

/* There and back in every form, with ESN and with UDP; OpenSSL looks at what lies between. */
static void form_round_trip(const struct transform *t, enum esp_form form, bool esn, bool udp)
{
	struct sa_params out = esp_env_params(SA_OUT, ENV_SPI(7), t->encr, t->bits, t->integ, udp);
	struct sa_params in = esp_env_params(SA_IN, ENV_SPI(7), t->encr, t->bits, t->integ, udp);
	uint64_t start = esn ? (1ull << 32) - 3 : 0;

	esp_env_form(&out, form);
	esp_env_form(&in, form);
	out.esn = in.esn = esn;
	cr_assert(esp_env_add(&env, &out), "encr %d form %d", t->encr, form);
	cr_assert(esp_env_add(&env, &in));
	env.lc->sa_out[7].sa->seq = env.lc->sa_in[7].sa->seq = start;
	for (uint16_t i = 0; i < 7; i++) {
		uint16_t size = (uint16_t)(100 + i * 37);
		uint8_t want[2048];
		uint32_t head = form_inner(&out, size, want);
		struct rte_mbuf *pkt = esp_env_chain(&env, want, size, i % 3 ? 0 : 90);

		pkt_meta(pkt)->slot = 7;
		pkt_meta(pkt)->flags = PKT_LOCAL_OUT;
		cr_assert_eq(stage_esp_out(env.lc, &pkt, 1), 1, "encr %d form %d", t->encr, form);
		form_check(&out, pkt, (uint32_t)((start + i + 1) >> 32), want, size, head);
		esp_env_turn(pkt);
		cr_assert_eq(stage_esp_in(env.lc, &pkt, 1), 1, "encr %d form %d", t->encr, form);
		cr_assert_eq(pkt->data_len, size);
		cr_assert_arr_eq(rte_pktmbuf_mtod(pkt, uint8_t *), want, size);
		rte_pktmbuf_free(pkt);
	}
	cr_assert_eq(env.lc->sa_in[7].sa->seq, start + 7);
}

Test(esp_roundtrip, all_forms, .init = setup, .fini = teardown)
{
	for (size_t i = 0; i < N_TRANSFORMS; i++)
		for (unsigned form = 0; form < FORM_COUNT; form++)
			for (unsigned k = 0; k < 4; k++)
				form_round_trip(&transforms[i], (enum esp_form)form, k & 1, k & 2);
}

/* With ESN nothing stops at 2^32; only the last of the 64-bit numbers ends the SA. */
Test(esp_roundtrip, esn_does_not_wrap, .init = setup, .fini = teardown)
{
	struct sa_params out =
		esp_env_params(SA_OUT, ENV_SPI(7), ENCR_AES_GCM_16, 128, INTEG_NONE, 0);
	struct sa *sa;
	struct evt evt;

	out.esn = true;
	sa = esp_env_add(&env, &out);
	cr_assert(sa);
	sa->seq = UINT64_MAX - 3;
	for (unsigned i = 0; i < 6; i++) {
		struct rte_mbuf *pkt = esp_env_inner(&env, &(struct inner_spec){ .total = 64 }, 7);
		uint16_t n = stage_esp_out(env.lc, &pkt, 1);

		cr_assert_eq(n, i < 3, "packet %u", i);
		if (n)
			rte_pktmbuf_free(pkt);
	}
	cr_assert_eq(sa->seq, UINT64_MAX);
	cr_assert_eq(env.lc->count.drop[DROP_sa_seq_exhausted], 3);
	cr_assert(esp_env_event(&env, &evt) && evt.op == EVT_SA_SOFT &&
		  evt.limit == LIMIT_SEQUENCE);
	cr_assert(esp_env_event(&env, &evt) && evt.op == EVT_SA_HARD &&
		  evt.limit == LIMIT_SEQUENCE);
}

/* Counter modes: the IV is the sequence number, so under one key none comes twice. */
Test(esp_roundtrip, counter_ivs, .init = setup, .fini = teardown)
{
	static const enum encr_alg encr[] = { ENCR_AES_GCM_16, ENCR_AES_CTR, ENCR_AES_GMAC };

	for (unsigned k = 0; k < 3; k++) {
		bool ctr = encr[k] == ENCR_AES_CTR;
		struct sa_params out = esp_env_params(SA_OUT, ENV_SPI(7), encr[k], 128,
						      ctr ? INTEG_HMAC_SHA1_96 : INTEG_NONE, false);
		struct sa *sa;

		out.esn = true;
		sa = esp_env_add(&env, &out);
		cr_assert(sa);
		sa->seq = UINT32_MAX - 2ull;
		for (uint64_t i = 1; i <= 5; i++) {
			struct rte_mbuf *pkt =
				esp_env_inner(&env, &(struct inner_spec){ .total = 64 }, 7);
			const uint8_t *iv;

			cr_assert_eq(stage_esp_out(env.lc, &pkt, 1), 1);
			iv = rte_pktmbuf_mtod_offset(pkt, const uint8_t *, 28);
			cr_assert_eq((uint64_t)load_be32(iv) << 32 | load_be32(iv + 4),
				     UINT32_MAX - 2ull + i);
			rte_pktmbuf_free(pkt);
		}
	}
}

/* CBC: the IV is one block enciphered under the SA's key, and never repeats. */
Test(esp_roundtrip, cbc_iv_unpredictable, .init = setup, .fini = teardown)
{
	struct sa_params out =
		esp_env_params(SA_OUT, ENV_SPI(1), ENCR_AES_CBC, 128, INTEG_HMAC_SHA1_96, false);
	uint8_t iv[256][16];

	cr_assert(esp_env_add(&env, &out));
	for (unsigned i = 0; i < 256; i++) {
		struct inner_spec spec = { .total = 64 };
		struct rte_mbuf *pkt = esp_env_inner(&env, &spec, 1);
		unsigned bits = 0;

		cr_assert_eq(stage_esp_out(env.lc, &pkt, 1), 1);
		memcpy(iv[i], rte_pktmbuf_mtod_offset(pkt, uint8_t *, 28), 16);
		for (unsigned j = 0; j < i; j++)
			cr_assert_neq(memcmp(iv[i], iv[j], 16), 0, "IV %u repeats %u", i, j);
		if (i) {
			for (unsigned b = 0; b < 16; b++)
				bits += (unsigned)__builtin_popcount(iv[i][b] ^ iv[i - 1][b]);
			cr_assert(bits > 24, "IVs of neighbours differ in %u bits only", bits);
		}
		rte_pktmbuf_free(pkt);
	}
}
