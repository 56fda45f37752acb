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

static struct ip_addr assigned;
static unsigned n_assigned;

void dp_assigned_set(struct dp *dp, const struct ip_addr *a, unsigned n)
{
	(void)dp;
	n_assigned = n;
	if (n)
		assigned = a[0];
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

/* Two children speak for the same address: one entry of ours, and both policies have it. */
Test(policies, an_assigned_address_is_the_local_side)
{
	struct config cfg = { .policies = policies, .n_policies = 3 };
	struct daemon d = { .cfg = &cfg, .policy_clear = calloc(1, SPD_MAX_POLICIES) };
	const struct ip_addr a = ip_addr_v4(0x0a630007), b = ip_addr_v4(0x0a630008), none = { 0 };

	calls = 0;
	result = 0;
	policies_on_local(&d, 7, &a);
	policies_on_local(&d, 6, &a);
	policies_on_local(&d, 5, &a); /* no child's */
	policies_run(&d, 1000);
	cr_expect_eq(calls, 1);
	cr_expect(ip_addr_equal(&set[1].sel.local.lo, &a) && ip_addr_equal(&set[1].sel.local.hi, &a));
	cr_expect(ip_addr_equal(&set[2].sel.local.lo, &a));
	cr_expect_eq(set[0].sel.local.lo.family, IP_NONE);
	cr_expect_eq(n_assigned, 1);
	cr_expect(ip_addr_equal(&assigned, &a));
	policies_on_local(&d, 5, &none);
	policies_on_local(&d, 7, &none);
	policies_on_local(&d, 6, &b);
	policies_run(&d, 2000);
	cr_expect_eq(set[1].sel.local.lo.family, IP_NONE);
	cr_expect(ip_addr_equal(&set[2].sel.local.lo, &b));
	cr_expect_eq(n_assigned, 1);
	cr_expect(ip_addr_equal(&assigned, &b));
	free(d.policy_clear);
	free(d.policy_local);
}
