/* Whatever a host sends into stage_esp_out(): what comes out must open, by OpenSSL, to what went in
 * with one TTL less. Input:
 *
 *   0    bits 0-2 transform, bit 3 UDP, bit 4 made by the gateway, bit 5 shared, bit 6 little
 *        headroom, bit 7 byte 4 says more
 *   1    the packet is cut into two segments here (0 = not)
 *   2-3  outer MTU
 *   4    (only then) bits 0-3 enum esp_form, bit 4 ESN, bits 5-6: 1-3 are further transforms, bit
 * 7: the sequence number is about to pass 2^32 4, 5-  the inner packet */
#include <stdlib.h>
#include <string.h>

#include "esp_env.h"
#include "esp_ref.h"
#include "wire.h"

#define HEAD     4
#define MAX_BODY 1900
#define N_ALGS   11
#define N_SAS    (N_ALGS * 2 * 2 * FORM_COUNT) /* UDP, ESN */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct esp_env env;
static struct sa_params params[N_SAS];

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
	} t[N_ALGS] = {
		{ ENCR_AES_GCM_16, 128, INTEG_NONE },
		{ ENCR_AES_GCM_8, 256, INTEG_NONE },
		{ ENCR_AES_GCM_12, 192, INTEG_NONE },
		{ ENCR_AES_CBC, 128, INTEG_HMAC_SHA1_96 },
		{ ENCR_AES_CBC, 256, INTEG_HMAC_SHA256_128 },
		{ ENCR_AES_CBC, 256, INTEG_HMAC_SHA512_256 },
		{ ENCR_3DES, 192, INTEG_HMAC_MD5_96 },
		{ ENCR_NULL, 0, INTEG_HMAC_SHA256_128 },
		{ ENCR_AES_CTR, 128, INTEG_HMAC_SHA384_192 },
		{ ENCR_AES_GMAC, 128, INTEG_NONE },
		{ ENCR_DES, 64, INTEG_HMAC_SHA256_96 },
	};

	esp_env_init(&env, false, 63);
	for (unsigned i = 0; i < N_SAS; i++) {
		unsigned alg = i % N_ALGS, bits = i / N_ALGS;

		params[i] = esp_env_params(SA_OUT, ENV_SPI(i), t[alg].encr, t[alg].bits,
					   t[alg].integ, bits & 1);
		esp_env_form(&params[i], (enum esp_form)(bits / 4));
		params[i].esn = bits & 2;
		require(esp_env_add(&env, &params[i]));
	}
}

/* What one input asks for. */
struct input {
	const struct sa_params *p;
	const uint8_t *inner;
	uint16_t len;
	bool edge;
};

static struct input input_read(const uint8_t *data, size_t len)
{
	struct input in = { .inner = data + HEAD, .len = (uint16_t)(len - HEAD) };
	unsigned alg = data[0] & 7, form = FORM_TUNNEL44;
	bool esn = false;

	if (data[0] & 0x80 && in.len > 1) {
		uint8_t more = *in.inner++;

		in.len--;
		form = (more & 15) % FORM_COUNT;
		esn = more & 16;
		in.edge = esn && more & 0x80;
		if (more >> 5 & 3)
			alg = 7 + (more >> 5 & 3);
	}
	in.p = &params[((form * 2 + esn) * 2 + (data[0] >> 3 & 1)) * N_ALGS + alg];
	return in;
}

static struct rte_mbuf *packet_make(const uint8_t *data, const struct input *in)
{
	uint16_t cut = data[1] < in->len ? data[1] : 0;
	struct rte_mbuf *pkt = rte_pktmbuf_alloc(env.pool), *tail;

	require(pkt);
	if (data[0] & 0x40)
		pkt->data_off = 20;
	*pkt_meta(pkt) = (struct pkt_meta){ .slot = in->p->ref.slot,
					    .flags = data[0] & 0x10 ? PKT_LOCAL_OUT : 0 };
	memcpy(rte_pktmbuf_append(pkt, cut ? cut : in->len), in->inner, cut ? cut : in->len);
	if (cut) {
		tail = rte_pktmbuf_alloc(env.pool);
		require(tail);
		memcpy(rte_pktmbuf_append(tail, in->len - cut), in->inner + cut, in->len - cut);
		require(rte_pktmbuf_chain(pkt, tail) == 0);
	}
	return pkt;
}

/* The whole inner packet with one TTL less, or none less. */
static void check_tunnel(const uint8_t *plain, int n, const uint8_t *inner)
{
	if (plain[0] >> 4 == 4) {
		require(n >= 20 && n == load_be16(inner + IP4_TOTAL));
		require(memcmp(plain, inner, 8) == 0);
		require(memcmp(plain + 12, inner + 12, (size_t)n - 12) == 0);
		require(ip4_sum_ok(inner) == ip4_sum_ok(plain));
	} else {
		require(n >= IP6_LEN && (uint32_t)n == ip6_total(inner));
		require(memcmp(plain, inner, 7) == 0);
		require(memcmp(plain + 8, inner + 8, (size_t)n - 8) == 0);
	}
}

/* Bytes of the headers that stay in front; 0: more than the reference decoder knows. */
static uint32_t plain_head(const uint8_t *inner)
{
	if (inner[0] >> 4 == 4)
		return inner[0] == 0x45 ? IP4_LEN : 0;
	return inner[IP6_NEXT] == PROTO_HOPOPTS || inner[IP6_NEXT] == PROTO_ROUTING ||
			       inner[IP6_NEXT] == PROTO_DSTOPTS
		       ? 0
		       : IP6_LEN;
}

static void check_outer(const struct sa_params *p, struct rte_mbuf *pkt, const uint8_t *inner)
{
	uint64_t number = env.lc->sa_out[p->ref.slot].sa->seq;
	uint32_t seq, head = plain_head(inner);
	uint8_t plain[4096], next;
	int n;

	require(pkt->nb_segs == 1 && pkt->pkt_len == pkt->data_len);
	require(pkt_meta(pkt)->flags & PKT_PROTECTED);
	if (p->mode == SA_TRANSPORT && head == 0)
		return;
	n = esp_ref_open_esn(p, rte_pktmbuf_mtod(pkt, uint8_t *), pkt->data_len,
			     (uint32_t)(number >> 32), plain, &seq, &next);
	require(n >= 0 && seq == (uint32_t)number);
	if (p->mode == SA_TUNNEL) {
		require(next == (inner[0] >> 4 == 4 ? 4 : 41));
		check_tunnel(plain, n, inner);
	} else {
		require(next == inner[head == IP4_LEN ? IP4_PROTO : IP6_NEXT]);
		require(memcmp(plain, inner + head, (size_t)n) == 0);
	}
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
	struct input in;
	struct sa *sa;
	uint64_t before;
	void *punted;

	if (!started)
		start();
	started = true;
	if (len <= HEAD || len > HEAD + MAX_BODY)
		return 0;
	in = input_read(data, len);
	sa = env.lc->sa_out[in.p->ref.slot].sa;
	sa->outer_mtu = (uint16_t)(data[2] << 8 | data[3]);
	if (in.edge)
		sa->seq = UINT32_MAX - (data[1] & 1);
	else if (!in.p->esn && sa->seq > 1u << 30)
		sa->seq = 0;
	pkt = packet_make(data, &in);
	if (data[0] & 0x20) {
		mine = pkt;
		rte_mbuf_refcnt_update(mine, 1);
		if (mine->next)
			rte_mbuf_refcnt_update(mine->next, 1);
	}
	before = drops();
	if (stage_esp_out(env.lc, &pkt, 1) == 1) {
		require(drops() == before);
		check_outer(in.p, pkt, in.inner);
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
