/* IPv4 policies of many shapes through rte_acl. */
#include <rte_acl.h>
#include <stdio.h>
#include <stdlib.h>

#include "spd.h"

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

static void acl_port(struct rte_acl_field *f, uint16_t port, bool ignore)
{
	bool any = port == 0 || ignore;

	f->value.u16 = any ? 0 : port;
	f->mask_range.u16 = any ? UINT16_MAX : port;
}

static void acl_rule_fill(struct acl_rule *a, const struct spd *spd, uint32_t i, bool without_ports)
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
	acl_port(&a->field[FIELD_LPORT], r->local_port, without_ports);
	acl_port(&a->field[FIELD_RPORT], r->remote_port, without_ports);
}

struct rte_acl_ctx *spd_acl_build(const struct spd *spd, bool without_ports)
{
	static unsigned serial; /* rte_acl wants names; control thread only */
	char name[RTE_ACL_NAMESIZE];
	struct rte_acl_param param = { .name = name,
				       .socket_id = SOCKET_ID_ANY,
				       .rule_size = RTE_ACL_RULE_SZ(FIELD_COUNT),
				       .max_rule_num = spd->n4 };
	struct rte_acl_config config = { .num_categories = 1, .num_fields = FIELD_COUNT };
	struct acl_rule *rule = calloc(spd->n4, sizeof(*rule));
	struct rte_acl_ctx *acl = NULL;

	snprintf(name, sizeof(name), "spd%u", serial++);
	memcpy(config.defs, acl_fields, sizeof(acl_fields));
	if (!rule)
		return NULL;
	for (uint32_t i = 0; i < spd->n4; i++)
		acl_rule_fill(&rule[i], spd, i, without_ports);
	acl = rte_acl_create(&param);
	if (acl && (rte_acl_add_rules(acl, (struct rte_acl_rule *)rule, spd->n4) ||
		    rte_acl_build(acl, &config))) {
		rte_acl_free(acl);
		acl = NULL;
	}
	free(rule);
	return acl;
}

void spd_acl_free(struct rte_acl_ctx *acl)
{
	rte_acl_free(acl);
}

void spd_acl_lookup(const struct rte_acl_ctx *acl, const struct spd_key *key, uint32_t *match,
		    unsigned n)
{
	const uint8_t *data[64];

	for (unsigned i = 0; i < n; i++)
		data[i] = (const uint8_t *)&key[i];
	rte_acl_classify(acl, data, match, n, 1);
}
