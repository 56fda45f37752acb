/* The reference of the configuration as Markdown and as a manual page: one walk, two ways to write.
 */
#include <stdbool.h>
#include <string.h>

#include "alg.h"
#include "config_reference.h"
#include "man.h"

static const char intro[] = "The configuration of shrike is a YAML file. Unknown, repeated and "
			    "missing keys are errors, as "
			    "is every value that cannot be right; each is reported with its line, "
			    "and shrike --check FILE "
			    "does nothing else. File names are relative to the configuration file "
			    "unless they begin with "
			    "a slash.";

static const char *const kinds[][2] = {
	{ "duration", "A whole number and one of ms, s, m, h and d: 250ms, 90s, 8h. Only 0 goes "
		      "without a unit." },
	{ "size", "Bytes, or a whole number and one of K, M, G and T: 512M. K is 1024." },
	{ "yes or no", "true, false, on and off mean the same." },
	{ "name", "Letters, digits, dot, underscore and hyphen." },
	{ "network", "A prefix without bits to the right of its mask: 10.1.0.0/24." },
	{ "range", "First and last address: 10.1.0.10-10.1.0.20. The word any stands for all "
		   "addresses." },
	{ "identity", "An address, a domain name, user@host, a distinguished name (C=.., CN=..) or "
		      "keyid: and hex digits." },
};

/* What differs between the two formats. */
struct writer {
	FILE *f;
	bool man;
};

/* "peers children" for "peers[].children[]", where no brackets belong. */
static void heading_man(FILE *f, const char *path)
{
	char plain[64];
	size_t n = 0;

	for (; *path && n + 1 < sizeof(plain); path++)
		if (*path != '[' && *path != ']')
			plain[n++] = *path == '.' ? ' ' : *path;
	plain[n] = '\0';
	man_heading(f, plain);
}

static void write_heading(const struct writer *w, const char *text)
{
	if (w->man)
		heading_man(w->f, text);
	else
		fprintf(w->f, "\n## %s\n", text);
}

/* Right below a heading. */
static void write_text(const struct writer *w, const char *text)
{
	if (w->man)
		man_text(w->f, text);
	else
		fprintf(w->f, "\n%s\n", text);
}

static void write_term(const struct writer *w, const char *term, const char *text)
{
	if (w->man)
		man_term(w->f, term, text);
	else
		fprintf(w->f, "- `%s`: %s\n", term, text);
}

static void write_code(const struct writer *w, const char *lines)
{
	if (w->man)
		man_verbatim(w->f, lines);
	else
		fprintf(w->f, "\n```yaml\n%s%s```\n", lines,
			lines[strlen(lines) - 1] == '\n' ? "" : "\n");
}

static void write_option(const struct writer *w, const struct config_option *o)
{
	const char *dot = strrchr(o->path, '.'), *key = dot ? dot + 1 : o->path;
	char text[1200];
	int n = snprintf(text, sizeof(text), w->man ? "%s; " : "*%s*; ", o->type);

	if (o->value)
		snprintf(text + n, sizeof(text) - (size_t)n, "default %s. %s", o->value,
			 o->meaning);
	else if (o->otherwise)
		snprintf(text + n, sizeof(text) - (size_t)n, "without it: %s. %s", o->otherwise,
			 o->meaning);
	else
		snprintf(text + n, sizeof(text) - (size_t)n, "needed. %s", o->meaning);
	if (w->man)
		man_term(w->f, key, text);
	else
		fprintf(w->f, "\n### %s\n\n%s\n", o->path, text);
	write_code(w, o->example);
}

static void write_options(const struct writer *w)
{
	bool top = false; /* under the heading of the options that belong to no section */

	for (size_t i = 0; i < config_options_n; i++) {
		const struct config_option *o = &config_options[i];
		if (!o->type) {
			write_heading(w, o->path);
			write_text(w, o->meaning);
			top = false;
			continue;
		}
		if (!strchr(o->path, '.') && !top) {
			write_heading(w, "authorities and revocation");
			write_text(w, "These keys stand by themselves at the top of the file.");
			top = true;
		}
		write_option(w, o);
	}
}

/* --------------------------------------------------------------------------- algorithms ----- */

struct names {
	const struct writer *w;
	char list[1024];
};

static void names_add(struct names *n, const char *name, const char *weak)
{
	size_t used = strlen(n->list);

	if (weak)
		snprintf(n->list + used, sizeof(n->list) - used, "%s%s (weak: %s)",
			 used ? ", " : "", name, weak);
	else
		snprintf(n->list + used, sizeof(n->list) - used, "%s%s", used ? ", " : "", name);
}

static void names_end(struct names *n, const char *term)
{
	write_term(n->w, term, n->list);
	n->list[0] = '\0';
}

/* The token of a cipher: what stands before the first hyphen of a transform. */
static void names_add_encr(struct names *n, enum encr_alg encr, uint16_t bits)
{
	const struct encr_info *info = encr_info(encr);
	struct esp_transform t = { .encr = encr, .key_bits = bits };
	char text[TRANSFORM_STR_LEN];

	t.integ = info->aead ? INTEG_NONE : INTEG_HMAC_SHA1_96;
	esp_transform_str(&t, text, sizeof(text));
	text[strcspn(text, "-")] = '\0';
	names_add(n, text, info->weak);
}

static void names_encr(struct names *n, bool phase1)
{
	for (unsigned a = ENCR_NULL; a < ENCR_COUNT; a++) {
		const struct encr_info *info = encr_info((enum encr_alg)a);
		if (phase1 ? !info->ike_id : !info->esp_id)
			continue;
		for (unsigned bits = 128; info->has_key_len && bits <= 256; bits += 64)
			names_add_encr(n, (enum encr_alg)a, (uint16_t)bits);
		if (!info->has_key_len)
			names_add_encr(n, (enum encr_alg)a, info->key_bits);
	}
}

static void write_algorithms(const struct writer *w)
{
	struct names n = { .w = w };

	write_heading(w, "algorithms");
	write_text(w, "The words that proposals are made of. Several of a kind in one proposal "
		      "stand for all their combinations: aes256-aes128-sha256-modp2048 is two. "
		      "A phase 2 proposal needs integrity: a hash, or a cipher that brings its "
		      "own (gcm, gmac).");
	if (!w->man)
		fputc('\n', w->f);
	names_encr(&n, true);
	names_end(&n, "phase 1 encryption");
	for (unsigned h = HASH_MD5; h < HASH_COUNT; h++)
		names_add(&n, hash_info((enum hash_alg)h)->name, hash_info((enum hash_alg)h)->weak);
	names_end(&n, "phase 1 hash");
	names_encr(&n, false);
	names_end(&n, "phase 2 encryption");
	for (unsigned a = INTEG_HMAC_MD5_96; a < INTEG_COUNT; a++)
		names_add(&n, integ_info((enum integ_alg)a)->name,
			  integ_info((enum integ_alg)a)->weak);
	names_end(&n, "phase 2 integrity");
	for (uint16_t id = 1; id < 32; id++)
		if (group_info(id))
			names_add(&n, group_info(id)->name, group_info(id)->weak);
	names_end(&n, "groups of both phases");
	write_term(w, "sha256_96",
		   "HMAC-SHA-256 cut at 96 bits, as before RFC 4868, for peers that still do that: "
		   "the number on the wire is that of sha256, so both sides must be told");
}

static void write_reference(const struct writer *w)
{
	write_options(w);
	write_heading(w, "values");
	if (!w->man)
		fputc('\n', w->f);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		write_term(w, kinds[i][0], kinds[i][1]);
	write_algorithms(w);
	write_heading(w, "example");
	write_text(w, "A gateway with one tunnel:");
	write_code(w, config_reference_example);
}

void config_reference_markdown(FILE *f)
{
	struct writer w = { .f = f };

	fprintf(f, "# shrike.yaml\n\n%s\n", intro);
	write_reference(&w);
}

void config_reference_man(FILE *f)
{
	struct writer w = { .f = f, .man = true };

	man_begin(f, "shrike.yaml", 5, "configuration of shrike");
	man_heading(f, "Description");
	man_text(f, intro);
	write_reference(&w);
	man_end(f, "shrike(8), shrikectl(1)");
}
