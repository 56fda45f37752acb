#include "man.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#define WIDTH          78 /* of --help */
#define MEANING_COLUMN 27

/* Characters that troff would take for its own. */
static void put_text(FILE *f, const char *text)
{
	for (const char *p = text; *p; p++) {
		bool line_start = p == text || p[-1] == '\n';
		if (line_start && (*p == '.' || *p == '\''))
			fputs("\\&", f);
		if (*p == '\\')
			fputs("\\e", f);
		else if (*p == '-')
			fputs("\\-", f);
		else
			fputc(*p, f);
	}
}

static void put_upper(FILE *f, const char *text)
{
	for (; *text; text++)
		fputc(toupper((unsigned char)*text), f);
}

void man_begin(FILE *f, const char *name, unsigned section, const char *what)
{
	fputs(".TH ", f);
	put_upper(f, name);
	fprintf(f, " %u \"\" \"shrike " SHRIKE_VERSION "\" \"shrike\"\n.SH NAME\n", section);
	put_text(f, name);
	fputs(" \\- ", f);
	put_text(f, what);
	fputc('\n', f);
}

void man_heading(FILE *f, const char *text)
{
	fputs(".SH \"", f);
	put_upper(f, text);
	fputs("\"\n", f);
}

void man_subheading(FILE *f, const char *text)
{
	fputs(".SS \"", f);
	put_text(f, text);
	fputs("\"\n", f);
}

void man_text(FILE *f, const char *text)
{
	put_text(f, text);
	fputc('\n', f);
}

void man_paragraph(FILE *f, const char *text)
{
	fputs(".PP\n", f);
	man_text(f, text);
}

void man_term(FILE *f, const char *term, const char *text)
{
	fputs(".TP\n.B \"", f);
	put_text(f, term);
	fputs("\"\n", f);
	put_text(f, text);
	fputc('\n', f);
}

void man_verbatim(FILE *f, const char *lines)
{
	fputs(".IP\n.nf\n\\f(CW", f);
	put_text(f, lines);
	fputs("\\fR\n.fi\n", f);
}

void man_end(FILE *f, const char *see_also)
{
	man_heading(f, "See also");
	man_text(f, see_also);
}

/* Words in lines of at most WIDTH columns; the first word stands in column `indent` already. */
static void put_wrapped(FILE *f, const char *text, int indent)
{
	int column = indent;

	while (*text) {
		int len = (int)strcspn(text, " ");
		if (column > indent && column + 1 + len > WIDTH) {
			fprintf(f, "\n%*s", indent, "");
			column = indent;
		} else if (column > indent) {
			fputc(' ', f);
			column++;
		}
		fwrite(text, 1, (size_t)len, f);
		column += len;
		text += len + (text[len] == ' ');
	}
	fputc('\n', f);
}

static void print_entry(FILE *f, const struct usage_entry *e)
{
	int column = 2 + (int)strlen(e->term);

	fprintf(f, "  %s", e->term);
	if (column + 2 > MEANING_COLUMN) {
		fputc('\n', f);
		column = 0;
	}
	fprintf(f, "%*s", MEANING_COLUMN - column, "");
	put_wrapped(f, e->meaning, MEANING_COLUMN);
}

void usage_print(const struct usage *u, FILE *f)
{
	for (const char *const *s = u->synopsis; *s; s++)
		fprintf(f, "%s %s %s\n", s == u->synopsis ? "Usage:" : "      ", u->name, *s);
	fputc('\n', f);
	put_wrapped(f, u->text, 0);
	for (const struct usage_group *g = u->groups; g->heading; g++) {
		fprintf(f, "\n%s:\n", g->heading);
		for (const struct usage_entry *e = g->entries; e->term; e++)
			print_entry(f, e);
		if (g->text) {
			fputc('\n', f);
			put_wrapped(f, g->text, 0);
		}
	}
}

void usage_man(const struct usage *u, FILE *f)
{
	man_begin(f, u->name, u->section, u->what);
	man_heading(f, "Synopsis");
	for (const char *const *s = u->synopsis; *s; s++) {
		fprintf(f, "%s.B %s\n", s == u->synopsis ? "" : ".br\n", u->name);
		man_text(f, *s);
	}
	man_heading(f, "Description");
	man_text(f, u->text);
	for (const struct usage_group *g = u->groups; g->heading; g++) {
		man_heading(f, g->heading);
		for (const struct usage_entry *e = g->entries; e->term; e++)
			man_term(f, e->term, e->meaning);
		if (g->text)
			man_paragraph(f, g->text);
	}
	man_end(f, u->see_also);
}
