/* The facade: start, stop and the poll of the control thread. */
#include "dataplane.h"

#include <errno.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_ether.h>
#include <rte_launch.h>
#include <rte_malloc.h>
#include <rte_random.h>
#include <rte_ring_elem.h>
#include <rte_version.h>
#include <stdio.h>
#include <stdlib.h>

#include "cpu.h"
#include "crypto.h"
#include "dp.h"
#include "log.h"
#include "reassembly.h"

#define POLL_BURST     64
#define OWNER_BITS     6
#define MIN_GENERATION 8

_Static_assert(DP_MAX_WORKERS <= 1 << OWNER_BITS, "an SPI has room for every worker");

/* ------------------------------------------------------------------------- start ------------ */

static int no_memory(char *why, size_t why_size, const char *what)
{
	snprintf(why, why_size, "no memory for %s; give DPDK more (system: memory)", what);
	return -ENOMEM;
}

static struct rte_ring *ring(const char *what, unsigned worker, unsigned slots, unsigned elem,
			     unsigned flags, int socket)
{
	char name[RTE_RING_NAMESIZE];

	snprintf(name, sizeof(name), "%s%u", what, worker);
	return rte_ring_create_elem(name, elem, slots, socket, flags);
}

static bool rings_create(struct dp *dp, struct lcore *lc, int socket)
{
	const unsigned one_to_one = RING_F_SP_ENQ | RING_F_SC_DEQ;
	uint16_t id = lc->id;

	lc->cmd = ring("cmd", id, COMMAND_RING, sizeof(struct cmd), one_to_one, socket);
	lc->evt = ring("evt", id, EVENT_RING, sizeof(struct evt), one_to_one, socket);
	lc->punt = ring("punt", id, PUNT_RING, sizeof(void *), one_to_one, socket);
	lc->inject = ring("inject", id, INJECT_RING, sizeof(void *), one_to_one, socket);
	lc->handover[id] = ring("inbox", id, HANDOVER_RING, sizeof(void *), RING_F_SC_DEQ, socket);
	for (unsigned i = 0; i < dp->n_workers; i++)
		if (dp->worker[i].lc)
			dp->worker[i].lc->handover[id] = lc->handover[id];
	return lc->cmd && lc->evt && lc->punt && lc->inject && lc->handover[id];
}

static bool tables_create(struct dp *dp, struct lcore *lc, int socket)
{
	uint32_t n = dp->sa_slots;

	lc->sa_in = rte_zmalloc_socket("sa_in", n * sizeof(*lc->sa_in), 64, socket);
	lc->sa_out = rte_zmalloc_socket("sa_out", n * sizeof(*lc->sa_out), 64, socket);
	lc->policy_sa = rte_zmalloc_socket("policy_sa", SPD_MAX_POLICIES * sizeof(*lc->policy_sa),
					   64, socket);
	lc->reassembly = reassembly_new(socket);
	lc->reassembly_due = UINT64_MAX;
	lc->reassembly_seed = dp->reassembly_seed;
	lc->backlog.size = event_backlog_size(n);
	lc->backlog.evt =
		rte_zmalloc_socket("backlog", lc->backlog.size * sizeof(struct evt), 64, socket);
	if (!lc->sa_in || !lc->sa_out || !lc->policy_sa || !lc->backlog.evt ||
	    !lc->reassembly)
		return false;
	for (unsigned i = 0; i < SPD_MAX_POLICIES; i++)
		lc->policy_sa[i].owner = UINT16_MAX;
	return true;
}

static int worker_create(struct dp *dp, const struct dp_cfg *cfg, uint16_t id)
{
	struct worker *w = &dp->worker[id];
	int socket;
	struct lcore *lc;

	w->lcore_id = id + 1u;
	socket = (int)rte_lcore_to_socket_id(w->lcore_id);
	lc = w->lc = rte_zmalloc_socket("lcore", sizeof(*lc), 64, socket);
	if (!lc)
		return -ENOMEM;
	lc->id = id;
	lc->n_ports = (uint16_t)dp->n_ports;
	lc->n_workers = (uint16_t)dp->n_workers;
	lc->cpu = cfg->worker_cores[id];
	lc->spi = dp->spi;
	lc->idle = cfg->idle;
	lc->known = dp->known;
	lc->tsc_hz = rte_get_tsc_hz();
	lc->pool = dp->pools[id];
	lc->large = dp->large;
	lc->jumbo = dp->jumbo;
	lc->mb = cpu_mgr_new();
	for (uint16_t i = 0; i < id; i++)
		lc->handover[i] = dp->worker[i].lc->handover[i];
	if (!lc->mb || !rings_create(dp, lc, socket) || !tables_create(dp, lc, socket))
		return -ENOMEM;
	return slots_init(w, dp->sa_slots);
}

/* The port of a device's frames without a tag; n_ports: there is none. */
static unsigned device_port(const struct dp_cfg *cfg, const char *device)
{
	unsigned i = 0;

	while (i < cfg->n_ports && (cfg->ports[i].vlan || strcmp(cfg->ports[i].device, device) != 0))
		i++;
	return i;
}

static bool has_vlans(const struct dp_cfg *cfg, unsigned port)
{
	for (unsigned i = 0; i < cfg->n_ports; i++)
		if (cfg->ports[i].vlan && strcmp(cfg->ports[i].device, cfg->ports[port].device) == 0)
			return true;
	return false;
}

/* A device all of whose ports are VLANs gets one for its frames without a tag, too, which nobody sees:
 * without an address nothing is taken in there. False: there is no room. */
static bool trunks_add(struct dp_cfg *cfg)
{
	unsigned named = cfg->n_ports;

	for (unsigned i = 0; i < named; i++) {
		struct dp_port_cfg *trunk, *p = &cfg->ports[i];
		unsigned at = device_port(cfg, p->device);

		if (at == cfg->n_ports && cfg->n_ports++ == DP_MAX_PORTS)
			return false;
		trunk = &cfg->ports[at];
		if (at < named)
			continue;
		if (!trunk->device[0]) {
			memcpy(trunk->device, p->device, sizeof(trunk->device));
			snprintf(trunk->name, sizeof(trunk->name), "%.*s", (int)strcspn(p->device, ","),
				 p->device);
		}
		trunk->mtu = RTE_MAX(trunk->mtu, p->mtu ? p->mtu : RTE_ETHER_MTU);
	}
	return true;
}

static int ports_open(struct dp *dp, const struct dp_cfg *cfg, char *why, size_t why_size)
{
	for (unsigned i = 0; i < cfg->n_ports; i++) {
		const struct dp_port_cfg *p = &cfg->ports[i];
		int rc = p->vlan ? 0
				 : port_open(&dp->port[i], p,
					     (struct port_wants){ .vlans = has_vlans(cfg, i),
								  .chains = dp->large },
					     dp->n_workers, dp->pools, why, why_size);
		if (rc)
			return rc;
	}
	for (unsigned i = 0; i < cfg->n_ports; i++) {
		const struct dp_port_cfg *p = &cfg->ports[i];
		if (p->vlan && port_open_vlan(&dp->port[i], p, (uint8_t)i,
					      &dp->port[device_port(cfg, p->device)]))
			return no_memory(why, why_size, "a VLAN");
	}
	return 0;
}

/* The first policies (none: discard all) and routes are in place before an lcore runs. */
static int snapshots_create(struct dp *dp, char *why, size_t why_size)
{
	dp->spd = spd_build(NULL, 0, why, why_size);
	dp->fib = fib_snapshot(dp);
	if (senders_init(dp) || !dp->spd || !dp->fib)
		return no_memory(why, why_size, "routes and policies");
	dp->spd->refs = dp->fib->refs = dp->n_workers;
	for (uint16_t i = 0; i < dp->n_workers; i++) {
		struct lcore *lc = dp->worker[i].lc;
		lc->spd = dp->spd;
		lc->fib = dp->fib;
		lc->local = dp->local;
		for (unsigned j = 0; j < dp->n_ports; j++)
			lc->port[j] = port_view(&dp->port[j], i);
		for (unsigned j = 0; j < dp->n_ports; j++)
			lc->clamp_mss |= dp->port[j].clamp_mss != 0;
	}
	return 0;
}

static int launch(struct dp *dp, char *why, size_t why_size)
{
	int rc;

	for (unsigned i = 0; i < dp->n_ports; i++) {
		rc = port_start(&dp->port[i], why, why_size);
		if (rc)
			return rc;
		if (!dp->port[i].vlan)
			steer_start(&dp->port[i], &dp->spi);
	}
	for (unsigned i = 0; i < dp->n_workers; i++) {
		struct worker *w = &dp->worker[i];
		rc = rte_eal_remote_launch(lcore_main, w->lc, w->lcore_id);
		if (rc) {
			snprintf(why, why_size, "worker %u does not start", i);
			return rc;
		}
		w->launched = true;
	}
	return 0;
}

static uint64_t allocated(void)
{
	struct rte_malloc_socket_stats s;
	uint64_t sum = 0;

	for (int i = 0; i < RTE_MAX_NUMA_NODES; i++)
		if (rte_malloc_get_socket_stats(i, &s) == 0)
			sum += s.heap_allocsz_bytes;
	return sum;
}

static bool config_sound(const struct dp_cfg *cfg, char *why, size_t why_size)
{
	uint32_t slots = cfg->sa_slots ? cfg->sa_slots : 4096;

	if (cfg->n_ports == 0 || cfg->n_ports > DP_MAX_PORTS)
		snprintf(why, why_size, "%u ports; 1 to %u are possible", cfg->n_ports,
			 DP_MAX_PORTS);
	else if (cfg->n_workers == 0 || cfg->n_workers > DP_MAX_WORKERS)
		snprintf(why, why_size, "%u workers; 1 to %u are possible", cfg->n_workers,
			 DP_MAX_WORKERS);
	else if (!rte_is_power_of_2(slots) || slots > 1u << (32 - OWNER_BITS - MIN_GENERATION))
		snprintf(why, why_size, "%u SA slots; a power of two up to %u is possible", slots,
			 1u << (32 - OWNER_BITS - MIN_GENERATION));
	else
		return true;
	return false;
}

static int start(struct dp *dp, const struct dp_cfg *cfg, char *why, size_t why_size)
{
	int rc = eal_start(cfg, why, why_size);

	if (rc)
		return rc;
	dp->eal = true;
	dp->reassembly_seed = (uint32_t)rte_rand();
	eal_hide_from_dumps();
	dp->mb = cpu_mgr_new();
	if (!dp->mb)
		return no_memory(why, why_size, "IPsec-MB");
	dp->known = rte_zmalloc("known", sizeof(*dp->known), 64);
	if (!dp->known)
		return no_memory(why, why_size, "the filter of known peers");
	dp->known->seed = rte_rand();
	rc = pools_create(dp, cfg) ? no_memory(why, why_size, "packet buffers") : 0;
	if (rc == 0)
		rc = ports_open(dp, cfg, why, why_size);
	if (rc == 0)
		rc = routes_init(dp, cfg, why, why_size);
	for (uint16_t i = 0; rc == 0 && i < dp->n_workers; i++)
		if (worker_create(dp, cfg, i))
			rc = no_memory(why, why_size, "a worker");
	if (rc == 0)
		rc = snapshots_create(dp, why, why_size);
	if (rc == 0)
		rc = launch(dp, why, why_size);
	return rc;
}

int dp_start(const struct dp_cfg *wanted, const struct dp_callbacks *cb, struct dp **out, char *why,
	     size_t why_size)
{
	struct dp_cfg all = *wanted;
	const struct dp_cfg *cfg = &all;
	struct dp *dp;
	int rc;

	if (!config_sound(wanted, why, why_size))
		return -EINVAL;
	memset(&all.ports[all.n_ports], 0, (DP_MAX_PORTS - all.n_ports) * sizeof(all.ports[0]));
	if (!trunks_add(&all)) {
		snprintf(why, why_size, "too many ports: VLANs whose device has no other port take one more");
		return -EINVAL;
	}
	dp = calloc(1, sizeof(*dp));
	if (!dp)
		return no_memory(why, why_size, "the data plane");
	dp->cb = *cb;
	dp->n_ports = cfg->n_ports;
	dp->n_named = wanted->n_ports;
	for (unsigned i = 0; i < dp->n_ports; i++)
		dp->port[i].dev = RTE_MAX_ETHPORTS; /* none yet, for dp_stop() */
	dp->n_workers = cfg->n_workers;
	dp->sa_slots = cfg->sa_slots ? cfg->sa_slots : 4096;
	dp->spi = (struct spi_layout){ .slot_bits = (uint8_t)rte_log2_u32(dp->sa_slots),
				       .owner_bits = OWNER_BITS };
	cpu_vaes_allow(!cfg->vaes_off);
	cpu_gcm_allow(!cfg->own_gcm_off);
	rc = start(dp, cfg, why, why_size);
	if (rc) {
		dp_stop(dp);
		return rc;
	}
	snprintf(dp->versions, sizeof(dp->versions), "%s, IPsec-MB %s (%s)", rte_version(),
		 imb_get_version_str(), cpu_path(dp->mb));
	dp->pool_bytes = allocated();
	arp_announce(dp);
	nd_announce(dp);
	mld_start(dp);
	*out = dp;
	return 0;
}

/* ------------------------------------------------------------------------- poll ------------- */

static unsigned events_drain(struct dp *dp, struct worker *w)
{
	struct evt evt[POLL_BURST];
	unsigned n =
		rte_ring_sc_dequeue_burst_elem(w->lc->evt, evt, sizeof(evt[0]), POLL_BURST, NULL);

	for (unsigned i = 0; i < n; i++)
		event_handle(dp, w, &evt[i]);
	return n;
}

static unsigned punts_drain(struct dp *dp, struct worker *w)
{
	struct rte_mbuf *pkts[POLL_BURST];
	unsigned n = rte_ring_sc_dequeue_burst(w->lc->punt, (void **)pkts, POLL_BURST, NULL);

	for (unsigned i = 0; i < n; i++)
		host_input(dp, w, pkts[i]);
	return n;
}

unsigned dp_poll(struct dp *dp)
{
	unsigned work = 0;

	for (unsigned i = 0; i < dp->n_workers; i++) {
		struct worker *w = &dp->worker[i];
		command_flush(w);
		work += events_drain(dp, w);
		work += punts_drain(dp, w);
	}
	work += watch_drain(dp);
	neigh_tick(dp, dp_now_ms());
	pmtu_tick(dp, dp_now_ms());
	mld_tick(dp, dp_now_ms());
	link_tick(dp, dp_now_ms());
	return work;
}

/* ------------------------------------------------------------------------- known ------------ */

void dp_ike_known(struct dp *dp, const uint8_t *icookie, const uint8_t *rcookie, bool known)
{
	known_change(dp->known, known_cookies(dp->known, icookie, rcookie), known);
}

void dp_peer_known(struct dp *dp, const struct ip_addr *addr, bool known)
{
	if (addr->family != IP_NONE)
		known_change(dp->known, known_address(dp->known, addr->b, ip_addr_len(addr)), known);
}

/* ------------------------------------------------------------------------- stop ------------- */

static void ring_drop(struct rte_ring *r)
{
	void *pkt;

	while (r && rte_ring_dequeue(r, &pkt) == 0)
		rte_pktmbuf_free(pkt);
	rte_ring_free(r);
}

/* With the lcore gone, control takes its part: what was commanded still happens, and every event
 * is still answered, so that each snapshot and SA is freed once, by the usual way. */
static void worker_settle(struct dp *dp, struct worker *w)
{
	if (!w->lc || !w->lc->cmd || !w->lc->evt)
		return;
	do {
		command_flush(w);
		while (events_drain(dp, w))
			;
	} while (lcore_commands(w->lc) || w->n_late || !rte_ring_empty(w->lc->evt) ||
		 w->lc->backlog.n);
}

static void worker_free(struct dp *dp, struct worker *w)
{
	struct lcore *lc = w->lc;

	slots_free(w, dp->sa_slots);
	if (!lc)
		return;
	ring_drop(lc->punt);
	ring_drop(lc->inject);
	ring_drop(lc->handover[lc->id]);
	rte_ring_free(lc->cmd);
	rte_ring_free(lc->evt);
	rte_free(lc->sa_in);
	rte_free(lc->sa_out);
	rte_free(lc->policy_sa);
	rte_free(lc->backlog.evt);
	rte_free(lc->watch);
	reassembly_free(lc->reassembly);
	if (lc->mb)
		free_mb_mgr(lc->mb);
	rte_free(lc);
}

static void workers_stop(struct dp *dp)
{
	for (unsigned i = 0; i < dp->n_workers; i++)
		if (dp->worker[i].launched)
			__atomic_store_n(&dp->worker[i].lc->stop, 1, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < dp->n_workers; i++)
		if (dp->worker[i].launched)
			rte_eal_wait_lcore(dp->worker[i].lcore_id);
}

void dp_stop(struct dp *dp)
{
	struct dp_callbacks none = { 0 };

	if (!dp)
		return;
	dp->cb = none;
	workers_stop(dp);
	for (unsigned i = 0; i < dp->n_workers; i++)
		worker_settle(dp, &dp->worker[i]);
	for (unsigned i = 0; i < dp->n_workers; i++)
		worker_free(dp, &dp->worker[i]);
	neigh_free_all(dp);
	watch_free_all(dp);
	for (unsigned i = 0; i < dp->n_ports; i++)
		port_close(&dp->port[i]);
	rte_free(dp->known);
	spd_free(dp->spd);
	fib_free(dp->fib);
	pools_free(dp);
	if (dp->mb)
		free_mb_mgr(dp->mb);
	if (dp->eal)
		rte_eal_cleanup();
	senders_free(dp);
	free(dp->route);
	free(dp);
}
