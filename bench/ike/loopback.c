#include "loopback.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "node.h"

#define PATIENCE_US 2000000 /* for one negotiation */

struct side {
	struct node node;
	struct ike_path path; /* to the other side */
	int fd;
	atomic_bool stop;
	uint64_t phase1_at, pair_at; /* when they came up last */
};

static void side_send(void *ctx, const struct ike_path *path, const uint8_t *msg, size_t len)
{
	struct side *s = ctx;

	(void)path;
	if (send(s->fd, msg, len, 0) < 0)
		perror("send");
}

static void side_event(void *ctx, const struct ike_event *ev)
{
	struct side *s = ctx;

	if (ev->type == IKE_EV_PHASE1_UP)
		s->phase1_at = node_clock_us();
	if (ev->type == IKE_EV_CHILD_UP || ev->type == IKE_EV_CHILD_REKEYED)
		s->pair_at = node_clock_us();
}

static void side_turn(struct side *s)
{
	struct pollfd fd[2] = { { .fd = s->fd, .events = POLLIN },
				{ .fd = jobs_fd(s->node.jobs), .events = POLLIN } };
	uint64_t now = node_clock_us(), next = ike_next_timer(s->node.ike);
	uint8_t msg[IKE_MAX_MESSAGE];
	ssize_t len;

	poll(fd, 2, next <= now || s->node.n_stored ? 0 : 1);
	while ((len = recv(s->fd, msg, sizeof(msg), MSG_DONTWAIT)) > 0)
		ike_input(s->node.ike, &s->path, msg, (size_t)len);
	while (node_turn(&s->node))
		;
}

static void *side_run(void *arg)
{
	struct side *s = arg;

	while (!s->stop)
		side_turn(s);
	return NULL;
}

static int udp_socket(struct sockaddr_in *own)
{
	socklen_t len = sizeof(*own);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)own, len) != 0 ||
	    getsockname(fd, (struct sockaddr *)own, &len) != 0) {
		perror("socket");
		exit(1);
	}
	return fd;
}

static void sockets_open(struct side *a, struct side *b)
{
	struct sockaddr_in at[2] = {
		{ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) },
		{ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) },
	};

	a->fd = udp_socket(&at[0]);
	b->fd = udp_socket(&at[1]);
	if (connect(a->fd, (struct sockaddr *)&at[1], sizeof(at[1])) != 0 ||
	    connect(b->fd, (struct sockaddr *)&at[0], sizeof(at[0])) != 0) {
		perror("connect");
		exit(1);
	}
}

static int side_open(struct side *s, const struct peer_plan *plan, bool gw)
{
	struct ip_addr peer = ip_addr_v4(peer_address(0));
	struct ike_peer_cfg cfg;
	struct jobs *jobs;
	int rc = jobs_new(1, NULL, 0, UINT16_MAX, &jobs);

	if (rc != 0)
		return rc;
	rc = node_init(&s->node, NULL, jobs);
	s->node.send = side_send;
	s->node.event = side_event;
	s->node.ctx = s;
	s->path = (struct ike_path){ .local = gw ? plan->gateway : peer,
				     .remote = gw ? peer : plan->gateway,
				     .local_port = 500,
				     .remote_port = 500 };
	if (rc == 0)
		rc = peer_cfg_make(plan, 0, gw, &cfg);
	if (rc != 0)
		return rc;
	rc = ike_peer_set(s->node.ike, &cfg);
	peer_cfg_done(&cfg);
	return rc;
}

static void side_close(struct side *s)
{
	struct jobs *jobs = s->node.jobs;

	jobs_stop(jobs);
	node_free(&s->node);
	jobs_free(jobs);
	close(s->fd);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static struct latency latency_of(double *ms, unsigned n)
{
	qsort(ms, n, sizeof(*ms), by_size);
	return (struct latency){ n, ms[n / 2], ms[n * 9 / 10], ms[n - 1] };
}

/* What is asked for, until *at has moved; 0 when it did not in time. */
static double one(struct side *s, int (*fn)(struct ike *ike, const char *name), const char *name,
		  const uint64_t *at)
{
	uint64_t start = node_clock_us(), before = *at;

	if (fn(s->node.ike, name) != 0)
		return 0;
	while (*at == before) {
		if (node_clock_us() > start + PATIENCE_US)
			return 0;
		side_turn(s);
	}
	double ms = (double)(*at - start) / 1e3;
	for (uint64_t rest = node_clock_us() + 3000; node_clock_us() < rest;)
		side_turn(s); /* the other side is done, too, before the next */
	return ms;
}

static bool negotiate(struct side *a, unsigned n, struct latency *main_mode, struct latency *quick)
{
	double *ms = calloc(2 * n, sizeof(*ms));
	bool ok = ms && one(a, ike_up, "p0", &a->pair_at) > 0;

	for (unsigned i = 0; ok && i < n; i++) {
		ms[i] = one(a, ike_rekey, "p0", &a->phase1_at);
		ms[n + i] = one(a, ike_rekey, "p0/c0", &a->pair_at);
		ok = ms[i] > 0 && ms[n + i] > 0;
	}
	if (ok) {
		*main_mode = latency_of(ms, n);
		*quick = latency_of(ms + n, n);
	} else {
		fprintf(stderr, "loopback: a negotiation did not end: %s\n", a->node.error);
	}
	free(ms);
	return ok;
}

bool loopback_measure(const char *group, unsigned n, struct latency *main_mode,
		      struct latency *quick)
{
	char ike[64];
	struct peer_plan plan = { .ike_proposal = ike,
				  .esp_proposal = "aes128gcm16",
				  .gateway = ip_addr_v4(0xc6120001u),
				  .children = 1 };
	struct side a = { 0 }, b = { 0 };
	pthread_t thread;

	snprintf(ike, sizeof(ike), "aes128-sha256-%s", group);
	sockets_open(&a, &b);
	if (side_open(&a, &plan, false) != 0 || side_open(&b, &plan, true) != 0 ||
	    pthread_create(&thread, NULL, side_run, &b) != 0)
		return false;
	bool ok = negotiate(&a, n, main_mode, quick);
	b.stop = true;
	pthread_join(thread, NULL);
	side_close(&a);
	side_close(&b);
	return ok;
}
