/* MSS clamping: a TCP SYN that passes announces no larger segments than the way carries (RFC 9293
 * section 3.7.1), so that a connection does not depend on path MTU discovery. */
#ifndef SHRIKE_DATAPLANE_MSS_H
#define SHRIKE_DATAPLANE_MSS_H

#include <stdbool.h>
#include <stdint.h>

#include "esp.h"
#include "wire.h"

#define TCP_LEN       20 /* without options */
#define TCP_DATA_OFF  12
#define TCP_FLAGS     13
#define TCP_SUM       16
#define TCP_SYN       0x02

/* Where the TCP header of a SYN is, in bytes from ip on; 0: these len bytes are none (another protocol,
 * a fragment that is not the first, a header that is not whole, extension headers). */
static inline uint32_t mss_syn(const uint8_t *ip, uint32_t len)
{
	uint32_t l4;

	if (len < IP4_LEN + TCP_LEN)
		return 0;
	if (ip_version(ip) == 4) {
		if (ip[IP4_PROTO] != PROTO_TCP || load_be16(ip + IP4_FRAG) & IP4_OFFSET_MASK)
			return 0;
		l4 = ip4_header_len(ip);
	} else {
		if (ip_version(ip) != 6 || ip[IP6_NEXT] != PROTO_TCP)
			return 0;
		l4 = IP6_LEN;
	}
	return l4 >= IP4_LEN && l4 + TCP_LEN <= len && ip[l4 + TCP_FLAGS] & TCP_SYN ? l4 : 0;
}

/* What a port or an SA is told to do (enum mss_clamp) becomes a limit for packets of this family, where
 * mtu bytes of IP fit (0: not known); UINT16_MAX: none. */
static inline uint16_t mss_limit(uint16_t clamp, uint16_t mtu, bool four)
{
	uint32_t headers = (four ? IP4_LEN : IP6_LEN) + TCP_LEN;

	if (clamp != MSS_AUTO)
		return clamp ? clamp : UINT16_MAX;
	return mtu > headers ? (uint16_t)(mtu - headers) : UINT16_MAX;
}

/* Lowers the MSS option of the SYN at ip, of which len bytes may be written, to at most limit, and
 * mends the checksum. l4: from mss_syn(). A SYN without the option, or with malformed ones, stays as it
 * is: without it 536 or 1,220 bytes are meant. */
void mss_lower(uint8_t *ip, uint32_t len, uint32_t l4, uint16_t limit);

/* The same for what is about to enter an SA, or came out of it: both ends' segments must fit through
 * the outbound SA, whose overhead the inbound one shares. */
static inline void mss_clamp_sa(const struct sa *sa, uint8_t *ip, uint32_t len)
{
	uint32_t l4 = mss_syn(ip, len);

	if (l4)
		mss_lower(ip, len, l4,
			  mss_limit(sa->clamp_mss, sa->outer_mtu ? esp_inner_mtu(sa) : 0,
				    ip_version(ip) == 4));
}

/* SYNs in the clear, by ports that clamp: where they came in, and where they are about to leave. Data
 * starts at the IP header; what is written is private, see stage_classify(). */
void mss_clamp_arrived(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n);
void mss_clamp_leaving(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n);

#endif
