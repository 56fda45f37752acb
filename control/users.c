#include "users.h"

#include <crypt.h>
#include <errno.h>
#include <security/pam_appl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "secret.h"

/* ------------------------------------------------------------------------------- a file ----- */

struct user {
	char name[IKE_USER_LEN];
	char hash[CRYPT_OUTPUT_SIZE]; /* the rest is zero */
};

struct users_file {
	struct ike_users base; /* first */
	size_t n;
	struct user user[]; /* by name */
};

static size_t file_size(size_t n)
{
	return sizeof(struct users_file) + n * sizeof(struct user);
}

static void file_free(struct ike_users *base)
{
	struct users_file *f = (struct users_file *)base;

	secret_free(f, file_size(f->n));
}

static int user_cmp(const void *a, const void *b)
{
	return strcmp(((const struct user *)a)->name, ((const struct user *)b)->name);
}

/* For a name that is not there somebody else's hash is worked through, so that it takes as long. */
static int file_check(const struct ike_users *base, const char *name, const char *password)
{
	const struct users_file *f = (const struct users_file *)base;
	struct crypt_data *work = secret_alloc(sizeof(*work));
	struct user *key = secret_alloc(sizeof(*key));
	char *got = secret_alloc(CRYPT_OUTPUT_SIZE);
	const struct user *u = NULL;
	int rc = -ENOMEM;

	if (!work || !key || !got)
		goto out;
	snprintf(key->name, sizeof(key->name), "%s", name);
	if (f->n)
		u = bsearch(key, f->user, f->n, sizeof(*u), user_cmp);
	rc = -EACCES;
	if (f->n == 0)
		goto out;
	const char *out = crypt_r(password, u ? u->hash : f->user[0].hash, work);
	if (!out || out[0] == '*')
		goto out;
	snprintf(got, CRYPT_OUTPUT_SIZE, "%s", out);
	if (secret_equal(got, u ? u->hash : key->hash, CRYPT_OUTPUT_SIZE) && u)
		rc = 0;
out:
	secret_free(work, sizeof(*work));
	secret_free(key, sizeof(*key));
	secret_free(got, CRYPT_OUTPUT_SIZE);
	return rc;
}

/* One line into *u; NULL or a sentence. */
static const char *user_parse(char *line, struct user *u, bool *weak)
{
	char *colon = strchr(line, ':'), *hash = colon ? colon + 1 : NULL;
	int kind;

	if (!colon)
		return "there is no ':' between a name and a hash";
	*colon = '\0';
	hash[strcspn(hash, ":")] = '\0'; /* as in shadow(5), more may follow */
	if (line[0] == '\0' || strlen(line) >= sizeof(u->name))
		return "the name is empty or too long";
	if (strlen(hash) >= sizeof(u->hash))
		return "the hash is too long";
	kind = hash[0] == '$' ? crypt_checksalt(hash)
			      : CRYPT_SALT_INVALID; /* DES: any text looks like it */
	if (kind != CRYPT_SALT_OK && kind != CRYPT_SALT_METHOD_LEGACY &&
	    kind != CRYPT_SALT_TOO_CHEAP)
		return "the hash is none of crypt(3)'s; make one with: openssl passwd -6";
	*weak = kind != CRYPT_SALT_OK;
	strcpy(u->name, line);
	strcpy(u->hash, hash);
	return NULL;
}

static size_t lines_of(const char *text)
{
	size_t n = 1;

	while ((text = strchr(text, '\n'))) {
		text++;
		n++;
	}
	return n;
}

static struct users_file *file_new(size_t n)
{
	struct users_file *f = secret_alloc(file_size(n));

	if (f)
		f->base = (struct ike_users){ .check = file_check, .free = file_free, .refs = 1 };
	return f;
}

/* The same with room for just what is in it. */
static struct users_file *file_fit(struct users_file *big, size_t cap)
{
	struct users_file *f = file_new(big->n);

	if (f) {
		f->n = big->n;
		memcpy(f->user, big->user, big->n * sizeof(f->user[0]));
	}
	secret_free(big, file_size(cap));
	return f;
}

struct ike_users *users_parse(char *text, unsigned *line, unsigned *weak, char *why,
			      size_t why_size)
{
	size_t cap = lines_of(text);
	struct users_file *f = file_new(cap);
	const char *bad = f ? NULL : "out of memory";
	char *rest = text, *p;

	*line = *weak = 0;
	while (!bad && (p = strsep(&rest, "\n"))) {
		bool is_weak = false;
		++*line;
		p[strcspn(p, "\r")] = '\0';
		if (p[0] == '\0' || p[0] == '#')
			continue;
		bad = user_parse(p, &f->user[f->n], &is_weak);
		if (is_weak)
			*weak = *line;
		f->n += !bad;
	}
	if (!bad) {
		qsort(f->user, f->n, sizeof(f->user[0]), user_cmp);
		for (size_t i = 1; i < f->n && !bad; i++)
			if (user_cmp(&f->user[i], &f->user[i - 1]) == 0) {
				*line = 0;
				bad = "one name stands there twice";
			}
	}
	if (bad) {
		snprintf(why, why_size, "%s", bad);
		if (f)
			secret_free(f, file_size(cap));
		return NULL;
	}
	f = file_fit(f, cap);
	return f ? &f->base : NULL;
}

/* ---------------------------------------------------------------------------------- PAM ----- */

struct users_by_pam {
	struct ike_users base; /* first */
	char service[64];
};

static void pam_users_free(struct ike_users *base)
{
	free(base);
}

/* PAM's modules ask; the password is the answer to whatever is not to be seen, and nothing to the
 * rest. */
static int converse(int n, const struct pam_message **msg, struct pam_response **out, void *ctx)
{
	struct pam_response *r;

	if (n <= 0 || n > PAM_MAX_NUM_MSG)
		return PAM_CONV_ERR;
	r = calloc((size_t)n, sizeof(*r));
	if (!r)
		return PAM_BUF_ERR;
	for (int i = 0; i < n; i++) {
		if (msg[i]->msg_style != PAM_PROMPT_ECHO_OFF)
			continue;
		r[i].resp = strdup(ctx); /* PAM's from here on: its modules wipe and free it */
		if (!r[i].resp) {
			while (i-- > 0)
				free(r[i].resp);
			free(r);
			return PAM_BUF_ERR;
		}
	}
	*out = r;
	return PAM_SUCCESS;
}

/* We limit guesses ourselves; a thread that sleeps would keep everybody waiting. */
static void no_delay(int status, unsigned us, void *ctx)
{
	(void)status;
	(void)us;
	(void)ctx;
}

static bool is_refusal(int rc)
{
	switch (rc) {
	case PAM_AUTH_ERR:
	case PAM_USER_UNKNOWN:
	case PAM_MAXTRIES:
	case PAM_PERM_DENIED:
	case PAM_ACCT_EXPIRED:
	case PAM_NEW_AUTHTOK_REQD:
	case PAM_CRED_INSUFFICIENT:
		return true;
	default:
		return false;
	}
}

static int pam_users_check(const struct ike_users *base, const char *user, const char *password)
{
	const struct users_by_pam *u = (const struct users_by_pam *)base;
	const struct pam_conv conv = { converse, (void *)(uintptr_t)password };
	pam_handle_t *pam = NULL;
	int rc = pam_start(u->service, user, &conv, &pam);

	if (rc == PAM_SUCCESS) {
		pam_set_item(pam, PAM_FAIL_DELAY, (const void *)no_delay);
		rc = pam_authenticate(pam, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
	}
	if (rc == PAM_SUCCESS)
		rc = pam_acct_mgmt(pam, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
	if (rc != PAM_SUCCESS && !is_refusal(rc))
		log_warn("PAM service %s cannot check the user %s: %s", u->service, user,
			 pam ? pam_strerror(pam, rc) : "it does not start");
	if (pam)
		pam_end(pam, rc);
	return rc == PAM_SUCCESS ? 0 : is_refusal(rc) ? -EACCES : -EIO;
}

struct ike_users *users_pam(const char *service)
{
	struct users_by_pam *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	u->base = (struct ike_users){ .check = pam_users_check, .free = pam_users_free, .refs = 1 };
	snprintf(u->service, sizeof(u->service), "%s", service);
	return &u->base;
}
