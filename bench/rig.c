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

#include "crypto.h"
#include "fib.h"
#include "spd.h"
#include "wire.h"

#define SLOT_BITS  11
#define OWNER_BITS 2
#define SPI(slot)  (0x5cu << 24 | (uint32_t)(slot))
#define GW_OUT	   0x0a090001u
#define GW_IN	   0x0a090002u
#define NEXT_HOST  0x0a080002u /* behind GW_IN */
#define DST_NET	   0x0a020000u
#define SRC_HOST   0x0a010005u
#define MBUFS	   2047

const struct rig_alg rig_algs[] = {
	{ "AES-128-GCM", ENCR_AES_GCM_16, 128, INTEG_NONE },
	{ "AES-256-GCM", ENCR_AES_GCM_16, 256, INTEG_NONE },
	{ "AES-128-CBC+SHA1", ENCR_AES_CBC, 128, INTEG_HMAC_SHA1_96 },
	{ "AES-128-CBC+SHA256", ENCR_AES_CBC, 128, INTEG_HMAC_SHA256_128 },
};

const unsigned rig_n_algs = RTE_DIM(rig_algs);

/* [enum sa_dir][port]: port 0 faces the other gateway, port 1 the hosts */
static const uint8_t macs[2][2][6] = {
	[SA_IN] = { { 2, 0, 0, 9, 0, 2 }, { 2, 0, 0, 2, 0, 1 } },
	[SA_OUT] = { { 2, 0, 0, 9, 0, 1 }, { 2, 0, 0, 1, 0, 1 } },
};
static const uint8_t host_mac[6] = { 2, 0, 0, 8, 0, 2 };

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

static int eal_start(unsigned cpu)
{
	static char args[][24] = { "bench", "--no-pci", "--no-telemetry", "--log-level=*:4", "-m", "256",
				   "--lcores", "", "--vdev=net_null0", "", "" };
	char *argv[12] = { 0 };
	int argc = 10;

	snprintf(args[7], sizeof(args[7]), "0@%u", cpu);
	if (huge_pages_free() >= 160) {
		strcpy(args[9], "--in-memory");
	} else {
		fprintf(stderr, "bench: no huge pages: figures with many SAs will be worse\n");
		strcpy(args[9], "--no-huge");
		strcpy(args[10], "--no-shconf");
		argc = 11;
	}
	for (int i = 0; i < argc; i++)
		argv[i] = args[i];
	return rte_eal_init(argc, argv) < 0 ? -1 : 0;
}

static int port_start(struct rig *rig)
{
	struct rte_eth_conf conf = { 0 };

	if (rte_eth_dev_get_port_by_name("net_null0", &rig->null_port))
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
		{ DST_NET, 16, HOP_UNRESOLVED, dir == SA_IN ? 1 : 0,
		  dir == SA_IN ? NEXT_HOST : GW_IN },
		{ 0x0a010000, 24, HOP_CONNECTED, 1, 0 }, /* SRC_HOST's */
		{ 0x0a080000, 24, HOP_CONNECTED, 1, 0 },
		{ 0x0a090000, 24, HOP_CONNECTED, 0, 0 },
		{ dir == SA_IN ? GW_IN : GW_OUT, 32, HOP_LOCAL, 0, 0 },
	};
	struct fib_neighbour n[] = { { NEXT_HOST, 1, { 0 } },
				     { dir == SA_IN ? GW_OUT : GW_IN, 0, { 0 } } };
	struct fib_input in = { .route = r, .n_routes = RTE_DIM(r), .neighbour = n, .n_neighbours = 2 };

	memcpy(n[0].mac, host_mac, 6);
	memcpy(n[1].mac, macs[!dir][0], 6);
	for (unsigned i = 0; i < 2; i++) {
		memcpy(in.port[i].mac, macs[dir][i], 6);
		in.port[i].mtu = 1600;
	}
	qsort(r, RTE_DIM(r), sizeof(r[0]), fib_route_cmp);
	qsort(n, 2, sizeof(n[0]), fib_neighbour_cmp);
	return fib_build(&in);
}

static struct lcore *gateway(struct rig *rig, enum sa_dir dir)
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
	lc->evt = rte_ring_create_elem(dir == SA_IN ? "evt_in" : "evt_out", sizeof(struct evt), 64,
				       SOCKET_ID_ANY, 0);
	lc->punt = rte_ring_create(dir == SA_IN ? "punt_in" : "punt_out", 64, SOCKET_ID_ANY, 0);
	lc->handover[0] = rte_ring_create(dir == SA_IN ? "inbox_in" : "inbox_out", 64, SOCKET_ID_ANY,
					  0);
	lc->fib = routes(dir);
	lc->mb = crypto_mgr_new();
	lc->pool = rig->pool;
	lc->tsc_hz = rte_get_tsc_hz();
	lc->now_tsc = rte_rdtsc();
	for (uint16_t i = 0; i < 2; i++) {
		lc->port[i] = (struct lcore_port){ .dev = rig->null_port, .mtu = 1600,
						   .rx_queue = NO_QUEUE };
		memcpy(lc->port[i].mac, macs[dir][i], 6);
	}
	local_set_add(&lc->local, dir == SA_IN ? GW_IN : GW_OUT);
	return lc->sa_in && lc->sa_out && lc->policy_sa && lc->backlog.evt && lc->evt && lc->punt &&
			       lc->handover[0] && lc->fib && lc->mb
		       ? lc
		       : NULL;
}

int rig_start(struct rig *rig, unsigned cpu)
{
	memset(rig, 0, sizeof(*rig));
	if (eal_start(cpu))
		goto fail;
	rig->pool = rte_pktmbuf_pool_create("bench", MBUFS, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
					    SOCKET_ID_ANY);
	if (!rig->pool || port_start(rig))
		goto fail;
	rig->gw[SA_OUT] = gateway(rig, SA_OUT);
	rig->gw[SA_IN] = gateway(rig, SA_IN);
	rig->frames = malloc((size_t)RIG_FRAMES * 2048);
	if (rig->gw[SA_OUT] && rig->gw[SA_IN] && rig->frames)
		return 0;
fail:
	fprintf(stderr, "bench: cannot start: %s\n", rte_strerror(rte_errno));
	return -1;
}

/* ------------------------------------------------------------------------- a case ----------- */

static void sas_clear(struct rig *rig)
{
	for (unsigned i = 0; i < 1u << SLOT_BITS; i++) {
		sa_free(rig->gw[SA_OUT]->sa_out[i].sa);
		sa_free(rig->gw[SA_IN]->sa_in[i].sa);
		rig->gw[SA_OUT]->sa_out[i] = (struct sa_entry){ 0 };
		rig->gw[SA_IN]->sa_in[i] = (struct sa_entry){ 0 };
	}
}

/* Pair i carries the packets to one address. */
static int sa_add(struct rig *rig, enum sa_dir dir, unsigned i)
{
	struct sa_params p = {
		.ref = { .spi = SPI(i), .slot = i },
		.dir = dir,
		.spi = SPI(i),
		.policy = i,
		.proto = SA_ESP,
		.mode = SA_TUNNEL,
		.encr = rig->alg->encr,
		.key_bits = rig->alg->key_bits,
		.integ = rig->alg->integ,
		.local = ip_addr_v4(dir == SA_OUT ? GW_OUT : GW_IN),
		.remote = ip_addr_v4(dir == SA_OUT ? GW_IN : GW_OUT),
		.copy_dscp = true,
	};
	struct ip_range src = { ip_addr_v4(0x0a010000), ip_addr_v4(0x0a01ffff) };
	struct ip_range dst = { ip_addr_v4(DST_NET + i), ip_addr_v4(DST_NET + i) };
	struct sa_entry *table = dir == SA_OUT ? rig->gw[dir]->sa_out : rig->gw[dir]->sa_in;

	p.sel.local = dir == SA_OUT ? src : dst;
	p.sel.remote = dir == SA_OUT ? dst : src;
	for (unsigned k = 0; k < sizeof(p.key); k++)
		p.key[k] = (uint8_t)(i * 7 + k * 13 + 1);
	for (unsigned k = 0; k < sizeof(p.auth); k++)
		p.auth[k] = (uint8_t)(i * 11 + k * 3 + 5);
	table[i].sa = sa_build(rig->gw[dir]->mb, &p, SOCKET_ID_ANY);
	table[i].spi = SPI(i);
	return table[i].sa ? 0 : -1;
}

static int policies(struct rig *rig, enum sa_dir dir)
{
	struct spd_policy *p = calloc(rig->n_sas, sizeof(*p));
	struct lcore *lc = rig->gw[dir];
	struct spd *spd;
	char why[128];

	for (unsigned i = 0; p && i < rig->n_sas; i++) {
		struct ip_range src = { ip_addr_v4(0x0a010000), ip_addr_v4(0x0a01ffff) };
		struct ip_range dst = { ip_addr_v4(DST_NET + i), ip_addr_v4(DST_NET + i) };

		p[i] = (struct spd_policy){ .id = i, .action = POLICY_PROTECT };
		p[i].sel.local = dir == SA_OUT ? src : dst;
		p[i].sel.remote = dir == SA_OUT ? dst : src;
		lc->policy_sa[i] = (struct policy_sa){ .slot = i, .spi = SPI(i) };
	}
	spd = p ? spd_build(p, rig->n_sas, why, sizeof(why)) : NULL;
	free(p);
	if (!spd)
		return -1;
	if (lc->spd)
		spd_free(lc->spd);
	lc->spd = spd;
	return 0;
}

/* Every SA equally often; with many, a burst meets different ones. */
static void order_shuffle(struct rig *rig)
{
	uint32_t x = 88172645;

	for (unsigned i = 0; i < RIG_FRAMES; i++)
		rig->order[i] = (uint16_t)(i % rig->n_sas);
	for (unsigned i = RIG_FRAMES - 1; i > 0; i--) {
		unsigned k;
		uint16_t t;

		x ^= x << 13, x ^= x >> 17, x ^= x << 5;
		k = x % (i + 1);
		t = rig->order[i];
		rig->order[i] = rig->order[k];
		rig->order[k] = t;
	}
}

/* Encrypts the frames that the way in will receive. Half bursts stay in the transmit buffer. */
static int frames_make(struct rig *rig)
{
	struct lcore *lc = rig->gw[SA_OUT];

	for (unsigned i = 0; i < RIG_FRAMES; i += RIG_BURST / 2) {
		struct rte_mbuf *pkts[RIG_BURST];
		struct tx_buffer *tx = &lc->tx[0];

		rig_source_clear(rig, pkts, i);
		rte_pktmbuf_free_bulk(pkts + RIG_BURST / 2, RIG_BURST / 2);
		rig_way_out(lc, pkts, RIG_BURST / 2, NULL);
		if (tx->n != RIG_BURST / 2)
			return -1;
		rig->frame_len = tx->pkt[0]->data_len;
		for (unsigned k = 0; k < tx->n; k++)
			memcpy(rig->frames + (size_t)(i + k) * rig->frame_len,
			       rte_pktmbuf_mtod(tx->pkt[k], void *), rig->frame_len);
		rte_pktmbuf_free_bulk(tx->pkt, tx->n);
		tx->n = 0;
	}
	return 0;
}

int rig_setup(struct rig *rig, const struct rig_alg *alg, unsigned n_sas, uint16_t size)
{
	sas_clear(rig);
	rig->alg = alg;
	rig->n_sas = n_sas;
	rig->size = size;
	order_shuffle(rig);
	for (unsigned i = 0; i < n_sas; i++)
		if (sa_add(rig, SA_OUT, i) || sa_add(rig, SA_IN, i))
			goto fail;
	if (policies(rig, SA_OUT) || policies(rig, SA_IN) || frames_make(rig))
		goto fail;
	return 0;
fail:
	fprintf(stderr, "bench: cannot set up %s with %u SAs: %s\n", alg->name, n_sas, strerror(errno));
	rig_drops_print(rig->gw[SA_OUT]);
	return -1;
}

void rig_stop(struct rig *rig)
{
	sas_clear(rig);
	for (unsigned i = 0; i < 2; i++) {
		struct lcore *lc = rig->gw[i];

		free_mb_mgr(lc->mb);
		spd_free(lc->spd);
		fib_free(lc->fib);
	}
	free(rig->frames);
	rte_eth_dev_stop(rig->null_port);
	rte_eal_cleanup();
}

/* ------------------------------------------------------------------------- packets ---------- */

static uint16_t sa_of(const struct rig *rig, unsigned i)
{
	return rig->order[i % RIG_FRAMES];
}

static void inner_header(const struct rig *rig, unsigned i, uint8_t *ip)
{
	static const uint8_t head[28] = { 0x45, 0, 0, 0, 0, 0, 0, 0, 64, PROTO_UDP };

	memcpy(ip, head, sizeof(head));
	store_be16(ip + IP4_TOTAL, rig->size);
	store_be16(ip + IP4_ID, (uint16_t)i);
	store_be32(ip + IP4_SRC, SRC_HOST);
	store_be32(ip + IP4_DST, DST_NET + sa_of(rig, i));
	ip4_sum_set(ip);
	store_be16(ip + 20, 4000);
	store_be16(ip + 22, 4001);
	store_be16(ip + 24, (uint16_t)(rig->size - 20));
}

void rig_inner(const struct rig *rig, unsigned i, uint8_t *ip)
{
	for (unsigned k = 28; k < rig->size; k++)
		ip[k] = (uint8_t)(i * 31 + k);
	inner_header(rig, i, ip);
}

static void frame_open(struct rte_mbuf *pkt, uint16_t len)
{
	pkt->data_len = len;
	pkt->pkt_len = len;
	*pkt_meta(pkt) = (struct pkt_meta){ 0 };
}

/* Headers only: the payload is whatever lies in the buffer. */
void rig_source_clear(struct rig *rig, struct rte_mbuf **pkts, unsigned first)
{
	if (rte_pktmbuf_alloc_bulk(rig->pool, pkts, RIG_BURST))
		rte_panic("bench: packets leak\n");
	for (unsigned i = 0; i < RIG_BURST; i++) {
		uint8_t *eth = rte_pktmbuf_mtod(pkts[i], uint8_t *);

		frame_open(pkts[i], (uint16_t)(ETH_LEN + rig->size));
		pkt_meta(pkts[i])->port = 1;
		memcpy(eth + ETH_DST, macs[SA_OUT][1], 6);
		memcpy(eth + ETH_SRC, host_mac, 6);
		store_be16(eth + ETH_TYPE, ETHERTYPE_IP4);
		inner_header(rig, first + i, eth + ETH_LEN);
	}
}

void rig_source_esp(struct rig *rig, struct rte_mbuf **pkts, unsigned first)
{
	if (rte_pktmbuf_alloc_bulk(rig->pool, pkts, RIG_BURST))
		rte_panic("bench: packets leak\n");
	for (unsigned i = 0; i < RIG_BURST; i++) {
		frame_open(pkts[i], rig->frame_len);
		memcpy(rte_pktmbuf_mtod(pkts[i], void *),
		       rig->frames + (size_t)((first + i) % RIG_FRAMES) * rig->frame_len,
		       rig->frame_len);
	}
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

void rig_replay_reset(struct rig *rig)
{
	for (unsigned i = 0; i < rig->n_sas; i++) {
		struct sa *sa = rig->gw[SA_IN]->sa_in[i].sa;

		sa->seq = 0;
		memset(sa->window, 0, sizeof(sa->window));
	}
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
