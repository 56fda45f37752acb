/* Peers: which of them a path means, who both sides say they are, and how they prove it. */
#include "engine.h"

bool peer_accepts(const struct peer *p, const struct ike_path *path)
{
	return (p->cfg.local.family == IP_NONE || ip_addr_equal(&p->cfg.local, &path->local)) &&
	       (p->cfg.remote.family == IP_NONE || ip_addr_equal(&p->cfg.remote, &path->remote));
}

bool peer_is_open(const struct peer *p)
{
	return p->cfg.remote.family == IP_NONE && !p->cfg.remote_id.type;
}

uint8_t peer_phase1(const struct peer *p)
{
	return p->cfg.aggressive ? EXCH_AGGRESSIVE : EXCH_IDENTITY_PROTECTION;
}

/* The first that is up, or else the first, of those to one address. */
static struct peer *first_at(struct ike *ike, const struct ip_addr *remote,
			     const struct ike_path *path, uint8_t phase1)
{
	struct peer *p = NULL, *best = NULL;

	while ((p = peer_next_at(ike, remote, p))) {
		if (!peer_accepts(p, path) || (phase1 && phase1 != peer_phase1(p)))
			continue;
		if (!p->down)
			return p;
		if (!best)
			best = p;
	}
	return best;
}

struct peer *peer_by_path(struct ike *ike, const struct ike_path *path, uint8_t phase1)
{
	static const struct ip_addr any = { .family = IP_NONE };
	struct peer *p = first_at(ike, &path->remote, path, phase1);

	return p ? p : first_at(ike, &any, path, phase1);
}

struct ike_id peer_local_id(const struct peer *p, const struct ike_path *path)
{
	return p->cfg.local_id.type ? p->cfg.local_id : ike_id_from_addr(&path->local);
}

struct ike_id peer_remote_id(const struct peer *p, const struct ike_path *path)
{
	if (p->cfg.remote_id.type)
		return p->cfg.remote_id;
	/* behind a NAT the address on the wire is not the peer's own: the configured one counts */
	return ike_id_from_addr(p->cfg.remote.family != IP_NONE ? &p->cfg.remote : &path->remote);
}

static bool xauth_client(const struct peer *p)
{
	return p->cfg.access && p->cfg.access->xauth == XAUTH_CLIENT;
}

bool peer_has_credentials(const struct peer *p)
{
	if (p->cfg.auth == AUTH_PSK)
		return p->cfg.psk != NULL;
	if (p->cfg.auth == AUTH_KERBEROS)
		return p->cfg.kerberos != NULL;
	if (p->cfg.auth == AUTH_HYBRID_INIT_RSA)
		return xauth_client(p) ? p->cfg.trust != NULL : p->cfg.own != NULL;
	return p->cfg.own && p->cfg.trust;
}

bool auth_is_psk(uint16_t auth)
{
	return auth == AUTH_PSK || auth == AUTH_XAUTH_INIT_PSK || auth == AUTH_XAUTH_RESP_PSK;
}

bool auth_signs(uint16_t auth, bool initiator)
{
	if (auth == AUTH_HYBRID_INIT_RSA || auth == AUTH_HYBRID_RESP_RSA)
		return initiator == (auth == AUTH_HYBRID_RESP_RSA);
	return !auth_is_psk(auth) && auth != AUTH_KERBEROS;
}

uint16_t auth_signature(uint16_t auth)
{
	switch (auth) {
	case AUTH_XAUTH_INIT_RSA:
	case AUTH_XAUTH_RESP_RSA:
	case AUTH_HYBRID_INIT_RSA:
	case AUTH_HYBRID_RESP_RSA:
		return AUTH_RSA_SIG;
	default:
		return auth;
	}
}

uint16_t peer_auth(const struct peer *p, bool initiator)
{
	bool asked = xauth_client(p) == initiator; /* the initiator of phase 1 is */

	if (!p->cfg.access || p->cfg.access->xauth == XAUTH_NONE)
		return p->cfg.auth;
	switch (p->cfg.auth) {
	case AUTH_PSK:
		return asked ? AUTH_XAUTH_INIT_PSK : AUTH_XAUTH_RESP_PSK;
	case AUTH_RSA_SIG:
		return asked ? AUTH_XAUTH_INIT_RSA : AUTH_XAUTH_RESP_RSA;
	case AUTH_HYBRID_INIT_RSA:
		return asked ? AUTH_HYBRID_INIT_RSA : AUTH_HYBRID_RESP_RSA;
	default:
		return p->cfg.auth;
	}
}

bool peer_may_initiate(const struct peer *p)
{
	return !p->dead && p->cfg.initiate && p->cfg.remote.family != IP_NONE &&
	       p->cfg.local.family != IP_NONE && p->cfg.n_ike > 0 && peer_has_credentials(p);
}
