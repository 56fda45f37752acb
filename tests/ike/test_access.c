/* XAuth and Mode Config between two nodes: node 1 is the client and begins, node 0 the server. */
#include <errno.h>
#include <stdio.h>

#include "access.h"
#include "two_nodes.h"

static unsigned checks; /* that the users were asked for */

static int check_alice(const struct ike_users *u, const char *user, const char *password)
{
	(void)u;
	checks++;
	if (strcmp(user, "broken") == 0)
		return -EIO;
	return strcmp(user, "alice") == 0 && strcmp(password, "wonderland") == 0 ? 0 : -EACCES;
}

static void free_nothing(struct ike_users *u)
{
	(void)u;
}

static int check_anybody(const struct ike_users *u, const char *user, const char *password)
{
	(void)u;
	return strcmp(user, password) == 0 ? 0 : -EACCES;
}

static struct ike_users anybody = { check_anybody, free_nothing, 1 };
static struct ike_users wonder = { check_alice, free_nothing, 1 };
static struct ike_remote_cfg server_cfg, client_cfg;

/* The server has 10.99.0.1 to .3, and gives DNS and a network. */
static struct sim *access_nodes(bool config, bool push)
{
	struct sim *s = two_nodes();
	struct ike_peer_cfg *server = sim_peer_cfg(s, 0, 1), *client = sim_peer_cfg(s, 1, 0);

	server_cfg = (struct ike_remote_cfg){
		.xauth = XAUTH_SERVER, .users = &wonder, .config = config, .push = push
	};
	client_cfg =
		(struct ike_remote_cfg){ .xauth = XAUTH_CLIENT, .config = config, .push = push };
	snprintf(client_cfg.user, sizeof(client_cfg.user), "alice");
	snprintf(client_cfg.password, sizeof(client_cfg.password), "wonderland");
	server->access = &server_cfg;
	client->access = &client_cfg;
	server->initiate = false;
	if (!config)
		return s;
	server_cfg.has_pool = true;
	ip_range_parse("10.99.0.1-10.99.0.3", &server_cfg.pool);
	struct ike_settings *g = &server_cfg.give;
	g->dns[g->n_dns++] = ip_addr_v4(0x0a010035);
	ip_prefix_parse("10.1.0.0/16", &g->split[g->n_split++]);
	snprintf(g->domain, sizeof(g->domain), "example.net");
	snprintf(g->banner, sizeof(g->banner), "hello");
	server->children = realloc(server->children, 3 * sizeof(*server->children));
	for (unsigned i = 0; i < 3; i++) {
		struct ike_child_cfg *c = &server->children[i];
		if (i)
			*c = server->children[0];
		snprintf(c->name, sizeof(c->name), "rw-%u", i + 1);
		c->policy = server->children[0].policy + i;
		c->pooled = true;
		c->sel.remote.lo = c->sel.remote.hi = ip_addr_v4(0x0a630001 + i);
	}
	server->n_children = 3;
	client->children[0].assigned = true;
	client->children[0].sel.local.lo = client->children[0].sel.local.hi = ip_addr_v4(0);
	return s;
}

static void expect_config(struct sim *s)
{
	const struct ike_settings *got = ike_assigned(sim_engine(s, 1), "node0");
	char text[ADDR_STR_LEN];

	cr_assert_not_null(got);
	cr_expect_str_eq(ip_addr_str(&got->address, text, sizeof(text)), "10.99.0.1");
	cr_expect_eq(got->n_dns, 1);
	cr_expect_eq(got->n_split, 1);
	cr_expect_eq(got->split[0].len, 16);
	cr_expect_str_eq(got->domain, "example.net");
	cr_expect_str_eq(got->banner, "hello");
}

/* Of the server's children one is up for one client; sim_quiet() would want all of them. */
static void one_pair_each(struct sim *s)
{
	struct pair *client = node_pair(s, 1);
	struct peer *p = peer_find(sim_engine(s, 0), "node1");
	struct child *c;

	cr_assert_eq(sim_pairs(s, 0), 1, "%s; %s; %s", sim_last_error(s, 0, 1),
		     sim_last_error(s, 1, 0), sim_error(s) ? sim_error(s) : "");
	cr_assert_eq(sim_pairs(s, 1), 1, "%s", sim_last_error(s, 1, 0));
	TAILQ_FOREACH(c, &p->children, link) {
		struct pair *pair = TAILQ_FIRST(&c->pairs);
		if (!pair)
			continue;
		cr_expect_eq(pair->spi_out, client->ref.spi);
		cr_expect(ip_range_equal(&pair->sel.remote, &client->sel.local));
		cr_expect(!c->cfg.pooled || access_holds(node_sa(s, 0), c));
	}
}

static void expect_up(bool config, bool push)
{
	struct sim *s = access_nodes(config, push);
	struct isakmp_sa *sa;

	sim_start(s);
	sim_run(s, 20 * SEC);
	one_pair_each(s);
	sa = node_sa(s, 0);
	cr_assert_not_null(sa);
	cr_expect_eq(sa->auth, AUTH_XAUTH_INIT_PSK);
	cr_expect_str_eq(sa->access->user, "alice");
	if (config)
		expect_config(s);
	two_nodes_end(s);
}

Test(access, a_user_with_the_right_password_comes_in)
{
	expect_up(false, false);
}

Test(access, and_asks_for_an_address)
{
	expect_up(true, false);
}

Test(access, or_is_given_one)
{
	expect_up(true, true);
}

static void expect_refused(struct sim *s, const char *server_says, const char *client_says)
{
	struct ike_totals t;

	sim_start(s);
	sim_run(s, 20 * SEC);
	ike_totals(sim_engine(s, 0), &t);
	cr_expect_eq(t.phase2.count, 0);
	cr_expect_eq(sim_pairs(s, 0), 0);
	cr_assert_not_null(sim_diagnosis(s, 0, IKE_DIAG_USER));
	cr_assert_not_null(sim_diagnosis(s, 1, IKE_DIAG_USER));
	expect_text(sim_diagnosis(s, 0, IKE_DIAG_USER)->text, server_says);
	expect_text(sim_diagnosis(s, 1, IKE_DIAG_USER)->text, client_says);
	sim_run(s, 60 * SEC);
	two_nodes_end(s);
}

Test(access, a_wrong_password_is_refused)
{
	struct sim *s = access_nodes(false, false);

	snprintf(client_cfg.password, sizeof(client_cfg.password), "jabberwock");
	expect_refused(s, "the user alice at", "does not accept");
}

Test(access, an_unknown_user_is_refused)
{
	struct sim *s = access_nodes(true, false);

	snprintf(client_cfg.user, sizeof(client_cfg.user), "bob");
	expect_refused(s, "the name or the password is wrong", "does not accept");
}

Test(access, a_check_that_fails_lets_nobody_in)
{
	struct sim *s = access_nodes(false, false);

	snprintf(client_cfg.user, sizeof(client_cfg.user), "broken");
	expect_refused(s, "cannot be checked", "does not accept");
}

/* Who tries on and on is not even looked at. */
Test(access, wrong_passwords_are_limited)
{
	struct sim *s = access_nodes(false, false);

	snprintf(client_cfg.password, sizeof(client_cfg.password), "jabberwock");
	sim_start(s);
	checks = 0;
	for (unsigned i = 0; i < 60; i++) {
		ike_up(sim_engine(s, 1), "node0");
		sim_run(s, 2 * SEC);
	}
	cr_expect_geq(checks, 5);
	cr_expect_leq(checks, 12, "%u passwords were looked at in two minutes", checks);
	expect_text(sim_diagnosis(s, 0, IKE_DIAG_USER)->text, "too many wrong passwords");
	two_nodes_end(s);
}

static unsigned dropped_transactions;

static bool no_transactions(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg,
			    size_t *len)
{
	(void)ctx;
	(void)path;
	(void)len;
	if (msg[18] != EXCH_TRANSACTION || from != 1)
		return true;
	dropped_transactions++;
	return false;
}

/* A client that goes on as if nothing had been asked gets nowhere. */
Test(access, no_quick_mode_before_the_user_is_known)
{
	struct sim *s = access_nodes(false, false);
	struct isakmp_sa *sa;
	struct ike_totals t;

	sim_set_tap(s, no_transactions, NULL);
	sim_start(s);
	sim_run(s, 2 * SEC);
	TAILQ_FOREACH(sa, &peer_find(sim_engine(s, 1), "node0")->sas, link)
		if (sa->locked) {
			sa->access->proved = true;
			access_done(sa);
		}
	sim_run(s, 20 * SEC);
	ike_totals(sim_engine(s, 0), &t);
	cr_expect_gt(dropped_transactions, 0);
	cr_expect_eq(t.phase2.count, 0);
	cr_expect_eq(sim_pairs(s, 0), 0);
	cr_expect_gt(t.dropped, 1, "the Quick Mode was not seen, or not dropped");
	sim_run(s, 120 * SEC);
	cr_expect_eq(sim_pairs(s, 0), 0);
	two_nodes_end(s);
}

/* A method without XAuth is not taken where the server wants a user. */
Test(access, a_client_without_xauth_is_refused)
{
	struct sim *s = access_nodes(false, false);

	sim_peer_cfg(s, 1, 0)->access = NULL;
	sim_start(s);
	sim_run(s, 20 * SEC);
	cr_expect_eq(sim_pairs(s, 0), 0);
	cr_assert_not_null(sim_diagnosis(s, 0, IKE_DIAG_PHASE1_TRANSFORM));
	expect_text(sim_diagnosis(s, 0, IKE_DIAG_PHASE1_TRANSFORM)->text, "AUTH");
	two_nodes_end(s);
}

/* Rekeys of phase 1 ask again, and the address stays. */
Test(access, a_new_main_mode_keeps_the_address)
{
	struct sim *s = access_nodes(true, false);

	sim_peer_cfg(s, 0, 1)->life_s = sim_peer_cfg(s, 1, 0)->life_s = 120;
	sim_start(s);
	sim_run(s, 20 * SEC);
	one_pair_each(s);
	uint32_t spi = node_pair(s, 1)->ref.spi;
	checks = 0;
	sim_run(s, 300 * SEC);
	one_pair_each(s);
	cr_expect_geq(checks, 2);
	cr_expect_eq(node_pair(s, 1)->ref.spi, spi, "the pair did not outlive the Main Mode SAs");
	expect_config(s);
	two_nodes_end(s);
}

/* The server needs nothing more and may use an SA up, or replace it, before the client has asked for its
 * address in it. */
Test(access, an_sa_that_was_replaced_still_gives_an_address)
{
	struct sim *s = access_nodes(true, false);
	struct isakmp_sa *sa = NULL;

	sim_start(s);
	for (unsigned i = 0; i < 5000 && (!sa || sa->locked); i++) {
		sim_run(s, SEC / 1000);
		sa = sim_engine(s, 0) ? node_sa(s, 0) : NULL;
	}
	cr_assert(sa && !sa->locked);
	cr_assert_null(ike_assigned(sim_engine(s, 1), "node0"));
	sa_retire(sa, 10 * SEC);
	sim_run(s, 2 * SEC);
	expect_config(s);
	cr_expect_eq(sim_pairs(s, 0), 1);
	cr_expect_eq(sim_pairs(s, 1), 1);
	two_nodes_end(s);
}

/* INITIAL-CONTACT in a second SA, while XAuth is under way in the first, would end the first. */
Test(access, contact_is_said_once)
{
	struct sim *s = access_nodes(false, false);
	struct isakmp_sa *sa, other;
	struct peer *p;

	sim_set_tap(s, no_transactions, NULL);
	sim_start(s);
	sim_run(s, 2 * SEC);
	p = peer_find(sim_engine(s, 1), "node0");
	sa = TAILQ_FIRST(&p->sas);
	cr_assert(sa && sa->locked && !p->contacted);
	other = *sa;
	cr_expect(peer_first_contact(p, sa));
	cr_expect_not(peer_first_contact(p, &other));
	other.path.remote = ip_addr_v4(0x0a0a0a0a);
	cr_expect(peer_first_contact(p, &other));
	two_nodes_end(s);
}

/* Who knows Cisco's attributes asks for everything; the server's SA carries what its child says,
 * and a rekey by the server speaks of everything again. */
Test(access, everything_is_narrowed_to_the_child)
{
	struct sim *s = access_nodes(true, false);
	struct ike_child_cfg *c = &sim_peer_cfg(s, 1, 0)->children[0];
	struct child *server;
	struct pair *pair;

	ip_range_parse("0.0.0.0/0", &c->sel.remote);
	sim_start(s);
	sim_run(s, 20 * SEC);
	one_pair_each(s);
	server = TAILQ_FIRST(&peer_find(sim_engine(s, 0), "node1")->children);
	for (unsigned i = 0; i < 2; i++) {
		pair = TAILQ_FIRST(&server->pairs);
		cr_assert_not_null(pair, "round %u: %s", i, sim_last_error(s, 0, 1));
		cr_expect(ip_range_equal(&pair->sel.local, &server->cfg.sel.local));
		cr_expect(pair->everything);
		uint32_t before = pair->ref.spi;
		cr_assert_eq(ike_rekey(sim_engine(s, 0), "node1/rw-1"), 0);
		sim_run(s, 60 * SEC);
		pair = TAILQ_FIRST(&server->pairs);
		cr_assert_not_null(pair);
		cr_expect_neq(pair->ref.spi, before, "round %u: %s", i, sim_last_error(s, 0, 1));
	}
	two_nodes_end(s);
}

static bool two_of_five(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg, size_t *len)
{
	unsigned *n = ctx;

	(void)from;
	(void)path;
	(void)len;
	return msg[18] != EXCH_TRANSACTION || (*n)++ % 5 > 1;
}

/* Requests, answers and acknowledgements get lost: they are repeated, and nothing is done twice. */
Test(access, lost_messages_of_transactions_are_repeated)
{
	for (unsigned mode = 0; mode < 3; mode++) {
		struct sim *s = access_nodes(mode > 0, mode == 2);
		struct ike_totals t;
		unsigned n = 0;

		sim_set_tap(s, two_of_five, &n);
		checks = 0;
		sim_start(s);
		sim_run(s, 50 * SEC);
		one_pair_each(s);
		ike_totals(sim_engine(s, 0), &t);
		cr_expect_geq(n, mode ? 12 : 8);
		cr_expect_gt(t.retransmits, 1);
		cr_expect_eq(checks, 1, "one reply was looked at %u times", checks);
		two_nodes_end(s);
	}
}

/* --------------------------------------------------------------- several clients, one peer -- */

/* Nodes 1 and 2 are clients of the hub's one connection "road", which takes anybody with the
 * secret. Both have the same identity of phase 1. */
static struct sim *two_clients(const char *user1, const char *user2)
{
	struct sim_cfg cfg = { .seed = 4,
			       .nodes = 3,
			       .faults = SIM_LOSS | SIM_IDLE,
			       .delay_min_us = 1000,
			       .delay_max_us = 5000 };
	struct sim *s = sim_new(&cfg);
	struct ike_peer_cfg *road = sim_peer_cfg(s, 0, 1);
	static struct ike_remote_cfg clients[2];
	const char *user[2] = { user1, user2 };

	sim_set_faults(s, 0);
	server_cfg = (struct ike_remote_cfg){
		.xauth = XAUTH_SERVER, .users = &anybody, .config = true, .has_pool = true
	};
	ip_range_parse("10.99.0.1-10.99.0.3", &server_cfg.pool);
	road->access = &server_cfg;
	road->remote = (struct ip_addr){ .family = IP_NONE };
	road->remote_id.type = 0;
	road->initiate = false;
	road->n_children = 3;
	road->children = realloc(road->children, 3 * sizeof(*road->children));
	for (unsigned i = 0; i < 3; i++) {
		struct ike_child_cfg *c = &road->children[i];
		if (i)
			*c = road->children[0];
		snprintf(c->name, sizeof(c->name), "rw-%u", i + 1);
		c->policy = road->children[0].policy + i;
		c->pooled = true;
		c->start = START_PASSIVE;
		c->esp[0].group = 0;
		ip_range_parse("10.0.0.0/16", &c->sel.local);
		c->sel.remote.lo = c->sel.remote.hi = ip_addr_v4(0x0a630001 + i);
	}
	sim_peer_cfg(s, 0, 2)->name[0] = '\0';
	for (unsigned i = 1; i < 3; i++) {
		struct ike_peer_cfg *p = sim_peer_cfg(s, i, 0);
		clients[i - 1] = (struct ike_remote_cfg){ .xauth = XAUTH_CLIENT, .config = true };
		snprintf(clients[i - 1].user, IKE_USER_LEN, "%s", user[i - 1]);
		snprintf(clients[i - 1].password, IKE_PASSWORD_LEN, "%s", user[i - 1]);
		p->access = &clients[i - 1];
		ike_id_from_text("group", &p->local_id);
		p->n_children = 1;
		p->dpd_s = 0;
		p->life_s = 3600;
		p->life_kb = 0;
		p->children[0].assigned = true;
		p->children[0].start = START_IMMEDIATE;
		p->children[0].life_s = 1800;
		p->children[0].esp[0].group = 0;
		ip_range_parse("10.0.0.0/16", &p->children[0].sel.remote);
		p->children[0].sel.local.lo = p->children[0].sel.local.hi = ip_addr_v4(0);
	}
	road->life_s = 3600;
	road->life_kb = 0;
	road->dpd_s = 0;
	return s;
}

static void end(struct sim *s)
{
	if (!sim_error(s))
		sim_finish(s);
	cr_expect_null(sim_error(s), "%s", sim_error(s));
	sim_free(s);
}

static struct isakmp_sa *hub_sa(struct sim *s, const char *user)
{
	struct isakmp_sa *sa;

	TAILQ_FOREACH(sa, &peer_find(sim_engine(s, 0), "node1")->sas, link)
		if (sa_usable(sa) && strcmp(sa->access->user, user) == 0)
			return sa;
	return NULL;
}

Test(access, clients_of_one_peer_are_up_at_once)
{
	struct sim *s = two_clients("alice", "bob");

	sim_start(s);
	sim_run(s, 20 * SEC);
	cr_assert_eq(sim_pairs(s, 0), 2, "%s", sim_last_error(s, 0, 1));
	cr_assert(hub_sa(s, "alice") && hub_sa(s, "bob"));
	/* each renews in its own place, whoever asks for it */
	for (unsigned i = 1; i < 3; i++)
		cr_expect_eq(ike_rekey(sim_engine(s, i), "node0"), 0);
	sim_run(s, 100 * SEC);
	cr_expect_eq(ike_rekey(sim_engine(s, 0), "node1/rw-1"), 0);
	cr_expect_eq(ike_rekey(sim_engine(s, 0), "node1/rw-2"), 0);
	sim_run(s, 60 * SEC);
	cr_expect_eq(sim_pairs(s, 1), 1);
	cr_expect_eq(sim_pairs(s, 2), 1);
	cr_expect_eq(sim_pairs(s, 0), 2);
	/* one starts anew, the other does not notice */
	uint64_t before = hub_sa(s, "bob")->established_us;
	sim_restart(s, 1);
	sim_run(s, 30 * SEC);
	cr_expect_eq(sim_pairs(s, 0), 2);
	cr_assert_not_null(hub_sa(s, "bob"));
	cr_expect_eq(hub_sa(s, "bob")->established_us, before);
	end(s);
}

/* Whoever knows the secret of the group must not end what others have. */
Test(access, a_delete_reaches_no_further_than_its_user)
{
	struct sim *s = two_clients("alice", "bob");
	struct isakmp_sa *alice, *bob;
	struct pair *pair;
	struct ike *ike;

	sim_start(s);
	sim_run(s, 20 * SEC);
	bob = hub_sa(s, "bob");
	cr_assert_not_null(bob);
	ike = sim_engine(s, 1);
	alice = peer_sa(peer_find(ike, "node0"));
	cr_assert_not_null(alice);
	/* alice says DELETE for what the hub sends to bob */
	pair = TAILQ_FIRST(&TAILQ_FIRST(&peer_find(sim_engine(s, 2), "node0")->children)->pairs);
	cr_assert_not_null(pair);
	info_delete_pair(alice, pair); /* its SPI is what the hub sends to */
	sim_run(s, 5 * SEC);
	cr_expect_eq(sim_pairs(s, 0), 2, "the pair of another user went");
	cr_expect_not_null(hub_sa(s, "bob"));
	end(s);
}

/* Two devices of one user from two addresses are two; all of the pool in use is said. */
Test(access, a_pool_can_be_used_up)
{
	struct sim *s = two_clients("alice", "alice");

	server_cfg.pool.hi = server_cfg.pool.lo;
	sim_peer_cfg(s, 0, 1)->n_children = 1;
	sim_start(s);
	sim_run(s, 20 * SEC);
	cr_expect_eq(sim_pairs(s, 0), 1);
	expect_text(sim_last_error(s, 0, 1), "no address is left for alice");
	sim_run(s, 90 * SEC);
	end(s);
}
