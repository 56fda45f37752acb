/* Diagnoses of Main Mode and Aggressive Mode. */
#include "diagnose.h"

#include <errno.h>
#include <stdio.h>

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

/* The peer did not like who we say we are, or how we prove it: Main Mode message 5 or 6, or Aggressive Mode's
 * second. In its first only the identity can be wrong. */
static void diag_not_believed(struct ike_diagnosis *d, const struct isakmp_sa *sa)
{
	struct ike_id id = peer_local_id(sa->peer, &sa->path);
	char text[160], both[200];

	d->probable = !d->hint.proved || d->hint.deleted;
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
	else if (message >= 5 || rejects_us(sa, message))
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
