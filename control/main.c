#include <stdio.h>

#include "daemon.h"
#include "log.h"
#include "options.h"
#include "secret.h"

#define SECRET_ARENA (8u << 20)

static void print_note(void *ctx, bool warning, const char *line)
{
	(void)ctx;
	(void)warning;
	fprintf(stderr, "%s\n", line);
}

static const char *plural(size_t n, const char *one, const char *many)
{
	return n == 1 ? one : many;
}

static int check_only(const struct config *cfg, const char *file)
{
	size_t policies = cfg->n_policies;

	for (size_t i = 0; i < cfg->n_peers; i++)
		policies -= cfg->peers[i].n_children;
	printf("%s: OK: %u %s, %u %s, %zu %s, %u %s, %zu %s\n", file, cfg->dp.n_ports,
	       plural(cfg->dp.n_ports, "port", "ports"), cfg->dp.n_workers,
	       plural(cfg->dp.n_workers, "worker core", "worker cores"), cfg->n_peers,
	       plural(cfg->n_peers, "peer", "peers"), cfg->n_children,
	       plural(cfg->n_children, "child", "children"), policies,
	       plural(policies, "explicit policy", "explicit policies"));
	return 0;
}

int main(int argc, char **argv)
{
	struct config_report report = { 0 };
	struct config *cfg = NULL;
	struct options opt;
	int code, rc;

	if (!options_parse(argc, argv, &opt, &code))
		return code;
	if (opt.debug)
		log_set_level(LOG_LVL_DEBUG);
	/* before the first secret is read; without locked pages they are still wiped */
	if (!secret_init(SECRET_ARENA) && !opt.check)
		log_warn("memory for secrets cannot be locked: they may reach the swap");
	rc = config_load(opt.config, NULL, &cfg, &report);
	config_report_each(&report, opt.config, print_note, NULL);
	if (rc != 0 && !opt.check)
		fprintf(stderr, "%s: %u %s, not started\n", opt.config, report.errors,
			plural(report.errors, "error", "errors"));
	config_report_free(&report);
	if (rc != 0)
		return 1;
	if (opt.check) {
		code = check_only(cfg, opt.config);
		config_free(cfg);
		return code;
	}
	return daemon_run(cfg);
}
