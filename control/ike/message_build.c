/* Building of messages. */
#include "message.h"

#include <errno.h>
#include <string.h>

#include "bytes.h"

#define HDR_NEXT_AT   16
#define HDR_LENGTH_AT 24

void isakmp_hdr_write(const struct isakmp_hdr *h, uint8_t *out)
{
	memcpy(out, h->icookie, ISAKMP_COOKIE_LEN);
	memcpy(out + 8, h->rcookie, ISAKMP_COOKIE_LEN);
	out[HDR_NEXT_AT] = h->next;
	out[17] = h->version;
	out[18] = h->exchange;
	out[19] = h->flags;
	put_u32(out + 20, h->msgid);
	put_u32(out + HDR_LENGTH_AT, h->length);
}

/* The next len bytes, or NULL (and overflow) when there is no room. */
static uint8_t *msg_take(struct msgbuf *m, size_t len)
{
	if (m->overflow || len > m->cap - m->len) {
		m->overflow = true;
		return NULL;
	}
	uint8_t *p = m->buf + m->len;
	m->len += len;
	return p;
}

void msg_begin(struct msgbuf *m, uint8_t *buf, size_t cap, const struct isakmp_hdr *h)
{
	*m = (struct msgbuf){ .buf = buf, .cap = cap, .next_at = HDR_NEXT_AT };
	uint8_t *p = msg_take(m, ISAKMP_HDR_LEN);
	if (!p)
		return;
	isakmp_hdr_write(h, p);
	p[HDR_NEXT_AT] = PL_NONE;
	put_u32(p + HDR_LENGTH_AT, 0);
}

void msg_open(struct msgbuf *m, uint8_t type)
{
	size_t at = m->len;
	uint8_t *p = msg_take(m, 4);

	if (!p)
		return;
	memset(p, 0, 4);
	m->buf[m->next_at] = type;
	m->next_at = at;
	m->payload_at = at;
}

void msg_close(struct msgbuf *m)
{
	size_t len = m->len - m->payload_at;

	if (m->overflow)
		return;
	if (len > UINT16_MAX)
		m->overflow = true;
	else
		put_u16(m->buf + m->payload_at + 2, (uint16_t)len);
	m->payload_at = 0;
}

void msg_put(struct msgbuf *m, const void *data, size_t len)
{
	if (len == 0)
		return;
	uint8_t *p = msg_take(m, len);
	if (p)
		memcpy(p, data, len);
}

void msg_put_u8(struct msgbuf *m, uint8_t v)
{
	msg_put(m, &v, 1);
}

void msg_put_u16(struct msgbuf *m, uint16_t v)
{
	uint8_t *p = msg_take(m, 2);

	if (p)
		put_u16(p, v);
}

void msg_put_u32(struct msgbuf *m, uint32_t v)
{
	uint8_t *p = msg_take(m, 4);

	if (p)
		put_u32(p, v);
}

void msg_payload(struct msgbuf *m, uint8_t type, const void *body, size_t len)
{
	msg_open(m, type);
	msg_put(m, body, len);
	msg_close(m);
}

size_t msg_reserve(struct msgbuf *m, uint8_t type, size_t len)
{
	msg_open(m, type);
	size_t at = m->len;
	uint8_t *p = msg_take(m, len);
	if (p)
		memset(p, 0, len);
	msg_close(m);
	return p ? at : 0;
}

void msg_open_cfg(struct msgbuf *m, uint8_t type, uint16_t id)
{
	msg_open(m, PL_ATTR);
	msg_put_u8(m, type);
	msg_put_u8(m, 0);
	msg_put_u16(m, id);
}

void msg_attr_basic(struct msgbuf *m, uint16_t type, uint16_t value)
{
	msg_put_u16(m, type | 0x8000);
	msg_put_u16(m, value);
}

void msg_attr(struct msgbuf *m, uint16_t type, const void *value, size_t len)
{
	if (len > UINT16_MAX)
		m->overflow = true;
	msg_put_u16(m, type);
	msg_put_u16(m, (uint16_t)len);
	msg_put(m, value, len);
}

void msg_pad(struct msgbuf *m, size_t block)
{
	size_t over = (m->len - ISAKMP_HDR_LEN) % block;

	if (m->overflow || over == 0)
		return;
	uint8_t *p = msg_take(m, block - over);
	if (p)
		memset(p, 0, block - over);
}

int msg_finish(struct msgbuf *m)
{
	if (m->overflow)
		return -ENOSPC;
	put_u32(m->buf + HDR_LENGTH_AT, (uint32_t)m->len);
	return (int)m->len;
}
