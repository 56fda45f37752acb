/* The statistics file, and others like it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stats_doc.h"

struct stats_write {
	struct ike_job job; /* first: it is what goes out and comes back */
	struct stats_doc *doc;
	char *file, *tmp;
	int rc;
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

static int write_piece(int fd, const char *p, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Frees the document: what is written of it at once, so that there is not one beside the next. */
static int write_all(int fd, struct stats_doc *doc)
{
	const struct iovec *piece;
	unsigned n = stats_doc_pieces(doc, &piece);

	for (unsigned i = 0; i < n; i++) {
		int rc = write_piece(fd, piece[i].iov_base, piece[i].iov_len);
		if (rc != 0) {
			stats_doc_free(doc);
			return rc;
		}
		stats_doc_read(doc);
	}
	return 0;
}

static void write_run(struct ike_job *job)
{
	struct stats_write *w = (struct stats_write *)job;
	int fd = tmp_open(w->tmp);

	if (fd < 0) {
		w->rc = fd;
		return;
	}
	w->rc = tmp_finish(fd, w->tmp, w->file, write_all(fd, w->doc));
	w->doc = NULL;
}

struct ike_job *stats_write_new(const char *file, struct stats_doc *doc)
{
	struct stats_write *w = calloc(1, sizeof(*w));

	if (!w) {
		stats_doc_free(doc);
		return NULL;
	}
	w->job = (struct ike_job){ .fn = write_run, .kind = IKE_JOB_FETCH };
	w->doc = doc;
	w->file = strdup(file);
	if (asprintf(&w->tmp, "%s.tmp", file) < 0)
		w->tmp = NULL;
	if (w->file && w->tmp)
		return &w->job;
	stats_write_end(&w->job);
	return NULL;
}

int stats_write_end(struct ike_job *job)
{
	struct stats_write *w = (struct stats_write *)job;
	int rc;

	if (!w)
		return 0;
	rc = w->rc;
	stats_doc_free(w->doc);
	free(w->file);
	free(w->tmp);
	free(w);
	return rc;
}
