/* Configuration in: peers are set, compared, replaced and removed. */
#include <errno.h>
#include <string.h>

#include "access.h"
#include "cert.h"
#include "gss.h"
#include "secret.h"

static bool esp_equal(const struct esp_transform *a, const struct esp_transform *b)
{
	return a->encr == b->encr && a->key_bits == b->key_bits && a->integ == b->integ &&
	       a->group == b->group && a->esn == b->esn && a->ah == b->ah;
}

/* Where our side is what Mode Config assigns, the configuration does not say it. */
static bool child_sel_equal(const struct ike_child_cfg *a, const struct ike_child_cfg *b)
{
	struct selector sel = b->sel;

	if (a->assigned != b->assigned)
		return false;
	if (a->assigned)
		sel.local = a->sel.local;
	return selector_equal(&a->sel, &sel);
}

bool child_cfg_equal(const struct ike_child_cfg *a, const struct ike_child_cfg *b)
{
	if (strcmp(a->name, b->name) != 0 || strcmp(a->list, b->list) != 0 || a->policy != b->policy ||
	    !child_sel_equal(a, b) || a->pooled != b->pooled || a->n_esp != b->n_esp || a->mode != b->mode ||
	    a->start != b->start || a->pairs != b->pairs || a->life_s != b->life_s ||
	    a->margin_s != b->margin_s || a->life_kb != b->life_kb ||
	    a->life_packets != b->life_packets || a->idle_s != b->idle_s ||
	    a->fallback_clear != b->fallback_clear ||
	    a->replay_window != b->replay_window || a->df != b->df || a->copy_dscp != b->copy_dscp ||
	    a->dscp != b->dscp || a->clamp_mss != b->clamp_mss)
		return false;
	for (unsigned i = 0; i < a->n_esp; i++)
		if (!esp_equal(&a->esp[i], &b->esp[i]))
			return false;
	return true;
}

static bool id_same(const struct ike_id *a, const struct ike_id *b)
{
	return (!a->type && !b->type) || ike_id_equal(a, b);
}

static uint16_t cfg_auth(const struct ike_peer_cfg *cfg)
{
	return cfg->auth ? cfg->auth : AUTH_PSK;
}

/* But for the users, who are read again like certificates. Both come zeroed from an allocation. */
static bool access_equal(const struct ike_remote_cfg *a, const struct ike_remote_cfg *b)
{
	if (!a || !b)
		return a == b;
	return memcmp(a, b, offsetof(struct ike_remote_cfg, users)) == 0;
}

static bool kerberos_equal(const struct ike_kerberos_cfg *a, const struct ike_kerberos_cfg *b)
{
	if (!a || !b)
		return a == b;
	return strcmp(a->own, b->own) == 0 && strcmp(a->peer, b->peer) == 0 &&
	       strcmp(a->keytab, b->keytab) == 0;
}

/* Without the children, and without the certificates: a renewed one is no reason to end an SA. */
bool peer_cfg_equal(const struct ike_peer_cfg *a, const struct ike_peer_cfg *b)
{
	if (!ip_addr_equal(&a->local, &b->local) || !ip_addr_equal(&a->remote, &b->remote) ||
	    !id_same(&a->local_id, &b->local_id) || !id_same(&a->remote_id, &b->remote_id) ||
	    cfg_auth(a) != cfg_auth(b) || a->psk_len != b->psk_len ||
	    strcmp(a->psk_name, b->psk_name) != 0 || a->n_ike != b->n_ike ||
	    a->life_s != b->life_s || a->margin_s != b->margin_s ||
	    a->life_kb != b->life_kb || a->quick_limit != b->quick_limit ||
	    a->idle_s != b->idle_s || a->dpd_on_demand != b->dpd_on_demand || a->retries != b->retries ||
	    a->retry_ms != b->retry_ms || a->dpd_s != b->dpd_s ||
	    a->force_encap != b->force_encap || a->aggressive != b->aggressive ||
	    a->fragmentation != b->fragmentation || a->fragment_size != b->fragment_size || a->initiate != b->initiate)
		return false;
	if (!access_equal(a->access, b->access) || !kerberos_equal(a->kerberos, b->kerberos))
		return false;
	if (a->psk_len && !secret_equal(a->psk, b->psk, a->psk_len))
		return false;
	for (unsigned i = 0; i < a->n_ike; i++)
		if (a->ike[i].encr != b->ike[i].encr || a->ike[i].key_bits != b->ike[i].key_bits ||
		    a->ike[i].hash != b->ike[i].hash || a->ike[i].group != b->ike[i].group)
			return false;
	return true;
}

/* The children go to child_new() one by one. */
int peer_cfg_copy(struct ike *ike, struct ike_peer_cfg *to, const struct ike_peer_cfg *from)
{
	*to = *from;
	to->children = NULL;
	to->n_children = 0;
	to->psk = NULL;
	to->access = NULL;
	to->kerberos = NULL;
	to->auth = cfg_auth(from);
	to->own = cert_own_ref(from->own);
	to->trust = cert_store_ref(from->trust);
	if (from->access) {
		to->access = ike_secret_alloc(ike, sizeof(*to->access));
		if (!to->access)
			return -ENOMEM;
		memcpy(to->access, from->access, sizeof(*to->access));
		ike_users_ref(to->access->users);
	}
	if (from->kerberos) {
		to->kerberos = ike_alloc(ike, sizeof(*to->kerberos));
		if (!to->kerberos)
			return -ENOMEM;
		*to->kerberos = *from->kerberos;
	}
	if (!from->psk)
		return 0;
	to->psk = ike_secret_alloc(ike, from->psk_len);
	if (!to->psk)
		return -ENOMEM;
	memcpy(to->psk, from->psk, from->psk_len);
	return 0;
}

void peer_cfg_clear(struct ike *ike, struct ike_peer_cfg *cfg)
{
	ike_secret_dealloc(ike, cfg->psk, cfg->psk_len);
	cfg->psk = NULL;
	if (cfg->access)
		ike_users_free(cfg->access->users);
	ike_secret_dealloc(ike, cfg->access, sizeof(*cfg->access));
	cfg->access = NULL;
	cert_own_free(cfg->own);
	cert_store_free(cfg->trust);
	ike_dealloc(ike, cfg->kerberos, sizeof(*cfg->kerberos));
	cfg->kerberos = NULL;
	cfg->own = NULL;
	cfg->trust = NULL;
}

/* The next Main Mode takes these; what stands was proved with the old ones. */
static void peer_set_certs(struct peer *p, const struct ike_peer_cfg *cfg)
{
	struct cert_own *own = p->cfg.own;
	struct cert_store *trust = p->cfg.trust;

	p->cfg.own = cert_own_ref(cfg->own);
	p->cfg.trust = cert_store_ref(cfg->trust);
	cert_own_free(own);
	cert_store_free(trust);
	if (!cfg->access)
		return;
	struct ike_users *users = p->cfg.access->users;
	p->cfg.access->users = ike_users_ref(cfg->access->users);
	ike_users_free(users);
}

static int peer_add(struct ike *ike, const struct ike_peer_cfg *cfg)
{
	struct peer *p = ike_alloc(ike, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->ike = ike;
	TAILQ_INIT(&p->children);
	TAILQ_INIT(&p->sas);
	timer_init(&p->kick, peer_maintain, p);
	TAILQ_INSERT_TAIL(&ike->peers, p, link);
	int rc = peer_cfg_copy(ike, &p->cfg, cfg);
	index_peer(p);
	if (rc == 0 && p->cfg.access && p->cfg.access->has_pool) {
		p->pool = pool_new(ike, &p->cfg.access->pool);
		rc = p->pool ? 0 : -ENOMEM;
	}
	for (unsigned i = 0; rc == 0 && i < cfg->n_children; i++)
		if (!child_new(p, &cfg->children[i]))
			rc = -ENOMEM;
	if (rc != 0)
		peer_free(p);
	else
		peer_kick(p);
	return rc;
}

static const struct ike_child_cfg *wanted_child(const struct ike_peer_cfg *cfg, const char *name)
{
	for (unsigned i = 0; i < cfg->n_children; i++)
		if (strcmp(cfg->children[i].name, name) == 0)
			return &cfg->children[i];
	return NULL;
}

/* The peer itself stays; its children become those of cfg. */
static int peer_sync_children(struct peer *p, const struct ike_peer_cfg *cfg)
{
	struct child *c, *next;
	int rc = 0;

	TAILQ_FOREACH(c, &p->children, link) {
		const struct ike_child_cfg *want = wanted_child(cfg, c->cfg.name);
		if (want && child_cfg_equal(want, &c->cfg))
			continue;
		child_delete_pairs(c, "removed from the configuration");
		c->dead = true;
	}
	engine_reap(p->ike);
	for (c = TAILQ_FIRST(&p->children); c; c = next) {
		next = TAILQ_NEXT(c, link);
		if (c->dead)
			child_free(c);
	}
	for (unsigned i = 0; i < cfg->n_children && rc == 0; i++)
		if (!child_find(p, cfg->children[i].name) && !child_new(p, &cfg->children[i]))
			rc = -ENOMEM;
	if (p->assigned)
		config_assign(p);
	peer_kick(p);
	return rc;
}

int ike_peer_set(struct ike *ike, const struct ike_peer_cfg *cfg)
{
	struct peer *old = peer_find(ike, cfg->name);

	if (old && peer_cfg_equal(&old->cfg, cfg)) {
		peer_set_certs(old, cfg);
		return peer_sync_children(old, cfg);
	}
	if (old)
		ike_peer_remove(ike, cfg->name);
	return peer_add(ike, cfg);
}

int ike_peer_remove(struct ike *ike, const char *name)
{
	struct peer *p = peer_find(ike, name);
	struct isakmp_sa *sa;

	if (!p)
		return -ENOENT;
	p->dead = true;
	peer_down(p, "removed from the configuration");
	TAILQ_FOREACH(sa, &p->sas, link)
		sa_kill(sa); /* the DELETEs are on their way; nobody is left to repeat them */
	engine_reap(ike);
	peer_free(p);
	return 0;
}
