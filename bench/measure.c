#include "measure.h"

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto.h"
#include "wire.h"

/* Makes a burst outside of the time that counts. */
static void source(struct rig *rig, enum sa_dir dir, struct rte_mbuf **pkts, unsigned first)
{
	if (dir == SA_OUT)
		rig_source_clear(rig, pkts, first);
	else
		rig_source_esp(rig, pkts, first);
}

/* ticks: one sum for each stage. Returns their total. */
static uint64_t time_whole(struct rig *rig, enum sa_dir dir, unsigned packets, uint64_t *ticks)
{
	struct lcore *lc = rig->gw[dir];
	uint64_t sum = 0;

	memset(ticks, 0, RIG_STAGES * sizeof(*ticks));
	for (unsigned i = 0; i < packets; i += RIG_BURST) {
		struct rte_mbuf *pkts[RIG_BURST];
		uint64_t start;

		if (dir == SA_IN && i % RIG_FRAMES == 0)
			rig_replay_reset(rig);
		source(rig, dir, pkts, i);
		lc->now_tsc = rte_rdtsc();
		if (dir == SA_OUT)
			rig_way_out(lc, pkts, RIG_BURST, ticks);
		else
			rig_way_in(lc, pkts, RIG_BURST, ticks);
		/* a full buffer was sent by the last stage; what is left goes now */
		start = rte_rdtsc();
		lcore_flush(lc);
		ticks[RIG_FORWARD] += rte_rdtsc() - start;
	}
	for (unsigned i = 0; i < RIG_STAGES; i++)
		sum += ticks[i];
	return sum;
}

static uint64_t time_sink(struct rig *rig, enum sa_dir dir, unsigned packets)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < packets; i += RIG_BURST) {
		struct rte_mbuf *pkts[RIG_BURST];
		uint64_t start;

		source(rig, dir, pkts, i);
		start = rte_rdtsc();
		rte_eth_tx_burst(rig->null_port, 0, pkts, RIG_BURST);
		sum += rte_rdtsc() - start;
	}
	return sum;
}

static void crypto_gcm(struct lcore *lc, enum sa_dir dir, struct sa *const *sas, uint8_t *const *esp,
		       uint32_t clen)
{
	struct gcm_context_data ctx;
	uint8_t nonce[12] = { 1, 2, 3, 4 }, tag[16];

	for (unsigned i = 0; i < RIG_BURST; i++) {
		uint8_t *data = esp[i] + 16;

		memcpy(nonce + 4, esp[i] + 8, 8);
		if (dir == SA_OUT)
			crypto_gcm_encrypt(lc->mb, sas[i], &ctx, data, clen, nonce, esp[i], 8, data + clen);
		else
			crypto_gcm_decrypt(lc->mb, sas[i], &ctx, data, clen, nonce, esp[i], 8, tag);
	}
}

static void crypto_chain(struct lcore *lc, struct sa *const *sas, uint8_t *const *esp, uint32_t len)
{
	static struct crypto_op op[RIG_BURST];
	static uint8_t tag[RIG_BURST][CRYPTO_TAG_MAX];

	for (unsigned i = 0; i < RIG_BURST; i++)
		op[i] = (struct crypto_op){ .sa = sas[i], .esp = esp[i], .esp_len = len, .tag = tag[i] };
	crypto_chain_run(lc->mb, op, RIG_BURST);
}

/* The same calls on the same buffers at the same offsets, and nothing else. */
static uint64_t time_crypto(struct rig *rig, enum sa_dir dir, unsigned packets)
{
	struct lcore *lc = rig->gw[dir];
	uint64_t sum = 0;

	for (unsigned i = 0; i < packets; i += RIG_BURST) {
		struct rte_mbuf *pkts[RIG_BURST];
		uint8_t *esp[RIG_BURST];
		struct sa *sas[RIG_BURST];
		uint32_t clen;
		uint64_t start;

		source(rig, dir, pkts, i);
		for (unsigned k = 0; k < RIG_BURST; k++) {
			uint16_t slot = rig->order[(i + k) % RIG_FRAMES];

			sas[k] = dir == SA_OUT ? lc->sa_out[slot].sa : lc->sa_in[slot].sa;
			esp[k] = rte_pktmbuf_mtod_offset(pkts[k], uint8_t *, ETH_LEN);
			esp[k] += dir == SA_OUT ? -8 - sas[k]->iv_len : 20;
		}
		clen = (rig->size + 2u + sas[0]->pad_to - 1) & ~(sas[0]->pad_to - 1u);
		start = rte_rdtsc();
		if (sas[0]->crypto < SA_CHAIN)
			crypto_gcm(lc, dir, sas, esp, clen);
		else
			crypto_chain(lc, sas, esp, 8u + sas[0]->iv_len + clen);
		sum += rte_rdtsc() - start;
		rte_pktmbuf_free_bulk(pkts, RIG_BURST);
	}
	return sum;
}

static int double_cmp(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static struct stat stat_of(double *v, unsigned n)
{
	qsort(v, n, sizeof(*v), double_cmp);
	return (struct stat){ .median = v[n / 2], .low = v[n / 4], .high = v[n - 1 - n / 4] };
}

int measure(struct rig *rig, enum sa_dir dir, unsigned reps, unsigned packets, struct result *out)
{
	static double gross[MEASURE_MAX_REPS], sink[MEASURE_MAX_REPS], crypto[MEASURE_MAX_REPS];
	static double stage[RIG_STAGES][MEASURE_MAX_REPS];
	uint64_t before = rig_drops(rig->gw[dir]), ticks[RIG_STAGES];
	double ns;

	packets = (packets + RIG_BURST - 1) / RIG_BURST * RIG_BURST;
	ns = 1e9 / (double)rte_get_tsc_hz() / packets;
	time_whole(rig, dir, packets / RIG_BURST / 8 * RIG_BURST, ticks); /* warm up */
	for (unsigned r = 0; r < reps; r++) {
		gross[r] = (double)time_whole(rig, dir, packets, ticks) * ns;
		for (unsigned i = 0; i < RIG_STAGES; i++)
			stage[i][r] = (double)ticks[i] * ns;
		crypto[r] = (double)time_crypto(rig, dir, packets) * ns;
		sink[r] = (double)time_sink(rig, dir, packets) * ns;
	}
	*out = (struct result){
		.dir = dir,
		.alg = rig->alg,
		.n_sas = rig->n_sas,
		.size = rig->size,
		.gross = stat_of(gross, reps),
		.sink = stat_of(sink, reps),
		.crypto = stat_of(crypto, reps),
	};
	for (unsigned i = 0; i < RIG_STAGES; i++)
		out->stage[i] = stat_of(stage[i], reps);
	out->net = out->gross.median - out->sink.median;
	if (rig_drops(rig->gw[dir]) == before)
		return 0;
	rig_drops_print(rig->gw[dir]);
	return -1;
}

/* ------------------------------------------------------------------------- verify ----------- */

/* Moves what waits in a transmit buffer into pkts, as if it came in on port 0. */
static uint16_t take(struct tx_buffer *tx, struct rte_mbuf **pkts)
{
	uint16_t n = tx->n;

	memcpy(pkts, tx->pkt, n * sizeof(*pkts));
	for (uint16_t i = 0; i < n; i++)
		*pkt_meta(pkts[i]) = (struct pkt_meta){ 0 };
	tx->n = 0;
	return n;
}

static bool same(const struct rig *rig, unsigned i, const struct rte_mbuf *pkt)
{
	uint8_t want[2048];
	const uint8_t *ip = rte_pktmbuf_mtod_offset(pkt, const uint8_t *, ETH_LEN);

	rig_inner(rig, i, want);
	/* one TTL at each gateway */
	ip4_ttl_decrement(want);
	ip4_ttl_decrement(want);
	return pkt->pkt_len == (uint32_t)ETH_LEN + rig->size && memcmp(ip, want, rig->size) == 0;
}

int verify(struct rig *rig, unsigned n)
{
	const unsigned half = RIG_BURST / 2; /* less than a full buffer: it is not sent on */

	/* SA_IN has not seen the numbers of the frames that rig_setup() made: they are simply older */
	for (unsigned i = 0; i < n; i += half) {
		struct rte_mbuf *pkts[RIG_BURST];
		uint16_t got;

		rig_source_clear(rig, pkts, i);
		rte_pktmbuf_free_bulk(pkts + half, half);
		for (unsigned k = 0; k < half; k++)
			rig_inner(rig, i + k, rte_pktmbuf_mtod_offset(pkts[k], uint8_t *, ETH_LEN));
		rig_way_out(rig->gw[SA_OUT], pkts, (uint16_t)half, NULL);
		got = take(&rig->gw[SA_OUT]->tx[0], pkts);
		rig_way_in(rig->gw[SA_IN], pkts, got, NULL);
		got = take(&rig->gw[SA_IN]->tx[1], pkts);
		for (unsigned k = 0; k < half; k++) {
			if (k < got && same(rig, i + k, pkts[k]))
				continue;
			fprintf(stderr, "bench: packet %u came back %s\n", i + k,
				k < got ? "different" : "not at all");
			rig_drops_print(rig->gw[SA_OUT]);
			rig_drops_print(rig->gw[SA_IN]);
			return -1;
		}
		rte_pktmbuf_free_bulk(pkts, got);
	}
	return 0;
}
