/* Outbound ESP and AH (RFC 4303 section 3.3, RFC 4302 section 3.3): prepare, encrypt, finish.
 *
 * prepare: checks the inner packet, decrements its TTL, writes outer header, ESP or AH header and
 *          trailer, and uses up one sequence number. Here for IPv4 in an IPv4 ESP tunnel; the
 * others are in esp_out_any.c.
 * encrypt: IPsec-MB's GCM at once; our own, and cipher and HMAC, all together at the end. finish:  copies the ICVs of those, and takes out what the library
 * refused. */
#include "esp_out.h"
#include "mss.h"

/* What is computed for a whole burst at once: ciphers with HMACs, our own AES-GCM; and the UDP
 * checksums to be computed behind them. */
struct chain_batch {
	uint16_t n, n_sums;
	uint16_t at[CRYPTO_BURST]; /* index in the burst */
	struct crypto_op op[CRYPTO_BURST];
	alignas(64) uint8_t tag[CRYPTO_BURST][CRYPTO_TAG_MAX];
	struct ah_job ah[CRYPTO_BURST]; /* of op[i], where its SA is one of AH */
	struct {
		uint8_t *ip, *udp;
	} sum[CRYPTO_BURST];
	uint16_t n_own;
	struct gcm_op own[CRYPTO_BURST]; /* those of our own AES-GCM */
};

/* RFC 8200 section 5: nobody need send less than 1280 bytes at once over IPv6. */
static uint16_t mtu_to_tell(const struct sa *sa)
{
	uint16_t mtu = sa->outer_mtu ? esp_inner_mtu(sa) : 0;

	return mtu && sa->sel.local.lo.family == IP_V6 ? RTE_MAX(mtu, IP6_MTU_MIN) : mtu;
}

/* Drops a packet; its sender hears of those that it can do something about. */
static __rte_noinline void out_drop(struct lcore *lc, struct sa *sa, struct rte_mbuf *pkt,
				    enum drop_reason why)
{
	bool local = pkt_meta(pkt)->flags & PKT_LOCAL_OUT;

	sa->other_drops++;
	if (why == DROP_too_big && !local)
		lcore_drop_icmp(lc, pkt, why, mtu_to_tell(sa));
	else if (why == DROP_ip_ttl)
		lcore_drop_icmp(lc, pkt, why, 0);
	else
		pkt_drop(lc, pkt, why);
}

/* Reads and checks the inner header; nothing is written yet. */
static inline enum drop_reason inner_check(const struct sa *sa, struct out_pkt *o)
{
	struct rte_mbuf *pkt = o->pkt;
	const uint8_t *ip = rte_pktmbuf_mtod(pkt, const uint8_t *);

	if (pkt->data_len < IP4_LEN || ip[0] >> 4 != 4)
		return DROP_inner_malformed;
	o->len = load_be16(ip + IP4_TOTAL);
	if ((ip[0] & 15) < 5 || o->len < ip4_header_len(ip) || o->len > pkt->pkt_len)
		return DROP_inner_malformed;
	o->tos = ip[IP4_TOS];
	o->frag = load_be16(ip + IP4_FRAG);
	if (ip[IP4_TTL] <= 1 && !(pkt_meta(pkt)->flags & PKT_LOCAL_OUT))
		return DROP_ip_ttl;

	o->clen = (o->len + 2 + sa->pad_to - 1) & ~(uint32_t)(sa->pad_to - 1);
	o->total = sa->hdr_len + o->clen + sa->icv_len;
	if (o->total > UINT16_MAX)
		return DROP_too_big;
	/* RFC 4301 section 8.1: where the outer DF bit is cleared, the outer packet may be cut */
	if (sa->outer_mtu && o->total > sa->outer_mtu && (o->frag & IP4_DF) && sa->df != DF_CLEAR)
		return DROP_too_big;
	return KEEP;
}

/* One piece, ours alone, with room on both sides; false when it had to be dropped. */
static __rte_always_inline bool room_ensure(struct lcore *lc, const struct sa *sa,
					    struct out_pkt *o)
{
	struct rte_mbuf *pkt = o->pkt;
	uint32_t head = RTE_MAX(HDR_COPY, sa->hdr_len + ESP_L2_ROOM);
	uint32_t tail = o->clen + o->keep - o->len + OUT_BEHIND;

	if (unlikely(!pkt_writable(pkt) || pkt->data_off < head ||
		     pkt->data_off + o->len + tail > pkt->buf_len)) {
		pkt = pkt_rebuild(lc, pkt, RTE_MAX(head, (uint32_t)RTE_PKTMBUF_HEADROOM), tail);
		if (!pkt)
			return false;
		o->pkt = pkt;
	}
	o->body = rte_pktmbuf_mtod_offset(pkt, uint8_t *, o->keep);
	return true;
}

/* Copies the template in front of the inner packet and fills in what differs. */
static inline uint8_t *outer_write(const struct sa *sa, const struct out_pkt *o, uint64_t seq)
{
	uint8_t *ip = o->body - sa->hdr_len;
	uint16_t len = (uint16_t)o->total;
	uint16_t frag = sa->df == DF_COPY ? o->frag & IP4_DF : sa->df == DF_SET ? IP4_DF : 0;
	uint8_t tos = outer_tos(sa, o->tos);

	memcpy(o->body - HDR_COPY, sa->hdr + SA_HDR_ROOM - HDR_COPY, HDR_COPY);
	ip[IP4_TOS] = tos;
	store_be16(ip + IP4_TOTAL, len);
	store_be16(ip + IP4_ID, (uint16_t)seq);
	store_be16(ip + IP4_FRAG, frag);
	store_be16(ip + IP4_SUM,
		   (uint16_t)~sum16_fold(sa->hdr_sum + tos + len + (uint16_t)seq + frag));
	if (sa->wrap & WRAP_UDP)
		store_be16(ip + sa->l3_len + UDP_LENGTH, (uint16_t)(len - sa->l3_len));
	store_be32(ip + sa->esp_off + ESP_SEQ, (uint32_t)seq);
	trailer_write(o->body + o->len, o->clen - o->len - 2, NEXT_IPV4);
	return ip;
}

static __rte_always_inline void counters_add(struct lcore *lc, struct sa *sa, uint32_t len)
{
	sa->packets++;
	sa->bytes += len;
	sa->last_used_tsc = lc->now_tsc;
	lc->count.esp_out_packets++;
	lc->count.esp_out_bytes += len;
	if (unlikely(sa_limits_due(sa)))
		sa_limits(lc, sa);
}

/* What GCM, GMAC and CTR need beside the data: salt | IV, where the IV is the sequence counter. */
struct nonce {
	uint32_t salt, iv_hi, iv_lo;
};

static __rte_always_inline struct nonce nonce_of(const struct sa *sa, uint64_t seq)
{
	return (struct nonce){ sa->salt, rte_cpu_to_be_32((uint32_t)(seq >> 32)),
			       rte_cpu_to_be_32((uint32_t)seq) };
}

static __rte_always_inline void iv_write(uint8_t *esp, uint64_t seq)
{
	uint64_t iv = rte_cpu_to_be_64(seq);

	memcpy(esp + ESP_HDR_LEN, &iv, sizeof(iv));
}

/* RFC 4106 section 5, with ESN: AAD = SPI | all 64 bits of the sequence number. */
static __rte_noinline void gcm_seal_esn(struct lcore *lc, const struct sa *sa, uint8_t *esp,
					uint32_t clen, uint64_t seq)
{
	uint64_t whole = rte_cpu_to_be_64(seq);
	struct nonce nonce = nonce_of(sa, seq);
	uint8_t aad[12], *data = esp + ESP_HDR_LEN + 8;
	struct gcm_context_data ctx;

	memcpy(aad, esp + ESP_SPI, 4);
	memcpy(aad + 4, &whole, 8);
	crypto_gcm_encrypt(lc->mb, sa, &ctx, data, clen, (const uint8_t *)&nonce, aad, sizeof(aad),
			   data + clen);
}

/* RFC 4106: AAD = SPI | sequence number, which is how they stand in the ESP header. Our own code runs
 * when the headers of all packets are written: what was only just stored is slow to load. */
static __rte_always_inline void gcm_seal(struct lcore *lc, const struct sa *sa,
					 const struct out_pkt *o, uint8_t *esp, uint64_t seq,
					 struct chain_batch *batch)
{
	struct nonce nonce = nonce_of(sa, seq);
	struct gcm_context_data ctx;

	iv_write(esp, seq);
	if (likely(sa->crypto == SA_GCM_OWN))
		crypto_own_add(&batch->own[batch->n_own++], sa, rte_cpu_to_be_64(seq), seq,
			       esp + ESP_HDR_LEN + 8, o->clen);
	else if (unlikely(sa->flags & SA_F_ESN))
		gcm_seal_esn(lc, sa, esp, o->clen, seq);
	else
		crypto_gcm_encrypt(lc->mb, sa, &ctx, o->body, o->clen, (const uint8_t *)&nonce, esp,
				   ESP_HDR_LEN, o->body + o->clen);
}

static __rte_noinline void gmac_seal(struct lcore *lc, const struct sa *sa, uint8_t *esp,
				     uint32_t clen, uint64_t seq)
{
	struct nonce nonce = nonce_of(sa, seq);
	uint32_t len = ESP_HDR_LEN + sa->iv_len + clen;

	iv_write(esp, seq);
	esp_gmac(lc->mb, sa, esp, len, (const uint8_t *)&nonce, (uint32_t)(seq >> 32), esp + len);
}

/* Copies an ICV of 8 bytes or more in words, the last one overlapping. */
static inline void icv_copy(uint8_t *to, const uint8_t *tag, unsigned len)
{
	for (unsigned i = 0; i + 8 < len; i += 8)
		memcpy(to + i, tag + i, 8);
	memcpy(to + len - 8, tag + len - 8, 8);
}

/* RFC 3686 section 4: like GCM, CTR needs an IV that never repeats, and that is all. */
static void ctr_iv_write(struct crypto_op *op, uint64_t seq)
{
	struct nonce nonce = nonce_of(op->sa, seq);

	iv_write(op->esp, seq);
	memcpy(op->iv, &nonce, sizeof(op->iv));
}

static __rte_always_inline void chain_add(struct chain_batch *batch, uint16_t at,
					  const struct sa *sa, const struct out_pkt *o,
					  uint8_t *esp, uint64_t seq)
{
	struct crypto_op *op = &batch->op[batch->n];
	uint64_t counter[2] = { seq ^ sa->chain.iv_seed, 0 };

	op->sa = sa;
	op->esp = esp;
	op->esp_len = ESP_HDR_LEN + sa->iv_len + o->clen;
	op->more = 0;
	op->tag = batch->tag[batch->n];
	/* constant lengths: a copy of variable length is a slow string instruction here */
	if (likely(sa->iv_len == 16))
		memcpy(esp + ESP_HDR_LEN, counter, 16);
	else if (sa->encr == ENCR_AES_CTR)
		ctr_iv_write(op, seq);
	else if (sa->iv_len == 8)
		memcpy(esp + ESP_HDR_LEN, counter, 8);
	if (unlikely(sa->flags & SA_F_ESN)) {
		/* RFC 4303 section 2.2.1: hashed as if it stood there; the ICV takes the place */
		store_be32(esp + op->esp_len, (uint32_t)(seq >> 32));
		op->more = 4;
	}
	batch->at[batch->n++] = at;
}

/* False: the packet's headers cannot be covered. */
static bool ah_add(struct chain_batch *batch, uint16_t at, const struct sa *sa,
		   const struct out_pkt *o, uint8_t *front, uint64_t seq)
{
	struct ah_job *job = &batch->ah[batch->n];

	if (!out_ah_begin(sa, o, front, seq, job))
		return false;
	batch->op[batch->n] = (struct crypto_op){
		.sa = sa,
		.esp = front,
		.esp_len = o->total,
		.more = job->more,
		.tag = batch->tag[batch->n],
	};
	batch->at[batch->n++] = at;
	return true;
}

/* With many SAs each packet's is somewhere else in memory. A prefetch is a hint: of many at once most are dropped
 * (on Zen 3 two thirds of 256 lines), and each such line is waited for where it is used. So the SAs of a few packets
 * at a time are read for good, as many lines as the core can have on their way, and then these packets are worked
 * on. */
#define SA_PART 4

static inline void line_read(const void *p)
{
	(void)*(const volatile uint8_t *)p;
}

static inline void sa_read(const struct sa *sa)
{
	const uint8_t *keys = (const uint8_t *)&sa->own + GCM_KEY_HOT;

	line_read(&sa->flags);
	line_read(sa->hdr + SA_HDR_ROOM - HDR_COPY);
	if (unlikely(sa->crypto != SA_GCM_OWN)) { /* may have less than that */
		crypto_prefetch(sa);
		return;
	}
	for (unsigned i = 0; i < GCM_KEY_LINES; i++)
		line_read(keys + 64 * i);
}

/* What few SAs need, or need once. Returns what becomes of the mbuf, NULL when it was dropped. By value: no
 * pointer into the caller's variables keeps them out of registers. */
static __rte_noinline struct rte_mbuf *out_special(struct lcore *lc, struct sa *sa,
						   struct rte_mbuf *pkt)
{
	if (sa->flags & SA_F_DEAD) {
		out_drop(lc, sa, pkt,
			 sa->flags & SA_F_SEQ_END ? DROP_sa_seq_exhausted : DROP_sa_expired);
		return NULL;
	}
	if (pkt->nb_segs > 1 ||
	    (!pkt_writable(pkt) && mss_syn(rte_pktmbuf_mtod(pkt, uint8_t *), pkt->data_len)))
		pkt = pkt_rebuild(lc, pkt, RTE_PKTMBUF_HEADROOM, 0);
	if (pkt)
		mss_clamp_sa(sa, rte_pktmbuf_mtod(pkt, uint8_t *), pkt->data_len);
	return pkt;
}

/* Checks one packet and makes room around it; false when it was dropped. */
static __rte_always_inline bool out_prepare(struct lcore *lc, struct sa *sa, struct out_pkt *o,
					    bool any)
{
	enum drop_reason why;

	if (unlikely(sa->flags & (SA_F_DEAD | SA_F_CLAMP_MSS))) {
		o->pkt = out_special(lc, sa, o->pkt);
		if (!o->pkt)
			return false;
	}
	if (unlikely(o->pkt->nb_segs > 1)) {
		o->pkt = pkt_rebuild(lc, o->pkt, RTE_PKTMBUF_HEADROOM, 0);
		if (!o->pkt)
			return false;
	}
	why = any ? out_any_check(sa, o) : inner_check(sa, o);
	if (unlikely(why != KEEP)) {
		out_drop(lc, sa, o->pkt, why);
		return false;
	}
	return room_ensure(lc, sa, o);
}

static __rte_always_inline void out_finish(const struct sa *sa, const struct out_pkt *o)
{
	struct rte_mbuf *pkt = o->pkt;
	struct pkt_meta *meta = pkt_meta(pkt);

	pkt->data_off -= sa->hdr_len;
	pkt->data_len = (uint16_t)o->total;
	pkt->pkt_len = o->total;
	meta->l3_off = 0;
	meta->l4_off = (uint8_t)(o->keep + sa->esp_off);
	meta->flags |= PKT_PROTECTED | PKT_LOCAL_OUT;
}

static inline void op_finish(const struct crypto_op *op, const struct ah_job *job)
{
	if (likely(!(op->sa->wrap & WRAP_AH))) {
		icv_copy(op->esp + op->esp_len, op->tag, op->sa->icv_len);
		return;
	}
	ah_end(job);
	icv_copy(job->ip + job->ah_off + AH_ICV, op->tag, job->icv_len);
}

/* Takes out the packets whose job the library refused; returns the number that remain. */
static uint16_t refused_drop(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n,
			     const struct chain_batch *batch)
{
	uint16_t keep = 0;

	for (uint16_t i = 0; i < batch->n; i++) {
		if (batch->op[i].ok)
			continue;
		pkt_drop(lc, pkts[batch->at[i]], DROP_crypto_error);
		pkts[batch->at[i]] = NULL;
	}
	for (uint16_t i = 0; i < n; i++)
		if (pkts[i])
			pkts[keep++] = pkts[i];
	return keep;
}

/* Runs the jobs, then what needs their results; returns the number of packets that remain. */
static uint16_t chain_finish(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n,
			     struct chain_batch *batch)
{
	bool refused = false;

	if (batch->n)
		crypto_chain_run(lc->mb, batch->op, batch->n);
	for (uint16_t i = 0; i < batch->n; i++) {
		if (likely(batch->op[i].ok))
			op_finish(&batch->op[i], &batch->ah[i]);
		else
			refused = true;
	}
	for (uint16_t i = 0; i < batch->n_sums; i++)
		out_udp6_sum(batch->sum[i].ip, batch->sum[i].udp);
	return unlikely(refused) ? refused_drop(lc, pkts, n, batch) : n;
}

/* IPv4 in an IPv4 ESP tunnel, at index at of the burst. Returns what becomes of the mbuf, NULL when
 * it was dropped. */
static __rte_always_inline struct rte_mbuf *out_esp4(struct lcore *lc, struct sa *sa,
						     struct rte_mbuf *pkt,
						     struct chain_batch *batch, uint16_t at)
{
	struct out_pkt o = { .pkt = pkt };
	uint64_t seq;
	uint8_t *esp;

	if (!out_prepare(lc, sa, &o, false))
		return NULL;
	/* RFC 4301 section 5.1.2.1: a packet in transit loses one before it is encrypted */
	if (!(pkt_meta(o.pkt)->flags & PKT_LOCAL_OUT))
		ip4_ttl_decrement(o.body);
	seq = ++sa->seq;
	esp = outer_write(sa, &o, seq) + sa->esp_off;
	counters_add(lc, sa, o.len);
	if (likely(sa->crypto <= SA_GCM_256))
		gcm_seal(lc, sa, &o, esp, seq, batch);
	else if (likely(sa->crypto >= SA_CHAIN))
		chain_add(batch, at, sa, &o, esp, seq);
	else
		gmac_seal(lc, sa, esp, o.clen, seq);
	out_finish(sa, &o);
	return o.pkt;
}

/* The checksum covers the ICV, which comes later. */
static void sum_later(struct chain_batch *batch, uint8_t *front, uint8_t *udp)
{
	batch->sum[batch->n_sums].ip = front;
	batch->sum[batch->n_sums++].udp = udp;
}

/* Everything else. A function of its own, so that the packets above stay in registers. */
static __rte_noinline struct rte_mbuf *out_any(struct lcore *lc, struct sa *sa,
					       struct rte_mbuf *pkt, struct chain_batch *batch,
					       uint16_t at)
{
	struct out_pkt o = { .pkt = pkt };
	uint8_t *front, *esp;
	uint64_t seq;

	if (!out_prepare(lc, sa, &o, true))
		return NULL;
	seq = ++sa->seq;
	front = out_any_write(sa, &o, seq);
	esp = front + o.keep + sa->esp_off;
	if (sa->wrap & WRAP_AH) {
		if (!(sa->crypto >= SA_CHAIN ? ah_add(batch, at, sa, &o, front, seq)
					     : out_ah_gmac(lc, sa, &o, front, seq))) {
			out_drop(lc, sa, o.pkt, DROP_ah_malformed);
			return NULL;
		}
	} else if (sa->crypto >= SA_CHAIN) {
		chain_add(batch, at, sa, &o, esp, seq);
	} else if (sa->crypto >= SA_GMAC_128) {
		gmac_seal(lc, sa, esp, o.clen, seq);
	} else {
		gcm_seal(lc, sa, &o, esp, seq, batch);
	}
	counters_add(lc, sa, o.len);
	if (sa->wrap == (WRAP_UDP | WRAP_IP6)) {
		if (sa->flags & SA_F_DEVICE_SUM)
			out_udp6_sum_later(o.pkt, front, (uint32_t)(esp - UDP_LEN - front));
		else
			sum_later(batch, front, esp - UDP_LEN);
	}
	out_finish(sa, &o);
	return o.pkt;
}

/* What becomes of one packet, at index at of those that remain; NULL: dropped. */
static __rte_always_inline struct rte_mbuf *out_one(struct lcore *lc, struct sa *sa,
						    struct rte_mbuf *pkt,
						    struct chain_batch *batch, uint16_t at)
{
	if (unlikely(!sa)) {
		pkt_drop(lc, pkt, DROP_spd_no_sa);
		return NULL;
	}
	if (likely(sa->path == SA_PATH_ESP4))
		return out_esp4(lc, sa, pkt, batch, at);
	return out_any(lc, sa, pkt, batch, at);
}

static uint16_t esp_out_burst(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n)
{
	struct sa *sas[CRYPTO_BURST];
	struct chain_batch batch;
	uint16_t keep = 0;

	batch.n = batch.n_sums = batch.n_own = 0;
	for (uint16_t i = 0; i < n; i++)
		sas[i] = lc->sa_out[pkt_meta(pkts[i])->slot].sa;
	for (uint16_t done = 0, end; done < n; done = end) {
		end = RTE_MIN(done + SA_PART, n);
		for (uint16_t i = done; i < end; i++)
			if (likely(sas[i]))
				sa_read(sas[i]);
		for (uint16_t i = done; i < end; i++) {
			struct rte_mbuf *pkt = out_one(lc, sas[i], pkts[i], &batch, keep);

			if (likely(pkt))
				pkts[keep++] = pkt;
		}
	}
	gcm_encrypt(batch.own, batch.n_own);
	return batch.n + batch.n_sums ? chain_finish(lc, pkts, keep, &batch) : keep;
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
