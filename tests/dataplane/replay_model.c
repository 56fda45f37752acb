/* The replay window against a plain model: packets in random order, every window size, with and
 * without ESN.
 *
 *   replay_model [--runs N]    N packets in all, default 10 million
 *
 * The model remembers the 64-bit numbers themselves, in a ring much longer than any window; with
 * ESN the window is told the low half alone, and must find the number that was sent. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replay.h"

#define RING (1u << 16) /* numbers that the model remembers */

struct model {
	uint64_t seen[RING]; /* the number itself, or 0 */
	uint64_t top;
};

static uint64_t rng_state = 88172645463325252ull;

static uint64_t rng(void)
{
	rng_state ^= rng_state << 13, rng_state ^= rng_state >> 7, rng_state ^= rng_state << 17;
	return rng_state;
}

static enum replay_verdict model_take(struct model *m, uint64_t seq, uint32_t w)
{
	if (seq == 0)
		return REPLAY_ZERO;
	if (seq <= m->top && m->top - seq >= w)
		return REPLAY_OLD;
	if (m->seen[seq % RING] == seq)
		return REPLAY_DUP;
	m->seen[seq % RING] = seq;
	if (seq > m->top)
		m->top = seq;
	return REPLAY_OK;
}

/* Mostly about the window, at times beyond it on either side; without ESN, 32 bits. */
static uint64_t next_number(const struct model *m, uint32_t w, bool esn, uint64_t first)
{
	uint64_t r = rng(), ahead = r % 16 == 0 ? r >> 8 & 63 : 2, back = (r >> 16) % (w + w / 4);
	uint64_t seq = m->top + ahead;

	if (r % 9973 == 0)
		seq = m->top + w + (r >> 40) % (4 * w); /* a burst was lost */
	else
		seq = seq > back ? seq - back : 0;
	if (esn && seq < first) /* an older one means another number: see high_half in the cases */
		seq = first;
	/* what lies left of the window cannot be told from what comes 2^32 later */
	if (esn && seq <= m->top && m->top - seq >= w)
		seq = m->top + 1;
	return esn || seq <= UINT32_MAX ? seq : m->top;
}

static enum replay_verdict window_take(struct sa *sa, uint64_t sent, bool esn)
{
	enum replay_verdict before, after;
	uint64_t seq = sent;

	if (esn && !replay_extend(sa, (uint32_t)sent, &seq))
		return REPLAY_OLD;
	if (seq != sent)
		return (enum replay_verdict)99;
	before = replay_check(sa, seq);
	after = replay_accept(sa, seq);
	return before == after ? after : (enum replay_verdict)98;
}

/* Starts a little before 2^32, so that ESN crosses it. */
static int run(struct model *m, uint32_t w, bool esn, uint64_t packets, uint64_t count[4])
{
	struct sa *sa = aligned_alloc(64, sizeof(*sa) + SA_REPLAY_WORDS * sizeof(uint64_t));
	uint64_t first = esn ? (1ull << 32) - packets / 8 : 1;
	int failed = 0;

	memset(sa, 0, sizeof(*sa) + SA_REPLAY_WORDS * sizeof(uint64_t));
	sa->window_at = sizeof(*sa);
	memset(m, 0, sizeof(*m));
	sa->window_bits = (uint16_t)w;
	sa->window_mask = (uint16_t)(2 * w / 64 - 1);
	sa->seq = m->top = first - 1;
	for (uint64_t i = 0; i < packets && !failed; i++) {
		uint64_t seq = next_number(m, w, esn, first);
		enum replay_verdict want = model_take(m, seq, w), got = window_take(sa, seq, esn);

		count[want]++;
		if (got == want && sa->seq == m->top)
			continue;
		printf("window %u, ESN %d, packet %" PRIu64 ", number %" PRIu64 ", top %" PRIu64
		       ": model %d, window %d\n",
		       w, esn, i, seq, m->top, want, got);
		failed = 1;
	}
	if (esn && !failed && m->top >> 32 == 0) {
		printf("window %u: 2^32 was not crossed\n", w);
		failed = 1;
	}
	free(sa);
	return failed;
}

int main(int argc, char **argv)
{
	uint64_t runs = 10000000, count[4] = { 0 };
	struct model *m = malloc(sizeof(*m));
	int failed = 0, combinations = 0;

	if (argc == 3 && strcmp(argv[1], "--runs") == 0)
		runs = strtoull(argv[2], NULL, 10);
	else if (argc != 1)
		return 2;
	for (uint32_t w = SA_REPLAY_MIN; w <= SA_REPLAY_MAX; w *= 2)
		combinations += 2;
	for (uint32_t w = SA_REPLAY_MIN; w <= SA_REPLAY_MAX; w *= 2)
		for (int esn = 0; esn < 2; esn++)
			failed += run(m, w, esn, runs / (unsigned)combinations, count);
	free(m);
	for (int v = REPLAY_OK; v <= REPLAY_DUP; v++)
		if (v != REPLAY_ZERO && count[v] < runs / 1000)
			failed += printf("verdict %d came up only %" PRIu64 " times\n", v,
					 count[v]) > 0;
	printf("%d windows and ESN settings, %" PRIu64 " packets: %" PRIu64 " accepted, %" PRIu64
	       " late, %" PRIu64 " duplicate, %" PRIu64 " zero; %s\n",
	       combinations, runs, count[REPLAY_OK], count[REPLAY_OLD], count[REPLAY_DUP],
	       count[REPLAY_ZERO], failed ? "FAILED" : "all as in the model");
	return failed ? 1 : 0;
}
