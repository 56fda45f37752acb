/* Path MTU discovery for what leaves encrypted (RFC 1191, RFC 8201, RFC 4301 section 8.2.1).
 *
 * A router that cannot pass our ESP on says so by ICMP. It is believed when it quotes a packet that
 * we did send: addresses and SPI of an SA in service, a sequence number of the recent past, longer
 * than the MTU that it names. An MTU below what every link must carry counts as that. What was
 * learnt holds for ten minutes; then larger packets are tried again. Control thread. */
#ifndef SHRIKE_DATAPLANE_PMTU_H
#define SHRIKE_DATAPLANE_PMTU_H

#include "dataplane.h"

#define PMTU_PATHS	1024 /* newcomers replace the oldest */
#define PMTU_MIN_V4	576  /* RFC 1122: no host needs to take less */
#define PMTU_MIN_V6	1280
#define PMTU_MS		600000
#define PMTU_PER_SECOND 50   /* messages looked at: each costs a walk over the SAs */
#define PMTU_SEQ_PAST	(1 << 20)

struct rte_mbuf;
struct worker;

struct pmtu_path {
	struct ip_addr remote;
	uint16_t mtu;
	uint64_t until_ms;
};

struct pmtu {
	struct pmtu_path path[PMTU_PATHS];
	unsigned n;
	uint64_t second; /* and how many messages were looked at in it */
	unsigned in_second;
	uint64_t tick_ms;
};

/* An ICMP packet that was punted. False: about something else, still the caller's. */
bool pmtu_input(struct dp *dp, struct worker *w, struct rte_mbuf *pkt);
/* The same for ICMPv6; the chain of its headers is sound. */
bool pmtu_input6(struct dp *dp, struct worker *w, struct rte_mbuf *pkt);
/* What an outer packet to remote may measure: by the route and by what was learnt; 0 = no route. */
uint16_t pmtu_outer(const struct dp *dp, const struct ip_addr *remote);
/* Forgets what is too old. */
void pmtu_tick(struct dp *dp, uint64_t now_ms);

#endif
