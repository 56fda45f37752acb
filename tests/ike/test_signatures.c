/* Main Mode with certificates, both roles: who gets in, who does not, and what is said about it. */
#include <errno.h>
#include <openssl/ocsp.h>
#include <stdlib.h>
#include <unistd.h>

#include "cert.h"
#include "pitfall.h"
#include "pki.h"

struct lab {
	struct sim *s;
	EVP_PKEY *ca_key, *key[2];
	X509 *ca;
	struct cert_own *own[2];
	struct cert_store *trust[2];
	uint16_t auth;
};

static const char *const names[2] = { "node0", "node1" };
static const char *const sans[2] = { "DNS:node0", "DNS:node1" };

static struct cert_own *own_new(X509 *const *chain, unsigned n, EVP_PKEY *key)
{
	char why[CERT_WHY_LEN] = "";
	struct cert_own *own = NULL;
	const char *cert = pki_write_cert("own.pem", chain, n, false);
	const char *file = pki_write_key("own.key", key, NULL, 0600);

	cr_assert_eq(cert_own_load(cert, file, NULL, &own, why, sizeof(why)), 0, "%s", why);
	return own;
}

static X509 *issue(const struct lab *l, unsigned node, struct pki_cert c)
{
	c.issuer = c.issuer ? c.issuer : l->ca;
	c.issuer_key = c.issuer_key ? c.issuer_key : l->ca_key;
	c.key = c.key ? c.key : l->key[node];
	c.cn = c.cn ? c.cn : names[node];
	c.san = c.san ? c.san : sans[node];
	return pki_cert(&c);
}

/* What a node proves itself with from now on; the peer configurations only borrow it. */
static void give_cert(struct lab *l, unsigned node, struct pki_cert c)
{
	X509 *cert = issue(l, node, c);

	cert_own_free(l->own[node]);
	l->own[node] = own_new(&cert, 1, c.key ? c.key : l->key[node]);
	sim_peer_cfg(l->s, node, 1 - node)->own = l->own[node];
	X509_free(cert);
}

static void give_trust(struct lab *l, unsigned node, X509 *ca, X509_CRL *crl)
{
	char why[CERT_WHY_LEN] = "";
	struct cert_store *t = cert_store_new(CRL_IF_PRESENT);

	cr_assert_eq(
		cert_store_add_ca(t, pki_write_cert("ca.pem", &ca, 1, false), why, sizeof(why)), 0,
		"%s", why);
	if (crl)
		cr_assert_eq(cert_store_add_crl(t, pki_write_crl("ca.crl", crl), why, sizeof(why)),
			     0, "%s", why);
	cert_store_free(l->trust[node]);
	l->trust[node] = t;
	sim_peer_cfg(l->s, node, 1 - node)->trust = t;
}

static struct lab lab_with(const char *kind)
{
	struct lab l = { .s = two_nodes() };

	l.ca_key = pki_key("EC:P-256");
	l.ca = pki_cert(&(struct pki_cert){ .cn = "Test CA", .key = l.ca_key, .ca = true });
	for (unsigned i = 0; i < 2; i++) {
		l.key[i] = pki_key(kind);
		give_cert(&l, i, (struct pki_cert){ .serial = 10 + i });
		give_trust(&l, i, l.ca, NULL);
		l.auth = cert_own_auth(l.own[i]);
		sim_peer_cfg(l.s, i, 1 - i)->auth = l.auth;
	}
	return l;
}

static void lab_end(struct lab *l)
{
	two_nodes_end(l->s);
	for (unsigned i = 0; i < 2; i++) {
		cert_own_free(l->own[i]);
		cert_store_free(l->trust[i]);
		EVP_PKEY_free(l->key[i]);
	}
	X509_free(l->ca);
	EVP_PKEY_free(l->ca_key);
	pki_clean();
}

static void must_fail(struct lab *l, unsigned node, const char *part)
{
	sim_start(l->s);
	sim_run(l->s, 5 * SEC);
	/* where the initiator refuses, the responder has done its part and waits in vain */
	cr_expect_null(node_sa(l->s, node), "node %u has an SA", node);
	cr_expect_eq(sim_pairs(l->s, 0) + sim_pairs(l->s, 1), 0);
	expect_text(sim_last_error(l->s, node, 1 - node), part);
}

/* -------------------------------------------------------------------------- who gets in ----- */

static void comes_up(const char *kind, uint16_t auth)
{
	struct lab l = lab_with(kind);

	cr_assert_eq(l.auth, auth);
	sim_start(l.s);
	sim_run(l.s, 5 * SEC);
	must_be_up(l.s);
	cr_expect_eq(node_sa(l.s, 0)->auth, auth);
	lab_end(&l);
}

Test(signatures, rsa)
{
	comes_up("RSA:2048", AUTH_RSA_SIG);
}

Test(signatures, ecdsa_256)
{
	comes_up("EC:P-256", AUTH_ECDSA_256);
}

/* The negotiated hash is SHA-256: only the HASH that is signed takes the curve's. */
Test(signatures, ecdsa_384)
{
	comes_up("EC:P-384", AUTH_ECDSA_384);
}

Test(signatures, ecdsa_521)
{
	comes_up("EC:P-521", AUTH_ECDSA_521);
}

Test(signatures, lost_and_doubled_messages)
{
	struct lab l = lab_with("EC:P-256");

	sim_set_faults(l.s, SIM_LOSS | SIM_DUP);
	sim_start(l.s);
	sim_run(l.s, 60 * SEC);
	sim_set_faults(l.s, 0);
	sim_run(l.s, 120 * SEC);
	must_be_up(l.s);
	lab_end(&l);
}

Test(signatures, distinguished_names)
{
	struct lab l = lab_with("EC:P-256");

	for (unsigned i = 0; i < 2; i++) {
		struct ike_id id;
		cr_assert_eq(cert_own_subject(l.own[i], &id), 0);
		sim_peer_cfg(l.s, i, 1 - i)->local_id = id;
		sim_peer_cfg(l.s, 1 - i, i)->remote_id = id;
	}
	sim_start(l.s);
	sim_run(l.s, 5 * SEC);
	must_be_up(l.s);
	cr_expect_eq(node_sa(l.s, 0)->remote_id.type, ID_DER_DN);
	lab_end(&l);
}

/* The root is trusted, the issuer comes along with the certificate. */
Test(signatures, an_intermediate_ca_in_the_chain)
{
	struct lab l = lab_with("EC:P-256");
	EVP_PKEY *key = pki_key("EC:P-384");
	X509 *middle = issue(&l, 1, (struct pki_cert){ .cn = "Middle", .key = key, .ca = true });
	X509 *cert = issue(&l, 1, (struct pki_cert){ .issuer = middle, .issuer_key = key });

	cert_own_free(l.own[1]);
	l.own[1] = own_new((X509 *[]){ cert, middle }, 2, l.key[1]);
	sim_peer_cfg(l.s, 1, 0)->own = l.own[1];
	sim_start(l.s);
	sim_run(l.s, 5 * SEC);
	must_be_up(l.s);
	X509_free(middle);
	X509_free(cert);
	EVP_PKEY_free(key);
	lab_end(&l);
}

Test(signatures, an_sa_does_not_outlive_the_certificate)
{
	struct lab l = lab_with("EC:P-256");

	give_cert(&l, 1, (struct pki_cert){ .to = SIM_EPOCH + 600 });
	sim_start(l.s);
	sim_run(l.s, 5 * SEC);
	must_be_up(l.s);
	cr_expect_leq(node_sa(l.s, 0)->life_s, 600);
	cr_expect_gt(node_sa(l.s, 0)->life_s, 590);
	cr_expect_eq(node_sa(l.s, 1)->life_s, node_sa(l.s, 0)->life_s, "the responder tells it");
	lab_end(&l);
}

/* -------------------------------------------------------------------------- who does not ---- */

static void unknown_ca(unsigned node)
{
	struct lab l = lab_with("EC:P-256");
	X509 *other = pki_cert(&(struct pki_cert){ .cn = "Other CA", .key = l.key[0], .ca = true });

	give_trust(&l, node, other, NULL);
	must_fail(&l, node, "unknown CA: the certificate \"CN = ");
	expect_text(sim_last_error(l.s, node, 1 - node), "issued by \"CN = Test CA\"");
	X509_free(other);
	lab_end(&l);
}

Test(signatures, responder_refuses_an_unknown_ca)
{
	unknown_ca(0);
}

Test(signatures, initiator_refuses_an_unknown_ca)
{
	unknown_ca(1);
}

static void expired(unsigned node)
{
	struct lab l = lab_with("EC:P-256");

	give_cert(&l, 1 - node, (struct pki_cert){ .to = SIM_EPOCH - 10 });
	must_fail(&l, node, "expired at 2027-01-15 07:59:50 UTC");
	lab_end(&l);
}

Test(signatures, responder_refuses_an_expired_certificate)
{
	expired(0);
}

Test(signatures, initiator_refuses_an_expired_certificate)
{
	expired(1);
}

static void revoked(unsigned node)
{
	struct lab l = lab_with("EC:P-256");
	X509_CRL *crl = pki_crl(l.ca, l.ca_key, 11 - node, 0, 0);

	give_trust(&l, node, l.ca, crl);
	must_fail(&l, node, "was revoked by \"CN = Test CA\"");
	X509_CRL_free(crl);
	lab_end(&l);
}

Test(signatures, responder_refuses_a_revoked_certificate)
{
	revoked(0);
}

Test(signatures, initiator_refuses_a_revoked_certificate)
{
	revoked(1);
}

static void claims_what_it_is_not(unsigned node)
{
	struct lab l = lab_with("EC:P-256");

	give_cert(&l, 1 - node, (struct pki_cert){ .san = "DNS:somebody" });
	must_fail(&l, node,
		  node ? "claims to be \"node0\" (FQDN), which its certificate \"CN = node0\" does "
			 "not say"
		       : "claims to be \"node1\" (FQDN), which its certificate \"CN = node1\" does "
			 "not say");
	lab_end(&l);
}

Test(signatures, responder_refuses_an_identity_that_the_certificate_does_not_say)
{
	claims_what_it_is_not(0);
}

Test(signatures, initiator_refuses_an_identity_that_the_certificate_does_not_say)
{
	claims_what_it_is_not(1);
}

/* A good certificate of the same CA, but of somebody else than we want to talk to. */
static void somebody_else(unsigned node)
{
	struct lab l = lab_with("EC:P-256");

	give_cert(&l, 1 - node, (struct pki_cert){ .san = "DNS:somebody" });
	cr_assert_eq(ike_id_from_text("somebody", &sim_peer_cfg(l.s, 1 - node, node)->local_id), 0);
	must_fail(&l, node, "received FQDN somebody");
	lab_end(&l);
}

Test(signatures, responder_refuses_somebody_else)
{
	somebody_else(0);
}

Test(signatures, initiator_refuses_somebody_else)
{
	somebody_else(1);
}

/* The other's certificate goes along, and is the one that carries the identity; the signature is
 * made with a key of one's own. */
static void key_of_another_certificate(unsigned node)
{
	struct lab l = lab_with("EC:P-256");
	unsigned thief = 1 - node;
	EVP_PKEY *key = pki_key("EC:P-256");
	X509 *mine = issue(&l, thief, (struct pki_cert){ .key = key, .san = "DNS:thief" });
	X509 *stolen = issue(&l, thief, (struct pki_cert){ 0 });

	cert_own_free(l.own[thief]);
	l.own[thief] = own_new((X509 *[]){ mine, stolen }, 2, key);
	sim_peer_cfg(l.s, thief, node)->own = l.own[thief];
	must_fail(&l, node, "its signature was not made with the key of its certificate");
	X509_free(mine);
	X509_free(stolen);
	EVP_PKEY_free(key);
	lab_end(&l);
}

Test(signatures, responder_refuses_the_key_of_another_certificate)
{
	key_of_another_certificate(0);
}

Test(signatures, initiator_refuses_the_key_of_another_certificate)
{
	key_of_another_certificate(1);
}

/* Flips a bit of the signature, or takes the certificates away, in the first protected message of a
 * node: what a man in the middle with the keys could do. */
struct bend {
	struct sim *s;
	unsigned from, done;
	bool no_cert;
	uint8_t iv[IKE_MAX_BLOCK];
	bool have_iv;
};

static struct isakmp_sa *connecting(struct sim *s, unsigned node)
{
	return TAILQ_FIRST(&peer_find(sim_engine(s, node), node ? "node0" : "node1")->sas);
}

static void bend_payloads(struct bend *b, uint8_t *msg, size_t len)
{
	struct payload_list l;
	const char *why;
	const struct payload *p;

	cr_assert_eq(
		payload_list_parse(msg[16], msg + ISAKMP_HDR_LEN, len - ISAKMP_HDR_LEN, &l, &why),
		0, "%s", why);
	p = payload_find(&l, b->no_cert ? PL_CERT : PL_SIG, 0);
	cr_assert_not_null(p);
	if (b->no_cert)
		*(uint8_t *)p->body.p = 99; /* an encoding that nobody knows */
	else
		((uint8_t *)p->body.p)[p->body.len / 2] ^= 1;
	b->done++;
}

static bool bend(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg, size_t *len)
{
	struct bend *b = ctx;
	struct isakmp_sa *sa = connecting(b->s, from);
	uint8_t iv[IKE_MAX_BLOCK];

	(void)path;
	if (!sa || !sa->keys || !is_encrypted(msg) || msg[18] != EXCH_IDENTITY_PROTECTION)
		return true;
	if (!b->have_iv)
		memcpy(b->iv, sa->keys->phase1_iv, sizeof(b->iv));
	b->have_iv = true;
	if (from == b->from) {
		memcpy(iv, b->iv, sizeof(iv));
		cr_assert_eq(ike_decrypt(sa->keys, iv, msg + ISAKMP_HDR_LEN, *len - ISAKMP_HDR_LEN),
			     0);
		bend_payloads(b, msg, *len);
		memcpy(iv, b->iv, sizeof(iv));
		cr_assert_eq(ike_encrypt(sa->keys, iv, msg + ISAKMP_HDR_LEN, *len - ISAKMP_HDR_LEN),
			     0);
	}
	memcpy(b->iv, msg + *len - sa->keys->block_len, sa->keys->block_len);
	return true;
}

static void bent(const char *kind, unsigned node, bool no_cert, const char *part)
{
	struct lab l = lab_with(kind);
	struct bend b = { .s = l.s, .from = 1 - node, .no_cert = no_cert };

	sim_set_tap(l.s, bend, &b);
	sim_start(l.s);
	sim_run(l.s, 800000); /* before anybody tries again */
	cr_expect_eq(b.done, 1);
	cr_expect_null(node_sa(l.s, node));
	expect_text(sim_last_error(l.s, node, 1 - node), part);
	sim_set_tap(l.s, NULL, NULL);
	lab_end(&l);
}

Test(signatures, responder_refuses_a_wrong_rsa_signature)
{
	bent("RSA:2048", 0, false, "its signature was not made with the key");
}

Test(signatures, initiator_refuses_a_wrong_rsa_signature)
{
	bent("RSA:2048", 1, false, "its signature was not made with the key");
}

Test(signatures, responder_refuses_a_wrong_ecdsa_signature)
{
	bent("EC:P-256", 0, false, "its signature was not made with the key");
}

Test(signatures, initiator_refuses_a_wrong_ecdsa_signature)
{
	bent("EC:P-384", 1, false, "its signature was not made with the key");
}

Test(signatures, no_certificate_that_can_be_read)
{
	bent("EC:P-256", 0, true, "the peer sent no certificate");
}

/* ------------------------------------------------------------------------ configuration ----- */

Test(signatures, a_secret_on_the_other_side)
{
	struct lab l = lab_with("EC:P-256");

	sim_peer_cfg(l.s, 0, 1)->auth = AUTH_PSK;
	must_fail(&l, 0, "peer ECDSA-256 signatures, ours pre-shared key");
	lab_end(&l);
}

Test(signatures, another_curve)
{
	struct lab l = lab_with("EC:P-256");
	EVP_PKEY *key = pki_key("EC:P-384");

	give_cert(&l, 1, (struct pki_cert){ .key = key });
	sim_peer_cfg(l.s, 1, 0)->auth = AUTH_ECDSA_384;
	must_fail(&l, 0, "peer ECDSA-384 signatures, ours ECDSA-256 signatures");
	EVP_PKEY_free(key);
	lab_end(&l);
}

/* Two connections between the same addresses: the method that is offered tells which is meant. */
Test(signatures, the_method_selects_the_connection)
{
	struct lab l = lab_with("EC:P-256");
	struct ike_peer_cfg other = *sim_peer_cfg(l.s, 0, 1);

	strcpy(other.name, "other");
	other.auth = AUTH_PSK;
	other.n_children = 0;
	other.initiate = false;
	cr_assert_eq(ike_peer_set(sim_engine(l.s, 0), &other), 0);
	sim_start(l.s);
	sim_run(l.s, 5 * SEC);
	must_be_up(l.s);
	ike_peer_remove(sim_engine(l.s, 0), "other");
	lab_end(&l);
}

/* A renewed certificate or revocation list touches nothing that stands; the next Main Mode takes
 * it. */
Test(signatures, renewed_certificates_keep_what_stands)
{
	struct lab l = lab_with("EC:P-256");
	X509_CRL *crl = pki_crl(l.ca, l.ca_key, 11, 0, 0);

	sim_start(l.s);
	sim_run(l.s, 5 * SEC);
	must_be_up(l.s);
	struct isakmp_sa *before = node_sa(l.s, 0);
	give_cert(&l, 0, (struct pki_cert){ .serial = 20 });
	cr_assert_eq(ike_peer_set(sim_engine(l.s, 0), sim_peer_cfg(l.s, 0, 1)), 0);
	sim_run(l.s, 5 * SEC);
	cr_expect_eq(node_sa(l.s, 0), before);
	cr_assert_eq(ike_rekey(sim_engine(l.s, 1), "node0"), 0);
	sim_run(l.s, 90 * SEC); /* the old one goes */
	cr_expect_neq(node_sa(l.s, 0), before);
	must_be_up(l.s);

	give_trust(&l, 0, l.ca, crl);
	cr_assert_eq(ike_peer_set(sim_engine(l.s, 0), sim_peer_cfg(l.s, 0, 1)), 0);
	sim_run(l.s, SEC);
	must_be_up(l.s);
	cr_assert_eq(ike_rekey(sim_engine(l.s, 1), "node0"), 0);
	sim_run(l.s, 5 * SEC);
	expect_text(sim_last_error(l.s, 0, 1), "was revoked by");
	X509_CRL_free(crl);
	lab_end(&l);
}

/* Whatever is under way when a peer goes: jobs come home, nothing stays. */
Test(signatures, a_peer_goes_in_the_middle)
{
	for (unsigned k = 0; k < 40; k++) {
		struct lab l = lab_with("EC:P-256");

		sim_start(l.s);
		sim_run(l.s, 1000 * k);
		ike_peer_remove(sim_engine(l.s, k % 2), k % 2 ? "node0" : "node1");
		sim_run(l.s, SEC / 2);
		lab_end(&l);
	}
}

/* -------------------------------------------------------------------------- OCSP ------------ */

static struct pki_ocsp ocsp_says;
static bool ocsp_silent;
static unsigned ocsp_asked, fetches;
static void (*true_job)(void *, struct ike_job *);

static int ocsp_fetch(const char *url, unsigned timeout_s, struct view request, uint8_t **response,
		      size_t *len)
{
	(void)url;
	(void)timeout_s;
	ocsp_asked++;
	if (ocsp_silent)
		return -EHOSTUNREACH;
	*response = pki_ocsp(request, &ocsp_says, len);
	return 0;
}

static void count_fetches(void *ctx, struct ike_job *job)
{
	fetches += job->kind == IKE_JOB_FETCH;
	true_job(ctx, job);
}

/* One node asks OCSP about the other's certificate. */
static struct lab ocsp_lab(unsigned node, enum ocsp_policy policy, int status)
{
	struct ocsp_cfg cfg = { .policy = policy, .url = "http://192.0.2.80/", .fetch = ocsp_fetch };
	struct lab l = lab_with("EC:P-256");
	struct ike *ike = sim_engine(l.s, node);

	cr_assert_eq(cert_store_set_ocsp(l.trust[node], &cfg), 0);
	ocsp_says = (struct pki_ocsp){
		.status = status, .signer = l.ca, .key = l.ca_key, .to = PKI_NOW + 3600
	};
	true_job = ike->ops.job;
	ike->ops.job = count_fetches;
	return l;
}

static void ocsp_good(unsigned node)
{
	struct lab l = ocsp_lab(node, OCSP_REQUIRED, V_OCSP_CERTSTATUS_GOOD);

	sim_start(l.s);
	sim_run(l.s, 5 * SEC);
	must_be_up(l.s);
	cr_expect_eq(fetches, 1, "on a thread that may wait");
	cr_assert_eq(ike_rekey(sim_engine(l.s, node), node ? "node0" : "node1"), 0);
	sim_run(l.s, 30 * SEC);
	must_be_up(l.s);
	cr_expect_eq(fetches, 1, "the answer holds for the next Main Mode");
	cr_expect_eq(ocsp_asked, 1);
	cr_expect_null(sim_diagnosis(l.s, node, IKE_DIAG_OCSP));
	lab_end(&l);
}

Test(signatures, responder_asks_ocsp)
{
	ocsp_good(0);
}

Test(signatures, initiator_asks_ocsp)
{
	ocsp_good(1);
}

static void ocsp_revoked(unsigned node)
{
	struct lab l = ocsp_lab(node, OCSP_IF_AVAILABLE, V_OCSP_CERTSTATUS_REVOKED);

	must_fail(&l, node, "was revoked by \"CN = Test CA\", says OCSP");
	cr_assert_not_null(sim_diagnosis(l.s, node, IKE_DIAG_CERT_REVOKED));
	lab_end(&l);
}

Test(signatures, responder_refuses_what_ocsp_calls_revoked)
{
	ocsp_revoked(0);
}

Test(signatures, initiator_refuses_what_ocsp_calls_revoked)
{
	ocsp_revoked(1);
}

static void ocsp_required(unsigned node)
{
	struct lab l = ocsp_lab(node, OCSP_REQUIRED, 0);
	const struct ike_diagnosis *d;

	ocsp_silent = true;
	must_fail(&l, node, "; one is required");
	d = sim_diagnosis(l.s, node, IKE_DIAG_OCSP);
	cr_assert_not_null(d);
	cr_expect_not(d->degraded);
	expect_text(d->mend, "ocsp: if-available");
	expect_text(d->remedy, "by its own network");
	lab_end(&l);
}

Test(signatures, responder_refuses_when_ocsp_is_required_and_silent)
{
	ocsp_required(0);
}

Test(signatures, initiator_refuses_when_ocsp_is_required_and_silent)
{
	ocsp_required(1);
}

Test(signatures, without_an_answer_if_available_accepts_and_warns)
{
	struct lab l = ocsp_lab(0, OCSP_IF_AVAILABLE, 0);
	const struct ike_diagnosis *d;

	ocsp_silent = true;
	sim_start(l.s);
	sim_run(l.s, 5 * SEC);
	must_be_up(l.s);
	d = sim_diagnosis(l.s, 0, IKE_DIAG_OCSP);
	cr_assert_not_null(d);
	cr_expect(d->degraded);
	expect_text(d->text, "accepted without");
	lab_end(&l);
}

/* Whoever has stolen a certificate but not its key makes nobody ask. */
Test(signatures, ocsp_is_asked_only_about_those_who_signed)
{
	struct lab l = ocsp_lab(0, OCSP_REQUIRED, V_OCSP_CERTSTATUS_GOOD);
	EVP_PKEY *key = pki_key("EC:P-256");
	X509 *mine = issue(&l, 1, (struct pki_cert){ .key = key, .san = "DNS:thief" });
	X509 *stolen = issue(&l, 1, (struct pki_cert){ 0 });

	cert_own_free(l.own[1]);
	l.own[1] = own_new((X509 *[]){ mine, stolen }, 2, key);
	sim_peer_cfg(l.s, 1, 0)->own = l.own[1];
	must_fail(&l, 0, "its signature was not made with the key of its certificate");
	cr_expect_eq(ocsp_asked + fetches, 0);
	X509_free(mine);
	X509_free(stolen);
	EVP_PKEY_free(key);
	lab_end(&l);
}
