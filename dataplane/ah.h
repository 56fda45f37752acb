/* AH, RFC 4302: the ICV covers the whole packet, with everything that may change on the way as
 * zero.
 *
 * The packet is altered in place for the computation and restored afterwards from what was saved.
 */
#ifndef SHRIKE_DATAPLANE_AH_H
#define SHRIKE_DATAPLANE_AH_H

#include <stdbool.h>
#include <stdint.h>

#define AH_HEADERS_MAX 255 /* bytes of IP header and extension headers before AH */
#define AH_ICV_MAX     32
#define AH_MORE        4 /* bytes that ESN adds behind the packet for the computation */

/* One computation: what it is about, and what it overwrites. */
struct ah_job {
	uint8_t *ip;     /* the packet */
	uint32_t total;  /* its length */
	uint32_t high;   /* ESN: the high half of the sequence number */
	uint16_t ah_off; /* from ip to AH: at most AH_HEADERS_MAX */
	uint8_t icv_len; /* of the ICV field, an IV in it included: at most AH_ICV_MAX */
	uint8_t more;    /* AH_MORE, or 0 without ESN */
	uint8_t headers[AH_HEADERS_MAX + 1];
	uint8_t icv[AH_ICV_MAX];
	uint8_t behind[AH_MORE]; /* where the high half goes */
};

/* Zeroes the mutable fields of the IP header and options or extension headers at ip, which are len
 * bytes long and are followed by AH (RFC 4302 section 3.3.3.1). False: they are malformed, or of a
 * kind that AH cannot cover (a fragment, a source route); some may be zeroed already. */
bool ah_mutable_zero(uint8_t *ip, uint32_t len);

/* Alters the packet so that the ICV is that of total + more bytes from ip on. The more bytes behind
 * the packet must be ours. False as above; then nothing has changed. */
bool ah_begin(struct ah_job *job);
/* Puts everything back, the ICV field included. */
void ah_end(const struct ah_job *job);

#endif
