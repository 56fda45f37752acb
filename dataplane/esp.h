/* What both ESP stages use: incremental checksums, making a packet writable. */
#ifndef SHRIKE_DATAPLANE_ESP_H
#define SHRIKE_DATAPLANE_ESP_H

#include <rte_mbuf.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "crypto.h"
#include "lcore.h"
#include "pkt.h"
#include "wire.h"

#define NEXT_IPV4   4
#define NEXT_IPV6   41
#define NEXT_NONE   59
#define ECN_MASK    3
#define ECN_CE      3
#define ESP_L2_ROOM 32 /* headroom left free for the link layer */

/* Folds a sum of 16-bit words that were read in host order. */
static inline uint16_t sum16_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)(sum + (sum >> 16));
}

/* RFC 1624: a checksummed 16-bit word changes from `from` to `to` (all in host order). */
static inline void sum_patch(uint8_t *sum, uint16_t from, uint16_t to)
{
	uint32_t v = (uint16_t)~load_be16(sum) + (uint32_t)(uint16_t)~from + to;

	store_be16(sum, (uint16_t)~sum16_fold(v));
}

/* The largest inner packet that still fits the SA's outer MTU, which must be known. Transport: one
 * without IP options or extension headers. */
static inline uint16_t esp_inner_mtu(const struct sa *sa)
{
	uint32_t keep = sa->path != SA_PATH_TRANSPORT ? 0 : sa->wrap & WRAP_IP6 ? IP6_LEN : IP4_LEN;
	uint32_t room = (uint32_t)sa->outer_mtu - keep - sa->hdr_len - sa->tail_len;
	uint32_t trailer = sa->wrap & WRAP_AH ? 0 : 2;

	return (uint16_t)(keep + (room & ~(uint32_t)(sa->pad_to - 1)) - trailer);
}

/* May be written in place, from start to end, as one piece. */
static inline bool pkt_writable(const struct rte_mbuf *pkt)
{
	return pkt->nb_segs == 1 && rte_mbuf_refcnt_read(pkt) == 1 && RTE_MBUF_DIRECT(pkt);
}

/* The pool whose mbufs hold so many bytes, headroom included; NULL: none does. */
struct rte_mempool *pkt_pool(const struct lcore *lc, uint64_t need);
/* Moves a packet that may not be written in place (chained, shared, indirect), or that lacks room,
 * into one fresh mbuf, with head bytes before the data and tail bytes behind, see pkt_pool(). The original is freed. On failure it is dropped under no_mbuf
 * or no_headroom and NULL returned. */
struct rte_mbuf *pkt_rebuild(struct lcore *lc, struct rte_mbuf *pkt, uint32_t head, uint32_t tail);

/* RFC 4543: the ICV of ESP that is not encrypted, over len bytes from the ESP header on. With ESN
 * the high half of the sequence number stands between SPI and low half: the SPI moves for that long
 * onto the four bytes before the ESP header. */
static inline void esp_gmac(IMB_MGR *mb, const struct sa *sa, uint8_t *esp, uint32_t len,
			    const uint8_t *nonce, uint32_t high, uint8_t *tag)
{
	uint8_t before[4];

	if (!(sa->flags & SA_F_ESN)) {
		crypto_gmac(mb, sa, esp, len, nonce, tag);
		return;
	}
	memcpy(before, esp - 4, 4);
	memcpy(esp - 4, esp + ESP_SPI, 4);
	store_be32(esp, high);
	crypto_gmac(mb, sa, esp - 4, len + 4, nonce, tag);
	memcpy(esp + ESP_SPI, esp - 4, 4);
	memcpy(esp - 4, before, 4);
}

#endif
