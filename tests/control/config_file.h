/* Helpers: configuration files in a directory of the test's own. */
#ifndef TEST_CONFIG_FILE_H
#define TEST_CONFIG_FILE_H

#include "config.h"

/* Creates a directory with the secrets "a.psk" (0600, "a secret of some length\n") and "b.psk"; the
 * current directory is there afterwards. */
void files_setup(void);
void files_teardown(void);
void file_write(const char *name, const char *text, unsigned mode);

/* A good configuration, and the same with the first occurrence of `old` replaced by `new`. */
extern const char good_yaml[];
char *good_with(const char *old, const char *new);

/* Loads what must be right; old may be NULL. */
struct config *load_good(const char *text, const struct config *old, unsigned warnings);
/* Writes text as "shrike.yaml" and loads it. */
int load(const char *text, const struct config *old, struct config **out,
	 struct config_report *report);

#endif
