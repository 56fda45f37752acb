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
	{ ENCR_AES_GCM_16, 128, INTEG_NONE },
	{ ENCR_AES_GCM_16, 192, INTEG_NONE },
	{ ENCR_AES_GCM_16, 256, INTEG_NONE },
	{ ENCR_AES_GCM_12, 128, INTEG_NONE },
	{ ENCR_AES_GCM_8, 256, INTEG_NONE },
	{ ENCR_AES_CBC, 128, INTEG_HMAC_SHA1_96 },
	{ ENCR_AES_CBC, 128, INTEG_HMAC_SHA256_128 },
	{ ENCR_AES_CBC, 192, INTEG_HMAC_SHA256_96 },
	{ ENCR_AES_CBC, 256, INTEG_HMAC_SHA256_128 },
	{ ENCR_AES_CBC, 256, INTEG_HMAC_SHA384_192 },
	{ ENCR_AES_CBC, 256, INTEG_HMAC_SHA512_256 },
	{ ENCR_AES_CBC, 128, INTEG_HMAC_MD5_96 },
	{ ENCR_3DES, 192, INTEG_HMAC_SHA1_96 },
	{ ENCR_3DES, 192, INTEG_HMAC_MD5_96 },
	{ ENCR_NULL, 0, INTEG_HMAC_SHA256_128 },
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
	int n = esp_ref_open(p, rte_pktmbuf_mtod(pkt, uint8_t *), pkt->data_len, plain, &seq, &next);

	cr_assert_eq(n, spec->total, "encr %d integ %d size %u: OpenSSL opened %d", p->encr,
		     p->integ, spec->total, n);
	cr_assert_eq(seq, want_seq);
	cr_assert_eq(next, 4);
	expect_inner(spec, want);
	cr_assert_arr_eq(plain, want, spec->total);
}

/* Sizes below an IP header cannot be inner packets: 20 is the smallest. */
static void round_trip(const struct transform *t, bool udp)
{
	uint32_t spi = ENV_SPI(7);
	struct sa_params out = esp_env_params(SA_OUT, spi, t->encr, t->bits, t->integ, udp);
	struct sa_params in = esp_env_params(SA_IN, spi, t->encr, t->bits, t->integ, udp);
	uint32_t seq = 0;

	cr_assert(esp_env_add(&env, &out), "encr %d integ %d", t->encr, t->integ);
	cr_assert(esp_env_add(&env, &in));
	for (uint32_t first = 20; first <= MAX_SIZE; first += 48) {
		struct rte_mbuf *pkts[48];
		struct inner_spec spec[48];
		uint16_t n = 0;

		for (; n < 48 && first + n <= MAX_SIZE; n++) {
			spec[n] = (struct inner_spec){ .total = (uint16_t)(first + n),
						       .seed = first + n };
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
		struct sa_params in = esp_env_params(SA_IN, ENV_SPI(3), t->encr, t->bits, t->integ,
						     i & 1);
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
			cr_assert_eq(stage_esp_in(env.lc, &pkt, 1), 1, "transform %zu size %u", i, size);
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
		struct sa_params out = esp_env_params(SA_OUT, ENV_SPI(i), t->encr, t->bits, t->integ, 0);
		struct sa_params in = esp_env_params(SA_IN, ENV_SPI(i), t->encr, t->bits, t->integ, 0);

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

/* CBC: the IV is one block enciphered under the SA's key, and never repeats. */
Test(esp_roundtrip, cbc_iv_unpredictable, .init = setup, .fini = teardown)
{
	struct sa_params out = esp_env_params(SA_OUT, ENV_SPI(1), ENCR_AES_CBC, 128,
					      INTEG_HMAC_SHA1_96, false);
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
