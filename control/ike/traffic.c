/* What the data plane's counters tell about a child, and what follows from it: how early a limit of
 * volume must warn, so that new keys are there before it is reached.
 *
 * A limit of bytes is a time at a rate: 100 MB last an hour at 28 KB/s and 80 ms at 10 Gbit/s. The
 * soft limit therefore leaves room for what comes in the time that a Quick Mode takes, at the rate
 * of late; where nothing was measured yet, at a rate that few exceed. */
#include "engine.h"

#define WATCH_US      SECOND
#define MEASURE_US    2000          /* shorter looks give no rate */
#define RATE_BYTES    1250000000ull /* 10 Gbit/s: assumed until measured */
#define RATE_PACKETS  15000000ull
#define SLACK_US      50000 /* for lcores, jobs and timers, beside the messages themselves */
#define WARN_AGAIN_US (600 * SECOND)

enum { BYTES, PACKETS };

static bool counters(struct pair *pair, enum sa_dir dir, struct sa_stats *out)
{
	const struct ike_ops *ops = &pair->ike->ops;

	*out = (struct sa_stats){ 0 };
	if (!ops->sa_stats || !(dir == SA_IN ? pair->in_set : pair->out_set))
		return false;
	return ops->sa_stats(ops->ctx, &pair->ref, dir, out);
}

bool pair_carried(struct pair *pair, enum sa_dir dir)
{
	struct sa_stats s;

	return counters(pair, dir, &s) && s.packets > 0;
}

static uint64_t per_second(uint64_t now, uint64_t before, uint64_t us)
{
	return now > before ? (uint64_t)((double)(now - before) * 1e6 / (double)us) : 0;
}

static void rate_take(uint64_t *rate, uint64_t v)
{
	if (v > *rate)
		*rate = v;
}

void pair_measure(struct pair *pair)
{
	struct child *c = pair->child;
	uint64_t now = ike_now(pair->ike), us = now - pair->seen_us;
	uint64_t part = us < SECOND ? us : SECOND;
	struct sa_stats s;

	if (pair->seen_us && us < MEASURE_US)
		return;
	for (unsigned i = 0; i < 2 && pair->seen_us; i++) /* a peak is forgotten in a minute */
		c->rate[i] -= (uint64_t)((double)c->rate[i] / 8 * (double)part / SECOND);
	for (enum sa_dir dir = SA_IN; dir <= SA_OUT; dir++) {
		if (!counters(pair, dir, &s))
			continue;
		if (pair->seen_us) {
			rate_take(&c->rate[BYTES], per_second(s.bytes, pair->seen[dir][BYTES], us));
			rate_take(&c->rate[PACKETS],
				  per_second(s.packets, pair->seen[dir][PACKETS], us));
			c->measured = true;
		}
		pair->seen[dir][BYTES] = s.bytes;
		pair->seen[dir][PACKETS] = s.packets;
	}
	pair->seen_us = now;
}

static bool pair_limited(const struct pair *pair)
{
	return lifetime_bytes(pair->life_kb) || pair->child->cfg.life_packets;
}

uint64_t peer_last_packet(struct peer *peer, const struct ike_path *path, enum sa_dir dir)
{
	uint64_t last = 0;
	struct child *c;
	struct pair *pair;
	struct sa_stats s;

	TAILQ_FOREACH(c, &peer->children, link)
		TAILQ_FOREACH(pair, &c->pairs, link)
			if (!pair->dead && ip_addr_equal(&pair->path.remote, &path->remote) &&
			    counters(pair, dir, &s) && s.last_used_us > last)
				last = s.last_used_us;
	return last;
}

/* When a packet of either direction was the last; pairs that come and go are none. */
static void child_look(struct child *c)
{
	struct pair *pair;
	struct sa_stats s;

	TAILQ_FOREACH(pair, &c->pairs, link)
		for (enum sa_dir dir = SA_IN; !pair->dead && dir <= SA_OUT; dir++)
			if (counters(pair, dir, &s) && s.last_used_us > c->active_us)
				c->active_us = s.last_used_us;
}

static bool child_live(const struct child *c)
{
	const struct pair *pair;

	TAILQ_FOREACH(pair, &c->pairs, link)
		if (!pair->dead && pair->state == PAIR_LIVE)
			return true;
	return false;
}

static void watch(void *arg)
{
	struct child *c = arg;
	struct pair *pair;

	TAILQ_FOREACH(pair, &c->pairs, link)
		if (!pair->dead && pair->state == PAIR_LIVE && pair_limited(pair))
			pair_measure(pair);
	child_look(c);
	if (c->cfg.idle_s && c->active_us && child_live(c) &&
	    ike_now(c->ike) >= c->active_us + c->cfg.idle_s * SECOND) {
		c->idle = true;
		c->wanted = false;
		child_delete_pairs(c,
				   "idle: there was no packet for the time of idle-timeout");
	}
	child_watch(c);
}

void child_watch_init(struct child *c)
{
	timer_init(&c->watch, watch, c);
}

void child_watch(struct child *c)
{
	struct ike *ike = c->ike;
	uint64_t now = ike_now(ike), next = UINT64_MAX;
	struct pair *pair;

	TAILQ_FOREACH(pair, &c->pairs, link)
		if (!pair->dead && pair->state == PAIR_LIVE && pair_limited(pair))
			next = now + WATCH_US;
	if (!child_live(c)) {
		c->active_us = 0;
		return;
	}
	if (c->active_us == 0)
		c->active_us = now; /* idle from its start */
	/* a quarter of the time is as exact as anybody needs it */
	if (c->cfg.idle_s && next > now + c->cfg.idle_s * SECOND / 4)
		next = now + c->cfg.idle_s * SECOND / 4;
	if (next != UINT64_MAX && ike->ops.sa_stats && !c->watch.armed)
		timer_set(&ike->timers, &c->watch, next);
}

/* ---------------------------------------------------------------------------- limits -------- */

/* What flows until a successor stands: a Quick Mode, with one message of it lost and repeated where
 * they are that slow. */
static uint64_t headroom(const struct child *c, unsigned what)
{
	static const uint64_t assumed[] = { RATE_BYTES, RATE_PACKETS };
	uint64_t rate = c->measured ? c->rate[what] : assumed[what];
	uint64_t us = c->quick_us;

	if (c->peer->cfg.quick_limit) /* a Main Mode may have to come first */
		us += c->peer->main_us;
	return (uint64_t)((double)rate * (double)(3 * us + SLACK_US) / 1e6);
}

/* The initiator's limit comes first, so that both sides seldom start at once. */
static uint64_t soft_limit(const struct pair *pair, uint64_t hard, unsigned what)
{
	const struct child *c = pair->child;
	uint64_t need = headroom(c, what), least = hard / 5;
	uint64_t most = c->measured ? hard - hard / 8 : hard / 2;

	if (need < least)
		need = least;
	if (need > most)
		need = most;
	return hard ? hard - (pair->initiator ? need : need / 2) : 0;
}

static void warn_small(struct pair *pair, uint64_t hard, uint64_t soft)
{
	struct child *c = pair->child;
	uint64_t now = ike_now(c->ike), rate = c->rate[BYTES], need = headroom(c, BYTES);

	if (!c->measured || need <= hard / 2 || rate == 0 || !c->ike->ops.sa_stats ||
	    (c->warned_at && now < c->warned_at + WARN_AGAIN_US))
		return;
	c->warned_at = now;
	child_warning(
		c, NULL,
		"the SAs of %s may carry %llu KB, which last %.0f ms at the %.0f Mbit/s of late: "
		"new keys are negotiated after %llu KB already%s; 'lifetime-bytes: %lluM' would "
		"do",
		c->cfg.name, (unsigned long long)(hard >> 10), (double)hard * 1000 / (double)rate,
		(double)rate * 8 / 1e6, (unsigned long long)(soft >> 10),
		need > hard ? ", and packets may be lost before they are there" : "",
		(unsigned long long)((need * 5 >> 20) + 1));
}

void pair_volume(struct pair *pair, struct sa_params *p)
{
	p->hard_bytes = lifetime_bytes(pair->life_kb);
	p->hard_packets = pair->child->cfg.life_packets;
	p->soft_bytes = soft_limit(pair, p->hard_bytes, BYTES);
	p->soft_packets = soft_limit(pair, p->hard_packets, PACKETS);
	if (p->dir == SA_IN && p->hard_bytes)
		warn_small(pair, p->hard_bytes, p->soft_bytes);
}

/* The pair that the data plane sends through: the one that came last. */
static struct pair *sender(const struct pair *of)
{
	struct pair *o, *last = NULL;

	TAILQ_FOREACH(o, &of->child->pairs, link)
		if (!o->dead && o->out_set && o->idx == of->idx &&
		    (!last || o->out_since_us >= last->out_since_us))
			last = o;
	return last;
}

uint64_t pair_send_on_us(const struct pair *successor)
{
	struct pair *old = sender(successor);
	double us = 2.0 * SWITCH_US, left;
	struct sa_stats s;

	if (!old || !counters(old, SA_OUT, &s))
		return SWITCH_US;
	pair_measure(old);
	const uint64_t hard = lifetime_bytes(old->life_kb), packets = old->child->cfg.life_packets;
	const uint64_t *rate = old->child->rate;
	if (hard && rate[BYTES]) {
		left = hard > s.bytes ? (double)(hard - s.bytes) : 0;
		us = left * 1e6 / (double)rate[BYTES];
	}
	if (packets && rate[PACKETS]) {
		left = packets > s.packets ? (double)(packets - s.packets) : 0;
		if (left * 1e6 / (double)rate[PACKETS] < us)
			us = left * 1e6 / (double)rate[PACKETS];
	}
	return us / 2 < SWITCH_US ? (uint64_t)(us / 2) : SWITCH_US;
}
