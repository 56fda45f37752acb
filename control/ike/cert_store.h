/* Inside cert_*.c: whom we trust, what a peer sent, and a peer that was found good. */
#ifndef SHRIKE_IKE_CERT_STORE_H
#define SHRIKE_IKE_CERT_STORE_H

#include "cert_x509.h"
#include "ocsp_cache.h"

struct cert_store {
	unsigned refs;
	enum crl_policy policy;
	X509_STORE *store;    /* CAs and CRLs */
	STACK_OF(X509) * cas; /* in the order of loading, for certificate requests */
	struct ocsp_cfg ocsp;
	struct ocsp_cache *ocsp_cache; /* NULL: OCSP is off */
};

struct cert_peer {
	X509 *cert;
	STACK_OF(X509) * chain; /* from it to the one that we trust */
};

struct cert_bag {
	STACK_OF(X509) * certs;
	STACK_OF(X509_CRL) * crls;
};

#endif
