/* What the stages remember about a packet between one stage and the next. It lies over the RSS hash
 * field of the mbuf's first cache line, which nothing else uses between receive and transmit. */
#ifndef SHRIKE_DATAPLANE_PKT_H
#define SHRIKE_DATAPLANE_PKT_H

#include <rte_mbuf.h>
#include <stdint.h>

enum pkt_flags {
	PKT_UDP_ENCAP = 1 << 0,	 /* ESP inside UDP */
	PKT_FROM_ESP = 1 << 1,	 /* came out of an SA: the inner policy check is done */
	PKT_LOCAL_OUT = 1 << 2,	 /* made by this gateway (control, ESP): no TTL decrement; with
				  * PKT_FROM_ESP: answers what came protected, leaves only protected */
	PKT_PROTECTED = 1 << 3,	 /* esp_out made it: the outer packet needs no policy */
	PKT_TO_ENCRYPT = 1 << 4, /* on a hand-over ring: to encrypt; slot holds the pair's SPI */
	PKT_FRAME = 1 << 5,	 /* data starts at the Ethernet header. Punted: ARP. Injected or
				  * handed over: complete, to be sent from port */
	PKT_UNRESOLVED = 1 << 6, /* punted: needs a neighbour; control routes it again */
	PKT_AH = PKT_UNRESOLVED, /* between classify and esp_in: AH, not ESP */
	PKT_ERROR = 1 << 7,	 /* punted: dropped, its sender is to hear why by ICMP; slot holds
				  * the drop reason << 16 | the MTU */
	PKT_FRAGMENT = PKT_ERROR, /* on a hand-over ring: a piece of a packet to this host */
};

struct pkt_meta {
	uint32_t slot;	 /* SA slot on the owner lcore; see also pkt_flags */
	uint8_t port;	 /* port that it came in on, later the one to leave by */
	uint8_t l3_off;	 /* bytes from the start of data to the IP header */
	uint8_t l4_off;	 /* bytes from the start of data to the ESP or AH header */
	uint8_t flags;	 /* enum pkt_flags */
};

_Static_assert(sizeof(struct pkt_meta) <= sizeof(((struct rte_mbuf *)0)->hash),
	       "the meta data fits over the hash field");

static inline struct pkt_meta *pkt_meta(struct rte_mbuf *pkt)
{
	return (struct pkt_meta *)&pkt->hash;
}

#endif
