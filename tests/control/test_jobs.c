/* The pool for public-key maths: every job comes back once, also under load and at the end. */
#include <criterion/criterion.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "jobs.h"

struct test_job {
	struct ike_job job; /* first */
	unsigned value, result;
};

static atomic_uint ran;

static void square(struct ike_job *job)
{
	struct test_job *t = (struct test_job *)job;

	t->result = t->value * t->value;
	atomic_fetch_add(&ran, 1);
}

static void slow(struct ike_job *job)
{
	usleep(2000);
	square(job);
}

#define N 2000

static void run_all(unsigned threads)
{
	struct test_job *job = calloc(N, sizeof(*job));
	struct jobs *jobs;
	unsigned taken = 0;

	cr_assert_eq(jobs_new(threads, NULL, 0, UINT16_MAX, &jobs), 0);
	struct pollfd p = { .fd = jobs_fd(jobs), .events = POLLIN };
	cr_expect_eq(poll(&p, 1, 0), 0, "nothing is finished yet");
	for (unsigned i = 0; i < N; i++) {
		job[i] = (struct test_job){ .job.fn = square, .job.id = i, .value = i };
		jobs_push(jobs, &job[i].job);
	}
	while (taken < N) {
		struct ike_job *done;
		cr_assert_eq(poll(&p, 1, 5000), 1, "results, but no bell");
		while ((done = jobs_take(jobs))) {
			struct test_job *t = (struct test_job *)done;
			cr_assert_eq(t->result, t->value * t->value);
			t->result = UINT32_MAX; /* twice would be noticed */
			taken++;
		}
	}
	cr_expect_eq(poll(&p, 1, 0), 0, "the bell rings without results");
	jobs_free(jobs);
	free(job);
}

Test(jobs, one_thread)
{
	run_all(1);
}

Test(jobs, several_threads)
{
	run_all(4);
}

/* What runs is waited for, what only waits is not run; both stay valid memory of the caller's. */
Test(jobs, end_with_work_left)
{
	struct test_job job[20];
	struct jobs *jobs;
	unsigned taken = 0;

	cr_assert_eq(jobs_new(1, NULL, 0, UINT16_MAX, &jobs), 0);
	for (unsigned i = 0; i < 20; i++) {
		job[i] = (struct test_job){ .job.fn = slow, .value = i };
		jobs_push(jobs, &job[i].job);
	}
	usleep(3000);
	jobs_stop(jobs);
	while (jobs_take(jobs))
		taken++;
	cr_expect_eq(taken, atomic_load(&ran));
	cr_expect_lt(taken, 20);
	jobs_free(jobs);
}

/* Threads keep off the workers' CPUs; when that leaves none they run anyway. */
Test(jobs, all_cpus_are_workers)
{
	uint16_t all[1024];
	struct test_job job = { .job.fn = square, .value = 3 };
	struct jobs *jobs;

	for (unsigned i = 0; i < 1024; i++)
		all[i] = (uint16_t)i;
	cr_assert_eq(jobs_new(1, all, 1024, 0, &jobs), 0);
	struct pollfd p = { .fd = jobs_fd(jobs), .events = POLLIN };
	jobs_push(jobs, &job.job);
	cr_assert_eq(poll(&p, 1, 5000), 1);
	cr_expect_eq(jobs_take(jobs), &job.job);
	cr_expect_eq(job.result, 9);
	jobs_free(jobs);
}
