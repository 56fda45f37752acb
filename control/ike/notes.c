/* What is told to the outside: events, and the last error of a peer. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "engine.h"

static void event_raise(struct ike *ike, struct ike_event *ev, struct peer *peer,
			struct child *child, const struct isakmp_sa *sa)
{
	ev->peer = peer ? peer->cfg.name : "";
	ev->child = child ? child->cfg.name : "";
	if (sa) {
		memcpy(ev->icookie, sa->icookie, sizeof(ev->icookie));
		memcpy(ev->rcookie, sa->rcookie, sizeof(ev->rcookie));
		ev->path = sa->path;
	}
	ike->ops.event(ike->ops.ctx, ev);
}

void ike_event(struct ike *ike, enum ike_event_type type, struct peer *peer, struct child *child,
	       const struct isakmp_sa *sa, const char *fmt, ...)
{
	char text[512];
	struct ike_event ev = { .type = type, .text = text };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	event_raise(ike, &ev, peer, child, sa);
}

void ike_event_diagnosis(struct ike *ike, enum ike_event_type type, struct peer *peer,
			 struct child *child, const struct isakmp_sa *sa,
			 const struct ike_diagnosis *d)
{
	struct ike_event ev = { .type = type, .text = d->text, .diagnosis = d };

	event_raise(ike, &ev, peer, child, sa);
}

void peer_error(struct peer *peer, const struct isakmp_sa *sa, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(peer->last_error, sizeof(peer->last_error), fmt, ap);
	va_end(ap);
	ike_note(peer->ike, peer, sa, "%s", peer->last_error);
}

void child_warning(struct child *child, const struct isakmp_sa *sa, const char *fmt, ...)
{
	struct peer *peer = child->peer;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(peer->last_error, sizeof(peer->last_error), fmt, ap);
	va_end(ap);
	ike_event(peer->ike, IKE_EV_WARNING, peer, child, sa, "%s", peer->last_error);
}

void peer_diagnosis(struct peer *peer, struct child *child, const struct isakmp_sa *sa,
		    const struct ike_diagnosis *d)
{
	if (d->code != IKE_DIAG_LIFETIME) /* which is no error */
		snprintf(peer->last_error, sizeof(peer->last_error), "%s", d->text);
	ike_event_diagnosis(peer->ike, d->degraded ? IKE_EV_WARNING : IKE_EV_NOTE, peer, child, sa,
			    d);
}

void timing_add(struct ike_timing *t, uint64_t us)
{
	if (t->count == 0 || us < t->min_us)
		t->min_us = us;
	if (us > t->max_us)
		t->max_us = us;
	t->count++;
	t->total_us += us;
	t->last_us = us;
}

const char *ike_offer_text(const struct ike_peer_cfg *cfg, char *buf, size_t size)
{
	char t[TRANSFORM_STR_LEN];
	size_t n = 0;

	buf[0] = '\0';
	for (unsigned i = 0; i < cfg->n_ike && n < size; i++)
		n += (size_t)snprintf(buf + n, size - n, "%s%s", i ? ", " : "",
				      ike_transform_str(&cfg->ike[i], t, sizeof(t)));
	return buf;
}

const char *esp_offer_text(const struct ike_child_cfg *cfg, char *buf, size_t size)
{
	char t[TRANSFORM_STR_LEN];
	size_t n = 0;

	buf[0] = '\0';
	for (unsigned i = 0; i < cfg->n_esp && n < size; i++)
		n += (size_t)snprintf(buf + n, size - n, "%s%s", i ? ", " : "",
				      esp_transform_str(&cfg->esp[i], t, sizeof(t)));
	return buf;
}
