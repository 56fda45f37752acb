/* Lifetimes, limits and what else of policy the configuration can say. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "config_file.h"

TestSuite(config_life, .init = files_setup, .fini = files_teardown);

Test(config_life, volumes_of_both_phases)
{
	char *text = good_with("    dpd: 30s\n", "    dpd: 30s\n    lifetime-bytes: 10M\n");
	struct config *cfg = load_good(text, NULL, 0);

	cr_expect_eq(cfg->peers[0].life_kb, 10240);
	cr_expect_eq(cfg->peers[0].children[0].life_kb, 0);
	cr_expect_eq(cfg->peers[0].children[0].life_packets, 0);
	config_free(cfg);
	free(text);
	text = good_with("start: immediate", "lifetime-bytes: 100G\n"
					     "        lifetime-packets: 5000000");
	cfg = load_good(text, NULL, 0);
	cr_expect_eq(cfg->peers[0].life_kb, 0);
	for (unsigned i = 0; i < 2; i++) {
		cr_expect_eq(cfg->peers[0].children[i].life_kb, 100ull << 20);
		cr_expect_eq(cfg->peers[0].children[i].life_packets, 5000000);
	}
	config_free(cfg);
	free(text);
}

Test(config_life, policy_of_a_peer)
{
	char *text =
		good_with("    dpd: 30s\n", "    dpd: 30s\n    dpd-mode: on-demand\n"
					    "    quick-mode-limit: 7\n    idle-timeout: 30m\n");
	struct config *cfg = load_good(text, NULL, 0);

	cr_expect_eq(cfg->peers[0].quick_limit, 7);
	cr_expect_eq(cfg->peers[0].idle_s, 1800);
	cr_expect_eq(cfg->peers[0].children[0].idle_s, 1800, "the peer's");
	cr_expect(cfg->peers[0].dpd_on_demand);
	config_free(cfg);
	free(text);
	text = good_with("    children:\n      - name: net\n",
			 "    master-pfs: yes\n    idle-timeout: 30m\n"
			 "    children:\n      - name: net\n        idle-timeout: 0\n");
	cfg = load_good(text, NULL, 0);
	cr_expect_eq(cfg->peers[0].quick_limit, 1);
	cr_expect_eq(cfg->peers[0].idle_s, 1800);
	cr_expect_eq(cfg->peers[0].children[0].idle_s, 0, "its own");
	cr_expect_not(cfg->peers[0].dpd_on_demand);
	config_free(cfg);
	free(text);
}

Test(config_life, fallback_to_clear_is_off_and_warned_of)
{
	char *text = good_with("replay-window: 1024", "fallback-clear: yes");
	struct config *cfg = load_good(good_yaml, NULL, 0);

	cr_expect_not(cfg->peers[0].children[0].fallback_clear);
	config_free(cfg);
	cfg = load_good(text, NULL, 1); /* one child in the file, one warning */
	cr_expect(cfg->peers[0].children[0].fallback_clear);
	config_free(cfg);
	free(text);
}

Test(config_life, fragments_of_messages)
{
	char *text = good_with("    dpd: 30s\n", "    dpd: 30s\n    fragmentation: force\n"
						 "    fragment-size: 576\n");
	struct config *cfg = load_good(text, NULL, 0);

	cr_expect_eq(cfg->peers[0].fragmentation, FRAGMENTATION_FORCE);
	cr_expect_eq(cfg->peers[0].fragment_size, 576);
	config_free(cfg);
	free(text);
	text = good_with("    dpd: 30s\n", "    dpd: 30s\n");
	cfg = load_good(text, NULL, 0);
	cr_expect_eq(cfg->peers[0].fragmentation, FRAGMENTATION_YES, "unless somebody says no");
	cr_expect_eq(cfg->peers[0].fragment_size, 1280);
	config_free(cfg);
	free(text);
}
