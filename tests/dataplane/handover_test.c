/* Two workers that hand packets to each other under more load than they can carry, first one
 * direction, then the other: every packet that came in went out, went up to control, or was dropped
 * under a name, to the packet. Then what a hand-over costs. */
#include <rte_cycles.h>
#include <stdio.h>
#include <string.h>

#include "ring_rig.h"
#include "wire.h"

#define WORKERS 2
#define BLAST   40000 /* packets in one direction */
#define KEPT    4096  /* frames of ESP that are kept for the way in */

static struct sa_ref ref[4]; /* of policy 0: worker 0; 1: worker 1; 2: none */
static struct rte_mbuf *kept[KEPT];
static unsigned n_kept;

static void drain(bool keep)
{
	struct rte_mbuf *pkt;

	for (unsigned port = 0; port < PORTS; port++)
		for (unsigned q = 0; q < WORKERS; q++)
			while ((pkt = rig_leaving(port, q))) {
				if (keep && n_kept < KEPT && rig_spi_of(pkt))
					kept[n_kept++] = pkt;
				else
					rte_pktmbuf_free(pkt);
			}
}

/* Until the workers have nothing left and nothing changes. */
static struct rig_totals settle(bool keep)
{
	struct rig_totals t = rig_totals(false), last;
	double end = rig_seconds() + 20;

	do {
		last = t;
		drain(keep);
		rig_poll_for(0.1);
		t = rig_totals(false);
	} while (memcmp(&t, &last, sizeof(t)) != 0 && rig_seconds() < end);
	drain(keep);
	return t;
}

static struct rig_totals difference(struct rig_totals a, const struct rig_totals *b)
{
	uint64_t *x = (uint64_t *)&a;
	const uint64_t *y = (const uint64_t *)b;

	for (unsigned i = 0; i < sizeof(a) / sizeof(*x); i++)
		x[i] -= y[i];
	return a;
}

static void sums(const char *what, const struct rig_totals *t, uint64_t sent)
{
	printf("# %s: received %llu, injected %llu, sent %llu, punted %llu, dropped %llu; handed "
	       "over "
	       "%llu\n",
	       what, (unsigned long long)t->rx, (unsigned long long)t->injected,
	       (unsigned long long)t->tx, (unsigned long long)t->punted,
	       (unsigned long long)t->drops, (unsigned long long)t->handed);
	check(t->rx == sent, "the workers received what the test sent");
	check(t->handed == t->taken && t->handed > sent / 8, "what was handed over arrived");
	check(t->rx + t->injected == t->tx + t->punted + t->drops,
	      "received + injected = sent + punted + dropped");
	check(t->drops > 0 && t->tx > 0, "some were sent and some dropped");
}

/* Every packet of a mix that meets most ends: the SA of either worker, no policy, no SA, TTL 1 (an
 * ICMP error follows), a bad checksum, and a transmit ring that is emptied too seldom. */
static struct rte_mbuf *any_clear(uint32_t n)
{
	struct rte_mbuf *pkt = rig_clear(n, n % 16 < 14 ? n / 2 % 2 : n % 16 == 14 ? 2 : 9, 60);
	uint8_t *ip = rte_pktmbuf_mtod(pkt, uint8_t *);

	if (n % 64 == 3)
		ip[IP4_TTL] = 1;
	if (n % 64 == 3)
		ip4_sum_set(ip);
	if (n % 64 == 35)
		ip[IP4_SUM] ^= 1;
	return pkt;
}

static void way_out(void)
{
	struct rig_totals before = settle(false), t;
	uint64_t sent = 0;

	for (uint32_t n = 0; n < BLAST; n++) {
		sent += rig_frame_in(LAN, n % WORKERS, any_clear(n), true);
		if (n % 512 == 511) {
			drain(true);
			rig_poll_for(0.0005);
		}
	}
	t = settle(true);
	t = difference(t, &before);
	sums("out", &t, sent);
	check(t.esp_out >= n_kept && t.esp_in == 0, "that was one direction");
}

/* The frames that left come back as the peer's: each once on the wrong queue, again as a duplicate,
 * and with a byte changed. */
static void way_in(void)
{
	struct rig_totals before = settle(false), t;
	uint64_t sent = 0;

	check(n_kept > 1000, "there is ESP to send back");
	for (unsigned i = 0; i < n_kept; i++)
		rig_turn(kept[i]);
	for (unsigned n = 0; n < BLAST; n++) {
		struct rte_mbuf *pkt = rte_pktmbuf_copy(kept[n % n_kept], rig_pool, 0, UINT32_MAX);

		must(pkt != NULL, "no packet buffer left");
		if (n % 8 == 7)
			*rte_pktmbuf_mtod_offset(pkt, uint8_t *, 40) ^= 1;
		sent += rig_frame_in(WAN, n / 3 % WORKERS, pkt, true);
		if (n % 256 == 255) {
			drain(false);
			rig_poll_for(0.0005);
		}
	}
	t = settle(false);
	t = difference(t, &before);
	sums("in", &t, sent);
	check(t.esp_in > 0 && t.esp_out == 0, "that was the other direction");
	rte_pktmbuf_free_bulk(kept, n_kept);
}

/* Nanoseconds of work that both workers together spend on a packet, there and back. */
static double cost(bool cross)
{
	struct flow f = { .policies = 2, .to_owner = !cross };
	struct dp_lcore_stats s;
	double busy = 0;

	f.swap = cross;
	for (unsigned i = 0; i < WORKERS; i++)
		dp_lcore_stats(rig_dp, i, &s); /* busy counts from here */
	uint64_t start = rte_rdtsc();
	flow_start(&f);
	rig_poll_for(0.7);
	flow_stop(&f);
	double ns = (double)(rte_rdtsc() - start) * 1e9 / (double)rte_get_tsc_hz();
	for (unsigned i = 0; i < WORKERS; i++) {
		dp_lcore_stats(rig_dp, i, &s);
		busy += s.busy * ns;
	}
	check(f.sent == f.back && f.sent > 200, "every packet comes back");
	return busy / (double)f.back;
}

int main(void)
{
	struct rig_cfg cfg = { .workers = WORKERS };
	double own = 1e9, handed = 1e9;

	rig_start(&cfg, 3);
	must(rig_pair_add(&ref[0], 0, 0) == 0 && rig_pair_add(&ref[1], 1, 1) == 0, "no SA pairs");
	rig_poll_until_stored(4);
	way_out();
	way_in();
	rig_pair_remove(&ref[0]);
	rig_pair_remove(&ref[1]);
	rig_poll_until_removed(0);
	must(rig_pair_add(&ref[2], 0, 0) == 0 && rig_pair_add(&ref[3], 1, 1) == 0, "no SA pairs");
	rig_poll_until_stored(8);
	for (unsigned i = 0; i < 3; i++) {
		double a = cost(false), b = cost(true);
		own = a < own ? a : own;
		handed = b < handed ? b : handed;
	}
	printf("# work of both workers on a packet, there and back: %.0f ns on the owners' queues, "
	       "%.0f "
	       "ns with two hand-overs: %.0f ns each (least of three)\n",
	       own, handed, (handed - own) / 2);
	rig_pair_remove(&ref[2]);
	rig_pair_remove(&ref[3]);
	rig_poll_until_removed(0);
	check(rte_mempool_in_use_count(rig_pool) == 0, "no packet buffer is missing");
	rig_stop();
	return checks_end();
}
