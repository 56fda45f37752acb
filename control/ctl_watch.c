/* "trace" and "capture": packets of the data plane, streamed to one client as JSON lines. */
#include <errno.h>
#include <event2/buffer.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl_internal.h"
#include "daemon.h"
#include "log.h"

/* A client that reads more slowly than packets come misses some: they are counted, not kept. */
#define WATCH_OUTPUT_MAX (4u << 20)

/* ------------------------------------------------------------------------- packets ---------- */

static bool policy_name(const struct config *cfg, uint32_t policy, char *buf, size_t size)
{
	for (size_t i = 0; i < cfg->n_peers; i++) {
		for (unsigned k = 0; k < cfg->peers[i].n_children; k++) {
			if (cfg->peers[i].children[k].policy != policy)
				continue;
			snprintf(buf, size, "%s/%s", cfg->peers[i].name,
				 cfg->peers[i].children[k].name);
			return true;
		}
	}
	return false;
}

static json_t *steps_json(const struct dp_watched *seen)
{
	const char *p = (const char *)seen->data, *end = p + seen->len;
	json_t *steps = json_array();

	while (p < end) {
		const char *line_end = memchr(p, '\n', (size_t)(end - p));
		const char *tab = memchr(p, '\t', (size_t)(end - p));

		if (!line_end || !tab || tab > line_end)
			break;
		json_array_append_new(steps,
				      json_pack("{s:s%, s:s%}", "stage", p, (size_t)(tab - p),
						"text", tab + 1, (size_t)(line_end - tab - 1)));
		p = line_end + 1;
	}
	return steps;
}

static json_t *story_json(struct ctl_client *c, const struct dp_watched *seen)
{
	char name[2 * IKE_NAME_LEN + 2];
	json_t *j = json_pack("{s:f, s:i, s:o}", "time", (double)seen->wall_us / 1e6, "worker",
			      (int)seen->worker, "steps", steps_json(seen));

	if (policy_name(c->ctl->d->cfg, seen->policy, name, sizeof(name)))
		json_object_set_new(j, "child", json_string(name));
	return j;
}

static json_t *copy_json(struct ctl_client *c, const struct dp_watched *seen)
{
	static const char digits[] = "0123456789abcdef";
	char *hex = malloc(2 * seen->len + 1);
	struct dp_port_stats port;
	json_t *j;

	if (!hex)
		return NULL;
	for (size_t i = 0; i < seen->len; i++) {
		hex[2 * i] = digits[seen->data[i] >> 4];
		hex[2 * i + 1] = digits[seen->data[i] & 15];
	}
	j = json_pack("{s:I, s:s, s:i, s:s%}", "time_us", (json_int_t)seen->wall_us, "direction",
		      seen->kind == DP_WATCHED_SENT ? "out" : "in", "length", (int)seen->wire_len,
		      "data", hex, 2 * seen->len);
	free(hex);
	if (j && seen->port != UINT_MAX) {
		dp_port_stats(c->ctl->d->dp, seen->port, &port);
		json_object_set_new(j, "port", json_string(port.name));
	}
	return j;
}

static void on_packet(void *ctx, const struct dp_watched *seen)
{
	struct ctl_client *c = ctx;
	json_t *j;

	if (evbuffer_get_length(bufferevent_get_output(c->bev)) > WATCH_OUTPUT_MAX) {
		c->watch.skipped++;
		return;
	}
	j = seen->kind == DP_WATCHED_STORY ? story_json(c, seen) : copy_json(c, seen);
	if (!j) {
		c->watch.skipped++;
		return;
	}
	ctl_reply(c, j);
	if (++c->watch.packets == c->watch.count)
		ctl_watch_end(c, "as many as were asked for");
}

/* ------------------------------------------------------------------------- start and end ---- */

void ctl_watch_end(struct ctl_client *c, const char *why)
{
	struct daemon *d = c->ctl->d;
	uint64_t missed;

	if (!c->watch.on)
		return;
	dp_watch_stop(d->dp);
	missed = dp_watch_missed(d->dp) + c->watch.skipped;
	c->watch.on = false;
	evtimer_del(c->timeout);
	if (why)
		ctl_reply(c, json_pack("{s:b, s:b, s:I, s:I, s:s}", "ok", 1, "done", 1, "packets",
				       (json_int_t)c->watch.packets, "missed", (json_int_t)missed,
				       "why", why));
}

static void add_address(struct dp_watch_cfg *w, const struct ip_addr *a)
{
	for (unsigned i = 0; i < w->n_addrs; i++)
		if (ip_addr_equal(&w->addr[i], a))
			return;
	if (a->family != IP_NONE && w->n_addrs < DP_WATCH_ADDRS)
		w->addr[w->n_addrs++] = *a;
}

struct path_search {
	const char *peer;
	struct dp_watch_cfg *w;
};

static void path_add(void *ctx, const struct ike_sa_info *i)
{
	struct path_search *s = ctx;

	if (strcmp(i->peer, s->peer) == 0)
		add_address(s->w, &i->path.remote);
}

/* What belongs to a peer: its addresses, as configured and as they are, and its children's
 * policies. *ids is for the caller to free. */
static int peer_fill(struct daemon *d, const struct ctl_wait *who, struct dp_watch_cfg *w,
		     uint32_t **ids)
{
	struct path_search search = { .peer = who->peer, .w = w };

	w->by_peer = true;
	for (size_t i = 0; i < d->cfg->n_peers; i++) {
		const struct ike_peer_cfg *peer = &d->cfg->peers[i];

		if (strcmp(peer->name, who->peer) != 0)
			continue;
		add_address(w, &peer->remote);
		*ids = calloc(peer->n_children + 1, sizeof(**ids));
		if (!*ids)
			return -ENOMEM;
		for (unsigned k = 0; k < peer->n_children; k++)
			if (!who->child[0] || strcmp(peer->children[k].name, who->child) == 0)
				(*ids)[w->n_policies++] = peer->children[k].policy;
	}
	w->policies = *ids;
	ike_sa_foreach(d->ike, path_add, &search);
	return 0;
}

static bool port_find(struct daemon *d, const char *name, unsigned *out)
{
	struct dp_port_stats port;

	for (unsigned i = 0; i < dp_port_count(d->dp); i++) {
		dp_port_stats(d->dp, i, &port);
		if (strcmp(port.name, name) == 0) {
			*out = i;
			return true;
		}
	}
	return false;
}

static enum dp_watch_what what_of(const struct ctl_request *req)
{
	if (req->verb == CTL_TRACE)
		return DP_WATCH_TRACE;
	if (req->side == CTL_SIDE_PLAIN)
		return DP_WATCH_PLAIN;
	return req->port[0] ? DP_WATCH_FRAMES : DP_WATCH_SEALED;
}

static void started(struct ctl_client *c, const struct ctl_request *req, enum dp_watch_what what)
{
	struct timeval t = {
		.tv_sec = (time_t)req->seconds,
		.tv_usec = (suseconds_t)((req->seconds - (double)(time_t)req->seconds) * 1e6)
	};

	if (what == DP_WATCH_PLAIN || what == DP_WATCH_FRAMES)
		log_warn("packets in the clear are being captured through the control socket: "
			 "%s%s, at "
			 "most %u in %.0f s",
			 req->name[0] ? req->name : "of every peer",
			 req->port[0] ? ", with the frames of a port" : "", req->count,
			 req->seconds);
	c->watch = (struct ctl_watch){ .on = true, .count = req->count };
	evtimer_add(c->timeout, &t);
	ctl_reply(c, json_pack("{s:b, s:s}", "ok", 1, "link",
			       what == DP_WATCH_PLAIN ? "raw" : "ethernet"));
}

void ctl_watch_start(struct ctl_client *c, const struct ctl_request *req)
{
	struct daemon *d = c->ctl->d;
	struct dp_watch_cfg w = { .what = what_of(req),
				  .port = UINT_MAX,
				  .count = req->count,
				  .on_packet = on_packet,
				  .ctx = c };
	struct ctl_wait who = { 0 };
	uint32_t *ids = NULL;
	char why[200];

	if (req->port[0] && !port_find(d, req->port, &w.port)) {
		ctl_error(c, "there is no port '%s'", req->port);
		return;
	}
	if (req->name[0] && !ctl_name_resolve(c, req->name, &who))
		return;
	if (req->name[0] && peer_fill(d, &who, &w, &ids) != 0)
		ctl_error(c, "no memory");
	else if (dp_watch_start(d->dp, &w, why, sizeof(why)) != 0)
		ctl_error(c, "%s", why);
	else
		started(c, req, w.what);
	free(ids);
}
