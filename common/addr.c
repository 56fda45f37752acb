#include "addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int ip_addr_parse(const char *text, struct ip_addr *out)
{
	struct ip_addr a = { 0 };

	if (inet_pton(AF_INET, text, a.b) == 1)
		a.family = IP_V4;
	else if (inet_pton(AF_INET6, text, a.b) == 1)
		a.family = IP_V6;
	else
		return -EINVAL;
	*out = a;
	return 0;
}

/* The last address of the prefix that starts at a. */
static struct ip_addr prefix_last(const struct ip_addr *a, unsigned len)
{
	struct ip_addr last = *a;

	for (unsigned bit = len; bit < ip_addr_len(a) * 8; bit++)
		last.b[bit / 8] |= (uint8_t)(0x80 >> (bit % 8));
	return last;
}

static struct ip_addr prefix_first(const struct ip_addr *a, unsigned len)
{
	struct ip_addr first = *a;

	for (unsigned bit = len; bit < ip_addr_len(a) * 8; bit++)
		first.b[bit / 8] &= (uint8_t) ~(0x80 >> (bit % 8));
	return first;
}

/* Strict decimal of up to three digits; -1 when it is anything else. */
static int parse_len(const char *text)
{
	size_t n = strlen(text);

	if (n == 0 || n > 3 || strspn(text, "0123456789") != n)
		return -1;
	return atoi(text);
}

int ip_prefix_parse(const char *text, struct ip_prefix *out)
{
	char buf[ADDR_STR_LEN + 4];
	struct ip_prefix p = { 0 };

	if (strlen(text) >= sizeof(buf))
		return -EINVAL;
	strcpy(buf, text);
	char *slash = strchr(buf, '/');
	if (slash)
		*slash = '\0';
	if (ip_addr_parse(buf, &p.addr) != 0)
		return -EINVAL;
	int max = (int)ip_addr_len(&p.addr) * 8;
	int len = slash ? parse_len(slash + 1) : max;
	if (len < 0 || len > max)
		return -EINVAL;
	p.len = (uint8_t)len;
	struct ip_addr first = prefix_first(&p.addr, p.len);
	if (!ip_addr_equal(&first, &p.addr))
		return -EDOM;
	*out = p;
	return 0;
}

int ip_range_parse(const char *text, struct ip_range *out)
{
	const char *dash = strchr(text, '-');
	if (!dash) {
		struct ip_prefix p;
		int rc = ip_prefix_parse(text, &p);
		if (rc == 0)
			*out = ip_range_from_prefix(&p);
		return rc;
	}

	char lo[ADDR_STR_LEN];
	struct ip_range r;
	size_t n = (size_t)(dash - text);

	if (n >= sizeof(lo))
		return -EINVAL;
	memcpy(lo, text, n);
	lo[n] = '\0';
	if (ip_addr_parse(lo, &r.lo) != 0 || ip_addr_parse(dash + 1, &r.hi) != 0)
		return -EINVAL;
	if (r.lo.family != r.hi.family || ip_addr_cmp(&r.lo, &r.hi) > 0)
		return -EINVAL;
	*out = r;
	return 0;
}

const char *ip_addr_str(const struct ip_addr *a, char *buf, size_t size)
{
	if (a->family == IP_NONE ||
	    !inet_ntop(a->family == IP_V4 ? AF_INET : AF_INET6, a->b, buf, (socklen_t)size))
		snprintf(buf, size, "any");
	return buf;
}

const char *ip_prefix_str(const struct ip_prefix *p, char *buf, size_t size)
{
	char a[ADDR_STR_LEN];

	snprintf(buf, size, "%s/%u", ip_addr_str(&p->addr, a, sizeof(a)), p->len);
	return buf;
}

const char *ip_range_str(const struct ip_range *r, char *buf, size_t size)
{
	char lo[ADDR_STR_LEN], hi[ADDR_STR_LEN];
	struct ip_prefix p;

	if (ip_range_to_prefix(r, &p))
		return ip_prefix_str(&p, buf, size);
	snprintf(buf, size, "%s-%s", ip_addr_str(&r->lo, lo, sizeof(lo)),
		 ip_addr_str(&r->hi, hi, sizeof(hi)));
	return buf;
}

static void proto_str(uint8_t proto, char *buf, size_t size)
{
	const char *name = proto == 1 ? "icmp" : proto == 6 ? "tcp" : proto == 17 ? "udp" : NULL;

	if (name)
		snprintf(buf, size, "%s", name);
	else
		snprintf(buf, size, "%u", proto);
}

static const char *port_str(uint16_t port, char *buf, size_t size)
{
	snprintf(buf, size, port ? "%u" : "any", port);
	return buf;
}

const char *selector_str(const struct selector *s, char *buf, size_t size)
{
	char l[RANGE_STR_LEN], r[RANGE_STR_LEN], extra[32] = "", proto[8], lp[8], rp[8];

	if (s->proto)
		proto_str(s->proto, proto, sizeof(proto));
	else
		snprintf(proto, sizeof(proto), "any");
	if (s->local_port || s->remote_port)
		snprintf(extra, sizeof(extra), " [%s/%s === %s]", proto,
			 port_str(s->local_port, lp, sizeof(lp)),
			 port_str(s->remote_port, rp, sizeof(rp)));
	else if (s->proto)
		snprintf(extra, sizeof(extra), " [%s]", proto);
	snprintf(buf, size, "%s === %s%s", ip_range_str(&s->local, l, sizeof(l)),
		 ip_range_str(&s->remote, r, sizeof(r)), extra);
	return buf;
}

struct ip_addr ip_addr_v4(uint32_t v)
{
	return (struct ip_addr){ .family = IP_V4,
				 .b = { (uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8),
					(uint8_t)v } };
}

uint32_t ip_addr_to_v4(const struct ip_addr *a)
{
	return (uint32_t)a->b[0] << 24 | (uint32_t)a->b[1] << 16 | (uint32_t)a->b[2] << 8 | a->b[3];
}

size_t ip_addr_len(const struct ip_addr *a)
{
	return a->family == IP_V4 ? 4 : a->family == IP_V6 ? 16 : 0;
}

struct ip_range ip_range_from_prefix(const struct ip_prefix *p)
{
	return (struct ip_range){ .lo = prefix_first(&p->addr, p->len),
				  .hi = prefix_last(&p->addr, p->len) };
}

bool ip_range_to_prefix(const struct ip_range *r, struct ip_prefix *out)
{
	unsigned bits = (unsigned)ip_addr_len(&r->lo) * 8, len = 0;

	/* a prefix: equal up to some bit, from there on all zeros and all ones */
	while (len < bits && !((r->lo.b[len / 8] ^ r->hi.b[len / 8]) & (0x80 >> (len % 8))))
		len++;
	struct ip_addr first = prefix_first(&r->lo, len), last = prefix_last(&r->lo, len);
	if (!ip_addr_equal(&first, &r->lo) || !ip_addr_equal(&last, &r->hi))
		return false;
	*out = (struct ip_prefix){ .addr = r->lo, .len = (uint8_t)len };
	return true;
}

int ip_addr_cmp(const struct ip_addr *a, const struct ip_addr *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	int c = memcmp(a->b, b->b, sizeof(a->b));
	return c < 0 ? -1 : c > 0;
}

bool ip_addr_equal(const struct ip_addr *a, const struct ip_addr *b)
{
	return ip_addr_cmp(a, b) == 0;
}

bool ip_range_equal(const struct ip_range *a, const struct ip_range *b)
{
	return ip_addr_equal(&a->lo, &b->lo) && ip_addr_equal(&a->hi, &b->hi);
}

bool ip_range_contains(const struct ip_range *outer, const struct ip_range *inner)
{
	return outer->lo.family == inner->lo.family && ip_addr_cmp(&outer->lo, &inner->lo) <= 0 &&
	       ip_addr_cmp(&outer->hi, &inner->hi) >= 0;
}

bool selector_equal(const struct selector *a, const struct selector *b)
{
	return ip_range_equal(&a->local, &b->local) && ip_range_equal(&a->remote, &b->remote) &&
	       a->proto == b->proto && a->local_port == b->local_port &&
	       a->remote_port == b->remote_port;
}

bool selector_contains(const struct selector *outer, const struct selector *inner)
{
	return ip_range_contains(&outer->local, &inner->local) &&
	       ip_range_contains(&outer->remote, &inner->remote) &&
	       (outer->proto == 0 || outer->proto == inner->proto) &&
	       (outer->local_port == 0 || outer->local_port == inner->local_port) &&
	       (outer->remote_port == 0 || outer->remote_port == inner->remote_port);
}
