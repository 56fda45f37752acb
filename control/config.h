/* The configuration: a YAML file in, checked structs for the data plane and the IKE engine out.
 *
 * Loading has three steps: the document's shape against the schema (every unknown key and wrong
 * kind of value at once), libcyaml into raw strings, then strict meaning. All mistakes are collected
 * in a report, each with the line of the value that is wrong. */
#ifndef SHRIKE_CONFIG_H
#define SHRIKE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane.h"
#include "ike.h"
#include "sa_params.h"

#define CONFIG_PATH_MAX 256

/* ------------------------------------------------------------------------------ report ------ */

struct config_note {
	unsigned line; /* 1-based; 0 = the file as a whole */
	bool warning;  /* otherwise an error */
	char *text;    /* a sentence without the final stop; owned */
};

/* Zero-initialise; free with config_report_free(). */
struct config_report {
	struct config_note *notes; /* ordered by line once config_load() returned */
	size_t n, cap;
	unsigned errors, warnings;
};

__attribute__((format(printf, 4, 5))) void config_report_add(struct config_report *r, unsigned line,
							      bool warning, const char *fmt, ...);
void config_report_sort(struct config_report *r);
/* Calls fn with "FILE:LINE: sentence" (or "FILE:LINE: warning: sentence") for each, in order. */
void config_report_each(const struct config_report *r, const char *file,
			void (*fn)(void *ctx, bool warning, const char *line), void *ctx);
void config_report_free(struct config_report *r);

/* ------------------------------------------------------------------------------ result ------ */

/* Which SPD id a policy of the file has: kept over reloads, so that SA pairs stay attached. */
struct config_policy_id {
	char name[2 * IKE_NAME_LEN + 2]; /* "peer/child", or "#0" for the first explicit policy */
	uint32_t id;
};

struct config {
	char file[CONFIG_PATH_MAX];
	struct dp_cfg dp; /* dp.routes is owned here */
	char run_dir[CONFIG_PATH_MAX];
	char stats_file[CONFIG_PATH_MAX]; /* with run_dir in front unless absolute */
	char leases_file[CONFIG_PATH_MAX]; /* likewise */
	char key_export[CONFIG_PATH_MAX]; /* directory for Wireshark's keys, "": none are written */
	uint32_t stats_interval_ms;	  /* 0 = only on SIGUSR1 */
	unsigned dh_threads;		  /* workers for public-key maths */
	struct ike_peer_cfg *peers;	  /* owned, with children and psk */
	size_t n_peers;
	struct cert_store *trust;	  /* owned; NULL without 'authorities' */
	unsigned n_children;
	struct spd_policy *policies; /* owned: explicit ones, then the children's, in order */
	size_t n_policies;
	struct config_policy_id *ids; /* owned, one per policy, sorted by name */
};

/* Loads and checks a file. old (may be NULL) is the configuration now in force: policies of the same
 * name keep their ids. Returns 0 with *out set, or -EINVAL when the report holds errors, or another
 * -errno (also explained in the report). The report may hold warnings after success. */
int config_load(const char *file, const struct config *old, struct config **out,
		struct config_report *report);
/* The same from memory: text (len bytes, any bytes) is what the file would hold; secrets are looked
 * for beside file. */
int config_parse(const char *file, const uint8_t *text, size_t len, const struct config *old,
		 struct config **out, struct config_report *report);
/* Wipes and frees; NULL is fine. */
void config_free(struct config *cfg);

/* True when both need the same ports, cores, routes and directories; otherwise *what names the first
 * part that differs ("ports"): a running daemon cannot change those. */
bool config_same_system(const struct config *a, const struct config *b, const char **what);

#endif
