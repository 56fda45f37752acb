/* Where the statistics go by themselves: the file, and DPDK's telemetry socket. */
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "log.h"
#include "stats_doc.h"
#include "text.h"

struct stats_feed {
	struct chore chore, garbled; /* chore first, see feed_step() */
	struct daemon *d;
	struct listing *listing;   /* under way */
	struct jobs *writer;       /* a thread of its own */
	struct event *ev_written;
	struct ike_job *write;     /* what it does; NULL: nothing */
	struct ike_walk *walk;     /* of garbled */
};

/* DPDK answers on a thread of its own, and gives its callbacks no context: this is what they
 * answer, as the control thread saw it last. At file scope because the callbacks are for the
 * process. */
enum snapshot_part { SNAPSHOT_STATS, SNAPSHOT_SA, SNAPSHOT_PEERS, SNAPSHOT_PARTS };
static pthread_mutex_t snapshot_lock = PTHREAD_MUTEX_INITIALIZER;
static char *snapshot[SNAPSHOT_PARTS]; /* NULL: none yet */

/* A malloc'd object of parts of a listing. What is longer than an answer may be is not kept: of ten
 * thousand peers that would be as much memory as their keys and timers together. NULL: no memory.
 */
static char *snapshot_lists(const struct listing *l, unsigned parts)
{
	static const char *const key[LISTING_PARTS] = { [LISTING_PEERS] = "peers",
							[LISTING_MAIN_MODE] = "main_mode_sas",
							[LISTING_QUICK_MODE] = "quick_mode_sas" };
	struct text t = { 0 };

	text_put(&t, "{");
	for (unsigned i = 0; i < LISTING_PARTS; i++) {
		if (!(parts & 1u << i))
			continue;
		const struct blocks *list = listing_text(l, i);
		const struct block *k;
		if (list->len > DP_TELEMETRY_MAX) {
			text_free(&t);
			return strdup(DP_TELEMETRY_LONG);
		}
		text_put(&t, t.len > 1 ? "," : "");
		text_json(&t, key[i]);
		text_put(&t, ":[");
		TAILQ_FOREACH(k, &list->list, link)
			text_add(&t, k->p, k->len);
		text_put(&t, "]");
	}
	text_add(&t, "}", 2); /* with its end */
	if (t.failed)
		text_free(&t);
	return t.p;
}

static char *snapshot_answer(enum snapshot_part part)
{
	char *copy;

	pthread_mutex_lock(&snapshot_lock);
	copy = strdup(snapshot[part] ? snapshot[part] : "{}");
	pthread_mutex_unlock(&snapshot_lock);
	return copy;
}

static char *telemetry_stats(void)
{
	return snapshot_answer(SNAPSHOT_STATS);
}

static char *telemetry_sa(void)
{
	return snapshot_answer(SNAPSHOT_SA);
}

static char *telemetry_peers(void)
{
	return snapshot_answer(SNAPSHOT_PEERS);
}

/* Takes the texts over. */
static void snapshot_set(char *text[SNAPSHOT_PARTS])
{
	for (unsigned i = 0; i < SNAPSHOT_PARTS; i++) {
		pthread_mutex_lock(&snapshot_lock);
		char *old = snapshot[i];
		snapshot[i] = text[i];
		pthread_mutex_unlock(&snapshot_lock);
		free(old);
	}
}

struct stats_source daemon_stats_source(struct daemon *d)
{
	return (struct stats_source){ .dp = d->dp,
				      .ike = d->ike,
				      .busy = &d->busy,
				      .pause = &d->pause,
				      .uptime_us = clock_us() - d->started_us,
				      .key_export = d->keys ? d->cfg->key_export : NULL,
				      .policy_clear = d->policy_clear };
}

static char *totals_dump(const struct stats_source *s)
{
	static const char *const keys[] = { "version", "time",	 "uptime", "memory",
					    "control", "ports", "lcores", NULL };
	json_t *head = stats_head(s), *part = json_object();
	char *text;

	for (const char *const *k = keys; *k; k++)
		json_object_set(part, *k, json_object_get(head, *k));
	json_object_set_new(part, "totals", stats_totals(s));
	text = json_dumps(part, JSON_COMPACT | JSON_REAL_PRECISION(15));
	json_decref(part);
	json_decref(head);
	return text;
}

static void feed_failed(const struct daemon *d, int rc)
{
	log_warn("statistics cannot be written to %s: %s", d->cfg->stats_file, strerror(-rc));
}

/* The listing is complete: the writer goes on with it. */
static void feed_listed(struct daemon *d)
{
	struct stats_feed *f = d->feed;
	struct stats_source source = daemon_stats_source(d);
	struct stats_doc *doc;

	snapshot_set((char *[SNAPSHOT_PARTS]){ totals_dump(&source),
					       snapshot_lists(f->listing, LISTING_SA),
					       snapshot_lists(f->listing, LISTING_STATUS) });
	doc = stats_doc_new(STATS_DOC_FILE, &source, f->listing);
	f->listing = NULL;
	f->write = doc ? stats_write_new(d->cfg->stats_file, doc) : NULL;
	if (f->write)
		jobs_push(f->writer, f->write);
	else
		feed_failed(d, -ENOMEM);
}

static bool feed_step(struct chore *c)
{
	struct stats_feed *f = (struct stats_feed *)c; /* its first member */

	if (listing_step(f->listing, LISTING_TURN_US))
		return true;
	feed_listed(f->d);
	return false;
}

static void on_written(evutil_socket_t fd, short what, void *ctx)
{
	struct daemon *d = ctx;
	struct ike_job *job;

	(void)fd;
	(void)what;
	while ((job = jobs_take(d->feed->writer))) {
		int rc = stats_write_end(job);
		d->feed->write = NULL;
		if (rc != 0)
			feed_failed(d, rc);
	}
}

/* One that is under way is as good. */
void stats_feed_update(struct daemon *d)
{
	struct stats_feed *f = d->feed;
	struct stats_source source = daemon_stats_source(d);

	if (f->chore.waits || f->write)
		return;
	f->listing = listing_new(&source, LISTING_ALL);
	if (!f->listing || chores_add(&d->chores, d->base, &f->chore) != 0) {
		listing_free(f->listing);
		f->listing = NULL;
		feed_failed(d, -ENOMEM);
	}
}

static void on_stats(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	stats_feed_update(ctx);
}

/* An SA under which nothing but garbage has come so far is worth a word; fewer packets than that may
 * be anybody's. With a block cipher an ICV of another length is found by the length of the packet. */
#define GARBLED_PACKETS 8

static void check_garbled(void *ctx, const struct ike_child_info *i)
{
	struct daemon *d = ctx;
	struct sa_stats in = { 0 };

	if (i->established && dp_sa_stats(d->dp, &i->ref, SA_IN, &in) && in.packets == 0 &&
	    in.icv_drops + in.other_drops >= GARBLED_PACKETS)
		ike_sa_garbled(d->ike, &i->ref, in.icv_drops + in.other_drops);
}

#define GARBLED_PEERS 64 /* looked at in a turn */

static bool garbled_step(struct chore *c)
{
	struct stats_feed *f = (struct stats_feed *)((char *)c - offsetof(struct stats_feed, garbled));
	struct ike_visitor v = { .ctx = f->d, .child = check_garbled };

	for (unsigned i = 0; i < GARBLED_PEERS; i++) {
		if (ike_walk_step(f->walk, &v))
			continue;
		ike_walk_free(f->walk);
		f->walk = NULL;
		return false;
	}
	return true;
}

/* Walks the SAs only when packets have failed their ICV since the last time. */
static void look_for_garbled(struct daemon *d)
{
	struct stats_feed *f = d->feed;
	uint64_t icv = 0;

	if (f->walk) /* still at it */
		return;
	for (unsigned r = 0; r < dp_drop_count(); r++)
		if (strcmp(dp_drop_name(r), "esp_icv") == 0 ||
		    strcmp(dp_drop_name(r), "esp_align") == 0)
			for (unsigned i = 0; i < dp_worker_count(d->dp); i++)
				icv += dp_drop_value(d->dp, i, r);
	if (icv != d->icv_seen)
		f->walk = ike_walk_new(d->ike);
	if (f->walk && chores_add(&d->chores, d->base, &f->garbled) != 0) {
		ike_walk_free(f->walk);
		f->walk = NULL;
	}
	d->icv_seen = icv;
}

static void on_busy(evutil_socket_t fd, short what, void *ctx)
{
	struct daemon *d = ctx;

	(void)fd;
	(void)what;
	stats_sample_busy(d->dp, &d->busy);
	look_for_garbled(d);
}

void stats_feed_rearm(struct daemon *d)
{
	uint32_t ms = d->cfg->stats_interval_ms;
	struct timeval every = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	if (ms)
		event_add(d->ev_stats, &every);
	else
		event_del(d->ev_stats);
}

int stats_feed_start(struct daemon *d)
{
	static const struct {
		const char *command, *help;
		char *(*fn)(void);
	} commands[] = {
		{ "/shrike/stats", "Ports, lcores and totals.", telemetry_stats },
		{ "/shrike/sa", "Main Mode and Quick Mode SAs.", telemetry_sa },
		{ "/shrike/peers", "Configured peers and their state.", telemetry_peers },
	};
	struct timeval second = { .tv_sec = 1 };
	int rc;

	d->feed = calloc(1, sizeof(*d->feed));
	if (!d->feed)
		return -ENOMEM;
	d->feed->d = d;
	d->feed->chore.step = feed_step;
	d->feed->garbled.step = garbled_step;
	rc = jobs_new(1, d->cfg->dp.worker_cores, d->cfg->dp.n_workers, d->cfg->dp.control_core,
		      &d->feed->writer);
	if (rc != 0)
		return rc;
	d->feed->ev_written =
		event_new(d->base, jobs_fd(d->feed->writer), EV_READ | EV_PERSIST, on_written, d);
	if (!d->feed->ev_written || event_add(d->feed->ev_written, NULL) != 0)
		return -ENOMEM;
	d->ev_stats = event_new(d->base, -1, EV_PERSIST, on_stats, d);
	d->ev_busy = event_new(d->base, -1, EV_PERSIST, on_busy, d);
	if (!d->ev_stats || !d->ev_busy)
		return -ENOMEM;
	event_add(d->ev_busy, &second);
	stats_feed_rearm(d);
	for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		rc = dp_telemetry_register(commands[i].command, commands[i].help, commands[i].fn);
		if (rc != 0)
			log_warn("telemetry command %s is not there: %s", commands[i].command,
				 strerror(-rc));
	}
	stats_feed_update(d);
	return 0;
}

void stats_feed_stop(struct daemon *d)
{
	if (d->ev_stats)
		event_free(d->ev_stats);
	if (d->ev_busy)
		event_free(d->ev_busy);
	snapshot_set((char *[SNAPSHOT_PARTS]){ 0 });
	if (!d->feed)
		return;
	listing_free(d->feed->listing);
	if (d->feed->ev_written)
		event_free(d->feed->ev_written);
	jobs_free(d->feed->writer); /* what it has begun is written */
	stats_write_end(d->feed->write);
	ike_walk_free(d->feed->walk);
	free(d->feed);
	d->feed = NULL;
}
