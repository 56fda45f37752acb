#include "sa_msg.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

void sa_begin(struct sa_msg *s)
{
	struct isakmp_hdr h = { .version = ISAKMP_VERSION, .exchange = EXCH_QUICK };

	memset(s, 0, sizeof(*s));
	msg_begin(&s->m, s->buf, sizeof(s->buf), &h);
}

void sa_end(struct sa_msg *s)
{
	const char *why = "";
	int len = msg_finish(&s->m);

	cr_assert_gt(len, 0);
	cr_assert_eq(payload_list_parse(s->buf[16], s->buf + 28, (size_t)len - 28, &s->list, &why),
		     0, "%s", why);
	s->sa = calloc(1, sizeof(*s->sa));
	cr_assert_eq(sa_payload_parse(payload_find(&s->list, PL_SA, 0)->body, s->sa, &why), 0, "%s",
		     why);
}

void sa_free(struct sa_msg *s)
{
	free(s->sa);
}

/* A transform by hand: attributes as (type, value) pairs, basic. */
void hand_sa(struct sa_msg *s, uint8_t proto, uint8_t id, uint32_t spi, const struct hand_attr *a,
	     unsigned n)
{
	sa_begin(s);
	msg_open(&s->m, PL_SA);
	msg_put_u32(&s->m, DOI_IPSEC);
	msg_put_u32(&s->m, SIT_IDENTITY_ONLY);
	unsigned spi_len = spi ? 4 : 0, tlen = 8 + 4 * n;
	msg_put_u16(&s->m, 0);
	msg_put_u16(&s->m, (uint16_t)(8 + spi_len + tlen));
	msg_put_u8(&s->m, 1);
	msg_put_u8(&s->m, proto);
	msg_put_u8(&s->m, (uint8_t)spi_len);
	msg_put_u8(&s->m, 1);
	if (spi)
		msg_put_u32(&s->m, spi);
	msg_put_u16(&s->m, 0);
	msg_put_u16(&s->m, (uint16_t)tlen);
	msg_put_u8(&s->m, 1);
	msg_put_u8(&s->m, id);
	msg_put_u16(&s->m, 0);
	for (unsigned i = 0; i < n; i++) {
		msg_put_u16(&s->m, 0x8000 | a[i].type);
		msg_put_u16(&s->m, a[i].value);
	}
	msg_close(&s->m);
	sa_end(s);
}
