/* Negotiation events: a log line for each that matters, and the peer's timeline. */
#include <stdio.h>

#include "daemon.h"
#include "log.h"

/* What goes between the name and the engine's text. */
static const char *event_words(enum ike_event_type type)
{
	switch (type) {
	case IKE_EV_PHASE1_UP:
		return "phase 1 ";
	case IKE_EV_PHASE1_DOWN:
		return "phase 1 down: ";
	case IKE_EV_PHASE1_FAILED:
		return "phase 1 failed: ";
	case IKE_EV_CHILD_UP:
		return "up: ";
	case IKE_EV_CHILD_REKEYED:
		return "rekeyed: ";
	case IKE_EV_CHILD_DOWN:
		return "down: ";
	case IKE_EV_CHILD_FAILED:
		return "Quick Mode failed: ";
	case IKE_EV_CHILD_CLEAR:
		return "NOT PROTECTED: ";
	case IKE_EV_CHILD_PROTECTED:
		return "protected again: ";
	case IKE_EV_WARNING:
		return "works, but: ";
	case IKE_EV_NOTE:
		break;
	}
	return "";
}

static enum log_level event_level(const struct ike_event *ev, bool news)
{
	switch (ev->type) {
	case IKE_EV_PHASE1_FAILED:
	case IKE_EV_CHILD_FAILED:
	case IKE_EV_CHILD_CLEAR:
		return LOG_LVL_WARN;
	case IKE_EV_WARNING:
		return !news ? LOG_LVL_DEBUG :
		       ev->diagnosis && ev->diagnosis->code == IKE_DIAG_LIFETIME ? LOG_LVL_INFO :
										   LOG_LVL_WARN;
	case IKE_EV_NOTE:
		return ev->diagnosis && news ? LOG_LVL_WARN : LOG_LVL_DEBUG;
	default:
		return LOG_LVL_INFO;
	}
}

/* The lines that would mend it, on one. */
static const char *mend_text(const struct ike_diagnosis *d, char *buf, size_t size)
{
	size_t n;

	buf[0] = '\0';
	if (!d || (!d->mend[0] && !d->remedy[0]))
		return buf;
	if (!d->mend[0]) {
		snprintf(buf, size, "; to mend it: %s", d->remedy);
		return buf;
	}
	n = (size_t)snprintf(buf, size, "; to mend it, %s: %s", d->where, d->mend);
	for (size_t i = 0; i < n && i < size; i++)
		if (buf[i] == '\n')
			buf[i] = '|';
	return buf;
}

void events_on_event(void *ctx, const struct ike_event *ev)
{
	struct daemon *d = ctx;
	char who[2 * IKE_NAME_LEN + 2], a[ADDR_STR_LEN], mend[1024];
	bool news = timelines_add(d->timelines, ev, clock_us());

	if (ev->peer[0] == '\0')
		snprintf(who, sizeof(who), "%s", ip_addr_str(&ev->path.remote, a, sizeof(a)));
	else
		snprintf(who, sizeof(who), "%s%s%s", ev->peer, ev->child[0] ? "/" : "", ev->child);
	log_line(event_level(ev, news), "%s: %s%s%s", who, event_words(ev->type), ev->text,
		 mend_text(ev->diagnosis, mend, sizeof(mend)));
	if (d->ctl)
		ctl_on_event(d->ctl, ev);
}
