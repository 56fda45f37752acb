/* Connections of the control socket. */
#include "ctl.h"

#include <errno.h>
#include <event2/buffer.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "ctl_internal.h"
#include "daemon.h"
#include "log.h"

#define WRITE_MAX (128 << 10) /* bytes at once: a listing may have tens of megabytes */

static void client_free(struct ctl_client *c)
{
	ctl_watch_end(c, NULL);
	chores_cancel(&c->ctl->d->chores, &c->chore);
	listing_free(c->listing);
	TAILQ_REMOVE(&c->ctl->clients, c, link);
	c->ctl->n--;
	event_free(c->timeout);
	bufferevent_free(c->bev);
	free(c);
}

void ctl_reply(struct ctl_client *c, json_t *reply)
{
	char *text = json_dumps(reply, JSON_COMPACT | JSON_REAL_PRECISION(15));
	struct evbuffer *out = bufferevent_get_output(c->bev);

	if (text)
		evbuffer_add_printf(out, "%s\n", text);
	else
		evbuffer_add_printf(out, "{\"ok\":false,\"error\":\"no memory for the reply\"}\n");
	free(text);
	json_decref(reply);
}

void ctl_error(struct ctl_client *c, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	ctl_reply(c, json_pack("{s:b, s:s}", "ok", 0, "error", text));
}

/* Takes requests off the input until one has to wait, or the client lags behind with reading. */
static void client_serve(struct ctl_client *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	struct ctl_request req;
	char why[256], *line;
	size_t len;

	while (!c->closing && c->wait.peer[0] == '\0' && !c->watch.on && !c->listing &&
	       evbuffer_get_length(bufferevent_get_output(c->bev)) == 0 &&
	       (line = evbuffer_readln(in, &len, EVBUFFER_EOL_LF))) {
		if (ctl_request_parse(line, len, &req, why, sizeof(why)) != 0)
			ctl_error(c, "%s", why);
		else
			ctl_execute(c, &req);
		free(line);
	}
	if (!c->closing && evbuffer_get_length(in) >= CTL_LINE_MAX &&
	    evbuffer_search_eol(in, NULL, NULL, EVBUFFER_EOL_LF).pos < 0) {
		ctl_error(c, "a request has at most %d bytes", CTL_LINE_MAX);
		c->closing = true;
	}
}

static void on_read(struct bufferevent *bev, void *ctx)
{
	(void)bev;
	client_serve(ctx);
}

/* The reply is out: the next request may come in. */
static void on_write(struct bufferevent *bev, void *ctx)
{
	struct ctl_client *c = ctx;

	(void)bev;
	if (c->closing)
		client_free(c);
	else
		client_serve(c);
}

static void on_close(struct bufferevent *bev, short what, void *ctx)
{
	struct ctl_client *c = ctx;

	(void)bev;
	/* somebody who waits for "up" or watches sends nothing meanwhile; that is no reason to close */
	if ((what & BEV_EVENT_TIMEOUT) && (what & BEV_EVENT_READING) &&
	    (c->wait.peer[0] || c->watch.on)) {
		bufferevent_enable(c->bev, EV_READ);
		return;
	}
	client_free(c);
}

static void on_wait_over(evutil_socket_t fd, short what, void *ctx)
{
	struct ctl_client *c = ctx;

	(void)fd;
	(void)what;
	if (c->watch.on)
		ctl_watch_end(c, "the time is over");
	else
		ctl_wait_check(c, NULL);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *addr,
		      int len, void *ctx)
{
	static const struct timeval idle = { .tv_sec = CTL_IDLE_S };
	struct ctl *ctl = ctx;
	struct ctl_client *c = ctl->n < CTL_CLIENTS ? calloc(1, sizeof(*c)) : NULL;

	(void)listener;
	(void)addr;
	(void)len;
	if (c)
		c->bev = bufferevent_socket_new(ctl->d->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (c && c->bev)
		c->timeout = evtimer_new(ctl->d->base, on_wait_over, c);
	if (!c || !c->bev || !c->timeout) {
		if (c && c->bev)
			bufferevent_free(c->bev);
		else
			close(fd);
		free(c);
		return;
	}
	c->ctl = ctl;
	ctl->n++;
	TAILQ_INSERT_TAIL(&ctl->clients, c, link);
	bufferevent_setcb(c->bev, on_read, on_write, on_close, c);
	bufferevent_setwatermark(c->bev, EV_READ, 0, CTL_LINE_MAX);
	bufferevent_set_max_single_write(c->bev, WRITE_MAX);
	bufferevent_set_timeouts(c->bev, &idle, &idle);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
}

/* The lock of the run directory is ours, so a socket that is there is a dead one's. */
static int socket_listen(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, rc = 0;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	unlink(path);
	/* no moment in which somebody else could connect */
	mode_t old = umask(0177);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 || listen(fd, 8) != 0)
		rc = -errno;
	umask(old);
	if (rc != 0) {
		close(fd);
		return rc;
	}
	return fd;
}

int ctl_start(struct daemon *d, struct ctl **out)
{
	struct ctl *ctl = calloc(1, sizeof(*ctl));
	int fd;

	if (!ctl)
		return -ENOMEM;
	ctl->d = d;
	TAILQ_INIT(&ctl->clients);
	snprintf(ctl->path, sizeof(ctl->path), "%s/control.sock", d->cfg->run_dir);
	fd = socket_listen(ctl->path);
	if (fd < 0) {
		log_error("the control socket %s cannot be made: %s", ctl->path, strerror(-fd));
		free(ctl);
		return fd;
	}
	ctl->listener = evconnlistener_new(d->base, on_accept, ctl,
					   LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, -1, fd);
	if (!ctl->listener) {
		close(fd);
		free(ctl);
		return -ENOMEM;
	}
	*out = ctl;
	return 0;
}

void ctl_stop(struct ctl *ctl)
{
	struct ctl_client *c;

	if (!ctl)
		return;
	while ((c = TAILQ_FIRST(&ctl->clients)))
		client_free(c);
	evconnlistener_free(ctl->listener);
	unlink(ctl->path);
	free(ctl);
}

void ctl_on_event(struct ctl *ctl, const struct ike_event *ev)
{
	struct ctl_client *c;

	TAILQ_FOREACH(c, &ctl->clients, link)
		if (c->wait.peer[0])
			ctl_wait_check(c, ev);
}
