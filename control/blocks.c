#include "blocks.h"

#include <string.h>
#include <sys/mman.h>

#define ROOM (BLOCK_BYTES - sizeof(struct block))

void blocks_init(struct blocks *b)
{
	*b = (struct blocks){ 0 };
	TAILQ_INIT(&b->list);
}

bool blocks_drop(struct blocks *b, const char *p)
{
	struct block *k = TAILQ_FIRST(&b->list);

	if (!k || k->p != p)
		return false;
	TAILQ_REMOVE(&b->list, k, link);
	b->len -= k->len;
	b->n--;
	munmap(k, BLOCK_BYTES);
	return true;
}

void blocks_free(struct blocks *b)
{
	while (b->n)
		blocks_drop(b, TAILQ_FIRST(&b->list)->p);
	b->failed = false;
}

/* The last one, while it has room. NULL: no memory. */
static struct block *block_open(struct blocks *b)
{
	struct block *k = TAILQ_LAST(&b->list, block_list);

	if (k && k->len < ROOM)
		return k;
	k = mmap(NULL, BLOCK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (k == MAP_FAILED)
		return NULL;
	TAILQ_INSERT_TAIL(&b->list, k, link); /* the kernel's pages are zeroes */
	b->n++;
	return k;
}

void blocks_add(struct blocks *b, const char *p, size_t len)
{
	while (len && !b->failed) {
		struct block *k = block_open(b);
		if (!k) {
			b->failed = true;
			return;
		}
		size_t part = len < ROOM - k->len ? len : ROOM - k->len;
		memcpy(k->p + k->len, p, part);
		k->len += part;
		b->len += part;
		p += part;
		len -= part;
	}
}
