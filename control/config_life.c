/* How long things live: lifetimes of both phases in time and volume. */
#include "config_check.h"

#define VOLUME_MAX (1ull << 50)

/* Lifetime and margin of either phase, in seconds. margin: 0 = a tenth. */
static void check_lifetime(struct check *c, struct where w, const char *lifetime,
			   const char *margin, uint32_t fallback_s, uint32_t *life_s,
			   uint32_t *margin_s)
{
	uint64_t life = fallback_s * 1000ull, m;

	check_duration(c, where_key(w, "lifetime"), lifetime, 10000, 7 * 86400000ull, &life);
	m = life / 10;
	check_duration(c, where_key(w, "rekey-margin"), margin, 1000, 7 * 86400000ull, &m);
	/* jitter takes up to as much again, and the SA must live before it is replaced */
	if (2 * m >= life)
		check_error(c, where_key(w, margin ? "rekey-margin" : "lifetime"),
			    "rekey-margin (%gs) must be less than half of the lifetime (%gs)",
			    (double)m / 1000, (double)life / 1000);
	*life_s = (uint32_t)(life / 1000);
	*margin_s = (uint32_t)(m / 1000 ? m / 1000 : 1);
}

/* An absent key is no limit. */
static uint64_t check_volume(struct check *c, struct where w, const char *text, uint64_t least)
{
	uint64_t bytes = 0;

	check_size(c, w, text, least, VOLUME_MAX, &bytes);
	return bytes / 1024;
}

static void check_idle(struct check *c, struct where w, const char *text, uint32_t *seconds)
{
	uint64_t ms = *seconds * 1000ull;

	if (check_duration(c, w, text, 0, 7 * 86400000ull, &ms) && ms && ms < 10000)
		check_error(c, w, "idle-timeout must be 0 (never) or at least 10s, not %s", text);
	*seconds = (uint32_t)(ms / 1000);
}

/* Whoever asks for this gets packets in the clear where another gets none. */
static void check_fallback(struct check *c, struct where w, const struct raw_child *raw,
			   struct ike_child_cfg *child)
{
	struct where at = where_key(w, "fallback-clear");

	if (!check_bool(c, at, raw->fallback_clear, &child->fallback_clear) ||
	    !child->fallback_clear)
		return;
	if (child->start == START_PASSIVE)
		check_error(c, at,
			    "fallback-clear needs a child that we negotiate: 'start: immediate' or "
			    "'on-demand'");
	else
		check_warn(c, at,
			   "the packets of '%s' pass unprotected whenever its negotiation fails, "
			   "which anybody on the way can bring about",
			   child->name);
}

void check_child_life(struct check *c, struct where w, const struct raw_child *raw,
		      const struct ike_peer_cfg *peer, struct ike_child_cfg *child)
{
	check_lifetime(c, w, raw->lifetime, raw->rekey_margin, 3600, &child->life_s,
		       &child->margin_s);
	child->life_kb =
		check_volume(c, where_key(w, "lifetime-bytes"), raw->lifetime_bytes, 1 << 20);
	check_number(c, where_key(w, "lifetime-packets"), raw->lifetime_packets, 1000, 1ull << 48,
		     &child->life_packets);
	check_fallback(c, w, raw, child);
	child->idle_s = peer->idle_s;
	check_idle(c, where_key(w, "idle-timeout"), raw->idle_timeout, &child->idle_s);
}

/* How many Quick Modes a Main Mode SA may carry: with one each, its keys protect one pair's alone.
 */
static void check_quick_limit(struct check *c, struct where w, const struct raw_peer *raw,
			      struct ike_peer_cfg *peer)
{
	uint64_t limit = 0;
	bool master = false;

	check_number(c, where_key(w, "quick-mode-limit"), raw->quick_mode_limit, 0, 65535, &limit);
	check_bool(c, where_key(w, "master-pfs"), raw->master_pfs, &master);
	if (master && limit > 1)
		check_error(c, where_key(w, "master-pfs"),
			    "'master-pfs: yes' means 'quick-mode-limit: 1', not %llu",
			    (unsigned long long)limit);
	peer->quick_limit = master ? 1 : (uint32_t)limit;
}

void check_peer_life(struct check *c, struct where w, const struct raw_peer *raw,
		     struct ike_peer_cfg *peer)
{
	check_lifetime(c, w, raw->lifetime, raw->rekey_margin, 14400, &peer->life_s,
		       &peer->margin_s);
	peer->life_kb =
		check_volume(c, where_key(w, "lifetime-bytes"), raw->lifetime_bytes, 64 << 10);
	check_idle(c, where_key(w, "idle-timeout"), raw->idle_timeout, &peer->idle_s);
	check_quick_limit(c, w, raw, peer);
}

void check_dpd(struct check *c, struct where w, const struct raw_peer *raw,
	       struct ike_peer_cfg *peer)
{
	static const char *const modes[] = { "periodic", "on-demand" };
	uint64_t dpd = 0;
	unsigned mode = 0;

	check_duration(c, where_key(w, "dpd"), raw->dpd, 0, 86400000, &dpd);
	peer->dpd_s = (uint32_t)((dpd + 999) / 1000);
	if (check_word(c, where_key(w, "dpd-mode"), raw->dpd_mode, modes, 2, &mode) &&
	    raw->dpd_mode && !peer->dpd_s)
		check_error(c, where_key(w, "dpd-mode"),
			    "dpd-mode says when to ask, but 'dpd' (how long to wait before) is not "
			    "there or 0");
	peer->dpd_on_demand = mode == 1;
}
