/* Neighbours and routes as control keeps them, and the snapshots that the workers get of both. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "dp.h"
#include "log.h"

#define ASK_MS     1000 /* between two ARP requests */
#define ASK_TRIES  3
#define GATEWAY_MS 5000  /* a silent gateway is asked this often, for ever */
#define GOOD_MS    60000 /* an answer is trusted for so long, then asked for again */
#define TICK_MS    100
#define FIB_MS     5 /* between two snapshots: answers that come together share one */

/* ------------------------------------------------------------------------- the table -------- */

static struct neigh **bucket_of(struct dp *dp, uint8_t port, uint32_t addr)
{
	return &dp->bucket[((addr ^ (uint32_t)port << 24) * 0x9e3779b1u >> 16) % NEIGH_BUCKETS];
}

static struct neigh *neigh_find(struct dp *dp, uint8_t port, uint32_t addr)
{
	struct neigh *n = *bucket_of(dp, port, addr);

	while (n && (n->addr != addr || n->port != port))
		n = n->next;
	return n;
}

static struct neigh *neigh_add(struct dp *dp, uint8_t port, uint32_t addr)
{
	struct neigh **bucket = bucket_of(dp, port, addr), *n;

	if (dp->n_neigh >= NEIGH_MAX)
		return NULL;
	n = calloc(1, sizeof(*n));
	if (!n)
		return NULL;
	n->addr = addr;
	n->port = port;
	n->state = NEIGH_ASKING;
	n->next = *bucket;
	*bucket = n;
	dp->n_neigh++;
	return n;
}

static void queue_drop(struct dp *dp, struct neigh *n)
{
	for (unsigned i = 0; i < n->n_queue; i++)
		host_drop(&dp->worker[0], n->queue[i], DROP_no_neighbour);
	dp->n_waiting -= n->n_queue;
	n->n_queue = 0;
}

static void frame_send(struct dp *dp, struct worker *w, const struct neigh *n, struct rte_mbuf *pkt)
{
	uint8_t *eth = (uint8_t *)rte_pktmbuf_prepend(pkt, ETH_LEN);

	if (!eth) {
		host_drop(w, pkt, DROP_no_headroom);
		return;
	}
	memcpy(eth + ETH_DST, n->mac, 6);
	memcpy(eth + ETH_SRC, dp->port[n->port].mac, 6);
	store_be16(eth + ETH_TYPE, ETHERTYPE_IP4);
	*pkt_meta(pkt) = (struct pkt_meta){ .port = n->port, .flags = PKT_FRAME };
	host_inject(w, pkt);
}

static void neigh_ask(struct dp *dp, struct neigh *n, uint64_t now_ms)
{
	arp_ask(dp, n->port, n->addr, n->state == NEIGH_PROBING ? n->mac : NULL);
	n->tries++;
	n->due_ms = now_ms + (n->tries >= ASK_TRIES && n->gateway ? GATEWAY_MS : ASK_MS);
}

void neigh_send(struct dp *dp, struct worker *w, uint8_t port, uint32_t addr, struct rte_mbuf *pkt)
{
	struct neigh *n = neigh_find(dp, port, addr);

	if (n && n->state != NEIGH_ASKING) {
		frame_send(dp, w, n, pkt);
		return;
	}
	if (!n) {
		n = neigh_add(dp, port, addr);
		if (n)
			neigh_ask(dp, n, dp_now_ms());
	}
	if (!n || n->n_queue == NEIGH_QUEUE || dp->n_waiting == NEIGH_WAITING) {
		host_drop(w, pkt, DROP_no_neighbour);
		return;
	}
	n->queue[n->n_queue++] = pkt;
	dp->n_waiting++;
}

void neigh_learn(struct dp *dp, uint8_t port, uint32_t addr, const uint8_t *mac, bool create)
{
	struct neigh *n = neigh_find(dp, port, addr);

	if (!n && create && dp->n_neigh < NEIGH_LEARNT)
		n = neigh_add(dp, port, addr);
	if (!n)
		return;
	if (n->state == NEIGH_ASKING || memcmp(n->mac, mac, 6) != 0)
		dp->fib_stale = true;
	memcpy(n->mac, mac, 6);
	n->state = NEIGH_GOOD;
	n->tries = 0;
	n->due_ms = dp_now_ms() + GOOD_MS;
	for (unsigned i = 0; i < n->n_queue; i++)
		frame_send(dp, &dp->worker[0], n, n->queue[i]);
	dp->n_waiting -= n->n_queue;
	n->n_queue = 0;
}

void neigh_free_all(struct dp *dp)
{
	for (unsigned i = 0; i < NEIGH_BUCKETS; i++)
		for (struct neigh *n = dp->bucket[i], *next; n; n = next) {
			next = n->next;
			queue_drop(dp, n);
			free(n);
		}
	memset(dp->bucket, 0, sizeof(dp->bucket));
	dp->n_neigh = 0;
}

/* ------------------------------------------------------------------------- time ------------- */

/* True when the neighbour is to be forgotten. */
static bool neigh_due(struct dp *dp, struct neigh *n, uint64_t now_ms)
{
	if (n->state == NEIGH_GOOD) {
		n->state = NEIGH_PROBING;
		n->tries = 0;
	} else if (n->tries >= ASK_TRIES) {
		queue_drop(dp, n);
		if (n->state == NEIGH_PROBING)
			dp->fib_stale = true;
		n->state = NEIGH_ASKING;
		if (!n->gateway)
			return true;
	}
	neigh_ask(dp, n, now_ms);
	return false;
}

static void fib_refresh(struct dp *dp, uint64_t now_ms)
{
	struct cmd cmd = { .op = CMD_FIB };
	struct fib *fib;

	if (!dp->fib_stale || now_ms < dp->fib_ms + FIB_MS)
		return;
	fib = fib_snapshot(dp);
	dp->fib_ms = now_ms;
	if (!fib) {
		log_error("dataplane: no memory for routes");
		return;
	}
	fib->refs = dp->n_workers;
	cmd.fib = dp->fib = fib;
	command_send_all(dp, &cmd);
	dp->fib_stale = false;
}

void neigh_tick(struct dp *dp, uint64_t now_ms)
{
	fib_refresh(dp, now_ms);
	if (now_ms < dp->neigh_ms + TICK_MS)
		return;
	dp->neigh_ms = now_ms;
	for (unsigned i = 0; i < NEIGH_BUCKETS; i++)
		for (struct neigh **at = &dp->bucket[i], *n = *at; n; n = *at) {
			if (now_ms < n->due_ms || !neigh_due(dp, n, now_ms)) {
				at = &n->next;
				continue;
			}
			*at = n->next;
			dp->n_neigh--;
			free(n);
		}
}

/* ------------------------------------------------------------------------- routes ----------- */

static uint32_t mask_of(uint8_t len)
{
	return len ? UINT32_MAX << (32 - len) : 0;
}

bool port_on_link(const struct port *port, uint32_t addr, uint32_t *ours)
{
	for (unsigned i = 0; i < port->n_addrs; i++) {
		uint32_t mask = mask_of(port->len[i]);
		if ((addr & mask) != (port->addr[i] & mask))
			continue;
		*ours = port->addr[i];
		return true;
	}
	return false;
}

static void route_put(struct dp *dp, uint32_t dst, uint8_t len, enum hop_kind kind, unsigned port,
		      uint32_t via)
{
	dp->route[dp->n_routes++] = (struct fib_route){ .dst = dst & mask_of(len),
							.len = len,
							.kind = (uint8_t)kind,
							.port = (uint8_t)port,
							.via = via };
}

static void port_routes(struct dp *dp, unsigned i)
{
	const struct port *port = &dp->port[i];

	for (unsigned j = 0; j < port->n_addrs; j++) {
		uint32_t addr = port->addr[j], mask = mask_of(port->len[j]);
		if (port->len[j] < 32)
			route_put(dp, addr, port->len[j], HOP_CONNECTED, i, 0);
		if (port->len[j] < 31) {
			route_put(dp, addr & mask, 32, HOP_BROADCAST, i, 0);
			route_put(dp, addr | ~mask, 32, HOP_BROADCAST, i, 0);
		}
	}
	for (unsigned j = 0; j < port->n_addrs; j++) {
		route_put(dp, port->addr[j], 32, HOP_LOCAL, i, 0);
		local_set_add(&dp->local, port->addr[j]);
	}
}

static bool static_route(struct dp *dp, const struct dp_route_cfg *r, char *why, size_t why_size)
{
	char text[ADDR_STR_LEN];
	uint32_t dst, via, ours;
	struct neigh *n;

	if (r->dst.addr.family != IP_V4 || (r->via.family != IP_V4 && r->via.family != IP_NONE)) {
		snprintf(why, why_size, "routes are IPv4 only so far");
		return false;
	}
	dst = ip_addr_to_v4(&r->dst.addr);
	if (r->via.family == IP_NONE) {
		if (r->port >= dp->n_ports) {
			snprintf(why, why_size, "a route names port %u, which is not there",
				 r->port);
			return false;
		}
		route_put(dp, dst, r->dst.len, HOP_CONNECTED, r->port, 0);
		return true;
	}
	via = ip_addr_to_v4(&r->via);
	for (uint8_t i = 0; i < dp->n_ports; i++) {
		if (!port_on_link(&dp->port[i], via, &ours) || local_set_has(&dp->local, via))
			continue;
		route_put(dp, dst, r->dst.len, HOP_UNRESOLVED, i, via);
		n = neigh_find(dp, i, via);
		if (!n)
			n = neigh_add(dp, i, via);
		if (n)
			n->gateway = true;
		return true;
	}
	snprintf(why, why_size, "gateway %s is not on the link of any port",
		 ip_addr_str(&r->via, text, sizeof(text)));
	return false;
}

int routes_init(struct dp *dp, const struct dp_cfg *cfg, char *why, size_t why_size)
{
	dp->route = calloc(cfg->n_routes + DP_MAX_PORTS * DP_MAX_PORT_ADDR * 5, sizeof(*dp->route));
	if (!dp->route)
		return -ENOMEM;
	for (unsigned i = 0; i < dp->n_ports; i++)
		port_routes(dp, i);
	for (unsigned i = 0; i < cfg->n_routes; i++)
		if (!static_route(dp, &cfg->routes[i], why, why_size))
			return -EINVAL;
	/* our own addresses must win over what else is said about them */
	for (unsigned i = 0; i < dp->n_ports; i++)
		for (unsigned j = 0; j < dp->port[i].n_addrs; j++)
			route_put(dp, dp->port[i].addr[j], 32, HOP_LOCAL, i, 0);
	return 0;
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

struct fib *fib_snapshot(struct dp *dp)
{
	struct fib_neighbour *known = calloc(dp->n_neigh + 1, sizeof(*known));
	struct fib_input in = { .route = dp->route, .n_routes = dp->n_routes, .neighbour = known };
	struct fib *fib;

	if (!known)
		return NULL;
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
	routes_sort(dp->route, dp->n_routes);
	fib = fib_build(&in);
	free(known);
	return fib;
}
