/* Diffie-Hellman off the control thread. A job takes the exchange's dh with it, so that nothing is
 * shared with the thread that computes; an exchange that dies meanwhile only lets go of its job. */
#include <errno.h>
#include <stddef.h>

#include "engine.h"

/* Runs on any thread; touches the job only. */
static void job_run(struct ike_job *base)
{
	struct job *job = (struct job *)base;

	if (!job->dh)
		job->dh = dh_new(job->group);
	if (!job->dh)
		job->rc = -ENOMEM;
	else if (job->peer.len)
		job->rc = dh_shared(job->dh, job->peer.p, job->peer.len, job->shared.p);
}

int job_start(struct exchange *x, uint16_t group, void (*resume)(struct exchange *x, int rc))
{
	struct ike *ike = x->ike;
	const struct group_info *g = group_info(group);
	struct job *job = g ? ike_alloc(ike, sizeof(*job)) : NULL;

	if (!job)
		return g ? -ENOMEM : -EINVAL;
	job->base = (struct ike_job){ .fn = job_run, .id = ++ike->job_ids };
	job->group = group;
	job->x = x;
	LIST_INSERT_HEAD(&ike->jobs, job, link);
	if (x->peer_ke.len) {
		job->shared = (struct buf){ ike_secret_alloc(ike, g->shared_len), g->shared_len };
		if (!job->shared.p || buf_set(ike, &job->peer, x->peer_ke.p, x->peer_ke.len) != 0) {
			job_free(ike, job);
			return -ENOMEM;
		}
	}
	job->dh = x->dh;
	x->dh = NULL;
	x->job = job;
	x->resume = resume;
	x->busy = true;
	ike->ops.job(ike->ops.ctx, &job->base);
	return 0;
}

void job_abandon(struct job *job)
{
	job->x->job = NULL;
	job->x = NULL;
}

void job_free(struct ike *ike, struct job *job)
{
	LIST_REMOVE(job, link);
	dh_free(job->dh);
	buf_free(ike, &job->peer);
	if (job->shared.p)
		buf_wipe(ike, &job->shared);
	ike_dealloc(ike, job, sizeof(*job));
}

void ike_job_done(struct ike *ike, struct ike_job *base)
{
	struct job *job = (struct job *)base;
	struct exchange *x = job->x;
	int rc = job->rc;

	if (x) {
		x->job = NULL;
		x->busy = false;
		x->dh = job->dh;
		job->dh = NULL;
		buf_wipe(ike, &x->gxy);
		x->gxy = job->shared;
		job->shared = (struct buf){ 0 };
	}
	job_free(ike, job);
	if (x)
		x->resume(x, rc);
	engine_reap(ike);
}
