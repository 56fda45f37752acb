/* Answers of an OCSP responder that somebody on the way has changed. The true answer is "revoked":
 * whatever is changed, the certificate must never pass for good.
 *
 * Input: options, then edits of the answer, of three bytes each (offset, value). */
#include <openssl/ocsp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cert.h"
#include "pki.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum option { NO_NONCE = 1, DELEGATED = 2, CUT = 4 };

static const uint8_t *edits;
static size_t n_edits;
static uint8_t options;
static X509 *ca, *signer;
static EVP_PKEY *ca_key, *key;
static struct cert_store *store;
static struct cert_peer *peer;

static void require(bool ok)
{
	if (!ok)
		abort();
}

static int fetch(const char *url, unsigned timeout_s, struct view request, uint8_t **response,
		 size_t *len)
{
	struct pki_ocsp answer = { .status = V_OCSP_CERTSTATUS_REVOKED,
				   .signer = options & DELEGATED ? signer : ca,
				   .key = options & DELEGATED ? key : ca_key,
				   .from = PKI_NOW,
				   .no_end = true, /* so that it is not remembered */
				   .nonce = options & NO_NONCE ? PKI_NONCE_NONE : PKI_NONCE_COPY };

	(void)url;
	(void)timeout_s;
	*response = pki_ocsp(request, &answer, len);
	for (size_t i = 0; i + 3 <= n_edits; i += 3) {
		size_t at = (size_t)(edits[i] << 8 | edits[i + 1]) % *len;
		if ((options & CUT) && i == 0)
			*len = at + 1;
		else
			(*response)[at] = edits[i + 2];
	}
	return 0;
}

static void setup(void)
{
	static const struct ocsp_cfg cfg = { .policy = OCSP_REQUIRED,
					     .url = "http://a/",
					     .fetch = fetch };
	struct cert_bag *bag = cert_bag_new();
	char why[CERT_WHY_LEN];
	struct ike_id id;

	ca_key = pki_key("EC:P-256");
	key = pki_key("EC:P-256");
	ca = pki_cert(&(struct pki_cert){ .cn = "CA", .key = ca_key, .ca = true });
	signer = pki_cert(&(struct pki_cert){ .cn = "R",
					      .issuer = ca,
					      .issuer_key = ca_key,
					      .key = key,
					      .serial = 2,
					      .ocsp_signing = true });
	X509 *cert = pki_cert(&(struct pki_cert){ .cn = "peer",
						  .san = "DNS:peer",
						  .issuer = ca,
						  .issuer_key = ca_key,
						  .key = key,
						  .serial = 3 });
	store = cert_store_new(CRL_IF_PRESENT);
	require(cert_store_add_ca(store, pki_write_cert("ca.pem", &ca, 1, false), why,
				  sizeof(why)) == 0);
	require(cert_store_set_ocsp(store, &cfg) == 0);
	struct view body = pki_payload(CERT_X509_SIGNATURE, cert);
	require(cert_bag_add(bag, body) == 0 && ike_id_from_text("peer", &id) == 0);
	require(cert_verify_peer(store, bag, &id, AUTH_ECDSA_256, PKI_NOW, &peer, why,
				 sizeof(why)) == 0);
	free((void *)body.p);
	cert_bag_free(bag);
	X509_free(cert);
	pki_clean();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char why[CERT_WHY_LEN];

	if (!store)
		setup();
	if (len < 1)
		return 0;
	options = data[0];
	edits = data + 1;
	n_edits = len - 1 < 30 ? len - 1 : 30;
	require(cert_peer_ask(store, peer, PKI_NOW, why, sizeof(why)) != 0);
	require(why[0] != '\0');
	return 0;
}
