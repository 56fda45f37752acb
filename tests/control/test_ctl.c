/* The control socket: requests, replies, waiting, and clients that misbehave. The loop runs in this
 * process; the client is the other end of a real UNIX socket. */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "ctl_client.h"

TestSuite(ctl, .init = ctl_setup, .fini = ctl_teardown, .timeout = 20);

static void expect_ok(json_t *r, const char *words)
{
	cr_assert_not_null(r, "no reply");
	cr_expect(json_is_true(json_object_get(r, "ok")), "%s",
		  json_string_value(json_object_get(r, "error")));
	if (words) {
		const char *text = json_string_value(json_object_get(r, "text"));
		cr_expect(text && strstr(text, words), "'%s' lacks '%s'", text, words);
	}
	json_decref(r);
}

static void expect_error(json_t *r, const char *words)
{
	const char *text = json_string_value(json_object_get(r, "error"));

	cr_assert_not_null(r, "no reply");
	cr_expect(json_is_false(json_object_get(r, "ok")));
	cr_expect(text && strstr(text, words), "'%s' lacks '%s'", text, words);
	json_decref(r);
}

static void event(enum ike_event_type type, const char *peer, const char *child, const char *text)
{
	struct ike_event ev = { .type = type, .peer = peer, .child = child, .text = text };

	timelines_add(ctl_daemon.timelines, &ev, 500000);
	ctl_on_event(ctl_daemon.ctl, &ev);
}

Test(ctl, socket_is_private)
{
	char path[300];
	struct stat st;

	snprintf(path, sizeof(path), "%s/control.sock", ctl_cfg.run_dir);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_mode & 0777, 0600);
}

Test(ctl, queries)
{
	int fd = ctl_connect();
	json_t *r = ctl_ask(fd, "{\"command\":\"status\"}\n");

	cr_assert_not_null(r);
	cr_expect_eq(json_array_size(json_object_get(r, "peers")), 1);
	json_decref(r);
	r = ctl_ask(fd, "{\"command\":\"sa\"}\n");
	cr_expect_eq(json_array_size(json_object_get(r, "quick_mode_sas")), 2);
	json_decref(r);
	r = ctl_ask(fd, "{\"command\":\"stats\"}\n");
	cr_expect_eq(json_integer_value(
			     json_object_get(json_object_get(r, "stats"), "version")),
		     1);
	json_decref(r);
	close(fd);
}

Test(ctl, several_requests_at_once_are_answered_in_order)
{
	int fd = ctl_connect();

	expect_error(ctl_ask(fd, "{\"command\":\"nonsense\"}\n{\"command\":\"down\",\"name\":\"gw-b\"}\n"
			     "[1]\n"),
		     "no such command");
	expect_ok(ctl_next(fd), "gw-b is down");
	expect_error(ctl_next(fd), "one JSON object");
	close(fd);
}

Test(ctl, bad_requests)
{
	static const struct {
		const char *line, *words;
	} cases[] = {
		{ "\n", "one JSON object" },
		{ "{\n", "one JSON object" },
		{ "{}\n", "has no command" },
		{ "{\"command\":5}\n", "has no command" },
		{ "{\"command\":\"up\"}\n", "needs the name" },
		{ "{\"command\":\"up\",\"name\":7}\n", "'name' must be a text" },
		{ "{\"command\":\"up\",\"name\":\"gw-b\",\"timeout\":-1}\n", "from 0 to 600" },
		{ "{\"command\":\"up\",\"name\":\"gw-b\",\"timeout\":\"5\"}\n", "from 0 to 600" },
		{ "{\"command\":\"up\",\"name\":\"gw-x\"}\n", "no peer or child 'gw-x'" },
		{ "{\"command\":\"up\",\"name\":\"gw-b/x\"}\n", "has no child 'x'" },
		{ "{\"command\":\"up\",\"name\":\"net\"}\n", "2 peers have a child 'net'" },
		{ "{\"command\":\"up\",\"command\":\"down\"}\n", "one JSON object" },
	};
	int fd = ctl_connect();

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		expect_error(ctl_ask(fd, cases[i].line), cases[i].words);
	close(fd);
}

Test(ctl, too_long_a_line_closes)
{
	int fd = ctl_connect();
	char line[CTL_LINE_MAX];

	memset(line, 'x', sizeof(line));
	cr_assert_eq(write(fd, line, sizeof(line)), (ssize_t)sizeof(line));
	expect_error(ctl_next(fd), "at most");
	ctl_turn(20);
	cr_expect_eq(read(fd, line, 1), 0, "the connection is still open");
	close(fd);
}

Test(ctl, many_clients_are_bounded)
{
	int fd[CTL_CLIENTS + 1];
	char c;

	for (unsigned i = 0; i <= CTL_CLIENTS; i++)
		fd[i] = ctl_connect();
	ctl_turn(50);
	errno = 0;
	cr_expect_eq(read(fd[CTL_CLIENTS], &c, 1), 0, "one too many was accepted");
	expect_ok(ctl_ask(fd[0], "{\"command\":\"down\",\"name\":\"gw-b\"}\n"), "down");
	close(fd[0]);
	ctl_turn(20);
	fd[0] = ctl_connect();
	expect_ok(ctl_ask(fd[0], "{\"command\":\"down\",\"name\":\"gw-b\"}\n"), "down");
	for (unsigned i = 0; i <= CTL_CLIENTS; i++)
		close(fd[i]);
	ctl_turn(20);
}

/* Somebody who asks much and reads nothing does not make the daemon hold ever more. */
Test(ctl, slow_reader_gets_no_new_replies)
{
	int fd = ctl_connect(), other = ctl_connect();
	const char *line = "{\"command\":\"stats\"}\n";

	fake.extra_children = 2000; /* a reply larger than a socket's buffer */
	for (unsigned i = 0; i < 100; i++)
		if (write(fd, line, strlen(line)) < 0)
			break;
	ctl_turn(200);
	fake.extra_children = 0;
	expect_ok(ctl_ask(other, "{\"command\":\"down\",\"name\":\"gw-b\"}\n"), "down");
	close(fd);
	close(other);
	ctl_turn(20);
}

Test(ctl, up_waits_for_the_result)
{
	int fd = ctl_connect();
	const char *line = "{\"command\":\"up\",\"name\":\"gw-b/net\"}\n";

	fake.child_established = false;
	cr_assert_gt(write(fd, line, strlen(line)), 0);
	ctl_turn(20);
	cr_expect_str_eq(fake.asked, "gw-b/net");
	event(IKE_EV_NOTE, "gw-b", "", "message 1 sent");
	event(IKE_EV_CHILD_UP, "gw-c", "net", "another peer's");
	event(IKE_EV_PHASE1_UP, "gw-b", "", "the child is not there yet");
	ctl_turn(20);
	char c;
	cr_expect_eq(read(fd, &c, 1), -1, "answered too early");
	fake.child_established = true;
	event(IKE_EV_CHILD_UP, "gw-b", "net", "aes128gcm16");
	expect_ok(ctl_next(fd), "gw-b/net is up: aes128gcm16");
	close(fd);
}

Test(ctl, up_of_a_peer_waits_for_all_children)
{
	int fd = ctl_connect();
	const char *line = "{\"command\":\"up\",\"name\":\"gw-b\"}\n";
	char c;

	cr_assert_gt(write(fd, line, strlen(line)), 0);
	ctl_turn(20);
	event(IKE_EV_CHILD_UP, "gw-b", "net", "");
	ctl_turn(20);
	cr_expect_eq(read(fd, &c, 1), -1, "'voice' is not up yet");
	fake.extra_children = 1;
	event(IKE_EV_CHILD_UP, "gw-b", "voice", "");
	expect_ok(ctl_next(fd), "gw-b is up");
	close(fd);
}

Test(ctl, up_tells_why_it_failed)
{
	int fd = ctl_connect();
	const char *line = "{\"command\":\"up\",\"name\":\"gw-b/net\"}\n";

	cr_assert_gt(write(fd, line, strlen(line)), 0);
	ctl_turn(20);
	event(IKE_EV_PHASE1_FAILED, "gw-b", "", "probable pre-shared key mismatch");
	expect_error(ctl_next(fd), "gw-b/net: probable pre-shared key mismatch");
	/* and the connection is good for the next request */
	expect_ok(ctl_ask(fd, "{\"command\":\"down\",\"name\":\"gw-b\"}\n"), "down");
	close(fd);
}

Test(ctl, up_ends_when_time_is_up)
{
	int fd = ctl_connect();

	fake.last_error = "no answer to message 1";
	expect_error(ctl_ask(fd, "{\"command\":\"up\",\"name\":\"gw-b/net\",\"timeout\":0.05}\n"),
		     "no result in time, the negotiation goes on; last error: no answer to");
	close(fd);
}

Test(ctl, up_when_it_is_up_or_cannot)
{
	int fd = ctl_connect();

	fake.up_rc = -EALREADY;
	expect_ok(ctl_ask(fd, "{\"command\":\"up\",\"name\":\"gw-b\"}\n"), "up already");
	fake.up_rc = -ENOTCONN;
	expect_error(ctl_ask(fd, "{\"command\":\"up\",\"name\":\"gw-b\"}\n"), "no address to call");
	fake.rekey_rc = -ENOTCONN;
	expect_error(ctl_ask(fd, "{\"command\":\"rekey\",\"name\":\"only\"}\n"), "nothing to rekey");
	cr_expect_str_eq(fake.asked, "gw-c/only", "a child's name alone finds its peer");
	close(fd);
}

Test(ctl, rekey_waits)
{
	int fd = ctl_connect();
	const char *line = "{\"command\":\"rekey\",\"name\":\"gw-b/net\"}\n";

	cr_assert_gt(write(fd, line, strlen(line)), 0);
	ctl_turn(20);
	event(IKE_EV_CHILD_REKEYED, "gw-b", "net", "");
	expect_ok(ctl_next(fd), "gw-b/net is rekeyed");
	close(fd);
}

/* A client may go away while it waits. */
Test(ctl, waiting_client_goes_away)
{
	int fd = ctl_connect();
	const char *line = "{\"command\":\"up\",\"name\":\"gw-b/net\"}\n";

	cr_assert_gt(write(fd, line, strlen(line)), 0);
	ctl_turn(20);
	close(fd);
	ctl_turn(20);
	event(IKE_EV_CHILD_UP, "gw-b", "net", "");
	ctl_turn(20);
}

Test(ctl, why_shows_the_timeline)
{
	int fd = ctl_connect();
	json_t *r, *steps;

	for (int i = 0; i < TIMELINE_STEPS + 5; i++) {
		char text[32];
		snprintf(text, sizeof(text), "step %d", i);
		event(IKE_EV_NOTE, "gw-b", "", text);
	}
	event(IKE_EV_NOTE, "", "", "a stranger");
	fake.last_error = "because";
	r = ctl_ask(fd, "{\"command\":\"why\",\"name\":\"gw-b\"}\n");
	steps = json_object_get(r, "steps");
	cr_assert_eq(json_array_size(steps), TIMELINE_STEPS);
	cr_expect_str_eq(json_string_value(json_object_get(json_array_get(steps, 0), "text")),
			 "step 5", "the oldest go first");
	cr_expect_str_eq(json_string_value(json_object_get(r, "last_error")), "because");
	cr_expect_float_eq(json_number_value(json_object_get(json_array_get(steps, 0), "age")), 0.5,
			   1e-9);
	json_decref(r);
	r = ctl_ask(fd, "{\"command\":\"why\"}\n");
	cr_expect_eq(json_array_size(json_object_get(r, "steps")), 1);
	json_decref(r);
	close(fd);
}
