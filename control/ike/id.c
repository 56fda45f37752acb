/* Identities: RFC 2407 section 4.6.2. */
#include "message.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509.h>

#include "bytes.h"

#define ID_FIXED_LEN 4 /* type, protocol, port */

/* How the data of an address kind is laid out: n addresses of one family. */
struct id_shape {
	uint8_t family;    /* enum ip_family; IP_NONE: not an address kind */
	uint8_t addresses; /* 1, or 2 for address and mask, or lowest and highest */
	bool mask;
};

static struct id_shape id_shape(uint8_t type)
{
	switch (type) {
	case ID_IPV4_ADDR:
		return (struct id_shape){ IP_V4, 1, false };
	case ID_IPV6_ADDR:
		return (struct id_shape){ IP_V6, 1, false };
	case ID_IPV4_SUBNET:
		return (struct id_shape){ IP_V4, 2, true };
	case ID_IPV6_SUBNET:
		return (struct id_shape){ IP_V6, 2, true };
	case ID_IPV4_RANGE:
		return (struct id_shape){ IP_V4, 2, false };
	case ID_IPV6_RANGE:
		return (struct id_shape){ IP_V6, 2, false };
	default:
		return (struct id_shape){ IP_NONE, 0, false };
	}
}

static size_t family_len(uint8_t family)
{
	return ip_addr_len(&(struct ip_addr){ .family = family });
}

/* Bits of a contiguous mask, or -1. */
static int mask_bits(const uint8_t *mask, size_t len)
{
	int bits = 0;

	for (size_t i = 0; i < len * 8; i++) {
		bool set = mask[i / 8] >> (7 - i % 8) & 1;
		if (set && (size_t)bits != i)
			return -1;
		bits += set;
	}
	return bits;
}

static bool id_data_ok(uint8_t type, const uint8_t *data, size_t len)
{
	struct id_shape s = id_shape(type);
	size_t n = family_len(s.family);

	if (type == 0 || len == 0 || len > IKE_MAX_ID)
		return false;
	if (s.family == IP_NONE)
		return true;
	if (len != n * s.addresses)
		return false;
	if (s.mask)
		return mask_bits(data + n, n) >= 0;
	return s.addresses == 1 || memcmp(data, data + n, n) <= 0;
}

int ike_id_parse(struct view body, struct ike_id *out)
{
	memset(out, 0, sizeof(*out));
	if (body.len < ID_FIXED_LEN ||
	    !id_data_ok(body.p[0], body.p + ID_FIXED_LEN, body.len - ID_FIXED_LEN))
		return -EBADMSG;
	out->type = body.p[0];
	out->proto = body.p[1];
	out->port = get_u16(body.p + 2);
	out->len = (uint16_t)(body.len - ID_FIXED_LEN);
	memcpy(out->data, body.p + ID_FIXED_LEN, out->len);
	return 0;
}

size_t ike_id_write(const struct ike_id *id, uint8_t *out, size_t cap)
{
	size_t len = ID_FIXED_LEN + (size_t)id->len;

	if (len > cap)
		return 0;
	out[0] = id->type;
	out[1] = id->proto;
	put_u16(out + 2, id->port);
	memcpy(out + ID_FIXED_LEN, id->data, id->len);
	return len;
}

static int id_set(struct ike_id *out, uint8_t type, const void *data, size_t len)
{
	if (len == 0 || len > IKE_MAX_ID)
		return -EINVAL;
	*out = (struct ike_id){ .type = type, .len = (uint16_t)len };
	memcpy(out->data, data, len);
	return 0;
}

static int hex_digit(char c)
{
	const char *digits = "0123456789abcdef";
	const char *at = c ? strchr(digits, tolower((unsigned char)c)) : NULL;

	return at ? (int)(at - digits) : -1;
}

static int id_from_hex(const char *hex, struct ike_id *out)
{
	uint8_t data[IKE_MAX_ID];
	size_t len = strlen(hex);

	if (len % 2 || len / 2 > sizeof(data))
		return -EINVAL;
	for (size_t i = 0; i < len / 2; i++) {
		int hi = hex_digit(hex[2 * i]), lo = hex_digit(hex[2 * i + 1]);
		if (hi < 0 || lo < 0)
			return -EINVAL;
		data[i] = (uint8_t)(hi << 4 | lo);
	}
	return id_set(out, ID_KEY_ID, data, len / 2);
}

/* One "TYPE=value" from *text on, up to the separator; a backslash takes the next character as it
 * is. False when it is malformed. */
static bool dn_add(X509_NAME *name, const char **text, char separator)
{
	char field[IKE_MAX_ID + 1];
	const char *p = *text + strspn(*text, " ");
	size_t n = 0;

	for (; *p && *p != separator; p++) {
		if (*p == '\\' && p[1])
			p++;
		if (n == IKE_MAX_ID)
			return false;
		field[n++] = *p;
	}
	while (n > 0 && field[n - 1] == ' ')
		n--;
	field[n] = '\0';
	*text = *p ? p + 1 : p;
	char *value = strchr(field, '=');
	if (!value || value == field)
		return false;
	*value++ = '\0';
	return *value && X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8,
						    (const unsigned char *)value, -1, -1, 0) == 1;
}

/* "C=DE, O=Lab, CN=gwb", or "/C=DE/O=Lab/CN=gwb". */
static int id_from_dn(const char *text, struct ike_id *out)
{
	X509_NAME *name = X509_NAME_new();
	char separator = *text == '/' ? '/' : ',';
	uint8_t *der = NULL;
	bool ok = name != NULL;

	text += *text == '/';
	do
		ok = ok && dn_add(name, &text, separator);
	while (ok && *text);
	int len = ok ? i2d_X509_NAME(name, &der) : -1;
	int rc = len > 0 ? id_set(out, ID_DER_DN, der, (size_t)len) : -EINVAL;
	OPENSSL_free(der);
	X509_NAME_free(name);
	ERR_clear_error();
	return rc;
}

static bool looks_like_dn(const char *text)
{
	return *text == '/' || text[strcspn(text, "=@")] == '=';
}

int ike_id_from_text(const char *text, struct ike_id *out)
{
	struct ip_addr addr;
	const char *at = strchr(text, '@');

	if (ip_addr_parse(text, &addr) == 0) {
		*out = ike_id_from_addr(&addr);
		return 0;
	}
	if (strncmp(text, "keyid:", 6) == 0)
		return id_from_hex(text + 6, out);
	if (looks_like_dn(text))
		return id_from_dn(text, out);
	for (const char *c = text; *c; c++)
		if (!isgraph((unsigned char)*c))
			return -EINVAL;
	if (at == text)
		return strchr(text + 1, '@') ? -EINVAL
					     : id_set(out, ID_FQDN, text + 1, strlen(text + 1));
	if (at && at[1] == '\0')
		return -EINVAL;
	return id_set(out, at ? ID_USER_FQDN : ID_FQDN, text, strlen(text));
}

/* ------------------------------------------------------------------------- as text ---------- */

static void print_safe(const uint8_t *data, size_t len, char *buf, size_t size)
{
	size_t at = 0;

	for (size_t i = 0; i < len && at + 1 < size; i++)
		buf[at++] = isprint(data[i]) ? (char)data[i] : '?';
	buf[at] = '\0';
}

static void print_hex(const uint8_t *data, size_t len, char *buf, size_t size)
{
	size_t at = 0;

	for (size_t i = 0; i < len && at + 3 <= size; i++, at += 2)
		snprintf(buf + at, size - at, "%02x", data[i]);
	buf[at] = '\0';
}

static X509_NAME *dn_decode(const struct ike_id *id)
{
	const uint8_t *p = id->data;
	X509_NAME *name = d2i_X509_NAME(NULL, &p, id->len);

	if (name && p != id->data + id->len) {
		X509_NAME_free(name);
		name = NULL;
	}
	return name;
}

static bool print_dn(const struct ike_id *id, char *buf, size_t size)
{
	X509_NAME *name = dn_decode(id);
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;
	bool ok = false;

	if (name && bio && X509_NAME_print_ex(bio, name, 0, XN_FLAG_ONELINE) >= 0) {
		long n = BIO_get_mem_data(bio, &text);
		print_safe((const uint8_t *)text, n > 0 ? (size_t)n : 0, buf, size);
		ok = n > 0;
	}
	BIO_free(bio);
	X509_NAME_free(name);
	return ok;
}

const char *ike_id_str(const struct ike_id *id, char *buf, size_t size)
{
	struct ip_range r;

	if (size == 0)
		return buf;
	if (id->type == 0)
		snprintf(buf, size, "(none)");
	else if (id_shape(id->type).family == IP_NONE) {
		if (id->type == ID_FQDN || id->type == ID_USER_FQDN)
			print_safe(id->data, id->len, buf, size);
		else if (id->type != ID_DER_DN || !print_dn(id, buf, size))
			print_hex(id->data, id->len, buf, size);
	} else if (ike_id_to_range(id, &r)) {
		snprintf(buf, size, "(malformed)");
	} else if (id_shape(id->type).addresses == 1) {
		ip_addr_str(&r.lo, buf, size);
	} else {
		ip_range_str(&r, buf, size);
	}
	return buf;
}

/* Two encodings of one name are the same name: compare what they decode to (RFC 5280 7.1). */
static bool dn_equal(const struct ike_id *a, const struct ike_id *b)
{
	X509_NAME *na = dn_decode(a), *nb = dn_decode(b);
	bool equal = na && nb && X509_NAME_cmp(na, nb) == 0;

	X509_NAME_free(na);
	X509_NAME_free(nb);
	return equal;
}

static bool text_equal(const uint8_t *a, const uint8_t *b, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (tolower(a[i]) != tolower(b[i]))
			return false;
	return true;
}

bool ike_id_equal(const struct ike_id *a, const struct ike_id *b)
{
	if (a->type != b->type)
		return false;
	if (a->len == b->len && memcmp(a->data, b->data, a->len) == 0)
		return true;
	if (a->type == ID_DER_DN)
		return dn_equal(a, b);
	return (a->type == ID_FQDN || a->type == ID_USER_FQDN) && a->len == b->len &&
	       text_equal(a->data, b->data, a->len);
}

/* ---------------------------------------------------------- addresses and ranges ------------ */

struct ike_id ike_id_from_addr(const struct ip_addr *a)
{
	struct ike_id id = { .type = a->family == IP_V6 ? ID_IPV6_ADDR : ID_IPV4_ADDR,
			     .len = (uint16_t)ip_addr_len(a) };

	memcpy(id.data, a->b, id.len);
	return id;
}

struct ike_id ike_id_from_range(const struct ip_range *r, uint8_t proto, uint16_t port)
{
	bool v6 = r->lo.family == IP_V6;
	size_t n = ip_addr_len(&r->lo);
	struct ike_id id = { 0 };
	struct ip_prefix prefix;

	if (ip_addr_equal(&r->lo, &r->hi)) {
		id = ike_id_from_addr(&r->lo);
	} else if (ip_range_to_prefix(r, &prefix)) {
		id.type = v6 ? ID_IPV6_SUBNET : ID_IPV4_SUBNET;
		id.len = (uint16_t)(2 * n);
		memcpy(id.data, prefix.addr.b, n);
		for (unsigned bit = 0; bit < prefix.len; bit++)
			id.data[n + bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	} else {
		id.type = v6 ? ID_IPV6_RANGE : ID_IPV4_RANGE;
		id.len = (uint16_t)(2 * n);
		memcpy(id.data, r->lo.b, n);
		memcpy(id.data + n, r->hi.b, n);
	}
	id.proto = proto;
	id.port = port;
	return id;
}

int ike_id_to_range(const struct ike_id *id, struct ip_range *out)
{
	struct id_shape s = id_shape(id->type);
	size_t n = family_len(s.family);

	if (s.family == IP_NONE || !id_data_ok(id->type, id->data, id->len))
		return -EINVAL;
	memset(out, 0, sizeof(*out));
	out->lo.family = out->hi.family = s.family;
	for (size_t i = 0; i < n; i++) {
		uint8_t a = id->data[i], b = s.addresses == 2 ? id->data[n + i] : 0;
		if (s.mask) {
			out->lo.b[i] = a & b;
			out->hi.b[i] = a | (uint8_t)~b;
		} else {
			out->lo.b[i] = a;
			out->hi.b[i] = s.addresses == 2 ? b : a;
		}
	}
	return 0;
}
