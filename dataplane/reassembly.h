/* Putting packets to this host together again (RFC 791 section 3.2, RFC 8200 section 4.5): ESP, its
 * UDP encapsulation, IKE and ping. Packets in transit are never reassembled.
 *
 * The pieces of a packet meet on one worker, which a hash of addresses and identification chooses:
 * whoever receives a piece hands it over there (PKT_FRAGMENT), be it to himself. Network cards that
 * spread packets by ports put a first piece elsewhere than the others; so that does not matter.
 *
 * Bounds of each worker: REASSEMBLY_PACKETS at a time, REASSEMBLY_PIECES in each and
 * REASSEMBLY_HELD in all, for REASSEMBLY_SECONDS. Newcomers replace the oldest: a flood of pieces
 * that never become a packet delays nobody whose pieces come close together. Pieces that overlap
 * take their whole packet with them (RFC 5722). */
#ifndef SHRIKE_DATAPLANE_REASSEMBLY_H
#define SHRIKE_DATAPLANE_REASSEMBLY_H

#include "lcore.h"

#define REASSEMBLY_PACKETS 128
#define REASSEMBLY_PIECES  16
#define REASSEMBLY_HELD	   256
#define REASSEMBLY_SECONDS 5
/* A link carries at least 68 bytes (RFC 791), so that no honest piece but the last is smaller. */
#define REASSEMBLY_LEAST 48

/* Worker that puts the packet together; data starts at the IP header of a sound fragment. */
uint16_t reassembly_worker(const struct lcore *lc, struct rte_mbuf *pkt);

/* Takes a piece. Returns the whole packet in one segment once it is complete, otherwise NULL. */
struct rte_mbuf *reassembly_add(struct lcore *lc, struct rte_mbuf *pkt);

/* Drops what is too old, when lc->reassembly_due has come. */
void reassembly_expire(struct lcore *lc);

/* NULL without memory. Control thread; free also drops what waits. */
struct reassembly *reassembly_new(int socket);
void reassembly_free(struct reassembly *r);

#endif
