/* Fragments of ISAKMP messages: reassembly within strict limits, and cutting. See fragment.h. */
#include "fragment.h"

#include <errno.h>
#include <string.h>

#include "bytes.h"

#define FRAGMENT_HDR 8 /* generic header, fragment ID, number, flags */
#define UDP_LEN      8
#define MARKER_LEN   4 /* non-ESP marker on port 4500 */

struct fragment_set {
	TAILQ_ENTRY(fragment_set) link; /* of the engine, the oldest first */
	struct isakmp_sa *sa;           /* NULL: a first message, */
	struct peer *peer;              /* of this peer */
	struct ike_path path;
	uint8_t icookie[ISAKMP_COOKIE_LEN];
	uint8_t exchange;
	uint16_t id;
	uint32_t msgid;
	uint64_t since;
	unsigned last, have; /* number of the last fragment (0: unknown), fragments there */
	size_t bytes;
	bool done;        /* handed up, */
	uint64_t done_us; /* the last time then */
	struct buf part[IKE_MAX_FRAGMENTS];
};

static void set_free(struct ike *ike, struct fragment_set *s)
{
	TAILQ_REMOVE(&ike->fragment_sets, s, link);
	ike->n_fragment_sets--;
	for (unsigned i = 0; i < IKE_MAX_FRAGMENTS; i++)
		buf_free(ike, &s->part[i]);
	ike_dealloc(ike, s, sizeof(*s));
}

/* It will never be complete. */
static void set_drop(struct ike *ike, struct fragment_set *s)
{
	if (!s->done)
		ike->totals.fragment_sets_dropped++;
	set_free(ike, s);
}

static void fragments_arm(struct ike *ike)
{
	struct fragment_set *s = TAILQ_FIRST(&ike->fragment_sets);

	if (s)
		timer_set(&ike->timers, &ike->fragment_timer, s->since + IKE_FRAGMENT_US);
	else
		timer_cancel(&ike->timers, &ike->fragment_timer);
}

static void fragments_expire(void *arg)
{
	struct ike *ike = arg;
	struct fragment_set *s;
	uint64_t now = ike_now(ike);

	while ((s = TAILQ_FIRST(&ike->fragment_sets)) && s->since + IKE_FRAGMENT_US <= now)
		set_drop(ike, s);
	fragments_arm(ike);
}

void fragment_init(struct ike *ike)
{
	TAILQ_INIT(&ike->fragment_sets);
	timer_init(&ike->fragment_timer, fragments_expire, ike);
}

void fragment_forget(struct ike *ike, const struct isakmp_sa *sa, const struct peer *peer)
{
	struct fragment_set *s, *next;

	for (s = TAILQ_FIRST(&ike->fragment_sets); s; s = next) {
		next = TAILQ_NEXT(s, link);
		if (sa ? s->sa == sa : !s->sa && s->peer == peer)
			set_drop(ike, s);
	}
	fragments_arm(ike);
}

/* ------------------------------------------------------------------------------ the sets ---- */

static bool same_path(const struct ike_path *a, const struct ike_path *b)
{
	return ip_addr_equal(&a->remote, &b->remote) && a->remote_port == b->remote_port &&
	       a->local_port == b->local_port;
}

static struct fragment_set *set_find(struct ike *ike, const struct isakmp_sa *sa,
				     const struct inmsg *m, uint16_t id)
{
	struct fragment_set *s;

	TAILQ_FOREACH(s, &ike->fragment_sets, link)
		if (s->sa == sa && s->id == id && s->msgid == m->hdr.msgid &&
		    s->exchange == m->hdr.exchange && same_path(&s->path, m->path) &&
		    memcmp(s->icookie, m->hdr.icookie, ISAKMP_COOKIE_LEN) == 0)
			return s;
	return NULL;
}

/* The less it is worth, the higher: what is complete, then what is of nobody who proved anything.
 */
static unsigned set_rank(const struct fragment_set *s)
{
	return s->done ? 2 : !s->sa || !s->sa->established_us;
}

/* What a set competes with for its place. */
enum room { ROOM_SA, ROOM_SOURCE, ROOM_FIRST, ROOM_ALL };

static bool room_holds(enum room room, const struct fragment_set *s, const struct isakmp_sa *sa,
		       const struct ip_addr *source)
{
	switch (room) {
	case ROOM_SA:
		return sa && s->sa == sa;
	case ROOM_SOURCE: /* a first message's source may be forged, the others' cookies are not */
		return !s->sa == !sa && ip_addr_equal(&s->path.remote, source);
	case ROOM_FIRST:
		return !sa && !s->sa;
	case ROOM_ALL:
		return true;
	}
	return false;
}

/* Where as many are as there may be, the oldest of the least worth makes room. */
static void make_room(struct ike *ike, enum room room, const struct isakmp_sa *sa,
		      const struct ip_addr *source, unsigned most)
{
	struct fragment_set *s, *worst = NULL;
	unsigned n = 0;

	TAILQ_FOREACH(s, &ike->fragment_sets, link) {
		if (!room_holds(room, s, sa, source))
			continue;
		n++;
		if (!worst || set_rank(s) > set_rank(worst))
			worst = s;
	}
	if (worst && n >= most)
		set_drop(ike, worst);
}

static struct fragment_set *set_new(struct ike *ike, struct isakmp_sa *sa, struct peer *peer,
				    const struct inmsg *m, uint16_t id)
{
	const struct ip_addr *source = &m->path->remote;

	make_room(ike, ROOM_SA, sa, source, IKE_FRAGMENT_SETS_SA);
	make_room(ike, ROOM_SOURCE, sa, source,
		  sa ? IKE_FRAGMENT_SETS_SOURCE : IKE_FRAGMENT_FIRST_SOURCE);
	make_room(ike, ROOM_FIRST, sa, source, IKE_FRAGMENT_FIRST);
	make_room(ike, ROOM_ALL, sa, source, IKE_FRAGMENT_SETS);
	struct fragment_set *s = ike_alloc(ike, sizeof(*s));
	if (!s)
		return NULL;
	s->sa = sa;
	s->peer = peer;
	s->path = *m->path;
	memcpy(s->icookie, m->hdr.icookie, ISAKMP_COOKIE_LEN);
	s->exchange = m->hdr.exchange;
	s->msgid = m->hdr.msgid;
	s->id = id;
	s->since = ike_now(ike);
	TAILQ_INSERT_TAIL(&ike->fragment_sets, s, link);
	ike->n_fragment_sets++;
	fragments_arm(ike);
	return s;
}

/* ---------------------------------------------------------------------------- reassembly ---- */

/* Whether the fragment can be of the same message as those that are there. */
static bool set_fits(const struct fragment_set *s, const struct fragment *f)
{
	const struct buf *part = &s->part[f->number - 1];

	if (s->last && (f->number > s->last || f->last != (f->number == s->last)))
		return false;
	if (f->last && !s->last)
		for (unsigned i = f->number; i < IKE_MAX_FRAGMENTS; i++)
			if (s->part[i].p)
				return false;
	return !part->p || (part->len == f->data.len && memcmp(part->p, f->data.p, part->len) == 0);
}

/* 0; -EMSGSIZE: more than any message has. */
static int set_add(struct ike *ike, struct fragment_set *s, const struct fragment *f)
{
	struct buf *part = &s->part[f->number - 1];
	size_t most = s->sa ? IKE_MAX_MESSAGE : IKE_FRAGMENT_FIRST_BYTES;

	if (f->data.len > most - s->bytes)
		return -EMSGSIZE;
	if (buf_set(ike, part, f->data.p, f->data.len) != 0)
		return -ENOMEM;
	s->have++;
	s->bytes += f->data.len;
	if (f->last)
		s->last = f->number;
	return 0;
}

/* The message itself, if it is one under the same cookies and not a fragment again. */
static bool set_join(struct ike *ike, const struct fragment_set *s, const struct inmsg *m,
		     struct buf *whole)
{
	struct isakmp_hdr h;
	size_t at = 0;

	whole->p = ike_alloc(ike, s->bytes);
	if (!whole->p)
		return false;
	whole->len = s->bytes;
	for (unsigned i = 0; i < s->last; i++) {
		memcpy(whole->p + at, s->part[i].p, s->part[i].len);
		at += s->part[i].len;
	}
	if (isakmp_hdr_parse(whole->p, whole->len, &h) == 0 && h.next != PL_FRAGMENT &&
	    h.length == whole->len && memcmp(h.icookie, m->hdr.icookie, ISAKMP_COOKIE_LEN) == 0 &&
	    memcmp(h.rcookie, m->hdr.rcookie, ISAKMP_COOKIE_LEN) == 0)
		return true;
	buf_free(ike, whole);
	return false;
}

/* Puts the fragment where it belongs; true when its message is complete by that, once more or for
 * the first time. */
static bool fragment_take(struct ike *ike, struct isakmp_sa *sa, struct peer *peer,
			  const struct inmsg *m, const struct fragment *f, struct buf *whole)
{
	struct fragment_set *s = set_find(ike, sa, m, f->id);

	if (s && !set_fits(s, f)) {
		set_drop(ike, s);
		s = NULL;
	}
	if (!s)
		s = set_new(ike, sa, peer, m, f->id);
	if (!s)
		return false;
	if (s->part[f->number - 1].p) {
		if (!s->done || ike_now(ike) < s->done_us + IKE_FRAGMENT_AGAIN_US)
			return false;
	} else if (set_add(ike, s, f) != 0) {
		set_drop(ike, s);
		return false;
	}
	if (!s->last || s->have < s->last)
		return false;
	if (!set_join(ike, s, m, whole)) {
		set_drop(ike, s);
		return false;
	}
	ike->totals.reassembled += !s->done;
	s->done = true;
	s->done_us = ike_now(ike);
	if (!sa)
		set_free(ike, s);
	return true;
}

/* Those of a peer that may have any address are taken until it has said which peer it is: another one
 * of that kind may want them. And where we said in another one's name that we take them, we do. */
static bool fragments_refused(const struct isakmp_sa *sa, const struct peer *peer)
{
	bool known = peer->cfg.remote.family != IP_NONE || (sa && sa->established_us);

	return known && !(sa && sa->told_fragments) &&
	       peer->cfg.fragmentation == FRAGMENTATION_NO;
}

bool fragment_input(struct ike *ike, struct isakmp_sa *sa, struct inmsg *m, struct buf *whole)
{
	struct peer *peer = sa ? sa->peer : peer_by_path(ike, m->path, 0);
	struct fragment f;
	const char *why;

	ike->totals.fragments_in++;
	if (!peer || peer->down || fragments_refused(sa, peer) || ike->closing ||
	    payload_list_parse(m->hdr.next, m->raw.p + ISAKMP_HDR_LEN,
			       m->hdr.length - ISAKMP_HDR_LEN, &m->list, &why) != 0 ||
	    m->list.n != 1 || fragment_parse(m->list.p[0].body, &f) != 0) {
		ike->totals.fragments_dropped++;
		return false;
	}
	return fragment_take(ike, sa, peer, m, &f, whole);
}

/* ------------------------------------------------------------------------------- sending ---- */

/* Bytes of a message that fit into one packet of the configured size. */
static size_t path_room(const struct isakmp_sa *sa)
{
	const struct ike_peer_cfg *cfg = &sa->peer->cfg;
	size_t size = cfg->fragment_size ? cfg->fragment_size : IKE_FRAGMENT_SIZE;

	return size - (sa->path.remote.family == IP_V6 ? 40 : 20) - UDP_LEN -
	       (sa->path.local_port == 4500 ? MARKER_LEN : 0);
}

static void fragment_emit(struct isakmp_sa *sa, const struct buf *msg, uint16_t id, unsigned number,
			  size_t at, size_t len)
{
	struct ike *ike = sa->ike;
	uint8_t out[IKE_FRAGMENT_MAX];
	bool last = at + len == msg->len;
	size_t total = ISAKMP_HDR_LEN + FRAGMENT_HDR + len;

	memcpy(out, msg->p, ISAKMP_HDR_LEN);
	out[16] = PL_FRAGMENT;
	out[19] = 0; /* the fragment itself is not encrypted */
	put_u32(out + 24, (uint32_t)total);
	out[28] = PL_NONE;
	out[29] = 0;
	put_u16(out + 30, (uint16_t)(FRAGMENT_HDR + len));
	put_u16(out + 32, id);
	out[34] = (uint8_t)number;
	out[35] = last ? FRAGMENT_LAST : 0;
	memcpy(out + ISAKMP_HDR_LEN + FRAGMENT_HDR, msg->p + at, len);
	ike->totals.fragments_out++;
	ike->ops.send(ike->ops.ctx, &sa->path, out, total);
}

void fragment_send(struct isakmp_sa *sa, const struct buf *msg, uint16_t id)
{
	enum fragmentation mode = sa->peer->cfg.fragmentation;
	size_t room = path_room(sa), data = room - ISAKMP_HDR_LEN - FRAGMENT_HDR;
	struct ike *ike = sa->ike;
	unsigned number = 0;

	if (msg->len <= room || mode == FRAGMENTATION_NO ||
	    (!sa->peer_fragments && mode != FRAGMENTATION_FORCE)) {
		ike->ops.send(ike->ops.ctx, &sa->path, msg->p, msg->len);
		return;
	}
	for (size_t at = 0, len; at < msg->len; at += len) {
		len = msg->len - at < data ? msg->len - at : data;
		fragment_emit(sa, msg, id, ++number, at, len);
	}
}
