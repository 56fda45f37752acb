/* What the data plane's unit tests share: EAL without huge pages or devices, one worker lcore that
 * nobody runs, and packets made byte by byte. */
#ifndef SHRIKE_TESTS_DATAPLANE_ENV_H
#define SHRIKE_TESTS_DATAPLANE_ENV_H

#include "dp.h"
#include "fib.h"
#include "lcore.h"
#include "spd.h"
#include "wire.h"

#define ENV_SLOT_BITS  6
#define ENV_OWNER_BITS 4

/* Port 0 "wan" 10.9.0.1/24 (MTU 1500), port 1 "lan" 10.1.0.254/24 (MTU 1400). */
#define WAN_ADDR 0x0a090001u
#define LAN_ADDR 0x0a0100feu
/* The same in IPv6: wan 2001:db8:9::1/64, lan 2001:db8:1::fe/64, and their link-local addresses. */
#define WAN_ADDR6 "2001:db8:9::1"
#define LAN_ADDR6 "2001:db8:1::fe"
#define WAN_LINK  "fe80::ff:fe00:901"
#define LAN_LINK  "fe80::ff:fe00:1fe"

/* Aborts when EAL does not start. The lcore has id 0 of two workers, an empty policy set and these
 * routes: the two links, 10.2.0.0/16 via 10.9.0.2 (resolved) and 0/0 via 10.9.0.254 (not); in IPv6
 * 2001:db8:2::/48 via fe80::2 on wan (resolved) and ::/0 via 2001:db8:9::fe (not). Hosts that are
 * resolved: 10.1.0.7 and 2001:db8:1::7. */
struct lcore *env_start(void);
/* Frees everything that a test left in transmit buffers and rings, then checks that no mbuf leaked:
 * returns how many are missing. */
unsigned env_leaked(struct lcore *lc);

extern const uint8_t env_mac[2][6];

struct env_packet {
	uint8_t port;		/* of arrival */
	uint32_t src, dst;
	uint8_t proto, ttl;	/* ttl 0 = 64 */
	uint16_t sport, dport;	/* written for UDP and TCP */
	uint16_t frag;		/* the flags and offset field */
	unsigned payload;	/* bytes after the L4 header (after IP for others) */
	const uint8_t *data;	/* payload bytes, NULL = 0, 1, 2, ... */
	const uint8_t *options; /* multiple of 4 */
	unsigned n_options;
	unsigned padding;	/* bytes after the IP packet */
};

/* The frame as it arrives (env_frame) or starting at the IP header (env_ip). */
struct rte_mbuf *env_frame(struct lcore *lc, const struct env_packet *p);
struct rte_mbuf *env_ip(struct lcore *lc, const struct env_packet *p);

struct env_packet6 {
	uint8_t port; /* of arrival */
	const char *src, *dst;
	uint8_t next, hops; /* hops 0 = 64 */
	const uint8_t *data; /* after the IPv6 header, NULL = 0, 1, 2, ... */
	unsigned len;
	bool sum;	  /* ICMPv6 or UDP right behind the header: make its checksum right */
	unsigned padding; /* bytes after the IP packet */
};

struct ip_addr env_addr(const char *text);
struct rte_mbuf *env_ip6(struct lcore *lc, const struct env_packet6 *p);
/* The frame goes to the station of the port, or to that of the group dst. */
struct rte_mbuf *env_frame6(struct lcore *lc, const struct env_packet6 *p);

/* Takes the next event; false when there is none. */
bool env_event(struct lcore *lc, struct evt *out);
/* Takes the next punted packet, or NULL. */
struct rte_mbuf *env_punted(struct lcore *lc);
/* Replaces the policies. */
void env_policies(struct lcore *lc, const struct spd_policy *p, size_t n);
struct spd_policy env_policy(uint32_t id, enum policy_action action, const char *local,
			     const char *remote);
/* The control side of the same gateway, with lc as its only worker. Its callbacks are unset. */
struct dp *env_dp(struct lcore *lc);
/* Forgets neighbours, pieces of datagrams and what waits for them. */
void env_dp_forget(struct dp *dp);
/* Takes the next injected packet, or NULL. */
struct rte_mbuf *env_injected(struct lcore *lc);
/* The sum of all drop counters. */
uint64_t env_drops(const struct lcore *lc);

#endif
