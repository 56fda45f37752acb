/* The chain of headers of an IPv6 packet, RFC 8200 section 4: where the upper layer begins. */
#ifndef SHRIKE_DATAPLANE_IP6_H
#define SHRIKE_DATAPLANE_IP6_H

#include "drop.h"
#include "wire.h"

/* ICMPv6 types of Neighbour Discovery, RFC 4861, and the hop limit that no router lets through. */
enum { MLD_QUERY = 130 }; /* RFC 3810 */
enum { ND_FIRST = 133, ND_SOLICIT = 135, ND_ADVERT = 136, ND_LAST = 137, ND_HOPS = 255 };

#define IP6_MAX_EXTENSIONS 8 /* more than that is not honest traffic */

struct ip6_chain {
	uint8_t proto;    /* of the upper layer: also ESP, AH and "no next header" */
	uint16_t next_at; /* offset of the Next Header field that says so */
	uint16_t l4_off;  /* from the IPv6 header to the upper layer */
	uint16_t frag_at; /* offset of the fragment header, 0 = none */
	uint16_t frag_next_at; /* offset of the Next Header field that announces it */
	uint16_t frag; /* its offset (bytes) and IP6F_MF; 0 also for an atomic fragment, RFC 6946 */
};

/* Reads the chain of the packet at ip, of which len bytes are readable (at least IP6_LEN) and
 * belong to it. DROP_COUNT when it is sound: then l4_off <= len, and the upper layer is known, also
 * in fragments that are not the first. A header that steers (routing with segments left) and a
 * chain that does not end within len or within the first fragment (RFC 7112) are refused. */
enum drop_reason ip6_chain_walk(const uint8_t *ip, uint32_t len, struct ip6_chain *chain);

/* The same; most packets have no extension header. */
static inline enum drop_reason ip6_chain_read(const uint8_t *ip, uint32_t len,
					      struct ip6_chain *chain)
{
	switch (ip[IP6_NEXT]) {
	case PROTO_HOPOPTS:
	case PROTO_ROUTING:
	case PROTO_FRAGMENT:
	case PROTO_DSTOPTS:
		return ip6_chain_walk(ip, len, chain);
	default:
		*chain = (struct ip6_chain){ .proto = ip[IP6_NEXT],
					     .next_at = IP6_NEXT,
					     .l4_off = IP6_LEN };
		return DROP_COUNT;
	}
}

static inline bool ip6_is_multicast(const uint8_t *addr)
{
	return addr[0] == 0xff;
}

/* fe80::/10: never leaves its link, RFC 4291 section 2.5.6. */
static inline bool ip6_is_link_local(const uint8_t *addr)
{
	return addr[0] == 0xfe && (addr[1] & 0xc0) == 0x80;
}

/* RFC 4291 section 2.5.2 */
static inline bool ip6_is_unspecified(const uint8_t *addr)
{
	static const uint8_t zero[16];

	return memcmp(addr, zero, 16) == 0;
}

#endif
