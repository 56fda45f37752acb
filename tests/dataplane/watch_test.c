/* Trace and capture on two running workers: the story of a packet for each way that it can go,
 * which packets are taken, what the copies contain, and that nothing is lost by being looked at. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ring_rig.h"
#include "wire.h"

#define SEEN_MAX 64

static struct seen {
	struct dp_watched w;
	char data[2048];
} seen[SEEN_MAX];
static unsigned n_seen;

static struct sa_ref ref[2]; /* policy and worker 0, 1; policy 2 has none */

static void on_packet(void *ctx, const struct dp_watched *w)
{
	(void)ctx;
	if (n_seen < SEEN_MAX) {
		seen[n_seen].w = *w;
		memcpy(seen[n_seen].data, w->data, w->len < 2047 ? w->len : 2047);
		seen[n_seen].data[w->len < 2047 ? w->len : 2047] = 0;
	}
	n_seen++;
}

static struct dp_watch_cfg watch(enum dp_watch_what what)
{
	return (struct dp_watch_cfg){
		.what = what, .port = UINT_MAX, .count = 100, .on_packet = on_packet
	};
}

static int start_rc(const struct dp_watch_cfg *cfg)
{
	char why[200] = "";
	int rc = dp_watch_start(rig_dp, cfg, why, sizeof(why));

	n_seen = 0;
	rig_poll_for(0.05);
	return rc;
}

static void start(const struct dp_watch_cfg *cfg)
{
	must(start_rc(cfg) == 0, "a watch starts");
}

/* Waits until something was seen (at most 5 s) and a moment more. */
static void wait_for(unsigned n)
{
	for (double end = rig_seconds() + 5; n_seen < n && rig_seconds() < end;)
		dp_poll(rig_dp);
	rig_poll_for(0.03);
}

static void drain(void)
{
	struct rte_mbuf *pkt;

	for (unsigned port = 0; port < PORTS; port++)
		for (unsigned q = 0; q < 2; q++)
			while ((pkt = rig_leaving(port, q)))
				rte_pktmbuf_free(pkt);
}

static struct rte_mbuf *left(unsigned port)
{
	struct rte_mbuf *pkt = NULL;

	for (double end = rig_seconds() + 5; !pkt && rig_seconds() < end;) {
		dp_poll(rig_dp);
		for (unsigned q = 0; q < 2 && !pkt; q++)
			pkt = rig_leaving(port, q);
	}
	must(pkt != NULL, "a frame leaves");
	return pkt;
}

/* The story has these stages in this order, and words somewhere. */
static bool tells(const struct seen *s, const char *stages, const char *words)
{
	char have[200] = "", copy[2048], *save = NULL;
	bool ok;

	snprintf(copy, sizeof(copy), "%s", s->data);
	for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		line[strcspn(line, "\t")] = 0;
		snprintf(have + strlen(have), sizeof(have) - strlen(have), "%s%s",
			 have[0] ? "|" : "", line);
	}
	ok = s->w.kind == DP_WATCHED_STORY && strcmp(have, stages) == 0 && strstr(s->data, words);
	if (!ok)
		printf("# expected %s with '%s', got %s:\n# %s\n", stages, words, have, s->data);
	return ok;
}

static void send(uint32_t policy, unsigned queue)
{
	rig_frame_in(LAN, queue, rig_clear(1, policy, 72), false);
}

static void stories_out(void)
{
	start(&(struct dp_watch_cfg){
		.what = DP_WATCH_TRACE, .port = UINT_MAX, .count = 100, .on_packet = on_packet });
	send(0, 0);
	wait_for(1);
	check(n_seen == 1 && tells(&seen[0], "receive|policy|encrypt|route|sent",
				   "10.1.0.7 > 10.2.0.0 UDP 0 > 0, 100 bytes: policy 0, protect"),
	      "a packet that is encrypted");
	check(seen[0].w.policy == 0 && seen[0].w.worker == 0 && seen[0].w.port == LAN,
	      "its policy, worker and port");
	check(strstr(seen[0].data, "to 10.9.0.2, sequence 1\n") &&
		      strstr(seen[0].data, "sent\tport wan, 1 frame,"),
	      "its SA and its frame");
	send(1, 0);
	wait_for(3);
	check(n_seen == 3 && tells(&seen[1], "receive|policy|handed over",
				   "protect, through an SA of worker 1"),
	      "a packet for another worker's SA");
	check(tells(&seen[2], "receive|encrypt|route|sent", "from another worker") &&
		      seen[2].w.worker == 1,
	      "goes on there");
	send(2, 0);
	wait_for(4);
	check(tells(&seen[3], "receive|policy|dropped", "dropped\tspd_no_sa: "), "without an SA");
	send(9, 0);
	wait_for(5);
	check(tells(&seen[4], "receive|policy|dropped", "no policy matches"), "without a policy");
	struct rte_mbuf *pkt = rig_clear(1, 0, 10);
	rte_pktmbuf_mtod(pkt, uint8_t *)[IP4_SUM] ^= 1;
	rig_frame_in(LAN, 0, pkt, false);
	wait_for(6);
	check(tells(&seen[5], "receive|dropped", "dropped\tip_malformed: "), "with a bad checksum");
	check(n_seen == 6, "and each once");
	drain();
	dp_watch_stop(rig_dp);
}

static void stories_in(void)
{
	struct dp_watch_cfg cfg = watch(DP_WATCH_TRACE);
	struct rte_mbuf *good, *again, *bad;

	send(0, 0);
	good = left(WAN);
	rig_turn(good);
	again = rte_pktmbuf_copy(good, rig_pool, 0, UINT32_MAX);
	bad = rte_pktmbuf_copy(good, rig_pool, 0, UINT32_MAX);
	must(again && bad, "copies");
	start(&cfg);
	*rte_pktmbuf_mtod_offset(bad, uint8_t *, 50) ^= 1;
	rig_frame_in(WAN, 0, bad, false);
	wait_for(1);
	check(tells(&seen[0], "receive|decrypt|dropped", "dropped\tesp_icv: "), "a forged packet");
	rig_frame_in(WAN, 0, good, false);
	wait_for(2);
	check(tells(&seen[1], "receive|decrypt|decrypted|route|sent",
		    "right: 10.1.0.7 > 10.2.0.0 UDP") &&
		      strstr(seen[1].data, "sent\tport lan"),
	      "a good one");
	rig_frame_in(WAN, 1, again, false);
	wait_for(4);
	check(tells(&seen[2], "receive|decrypt|handed over", "another worker's SA") &&
		      tells(&seen[3], "receive|decrypt|dropped", "dropped\treplay_dup: "),
	      "the same again, on another worker's queue");
	dp_watch_stop(rig_dp);
	drain();
}

static void choice(void)
{
	struct dp_watch_cfg cfg = watch(DP_WATCH_TRACE);
	uint32_t one = 1;

	cfg.by_peer = true;
	cfg.policies = &one;
	cfg.n_policies = 1;
	start(&cfg);
	send(0, 0);
	send(1, 1);
	send(0, 1);
	wait_for(1);
	rig_poll_for(0.1);
	check(n_seen == 1 && seen[0].w.policy == 1, "by policy");
	dp_watch_stop(rig_dp);
	drain();

	cfg.n_policies = 0;
	cfg.addr[0] = ip_addr_v4(0x0a020001);
	cfg.n_addrs = 1;
	start(&cfg);
	send(0, 0);
	send(1, 1);
	wait_for(1);
	rig_poll_for(0.1);
	check(n_seen == 1 && strstr(seen[0].data, "10.2.0.1"), "by address");
	check(start_rc(&cfg) == -EBUSY, "one at a time");
	dp_watch_stop(rig_dp);
	drain();

	cfg = watch(DP_WATCH_TRACE);
	cfg.count = 3;
	start(&cfg);
	for (unsigned i = 0; i < 8; i++)
		send(0, 0);
	wait_for(3);
	rig_poll_for(0.1);
	check(n_seen == 3, "no more than were asked for");
	dp_watch_stop(rig_dp);
	send(0, 0);
	rig_poll_for(0.1);
	check(n_seen == 3, "and none after the end");
	drain();
}

static bool is_frame(const struct seen *s, enum dp_watched_kind kind, unsigned port, uint8_t proto)
{
	const uint8_t *eth = (const uint8_t *)s->data;

	return s->w.kind == kind && s->w.port == port && s->w.len == s->w.wire_len &&
	       load_be16(eth + ETH_TYPE) == ETHERTYPE_IP4 && eth[ETH_LEN + IP4_PROTO] == proto;
}

static void captures(void)
{
	struct dp_watch_cfg cfg = watch(DP_WATCH_FRAMES);
	struct rte_mbuf *esp;

	start(&cfg);
	send(0, 0);
	wait_for(2);
	check(n_seen == 2 && is_frame(&seen[0], DP_WATCHED_RECEIVED, LAN, PROTO_UDP) &&
		      is_frame(&seen[1], DP_WATCHED_SENT, WAN, PROTO_ESP),
	      "frames of all ports, as received and as sent");
	dp_watch_stop(rig_dp);
	esp = left(WAN);
	check(seen[1].w.len == rte_pktmbuf_pkt_len(esp) &&
		      memcmp(seen[1].data, rte_pktmbuf_mtod(esp, void *), seen[1].w.len) == 0,
	      "byte for byte");
	rte_pktmbuf_free(esp);

	cfg.port = LAN;
	start(&cfg);
	send(0, 0);
	wait_for(1);
	rig_poll_for(0.1);
	check(n_seen == 1 && seen[0].w.port == LAN, "of one port");
	dp_watch_stop(rig_dp);
	drain();

	cfg = watch(DP_WATCH_SEALED);
	cfg.snap = 60;
	start(&cfg);
	send(0, 0);
	wait_for(1);
	rig_poll_for(0.1);
	check(n_seen == 1 && seen[0].w.port == WAN && seen[0].w.len == 60 &&
		      seen[0].w.wire_len > 100,
	      "only ESP, the first bytes");
	dp_watch_stop(rig_dp);
	esp = left(WAN);
	rig_turn(esp);

	cfg = watch(DP_WATCH_PLAIN);
	start(&cfg);
	rig_frame_in(WAN, 0, esp, false);
	send(0, 0);
	wait_for(2);
	check(n_seen == 2 && seen[0].w.kind != seen[1].w.kind && seen[0].w.len == 100 &&
		      seen[0].data[0] == 0x45 && seen[1].data[0] == 0x45,
	      "inner packets of both directions");
	dp_watch_stop(rig_dp);
	rig_poll_for(0.05);
	drain();
}

/* Control looks away: the copies have no room, the packets go all the same. */
static void too_many(void)
{
	struct dp_watch_cfg cfg = watch(DP_WATCH_TRACE);
	struct rig_totals before = rig_totals(false), t;
	double end = rig_seconds() + 20;
	unsigned sent = 0;

	cfg.count = UINT32_MAX;
	start(&cfg);
	while (sent < 3000 && rig_seconds() < end) {
		if (rte_ring_free_count(rig_rx[LAN][0]) > 8) {
			send(0, 0);
			sent++;
		}
		drain();
	}
	do {
		drain();
		t = rig_totals(false);
	} while (t.esp_out - before.esp_out < sent && rig_seconds() < end);
	check(t.esp_out - before.esp_out == sent, "under a flood all packets go their way");
	check(dp_watch_missed(rig_dp) >= 1000, "and what was missed is counted");
	dp_watch_stop(rig_dp);
	check(dp_watch_missed(rig_dp) >= 1000, "also afterwards");
	rig_poll_for(0.2);
	drain();
	cfg.count = 100;
	start(&cfg);
	send(0, 0);
	wait_for(1);
	check(n_seen == 1, "the next watch starts empty");
	/* it is still on when the data plane stops */
	drain();
}

int main(void)
{
	struct rig_cfg cfg = { .workers = 2 };

	rig_start(&cfg, 3);
	for (uint16_t i = 0; i < 2; i++) {
		struct sa_params p;
		must(dp_sa_reserve(rig_dp, i, &ref[i]) == 0, "a place");
		for (enum sa_dir dir = SA_IN; dir <= SA_OUT; dir++) {
			rig_params(&p, &ref[i], dir, i);
			/* what comes back is what went out: the same way round */
			p.sel.local.lo = p.sel.remote.lo = ip_addr_v4(0x0a000000);
			p.sel.local.hi = p.sel.remote.hi = ip_addr_v4(0x0affffff);
			must(dp_sa_install(rig_dp, &p) == 0, "an SA");
		}
	}
	rig_poll_until_stored(4);
	rig_poll_for(0.05);
	stories_out();
	stories_in();
	choice();
	captures();
	too_many();
	rig_stop();
	return checks_end();
}
