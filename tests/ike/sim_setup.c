/* A network from its seed, and its end. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alg.h"
#include "sim_internal.h"

/* A limit of 4 s to two minutes of the flow, in bytes or packets, the same at both ends. */
static void volume_fill(struct sim *s, struct ike_child_cfg *c, unsigned number)
{
	uint64_t r = s->cfg.seed * 131 + number;
	uint64_t bytes = s->cfg.rate * (4 + sim_random(&r) % 120);

	if (!s->cfg.rate)
		return;
	if (sim_random(&r) % 2)
		c->life_kb = bytes >> 10;
	else
		c->life_packets = bytes / 1000;
}

static void esp_fill(struct ike_child_cfg *c, unsigned k)
{
	static const struct esp_transform some[] = {
		{ .encr = ENCR_AES_GCM_16, .key_bits = 128 },
		{ .encr = ENCR_AES_GCM_8, .key_bits = 256, .esn = true },
		{ .encr = ENCR_AES_CTR, .key_bits = 192, .integ = INTEG_HMAC_SHA256_128 },
		{ .encr = ENCR_AES_CBC, .key_bits = 256, .integ = INTEG_HMAC_SHA512_256, .esn = true },
		{ .encr = ENCR_AES_GMAC, .key_bits = 128 },
		{ .encr = ENCR_3DES, .key_bits = 192, .integ = INTEG_HMAC_SHA256_96 },
		{ .integ = INTEG_HMAC_SHA1_96, .ah = true },
		{ .integ = INTEG_HMAC_SHA384_192, .ah = true, .esn = true },
	};

	c->esp[0] = some[k % 8];
	c->n_esp = 1;
	if (c->esp[0].ah) { /* the second choice where there is a NAT */
		c->esp[1] = some[0];
		c->n_esp = 2;
	}
}

/* Bytes of a network, the same from both sides: side is the node whose network it is. */
static struct ip_range network(bool v6, unsigned side, unsigned child)
{
	uint32_t base = 0x0a000000u + (side << 16) + (child << 8);
	struct ip_range r = { ip_addr_v4(base), ip_addr_v4(base | 255) };

	if (!v6)
		return r;
	ip_range_parse("2001:db8::-2001:db8::ffff", &r);
	r.lo.b[6] = r.hi.b[6] = (uint8_t)(side >> 8);
	r.lo.b[7] = r.hi.b[7] = (uint8_t)side;
	r.lo.b[8] = r.hi.b[8] = (uint8_t)child;
	return r;
}

/* What enum sim_mix adds to a child; r is drawn alike at both ends, own is not. */
static void child_mix(struct sim *s, const struct ike_peer_cfg *p, struct ike_child_cfg *c,
		      unsigned i, uint64_t *r, uint64_t *own)
{
	unsigned esp = (unsigned)(sim_random(r) % 8), mode = (unsigned)(sim_random(r) % 4);
	unsigned pairs = 1 + (unsigned)(sim_random(r) % 4);
	uint16_t group = c->esp[0].group;

	if (s->cfg.mix & SIM_MIX_ESP)
		esp_fill(c, esp);
	c->esp[0].group = c->esp[1].group = group;
	/* the addresses outside do not stay, or are not known */
	if ((s->cfg.mix & SIM_MIX_MODE) && i == 0 && mode == 0 && !(s->cfg.faults & SIM_REBIND)) {
		c->mode = SA_TRANSPORT;
		c->sel = (struct selector){ .local = { p->local, p->local },
					    .remote = { p->remote, p->remote } };
	}
	if (s->cfg.mix & SIM_MIX_PAIRS)
		c->pairs = !(s->cfg.mix & SIM_STRANGERS) && sim_random(own) % 8 == 0 ? 1 : pairs;
}

static void child_fill(struct sim *s, unsigned a, unsigned b, unsigned i, unsigned start,
		       uint64_t *r, uint64_t *own)
{
	struct ike_peer_cfg *p = sim_peer_cfg(s, a, b);
	struct ike_child_cfg *c = &p->children[i];
	bool v6 = (s->cfg.mix & SIM_MIX_V6) && i == 1;

	snprintf(c->name, sizeof(c->name), "net%u", i);
	c->policy = (a == 0 ? b : 0) * POLICIES_PER_PEER + i;
	c->sel.local = network(v6, a, i);
	c->sel.remote = network(v6, b, i);
	c->esp[0] = (struct esp_transform){ .encr = ENCR_AES_GCM_16, .key_bits = 128 };
	if (sim_random(r) % 4 == 0)
		c->esp[0].group = 19;
	c->n_esp = 1;
	c->mode = SA_TUNNEL;
	c->life_s = 90 + (uint32_t)(sim_random(r) % 200);
	volume_fill(s, c, (a == 0 ? b : a) * 8 + i);
	/* one end at least wants it up */
	c->start = a != 0 || start == 0 ? START_IMMEDIATE
		   : start == 1         ? START_PASSIVE
					: START_ON_DEMAND;
	if (s->cfg.mix)
		child_mix(s, p, c, i, r, own);
}

static void peer_fill(struct sim *s, unsigned a, unsigned b)
{
	struct ike_peer_cfg *p = sim_peer_cfg(s, a, b);
	const char *psk = a < SIM_SECRETS && s->cfg.psk[a] ? s->cfg.psk[a] : "secret";
	unsigned hub = a == 0 ? b : a; /* both ends of a connection draw the same numbers */
	uint64_t r = s->cfg.seed * 31 + hub, own = r * 7 + a;
	char name[IKE_NAME_LEN];

	snprintf(p->name, sizeof(p->name), "node%u", b);
	p->local = s->nodes[a].addr;
	p->remote = s->nodes[b].outside;
	/* whose address may change is known by its name */
	if (a == 0 && (s->cfg.faults & SIM_REBIND) && (s->cfg.faults & SIM_NAT))
		p->remote = (struct ip_addr){ .family = IP_NONE };
	snprintf(name, sizeof(name), "node%u", a);
	ike_id_from_text(name, &p->local_id);
	ike_id_from_text(p->name, &p->remote_id);
	p->psk_len = strlen(psk);
	p->psk = (uint8_t *)strdup(psk);
	snprintf(p->psk_name, sizeof(p->psk_name), "secret-%u", b);
	p->ike[0] = (struct ike_transform){ ENCR_AES_CBC, 128, HASH_SHA256, 19 };
	p->n_ike = 1;
	p->initiate = !(s->cfg.faults & SIM_NAT) || a != 0;
	p->life_s = 120 + (uint32_t)(sim_random(&r) % 600);
	p->dpd_s = (uint32_t)(sim_random(&r) % 3) * 15;
	p->retry_ms = sim_random(&r) % 2 ? 1000 : 500;
	uint64_t q = s->cfg.seed * 17 + hub; /* apart: what is drawn above stays as it was */
	p->dpd_on_demand = s->cfg.policies && sim_random(&q) % 2;
	if (s->cfg.policies && sim_random(&q) % 4 == 0)
		p->quick_limit = 1 + (uint32_t)(sim_random(&q) % 4);
	if (s->cfg.policies && sim_random(&q) % 8 == 0)
		p->life_kb = 8 + sim_random(&q) % 64;
	uint64_t f = s->cfg.seed * 19 + hub * 2 + (a == 0); /* each end its own */
	if (s->cfg.fragments) {
		/* force against no would be two that cannot speak to each other */
		p->fragmentation = sim_random(&q) % 2 ? FRAGMENTATION_FORCE :
							(enum fragmentation)(sim_random(&f) % 2);
		p->fragment_size = IKE_FRAGMENT_MIN + (uint32_t)(sim_random(&f) % 200);
	}
	uint64_t m = s->cfg.seed * 211 + hub;
	p->aggressive = s->cfg.aggressive && sim_random(&m) % 3 == 0;
	p->n_children = 1 + (unsigned)(sim_random(&r) % 2);
	p->children = calloc(p->n_children, sizeof(*p->children));
	unsigned start = (unsigned)(sim_random(&r) % 3);
	for (unsigned i = 0; i < p->n_children; i++)
		child_fill(s, a, b, i, start, &r, &own);
}

struct sim_cfg sim_cfg_from_seed(uint64_t seed)
{
	uint64_t r = seed;
	struct sim_cfg c = { .seed = seed, .delay_min_us = 1000, .rough_us = 600 * SEC };

	c.nodes = sim_random(&r) % 8 == 0 ? 3 : 2;
	c.delay_max_us = 1000 + sim_random(&r) % 400000;
	c.job_max_us = sim_random(&r) % 20000;
	c.install_max_us = sim_random(&r) % 20000;
	c.mix = (unsigned)(sim_random(&r) % 32);
	if (sim_random(&r) % 3 == 0)
		c.rate = 100000 + sim_random(&r) % 100000000;
	if (seed % 4 == 0) { /* nothing wrong but delays: not one packet may be lost */
		c.delay_max_us = 1000 + sim_random(&r) % 100000;
		c.faults = seed % 8 == 0 ? 0 : SIM_HUB_NAT;
		return c;
	}
	c.faults = 1 + (unsigned)(sim_random(&r) % 511);
	/* two of us that take each other for strangers, who have rules of their own for collisions of
	 * Main Modes and never make parallel pairs: only one side may call */
	if (sim_random(&r) % 4 == 0 && (c.faults & SIM_NAT) && !(c.mix & SIM_MIX_PAIRS))
		c.mix |= SIM_STRANGERS;
	c.loss = (unsigned)(sim_random(&r) % 31);
	c.dup = (unsigned)(sim_random(&r) % 31);
	return c;
}

/* The i-th address of the outside, or one behind the NAT of node i. */
static struct ip_addr address(const struct sim_cfg *cfg, unsigned i, bool inside)
{
	struct ip_addr a;

	if (!(cfg->mix & SIM_V6))
		return ip_addr_v4((inside ? 0xc0a80001u : 0xc6120001u) + (i << 8));
	ip_addr_parse(inside ? "fd00::1" : "2001:db8:ffff::1", &a);
	a.b[12] = (uint8_t)(i >> 8);
	a.b[13] = (uint8_t)i;
	return a;
}

static void node_init(struct sim *s, unsigned i)
{
	struct sim_node *n = &s->nodes[i];
	bool nat = s->cfg.faults & (i > 0 ? SIM_NAT : SIM_HUB_NAT);

	n->sim = s;
	n->idx = i;
	n->rng = sim_random(&s->rng);
	n->timer_at = UINT64_MAX;
	n->nat_base = i > 0 ? 20000 : 0;
	n->outside = address(&s->cfg, i, false);
	n->addr = nat ? address(&s->cfg, i, true) : n->outside;
	n->n_peers = i == 0 ? s->cfg.nodes : 1;
	n->peers = calloc(n->n_peers, sizeof(*n->peers));
	n->policies = calloc(n->n_peers * POLICIES_PER_PEER, sizeof(*n->policies));
	for (unsigned k = 0; k < n->n_peers * POLICIES_PER_PEER; k++)
		TAILQ_INIT(&n->policies[k].senders);
}

struct sim *sim_new(const struct sim_cfg *cfg)
{
	struct sim *s = calloc(1, sizeof(*s));

	s->cfg = *cfg;
	s->rng = cfg->seed ^ 0x5851f42d4c957f2dull;
	s->now = SEC;
	s->faults = cfg->faults;
	s->nodes = calloc(cfg->nodes, sizeof(*s->nodes));
	for (unsigned i = 0; i < cfg->nodes; i++)
		node_init(s, i);
	for (unsigned i = 1; i < cfg->nodes; i++) {
		peer_fill(s, 0, i);
		peer_fill(s, i, 0);
	}
	for (unsigned i = 0; i < cfg->nodes; i++)
		sim_node_boot(&s->nodes[i]);
	return s;
}

void sim_start(struct sim *s)
{
	for (unsigned i = 0; i < s->cfg.nodes; i++)
		sim_node_configure(&s->nodes[i]);
	for (unsigned i = 0; i < s->cfg.nodes; i++)
		sim_ev_new(s, EV_TRAFFIC, i, sim_below(s, SEC));
	sim_ev_new(s, EV_CHAOS, 0, 5 * SEC + sim_below(s, 40 * SEC));
}

void sim_finish(struct sim *s)
{
	s->stopped = true;
	s->faults = 0;
	sim_stop_flow(s);
	for (unsigned i = 0; i < s->cfg.nodes; i++)
		for (unsigned k = 0; k < s->nodes[i].n_peers; k++)
			if (s->nodes[i].peers[k].name[0])
				ike_peer_remove(s->nodes[i].ike, s->nodes[i].peers[k].name);
	sim_run(s, 5 * SEC); /* jobs come home */
	for (unsigned i = 0; i < s->cfg.nodes; i++)
		if (ike_objects(s->nodes[i].ike) != 0)
			sim_violated(s, "node %u still holds %zu bytes without any peer", i,
				     ike_objects(s->nodes[i].ike));
	for (unsigned i = 0; i < s->cfg.nodes; i++)
		sim_node_halt(&s->nodes[i]);
}

void sim_free(struct sim *s)
{
	for (unsigned i = 0; i < s->cfg.nodes; i++) {
		if (s->nodes[i].ike)
			sim_node_halt(&s->nodes[i]);
		for (unsigned k = 0; k < s->nodes[i].n_peers; k++) {
			free(s->nodes[i].peers[k].psk);
			free(s->nodes[i].peers[k].children);
		}
		free(s->nodes[i].peers);
		free(s->nodes[i].diagnosed);
		free(s->nodes[i].policies);
	}
	while (s->n)
		sim_ev_free(sim_ev_pop(s));
	free(s->heap);
	free(s->nodes);
	free(s);
}
