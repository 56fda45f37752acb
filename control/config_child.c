/* A child's networks, and options that change its phase 2 proposals. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_check.h"

static bool names_esn(const struct raw_child *raw)
{
	for (unsigned i = 0; i < raw->proposals_count; i++)
		if (strstr(raw->proposals[i], "esn"))
			return true;
	return false;
}

/* Each transform twice, the one with ESN first. */
static bool esn_prefer(struct ike_child_cfg *child)
{
	unsigned n = child->n_esp;

	if (2 * n > IKE_CFG_TRANSFORMS)
		return false;
	for (unsigned i = n; i-- > 0;) {
		struct esp_transform t = child->esp[i];
		child->esp[2 * i + 1] = t;
		t.esn = true;
		child->esp[2 * i] = t;
	}
	child->n_esp = 2 * n;
	return true;
}

void check_child_esn(struct check *c, struct where w, const struct raw_child *raw,
		     struct ike_child_cfg *child)
{
	static const char *const words[] = { "no", "yes", "prefer" };
	unsigned esn = 0;

	if (!raw->esn || !check_word(c, where_key(w, "esn"), raw->esn, words, 3, &esn))
		return;
	if (names_esn(raw)) {
		check_error(c, where_key(w, "esn"),
			    "say it here or in the proposals ('esn', 'noesn'), not in both");
		return;
	}
	for (unsigned i = 0; i < child->n_esp && esn == 1; i++)
		child->esp[i].esn = true;
	if (esn == 2 && !esn_prefer(child))
		check_error(c, where_key(w, "esn"),
			    "with and without ESN these are more than %d transforms",
			    IKE_CFG_TRANSFORMS);
}

static bool same_on_the_wire(const struct esp_transform *a, const struct esp_transform *b)
{
	return a->encr == b->encr && a->key_bits == b->key_bits && a->group == b->group &&
	       a->esn == b->esn && a->ah == b->ah &&
	       integ_info(a->integ)->attr_id == integ_info(b->integ)->attr_id;
}

/* RFC 4868 truncates HMAC-SHA-256 at 128 bits; what was built before it does so at 96, under the same
 * number, so that nothing in the negotiation can tell. */
void check_child_sha256(struct check *c, struct where w, bool truncate, struct ike_child_cfg *child)
{
	char text[TRANSFORM_STR_LEN];

	for (unsigned i = 0; i < child->n_esp && truncate; i++)
		if (child->esp[i].integ == INTEG_HMAC_SHA256_128)
			child->esp[i].integ = INTEG_HMAC_SHA256_96;
	for (unsigned i = 0; i < child->n_esp; i++) {
		for (unsigned k = 0; k < i; k++) {
			if (!same_on_the_wire(&child->esp[i], &child->esp[k]) ||
			    child->esp[i].integ == child->esp[k].integ)
				continue;
			check_error(c, where_key(w, "proposals"),
				    "%s looks the same in the negotiation with 96 and with 128 "
				    "bits: name the one that the peer has",
				    esp_transform_str(&child->esp[i], text, sizeof(text)));
			return;
		}
	}
}

/* AH in a NAT's way, and AH where encapsulation is forced. */
void check_child_ah(struct check *c, struct where w, const struct ike_peer_cfg *peer,
		    const struct ike_child_cfg *child)
{
	unsigned ah = 0;

	for (unsigned i = 0; i < child->n_esp; i++)
		ah += child->esp[i].ah;
	if (ah == child->n_esp && ah && peer->force_encap)
		check_error(c, where_key(w, "proposals"),
			    "with 'encapsulation: force' there must be a proposal for ESP: AH "
			    "cannot go in UDP");
}

void check_child_pairs_number(struct check *c, struct where w, const struct raw_child *raw,
			      struct ike_child_cfg *child)
{
	uint64_t pairs = 1;

	if (raw->sa_pairs && strcmp(raw->sa_pairs, "per-lcore") == 0)
		pairs = c->cfg->dp.n_workers ? c->cfg->dp.n_workers : 1;
	else
		check_number(c, where_key(w, "sa-pairs"), raw->sa_pairs, 1, DP_MAX_WORKERS, &pairs);
	child->pairs = (unsigned)pairs;
}

/* ------------------------------------------------------------------------- networks --------- */

struct network {
	struct ip_range r;
	bool ok, any, used; /* any: of the other side's family */
	bool pool, assigned; /* each address of the peer's pool; the one that Mode Config gives us */
};

static uint32_t pool_size(const struct ike_peer_cfg *peer)
{
	const struct ike_remote_cfg *a = peer->access;

	return a && a->has_pool ? ip_addr_to_v4(&a->pool.hi) - ip_addr_to_v4(&a->pool.lo) + 1 : 0;
}

size_t check_remote_networks(const struct raw_child *raw, const struct ike_peer_cfg *peer)
{
	size_t n = 0;

	for (unsigned i = 0; i < raw->remote_count; i++)
		n += strcmp(raw->remote[i], "pool") == 0 ? pool_size(peer) : 1;
	return n;
}

/* "pool" and "assigned", which the peer must have; false: neither of them. */
static bool read_word(struct check *c, struct where w, const char *text, bool local,
		      const struct ike_peer_cfg *peer, struct network *n)
{
	const struct ike_remote_cfg *a = peer->access;

	if (strcmp(text, local ? "assigned" : "pool") != 0)
		return false;
	n->pool = !local;
	n->assigned = local;
	n->r = local || !a ? (struct ip_range){ ip_addr_v4(0), ip_addr_v4(0) } : a->pool;
	n->ok = a && a->config && a->has_pool == !local;
	if (!n->ok)
		check_error(c, w, local ? "'assigned' needs 'mode-config', and no pool of ours" :
					  "'pool' needs the peer to have a 'pool'");
	return true;
}

static struct network *read_networks(struct check *c, struct where w, bool local,
				     const struct ike_peer_cfg *peer, char *const *texts, unsigned n)
{
	const char *key = local ? "local" : "remote";
	struct network *list = calloc(n + 1, sizeof(*list));

	if (!list)
		abort();
	for (unsigned i = 0; i < n; i++) {
		if (read_word(c, where_item(w, key, i), texts[i], local, peer, &list[i]))
			continue;
		list[i].any = strcmp(texts[i], "any") == 0;
		list[i].ok = list[i].any ||
			     check_range(c, where_item(w, key, i), texts[i], &list[i].r);
	}
	return list;
}

static struct ip_range range_of(const struct network *n, uint8_t family)
{
	struct ip_range all;

	if (!n->any)
		return n->r;
	ip_range_parse(family == IP_V6 ? "::/0" : "0.0.0.0/0", &all);
	return all;
}

/* Networks of two families cannot talk to each other: they are no pair. */
static bool pair_networks(struct network *local, struct network *remote, struct selector *sel)
{
	uint8_t family = !local->any  ? local->r.lo.family :
			 !remote->any ? remote->r.lo.family :
					IP_V4;

	if (!local->ok || !remote->ok || (!remote->any && remote->r.lo.family != family))
		return false;
	sel->local = range_of(local, family);
	sel->remote = range_of(remote, family);
	local->used = remote->used = true;
	return true;
}

/* The first has the child's name, the others "name-2", "name-3", ...; of a pool "name-ADDRESS". */
static bool add_child(struct check *c, struct where w, struct ike_peer_cfg *peer,
		      struct ike_child_cfg *child, unsigned n)
{
	char full[2 * IKE_NAME_LEN + 2];

	size_t len = strnlen(child->name, sizeof(child->name) - (child->pooled ? 24 : 8));
	if (child->pooled && child->name[len]) {
		check_error(c, where_key(w, "name"),
			    "the name of a child with a pool has at most %zu characters",
			    sizeof(child->name) - 24);
		return false;
	}
	if (child->pooled) {
		char addr[ADDR_STR_LEN];
		len += (size_t)snprintf(child->name + len, sizeof(child->name) - len, "-%s",
					ip_addr_str(&child->sel.remote.lo, addr, sizeof(addr)));
	}
	if (n > 1)
		snprintf(child->name + len, sizeof(child->name) - len, "-%u", n);
	snprintf(full, sizeof(full), "%s/%s", peer->name, child->name);
	struct spd_policy *p = check_add_policy(c, w, full, POLICY_PROTECT, &child->sel);
	if (!p)
		return false;
	p->gateway = peer->remote.family != IP_NONE ? peer->remote : peer->local;
	child->policy = p->id;
	peer->n_children++;
	return true;
}

static void report_unused(struct check *c, struct where w, const char *key,
			  const struct network *list, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (list[i].ok && !list[i].used)
			check_error(c, where_item(w, key, i),
				    "the other side has no network of this family (%s)",
				    list[i].r.lo.family == IP_V6 ? "IPv6" : "IPv4");
}

/* A child for each address of the pool. Only who has the address may begin: we do not know where it is. */
static bool add_pool(struct check *c, struct where w, struct ike_peer_cfg *peer,
		     const struct ike_child_cfg *like, unsigned n)
{
	uint32_t first = ip_addr_to_v4(&peer->access->pool.lo), size = pool_size(peer);

	for (uint32_t i = 0; i < size; i++) {
		struct ike_child_cfg *child = &peer->children[peer->n_children];
		struct ip_addr a = ip_addr_v4(first + i);
		*child = *like;
		child->pooled = true;
		child->start = START_PASSIVE;
		child->sel.remote = (struct ip_range){ a, a };
		if (!add_child(c, w, peer, child, n))
			return false;
	}
	return true;
}

void check_child_networks(struct check *c, struct where w, const struct raw_child *raw,
			  struct ike_peer_cfg *peer, const struct ike_child_cfg *template)
{
	struct network *local = read_networks(c, w, true, peer, raw->local, raw->local_count);
	struct network *remote =
		read_networks(c, w, false, peer, raw->remote, raw->remote_count);
	unsigned n = 0, before = c->report->errors;
	bool room = true;

	for (unsigned i = 0; i < raw->local_count && room; i++) {
		for (unsigned k = 0; k < raw->remote_count && room; k++) {
			struct ike_child_cfg *child = &peer->children[peer->n_children];
			*child = *template;
			if (!pair_networks(&local[i], &remote[k], &child->sel))
				continue;
			child->assigned = local[i].assigned;
			struct ike_child_cfg like = *child;
			room = remote[k].pool ? add_pool(c, w, peer, &like, i + 1) :
						add_child(c, w, peer, child, ++n);
		}
	}
	if (c->report->errors == before) {
		report_unused(c, w, "local", local, raw->local_count);
		report_unused(c, w, "remote", remote, raw->remote_count);
	}
	free(local);
	free(remote);
}
