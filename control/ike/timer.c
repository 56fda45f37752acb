#include "timer.h"

#include <stddef.h>

void timer_init(struct timer *t, void (*fn)(void *arg), void *arg)
{
	*t = (struct timer){ .fn = fn, .arg = arg };
}

/* Joins two heaps; the earlier root adopts the other as its first child. */
static struct timer *meld(struct timer *a, struct timer *b)
{
	if (!a)
		return b;
	if (!b)
		return a;
	if (b->at < a->at) {
		struct timer *t = a;
		a = b;
		b = t;
	}
	b->next = a->child;
	if (a->child)
		a->child->prev = b;
	b->prev = a;
	a->child = b;
	return a;
}

/* Joins a list of siblings into one heap: pairs from the left, then the results from the right.
 * Iterative, because a heap of many timers set in order is a very long list. */
static struct timer *meld_pairs(struct timer *first)
{
	struct timer *done = NULL, *heap = NULL;

	while (first) {
		struct timer *a = first, *b = a->next;
		first = b ? b->next : NULL;
		a->next = a->prev = NULL;
		if (b)
			b->next = b->prev = NULL;
		a = meld(a, b);
		a->next = done;
		done = a;
	}
	while (done) {
		struct timer *next = done->next;
		done->next = NULL;
		heap = meld(heap, done);
		done = next;
	}
	return heap;
}

void timer_cancel(struct timer_heap *h, struct timer *t)
{
	if (!t->armed)
		return;
	if (h->root == t) {
		h->root = meld_pairs(t->child);
	} else {
		if (t->prev->child == t)
			t->prev->child = t->next;
		else
			t->prev->next = t->next;
		if (t->next)
			t->next->prev = t->prev;
		h->root = meld(h->root, meld_pairs(t->child));
	}
	t->child = t->next = t->prev = NULL;
	t->armed = false;
}

void timer_set(struct timer_heap *h, struct timer *t, uint64_t at)
{
	timer_cancel(h, t);
	t->at = at;
	t->armed = true;
	h->root = meld(h->root, t);
}

uint64_t timer_next(const struct timer_heap *h)
{
	return h->root ? h->root->at : TIMER_NEVER;
}

struct timer *timer_pop(struct timer_heap *h, uint64_t now)
{
	struct timer *t = h->root;

	if (!t || t->at > now)
		return NULL;
	timer_cancel(h, t);
	return t;
}
