/* The reference of the configuration against what the parser really does: every option of the
 * schema has an entry and the other way round, every example loads, every default is the one that
 * holds. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "config.h"
#include "config_reference.h"
#include "config_schema.h"
#include "pki.h"

/* ----------------------------------------------------------------- schema and table --------- */

static const struct config_option *find(const char *path)
{
	for (size_t i = 0; i < config_options_n; i++)
		if (strcmp(config_options[i].path, path) == 0)
			return &config_options[i];
	return NULL;
}

struct walk {
	unsigned missing, fields;
	bool documented_seen[512]; /* by index into the table */
};

static void walk_fields(struct walk *w, const cyaml_schema_field_t *fields, const char *prefix)
{
	for (; fields->key; fields++) {
		const cyaml_schema_value_t *v = &fields->value;
		const cyaml_schema_field_t *below = NULL;
		char path[128];
		bool list = v->type == CYAML_SEQUENCE && v->sequence.entry->type == CYAML_MAPPING;

		if (list)
			below = v->sequence.entry->mapping.fields;
		else if (v->type == CYAML_MAPPING)
			below = v->mapping.fields;
		snprintf(path, sizeof(path), "%s%s%s%s", prefix, prefix[0] ? "." : "", fields->key,
			 list ? "[]" : "");
		const struct config_option *o = find(path);
		w->fields++;
		if (!o) {
			cr_log_error("'%s' has no entry in config_reference.c", path);
			w->missing++;
			continue;
		}
		w->documented_seen[o - config_options] = true;
		cr_expect_eq(o->type == NULL, below != NULL, "%s: a section or not?", path);
		bool optional = v->flags & CYAML_FLAG_OPTIONAL;
		if (o->type && !optional)
			cr_expect(!o->value && !o->otherwise, "%s is needed", path);
		if (o->type && optional)
			cr_expect(o->value || o->otherwise, "%s: what holds without it?", path);
		if (below)
			walk_fields(w, below, path);
	}
}

Test(reference, every_option_has_an_entry_and_no_entry_is_of_nothing)
{
	static struct walk w;

	cr_assert_leq(config_options_n, sizeof(w.documented_seen) / sizeof(bool));
	walk_fields(&w, config_schema.mapping.fields, "");
	cr_expect_eq(w.missing, 0);
	cr_assert_gt(w.fields, 60);
	for (size_t i = 0; i < config_options_n; i++)
		cr_expect(w.documented_seen[i], "there is no option '%s'", config_options[i].path);
}

/* ------------------------------------------------------- documents around one option -------- */

static bool needed(const struct config_option *o)
{
	static const char *const base[] = { "ports[]", "secrets[]", "authorities", "peers[]",
					    "peers[].children[]" };

	for (size_t i = 0; i < sizeof(base) / sizeof(base[0]); i++)
		if (strcmp(base[i], o->path) == 0)
			return true;
	return o->type && !o->value && !o->otherwise;
}

/* The path of the section that holds it, "" at the top. */
static void parent_of(const char *path, char *out, size_t size)
{
	const char *dot = strrchr(path, '.');

	snprintf(out, size, "%.*s", dot ? (int)(dot - path) : 0, path);
}

static const char *key_of(const struct config_option *o)
{
	const char *dot = strrchr(o->path, '.');

	return dot ? dot + 1 : o->path;
}

/* The line of key in lines, without its end; NULL when it is not there. */
static const char *line_of(const char *lines, const char *key, size_t *len)
{
	size_t n = strcspn(key, "[");

	for (const char *p = lines; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
		if (strncmp(p, key, n) == 0 && p[n] == ':') {
			*len = strcspn(p, "\n");
			return p;
		}
	}
	return NULL;
}

struct doc {
	char text[8192];
	size_t len;
	const struct config_option *target;
	const char *lines; /* what stands for the target */
	bool first;        /* the next line begins an entry of a list: "- " */
};

static void doc_line(struct doc *d, unsigned indent, const char *line, size_t len)
{
	int n = snprintf(d->text + d->len, sizeof(d->text) - d->len, "%*s%s%.*s\n",
			 (int)indent - (d->first ? 2 : 0), "", d->first ? "- " : "", (int)len,
			 line);

	d->first = false;
	d->len += (size_t)n;
	cr_assert_lt(d->len, sizeof(d->text));
}

static void doc_section(struct doc *d, const char *section, unsigned indent);

/* A section with what is in it, which may be nothing. */
static void doc_heading(struct doc *d, unsigned indent, const struct config_option *o)
{
	const char *key = key_of(o);
	bool list = strchr(key, '[');
	char line[64];
	size_t at;

	snprintf(line, sizeof(line), "%.*s:", (int)strcspn(key, "["), key);
	doc_line(d, indent, line, strlen(line));
	at = d->len;
	d->first = list;
	doc_section(d, o->path, indent + (list ? 4 : 2));
	if (d->len == at)
		d->len += (size_t)snprintf(d->text + at - 1, sizeof(d->text) - at, " {}\n") - 1;
}

static void doc_section(struct doc *d, const char *section, unsigned indent)
{
	char parent[128], target_section[128];
	bool here;

	parent_of(d->target->path, target_section, sizeof(target_section));
	here = strcmp(target_section, section) == 0;
	for (const char *p = here ? d->lines : ""; *p; p += strcspn(p, "\n"), p += *p == '\n')
		doc_line(d, indent, p, strcspn(p, "\n"));
	for (size_t i = 0; i < config_options_n; i++) {
		const struct config_option *o = &config_options[i];
		const char *key = key_of(o), *line;
		size_t len = 0;

		parent_of(o->path, parent, sizeof(parent));
		if (strcmp(parent, section) != 0 || (here && line_of(d->lines, key, &len)))
			continue;
		const char *auth = here ? line_of(d->lines, "auth", &len) : NULL;
		bool psk = strcmp(o->path, "peers[].secret") == 0 &&
			   (!auth || strncmp(auth, "auth: psk", 9) == 0);
		bool holds = strncmp(target_section, o->path, strlen(o->path)) == 0;
		if (!o->type && (needed(o) || holds)) {
			doc_heading(d, indent, o);
		} else if (o->type && (needed(o) || psk)) {
			line = line_of(o->example, key, &len);
			cr_assert_not_null(line, "the example of %s has no line of it", o->path);
			doc_line(d, indent, line, len);
		}
	}
}

/* A whole file with the target's lines in their place and everything else that is needed. */
static struct config *doc_load(const struct config_option *o, const char *lines)
{
	static struct doc d;
	struct config_report report = { 0 };
	struct config *cfg = NULL;

	d = (struct doc){ .target = o, .lines = lines };
	doc_section(&d, "", 0);
	config_parse("shrike.yaml", (const uint8_t *)d.text, d.len, NULL, &cfg, &report);
	for (size_t i = 0; i < report.n; i++)
		if (!report.notes[i].warning)
			cr_log_error("%s: line %u: %s\n%s", o->path, report.notes[i].line,
				     report.notes[i].text, d.text);
	config_report_free(&report);
	return cfg;
}

static const char *const files[] = { "ca.pem",    "ca.crl",   "gwa.pem",
				     "gwa.key",   "gwa.pass", "gwa-encrypted.key",
				     "site-b.psk", "users.txt", "alice.pass", "gwa.keytab" };

static void setup(void)
{
	EVP_PKEY *ca_key = pki_key("EC:P-256"), *key = pki_key("RSA:2048");
	time_t now = time(NULL), later = now + 90 * 86400;
	X509 *ca = pki_cert(&(struct pki_cert){
		.cn = "CA", .key = ca_key, .ca = true, .from = now - 60, .to = later });
	X509 *cert = pki_cert(&(struct pki_cert){ .cn = "gwa",
						  .issuer = ca,
						  .issuer_key = ca_key,
						  .key = key,
						  .san = "DNS:gwa",
						  .from = now - 60,
						  .to = later });
	X509_CRL *crl = pki_crl(ca, ca_key, 0, now - 60, later);
	const char *from[] = { pki_write_cert("ca.pem", &ca, 1, false),
			       pki_write_crl("ca.crl", crl),
			       pki_write_cert("gwa.pem", &cert, 1, false),
			       pki_write_key("gwa.key", key, NULL, 0600),
			       pki_write_text("gwa.pass", "passphrase\n"),
			       pki_write_key("gwa-encrypted.key", key, "passphrase", 0600),
			       pki_write_text("site-b.psk", "a secret of some length\n"),
			       pki_write_text("users.txt", "# who comes in\nalice:$6$saltsalt$"
							   "qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8"
							   "wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/\n"),
			       pki_write_text("alice.pass", "wonderland\n"),
			       pki_write_text("gwa.keytab", "") };
	char dir[256];

	snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(from[0], '/') - from[0]), from[0]);
	cr_assert_eq(chdir(dir), 0);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		cr_assert_eq(access(files[i], R_OK), 0, "%s", files[i]);
	X509_free(ca);
	X509_free(cert);
	X509_CRL_free(crl);
	EVP_PKEY_free(ca_key);
	EVP_PKEY_free(key);
}

static void teardown(void)
{
	cr_assert_eq(chdir("/"), 0);
	pki_clean();
}

TestSuite(reference_files, .init = setup, .fini = teardown);

Test(reference_files, every_example_loads)
{
	for (size_t i = 0; i < config_options_n; i++) {
		const struct config_option *o = &config_options[i];
		size_t len;
		if (!o->type)
			continue;
		cr_assert_not_null(line_of(o->example, key_of(o), &len),
				   "the example of %s has no line of it", o->path);
		struct config *cfg = doc_load(o, o->example);
		cr_expect_not_null(cfg, "the example of %s does not load", o->path);
		config_free(cfg);
	}
}

Test(reference_files, the_whole_example_loads_without_a_warning)
{
	struct config_report report = { 0 };
	struct config *cfg = NULL;

	cr_expect_eq(config_parse("shrike.yaml", (const uint8_t *)config_reference_example,
				  strlen(config_reference_example), NULL, &cfg, &report),
		     0);
	for (size_t i = 0; i < report.n; i++)
		cr_expect_fail("line %u: %s", report.notes[i].line, report.notes[i].text);
	config_report_free(&report);
	config_free(cfg);
}

/* The example's lines but the option's own, which is the default or not there. */
static void lines_with(const struct config_option *o, bool value, char *out, size_t size)
{
	size_t len, rest;
	const char *own = line_of(o->example, key_of(o), &len);

	rest = (size_t)(own - o->example);
	snprintf(out, size, "%.*s", (int)rest, o->example);
	if (value)
		snprintf(out + rest, size - rest, "%s: %s", key_of(o), o->value);
}

static void expect_same(const struct config_option *o, const struct config *a,
			const struct config *b)
{
	const char *what;
	struct dp_cfg dp = a->dp;

	dp.routes = b->dp.routes;
	cr_expect(config_same_system(a, b, &what), "the default of %s is another", o->path);
	cr_expect_eq(memcmp(&dp, &b->dp, sizeof(dp)), 0, "the default of %s is another", o->path);
	cr_expect_str_eq(a->stats_file, b->stats_file);
	cr_expect_eq(a->stats_interval_ms, b->stats_interval_ms);
	cr_assert_eq(a->n_policies, b->n_policies);
	for (size_t i = 0; i < a->n_policies; i++)
		cr_expect(a->policies[i].id == b->policies[i].id &&
				  a->policies[i].action == b->policies[i].action &&
				  selector_equal(&a->policies[i].sel, &b->policies[i].sel),
			  "the default of %s is another", o->path);
	cr_assert_eq(a->n_peers, b->n_peers);
	for (size_t i = 0; i < a->n_peers; i++) {
		struct ike_peer_cfg x = a->peers[i], y = b->peers[i];
		cr_assert_eq(x.n_children, y.n_children);
		for (unsigned k = 0; k < x.n_children; k++)
			cr_expect_eq(memcmp(&x.children[k], &y.children[k], sizeof(x.children[k])),
				     0, "the default of %s is another", o->path);
		x.psk = y.psk = NULL;
		cr_expect_eq(x.access == NULL, y.access == NULL);
		cr_expect(!x.access || memcmp(x.access, y.access,
					      offsetof(struct ike_remote_cfg, users)) == 0,
			  "the default of %s is another", o->path);
		x.access = y.access = NULL;
		x.children = y.children = NULL;
		x.own = y.own = NULL;
		x.trust = y.trust = NULL;
		cr_expect_eq(memcmp(&x, &y, sizeof(x)), 0, "the default of %s is another", o->path);
	}
}

Test(reference_files, every_default_is_the_one_that_holds)
{
	unsigned n = 0;

	for (size_t i = 0; i < config_options_n; i++) {
		const struct config_option *o = &config_options[i];
		char with[512], without[512];
		if (!o->value)
			continue;
		lines_with(o, true, with, sizeof(with));
		lines_with(o, false, without, sizeof(without));
		struct config *a = doc_load(o, with), *b = doc_load(o, without);
		cr_assert(a && b, "%s", o->path);
		expect_same(o, a, b);
		config_free(a);
		config_free(b);
		n++;
	}
	cr_expect_gt(n, 25);
}
