/* What the configuration can say about a child's proposals, networks and parallel pairs. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_file.h"

TestSuite(config_child, .init = files_setup, .fini = files_teardown);

static struct config *with(const char *old, const char *new, unsigned warnings)
{
	char *text = good_with(old, new);
	struct config *cfg = load_good(text, NULL, warnings);

	free(text);
	return cfg;
}

/* The transforms of the first child as text, with blanks between. */
static const char *proposals(const struct config *cfg)
{
	static char all[512];
	char one[TRANSFORM_STR_LEN];
	const struct ike_child_cfg *c = &cfg->peers[0].children[0];

	all[0] = '\0';
	for (unsigned i = 0; i < c->n_esp; i++) {
		strcat(all, i ? " " : "");
		strcat(all, esp_transform_str(&c->esp[i], one, sizeof(one)));
	}
	return all;
}

static void expect_proposals(const char *old, const char *new, unsigned warnings, const char *want)
{
	struct config *cfg = with(old, new, warnings);

	cr_expect_str_eq(proposals(cfg), want);
	config_free(cfg);
}

Test(config_child, proposals_by_preference)
{
	expect_proposals("[aes128gcm16]", "[ah-sha256-sha1, aes256ctr-sha512, aes192gcm12]", 0,
			 "ah-sha256 ah-sha1 aes256ctr-sha512 aes192gcm12");
	/* weak ones are taken, because they are named, and warned of, once each */
	expect_proposals("[aes128gcm16]", "[\"3des-md5, null-sha1\", aes128gmac, ah-md5]", 4,
			 "3des-md5 null-sha1 aes128gmac ah-md5");
}

Test(config_child, esn)
{
	expect_proposals("start: immediate", "esn: yes", 0, "aes128gcm16-esn");
	expect_proposals("start: immediate", "esn: no", 0, "aes128gcm16");
	expect_proposals("start: immediate", "esn: prefer", 0, "aes128gcm16-esn aes128gcm16");
	expect_proposals("[aes128gcm16]", "[aes128gcm16-aes256gcm16]\n        esn: prefer", 0,
			 "aes128gcm16-esn aes128gcm16 aes256gcm16-esn aes256gcm16");
	expect_proposals("[aes128gcm16]", "[aes128gcm16-noesn-esn]", 0,
			 "aes128gcm16 aes128gcm16-esn");
}

Test(config_child, sha256_at_96_bits_for_all_children_of_a_peer)
{
	char *text = good_with("[aes128gcm16]", "[aes128-sha256, ah-sha256, aes256-sha512]");
	char *at = strstr(text, "    dpd: 30s\n"), *whole = calloc(1, strlen(text) + 64);

	strncpy(whole, text, (size_t)(at - text));
	strcat(whole, "    sha256-96: yes\n");
	strcat(whole, at);
	struct config *cfg = load_good(whole, NULL, 0);
	cr_expect_str_eq(proposals(cfg), "aes128-sha256_96 ah-sha256_96 aes256-sha512");
	config_free(cfg);
	free(whole);
	cfg = load_good(text, NULL, 0);
	cr_expect_str_eq(proposals(cfg), "aes128-sha256 ah-sha256 aes256-sha512");
	config_free(cfg);
	free(text);
}

Test(config_child, parallel_pairs)
{
	struct config *cfg = with("start: immediate", "sa-pairs: 4", 0);

	cr_expect_eq(cfg->peers[0].children[0].pairs, 4);
	config_free(cfg);
	cfg = with("start: immediate", "sa-pairs: per-lcore", 0);
	cr_expect_eq(cfg->peers[0].children[0].pairs, cfg->dp.n_workers);
	config_free(cfg);
	cfg = with("start: immediate", "df: copy", 0);
	cr_expect_eq(cfg->peers[0].children[0].pairs, 1);
	config_free(cfg);
}

Test(config_child, dscp_and_df)
{
	struct config *cfg = with("start: immediate", "dscp: 46\n        df: clear", 0);

	cr_expect_eq(cfg->peers[0].children[0].dscp, 46);
	cr_expect_eq(cfg->peers[0].children[0].df, DF_CLEAR);
	cr_expect_not(cfg->peers[0].children[0].copy_dscp);
	config_free(cfg);
	cfg = with("start: immediate", "copy-dscp: yes\n        df: set", 0);
	cr_expect_eq(cfg->peers[0].children[0].dscp, 0);
	cr_expect_eq(cfg->peers[0].children[0].df, DF_SET);
	cr_expect(cfg->peers[0].children[0].copy_dscp);
	config_free(cfg);
}

Test(config_child, clamp_mss)
{
	struct config *cfg = with("start: immediate", "clamp-mss: auto", 0);

	cr_expect_eq(cfg->peers[0].children[0].clamp_mss, MSS_AUTO);
	cr_expect_eq(cfg->dp.ports[0].clamp_mss, 0);
	config_free(cfg);
	cfg = with("start: immediate", "clamp-mss: 1360", 0);
	cr_expect_eq(cfg->peers[0].children[0].clamp_mss, 1360);
	config_free(cfg);
	cfg = with("start: immediate", "clamp-mss: no", 0);
	cr_expect_eq(cfg->peers[0].children[0].clamp_mss, 0);
	config_free(cfg);
}

/* Two remote networks: two children, of one list. */
Test(config_child, a_list_of_networks_is_one_name)
{
	struct config *cfg = with("start: immediate", "df: copy", 0);
	const struct ike_peer_cfg *p = &cfg->peers[0];

	cr_assert_eq(p->n_children, 2);
	cr_expect_str_eq(p->children[0].name, "net");
	cr_expect_str_eq(p->children[1].name, "net-2");
	cr_expect_str_eq(p->children[0].list, "net");
	cr_expect_str_eq(p->children[1].list, "net");
	config_free(cfg);
}

/* ------------------------------------------------------------------------ remote access ----- */

static struct config *access_good(const char *peer, const char *local, const char *remote)
{
	char *text = good_with("    dpd: 30s\n", peer), *old, *all;
	struct config *cfg;

	old = strstr(text, "        local: [10.1.0.0/24]");
	cr_assert_geq(asprintf(&all, "%.*s        local: [%s]\n        remote: [%s]\n%s",
			       (int)(old - text), text, local, remote,
			       strstr(old, "        proposals")),
		      0);
	cfg = load_good(all, NULL, 0);
	free(text);
	free(all);
	return cfg;
}

/* A child and a policy for each address but the network's first and last, none of which we begin. */
Test(config_child, a_pool_is_a_child_for_each_address)
{
	struct config *cfg = access_good("    pool: 10.99.0.0/29\n    dns: [10.1.0.53]\n",
					 "10.1.0.0/24", "pool");
	const struct ike_peer_cfg *p = &cfg->peers[0];

	cr_assert_eq(p->n_children, 6);
	cr_expect_str_eq(p->children[0].name, "net-10.99.0.1");
	cr_expect_str_eq(p->children[5].name, "net-10.99.0.6");
	for (unsigned i = 0; i < 6; i++) {
		const struct ike_child_cfg *c = &p->children[i];
		cr_expect_str_eq(c->list, "net");
		cr_expect(c->pooled);
		cr_expect_eq(c->start, START_PASSIVE);
		cr_expect_eq(ip_addr_to_v4(&c->sel.remote.lo), 0x0a630001 + i);
		cr_expect(ip_addr_equal(&c->sel.remote.lo, &c->sel.remote.hi));
		for (unsigned k = 0; k < i; k++)
			cr_expect_neq(c->policy, p->children[k].policy);
	}
	cr_assert_not_null(p->access);
	cr_expect(p->access->config && !p->access->push && p->access->has_pool);
	/* what goes through the tunnel is what the child has on our side */
	cr_expect_eq(p->access->give.n_split, 1);
	cr_expect_eq(p->access->give.split[0].len, 24);
	cr_expect_eq(p->access->give.n_dns, 1);
	config_free(cfg);
}

Test(config_child, a_pool_that_reaches_everything_names_no_networks)
{
	struct config *cfg = access_good("    pool: 10.99.0.4-10.99.0.5\n    mode-config: push\n",
					 "any", "pool");

	cr_assert_eq(cfg->peers[0].n_children, 2);
	cr_expect(cfg->peers[0].access->push);
	cr_expect_eq(cfg->peers[0].access->give.n_split, 0);
	config_free(cfg);
}

Test(config_child, an_assigned_address_stands_at_nothing_until_it_is_there)
{
	struct config *cfg = access_good("    mode-config: pull\n", "assigned", "10.2.0.0/16");

	cr_assert_eq(cfg->peers[0].n_children, 1);
	cr_expect(cfg->peers[0].children[0].assigned);
	cr_expect_eq(ip_addr_to_v4(&cfg->peers[0].children[0].sel.local.hi), 0);
	config_free(cfg);
}
