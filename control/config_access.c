/* XAuth and Mode Config of a peer: users, pools and what goes with an address. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_check.h"
#include "config_value.h"
#include "secret.h"
#include "users.h"

/* ------------------------------------------------------------------------------ XAuth ------- */

static void check_users(struct check *c, struct where w, const struct raw_peer *raw,
			struct ike_remote_cfg *access)
{
	char path[2 * CONFIG_PATH_MAX], service[64] = "";

	if (!raw->users == !raw->pam) {
		check_error(c, where_key(w, "xauth"),
			    "'xauth: server' needs either 'users', a file, or 'pam', a service");
		return;
	}
	if (raw->users && check_path(c, where_key(w, "users"), raw->users, path, sizeof(path)))
		access->users = check_users_file(c, where_key(w, "users"), path);
	if (raw->pam && check_name(c, where_key(w, "pam"), raw->pam, service, sizeof(service))) {
		access->users = users_pam(service);
		if (!access->users)
			abort();
	}
}

static void check_own_user(struct check *c, struct where w, const struct raw_peer *raw,
			   struct ike_remote_cfg *access)
{
	char path[2 * CONFIG_PATH_MAX], *password = NULL;
	struct where at = where_key(w, "xauth-password-file");

	if (!raw->xauth_user || !raw->xauth_password_file) {
		check_error(c, where_key(w, "xauth"),
			    "'xauth: client' needs 'xauth-user' and 'xauth-password-file'");
		return;
	}
	check_text(c, where_key(w, "xauth-user"), raw->xauth_user, access->user,
		   sizeof(access->user));
	if (access->user[0] == '\0')
		check_error(c, where_key(w, "xauth-user"), "the user has no name");
	if (check_path(c, at, raw->xauth_password_file, path, sizeof(path)))
		password = check_passphrase(c, at, path);
	if (password && strlen(password) >= sizeof(access->password))
		check_error(c, at, "the password is longer than %zu bytes",
			    sizeof(access->password) - 1);
	else if (password)
		strcpy(access->password, password);
	secret_free(password, PASSPHRASE_CAP);
}

static void check_xauth(struct check *c, struct where w, const struct raw_peer *raw,
			const struct ike_peer_cfg *peer, struct ike_remote_cfg *access)
{
	static const char *const words[] = { "no", "server", "client" };
	const char *stray;
	unsigned role = 0;

	check_word(c, where_key(w, "xauth"), raw->xauth, words, 3, &role);
	access->xauth = role == 1 ? XAUTH_SERVER : role == 2 ? XAUTH_CLIENT : XAUTH_NONE;
	if (role == 1)
		check_users(c, w, raw, access);
	if (role == 2)
		check_own_user(c, w, raw, access);
	stray = role != 1 && raw->users                 ? "users"
		: role != 1 && raw->pam                 ? "pam"
		: role != 2 && raw->xauth_user          ? "xauth-user"
		: role != 2 && raw->xauth_password_file ? "xauth-password-file"
							: NULL;
	if (stray)
		check_error(c, where_key(w, stray), "'%s' needs 'xauth: %s'", stray,
			    stray[0] == 'x' ? "client" : "server");
	if (role && peer->auth == AUTH_PSK)
		check_warn(
			c, where_key(w, "xauth"),
			"with a pre-shared key, whoever of the clients knows it can pretend to be "
			"the server, and is told the passwords of others: 'auth: hybrid' or 'rsa' "
			"do "
			"better");
	if (role && peer->auth >= AUTH_ECDSA_256 && peer->auth <= AUTH_ECDSA_521)
		check_error(c, where_key(w, "xauth"),
			    "IKEv1 has no number for ECDSA with XAuth; use auth: psk or rsa");
}

/* ------------------------------------------------------------------------ Mode Config ------- */

static bool is_v4(const struct ip_addr *a)
{
	return a->family == IP_V4;
}

static void check_pool(struct check *c, struct where w, const char *text,
		       struct ike_remote_cfg *access)
{
	struct ip_prefix p;
	struct ip_range *r = &access->pool;

	w = where_key(w, "pool");
	if (!text || !check_range(c, w, text, r))
		return;
	if (!is_v4(&r->lo)) {
		check_error(c, w, "Mode Config gives out IPv4 addresses, not %s", text);
		return;
	}
	/* of a network, what hosts may have */
	if (ip_range_to_prefix(r, &p) && p.len <= 30) {
		r->lo = ip_addr_v4(ip_addr_to_v4(&r->lo) + 1);
		r->hi = ip_addr_v4(ip_addr_to_v4(&r->hi) - 1);
	}
	if (ip_addr_to_v4(&r->hi) - ip_addr_to_v4(&r->lo) >= IKE_POOL_MAX) {
		check_error(c, w, "a pool has at most %d addresses", IKE_POOL_MAX);
		return;
	}
	for (unsigned i = 0; i < c->cfg->dp.n_ports; i++)
		for (unsigned k = 0; k < c->cfg->dp.ports[i].n_addrs; k++) {
			struct ip_prefix net = c->cfg->dp.ports[i].addrs[k];
			struct ip_range one = { net.addr, net.addr };
			if (ip_range_contains(r, &one))
				check_error(c, w, "%s has an address of our own, of port %s", text,
					    c->cfg->dp.ports[i].name);
		}
	access->has_pool = true;
}

static unsigned check_servers(struct check *c, struct where w, const char *key, char *const *texts,
			      unsigned n, struct ip_addr *out)
{
	unsigned used = 0;

	for (unsigned i = 0; i < n; i++) {
		struct where at = where_item(w, key, i);
		if (used == IKE_SERVERS) {
			check_error(c, at, "at most %d addresses", IKE_SERVERS);
			break;
		}
		if (!check_addr(c, at, texts[i], &out[used]))
			continue;
		if (!is_v4(&out[used]))
			check_error(c, at, "Mode Config tells IPv4 addresses, not %s", texts[i]);
		used++;
	}
	return used;
}

static unsigned check_networks(struct check *c, struct where w, const char *key, char *const *texts,
			       unsigned n, struct ip_prefix *out)
{
	unsigned used = 0;

	for (unsigned i = 0; i < n; i++) {
		struct where at = where_item(w, key, i);
		if (used == IKE_NETWORKS) {
			check_error(c, at, "at most %d networks", IKE_NETWORKS);
			break;
		}
		if (!check_prefix(c, at, texts[i], &out[used]))
			continue;
		if (!is_v4(&out[used].addr))
			check_error(c, at, "Mode Config tells IPv4 networks, not %s", texts[i]);
		used++;
	}
	return used;
}

static void check_split_dns(struct check *c, struct where w, const struct raw_peer *raw,
			    struct ike_settings *s)
{
	size_t len = 0;

	for (unsigned i = 0; i < raw->split_dns_count; i++) {
		const char *name = raw->split_dns[i];
		if (!value_is_name(name, IKE_DOMAIN_LEN - 1) ||
		    len + strlen(name) + 2 > sizeof(s->split_dns)) {
			check_error(c, where_item(w, "split-dns", i),
				    "'%s' is not a domain's name, or there are too many", name);
			return;
		}
		len += (size_t)snprintf(s->split_dns + len, sizeof(s->split_dns) - len, "%s%s",
					i ? "," : "", name);
	}
}

/* The networks that the children with the pool have on our side, unless one of them is everything.
 */
static void default_split(const struct raw_peer *raw, struct ike_settings *s)
{
	for (unsigned i = 0; i < raw->children_count; i++) {
		const struct raw_child *rc = &raw->children[i];
		bool pooled = false;
		for (unsigned k = 0; k < rc->remote_count; k++)
			pooled |= strcmp(rc->remote[k], "pool") == 0;
		for (unsigned k = 0; pooled && k < rc->local_count; k++) {
			struct ip_prefix p;
			struct ip_range r;
			if (ip_range_parse(rc->local[k], &r) != 0 || !is_v4(&r.lo) ||
			    !ip_range_to_prefix(&r, &p) || p.len == 0) {
				s->n_split = 0;
				return;
			}
			if (s->n_split < IKE_NETWORKS)
				s->split[s->n_split++] = p;
		}
	}
}

static void check_settings(struct check *c, struct where w, const struct raw_peer *raw,
			   struct ike_settings *s)
{
	s->n_dns = check_servers(c, w, "dns", raw->dns, raw->dns_count, s->dns);
	s->n_nbns = check_servers(c, w, "nbns", raw->nbns, raw->nbns_count, s->nbns);
	s->n_split = check_networks(c, w, "split", raw->split, raw->split_count, s->split);
	s->n_local_lan = check_networks(c, w, "local-lan", raw->local_lan, raw->local_lan_count,
					s->local_lan);
	if (raw->split_count == 0)
		default_split(raw, s);
	check_name(c, where_key(w, "domain"), raw->domain, s->domain, sizeof(s->domain));
	check_split_dns(c, w, raw, s);
	check_text(c, where_key(w, "banner"), raw->banner, s->banner, sizeof(s->banner));
	check_bool(c, where_key(w, "save-password"), raw->save_password, &s->save_password);
}

static const char *given(const struct raw_peer *raw)
{
	return raw->dns_count         ? "dns"
	       : raw->nbns_count      ? "nbns"
	       : raw->split_count     ? "split"
	       : raw->local_lan_count ? "local-lan"
	       : raw->domain          ? "domain"
	       : raw->split_dns_count ? "split-dns"
	       : raw->banner          ? "banner"
	       : raw->save_password   ? "save-password"
				      : NULL;
}

static void check_mode_config(struct check *c, struct where w, const struct raw_peer *raw,
			      struct ike_remote_cfg *access)
{
	static const char *const words[] = { "no", "pull", "push" };
	unsigned mode = raw->pool ? 1 : 0;

	check_word(c, where_key(w, "mode-config"), raw->mode_config, words, 3, &mode);
	access->config = mode != 0;
	access->push = mode == 2;
	check_pool(c, w, raw->pool, access);
	if (raw->pool && mode == 0)
		check_error(c, where_key(w, "mode-config"), "a pool is of no use with 'no'");
	if (raw->pool && access->xauth == XAUTH_CLIENT)
		check_error(c, where_key(w, "pool"),
			    "the client of XAuth gets an address, and has no "
			    "pool");
	if (given(raw) && !raw->pool)
		check_error(c, where_key(w, given(raw)),
			    "'%s' is told with an address, which needs a 'pool'", given(raw));
	check_settings(c, w, raw, &access->give);
}

void check_access(struct check *c, struct where w, const struct raw_peer *raw,
		  struct ike_peer_cfg *peer)
{
	if (!raw->xauth && !raw->mode_config && !raw->pool && !raw->users && !raw->pam &&
	    !raw->xauth_user && !raw->xauth_password_file && !given(raw))
		return;
	peer->access = secret_alloc(sizeof(*peer->access));
	if (!peer->access)
		abort();
	check_xauth(c, w, raw, peer, peer->access);
	check_mode_config(c, w, raw, peer->access);
	if (peer->access->xauth == XAUTH_NONE && !peer->access->config)
		check_access_free(peer);
}

void check_access_free(struct ike_peer_cfg *peer)
{
	if (!peer->access)
		return;
	ike_users_free(peer->access->users);
	secret_free(peer->access, sizeof(*peer->access));
	peer->access = NULL;
}

/* A packet to an address of two pools would have two ways. */
void check_pools(struct check *c)
{
	const struct config *cfg = c->cfg;

	for (size_t i = 0; i < cfg->n_peers; i++) {
		const struct ike_remote_cfg *a = cfg->peers[i].access;
		for (size_t k = 0; a && a->has_pool && k < i; k++) {
			const struct ike_remote_cfg *b = cfg->peers[k].access;
			if (!b || !b->has_pool || ip_addr_cmp(&a->pool.hi, &b->pool.lo) < 0 ||
			    ip_addr_cmp(&b->pool.hi, &a->pool.lo) < 0)
				continue;
			check_error(c, where_key(where_at("peers[%zu]", i), "pool"),
				    "peer '%s' has some of these addresses in its pool, too",
				    cfg->peers[k].name);
		}
	}
}
