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
/* Of a listing of those parts that is complete; takes it. NULL: no memory, also in the listing. */
struct stats_doc *stats_doc_new(enum stats_doc_kind kind, const struct stats_source *s,
				struct listing *l);
void stats_doc_free(struct stats_doc *d); /* NULL is fine */
/* Its pieces in order, borrowed, the last with a newline; returns how many. None is empty. */
unsigned stats_doc_pieces(const struct stats_doc *d, const struct iovec **v);
/* The next piece has been read: with the last the document is freed. Memory for thirty megabytes
 * goes back to the kernel bit by bit that way. */
void stats_doc_read(struct stats_doc *d);

/* Writes a short document beside file and renames it over, at once; 0 or -errno. */
int stats_write(const char *file, const json_t *doc);

/* The job that writes the document beside file and renames it over, on another thread: writing
 * thirty megabytes, and above all putting them in the place of others, takes as long as the disk
 * likes. Takes the document, and with it the last reference to its listing. NULL: no memory. */
struct ike_job *stats_write_new(const char *file, struct stats_doc *d);
/* Back on the control thread, or never run: frees it. 0 or -errno; NULL is fine. */
int stats_write_end(struct ike_job *job);

#endif
