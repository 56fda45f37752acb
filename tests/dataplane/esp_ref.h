/* ESP on top of OpenSSL, independent of the code under test: for checking what it makes and for
 * making what it must accept or refuse. */
#ifndef SHRIKE_TESTS_ESP_REF_H
#define SHRIKE_TESTS_ESP_REF_H

#include <stdbool.h>
#include <stdint.h>

#include "sa_params.h"

/* Decrypts an outer IPv4 packet (plain or UDP-encapsulated) with the keys of p: checks outer
 * header, checksum, SPI, ICV and padding. Returns the plaintext length without trailer and the
 * next header in *next, or -1. out: at least len bytes. */
int esp_ref_open(const struct sa_params *p, const uint8_t *pkt, uint32_t len, uint8_t *out,
		 uint32_t *seq, uint8_t *next);

/* Encrypts plain (already with its trailer; a multiple of the block) as packet seq from p->local to
 * p->remote, as the peer of the inbound SA p does. Returns the packet's length. */
uint32_t esp_ref_seal(const struct sa_params *p, uint32_t seq, const uint8_t *plain, uint32_t len,
		      uint8_t *out);
/* Adds padding and trailer for p's block length; returns the new length. */
uint32_t esp_ref_trailer(const struct sa_params *p, uint8_t *plain, uint32_t len, uint8_t next);

#endif
