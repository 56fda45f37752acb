/* shrike_bench: what one lcore does with ESP, through the real stages, beside what the crypto library
 * does alone. */
#include <getopt.h>
#include <jansson.h>
#include <rte_eal.h>
#include <rte_version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "measure.h"

static const uint16_t sizes[] = { 64, 256, 512, 1024, 1420 };
static const unsigned sa_counts[] = { 1, 1024 };

struct options {
	bool json, quick, verify;
	unsigned cpu, reps, packets;
	const char *only;
};

static void usage(FILE *to)
{
	fputs("Usage: shrike_bench [options]\n"
	      "  --json          print JSON instead of a table\n"
	      "  --quick         fewer rows and repetitions, a few seconds\n"
	      "  --verify        time nothing: send packets out and back in, compare each\n"
	      "  --only TEXT     only rows whose \"DIRECTION ALGORITHM SIZE SAS\" contains TEXT\n"
	      "  --cpu N         run on this CPU (default: the last one)\n"
	      "  --reps N        repetitions (default 9; at most 1024)\n"
	      "  --packets N     packets a repetition (default 16384)\n"
	      "  --help\n"
	      "\n"
	      "ns/packet: from the frame in memory (classify, policy, SA, headers, crypto, route,\n"
	      "Ethernet header) to the transmit call, less what transmitting to net_null and freeing costs\n"
	      "(column sink). Making the packets is not in it. crypto: IPsec-MB called alone on the same\n"
	      "buffers, in turns with the rest. Medians; spread: the quartiles' distance.\n",
	      to);
}

/* ------------------------------------------------------------------------- what we run on --- */

static void cpu_model(char *buf, size_t size)
{
	FILE *f = fopen("/proc/cpuinfo", "r");
	char line[256];

	snprintf(buf, size, "unknown");
	while (f && fgets(line, sizeof(line), f)) {
		char *colon = strchr(line, ':');

		if (colon && strncmp(line, "model name", 10) == 0) {
			colon[strcspn(colon, "\n")] = 0;
			snprintf(buf, size, "%s", colon + 2);
			break;
		}
	}
	if (f)
		fclose(f);
}

static const char *crypto_path(const struct rig *rig)
{
	switch (rig->gw[0]->mb->used_arch) {
	case IMB_ARCH_SSE:
		return "SSE";
	case IMB_ARCH_AVX2:
		return "AVX2";
	case IMB_ARCH_AVX512:
		return rig->gw[0]->mb->features & IMB_FEATURE_VAES ? "AVX512, VAES" : "AVX512";
	default:
		return "other";
	}
}

static json_t *machine_json(const struct rig *rig)
{
	struct utsname uts;
	char cpu[128], when[32];
	time_t now = time(NULL);

	uname(&uts);
	cpu_model(cpu, sizeof(cpu));
	strftime(when, sizeof(when), "%FT%TZ", gmtime(&now));
	return json_pack("{s:s, s:s, s:i, s:s, s:s, s:s, s:s, s:b}", "time", when, "cpu", cpu, "cpus",
			 (int)sysconf(_SC_NPROCESSORS_ONLN), "kernel", uts.release, "dpdk",
			 rte_version(), "ipsec_mb", imb_get_version_str(), "ipsec_mb_path",
			 crypto_path(rig), "huge_pages", rte_eal_has_hugepages() != 0);
}

/* ------------------------------------------------------------------------- rows ------------- */

static double share(const struct result *r)
{
	return r->crypto.median / r->net;
}

static double gbits(const struct result *r)
{
	return r->size * 8 / r->net;
}

static void row_print(const struct result *r)
{
	printf("%-3s  %-18s %5u %5u  %8.1f %6.1f %7.2f %7.2f  %8.1f %6.0f %%  %6.1f\n",
	       r->dir == SA_OUT ? "out" : "in", r->alg->name, r->size, r->n_sas, r->net,
	       r->gross.high - r->gross.low, 1e3 / r->net, gbits(r), r->crypto.median, 100 * share(r),
	       r->sink.median);
	fflush(stdout);
}

static json_t *stat_json(const struct stat *s)
{
	return json_pack("{s:f, s:f, s:f}", "median", s->median, "q1", s->low, "q3", s->high);
}

static json_t *stages_json(const struct result *r)
{
	return json_pack("{s:o, s:o, s:o, s:o}", "classify", stat_json(&r->stage[RIG_CLASSIFY]),
			 "policy", stat_json(&r->stage[RIG_POLICY]), "esp",
			 stat_json(&r->stage[RIG_ESP]), "forward_and_sink",
			 stat_json(&r->stage[RIG_FORWARD]));
}

static json_t *row_json(const struct result *r)
{
	return json_pack("{s:s, s:s, s:i, s:i, s:f, s:f, s:f, s:f, s:o, s:o, s:o, s:o}", "direction",
			 r->dir == SA_OUT ? "out" : "in", "algorithm", r->alg->name, "inner_bytes",
			 (int)r->size, "sas", (int)r->n_sas, "ns_per_packet", r->net, "mpps",
			 1e3 / r->net, "gbit_per_second", gbits(r), "crypto_share", share(r), "gross_ns",
			 stat_json(&r->gross), "sink_ns", stat_json(&r->sink), "crypto_ns",
			 stat_json(&r->crypto), "stages_ns", stages_json(r));
}

static bool wanted(const struct options *o, enum sa_dir dir, const struct rig_alg *alg, uint16_t size,
		   unsigned sas)
{
	char name[96];

	if (o->quick && size != 64 && size != 1420)
		return false;
	snprintf(name, sizeof(name), "%s %s %u %u", dir == SA_OUT ? "out" : "in", alg->name, size, sas);
	return !o->only || strstr(name, o->only);
}

/* One set-up serves both directions. */
static int cases_run(struct rig *rig, const struct options *o, const struct rig_alg *alg,
		     unsigned sas, uint16_t size, json_t *rows)
{
	bool want_out = wanted(o, SA_OUT, alg, size, sas), want_in = wanted(o, SA_IN, alg, size, sas);

	if (!want_out && !want_in)
		return 0;
	if (rig_setup(rig, alg, sas, size))
		return -1;
	if (o->verify) {
		if (verify(rig, o->packets))
			return -1;
		printf("%-18s %5u bytes %5u SAs: %u packets came back as they were\n", alg->name, size,
		       sas, o->packets);
		return 0;
	}
	for (int dir = SA_OUT; dir >= SA_IN; dir--) {
		struct result r;

		if (!(dir == SA_OUT ? want_out : want_in))
			continue;
		if (measure(rig, (enum sa_dir)dir, o->reps, o->packets, &r))
			return -1;
		if (o->json)
			json_array_append_new(rows, row_json(&r));
		else
			row_print(&r);
	}
	return 0;
}

static void header_print(const struct rig *rig)
{
	char cpu[128];

	cpu_model(cpu, sizeof(cpu));
	printf("%s; %s; IPsec-MB %s (%s); %s\n\n", cpu, rte_version(), imb_get_version_str(),
	       crypto_path(rig), rte_eal_has_hugepages() ? "huge pages" : "no huge pages");
	printf("                                           of inner bytes         IPsec-MB   share\n");
	printf("dir  algorithm          inner   SAs  ns/packet spread    Mpps  Gbit/s    alone, ns  of it"
	       "      sink\n");
}

static int run(struct rig *rig, const struct options *o)
{
	json_t *rows = json_array();
	int err = 0;

	if (!o->json && !o->verify)
		header_print(rig);
	for (unsigned s = 0; s < RTE_DIM(sa_counts); s++)
		for (unsigned a = 0; a < rig_n_algs; a++)
			for (unsigned z = 0; z < RTE_DIM(sizes) && !err; z++)
				err = cases_run(rig, o, &rig_algs[a], sa_counts[s], sizes[z], rows);
	if (o->json && !err) {
		json_t *doc = json_pack("{s:i, s:o, s:O}", "version", 1, "machine", machine_json(rig),
					"rows", rows);

		json_dumpf(doc, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
		putchar('\n');
		json_decref(doc);
	}
	json_decref(rows);
	return err;
}

static int options_read(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, 'j' },	  { "quick", no_argument, NULL, 'q' },
		{ "verify", no_argument, NULL, 'v' },	  { "only", required_argument, NULL, 'o' },
		{ "cpu", required_argument, NULL, 'c' },  { "reps", required_argument, NULL, 'r' },
		{ "packets", required_argument, NULL, 'p' }, { "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int c;

	*o = (struct options){ .cpu = (unsigned)sysconf(_SC_NPROCESSORS_ONLN) - 1 };
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'j': o->json = true; break;
		case 'q': o->quick = true; break;
		case 'v': o->verify = true; break;
		case 'o': o->only = optarg; break;
		case 'c': o->cpu = (unsigned)atoi(optarg); break;
		case 'r': o->reps = (unsigned)atoi(optarg); break;
		case 'p': o->packets = (unsigned)atoi(optarg); break;
		case 'h': usage(stdout); exit(0);
		default: usage(stderr); return -1;
		}
	}
	if (optind < argc || o->reps > MEASURE_MAX_REPS) {
		usage(stderr);
		return -1;
	}
	if (!o->reps)
		o->reps = o->quick ? 3 : 9;
	if (!o->packets)
		o->packets = o->quick ? 4096 : 16384;
	return 0;
}

int main(int argc, char **argv)
{
	static struct rig rig;
	struct options o;
	int err;

	if (options_read(&o, argc, argv))
		return 2;
	if (rig_start(&rig, o.cpu))
		return 2;
	err = run(&rig, &o);
	rig_stop(&rig);
	return err ? 1 : 0;
}
