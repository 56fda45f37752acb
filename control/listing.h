/* Listings of all peers and their SAs as JSON text, written some peers at a time.
 *
 * Ten thousand peers with forty thousand SAs are thirty megabytes: made at once they would hold the
 * control thread up for most of a second. A copy for another thread to list would have to be as
 * consistent, and takes as long to make as it takes to write the text, because it is the cache
 * misses of walking that cost; so the control thread writes, in turns of a millisecond or two
 * between which everything else goes on. Each peer is shown as it is when its turn comes. */
#ifndef SHRIKE_LISTING_H
#define SHRIKE_LISTING_H

#include <stdbool.h>
#include <stdint.h>

#include "blocks.h"
#include "stats.h"

enum listing_part { LISTING_PEERS, LISTING_MAIN_MODE, LISTING_QUICK_MODE, LISTING_PARTS };

#define LISTING_STATUS  (1u << LISTING_PEERS)
#define LISTING_SA      (1u << LISTING_MAIN_MODE | 1u << LISTING_QUICK_MODE)
#define LISTING_ALL     (LISTING_STATUS | LISTING_SA)
#define LISTING_TURN_US 1500 /* of work between two looks at everything else */

/* What is listed, and how much of it there is. */
struct listing;

/* parts: 1 << enum listing_part. NULL: no memory. */
struct listing *listing_new(const struct stats_source *s, unsigned parts);
/* Works for about us microseconds; returns true while something is left to do. Control thread. */
bool listing_step(struct listing *l, uint64_t us);
/* The elements of a part, without brackets, once listing_step() has returned false. failed: no
 * memory. */
const struct blocks *listing_text(const struct listing *l, enum listing_part part);
/* Whoever has read a block of its text gives it back, in order. */
void listing_drop(struct listing *l, const char *p);
/* The source must outlive the work, not the text. NULL is fine. */
void listing_free(struct listing *l);

#endif
