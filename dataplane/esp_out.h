/* What the two files of the outbound stage share. */
#ifndef SHRIKE_DATAPLANE_ESP_OUT_H
#define SHRIKE_DATAPLANE_ESP_OUT_H

#include "ah.h"
#include "crypto.h"
#include "esp.h"

#define KEEP       DROP_COUNT /* no reason to drop */
#define TRAIL_COPY 16         /* bytes of padding pattern copied at most */
#define OUT_BEHIND GCM_BEHIND /* room behind the ciphertext: the longest ICV, and what GCM reads */

/* One packet on its way through the stage. */
struct out_pkt {
	struct rte_mbuf *pkt;
	uint8_t *body;    /* what is put behind ESP or AH: the inner packet, or its payload */
	uint32_t len;     /* of the inner packet, by its header */
	uint32_t keep;    /* transport: bytes of IP header that stay in front, otherwise 0 */
	uint32_t clen;    /* of the ciphertext: body, padding, trailer; AH: body */
	uint32_t total;   /* of the outer packet */
	uint32_t flow;    /* inner IPv6: flow label */
	uint16_t frag;    /* IPv4 flags and fragment offset; inner IPv6: as if DF were set */
	uint16_t next_at; /* transport: where the IP header names its payload */
	uint8_t tos;
	uint8_t next; /* for ESP's trailer or AH */
};

/* The steps for everything but IPv4 in an IPv4 ESP tunnel (esp_out_any.c).
 *
 * check: reads the inner headers, changes nothing; fills all but pkt and body.
 * write: puts sequence number, headers and, for ESP, the trailer around body, which has the room;
 *        decrements TTL or hop limit. Returns the start of the outer packet. */
enum drop_reason out_any_check(const struct sa *sa, struct out_pkt *o);
uint8_t *out_any_write(const struct sa *sa, const struct out_pkt *o, uint64_t seq);

/* AH, see ah_begin(): the packet from front on, which becomes ready for the computation. False: its headers
 * cannot be covered. gmac: the whole of it, RFC 4543 section 4. */
bool out_ah_begin(const struct sa *sa, const struct out_pkt *o, uint8_t *front, uint64_t seq,
		  struct ah_job *job);
bool out_ah_gmac(struct lcore *lc, const struct sa *sa, const struct out_pkt *o, uint8_t *front,
		 uint64_t seq);

/* Computes the UDP checksum of a finished IPv6 packet whose UDP header is at udp. */
void out_udp6_sum(uint8_t *ip, uint8_t *udp);

/* Leaves that to the device: the checksum of the pseudo-header alone, and where the headers are. udp_off:
 * from the IP header on. */
void out_udp6_sum_later(struct rte_mbuf *pkt, uint8_t *ip, uint32_t udp_off);

/* RFC 4303 section 2.4 */
static inline void trailer_write(uint8_t *to, uint32_t pad, uint8_t next)
{
	static const uint8_t pattern[TRAIL_COPY] = { 1, 2,  3,  4,  5,  6,  7,  8,
						     9, 10, 11, 12, 13, 14, 15, 16 };

	memcpy(to, pattern, TRAIL_COPY);
	to[pad] = (uint8_t)pad;
	to[pad + 1] = next;
}

/* RFC 6040 section 4.1: the ECN field is always copied. */
static inline uint8_t outer_tos(const struct sa *sa, uint8_t inner)
{
	return (uint8_t)((sa->flags & SA_F_COPY_DSCP ? inner & ~ECN_MASK : sa->dscp_ecn) |
			 (inner & ECN_MASK));
}

#endif
