/* One port: from its name in the configuration to running queues. */
#include <errno.h>
#include <rte_bus_pci.h>
#include <rte_dev.h>
#include <rte_ethdev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dp.h"
#include "log.h"

static bool fail(char *why, size_t size, const struct port *port, const char *what, int rc)
{
	snprintf(why, size, "port %s: %s: %s", port->name, what, strerror(rc < 0 ? -rc : rc));
	return false;
}

/* Virtual devices appear when they are probed; net_af_packet gets a queue pair for each worker. */
static bool device_probe(struct port *port, const char *device, unsigned n_workers, char *why,
			 size_t why_size)
{
	struct rte_pci_addr pci;
	char args[320];
	int rc;

	snprintf(port->dev_name, sizeof(port->dev_name), "%.*s", (int)strcspn(device, ","), device);
	if (rte_pci_addr_parse(port->dev_name, &pci) == 0) {
		rte_pci_device_name(&pci, port->dev_name, sizeof(port->dev_name));
	} else {
		snprintf(args, sizeof(args), "%s", device);
		if (n_workers > 1 && strncmp(device, "net_af_packet", 13) == 0 &&
		    !strstr(device, "qpairs="))
			snprintf(args + strlen(args), sizeof(args) - strlen(args), ",qpairs=%u",
				 n_workers);
		rc = rte_dev_probe(args);
		if (rc) { /* drivers return -1 for everything, and print more */
			snprintf(why, why_size,
				 "port %s: DPDK cannot open %s; its own line above says more",
				 port->name, args);
			return false;
		}
	}
	rc = rte_eth_dev_get_port_by_name(port->dev_name, &port->dev);
	if (rc)
		return fail(why, why_size, port, "there is no such device", rc);
	return true;
}

static void configure_rss(struct port *port, struct rte_eth_conf *conf,
			  const struct rte_eth_dev_info *info)
{
	port->rss = steer_hash(info->flow_type_rss_offloads);
	if (!port->rss)
		return;
	conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
	conf->rx_adv_conf.rss_conf.rss_hf = port->rss;
}

/* Only what is of use: with a few offloads for transmit some drivers give up their fastest code. So the
 * IPv4 header's checksum stays ours on the way out: it is known but for a few words when the SA is built
 * (see esp_out.c), and takes less than to ask a device for it. The sum over a whole UDP datagram, which
 * only IPv6 wants, is another matter. */
static bool offloads_set(struct port *port, struct rte_eth_conf *conf,
			 const struct rte_eth_dev_info *info, struct port_wants wants, uint32_t room,
			 char *why, size_t why_size)
{
	uint32_t frame = ETH_LEN + VLAN_LEN + (uint32_t)port->mtu;
	const uint64_t rx = info->rx_offload_capa, tx = info->tx_offload_capa;
	bool six = false;

	for (unsigned i = 0; i < port->n_addrs; i++)
		six |= port->addr[i].addr.family == IP_V6;
	port->vlan_strip = wants.vlans && rx & RTE_ETH_RX_OFFLOAD_VLAN_STRIP;
	port->vlan_insert = wants.vlans && tx & RTE_ETH_TX_OFFLOAD_VLAN_INSERT;
	port->rx_sum = rx & RTE_ETH_RX_OFFLOAD_IPV4_CKSUM;
	port->tx_udp_sum = six && tx & RTE_ETH_TX_OFFLOAD_UDP_CKSUM;
	port->scatter = frame > room;
	if (port->scatter && !(rx & RTE_ETH_RX_OFFLOAD_SCATTER)) {
		snprintf(why, why_size,
			 "port %s: frames of %u bytes do not fit a packet buffer of %u, and the device "
			 "cannot use several (system: buffer-size)",
			 port->name, frame, room);
		return false;
	}
	conf->rxmode.offloads = (port->vlan_strip ? RTE_ETH_RX_OFFLOAD_VLAN_STRIP : 0) |
				(port->rx_sum ? RTE_ETH_RX_OFFLOAD_IPV4_CKSUM : 0) |
				(port->scatter ? RTE_ETH_RX_OFFLOAD_SCATTER : 0);
	conf->txmode.offloads = (port->vlan_insert ? RTE_ETH_TX_OFFLOAD_VLAN_INSERT : 0) |
				(port->tx_udp_sum ? RTE_ETH_TX_OFFLOAD_UDP_CKSUM : 0) |
				(wants.chains ? tx & RTE_ETH_TX_OFFLOAD_MULTI_SEGS : 0);
	return true;
}

static void offloads_log(const struct port *port)
{
	if (port->scatter || port->rx_sum || port->tx_udp_sum || port->vlan_strip || port->vlan_insert)
		log_info("port %s: the device does%s%s%s%s%s", port->name,
			 port->rx_sum ? " IPv4 header checksums (in)" : "",
			 port->tx_udp_sum ? " UDP checksums (out)" : "",
			 port->vlan_strip ? " tags (in)" : "", port->vlan_insert ? " tags (out)" : "",
			 port->scatter ? " frames in several buffers" : "");
}

static bool device_configure(struct port *port, unsigned n_workers, struct port_wants wants,
			     uint32_t room, char *why, size_t why_size)
{
	struct rte_eth_dev_info info;
	struct rte_eth_conf conf = { 0 };
	int rc = rte_eth_dev_info_get(port->dev, &info);

	if (rc)
		return fail(why, why_size, port, "no information from the device", rc);
	port->if_index = info.if_index;
	if (!offloads_set(port, &conf, &info, wants, room, why, why_size))
		return false;
	port->n_rxq = (uint16_t)RTE_MIN(n_workers, info.max_rx_queues);
	port->n_txq = (uint16_t)RTE_MIN(n_workers, info.max_tx_queues);
	conf.rxmode.mtu = port->mtu;
	if (port->n_rxq > 1)
		configure_rss(port, &conf, &info);
	rc = rte_eth_dev_configure(port->dev, port->n_rxq, port->n_txq, &conf);
	if (rc)
		return fail(why, why_size, port, "the device refuses its configuration", rc);
	if (port->mtu != RTE_ETHER_MTU) {
		rc = rte_eth_dev_set_mtu(port->dev, port->mtu);
		if (rc && rc != -ENOTSUP)
			return fail(why, why_size, port, "the device refuses this MTU", rc);
	}
	return true;
}

static bool queues_setup(struct port *port, struct rte_mempool *const *pools, char *why,
			 size_t why_size)
{
	uint16_t n_rx = RX_RING, n_tx = TX_RING;
	int socket = rte_eth_dev_socket_id(port->dev);
	int rc = rte_eth_dev_adjust_nb_rx_tx_desc(port->dev, &n_rx, &n_tx);

	for (uint16_t i = 0; rc == 0 && i < port->n_rxq; i++)
		rc = rte_eth_rx_queue_setup(port->dev, i, n_rx, (unsigned)socket, NULL,
					    pools[i]);
	for (uint16_t i = 0; rc == 0 && i < port->n_txq; i++)
		rc = rte_eth_tx_queue_setup(port->dev, i, n_tx, (unsigned)socket, NULL);
	return rc == 0 || fail(why, why_size, port, "no queues", rc);
}

/* RFC 4291 appendix A: the station's number with its universal bit turned, and ff:fe inside. */
static struct ip_prefix link_local(const uint8_t *mac)
{
	struct ip_prefix p = { .addr = { IP_V6, { 0xfe, 0x80 } }, .len = 64 };

	memcpy(p.addr.b + 8, mac, 3);
	p.addr.b[8] ^= 2;
	p.addr.b[11] = 0xff;
	p.addr.b[12] = 0xfe;
	memcpy(p.addr.b + 13, mac + 3, 3);
	return p;
}

/* A port that speaks IPv6 has a link-local address, too: Neighbour Discovery wants one. */
static void addresses_set(struct port *port, const struct dp_port_cfg *cfg)
{
	bool six = false;

	for (unsigned i = 0; i < cfg->n_addrs; i++) {
		port->addr[port->n_addrs++] = cfg->addrs[i];
		six |= cfg->addrs[i].addr.family == IP_V6;
	}
	if (six)
		port->addr[port->n_addrs++] = link_local(port->mac);
}

static void options_set(struct port *port, const struct dp_port_cfg *cfg)
{
	snprintf(port->name, sizeof(port->name), "%s", cfg->name);
	port->mtu = cfg->mtu ? cfg->mtu : RTE_ETHER_MTU;
	port->clamp_mss = cfg->clamp_mss;
	port->source_check = cfg->source_check;
}

int port_open(struct port *port, const struct dp_port_cfg *cfg, struct port_wants wants,
	      unsigned n_workers, struct rte_mempool *const *pools, char *why, size_t why_size)
{
	uint32_t room = rte_pktmbuf_data_room_size(pools[0]) - RTE_PKTMBUF_HEADROOM;
	struct rte_ether_addr mac;

	options_set(port, cfg);
	if (!device_probe(port, cfg->device, n_workers, why, why_size))
		return -ENODEV;
	rte_eth_macaddr_get(port->dev, &mac);
	memcpy(port->mac, mac.addr_bytes, 6);
	addresses_set(port, cfg);
	if (!device_configure(port, n_workers, wants, room, why, why_size) ||
	    !queues_setup(port, pools, why, why_size))
		return -ENODEV;
	offloads_log(port);
	return 0;
}

int port_open_vlan(struct port *port, const struct dp_port_cfg *cfg, uint8_t index,
		   struct port *parent)
{
	options_set(port, cfg);
	if (!parent->vlan_port) {
		parent->vlan_port = malloc(VLAN_MAX + 2);
		if (!parent->vlan_port)
			return -ENOMEM;
		memset(parent->vlan_port, UINT8_MAX, VLAN_MAX + 2);
	}
	parent->vlan_port[cfg->vlan] = index;
	port->vlan = cfg->vlan;
	port->vlan_insert = parent->vlan_insert;
	port->tx_udp_sum = parent->tx_udp_sum;
	port->dev = parent->dev;
	port->if_index = parent->if_index;
	port->n_rxq = parent->n_rxq;
	port->n_txq = parent->n_txq;
	memcpy(port->mac, parent->mac, 6);
	addresses_set(port, cfg);
	return 0;
}

int port_start(struct port *port, char *why, size_t why_size)
{
	int rc = port->vlan ? 0 : rte_eth_dev_start(port->dev);

	if (rc) {
		fail(why, why_size, port, "the device does not start", rc);
		return rc;
	}
	port->started = true;
	return 0;
}

void port_close(struct port *port)
{
	free(port->vlan_port);
	port->vlan_port = NULL;
	if (port->started && !port->vlan)
		rte_eth_dev_stop(port->dev);
	if (!port->vlan && port->dev < RTE_MAX_ETHPORTS && rte_eth_dev_is_valid_port(port->dev))
		rte_eth_dev_close(port->dev);
	port->started = false;
	port->dev = RTE_MAX_ETHPORTS;
}

struct lcore_port port_view(const struct port *port, uint16_t worker)
{
	struct lcore_port view = {
		.dev = port->dev,
		.rx_queue = worker < port->n_rxq && !port->vlan ? worker : NO_QUEUE,
		.tx_queue = worker < port->n_txq ? worker : NO_QUEUE,
		.tx_worker = (uint16_t)(worker % port->n_txq),
		.mtu = port->mtu,
		.clamp_mss = port->clamp_mss,
		.source_check = (uint8_t)port->source_check,
		.vlan = port->vlan,
		.vlan_port = port->vlan_port,
	};

	if (view.tx_queue == NO_QUEUE)
		view.way |= WAY_OTHER;
	if (port->vlan)
		view.way |= port->vlan_insert ? WAY_TAG_DEVICE : WAY_TAG;
	port_mac_set(&view, port->mac);
	return view;
}
