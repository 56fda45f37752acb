/* XAuth (draft-beaulieu-ike-xauth-02): one side of an ISAKMP SA asks the other for a user. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "access.h"
#include "diagnose.h"
#include "secret.h"

/* ------------------------------------------------------------------- too many wrong guesses - */

#define FREE_SOURCE 5  /* failures of one source that cost nothing, */
#define FREE_USER   10 /* and of one name: others than its owner must not lock it out that easily */
#define WAIT_MAX_S  60
#define WAYS        4

/* FNV-1a from a seed of ours, so that nobody can aim at a slot. */
static uint32_t mix(uint32_t h, const void *p, size_t len)
{
	const uint8_t *b = p;

	for (size_t i = 0; i < len; i++)
		h = (h ^ b[i]) * 16777619u;
	return h;
}

static uint32_t key_of(const struct isakmp_sa *sa, const char *user)
{
	uint32_t h = mix(2166136261u ^ sa->ike->bucket_seed, sa->peer->cfg.name,
			 strlen(sa->peer->cfg.name));

	h = user ? mix(h ^ 1, user, strlen(user)) : mix(h, sa->path.remote.b, 16);
	return h ? h : 1;
}

/* The slot of a key, or the one that is the least loss. */
static struct guesses *guesses_of(struct ike *ike, uint32_t key)
{
	struct guesses *best = NULL;

	for (unsigned i = 0; i < WAYS; i++) {
		struct guesses *g = &ike->guesses[(key + i) % GUESSES];
		if (g->key == key)
			return g;
		if (!best || g->until < best->until)
			best = g;
	}
	return best;
}

static bool must_wait(struct ike *ike, uint32_t key)
{
	const struct guesses *g = guesses_of(ike, key);

	return g->key == key && g->until > ike_now(ike);
}

static void wrong_guess(struct ike *ike, uint32_t key, unsigned allowed)
{
	struct guesses *g = guesses_of(ike, key);
	uint64_t now = ike_now(ike), s = 1;

	if (g->key != key || g->until + FORGET_US < now)
		*g = (struct guesses){ .key = key };
	g->n++;
	for (unsigned i = allowed; i < g->n && s < WAIT_MAX_S; i++)
		s *= 2;
	g->until = now + (g->n > allowed ? (s < WAIT_MAX_S ? s : WAIT_MAX_S) * SECOND : 0);
}

static void right_guess(struct ike *ike, uint32_t key)
{
	struct guesses *g = guesses_of(ike, key);

	if (g->key == key)
		*g = (struct guesses){ 0 };
}

/* ------------------------------------------------------------------------------ server ------ */

void xauth_ask(struct isakmp_sa *sa)
{
	struct msgbuf m;
	size_t hash_at;
	struct exchange *x = tx_begin(sa, TX_XAUTH, CFG_REQUEST, &m, &hash_at);

	if (!x)
		return;
	msg_attr_basic(&m, XAUTH_TYPE, XAUTH_GENERIC);
	msg_attr(&m, XAUTH_USER, NULL, 0);
	msg_attr(&m, XAUTH_PASSWORD, NULL, 0);
	ike_note(sa->ike, sa->peer, sa, "%s is asked for its user", sa->peer->cfg.name);
	tx_send(x, &m, hash_at);
}

static void tell_status(struct isakmp_sa *sa, bool ok)
{
	struct msgbuf m;
	size_t hash_at;
	struct exchange *x = tx_begin(sa, TX_STATUS, CFG_SET, &m, &hash_at);

	if (!x)
		return;
	x->tx_own.ok = ok;
	msg_attr_basic(&m, XAUTH_STATUS, ok ? XAUTH_OK : XAUTH_FAIL);
	tx_send(x, &m, hash_at);
}

/* Says so to people and to the peer; when that has it, or does not answer, the SA ends. */
static void refuse(struct isakmp_sa *sa, const char *user, const char *why)
{
	struct ike_diagnosis d;

	diag_user(&d, sa, user, why);
	peer_error(sa->peer, sa, "%s", d.text);
	sa->ike->totals.phase1.failed++;
	ike_event_diagnosis(sa->ike, IKE_EV_PHASE1_FAILED, sa->peer, NULL, sa, &d);
	sa->access->refused = true;
	tell_status(sa, false);
}

static void checked(struct exchange *x, int rc)
{
	struct isakmp_sa *sa = x->sa;
	struct access *a = sa->access;
	char user[IKE_USER_LEN];
	uint32_t by_source = key_of(sa, NULL), by_user;

	memcpy(user, x->users->user, sizeof(user));
	by_user = key_of(sa, user);
	exchange_done(x);
	if (sa->state != IKE_SA_ESTABLISHED)
		return; /* deleted meanwhile */
	if (rc != 0) {
		wrong_guess(x->ike, by_source, FREE_SOURCE);
		wrong_guess(x->ike, by_user, FREE_USER);
		refuse(sa, user,
		       rc == -EACCES ? "the name or the password is wrong"
				     : "its password cannot be checked: see the log");
		return;
	}
	right_guess(x->ike, by_source);
	right_guess(x->ike, by_user);
	a->proved = true;
	snprintf(a->user, sizeof(a->user), "%s", user);
	ike_note(x->ike, sa->peer, sa, "%s is the user %s", sa->peer->cfg.name, user);
	tell_status(sa, true);
}

/* A text without a zero in it; one at its end is passed over, as some clients send it. */
static bool take_text(const struct attr *a, char *out, size_t size)
{
	size_t len = a ? a->value.len : 0;

	if (len && a->value.p[len - 1] == '\0')
		len--;
	if (len == 0 || len >= size || a->basic || memchr(a->value.p, '\0', len))
		return false;
	memcpy(out, a->value.p, len);
	out[len] = '\0';
	return true;
}

/* Bytes of the UTF-8 character at s, 0: it is none, or none to be seen. */
static unsigned character(const unsigned char *s)
{
	unsigned n = s[0] < 0x80                   ? 1
		     : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
		     : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
						   : 0;

	if (s[0] < ' ' || s[0] == 0x7f)
		return 0;
	for (unsigned i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if (n == 3 && ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0)))
		return 0;
	return n;
}

/* People, log files and JSON see it. */
static bool printable(const char *s)
{
	for (unsigned n; *s; s += n)
		if ((n = character((const unsigned char *)s)) == 0)
			return false;
	return true;
}

void xauth_replied(struct exchange *x, const struct cfg_payload *p)
{
	struct isakmp_sa *sa = x->sa;
	struct user_work *w = ike_secret_alloc(x->ike, sizeof(*w));
	const char *bad = NULL;

	if (!w) {
		access_fail(sa, "%s: out of memory", sa->peer->cfg.name);
		return;
	}
	x->users = w;
	if (!take_text(cfg_attr(p, XAUTH_USER, 0), w->user, sizeof(w->user)) ||
	    !printable(w->user)) {
		w->user[0] = '\0';
		bad = "it sent no user's name, or none that we take";
	} else if (!take_text(cfg_attr(p, XAUTH_PASSWORD, 0), w->password, sizeof(w->password))) {
		bad = "it sent no password, or none that we take";
	} else if (must_wait(x->ike, key_of(sa, NULL)) || must_wait(x->ike, key_of(sa, w->user))) {
		bad = "there were too many wrong passwords of late, so this one was not looked at";
	}
	w->users = ike_users_ref(sa->peer->cfg.access->users);
	if (bad) {
		char user[IKE_USER_LEN];
		memcpy(user, w->user, sizeof(user));
		exchange_done(x);
		refuse(sa, user, bad);
	} else if (job_start_users(x, checked) != 0) {
		access_fail(sa, "%s: out of memory", sa->peer->cfg.name);
	}
}

void xauth_told_acked(struct exchange *x)
{
	struct isakmp_sa *sa = x->sa;

	if (sa->dead || sa->state == IKE_SA_CLOSING)
		return;
	if (!x->tx_own.ok)
		sa_close(sa, "its user is not accepted");
	else if (sa->locked)
		access_configure(sa);
}

/* ------------------------------------------------------------------------------- client ----- */

static void cannot(struct exchange *x, const char *why)
{
	struct isakmp_sa *sa = x->sa;
	struct ike_diagnosis d;
	struct msgbuf m;
	size_t hash_at;

	tx_begin_answer(x, CFG_REPLY, &m, &hash_at);
	msg_attr_basic(&m, XAUTH_STATUS, XAUTH_FAIL);
	tx_send(x, &m, hash_at);
	diag_user(&d, sa, sa->peer->cfg.access->user, why);
	access_failed(sa, &d);
}

void xauth_asked(struct exchange *x, const struct cfg_payload *p)
{
	struct isakmp_sa *sa = x->sa;
	const struct ike_remote_cfg *cfg = sa->peer->cfg.access;
	const struct attr *type = cfg_attr(p, XAUTH_TYPE, 0);
	struct msgbuf m;
	size_t hash_at;

	if (cfg->xauth != XAUTH_CLIENT) {
		cannot(x, "it asks us for a user, and none is configured (xauth: client)");
		return;
	}
	if (type && type->num != XAUTH_GENERIC) {
		cannot(x, "it asks for another kind of proof than a name and a password");
		return;
	}
	if (sa->access->given) {
		cannot(x, "it asks again: it does not accept the user or the password");
		return;
	}
	sa->access->given = true;
	tx_begin_answer(x, CFG_REPLY, &m, &hash_at);
	if (type)
		msg_attr_basic(&m, XAUTH_TYPE, XAUTH_GENERIC);
	msg_attr(&m, XAUTH_USER, cfg->user, strlen(cfg->user));
	msg_attr(&m, XAUTH_PASSWORD, cfg->password, strlen(cfg->password));
	ike_note(sa->ike, sa->peer, sa, "%s asks for a user: we are %s", sa->peer->cfg.name,
		 cfg->user);
	tx_send(x, &m, hash_at);
	secret_wipe(m.buf, m.len); /* encrypted by now; but not where that failed */
}

void xauth_told(struct exchange *x, const struct cfg_payload *p)
{
	struct isakmp_sa *sa = x->sa;
	const struct attr *status = cfg_attr(p, XAUTH_STATUS, 0);
	bool ok = status && status->num == XAUTH_OK;
	struct ike_diagnosis d;
	struct msgbuf m;
	size_t hash_at;

	tx_begin_answer(x, CFG_ACK, &m, &hash_at);
	msg_attr_basic(&m, XAUTH_STATUS, ok ? XAUTH_OK : XAUTH_FAIL);
	tx_send(x, &m, hash_at);
	if (sa->peer->cfg.access->xauth != XAUTH_CLIENT || !sa->locked || sa->access->proved)
		return;
	if (!ok) {
		diag_user(&d, sa, sa->peer->cfg.access->user,
			  "it does not accept the user or the password");
		access_failed(sa, &d);
		return;
	}
	sa->access->proved = true;
	sa->access->given = false;
	access_configure(sa);
}
