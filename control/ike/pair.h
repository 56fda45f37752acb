/* What pair.c and pair_replace.c share. */
#ifndef SHRIKE_IKE_PAIR_H
#define SHRIKE_IKE_PAIR_H

#include "engine.h"

/* Its keys are no longer needed here: both directions are installed, or never will be. */
void pair_wipe(struct pair *pair);
/* The pair's timer `send`: from now on it sends. */
void pair_send(void *arg);
/* The one that sends is going: its successor, if one waits for that, sends at once. */
void pair_send_instead(const struct pair *gone);
/* Puts a pair that stands beside this one in its place, where there is one; gone is old then. */
void pair_step_in(struct pair *gone);

#endif
