/* The statistics document: its fields, its sums, and that the file is replaced whole. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blocks.h"
#include "fake_planes.h"
#include "stats_doc.h"
#include "text.h"

static struct stats_busy busy = { .share = { 0.25, 0.5 } };
static struct stats_pause pauses = { .longest_us = 1500, .recent_us = { 20, 40 } };
static struct stats_source source = { .busy = &busy, .pause = &pauses, .uptime_us = 7500000 };

static struct stats_doc *doc_make(enum stats_doc_kind kind)
{
	struct listing *l = listing_new(&source, stats_doc_parts(kind));
	struct stats_doc *d;

	cr_assert_not_null(l);
	while (listing_step(l, 0))
		;
	d = stats_doc_new(kind, &source, l);
	cr_assert_not_null(d);
	return d;
}

/* What its reader gets. */
static json_t *doc_json(enum stats_doc_kind kind)
{
	struct stats_doc *d = doc_make(kind);
	const struct iovec *v;
	unsigned n = stats_doc_pieces(d, &v);
	struct text all = { 0 };
	json_error_t error;
	json_t *doc;

	for (unsigned i = 0; i < n; i++)
		text_add(&all, v[i].iov_base, v[i].iov_len);
	doc = json_loadb(all.p, all.len, 0, &error);
	cr_assert_not_null(doc, "%s: %.*s", error.text, (int)all.len, all.p);
	cr_expect_eq(memchr(all.p, '\n', all.len), all.p + all.len - 1, "one line");
	text_free(&all);
	stats_doc_free(d);
	return doc;
}

static int write_whole(const char *file)
{
	struct ike_job *job = stats_write_new(file, doc_make(STATS_DOC_FILE));

	cr_assert_not_null(job);
	job->fn(job);
	return stats_write_end(job);
}

static const json_t *at(const json_t *o, const char *path)
{
	char copy[128], *save = NULL;

	snprintf(copy, sizeof(copy), "%s", path);
	for (char *key = strtok_r(copy, ".", &save); key; key = strtok_r(NULL, ".", &save))
		o = *key >= '0' && *key <= '9' ? json_array_get(o, (size_t)atoi(key)) :
						 json_object_get(o, key);
	cr_assert_not_null(o, "%s is not there", path);
	return o;
}

static void expect_text(const json_t *doc, const char *path, const char *text)
{
	cr_assert(json_is_string(at(doc, path)), "%s is no text", path);
	cr_expect_str_eq(json_string_value(at(doc, path)), text, "%s is '%s'", path,
			 json_string_value(at(doc, path)));
}

static void expect_number(const json_t *doc, const char *path, double v)
{
	cr_assert(json_is_number(at(doc, path)), "%s is no number", path);
	cr_expect_float_eq(json_number_value(at(doc, path)), v, 1e-6, "%s is %g", path,
			   json_number_value(at(doc, path)));
}

Test(stats, document)
{
	json_t *doc = doc_json(STATS_DOC_FILE);

	expect_number(doc, "version", 1);
	expect_number(doc, "uptime", 7.5);
	expect_text(doc, "software.data_plane", "paper 1.0");
	expect_number(doc, "memory.ike_bytes", 4711);

	expect_number(doc, "control.longest_pause_ms", 1.5);
	expect_number(doc, "control.recent_pause_ms", 0.04);
	expect_text(doc, "ports.0.mac", "02:00:00:00:00:ab");
	expect_number(doc, "ports.0.tx_bytes", 5e9);
	cr_expect(json_is_true(at(doc, "ports.0.link_up")));

	expect_number(doc, "lcores.1.busy", 0.5);
	expect_number(doc, "lcores.1.drops.replay_old", 4);
	expect_number(doc, "lcores.1.drops.esp_icv", 0);

	expect_text(doc, "main_mode_sas.0.state", "established");
	expect_text(doc, "main_mode_sas.0.role", "initiator");
	expect_text(doc, "main_mode_sas.0.initiator_cookie", "0102030405060708");
	expect_text(doc, "main_mode_sas.0.algorithms", "aes256-sha256-modp2048");
	expect_text(doc, "main_mode_sas.0.local_id.value", "gwa");
	cr_expect(json_is_null(at(doc, "main_mode_sas.0.remote_id")));
	cr_expect(json_is_true(at(doc, "main_mode_sas.0.nat.remote")));
	expect_number(doc, "main_mode_sas.0.remote.port", 4500);
	expect_number(doc, "main_mode_sas.0.negotiation_ms", 12.5);
	expect_number(doc, "main_mode_sas.0.age", 90);
	expect_number(doc, "main_mode_sas.0.quick_modes", 3);

	cr_expect_eq(json_array_size(at(doc, "quick_mode_sas")), 2, "one entry a direction");
	expect_text(doc, "quick_mode_sas.0.direction", "in");
	expect_text(doc, "quick_mode_sas.0.spi", "c0ffee01");
	expect_text(doc, "quick_mode_sas.1.spi", "0badcafe");
	expect_text(doc, "quick_mode_sas.1.algorithms", "aes128gcm16-modp2048");
	expect_text(doc, "quick_mode_sas.0.selectors.local", "10.1.0.0/24");
	expect_number(doc, "quick_mode_sas.0.lcore", 1);
	expect_number(doc, "quick_mode_sas.0.packets", 11);
	expect_number(doc, "quick_mode_sas.1.packets", 22);
	expect_number(doc, "quick_mode_sas.0.replay_drops", 2);
	expect_number(doc, "quick_mode_sas.0.late_drops", 1);
	expect_number(doc, "quick_mode_sas.0.duplicate_drops", 1);
	expect_number(doc, "quick_mode_sas.0.lifetime_left", 60);

	expect_number(doc, "totals.main_mode.negotiated", 4);
	expect_number(doc, "totals.main_mode.average_ms", 10);
	expect_number(doc, "totals.quick_mode.average_ms", 0);
	expect_number(doc, "totals.in_packets", 201);
	expect_number(doc, "totals.drops.replay_old", 7);
	cr_expect_null(json_object_get(at(doc, "totals.drops"), "esp_icv"));
	json_decref(doc);
}

/* Names and errors come from outside. */
Test(stats, any_text_is_json)
{
	static const char *const texts[] = { "plain", "quo\"te \\ \n \x01", "gr\xc3\xbc\xc3\x9f", "\xf0\x9f\x94\x91",
					     "\xff", "\xc3", "\xed\xa0\x80", "\xe2\x82", "" };
	json_error_t error;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct text t = { 0 };
		text_json(&t, texts[i]);
		json_t *back = json_loadb(t.p, t.len, JSON_DECODE_ANY, &error);
		cr_expect(json_is_string(back), "%zu: %s", i, error.text);
		if (i < 4 && back)
			cr_expect_str_eq(json_string_value(back), texts[i]);
		json_decref(back);
		text_free(&t);
	}
}

Test(stats, numbers_as_text)
{
	struct text t = { 0 };

	text_number(&t, 0);
	text_put(&t, " ");
	text_number(&t, UINT64_MAX);
	text_put(&t, " ");
	text_fraction(&t, 12500, 3);
	text_put(&t, " ");
	text_fraction(&t, 7, 6);
	text_add(&t, "", 1);
	cr_expect_str_eq(t.p, "0 18446744073709551615 12.500 0.000007");
	text_free(&t);
}

/* What is added comes out again, wherever one block ends and the next begins. */
Test(stats, text_in_blocks)
{
	char part[1000], *all = malloc(3 * BLOCK_BYTES + sizeof(part));
	const struct block *k;
	struct blocks b;
	size_t len = 0, at = 0;

	blocks_init(&b);
	blocks_add(&b, NULL, 0);
	cr_expect_eq(b.n, 0);
	while (len < 3 * BLOCK_BYTES) {
		size_t n = 1 + len % sizeof(part);
		memset(part, 'a' + (int)(len % 26), n);
		blocks_add(&b, part, n);
		memcpy(all + len, part, n);
		len += n;
	}
	cr_expect_not(b.failed);
	cr_expect_eq(b.len, len);
	cr_expect_eq(b.n, 4);
	TAILQ_FOREACH(k, &b.list, link) {
		cr_assert_geq(len - at, k->len);
		cr_expect_arr_eq(k->p, all + at, k->len);
		at += k->len;
	}
	cr_expect_eq(at, len);
	cr_expect_not(blocks_drop(&b, all));
	cr_expect(blocks_drop(&b, TAILQ_FIRST(&b.list)->p));
	cr_expect_eq(b.n, 3);
	blocks_free(&b);
	cr_expect_eq(b.len, 0);
	free(all);
}

/* A child's traffic is the sum over its SAs; one without SAs is down. */
Test(stats, peers)
{
	fake.extra_children = 3;
	fake.last_error = "no answer";
	json_t *status = doc_json(STATS_DOC_STATUS);
	const json_t *peers = at(status, "peers");

	expect_text(peers, "0.state", "established");
	expect_text(peers, "0.last_error", "no answer");
	expect_number(peers, "0.children_up", 2);
	expect_number(peers, "0.in_packets", 44);
	expect_text(peers, "0.children.1.name", "voice");
	expect_number(peers, "0.children.1.pairs", 3);
	expect_number(peers, "0.children.1.out_bytes", 6600);
	json_decref(status);

	fake.extra_children = 0;
	fake.child_established = false;
	status = doc_json(STATS_DOC_STATUS);
	peers = at(status, "peers");
	expect_text(peers, "0.children.0.state", "down");
	expect_number(peers, "0.children_up", 0);
	json_decref(status);
}

Test(stats, file_is_replaced_whole)
{
	char dir[] = "/tmp/shrike-test-XXXXXX", file[64];
	json_t *doc = doc_json(STATS_DOC_FILE), *back;
	json_error_t error;
	unsigned files = 0;

	cr_assert_not_null(mkdtemp(dir));
	snprintf(file, sizeof(file), "%s/stats.json", dir);
	cr_assert_eq(write_whole(file), 0);
	struct stat before, after;
	cr_assert_eq(stat(file, &before), 0);
	cr_assert_eq(write_whole(file), 0);
	cr_assert_eq(stat(file, &after), 0);
	cr_expect_neq(before.st_ino, after.st_ino, "the file was written in place");
	back = json_load_file(file, 0, &error);
	cr_expect(json_equal(json_object_get(doc, "quick_mode_sas"),
			     json_object_get(back, "quick_mode_sas")));

	DIR *d = opendir(dir);
	for (struct dirent *e; (e = readdir(d));)
		files += e->d_name[0] != '.';
	closedir(d);
	cr_expect_eq(files, 1, "nothing else stays behind");
	cr_expect_eq(write_whole("/nonexistent/stats.json"), -ENOENT);
	json_decref(back);
	json_decref(doc);
	unlink(file);
	rmdir(dir);
}

/* The file may be in a directory where others write: what they put in our way is not followed. */
Test(stats, no_link_is_followed)
{
	char dir[] = "/tmp/shrike-test-XXXXXX", file[64], tmp[80], victim[64], text[8] = "";

	cr_assert_not_null(mkdtemp(dir));
	snprintf(file, sizeof(file), "%s/stats.json", dir);
	snprintf(tmp, sizeof(tmp), "%s.tmp", file);
	snprintf(victim, sizeof(victim), "%s/victim", dir);
	FILE *f = fopen(victim, "w");
	cr_assert(f && fputs("precious", f) >= 0 && fclose(f) == 0);
	cr_assert_eq(symlink(victim, tmp), 0);
	cr_expect_eq(write_whole(file), 0);
	f = fopen(victim, "r");
	cr_assert(f && fread(text, 1, sizeof(text), f) == sizeof(text));
	cr_expect_arr_eq(text, "precious", sizeof(text));
	fclose(f);
	struct stat st;
	cr_expect(lstat(file, &st) == 0 && S_ISREG(st.st_mode));
	unlink(file);
	unlink(victim);
	rmdir(dir);
}
