/* Requests of the control socket: from untrusted text to a checked struct. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctl.h"

static const struct {
	const char *word;
	enum ctl_verb verb;
	bool needs_name;
} verbs[] = {
	{ "status", CTL_STATUS, false }, { "sa", CTL_SA, false },    { "stats", CTL_STATS, false },
	{ "why", CTL_WHY, false },	 { "up", CTL_UP, true },     { "down", CTL_DOWN, true },
	{ "rekey", CTL_REKEY, true },	 { "trace", CTL_TRACE, false },
	{ "capture", CTL_CAPTURE, false },
};

static int read_verb(const json_t *request, struct ctl_request *out, bool *needs_name, char *why,
		     size_t why_size)
{
	const char *word = json_string_value(json_object_get(request, "command"));

	for (size_t i = 0; word && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(verbs[i].word, word) == 0) {
			out->verb = verbs[i].verb;
			*needs_name = verbs[i].needs_name;
			return 0;
		}
	}
	snprintf(why, why_size, word ? "there is no such command" : "the request has no command");
	return -EINVAL;
}

static bool read_number(const json_t *request, const char *key, double lo, double hi, double *out,
			char *why, size_t why_size)
{
	const json_t *j = json_object_get(request, key);

	if (j && (!json_is_number(j) || json_number_value(j) < lo || json_number_value(j) > hi)) {
		snprintf(why, why_size, "'%s' must be a number from %.0f to %.0f", key, lo, hi);
		return false;
	}
	if (j)
		*out = json_number_value(j);
	return true;
}

/* What only trace and capture have. */
static bool read_watch(const json_t *request, struct ctl_request *out, char *why, size_t why_size)
{
	const json_t *side = json_object_get(request, "side");
	const json_t *port = json_object_get(request, "port");
	double count = out->verb == CTL_TRACE ? 10 : 1000;

	out->seconds = out->verb == CTL_TRACE ? 30 : 60;
	if (!read_number(request, "count", 1, CTL_WATCH_COUNT_MAX, &count, why, why_size) ||
	    !read_number(request, "seconds", 0.1, CTL_WATCH_SECONDS_MAX, &out->seconds, why,
			 why_size))
		return false;
	out->count = (uint32_t)count;
	if ((side || port) && out->verb == CTL_TRACE)
		snprintf(why, why_size, "a trace has neither a side nor a port");
	else if (side && port)
		snprintf(why, why_size, "a capture has either a side or a port");
	else if (side && (!json_is_string(side) || (strcmp(json_string_value(side), "plain") != 0 &&
						    strcmp(json_string_value(side), "encrypted") != 0)))
		snprintf(why, why_size, "'side' is plain or encrypted");
	else if (port && (!json_is_string(port) || json_string_length(port) == 0 ||
			  json_string_length(port) >= sizeof(out->port)))
		snprintf(why, why_size, "'port' must be the name of a port");
	else {
		if (side && json_string_value(side)[0] == 'p')
			out->side = CTL_SIDE_PLAIN;
		if (port)
			strcpy(out->port, json_string_value(port));
		return true;
	}
	return false;
}

int ctl_request_parse(const char *line, size_t len, struct ctl_request *out, char *why,
		      size_t why_size)
{
	json_error_t error;
	json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error);
	const json_t *name, *timeout;
	bool needs_name = false;
	int rc = -EINVAL;

	*out = (struct ctl_request){ .timeout_s = 15 };
	if (!json_is_object(request)) {
		snprintf(why, why_size, "a request must be one JSON object on a line");
		goto out;
	}
	rc = read_verb(request, out, &needs_name, why, why_size);
	if (rc != 0)
		goto out;
	rc = -EINVAL;
	name = json_object_get(request, "name");
	if (name && !json_is_string(name)) {
		snprintf(why, why_size, "'name' must be a text");
		goto out;
	}
	if (needs_name && (!name || json_string_length(name) == 0)) {
		snprintf(why, why_size, "this command needs the name of a peer or child");
		goto out;
	}
	if (name && json_string_length(name) >= sizeof(out->name)) {
		snprintf(why, why_size, "the name is too long");
		goto out;
	}
	if (name)
		strcpy(out->name, json_string_value(name));
	timeout = json_object_get(request, "timeout");
	if (timeout) {
		if (!json_is_number(timeout) || json_number_value(timeout) < 0 ||
		    json_number_value(timeout) > 600) {
			snprintf(why, why_size, "'timeout' must be a number from 0 to 600");
			goto out;
		}
		out->timeout_s = json_number_value(timeout);
	}
	if ((out->verb == CTL_TRACE || out->verb == CTL_CAPTURE) &&
	    !read_watch(request, out, why, why_size))
		goto out;
	rc = 0;
out:
	json_decref(request);
	return rc;
}
