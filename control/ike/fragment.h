/* Fragments of ISAKMP messages: the vendor extension of Cisco, Microsoft, racoon and strongSwan
 * ([MS-IKEE] sections 2.2.3.1 and 3.3). Every fragment is an ISAKMP message of its own, never
 * encrypted, with the cookies of the whole and one payload 132: the whole message's bytes from
 * some offset on, under a fragment ID, numbered from 1, the last one marked. Nothing authenticates
 * a fragment; the whole is checked like any other message once it is there.
 *
 * What waits for its other fragments is a set: of one ISAKMP SA (or, for a first message, of one
 * configured peer), from one address and port, of one exchange, message ID and fragment ID. Some
 * peers use the same fragment ID for everything, so a fragment that does not fit a set ends it and
 * begins the next. A set that is complete stays for a while: when one of its fragments comes again
 * after some time, the peer has sent the message again, and the exchange may have to repeat its
 * answer. */
#ifndef SHRIKE_IKE_FRAGMENT_H
#define SHRIKE_IKE_FRAGMENT_H

#include "engine.h"

/* Takes a message whose first payload is a fragment (ike->in, its header parsed). When it completes
 * a message: true with that in *whole, the caller's to free with buf_free(). Anything else ends
 * here, counted. sa: whose cookies it has, NULL for a first message. */
bool fragment_input(struct ike *ike, struct isakmp_sa *sa, struct inmsg *m, struct buf *whole);
/* Sends a message of the SA, in fragments when it is too long for the path and the peer takes them.
 * id: the same for every transmission of one message, so that fragments of several complete each
 * other. */
void fragment_send(struct isakmp_sa *sa, const struct buf *msg, uint16_t id);
/* Drops the sets of an SA, or (sa NULL) the first messages of a peer: it goes. */
void fragment_forget(struct ike *ike, const struct isakmp_sa *sa, const struct peer *peer);
void fragment_init(struct ike *ike);

#endif
