/* Every mistake in a configuration gives the line of the wrong value and a sentence. Each row changes
 * the good file in one place. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "config_file.h"

struct bad {
	const char *old, *new; /* the change */
	unsigned line;	       /* expected */
	const char *words;     /* in the sentence */
};

static const struct bad rows[] = {
	/* shape */
	{ "idle: sleep", "idel: sleep", 7, "unknown key 'idel', did you mean 'idle'?" },
	{ "    dpd: 30s", "    nonsense: 30s", 37, "unknown key 'nonsense', known here: name" },
	{ "peers:\n", "peer:\n", 28, "did you mean 'peers'" },
	{ "addresses: [10.9.0.1/24]", "addresses: 10.9.0.1/24", 13, "'addresses' must be a list" },
	{ "memory: 256M", "memory: [256M]", 6, "'memory' must be a single value" },
	{ "memory: 256M", "memory:", 6, "'memory' has no value" },
	{ "memory: 256M", "memory: 256M\n  memory: 512M", 7, "'memory' appears twice" },
	{ "system:\n", "system: 5\nx:\n", 1, "'system' must be a set of" },
	{ "    secret: a\n", "", 29, "peer needs 'secret'" },
	{ "addresses: [10.9.0.1/24]", "addresses: []", 13, "empty list" },
	{ "local: [10.1.0.0/24]", "local: [10.1.0.0/24", 41, "" },
	{ "name: lan", "name: lan\n    mtu: *nine", 15, "aliases" },
	{ "name: lan", "name: \"a\\0b\"", 14, "zero character" },
	/* system */
	{ "control-core: 0", "control-core: 4711", 2, "CPU 4711 does not exist" },
	{ "control-core: 0", "control-core: zero", 2, "'zero' is not a CPU number" },
	{ "worker-cores: [1]", "worker-cores: [0]", 3, "CPU 0 is the control core" },
	{ "worker-cores: [1]", "worker-cores: [1, 1]", 3, "appears twice" },
	{ "worker-cores: [1]", "worker-cores: []", 3, "'worker-cores' is an empty list" },
	{ "share-core: no", "share-core: maybe", 4, "must be yes or no" },
	{ "memory: 256M", "memory: 256MB", 6, "'256MB' is not a size" },
	{ "memory: 256M", "memory: 1M", 6, "memory must be from" },
	{ "idle: sleep", "idle: dream", 7, "idle must be poll or sleep, not 'dream'" },
	{ "idle: sleep", "vaes: yes", 7, "vaes must be auto or no, not 'yes'" },
	{ "idle: sleep", "gcm: own", 7, "gcm must be auto or ipsec-mb, not 'own'" },
	{ "idle: sleep", "sa-slots: 1000", 7, "power of two" },
	{ "run-dir: /tmp/shrike-test", "run-dir: shrike", 8, "absolute" },
	{ "memory: 256M", "memory: 256M\n  key-export: keys", 7, "must be an absolute path" },
	{ "stats-interval: 5s", "stats-interval: 5", 9, "has no unit, write 5s" },
	{ "stats-interval: 5s", "stats-interval: 5x", 9, "is not a duration" },
	{ "stats-interval: 5s", "stats-interval: 5ms", 9, "at least 100ms" },
	{ "stats-interval: 5s", "file-prefix: a/b", 9, "is not a name" },
	/* ports and routes */
	{ "name: lan", "name: wan", 14, "the name 'wan' is taken already, in line 11" },
	{ "name: lan", "name: \"l n\"", 14, "'l n' is not a name" },
	{ "device: 0000:3b:00.0", "device: eth0", 15, "neither a PCI address" },
	{ "device: 0000:3b:00.0", "device: net_af_packet0,iface=w", 15, "uses this device" },
	{ "device: 0000:3b:00.0", "device: net_af_packet0,iface=w\n    vlan: 0", 16,
	  "vlan must be from 1 to 4094" },
	{ "device: 0000:3b:00.0", "device: net_af_packet0,iface=w\n    vlan: 4095", 16,
	  "vlan must be from 1 to 4094" },
	{ "device: 0000:3b:00.0", "device: net_af_packet0,iface=w\n    vlan: 7\n    mtu: 1501", 17,
	  "is at most that of its device (1500" },
	{ "    addresses: [10.1.0.254/24]",
	  "    vlan: 7\n    addresses: [10.1.0.254/24]\n  - name: b\n    device: 0000:3b:00.0\n"
	  "    vlan: 7\n    addresses: [10.4.0.254/24]", 20, "is VLAN 7 of this device already" },
	{ "[10.1.0.254/24]", "[10.1.0.254]", 16, "with its mask" },
	{ "[10.1.0.254/24]", "[10.1.0.0/24]", 16, "first address" },
	{ "[10.1.0.254/24]", "[10.1.0.255/24]", 16, "broadcast" },
	{ "[10.1.0.254/24]", "[10.9.0.254/25]", 16, "10.9.0.254/25 overlaps 10.9.0.1/24 of" },
	{ "[10.1.0.254/24]", "[224.0.0.1/24]", 16, "cannot be an interface" },
	{ "[10.1.0.254/24]", "[\"ff02::1/64\"]", 16, "ff02::1 cannot be an interface" },
	{ "[10.1.0.254/24]", "[\"::1/64\"]", 16, "::1 cannot be an interface" },
	{ "[10.1.0.254/24]", "[\"::ffff:10.1.0.1/128\"]", 16, "cannot be an interface" },
	{ "[10.1.0.254/24]", "[\"fe80::1/64\"]", 16, "from its MAC" },
	{ "[10.1.0.254/24]", "[\"2001:db8::1/129\"]", 16, "with its mask" },
	{ "[10.1.0.254/24]", "[\"2001:db8::1/64\"]\n    mtu: 1279", 17, "at least 1280" },
	{ "via: 10.9.0.254", "via: \"fe80::1\"", 19, "say on which with 'port'" },
	{ "via: 10.9.0.254", "via: \"fe80::1\"\n    port: wan", 19, "has no IPv6 address" },
	{ "via: 10.9.0.254", "via: \"2001:db8::1\"", 19, "is not in a network of any port" },
	{ "[10.1.0.254/24]", "[10.1.0.254/24]\n    mtu: 20", 17, "mtu must be from 576" },
	{ "[10.1.0.254/24]", "[10.1.0.254/24]\n    source-check: some", 17,
	  "source-check must be strict, loose or off, not 'some'" },
	{ "to: 0.0.0.0/0", "to: 10.3.0.1/24", 18, "did you mean 10.3.0.0/24?" },
	{ "to: 0.0.0.0/0", "to: everywhere", 18, "is not a network" },
	{ "via: 10.9.0.254", "via: 10.8.0.254", 19, "is not in a network of any port" },
	{ "    via: 10.9.0.254\n", "", 18, "needs 'via'" },
	{ "via: 10.9.0.254", "port: dmz", 19, "there is no port 'dmz'" },
	{ "via: 10.9.0.254", "via: 10.9.0.254\n    port: lan", 19, "not in a network of port 'lan'" },
	{ "via: 10.9.0.254", "via: 10.9.0.254\n  - {to: 0.0.0.0/0, via: 10.9.0.7}", 20,
	  "a route to 0.0.0.0/0 already" },
	/* secrets */
	{ "file: a.psk", "file: none.psk", 22, "No such file" },
	{ "file: a.psk", "file: .", 22, "not a regular file" },
	{ "secret: a\n", "secret: c\n", 33, "there is no secret 'c'" },
	{ "file: a.psk", "file: a.psk\n  - {name: a, file: b.psk}", 23, "'a' is taken" },
	/* policies */
	{ "action: bypass", "action: protect", 24, "discard or bypass, not 'protect'" },
	{ "local: 10.1.0.0/24", "local: 10.1.0.1/24", 25, "did you mean 10.1.0.0/24?" },
	{ "remote: 10.9.0.0/24", "remote: 10.9.0.9-10.9.0.1", 26, "is not a network" },
	{ "protocol: icmp", "protocol: icpm", 27, "is not an IP protocol" },
	{ "protocol: icmp", "protocol: icmp\n    remote-port: 53", 28, "ports need" },
	{ "protocol: icmp", "protocol: udp\n    remote-port: 65536", 28, "remote-port must be" },
	/* peers */
	{ "name: gw-b", "name: gw/b", 29, "'gw/b' is not a name" },
	{ "local: 10.9.0.1\n", "local: 10.9.0.5\n", 30, "not an address of any port" },
	{ "local: 10.9.0.1\n", "local: gw.example\n", 30, "'gw.example' is not an address" },
	{ "remote: 10.9.0.2\n", "remote: 10.9.0.1\n", 31, "an address of our own" },
	{ "remote: 10.9.0.2\n", "remote: any\n", 47, "cannot be called" },
	{ "local-id: gwa", "local-id: keyid:xyz", 32, "is not an identity" },
	{ "[aes256-sha256-modp2048]", "[aes256-sha256]", 34, "needs a group" },
	{ "[aes256-sha256-modp2048]", "[aes256-sha257-modp2048]", 34, "sha257" },
	{ "[aes256-sha256-modp2048]", "[aes256gcm16-sha256-modp2048]", 34, "aes256gcm16" },
	{ "lifetime: 4h", "lifetime: 8", 35, "has no unit" },
	{ "lifetime: 4h", "lifetime: 1s", 35, "lifetime must be from 10s" },
	{ "rekey-margin: 9m", "lifetime-bytes: 1K", 36, "lifetime-bytes must be from 65536" },
	{ "rekey-margin: 9m", "rekey-margin: 2h", 36, "less than half of the lifetime" },
	{ "dpd: 30s", "dpd: thirty", 37, "is not a duration" },
	{ "dpd: 30s", "encapsulation: always", 37, "auto or force, not 'always'" },
	{ "dpd: 30s", "sha256-96: 96", 37, "sha256-96 must be yes or no" },
	{ "dpd: 30s", "auth: rsa-encryption", 37, "Bleichenbacher" },
	{ "dpd: 30s", "auth: magic", 37, "psk, rsa, ecdsa, hybrid or kerberos, not 'magic'" },
	{ "dpd: 30s", "keytab: gw.keytab", 37, "'keytab' needs 'auth: kerberos'" },
	{ "dpd: 30s", "exchange: fast", 37, "exchange must be main or aggressive" },
	{ "dpd: 30s", "auth: dss", 37, "use rsa or ecdsa" },
	{ "dpd: 30s", "retries: 0", 37, "retries must be from 1 to 20" },
	{ "dpd: 30s", "retries: many", 37, "'many' is not a number" },
	/* children */
	{ "name: net\n", "name: \"\"\n", 39, "is not a name" },
	{ "local: [10.1.0.0/24]", "local: [10.1.0.0/24, 10.1.1.5/24]", 40, "10.1.1.0/24" },
	{ "- 10.3.0.0/24", "- 10.3.0.9/24", 43, "did you mean 10.3.0.0/24?" },
	{ "[aes128gcm16]", "[aes128gcm16-sha256]", 44, "carries its own integrity" },
	{ "[aes128gcm16]", "[aes128]", 44, "without integrity" },
	{ "[aes128gcm16]", "[aes128gcm16-modp2048, aes128gcm16]", 44, "same PFS group" },
	{ "[aes128gcm16]", "[ah-aes128-sha256]", 44, "AH does not encrypt" },
	{ "[aes128gcm16]", "[ah]", 44, "needs an integrity algorithm" },
	{ "[aes128gcm16]", "[chacha20poly1305]", 44, "IKEv1 has no number for ChaCha20" },
	{ "[aes128gcm16]", "[aes128-sha256-sha256_96]", 44, "looks the same in the negotiation" },
	{ "replay-window: 1024", "proposals: [aes128gcm16-esn]\n        esn: yes", 48, "appears twice" },
	{ "[aes128gcm16]", "[aes128gcm16-esn]\n        esn: yes", 45, "not in both" },
	{ "replay-window: 1024", "esn: maybe", 48, "esn must be no, yes or prefer" },
	{ "replay-window: 1024", "sa-pairs: 0", 48, "sa-pairs must be from 1 to 64" },
	{ "replay-window: 1024", "sa-pairs: per-core", 48, "'per-core' is not a number" },
	{ "lifetime: 1h", "lifetime: 6m", 46, "less than half" },
	{ "start: immediate", "start: now", 47, "passive, immediate or on-demand" },
	{ "replay-window: 1024", "replay-window: 1000", 48, "power of two" },
	{ "replay-window: 1024", "clamp-mss: 127", 48, "neither 'no', 'auto' nor a number" },
	{ "replay-window: 1024", "clamp-mss: yes", 48, "neither 'no', 'auto' nor a number" },
	{ "[10.1.0.254/24]", "[10.1.0.254/24]\n    clamp-mss: 9601", 17,
	  "neither 'no', 'auto' nor a number from 128 to 9600" },
	{ "replay-window: 1024", "dscp: 64", 48, "dscp must be from 0 to 63" },
	{ "replay-window: 1024", "dscp: 46\n        copy-dscp: yes", 48, "choose one" },
	{ "replay-window: 1024", "mode: transport", 48, "between the gateways themselves" },
	{ "replay-window: 1024", "protocol: tcp\n        local-port: http", 49, "not a number" },
	{ "replay-window: 1024", "lifetime-bytes: 10", 48, "lifetime-bytes must be" },
	{ "replay-window: 1024", "fallback-clear: maybe", 48, "fallback-clear must be yes or no" },
	{ "start: immediate", "start: passive\n        fallback-clear: yes", 48, "that we negotiate" },
	{ "replay-window: 1024", "idle-timeout: 1s", 48, "must be 0 (never) or at least 10s" },
	{ "dpd: 30s", "idle-timeout: 8d", 37, "idle-timeout must be from" },
	{ "dpd: 30s", "quick-mode-limit: -1", 37, "'-1' is not a number" },
	{ "dpd: 30s", "quick-mode-limit: 100000", 37, "quick-mode-limit must be from 0 to 65535" },
	{ "dpd: 30s", "quick-mode-limit: 5\n    master-pfs: yes", 38, "means 'quick-mode-limit: 1'" },
	{ "dpd: 30s", "fragmentation: maybe", 37, "fragmentation must be yes, no or force" },
	{ "dpd: 30s", "fragment-size: 200", 37, "fragment-size must be from 256 to 9000" },
	{ "dpd: 30s", "fragmentation: no\n    fragment-size: 576", 38, "there are no fragments" },
	/* XAuth and Mode Config */
	{ "dpd: 30s", "xauth: both", 37, "xauth must be no, server or client" },
	{ "dpd: 30s", "xauth: server", 37, "needs either 'users', a file, or 'pam'" },
	{ "dpd: 30s", "xauth: server\n    users: a.psk\n    pam: x", 37, "either 'users'" },
	{ "dpd: 30s", "xauth: server\n    users: none.txt", 38, "No such file" },
	{ "dpd: 30s", "xauth: server\n    users: a.psk", 38, "line 1: there is no ':'" },
	{ "dpd: 30s", "xauth: server\n    pam: ../x", 38, "'../x' is not a name" },
	{ "dpd: 30s", "xauth: client\n    xauth-user: me", 37, "needs 'xauth-user' and" },
	{ "dpd: 30s", "users: a.psk", 37, "'users' needs 'xauth: server'" },
	{ "dpd: 30s", "xauth-user: me", 37, "'xauth-user' needs 'xauth: client'" },
	{ "dpd: 30s", "mode-config: ask", 37, "mode-config must be no, pull or push" },
	{ "dpd: 30s", "pool: 10.99.0.0/16", 37, "at most 16384 addresses" },
	{ "dpd: 30s", "pool: 2001:db8::/120", 37, "gives out IPv4 addresses" },
	{ "dpd: 30s", "pool: 10.9.0.0/24", 37, "has an address of our own" },
	{ "dpd: 30s", "pool: 10.99.0.0/24\n    mode-config: no", 38, "of no use" },
	{ "dpd: 30s", "dns: [10.1.0.53]", 37, "needs a 'pool'" },
	{ "dpd: 30s", "pool: 10.99.0.0/24\n    dns: [\"::1\"]", 38, "tells IPv4 addresses" },
	{ "dpd: 30s", "pool: 10.99.0.0/24\n    split: [10.1.0.1/8]", 38, "right of its mask" },
	{ "dpd: 30s", "pool: 10.99.0.0/24\n    split-dns: [\"a b\"]", 38, "not a domain's name" },
	{ "dpd: 30s", "auth: hybrid", 33, "there is no 'secret'" },
	{ "    secret: a\n", "    auth: hybrid\n", 33, "needs 'xauth: server' or 'xauth: client'" },
	{ "    secret: a\n", "    auth: hybrid\n    xauth: client\n", 33, "needs 'authorities'" },
	{ "local: [10.1.0.0/24]", "local: [assigned]", 40, "needs 'mode-config', and no pool" },
	{ "local: [10.1.0.0/24]", "local: [pool]", 40, "'pool' is not a network" },
	{ "        - 10.3.0.0/24", "        - pool", 43, "needs the peer to have a 'pool'" },
	{ "dpd: 30s", "master-pfs: perhaps", 37, "master-pfs must be yes or no" },
	{ "dpd: 30s", "dpd: 30s\n    dpd-mode: always", 38, "periodic or on-demand, not 'always'" },
	{ "dpd: 30s", "dpd-mode: on-demand", 37, "but 'dpd' (how long to wait before)" },
	{ "replay-window: 1024", "lifetime-packets: 10", 48, "lifetime-packets must be from 1000" },
	{ "replay-window: 1024", "lifetime-packets: 1G", 48, "'1G' is not a number" },
	{ "replay-window: 1024",
	  "replay-window: 64\n      - {name: net, local: [10.7.0.0/24], remote: [10.8.0.0/24], "
	  "proposals: [aes128gcm16]}",
	  49, "the name 'net' is taken already, in line 39" },
	{ "replay-window: 1024",
	  "replay-window: 64\n      - {name: net-2, local: [10.7.0.0/24], remote: [10.8.0.0/24], "
	  "proposals: [aes128gcm16]}",
	  49, "list of networks of another" },
	{ "replay-window: 1024",
	  "replay-window: 64\n  - {name: p2, local: 10.9.0.1, remote: 10.9.0.2, secret: b, "
	  "proposals: [aes128-sha256-ecp256]}\n",
	  49, "there is no secret 'b'" },
};

static void note_print(void *ctx, bool warning, const char *line)
{
	(void)ctx;
	(void)warning;
	fprintf(stderr, "%s\n", line);
}

static bool report_has(const struct config_report *r, const struct bad *row, bool warning)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->notes[i].line == row->line && r->notes[i].warning == warning &&
		    strstr(r->notes[i].text, row->words))
			return true;
	return false;
}

TestSuite(config_bad, .init = files_setup, .fini = files_teardown);

Test(config_bad, each_mistake_has_its_line)
{
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct config_report report = { 0 };
		struct config *cfg = NULL;
		char *text = good_with(rows[i].old, rows[i].new);
		int rc = load(text, NULL, &cfg, &report);

		cr_expect_eq(rc, -EINVAL, "'%s' was accepted", rows[i].new);
		bool found = report_has(&report, &rows[i], false);
		cr_expect(found, "'%s': expected line %u: ...%s...", rows[i].new, rows[i].line,
			  rows[i].words);
		if (!found)
			config_report_each(&report, "shrike.yaml", note_print, NULL);
		config_free(cfg);
		config_report_free(&report);
		free(text);
	}
}

/* All mistakes at once, in the order of their lines. */
Test(config_bad, all_mistakes_are_found)
{
	char *one = good_with("memory: 256M", "memory: lots");
	char *two = strstr(one, "10.9.0.254");
	struct config_report report = { 0 };
	struct config *cfg = NULL;

	memcpy(two, "10.8.0.254", 10);
	memcpy(strstr(one, "aes256-sha256"), "aes256-sha999", 13);
	cr_assert_eq(load(one, NULL, &cfg, &report), -EINVAL);
	cr_assert_eq(report.errors, 3);
	cr_expect_eq(report.notes[0].line, 6);
	cr_expect_eq(report.notes[1].line, 19);
	cr_expect_eq(report.notes[2].line, 34);
	config_report_free(&report);
	free(one);
}

static const struct {
	unsigned mode;
	bool good;
} modes[] = {
	{ 0600, true },	 { 0400, true },  { 0640, false }, { 0604, false },
	{ 0660, false }, { 0644, false }, { 0700, false }, { 04600, false },
};

Test(config_bad, secret_permissions)
{
	for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		struct config_report report = { 0 };
		struct config *cfg = NULL;
		char *text = good_with("file: a.psk", "file: x.psk");
		file_write("x.psk", "a secret of some length\n", modes[i].mode);
		int rc = load(text, NULL, &cfg, &report);

		cr_expect_eq(rc, modes[i].good ? 0 : -EINVAL, "mode %04o", modes[i].mode);
		if (!modes[i].good) {
			char words[32];
			snprintf(words, sizeof(words), "has mode %04o", modes[i].mode);
			struct bad row = { .line = 22, .words = words };
			cr_expect(report_has(&report, &row, false));
		}
		config_free(cfg);
		config_report_free(&report);
		free(text);
	}
}

Test(config_bad, secret_contents)
{
	static const struct {
		const char *text, *words;
	} cases[] = {
		{ "", "is empty" },
		{ "\n", "is empty" },
		{ "one\ntwo\n", "more than one line" },
		{ "0x123\n", "even number of hex digits" },
		{ "0xzz\n", "even number of hex digits" },
		{ "0x\n", "even number of hex digits" },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct config_report report = { 0 };
		struct config *cfg = NULL;
		char *text = good_with("file: a.psk", "file: x.psk");
		struct bad row = { .line = 22, .words = cases[i].words };

		file_write("x.psk", cases[i].text, 0600);
		cr_expect_eq(load(text, NULL, &cfg, &report), -EINVAL, "'%s'", cases[i].text);
		cr_expect(report_has(&report, &row, false), "%s", cases[i].words);
		config_free(cfg);
		config_report_free(&report);
		free(text);
	}
}

static const struct bad warned[] = {
	{ "[aes256-sha256-modp2048]", "[3des-sha256-modp2048]", 34, "3des-sha256-modp2048 is weak" },
	{ "[aes128gcm16]", "[aes128-md5]", 44, "is weak" },
	{ "file: a.psk", "file: a.psk\n  - {name: b, file: b.psk}", 23, "no peer uses" },
	{ "- 10.3.0.0/24", "- 10.2.0.0/25", 0, "never matches" },
};

Test(config_bad, doubtful_things_are_warned_of)
{
	for (unsigned i = 0; i < sizeof(warned) / sizeof(warned[0]); i++) {
		struct config_report report = { 0 };
		struct config *cfg = NULL;
		char *text = good_with(warned[i].old, warned[i].new);

		cr_expect_eq(load(text, NULL, &cfg, &report), 0, "%s", warned[i].new);
		cr_expect(report_has(&report, &warned[i], true), "%s", warned[i].words);
		config_free(cfg);
		config_report_free(&report);
		free(text);
	}
}

Test(config_bad, no_file)
{
	struct config_report report = { 0 };
	struct config *cfg = NULL;

	cr_expect_eq(config_load("no-such.yaml", NULL, &cfg, &report), -EINVAL);
	cr_assert_eq(report.n, 1);
	cr_expect_not_null(strstr(report.notes[0].text, "No such file"));
	config_report_free(&report);
}
