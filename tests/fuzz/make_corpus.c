/* Writes the messages of the recorded negotiations, decrypted, as seeds for fuzz_isakmp:
 *
 *   make_corpus DIRECTORY */
#include <stdio.h>
#include <stdlib.h>

#include "replay.h"

static int write_file(const char *dir, const char *name, unsigned k, const struct replay_msg *m)
{
	char path[1024];

	snprintf(path, sizeof(path), "%s/%s-%02u", dir, name, k);
	FILE *f = fopen(path, "wb");
	if (!f)
		return -1;
	size_t n = fwrite(m->buf, 1, m->len, f);
	return fclose(f) == 0 && n == m->len ? 0 : -1;
}

int main(int argc, char **argv)
{
	struct replay *r = calloc(1, sizeof(*r));
	struct vector v;
	int rc = 0;

	if (argc != 2 || !r) {
		fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
		return 2;
	}
	for (unsigned i = 0; vector_names[i] && rc == 0; i++) {
		if (!vector_load(vector_names[i], &v) || !replay_run(r, &v))
			rc = -1;
		for (unsigned k = 0; k < r->n_msgs && rc == 0; k++)
			rc = write_file(argv[1], v.name, k + 1, &r->msg[k]);
		vector_free(&v);
	}
	free(r);
	if (rc)
		perror("make_corpus");
	return rc ? 1 : 0;
}
