/* The reference of the configuration file: one table that the printed reference, the manual page
 * shrike.yaml(5) and a test read. The test compares it with config_schema.c in both directions and
 * loads every example, so an option without an entry here does not pass. */
#ifndef SHRIKE_CONFIG_REFERENCE_H
#define SHRIKE_CONFIG_REFERENCE_H

#include <stddef.h>
#include <stdio.h>

/* All texts are plain: no markup, no line breaks except in examples. */
struct config_option {
	/* The keys from the top, "[]" behind those that are lists of sets of keys:
	 * "peers[].children[].mode". A path whose options follow ("peers[]") is a section. */
	const char *path;
	const char *type;  /* "duration", "list of networks"; NULL for a section */
	const char *value; /* the default as it would be written, NULL: none that can be written */
	const char *otherwise; /* what holds without the option, when value is NULL; NULL: needed */
	const char *meaning;   /* sentences */
	const char *example; /* its line, after those of other options of the section that it needs;
			      * NULL for a section */
};

/* In the order of the reference: a section before its options, its own options before sections
 * below it. */
extern const struct config_option config_options[];
extern const size_t config_options_n;
/* A whole file, without the secrets and certificates that it names. */
extern const char config_reference_example[];

/* The reference as Markdown, and as the manual page shrike.yaml(5). */
void config_reference_markdown(FILE *f);
void config_reference_man(FILE *f);

#endif
