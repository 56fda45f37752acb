/* Whatever a host sends into stage_esp_out(): what comes out must open, by OpenSSL, to what went in
 * with one TTL less. Input:
 *
 *   0    bits 0-2 transform, bit 3 UDP, bit 4 made by the gateway, bit 5 shared, bit 6 little headroom
 *   1    the packet is cut into two segments here (0 = not)
 *   2-3  outer MTU
 *   4-   the inner packet */
#include <stdlib.h>
#include <string.h>

#include "esp_env.h"
#include "esp_ref.h"
#include "wire.h"

#define HEAD	 4
#define MAX_BODY 1900
#define N_SAS	 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct esp_env env;
static struct sa_params params[2 * N_SAS];

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void start(void)
{
	static const struct {
		enum encr_alg encr;
		uint16_t bits;
		enum integ_alg integ;
	} t[N_SAS] = {
		{ ENCR_AES_GCM_16, 128, INTEG_NONE },	  { ENCR_AES_GCM_8, 256, INTEG_NONE },
		{ ENCR_AES_GCM_12, 192, INTEG_NONE },	  { ENCR_AES_CBC, 128, INTEG_HMAC_SHA1_96 },
		{ ENCR_AES_CBC, 256, INTEG_HMAC_SHA256_128 }, { ENCR_AES_CBC, 256, INTEG_HMAC_SHA512_256 },
		{ ENCR_3DES, 192, INTEG_HMAC_MD5_96 },	  { ENCR_NULL, 0, INTEG_HMAC_SHA256_128 },
	};

	esp_env_init(&env, false, 63);
	for (unsigned i = 0; i < 2 * N_SAS; i++) {
		params[i] = esp_env_params(SA_OUT, ENV_SPI(i), t[i % N_SAS].encr, t[i % N_SAS].bits,
					   t[i % N_SAS].integ, i >= N_SAS);
		require(esp_env_add(&env, &params[i]));
	}
}

static struct rte_mbuf *packet_make(const uint8_t *data, size_t len)
{
	uint16_t n = (uint16_t)(len - HEAD), cut = data[1] < n ? data[1] : 0;
	struct rte_mbuf *pkt = rte_pktmbuf_alloc(env.pool), *tail;

	require(pkt);
	if (data[0] & 0x40)
		pkt->data_off = 20;
	*pkt_meta(pkt) = (struct pkt_meta){ .slot = data[0] & 15,
					    .flags = data[0] & 0x10 ? PKT_LOCAL_OUT : 0 };
	memcpy(rte_pktmbuf_append(pkt, cut ? cut : n), data + HEAD, cut ? cut : n);
	if (cut) {
		tail = rte_pktmbuf_alloc(env.pool);
		require(tail);
		memcpy(rte_pktmbuf_append(tail, n - cut), data + HEAD + cut, n - cut);
		require(rte_pktmbuf_chain(pkt, tail) == 0);
	}
	return pkt;
}

static void check_outer(const struct sa_params *p, struct rte_mbuf *pkt, const uint8_t *inner)
{
	uint8_t plain[4096], next;
	uint32_t seq;
	int n = esp_ref_open(p, rte_pktmbuf_mtod(pkt, uint8_t *), pkt->data_len, plain, &seq, &next);

	require(n >= 20 && next == 4 && pkt->nb_segs == 1 && pkt->pkt_len == pkt->data_len);
	require(n == load_be16(inner + IP4_TOTAL));
	require(seq == env.lc->sa_out[p->ref.slot].sa->seq);
	require(memcmp(plain, inner, 8) == 0 && memcmp(plain + 12, inner + 12, (size_t)n - 12) == 0);
	require(ip4_sum_ok(inner) == ip4_sum_ok(plain));
}

static uint64_t drops(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < DROP_COUNT; i++)
		sum += env.lc->count.drop[i];
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static bool started;
	struct rte_mbuf *pkt, *mine = NULL;
	const struct sa_params *p;
	uint64_t before;
	void *punted;

	if (!started)
		start();
	started = true;
	if (len <= HEAD || len > HEAD + MAX_BODY)
		return 0;
	p = &params[data[0] & 15];
	env.lc->sa_out[p->ref.slot].sa->outer_mtu = (uint16_t)(data[2] << 8 | data[3]);
	pkt = packet_make(data, len);
	if (data[0] & 0x20) {
		mine = pkt;
		rte_mbuf_refcnt_update(mine, 1);
		if (mine->next)
			rte_mbuf_refcnt_update(mine->next, 1);
	}
	before = drops();
	if (stage_esp_out(env.lc, &pkt, 1) == 1) {
		require(drops() == before);
		check_outer(p, pkt, data + HEAD);
		rte_pktmbuf_free(pkt);
	} else {
		require(drops() == before + 1);
	}
	while (rte_ring_dequeue(env.lc->punt, &punted) == 0)
		rte_pktmbuf_free(punted);
	rte_pktmbuf_free(mine);
	require(esp_env_no_leak(&env));
	return 0;
}
