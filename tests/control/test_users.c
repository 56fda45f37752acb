/* Users of XAuth in a file, and leases in another. */
#include <criterion/criterion.h>
#include <crypt.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "leases.h"
#include "users.h"

static struct ike_users *parse(const char *text, unsigned *line, unsigned *weak, char *why,
			       size_t size)
{
	char *copy = strdup(text);
	struct ike_users *u = users_parse(copy, line, weak, why, size);

	free(copy);
	return u;
}

static const char *hash_of(const char *prefix, const char *password)
{
	static struct crypt_data data;
	char salt[CRYPT_GENSALT_OUTPUT_SIZE];

	cr_assert_not_null(crypt_gensalt_rn(prefix, 0, "0123456789abcdef", 16, salt, sizeof(salt)));
	return crypt_r(password, salt, &data);
}

Test(users, the_right_password_of_the_right_user)
{
	unsigned line, weak;
	char text[2000], why[128] = "";

	snprintf(text, sizeof(text), "# a comment\n\nbob:%s:more:of:shadow\r\n",
		 hash_of("$5$", "builder"));
	snprintf(text + strlen(text), sizeof(text) - strlen(text), "alice:%s\n",
		 hash_of("$6$", "wonderland"));
	struct ike_users *u = parse(text, &line, &weak, why, sizeof(why));
	cr_assert_not_null(u, "%s", why);
	cr_expect_eq(u->check(u, "alice", "wonderland"), 0);
	cr_expect_eq(u->check(u, "bob", "builder"), 0);
	cr_expect_eq(u->check(u, "alice", "builder"), -EACCES);
	cr_expect_eq(u->check(u, "bob", ""), -EACCES);
	cr_expect_eq(u->check(u, "carol", "wonderland"), -EACCES);
	cr_expect_eq(u->check(u, "", ""), -EACCES);
	cr_expect_eq(u->check(u, "# a comment", ""), -EACCES);
	ike_users_free(u);
}

Test(users, a_file_without_users_lets_nobody_in)
{
	unsigned line, weak;
	char why[128] = "";
	struct ike_users *u = parse("# nobody\n", &line, &weak, why, sizeof(why));

	cr_assert_not_null(u);
	cr_expect_eq(u->check(u, "alice", "wonderland"), -EACCES);
	ike_users_free(u);
}

Test(users, mistakes_have_their_line)
{
	static const struct {
		const char *text;
		unsigned line;
		const char *words;
	} cases[] = {
		{ "alice\n", 1, "no ':'" },
		{ "#\n:$6$abc$def\n", 2, "name is empty" },
		{ "alice:wonderland\n", 1, "none of crypt(3)'s" },
		{ "alice:\n", 1, "none of crypt(3)'s" },
		{ "alice:*\n", 1, "none of crypt(3)'s" },
		{ "alice:$6$saltsalt$x\nalice:$6$saltsalt$y\n", 0, "twice" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned line = 99, weak;
		char why[128] = "";
		struct ike_users *u = parse(cases[i].text, &line, &weak, why, sizeof(why));
		cr_expect_null(u, "%s", cases[i].text);
		cr_expect_eq(line, cases[i].line, "%s: line %u", cases[i].text, line);
		cr_expect(strstr(why, cases[i].words), "%s: %s", cases[i].text, why);
		ike_users_free(u);
	}
}

Test(users, weak_hashes_are_told)
{
	unsigned line, weak = 0;
	char text[400], why[128] = "";

	snprintf(text, sizeof(text), "#\nold:%s\n", hash_of("$1$", "password"));
	struct ike_users *u = parse(text, &line, &weak, why, sizeof(why));
	cr_assert_not_null(u, "%s", why);
	cr_expect_eq(weak, 2);
	cr_expect_eq(u->check(u, "old", "password"), 0);
	ike_users_free(u);
}

/* -------------------------------------------------------------------------- leases ---------- */

static uint64_t now_us(void *ctx)
{
	(void)ctx;
	return 1000000;
}

static int64_t wall_s(void *ctx)
{
	(void)ctx;
	return 1800000000;
}

static int zeros(void *ctx, void *buf, size_t len)
{
	(void)ctx;
	memset(buf, 7, len);
	return 0;
}

static void no_event(void *ctx, const struct ike_event *ev)
{
	(void)ctx;
	(void)ev;
}

/* An engine with a peer "road" that has 10.99.0.1 to .4. */
static struct ike *engine(void)
{
	static const struct ike_ops ops = {
		.now_us = now_us, .wall_s = wall_s, .random = zeros, .event = no_event
	};
	struct ike_remote_cfg access = { .config = true, .has_pool = true };
	struct ike_peer_cfg peer = { .name = "road", .access = &access };
	struct ike *ike = ike_new(&ops, NULL);

	ip_range_parse("10.99.0.1-10.99.0.4", &access.pool);
	cr_assert_eq(ike_peer_set(ike, &peer), 0);
	return ike;
}

static void collect(void *ctx, const struct ike_lease *l)
{
	char addr[ADDR_STR_LEN], *out = ctx;

	snprintf(out + strlen(out), 400 - strlen(out), "%s %s %s %lld%s;", l->peer, l->user,
		 ip_addr_str(&l->address, addr, sizeof(addr)), (long long)l->last_s,
		 l->active ? " active" : "");
}

static int restore(struct ike *ike, const char *peer, const char *user, const char *addr)
{
	struct ip_addr a;

	cr_assert_eq(ip_addr_parse(addr, &a), 0);
	return ike_lease_restore(ike, peer, user, &a, 1700000000);
}

Test(leases, they_survive_in_a_file)
{
	char file[] = "/tmp/shrike-leases-XXXXXX", all[400] = "", why[200] = "";
	struct ike *ike = engine();

	close(mkstemp(file));
	cr_expect_eq(restore(ike, "road", "alice", "10.99.0.3"), 0);
	cr_expect_eq(restore(ike, "road", "J\xc3\xb6rg \"x\"", "10.99.0.1"), 0);
	cr_expect_eq(restore(ike, "road", "bob", "10.99.0.3"), -EEXIST);
	cr_expect_eq(restore(ike, "road", "bob", "10.99.0.5"), -ENOENT);
	cr_expect_eq(restore(ike, "road", "bob", "2001:db8::1"), -ENOENT);
	cr_expect_eq(restore(ike, "else", "bob", "10.99.0.2"), -ENOENT);
	cr_assert_eq(leases_save(ike, file), 0);
	ike_free(ike);
	ike = engine();
	cr_expect_eq(leases_load(ike, file, why, sizeof(why)), 2, "%s", why);
	cr_expect_eq(leases_load(ike, file, why, sizeof(why)), 0, "what is there stays");
	ike_lease_foreach(ike, collect, all);
	cr_expect_str_eq(
		all,
		"road J\xc3\xb6rg \"x\" 10.99.0.1 1700000000;road alice 10.99.0.3 1700000000;");
	struct ike_pool_info info;
	cr_assert(ike_pool_info(ike, "road", &info));
	cr_expect_eq(info.size, 4);
	cr_expect_eq(info.kept, 2);
	cr_expect_eq(info.active, 0);
	ike_free(ike);
	unlink(file);
}

Test(leases, other_files_are_none)
{
	static const char *const texts[] = { "",
					     "[]",
					     "{}",
					     "{\"version\": 2, \"leases\": []}",
					     "{\"version\": 1, \"leases\": 5}",
					     "\xff\xfe" };
	char file[] = "/tmp/shrike-leases-XXXXXX", why[200];
	struct ike *ike = engine();

	close(mkstemp(file));
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		FILE *f = fopen(file, "w");
		fputs(texts[i], f);
		fclose(f);
		why[0] = '\0';
		cr_expect_eq(leases_load(ike, file, why, sizeof(why)), -EINVAL, "%s", texts[i]);
		cr_expect(strstr(why, "is no file of leases"), "%s", why);
	}
	FILE *f = fopen(file, "w");
	fputs("{\"version\": 1, \"leases\": [5, {}, {\"peer\": \"road\"}, {\"peer\": \"road\", "
	      "\"user\": \"a\", \"address\": \"x\"}, {\"peer\": \"road\", \"user\": \"a\", "
	      "\"address\": \"10.99.0.2\", \"last\": 1}]}",
	      f);
	fclose(f);
	cr_expect_eq(leases_load(ike, file, why, sizeof(why)), 1);
	unlink(file);
	cr_expect_eq(leases_load(ike, file, why, sizeof(why)), -ENOENT);
	ike_free(ike);
}
