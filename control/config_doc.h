/* The configuration's YAML tree, kept beside libcyaml's structs for what libcyaml does not tell: the
 * line of any value, and all mistakes of shape at once instead of the first. */
#ifndef SHRIKE_CONFIG_DOC_H
#define SHRIKE_CONFIG_DOC_H

#include <cyaml/cyaml.h>
#include <stddef.h>
#include <stdint.h>
#include <yaml.h>

#include "config.h"

struct config_doc {
	yaml_document_t yaml;
};

/* Parses text (borrowed for the call). Returns 0, or -EINVAL with the reason in the report; then
 * there is nothing to free. */
int config_doc_load(struct config_doc *doc, const uint8_t *text, size_t len,
		    struct config_report *report);
void config_doc_free(struct config_doc *doc);

/* The line (1-based) of the value at a path such as "peers[0].children[1].local[0]"; where the path
 * ends early, of its longest part that exists. 0 for an empty document. */
unsigned config_doc_line(const struct config_doc *doc, const char *path);

/* Compares the tree with a libcyaml schema (mappings, lists and texts only) and reports every
 * unknown, repeated or missing key, and every value of the wrong kind. */
void config_doc_lint(const struct config_doc *doc, const cyaml_schema_value_t *schema,
		     struct config_report *report);

#endif
