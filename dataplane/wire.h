/* Reading and writing header fields in packet bytes: network order, no alignment needed, and no
 * struct laid over the packet. The caller has checked that the bytes are there. */
#ifndef SHRIKE_DATAPLANE_WIRE_H
#define SHRIKE_DATAPLANE_WIRE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Offsets in an Ethernet header. */
enum { ETH_DST = 0, ETH_SRC = 6, ETH_TYPE = 12, ETH_LEN = 14 };
#define ETHERTYPE_IP4 0x0800
#define ETHERTYPE_ARP 0x0806
#define ETHERTYPE_IP6 0x86dd
#define ETHERTYPE_VLAN 0x8100

/* IEEE 802.1Q: a tag lies before the type; its lower twelve bits are the VLAN. */
#define VLAN_LEN  4
#define VLAN_MASK 0x0fff
#define VLAN_MAX  4094

/* Offsets in an IPv4 header, RFC 791 section 3.1. */
enum {
	IP4_VER_IHL = 0,
	IP4_TOS = 1,
	IP4_TOTAL = 2,
	IP4_ID = 4,
	IP4_FRAG = 6,
	IP4_TTL = 8,
	IP4_PROTO = 9,
	IP4_SUM = 10,
	IP4_SRC = 12,
	IP4_DST = 16,
	IP4_LEN = 20, /* without options */
};
#define IP4_DF          0x4000
#define IP4_MF          0x2000
#define IP4_OFFSET_MASK 0x1fff

/* Offsets in an IPv6 header, RFC 8200 section 3. */
enum {
	IP6_VTF = 0, /* version, traffic class, flow label */
	IP6_PAYLOAD = 4,
	IP6_NEXT = 6,
	IP6_HOPS = 7,
	IP6_SRC = 8,
	IP6_DST = 24,
	IP6_LEN = 40,
};
#define IP6_MTU_MIN 1280 /* section 5: every link carries so much */

/* Offsets in a fragment header, RFC 8200 section 4.5. */
enum { IP6F_NEXT = 0, IP6F_FRAG = 2, IP6F_ID = 4, IP6F_LEN = 8 };
#define IP6F_MF          1
#define IP6F_OFFSET_MASK 0xfff8 /* bytes */

/* Offsets in a UDP header, RFC 768. */
enum { UDP_SPORT = 0, UDP_DPORT = 2, UDP_LENGTH = 4, UDP_SUM = 6, UDP_LEN = 8 };

/* Offsets in ESP and AH, RFC 4303 section 2 and RFC 4302 section 2. */
enum { ESP_SPI = 0, ESP_SEQ = 4, ESP_HDR_LEN = 8 };
enum { AH_NEXT = 0, AH_PAYLOAD = 1, AH_SPI = 4, AH_SEQ = 8, AH_LEN = 12, AH_ICV = 12 };

/* Offsets in an ICMP header, RFC 792. */
enum { ICMP_TYPE = 0, ICMP_CODE = 1, ICMP_SUM = 2, ICMP_MTU = 6, ICMP_LEN = 8 };

#define PROTO_HOPOPTS  0
#define PROTO_ICMP     1
#define PROTO_TCP      6
#define PROTO_UDP      17
#define PROTO_ROUTING  43
#define PROTO_FRAGMENT 44
#define PROTO_ESP      50
#define PROTO_AH       51
#define PROTO_ICMP6    58
#define PROTO_NONE     59
#define PROTO_DSTOPTS  60
#define PROTO_SCTP     132

#define PORT_IKE      500
#define PORT_IKE_NATT 4500

static inline uint16_t load_be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t load_be32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return __builtin_bswap32(v);
}

static inline void store_be16(uint8_t *p, uint16_t v)
{
	v = __builtin_bswap16(v);
	memcpy(p, &v, sizeof(v)); /* one store: two bytes' stores cannot be forwarded to a load of both */
}

static inline void store_be32(uint8_t *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(p, &v, sizeof(v));
}

static inline unsigned ip4_header_len(const uint8_t *ip)
{
	return (ip[IP4_VER_IHL] & 0x0f) * 4u;
}

/* Any fragment: the first, one in the middle or the last. */
static inline bool ip4_is_fragment(const uint8_t *ip)
{
	return load_be16(ip + IP4_FRAG) & (IP4_MF | IP4_OFFSET_MASK);
}

/* What the IPv6 packet measures by its own header. */
static inline uint32_t ip6_total(const uint8_t *ip)
{
	return IP6_LEN + (uint32_t)load_be16(ip + IP6_PAYLOAD);
}

static inline uint8_t ip_version(const uint8_t *ip)
{
	return ip[0] >> 4;
}

/* Adds len bytes to a running one's complement sum (RFC 1071); only the last piece may be odd. */
static inline uint64_t sum_add(uint64_t sum, const uint8_t *p, unsigned len)
{
	uint32_t word;

	for (; len >= 4; p += 4, len -= 4) {
		memcpy(&word, p, 4);
		sum += word;
	}
	word = 0;
	memcpy(&word, p, len);
	return sum + word;
}

/* The folded sum in the byte order of the packet: ~sum_fold() is stored with memcpy(). */
static inline uint16_t sum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* The folded sum of an upper-layer packet and its IPv6 pseudo-header (RFC 8200 section 8.1); 0xffff
 * when the checksum in it is right. */
static inline uint16_t ip6_l4_sum(const uint8_t *ip, uint8_t proto, const uint8_t *l4, unsigned len)
{
	uint8_t tail[8] = { [7] = proto };

	store_be32(tail, len);
	return sum_fold(sum_add(sum_add(sum_add(0, ip + IP6_SRC, 32), tail, 8), l4, len));
}

/* Right is a sum of zero, as ones' complement has it: a multiple of 0xffff, in either byte order and with words
 * of any multiple of 16 bits (RFC 1071 section 2). The first byte is never zero, so the sum is not either. Most
 * headers have no options: a constant length spares the loop. */
static inline bool ip4_sum_ok(const uint8_t *ip)
{
	if (__builtin_expect(ip[IP4_VER_IHL] == 0x45, 1))
		return sum_add(0, ip, IP4_LEN) % 0xffff == 0;
	return sum_add(0, ip, ip4_header_len(ip)) % 0xffff == 0;
}

/* Computes and stores the header checksum. */
static inline void ip4_sum_set(uint8_t *ip)
{
	uint16_t sum = 0;

	memcpy(ip + IP4_SUM, &sum, 2);
	sum = (uint16_t)~sum_fold(sum_add(0, ip, ip4_header_len(ip)));
	memcpy(ip + IP4_SUM, &sum, 2);
}

/* Lowers the TTL by one and repairs the checksum: RFC 1624 equation 3 where the word that changes, TTL and
 * protocol, becomes 0x100 smaller. In the packet's byte order that is one, in the sum one more, and a carry out
 * of it comes round. */
static inline void ip4_ttl_decrement(uint8_t *ip)
{
	uint32_t word, sum;

	memcpy(&word, ip + IP4_TTL, sizeof(word));
	sum = (word >> 16) + 1;
	sum += sum >= 0xffff;
	word = ((word - 1) & 0xffff) | sum << 16;
	memcpy(ip + IP4_TTL, &word, sizeof(word));
}

#endif
