/* shrike_ike_bench: what the IKE engine does in a second, and how long one negotiation takes. No
 * DPDK in it. */
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loopback.h"
#include "pairs.h"
#include "secret.h"

#define ARENA        (32 << 20)
#define MODP_PEERS   3000
#define CURVE_PEERS  8000
#define QUICK_PEERS  2000
#define QUICK_ROUNDS 6
#define PFS_ROUNDS   2
#define LATENCY_N    100
#define REPS         3

static const char *const groups[] = { "modp2048", "ecp256", "x25519" };
#define N_GROUPS (sizeof(groups) / sizeof(groups[0]))

static void usage(FILE *to)
{
	fputs("Usage: scripts/bench ike [options]\n"
	      "  --json       print JSON instead of tables\n"
	      "  --quick      a tenth of everything: does it work?\n"
	      "  --only TEXT  only rows whose name contains TEXT (\"pair modp2048\", \"quick\", "
	      "\"quick x25519\", \"loopback x25519\")\n"
	      "\n"
	      "One thread runs the engine (on CPU 0) and one the public-key maths (on another "
	      "CPU). The clock runs while\n"
	      "the gateway has something to do; its peers work in between. Maths alone: one key "
	      "pair and one shared\n"
	      "secret, on the maths' CPU, in the same run; the faster of dh.c's way and EVP_PKEY's "
	      "(what openssl speed\n"
	      "times) is what the share is of. Of three repetitions the middle one is shown.\n",
	      to);
}

struct options {
	bool json, quick;
	const char *only;
};

static json_t *cpu_json(void)
{
	char line[256], name[200] = "unknown";
	FILE *f = fopen("/proc/cpuinfo", "r");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "model name : %199[^\n]", name) == 1)
			break;
	if (f)
		fclose(f);
	return json_pack("{s:s, s:i}", "cpu", name, "cpus", (int)sysconf(_SC_NPROCESSORS_ONLN));
}

static void rate_print(const char *what, const char *group, const struct rate *r)
{
	printf("%-16s %8.0f /s  CPU: control %5.1f us, public keys %6.1f us", what, r->per_second,
	       r->control_us, r->public_key_us);
	if (group)
		printf("  maths alone %6.1f us (EVP %6.1f)  share %3.0f %%", r->maths_us, r->evp_us,
		       100 * r->share);
	printf("\n");
	fflush(stdout);
}

static json_t *rate_json(const char *kind, const char *group, const struct rate *r)
{
	return json_pack("{s:s, s:s?, s:i, s:f, s:f, s:f, s:f, s:f, s:f}", "kind", kind, "group",
			 group, "done", (int)r->done, "per_second", r->per_second, "control_us",
			 r->control_us, "public_key_us", r->public_key_us, "maths_alone_us",
			 r->maths_us, "evp_alone_us", r->evp_us, "share", r->share);
}

static int by_rate(const void *a, const void *b)
{
	const struct rate *x = a, *y = b;
	bool shares = x->share > 0; /* what the neighbours of a virtual machine disturb least */
	double dx = shares ? x->share : x->per_second, dy = shares ? y->share : y->per_second;

	return (dx > dy) - (dx < dy);
}

static bool rate_once(const struct options *o, bool pair, const char *group, struct rate *r)
{
	bool modp = group && strncmp(group, "modp", 4) == 0;
	unsigned part = o->quick ? 10 : 1;

	if (pair)
		return pairs_measure(group, (modp ? MODP_PEERS : CURVE_PEERS) / part, r);
	return quick_measure(group, QUICK_PEERS / part, group ? PFS_ROUNDS : QUICK_ROUNDS, r);
}

/* pair: Main Mode and Quick Mode; otherwise Quick Mode alone, with PFS where there is a group. */
static bool rate_row(const struct options *o, bool pair, const char *group, json_t *rows)
{
	unsigned reps = o->quick ? 1 : REPS;
	struct rate r[REPS];
	char what[64];

	snprintf(what, sizeof(what), "%s %s", pair ? "pair" : "quick", group ? group : "no-pfs");
	if (o->only && !strstr(what, o->only))
		return true;
	for (unsigned i = 0; i < reps; i++)
		if (!rate_once(o, pair, group, &r[i]))
			return false;
	qsort(r, reps, sizeof(r[0]), by_rate);
	r[0] = r[reps / 2];
	if (!o->json)
		rate_print(what, group, &r[0]);
	json_array_append_new(rows, rate_json(pair ? "main+quick" : "quick", group, &r[0]));
	return true;
}

static bool loopback_row(const struct options *o, const char *group, json_t *rows)
{
	struct latency mm, qm;
	char what[64];

	snprintf(what, sizeof(what), "loopback %s", group);
	if (o->only && !strstr(what, o->only))
		return true;
	if (!loopback_measure(group, LATENCY_N / (o->quick ? 10 : 1), &mm, &qm))
		return false;
	if (!o->json)
		printf("%-28s Main Mode %.2f ms (90 %%: %.2f), Quick Mode %.2f ms (90 %%: %.2f)\n",
		       what, mm.median_ms, mm.p90_ms, qm.median_ms, qm.p90_ms);
	json_array_append_new(rows, json_pack("{s:s, s:i, s:f, s:f, s:f, s:f}", "group", group, "n",
					      (int)mm.n, "main_median_ms", mm.median_ms,
					      "main_p90_ms", mm.p90_ms, "quick_median_ms",
					      qm.median_ms, "quick_p90_ms", qm.p90_ms));
	return true;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = { { "json", no_argument, NULL, 'j' },
					       { "quick", no_argument, NULL, 'q' },
					       { "only", required_argument, NULL, 'o' },
					       { "help", no_argument, NULL, 'h' },
					       { 0 } };
	json_t *rates = json_array(), *latencies = json_array(), *doc;
	struct options o = { 0 };
	bool ok = true;
	int c;

	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (c == 'h' || c == '?') {
			usage(c == 'h' ? stdout : stderr);
			return c == 'h' ? 0 : 2;
		}
		o.json |= c == 'j';
		o.quick |= c == 'q';
		if (c == 'o')
			o.only = optarg;
	}
	secret_init(ARENA);
	for (unsigned i = 0; ok && i < N_GROUPS; i++)
		ok = rate_row(&o, true, groups[i], rates);
	ok = ok && rate_row(&o, false, NULL, rates);
	for (unsigned i = 0; ok && i < N_GROUPS; i++)
		ok = rate_row(&o, false, groups[i], rates);
	for (unsigned i = 0; ok && i < N_GROUPS; i++)
		ok = loopback_row(&o, groups[i], latencies);
	doc = json_pack("{s:s, s:o, s:o, s:o}", "bench", "ike", "machine", cpu_json(), "rates",
			rates, "loopback", latencies);
	if (ok && o.json)
		json_dumpf(doc, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
	json_decref(doc);
	return ok ? 0 : 1;
}
