#include "vectors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PCAP_HDR_LEN    24
#define PCAP_RECORD_LEN 16
#define PCAP_MAGIC      0xa1b2c3d4 /* microseconds, written by a little-endian machine */
#define ETHER_LEN       14

const char *const vector_names[] = { "main-psk", "main-psk-pfs", "main-psk-3des",
				     "main-rsa", "aggr-psk",     NULL };

static uint32_t le32(const uint8_t *p)
{
	return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

size_t hex_decode(const char *hex, uint8_t *out, size_t cap)
{
	size_t len = strlen(hex);

	if (len % 2 || len / 2 > cap)
		return 0;
	for (size_t i = 0; i < len / 2; i++) {
		unsigned v;
		if (sscanf(hex + 2 * i, "%2x", &v) != 1)
			return 0;
		out[i] = (uint8_t)v;
	}
	return len / 2;
}

const char *vector_path(const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/%s", VECTORS_DIR, name);
	return path;
}

uint8_t *vector_file(const char *name, size_t *len)
{
	uint8_t *buf = NULL;
	long size;

	FILE *f = fopen(vector_path(name), "rb");
	if (!f)
		return NULL;
	if (fseek(f, 0, SEEK_END) == 0 && (size = ftell(f)) > 0 && fseek(f, 0, SEEK_SET) == 0) {
		buf = malloc((size_t)size);
		if (buf && fread(buf, 1, (size_t)size, f) != (size_t)size) {
			free(buf);
			buf = NULL;
		}
		*len = (size_t)size;
	}
	fclose(f);
	return buf;
}

/* Takes a frame when it is UDP over IPv4 over Ethernet. */
static bool frame_parse(const uint8_t *p, size_t len, struct vector_packet *out)
{
	if (len < ETHER_LEN + 20 || be16(p + 12) != 0x0800)
		return false;
	const uint8_t *ip = p + ETHER_LEN;
	size_t hdr = (size_t)(ip[0] & 15) * 4, total = be16(ip + 2);
	if (total > len - ETHER_LEN || ip[9] != 17 || total < hdr + 8)
		return false;
	memcpy(out->src, ip + 12, 4);
	memcpy(out->dst, ip + 16, 4);
	out->sport = be16(ip + hdr);
	out->dport = be16(ip + hdr + 2);
	out->data = ip + hdr + 8;
	out->len = total - hdr - 8;
	out->ip = ip;
	out->ip_len = total;
	return true;
}

static bool pcap_load(struct vector *v)
{
	char name[64];
	size_t len, at = PCAP_HDR_LEN;

	snprintf(name, sizeof(name), "%s.pcap", v->name);
	v->file = vector_file(name, &len);
	if (!v->file || len < PCAP_HDR_LEN || le32(v->file) != PCAP_MAGIC ||
	    le32(v->file + 20) != 1)
		return false;
	while (len - at >= PCAP_RECORD_LEN && v->n < VECTOR_MAX_PACKETS) {
		size_t size = le32(v->file + at + 8);
		at += PCAP_RECORD_LEN;
		if (size > len - at)
			return false;
		if (frame_parse(v->file + at, size, &v->packet[v->n]))
			v->n++;
		at += size;
	}
	return v->n > 0;
}

bool vector_load(const char *name, struct vector *out)
{
	char path[512];

	memset(out, 0, sizeof(*out));
	snprintf(out->name, sizeof(out->name), "%s", name);
	snprintf(path, sizeof(path), "%s/%s.keys.json", VECTORS_DIR, name);
	out->keys = json_load_file(path, 0, NULL);
	if (out->keys && pcap_load(out))
		return true;
	vector_free(out);
	return false;
}

void vector_free(struct vector *v)
{
	json_decref(v->keys);
	free(v->file);
	memset(v, 0, sizeof(*v));
}

static bool has_marker(const struct vector_packet *p)
{
	return p->len >= 4 && memcmp(p->data, "\0\0\0\0", 4) == 0;
}

bool vector_isakmp(const struct vector_packet *p, const uint8_t **msg, size_t *len)
{
	bool natt = p->sport == 4500 || p->dport == 4500;

	if (natt && !has_marker(p))
		return false;
	*msg = p->data + (natt ? 4 : 0);
	*len = p->len - (natt ? 4 : 0);
	return true;
}

bool vector_esp(const struct vector_packet *p, const uint8_t **esp, size_t *len)
{
	if ((p->sport != 4500 && p->dport != 4500) || has_marker(p) || p->len < 8)
		return false;
	*esp = p->data;
	*len = p->len;
	return true;
}

static json_t *key_find(const struct vector *v, const char *side, const char *name, unsigned k)
{
	json_t *list = json_object_get(v->keys, side), *entry;
	size_t i;

	json_array_foreach(list, i, entry)
	{
		const char *n = json_string_value(json_array_get(entry, 0));
		if (n && strcmp(n, name) == 0 && k-- == 0)
			return json_array_get(entry, 1);
	}
	return NULL;
}

size_t vector_key(const struct vector *v, const char *side, const char *name, unsigned k,
		  uint8_t *out, size_t cap)
{
	const char *hex = json_string_value(key_find(v, side, name, k));

	return hex ? hex_decode(hex, out, cap) : 0;
}

unsigned vector_key_count(const struct vector *v, const char *side, const char *name)
{
	unsigned k = 0;

	while (key_find(v, side, name, k))
		k++;
	return k;
}

bool vector_spis(const struct vector *v, const char *side, uint32_t spi[2])
{
	json_t *list = key_find(v, side, "SPIs", 0);

	for (unsigned i = 0; i < 2; i++) {
		const char *hex = json_string_value(json_array_get(list, i));
		if (!hex)
			return false;
		spi[i] = (uint32_t)strtoul(hex, NULL, 16);
	}
	return true;
}
