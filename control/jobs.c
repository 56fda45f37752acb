#include "jobs.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* A queue of pointers that grows; never shrinks. */
struct queue {
	struct ike_job **item;
	size_t cap, head, n;
};

struct jobs {
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct queue todo, done; /* under lock */
	bool stopping;		 /* under lock */
	int fd;
	unsigned n_threads;
	pthread_t thread[];
};

static void queue_put(struct queue *q, struct ike_job *job)
{
	if (q->n == q->cap) {
		size_t cap = q->cap ? 2 * q->cap : 64;
		struct ike_job **item = malloc(cap * sizeof(*item));
		if (!item)
			abort(); /* a lost job would leave its exchange waiting for ever */
		for (size_t i = 0; i < q->n; i++)
			item[i] = q->item[(q->head + i) % q->cap];
		free(q->item);
		*q = (struct queue){ .item = item, .cap = cap, .n = q->n };
	}
	q->item[(q->head + q->n++) % q->cap] = job;
}

static struct ike_job *queue_get(struct queue *q)
{
	if (q->n == 0)
		return NULL;
	struct ike_job *job = q->item[q->head];
	q->head = (q->head + 1) % q->cap;
	q->n--;
	return job;
}

static void jobs_ring(struct jobs *jobs)
{
	uint64_t one = 1;

	/* cannot fail: the counter is far from its limit, and EAGAIN would mean readable anyway */
	if (write(jobs->fd, &one, sizeof(one)) < 0)
		return;
}

static void *jobs_run(void *arg)
{
	struct jobs *jobs = arg;

	pthread_mutex_lock(&jobs->lock);
	while (!jobs->stopping) {
		struct ike_job *job = queue_get(&jobs->todo);
		if (!job) {
			pthread_cond_wait(&jobs->work, &jobs->lock);
			continue;
		}
		pthread_mutex_unlock(&jobs->lock);
		job->fn(job);
		pthread_mutex_lock(&jobs->lock);
		queue_put(&jobs->done, job);
		jobs_ring(jobs);
	}
	pthread_mutex_unlock(&jobs->lock);
	return NULL;
}

/* The CPUs for the threads: all but the workers', without `last` where something remains. */
static void jobs_cpus(const uint16_t *avoid, size_t n, uint16_t last, cpu_set_t *set)
{
	cpu_set_t without_last;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	CPU_ZERO(set);
	for (long i = 0; i < cpus && i < CPU_SETSIZE; i++)
		CPU_SET((size_t)i, set);
	for (size_t i = 0; i < n; i++)
		if (avoid[i] < CPU_SETSIZE && CPU_COUNT(set) > 1)
			CPU_CLR(avoid[i], set);
	without_last = *set;
	if (last < CPU_SETSIZE)
		CPU_CLR(last, &without_last);
	if (CPU_COUNT(&without_last) > 0)
		*set = without_last;
}

/* Signals belong to the control thread. */
static int jobs_start_thread(struct jobs *jobs, const cpu_set_t *cpus)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attr);
	pthread_attr_setaffinity_np(&attr, sizeof(*cpus), cpus);
	rc = pthread_create(&jobs->thread[jobs->n_threads], &attr, jobs_run, jobs);
	if (rc == EINVAL) /* a CPU of the set is offline or not ours: run anywhere */
		rc = pthread_create(&jobs->thread[jobs->n_threads], NULL, jobs_run, jobs);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc == 0)
		pthread_setname_np(jobs->thread[jobs->n_threads++], "shrike-dh");
	return -rc;
}

int jobs_new(unsigned threads, const uint16_t *avoid, size_t n, uint16_t last, struct jobs **out)
{
	struct jobs *jobs = calloc(1, sizeof(*jobs) + threads * sizeof(jobs->thread[0]));
	cpu_set_t cpus;
	int rc = 0;

	if (!jobs)
		return -ENOMEM;
	jobs->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (jobs->fd < 0) {
		rc = -errno;
		free(jobs);
		return rc;
	}
	pthread_mutex_init(&jobs->lock, NULL);
	pthread_cond_init(&jobs->work, NULL);
	jobs_cpus(avoid, n, last, &cpus);
	while (rc == 0 && jobs->n_threads < threads)
		rc = jobs_start_thread(jobs, &cpus);
	if (rc != 0) {
		jobs_free(jobs);
		return rc;
	}
	*out = jobs;
	return 0;
}

int jobs_fd(const struct jobs *jobs)
{
	return jobs->fd;
}

void jobs_push(struct jobs *jobs, struct ike_job *job)
{
	pthread_mutex_lock(&jobs->lock);
	queue_put(&jobs->todo, job);
	pthread_cond_signal(&jobs->work);
	pthread_mutex_unlock(&jobs->lock);
}

struct ike_job *jobs_take(struct jobs *jobs)
{
	uint64_t count;

	pthread_mutex_lock(&jobs->lock);
	struct ike_job *job = queue_get(&jobs->done);
	/* emptied: clear the bell; what comes later rings again, under the same lock */
	if (!job && read(jobs->fd, &count, sizeof(count)) < 0)
		count = 0;
	pthread_mutex_unlock(&jobs->lock);
	return job;
}

void jobs_stop(struct jobs *jobs)
{
	pthread_mutex_lock(&jobs->lock);
	jobs->stopping = true;
	pthread_cond_broadcast(&jobs->work);
	pthread_mutex_unlock(&jobs->lock);
	for (unsigned i = 0; i < jobs->n_threads; i++)
		pthread_join(jobs->thread[i], NULL);
	jobs->n_threads = 0;
}

void jobs_free(struct jobs *jobs)
{
	if (!jobs)
		return;
	jobs_stop(jobs);
	close(jobs->fd);
	pthread_cond_destroy(&jobs->work);
	pthread_mutex_destroy(&jobs->lock);
	free(jobs->todo.item);
	free(jobs->done.item);
	free(jobs);
}
