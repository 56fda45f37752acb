#include "stats.h"

#include <stdio.h>
#include <time.h>

#define COUNT(v) ((json_int_t)(v))

void stats_sample_busy(struct dp *dp, struct stats_busy *busy)
{
	struct dp_lcore_stats s;

	for (unsigned i = 0; i < dp_worker_count(dp) && i < DP_MAX_WORKERS; i++) {
		dp_lcore_stats(dp, i, &s);
		busy->share[i] = s.busy;
	}
}

json_t *stats_ports(const struct stats_source *s)
{
	json_t *ports = json_array();

	for (unsigned i = 0; i < dp_port_count(s->dp); i++) {
		struct dp_port_stats p;
		char mac[18];

		dp_port_stats(s->dp, i, &p);
		snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", p.mac[0], p.mac[1],
			 p.mac[2], p.mac[3], p.mac[4], p.mac[5]);
		json_array_append_new(
			ports,
			json_pack("{s:s, s:s, s:i, s:b, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "name",
				  p.name, "mac", mac, "vlan", (int)p.vlan, "link_up", p.link_up, "mtu", (int)p.mtu,
				  "rx_packets", COUNT(p.rx_packets), "rx_bytes", COUNT(p.rx_bytes),
				  "tx_packets", COUNT(p.tx_packets), "tx_bytes", COUNT(p.tx_bytes),
				  "rx_missed", COUNT(p.rx_missed), "rx_errors", COUNT(p.rx_errors),
				  "tx_errors", COUNT(p.tx_errors)));
	}
	return ports;
}

static json_t *lcore_drops(struct dp *dp, unsigned worker)
{
	json_t *drops = json_object();

	for (unsigned r = 0; r < dp_drop_count(); r++)
		json_object_set_new(drops, dp_drop_name(r),
				    json_integer(COUNT(dp_drop_value(dp, worker, r))));
	return drops;
}

json_t *stats_lcores(const struct stats_source *s)
{
	json_t *lcores = json_array();

	for (unsigned i = 0; i < dp_worker_count(s->dp); i++) {
		struct dp_lcore_stats l;
		json_t *o;

		dp_lcore_stats(s->dp, i, &l);
		o = json_pack("{s:i, s:i, s:f, s:i, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
			      "worker", (int)l.worker, "cpu", (int)l.cpu, "busy", s->busy->share[i],
			      "sa_in", (int)l.sa_in, "sa_out", (int)l.sa_out, "rx_packets",
			      COUNT(l.rx_packets), "rx_bytes", COUNT(l.rx_bytes), "tx_packets",
			      COUNT(l.tx_packets), "tx_bytes", COUNT(l.tx_bytes), "esp_in_packets",
			      COUNT(l.esp_in_packets), "esp_in_bytes", COUNT(l.esp_in_bytes),
			      "esp_out_packets", COUNT(l.esp_out_packets), "esp_out_bytes",
			      COUNT(l.esp_out_bytes));
		json_object_set_new(o, "handover_in", json_integer(COUNT(l.handover_in)));
		json_object_set_new(o, "handover_out", json_integer(COUNT(l.handover_out)));
		json_object_set_new(o, "bypassed", json_integer(COUNT(l.bypassed)));
		json_object_set_new(o, "forwarded", json_integer(COUNT(l.forwarded)));
		json_object_set_new(o, "punted", json_integer(COUNT(l.punted)));
		json_object_set_new(o, "injected", json_integer(COUNT(l.injected)));
		json_object_set_new(o, "natt_keepalives", json_integer(COUNT(l.natt_keepalives)));
		json_object_set_new(o, "reassembled", json_integer(COUNT(l.reassembled)));
		json_object_set_new(o, "reassembled_from", json_integer(COUNT(l.reassembled_from)));
		json_object_set_new(o, "drops", lcore_drops(s->dp, i));
		json_array_append_new(lcores, o);
	}
	return lcores;
}

static json_t *timing_json(const struct ike_timing *t)
{
	double average = t->count ? (double)t->total_us / (double)t->count / 1000 : 0;

	return json_pack("{s:I, s:I, s:f, s:f, s:f, s:f}", "negotiated", COUNT(t->count), "failed",
			 COUNT(t->failed), "average_ms", average, "min_ms",
			 t->count ? (double)t->min_us / 1000 : 0.0, "max_ms",
			 (double)t->max_us / 1000, "last_ms", (double)t->last_us / 1000);
}

/* Sums over the lcores: inner traffic and every drop reason that ever counted. */
static void totals_traffic(struct dp *dp, json_t *totals)
{
	uint64_t in_packets = 0, in_bytes = 0, out_packets = 0, out_bytes = 0;
	json_t *drops = json_object();

	for (unsigned i = 0; i < dp_worker_count(dp); i++) {
		struct dp_lcore_stats l;
		dp_lcore_stats(dp, i, &l);
		in_packets += l.esp_in_packets;
		in_bytes += l.esp_in_bytes;
		out_packets += l.esp_out_packets;
		out_bytes += l.esp_out_bytes;
	}
	for (unsigned r = 0; r < dp_drop_count(); r++) {
		uint64_t sum = 0;
		for (unsigned i = 0; i < dp_worker_count(dp); i++)
			sum += dp_drop_value(dp, i, r);
		if (sum)
			json_object_set_new(drops, dp_drop_name(r), json_integer(COUNT(sum)));
	}
	json_object_set_new(totals, "in_packets", json_integer(COUNT(in_packets)));
	json_object_set_new(totals, "in_bytes", json_integer(COUNT(in_bytes)));
	json_object_set_new(totals, "out_packets", json_integer(COUNT(out_packets)));
	json_object_set_new(totals, "out_bytes", json_integer(COUNT(out_bytes)));
	json_object_set_new(totals, "drops", drops);
}

json_t *stats_totals(const struct stats_source *s)
{
	struct ike_totals t;
	json_t *o;

	ike_totals(s->ike, &t);
	o = json_pack("{s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "main_mode",
		      timing_json(&t.phase1), "quick_mode", timing_json(&t.phase2),
		      "main_mode_rekeys", COUNT(t.rekeys_phase1), "quick_mode_rekeys",
		      COUNT(t.rekeys_phase2), "messages_in", COUNT(t.messages_in), "messages_out",
		      COUNT(t.messages_out), "retransmits", COUNT(t.retransmits), "duplicates",
		      COUNT(t.duplicates), "messages_dropped", COUNT(t.dropped), "half_open",
		      COUNT(t.half_open), "half_open_refused", COUNT(t.half_open_refused));
	json_object_set_new(o, "fragments",
			    json_pack("{s:I, s:I, s:I, s:I, s:I}", "in", COUNT(t.fragments_in),
				      "out", COUNT(t.fragments_out), "reassembled",
				      COUNT(t.reassembled), "dropped", COUNT(t.fragments_dropped),
				      "sets_dropped", COUNT(t.fragment_sets_dropped)));
	totals_traffic(s->dp, o);
	return o;
}

json_t *stats_control(const struct stats_source *s)
{
	const struct stats_pause *p = s->pause;

	return json_pack("{s:f, s:f, s:f}", "longest_pause_ms", (double)p->longest_us / 1e3,
			 "longest_work_ms", (double)p->longest_cpu_us / 1e3, "recent_pause_ms",
			 (double)(p->recent_us[0] > p->recent_us[1] ? p->recent_us[0] : p->recent_us[1]) / 1e3);
}

json_t *stats_head(const struct stats_source *s)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	json_t *o = json_pack("{s:i, s:f, s:f, s:{s:s, s:s}, s:{s:I, s:I}, s:o, s:o, s:o}", "version",
			      STATS_VERSION, "time", (double)now.tv_sec + (double)now.tv_nsec / 1e9,
			      "uptime", (double)s->uptime_us / 1e6, "software", "shrike",
			      SHRIKE_VERSION, "data_plane", dp_versions(s->dp), "memory",
			      "data_plane_bytes", COUNT(dp_pool_bytes(s->dp)), "ike_bytes",
			      COUNT(ike_objects(s->ike)), "control", stats_control(s), "ports",
			      stats_ports(s), "lcores", stats_lcores(s));
	/* null unless everybody who can read that directory can read all traffic */
	json_object_set_new(o, "key_export",
			    s->key_export ? json_string(s->key_export) : json_null());
	return o;
}
