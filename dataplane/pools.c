/* Packet buffers: a pool for the workers of each NUMA node, one for what control sends, and one of
 * large buffers. */
#include <errno.h>
#include <rte_lcore.h>
#include <stdio.h>

#include "dp.h"
#include "log.h"

#define OWN_MBUFS   4095
#define MBUF_CACHE  256
#define PORT_MBUFS  16384
#define JUMBO_MBUFS 63
/* What a worker holds beside its queues: its cache (filled by half more than its size), bursts, and
 * what waits on the rings to control and to another worker. */
#define WORKER_MBUFS (2 * MBUF_CACHE + 2048)

#define LARGE_CACHE 64

/* Room for the largest frame in one mbuf, at least DPDK's usual 2 KB. */
static uint16_t frame_room(const struct dp_cfg *cfg)
{
	unsigned room = RTE_MBUF_DEFAULT_DATAROOM;

	for (unsigned i = 0; i < cfg->n_ports; i++)
		room = RTE_MAX(room, cfg->ports[i].mtu + 64u);
	return (uint16_t)RTE_MIN(room + RTE_PKTMBUF_HEADROOM, (unsigned)UINT16_MAX);
}

static uint16_t mbuf_room(const struct dp_cfg *cfg)
{
	return cfg->buffer_size ? (uint16_t)(cfg->buffer_size + RTE_PKTMBUF_HEADROOM)
				: frame_room(cfg);
}

/* Ports with a device of their own. */
static unsigned devices(const struct dp_cfg *cfg)
{
	unsigned n = 0;

	for (unsigned i = 0; i < cfg->n_ports; i++)
		n += !cfg->ports[i].vlan;
	return n;
}

unsigned pool_size(const struct dp_cfg *cfg, unsigned workers_there)
{
	unsigned need = workers_there * (devices(cfg) * (RX_RING + TX_RING) + WORKER_MBUFS);

	if (!cfg->mbufs)
		return RTE_MAX(need, PORT_MBUFS * devices(cfg));
	return (unsigned)((uint64_t)cfg->mbufs * devices(cfg) * workers_there / cfg->n_workers);
}

static struct rte_mempool *pool_create(const struct dp_cfg *cfg, unsigned node, unsigned workers,
				       bool first)
{
	unsigned n = pool_size(cfg, workers);
	struct rte_mempool *pool;
	char name[32] = "packets";

	if (!first)
		snprintf(name, sizeof(name), "packets%u", node);
	if (cfg->mbufs && n < workers * devices(cfg) * RX_RING)
		log_warn("%u packet buffers do not fill the receive queues of %u worker%s", n,
			 workers, workers == 1 ? "" : "s");
	pool = rte_pktmbuf_pool_create(name, n, MBUF_CACHE, 0, mbuf_room(cfg), (int)node);
	if (!pool) /* memory of another node is better than none */
		pool = rte_pktmbuf_pool_create(name, n, MBUF_CACHE, 0, mbuf_room(cfg),
					       SOCKET_ID_ANY);
	return pool;
}

int pools_create(struct dp *dp, const struct dp_cfg *cfg)
{
	for (unsigned i = 0; i < dp->n_workers; i++) {
		unsigned node = rte_lcore_to_socket_id(i + 1), workers = 0;

		for (unsigned k = 0; k < dp->n_workers; k++)
			workers += rte_lcore_to_socket_id(k + 1) == node;
		for (unsigned k = 0; k < i && !dp->pools[i]; k++)
			if (rte_lcore_to_socket_id(k + 1) == node)
				dp->pools[i] = dp->pools[k];
		if (!dp->pools[i])
			dp->pools[i] = pool_create(cfg, node, workers, i == 0);
		if (!dp->pools[i])
			return -ENOMEM;
	}
	dp->pool = dp->pools[0];
	dp->own_pool = rte_pktmbuf_pool_create("own", OWN_MBUFS, MBUF_CACHE / 4, 0,
					       RTE_MAX(frame_room(cfg), mbuf_room(cfg)), SOCKET_ID_ANY);
	/* what was encrypted, decrypted or copied as one piece: it may wait in every transmit queue */
	if (mbuf_room(cfg) < frame_room(cfg)) {
		dp->large = rte_pktmbuf_pool_create(
			"large", dp->n_workers * (devices(cfg) * TX_RING + 4 * BURST + LARGE_CACHE),
			LARGE_CACHE, 0, frame_room(cfg), SOCKET_ID_ANY);
		if (!dp->large)
			return -ENOMEM;
	}
	/* touched only by packets that are in several mbufs; a cache would hold most of it */
	dp->jumbo = rte_pktmbuf_pool_create("jumbo", JUMBO_MBUFS, 0, 0, UINT16_MAX, SOCKET_ID_ANY);
	return dp->own_pool && dp->jumbo ? 0 : -ENOMEM;
}

void pools_free(struct dp *dp)
{
	for (unsigned i = 0; i < dp->n_workers; i++) {
		for (unsigned k = i + 1; k < dp->n_workers; k++)
			if (dp->pools[k] == dp->pools[i])
				dp->pools[k] = NULL;
		rte_mempool_free(dp->pools[i]);
	}
	rte_mempool_free(dp->own_pool);
	rte_mempool_free(dp->large);
	rte_mempool_free(dp->jumbo);
}
