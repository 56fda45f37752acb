#include "listing.h"

#include <stdlib.h>
#include <time.h>

#include "stats_sa.h"

struct listing {
	struct stats_source source;
	unsigned parts;
	struct ike_walk *walk; /* NULL: complete */
	struct text part[LISTING_PARTS]; /* of the peer in hand */
	struct blocks list[LISTING_PARTS];
};

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

struct listing *listing_new(const struct stats_source *s, unsigned parts)
{
	struct listing *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	for (unsigned i = 0; i < LISTING_PARTS; i++)
		blocks_init(&l->list[i]);
	l->source = *s;
	l->parts = parts;
	l->walk = ike_walk_new(s->ike);
	if (!l->walk) {
		free(l);
		return NULL;
	}
	return l;
}

void listing_drop(struct listing *l, const char *p)
{
	for (unsigned i = 0; i < LISTING_PARTS; i++)
		if (blocks_drop(&l->list[i], p))
			return;
}

void listing_free(struct listing *l)
{
	if (!l)
		return;
	ike_walk_free(l->walk);
	for (unsigned i = 0; i < LISTING_PARTS; i++) {
		text_free(&l->part[i]);
		blocks_free(&l->list[i]);
	}
	free(l);
}

/* The peer's elements go behind those of the others. */
static void parts_add(struct listing *l)
{
	for (unsigned i = 0; i < LISTING_PARTS; i++) {
		struct text *t = &l->part[i];
		struct blocks *b = &l->list[i];
		if (t->len && b->len)
			blocks_add(b, ",", 1);
		blocks_add(b, t->p, t->len);
		b->failed |= t->failed;
		t->len = 0;
	}
}

bool listing_step(struct listing *l, uint64_t us)
{
	uint64_t end = now_us() + us;
	struct text *to[LISTING_PARTS];

	for (unsigned i = 0; i < LISTING_PARTS; i++)
		to[i] = l->parts & 1u << i ? &l->part[i] : NULL;
	while (l->walk) {
		bool more = stats_peer_text(&l->source, l->walk, to[LISTING_PEERS],
					    to[LISTING_MAIN_MODE], to[LISTING_QUICK_MODE]);
		parts_add(l);
		if (!more) {
			ike_walk_free(l->walk);
			l->walk = NULL;
		} else if (now_us() >= end) {
			return true;
		}
	}
	return false;
}

const struct blocks *listing_text(const struct listing *l, enum listing_part part)
{
	return &l->list[part];
}
