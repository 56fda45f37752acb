/* The facade under load: two workers that hand packets to each other, both ways, while control
 * installs and removes thousands of SA pairs. The counters must add up to the packet. */
#include <rte_malloc.h>
#include <stdio.h>
#include <unistd.h>

#include "ring_rig.h"

#define PAIRS 10000

static size_t heap_bytes(void)
{
	struct rte_malloc_socket_stats s;
	size_t sum = 0;

	for (int i = 0; i < RTE_MAX_NUMA_NODES; i++)
		if (rte_malloc_get_socket_stats(i, &s) == 0)
			sum += s.heap_allocsz_bytes;
	return sum;
}

static long resident_kb(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long size = 0, pages = 0;

	if (f && fscanf(f, "%ld %ld", &size, &pages) != 2)
		pages = 0;
	if (f)
		fclose(f);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void thousands(const char *title)
{
	static struct sa_ref ref[PAIRS];
	size_t heap = heap_bytes();
	long rss = resident_kb();
	unsigned before = rig_stored, refused = 0;
	double t = rig_seconds();

	for (unsigned i = 0; i < PAIRS; i++)
		refused += rig_pair_add(&ref[i], UINT16_MAX, 100 + i) != 0;
	printf("# %s: %u pairs built and queued in %.3f s\n", title, PAIRS, rig_seconds() - t);
	check(refused == 0, "thousands of installs in a row are all taken");
	rig_poll_until_stored(before + 2 * PAIRS);
	printf("# in service after %.3f s; %.0f bytes of EAL memory and %.0f resident for a pair\n",
	       rig_seconds() - t, (double)(heap_bytes() - heap) / PAIRS,
	       (double)(resident_kb() - rss) * 1024 / PAIRS);
	check(rig_stored == before + 2 * PAIRS, "and are all stored");
	for (unsigned i = 0; i < PAIRS; i++)
		rig_pair_remove(&ref[i]);
	rig_poll_until_removed(6);
	check(rig_installed() == 6, "as many removals are all confirmed");
	check(heap_bytes() == heap, "and give back all memory");
}

static void totals(const struct flow *f)
{
	struct rig_totals t = rig_totals(true);

	printf("# %llu packets round, %llu handed over\n", (unsigned long long)f->back,
	       (unsigned long long)t.handed);
	check(f->sent == f->back && f->sent > 1000, "every packet comes back");
	check(t.esp_in == f->back && t.esp_out == f->back, "each is encrypted and decrypted once");
	check(t.handed == t.taken && t.handed > f->sent / 2, "what is handed over arrives");
	check(t.drops == 0, "nothing is dropped");
	check(t.rx + t.injected == t.tx + t.punted, "received and injected equals sent and punted");
}

int main(void)
{
	struct rig_cfg cfg = { .workers = 2 };
	struct flow flow = { .policies = 3 };
	struct sa_ref ref[3];

	rig_start(&cfg, 3);
	for (uint16_t i = 0; i < 3; i++)
		must(rig_pair_add(&ref[i], i % 2, i) == 0, "no first SA pair");
	rig_poll_until_stored(6);
	flow_start(&flow);
	rig_poll_for(1);
	thousands("first");
	thousands("again");
	rig_poll_for(0.5);
	flow_stop(&flow);
	totals(&flow);
	check(rte_mempool_in_use_count(rig_pool) == 0, "no packet buffer is missing");
	for (unsigned i = 0; i < 3; i++)
		rig_pair_remove(&ref[i]);
	rig_stop();
	return checks_end();
}
