/* GSS-API with Kerberos through libgssapi-krb5. */
#include "gss.h"

#include <errno.h>
#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "secret.h"

/* Mutual, and with a key for integrity and secrecy: section 3 of the draft. No sequence: the two
 * hashes are all that the key protects, and one that is repeated may be opened again. */
#define FLAGS (GSS_C_MUTUAL_FLAG | GSS_C_INTEG_FLAG | GSS_C_CONF_FLAG)

struct gss_side {
	struct ike_kerberos_cfg cfg;
	bool initiator, done;
	gss_ctx_id_t context;
	gss_cred_id_t credential;
	uint8_t *sent, *taken;
	size_t sent_len, taken_len;
	char peer[GSS_PRINCIPAL_LEN], why[GSS_WHY_LEN];
};

struct gss_side *gss_side_new(const struct ike_kerberos_cfg *cfg, bool initiator)
{
	struct gss_side *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->cfg = *cfg;
	g->initiator = initiator;
	g->context = GSS_C_NO_CONTEXT;
	g->credential = GSS_C_NO_CREDENTIAL;
	return g;
}

void gss_side_free(struct gss_side *g)
{
	OM_uint32 minor;

	if (!g)
		return;
	gss_delete_sec_context(&minor, &g->context, GSS_C_NO_BUFFER);
	gss_release_cred(&minor, &g->credential);
	free(g->sent);
	free(g->taken);
	free(g);
}

static int keep(uint8_t **to, size_t *len, const void *p, size_t n)
{
	uint8_t *copy = n <= GSS_TOKEN_MAX ? malloc(n ? n : 1) : NULL;

	if (!copy)
		return -EMSGSIZE;
	memcpy(copy, p, n);
	free(*to);
	*to = copy;
	*len = n;
	return 0;
}

int gss_side_take(struct gss_side *g, struct view token)
{
	return keep(&g->taken, &g->taken_len, token.p, token.len);
}

static void add_status(char *text, size_t size, OM_uint32 code, int type)
{
	OM_uint32 minor, more = 0;
	gss_buffer_desc s;
	size_t n = strlen(text);

	do {
		if (gss_display_status(&minor, code, type, (gss_OID)gss_mech_krb5, &more, &s) !=
		    GSS_S_COMPLETE)
			return;
		snprintf(text + n, size - n, "%s%.*s", n ? ": " : "", (int)s.length,
			 (const char *)s.value);
		n = strlen(text);
		gss_release_buffer(&minor, &s);
	} while (more);
}

/* What libkrb5 says of it: its own words when it has some, else those of the GSS-API. */
static int refused(struct gss_side *g, OM_uint32 major, OM_uint32 minor)
{
	g->why[0] = '\0';
	if (minor)
		add_status(g->why, sizeof(g->why), minor, GSS_C_MECH_CODE);
	if (!g->why[0])
		add_status(g->why, sizeof(g->why), major, GSS_C_GSS_CODE);
	return -EACCES;
}

static OM_uint32 name_import(const char *text, gss_name_t *out, OM_uint32 *minor)
{
	gss_buffer_desc b = { strlen(text), (void *)(uintptr_t)text };

	return gss_import_name(minor, &b, (gss_OID)GSS_KRB5_NT_PRINCIPAL_NAME, out);
}

/* Our key from the keytab; as the initiator, with tickets in memory that all with this principal
 * share and libkrb5 renews. */
static int acquire(struct gss_side *g)
{
	gss_OID_set_desc mechs = { 1, (gss_OID)gss_mech_krb5 };
	char cache[GSS_PRINCIPAL_LEN + 16];
	gss_key_value_element_desc ask[] = { { "client_keytab", g->cfg.keytab },
					     { "ccache", cache } };
	gss_key_value_element_desc answer[] = { { "keytab", g->cfg.keytab } };
	gss_key_value_set_desc store = { g->initiator ? 2 : 1, g->initiator ? ask : answer };
	gss_name_t own = GSS_C_NO_NAME;
	OM_uint32 major, minor, ignored;

	snprintf(cache, sizeof(cache), "MEMORY:shrike-%s", g->cfg.own);
	major = name_import(g->cfg.own, &own, &minor);
	if (major == GSS_S_COMPLETE)
		major = gss_acquire_cred_from(&minor, own, GSS_C_INDEFINITE, &mechs,
					      g->initiator ? GSS_C_INITIATE : GSS_C_ACCEPT, &store,
					      &g->credential, NULL, NULL);
	gss_release_name(&ignored, &own);
	return major == GSS_S_COMPLETE ? 0 : refused(g, major, minor);
}

static void name_text(gss_name_t name, char *out, size_t size)
{
	gss_buffer_desc b = GSS_C_EMPTY_BUFFER;
	OM_uint32 minor;

	if (name != GSS_C_NO_NAME && gss_display_name(&minor, name, &b, NULL) == GSS_S_COMPLETE &&
	    b.length < size)
		snprintf(out, size, "%.*s", (int)b.length, (const char *)b.value);
	gss_release_buffer(&minor, &b);
}

/* One call of GSS_Init_sec_context or GSS_Accept_sec_context. */
static OM_uint32 step_call(struct gss_side *g, gss_buffer_t in, gss_buffer_t out, OM_uint32 *minor,
			   OM_uint32 *flags)
{
	gss_name_t name = GSS_C_NO_NAME;
	OM_uint32 major, ignored;

	if (!g->initiator) {
		major = gss_accept_sec_context(minor, &g->context, g->credential, in,
					       GSS_C_NO_CHANNEL_BINDINGS, &name, NULL, out, flags,
					       NULL, NULL);
		if (major == GSS_S_COMPLETE)
			name_text(name, g->peer, sizeof(g->peer));
	} else {
		major = name_import(g->cfg.peer, &name, minor);
		if (major == GSS_S_COMPLETE)
			major = gss_init_sec_context(
				minor, g->credential, &g->context, name, (gss_OID)gss_mech_krb5,
				FLAGS, 0, GSS_C_NO_CHANNEL_BINDINGS, in, NULL, out, flags, NULL);
		if (major == GSS_S_COMPLETE) /* only the owner of that key can have answered */
			name_text(name, g->peer, sizeof(g->peer));
	}
	gss_release_name(&ignored, &name);
	return major;
}

int gss_side_step(struct gss_side *g)
{
	gss_buffer_desc in = { g->taken_len, g->taken }, out = GSS_C_EMPTY_BUFFER;
	OM_uint32 major, minor = 0, ignored, flags = 0;
	int rc = g->credential == GSS_C_NO_CREDENTIAL ? acquire(g) : 0;

	if (rc != 0)
		return rc;
	major = step_call(g, &in, &out, &minor, &flags);
	if (GSS_ERROR(major)) {
		rc = refused(g, major, minor);
	} else if (major == GSS_S_COMPLETE && (flags & FLAGS) != FLAGS) {
		snprintf(g->why, sizeof(g->why), "the context is not mutual, or has no key");
		rc = -EACCES;
	} else if (major != GSS_S_COMPLETE && (!g->initiator || g->taken_len)) {
		snprintf(g->why, sizeof(g->why), "it needs more than one token of each side");
		rc = -EACCES;
	} else if (out.length && keep(&g->sent, &g->sent_len, out.value, out.length) != 0) {
		snprintf(g->why, sizeof(g->why), "our token is longer than %d bytes",
			 GSS_TOKEN_MAX);
		rc = -EACCES;
	}
	g->done = rc == 0 && major == GSS_S_COMPLETE;
	gss_release_buffer(&ignored, &out);
	return rc;
}

struct view gss_side_sent(const struct gss_side *g)
{
	return (struct view){ g->sent, g->sent_len };
}

struct view gss_side_taken(const struct gss_side *g)
{
	return (struct view){ g->taken, g->taken_len };
}

bool gss_side_done(const struct gss_side *g)
{
	return g->done;
}

const char *gss_side_peer(const struct gss_side *g)
{
	return g->done ? g->peer : "";
}

const char *gss_side_why(const struct gss_side *g)
{
	return g->why;
}

static int give(gss_buffer_t from, bool ok, uint8_t *out, size_t cap)
{
	OM_uint32 minor;
	int n = ok && from->length <= cap ? (int)from->length : -EBADMSG;

	if (n >= 0)
		memcpy(out, from->value, from->length);
	if (from->length)
		secret_wipe(from->value, from->length);
	gss_release_buffer(&minor, from);
	return n;
}

int gss_side_wrap(struct gss_side *g, struct view hash, uint8_t *out, size_t cap)
{
	gss_buffer_desc in = { hash.len, (void *)(uintptr_t)hash.p }, made = GSS_C_EMPTY_BUFFER;
	OM_uint32 minor;
	int sealed = 0;

	if (!g->done)
		return -EBADMSG;
	OM_uint32 major = gss_wrap(&minor, g->context, 1, GSS_C_QOP_DEFAULT, &in, &sealed, &made);
	return give(&made, major == GSS_S_COMPLETE && sealed, out, cap);
}

int gss_side_unwrap(struct gss_side *g, struct view wrapped, uint8_t *out, size_t cap)
{
	gss_buffer_desc in = { wrapped.len, (void *)(uintptr_t)wrapped.p },
			opened = GSS_C_EMPTY_BUFFER;
	OM_uint32 minor;
	int sealed = 0;

	if (!g->done)
		return -EBADMSG;
	OM_uint32 major = gss_unwrap(&minor, g->context, &in, &opened, &sealed, NULL);
	return give(&opened, major == GSS_S_COMPLETE, out, cap);
}
