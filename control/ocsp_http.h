/* OCSP requests over HTTP (RFC 6960 appendix A), through the kernel's own network: the gateway's
 * ports and addresses belong to the data plane and have no part in it. */
#ifndef SHRIKE_OCSP_HTTP_H
#define SHRIKE_OCSP_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "message.h"

/* struct ocsp_cfg's fetch. Takes "http://HOST[:PORT]/PATH" only: answers are signed. Waits no
 * longer than timeout_s, but for the look-up of a host's name, which has the resolver's own limits.
 */
int ocsp_http_fetch(const char *url, unsigned timeout_s, struct view request, uint8_t **response,
		    size_t *len);
/* Whether fetch would take that URL. */
bool ocsp_http_url_ok(const char *url);

#endif
