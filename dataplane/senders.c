/* Which SA pair each worker sends through, policy by policy. */
#include <errno.h>
#include <stdlib.h>

#include "dp.h"

int senders_init(struct dp *dp)
{
	dp->senders = calloc(SPD_MAX_POLICIES, sizeof(*dp->senders));
	dp->told = calloc((size_t)SPD_MAX_POLICIES * dp->n_workers, sizeof(*dp->told));
	return dp->senders && dp->told ? 0 : -ENOMEM;
}

void senders_free(struct dp *dp)
{
	free(dp->senders);
	free(dp->told);
}

/* The pair that a worker is to send through: the policy's latest. Where that is one of parallel pairs,
 * the worker's own latest of them goes first. */
static const struct pair *sender_pick(const struct dp *dp, uint32_t policy, uint16_t worker)
{
	const struct pair *p, *latest = NULL;

	LIST_FOREACH(p, &dp->senders[policy], out_link) {
		if (p->sa[SA_OUT]->flags & SA_F_DEAD)
			continue;
		if (!latest)
			latest = p;
		if (!latest->spread)
			break;
		if (p->spread && p->ref.owner == worker)
			return p;
	}
	return latest;
}

/* Tells every worker whose pair is another one now. */
static void senders_update(struct dp *dp, uint32_t policy)
{
	for (uint16_t i = 0; i < dp->n_workers; i++) {
		struct cmd cmd = { .op = CMD_POLICY_SA, .policy = policy, .owner = UINT16_MAX };
		uint32_t *told = &dp->told[(size_t)policy * dp->n_workers + i];
		const struct pair *p = sender_pick(dp, policy, i);

		if (p) {
			cmd.owner = p->ref.owner;
			cmd.slot = p->ref.slot;
			cmd.spi = p->ref.spi;
		}
		if (*told == cmd.spi)
			continue;
		*told = cmd.spi;
		command_send(&dp->worker[i], &cmd);
	}
}

void sender_add(struct dp *dp, struct pair *pair)
{
	LIST_INSERT_HEAD(&dp->senders[pair->policy], pair, out_link);
	senders_update(dp, pair->policy);
}

void sender_remove(struct dp *dp, struct pair *pair)
{
	LIST_REMOVE(pair, out_link);
	senders_update(dp, pair->policy);
}
