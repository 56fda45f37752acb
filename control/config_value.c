#include "config_value.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The digits at the start of text; *end is the first character after them. */
static int leading_number(const char *text, uint64_t *out, const char **end)
{
	uint64_t v = 0;
	const char *p = text;

	for (; *p >= '0' && *p <= '9'; p++) {
		unsigned digit = (unsigned)(*p - '0');
		if (v > (UINT64_MAX - digit) / 10)
			return -ERANGE;
		v = v * 10 + digit;
	}
	if (p == text)
		return -EINVAL;
	*out = v;
	*end = p;
	return 0;
}

int value_number(const char *text, uint64_t *out)
{
	const char *end;
	uint64_t v;
	int rc = leading_number(text, &v, &end);

	if (rc != 0)
		return rc;
	if (*end)
		return -EINVAL;
	*out = v;
	return 0;
}

int value_bool(const char *text, bool *out)
{
	static const char *const yes[] = { "yes", "true", "on" }, *const no[] = { "no", "false",
										   "off" };

	for (unsigned i = 0; i < 3; i++) {
		if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
			*out = strcmp(text, yes[i]) == 0;
			return 0;
		}
	}
	return -EINVAL;
}

struct unit {
	const char *name;
	uint64_t factor;
};

static int number_with_unit(const char *text, const struct unit *units, size_t n, uint64_t *out)
{
	const char *end;
	uint64_t v;
	int rc = leading_number(text, &v, &end);

	if (rc != 0)
		return rc;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(end, units[i].name) != 0)
			continue;
		if (v > UINT64_MAX / units[i].factor)
			return -ERANGE;
		*out = v * units[i].factor;
		return 0;
	}
	return -EINVAL;
}

int value_duration(const char *text, uint64_t *ms)
{
	static const struct unit units[] = {
		{ "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 },
	};

	if (strcmp(text, "0") == 0) {
		*ms = 0;
		return 0;
	}
	return number_with_unit(text, units, sizeof(units) / sizeof(units[0]), ms);
}

int value_size(const char *text, uint64_t *bytes)
{
	static const struct unit units[] = {
		{ "", 1 },	     { "K", 1ull << 10 }, { "M", 1ull << 20 },
		{ "G", 1ull << 30 }, { "T", 1ull << 40 },
	};

	return number_with_unit(text, units, sizeof(units) / sizeof(units[0]), bytes);
}

int value_interface(const char *text, struct ip_prefix *out)
{
	char buf[ADDR_STR_LEN];
	const char *slash = strchr(text, '/');
	struct ip_prefix p;
	uint64_t len;

	if (!slash || (size_t)(slash - text) >= sizeof(buf))
		return -EINVAL;
	snprintf(buf, sizeof(buf), "%.*s", (int)(slash - text), text);
	if (ip_addr_parse(buf, &p.addr) != 0 || value_number(slash + 1, &len) != 0 ||
	    len > ip_addr_len(&p.addr) * 8)
		return -EINVAL;
	p.len = (uint8_t)len;
	*out = p;
	return 0;
}

int value_protocol(const char *text, uint8_t *out)
{
	static const struct {
		const char *name;
		uint8_t number;
	} known[] = {
		{ "any", 0 },  { "icmp", 1 }, { "igmp", 2 }, { "tcp", 6 },
		{ "udp", 17 }, { "gre", 47 }, { "ospf", 89 }, { "sctp", 132 }, { "icmpv6", 58 },
	};
	uint64_t v;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(known[i].name, text) == 0) {
			*out = known[i].number;
			return 0;
		}
	}
	int rc = value_number(text, &v);
	if (rc != 0)
		return rc;
	if (v > 255)
		return -ERANGE;
	*out = (uint8_t)v;
	return 0;
}

bool value_is_name(const char *text, size_t max)
{
	size_t n = strlen(text);

	return n > 0 && n <= max &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
		       n;
}
