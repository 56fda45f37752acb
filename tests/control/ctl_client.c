/* The loop of the control socket runs in this process; the client is the other end of a real UNIX
 * socket. */
#include "ctl_client.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct daemon ctl_daemon;

struct config ctl_cfg;
static struct ike_peer_cfg peers[2];
static struct ike_child_cfg other_children[] = { { .name = "net", .pairs = 1 },
						 { .name = "only", .pairs = 1 } };

uint64_t clock_us(void)
{
	return 1000000;
}

struct stats_source daemon_stats_source(struct daemon *daemon)
{
	return (struct stats_source){ .busy = &daemon->busy,
				      .pause = &daemon->pause,
				      .uptime_us = 1 };
}

void ctl_setup(void)
{
	signal(SIGPIPE, SIG_IGN); /* as the daemon does */
	peers[0] = fake_peer;
	peers[1] = (struct ike_peer_cfg){ .name = "gw-c",
					  .children = other_children,
					  .n_children = 2 };
	ctl_cfg.peers = peers;
	ctl_cfg.n_peers = 2;
	strcpy(ctl_cfg.run_dir, "/tmp/shrike-test-XXXXXX");
	cr_assert_not_null(mkdtemp(ctl_cfg.run_dir));
	ctl_daemon.cfg = &ctl_cfg;
	ctl_daemon.base = event_base_new();
	ctl_daemon.timelines = timelines_new();
	cr_assert_eq(ctl_start(&ctl_daemon, &ctl_daemon.ctl), 0);
}

void ctl_teardown(void)
{
	ctl_stop(ctl_daemon.ctl);
	chores_stop(&ctl_daemon.chores);
	event_base_free(ctl_daemon.base);
	timelines_free(ctl_daemon.timelines);
	cr_expect_eq(rmdir(ctl_cfg.run_dir), 0, "the socket stayed behind");
}

int ctl_connect(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%.90s/control.sock", ctl_cfg.run_dir);
	cr_assert_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

void ctl_turn(unsigned n)
{
	while (n--) {
		event_base_loop(ctl_daemon.base, EVLOOP_NONBLOCK);
		usleep(200);
	}
}

/* The next line that comes, or NULL: nothing (or the end) after a while. */
json_t *ctl_next(int fd)
{
	static char buf[1 << 20];
	size_t n = 0;
	json_error_t error;

	for (unsigned i = 0; i < 500; i++) {
		ctl_turn(1);
		while (n < sizeof(buf) && read(fd, buf + n, 1) == 1)
			if (buf[n++] == '\n')
				return json_loadb(buf, n, 0, &error);
	}
	return NULL;
}

json_t *ctl_ask(int fd, const char *line)
{
	cr_assert_eq(write(fd, line, strlen(line)), (ssize_t)strlen(line));
	return ctl_next(fd);
}
