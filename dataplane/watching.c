/* Control's part of trace and capture: starts and ends a watch, takes its packets. */
#include <errno.h>
#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dp.h"
#include "log.h"
#include "watch.h"

#define WATCH_RING  1024
#define WATCH_MBUFS 2047
#define DRAIN       64

/* The pool and the ring stay once they were made: buffers may be on their way at any time. */
static int stores_make(struct dp *dp, char *why, size_t why_size)
{
	uint16_t room = rte_pktmbuf_data_room_size(dp->pool);

	if (!dp->watch_pool)
		dp->watch_pool = rte_pktmbuf_pool_create(
			"watch", WATCH_MBUFS, 0,
			RTE_ALIGN(sizeof(struct watch_note), RTE_MBUF_PRIV_ALIGN),
			RTE_MAX(room, (uint16_t)(WATCH_TEXT + RTE_PKTMBUF_HEADROOM)),
			SOCKET_ID_ANY);
	if (!dp->watch_ring)
		dp->watch_ring = rte_ring_create("watch", WATCH_RING, SOCKET_ID_ANY, RING_F_SC_DEQ);
	if (dp->watch_pool && dp->watch_ring)
		return 0;
	snprintf(why, why_size, "no memory for copies of packets; give DPDK more (system: memory)");
	return -ENOMEM;
}

static void watch_fill(const struct dp *dp, struct watch *w, const struct dp_watch_cfg *cfg)
{
	w->id = dp->watch_id;
	w->what = cfg->what;
	w->port = cfg->port;
	w->snap = cfg->snap ? cfg->snap : UINT32_MAX;
	w->left = cfg->count;
	w->by_peer = cfg->by_peer;
	w->n_addrs = RTE_MIN(cfg->n_addrs, (unsigned)DP_WATCH_ADDRS);
	memcpy(w->addr, cfg->addr, w->n_addrs * sizeof(w->addr[0]));
	for (size_t i = 0; i < cfg->n_policies; i++)
		if (cfg->policies[i] < SPD_MAX_POLICIES)
			w->policies[cfg->policies[i] / 64] |= 1ull << (cfg->policies[i] % 64);
	for (unsigned i = 0; i < dp->n_ports; i++)
		memcpy(w->port_name[i], dp->port[i].name, sizeof(w->port_name[i]));
	w->pool = dp->watch_pool;
	w->ring = dp->watch_ring;
}

static void watch_send(struct dp *dp, unsigned worker, struct watch *w)
{
	struct cmd cmd = { .op = CMD_WATCH, .watch = w };

	dp->watch[worker] = w;
	command_send(&dp->worker[worker], &cmd);
}

int dp_watch_start(struct dp *dp, const struct dp_watch_cfg *cfg, char *why, size_t why_size)
{
	struct watch *fresh[DP_MAX_WORKERS] = { 0 };

	if (dp->watching) {
		snprintf(why, why_size, "somebody else traces or captures already");
		return -EBUSY;
	}
	if (stores_make(dp, why, why_size))
		return -ENOMEM;
	for (unsigned i = 0; i < dp->n_workers; i++) {
		int socket = (int)rte_lcore_to_socket_id(dp->worker[i].lcore_id);
		fresh[i] = rte_zmalloc_socket("watch", sizeof(*fresh[i]), 64, socket);
		if (fresh[i])
			continue;
		while (i > 0)
			rte_free(fresh[--i]);
		snprintf(why, why_size, "no memory; give DPDK more (system: memory)");
		return -ENOMEM;
	}
	dp->watching = true;
	dp->watch_id++;
	dp->watch_missed = 0;
	dp->on_watched = cfg->on_packet;
	dp->watch_ctx = cfg->ctx;
	for (unsigned i = 0; i < dp->n_workers; i++) {
		watch_fill(dp, fresh[i], cfg);
		watch_send(dp, i, fresh[i]);
	}
	return 0;
}

uint64_t dp_watch_missed(const struct dp *dp)
{
	uint64_t missed = dp->watch_missed;

	for (unsigned i = 0; dp->watching && i < dp->n_workers; i++)
		missed += dp->watch[i]->missed;
	return missed;
}

void dp_watch_stop(struct dp *dp)
{
	if (!dp->watching)
		return;
	dp->watch_missed = dp_watch_missed(dp);
	dp->watching = false;
	for (unsigned i = 0; i < dp->n_workers; i++)
		watch_send(dp, i, NULL);
}

void watch_retired(struct watch *w)
{
	rte_free(w);
}

static uint64_t wall_us(uint64_t tsc)
{
	uint64_t now = rte_rdtsc(), ago = now > tsc ? now - tsc : 0;
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000 -
	       ago / (rte_get_tsc_hz() / 1000000);
}

static void watched(struct dp *dp, struct rte_mbuf *pkt)
{
	const struct watch_note *note = rte_mbuf_to_priv(pkt);
	struct dp_watched seen = { .kind = (enum dp_watched_kind)note->kind,
				   .worker = note->worker,
				   .port = note->port == UINT8_MAX ? UINT_MAX : note->port,
				   .wall_us = wall_us(note->tsc),
				   .wire_len = note->wire_len,
				   .policy = note->policy,
				   .len = rte_pktmbuf_pkt_len(pkt) };
	uint8_t *flat = NULL;

	if (pkt->nb_segs > 1)
		flat = malloc(seen.len);
	seen.data = rte_pktmbuf_read(pkt, 0, (uint32_t)seen.len, flat);
	if (seen.data)
		dp->on_watched(dp->watch_ctx, &seen);
	free(flat);
}

unsigned watch_drain(struct dp *dp)
{
	struct rte_mbuf *pkts[DRAIN];
	unsigned n;

	if (!dp->watch_ring)
		return 0;
	n = rte_ring_sc_dequeue_burst(dp->watch_ring, (void **)pkts, DRAIN, NULL);
	for (unsigned i = 0; i < n; i++) {
		const struct watch_note *note = rte_mbuf_to_priv(pkts[i]);

		if (dp->watching && note->id == dp->watch_id)
			watched(dp, pkts[i]);
		rte_pktmbuf_free(pkts[i]);
	}
	return n;
}

void watch_free_all(struct dp *dp)
{
	void *pkt;

	while (dp->watch_ring && rte_ring_dequeue(dp->watch_ring, &pkt) == 0)
		rte_pktmbuf_free(pkt);
	rte_ring_free(dp->watch_ring);
	rte_mempool_free(dp->watch_pool);
}
