/* Text in aligned columns, for people. */
#ifndef SHRIKE_TABLE_H
#define SHRIKE_TABLE_H

#include <stddef.h>
#include <stdio.h>

#define TABLE_COLUMNS 16

struct table {
	unsigned columns, right; /* right: bit i = column i is a number, flush right */
	size_t rows, cap;
	char **cell; /* rows * columns, owned */
};

/* The first row is the heading. */
void table_begin(struct table *t, unsigned columns, unsigned right);
/* Adds the next cell; NULL counts as "". */
__attribute__((format(printf, 2, 3))) void table_cell(struct table *t, const char *fmt, ...);
/* Prints and frees. */
void table_print(struct table *t, FILE *f);

/* Short forms: "1h 2m", "41s", "-" for nothing; "1.4 GB". buf is returned. */
const char *text_seconds(double s, char *buf, size_t size);
const char *text_bytes(double bytes, char *buf, size_t size);

#endif
