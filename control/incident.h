/* What is or was wrong with a peer: the last diagnosis of each kind for each of its children, with
 * the steps that led to it. They stay when the timeline has long moved on. */
#ifndef SHRIKE_INCIDENT_H
#define SHRIKE_INCIDENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "ike.h"

#define INCIDENTS_MAX  4  /* of a peer; the one that ended first, or is oldest, makes room */
#define INCIDENT_STEPS 24 /* remembered with each */

struct step { /* of a timeline: there are sixteen of each of ten thousand peers, so it is small */
	uint64_t at_us;
	char *words; /* owned: the child's name, its final zero, what happened; NULL: no memory */
	uint8_t icookie[ISAKMP_COOKIE_LEN], rcookie[ISAKMP_COOKIE_LEN];
	struct ip_addr remote;
	uint8_t type; /* enum ike_event_type */
};

/* Takes the place of what is there, which is freed; zeroed: nothing is. */
void step_set(struct step *s, const struct ike_event *ev, uint64_t now_us);
void step_free(struct step *s);
const char *step_child(const struct step *s); /* "": of none */
const char *step_text(const struct step *s);

struct incident {
	struct ike_diagnosis d;
	uint64_t first_us, last_us, ended_us; /* ended_us 0: still so, as far as we know */
	uint64_t logged_us;
	unsigned times, n_steps;
	struct step steps[INCIDENT_STEPS];
};

struct incidents {
	struct incident *list[INCIDENTS_MAX]; /* NULL: free */
};

/* Notes the diagnosis; the steps before it are copied with step_copy(). Returns the incident, NULL
 * without memory. */
struct incident *incidents_add(struct incidents *l, const struct ike_diagnosis *d, uint64_t now_us);
/* An event that ends some: what failed has succeeded. */
void incidents_event(struct incidents *l, const struct ike_event *ev, uint64_t now_us);
/* Newest first, those that have ended last. step: makes the JSON of a step. */
json_t *incidents_json(const struct incidents *l, uint64_t now_us,
		       json_t *(*step)(const struct step *s, uint64_t now_us));
void incidents_free(struct incidents *l);
/* Copies into an incident; the oldest make room. */
void incident_step(struct incident *in, const struct step *s);

#endif
