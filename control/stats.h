/* The statistics document: everything that runs, as one JSON object. README.md describes its fields;
 * "version" changes when a field changes its meaning or goes. */
#ifndef SHRIKE_STATS_H
#define SHRIKE_STATS_H

#include <jansson.h>
#include <stdint.h>

#include "dataplane.h"
#include "ike.h"

#define STATS_VERSION 1

/* The busy share of each worker, sampled once a second so that readers do not disturb each other
 * (dp_lcore_stats() measures since its last call). */
struct stats_busy {
	double share[DP_MAX_WORKERS];
};

/* How long the event loop was kept from its next turn: by its own work, or by whoever else had the CPU. */
struct stats_pause {
	uint64_t longest_us;	 /* since the start */
	uint64_t longest_cpu_us; /* of CPU time: its own work alone */
	uint64_t recent_us[2];	 /* the longest of this minute and of the one before */
};

struct stats_source {
	struct dp *dp;
	struct ike *ike;
	const struct stats_busy *busy;
	const struct stats_pause *pause;
	const uint8_t *policy_clear; /* policy id -> its packets pass unprotected; NULL: none do */
	uint64_t uptime_us;
	const char *key_export; /* where keys are written to, or NULL */
};

void stats_sample_busy(struct dp *dp, struct stats_busy *busy);

/* Parts of the document that do not grow with the number of peers (those: listing.h; the whole: stats_doc.h); NULL only
 * without memory. head: everything but peers, SAs and totals. */
json_t *stats_head(const struct stats_source *s);
json_t *stats_ports(const struct stats_source *s);
json_t *stats_lcores(const struct stats_source *s);
json_t *stats_control(const struct stats_source *s);
json_t *stats_totals(const struct stats_source *s);

#endif
