/* Main Mode with Kerberos, both roles (draft-ietf-ipsec-isakmp-gss-auth-07, what Windows calls
 * Kerberos):
 *
 *   initiator                                  responder
 *   1  HDR, SA with GIi                -->
 *                                      <--     2  HDR, SA with GIr
 *   3  HDR, KE, Ni, GSSi               -->
 *                                      <--     4  HDR, KE, Nr, GSSr
 *   5  HDR*, IDii, Wrap(HASH_I)        -->
 *                                      <--     6  HDR*, IDir, Wrap(HASH_R)
 *
 * GIx is the name of x (in UTF-16, little end first, as Windows has it), GSSx its token behind a
 * byte of its vendor's. The hashes cover both behind the sender's ID body. Every token is made by a
 * job: libkrb5 may have to ask the KDC. The names are not proved by anything; whom the
 * configuration names is who must prove it: the initiator asks for a ticket for no other, the
 * responder looks who came. */
#include <errno.h>
#include <string.h>

#include "diagnose.h"
#include "gss.h"
#include "main_mode.h"

#define GI_MAX (2 * GSS_PRINCIPAL_LEN)

struct view gss_own_name(const struct peer *peer, uint8_t *out)
{
	const char *own = peer->cfg.kerberos ? peer->cfg.kerberos->own : "";
	size_t n = strlen(own);

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = (uint8_t)own[i];
		out[2 * i + 1] = 0;
	}
	return (struct view){ out, 2 * n };
}

static bool is_kerberos(const struct exchange *x)
{
	return x->sa->auth == AUTH_KERBEROS;
}

static struct gss_side *side(const struct exchange *x)
{
	return x->work ? x->work->gss : NULL;
}

/* Remembers how the other side calls itself in the chosen transform of the SA payload that it sent.
 */
int mm_gss_name(struct exchange *x, const struct sa_payload *sa, unsigned transform)
{
	const struct attr *a = transform_attr(&sa->transforms[transform], ATTR_GSS_NAME);

	if (!is_kerberos(x))
		return 0;
	return buf_set(x->ike, &x->gss_name, a ? a->value.p : NULL, a ? a->value.len : 0);
}

void mm_gss_put(struct msgbuf *m, const struct exchange *x)
{
	if (!side(x))
		return;
	struct view token = gss_side_sent(side(x));
	msg_open(m, PL_GSS);
	msg_put_u8(m, 0);
	msg_put(m, token.p, token.len);
	msg_close(m);
}

static void gss_failed(struct exchange *x, const char *why)
{
	exchange_fail(x, N_AUTHENTICATION_FAILED, "Kerberos with %s: %s", x->sa->peer->cfg.name,
		      why);
}

static int work_step(struct auth_work *w)
{
	return gss_side_step(w->gss);
}

/* A job makes the next token, and then(x, rc) goes on. */
static int gss_start(struct exchange *x, void (*then)(struct exchange *x, int rc))
{
	if (!x->work) {
		x->work = ike_secret_alloc(x->ike, sizeof(*x->work));
		if (!x->work)
			return -ENOMEM;
		x->work->gss = gss_side_new(x->sa->peer->cfg.kerberos, x->sa->initiator);
		if (!x->work->gss)
			return -ENOMEM;
	}
	if (x->gss_token.len && gss_side_take(x->work->gss, buf_view(&x->gss_token)) != 0)
		return -ENOMEM;
	buf_free(x->ike, &x->gss_token);
	return job_start_auth(x, IKE_JOB_FETCH, work_step, then);
}

bool mm_gss_take(struct exchange *x, const struct inmsg *m)
{
	const struct payload *p = payload_find(&m->list, PL_GSS, 0);

	if (!is_kerberos(x))
		return true;
	if (!p || p->body.len < 2 || p->body.len > 1 + GSS_TOKEN_MAX) {
		gss_failed(x, "its message holds no token, or one that is too long");
		return false;
	}
	if (buf_set(x->ike, &x->gss_token, p->body.p + 1, p->body.len - 1) == 0)
		return true;
	mm_public_failed(x, -ENOMEM);
	return false;
}

static void gss_made(struct exchange *x, int rc)
{
	if (rc != 0)
		gss_failed(x, gss_side_why(side(x)));
	else
		x->gss_then(x, 0);
}

/* The connection of that principal, of those with our own that the addresses may mean. */
static struct peer *gss_find_peer(const struct isakmp_sa *sa, const char *principal)
{
	const struct ip_addr none = { .family = IP_NONE };
	const struct ike_kerberos_cfg *was = sa->peer->cfg.kerberos, *k;
	struct peer *p;

	if (strcmp(was->peer, principal) == 0)
		return sa->peer;
	for (unsigned any = 0; any < 2; any++) {
		p = NULL;
		while ((p = peer_next_at(sa->ike, any ? &none : &sa->path.remote, p))) {
			k = p->cfg.kerberos;
			if (k && !p->down && peer_accepts(p, &sa->path) &&
			    strcmp(k->own, was->own) == 0 && strcmp(k->peer, principal) == 0)
				return p;
		}
	}
	return NULL;
}

static void gss_accepted(struct exchange *x, int rc)
{
	struct isakmp_sa *sa = x->sa;
	struct ike_diagnosis d;

	if (rc != 0) {
		gss_failed(x, gss_side_why(side(x)));
		return;
	}
	struct peer *p = gss_find_peer(sa, gss_side_peer(side(x)));
	if (!p) {
		diag_principal(&d, sa, sa->peer->cfg.kerberos->peer, gss_side_peer(side(x)));
		exchange_diagnose(x, N_AUTHENTICATION_FAILED, &d);
		return;
	}
	if (p != sa->peer)
		sa_move(sa, p);
	ike_note(x->ike, p, sa, "it is the principal %s", gss_side_peer(side(x)));
	x->gss_then(x, 0);
}

/* Goes on with then(x, 0) once our next token is there; at once where there is no Kerberos. */
void mm_gss_step(struct exchange *x, void (*then)(struct exchange *x, int rc))
{
	bool accepts = !x->sa->initiator;
	int rc;

	if (!is_kerberos(x)) {
		then(x, 0);
		return;
	}
	x->gss_then = then;
	rc = gss_start(x, accepts ? gss_accepted : gss_made);
	if (rc != 0)
		mm_public_failed(x, rc);
}

/* IDx_b | GIx | GSSx of that side into out; 0 when it does not fit. */
static size_t gss_covered(struct exchange *x, bool own, struct view id, uint8_t *out, size_t cap)
{
	uint8_t name[GI_MAX];
	const struct view part[] = {
		id,
		own ? gss_own_name(x->sa->peer, name) : buf_view(&x->gss_name),
		own ? gss_side_sent(side(x)) : gss_side_taken(side(x)),
	};
	size_t n = 0;

	for (unsigned i = 0; i < 3; i++) {
		if (part[i].len > cap - n)
			return 0;
		if (part[i].len)
			memcpy(out + n, part[i].p, part[i].len);
		n += part[i].len;
	}
	return n;
}

static int gss_hash(struct exchange *x, bool initiator, struct view id, uint8_t *out)
{
	size_t cap = 4 + IKE_MAX_ID + 2 * GSS_TOKEN_MAX, n;
	uint8_t *buf = ike_alloc(x->ike, cap);
	int rc = -ENOMEM;

	if (buf && side(x)) {
		n = gss_covered(x, initiator == x->sa->initiator, id, buf, cap);
		rc = n ? mm_auth_hash(x, initiator, (struct view){ buf, n }, out) : -EMSGSIZE;
	}
	if (buf)
		ike_dealloc(x->ike, buf, cap);
	return rc;
}

int mm_proof_write(struct msgbuf *m, struct exchange *x, struct view id)
{
	uint8_t hash[HASH_MAX_LEN], wrapped[GSS_WRAPPED_MAX];
	size_t len = x->sa->keys->prf_len;
	int rc, n;

	if (!is_kerberos(x)) {
		rc = mm_auth_hash(x, x->sa->initiator, id, hash);
		if (rc == 0)
			msg_payload(m, PL_HASH, hash, len);
		return rc;
	}
	rc = gss_hash(x, x->sa->initiator, id, hash);
	if (rc != 0)
		return rc;
	n = gss_side_wrap(side(x), (struct view){ hash, len }, wrapped, sizeof(wrapped));
	if (n > 0)
		msg_payload(m, PL_HASH, wrapped, (size_t)n);
	return n > 0 ? 0 : -EIO;
}

bool mm_proof_read(struct exchange *x, struct view id, struct view proof, uint8_t *expect,
		   uint8_t *got, size_t *len)
{
	bool initiator = !x->sa->initiator;

	*len = x->sa->keys->prf_len;
	if (is_kerberos(x))
		return side(x) && gss_hash(x, initiator, id, expect) == 0 &&
		       gss_side_unwrap(side(x), proof, got, HASH_MAX_LEN) == (int)*len;
	if (proof.len != *len || mm_auth_hash(x, initiator, id, expect) != 0)
		return false;
	memcpy(got, proof.p, *len);
	return true;
}
