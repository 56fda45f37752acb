#include "measure.h"

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calibrate.h"
#include "crypto.h"
#include "wire.h"

/* Makes a burst outside of the time that counts. */
static void source(struct rig *rig, enum sa_dir dir, struct rte_mbuf **pkts, unsigned first)
{
	if (dir == SA_OUT)
		traffic_clear(rig, pkts, first);
	else
		traffic_esp(rig, pkts, first);
}

/* Ticks of all packets' way. stages: also those of each stage, which cost a reading of the clock each. */
static uint64_t time_whole(struct rig *rig, enum sa_dir dir, unsigned packets, uint64_t *stages)
{
	struct lcore *lc = rig->gw[dir];
	uint64_t sum = 0;

	if (stages)
		memset(stages, 0, RIG_STAGES * sizeof(*stages));
	for (unsigned i = 0; i < packets; i += RIG_BURST) {
		struct rte_mbuf *pkts[RIG_BURST];
		uint64_t start, flush = 0;

		if (dir == SA_IN && i % rig->n_frames == 0)
			traffic_replay_reset(rig);
		source(rig, dir, pkts, i);
		start = lc->now_tsc = rte_rdtsc();
		if (dir == SA_OUT)
			rig_way_out(lc, pkts, RIG_BURST, stages);
		else
			rig_way_in(lc, pkts, RIG_BURST, stages);
		/* a full buffer was sent by the last stage; what is left goes now */
		if (stages)
			flush = rte_rdtsc();
		lcore_flush(lc);
		sum += rte_rdtsc() - start;
		if (stages)
			stages[RIG_FORWARD] += rte_rdtsc() - flush;
	}
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

/* What the cryptography alone is given: the SAs, buffers and lengths of one burst. */
struct crypto_burst {
	struct sa *sa[RIG_BURST];
	uint8_t *esp[RIG_BURST];
	uint32_t clen[RIG_BURST];
};

/* Our own AES-GCM. */
static void crypto_own(enum sa_dir dir, const struct crypto_burst *b)
{
	struct gcm_op op[RIG_BURST];

	for (unsigned i = 0; i < RIG_BURST; i++)
		crypto_own_add(&op[i], b->sa[i], i, i, b->esp[i] + 16, b->clen[i]);
	if (dir == SA_OUT)
		gcm_encrypt(op, RIG_BURST);
	else
		gcm_decrypt(op, RIG_BURST);
}

/* IPsec-MB's, where the SAs use ours. */
static void crypto_library(struct rig *rig, enum sa_dir dir, unsigned first,
			   const struct crypto_burst *b)
{
	IMB_MGR *mb = rig->gw[dir]->mb;
	bool small = rig->now.alg->key_bits == 128;
	aes_gcm_enc_dec_t call = dir == SA_OUT ? small ? mb->gcm128_enc : mb->gcm256_enc
				 : small       ? mb->gcm128_dec
					       : mb->gcm256_dec;
	struct gcm_context_data ctx;
	uint8_t nonce[12] = { 1, 2, 3, 4 }, tag[16];

	for (unsigned i = 0; i < RIG_BURST; i++) {
		uint8_t *esp = b->esp[i], *data = esp + 16;

		memcpy(nonce + 4, esp + 8, 8);
		call(&rig->library_key[traffic_sa(rig, first + i)], &ctx, data, data, b->clen[i],
		     nonce, esp, 8, dir == SA_OUT ? data + b->clen[i] : tag, 16);
	}
}

static void crypto_gcm(struct lcore *lc, enum sa_dir dir, const struct crypto_burst *b)
{
	struct gcm_context_data ctx;
	uint8_t nonce[12] = { 1, 2, 3, 4 }, tag[16];

	for (unsigned i = 0; i < RIG_BURST; i++) {
		uint8_t *esp = b->esp[i], *data = esp + 16;
		uint32_t clen = b->clen[i];

		memcpy(nonce + 4, esp + 8, 8);
		if (dir == SA_OUT)
			crypto_gcm_encrypt(lc->mb, b->sa[i], &ctx, data, clen, nonce, esp, 8,
					   data + clen);
		else
			crypto_gcm_decrypt(lc->mb, b->sa[i], &ctx, data, clen, nonce, esp, 8, tag);
	}
}

static void crypto_chain(struct lcore *lc, const struct crypto_burst *b)
{
	struct crypto_op op[RIG_BURST];
	uint8_t tag[RIG_BURST][CRYPTO_TAG_MAX];

	for (unsigned i = 0; i < RIG_BURST; i++)
		op[i] = (struct crypto_op){ .sa = b->sa[i],
					    .esp = b->esp[i],
					    .esp_len = 8u + b->sa[i]->iv_len + b->clen[i],
					    .tag = tag[i] };
	crypto_chain_run(lc->mb, op, RIG_BURST);
}

static void crypto_prepare(struct rig *rig, enum sa_dir dir, unsigned first, struct rte_mbuf **pkts,
			   struct crypto_burst *b)
{
	struct lcore *lc = rig->gw[dir];

	for (unsigned k = 0; k < RIG_BURST; k++) {
		uint32_t slot = traffic_sa(rig, first + k);
		struct sa *sa = dir == SA_OUT ? lc->sa_out[slot].sa : lc->sa_in[slot].sa;

		b->sa[k] = sa;
		b->esp[k] = rte_pktmbuf_mtod_offset(pkts[k], uint8_t *, ETH_LEN);
		b->esp[k] += dir == SA_OUT ? -8 - sa->iv_len : 20;
		b->clen[k] =
			(traffic_size(rig, first + k) + 2u + sa->pad_to - 1) & ~(sa->pad_to - 1u);
	}
}

/* The same calls on the same buffers at the same offsets, and nothing else. */
static uint64_t time_crypto(struct rig *rig, enum sa_dir dir, unsigned packets, bool library)
{
	struct lcore *lc = rig->gw[dir];
	uint64_t sum = 0;

	for (unsigned i = 0; i < packets; i += RIG_BURST) {
		struct rte_mbuf *pkts[RIG_BURST];
		struct crypto_burst b;
		uint64_t start;

		source(rig, dir, pkts, i);
		crypto_prepare(rig, dir, i, pkts, &b);
		start = rte_rdtsc();
		if (library)
			crypto_library(rig, dir, i, &b);
		else if (b.sa[0]->crypto == SA_GCM_OWN)
			crypto_own(dir, &b);
		else if (b.sa[0]->crypto < SA_CHAIN)
			crypto_gcm(lc, dir, &b);
		else
			crypto_chain(lc, &b);
		sum += rte_rdtsc() - start;
		rte_pktmbuf_free_bulk(pkts, RIG_BURST);
	}
	return sum;
}

/* ------------------------------------------------------------------------- repetitions ------ */

/* The measurements take turns, and each leaves its own keys in the caches. With many SAs a packet
 * would time how its own are fetched again: so a measurement begins with passes over all SAs that
 * do not count. One is not enough: what it throws out of the second level cache is not all in the third
 * level one yet. */
#define WARM_PASSES 3

/* One repetition on one lcore. */
struct turn {
	struct rig *rig;
	enum sa_dir dir;
	bool crypto_alone;
	unsigned packets, of; /* of: how many lcores take part */
	unsigned *present;    /* barrier */
	uint64_t whole;
};

/* Waits until all are here. */
static void meet(struct turn *t)
{
	__atomic_add_fetch(t->present, 1, __ATOMIC_ACQ_REL);
	while (__atomic_load_n(t->present, __ATOMIC_ACQUIRE) % t->of)
		rte_pause();
}

static int turn_run(void *arg)
{
	struct turn *t = arg;

	if (t->crypto_alone) {
		for (unsigned i = 0; t->rig->now.n_sas > 1 && i < WARM_PASSES; i++)
			time_crypto(t->rig, t->dir, t->rig->n_frames, false);
		meet(t);
		t->whole = time_crypto(t->rig, t->dir, t->packets, false);
		return 0;
	}
	for (unsigned i = 0; t->rig->now.n_sas > 1 && i < WARM_PASSES; i++)
		time_whole(t->rig, t->dir, t->rig->n_frames, NULL);
	meet(t);
	t->whole = time_whole(t->rig, t->dir, t->packets, NULL);
	return 0;
}

static uint64_t crypto_turn(struct rig *rig, enum sa_dir dir, unsigned packets, bool library)
{
	for (unsigned i = 0; rig->now.n_sas > 1 && i < WARM_PASSES; i++)
		time_crypto(rig, dir, rig->n_frames, library);
	return time_crypto(rig, dir, packets, library);
}

static void together(struct rig *rigs, struct turn *turn, unsigned lcores)
{
	unsigned present = 0;

	for (unsigned i = 0; i < lcores; i++) {
		turn[i].rig = &rigs[i];
		turn[i].of = lcores;
		turn[i].present = &present;
	}
	if (lcores > 1)
		rte_eal_remote_launch(turn_run, &turn[1], 1);
	turn_run(&turn[0]);
	if (lcores > 1)
		rte_eal_wait_lcore(1);
}

static int double_cmp(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct stat stat_of(double *v, unsigned n)
{
	qsort(v, n, sizeof(*v), double_cmp);
	return (struct stat){ .median = v[n / 2], .low = v[n / 4], .high = v[n - 1 - n / 4] };
}

static double average_bytes(const struct rig *rig)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < 12; i++)
		sum += traffic_size(rig, i);
	return sum / 12.0;
}

static uint64_t drops(const struct rig *rigs, unsigned lcores, enum sa_dir dir)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < lcores; i++)
		sum += rig_drops(rigs[i].gw[dir]);
	return sum;
}

/* Runs the turn on one lcore, then on all of them at once, each as turn[i]. How many times the one's packets all
 * of them do. */
static double scale_take(struct rig *rigs, unsigned lcores, const struct turn *what,
			 struct turn *turn)
{
	struct turn alone = *what;
	double sum = 0;

	together(rigs, &alone, 1);
	for (unsigned i = 0; i < lcores; i++)
		turn[i] = *what;
	together(rigs, turn, lcores);
	for (unsigned i = 0; i < lcores; i++)
		sum += (double)alone.whole / (double)turn[i].whole;
	return sum;
}

/* What one repetition found, ns a packet. */
struct sample {
	double calibration; /* us: the longer one of before and after */
	double gross, sink, crypto, library, scale, crypto_scale, stage[RIG_STAGES];
};

static struct sample sample_take(struct rig *rigs, unsigned lcores, enum sa_dir dir,
				 unsigned packets)
{
	double ns = 1e9 / (double)rte_get_tsc_hz() / packets, before = calibrate();
	struct turn turn[RIG_MAX_LCORES] = { { .dir = dir, .packets = packets } }, what = turn[0];
	struct sample s = { .scale = 1, .crypto_scale = 1 };
	uint64_t stages[RIG_STAGES];

	if (lcores == 1) {
		together(rigs, turn, 1);
	} else {
		what.crypto_alone = true;
		s.crypto_scale = scale_take(rigs, lcores, &what, turn);
		what.crypto_alone = false;
		s.scale = scale_take(rigs, lcores, &what, turn);
	}
	s.gross = (double)turn[0].whole * ns;
	time_whole(rigs, dir, packets, stages);
	for (unsigned i = 0; i < RIG_STAGES; i++)
		s.stage[i] = (double)stages[i] * ns;
	s.crypto = (double)crypto_turn(rigs, dir, packets, false) * ns;
	s.library = s.crypto;
	if (rigs->library_key)
		s.library = (double)crypto_turn(rigs, dir, packets, true) * ns;
	s.sink = (double)time_sink(rigs, dir, packets) * ns;
	s.calibration = RTE_MAX(before, calibrate());
	return s;
}

static int calibration_cmp(const void *a, const void *b)
{
	const struct sample *x = a, *y = b;

	return (x->calibration > y->calibration) - (x->calibration < y->calibration);
}

/* The field of n samples that lies `at` bytes from their start. */
static struct stat field_stat(const struct sample *samples, unsigned n, size_t at)
{
	double v[MEASURE_MAX_REPS];

	for (unsigned i = 0; i < n; i++)
		v[i] = *(const double *)((const char *)&samples[i] + at);
	return stat_of(v, n);
}

int measure(struct rig *rigs, unsigned lcores, enum sa_dir dir, unsigned reps, unsigned packets,
	    double patience, struct result *out)
{
	static struct sample samples[MEASURE_MAX_TRIES];
	uint64_t until = rte_rdtsc() + (uint64_t)(patience * (double)rte_get_tsc_hz());
	uint64_t before = drops(rigs, lcores, dir);
	unsigned tries = 0, quiet = 0;

	packets = (packets + RIG_BURST - 1) / RIG_BURST * RIG_BURST;
	for (unsigned i = 0; i < lcores; i++)
		time_whole(&rigs[i], dir, packets / RIG_BURST / 8 * RIG_BURST, NULL); /* warm up */
	while (tries < MEASURE_MAX_TRIES && quiet < reps && (tries < reps || rte_rdtsc() < until)) {
		samples[tries] = sample_take(rigs, lcores, dir, packets);
		quiet += samples[tries++].calibration <= CALIBRATE_QUIET * calibrate_best_us();
	}
	qsort(samples, tries, sizeof(samples[0]), calibration_cmp);
#define STAT(field) field_stat(samples, reps, offsetof(struct sample, field))
	*out = (struct result){
		.dir = dir,
		.what = rigs->now,
		.lcores = lcores,
		.bytes = average_bytes(rigs),
		.gross = STAT(gross),
		.sink = STAT(sink),
		.crypto = STAT(crypto),
		.library = STAT(library),
		.scale = STAT(scale),
		.crypto_scale = STAT(crypto_scale),
		.disturbed = tries - reps,
		.calibration = STAT(calibration).median,
	};
	for (unsigned i = 0; i < RIG_STAGES; i++)
		out->stage[i] = STAT(stage[i]);
	out->net = (out->gross.median - out->sink.median) / lcores;
	if (drops(rigs, lcores, dir) == before)
		return 0;
	rig_drops_print(rigs->gw[dir]);
	return -1;
}

int measure_once(struct rig *rig, enum sa_dir dir, unsigned packets)
{
	uint64_t before = rig_drops(rig->gw[dir]);

	time_whole(rig, dir, packets, NULL);
	if (rig_drops(rig->gw[dir]) == before)
		return 0;
	rig_drops_print(rig->gw[dir]);
	return -1;
}
