/* Neighbours: what ARP and Neighbour Discovery know, and the packets that wait for it. */
#include <errno.h>
#include <stdlib.h>

#include "dp.h"
#include "log.h"

#define ASK_MS       1000 /* between two questions */
#define ASK_TRIES    3
#define CHALLENGE_MS 300   /* between two, when somebody else wants the address */
#define CALM_MS      1000  /* after an answer, before such a claim is looked into */
#define GATEWAY_MS   5000  /* a silent gateway is asked this often, for ever */
#define GOOD_MS      60000 /* an answer is trusted for so long, then asked for again */
#define STALE_MS     5000  /* DELAY_FIRST_PROBE_TIME of RFC 4861 */
#define TICK_MS      100
#define FIB_MS       5 /* between two snapshots: answers that come together share one */

/* ------------------------------------------------------------------------- the table -------- */

static struct neigh **bucket_of(struct dp *dp, uint8_t port, const struct ip_addr *addr)
{
	uint32_t h = port;

	for (unsigned i = 0; i < 16; i += 4)
		h = (h ^ load_be32(addr->b + i)) * 0x9e3779b1u;
	return &dp->bucket[(h >> 16) % NEIGH_BUCKETS];
}

static struct neigh *neigh_find(struct dp *dp, uint8_t port, const struct ip_addr *addr)
{
	struct neigh *n = *bucket_of(dp, port, addr);

	while (n && (n->port != port || !ip_addr_equal(&n->addr, addr)))
		n = n->next;
	return n;
}

static struct neigh *neigh_add(struct dp *dp, uint8_t port, const struct ip_addr *addr)
{
	struct neigh **bucket = bucket_of(dp, port, addr), *n;

	if (dp->n_neigh >= NEIGH_MAX)
		return NULL;
	n = calloc(1, sizeof(*n));
	if (!n)
		return NULL;
	n->addr = *addr;
	n->port = port;
	n->state = NEIGH_ASKING;
	n->next = *bucket;
	*bucket = n;
	dp->n_neigh++;
	return n;
}

void neigh_pin(struct dp *dp, uint8_t port, const struct ip_addr *addr)
{
	struct neigh *n = neigh_find(dp, port, addr);

	if (!n)
		n = neigh_add(dp, port, addr);
	if (n)
		n->gateway = true;
}

static void queue_drop(struct dp *dp, struct neigh *n)
{
	for (unsigned i = 0; i < n->n_queue; i++)
		host_drop(&dp->worker[0], n->queue[i], DROP_no_neighbour);
	dp->n_waiting -= n->n_queue;
	n->n_queue = 0;
}

/* They did not find him: their senders hear of it, RFC 4861 section 7.2.2 and RFC 1812 section
 * 5.2.7.1. */
static void queue_refuse(struct dp *dp, struct neigh *n)
{
	struct worker *w = &dp->worker[0];

	for (unsigned i = 0; i < n->n_queue; i++) {
		struct pkt_meta *meta = pkt_meta(n->queue[i]);
		if (meta->flags & (PKT_LOCAL_OUT | PKT_PROTECTED)) {
			host_drop(w, n->queue[i], DROP_no_neighbour);
			continue;
		}
		w->drop[DROP_no_neighbour]++;
		meta->slot = (uint32_t)DROP_no_neighbour << 16;
		icmp_error(dp, w, n->queue[i]);
	}
	dp->n_waiting -= n->n_queue;
	n->n_queue = 0;
}

static void frame_send(struct dp *dp, struct worker *w, const struct neigh *n, struct rte_mbuf *pkt)
{
	bool four = ip_version(rte_pktmbuf_mtod(pkt, const uint8_t *)) == 4;
	uint8_t *eth = (uint8_t *)rte_pktmbuf_prepend(pkt, ETH_LEN);

	if (!eth) {
		host_drop(w, pkt, DROP_no_headroom);
		return;
	}
	memcpy(eth + ETH_DST, n->mac, 6);
	memcpy(eth + ETH_SRC, dp->port[n->port].mac, 6);
	store_be16(eth + ETH_TYPE, four ? ETHERTYPE_IP4 : ETHERTYPE_IP6);
	*pkt_meta(pkt) = (struct pkt_meta){ .port = n->port, .flags = PKT_FRAME };
	host_inject(w, pkt);
}

static void queue_send(struct dp *dp, struct neigh *n)
{
	for (unsigned i = 0; i < n->n_queue; i++)
		frame_send(dp, &dp->worker[0], n, n->queue[i]);
	dp->n_waiting -= n->n_queue;
	n->n_queue = 0;
}

static void neigh_ask(struct dp *dp, struct neigh *n, uint64_t now_ms)
{
	const uint8_t *to = n->state == NEIGH_PROBING ? n->mac : NULL;

	if (n->addr.family == IP_V4)
		arp_ask(dp, n->port, &n->addr, to);
	else
		nd_ask(dp, n->port, &n->addr, to);
	n->tries++;
	n->due_ms = now_ms + (n->challenged                         ? CHALLENGE_MS
			      : n->tries >= ASK_TRIES && n->gateway ? GATEWAY_MS
								    : ASK_MS);
}

/* ------------------------------------------------------------------------- sending ---------- */

static struct neigh *neigh_want(struct dp *dp, uint8_t port, const struct ip_addr *addr)
{
	struct neigh *n = neigh_find(dp, port, addr);

	if (!n) {
		n = neigh_add(dp, port, addr);
		if (n)
			neigh_ask(dp, n, dp_now_ms());
	}
	return n;
}

const uint8_t *neigh_station(struct dp *dp, uint8_t port, const struct ip_addr *addr)
{
	const struct neigh *n = neigh_want(dp, port, addr);

	return n && n->state != NEIGH_ASKING ? n->mac : NULL;
}

void neigh_send(struct dp *dp, struct worker *w, uint8_t port, const struct ip_addr *addr,
		struct rte_mbuf *pkt)
{
	struct neigh *n = neigh_want(dp, port, addr);

	if (n && n->state != NEIGH_ASKING) {
		frame_send(dp, w, n, pkt);
		return;
	}
	if (!n || n->n_queue == NEIGH_QUEUE || dp->n_waiting == NEIGH_WAITING) {
		host_drop(w, pkt, DROP_no_neighbour);
		return;
	}
	n->queue[n->n_queue++] = pkt;
	dp->n_waiting++;
}

static struct ip_addr destination(const uint8_t *ip)
{
	struct ip_addr dst = { .family = IP_V6 };

	if (ip_version(ip) == 4)
		return ip_addr_v4(load_be32(ip + IP4_DST));
	memcpy(dst.b, ip + IP6_DST, 16);
	return dst;
}

void neigh_route(struct dp *dp, struct worker *w, struct rte_mbuf *pkt)
{
	struct ip_addr dst = destination(rte_pktmbuf_mtod(pkt, const uint8_t *)), next;
	const struct next_hop *hop = fib_lookup_addr(dp->fib, &dst);

	if (hop->kind < HOP_CONNECTED) {
		host_drop(w, pkt, DROP_no_route);
		return;
	}
	next = fib_neighbour_of(dp->fib, hop, &dst);
	neigh_send(dp, w, hop->port, &next, pkt);
}

/* ------------------------------------------------------------------------- learning --------- */

/* A new station for the address, or the same again. */
static void station_set(struct dp *dp, struct neigh *n, const uint8_t *mac, enum neigh_state state)
{
	uint64_t now = dp_now_ms();

	if (n->state == NEIGH_ASKING || memcmp(n->mac, mac, 6) != 0)
		dp->fib_stale = true;
	memcpy(n->mac, mac, 6);
	n->state = (uint8_t)state;
	n->tries = 0;
	n->challenged = false;
	if (state == NEIGH_GOOD)
		n->good_ms = now;
	n->due_ms = now + (state == NEIGH_GOOD ? GOOD_MS : STALE_MS);
	queue_send(dp, n);
}

/* Somebody else says that the address is his. Who has it now is asked, and keeps it if he answers;
 * whoever answered a moment ago is asked a moment later. */
static void challenge(struct dp *dp, struct neigh *n, const uint8_t *rival)
{
	uint64_t now = dp_now_ms();

	if (n->challenged)
		return;
	n->challenged = true;
	memcpy(n->rival, rival, 6);
	n->state = NEIGH_PROBING;
	n->tries = 0;
	n->due_ms = n->good_ms ? RTE_MAX(now, n->good_ms + CALM_MS) : now;
	if (n->due_ms == now)
		neigh_ask(dp, n, now);
}

void neigh_answer(struct dp *dp, uint8_t port, const struct ip_addr *addr, const uint8_t *mac)
{
	struct neigh *n = neigh_find(dp, port, addr);

	if (!n)
		return;
	if (n->state == NEIGH_ASKING || memcmp(n->mac, mac, 6) == 0)
		station_set(dp, n, mac, NEIGH_GOOD);
	else
		challenge(dp, n, mac);
}

void neigh_claim(struct dp *dp, uint8_t port, const struct ip_addr *addr, const uint8_t *mac,
		 bool create)
{
	struct neigh *n = neigh_find(dp, port, addr);

	if (!n && create && dp->n_neigh < NEIGH_LEARNT)
		n = neigh_add(dp, port, addr);
	if (!n)
		return;
	if (n->state == NEIGH_ASKING)
		station_set(dp, n, mac, NEIGH_STALE);
	else if (memcmp(n->mac, mac, 6) != 0)
		challenge(dp, n, mac);
}

void neigh_advert(struct dp *dp, uint8_t port, const struct ip_addr *addr, const uint8_t *mac,
		  bool solicited, bool override)
{
	struct neigh *n = neigh_find(dp, port, addr);
	bool differs;

	if (!n || (n->state == NEIGH_ASKING && !mac))
		return;
	differs = mac && n->state != NEIGH_ASKING && memcmp(n->mac, mac, 6) != 0;
	if (n->state != NEIGH_ASKING && differs && !override) {
		if (n->state == NEIGH_GOOD) {
			n->state = NEIGH_STALE;
			n->due_ms = dp_now_ms() + STALE_MS;
		}
		return;
	}
	if (solicited)
		station_set(dp, n, mac ? mac : n->mac, NEIGH_GOOD);
	else if (differs || n->state == NEIGH_ASKING)
		station_set(dp, n, mac, NEIGH_STALE);
}

/* ------------------------------------------------------------------------- time ------------- */

/* Nobody answers. True when the neighbour is to be forgotten. */
static bool neigh_silent(struct dp *dp, struct neigh *n)
{
	queue_refuse(dp, n);
	if (n->challenged) {
		station_set(dp, n, n->rival, NEIGH_STALE);
		n->due_ms = 0;
		return false;
	}
	if (n->state == NEIGH_PROBING)
		dp->fib_stale = true;
	n->state = NEIGH_ASKING;
	return !n->gateway;
}

/* True when the neighbour is to be forgotten. */
static bool neigh_due(struct dp *dp, struct neigh *n, uint64_t now_ms)
{
	if (n->state == NEIGH_GOOD || n->state == NEIGH_STALE) {
		n->state = NEIGH_PROBING;
		n->tries = 0;
	} else if (n->tries >= ASK_TRIES) {
		if (neigh_silent(dp, n))
			return true;
		if (n->state == NEIGH_STALE) /* the rival has it now: asked in the next round */
			return false;
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
