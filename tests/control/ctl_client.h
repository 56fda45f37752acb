/* What the tests of the control socket share: a daemon with an engine and a data plane of paper,
 * and a client. */
#ifndef TEST_CTL_CLIENT_H
#define TEST_CTL_CLIENT_H

#include <jansson.h>

#include "daemon.h"
#include "fake_planes.h"

extern struct daemon ctl_daemon;
extern struct config ctl_cfg;

void ctl_setup(void);
void ctl_teardown(void);
int ctl_connect(void);
/* Runs the loop n times. */
void ctl_turn(unsigned n);
/* The next line that comes, or NULL: nothing (or the end) after a while. */
json_t *ctl_next(int fd);
json_t *ctl_ask(int fd, const char *line);

#endif
