/* OCSP: which answers count, which do not, what is remembered, and what either policy makes of it.
 * The responder is a function here; the wire is tests/interop/ocsp.sh's. */
#include <criterion/criterion.h>
#include <errno.h>
#include <openssl/ocsp.h>
#include <stdlib.h>
#include <string.h>

#include "cert.h"
#include "ocsp_cache.h"
#include "pki.h"

#define URL "http://192.0.2.1:80/ocsp"

static EVP_PKEY *ca_key, *peer_key, *other_key;
static X509 *ca, *peer_cert;
static struct cert_peer *peer;
static struct cert_store *store;
static char why[CERT_WHY_LEN];

/* What the responder does. */
static struct {
	struct pki_ocsp answer;
	bool silent, garbage;
	unsigned asked;
	char url[OCSP_MAX_URL];
} rsp;

static int fetch(const char *url, unsigned timeout_s, struct view request, uint8_t **response,
		 size_t *len)
{
	rsp.asked++;
	snprintf(rsp.url, sizeof(rsp.url), "%s", url);
	cr_expect_eq(timeout_s, 3);
	if (rsp.silent)
		return -EHOSTUNREACH;
	*response = pki_ocsp(request, &rsp.answer, len);
	if (rsp.garbage)
		(*response)[1] ^= 0x55;
	return 0;
}

static struct cert_store *store_new(enum ocsp_policy policy, const char *url)
{
	struct ocsp_cfg cfg = { .policy = policy, .timeout_s = 3, .fetch = fetch };
	struct cert_store *s = cert_store_new(CRL_IF_PRESENT);

	snprintf(cfg.url, sizeof(cfg.url), "%s", url);
	cr_assert_eq(
		cert_store_add_ca(s, pki_write_cert("ca.pem", &ca, 1, false), why, sizeof(why)), 0);
	cr_assert_eq(cert_store_set_ocsp(s, &cfg), 0);
	return s;
}

static struct cert_peer *verified(struct cert_store *s, X509 *const *certs, unsigned n)
{
	struct cert_bag *b = cert_bag_new();
	struct cert_peer *p = NULL;
	struct ike_id id;

	cr_assert_eq(ike_id_from_text("peer.example", &id), 0);
	for (unsigned i = 0; i < n; i++) {
		struct view body = pki_payload(CERT_X509_SIGNATURE, certs[i]);
		cr_assert_eq(cert_bag_add(b, body), 0);
		free((void *)body.p);
	}
	cr_assert_eq(cert_verify_peer(s, b, &id, AUTH_ECDSA_256, PKI_NOW, &p, why, sizeof(why)), 0,
		     "%s", why);
	cert_bag_free(b);
	return p;
}

static void setup_with(enum ocsp_policy policy, const char *url)
{
	memset(&rsp, 0, sizeof(rsp));
	ca_key = pki_key("EC:P-256");
	peer_key = pki_key("EC:P-256");
	other_key = pki_key("EC:P-256");
	ca = pki_cert(&(struct pki_cert){ .cn = "Test CA", .key = ca_key, .ca = true });
	peer_cert = pki_cert(&(struct pki_cert){ .cn = "peer",
						 .san = "DNS:peer.example",
						 .issuer = ca,
						 .issuer_key = ca_key,
						 .key = peer_key,
						 .serial = 7,
						 .ocsp_url = "OCSP;URI:" URL });
	store = store_new(policy, url);
	peer = verified(store, &peer_cert, 1);
	rsp.answer =
		(struct pki_ocsp){ .status = V_OCSP_CERTSTATUS_GOOD, .signer = ca, .key = ca_key };
}

static void teardown(void)
{
	cert_peer_free(peer);
	cert_store_free(store);
	X509_free(ca);
	X509_free(peer_cert);
	EVP_PKEY_free(ca_key);
	EVP_PKEY_free(peer_key);
	EVP_PKEY_free(other_key);
	pki_clean();
}

static int ask(int64_t now)
{
	return cert_peer_ask(store, peer, now, why, sizeof(why));
}

static int known(int64_t now)
{
	return cert_peer_known(store, peer, now, why, sizeof(why));
}

#define NOTHING_COUNTS(part)                                                \
	do {                                                                \
		cr_expect_eq(ask(PKI_NOW), -EHOSTUNREACH, "%s", why);       \
		cr_expect(strstr(why, part), "%s", why);                    \
		cr_expect_eq(known(PKI_NOW), -EAGAIN, "is not remembered"); \
	} while (0)

Test(ocsp, off_asks_nobody)
{
	setup_with(OCSP_OFF, "");
	cr_expect_eq(known(PKI_NOW), 0);
	teardown();
}

Test(ocsp, a_good_answer_counts_until_it_ends)
{
	setup_with(OCSP_REQUIRED, "");
	cr_expect_eq(known(PKI_NOW), -EAGAIN);
	cr_expect_eq(ask(PKI_NOW), 0, "%s", why);
	cr_expect_str_eq(why, "");
	cr_expect_str_eq(rsp.url, URL, "the certificate says whom to ask");
	cr_expect_eq(known(PKI_NOW), 0);
	cr_expect_eq(known(PKI_NOW + 599), 0);
	cr_expect_eq(ask(PKI_NOW + 599), 0);
	cr_expect_eq(rsp.asked, 1, "it is remembered");
	cr_expect_eq(known(PKI_NOW + 601), -EAGAIN, "until nextUpdate");
	teardown();
}

Test(ocsp, no_answer_is_kept_for_more_than_an_hour)
{
	setup_with(OCSP_REQUIRED, "");
	rsp.answer.to = PKI_NOW + 7 * 86400;
	cr_expect_eq(ask(PKI_NOW), 0);
	cr_expect_eq(known(PKI_NOW + OCSP_CACHE_S - 1), 0);
	cr_expect_eq(known(PKI_NOW + OCSP_CACHE_S + 1), -EAGAIN);
	cr_expect_eq(known(PKI_NOW - 1000), -EAGAIN, "a clock that was put back");
	teardown();
}

Test(ocsp, an_answer_without_an_end_is_not_kept)
{
	setup_with(OCSP_REQUIRED, "");
	rsp.answer.no_end = true;
	cr_expect_eq(ask(PKI_NOW), 0, "%s", why);
	cr_expect_eq(known(PKI_NOW), -EAGAIN);
	rsp.answer.from = PKI_NOW - 3600;
	NOTHING_COUNTS("says not how long it holds");
	teardown();
}

Test(ocsp, revoked)
{
	setup_with(OCSP_IF_AVAILABLE, "");
	rsp.answer.status = V_OCSP_CERTSTATUS_REVOKED;
	cr_expect_eq(ask(PKI_NOW), -EKEYREVOKED);
	cr_expect(strstr(why, "\"CN = peer\" was revoked by \"CN = Test CA\", says OCSP at " URL),
		  "%s", why);
	cr_expect_eq(known(PKI_NOW), -EKEYREVOKED, "is remembered");
	teardown();
}

Test(ocsp, silence_by_either_policy)
{
	setup_with(OCSP_REQUIRED, "");
	rsp.silent = true;
	NOTHING_COUNTS("it did not answer in time; one is required");
	cr_expect_eq(rsp.asked, 1);
	NOTHING_COUNTS("it did not answer a moment ago");
	cr_expect_eq(rsp.asked, 1, "it is left alone for a while");
	rsp.silent = false;
	cr_expect_eq(ask(PKI_NOW + OCSP_SILENT_S + 1), 0, "%s", why);
	teardown();

	setup_with(OCSP_IF_AVAILABLE, "");
	rsp.silent = true;
	cr_expect_eq(ask(PKI_NOW), 0);
	cr_expect(strstr(why, "it did not answer in time; accepted without"), "%s", why);
	cr_expect_eq(known(PKI_NOW), -EAGAIN, "that is no answer");
	teardown();
}

Test(ocsp, a_configured_responder_is_asked_about_all)
{
	setup_with(OCSP_REQUIRED, "http://192.0.2.9/");
	cr_expect_eq(ask(PKI_NOW), 0, "%s", why);
	cr_expect_str_eq(rsp.url, "http://192.0.2.9/");
	teardown();
}

static void without_url(const char *url)
{
	X509 *cert;

	setup_with(OCSP_REQUIRED, "");
	cert = pki_cert(&(struct pki_cert){ .cn = "peer",
					    .san = "DNS:peer.example",
					    .issuer = ca,
					    .issuer_key = ca_key,
					    .key = peer_key,
					    .ocsp_url = url });
	cert_peer_free(peer);
	peer = verified(store, &cert, 1);
	NOTHING_COUNTS("the certificate names none");
	cr_expect_eq(rsp.asked, 0);
	X509_free(cert);
	teardown();
}

Test(ocsp, certificates_that_name_no_responder)
{
	without_url(NULL);
	without_url("OCSP;URI:ldap://192.0.2.1/");
}

Test(ocsp, answers_of_another_time_do_not_count)
{
	setup_with(OCSP_REQUIRED, "");
	rsp.answer.from = PKI_NOW - 7200;
	rsp.answer.to = PKI_NOW - 3600;
	NOTHING_COUNTS("not of this time");
	rsp.answer.from = PKI_NOW + 3600;
	rsp.answer.to = PKI_NOW + 7200;
	NOTHING_COUNTS("not of this time");
	teardown();
}

Test(ocsp, answers_to_other_questions_do_not_count)
{
	setup_with(OCSP_REQUIRED, "");
	rsp.answer.other_serial = true;
	NOTHING_COUNTS("about another certificate");
	rsp.answer.other_serial = false;
	rsp.answer.nonce = PKI_NONCE_OTHER;
	NOTHING_COUNTS("(nonce)");
	rsp.answer.nonce = PKI_NONCE_NONE;
	cr_expect_eq(ask(PKI_NOW), 0, "many responders know no nonce: %s", why);
	teardown();
}

Test(ocsp, unknown_errors_and_garbage_do_not_count)
{
	setup_with(OCSP_REQUIRED, "");
	rsp.answer.status = V_OCSP_CERTSTATUS_UNKNOWN;
	NOTHING_COUNTS("it does not know the certificate");
	rsp.answer.error = OCSP_RESPONSE_STATUS_TRYLATER;
	NOTHING_COUNTS("trylater");
	rsp.answer.error = 0;
	rsp.garbage = true;
	NOTHING_COUNTS("malformed");
	teardown();
}

/* Whoever signs must be the issuer, or have a certificate of the issuer's for just that. */
Test(ocsp, signers)
{
	X509 *signer;

	setup_with(OCSP_REQUIRED, "");
	rsp.answer.signer = peer_cert; /* the peer vouches for itself */
	rsp.answer.key = peer_key;
	NOTHING_COUNTS("not signed by the issuer");

	signer = pki_cert(&(struct pki_cert){ .cn = "Responder",
					      .issuer = ca,
					      .issuer_key = ca_key,
					      .key = other_key,
					      .serial = 9 });
	rsp.answer.signer = signer;
	rsp.answer.key = other_key;
	NOTHING_COUNTS("not signed by the issuer");
	X509_free(signer);

	signer = pki_cert(&(struct pki_cert){ .cn = "Test CA", .key = other_key, .ca = true });
	rsp.answer.signer = signer; /* the same name, another key */
	NOTHING_COUNTS("not signed by the issuer");
	X509_free(signer);

	signer = pki_cert(&(struct pki_cert){ .cn = "Responder",
					      .issuer = ca,
					      .issuer_key = ca_key,
					      .key = other_key,
					      .serial = 9,
					      .ocsp_signing = true,
					      .to = PKI_NOW - 3600 });
	rsp.answer.signer = signer;
	NOTHING_COUNTS("not signed by the issuer");
	X509_free(signer);

	signer = pki_cert(&(struct pki_cert){ .cn = "Responder",
					      .issuer = ca,
					      .issuer_key = ca_key,
					      .key = other_key,
					      .serial = 9,
					      .ocsp_signing = true });
	rsp.answer.signer = signer;
	cr_expect_eq(ask(PKI_NOW), 0, "%s", why);
	X509_free(signer);
	teardown();
}

/* An intermediate authority may be revoked as well; the trusted one is beyond question. */
Test(ocsp, every_certificate_of_the_chain_is_asked_about)
{
	setup_with(OCSP_REQUIRED, "");
	X509 *middle = pki_cert(&(struct pki_cert){ .cn = "Middle",
						    .issuer = ca,
						    .issuer_key = ca_key,
						    .key = other_key,
						    .ca = true,
						    .serial = 11,
						    .ocsp_url = "OCSP;URI:http://192.0.2.2/" });
	X509 *cert = pki_cert(&(struct pki_cert){ .cn = "peer",
						  .san = "DNS:peer.example",
						  .issuer = middle,
						  .issuer_key = other_key,
						  .key = peer_key,
						  .serial = 12,
						  .ocsp_url = "OCSP;URI:" URL });
	cert_peer_free(peer);
	peer = verified(store, (X509 *[]){ cert, middle }, 2);
	/* the CA answers for both: that counts for the intermediate one alone */
	cr_expect_eq(ask(PKI_NOW), -EHOSTUNREACH);
	cr_expect(strstr(why, "about the certificate \"CN = peer\""), "%s", why);
	rsp.answer.signer = middle;
	rsp.answer.key = other_key;
	cr_expect_eq(ask(PKI_NOW), -EHOSTUNREACH);
	cr_expect(strstr(why, "http://192.0.2.2/ about the certificate \"CN = Middle\""), "%s",
		  why);
	rsp.answer.signer = ca;
	rsp.answer.key = ca_key;
	rsp.answer.status = V_OCSP_CERTSTATUS_REVOKED;
	cr_expect_eq(ask(PKI_NOW), -EKEYREVOKED, "the peer's own is known to be good: %s", why);
	cr_expect(strstr(why, "\"CN = Middle\" was revoked"), "%s", why);
	X509_free(middle);
	X509_free(cert);
	teardown();
}

Test(ocsp, the_cache_is_bounded)
{
	struct ocsp_cache *c = ocsp_cache_new();
	X509 *certs[3];
	bool revoked;

	setup_with(OCSP_OFF, "");
	for (unsigned i = 0; i < OCSP_CACHE_MAX + 2; i++) {
		X509 *x = X509_dup(peer_cert);
		ASN1_INTEGER_set(X509_get_serialNumber(x), 1000 + i);
		X509_sign(x, ca_key, EVP_sha256());
		ocsp_cache_put(c, x, PKI_NOW, PKI_NOW + 100 + i, i % 2);
		if (i < 2 || i == OCSP_CACHE_MAX + 1)
			certs[i < 2 ? i : 2] = x;
		else
			X509_free(x);
	}
	for (unsigned i = 0; i < 2; i++)
		cr_expect_not(ocsp_cache_get(c, certs[i], PKI_NOW, &revoked),
			      "what ends first made room");
	cr_expect(ocsp_cache_get(c, certs[2], PKI_NOW, &revoked) && revoked);
	for (unsigned i = 0; i < 3; i++)
		X509_free(certs[i]);
	ocsp_cache_free(c);
	teardown();
}
