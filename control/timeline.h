/* What happened lately, peer by peer: the engine's events with their time, a bounded ring for each
 * peer, and one for packets of strangers. What `shrikectl why` shows. */
#ifndef SHRIKE_TIMELINE_H
#define SHRIKE_TIMELINE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "ike.h"

/* Steps kept for a peer, for the first so many peers, and for those after them: 10,000 peers cost some
 * 25 MB that way. Rings are made on a peer's first event. */
#define TIMELINE_STEPS	    64
#define TIMELINE_FULL_PEERS 1024
#define TIMELINE_FEW_STEPS  16
#define TIMELINE_PEERS	    16384
#define TIMELINE_NEWS_US    60000000 /* the same diagnosis is news again after that */

struct timelines;

struct timelines *timelines_new(void); /* NULL: no memory */
void timelines_free(struct timelines *t);
/* Adds an event; now_us: monotonic. False: it carries a diagnosis that was told already, not long ago. */
bool timelines_add(struct timelines *t, const struct ike_event *ev, uint64_t now_us);
/* A peer that is no longer configured. */
void timelines_forget(struct timelines *t, const char *peer);
/* The steps of a peer ("" = strangers), oldest first: [{"age": seconds, "kind": "note", "child":
 * "net", "text": "...", "remote": "10.9.0.2", "cookies": "hex:hex"}]; an empty array when there are
 * none. NULL: no memory. */
json_t *timelines_json(const struct timelines *t, const char *peer, uint64_t now_us);

/* What is or was wrong with a peer, newest first, those that have ended last: an array of the objects
 * that README.md describes under "why". */
json_t *timelines_diagnoses(const struct timelines *t, const char *peer, uint64_t now_us);

/* "note", "phase1-up", ... */
const char *event_kind(enum ike_event_type type);

#endif
