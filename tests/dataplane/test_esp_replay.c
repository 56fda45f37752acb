/* The replay window, case by case. In random order against a model: replay_model.c. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "replay.h"

static struct sa *window(uint32_t bits)
{
	size_t size = sizeof(struct sa) + SA_REPLAY_WORDS * sizeof(uint64_t);
	struct sa *sa = aligned_alloc(64, size);

	memset(sa, 0, size);
	sa->window_at = sizeof(*sa);
	sa->window_bits = (uint16_t)bits;
	sa->window_mask = (uint16_t)(2 * bits / 64 - 1);
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

#define HALF (1ull << 32)

/* The 64-bit number that a low half means, 0 when it would lie before the first. */
static uint64_t extend(struct sa *sa, uint64_t top, uint32_t low)
{
	uint64_t seq = 0;

	sa->seq = top;
	return replay_extend(sa, low, &seq) ? seq : 0;
}

/* RFC 4303 appendix A2.2, with the window's two positions. */
Test(esp_replay, high_half)
{
	for (uint32_t w = SA_REPLAY_MIN; w <= SA_REPLAY_MAX; w *= 2) {
		struct sa *sa = window(w);

		/* case A: the window lies within one subspace */
		cr_assert_eq(extend(sa, HALF + w - 1, 0), HALF);
		cr_assert_eq(extend(sa, HALF + 100000, 100000), HALF + 100000);
		cr_assert_eq(extend(sa, HALF + 100000, 100001), HALF + 100001);
		cr_assert_eq(extend(sa, HALF + 100000, UINT32_MAX), 2 * HALF - 1);
		cr_assert_eq(extend(sa, HALF + 100000, 100000 - w + 1), HALF + 100000 - w + 1);
		cr_assert_eq(extend(sa, HALF + 100000, 100000 - w), 2 * HALF + 100000 - w);
		cr_assert_eq(extend(sa, 2 * HALF - 1, 0), 2 * HALF);
		/* case B: it begins in the one before */
		cr_assert_eq(extend(sa, HALF + w - 2, UINT32_MAX), HALF - 1);
		cr_assert_eq(extend(sa, HALF, 0), HALF);
		cr_assert_eq(extend(sa, HALF, UINT32_MAX), HALF - 1);
		cr_assert_eq(extend(sa, HALF, UINT32_MAX - w + 2), HALF - w + 1);
		cr_assert_eq(extend(sa, HALF, UINT32_MAX - w + 1), 2 * HALF - w);
		/* there is nothing before the first */
		cr_assert_eq(extend(sa, 0, 1), 1);
		cr_assert_eq(extend(sa, 0, UINT32_MAX), 0);
		cr_assert_eq(extend(sa, 5, UINT32_MAX - w + 7), 0);
		cr_assert_eq(extend(sa, 5, UINT32_MAX - w + 6), UINT32_MAX - w + 6);
		free(sa);
	}
}
