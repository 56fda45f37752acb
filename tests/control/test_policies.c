/* The SPD in force: what a child that has fallen back to clear changes in it, and nothing else. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"

static struct spd_policy set[3];
static size_t n_set;
static unsigned calls;
static int result;

int dp_spd_set(struct dp *dp, const struct spd_policy *p, size_t n, char *why, size_t why_size)
{
	(void)dp;
	calls++;
	cr_assert_leq(n, 3);
	memcpy(set, p, n * sizeof(*p));
	n_set = n;
	snprintf(why, why_size, "not today");
	return result;
}

static struct spd_policy policies[] = { { .id = 5, .action = POLICY_DISCARD },
					{ .id = 7, .action = POLICY_PROTECT },
					{ .id = 6, .action = POLICY_PROTECT } };

Test(policies, a_child_in_the_clear_is_a_bypass_until_it_is_protected)
{
	struct config cfg = { .policies = policies, .n_policies = 3 };
	struct daemon d = { .cfg = &cfg, .policy_clear = calloc(1, SPD_MAX_POLICIES) };

	policies_run(&d, 1000);
	cr_expect_eq(calls, 0, "nothing has changed");
	policies_on_clear(&d, 7, true);
	policies_on_clear(&d, 5, true); /* no child's: stays what it is */
	policies_on_clear(&d, SPD_MAX_POLICIES, true);
	cr_expect_eq(calls, 0, "several changes make one new SPD");
	policies_run(&d, 1000);
	cr_assert_eq(calls, 1);
	cr_assert_eq(n_set, 3);
	cr_expect_eq(set[0].action, POLICY_DISCARD);
	cr_expect_eq(set[1].action, POLICY_BYPASS);
	cr_expect_eq(set[2].action, POLICY_PROTECT);
	cr_expect_eq(policies[1].action, POLICY_PROTECT, "the configuration stays");
	policies_run(&d, 2000);
	cr_expect_eq(calls, 1);
	policies_apply(&d, &cfg); /* a reload keeps it */
	cr_expect_eq(set[1].action, POLICY_BYPASS);
	policies_on_clear(&d, 7, false);
	policies_run(&d, 3000);
	cr_expect_eq(set[1].action, POLICY_PROTECT);
	cr_expect_eq(calls, 3);
	free(d.policy_clear);
}

/* What the data plane refuses is tried again, not in every turn. */
Test(policies, a_refusal_is_tried_again)
{
	struct config cfg = { .policies = policies, .n_policies = 3 };
	struct daemon d = { .cfg = &cfg, .policy_clear = calloc(1, SPD_MAX_POLICIES) };

	result = -ENOMEM;
	policies_on_clear(&d, 7, true);
	policies_on_clear(&d, 7, false);
	policies_run(&d, 1000);
	policies_run(&d, 2000);
	cr_expect_eq(calls, 1);
	result = 0;
	policies_run(&d, 5000000);
	policies_run(&d, 9000000);
	cr_expect_eq(calls, 2);
	cr_expect_eq(set[1].action, POLICY_PROTECT);
	free(d.policy_clear);
}
