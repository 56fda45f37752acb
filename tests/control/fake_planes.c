#include <errno.h>
#include "fake_planes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fake fake = { .child_established = true };

static struct ike_child_cfg fake_children[] = {
	{ .name = "net", .policy = 1, .pairs = 1 },
	{ .name = "voice", .policy = 2, .pairs = 1 },
};

struct ike_peer_cfg fake_peer = {
	.name = "gw-b", .initiate = true, .children = fake_children, .n_children = 2,
};

/* --------------------------------------------------------------------- the data plane ------- */

unsigned dp_port_count(const struct dp *dp)
{
	(void)dp;
	return 1;
}

void dp_port_stats(struct dp *dp, unsigned port, struct dp_port_stats *out)
{
	(void)dp;
	(void)port;
	*out = (struct dp_port_stats){ .name = "wan",
				       .mac = { 2, 0, 0, 0, 0, 0xab },
				       .link_up = true,
				       .mtu = 1500,
				       .rx_packets = 10,
				       .tx_bytes = UINT64_C(5000000000) };
}

unsigned dp_worker_count(const struct dp *dp)
{
	(void)dp;
	return 2;
}

void dp_lcore_stats(struct dp *dp, unsigned worker, struct dp_lcore_stats *out)
{
	(void)dp;
	*out = (struct dp_lcore_stats){ .worker = worker,
					.cpu = worker + 1,
					.esp_in_packets = 100 + worker,
					.esp_out_bytes = 7000,
					.busy = 0.25,
					.sa_in = 1 };
}

unsigned dp_drop_count(void)
{
	return 2;
}

const char *dp_drop_name(unsigned reason)
{
	return reason == 0 ? "esp_icv" : "replay_old";
}

uint64_t dp_drop_value(struct dp *dp, unsigned worker, unsigned reason)
{
	(void)dp;
	return reason == 1 ? 3 + worker : 0;
}

uint64_t dp_pool_bytes(const struct dp *dp)
{
	(void)dp;
	return 1 << 20;
}

const char *dp_versions(const struct dp *dp)
{
	(void)dp;
	return "paper 1.0";
}

bool dp_sa_stats(struct dp *dp, const struct sa_ref *ref, enum sa_dir dir, struct sa_stats *out)
{
	(void)dp;
	(void)ref;
	*out = (struct sa_stats){ .packets = dir == SA_IN ? 11 : 22,
				  .bytes = dir == SA_IN ? 1100 : 2200,
				  .replay_drops = dir == SA_IN ? 2 : 0,
				  .late_drops = dir == SA_IN ? 1 : 0,
				  .dup_drops = dir == SA_IN ? 1 : 0,
				  .icv_drops = dir == SA_IN ? 1 : 0 };
	return true;
}

int dp_telemetry_register(const char *command, const char *help, char *(*fn)(void))
{
	(void)command;
	(void)help;
	(void)fn;
	return 0;
}

int dp_watch_start(struct dp *dp, const struct dp_watch_cfg *cfg, char *why, size_t why_size)
{
	(void)dp;
	snprintf(why, why_size, "it is busy");
	if (fake.watch_rc)
		return fake.watch_rc;
	fake.watching = true;
	fake.watch = *cfg;
	for (size_t i = 0; i < cfg->n_policies && i < 4; i++)
		fake.watch_policies[i] = cfg->policies[i];
	return 0;
}

void dp_watch_stop(struct dp *dp)
{
	(void)dp;
	fake.watching = false;
}

uint64_t dp_watch_missed(const struct dp *dp)
{
	(void)dp;
	return 7;
}

/* ----------------------------------------------------------------------------- the engine --- */

void ike_sa_foreach(struct ike *ike, void (*fn)(void *ctx, const struct ike_sa_info *i), void *ctx)
{
	struct ike_sa_info i = {
		.peer = "gw-b",
		.state = IKE_SA_ESTABLISHED,
		.initiator = true,
		.icookie = { 1, 2, 3, 4, 5, 6, 7, 8 },
		.rcookie = { 0xff },
		.path = { .local = ip_addr_v4(0x0a090001),
			  .remote = ip_addr_v4(0x0a090002),
			  .local_port = 4500,
			  .remote_port = 4500 },
		.nat_remote = true,
		.local_id = { .type = 2, .len = 3, .data = "gwa" },
		.t = { ENCR_AES_CBC, 256, HASH_SHA256, 14 },
		.age_us = 90 * 1000000ull,
		.life_left_us = 3600 * 1000000ull,
		.negotiation_us = 12500,
		.quick_modes = 3,
		.user = "",
	};

	(void)ike;
	fn(ctx, &i);
}

static struct ike_child_info child_info(const char *name)
{
	return (struct ike_child_info){
		.peer = "gw-b",
		.child = name,
		.established = true,
		.current = true,
		.ref = { .spi = 0xc0ffee01, .slot = 1, .owner = 1 },
		.spi_out = 0x0badcafe,
		.t = { .encr = ENCR_AES_GCM_16, .key_bits = 128, .group = 14 },
		.mode = SA_TUNNEL,
		.sel = { .local = { ip_addr_v4(0x0a010000), ip_addr_v4(0x0a0100ff) },
			 .remote = { ip_addr_v4(0x0a020000), ip_addr_v4(0x0a0200ff) } },
		.age_us = 5000000,
		.life_left_us = 60000000,
	};
}

void ike_child_foreach(struct ike *ike, void (*fn)(void *ctx, const struct ike_child_info *i),
		       void *ctx)
{
	struct ike_child_info i = child_info("net");

	(void)ike;
	if (fake.child_established)
		fn(ctx, &i);
	for (unsigned k = 0; k < fake.extra_children; k++) {
		i = child_info("voice");
		fn(ctx, &i);
	}
}

void ike_peer_foreach(struct ike *ike,
		      void (*fn)(void *ctx, const struct ike_peer_cfg *cfg, const char *last_error),
		      void *ctx)
{
	(void)ike;
	fn(ctx, &fake_peer, fake.last_error);
}

void ike_lease_foreach(struct ike *ike, void (*fn)(void *ctx, const struct ike_lease *l), void *ctx)
{
	(void)ike;
	(void)fn;
	(void)ctx;
}

int ike_lease_restore(struct ike *ike, const char *peer, const char *user,
		      const struct ip_addr *address, int64_t last_s)
{
	(void)ike;
	(void)peer;
	(void)user;
	(void)address;
	(void)last_s;
	return -ENOENT;
}

bool ike_pool_info(struct ike *ike, const char *peer, struct ike_pool_info *out)
{
	(void)ike;
	(void)peer;
	(void)out;
	return false;
}

const struct ike_settings *ike_assigned(struct ike *ike, const char *peer)
{
	(void)ike;
	(void)peer;
	return NULL;
}

bool ike_peer_visit(struct ike *ike, const char *name, const struct ike_visitor *v)
{
	if (strcmp(name, fake_peer.name) != 0)
		return false;
	if (v->sa)
		ike_sa_foreach(ike, v->sa, v->ctx);
	if (v->child)
		ike_child_foreach(ike, v->child, v->ctx);
	if (v->peer)
		ike_peer_foreach(ike, v->peer, v->ctx);
	return true;
}

/* One peer; then none. */
struct ike_walk *ike_walk_new(struct ike *ike)
{
	(void)ike;
	return calloc(1, 1);
}

bool ike_walk_step(struct ike_walk *walk, const struct ike_visitor *v)
{
	char *done = (char *)walk;

	return !(*done)++ && ike_peer_visit(NULL, fake_peer.name, v);
}

void ike_walk_free(struct ike_walk *walk)
{
	free(walk);
}

void ike_totals(struct ike *ike, struct ike_totals *out)
{
	(void)ike;
	*out = (struct ike_totals){
		.phase1 = { .count = 4,
			    .failed = 1,
			    .total_us = 40000,
			    .min_us = 5000,
			    .max_us = 20000,
			    .last_us = 6000 },
		.messages_in = 9,
		.rekeys_phase2 = 7,
	};
}

size_t ike_objects(const struct ike *ike)
{
	(void)ike;
	return 4711;
}

static int asked(const char *name, int rc)
{
	snprintf(fake.asked, sizeof(fake.asked), "%s", name);
	return rc;
}

int ike_up(struct ike *ike, const char *name)
{
	(void)ike;
	return asked(name, fake.up_rc);
}

int ike_down(struct ike *ike, const char *name)
{
	(void)ike;
	return asked(name, fake.down_rc);
}

int ike_rekey(struct ike *ike, const char *name)
{
	(void)ike;
	return asked(name, fake.rekey_rc);
}
