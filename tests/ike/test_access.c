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

static struct ike_users alice = { check_alice, free_nothing, 1 };
static struct ike_remote_cfg server_cfg, client_cfg;

/* The server has 10.99.0.1 to .3, and gives DNS and a network. */
static struct sim *access_nodes(bool config, bool push)
{
	struct sim *s = two_nodes();
	struct ike_peer_cfg *server = sim_peer_cfg(s, 0, 1), *client = sim_peer_cfg(s, 1, 0);

	server_cfg = (struct ike_remote_cfg){ .xauth = XAUTH_SERVER, .users = &alice,
					      .config = config, .push = push };
	client_cfg = (struct ike_remote_cfg){ .xauth = XAUTH_CLIENT, .config = config,
					      .push = push };
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
