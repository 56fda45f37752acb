/* Making diagnoses, inside of the engine. Each diag_*() fills *d in whole: facts, sentence, mending
 * lines. What is done with it: exchange_diagnose() ends an exchange with it, peer_diagnosis() only
 * tells it. */
#ifndef SHRIKE_IKE_DIAGNOSE_H
#define SHRIKE_IKE_DIAGNOSE_H

#include "exchange.h"

/* Only a sentence. child may be NULL. */
void diag_other(struct ike_diagnosis *d, const struct isakmp_sa *sa, const struct child *child,
		const char *text);
/* No offered transform is acceptable: as the responder. child: phase 2. */
void diag_mismatch(struct ike_diagnosis *d, const struct isakmp_sa *sa, const struct child *child,
		   const struct mismatch *m);
/* As the initiator: what the peer says, or does not, about our Main Mode message (1, 3 or 5). sent:
 * how often it went out when we gave up, 0: it is still awaited. */
void diag_phase1_stop(struct ike_diagnosis *d, const struct isakmp_sa *sa, unsigned message,
			 unsigned sent);
/* As the responder: the peer's next message, of that number, did not come in time. */
void diag_abandoned(struct ike_diagnosis *d, const struct isakmp_sa *sa, unsigned message);
/* A message that proves a pre-shared key does not verify. */
void diag_garbage(struct ike_diagnosis *d, const struct isakmp_sa *sa, unsigned message);
void diag_identity(struct ike_diagnosis *d, const struct isakmp_sa *sa, const struct ike_id *want,
		   const struct ike_id *got);
/* Kerberos: another principal came than the one that is expected. */
void diag_principal(struct ike_diagnosis *d, const struct isakmp_sa *sa, const char *want,
		    const char *got);
/* rc: what cert_verify_peer() returned, why: its sentence. */
void diag_certificate(struct ike_diagnosis *d, const struct isakmp_sa *sa, int rc, const char *why);
/* XAuth, in either role: why that user ("": none was named) did not come in. */
void diag_user(struct ike_diagnosis *d, const struct isakmp_sa *sa, const char *user,
	       const char *why);
/* As the responder: it asks for selectors that no child has; NULL child: none comes near. */
void diag_selectors(struct ike_diagnosis *d, const struct isakmp_sa *sa,
		    const struct selector *asked);
/* As the initiator: it answered with others than those of the pair. */
void diag_narrowed(struct ike_diagnosis *d, const struct isakmp_sa *sa, const struct child *child,
		   const struct selector *answered);
/* It refuses our Quick Mode with this notify. */
void diag_quick_refused(struct ike_diagnosis *d, const struct isakmp_sa *sa,
			const struct pair *pair, uint16_t notify);
void diag_quick_silent(struct ike_diagnosis *d, const struct isakmp_sa *sa,
		       const struct child *child, unsigned sent);
/* The peer begins with another version of IKE, or another exchange (isakmp.h). */
void diag_exchange(struct ike_diagnosis *d, const struct peer *peer, const struct ike_path *path,
		   uint8_t version, uint8_t exchange);
/* Every one of that many packets failed its ICV. */
void diag_icv(struct ike_diagnosis *d, const struct pair *pair, uint64_t packets);
/* Seconds and kilobytes that both sides want (0: none); false when they agree well enough. child
 * NULL: phase 1. */
bool diag_lifetime(struct ike_diagnosis *d, const struct isakmp_sa *sa, const struct child *child,
		   uint32_t theirs_s, uint64_t theirs_kb);

/* diagnose.c, for all of them: what is known of the peer, the child (may be NULL) and the way to it. */
void diag_begin(struct ike_diagnosis *d, enum ike_diag code, const struct peer *peer,
		const struct child *child, const struct ike_path *path, bool initiator);
void diag_begin_sa(struct ike_diagnosis *d, enum ike_diag code, const struct isakmp_sa *sa,
		   const struct child *child);
/* One more difference, named so; the caller says the values. */
struct ike_difference *diag_differs(struct ike_diagnosis *d, const char *what);
void diag_text_differs(struct ike_diagnosis *d, const char *what, const char *ours,
		       const char *theirs);

/* diagnosis_text.c: fills in d->text. */
void diagnosis_say(struct ike_diagnosis *d);

/* diagnosis_mend.c: fill in d->mend, d->where and d->remedy. */
void mend_transform(struct ike_diagnosis *d, const struct peer *peer, const struct child *child,
		    const struct mismatch *m);
void mend_refused(struct ike_diagnosis *d, const struct isakmp_sa *sa, const struct child *child);
void mend_selectors(struct ike_diagnosis *d, const struct child *child,
		    const struct selector *asked);
void mend_new_child(struct ike_diagnosis *d, const struct peer *peer, const struct selector *asked);
void mend_identity(struct ike_diagnosis *d, const struct ike_id *want, const struct ike_id *got);
void mend_lifetime(struct ike_diagnosis *d, uint32_t theirs_s, uint64_t theirs_kb);
void mend_truncation(struct ike_diagnosis *d, const struct pair *pair);
/* Where a line of the peer (child NULL) or of a child belongs. */
void mend_where(struct ike_diagnosis *d, const char *child);

#endif
