/* Routes, next hops and neighbours: one immutable snapshot that all workers read, built by control
 * and swapped whole (CMD_FIB).
 *
 * IPv4: a trie of three levels (16, 8 and 8 bits) whose leaves are next hop numbers: 256 KB, one to
 * three loads. IPv6: see fib6.h. DPDK's LPM and FIB libraries want 64 MB for each snapshot, and
 * there are always two while one replaces the other. A resolved neighbour is a prefix of full
 * length, so that one look-up gives the Ethernet header. A gateway may be of either family. */
#ifndef SHRIKE_DATAPLANE_FIB_H
#define SHRIKE_DATAPLANE_FIB_H

#include <stddef.h>
#include <stdint.h>

#include "dataplane.h"
#include "fib6.h"
#include "wire.h"

enum hop_kind {
	HOP_NONE = 0,   /* no route */
	HOP_LOCAL,      /* an address of this gateway */
	HOP_BROADCAST,  /* never forwarded: network and broadcast addresses of a connected prefix,
			 * link-local and multicast ones of IPv6 */
	HOP_CONNECTED,  /* on the link of port, the destination itself is not resolved */
	HOP_UNRESOLVED, /* through a gateway, which is not resolved */
	HOP_READY,      /* eth is complete */
};

#define HOP_DIRECT UINT32_MAX /* the destination is the neighbour */

struct next_hop {
	uint8_t eth[ETH_LEN]; /* READY: destination, source, type */
	uint8_t kind;         /* enum hop_kind */
	uint8_t port;
	uint16_t mtu;     /* bytes of IP that fit through the port */
	uint32_t gateway; /* index into fib.gateway, or HOP_DIRECT */
};

#define FIB_GROUP 0x80000000u /* the rest of the entry is a group number, not a next hop */

struct fib {
	unsigned refs; /* control: rw; lcores never look */
	uint32_t n_hops, n_groups;
	struct next_hop *hop; /* hop[0] is HOP_NONE */
	struct ip_addr *gateway;
	uint32_t *group; /* n_groups * 256 entries */
	struct fib6 six;
	uint32_t root[65536];
};

/* Never NULL. dst: host order. Any thread that holds the snapshot. */
static inline const struct next_hop *fib_lookup(const struct fib *fib, uint32_t dst)
{
	uint32_t e = fib->root[dst >> 16];

	if (e & FIB_GROUP)
		e = fib->group[(e & ~FIB_GROUP) * 256 + (dst >> 8 & 0xff)];
	if (e & FIB_GROUP)
		e = fib->group[(e & ~FIB_GROUP) * 256 + (dst & 0xff)];
	return &fib->hop[e];
}

/* Likewise; dst: 16 bytes of a packet. */
static inline const struct next_hop *fib_lookup6(const struct fib *fib, const uint8_t *dst)
{
	return &fib->hop[fib6_lookup(&fib->six, dst)];
}

/* Either family; hop[0] for an address of none. */
const struct next_hop *fib_lookup_addr(const struct fib *fib, const struct ip_addr *dst);
/* Who gets what is sent to dst through this hop: the gateway, or dst itself. */
struct ip_addr fib_neighbour_of(const struct fib *fib, const struct next_hop *hop,
				const struct ip_addr *dst);

/* ------------------------------------------------------------------------- building --------- */

struct fib_port {
	uint8_t mac[6];
	uint16_t mtu;
};

struct fib_route {
	struct ip_prefix dst;
	uint8_t kind; /* HOP_LOCAL, HOP_BROADCAST, HOP_CONNECTED, or HOP_UNRESOLVED: through via */
	uint8_t port;
	struct ip_addr via; /* either family, whatever that of dst is */
};

struct fib_neighbour {
	struct ip_addr addr;
	uint8_t port;
	uint8_t mac[6];
};

/* An IPv4 route in numbers; via 0: none. */
static inline struct fib_route fib_route_v4(uint32_t dst, uint8_t len, enum hop_kind kind,
					    uint8_t port, uint32_t via)
{
	return (struct fib_route){ .dst = { ip_addr_v4(dst), len },
				   .kind = (uint8_t)kind,
				   .port = port,
				   .via = via ? ip_addr_v4(via) : (struct ip_addr){ 0 } };
}

struct fib_input {
	struct fib_port port[DP_MAX_PORTS];
	const struct fib_route *route; /* sorted by fib_route_cmp() */
	size_t n_routes;
	const struct fib_neighbour *neighbour; /* sorted by fib_neighbour_cmp() */
	size_t n_neighbours;
};

/* qsort() orders: routes by length (of two equal ones the later wins), neighbours by address and
 * port. */
int fib_route_cmp(const void *a, const void *b);
int fib_neighbour_cmp(const void *a, const void *b);

/* A snapshot with refs 0 in EAL memory, or NULL (no memory). Control thread. */
struct fib *fib_build(const struct fib_input *in);
void fib_free(struct fib *fib);

#endif
