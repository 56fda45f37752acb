/* The statistics file, and others like it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stats_doc.h"

#define STEP_BYTES (256 << 10)

struct stats_write {
	struct stats_doc *doc;
	const struct iovec *piece; /* the document's */
	unsigned n, at; /* pieces; the one that is next */
	size_t offset;  /* in it */
	int fd;
	char *file, *tmp;
};

/* A file of our own, even where others may write: nothing that lies there is followed. A descriptor or -errno. */
static int tmp_open(const char *tmp)
{
	unlink(tmp);
	int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);

	return fd < 0 ? -errno : fd;
}

/* The file is complete, or not (rc): closes it and puts it in its place. */
static int tmp_finish(int fd, const char *tmp, const char *file, int rc)
{
	if (close(fd) != 0 && rc == 0)
		rc = -errno;
	if (rc == 0 && rename(tmp, file) != 0)
		rc = -errno;
	if (rc != 0)
		unlink(tmp);
	return rc;
}

int stats_write(const char *file, const json_t *doc)
{
	char *tmp = NULL;
	int fd, rc;

	if (asprintf(&tmp, "%s.tmp", file) < 0)
		return -ENOMEM;
	fd = rc = tmp_open(tmp);
	if (fd >= 0) {
		rc = json_dumpfd(doc, fd, JSON_INDENT(1) | JSON_REAL_PRECISION(15)) ? -EIO : 0;
		rc = tmp_finish(fd, tmp, file, rc);
	}
	free(tmp);
	return rc;
}

static void write_free(struct stats_write *w)
{
	if (w->fd >= 0)
		close(w->fd);
	stats_doc_free(w->doc);
	free(w->file);
	free(w->tmp);
	free(w);
}

int stats_write_start(const char *file, struct stats_doc *doc, struct stats_write **out)
{
	struct stats_write *w = calloc(1, sizeof(*w));
	int rc = -ENOMEM;

	if (!w) {
		stats_doc_free(doc);
		return rc;
	}
	w->fd = -1;
	w->doc = doc;
	w->n = stats_doc_pieces(doc, &w->piece);
	w->file = strdup(file);
	if (asprintf(&w->tmp, "%s.tmp", file) < 0)
		w->tmp = NULL;
	if (!w->file || !w->tmp)
		goto fail;
	rc = w->fd = tmp_open(w->tmp);
	if (rc < 0)
		goto fail;
	*out = w;
	return 0;
fail:
	write_free(w);
	return rc;
}

/* At most STEP_BYTES. */
static int write_some(struct stats_write *w)
{
	size_t budget = STEP_BYTES;

	while (budget > 0 && w->at < w->n) {
		const struct iovec *p = &w->piece[w->at];
		size_t left = p->iov_len - w->offset, len = left < budget ? left : budget;
		ssize_t n = len ? write(w->fd, (const char *)p->iov_base + w->offset, len) : 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		budget -= (size_t)n;
		w->offset += (size_t)n;
		if (w->offset == p->iov_len) {
			w->at++;
			w->offset = 0;
		}
	}
	return w->at < w->n;
}

int stats_write_step(struct stats_write *w)
{
	int rc = write_some(w);

	if (rc > 0)
		return rc;
	rc = tmp_finish(w->fd, w->tmp, w->file, rc);
	w->fd = -1;
	write_free(w);
	return rc;
}

void stats_write_cancel(struct stats_write *w)
{
	if (!w)
		return;
	unlink(w->tmp);
	write_free(w);
}
