/* Inside cert_*.c: the two containers. */
#ifndef SHRIKE_IKE_CERT_STORE_H
#define SHRIKE_IKE_CERT_STORE_H

#include "cert_x509.h"

struct cert_store {
	unsigned refs;
	enum crl_policy policy;
	X509_STORE *store;    /* CAs and CRLs */
	STACK_OF(X509) * cas; /* in the order of loading, for certificate requests */
};

struct cert_bag {
	STACK_OF(X509) * certs;
	STACK_OF(X509_CRL) * crls;
};

#endif
