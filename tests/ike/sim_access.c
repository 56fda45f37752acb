#include "sim_access.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PASSWORD "open sesame"

static int check(const struct ike_users *u, const char *user, const char *password)
{
	(void)u;
	return strncmp(user, "node", 4) == 0 && strcmp(password, PASSWORD) == 0 ? 0 : -EACCES;
}

static void free_nothing(struct ike_users *u)
{
	(void)u;
}

static struct ike_users users = { check, free_nothing, 1 };
static struct ike_remote_cfg server[SIM_ACCESS_NODES], client[SIM_ACCESS_NODES];

void sim_access_use(struct sim *s, unsigned nodes, unsigned mode)
{
	for (unsigned i = 1; i < nodes && i < SIM_ACCESS_NODES; i++) {
		struct ike_remote_cfg *a = &server[i], *b = &client[i];
		*a = (struct ike_remote_cfg){ .xauth = XAUTH_SERVER, .users = &users };
		*b = (struct ike_remote_cfg){ .xauth = XAUTH_CLIENT };
		a->config = b->config = mode != 0;
		a->push = b->push = mode == 2;
		a->has_pool = mode != 0;
		a->pool.lo = ip_addr_v4(0x0a630000u + (i << 8) + 1);
		a->pool.hi = ip_addr_v4(0x0a630000u + (i << 8) + 2);
		a->give.dns[a->give.n_dns++] = ip_addr_v4(0x0a010035);
		ip_prefix_parse("10.0.0.0/8", &a->give.split[a->give.n_split++]);
		snprintf(a->give.banner, sizeof(a->give.banner), "welcome");
		snprintf(b->user, sizeof(b->user), "node%u", i);
		snprintf(b->password, sizeof(b->password), PASSWORD);
		sim_peer_cfg(s, 0, i)->access = a;
		sim_peer_cfg(s, i, 0)->access = b;
	}
}
