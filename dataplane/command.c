/* What control tells an lcore. Commands run between bursts: no stage ever sees half of one, and no
 * packet is on its way through a stage while an SA, policy or route goes away. */
#include <rte_ring_elem.h>

#include "fib.h"
#include "lcore.h"
#include "spd.h"

static struct sa_entry *entry_of(struct lcore *lc, const struct cmd *cmd)
{
	return cmd->dir == SA_IN ? &lc->sa_in[cmd->slot] : &lc->sa_out[cmd->slot];
}

static void count_sa(struct lcore *lc, uint8_t dir, int change)
{
	if (dir == SA_IN)
		lc->sa_in_count += (uint32_t)change;
	else
		lc->sa_out_count += (uint32_t)change;
}

static struct evt answer(const struct cmd *cmd, enum evt_op op)
{
	return (struct evt){
		.op = (uint16_t)op, .slot = cmd->slot, .spi = cmd->spi, .dir = cmd->dir
	};
}

/* Control stores into empty places only. */
static void sa_store(struct lcore *lc, const struct cmd *cmd)
{
	struct evt evt = answer(cmd, EVT_SA_STORED);

	*entry_of(lc, cmd) = (struct sa_entry){ .spi = cmd->spi, .sa = cmd->sa };
	count_sa(lc, cmd->dir, 1);
	evt.sa = cmd->sa;
	lcore_event(lc, &evt);
}

/* Packets for this SA that still wait on a hand-over ring carry its SPI, never a pointer: they will
 * find an empty place, or a pair with another SPI, and are dropped. So the answer is final. */
static void sa_remove(struct lcore *lc, const struct cmd *cmd)
{
	struct sa_entry *entry = entry_of(lc, cmd);
	struct evt evt = answer(cmd, EVT_SA_REMOVED);

	if (entry->spi == cmd->spi && entry->sa) {
		evt.sa = entry->sa;
		*entry = (struct sa_entry){ 0 };
		count_sa(lc, cmd->dir, -1);
	}
	lcore_event(lc, &evt);
}

static void policy_attach(struct lcore *lc, const struct cmd *cmd)
{
	struct policy_sa *ps = &lc->policy_sa[cmd->policy];

	ps->slot = cmd->slot;
	ps->spi = cmd->spi;
	ps->owner = cmd->owner;
}

static void command_run(struct lcore *lc, const struct cmd *cmd)
{
	struct evt evt = { 0 };

	switch (cmd->op) {
	case CMD_SA_STORE:
		sa_store(lc, cmd);
		break;
	case CMD_SA_REMOVE:
		sa_remove(lc, cmd);
		break;
	case CMD_POLICY_SA:
		policy_attach(lc, cmd);
		break;
	case CMD_SPD:
		evt.op = EVT_SPD_RETIRED;
		evt.spd = lc->spd;
		lc->spd = cmd->spd;
		lcore_event(lc, &evt);
		break;
	case CMD_FIB:
		evt.op = EVT_FIB_RETIRED;
		evt.fib = lc->fib;
		lc->fib = cmd->fib;
		lcore_event(lc, &evt);
		break;
	case CMD_WATCH:
		evt.op = EVT_WATCH_RETIRED;
		evt.watch = lc->watch;
		lc->watch = cmd->watch;
		lcore_event(lc, &evt);
		break;
	}
}

unsigned lcore_commands(struct lcore *lc)
{
	struct cmd cmd[COMMANDS_PER_ROUND];
	unsigned n;

	if (!lcore_event_flush(lc))
		return 0;
	n = rte_ring_sc_dequeue_burst_elem(lc->cmd, cmd, sizeof(cmd[0]), COMMANDS_PER_ROUND, NULL);
	for (unsigned i = 0; i < n; i++)
		command_run(lc, &cmd[i]);
	return n;
}
