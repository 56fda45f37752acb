/* ISAKMP messages between the engine and the data plane. */
#include <string.h>

#include "daemon.h"
#include "log.h"

static struct dp_udp_path path_to_dp(const struct ike_path *p)
{
	return (struct dp_udp_path){ .local = p->local,
				     .remote = p->remote,
				     .local_port = p->local_port,
				     .remote_port = p->remote_port };
}

static void send_udp(struct daemon *d, const struct ike_path *path, bool marker, const uint8_t *data,
		     size_t len)
{
	struct dp_udp_path dp_path = path_to_dp(path);
	char a[ADDR_STR_LEN];
	int rc = dp_send_udp(d->dp, &dp_path, marker, data, len);

	/* not an error for the engine: it sends again, as after a loss */
	if (rc != 0)
		log_debug("sending to %s port %u: %s",
			  ip_addr_str(&path->remote, a, sizeof(a)), path->remote_port,
			  strerror(-rc));
}

void transport_send(void *ctx, const struct ike_path *path, const uint8_t *msg, size_t len)
{
	send_udp(ctx, path, path->local_port == 4500, msg, len);
}

void transport_cookies(void *ctx, const uint8_t *icookie, const uint8_t *rcookie, bool known)
{
	struct daemon *d = ctx;

	dp_ike_known(d->dp, icookie, rcookie, known);
}

void transport_keepalive(void *ctx, const struct ike_path *path)
{
	static const uint8_t keepalive = 0xff; /* RFC 3948 section 2.3 */

	send_udp(ctx, path, false, &keepalive, 1);
}

void transport_on_ike(void *ctx, const struct dp_udp_path *path, const uint8_t *data, size_t len)
{
	struct daemon *d = ctx;
	struct ike_path ike_path = { .local = path->local,
				     .remote = path->remote,
				     .local_port = path->local_port,
				     .remote_port = path->remote_port };

	if (d->ike)
		ike_input(d->ike, &ike_path, data, len);
}
