/* Runs a fuzz target without libFuzzer, with any compiler: over its corpus, then over that many
 * mutations of it, from a seed, so that a failure can be run again.
 *
 *   mutate_NAME CORPUS-DIRECTORY RUNS [SEED] */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SEEDS 4096
#define MAX_LEN   65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct seed {
	uint8_t *data;
	size_t len;
};

static struct seed seeds[MAX_SEEDS];
static size_t n_seeds;
static uint64_t state;

/* splitmix64 */
static uint64_t next_random(void)
{
	uint64_t z = (state += 0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static size_t below(size_t n)
{
	return n ? next_random() % n : 0;
}

static int name_cmp(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* In the order of their names, so that a seed of ours means the same run everywhere. */
static int load(const char *dir)
{
	struct dirent **list;
	int n = scandir(dir, &list, NULL, name_cmp);
	char path[1024];

	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, list[i]->d_name);
		FILE *f = list[i]->d_name[0] == '.' ? NULL : fopen(path, "rb");
		free(list[i]);
		if (!f || n_seeds == MAX_SEEDS) {
			if (f)
				fclose(f);
			continue;
		}
		struct seed *s = &seeds[n_seeds];
		s->data = malloc(MAX_LEN);
		s->len = s->data ? fread(s->data, 1, MAX_LEN, f) : 0;
		n_seeds += s->data != NULL;
		fclose(f);
	}
	if (n >= 0)
		free(list);
	return n_seeds ? 0 : -1;
}

/* A copy exactly as long as its bytes, so that a sanitizer sees the first one read beyond. */
static void run(const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);

	if (!copy)
		abort();
	memcpy(copy, data, len);
	LLVMFuzzerTestOneInput(copy, len);
	free(copy);
}

static size_t mutate(uint8_t *buf, size_t len)
{
	static const uint8_t interesting[] = {
		0, 1, 2, 3, 4, 7, 8, 16, 32, 0x7f, 0x80, 0xfe, 0xff
	};
	const struct seed *other = &seeds[below(n_seeds)];
	size_t at = below(len), n;

	switch (below(8)) {
	case 0: /* flip a bit */
		if (len)
			buf[at] ^= (uint8_t)(1 << below(8));
		return len;
	case 1: /* any byte */
		if (len)
			buf[at] = (uint8_t)next_random();
		return len;
	case 2: /* a telling byte */
		if (len)
			buf[at] = interesting[below(sizeof(interesting))];
		return len;
	case 3: /* one up or down: lengths and counts */
		if (len)
			buf[at] += next_random() & 1 ? 1 : 0xff;
		return len;
	case 4: /* cut */
		return at;
	case 5: /* remove a run */
		n = below(len - at < 32 ? len - at : 32);
		memmove(buf + at, buf + at + n, len - at - n);
		return len - n;
	case 6: /* insert a run of itself */
		n = below(len - at < 64 ? len - at : 64);
		if (len + n > MAX_LEN)
			return len;
		memmove(buf + at + n, buf + at, len - at);
		return len + n;
	default: /* continue with another seed */
		n = at < other->len ? other->len - at : 0;
		memcpy(buf + at, other->data + (n ? at : 0), n);
		return at + n;
	}
}

int main(int argc, char **argv)
{
	static uint8_t buf[MAX_LEN];

	if (argc < 3 || load(argv[1])) {
		fprintf(stderr, "usage: %s CORPUS-DIRECTORY RUNS [SEED]\n", argv[0]);
		return 2;
	}
	unsigned long runs = strtoul(argv[2], NULL, 10);
	state = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
	for (size_t i = 0; i < n_seeds; i++)
		run(seeds[i].data, seeds[i].len);
	for (unsigned long r = 0; r < runs; r++) {
		const struct seed *s = &seeds[below(n_seeds)];
		size_t len = s->len;
		memcpy(buf, s->data, len);
		for (size_t k = 1 + below(4); k > 0; k--)
			len = mutate(buf, len);
		run(buf, len);
	}
	printf("%zu seeds, %lu mutations\n", n_seeds, runs);
	for (size_t i = 0; i < n_seeds; i++)
		free(seeds[i].data);
	return 0;
}
