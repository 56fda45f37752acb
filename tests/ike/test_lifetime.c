/* Lifetimes: both sides keep the shorter one of what they want. */
#include <stdio.h>

#include "isakmp_sa.h"
#include "two_nodes.h"

static uint64_t hard_bytes[2];
static int (*true_install)(void *, const struct sa_params *);

static int install_0(void *ctx, const struct sa_params *p)
{
	hard_bytes[0] = p->hard_bytes;
	return true_install(ctx, p);
}

static int install_1(void *ctx, const struct sa_params *p)
{
	hard_bytes[1] = p->hard_bytes;
	return true_install(ctx, p);
}

static struct sim *up_with(uint32_t s0, uint32_t s1, uint64_t kb0, uint64_t kb1)
{
	struct sim *s = two_nodes();

	sim_peer_cfg(s, 0, 1)->children[0].life_s = s0;
	sim_peer_cfg(s, 1, 0)->children[0].life_s = s1;
	sim_peer_cfg(s, 0, 1)->children[0].life_kb = kb0;
	sim_peer_cfg(s, 1, 0)->children[0].life_kb = kb1;
	true_install = sim_engine(s, 0)->ops.sa_install;
	sim_engine(s, 0)->ops.sa_install = install_0;
	sim_engine(s, 1)->ops.sa_install = install_1;
	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	return s;
}

Test(lifetime, a_shorter_one_of_the_responder_is_told_and_kept)
{
	struct sim *s = up_with(300, 1800, 0, 0);

	cr_expect_eq(node_pair(s, 0)->life_s, 300);
	cr_expect_eq(node_pair(s, 1)->life_s, 300, "%u", node_pair(s, 1)->life_s);
	two_nodes_end(s);
}

Test(lifetime, a_shorter_one_of_the_initiator_is_kept)
{
	struct sim *s = up_with(1800, 300, 0, 0);

	cr_expect_eq(node_pair(s, 0)->life_s, 300);
	cr_expect_eq(node_pair(s, 1)->life_s, 300);
	two_nodes_end(s);
}

Test(lifetime, volumes_likewise)
{
	static const struct {
		uint64_t kb0, kb1, both;
	} cases[] = {
		{ 0, 0, 0 },          { 5000, 0, 5000 },    { 0, 5000, 5000 },
		{ 4000, 5000, 4000 }, { 5000, 4000, 4000 }, { 0, UINT64_MAX / 2, 0 },
		{ 0, 1ull << 54, 0 }, /* whose bytes are no 64-bit number */
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sim *s = up_with(1800, 1800, cases[i].kb0, cases[i].kb1);
		for (unsigned k = 0; k < 2; k++)
			cr_expect_eq(hard_bytes[k], cases[i].both * 1024, "case %u, node %u: %llu",
				     i, k, (unsigned long long)hard_bytes[k]);
		two_nodes_end(s);
	}
}

static void payload(struct payload_list *l, uint8_t *buf, const uint8_t *attrs, size_t len)
{
	static const uint8_t head[] = { 0, 0, 0, 1, PROTO_ESP, 4, 0x60, 0, 1, 2, 3, 4 };

	memcpy(buf, head, sizeof(head));
	memcpy(buf + sizeof(head), attrs, len);
	*l = (struct payload_list){ .n = 1 };
	l->p[0].type = PL_NOTIFY;
	l->p[0].body = (struct view){ buf, sizeof(head) + len };
}

Test(lifetime, notifies_of_others_are_read)
{
	static const uint8_t basic[] = { 0x80, 1, 0, 1, 0x80, 2, 0x0e, 0x10 },
			     wide[] = { 0x80, 1, 0, 1, 0, 2, 0, 4, 0, 0,    0x0e, 0x10,
					0x80, 1, 0, 2, 0, 2, 0, 4, 0, 0x46, 0x50, 0 },
			     no_type[] = { 0x80, 2, 0x0e, 0x10 },
			     zero[] = { 0x80, 1, 0, 1, 0x80, 2, 0, 0 };
	struct esp_choice c;
	struct payload_list l;
	uint8_t buf[64];

	payload(&l, buf, basic, sizeof(basic));
	c = (struct esp_choice){ .life_s = 28800 };
	lifetime_read(&l, &c);
	cr_expect_eq(c.life_s, 3600);
	payload(&l, buf, wide, sizeof(wide));
	for (size_t cut = 0; cut <= sizeof(wide); cut++) {
		l.p[0].body.len = 12 + cut;
		c = (struct esp_choice){ .life_s = 28800 };
		lifetime_read(&l, &c);
		cr_expect_eq(c.life_s, cut >= 12 ? 3600u : 28800u, "%zu", cut);
		cr_expect_eq(c.life_kb, cut == sizeof(wide) ? 4608000u : 0u, "%zu", cut);
	}
	c = (struct esp_choice){ .life_s = 1800 }; /* never longer */
	lifetime_read(&l, &c);
	cr_expect_eq(c.life_s, 1800);
	payload(&l, buf, no_type, sizeof(no_type));
	lifetime_read(&l, &c);
	payload(&l, buf, zero, sizeof(zero));
	lifetime_read(&l, &c);
	cr_expect_eq(c.life_s, 1800);
}

/* The duration of the second transform's offer is patched, so that the two offer different ones. */
Test(lifetime, the_chosen_transforms_own_counts)
{
	static const struct ike_transform ours[] = { { ENCR_AES_CBC, 128, HASH_SHA256, 19 },
						     { ENCR_AES_CBC, 256, HASH_SHA256, 19 } };
	struct isakmp_hdr h = { .version = ISAKMP_VERSION, .exchange = EXCH_IDENTITY_PROTECTION };
	struct ike_choice choice;
	struct sa_payload offer;
	struct msgbuf m;
	uint8_t buf[1024];
	char why[300];
	const char *bad;
	size_t at;

	msg_begin(&m, buf, sizeof(buf), &h);
	ike_offer_write(&m, ours, 2, AUTH_PSK, 3600, 0);
	cr_assert_gt(msg_finish(&m), 0);
	at = m.len - 2; /* "life duration, basic, 3600" ends the message */
	cr_assert_eq(buf[at] << 8 | buf[at + 1], 3600);
	buf[at] = 600 >> 8;
	buf[at + 1] = 600 & 255;
	struct view body = { buf + ISAKMP_HDR_LEN + 4, m.len - ISAKMP_HDR_LEN - 4 };
	cr_assert_eq(sa_payload_parse(body, &offer, &bad), 0, "%s", bad);
	cr_assert_eq(ike_offer_select(&offer, &ours[1], 1, AUTH_PSK, &choice, why, sizeof(why)), 0);
	cr_expect_eq(choice.life_s, 600);
	cr_assert_eq(ike_offer_select(&offer, &ours[0], 1, AUTH_PSK, &choice, why, sizeof(why)), 0);
	cr_expect_eq(choice.life_s, 3600);
}

/* Variable attributes may be of any length; what does not fit counts as the largest. */
Test(lifetime, huge_ones_are_as_long_as_can_be)
{
	static const uint8_t huge[] = { 0x80, 1, 0, 1, 0, 2, 0, 5, 1, 0, 0, 0, 0, 0x80, 1,
					0,    2, 0, 2, 0, 9, 1, 0, 0, 0, 0, 0, 0, 0,    0 },
			     padded[] = {
				     0x80, 1, 0, 1, 0, 2, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0
			     };
	struct esp_choice c;
	struct payload_list l;
	uint8_t buf[64];

	payload(&l, buf, huge, sizeof(huge));
	c = (struct esp_choice){ 0 };
	lifetime_read(&l, &c);
	cr_expect_eq(c.life_s, UINT32_MAX);
	cr_expect_eq(c.life_kb, UINT64_MAX);
	cr_expect_eq(lifetime_bytes(c.life_kb), 0, "more than can be counted is no limit");
	c = (struct esp_choice){ .life_s = 1800, .life_kb = 1000 };
	lifetime_read(&l, &c);
	cr_expect_eq(c.life_s, 1800);
	cr_expect_eq(c.life_kb, 1000);
	payload(&l, buf, padded, sizeof(padded));
	c = (struct esp_choice){ .life_s = 1800 };
	lifetime_read(&l, &c);
	cr_expect_eq(c.life_s, 768);
}

Test(lifetime, huge_ones_are_negotiated)
{
	struct sim *s = up_with(UINT32_MAX, UINT32_MAX, 1ull << 40, 1ull << 40);

	for (unsigned i = 0; i < 2; i++) {
		cr_expect_eq(node_pair(s, i)->life_s, UINT32_MAX);
		cr_expect_eq(node_pair(s, i)->life_kb, 1ull << 40);
		cr_expect_gt(node_pair(s, i)->expires_us, sim_now(s) + UINT32_MAX * SEC - 10 * SEC);
	}
	sim_run(s, 3000 * SEC);
	must_be_up(s);
	two_nodes_end(s);
}

/* ----------------------------------------------------------------------------- phase 1 ------ */

static struct sim *phase1_with(uint32_t s0, uint32_t s1, uint64_t kb0, uint64_t kb1)
{
	struct sim *s = two_nodes();

	sim_peer_cfg(s, 0, 1)->life_s = s0;
	sim_peer_cfg(s, 1, 0)->life_s = s1;
	sim_peer_cfg(s, 0, 1)->life_kb = kb0;
	sim_peer_cfg(s, 1, 0)->life_kb = kb1;
	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	return s;
}

/* Node 0 responds: what it wants shorter, RESPONDER-LIFETIME in message 6 says. */
Test(lifetime, of_phase_1_the_shorter_one_is_kept_by_both)
{
	static const struct {
		uint32_t s0, s1, s;
		uint64_t kb0, kb1, kb;
	} cases[] = { { 600, 3600, 600, 0, 0, 0 },
		      { 3600, 600, 600, 0, 0, 0 },
		      { 3600, 3600, 3600, 500, 0, 500 },
		      { 3600, 3600, 3600, 0, 500, 500 },
		      { 600, 700, 600, 500, 400, 400 },
		      { 700, 600, 600, 400, 500, 400 },
		      { 700, UINT32_MAX, 700, 400, 1ull << 40, 400 } };

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sim *s = phase1_with(cases[i].s0, cases[i].s1, cases[i].kb0, cases[i].kb1);
		for (unsigned k = 0; k < 2; k++) {
			struct isakmp_sa *sa = node_sa(s, k);
			cr_expect_eq(sa->life_s, cases[i].s, "case %u, node %u: %u", i, k,
				     sa->life_s);
			cr_expect_eq(sa->life_bytes, cases[i].kb * 1024, "case %u, node %u: %llu",
				     i, k, (unsigned long long)sa->life_bytes);
			cr_expect_leq(sa->expires_us, sim_now(s) + cases[i].s * SEC);
		}
		two_nodes_end(s);
	}
}

/* A notify that comes later, in an Informational, counts as well; never for longer, and only from
 * the responder. */
Test(lifetime, of_phase_1_is_shortened_by_a_later_notify)
{
	static const uint8_t longer[] = { 0x80, 1, 0, 1, 0, 2, 0, 4, 0, 1, 0, 0 },
			     shorter[] = { 0x80, 1, 0, 1, 0x80, 2, 0x01, 0x2c };
	struct sim *s = phase1_with(3600, 3600, 0, 0);
	struct isakmp_sa *responder = node_sa(s, 0), *initiator = node_sa(s, 1);
	uint8_t spi[2 * ISAKMP_COOKIE_LEN] = { 0 };

	info_notify(responder, PROTO_ISAKMP, N_RESPONDER_LIFETIME, spi, sizeof(spi), longer,
		    sizeof(longer));
	sim_run(s, SEC);
	cr_expect_eq(initiator->life_s, 3600);
	info_notify(responder, PROTO_ISAKMP, N_RESPONDER_LIFETIME, spi, sizeof(spi), shorter,
		    sizeof(shorter));
	info_notify(initiator, PROTO_ISAKMP, N_RESPONDER_LIFETIME, spi, sizeof(spi), shorter,
		    sizeof(shorter));
	sim_run(s, SEC);
	cr_expect_eq(initiator->life_s, 300);
	cr_expect_eq(responder->life_s, 3600);
	sim_run(s, 280 * SEC);
	cr_expect_neq(node_sa(s, 1), initiator, "it was renewed in time");
	sim_run(s, 100 * SEC);
	must_be_up(s);
	two_nodes_end(s);
}

/* Every message under its keys counts, and a successor comes before they are used up. */
Test(lifetime, of_phase_1_in_kilobytes_ends_in_a_renewal)
{
	struct sim *s = phase1_with(3600, 3600, 0, 8);
	struct ike_totals t;
	unsigned rekeys = 0;

	for (unsigned i = 0; i < 40; i++) {
		struct isakmp_sa *sa = node_sa(s, 1);
		cr_assert_not_null(sa, "after %u rekeys", i);
		cr_assert_lt(sa->bytes, 8192u);
		cr_assert_not(sa->used_up);
		rekeys += ike_rekey(sim_engine(s, 1), "node0/net0") == 0;
		sim_run(s, 10 * SEC);
	}
	ike_totals(sim_engine(s, 1), &t);
	cr_expect_gt(t.rekeys_phase1, 2u);
	cr_expect_lt(t.rekeys_phase1, 15u);
	cr_expect_geq(t.phase2.count, rekeys);
	sim_run(s, 100 * SEC);
	must_be_up(s);
	two_nodes_end(s);
}

/* Where nobody may make a new one, it ends all the same. */
Test(lifetime, of_phase_1_in_kilobytes_is_a_hard_limit)
{
	struct sim *s = phase1_with(3600, 3600, 0, 8);
	struct isakmp_sa *sa = node_sa(s, 1);

	sa->peer->cfg.initiate = node_sa(s, 0)->peer->cfg.initiate = false;
	for (unsigned i = 0; i < 100 && node_sa(s, 1); i++) {
		info_notify(sa, PROTO_ISAKMP, 30000, "", 0, NULL, 0);
		sim_run(s, SEC / 10);
	}
	cr_expect_null(node_sa(s, 1));
	sim_run(s, 3 * SEC);
	cr_expect_null(node_sa(s, 0), "it was told");
	sim_run(s, 60 * SEC);
	two_nodes_end(s);
}

/* A DELETE could overtake the last message of a Quick Mode: what has begun comes to its end. */
Test(lifetime, of_phase_1_in_kilobytes_ends_what_is_begun)
{
	struct sim *s = phase1_with(3600, 3600, 0, 8);
	struct isakmp_sa *sa = node_sa(s, 0);
	struct ike_totals t;

	ike_totals(sim_engine(s, 0), &t);
	uint64_t pairs = t.phase2.count;
	cr_assert_eq(ike_rekey(sim_engine(s, 1), "node0/net0"), 0);
	for (unsigned i = 0; i < 50 && !sa_negotiates(sa); i++)
		sim_run(s, SEC / 1000);
	cr_assert(sa_negotiates(sa));
	sa->bytes = sa->life_bytes;
	sa_count(sa, 1);
	sim_run(s, SEC / 10);
	cr_expect_eq(sa->state, IKE_SA_REKEYED);
	ike_totals(sim_engine(s, 0), &t);
	cr_expect_eq(t.phase2.count, pairs + 1);
	sim_run(s, 30 * SEC);
	must_be_up(s);
	cr_expect_neq(node_sa(s, 0), sa);
	two_nodes_end(s);
}

/* ----------------------------------------------------------------------------- volume ------- */

static unsigned warnings;
static char warning[400];
static void (*true_event)(void *, const struct ike_event *);

static void keep_warning(void *ctx, const struct ike_event *ev)
{
	if (ev->type == IKE_EV_WARNING && warnings++ == 0)
		snprintf(warning, sizeof(warning), "%s", ev->text);
	true_event(ctx, ev);
}

/* rate bytes a second both ways, for so many seconds, with limits on one side. */
static void flow(unsigned secs, uint64_t rate, uint64_t kb, uint64_t packets, unsigned who,
		 uint64_t *lost, struct ike_totals *t)
{
	struct sim *s = nodes_at_rate(rate);
	struct ike_child_cfg *c = &sim_peer_cfg(s, who, 1 - who)->children[0];

	warnings = 0;
	c->life_kb = kb;
	c->life_packets = packets;
	true_event = sim_engine(s, who)->ops.event;
	sim_engine(s, who)->ops.event = keep_warning;
	sim_start(s);
	sim_run(s, secs * SEC);
	*lost = sim_totals(s).volume_lost;
	ike_totals(sim_engine(s, 0), t);
	sim_stop_flow(s);
	sim_run(s, 100 * SEC);
	must_be_up(s);
	two_nodes_end(s);
}

Test(lifetime, new_keys_are_there_before_bytes_or_packets_are_used_up)
{
	static const struct {
		uint64_t rate, kb, packets;
		unsigned least, most;                     /* rekeys in a minute */
	} cases[] = { { 1000000, 10000, 0, 5, 13 },       /* lasts 10 s */
		      { 1000000, 0, 10000, 5, 13 },       /* likewise, in packets of 1000 bytes */
		      { 125000000, 1 << 20, 0, 6, 16 } }; /* 1 GB at 1 Gbit/s */

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (unsigned who = 0; who < 2; who++) {
			struct ike_totals t;
			uint64_t lost;
			flow(60, cases[i].rate, cases[i].kb, cases[i].packets, who, &lost, &t);
			cr_expect_eq(lost, 0, "case %u, node %u: %llu bytes", i, who,
				     (unsigned long long)lost);
			cr_expect_geq(t.rekeys_phase2, cases[i].least, "case %u: %u", i,
				      (unsigned)t.rekeys_phase2);
			cr_expect_leq(t.rekeys_phase2, cases[i].most, "case %u: %u", i,
				      (unsigned)t.rekeys_phase2);
			cr_expect_eq(warnings, 0, "case %u: %s", i, warning);
		}
	}
}

/* 15 MB at 1 Gbit/s last 120 ms: the soft limit moves to where a Quick Mode still fits, no byte is
 * lost, and the user is told what would do. */
Test(lifetime, a_volume_too_small_for_the_rate_is_warned_of_and_bridged)
{
	for (unsigned who = 0; who < 2; who++) {
		struct ike_totals t;
		uint64_t lost;
		flow(60, 125000000, 15000, 0, who, &lost, &t);
		cr_expect_eq(lost, 0, "node %u: %llu bytes", who, (unsigned long long)lost);
		cr_expect_gt(t.rekeys_phase2, 200u, "node %u: %u", who, (unsigned)t.rekeys_phase2);
		cr_expect_eq(warnings, 1, "node %u: %u", who, warnings);
		expect_text(warning, "15000 KB, which last 12");
		expect_text(warning, "'lifetime-bytes: ");
	}
}

/* 3 MB last 24 ms: a fixed share of that is less than a Quick Mode takes, nearly all of it is enough. */
Test(lifetime, the_soft_limit_follows_the_rate)
{
	struct ike_totals t;
	uint64_t lost;

	flow(5, 125000000, 3000, 0, 1, &lost, &t);
	cr_expect_eq(lost, 0, "%llu bytes", (unsigned long long)lost);
	cr_expect_gt(t.rekeys_phase2, 200u, "%u", (unsigned)t.rekeys_phase2);
}

/* Below what a Quick Mode takes nothing helps; the user is told that, too. */
Test(lifetime, a_volume_for_less_than_a_quick_mode_is_said_to_lose_packets)
{
	struct ike_totals t;
	uint64_t lost;

	flow(3, 125000000, 500, 0, 1, &lost, &t);
	cr_expect_gt(lost, 0u);
	expect_text(warning, "packets may be lost");
}

/* After a rekey the old pair sends on for a moment; when its volume is used up just then, in
 * whichever direction, the new one must take over at once. */
Test(lifetime, an_old_pair_at_its_hard_limit_stops_sending)
{
	for (enum sa_dir dir = SA_IN; dir <= SA_OUT; dir++) {
		struct sim *s = up_with(1800, 1800, 0, 0);
		struct pair *old = node_pair(s, 1), *new = NULL;

		cr_assert_eq(ike_rekey(sim_engine(s, 1), "node0/net0"), 0);
		for (unsigned i = 0; i < 50 && !(new &&new->state == PAIR_LIVE); i++) {
			sim_run(s, SEC / 100);
			new = TAILQ_NEXT(old, link);
		}
		cr_assert(new &&new->state == PAIR_LIVE && old->state == PAIR_OLD);
		cr_assert_not(new->out_set, "nothing to see here: it sends already");
		ike_sa_limit(sim_engine(s, 1), &old->ref, dir, true);
		cr_expect(new->out_set);
		sim_run(s, 30 * SEC);
		must_be_up(s);
		two_nodes_end(s);
	}
}
