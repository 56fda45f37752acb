#include "chores.h"

#include <errno.h>

static void again(struct chores *q)
{
	static const struct timeval at_once;

	event_add(q->turn, &at_once);
}

static void on_turn(evutil_socket_t fd, short what, void *ctx)
{
	struct chores *q = ctx;
	struct chore *c = TAILQ_FIRST(&q->list);

	(void)fd;
	(void)what;
	if (!c)
		return;
	chores_cancel(q, c);
	if (c->step(c)) {
		TAILQ_INSERT_TAIL(&q->list, c, link);
		c->waits = true;
	}
	if (!TAILQ_EMPTY(&q->list))
		again(q);
}

int chores_add(struct chores *q, struct event_base *base, struct chore *c)
{
	if (!q->turn) {
		TAILQ_INIT(&q->list);
		q->turn = evtimer_new(base, on_turn, q);
		if (!q->turn)
			return -ENOMEM;
	}
	if (c->waits)
		return 0;
	TAILQ_INSERT_TAIL(&q->list, c, link);
	c->waits = true;
	again(q);
	return 0;
}

void chores_cancel(struct chores *q, struct chore *c)
{
	if (!c->waits)
		return;
	TAILQ_REMOVE(&q->list, c, link);
	c->waits = false;
}

void chores_stop(struct chores *q)
{
	if (!q->turn)
		return;
	event_free(q->turn);
	q->turn = NULL;
}
