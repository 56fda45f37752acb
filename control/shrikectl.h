/* Parts of the control tool. */
#ifndef SHRIKE_SHRIKECTL_H
#define SHRIKE_SHRIKECTL_H

#include <jansson.h>

/* shrikectl_show.c: replies as tables on standard output. direction: "in", "out" or NULL for both. */
void show_status(const json_t *reply);
void show_sa(const json_t *reply);
void show_stats(const json_t *stats, const char *direction);
void show_why(const json_t *reply);

#endif
