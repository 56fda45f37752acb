/* The control socket: run-dir/control.sock, a UNIX stream socket of mode 0600.
 *
 * One request is one JSON object on a line of at most CTL_LINE_MAX bytes; one reply is one JSON object
 * on a line. Requests of a connection are answered in order.
 *
 *   {"command": "status"}              -> {"ok": true, "peers": [...], "totals": {...}, ...}
 *   {"command": "sa"}                  -> {"ok": true, "main_mode_sas": [...], "quick_mode_sas": [...]}
 *   {"command": "stats"}               -> {"ok": true, "stats": {the statistics document}}
 *   {"command": "why", "name": N}      -> {"ok": true, "name": N, "last_error": "...", "diagnoses": [...],
 *                                          "steps": [...]}
 *   {"command": "up", "name": N, "timeout": 15}
 *   {"command": "down", "name": N}
 *   {"command": "rekey", "name": N, "timeout": 15}
 *                                      -> {"ok": true, "text": "what happened"}
 *
 *   {"command": "trace", "name": N, "count": 10, "seconds": 30}
 *   {"command": "capture", "name": N, "count": 1000, "seconds": 60, "side": "plain"}
 *   {"command": "capture", "port": "wan", ...}
 *                                      -> {"ok": true, "link": "ethernet" or "raw"}, then for each
 *                                         packet {"time": 1.5, "worker": 0, "child": N, "steps":
 *                                         [{"stage": S, "text": T}]} (trace) or {"time_us": 1500000,
 *                                         "direction": "in", "port": P, "length": 100, "data": hex},
 *                                         at the end {"ok": true, "done": true, "packets": n,
 *                                         "missed": n, "why": S}; whoever closes before ends it
 *
 * N is a peer ("gw-b"), a peer and a child ("gw-b/net"), or a child's name alone where only one peer
 * has it. "up" and "rekey" answer when the result is known, at most after timeout seconds (0..600,
 * 0 = at once). Anything that fails is {"ok": false, "error": "a sentence"}.
 *
 * A client that sends too much, or takes nothing of its reply for CTL_IDLE_S seconds, is closed; the
 * control thread never waits for one. */
#ifndef SHRIKE_CTL_H
#define SHRIKE_CTL_H

#include <jansson.h>
#include <stddef.h>

#include "ike.h"

#define CTL_LINE_MAX 4096
#define CTL_CLIENTS  16 /* at the same time */
#define CTL_IDLE_S   60

struct daemon;
struct ctl;

/* Listens. Returns 0, or -errno (logged). */
int ctl_start(struct daemon *d, struct ctl **out);
/* Closes all and removes the socket; NULL is fine. */
void ctl_stop(struct ctl *ctl);
/* The engine said something that a waiting "up" or "rekey" may wait for. */
void ctl_on_event(struct ctl *ctl, const struct ike_event *ev);

/* ------------------------------------------------- shared by ctl*.c and the fuzz target ------ */

#define CTL_WATCH_COUNT_MAX   1000000 /* packets of one trace or capture */
#define CTL_WATCH_SECONDS_MAX 3600

enum ctl_verb {
	CTL_STATUS,
	CTL_SA,
	CTL_STATS,
	CTL_WHY,
	CTL_UP,
	CTL_DOWN,
	CTL_REKEY,
	CTL_TRACE,
	CTL_CAPTURE,
};

enum ctl_side { CTL_SIDE_ENCRYPTED, CTL_SIDE_PLAIN };


struct ctl_request {
	enum ctl_verb verb;
	char name[2 * IKE_NAME_LEN + 2];
	double timeout_s;
	/* trace and capture */
	uint32_t count;
	double seconds;
	enum ctl_side side;
	char port[32]; /* empty: not by port */
};

/* Reads one line (len bytes, without the newline). Returns 0, or -EINVAL with a sentence in why. */
int ctl_request_parse(const char *line, size_t len, struct ctl_request *out, char *why,
		      size_t why_size);

#endif
