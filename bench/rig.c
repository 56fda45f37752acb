#include "rig.h"

#include <errno.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>
#include <rte_ring_elem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu.h"
#include "crypto.h"
#include "fib.h"
#include "spd.h"

#define MBUFS 2047

const struct rig_alg rig_algs[] = {
	{ "AES-128-GCM", ENCR_AES_GCM_16, 128, INTEG_NONE },
	{ "AES-256-GCM", ENCR_AES_GCM_16, 256, INTEG_NONE },
	{ "AES-128-CBC+SHA1", ENCR_AES_CBC, 128, INTEG_HMAC_SHA1_96 },
	{ "AES-128-CBC+SHA256", ENCR_AES_CBC, 128, INTEG_HMAC_SHA256_128 },
};

const unsigned rig_n_algs = RTE_DIM(rig_algs);

const uint8_t rig_macs[2][2][6] = {
	[SA_IN] = { { 2, 0, 0, 9, 0, 2 }, { 2, 0, 0, 2, 0, 1 } },
	[SA_OUT] = { { 2, 0, 0, 9, 0, 1 }, { 2, 0, 0, 1, 0, 1 } },
};
const uint8_t rig_host_mac[6] = { 2, 0, 0, 8, 0, 2 };

/* ------------------------------------------------------------------------- start ------------ */

static unsigned huge_pages_free(void)
{
	FILE *f = fopen("/proc/meminfo", "r");
	unsigned n = 0;
	char line[128];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "HugePages_Free: %u", &n) == 1)
			break;
	if (f)
		fclose(f);
	return n;
}

int rig_eal_start(const unsigned *cpu, unsigned n, bool huge_pages)
{
	static char args[][24] = { "bench",
				   "--no-pci",
				   "--no-telemetry",
				   "--log-level=*:4",
				   "--lcores",
				   "",
				   "--vdev=net_null0",
				   "--vdev=net_null1",
				   "",
				   "",
				   "",
				   "" };
	char *argv[13] = { 0 };
	int argc = 8;

	if (n == 1)
		snprintf(args[5], sizeof(args[5]), "0@%u", cpu[0]);
	else
		snprintf(args[5], sizeof(args[5]), "0@%u,1@%u", cpu[0], cpu[1]);
	if (huge_pages && huge_pages_free() >= 160) {
		strcpy(args[argc++], "--in-memory");
	} else {
		if (huge_pages)
			fprintf(stderr,
				"bench: no huge pages: figures with many SAs will be worse\n");
		strcpy(args[argc++], "--no-huge");
		strcpy(args[argc++], "--no-shconf");
		strcpy(args[argc++], "-m");
		strcpy(args[argc++], "1024");
	}
	for (int i = 0; i < argc; i++)
		argv[i] = args[i];
	return rte_eal_init(argc, argv) < 0 ? -1 : 0;
}

static int port_start(struct rig *rig, const char *name)
{
	struct rte_eth_conf conf = { 0 };

	if (rte_eth_dev_get_port_by_name(name, &rig->null_port))
		return -1;
	if (rte_eth_dev_configure(rig->null_port, 1, 1, &conf) ||
	    rte_eth_rx_queue_setup(rig->null_port, 0, 64, SOCKET_ID_ANY, NULL, rig->pool) ||
	    rte_eth_tx_queue_setup(rig->null_port, 0, 64, SOCKET_ID_ANY, NULL))
		return -1;
	return rte_eth_dev_start(rig->null_port);
}

static struct fib *routes(enum sa_dir dir)
{
	struct fib_route r[] = {
		fib_route_v4(DST_NET, 12, HOP_UNRESOLVED, dir == SA_IN ? 1 : 0,
			     dir == SA_IN ? NEXT_HOST : GW_IN),
		fib_route_v4(0x0a010000, 24, HOP_CONNECTED, 1, 0), /* SRC_HOST's */
		fib_route_v4(0x0a080000, 24, HOP_CONNECTED, 1, 0),
		fib_route_v4(0x0a090000, 24, HOP_CONNECTED, 0, 0),
		fib_route_v4(dir == SA_IN ? GW_IN : GW_OUT, 32, HOP_LOCAL, 0, 0),
	};
	struct fib_neighbour n[] = { { ip_addr_v4(NEXT_HOST), 1, { 0 } },
				     { ip_addr_v4(dir == SA_IN ? GW_OUT : GW_IN), 0, { 0 } } };
	struct fib_input in = {
		.route = r, .n_routes = RTE_DIM(r), .neighbour = n, .n_neighbours = 2
	};

	memcpy(n[0].mac, rig_host_mac, 6);
	memcpy(n[1].mac, rig_macs[!dir][0], 6);
	for (unsigned i = 0; i < 2; i++) {
		memcpy(in.port[i].mac, rig_macs[dir][i], 6);
		in.port[i].mtu = 1600;
	}
	qsort(r, RTE_DIM(r), sizeof(r[0]), fib_route_cmp);
	qsort(n, 2, sizeof(n[0]), fib_neighbour_cmp);
	return fib_build(&in);
}

/* Names of DPDK's objects are one namespace for all rigs. */
static struct rte_ring *ring_new(const char *what, enum sa_dir dir, unsigned index, unsigned elem)
{
	char name[RTE_RING_NAMESIZE];

	snprintf(name, sizeof(name), "%s_%u_%u", what, dir, index);
	return elem ? rte_ring_create_elem(name, elem, 64, SOCKET_ID_ANY, 0)
		    : rte_ring_create(name, 64, SOCKET_ID_ANY, 0);
}

static struct lcore *gateway(struct rig *rig, enum sa_dir dir, unsigned index)
{
	size_t slots = 1u << SLOT_BITS;
	struct lcore *lc = rte_zmalloc("lcore", sizeof(*lc), 64);

	if (!lc)
		return NULL;
	lc->n_ports = 2;
	lc->n_workers = 1;
	lc->spi = (struct spi_layout){ SLOT_BITS, OWNER_BITS };
	lc->sa_in = rte_zmalloc(NULL, slots * sizeof(*lc->sa_in), 64);
	lc->sa_out = rte_zmalloc(NULL, slots * sizeof(*lc->sa_out), 64);
	lc->policy_sa = rte_zmalloc(NULL, SPD_MAX_POLICIES * sizeof(*lc->policy_sa), 64);
	lc->backlog.size = event_backlog_size((uint32_t)slots);
	lc->backlog.evt = rte_zmalloc(NULL, lc->backlog.size * sizeof(struct evt), 64);
	lc->evt = ring_new("evt", dir, index, sizeof(struct evt));
	lc->punt = ring_new("punt", dir, index, 0);
	lc->handover[0] = ring_new("inbox", dir, index, 0);
	lc->fib = routes(dir);
	lc->mb = cpu_mgr_new();
	lc->pool = rig->pool;
	lc->tsc_hz = rte_get_tsc_hz();
	lc->now_tsc = rte_rdtsc();
	for (uint16_t i = 0; i < 2; i++) {
		lc->port[i] = (struct lcore_port){ .dev = rig->null_port,
						   .mtu = 1600,
						   .rx_queue = NO_QUEUE };
		port_mac_set(&lc->port[i], rig_macs[dir][i]);
	}
	local_set_add(&lc->local, dir == SA_IN ? GW_IN : GW_OUT);
	return lc->sa_in && lc->sa_out && lc->policy_sa && lc->backlog.evt && lc->evt && lc->punt &&
			       lc->handover[0] && lc->fib && lc->mb
		       ? lc
		       : NULL;
}

int rig_init(struct rig *rig, unsigned index)
{
	char name[32];

	memset(rig, 0, sizeof(*rig));
	snprintf(name, sizeof(name), "bench%u", index);
	rig->pool = rte_pktmbuf_pool_create(name, MBUFS, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
					    SOCKET_ID_ANY);
	snprintf(name, sizeof(name), "net_null%u", index);
	if (!rig->pool || port_start(rig, name))
		goto fail;
	rig->gw[SA_OUT] = gateway(rig, SA_OUT, index);
	rig->gw[SA_IN] = gateway(rig, SA_IN, index);
	if (rig->gw[SA_OUT] && rig->gw[SA_IN])
		return 0;
fail:
	fprintf(stderr, "bench: cannot start: %s\n", rte_strerror(rte_errno));
	return -1;
}

void rig_fini(struct rig *rig)
{
	rig_clear(rig);
	for (unsigned i = 0; i < 2; i++) {
		struct lcore *lc = rig->gw[i];

		free_mb_mgr(lc->mb);
		spd_free(lc->spd);
		fib_free(lc->fib);
	}
	free(rig->frames);
	free(rig->frame_len);
	free(rig->order);
	rte_eth_dev_stop(rig->null_port);
}

/* ------------------------------------------------------------------------- ways ------------- */

static inline uint64_t stamp(uint64_t *ticks, enum rig_stage stage, uint64_t since)
{
	uint64_t now;

	if (!ticks)
		return 0;
	now = rte_rdtsc();
	ticks[stage] += now - since;
	return now;
}

void rig_way_out(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n, uint64_t *ticks)
{
	struct rte_mbuf *esp[RIG_BURST], *host[RIG_BURST], *out[2 * RIG_BURST];
	uint64_t t = ticks ? rte_rdtsc() : 0;
	uint16_t n_esp, n_host, n_out;

	n = stage_classify(lc, pkts, n, esp, &n_esp, host, &n_host);
	t = stamp(ticks, RIG_CLASSIFY, t);
	n = stage_spd(lc, pkts, n, out, &n_out);
	t = stamp(ticks, RIG_POLICY, t);
	if (unlikely(n))
		stage_forward(lc, pkts, n);
	n_out = stage_esp_out(lc, out, n_out);
	t = stamp(ticks, RIG_ESP, t);
	stage_forward(lc, out, n_out);
	stamp(ticks, RIG_FORWARD, t);
}

void rig_way_in(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n, uint64_t *ticks)
{
	struct rte_mbuf *esp[RIG_BURST], *host[RIG_BURST];
	uint64_t t = ticks ? rte_rdtsc() : 0;
	uint16_t n_esp, n_host;

	n = stage_classify(lc, pkts, n, esp, &n_esp, host, &n_host);
	t = stamp(ticks, RIG_CLASSIFY, t);
	n_esp = stage_esp_in(lc, esp, n_esp);
	t = stamp(ticks, RIG_ESP, t);
	stage_forward(lc, esp, n_esp);
	stamp(ticks, RIG_FORWARD, t);
}

uint64_t rig_drops(const struct lcore *lc)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < DROP_COUNT; i++)
		sum += lc->count.drop[i];
	return sum;
}

void rig_drops_print(const struct lcore *lc)
{
	static const char *const names[] = {
#define X(name, text) #name,
		DROP_REASONS(X)
#undef X
	};

	for (unsigned i = 0; i < DROP_COUNT; i++)
		if (lc->count.drop[i])
			fprintf(stderr, "bench: dropped %lu: %s\n", lc->count.drop[i], names[i]);
}
