/* shrike_bench: what lcores do with ESP, through the real stages, beside what the crypto library
 * does alone. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>

#include "cpu.h"
#include "handover.h"
#include "install.h"
#include "report.h"

struct options {
	bool json, quick, verify, once, no_vaes, no_own;
	uint64_t hidden; /* IMB_FEATURE_* */
	unsigned cpu[RIG_MAX_LCORES], lcores, reps, packets, patience;
	const char *only;
};

/* The rows of the table, group by group. Sizes end with 1, RIG_IMIX is one of them. */
struct group {
	unsigned algs; /* the first of rig_algs */
	unsigned sas, policies, lcores;
	uint16_t size[7];
};

static const struct group groups[] = {
	{ 4, 1, 1, 1, { 64, 256, 512, 1024, 1420, RIG_IMIX, 1 } },
	{ 4, 1024, 1024, 1, { 64, 1420, RIG_IMIX, 1 } },
	{ 1, 10000, 10000, 1, { 64, 1420, RIG_IMIX, 1 } },
	{ 1, 100000, 100000, 1, { 64, 1420, 1 } },
	{ 1, 1, 10000, 1, { 64, 1 } },
	{ 4, 1, 1, 2, { 64, 1420, 1 } },
	{ 1, 1024, 1024, 2, { 64, 1 } },
};

static void usage(FILE *to)
{
	fputs("Usage: shrike_bench [options]\n"
	      "       shrike_bench install [options]   burst times while SAs are installed "
	      "(--help)\n"
	      "       shrike_bench handover            what a packet costs that another lcore "
	      "receives\n"
	      "  --json          print JSON instead of a table\n"
	      "  --quick         one lcore, fewer rows and repetitions, a few seconds\n"
	      "  --verify        time nothing: send packets out and back in, compare each\n"
	      "  --once          time nothing: send packets one way once (for valgrind "
	      "--tool=callgrind)\n"
	      "  --only TEXT     only rows whose \"DIRECTION ALGORITHM SIZE SAS POLICIES LCORES\" "
	      "contains\n"
	      "                  TEXT; the size may be IMIX\n"
	      "  --imitate zen3  hide AVX-512 and GFNI from IPsec-MB\n"
	      "  --no-vaes       leave the choice of code to IPsec-MB (see dataplane/cpu.h)\n"
	      "  --no-own-gcm    AES-GCM by IPsec-MB (see dataplane/gcm/gcm.h)\n"
	      "  --cpu N[,M]     run on these CPUs (default: the last one, and the one before)\n"
	      "  --reps N        repetitions (default 9; at most 1024)\n"
	      "  --packets N     packets a repetition (default 16384)\n"
	      "  --patience S    seconds that a row may wait for quiet moments (default 4)\n"
	      "  --help\n"
	      "\n"
	      "ns a packet: from the frame in memory (classify, policy, SA, headers, crypto, "
	      "route,\n"
	      "Ethernet header) to the transmit call, less what transmitting to net_null and "
	      "freeing costs\n"
	      "(column sink). Making the packets is not in it. Crypto alone: the code that the "
	      "gateway\n"
	      "uses on the same buffers, in turns with the rest; IPsec-MB alone likewise. Medians; "
	      "spread: the quartiles' distance. Each packet of a "
	      "burst has\n"
	      "an SA chosen at random. Two to one: packets of two lcores at work against those of "
	      "one\n"
	      "alone, and the same of the cryptography alone, which is what the CPUs themselves give. "
	      "IMIX: 7\n"
	      "packets of 64, 4 of 570 and 1 of 1420 bytes in twelve. A repetition during which a "
	      "calibration\n"
	      "loop ran slower by a tenth is done again, as long as there is patience; then those "
	      "count during\n"
	      "which it was least slow (noise: by how much, 1 = its best time).\n",
	      to);
}

static bool wanted(const struct options *o, enum sa_dir dir, const struct rig_case *c,
		   unsigned lcores)
{
	char size[8], name[128];

	if (o->quick && (lcores > 1 || c->n_sas > 1024 || (c->size != 64 && c->size != 1420)))
		return false;
	if (o->verify && lcores > 1)
		return false;
	snprintf(size, sizeof(size), c->size == RIG_IMIX ? "IMIX" : "%u", c->size);
	snprintf(name, sizeof(name), "%s %s %s %u %u %u", dir == SA_OUT ? "out" : "in",
		 c->alg->name, size, c->n_sas, c->n_policies, lcores);
	return !o->only || strstr(name, o->only);
}

static int row_run(struct rig *rigs, const struct options *o, enum sa_dir dir, unsigned lcores,
		   json_t *rows)
{
	struct result r;

	if (o->once)
		return measure_once(rigs, dir, o->packets);
	if (measure(rigs, lcores, dir, o->reps, o->packets, o->patience, &r))
		return -1;
	if (o->json)
		json_array_append_new(rows, report_row_json(&r));
	else
		report_row(&r);
	return 0;
}

/* One set-up serves both directions. */
static int case_run(struct rig *rigs, const struct options *o, const struct rig_case *c,
		    unsigned lcores, json_t *rows)
{
	bool want[2] = {
		[SA_IN] = wanted(o, SA_IN, c, lcores), [SA_OUT] = wanted(o, SA_OUT, c, lcores)
	};

	if ((!want[SA_IN] && !want[SA_OUT]) || lcores > o->lcores)
		return 0;
	for (unsigned i = 0; i < lcores; i++)
		if (rig_setup(&rigs[i], c))
			return -1;
	if (o->verify) {
		if (verify(rigs, o->packets))
			return -1;
		printf("%-18s %5u bytes %5u SAs: %u packets came back as they were\n", c->alg->name,
		       c->size, c->n_sas, o->packets);
		return 0;
	}
	for (int dir = SA_OUT; dir >= SA_IN; dir--)
		if (want[dir] && row_run(rigs, o, (enum sa_dir)dir, lcores, rows))
			return -1;
	return 0;
}

static int group_run(struct rig *rigs, const struct options *o, const struct group *g, json_t *rows)
{
	for (unsigned a = 0; a < g->algs; a++)
		for (const uint16_t *size = g->size; *size != 1; size++) {
			struct rig_case c = { &rig_algs[a], g->sas, g->policies, *size };

			if (case_run(rigs, o, &c, g->lcores, rows))
				return -1;
		}
	return 0;
}

static int run(struct rig *rigs, const struct options *o)
{
	bool table = !o->json && !o->verify && !o->once;
	json_t *rows = json_array();
	int err = 0;

	if (table)
		report_header(rigs);
	for (unsigned i = 0; i < RTE_DIM(groups) && !err; i++)
		err = group_run(rigs, o, &groups[i], rows);
	if (table && !err)
		report_footer();
	if (o->json && !err) {
		json_t *doc = json_pack("{s:i, s:o, s:O}", "version", 2, "machine",
					report_machine_json(rigs), "rows", rows);

		json_dumpf(doc, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
		putchar('\n');
		json_decref(doc);
	}
	json_decref(rows);
	return err;
}

/* ------------------------------------------------------------------------- options ---------- */

/* A positive number, up to max, and what follows it. 0: none. */
static unsigned number(const char *text, unsigned long max, char **end)
{
	unsigned long n = strtoul(text, end, 10);

	return *end == text || n > max ? 0 : (unsigned)n;
}

static bool count_read(const char *text, unsigned max, unsigned *out)
{
	char *end;

	*out = number(text, max, &end);
	return *out > 0 && !*end;
}

static bool cpus_read(const char *text, struct options *o)
{
	char *end = NULL;

	o->lcores = 0;
	do {
		if (o->lcores == RIG_MAX_LCORES)
			return false;
		o->cpu[o->lcores] = number(text, 1023, &end);
		if (end == text)
			return false;
		o->lcores++;
		text = end + 1;
	} while (*end == ',');
	return !*end;
}

static int options_read(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "quick", no_argument, NULL, 'q' },
		{ "verify", no_argument, NULL, 'v' },
		{ "once", no_argument, NULL, 'n' },
		{ "only", required_argument, NULL, 'o' },
		{ "cpu", required_argument, NULL, 'c' },
		{ "reps", required_argument, NULL, 'r' },
		{ "packets", required_argument, NULL, 'p' },
		{ "patience", required_argument, NULL, 's' },
		{ "imitate", required_argument, NULL, 'i' },
		{ "no-vaes", no_argument, NULL, 'x' },
		{ "no-own-gcm", no_argument, NULL, 'g' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	bool ok = true;
	int c;

	*o = (struct options){ .cpu = { (unsigned)cpus - 1, cpus > 1 ? (unsigned)cpus - 2 : 0 },
			       .lcores = cpus > 1 ? 2 : 1 };
	while (ok && (c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'j':
			o->json = true;
			break;
		case 'q':
			o->quick = true;
			break;
		case 'v':
			o->verify = true;
			break;
		case 'n':
			o->once = true;
			break;
		case 'o':
			o->only = optarg;
			break;
		case 'c':
			ok = cpus_read(optarg, o);
			break;
		case 'r':
			ok = count_read(optarg, MEASURE_MAX_REPS, &o->reps);
			break;
		case 'p':
			ok = count_read(optarg, 1u << 30, &o->packets);
			break;
		case 's':
			ok = count_read(optarg, 3600, &o->patience);
			break;
		case 'i':
			ok = strcmp(optarg, "zen3") == 0;
			o->hidden = CPU_ZEN3_LACKS;
			break;
		case 'x':
			o->no_vaes = true;
			break;
		case 'g':
			o->no_own = true;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			ok = false;
		}
	}
	if (!ok || optind < argc) {
		usage(stderr);
		return -1;
	}
	if (o->quick || o->verify || o->once)
		o->lcores = 1;
	if (!o->reps)
		o->reps = o->quick ? 3 : 9;
	if (!o->packets)
		o->packets = o->quick ? 4096 : 16384;
	if (!o->patience)
		o->patience = o->quick ? 1 : 4;
	return 0;
}

int main(int argc, char **argv)
{
	static struct rig rigs[RIG_MAX_LCORES];
	struct options o;
	int err = 0;

	if (argc > 1 && strcmp(argv[1], "install") == 0)
		return install_main(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "handover") == 0)
		return handover_main(argc - 1, argv + 1);
	if (options_read(&o, argc, argv))
		return 2;
	cpu_hide(o.hidden);
	cpu_vaes_allow(!o.no_vaes);
	cpu_gcm_allow(!o.no_own);
	if (rig_eal_start(o.cpu, o.lcores, !o.once))
		return 2;
	for (unsigned i = 0; i < o.lcores; i++)
		if (rig_init(&rigs[i], i))
			return 2;
	err = run(rigs, &o);
	for (unsigned i = 0; i < o.lcores; i++)
		rig_fini(&rigs[i]);
	rte_eal_cleanup();
	return err ? 1 : 0;
}
