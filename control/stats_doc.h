/* The statistics document and the shorter answers of the control socket, as text in pieces: what is
 * written peer by peer (a listing) is never copied into one. */
#ifndef SHRIKE_STATS_DOC_H
#define SHRIKE_STATS_DOC_H

#include <stdbool.h>
#include <sys/uio.h>

#include "listing.h"

enum stats_doc_kind {
	STATS_DOC_FILE,   /* the whole document */
	STATS_DOC_STATS,  /* the same as the answer to "stats" */
	STATS_DOC_STATUS, /* the answer to "status" */
	STATS_DOC_SA,     /* the answer to "sa" */
};

struct stats_doc;

/* What has to be listed for it. */
unsigned stats_doc_parts(enum stats_doc_kind kind);
/* Of a listing of those parts that is complete; takes a reference. NULL: no memory, also in the
 * listing. */
struct stats_doc *stats_doc_new(enum stats_doc_kind kind, const struct stats_source *s,
				struct listing *l);
void stats_doc_free(struct stats_doc *d); /* NULL is fine */
/* Its pieces in order, borrowed, the last with a newline; returns how many. None is empty. */
unsigned stats_doc_pieces(const struct stats_doc *d, const struct iovec **v);

/* Writes a short document beside file and renames it over, at once; 0 or -errno. */
int stats_write(const char *file, const json_t *doc);

/* Writes the document beside file and renames it over, some 256 KB a step. */
struct stats_write;
/* Takes the document. 0 or -errno (then the document is freed). */
int stats_write_start(const char *file, struct stats_doc *d, struct stats_write **out);
/* 1: there is more; 0: done; -errno. After the last two it is freed. */
int stats_write_step(struct stats_write *w);
void stats_write_cancel(struct stats_write *w); /* NULL is fine */

#endif
