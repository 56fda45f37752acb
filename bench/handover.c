/* What does a hand-over cost? Two lcores. First each decrypts its own packets, both at once. Then
 * one receives all packets, finds that their SAs are the other's, and sends them over; the other
 * takes them from its inbox and decrypts. The time of both together, less that of a packet that
 * stays, is the hand-over's: ring, burst buffers, and cache lines that change CPUs. Rounds that
 * find the inbox empty do not count. In turns, medians. */
#include "handover.h"

#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_ring_elem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dp.h"
#include "measure.h"
#include "rig.h"

#define REPS   21
#define PASSES 8 /* over all frames, a repetition */

static struct rig rigs[RIG_MAX_LCORES];

/* One lcore's part of a repetition. */
struct part {
	struct rig *rig;
	unsigned *present; /* barrier of both */
	bool hands_over;   /* both parts: what the repetition measures */
	uint64_t ticks, packets, rounds;
};

static void meet(struct part *p)
{
	unsigned n = __atomic_add_fetch(p->present, 1, __ATOMIC_ACQ_REL);

	while (__atomic_load_n(p->present, __ATOMIC_ACQUIRE) < (n + 1) / 2 * 2)
		rte_pause();
}

/* Receives the frames of `frames` with lcore lc, in bursts; waits while the inbox is nearly full.
 */
static void receive(struct part *p, struct rig *frames, struct lcore *lc,
		    const struct rte_ring *inbox)
{
	for (unsigned i = 0; i < frames->n_frames; i += RIG_BURST) {
		struct rte_mbuf *pkts[RIG_BURST];
		uint64_t start;

		while (inbox && rte_ring_count(inbox) > HANDOVER_RING / 4)
			rte_pause();
		traffic_esp(frames, pkts, i);
		start = lc->now_tsc = rte_rdtsc();
		rig_way_in(lc, pkts, RIG_BURST, NULL);
		lcore_flush(lc);
		p->ticks += rte_rdtsc() - start;
		p->packets += RIG_BURST;
		p->rounds++;
	}
}

/* The owner's side, until it has had as many packets as one pass sends. */
static void own(struct part *p, struct lcore *lc)
{
	uint64_t done = p->packets + p->rig->n_frames;

	while (p->packets < done) {
		uint64_t before = lc->count.handover_in, start = lc->now_tsc = rte_rdtsc();

		lcore_round(lc);
		if (lc->count.handover_in == before)
			continue;
		p->ticks += rte_rdtsc() - start;
		p->packets += lc->count.handover_in - before;
		p->rounds++;
	}
}

static int part_run(void *arg)
{
	struct part *p = arg;
	struct lcore *lc = p->rig->gw[SA_IN], *owner = rigs[0].gw[SA_IN];

	for (unsigned pass = 0; pass < PASSES; pass++) {
		if (p->rig == &rigs[0] || !p->hands_over)
			traffic_replay_reset(p->rig);
		meet(p);
		if (!p->hands_over)
			receive(p, p->rig, lc, NULL);
		else if (lc == owner)
			own(p, lc);
		else
			receive(p, &rigs[0], lc, owner->handover[0]);
		meet(p);
	}
	return 0;
}

static void repetition(struct part part[2], bool hands_over)
{
	static unsigned present;

	present = 0;
	for (unsigned i = 0; i < 2; i++)
		part[i] = (struct part){ .rig = &rigs[i],
					 .present = &present,
					 .hands_over = hands_over };
	rte_eal_remote_launch(part_run, &part[1], 1);
	part_run(&part[0]);
	rte_eal_wait_lcore(1);
}

/* The second lcore receives what belongs to the first. */
static bool join(void)
{
	struct lcore *owner = rigs[0].gw[SA_IN], *receiver = rigs[1].gw[SA_IN];

	owner->cmd = rte_ring_create_elem("cmd", sizeof(struct cmd), 64, SOCKET_ID_ANY, 0);
	owner->inject = rte_ring_create("inject", 64, SOCKET_ID_ANY, 0);
	owner->handover[0] =
		rte_ring_create("handover", HANDOVER_RING, SOCKET_ID_ANY, RING_F_SC_DEQ);
	receiver->handover[0] = owner->handover[0];
	receiver->handover[1] =
		rte_ring_create("handover1", HANDOVER_RING, SOCKET_ID_ANY, RING_F_SC_DEQ);
	owner->n_workers = receiver->n_workers = 2;
	return owner->cmd && owner->inject && owner->handover[0] && receiver->handover[1];
}

static double ns_of(const struct part *p)
{
	return (double)p->ticks * 1e9 / (double)rte_get_tsc_hz() / (double)p->packets;
}

static int measure_size(unsigned size, unsigned sas)
{
	static double stays[REPS], receiver[REPS], owner[REPS], more[REPS];
	struct rig_case c = {
		.alg = &rig_algs[0], .n_sas = sas, .n_policies = sas, .size = (uint16_t)size
	};
	double burst = 0;

	for (unsigned i = 0; i < 2; i++) {
		rigs[i].gw[SA_IN]->id = 0; /* as whose its frames are made */
		if (rig_setup(&rigs[i], &c))
			return -1;
	}
	for (unsigned i = 0; i < REPS; i++) {
		struct part part[2];

		rigs[1].gw[SA_IN]->id = 0;
		repetition(part, false);
		stays[i] = (ns_of(&part[0]) + ns_of(&part[1])) / 2;
		rigs[1].gw[SA_IN]->id = 1;
		repetition(part, true);
		receiver[i] = ns_of(&part[1]);
		owner[i] = ns_of(&part[0]);
		more[i] = receiver[i] + owner[i] - stays[i];
		burst += (double)part[0].packets / (double)part[0].rounds / REPS;
	}
	printf("%8u %6u %10.1f %10.1f %10.1f %10.1f %12.1f\n", size, sas,
	       stat_of(stays, REPS).median, stat_of(receiver, REPS).median,
	       stat_of(owner, REPS).median, stat_of(more, REPS).median, burst);
	for (unsigned i = 0; i < 2; i++)
		if (rig_drops(rigs[i].gw[SA_IN])) {
			rig_drops_print(rigs[i].gw[SA_IN]);
			return -1;
		}
	return 0;
}

int handover_main(int argc, char **argv)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned cpu[2] = { (unsigned)cpus - 1, (unsigned)cpus - 2 };

	(void)argv;
	if (argc > 1 || cpus < 2) {
		fputs("Usage: shrike_bench handover   (takes no options, but two CPUs)\n", stderr);
		return 2;
	}
	if (rig_eal_start(cpu, 2, true) || rig_init(&rigs[0], 0) || rig_init(&rigs[1], 1) ||
	    !join())
		return 2;
	printf("AES-128-GCM, in; ns a packet\n   inner    SAs      stays  receiver      owner  "
	       "hand-over  owner's burst\n");
	return measure_size(64, 1) || measure_size(64, 1024);
}
