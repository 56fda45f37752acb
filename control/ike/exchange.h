/* The driver that every exchange runs through, and the table that describes them.
 *
 * A row of the table is a message that we may receive: in which exchange and role, as which step,
 * which payloads it must and may hold, whether it is encrypted, how it is verified and what is done
 * with it. The driver owns everything that is the same for all: decryption with a pending IV, the
 * payload check, duplicates, the stored reply, retransmission and giving up. A row's verify() looks
 * without touching anything; only after it agreed does the driver commit the IV and call handle().
 */
#ifndef SHRIKE_IKE_EXCHANGE_H
#define SHRIKE_IKE_EXCHANGE_H

#include "engine.h"

/* Payload types as bits, so that a row can name a set. */
#define PB(type) (1ull << ((type) < 60 ? (type) : (type)-PL_GSS + 60))

enum step_hash { STEP_NO_HASH, STEP_HASH1, STEP_HASH2, STEP_HASH3, STEP_AUTH };

struct step {
	const char *name; /* "Main Mode message 5" */
	uint8_t exchange; /* enum exchange_type */
	bool initiator;   /* our role */
	uint8_t step;     /* counts from 0 within exchange and role */
	uint8_t number;   /* of the message in the exchange, from 1 */
	bool encrypted;
	bool or_clear;     /* in the clear as well: Aggressive Mode's last (RFC 2409 section 5) */
	uint8_t first;     /* payload type that must come first, PL_NONE = any order */
	uint64_t required; /* exactly one of each, but PL_ID and PL_NAT_D: see step_check() */
	uint64_t optional;
	bool retransmit; /* while it is awaited, our last message is repeated on a timer */
	enum step_hash hash;
	/* Looks at the message and returns 0 or -EBADMSG; changes nothing but the peer's last
	 * error. */
	int (*verify)(struct exchange *x, const struct inmsg *m);
	void (*handle)(struct exchange *x, const struct inmsg *m);
};

extern const struct step step_table[];
extern const unsigned step_count;

/* The row, or NULL behind the last step. */
const struct step *step_find(uint8_t exchange, bool initiator, uint8_t step);
/* Payload counts against the row. 0, or -EBADMSG with a static sentence. */
int step_check(const struct step *s, const struct payload_list *l, const char **why);

/* The first payload of a type that the message's row requires. */
static inline const struct payload *need(const struct inmsg *m, uint8_t type)
{
	return payload_find(&m->list, type, 0);
}

static inline bool exchange_is_phase1(uint8_t type)
{
	return type == EXCH_IDENTITY_PROTECTION || type == EXCH_AGGRESSIVE;
}

/* NULL when there is no memory. */
struct exchange *exchange_new(struct isakmp_sa *sa, uint8_t type, bool initiator, uint32_t msgid);
struct exchange *exchange_find(struct isakmp_sa *sa, uint8_t type, uint32_t msgid);
/* The one that made the SA, or is making it. */
struct exchange *exchange_phase1(struct isakmp_sa *sa);
/* Out of the SA and out of service; freed by engine_reap(). What it negotiated dies with it. */
void exchange_kill(struct exchange *x);
void exchange_free(struct exchange *x);
/* It succeeded: keeps answering duplicates for LINGER_US, forgets everything else. */
void exchange_done(struct exchange *x);

#define MM_MESSAGES_IN 3 /* Main Mode: that many come in */
#define AM_MESSAGES_IN 2 /* Aggressive Mode, responder */
#define MM_STEP_AUTH   2 /* Main Mode: the other side's ID and HASH */
#define MM_STEP_SIGNED 3 /* or its ID, certificates and SIG */
#define AM_STEP_ANSWER        0 /* Aggressive Mode, initiator: message 2 with HASH */
#define AM_STEP_ANSWER_SIGNED 1 /* or with SIG */
#define AM_STEP_AUTH          1 /* responder: message 3 likewise */
#define AM_STEP_SIGNED        2
#define STEP_NONE 255 /* nothing is awaited any more */

/* Starts a message in ike->out. */
void exchange_begin(struct exchange *x, struct msgbuf *m, bool encrypted);
/* Pads and encrypts when it was begun so (advancing x->iv), stores and sends; then waits for step
 * next (or STEP_NONE). 0 or -errno; the caller then fails the exchange. */
int exchange_send(struct exchange *x, struct msgbuf *m, uint8_t next);
/* Sends the stored message once more. */
void exchange_repeat(struct exchange *x);

/* A message for this exchange, as received. */
void exchange_receive(struct exchange *x, struct inmsg *m);
/* Ends it with an error: says why, tells the peer at most once (notify 0: nothing), cleans up. */
__attribute__((format(printf, 3, 4))) void exchange_fail(struct exchange *x, uint16_t notify,
							 const char *fmt, ...);
/* The same with all that is known about the error. */
void exchange_diagnose(struct exchange *x, uint16_t notify, const struct ike_diagnosis *d);

/* main_mode.c, main_mode_init.c, main_mode_resp.c */
int mm_verify_2(struct exchange *x, const struct inmsg *m);
int mm_verify_ke(struct exchange *x, const struct inmsg *m);
int mm_verify_auth(struct exchange *x, const struct inmsg *m);
void mm_handle_2(struct exchange *x, const struct inmsg *m);
void mm_handle_3(struct exchange *x, const struct inmsg *m);
void mm_handle_4(struct exchange *x, const struct inmsg *m);
void mm_handle_5(struct exchange *x, const struct inmsg *m);
void mm_handle_6(struct exchange *x, const struct inmsg *m);
/* main_mode_sig.c */
int mm_verify_signed(struct exchange *x, const struct inmsg *m);
void mm_handle_signed(struct exchange *x, const struct inmsg *m);
/* main_mode_resp.c again, main_mode.c */
int mm_verify_1(struct exchange *x, const struct inmsg *m);
void mm_handle_1(struct exchange *x, const struct inmsg *m);
/* Encrypted message that does not decrypt to anything: what that means for Main Mode. */
void mm_garbage(struct exchange *x, const struct step *s);
void mm_timeout(struct exchange *x, const struct step *s);
/* aggressive.c, aggressive_init.c, aggressive_resp.c */
int am_verify_1(struct exchange *x, const struct inmsg *m);
int am_verify_2(struct exchange *x, const struct inmsg *m);
int am_verify_3(struct exchange *x, const struct inmsg *m);
int am_verify_signed(struct exchange *x, const struct inmsg *m);
void am_handle_1(struct exchange *x, const struct inmsg *m);
void am_handle_2(struct exchange *x, const struct inmsg *m);
void am_handle_3(struct exchange *x, const struct inmsg *m);
void am_handle_signed(struct exchange *x, const struct inmsg *m);
void am_replay(struct exchange *x); /* what came too early, from the timer */
/* quick_mode.c */
int qm_verify_hash(struct exchange *x, const struct inmsg *m);
void qm_handle_1(struct exchange *x, const struct inmsg *m);
void qm_handle_2(struct exchange *x, const struct inmsg *m);
void qm_handle_3(struct exchange *x, const struct inmsg *m);
void qm_timeout(struct exchange *x);
void qm_dropped(struct exchange *x); /* the exchange dies: its pair goes, unless it stands */
/* transaction.c */
void tx_handle_1(struct exchange *x, const struct inmsg *m);
void tx_handle_2(struct exchange *x, const struct inmsg *m);
void tx_timeout(struct exchange *x);
/* informational.c */
void info_handle(struct exchange *x, const struct inmsg *m);

#endif
