/* The anti-replay window of one inbound SA (RFC 4303 section 3.4.3), in the manner of RFC 6479: a
 * ring of words twice the window, so that advancing clears whole words and never shifts bits.
 *
 * Two steps: replay_check() before the cryptography, which changes nothing, and replay_accept()
 * after a good ICV, which decides again, because the packets of one burst are all checked before
 * the first of them is accepted. */
#ifndef SHRIKE_DATAPLANE_REPLAY_H
#define SHRIKE_DATAPLANE_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "sa.h"

enum replay_verdict {
	REPLAY_OK,
	REPLAY_ZERO, /* sequence number 0: never sent */
	REPLAY_OLD,  /* left of the window */
	REPLAY_DUP,  /* seen before */
};

/* RFC 4303 appendix A2.2: the high half of an extended sequence number is the one that puts the
 * number nearest to the window. False: it would lie before the first number. */
static inline bool replay_extend(const struct sa *sa, uint32_t low, uint64_t *seq)
{
	uint32_t top = (uint32_t)sa->seq, high = (uint32_t)(sa->seq >> 32);
	uint32_t bottom = top - (sa->window_bits - 1u);

	if (top >= sa->window_bits - 1u)
		high += low < bottom;
	else if (low >= bottom && high-- == 0)
		return false;
	*seq = (uint64_t)high << 32 | low;
	return true;
}

/* Where the bit of a sequence number is. */
static inline uint64_t *replay_word(const struct sa *sa, uint64_t seq)
{
	return &sa_window(sa)[(seq / 64) & sa->window_mask];
}

static inline enum replay_verdict replay_check(const struct sa *sa, uint64_t seq)
{
	if (seq > sa->seq)
		return REPLAY_OK;
	if (seq == 0)
		return REPLAY_ZERO;
	if (sa->seq - seq >= sa->window_bits)
		return REPLAY_OLD;
	return *replay_word(sa, seq) >> (seq % 64) & 1 ? REPLAY_DUP : REPLAY_OK;
}

/* Clears the words between the old and the new top. */
static inline void replay_advance(struct sa *sa, uint64_t seq)
{
	uint64_t from = sa->seq / 64, to = seq / 64;

	if (to - from > sa->window_mask)
		from = to - sa->window_mask - 1;
	while (from < to)
		sa_window(sa)[++from & sa->window_mask] = 0;
	sa->seq = seq;
}

static inline enum replay_verdict replay_accept(struct sa *sa, uint64_t seq)
{
	enum replay_verdict verdict = replay_check(sa, seq);

	if (verdict != REPLAY_OK)
		return verdict;
	if (seq > sa->seq)
		replay_advance(sa, seq);
	*replay_word(sa, seq) |= 1ull << (seq % 64);
	return REPLAY_OK;
}

#endif
