/* Building a policy snapshot and looking packets up in it. */
#include "spd.h"

#include <errno.h>
#include <rte_branch_prediction.h>
#include <rte_byteorder.h>
#include <rte_malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "ip6.h"
#include "spd_shape.h"

/* With more policies than this the question whether there is a hub costs too much where some local
 * and remote sides overlap at all: assume it. */
#define HUB_CHECK_MAX 2048

#define PLACES_IN_CACHE 4096 /* of a table by shape: more are fetched a burst ahead */

_Static_assert(sizeof(struct spd_key) == 8 * SPD_WORDS4, "the words of spd_shape.h");
_Static_assert(sizeof(struct spd_key6) == 8 * SPD_WORDS6, "the words of spd_shape.h");

/* ------------------------------------------------------------------------- keys ------------- */

void spd_key_reverse(struct spd_key *key)
{
	uint32_t addr = key->local;
	uint16_t port = key->local_port;

	key->local = key->remote;
	key->remote = addr;
	key->local_port = key->remote_port;
	key->remote_port = port;
}

void spd_key6_read(struct spd_key6 *key, const uint8_t *ip, uint32_t len)
{
	struct ip6_chain chain;

	*key = (struct spd_key6){ .no_ports = SPD_NO_CHAIN };
	if (unlikely(len < IP6_LEN || ip6_chain_read(ip, len, &chain) != DROP_COUNT))
		return;
	key->no_ports = 0;
	key->proto = chain.proto;
	memcpy(key->local, ip + IP6_SRC, 16);
	memcpy(key->remote, ip + IP6_DST, 16);
	if (!spd_proto_has_ports(chain.proto))
		return;
	if (unlikely(len < chain.l4_off + 4u || (chain.frag & IP6F_OFFSET_MASK))) {
		key->no_ports = 1;
		return;
	}
	memcpy(&key->local_port, ip + chain.l4_off, 2);
	memcpy(&key->remote_port, ip + chain.l4_off + 2, 2);
}

void spd_key6_reverse(struct spd_key6 *key)
{
	const struct spd_key6 old = *key;

	memcpy(key->local, old.remote, 16);
	memcpy(key->remote, old.local, 16);
	key->local_port = old.remote_port;
	key->remote_port = old.local_port;
}

/* ------------------------------------------------------------------------- look-up ---------- */

static bool ports_match(const struct spd_rule *r, uint16_t local, uint16_t remote)
{
	return (!r->local_port || rte_cpu_to_be_16(r->local_port) == local) &&
	       (!r->remote_port || rte_cpu_to_be_16(r->remote_port) == remote);
}

static uint32_t lookup_linear(const struct spd *spd, const struct spd_key *key)
{
	uint32_t local = rte_be_to_cpu_32(key->local), remote = rte_be_to_cpu_32(key->remote);

	for (uint32_t i = 0; i < spd->n4; i++) {
		const struct spd_rule *r = &spd->rule[i];
		if (local < r->local_lo || local > r->local_hi || remote < r->remote_lo ||
		    remote > r->remote_hi || (r->proto && r->proto != key->proto))
			continue;
		if (unlikely(r->local_port || r->remote_port)) {
			if (key->no_ports)
				return SPD_UNKNOWN;
			if (!ports_match(r, key->local_port, key->remote_port))
				continue;
		}
		return i + 1;
	}
	return 0;
}

static bool between(const uint8_t *a, const uint8_t *lo, const uint8_t *hi)
{
	return memcmp(a, lo, 16) >= 0 && memcmp(a, hi, 16) <= 0;
}

static uint32_t lookup_linear6(const struct spd *spd, const struct spd_key6 *key)
{
	for (uint32_t i = spd->n4; i < spd->n; i++) {
		const struct spd_range6 *a = &spd->range6[i - spd->n4];
		const struct spd_rule *r = &spd->rule[i];
		if ((r->proto && r->proto != key->proto) ||
		    !between(key->local, a->local_lo, a->local_hi) ||
		    !between(key->remote, a->remote_lo, a->remote_hi))
			continue;
		if (r->local_port || r->remote_port) {
			if (key->no_ports)
				return SPD_UNKNOWN;
			if (!ports_match(r, key->local_port, key->remote_port))
				continue;
		}
		return i + 1;
	}
	return 0;
}

/* The match of a packet without visible ports, by tables that ignore ports. */
static uint32_t without_ports(const struct spd *spd, uint32_t match)
{
	const struct spd_rule *r;

	if (match == 0)
		return 0;
	r = &spd->rule[match - 1];
	return r->local_port || r->remote_port ? SPD_UNKNOWN : match;
}

static uint32_t lookup_shapes(const struct spd *spd, const struct spd_key *key)
{
	bool blind = spd->four_no_ports && unlikely(key->no_ports);
	const struct spd_shapes *s = blind ? spd->four_no_ports : spd->four;
	uint32_t match = spd_shapes_lookup(s, (const uint64_t *)key, SPD_WORDS4) + 1;

	return blind ? without_ports(spd, match) : match;
}

static uint32_t lookup_shapes6(const struct spd *spd, const struct spd_key6 *key)
{
	bool blind = spd->six_no_ports && unlikely(key->no_ports);
	const struct spd_shapes *s = blind ? spd->six_no_ports : spd->six;
	uint32_t index = spd_shapes_lookup(s, (const uint64_t *)key, SPD_WORDS6);
	uint32_t match = index == SPD_NO_MATCH ? 0 : spd->n4 + index + 1;

	return blind ? without_ports(spd, match) : match;
}

static void lookup_acl(const struct spd *spd, const struct spd_key *key, uint32_t *match,
		       unsigned n)
{
	spd_acl_lookup(spd->acl, key, match, n);
	for (unsigned i = 0; spd->acl_no_ports && i < n; i++)
		if (unlikely(key[i].no_ports)) {
			spd_acl_lookup(spd->acl_no_ports, &key[i], &match[i], 1);
			match[i] = without_ports(spd, match[i]);
		}
}

void spd_lookup(const struct spd *spd, const struct spd_key *key, uint32_t *match, unsigned n)
{
	if (spd->acl)
		lookup_acl(spd, key, match, n);
	else if (spd->four) {
		for (unsigned i = 0; n > 1 && spd->four->places > PLACES_IN_CACHE && i < n; i++)
			spd_shapes_prefetch(spd->four, (const uint64_t *)&key[i], SPD_WORDS4);
		for (unsigned i = 0; i < n; i++)
			match[i] = lookup_shapes(spd, &key[i]);
	} else
		for (unsigned i = 0; i < n; i++)
			match[i] = lookup_linear(spd, &key[i]);
}

void spd_lookup6(const struct spd *spd, const struct spd_key6 *key, uint32_t *match, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (unlikely(key[i].no_ports == SPD_NO_CHAIN))
			match[i] = SPD_UNKNOWN;
		else
			match[i] = spd->six ? lookup_shapes6(spd, &key[i])
					    : lookup_linear6(spd, &key[i]);
	}
}

bool spd_must_be_protected(const struct spd *spd, const uint8_t *ip, uint32_t len)
{
	struct spd_key6 key6;
	struct spd_key key;
	uint32_t match;

	if (ip_version(ip) == 4) {
		spd_key_read(spd, &key, ip, len);
		spd_key_reverse(&key);
		spd_lookup(spd, &key, &match, 1);
	} else {
		spd_key6_read(&key6, ip, len);
		spd_key6_reverse(&key6);
		spd_lookup6(spd, &key6, &match, 1);
	}
	return match == SPD_UNKNOWN || (match && spd->rule[match - 1].action == POLICY_PROTECT);
}

bool spd_protects(const struct spd *spd, uint8_t proto, const struct ip_addr *local,
		  const struct ip_addr *remote)
{
	struct spd_key6 key6 = { .proto = proto };
	struct spd_key key = { .proto = proto };
	uint32_t match;

	if (local->family == IP_V4) {
		memcpy(&key.local, local->b, 4);
		memcpy(&key.remote, remote->b, 4);
		spd_lookup(spd, &key, &match, 1);
	} else {
		memcpy(key6.local, local->b, 16);
		memcpy(key6.remote, remote->b, 16);
		spd_lookup6(spd, &key6, &match, 1);
	}
	return match && match != SPD_UNKNOWN && spd->rule[match - 1].action == POLICY_PROTECT;
}

/* ------------------------------------------------------------------------- hub -------------- */

static int range_cmp(const void *a, const void *b)
{
	const struct ip_range *x = a, *y = b;

	return ip_addr_cmp(&x->lo, &y->lo);
}

/* Sorts ranges and joins those that overlap; returns how many are left. */
static size_t ranges_join(struct ip_range *r, size_t n)
{
	size_t kept = 0;

	qsort(r, n, sizeof(*r), range_cmp);
	for (size_t i = 0; i < n; i++) {
		if (kept && r[kept - 1].lo.family == r[i].lo.family &&
		    ip_addr_cmp(&r[i].lo, &r[kept - 1].hi) <= 0) {
			if (ip_addr_cmp(&r[i].hi, &r[kept - 1].hi) > 0)
				r[kept - 1].hi = r[i].hi;
		} else {
			r[kept++] = r[i];
		}
	}
	return kept;
}

static bool overlap(const struct ip_range *a, const struct ip_range *b)
{
	return a->lo.family == b->lo.family && ip_addr_cmp(&a->lo, &b->hi) <= 0 &&
	       ip_addr_cmp(&b->lo, &a->hi) <= 0;
}

/* True when some remote side of a protecting policy overlaps some local one. A hub needs that, and
 * usual policies do not have it. */
static bool sides_overlap(const struct spd_policy *p, size_t n)
{
	struct ip_range *side = calloc(2 * n + 1, sizeof(*side)), *remote = side + n;
	size_t n_local, n_remote, count = 0;
	bool found = false;

	if (!side)
		return true;
	for (size_t i = 0; i < n; i++)
		if (p[i].action == POLICY_PROTECT) {
			side[count] = p[i].sel.local;
			remote[count++] = p[i].sel.remote;
		}
	n_local = ranges_join(side, count);
	n_remote = ranges_join(remote, count);
	for (size_t i = 0, j = 0; i < n_local && j < n_remote && !found;) {
		found = overlap(&side[i], &remote[j]);
		if (ip_addr_cmp(&side[i].hi, &remote[j].hi) < 0)
			i++;
		else
			j++;
	}
	free(side);
	return found;
}

/* Can a packet that came in by one protecting policy match one outbound? */
static bool hub_possible(const struct spd_policy *p, size_t n)
{
	if (!sides_overlap(p, n))
		return false;
	if (n > HUB_CHECK_MAX)
		return true;
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; p[i].action == POLICY_PROTECT && j < n; j++)
			if (p[j].action == POLICY_PROTECT &&
			    overlap(&p[i].sel.remote, &p[j].sel.local) &&
			    overlap(&p[i].sel.local, &p[j].sel.remote))
				return true;
	return false;
}

/* ------------------------------------------------------------------------- building --------- */

static void rule_fill(struct spd *spd, uint32_t i, const struct spd_policy *p)
{
	const struct selector *s = &p->sel;
	struct spd_rule *r = &spd->rule[i];

	*r = (struct spd_rule){ .local_port = s->local_port,
				.remote_port = s->remote_port,
				.proto = s->proto,
				.action = (uint8_t)p->action,
				.id = p->id };
	if (s->local.lo.family == IP_V4) {
		r->local_lo = ip_addr_to_v4(&s->local.lo);
		r->local_hi = ip_addr_to_v4(&s->local.hi);
		r->remote_lo = ip_addr_to_v4(&s->remote.lo);
		r->remote_hi = ip_addr_to_v4(&s->remote.hi);
	} else {
		struct spd_range6 *a = &spd->range6[i - spd->n4];
		memcpy(a->local_lo, s->local.lo.b, 16);
		memcpy(a->local_hi, s->local.hi.b, 16);
		memcpy(a->remote_lo, s->remote.lo.b, 16);
		memcpy(a->remote_hi, s->remote.hi.b, 16);
	}
	if (s->local_port || s->remote_port)
		spd->has_ports = true;
	spd->verdict[i] = p->id * 4 + (uint32_t)p->action;
}

static bool policy_sound(const struct spd_policy *p, char *why, size_t why_size)
{
	const struct selector *s = &p->sel;

	if (p->id >= SPD_MAX_POLICIES) {
		snprintf(why, why_size, "policy number %u is past the last one, %u", p->id,
			 SPD_MAX_POLICIES - 1);
		return false;
	}
	if (s->local.lo.family != s->remote.lo.family || s->local.lo.family == IP_NONE) {
		snprintf(why, why_size, "policy %u mixes address families", p->id);
		return false;
	}
	if ((s->local_port || s->remote_port) && s->proto && !spd_proto_has_ports(s->proto)) {
		snprintf(why, why_size, "policy %u gives ports to protocol %u, which has none",
			 p->id, s->proto);
		return false;
	}
	return true;
}

static struct spd *spd_alloc(const struct spd_policy *p, size_t n)
{
	struct spd *spd;
	uint32_t n4 = 0, four = 0, six;

	for (size_t i = 0; i < n; i++)
		n4 += p[i].sel.local.lo.family == IP_V4;
	spd = rte_zmalloc(
		"spd",
		sizeof(*spd) + n * (sizeof(spd->rule[0]) + sizeof(spd->verdict[0])) +
			(n - n4) * sizeof(struct spd_range6), 64);
	if (!spd)
		return NULL;
	spd->n = (uint32_t)n;
	spd->n4 = six = n4;
	spd->range6 = (struct spd_range6 *)&spd->rule[n];
	spd->verdict = (uint32_t *)&spd->range6[n - n4];
	for (size_t i = 0; i < n; i++)
		rule_fill(spd, p[i].sel.local.lo.family == IP_V4 ? four++ : six++, &p[i]);
	return spd;
}

/* The tables for many policies; 0 or a positive errno. */
static int four_build(struct spd *spd, const struct spd_policy *p, size_t n)
{
	spd->four = spd_shapes_build(p, n, IP_V4, false, SPD_SHAPES_FAST);
	if (spd->four && spd->has_ports)
		spd->four_no_ports = spd_shapes_build(p, n, IP_V4, true, SPD_SHAPES_FAST);
	if (spd->four && (spd->four_no_ports || !spd->has_ports))
		return 0;
	if (errno != E2BIG)
		return errno;
	spd_shapes_free(spd->four);
	spd->four = NULL;
	spd->acl = spd_acl_build(spd, false);
	if (spd->acl && spd->has_ports)
		spd->acl_no_ports = spd_acl_build(spd, true);
	return spd->acl && (spd->acl_no_ports || !spd->has_ports) ? 0 : ENOMEM;
}

static int six_build(struct spd *spd, const struct spd_policy *p, size_t n)
{
	spd->six = spd_shapes_build(p, n, IP_V6, false, SPD_SHAPES);
	if (spd->six && spd->has_ports)
		spd->six_no_ports = spd_shapes_build(p, n, IP_V6, true, SPD_SHAPES);
	if (spd->six && (spd->six_no_ports || !spd->has_ports))
		return 0;
	spd_shapes_free(spd->six);
	spd->six = NULL;
	/* a few odd ranges: slow, but right */
	return errno == E2BIG && n - spd->n4 <= SPD_LINEAR_MAX ? 0 : errno;
}

struct spd *spd_build(const struct spd_policy *p, size_t n, char *why, size_t why_size)
{
	struct spd *spd;
	int err = ENOMEM;

	if (n > SPD_MAX_POLICIES) {
		snprintf(why, why_size, "%zu policies, at most %u are possible", n,
			 SPD_MAX_POLICIES);
		return NULL;
	}
	for (size_t i = 0; i < n; i++)
		if (!policy_sound(&p[i], why, why_size))
			return NULL;
	spd = spd_alloc(p, n);
	if (spd) {
		spd->hub = hub_possible(p, n);
		err = spd->n4 > SPD_LINEAR_MAX ? four_build(spd, p, n) : 0;
		if (!err && n - spd->n4 > 1)
			err = six_build(spd, p, n);
	}
	if (!err)
		return spd;
	if (err == E2BIG)
		snprintf(why, why_size,
			 "the IPv6 policies use more than %u combinations of prefix lengths, "
			 "protocol and ports; ranges count as the prefixes that they consist of",
			 SPD_SHAPES);
	else
		snprintf(why, why_size, "no memory for %zu policies", n);
	spd_free(spd);
	return NULL;
}

void spd_free(struct spd *spd)
{
	if (!spd)
		return;
	spd_shapes_free(spd->four);
	spd_shapes_free(spd->four_no_ports);
	spd_shapes_free(spd->six);
	spd_shapes_free(spd->six_no_ports);
	spd_acl_free(spd->acl);
	spd_acl_free(spd->acl_no_ports);
	rte_free(spd);
}
