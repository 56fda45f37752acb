#include "ip6.h"

static bool is_extension(uint8_t next)
{
	return next == PROTO_HOPOPTS || next == PROTO_ROUTING || next == PROTO_FRAGMENT ||
	       next == PROTO_DSTOPTS;
}

/* The fragment header at `at`, which is in sight. */
static enum drop_reason fragment_read(const uint8_t *ip, uint32_t at, struct ip6_chain *chain)
{
	uint8_t next = ip[at + IP6F_NEXT];

	if (chain->frag_at)
		return DROP_ip6_extension;
	chain->frag_at = (uint16_t)at;
	chain->frag_next_at = chain->next_at;
	chain->frag = load_be16(ip + at + IP6F_FRAG) & (IP6F_OFFSET_MASK | IP6F_MF);
	/* what comes behind the rest of a chain that another fragment holds is not known here */
	if ((chain->frag & IP6F_OFFSET_MASK) && is_extension(next))
		return DROP_ip6_extension;
	return DROP_COUNT;
}

enum drop_reason ip6_chain_walk(const uint8_t *ip, uint32_t len, struct ip6_chain *chain)
{
	uint32_t at = IP6_LEN, size;
	enum drop_reason bad;

	*chain = (struct ip6_chain){ .proto = ip[IP6_NEXT], .next_at = IP6_NEXT };
	for (unsigned n = 0; is_extension(chain->proto); n++) {
		if (n == IP6_MAX_EXTENSIONS || at + 8 > len)
			return DROP_ip6_extension;
		size = chain->proto == PROTO_FRAGMENT ? IP6F_LEN : 8 + ip[at + 1] * 8u;
		if (at + size > len || (chain->proto == PROTO_HOPOPTS && at != IP6_LEN))
			return DROP_ip6_extension;
		/* segments left: as with source routes, not for a security gateway; type 0 is dead
		 * altogether, RFC 5095 */
		if (chain->proto == PROTO_ROUTING && (ip[at + 3] != 0 || ip[at + 2] == 0))
			return DROP_ip6_routing;
		if (chain->proto == PROTO_FRAGMENT) {
			bad = fragment_read(ip, at, chain);
			if (bad != DROP_COUNT)
				return bad;
		}
		chain->next_at = (uint16_t)at;
		chain->proto = ip[at];
		at += size;
	}
	chain->l4_off = (uint16_t)at;
	return DROP_COUNT;
}
