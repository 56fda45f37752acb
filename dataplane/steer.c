/* Which queue of a port a packet comes in on: RSS by what the device can hash, and for ESP, where
 * the device can, flow rules that look at the owner's bits in the SPI, so that no hand-over is
 * needed. */
#include <rte_ethdev.h>
#include <rte_flow.h>
#include <stdio.h>

#include "dp.h"
#include "log.h"

#define PORT_NATT 4500

uint64_t steer_hash(uint64_t offered)
{
	return offered & (RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_SCTP |
			  RTE_ETH_RSS_ESP | RTE_ETH_RSS_AH);
}

/* What a rule looks for: ESP in this family, perhaps in UDP, whose SPI names this owner. */
static bool rule_make(const struct port *port, const struct spi_layout *spi, uint16_t queue,
		      bool six, bool udp)
{
	const struct rte_flow_attr attr = { .ingress = 1 };
	const struct rte_flow_item_udp port_is = { .hdr = { .dst_port = RTE_BE16(PORT_NATT) } };
	const struct rte_flow_item_udp port_mask = { .hdr = { .dst_port = RTE_BE16(0xffff) } };
	uint32_t owner = ((1u << spi->owner_bits) - 1) << spi->slot_bits;
	const struct rte_flow_item_esp spi_is = {
		.hdr = { .spi = rte_cpu_to_be_32((uint32_t)queue << spi->slot_bits) }
	};
	const struct rte_flow_item_esp spi_mask = { .hdr = { .spi = rte_cpu_to_be_32(owner) } };
	const struct rte_flow_action_queue to = { .index = queue };
	const struct rte_flow_action actions[] = {
		{ .type = RTE_FLOW_ACTION_TYPE_QUEUE, .conf = &to },
		{ .type = RTE_FLOW_ACTION_TYPE_END },
	};
	struct rte_flow_item items[5] = {
		{ .type = RTE_FLOW_ITEM_TYPE_ETH },
		{ .type = six ? RTE_FLOW_ITEM_TYPE_IPV6 : RTE_FLOW_ITEM_TYPE_IPV4 },
	};
	struct rte_flow_error error;
	unsigned n = 2;

	if (udp)
		items[n++] = (struct rte_flow_item){ .type = RTE_FLOW_ITEM_TYPE_UDP,
						     .spec = &port_is,
						     .mask = &port_mask };
	items[n++] = (struct rte_flow_item){ .type = RTE_FLOW_ITEM_TYPE_ESP,
					     .spec = &spi_is,
					     .mask = &spi_mask };
	items[n] = (struct rte_flow_item){ .type = RTE_FLOW_ITEM_TYPE_END };
	return rte_flow_validate(port->dev, &attr, items, actions, &error) == 0 &&
	       rte_flow_create(port->dev, &attr, items, actions, &error);
}

/* All queues or none of a kind: half of the owners would gain nothing by it. */
static unsigned rules_make(const struct port *port, const struct spi_layout *spi, bool six,
			   bool udp)
{
	uint16_t q;

	for (q = 0; q < port->n_rxq; q++)
		if (!rule_make(port, spi, q, six, udp))
			break;
	if (q > 0 && q < port->n_rxq)
		log_warn("port %s: room for %u of %u rules that steer ESP by SPI; the others' "
			 "packets "
			 "are handed over",
			 port->name, q, port->n_rxq);
	return q;
}

void steer_start(const struct port *port, const struct spi_layout *spi)
{
	unsigned n = 0;

	if (port->n_rxq < 2)
		return;
	for (unsigned kind = 0; kind < 4; kind++)
		n += rules_make(port, spi, kind & 1, kind & 2);
	log_info("port %s: %u receive queues, RSS %s%s%s, %u flow rules by SPI%s", port->name,
		 port->n_rxq, port->rss & RTE_ETH_RSS_IP ? "by address" : "none",
		 port->rss & (RTE_ETH_RSS_UDP | RTE_ETH_RSS_TCP) ? " and port" : "",
		 port->rss & RTE_ETH_RSS_ESP ? " and SPI" : "", n,
		 n ? "" : " (the device has none: workers hand ESP over)");
}
