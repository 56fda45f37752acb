/* The policy stage: protect, bypass or discard what is in transit. */
#include <rte_branch_prediction.h>

#include "lcore.h"
#include "spd.h"
#include "wire.h"

#define PREFETCH_FROM 256 /* policies: fewer are in the cache anyway */

/* At most one EVT_ACQUIRE a second for a policy. */
static void acquire(struct lcore *lc, struct policy_sa *ps, uint32_t policy)
{
	uint32_t second = (uint32_t)(lc->now_tsc / lc->tsc_hz) + 1; /* 0 = never */
	struct evt evt = { .op = EVT_ACQUIRE, .policy = policy };

	if (ps->acquire_s == second)
		return;
	ps->acquire_s = second;
	lcore_event(lc, &evt);
}

/* To the SA pair of the policy: true when it is ours. The SPI in policy_sa guards against a slot
 * that was given to another pair since. */
static inline bool protect(struct lcore *lc, struct rte_mbuf *pkt, uint32_t policy)
{
	struct policy_sa *ps = &lc->policy_sa[policy];
	struct pkt_meta *meta = pkt_meta(pkt);

	if (unlikely(ps->owner == UINT16_MAX)) {
		acquire(lc, ps, policy);
		pkt_drop(lc, pkt, DROP_spd_no_sa);
		return false;
	}
	if (ps->owner != lc->id) {
		meta->slot = ps->spi;
		meta->flags |= PKT_TO_ENCRYPT;
		lcore_handover(lc, ps->owner, pkt);
		return false;
	}
	if (unlikely(lc->sa_out[ps->slot].spi != ps->spi)) {
		acquire(lc, ps, policy);
		pkt_drop(lc, pkt, DROP_spd_no_sa);
		return false;
	}
	meta->slot = ps->slot;
	return true;
}

/* The keys of a burst of one family. */
struct keys {
	bool four;
	union {
		struct spd_key k4[2 * BURST];
		struct spd_key6 k6[2 * BURST];
	};
};

static void outbound_lookup(const struct spd *spd, struct keys *keys, struct rte_mbuf **pkts,
			    uint16_t n, uint32_t *match)
{
	for (uint16_t i = 0; i < n; i++) {
		const uint8_t *ip = rte_pktmbuf_mtod(pkts[i], const uint8_t *);
		if (keys->four)
			spd_key_read(spd, &keys->k4[i], ip, rte_pktmbuf_data_len(pkts[i]));
		else
			spd_key6_read(&keys->k6[i], ip, rte_pktmbuf_data_len(pkts[i]));
	}
	if (keys->four)
		spd_lookup(spd, keys->k4, match, n);
	else
		spd_lookup6(spd, keys->k6, match, n);
}

/* With many policies each step on the way to an SA is a cache miss of its own: all packets of the
 * burst take it before the first takes the next. */
static void protect_prefetch(const struct lcore *lc, const uint32_t *match, uint16_t n)
{
	uint32_t id[2 * BURST];

	for (uint16_t i = 0; i < n; i++) {
		if (unlikely(!spd_match_protects(lc->spd, match[i], &id[i])))
			id[i] = 0;
		rte_prefetch0(&lc->policy_sa[id[i]]);
	}
	for (uint16_t i = 0; i < n; i++)
		rte_prefetch0(&lc->sa_out[lc->policy_sa[id[i]].slot]);
}

/* What the policies say when the packet is taken as one that arrives from the remote side. */
static void inbound_lookup(const struct spd *spd, struct keys *keys, const uint16_t *which,
			   uint16_t n, uint32_t *match)
{
	/* which[] ascends, so that nothing is overwritten that is still needed */
	for (uint16_t i = 0; i < n; i++) {
		if (keys->four) {
			keys->k4[i] = keys->k4[which[i]];
			spd_key_reverse(&keys->k4[i]);
		} else {
			keys->k6[i] = keys->k6[which[i]];
			spd_key6_reverse(&keys->k6[i]);
		}
	}
	if (keys->four)
		spd_lookup(spd, keys->k4, match, n);
	else
		spd_lookup6(spd, keys->k6, match, n);
}

/* A clear packet that no policy protects outbound. One that had to arrive protected is dropped even
 * where a policy lets its mirror image pass: RFC 4301 section 5.2. */
static bool clear_allowed(struct lcore *lc, struct rte_mbuf *pkt, uint32_t out, uint32_t in)
{
	const struct spd_rule *rule = lc->spd->rule;

	if (in != 0 && in != SPD_UNKNOWN && rule[in - 1].action == POLICY_PROTECT) {
		pkt_drop(lc, pkt, DROP_spd_in_clear);
		return false;
	}
	if (in == SPD_UNKNOWN || out == SPD_UNKNOWN)
		goto discard;
	if (out != 0 ? rule[out - 1].action == POLICY_BYPASS
		     : in != 0 && rule[in - 1].action == POLICY_BYPASS)
		return true;
discard:
	pkt_drop(lc, pkt, DROP_spd_discard);
	return false;
}

/* In a hub the same packet can be one that is to be protected, on to another spoke, and one that
 * had to come protected, from the first. From outside it must have come protected (RFC 4301 section
 * 5.2); from inside it is one of our hosts'. */
static bool forged_spoke(const struct lcore *lc, struct rte_mbuf *pkt)
{
	const struct pkt_meta *meta = pkt_meta(pkt);

	if (meta->flags & (PKT_FROM_ESP | PKT_LOCAL_OUT) || !(lc->spd->outside >> meta->port & 1) ||
	    lc->port[meta->port].source_check == DP_SOURCE_OFF)
		return false;
	return spd_must_be_protected(lc->spd, rte_pktmbuf_mtod(pkt, const uint8_t *),
				     rte_pktmbuf_data_len(pkt));
}

/* Made here about a packet that came protected, whose bytes it quotes. */
static bool answers_protected(struct rte_mbuf *pkt)
{
	const uint8_t both = PKT_FROM_ESP | PKT_LOCAL_OUT;

	return (pkt_meta(pkt)->flags & both) == both;
}

/* What is left of a burst whose packets to protect are out of it (NULL): drops what may not go on in the clear.
 * Returns how many may. */
static __rte_noinline uint16_t unprotected(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n,
					   struct keys *keys, const uint32_t *match)
{
	uint16_t clear[2 * BURST], n_clear = 0, kept = 0;
	uint32_t in_match[2 * BURST];

	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *pkt = pkts[i];

		if (!pkt)
			continue;
		if (!(pkt_meta(pkt)->flags & (PKT_FROM_ESP | PKT_LOCAL_OUT))) {
			clear[n_clear++] = i;
		} else if (match[i] == SPD_UNKNOWN || answers_protected(pkt)) {
			pkt_drop(lc, pkt, DROP_spd_discard);
			pkts[i] = NULL;
		}
	}
	inbound_lookup(lc->spd, keys, clear, n_clear, in_match);
	for (uint16_t i = 0; i < n_clear; i++) {
		if (clear_allowed(lc, pkts[clear[i]], match[clear[i]], in_match[i]))
			lc->count.bypassed++;
		else
			pkts[clear[i]] = NULL;
	}
	for (uint16_t i = 0; i < n; i++)
		if (pkts[i])
			pkts[kept++] = pkts[i];
	return kept;
}

/* stage_spd() for packets of one family; adds to *n_out. */
static inline uint16_t spd_burst(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n, bool four,
				 struct rte_mbuf **out, uint16_t *n_out)
{
	const struct spd *spd = lc->spd;
	uint32_t match[2 * BURST];
	uint16_t gone = 0;
	struct keys keys;

	keys.four = four;
	outbound_lookup(spd, &keys, pkts, n, match);
	if (spd->n > PREFETCH_FROM)
		protect_prefetch(lc, match, n);
	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *pkt = pkts[i];
		uint32_t id;

		if (unlikely(!spd_match_protects(spd, match[i], &id)))
			continue;
		if (unlikely(spd->hub) && forged_spoke(lc, pkt))
			pkt_drop(lc, pkt, DROP_spd_in_clear);
		else if (likely(protect(lc, pkt, id)))
			out[(*n_out)++] = pkt;
		pkts[i] = NULL;
		gone++;
	}
	return likely(gone == n) ? 0 : unprotected(lc, pkts, n, &keys, match);
}

/* Moves the IPv6 packets of a burst to the end of six; returns how many others are left. */
static uint16_t families_split(struct rte_mbuf **pkts, uint16_t n, struct rte_mbuf **six,
			       uint16_t *n_six)
{
	uint16_t four = 0;

	for (uint16_t i = 0; i < n; i++) {
		if (likely(ip_version(rte_pktmbuf_mtod(pkts[i], const uint8_t *)) == 4))
			pkts[four++] = pkts[i];
		else
			six[(*n_six)++] = pkts[i];
	}
	return four;
}

uint16_t stage_spd(struct lcore *lc, struct rte_mbuf **pkts, uint16_t n, struct rte_mbuf **out,
		   uint16_t *n_out)
{
	struct rte_mbuf *six[2 * BURST];
	uint16_t n_six = 0;

	*n_out = 0;
	n = families_split(pkts, n, six, &n_six);
	if (likely(n))
		n = spd_burst(lc, pkts, n, true, out, n_out);
	if (unlikely(n_six)) {
		n_six = spd_burst(lc, six, n_six, false, out, n_out);
		memcpy(pkts + n, six, n_six * sizeof(*pkts));
		n += n_six;
	}
	return n;
}
