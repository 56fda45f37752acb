/* Diagnoses of Quick Mode. */
#include "diagnose.h"

#include <stdio.h>

void diag_quick_refused(struct ike_diagnosis *d, const struct isakmp_sa *sa,
			const struct pair *pair, uint16_t notify)
{
	const struct child *child = pair->child;
	bool selectors = notify == N_INVALID_ID_INFORMATION;
	char offer[150], sel[SELECTOR_STR_LEN];

	diag_begin_sa(d, selectors ? IKE_DIAG_SELECTORS : IKE_DIAG_PHASE2_REFUSED, sa, child);
	d->hint = (struct ike_hint){ .proved = true, .notify = notify };
	snprintf(d->fact, sizeof(d->fact), "%s, %s",
		 esp_offer_text(&child->cfg, offer, sizeof(offer)),
		 selector_str(&pair->sel, sel, sizeof(sel)));
	if (selectors) {
		diag_text_differs(d, "SELECTORS", sel, "not told");
		snprintf(d->remedy, sizeof(d->remedy),
			 "the peer needs a child with exactly these networks, seen from there the "
			 "other way round; its own log says which it has");
	} else {
		mend_refused(d, sa, child);
	}
	diagnosis_say(d);
}

static void selectors_text(const struct peer *peer, char *buf, size_t size)
{
	const struct child *c;
	char text[SELECTOR_STR_LEN];
	size_t n = 0;

	snprintf(buf, size, "none");
	TAILQ_FOREACH(c, &peer->children, link) {
		if (c->dead || n >= size)
			continue;
		n += (size_t)snprintf(buf + n, size - n, "%s%s (%s)", n ? ", " : "",
				      selector_str(&c->cfg.sel, text, sizeof(text)), c->cfg.name);
	}
}

static unsigned selector_distance(const struct selector *a, const struct selector *b)
{
	return (unsigned)!ip_range_equal(&a->local, &b->local) * 4 +
	       (unsigned)!ip_range_equal(&a->remote, &b->remote) * 4 + (a->proto != b->proto) +
	       (a->local_port != b->local_port) + (a->remote_port != b->remote_port);
}

/* The child that differs least; NULL when none shares a network. */
static const struct child *nearest_child(const struct peer *peer, const struct selector *asked)
{
	const struct child *c, *best = NULL;
	unsigned best_distance = 8;

	TAILQ_FOREACH(c, &peer->children, link) {
		unsigned distance = selector_distance(&c->cfg.sel, asked);
		if (c->dead || distance >= best_distance)
			continue;
		best = c;
		best_distance = distance;
	}
	return best;
}

static void port_differs(struct ike_diagnosis *d, const char *what, uint16_t ours, uint16_t theirs)
{
	struct ike_difference *e;

	if (ours == theirs)
		return;
	e = diag_differs(d, what);
	snprintf(e->ours, sizeof(e->ours), ours ? "%u" : "any", ours);
	snprintf(e->theirs, sizeof(e->theirs), theirs ? "%u" : "any", theirs);
}

/* First the selectors as a whole, then what differs of them. */
static void selectors_differ(struct ike_diagnosis *d, const struct selector *ours,
			     const struct selector *theirs)
{
	char a[SELECTOR_STR_LEN], b[SELECTOR_STR_LEN];

	diag_text_differs(d, "SELECTORS", ours ? selector_str(ours, a, sizeof(a)) : "none",
			  selector_str(theirs, b, sizeof(b)));
	if (!ours)
		return;
	if (!ip_range_equal(&ours->local, &theirs->local))
		diag_text_differs(d, "LOCAL", ip_range_str(&ours->local, a, sizeof(a)),
				  ip_range_str(&theirs->local, b, sizeof(b)));
	if (!ip_range_equal(&ours->remote, &theirs->remote))
		diag_text_differs(d, "REMOTE", ip_range_str(&ours->remote, a, sizeof(a)),
				  ip_range_str(&theirs->remote, b, sizeof(b)));
	port_differs(d, "PROTOCOL", ours->proto, theirs->proto);
	port_differs(d, "LOCAL-PORT", ours->local_port, theirs->local_port);
	port_differs(d, "REMOTE-PORT", ours->remote_port, theirs->remote_port);
}

void diag_selectors(struct ike_diagnosis *d, const struct isakmp_sa *sa,
		    const struct selector *asked)
{
	const struct child *child = nearest_child(sa->peer, asked);

	diag_begin_sa(d, IKE_DIAG_SELECTORS, sa, child);
	selectors_text(sa->peer, d->fact, 200);
	selectors_differ(d, child ? &child->cfg.sel : NULL, asked);
	if (child)
		mend_selectors(d, child, asked);
	else
		mend_new_child(d, sa->peer, asked);
	diagnosis_say(d);
}

void diag_narrowed(struct ike_diagnosis *d, const struct isakmp_sa *sa, const struct child *child,
		   const struct selector *answered)
{
	diag_begin_sa(d, IKE_DIAG_SELECTORS, sa, child);
	selectors_differ(d, &child->cfg.sel, answered);
	mend_selectors(d, child, answered);
	diagnosis_say(d);
}

void diag_quick_silent(struct ike_diagnosis *d, const struct isakmp_sa *sa,
		       const struct child *child, unsigned sent)
{
	diag_begin_sa(d, IKE_DIAG_SILENT, sa, child);
	d->message = 1;
	d->sent = sent;
	d->probable = true;
	snprintf(d->remedy, sizeof(d->remedy),
		 "the peer may have lost the Main Mode SA: the next try makes a new one; if that "
		 "does not help, see whether UDP port %u passes in both directions",
		 d->port);
	diagnosis_say(d);
}
