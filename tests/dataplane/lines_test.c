/* No cache line is written by one worker and touched by another: every access of two workers on the
 * way of packets, looked at line by line (access_trace.h). What two may share is what is there to
 * be passed on: rings, packet buffers with the ring that holds the free ones, and what belongs to
 * the device's driver. The workers run in turns, each in its own thread; control runs between them
 * and is not looked at (the layout of what it writes: cores_test.c). */
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "access_trace.h"
#include "asan.h"
#include "dp.h"
#include "ring_rig.h"
#include "wire.h"

#define WORKERS    2
#define PAIRS      8 /* policies, half of them of either worker */
#define TURNS      8 /* in which everything is looked at */
#define WARM_TURNS 200
#define BATCH      12 /* packets a queue and turn */
#define SHOWN      20

/* ------------------------------------------------------------------------- running ---------- */

struct turn {
	struct lcore *lc;
	unsigned who, rounds;
	bool traced;
	int done[2]; /* a pipe: who waits must not look at memory */
};

static int turn_run(void *arg)
{
	struct turn t = *(struct turn *)arg;

	if (t.traced)
		access_begin(t.who);
	for (unsigned i = 0; i < t.rounds; i++) {
		t.lc->now_tsc = rte_rdtsc();
		lcore_round(t.lc);
	}
	if (t.traced)
		access_end();
	return write(t.done[1], "", 1) == 1 ? 0 : -1;
}

static void worker_turn(unsigned who, bool traced)
{
	struct turn t = { .lc = rig_dp->worker[who].lc, .who = who, .rounds = 3, .traced = traced };
	char end;

	must(pipe(t.done) == 0, "a pipe");
	must(rte_eal_remote_launch(turn_run, &t, rig_dp->worker[who].lcore_id) == 0, "a turn");
	must(read(t.done[0], &end, 1) == 1, "its end");
	rte_eal_wait_lcore(rig_dp->worker[who].lcore_id);
	close(t.done[0]);
	close(t.done[1]);
}

/* ------------------------------------------------------------------------- traffic ---------- */

static uint32_t sent;

/* For SAs of both workers; some that are dropped, and some whose sender hears of that, by control.
 */
static void clear_in(unsigned queue)
{
	for (unsigned i = 0; i < BATCH; i++, sent++) {
		struct rte_mbuf *pkt =
			rig_clear(sent, sent % 16 == 15 ? 200 : sent / 2 % PAIRS, 20 + sent % 60);
		uint8_t *ip = rte_pktmbuf_mtod(pkt, uint8_t *);

		if (sent % 32 == 7) {
			ip[IP4_TTL] = 1;
			ip4_sum_set(ip);
		} else if (sent % 32 == 23) {
			ip[IP4_SUM] ^= 1;
		}
		rig_frame_in(LAN, queue, pkt, true);
	}
}

/* ESP comes back, on either queue; all else has arrived. */
static void turn_round(void)
{
	struct rte_mbuf *pkt;
	static unsigned n;

	for (unsigned port = 0; port < PORTS; port++) {
		for (unsigned q = 0; q < WORKERS; q++) {
			while ((pkt = rig_leaving(port, q))) {
				if (!rig_spi_of(pkt)) {
					rig_arp_answer(port, pkt);
					rte_pktmbuf_free(pkt);
					continue;
				}
				rig_turn(pkt);
				rig_frame_in(WAN, n++ % WORKERS, pkt, true);
			}
		}
	}
}

static void turns(unsigned n, bool traced)
{
	for (unsigned i = 0; i < n; i++) {
		for (unsigned q = 0; q < WORKERS; q++)
			clear_in(q);
		for (unsigned who = 0; who < WORKERS; who++)
			worker_turn(who, traced);
		dp_poll(rig_dp);
		turn_round();
	}
}

/* ------------------------------------------------------------------------- what may be ------ */

enum kind { RINGS, BUFFERS, DRIVER, KINDS };
static const char *const kind_name[] = { "rings", "packet buffers", "the driver's" };

static struct part {
	uintptr_t from, to;
	enum kind kind;
} part[512];
static unsigned n_parts;

static void part_add(const void *p, size_t len, enum kind kind)
{
	must(n_parts < RTE_DIM(part), "room for parts");
	part[n_parts++] = (struct part){ (uintptr_t)p, (uintptr_t)p + len, kind };
}

static void ring_add(const struct rte_ring *r)
{
	if (r)
		part_add(r, r->memzone->len, RINGS);
}

static void piece_add(struct rte_mempool *pool, void *opaque, struct rte_mempool_memhdr *piece,
		      unsigned i)
{
	(void)pool;
	(void)opaque;
	(void)i;
	part_add(piece->addr, piece->len, BUFFERS);
}

/* The free ones are in a ring; each worker's cache of them is in lines of its own, and no part of
 * this. */
static void pool_add(struct rte_mempool *pool, void *arg)
{
	(void)arg;
	rte_mempool_mem_iter(pool, piece_add, NULL);
	ring_add(pool->pool_data);
}

/* What net_ring knows of a port's queues: their counters are not a line apart. */
static void driver_add(uint16_t dev)
{
	const uint8_t *first = rte_eth_fp_ops[dev].rxq.data[0];
	const uint8_t *last = rte_eth_fp_ops[dev].txq.data[WORKERS - 1];

	must(first < last && last - first < 4096, "the queues of net_ring lie together");
	part_add(first, (size_t)(last - first) + LINE, DRIVER);
}

static void parts_collect(void)
{
	for (unsigned i = 0; i < WORKERS; i++) {
		const struct lcore *lc = rig_dp->worker[i].lc;
		struct rte_ring *const ring[] = { lc->cmd, lc->evt, lc->punt, lc->inject,
						  lc->handover[i] };

		for (unsigned k = 0; k < RTE_DIM(ring); k++)
			ring_add(ring[k]);
		for (unsigned port = 0; port < PORTS; port++) {
			ring_add(rig_rx[port][i]);
			ring_add(rig_tx[port][i]);
		}
	}
	for (unsigned port = 0; port < PORTS; port++)
		driver_add(rig_dp->port[port].dev);
	rte_mempool_walk(pool_add, NULL);
}

static enum kind kind_of(uintptr_t line)
{
	for (unsigned i = 0; i < n_parts; i++)
		if (line + LINE > part[i].from && line < part[i].to)
			return part[i].kind;
	return KINDS;
}

/* ------------------------------------------------------------------------- the verdict ------ */

static const char *where(uintptr_t line, char *buf, size_t size)
{
	for (unsigned i = 0; i < WORKERS; i++) {
		const struct lcore *lc = rig_dp->worker[i].lc;
		uintptr_t at = (uintptr_t)lc;
		if (line >= at && line < at + sizeof(*lc)) {
			snprintf(buf, size, "struct lcore of %u + %lu", i,
				 (unsigned long)(line - at));
			return buf;
		}
	}
	snprintf(buf, size, "%#lx", (unsigned long)line);
	return buf;
}

static unsigned bits(uint8_t who)
{
	return (unsigned)__builtin_popcount(who);
}

static void verdict(void)
{
	unsigned n, shared[KINDS + 1] = { 0 }, touched[WORKERS] = { 0 }, wrote[WORKERS] = { 0 };
	const struct access *a = access_lines(&n);
	char text[80];

	for (unsigned i = 0; i < n; i++) {
		uint8_t any = a[i].read | a[i].written;
		enum kind kind;

		if (!a[i].line)
			continue;
		for (unsigned who = 0; who < WORKERS; who++) {
			touched[who] += any >> who & 1;
			wrote[who] += a[i].written >> who & 1;
		}
		if (!a[i].written || bits(any) < 2)
			continue;
		kind = kind_of(a[i].line);
		if (shared[kind]++ < SHOWN && kind == KINDS)
			printf("# %s: read by %x, written by %x\n",
			       where(a[i].line, text, sizeof(text)), a[i].read, a[i].written);
	}
	for (unsigned who = 0; who < WORKERS; who++)
		printf("# worker %u: %u lines, %u of them written\n", who, touched[who],
		       wrote[who]);
	for (unsigned kind = 0; kind < KINDS; kind++)
		printf("# written and shared: %u lines of %s\n", shared[kind], kind_name[kind]);
	printf("# written and shared: %u others\n", shared[KINDS]);
	check(wrote[0] > 100 && wrote[1] > 100, "the tracer sees what is written");
	check(shared[RINGS] > 10 && shared[BUFFERS] > 50,
	      "and that rings and packet buffers are shared");
	check(shared[KINDS] == 0, "no other line is written by one and touched by another");
}

int main(void)
{
	struct rig_cfg cfg = { .workers = WORKERS, .sa_slots = 512 };
	struct rig_totals before, t;
	static struct sa_ref ref[PAIRS];

	setvbuf(stdout, NULL, _IOLBF, 0);
#ifdef WITH_ASAN
	printf("a sanitizer has the signals and most of the memory\n");
	return 77;
#endif
	must(access_init(), "signals, and a place in memory");
	rig_start(&cfg, PAIRS);
	for (unsigned i = 0; i < PAIRS; i++)
		must(rig_pair_add(&ref[i], (uint16_t)(i / 4 % WORKERS), i) == 0, "an SA pair");
	rig_poll_until_stored(2 * PAIRS);
	for (unsigned i = 0; i < WORKERS; i++) {
		__atomic_store_n(&rig_dp->worker[i].lc->stop, 1, __ATOMIC_RELEASE);
		rte_eal_wait_lcore(rig_dp->worker[i].lcore_id);
	}
	turns(WARM_TURNS, false);
	parts_collect();
	before = rig_totals(false);
	turns(TURNS, true);
	t = rig_totals(true);
	printf("# of %llu packets %llu were encrypted, %llu decrypted, %llu handed over, %llu went "
	       "to control, %llu "
	       "dropped; %llu MB looked at\n",
	       (unsigned long long)(t.rx - before.rx),
	       (unsigned long long)(t.esp_out - before.esp_out),
	       (unsigned long long)(t.esp_in - before.esp_in),
	       (unsigned long long)(t.handed - before.handed),
	       (unsigned long long)(t.punted - before.punted),
	       (unsigned long long)(t.drops - before.drops),
	       (unsigned long long)(access_covered() >> 20));
	check(t.esp_out - before.esp_out > 100 && t.esp_in - before.esp_in > 100 &&
		      t.handed - before.handed > 100 && t.drops > before.drops,
	      "packets took every way");
	verdict();
	rig_stop();
	return checks_end();
}
