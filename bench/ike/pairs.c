/* The gateway has one control thread (ours, on CPU 0) and one thread for public-key maths (on
 * another CPU). Its peers are a second engine, which works between the gateway's turns: then the
 * clock stands still. In each turn the gateway finds the messages of one batch of peers for every
 * step of a negotiation, so that its threads have work for each other all the time, as they have
 * with many peers in any state. */
#include "pairs.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "maths.h"
#include "node.h"

#define BATCH 128 /* peers that begin between two turns */

struct bench {
	struct node gw, peers;
	struct peer_plan plan;
	uint64_t wall_ns, cpu_ns,
		all_ns; /* of the gateway's turns; CPU of its control thread, of all */
	uint32_t seed;  /* of the order in which messages come */
};

static uint64_t now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void stay_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

/* Messages arrive with the path as their receiver sees it. */
static void deliver(struct node *to, struct message *m)
{
	struct ike_path path = { .local = m->path.remote,
				 .remote = m->path.local,
				 .local_port = m->path.remote_port,
				 .remote_port = m->path.local_port };

	ike_input(to->ike, &path, m->data, m->len);
	free(m->data);
}

static bool peers_turn(struct bench *b)
{
	struct message m;
	bool any = false;

	while (messages_get(&b->gw.out, &m)) {
		deliver(&b->peers, &m);
		any = true;
	}
	node_settle(&b->peers);
	return any || b->peers.out.first < b->peers.out.n;
}

/* Those of a batch were made step by step, but messages of many peers come in any order. */
static void shuffle(struct messages *q, uint32_t *seed)
{
	for (size_t i = q->n; i > q->first + 1; i--) {
		*seed = *seed * 1664525u + 1013904223u;
		size_t k = q->first + (*seed >> 8) % (i - q->first);
		struct message m = q->m[i - 1];
		q->m[i - 1] = q->m[k];
		q->m[k] = m;
	}
}

static void gateway_turn(struct bench *b)
{
	shuffle(&b->peers.out, &b->seed);
	uint64_t wall = now_ns(CLOCK_MONOTONIC), cpu = now_ns(CLOCK_THREAD_CPUTIME_ID);
	uint64_t all = now_ns(CLOCK_PROCESS_CPUTIME_ID);
	struct message m;

	while (messages_get(&b->peers.out, &m)) {
		deliver(&b->gw, &m);
		node_turn(&b->gw);
	}
	node_settle(&b->gw);
	b->wall_ns += now_ns(CLOCK_MONOTONIC) - wall;
	b->cpu_ns += now_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
	b->all_ns += now_ns(CLOCK_PROCESS_CPUTIME_ID) - all;
}

/* fn(name of peer i) for each of n, batch by batch, until everything has settled. */
static void run(struct bench *b, unsigned n, const char *suffix,
		int (*fn)(struct ike *ike, const char *name))
{
	char name[64];
	unsigned i = 0;

	do {
		for (unsigned k = 0; k < BATCH && i < n; k++, i++) {
			snprintf(name, sizeof(name), "p%u%s", i, suffix);
			fn(b->peers.ike, name);
		}
		if (!peers_turn(b) && i == n)
			break;
		gateway_turn(b);
	} while (true);
}

static bool open_bench(struct bench *b, unsigned n, const char *ike, const char *esp)
{
	static const uint16_t control_cpu = 0;
	struct ike_limits limits = { .half_open_max = 8 * BATCH, .calls_per_second = 1000000 };
	struct jobs *jobs;
	struct ike_peer_cfg cfg;
	int rc;

	*b = (struct bench){ .plan = { .ike_proposal = ike,
				       .esp_proposal = esp,
				       .gateway = ip_addr_v4(0xc6120001u),
				       .children = 1 } };
	/* the maths' thread first: it takes its CPUs from what is left */
	if (jobs_new(1, &control_cpu, 1, UINT16_MAX, &jobs) != 0)
		return false;
	stay_on(control_cpu);
	rc = node_init(&b->gw, &limits, jobs);
	if (rc == 0)
		rc = node_init(&b->peers, &limits, NULL);
	for (unsigned i = 0; rc == 0 && i < 2 * n; i++) {
		rc = peer_cfg_make(&b->plan, i / 2, i % 2, &cfg);
		if (rc == 0)
			rc = ike_peer_set(i % 2 ? b->gw.ike : b->peers.ike, &cfg);
		peer_cfg_done(&cfg);
	}
	return rc == 0;
}

static void close_bench(struct bench *b)
{
	struct jobs *jobs = b->gw.jobs;

	node_free(&b->gw);
	node_free(&b->peers);
	jobs_free(jobs);
}

static bool complete(const struct bench *b, uint64_t got, uint64_t wanted)
{
	if (got == wanted && !b->gw.failed)
		return true;
	fprintf(stderr, "%llu of %llu negotiations: %s\n", (unsigned long long)got,
		(unsigned long long)wanted, b->gw.failed ? b->gw.error : b->peers.error);
	return false;
}

/* On the maths' CPU, with nothing beside it. */
static void measure_maths(const char *group, struct rate *r)
{
	uint16_t id = 0;

	for (unsigned i = 0; group_at(i); i++)
		if (strcmp(group_at(i)->name, group) == 0)
			id = group_at(i)->id;
	stay_on(1);
	r->maths_us = maths_us(id);
	r->evp_us = maths_evp_us(id);
	stay_on(0);
	double best = r->evp_us > 0 && r->evp_us < r->maths_us ? r->evp_us : r->maths_us;
	r->share = r->per_second * best / 1e6;
}

static void rate_of(const struct bench *b, unsigned n, struct rate *r)
{
	*r = (struct rate){ .done = n,
			    .per_second = n / ((double)b->wall_ns / 1e9),
			    .control_us = (double)b->cpu_ns / n / 1e3,
			    .public_key_us = ((double)b->all_ns - (double)b->cpu_ns) / n / 1e3 };
}

bool pairs_measure(const char *group, unsigned n, struct rate *out)
{
	char ike[64];
	struct bench b;

	snprintf(ike, sizeof(ike), "aes128-sha256-%s", group);
	if (!open_bench(&b, n, ike, "aes128gcm16"))
		return false;
	run(&b, n, "", ike_up);
	bool ok = complete(&b, b.gw.children_up, n);
	rate_of(&b, n, out);
	if (ok)
		measure_maths(group, out);
	close_bench(&b);
	return ok;
}

bool quick_measure(const char *group, unsigned n, unsigned rounds, struct rate *out)
{
	char esp[64];
	struct bench b;

	snprintf(esp, sizeof(esp), "aes128gcm16%s%s", group ? "-" : "", group ? group : "");
	if (!open_bench(&b, n, "aes128-sha256-x25519", esp))
		return false;
	run(&b, n, "", ike_up);
	b.wall_ns = b.cpu_ns = b.all_ns = 0;
	for (unsigned i = 0; i < rounds; i++)
		run(&b, n, "/c0", ike_rekey);
	bool ok = complete(&b, b.gw.rekeyed, (uint64_t)n * rounds);
	rate_of(&b, n * rounds, out);
	if (ok && group)
		measure_maths(group, out);
	close_bench(&b);
	return ok;
}
