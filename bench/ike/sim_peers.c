/* shrike_sim_peers: very many IKE peers in one process, each with an address of its own, on one
 * network interface. They are the engine itself, over a raw socket: what a gateway at the other end
 * sees are ordinary peers behind a router. No ESP. One line of JSON a second, a last one at the
 * end. */
#include <getopt.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node.h"
#include "secret.h"
#include "wire_port.h"

#define ARENA    (64 << 20)
#define TURN_MAX 256 /* packets taken in a row */

struct options {
	const char *interface;
	unsigned peers, per_second;
	double seconds;
	bool wait; /* the gateway calls */
	bool once; /* end when everybody is up */
	struct peer_plan plan;
	uint32_t router; /* our side's address on the link */
};

struct sim {
	struct options o;
	struct node node;
	struct wire_port *port;
	unsigned started;
	uint64_t begun_us, all_up_us, missed, lost;
	uint64_t *up_at; /* [peer * children + child]: the newest pair is there since; 0: none is */
};

static volatile sig_atomic_t ended;

static void on_signal(int signal)
{
	(void)signal;
	ended = 1;
}

static void sim_send(void *ctx, const struct ike_path *path, const uint8_t *msg, size_t len)
{
	struct sim *s = ctx;

	wire_send(s->port, path, msg, len);
}

/* "p12", "c1" */
static uint64_t *pair_of(struct sim *s, const struct ike_event *ev)
{
	unsigned i = (unsigned)strtoul(ev->peer + 1, NULL, 10);

	return &s->up_at[i * s->o.plan.children + (unsigned)strtoul(ev->child + 1, NULL, 10)];
}

static void sim_event(void *ctx, const struct ike_event *ev)
{
	struct sim *s = ctx;

	switch (ev->type) {
	case IKE_EV_CHILD_UP:
	case IKE_EV_CHILD_REKEYED:
		*pair_of(s, ev) = node_clock_us();
		break;
	case IKE_EV_CHILD_DOWN:
		*pair_of(s, ev) = 0;
		s->lost++;
		break;
	default:
		break;
	}
}

/* Of all children: how many have a pair, and how many have one that is older than a lifetime. */
static unsigned pairs_up(struct sim *s, unsigned *overdue)
{
	uint64_t now = node_clock_us(), life = s->o.plan.child_life_s * 1000000ull;
	unsigned up = 0;

	*overdue = 0;
	for (unsigned i = 0; i < s->o.peers * s->o.plan.children; i++) {
		up += s->up_at[i] != 0;
		*overdue += life && s->up_at[i] && now > s->up_at[i] + life;
	}
	return up;
}

static void report(struct sim *s, const char *what)
{
	struct ike_totals t;
	unsigned overdue, up = pairs_up(s, &overdue);

	ike_totals(s->node.ike, &t);
	json_t *o = json_pack(
		"{s:s, s:f, s:i, s:I, s:i, s:i, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "what",
		what, "seconds", (double)(node_clock_us() - s->begun_us) / 1e6, "started",
		(int)s->started, "main_modes", (json_int_t)t.phase1.count, "children_up", (int)up,
		"overdue", (int)overdue, "all_up_s",
		s->all_up_us ? (double)(s->all_up_us - s->begun_us) / 1e6 : 0.0, "quick_modes",
		(json_int_t)t.phase2.count, "main_mode_rekeys", (json_int_t)t.rekeys_phase1,
		"quick_mode_rekeys", (json_int_t)t.rekeys_phase2, "failed",
		(json_int_t)s->node.failed, "retransmits", (json_int_t)t.retransmits,
		"children_lost", (json_int_t)s->lost, "dropped", (json_int_t)t.dropped);
	json_dumpf(o, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
	printf("\n");
	fflush(stdout);
	json_decref(o);
	if (!s->all_up_us && up == s->o.peers * s->o.plan.children)
		s->all_up_us = node_clock_us();
}

/* As many as are due by now. */
static void start_peers(struct sim *s)
{
	double due = (double)(node_clock_us() - s->begun_us) / 1e6 * s->o.per_second;
	char name[64];

	while (!s->o.wait && s->started < s->o.peers && s->started < due) {
		snprintf(name, sizeof(name), "p%u", s->started++);
		ike_up(s->node.ike, name);
	}
}

static void take_packets(struct sim *s)
{
	struct ike_path path;
	const uint8_t *msg;
	size_t len;

	for (unsigned i = 0; i < TURN_MAX && wire_receive(s->port, &path, &msg, &len); i++) {
		ike_input(s->node.ike, &path, msg, len);
		while (node_turn(&s->node))
			;
	}
}

static void run(struct sim *s)
{
	uint64_t end = s->begun_us + (uint64_t)(s->o.seconds * 1e6),
		 next_line = s->begun_us + 1000000;

	while (!ended && node_clock_us() < end) {
		struct pollfd fd[2] = { { .fd = wire_fd(s->port), .events = POLLIN },
					{ .fd = jobs_fd(s->node.jobs), .events = POLLIN } };
		poll(fd, 2, 1);
		start_peers(s);
		take_packets(s);
		while (node_turn(&s->node))
			;
		if (node_clock_us() < next_line)
			continue;
		next_line += 1000000;
		report(s, "now");
		if (s->o.once && s->all_up_us)
			return;
	}
}

static int configure(struct sim *s)
{
	struct ike_peer_cfg cfg;

	for (unsigned i = 0; i < s->o.peers; i++) {
		int rc = peer_cfg_make(&s->o.plan, i, false, &cfg);
		if (rc == 0)
			rc = ike_peer_set(s->node.ike, &cfg);
		peer_cfg_done(&cfg);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static uint32_t address(const char *text)
{
	struct ip_addr a;

	if (ip_addr_parse(text, &a) != 0 || a.family != IP_V4) {
		fprintf(stderr, "%s is no IPv4 address\n", text);
		exit(2);
	}
	return ip_addr_to_v4(&a);
}

static void usage(FILE *to)
{
	fputs("Usage: shrike_sim_peers --interface IF [options]\n"
	      "  --gateway ADDR, --router ADDR   the gateway, and the address that we have on its "
	      "link\n"
	      "  --peers N          10.64.1.0 and on (10000)\n"
	      "  --children N       of each (2)\n"
	      "  --per-second N     peers that begin in a second (500)\n"
	      "  --wait             begin nothing: the gateway calls\n"
	      "  --ike, --esp TEXT  proposals (aes128-sha256-x25519, aes128gcm16)\n"
	      "  --life S, --child-life S   lifetimes\n"
	      "  --seconds S        how long (60)\n"
	      "  --once             end when all children are up\n",
	      to);
}

static struct options options_read(int argc, char **argv)
{
	static const struct option longs[] = { { "interface", required_argument, NULL, 'i' },
					       { "gateway", required_argument, NULL, 'g' },
					       { "router", required_argument, NULL, 'r' },
					       { "peers", required_argument, NULL, 'n' },
					       { "children", required_argument, NULL, 'c' },
					       { "per-second", required_argument, NULL, 'p' },
					       { "ike", required_argument, NULL, 'k' },
					       { "esp", required_argument, NULL, 'e' },
					       { "life", required_argument, NULL, 'l' },
					       { "child-life", required_argument, NULL, 'L' },
					       { "seconds", required_argument, NULL, 's' },
					       { "wait", no_argument, NULL, 'w' },
					       { "once", no_argument, NULL, 'o' },
					       { "help", no_argument, NULL, 'h' },
					       { 0 } };
	struct options o = {
		.peers = 10000, .per_second = 500, .seconds = 60, .router = 0x0a090002
	};
	int c;

	o.plan = (struct peer_plan){ .ike_proposal = "aes128-sha256-x25519",
				     .esp_proposal = "aes128gcm16",
				     .gateway = ip_addr_v4(0x0a090001),
				     .children = 2 };
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case 'i':
			o.interface = optarg;
			break;
		case 'g':
			o.plan.gateway = ip_addr_v4(address(optarg));
			break;
		case 'r':
			o.router = address(optarg);
			break;
		case 'n':
			o.peers = (unsigned)atoi(optarg);
			break;
		case 'c':
			o.plan.children = (unsigned)atoi(optarg);
			break;
		case 'p':
			o.per_second = (unsigned)atoi(optarg);
			break;
		case 'k':
			o.plan.ike_proposal = optarg;
			break;
		case 'e':
			o.plan.esp_proposal = optarg;
			break;
		case 'l':
			o.plan.life_s = (uint32_t)atoi(optarg);
			break;
		case 'L':
			o.plan.child_life_s = (uint32_t)atoi(optarg);
			break;
		case 's':
			o.seconds = atof(optarg);
			break;
		case 'w':
			o.wait = true;
			break;
		case 'o':
			o.once = true;
			break;
		default:
			usage(c == 'h' ? stdout : stderr);
			exit(c == 'h' ? 0 : 2);
		}
	}
	if (!o.interface || !o.peers || !o.plan.children) {
		usage(stderr);
		exit(2);
	}
	return o;
}

int main(int argc, char **argv)
{
	struct sim s = { .o = options_read(argc, argv) };
	struct jobs *jobs = NULL;
	int rc;

	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	secret_init(ARENA);
	s.up_at = calloc(s.o.peers * s.o.plan.children, sizeof(*s.up_at));
	s.port = wire_open(s.o.interface, ip_addr_to_v4(&s.o.plan.gateway), s.o.router);
	rc = s.up_at && s.port ? jobs_new(1, NULL, 0, UINT16_MAX, &jobs) : -1;
	if (rc == 0)
		rc = node_init(&s.node, NULL, jobs);
	if (rc == 0) {
		s.node.send = sim_send;
		s.node.event = sim_event;
		s.node.ctx = &s;
		rc = configure(&s);
	}
	if (rc != 0) {
		fprintf(stderr, "shrike_sim_peers: cannot start\n");
		return 1;
	}
	s.begun_us = node_clock_us();
	run(&s);
	report(&s, "end");
	if (s.node.failed)
		fprintf(stderr, "last failure: %s\n", s.node.error);
	jobs_stop(jobs);
	node_free(&s.node);
	jobs_free(jobs);
	wire_close(s.port);
	free(s.up_at);
	return 0;
}
