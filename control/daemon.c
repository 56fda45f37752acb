#include "daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "leases.h"
#include "log.h"
#include "random.h"
#include "rundir.h"

/* How often the data plane's rings are looked at: often while something comes, less when idle. A
 * turn without anything costs some microseconds, so even the short interval is a few per cent. */
#define POLL_BUSY_US	250
#define POLL_RELAXED_US 1000
#define POLL_IDLE_US	2000
#define POLLS_BUSY	200  /* empty turns until relaxed: 50 ms */
#define POLLS_RELAXED	1000 /* and until idle: one second more */

#define PAUSE_MINUTE_US 60000000

#define STOP_US	     1500000 /* at most that long for the DELETEs at the end */
#define STOP_LEAST_US 100000

#define USER_THREADS	2	 /* checks of users at a time */
#define FETCH_THREADS	4	 /* OCSP responders asked at a time */
#define LEASES_US	500000	 /* several leases are written together */
#define LEASES_AGAIN_US 60000000 /* after a failure */

uint64_t clock_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static uint64_t engine_now(void *ctx)
{
	(void)ctx;
	return clock_us();
}

static int engine_random(void *ctx, void *buf, size_t len)
{
	(void)ctx;
	return random_bytes(buf, len);
}

static void engine_job(void *ctx, struct ike_job *job)
{
	struct daemon *d = ctx;

	jobs_push(d->jobs[job->kind], job);
}

static void take_jobs(struct daemon *d, struct jobs *jobs)
{
	struct ike_job *job;

	while ((job = jobs_take(jobs)))
		ike_job_done(d->ike, job);
}

/* --------------------------------------------------------------------------- leases --------- */

static void engine_leases(void *ctx)
{
	struct daemon *d = ctx;

	if (!d->leases_due_us)
		d->leases_due_us = clock_us() + LEASES_US;
}

static void leases_run(struct daemon *d, uint64_t now)
{
	int rc;

	if (!d->leases_due_us || now < d->leases_due_us)
		return;
	rc = leases_save(d->ike, d->cfg->leases_file);
	if (rc != 0)
		log_warn("leases cannot be written to %s: %s", d->cfg->leases_file, strerror(-rc));
	d->leases_due_us = rc ? now + LEASES_AGAIN_US : 0;
}

void daemon_leases_load(struct daemon *d, const char *file)
{
	char why[512] = "";
	int n = leases_load(d->ike, file, why, sizeof(why));

	if (n > 0)
		log_info("%s: %d lease%s of addresses from before", file, n,
			 n == 1 ? "" : "s");
	else if (n < 0 && n != -ENOENT)
		log_warn("%s; addresses are given out anew", why);
}

/* ------------------------------------------------------------------------- the loop --------- */

static void count_sa(void *ctx, const struct ike_sa_info *i)
{
	unsigned *n = ctx;

	(void)i;
	++*n;
}

/* The loop ends when the DELETEs are out, or after a time. */
static void stop_when_done(struct daemon *d, uint64_t now)
{
	unsigned left = 0;

	ike_sa_foreach(d->ike, count_sa, &left);
	if (now >= d->stop_at_us ||
	    (left == 0 && now + STOP_US >= d->stop_at_us + STOP_LEAST_US))
		event_base_loopbreak(d->base);
}

static uint64_t thread_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* This turn was due at d->turn_us: what came between has kept it. */
static void pause_measure(struct daemon *d, uint64_t now)
{
	struct stats_pause *p = &d->pause;
	uint64_t late = now > d->turn_us ? now - d->turn_us : 0, cpu = thread_us();

	if (!d->turn_us) /* the first turn */
		late = 0;
	else if (cpu - d->turn_cpu_us > p->longest_cpu_us)
		p->longest_cpu_us = cpu - d->turn_cpu_us;
	d->turn_cpu_us = cpu;
	if (late > p->longest_us)
		p->longest_us = late;
	if (now > d->pause_from_us + PAUSE_MINUTE_US) {
		p->recent_us[1] = p->recent_us[0];
		p->recent_us[0] = 0;
		d->pause_from_us = now;
	}
	if (late > p->recent_us[0])
		p->recent_us[0] = late;
}

static void on_poll(evutil_socket_t fd, short what, void *ctx)
{
	struct daemon *d = ctx;
	uint64_t now = clock_us(), next;
	struct timeval again = { 0 };

	(void)fd;
	(void)what;
	pause_measure(d, now);
	if (dp_poll(d->dp))
		d->idle_polls = 0;
	else if (d->idle_polls < UINT32_MAX)
		d->idle_polls++;
	next = ike_next_timer(d->ike);
	if (next <= now) {
		ike_run_timers(d->ike);
		next = ike_next_timer(d->ike);
	}
	policies_run(d, now);
	leases_run(d, now);
	if (d->stopping)
		stop_when_done(d, now);
	uint64_t wait = d->idle_polls < POLLS_BUSY    ? POLL_BUSY_US :
			d->idle_polls < POLLS_RELAXED ? POLL_RELAXED_US :
							POLL_IDLE_US;
	if (next > now && next - now < wait)
		wait = next - now;
	if (next <= now)
		wait = 0; /* more timers are due than one turn takes */
	again.tv_usec = (suseconds_t)wait;
	d->turn_us = now + wait;
	event_add(d->ev_poll, &again);
}

static void on_jobs(evutil_socket_t fd, short what, void *ctx)
{
	struct daemon *d = ctx;

	(void)what;
	for (unsigned i = 0; i < IKE_JOB_KINDS; i++)
		if (fd == jobs_fd(d->jobs[i]))
			take_jobs(d, d->jobs[i]);
}

static void daemon_stop(struct daemon *d, int signal)
{
	if (d->stopping) { /* asked twice: at once */
		event_base_loopbreak(d->base);
		return;
	}
	log_info("ending on %s: deleting all SAs", signal == SIGINT ? "SIGINT" : "SIGTERM");
	d->stopping = true;
	d->idle_polls = 0;
	d->stop_at_us = clock_us() + STOP_US;
	ike_shutdown(d->ike);
}

static void on_signal(evutil_socket_t signal, short what, void *ctx)
{
	struct daemon *d = ctx;

	(void)what;
	switch (signal) {
	case SIGHUP:
		reload_file(d);
		break;
	case SIGUSR1:
		stats_feed_update(d);
		break;
	default:
		daemon_stop(d, (int)signal);
	}
}

/* -------------------------------------------------------------------- start and end --------- */

static int events_start(struct daemon *d)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1 };
	struct timeval now = { 0 };

	for (unsigned i = 0; i < 4; i++) {
		d->ev_signal[i] = evsignal_new(d->base, signals[i], on_signal, d);
		if (!d->ev_signal[i] || event_add(d->ev_signal[i], NULL) != 0)
			return -ENOMEM;
	}
	d->ev_poll = evtimer_new(d->base, on_poll, d);
	if (!d->ev_poll || event_add(d->ev_poll, &now) != 0)
		return -ENOMEM;
	for (unsigned i = 0; i < IKE_JOB_KINDS; i++) {
		d->ev_jobs[i] = event_new(d->base, jobs_fd(d->jobs[i]), EV_READ | EV_PERSIST,
					  on_jobs, d);
		if (!d->ev_jobs[i] || event_add(d->ev_jobs[i], NULL) != 0)
			return -ENOMEM;
	}
	return 0;
}

static void engine_key(void *ctx, const uint8_t *icookie, const uint8_t *key, size_t len)
{
	struct daemon *d = ctx;

	key_export_ike(d->keys, icookie, key, len);
}

/* Only where the configuration asks for it. */
static int keys_start(struct daemon *d)
{
	char why[512];
	int rc;

	if (!d->cfg->key_export[0])
		return 0;
	rc = key_export_open(d->cfg->key_export, &d->keys, why, sizeof(why));
	if (rc != 0)
		log_error("%s", why);
	else
		log_warn("KEY EXPORT IS ON: the keys of all SAs are written to %s; whoever reads "
			 "them reads all traffic. Remove key-export when you are done",
			 d->cfg->key_export);
	return rc;
}

static int threads_start(struct daemon *d)
{
	const unsigned threads[IKE_JOB_KINDS] = { [IKE_JOB_MATHS] = d->cfg->dh_threads,
						  [IKE_JOB_USER] = USER_THREADS,
						  [IKE_JOB_FETCH] = FETCH_THREADS };
	int rc = 0;

	for (unsigned i = 0; i < IKE_JOB_KINDS && rc == 0; i++)
		rc = jobs_new(threads[i], d->cfg->dp.worker_cores, d->cfg->dp.n_workers,
			      d->cfg->dp.control_core, &d->jobs[i]);
	return rc;
}

static int engine_start(struct daemon *d)
{
	struct ike_ops ops = {
		.ctx = d,
		.send = transport_send,
		.keepalive = transport_keepalive,
		.cookies = transport_cookies,
		.now_us = engine_now,
		.random = engine_random,
		.job = engine_job,
		.sa_reserve = sa_sink_reserve,
		.sa_release = sa_sink_release,
		.sa_install = sa_sink_install,
		.sa_remove = sa_sink_remove,
		.sa_stats = sa_sink_stats,
		.policy_clear = policies_on_clear,
		.policy_local = policies_on_local,
		.leases_changed = engine_leases,
		.event = events_on_event,
	};
	struct ike_limits limits = { 0 };

	if (d->keys)
		ops.ike_key = engine_key;
	int rc = threads_start(d);
	if (rc != 0) {
		log_error("the threads for public-key maths cannot be started: %s", strerror(-rc));
		return rc;
	}
	d->ike = ike_new(&ops, &limits);
	return d->ike ? 0 : -ENOMEM;
}

static int plane_start(struct daemon *d)
{
	struct dp_callbacks cb = {
		.ctx = d,
		.on_ike = transport_on_ike,
		.on_sa_stored = sa_on_stored,
		.on_sa_limit = sa_on_limit,
		.on_peer_moved = sa_on_peer_moved,
		.on_acquire = sa_on_acquire,
		.on_bad_spi = sa_on_bad_spi,
	};
	char why[512] = "";
	int rc = dp_start(&d->cfg->dp, &cb, &d->dp, why, sizeof(why));

	if (rc != 0)
		log_error("the data plane did not start: %s", why[0] ? why : strerror(-rc));
	else
		log_info("data plane: %s, %u port%s, %u worker%s", dp_versions(d->dp),
			 dp_port_count(d->dp), dp_port_count(d->dp) == 1 ? "" : "s",
			 dp_worker_count(d->dp), dp_worker_count(d->dp) == 1 ? "" : "s");
	return rc;
}

static int daemon_start(struct daemon *d, struct config *cfg)
{
	struct event_config *ev = event_config_new();
	char why[512];
	int rc;

	/* libevent's timers are of a millisecond without that */
	event_config_set_flag(ev, EVENT_BASE_FLAG_PRECISE_TIMER);
	d->base = event_base_new_with_config(ev);
	event_config_free(ev);
	d->timelines = timelines_new();
	d->policy_pairs = calloc(1, SPD_MAX_POLICIES);
	d->policy_clear = calloc(1, SPD_MAX_POLICIES);
	if (!d->base || !d->timelines || !d->policy_pairs || !d->policy_clear)
		return -ENOMEM;
	d->lock_fd = rundir_lock(cfg->run_dir, why, sizeof(why));
	if (d->lock_fd < 0) {
		log_error("%s", why);
		return d->lock_fd;
	}
	rc = keys_start(d);
	if (rc == 0)
		rc = plane_start(d);
	if (rc == 0)
		rc = engine_start(d);
	if (rc == 0)
		rc = events_start(d);
	if (rc == 0)
		rc = ctl_start(d, &d->ctl);
	if (rc != 0)
		return rc;
	d->cfg = NULL; /* nothing is in force yet */
	rc = reload_apply(d, cfg);
	d->cfg = cfg;
	daemon_leases_load(d, cfg->leases_file);
	return rc ? rc : stats_feed_start(d);
}

/* The engine first: it takes its SAs out of the data plane. */
static void daemon_end(struct daemon *d)
{
	ctl_stop(d->ctl);
	reload_stop(d);
	stats_feed_stop(d);
	chores_stop(&d->chores);
	for (unsigned i = 0; i < IKE_JOB_KINDS; i++)
		if (d->jobs[i])
			jobs_stop(d->jobs[i]);
	if (d->ike && d->leases_due_us)
		leases_run(d, UINT64_MAX);
	if (d->ike)
		ike_free(d->ike);
	d->ike = NULL; /* what the data plane still has to say is for nobody */
	for (unsigned i = 0; i < IKE_JOB_KINDS; i++)
		jobs_free(d->jobs[i]);
	if (d->dp) {
		dp_poll(d->dp);
		dp_stop(d->dp);
	}
	for (unsigned i = 0; i < 4; i++)
		if (d->ev_signal[i])
			event_free(d->ev_signal[i]);
	if (d->ev_poll)
		event_free(d->ev_poll);
	for (unsigned i = 0; i < IKE_JOB_KINDS; i++)
		if (d->ev_jobs[i])
			event_free(d->ev_jobs[i]);
	if (d->base)
		event_base_free(d->base);
	libevent_global_shutdown();
	timelines_free(d->timelines);
	key_export_close(d->keys);
	free(d->policy_pairs);
	free(d->policy_clear);
	free(d->policy_local);
	if (d->lock_fd >= 0)
		close(d->lock_fd);
	config_free(d->cfg);
}

int daemon_run(struct config *cfg)
{
	struct daemon d = { .cfg = cfg, .lock_fd = -1, .started_us = clock_us() };
	int rc;

	signal(SIGPIPE, SIG_IGN); /* clients of the control socket may go away */
	rc = daemon_start(&d, cfg);
	if (rc == 0) {
		log_info("ready: %zu peer%s, %u child%s, control socket in %s", cfg->n_peers,
			 cfg->n_peers == 1 ? "" : "s", cfg->n_children,
			 cfg->n_children == 1 ? "" : "ren", cfg->run_dir);
		event_base_dispatch(d.base);
	}
	daemon_end(&d);
	if (rc == 0)
		log_info("ended");
	return rc == 0 ? 0 : 1;
}
