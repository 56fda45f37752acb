/* Certificates in the configuration: what a good one becomes, and every mistake with its line. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cert.h"
#include "config_file.h"
#include "pki.h"

#define DAY 86400

struct lab {
	EVP_PKEY *ca_key, *key, *other;
	X509 *ca;
	char ca_file[128], cert_file[128], key_file[128];
	time_t now;
};

static void issue(struct lab *l, const char *san, int64_t from, int64_t to)
{
	X509 *cert = pki_cert(&(struct pki_cert){ .cn = "gwa",
						  .issuer = l->ca,
						  .issuer_key = l->ca_key,
						  .key = l->key,
						  .san = san,
						  .from = l->now + from,
						  .to = l->now + to });

	strcpy(l->cert_file, pki_write_cert("gwa.pem", &cert, 1, false));
	X509_free(cert);
}

static struct lab lab_new(const char *kind)
{
	struct lab l = { .ca_key = pki_key("EC:P-256"),
			 .key = pki_key(kind),
			 .other = pki_key(kind),
			 .now = time(NULL) };

	l.ca = pki_cert(&(struct pki_cert){ .cn = "Test CA", .key = l.ca_key, .ca = true });
	strcpy(l.ca_file, pki_write_cert("ca.pem", &l.ca, 1, false));
	strcpy(l.key_file, pki_write_key("gwa.key", l.key, NULL, 0600));
	issue(&l, "DNS:gwa", -DAY, 100 * DAY);
	return l;
}

static void lab_end(struct lab *l)
{
	X509_free(l->ca);
	EVP_PKEY_free(l->ca_key);
	EVP_PKEY_free(l->key);
	EVP_PKEY_free(l->other);
	pki_clean();
}

/* The good file with that peer: `peer` stands for "secret: a" in line 33, `top` before "policies"
 * in line 23. */
static char *with(const char *peer, const char *top)
{
	char *half = good_with("    secret: a\n", peer), *all = NULL;
	const char *at = strstr(half, "policies:\n");

	cr_assert_geq(asprintf(&all, "%.*s%s%s", (int)(at - half), half, top, at), 0);
	free(half);
	return all;
}

static char *with_cert(const struct lab *l, const char *auth, const char *more)
{
	char peer[1024], top[512];

	snprintf(peer, sizeof(peer), "    auth: %s\n    certificate: %s\n    key: %s\n%s", auth,
		 l->cert_file, l->key_file, more);
	snprintf(top, sizeof(top), "authorities: [%s]\n", l->ca_file);
	return with(peer, top);
}

/* Loads a text (freed) that must be good, except for a warning about the unused secret and, with
 * words, that one. */
static struct config *good(char *text, const char *words)
{
	struct config_report r = { 0 };
	struct config *cfg = NULL;
	bool found = !words;
	int rc = load(text, NULL, &cfg, &r);

	cr_assert_eq(rc, 0, "%s", r.n ? r.notes[r.n - 1].text : "");
	cr_expect_eq(r.warnings, words ? 2 : 1);
	for (size_t i = 0; i < r.n; i++)
		found |= words && strstr(r.notes[i].text, words);
	cr_expect(found, "no word of: %s", words);
	config_report_free(&r);
	free(text);
	return cfg;
}

static void bad(char *text, unsigned line, const char *words)
{
	struct config_report r = { 0 };
	struct config *cfg = NULL;
	bool found = false;

	cr_expect_eq(load(text, NULL, &cfg, &r), -EINVAL, "accepted, expected: %s", words);
	for (size_t i = 0; i < r.n; i++)
		found |= r.notes[i].line == line && !r.notes[i].warning &&
			 strstr(r.notes[i].text, words);
	for (size_t i = 0; i < r.n && !found; i++)
		cr_log_error("%u: %s", r.notes[i].line, r.notes[i].text);
	cr_expect(found, "expected line %u: %s", line, words);
	config_free(cfg);
	config_report_free(&r);
	free(text);
}

TestSuite(config_cert, .init = files_setup, .fini = files_teardown);

Test(config_cert, rsa)
{
	struct lab l = lab_new("RSA:2048");
	struct config *cfg = good(with_cert(&l, "rsa", ""), NULL);

	cr_expect_eq(cfg->peers[0].auth, AUTH_RSA_SIG);
	cr_expect_not_null(cfg->peers[0].own);
	cr_expect_eq(cfg->peers[0].trust, cfg->trust);
	cr_expect_eq(cert_store_count(cfg->trust), 1);
	cr_expect_null(cfg->peers[0].psk);
	config_free(cfg);
	lab_end(&l);
}

Test(config_cert, ecdsa_with_a_passphrase)
{
	struct lab l = lab_new("EC:P-384");
	char more[256];

	strcpy(l.key_file, pki_write_key("gwa.key", l.key, "open sesame", 0600));
	snprintf(more, sizeof(more), "    passphrase-file: %s\n",
		 pki_write_text("gwa.pass", "open sesame\n"));
	struct config *cfg = good(with_cert(&l, "ecdsa", more), NULL);
	cr_expect_eq(cfg->peers[0].auth, AUTH_ECDSA_384);
	config_free(cfg);
	bad(with_cert(&l, "ecdsa", ""), 36, "it is encrypted and no passphrase is given");
	snprintf(more, sizeof(more), "    passphrase-file: %s\n",
		 pki_write_text("gwa.pass", "wrong\n"));
	bad(with_cert(&l, "ecdsa", more), 36, "the passphrase is wrong");
	lab_end(&l);
}

/* Our identity: what is configured, else the address if the certificate says it, else the subject.
 */
Test(config_cert, local_identity)
{
	struct lab l = lab_new("EC:P-256");
	struct config *cfg;
	struct ike_id id;
	char *text = with_cert(&l, "ecdsa", ""), *at = strstr(text, "    local-id: gwa\n");

	memcpy(at, "#                ", 17);
	cfg = good(text, NULL);
	cr_assert_eq(cert_own_subject(cfg->peers[0].own, &id), 0);
	cr_expect(ike_id_equal(&cfg->peers[0].local_id, &id), "not the subject");
	config_free(cfg);

	issue(&l, "IP:10.9.0.1", -DAY, 100 * DAY);
	text = with_cert(&l, "ecdsa", "");
	memcpy(strstr(text, "    local-id: gwa\n"), "#                ", 17);
	cfg = good(text, NULL);
	cr_expect_eq(cfg->peers[0].local_id.type, 0, "the address needs no words");
	config_free(cfg);

	cfg = good(with_cert(&l, "ecdsa", ""), "our certificate does not say 'gwa'");
	config_free(cfg);
	lab_end(&l);
}

Test(config_cert, dates)
{
	struct lab l = lab_new("EC:P-256");

	issue(&l, "DNS:gwa", -2 * DAY, -DAY);
	config_free(good(with_cert(&l, "ecdsa", ""), "our certificate expired at"));
	issue(&l, "DNS:gwa", DAY, 100 * DAY);
	config_free(good(with_cert(&l, "ecdsa", ""), "our certificate is not valid before"));
	issue(&l, "DNS:gwa", -DAY, 5 * DAY);
	config_free(good(with_cert(&l, "ecdsa", ""), "our certificate expires at"));
	lab_end(&l);
}

Test(config_cert, ocsp)
{
	struct lab l = lab_new("EC:P-256");
	char top[512];

	snprintf(top, sizeof(top), "authorities: [%s]\nocsp: require\nocsp-timeout: 2s\n"
				   "ocsp-responder: \"http://192.0.2.80:8080/x\"\n", l.ca_file);
	char *text = with("    secret: a\n", top);
	config_free(load_good(text, NULL, 0));
	free(text);
	bad(with("    secret: a\n", "ocsp: require\n"), 23, "of no use without 'authorities'");
	bad(with("    secret: a\n", "ocsp: perhaps\n"), 23, "ocsp must be off, if-available or");
	bad(with("    secret: a\n", "ocsp-timeout: 2s\n"), 23, "nobody is asked unless");
	bad(with("    secret: a\n", "ocsp: require\nocsp-timeout: 1h\n"), 24, "from 1s to 20s");
	bad(with("    secret: a\n", "ocsp: require\nocsp-responder: \"https://192.0.2.80/\"\n"), 24,
	    "is not a URL of a responder");
	lab_end(&l);
}

Test(config_cert, mistakes)
{
	struct lab l = lab_new("EC:P-256");
	char text[512];

	bad(with_cert(&l, "rsa", ""), 34, "the key is an ECDSA key: it needs 'auth: ecdsa'");
	bad(with_cert(&l, "dsa", ""), 34, "'dsa': DSS signatures rest on");
	bad(with_cert(&l, "psk", ""), 35, "a certificate needs 'auth: rsa'");
	bad(with_cert(&l, "ecdsa", "    secret: a\n"), 37, "there is no 'secret'");
	bad(with("    auth: ecdsa\n    certificate: x\n    key: y\n", ""), 33,
	    "needs 'authorities'");
	bad(with("    auth: rsa\n    certificate: x\n", ""), 33, "needs 'key'");
	bad(with("    auth: rsa\n    key: x\n", ""), 33, "needs 'certificate'");
	bad(with("    secret: a\n", "require-crl: perhaps\n"), 23, "require-crl must be yes or no");
	bad(with("    secret: a\n", "authorities: [none.pem]\n"), 23, "No such file");
	bad(with("    secret: a\n", "revocation-lists: [a.crl]\n"), 23, "no use without");
	snprintf(text, sizeof(text), "authorities:\n  - %s\nrevocation-lists: [%s]\n", l.ca_file,
		 l.ca_file);
	bad(with("    secret: a\n", text), 25, "holds no");
	snprintf(text, sizeof(text), "authorities: [%s]\n", l.cert_file);
	bad(with("    secret: a\n", text), 23, "is not one of a CA");
	strcpy(l.key_file, pki_write_key("gwa.key", l.other, NULL, 0600));
	bad(with_cert(&l, "ecdsa", ""), 36, "is not that of the first certificate");
	strcpy(l.key_file, pki_write_key("gwa.key", l.key, NULL, 0644));
	bad(with_cert(&l, "ecdsa", ""), 36, "can be read by others");
	strcpy(l.cert_file, "none.pem");
	bad(with_cert(&l, "ecdsa", ""), 35, "No such file");
	lab_end(&l);
}
