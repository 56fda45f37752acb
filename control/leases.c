#include "leases.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "stats_doc.h"

#define LEASES_VERSION 1

static void add(void *ctx, const struct ike_lease *l)
{
	char text[ADDR_STR_LEN];

	json_array_append_new(ctx, json_pack("{s:s, s:s%, s:s, s:I}", "peer", l->peer, "user",
					     l->user, strlen(l->user), "address",
					     ip_addr_str(&l->address, text, sizeof(text)), "last",
					     (json_int_t)l->last_s));
}

int leases_save(struct ike *ike, const char *file)
{
	json_t *list = json_array(), *doc;
	int rc;

	ike_lease_foreach(ike, add, list);
	doc = json_pack("{s:i, s:o}", "version", LEASES_VERSION, "leases", list);
	rc = doc ? stats_write(file, doc) : -ENOMEM;
	json_decref(doc);
	return rc;
}

static bool restore(struct ike *ike, const json_t *o)
{
	const char *peer = json_string_value(json_object_get(o, "peer"));
	const char *user = json_string_value(json_object_get(o, "user"));
	const char *text = json_string_value(json_object_get(o, "address"));
	json_int_t last = json_integer_value(json_object_get(o, "last"));
	struct ip_addr a;

	return peer && user && text && ip_addr_parse(text, &a) == 0 &&
	       ike_lease_restore(ike, peer, user, &a, last) == 0;
}

int leases_load(struct ike *ike, const char *file, char *why, size_t why_size)
{
	json_error_t error;
	json_t *doc, *list, *o;
	int n = 0;
	size_t i;

	if (access(file, F_OK) != 0)
		return -ENOENT;
	doc = json_load_file(file, 0, &error);
	list = json_object_get(doc, "leases");
	if (!json_is_array(list) ||
	    json_integer_value(json_object_get(doc, "version")) != LEASES_VERSION) {
		snprintf(why, why_size, "%s is no file of leases%s%s", file, doc ? "" : ": ",
			 doc ? "" : error.text);
		json_decref(doc);
		return -EINVAL;
	}
	json_array_foreach(list, i, o) n += restore(ike, o);
	json_decref(doc);
	return n;
}
