/* ESP on top of OpenSSL, independent of the code under test: for checking what it makes and for
 * making what it must accept or refuse. */
#ifndef SHRIKE_TESTS_ESP_REF_H
#define SHRIKE_TESTS_ESP_REF_H

#include <stdbool.h>
#include <stdint.h>

#include "sa_params.h"

/* Decrypts an outer packet (plain or UDP-encapsulated, without options or extension headers) with
 * the keys of p: checks outer header, checksums, SPI, ICV and padding. Returns the payload's length
 * without trailer and the next header in *next, or -1. out: at least len bytes. The payload is the
 * inner packet, or in transport mode what follows the IP header. */
int esp_ref_open(const struct sa_params *p, const uint8_t *pkt, uint32_t len, uint8_t *out,
		 uint32_t *seq, uint8_t *next);
/* The same with ESN: high is the high half of the sequence number. */
int esp_ref_open_esn(const struct sa_params *p, const uint8_t *pkt, uint32_t len, uint32_t high,
		     uint8_t *out, uint32_t *seq, uint8_t *next);

/* Encrypts plain (already with its trailer; a multiple of the block) as packet seq from p->local to
 * p->remote, as the peer of the inbound SA p does. AH: plain is the payload, next what it is.
 * Returns the packet's length. */
uint32_t esp_ref_seal(const struct sa_params *p, uint64_t seq, const uint8_t *plain, uint32_t len,
		      uint8_t *out);
uint32_t esp_ref_seal_ah(const struct sa_params *p, uint64_t seq, const uint8_t *plain,
			 uint32_t len, uint8_t next, uint8_t *out);
/* Adds padding and trailer for p's block length; returns the new length. */
uint32_t esp_ref_trailer(const struct sa_params *p, uint8_t *plain, uint32_t len, uint8_t next);

#endif
