/* RESPONDER-LIFETIME (RFC 2407 section 4.6.3.1): a responder whose lifetime is shorter than the one
 * offered cannot say so in the transform, which goes back as it came; it adds this notify. */
#include "bytes.h"
#include "engine.h"

#define ATTR_BASIC 0x8000

static void put_life(struct msgbuf *m, uint16_t type, uint64_t value)
{
	if (value == 0)
		return;
	msg_put_u16(m, ATTR_BASIC | IPSEC_LIFE_TYPE);
	msg_put_u16(m, type);
	msg_put_u16(m, IPSEC_LIFE_DURATION);
	msg_put_u16(m, 8);
	msg_put_u32(m, (uint32_t)(value >> 32));
	msg_put_u32(m, (uint32_t)value);
}

uint64_t lifetime_shorter(uint64_t a, uint64_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

void lifetime_tell(struct msgbuf *m, uint8_t proto, uint32_t spi, uint32_t life_s, uint64_t life_kb)
{
	if (life_s == 0 && life_kb == 0)
		return;
	msg_open(m, PL_NOTIFY);
	msg_put_u32(m, DOI_IPSEC);
	msg_put_u8(m, proto);
	msg_put_u8(m, sizeof(spi));
	msg_put_u16(m, N_RESPONDER_LIFETIME);
	msg_put_u32(m, spi);
	put_life(m, LIFE_SECONDS, life_s);
	put_life(m, LIFE_KILOBYTES, life_kb);
	msg_close(m);
}

/* One notify's list of attributes; what cannot be read of it is passed over. */
static void take_lives(struct view v, uint64_t *life_s, uint64_t *life_kb)
{
	uint16_t unit = 0;

	while (v.len >= 4) {
		uint16_t type = get_u16(v.p);
		size_t len = type & ATTR_BASIC ? 2 : get_u16(v.p + 2);
		const uint8_t *value = v.p + (type & ATTR_BASIC ? 2 : 4);
		uint64_t num = 0;
		if ((size_t)(value - v.p) + len > v.len || len > sizeof(num))
			return;
		for (size_t i = 0; i < len; i++)
			num = num << 8 | value[i];
		if ((type & ~ATTR_BASIC) == IPSEC_LIFE_TYPE)
			unit = num <= UINT16_MAX ? (uint16_t)num : 0;
		else if ((type & ~ATTR_BASIC) == IPSEC_LIFE_DURATION && unit == LIFE_SECONDS)
			*life_s = lifetime_shorter(*life_s, num);
		else if ((type & ~ATTR_BASIC) == IPSEC_LIFE_DURATION && unit == LIFE_KILOBYTES)
			*life_kb = lifetime_shorter(*life_kb, num);
		v.len -= (size_t)(value - v.p) + len;
		v.p = value + len;
	}
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
	c->life_s = life_s > UINT32_MAX ? UINT32_MAX : (uint32_t)life_s;
}
