/* One case of the benchmark: its SAs and policies in both gateways. */
#include <errno.h>
#include <rte_malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rig.h"
#include "spd.h"

void rig_clear(struct rig *rig)
{
	for (unsigned i = 0; i < rig->n_built; i++) {
		sa_free(rig->gw[SA_OUT]->sa_out[i].sa);
		sa_free(rig->gw[SA_IN]->sa_in[i].sa);
		rig->gw[SA_OUT]->sa_out[i] = (struct sa_entry){ 0 };
		rig->gw[SA_IN]->sa_in[i] = (struct sa_entry){ 0 };
	}
	rig->n_built = 0;
	rte_free(rig->library_key);
	rig->library_key = NULL;
}

/* The packets of pair i, as dir's gateway sees them. */
static struct selector pair_selector(enum sa_dir dir, unsigned i)
{
	struct ip_range src = { ip_addr_v4(0x0a010000), ip_addr_v4(0x0a01ffff) };
	struct ip_range dst = { ip_addr_v4(DST_NET + i), ip_addr_v4(DST_NET + i) };

	return (struct selector){ .local = dir == SA_OUT ? src : dst,
				  .remote = dir == SA_OUT ? dst : src };
}

static void key_make(uint8_t *key, size_t size, unsigned i, uint8_t round)
{
	for (unsigned k = 0; k < size; k++)
		key[k] = (uint8_t)(i * 7 + (i >> 8) + round + k * 13 + 1);
}

static struct sa *pair_build(struct rig *rig, enum sa_dir dir, unsigned i, uint8_t round)
{
	struct sa_params p = {
		.ref = { .spi = SPI(i), .slot = i },
		.dir = dir,
		.spi = SPI(i),
		.policy = i,
		.proto = SA_ESP,
		.mode = SA_TUNNEL,
		.encr = rig->now.alg->encr,
		.key_bits = rig->now.alg->key_bits,
		.integ = rig->now.alg->integ,
		.local = ip_addr_v4(dir == SA_OUT ? GW_OUT : GW_IN),
		.remote = ip_addr_v4(dir == SA_OUT ? GW_IN : GW_OUT),
		.copy_dscp = true,
		.sel = pair_selector(dir, i),
	};

	key_make(p.key, sizeof(p.key), i, round);
	for (unsigned k = 0; k < sizeof(p.auth); k++)
		p.auth[k] = (uint8_t)(i * 11 + (i >> 8) + round + k * 3 + 5);
	return sa_build(rig->gw[dir]->mb, &p, SOCKET_ID_ANY);
}

static struct sa_entry *place(struct rig *rig, enum sa_dir dir, unsigned i)
{
	return dir == SA_OUT ? &rig->gw[dir]->sa_out[i] : &rig->gw[dir]->sa_in[i];
}

static int sa_add(struct rig *rig, enum sa_dir dir, unsigned i)
{
	struct sa *sa = pair_build(rig, dir, i, 0);

	*place(rig, dir, i) = (struct sa_entry){ .spi = sa ? SPI(i) : 0, .sa = sa };
	return sa ? 0 : -1;
}

int rig_rebuild(struct rig *rig, enum sa_dir dir, unsigned i)
{
	struct sa_entry *entry = place(rig, dir, i);
	struct sa *sa = pair_build(rig, dir, i, 1);

	if (!sa)
		return -1;
	sa_free(entry->sa);
	entry->sa = sa;
	return 0;
}

/* Those that match nothing go first: looked up one after the other, they would all be tried. */
static int policies(struct rig *rig, enum sa_dir dir)
{
	unsigned idle = rig->now.n_policies - rig->now.n_sas;
	struct spd_policy *p = calloc(rig->now.n_policies, sizeof(*p));
	struct lcore *lc = rig->gw[dir];
	struct spd *spd;
	char why[128] = "no memory";

	for (unsigned i = 0; p && i < idle; i++) {
		p[i] = (struct spd_policy){ .id = rig->now.n_sas + i, .action = POLICY_DISCARD };
		p[i].sel = pair_selector(SA_OUT, i);
		p[i].sel.local.lo = p[i].sel.local.hi = ip_addr_v4(0xac100000 + i);
	}
	for (unsigned i = 0; p && i < rig->now.n_sas; i++) {
		p[idle + i] = (struct spd_policy){ .id = i,
						   .action = POLICY_PROTECT,
						   .sel = pair_selector(dir, i) };
		lc->policy_sa[i] = (struct policy_sa){ .slot = i, .spi = SPI(i) };
	}
	spd = p ? spd_build(p, rig->now.n_policies, why, sizeof(why)) : NULL;
	free(p);
	if (!spd) {
		fprintf(stderr, "bench: no policies: %s\n", why);
		return -1;
	}
	if (lc->spd)
		spd_free(lc->spd);
	lc->spd = spd;
	return 0;
}

/* For IPsec-MB beside our own code. 0 or -1. */
static int library_keys(struct rig *rig)
{
	IMB_MGR *mb = rig->gw[SA_OUT]->mb;
	uint8_t key[32];

	if (rig->gw[SA_OUT]->sa_out[0].sa->crypto != SA_GCM_OWN)
		return 0;
	rig->library_key = rte_malloc(NULL, rig->now.n_sas * sizeof(*rig->library_key), 64);
	for (unsigned i = 0; rig->library_key && i < rig->now.n_sas; i++) {
		key_make(key, sizeof(key), i, 0);
		if (rig->now.alg->key_bits == 128)
			IMB_AES128_GCM_PRE(mb, key, &rig->library_key[i]);
		else
			IMB_AES256_GCM_PRE(mb, key, &rig->library_key[i]);
	}
	return rig->library_key ? 0 : -1;
}

int rig_setup(struct rig *rig, const struct rig_case *c)
{
	rig_clear(rig);
	rig->now = *c;
	if (traffic_plan(rig))
		goto fail;
	for (unsigned i = 0; i < c->n_sas; i++) {
		rig->n_built = i + 1;
		if (sa_add(rig, SA_OUT, i) || sa_add(rig, SA_IN, i))
			goto fail;
	}
	if (!library_keys(rig) && !policies(rig, SA_OUT) && !policies(rig, SA_IN) &&
	    !traffic_frames(rig))
		return 0;
fail:
	fprintf(stderr, "bench: cannot set up %s with %u SAs: %s\n", c->alg->name, c->n_sas,
		strerror(errno));
	rig_drops_print(rig->gw[SA_OUT]);
	return -1;
}
