#include "node.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "random.h"

#define FIRST_PEER 0x0a400000u /* 10.64.0.0 */
#define PSK        "simulated peers share one secret"

uint64_t node_clock_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* Makes room for one more item; a measurement without memory is none. */
static void *grown(void *items, size_t n, size_t *cap, size_t item)
{
	if (n < *cap)
		return items;
	*cap = *cap ? 2 * *cap : 256;
	items = realloc(items, *cap * item);
	if (!items) {
		fprintf(stderr, "no memory\n");
		exit(1);
	}
	return items;
}

/* ---------------------------------------------------------------------------- messages ------ */

void messages_put(struct messages *q, const struct ike_path *path, const uint8_t *data, size_t len)
{
	if (q->first > 1024 && q->first > q->n / 2) {
		memmove(q->m, q->m + q->first, (q->n - q->first) * sizeof(*q->m));
		q->n -= q->first;
		q->first = 0;
	}
	q->m = grown(q->m, q->n, &q->cap, sizeof(*q->m));
	struct message *m = &q->m[q->n++];
	*m = (struct message){ .path = *path, .data = malloc(len), .len = len };
	if (!m->data)
		abort();
	memcpy(m->data, data, len);
}

bool messages_get(struct messages *q, struct message *out)
{
	if (q->first == q->n)
		return false;
	*out = q->m[q->first++];
	return true;
}

/* ------------------------------------------------------------------------- the outside ------ */

static void op_send(void *ctx, const struct ike_path *path, const uint8_t *msg, size_t len)
{
	struct node *n = ctx;

	if (n->send)
		n->send(n->ctx, path, msg, len);
	else
		messages_put(&n->out, path, msg, len);
}

static void op_keepalive(void *ctx, const struct ike_path *path)
{
	(void)ctx;
	(void)path;
}

static uint64_t op_now(void *ctx)
{
	struct node *n = ctx;

	return n->clock();
}

static int op_random(void *ctx, void *buf, size_t len)
{
	(void)ctx;
	return random_bytes(buf, len);
}

static void op_job(void *ctx, struct ike_job *job)
{
	struct node *n = ctx;

	n->jobs_open++;
	if (n->jobs) {
		jobs_push(n->jobs, job);
		return;
	}
	n->at_once = grown(n->at_once, n->n_at_once, &n->cap_at_once, sizeof(*n->at_once));
	n->at_once[n->n_at_once++] = job;
}

static int op_reserve(void *ctx, uint32_t policy, unsigned pair, struct sa_ref *out)
{
	struct node *n = ctx;

	(void)policy;
	(void)pair;
	n->spi += 0x10001; /* never used twice within a run */
	*out = (struct sa_ref){ .spi = n->spi | 0x1000 };
	return 0;
}

static void op_release(void *ctx, const struct sa_ref *ref)
{
	(void)ctx;
	(void)ref;
}

static int op_install(void *ctx, const struct sa_params *p)
{
	struct node *n = ctx;

	n->stored = grown(n->stored, n->n_stored, &n->cap_stored, sizeof(*n->stored));
	n->stored[n->n_stored++] = (struct stored){ p->ref, p->dir };
	return 0;
}

static void op_remove(void *ctx, const struct sa_ref *ref, enum sa_dir dir)
{
	(void)ctx;
	(void)ref;
	(void)dir;
}

static void op_event(void *ctx, const struct ike_event *ev)
{
	struct node *n = ctx;

	n->phase1_up += ev->type == IKE_EV_PHASE1_UP;
	n->children_up += ev->type == IKE_EV_CHILD_UP;
	n->rekeyed += ev->type == IKE_EV_CHILD_REKEYED;
	if (ev->type == IKE_EV_PHASE1_FAILED || ev->type == IKE_EV_CHILD_FAILED) {
		n->failed++;
		snprintf(n->error, sizeof(n->error), "%s: %s", ev->peer, ev->text);
	}
	if (n->event)
		n->event(n->ctx, ev);
}

int node_init(struct node *n, const struct ike_limits *limits, struct jobs *jobs)
{
	struct ike_ops ops = { .ctx = n,
			       .send = op_send,
			       .keepalive = op_keepalive,
			       .now_us = op_now,
			       .random = op_random,
			       .job = op_job,
			       .sa_reserve = op_reserve,
			       .sa_release = op_release,
			       .sa_install = op_install,
			       .sa_remove = op_remove,
			       .event = op_event };

	*n = (struct node){ .jobs = jobs, .clock = node_clock_us };
	n->ike = ike_new(&ops, limits);
	return n->ike ? 0 : -ENOMEM;
}

void node_free(struct node *n)
{
	struct message m;

	ike_free(n->ike);
	while (messages_get(&n->out, &m))
		free(m.data);
	free(n->out.m);
	free(n->at_once);
	free(n->stored);
	*n = (struct node){ 0 };
}

/* ------------------------------------------------------------------------------ a turn ------ */

static bool take_results(struct node *n)
{
	struct ike_job *job;
	bool any = false;

	while (n->jobs && (job = jobs_take(n->jobs))) {
		n->jobs_open--;
		ike_job_done(n->ike, job);
		any = true;
	}
	while (n->n_at_once) {
		job = n->at_once[--n->n_at_once];
		n->jobs_open--;
		job->fn(job);
		ike_job_done(n->ike, job);
		any = true;
	}
	return any;
}

bool node_turn(struct node *n)
{
	bool any = n->jobs_open && take_results(n);

	while (n->n_stored) {
		struct stored s = n->stored[--n->n_stored];
		ike_sa_installed(n->ike, &s.ref, s.dir);
		any = true;
	}
	if (ike_next_timer(n->ike) <= n->clock()) {
		ike_run_timers(n->ike);
		any = true;
	}
	return any;
}

void node_settle(struct node *n)
{
	while (node_turn(n) || n->jobs_open) {
		struct pollfd fd = { .fd = n->jobs ? jobs_fd(n->jobs) : -1, .events = POLLIN };
		if (n->jobs && n->jobs_open)
			poll(&fd, 1, 1);
	}
}

/* ------------------------------------------------------------------------ configuration ----- */

uint32_t peer_address(unsigned i)
{
	return FIRST_PEER + 256 + i; /* none of them ends a network */
}

static struct ip_range net(unsigned first, unsigned i)
{
	uint32_t lo = (first << 24) + (i << 3);

	return (struct ip_range){ ip_addr_v4(lo), ip_addr_v4(lo + 7) };
}

static int child_make(const struct peer_plan *plan, unsigned i, unsigned k, bool gw,
		      struct ike_child_cfg *c)
{
	struct ip_range ours = net(100, i * plan->children + k),
			theirs = net(101, i * plan->children + k);
	size_t n = 0;
	char why[200];

	snprintf(c->name, sizeof(c->name), "c%u", k);
	c->policy = i * plan->children + k;
	c->sel.local = gw ? ours : theirs;
	c->sel.remote = gw ? theirs : ours;
	c->mode = SA_TUNNEL;
	c->start = START_PASSIVE;
	c->pairs = 1;
	c->life_s = plan->child_life_s;
	c->margin_s = plan->child_life_s / 4;
	int rc = esp_proposal_parse(plan->esp_proposal, c->esp, IKE_CFG_TRANSFORMS, &n, why,
				    sizeof(why));
	c->n_esp = (unsigned)n;
	return rc;
}

int peer_cfg_make(const struct peer_plan *plan, unsigned i, bool gw, struct ike_peer_cfg *p)
{
	struct ip_addr addr = ip_addr_v4(peer_address(i));
	char why[200];
	size_t n = 0;
	int rc;

	*p = (struct ike_peer_cfg){ .initiate = true,
				    .dpd_s = plan->dpd_s,
				    .life_s = plan->life_s };
	snprintf(p->name, sizeof(p->name), "p%u", i);
	p->local = gw ? plan->gateway : addr;
	p->remote = gw ? addr : plan->gateway;
	p->psk = (uint8_t *)PSK; /* the engine copies it */
	p->psk_len = strlen(PSK);
	rc = ike_proposal_parse(plan->ike_proposal, p->ike, IKE_CFG_TRANSFORMS, &n, why,
				sizeof(why));
	p->n_ike = (unsigned)n;
	p->children = calloc(plan->children, sizeof(*p->children));
	if (!p->children)
		return -ENOMEM;
	p->n_children = plan->children;
	for (unsigned k = 0; rc == 0 && k < plan->children; k++)
		rc = child_make(plan, i, k, gw, &p->children[k]);
	if (rc != 0)
		peer_cfg_done(p);
	return rc;
}

void peer_cfg_done(struct ike_peer_cfg *cfg)
{
	free(cfg->children);
	cfg->children = NULL;
}
