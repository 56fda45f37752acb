/* Certificates: whom we trust and why we refuse; our own key. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include "cert.h"
#include "cert_x509.h"
#include "pki.h"
#include "replay.h"

static EVP_PKEY *ca_key, *peer_key;
static X509 *ca;
static char why[CERT_WHY_LEN];

static void setup(void)
{
	ca_key = pki_key("EC:P-256");
	peer_key = pki_key("RSA:2048");
	ca = pki_cert(&(struct pki_cert){ .cn = "Test CA", .key = ca_key, .ca = true });
}

static void teardown(void)
{
	X509_free(ca);
	EVP_PKEY_free(ca_key);
	EVP_PKEY_free(peer_key);
	pki_clean();
}

TestSuite(cert, .init = setup, .fini = teardown);

/* A peer certificate of the test CA; fields of c that are not set are filled in. */
static X509 *issue(struct pki_cert c)
{
	if (!c.issuer) {
		c.issuer = ca;
		c.issuer_key = ca_key;
	}
	if (!c.key)
		c.key = peer_key;
	if (!c.cn)
		c.cn = "gwb";
	if (!c.san)
		c.san = "DNS:gwb";
	return pki_cert(&c);
}

static struct cert_store *store_with(X509 *trusted, enum crl_policy policy)
{
	struct cert_store *s = cert_store_new(policy);

	cr_assert_eq(cert_store_add_ca(s, pki_write_cert("ca.pem", &trusted, 1, false), why,
				       sizeof(why)),
		     0, "%s", why);
	return s;
}

static void bag_add(struct cert_bag *b, X509 *x)
{
	struct view body = pki_payload(CERT_X509_SIGNATURE, x);

	cr_assert_eq(cert_bag_add(b, body), 0);
	free((void *)body.p);
}

/* Verifies a peer that sent these certificates and claims that identity; frees the certificates. */
static int verify_chain(struct cert_store *s, X509 *const *certs, unsigned n, const char *id_text,
			uint16_t auth)
{
	struct cert_bag *b = cert_bag_new();
	struct cert_peer *peer = NULL;
	struct ike_id id;

	cr_assert_eq(ike_id_from_text(id_text, &id), 0);
	for (unsigned i = 0; i < n; i++)
		bag_add(b, certs[i]);
	memset(why, 0, sizeof(why));
	int rc = cert_verify_peer(s, b, &id, auth, PKI_NOW, &peer, why, sizeof(why));
	cr_assert_eq(rc == 0, peer != NULL);
	cr_assert_eq(rc != 0, why[0] != '\0', "a refusal says why");
	cert_peer_free(peer);
	cert_bag_free(b);
	for (unsigned i = 0; i < n; i++)
		X509_free(certs[i]);
	return rc;
}

static int verify_one(enum crl_policy policy, X509 *cert, const char *id)
{
	struct cert_store *s = store_with(ca, policy);
	int rc = verify_chain(s, &cert, 1, id, AUTH_RSA_SIG);

	cert_store_free(s);
	return rc;
}

#define REFUSED_AS(call, code, text)                     \
	do {                                             \
		cr_assert_eq((call), code, "%s", why);   \
		cr_assert(strstr(why, text), "%s", why); \
	} while (0)
#define REFUSED(call, text) REFUSED_AS(call, -EKEYREJECTED, text)

Test(cert, a_good_certificate_is_accepted)
{
	cr_assert_eq(verify_one(CRL_IF_PRESENT, issue((struct pki_cert){ 0 }), "gwb"), 0, "%s",
		     why);
	cr_assert_eq(verify_one(CRL_IF_PRESENT,
				issue((struct pki_cert){ .key_usage = "digitalSignature" }), "GWB"),
		     0, "%s", why);
}

Test(cert, unknown_ca)
{
	EVP_PKEY *other_key = pki_key("EC:P-256");
	X509 *other =
		pki_cert(&(struct pki_cert){ .cn = "Other CA", .key = other_key, .ca = true });
	X509 *impostor =
		pki_cert(&(struct pki_cert){ .cn = "Test CA", .key = other_key, .ca = true });
	X509 *self = pki_cert(&(struct pki_cert){ .cn = "gwb", .key = peer_key, .san = "DNS:gwb" });
	struct pki_cert c = { .issuer = other, .issuer_key = other_key };

	REFUSED_AS(verify_one(CRL_IF_PRESENT, issue(c), "gwb"), -ENOKEY,
		   "unknown CA: the certificate \"CN = gwb\" was issued by \"CN = Other CA\"");
	REFUSED_AS(verify_one(CRL_IF_PRESENT, self, "gwb"), -ENOKEY, "unknown CA");
	/* the right name, but not the CA's key */
	c.issuer = impostor;
	REFUSED(verify_one(CRL_IF_PRESENT, issue(c), "gwb"), "CN = gwb");
	X509_free(other);
	X509_free(impostor);
	EVP_PKEY_free(other_key);
}

Test(cert, validity)
{
	REFUSED_AS(verify_one(CRL_IF_PRESENT, issue((struct pki_cert){ .to = 1700000000 }), "gwb"),
		   -EKEYEXPIRED, "the certificate \"CN = gwb\" expired at 2023-11-14 22:13:20 UTC");
	REFUSED_AS(
		verify_one(CRL_IF_PRESENT, issue((struct pki_cert){ .from = 1900000000 }), "gwb"),
		-EKEYEXPIRED, "is not valid before 2030-03-17 17:46:40 UTC");
}

static struct cert_store *store_with_crl(enum crl_policy policy, X509_CRL *crl)
{
	struct cert_store *s = store_with(ca, policy);

	cr_assert_eq(cert_store_add_crl(s, pki_write_crl("ca.crl", crl), why, sizeof(why)), 0, "%s",
		     why);
	X509_CRL_free(crl);
	return s;
}

Test(cert, revocation)
{
	static const struct {
		enum crl_policy policy;
		bool crl;
		long revoked;
		int64_t to;      /* of the CRL, 0: current */
		const char *why; /* NULL: accepted */
	} cases[] = {
		{ CRL_IF_PRESENT, false, 0, 0, NULL },
		{ CRL_REQUIRED, false, 0, 0, "no current revocation list of \"CN = Test CA\"" },
		{ CRL_IF_PRESENT, true, 0, 0, NULL },
		{ CRL_REQUIRED, true, 0, 0, NULL },
		{ CRL_IF_PRESENT, true, 6, 0, NULL },
		{ CRL_IF_PRESENT, true, 5, 0, "(serial 05) was revoked by \"CN = Test CA\"" },
		{ CRL_REQUIRED, true, 5, 0, "was revoked" },
		{ CRL_IF_PRESENT, true, 0, PKI_NOW - 60, NULL },
		{ CRL_REQUIRED, true, 0, PKI_NOW - 60, "no current revocation list" },
		{ CRL_IF_PRESENT, true, 5, PKI_NOW - 60, "was revoked" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		X509 *cert = issue((struct pki_cert){ .serial = 5 });
		struct cert_store *s =
			cases[i].crl ? store_with_crl(cases[i].policy,
						      pki_crl(ca, ca_key, cases[i].revoked, 0,
							      cases[i].to))
				     : store_with(ca, cases[i].policy);
		int rc = verify_chain(s, &cert, 1, "gwb", AUTH_RSA_SIG);
		if (!cases[i].why)
			cr_assert_eq(rc, 0, "case %zu: %s", i, why);
		else if (cases[i].revoked)
			cr_assert_eq(rc, -EKEYREVOKED, "case %zu: %s", i, why);
		else
			cr_assert_eq(rc, -EKEYREJECTED, "case %zu: %s", i, why);
		if (cases[i].why)
			cr_assert(strstr(why, cases[i].why), "case %zu: %s", i, why);
		cert_store_free(s);
	}
}

/* A CRL that the CA did not sign revokes nothing, and is not passed over in silence either. */
Test(cert, forged_crl)
{
	struct cert_store *s = store_with_crl(CRL_REQUIRED, pki_crl(ca, peer_key, 0, 0, 0));
	X509 *cert = issue((struct pki_cert){ 0 });

	cr_assert_eq(verify_chain(s, &cert, 1, "gwb", AUTH_RSA_SIG), -EKEYREJECTED);
	cert_store_free(s);
}

Test(cert, chains)
{
	EVP_PKEY *sub_key = pki_key("EC:P-384");
	struct pki_cert sub_ca = {
		.cn = "Sub CA", .key = sub_key, .issuer = ca, .issuer_key = ca_key, .ca = true
	};
	X509 *sub = pki_cert(&sub_ca);
	sub_ca.ca = false;
	X509 *no_ca = pki_cert(&sub_ca);
	struct pki_cert leaf = { .issuer = sub, .issuer_key = sub_key };
	struct cert_store *root = store_with(ca, CRL_IF_PRESENT), *partial;
	X509 *two[2];

	two[0] = issue(leaf);
	two[1] = X509_dup(sub);
	cr_assert_eq(verify_chain(root, two, 2, "gwb", AUTH_RSA_SIG), 0, "%s", why);
	two[0] = X509_dup(sub); /* in any order: the identity decides */
	two[1] = issue(leaf);
	cr_assert_eq(verify_chain(root, two, 2, "gwb", AUTH_RSA_SIG), 0, "%s", why);
	two[0] = issue(leaf);
	REFUSED_AS(verify_chain(root, two, 1, "gwb", AUTH_RSA_SIG), -ENOKEY,
		   "issued by \"CN = Sub CA\"");
	two[0] = issue(leaf);
	two[1] = X509_dup(no_ca);
	REFUSED(verify_chain(root, two, 2, "gwb", AUTH_RSA_SIG), "Sub CA");
	partial = store_with(sub, CRL_IF_PRESENT);
	two[0] = issue(leaf);
	cr_assert_eq(verify_chain(partial, two, 1, "gwb", AUTH_RSA_SIG), 0, "%s", why);
	cert_store_free(root);
	cert_store_free(partial);
	X509_free(sub);
	X509_free(no_ca);
	EVP_PKEY_free(sub_key);
}

Test(cert, identities)
{
	static const struct {
		const char *san, *id;
		bool ok;
	} cases[] = {
		{ "DNS:gwb.example.com", "gwb.example.com", true },
		{ "DNS:gwb.example.com", "GWB.Example.Com", true },
		{ "DNS:other,DNS:gwb", "gwb", true },
		{ "IP:192.0.2.1", "192.0.2.1", true },
		{ "IP:2001:db8::1", "2001:db8::1", true },
		{ "email:ann@example.com", "ann@example.com", true },
		{ "DNS:gwb.example.com", "gwb", false },
		{ "DNS:*.example.com", "gwb.example.com", false },
		{ "DNS:192.0.2.1", "192.0.2.1", false },
		{ "IP:192.0.2.1", "192.0.2.2", false },
		{ "email:ann@example.com", "@ann.example.com", false },
		{ "DNS:ann@example.com", "ann@example.com", false },
		{ "DNS:other", "gwb", false }, /* the common name is no host name */
		{ "DNS:gwb", "keyid:677762", false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		X509 *x = issue((struct pki_cert){ .san = cases[i].san });
		int rc = verify_one(CRL_IF_PRESENT, x, cases[i].id);
		cr_assert_eq(rc, cases[i].ok ? 0 : -EKEYREJECTED, "case %zu: %s", i, why);
		if (!cases[i].ok)
			cr_assert(strstr(why, "identity mismatch"), "%s", why);
	}
}

/* A zero byte ends no name: neither in the identity, nor in a certificate that a careless CA
 * signed. */
Test(cert, zero_bytes_do_not_end_a_name)
{
	struct ike_id id = { .type = ID_FQDN, .len = 8, .data = "gwb\0evil" };
	GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_IA5STRING *text = ASN1_IA5STRING_new();
	X509 *x = issue((struct pki_cert){ 0 }), *careless = X509_new();

	cr_assert_not(cert_has_id(x, &id));
	ASN1_STRING_set(text, "gwb\0good", 8);
	GENERAL_NAME_set0_value(name, GEN_DNS, text);
	sk_GENERAL_NAME_push(names, name);
	cr_assert(X509_add1_ext_i2d(careless, NID_subject_alt_name, names, 0, 0));
	cr_assert_not(cert_has_id(careless, &id));
	memcpy(id.data, "gwb\0good", 8);
	cr_assert_not(cert_has_id(careless, &id));
	id.len = 3;
	cr_assert(cert_has_id(x, &id));
	cr_assert_not(cert_has_id(careless, &id));
	sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
	X509_free(careless);
	X509_free(x);
}

Test(cert, subject_as_identity)
{
	X509 *x = issue((struct pki_cert){ .cn = "gwb" });
	struct ike_id id = { .type = ID_DER_DN };
	const uint8_t *der;
	size_t len;

	cr_assert(X509_NAME_get0_der(X509_get_subject_name(x), &der, &len));
	id.len = (uint16_t)len;
	memcpy(id.data, der, len);
	cr_assert(cert_has_id(x, &id));
	id.data[len - 1] ^= 1;
	cr_assert_not(cert_has_id(x, &id));
	id.data[len - 1] ^= 1;
	id.len++; /* bytes behind it */
	cr_assert_not(cert_has_id(x, &id));
	const uint8_t empty[] = { 0x30, 0 };
	memcpy(id.data, empty, 2);
	id.len = 2;
	cr_assert_not(cert_has_id(x, &id), "an empty name is nobody's");
	X509_free(x);
}

Test(cert, keys_must_fit)
{
	struct cert_store *s = store_with(ca, CRL_IF_PRESENT);
	EVP_PKEY *ec = pki_key("EC:P-384"), *small = pki_key("RSA:768");
	X509 *x = issue((struct pki_cert){ .key_usage = "keyEncipherment" });

	REFUSED(verify_chain(s, &x, 1, "gwb", AUTH_RSA_SIG), "may not be used for signatures");
	x = issue((struct pki_cert){ .key = ec });
	REFUSED(verify_chain(s, &x, 1, "gwb", AUTH_RSA_SIG),
		"makes ECDSA-384 signatures, but RSA signatures were agreed");
	x = issue((struct pki_cert){ .key = ec });
	REFUSED(verify_chain(s, &x, 1, "gwb", AUTH_ECDSA_256), "ECDSA-256 signatures were agreed");
	x = issue((struct pki_cert){ .key = ec });
	cr_assert_eq(verify_chain(s, &x, 1, "gwb", AUTH_ECDSA_384), 0, "%s", why);
	x = issue((struct pki_cert){ .key = small });
	REFUSED(verify_chain(s, &x, 1, "gwb", AUTH_RSA_SIG), "not acceptable");
	x = issue((struct pki_cert){ .md = EVP_sha1() });
	REFUSED(verify_chain(s, &x, 1, "gwb", AUTH_RSA_SIG), "not acceptable");
	cr_assert_eq(verify_chain(s, NULL, 0, "gwb", AUTH_RSA_SIG), -EKEYREJECTED);
	cr_assert_str_eq(why, "the peer sent no certificate");
	cert_store_free(s);
	EVP_PKEY_free(ec);
	EVP_PKEY_free(small);
}

Test(cert, payloads)
{
	X509 *x = issue((struct pki_cert){ 0 });
	struct view p7 = pki_payload(CERT_PKCS7, x), plain = pki_payload(CERT_X509_SIGNATURE, x);
	struct cert_store *s = store_with(ca, CRL_REQUIRED);
	X509_CRL *crl = pki_crl(ca, ca_key, 0, 0, 0);
	uint8_t body[4096] = { CERT_CRL }, *p = body + 1;
	struct cert_bag *b = cert_bag_new();
	struct cert_peer *peer = NULL;
	struct ike_id id;
	int n = i2d_X509_CRL(crl, &p);

	ike_id_from_text("gwb", &id);
	cr_assert_eq(cert_bag_add(b, p7), 0);
	cr_assert_eq(cert_verify_peer(s, b, &id, AUTH_RSA_SIG, PKI_NOW, &peer, why, sizeof(why)),
		     -EKEYREJECTED);
	cr_assert_eq(cert_bag_add(b, (struct view){ body, 1U + (size_t)n }), 0);
	cr_assert_eq(cert_verify_peer(s, b, &id, AUTH_RSA_SIG, PKI_NOW, &peer, why, sizeof(why)), 0,
		     "a CRL from the peer counts, for the CA signed it: %s", why);
	cr_assert_eq(cert_peer_not_after(peer), PKI_NOW + 365 * 86400);
	char name[64];
	cr_assert_str_eq(cert_peer_subject(peer, name, sizeof(name)), "CN = gwb");
	cert_peer_free(peer);

	for (size_t cut = 0; cut < plain.len; cut++)
		cr_assert_eq(cert_bag_add(b, (struct view){ plain.p, cut }), -EBADMSG);
	body[0] = 9;
	cr_assert_eq(cert_bag_add(b, (struct view){ body, 100 }), -ENOTSUP);
	for (unsigned i = 2; i < CERT_MAX_CHAIN; i++)
		cr_assert_eq(cert_bag_add(b, plain), 0);
	cr_assert_eq(cert_bag_add(b, plain), -E2BIG);
	cr_assert_eq(cert_bag_add(b, p7), -E2BIG);
	cert_bag_free(b);
	cert_store_free(s);
	X509_CRL_free(crl);
	X509_free(x);
	free((void *)p7.p);
	free((void *)plain.p);
}

Test(cert, store_files)
{
	X509 *leaf = issue((struct pki_cert){ 0 }), *both[2] = { ca, ca };
	struct cert_store *s = cert_store_new(CRL_IF_PRESENT);

	cr_assert_eq(cert_store_add_ca(s, "/nonexistent", why, sizeof(why)), -ENOENT);
	cr_assert(strstr(why, "No such file"), "%s", why);
	cr_assert_eq(cert_store_add_ca(s, pki_write_text("junk", "junk\n"), why, sizeof(why)),
		     -EINVAL);
	cr_assert(strstr(why, "holds no certificate"), "%s", why);
	cr_assert_eq(cert_store_add_crl(s, pki_write_text("junk", "junk\n"), why, sizeof(why)),
		     -EINVAL);
	cr_assert(strstr(why, "holds no revocation list"), "%s", why);
	cr_assert_eq(
		cert_store_add_ca(s, pki_write_cert("leaf", &leaf, 1, false), why, sizeof(why)),
		-EINVAL);
	cr_assert(strstr(why, "\"CN = gwb\" is not one of a CA"), "%s", why);
	cr_assert_eq(cert_store_count(s), 0);
	cr_assert_eq(cert_store_add_ca(s, pki_write_cert("ca.der", &ca, 1, true), why, sizeof(why)),
		     0);
	cr_assert_eq(cert_store_count(s), 1);
	cr_assert_eq(cert_store_add_ca(s, pki_write_cert("two", both, 2, false), why, sizeof(why)),
		     0);
	struct view name = cert_store_ca_name(s, 0);
	struct ike_id id = { .type = ID_DER_DN, .len = (uint16_t)name.len };
	char text[64];
	memcpy(id.data, name.p, name.len);
	cr_assert_str_eq(ike_id_str(&id, text, sizeof(text)), "CN = Test CA");
	cr_assert_null(cert_store_ca_name(s, 99).p);
	cert_store_free(s);
	X509_free(leaf);
}

/* ------------------------------------------------------------------------- ourselves -------- */

static int own_load(const char *cert, const char *key, const char *pass, struct cert_own **o)
{
	memset(why, 0, sizeof(why));
	*o = NULL;
	return cert_own_load(cert, key, pass, o, why, sizeof(why));
}

Test(cert, own_key_and_chain)
{
	X509 *x = issue((struct pki_cert){ .san = "DNS:gwb,IP:192.0.2.1" }), *chain[2] = { x, ca };
	EVP_PKEY *other = pki_key("EC:P-256"), *odd = pki_key("EC:secp256k1");
	X509 *odd_cert = issue((struct pki_cert){ .key = odd });
	const char *cert = pki_write_cert("own.pem", chain, 2, false);
	struct cert_own *o;
	struct ike_id id;

	cr_assert_eq(own_load(cert, pki_write_key("k", peer_key, NULL, 0600), NULL, &o), 0, "%s",
		     why);
	cr_assert_eq(cert_own_auth(o), AUTH_RSA_SIG);
	cr_assert_eq(cert_own_count(o), 2);
	cr_assert_gt(cert_own_der(o, 1).len, 100);
	cr_assert_null(cert_own_der(o, 2).p);
	ike_id_from_text("192.0.2.1", &id);
	cr_assert(cert_own_has_id(o, &id));
	ike_id_from_text("192.0.2.2", &id);
	cr_assert_not(cert_own_has_id(o, &id));
	cr_assert_eq(cert_own_subject(o, &id), 0);
	cr_assert(cert_own_has_id(o, &id));

	/* certificate requests: any CA, ours, another, another kind */
	uint8_t req[128] = { CERT_X509_SIGNATURE };
	const uint8_t *der;
	size_t len;
	cr_assert(cert_own_matches(o, (struct view){ req, 1 }));
	X509_NAME_get0_der(X509_get_subject_name(ca), &der, &len);
	memcpy(req + 1, der, len);
	cr_assert(cert_own_matches(o, (struct view){ req, 1 + len }));
	req[len] ^= 1;
	cr_assert_not(cert_own_matches(o, (struct view){ req, 1 + len }));
	req[0] = CERT_CRL;
	cr_assert_not(cert_own_matches(o, (struct view){ req, 1 }));
	cr_assert_not(cert_own_matches(o, (struct view){ req, 0 }));
	cert_own_free(o);

	cr_assert_eq(own_load(cert, pki_write_key("k", peer_key, NULL, 0640), NULL, &o), -EACCES);
	cr_assert(strstr(why, "mode 640"), "%s", why);
	cr_assert_eq(own_load(cert, pki_write_key("o", other, NULL, 0600), NULL, &o), -EINVAL);
	cr_assert(strstr(why, "is not that of the first certificate"), "%s", why);
	cr_assert_eq(own_load(cert, "/nonexistent", NULL, &o), -ENOENT);
	cr_assert_eq(own_load("/nonexistent", "/nonexistent", NULL, &o), -ENOENT);
	cr_assert_eq(own_load(cert, pki_write_key("e", peer_key, "open sesame", 0600), NULL, &o),
		     -EINVAL);
	cr_assert(strstr(why, "encrypted and no passphrase"), "%s", why);
	cr_assert_eq(own_load(cert, pki_write_key("e", peer_key, "open sesame", 0600), "wrong", &o),
		     -EINVAL);
	cr_assert_eq(own_load(cert, pki_write_key("e", peer_key, "open sesame", 0600),
			      "open sesame", &o),
		     0, "%s", why);
	cert_own_free(o);
	cert = pki_write_cert("odd.pem", &odd_cert, 1, true);
	cr_assert_eq(own_load(cert, pki_write_key("k1", odd, NULL, 0600), NULL, &o), -EINVAL);
	cr_assert(strstr(why, "P-256, P-384 and P-521 only"), "%s", why);
	X509_free(x);
	X509_free(odd_cert);
	EVP_PKEY_free(other);
	EVP_PKEY_free(odd);
}

/* Signed by one side, checked by the other, for every method; any change is noticed. */
Test(cert, signatures_round_trip)
{
	static const struct {
		const char *kind;
		uint16_t auth;
		size_t hash_len, sig_len;
	} cases[] = {
		{ "RSA:2048", AUTH_RSA_SIG, 20, 256 },   { "RSA:1024", AUTH_RSA_SIG, 64, 128 },
		{ "EC:P-256", AUTH_ECDSA_256, 32, 64 },  { "EC:P-384", AUTH_ECDSA_384, 48, 96 },
		{ "EC:P-521", AUTH_ECDSA_521, 64, 132 },
	};
	uint8_t hash[64], sig[CERT_MAX_SIG];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		EVP_PKEY *key = pki_key(cases[i].kind);
		X509 *x = issue((struct pki_cert){ .key = key });
		struct cert_own *o;
		size_t n = cases[i].sig_len;
		const struct view h = { hash, cases[i].hash_len };

		memset(hash, 0x5c, sizeof(hash));
		cr_assert_eq(own_load(pki_write_cert("c", &x, 1, false),
				      pki_write_key("k", key, NULL, 0400), NULL, &o),
			     0, "%s", why);
		cr_assert_eq(cert_own_auth(o), cases[i].auth);
		cr_assert_eq(cert_own_sign(o, h, sig, sizeof(sig)), (int)n);
		cr_assert_eq(cert_own_sign(o, h, sig + n, n - 1), -EIO, "no room");
		const struct view s = { sig, n };
		cr_assert(signature_verify(key, cases[i].auth, h, s));
		cr_assert_not(signature_verify(key, AUTH_PSK, h, s));
		cr_assert_not(
			signature_verify(key, cases[i].auth, (struct view){ hash, h.len - 1 }, s));
		cr_assert_not(signature_verify(key, cases[i].auth, h, (struct view){ sig, n - 1 }));
		cr_assert_not(signature_verify(key, cases[i].auth, h, (struct view){ sig, 0 }));
		hash[h.len - 1] ^= 1;
		cr_assert_not(signature_verify(key, cases[i].auth, h, s));
		hash[h.len - 1] ^= 1;
		sig[n / 2] ^= 1;
		cr_assert_not(signature_verify(key, cases[i].auth, h, s));
		cert_own_free(o);
		X509_free(x);
		EVP_PKEY_free(key);
	}
}

/* RFC 4754 section 8.1: the SHA-256 of "abc" signed on P-256. */
Test(cert, ecdsa_256_known_answer)
{
	uint8_t point[65] = { 4 }, sig[64], hash[32];
	char group[] = "P-256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)),
		OSSL_PARAM_construct_end(),
	};
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	EVP_PKEY *key = NULL;

	hex_decode("2442A5CC0ECD015FA3CA31DC8E2BBC70BF42D60CBCA20085E0822CB04235E970"
		   "6FC98BD7E50211A4A27102FA3549DF79EBCB4BF246B80945CDDFE7D509BBFD7D",
		   point + 1, 64);
	hex_decode("CB28E0999B9C7715FD0A80D8E47A77079716CBBF917DD72E97566EA1C066957C"
		   "86FA3BB4E26CAD5BF90B7F81899256CE7594BB1EA0C89212748BFF3B3D5B0315",
		   sig, 64);
	hex_decode("BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD", hash, 32);
	cr_assert(EVP_PKEY_fromdata_init(ctx) > 0 &&
		  EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) > 0);
	cr_assert(signature_verify(key, AUTH_ECDSA_256, (struct view){ hash, 32 },
				   (struct view){ sig, 64 }));
	sig[63] ^= 1;
	cr_assert_not(signature_verify(key, AUTH_ECDSA_256, (struct view){ hash, 32 },
				       (struct view){ sig, 64 }));
	EVP_PKEY_free(key);
	EVP_PKEY_CTX_free(ctx);
}

Test(pitfall, p04_ecdsa_uses_the_curves_own_hash)
{
	cr_assert_eq(cert_auth_hash(AUTH_ECDSA_256, HASH_MD5), HASH_SHA256);
	cr_assert_eq(cert_auth_hash(AUTH_ECDSA_384, HASH_SHA1), HASH_SHA384);
	cr_assert_eq(cert_auth_hash(AUTH_ECDSA_521, HASH_SHA256), HASH_SHA512);
	cr_assert_eq(cert_auth_hash(AUTH_RSA_SIG, HASH_SHA1), HASH_SHA1);
	cr_assert_eq(cert_auth_hash(AUTH_PSK, HASH_SHA512), HASH_SHA512);
}

/* main-rsa: both sides' certificates and signatures, up to the CA that issued them. */
Test(cert, recorded_negotiation)
{
	static const char *const names[] = { "gwa", "gwb" };
	struct cert_store *s = cert_store_new(CRL_IF_PRESENT);
	struct replay *r = calloc(1, sizeof(*r));
	struct vector v;

	cr_assert_eq(cert_store_add_ca(s, vector_path("pki/ca.crt"), why, sizeof(why)), 0, "%s",
		     why);
	cr_assert(vector_load("main-rsa", &v) && replay_run(r, &v));
	for (unsigned dir = 0; dir < 2; dir++) {
		const struct replay_msg *m = &r->msg[4 + dir];
		struct cert_bag *b = cert_bag_new();
		struct cert_peer *peer = NULL;
		uint8_t hash[HASH_MAX_LEN];
		struct ike_id id;
		char text[64];

		cr_assert_eq(cert_bag_add(b, payload_find(&m->list, PL_CERT, 0)->body), 0);
		cr_assert_eq(ike_id_parse(r->id[dir], &id), 0);
		cr_assert_str_eq(ike_id_str(&id, text, sizeof(text)), names[dir]);
		cr_assert_eq(
			cert_verify_peer(s, b, &id, AUTH_RSA_SIG, PKI_NOW, &peer, why, sizeof(why)),
			0, "%s", why);
		ike_auth_hash(&r->keys, dir == 0, r->ke[0], r->ke[1], m->hdr.icookie,
			      m->hdr.rcookie, r->offer.body, r->id[dir], hash);
		const struct view h = { hash, r->keys.prf_len };
		const struct view sig = payload_find(&m->list, PL_SIG, 0)->body;
		cr_assert_eq(cert_peer_check(peer, AUTH_RSA_SIG, h, sig), 0);
		hash[0] ^= 1;
		cr_assert_eq(cert_peer_check(peer, AUTH_RSA_SIG, h, sig), -EKEYREJECTED);
		cert_peer_free(peer);
		cert_bag_free(b);
	}
	cert_store_free(s);
	vector_free(&v);
	free(r);
}
