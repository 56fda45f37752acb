/* The exchange engine, one behaviour a test: diagnosis, limits, NAT, loss of a peer, the operator.
 * Two nodes of the simulated network, whose configuration each test bends. */
#include <errno.h>
#include <stdlib.h>

#include "two_nodes.h"

/* ------------------------------------------------------------------------- the table -------- */

Test(table, is_sound)
{
	for (unsigned i = 0; i < step_count; i++) {
		const struct step *s = &step_table[i];
		cr_assert(s->name && s->verify && s->handle, "row %u", i);
		cr_assert_eq(step_find(s->exchange, s->initiator, s->step), s,
			     "%s: two rows for one step", s->name);
		cr_assert(s->step == 0 || step_find(s->exchange, s->initiator, s->step - 1),
			  "%s: no row before it", s->name);
		cr_assert_eq(s->required & s->optional, 0, "%s: required and optional", s->name);
		cr_assert(s->required, "%s: asks for nothing", s->name);
		if (s->first != PL_NONE)
			cr_assert(s->required & PB(s->first), "%s: first is not required", s->name);
		/* only phase 1 runs in the clear, and never with a hash to believe in */
		cr_assert(s->encrypted || exchange_is_phase1(s->exchange), "%s", s->name);
		cr_assert(!s->or_clear || s->exchange == EXCH_AGGRESSIVE, "%s", s->name);
		cr_assert_eq(s->encrypted, s->hash != STEP_NO_HASH, "%s", s->name);
		uint64_t proof = s->required & (PB(PL_HASH) | PB(PL_SIG));
		/* but that of Aggressive Mode message 2, which is checked once there are keys */
		bool later = s->exchange == EXCH_AGGRESSIVE && s->initiator;
		cr_assert_eq(s->encrypted || later, proof != 0, "%s", s->name);
		cr_assert_neq(proof, PB(PL_HASH) | PB(PL_SIG), "%s: two proofs", s->name);
		/* an unauthenticated peer is never sent anything by a timer */
		if (exchange_is_phase1(s->exchange) && !s->initiator)
			cr_assert_not(s->retransmit, "%s", s->name);
		/* messages of the initiator are odd, and it never receives its own */
		cr_assert_eq(s->number % 2 == 1, !s->initiator, "%s", s->name);
		cr_assert_lt(s->step, SEEN_MAX, "%s", s->name);
	}
}

Test(table, payload_bits_do_not_collide)
{
	uint64_t seen = 0;

	for (unsigned t = 1; t < 256; t++) {
		if (t >= 60 && (t < PL_GSS || t > PL_FRAGMENT))
			continue;
		cr_assert_eq(seen & PB(t), 0, "type %u", t);
		seen |= PB(t);
	}
}

Test(table, counts_payloads)
{
	const struct step *s = step_find(EXCH_QUICK, false, 0);
	struct payload_list l = { .n = 3 };
	const char *why = NULL;

	l.p[0].type = PL_HASH;
	l.p[1].type = PL_SA;
	l.p[2].type = PL_NONCE;
	cr_assert_eq(step_check(s, &l, &why), 0);
	l.n = 2;
	cr_assert_eq(step_check(s, &l, &why), -EBADMSG); /* no nonce */
	l.n = 4;
	l.p[3].type = PL_ID;
	cr_assert_eq(step_check(s, &l, &why), -EBADMSG); /* one identity */
	l.p[3].type = PL_NONCE;
	cr_assert_eq(step_check(s, &l, &why), -EBADMSG); /* two nonces */
	l.p[3].type = PL_CERT;
	cr_assert_eq(step_check(s, &l, &why), -EBADMSG);
	l.p[3].type = 200; /* private use, unknown: passed over */
	cr_assert_eq(step_check(s, &l, &why), 0);
	l.n = 3;
	l.p[0].type = PL_SA;
	l.p[1].type = PL_HASH;
	cr_assert_eq(step_check(s, &l, &why), -EBADMSG); /* the hash must come first */
}

/* -------------------------------------------------------------------------- timers ---------- */

static void count_up(void *arg)
{
	(void)arg;
}

Test(timers, come_in_order)
{
	enum { N = 3000 };
	static struct timer t[N];
	struct timer_heap h = { 0 };
	uint64_t r = 7, last = 0;
	unsigned armed = 0, popped = 0;

	for (unsigned i = 0; i < N; i++)
		timer_init(&t[i], count_up, NULL);
	for (unsigned k = 0; k < 4 * N; k++) {
		r = r * 6364136223846793005ull + 1442695040888963407ull;
		if (r >> 62 == 0)
			timer_cancel(&h, &t[r % N]);
		else
			timer_set(&h, &t[r % N], r >> 40);
	}
	for (unsigned i = 0; i < N; i++)
		armed += t[i].armed;
	for (struct timer *p; (p = timer_pop(&h, TIMER_NEVER - 1)); popped++) {
		cr_assert_geq(p->at, last);
		last = p->at;
	}
	cr_assert_eq(popped, armed);
	cr_assert_eq(timer_next(&h), TIMER_NEVER);
}

Test(timers, a_long_queue_does_not_recurse)
{
	enum { N = 200000 };
	struct timer *t = calloc(N, sizeof(*t));
	struct timer_heap h = { 0 };

	for (unsigned i = 0; i < N; i++) {
		timer_init(&t[i], count_up, NULL);
		timer_set(&h, &t[i], i);
	}
	for (unsigned i = 0; i < N; i++)
		cr_assert_eq(timer_pop(&h, N), &t[i]);
	free(t);
}

/* ------------------------------------------------------------------------ negotiation ------- */

Test(engine, comes_up_and_says_so)
{
	struct sim *s = two_nodes();
	struct ike_totals t;

	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	ike_totals(sim_engine(s, 0), &t);
	cr_expect_eq(t.phase1.count, 1);
	cr_expect_eq(t.phase2.count, 1);
	cr_expect_eq(t.half_open, 0);
	cr_expect_eq(t.retransmits, 0);
	two_nodes_end(s);
}

Test(engine, pfs_offered_by_the_initiator_alone_is_accepted)
{
	struct sim *s = two_nodes();

	sim_peer_cfg(s, 1, 0)->children[0].esp[0].group = 19;
	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	two_nodes_end(s);
}

Test(engine, pfs_required_by_the_responder_alone_is_refused)
{
	struct sim *s = two_nodes();

	sim_peer_cfg(s, 0, 1)->children[0].esp[0].group = 19;
	sim_start(s);
	sim_run(s, 2 * SEC);
	cr_expect_eq(sim_pairs(s, 0), 0);
	expect_text(sim_last_error(s, 0, 1), "no phase 2 proposal");
	expect_text(sim_last_error(s, 1, 0), "NO-PROPOSAL-CHOSEN; we offered aes128gcm16, 10.1");
	two_nodes_end(s);
}

/* A peer may rekey as often as it likes: what it makes one after the other is no collision. */
Test(engine, quick_rekeys_by_one_side_follow_each_other)
{
	for (unsigned who = 0; who < 2; who++) {
		struct sim *s = two_nodes();
		struct ike_totals t;

		sim_start(s);
		sim_run(s, 5 * SEC);
		for (unsigned i = 0; i < 6; i++) {
			cr_assert_eq(
				ike_rekey(sim_engine(s, who), who ? "node0/net0" : "node1/net0"),
				0);
			sim_run(s, 2 * SEC);
		}
		ike_totals(sim_engine(s, 0), &t);
		cr_expect_geq(t.rekeys_phase2, 5, "%u", (unsigned)t.rekeys_phase2);
		sim_run(s, 60 * SEC);
		must_be_up(s);
		two_nodes_end(s);
	}
}

/* The responder may take packets under the new keys only once it has handled message 3 (strongSwan does),
 * so the initiator sends under the old ones for a second more, or until those are taken from it. */
Test(engine, a_rekey_goes_on_sending_with_the_old_keys)
{
	struct sim *s = two_nodes();
	struct pair *old, *made;

	sim_start(s);
	sim_run(s, 5 * SEC);
	for (unsigned deleted = 0; deleted < 2; deleted++) {
		old = node_pair(s, 1);
		cr_assert(old && old->out_set);
		cr_assert_eq(ike_rekey(sim_engine(s, 1), "node0/net0"), 0);
		sim_run(s, SEC / 2);
		made = TAILQ_NEXT(old, link);
		cr_assert(made && made->state == PAIR_LIVE && made->in_set);
		cr_assert_not(made->out_set);
		if (deleted)
			pair_deleted(old);
		else
			sim_run(s, SEC);
		cr_assert(made->out_set);
		cr_assert_null(made->keys);
		sim_run(s, 60 * SEC);
		must_be_up(s);
	}
	cr_expect_eq(sim_totals(s).unknown, 0);
	two_nodes_end(s);
}

/* Both at once: one of the two pairs is kept, the same on both sides, and traffic never stops. */
Test(engine, simultaneous_rekeys_converge)
{
	struct sim *s = two_nodes();

	sim_start(s);
	sim_run(s, 20 * SEC);
	for (unsigned i = 0; i < 5; i++) {
		cr_assert_eq(ike_rekey(sim_engine(s, 0), "node1/net0"), 0);
		cr_assert_eq(ike_rekey(sim_engine(s, 1), "node0/net0"), 0);
		sim_run(s, SEC);
		cr_expect_eq(sim_pairs(s, 0), 1);
		cr_expect_eq(sim_pairs(s, 1), 1);
		sim_run(s, 59 * SEC);
		must_be_up(s);
	}
	cr_expect_eq(sim_totals(s).unknown, 0);
	two_nodes_end(s);
}

Test(engine, parallel_pairs)
{
	struct sim *s = two_nodes();

	for (unsigned i = 0; i < 2; i++)
		sim_peer_cfg(s, i, 1 - i)->children[0].pairs = 3;
	sim_start(s);
	sim_run(s, 5 * SEC);
	cr_expect_eq(sim_pairs(s, 0), 3);
	cr_expect_eq(sim_pairs(s, 1), 3);
	cr_assert_eq(ike_rekey(sim_engine(s, 1), "node0/net0"), 0);
	sim_run(s, 60 * SEC);
	cr_expect_eq(sim_pairs(s, 0), 3);
	cr_expect_eq(sim_pairs(s, 1), 3);
	two_nodes_end(s);
}

/* Both sides must hold one current pair at any time, whoever asked for the new ones and however
 * soon after each other. */
static void rekey_often(const unsigned *by, unsigned n, uint64_t apart)
{
	struct sim *s = two_nodes();

	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	for (unsigned i = 0; i < n; i++) {
		cr_assert_eq(ike_rekey(sim_engine(s, by[i]), by[i] ? "node0/net0" : "node1/net0"),
			     0);
		sim_run(s, apart);
		cr_expect_eq(sim_pairs(s, 0), 1, "rekey %u: node 0 has %u", i, sim_pairs(s, 0));
		cr_expect_eq(sim_pairs(s, 1), 1, "rekey %u: node 1 has %u", i, sim_pairs(s, 1));
	}
	for (unsigned i = 0; i < 60; i++) {
		sim_run(s, SEC);
		cr_expect_eq(sim_pairs(s, 0), 1, "%u s later: node 0 has %u", i, sim_pairs(s, 0));
		cr_expect_eq(sim_pairs(s, 1), 1, "%u s later: node 1 has %u", i, sim_pairs(s, 1));
	}
	must_be_up(s);
	two_nodes_end(s);
}

Test(engine, rekeys_soon_after_each_other_by_the_initiator)
{
	rekey_often((const unsigned[]){ 1, 1, 1, 1, 1, 1 }, 6, SEC / 2);
}

Test(engine, rekeys_soon_after_each_other_by_the_responder)
{
	rekey_often((const unsigned[]){ 0, 0, 0, 0, 0, 0 }, 6, SEC / 2);
}

Test(engine, rekeys_soon_after_each_other_by_both)
{
	rekey_often((const unsigned[]){ 1, 0, 1, 1, 0, 0, 1, 0 }, 8, SEC);
}

/* -------------------------------------------------------------------------- diagnosis ------- */

Test(diagnosis, wrong_psk)
{
	struct sim *s = nodes_with(0, "secret", "secret?");

	sim_start(s);
	sim_run(s, 5 * SEC);
	cr_expect_eq(sim_pairs(s, 0), 0);
	expect_text(sim_last_error(s, 0, 1),
		    "probable pre-shared key mismatch with node1 (secret secret-1)");
	expect_text(sim_last_error(s, 1, 0), "probable pre-shared key mismatch");
	expect_text(sim_last_error(s, 1, 0), "secret-0");
	sim_run(s, 60 * SEC);
	expect_text(sim_last_error(s, 1, 0), "pre-shared key mismatch");
	two_nodes_end(s);
}

Test(diagnosis, proposals_differ)
{
	struct sim *s = two_nodes();

	sim_peer_cfg(s, 0, 1)->ike[0].group = 14;
	sim_start(s);
	sim_run(s, 2 * SEC);
	expect_text(sim_last_error(s, 0, 1), "no phase 1 proposal of node1");
	expect_text(sim_last_error(s, 0, 1), "ecp256");
	expect_text(sim_last_error(s, 0, 1), "modp2048");
	expect_text(sim_last_error(s, 1, 0), "NO-PROPOSAL-CHOSEN; we offered aes128-sha256-ecp256");
	two_nodes_end(s);
}

Test(diagnosis, identity_differs)
{
	struct sim *s = two_nodes();

	ike_id_from_text("somebody.else", &sim_peer_cfg(s, 0, 1)->remote_id);
	sim_start(s);
	sim_run(s, 2 * SEC);
	cr_expect_eq(sim_pairs(s, 0), 0);
	expect_text(sim_last_error(s, 0, 1), "expected FQDN somebody.else, received FQDN node1");
	two_nodes_end(s);
}

Test(diagnosis, selectors_differ)
{
	struct sim *s = two_nodes();
	struct selector *sel = &sim_peer_cfg(s, 0, 1)->children[0].sel;

	sel->local.hi = ip_addr_v4(ip_addr_to_v4(&sel->local.lo) | 127);
	sim_start(s);
	sim_run(s, 2 * SEC);
	cr_expect_eq(sim_pairs(s, 0), 0);
	expect_text(sim_last_error(s, 0, 1), "10.0.0.0/24 === 10.1.0.0/24");
	expect_text(sim_last_error(s, 0, 1), "we have 10.0.0.0/25 === 10.1.0.0/24 (net0)");
	expect_text(sim_last_error(s, 1, 0), "INVALID-ID-INFORMATION");
	two_nodes_end(s);
}

static bool swallow(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg, size_t *len)
{
	(void)path;
	(void)msg;
	(void)len;
	return from != *(unsigned *)ctx;
}

Test(diagnosis, silent_peer)
{
	struct sim *s = two_nodes();
	unsigned mute = 0;

	sim_set_tap(s, swallow, &mute);
	sim_start(s);
	sim_run(s, 70 * SEC);
	expect_text(sim_last_error(s, 1, 0), "is silent on UDP port 500");
	sim_set_tap(s, NULL, NULL);
	sim_run(s, 30 * SEC); /* tries again by itself */
	cr_expect_eq(sim_pairs(s, 1), 1);
	two_nodes_end(s);
}

/* ---------------------------------------------------------------------------------- NAT ----- */

struct ports {
	unsigned port500, port4500;
	uint16_t of_exchange_5;
};

static bool watch_ports(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg, size_t *len)
{
	struct ports *p = ctx;

	(void)from;
	(void)len;
	p->port500 += path->local_port == 500;
	p->port4500 += path->local_port == 4500;
	if (path->local_port == 500)
		cr_expect_not(msg[19] & ISAKMP_FLAG_ENC, "message 5 and later belong on 4500");
	return true;
}

static void child_encap(void *ctx, const struct ike_child_info *i)
{
	*(bool *)ctx = i->udp_encap;
}

Test(nat, floats_to_4500)
{
	struct sim_cfg cfg = sim_cfg_from_seed(3);
	struct ports ports = { 0 };
	bool encap[2] = { false, false };

	cfg.nodes = 2;
	cfg.faults = SIM_NAT;
	struct sim *s = sim_new(&cfg);
	sim_set_tap(s, watch_ports, &ports);
	sim_start(s);
	sim_run(s, 10 * SEC);
	cr_expect_eq(ports.port500, 4);
	cr_expect_gt(ports.port4500, 4);
	for (unsigned i = 0; i < 2; i++)
		ike_child_foreach(sim_engine(s, i), child_encap, &encap[i]);
	cr_expect(encap[0] && encap[1]);
	struct isakmp_sa *hub = peer_sa(peer_find(sim_engine(s, 0), "node1"));
	struct isakmp_sa *inner = peer_sa(peer_find(sim_engine(s, 1), "node0"));
	cr_assert(hub && inner);
	cr_expect(hub->nat_remote && !hub->nat_local);
	cr_expect(inner->nat_local && !inner->nat_remote);
	cr_expect_eq(hub->path.remote_port, 24500);
	two_nodes_end(s);
}

static void child_port(void *ctx, const struct ike_child_info *i)
{
	if (i->current)
		*(uint16_t *)ctx = i->path.remote_port;
}

Test(nat, a_new_mapping_is_followed)
{
	struct sim_cfg cfg = sim_cfg_from_seed(3);
	uint16_t port = 0;

	cfg.nodes = 2;
	cfg.faults = SIM_NAT;
	struct sim *s = sim_new(&cfg);
	sim_peer_cfg(s, 1, 0)->dpd_s = 10;
	sim_peer_cfg(s, 1, 0)->n_children = sim_peer_cfg(s, 0, 1)->n_children = 1;
	sim_start(s);
	sim_run(s, 10 * SEC);
	ike_child_foreach(sim_engine(s, 0), child_port, &port);
	cr_expect_eq(port, 24500);
	sim_rebind(s, 1);
	sim_run(s, 20 * SEC); /* a probe from inside shows the new port */
	cr_expect_eq(peer_sa(peer_find(sim_engine(s, 0), "node1"))->path.remote_port, 25500);
	ike_child_foreach(sim_engine(s, 0), child_port, &port);
	cr_expect_eq(port, 25500, "the SA pair still goes to port %u", port);
	two_nodes_end(s);
}

Test(nat, encapsulation_can_be_forced)
{
	for (unsigned who = 0; who < 2; who++) {
		struct sim *s = two_nodes();
		struct ports ports = { 0 };
		bool encap[2] = { false, false };

		sim_peer_cfg(s, who, 1 - who)->force_encap = true;
		sim_set_tap(s, watch_ports, &ports);
		sim_start(s);
		sim_run(s, 5 * SEC);
		must_be_up(s);
		cr_expect_eq(ports.port500, 4);
		for (unsigned i = 0; i < 2; i++)
			ike_child_foreach(sim_engine(s, i), child_encap, &encap[i]);
		cr_expect(encap[0] && encap[1], "forced by node %u", who);
		two_nodes_end(s);
	}
}

/* --------------------------------------------------------------------------- operator ------- */

Test(operator, down_stays_down_until_up)
{
	struct sim *s = two_nodes();
	struct ike *ike = sim_engine(s, 1);

	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	cr_expect_eq(ike_down(ike, "node9"), -ENOENT);
	cr_expect_eq(ike_up(ike, "node0"), -EALREADY);
	cr_expect_eq(ike_down(ike, "node0"), 0);
	sim_run(s, 60 * SEC);
	cr_expect_eq(sim_pairs(s, 0), 0);
	cr_expect_eq(sim_pairs(s, 1), 0);
	cr_expect_eq(ike_up(ike, "node0"), 0);
	sim_run(s, 30 * SEC);
	must_be_up(s);
	cr_expect_eq(ike_down(ike, "node0/net0"), 0);
	sim_run(s, 60 * SEC);
	cr_expect_eq(sim_pairs(s, 0), 0);
	cr_expect_eq(ike_up(ike, "node0/net0"), 0);
	sim_run(s, 30 * SEC);
	must_be_up(s);
	two_nodes_end(s);
}

Test(operator, reload_touches_only_what_changed)
{
	struct sim *s = two_nodes();
	struct ike *ike = sim_engine(s, 1);
	struct ike_peer_cfg *cfg = sim_peer_cfg(s, 1, 0);
	struct ike_totals t;

	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	cr_expect_eq(ike_peer_set(ike, cfg), 0);
	cfg->children[0].life_s++; /* the child anew, under the same ISAKMP SA */
	cr_expect_eq(ike_peer_set(ike, cfg), 0);
	sim_run(s, 50 * SEC);
	must_be_up(s);
	ike_totals(ike, &t);
	cr_expect_eq(t.phase1.count, 1);
	cr_expect_eq(t.phase2.count, 2);
	cfg->dpd_s++; /* the peer anew */
	cr_expect_eq(ike_peer_set(ike, cfg), 0);
	sim_run(s, 50 * SEC);
	must_be_up(s);
	ike_totals(ike, &t);
	cr_expect_eq(t.phase1.count, 2);
	two_nodes_end(s);
}

Test(operator, shutdown_says_goodbye)
{
	struct sim *s = two_nodes();

	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	ike_shutdown(sim_engine(s, 1));
	sim_run(s, 20 * SEC);
	cr_expect_eq(sim_pairs(s, 0), 0);
	cr_expect_eq(sim_pairs(s, 1), 0);
	two_nodes_end(s);
}
