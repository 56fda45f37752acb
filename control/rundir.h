/* The run directory: made when it is not there, and locked against a second daemon. */
#ifndef SHRIKE_RUNDIR_H
#define SHRIKE_RUNDIR_H

#include <stddef.h>

/* Makes dir (its parent must exist) and takes the lock dir/shrike.lock, which holds our process id.
 * Returns the lock's descriptor (keep it open), or -errno with a sentence in why. */
int rundir_lock(const char *dir, char *why, size_t why_size);

#endif
