/* Diagnoses from what the exchanges know: how each begins, and those of both phases. */
#include "diagnose.h"

#include <stdio.h>
#include <string.h>

void diag_begin(struct ike_diagnosis *d, enum ike_diag code, const struct peer *peer,
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

void diag_begin_sa(struct ike_diagnosis *d, enum ike_diag code, const struct isakmp_sa *sa,
		   const struct child *child)
{
	diag_begin(d, code, sa->peer, child, &sa->path, sa->initiator);
	d->nat = sa->nat_local || sa->nat_remote;
	d->phase1 = sa->phase1;
}

struct ike_difference *diag_differs(struct ike_diagnosis *d, const char *what)
{
	struct ike_difference *e = &d->diff[d->n_diff];

	d->n_diff++;
	snprintf(e->what, sizeof(e->what), "%s", what);
	return e;
}

void diag_text_differs(struct ike_diagnosis *d, const char *what, const char *ours,
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
