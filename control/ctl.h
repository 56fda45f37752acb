/* The control socket: run-dir/control.sock, a UNIX stream socket of mode 0600.
 *
 * One request is one JSON object on a line of at most CTL_LINE_MAX bytes; one reply is one JSON object
 * on a line. Requests of a connection are answered in order.
 *
 *   {"command": "status"}              -> {"ok": true, "peers": [...], "totals": {...}, ...}
 *   {"command": "sa"}                  -> {"ok": true, "main_mode_sas": [...], "quick_mode_sas": [...]}
 *   {"command": "stats"}               -> {"ok": true, "stats": {the statistics document}}
 *   {"command": "why", "name": N}      -> {"ok": true, "name": N, "last_error": "...", "steps": [...]}
 *   {"command": "up", "name": N, "timeout": 15}
 *   {"command": "down", "name": N}
 *   {"command": "rekey", "name": N, "timeout": 15}
 *                                      -> {"ok": true, "text": "what happened"}
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

enum ctl_verb { CTL_STATUS, CTL_SA, CTL_STATS, CTL_WHY, CTL_UP, CTL_DOWN, CTL_REKEY };

struct ctl_request {
	enum ctl_verb verb;
	char name[2 * IKE_NAME_LEN + 2];
	double timeout_s;
};

/* Reads one line (len bytes, without the newline). Returns 0, or -EINVAL with a sentence in why. */
int ctl_request_parse(const char *line, size_t len, struct ctl_request *out, char *why,
		      size_t why_size);

#endif
