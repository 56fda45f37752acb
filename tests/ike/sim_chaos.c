/* What goes wrong, or is asked for, at random moments. */
#include <stdio.h>

#include "sim_internal.h"

void sim_rebind(struct sim *s, unsigned node)
{
	sim_say(s, "node %u: its NAT takes other ports", node);
	s->totals.rebinds++;
	s->nodes[node].nat_base += 1000;
	if (s->nodes[node].nat_base > 50000)
		s->nodes[node].nat_base = 20000;
}

/* A line that is dialled up anew: another address outside. Only a peer whose address is not
 * configured can be found again. */
static void readdress(struct sim *s, unsigned node)
{
	struct sim_node *n = &s->nodes[node];

	n->outside.b[n->outside.family == IP_V6 ? 14 : 3]++;
	sim_say(s, "node %u: its NAT takes another address", node);
}

void sim_jump(struct sim *s, unsigned node, uint64_t us)
{
	sim_say(s, "node %u: its clock jumps by %.0f s", node, (double)us / 1e6);
	s->totals.jumps++;
	s->nodes[node].ahead_us += us;
	s->nodes[node].timer_at = UINT64_MAX;
}

static void rebind_somebody(struct sim *s)
{
	unsigned node = 1 + (unsigned)sim_below(s, s->cfg.nodes - 1);
	const struct ike_peer_cfg *p = &s->nodes[0].peers[node];

	if (sim_below(s, 100) >= 40)
		return;
	sim_rebind(s, node);
	if (p->remote.family == IP_NONE && sim_below(s, 2))
		readdress(s, node);
}

static void rekey_something(struct sim_node *n, const struct ike_peer_cfg *p)
{
	char name[2 * IKE_NAME_LEN + 2];
	struct sim *s = n->sim;

	if (sim_below(s, 100) >= 40)
		return;
	if (sim_below(s, 100) < 25)
		snprintf(name, sizeof(name), "%s", p->name);
	else
		snprintf(name, sizeof(name), "%s/%s", p->name,
			 p->children[sim_below(s, p->n_children)].name);
	ike_rekey(n->ike, name);
}

void sim_chaos(struct sim *s)
{
	unsigned node = (unsigned)sim_below(s, s->cfg.nodes);

	if ((s->faults & SIM_RESTART) && sim_below(s, 100) < 12)
		sim_restart(s, node);
	if (s->faults & SIM_REBIND)
		rebind_somebody(s);
	if ((s->faults & SIM_CLOCK) && sim_below(s, 100) < 10)
		sim_jump(s, node, sim_below(s, 400 * SEC));
	if ((s->faults & SIM_CLOCK) && sim_below(s, 100) < 10)
		s->nodes[node].wall_off = (int64_t)sim_below(s, 3600) - 1800;
	if (!(s->faults & SIM_REKEY))
		return;
	for (unsigned i = 0; i < s->cfg.nodes; i++)
		for (unsigned k = 0; k < s->nodes[i].n_peers; k++)
			if (s->nodes[i].peers[k].name[0])
				rekey_something(&s->nodes[i], &s->nodes[i].peers[k]);
}
