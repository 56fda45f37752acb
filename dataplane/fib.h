/* Routes, next hops and neighbours: one immutable snapshot that all workers read, built by control
 * and swapped whole (CMD_FIB).
 *
 * A trie of three levels (16, 8 and 8 bits) whose leaves are next hop numbers: 256 KB, one to three
 * loads. DPDK's LPM and FIB libraries want 64 MB for each snapshot, and there are always two while
 * one replaces the other. A resolved neighbour is a /32 in the trie, so that one look-up gives the
 * Ethernet header. */
#ifndef SHRIKE_DATAPLANE_FIB_H
#define SHRIKE_DATAPLANE_FIB_H

#include <stddef.h>
#include <stdint.h>

#include "dataplane.h"
#include "wire.h"

enum hop_kind {
	HOP_NONE = 0,   /* no route */
	HOP_LOCAL,      /* an address of this gateway */
	HOP_BROADCAST,  /* network and broadcast addresses of a connected prefix: never forwarded */
	HOP_CONNECTED,  /* on the link of port, the destination itself is not resolved */
	HOP_UNRESOLVED, /* through addr, which is not resolved */
	HOP_READY,      /* eth is complete */
};

struct next_hop {
	uint8_t eth[ETH_LEN]; /* READY: destination, source, type */
	uint8_t kind;         /* enum hop_kind */
	uint8_t port;
	uint16_t mtu;  /* bytes of IP that fit through the port */
	uint32_t addr; /* UNRESOLVED, READY: the neighbour, host order */
};

#define FIB_GROUP 0x80000000u /* the rest of the entry is a group number, not a next hop */

struct fib {
	unsigned refs; /* control: rw; lcores never look */
	uint32_t n_hops, n_groups;
	struct next_hop *hop; /* hop[0] is HOP_NONE */
	uint32_t *group;      /* n_groups * 256 entries */
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

/* ------------------------------------------------------------------------- building --------- */

struct fib_port {
	uint8_t mac[6];
	uint16_t mtu;
};

struct fib_route {
	uint32_t dst; /* host order, host bits zero */
	uint8_t len;  /* 0..32 */
	uint8_t kind; /* HOP_LOCAL, HOP_BROADCAST, HOP_CONNECTED, or HOP_UNRESOLVED: through via */
	uint8_t port;
	uint32_t via;
};

struct fib_neighbour {
	uint32_t addr; /* host order */
	uint8_t port;
	uint8_t mac[6];
};

struct fib_input {
	struct fib_port port[DP_MAX_PORTS];
	const struct fib_route *route; /* sorted by fib_route_cmp() */
	size_t n_routes;
	const struct fib_neighbour *neighbour; /* sorted by fib_neighbour_cmp() */
	size_t n_neighbours;
};

/* qsort() orders: routes by length (of two equal ones the later wins), neighbours by address. */
int fib_route_cmp(const void *a, const void *b);
int fib_neighbour_cmp(const void *a, const void *b);

/* A snapshot with refs 0 in EAL memory, or NULL (no memory). Control thread. */
struct fib *fib_build(const struct fib_input *in);
void fib_free(struct fib *fib);

#endif
