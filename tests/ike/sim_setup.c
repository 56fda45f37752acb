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
	p->life_s = 120 + (uint32_t)(sim_random(&r) % 600);
	p->dpd_s = (uint32_t)(sim_random(&r) % 3) * 15;
	p->retry_ms = sim_random(&r) % 2 ? 1000 : 500;
	p->n_children = 1 + (unsigned)(sim_random(&r) % 2);
	p->children = calloc(p->n_children, sizeof(*p->children));
	unsigned start = (unsigned)(sim_random(&r) % 3);
	for (unsigned i = 0; i < p->n_children; i++) {
		struct ike_child_cfg *c = &p->children[i];
		snprintf(c->name, sizeof(c->name), "net%u", i);
		c->policy = b * 8 + i;
		uint32_t near = 0x0a000000u | a << 16 | i << 8,
			 far = 0x0a000000u | b << 16 | i << 8;
		c->sel.local = (struct ip_range){ ip_addr_v4(near), ip_addr_v4(near | 255) };
		c->sel.remote = (struct ip_range){ ip_addr_v4(far), ip_addr_v4(far | 255) };
		c->esp[0] = (struct esp_transform){ .encr = ENCR_AES_GCM_16, .key_bits = 128 };
		if (sim_random(&r) % 2)
			c->esp[0].group = 19;
		c->n_esp = 1;
		c->mode = SA_TUNNEL;
		c->life_s = 90 + (uint32_t)(sim_random(&r) % 200);
		volume_fill(s, c, hub * 8 + i);
		/* one end at least wants it up */
		c->start = a != 0 || start == 0 ? START_IMMEDIATE
			   : start == 1         ? START_PASSIVE
						: START_ON_DEMAND;
	}
}

struct sim_cfg sim_cfg_from_seed(uint64_t seed)
{
	uint64_t r = seed;
	struct sim_cfg c = { .seed = seed, .delay_min_us = 1000, .rough_us = 600 * SEC };

	c.nodes = sim_random(&r) % 8 == 0 ? 3 : 2;
	c.delay_max_us = 1000 + sim_random(&r) % 400000;
	c.job_max_us = sim_random(&r) % 20000;
	c.install_max_us = sim_random(&r) % 20000;
	if (sim_random(&r) % 3 == 0)
		c.rate = 100000 + sim_random(&r) % 100000000;
	if (seed % 4 == 0) { /* nothing wrong but delays: not one packet may be lost */
		c.delay_max_us = 1000 + sim_random(&r) % 100000;
		return c;
	}
	c.faults = 1 + (unsigned)(sim_random(&r) % 63);
	c.loss = (unsigned)(sim_random(&r) % 31);
	c.dup = (unsigned)(sim_random(&r) % 31);
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
		n->rng = sim_random(&s->rng);
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
		for (unsigned k = 0; k < s->cfg.nodes; k++)
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
		for (unsigned k = 0; k < s->cfg.nodes; k++) {
			free(s->nodes[i].peers[k].psk);
			free(s->nodes[i].peers[k].children);
		}
	}
	while (s->n)
		sim_ev_free(sim_ev_pop(s));
	free(s->heap);
	free(s);
}
