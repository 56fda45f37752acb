/* What the two files of the inbound stage share. */
#ifndef SHRIKE_DATAPLANE_ESP_IN_H
#define SHRIKE_DATAPLANE_ESP_IN_H

#include <emmintrin.h>

#include "ah.h"
#include "crypto.h"
#include "esp.h"
#include "replay.h"

#define KEEP DROP_COUNT /* no reason to drop */

/* One packet on its way through the stage. */
struct in_pkt {
	struct rte_mbuf *pkt;
	struct sa *sa;
	uint8_t *esp;     /* ESP or AH header */
	uint32_t esp_len; /* from there to the end of the ICV; AH: of the packet */
	uint32_t clen;    /* of the ciphertext; AH: of the payload */
	uint32_t head;    /* ESP header and IV; AH with ICV and padding */
	uint64_t seq;
	uint8_t outer_tos;
	uint8_t wrap; /* enum sa_wrap: what is around it */
};

/* RFC 4303 section 2.4: padding is 1, 2, 3, ... end: behind its last byte. The 16 bytes before end
 * are always part of the packet: the ESP header and the outer one come before the ciphertext. */
static inline bool padding_right(const uint8_t *end, uint32_t pad)
{
	static const uint8_t pattern[32] = { [16] = 1, 2,  3,  4,  5,  6,  7,  8,
					     9,        10, 11, 12, 13, 14, 15, 16 };
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

/* What the trailer of a plaintext of clen bytes says. */
static inline enum drop_reason trailer_read(const uint8_t *inner, uint32_t clen,
					    uint32_t *inner_len, uint8_t *next)
{
	uint32_t pad = inner[clen - 2];

	*next = inner[clen - 1];
	if (unlikely(pad + 2 > clen))
		return DROP_esp_padding;
	*inner_len = clen - 2 - pad;
	return likely(padding_right(inner + clen - 2, pad)) ? KEEP : DROP_esp_padding;
}

/* Fills total with the packet's own length: what lies behind it is TFC padding. */
static inline enum drop_reason inner4_check(const uint8_t *ip, uint32_t len, uint32_t *total)
{
	uint32_t ihl;

	if (unlikely(len < IP4_LEN || ip[0] >> 4 != 4))
		return DROP_inner_malformed;
	ihl = ip4_header_len(ip);
	*total = load_be16(ip + IP4_TOTAL);
	if (unlikely(ihl < IP4_LEN || *total < ihl || *total > len))
		return DROP_inner_malformed;
	return likely(ip4_sum_ok(ip)) ? KEEP : DROP_inner_malformed;
}

static inline bool proto_has_ports(uint8_t proto)
{
	return proto == 6 || proto == 17 || proto == 132 || proto == 33 || proto == 136;
}

static inline bool ports4_match(const struct sa_sel4 *sel, const uint8_t *ip, uint32_t total)
{
	const uint8_t *l4 = ip + ip4_header_len(ip);

	/* fragments that are not the first have none: RFC 4301 section 7.1 */
	if ((load_be16(ip + IP4_FRAG) & IP4_OFFSET_MASK) || !proto_has_ports(ip[IP4_PROTO]) ||
	    ip + total < l4 + 4)
		return false;
	return (!sel->remote_port || load_be16(l4) == sel->remote_port) &&
	       (!sel->local_port || load_be16(l4 + 2) == sel->local_port);
}

/* RFC 4301 section 5.2: what comes out must be what the SA was negotiated for. */
static inline bool selector4_match(const struct sa_sel4 *sel, const uint8_t *ip, uint32_t total)
{
	uint32_t src = load_be32(ip + IP4_SRC), dst = load_be32(ip + IP4_DST);

	if (unlikely(src < sel->remote_lo || src > sel->remote_hi || dst < sel->local_lo ||
		     dst > sel->local_hi))
		return false;
	if (sel->proto && ip[IP4_PROTO] != sel->proto)
		return false;
	return (!sel->local_port && !sel->remote_port) || ports4_match(sel, ip, total);
}

/* RFC 6040 section 4.2, figure 4: the inner field that comes out, or -1: drop. */
static inline int ecn_combine(uint8_t inner, uint8_t outer)
{
	if (outer == ECN_CE)
		return inner == 0 ? -1 : ECN_CE;
	return outer == 1 && inner == 2 ? 1 : inner;
}

/* The same on an IPv4 header. */
static inline enum drop_reason ecn4_combine(uint8_t *ip, uint8_t outer_tos)
{
	uint8_t inner = ip[IP4_TOS] & ECN_MASK, outer = outer_tos & ECN_MASK;
	uint16_t word = load_be16(ip);
	int out;

	if (likely(outer == inner || outer == 0))
		return KEEP;
	out = ecn_combine(inner, outer);
	if (out < 0)
		return DROP_ecn_invalid;
	if (out == inner)
		return KEEP;
	ip[IP4_TOS] = (uint8_t)((ip[IP4_TOS] & ~ECN_MASK) | out);
	sum_patch(ip + IP4_SUM, word, load_be16(ip));
	return KEEP;
}

/* Makes the mbuf the inner packet, total bytes from ip on, and counts it. */
static inline void in_finish(struct lcore *lc, struct in_pkt *p, uint8_t *ip, uint32_t total,
			     uint32_t l4_off)
{
	struct pkt_meta *meta = pkt_meta(p->pkt);
	struct sa *sa = p->sa;

	p->pkt->data_off = (uint16_t)(ip - (uint8_t *)p->pkt->buf_addr);
	p->pkt->data_len = (uint16_t)total;
	p->pkt->pkt_len = total;
	meta->l3_off = 0;
	meta->l4_off = (uint8_t)l4_off;
	meta->flags = PKT_FROM_ESP;
	sa->packets++;
	sa->bytes += total;
	sa->last_used_tsc = lc->now_tsc;
	lc->count.esp_in_packets++;
	lc->count.esp_in_bytes += total;
	if (unlikely(sa_limits_due(sa)))
		sa_limits(lc, sa);
}

/* The steps for everything but IPv4 in an IPv4 ESP tunnel (esp_in_any.c).
 *
 * measure6: what an outer IPv6 header says: end is where the packet ends, in bytes of data.
 * ah_check: the lengths of AH; fills head, clen and the low half of seq.
 * ah_begin: makes the packet ready for the computation, see ah_begin(). False: its headers cannot be covered.
 * ah_gmac:  all of it where the ICV is GMAC's: esp_icv, or ah_malformed.
 * accept:   behind ICV and window: trailer, inner headers, selectors, checksum, ECN; makes the
 * packet that goes on. */
enum drop_reason in_any_measure6(struct in_pkt *p, const uint8_t *ip, uint32_t *end);
enum drop_reason in_any_ah_check(struct in_pkt *p);
bool in_any_ah_begin(const struct in_pkt *p, struct ah_job *job);
enum drop_reason in_any_ah_gmac(struct lcore *lc, const struct in_pkt *p);
enum drop_reason in_any_accept(struct lcore *lc, struct in_pkt *p);

#endif
