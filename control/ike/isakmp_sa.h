/* What isakmp_sa.c and its neighbours share beyond engine.h. */
#ifndef SHRIKE_IKE_ISAKMP_SA_H
#define SHRIKE_IKE_ISAKMP_SA_H

#include "engine.h"

/* When a successor is to be negotiated, microseconds after an SA was established: margin before its
 * end (0 = a tenth of the life), less jitter. */
uint64_t soft_limit_us(struct ike *ike, uint32_t life_s, uint32_t margin_s, bool initiator);
/* half_open.c: a responder's new SA is one of those, until sa_not_half_open() (of any SA, at any time). */
void sa_half_open(struct isakmp_sa *sa);
void sa_not_half_open(struct isakmp_sa *sa);
/* sa_alive.c: the timers' functions. */
void sa_dpd_timer(void *arg);
void sa_keepalive_timer(void *arg);
void sa_idle_timer(void *arg);
/* A Quick Mode is under way under it. */
bool sa_negotiates(const struct isakmp_sa *sa);
/* Somebody would miss an ISAKMP SA. */
bool peer_needs_phase1(struct peer *peer);

#endif
