/* Counted memory, so that a leak shows as a number. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "secret.h"

void *ike_alloc(struct ike *ike, size_t len)
{
	void *p = calloc(1, len ? len : 1);

	if (p)
		ike->bytes += len;
	return p;
}

void ike_dealloc(struct ike *ike, void *p, size_t len)
{
	if (!p)
		return;
	ike->bytes -= len;
	free(p);
}

void *ike_secret_alloc(struct ike *ike, size_t len)
{
	void *p = secret_alloc(len);

	if (p)
		ike->bytes += len;
	return p;
}

void ike_secret_dealloc(struct ike *ike, void *p, size_t len)
{
	if (!p)
		return;
	ike->bytes -= len;
	secret_free(p, len);
}

int buf_set(struct ike *ike, struct buf *b, const void *p, size_t len)
{
	uint8_t *copy = ike_alloc(ike, len);

	if (!copy)
		return -ENOMEM;
	if (len)
		memcpy(copy, p, len);
	buf_free(ike, b);
	*b = (struct buf){ copy, len };
	return 0;
}

void buf_free(struct ike *ike, struct buf *b)
{
	ike_dealloc(ike, b->p, b->len);
	*b = (struct buf){ 0 };
}

void buf_wipe(struct ike *ike, struct buf *b)
{
	ike_secret_dealloc(ike, b->p, b->len);
	*b = (struct buf){ 0 };
}
