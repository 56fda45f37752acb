/* Leveled log lines to standard error (or a sink of the caller's). Only the control side logs: the
 * packet path counts instead. Never pass a key, a pre-shared key or a plaintext to it. */
#ifndef SHRIKE_COMMON_LOG_H
#define SHRIKE_COMMON_LOG_H

enum log_level { LOG_LVL_ERROR, LOG_LVL_WARN, LOG_LVL_INFO, LOG_LVL_DEBUG };

/* Lines above this level are not formatted. The default is LOG_LVL_INFO. */
void log_set_level(enum log_level level);
/* Where complete lines go (without newline); NULL restores standard error. Not thread-safe: set it
 * before threads start. fn may be called from any control-side thread. */
void log_set_sink(void (*fn)(void *ctx, enum log_level level, const char *line), void *ctx);

__attribute__((format(printf, 2, 3))) void log_line(enum log_level level, const char *fmt, ...);

#define log_error(...) log_line(LOG_LVL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_LVL_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_LVL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LVL_DEBUG, __VA_ARGS__)

#endif
