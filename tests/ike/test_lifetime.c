/* Lifetimes: both sides keep the shorter one of what they want. */
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

/* After a rekey the old pair sends on for a moment; when its volume is used up just then, the new one
 * must take over at once. */
Test(lifetime, an_old_pair_at_its_hard_limit_stops_sending)
{
	struct sim *s = up_with(1800, 1800, 0, 0);
	struct pair *old = node_pair(s, 1), *new = NULL;

	cr_assert_eq(ike_rekey(sim_engine(s, 1), "node0/net0"), 0);
	for (unsigned i = 0; i < 50 && !(new && new->state == PAIR_LIVE); i++) {
		sim_run(s, SEC / 100);
		new = TAILQ_NEXT(old, link);
	}
	cr_assert(new && new->state == PAIR_LIVE && old->state == PAIR_OLD);
	cr_assert_not(new->out_set, "nothing to see here: it sends already");
	ike_sa_limit(sim_engine(s, 1), &old->ref, SA_IN, true);
	cr_expect_not(new->out_set, "the inbound volume has nothing to do with it");
	ike_sa_limit(sim_engine(s, 1), &old->ref, SA_OUT, true);
	cr_expect(new->out_set);
	sim_run(s, 30 * SEC);
	must_be_up(s);
	two_nodes_end(s);
}
