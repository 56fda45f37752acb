/* Inbound ESP and AH (RFC 4303 section 3.4, RFC 4302 section 3.4): find, check, decrypt, accept.
 *
 * find:    SPI to SA, or to the lcore that owns it.
 * check:   addresses, encapsulation, lengths, replay window; changes nothing.
 * decrypt: IPsec-MB's GCM at once; our own some packets at a time; cipher and HMAC of the whole burst
 * together.
 * accept:  ICV, then window, trailer, inner header, selectors, ECN; counts. Here for IPv4 in an
 * IPv4 ESP tunnel; the others are in esp_in_any.c. */
#include <rte_prefetch.h>

#include "esp_in.h"
#include "mss.h"

#define BAD_SPI_PER_SECOND 10
#define OWN_PART	   8 /* packets that are decrypted before the first of them is looked at */

/* Cipher and HMAC operations of one burst. */
struct chain_batch {
	uint16_t n;
	uint16_t at[CRYPTO_BURST]; /* index in the burst */
	struct crypto_op op[CRYPTO_BURST];
	alignas(64) uint8_t tag[CRYPTO_BURST][CRYPTO_TAG_MAX];
	/* what a computation overwrites: the received ICV under ESN, more of it with AH */
	union {
		uint8_t icv[AH_ICV_MAX];
		struct ah_job ah;
	} saved[CRYPTO_BURST];
};

static void in_drop(struct lcore *lc, struct in_pkt *p, enum drop_reason why)
{
	switch (why) {
	case DROP_replay_old:
		p->sa->late_drops++;
		break;
	case DROP_replay_dup:
	case DROP_replay_zero:
		p->sa->dup_drops++;
		break;
	case DROP_esp_icv:
		p->sa->icv_drops++;
		break;
	default:
		p->sa->other_drops++;
	}
	pkt_drop(lc, p->pkt, why);
}

/* ------------------------------------------------------------------------------- find ------- */

static __rte_noinline void bad_spi(struct lcore *lc, struct rte_mbuf *pkt, uint32_t spi)
{
	const struct pkt_meta *meta = pkt_meta(pkt);
	const uint8_t *ip = rte_pktmbuf_mtod_offset(pkt, const uint8_t *, meta->l3_off);
	struct evt evt = { .op = EVT_BAD_SPI, .spi = spi };

	if (lc->now_tsc >= lc->bad_spi_due) {
		if (ip_version(ip) == 4) {
			evt.remote = ip_addr_v4(load_be32(ip + IP4_SRC));
		} else {
			evt.remote.family = IP_V6;
			memcpy(evt.remote.b, ip + IP6_SRC, 16);
		}
		lc->bad_spi_due = lc->now_tsc + lc->tsc_hz / BAD_SPI_PER_SECOND;
		lcore_event(lc, &evt);
	}
	pkt_drop(lc, pkt, DROP_esp_no_sa);
}

/* The lengths that the packet states about itself: fills esp and esp_len. */
static inline enum drop_reason in_measure(struct in_pkt *p)
{
	const struct pkt_meta *meta = pkt_meta(p->pkt);
	const uint8_t *data = rte_pktmbuf_mtod(p->pkt, const uint8_t *);
	const uint8_t *ip = data + meta->l3_off;
	uint32_t end, l4 = meta->l4_off, l4_len = meta->flags & PKT_AH ? AH_LEN : ESP_HDR_LEN;

	if (unlikely(l4 < meta->l3_off + (uint32_t)IP4_LEN || l4 + l4_len > p->pkt->data_len))
		return DROP_esp_short;
	p->wrap = meta->flags & WRAP_UDP;
	if (likely(ip_version(ip) == 4)) {
		end = meta->l3_off + (uint32_t)load_be16(ip + IP4_TOTAL);
		p->outer_tos = ip[IP4_TOS];
	} else {
		enum drop_reason why = in_any_measure6(p, ip, &end);

		if (why != KEEP)
			return why;
	}
	if (p->wrap & WRAP_UDP) {
		uint32_t udp_end = l4 - 8 + (uint32_t)load_be16(data + l4 - 4);

		if (unlikely(l4 < meta->l3_off + IP4_LEN + 8u || udp_end > end))
			return DROP_natt_malformed;
		end = udp_end;
	}
	if (unlikely(meta->flags & PKT_AH))
		p->wrap |= WRAP_AH;
	if (unlikely(end > p->pkt->data_len || end < l4 + l4_len))
		return DROP_esp_short;
	p->esp = rte_pktmbuf_mtod_offset(p->pkt, uint8_t *, l4);
	p->esp_len = end - l4;
	return KEEP;
}

/* Copies the packet if it may not be written, measures it and reads the SPI. False: dropped. */
static inline bool in_open(struct lcore *lc, struct in_pkt *p, struct rte_mbuf *pkt)
{
	enum drop_reason why;

	if (unlikely(!pkt_writable(pkt) || rte_pktmbuf_tailroom(pkt) < GCM_BEHIND)) {
		pkt = pkt_rebuild(lc, pkt, RTE_PKTMBUF_HEADROOM, GCM_BEHIND);
		if (!pkt)
			return false;
	}
	p->pkt = pkt;
	why = in_measure(p);
	if (unlikely(why != KEEP)) {
		pkt_drop(lc, pkt, why);
		return false;
	}
	return true;
}

static inline void sa_prefetch(const struct sa *sa)
{
	rte_prefetch0(sa);
	rte_prefetch0((const uint8_t *)sa + offsetof(struct sa, flags));
	crypto_prefetch(sa);
}

/* Finds the SA of every packet. Returns how many are left in p, in order. */
static uint16_t in_find(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n, struct in_pkt *p)
{
	uint16_t keep = 0, found = 0;
	uint32_t spi[CRYPTO_BURST];

	for (uint16_t i = 0; i < n; i++) {
		if (!in_open(lc, &p[keep], pkts[i]))
			continue;
		spi[keep] =
			load_be32(p[keep].esp + (unlikely(p[keep].wrap & WRAP_AH) ? AH_SPI : 0));
		rte_prefetch0(&lc->sa_in[spi_slot(&lc->spi, spi[keep])]);
		keep++;
	}
	for (uint16_t i = 0; i < keep; i++) {
		uint32_t owner = spi_owner(&lc->spi, spi[i]);
		const struct sa_entry *entry = &lc->sa_in[spi_slot(&lc->spi, spi[i])];

		if (unlikely(owner != lc->id)) {
			if (owner >= lc->n_workers) {
				bad_spi(lc, p[i].pkt, spi[i]);
				continue;
			}
			lcore_handover(lc, (uint16_t)owner, p[i].pkt);
			continue;
		}
		if (unlikely(entry->spi != spi[i] || !entry->sa)) {
			bad_spi(lc, p[i].pkt, spi[i]);
			continue;
		}
		if (unlikely(found != i))
			p[found] = p[i];
		p[found].sa = entry->sa;
		sa_prefetch(entry->sa);
		found++;
	}
	return found;
}

/* ------------------------------------------------------------------------------ check ------- */

static inline enum drop_reason replay_reason(enum replay_verdict v)
{
	return v == REPLAY_OLD   ? DROP_replay_old
	       : v == REPLAY_DUP ? DROP_replay_dup
				 : DROP_replay_zero;
}

/* The source of what comes in UDP is a NAT's, which may change it at any time: the ICV decides, and
 * peer_moved() tells control. */
static inline enum drop_reason outer_check(const struct sa *sa, const struct in_pkt *p)
{
	const uint8_t *ip =
		rte_pktmbuf_mtod_offset(p->pkt, const uint8_t *, pkt_meta(p->pkt)->l3_off);

	if (unlikely(p->wrap != sa->wrap))
		return (p->wrap ^ sa->wrap) & WRAP_IP6 ? DROP_esp_addr : DROP_esp_encap;
	if (unlikely(p->wrap & WRAP_IP6))
		return (memcmp(ip + IP6_SRC, sa->remote.b, 16) && !(p->wrap & WRAP_UDP)) ||
				       memcmp(ip + IP6_DST, sa->local.b, 16)
			       ? DROP_esp_addr
			       : KEEP;
	if (unlikely((load_be32(ip + IP4_SRC) != sa->remote_v4 && !(p->wrap & WRAP_UDP)) ||
		     load_be32(ip + IP4_DST) != sa->local_v4))
		return DROP_esp_addr;
	return KEEP;
}

static inline enum drop_reason esp_check(struct in_pkt *p)
{
	const struct sa *sa = p->sa;
	uint32_t fixed = ESP_HDR_LEN + (uint32_t)sa->iv_len + sa->icv_len;

	if (unlikely(p->esp_len < fixed + sa->pad_to))
		return DROP_esp_short;
	p->head = ESP_HDR_LEN + sa->iv_len;
	p->clen = p->esp_len - fixed;
	if (unlikely(p->clen & (sa->pad_to - 1u)))
		return DROP_esp_align;
	p->seq = load_be32(p->esp + ESP_SEQ);
	return KEEP;
}

static inline enum drop_reason in_check(struct in_pkt *p)
{
	struct sa *sa = p->sa;
	enum replay_verdict verdict;
	enum drop_reason why;

	if (unlikely(sa->flags & SA_F_DEAD))
		return DROP_sa_expired;
	why = outer_check(sa, p);
	if (unlikely(why != KEEP))
		return why;
	why = likely(!(sa->wrap & WRAP_AH)) ? esp_check(p) : in_any_ah_check(p);
	if (unlikely(why != KEEP))
		return why;
	if (unlikely(sa->flags & SA_F_ESN) && !replay_extend(sa, (uint32_t)p->seq, &p->seq))
		return DROP_replay_old;
	verdict = replay_check(sa, p->seq);
	return likely(verdict == REPLAY_OK) ? KEEP : replay_reason(verdict);
}

/* ---------------------------------------------------------------------------- decrypt ------- */

/* RFC 4106: nonce = salt | IV; AAD = SPI | sequence number, as they stand in the header; with ESN
 * all 64 bits of the number. */
static inline bool gcm_open(struct lcore *lc, const struct in_pkt *p)
{
	const struct sa *sa = p->sa;
	uint8_t *iv = p->esp + ESP_HDR_LEN;
	struct gcm_context_data ctx;
	uint8_t nonce[12], tag[16], extended[12];
	const uint8_t *aad = p->esp;
	uint32_t aad_len = ESP_HDR_LEN;

	memcpy(nonce, &sa->salt, 4);
	memcpy(nonce + 4, iv, 8);
	if (unlikely(sa->flags & SA_F_ESN)) {
		memcpy(extended, p->esp + ESP_SPI, 4);
		store_be32(extended + 4, (uint32_t)(p->seq >> 32));
		store_be32(extended + 8, (uint32_t)p->seq);
		aad = extended;
		aad_len = sizeof(extended);
	}
	crypto_gcm_decrypt(lc->mb, sa, &ctx, iv + 8, p->clen, nonce, aad, aad_len, tag);
	return crypto_tag_equal(tag, iv + 8 + p->clen, sa->icv_len);
}

/* The packets of our own AES-GCM in a burst. */
struct own_batch {
	uint16_t n;
	uint16_t at[CRYPTO_BURST]; /* index in the burst */
	struct gcm_op op[CRYPTO_BURST];
};

static inline void own_add(struct own_batch *batch, uint16_t at, const struct in_pkt *p)
{
	uint8_t *iv = p->esp + ESP_HDR_LEN;
	uint64_t raw;

	memcpy(&raw, iv, sizeof(raw));
	rte_prefetch0(replay_word(p->sa, p->seq));
	crypto_own_add(&batch->op[batch->n], p->sa, raw, p->seq, iv + 8, p->clen);
	batch->at[batch->n++] = at;
}

static bool gmac_open(struct lcore *lc, const struct in_pkt *p)
{
	const struct sa *sa = p->sa;
	uint8_t nonce[12], tag[16];

	memcpy(nonce, &sa->salt, 4);
	memcpy(nonce + 4, p->esp + ESP_HDR_LEN, 8);
	esp_gmac(lc->mb, sa, p->esp, p->head + p->clen, nonce, (uint32_t)(p->seq >> 32), tag);
	return crypto_tag_equal(tag, p->esp + p->head + p->clen, sa->icv_len);
}

static inline void chain_add(struct chain_batch *batch, uint16_t at, const struct in_pkt *p)
{
	struct crypto_op *op = &batch->op[batch->n];
	const struct sa *sa = p->sa;

	op->sa = sa;
	op->esp = p->esp;
	op->esp_len = p->esp_len - sa->icv_len;
	op->more = 0;
	op->tag = batch->tag[batch->n];
	if (unlikely(sa->encr == ENCR_AES_CTR)) {
		memcpy(op->iv, &sa->salt, 4);
		memcpy(op->iv + 4, p->esp + ESP_HDR_LEN, 8);
	}
	if (unlikely(sa->flags & SA_F_ESN)) {
		/* RFC 4303 section 2.2.1: hashed as if it stood in the ICV's place */
		memcpy(batch->saved[batch->n].icv, p->esp + op->esp_len, sa->icv_len);
		store_be32(p->esp + op->esp_len, (uint32_t)(p->seq >> 32));
		op->more = 4;
	}
	batch->at[batch->n++] = at;
}

/* False: the headers before AH cannot be covered. */
static bool ah_add(struct chain_batch *batch, uint16_t at, const struct in_pkt *p)
{
	struct ah_job *job = &batch->saved[batch->n].ah;

	if (!in_any_ah_begin(p, job))
		return false;
	batch->op[batch->n] = (struct crypto_op){
		.sa = p->sa,
		.esp = job->ip,
		.esp_len = job->total,
		.more = job->more,
		.tag = batch->tag[batch->n],
	};
	batch->at[batch->n++] = at;
	return true;
}

/* ----------------------------------------------------------------------------- accept ------- */

static __rte_noinline enum drop_reason wrong_next(uint8_t next)
{
	return next == NEXT_NONE ? DROP_esp_dummy : DROP_esp_next_header;
}

static __rte_noinline void moved_event(struct lcore *lc, struct sa *sa, const struct ip_addr *remote,
				       uint16_t port)
{
	struct evt evt = { .op = EVT_PEER_MOVED, .spi = sa->spi, .remote = *remote, .port = port };
	uint16_t second = (uint16_t)(lc->now_tsc / lc->tsc_hz + 1);

	if (sa->moved_s == second)
		return;
	sa->moved_s = second;
	lcore_event(lc, &evt);
}

/* The newest packet says where the peer is (RFC 3947 section 7 has IKE follow it likewise): an older
 * one may have been on its way since before it moved, or be held back and sent on by somebody. */
static inline void peer_moved(struct lcore *lc, const struct in_pkt *p)
{
	const uint8_t *ip =
		rte_pktmbuf_mtod_offset(p->pkt, const uint8_t *, pkt_meta(p->pkt)->l3_off);
	uint16_t port = load_be16(p->esp - UDP_LEN + UDP_SPORT);
	struct ip_addr remote = { .family = IP_V6 };

	if (unlikely(p->wrap & WRAP_IP6)) {
		if (port == p->sa->peer_port && !memcmp(ip + IP6_SRC, p->sa->remote.b, 16))
			return;
		memcpy(remote.b, ip + IP6_SRC, 16);
	} else {
		if (likely(port == p->sa->peer_port && load_be32(ip + IP4_SRC) == p->sa->remote_v4))
			return;
		remote = ip_addr_v4(load_be32(ip + IP4_SRC));
	}
	moved_event(lc, p->sa, &remote, port);
}

/* Everything after a good ICV. */
static __rte_always_inline enum drop_reason accept_inline(struct lcore *lc, struct in_pkt *p)
{
	uint8_t *inner = p->esp + p->head, next;
	bool newest = p->seq > p->sa->seq;
	enum replay_verdict verdict = replay_accept(p->sa, p->seq);
	enum drop_reason why;
	uint32_t len, total;

	if (unlikely(verdict != REPLAY_OK))
		return replay_reason(verdict);
	if (p->wrap & WRAP_UDP && newest)
		peer_moved(lc, p);
	if (unlikely(p->sa->flags & (SA_F_DEAD | SA_F_CLAMP_MSS))) {
		if (p->sa->flags & SA_F_DEAD)
			return DROP_sa_expired;
		if (p->sa->path == SA_PATH_ESP4)
			mss_clamp_sa(p->sa, inner, p->clen);
	}
	if (unlikely(p->sa->path != SA_PATH_ESP4))
		return in_any_accept(lc, p);
	why = trailer_read(inner, p->clen, &len, &next);
	if (unlikely(why != KEEP))
		return why;
	if (unlikely(next != NEXT_IPV4))
		return wrong_next(next);
	why = inner4_check(inner, len, &total);
	if (unlikely(why != KEEP))
		return why;
	if (unlikely(!selector4_match(&p->sa->sel4, inner, total)))
		return DROP_sel_mismatch;
	why = ecn4_combine(inner, p->outer_tos);
	if (unlikely(why != KEEP))
		return why;
	in_finish(lc, p, inner, total, ip4_header_len(inner));
	return KEEP;
}

/* The same as one function, for all but our own AES-GCM. */
static __rte_noinline enum drop_reason in_accept(struct lcore *lc, struct in_pkt *p)
{
	return accept_inline(lc, p);
}

/* The ICV as it was received. */
static inline const uint8_t *icv_received(struct chain_batch *batch, uint16_t i)
{
	const struct crypto_op *op = &batch->op[i];

	if (unlikely(op->sa->wrap & WRAP_AH)) {
		ah_end(&batch->saved[i].ah);
		return batch->saved[i].ah.icv;
	}
	return unlikely(op->more) ? batch->saved[i].icv : op->esp + op->esp_len;
}

/* All cipher and HMAC operations of the burst. */
static void chain_open(struct lcore *lc, struct in_pkt *p, enum drop_reason *verdict,
		       struct chain_batch *batch)
{
	crypto_chain_run(lc->mb, batch->op, batch->n);
	for (uint16_t i = 0; i < batch->n; i++) {
		const struct crypto_op *op = &batch->op[i];
		const uint8_t *icv = icv_received(batch, i);
		uint16_t at = batch->at[i];

		if (unlikely(!op->ok))
			verdict[at] = DROP_crypto_error;
		else if (unlikely(!crypto_tag_equal(op->tag, icv, op->sa->icv_len)))
			verdict[at] = DROP_esp_icv;
		else
			verdict[at] = in_accept(lc, &p[at]);
	}
}

/* A few at a time, so that what is then looked at is still in the first-level cache. */
static void own_open(struct lcore *lc, struct in_pkt *p, enum drop_reason *verdict,
		     struct own_batch *batch)
{
	for (uint16_t done = 0, end; done < batch->n; done = end) {
		end = RTE_MIN(done + OWN_PART, batch->n);
		gcm_decrypt(&batch->op[done], end - done);
		for (uint16_t i = done; i < end; i++) {
			const struct gcm_op *op = &batch->op[i];
			uint16_t at = batch->at[i];

			if (likely(crypto_tag_match(op->tag, op->data + op->len, p[at].sa->icv_len)))
				verdict[at] = accept_inline(lc, &p[at]);
			else
				verdict[at] = DROP_esp_icv;
		}
	}
}

static __rte_noinline enum drop_reason gmac_in(struct lcore *lc, struct in_pkt *p)
{
	enum drop_reason why = KEEP;

	if (p->sa->wrap & WRAP_AH)
		why = in_any_ah_gmac(lc, p);
	else if (!gmac_open(lc, p))
		why = DROP_esp_icv;
	return why == KEEP ? in_accept(lc, p) : why;
}

/* Everything but GCM. */
static __rte_noinline enum drop_reason in_other(struct lcore *lc, struct in_pkt *p, uint16_t at,
						struct chain_batch *batch)
{
	if (unlikely(p->sa->crypto < SA_CHAIN))
		return gmac_in(lc, p);
	if (p->sa->wrap & WRAP_AH)
		return ah_add(batch, at, p) ? KEEP : DROP_ah_malformed;
	chain_add(batch, at, p);
	return KEEP;
}

/* Checks, decrypts and accepts; verdict[i] says what became of packet i. GCM packets of IPsec-MB
 * go all the way one by one, while their last bytes are still in the first-level cache. */
static void in_process(struct lcore *lc, struct in_pkt *p, uint16_t n, enum drop_reason *verdict)
{
	struct chain_batch batch;
	struct own_batch own;

	batch.n = own.n = 0;
	for (uint16_t i = 0; i < n; i++) {
		verdict[i] = in_check(&p[i]);
		if (unlikely(verdict[i] != KEEP))
			continue;
		if (likely(p[i].sa->crypto == SA_GCM_OWN))
			own_add(&own, i, &p[i]);
		else if (p[i].sa->crypto <= SA_GCM_256)
			verdict[i] =
				likely(gcm_open(lc, &p[i])) ? in_accept(lc, &p[i]) : DROP_esp_icv;
		else
			verdict[i] = in_other(lc, &p[i], i, &batch);
	}
	own_open(lc, p, verdict, &own);
	if (batch.n)
		chain_open(lc, p, verdict, &batch);
}

static uint16_t esp_in_burst(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n)
{
	enum drop_reason verdict[CRYPTO_BURST];
	struct in_pkt p[CRYPTO_BURST];
	uint16_t keep = 0;

	n = in_find(lc, pkts, n, p);
	in_process(lc, p, n, verdict);
	for (uint16_t i = 0; i < n; i++) {
		if (likely(verdict[i] == KEEP))
			pkts[keep++] = p[i].pkt;
		else
			in_drop(lc, &p[i], verdict[i]);
	}
	return keep;
}

uint16_t stage_esp_in(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n)
{
	uint16_t done = 0, keep = 0;

	if (likely(n <= CRYPTO_BURST))
		return esp_in_burst(lc, pkts, n);
	while (done < n) {
		uint16_t part = RTE_MIN(n - done, CRYPTO_BURST);
		uint16_t good = esp_in_burst(lc, pkts + done, part);

		memmove(pkts + keep, pkts + done, good * sizeof(*pkts));
		keep += good;
		done += part;
	}
	return keep;
}
