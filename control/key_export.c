#include "key_export.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hex.h"
#include "log.h"
#include "secret.h"

#define LINE_MAX_LEN 1024

struct key_export {
	int ike_fd, sa_fd;
};

static int file_open(int dir_fd, const char *name)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
	    (st.st_mode & 077) == 0)
		return fd;
	close(fd);
	return -EACCES;
}

int key_export_open(const char *dir, struct key_export **out, char *why, size_t why_size)
{
	struct key_export *k = calloc(1, sizeof(*k));
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
	struct stat st;

	if (!k || fd < 0 || fstat(fd, &st) != 0) {
		rc = k ? -errno : -ENOMEM;
		snprintf(why, why_size, "the directory for exported keys, %s: %s", dir,
			 strerror(-rc));
	} else if (st.st_uid != geteuid() || (st.st_mode & 077) != 0) {
		rc = -EACCES;
		snprintf(
			why, why_size,
			"the directory for exported keys, %s, must belong to us and have mode 0700",
			dir);
	} else {
		k->ike_fd = file_open(fd, "ikev1_decryption_table");
		k->sa_fd = file_open(fd, "esp_sa");
		rc = k->ike_fd < 0 ? k->ike_fd : k->sa_fd < 0 ? k->sa_fd : 0;
		if (rc != 0) {
			snprintf(why, why_size, "a file for exported keys in %s: %s", dir,
				 strerror(-rc));
			key_export_close(k);
			k = NULL;
		}
	}
	if (fd >= 0)
		close(fd);
	if (rc != 0) {
		free(k);
		return rc;
	}
	*out = k;
	return 0;
}

void key_export_close(struct key_export *k)
{
	if (!k)
		return;
	if (k->ike_fd >= 0)
		close(k->ike_fd);
	if (k->sa_fd >= 0)
		close(k->sa_fd);
	free(k);
}

/* One write, so that a reader never sees half a line; then the line is gone from our memory. */
static void line_out(int fd, char *line, size_t size)
{
	size_t len = strnlen(line, size);

	if (write(fd, line, len) != (ssize_t)len)
		log_warn("an exported key could not be written: %s", strerror(errno));
	secret_wipe(line, size);
}

void key_export_ike(struct key_export *k, const uint8_t *icookie, const uint8_t *key, size_t len)
{
	char line[LINE_MAX_LEN], cookie[17], hex[2 * 64 + 1];

	if (!k || len > 64)
		return;
	hex_str(icookie, 8, cookie);
	hex_str(key, len, hex);
	snprintf(line, sizeof(line), "%s,%s\n", cookie, hex);
	line_out(k->ike_fd, line, sizeof(line));
	secret_wipe(hex, sizeof(hex));
}

/* Wireshark's own names, which it compares to the letter. */
static const char *encr_name(enum encr_alg a)
{
	switch (a) {
	case ENCR_NULL:
		return "NULL";
	case ENCR_DES:
		return "DES-CBC [RFC2405]";
	case ENCR_3DES:
		return "TripleDES-CBC [RFC2451]";
	case ENCR_AES_CBC:
		return "AES-CBC [RFC3602]";
	case ENCR_AES_CTR:
		return "AES-CTR [RFC3686]";
	case ENCR_AES_GCM_8:
		return "AES-GCM with 8 octet ICV [RFC4106]";
	case ENCR_AES_GCM_12:
		return "AES-GCM with 12 octet ICV [RFC4106]";
	case ENCR_AES_GCM_16:
		return "AES-GCM with 16 octet ICV [RFC4106]";
	default:
		return NULL; /* nothing that it could decrypt */
	}
}

static const char *integ_name(enum integ_alg a)
{
	switch (a) {
	case INTEG_HMAC_MD5_96:
		return "HMAC-MD5-96 [RFC2403]";
	case INTEG_HMAC_SHA1_96:
		return "HMAC-SHA-1-96 [RFC2404]";
	case INTEG_HMAC_SHA256_96:
		return "HMAC-SHA-256-96 [draft-ietf-ipsec-ciph-sha-256-00]";
	case INTEG_HMAC_SHA256_128:
		return "HMAC-SHA-256-128 [RFC4868]";
	case INTEG_HMAC_SHA384_192:
		return "HMAC-SHA-384-192 [RFC4868]";
	case INTEG_HMAC_SHA512_256:
		return "HMAC-SHA-512-256 [RFC4868]";
	default:
		return "NULL";
	}
}

void key_export_sa(struct key_export *k, const struct sa_params *p)
{
	const char *encr = encr_name(p->encr);
	size_t key_len = p->key_bits / 8u + encr_info(p->encr)->salt_len,
	       auth_len = integ_info(p->integ)->key_len;
	char line[LINE_MAX_LEN], key[2 * SA_KEY_MAX + 1], auth[2 * SA_AUTH_MAX + 1];
	char from[ADDR_STR_LEN], to[ADDR_STR_LEN];
	bool in = p->dir == SA_IN;

	if (!k || p->proto != SA_ESP || !encr || key_len > SA_KEY_MAX || auth_len > SA_AUTH_MAX)
		return;
	hex_str(p->key, key_len, key);
	hex_str(p->auth, auth_len, auth);
	snprintf(line, sizeof(line),
		 "\"%s\",\"%s\",\"%s\",\"0x%08x\",\"%s\",\"%s%s\",\"%s\",\"%s%s\"\n",
		 p->local.family == IP_V4 ? "IPv4" : "IPv6",
		 ip_addr_str(in ? &p->remote : &p->local, from, sizeof(from)),
		 ip_addr_str(in ? &p->local : &p->remote, to, sizeof(to)), p->spi, encr,
		 key_len ? "0x" : "", key, integ_name(p->integ), auth_len ? "0x" : "", auth);
	line_out(k->sa_fd, line, sizeof(line));
	secret_wipe(key, sizeof(key));
	secret_wipe(auth, sizeof(auth));
}
