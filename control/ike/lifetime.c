/* RESPONDER-LIFETIME (RFC 2407 section 4.6.3.1): a responder whose lifetime is shorter than the one
 * offered cannot say so in the transform, which goes back as it came; it adds this notify. */
#include <string.h>

#include "bytes.h"
#include "engine.h"

#define ATTR_BASIC 0x8000
#define LIFE_LEN   16 /* bytes of the two attributes of one limit */

/* The attributes of the phase that it is about, and no longer than they must be: vpnc gives up on any
 * others. */
static void put_life(struct msgbuf *m, uint8_t proto, uint16_t type, uint64_t value)
{
	bool ike = proto == PROTO_ISAKMP;
	uint8_t raw[8];
	size_t skip = value >> 32 ? 0 : 4;

	if (value == 0)
		return;
	msg_attr_basic(m, ike ? ATTR_LIFE_TYPE : IPSEC_LIFE_TYPE, type);
	put_u32(raw, (uint32_t)(value >> 32));
	put_u32(raw + 4, (uint32_t)value);
	msg_attr(m, ike ? ATTR_LIFE_DURATION : IPSEC_LIFE_DURATION, raw + skip, sizeof(raw) - skip);
}

uint64_t lifetime_shorter(uint64_t a, uint64_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

uint64_t lifetime_bytes(uint64_t life_kb)
{
	return life_kb > UINT64_MAX / 1024 ? 0 : life_kb * 1024;
}

static void tell(struct msgbuf *m, uint8_t proto, const uint8_t *spi, uint8_t spi_len,
		 uint32_t life_s, uint64_t life_kb)
{
	if (life_s == 0 && life_kb == 0)
		return;
	msg_open(m, PL_NOTIFY);
	msg_put_u32(m, DOI_IPSEC);
	msg_put_u8(m, proto);
	msg_put_u8(m, spi_len);
	msg_put_u16(m, N_RESPONDER_LIFETIME);
	msg_put(m, spi, spi_len);
	put_life(m, proto, LIFE_SECONDS, life_s);
	put_life(m, proto, LIFE_KILOBYTES, life_kb);
	msg_close(m);
}

void lifetime_tell(struct msgbuf *m, uint8_t proto, uint32_t spi, uint32_t life_s, uint64_t life_kb)
{
	uint8_t raw[4];

	put_u32(raw, spi);
	tell(m, proto, raw, sizeof(raw), life_s, life_kb);
}

void lifetime_tell_sa(struct msgbuf *m, const struct isakmp_sa *sa)
{
	uint8_t spi[2 * ISAKMP_COOKIE_LEN];

	memcpy(spi, sa->icookie, ISAKMP_COOKIE_LEN);
	memcpy(spi + ISAKMP_COOKIE_LEN, sa->rcookie, ISAKMP_COOKIE_LEN);
	tell(m, PROTO_ISAKMP, spi, sizeof(spi), sa->told_s, sa->told_kb);
}

void lifetime_notify_sa(struct isakmp_sa *sa)
{
	uint8_t spi[2 * ISAKMP_COOKIE_LEN], data[2 * LIFE_LEN];
	struct msgbuf m = { .buf = data, .cap = sizeof(data) };

	memcpy(spi, sa->icookie, ISAKMP_COOKIE_LEN);
	memcpy(spi + ISAKMP_COOKIE_LEN, sa->rcookie, ISAKMP_COOKIE_LEN);
	put_life(&m, PROTO_ISAKMP, LIFE_SECONDS, sa->told_s);
	put_life(&m, PROTO_ISAKMP, LIFE_KILOBYTES, sa->told_kb);
	if (m.len)
		info_notify(sa, PROTO_ISAKMP, N_RESPONDER_LIFETIME, spi, sizeof(spi), data, m.len);
}

/* Big endian, of any length; what does not fit is the largest number. */
static uint64_t take_number(const uint8_t *p, size_t len)
{
	uint64_t num = 0;

	while (len > 8) {
		if (*p)
			return UINT64_MAX;
		p++;
		len--;
	}
	while (len--)
		num = num << 8 | *p++;
	return num;
}

/* One notify's list of attributes, of either phase; what cannot be read of it is passed over. */
static void take_lives(struct view v, uint64_t *life_s, uint64_t *life_kb)
{
	uint16_t unit = 0;

	while (v.len >= 4) {
		uint16_t type = get_u16(v.p);
		size_t len = type & ATTR_BASIC ? 2 : get_u16(v.p + 2);
		const uint8_t *value = v.p + (type & ATTR_BASIC ? 2 : 4);
		if ((size_t)(value - v.p) + len > v.len)
			return;
		uint64_t num = take_number(value, len);
		type &= ~ATTR_BASIC;
		if (type == ATTR_LIFE_TYPE)
			type = IPSEC_LIFE_TYPE;
		else if (type == ATTR_LIFE_DURATION)
			type = IPSEC_LIFE_DURATION;
		if (type == IPSEC_LIFE_TYPE)
			unit = num <= UINT16_MAX ? (uint16_t)num : 0;
		else if (type == IPSEC_LIFE_DURATION && unit == LIFE_SECONDS)
			*life_s = lifetime_shorter(*life_s, num);
		else if (type == IPSEC_LIFE_DURATION && unit == LIFE_KILOBYTES)
			*life_kb = lifetime_shorter(*life_kb, num);
		v.len -= (size_t)(value - v.p) + len;
		v.p = value + len;
	}
}

static uint32_t seconds(uint64_t life_s)
{
	return life_s > UINT32_MAX ? UINT32_MAX : (uint32_t)life_s;
}

void lifetime_read(const struct payload_list *l, struct esp_choice *c)
{
	uint64_t life_s = c->life_s;
	const struct payload *p;
	struct notify n;

	for (unsigned k = 0; (p = payload_find(l, PL_NOTIFY, k)); k++)
		if (notify_parse(p->body, &n) == 0 && n.type == N_RESPONDER_LIFETIME &&
		    (n.proto == PROTO_ESP || n.proto == PROTO_AH))
			take_lives(n.data, &life_s, &c->life_kb);
	c->life_s = seconds(life_s);
}

void lifetime_read_sa(struct isakmp_sa *sa, const struct notify *n)
{
	uint64_t life_s = sa->life_s, life_kb = 0;

	if (n->type != N_RESPONDER_LIFETIME || n->proto != PROTO_ISAKMP || !sa->initiator)
		return;
	take_lives(n->data, &life_s, &life_kb);
	sa_shorten(sa, seconds(life_s), lifetime_bytes(life_kb));
}
