/* Timelines and what they remember of failures. */
#include <criterion/criterion.h>
#include <string.h>

#include "timeline.h"

#define SEC 1000000ull

static struct ike_diagnosis diagnosis(enum ike_diag code, const char *child, const char *text)
{
	struct ike_diagnosis d = { .code = code, .n_diff = 1 };

	snprintf(d.child, sizeof(d.child), "%s", child);
	snprintf(d.text, sizeof(d.text), "%s", text);
	strcpy(d.mend, "local: [10.1.0.0/24]\nprotocol: 6");
	strcpy(d.diff[0].what, "GROUP");
	strcpy(d.diff[0].ours, "modp2048");
	strcpy(d.diff[0].theirs, "none");
	return d;
}

static bool add(struct timelines *t, enum ike_event_type type, const char *child, const char *text,
		const struct ike_diagnosis *d, uint64_t at)
{
	struct ike_event ev = {
		.type = type, .peer = "gw-b", .child = child, .text = text, .diagnosis = d
	};

	return timelines_add(t, &ev, at);
}

static json_t *get(json_t *list, size_t i, const char *key)
{
	json_t *v = json_object_get(json_array_get(list, i), key);

	cr_assert_not_null(v, "entry %zu has no %s", i, key);
	return v;
}

Test(timeline, a_diagnosis_keeps_its_steps)
{
	struct timelines *t = timelines_new();
	struct ike_diagnosis d = diagnosis(IKE_DIAG_PFS, "net", "only GROUP differs");

	for (unsigned i = 0; i < 40; i++)
		add(t, IKE_EV_NOTE, "", i < 39 ? "a step" : "the last step", NULL, i);
	cr_expect(add(t, IKE_EV_CHILD_FAILED, "net", d.text, &d, SEC));
	for (unsigned i = 0; i < 2 * TIMELINE_STEPS; i++) /* all of the ring */
		add(t, IKE_EV_NOTE, "", "something else", NULL, 2 * SEC);
	json_t *list = timelines_diagnoses(t, "gw-b", 4 * SEC), *steps;
	cr_assert_eq(json_array_size(list), 1);
	cr_expect_str_eq(json_string_value(get(list, 0, "code")), "pfs");
	cr_expect_str_eq(json_string_value(get(list, 0, "child")), "net");
	cr_expect_eq(json_real_value(get(list, 0, "age")), 3.0);
	cr_expect(json_is_null(get(list, 0, "ended")));
	cr_expect(json_is_true(get(list, 0, "certain")));
	json_t *lines = json_object_get(get(list, 0, "mend"), "lines");
	cr_assert_eq(json_array_size(lines), 2);
	cr_expect_str_eq(json_string_value(json_array_get(lines, 1)), "protocol: 6");
	json_t *diff = json_array_get(get(list, 0, "differences"), 0);
	cr_expect_str_eq(json_string_value(json_object_get(diff, "theirs")), "none");
	steps = get(list, 0, "steps");
	cr_expect_gt(json_array_size(steps), 20);
	cr_expect_str_eq(json_string_value(get(steps, json_array_size(steps) - 2, "text")),
			 "the last step");
	json_decref(list);
	timelines_free(t);
}

Test(timeline, the_same_again_is_no_news)
{
	struct timelines *t = timelines_new();
	struct ike_diagnosis d = diagnosis(IKE_DIAG_PSK, "", "wrong"), other = d;

	cr_expect(add(t, IKE_EV_NOTE, "", d.text, &d, SEC));
	cr_expect_not(add(t, IKE_EV_NOTE, "", d.text, &d, 2 * SEC));
	strcpy(other.text, "more is known");
	cr_expect(add(t, IKE_EV_NOTE, "", other.text, &other, 3 * SEC));
	cr_expect_not(add(t, IKE_EV_NOTE, "", other.text, &other, 4 * SEC));
	cr_expect(add(t, IKE_EV_NOTE, "", other.text, &other, 4 * SEC + TIMELINE_NEWS_US));
	json_t *list = timelines_diagnoses(t, "gw-b", 5 * SEC + TIMELINE_NEWS_US);
	cr_assert_eq(json_array_size(list), 1);
	cr_expect_eq(json_integer_value(get(list, 0, "times")), 5);
	json_decref(list);
	timelines_free(t);
}

Test(timeline, success_ends_what_it_disproves)
{
	struct timelines *t = timelines_new();
	struct ike_diagnosis phase1 = diagnosis(IKE_DIAG_PSK, "", "phase 1"),
			     net = diagnosis(IKE_DIAG_PFS, "net", "net"),
			     other = diagnosis(IKE_DIAG_PFS, "other", "other");

	add(t, IKE_EV_PHASE1_FAILED, "", phase1.text, &phase1, SEC);
	add(t, IKE_EV_CHILD_FAILED, "net", net.text, &net, 2 * SEC);
	add(t, IKE_EV_CHILD_FAILED, "other", other.text, &other, 3 * SEC);
	add(t, IKE_EV_PHASE1_UP, "", "up", NULL, 4 * SEC);
	add(t, IKE_EV_CHILD_UP, "net", "up", NULL, 5 * SEC);
	json_t *list = timelines_diagnoses(t, "gw-b", 6 * SEC);
	cr_assert_eq(json_array_size(list), 3); /* what is still wrong stands first */
	cr_expect_str_eq(json_string_value(get(list, 0, "child")), "other");
	cr_expect(json_is_null(get(list, 0, "ended")));
	cr_expect_str_eq(json_string_value(get(list, 1, "child")), "net");
	cr_expect_eq(json_real_value(get(list, 1, "ended")), 1.0);
	cr_expect_eq(json_real_value(get(list, 2, "ended")), 2.0);
	json_decref(list);
	/* and a new failure is a new one */
	cr_expect(add(t, IKE_EV_CHILD_FAILED, "net", net.text, &net, 7 * SEC));
	list = timelines_diagnoses(t, "gw-b", 8 * SEC);
	cr_expect_str_eq(json_string_value(get(list, 0, "child")), "net");
	cr_expect_eq(json_integer_value(get(list, 0, "times")), 1);
	json_decref(list);
	timelines_free(t);
}

/* The engine tells them just before the SA is up: that does not end them. */
Test(timeline, a_difference_of_lifetimes_stays)
{
	struct timelines *t = timelines_new();
	struct ike_diagnosis d = diagnosis(IKE_DIAG_LIFETIME, "net", "lifetimes");

	d.degraded = true;
	add(t, IKE_EV_WARNING, "net", d.text, &d, SEC);
	add(t, IKE_EV_CHILD_UP, "net", "up", NULL, SEC + 1000);
	json_t *list = timelines_diagnoses(t, "gw-b", 2 * SEC);
	cr_expect(json_is_null(get(list, 0, "ended")));
	json_decref(list);
	add(t, IKE_EV_CHILD_REKEYED, "net", "up", NULL, 100 * SEC);
	list = timelines_diagnoses(t, "gw-b", 101 * SEC);
	cr_expect(json_is_number(get(list, 0, "ended")));
	json_decref(list);
	timelines_free(t);
}

Test(timeline, only_so_many_are_kept)
{
	struct timelines *t = timelines_new();
	char child[16];

	for (unsigned i = 0; i < 10; i++) {
		snprintf(child, sizeof(child), "net-%u", i);
		struct ike_diagnosis d = diagnosis(IKE_DIAG_PFS, child, "x");
		add(t, IKE_EV_CHILD_FAILED, child, d.text, &d, (i + 1) * SEC);
	}
	json_t *list = timelines_diagnoses(t, "gw-b", 20 * SEC);
	cr_assert_eq(json_array_size(list), 4);
	cr_expect_str_eq(json_string_value(get(list, 0, "child")), "net-9");
	cr_expect_str_eq(json_string_value(get(list, 3, "child")), "net-6");
	json_decref(list);
	cr_expect_eq(json_array_size(list = timelines_diagnoses(t, "nobody", 0)), 0);
	json_decref(list);
	timelines_free(t);
}
