/* "shrikectl why": diagnoses and timelines for people. */
#include <stdio.h>
#include <string.h>

#include "shrikectl.h"
#include "table.h"

static const char *str(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static double num(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

static void show_steps(const json_t *steps, const char *indent)
{
	struct table t;
	size_t i;
	json_t *s;

	table_begin(&t, 3, 1);
	json_array_foreach((json_t *)steps, i, s)
	{
		const char *kind = str(s, "kind"), *child = str(s, "child");
		bool note = strcmp(kind, "note") == 0;
		table_cell(&t, "%s%.3f s ago", indent, num(s, "age"));
		table_cell(&t, "%s", note ? "" : kind);
		table_cell(&t, "%s%s%s", child, child[0] ? ": " : "", str(s, "text"));
	}
	table_print(&t, stdout);
}

static void show_differences(const json_t *list)
{
	struct table t;
	size_t i;
	json_t *d;

	if (json_array_size(list) == 0)
		return;
	table_begin(&t, 3, 0);
	table_cell(&t, "  DIFFERS IN");
	table_cell(&t, "OURS");
	table_cell(&t, "THE PEER'S");
	json_array_foreach((json_t *)list, i, d)
	{
		table_cell(&t, "  %s", str(d, "what"));
		table_cell(&t, "%s", str(d, "ours"));
		table_cell(&t, "%s", str(d, "theirs"));
	}
	table_print(&t, stdout);
	printf("\n");
}

static void show_mend(const json_t *d)
{
	const json_t *mend = json_object_get(d, "mend"), *lines = json_object_get(mend, "lines");
	const char *remedy = str(d, "remedy");
	size_t i;
	json_t *line;

	if (json_array_size(lines)) {
		printf("  To mend it in the configuration, %s:\n", str(mend, "where"));
		json_array_foreach((json_t *)lines, i, line)
			printf("      %s\n", json_string_value(line));
	}
	if (remedy[0])
		printf("  %s: %s\n", json_array_size(lines) ? "Or" : "To mend it", remedy);
	if (json_array_size(lines) || remedy[0])
		printf("\n");
}

static void show_diagnosis(const char *peer, const json_t *d)
{
	const json_t *ended = json_object_get(d, "ended");
	bool degraded = json_is_true(json_object_get(d, "degraded"));
	const char *child = str(d, "child");
	char since[32], age[32], end[32];

	printf("%s%s%s: %s, %s, for %s", peer, child[0] ? "/" : "", child,
	       json_is_number(ended) ? "was wrong"
	       : degraded            ? "works, but not as it should"
				     : "fails",
	       str(d, "code"), text_seconds(num(d, "since"), since, sizeof(since)));
	if (num(d, "times") > 1)
		printf(" (%.0f times, last %s ago)", num(d, "times"),
		       text_seconds(num(d, "age"), age, sizeof(age)));
	if (json_is_number(ended))
		printf("; well again since %s",
		       text_seconds(json_number_value(ended), end, sizeof(end)));
	printf("\n\n  %s%s\n\n", json_is_true(json_object_get(d, "certain")) ? "" : "(probably) ",
	       str(d, "text"));
	show_differences(json_object_get(d, "differences"));
	show_mend(d);
	show_steps(json_object_get(d, "steps"), "  ");
	printf("\n");
}

void show_why(const json_t *reply)
{
	const json_t *steps = json_object_get(reply, "steps"),
		     *diagnoses = json_object_get(reply, "diagnoses");
	const char *error = str(reply, "last_error");
	size_t i;
	json_t *d;

	json_array_foreach((json_t *)diagnoses, i, d) show_diagnosis(str(reply, "name"), d);
	if (json_array_size(steps) == 0)
		printf("Nothing has happened yet.\n");
	else if (json_array_size(diagnoses))
		printf("The last steps with %s:\n", str(reply, "name"));
	show_steps(steps, "");
	if (strlen(error) > 1)
		printf("\nLast error: %s\n", error);
}
