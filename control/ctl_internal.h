/* Shared by ctl.c (connections) and ctl_commands.c (what requests do). */
#ifndef SHRIKE_CTL_INTERNAL_H
#define SHRIKE_CTL_INTERNAL_H

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <sys/queue.h>

#include "chores.h"
#include "ctl.h"
#include "stats_doc.h"

/* What a client waits for; peer empty: nothing. */
struct ctl_wait {
	enum ctl_verb verb;
	char peer[IKE_NAME_LEN], child[IKE_NAME_LEN]; /* child empty: all of the peer's */
};

/* A trace or capture that this client gets. */
struct ctl_watch {
	bool on;
	uint32_t count, packets;
	uint64_t skipped; /* its output was too long */
};

struct ctl_client {
	TAILQ_ENTRY(ctl_client) link;
	struct ctl *ctl;
	struct bufferevent *bev;
	struct ctl_wait wait;
	struct ctl_watch watch;
	struct chore chore; /* writes the listing */
	struct listing *listing; /* that the reply waits for; NULL: none */
	enum stats_doc_kind listing_kind;
	struct event *timeout; /* of the wait or the watch */
	bool closing;	       /* after the reply is out */
};

struct ctl {
	struct daemon *d;
	struct evconnlistener *listener;
	char path[300];
	unsigned n;
	TAILQ_HEAD(, ctl_client) clients;
};

/* ctl_commands.c: runs a request; sends the reply, or sets client->wait. */
void ctl_execute(struct ctl_client *client, const struct ctl_request *req);
/* Finds the peer (and child) that a name means; false after an error reply. */
bool ctl_name_resolve(struct ctl_client *client, const char *name, struct ctl_wait *out);
/* Ends a wait when the event (NULL: time is up) decides it. */
void ctl_wait_check(struct ctl_client *client, const struct ike_event *ev);

/* ctl_watch.c: begins a trace or capture, or sends an error; ends it, with a last line that says why
 * (NULL: the client is going). */
void ctl_watch_start(struct ctl_client *client, const struct ctl_request *req);
void ctl_watch_end(struct ctl_client *client, const char *why);

/* ctl.c: sends a reply (taken over), or an error. */
void ctl_reply(struct ctl_client *client, json_t *reply);
__attribute__((format(printf, 2, 3))) void ctl_error(struct ctl_client *client, const char *fmt,
						      ...);

#endif
