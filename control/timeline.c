#include "timeline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hex.h"
#include "incident.h"

struct ring {
	char peer[IKE_NAME_LEN];
	struct incidents incidents;
	unsigned next, n, cap; /* step[(next + i) % cap] is the i-th oldest once it is full */
	struct step step[];
};

struct timelines {
	struct ring **ring; /* sorted by name */
	size_t n;
};

struct timelines *timelines_new(void)
{
	return calloc(1, sizeof(struct timelines));
}

static void ring_free(struct ring *r)
{
	for (unsigned i = 0; i < r->n; i++)
		step_free(&r->step[i]);
	incidents_free(&r->incidents);
	free(r);
}

void timelines_free(struct timelines *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n; i++)
		ring_free(t->ring[i]);
	free(t->ring);
	free(t);
}

/* Where the peer's ring is, or would be inserted. */
static size_t ring_position(const struct timelines *t, const char *peer)
{
	size_t lo = 0, hi = t->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (strcmp(t->ring[mid]->peer, peer) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct ring *ring_find(const struct timelines *t, const char *peer)
{
	size_t i = ring_position(t, peer);

	return i < t->n && strcmp(t->ring[i]->peer, peer) == 0 ? t->ring[i] : NULL;
}

static struct ring *ring_make(struct timelines *t, const char *peer)
{
	size_t i = ring_position(t, peer);
	struct ring *r;

	if (t->n >= TIMELINE_PEERS)
		return NULL;
	struct ring **grown = realloc(t->ring, (t->n + 1) * sizeof(*grown));
	if (!grown)
		return NULL;
	t->ring = grown;
	unsigned cap = t->n < TIMELINE_FULL_PEERS ? TIMELINE_STEPS : TIMELINE_FEW_STEPS;
	r = calloc(1, sizeof(*r) + cap * sizeof(r->step[0]));
	if (!r)
		return NULL;
	r->cap = cap;
	snprintf(r->peer, sizeof(r->peer), "%s", peer);
	memmove(&t->ring[i + 1], &t->ring[i], (t->n - i) * sizeof(*t->ring));
	t->ring[i] = r;
	t->n++;
	return r;
}

static const struct step *ring_step(const struct ring *r, unsigned i)
{
	return &r->step[r->n < r->cap ? i : (r->next + i) % r->cap];
}

/* Of the same Main Mode, or of no particular one. */
static bool belongs(const struct step *s, const struct ike_event *ev)
{
	static const uint8_t none[ISAKMP_COOKIE_LEN];

	return memcmp(ev->icookie, none, sizeof(none)) == 0 ||
	       memcmp(s->icookie, none, sizeof(none)) == 0 ||
	       memcmp(s->icookie, ev->icookie, sizeof(s->icookie)) == 0;
}

static bool ring_diagnose(struct ring *r, const struct ike_event *ev, uint64_t now_us)
{
	struct incident *in = incidents_add(&r->incidents, ev->diagnosis, now_us);
	bool news;

	if (!in)
		return true;
	for (unsigned i = 0; i < r->n; i++)
		if (belongs(ring_step(r, i), ev))
			incident_step(in, ring_step(r, i));
	news = !in->logged_us || now_us > in->logged_us + TIMELINE_NEWS_US;
	if (news)
		in->logged_us = now_us;
	return news;
}

bool timelines_add(struct timelines *t, const struct ike_event *ev, uint64_t now_us)
{
	struct ring *r = ring_find(t, ev->peer);

	if (!r)
		r = ring_make(t, ev->peer);
	if (!r)
		return true; /* a step that is not remembered is better than a daemon that ends */
	step_set(&r->step[r->next], ev, now_us);
	r->next = (r->next + 1) % r->cap;
	if (r->n < r->cap)
		r->n++;
	incidents_event(&r->incidents, ev, now_us);
	return !ev->diagnosis || ring_diagnose(r, ev, now_us);
}

void timelines_forget(struct timelines *t, const char *peer)
{
	size_t i = ring_position(t, peer);

	if (i == t->n || strcmp(t->ring[i]->peer, peer) != 0)
		return;
	ring_free(t->ring[i]);
	memmove(&t->ring[i], &t->ring[i + 1], (t->n - i - 1) * sizeof(*t->ring));
	t->n--;
}

const char *event_kind(enum ike_event_type type)
{
	switch (type) {
	case IKE_EV_PHASE1_UP:
		return "phase1-up";
	case IKE_EV_PHASE1_DOWN:
		return "phase1-down";
	case IKE_EV_PHASE1_FAILED:
		return "phase1-failed";
	case IKE_EV_CHILD_UP:
		return "child-up";
	case IKE_EV_CHILD_REKEYED:
		return "child-rekeyed";
	case IKE_EV_CHILD_DOWN:
		return "child-down";
	case IKE_EV_CHILD_FAILED:
		return "child-failed";
	case IKE_EV_CHILD_CLEAR:
		return "child-clear";
	case IKE_EV_CHILD_PROTECTED:
		return "child-protected";
	case IKE_EV_WARNING:
		return "warning";
	case IKE_EV_NOTE:
		return "note";
	}
	return "unknown";
}

static json_t *step_json(const struct step *s, uint64_t now_us)
{
	char cookies[4 * ISAKMP_COOKIE_LEN + 2], remote[ADDR_STR_LEN] = "";

	hex_str(s->icookie, ISAKMP_COOKIE_LEN, cookies);
	cookies[2 * ISAKMP_COOKIE_LEN] = ':';
	hex_str(s->rcookie, ISAKMP_COOKIE_LEN, cookies + 2 * ISAKMP_COOKIE_LEN + 1);
	if (s->remote.family != IP_NONE)
		ip_addr_str(&s->remote, remote, sizeof(remote));
	return json_pack("{s:f, s:s, s:s, s:s, s:s, s:s}", "age", (double)(now_us - s->at_us) / 1e6,
			 "kind", event_kind((enum ike_event_type)s->type), "child", step_child(s),
			 "text", step_text(s), "remote", remote, "cookies", cookies);
}

json_t *timelines_json(const struct timelines *t, const char *peer, uint64_t now_us)
{
	const struct ring *r = ring_find(t, peer);
	json_t *steps = json_array();

	for (unsigned i = 0; r && i < r->n; i++)
		json_array_append_new(steps, step_json(ring_step(r, i), now_us));
	return steps;
}

json_t *timelines_diagnoses(const struct timelines *t, const char *peer, uint64_t now_us)
{
	const struct ring *r = ring_find(t, peer);

	return r ? incidents_json(&r->incidents, now_us, step_json) : json_array();
}
