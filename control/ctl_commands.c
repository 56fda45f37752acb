/* What the requests of the control socket do. */
#include <errno.h>
#include <event2/buffer.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "ctl_internal.h"
#include "daemon.h"

/* ------------------------------------------------------------------------------ names ------- */

/* Splits "peer/child", and finds the peer of a child that is named alone. Returns false after an
 * error reply. */
bool ctl_name_resolve(struct ctl_client *c, const char *name, struct ctl_wait *out)
{
	const struct config *cfg = c->ctl->d->cfg;
	const char *slash = strchr(name, '/');
	size_t peer_len = slash ? (size_t)(slash - name) : strlen(name);
	unsigned found = 0;

	for (size_t i = 0; i < cfg->n_peers; i++) {
		const struct ike_peer_cfg *peer = &cfg->peers[i];
		if (strlen(peer->name) == peer_len && strncmp(peer->name, name, peer_len) == 0) {
			snprintf(out->peer, sizeof(out->peer), "%s", peer->name);
			snprintf(out->child, sizeof(out->child), "%s", slash ? slash + 1 : "");
			found = slash ? 0 : 1;
			for (unsigned k = 0; slash && k < peer->n_children; k++)
				found += strcmp(peer->children[k].name, slash + 1) == 0;
			if (!found)
				ctl_error(c, "peer '%s' has no child '%s'", peer->name, slash + 1);
			return found > 0;
		}
	}
	for (size_t i = 0; !slash && i < cfg->n_peers; i++) {
		for (unsigned k = 0; k < cfg->peers[i].n_children; k++) {
			if (strcmp(cfg->peers[i].children[k].name, name) != 0)
				continue;
			found++;
			snprintf(out->peer, sizeof(out->peer), "%s", cfg->peers[i].name);
			snprintf(out->child, sizeof(out->child), "%s", name);
		}
	}
	if (found > 1)
		ctl_error(c, "%u peers have a child '%s': say PEER/%s", found, name, name);
	else if (!found)
		ctl_error(c, "there is no peer or child '%s'", name);
	return found == 1;
}

static const char *wait_name(const struct ctl_wait *w, char *buf, size_t size)
{
	snprintf(buf, size, "%s%s%s", w->peer, w->child[0] ? "/" : "", w->child);
	return buf;
}

/* ---------------------------------------------------------------------------- queries ------- */

struct error_text {
	char text[512];
};

static void error_copy(void *ctx, const struct ike_peer_cfg *cfg, const char *last_error)
{
	struct error_text *e = ctx;

	(void)cfg;
	if (last_error)
		snprintf(e->text, sizeof(e->text), "%s", last_error);
}

static const char *last_error(struct daemon *d, const char *peer, struct error_text *e)
{
	*e = (struct error_text){ 0 };
	ike_peer_visit(d->ike, peer, &(struct ike_visitor){ .ctx = e, .peer = error_copy });
	return e->text;
}

/* Pieces of a reply go out in their order. */
static void piece_sent(const void *p, size_t len, void *doc)
{
	(void)p;
	(void)len;
	stats_doc_read(doc);
}

static void doc_send(struct ctl_client *c, struct stats_doc *doc)
{
	struct evbuffer *out = bufferevent_get_output(c->bev);
	const struct iovec *v;
	unsigned n = stats_doc_pieces(doc, &v);

	for (unsigned i = 0; i < n; i++)
		evbuffer_add_reference(out, v[i].iov_base, v[i].iov_len, piece_sent, doc);
}

static bool listing_more(struct chore *chore)
{
	struct ctl_client *c = (struct ctl_client *)((char *)chore - offsetof(struct ctl_client, chore));
	struct stats_source source = daemon_stats_source(c->ctl->d);
	struct stats_doc *doc;

	if (listing_step(c->listing, LISTING_TURN_US))
		return true;
	doc = stats_doc_new(c->listing_kind, &source, c->listing);
	c->listing = NULL;
	if (doc)
		doc_send(c, doc);
	else
		ctl_error(c, "no memory for the reply");
	return false;
}

/* The reply follows when everything has been looked at; the client's next request waits. */
static void do_listing(struct ctl_client *c, enum stats_doc_kind kind)
{
	struct daemon *d = c->ctl->d;
	struct stats_source source = daemon_stats_source(d);

	c->listing_kind = kind;
	c->listing = listing_new(&source, stats_doc_parts(kind));
	c->chore.step = listing_more;
	if (c->listing && chores_add(&d->chores, d->base, &c->chore) == 0)
		return;
	listing_free(c->listing);
	c->listing = NULL;
	ctl_error(c, "no memory for the reply");
}

static void do_why(struct ctl_client *c, const char *name)
{
	struct daemon *d = c->ctl->d;
	struct ctl_wait who = { 0 };
	struct error_text error;

	if (name[0] && !ctl_name_resolve(c, name, &who))
		return;
	ctl_reply(c, json_pack("{s:b, s:s, s:s, s:o, s:o}", "ok", 1, "name", who.peer, "last_error",
			       last_error(d, who.peer, &error), "diagnoses",
			       timelines_diagnoses(d->timelines, who.peer, clock_us()), "steps",
			       timelines_json(d->timelines, who.peer, clock_us())));
}

/* -------------------------------------------------------------------------- operations ------ */

struct missing {
	const struct ctl_wait *wait;
	unsigned up; /* children of the peer (or the one) that have a pair */
	const char *last;
};

static void count_up(void *ctx, const struct ike_child_info *i)
{
	struct missing *m = ctx;

	if (!i->established || !i->current)
		return;
	if (m->wait->child[0] && strcmp(i->child, m->wait->child) != 0)
		return;
	m->up++;
}

/* Children that must have a pair, and pairs that stand. */
static bool all_up(struct daemon *d, const struct ctl_wait *w)
{
	struct missing m = { .wait = w };
	unsigned want = 0;

	for (size_t i = 0; i < d->cfg->n_peers; i++) {
		const struct ike_peer_cfg *peer = &d->cfg->peers[i];
		if (strcmp(peer->name, w->peer) != 0)
			continue;
		for (unsigned k = 0; k < peer->n_children; k++)
			if (!w->child[0] || strcmp(peer->children[k].name, w->child) == 0)
				want += peer->children[k].pairs;
	}
	ike_peer_visit(d->ike, w->peer, &(struct ike_visitor){ .ctx = &m, .child = count_up });
	return want > 0 && m.up >= want;
}

static void wait_end(struct ctl_client *c)
{
	evtimer_del(c->timeout);
	c->wait = (struct ctl_wait){ 0 };
	/* requests behind this one are served when the reply is out (on_write) */
}

static void wait_timeout(struct ctl_client *c)
{
	struct error_text error;
	char name[2 * IKE_NAME_LEN + 2];
	const char *why = last_error(c->ctl->d, c->wait.peer, &error);

	ctl_error(c, "%s: no result in time, the negotiation goes on%s%s",
		  wait_name(&c->wait, name, sizeof(name)), why[0] ? "; last error: " : "", why);
	wait_end(c);
}

static bool event_is_for(const struct ctl_wait *w, const struct ike_event *ev)
{
	if (strcmp(ev->peer, w->peer) != 0)
		return false;
	return ev->type == IKE_EV_PHASE1_UP || ev->type == IKE_EV_PHASE1_FAILED || !w->child[0] ||
	       strcmp(ev->child, w->child) == 0;
}

void ctl_wait_check(struct ctl_client *c, const struct ike_event *ev)
{
	struct ctl_wait *w = &c->wait;
	char name[2 * IKE_NAME_LEN + 2];

	if (!ev) {
		wait_timeout(c);
		return;
	}
	if (!event_is_for(w, ev))
		return;
	if (ev->type == IKE_EV_PHASE1_FAILED || ev->type == IKE_EV_CHILD_FAILED) {
		ctl_error(c, "%s: %s; see shrikectl why %s", wait_name(w, name, sizeof(name)),
			  ev->text, w->peer);
		wait_end(c);
		return;
	}
	bool up = ev->type == IKE_EV_CHILD_UP || ev->type == IKE_EV_PHASE1_UP;
	bool done = w->verb == CTL_UP ? up && all_up(c->ctl->d, w) :
		    w->child[0]	      ? ev->type == IKE_EV_CHILD_REKEYED :
					ev->type == IKE_EV_PHASE1_UP;
	if (!done)
		return;
	char text[512];
	snprintf(text, sizeof(text), "%s is %s%s%s", wait_name(w, name, sizeof(name)),
		 w->verb == CTL_UP ? "up" : "rekeyed", ev->text[0] ? ": " : "", ev->text);
	ctl_reply(c, json_pack("{s:b, s:s}", "ok", 1, "text", text));
	wait_end(c);
}

static void do_operation(struct ctl_client *c, const struct ctl_request *req)
{
	struct daemon *d = c->ctl->d;
	struct ctl_wait w = { .verb = req->verb };
	char name[2 * IKE_NAME_LEN + 2], text[256];
	int rc;

	if (!ctl_name_resolve(c, req->name, &w))
		return;
	wait_name(&w, name, sizeof(name));
	/* the wait is set first: a failure may be known before the call returns */
	if (req->verb != CTL_DOWN && req->timeout_s > 0)
		c->wait = w;
	rc = req->verb == CTL_UP   ? ike_up(d->ike, name) :
	     req->verb == CTL_DOWN ? ike_down(d->ike, name) :
				     ike_rekey(d->ike, name);
	if (rc == 0 && c->wait.peer[0]) {
		struct timeval t = { .tv_sec = (time_t)req->timeout_s,
				     .tv_usec = (suseconds_t)((req->timeout_s -
							       (double)(time_t)req->timeout_s) *
							      1e6) };
		evtimer_add(c->timeout, &t);
		return;
	}
	if (rc == 0 && req->verb != CTL_DOWN && req->timeout_s > 0)
		return; /* answered by ctl_wait_check() already */
	c->wait = (struct ctl_wait){ 0 };
	if (rc == -EALREADY) {
		snprintf(text, sizeof(text), "%s is %s already", name,
			 req->verb == CTL_DOWN ? "down" : "up");
		ctl_reply(c, json_pack("{s:b, s:s}", "ok", 1, "text", text));
	} else if (rc == 0) {
		snprintf(text, sizeof(text), "%s %s", name,
			 req->verb == CTL_DOWN ? "is down" : "is being negotiated");
		ctl_reply(c, json_pack("{s:b, s:s}", "ok", 1, "text", text));
	} else if (rc == -ENOTCONN && w.child[0] && req->verb == CTL_REKEY) {
		ctl_error(c, "%s has nothing to rekey: it is down", name);
	} else if (rc == -ENOTCONN) {
		ctl_error(c, "%s: the peer has no address to call (remote: any), it must come to us",
			  name);
	} else {
		ctl_error(c, "%s: %s", name, strerror(-rc));
	}
}

void ctl_execute(struct ctl_client *c, const struct ctl_request *req)
{
	switch (req->verb) {
	case CTL_STATUS:
		do_listing(c, STATS_DOC_STATUS);
		break;
	case CTL_SA:
		do_listing(c, STATS_DOC_SA);
		break;
	case CTL_STATS:
		do_listing(c, STATS_DOC_STATS);
		break;
	case CTL_WHY:
		do_why(c, req->name);
		break;
	case CTL_UP:
	case CTL_DOWN:
	case CTL_REKEY:
		do_operation(c, req);
		break;
	case CTL_TRACE:
	case CTL_CAPTURE:
		ctl_watch_start(c, req);
		break;
	}
}
