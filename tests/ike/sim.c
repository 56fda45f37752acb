#include "sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alg.h"

#define SEC	1000000ull
#define MSG_CAP 8192

struct sink_sa {
	bool used, confirmed;
	struct sim_node *node;
	struct sa_params p;
};

struct sim_node {
	struct sim *sim;
	unsigned idx, epoch;
	struct ike *ike;
	uint64_t rng;
	struct ip_addr addr, outside; /* outside: as others see it */
	uint16_t nat_base;	      /* what its NAT adds to its ports */
	struct ike_peer_cfg peers[SIM_MAX_NODES];
	struct sink_sa sas[SIM_MAX_SAS];
	struct sa_ref reserved[SIM_MAX_SAS];
	unsigned n_reserved;
	uint32_t current[64]; /* by policy: the outbound SPI's slot + 1 in sas, 0 = none */
	bool was_up[64];      /* by policy: traffic flowed in this epoch of everybody */
};

enum ev_type { EV_MSG, EV_ESP, EV_JOB, EV_INSTALLED, EV_TRAFFIC, EV_CHAOS };

struct ev {
	uint64_t at, order;
	enum ev_type type;
	unsigned node, epoch;
	struct ike_path path;
	uint8_t *msg;
	size_t len;
	struct ike_job *job;
	struct sa_ref ref;
	enum sa_dir dir;
	uint32_t spi;
	uint8_t key[SA_KEY_MAX], auth[SA_AUTH_MAX];
	bool clean; /* must arrive: nothing was wrong when it was sent */
};

struct sim {
	struct sim_cfg cfg;
	uint64_t now, rng, order;
	unsigned faults;
	struct sim_node nodes[SIM_MAX_NODES];
	struct ev **heap;
	size_t n, cap;
	char error[SIM_ERR_LEN];
	struct sim_totals totals;
	bool (*tap)(void *, unsigned, struct ike_path *, uint8_t *, size_t *);
	void *tap_ctx;
	bool stopped; /* no traffic, no chaos */
};

static uint64_t next64(uint64_t *s)
{
	uint64_t z = (*s += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static uint64_t below(struct sim *s, uint64_t n)
{
	return n ? next64(&s->rng) % n : 0;
}

__attribute__((format(printf, 2, 3))) static void violated(struct sim *s, const char *fmt, ...)
{
	va_list ap;

	if (s->error[0])
		return;
	int n = snprintf(s->error, sizeof(s->error), "seed %llu, %.3f s: ",
			 (unsigned long long)s->cfg.seed, (double)s->now / 1e6);
	va_start(ap, fmt);
	vsnprintf(s->error + n, sizeof(s->error) - (size_t)n, fmt, ap);
	va_end(ap);
}

__attribute__((format(printf, 2, 3))) static void say(struct sim *s, const char *fmt, ...)
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

static bool before(const struct ev *a, const struct ev *b)
{
	return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static struct ev *ev_new(struct sim *s, enum ev_type type, unsigned node, uint64_t delay)
{
	struct ev *e = calloc(1, sizeof(*e));

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

static struct ev *ev_pop(struct sim *s)
{
	struct ev *top = s->heap[0], *last = s->heap[--s->n];
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

static void ev_free(struct ev *e)
{
	free(e->msg);
	free(e);
}

/* ---------------------------------------------------------------- the engines' outside ------ */

static uint64_t op_now(void *ctx)
{
	return ((struct sim_node *)ctx)->sim->now;
}

static int op_random(void *ctx, void *buf, size_t len)
{
	struct sim_node *n = ctx;
	uint8_t *p = buf;

	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)next64(&n->rng);
	return 0;
}

static uint64_t delay(struct sim *s)
{
	return s->cfg.delay_min_us + below(s, s->cfg.delay_max_us - s->cfg.delay_min_us + 1);
}

static struct sim_node *node_at(struct sim *s, const struct ip_addr *outside)
{
	for (unsigned i = 0; i < s->cfg.nodes; i++)
		if (ip_addr_equal(&s->nodes[i].outside, outside))
			return &s->nodes[i];
	return NULL;
}

static bool behind_nat(const struct sim_node *n)
{
	return !ip_addr_equal(&n->addr, &n->outside);
}

/* The path as the receiver sees it; a NAT maps each source port to one of its own. */
static bool route(struct sim_node *from, const struct ike_path *path, struct sim_node **to,
		  struct ike_path *seen)
{
	*to = node_at(from->sim, &path->remote);
	if (!*to)
		return false;
	*seen = (struct ike_path){ .local = (*to)->addr,
				   .remote = from->outside,
				   .local_port = path->remote_port,
				   .remote_port = path->local_port };
	if (behind_nat(from))
		seen->remote_port = (uint16_t)(path->local_port + from->nat_base);
	if (behind_nat(*to)) {
		uint16_t inside = (uint16_t)(path->remote_port - (*to)->nat_base);
		if (inside != 500 && inside != 4500)
			return false; /* nobody has opened that port from the inside */
		seen->local_port = inside;
	}
	return true;
}

static void op_send(void *ctx, const struct ike_path *path, const uint8_t *msg, size_t len)
{
	struct sim_node *from = ctx, *to;
	struct sim *s = from->sim;
	struct ike_path seen, out = *path;
	uint8_t copy[MSG_CAP];

	s->totals.messages++;
	if (len > sizeof(copy)) {
		violated(s, "node %u sends %zu bytes", from->idx, len);
		return;
	}
	memcpy(copy, msg, len);
	if (s->tap && !s->tap(s->tap_ctx, from->idx, &out, copy, &len))
		return;
	if (!route(from, &out, &to, &seen))
		return;
	unsigned copies = 1;
	if ((s->faults & SIM_LOSS) && below(s, 100) < s->cfg.loss)
		copies = 0;
	else if ((s->faults & SIM_DUP) && below(s, 100) < s->cfg.dup)
		copies = 2;
	s->totals.lost += copies == 0;
	say(s, "node %u -> %u port %u, exchange %u, message ID %02x%02x%02x%02x, %zu bytes%s",
	    from->idx, to->idx, path->remote_port, msg[18], msg[20], msg[21], msg[22], msg[23], len,
	    copies == 0 ? " LOST" : copies == 2 ? " TWICE" : "");
	while (copies--) {
		struct ev *e = ev_new(s, EV_MSG, to->idx, delay(s));
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

static void op_job(void *ctx, struct ike_job *job)
{
	struct sim_node *n = ctx;
	struct ev *e = ev_new(n->sim, EV_JOB, n->idx, below(n->sim, n->sim->cfg.job_max_us + 1));

	e->job = job;
}

static int op_reserve(void *ctx, uint32_t policy, unsigned pair, struct sa_ref *out)
{
	struct sim_node *n = ctx;

	(void)policy;
	(void)pair;
	if (n->n_reserved == SIM_MAX_SAS) {
		violated(n->sim, "node %u runs out of SA slots", n->idx);
		return -1;
	}
	*out = (struct sa_ref){ .spi = (uint32_t)next64(&n->rng) | 0x1000,
				.slot = n->n_reserved };
	n->reserved[n->n_reserved++] = *out;
	return 0;
}

static struct sink_sa *sink_find(struct sim_node *n, uint32_t ref_spi, enum sa_dir dir)
{
	for (unsigned i = 0; i < SIM_MAX_SAS; i++)
		if (n->sas[i].used && n->sas[i].p.ref.spi == ref_spi && n->sas[i].p.dir == dir)
			return &n->sas[i];
	return NULL;
}

static void op_release(void *ctx, const struct sa_ref *ref)
{
	struct sim_node *n = ctx;

	if (sink_find(n, ref->spi, SA_IN) || sink_find(n, ref->spi, SA_OUT))
		violated(n->sim, "node %u releases SPI %08x while it is installed", n->idx,
			 ref->spi);
	for (unsigned i = 0; i < n->n_reserved; i++)
		if (n->reserved[i].spi == ref->spi) {
			n->reserved[i] = n->reserved[--n->n_reserved];
			return;
		}
	violated(n->sim, "node %u releases SPI %08x, which is not reserved", n->idx, ref->spi);
}

static int op_install(void *ctx, const struct sa_params *p)
{
	struct sim_node *n = ctx;
	struct sim *s = n->sim;
	unsigned i = 0;

	if (sink_find(n, p->ref.spi, p->dir))
		violated(s, "node %u installs SPI %08x twice", n->idx, p->ref.spi);
	if (p->dir == SA_OUT) {
		struct sink_sa *in = sink_find(n, p->ref.spi, SA_IN);
		if (!in || !in->confirmed)
			violated(s, "node %u: outbound before inbound, SPI %08x", n->idx,
				 p->ref.spi);
	}
	while (i < SIM_MAX_SAS && n->sas[i].used)
		i++;
	if (i == SIM_MAX_SAS)
		return -1;
	n->sas[i] = (struct sink_sa){ .used = true, .node = n, .p = *p };
	if (p->dir == SA_OUT)
		n->current[p->policy] = i + 1;
	say(s, "node %u installs %s %08x", n->idx, p->dir == SA_IN ? "in " : "out", p->spi);
	struct ev *e = ev_new(s, EV_INSTALLED, n->idx, below(s, s->cfg.install_max_us + 1));
	e->ref = p->ref;
	e->dir = p->dir;
	return 0;
}

static void op_remove(void *ctx, const struct sa_ref *ref, enum sa_dir dir)
{
	struct sim_node *n = ctx;
	struct sink_sa *sa = sink_find(n, ref->spi, dir);

	if (!sa) {
		violated(n->sim, "node %u removes SPI %08x, which is not installed", n->idx,
			 ref->spi);
		return;
	}
	say(n->sim, "node %u removes %s %08x", n->idx, dir == SA_IN ? "in " : "out", sa->p.spi);
	if (n->current[sa->p.policy] == (unsigned)(sa - n->sas) + 1)
		n->current[sa->p.policy] = 0;
	memset(sa, 0, sizeof(*sa));
}

static void op_event(void *ctx, const struct ike_event *ev)
{
	struct sim_node *n = ctx;

	say(n->sim, "node %u: [%s%s%s] %s", n->idx, ev->peer, ev->child[0] ? "/" : "", ev->child,
	    ev->text);
}

/* -------------------------------------------------------------------------- traffic --------- */

/* The peer's node for a policy of n: policies are numbered peer * 8 + child. */
static void traffic_policy(struct sim_node *n, unsigned policy)
{
	struct sim *s = n->sim;
	struct sink_sa *out;
	struct sim_node *to;

	if (n->current[policy] == 0) {
		if (n->was_up[policy] && !(s->cfg.faults & (SIM_LOSS | SIM_RESTART)))
			violated(s, "node %u has no outbound SA for policy %u any more", n->idx,
				 policy);
		ike_acquire(n->ike, policy);
		return;
	}
	out = &n->sas[n->current[policy] - 1];
	to = node_at(s, &out->p.remote);
	if (!to)
		return;
	n->was_up[policy] = true;
	struct ev *e = ev_new(s, EV_ESP, to->idx, delay(s));
	e->path.remote = n->outside;
	e->spi = out->p.spi;
	memcpy(e->key, out->p.key, sizeof(e->key));
	memcpy(e->auth, out->p.auth, sizeof(e->auth));
	e->clean = !(s->cfg.faults & (SIM_LOSS | SIM_RESTART));
	s->totals.packets++;
}

static void traffic_arrives(struct sim_node *n, const struct ev *e)
{
	struct sim *s = n->sim;
	struct sink_sa *in = sink_find(n, e->spi, SA_IN);

	if (!in) {
		s->totals.unknown++;
		if (e->clean)
			violated(s, "node %u does not know SPI %08x: a packet is lost", n->idx,
				 e->spi);
		ike_bad_spi(n->ike, &e->path.remote, e->spi);
		return;
	}
	if (!in->confirmed)
		violated(s, "node %u: SPI %08x is used before its lcore has it", n->idx, e->spi);
	if (memcmp(in->p.key, e->key, sizeof(e->key)) != 0 ||
	    memcmp(in->p.auth, e->auth, sizeof(e->auth)) != 0)
		violated(s, "node %u: keys of SPI %08x differ", n->idx, e->spi);
	s->totals.delivered++;
}

static unsigned policies(const struct sim *s)
{
	return s->cfg.nodes * 8;
}

static bool has_policy(const struct sim_node *n, unsigned policy)
{
	const struct ike_peer_cfg *cfg = &n->peers[policy / 8];

	return cfg->name[0] && policy % 8 < cfg->n_children;
}

static void traffic(struct sim_node *n)
{
	for (unsigned p = 0; p < policies(n->sim); p++)
		if (has_policy(n, p))
			traffic_policy(n, p);
}

/* ------------------------------------------------------------------------- nodes ------------ */

static void node_boot(struct sim_node *n)
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

	n->ike = ike_new(&ops, NULL);
}

static void node_configure(struct sim_node *n)
{
	for (unsigned i = 0; i < n->sim->cfg.nodes; i++)
		if (n->peers[i].name[0] && ike_peer_set(n->ike, &n->peers[i]) != 0)
			violated(n->sim, "node %u refuses its configuration", n->idx);
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

static void node_halt(struct sim_node *n)
{
	totals_add(n);
	ike_free(n->ike);
	n->ike = NULL;
	n->epoch++;
	for (unsigned i = 0; i < SIM_MAX_SAS; i++)
		if (n->sas[i].used)
			violated(n->sim, "node %u leaves SPI %08x behind", n->idx, n->sas[i].p.spi);
	if (n->n_reserved)
		violated(n->sim, "node %u leaves %u reservations behind", n->idx, n->n_reserved);
}

void sim_restart(struct sim *s, unsigned node)
{
	struct sim_node *n = &s->nodes[node];

	say(s, "node %u RESTARTS", node);
	s->totals.restarts++;
	node_halt(n);
	memset(n->was_up, 0, sizeof(n->was_up));
	node_boot(n);
	node_configure(n);
}

void sim_rebind(struct sim *s, unsigned node)
{
	s->nodes[node].nat_base += 1000;
}

static void chaos(struct sim *s)
{
	unsigned node = (unsigned)below(s, s->cfg.nodes);

	if ((s->faults & SIM_RESTART) && below(s, 100) < 12)
		sim_restart(s, node);
	if (!(s->faults & SIM_REKEY))
		return;
	for (unsigned i = 0; i < s->cfg.nodes; i++) {
		for (unsigned k = 0; k < s->cfg.nodes; k++) {
			struct ike_peer_cfg *p = &s->nodes[i].peers[k];
			char name[2 * IKE_NAME_LEN + 2];
			if (!p->name[0] || below(s, 100) >= 40)
				continue;
			if (below(s, 100) < 25)
				snprintf(name, sizeof(name), "%s", p->name);
			else
				snprintf(name, sizeof(name), "%s/%s", p->name, p->children[0].name);
			ike_rekey(s->nodes[i].ike, name);
		}
	}
}

/* ---------------------------------------------------------------------------- running ------- */

static void dispatch(struct sim *s, struct ev *e)
{
	struct sim_node *n = &s->nodes[e->node];

	switch (e->type) {
	case EV_MSG:
		ike_input(n->ike, &e->path, e->msg, e->len);
		break;
	case EV_ESP:
		if (!s->stopped)
			traffic_arrives(n, e);
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
		struct sink_sa *sa = sink_find(n, e->ref.spi, e->dir);
		if (sa)
			sa->confirmed = true;
		ike_sa_installed(n->ike, &e->ref, e->dir);
		break;
	case EV_TRAFFIC:
		if (s->stopped || (s->cfg.faults & SIM_IDLE))
			break;
		traffic(n);
		ev_new(s, EV_TRAFFIC, e->node, 250000 + below(s, 250000));
		break;
	case EV_CHAOS:
		if (s->stopped)
			break;
		chaos(s);
		ev_new(s, EV_CHAOS, 0, below(s, 40 * SEC));
		break;
	}
}

void sim_run(struct sim *s, uint64_t us)
{
	uint64_t end = s->now + us;

	while (!s->error[0]) {
		uint64_t next = s->n ? s->heap[0]->at : UINT64_MAX;
		struct sim_node *due = NULL;
		for (unsigned i = 0; i < s->cfg.nodes; i++) {
			uint64_t t = ike_next_timer(s->nodes[i].ike);
			if (t < next) {
				next = t;
				due = &s->nodes[i];
			}
		}
		if (next > end)
			break;
		if (next > s->now)
			s->now = next;
		if (due) {
			ike_run_timers(due->ike);
		} else {
			struct ev *e = ev_pop(s);
			dispatch(s, e);
			ev_free(e);
		}
	}
	if (s->now < end)
		s->now = end;
}

/* -------------------------------------------------------------------------- agreement ------- */

struct listing {
	struct {
		uint32_t in, out;
	} v[SIM_MAX_SAS];
	unsigned n, negotiating, old;
	const char *peer;
};

static void list_pair(void *ctx, const struct ike_child_info *i)
{
	struct listing *l = ctx;

	if (l->peer && strcmp(i->peer, l->peer) != 0)
		return;
	l->negotiating += !i->established;
	l->old += i->established && !i->current;
	if (i->current && l->n < SIM_MAX_SAS) {
		l->v[l->n].in = i->ref.spi;
		l->v[l->n++].out = i->spi_out;
	}
}

static void list_sa(void *ctx, const struct ike_sa_info *i)
{
	struct listing *l = ctx;

	l->negotiating += i->state != IKE_SA_ESTABLISHED;
}

static bool agree(struct sim *s, unsigned a, unsigned b, char *why, size_t size)
{
	struct listing la = { .peer = s->nodes[a].peers[b].name };
	struct listing lb = { .peer = s->nodes[b].peers[a].name };

	ike_child_foreach(s->nodes[a].ike, list_pair, &la);
	ike_child_foreach(s->nodes[b].ike, list_pair, &lb);
	if (la.negotiating || lb.negotiating || la.old || lb.old) {
		snprintf(why, size, "nodes %u and %u negotiate (%u, %u) or keep old pairs (%u, %u)",
			 a, b, la.negotiating, lb.negotiating, la.old, lb.old);
		return false;
	}
	if (la.n != lb.n) {
		snprintf(why, size, "node %u has %u pairs with %u, which has %u", a, la.n, b, lb.n);
		return false;
	}
	for (unsigned i = 0; i < la.n; i++) {
		bool found = false;
		for (unsigned k = 0; k < lb.n; k++)
			found |= la.v[i].in == lb.v[k].out && la.v[i].out == lb.v[k].in;
		struct sink_sa *in = sink_find(&s->nodes[a], la.v[i].in, SA_IN);
		struct sink_sa *out = sink_find(&s->nodes[b], la.v[i].out, SA_OUT);
		if (!found || !in || !out) {
			snprintf(why, size, "node %u has pair %08x/%08x, node %u does not", a,
				 la.v[i].in, la.v[i].out, b);
			return false;
		}
		if (memcmp(in->p.key, out->p.key, sizeof(in->p.key)) != 0) {
			violated(s, "keys of SPI %08x differ", la.v[i].in);
			return false;
		}
	}
	return true;
}

bool sim_quiet(struct sim *s, char *why, size_t size)
{
	for (unsigned i = 0; i < s->cfg.nodes; i++) {
		struct listing l = { 0 };
		unsigned n = 0;
		ike_sa_foreach(s->nodes[i].ike, list_sa, &l);
		if (l.negotiating) {
			snprintf(why, size, "node %u has %u ISAKMP SAs that are coming or going", i,
				 l.negotiating);
			return false;
		}
		if (i > 0 && !agree(s, 0, i, why, size))
			return false;
		memset(&l, 0, sizeof(l));
		ike_child_foreach(s->nodes[i].ike, list_pair, &l);
		for (unsigned k = 0; k < SIM_MAX_SAS; k++)
			n += s->nodes[i].sas[k].used;
		if (n != 2 * l.n || s->nodes[i].n_reserved != l.n) {
			snprintf(why, size, "node %u: %u SAs installed and %u reserved for %u pairs",
				 i, n, s->nodes[i].n_reserved, l.n);
			return false;
		}
	}
	return true;
}

unsigned sim_pairs(struct sim *s, unsigned node)
{
	struct listing l = { 0 };

	ike_child_foreach(s->nodes[node].ike, list_pair, &l);
	return l.n;
}

/* ------------------------------------------------------------------------------ set-up ------ */

static void peer_fill(struct sim *s, unsigned a, unsigned b)
{
	struct ike_peer_cfg *p = &s->nodes[a].peers[b];
	const char *psk = s->cfg.psk[a] ? s->cfg.psk[a] : "secret";
	unsigned hub = a == 0 ? b : a; /* both ends of a connection draw the same numbers */
	uint64_t r = s->cfg.seed * 31 + hub;

	snprintf(p->name, sizeof(p->name), "node%u", b);
	p->local = s->nodes[a].addr;
	p->remote = s->nodes[b].outside;
	ike_id_from_text(a == 0 ? "hub" : p->name, &p->local_id);
	char name[IKE_NAME_LEN];
	snprintf(name, sizeof(name), "node%u", a);
	ike_id_from_text(name, &p->local_id);
	ike_id_from_text(p->name, &p->remote_id);
	p->psk_len = strlen(psk);
	p->psk = (uint8_t *)strdup(psk);
	snprintf(p->psk_name, sizeof(p->psk_name), "secret-%u", b);
	p->ike[0] = (struct ike_transform){ ENCR_AES_CBC, 128, HASH_SHA256, 19 };
	p->n_ike = 1;
	p->initiate = !(s->cfg.faults & SIM_NAT) || a != 0;
	p->life_s = 120 + (uint32_t)(next64(&r) % 600);
	p->dpd_s = (uint32_t)(next64(&r) % 3) * 15;
	p->retry_ms = next64(&r) % 2 ? 1000 : 500;
	p->n_children = 1 + (unsigned)(next64(&r) % 2);
	p->children = calloc(p->n_children, sizeof(*p->children));
	unsigned start = (unsigned)(next64(&r) % 3);
	for (unsigned i = 0; i < p->n_children; i++) {
		struct ike_child_cfg *c = &p->children[i];
		snprintf(c->name, sizeof(c->name), "net%u", i);
		c->policy = b * 8 + i;
		uint32_t near = 0x0a000000u | a << 16 | i << 8, far = 0x0a000000u | b << 16 | i << 8;
		c->sel.local = (struct ip_range){ ip_addr_v4(near), ip_addr_v4(near | 255) };
		c->sel.remote = (struct ip_range){ ip_addr_v4(far), ip_addr_v4(far | 255) };
		c->esp[0] = (struct esp_transform){ .encr = ENCR_AES_GCM_16, .key_bits = 128 };
		if (next64(&r) % 2)
			c->esp[0].group = 19;
		c->n_esp = 1;
		c->mode = SA_TUNNEL;
		c->life_s = 90 + (uint32_t)(next64(&r) % 200);
		/* one end at least wants it up */
		c->start = a != 0 || start == 0 ? START_IMMEDIATE :
			   start == 1		? START_PASSIVE :
						  START_ON_DEMAND;
	}
}

struct sim_cfg sim_cfg_from_seed(uint64_t seed)
{
	uint64_t r = seed;
	struct sim_cfg c = { .seed = seed, .delay_min_us = 1000, .rough_us = 600 * SEC };

	c.nodes = next64(&r) % 8 == 0 ? 3 : 2;
	c.delay_max_us = 1000 + next64(&r) % 400000;
	c.job_max_us = next64(&r) % 20000;
	c.install_max_us = next64(&r) % 20000;
	if (seed % 4 == 0) { /* nothing wrong but delays: not one packet may be lost */
		c.delay_max_us = 1000 + next64(&r) % 100000;
		return c;
	}
	c.faults = 1 + (unsigned)(next64(&r) % 63);
	c.loss = (unsigned)(next64(&r) % 31);
	c.dup = (unsigned)(next64(&r) % 31);
	return c;
}

struct sim *sim_new(const struct sim_cfg *cfg)
{
	struct sim *s = calloc(1, sizeof(*s));

	s->cfg = *cfg;
	s->rng = cfg->seed ^ 0x5851f42d4c957f2dull;
	s->now = SEC;
	s->faults = cfg->faults;
	for (unsigned i = 0; i < cfg->nodes; i++) {
		struct sim_node *n = &s->nodes[i];
		n->sim = s;
		n->idx = i;
		n->rng = next64(&s->rng);
		n->nat_base = 20000;
		n->addr = n->outside = ip_addr_v4(0xc0000201u + i);
		if (i > 0 && (cfg->faults & SIM_NAT))
			n->addr = ip_addr_v4(0xc0a80001u + (i << 8));
	}
	for (unsigned i = 1; i < cfg->nodes; i++) {
		peer_fill(s, 0, i);
		peer_fill(s, i, 0);
	}
	for (unsigned i = 0; i < cfg->nodes; i++)
		node_boot(&s->nodes[i]);
	return s;
}

void sim_start(struct sim *s)
{
	for (unsigned i = 0; i < s->cfg.nodes; i++)
		node_configure(&s->nodes[i]);
	for (unsigned i = 0; i < s->cfg.nodes; i++)
		ev_new(s, EV_TRAFFIC, i, below(s, SEC));
	ev_new(s, EV_CHAOS, 0, 5 * SEC + below(s, 40 * SEC));
}

void sim_finish(struct sim *s)
{
	s->stopped = true;
	s->faults = 0;
	for (unsigned i = 0; i < s->cfg.nodes; i++)
		for (unsigned k = 0; k < s->cfg.nodes; k++)
			if (s->nodes[i].peers[k].name[0])
				ike_peer_remove(s->nodes[i].ike, s->nodes[i].peers[k].name);
	sim_run(s, 5 * SEC); /* jobs come home */
	for (unsigned i = 0; i < s->cfg.nodes; i++)
		if (ike_objects(s->nodes[i].ike) != 0)
			violated(s, "node %u still holds %zu bytes without any peer", i,
				 ike_objects(s->nodes[i].ike));
	for (unsigned i = 0; i < s->cfg.nodes; i++)
		node_halt(&s->nodes[i]);
}

void sim_free(struct sim *s)
{
	for (unsigned i = 0; i < s->cfg.nodes; i++) {
		if (s->nodes[i].ike)
			node_halt(&s->nodes[i]);
		for (unsigned k = 0; k < s->cfg.nodes; k++) {
			free(s->nodes[i].peers[k].psk);
			free(s->nodes[i].peers[k].children);
		}
	}
	while (s->n)
		ev_free(ev_pop(s));
	free(s->heap);
	free(s);
}

struct ike *sim_engine(struct sim *s, unsigned node)
{
	return s->nodes[node].ike;
}

struct ike_peer_cfg *sim_peer_cfg(struct sim *s, unsigned node, unsigned peer)
{
	return &s->nodes[node].peers[peer];
}

uint64_t sim_now(const struct sim *s)
{
	return s->now;
}

void sim_set_faults(struct sim *s, unsigned faults)
{
	s->faults = faults;
}

const char *sim_error(const struct sim *s)
{
	return s->error[0] ? s->error : NULL;
}

struct sim_totals sim_totals(const struct sim *s)
{
	return s->totals;
}

void sim_set_tap(struct sim *s,
		 bool (*tap)(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg,
			     size_t *len),
		 void *ctx)
{
	s->tap = tap;
	s->tap_ctx = ctx;
}

struct want_error {
	const char *peer;
	char text[512];
};

static void copy_error(void *ctx, const struct ike_peer_cfg *cfg, const char *last_error)
{
	struct want_error *w = ctx;

	if (strcmp(cfg->name, w->peer) == 0)
		snprintf(w->text, sizeof(w->text), "%s", last_error);
}

const char *sim_last_error(struct sim *s, unsigned node, unsigned peer)
{
	static struct want_error w;

	w.peer = s->nodes[node].peers[peer].name;
	w.text[0] = '\0';
	ike_peer_foreach(s->nodes[node].ike, copy_error, &w);
	return w.text;
}
