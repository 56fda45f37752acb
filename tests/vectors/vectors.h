/* The recorded negotiations beside this file: packets and the secrets that two other gateways used.
 */
#ifndef SHRIKE_TESTS_VECTORS_H
#define SHRIKE_TESTS_VECTORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#define VECTOR_MAX_PACKETS 64
#define VECTOR_PSK         "labsecret"

/* One IPv4 UDP datagram of the recording. */
struct vector_packet {
	uint8_t src[4], dst[4]; /* network order */
	uint16_t sport, dport;  /* host order */
	const uint8_t *data;    /* UDP payload; on port 4500 still with the non-ESP marker */
	size_t len;
	const uint8_t *ip; /* the whole IPv4 packet */
	size_t ip_len;
};

struct vector {
	char name[32];
	json_t *keys;
	uint8_t *file; /* packets point into it */
	struct vector_packet packet[VECTOR_MAX_PACKETS];
	unsigned n;
};

extern const char *const vector_names[]; /* ends with NULL */

/* Reads NAME.pcap and NAME.keys.json; false when that fails. */
bool vector_load(const char *name, struct vector *out);
void vector_free(struct vector *v);

/* An ISAKMP message (marker removed), or false: ESP, keepalive. */
bool vector_isakmp(const struct vector_packet *p, const uint8_t **msg, size_t *len);
/* ESP in UDP (from its SPI on), or false. */
bool vector_esp(const struct vector_packet *p, const uint8_t **esp, size_t *len);

/* The k-th (0-based) value of that name that side ("initiator", "responder") wrote down. Returns
 * its length in bytes, or 0 when there is none or it has more than cap bytes. */
size_t vector_key(const struct vector *v, const char *side, const char *name, unsigned k,
		  uint8_t *out, size_t cap);
/* How many values of that name there are. */
unsigned vector_key_count(const struct vector *v, const char *side, const char *name);
/* The two SPIs, host order: index 0 is the side's own inbound one. False when not recorded. */
bool vector_spis(const struct vector *v, const char *side, uint32_t spi[2]);

/* The path of a file beside the recordings, in a static buffer. */
const char *vector_path(const char *name);
/* Reads a file beside the recordings ("pki/ca.crt") whole into malloc()ed memory; NULL on failure.
 */
uint8_t *vector_file(const char *name, size_t *len);
/* Hexadecimal text to bytes; returns their number, 0 when it is malformed or does not fit. */
size_t hex_decode(const char *hex, uint8_t *out, size_t cap);

#endif
