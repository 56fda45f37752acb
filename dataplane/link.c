/* The state of the ports' links: said when it changes, and honoured. What would leave by a port
 * without a link is dropped and counted at once: no queue grows. */
#include <net/if.h>
#include <rte_ethdev.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dp.h"
#include "log.h"

#define LINK_MS 200

/* Drivers over an interface of the kernel (net_af_packet) do not look at its link. */
static bool interface_is_down(unsigned index)
{
	struct ifreq req = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool known = fd >= 0 && if_indextoname(index, req.ifr_name) &&
		     ioctl(fd, SIOCGIFFLAGS, &req) == 0;

	if (fd >= 0)
		close(fd);
	return known && (req.ifr_flags & (IFF_UP | IFF_RUNNING)) != (IFF_UP | IFF_RUNNING);
}

/* Whoever cannot tell is taken for one whose link is there. */
static bool is_down(const struct port *port)
{
	struct rte_eth_link link = { 0 };

	if (!rte_eth_dev_is_valid_port(port->dev))
		return false;
	if (rte_eth_link_get_nowait(port->dev, &link) == 0 &&
	    link.link_status == RTE_ETH_LINK_DOWN)
		return true;
	return port->if_index && interface_is_down(port->if_index);
}

static void way_down_set(struct lcore_port *view, bool down)
{
	uint8_t way = (uint8_t)((view->way & ~WAY_DOWN) | (down ? WAY_DOWN : 0));

	__atomic_store_n(&view->way, way, __ATOMIC_RELAXED);
}

void link_tick(struct dp *dp, uint64_t now_ms)
{
	if (now_ms < dp->link_ms + LINK_MS)
		return;
	dp->link_ms = now_ms;
	for (unsigned i = 0; i < dp->n_ports; i++) {
		struct port *port = &dp->port[i];
		bool down = is_down(port);
		if (down == port->down)
			continue;
		port->down = down;
		if (down)
			log_warn("port %s: the link is down", port->name);
		else
			log_info("port %s: the link is up again", port->name);
		for (unsigned w = 0; w < dp->n_workers; w++)
			way_down_set(&dp->worker[w].lc->port[i], down);
	}
}
