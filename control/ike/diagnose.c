/* Diagnoses from what the exchanges know. */
#include "diagnose.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void diag_begin(struct ike_diagnosis *d, enum ike_diag code, const struct peer *peer,
		       const struct child *child, const struct ike_path *path, bool initiator)
{
	memset(d, 0, sizeof(*d));
	d->code = code;
	d->initiator = initiator;
	d->phase1 = peer_phase1(peer);
	snprintf(d->peer, sizeof(d->peer), "%s", peer->cfg.name);
	if (child)
		snprintf(d->child, sizeof(d->child), "%s", child->cfg.name);
	if (peer->cfg.auth == 0 || peer->cfg.auth == AUTH_PSK)
		snprintf(d->secret, sizeof(d->secret), "%s", peer->cfg.psk_name);
	if (path && path->remote.family != IP_NONE) {
		ip_addr_str(&path->remote, d->remote, sizeof(d->remote));
		d->port = path->remote_port;
	}
}

static void diag_begin_sa(struct ike_diagnosis *d, enum ike_diag code, const struct isakmp_sa *sa,
			  const struct child *child)
{
	diag_begin(d, code, sa->peer, child, &sa->path, sa->initiator);
	d->nat = sa->nat_local || sa->nat_remote;
	d->phase1 = sa->phase1;
}

static struct ike_difference *diag_differs(struct ike_diagnosis *d, const char *what)
{
	struct ike_difference *e = &d->diff[d->n_diff];

	d->n_diff++;
	snprintf(e->what, sizeof(e->what), "%s", what);
	return e;
}

static void diag_text_differs(struct ike_diagnosis *d, const char *what, const char *ours,
			      const char *theirs)
{
	struct ike_difference *e = diag_differs(d, what);

	snprintf(e->ours, sizeof(e->ours), "%.159s", ours);
	snprintf(e->theirs, sizeof(e->theirs), "%.159s", theirs);
}

void diag_other(struct ike_diagnosis *d, const struct isakmp_sa *sa, const struct child *child,
		const char *text)
{
	diag_begin_sa(d, IKE_DIAG_OTHER, sa, child);
	snprintf(d->fact, sizeof(d->fact), "%s", text);
	diagnosis_say(d);
}

void diag_user(struct ike_diagnosis *d, const struct isakmp_sa *sa, const char *user,
	       const char *why)
{
	const struct ike_remote_cfg *access = sa->peer->cfg.access;
	char from[ADDR_STR_LEN];

	diag_begin_sa(d, IKE_DIAG_USER, sa, NULL);
	d->secret[0] = '\0'; /* that of phase 1 is not to blame */
	if (access && access->xauth == XAUTH_SERVER) {
		snprintf(d->fact, sizeof(d->fact), "the user %s at %s does not come in to %s: %s",
			 user[0] ? user : "(none)",
			 ip_addr_str(&sa->path.remote, from, sizeof(from)), d->peer, why);
		snprintf(d->remedy, sizeof(d->remedy),
			 "look whether 'users' has that name, and whether the other side has its "
			 "password");
	} else {
		snprintf(d->fact, sizeof(d->fact), "%s and our user %s: %s", d->peer,
			 user[0] ? user : "(none)", why);
		snprintf(d->remedy, sizeof(d->remedy),
			 "look at 'xauth-user' and the file of 'xauth-secret' here, and at the users "
			 "of the other side");
	}
	diagnosis_say(d);
}

/* ------------------------------------------------------------------------- proposals -------- */

static enum ike_diag mismatch_code(const struct mismatch *m, bool phase2)
{
	if (!phase2)
		return IKE_DIAG_PHASE1_TRANSFORM;
	if (m->n != 1)
		return IKE_DIAG_PHASE2_TRANSFORM;
	return strcmp(m->diff[0].what, "GROUP") == 0  ? IKE_DIAG_PFS
	       : strcmp(m->diff[0].what, "MODE") == 0 ? IKE_DIAG_MODE
						      : IKE_DIAG_PHASE2_TRANSFORM;
}

void diag_mismatch(struct ike_diagnosis *d, const struct isakmp_sa *sa, const struct child *child,
		   const struct mismatch *m)
{
	diag_begin_sa(d, mismatch_code(m, child != NULL), sa, child);
	d->offer = m->offer;
	d->transform = m->transform;
	d->n_diff = m->n;
	d->cut = m->cut;
	memcpy(d->diff, m->diff, sizeof(d->diff));
	snprintf(d->fact, sizeof(d->fact), "%s", m->reason);
	mend_transform(d, sa->peer, child, m);
	diagnosis_say(d);
}

void diag_quick_refused(struct ike_diagnosis *d, const struct isakmp_sa *sa,
			const struct pair *pair, uint16_t notify)
{
	const struct child *child = pair->child;
	bool selectors = notify == N_INVALID_ID_INFORMATION;
	char offer[150], sel[SELECTOR_STR_LEN];

	diag_begin_sa(d, selectors ? IKE_DIAG_SELECTORS : IKE_DIAG_PHASE2_REFUSED, sa, child);
	d->hint = (struct ike_hint){ .proved = true, .notify = notify };
	snprintf(d->fact, sizeof(d->fact), "%s, %s",
		 esp_offer_text(&child->cfg, offer, sizeof(offer)),
		 selector_str(&pair->sel, sel, sizeof(sel)));
	if (selectors) {
		diag_text_differs(d, "SELECTORS", sel, "not told");
		snprintf(d->remedy, sizeof(d->remedy),
			 "the peer needs a child with exactly these networks, seen from there the "
			 "other way round; its own log says which it has");
	} else {
		mend_refused(d, sa, child);
	}
	diagnosis_say(d);
}

/* ------------------------------------------------------------------------- Main Mode -------- */

static bool signs(const struct isakmp_sa *sa)
{
	return !auth_is_psk(sa->auth) && sa->auth != AUTH_KERBEROS;
}

static void set_secret_mend(struct ike_diagnosis *d)
{
	mend_where(d, NULL);
	snprintf(d->mend, sizeof(d->mend),
		 "secret: %s  # its file must hold, to the byte, what the peer has", d->secret);
}

/* The peer did not like who we say we are, or how we prove it: Main Mode message 5, or Aggressive Mode's
 * second. In its first only the identity can be wrong. */
static void diag_not_believed(struct ike_diagnosis *d, const struct isakmp_sa *sa)
{
	struct ike_id id = peer_local_id(sa->peer, &sa->path);
	char text[160], both[200];

	d->probable = !d->hint.proved;
	if (d->message > 1 && auth_is_psk(sa->auth) && !d->hint.proved &&
	    d->hint.notify != N_INVALID_ID_INFORMATION) {
		d->code = IKE_DIAG_PSK;
		set_secret_mend(d);
		return;
	}
	d->code = IKE_DIAG_OUR_IDENTITY;
	snprintf(d->fact, sizeof(d->fact), sa->auth == AUTH_KERBEROS ? "principal or identity"
		 : signs(sa)               ? "certificate or identity"
					   : "identity");
	ike_id_str(&id, text, sizeof(text));
	snprintf(both, sizeof(both), "%s %s", ike_id_type_name(id.type), text);
	diag_text_differs(d, "ID", both, "not told");
	mend_where(d, NULL);
	snprintf(d->mend, sizeof(d->mend),
		 "local-id: \"%s\"  # must be what the peer expects of us", text);
	if (signs(sa))
		snprintf(d->remedy, sizeof(d->remedy),
			 "the peer must trust an authority that our certificate leads to, and "
			 "expect an identity that stands in it");
}

/* Nothing came after we moved to port 4500: neither there, nor a complaint from the old port, which is
 * where strongSwan sends its own before it has understood message 5. */
static bool natt_silent(const struct isakmp_sa *sa)
{
	return sa->path.local_port == 4500 && !sa->heard_natt && !sa->hint.unreadable &&
	       !sa->hint.notify;
}

static void set_natt_mend(struct ike_diagnosis *d, const struct isakmp_sa *sa)
{
	d->code = IKE_DIAG_NATT_BLOCKED;
	d->probable = true;
	d->port = 4500;
	if (sa->peer->cfg.force_encap && !d->nat) {
		mend_where(d, NULL);
		snprintf(d->mend, sizeof(d->mend), "encapsulation: auto");
	}
	snprintf(d->remedy, sizeof(d->remedy),
		 "let UDP port 4500 pass in both directions, in every firewall between the two "
		 "gateways%s%s%s",
		 d->secret[0] ? "; a peer that says nothing about a wrong pre-shared key (secret "
			      : "",
		 d->secret, d->secret[0] ? ") looks the same" : "");
}

static void set_silent_mend(struct ike_diagnosis *d, const struct isakmp_sa *sa)
{
	d->code = IKE_DIAG_SILENT;
	if (sa->peer->cfg.remote.family != IP_NONE) {
		mend_where(d, NULL);
		snprintf(d->mend, sizeof(d->mend), "remote: %s  # is that the peer's address?",
			 d->remote);
	}
	snprintf(d->remedy, sizeof(d->remedy),
		 "see whether IKE runs at the peer, whether it accepts us, and whether UDP port %u "
		 "passes in both directions",
		 d->port);
}

/* Another IKE, or another exchange, than ours. */
static void exchange_differs(struct ike_diagnosis *d, const char *theirs)
{
	const char *mode = exchange_name(d->phase1);
	char ours[64];

	snprintf(ours, sizeof(ours), "IKEv1 %s", mode);
	d->code = IKE_DIAG_EXCHANGE;
	diag_text_differs(d, "EXCHANGE", ours, theirs);
	snprintf(d->remedy, sizeof(d->remedy), "configure IKEv1 %s at the peer", mode);
}

static void set_exchange(struct ike_diagnosis *d, uint8_t version, uint8_t exchange)
{
	char theirs[64];

	if (version >> 4 != ISAKMP_VERSION >> 4)
		snprintf(theirs, sizeof(theirs), "IKEv%u", version >> 4);
	else
		snprintf(theirs, sizeof(theirs), "IKEv1 %s", exchange_name(exchange));
	d->probable = true; /* nobody has authenticated anything yet */
	exchange_differs(d, theirs);
	if (version >> 4 == ISAKMP_VERSION >> 4 && exchange_is_phase1(exchange)) {
		mend_where(d, NULL);
		snprintf(d->mend, sizeof(d->mend), "exchange: %s",
			 exchange == EXCH_AGGRESSIVE ? "aggressive" : "main");
	}
}

static void set_refused_mend(struct ike_diagnosis *d, const struct isakmp_sa *sa)
{
	bool type = d->hint.notify == N_INVALID_EXCHANGE_TYPE ||
		    d->hint.notify == N_UNSUPPORTED_EXCHANGE_TYPE;

	d->probable = !d->hint.proved;
	if (type) {
		exchange_differs(d, notify_name(d->hint.notify));
		return;
	}
	ike_offer_text(&sa->peer->cfg, d->fact, 200);
	mend_refused(d, sa, NULL);
}

/* Aggressive Mode: what the peer says is about the identity in our message, or its proof. */
static bool rejects_us(const struct isakmp_sa *sa, unsigned message)
{
	if (sa->phase1 != EXCH_AGGRESSIVE || (!sa->hint.unreadable && !sa->hint.notify))
		return sa->hint.deleted;
	return message > 1 || sa->hint.notify == N_INVALID_ID_INFORMATION ||
	       sa->hint.notify == N_AUTHENTICATION_FAILED;
}

void diag_phase1_stop(struct ike_diagnosis *d, const struct isakmp_sa *sa, unsigned message,
			 unsigned sent)
{
	bool said = sa->hint.unreadable || sa->hint.notify;

	diag_begin_sa(d, IKE_DIAG_PHASE1_REFUSED, sa, NULL);
	d->hint = sa->hint;
	d->message = message;
	d->sent = sent;
	if (message == 5 && sent && natt_silent(sa))
		set_natt_mend(d, sa);
	else if (message == 5 || rejects_us(sa, message))
		diag_not_believed(d, sa);
	else if (sa->hint.version)
		set_exchange(d, sa->hint.version, sa->hint.exchange);
	else if (said)
		set_refused_mend(d, sa);
	else
		set_silent_mend(d, sa);
	diagnosis_say(d);
}

/* The message that comes to port 4500 where there is a NAT. Aggressive Mode: whether there is one is said
 * in the very message. */
static bool awaited_natt(const struct isakmp_sa *sa, unsigned message)
{
	return sa->phase1 == EXCH_IDENTITY_PROTECTION && message == 5 && sa->encap;
}

void diag_abandoned(struct ike_diagnosis *d, const struct isakmp_sa *sa, unsigned message)
{
	if (rejects_us(sa, message - 1)) {
		diag_phase1_stop(d, sa, message - 1, 0);
		return;
	}
	diag_begin_sa(d, IKE_DIAG_SILENT, sa, NULL);
	d->message = message;
	/* with a NAT, or as if there were one, the peer goes on from port 4500 */
	if (awaited_natt(sa, message) && !sa->heard_natt)
		set_natt_mend(d, sa);
	else
		snprintf(d->remedy, sizeof(d->remedy),
			 "the peer's log says why it did not go on; otherwise our answers do not "
			 "reach it");
	diagnosis_say(d);
}

void diag_garbage(struct ike_diagnosis *d, const struct isakmp_sa *sa, unsigned message)
{
	diag_begin_sa(d, IKE_DIAG_PSK, sa, NULL);
	d->probable = true;
	d->message = message;
	if (!auth_is_psk(sa->auth)) {
		d->code = IKE_DIAG_OTHER;
		snprintf(d->fact, sizeof(d->fact),
			 "%s message %u of %s cannot be read: damaged, or forged",
			 exchange_name(d->phase1), message, d->peer);
	} else {
		set_secret_mend(d);
	}
	diagnosis_say(d);
}

void diag_identity(struct ike_diagnosis *d, const struct isakmp_sa *sa, const struct ike_id *want,
		   const struct ike_id *got)
{
	struct ike_difference *e;
	char a[300], b[300];

	diag_begin_sa(d, IKE_DIAG_IDENTITY, sa, NULL);
	d->nat = sa->nat_remote && !sa->peer->cfg.remote_id.type;
	e = diag_differs(d, "ID");
	snprintf(e->ours, sizeof(e->ours), "%s %.120s", ike_id_type_name(want->type),
		 ike_id_str(want, a, sizeof(a)));
	snprintf(e->theirs, sizeof(e->theirs), "%s %.120s", ike_id_type_name(got->type),
		 ike_id_str(got, b, sizeof(b)));
	mend_identity(d, want, got);
	diagnosis_say(d);
}

void diag_principal(struct ike_diagnosis *d, const struct isakmp_sa *sa, const char *want,
		    const char *got)
{
	char a[160], b[160];

	diag_begin_sa(d, IKE_DIAG_IDENTITY, sa, NULL);
	snprintf(a, sizeof(a), "principal %s", want);
	snprintf(b, sizeof(b), "principal %s", got);
	diag_text_differs(d, "ID", a, b);
	mend_where(d, NULL);
	snprintf(d->mend, sizeof(d->mend), "remote-principal: \"%s\"", got);
	d->nat = false; /* which says nothing about principals */
	diagnosis_say(d);
}

void diag_certificate(struct ike_diagnosis *d, const struct isakmp_sa *sa, int rc, const char *why)
{
	diag_begin_sa(d,
		      rc == -ENOKEY        ? IKE_DIAG_CERT_UNKNOWN_CA
		      : rc == -EKEYEXPIRED ? IKE_DIAG_CERT_EXPIRED
		      : rc == -EKEYREVOKED ? IKE_DIAG_CERT_REVOKED
		      : rc == -EHOSTUNREACH || rc == 0 ? IKE_DIAG_OCSP
					   : IKE_DIAG_CERT_OTHER,
		      sa, NULL);
	snprintf(d->fact, sizeof(d->fact), "%s", why);
	d->degraded = rc == 0;
	switch (d->code) {
	case IKE_DIAG_CERT_UNKNOWN_CA:
		snprintf(d->where, sizeof(d->where), "at the top");
		snprintf(
			d->mend, sizeof(d->mend),
			"authorities: [FILE]  # add the certificate of the issuer to this list, if "
			"you trust it");
		snprintf(d->remedy, sizeof(d->remedy),
			 "a certificate of one of our authorities for the peer; it must send "
			 "intermediate authorities along");
		break;
	case IKE_DIAG_OCSP:
		if (!d->degraded) {
			snprintf(d->where, sizeof(d->where), "at the top");
			snprintf(d->mend, sizeof(d->mend),
				 "ocsp: if-available  # certificates are accepted while nobody answers");
		}
		snprintf(d->remedy, sizeof(d->remedy),
			 "see whether this machine reaches the responder by its own network, which "
			 "is not that of the gateway's ports");
		break;
	case IKE_DIAG_CERT_EXPIRED:
		snprintf(d->remedy, sizeof(d->remedy),
			 "the peer needs a new certificate (or this machine's clock is wrong)");
		break;
	case IKE_DIAG_CERT_REVOKED:
		snprintf(d->remedy, sizeof(d->remedy),
			 "the peer needs a new certificate; if it was revoked by mistake, a new "
			 "list "
			 "in revocation-lists and SIGHUP");
		break;
	default:
		snprintf(d->remedy, sizeof(d->remedy), "the peer needs another certificate or key");
	}
	diagnosis_say(d);
}

void diag_exchange(struct ike_diagnosis *d, const struct peer *peer, const struct ike_path *path,
		   uint8_t version, uint8_t exchange)
{
	diag_begin(d, IKE_DIAG_EXCHANGE, peer, NULL, path, false);
	set_exchange(d, version, exchange);
	diagnosis_say(d);
}

/* ------------------------------------------------------------------------- Quick Mode ------- */

static void selectors_text(const struct peer *peer, char *buf, size_t size)
{
	const struct child *c;
	char text[SELECTOR_STR_LEN];
	size_t n = 0;

	snprintf(buf, size, "none");
	TAILQ_FOREACH(c, &peer->children, link) {
		if (c->dead || n >= size)
			continue;
		n += (size_t)snprintf(buf + n, size - n, "%s%s (%s)", n ? ", " : "",
				      selector_str(&c->cfg.sel, text, sizeof(text)), c->cfg.name);
	}
}

static unsigned selector_distance(const struct selector *a, const struct selector *b)
{
	return (unsigned)!ip_range_equal(&a->local, &b->local) * 4 +
	       (unsigned)!ip_range_equal(&a->remote, &b->remote) * 4 + (a->proto != b->proto) +
	       (a->local_port != b->local_port) + (a->remote_port != b->remote_port);
}

/* The child that differs least; NULL when none shares a network. */
static const struct child *nearest_child(const struct peer *peer, const struct selector *asked)
{
	const struct child *c, *best = NULL;
	unsigned best_distance = 8;

	TAILQ_FOREACH(c, &peer->children, link) {
		unsigned distance = selector_distance(&c->cfg.sel, asked);
		if (c->dead || distance >= best_distance)
			continue;
		best = c;
		best_distance = distance;
	}
	return best;
}

static void port_differs(struct ike_diagnosis *d, const char *what, uint16_t ours, uint16_t theirs)
{
	struct ike_difference *e;

	if (ours == theirs)
		return;
	e = diag_differs(d, what);
	snprintf(e->ours, sizeof(e->ours), ours ? "%u" : "any", ours);
	snprintf(e->theirs, sizeof(e->theirs), theirs ? "%u" : "any", theirs);
}

/* First the selectors as a whole, then what differs of them. */
static void selectors_differ(struct ike_diagnosis *d, const struct selector *ours,
			     const struct selector *theirs)
{
	char a[SELECTOR_STR_LEN], b[SELECTOR_STR_LEN];

	diag_text_differs(d, "SELECTORS", ours ? selector_str(ours, a, sizeof(a)) : "none",
			  selector_str(theirs, b, sizeof(b)));
	if (!ours)
		return;
	if (!ip_range_equal(&ours->local, &theirs->local))
		diag_text_differs(d, "LOCAL", ip_range_str(&ours->local, a, sizeof(a)),
				  ip_range_str(&theirs->local, b, sizeof(b)));
	if (!ip_range_equal(&ours->remote, &theirs->remote))
		diag_text_differs(d, "REMOTE", ip_range_str(&ours->remote, a, sizeof(a)),
				  ip_range_str(&theirs->remote, b, sizeof(b)));
	port_differs(d, "PROTOCOL", ours->proto, theirs->proto);
	port_differs(d, "LOCAL-PORT", ours->local_port, theirs->local_port);
	port_differs(d, "REMOTE-PORT", ours->remote_port, theirs->remote_port);
}

void diag_selectors(struct ike_diagnosis *d, const struct isakmp_sa *sa,
		    const struct selector *asked)
{
	const struct child *child = nearest_child(sa->peer, asked);

	diag_begin_sa(d, IKE_DIAG_SELECTORS, sa, child);
	selectors_text(sa->peer, d->fact, 200);
	selectors_differ(d, child ? &child->cfg.sel : NULL, asked);
	if (child)
		mend_selectors(d, child, asked);
	else
		mend_new_child(d, sa->peer, asked);
	diagnosis_say(d);
}

void diag_narrowed(struct ike_diagnosis *d, const struct isakmp_sa *sa, const struct child *child,
		   const struct selector *answered)
{
	diag_begin_sa(d, IKE_DIAG_SELECTORS, sa, child);
	selectors_differ(d, &child->cfg.sel, answered);
	mend_selectors(d, child, answered);
	diagnosis_say(d);
}

void diag_quick_silent(struct ike_diagnosis *d, const struct isakmp_sa *sa,
		       const struct child *child, unsigned sent)
{
	diag_begin_sa(d, IKE_DIAG_SILENT, sa, child);
	d->message = 1;
	d->sent = sent;
	d->probable = true;
	snprintf(d->remedy, sizeof(d->remedy),
		 "the peer may have lost the Main Mode SA: the next try makes a new one; if that "
		 "does not help, see whether UDP port %u passes in both directions",
		 d->port);
	diagnosis_say(d);
}

/* ------------------------------------------------------------------- what is degraded ------- */

void diag_icv(struct ike_diagnosis *d, const struct pair *pair, uint64_t packets)
{
	enum integ_alg integ = pair->t.integ;
	bool sha256 = integ == INTEG_HMAC_SHA256_128 || integ == INTEG_HMAC_SHA256_96;
	char t[TRANSFORM_STR_LEN];

	diag_begin(d, sha256 ? IKE_DIAG_TRUNCATION : IKE_DIAG_INTEGRITY, pair->child->peer,
		   pair->child, &pair->path, pair->initiator);
	d->probable = true;
	d->degraded = true;
	snprintf(d->fact, sizeof(d->fact), "%llu of %llu, %s, SPI %08x",
		 (unsigned long long)packets, (unsigned long long)packets,
		 esp_transform_str(&pair->t, t, sizeof(t)), pair->ref.spi);
	if (sha256) {
		diag_text_differs(d, "ICV", integ == INTEG_HMAC_SHA256_128 ? "128" : "96",
				  integ == INTEG_HMAC_SHA256_128 ? "96" : "128");
		mend_truncation(d, pair);
	} else {
		snprintf(d->remedy, sizeof(d->remedy),
			 "record the packets at both ends and compare them; renew the SA pair");
	}
	diagnosis_say(d);
}

/* A tenth more or less is what the margins of some peers make of the same figure. */
static bool lives_differ(uint64_t a, uint64_t b)
{
	uint64_t more = a > b ? a : b, less = a > b ? b : a;

	return more && b && more - less > more / 10;
}

bool diag_lifetime(struct ike_diagnosis *d, const struct isakmp_sa *sa, const struct child *child,
		   uint32_t theirs_s, uint64_t theirs_kb)
{
	uint32_t s = child ? child->cfg.life_s : sa->peer->cfg.life_s;
	uint64_t kb = child ? child->cfg.life_kb : sa->peer->cfg.life_kb;
	struct ike_difference *e;

	if (!s)
		s = child ? 3600 : 14400;
	if (!lives_differ(s, theirs_s) && !lives_differ(kb, theirs_kb))
		return false;
	diag_begin_sa(d, IKE_DIAG_LIFETIME, sa, child);
	d->degraded = true;
	if (lives_differ(s, theirs_s)) {
		e = diag_differs(d, "SECONDS");
		snprintf(e->ours, sizeof(e->ours), "%u s", s);
		snprintf(e->theirs, sizeof(e->theirs), "%u s", theirs_s);
	}
	if (lives_differ(kb, theirs_kb)) {
		e = diag_differs(d, "KILOBYTES");
		snprintf(e->ours, sizeof(e->ours), kb ? "%llu KB" : "none", (unsigned long long)kb);
		snprintf(e->theirs, sizeof(e->theirs), "%llu KB", (unsigned long long)theirs_kb);
	}
	mend_lifetime(d, lives_differ(s, theirs_s) ? theirs_s : 0,
		      lives_differ(kb, theirs_kb) ? theirs_kb : 0);
	diagnosis_say(d);
	return true;
}
