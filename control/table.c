#include "table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void table_begin(struct table *t, unsigned columns, unsigned right)
{
	*t = (struct table){ .columns = columns, .right = right };
}

void table_cell(struct table *t, const char *fmt, ...)
{
	va_list ap;

	if (t->rows == t->cap) {
		t->cap = t->cap ? 2 * t->cap : 64;
		t->cell = realloc(t->cell, t->cap * sizeof(*t->cell));
		if (!t->cell)
			abort();
	}
	va_start(ap, fmt);
	if (vasprintf(&t->cell[t->rows++], fmt, ap) < 0)
		abort();
	va_end(ap);
}

void table_print(struct table *t, FILE *f)
{
	size_t width[TABLE_COLUMNS] = { 0 };

	for (size_t i = 0; i < t->rows; i++) {
		size_t len = strlen(t->cell[i]);
		if (len > width[i % t->columns])
			width[i % t->columns] = len;
	}
	for (size_t i = 0; i < t->rows; i++) {
		unsigned col = (unsigned)(i % t->columns);
		int w = (int)width[col];
		if (col + 1 == t->columns && !(t->right >> col & 1))
			fprintf(f, "%s\n", t->cell[i]);
		else
			fprintf(f, t->right >> col & 1 ? "%*s%s" : "%-*s%s", w, t->cell[i],
				col + 1 == t->columns ? "\n" : "  ");
		free(t->cell[i]);
	}
	free(t->cell);
}

const char *text_seconds(double s, char *buf, size_t size)
{
	unsigned long v = s > 0 ? (unsigned long)s : 0;

	if (v >= 86400)
		snprintf(buf, size, "%lud %luh", v / 86400, v / 3600 % 24);
	else if (v >= 3600)
		snprintf(buf, size, "%luh %lum", v / 3600, v / 60 % 60);
	else if (v >= 60)
		snprintf(buf, size, "%lum %lus", v / 60, v % 60);
	else
		snprintf(buf, size, "%lus", v);
	return buf;
}

const char *text_bytes(double bytes, char *buf, size_t size)
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB" };
	unsigned u = 0;

	while (bytes >= 1000 && u + 1 < sizeof(units) / sizeof(units[0])) {
		bytes /= 1000;
		u++;
	}
	snprintf(buf, size, u ? "%.1f %s" : "%.0f %s", bytes, units[u]);
	return buf;
}
