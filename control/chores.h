/* Work of the control thread that takes too long to be done at once: done in steps, one in each
 * turn of the event loop, the chores that wait taking turns. */
#ifndef SHRIKE_CHORES_H
#define SHRIKE_CHORES_H

#include <event2/event.h>
#include <stdbool.h>
#include <sys/queue.h>

struct chore { /* part of what it works for; zeroed: it does not wait */
	TAILQ_ENTRY(chore) link;
	/* A millisecond or two of work; false: it is done. May free what the chore is part of when
	 * it returns false. */
	bool (*step)(struct chore *c);
	bool waits;
};

struct chores {
	TAILQ_HEAD(, chore) list;
	struct event *turn; /* NULL: nothing was ever added */
};

/* Queues a chore whose step is set, if it does not wait already. 0 or -ENOMEM. */
int chores_add(struct chores *q, struct event_base *base, struct chore *c);
/* Takes it out; one that does not wait is fine. */
void chores_cancel(struct chores *q, struct chore *c);
/* Forgets what waits. */
void chores_stop(struct chores *q);

#endif
