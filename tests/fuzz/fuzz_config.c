/* Any bytes as a configuration file: refused with at least one error, or accepted and then sound. The
 * file may come from a tool that is not ours, and `shrike --check` reads it as root. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void require_sound(const struct config *cfg)
{
	size_t children = 0;

	require(cfg->dp.n_ports >= 1 && cfg->dp.n_ports <= DP_MAX_PORTS);
	require(cfg->dp.n_workers >= 1 && cfg->dp.n_workers <= DP_MAX_WORKERS);
	require((cfg->dp.sa_slots & (cfg->dp.sa_slots - 1)) == 0);
	for (unsigned i = 0; i < cfg->dp.n_routes; i++)
		require(cfg->dp.routes[i].port < cfg->dp.n_ports);
	for (size_t i = 0; i < cfg->n_peers; i++) {
		const struct ike_peer_cfg *peer = &cfg->peers[i];
		require(peer->name[0] && peer->n_ike);
		require(peer->auth == AUTH_PSK ? peer->psk && peer->psk_len :
						 peer->own && peer->trust);
		require(peer->local.family == IP_V4);
		require(2 * peer->margin_s <= peer->life_s);
		children += peer->n_children;
		for (unsigned k = 0; k < peer->n_children; k++) {
			require(peer->children[k].n_esp > 0);
			require(peer->children[k].policy < SPD_MAX_POLICIES);
		}
	}
	require(children <= cfg->n_policies);
	for (size_t i = 0; i < cfg->n_policies; i++) {
		require(cfg->policies[i].id < SPD_MAX_POLICIES);
		require(cfg->policies[i].sel.local.lo.family == IP_V4);
	}
}

/* The secret "a.psk", so that peers can be accepted: made once, removed at the end. */
static char dir[] = "/tmp/shrike-fuzz-XXXXXX", secret[64], file[64];

static void secret_remove(void)
{
	unlink(secret);
	rmdir(dir);
}

static void secret_make(void)
{
	require(mkdtemp(dir) != NULL);
	snprintf(secret, sizeof(secret), "%s/a.psk", dir);
	snprintf(file, sizeof(file), "%s/fuzz.yaml", dir);
	int fd = open(secret, O_WRONLY | O_CREAT, 0600);
	require(fd >= 0 && write(fd, "a secret of some length\n", 24) == 24);
	close(fd);
	atexit(secret_remove);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct config_report report = { 0 };
	struct config *cfg = NULL, *again = NULL;

	if (!file[0])
		secret_make();
	if (config_parse(file, data, len, NULL, &cfg, &report) == 0) {
		require(report.errors == 0);
		require_sound(cfg);
		/* a reload of the same text keeps every policy's id */
		require(config_parse(file, data, len, cfg, &again, &report) == 0);
		require(cfg->n_policies == again->n_policies);
		for (size_t i = 0; i < cfg->n_policies; i++)
			require(cfg->policies[i].id == again->policies[i].id);
		config_free(again);
		config_free(cfg);
	} else {
		require(report.errors > 0);
	}
	config_report_free(&report);
	return 0;
}
