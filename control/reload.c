/* Putting a configuration in force, at start and on SIGHUP. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "leases.h"
#include "log.h"

static void log_note(void *ctx, bool warning, const char *line)
{
	(void)ctx;
	if (warning)
		log_warn("%s", line);
	else
		log_error("%s", line);
}

/* *hint: where to look first, and then behind what was found: names that are asked for in the order of
 * the file, as those of the file before are, take one look each. */
static bool peer_named(const struct config *cfg, const char *name, size_t *hint)
{
	for (size_t n = 0; n < cfg->n_peers; n++) {
		size_t i = (*hint + n) % cfg->n_peers;
		if (strcmp(cfg->peers[i].name, name) == 0) {
			*hint = i + 1;
			return true;
		}
	}
	return false;
}

static void remove_old_peers(struct daemon *d, const struct config *old, const struct config *new)
{
	size_t hint = 0;

	for (size_t i = 0; i < old->n_peers; i++) {
		const char *name = old->peers[i].name;
		if (peer_named(new, name, &hint))
			continue;
		if (ike_peer_remove(d->ike, name) == 0)
			log_info("%s: removed", name);
		timelines_forget(d->timelines, name);
	}
}

static void set_pairs(struct daemon *d, const struct config *cfg)
{
	memset(d->policy_pairs, 1, SPD_MAX_POLICIES);
	for (size_t i = 0; i < cfg->n_peers; i++)
		for (unsigned k = 0; k < cfg->peers[i].n_children; k++) {
			const struct ike_child_cfg *child = &cfg->peers[i].children[k];
			d->policy_pairs[child->policy] = (uint8_t)child->pairs;
		}
}

/* Of peers whose address is configured, whose IKE goes before strangers'. */
static void set_known(struct daemon *d, const struct config *cfg, bool known)
{
	for (size_t i = 0; cfg && i < cfg->n_peers; i++)
		dp_peer_known(d->dp, &cfg->peers[i].remote, known);
}

int reload_apply(struct daemon *d, struct config *cfg)
{
	struct config *old = d->cfg;
	int rc;

	/* policies first: an SA must find its policy, and nothing leaves in the clear meanwhile */
	rc = policies_apply(d, cfg);
	if (rc != 0)
		return rc;
	set_pairs(d, cfg);
	set_known(d, cfg, true);
	set_known(d, old, false);
	if (old) {
		leases_save(d->ike, old->leases_file);
		remove_old_peers(d, old, cfg);
	}
	for (size_t i = 0; i < cfg->n_peers; i++) {
		rc = ike_peer_set(d->ike, &cfg->peers[i]);
		if (rc != 0)
			log_error("%s: cannot be set up: %s", cfg->peers[i].name, strerror(-rc));
	}
	d->cfg = cfg;
	if (old)
		daemon_leases_load(d, old->leases_file); /* of peers that were set up anew */
	config_free(old);
	return 0;
}

/* Ports, cores and routes stay as they were started: the new configuration takes those over, so that
 * the next reload compares with what runs. Calling it again undoes it. */
static void swap_system(struct config *cfg, struct config *running)
{
	struct dp_cfg dp = cfg->dp;
	unsigned threads = cfg->dh_threads;
	char dir[CONFIG_PATH_MAX];

	memcpy(dir, cfg->run_dir, sizeof(dir));
	memcpy(cfg->run_dir, running->run_dir, sizeof(dir));
	memcpy(running->run_dir, dir, sizeof(dir));
	cfg->dp = running->dp;
	running->dp = dp;
	cfg->dh_threads = running->dh_threads;
	running->dh_threads = threads;
}

/* Reading the file of ten thousand peers takes a second, so a thread that lives as long does it. */
struct reload {
	struct ike_job job; /* first: it is what goes out and comes back */
	struct jobs *jobs;
	struct event *ev;
	const struct config *old; /* stays in force, and as it is, until this is over */
	struct config *cfg;
	struct config_report report;
	int rc;
	bool again; /* asked for once more: the file may be another by now */
};

static void reload_run(struct ike_job *job)
{
	struct reload *r = (struct reload *)job;

	r->rc = config_load(r->old->file, r->old, &r->cfg, &r->report);
}

/* Puts in force what was read. */
static void reload_take(struct daemon *d, struct reload *r)
{
	const char *what;

	config_report_each(&r->report, d->cfg->file, log_note, NULL);
	if (r->rc != 0) {
		log_error("%s has %u error%s: what ran before stays in force", d->cfg->file,
			  r->report.errors, r->report.errors == 1 ? "" : "s");
		return;
	}
	if (!config_same_system(d->cfg, r->cfg, &what))
		log_warn("%s: '%s' differs from what runs: restart needed; the peers are taken over",
			 d->cfg->file, what);
	swap_system(r->cfg, d->cfg);
	if (reload_apply(d, r->cfg) != 0) {
		swap_system(r->cfg, d->cfg);
		return;
	}
	r->cfg = NULL; /* it is d->cfg now */
	stats_feed_rearm(d);
	log_info("%s: read again: %zu peer%s, %u child%s", d->cfg->file, d->cfg->n_peers,
		 d->cfg->n_peers == 1 ? "" : "s", d->cfg->n_children,
		 d->cfg->n_children == 1 ? "" : "ren");
}

void reload_stop(struct daemon *d)
{
	struct reload *r = d->reload;

	if (!r)
		return;
	d->reload = NULL;
	if (r->ev)
		event_free(r->ev);
	jobs_free(r->jobs);
	config_free(r->cfg);
	config_report_free(&r->report);
	free(r);
}

static void on_read(evutil_socket_t fd, short what, void *ctx)
{
	struct daemon *d = ctx;
	struct reload *r = d->reload;
	bool again = r->again;

	(void)fd;
	(void)what;
	if (!jobs_take(r->jobs))
		return;
	if (!d->stopping)
		reload_take(d, r);
	reload_stop(d);
	if (again)
		reload_file(d);
}

static int reload_start(struct daemon *d, struct reload *r)
{
	const struct dp_cfg *dp = &d->cfg->dp;
	int rc = jobs_new(1, dp->worker_cores, dp->n_workers, dp->control_core, &r->jobs);

	if (rc != 0)
		return rc;
	r->ev = event_new(d->base, jobs_fd(r->jobs), EV_READ | EV_PERSIST, on_read, d);
	if (!r->ev || event_add(r->ev, NULL) != 0)
		return -ENOMEM;
	jobs_push(r->jobs, &r->job);
	return 0;
}

void reload_file(struct daemon *d)
{
	int rc = -ENOMEM;

	if (d->stopping)
		return;
	if (d->reload) {
		d->reload->again = true;
		return;
	}
	d->reload = calloc(1, sizeof(*d->reload));
	if (d->reload) {
		d->reload->job = (struct ike_job){ .fn = reload_run, .kind = IKE_JOB_FETCH };
		d->reload->old = d->cfg;
		rc = reload_start(d, d->reload);
	}
	if (rc != 0) {
		log_error("%s cannot be read again: %s", d->cfg->file, strerror(-rc));
		reload_stop(d);
	}
}
