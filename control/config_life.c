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

void check_child_life(struct check *c, struct where w, const struct raw_child *raw,
		      struct ike_child_cfg *child)
{
	check_lifetime(c, w, raw->lifetime, raw->rekey_margin, 3600, &child->life_s,
		       &child->margin_s);
	child->life_kb =
		check_volume(c, where_key(w, "lifetime-bytes"), raw->lifetime_bytes, 1 << 20);
	check_number(c, where_key(w, "lifetime-packets"), raw->lifetime_packets, 1000, 1ull << 48,
		     &child->life_packets);
}

void check_peer_life(struct check *c, struct where w, const struct raw_peer *raw,
		     struct ike_peer_cfg *peer)
{
	check_lifetime(c, w, raw->lifetime, raw->rekey_margin, 14400, &peer->life_s,
		       &peer->margin_s);
	peer->life_kb =
		check_volume(c, where_key(w, "lifetime-bytes"), raw->lifetime_bytes, 64 << 10);
}
