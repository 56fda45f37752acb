/* Every figure that bounds the engine: numbers, sizes and times. */
#ifndef SHRIKE_IKE_ENGINE_LIMITS_H
#define SHRIKE_IKE_ENGINE_LIMITS_H

#include "ike.h"

#define SECOND 1000000ull

#define SA_BUCKETS    8192
#define PAIR_BUCKETS  16384
#define INDEX_BUCKETS 4096
#define MSG_MAX       IKE_MAX_MESSAGE /* bytes of one message that we build: with a chain */
#define DIGEST_LEN    32
#define SEEN_MAX      4             /* messages that an exchange takes from the other side */
#define REPLIES_MAX   12            /* repeats of a stored reply to duplicates */
#define LINGER_US     (70 * SECOND) /* a finished exchange still knows duplicates that long */
#define GRACE_US      (10 * SECOND) /* an SA that was replaced lives on that long */
#define USED_UP_US    (2 * SECOND) /* an ISAKMP SA whose volume is used up ends what it has begun */
#define TOLD_US       (5 * SECOND) /* after the DELETE of an old pair its inbound side stays so long */
#define OLD_PAIRS_MAX 16           /* of those: more only when new ones come that fast */
#define SWITCH_US     SECOND       /* after message 3 the old SA sends on for that long */
#define SETTLE_US     (8 * SECOND) /* pairs made closer together than that are a collision */
#define RETRY_MAX_S   64           /* the longest back-off of a connection that must be up */
#define BLIND_REPEATS 2            /* a DELETE is not acknowledged: it is said three times */

/* Phases 1 of ours begin so far apart, but for a number at once: ten thousand peers in the same
 * moment, at the start or when a line is back, would fill every queue on the way and then wait for
 * repeats. */
#define CALLS_PER_SECOND   500
#define CALL_BURST         64
#define COMPLAINTS_MAX     10 /* refusals a second of those who have proved nothing */
#define HALF_SOURCES       4096
#define HALF_OPEN_YIELD_US SECOND /* a first message without a second keeps its place that long */
#define KEEPALIVE_US       (20 * SECOND)
#define BAD_SPI_US         (5 * SECOND) /* one reaction to unknown SPIs a peer in that time */
#define FOREIGN_US         (5 * SECOND) /* and one to messages of another IKE */
#define MSGIDS_MAX         65536        /* used under one ISAKMP SA; then it is replaced */
#define REFUSED_US         (5 * SECOND) /* a DELETE so soon refuses our Aggressive Mode */
#define EARLY_MAX          2048 /* bytes of a message that may wait for Aggressive Mode to end */
#define QUICK_OPEN_MAX     64   /* Quick Modes of ours under way under one ISAKMP SA */
#define QUICK_STALLED_US   (2 * SECOND) /* one without an answer for so long lets others begin */
#define YIELD_US           (5 * SECOND) /* so long a Main Mode SA for one Quick Mode is its maker's */
#define QUICK_PACE_US      10000        /* when there are as many, look again after that */
#define MAX_PENDING_QUICK  256          /* responder Quick Modes in progress under one ISAKMP SA */

#define ACCESS_US       (60 * SECOND) /* from phase 1 to a user and an address */
#define ACCESS_OPEN_MAX 256           /* SAs of one peer's that wait for their user at a time */
/* of the other side's under one ISAKMP SA, while its user is not known and afterwards, of late */
#define TRANSACTIONS_MAX   16
#define TRANSACTIONS_LATER 64

#define GUESSES   1024 /* sources and users with wrong passwords that are remembered */
#define FORGET_US (600 * SECOND)

#endif
