#include "report.h"

#include <rte_eal.h>
#include <rte_version.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "calibrate.h"
#include "cpu.h"

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

json_t *report_machine_json(const struct rig *rig)
{
	struct utsname uts;
	char cpu[128], when[32];
	time_t now = time(NULL);

	uname(&uts);
	cpu_model(cpu, sizeof(cpu));
	strftime(when, sizeof(when), "%FT%TZ", gmtime(&now));
	return json_pack("{s:s, s:s, s:i, s:s, s:s, s:s, s:s, s:b, s:f, s:f}", "time", when, "cpu",
			 cpu, "cpus", (int)sysconf(_SC_NPROCESSORS_ONLN), "kernel", uts.release,
			 "dpdk", rte_version(), "ipsec_mb", imb_get_version_str(), "ipsec_mb_path",
			 cpu_path(rig->gw[0]->mb), "huge_pages", rte_eal_has_hugepages() != 0,
			 "calibration_us", calibrate_best_us(), "disturbed", calibrate_disturbed());
}

static double share(const struct result *r)
{
	return r->crypto.median / r->lcores / r->net;
}

static double gbits(const struct result *r)
{
	return r->bytes * 8 / r->net;
}

static const char *size_text(const struct result *r, char *buf, size_t size)
{
	if (r->what.size == RIG_IMIX)
		snprintf(buf, size, "IMIX");
	else
		snprintf(buf, size, "%u", r->what.size);
	return buf;
}

void report_header(const struct rig *rig)
{
	char cpu[128];

	cpu_model(cpu, sizeof(cpu));
	printf("%s; %s; IPsec-MB %s (%s); %s\n\n", cpu, rte_version(), imb_get_version_str(),
	       cpu_path(rig->gw[0]->mb), rte_eal_has_hugepages() ? "huge pages" : "no huge pages");
	printf("                                      poli-            ns a             of inner "
	       "bytes    crypto  share  IPsec-MB                 two to  crypto\n"
	       "dir  algorithm          inner    SAs  cies lcores    packet spread    Mpps  Gbit/s "
	       " alone, ns  of it  alone, ns  sink  noise     one   alone\n");
}

void report_row(const struct result *r)
{
	char size[8], scale[32] = "";

	if (r->lcores > 1)
		snprintf(scale, sizeof(scale), "%8.2f %7.2f", r->scale.median, r->crypto_scale.median);
	printf("%-3s  %-18s %5s %6u %6u %5u  %8.1f %6.1f %7.2f %7.2f  %8.1f %5.0f %%  %8.1f %6.1f %6.2f%s\n",
	       r->dir == SA_OUT ? "out" : "in", r->what.alg->name, size_text(r, size, sizeof(size)),
	       r->what.n_sas, r->what.n_policies, r->lcores, r->net, r->gross.high - r->gross.low,
	       1e3 / r->net, gbits(r), r->crypto.median, 100 * share(r), r->library.median,
	       r->sink.median, r->calibration / calibrate_best_us(), scale);
	fflush(stdout);
}

void report_footer(void)
{
	printf("\ncalibration: %.1f us at best; %.0f %% of %s were slower by more than a tenth%s\n",
	       calibrate_best_us(), 100 * calibrate_disturbed(), "the looks at it",
	       calibrate_disturbed() > 0.3 ? ": this machine is not quiet, expect too large figures"
					   : "");
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

json_t *report_row_json(const struct result *r)
{
	json_t *row = json_pack(
		"{s:s, s:s, s:i, s:f, s:i, s:i, s:i, s:f, s:f, s:f, s:f, s:o, s:o, s:o, s:o, s:o, s:i, s:f}",
		"direction", r->dir == SA_OUT ? "out" : "in", "algorithm", r->what.alg->name,
		"inner_bytes", (int)r->what.size, "average_bytes", r->bytes, "sas",
		(int)r->what.n_sas, "policies", (int)r->what.n_policies, "lcores", (int)r->lcores,
		"ns_per_packet", r->net, "mpps", 1e3 / r->net, "gbit_per_second", gbits(r),
		"crypto_share", share(r), "gross_ns", stat_json(&r->gross), "sink_ns",
		stat_json(&r->sink), "crypto_ns", stat_json(&r->crypto), "ipsec_mb_ns",
		stat_json(&r->library), "stages_ns", stages_json(r), "disturbed", (int)r->disturbed, "calibration_us", r->calibration);

	if (r->lcores > 1) {
		json_object_set_new(row, "scale", stat_json(&r->scale));
		json_object_set_new(row, "crypto_scale", stat_json(&r->crypto_scale));
	}
	return row;
}
