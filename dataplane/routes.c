/* Addresses and routes as control keeps them, and the snapshots that the workers get of them and of
 * the neighbours. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dp.h"

/* Three routes an address at most, and two for each port: see port_routes(). */
#define OWN_ROUTES (DP_MAX_PORTS * (DP_MAX_PORT_ADDR + 1) * 5 + 2)

static struct ip_addr masked(const struct ip_addr *addr, uint8_t len)
{
	struct ip_addr a = *addr;

	for (unsigned i = 0; i < ip_addr_len(addr); i++) {
		unsigned bits = len > i * 8u ? RTE_MIN(len - i * 8u, 8u) : 0;
		a.b[i] &= (uint8_t)(0xff00 >> bits);
	}
	return a;
}

/* The last address of a prefix: its broadcast address in IPv4. */
static struct ip_addr filled(const struct ip_addr *addr, uint8_t len)
{
	struct ip_addr a = *addr;

	for (unsigned i = 0; i < ip_addr_len(addr); i++) {
		unsigned bits = len > i * 8u ? RTE_MIN(len - i * 8u, 8u) : 0;
		a.b[i] |= (uint8_t)(0xff >> bits);
	}
	return a;
}

/* ------------------------------------------------------------------------- addresses -------- */

static bool same_link(const struct ip_prefix *p, const struct ip_addr *addr)
{
	struct ip_addr a = masked(&p->addr, p->len), b = masked(addr, p->len);

	return p->addr.family == addr->family && ip_addr_equal(&a, &b);
}

bool port_on_link(const struct port *port, const struct ip_addr *addr, struct ip_addr *ours)
{
	for (unsigned i = 0; i < port->n_addrs; i++) {
		if (!same_link(&port->addr[i], addr))
			continue;
		*ours = port->addr[i].addr;
		return true;
	}
	return false;
}

struct ip_addr port_address(const struct port *port, const struct ip_addr *peer)
{
	struct ip_addr ours = { 0 };

	if (port_on_link(port, peer, &ours))
		return ours;
	for (unsigned i = 0; i < port->n_addrs; i++)
		if (port->addr[i].addr.family == peer->family)
			return port->addr[i].addr;
	return ours;
}

bool is_ours(const struct dp *dp, uint8_t port, const struct ip_addr *addr)
{
	if (addr->family == IP_V4)
		return local_set_has(&dp->local, ip_addr_to_v4(addr));
	return addr->family == IP_V6 && !ip6_is_unspecified(addr->b) &&
	       local_set_has6(&dp->local, addr->b, port);
}

/* ------------------------------------------------------------------------- routes ----------- */

static void route_put(struct dp *dp, const struct ip_addr *dst, uint8_t len, enum hop_kind kind,
		      unsigned port, const struct ip_addr *via)
{
	struct fib_route *r = &dp->route[dp->n_routes++];

	*r = (struct fib_route){ .dst = { masked(dst, len), len },
				 .kind = (uint8_t)kind,
				 .port = (uint8_t)port };
	if (via)
		r->via = *via;
}

static void address_routes(struct dp *dp, unsigned port, const struct ip_prefix *p)
{
	struct ip_addr first = masked(&p->addr, p->len), last = filled(&p->addr, p->len);
	uint8_t host = (uint8_t)(ip_addr_len(&p->addr) * 8);

	if (ip6_is_link_local(p->addr.b) && p->addr.family == IP_V6)
		return;
	if (p->len < host)
		route_put(dp, &p->addr, p->len, HOP_CONNECTED, port, NULL);
	if (p->addr.family == IP_V4 && p->len < 31) {
		route_put(dp, &first, host, HOP_BROADCAST, port, NULL);
		route_put(dp, &last, host, HOP_BROADCAST, port, NULL);
	}
}

static void local_routes(struct dp *dp, unsigned port)
{
	for (unsigned i = 0; i < dp->port[port].n_addrs; i++) {
		const struct ip_addr *a = &dp->port[port].addr[i].addr;
		if (a->family == IP_V4 || !ip6_is_link_local(a->b))
			route_put(dp, a, (uint8_t)(ip_addr_len(a) * 8), HOP_LOCAL, port, NULL);
	}
}

static void port_routes(struct dp *dp, unsigned port)
{
	for (unsigned i = 0; i < dp->port[port].n_addrs; i++) {
		const struct ip_prefix *p = &dp->port[port].addr[i];
		address_routes(dp, port, p);
		if (p->addr.family == IP_V4)
			local_set_add(&dp->local, ip_addr_to_v4(&p->addr));
		else
			local_set_add6(&dp->local, p->addr.b, (uint8_t)port);
	}
	local_routes(dp, port);
}

/* What no route may send anywhere: RFC 4291 sections 2.5.6 and 2.7. */
static void unroutable(struct dp *dp)
{
	static const struct ip_addr link = { IP_V6, { 0xfe, 0x80 } }, group = { IP_V6, { 0xff } };

	route_put(dp, &link, 10, HOP_BROADCAST, 0, NULL);
	route_put(dp, &group, 8, HOP_BROADCAST, 0, NULL);
}

/* Link-local gateways exist once on every link: the route says on which. */
static bool gateway_is_on(const struct dp *dp, const struct dp_route_cfg *r, uint8_t port)
{
	struct ip_addr ours;

	if (r->via.family == IP_V6 && ip6_is_link_local(r->via.b) && r->port != port)
		return false;
	return port_on_link(&dp->port[port], &r->via, &ours) && !is_ours(dp, port, &r->via);
}

static bool static_route(struct dp *dp, const struct dp_route_cfg *r, char *why, size_t why_size)
{
	char text[ADDR_STR_LEN];

	if (r->via.family == IP_NONE) {
		if (r->port >= dp->n_ports) {
			snprintf(why, why_size, "a route names port %u, which is not there",
				 r->port);
			return false;
		}
		route_put(dp, &r->dst.addr, r->dst.len, HOP_CONNECTED, r->port, NULL);
		return true;
	}
	for (uint8_t i = 0; i < dp->n_ports; i++) {
		if (!gateway_is_on(dp, r, i))
			continue;
		route_put(dp, &r->dst.addr, r->dst.len, HOP_UNRESOLVED, i, &r->via);
		neigh_pin(dp, i, &r->via);
		return true;
	}
	snprintf(why, why_size, "gateway %s is not on the link of any port",
		 ip_addr_str(&r->via, text, sizeof(text)));
	return false;
}

/* qsort() does not keep the order of equals, on which the meaning of equal prefixes rests. */
static void routes_sort(struct fib_route *r, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct fib_route x = r[i];
		size_t j = i;
		for (; j > 0 && fib_route_cmp(&r[j - 1], &x) > 0; j--)
			r[j] = r[j - 1];
		r[j] = x;
	}
}

int routes_init(struct dp *dp, const struct dp_cfg *cfg, char *why, size_t why_size)
{
	dp->route = calloc(cfg->n_routes + OWN_ROUTES, sizeof(*dp->route));
	if (!dp->route)
		return -ENOMEM;
	for (unsigned i = 0; i < dp->n_ports; i++)
		port_routes(dp, i);
	for (unsigned i = 0; i < cfg->n_routes; i++)
		if (!static_route(dp, &cfg->routes[i], why, why_size))
			return -EINVAL;
	unroutable(dp);
	/* our own addresses must win over what else is said about them */
	for (unsigned i = 0; i < dp->n_ports; i++)
		local_routes(dp, i);
	routes_sort(dp->route, dp->n_routes);
	return 0;
}

/* ------------------------------------------------------------------------- snapshots -------- */

void dp_assigned_set(struct dp *dp, const struct ip_addr *a, unsigned n)
{
	dp->n_assigned = RTE_MIN(n, (unsigned)DP_MAX_ASSIGNED);
	if (dp->n_assigned)
		memcpy(dp->assigned, a, dp->n_assigned * sizeof(*a));
	dp->fib_stale = true;
}

/* With the assigned addresses in front, where whatever else is said of them wins. NULL: no memory. */
static struct fib_route *routes_all(struct dp *dp)
{
	struct fib_route *all = calloc(dp->n_routes + dp->n_assigned + 1, sizeof(*all));

	for (unsigned i = 0; all && i < dp->n_assigned; i++)
		all[i] = (struct fib_route){ .dst = { dp->assigned[i],
						      (uint8_t)(ip_addr_len(&dp->assigned[i]) * 8) },
					     .kind = HOP_LOCAL };
	if (all)
		memcpy(all + dp->n_assigned, dp->route, dp->n_routes * sizeof(*all));
	return all;
}

struct fib *fib_snapshot(struct dp *dp)
{
	struct fib_neighbour *known = calloc(dp->n_neigh + 1, sizeof(*known));
	struct fib_route *all = routes_all(dp);
	struct fib_input in = { .route = all,
				.n_routes = dp->n_routes + dp->n_assigned,
				.neighbour = known };
	struct fib *fib = NULL;

	if (!known || !all)
		goto out;
	for (unsigned i = 0; i < NEIGH_BUCKETS; i++)
		for (const struct neigh *n = dp->bucket[i]; n; n = n->next) {
			struct fib_neighbour *k = &known[in.n_neighbours];
			if (n->state == NEIGH_ASKING)
				continue;
			k->addr = n->addr;
			k->port = n->port;
			memcpy(k->mac, n->mac, 6);
			in.n_neighbours++;
		}
	qsort(known, in.n_neighbours, sizeof(*known), fib_neighbour_cmp);
	for (unsigned i = 0; i < dp->n_ports; i++) {
		memcpy(in.port[i].mac, dp->port[i].mac, 6);
		in.port[i].mtu = dp->port[i].mtu;
	}
	routes_sort(all, in.n_routes);
	fib = fib_build(&in);
out:
	free(known);
	free(all);
	return fib;
}
