/* Text of many megabytes, in blocks that come from the kernel and go back there one by one.
 *
 * In one piece it is moved each time it has doubled, and what it leaves behind in the heap stays
 * with the process. */
#ifndef SHRIKE_BLOCKS_H
#define SHRIKE_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#define BLOCK_BYTES (128 << 10) /* with its head */

struct block {
	TAILQ_ENTRY(block) link;
	size_t len;
	char p[]; /* len */
};

struct blocks { /* blocks_init() */
	TAILQ_HEAD(block_list, block) list;
	size_t len;  /* in all */
	unsigned n;  /* blocks */
	bool failed; /* there was no memory: the text ends somewhere */
};

void blocks_init(struct blocks *b);
void blocks_free(struct blocks *b); /* empty, as after blocks_init() */
void blocks_add(struct blocks *b, const char *p, size_t len);
/* Gives the first block back if this is its text; for whoever has read so far. */
bool blocks_drop(struct blocks *b, const char *p);

#endif
