/* Addresses, prefixes, ranges and traffic selectors, in either address family.
 *
 * All of these are plain values: copy them freely, nothing owns memory. Addresses are kept in
 * network byte order, an IPv4 address in the first four bytes with the other twelve zero, so that
 * two equal addresses are equal under memcmp(). Ports are in host byte order. */
#ifndef SHRIKE_COMMON_ADDR_H
#define SHRIKE_COMMON_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ip_family { IP_NONE = 0, IP_V4 = 4, IP_V6 = 6 };

struct ip_addr {
	uint8_t family; /* enum ip_family; IP_NONE means "any" or "unset" */
	uint8_t b[16];	/* network order */
};

struct ip_prefix {
	struct ip_addr addr; /* host bits are zero */
	uint8_t len;	     /* bits, 0..32 or 0..128 */
};

struct ip_range {
	struct ip_addr lo, hi; /* inclusive, same family, lo <= hi */
};

/* What one SA pair protects, seen from this gateway (RFC 4301 section 4.4.1.1, as far as IKEv1
 * can express it: one range, one protocol, one port a side). */
struct selector {
	struct ip_range local, remote;
	uint8_t proto;	      /* IP protocol, 0 = any */
	uint16_t local_port;  /* 0 = any */
	uint16_t remote_port; /* 0 = any */
};

/* Room for any address, prefix, range or selector as text, with the final NUL. */
#define ADDR_STR_LEN	 48
#define RANGE_STR_LEN	 100
#define SELECTOR_STR_LEN 240

/* Parses "192.0.2.1" or "2001:db8::1". Returns 0, or -EINVAL. */
int ip_addr_parse(const char *text, struct ip_addr *out);
/* Parses "192.0.2.0/24" or a bare address (full-length prefix). Host bits that are set are an
 * error (-EDOM), so that a mistyped mask is noticed. Returns 0, -EINVAL or -EDOM. */
int ip_prefix_parse(const char *text, struct ip_prefix *out);
/* Parses "192.0.2.0/24", "192.0.2.1" or "192.0.2.1-192.0.2.9". Returns 0, -EINVAL or -EDOM. */
int ip_range_parse(const char *text, struct ip_range *out);

/* The text of a value in buf (size bytes, see the *_STR_LEN above); returns buf. */
const char *ip_addr_str(const struct ip_addr *a, char *buf, size_t size);
const char *ip_prefix_str(const struct ip_prefix *p, char *buf, size_t size);
/* Prints a range as a prefix where it is one. */
const char *ip_range_str(const struct ip_range *r, char *buf, size_t size);
/* "10.1.0.0/24 === 10.2.0.0/24 [tcp/any === 443]"; the brackets only where a protocol or a port is meant. */
const char *selector_str(const struct selector *s, char *buf, size_t size);

struct ip_addr ip_addr_v4(uint32_t host_order);
/* The IPv4 address in host byte order; the family must be IP_V4. */
uint32_t ip_addr_to_v4(const struct ip_addr *a);
/* Bytes of an address of this family: 4, 16, or 0. */
size_t ip_addr_len(const struct ip_addr *a);

struct ip_range ip_range_from_prefix(const struct ip_prefix *p);
/* True, with the prefix in out, when the range is exactly one prefix. */
bool ip_range_to_prefix(const struct ip_range *r, struct ip_prefix *out);

/* -1, 0 or 1; addresses of different families order by family. */
int ip_addr_cmp(const struct ip_addr *a, const struct ip_addr *b);
bool ip_addr_equal(const struct ip_addr *a, const struct ip_addr *b);
bool ip_range_equal(const struct ip_range *a, const struct ip_range *b);
bool ip_range_contains(const struct ip_range *outer, const struct ip_range *inner);
bool selector_equal(const struct selector *a, const struct selector *b);
/* True when every packet that matches inner also matches outer. */
bool selector_contains(const struct selector *outer, const struct selector *inner);

#endif
