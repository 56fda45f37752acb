#include "config_doc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned node_line(const yaml_node_t *node)
{
	return (unsigned)node->start_mark.line + 1;
}

/* True, with a note in the report, when the text uses an alias ("*name"): a few lines of those can
 * stand for millions of entries, and nothing in this file needs them. */
static bool has_alias(const uint8_t *text, size_t len, struct config_report *report)
{
	yaml_parser_t parser;
	yaml_token_t token;
	bool found = false, end = false;

	if (!yaml_parser_initialize(&parser))
		return false;
	yaml_parser_set_input_string(&parser, text, len);
	while (!end && yaml_parser_scan(&parser, &token)) {
		end = token.type == YAML_STREAM_END_TOKEN || token.type == YAML_NO_TOKEN;
		if (token.type == YAML_ALIAS_TOKEN) {
			config_report_add(report, (unsigned)token.start_mark.line + 1, false,
					  "aliases ('*%s') are not taken here: write it out",
					  token.data.alias.value);
			found = end = true;
		}
		yaml_token_delete(&token);
	}
	yaml_parser_delete(&parser);
	return found;
}

int config_doc_load(struct config_doc *doc, const uint8_t *text, size_t len,
		    struct config_report *report)
{
	yaml_parser_t parser;

	if (has_alias(text, len, report))
		return -EINVAL;
	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_input_string(&parser, text, len);
	if (!yaml_parser_load(&parser, &doc->yaml)) {
		const char *problem = parser.problem ? parser.problem : "not readable as YAML";
		config_report_add(report, (unsigned)parser.problem_mark.line + 1, false, "%s%s%s",
				  problem, parser.context ? " " : "",
				  parser.context ? parser.context : "");
		yaml_parser_delete(&parser);
		return -EINVAL;
	}
	yaml_parser_delete(&parser);
	return 0;
}

void config_doc_free(struct config_doc *doc)
{
	yaml_document_delete(&doc->yaml);
}

static yaml_node_t *node_get(const struct config_doc *doc, int id)
{
	return yaml_document_get_node((yaml_document_t *)&doc->yaml, id);
}

static bool scalar_is(const yaml_node_t *node, const char *text, size_t len)
{
	return node->type == YAML_SCALAR_NODE && node->data.scalar.length == len &&
	       memcmp(node->data.scalar.value, text, len) == 0;
}

static yaml_node_t *mapping_find(const struct config_doc *doc, const yaml_node_t *map,
				 const char *key, size_t len)
{
	if (map->type != YAML_MAPPING_NODE)
		return NULL;
	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top;
	     p++)
		if (scalar_is(node_get(doc, p->key), key, len))
			return node_get(doc, p->value);
	return NULL;
}

static yaml_node_t *sequence_get(const struct config_doc *doc, const yaml_node_t *seq, size_t i)
{
	if (seq->type != YAML_SEQUENCE_NODE)
		return NULL;
	size_t n = (size_t)(seq->data.sequence.items.top - seq->data.sequence.items.start);
	return i < n ? node_get(doc, seq->data.sequence.items.start[i]) : NULL;
}

unsigned config_doc_line(const struct config_doc *doc, const char *path)
{
	const yaml_node_t *node = yaml_document_get_root_node((yaml_document_t *)&doc->yaml);
	unsigned line = 0;

	while (node) {
		line = node_line(node);
		if (*path == '[') {
			char *end;
			unsigned long i = strtoul(path + 1, &end, 10);
			node = sequence_get(doc, node, i);
			path = *end == ']' ? end + 1 : end;
		} else {
			path += *path == '.';
			size_t len = strcspn(path, ".[");
			if (len == 0)
				break;
			node = mapping_find(doc, node, path, len);
			path += len;
		}
	}
	return line;
}

/* ------------------------------------------------------------------------------- lint ------- */

struct lint {
	const struct config_doc *doc;
	struct config_report *report;
};

#define KEY_MAX 32 /* longest key of the schema, and more */

/* Levenshtein's distance, for "did you mean"; both shorter than KEY_MAX. */
static unsigned edit_distance(const char *a, const char *b)
{
	unsigned row[KEY_MAX + 1];
	size_t lb = strlen(b);

	for (size_t j = 0; j <= lb; j++)
		row[j] = (unsigned)j;
	for (size_t i = 0; a[i]; i++) {
		unsigned diagonal = row[0];
		row[0] = (unsigned)i + 1;
		for (size_t j = 0; j < lb; j++) {
			unsigned up = row[j + 1], best = diagonal + (a[i] != b[j]);
			if (up + 1 < best)
				best = up + 1;
			if (row[j] + 1 < best)
				best = row[j] + 1;
			diagonal = up;
			row[j + 1] = best;
		}
	}
	return row[lb];
}

static const char *nearest_key(const cyaml_schema_field_t *fields, const char *key)
{
	const char *best = NULL;
	unsigned best_distance = 3;

	if (strlen(key) >= KEY_MAX)
		return NULL;
	for (; fields->key; fields++) {
		unsigned d = edit_distance(key, fields->key);
		if (d < best_distance) {
			best_distance = d;
			best = fields->key;
		}
	}
	return best;
}

static void lint_unknown_key(struct lint *l, const cyaml_schema_field_t *fields,
			     const yaml_node_t *key, const char *name)
{
	const char *near = nearest_key(fields, name);
	char known[512] = "";

	if (near) {
		config_report_add(l->report, node_line(key), false,
				  "unknown key '%s', did you mean '%s'?", name, near);
		return;
	}
	for (size_t used = 0; fields->key && used < sizeof(known); fields++)
		used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s",
					 used ? ", " : "", fields->key);
	config_report_add(l->report, node_line(key), false, "unknown key '%s', known here: %s",
			  name, known);
}

static void lint_value(struct lint *l, const cyaml_schema_value_t *schema, const yaml_node_t *node,
		       const char *name);

static void lint_mapping(struct lint *l, const cyaml_schema_value_t *schema, const yaml_node_t *node,
			 const char *name)
{
	const cyaml_schema_field_t *fields = schema->mapping.fields, *f;
	const yaml_node_pair_t *start = node->data.mapping.pairs.start,
			       *top = node->data.mapping.pairs.top;

	for (const yaml_node_pair_t *p = start; p < top; p++) {
		const yaml_node_t *key = node_get(l->doc, p->key);
		if (key->type != YAML_SCALAR_NODE) {
			config_report_add(l->report, node_line(key), false,
					  "a key must be a plain word");
			continue;
		}
		const char *text = (const char *)key->data.scalar.value;
		for (f = fields; f->key && strcmp(f->key, text) != 0; f++)
			;
		if (!f->key)
			lint_unknown_key(l, fields, key, text);
		else if (mapping_find(l->doc, node, text, strlen(text)) !=
			 node_get(l->doc, p->value))
			config_report_add(l->report, node_line(key), false,
					  "'%s' appears twice in this %s", text, name);
		else
			lint_value(l, &f->value, node_get(l->doc, p->value), text);
	}
	for (f = fields; f->key; f++)
		if (!(f->value.flags & CYAML_FLAG_OPTIONAL) &&
		    !mapping_find(l->doc, node, f->key, strlen(f->key)))
			config_report_add(l->report, node_line(node), false, "%s needs '%s'", name,
					  f->key);
}

/* The word for one entry of a list: "peer" of "peers". */
static const char *entry_word(const char *list)
{
	static const char *const words[][2] = {
		{ "ports", "port" },	   { "routes", "route" }, { "secrets", "secret" },
		{ "policies", "policy" },  { "peers", "peer" },	  { "children", "child" },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(words[i][0], list) == 0)
			return words[i][1];
	return list;
}

static void lint_sequence(struct lint *l, const cyaml_schema_value_t *schema,
			  const yaml_node_t *node, const char *name)
{
	const yaml_node_item_t *start = node->data.sequence.items.start,
			       *top = node->data.sequence.items.top;
	size_t n = (size_t)(top - start);

	if (n < schema->sequence.min || n > schema->sequence.max)
		config_report_add(l->report, node_line(node), false,
				  n ? "'%s' has too many entries" : "'%s' is an empty list", name);
	for (const yaml_node_item_t *i = start; i < top; i++)
		lint_value(l, schema->sequence.entry, node_get(l->doc, *i), entry_word(name));
}

static void lint_scalar(struct lint *l, const yaml_node_t *node, const char *name)
{
	if (node->data.scalar.length == 0 && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
		config_report_add(l->report, node_line(node), false, "'%s' has no value", name);
	else if (strlen((const char *)node->data.scalar.value) != node->data.scalar.length)
		config_report_add(l->report, node_line(node), false,
				  "'%s' holds a zero character", name);
}

static void lint_value(struct lint *l, const cyaml_schema_value_t *schema, const yaml_node_t *node,
		       const char *name)
{
	if (schema->type == CYAML_MAPPING && node->type == YAML_MAPPING_NODE)
		lint_mapping(l, schema, node, name);
	else if (schema->type == CYAML_SEQUENCE && node->type == YAML_SEQUENCE_NODE)
		lint_sequence(l, schema, node, name);
	else if (schema->type == CYAML_STRING && node->type == YAML_SCALAR_NODE)
		lint_scalar(l, node, name);
	else if (schema->type == CYAML_SEQUENCE)
		config_report_add(l->report, node_line(node), false,
				  "'%s' must be a list, like [a, b] or lines that begin with '-'",
				  name);
	else if (schema->type == CYAML_MAPPING)
		config_report_add(l->report, node_line(node), false,
				  "'%s' must be a set of 'key: value' lines", name);
	else
		config_report_add(l->report, node_line(node), false,
				  "'%s' must be a single value", name);
}

void config_doc_lint(const struct config_doc *doc, const cyaml_schema_value_t *schema,
		     struct config_report *report)
{
	struct lint l = { .doc = doc, .report = report };
	const yaml_node_t *root = yaml_document_get_root_node((yaml_document_t *)&doc->yaml);

	if (!root)
		config_report_add(report, 0, false, "the file is empty");
	else
		lint_value(&l, schema, root, "configuration");
}
