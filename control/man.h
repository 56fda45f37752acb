/* Writing manual pages (troff, man macros), and what a command says about itself: one description
 * makes both its --help and its page. */
#ifndef SHRIKE_MAN_H
#define SHRIKE_MAN_H

#include <stddef.h>
#include <stdio.h>

/* A page's start: "SHRIKE.YAML", 5, "shrike.yaml \- configuration of shrike(8)". */
void man_begin(FILE *f, const char *name, unsigned section, const char *what);
void man_heading(FILE *f, const char *text);
void man_subheading(FILE *f, const char *text);
/* Filled text, right below a heading. */
void man_text(FILE *f, const char *text);
/* A further paragraph. */
void man_paragraph(FILE *f, const char *text);
/* An indented paragraph below a bold term. */
void man_term(FILE *f, const char *term, const char *text);
/* Lines as they are; they stand in the paragraph of the term before. */
void man_verbatim(FILE *f, const char *lines);
/* See also: "shrike(8), shrikectl(1)". */
void man_end(FILE *f, const char *see_also);

struct usage_entry {
	const char *term; /* "-c, --config FILE"; NULL ends the list */
	const char *meaning;
};

struct usage_group {
	const char *heading; /* "Options"; NULL ends the list */
	const char *text;    /* a paragraph behind the entries, or NULL */
	const struct usage_entry *entries;
};

struct usage {
	const char *name; /* "shrike" */
	unsigned section;
	const char *what;            /* "IPsec gateway with a data plane of its own" */
	const char *const *synopsis; /* what may follow the name, one a line; NULL at the end */
	const char *text;            /* a paragraph */
	const struct usage_group *groups;
	const char *see_also;
};

void usage_print(const struct usage *u, FILE *f);
void usage_man(const struct usage *u, FILE *f);

#endif
