/* Remote access: what happens between phase 1 and phase 2, and whose SA is whose. */
#include "access.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "diagnose.h"
#include "isakmp_sa.h"

bool access_is_server(const struct peer *p)
{
	return p->cfg.access && (p->cfg.access->xauth == XAUTH_SERVER || p->cfg.access->has_pool);
}

/* Several parties at once, told apart by their users. */
static bool access_many(const struct peer *p)
{
	return access_is_server(p) && p->cfg.remote.family == IP_NONE;
}

static void too_long(void *arg)
{
	struct isakmp_sa *sa = arg;
	const struct ike_remote_cfg *cfg = sa->peer->cfg.access;
	const char *name = sa->peer->cfg.name;
	struct ike_diagnosis d;

	if (sa->access->proved)
		access_fail(sa, "%s: no address was given in time%s", name,
			    cfg->push && !cfg->has_pool ? " (mode-config: push waits for it)" : "");
	else if (cfg->xauth == XAUTH_CLIENT) {
		diag_user(&d, sa, cfg->user, "it has not asked for our user");
		access_failed(sa, &d);
	} else {
		access_fail(sa, "%s did not say its user in time", name);
	}
}

static unsigned waiting(const struct peer *p)
{
	const struct isakmp_sa *sa;
	unsigned n = 0;

	TAILQ_FOREACH(sa, &p->sas, link)
		n += !sa->dead && sa->locked && sa->state == IKE_SA_ESTABLISHED;
	return n;
}

/* There from the start of phase 1, whose payloads say things about it. */
static struct access *access_of(struct isakmp_sa *sa)
{
	if (!sa->access && sa->peer->cfg.access) {
		sa->access = ike_alloc(sa->ike, sizeof(*sa->access));
		if (sa->access)
			timer_init(&sa->access->timer, too_long, sa);
	}
	return sa->access;
}

bool access_begin(struct isakmp_sa *sa)
{
	const struct ike_remote_cfg *cfg = sa->peer->cfg.access;
	struct access *a = access_of(sa);
	char id[IKE_MAX_ID * 4 + 1];

	if (!cfg) {
		access_free(sa); /* it was begun as another peer's */
		return false;
	}
	sa->locked = true;
	if (!a || waiting(sa->peer) > ACCESS_OPEN_MAX) {
		access_fail(sa, "%s: too many ask to come in at once", sa->peer->cfg.name);
		return true;
	}
	a->tx_id = (uint16_t)ike_random32(sa->ike);
	timer_set(&sa->ike->timers, &a->timer, ike_now(sa->ike) + ACCESS_US);
	if (cfg->xauth == XAUTH_SERVER) {
		xauth_ask(sa);
	} else if (cfg->xauth == XAUTH_NONE) {
		a->proved = true;
		ike_id_str(&sa->remote_id, id, sizeof(id));
		snprintf(a->user, sizeof(a->user), "%.*s", (int)sizeof(a->user) - 1, id);
		access_configure(sa);
	}
	return true;
}

void access_configure(struct isakmp_sa *sa)
{
	const struct ike_remote_cfg *cfg = sa->peer->cfg.access;

	if (!cfg->config || (cfg->has_pool && !cfg->push) || (!cfg->has_pool && sa->access->given))
		access_done(sa);
	else if (cfg->has_pool)
		config_push(sa);
	else if (!cfg->push)
		config_pull(sa);
}

void access_done(struct isakmp_sa *sa)
{
	struct access *a = sa->access;

	if (!sa->locked || sa->dead)
		return;
	sa->locked = false;
	sa->peer->main_us = ike_now(sa->ike) - sa->created_us; /* nothing can be made under it before */
	timer_cancel(&sa->ike->timers, &a->timer);
	if (a->contact)
		peer_forget_before(sa->peer, sa->heard_us, sa);
	peer_phase1_up(sa->peer, sa);
}

void access_failed(struct isakmp_sa *sa, const struct ike_diagnosis *d)
{
	struct peer *p = sa->peer;
	bool ours = sa->initiator;

	if (sa->dead || sa->state == IKE_SA_CLOSING)
		return;
	peer_error(p, sa, "%s", d->text);
	sa->ike->totals.phase1.failed++;
	ike_event_diagnosis(sa->ike, IKE_EV_PHASE1_FAILED, p, NULL, sa, d);
	sa_close(sa, "XAuth or Mode Config failed");
	if (ours)
		peer_phase1_failed(p);
}

void access_fail(struct isakmp_sa *sa, const char *fmt, ...)
{
	struct ike_diagnosis d;
	char text[sizeof(d.fact)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	diag_other(&d, sa, NULL, text);
	access_failed(sa, &d);
}

bool access_contact(struct isakmp_sa *sa)
{
	struct access *a = access_of(sa);

	if (!a || (sa->established_us && !sa->locked))
		return false;
	a->contact = true;
	return true;
}

void access_unity(struct isakmp_sa *sa)
{
	struct access *a = access_of(sa);

	if (a)
		a->unity = true;
}

void access_free(struct isakmp_sa *sa)
{
	if (!sa->access)
		return;
	timer_cancel(&sa->ike->timers, &sa->access->timer);
	ike_dealloc(sa->ike, sa->access, sizeof(*sa->access));
	sa->access = NULL;
}

/* ------------------------------------------------------------------------ whose is whose ---- */

bool access_same_party(const struct isakmp_sa *a, const struct isakmp_sa *b)
{
	if (a == b || !access_many(a->peer))
		return true;
	return a->access && b->access && a->access->proved && b->access->proved &&
	       ip_addr_equal(&a->path.remote, &b->path.remote) &&
	       strcmp(a->access->user, b->access->user) == 0;
}

bool access_owns(const struct isakmp_sa *sa, const struct pair *pair)
{
	const struct child *c = pair->child;
	const char *user;

	if (!access_many(sa->peer))
		return true;
	if (!sa->access || !sa->access->proved)
		return false;
	if (!c->cfg.pooled)
		return ip_addr_equal(&sa->path.remote, &pair->path.remote) &&
		       sa->path.remote_port == pair->path.remote_port;
	if (sa->access->leased.family != IP_NONE)
		return ip_addr_equal(&sa->access->leased, &c->cfg.sel.remote.lo);
	user = pool_user(sa->peer->pool, &c->cfg.sel.remote.lo);
	return user && strcmp(user, sa->access->user) == 0 &&
	       ip_addr_equal(&sa->path.remote, &pair->path.remote);
}

bool access_holds(const struct isakmp_sa *sa, const struct child *child)
{
	return sa->access && sa->access->leased.family != IP_NONE &&
	       ip_addr_equal(&sa->access->leased, &child->cfg.sel.remote.lo);
}

struct isakmp_sa *child_sa(const struct child *child)
{
	struct isakmp_sa *sa, *best = NULL;

	if (!child->cfg.pooled)
		return peer_sa(child->peer);
	TAILQ_FOREACH(sa, &child->peer->sas, link)
		if (sa_usable(sa) && access_holds(sa, child) &&
		    (!best || sa->established_us >= best->established_us))
			best = sa;
	return best;
}
