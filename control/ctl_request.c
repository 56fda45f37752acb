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
	{ "rekey", CTL_REKEY, true },
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
	rc = 0;
out:
	json_decref(request);
	return rc;
}
