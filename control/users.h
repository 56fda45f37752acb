/* Who may come in by XAuth: users in a file of ours, or whoever PAM knows. */
#ifndef SHRIKE_USERS_H
#define SHRIKE_USERS_H

#include "ike.h"

/* From "user:hash" lines, hash as crypt(3) makes them; empty lines and those that begin with '#' are none.
 * text is the file's, with a final zero, and is cut into pieces. NULL with *line and a sentence in why.
 * *weak: a line with a hash that is easy to break, or 0. */
struct ike_users *users_parse(char *text, unsigned *line, unsigned *weak, char *why, size_t why_size);
/* By the PAM service of that name. NULL: no memory. */
struct ike_users *users_pam(const char *service);

#endif
