/* What many cores need: no cache line that two of them write, flow rules that bring ESP to the
 * owner's queue, and packet buffers for every queue. */
#include <rte_ethdev.h>
#include <rte_flow.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dp.h"
#include "ring_rig.h"

#define WORKERS 4
#define PAIRS   200

/* ------------------------------------------------------------------------- flow rules ------- */

static struct rule {
	uint16_t dev, queue;
	bool six, udp;
	uint32_t spi, mask;
} rule[256];
static unsigned n_rules, accepted = 1000;

int __wrap_rte_flow_validate(uint16_t dev, const struct rte_flow_attr *attr,
			     const struct rte_flow_item pattern[],
			     const struct rte_flow_action actions[], struct rte_flow_error *error);
struct rte_flow *__wrap_rte_flow_create(uint16_t dev, const struct rte_flow_attr *attr,
					const struct rte_flow_item pattern[],
					const struct rte_flow_action actions[],
					struct rte_flow_error *error);

int __wrap_rte_flow_validate(uint16_t dev, const struct rte_flow_attr *attr,
			     const struct rte_flow_item pattern[],
			     const struct rte_flow_action actions[], struct rte_flow_error *error)
{
	(void)dev;
	(void)pattern;
	(void)actions;
	(void)error;
	return attr->ingress && accepted > 0 ? 0 : -1;
}

struct rte_flow *__wrap_rte_flow_create(uint16_t dev, const struct rte_flow_attr *attr,
					const struct rte_flow_item pattern[],
					const struct rte_flow_action actions[],
					struct rte_flow_error *error)
{
	struct rule r = { .dev = dev };

	(void)attr;
	(void)error;
	for (; pattern->type != RTE_FLOW_ITEM_TYPE_END; pattern++) {
		r.six |= pattern->type == RTE_FLOW_ITEM_TYPE_IPV6;
		if (pattern->type == RTE_FLOW_ITEM_TYPE_UDP) {
			const struct rte_flow_item_udp *udp = pattern->spec;
			r.udp = udp->hdr.dst_port == RTE_BE16(4500);
		}
		if (pattern->type == RTE_FLOW_ITEM_TYPE_ESP) {
			const struct rte_flow_item_esp *is = pattern->spec, *mask = pattern->mask;
			r.spi = rte_be_to_cpu_32(is->hdr.spi);
			r.mask = rte_be_to_cpu_32(mask->hdr.spi);
		}
	}
	if (actions[0].type == RTE_FLOW_ACTION_TYPE_QUEUE)
		r.queue = ((const struct rte_flow_action_queue *)actions[0].conf)->index;
	accepted--;
	rule[n_rules++] = r;
	return (struct rte_flow *)&rule[n_rules - 1];
}

/* Every SPI that a worker may get goes to its queue by exactly one rule of each kind and port. */
static void steering(void)
{
	unsigned wrong = 0, tried = 0;
	struct sa_ref ref[32];

	check(n_rules == PORTS * WORKERS * 4,
	      "a rule for each port, worker, family, with and without UDP");
	for (uint16_t w = 0; w < WORKERS; w++) {
		for (unsigned i = 0; i < 32; i++) {
			must(dp_sa_reserve(rig_dp, w, &ref[i]) == 0, "a place");
			for (unsigned kind = 0; kind < 4 * PORTS; kind++, tried++) {
				unsigned hits = 0;
				for (unsigned k = 0; k < n_rules; k++) {
					const struct rule *r = &rule[k];
					if (r->six != (kind & 1) || r->udp != !!(kind & 2) ||
					    r->dev != rig_dp->port[kind >> 2].dev ||
					    (ref[i].spi & r->mask) != r->spi)
						continue;
					hits++;
					wrong += r->queue != w;
				}
				wrong += hits != 1;
			}
		}
		for (unsigned i = 0; i < 32; i++)
			dp_sa_release(rig_dp, &ref[i]);
	}
	printf("# %u SPIs and kinds looked up\n", tried);
	check(wrong == 0, "each SPI meets one rule, to its owner's queue");
	/* a device without room: some, and the rest by hand-over */
	n_rules = 0;
	accepted = 3;
	steer_start(&rig_dp->port[0], &rig_dp->spi);
	check(n_rules == 3, "a full table is no error");
	accepted = 0;
	steer_start(&rig_dp->port[0], &rig_dp->spi);
	check(n_rules == 3, "and a device without flow rules is none either");
	check(steer_hash(~0ull) & RTE_ETH_RSS_ESP &&
		      steer_hash(~0ull) & RTE_ETH_RSS_NONFRAG_IPV6_UDP &&
		      steer_hash(~0ull) & RTE_ETH_RSS_IPV4 && steer_hash(0) == 0,
	      "RSS takes both families, ports and SPI, as far as they are offered");
}

/* ------------------------------------------------------------------------- cache lines ------ */

static struct range {
	uintptr_t from, to;
	int who; /* worker that writes it; -1: control */
	const char *what;
} range[16 + WORKERS * (8 + 2 * PAIRS)];
static unsigned n_ranges;

static void written(const void *p, size_t len, int who, const char *what)
{
	must(n_ranges < RTE_DIM(range), "room for ranges");
	range[n_ranges++] =
		(struct range){ (uintptr_t)p / 64, ((uintptr_t)p + len - 1) / 64, who, what };
}

static int range_cmp(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return (x->from > y->from) - (x->from < y->from);
}

/* All that a worker writes on the way of packets, and what control writes meanwhile. */
static void ranges_collect(void)
{
	for (int i = 0; i < WORKERS; i++) {
		const struct worker *w = &rig_dp->worker[i];
		const struct lcore *lc = w->lc;

		written(lc, sizeof(*lc), i, "struct lcore");
		written(lc->sa_in, rig_dp->sa_slots * sizeof(*lc->sa_in), i, "sa_in");
		written(lc->sa_out, rig_dp->sa_slots * sizeof(*lc->sa_out), i, "sa_out");
		written(lc->policy_sa, SPD_MAX_POLICIES * sizeof(*lc->policy_sa), i, "policy_sa");
		written(lc->backlog.evt, lc->backlog.size * sizeof(struct evt), i, "backlog");
		for (uint32_t slot = 0; slot < rig_dp->sa_slots; slot++)
			for (enum sa_dir dir = SA_IN; dir <= SA_OUT; dir++)
				if (w->pair[slot].sa[dir])
					written(w->pair[slot].sa[dir], w->pair[slot].sa[dir]->size, i,
						"an SA");
		written(w->pair, rig_dp->sa_slots * sizeof(*w->pair), -1, "pairs");
		written(w->free_slot, rig_dp->sa_slots * sizeof(*w->free_slot), -1, "free slots");
	}
	written(rig_dp, sizeof(*rig_dp), -1, "struct dp");
}

static void lines(void)
{
	unsigned before = rig_stored, shared = 0, n_sas = 0;
	static struct sa_ref ref[PAIRS];

	for (unsigned i = 0; i < PAIRS; i++)
		must(rig_pair_add(&ref[i], (uint16_t)(i % WORKERS), 10 + i) == 0, "a pair");
	rig_poll_until_stored(before + 2 * PAIRS);
	ranges_collect();
	qsort(range, n_ranges, sizeof(range[0]), range_cmp);
	for (unsigned i = 0; i < n_ranges; i++)
		n_sas += strcmp(range[i].what, "an SA") == 0;
	for (unsigned i = 1; i < n_ranges; i++) {
		const struct range *a = &range[i - 1], *b = &range[i];
		if (a->to < b->from || a->who == b->who)
			continue;
		printf("# %s of %d and %s of %d share a line\n", a->what, a->who, b->what, b->who);
		shared++;
	}
	printf("# %u pieces, %u of them SAs\n", n_ranges, n_sas);
	check(n_sas == 2 * PAIRS, "all SAs were looked at");
	check(shared == 0, "no cache line is written by two");
	for (unsigned i = 0; i < RTE_DIM(rig_dp->worker[0].lc->handover) && i < WORKERS; i++)
		for (unsigned k = 0; k < WORKERS; k++)
			must(rig_dp->worker[i].lc->handover[k] == rig_dp->worker[k].lc->handover[k],
			     "all know the same inboxes");
	check(offsetof(struct lcore, count) % 64 == 0 && sizeof(struct lcore) % 64 == 0 &&
		      offsetof(struct sa, flags) % 64 == 0 && offsetof(struct sa, hdr) % 64 == 0 &&
		      sizeof(struct sa) % 64 == 0,
	      "constants and counters lie in lines of their own");
}

/* ------------------------------------------------------------------------- buffers ---------- */

static void buffers(void)
{
	struct dp_cfg cfg = { .n_ports = 2, .n_workers = 1 };

	check(pool_size(&cfg, 1) == 2 * 16384, "two ports, one worker: 16384 each, as ever");
	cfg.n_workers = 32;
	check(pool_size(&cfg, 32) >= 32 * 2 * (RX_RING + TX_RING),
	      "32 workers: all queues can be full");
	cfg.mbufs = 1000;
	check(pool_size(&cfg, 32) == 2000 && pool_size(&cfg, 16) == 1000,
	      "a number in the configuration holds, shared out among the nodes");
	for (unsigned i = 0; i < WORKERS; i++)
		must(rig_dp->pools[i] == rig_dp->worker[i].lc->pool && rig_dp->pools[i],
		     "each worker has its node's pool");
}

int main(void)
{
	struct rig_cfg cfg = { .workers = WORKERS, .sa_slots = 512 };

	rig_start(&cfg, 1);
	steering();
	lines();
	buffers();
	rig_stop();
	return checks_end();
}
