/* Any bytes as a request on the control socket: refused with a sentence, or a request within its
 * bounds. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(bool ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct ctl_request req;
	char why[64] = "";

	if (ctl_request_parse((const char *)data, len, &req, why, sizeof(why)) == 0) {
		require(req.verb <= CTL_CAPTURE);
		require(memchr(req.name, '\0', sizeof(req.name)) != NULL);
		require(memchr(req.port, '\0', sizeof(req.port)) != NULL);
		if (req.verb >= CTL_TRACE)
			require(req.count >= 1 && req.count <= CTL_WATCH_COUNT_MAX &&
				req.seconds > 0 && req.seconds <= CTL_WATCH_SECONDS_MAX);
		require(req.timeout_s >= 0 && req.timeout_s <= 600);
	} else {
		require(why[0] && strlen(why) < sizeof(why));
	}
	return 0;
}
