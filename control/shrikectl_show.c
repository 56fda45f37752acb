/* Replies of the daemon as tables. */
#include "shrikectl.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "table.h"

static const char *str(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "-";
}

static double num(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

static long long count(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static void cells(struct table *t, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		table_cell(t, "%s", words[i]);
}

#define HEADING(t, ...)                                                                            \
	do {                                                                                       \
		static const char *const words[] = { __VA_ARGS__ };                                \
		cells(t, words, sizeof(words) / sizeof(words[0]));                                 \
	} while (0)

static void cell_seconds(struct table *t, const json_t *o, const char *key)
{
	char buf[32];

	table_cell(t, "%s", text_seconds(num(o, key), buf, sizeof(buf)));
}

static void cell_bytes(struct table *t, const json_t *o, const char *key)
{
	char buf[32];

	table_cell(t, "%s", text_bytes(num(o, key), buf, sizeof(buf)));
}

/* ------------------------------------------------------------------------------ status ------ */

static void show_peers(const json_t *peers)
{
	struct table t;
	size_t i;
	json_t *p;

	table_begin(&t, 8, 1u << 4 | 1u << 5 | 1u << 6 | 1u << 7);
	HEADING(&t, "PEER", "LOCAL", "REMOTE", "PHASE 1", "CHILDREN", "IN", "OUT", "PACKETS");
	json_array_foreach(peers, i, p) {
		table_cell(&t, "%s", str(p, "name"));
		table_cell(&t, "%s", str(p, "local"));
		table_cell(&t, "%s", str(p, "remote"));
		table_cell(&t, "%s", str(p, "state"));
		table_cell(&t, "%lld/%lld", count(p, "children_up"),
			   count(p, "children_configured"));
		cell_bytes(&t, p, "in_bytes");
		cell_bytes(&t, p, "out_bytes");
		table_cell(&t, "%lld/%lld", count(p, "in_packets"), count(p, "out_packets"));
	}
	table_print(&t, stdout);
}

static void show_children(const json_t *peers)
{
	struct table t;
	size_t i, k;
	json_t *p, *c;

	table_begin(&t, 5, 1u << 2 | 1u << 3);
	HEADING(&t, "CHILD", "STATE", "IN", "OUT", "SELECTORS");
	json_array_foreach(peers, i, p) {
		json_array_foreach(json_object_get(p, "children"), k, c) {
			table_cell(&t, "%s/%s", str(p, "name"), str(c, "name"));
			table_cell(&t, "%s", str(c, "state"));
			cell_bytes(&t, c, "in_bytes");
			cell_bytes(&t, c, "out_bytes");
			table_cell(&t, "%s", str(c, "selectors"));
		}
	}
	table_print(&t, stdout);
}

/* Peers that give addresses, or got one. */
static void show_access(const json_t *peers)
{
	size_t i, k;
	json_t *p, *v;

	json_array_foreach(peers, i, p) {
		const json_t *pool = json_object_get(p, "pool");
		const json_t *got = json_object_get(p, "assigned");
		if (json_is_object(pool))
			printf("\n%s: pool %s, %lld of %lld addresses in use, %lld kept\n",
			       str(p, "name"), str(pool, "range"), count(pool, "active"),
			       count(pool, "size"), count(pool, "kept"));
		if (!json_is_object(got))
			continue;
		printf("\n%s: assigned to us %s", str(p, "name"), str(got, "address"));
		json_array_foreach(json_object_get(got, "dns"), k, v)
			printf("%s%s", k ? ", " : "; DNS ", json_string_value(v));
		json_array_foreach(json_object_get(got, "split"), k, v)
			printf("%s%s", k ? ", " : "; networks ", json_string_value(v));
		printf("\n");
	}
}

void show_status(const json_t *reply)
{
	const json_t *peers = json_object_get(reply, "peers");
	char up[32];
	size_t i;
	json_t *p;

	printf("shrike %s, up %s, %s\n\n", str(reply, "version"),
	       text_seconds(num(reply, "uptime"), up, sizeof(up)), str(reply, "data_plane"));
	if (json_is_string(json_object_get(reply, "key_export")))
		printf("KEY EXPORT IS ON: the keys of all SAs are written to %s\n\n",
		       str(reply, "key_export"));
	show_peers(peers);
	printf("\n");
	show_children(peers);
	show_access(peers);
	json_array_foreach(peers, i, p)
		if (strlen(str(p, "last_error")) > 1)
			printf("\n%s: last error: %s\n", str(p, "name"), str(p, "last_error"));
}

/* ---------------------------------------------------------------------------------- sa ------ */

static void show_main_mode(const json_t *sas)
{
	struct table t;
	size_t i;
	json_t *sa;

	table_begin(&t, 12, 1u << 6 | 1u << 7 | 1u << 8 | 1u << 9);
	HEADING(&t, "MAIN MODE SA", "STATE", "ROLE", "EXCHANGE", "REMOTE", "ALGORITHMS", "NEGOTIATED", "AGE",
		"LEFT", "QUICK MODES", "USER", "LEASED");
	json_array_foreach(sas, i, sa) {
		const json_t *remote = json_object_get(sa, "remote");
		table_cell(&t, "%s", str(sa, "peer"));
		table_cell(&t, "%s", str(sa, "state"));
		table_cell(&t, "%s", str(sa, "role"));
		table_cell(&t, "%s", str(sa, "exchange"));
		table_cell(&t, "%s:%lld", str(remote, "address"), count(remote, "port"));
		table_cell(&t, "%s", str(sa, "algorithms"));
		table_cell(&t, "%.1f ms", num(sa, "negotiation_ms"));
		cell_seconds(&t, sa, "age");
		cell_seconds(&t, sa, "lifetime_left");
		table_cell(&t, "%lld", count(sa, "quick_modes"));
		table_cell(&t, "%s", str(sa, "user"));
		table_cell(&t, "%s", str(sa, "leased"));
	}
	table_print(&t, stdout);
}

static void show_quick_mode(const json_t *sas)
{
	struct table t;
	size_t i;
	json_t *sa;

	table_begin(&t, 12, 0x7e0);
	HEADING(&t, "QUICK MODE SA", "DIR", "SPI", "STATE", "ALGORITHMS", "LCORE", "PACKETS",
		"BYTES", "REPLAY", "ICV", "LEFT", "SELECTORS");
	json_array_foreach(sas, i, sa) {
		const json_t *sel = json_object_get(sa, "selectors");
		table_cell(&t, "%s/%s", str(sa, "peer"), str(sa, "child"));
		table_cell(&t, "%s", str(sa, "direction"));
		table_cell(&t, "%s", str(sa, "spi"));
		table_cell(&t, "%s", str(sa, "state"));
		table_cell(&t, "%s%s", str(sa, "algorithms"),
			   json_is_true(json_object_get(sa, "udp_encapsulation")) ? " udp" : "");
		table_cell(&t, "%lld", count(sa, "lcore"));
		table_cell(&t, "%lld", count(sa, "packets"));
		cell_bytes(&t, sa, "bytes");
		table_cell(&t, "%lld", count(sa, "replay_drops"));
		table_cell(&t, "%lld", count(sa, "icv_drops"));
		cell_seconds(&t, sa, "lifetime_left");
		table_cell(&t, "%s === %s", str(sel, "local"), str(sel, "remote"));
	}
	table_print(&t, stdout);
}

void show_sa(const json_t *reply)
{
	show_main_mode(json_object_get(reply, "main_mode_sas"));
	printf("\n");
	show_quick_mode(json_object_get(reply, "quick_mode_sas"));
}

/* ------------------------------------------------------------------------------- stats ------ */

static void show_ports(const json_t *ports)
{
	struct table t;
	size_t i;
	json_t *p;

	table_begin(&t, 9, 0x1f8);
	HEADING(&t, "PORT", "MAC", "LINK", "MTU", "RX PACKETS", "RX BYTES", "TX PACKETS",
		"TX BYTES", "MISSED");
	json_array_foreach(ports, i, p) {
		table_cell(&t, "%s", str(p, "name"));
		table_cell(&t, "%s", str(p, "mac"));
		table_cell(&t, "%s", json_is_true(json_object_get(p, "link_up")) ? "up" : "down");
		table_cell(&t, "%lld", count(p, "mtu"));
		table_cell(&t, "%lld", count(p, "rx_packets"));
		cell_bytes(&t, p, "rx_bytes");
		table_cell(&t, "%lld", count(p, "tx_packets"));
		cell_bytes(&t, p, "tx_bytes");
		table_cell(&t, "%lld", count(p, "rx_missed"));
	}
	table_print(&t, stdout);
}

static void show_lcores(const json_t *lcores)
{
	struct table t;
	size_t i;
	json_t *l;

	table_begin(&t, 9, 0x1ff);
	HEADING(&t, "LCORE", "CPU", "BUSY", "SAS", "RX PACKETS", "DECRYPTED", "ENCRYPTED",
		"FORWARDED", "TX PACKETS");
	json_array_foreach(lcores, i, l) {
		table_cell(&t, "%lld", count(l, "worker"));
		table_cell(&t, "%lld", count(l, "cpu"));
		table_cell(&t, "%.1f %%", 100 * num(l, "busy"));
		table_cell(&t, "%lld", count(l, "sa_in") + count(l, "sa_out"));
		table_cell(&t, "%lld", count(l, "rx_packets"));
		table_cell(&t, "%lld", count(l, "esp_in_packets"));
		table_cell(&t, "%lld", count(l, "esp_out_packets"));
		table_cell(&t, "%lld", count(l, "forwarded"));
		table_cell(&t, "%lld", count(l, "tx_packets"));
	}
	table_print(&t, stdout);
}

static void cell_timing(struct table *t, const char *name, const json_t *o)
{
	table_cell(t, "%s", name);
	table_cell(t, "%lld", count(o, "negotiated"));
	table_cell(t, "%lld", count(o, "failed"));
	table_cell(t, "%.1f ms", num(o, "min_ms"));
	table_cell(t, "%.1f ms", num(o, "average_ms"));
	table_cell(t, "%.1f ms", num(o, "max_ms"));
}

static void show_totals(const json_t *totals)
{
	const json_t *drops = json_object_get(totals, "drops");
	const char *name;
	struct table t;
	json_t *v;

	table_begin(&t, 6, 0x3e);
	HEADING(&t, "NEGOTIATIONS", "DONE", "FAILED", "MIN", "AVERAGE", "MAX");
	cell_timing(&t, "Main Mode", json_object_get(totals, "main_mode"));
	cell_timing(&t, "Quick Mode", json_object_get(totals, "quick_mode"));
	table_print(&t, stdout);
	if (json_object_size(drops) == 0) {
		printf("\nNo packet was dropped.\n");
		return;
	}
	printf("\n");
	table_begin(&t, 2, 2);
	HEADING(&t, "DROPPED FOR", "PACKETS");
	json_object_foreach((json_t *)drops, name, v) {
		table_cell(&t, "%s", name);
		table_cell(&t, "%lld", (long long)json_integer_value(v));
	}
	table_print(&t, stdout);
}

void show_stats(const json_t *stats, const char *direction)
{
	if (!direction) {
		show_ports(json_object_get(stats, "ports"));
		printf("\n");
		show_lcores(json_object_get(stats, "lcores"));
		printf("\n");
		show_main_mode(json_object_get(stats, "main_mode_sas"));
		printf("\n");
	}
	show_quick_mode(json_object_get(stats, "quick_mode_sas"));
	if (!direction) {
		printf("\n");
		show_totals(json_object_get(stats, "totals"));
	}
}
