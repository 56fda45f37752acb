/* Hostile packets into stage_esp_in(): raw bytes at an SA's SPI, or a plaintext of the attacker's
 * choice under a good ICV (a hostile peer), then altered at one place. Input:
 *
 *   0    bits 0-2 transform, bit 3 UDP, bit 4 raw, bit 5 shared, bit 6 the SA wants UDP port 53,
 * bit 7 byte 5 says more 1    the packet is cut into two segments here (0 = not) 2-3  where to
 * alter it; 4: with what 5    (only then) bits 0-3 enum esp_form, bit 4 ESN, bits 5-6: 1-3 are
 * further transforms, bit 7: the next of an AH payload is IP-in-IP and not UDP 5, 6-  plaintext
 * with trailer (AH: the payload), or the packet from its IP header on */
#include <stdlib.h>
#include <string.h>

#include "ah.h"
#include "asan.h"
#include "esp_env.h"
#include "esp_ref.h"
#include "gcm/gcm.h"
#include "ip6.h"
#include "wire.h"

#define HEAD     5
#define MAX_BODY 1600
#define N_ALGS   11
#define N_SAS    (N_ALGS * 2 * 2 * 2 * FORM_COUNT) /* UDP, ESN, port 53 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct esp_env env;
static struct sa_params params[N_SAS];

static void require(bool ok)
{
	if (!ok)
		abort();
}

/* The SA that an input asks for. */
static unsigned sa_index(unsigned alg, bool udp, bool esn, bool port, unsigned form)
{
	return (((form * 2 + port) * 2 + esn) * 2 + udp) * N_ALGS + alg;
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
		struct sa_params *p = &params[i];

		*p = esp_env_params(SA_IN, ENV_SPI(i), t[alg].encr, t[alg].bits, t[alg].integ,
				    bits & 1);
		esp_env_form(p, (enum esp_form)(bits / 8));
		p->esn = bits & 2;
		if (bits & 4) {
			p->sel.proto = PROTO_UDP;
			p->sel.local_port = 53;
		}
		require(esp_env_add(&env, p));
	}
}

/* Bytes behind the packet that are the stage's own: see ah_begin() and gcm.h. Where the input wrote over
 * the packet, its SPI may be that of any SA. */
static unsigned bytes_behind(const uint8_t *data, const struct sa_params *p)
{
	bool any = data[0] & 0x10 || data[4];

	if (any || encr_info(p->encr)->aead)
		return RTE_MAX(AH_MORE, GCM_BEHIND);
	return p->proto == SA_AH ? AH_MORE : 0;
}

/* Memory around the packet's bytes is off limits: mbufs lie in memory that ASan knows nothing of. */
static void fence_up(struct rte_mbuf *seg, unsigned more)
{
	char *start = rte_pktmbuf_mtod(seg, char *), *end = start + seg->data_len + more;

	ASAN_POISON_MEMORY_REGION(seg->buf_addr, (size_t)(start - (char *)seg->buf_addr));
	ASAN_POISON_MEMORY_REGION(end, (size_t)((char *)seg->buf_addr + seg->buf_len - end));
}

static void fence_down(struct rte_mbuf *seg)
{
	ASAN_UNPOISON_MEMORY_REGION(seg->buf_addr, seg->buf_len);
}

static struct rte_mbuf *split(struct rte_mbuf *pkt, uint16_t at)
{
	struct rte_mbuf *head;

	if (at == 0 || at >= pkt->data_len)
		return pkt;
	head = rte_pktmbuf_alloc(env.pool);
	require(head);
	memcpy(rte_pktmbuf_append(head, at), rte_pktmbuf_mtod(pkt, void *), at);
	*pkt_meta(head) = *pkt_meta(pkt);
	rte_pktmbuf_adj(pkt, at);
	require(rte_pktmbuf_chain(head, pkt) == 0);
	return head;
}

static uint64_t drops(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < DROP_COUNT; i++)
		sum += env.lc->count.drop[i];
	return sum;
}

static bool within(const uint8_t *addr, const struct ip_range *r)
{
	struct ip_addr a = { .family = r->lo.family };

	memcpy(a.b, addr, ip_addr_len(&a));
	return ip_addr_cmp(&a, &r->lo) >= 0 && ip_addr_cmp(&a, &r->hi) <= 0;
}

static void check_inner4(const struct sa_params *p, const uint8_t *ip, uint32_t len)
{
	require(len >= 20 && ip[0] >> 4 == 4 && ip4_header_len(ip) >= 20 &&
		ip4_header_len(ip) <= len);
	require(load_be16(ip + IP4_TOTAL) == len && ip4_sum_ok(ip));
	require(within(ip + IP4_SRC, &p->sel.remote) && within(ip + IP4_DST, &p->sel.local));
	if (p->sel.local_port)
		require(ip[IP4_PROTO] == PROTO_UDP &&
			!(load_be16(ip + IP4_FRAG) & IP4_OFFSET_MASK) &&
			load_be16(ip + ip4_header_len(ip) + 2) == 53);
}

static void check_inner6(const struct sa_params *p, const uint8_t *ip, uint32_t len)
{
	struct ip6_chain chain;

	require(len >= IP6_LEN && ip_version(ip) == 6 && ip6_total(ip) == len);
	require(ip6_chain_read(ip, len, &chain) == DROP_COUNT);
	require(within(ip + IP6_SRC, &p->sel.remote) && within(ip + IP6_DST, &p->sel.local));
	if (p->sel.local_port)
		require(chain.proto == PROTO_UDP && !(chain.frag & IP6F_OFFSET_MASK) &&
			load_be16(ip + chain.l4_off + 2) == 53);
}

/* What comes out must be an inner packet that the SA may carry. */
static void check_inner(const struct sa_params *p, struct rte_mbuf *pkt)
{
	const uint8_t *ip = rte_pktmbuf_mtod(pkt, const uint8_t *);

	require(pkt->nb_segs == 1 && pkt->data_len == pkt->pkt_len);
	if (p->sel.local.lo.family == IP_V6)
		check_inner6(p, ip, pkt->data_len);
	else
		check_inner4(p, ip, pkt->data_len);
	require(pkt_meta(pkt)->flags == PKT_FROM_ESP && pkt_meta(pkt)->l3_off == 0);
}

/* What one input asks for. */
struct input {
	const struct sa_params *p;
	const uint8_t *body;
	uint32_t len;
	uint8_t next; /* AH */
};

static struct input input_read(const uint8_t *data, size_t len)
{
	struct input in = { .body = data + HEAD, .len = (uint32_t)(len - HEAD), .next = PROTO_UDP };
	unsigned alg = data[0] & 7, form = FORM_TUNNEL44;
	bool esn = false;

	if (data[0] & 0x80 && in.len > 1) {
		uint8_t more = *in.body++;

		in.len--;
		form = (more & 15) % FORM_COUNT;
		esn = more & 16;
		if (more >> 5 & 3)
			alg = 7 + (more >> 5 & 3);
		if (more & 0x80)
			in.next = 4;
	}
	in.p = &params[sa_index(alg, data[0] & 8, esn, data[0] & 0x40, form)];
	if (in.p->mode == SA_TUNNEL && in.p->sel.local.lo.family == IP_V6)
		in.next = 41;
	return in;
}

static struct rte_mbuf *packet_make(const uint8_t *data, const struct input *in)
{
	uint8_t outer[2 * MAX_BODY];
	const struct sa_params *p = in->p;
	uint32_t n = in->len, block = RTE_MAX(encr_info(p->encr)->block_len, 4);
	uint32_t at = (uint32_t)(data[2] << 8 | data[3]);
	struct rte_mbuf *pkt;

	if (data[0] & 0x10)
		memcpy(outer, in->body, n);
	else if (p->proto == SA_AH)
		n = esp_ref_seal_ah(p, 77, in->body, n, in->next, outer);
	else
		n = esp_ref_seal(p, 77, in->body, n / block * block, outer);
	if (data[4])
		outer[at % n] ^= data[4];
	pkt = esp_env_packet(&env, outer, n, p->udp_encap);
	if (n >=
	    IP6_LEN) /* where stage_classify() finds ESP or AH; the encapsulation is as it says */
		esp_env_turn(pkt);
	return pkt;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static bool started;
	struct rte_mbuf *pkt, *mine = NULL, *seg[2];
	struct input in;
	struct sa *sa;
	uint64_t before;
	uint16_t n;

	if (!started)
		start();
	started = true;
	if (len <= HEAD || len > HEAD + MAX_BODY)
		return 0;
	in = input_read(data, len);
	sa = env.lc->sa_in[in.p->ref.slot].sa;
	sa->seq = 0;
	memset(sa_window(sa), 0, (sa->window_mask + 1u) * sizeof(uint64_t));
	pkt = split(packet_make(data, &in), data[1]);
	/* stage_classify() has seen to this much */
	if (pkt->pkt_len < pkt_meta(pkt)->l4_off) {
		rte_pktmbuf_free(pkt);
		return 0;
	}
	if (data[0] & 0x20) {
		mine = pkt;
		rte_mbuf_refcnt_update(mine, 1);
		if (mine->next)
			rte_mbuf_refcnt_update(mine->next, 1);
	}
	seg[0] = pkt;
	seg[1] = pkt->next ? pkt->next : pkt;
	fence_up(seg[0], bytes_behind(data, in.p));
	if (seg[1] != seg[0])
		fence_up(seg[1], 0);
	before = drops();
	n = stage_esp_in(env.lc, &pkt, 1);
	fence_down(seg[0]);
	fence_down(seg[1]);
	lcore_flush(env.lc);
	if (n == 1)
		check_inner(in.p, pkt);
	while (!n && drops() == before) { /* handed over */
		require(rte_ring_dequeue(env.lc->handover[1], (void **)&pkt) == 0);
		n = 2;
	}
	if (n)
		rte_pktmbuf_free(pkt);
	rte_pktmbuf_free(mine);
	require(drops() + (n ? 1 : 0) == before + 1);
	require(esp_env_no_leak(&env));
	return 0;
}
