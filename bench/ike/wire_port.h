/* IKE's datagrams of many addresses through one network interface: a raw packet socket that answers
 * ARP for all of 10.0.0.0/8 but the gateway. IPv4 without options or fragments. */
#ifndef SHRIKE_BENCH_WIRE_PORT_H
#define SHRIKE_BENCH_WIRE_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ike.h"

struct wire_port;

/* The interface is up and has no address. gateway, own: host order; asks the gateway for its
 * station, from own. NULL, with a line on standard error, when it does not answer within three
 * seconds or there is no such interface. */
struct wire_port *wire_open(const char *interface, uint32_t gateway, uint32_t own);
void wire_close(struct wire_port *w);   /* NULL is fine */
int wire_fd(const struct wire_port *w); /* readable when frames wait */

/* Adds the non-ESP marker on port 4500. What the socket does not take is lost, as on any network.
 */
void wire_send(struct wire_port *w, const struct ike_path *path, const uint8_t *msg, size_t len);
/* The next ISAKMP message to UDP 500 or 4500 (marker removed), of whatever address; false when none
 * waits. msg is valid until the next call. */
bool wire_receive(struct wire_port *w, struct ike_path *path, const uint8_t **msg, size_t *len);

#endif
