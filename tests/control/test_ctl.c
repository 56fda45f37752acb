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

#include "daemon.h"
#include "fake_planes.h"

static struct daemon d;
static struct config cfg;
static struct ike_peer_cfg peers[2];
static struct ike_child_cfg other_children[] = { { .name = "net", .pairs = 1 },
						 { .name = "only", .pairs = 1 } };

uint64_t clock_us(void)
{
	return 1000000;
}

struct stats_source daemon_stats_source(struct daemon *daemon)
{
	return (struct stats_source){ .busy = &daemon->busy, .uptime_us = 1 };
}

static void setup(void)
{
	signal(SIGPIPE, SIG_IGN); /* as the daemon does */
	peers[0] = fake_peer;
	peers[1] = (struct ike_peer_cfg){ .name = "gw-c", .children = other_children,
					  .n_children = 2 };
	cfg.peers = peers;
	cfg.n_peers = 2;
	strcpy(cfg.run_dir, "/tmp/shrike-test-XXXXXX");
	cr_assert_not_null(mkdtemp(cfg.run_dir));
	d.cfg = &cfg;
	d.base = event_base_new();
	d.timelines = timelines_new();
	cr_assert_eq(ctl_start(&d, &d.ctl), 0);
}

static void teardown(void)
{
	ctl_stop(d.ctl);
	event_base_free(d.base);
	timelines_free(d.timelines);
	cr_expect_eq(rmdir(cfg.run_dir), 0, "the socket stayed behind");
}

TestSuite(ctl, .init = setup, .fini = teardown, .timeout = 20);

static int client(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%.90s/control.sock", cfg.run_dir);
	cr_assert_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static void turn(unsigned n)
{
	while (n--) {
		event_base_loop(d.base, EVLOOP_NONBLOCK);
		usleep(200);
	}
}

/* The next line that comes, or NULL: nothing (or the end) after a while. */
static json_t *reply(int fd)
{
	static char buf[1 << 20];
	size_t n = 0;
	json_error_t error;

	for (unsigned i = 0; i < 500; i++) {
		turn(1);
		while (n < sizeof(buf) && read(fd, buf + n, 1) == 1)
			if (buf[n++] == '\n')
				return json_loadb(buf, n, 0, &error);
	}
	return NULL;
}

static json_t *ask(int fd, const char *line)
{
	cr_assert_eq(write(fd, line, strlen(line)), (ssize_t)strlen(line));
	return reply(fd);
}

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

	timelines_add(d.timelines, &ev, 500000);
	ctl_on_event(d.ctl, &ev);
}

Test(ctl, socket_is_private)
{
	char path[300];
	struct stat st;

	snprintf(path, sizeof(path), "%s/control.sock", cfg.run_dir);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_mode & 0777, 0600);
}

Test(ctl, queries)
{
	int fd = client();
	json_t *r = ask(fd, "{\"command\":\"status\"}\n");

	cr_assert_not_null(r);
	cr_expect_eq(json_array_size(json_object_get(r, "peers")), 1);
	json_decref(r);
	r = ask(fd, "{\"command\":\"sa\"}\n");
	cr_expect_eq(json_array_size(json_object_get(r, "quick_mode_sas")), 2);
	json_decref(r);
	r = ask(fd, "{\"command\":\"stats\"}\n");
	cr_expect_eq(json_integer_value(
			     json_object_get(json_object_get(r, "stats"), "version")),
		     1);
	json_decref(r);
	close(fd);
}

Test(ctl, several_requests_at_once_are_answered_in_order)
{
	int fd = client();

	expect_error(ask(fd, "{\"command\":\"nonsense\"}\n{\"command\":\"down\",\"name\":\"gw-b\"}\n"
			     "[1]\n"),
		     "no such command");
	expect_ok(reply(fd), "gw-b is down");
	expect_error(reply(fd), "one JSON object");
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
	int fd = client();

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		expect_error(ask(fd, cases[i].line), cases[i].words);
	close(fd);
}

Test(ctl, too_long_a_line_closes)
{
	int fd = client();
	char line[CTL_LINE_MAX];

	memset(line, 'x', sizeof(line));
	cr_assert_eq(write(fd, line, sizeof(line)), (ssize_t)sizeof(line));
	expect_error(reply(fd), "at most");
	turn(20);
	cr_expect_eq(read(fd, line, 1), 0, "the connection is still open");
	close(fd);
}

Test(ctl, many_clients_are_bounded)
{
	int fd[CTL_CLIENTS + 1];
	char c;

	for (unsigned i = 0; i <= CTL_CLIENTS; i++)
		fd[i] = client();
	turn(50);
	errno = 0;
	cr_expect_eq(read(fd[CTL_CLIENTS], &c, 1), 0, "one too many was accepted");
	expect_ok(ask(fd[0], "{\"command\":\"down\",\"name\":\"gw-b\"}\n"), "down");
	close(fd[0]);
	turn(20);
	fd[0] = client();
	expect_ok(ask(fd[0], "{\"command\":\"down\",\"name\":\"gw-b\"}\n"), "down");
	for (unsigned i = 0; i <= CTL_CLIENTS; i++)
		close(fd[i]);
	turn(20);
}

/* Somebody who asks much and reads nothing does not make the daemon hold ever more. */
Test(ctl, slow_reader_gets_no_new_replies)
{
	int fd = client(), other = client();
	const char *line = "{\"command\":\"stats\"}\n";

	fake.extra_children = 2000; /* a reply larger than a socket's buffer */
	for (unsigned i = 0; i < 100; i++)
		if (write(fd, line, strlen(line)) < 0)
			break;
	turn(200);
	fake.extra_children = 0;
	expect_ok(ask(other, "{\"command\":\"down\",\"name\":\"gw-b\"}\n"), "down");
	close(fd);
	close(other);
	turn(20);
}

Test(ctl, up_waits_for_the_result)
{
	int fd = client();
	const char *line = "{\"command\":\"up\",\"name\":\"gw-b/net\"}\n";

	fake.child_established = false;
	cr_assert_gt(write(fd, line, strlen(line)), 0);
	turn(20);
	cr_expect_str_eq(fake.asked, "gw-b/net");
	event(IKE_EV_NOTE, "gw-b", "", "message 1 sent");
	event(IKE_EV_CHILD_UP, "gw-c", "net", "another peer's");
	event(IKE_EV_PHASE1_UP, "gw-b", "", "the child is not there yet");
	turn(20);
	char c;
	cr_expect_eq(read(fd, &c, 1), -1, "answered too early");
	fake.child_established = true;
	event(IKE_EV_CHILD_UP, "gw-b", "net", "aes128gcm16");
	expect_ok(reply(fd), "gw-b/net is up: aes128gcm16");
	close(fd);
}

Test(ctl, up_of_a_peer_waits_for_all_children)
{
	int fd = client();
	const char *line = "{\"command\":\"up\",\"name\":\"gw-b\"}\n";
	char c;

	cr_assert_gt(write(fd, line, strlen(line)), 0);
	turn(20);
	event(IKE_EV_CHILD_UP, "gw-b", "net", "");
	turn(20);
	cr_expect_eq(read(fd, &c, 1), -1, "'voice' is not up yet");
	fake.extra_children = 1;
	event(IKE_EV_CHILD_UP, "gw-b", "voice", "");
	expect_ok(reply(fd), "gw-b is up");
	close(fd);
}

Test(ctl, up_tells_why_it_failed)
{
	int fd = client();
	const char *line = "{\"command\":\"up\",\"name\":\"gw-b/net\"}\n";

	cr_assert_gt(write(fd, line, strlen(line)), 0);
	turn(20);
	event(IKE_EV_PHASE1_FAILED, "gw-b", "", "probable pre-shared key mismatch");
	expect_error(reply(fd), "gw-b/net: probable pre-shared key mismatch");
	/* and the connection is good for the next request */
	expect_ok(ask(fd, "{\"command\":\"down\",\"name\":\"gw-b\"}\n"), "down");
	close(fd);
}

Test(ctl, up_ends_when_time_is_up)
{
	int fd = client();

	fake.last_error = "no answer to message 1";
	expect_error(ask(fd, "{\"command\":\"up\",\"name\":\"gw-b/net\",\"timeout\":0.05}\n"),
		     "no result in time, the negotiation goes on; last error: no answer to");
	close(fd);
}

Test(ctl, up_when_it_is_up_or_cannot)
{
	int fd = client();

	fake.up_rc = -EALREADY;
	expect_ok(ask(fd, "{\"command\":\"up\",\"name\":\"gw-b\"}\n"), "up already");
	fake.up_rc = -ENOTCONN;
	expect_error(ask(fd, "{\"command\":\"up\",\"name\":\"gw-b\"}\n"), "no address to call");
	fake.rekey_rc = -ENOTCONN;
	expect_error(ask(fd, "{\"command\":\"rekey\",\"name\":\"only\"}\n"), "nothing to rekey");
	cr_expect_str_eq(fake.asked, "gw-c/only", "a child's name alone finds its peer");
	close(fd);
}

Test(ctl, rekey_waits)
{
	int fd = client();
	const char *line = "{\"command\":\"rekey\",\"name\":\"gw-b/net\"}\n";

	cr_assert_gt(write(fd, line, strlen(line)), 0);
	turn(20);
	event(IKE_EV_CHILD_REKEYED, "gw-b", "net", "");
	expect_ok(reply(fd), "gw-b/net is rekeyed");
	close(fd);
}

/* A client may go away while it waits. */
Test(ctl, waiting_client_goes_away)
{
	int fd = client();
	const char *line = "{\"command\":\"up\",\"name\":\"gw-b/net\"}\n";

	cr_assert_gt(write(fd, line, strlen(line)), 0);
	turn(20);
	close(fd);
	turn(20);
	event(IKE_EV_CHILD_UP, "gw-b", "net", "");
	turn(20);
}

Test(ctl, why_shows_the_timeline)
{
	int fd = client();
	json_t *r, *steps;

	for (int i = 0; i < TIMELINE_STEPS + 5; i++) {
		char text[32];
		snprintf(text, sizeof(text), "step %d", i);
		event(IKE_EV_NOTE, "gw-b", "", text);
	}
	event(IKE_EV_NOTE, "", "", "a stranger");
	fake.last_error = "because";
	r = ask(fd, "{\"command\":\"why\",\"name\":\"gw-b\"}\n");
	steps = json_object_get(r, "steps");
	cr_assert_eq(json_array_size(steps), TIMELINE_STEPS);
	cr_expect_str_eq(json_string_value(json_object_get(json_array_get(steps, 0), "text")),
			 "step 5", "the oldest go first");
	cr_expect_str_eq(json_string_value(json_object_get(r, "last_error")), "because");
	cr_expect_float_eq(json_number_value(json_object_get(json_array_get(steps, 0), "age")), 0.5,
			   1e-9);
	json_decref(r);
	r = ask(fd, "{\"command\":\"why\"}\n");
	cr_expect_eq(json_array_size(json_object_get(r, "steps")), 1);
	json_decref(r);
	close(fd);
}
