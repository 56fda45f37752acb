/* The SPD as it is in force: the configuration's, but for children that have fallen back to clear, and
 * for addresses that Mode Config assigned to us. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "log.h"

#define AGAIN_US 1000000 /* after the data plane refused */

struct policy_local {
	uint32_t policy;
	struct ip_addr local;
};

static struct policy_local *local_of(struct daemon *d, uint32_t policy)
{
	for (size_t i = 0; i < d->n_policy_local; i++)
		if (d->policy_local[i].policy == policy)
			return &d->policy_local[i];
	return NULL;
}

int policies_apply(struct daemon *d, const struct config *cfg)
{
	struct spd_policy *p = calloc(cfg->n_policies + 1, sizeof(*p));
	char why[256] = "no memory";
	int rc = -ENOMEM;

	if (p) {
		if (cfg->n_policies)
			memcpy(p, cfg->policies, cfg->n_policies * sizeof(*p));
		for (size_t i = 0; i < cfg->n_policies; i++)
			if (p[i].action == POLICY_PROTECT && d->policy_clear[p[i].id])
				p[i].action = POLICY_BYPASS;
		for (size_t i = 0; i < cfg->n_policies && d->n_policy_local; i++) {
			const struct policy_local *l = local_of(d, p[i].id);
			if (l && p[i].action == POLICY_PROTECT)
				p[i].sel.local = (struct ip_range){ l->local, l->local };
		}
		rc = dp_spd_set(d->dp, p, cfg->n_policies, why, sizeof(why));
	}
	if (rc != 0)
		log_error("the policies were refused: %s", why);
	else
		d->policies_due_us = 0;
	free(p);
	return rc;
}

/* Several children may change at the same time: one new SPD for all of them, in the next turn. */
void policies_on_clear(void *ctx, uint32_t policy, bool clear)
{
	struct daemon *d = ctx;

	if (policy >= SPD_MAX_POLICIES)
		return;
	d->policy_clear[policy] = clear;
	d->policies_due_us = 1; /* at once */
}

/* Mode Config assigned that address to us, or (IP_NONE) the child is gone. */
void policies_on_local(void *ctx, uint32_t policy, const struct ip_addr *local)
{
	struct daemon *d = ctx;
	struct policy_local *l = local_of(d, policy), *more;

	d->policies_due_us = 1;
	d->assigned_changed = true;
	if (l && local->family == IP_NONE) {
		*l = d->policy_local[--d->n_policy_local];
		return;
	}
	if (!l && local->family != IP_NONE) {
		more = realloc(d->policy_local, (d->n_policy_local + 1) * sizeof(*more));
		if (!more) {
			log_error("no memory for the address that was assigned to us");
			return;
		}
		d->policy_local = more;
		l = &more[d->n_policy_local++];
	}
	if (l)
		*l = (struct policy_local){ policy, *local };
}

/* We answer pings at those addresses. */
static void assigned_apply(struct daemon *d)
{
	struct ip_addr a[DP_MAX_ASSIGNED];
	unsigned n = 0;

	for (size_t i = 0; i < d->n_policy_local && n < DP_MAX_ASSIGNED; i++) {
		unsigned k = 0;
		while (k < n && !ip_addr_equal(&a[k], &d->policy_local[i].local))
			k++;
		if (k == n)
			a[n++] = d->policy_local[i].local;
	}
	dp_assigned_set(d->dp, a, n);
	d->assigned_changed = false;
}

void policies_run(struct daemon *d, uint64_t now)
{
	if (d->assigned_changed)
		assigned_apply(d);
	if (!d->policies_due_us || now < d->policies_due_us || !d->cfg)
		return;
	if (policies_apply(d, d->cfg) != 0)
		d->policies_due_us = now + AGAIN_US;
}
