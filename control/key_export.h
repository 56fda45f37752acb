/* Keys for Wireshark, off unless the configuration names a directory for them: the tables
 * ikev1_decryption_table and esp_sa in its own format, one line for each SA. Whoever reads these
 * files reads all traffic: the directory must be ours alone, the files have mode 0600, and the log
 * says loudly that they are written. */
#ifndef SHRIKE_KEY_EXPORT_H
#define SHRIKE_KEY_EXPORT_H

#include <stddef.h>
#include <stdint.h>

#include "sa_params.h"

struct key_export;

/* Opens both files in dir, to append. 0, or -errno with a sentence in why. */
int key_export_open(const char *dir, struct key_export **out, char *why, size_t why_size);
void key_export_close(struct key_export *k); /* NULL is fine */
/* The encryption key of a Main Mode SA, by its initiator's cookie (8 bytes). NULL k is fine. */
void key_export_ike(struct key_export *k, const uint8_t *icookie, const uint8_t *key, size_t len);
/* One direction of an SA pair. NULL k is fine; AH has no keys to read with. */
void key_export_sa(struct key_export *k, const struct sa_params *p);

#endif
