/* The facade's statistics: what lcores count, read without a lock, and DPDK's telemetry socket. */
#include <errno.h>
#include <rte_ethdev.h>
#include <rte_telemetry.h>
#include <stdlib.h>

#include "dataplane.h"
#include "dp.h"

#define TELEMETRY_MAX 16

unsigned dp_port_count(const struct dp *dp)
{
	return dp->n_named;
}

void dp_port_stats(struct dp *dp, unsigned port, struct dp_port_stats *out)
{
	const struct port *p = &dp->port[port];
	struct rte_eth_link link = { 0 };
	struct rte_eth_stats s = { 0 };

	if (!p->vlan)
		rte_eth_stats_get(p->dev, &s);
	for (unsigned i = 0; p->vlan && i < dp->n_workers; i++) {
		const struct vlan_counters *c = &dp->worker[i].lc->vlan[port];
		s.ipackets += c->rx_packets;
		s.ibytes += c->rx_bytes;
		s.opackets += c->tx_packets;
		s.obytes += c->tx_bytes;
	}
	rte_eth_link_get_nowait(p->dev, &link);
	*out = (struct dp_port_stats){
		.link_up = link.link_status == RTE_ETH_LINK_UP && !p->down,
		.mtu = p->mtu,
		.vlan = p->vlan,
		.rx_packets = s.ipackets,
		.rx_bytes = s.ibytes,
		.tx_packets = s.opackets,
		.tx_bytes = s.obytes,
		.rx_missed = s.imissed,
		.rx_errors = s.ierrors,
		.tx_errors = s.oerrors,
	};
	memcpy(out->name, p->name, sizeof(out->name));
	memcpy(out->mac, p->mac, sizeof(out->mac));
}

unsigned dp_worker_count(const struct dp *dp)
{
	return dp->n_workers;
}

void dp_lcore_stats(struct dp *dp, unsigned worker, struct dp_lcore_stats *out)
{
	struct worker *w = &dp->worker[worker];
	const struct lcore_counters *c = &w->lc->count;
	uint64_t busy = c->busy_tsc, idle = c->idle_tsc;
	uint64_t busy_d = busy - w->busy_seen, idle_d = idle - w->idle_seen;

	*out = (struct dp_lcore_stats){
		.worker = worker,
		.cpu = w->lc->cpu,
		.rx_packets = c->rx_packets,
		.rx_bytes = c->rx_bytes,
		.tx_packets = c->tx_packets,
		.tx_bytes = c->tx_bytes,
		.esp_in_packets = c->esp_in_packets,
		.esp_in_bytes = c->esp_in_bytes,
		.esp_out_packets = c->esp_out_packets,
		.esp_out_bytes = c->esp_out_bytes,
		.handover_in = c->handover_in,
		.handover_out = c->handover_out,
		.bypassed = c->bypassed,
		.forwarded = c->forwarded,
		.punted = c->punted,
		.injected = c->injected,
		.natt_keepalives = c->natt_keepalives,
		.reassembled = c->reassembled,
		.reassembled_from = c->reassembled_from,
		.busy = busy_d + idle_d ? (double)busy_d / (double)(busy_d + idle_d) : 0,
		.sa_in = w->lc->sa_in_count,
		.sa_out = w->lc->sa_out_count,
	};
	w->busy_seen = busy;
	w->idle_seen = idle;
}

static const struct {
	const char *name, *text;
} drop_reasons[DROP_COUNT] = {
#define X(name, text) { #name, text },
	DROP_REASONS(X)
#undef X
};

unsigned dp_drop_count(void)
{
	return DROP_COUNT;
}

const char *dp_drop_name(unsigned reason)
{
	return drop_reasons[reason].name;
}

const char *dp_drop_text(unsigned reason)
{
	return drop_reasons[reason].text;
}

uint64_t dp_drop_value(struct dp *dp, unsigned worker, unsigned reason)
{
	const struct worker *w = &dp->worker[worker];

	return w->lc->count.drop[reason] + w->drop[reason];
}

uint64_t dp_pool_bytes(const struct dp *dp)
{
	return dp->pool_bytes;
}

const char *dp_versions(const struct dp *dp)
{
	return dp->versions;
}

/* ------------------------------------------------------------------------- telemetry -------- */

static_assert(DP_TELEMETRY_MAX < RTE_TEL_MAX_SINGLE_STRING_LEN,
	      "an answer that DPDK does not carry");

/* DPDK calls back with the command's name alone. */
static struct {
	char command[64];
	char *(*fn)(void);
} telemetry[TELEMETRY_MAX];
static unsigned n_telemetry;

static int telemetry_answer(const char *cmd, const char *params, struct rte_tel_data *data)
{
	char *text = NULL;
	int rc;

	(void)params;
	for (unsigned i = 0; i < __atomic_load_n(&n_telemetry, __ATOMIC_ACQUIRE); i++)
		if (strcmp(telemetry[i].command, cmd) == 0)
			text = telemetry[i].fn();
	if (!text)
		return -1;
	rc = rte_tel_data_string(data, strlen(text) <= DP_TELEMETRY_MAX ? text : DP_TELEMETRY_LONG);
	free(text);
	return rc;
}

int dp_telemetry_register(const char *command, const char *help, char *(*fn)(void))
{
	if (n_telemetry == TELEMETRY_MAX || strlen(command) >= sizeof(telemetry[0].command))
		return -ENOSPC;
	strcpy(telemetry[n_telemetry].command, command);
	telemetry[n_telemetry].fn = fn;
	__atomic_store_n(&n_telemetry, n_telemetry + 1, __ATOMIC_RELEASE);
	return rte_telemetry_register_cmd(command, telemetry_answer, help);
}
