#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/time.h>
#include <time.h>

#define LINE_MAX_LEN 1024

static enum log_level max_level = LOG_LVL_INFO;
static void (*sink_fn)(void *ctx, enum log_level level, const char *line);
static void *sink_ctx;

void log_set_level(enum log_level level)
{
	max_level = level;
}

void log_set_sink(void (*fn)(void *ctx, enum log_level level, const char *line), void *ctx)
{
	sink_fn = fn;
	sink_ctx = ctx;
}

void log_line(enum log_level level, const char *fmt, ...)
{
	static const char *const names[] = { "error", "warning", "info", "debug" };
	char line[LINE_MAX_LEN], stamp[32];
	va_list ap;

	if (level > max_level)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (sink_fn) {
		sink_fn(sink_ctx, level, line);
		return;
	}

	struct timeval tv;
	struct tm tm;
	gettimeofday(&tv, NULL);
	gmtime_r(&tv.tv_sec, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
	fprintf(stderr, "%s.%03dZ %s: %s\n", stamp, (int)(tv.tv_usec / 1000), names[level], line);
}
