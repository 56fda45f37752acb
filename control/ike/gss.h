/* One side of a GSS-API security context with Kerberos (RFC 2743, RFC 4121), as phase 1 uses it
 * (draft-ietf-ipsec-isakmp-gss-auth-07). Knows libkrb5 and nothing of IKE.
 *
 * gss_side_step() may ask the KDC and wait for it: it is for a job's thread. An object belongs to
 * one thread at a time. */
#ifndef SHRIKE_IKE_GSS_H
#define SHRIKE_IKE_GSS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "message.h"

#define GSS_PRINCIPAL_LEN 128  /* "host/gwa.example.org@EXAMPLE.ORG" with its NUL */
#define GSS_KEYTAB_LEN    256  /* a file name */
#define GSS_TOKEN_MAX     8192 /* bytes of a token that we take or make */
#define GSS_WRAPPED_MAX   512  /* bytes of a hash that is wrapped */
#define GSS_WHY_LEN       320

/* Who proves what: owned by the configuration of a peer. */
struct ike_kerberos_cfg {
	char own[GSS_PRINCIPAL_LEN], peer[GSS_PRINCIPAL_LEN]; /* principals with their realms */
	char keytab[GSS_KEYTAB_LEN]; /* holds the key of own, to ask with and to be asked with */
};

struct gss_side;

/* NULL when there is no memory. initiator: asks the KDC for a ticket for cfg->peer. */
struct gss_side *gss_side_new(const struct ike_kerberos_cfg *cfg, bool initiator);
void gss_side_free(struct gss_side *g); /* NULL is fine */
/* Keeps the other side's token for the next step. 0, or -EMSGSIZE. */
int gss_side_take(struct gss_side *g, struct view token);
/* Goes on with the context: as the initiator without a token first, then with the answer; as the
 * acceptor with the first. 0, with a token to send or, at the initiator's end, none; -EACCES with a
 * reason. */
int gss_side_step(struct gss_side *g);
/* The tokens of both sides so far, borrowed: what we made and what we took. */
struct view gss_side_sent(const struct gss_side *g);
struct view gss_side_taken(const struct gss_side *g);
/* The context stands. */
bool gss_side_done(const struct gss_side *g);
/* The principal that the other side has proved to be, once it is done; otherwise "". */
const char *gss_side_peer(const struct gss_side *g);
const char *gss_side_why(const struct gss_side *g);
/* Signs and encrypts, or opens and checks, a hash with the context's key. The length, or -EBADMSG.
 */
int gss_side_wrap(struct gss_side *g, struct view hash, uint8_t *out, size_t cap);
int gss_side_unwrap(struct gss_side *g, struct view wrapped, uint8_t *out, size_t cap);

#endif
