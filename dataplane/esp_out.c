/* Outbound ESP (RFC 4303 section 3.3), tunnel mode: prepare, encrypt, finish.
 *
 * prepare: checks the inner packet, decrements its TTL, writes outer header, ESP header and trailer,
 *          and uses up one sequence number.
 * encrypt: GCM at once, while the packet is in the cache; cipher and HMAC all together at the end.
 * finish:  copies the ICVs of those, and takes out what the library refused. */
#include <rte_prefetch.h>

#include "crypto.h"
#include "esp.h"

#define KEEP	   DROP_COUNT /* no reason to drop */
#define HDR_COPY   64	      /* bytes of template copied: one line, right-aligned */
#define TRAIL_COPY 16	      /* bytes of padding pattern copied at most */

/* RFC 4303 section 2.4 */
static const uint8_t pad_pattern[TRAIL_COPY] = { 1, 2,	3,  4,	5,  6,	7,  8,
						 9, 10, 11, 12, 13, 14, 15, 16 };

/* Cipher and HMAC operations of one burst. */
struct chain_batch {
	uint16_t n;
	uint16_t at[CRYPTO_BURST]; /* index in the burst */
	struct crypto_op op[CRYPTO_BURST];
	alignas(64) uint8_t tag[CRYPTO_BURST][CRYPTO_TAG_MAX];
};

/* One packet on its way through prepare. */
struct out_pkt {
	struct rte_mbuf *pkt;
	uint8_t *inner;	  /* inner IP header */
	uint32_t len;	  /* of the inner packet, by its header */
	uint32_t clen;	  /* of the ciphertext: inner packet, padding, trailer */
	uint16_t frag;	  /* its flags and fragment offset */
	uint8_t tos;
};

/* Drops a packet; its sender hears of those that it can do something about. */
static __rte_noinline void out_drop(struct lcore *lc, struct sa *sa, struct rte_mbuf *pkt,
				    enum drop_reason why)
{
	bool local = pkt_meta(pkt)->flags & PKT_LOCAL_OUT;

	sa->other_drops++;
	if (why == DROP_too_big && !local)
		lcore_drop_icmp(lc, pkt, why, sa->outer_mtu ? esp_inner_mtu(sa) : 0);
	else if (why == DROP_ip_ttl)
		lcore_drop_icmp(lc, pkt, why, 0);
	else
		pkt_drop(lc, pkt, why);
}

/* Reads and checks the inner header; nothing is written yet. */
static inline enum drop_reason inner_check(const struct sa *sa, struct out_pkt *o)
{
	struct rte_mbuf *pkt = o->pkt;
	uint8_t *ip = rte_pktmbuf_mtod(pkt, uint8_t *);
	uint32_t outer;

	if (pkt->data_len < IP4_LEN)
		return DROP_inner_malformed;
	if (ip[0] >> 4 != 4)
		return ip[0] >> 4 == 6 ? DROP_ip6_unsupported : DROP_inner_malformed;
	o->inner = ip;
	o->len = load_be16(ip + IP4_TOTAL);
	if ((ip[0] & 15) < 5 || o->len < ip4_header_len(ip) || o->len > pkt->pkt_len)
		return DROP_inner_malformed;
	o->tos = ip[IP4_TOS];
	o->frag = load_be16(ip + IP4_FRAG);
	if (ip[IP4_TTL] <= 1 && !(pkt_meta(pkt)->flags & PKT_LOCAL_OUT))
		return DROP_ip_ttl;

	o->clen = (o->len + 2 + sa->pad_to - 1) & ~(uint32_t)(sa->pad_to - 1);
	outer = sa->hdr_len + o->clen + sa->icv_len;
	if (outer > UINT16_MAX)
		return DROP_too_big;
	if (sa->outer_mtu && outer > sa->outer_mtu && (o->frag & IP4_DF))
		return DROP_too_big;
	return KEEP;
}

/* One piece, ours alone, with room on both sides; false when it had to be dropped. */
static inline bool room_ensure(struct lcore *lc, const struct sa *sa, struct out_pkt *o)
{
	struct rte_mbuf *pkt = o->pkt;
	uint32_t head = RTE_MAX(HDR_COPY, sa->hdr_len + ESP_L2_ROOM);
	uint32_t tail = RTE_MAX(o->clen - o->len + sa->icv_len, TRAIL_COPY + 2u);

	if (unlikely(!pkt_writable(pkt) || pkt->data_off < head ||
		     pkt->data_off + o->len + tail > pkt->buf_len)) {
		pkt = pkt_rebuild(lc, pkt, RTE_MAX(head, (uint32_t)RTE_PKTMBUF_HEADROOM), tail);
		if (!pkt)
			return false;
		o->pkt = pkt;
		o->inner = rte_pktmbuf_mtod(pkt, uint8_t *);
	}
	return true;
}

/* Copies the template in front of the inner packet and fills in what differs. */
static inline uint8_t *outer_write(const struct sa *sa, const struct out_pkt *o, uint64_t seq)
{
	uint8_t *ip = o->inner - sa->hdr_len;
	uint16_t len = (uint16_t)(sa->hdr_len + o->clen + sa->icv_len);
	uint16_t frag = sa->df == DF_COPY ? o->frag & IP4_DF : sa->df == DF_SET ? IP4_DF : 0;
	uint8_t tos = (uint8_t)((sa->flags & SA_F_COPY_DSCP ? o->tos & ~ECN_MASK : sa->dscp_ecn) |
				(o->tos & ECN_MASK));

	memcpy(o->inner - HDR_COPY, sa->hdr + SA_HDR_ROOM - HDR_COPY, HDR_COPY);
	ip[IP4_TOS] = tos;
	store_be16(ip + IP4_TOTAL, len);
	store_be16(ip + IP4_ID, (uint16_t)seq);
	store_be16(ip + IP4_FRAG, frag);
	store_be16(ip + IP4_SUM, (uint16_t)~sum16_fold(sa->hdr_sum + tos + len + (uint16_t)seq + frag));
	if (sa->flags & SA_F_UDP)
		store_be16(ip + sa->l3_len + 4, (uint16_t)(len - sa->l3_len));
	store_be32(ip + sa->esp_off + 4, (uint32_t)seq);
	return ip;
}

static inline void trailer_write(const struct out_pkt *o)
{
	uint32_t pad = o->clen - o->len - 2;
	uint8_t *to = o->inner + o->len;

	memcpy(to, pad_pattern, TRAIL_COPY);
	to[pad] = (uint8_t)pad;
	to[pad + 1] = NEXT_IPV4;
}

static inline void counters_add(struct lcore *lc, struct sa *sa, uint32_t len)
{
	sa->packets++;
	sa->bytes += len;
	sa->last_used_tsc = lc->now_tsc;
	lc->count.esp_out_packets++;
	lc->count.esp_out_bytes += len;
	if (unlikely(sa_limits_due(sa)))
		sa_limits(lc, sa);
}

/* RFC 4106: nonce = salt | IV, the IV is the sequence counter; AAD = SPI | sequence number, which is
 * how they stand in the ESP header. */
static inline void gcm_seal(struct lcore *lc, const struct sa *sa, const struct out_pkt *o,
			    uint8_t *esp, uint64_t seq)
{
	struct gcm_context_data ctx;
	struct {
		uint32_t salt, iv_hi, iv_lo;
	} nonce = { sa->salt, rte_cpu_to_be_32((uint32_t)(seq >> 32)),
		    rte_cpu_to_be_32((uint32_t)seq) };

	memcpy(esp + ESP_HDR_LEN, &nonce.iv_hi, 8);
	crypto_gcm_encrypt(lc->mb, sa, &ctx, o->inner, o->clen, (const uint8_t *)&nonce, esp,
			   ESP_HDR_LEN, o->inner + o->clen);
}

/* Copies an ICV of 8 bytes or more in words, the last one overlapping. */
static inline void icv_copy(uint8_t *to, const uint8_t *tag, unsigned len)
{
	for (unsigned i = 0; i + 8 < len; i += 8)
		memcpy(to + i, tag + i, 8);
	memcpy(to + len - 8, tag + len - 8, 8);
}

static inline void chain_add(struct chain_batch *batch, uint16_t at, const struct sa *sa,
			     const struct out_pkt *o, uint8_t *esp, uint64_t seq)
{
	struct crypto_op *op = &batch->op[batch->n];
	uint64_t counter[2] = { seq ^ sa->chain.iv_seed, 0 };

	/* constant lengths: a copy of variable length is a slow string instruction here */
	if (likely(sa->iv_len == 16))
		memcpy(esp + ESP_HDR_LEN, counter, 16);
	else if (sa->iv_len == 8)
		memcpy(esp + ESP_HDR_LEN, counter, 8);
	op->sa = sa;
	op->esp = esp;
	op->esp_len = ESP_HDR_LEN + sa->iv_len + o->clen;
	op->tag = batch->tag[batch->n];
	batch->at[batch->n++] = at;
}

static void prefetch_burst(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n, struct sa **sas)
{
	for (uint16_t i = 0; i < n; i++)
		rte_prefetch0(&lc->sa_out[pkt_meta(pkts[i])->slot]);
	for (uint16_t i = 0; i < n; i++) {
		struct sa *sa = lc->sa_out[pkt_meta(pkts[i])->slot].sa;

		sas[i] = sa;
		if (unlikely(!sa))
			continue;
		rte_prefetch0(sa);
		rte_prefetch0((uint8_t *)sa + offsetof(struct sa, flags));
		rte_prefetch0((uint8_t *)sa + offsetof(struct sa, hdr) + SA_HDR_ROOM - HDR_COPY);
		crypto_prefetch(sa);
	}
}

/* Prepares one packet; false when it was dropped. */
static inline bool out_prepare(struct lcore *lc, struct sa *sa, struct out_pkt *o)
{
	enum drop_reason why;

	if (unlikely(!sa)) {
		pkt_drop(lc, o->pkt, DROP_spd_no_sa);
		return false;
	}
	if (unlikely(sa->flags & SA_F_DEAD)) {
		out_drop(lc, sa, o->pkt, sa->flags & SA_F_SEQ_END ? DROP_sa_seq_exhausted
								   : DROP_sa_expired);
		return false;
	}
	if (unlikely(o->pkt->nb_segs > 1)) {
		o->pkt = pkt_rebuild(lc, o->pkt, RTE_PKTMBUF_HEADROOM, 0);
		if (!o->pkt)
			return false;
	}
	why = inner_check(sa, o);
	if (unlikely(why != KEEP)) {
		out_drop(lc, sa, o->pkt, why);
		return false;
	}
	return room_ensure(lc, sa, o);
}

static void out_finish(struct rte_mbuf *pkt, const struct sa *sa, uint32_t clen)
{
	struct pkt_meta *meta = pkt_meta(pkt);

	pkt->data_off -= sa->hdr_len;
	pkt->data_len = (uint16_t)(sa->hdr_len + clen + sa->icv_len);
	pkt->pkt_len = pkt->data_len;
	meta->l3_off = 0;
	meta->l4_off = sa->esp_off;
	meta->flags |= PKT_PROTECTED | PKT_LOCAL_OUT;
}

/* Runs the jobs and closes the gaps that refused ones leave; returns the number that remain. */
static uint16_t chain_finish(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n,
			     struct chain_batch *batch)
{
	uint16_t bad = 0, keep = 0;

	crypto_chain_run(lc->mb, batch->op, batch->n);
	for (uint16_t i = 0; i < batch->n; i++) {
		struct crypto_op *op = &batch->op[i];

		if (likely(op->ok)) {
			icv_copy(op->esp + op->esp_len, op->tag, op->sa->icv_len);
			continue;
		}
		pkt_drop(lc, pkts[batch->at[i]], DROP_crypto_error);
		pkts[batch->at[i]] = NULL;
		bad++;
	}
	if (likely(!bad))
		return n;
	for (uint16_t i = 0; i < n; i++)
		if (pkts[i])
			pkts[keep++] = pkts[i];
	return keep;
}

static uint16_t esp_out_burst(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n)
{
	struct sa *sas[CRYPTO_BURST];
	struct chain_batch batch;
	uint16_t keep = 0;

	batch.n = 0;
	prefetch_burst(lc, pkts, n, sas);
	for (uint16_t i = 0; i < n; i++) {
		struct out_pkt o = { .pkt = pkts[i] };
		struct sa *sa = sas[i];
		uint64_t seq;
		uint8_t *esp;

		if (!out_prepare(lc, sa, &o))
			continue;
		/* RFC 4301 section 5.1.2.1: a packet in transit loses one before it is encrypted */
		if (!(pkt_meta(o.pkt)->flags & PKT_LOCAL_OUT))
			ip4_ttl_decrement(o.inner);
		seq = ++sa->seq;
		esp = outer_write(sa, &o, seq) + sa->esp_off;
		trailer_write(&o);
		counters_add(lc, sa, o.len);
		if (likely(sa->crypto < SA_CHAIN))
			gcm_seal(lc, sa, &o, esp, seq);
		else
			chain_add(&batch, keep, sa, &o, esp, seq);
		out_finish(o.pkt, sa, o.clen);
		pkts[keep++] = o.pkt;
	}
	return batch.n ? chain_finish(lc, pkts, keep, &batch) : keep;
}

uint16_t stage_esp_out(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n)
{
	uint16_t done = 0, keep = 0;

	if (likely(n <= CRYPTO_BURST))
		return esp_out_burst(lc, pkts, n);
	while (done < n) {
		uint16_t part = RTE_MIN(n - done, CRYPTO_BURST);
		uint16_t good = esp_out_burst(lc, pkts + done, part);

		memmove(pkts + keep, pkts + done, good * sizeof(*pkts));
		keep += good;
		done += part;
	}
	return keep;
}
