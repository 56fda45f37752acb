/* Public-key maths off the control thread. A job takes the exchange's dh or work with it, so that
 * nothing is shared with the thread that computes; an exchange that dies meanwhile only lets go of
 * its job. */
#include <errno.h>
#include <stddef.h>

#include "engine.h"
#include "secret.h"

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

/* Runs on any thread; touches the work only. */
static void job_run_auth(struct ike_job *base)
{
	struct job *job = (struct job *)base;

	job->rc = job->run(job->work);
}

int job_start_auth(struct exchange *x, enum ike_job_kind kind, int (*run)(struct auth_work *w),
		   void (*resume)(struct exchange *x, int rc))
{
	struct ike *ike = x->ike;
	struct job *job = ike_alloc(ike, sizeof(*job));

	if (!job)
		return -ENOMEM;
	job->base = (struct ike_job){ .fn = job_run_auth, .id = ++ike->job_ids, .kind = kind };
	job->x = x;
	job->run = run;
	LIST_INSERT_HEAD(&ike->jobs, job, link);
	job->work = x->work;
	x->work = NULL;
	x->job = job;
	x->resume = resume;
	x->busy = true;
	ike->ops.job(ike->ops.ctx, &job->base);
	return 0;
}

/* Likewise. */
static void job_run_users(struct ike_job *base)
{
	struct job *job = (struct job *)base;
	struct user_work *w = job->users;

	job->rc = w->users ? w->users->check(w->users, w->user, w->password) : -ENOENT;
	secret_wipe(w->password, sizeof(w->password));
}

int job_start_users(struct exchange *x, void (*resume)(struct exchange *x, int rc))
{
	struct ike *ike = x->ike;
	struct job *job = ike_alloc(ike, sizeof(*job));

	if (!job)
		return -ENOMEM;
	job->base = (struct ike_job){ .fn = job_run_users, .id = ++ike->job_ids, .kind = IKE_JOB_USER };
	job->x = x;
	LIST_INSERT_HEAD(&ike->jobs, job, link);
	job->users = x->users;
	x->users = NULL;
	x->job = job;
	x->resume = resume;
	x->busy = true;
	ike->ops.job(ike->ops.ctx, &job->base);
	return 0;
}

void user_work_free(struct ike *ike, struct user_work *w)
{
	if (!w)
		return;
	ike_users_free(w->users);
	ike_secret_dealloc(ike, w, sizeof(*w));
}

void auth_work_free(struct ike *ike, struct auth_work *w)
{
	if (!w)
		return;
	cert_own_free(w->own);
	cert_store_free(w->trust);
	cert_bag_free(w->bag);
	cert_peer_free(w->peer);
	gss_side_free(w->gss);
	ike_secret_dealloc(ike, w, sizeof(*w));
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
	auth_work_free(ike, job->work);
	user_work_free(ike, job->users);
	buf_free(ike, &job->peer);
	if (job->shared.p)
		buf_wipe(ike, &job->shared);
	ike_dealloc(ike, job, sizeof(*job));
}

/* What was computed goes back to the exchange. */
static void job_give(struct ike *ike, struct job *job, struct exchange *x)
{
	if (job->users) {
		x->users = job->users;
		job->users = NULL;
		return;
	}
	if (job->work) {
		x->work = job->work;
		job->work = NULL;
		return;
	}
	x->dh = job->dh;
	job->dh = NULL;
	buf_wipe(ike, &x->gxy);
	x->gxy = job->shared;
	job->shared = (struct buf){ 0 };
}

void ike_job_done(struct ike *ike, struct ike_job *base)
{
	struct job *job = (struct job *)base;
	struct exchange *x = job->x;
	int rc = job->rc;

	if (x) {
		x->job = NULL;
		x->busy = false;
		job_give(ike, job, x);
	}
	job_free(ike, job);
	if (x)
		x->resume(x, rc);
	engine_reap(ike);
}
