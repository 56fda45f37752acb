/* Strict meanings for single texts of the configuration. Each returns 0, or -EINVAL or -ERANGE (the
 * text is well-formed but its number does not fit); nothing is read as a prefix of something. */
#ifndef SHRIKE_CONFIG_VALUE_H
#define SHRIKE_CONFIG_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "addr.h"

/* Decimal digits only. */
int value_number(const char *text, uint64_t *out);
/* yes, no, true, false, on, off. */
int value_bool(const char *text, bool *out);
/* "90s", "30m", "8h", "1d", "250ms", in milliseconds; a bare number only when it is 0. */
int value_duration(const char *text, uint64_t *ms);
/* "65536", "64K", "512M", "1G", "2T", in bytes (1K = 1024). */
int value_size(const char *text, uint64_t *bytes);
/* "10.9.0.1/24": an interface's address, which keeps its host part. */
int value_interface(const char *text, struct ip_prefix *out);
/* "icmp", "tcp", "udp", ..., "any" (0) or a number up to 255. */
int value_protocol(const char *text, uint8_t *out);
/* Letters, digits, '.', '_' and '-', 1 to max characters. */
bool value_is_name(const char *text, size_t max);

#endif
