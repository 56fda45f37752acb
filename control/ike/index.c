/* Where peers and children are found: by name, by address, by policy. What an unauthenticated
 * packet or a packet without an SA makes us look up must not cost a walk over ten thousand peers.
 */
#include <string.h>

#include "engine.h"

/* FNV-1a: the keys are the configuration's own, nobody outside chooses them. */
static unsigned hash_bytes(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint32_t h = 2166136261u;

	while (len--)
		h = (h ^ *p++) * 16777619u;
	return (h ^ h >> 16) % INDEX_BUCKETS;
}

static struct peer_index *name_bucket(struct ike *ike, const char *name)
{
	return &ike->peer_names[hash_bytes(name, strlen(name))];
}

/* Connections to any address have a list of their own. */
static struct peer_index *address_bucket(struct ike *ike, const struct ip_addr *remote)
{
	if (remote->family == IP_NONE)
		return &ike->peers_any;
	return &ike->peer_addresses[hash_bytes(remote->b, sizeof(remote->b))];
}

static struct child_index *policy_bucket(struct ike *ike, uint32_t policy)
{
	return &ike->child_policies[hash_bytes(&policy, sizeof(policy))];
}

void index_init(struct ike *ike)
{
	TAILQ_INIT(&ike->peers_any);
	for (unsigned i = 0; i < INDEX_BUCKETS; i++) {
		TAILQ_INIT(&ike->peer_names[i]);
		TAILQ_INIT(&ike->peer_addresses[i]);
		TAILQ_INIT(&ike->child_policies[i]);
	}
}

void index_peer(struct peer *p)
{
	TAILQ_INSERT_TAIL(name_bucket(p->ike, p->cfg.name), p, by_name);
	TAILQ_INSERT_TAIL(address_bucket(p->ike, &p->cfg.remote), p, by_address);
}

void unindex_peer(struct peer *p)
{
	TAILQ_REMOVE(name_bucket(p->ike, p->cfg.name), p, by_name);
	TAILQ_REMOVE(address_bucket(p->ike, &p->cfg.remote), p, by_address);
}

void index_child(struct child *c)
{
	TAILQ_INSERT_TAIL(policy_bucket(c->ike, c->cfg.policy), c, by_policy);
}

void unindex_child(struct child *c)
{
	TAILQ_REMOVE(policy_bucket(c->ike, c->cfg.policy), c, by_policy);
}

struct peer *peer_find(struct ike *ike, const char *name)
{
	struct peer *p;

	TAILQ_FOREACH(p, name_bucket(ike, name), by_name)
		if (!p->dead && strcmp(p->cfg.name, name) == 0)
			return p;
	return NULL;
}

struct peer *peer_next_at(struct ike *ike, const struct ip_addr *remote, struct peer *p)
{
	p = p ? TAILQ_NEXT(p, by_address) : TAILQ_FIRST(address_bucket(ike, remote));
	while (p && (p->dead || !ip_addr_equal(&p->cfg.remote, remote)))
		p = TAILQ_NEXT(p, by_address);
	return p;
}

struct child *child_next_of(struct ike *ike, uint32_t policy, struct child *c)
{
	c = c ? TAILQ_NEXT(c, by_policy) : TAILQ_FIRST(policy_bucket(ike, policy));
	while (c && (c->dead || c->cfg.policy != policy))
		c = TAILQ_NEXT(c, by_policy);
	return c;
}
