/* What an engine sees of the world: the network, the clock, jobs, and a sink that checks its SAs.
 */
#include <stdlib.h>
#include <string.h>

#include "sim_internal.h"

static uint64_t op_now(void *ctx)
{
	struct sim_node *n = ctx;

	return n->sim->now + n->ahead_us;
}

static int op_random(void *ctx, void *buf, size_t len)
{
	struct sim_node *n = ctx;
	uint8_t *p = buf;

	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)sim_random(&n->rng);
	return 0;
}

uint64_t sim_delay(struct sim *s)
{
	return s->cfg.delay_min_us + sim_below(s, s->cfg.delay_max_us - s->cfg.delay_min_us + 1);
}

struct sim_node *sim_node_at(struct sim *s, const struct ip_addr *outside)
{
	for (unsigned i = 0; i < s->cfg.nodes; i++)
		if (ip_addr_equal(&s->nodes[i].outside, outside))
			return &s->nodes[i];
	return NULL;
}

bool sim_behind_nat(const struct sim_node *n)
{
	return !ip_addr_equal(&n->addr, &n->outside);
}

/* A NAT maps each source port to one of its own. */
bool sim_route(struct sim_node *from, const struct ike_path *path, struct sim_node **to,
	       struct ike_path *seen)
{
	*to = sim_node_at(from->sim, &path->remote);
	if (!*to)
		return false;
	*seen = (struct ike_path){ .local = (*to)->addr,
				   .remote = from->outside,
				   .local_port = path->remote_port,
				   .remote_port = path->local_port };
	if (sim_behind_nat(from))
		seen->remote_port = (uint16_t)(path->local_port + from->nat_base);
	if (sim_behind_nat(*to)) {
		uint16_t inside = (uint16_t)(path->remote_port - (*to)->nat_base);
		if (inside != 500 && inside != 4500)
			return false; /* nobody has opened that port from the inside */
		seen->local_port = inside;
	}
	return true;
}

/* Whoever receives this does not know the sender for one of us (vendor.c). */
static void estrange(uint8_t *msg, size_t len)
{
	static const uint8_t ours[] = { 0x49, 0xae, 0x10, 0x5a, 0xd6, 0xab, 0x9f, 0xb0 };

	for (size_t i = 0; i + sizeof(ours) <= len; i++)
		if (memcmp(msg + i, ours, sizeof(ours)) == 0)
			msg[i] ^= 0xff;
}

static void op_send(void *ctx, const struct ike_path *path, const uint8_t *msg, size_t len)
{
	struct sim_node *from = ctx, *to;
	struct sim *s = from->sim;
	struct ike_path seen, out = *path;
	uint8_t copy[MSG_CAP];

	s->totals.messages++;
	if (len > sizeof(copy)) {
		sim_violated(s, "node %u sends %zu bytes", from->idx, len);
		return;
	}
	memcpy(copy, msg, len);
	if (s->cfg.mix & SIM_STRANGERS)
		estrange(copy, len);
	if (s->tap && !s->tap(s->tap_ctx, from->idx, &out, copy, &len))
		return;
	if (!sim_route(from, &out, &to, &seen))
		return;
	unsigned copies = 1;
	if ((s->faults & SIM_LOSS) && sim_below(s, 100) < s->cfg.loss)
		copies = 0;
	else if ((s->faults & SIM_DUP) && sim_below(s, 100) < s->cfg.dup)
		copies = 2;
	s->totals.lost += copies == 0;
	sim_say(s, "node %u -> %u port %u, exchange %u, message ID %02x%02x%02x%02x, %zu bytes%s",
		from->idx, to->idx, path->remote_port, msg[18], msg[20], msg[21], msg[22], msg[23],
		len,
		copies == 0   ? " LOST"
		: copies == 2 ? " TWICE"
			      : "");
	while (copies--) {
		struct sim_ev *e = sim_ev_new(s, EV_MSG, to->idx, sim_delay(s));
		e->path = seen;
		e->msg = malloc(len);
		memcpy(e->msg, copy, len);
		e->len = len;
	}
}

static void op_keepalive(void *ctx, const struct ike_path *path)
{
	(void)ctx;
	(void)path;
}

static int64_t op_wall(void *ctx)
{
	struct sim_node *n = ctx;

	return SIM_EPOCH + (int64_t)(n->sim->now / SEC) + n->wall_off;
}

static void op_job(void *ctx, struct ike_job *job)
{
	struct sim_node *n = ctx;
	struct sim_ev *e =
		sim_ev_new(n->sim, EV_JOB, n->idx, sim_below(n->sim, n->sim->cfg.job_max_us + 1));

	e->job = job;
}

static unsigned bucket_of(uint32_t spi)
{
	return (spi * 2654435761u >> 16) % SINK_BUCKETS;
}

static struct sim_reservation *reservation(struct sim_node *n, uint32_t spi)
{
	struct sim_reservation *r;

	LIST_FOREACH(r, &n->reserved[bucket_of(spi)], bucket)
		if (r->ref.spi == spi)
			return r;
	return NULL;
}

static int op_reserve(void *ctx, uint32_t policy, unsigned pair, struct sa_ref *out)
{
	struct sim_node *n = ctx;
	struct sim_reservation *r;
	uint32_t spi;

	(void)policy;
	if (n->n_reserved == 512 * n->n_peers) {
		sim_violated(n->sim, "node %u runs out of SA slots", n->idx);
		return -1;
	}
	do
		spi = (uint32_t)sim_random(&n->rng) | 0x1000;
	while (reservation(n, spi));
	r = calloc(1, sizeof(*r));
	r->ref = (struct sa_ref){ .spi = spi, .slot = n->slots++,
				  .owner = (uint16_t)(pair % SIM_WORKERS) };
	LIST_INSERT_HEAD(&n->reserved[bucket_of(spi)], r, bucket);
	n->n_reserved++;
	*out = r->ref;
	return 0;
}

struct sink_sa *sim_sink_find(struct sim_node *n, uint32_t ref_spi, enum sa_dir dir)
{
	struct sink_sa *sa;

	LIST_FOREACH(sa, &n->sas[bucket_of(ref_spi)], bucket)
		if (sa->p.ref.spi == ref_spi && sa->p.dir == dir)
			return sa;
	return NULL;
}

static void op_release(void *ctx, const struct sa_ref *ref)
{
	struct sim_node *n = ctx;
	struct sim_reservation *r = reservation(n, ref->spi);

	if (sim_sink_find(n, ref->spi, SA_IN) || sim_sink_find(n, ref->spi, SA_OUT))
		sim_violated(n->sim, "node %u releases SPI %08x while it is installed", n->idx,
			     ref->spi);
	if (!r) {
		sim_violated(n->sim, "node %u releases SPI %08x, which is not reserved", n->idx,
			     ref->spi);
		return;
	}
	LIST_REMOVE(r, bucket);
	free(r);
	n->n_reserved--;
}

static int op_install(void *ctx, const struct sa_params *p)
{
	struct sim_node *n = ctx;
	struct sim *s = n->sim;
	struct sink_sa *sa;

	if (sim_sink_find(n, p->ref.spi, p->dir))
		sim_violated(s, "node %u installs SPI %08x twice", n->idx, p->ref.spi);
	if (!reservation(n, p->ref.spi))
		sim_violated(s, "node %u installs SPI %08x, which is not reserved", n->idx,
			     p->ref.spi);
	if (p->dir == SA_OUT) {
		struct sink_sa *in = sim_sink_find(n, p->ref.spi, SA_IN);
		if (!in || !in->confirmed)
			sim_violated(s, "node %u: outbound before inbound, SPI %08x", n->idx,
				     p->ref.spi);
	}
	if (sim_behind_nat(n) && !p->udp_encap)
		sim_violated(s, "node %u: SPI %08x is not encapsulated behind a NAT", n->idx,
			     p->ref.spi);
	sa = calloc(1, sizeof(*sa));
	sa->p = *p;
	sa->node = n;
	LIST_INSERT_HEAD(&n->sas[bucket_of(p->ref.spi)], sa, bucket);
	n->n_sas++;
	if (p->dir == SA_OUT)
		sim_flow_start(sa);
	sim_say(s, "node %u installs %s %08x", n->idx, p->dir == SA_IN ? "in " : "out", p->spi);
	struct sim_ev *e =
		sim_ev_new(s, EV_INSTALLED, n->idx, sim_below(s, s->cfg.install_max_us + 1));
	e->ref = p->ref;
	e->dir = p->dir;
	return 0;
}

static void op_remove(void *ctx, const struct sa_ref *ref, enum sa_dir dir)
{
	struct sim_node *n = ctx;
	struct sink_sa *sa = sim_sink_find(n, ref->spi, dir);

	if (!sa) {
		sim_violated(n->sim, "node %u removes SPI %08x, which is not installed", n->idx,
			     ref->spi);
		return;
	}
	sim_say(n->sim, "node %u removes %s %08x", n->idx, dir == SA_IN ? "in " : "out", sa->p.spi);
	if (dir == SA_OUT)
		sim_flow_end(sa);
	if (sa->dead) /* the pair goes with either of the two */
		n->used_up[n->n_used_up++ % SIM_USED_UP] = ref->spi;
	LIST_REMOVE(sa, bucket);
	n->n_sas--;
	free(sa);
}

static void op_event(void *ctx, const struct ike_event *ev)
{
	struct sim_node *n = ctx;

	if (ev->diagnosis && !n->diagnosed)
		n->diagnosed = calloc(IKE_DIAG_COUNT, sizeof(*n->diagnosed));
	if (ev->diagnosis)
		n->diagnosed[ev->diagnosis->code] = *ev->diagnosis;
	sim_say(n->sim, "node %u: [%s%s%s] %s", n->idx, ev->peer, ev->child[0] ? "/" : "",
		ev->child, ev->text);
}

void sim_node_boot(struct sim_node *n)
{
	struct ike_ops ops = { .ctx = n,
			       .send = op_send,
			       .keepalive = op_keepalive,
			       .now_us = op_now,
			       .wall_s = op_wall,
			       .random = op_random,
			       .job = op_job,
			       .sa_reserve = op_reserve,
			       .sa_release = op_release,
			       .sa_install = op_install,
			       .sa_remove = op_remove,
			       .sa_stats = sim_op_stats,
			       .event = op_event };

	n->ike = ike_new(&ops, NULL);
}
