/* The boundary between the planes under load: a control thread installs, replaces and removes SAs
 * as fast as it can while a worker thread uses every SA that it has. Removed SAs are freed at once,
 * so that AddressSanitizer sees a use after the end, and ThreadSanitizer an access that no ring
 * orders. Needs no EAL: rings lie in ordinary memory. */
#include <pthread.h>
#include <rte_ring_elem.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lcore.h"

#define SLOT_BITS 6
#define SLOTS	  (1u << SLOT_BITS)
#define ROUNDS	  100000

static struct lcore lc;
static uint64_t used; /* packets that SAs carried: worker: rw */
static unsigned failed;

static void check(bool ok, const char *what)
{
	static unsigned n;

	printf("%s %u - %s\n", ok ? "ok" : "not ok", ++n, what);
	failed += !ok;
}

static struct rte_ring *ring(unsigned slots, unsigned elem)
{
	ssize_t size = rte_ring_get_memsize_elem(elem, slots);
	struct rte_ring *r = aligned_alloc(64, ((size_t)size + 63) & ~(size_t)63);

	if (!r || rte_ring_init(r, "test", slots, RING_F_SP_ENQ | RING_F_SC_DEQ))
		abort();
	return r;
}

static void *worker(void *arg)
{
	(void)arg;
	while (!__atomic_load_n(&lc.stop, __ATOMIC_ACQUIRE)) {
		lcore_commands(&lc);
		for (unsigned i = 0; i < SLOTS; i++) {
			struct sa *sa = lc.sa_in[i].sa;
			if (!sa)
				continue;
			if (sa->spi != lc.sa_in[i].spi)
				abort();
			sa->packets++;
			used++;
		}
		sched_yield();
	}
	return NULL;
}

struct place {
	struct sa *sa;
	bool busy; /* a command is under way */
};

/* Only one command at a time for a slot; which slots are free follows from the events. */
static bool step(struct place *place, uint32_t slot, uint32_t spi)
{
	struct cmd cmd = { .op = CMD_SA_STORE, .slot = slot, .spi = spi, .dir = SA_IN };
	struct place *p = &place[slot];

	if (p->busy)
		return false;
	if (p->sa) {
		cmd.op = CMD_SA_REMOVE;
		cmd.spi = p->sa->spi;
	} else {
		cmd.sa = aligned_alloc(64, sizeof(struct sa));
		if (!cmd.sa)
			abort();
		memset(cmd.sa, 0, sizeof(struct sa));
		cmd.sa->spi = spi;
	}
	if (rte_ring_sp_enqueue_elem(lc.cmd, &cmd, sizeof(cmd))) {
		free(cmd.op == CMD_SA_STORE ? cmd.sa : NULL);
		return false;
	}
	if (cmd.op == CMD_SA_STORE)
		p->sa = cmd.sa;
	p->busy = true;
	return true;
}

static unsigned events(struct place *place, uint64_t *carried, bool *sound)
{
	struct evt evt;
	unsigned n = 0;

	for (; rte_ring_sc_dequeue_elem(lc.evt, &evt, sizeof(evt)) == 0; n++) {
		struct place *p = &place[evt.slot];
		*sound &= p->busy && evt.sa == p->sa && evt.spi == p->sa->spi;
		p->busy = false;
		if (evt.op != EVT_SA_REMOVED)
			continue;
		*carried += p->sa->packets;
		memset(p->sa, 0xdd, sizeof(*p->sa));
		free(p->sa);
		p->sa = NULL;
	}
	return n;
}

int main(void)
{
	static struct place place[SLOTS];
	unsigned sent = 0, answered = 0, left = 0;
	uint64_t carried = 0;
	bool sound = true;
	pthread_t thread;

	lc.sa_in = calloc(SLOTS, sizeof(*lc.sa_in));
	lc.sa_out = calloc(SLOTS, sizeof(*lc.sa_out));
	lc.cmd = ring(32, sizeof(struct cmd));
	lc.evt = ring(8, sizeof(struct evt)); /* small: the backlog is used */
	lc.backlog.size = event_backlog_size(SLOTS);
	lc.backlog.evt = calloc(lc.backlog.size, sizeof(struct evt));
	if (pthread_create(&thread, NULL, worker, NULL))
		abort();
	while (answered < ROUNDS) {
		unsigned got;
		if (sent < ROUNDS)
			sent += step(place, (uint32_t)random() % SLOTS, (uint32_t)random() | 1);
		got = events(place, &carried, &sound);
		answered += got;
		if (sent == ROUNDS && got == 0)
			sched_yield();
	}
	__atomic_store_n(&lc.stop, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	for (unsigned i = 0; i < SLOTS; i++) {
		left += place[i].sa != NULL;
		carried += place[i].sa ? place[i].sa->packets : 0;
		free(place[i].sa);
	}
	check(sent == ROUNDS && answered == ROUNDS, "every command is answered once");
	check(sound, "and by the event that belongs to it");
	check(left == lc.sa_in_count, "both sides count the same SAs");
	check(carried == used && used > 0, "no use of an SA is lost");
	printf("1..4\n");
	free(lc.sa_in);
	free(lc.sa_out);
	free(lc.cmd);
	free(lc.evt);
	free(lc.backlog.evt);
	return failed > 0;
}
