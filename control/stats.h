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

struct stats_source {
	struct dp *dp;
	struct ike *ike;
	const struct stats_busy *busy;
	const uint8_t *policy_clear; /* policy id -> its packets pass unprotected; NULL: none do */
	uint64_t uptime_us;
	const char *key_export; /* where keys are written to, or NULL */
};

void stats_sample_busy(struct dp *dp, struct stats_busy *busy);

/* The whole document, or one part of it; NULL only without memory. */
json_t *stats_build(const struct stats_source *s);
json_t *stats_ports(const struct stats_source *s);
json_t *stats_lcores(const struct stats_source *s);
json_t *stats_totals(const struct stats_source *s);
/* Main Mode SAs of a peer (NULL: all). */
json_t *stats_main_mode(const struct stats_source *s, const char *peer);
/* Quick Mode SAs, one entry for each direction, of a peer (NULL: all). */
json_t *stats_quick_mode(const struct stats_source *s, const char *peer);
/* Configured peers with their children: state, traffic, last error. */
json_t *stats_peers(const struct stats_source *s);

/* Writes the document beside file and renames it over; 0 or -errno. */
int stats_write(const char *file, const json_t *doc);

#endif
