/* Parsing of the fixed header, the payload chain and the small bodies. */
#include "message.h"

#include <errno.h>
#include <string.h>

#include "bytes.h"

#define GENERIC_LEN 4 /* next payload, reserved, length: RFC 2408 section 3.2 */

int isakmp_hdr_parse(const uint8_t *msg, size_t len, struct isakmp_hdr *out)
{
	if (len < ISAKMP_HDR_LEN)
		return -EMSGSIZE;
	memcpy(out->icookie, msg, ISAKMP_COOKIE_LEN);
	memcpy(out->rcookie, msg + 8, ISAKMP_COOKIE_LEN);
	out->next = msg[16];
	out->version = msg[17];
	out->exchange = msg[18];
	out->flags = msg[19];
	out->msgid = get_u32(msg + 20);
	out->length = get_u32(msg + 24);
	if (out->length < ISAKMP_HDR_LEN || out->length > len)
		return -EMSGSIZE;
	if (out->version >> 4 != ISAKMP_VERSION >> 4)
		return -EPROTONOSUPPORT;
	return 0;
}

static int bad(const char **why, const char *sentence)
{
	*why = sentence;
	return -EBADMSG;
}

int payload_list_parse(uint8_t first, const uint8_t *buf, size_t len, struct payload_list *out,
		       const char **why)
{
	size_t at = 0;

	out->n = 0;
	out->used = 0;
	for (uint8_t type = first; type != PL_NONE;) {
		if (out->n == IKE_MAX_PAYLOADS)
			return bad(why, "the message has too many payloads");
		if (len - at < GENERIC_LEN)
			return bad(why, "a payload header reaches beyond the message");
		size_t size = get_u16(buf + at + 2);
		if (size < GENERIC_LEN)
			return bad(why, "a payload is shorter than its header");
		if (size > len - at)
			return bad(why, "a payload reaches beyond the message");
		out->p[out->n++] = (struct payload){
			.type = type,
			.body = { buf + at + GENERIC_LEN, size - GENERIC_LEN },
			.raw = { buf + at, size },
		};
		type = buf[at];
		at += size;
	}
	out->used = at;
	return 0;
}

const struct payload *payload_find(const struct payload_list *l, uint8_t type, unsigned k)
{
	for (unsigned i = 0; i < l->n; i++)
		if (l->p[i].type == type && k-- == 0)
			return &l->p[i];
	return NULL;
}

/* RFC 2408 section 3.14 */
int notify_parse(struct view body, struct notify *out)
{
	if (body.len < 8)
		return -EBADMSG;
	size_t spi_len = body.p[5];
	if (spi_len > body.len - 8)
		return -EBADMSG;
	*out = (struct notify){
		.doi = get_u32(body.p),
		.proto = body.p[4],
		.type = get_u16(body.p + 6),
		.spi = { body.p + 8, spi_len },
		.data = { body.p + 8 + spi_len, body.len - 8 - spi_len },
	};
	return 0;
}

int fragment_parse(struct view body, struct fragment *out)
{
	if (body.len < 5)
		return -EBADMSG;
	*out = (struct fragment){
		.id = get_u16(body.p),
		.number = body.p[2],
		.last = body.p[3] & FRAGMENT_LAST,
		.data = { body.p + 4, body.len - 4 },
	};
	return out->number >= 1 && out->number <= IKE_MAX_FRAGMENTS ? 0 : -EBADMSG;
}

/* RFC 2408 section 3.15. The SPIs must fill the body exactly: a count that does not fit the bytes
 * leaves no safe reading of either. */
int delete_parse(struct view body, struct delete_payload *out)
{
	if (body.len < 8)
		return -EBADMSG;
	*out = (struct delete_payload){
		.doi = get_u32(body.p),
		.proto = body.p[4],
		.spi_len = body.p[5],
		.n_spis = get_u16(body.p + 6),
		.spis = { body.p + 8, body.len - 8 },
	};
	if (out->spi_len == 0 || out->spi_len > IKE_MAX_SPI || out->n_spis > IKE_MAX_DELETE_SPIS ||
	    (size_t)out->n_spis * out->spi_len != out->spis.len)
		return -EBADMSG;
	return 0;
}
