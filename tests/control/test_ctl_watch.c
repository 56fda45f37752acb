/* "trace" and "capture" on the control socket, with a data plane of paper. */
#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "ctl_client.h"

static struct dp_watched story(const char *text)
{
	return (struct dp_watched){ .kind = DP_WATCHED_STORY,
				    .worker = 1,
				    .port = UINT_MAX,
				    .wall_us = 1500000,
				    .policy = 2,
				    .wire_len = (uint32_t)strlen(text),
				    .data = (const uint8_t *)text,
				    .len = strlen(text) };
}

static void seen(const struct dp_watched *w)
{
	fake.watch.on_packet(fake.watch.ctx, w);
}

TestSuite(ctl_watch, .init = ctl_setup, .fini = ctl_teardown, .timeout = 20);

Test(ctl_watch, trace_streams_until_the_count)
{
	struct dp_watched w = story("receive\tport wan\ndropped\tesp_icv: wrong\n");
	int fd = ctl_connect();
	json_t *r = ctl_ask(fd, "{\"command\":\"trace\",\"name\":\"gw-b/voice\",\"count\":2}\n");
	json_t *step;

	cr_assert(json_is_true(json_object_get(r, "ok")));
	json_decref(r);
	cr_expect(fake.watching && fake.watch.what == DP_WATCH_TRACE && fake.watch.by_peer);
	cr_expect_eq(fake.watch.n_policies, 1);
	cr_expect_eq(fake.watch_policies[0], 2, "the child's policy");
	cr_expect_eq(fake.watch.n_addrs, 1, "where the peer is now");
	cr_expect_eq(ip_addr_to_v4(&fake.watch.addr[0]), 0x0a090002);
	seen(&w);
	r = ctl_next(fd);
	cr_expect_str_eq(json_string_value(json_object_get(r, "child")), "gw-b/voice");
	cr_expect_eq(json_array_size(json_object_get(r, "steps")), 2);
	step = json_array_get(json_object_get(r, "steps"), 1);
	cr_expect_str_eq(json_string_value(json_object_get(step, "stage")), "dropped");
	cr_expect_str_eq(json_string_value(json_object_get(step, "text")), "esp_icv: wrong");
	json_decref(r);
	cr_expect(fake.watching);
	seen(&w);
	json_decref(ctl_next(fd));
	r = ctl_next(fd);
	cr_expect(json_is_true(json_object_get(r, "done")));
	cr_expect_eq(json_integer_value(json_object_get(r, "packets")), 2);
	cr_expect_eq(json_integer_value(json_object_get(r, "missed")), 7);
	json_decref(r);
	cr_expect_not(fake.watching, "it ends by itself");
	r = ctl_ask(fd, "{\"command\":\"status\"}\n");
	cr_expect(json_is_true(json_object_get(r, "ok")), "the next request is served");
	json_decref(r);
	close(fd);
}

Test(ctl_watch, capture_ends_with_its_time)
{
	static const uint8_t bytes[] = { 0x45, 0, 0xff };
	struct dp_watched w = { .kind = DP_WATCHED_SENT,
				.port = 0,
				.wall_us = 77,
				.wire_len = 900,
				.data = bytes,
				.len = 3 };
	int fd = ctl_connect();
	json_t *r = ctl_ask(fd, "{\"command\":\"capture\",\"port\":\"wan\",\"seconds\":0.3}\n");

	cr_expect_str_eq(json_string_value(json_object_get(r, "link")), "ethernet");
	json_decref(r);
	cr_expect(fake.watch.what == DP_WATCH_FRAMES && fake.watch.port == 0 &&
		  !fake.watch.by_peer && fake.watch.count == 1000);
	seen(&w);
	r = ctl_next(fd);
	cr_expect_str_eq(json_string_value(json_object_get(r, "data")), "4500ff");
	cr_expect_str_eq(json_string_value(json_object_get(r, "direction")), "out");
	cr_expect_str_eq(json_string_value(json_object_get(r, "port")), "wan");
	cr_expect_eq(json_integer_value(json_object_get(r, "length")), 900);
	json_decref(r);
	do
		r = ctl_next(fd);
	while (!r);
	cr_expect_str_eq(json_string_value(json_object_get(r, "why")), "the time is over");
	json_decref(r);
	cr_expect_not(fake.watching);
	close(fd);
}

Test(ctl_watch, sides)
{
	int fd = ctl_connect();
	json_t *r = ctl_ask(fd, "{\"command\":\"capture\",\"side\":\"plain\"}\n");

	cr_expect_str_eq(json_string_value(json_object_get(r, "link")), "raw");
	cr_expect_eq(fake.watch.what, DP_WATCH_PLAIN);
	json_decref(r);
	close(fd);
	ctl_turn(50);
	cr_expect_not(fake.watching, "a client that goes away ends its watch");
	fd = ctl_connect();
	json_decref(ctl_ask(fd, "{\"command\":\"capture\"}\n"));
	cr_expect_eq(fake.watch.what, DP_WATCH_SEALED);
	close(fd);
	ctl_turn(50);
}

/* A client that reads nothing costs no more than a bounded amount of memory, and no time. */
Test(ctl_watch, slow_reader_misses)
{
	static char text[1000];
	int fd = ctl_connect();
	struct dp_watched w;
	unsigned packets = 0;
	json_t *r, *done = NULL;

	memset(text, 'x', sizeof(text) - 1);
	memcpy(text, "a\t", 2);
	text[sizeof(text) - 2] = '\n';
	w = story(text);
	json_decref(ctl_ask(fd, "{\"command\":\"trace\",\"count\":1000000,\"seconds\":1}\n"));
	for (unsigned i = 0; i < 20000; i++)
		seen(&w);
	while (!done) {
		r = ctl_next(fd);
		cr_assert_not_null(r);
		packets++;
		if (json_object_get(r, "done"))
			done = r;
		else
			json_decref(r);
	}
	cr_expect_gt(packets, 1000);
	cr_expect_lt(packets, 8000, "4 MB of lines of a thousand bytes");
	cr_expect_gt(json_integer_value(json_object_get(done, "missed")), 12000);
	json_decref(done);
	close(fd);
}

static void refused(int fd, const char *line, const char *words)
{
	json_t *r = ctl_ask(fd, line);
	const char *error = json_string_value(json_object_get(r, "error"));

	cr_expect(error && strstr(error, words), "%s: %s", line, error);
	json_decref(r);
}

Test(ctl_watch, refusals)
{
	int fd = ctl_connect();

	refused(fd, "{\"command\":\"trace\",\"name\":\"nobody\"}\n", "there is no peer or child");
	refused(fd, "{\"command\":\"capture\",\"port\":\"moon\"}\n", "there is no port 'moon'");
	refused(fd, "{\"command\":\"capture\",\"port\":\"\"}\n", "name of a port");
	refused(fd, "{\"command\":\"capture\",\"port\":\"wan\",\"side\":\"plain\"}\n", "either");
	refused(fd, "{\"command\":\"capture\",\"side\":\"dark\"}\n", "plain or encrypted");
	refused(fd, "{\"command\":\"trace\",\"side\":\"plain\"}\n", "neither");
	refused(fd, "{\"command\":\"trace\",\"count\":0}\n", "1 to 1000000");
	refused(fd, "{\"command\":\"trace\",\"count\":1e9}\n", "1 to 1000000");
	refused(fd, "{\"command\":\"trace\",\"seconds\":\"2\"}\n", "0 to 3600");
	fake.watch_rc = -EBUSY;
	refused(fd, "{\"command\":\"trace\"}\n", "it is busy");
	fake.watch_rc = 0;
	close(fd);
}
