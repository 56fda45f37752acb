#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void config_report_add(struct config_report *r, unsigned line, bool warning, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	if (r->n == r->cap) {
		size_t cap = r->cap ? 2 * r->cap : 16;
		struct config_note *notes = realloc(r->notes, cap * sizeof(*notes));
		if (!notes)
			abort(); /* a report that loses errors would let a bad file pass */
		r->notes = notes;
		r->cap = cap;
	}
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	va_end(ap);
	r->notes[r->n++] = (struct config_note){ .line = line, .warning = warning, .text = text };
	if (warning)
		r->warnings++;
	else
		r->errors++;
}

/* Insertion sort: stable, and reports are short. */
void config_report_sort(struct config_report *r)
{
	for (size_t i = 1; i < r->n; i++) {
		struct config_note note = r->notes[i];
		size_t j = i;
		for (; j > 0 && r->notes[j - 1].line > note.line; j--)
			r->notes[j] = r->notes[j - 1];
		r->notes[j] = note;
	}
}

void config_report_each(const struct config_report *r, const char *file,
			void (*fn)(void *ctx, bool warning, const char *line), void *ctx)
{
	for (size_t i = 0; i < r->n; i++) {
		const struct config_note *note = &r->notes[i];
		char where[CONFIG_PATH_MAX + 16], *line = NULL;

		if (note->line)
			snprintf(where, sizeof(where), "%s:%u", file, note->line);
		else
			snprintf(where, sizeof(where), "%s", file);
		if (asprintf(&line, "%s: %s%s", where, note->warning ? "warning: " : "",
			     note->text) < 0)
			abort();
		fn(ctx, note->warning, line);
		free(line);
	}
}

void config_report_free(struct config_report *r)
{
	for (size_t i = 0; i < r->n; i++)
		free(r->notes[i].text);
	free(r->notes);
	*r = (struct config_report){ 0 };
}
