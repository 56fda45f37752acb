#include "stats_doc.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "text.h"

#define COUNT(v) ((json_int_t)(v))

struct stats_doc {
	struct listing *listing;
	struct text own[LISTING_PARTS + 1]; /* around the parts of the listing */
	unsigned n_own;
	struct iovec *piece;
	unsigned n, read;
	bool failed;
};

unsigned stats_doc_parts(enum stats_doc_kind kind)
{
	return kind == STATS_DOC_STATUS ? LISTING_STATUS
	       : kind == STATS_DOC_SA   ? LISTING_SA
					: LISTING_ALL;
}

static int dumped(const char *p, size_t len, void *to)
{
	text_add(to, p, len);
	return 0;
}

/* The members of an object that is taken, without its braces. */
static void members_text(struct text *t, json_t *o)
{
	struct text all = { 0 };

	if (!o ||
	    json_dump_callback(o, dumped, &all, JSON_COMPACT | JSON_REAL_PRECISION(15)) != 0 ||
	    all.len < 2)
		t->failed = true;
	else
		text_add(t, all.p + 1, all.len - 2);
	t->failed |= all.failed;
	text_free(&all);
	json_decref(o);
}

static void piece_add(struct stats_doc *d, const char *p, size_t len)
{
	if (len)
		d->piece[d->n++] = (struct iovec){ (void *)p, len };
}

static void piece_own(struct stats_doc *d, struct text *t)
{
	d->failed |= t->failed;
	d->own[d->n_own++] = *t;
	piece_add(d, t->p, t->len);
	*t = (struct text){ 0 };
}

/* Behind what is in t so far; t is empty then. */
static void piece_list(struct stats_doc *d, struct text *t, const char *key, enum listing_part part)
{
	const struct blocks *list = listing_text(d->listing, part);
	const struct block *k;

	text_put(t, key);
	piece_own(d, t);
	d->failed |= list->failed;
	TAILQ_FOREACH(k, &list->list, link)
		piece_add(d, k->p, k->len);
	text_put(t, "]");
}

static json_t *status_head(const struct stats_source *s)
{
	return json_pack("{s:b, s:s, s:s, s:f, s:s?}", "ok", 1, "version", SHRIKE_VERSION,
			 "data_plane", dp_versions(s->dp), "uptime", (double)s->uptime_us / 1e6,
			 "key_export", s->key_export);
}

static void status_fill(struct stats_doc *d, const struct stats_source *s)
{
	struct text t = { 0 };

	text_put(&t, "{");
	members_text(&t, status_head(s));
	piece_list(d, &t, ",\"peers\":[", LISTING_PEERS);
	text_put(&t, ",");
	members_text(&t, json_pack("{s:o, s:o}", "control", stats_control(s), "totals",
				   stats_totals(s)));
	text_put(&t, "}\n");
	piece_own(d, &t);
}

static void sa_fill(struct stats_doc *d)
{
	struct text t = { 0 };

	text_put(&t, "{\"ok\":true");
	piece_list(d, &t, ",\"main_mode_sas\":[", LISTING_MAIN_MODE);
	piece_list(d, &t, ",\"quick_mode_sas\":[", LISTING_QUICK_MODE);
	text_put(&t, "}\n");
	piece_own(d, &t);
}

static void all_fill(struct stats_doc *d, const struct stats_source *s, bool reply)
{
	struct text t = { 0 };

	text_put(&t, reply ? "{\"ok\":true,\"stats\":{" : "{");
	members_text(&t, stats_head(s));
	piece_list(d, &t, ",\"peers\":[", LISTING_PEERS);
	piece_list(d, &t, ",\"main_mode_sas\":[", LISTING_MAIN_MODE);
	piece_list(d, &t, ",\"quick_mode_sas\":[", LISTING_QUICK_MODE);
	text_put(&t, ",");
	members_text(&t, json_pack("{s:o}", "totals", stats_totals(s)));
	text_put(&t, reply ? "}}\n" : "}\n");
	piece_own(d, &t);
}

struct stats_doc *stats_doc_new(enum stats_doc_kind kind, const struct stats_source *s,
				struct listing *l)
{
	struct stats_doc *d = calloc(1, sizeof(*d));
	unsigned n = sizeof(d->own) / sizeof(d->own[0]);

	if (!d) {
		listing_free(l);
		return NULL;
	}
	d->listing = l;
	for (unsigned i = 0; i < LISTING_PARTS; i++)
		n += listing_text(l, i)->n;
	d->piece = calloc(n, sizeof(*d->piece));
	if (!d->piece) {
		stats_doc_free(d);
		return NULL;
	}
	if (kind == STATS_DOC_STATUS)
		status_fill(d, s);
	else if (kind == STATS_DOC_SA)
		sa_fill(d);
	else
		all_fill(d, s, kind == STATS_DOC_STATS);
	if (d->failed) {
		stats_doc_free(d);
		return NULL;
	}
	return d;
}

void stats_doc_free(struct stats_doc *d)
{
	if (!d)
		return;
	for (unsigned i = 0; i < d->n_own; i++)
		text_free(&d->own[i]);
	free(d->piece);
	listing_free(d->listing);
	free(d);
}

unsigned stats_doc_pieces(const struct stats_doc *d, const struct iovec **v)
{
	*v = d->piece;
	return d->n;
}

void stats_doc_read(struct stats_doc *d)
{
	listing_drop(d->listing, d->piece[d->read++].iov_base);
	if (d->read == d->n)
		stats_doc_free(d);
}
