/* Remote access: XAuth (draft-beaulieu-ike-xauth-02) and Mode Config
 * (draft-ietf-ipsec-isakmp-mode-cfg-05) over the Transaction exchange.
 *
 *   client                                    server
 *                  <-- REQUEST(TYPE, USER, PASSWORD)
 *   REPLY(USER, PASSWORD) -->                        checked on another thread
 *                  <-- SET(STATUS)
 *   ACK(STATUS)           -->
 *   then one of:
 *   REQUEST(ADDRESS, ..)  -->                 (pull)
 *                  <-- REPLY(ADDRESS, DNS, ..)
 *                  <-- SET(ADDRESS, DNS, ..)  (push)
 *   ACK(ADDRESS, ..)      -->
 *
 * Each pair of messages is an exchange with a message ID and an IV chain of its own. Until all of
 * it is done the ISAKMP SA is locked: it carries no Quick Mode, and takes the place of no other.
 * Whose it is, the user says, not the identity of phase 1, which many may share. */
#ifndef SHRIKE_IKE_ACCESS_H
#define SHRIKE_IKE_ACCESS_H

#include "exchange.h"

/* access.c */
bool access_is_server(const struct peer *p); /* it asks for users, or gives addresses */
/* Phase 1 stands. True when something has to follow before the SA is of use; the SA is locked then.
 */
bool access_begin(struct isakmp_sa *sa);
/* All is done: the SA is unlocked, and serves its peer. */
void access_done(struct isakmp_sa *sa);
/* It will never be: says why, and closes the SA. */
void access_failed(struct isakmp_sa *sa, const struct ike_diagnosis *d);
__attribute__((format(printf, 2, 3))) void access_fail(struct isakmp_sa *sa, const char *fmt, ...);
/* The peer's INITIAL-CONTACT waits until it is known who says it. True when it has to. */
bool access_contact(struct isakmp_sa *sa);
void access_unity(struct isakmp_sa *sa); /* the peer knows Cisco's attributes */
void access_free(struct isakmp_sa *sa);
/* SAs of the same party of a peer with many: same user, and where the two could be two devices of
 * one user, the same outer address. */
bool access_same_party(const struct isakmp_sa *a, const struct isakmp_sa *b);
/* May the party of sa do something to that pair? */
bool access_owns(const struct isakmp_sa *sa, const struct pair *pair);
/* The ISAKMP SA that serves a child now: of a pooled one, that of whom its address is leased to.
 * NULL: none. */
struct isakmp_sa *child_sa(const struct child *child);
/* The child's address is leased to the party of sa. */
bool access_holds(const struct isakmp_sa *sa, const struct child *child);
/* The user is known: what comes next? */
void access_configure(struct isakmp_sa *sa);

/* transaction.c */
/* Starts a message of a transaction of ours in ike->out: HASH, and an open attribute payload. NULL:
 * no memory. */
struct exchange *tx_begin(struct isakmp_sa *sa, enum tx_kind kind, uint8_t type, struct msgbuf *m,
			  size_t *hash_at);
/* Its answer likewise, to the message that x has just received. */
void tx_begin_answer(struct exchange *x, uint8_t type, struct msgbuf *m, size_t *hash_at);
/* Closes the payload, fills in the hash and sends; the exchange fails when that does not work. */
void tx_send(struct exchange *x, struct msgbuf *m, size_t hash_at);

/* xauth.c */
void xauth_ask(struct isakmp_sa *sa);
void xauth_asked(struct exchange *x, const struct cfg_payload *p);   /* client: REQUEST */
void xauth_replied(struct exchange *x, const struct cfg_payload *p); /* server: REPLY */
void xauth_told(struct exchange *x, const struct cfg_payload *p);    /* client: SET(STATUS) */
void xauth_told_acked(struct exchange *x); /* server: its ACK, or none (x->tx_own.ok) */

/* mode_config.c */
void config_pull(struct isakmp_sa *sa);
void config_push(struct isakmp_sa *sa);
void config_pulled(struct exchange *x, const struct cfg_payload *p);  /* REQUEST: we give */
void config_replied(struct exchange *x, const struct cfg_payload *p); /* REPLY: we get */
/* The address that we were given becomes the local side of the children that speak for it. */
void config_assign(struct peer *p);
void config_pushed(struct exchange *x, const struct cfg_payload *p); /* SET: we get */

/* pool.c */
struct pool *pool_new(struct ike *ike, const struct ip_range *r);
void pool_free(struct ike *ike, struct pool *pool);
/* An address for the party of sa: the one that it had, else one that nobody had, else the one that
 * nobody has used for the longest time. False: all are in use. */
bool pool_lease(struct isakmp_sa *sa, struct ip_addr *out);
/* Who has that address, or had it last; NULL: nobody. */
const char *pool_user(const struct pool *pool, const struct ip_addr *a);
/* Notes that the SA, and so perhaps its lease, ends now. */
void pool_seen(struct isakmp_sa *sa);

#endif
