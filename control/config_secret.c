/* Pre-shared keys, passphrases and users from files of their own. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config_check.h"
#include "secret.h"
#include "users.h"

#define PSK_MAX	  1024 /* bytes of the file */
#define USERS_MAX (1 << 20) /* likewise, of users */
#define KEYTAB_MAX (1 << 20)
#define PSK_SHORT 16   /* below this many bytes an attacker who sees one exchange may guess it */

/* Opens the file when nobody else can read it; -1 after a report. */
static int secret_open(struct check *c, struct where w, const char *path, size_t most)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0) {
		check_error(c, w, "secret file %s: %s", path, strerror(errno));
		return -1;
	}
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		check_error(c, w, "secret file %s is not a regular file", path);
	else if ((st.st_mode & 07777) != 0600 && (st.st_mode & 07777) != 0400)
		check_error(c, w, "secret file %s has mode %04o: it must be 0600 or 0400", path,
			    (unsigned)(st.st_mode & 07777));
	else if (st.st_uid != geteuid() && st.st_uid != 0)
		check_error(c, w, "secret file %s belongs to user %u: it must belong to us or root",
			    path, (unsigned)st.st_uid);
	else if ((size_t)st.st_size > most)
		check_error(c, w, "secret file %s is longer than %zu bytes", path, most);
	else
		return fd;
	close(fd);
	return -1;
}

void check_secret_file(struct check *c, struct where w, const char *path)
{
	int fd = secret_open(c, w, path, KEYTAB_MAX);

	if (fd >= 0)
		close(fd);
}

static int hex_digit(uint8_t ch)
{
	return ch >= '0' && ch <= '9' ? ch - '0' :
	       ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 :
	       ch >= 'A' && ch <= 'F' ? ch - 'A' + 10 :
					-1;
}

/* "0x" and an even number of hex digits, in place; the new length, or 0 when it is not hex. */
static size_t secret_unhex(uint8_t *key, size_t len)
{
	if (len < 4 || len % 2 != 0)
		return 0;
	for (size_t i = 2; i < len; i += 2) {
		int hi = hex_digit(key[i]), lo = hex_digit(key[i + 1]);
		if (hi < 0 || lo < 0)
			return 0;
		key[i / 2 - 1] = (uint8_t)(hi << 4 | lo);
	}
	return len / 2 - 1;
}

/* What the file's bytes mean: the key's length in place, 0 after a report. */
static size_t secret_meaning(struct check *c, struct where w, const char *path, uint8_t *key,
			     size_t len)
{
	if (len > 0 && key[len - 1] == '\n')
		len -= len > 1 && key[len - 2] == '\r' ? 2 : 1;
	if (len == 0) {
		check_error(c, w, "secret file %s is empty", path);
		return 0;
	}
	if (memchr(key, '\n', len)) {
		check_error(c, w, "secret file %s has more than one line", path);
		return 0;
	}
	if (len >= 2 && key[0] == '0' && (key[1] == 'x' || key[1] == 'X')) {
		len = secret_unhex(key, len);
		if (len == 0)
			check_error(c, w,
				    "secret file %s begins with 0x, so it must go on with an even "
				    "number of hex digits",
				    path);
	} else if (key[len - 1] == ' ' || key[len - 1] == '\t') {
		check_warn(c, w, "secret file %s ends in a blank, which is part of the secret",
			   path);
	}
	if (len > 0 && len < PSK_SHORT)
		check_warn(c, w,
			   "secret file %s holds only %zu bytes: whoever records one exchange can "
			   "try all of those",
			   path, len);
	return len;
}

/* The file's bytes into buf (most + 1 bytes); false after a report. */
static bool secret_bytes(struct check *c, struct where w, const char *path, uint8_t *buf,
			 size_t most, size_t *len)
{
	int fd = secret_open(c, w, path, most);
	ssize_t n;

	*len = 0;
	if (fd < 0)
		return false;
	while (*len < most + 1 && (n = read(fd, buf + *len, most + 1 - *len)) > 0)
		*len += (size_t)n;
	close(fd);
	if (*len > most)
		check_error(c, w, "secret file %s is longer than %zu bytes", path, most);
	return *len <= most;
}

char *check_passphrase(struct check *c, struct where w, const char *path)
{
	uint8_t *buf = secret_alloc(PASSPHRASE_CAP);
	size_t len;

	_Static_assert(PASSPHRASE_CAP == PSK_MAX + 1, "room for the final zero");
	if (!buf)
		return NULL;
	if (!secret_bytes(c, w, path, buf, PSK_MAX, &len)) {
		secret_free(buf, PASSPHRASE_CAP);
		return NULL;
	}
	buf[len] = '\0';
	buf[strcspn((char *)buf, "\r\n")] = '\0';
	if (buf[0] == '\0') {
		check_error(c, w, "secret file %s is empty", path);
		secret_free(buf, PASSPHRASE_CAP);
		return NULL;
	}
	return (char *)buf;
}

struct ike_users *check_users_file(struct check *c, struct where w, const char *path)
{
	char *text = secret_alloc(USERS_MAX + 1), why[128] = "";
	struct ike_users *users = NULL;
	unsigned line = 0, weak = 0;
	size_t len;

	if (!text || !secret_bytes(c, w, path, (uint8_t *)text, USERS_MAX, &len))
		goto out;
	if (memchr(text, '\0', len)) {
		check_error(c, w, "%s holds bytes that are no text", path);
		goto out;
	}
	text[len] = '\0';
	users = users_parse(text, &line, &weak, why, sizeof(why));
	if (!users && line)
		check_error(c, w, "%s, line %u: %s", path, line, why);
	else if (!users)
		check_error(c, w, "%s: %s", path, why);
	else if (weak)
		check_warn(c, w, "%s, line %u: a hash of that kind is easy to break; make one with: "
			   "openssl passwd -6", path, weak);
out:
	secret_free(text, USERS_MAX + 1);
	return users;
}

static void secret_read(struct check *c, struct where w, const char *path,
			struct secret_entry *entry)
{
	uint8_t *buf = secret_alloc(PSK_MAX + 1);
	size_t len;

	if (!buf || !secret_bytes(c, w, path, buf, PSK_MAX, &len))
		goto out;
	len = secret_meaning(c, w, path, buf, len);
	if (len == 0)
		goto out;
	entry->key = secret_alloc(len);
	if (!entry->key)
		goto out;
	memcpy(entry->key, buf, len);
	entry->len = len;
out:
	secret_free(buf, PSK_MAX + 1);
}

static int secret_cmp(const void *a, const void *b)
{
	const struct secret_entry *x = a, *y = b;

	return strcmp(x->name, y->name);
}

void check_secrets(struct check *c)
{
	size_t n = c->raw->secrets_count;
	const char **names = calloc(n + 1, sizeof(*names));

	c->secrets = calloc(n + 1, sizeof(*c->secrets));
	if (!names || !c->secrets)
		abort();
	for (unsigned i = 0; i < n; i++) {
		const struct raw_secret *raw = &c->raw->secrets[i];
		struct where w = where_at("secrets[%u]", i);
		char name[IKE_NAME_LEN], path[2 * CONFIG_PATH_MAX];

		names[i] = c->secrets[i].name = raw->name;
		check_name(c, where_key(w, "name"), raw->name, name, sizeof(name));
		if (check_path(c, where_key(w, "file"), raw->file, path, sizeof(path)))
			secret_read(c, where_key(w, "file"), path, &c->secrets[i]);
	}
	check_unique(c, "secrets", names, n);
	qsort(c->secrets, n, sizeof(*c->secrets), secret_cmp);
	free(names);
}

struct secret_entry *check_find_secret(struct check *c, const char *name)
{
	struct secret_entry key = { .name = name };

	return bsearch(&key, c->secrets, c->raw->secrets_count, sizeof(key), secret_cmp);
}

void check_free_secrets(struct check *c)
{
	if (!c->secrets)
		return;
	for (unsigned i = 0; i < c->raw->secrets_count; i++)
		secret_free(c->secrets[i].key, c->secrets[i].len);
	free(c->secrets);
}
