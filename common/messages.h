/* What crosses the boundary between the control thread and a worker lcore: one tagged struct in
 * each direction, passed by value through single-producer single-consumer rings.
 *
 * The rule about ownership is the same everywhere: a pointer in a command belongs to the lcore from
 * the moment the command is enqueued, and to control again when the event that answers it has been
 * dequeued. No message carries key material: keys live behind `sa`, in locked memory. */
#ifndef SHRIKE_COMMON_MESSAGES_H
#define SHRIKE_COMMON_MESSAGES_H

#include <stdint.h>

#include "addr.h"

struct sa;	/* dataplane/sa.h: the runtime SA, built by control */
struct spd;	/* dataplane/spd.h: an immutable snapshot of the policies */
struct fib;	/* dataplane/fib.h: an immutable snapshot of routes and next hops */
struct watch;	/* dataplane/watch.h: what a trace or capture looks for */

enum cmd_op {
	CMD_SA_STORE,	/* put sa into slot/dir; answered by EVT_SA_STORED */
	CMD_SA_REMOVE,	/* clear slot/dir; answered by EVT_SA_REMOVED with the old pointer */
	CMD_POLICY_SA,	/* policy `policy` now sends through {owner, slot, spi}; no answer */
	CMD_SPD,	/* replace the policies; answered by EVT_SPD_RETIRED with the old snapshot */
	CMD_FIB,	/* replace routes and next hops; answered by EVT_FIB_RETIRED likewise */
	CMD_WATCH,	/* trace or capture with watch (NULL: none); answered by EVT_WATCH_RETIRED */
};

/* control -> lcore. Every field is written by control and only read by the lcore. */
struct cmd {
	uint16_t op;	 /* enum cmd_op */
	uint16_t owner;	 /* POLICY_SA: worker that owns the SA pair; UINT16_MAX = none (detach) */
	uint32_t slot;	 /* SA_*, POLICY_SA: index in the lcore's tables */
	uint32_t spi;	 /* SA_*, POLICY_SA: the SPI that slot/dir holds, guards against reuse */
	uint32_t policy; /* POLICY_SA: policy id */
	uint8_t dir;	 /* SA_*: enum sa_dir */
	uint8_t pad[7];
	union {
		struct sa *sa;	 /* SA_STORE */
		struct spd *spd; /* SPD */
		struct fib *fib; /* FIB */
		struct watch *watch; /* WATCH */
	};
};

enum evt_op {
	EVT_SA_STORED,	 /* the command took effect; packets may use the SA from now on */
	EVT_SA_REMOVED,	 /* the lcore will never touch `sa` again: wipe and free it */
	EVT_SA_SOFT,	 /* a soft limit was reached: negotiate a successor */
	EVT_SA_HARD,	 /* a hard limit was reached: the SA no longer passes packets */
	EVT_SPD_RETIRED, /* `spd` may be freed (NULL: there was none) */
	EVT_FIB_RETIRED, /* `fib` may be freed (NULL: there was none) */
	EVT_WATCH_RETIRED, /* `watch` may be freed (NULL: there was none) */
	EVT_ACQUIRE,	 /* a packet met policy `policy` that has no SA (rate-limited per policy) */
	EVT_BAD_SPI,	 /* ESP with an SPI that we do not have, from `remote` (rate-limited) */
	EVT_PEER_MOVED,	 /* the newest packet of our SPI, in UDP, came from another address or port than
			  * the SA's: `remote`, `port` (at most one a second for an SA) */
};

/* lcore -> control. Every field is written by the lcore and only read by control. */
struct evt {
	uint16_t op;	/* enum evt_op */
	uint16_t lcore; /* worker index that sent it */
	uint32_t spi;	/* SA_*, BAD_SPI, PEER_MOVED: host order */
	union {
		struct {
			uint32_t slot;	 /* SA_* */
			uint32_t policy; /* ACQUIRE */
			uint8_t dir;	 /* SA_*: enum sa_dir */
			uint8_t limit;	 /* SA_SOFT, SA_HARD: enum sa_limit */
			uint8_t pad[6];
			union {
				struct sa *sa;	 /* SA_STORED, SA_REMOVED */
				struct spd *spd; /* SPD_RETIRED */
				struct fib *fib; /* FIB_RETIRED */
				struct watch *watch; /* WATCH_RETIRED */
			};
		};
		struct {
			struct ip_addr remote; /* BAD_SPI, PEER_MOVED: outer source */
			uint16_t port;	       /* PEER_MOVED: its UDP port, host order */
		};
	};
};

enum sa_limit { LIMIT_BYTES, LIMIT_PACKETS, LIMIT_SEQUENCE };

_Static_assert(sizeof(struct cmd) == 32, "a ring slot is half a cache line");
_Static_assert(sizeof(struct evt) == 32, "a ring slot is half a cache line");

#endif
