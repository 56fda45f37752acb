/* Diagnoses as sentences: the one place where they are made. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "diagnose.h"

static const char *const code_names[IKE_DIAG_COUNT] = {
	[IKE_DIAG_OTHER] = "other",
	[IKE_DIAG_PHASE1_TRANSFORM] = "phase1-transform",
	[IKE_DIAG_PHASE2_TRANSFORM] = "phase2-transform",
	[IKE_DIAG_PFS] = "pfs",
	[IKE_DIAG_MODE] = "mode",
	[IKE_DIAG_PHASE1_REFUSED] = "phase1-refused",
	[IKE_DIAG_PHASE2_REFUSED] = "phase2-refused",
	[IKE_DIAG_PSK] = "pre-shared-key",
	[IKE_DIAG_IDENTITY] = "identity",
	[IKE_DIAG_OUR_IDENTITY] = "our-identity",
	[IKE_DIAG_CERT_UNKNOWN_CA] = "unknown-ca",
	[IKE_DIAG_CERT_EXPIRED] = "certificate-expired",
	[IKE_DIAG_CERT_REVOKED] = "certificate-revoked",
	[IKE_DIAG_OCSP] = "ocsp-silent",
	[IKE_DIAG_CERT_OTHER] = "certificate",
	[IKE_DIAG_SELECTORS] = "selectors",
	[IKE_DIAG_SILENT] = "silent",
	[IKE_DIAG_NATT_BLOCKED] = "nat-t-blocked",
	[IKE_DIAG_USER] = "user",
	[IKE_DIAG_EXCHANGE] = "exchange-type",
	[IKE_DIAG_TRUNCATION] = "sha256-truncation",
	[IKE_DIAG_INTEGRITY] = "integrity",
	[IKE_DIAG_LIFETIME] = "lifetime",
};

const char *diagnosis_code_name(enum ike_diag code)
{
	return code < IKE_DIAG_COUNT ? code_names[code] : "other";
}

/* A text that grows at its end and is cut at its limit. */
struct sentence {
	char *p;
	size_t size, len;
};

__attribute__((format(printf, 2, 3))) static void say(struct sentence *s, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (s->len + 1 >= s->size)
		return;
	va_start(ap, fmt);
	n = vsnprintf(s->p + s->len, s->size - s->len, fmt, ap);
	va_end(ap);
	if (n > 0)
		s->len += (size_t)n < s->size - s->len ? (size_t)n : s->size - s->len - 1;
}

static void say_differences(struct sentence *s, const struct ike_difference *d, unsigned n)
{
	if (n == 1 && strcmp(d[0].what, "MODE") == 0) {
		/* the path decides that, not a preference */
		say(s, "only MODE differs: peer asks %s, path needs %s", d[0].theirs, d[0].ours);
		return;
	}
	if (n == 1)
		say(s, "only ");
	for (unsigned i = 0; i < n; i++)
		say(s, "%s%s", i ? ", " : "", d[i].what);
	say(s, n == 1 ? " differs: peer " : " differ: peer ");
	for (unsigned i = 0; i < n; i++)
		say(s, "%s%s", i ? ", " : "", d[i].theirs);
	say(s, ", ours ");
	for (unsigned i = 0; i < n; i++)
		say(s, "%s%s", i ? ", " : "", d[i].ours);
}

static void say_mismatch(struct sentence *s, unsigned offer, unsigned transform,
			 const struct ike_difference *d, unsigned n, const char *reason, bool cut)
{
	if (offer)
		say(s, "offer %u, transform %u: ", offer, transform);
	if (n == 0)
		say(s, "%s", reason);
	else
		say_differences(s, d, n);
	if (cut)
		say(s, "; the offer is longer than what is looked at");
}

const char *mismatch_str(const struct mismatch *m, char *buf, size_t size)
{
	struct sentence s = { .p = buf, .size = size };

	buf[0] = '\0';
	say_mismatch(&s, m->offer, m->transform, m->diff, m->n, m->reason, m->cut);
	return buf;
}

static void say_hint(struct sentence *s, const struct ike_hint *h)
{
	if (h->unreadable)
		say(s, "it sent an encrypted notify that we cannot read");
	else if (h->deleted)
		say(s, "it deletes the SA");
	else if (h->proved)
		say(s, "it says %s", notify_name(h->notify));
	else
		say(s, "it says, unauthenticated, %s", notify_name(h->notify));
}

static bool has_hint(const struct ike_hint *h)
{
	return h->unreadable || h->notify || h->deleted;
}

static void say_hint_last(struct sentence *s, const struct ike_hint *h)
{
	if (!has_hint(h))
		return;
	say(s, "; ");
	say_hint(s, h);
}

static const char *mode(const struct ike_diagnosis *d)
{
	return exchange_name(d->phase1);
}

/* What came of our message: the start of sentences about a phase 1 that stops. */
static void say_stop(struct sentence *s, const struct ike_diagnosis *d)
{
	if (d->sent)
		say(s, "%s (%s) does not answer %s message %u on UDP port %u", d->peer, d->remote,
		    mode(d), d->message, d->port);
	else if (d->message > 1)
		say(s, "%s with %s does not go on after message %u: ", mode(d), d->peer,
		    d->message);
	else
		say(s, "%s with %s does not go on: ", mode(d), d->peer);
	if (!d->sent)
		say_hint(s, &d->hint);
}

static void say_psk(struct sentence *s, const struct ike_diagnosis *d)
{
	if (!d->sent && !has_hint(&d->hint))
		say(s, "%s message %u does not verify: ", mode(d), d->message);
	else {
		say_stop(s, d);
		say(s, d->sent ? ": " : "; ");
	}
	say(s, "probable pre-shared key mismatch with %s (secret %s)", d->peer, d->secret);
	if (d->sent)
		say_hint_last(s, &d->hint);
}

static void say_our_identity(struct sentence *s, const struct ike_diagnosis *d)
{
	say_stop(s, d);
	if (d->sent)
		say(s,
		    ": it does not accept our %s, or the fragments of a long message get lost on "
		    "the way",
		    d->fact);
	else
		say(s, "; it may not accept our %s", d->fact);
	if (d->sent)
		say_hint_last(s, &d->hint);
}

static void say_identity(struct sentence *s, const struct ike_diagnosis *d)
{
	say(s, "the identity of %s differs: expected %s, received %s", d->peer, d->diff[0].ours,
	    d->diff[0].theirs);
	if (d->nat)
		say(s, " (it is behind a NAT: its own address is not the one that we see)");
}

static void say_selectors(struct sentence *s, const struct ike_diagnosis *d)
{
	if (d->initiator && d->hint.notify)
		say(s, "%s refuses Quick Mode for %s: %s; we offered %s", d->peer, d->child,
		    notify_name(d->hint.notify), d->fact);
	else if (d->initiator)
		say(s, "%s answered with other selectors than the ones offered for %s", d->peer,
		    d->child);
	else
		say(s,
		    "selectors of %s match no child: it asks for (seen from here) %s; we have %s",
		    d->peer, d->diff[0].theirs, d->fact);
}

static void say_silent(struct sentence *s, const struct ike_diagnosis *d)
{
	if (!d->sent)
		say(s, "%s stopped in the middle: %s message %u never came", d->peer, mode(d),
		    d->message);
	else if (d->child[0])
		say(s, "%s does not answer Quick Mode for %s on UDP port %u", d->peer, d->child,
		    d->port);
	else
		say(s,
		    "%s (%s) is silent on UDP port %u: no answer to %s message %u sent %u times",
		    d->peer, d->remote, d->port, mode(d), d->message, d->sent);
	say_hint_last(s, &d->hint);
}

static void say_natt_blocked(struct sentence *s, const struct ike_diagnosis *d)
{
	if (d->initiator)
		say(s,
		    "%s (%s) answers on UDP port 500 and is silent on 4500: no answer to Main Mode "
		    "message %u sent %u times; probably something on the way drops UDP port 4500",
		    d->peer, d->remote, d->message, d->sent);
	else
		say(s,
		    "%s stopped in the middle: Main Mode message %u, which comes to UDP port 4500 "
		    "because of a NAT, never came; probably something on the way drops UDP port "
		    "4500",
		    d->peer, d->message);
}

static void say_icv(struct sentence *s, const struct ike_diagnosis *d)
{
	say(s, "every packet of %s for %s fails its integrity check (%s)", d->peer, d->child,
	    d->fact);
	if (d->code == IKE_DIAG_TRUNCATION)
		say(s, ": probably it truncates HMAC-SHA-256 at %s bits, ours has %s",
		    d->diff[0].theirs, d->diff[0].ours);
	else
		say(s, ": something on the way changes packets, or the peer does not use the keys "
		       "agreed on");
}

static void say_lifetime(struct sentence *s, const struct ike_diagnosis *d)
{
	say(s, "%s and we want different lifetimes for %s: ours ", d->peer,
	    d->child[0] ? d->child : "Main Mode SAs");
	for (unsigned i = 0; i < d->n_diff; i++)
		say(s, "%s%s", i ? ", " : "", d->diff[i].ours);
	say(s, ", peer ");
	for (unsigned i = 0; i < d->n_diff; i++)
		say(s, "%s%s", i ? ", " : "", d->diff[i].theirs);
	say(s, "; the shorter holds");
}

static void say_exchange(struct sentence *s, const struct ike_diagnosis *d)
{
	if (d->initiator)
		say(s, "%s does not speak %s: it answers with %s", d->peer, d->diff[0].ours,
		    d->diff[0].theirs);
	else
		say(s, "%s begins %s, we have %s", d->peer, d->diff[0].theirs, d->diff[0].ours);
}

void diagnosis_say(struct ike_diagnosis *d)
{
	struct sentence s = { .p = d->text, .size = sizeof(d->text) };

	d->text[0] = '\0';
	switch (d->code) {
	case IKE_DIAG_PHASE1_TRANSFORM:
		say(&s, "no phase 1 proposal of %s is acceptable: ", d->peer);
		say_mismatch(&s, d->offer, d->transform, d->diff, d->n_diff, d->fact, d->cut);
		break;
	case IKE_DIAG_PHASE2_TRANSFORM:
	case IKE_DIAG_PFS:
	case IKE_DIAG_MODE:
		say(&s, "no phase 2 proposal of %s is acceptable for %s: ", d->peer, d->child);
		say_mismatch(&s, d->offer, d->transform, d->diff, d->n_diff, d->fact, d->cut);
		break;
	case IKE_DIAG_PHASE1_REFUSED:
		say_stop(&s, d);
		if (d->sent)
			say_hint_last(&s, &d->hint);
		say(&s, "; we offered %s", d->fact);
		break;
	case IKE_DIAG_PHASE2_REFUSED:
		say(&s, "%s refuses Quick Mode for %s: %s; we offered %s", d->peer, d->child,
		    notify_name(d->hint.notify), d->fact);
		break;
	case IKE_DIAG_PSK:
		say_psk(&s, d);
		break;
	case IKE_DIAG_IDENTITY:
		say_identity(&s, d);
		break;
	case IKE_DIAG_OUR_IDENTITY:
		say_our_identity(&s, d);
		break;
	case IKE_DIAG_CERT_UNKNOWN_CA:
	case IKE_DIAG_CERT_EXPIRED:
	case IKE_DIAG_CERT_REVOKED:
	case IKE_DIAG_CERT_OTHER:
		say(&s, "%s is not authenticated: %.340s", d->peer, d->fact);
		break;
	case IKE_DIAG_OCSP:
		say(&s, "%s is %sauthenticated: %.340s", d->peer, d->degraded ? "" : "not ",
		    d->fact);
		break;
	case IKE_DIAG_SELECTORS:
		say_selectors(&s, d);
		break;
	case IKE_DIAG_SILENT:
		say_silent(&s, d);
		break;
	case IKE_DIAG_NATT_BLOCKED:
		say_natt_blocked(&s, d);
		break;
	case IKE_DIAG_EXCHANGE:
		say_exchange(&s, d);
		break;
	case IKE_DIAG_TRUNCATION:
	case IKE_DIAG_INTEGRITY:
		say_icv(&s, d);
		break;
	case IKE_DIAG_LIFETIME:
		say_lifetime(&s, d);
		break;
	case IKE_DIAG_USER:
	case IKE_DIAG_OTHER:
	case IKE_DIAG_COUNT:
		say(&s, "%s", d->fact);
	}
}
