/* Timers of the engine: an intrusive pairing heap, so that setting one never allocates and never
 * fails. Setting and cancelling are O(log n) amortised; ten thousand peers keep some ten each. */
#ifndef SHRIKE_IKE_TIMER_H
#define SHRIKE_IKE_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#define TIMER_NEVER UINT64_MAX

struct timer {
	uint64_t at; /* microseconds; meaningful while armed */
	bool armed;
	void (*fn)(void *arg);
	void *arg;
	struct timer *child, *next, *prev; /* prev: left sibling, or the parent of a first child */
};

struct timer_heap {
	struct timer *root;
};

void timer_init(struct timer *t, void (*fn)(void *arg), void *arg);
/* Arms it, or moves it when it is armed already. */
void timer_set(struct timer_heap *h, struct timer *t, uint64_t at);
void timer_cancel(struct timer_heap *h, struct timer *t);
/* When the earliest is due, TIMER_NEVER without any. */
uint64_t timer_next(const struct timer_heap *h);
/* Disarms and returns the earliest that is due at now, or NULL. The caller runs its fn. */
struct timer *timer_pop(struct timer_heap *h, uint64_t now);

#endif
