#include "incident.h"

#include <stdlib.h>
#include <string.h>

#define SETTLED_US 5000000 /* a difference that was not found again for so long is none any more \
			    */

/* child and text in one piece; NULL: no memory. */
static char *words_new(const char *child, const char *text)
{
	size_t n = strlen(child) + 1, len = strlen(text) + 1;
	char *words = malloc(n + len);

	if (words) {
		memcpy(words, child, n);
		memcpy(words + n, text, len);
	}
	return words;
}

void step_set(struct step *s, const struct ike_event *ev, uint64_t now_us)
{
	step_free(s);
	*s = (struct step){ .at_us = now_us,
			    .words = words_new(ev->child, ev->text),
			    .remote = ev->path.remote,
			    .type = (uint8_t)ev->type };
	memcpy(s->icookie, ev->icookie, sizeof(s->icookie));
	memcpy(s->rcookie, ev->rcookie, sizeof(s->rcookie));
}

void step_free(struct step *s)
{
	free(s->words);
	s->words = NULL;
}

const char *step_child(const struct step *s)
{
	return s->words ? s->words : "";
}

const char *step_text(const struct step *s)
{
	return s->words ? s->words + strlen(s->words) + 1 : "";
}

static void steps_free(struct incident *in)
{
	for (unsigned i = 0; i < in->n_steps; i++)
		step_free(&in->steps[i]);
	in->n_steps = 0;
}

static void incident_free(struct incident *in)
{
	if (!in)
		return;
	steps_free(in);
	free(in);
}

void incidents_free(struct incidents *l)
{
	for (unsigned i = 0; i < INCIDENTS_MAX; i++)
		incident_free(l->list[i]);
}

/* True when a is more worth keeping than b. */
static bool outlives(const struct incident *a, const struct incident *b)
{
	if ((a->ended_us == 0) != (b->ended_us == 0))
		return a->ended_us == 0;
	return a->last_us > b->last_us;
}

/* The place of an incident like that, or the one that it may take. */
static struct incident **incident_place(struct incidents *l, const struct ike_diagnosis *d)
{
	struct incident **worst = &l->list[0];

	for (unsigned i = 0; i < INCIDENTS_MAX; i++) {
		struct incident *in = l->list[i];
		if (in && in->d.code == d->code && in->d.initiator == d->initiator &&
		    strcmp(in->d.child, d->child) == 0)
			return &l->list[i];
		if (*worst && (!in || outlives(*worst, in)))
			worst = &l->list[i];
	}
	return worst;
}

struct incident *incidents_add(struct incidents *l, const struct ike_diagnosis *d, uint64_t now_us)
{
	struct incident **place = incident_place(l, d), *in = *place;
	bool same = in && in->d.code == d->code && in->d.initiator == d->initiator &&
		    strcmp(in->d.child, d->child) == 0 && !in->ended_us;

	if (!in)
		in = *place = calloc(1, sizeof(*in));
	if (!in)
		return NULL;
	if (!same) {
		steps_free(in);
		memset(in, 0, sizeof(*in));
		in->first_us = now_us;
	}
	if (strcmp(in->d.text, d->text) != 0)
		in->logged_us = 0;
	in->d = *d;
	in->last_us = now_us;
	in->times++;
	steps_free(in);
	return in;
}

void incident_step(struct incident *in, const struct step *s)
{
	if (in->n_steps == INCIDENT_STEPS) {
		step_free(&in->steps[0]);
		memmove(&in->steps[0], &in->steps[1], (INCIDENT_STEPS - 1) * sizeof(*s));
		in->n_steps--;
	}
	struct step *to = &in->steps[in->n_steps++];
	*to = *s;
	to->words = words_new(step_child(s), step_text(s));
}

static bool is_phase2(const struct ike_diagnosis *d)
{
	return d->child[0] || d->code == IKE_DIAG_SELECTORS;
}

static bool ended_by(const struct incident *in, const struct ike_event *ev, uint64_t now_us)
{
	bool child = ev->type == IKE_EV_CHILD_UP || ev->type == IKE_EV_CHILD_REKEYED;

	if (ev->type != IKE_EV_PHASE1_UP && !child)
		return false;
	if (is_phase2(&in->d) != child || (in->d.child[0] && strcmp(in->d.child, ev->child) != 0))
		return false;
	/* found anew with every negotiation, just before it ends */
	bool late = in->d.code == IKE_DIAG_LIFETIME ||
		    (in->d.code == IKE_DIAG_OCSP && in->d.degraded);
	return !late || now_us > in->last_us + SETTLED_US;
}

void incidents_event(struct incidents *l, const struct ike_event *ev, uint64_t now_us)
{
	for (unsigned i = 0; i < INCIDENTS_MAX; i++)
		if (l->list[i] && !l->list[i]->ended_us && ended_by(l->list[i], ev, now_us))
			l->list[i]->ended_us = now_us;
}

/* ------------------------------------------------------------------------------ as JSON ----- */

static json_t *lines_json(const char *text)
{
	json_t *lines = json_array();

	while (*text) {
		size_t n = strcspn(text, "\n");
		json_array_append_new(lines, json_stringn(text, n));
		text += n + (text[n] == '\n');
	}
	return lines;
}

static json_t *differences_json(const struct ike_diagnosis *d)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < d->n_diff; i++)
		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:s}", "what", d->diff[i].what, "ours",
						d->diff[i].ours, "theirs", d->diff[i].theirs));
	return list;
}

static double seconds(uint64_t from_us, uint64_t to_us)
{
	return (double)(to_us - from_us) / 1e6;
}

static json_t *incident_json(const struct incident *in, uint64_t now_us,
			     json_t *(*step)(const struct step *s, uint64_t now_us))
{
	const struct ike_diagnosis *d = &in->d;
	json_t *steps = json_array(), *o;

	for (unsigned i = 0; i < in->n_steps; i++)
		json_array_append_new(steps, step(&in->steps[i], now_us));
	o = json_pack("{s:s, s:s, s:s, s:b, s:b, s:s, s:f, s:f, s:i, s:o, s:{s:s, s:o}, s:s}",
		      "code", diagnosis_code_name(d->code), "child", d->child, "role",
		      d->initiator ? "initiator" : "responder", "degraded", (int)d->degraded,
		      "certain", (int)!d->probable, "text", d->text, "since",
		      seconds(in->first_us, now_us), "age", seconds(in->last_us, now_us), "times",
		      (int)in->times, "differences", differences_json(d), "mend", "where", d->where,
		      "lines", lines_json(d->mend), "remedy", d->remedy);
	json_object_set_new(o, "ended",
			    in->ended_us ? json_real(seconds(in->ended_us, now_us)) : json_null());
	json_object_set_new(o, "offer", d->offer ? json_integer(d->offer) : json_null());
	json_object_set_new(o, "transform", d->offer ? json_integer(d->transform) : json_null());
	json_object_set_new(o, "secret", d->secret[0] ? json_string(d->secret) : json_null());
	json_object_set_new(o, "steps", steps);
	return o;
}

json_t *incidents_json(const struct incidents *l, uint64_t now_us,
		       json_t *(*step)(const struct step *s, uint64_t now_us))
{
	const struct incident *sorted[INCIDENTS_MAX];
	json_t *list = json_array();
	unsigned n = 0;

	for (unsigned i = 0; i < INCIDENTS_MAX; i++) {
		unsigned at = n;
		if (!l->list[i])
			continue;
		for (; at > 0 && outlives(l->list[i], sorted[at - 1]); at--)
			sorted[at] = sorted[at - 1];
		sorted[at] = l->list[i];
		n++;
	}
	for (unsigned i = 0; i < n; i++)
		json_array_append_new(list, incident_json(sorted[i], now_us, step));
	return list;
}
