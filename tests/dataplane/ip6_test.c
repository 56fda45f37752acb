/* Walking the chain of IPv6 headers. */
#include <criterion/criterion.h>
#include <rte_common.h>
#include <stdlib.h>

#include "ip6.h"

/* The verdict on a packet whose bytes after the fixed header are ext, cut to len bytes. The bytes
 * lie in a block of exactly their size, so that AddressSanitizer sees a read past them. */
static enum drop_reason walk(uint8_t next, const uint8_t *ext, unsigned n, unsigned len,
			     struct ip6_chain *chain)
{
	uint8_t *ip = malloc(len);
	enum drop_reason r;

	cr_assert(ip);
	memset(ip, 0, IP6_LEN);
	ip[0] = 0x60;
	ip[IP6_NEXT] = next;
	if (ext)
		memcpy(ip + IP6_LEN, ext, RTE_MIN(n, len - IP6_LEN));
	r = ip6_chain_read(ip, len, chain);
	free(ip);
	return r;
}

Test(ip6, plain)
{
	struct ip6_chain c;

	cr_assert_eq(walk(PROTO_UDP, NULL, 0, 40, &c), DROP_COUNT);
	cr_expect(c.proto == PROTO_UDP && c.l4_off == 40 && c.next_at == IP6_NEXT && !c.frag_at);
	cr_assert_eq(walk(PROTO_ESP, NULL, 0, 40, &c), DROP_COUNT);
	cr_expect_eq(c.proto, PROTO_ESP);
}

Test(ip6, every_extension_and_every_cut)
{
	const uint8_t ext[] = {
		PROTO_DSTOPTS,
		0,
		1,
		4,
		0,
		0,
		0,
		0, /* hop by hop */
		PROTO_ROUTING,
		1,
		1,
		12,
		0,
		0,
		0,
		0,
		0,
		0,
		0,
		0,
		0,
		0,
		0,
		0, /* 16 bytes of options */
		PROTO_FRAGMENT,
		0,
		4,
		0,
		0,
		0,
		0,
		0, /* all segments used */
		PROTO_UDP,
		0,
		0,
		1,
		1,
		2,
		3,
		4, /* the first fragment */
	};
	struct ip6_chain c;

	cr_assert_eq(walk(PROTO_HOPOPTS, ext, sizeof(ext), 40 + sizeof(ext), &c), DROP_COUNT);
	cr_expect(c.proto == PROTO_UDP && c.l4_off == 80 && c.next_at == 72);
	cr_expect(c.frag_at == 72 && c.frag == IP6F_MF);
	for (unsigned len = 40; len < 80; len++)
		cr_expect_eq(walk(PROTO_HOPOPTS, ext, sizeof(ext), len, &c), DROP_ip6_extension,
			     "cut at %u", len);
}

Test(ip6, refused)
{
	const uint8_t steers[] = { PROTO_UDP, 0, 4, 1, 0, 0, 0, 0 };
	const uint8_t type0[] = { PROTO_UDP, 0, 0, 0, 0, 0, 0, 0 };
	const uint8_t late[] = {
		PROTO_HOPOPTS, 0, 1, 4, 0, 0, 0, 0, PROTO_UDP, 0, 1, 4, 0, 0, 0, 0
	};
	const uint8_t twice[] = { PROTO_FRAGMENT, 0, 0, 0, 0, 0, 0, 1,
				  PROTO_UDP,      0, 0, 0, 0, 0, 0, 1 };
	const uint8_t hidden[] = { PROTO_DSTOPTS, 0, 0, 8, 0, 0, 0, 1 };
	uint8_t many[9 * 8] = { 0 };
	struct ip6_chain c;

	cr_expect_eq(walk(PROTO_ROUTING, steers, 8, 48, &c), DROP_ip6_routing);
	cr_expect_eq(walk(PROTO_ROUTING, type0, 8, 48, &c), DROP_ip6_routing);
	cr_expect_eq(walk(PROTO_DSTOPTS, late, 16, 56, &c), DROP_ip6_extension);
	cr_expect_eq(walk(PROTO_FRAGMENT, twice, 16, 56, &c), DROP_ip6_extension);
	cr_expect_eq(walk(PROTO_FRAGMENT, hidden, 8, 48, &c), DROP_ip6_extension);
	for (unsigned i = 0; i < 9; i++)
		many[i * 8] = i < 8 ? PROTO_DSTOPTS : PROTO_UDP;
	cr_expect_eq(walk(PROTO_DSTOPTS, many, 72, 112, &c), DROP_ip6_extension, "nine headers");
	many[7 * 8] = PROTO_UDP;
	cr_expect_eq(walk(PROTO_DSTOPTS, many, 72, 112, &c), DROP_COUNT, "eight");
}

Test(ip6, fragments)
{
	const uint8_t later[] = { PROTO_TCP, 0, 0, 8 | 1, 0, 0, 0, 1 };
	const uint8_t atomic[] = { PROTO_TCP, 0, 0, 0, 0, 0, 0, 1 };
	struct ip6_chain c;

	cr_assert_eq(walk(PROTO_FRAGMENT, later, 8, 48, &c), DROP_COUNT);
	cr_expect(c.proto == PROTO_TCP && c.frag == (8 | IP6F_MF) && c.frag_at == 40);
	cr_assert_eq(walk(PROTO_FRAGMENT, atomic, 8, 48, &c), DROP_COUNT);
	cr_expect(c.proto == PROTO_TCP && c.frag == 0 && c.l4_off == 48);
}

/* Whatever the bytes are: the end of the chain lies within them. */
Test(ip6, random_bytes)
{
	uint8_t ext[200];
	struct ip6_chain c;

	srandom(1);
	for (unsigned i = 0; i < 200000; i++) {
		static const uint8_t kinds[] = { 0, 43, 44, 60, 17 };
		unsigned len = 40 + (unsigned)random() % sizeof(ext);

		for (unsigned j = 0; j < sizeof(ext); j++)
			ext[j] = random() % 4 ? kinds[random() % 5] : (uint8_t)random();
		if (walk(kinds[random() % 4], ext, sizeof(ext), len, &c) == DROP_COUNT)
			cr_assert(c.l4_off <= len && c.next_at < len);
	}
}
