/* Building a policy snapshot and looking packets up in it. */
#include "spd.h"

#include <errno.h>
#include <rte_acl.h>
#include <rte_branch_prediction.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <stdio.h>
#include <stdlib.h>

/* With more policies than this the question whether there is a hub costs too much: assume it. */
#define HUB_CHECK_MAX 2048

enum { FIELD_PROTO, FIELD_LOCAL, FIELD_REMOTE, FIELD_LPORT, FIELD_RPORT, FIELD_COUNT };

RTE_ACL_RULE_DEF(acl_rule, FIELD_COUNT);

static const struct rte_acl_field_def acl_fields[FIELD_COUNT] = {
	{ RTE_ACL_FIELD_TYPE_BITMASK, 1, FIELD_PROTO, 0, offsetof(struct spd_key, proto) },
	{ RTE_ACL_FIELD_TYPE_RANGE, 4, FIELD_LOCAL, 1, offsetof(struct spd_key, local) },
	{ RTE_ACL_FIELD_TYPE_RANGE, 4, FIELD_REMOTE, 2, offsetof(struct spd_key, remote) },
	{ RTE_ACL_FIELD_TYPE_RANGE, 2, FIELD_LPORT, 3, offsetof(struct spd_key, local_port) },
	{ RTE_ACL_FIELD_TYPE_RANGE, 2, FIELD_RPORT, 3, offsetof(struct spd_key, remote_port) },
};

_Static_assert(sizeof(struct spd_key) == 16, "rte_acl reads keys by these offsets");

/* ------------------------------------------------------------------------- look-up ---------- */

static bool proto_has_ports(uint8_t proto)
{
	return proto == PROTO_TCP || proto == PROTO_UDP || proto == PROTO_SCTP;
}

void spd_key_read(struct spd_key *key, const uint8_t *ip, uint32_t len)
{
	unsigned ihl = ip4_header_len(ip);

	*key = (struct spd_key){ .proto = ip[IP4_PROTO] };
	memcpy(&key->local, ip + IP4_SRC, 4);
	memcpy(&key->remote, ip + IP4_DST, 4);
	if (!proto_has_ports(key->proto))
		return;
	if (unlikely(len < ihl + 4 || (load_be16(ip + IP4_FRAG) & IP4_OFFSET_MASK))) {
		key->no_ports = 1;
		return;
	}
	memcpy(&key->local_port, ip + ihl, 2);
	memcpy(&key->remote_port, ip + ihl + 2, 2);
}

void spd_key_reverse(struct spd_key *key)
{
	uint32_t addr = key->local;
	uint16_t port = key->local_port;

	key->local = key->remote;
	key->remote = addr;
	key->local_port = key->remote_port;
	key->remote_port = port;
}

static uint32_t lookup_linear(const struct spd *spd, const struct spd_key *key)
{
	uint32_t local = rte_be_to_cpu_32(key->local), remote = rte_be_to_cpu_32(key->remote);
	uint16_t lport = rte_be_to_cpu_16(key->local_port);
	uint16_t rport = rte_be_to_cpu_16(key->remote_port);

	for (uint32_t i = 0; i < spd->n; i++) {
		const struct spd_rule *r = &spd->rule[i];
		if (local < r->local_lo || local > r->local_hi || remote < r->remote_lo ||
		    remote > r->remote_hi || (r->proto && r->proto != key->proto))
			continue;
		if (unlikely(r->local_port || r->remote_port)) {
			if (key->no_ports)
				return SPD_UNKNOWN;
			if ((r->local_port && r->local_port != lport) ||
			    (r->remote_port && r->remote_port != rport))
				continue;
		}
		return i + 1;
	}
	return 0;
}

/* The packets without visible ports, one by one: they are rare. */
static void lookup_no_ports(const struct spd *spd, const struct spd_key *key, uint32_t *match)
{
	const uint8_t *data = (const uint8_t *)key;

	rte_acl_classify(spd->acl_no_ports, &data, match, 1, 1);
	if (*match && (spd->rule[*match - 1].local_port || spd->rule[*match - 1].remote_port))
		*match = SPD_UNKNOWN;
}

void spd_lookup(const struct spd *spd, const struct spd_key *key, uint32_t *match, unsigned n)
{
	const uint8_t *data[64];

	if (!spd->acl) {
		for (unsigned i = 0; i < n; i++)
			match[i] = lookup_linear(spd, &key[i]);
		return;
	}
	for (unsigned i = 0; i < n; i++)
		data[i] = (const uint8_t *)&key[i];
	rte_acl_classify(spd->acl, data, match, n, 1);
	for (unsigned i = 0; spd->has_ports && i < n; i++)
		if (unlikely(key[i].no_ports))
			lookup_no_ports(spd, &key[i], &match[i]);
}

bool spd_must_be_protected(const struct spd *spd, const uint8_t *ip, uint32_t len)
{
	struct spd_key key;
	uint32_t match;

	spd_key_read(&key, ip, len);
	spd_key_reverse(&key);
	spd_lookup(spd, &key, &match, 1);
	return match == SPD_UNKNOWN || (match && spd->rule[match - 1].action == POLICY_PROTECT);
}

/* ------------------------------------------------------------------------- building --------- */

static bool overlap(uint32_t a_lo, uint32_t a_hi, uint32_t b_lo, uint32_t b_hi)
{
	return a_lo <= b_hi && b_lo <= a_hi;
}

/* Can a packet that came in by one protecting policy match one outbound? */
static bool hub_possible(const struct spd *spd)
{
	if (spd->n > HUB_CHECK_MAX)
		return true;
	for (uint32_t i = 0; i < spd->n; i++) {
		const struct spd_rule *in = &spd->rule[i];
		for (uint32_t j = 0; in->action == POLICY_PROTECT && j < spd->n; j++) {
			const struct spd_rule *out = &spd->rule[j];
			if (out->action == POLICY_PROTECT &&
			    overlap(in->remote_lo, in->remote_hi, out->local_lo, out->local_hi) &&
			    overlap(in->local_lo, in->local_hi, out->remote_lo, out->remote_hi))
				return true;
		}
	}
	return false;
}

static void acl_port(struct rte_acl_field *f, uint16_t port, bool ignore)
{
	bool any = port == 0 || ignore;

	f->value.u16 = any ? 0 : port;
	f->mask_range.u16 = any ? UINT16_MAX : port;
}

static void acl_rule_fill(struct acl_rule *a, const struct spd *spd, uint32_t i, bool ignore_ports)
{
	const struct spd_rule *r = &spd->rule[i];

	*a = (struct acl_rule){ .data = { .category_mask = 1,
					  .priority = (int32_t)(SPD_MAX_POLICIES - i),
					  .userdata = i + 1 } };
	a->field[FIELD_PROTO].value.u8 = r->proto;
	a->field[FIELD_PROTO].mask_range.u8 = r->proto ? 0xff : 0;
	a->field[FIELD_LOCAL].value.u32 = r->local_lo;
	a->field[FIELD_LOCAL].mask_range.u32 = r->local_hi;
	a->field[FIELD_REMOTE].value.u32 = r->remote_lo;
	a->field[FIELD_REMOTE].mask_range.u32 = r->remote_hi;
	acl_port(&a->field[FIELD_LPORT], r->local_port, ignore_ports);
	acl_port(&a->field[FIELD_RPORT], r->remote_port, ignore_ports);
}

static struct rte_acl_ctx *acl_build(const struct spd *spd, bool ignore_ports)
{
	static unsigned serial; /* rte_acl wants names; control thread only */
	char name[RTE_ACL_NAMESIZE];
	struct rte_acl_param param = { .name = name,
				       .socket_id = SOCKET_ID_ANY,
				       .rule_size = RTE_ACL_RULE_SZ(FIELD_COUNT),
				       .max_rule_num = spd->n };
	struct rte_acl_config config = { .num_categories = 1, .num_fields = FIELD_COUNT };
	struct acl_rule *rule = calloc(spd->n, sizeof(*rule));
	struct rte_acl_ctx *acl = NULL;

	snprintf(name, sizeof(name), "spd%u", serial++);
	memcpy(config.defs, acl_fields, sizeof(acl_fields));
	if (!rule)
		return NULL;
	for (uint32_t i = 0; i < spd->n; i++)
		acl_rule_fill(&rule[i], spd, i, ignore_ports);
	acl = rte_acl_create(&param);
	if (acl && (rte_acl_add_rules(acl, (struct rte_acl_rule *)rule, spd->n) ||
		    rte_acl_build(acl, &config))) {
		rte_acl_free(acl);
		acl = NULL;
	}
	free(rule);
	return acl;
}

static void rule_fill(struct spd *spd, const struct spd_policy *p)
{
	const struct selector *s = &p->sel;

	spd->rule[spd->n++] = (struct spd_rule){
		.local_lo = ip_addr_to_v4(&s->local.lo),
		.local_hi = ip_addr_to_v4(&s->local.hi),
		.remote_lo = ip_addr_to_v4(&s->remote.lo),
		.remote_hi = ip_addr_to_v4(&s->remote.hi),
		.local_port = s->local_port,
		.remote_port = s->remote_port,
		.proto = s->proto,
		.action = (uint8_t)p->action,
		.id = p->id,
	};
	if (s->local_port || s->remote_port)
		spd->has_ports = true;
}

static bool policy_sound(const struct spd_policy *p, char *why, size_t why_size)
{
	const struct selector *s = &p->sel;

	if (p->id >= SPD_MAX_POLICIES) {
		snprintf(why, why_size, "policy number %u is past the last one, %u", p->id,
			 SPD_MAX_POLICIES - 1);
		return false;
	}
	if (s->local.lo.family != s->remote.lo.family) {
		snprintf(why, why_size, "policy %u mixes address families", p->id);
		return false;
	}
	if ((s->local_port || s->remote_port) && s->proto && !proto_has_ports(s->proto)) {
		snprintf(why, why_size, "policy %u gives ports to protocol %u, which has none",
			 p->id, s->proto);
		return false;
	}
	return true;
}

struct spd *spd_build(const struct spd_policy *p, size_t n, char *why, size_t why_size)
{
	struct spd *spd;

	if (n > SPD_MAX_POLICIES) {
		snprintf(why, why_size, "%zu policies, at most %u are possible", n,
			 SPD_MAX_POLICIES);
		return NULL;
	}
	for (size_t i = 0; i < n; i++)
		if (!policy_sound(&p[i], why, why_size))
			return NULL;
	spd = rte_zmalloc("spd", sizeof(*spd) + n * sizeof(spd->rule[0]), 64);
	if (!spd)
		goto no_memory;
	/* IPv6 packets have no way through yet, so that their policies decide nothing */
	for (size_t i = 0; i < n; i++)
		if (p[i].sel.local.lo.family == IP_V4)
			rule_fill(spd, &p[i]);
	spd->hub = hub_possible(spd);
	if (spd->n <= SPD_LINEAR_MAX)
		return spd;
	spd->acl = acl_build(spd, false);
	if (spd->acl && spd->has_ports)
		spd->acl_no_ports = acl_build(spd, true);
	if (spd->acl && (spd->acl_no_ports || !spd->has_ports))
		return spd;
no_memory:
	snprintf(why, why_size, "no memory for %zu policies", n);
	spd_free(spd);
	return NULL;
}

void spd_free(struct spd *spd)
{
	if (!spd)
		return;
	rte_acl_free(spd->acl);
	rte_acl_free(spd->acl_no_ports);
	rte_free(spd);
}
