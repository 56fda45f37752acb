/* The replay window: case by case, then a million numbers in random order against a plain model. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "replay.h"

static struct sa *window(uint32_t bits)
{
	struct sa *sa = aligned_alloc(64, sizeof(*sa));

	memset(sa, 0, sizeof(*sa));
	sa->window_bits = bits;
	sa->window_mask = 2 * bits / 64 - 1;
	return sa;
}

static enum replay_verdict take(struct sa *sa, uint64_t seq)
{
	enum replay_verdict before = replay_check(sa, seq);
	enum replay_verdict after = replay_accept(sa, seq);

	cr_assert_eq(before, after, "check and accept differ for %lu", seq);
	return after;
}

static void cases(uint32_t w)
{
	struct sa *sa = window(w);

	cr_assert_eq(take(sa, 0), REPLAY_ZERO);
	cr_assert_eq(take(sa, 1), REPLAY_OK);
	cr_assert_eq(take(sa, 1), REPLAY_DUP);
	cr_assert_eq(take(sa, 9), REPLAY_OK);
	cr_assert_eq(take(sa, 8), REPLAY_OK);
	cr_assert_eq(take(sa, 7), REPLAY_OK);
	cr_assert_eq(take(sa, 7), REPLAY_DUP);
	/* the edge: exactly w numbers are remembered */
	cr_assert_eq(take(sa, w), REPLAY_OK);
	cr_assert_eq(take(sa, w - 1), REPLAY_OK);
	cr_assert_eq(take(sa, 2), REPLAY_OK);
	cr_assert_eq(take(sa, w + 3), REPLAY_OK);
	cr_assert_eq(take(sa, 3), REPLAY_OLD);
	cr_assert_eq(take(sa, 4), REPLAY_OK);
	cr_assert_eq(take(sa, 4), REPLAY_DUP);
	cr_assert_eq(take(sa, 2), REPLAY_OLD);
	/* a jump past the whole ring forgets everything but the edge */
	cr_assert_eq(take(sa, 10 * w), REPLAY_OK);
	cr_assert_eq(take(sa, 10 * w), REPLAY_DUP);
	cr_assert_eq(take(sa, w + 3), REPLAY_OLD);
	cr_assert_eq(take(sa, 9 * w), REPLAY_OLD);
	for (uint64_t s = 9 * w + 1; s < 10 * w; s++)
		cr_assert_eq(take(sa, s), REPLAY_OK);
	for (uint64_t s = 9 * w + 1; s <= 10 * w; s++)
		cr_assert_eq(take(sa, s), REPLAY_DUP);
	/* up to the last number that ESP without ESN has */
	cr_assert_eq(take(sa, UINT32_MAX - 1), REPLAY_OK);
	cr_assert_eq(take(sa, UINT32_MAX), REPLAY_OK);
	cr_assert_eq(take(sa, UINT32_MAX), REPLAY_DUP);
	cr_assert_eq(take(sa, UINT32_MAX - w), REPLAY_OLD);
	cr_assert_eq(take(sa, (uint64_t)UINT32_MAX - w + 1), REPLAY_OK);
	cr_assert_eq(take(sa, 5), REPLAY_OLD);
	free(sa);
}

Test(esp_replay, cases)
{
	for (uint32_t w = SA_REPLAY_MIN; w <= SA_REPLAY_MAX; w *= 2)
		cases(w);
}

#define MODEL_MAX (1u << 21)

/* Remembers everything: one byte a number. */
struct model {
	uint8_t seen[MODEL_MAX];
	uint64_t top;
};

static enum replay_verdict model_take(struct model *m, uint64_t seq, uint32_t w)
{
	if (seq == 0)
		return REPLAY_ZERO;
	if (seq + w <= m->top)
		return REPLAY_OLD;
	if (m->seen[seq])
		return REPLAY_DUP;
	m->seen[seq] = 1;
	if (seq > m->top)
		m->top = seq;
	return REPLAY_OK;
}

Test(esp_replay, random_order_against_model)
{
	static const uint32_t windows[] = { 64, 256, 1024, 4096 };
	struct model *m = malloc(sizeof(*m));
	uint64_t counts[4] = { 0 };
	uint32_t x = 2463534242;

	for (unsigned k = 0; k < 4; k++) {
		uint32_t w = windows[k];
		struct sa *sa = window(w);

		memset(m, 0, sizeof(*m));
		for (unsigned i = 0; i < 250000; i++) {
			uint64_t base = m->top, seq;
			enum replay_verdict want;

			x ^= x << 13, x ^= x >> 17, x ^= x << 5;
			/* mostly about the window, at times ahead by more than it */
			seq = base + (x % 16 == 0 ? x >> 8 & 63 : 2);
			seq -= x >> 16 & (w * 5 / 4 - 1);
			if (x % 997 == 0)
				seq = base + w * 2 + (x >> 20);
			if ((int64_t)seq < 0 || seq >= MODEL_MAX)
				seq = i & 1 ? base : 0;
			want = model_take(m, seq, w);
			counts[want]++;
			cr_assert_eq(take(sa, seq), want, "window %u step %u number %lu top %lu", w, i,
				     seq, base);
			cr_assert_eq(sa->seq, m->top);
		}
		free(sa);
	}
	for (unsigned v = 0; v < 4; v++)
		cr_assert(counts[v] > 100, "verdict %u came up only %lu times", v, counts[v]);
	free(m);
}
