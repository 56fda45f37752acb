/* Worker threads for the engine's public-key maths. The control thread pushes jobs and takes results
 * back; a file descriptor turns readable when there are some. */
#ifndef SHRIKE_JOBS_H
#define SHRIKE_JOBS_H

#include <stddef.h>
#include <stdint.h>

#include "ike.h"

struct jobs;

/* Starts the threads (1 or more). They keep off the CPUs in avoid (n of them) if any other is left,
 * and off CPU `last` too when there are still more. Returns 0 or -errno. */
int jobs_new(unsigned threads, const uint16_t *avoid, size_t n, uint16_t last, struct jobs **out);
/* Readable while results wait (an eventfd). */
int jobs_fd(const struct jobs *jobs);
/* Queues a job; until jobs_stop() every job comes back through jobs_take() exactly once. */
void jobs_push(struct jobs *jobs, struct ike_job *job);
/* The next finished job, or NULL. */
struct ike_job *jobs_take(struct jobs *jobs);
/* Waits for the jobs that run and ends the threads. What was queued is forgotten unrun: ike_free()
 * frees it. jobs_take() still works for those that were run. */
void jobs_stop(struct jobs *jobs);
/* jobs_stop() and free; jobs not taken are forgotten (the engine owns them). NULL is fine. */
void jobs_free(struct jobs *jobs);

#endif
