/* Certificates: whom we trust, and what we prove ourselves with. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "config_check.h"
#include "ocsp_http.h"
#include "secret.h"

static struct where at_top(const char *key)
{
	return where_key(where_at("%s", ""), key);
}

/* Whether certificates have been revoked is asked where they are used. */
static void check_ocsp(struct check *c)
{
	static const char *const words[] = { "off", "if-available", "require" };
	const struct raw_config *raw = c->raw;
	struct ocsp_cfg ocsp = { .fetch = ocsp_http_fetch };
	uint64_t timeout = 5000;
	unsigned policy = OCSP_OFF;

	check_word(c, at_top("ocsp"), raw->ocsp, words, 3, &policy);
	check_duration(c, at_top("ocsp-timeout"), raw->ocsp_timeout, 1000, 20000, &timeout);
	if (raw->ocsp_responder && !ocsp_http_url_ok(raw->ocsp_responder))
		check_error(c, at_top("ocsp-responder"),
			    "'%s' is not a URL of a responder: http://HOST[:PORT]/PATH",
			    raw->ocsp_responder);
	else if (raw->ocsp_responder)
		check_text(c, at_top("ocsp-responder"), raw->ocsp_responder, ocsp.url,
			   sizeof(ocsp.url));
	if (policy == OCSP_OFF && (raw->ocsp_responder || raw->ocsp_timeout))
		check_error(c, at_top(raw->ocsp_responder ? "ocsp-responder" : "ocsp-timeout"),
			    "nobody is asked unless 'ocsp' is 'if-available' or 'require'");
	if (policy == OCSP_OFF)
		return;
	if (!c->cfg->trust) {
		check_error(c, at_top("ocsp"), "OCSP is of no use without 'authorities'");
		return;
	}
	ocsp.policy = (enum ocsp_policy)policy;
	ocsp.timeout_s = (unsigned)((timeout + 999) / 1000);
	if (cert_store_set_ocsp(c->cfg->trust, &ocsp) != 0)
		check_error(c, at_top("ocsp"), "out of memory");
}

void check_trust(struct check *c)
{
	const struct raw_config *raw = c->raw;
	char path[2 * CONFIG_PATH_MAX], why[CERT_WHY_LEN];
	bool required = false;

	check_bool(c, at_top("require-crl"), raw->require_crl, &required);
	if (raw->authorities_count == 0) {
		if (raw->revocation_lists_count)
			check_error(c, where_at("revocation-lists"),
				    "revocation lists are of no use without 'authorities'");
		check_ocsp(c);
		return;
	}
	c->cfg->trust = cert_store_new(required ? CRL_REQUIRED : CRL_IF_PRESENT);
	if (!c->cfg->trust) {
		check_error(c, where_at("authorities"), "out of memory");
		return;
	}
	for (unsigned i = 0; i < raw->authorities_count; i++) {
		struct where w = where_at("authorities[%u]", i);
		if (check_path(c, w, raw->authorities[i], path, sizeof(path)) &&
		    cert_store_add_ca(c->cfg->trust, path, why, sizeof(why)) != 0)
			check_error(c, w, "%s", why);
	}
	for (unsigned i = 0; i < raw->revocation_lists_count; i++) {
		struct where w = where_at("revocation-lists[%u]", i);
		if (check_path(c, w, raw->revocation_lists[i], path, sizeof(path)) &&
		    cert_store_add_crl(c->cfg->trust, path, why, sizeof(why)) != 0)
			check_error(c, w, "%s", why);
	}
	check_ocsp(c);
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

/* Many peers see the same certificate: it is loaded once for those in a row. */
static struct cert_own *own_again(const struct check *c, const struct raw_peer *raw)
{
	const struct raw_peer *was = c->own_of;

	if (!was || !same_text(was->certificate, raw->certificate) ||
	    !same_text(was->key, raw->key) ||
	    !same_text(was->passphrase_file, raw->passphrase_file))
		return NULL;
	return cert_own_ref(c->own);
}

static struct cert_own *own_load(struct check *c, struct where w, const struct raw_peer *raw)
{
	char cert[2 * CONFIG_PATH_MAX], key[2 * CONFIG_PATH_MAX], pass[2 * CONFIG_PATH_MAX];
	char why[CERT_WHY_LEN] = "", *passphrase = NULL;
	struct cert_own *own = own_again(c, raw);

	if (own ||
	    !check_path(c, where_key(w, "certificate"), raw->certificate, cert, sizeof(cert)) ||
	    !check_path(c, where_key(w, "key"), raw->key, key, sizeof(key)))
		return own;
	if (raw->passphrase_file) {
		struct where at = where_key(w, "passphrase-file");
		if (!check_path(c, at, raw->passphrase_file, pass, sizeof(pass)))
			return NULL;
		passphrase = check_passphrase(c, at, pass);
		if (!passphrase)
			return NULL;
	}
	if (cert_own_load(cert, key, passphrase, &own, why, sizeof(why)) != 0) {
		own = NULL;
		check_error(
			c,
			where_key(w, strncmp(why, cert, strlen(cert)) == 0 ? "certificate" : "key"),
			"%s", why);
	}
	secret_free(passphrase, PASSPHRASE_CAP);
	c->own_of = own ? raw : NULL;
	c->own = own;
	return own;
}

static void check_dates(struct check *c, struct where w, const struct cert_own *own)
{
	int64_t from, to;
	time_t now = time(NULL);
	char date[32];
	struct tm tm;

	cert_own_validity(own, &from, &to);
	time_t t = (time_t)(now < from ? from : to);
	strftime(date, sizeof(date), "%F %T UTC", gmtime_r(&t, &tm));
	if (now < from)
		check_warn(c, w, "our certificate is not valid before %s: no peer will accept it",
			   date);
	else if (now > to)
		check_warn(c, w, "our certificate expired at %s: no peer will accept it", date);
	else if (to - now < 14 * 86400)
		check_warn(c, w, "our certificate expires at %s", date);
}

/* Without a local-id, the address if the certificate says it, or else its subject. */
static void check_own_id(struct check *c, struct where w, const char *text,
			 const struct cert_own *own, struct ike_peer_cfg *peer)
{
	struct ike_id subject = { 0 }, addr = ike_id_from_addr(&peer->local);
	bool have = cert_own_subject(own, &subject) == 0;
	char id[300];

	if (!text && !cert_own_has_id(own, &addr)) {
		if (have)
			peer->local_id = subject;
		else
			check_error(c, where_key(w, "certificate"),
				    "the certificate's subject is too long for an identity: "
				    "'local-id' is needed");
		return;
	}
	if (!text || !peer->local_id.type)
		return;
	/* byte for byte as the certificate has it, whatever the types of its strings */
	if (have && ike_id_equal(&peer->local_id, &subject))
		peer->local_id = subject;
	if (!cert_own_has_id(own, &peer->local_id))
		check_warn(c, where_key(w, "local-id"),
			   "our certificate does not say '%s': peers that check it will refuse us",
			   ike_id_str(&peer->local_id, id, sizeof(id)));
}

/* Whom a peer's certificate must come from; false after a report. */
static bool check_trusts(struct check *c, struct where w, const char *auth,
			 struct ike_peer_cfg *peer)
{
	if (c->raw->authorities_count == 0) {
		check_error(c, where_key(w, "auth"),
			    "'auth: %s' needs 'authorities': without them no peer's certificate is "
			    "trusted",
			    auth);
		return false;
	}
	peer->trust = cert_store_ref(c->cfg->trust);
	return true;
}

/* The side that asks for users has a certificate, the other trusts somebody who made it. */
void check_hybrid(struct check *c, struct where w, const struct raw_peer *raw,
		  struct ike_peer_cfg *peer)
{
	bool server = raw->xauth && strcmp(raw->xauth, "server") == 0;

	peer->auth = AUTH_HYBRID_INIT_RSA;
	if (!server && (!raw->xauth || strcmp(raw->xauth, "client") != 0)) {
		check_error(c, where_key(w, "auth"),
			    "'auth: hybrid' proves one side by a user: it needs 'xauth: server' or "
			    "'xauth: client'");
	} else if (!server) {
		if (raw->certificate || raw->key)
			check_error(c, where_key(w, raw->certificate ? "certificate" : "key"),
				    "the client of 'auth: hybrid' has no certificate");
		check_trusts(c, w, "hybrid", peer);
	} else if (!raw->certificate || !raw->key) {
		check_error(c, where_key(w, "auth"), "'auth: hybrid' needs '%s'",
			    raw->certificate ? "key" : "certificate");
	} else if ((peer->own = own_load(c, w, raw))) {
		if (cert_own_auth(peer->own) != AUTH_RSA_SIG)
			check_error(c, where_key(w, "key"), "'auth: hybrid' needs an RSA key");
		check_dates(c, where_key(w, "certificate"), peer->own);
		check_own_id(c, w, raw->local_id, peer->own, peer);
	}
}

void check_certificate(struct check *c, struct where w, const struct raw_peer *raw, bool rsa,
		       struct ike_peer_cfg *peer)
{
	if (!raw->certificate || !raw->key) {
		check_error(c, where_key(w, "auth"), "'auth: %s' needs '%s'", rsa ? "rsa" : "ecdsa",
			    raw->certificate ? "key" : "certificate");
		return;
	}
	if (!check_trusts(c, w, rsa ? "rsa" : "ecdsa", peer))
		return;
	peer->own = own_load(c, w, raw);
	if (!peer->own)
		return;
	peer->auth = cert_own_auth(peer->own);
	if (rsa != (peer->auth == AUTH_RSA_SIG))
		check_error(c, where_key(w, "auth"), "the key is an %s key: it needs 'auth: %s'",
			    rsa ? "ECDSA" : "RSA", rsa ? "ecdsa" : "rsa");
	check_dates(c, where_key(w, "certificate"), peer->own);
	check_own_id(c, w, raw->local_id, peer->own, peer);
}
