/* What both ESP stages use: incremental checksums, making a packet writable. */
#ifndef SHRIKE_DATAPLANE_ESP_H
#define SHRIKE_DATAPLANE_ESP_H

#include <rte_mbuf.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "lcore.h"
#include "pkt.h"
#include "wire.h"

#define ESP_HDR_LEN	8
#define NEXT_IPV4	4
#define NEXT_IPV6	41
#define NEXT_NONE	59
#define ECN_MASK	3
#define ECN_CE		3
#define ESP_L2_ROOM	32 /* headroom left free for the link layer */

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

/* The largest inner packet that still fits the SA's outer MTU, which must be known. */
static inline uint16_t esp_inner_mtu(const struct sa *sa)
{
	uint32_t room = (uint32_t)sa->outer_mtu - sa->hdr_len - sa->icv_len;

	return (uint16_t)((room & ~(uint32_t)(sa->pad_to - 1)) - 2);
}

/* May be written in place, from start to end, as one piece. */
static inline bool pkt_writable(const struct rte_mbuf *pkt)
{
	return pkt->nb_segs == 1 && rte_mbuf_refcnt_read(pkt) == 1 && RTE_MBUF_DIRECT(pkt);
}

/* Moves a packet that may not be written in place (chained, shared, indirect), or that lacks room,
 * into a fresh mbuf of lc->pool, with head bytes before the data and tail bytes behind. The
 * original is freed. On failure it is dropped under no_mbuf or no_headroom and NULL returned. */
struct rte_mbuf *pkt_rebuild(struct lcore *lc, struct rte_mbuf *pkt, uint32_t head, uint32_t tail);

#endif
