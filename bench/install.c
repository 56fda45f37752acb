/* Does installing SAs delay packets? One lcore encrypts (or decrypts) at full load with an SA for
 * each of many policies, while control, on another CPU, rekeys all of them through the real
 * installation path at a given rate; in turns with the same without. Every burst's time counts,
 * commands included.
 *
 * A virtual machine stops at times whatever runs on it. So that such stops are not taken for
 * delays, the lcore spins as long as a burst takes after every burst, touching nothing: stops
 * during that are the machine's. What installing itself takes, the commands at the start of a
 * burst, is timed apart, too: by so much a burst is delayed. */
#include "install.h"

#include <getopt.h>
#include <pthread.h>
#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_ring_elem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "dp.h"
#include "rig.h"

#define RING       1024
#define BURSTS_MAX 4000000
#define LATE_NS    50000 /* the promise: no burst waits longer */
#define TURNS      3
#define SPIN_STEPS 3000

struct options {
	unsigned sas, rate, size;
	double seconds;
	enum sa_dir dir;
};

/* The times of one kind of piece, nanoseconds. */
struct times {
	uint32_t *ns;
	unsigned n, late;
	double sum;
};

struct run {
	struct rig *rig;
	const struct options *o;
	int stop;
	/* lcore: rw until it ends */
	struct times all, busy, spin; /* bursts; those that ran commands; the machine alone */
	struct times cmd;             /* the commands of those that ran some, without the packets */
	unsigned switched;            /* late bursts during which Linux ran something else here */
	uint64_t packets, commands;
	unsigned next; /* number of the next packet */
	bool alone;
	double median[TURNS]; /* of each turn's bursts, microseconds */
	unsigned turns;
};

/* ------------------------------------------------------------------------- times ------------ */

static bool times_init(struct times *t)
{
	t->ns = malloc(BURSTS_MAX * sizeof(*t->ns));
	if (t->ns) /* no page of it is new when it counts */
		memset(t->ns, 1, BURSTS_MAX * sizeof(*t->ns));
	return t->ns;
}

static void times_add(struct times *t, uint64_t ns)
{
	if (t->n < BURSTS_MAX)
		t->ns[t->n++] = (uint32_t)RTE_MIN(ns, (uint64_t)UINT32_MAX);
	t->sum += (double)ns;
	t->late += ns > LATE_NS;
}

static int u32_cmp(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static double at(const struct times *t, double share)
{
	return t->n ? t->ns[(unsigned)((t->n - 1) * share)] / 1e3 : 0;
}

static void times_print(const char *what, struct times *t)
{
	qsort(t->ns, t->n, sizeof(*t->ns), u32_cmp);
	printf("  %-26s %8u %8.2f %8.2f %8.2f %8.2f %9.2f %5u %7.2f\n", what, t->n, at(t, 0.5),
	       at(t, 0.99), at(t, 0.999), at(t, 0.9999), at(t, 1), t->late,
	       t->sum > 0 ? t->late / (t->sum / 1e9) : 0);
}

/* ------------------------------------------------------------------------- the lcore -------- */

static long switches(void)
{
	struct rusage u;

	getrusage(RUSAGE_THREAD, &u);
	return u.ru_nivcsw;
}

/* Other programs wait while the lcore works, where we may say so: as on a CPU of its own. */
static bool alone(bool on)
{
	struct sched_param p = { .sched_priority = on };

	return pthread_setschedparam(pthread_self(), on ? SCHED_FIFO : SCHED_OTHER, &p) == 0;
}

/* Nothing but registers, about as long as a burst. */
static uint64_t spin(void)
{
	uint64_t start = rte_rdtsc(), x = start;

	for (unsigned i = 0; i < SPIN_STEPS; i++) {
		x ^= x << 13, x ^= x >> 7;
		__asm__ volatile("" : "+r"(x));
	}
	return rte_rdtsc() - start;
}

/* A round of the lcore, as lcore_round() has it, but for the packets' source. cmd_ticks: the
 * commands' part of ticks. */
static unsigned burst(struct run *run, uint64_t *ticks, uint64_t *cmd_ticks)
{
	struct lcore *lc = run->rig->gw[run->o->dir];
	struct rte_mbuf *pkts[RIG_BURST];
	unsigned commands;
	uint64_t start;

	if (run->o->dir == SA_OUT) {
		traffic_clear(run->rig, pkts, run->next);
	} else {
		if (run->next % run->rig->n_frames == 0)
			traffic_replay_reset(run->rig);
		traffic_esp(run->rig, pkts, run->next);
	}
	run->next += RIG_BURST;
	start = lc->now_tsc = rte_rdtsc();
	commands = lcore_commands(lc);
	*cmd_ticks = rte_rdtsc() - start;
	if (run->o->dir == SA_OUT)
		rig_way_out(lc, pkts, RIG_BURST, NULL);
	else
		rig_way_in(lc, pkts, RIG_BURST, NULL);
	lcore_flush(lc);
	*ticks = rte_rdtsc() - start;
	return commands;
}

static int lcore_run(void *arg)
{
	struct run *run = arg;
	double ns = 1e9 / (double)rte_get_tsc_hz();
	long before = switches(), now;
	uint64_t ticks, cmd_ticks, t;

	run->next = 0; /* the turn before left other frames behind */
	run->alone = alone(true);
	while (!__atomic_load_n(&run->stop, __ATOMIC_ACQUIRE)) {
		unsigned commands = burst(run, &ticks, &cmd_ticks);

		t = (uint64_t)((double)ticks * ns);
		times_add(&run->all, t);
		if (commands) {
			times_add(&run->busy, t);
			times_add(&run->cmd, (uint64_t)((double)cmd_ticks * ns));
		}
		run->commands += commands;
		run->packets += RIG_BURST;
		if (t > LATE_NS) {
			now = switches();
			run->switched += now != before;
			before = now;
		}
		times_add(&run->spin, (uint64_t)((double)spin() * ns));
		if (run->spin.ns[run->spin.n - 1] > LATE_NS)
			before = switches();
	}
	alone(false);
	/* what control has sent still happens */
	while (lcore_commands(run->rig->gw[run->o->dir]))
		;
	return 0;
}

/* ------------------------------------------------------------------------- control ---------- */

static struct dp *dp;
static struct sa_ref *current; /* of every policy */
static uint64_t rekeyed;

static void stored(void *ctx, const struct sa_ref *ref, enum sa_dir dir)
{
	const struct pair *pair = &dp->worker[0].pair[ref->slot];
	uint32_t policy = pair->policy;

	(void)ctx;
	if (dir != SA_OUT)
		return;
	if (current[policy].spi) {
		dp_sa_remove(dp, &current[policy], SA_OUT);
		dp_sa_remove(dp, &current[policy], SA_IN);
		dp_sa_release(dp, &current[policy]);
	}
	current[policy] = *ref;
	rekeyed++;
}

static void events_take(void)
{
	struct evt evt[64];
	unsigned n;

	command_flush(&dp->worker[0]);
	n = rte_ring_sc_dequeue_burst_elem(dp->worker[0].lc->evt, evt, sizeof(evt[0]), 64, NULL);
	for (unsigned i = 0; i < n; i++)
		event_handle(dp, &dp->worker[0], &evt[i]);
}

static int rekey(const struct rig *rig, uint32_t policy)
{
	struct sa_params p = {
		.policy = policy,
		.proto = SA_ESP,
		.mode = SA_TUNNEL,
		.encr = rig->now.alg->encr,
		.key_bits = rig->now.alg->key_bits,
		.integ = rig->now.alg->integ,
		.local = ip_addr_v4(GW_OUT),
		.remote = ip_addr_v4(GW_IN),
		.copy_dscp = true,
		.sel = { .local = { ip_addr_v4(0x0a010000), ip_addr_v4(0x0a01ffff) },
			 .remote = { ip_addr_v4(DST_NET + policy), ip_addr_v4(DST_NET + policy) } },
	};
	int rc = dp_sa_reserve(dp, 0, &p.ref);

	memset(p.key, (int)rekeyed, sizeof(p.key));
	p.spi = p.ref.spi;
	for (enum sa_dir dir = SA_IN; rc == 0 && dir <= SA_OUT; dir++) {
		p.dir = dir;
		rc = dp_sa_install(dp, &p);
	}
	return rc;
}

/* Installs at the rate (0: nothing) until the time is over. Returns how many pairs, or -1. */
static long control_run(const struct rig *rig, double seconds, unsigned rate)
{
	static uint32_t policy;
	uint64_t hz = rte_get_tsc_hz(), start = rte_rdtsc();
	uint64_t end = start + (uint64_t)(seconds * (double)hz);
	long n = 0;

	for (uint64_t now = start; now < end; now = rte_rdtsc()) {
		while ((double)n < (double)(now - start) / (double)hz * rate) {
			if (rekey(rig, policy++ % rig->now.n_sas))
				return -1;
			n++;
			events_take();
		}
		events_take();
	}
	return n;
}

static bool control_init(struct rig *rig, enum sa_dir dir)
{
	struct lcore *lc = rig->gw[dir];
	struct sa_ref taken;

	lc->cmd = rte_ring_create_elem("install_cmd", sizeof(struct cmd), RING, SOCKET_ID_ANY,
				       RING_F_SP_ENQ | RING_F_SC_DEQ);
	lc->evt = rte_ring_create_elem("install_evt", sizeof(struct evt), RING, SOCKET_ID_ANY,
				       RING_F_SP_ENQ | RING_F_SC_DEQ);
	dp = calloc(1, sizeof(*dp));
	current = calloc(rig->now.n_sas, sizeof(*current));
	if (!lc->cmd || !lc->evt || !dp || !current)
		return false;
	dp->n_workers = 1;
	dp->worker[0].lc = lc;
	dp->worker[0].lcore_id = rte_get_next_lcore(-1, 1, 0);
	dp->spi = lc->spi;
	dp->sa_slots = 1u << SLOT_BITS;
	dp->fib = lc->fib;
	dp->mb = lc->mb;
	dp->cb.on_sa_stored = stored;
	if (slots_init(&dp->worker[0], dp->sa_slots) || senders_init(dp))
		return false;
	for (unsigned i = 0; i < rig->now.n_sas; i++) /* the rig's own SAs lie there */
		if (dp_sa_reserve(dp, 0, &taken) || taken.slot != i)
			return false;
	return true;
}

/* ------------------------------------------------------------------------- the turns -------- */

/* Of the bursts from the first one on, microseconds. */
static double median_since(const struct times *t, unsigned first)
{
	unsigned n = t->n - first;
	uint32_t *ns = malloc((n + 1) * sizeof(*ns));
	double median;

	if (!ns || n == 0) {
		free(ns);
		return 0;
	}
	memcpy(ns, t->ns + first, n * sizeof(*ns));
	qsort(ns, n, sizeof(*ns), u32_cmp);
	median = ns[n / 2] / 1e3;
	free(ns);
	return median;
}

/* A turn with or without installing; adds to run. */
static int turn(struct run *run, bool install)
{
	unsigned worker = rte_get_next_lcore(-1, 1, 0), first = run->all.n;
	long n;

	run->stop = 0;
	if (rte_eal_remote_launch(lcore_run, run, worker))
		return -1;
	n = control_run(run->rig, run->o->seconds, install ? run->o->rate : 0);
	__atomic_store_n(&run->stop, 1, __ATOMIC_RELEASE);
	rte_eal_wait_lcore(worker);
	for (unsigned i = 0; i < 4 * RING; i++) {
		events_take();
		lcore_commands(run->rig->gw[run->o->dir]);
	}
	run->median[run->turns++] = median_since(&run->all, first);
	return n < 0 ? -1 : 0;
}

static void report(struct run *run, bool install)
{
	printf("%s\n", install ? "with installing" : "without installing");
	times_print("bursts", &run->all);
	if (install) {
		times_print("bursts that ran commands", &run->busy);
		times_print("their commands alone", &run->cmd);
	}
	times_print("the machine alone (spin)", &run->spin);
	printf("  p50 of the bursts of each turn:");
	for (unsigned i = 0; i < run->turns; i++)
		printf(" %.2f", run->median[i]);
	printf("\n  %u of the late bursts had Linux run something else on this CPU%s\n",
	       run->switched, run->alone ? " (the lcore is SCHED_FIFO)" : "");
}

static int measure_turns(struct rig *rig, const struct options *o)
{
	static struct run run[2];
	const struct lcore *lc = rig->gw[o->dir];
	const uint64_t *done =
		o->dir == SA_OUT ? &lc->count.esp_out_packets : &lc->count.esp_in_packets;
	uint64_t before, drops, offered;

	for (unsigned i = 0; i < 2; i++) {
		run[i].rig = rig;
		run[i].o = o;
		if (!times_init(&run[i].all) || !times_init(&run[i].busy) ||
		    !times_init(&run[i].cmd) || !times_init(&run[i].spin))
			return -1;
	}
	/* every policy gets a pair of control's first, and everything is warm */
	for (uint32_t i = 0; i < o->sas; i++) {
		if (rekey(rig, i))
			return -1;
		lcore_commands(rig->gw[o->dir]);
		events_take();
	}
	for (unsigned i = 0; i < 4 * RING; i++) {
		lcore_commands(rig->gw[o->dir]);
		events_take();
	}
	rekeyed = 0;
	before = *done;
	drops = rig_drops(lc);
	for (unsigned i = 0; i < 2 * TURNS; i++)
		if (turn(&run[i % 2], i % 2))
			return -1;
	offered = run[0].packets + run[1].packets;
	printf("%s, %u bytes, %u pairs: %s; %llu pairs rekeyed at %u a second: %llu commands\n",
	       rig->now.alg->name, o->size, o->sas, o->dir == SA_OUT ? "out" : "in",
	       (unsigned long long)rekeyed, o->rate, (unsigned long long)run[1].commands);
	printf("  microseconds of a burst       count      p50      p99    p99.9   p99.99       "
	       "max  "
	       ">50  per s\n");
	report(&run[0], false);
	report(&run[1], true);
	printf("packets: %llu offered, %llu done, %llu dropped; effective blocked time = loss / "
	       "offered "
	       "load = %.9f s\n",
	       (unsigned long long)offered, (unsigned long long)(*done - before),
	       (unsigned long long)(rig_drops(lc) - drops),
	       (double)(offered - (*done - before)) /
		       ((double)run[1].packets / (run[1].all.sum / 1e9)));
	return offered == *done - before && rig_drops(lc) == drops ? 0 : 1;
}

/* ------------------------------------------------------------------------- options ---------- */

static void usage(FILE *to)
{
	fputs("Usage: shrike_bench install [options]\n"
	      "  --pairs N      SA pairs, each with a policy and its share of the packets (10000)\n"
	      "  --rate N       pairs rekeyed a second (10000)\n"
	      "  --seconds S    of each of six turns, without and with installing (1)\n"
	      "  --size N       bytes of the inner packets (64)\n"
	      "  --in           the way in; the pairs that carry its packets stay, others are "
	      "rekeyed\n"
	      "Exit code 1 when a packet was lost.\n",
	      to);
}

static int options_read(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "pairs", required_argument, NULL, 'p' },
		{ "rate", required_argument, NULL, 'r' },
		{ "seconds", required_argument, NULL, 's' },
		{ "size", required_argument, NULL, 'z' },
		{ "in", no_argument, NULL, 'i' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int c;

	*o = (struct options){
		.sas = 10000, .rate = 10000, .size = 64, .seconds = 1, .dir = SA_OUT
	};
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'p':
			o->sas = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'r':
			o->rate = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 's':
			o->seconds = strtod(optarg, NULL);
			break;
		case 'z':
			o->size = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'i':
			o->dir = SA_IN;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			usage(stderr);
			return -1;
		}
	}
	if (optind < argc || o->sas < 1 || o->sas > 40000 || o->rate < 1 || o->rate > 1000000 ||
	    !(o->seconds > 0 && o->seconds <= 60) || o->size < 64 || o->size > RIG_MAX_INNER) {
		usage(stderr);
		return -1;
	}
	return 0;
}

int install_main(int argc, char **argv)
{
	static struct rig rig;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned cpu[2] = { cpus > 1 ? (unsigned)cpus - 2 : 0, (unsigned)cpus - 1 };
	struct rig_case c = { .alg = &rig_algs[0] };
	struct options o;
	int rc;

	if (options_read(&o, argc, argv))
		return 2;
	c.n_sas = c.n_policies = o.sas;
	c.size = (uint16_t)o.size;
	if (rig_eal_start(cpu, 2, true) || rig_init(&rig, 0) || rig_setup(&rig, &c))
		return 2;
	if (!control_init(&rig, o.dir)) {
		fprintf(stderr, "bench: no memory\n");
		return 2;
	}
	rc = measure_turns(&rig, &o);
	if (rc < 0)
		fprintf(stderr, "bench: an SA was refused\n");
	fflush(stdout);
	return rc < 0 ? 2 : rc;
}
