/* Negotiation events: a log line for each that matters, and the peer's timeline. */
#include <stdio.h>

#include "daemon.h"
#include "log.h"

/* What goes between the name and the engine's text. */
static const char *event_words(enum ike_event_type type)
{
	switch (type) {
	case IKE_EV_PHASE1_UP:
		return "Main Mode SA ";
	case IKE_EV_PHASE1_DOWN:
		return "Main Mode SA down: ";
	case IKE_EV_PHASE1_FAILED:
		return "Main Mode failed: ";
	case IKE_EV_CHILD_UP:
		return "up: ";
	case IKE_EV_CHILD_REKEYED:
		return "rekeyed: ";
	case IKE_EV_CHILD_DOWN:
		return "down: ";
	case IKE_EV_CHILD_FAILED:
		return "Quick Mode failed: ";
	case IKE_EV_WARNING:
		return "works, but: ";
	case IKE_EV_NOTE:
		break;
	}
	return "";
}

void events_on_event(void *ctx, const struct ike_event *ev)
{
	struct daemon *d = ctx;
	char who[2 * IKE_NAME_LEN + 2], a[ADDR_STR_LEN];

	timelines_add(d->timelines, ev, clock_us());
	if (ev->peer[0] == '\0')
		snprintf(who, sizeof(who), "%s", ip_addr_str(&ev->path.remote, a, sizeof(a)));
	else
		snprintf(who, sizeof(who), "%s%s%s", ev->peer, ev->child[0] ? "/" : "", ev->child);
	enum log_level level = ev->type == IKE_EV_NOTE ? LOG_LVL_DEBUG :
			       ev->type == IKE_EV_PHASE1_FAILED || ev->type == IKE_EV_WARNING ||
					       ev->type == IKE_EV_CHILD_FAILED ?
							 LOG_LVL_WARN :
							 LOG_LVL_INFO;
	log_line(level, "%s: %s%s", who, event_words(ev->type), ev->text);
	if (d->ctl)
		ctl_on_event(d->ctl, ev);
}
