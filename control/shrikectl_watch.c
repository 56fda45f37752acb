/* "trace" and "capture" of the control tool: packets as they come, for people or into a pcap file.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "shrikectl.h"

#define PCAP_MAGIC    0xa1b2c3d4u /* microseconds, this machine's byte order */
#define PCAP_ETHERNET 1
#define PCAP_RAW      101
#define PCAP_SNAP     262144

static const char *text_of(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s ? s : "";
}

/* ------------------------------------------------------------------------- pcap ------------- */

/* For our eyes only, also where a file was there before; a symbolic link is not followed. */
static FILE *pcap_open(const char *path)
{
	FILE *f = NULL;
	struct stat st;
	int fd;

	if (strcmp(path, "-") == 0)
		return stdout;
	fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0 && fstat(fd, &st) == 0 && !S_ISREG(st.st_mode)) {
		fprintf(stderr, "shrikectl: %s is not a regular file\n", path);
		close(fd);
		return NULL;
	}
	if (fd >= 0 && fchmod(fd, 0600) == 0 && ftruncate(fd, 0) == 0)
		f = fdopen(fd, "w");
	if (!f) {
		fprintf(stderr, "shrikectl: %s: %s\n", path, strerror(errno));
		if (fd >= 0)
			close(fd);
	}
	return f;
}

static bool pcap_head(FILE *f, uint32_t link)
{
	const struct {
		uint32_t magic;
		uint16_t major, minor;
		uint32_t zone, accuracy, snap, link;
	} head = { PCAP_MAGIC, 2, 4, 0, 0, PCAP_SNAP, link };

	return fwrite(&head, sizeof(head), 1, f) == 1 && fflush(f) == 0;
}

static int nibble(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool pcap_packet(FILE *f, const json_t *j)
{
	static uint8_t data[PCAP_SNAP];
	const char *hex = text_of(j, "data");
	uint64_t us = (uint64_t)json_integer_value(json_object_get(j, "time_us"));
	uint32_t len = 0;

	for (; len < PCAP_SNAP && nibble(hex[2 * len]) >= 0 && nibble(hex[2 * len + 1]) >= 0; len++)
		data[len] = (uint8_t)(nibble(hex[2 * len]) << 4 | nibble(hex[2 * len + 1]));
	const uint32_t head[4] = { (uint32_t)(us / 1000000), (uint32_t)(us % 1000000), len,
				   (uint32_t)json_integer_value(json_object_get(j, "length")) };
	return fwrite(head, sizeof(head), 1, f) == 1 && fwrite(data, 1, len, f) == len &&
	       fflush(f) == 0;
}

/* ------------------------------------------------------------------------- trace ------------ */

static void story_print(const json_t *j, unsigned number)
{
	double at = json_number_value(json_object_get(j, "time"));
	time_t second = (time_t)at;
	const char *child = text_of(j, "child");
	struct tm tm;
	char clock[16] = "";
	size_t i;
	json_t *step;

	if (localtime_r(&second, &tm))
		strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	printf("packet %u  %s.%06u  worker %" JSON_INTEGER_FORMAT "%s%s\n", number, clock,
	       (unsigned)((at - (double)second) * 1e6),
	       json_integer_value(json_object_get(j, "worker")), child[0] ? "  " : "", child);
	json_array_foreach(json_object_get(j, "steps"), i, step)
		printf("  %-12s %s\n", text_of(step, "stage"), text_of(step, "text"));
	fflush(stdout);
}

/* ------------------------------------------------------------------------- the stream ------- */

json_t *watch_request(const struct watch_options *o, bool capture)
{
	json_t *r = json_pack("{s:s}", "command", capture ? "capture" : "trace");

	if (o->peer)
		json_object_set_new(r, "name", json_string(o->peer));
	if (o->count)
		json_object_set_new(r, "count", json_integer(o->count));
	if (o->seconds > 0)
		json_object_set_new(r, "seconds", json_real(o->seconds));
	if (o->port)
		json_object_set_new(r, "port", json_string(o->port));
	if (o->side)
		json_object_set_new(r, "side", json_string(o->side));
	return r;
}

static json_t *line_read(FILE *daemon, char **line, size_t *cap)
{
	json_error_t error;
	json_t *j = getline(line, cap, daemon) > 0 ? json_loads(*line, 0, &error) : NULL;

	if (!json_is_object(j)) {
		fprintf(stderr, "shrikectl: the daemon closed the connection\n");
		json_decref(j);
		return NULL;
	}
	return j;
}

/* One line of the daemon's. Returns 0 to go on, 1 at the end, -1 after a message. */
static int line_take(const struct watch_options *o, const json_t *j, FILE *pcap, unsigned *n)
{
	bool raw = strcmp(text_of(j, "link"), "raw") == 0;

	if (json_is_false(json_object_get(j, "ok"))) {
		fprintf(stderr, "shrikectl: %s\n", text_of(j, "error"));
		return -1;
	}
	if (json_is_true(json_object_get(j, "done"))) {
		fprintf(stderr, "shrikectl: %u packet%s, %" JSON_INTEGER_FORMAT " missed: %s\n", *n,
			*n == 1 ? "" : "s", json_integer_value(json_object_get(j, "missed")),
			text_of(j, "why"));
		return 1;
	}
	if (json_object_get(j, "link")) {
		if (pcap && !pcap_head(pcap, raw ? PCAP_RAW : PCAP_ETHERNET))
			goto io;
		return 0;
	}
	++*n;
	if (pcap && !pcap_packet(pcap, j))
		goto io;
	if (!pcap && o->json) {
		json_dumpf(j, stdout, JSON_COMPACT);
		putchar('\n');
		fflush(stdout);
	} else if (!pcap) {
		story_print(j, *n);
	}
	return 0;
io:
	fprintf(stderr, "shrikectl: %s: %s\n", o->file, strerror(errno));
	return -1;
}

bool watch_run(const struct watch_options *o, int fd, json_t *request)
{
	FILE *daemon = fdopen(fd, "r+"), *pcap = o->file ? pcap_open(o->file) : NULL;
	char *line = NULL;
	size_t cap = 0;
	unsigned n = 0;
	json_t *j;
	int rc = -1;

	if (!daemon || (o->file && !pcap))
		goto out;
	if (o->file && (o->port || (o->side && strcmp(o->side, "plain") == 0)))
		fprintf(stderr, "shrikectl: this records packets in the clear; %s%s\n",
			pcap == stdout ? "mind where they go" : "only its owner may read ",
			pcap == stdout ? "" : o->file);
	if (json_dumpf(request, daemon, JSON_COMPACT) != 0 || fputc('\n', daemon) == EOF ||
	    fflush(daemon) != 0)
		goto out;
	do {
		j = line_read(daemon, &line, &cap);
		rc = j ? line_take(o, j, pcap, &n) : -1;
		json_decref(j);
	} while (rc == 0);
out:
	free(line);
	if (daemon)
		fclose(daemon);
	else
		close(fd);
	if (pcap && pcap != stdout && fclose(pcap) != 0) {
		fprintf(stderr, "shrikectl: %s: %s\n", o->file, strerror(errno));
		rc = -1;
	}
	json_decref(request);
	return rc == 1;
}
