/* Where the statistics go by themselves: the file, and DPDK's telemetry socket. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "log.h"

/* DPDK answers on a thread of its own, and gives its callbacks no context: these are the last
 * answers, made by the control thread. At file scope because the callbacks are for the process. */
static pthread_mutex_t snapshot_lock = PTHREAD_MUTEX_INITIALIZER;
static char *snapshot[3];

enum { SNAP_STATS, SNAP_SA, SNAP_PEERS };

/* A malloc'd copy for the telemetry thread. */
static char *snapshot_get(unsigned which)
{
	char *copy;

	pthread_mutex_lock(&snapshot_lock);
	copy = strdup(snapshot[which] ? snapshot[which] : "{}");
	pthread_mutex_unlock(&snapshot_lock);
	return copy;
}

static char *telemetry_stats(void)
{
	return snapshot_get(SNAP_STATS);
}

static char *telemetry_sa(void)
{
	return snapshot_get(SNAP_SA);
}

static char *telemetry_peers(void)
{
	return snapshot_get(SNAP_PEERS);
}

/* Takes text over. */
static void snapshot_set(unsigned which, char *text)
{
	char *old;

	pthread_mutex_lock(&snapshot_lock);
	old = snapshot[which];
	snapshot[which] = text;
	pthread_mutex_unlock(&snapshot_lock);
	free(old);
}

struct stats_source daemon_stats_source(struct daemon *d)
{
	return (struct stats_source){ .dp = d->dp,
				      .ike = d->ike,
				      .busy = &d->busy,
				      .uptime_us = clock_us() - d->started_us,
				      .key_export = d->keys ? d->cfg->key_export : NULL,
				      .policy_clear = d->policy_clear };
}

static char *dump_keys(const json_t *doc, const char *const *keys)
{
	json_t *part = json_object();
	char *text;

	for (; *keys; keys++)
		json_object_set(part, *keys, json_object_get(doc, *keys));
	text = json_dumps(part, JSON_COMPACT | JSON_REAL_PRECISION(15));
	json_decref(part);
	return text;
}

void stats_feed_update(struct daemon *d)
{
	static const char *const stats_keys[] = { "version", "time",   "uptime", "memory",
						  "ports",   "lcores", "totals", NULL };
	static const char *const sa_keys[] = { "main_mode_sas", "quick_mode_sas", NULL };
	static const char *const peer_keys[] = { "peers", NULL };
	struct stats_source source = daemon_stats_source(d);
	json_t *doc = stats_build(&source);
	int rc = doc ? stats_write(d->cfg->stats_file, doc) : -ENOMEM;

	if (rc != 0)
		log_warn("statistics cannot be written to %s: %s", d->cfg->stats_file,
			 strerror(-rc));
	if (!doc)
		return;
	snapshot_set(SNAP_STATS, dump_keys(doc, stats_keys));
	snapshot_set(SNAP_SA, dump_keys(doc, sa_keys));
	snapshot_set(SNAP_PEERS, dump_keys(doc, peer_keys));
	json_decref(doc);
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

/* Walks the SAs only when packets have failed their ICV since the last time. */
static void look_for_garbled(struct daemon *d)
{
	uint64_t icv = 0;

	for (unsigned r = 0; r < dp_drop_count(); r++)
		if (strcmp(dp_drop_name(r), "esp_icv") == 0 ||
		    strcmp(dp_drop_name(r), "esp_align") == 0)
			for (unsigned i = 0; i < dp_worker_count(d->dp); i++)
				icv += dp_drop_value(d->dp, i, r);
	if (icv != d->icv_seen)
		ike_child_foreach(d->ike, check_garbled, d);
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

	d->ev_stats = event_new(d->base, -1, EV_PERSIST, on_stats, d);
	d->ev_busy = event_new(d->base, -1, EV_PERSIST, on_busy, d);
	if (!d->ev_stats || !d->ev_busy)
		return -ENOMEM;
	event_add(d->ev_busy, &second);
	stats_feed_rearm(d);
	for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		int rc = dp_telemetry_register(commands[i].command, commands[i].help,
					       commands[i].fn);
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
	for (unsigned i = 0; i < sizeof(snapshot) / sizeof(snapshot[0]); i++)
		snapshot_set(i, NULL);
}
