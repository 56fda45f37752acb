/* Parts of the control tool. */
#ifndef SHRIKE_SHRIKECTL_H
#define SHRIKE_SHRIKECTL_H

#include <jansson.h>
#include <stdbool.h>

/* shrikectl_why.c: what is wrong, with what would mend it, and the last steps. */
void show_why(const json_t *reply);

/* shrikectl_show.c: replies as tables on standard output. direction: "in", "out" or NULL for both. */
void show_status(const json_t *reply);
void show_sa(const json_t *reply);
void show_stats(const json_t *stats, const char *direction);

/* ---- shrikectl_watch.c ---- */
struct watch_options {
	const char *peer, *port, *side; /* NULL: not given */
	unsigned count;                 /* 0: not given */
	double seconds;                 /* likewise */
	const char *file;               /* capture: where to; "-" = standard output */
	bool json;
};
json_t *watch_request(const struct watch_options *o, bool capture);
/* Sends the request (taken over) and prints or records what comes, until the end. fd is closed. False
 * after a message. */
bool watch_run(const struct watch_options *o, int fd, json_t *request);

#endif
