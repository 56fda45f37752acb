/* Aggressive Mode between two nodes of the simulated network: node 1 initiates. */
#include <stdio.h>

#include "pitfall.h"

#include "sim_certs.h"

static void use_aggressive(struct sim *s)
{
	for (unsigned i = 0; i < 2; i++)
		sim_peer_cfg(s, i, 1 - i)->aggressive = true;
}

static struct sim *aggressive(void)
{
	struct sim *s = two_nodes();

	use_aggressive(s);
	return s;
}

/* What node 1 and node 0 sent of one exchange. */
struct tally {
	unsigned n[2], first_len, most;
};

static bool tally(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg, size_t *len)
{
	struct tally *t = ctx;

	(void)path;
	(void)len;
	t->n[from] += msg[18] == EXCH_AGGRESSIVE;
	return true;
}

static void must_be_aggressive(struct sim *s)
{
	must_be_up(s);
	for (unsigned i = 0; i < 2; i++)
		cr_expect_eq(node_sa(s, i)->phase1, EXCH_AGGRESSIVE);
}

Test(aggressive, three_messages_make_an_sa)
{
	struct sim *s = aggressive();
	struct tally t = { 0 };

	sim_peer_cfg(s, 0, 1)->initiate = false;
	sim_set_tap(s, tally, &t);
	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_aggressive(s);
	/* the Quick Mode that overtakes message 3 may make both repeat theirs */
	cr_expect(t.n[1] >= 2 && t.n[1] <= 3 && t.n[0] >= 1 && t.n[0] <= 2, "%u and %u messages",
		  t.n[1], t.n[0]);
	two_nodes_end(s);
}

Test(aggressive, signatures, .fini = sim_certs_free)
{
	struct sim *s = aggressive();

	sim_certs_use(s, 2);
	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_aggressive(s);
	cr_expect_eq(node_sa(s, 0)->auth, AUTH_ECDSA_256);
	two_nodes_end(s);
}

/* ------------------------------------------------------------------------- refusals --------- */

static void expect_diagnosis(struct sim *s, unsigned node, enum ike_diag code, const char *part)
{
	const struct ike_diagnosis *d = sim_diagnosis(s, node, code);

	cr_assert_not_null(d, "node %u has no diagnosis %s: %s", node, diagnosis_code_name(code),
			   sim_last_error(s, node, 1 - node));
	expect_text(d->text, part);
}

Test(aggressive, another_secret)
{
	struct sim *s = nodes_with(0, "one secret", "another");

	use_aggressive(s);
	sim_start(s);
	sim_run(s, 5 * SEC);
	cr_assert_eq(sim_pairs(s, 0) + sim_pairs(s, 1), 0);
	expect_diagnosis(s, 1, IKE_DIAG_PSK,
			 "Aggressive Mode message 2 does not verify: probable pre-shared key "
			 "mismatch with node0 (secret secret-0)");
	expect_diagnosis(
		s, 0, IKE_DIAG_PSK,
		"Aggressive Mode with node1 does not go on after message 2: it says, "
		"unauthenticated, AUTHENTICATION-FAILED; probable pre-shared key mismatch");
	two_nodes_end(s);
}

Test(aggressive, an_identity_that_nobody_has)
{
	struct sim *s = aggressive();

	sim_peer_cfg(s, 0, 1)->initiate = false;
	cr_assert_eq(ike_id_from_text("somebody", &sim_peer_cfg(s, 1, 0)->local_id), 0);
	sim_start(s);
	sim_run(s, 5 * SEC);
	cr_assert_eq(sim_pairs(s, 0) + sim_pairs(s, 1), 0);
	expect_diagnosis(s, 0, IKE_DIAG_IDENTITY,
			 "the identity of node1 differs: expected FQDN node1, received FQDN "
			 "somebody");
	expect_diagnosis(s, 1, IKE_DIAG_OUR_IDENTITY, "INVALID-ID-INFORMATION; it may not accept");
	two_nodes_end(s);
}

Test(aggressive, the_other_mode_is_refused_and_named)
{
	for (unsigned i = 0; i < 2; i++) {
		struct sim *s = two_nodes();
		const char *ours = i ? "Main Mode" : "Aggressive Mode";
		const char *theirs = i ? "Aggressive Mode" : "Main Mode";
		char text[100];

		sim_peer_cfg(s, i, 1 - i)->aggressive = true; /* one of them only */
		sim_peer_cfg(s, 0, 1)->initiate = false;
		sim_start(s);
		sim_run(s, 5 * SEC);
		cr_assert_eq(sim_pairs(s, 0) + sim_pairs(s, 1), 0);
		snprintf(text, sizeof(text), "node1 begins IKEv1 %s, we have IKEv1 %s", theirs,
			 ours);
		expect_diagnosis(s, 0, IKE_DIAG_EXCHANGE, text);
		cr_expect_str_eq(sim_diagnosis(s, 0, IKE_DIAG_EXCHANGE)->mend,
				 i ? "exchange: aggressive" : "exchange: main");
		snprintf(text, sizeof(text), "node0 does not speak IKEv1 %s", theirs);
		expect_diagnosis(s, 1, IKE_DIAG_EXCHANGE, text);
		two_nodes_end(s);
	}
}

Test(aggressive, down_by_command)
{
	struct sim *s = aggressive();

	sim_peer_cfg(s, 0, 1)->initiate = false;
	sim_start(s);
	/* another that is up keeps the address open */
	struct ike_peer_cfg other = *sim_peer_cfg(s, 0, 1);
	strcpy(other.name, "other");
	cr_assert_eq(ike_id_from_text("other", &other.remote_id), 0);
	other.n_children = 0;
	cr_assert_eq(ike_peer_set(sim_engine(s, 0), &other), 0);
	cr_assert_eq(ike_down(sim_engine(s, 0), "node1"), 0);
	sim_run(s, 5 * SEC);
	cr_expect_null(node_sa(s, 0));
	expect_text(sim_last_error(s, 0, 1), "refused: down by command");
	ike_peer_remove(sim_engine(s, 0), "other");
	two_nodes_end(s);
}

/* The responder deletes what the initiator already takes for an SA: no tight circle comes of it. */
Test(aggressive, a_refusal_of_the_last_message, .fini = sim_certs_free)
{
	struct sim *s = aggressive();
	struct tally t = { 0 };

	sim_certs_use(s, 2);
	sim_peer_cfg(s, 1, 0)->own = sim_peer_cfg(s, 0, 1)->own; /* "node0" calls itself node1 */
	sim_peer_cfg(s, 0, 1)->initiate = false;
	sim_set_tap(s, tally, &t);
	sim_start(s);
	sim_run(s, 20 * SEC);
	cr_assert_eq(sim_pairs(s, 0) + sim_pairs(s, 1), 0);
	expect_diagnosis(s, 1, IKE_DIAG_OUR_IDENTITY,
			 "Aggressive Mode with node0 does not go on after message 3: it ");
	cr_expect(t.n[1] > 4 && t.n[1] < 20, "%u messages in 20 s", t.n[1]);
	two_nodes_end(s);
}

/* ---------------------------------------------------------------------- choosing the peer --- */

/* Three from anywhere with a secret each, of which the identity in message 1 chooses. */
Test(aggressive, the_identity_finds_the_secret)
{
	struct sim *s = nodes_with(0, "the right one", "the right one");
	struct ike_peer_cfg *hub = sim_peer_cfg(s, 0, 1), other[2];
	static uint8_t secrets[2][8] = { "wrong-0", "wrong-1" };

	use_aggressive(s);
	memset(&hub->remote, 0, sizeof(hub->remote));
	hub->initiate = false;
	for (unsigned i = 0; i < 2; i++) {
		other[i] = *hub;
		snprintf(other[i].name, sizeof(other[i].name), "other%u", i);
		cr_assert_eq(ike_id_from_text(other[i].name, &other[i].remote_id), 0);
		other[i].psk = secrets[i];
		other[i].psk_len = 7;
		other[i].n_children = 0;
		cr_assert_eq(ike_peer_set(sim_engine(s, 0), &other[i]), 0);
	}
	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_aggressive(s);
	for (unsigned i = 0; i < 2; i++)
		ike_peer_remove(sim_engine(s, 0), other[i].name);
	two_nodes_end(s);
}

/* One public value came along; only what is of its group can be meant. */
Test(aggressive, the_group_of_the_public_value)
{
	struct sim *s = aggressive();
	struct ike_peer_cfg *from = sim_peer_cfg(s, 1, 0), *to = sim_peer_cfg(s, 0, 1);

	to->initiate = false;
	to->ike[0].group = 20; /* its first choice, which is offered, but not with that value */
	to->ike[1] = from->ike[0];
	to->n_ike = 2;
	from->ike[1] = to->ike[0];
	from->n_ike = 2;
	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_aggressive(s);
	cr_expect_eq(node_sa(s, 0)->t.group, 19);
	to->n_ike = 1;
	cr_assert_eq(ike_peer_set(sim_engine(s, 0), to), 0);
	sim_run(s, 60 * SEC);
	cr_expect_eq(sim_pairs(s, 0), 0);
	expect_diagnosis(s, 0, IKE_DIAG_PHASE1_TRANSFORM,
			 "its public value has the length of another group");
	two_nodes_end(s);
}

/* ------------------------------------------------------------------ loss and repetition ----- */

struct drop {
	unsigned from, nth, seen; /* its nth Aggressive Mode message gets lost */
};

static bool drop_one(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg, size_t *len)
{
	struct drop *d = ctx;

	(void)path;
	(void)len;
	return msg[18] != EXCH_AGGRESSIVE || from != d->from || ++d->seen != d->nth;
}

Test(aggressive, any_message_may_get_lost)
{
	static const struct drop lost[] = { { 1, 1, 0 }, { 0, 1, 0 }, { 1, 2, 0 } };

	for (unsigned i = 0; i < 3; i++) {
		struct sim *s = aggressive();
		struct drop d = lost[i];

		sim_peer_cfg(s, 0, 1)->initiate = false;
		sim_set_tap(s, drop_one, &d);
		sim_start(s);
		/* message 3: the Quick Mode behind it tells, nobody waits for a timer */
		sim_run(s, i == 2 ? SEC / 10 : 2 * SEC);
		must_be_aggressive(s);
		two_nodes_end(s);
	}
}

/* The responder has nothing but its answers to duplicates until it knows who asks. */
Test(aggressive, a_responder_repeats_nothing_by_itself)
{
	struct sim *s = aggressive();
	struct lose l = { .from = 1, .skip = 1 };

	sim_peer_cfg(s, 0, 1)->initiate = false;
	sim_peer_cfg(s, 1, 0)->retries = 1;
	sim_set_tap(s, lose_after, &l);
	sim_start(s);
	sim_run(s, 40 * SEC);
	cr_expect_eq(l.other, 1, "the responder sent %u messages", l.other);
	cr_expect_eq(sim_pairs(s, 0), 0);
	expect_text(sim_last_error(s, 0, 1), "Aggressive Mode message 3 never came");
	two_nodes_end(s);
}

Test(aggressive, half_open_ones_are_few)
{
	struct sim *s = aggressive();
	struct lose l = { .from = 0, .exchange = EXCH_AGGRESSIVE, .skip = 0 };
	struct ike_totals t;

	sim_peer_cfg(s, 0, 1)->initiate = false;
	sim_set_tap(s, lose_after, &l);
	sim_start(s);
	sim_run(s, SEC / 2);
	struct isakmp_sa *sa = TAILQ_FIRST(&peer_find(sim_engine(s, 1), "node0")->sas);
	const struct exchange *x = exchange_phase1(sa);
	uint8_t msg[2048];
	size_t len = x->tx.len;
	struct ike_path path = path_back(&sa->path);
	memcpy(msg, x->tx.p, len);
	for (unsigned i = 0; i < 100; i++) {
		msg[0]++; /* another cookie */
		ike_input(sim_engine(s, 0), &path, msg, len);
	}
	ike_totals(sim_engine(s, 0), &t);
	cr_expect_eq(t.half_open, 16, "%u half open", (unsigned)t.half_open);
	cr_expect_geq(t.half_open_refused, 85);
	sim_set_tap(s, NULL, NULL);
	sim_run(s, 60 * SEC);
	two_nodes_end(s);
}

/* ------------------------------------------------------------------------- pitfalls --------- */

/* Rebuilds a chain of payloads in another order. */
static void chain(uint8_t *first, uint8_t *out, const struct payload **p, unsigned n)
{
	uint8_t *next = first;

	for (unsigned i = 0; i < n; i++) {
		*next = p[i]->type;
		memcpy(out, p[i]->raw.p, p[i]->raw.len);
		next = out;
		out += p[i]->raw.len;
	}
	*next = PL_NONE;
}

static bool is_natd(const struct payload *p)
{
	return p->type == PL_NAT_D || p->type == PL_NAT_D_DRAFT;
}

static unsigned natd_last(uint8_t *first, uint8_t *body, size_t len)
{
	const struct payload *order[IKE_MAX_PAYLOADS];
	uint8_t copy[2048];
	struct payload_list l;
	const char *why;
	unsigned n = 0, moved = 0;

	memcpy(copy, body, len);
	cr_assert_eq(payload_list_parse(*first, copy, len, &l, &why), 0, "%s", why);
	for (unsigned i = 0; i < l.n; i++)
		if (!is_natd(&l.p[i]))
			order[n++] = &l.p[i];
	for (unsigned i = 0; i < l.n; i++)
		if (is_natd(&l.p[i]))
			order[n + moved++] = &l.p[i];
	chain(first, body, order, n + moved);
	return moved;
}

struct bend {
	struct sim *sim;
	unsigned moved;
	bool clear; /* message 3 goes as plaintext */
};

/* Node 1's message 3, opened: bend, and closed again, or not. */
static void bend_3(struct bend *b, uint8_t *msg, size_t *len)
{
	struct ike *ike = sim_engine(b->sim, 1);
	struct isakmp_sa *sa = TAILQ_FIRST(&peer_find(ike, "node0")->sas);
	struct exchange *x = exchange_phase1(sa);
	uint8_t *body = msg + ISAKMP_HDR_LEN, iv[IKE_MAX_BLOCK];

	memcpy(iv, sa->keys->phase1_iv, sizeof(iv));
	ike_decrypt(sa->keys, iv, body, *len - ISAKMP_HDR_LEN);
	b->moved += natd_last(&msg[16], body, *len - ISAKMP_HDR_LEN);
	memcpy(iv, sa->keys->phase1_iv, sizeof(iv));
	if (b->clear)
		msg[19] = 0;
	else
		ike_encrypt(sa->keys, iv, body, *len - ISAKMP_HDR_LEN);
	memcpy(x->iv, iv, sizeof(iv));
}

static bool bend(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg, size_t *len)
{
	struct bend *b = ctx;

	(void)path;
	if (msg[18] != EXCH_AGGRESSIVE)
		return true;
	if (from == 0)
		b->moved += natd_last(&msg[16], msg + ISAKMP_HDR_LEN, *len - ISAKMP_HDR_LEN);
	else if (is_encrypted(msg))
		bend_3(b, msg, len);
	return true;
}

/* Pitfall 10: NAT-D behind the vendor IDs of message 2, and behind HASH in message 3. */
Test(aggressive, p10_natd_at_the_end)
{
	for (unsigned nat = 0; nat < 2; nat++) {
		struct sim *s = nodes_with(nat ? SIM_NAT : 0, NULL, NULL);
		struct bend b = { .sim = s };

		use_aggressive(s);
		if (nat)
			memset(&sim_peer_cfg(s, 0, 1)->remote, 0, sizeof(struct ip_addr));
		sim_peer_cfg(s, 0, 1)->initiate = false;
		sim_set_tap(s, bend, &b);
		sim_start(s);
		sim_run(s, 5 * SEC);
		must_be_aggressive(s);
		cr_expect_geq(b.moved, 4);
		cr_expect_eq(node_sa(s, 0)->nat_remote, nat);
		cr_expect_eq(node_sa(s, 1)->nat_local, nat);
		cr_expect_eq(node_sa(s, 1)->path.local_port, nat ? 4500 : 500);
		cr_expect_eq(node_sa(s, 0)->path.local_port, nat ? 4500 : 500);
		cr_expect_not(node_sa(s, 0)->nat_local || node_sa(s, 1)->nat_remote);
		two_nodes_end(s);
	}
}

/* RFC 2409 section 5: the last message may come in the clear. It is proved all the same; what else
 * it says is not believed. */
Test(aggressive, message_3_in_the_clear)
{
	struct sim *s = aggressive();
	struct bend b = { .sim = s, .clear = true };

	sim_peer_cfg(s, 0, 1)->initiate = false;
	sim_set_tap(s, bend, &b);
	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_aggressive(s);
	two_nodes_end(s);
}

/* A hash that the sender of message 1 cannot have made. */
static bool spoil_3(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg, size_t *len)
{
	struct bend *b = ctx;

	if (from == 1 && msg[18] == EXCH_AGGRESSIVE && is_encrypted(msg)) {
		bend(ctx, from, path, msg, len);
		msg[ISAKMP_HDR_LEN + 10] ^= 1; /* within HASH */
		b->moved = 1;
	}
	return true;
}

Test(aggressive, message_3_must_prove_something)
{
	struct sim *s = aggressive();
	struct bend b = { .sim = s, .clear = true };

	sim_peer_cfg(s, 0, 1)->initiate = false;
	sim_set_tap(s, spoil_3, &b);
	sim_start(s);
	sim_run(s, 20 * SEC);
	cr_expect_eq(b.moved, 1);
	cr_expect_null(node_sa(s, 0));
	cr_expect_eq(sim_pairs(s, 0), 0);
	expect_text(sim_last_error(s, 0, 1), "Aggressive Mode message 3 does not verify");
	sim_set_tap(s, NULL, NULL);
	two_nodes_end(s);
}

/* A man in the middle adds INITIAL-CONTACT to message 2, where nothing protects it. */
static bool add_contact(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg, size_t *len)
{
	static const uint8_t notify[12] = { 0, 0, 0, 12, 0, 0, 0, 1, 1, 0, 0x60, 0x02 };
	struct payload_list l;
	unsigned *added = ctx;
	const char *why;

	(void)path;
	if (from != 0 || msg[18] != EXCH_AGGRESSIVE)
		return true;
	cr_assert_eq(
		payload_list_parse(msg[16], msg + ISAKMP_HDR_LEN, *len - ISAKMP_HDR_LEN, &l, &why),
		0);
	msg[l.p[l.n - 1].raw.p - msg] = PL_NOTIFY;
	memcpy(msg + *len, notify, sizeof(notify));
	*len += sizeof(notify);
	put_u32(msg + 24, (uint32_t)*len);
	++*added;
	return true;
}

Test(aggressive, contact_in_the_clear_is_not_believed)
{
	struct sim *s = aggressive();
	unsigned added = 0;

	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_aggressive(s);
	uint32_t spi = node_pair(s, 1)->ref.spi;
	sim_set_tap(s, add_contact, &added);
	cr_assert_eq(ike_rekey(sim_engine(s, 1), "node0"), 0);
	sim_run(s, 100 * SEC);
	cr_expect_geq(added, 1);
	must_be_aggressive(s);
	cr_expect_eq(node_pair(s, 1)->ref.spi, spi, "the pair went with a forged notify");
	two_nodes_end(s);
}

/* A responder that has started anew says so under the new SA. */
Test(aggressive, a_responder_that_restarted)
{
	struct sim *s = aggressive();

	sim_peer_cfg(s, 0, 1)->initiate = false;
	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_aggressive(s);
	uint32_t spi = node_pair(s, 1)->ref.spi;
	sim_restart(s, 0);
	cr_assert_eq(ike_rekey(sim_engine(s, 1), "node0"), 0);
	sim_run(s, 60 * SEC);
	must_be_aggressive(s);
	cr_expect_neq(node_pair(s, 1)->ref.spi, spi);
	two_nodes_end(s);
}

/* The responder's shorter lifetime cannot stand in message 2 either. */
Test(aggressive, a_shorter_lifetime_is_told_under_the_sa)
{
	struct sim *s = aggressive();

	sim_peer_cfg(s, 0, 1)->initiate = false;
	sim_peer_cfg(s, 0, 1)->life_s = 600;
	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_aggressive(s);
	cr_expect_eq(node_sa(s, 1)->life_s, 600);
	two_nodes_end(s);
}
