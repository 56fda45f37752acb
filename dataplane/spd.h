/* The security policy database: an immutable snapshot that all workers read, built by control and
 * swapped whole (CMD_SPD). RFC 4301 section 4.4.1.
 *
 * A policy counts in both directions: outbound its local side is the packet's source, inbound its
 * destination. The first policy that matches decides. */
#ifndef SHRIKE_DATAPLANE_SPD_H
#define SHRIKE_DATAPLANE_SPD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sa_params.h"
#include "wire.h"

/* More policies than this are looked up through rte_acl, fewer one by one: 1.3 ns a policy against
 * some 15 ns whatever their number, by tests/dataplane/spd_cost.c. */
#define SPD_LINEAR_MAX 8

/* What policies look at, in network order as in the packet. */
struct spd_key {
	uint8_t proto;
	uint8_t no_ports; /* ports exist but are not in sight: not a first fragment, or cut short */
	uint8_t pad[2];
	uint32_t local, remote;
	uint16_t local_port, remote_port; /* 0 where the protocol has none */
};

/* A policy in the form that is compared: host order. */
struct spd_rule {
	uint32_t local_lo, local_hi, remote_lo, remote_hi;
	uint16_t local_port, remote_port; /* 0 = any */
	uint8_t proto;                    /* 0 = any */
	uint8_t action;                   /* enum policy_action */
	uint32_t id;
};

struct rte_acl_ctx;

struct spd {
	unsigned refs; /* control: rw; lcores never look */
	uint32_t n;    /* IPv4 policies */
	/* A packet that comes out of one SA may have to go into another: spokes of a hub. Only then
	 * do inner packets need the outbound look-up. */
	bool hub;
	bool has_ports;
	/* Ports (1 << port) through which the protected packets of some policy leave. */
	uint32_t outside;
	struct rte_acl_ctx *acl;          /* NULL: few policies, look at rule[] */
	struct rte_acl_ctx *acl_no_ports; /* the same with ports ignored; NULL without ports */
	struct spd_rule rule[];
};

/* A snapshot with refs 0, or NULL with a sentence in why. Control thread. n may be 0: discard all.
 */
struct spd *spd_build(const struct spd_policy *p, size_t n, char *why, size_t why_size);
void spd_free(struct spd *spd);

/* The key of an IPv4 packet (len bytes readable at ip, at least its header) that leaves. */
void spd_key_read(struct spd_key *key, const uint8_t *ip, uint32_t len);
/* The same packet seen as one that arrives: sides swapped. */
void spd_key_reverse(struct spd_key *key);

/* The first match for each of n keys (at most 64), as index into rule[] plus 1; 0 = none. A packet
 * without visible ports that meets a policy about ports gets SPD_UNKNOWN: it might belong there. */
#define SPD_UNKNOWN UINT32_MAX
void spd_lookup(const struct spd *spd, const struct spd_key *key, uint32_t *match, unsigned n);

/* True when an inbound clear packet had to be protected (RFC 4301 section 5.2). */
bool spd_must_be_protected(const struct spd *spd, const uint8_t *ip, uint32_t len);

#endif
