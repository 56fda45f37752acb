#include "sim_certs.h"

#include <stdio.h>
#include <stdlib.h>

#include "cert.h"
#include "pki.h"

static struct cert_store *trust;
#define CERTS 4 /* of as many nodes */

static struct cert_own *own[CERTS];

static void must(bool ok, const char *why)
{
	if (ok)
		return;
	fprintf(stderr, "certificates for the simulation: %s\n", why);
	abort();
}

static void make_node(unsigned i, X509 *ca, EVP_PKEY *ca_key)
{
	char cn[16], san[24], why[CERT_WHY_LEN] = "";
	EVP_PKEY *key = pki_key("EC:P-256");

	snprintf(cn, sizeof(cn), "node%u", i);
	snprintf(san, sizeof(san), "DNS:%s", cn);
	X509 *cert = pki_cert(&(struct pki_cert){
		.cn = cn, .san = san, .issuer = ca, .issuer_key = ca_key, .key = key });
	must(cert_own_load(pki_write_cert("node.pem", &cert, 1, false),
			   pki_write_key("node.key", key, NULL, 0600), NULL, &own[i], why,
			   sizeof(why)) == 0,
	     why);
	X509_free(cert);
	EVP_PKEY_free(key);
}

static void make(void)
{
	EVP_PKEY *key = pki_key("EC:P-256");
	X509 *ca = pki_cert(&(struct pki_cert){ .cn = "Test CA", .key = key, .ca = true });
	char why[CERT_WHY_LEN] = "";

	trust = cert_store_new(CRL_IF_PRESENT);
	must(trust && cert_store_add_ca(trust, pki_write_cert("ca.pem", &ca, 1, false), why,
					sizeof(why)) == 0,
	     why);
	for (unsigned i = 0; i < CERTS; i++)
		make_node(i, ca, key);
	X509_free(ca);
	EVP_PKEY_free(key);
	pki_clean();
}

static void use(struct sim *s, unsigned node, unsigned peer)
{
	struct ike_peer_cfg *p = sim_peer_cfg(s, node, peer);

	p->auth = AUTH_ECDSA_256;
	p->own = own[node];
	p->trust = trust;
}

void sim_certs_use(struct sim *s, unsigned nodes)
{
	if (!trust)
		make();
	for (unsigned i = 1; i < nodes; i++) {
		use(s, 0, i);
		use(s, i, 0);
	}
}

void sim_certs_free(void)
{
	for (unsigned i = 0; i < CERTS; i++)
		cert_own_free(own[i]);
	cert_store_free(trust);
	trust = NULL;
}
