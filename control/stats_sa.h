/* Peers and their SAs in the statistics, peer by peer: what listing.c writes. */
#ifndef SHRIKE_STATS_SA_H
#define SHRIKE_STATS_SA_H

#include "stats.h"
#include "text.h"

/* Appends the next peer of the walk to the texts that are not NULL: elements of JSON arrays, each
 * on a line of its own and after a comma where there are others before it. False: there was no peer
 * left. */
bool stats_peer_text(const struct stats_source *s, struct ike_walk *walk, struct text *peers,
		     struct text *main_mode, struct text *quick_mode);

#endif
