/* Building the tables of spd_shape.h. */
#include "spd_shape.h"

#include <errno.h>
#include <rte_common.h>
#include <rte_malloc.h>
#include <stdlib.h>
#include <string.h>

#include "spd.h"

__extension__ typedef unsigned __int128 u128;

#define PREFIXES_MAX 256        /* no range needs more than 254 */
#define ENTRIES_MAX  (1u << 20) /* for all policies together */

struct prefix {
	u128 addr;
	unsigned len;
};

/* One entry: which bits a policy asks for, and what they are to be. */
struct pattern {
	uint64_t key[SPD_WORDS], mask[SPD_WORDS];
};

struct builder {
	struct spd_shapes *s;
	unsigned words, most;
};

/* ------------------------------------------------------------------------- ranges ----------- */

static u128 number(const struct ip_addr *a)
{
	u128 v = 0;

	for (unsigned i = 0; i < ip_addr_len(a); i++)
		v = v << 8 | a->b[i];
	return v;
}

/* The prefixes that a range consists of: from lo on, always the largest that fits. */
static unsigned range_split(const struct ip_range *r, struct prefix out[PREFIXES_MAX])
{
	unsigned width = (unsigned)ip_addr_len(&r->lo) * 8, n = 0;
	u128 lo = number(&r->lo), hi = number(&r->hi);

	for (;;) {
		unsigned host = 0; /* bits */
		while (host < width && !(lo >> host & 1) && ((u128)2 << host) - 1 <= hi - lo)
			host++;
		out[n++] = (struct prefix){ lo, width - host };
		u128 last = lo + (host == 128 ? ~(u128)0 : ((u128)1 << host) - 1);
		if (last >= hi || n == PREFIXES_MAX)
			return n;
		lo = last + 1;
	}
}

/* ------------------------------------------------------------------------- patterns --------- */

static void put(uint8_t *key, uint8_t *mask, const struct prefix *p, unsigned width)
{
	for (unsigned i = 0; i < width / 8; i++) {
		unsigned bits = p->len > i * 8 ? RTE_MIN(p->len - i * 8, 8u) : 0;
		mask[i] = (uint8_t)(0xff00 >> bits);
		key[i] = (uint8_t)(p->addr >> (width - 8 - i * 8)) & mask[i];
	}
}

static void put_port(uint8_t *key, uint8_t *mask, uint16_t port)
{
	if (port == 0)
		return;
	store_be16(key, port);
	memset(mask, 0xff, 2);
}

static void pattern_fill(struct pattern *t, const struct selector *s, const struct prefix *local,
			 const struct prefix *remote, bool without_ports)
{
	uint8_t *key = (uint8_t *)t->key, *mask = (uint8_t *)t->mask;
	bool four = s->local.lo.family == IP_V4;
	unsigned width = four ? 32 : 128;
	size_t l = four ? offsetof(struct spd_key, local) : offsetof(struct spd_key6, local);
	size_t r = four ? offsetof(struct spd_key, remote) : offsetof(struct spd_key6, remote);
	size_t lp =
		four ? offsetof(struct spd_key, local_port) : offsetof(struct spd_key6, local_port);
	size_t rp = four ? offsetof(struct spd_key, remote_port)
			 : offsetof(struct spd_key6, remote_port);

	memset(t, 0, sizeof(*t));
	key[0] = s->proto;
	mask[0] = s->proto ? 0xff : 0;
	put(key + l, mask + l, local, width);
	put(key + r, mask + r, remote, width);
	if (without_ports)
		return;
	put_port(key + lp, mask + lp, s->local_port);
	put_port(key + rp, mask + rp, s->remote_port);
}

/* ------------------------------------------------------------------------- the table -------- */

static uint32_t shape_find(struct builder *b, const uint64_t *mask, uint32_t index)
{
	struct spd_shapes *s = b->s;

	for (uint32_t i = 0; i < s->n; i++)
		if (memcmp(s->shape[i].mask, mask, sizeof(s->shape[i].mask)) == 0)
			return i;
	if (s->n == b->most)
		return SPD_NO_MATCH;
	/* policies come in order, so that shapes are in the order of their first */
	memcpy(s->shape[s->n].mask, mask, sizeof(s->shape[s->n].mask));
	s->shape[s->n].first = index;
	return s->n++;
}

static uint64_t *entry_at(const struct builder *b, uint64_t *entry, uint32_t place)
{
	return &entry[(size_t)place * spd_entry_words(b->words)];
}

static void entry_put(struct builder *b, const uint64_t *key, uint32_t shape, uint32_t index)
{
	struct spd_shapes *s = b->s;
	uint32_t at = spd_shape_place(s, key, b->words, shape);
	uint64_t *e;

	for (;; at = (at + 1) & s->places) {
		e = entry_at(b, s->entry, at);
		if ((uint32_t)e[b->words] == SPD_NO_MATCH)
			break;
		if (e[b->words] >> 32 == shape && memcmp(e, key, b->words * sizeof(*e)) == 0)
			return; /* an earlier policy decides */
	}
	memcpy(e, key, b->words * sizeof(*e));
	e[b->words] = (uint64_t)shape << 32 | index;
	s->taken++;
}

static bool grow(struct builder *b)
{
	struct spd_shapes *s = b->s;
	uint32_t old_places = s->places, places = s->entry ? (old_places + 1) * 2 : 64;
	uint64_t *old = s->entry;

	s->entry = rte_malloc("spd_entry",
			      (size_t)places * spd_entry_words(b->words) * sizeof(*s->entry), 64);
	if (!s->entry) {
		s->entry = old;
		return false;
	}
	for (uint32_t i = 0; i < places; i++)
		entry_at(b, s->entry, i)[b->words] = SPD_NO_MATCH;
	s->places = places - 1;
	s->taken = 0;
	for (uint32_t i = 0; old && i <= old_places; i++) {
		const uint64_t *e = entry_at(b, old, i);

		if ((uint32_t)e[b->words] != SPD_NO_MATCH)
			entry_put(b, e, (uint32_t)(e[b->words] >> 32), (uint32_t)e[b->words]);
	}
	rte_free(old);
	return true;
}

/* 0 or a positive errno. */
static int policy_put(struct builder *b, const struct spd_policy *p, uint32_t index,
		      bool without_ports)
{
	struct prefix local[PREFIXES_MAX], remote[PREFIXES_MAX];
	unsigned n_local = range_split(&p->sel.local, local);
	unsigned n_remote = range_split(&p->sel.remote, remote);
	struct pattern t;
	uint32_t shape;

	for (unsigned i = 0; i < n_local * n_remote; i++) {
		pattern_fill(&t, &p->sel, &local[i / n_remote], &remote[i % n_remote],
			     without_ports);
		shape = shape_find(b, t.mask, index);
		if (shape == SPD_NO_MATCH || b->s->taken == ENTRIES_MAX)
			return E2BIG;
		if (b->s->taken * 2 > b->s->places && !grow(b))
			return ENOMEM;
		entry_put(b, t.key, shape, index);
	}
	return 0;
}

struct spd_shapes *spd_shapes_build(const struct spd_policy *p, size_t n, enum ip_family family,
				    bool without_ports, unsigned most)
{
	struct builder b = { .words = family == IP_V4 ? SPD_WORDS4 : SPD_WORDS6, .most = most };
	uint32_t index = 0;
	int err = ENOMEM;

	b.s = rte_zmalloc("spd_shapes", sizeof(*b.s), 64);
	if (!b.s || !grow(&b))
		goto fail;
	for (size_t i = 0; i < n; i++) {
		if (p[i].sel.local.lo.family != family)
			continue;
		err = policy_put(&b, &p[i], index++, without_ports);
		if (err)
			goto fail;
	}
	return b.s;
fail:
	spd_shapes_free(b.s);
	errno = err;
	return NULL;
}

void spd_shapes_free(struct spd_shapes *s)
{
	if (s)
		rte_free(s->entry);
	rte_free(s);
}
