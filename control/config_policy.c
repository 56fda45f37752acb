/* The SPD: explicit policies, ids that stay over reloads, and what can never match. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_check.h"
#include "config_value.h"

static int id_cmp(const void *a, const void *b)
{
	const struct config_policy_id *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static uint32_t old_id(const struct config *old, const char *name)
{
	struct config_policy_id key = { 0 };

	if (!old || old->n_policies == 0)
		return UINT32_MAX;
	snprintf(key.name, sizeof(key.name), "%s", name);
	const struct config_policy_id *found =
		bsearch(&key, old->ids, old->n_policies, sizeof(key), id_cmp);
	return found ? found->id : UINT32_MAX;
}

static bool id_taken(const struct check *c, uint32_t id)
{
	return c->id_used[id / 8] >> (id % 8) & 1;
}

/* The id that the name had, or the next one that neither this nor the old configuration uses: SAs
 * of a policy that has just gone must not serve another. */
static uint32_t pick_id(struct check *c, const char *name)
{
	uint32_t id = old_id(c->old, name);

	if (id == UINT32_MAX) {
		while (c->next_id < SPD_MAX_POLICIES && id_taken(c, c->next_id))
			c->next_id++;
		id = c->next_id;
	}
	if (id < SPD_MAX_POLICIES)
		c->id_used[id / 8] |= (uint8_t)(1 << (id % 8));
	return id;
}

struct spd_policy *check_add_policy(struct check *c, struct where w, const char *name,
				    enum policy_action action, const struct selector *sel)
{
	struct config *cfg = c->cfg;
	size_t n = cfg->n_policies;
	uint32_t id = n < SPD_MAX_POLICIES ? pick_id(c, name) : SPD_MAX_POLICIES;

	if (id >= SPD_MAX_POLICIES) {
		check_error(c, w, "more than %d policies and pairs of networks", SPD_MAX_POLICIES);
		return NULL;
	}
	if ((n & (n - 1)) == 0) { /* room for 1, 2, 4, ... */
		size_t cap = n ? 2 * n : 1;
		cfg->policies = realloc(cfg->policies, cap * sizeof(*cfg->policies));
		cfg->ids = realloc(cfg->ids, cap * sizeof(*cfg->ids));
		if (!cfg->policies || !cfg->ids)
			abort();
	}
	cfg->policies[n] = (struct spd_policy){ .id = id, .action = action, .sel = *sel };
	memset(&cfg->ids[n], 0, sizeof(cfg->ids[n]));
	snprintf(cfg->ids[n].name, sizeof(cfg->ids[n].name), "%s", name);
	cfg->ids[n].id = id;
	cfg->n_policies++;
	return &cfg->policies[n];
}

#define PROTO_ICMP   1
#define PROTO_ICMPV6 58

/* One of the address families of a policy; suffix tells its name from the other's. False: stop. */
static bool family_add(struct check *c, struct where w, unsigned index, enum policy_action action,
		       struct selector sel, enum ip_family family, const char *suffix)
{
	struct ip_range any;
	char name[24];

	ip_range_parse(family == IP_V6 ? "::/0" : "0.0.0.0/0", &any);
	if (sel.local.lo.family == IP_NONE)
		sel.local = any;
	if (sel.remote.lo.family == IP_NONE)
		sel.remote = any;
	snprintf(name, sizeof(name), "#%u%s", index, suffix);
	return check_add_policy(c, w, name, action, &sel);
}

/* 'any' takes the family of the other side; two of them mean both families, as far as the protocol
 * belongs to both. */
static bool policy_add(struct check *c, struct where w, unsigned index, enum policy_action action,
		       const struct selector *sel)
{
	uint8_t family = sel->local.lo.family ? sel->local.lo.family : sel->remote.lo.family;

	if (family)
		return family_add(c, w, index, action, *sel, (enum ip_family)family, "");
	if (sel->proto != PROTO_ICMPV6 && !family_add(c, w, index, action, *sel, IP_V4, ""))
		return false;
	return sel->proto == PROTO_ICMP ||
	       family_add(c, w, index, action, *sel, IP_V6, "-ipv6");
}

/* family IP_NONE: any */
static void check_side(struct check *c, struct where w, const char *text, struct ip_range *out)
{
	if (text && strcmp(text, "any") != 0)
		check_range(c, w, text, out);
}

void check_policies(struct check *c)
{
	static const char *const actions[] = { "discard", "bypass" };

	for (unsigned i = 0; i < c->raw->policies_count; i++) {
		const struct raw_policy *raw = &c->raw->policies[i];
		struct where w = where_at("policies[%u]", i);
		struct selector sel = { 0 };
		unsigned action = POLICY_DISCARD;
		uint64_t local_port = 0, remote_port = 0;

		check_word(c, where_key(w, "action"), raw->action, actions, 2, &action);
		check_side(c, where_key(w, "local"), raw->local, &sel.local);
		check_side(c, where_key(w, "remote"), raw->remote, &sel.remote);
		if (sel.local.lo.family && sel.remote.lo.family &&
		    sel.local.lo.family != sel.remote.lo.family)
			check_error(c, where_key(w, "remote"),
				    "local and remote are networks of different families");
		if (raw->protocol && value_protocol(raw->protocol, &sel.proto) != 0)
			check_error(c, where_key(w, "protocol"), "'%s' is not an IP protocol",
				    raw->protocol);
		check_number(c, where_key(w, "local-port"), raw->local_port, 0, 65535,
			     &local_port);
		check_number(c, where_key(w, "remote-port"), raw->remote_port, 0, 65535,
			     &remote_port);
		if ((local_port || remote_port) && sel.proto != 6 && sel.proto != 17 &&
		    sel.proto != 132)
			check_error(c, where_key(w, local_port ? "local-port" : "remote-port"),
				    "ports need 'protocol: tcp', 'udp' or 'sctp'");
		sel.local_port = (uint16_t)local_port;
		sel.remote_port = (uint16_t)remote_port;
		if (!policy_add(c, w, i, (enum policy_action)action, &sel))
			return;
	}
}

/* The first match decides, so a policy whose every packet an earlier one takes is a mistake. */
void check_order(struct check *c)
{
	const struct config *cfg = c->cfg;
	char sel[SELECTOR_STR_LEN];

	/* quadratic: for very long lists this is not worth a second of every start */
	for (size_t i = 1; i < cfg->n_policies && i < 4096; i++) {
		for (size_t j = 0; j < i; j++) {
			if (!selector_contains(&cfg->policies[j].sel, &cfg->policies[i].sel))
				continue;
			config_report_add(c->report, 0, true,
					  "policy %s (%s) never matches: %s takes all of its packets",
					  cfg->ids[i].name,
					  selector_str(&cfg->policies[i].sel, sel, sizeof(sel)),
					  cfg->ids[j].name);
			break;
		}
	}
	if (cfg->n_policies) /* without any there is no array either */
		qsort(cfg->ids, cfg->n_policies, sizeof(*cfg->ids), id_cmp);
}
