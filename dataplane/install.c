/* SAs and policies from control to the lcores: places, SPIs, commands and what answers them.
 *
 * Removal needs no word from workers other than the owner: a pointer to an SA lives in its owner's
 * table alone. What others keep, and what waits on hand-over rings, is the SPI, and the owner
 * compares it with its table before it follows the pointer. */
#include <errno.h>
#include <rte_malloc.h>
#include <rte_ring_elem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "dp.h"
#include "log.h"

#define SPI_RESERVED 255

/* ------------------------------------------------------------------------- commands --------- */

static bool command_try(struct worker *w, const struct cmd *cmd)
{
	struct cmd copy = *cmd;

	return rte_ring_sp_enqueue_elem(w->lc->cmd, &copy, sizeof(copy)) == 0;
}

void command_flush(struct worker *w)
{
	while (w->n_late > 0 && command_try(w, &w->late[w->late_first])) {
		w->late_first++;
		w->n_late--;
	}
	if (w->n_late == 0)
		w->late_first = 0;
}

static bool late_grow(struct worker *w)
{
	size_t size = w->late_size ? w->late_size * 2 : 64;
	struct cmd *grown;

	if (w->late_first + w->n_late < w->late_size)
		return true;
	if (w->late_first >
	    w->n_late) { /* the front is free: a queue that never empties stays small */
		memcpy(w->late, w->late + w->late_first, w->n_late * sizeof(*w->late));
		w->late_first = 0;
		return true;
	}
	grown = reallocarray(w->late, size, sizeof(*grown));
	if (!grown)
		return false;
	w->late = grown;
	w->late_size = size;
	return true;
}

void command_send(struct worker *w, const struct cmd *cmd)
{
	command_flush(w);
	if (w->n_late == 0 && command_try(w, cmd))
		return;
	if (late_grow(w))
		w->late[w->late_first + w->n_late++] = *cmd;
	else
		log_error("dataplane: no memory for a command to worker %u", w->lc->id);
}

void command_send_all(struct dp *dp, const struct cmd *cmd)
{
	for (unsigned i = 0; i < dp->n_workers; i++)
		command_send(&dp->worker[i], cmd);
}

/* ------------------------------------------------------------------------- places ----------- */

int slots_init(struct worker *w, uint32_t n)
{
	w->pair = calloc(n, sizeof(*w->pair));
	w->free_slot = calloc(n, sizeof(*w->free_slot));
	if (!w->pair || !w->free_slot)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		w->free_slot[i] = i;
	w->n_free = n;
	return 0;
}

void slots_free(struct worker *w, uint32_t n)
{
	for (uint32_t i = 0; w->pair && i < n; i++) {
		sa_free(w->pair[i].sa[SA_IN]);
		sa_free(w->pair[i].sa[SA_OUT]);
	}
	free(w->pair);
	free(w->free_slot);
	free(w->late);
}

/* generation | owner | slot: the generation random, never zero and never the one that the slot had
 * last; 0..255 are reserved (RFC 4303 section 2.1). */
static bool spi_choose(const struct dp *dp, uint16_t owner, uint32_t slot, uint32_t last,
		       uint32_t *spi)
{
	unsigned low = dp->spi.slot_bits + dp->spi.owner_bits;
	uint32_t generation;

	do {
		if (getrandom(&generation, sizeof(generation), 0) != sizeof(generation))
			return false;
		generation >>= low;
		*spi = generation << low | (uint32_t)owner << dp->spi.slot_bits | slot;
	} while (generation == 0 || *spi <= SPI_RESERVED || *spi == last);
	return true;
}

static uint16_t least_loaded(const struct dp *dp)
{
	uint16_t best = 0;

	for (uint16_t i = 1; i < dp->n_workers; i++)
		if (dp->worker[i].n_free > dp->worker[best].n_free)
			best = i;
	return best;
}

int dp_sa_reserve(struct dp *dp, uint16_t owner, struct sa_ref *out)
{
	struct worker *w;
	uint32_t slot;

	if (owner == UINT16_MAX)
		owner = least_loaded(dp);
	if (owner >= dp->n_workers)
		return -EINVAL;
	w = &dp->worker[owner];
	if (w->n_free == 0)
		return -ENOSPC;
	slot = w->free_slot[w->free_first];
	if (!spi_choose(dp, owner, slot, w->pair[slot].ref.spi, &out->spi))
		return -EIO;
	w->free_first = (w->free_first + 1) % dp->sa_slots;
	w->n_free--;
	out->slot = slot;
	out->owner = owner;
	w->pair[slot] = (struct pair){ .ref = *out, .reserved = true };
	return 0;
}

static struct pair *pair_find(struct dp *dp, const struct sa_ref *ref)
{
	struct pair *p;

	if (ref->owner >= dp->n_workers || ref->slot >= dp->sa_slots)
		return NULL;
	p = &dp->worker[ref->owner].pair[ref->slot];
	return p->reserved && p->ref.spi == ref->spi ? p : NULL;
}

static void place_free_if_unused(struct dp *dp, struct worker *w, struct pair *p)
{
	if (!p->released || p->state[SA_IN] != PLACE_EMPTY || p->state[SA_OUT] != PLACE_EMPTY)
		return;
	p->reserved = p->released = false;
	w->free_slot[(w->free_first + w->n_free++) % dp->sa_slots] = p->ref.slot;
}

void dp_sa_release(struct dp *dp, const struct sa_ref *ref)
{
	struct pair *p = pair_find(dp, ref);

	if (!p)
		return;
	p->released = true;
	place_free_if_unused(dp, &dp->worker[ref->owner], p);
}

/* ------------------------------------------------------------------------- SAs -------------- */

int dp_sa_install(struct dp *dp, const struct sa_params *p)
{
	struct cmd cmd = { .op = CMD_SA_STORE, .slot = p->ref.slot, .spi = p->ref.spi };
	struct pair *pair = pair_find(dp, &p->ref);
	const struct next_hop *hop;
	struct worker *w;

	if (!pair || (p->dir != SA_IN && p->dir != SA_OUT) || p->policy >= SPD_MAX_POLICIES)
		return -EINVAL;
	if (pair->state[p->dir] != PLACE_EMPTY)
		return -EEXIST;
	w = &dp->worker[p->ref.owner];
	cmd.sa = sa_build(dp->mb, p, (int)rte_lcore_to_socket_id(w->lcore_id));
	if (!cmd.sa)
		return errno ? -errno : -ENOMEM; /* see sa_build() */
	if (cmd.sa->outer_mtu == 0)
		cmd.sa->outer_mtu = pmtu_outer(dp, &p->remote);
	hop = fib_lookup_addr(dp->fib, &p->remote);
	/* routes and ports stay as they are while we run */
	if (p->dir == SA_OUT && cmd.sa->wrap == (WRAP_UDP | WRAP_IP6) && hop->kind >= HOP_CONNECTED &&
	    dp->port[hop->port].tx_udp_sum)
		cmd.sa->flags |= SA_F_DEVICE_SUM;
	cmd.dir = (uint8_t)p->dir;
	pair->sa[p->dir] = cmd.sa;
	pair->state[p->dir] = PLACE_STORING;
	if (p->dir == SA_OUT) {
		pair->policy = p->policy;
		pair->spread = p->spread;
	}
	command_send(w, &cmd);
	return 0;
}

void dp_sa_remove(struct dp *dp, const struct sa_ref *ref, enum sa_dir dir)
{
	struct cmd cmd = { .op = CMD_SA_REMOVE, .slot = ref->slot, .spi = ref->spi, .dir = dir };
	struct pair *pair = pair_find(dp, ref);

	if (!pair || pair->state[dir] == PLACE_EMPTY || pair->state[dir] == PLACE_REMOVING)
		return;
	if (dir == SA_OUT && pair->state[dir] == PLACE_STORED)
		sender_remove(dp, pair);
	pair->state[dir] = PLACE_REMOVING;
	command_send(&dp->worker[ref->owner], &cmd);
}

bool dp_sa_stats(struct dp *dp, const struct sa_ref *ref, enum sa_dir dir, struct sa_stats *out)
{
	const struct pair *pair = pair_find(dp, ref);
	const struct sa *sa = pair ? pair->sa[dir] : NULL;
	uint64_t hz = rte_get_tsc_hz(), used, now = dp_now_ms() * 1000;

	if (!sa)
		return false;
	used = sa->last_used_tsc;
	*out = (struct sa_stats){
		.packets = sa->packets,
		.bytes = sa->bytes,
		.replay_drops = sa->late_drops + sa->dup_drops,
		.late_drops = sa->late_drops,
		.dup_drops = sa->dup_drops,
		.icv_drops = sa->icv_drops,
		.other_drops = sa->other_drops,
		.seq = sa->seq,
	};
	if (used) {
		uint64_t tsc = rte_rdtsc();
		uint64_t ago = tsc > used ? (tsc - used) / (hz / 1000000) : 0;
		out->last_used_us = now > ago ? now - ago : 1;
	}
	return true;
}

/* ------------------------------------------------------------------------- policies --------- */

/* Where the other gateways are: from there, what is protected must not come in the clear. */
static uint32_t ports_outside(const struct dp *dp, const struct spd_policy *p, size_t n)
{
	const struct next_hop *hop;
	uint32_t ports = 0;

	for (size_t i = 0; i < n; i++) {
		if (p[i].action != POLICY_PROTECT)
			continue;
		hop = fib_lookup_addr(dp->fib, &p[i].gateway);
		if (hop->kind >= HOP_CONNECTED || hop->kind == HOP_LOCAL)
			ports |= 1u << hop->port;
	}
	return ports;
}

int dp_spd_set(struct dp *dp, const struct spd_policy *p, size_t n, char *why, size_t why_size)
{
	struct cmd cmd = { .op = CMD_SPD };
	struct spd *spd = spd_build(p, n, why, why_size);

	if (!spd)
		return -EINVAL;
	spd->refs = dp->n_workers;
	spd->outside = ports_outside(dp, p, n);
	cmd.spd = dp->spd = spd;
	command_send_all(dp, &cmd);
	return 0;
}

/* ------------------------------------------------------------------------- events ----------- */

static void stored(struct dp *dp, struct pair *pair, enum sa_dir dir)
{
	struct sa_ref ref = pair->ref;

	if (pair->state[dir] != PLACE_STORING) /* a removal is on its way already */
		return;
	pair->state[dir] = PLACE_STORED;
	if (dir == SA_OUT)
		sender_add(dp, pair);
	if (dp->cb.on_sa_stored)
		dp->cb.on_sa_stored(dp->cb.ctx, &ref, dir);
}

static void removed(struct dp *dp, struct worker *w, struct pair *pair, enum sa_dir dir)
{
	sa_free(pair->sa[dir]);
	pair->sa[dir] = NULL;
	pair->state[dir] = PLACE_EMPTY;
	place_free_if_unused(dp, w, pair);
}

static void sa_event(struct dp *dp, struct worker *w, const struct evt *evt)
{
	struct pair *pair = &w->pair[evt->slot];
	struct sa_ref ref = pair->ref;
	enum sa_dir dir = evt->dir ? SA_OUT : SA_IN;

	switch (evt->op) {
	case EVT_SA_STORED:
		stored(dp, pair, dir);
		break;
	case EVT_SA_REMOVED:
		removed(dp, w, pair, dir);
		break;
	default:
		if (pair->state[dir] == PLACE_STORED && dp->cb.on_sa_limit)
			dp->cb.on_sa_limit(dp->cb.ctx, &ref, dir, evt->op == EVT_SA_HARD);
	}
}

static void peer_moved(struct dp *dp, struct worker *w, const struct evt *evt)
{
	const struct pair *pair = &w->pair[spi_slot(&dp->spi, evt->spi)];

	if (pair->ref.spi == evt->spi && pair->state[SA_IN] == PLACE_STORED && dp->cb.on_peer_moved)
		dp->cb.on_peer_moved(dp->cb.ctx, &pair->ref, &evt->remote, evt->port);
}

void event_handle(struct dp *dp, struct worker *w, const struct evt *evt)
{
	switch (evt->op) {
	case EVT_SA_STORED:
	case EVT_SA_REMOVED:
	case EVT_SA_SOFT:
	case EVT_SA_HARD:
		sa_event(dp, w, evt);
		break;
	case EVT_SPD_RETIRED:
		if (evt->spd && --evt->spd->refs == 0)
			spd_free(evt->spd);
		break;
	case EVT_FIB_RETIRED:
		if (evt->fib && --evt->fib->refs == 0)
			fib_free(evt->fib);
		break;
	case EVT_WATCH_RETIRED:
		watch_retired(evt->watch);
		break;
	case EVT_ACQUIRE:
		if (dp->cb.on_acquire)
			dp->cb.on_acquire(dp->cb.ctx, evt->policy);
		break;
	case EVT_PEER_MOVED:
		peer_moved(dp, w, evt);
		break;
	case EVT_BAD_SPI:
		if (dp->cb.on_bad_spi)
			dp->cb.on_bad_spi(dp->cb.ctx, &evt->remote, evt->spi);
		break;
	}
}
