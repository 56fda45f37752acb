#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config_check.h"
#include "secret.h"

#define FILE_MAX (16u << 20)

/* Reads the whole file; NULL after a report. */
static uint8_t *file_read(const char *file, size_t *len, struct config_report *report)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	uint8_t *buf = NULL;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) != 0) {
		config_report_add(report, 0, false, "cannot be read: %s", strerror(errno));
		goto out;
	}
	if (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX) {
		config_report_add(report, 0, false, "not a regular file of at most 16 MB");
		goto out;
	}
	buf = malloc((size_t)st.st_size + 1);
	*len = 0;
	while (buf && *len < (size_t)st.st_size &&
	       (n = read(fd, buf + *len, (size_t)st.st_size - *len)) > 0)
		*len += (size_t)n;
out:
	if (fd >= 0)
		close(fd);
	return buf;
}

/* libcyaml's last error line, for what our own look at the shape let pass. */
static void cyaml_note(cyaml_log_t level, void *ctx, const char *fmt, va_list args)
{
	char *last = ctx;

	if (level == CYAML_LOG_ERROR && last[0] == '\0') {
		vsnprintf(last, 256, fmt, args);
		last[strcspn(last, "\n")] = '\0';
	}
}

static void file_dir(const char *file, char *dir, size_t size)
{
	const char *slash = strrchr(file, '/');

	snprintf(dir, size, "%.*s", slash ? (int)(slash - file + 1) : 0, file);
}

static void check_all(struct check *c)
{
	if (c->old) /* their SAs may still be there */
		for (size_t i = 0; i < c->old->n_policies; i++)
			c->id_used[c->old->ids[i].id / 8] |=
				(uint8_t)(1 << (c->old->ids[i].id % 8));
	check_system(c);
	check_ports(c);
	check_routes(c);
	check_secrets(c);
	check_trust(c);
	check_policies(c);
	check_peers(c);
	check_order(c);
	check_free_secrets(c);
}

static int load_text(const char *file, const uint8_t *text, size_t len, const struct config *old,
		     struct config *cfg, struct config_report *report)
{
	char why[256] = "";
	cyaml_config_t cyaml = { .log_fn = cyaml_note,
				 .log_ctx = why,
				 .mem_fn = cyaml_mem,
				 .log_level = CYAML_LOG_ERROR,
				 .flags = CYAML_CFG_NO_ALIAS };
	struct check c = { .cfg = cfg, .report = report, .old = old };
	struct config_doc doc;
	struct raw_config *raw = NULL;
	int rc = config_doc_load(&doc, text, len, report);

	if (rc != 0)
		return rc;
	config_doc_lint(&doc, &config_schema, report);
	if (report->errors == 0) {
		cyaml_err_t err = cyaml_load_data(text, len, &cyaml, &config_schema,
						  (cyaml_data_t **)&raw, NULL);
		if (err != CYAML_OK)
			config_report_add(report, 0, false, "%s (%s)", why, cyaml_strerror(err));
	}
	if (raw) {
		c.raw = raw;
		c.doc = &doc;
		file_dir(file, c.dir, sizeof(c.dir));
		c.id_used = calloc(1, SPD_MAX_POLICIES / 8);
		if (!c.id_used)
			abort();
		check_all(&c);
		free(c.id_used);
		cyaml_free(&cyaml, &config_schema, raw, 0);
	}
	config_doc_free(&doc);
	return report->errors ? -EINVAL : 0;
}

int config_parse(const char *file, const uint8_t *text, size_t len, const struct config *old,
		 struct config **out, struct config_report *report)
{
	struct config *cfg = calloc(1, sizeof(*cfg));
	int rc = -EINVAL;

	if (!cfg)
		return -ENOMEM;
	if (strlen(file) >= sizeof(cfg->file)) {
		config_report_add(report, 0, false, "the file's name is too long");
	} else {
		strcpy(cfg->file, file);
		rc = load_text(file, text, len, old, cfg, report);
	}
	config_report_sort(report);
	if (rc != 0) {
		config_free(cfg);
		return rc;
	}
	*out = cfg;
	return 0;
}

int config_load(const char *file, const struct config *old, struct config **out,
		struct config_report *report)
{
	size_t len = 0;
	uint8_t *text = file_read(file, &len, report);
	int rc = text ? config_parse(file, text, len, old, out, report) : -EINVAL;

	free(text);
	return rc;
}

void config_free(struct config *cfg)
{
	if (!cfg)
		return;
	for (size_t i = 0; i < cfg->n_peers; i++) {
		secret_free(cfg->peers[i].psk, cfg->peers[i].psk_len);
		check_access_free(&cfg->peers[i]);
		check_kerberos_free(&cfg->peers[i]);
		free(cfg->peers[i].children);
		cert_own_free(cfg->peers[i].own);
		cert_store_free(cfg->peers[i].trust);
	}
	cert_store_free(cfg->trust);
	free(cfg->peers);
	free(cfg->policies);
	free(cfg->ids);
	free(cfg->dp.routes);
	free(cfg);
}

static bool same_port(const struct dp_port_cfg *a, const struct dp_port_cfg *b)
{
	bool same = strcmp(a->name, b->name) == 0 && strcmp(a->device, b->device) == 0 &&
		    a->vlan == b->vlan &&
		    a->mtu == b->mtu && a->clamp_mss == b->clamp_mss && a->source_check == b->source_check &&
		    a->n_addrs == b->n_addrs;

	for (unsigned i = 0; same && i < a->n_addrs; i++)
		same = a->addrs[i].len == b->addrs[i].len &&
		       ip_addr_equal(&a->addrs[i].addr, &b->addrs[i].addr);
	return same;
}

static bool same_ports(const struct dp_cfg *a, const struct dp_cfg *b)
{
	bool same = a->n_ports == b->n_ports;

	for (unsigned i = 0; same && i < a->n_ports; i++)
		same = same_port(&a->ports[i], &b->ports[i]);
	return same;
}

static bool same_routes(const struct dp_cfg *a, const struct dp_cfg *b)
{
	bool same = a->n_routes == b->n_routes;

	for (unsigned i = 0; same && i < a->n_routes; i++)
		same = a->routes[i].dst.len == b->routes[i].dst.len &&
		       ip_addr_equal(&a->routes[i].dst.addr, &b->routes[i].dst.addr) &&
		       ip_addr_equal(&a->routes[i].via, &b->routes[i].via) &&
		       a->routes[i].port == b->routes[i].port;
	return same;
}

static bool same_system(const struct config *x, const struct config *y)
{
	const struct dp_cfg *a = &x->dp, *b = &y->dp;

	return a->n_workers == b->n_workers &&
	       memcmp(a->worker_cores, b->worker_cores, sizeof(a->worker_cores)) == 0 &&
	       a->control_core == b->control_core && a->hugepages == b->hugepages &&
	       a->memory_mb == b->memory_mb && strcmp(a->file_prefix, b->file_prefix) == 0 &&
	       a->mbufs == b->mbufs && a->buffer_size == b->buffer_size && a->sa_slots == b->sa_slots && a->idle == b->idle &&
	       a->share_core == b->share_core && strcmp(x->run_dir, y->run_dir) == 0 &&
	       strcmp(x->key_export, y->key_export) == 0 &&
	       x->dh_threads == y->dh_threads;
}

bool config_same_system(const struct config *a, const struct config *b, const char **what)
{
	*what = !same_system(a, b)	     ? "system" :
		!same_ports(&a->dp, &b->dp)  ? "ports" :
		!same_routes(&a->dp, &b->dp) ? "routes" :
					       NULL;
	return *what == NULL;
}
