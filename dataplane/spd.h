/* The security policy database: an immutable snapshot that all workers read, built by control and
 * swapped whole (CMD_SPD). RFC 4301 section 4.4.1.
 *
 * A policy counts in both directions: outbound its local side is the packet's source, inbound its
 * destination. The first policy that matches decides. */
#ifndef SHRIKE_DATAPLANE_SPD_H
#define SHRIKE_DATAPLANE_SPD_H

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sa_params.h"
#include "wire.h"

/* Up to so many IPv4 policies are compared one by one, 0.7 ns each. More lie in hash tables by shape
 * (spd_shape.h): 4 ns for one shape, also in IPv6, and 10,000 are built in 5 ms. IPv4 policies of more
 * than SPD_SHAPES_FAST shapes go through rte_acl: 12 ns whatever they are, but 150 ms to build 10,000.
 * It has no 128-bit ranges: IPv6 stays with shapes. By tests/dataplane/spd_cost.c. */
#define SPD_LINEAR_MAX	8
#define SPD_SHAPES_FAST 8

/* What policies look at, in network order as in the packet. */
struct spd_key {
	alignas(8) uint8_t proto;
	uint8_t no_ports; /* ports exist but are not in sight: not a first fragment, or cut short */
	uint8_t pad[2];
	uint32_t local, remote;
	uint16_t local_port, remote_port; /* 0 where the protocol has none */
};

struct spd_key6 {
	alignas(8) uint8_t proto;
	uint8_t no_ports; /* likewise; SPD_NO_CHAIN: the extension headers make no sense */
	uint8_t pad[2];
	uint16_t local_port, remote_port;
	uint8_t local[16], remote[16];
};
#define SPD_NO_CHAIN 2

/* A policy in the form that is compared: host order. Addresses: IPv4 alone. */
struct spd_rule {
	uint32_t local_lo, local_hi, remote_lo, remote_hi;
	uint16_t local_port, remote_port; /* 0 = any */
	uint8_t proto;                    /* 0 = any */
	uint8_t action;                   /* enum policy_action */
	uint32_t id;
};

/* The addresses of an IPv6 policy, in network order. */
struct spd_range6 {
	uint8_t local_lo[16], local_hi[16], remote_lo[16], remote_hi[16];
};

struct rte_acl_ctx;

struct spd_shapes;

struct spd {
	unsigned refs; /* control: rw; lcores never look */
	uint32_t n, n4; /* policies, and those of IPv4, which come first in rule[] */
	/* A packet that comes out of one SA may have to go into another: spokes of a hub. Only then
	 * do inner packets need the outbound look-up. */
	bool hub;
	bool has_ports;
	/* Ports (1 << port) through which the protected packets of some policy leave. */
	uint32_t outside;
	/* NULL: few policies, look at rule[]. no_ports: the same with ports ignored; NULL without
	 * ports. IPv4 has either shapes or acl. */
	struct spd_shapes *four, *four_no_ports, *six, *six_no_ports;
	struct rte_acl_ctx *acl, *acl_no_ports;
	struct spd_range6 *range6; /* of rule[n4] and on */
	uint32_t *verdict; /* of rule[i], what packets need of it: id * 4 + action. Many of them fit a cache */
	struct spd_rule rule[];
};

#define SPD_UNKNOWN UINT32_MAX

/* Is the policy that matched (see spd_lookup()) one that protects? Then *id is its id. */
static inline bool spd_match_protects(const struct spd *spd, uint32_t match, uint32_t *id)
{
	uint32_t i = match - 1; /* neither 0 nor SPD_UNKNOWN is below n then */

	if (i >= spd->n)
		return false;
	*id = spd->verdict[i] / 4;
	return spd->verdict[i] % 4 == POLICY_PROTECT;
}

/* A snapshot with refs 0, or NULL with a sentence in why. Control thread. n may be 0: discard all.
 */
struct spd *spd_build(const struct spd_policy *p, size_t n, char *why, size_t why_size);
void spd_free(struct spd *spd);

static inline bool spd_proto_has_ports(uint8_t proto)
{
	return proto == PROTO_TCP || proto == PROTO_UDP || proto == PROTO_SCTP;
}

/* The key of an IPv4 packet (len bytes readable at ip, at least its header) that leaves. Ports are looked for
 * where some policy asks for them. */
static inline void spd_key_read(const struct spd *spd, struct spd_key *key, const uint8_t *ip,
				uint32_t len)
{
	unsigned ihl = ip4_header_len(ip);

	*key = (struct spd_key){ .proto = ip[IP4_PROTO] };
	memcpy(&key->local, ip + IP4_SRC, 4);
	memcpy(&key->remote, ip + IP4_DST, 4);
	if (!spd->has_ports || !spd_proto_has_ports(key->proto))
		return;
	if (len < ihl + 4 || (load_be16(ip + IP4_FRAG) & IP4_OFFSET_MASK)) {
		key->no_ports = 1;
		return;
	}
	memcpy(&key->local_port, ip + ihl, 2);
	memcpy(&key->remote_port, ip + ihl + 2, 2);
}
/* The same packet seen as one that arrives: sides swapped. */
void spd_key_reverse(struct spd_key *key);
void spd_key6_read(struct spd_key6 *key, const uint8_t *ip, uint32_t len);
void spd_key6_reverse(struct spd_key6 *key);

/* The first match for each of n keys (at most 64), as index into rule[] plus 1; 0 = none. A packet
 * without visible ports that meets a policy about ports gets SPD_UNKNOWN: it might belong there. */
void spd_lookup(const struct spd *spd, const struct spd_key *key, uint32_t *match, unsigned n);
void spd_lookup6(const struct spd *spd, const struct spd_key6 *key, uint32_t *match, unsigned n);

/* True when an inbound clear packet of either family had to be protected (RFC 4301 section 5.2). */
bool spd_must_be_protected(const struct spd *spd, const uint8_t *ip, uint32_t len);
/* True when what we send from one address to another under this protocol (without ports) leaves
 * protected. */
bool spd_protects(const struct spd *spd, uint8_t proto, const struct ip_addr *local,
		  const struct ip_addr *remote);

/* ---- spd_acl.c: for spd.c alone ---- */
struct rte_acl_ctx *spd_acl_build(const struct spd *spd, bool without_ports);
void spd_acl_free(struct rte_acl_ctx *acl);
void spd_acl_lookup(const struct rte_acl_ctx *acl, const struct spd_key *key, uint32_t *match,
		    unsigned n);

#endif
