/* Text that grows, and JSON in it without building a document first. */
#ifndef SHRIKE_TEXT_H
#define SHRIKE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text { /* zeroed: empty */
	char *p;
	size_t len, cap;
	bool failed; /* there was no memory: p ends somewhere */
};

void text_free(struct text *t);
void text_add(struct text *t, const char *p, size_t len);
void text_put(struct text *t, const char *s); /* as it is */
/* A JSON string with its quotes; bytes that are no UTF-8 become their code points. */
void text_json(struct text *t, const char *s);
void text_number(struct text *t, uint64_t v);
/* v / 10^digits as a decimal fraction, digits 1..9: text_fraction(t, 12500, 3) is 12.500 */
void text_fraction(struct text *t, uint64_t v, unsigned digits);

#endif
