#include "rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int lock_taken(int fd, const char *dir, char *why, size_t why_size)
{
	char pid[16] = "";
	ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);

	pid[n > 0 ? strcspn(pid, "\n") : 0] = '\0';
	snprintf(why, why_size, "another shrike%s%s%s runs with run-dir %s",
		 pid[0] ? " (process " : "", pid, pid[0] ? ")" : "", dir);
	return -EBUSY;
}

int rundir_lock(const char *dir, char *why, size_t why_size)
{
	char path[300], pid[16];
	int rc, fd = -1;

	if (mkdir(dir, 0755) != 0 && errno != EEXIST) {
		rc = -errno;
		snprintf(why, why_size, "run-dir %s cannot be made: %s", dir, strerror(errno));
		return rc;
	}
	snprintf(path, sizeof(path), "%s/shrike.lock", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		rc = -errno;
		snprintf(why, why_size, "run-dir %s cannot be used: %s: %s", dir, path,
			 strerror(errno));
		return rc;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		rc = lock_taken(fd, dir, why, why_size);
		close(fd);
		return rc;
	}
	int len = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
	if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t)len, 0) != len) {
		rc = errno ? -errno : -EIO;
		snprintf(why, why_size, "run-dir %s is not writable: %s", dir, strerror(-rc));
		close(fd);
		return rc;
	}
	return fd;
}
