/* Policies: the look-up against a plain reading of the list, and stage_spd. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "env.h"

static struct lcore *lc;

static void start(void)
{
	lc = env_start();
}

static void finish(void)
{
	cr_assert_eq(env_leaked(lc), 0, "%u packets leaked", env_leaked(lc));
}

TestSuite(spd, .init = start, .fini = finish);

/* ------------------------------------------------------------------------- look-up ---------- */

static uint32_t rnd(uint32_t below)
{
	return (uint32_t)random() % below;
}

static struct ip_range random_range(void)
{
	uint32_t lo = 0x0a000000 + rnd(2048), hi = lo + rnd(300);

	if (rnd(8) == 0)
		return (struct ip_range){ ip_addr_v4(0), ip_addr_v4(UINT32_MAX) };
	return (struct ip_range){ ip_addr_v4(lo), ip_addr_v4(hi) };
}

static struct spd_policy random_policy(uint32_t id, bool ports)
{
	static const uint8_t protos[] = { 0, 0, PROTO_UDP, PROTO_TCP, PROTO_ICMP };
	struct spd_policy p = { .id = id, .action = rnd(3) };

	p.sel.local = random_range();
	p.sel.remote = random_range();
	p.sel.proto = protos[rnd(5)];
	if (ports && p.sel.proto != PROTO_ICMP) {
		p.sel.local_port = (uint16_t)rnd(3);
		p.sel.remote_port = (uint16_t)rnd(3);
	}
	return p;
}

/* The meaning of the list, from the selectors alone. */
static uint32_t first_match(const struct spd_policy *p, size_t n, const struct selector *s,
			    bool no_ports)
{
	for (uint32_t i = 0; i < n; i++) {
		struct selector any = p[i].sel;
		if (no_ports)
			any.local_port = any.remote_port = 0;
		if (!selector_contains(&any, s))
			continue;
		if (no_ports && (p[i].sel.local_port || p[i].sel.remote_port))
			return SPD_UNKNOWN;
		return i + 1;
	}
	return 0;
}

/* Returns how many keys met a policy. */
static unsigned compare(const struct spd_policy *p, size_t n, unsigned rounds)
{
	static const uint8_t protos[] = { PROTO_UDP, PROTO_TCP, PROTO_ICMP, 47 };
	char why[100] = "";
	struct spd *spd = spd_build(p, n, why, sizeof(why));
	struct spd_key key[64] = { 0 };
	uint32_t match[64], want[64], hits = 0;

	cr_assert(spd, "%s", why);
	cr_assert_eq(spd->acl || spd->four, n > SPD_LINEAR_MAX);
	for (unsigned round = 0; round < rounds; round++) {
		for (unsigned i = 0; i < 64; i++) {
			uint32_t local = 0x0a000000 + rnd(2400), remote = 0x0a000000 + rnd(2400);
			struct selector s = { .proto = protos[rnd(4)] };
			s.local = (struct ip_range){ ip_addr_v4(local), ip_addr_v4(local) };
			s.remote = (struct ip_range){ ip_addr_v4(remote), ip_addr_v4(remote) };
			bool has = s.proto == PROTO_UDP || s.proto == PROTO_TCP;
			bool no_ports = has && rnd(4) == 0;
			if (has && !no_ports) {
				s.local_port = (uint16_t)(1 + rnd(3));
				s.remote_port = (uint16_t)(1 + rnd(3));
			}
			key[i] = (struct spd_key){ .proto = s.proto,
						   .no_ports = no_ports,
						   .local = rte_cpu_to_be_32(local),
						   .remote = rte_cpu_to_be_32(remote),
						   .local_port = rte_cpu_to_be_16(s.local_port),
						   .remote_port = rte_cpu_to_be_16(s.remote_port) };
			want[i] = first_match(p, n, &s, no_ports);
			hits += want[i] != 0;
		}
		spd_lookup(spd, key, match, 64);
		for (unsigned i = 0; i < 64; i++)
			cr_assert_eq(match[i], want[i], "%zu policies: match %u, want %u", n,
				     match[i], want[i]);
	}
	spd_free(spd);
	return hits;
}

Test(spd, lookup_agrees_with_the_list)
{
	static const unsigned sizes[] = { 1, 4, SPD_LINEAR_MAX, SPD_LINEAR_MAX + 1, 17, 60, 300 };
	struct spd_policy p[300];
	unsigned hits = 0;

	srandom(7);
	for (unsigned ports = 0; ports < 2; ports++)
		for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			for (unsigned j = 0; j < sizes[i]; j++)
				p[j] = random_policy(j, ports);
			hits += compare(p, sizes[i], 100);
		}
	cr_expect_gt(hits, 10000, "the test hits policies, %u times", hits);
}

/* Ranges that nest and overlap within a few bits at both ends of the address. */
static struct ip_range random_range6(bool prefixes)
{
	struct ip_range r = { .lo = { IP_V6, { 0x20, 1, [5] = (uint8_t)rnd(2) } } };
	unsigned host = rnd(4) * 4;

	r.hi = r.lo;
	if (rnd(8) == 0) {
		memset(r.lo.b, 0, 16);
		memset(r.hi.b, 0xff, 16);
	} else if (prefixes) {
		store_be16(r.lo.b + 14, (uint16_t)(rnd(0x1000) >> host << host));
		store_be16(r.hi.b + 14, (uint16_t)(load_be16(r.lo.b + 14) | ((1u << host) - 1)));
	} else {
		store_be16(r.lo.b + 14, (uint16_t)rnd(0x800));
		store_be16(r.hi.b + 14, (uint16_t)(load_be16(r.lo.b + 14) + rnd(0x100)));
	}
	return r;
}

static unsigned compare6(const struct spd_policy *p, size_t n)
{
	static const uint8_t protos[] = { PROTO_UDP, PROTO_TCP, PROTO_ICMP6, 47 };
	char why[200] = "";
	struct spd *spd = spd_build(p, n, why, sizeof(why));
	uint32_t match, want, index, hits = 0;

	cr_assert(spd, "%s", why);
	for (unsigned round = 0; round < 2000; round++) {
		struct selector s = { .proto = protos[rnd(4)] };
		struct ip_addr a = { IP_V6, { 0x20, 1, [5] = (uint8_t)rnd(2) } }, b = a;
		bool has = s.proto == PROTO_UDP || s.proto == PROTO_TCP, blind = has && rnd(4) == 0;

		store_be16(a.b + 14, (uint16_t)rnd(0x1100));
		store_be16(b.b + 14, (uint16_t)rnd(0x1100));
		s.local = (struct ip_range){ a, a };
		s.remote = (struct ip_range){ b, b };
		if (has && !blind) {
			s.local_port = (uint16_t)(1 + rnd(3));
			s.remote_port = (uint16_t)(1 + rnd(3));
		}
		struct spd_key6 key = { .proto = s.proto,
					.no_ports = blind,
					.local_port = rte_cpu_to_be_16(s.local_port),
					.remote_port = rte_cpu_to_be_16(s.remote_port) };
		memcpy(key.local, a.b, 16);
		memcpy(key.remote, b.b, 16);
		spd_lookup6(spd, &key, &match, 1);
		want = first_match(p, n, &s, blind);
		hits += want != 0;
		/* rule[] has the IPv4 policies first: compare by what they are called */
		index = want && want != SPD_UNKNOWN ? p[want - 1].id : want;
		if (match && match != SPD_UNKNOWN)
			match = spd->rule[match - 1].id;
		cr_assert_eq(match, index, "%zu policies: match %u, want %u", n, match, index);
	}
	spd_free(spd);
	return hits;
}

Test(spd, lookup6_agrees_with_the_list)
{
	static const unsigned sizes[] = { 1, 2, 5, 8, 9, 40, 300 };
	struct spd_policy p[300];
	unsigned hits = 0;

	srandom(9);
	for (unsigned ports = 0; ports < 2; ports++)
		for (unsigned i = 0; i < RTE_DIM(sizes); i++) {
			for (unsigned j = 0; j < sizes[i]; j++) {
				p[j] = random_policy(j + 1, ports);
				if (p[j].sel.proto == PROTO_ICMP)
					p[j].sel.proto = PROTO_ICMP6;
				if (j % 3 == 2) /* IPv4 among them */
					continue;
				p[j].sel.local = random_range6(sizes[i] > 8);
				p[j].sel.remote = random_range6(sizes[i] > 40 || i % 2);
			}
			hits += compare6(p, sizes[i]);
		}
	cr_expect_gt(hits, 2000, "the test hits policies, %u times", hits);
}

Test(spd, too_many_shapes_are_told)
{
	struct spd_policy p[40];
	char why[200] = "";

	for (unsigned i = 0; i < RTE_DIM(p); i++) {
		p[i] = env_policy(i, POLICY_PROTECT, "2001:db8::1-2001:db8::7fff:ffff:ffff",
				  "2001:db8::1-2001:db8::7fff:ffff:ffff");
		p[i].sel.local.lo.b[15] = (uint8_t)(i + 1);
	}
	cr_expect_null(spd_build(p, RTE_DIM(p), why, sizeof(why)));
	cr_expect(strstr(why, "prefix lengths"), "%s", why);
	/* few: one by one, whatever they are */
	struct spd *spd = spd_build(p, SPD_LINEAR_MAX, why, sizeof(why));
	cr_assert(spd);
	cr_expect_null(spd->six);
	spd_free(spd);
}

Test(spd, a_hub_is_told_from_a_star)
{
	struct spd_policy p[] = {
		env_policy(0, POLICY_PROTECT, "2001:db8:1::/48", "2001:db8:2::/48"),
		env_policy(1, POLICY_PROTECT, "2001:db8:1::/48", "2001:db8:3::/48"),
		env_policy(2, POLICY_PROTECT, "2001:db8:2::/48", "2001:db8:3::/48"),
		env_policy(3, POLICY_PROTECT, "2001:db8:3::/48", "2001:db8:2::/48"),
	};

	env_policies(lc, p, 2);
	cr_expect_not(lc->spd->hub);
	env_policies(lc, p, 3);
	cr_expect_not(lc->spd->hub, "sides overlap, but nothing comes out of one that goes into another");
	env_policies(lc, p, 4);
	cr_expect(lc->spd->hub);
}

Test(spd, ten_thousand_policies)
{
	struct spd_policy *p = calloc(10000, sizeof(*p));

	for (uint32_t i = 0; i < 10000; i++) {
		uint32_t net = 0x0a000000 + (i << 8);
		p[i] = env_policy(i, POLICY_PROTECT, "192.168.0.0/16", "0.0.0.0/0");
		p[i].sel.remote = (struct ip_range){ ip_addr_v4(net), ip_addr_v4(net + 255) };
	}
	env_policies(lc, p, 10000);
	for (uint32_t i = 0; i < 10000; i += 99) {
		struct spd_key key = { .local = rte_cpu_to_be_32(0xc0a80101),
				       .remote = rte_cpu_to_be_32(0x0a000000 + (i << 8) + 9) };
		uint32_t match;
		spd_lookup(lc->spd, &key, &match, 1);
		cr_assert_eq(match, i + 1);
	}
	free(p);
}

Test(spd, unsound_policies_are_refused)
{
	struct spd_policy p = env_policy(SPD_MAX_POLICIES, POLICY_BYPASS, "10.0.0.0/8", "10.0.0.0/8");
	char why[100] = "";

	cr_expect_null(spd_build(&p, 1, why, sizeof(why)));
	cr_expect_neq(why[0], 0);
	p = env_policy(1, POLICY_BYPASS, "10.0.0.0/8", "10.0.0.0/8");
	p.sel.proto = PROTO_ICMP;
	p.sel.local_port = 1;
	cr_expect_null(spd_build(&p, 1, why, sizeof(why)));
}

Test(spd, hubs_are_recognised)
{
	struct spd_policy p[2] = { env_policy(0, POLICY_PROTECT, "10.1.0.0/24", "10.2.0.0/24"),
				   env_policy(1, POLICY_PROTECT, "10.1.0.0/24", "10.3.0.0/24") };

	env_policies(lc, p, 2);
	cr_expect_not(lc->spd->hub);
	p[0] = env_policy(0, POLICY_PROTECT, "10.0.0.0/8", "10.2.0.0/24");
	p[1] = env_policy(1, POLICY_PROTECT, "10.0.0.0/8", "10.3.0.0/24");
	env_policies(lc, p, 2);
	cr_expect(lc->spd->hub);
}

/* ------------------------------------------------------------------------- stage_spd -------- */

static struct rte_mbuf *out[64];
static uint16_t n_out;

static uint16_t spd_one(struct rte_mbuf *pkt)
{
	return stage_spd(lc, &pkt, 1, out, &n_out);
}

static struct rte_mbuf *packet(uint32_t src, uint32_t dst, uint8_t flags)
{
	struct env_packet p = { .port = 1, .src = src, .dst = dst, .proto = PROTO_UDP,
				.sport = 7, .dport = 9, .payload = 10 };
	struct rte_mbuf *pkt = env_ip(lc, &p);

	pkt_meta(pkt)->flags = flags;
	return pkt;
}

/* protect 10.1/24 <-> 10.2/24, bypass 10.1/24 <-> 10.9/24, discard 10.1/24 <-> 10.66/16,
 * bypass 10.1/24 <-> 10/8 */
static void policies(void)
{
	struct spd_policy p[] = { env_policy(5, POLICY_PROTECT, "10.1.0.0/24", "10.2.0.0/24"),
				  env_policy(6, POLICY_BYPASS, "10.1.0.0/24", "10.9.0.0/24"),
				  env_policy(7, POLICY_DISCARD, "10.1.0.0/24", "10.66.0.0/16"),
				  env_policy(8, POLICY_BYPASS, "10.1.0.0/24", "10.0.0.0/8") };

	env_policies(lc, p, 4);
}

#define HERE   0x0a010007
#define THERE  0x0a020009
#define BYPASS 0x0a090005

static uint32_t pair_spi(uint32_t owner, uint32_t slot)
{
	return 0xabu << 24 | owner << ENV_SLOT_BITS | slot;
}

Test(spd, protected_goes_to_the_pair)
{
	struct rte_mbuf *pkt = packet(HERE, THERE, 0);

	policies();
	lc->policy_sa[5] = (struct policy_sa){ .slot = 3, .spi = pair_spi(0, 3), .owner = 0 };
	lc->sa_out[3].spi = pair_spi(0, 3);
	cr_assert_eq(spd_one(pkt), 0);
	cr_assert_eq(n_out, 1);
	cr_expect_eq(out[0], pkt);
	cr_expect_eq(pkt_meta(pkt)->slot, 3);
	rte_pktmbuf_free(pkt);

	/* the slot belongs to another pair by now */
	lc->sa_out[3].spi = pair_spi(0, 3) ^ 1 << 24;
	cr_assert_eq(spd_one(packet(HERE, THERE, 0)), 0);
	cr_expect_eq(n_out, 0);
	cr_expect_eq(lc->count.drop[DROP_spd_no_sa], 1);
}

Test(spd, protected_by_another_worker_is_handed_over)
{
	struct rte_mbuf *pkt = packet(HERE, THERE, 0);
	void *got = NULL;

	policies();
	lc->policy_sa[5] = (struct policy_sa){ .slot = 3, .spi = pair_spi(1, 3), .owner = 1 };
	cr_assert_eq(spd_one(pkt), 0);
	cr_expect_eq(n_out, 0);
	lcore_flush(lc);
	cr_assert_eq(rte_ring_dequeue(lc->handover[1], &got), 0);
	cr_expect_eq(got, pkt);
	cr_expect_eq(pkt_meta(pkt)->flags, PKT_TO_ENCRYPT);
	cr_expect_eq(pkt_meta(pkt)->slot, pair_spi(1, 3));
	cr_expect_eq(lc->count.handover_out, 1);
	rte_pktmbuf_free(pkt);
}

Test(spd, full_hand_over_ring_drops)
{
	policies();
	lc->policy_sa[5] = (struct policy_sa){ .slot = 3, .spi = pair_spi(1, 3), .owner = 1 };
	for (unsigned i = 0; i < 100; i++)
		spd_one(packet(HERE, THERE, 0));
	lcore_flush(lc);
	cr_expect_eq(lc->count.handover_out, 63);
	cr_expect_eq(lc->count.drop[DROP_handover_full], 37);
}

Test(spd, without_sa_control_hears_once_a_second)
{
	struct evt evt;

	policies();
	for (unsigned i = 0; i < 5; i++)
		spd_one(packet(HERE, THERE, 0));
	cr_expect_eq(lc->count.drop[DROP_spd_no_sa], 5);
	cr_assert(env_event(lc, &evt));
	cr_expect_eq(evt.op, EVT_ACQUIRE);
	cr_expect_eq(evt.policy, 5);
	cr_expect_not(env_event(lc, &evt));
	lc->now_tsc += lc->tsc_hz;
	spd_one(packet(HERE, THERE, 0));
	cr_expect(env_event(lc, &evt));
}

Test(spd, bypass_and_discard)
{
	struct rte_mbuf *pkt = packet(HERE, BYPASS, 0);

	policies();
	cr_assert_eq(spd_one(pkt), 1, "outbound");
	rte_pktmbuf_free(pkt);
	pkt = packet(BYPASS, HERE, 0);
	cr_assert_eq(spd_one(pkt), 1, "a bypass counts for the answers too");
	rte_pktmbuf_free(pkt);
	cr_expect_eq(lc->count.bypassed, 2);
	cr_assert_eq(spd_one(packet(HERE, 0x0a420001, 0)), 0, "explicit discard");
	cr_assert_eq(spd_one(packet(HERE, 0xc0a80001, 0)), 0, "no policy");
	cr_expect_eq(lc->count.drop[DROP_spd_discard], 2);
	cr_expect_eq(n_out, 0);
}

Test(spd, clear_packet_that_must_be_protected)
{
	struct spd_policy p[2] = { env_policy(1, POLICY_PROTECT, "10.1.0.0/24", "10.2.0.0/24"),
				   env_policy(2, POLICY_BYPASS, "0.0.0.0/0", "0.0.0.0/0") };

	env_policies(lc, p, 2);
	cr_assert_eq(spd_one(packet(THERE, HERE, 0)), 0, "although the mirror image may pass");
	cr_expect_eq(lc->count.drop[DROP_spd_in_clear], 1);
	cr_expect_eq(env_drops(lc), 1);
}

/* A hub: what comes from spoke 2 for spoke 3 is protected on both ways. A clear packet with such
 * addresses is forged when it comes from outside, and a host's when it comes from inside. */
Test(spd, forged_packet_of_a_spoke_is_not_passed_on)
{
	struct spd_policy p[] = { env_policy(2, POLICY_PROTECT, "10.0.0.0/8", "10.2.0.0/24"),
				  env_policy(3, POLICY_PROTECT, "10.0.0.0/8", "10.3.0.0/24") };
	struct rte_mbuf *pkt;

	env_policies(lc, p, 2);
	lc->spd->outside = 1 << 1;
	lc->policy_sa[3] = (struct policy_sa){ .slot = 3, .spi = pair_spi(0, 3), .owner = 0 };
	lc->sa_out[3].spi = pair_spi(0, 3);

	cr_expect_eq(spd_one(packet(THERE, 0x0a030009, 0)), 0);
	cr_expect_eq(n_out, 0);
	cr_expect_eq(lc->count.drop[DROP_spd_in_clear], 1);

	for (unsigned i = 0; i < 4; i++) {
		pkt = packet(i == 3 ? HERE : THERE, 0x0a030009, i == 0 ? PKT_FROM_ESP : 0);
		lc->port[1].source_check = i == 1 ? DP_SOURCE_OFF : DP_SOURCE_STRICT;
		lc->spd->outside = i == 2 ? 0 : 1 << 1;
		spd_one(pkt);
		cr_expect_eq(n_out, 1, "%u", i);
		rte_pktmbuf_free_bulk(out, n_out);
	}
	cr_expect_eq(env_drops(lc), 1);
}

Test(spd, decrypted_packets_need_no_bypass_but_may_need_another_sa)
{
	struct rte_mbuf *pkt = packet(THERE, HERE, PKT_FROM_ESP);

	policies();
	cr_assert_eq(spd_one(pkt), 1);
	rte_pktmbuf_free(pkt);
	/* a spoke's packet for another protected destination never leaves in the clear */
	cr_assert_eq(spd_one(packet(HERE, THERE, PKT_FROM_ESP)), 0);
	cr_expect_eq(lc->count.drop[DROP_spd_no_sa], 1);
	pkt = packet(LAN_ADDR, 0xc0a80001, PKT_LOCAL_OUT);
	cr_assert_eq(spd_one(pkt), 1, "our own answers need no policy");
	rte_pktmbuf_free(pkt);
	cr_assert_eq(spd_one(packet(LAN_ADDR, THERE, PKT_LOCAL_OUT)), 0, "but obey protection");
	cr_expect_eq(lc->count.drop[DROP_spd_no_sa], 2);
}

Test(spd, fragments_of_what_a_port_policy_may_cover_are_dropped)
{
	struct spd_policy p[2] = { env_policy(1, POLICY_PROTECT, "10.1.0.0/24", "10.2.0.0/24"),
				   env_policy(2, POLICY_BYPASS, "10.1.0.0/24", "10.2.0.0/24") };
	struct env_packet f = { .src = HERE, .dst = THERE, .proto = PROTO_UDP, .frag = 185,
				.payload = 100 };

	p[0].sel.proto = PROTO_UDP;
	p[0].sel.remote_port = 9;
	env_policies(lc, p, 2);
	cr_assert_eq(spd_one(env_ip(lc, &f)), 0, "it may belong to a datagram to port 9");
	cr_expect_eq(lc->count.drop[DROP_spd_discard], 1);
	f.proto = PROTO_TCP;
	struct rte_mbuf *pkt = env_ip(lc, &f);
	cr_assert_eq(spd_one(pkt), 1, "TCP cannot");
	rte_pktmbuf_free(pkt);
}

Test(spd, order_is_kept_over_a_burst)
{
	struct rte_mbuf *pkt[64], *in[64];
	uint16_t n, protected = 0, kept = 0;

	policies();
	lc->policy_sa[5] = (struct policy_sa){ .slot = 3, .spi = pair_spi(0, 3), .owner = 0 };
	lc->sa_out[3].spi = pair_spi(0, 3);
	for (unsigned i = 0; i < 64; i++)
		pkt[i] = in[i] = packet(HERE, i % 3 == 0 ? THERE : i % 3 == 1 ? BYPASS : 0xc0000001, 0);
	n = stage_spd(lc, pkt, 64, out, &n_out);
	for (unsigned i = 0; i < 64; i++) {
		if (i % 3 == 0)
			cr_assert_eq(out[protected++], in[i]);
		else if (i % 3 == 1)
			cr_assert_eq(pkt[kept++], in[i]);
	}
	cr_expect_eq(n, kept);
	cr_expect_eq(n_out, protected);
	cr_expect_eq(n + n_out + env_drops(lc), 64);
	rte_pktmbuf_free_bulk(pkt, n);
	rte_pktmbuf_free_bulk(out, n_out);
}
