/* Configuration: values, what a good file becomes, secrets, and what stays over a reload. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config_file.h"
#include "config_value.h"

static char dir[] = "/tmp/shrike-test-XXXXXX";

void file_write(const char *name, const char *text, unsigned mode)
{
	unlink(name);
	int fd = open(name, O_CREAT | O_WRONLY | O_TRUNC, 0600);
	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	cr_assert_eq(fchmod(fd, mode), 0);
	close(fd);
}

void files_setup(void)
{
	cr_assert_not_null(mkdtemp(dir));
	cr_assert_eq(chdir(dir), 0);
	file_write("a.psk", "a secret of some length\n", 0600);
	file_write("b.psk", "another secret of some length\n", 0400);
}

void files_teardown(void)
{
	static const char *const names[] = { "a.psk", "b.psk", "x.psk", "shrike.yaml" };

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(names[i]);
	cr_assert_eq(chdir("/"), 0);
	rmdir(dir);
}

const char good_yaml[] =
	"system:\n"			       /*  1 */
	"  control-core: 0\n"		       /*  2 */
	"  worker-cores: [1]\n"		       /*  3 */
	"  share-core: no\n"		       /*  4 */
	"  hugepages: no\n"		       /*  5 */
	"  memory: 256M\n"		       /*  6 */
	"  idle: sleep\n"		       /*  7 */
	"  run-dir: /tmp/shrike-test\n"	       /*  8 */
	"  stats-interval: 5s\n"	       /*  9 */
	"ports:\n"			       /* 10 */
	"  - name: wan\n"		       /* 11 */
	"    device: net_af_packet0,iface=w\n" /* 12 */
	"    addresses: [10.9.0.1/24]\n"       /* 13 */
	"  - name: lan\n"		       /* 14 */
	"    device: 0000:3b:00.0\n"	       /* 15 */
	"    addresses: [10.1.0.254/24]\n"     /* 16 */
	"routes:\n"			       /* 17 */
	"  - to: 0.0.0.0/0\n"		       /* 18 */
	"    via: 10.9.0.254\n"		       /* 19 */
	"secrets:\n"			       /* 20 */
	"  - name: a\n"			       /* 21 */
	"    file: a.psk\n"		       /* 22 */
	"policies:\n"			       /* 23 */
	"  - action: bypass\n"		       /* 24 */
	"    local: 10.1.0.0/24\n"	       /* 25 */
	"    remote: 10.9.0.0/24\n"	       /* 26 */
	"    protocol: icmp\n"		       /* 27 */
	"peers:\n"			       /* 28 */
	"  - name: gw-b\n"		       /* 29 */
	"    local: 10.9.0.1\n"		       /* 30 */
	"    remote: 10.9.0.2\n"	       /* 31 */
	"    local-id: gwa\n"		       /* 32 */
	"    secret: a\n"		       /* 33 */
	"    proposals: [aes256-sha256-modp2048]\n" /* 34 */
	"    lifetime: 4h\n"		       /* 35 */
	"    rekey-margin: 9m\n"	       /* 36 */
	"    dpd: 30s\n"		       /* 37 */
	"    children:\n"		       /* 38 */
	"      - name: net\n"		       /* 39 */
	"        local: [10.1.0.0/24]\n"       /* 40 */
	"        remote:\n"		       /* 41 */
	"          - 10.2.0.0/24\n"	       /* 42 */
	"          - 10.3.0.0/24\n"	       /* 43 */
	"        proposals: [aes128gcm16]\n"   /* 44 */
	"        lifetime: 1h\n"	       /* 45 */
	"        rekey-margin: 5m\n"	       /* 46 */
	"        start: immediate\n"	       /* 47 */
	"        replay-window: 1024\n";       /* 48 */

char *good_with(const char *old, const char *new)
{
	const char *at = strstr(good_yaml, old);
	char *text = NULL;

	cr_assert_not_null(at, "'%s' is not in the good file", old);
	cr_assert_geq(asprintf(&text, "%.*s%s%s", (int)(at - good_yaml), good_yaml, new,
			       at + strlen(old)),
		      0);
	return text;
}

int load(const char *text, const struct config *old, struct config **out,
	 struct config_report *report)
{
	file_write("shrike.yaml", text, 0644);
	return config_load("shrike.yaml", old, out, report);
}

static void print_note(void *ctx, bool warning, const char *line)
{
	(void)ctx;
	(void)warning;
	fprintf(stderr, "%s\n", line);
}

/* Loads a file that must be good, with that many warnings. */
struct config *load_good(const char *text, const struct config *old, unsigned warnings)
{
	struct config_report report = { 0 };
	struct config *cfg = NULL;
	int rc = load(text, old, &cfg, &report);

	if (rc != 0 || report.warnings != warnings)
		config_report_each(&report, "shrike.yaml", print_note, NULL);
	cr_assert_eq(rc, 0);
	cr_expect_eq(report.warnings, warnings);
	config_report_free(&report);
	return cfg;
}

TestSuite(config, .init = files_setup, .fini = files_teardown);

Test(config, good_file)
{
	struct config *cfg = load_good(good_yaml, NULL, 0);
	char buf[SELECTOR_STR_LEN];

	cr_expect_eq(cfg->dp.n_ports, 2);
	cr_expect_str_eq(cfg->dp.ports[0].device, "net_af_packet0,iface=w");
	cr_expect_str_eq(ip_prefix_str(&cfg->dp.ports[1].addrs[0], buf, sizeof(buf)),
			 "10.1.0.254/24");
	cr_expect_eq(cfg->dp.ports[0].source_check, DP_SOURCE_STRICT);
	cr_expect_eq(cfg->dp.n_workers, 1);
	cr_expect_eq(cfg->dp.worker_cores[0], 1);
	cr_expect_not(cfg->dp.hugepages);
	cr_expect_eq(cfg->dp.memory_mb, 256);
	cr_expect_eq(cfg->dp.idle, DP_IDLE_SLEEP);
	cr_expect_eq(cfg->dp.n_routes, 1);
	cr_expect_eq(cfg->dp.routes[0].port, 0);
	cr_expect_str_eq(cfg->stats_file, "/tmp/shrike-test/stats.json");
	cr_expect_eq(cfg->stats_interval_ms, 5000);

	cr_assert_eq(cfg->n_peers, 1);
	const struct ike_peer_cfg *peer = &cfg->peers[0];
	cr_expect_eq(peer->psk_len, strlen("a secret of some length"));
	cr_expect_eq(memcmp(peer->psk, "a secret of some length", peer->psk_len), 0);
	cr_expect_str_eq(peer->psk_name, "a");
	cr_expect_eq(peer->life_s, 4 * 3600);
	cr_expect_eq(peer->margin_s, 9 * 60);
	cr_expect_eq(peer->dpd_s, 30);
	cr_expect(peer->initiate);
	cr_expect_eq(peer->n_ike, 1);
	cr_expect_eq(peer->ike[0].group, 14);

	cr_assert_eq(peer->n_children, 2, "one child for each pair of networks");
	cr_expect_str_eq(peer->children[0].name, "net");
	cr_expect_str_eq(peer->children[1].name, "net-2");
	cr_expect_str_eq(selector_str(&peer->children[1].sel, buf, sizeof(buf)),
			 "10.1.0.0/24 === 10.3.0.0/24");
	cr_expect_eq(peer->children[0].esp[0].encr, ENCR_AES_GCM_16);
	cr_expect_eq(peer->children[0].start, START_IMMEDIATE);
	cr_expect_eq(peer->children[0].margin_s, 300);

	cr_assert_eq(cfg->n_policies, 3);
	cr_expect_eq(cfg->policies[0].action, POLICY_BYPASS);
	cr_expect_eq(cfg->policies[0].sel.proto, 1);
	cr_expect_eq(cfg->policies[1].id, peer->children[0].policy);
	cr_expect_eq(cfg->policies[2].id, peer->children[1].policy);
	config_free(cfg);
}

Test(config, ipv6)
{
	static const char text[] =
		"system:\n  worker-cores: [1]\n  hugepages: no\n"
		"ports:\n"
		"  - name: wan\n"
		"    device: net_af_packet0,iface=w\n"
		"    addresses: [2001:db8:9::1/64, 192.0.2.1/24]\n"
		"  - name: lan\n"
		"    device: net_af_packet1,iface=l\n"
		"    addresses: [2001:db8:1::fe/64]\n"
		"routes:\n"
		"  - to: \"::/0\"\n    via: fe80::2\n    port: wan\n"
		"  - to: 2001:db8:3::/48\n    via: 2001:db8:9::3\n"
		"  - to: 10.3.0.0/16\n    via: 2001:db8:9::3\n"
		"secrets:\n  - name: a\n    file: a.psk\n"
		"policies:\n"
		"  - action: bypass\n    protocol: ospf\n"
		"  - action: bypass\n    protocol: icmpv6\n    local: 2001:db8:1::/64\n"
		"  - action: bypass\n    protocol: icmp\n"
		"peers:\n"
		"  - name: b\n    local: 2001:db8:9::1\n    remote: 2001:db8:9::2\n    secret: a\n"
		"    proposals: [aes256-sha256-modp2048]\n"
		"    children:\n"
		"      - name: net\n"
		"        local: [2001:db8:1::/64, 10.1.0.0/24]\n"
		"        remote: [2001:db8:2::/64, 10.2.0.0/24]\n"
		"        proposals: [aes128gcm16]\n";
	struct config *cfg = load_good(text, NULL, 0);
	char buf[SELECTOR_STR_LEN];

	cr_assert_eq(cfg->dp.ports[0].n_addrs, 2);
	cr_expect_str_eq(ip_prefix_str(&cfg->dp.ports[0].addrs[0], buf, sizeof(buf)),
			 "2001:db8:9::1/64");
	cr_assert_eq(cfg->dp.n_routes, 3);
	for (unsigned i = 0; i < 3; i++)
		cr_expect_eq(cfg->dp.routes[i].port, 0);
	cr_expect_eq(cfg->dp.routes[2].via.family, IP_V6);
	cr_assert_eq(cfg->n_policies, 6);
	cr_expect_eq(cfg->policies[0].sel.remote.lo.family, IP_V4);
	cr_expect_eq(cfg->policies[1].sel.remote.lo.family, IP_V6, "any is both");
	cr_expect_str_eq(selector_str(&cfg->policies[2].sel, buf, sizeof(buf)),
			 "2001:db8:1::/64 === ::/0 [58]");
	cr_expect_eq(cfg->policies[3].sel.remote.lo.family, IP_V4, "ICMP is IPv4's alone");
	cr_expect_str_eq(selector_str(&cfg->policies[4].sel, buf, sizeof(buf)),
			 "2001:db8:1::/64 === 2001:db8:2::/64");
	cr_expect_eq(cfg->peers[0].n_children, 2);
	config_free(cfg);
}

/* A child that stays keeps its policy's id when others come and go; a new one gets a fresh id. */
Test(config, policy_ids_stay_over_reloads)
{
	struct config *before = load_good(good_yaml, NULL, 0);
	uint32_t first = before->peers[0].children[0].policy;
	char *text = good_with("      - name: net\n", "      - name: new\n"
						      "        local: [10.1.0.0/24]\n"
						      "        remote: [10.4.0.0/24]\n"
						      "        proposals: [aes256gcm16]\n"
						      "      - name: net\n");
	struct config *after = load_good(text, before, 0);

	cr_assert_eq(after->peers[0].n_children, 3);
	cr_expect_str_eq(after->peers[0].children[1].name, "net");
	cr_expect_eq(after->peers[0].children[1].policy, first);
	for (size_t i = 0; i < before->n_policies; i++)
		cr_expect_neq(after->peers[0].children[0].policy, before->policies[i].id);
	config_free(before);
	before = after;

	/* and back: the id of the one that went is not given to another at once */
	after = load_good(good_yaml, before, 0);
	cr_expect_eq(after->peers[0].children[0].policy, first);
	config_free(before);
	config_free(after);
	free(text);
}

Test(config, reload_notices_what_needs_a_restart)
{
	struct config *a = load_good(good_yaml, NULL, 0);
	static const struct {
		const char *old, *new, *what;
	} cases[] = {
		{ "memory: 256M", "memory: 300M", "system" },
		{ "iface=w", "iface=v", "ports" },
		{ "iface=w", "iface=w\n    vlan: 4", "ports" },
		{ "[10.9.0.1/24]", "[10.9.0.1/24]\n    source-check: loose", "ports" },
		{ "[10.9.0.1/24]", "[10.9.0.1/24]\n    source-check: strict", NULL },
		{ "[10.9.0.1/24]", "[10.9.0.1/24]\n    clamp-mss: auto", "ports" },
		{ "via: 10.9.0.254", "via: 10.9.0.253", "routes" },
		{ "lifetime: 1h", "lifetime: 2h", NULL },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text = good_with(cases[i].old, cases[i].new);
		struct config *b = load_good(text, a, 0);
		const char *what;
		bool same = config_same_system(a, b, &what);

		cr_expect_eq(same, cases[i].what == NULL, "%s", cases[i].new);
		if (!same && cases[i].what)
			cr_expect_str_eq(what, cases[i].what);
		config_free(b);
		free(text);
	}
	config_free(a);
}

Test(config, many_peers_load_quickly)
{
	FILE *f = fopen("shrike.yaml", "w");
	struct config_report report = { 0 };
	struct config *cfg = NULL;

	cr_assert_not_null(f);
	fprintf(f, "%.*s", (int)(strstr(good_yaml, "peers:") - good_yaml), good_yaml);
	fprintf(f, "peers:\n");
	for (int i = 0; i < 2000; i++)
		fprintf(f,
			"- {name: p%d, local: 10.9.0.1, remote: 10.9.%d.%d, secret: a, "
			"proposals: [aes128-sha256-ecp256], children: [{name: c, "
			"local: [10.1.0.0/24], remote: [10.200.%d.%d], proposals: [aes128gcm16]}]}\n",
			i, 10 + i / 250, i % 250 + 1, i / 250, i % 250);
	fclose(f);
	cr_assert_eq(config_load("shrike.yaml", NULL, &cfg, &report), 0);
	cr_expect_eq(cfg->n_peers, 2000);
	cr_expect_eq(cfg->n_policies, 2001);
	config_free(cfg);
	config_report_free(&report);
}

/* ------------------------------------------------------------------------------ secrets ----- */

static const struct {
	const char *text;
	const char *key;
	size_t len;
	unsigned warnings;
} secrets[] = {
	{ "sixteen bytes ok", "sixteen bytes ok", 16, 0 },
	{ "with a newline at the end\n", "with a newline at the end", 25, 0 },
	{ "with a DOS end of line\r\n", "with a DOS end of line", 22, 0 },
	{ "short", "short", 5, 1 },
	{ "ends in a blank, too \n", "ends in a blank, too ", 21, 1 },
	{ "0x000102030405060708090a0b0c0d0e0F\n", "\0\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17", 16,
	  0 },
	{ "0xff00\n", "\xff\0", 2, 1 },
};

Test(config, secret_files)
{
	char *text = good_with("file: a.psk", "file: x.psk");

	for (unsigned i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
		file_write("x.psk", secrets[i].text, 0600);
		struct config *cfg = load_good(text, NULL, secrets[i].warnings);
		cr_expect_eq(cfg->peers[0].psk_len, secrets[i].len, "%s", secrets[i].text);
		cr_expect_eq(memcmp(cfg->peers[0].psk, secrets[i].key, secrets[i].len), 0);
		config_free(cfg);
	}
	free(text);
}

/* ------------------------------------------------------------------------------- values ----- */

Test(value, durations)
{
	static const struct {
		const char *text;
		uint64_t ms;
	} good[] = {
		{ "0", 0 },	    { "90s", 90000 },	  { "30m", 1800000 },
		{ "8h", 28800000 }, { "1d", 86400000 },	  { "250ms", 250 },
		{ "0s", 0 },
	};
	static const char *const bad[] = { "",	  "8",	"8 h", "h", "-8h", "8H",
					   "8hx", "1h30m", "0x8s", "1.5h", " 8h", "8h " };
	uint64_t ms;

	for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		cr_expect_eq(value_duration(good[i].text, &ms), 0, "%s", good[i].text);
		cr_expect_eq(ms, good[i].ms, "%s", good[i].text);
	}
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(value_duration(bad[i], &ms), -EINVAL, "'%s'", bad[i]);
	cr_expect_eq(value_duration("18446744073709551615d", &ms), -ERANGE);
	cr_expect_eq(value_duration("18446744073709551616s", &ms), -ERANGE);
}

Test(value, sizes)
{
	static const char *const bad[] = { "", "M", "512m", "512MB", "1.5G", "-1K", "1 K", "0x10" };
	uint64_t v;

	cr_expect_eq(value_size("512M", &v), 0);
	cr_expect_eq(v, 512ull << 20);
	cr_expect_eq(value_size("65536", &v), 0);
	cr_expect_eq(v, 65536);
	cr_expect_eq(value_size("2T", &v), 0);
	cr_expect_eq(v, 2ull << 40);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(value_size(bad[i], &v), -EINVAL, "'%s'", bad[i]);
	cr_expect_eq(value_size("99999999999T", &v), -ERANGE);
}

Test(value, words_and_numbers)
{
	struct ip_prefix p;
	uint8_t proto;
	uint64_t v;
	bool b;

	cr_expect_eq(value_bool("yes", &b), 0);
	cr_expect(b);
	cr_expect_eq(value_bool("off", &b), 0);
	cr_expect_not(b);
	cr_expect_eq(value_bool("Yes", &b), -EINVAL);
	cr_expect_eq(value_bool("1", &b), -EINVAL);
	cr_expect_eq(value_number("12", &v), 0);
	cr_expect_eq(value_number("12a", &v), -EINVAL);
	cr_expect_eq(value_number("+12", &v), -EINVAL);
	cr_expect_eq(value_interface("10.9.0.1/24", &p), 0);
	cr_expect_eq(p.len, 24);
	cr_expect_eq(p.addr.b[3], 1, "the host part stays");
	cr_expect_eq(value_interface("10.9.0.1", &p), -EINVAL);
	cr_expect_eq(value_interface("10.9.0.1/33", &p), -EINVAL);
	cr_expect_eq(value_interface("10.9.0.1/2x", &p), -EINVAL);
	cr_expect_eq(value_protocol("udp", &proto), 0);
	cr_expect_eq(proto, 17);
	cr_expect_eq(value_protocol("50", &proto), 0);
	cr_expect_eq(proto, 50);
	cr_expect_eq(value_protocol("256", &proto), -ERANGE);
	cr_expect_eq(value_protocol("udpx", &proto), -EINVAL);
	cr_expect(value_is_name("gw-b_2.x", 63));
	cr_expect_not(value_is_name("gw/b", 63));
	cr_expect_not(value_is_name("", 63));
	cr_expect_not(value_is_name("abcd", 3));
}
