#include "ocsp_http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/http.h>

#include "cert.h"

struct place {
	char *host, *port, *path;
};

static void place_free(struct place *p)
{
	OPENSSL_free(p->host);
	OPENSSL_free(p->port);
	OPENSSL_free(p->path);
}

static bool place_of(const char *url, struct place *p)
{
	int tls = 0;

	*p = (struct place){ 0 };
	if (strncmp(url, "http://", 7) == 0 &&
	    OSSL_HTTP_parse_url(url, &tls, NULL, &p->host, &p->port, NULL, &p->path, NULL, NULL) &&
	    !tls && p->host[0])
		return true;
	place_free(p);
	*p = (struct place){ 0 };
	return false;
}

bool ocsp_http_url_ok(const char *url)
{
	struct place p;
	bool ok = place_of(url, &p);

	if (ok)
		place_free(&p);
	ERR_clear_error();
	return ok;
}

/* Everything in a memory BIO, at most OCSP_MAX_RESPONSE bytes. */
static int take(BIO *bio, uint8_t **response, size_t *len)
{
	uint8_t *buf = malloc(OCSP_MAX_RESPONSE);
	size_t n = 0;
	int got;

	if (!buf)
		return -ENOMEM;
	while (n < OCSP_MAX_RESPONSE &&
	       (got = BIO_read(bio, buf + n, (int)(OCSP_MAX_RESPONSE - n))) > 0)
		n += (size_t)got;
	*response = buf;
	*len = n;
	return 0;
}

int ocsp_http_fetch(const char *url, unsigned timeout_s, struct view request, uint8_t **response,
		    size_t *len)
{
	BIO *out = NULL, *in = NULL;
	struct place p;
	int rc = -EINVAL;

	if (!place_of(url, &p))
		goto done;
	rc = -ENOMEM;
	out = BIO_new_mem_buf(request.p, (int)request.len);
	if (!out)
		goto done;
	rc = -EHOSTUNREACH;
	/* no proxy, whatever the environment says: an empty name, not NULL */
	in = OSSL_HTTP_transfer(NULL, p.host, p.port, p.path, 0, "", NULL, NULL, NULL, NULL, NULL,
				0, NULL, "application/ocsp-request", out,
				"application/ocsp-response", 1, OCSP_MAX_RESPONSE, (int)timeout_s,
				0);
	if (in)
		rc = take(in, response, len);
done:
	BIO_free(in);
	BIO_free(out);
	place_free(&p);
	ERR_clear_error();
	return rc;
}
