/* May a packet with this source come in here? Strict reverse-path filtering, RFC 2827 and RFC 3704
 * section 2.2, by the routes that also say where packets go: whoever forges an address from behind
 * us on the wire outside must not have his packets encrypted into a tunnel.
 *
 * Clear packets only: what comes out of an SA was authorised by it, and the addresses around ESP
 * are compared with the SA's. */
#ifndef SHRIKE_DATAPLANE_SOURCE_H
#define SHRIKE_DATAPLANE_SOURCE_H

#include <rte_branch_prediction.h>

#include "fib.h"
#include "lcore.h"

/* ip: a sound header whose source is no martian. */
static inline bool source_allowed(const struct lcore *lc, uint8_t port, const uint8_t *ip)
{
	uint8_t mode = lc->port[port].source_check;
	const struct next_hop *hop;

	if (unlikely(mode == DP_SOURCE_OFF))
		return true;
	hop = fib_lookup(lc->fib, load_be32(ip + IP4_SRC));
	if (unlikely(hop->kind < HOP_CONNECTED)) /* no way back, or a network's own address */
		return false;
	return hop->port == port || mode == DP_SOURCE_LOOSE;
}

/* The same for IPv6. A link-local source is on the link by definition. */
static inline bool source_allowed6(const struct lcore *lc, uint8_t port, const uint8_t *src)
{
	uint8_t mode = lc->port[port].source_check;
	const struct next_hop *hop;

	if (unlikely(mode == DP_SOURCE_OFF) || ip6_is_link_local(src))
		return true;
	hop = fib_lookup6(lc->fib, src);
	if (unlikely(hop->kind < HOP_CONNECTED))
		return false;
	return hop->port == port || mode == DP_SOURCE_LOOSE;
}

#endif
