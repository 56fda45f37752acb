/* SA pairs from the engine into the data plane, and its events back. */
#include "daemon.h"

int sa_sink_reserve(void *ctx, uint32_t policy, unsigned pair, struct sa_ref *out)
{
	struct daemon *d = ctx;
	unsigned pairs = policy < SPD_MAX_POLICIES ? d->policy_pairs[policy] : 1;

	/* parallel pairs are there to use several lcores: one each; a single one goes where the
	 * fewest are */
	uint16_t owner = pairs > 1 ? (uint16_t)(pair % dp_worker_count(d->dp)) : UINT16_MAX;
	return dp_sa_reserve(d->dp, owner, out);
}

void sa_sink_release(void *ctx, const struct sa_ref *ref)
{
	struct daemon *d = ctx;

	dp_sa_release(d->dp, ref);
}

int sa_sink_install(void *ctx, const struct sa_params *p)
{
	struct daemon *d = ctx;

	key_export_sa(d->keys, p);
	return dp_sa_install(d->dp, p);
}

void sa_sink_remove(void *ctx, const struct sa_ref *ref, enum sa_dir dir)
{
	struct daemon *d = ctx;

	dp_sa_remove(d->dp, ref, dir);
}

bool sa_sink_stats(void *ctx, const struct sa_ref *ref, enum sa_dir dir, struct sa_stats *out)
{
	struct daemon *d = ctx;

	return dp_sa_stats(d->dp, ref, dir, out);
}

void sa_on_stored(void *ctx, const struct sa_ref *ref, enum sa_dir dir)
{
	struct daemon *d = ctx;

	if (d->ike)
		ike_sa_installed(d->ike, ref, dir);
}

void sa_on_limit(void *ctx, const struct sa_ref *ref, enum sa_dir dir, bool hard)
{
	struct daemon *d = ctx;

	if (d->ike)
		ike_sa_limit(d->ike, ref, dir, hard);
}

void sa_on_peer_moved(void *ctx, const struct sa_ref *ref, const struct ip_addr *remote,
		      uint16_t port)
{
	struct daemon *d = ctx;

	if (d->ike)
		ike_peer_moved(d->ike, ref, remote, port);
}

void sa_on_acquire(void *ctx, uint32_t policy)
{
	struct daemon *d = ctx;

	if (d->ike)
		ike_acquire(d->ike, policy);
}

void sa_on_bad_spi(void *ctx, const struct ip_addr *remote, uint32_t spi)
{
	struct daemon *d = ctx;

	if (d->ike)
		ike_bad_spi(d->ike, remote, spi);
}
