#include "config_check.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_value.h"

struct where where_at(const char *fmt, ...)
{
	struct where w = { .index = -1 };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(w.base, sizeof(w.base), fmt, ap);
	va_end(ap);
	return w;
}

struct where where_key(struct where w, const char *key)
{
	w.key = key;
	w.index = -1;
	return w;
}

struct where where_item(struct where w, const char *key, unsigned index)
{
	w.key = key;
	w.index = (int)index;
	return w;
}

static unsigned where_line(const struct check *c, const struct where *w)
{
	char path[128];
	int n = snprintf(path, sizeof(path), "%s%s%s", w->base, w->key && w->base[0] ? "." : "",
			 w->key ? w->key : "");

	if (w->index >= 0 && n > 0 && (size_t)n < sizeof(path))
		snprintf(path + n, sizeof(path) - (size_t)n, "[%d]", w->index);
	return config_doc_line(c->doc, path);
}

static void check_note(struct check *c, const struct where *w, bool warning, const char *fmt,
		       va_list ap)
{
	char text[1024];

	vsnprintf(text, sizeof(text), fmt, ap);
	config_report_add(c->report, where_line(c, w), warning, "%s", text);
}

void check_error(struct check *c, struct where w, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	check_note(c, &w, false, fmt, ap);
	va_end(ap);
}

void check_warn(struct check *c, struct where w, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	check_note(c, &w, true, fmt, ap);
	va_end(ap);
}

bool check_number(struct check *c, struct where w, const char *text, uint64_t min, uint64_t max,
		  uint64_t *out)
{
	uint64_t v;

	if (!text)
		return true;
	int rc = value_number(text, &v);
	if (rc == -EINVAL) {
		check_error(c, w, "'%s' is not a number", text);
		return false;
	}
	if (rc != 0 || v < min || v > max) {
		check_error(c, w, "%s must be from %llu to %llu, not %s", w.key,
			    (unsigned long long)min, (unsigned long long)max, text);
		return false;
	}
	*out = v;
	return true;
}

bool check_bool(struct check *c, struct where w, const char *text, bool *out)
{
	if (!text || value_bool(text, out) == 0)
		return true;
	check_error(c, w, "%s must be yes or no, not '%s'", w.key, text);
	return false;
}

bool check_duration(struct check *c, struct where w, const char *text, uint64_t min_ms,
		    uint64_t max_ms, uint64_t *out_ms)
{
	uint64_t v;

	if (!text)
		return true;
	int rc = value_duration(text, &v);
	if (rc == -EINVAL) {
		if (value_number(text, &v) == 0)
			check_error(c, w, "%s: '%s' has no unit, write %ss for seconds", w.key,
				    text, text);
		else
			check_error(c, w,
				    "%s: '%s' is not a duration; write a number and one of ms, s, "
				    "m, h, d, like 8h",
				    w.key, text);
		return false;
	}
	if (rc != 0 || v < min_ms || v > max_ms) {
		check_error(c, w, "%s must be from %gs to %gs, not %s", w.key, (double)min_ms / 1000,
			    (double)max_ms / 1000, text);
		return false;
	}
	*out_ms = v;
	return true;
}

bool check_size(struct check *c, struct where w, const char *text, uint64_t min, uint64_t max,
		uint64_t *out)
{
	uint64_t v;

	if (!text)
		return true;
	int rc = value_size(text, &v);
	if (rc == -EINVAL) {
		check_error(c, w, "%s: '%s' is not a size; write a number and K, M, G or T, like 512M",
			    w.key, text);
		return false;
	}
	if (rc != 0 || v < min || v > max) {
		check_error(c, w, "%s must be from %llu to %llu bytes, not %s", w.key,
			    (unsigned long long)min, (unsigned long long)max, text);
		return false;
	}
	*out = v;
	return true;
}

bool check_path(struct check *c, struct where w, const char *text, char *out, size_t size)
{
	if (strlen(text) >= CONFIG_PATH_MAX) {
		check_error(c, w, "the file's name is too long");
		return false;
	}
	snprintf(out, size, "%s%s", text[0] == '/' ? "" : c->dir, text);
	return true;
}

bool check_text(struct check *c, struct where w, const char *text, char *out, size_t size)
{
	if (!text)
		return true;
	if (strlen(text) >= size) {
		check_error(c, w, "%s is longer than %zu characters", w.key, size - 1);
		return false;
	}
	strcpy(out, text);
	return true;
}

bool check_name(struct check *c, struct where w, const char *text, char *out, size_t size)
{
	if (!text)
		return true;
	if (!value_is_name(text, size - 1)) {
		check_error(c, w,
			    "'%s' is not a name: 1 to %zu letters, digits, '.', '_' and '-'", text,
			    size - 1);
		return false;
	}
	strcpy(out, text);
	return true;
}

bool check_word(struct check *c, struct where w, const char *text, const char *const *words,
		unsigned n, unsigned *out)
{
	char all[128] = "";
	size_t used = 0;

	if (!text)
		return true;
	for (unsigned i = 0; i < n; i++) {
		if (strcmp(words[i], text) == 0) {
			*out = i;
			return true;
		}
		if (used < sizeof(all))
			used += (size_t)snprintf(all + used, sizeof(all) - used, "%s%s",
						 i == 0	    ? "" :
						 i == n - 1 ? " or " :
							      ", ",
						 words[i]);
	}
	check_error(c, w, "%s must be %s, not '%s'", w.key, all, text);
	return false;
}

bool check_addr(struct check *c, struct where w, const char *text, struct ip_addr *out)
{
	if (!text)
		return true;
	if (ip_addr_parse(text, out) != 0) {
		check_error(c, w, "'%s' is not an address", text);
		return false;
	}
	return true;
}

static bool host_bits_error(struct check *c, struct where w, const char *text)
{
	const char *slash = strrchr(text, '/');
	struct ip_prefix p;
	char good[RANGE_STR_LEN] = "";

	if (slash && value_interface(text, &p) == 0) {
		struct ip_range r = ip_range_from_prefix(&p);
		ip_range_str(&r, good, sizeof(good));
	}
	check_error(c, w, "'%s' has bits set to the right of its mask, did you mean %s?", text,
		    good);
	return false;
}

bool check_prefix(struct check *c, struct where w, const char *text, struct ip_prefix *out)
{
	if (!text)
		return true;
	int rc = ip_prefix_parse(text, out);
	if (rc == -EDOM)
		return host_bits_error(c, w, text);
	if (rc != 0) {
		check_error(c, w, "'%s' is not a network, like 10.1.0.0/24", text);
		return false;
	}
	return true;
}

bool check_range(struct check *c, struct where w, const char *text, struct ip_range *out)
{
	if (!text)
		return true;
	if (strcmp(text, "any") == 0)
		text = "0.0.0.0/0";
	int rc = ip_range_parse(text, out);
	if (rc == -EDOM)
		return host_bits_error(c, w, text);
	if (rc != 0) {
		check_error(c, w,
			    "'%s' is not a network (10.1.0.0/24), a range (10.1.0.1-10.1.0.9), an "
			    "address or 'any'",
			    text);
		return false;
	}
	return true;
}

struct named {
	const char *name;
	unsigned index;
};

static int named_cmp(const void *a, const void *b)
{
	const struct named *x = a, *y = b;
	int c = strcmp(x->name, y->name);

	return c ? c : (x->index > y->index) - (x->index < y->index);
}

void check_unique(struct check *c, const char *list, const char *const *names, size_t n)
{
	struct named *sorted = calloc(n + 1, sizeof(*sorted));
	size_t used = 0;

	if (!sorted)
		abort();
	for (size_t i = 0; i < n; i++)
		if (names[i])
			sorted[used++] = (struct named){ names[i], (unsigned)i };
	qsort(sorted, used, sizeof(*sorted), named_cmp);
	for (size_t i = 1; i < used; i++) {
		if (strcmp(sorted[i].name, sorted[i - 1].name) != 0)
			continue;
		struct where first = where_at("%s[%u].name", list, sorted[i - 1].index);
		check_error(c, where_key(where_at("%s[%u]", list, sorted[i].index), "name"),
			    "the name '%s' is taken already, in line %u", sorted[i].name,
			    where_line(c, &first));
	}
	free(sorted);
}
