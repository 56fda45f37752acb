/* Peers that prove themselves with Kerberos. */
#include <stdlib.h>
#include <string.h>

#include "config_check.h"
#include "config_value.h"
#include "gss.h"

/* "host/gwa.example.org@EXAMPLE.ORG": with a realm, so that it means the same on every machine. */
static void check_principal(struct check *c, struct where w, const char *text, char *out)
{
	const char *at = strrchr(text, '@');

	for (const char *p = text; *p; p++) {
		if (*p > ' ' && *p < 127)
			continue;
		check_error(c, w, "a principal holds only printable characters without blanks");
		return;
	}
	if (!at || at == text || !at[1])
		check_error(
			c, w,
			"'%s' is no principal with a realm, like host/gw.example.org@EXAMPLE.ORG",
			text);
	else if (strlen(text) >= GSS_PRINCIPAL_LEN)
		check_error(c, w, "a principal has less than %d characters", GSS_PRINCIPAL_LEN);
	else
		strcpy(out, text);
}

void check_kerberos(struct check *c, struct where w, const struct raw_peer *raw,
		    struct ike_peer_cfg *peer)
{
	const char *missing = !raw->principal          ? "principal"
			      : !raw->remote_principal ? "remote-principal"
			      : !raw->keytab           ? "keytab"
						       : NULL;
	struct ike_kerberos_cfg *k = calloc(1, sizeof(*k));

	if (!k)
		abort();
	peer->auth = AUTH_KERBEROS;
	peer->kerberos = k;
	if (missing) {
		check_error(c, where_key(w, "auth"), "'auth: kerberos' needs '%s'", missing);
		return;
	}
	if (raw->exchange && strcmp(raw->exchange, "aggressive") == 0)
		check_error(c, where_key(w, "exchange"),
			    "Kerberos needs Main Mode: both sides name themselves before the first "
			    "ticket");
	check_principal(c, where_key(w, "principal"), raw->principal, k->own);
	check_principal(c, where_key(w, "remote-principal"), raw->remote_principal, k->peer);
	if (check_path(c, where_key(w, "keytab"), raw->keytab, k->keytab, sizeof(k->keytab)))
		check_secret_file(c, where_key(w, "keytab"), k->keytab);
}

void check_kerberos_free(struct ike_peer_cfg *peer)
{
	free(peer->kerberos);
	peer->kerberos = NULL;
}
