/* The loop of a worker lcore: everything to completion, then round again. */
#include <rte_branch_prediction.h>
#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <time.h>

#include "lcore.h"
#include "mss.h"
#include "reassembly.h"
#include "spd.h"
#include "watch.h"

#define EMPTY_ROUNDS 256 /* before an idle lcore sleeps, where it may */
#define SLEEP_NS     50000

/* ------------------------------------------------------------------------- ways ------------- */

static void encrypt(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n)
{
	if (n == 0)
		return;
	watch_at(lc, AT_ESP_OUT, pkts, n);
	n = stage_cut(lc, pkts, n);
	n = stage_esp_out(lc, pkts, n);
	if (unlikely(lc->path_mtu))
		n = stage_cut_outer(lc, pkts, n);
	watch_at(lc, AT_FORWARD, pkts, n);
	stage_forward(lc, pkts, n);
}

static void transit(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n)
{
	struct rte_mbuf *out[2 * BURST];
	uint16_t n_out;

	if (n == 0)
		return;
	watch_at(lc, AT_POLICY, pkts, n);
	n = stage_spd(lc, pkts, n, out, &n_out);
	if (unlikely(lc->clamp_mss))
		mss_clamp_leaving(lc, pkts, n);
	watch_at(lc, AT_FORWARD, pkts, n);
	stage_forward(lc, pkts, n);
	encrypt(lc, out, n_out);
}

/* Inner packets were authorised by their SA. Only where one may have to go into another SA are they
 * looked up again, so that no protected destination is reached in the clear. */
static void decrypt(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n)
{
	if (n == 0)
		return;
	watch_at(lc, AT_ESP_IN, pkts, n);
	n = stage_esp_in(lc, pkts, n);
	watch_at(lc, AT_DECRYPTED, pkts, n);
	if (lc->spd->hub) {
		transit(lc, pkts, n);
		return;
	}
	if (unlikely(lc->clamp_mss))
		mss_clamp_leaving(lc, pkts, n);
	watch_at(lc, AT_FORWARD, pkts, n);
	stage_forward(lc, pkts, n);
}

/* ------------------------------------------------------------------------- sources ---------- */

static void frames_run(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n)
{
	struct rte_mbuf *esp[BURST], *host[BURST];
	uint16_t n_esp, n_host, n_transit;

	n_transit = stage_classify(lc, pkts, n, esp, &n_esp, host, &n_host);
	if (unlikely(lc->clamp_mss))
		mss_clamp_arrived(lc, pkts, n_transit);
	decrypt(lc, esp, n_esp);
	transit(lc, pkts, n_transit);
	watch_at(lc, AT_HOST, host, n_host);
	stage_host(lc, host, n_host);
}

static unsigned from_port(struct lcore *lc, uint8_t port)
{
	const struct lcore_port *p = &lc->port[port];
	struct rte_mbuf *pkts[BURST];
	uint16_t n;

	n = rte_eth_rx_burst(p->dev, p->rx_queue, pkts, BURST);
	if (n == 0)
		return 0;
	lc->count.rx_packets += n;
	for (uint16_t i = 0; i < n; i++) {
		lc->count.rx_bytes += rte_pktmbuf_pkt_len(pkts[i]);
		pkt_meta(pkts[i])->port = port;
	}
	frames_run(lc, pkts, watch_from(lc, pkts, n, true, frames_run));
	return n;
}

/* The SPI says which slot, and whether the pair is still there. */
static bool to_encrypt(struct lcore *lc, struct rte_mbuf *pkt)
{
	struct pkt_meta *meta = pkt_meta(pkt);
	uint32_t slot = spi_slot(&lc->spi, meta->slot);

	meta->flags &= (uint8_t)~PKT_TO_ENCRYPT;
	if (unlikely(lc->sa_out[slot].spi != meta->slot))
		return false;
	meta->slot = slot;
	return true;
}

/* A pair that went while packets for it were on their way here has a successor mostly: those packets
 * ask the policies once more. Two workers that are about to hear of it may pass a packet to and fro
 * until they have. */
static void workers_run(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n)
{
	struct rte_mbuf *in[BURST], *out[BURST], *again[BURST], *pieces[BURST];
	uint16_t n_in = 0, n_out = 0, n_again = 0, n_pieces = 0;

	for (unsigned i = 0; i < n; i++) {
		uint8_t flags = pkt_meta(pkts[i])->flags;
		if (flags & PKT_FRAME)
			lcore_tx(lc, pkts[i]);
		else if (unlikely(flags & PKT_FRAGMENT))
			pieces[n_pieces++] = pkts[i];
		else if (!(flags & PKT_TO_ENCRYPT))
			in[n_in++] = pkts[i];
		else if (to_encrypt(lc, pkts[i]))
			out[n_out++] = pkts[i];
		else
			again[n_again++] = pkts[i];
	}
	if (unlikely(n_pieces)) {
		struct rte_mbuf *host[BURST];
		uint16_t n_host = 0;
		stage_reassemble(lc, pieces, n_pieces, in, &n_in, host, &n_host);
		watch_at(lc, AT_HOST, host, n_host);
		stage_host(lc, host, n_host);
	}
	decrypt(lc, in, n_in);
	encrypt(lc, out, n_out);
	transit(lc, again, n_again);
}

static unsigned from_workers(struct lcore *lc)
{
	struct rte_mbuf *pkts[BURST];
	unsigned n = rte_ring_sc_dequeue_burst(lc->handover[lc->id], (void **)pkts, BURST, NULL);

	lc->count.handover_in += n;
	workers_run(lc, pkts, watch_from(lc, pkts, (uint16_t)n, false, workers_run));
	return n;
}

static void control_run(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n)
{
	uint16_t n_ip = 0;

	for (uint16_t i = 0; i < n; i++) {
		if (pkt_meta(pkts[i])->flags & PKT_FRAME)
			lcore_tx(lc, pkts[i]);
		else
			pkts[n_ip++] = pkts[i];
	}
	transit(lc, pkts, n_ip);
}

static unsigned from_control(struct lcore *lc)
{
	struct rte_mbuf *pkts[BURST];
	unsigned n = rte_ring_sc_dequeue_burst(lc->inject, (void **)pkts, BURST, NULL);

	lc->count.injected += n;
	control_run(lc, pkts, watch_from(lc, pkts, (uint16_t)n, false, control_run));
	return n;
}

/* ------------------------------------------------------------------------- the loop --------- */

unsigned lcore_round(struct lcore *lc)
{
	unsigned work = lcore_commands(lc);

	work += from_control(lc);
	work += from_workers(lc);
	for (uint8_t i = 0; i < lc->n_ports; i++)
		if (lc->port[i].rx_queue != NO_QUEUE)
			work += from_port(lc, i);
	if (unlikely(lc->reassembly_due <= lc->now_tsc))
		reassembly_expire(lc);
	lcore_flush(lc);
	return work;
}

static void idle(const struct lcore *lc, unsigned *empty)
{
	static const struct timespec nap = { .tv_nsec = SLEEP_NS };

	if (lc->idle != DP_IDLE_SLEEP || ++*empty < EMPTY_ROUNDS)
		return;
	nanosleep(&nap, NULL);
}

int lcore_main(void *arg)
{
	struct lcore *lc = arg;
	unsigned empty = 0;

	lc->now_tsc = rte_rdtsc();
	while (!__atomic_load_n(&lc->stop, __ATOMIC_ACQUIRE)) {
		uint64_t start = lc->now_tsc;
		unsigned work = lcore_round(lc);
		if (work)
			empty = 0;
		else
			idle(lc, &empty);
		lc->now_tsc = rte_rdtsc();
		*(work ? &lc->count.busy_tsc : &lc->count.idle_tsc) += lc->now_tsc - start;
	}
	/* what control sent before it stopped us still leaves: its peers are told goodbye */
	while (!rte_ring_empty(lc->inject))
		lcore_round(lc);
	lcore_flush(lc);
	return 0;
}
