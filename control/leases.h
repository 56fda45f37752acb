/* The leases of pools, in a file: who had which address gets it again after a restart. */
#ifndef SHRIKE_LEASES_H
#define SHRIKE_LEASES_H

#include "ike.h"

/* What the engine has, written beside and renamed over the file. 0 or -errno. */
int leases_save(struct ike *ike, const char *file);
/* The file's leases into the engine's pools: those of peers and addresses that it has; what a pool knows
 * already stays. Returns how many, or -errno; -ENOENT: there is no file yet. why: a sentence about a file
 * that is none of ours. */
int leases_load(struct ike *ike, const char *file, char *why, size_t why_size);

#endif
