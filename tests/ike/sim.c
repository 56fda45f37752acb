/* Time, events, nodes that start and stop. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_internal.h"

uint64_t sim_random(uint64_t *s)
{
	uint64_t z = (*s += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

uint64_t sim_below(struct sim *s, uint64_t n)
{
	return n ? sim_random(&s->rng) % n : 0;
}

void sim_violated(struct sim *s, const char *fmt, ...)
{
	va_list ap;

	if (s->error[0])
		return;
	int n = snprintf(s->error, sizeof(s->error),
			 "seed %llu, %.3f s: ", (unsigned long long)s->cfg.seed,
			 (double)s->now / 1e6);
	va_start(ap, fmt);
	vsnprintf(s->error + n, sizeof(s->error) - (size_t)n, fmt, ap);
	va_end(ap);
}

void sim_say(struct sim *s, const char *fmt, ...)
{
	va_list ap;

	if (!s->cfg.verbose)
		return;
	printf("%10.4f  ", (double)s->now / 1e6);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

/* ------------------------------------------------------------------------ event queue ------- */

static bool before(const struct sim_ev *a, const struct sim_ev *b)
{
	return a->at != b->at ? a->at < b->at : a->order < b->order;
}

struct sim_ev *sim_ev_new(struct sim *s, enum ev_type type, unsigned node, uint64_t delay)
{
	struct sim_ev *e = calloc(1, sizeof(*e));

	e->at = s->now + delay;
	e->order = s->order++;
	e->type = type;
	e->node = node;
	e->epoch = s->nodes[node].epoch;
	if (s->n == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 64;
		s->heap = realloc(s->heap, s->cap * sizeof(*s->heap));
	}
	size_t i = s->n++;
	while (i > 0 && before(e, s->heap[(i - 1) / 2])) {
		s->heap[i] = s->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	s->heap[i] = e;
	return e;
}

struct sim_ev *sim_ev_pop(struct sim *s)
{
	struct sim_ev *top = s->heap[0], *last = s->heap[--s->n];
	size_t i = 0;

	for (;;) {
		size_t c = 2 * i + 1;
		if (c >= s->n)
			break;
		if (c + 1 < s->n && before(s->heap[c + 1], s->heap[c]))
			c++;
		if (!before(s->heap[c], last))
			break;
		s->heap[i] = s->heap[c];
		i = c;
	}
	if (s->n)
		s->heap[i] = last;
	return top;
}

void sim_ev_free(struct sim_ev *e)
{
	free(e->msg);
	free(e);
}

/* ------------------------------------------------------------------------- nodes ------------ */

void sim_node_configure(struct sim_node *n)
{
	for (unsigned i = 0; i < n->n_peers; i++)
		if (n->peers[i].name[0] && ike_peer_set(n->ike, &n->peers[i]) != 0)
			sim_violated(n->sim, "node %u refuses its configuration", n->idx);
}

static void totals_add(struct sim_node *n)
{
	struct ike_totals t;

	ike_totals(n->ike, &t);
	n->sim->totals.rekeys1 += t.rekeys_phase1;
	n->sim->totals.rekeys2 += t.rekeys_phase2;
	n->sim->totals.negotiations1 += t.phase1.count;
	n->sim->totals.negotiations2 += t.phase2.count;
}

void sim_node_halt(struct sim_node *n)
{
	totals_add(n);
	ike_free(n->ike);
	n->ike = NULL;
	n->epoch++;
	n->timer_at = UINT64_MAX;
	for (unsigned i = 0; i < SINK_BUCKETS; i++)
		if (!LIST_EMPTY(&n->sas[i]))
			sim_violated(n->sim, "node %u leaves SPI %08x behind", n->idx,
				     LIST_FIRST(&n->sas[i])->p.spi);
	if (n->n_reserved)
		sim_violated(n->sim, "node %u leaves %u reservations behind", n->idx,
			     n->n_reserved);
}

void sim_restart(struct sim *s, unsigned node)
{
	struct sim_node *n = &s->nodes[node];

	sim_say(s, "node %u RESTARTS", node);
	s->totals.restarts++;
	sim_node_halt(n);
	for (unsigned i = 0; i < n->n_peers * POLICIES_PER_PEER; i++)
		n->policies[i].was_up = false;
	sim_node_boot(n);
	sim_node_configure(n);
}

/* ---------------------------------------------------------------------------- running ------- */

static uint64_t traffic_us(const struct sim *s)
{
	return s->cfg.traffic_us ? s->cfg.traffic_us : 250000;
}

static void dispatch(struct sim *s, struct sim_ev *e)
{
	struct sim_node *n = &s->nodes[e->node];

	switch (e->type) {
	case EV_MSG:
		ike_input(n->ike, &e->path, e->msg, e->len);
		break;
	case EV_ESP:
		if (!s->stopped)
			sim_traffic_arrives(n, e);
		break;
	case EV_JOB:
		if (e->epoch != n->epoch)
			break; /* ike_free() took it */
		e->job->fn(e->job);
		ike_job_done(n->ike, e->job);
		break;
	case EV_INSTALLED:
		if (e->epoch != n->epoch)
			break;
		struct sink_sa *sa = sim_sink_find(n, e->ref.spi, e->dir);
		if (sa)
			sa->confirmed = true;
		ike_sa_installed(n->ike, &e->ref, e->dir);
		break;
	case EV_TRAFFIC:
		if (s->stopped || (s->cfg.faults & SIM_IDLE))
			break;
		sim_traffic(n);
		sim_ev_new(s, EV_TRAFFIC, e->node, traffic_us(s) + sim_below(s, traffic_us(s)));
		break;
	case EV_FLOW:
		if (e->epoch == n->epoch && !s->stopped)
			sim_flow_due(n, e);
		break;
	case EV_CHAOS:
		if (s->stopped)
			break;
		sim_chaos(s);
		sim_ev_new(s, EV_CHAOS, 0, sim_below(s, 40 * SEC));
		break;
	case EV_TIMER:
		if (e->at != n->timer_at)
			break; /* another one came earlier */
		n->timer_at = UINT64_MAX;
		ike_run_timers(n->ike);
		break;
	}
}

/* Sees to it that the node's engine runs when it wants to next. */
static void rearm(struct sim_node *n)
{
	struct sim *s = n->sim;
	uint64_t at = ike_next_timer(n->ike);

	if (at == UINT64_MAX)
		return;
	at = at > n->ahead_us ? at - n->ahead_us : 0;
	if (at < s->now)
		at = s->now;
	if (at >= n->timer_at)
		return;
	n->timer_at = at;
	sim_ev_new(s, EV_TIMER, n->idx, at - s->now);
}

static void rearm_all(struct sim *s)
{
	for (unsigned i = 0; i < s->cfg.nodes; i++)
		rearm(&s->nodes[i]);
}

void sim_run(struct sim *s, uint64_t us)
{
	uint64_t end = s->now + us;

	rearm_all(s); /* a test may have spoken to an engine */
	while (!s->error[0] && s->n && s->heap[0]->at <= end) {
		struct sim_ev *e = sim_ev_pop(s);
		if (e->at > s->now)
			s->now = e->at;
		dispatch(s, e);
		if (e->type == EV_CHAOS || e->type == EV_FLOW) /* of several nodes */
			rearm_all(s);
		else
			rearm(&s->nodes[e->node]);
		sim_ev_free(e);
	}
	if (s->now < end)
		s->now = end;
}
