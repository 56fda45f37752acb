/* The lines of configuration that would mend what a diagnosis found. */
#include <stdio.h>
#include <string.h>

#include "diagnose.h"

void mend_where(struct ike_diagnosis *d, const char *child)
{
	snprintf(d->where, sizeof(d->where), "peer %s%s%s", d->peer, child ? ", child " : "",
		 child ? child : "");
}

static void mend_add(struct ike_diagnosis *d, const char *text)
{
	size_t n = strlen(d->mend);

	snprintf(d->mend + n, sizeof(d->mend) - n, "%s", text);
}

/* ------------------------------------------------------------------------- proposals -------- */

static bool same_ike(const struct ike_transform *a, const struct ike_transform *b)
{
	return a->encr == b->encr && a->key_bits == b->key_bits && a->hash == b->hash &&
	       a->group == b->group;
}

/* "proposals: [ours .., extra]"; a list that is too long to repeat is only added to. */
static void put_ike_list(struct ike_diagnosis *d, const struct ike_peer_cfg *cfg, const char *extra)
{
	char t[TRANSFORM_STR_LEN];

	mend_add(d, "proposals: [");
	for (unsigned i = 0; i < cfg->n_ike && cfg->n_ike <= 6; i++) {
		mend_add(d, ike_transform_str(&cfg->ike[i], t, sizeof(t)));
		mend_add(d, ", ");
	}
	mend_add(d, extra);
	mend_add(d, cfg->n_ike <= 6 ? "]" : "]  # added to those that are there");
}

static void put_weak(struct ike_diagnosis *d, const char *weak)
{
	if (!weak)
		return;
	mend_add(d, "  # weak: ");
	mend_add(d, weak);
}

static const char *auth_word(uint16_t auth)
{
	switch (auth) {
	case AUTH_PSK:
		return "psk";
	case AUTH_RSA_SIG:
		return "rsa";
	case AUTH_ECDSA_256:
	case AUTH_ECDSA_384:
	case AUTH_ECDSA_521:
		return "ecdsa";
	default:
		return NULL;
	}
}

static void mend_ike(struct ike_diagnosis *d, const struct ike_peer_cfg *cfg,
		     const struct mismatch *m)
{
	uint16_t ours = cfg->auth ? cfg->auth : AUTH_PSK;
	bool have = false, auth = m->auth != ours;
	char t[TRANSFORM_STR_LEN], weak[WEAK_STR_LEN];

	mend_where(d, NULL);
	if (cfg->n_ike)
		snprintf(d->remedy, sizeof(d->remedy), "the peer could offer %s",
			 ike_transform_str(&cfg->ike[0], t, sizeof(t)));
	if (!m->known || (auth && !auth_word(m->auth)))
		return;
	for (unsigned i = 0; i < cfg->n_ike; i++)
		have |= same_ike(&cfg->ike[i], &m->ike);
	if (!have) {
		put_ike_list(d, cfg, ike_transform_str(&m->ike, t, sizeof(t)));
		put_weak(d, ike_transform_weak(&m->ike, weak, sizeof(weak)));
	}
	if (auth) {
		mend_add(d, have ? "auth: " : "\nauth: ");
		mend_add(d, auth_word(m->auth));
		mend_add(d,
			 m->auth == AUTH_PSK ? "  # with secret" : "  # with certificate and key");
	}
}

static void put_esp_list(struct ike_diagnosis *d, const struct esp_transform *t, unsigned n)
{
	char text[TRANSFORM_STR_LEN];

	mend_add(d, "proposals: [");
	for (unsigned i = 0; i < n && i < 6; i++) {
		mend_add(d, i ? ", " : "");
		mend_add(d, esp_transform_str(&t[i], text, sizeof(text)));
	}
	mend_add(d, "]");
}

/* Ours with another group. */
static void put_esp_group(struct ike_diagnosis *d, const struct ike_child_cfg *cfg, uint16_t group)
{
	struct esp_transform t[IKE_CFG_TRANSFORMS];

	for (unsigned i = 0; i < cfg->n_esp; i++) {
		t[i] = cfg->esp[i];
		t[i].group = group;
	}
	put_esp_list(d, t, cfg->n_esp);
	put_weak(d, group && group_info(group) ? group_info(group)->weak : NULL);
}

/* Ours and the peer's; a child's proposals have one group (RFC 2409 section 5.5). */
static void put_esp_theirs(struct ike_diagnosis *d, const struct ike_child_cfg *cfg,
			   const struct esp_transform *theirs)
{
	struct esp_transform t[IKE_CFG_TRANSFORMS + 1];
	char weak[WEAK_STR_LEN];
	unsigned n = 0;

	for (unsigned i = 0; i < cfg->n_esp && cfg->n_esp < 6; i++)
		if (cfg->esp[i].group == theirs->group)
			t[n++] = cfg->esp[i];
	t[n++] = *theirs;
	put_esp_list(d, t, n);
	put_weak(d, esp_transform_weak(theirs, weak, sizeof(weak)));
}

static bool is_udp(uint16_t encap)
{
	return encap == ENCAP_UDP_TUNNEL || encap == ENCAP_UDP_TRANSPORT;
}

static bool is_transport(uint16_t encap)
{
	return encap == ENCAP_TRANSPORT || encap == ENCAP_UDP_TRANSPORT;
}

static void mend_mode(struct ike_diagnosis *d, const struct peer *peer, const struct child *child,
		      const struct mismatch *m)
{
	bool transport = is_transport(m->encap), udp = is_udp(m->encap);

	if (transport != (child->cfg.mode == SA_TRANSPORT)) {
		mend_where(d, child->cfg.name);
		mend_add(d, transport ? "mode: transport" : "mode: tunnel");
		snprintf(d->remedy, sizeof(d->remedy), "the peer could ask for %s mode",
			 transport ? "tunnel" : "transport");
		return;
	}
	mend_where(d, NULL);
	if (udp)
		mend_add(d, "encapsulation: force");
	else if (peer->cfg.force_encap)
		mend_add(d, "encapsulation: auto");
	snprintf(d->remedy, sizeof(d->remedy), "NAT traversal must be %s at the peer",
		 udp ? "off or automatic" : "on");
}

static bool differs_in(const struct mismatch *m, const char *what)
{
	for (unsigned i = 0; i < m->n; i++)
		if (strcmp(m->diff[i].what, what) == 0)
			return true;
	return false;
}

static void mend_esp(struct ike_diagnosis *d, const struct peer *peer, const struct child *child,
		     const struct mismatch *m)
{
	const struct ike_child_cfg *cfg = &child->cfg;
	char t[TRANSFORM_STR_LEN];

	if (differs_in(m, "MODE")) {
		mend_mode(d, peer, child, m);
		if (m->n > 1)
			d->mend[0] = '\0'; /* that alone would not do */
		return;
	}
	mend_where(d, cfg->name);
	if (cfg->n_esp)
		snprintf(d->remedy, sizeof(d->remedy), "the peer could offer %s",
			 esp_transform_str(&cfg->esp[0], t, sizeof(t)));
	if (!m->known)
		return;
	if (m->n == 1 && differs_in(m, "GROUP"))
		put_esp_group(d, cfg, m->esp.group);
	else
		put_esp_theirs(d, cfg, &m->esp);
}

void mend_transform(struct ike_diagnosis *d, const struct peer *peer, const struct child *child,
		    const struct mismatch *m)
{
	if (child)
		mend_esp(d, peer, child, m);
	else
		mend_ike(d, &peer->cfg, m);
}

/* The peer said only that it takes none of ours. What we can offer in one go without anything weak:
 * in phase 2 there is one group for all, so with or without one is a line of its own. */
void mend_refused(struct ike_diagnosis *d, const struct isakmp_sa *sa, const struct child *child)
{
	uint16_t group = child && child->cfg.n_esp ? child->cfg.esp[0].group : 0;
	char text[160];

	mend_where(d, child ? child->cfg.name : NULL);
	snprintf(d->remedy, sizeof(d->remedy),
		 "the peer's log says what it wants; or let it begin, then we see its offer");
	d->probable = true;
	if (!child) {
		put_ike_list(d, &sa->peer->cfg,
			     "aes256-aes128-sha256-sha1-ecp256-modp2048-modp3072");
		mend_add(d, "  # offer more");
		return;
	}
	put_esp_group(d, &child->cfg, group ? 0 : sa->t.group);
	mend_add(d, group ? "  # if it wants no PFS" : "  # if it wants PFS");
	snprintf(text, sizeof(text),
		 "\nproposals: [aes256gcm16-aes128gcm16%s%s, aes256-aes128-sha256-sha1%s%s]"
		 "  # if it wants other algorithms",
		 group ? "-" : "", group ? group_info(group)->name : "", group ? "-" : "",
		 group ? group_info(group)->name : "");
	mend_add(d, text);
}

void mend_truncation(struct ike_diagnosis *d, const struct pair *pair)
{
	const struct ike_child_cfg *cfg = &pair->child->cfg;
	struct esp_transform t[IKE_CFG_TRANSFORMS];

	for (unsigned i = 0; i < cfg->n_esp; i++) {
		t[i] = cfg->esp[i];
		if (t[i].integ == INTEG_HMAC_SHA256_128)
			t[i].integ = INTEG_HMAC_SHA256_96;
		else if (t[i].integ == INTEG_HMAC_SHA256_96)
			t[i].integ = INTEG_HMAC_SHA256_128;
	}
	mend_where(d, cfg->name);
	put_esp_list(d, t, cfg->n_esp);
	snprintf(d->remedy, sizeof(d->remedy), "the peer should cut HMAC-SHA-256 at %s bits%s",
		 d->diff[0].ours, strcmp(d->diff[0].ours, "128") == 0 ? " (RFC 4868)" : "");
}

/* ------------------------------------------------------------------------- selectors -------- */

static void put_range(struct ike_diagnosis *d, const char *key, const struct ip_range *r)
{
	char range[RANGE_STR_LEN], text[RANGE_STR_LEN + 32];

	snprintf(text, sizeof(text), "%s%s: [%s]", d->mend[0] ? "\n" : "", key,
		 ip_range_str(r, range, sizeof(range)));
	mend_add(d, text);
}

static void put_number(struct ike_diagnosis *d, const char *key, unsigned value)
{
	char text[48];

	snprintf(text, sizeof(text), "%s%s: %u", d->mend[0] ? "\n" : "", key, value);
	mend_add(d, text);
}

void mend_selectors(struct ike_diagnosis *d, const struct child *child,
		    const struct selector *asked)
{
	const struct selector *ours = &child->cfg.sel;

	mend_where(d, child->cfg.name);
	if (!ip_range_equal(&ours->local, &asked->local))
		put_range(d, "local", &asked->local);
	if (!ip_range_equal(&ours->remote, &asked->remote))
		put_range(d, "remote", &asked->remote);
	if (ours->proto != asked->proto)
		put_number(d, "protocol", asked->proto);
	if (ours->local_port != asked->local_port)
		put_number(d, "local-port", asked->local_port);
	if (ours->remote_port != asked->remote_port)
		put_number(d, "remote-port", asked->remote_port);
	snprintf(d->remedy, sizeof(d->remedy),
		 "the peer could ask for our networks, seen from there the other way round");
}

void mend_new_child(struct ike_diagnosis *d, const struct peer *peer, const struct selector *asked)
{
	const struct child *like = TAILQ_FIRST(&peer->children);
	char local[RANGE_STR_LEN], remote[RANGE_STR_LEN], text[320], t[TRANSFORM_STR_LEN];

	snprintf(d->where, sizeof(d->where), "peer %s, children", d->peer);
	snprintf(text, sizeof(text),
		 "- name: new\n  local: [%s]\n  remote: [%s]\n  proposals: [%s]",
		 ip_range_str(&asked->local, local, sizeof(local)),
		 ip_range_str(&asked->remote, remote, sizeof(remote)),
		 like && like->cfg.n_esp ? esp_transform_str(&like->cfg.esp[0], t, sizeof(t))
					 : "aes256gcm16");
	mend_add(d, text);
	if (asked->proto)
		put_number(d, "  protocol", asked->proto);
	if (asked->local_port)
		put_number(d, "  local-port", asked->local_port);
	if (asked->remote_port)
		put_number(d, "  remote-port", asked->remote_port);
	snprintf(d->remedy, sizeof(d->remedy),
		 "the peer could ask for our networks, seen from there the other way round");
}

/* ------------------------------------------------------------------------- the rest --------- */

void mend_identity(struct ike_diagnosis *d, const struct ike_id *want, const struct ike_id *got)
{
	struct ike_id again;
	char text[400];

	ike_id_str(want, text, sizeof(text));
	snprintf(d->remedy, sizeof(d->remedy), "the peer could say that it is %.200s", text);
	ike_id_str(got, text, sizeof(text));
	if (strchr(text, '"') || strchr(text, '\\') || ike_id_from_text(text, &again) != 0 ||
	    !ike_id_equal(&again, got))
		return; /* no text says exactly that */
	mend_where(d, NULL);
	snprintf(d->mend, sizeof(d->mend), "remote-id: \"%s\"", text);
}

static void put_duration(char *buf, size_t size, uint32_t s)
{
	if (s % 3600 == 0)
		snprintf(buf, size, "lifetime: %uh", s / 3600);
	else if (s % 60 == 0)
		snprintf(buf, size, "lifetime: %um", s / 60);
	else
		snprintf(buf, size, "lifetime: %us", s);
}

void mend_lifetime(struct ike_diagnosis *d, uint32_t theirs_s, uint64_t theirs_kb)
{
	char text[64];

	mend_where(d, d->child[0] ? d->child : NULL);
	if (theirs_s) {
		put_duration(text, sizeof(text), theirs_s);
		mend_add(d, text);
	}
	if (theirs_kb) {
		snprintf(text, sizeof(text), "%slifetime-bytes: %lluK", theirs_s ? "\n" : "",
			 (unsigned long long)theirs_kb);
		mend_add(d, text);
	}
	snprintf(d->remedy, sizeof(d->remedy), "the peer could take our lifetime");
}
