/* The SPD as it is in force: the configuration's, but for children that have fallen back to clear.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "log.h"

#define AGAIN_US 1000000 /* after the data plane refused */

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

void policies_run(struct daemon *d, uint64_t now)
{
	if (!d->policies_due_us || now < d->policies_due_us || !d->cfg)
		return;
	if (policies_apply(d, d->cfg) != 0)
		d->policies_due_us = now + AGAIN_US;
}
