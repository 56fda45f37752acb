/* The running gateway: what the daemon's parts share. One thread, the control thread, runs all of
 * this; only jobs.c and the telemetry callbacks of stats_feed.c know others. */
#ifndef SHRIKE_DAEMON_H
#define SHRIKE_DAEMON_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "chores.h"
#include "config.h"
#include "ctl.h"
#include "dataplane.h"
#include "ike.h"
#include "jobs.h"
#include "key_export.h"
#include "stats.h"
#include "timeline.h"

struct daemon {
	struct config *cfg;
	struct dp *dp;
	struct ike *ike;
	struct jobs *jobs[IKE_JOB_KINDS]; /* threads of their own for each kind */
	struct timelines *timelines;
	struct key_export *keys; /* NULL: none is written */
	struct ctl *ctl;
	struct stats_busy busy;
	struct stats_pause pause;
	uint64_t turn_us, turn_cpu_us; /* when the loop was to turn next; CPU time when it last did */
	uint64_t pause_from_us;	       /* of pause.recent_us[0] */
	struct chores chores;
	struct stats_feed *feed;
	struct reload *reload; /* the file is being read again; NULL: it is not */
	uint64_t icv_seen; /* packets that failed their ICV, when we last looked */
	uint8_t *policy_clear; /* policy id -> its packets pass unprotected: see policies.c */
	uint64_t policies_due_us; /* the SPD is to be set then; 0: it is as it should be */
	struct policy_local *policy_local; /* local sides that Mode Config assigned: policies.c */
	size_t n_policy_local;
	bool assigned_changed;
	uint64_t leases_due_us; /* the leases are to be written then; 0: they are */
	uint8_t *policy_pairs; /* policy id -> parallel SA pairs of its child */
	uint64_t started_us;   /* monotonic */
	int lock_fd;

	struct event_base *base;
	struct event *ev_poll, *ev_jobs[IKE_JOB_KINDS], *ev_stats, *ev_busy;
	struct event *ev_signal[4];
	unsigned idle_polls; /* empty dp_poll() in a row */
	bool stopping;
	uint64_t stop_at_us; /* end of the time for last DELETEs */
};

/* Runs until SIGTERM or SIGINT; takes the configuration over. Returns the process's exit code. */
int daemon_run(struct config *cfg);

/* Takes back what a file of leases says. */
void daemon_leases_load(struct daemon *d, const char *file);

uint64_t clock_us(void); /* monotonic */

/* adapter_transport.c: ISAKMP messages over the data plane. */
void transport_send(void *ctx, const struct ike_path *path, const uint8_t *msg, size_t len);
void transport_cookies(void *ctx, const uint8_t *icookie, const uint8_t *rcookie, bool known);
void transport_keepalive(void *ctx, const struct ike_path *path);
void transport_on_ike(void *ctx, const struct dp_udp_path *path, const uint8_t *data, size_t len);

/* adapter_sa.c: SA pairs into the data plane, its events into the engine. */
int sa_sink_reserve(void *ctx, uint32_t policy, unsigned pair, struct sa_ref *out);
void sa_sink_release(void *ctx, const struct sa_ref *ref);
int sa_sink_install(void *ctx, const struct sa_params *p);
void sa_sink_remove(void *ctx, const struct sa_ref *ref, enum sa_dir dir);
bool sa_sink_stats(void *ctx, const struct sa_ref *ref, enum sa_dir dir, struct sa_stats *out);
void sa_on_stored(void *ctx, const struct sa_ref *ref, enum sa_dir dir);
void sa_on_limit(void *ctx, const struct sa_ref *ref, enum sa_dir dir, bool hard);
void sa_on_peer_moved(void *ctx, const struct sa_ref *ref, const struct ip_addr *remote,
		      uint16_t port);
void sa_on_acquire(void *ctx, uint32_t policy);
void sa_on_bad_spi(void *ctx, const struct ip_addr *remote, uint32_t spi);

/* policies.c: the SPD with the children that have fallen back to clear. apply: of cfg, now; 0 or -errno
 * (logged). on_clear: the engine's hook; run: puts in force what that changed. */
int policies_apply(struct daemon *d, const struct config *cfg);
void policies_on_clear(void *ctx, uint32_t policy, bool clear);
void policies_on_local(void *ctx, uint32_t policy, const struct ip_addr *local);
void policies_run(struct daemon *d, uint64_t now);

/* reload.c: puts cfg's policies and peers in force, old ones (or NULL) away. cfg is taken over and
 * becomes d->cfg. 0 or -errno (logged); on error the old ones stay. */
int reload_apply(struct daemon *d, struct config *cfg);
/* SIGHUP: begins to read the file again, on a thread; what runs stays until it is read, and when it
 * has errors. */
void reload_file(struct daemon *d);
void reload_stop(struct daemon *d); /* waits for that thread, and forgets what it has read */

/* events.c: one log line for what matters, the timeline for the rest. */
void events_on_event(void *ctx, const struct ike_event *ev);

/* stats_feed.c: the statistics file and DPDK's telemetry commands. */
int stats_feed_start(struct daemon *d); /* 0 or -errno (logged) */
void stats_feed_update(struct daemon *d); /* begins to; soon there */
void stats_feed_rearm(struct daemon *d); /* after the interval or the file changed */
void stats_feed_stop(struct daemon *d);
/* What the documents need from the daemon. */
struct stats_source daemon_stats_source(struct daemon *d);

#endif
