#include "text.h"

#include <stdlib.h>
#include <string.h>

void text_free(struct text *t)
{
	free(t->p);
	*t = (struct text){ 0 };
}

void text_add(struct text *t, const char *p, size_t len)
{
	if (t->failed)
		return;
	if (len > t->cap - t->len) {
		size_t cap = t->cap ? t->cap : 1024;
		while (cap - t->len < len)
			cap *= 2;
		char *grown = realloc(t->p, cap);
		if (!grown) {
			t->failed = true;
			return;
		}
		t->p = grown;
		t->cap = cap;
	}
	if (len)
		memcpy(t->p + t->len, p, len);
	t->len += len;
}

void text_put(struct text *t, const char *s)
{
	text_add(t, s, strlen(s));
}

/* Bytes of the UTF-8 sequence that s begins with, by RFC 3629 section 4; 0: it is none. */
static size_t utf8_len(const uint8_t *s)
{
	size_t n = s[0] < 0x80                   ? 1
		   : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
		   : s[0] >> 4 == 0xe            ? 3
		   : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
						 : 0;

	for (size_t i = 1; i < n; i++)
		if (s[i] >> 6 != 2) /* also where the text ends */
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

static void escape(struct text *t, uint8_t c)
{
	static const char digits[] = "0123456789abcdef";
	char code[6] = { '\\', 'u', '0', '0', digits[c >> 4], digits[c & 15] };

	text_add(t, code, sizeof(code));
}

void text_json(struct text *t, const char *s)
{
	const uint8_t *p = (const uint8_t *)s, *plain = p;
	size_t n;

	text_put(t, "\"");
	while (*p) {
		n = utf8_len(p);
		if (n && *p >= 0x20 && *p != '"' && *p != '\\') {
			p += n;
			continue;
		}
		text_add(t, (const char *)plain, (size_t)(p - plain));
		escape(t, *p++);
		plain = p;
	}
	text_add(t, (const char *)plain, (size_t)(p - plain));
	text_put(t, "\"");
}

void text_number(struct text *t, uint64_t v)
{
	char buf[20], *p = buf + sizeof(buf);

	do {
		*--p = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	text_add(t, p, (size_t)(buf + sizeof(buf) - p));
}

void text_fraction(struct text *t, uint64_t v, unsigned digits)
{
	char buf[10] = ".";
	uint64_t whole = v;

	for (unsigned i = digits; i > 0; i--) {
		buf[i] = (char)('0' + whole % 10);
		whole /= 10;
	}
	text_number(t, whole);
	text_add(t, buf, digits + 1);
}
