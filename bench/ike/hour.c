/* shrike_ike_hour: a gateway with very many peers for an hour of virtual time, in one process:
 * everybody comes up, and all keys are renewed again and again while some messages get lost. No
 * child may ever be without an SA pair, and no pair may outlive its lifetime. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node.h"
#include "secret.h"

#define ARENA    (64 << 20)
#define SECOND   1000000ull
#define DELAY_US 5000 /* of every message */
#define UP_S     120  /* until everybody must be up */

struct hour {
	struct node gw, peers;
	struct peer_plan plan;
	unsigned n, loss; /* peers; messages lost of a thousand */
	uint64_t seconds;
	uint64_t *up_at[2]; /* by side: [peer * children + child] */
	uint64_t lost_messages, lost_children, overdue;
	uint32_t seed;
};

struct side { /* of whom events are */
	struct hour *h;
	unsigned i;
};

static uint64_t now_us = SECOND;

static uint64_t virtual_us(void)
{
	return now_us;
}

static void on_event(void *ctx, const struct ike_event *ev)
{
	struct side *s = ctx;
	struct hour *h = s->h;
	unsigned long i = strtoul(ev->peer + (ev->peer[0] ? 1 : 0), NULL, 10);
	uint64_t *at;

	if (!ev->child[0])
		return;
	at = &h->up_at[s->i][i * h->plan.children + strtoul(ev->child + 1, NULL, 10)];
	if (ev->type == IKE_EV_CHILD_UP || ev->type == IKE_EV_CHILD_REKEYED) {
		*at = now_us;
	} else if (ev->type == IKE_EV_CHILD_DOWN && *at) {
		h->lost_children++;
		*at = 0;
	}
}

static bool is_lost(struct hour *h)
{
	h->seed = h->seed * 1664525u + 1013904223u;
	if ((h->seed >> 8) % 1000 >= h->loss)
		return false;
	h->lost_messages++;
	return true;
}

/* All that waits, in one burst each DELAY_US. */
static void exchange(struct hour *h, struct node *from, struct node *to)
{
	size_t n = from->out.n - from->out.first;
	struct message m;

	while (n-- && messages_get(&from->out, &m)) {
		struct ike_path path = { .local = m.path.remote,
					 .remote = m.path.local,
					 .local_port = m.path.remote_port,
					 .remote_port = m.path.local_port };
		if (!is_lost(h))
			ike_input(to->ike, &path, m.data, m.len);
		free(m.data);
	}
	node_settle(to);
}

static uint64_t next_us(struct hour *h)
{
	uint64_t a = ike_next_timer(h->gw.ike), b = ike_next_timer(h->peers.ike);

	if (h->gw.out.n > h->gw.out.first || h->peers.out.n > h->peers.out.first)
		return now_us + DELAY_US;
	return a < b ? a : b;
}

static void check_ages(struct hour *h)
{
	uint64_t life = h->plan.child_life_s * SECOND;

	for (unsigned s = 0; s < 2; s++)
		for (unsigned i = 0; i < h->n * h->plan.children; i++)
			h->overdue += h->up_at[s][i] && now_us > h->up_at[s][i] + life;
}

static void run_until(struct hour *h, uint64_t end)
{
	while (now_us < end) {
		uint64_t next = next_us(h);
		now_us = next > end ? end : next > now_us ? next : now_us;
		exchange(h, &h->peers, &h->gw);
		exchange(h, &h->gw, &h->peers);
	}
}

static unsigned missing(const struct hour *h)
{
	unsigned n = 0;

	for (unsigned s = 0; s < 2; s++)
		for (unsigned i = 0; i < h->n * h->plan.children; i++)
			n += h->up_at[s][i] == 0;
	return n;
}

static int configure(struct hour *h)
{
	struct ike_limits limits = { .half_open_max = h->n };
	struct ike_peer_cfg cfg;
	int rc = node_init(&h->gw, &limits, NULL);

	if (rc == 0)
		rc = node_init(&h->peers, NULL, NULL);
	h->gw.clock = h->peers.clock = virtual_us;
	for (unsigned i = 0; rc == 0 && i < 2 * h->n; i++) {
		rc = peer_cfg_make(&h->plan, i / 2, i % 2, &cfg);
		if (rc == 0)
			rc = ike_peer_set(i % 2 ? h->gw.ike : h->peers.ike, &cfg);
		peer_cfg_done(&cfg);
	}
	return rc;
}

static bool run(struct hour *h)
{
	char name[32];
	struct ike_totals t;

	for (unsigned i = 0; i < h->n; i++) {
		snprintf(name, sizeof(name), "p%u", i);
		ike_up(h->peers.ike, name);
	}
	run_until(h, now_us + UP_S * SECOND);
	unsigned down = missing(h);
	h->lost_children = 0;
	for (uint64_t s = 0; s < h->seconds; s += 10) {
		run_until(h, now_us + 10 * SECOND);
		check_ages(h);
	}
	ike_totals(h->gw.ike, &t);
	printf("{\"peers\":%u,\"children\":%u,\"virtual_s\":%llu,\"down_after_start\":%u,\"main_"
	       "modes\":%llu,"
	       "\"main_mode_rekeys\":%llu,\"quick_modes\":%llu,\"quick_mode_rekeys\":%llu,"
	       "\"messages\":%llu,"
	       "\"messages_lost\":%llu,\"retransmits\":%llu,\"children_lost\":%llu,\"overdue\":%"
	       "llu,"
	       "\"missing_at_the_end\":%u,\"engine_bytes_per_peer\":%zu}\n",
	       h->n, h->n * h->plan.children, (unsigned long long)h->seconds, down,
	       (unsigned long long)t.phase1.count, (unsigned long long)t.rekeys_phase1,
	       (unsigned long long)t.phase2.count, (unsigned long long)t.rekeys_phase2,
	       (unsigned long long)t.messages_in, (unsigned long long)h->lost_messages,
	       (unsigned long long)t.retransmits, (unsigned long long)h->lost_children,
	       (unsigned long long)h->overdue, missing(h), ike_objects(h->gw.ike) / h->n);
	return down == 0 && h->lost_children == 0 && h->overdue == 0 && missing(h) == 0 &&
	       t.rekeys_phase2 > 0;
}

int main(int argc, char **argv)
{
	struct hour h = { .n = 10000, .loss = 10, .seconds = 3600 };
	struct side sides[2] = { { &h, 0 }, { &h, 1 } };
	int c;
	bool ok;

	h.plan = (struct peer_plan){ .ike_proposal = "aes128-sha256-x25519",
				     .esp_proposal = "aes128gcm16",
				     .gateway = ip_addr_v4(0x0a090001),
				     .children = 2,
				     .life_s = 1800,
				     .child_life_s = 900 };
	while ((c = getopt(argc, argv, "n:s:l:")) != -1) {
		if (c == 'n')
			h.n = (unsigned)atoi(optarg);
		else if (c == 's')
			h.seconds = strtoull(optarg, NULL, 10);
		else if (c == 'l')
			h.loss = (unsigned)atoi(optarg);
		else
			return 2;
	}
	secret_init(ARENA);
	for (unsigned s = 0; s < 2; s++) {
		h.up_at[s] = calloc((size_t)h.n * h.plan.children, sizeof(*h.up_at[s]));
		if (!h.up_at[s])
			return 1;
	}
	if (configure(&h) != 0)
		return 1;
	h.gw.event = h.peers.event = on_event;
	h.gw.ctx = &sides[0];
	h.peers.ctx = &sides[1];
	ok = run(&h);
	node_free(&h.gw);
	node_free(&h.peers);
	free(h.up_at[0]);
	free(h.up_at[1]);
	return ok ? 0 : 1;
}
