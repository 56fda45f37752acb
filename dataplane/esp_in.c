/* Inbound ESP (RFC 4303 section 3.4), tunnel mode: find, check, decrypt, accept.
 *
 * find:    SPI to SA, or to the lcore that owns it.
 * check:   addresses, encapsulation, lengths, replay window; changes nothing.
 * decrypt: GCM at once; cipher and HMAC of the whole burst together.
 * accept:  ICV, then window, trailer, inner header, selectors, ECN; counts. */
#include <emmintrin.h>
#include <rte_prefetch.h>

#include "crypto.h"
#include "esp.h"
#include "replay.h"

#define KEEP		   DROP_COUNT /* no reason to drop */
#define BAD_SPI_PER_SECOND 10

/* One packet on its way through the stage. */
struct in_pkt {
	struct rte_mbuf *pkt;
	struct sa *sa;
	uint8_t *esp;	  /* ESP header */
	uint32_t esp_len; /* from there to the end of the ICV */
	uint32_t clen;	  /* of the ciphertext */
	uint32_t seq;
	uint8_t outer_tos;
	bool udp;
};

/* Cipher and HMAC operations of one burst. */
struct chain_batch {
	uint16_t n;
	uint16_t at[CRYPTO_BURST]; /* index in the burst */
	struct crypto_op op[CRYPTO_BURST];
	alignas(64) uint8_t tag[CRYPTO_BURST][CRYPTO_TAG_MAX];
};

static void in_drop(struct lcore *lc, struct in_pkt *p, enum drop_reason why)
{
	switch (why) {
	case DROP_replay_old:
	case DROP_replay_dup:
	case DROP_replay_zero:
		p->sa->replay_drops++;
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
		evt.remote = ip_addr_v4(load_be32(ip + IP4_SRC));
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
	uint32_t end, l4 = meta->l4_off;

	if (unlikely(l4 < meta->l3_off + (uint32_t)IP4_LEN || l4 + ESP_HDR_LEN > p->pkt->data_len))
		return DROP_esp_short;
	if (unlikely(ip[0] >> 4 != 4))
		return DROP_ip6_unsupported;
	end = meta->l3_off + (uint32_t)load_be16(ip + IP4_TOTAL);
	p->udp = meta->flags & PKT_UDP_ENCAP;
	if (p->udp) {
		uint32_t udp_end = l4 - 8 + (uint32_t)load_be16(data + l4 - 4);

		if (unlikely(l4 < meta->l3_off + IP4_LEN + 8u || udp_end > end))
			return DROP_natt_malformed;
		end = udp_end;
	}
	if (unlikely(end > p->pkt->data_len || end < l4 + ESP_HDR_LEN))
		return DROP_esp_short;
	p->esp = rte_pktmbuf_mtod_offset(p->pkt, uint8_t *, l4);
	p->esp_len = end - l4;
	p->outer_tos = ip[IP4_TOS];
	return KEEP;
}

/* Copies the packet if it may not be written, measures it and reads the SPI. False: dropped. */
static inline bool in_open(struct lcore *lc, struct in_pkt *p, struct rte_mbuf *pkt)
{
	enum drop_reason why;

	if (unlikely(!pkt_writable(pkt))) {
		pkt = pkt_rebuild(lc, pkt, RTE_PKTMBUF_HEADROOM, 0);
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
		spi[keep] = load_be32(p[keep].esp);
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
	return v == REPLAY_OLD ? DROP_replay_old : v == REPLAY_DUP ? DROP_replay_dup
								    : DROP_replay_zero;
}

/* A peer behind a NAT may change its port, so only the addresses count (RFC 3948 section 4 leaves
 * the addresses of a NATed peer to IKE). */
static inline enum drop_reason outer_check(const struct sa *sa, const struct in_pkt *p)
{
	const uint8_t *ip = rte_pktmbuf_mtod_offset(p->pkt, const uint8_t *,
						    pkt_meta(p->pkt)->l3_off);

	if (unlikely(p->udp != !!(sa->flags & SA_F_UDP)))
		return DROP_esp_encap;
	if (unlikely(load_be32(ip + IP4_SRC) != sa->remote_v4 || load_be32(ip + IP4_DST) != sa->local_v4))
		return DROP_esp_addr;
	return KEEP;
}

static inline enum drop_reason in_check(struct in_pkt *p)
{
	struct sa *sa = p->sa;
	uint32_t fixed = ESP_HDR_LEN + (uint32_t)sa->iv_len + sa->icv_len;
	enum replay_verdict verdict;
	enum drop_reason why;

	if (unlikely(sa->flags & SA_F_DEAD))
		return DROP_sa_expired;
	why = outer_check(sa, p);
	if (unlikely(why != KEEP))
		return why;
	if (unlikely(p->esp_len < fixed + sa->pad_to))
		return DROP_esp_short;
	p->clen = p->esp_len - fixed;
	if (unlikely(p->clen & (sa->pad_to - 1u)))
		return DROP_esp_align;
	p->seq = load_be32(p->esp + 4);
	verdict = replay_check(sa, p->seq);
	return likely(verdict == REPLAY_OK) ? KEEP : replay_reason(verdict);
}

/* ---------------------------------------------------------------------------- decrypt ------- */

/* RFC 4106: nonce = salt | IV; AAD = SPI | sequence number, as they stand in the header. */
static inline bool gcm_open(struct lcore *lc, const struct in_pkt *p)
{
	const struct sa *sa = p->sa;
	uint8_t *iv = p->esp + ESP_HDR_LEN;
	struct gcm_context_data ctx;
	uint8_t nonce[12], tag[16];

	memcpy(nonce, &sa->salt, 4);
	memcpy(nonce + 4, iv, 8);
	crypto_gcm_decrypt(lc->mb, sa, &ctx, iv + 8, p->clen, nonce, p->esp, ESP_HDR_LEN, tag);
	return crypto_tag_equal(tag, iv + 8 + p->clen, sa->icv_len);
}

static inline void chain_add(struct chain_batch *batch, uint16_t at, const struct in_pkt *p)
{
	struct crypto_op *op = &batch->op[batch->n];

	op->sa = p->sa;
	op->esp = p->esp;
	op->esp_len = p->esp_len - p->sa->icv_len;
	op->tag = batch->tag[batch->n];
	batch->at[batch->n++] = at;
}

/* ----------------------------------------------------------------------------- accept ------- */

/* RFC 4303 section 2.4: padding is 1, 2, 3, ... end: behind its last byte. The 16 bytes before end are
 * always part of the packet: the ESP header and the outer one come before the ciphertext. */
static inline bool padding_right(const uint8_t *end, uint32_t pad)
{
	static const uint8_t pattern[32] = { [16] = 1, 2,  3,  4,  5,  6,	 7,  8,
					     9,	       10, 11, 12, 13, 14, 15, 16 };
	uint8_t diff = 0;

	if (likely(pad <= 16)) {
		__m128i have = _mm_loadu_si128((const __m128i *)(end - 16));
		__m128i want = _mm_loadu_si128((const __m128i *)(pattern + pad));
		unsigned same = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(have, want));

		return (same | (0xffffu >> pad)) == 0xffff;
	}
	end -= pad;
	for (uint32_t i = 0; i < pad; i++)
		diff |= end[i] ^ (uint8_t)(i + 1);
	return diff == 0;
}

/* Fills inner_len. */
static inline enum drop_reason trailer_check(const uint8_t *inner, uint32_t clen,
					     uint32_t *inner_len)
{
	uint32_t pad = inner[clen - 2];
	uint8_t next = inner[clen - 1];

	if (unlikely(pad + 2 > clen))
		return DROP_esp_padding;
	*inner_len = clen - 2 - pad;
	if (unlikely(!padding_right(inner + clen - 2, pad)))
		return DROP_esp_padding;
	if (likely(next == NEXT_IPV4))
		return KEEP;
	if (next == NEXT_NONE)
		return DROP_esp_dummy;
	return next == NEXT_IPV6 ? DROP_ip6_unsupported : DROP_esp_next_header;
}

/* Most headers have no options: a constant length spares the loop. */
static inline bool inner_sum_ok(const uint8_t *ip)
{
	if (likely(ip[0] == 0x45))
		return sum_fold(sum_add(0, ip, IP4_LEN)) == 0xffff;
	return ip4_sum_ok(ip);
}

/* Fills total with the packet's own length: what lies behind it is TFC padding. */
static inline enum drop_reason inner_check(const uint8_t *ip, uint32_t len, uint32_t *total)
{
	uint32_t ihl;

	if (unlikely(len < IP4_LEN || ip[0] >> 4 != 4))
		return DROP_inner_malformed;
	ihl = ip4_header_len(ip);
	*total = load_be16(ip + IP4_TOTAL);
	if (unlikely(ihl < IP4_LEN || *total < ihl || *total > len))
		return DROP_inner_malformed;
	return likely(inner_sum_ok(ip)) ? KEEP : DROP_inner_malformed;
}

static inline bool proto_has_ports(uint8_t proto)
{
	return proto == 6 || proto == 17 || proto == 132 || proto == 33 || proto == 136;
}

static bool ports_match(const struct sa_sel4 *sel, const uint8_t *ip, uint32_t total)
{
	const uint8_t *l4 = ip + ip4_header_len(ip);

	if ((load_be16(ip + IP4_FRAG) & IP4_OFFSET_MASK) || !proto_has_ports(ip[IP4_PROTO]) || ip + total < l4 + 4)
		return false;
	return (!sel->remote_port || load_be16(l4) == sel->remote_port) &&
	       (!sel->local_port || load_be16(l4 + 2) == sel->local_port);
}

/* RFC 4301 section 5.2: what comes out must be what the SA was negotiated for. */
static inline bool selector_match(const struct sa_sel4 *sel, const uint8_t *ip, uint32_t total)
{
	uint32_t src = load_be32(ip + IP4_SRC), dst = load_be32(ip + IP4_DST);

	if (unlikely(src < sel->remote_lo || src > sel->remote_hi || dst < sel->local_lo ||
		     dst > sel->local_hi))
		return false;
	if (sel->proto && ip[IP4_PROTO] != sel->proto)
		return false;
	return (!sel->local_port && !sel->remote_port) || ports_match(sel, ip, total);
}

/* RFC 6040 section 4.2, figure 4. */
static inline enum drop_reason ecn_combine(uint8_t *ip, uint8_t outer_tos)
{
	uint8_t inner = ip[IP4_TOS] & ECN_MASK, outer = outer_tos & ECN_MASK, out = inner;
	uint16_t word = load_be16(ip);

	if (likely(outer == inner || outer == 0))
		return KEEP;
	if (outer == ECN_CE) {
		if (inner == 0)
			return DROP_ecn_invalid;
		out = ECN_CE;
	} else if (outer == 1 && inner == 2) {
		out = 1;
	}
	if (out == inner)
		return KEEP;
	ip[IP4_TOS] = (uint8_t)((ip[IP4_TOS] & ~ECN_MASK) | out);
	sum_patch(ip + IP4_SUM, word, load_be16(ip));
	return KEEP;
}

static void in_finish(struct lcore *lc, struct in_pkt *p, uint8_t *ip, uint32_t total)
{
	struct pkt_meta *meta = pkt_meta(p->pkt);
	struct sa *sa = p->sa;

	p->pkt->data_off = (uint16_t)(ip - (uint8_t *)p->pkt->buf_addr);
	p->pkt->data_len = (uint16_t)total;
	p->pkt->pkt_len = total;
	meta->l3_off = 0;
	meta->l4_off = (uint8_t)ip4_header_len(ip);
	meta->flags = PKT_FROM_ESP;
	sa->packets++;
	sa->bytes += total;
	sa->last_used_tsc = lc->now_tsc;
	lc->count.esp_in_packets++;
	lc->count.esp_in_bytes += total;
	if (unlikely(sa_limits_due(sa)))
		sa_limits(lc, sa);
}

/* Everything after a good ICV. */
static inline enum drop_reason in_accept(struct lcore *lc, struct in_pkt *p)
{
	uint8_t *inner = p->esp + ESP_HDR_LEN + p->sa->iv_len;
	enum replay_verdict verdict = replay_accept(p->sa, p->seq);
	enum drop_reason why;
	uint32_t len, total;

	if (unlikely(verdict != REPLAY_OK))
		return replay_reason(verdict);
	if (unlikely(p->sa->flags & SA_F_DEAD))
		return DROP_sa_expired;
	why = trailer_check(inner, p->clen, &len);
	if (unlikely(why != KEEP))
		return why;
	why = inner_check(inner, len, &total);
	if (unlikely(why != KEEP))
		return why;
	if (unlikely(!selector_match(&p->sa->sel4, inner, total)))
		return DROP_sel_mismatch;
	why = ecn_combine(inner, p->outer_tos);
	if (unlikely(why != KEEP))
		return why;
	in_finish(lc, p, inner, total);
	return KEEP;
}

/* All cipher and HMAC operations of the burst. */
static void chain_open(struct lcore *lc, struct in_pkt *p, enum drop_reason *verdict,
		       struct chain_batch *batch)
{
	crypto_chain_run(lc->mb, batch->op, batch->n);
	for (uint16_t i = 0; i < batch->n; i++) {
		const struct crypto_op *op = &batch->op[i];
		uint16_t at = batch->at[i];

		if (unlikely(!op->ok))
			verdict[at] = DROP_crypto_error;
		else if (unlikely(!crypto_tag_equal(op->tag, op->esp + op->esp_len,
						    op->sa->icv_len)))
			verdict[at] = DROP_esp_icv;
		else
			verdict[at] = in_accept(lc, &p[at]);
	}
}

/* Checks, decrypts and accepts; verdict[i] says what became of packet i. GCM packets go all the way
 * one by one, while their last bytes are still in the first-level cache. */
static void in_process(struct lcore *lc, struct in_pkt *p, uint16_t n, enum drop_reason *verdict)
{
	struct chain_batch batch;

	batch.n = 0;
	for (uint16_t i = 0; i < n; i++) {
		verdict[i] = in_check(&p[i]);
		if (unlikely(verdict[i] != KEEP))
			continue;
		if (p[i].sa->crypto >= SA_CHAIN)
			chain_add(&batch, i, &p[i]);
		else
			verdict[i] = likely(gcm_open(lc, &p[i])) ? in_accept(lc, &p[i]) : DROP_esp_icv;
	}
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
