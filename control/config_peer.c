/* Peers and their children. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_check.h"
#include "config_value.h"
#include "secret.h"

/* The next of the texts that commas separate in *list; false at the end. Blanks around are cut. */
static bool next_item(const char **list, char *out, size_t size)
{
	const char *p = *list + strspn(*list, " ,");
	size_t len = strcspn(p, ",");

	if (*p == '\0')
		return false;
	*list = p + len;
	while (len > 0 && p[len - 1] == ' ')
		len--;
	snprintf(out, size, "%.*s", (int)(len < size ? len : size - 1), p);
	return true;
}

static void check_ike_proposals(struct check *c, struct where w, const struct raw_peer *raw,
				struct ike_peer_cfg *peer)
{
	char one[256], text[TRANSFORM_STR_LEN], why[256];

	for (unsigned i = 0; i < raw->proposals_count; i++) {
		const char *list = raw->proposals[i];
		struct where item = where_item(w, "proposals", i);
		while (next_item(&list, one, sizeof(one))) {
			size_t n = peer->n_ike;
			if (ike_proposal_parse(one, peer->ike, IKE_CFG_TRANSFORMS, &n, why,
					       sizeof(why)) != 0)
				check_error(c, item, "%s", why);
			for (size_t k = peer->n_ike; k < n; k++)
				if (ike_transform_weak(&peer->ike[k], why, sizeof(why)))
					check_warn(c, item, "%s is weak: %s",
						   ike_transform_str(&peer->ike[k], text,
								     sizeof(text)),
						   why);
			peer->n_ike = (unsigned)n;
		}
	}
}

static void check_esp_proposals(struct check *c, struct where w, const struct raw_child *raw,
				struct ike_child_cfg *child)
{
	char one[256], text[TRANSFORM_STR_LEN], why[256];

	for (unsigned i = 0; i < raw->proposals_count; i++) {
		const char *list = raw->proposals[i];
		struct where item = where_item(w, "proposals", i);
		while (next_item(&list, one, sizeof(one))) {
			size_t n = child->n_esp;
			if (esp_proposal_parse(one, child->esp, IKE_CFG_TRANSFORMS, &n, why,
					       sizeof(why)) != 0)
				check_error(c, item, "%s", why);
			for (size_t k = child->n_esp; k < n; k++)
				if (esp_transform_weak(&child->esp[k], why, sizeof(why)))
					check_warn(c, item, "%s is weak: %s",
						   esp_transform_str(&child->esp[k], text,
								     sizeof(text)),
						   why);
			child->n_esp = (unsigned)n;
		}
	}
	/* RFC 2409 section 5.5: the KE payload goes before the answer, so one group for all */
	for (unsigned i = 1; i < child->n_esp; i++) {
		if (child->esp[i].group == child->esp[0].group)
			continue;
		check_error(c, where_key(w, "proposals"),
			    "all proposals of a child need the same PFS group (or none): Quick Mode "
			    "sends one public value before the peer has chosen");
		break;
	}
}

static void check_child_options(struct check *c, struct where w, const struct raw_child *raw,
				const struct ike_peer_cfg *peer, struct ike_child_cfg *child)
{
	static const char *const modes[] = { "tunnel", "transport" };
	static const char *const starts[] = { "passive", "immediate", "on-demand" };
	static const char *const df_words[] = { "copy", "set", "clear" };
	unsigned mode = 0, start = peer->initiate ? START_ON_DEMAND : START_PASSIVE, df = DF_COPY;
	uint64_t window = 1024, dscp = 0;

	check_word(c, where_key(w, "mode"), raw->mode, modes, 2, &mode);
	child->mode = mode == 0 ? SA_TUNNEL : SA_TRANSPORT;
	check_word(c, where_key(w, "start"), raw->start, starts, 3, &start);
	child->start = (enum child_start)start;
	if (child->start != START_PASSIVE && !peer->initiate)
		check_error(c, where_key(w, "start"),
			    "a peer with 'remote: any' cannot be called, so its children are passive");
	check_word(c, where_key(w, "df"), raw->df, df_words, 3, &df);
	child->df = (enum df_policy)df;
	check_bool(c, where_key(w, "copy-dscp"), raw->copy_dscp, &child->copy_dscp);
	check_number(c, where_key(w, "dscp"), raw->dscp, 0, 63, &dscp);
	child->dscp = (uint8_t)dscp;
	if (raw->dscp && child->copy_dscp)
		check_error(c, where_key(w, "dscp"),
			    "dscp gives outer packets one value, copy-dscp each its own: choose one");
	if (check_number(c, where_key(w, "replay-window"), raw->replay_window, 64, 4096, &window) &&
	    (window & (window - 1)) != 0)
		check_error(c, where_key(w, "replay-window"),
			    "replay-window must be a power of two");
	child->replay_window = (uint32_t)window;
	check_clamp_mss(c, where_key(w, "clamp-mss"), raw->clamp_mss, &child->clamp_mss);
	check_child_pairs_number(c, w, raw, child);
	check_child_life(c, w, raw, peer, child);
}

static void check_child_selector(struct check *c, struct where w, const struct raw_child *raw,
				 struct selector *sel)
{
	uint64_t local_port = 0, remote_port = 0;

	if (raw->protocol && value_protocol(raw->protocol, &sel->proto) != 0)
		check_error(c, where_key(w, "protocol"), "'%s' is not an IP protocol",
			    raw->protocol);
	check_number(c, where_key(w, "local-port"), raw->local_port, 0, 65535, &local_port);
	check_number(c, where_key(w, "remote-port"), raw->remote_port, 0, 65535, &remote_port);
	if ((local_port || remote_port) && sel->proto != 6 && sel->proto != 17 && sel->proto != 132)
		check_error(c, where_key(w, local_port ? "local-port" : "remote-port"),
			    "ports need 'protocol: tcp', 'udp' or 'sctp'");
	sel->local_port = (uint16_t)local_port;
	sel->remote_port = (uint16_t)remote_port;
}

/* Transport mode carries the gateways' own packets only (RFC 4301 section 4.1). */
static void check_transport(struct check *c, struct where w, const struct ike_peer_cfg *peer,
			    const struct ike_child_cfg *child)
{
	struct ip_range local = { .lo = peer->local, .hi = peer->local };
	struct ip_range remote = { .lo = peer->remote, .hi = peer->remote };

	if (child->mode != SA_TRANSPORT)
		return;
	if (!ip_range_equal(&child->sel.local, &local) ||
	    (peer->remote.family != IP_NONE && !ip_range_equal(&child->sel.remote, &remote)))
		check_error(c, where_key(w, "mode"),
			    "transport mode protects only packets between the gateways themselves: "
			    "local and remote must be the peer's addresses");
}

static void check_children(struct check *c, unsigned peer_index, const struct raw_peer *raw,
			   struct ike_peer_cfg *peer)
{
	bool short_sha256 = false;
	size_t cap = 0;

	check_bool(c, where_key(where_at("peers[%u]", peer_index), "sha256-96"), raw->sha256_96,
		   &short_sha256);
	for (unsigned i = 0; i < raw->children_count; i++)
		cap += (size_t)raw->children[i].local_count *
		       check_remote_networks(&raw->children[i], peer);
	if (cap > SPD_MAX_POLICIES) {
		check_error(c, where_key(where_at("peers[%u]", peer_index), "children"),
			    "more than %d pairs of networks", SPD_MAX_POLICIES);
		return;
	}
	peer->children = calloc(cap + 1, sizeof(*peer->children));
	if (!peer->children)
		abort();
	for (unsigned i = 0; i < raw->children_count; i++) {
		const struct raw_child *rc = &raw->children[i];
		struct where w = where_at("peers[%u].children[%u]", peer_index, i);
		struct ike_child_cfg child = { 0 };
		unsigned first = peer->n_children;

		check_name(c, where_key(w, "name"), rc->name, child.name, sizeof(child.name) - 8);
		memcpy(child.list, child.name, sizeof(child.list));
		check_esp_proposals(c, w, rc, &child);
		check_child_sha256(c, w, short_sha256, &child);
		check_child_esn(c, w, rc, &child);
		check_child_ah(c, w, peer, &child);
		check_child_options(c, w, rc, peer, &child);
		check_child_selector(c, w, rc, &child.sel);
		check_child_networks(c, w, rc, peer, &child);
		for (unsigned k = first; k < peer->n_children; k++)
			check_transport(c, w, peer, &peer->children[k]);
		c->cfg->n_children++;
	}
}

/* Two names may be equal as they stand, or because a list of networks made "net-2". */
static void check_child_names(struct check *c, unsigned peer_index, const struct raw_peer *raw,
			      const struct ike_peer_cfg *peer)
{
	const char **names = calloc(raw->children_count + 1, sizeof(*names));
	char list[32];

	if (!names)
		abort();
	snprintf(list, sizeof(list), "peers[%u].children", peer_index);
	for (unsigned i = 0; i < raw->children_count; i++)
		names[i] = raw->children[i].name;
	unsigned before = c->report->errors;
	check_unique(c, list, names, raw->children_count);
	free(names);
	if (c->report->errors != before || peer->n_children == raw->children_count)
		return;
	for (unsigned i = 0; i < raw->children_count; i++) {
		unsigned same = 0;
		for (unsigned k = 0; k < peer->n_children; k++)
			same += strcmp(peer->children[k].name, raw->children[i].name) == 0;
		if (same > 1)
			check_error(c, where_key(where_at("peers[%u].children[%u]", peer_index, i),
						 "name"),
				    "'%s' is also the name that a list of networks of another child "
				    "gets",
				    raw->children[i].name);
	}
}

static bool is_ours(const struct dp_cfg *dp, const struct ip_addr *a)
{
	for (unsigned i = 0; i < dp->n_ports; i++)
		for (unsigned k = 0; k < dp->ports[i].n_addrs; k++)
			if (ip_addr_equal(&dp->ports[i].addrs[k].addr, a))
				return true;
	return false;
}

static void check_addresses(struct check *c, struct where w, const struct raw_peer *raw,
			    struct ike_peer_cfg *peer)
{
	if (check_addr(c, where_key(w, "local"), raw->local, &peer->local) &&
	    !is_ours(&c->cfg->dp, &peer->local))
		check_error(c, where_key(w, "local"), "%s is not an address of any port",
			    raw->local);
	if (strcmp(raw->remote, "any") == 0)
		return;
	if (check_addr(c, where_key(w, "remote"), raw->remote, &peer->remote) &&
	    is_ours(&c->cfg->dp, &peer->remote))
		check_error(c, where_key(w, "remote"), "%s is an address of our own", raw->remote);
	if (peer->local.family != IP_NONE && peer->remote.family != IP_NONE &&
	    peer->local.family != peer->remote.family)
		check_error(c, where_key(w, "remote"),
			    "%s and local are an IPv4 and an IPv6 address", raw->remote);
	peer->initiate = true;
}

static void check_id(struct check *c, struct where w, const char *text, struct ike_id *out)
{
	if (text && ike_id_from_text(text, out) != 0)
		check_error(c, w,
			    "'%s' is not an identity: an address, a domain name, user@host, a "
			    "distinguished name (C=.., CN=..) or keyid:hex",
			    text);
}

static void check_secret(struct check *c, struct where w, const struct raw_peer *raw,
			 struct ike_peer_cfg *peer)
{
	struct secret_entry *s = check_find_secret(c, raw->secret);

	if (!s) {
		check_error(c, where_key(w, "secret"), "there is no secret '%s' under 'secrets'",
			    raw->secret);
		return;
	}
	s->used = true;
	snprintf(peer->psk_name, sizeof(peer->psk_name), "%s", raw->secret);
	if (!s->key)
		return;
	peer->psk = secret_alloc(s->len);
	if (!peer->psk)
		abort();
	memcpy(peer->psk, s->key, s->len);
	peer->psk_len = s->len;
}

/* Methods of RFC 2409 that are not built, and why. */
static bool auth_refused(struct check *c, struct where w, const char *text)
{
	static const struct {
		const char *start, *why;
	} refused[] = {
		{ "rsa-enc", "RSA encryption lets a peer try out ciphertexts (Bleichenbacher's "
			     "attack works against it); use rsa: signatures" },
		{ "rsa-rev", "revised RSA encryption lets a peer try out ciphertexts "
			     "(Bleichenbacher's attack); use rsa: signatures" },
		{ "dss", "DSS signatures rest on 1024-bit keys and SHA-1; use rsa or ecdsa" },
		{ "dsa", "DSS signatures rest on 1024-bit keys and SHA-1; use rsa or ecdsa" },
		{ "ed25519", "IKEv1 has no number for Ed25519; use ecdsa" },
	};

	for (size_t i = 0; text && i < sizeof(refused) / sizeof(refused[0]); i++) {
		if (strncmp(refused[i].start, text, strlen(refused[i].start)) != 0)
			continue;
		check_error(c, w, "'%s': %s", text, refused[i].why);
		return true;
	}
	return false;
}

static void check_auth(struct check *c, struct where w, const struct raw_peer *raw,
		       struct ike_peer_cfg *peer)
{
	static const char *const words[] = { "psk", "rsa", "ecdsa", "hybrid", "kerberos" };
	unsigned auth = 0;

	if (auth_refused(c, where_key(w, "auth"), raw->auth) ||
	    !check_word(c, where_key(w, "auth"), raw->auth, words, 5, &auth))
		return;
	const char *stray = raw->principal        ? "principal" :
			    raw->remote_principal ? "remote-principal" :
			    raw->keytab           ? "keytab" : NULL;
	if (stray && auth != 4)
		check_error(c, where_key(w, stray), "'%s' needs 'auth: kerberos'", stray);
	if (auth != 0) {
		if (raw->secret)
			check_error(c, where_key(w, "secret"),
				    "with 'auth: %s' there is no 'secret'", words[auth]);
		if (auth == 4 && (raw->certificate || raw->key))
			check_error(c, where_key(w, raw->certificate ? "certificate" : "key"),
				    "with 'auth: kerberos' there is no certificate");
		if (auth == 4)
			check_kerberos(c, w, raw, peer);
		else if (auth == 3)
			check_hybrid(c, w, raw, peer);
		else
			check_certificate(c, w, raw, auth == 1, peer);
		return;
	}
	peer->auth = AUTH_PSK;
	if (raw->certificate || raw->key)
		check_error(c, where_key(w, raw->certificate ? "certificate" : "key"),
			    "a certificate needs 'auth: rsa' or 'auth: ecdsa'");
	else if (!raw->secret)
		check_error(c, where_key(w, "secret"),
			    "peer needs 'secret', or 'auth: rsa' or 'ecdsa' with 'certificate' and "
			    "'key'");
	else
		check_secret(c, w, raw, peer);
}

static void check_fragmentation(struct check *c, struct where w, const struct raw_peer *raw,
				struct ike_peer_cfg *peer)
{
	static const char *const words[] = { "yes", "no", "force" };
	uint64_t size = IKE_FRAGMENT_SIZE;
	unsigned mode = FRAGMENTATION_YES;

	check_word(c, where_key(w, "fragmentation"), raw->fragmentation, words, 3, &mode);
	peer->fragmentation = (enum fragmentation)mode;
	check_number(c, where_key(w, "fragment-size"), raw->fragment_size, IKE_FRAGMENT_MIN,
		     IKE_FRAGMENT_MAX, &size);
	peer->fragment_size = (uint32_t)size;
	if (raw->fragment_size && mode == FRAGMENTATION_NO)
		check_error(c, where_key(w, "fragment-size"),
			    "with 'fragmentation: no' there are no fragments to have a size");
}

/* Aggressive Mode sends a public value before the peer has chosen: one group for all. */
static void check_exchange(struct check *c, struct where w, const struct raw_peer *raw,
			   struct ike_peer_cfg *peer)
{
	static const char *const words[] = { "main", "aggressive" };
	unsigned word = 0;

	check_word(c, where_key(w, "exchange"), raw->exchange, words, 2, &word);
	peer->aggressive = word == 1;
	if (!peer->aggressive)
		return;
	if (peer->auth == AUTH_PSK)
		check_warn(c, where_key(w, "exchange"),
			   "Aggressive Mode with a pre-shared key gives anybody who asks a hash made "
			   "with the key, to try out keys at home: use certificates, Main Mode, or at "
			   "least a long random key");
	for (unsigned i = 1; i < peer->n_ike; i++) {
		if (peer->ike[i].group == peer->ike[0].group)
			continue;
		check_error(c, where_key(w, "proposals"),
			    "all proposals need the same group with 'exchange: aggressive': its first "
			    "message holds one public value");
		break;
	}
}

static void check_peer(struct check *c, unsigned i, struct ike_peer_cfg *peer)
{
	static const char *const encap[] = { "auto", "force" };
	const struct raw_peer *raw = &c->raw->peers[i];
	struct where w = where_at("peers[%u]", i);
	uint64_t retries = 5, retry_ms = 1000;
	unsigned force = 0;

	check_name(c, where_key(w, "name"), raw->name, peer->name, sizeof(peer->name));
	check_addresses(c, w, raw, peer);
	check_id(c, where_key(w, "local-id"), raw->local_id, &peer->local_id);
	check_id(c, where_key(w, "remote-id"), raw->remote_id, &peer->remote_id);
	if (!raw->remote_id && strcmp(raw->remote, "any") == 0 &&
	    !(raw->xauth && strcmp(raw->xauth, "server") == 0) && /* then users say who they are */
	    !raw->principal)
		check_warn(c, where_key(w, "remote"),
			   "with 'remote: any' and no remote-id, whoever %s is taken for '%s'",
			   raw->secret ? "knows the secret" :
					 "has a certificate of one of the authorities",
			   raw->name);
	check_auth(c, w, raw, peer);
	check_ike_proposals(c, w, raw, peer);
	check_exchange(c, w, raw, peer);
	check_peer_life(c, w, raw, peer);
	check_dpd(c, w, raw, peer);
	check_word(c, where_key(w, "encapsulation"), raw->encapsulation, encap, 2, &force);
	peer->force_encap = force == 1;
	check_fragmentation(c, w, raw, peer);
	check_number(c, where_key(w, "retries"), raw->retries, 1, 20, &retries);
	peer->retries = (uint32_t)retries;
	check_duration(c, where_key(w, "retry-interval"), raw->retry_interval, 100, 60000,
		       &retry_ms);
	peer->retry_ms = (uint32_t)retry_ms;
	check_access(c, w, raw, peer);
	check_children(c, i, raw, peer);
	check_child_names(c, i, raw, peer);
}

/* The addresses, and in Aggressive Mode the identity, are all that a first message tells of its peer. */
static bool same_first_message(const struct ike_peer_cfg *a, const struct ike_peer_cfg *b)
{
	if (!ip_addr_equal(&a->local, &b->local) || !ip_addr_equal(&a->remote, &b->remote) ||
	    a->aggressive != b->aggressive)
		return false;
	return !a->aggressive || ike_id_equal(&a->remote_id, &b->remote_id);
}

/* Main Mode with a pre-shared key finds the key by the addresses, before any identity is known
 * (RFC 2409 section 5.4): two peers that share them need one secret. */
static void check_same_address(struct check *c)
{
	const struct config *cfg = c->cfg;

	for (size_t i = 0; i < cfg->n_peers && i < 4096; i++) {
		const struct ike_peer_cfg *a = &cfg->peers[i];
		for (size_t j = 0; j < i; j++) {
			const struct ike_peer_cfg *b = &cfg->peers[j];
			if (!same_first_message(a, b) || strcmp(a->psk_name, b->psk_name) == 0 ||
			    !a->psk || !b->psk)
				continue;
			check_error(c, where_key(where_at("peers[%zu]", i), "secret"),
				    a->aggressive ?
					    "peer '%s' has the same addresses, the same remote-id "
					    "and another secret: which of them a message is from "
					    "cannot be told" :
					    "peer '%s' has the same addresses and another secret: "
					    "Main Mode must find the secret by the addresses alone",
				    b->name);
			break;
		}
	}
}

void check_peers(struct check *c)
{
	size_t n = c->raw->peers_count;
	const char **names = calloc(n + 1, sizeof(*names));

	c->cfg->peers = calloc(n + 1, sizeof(*c->cfg->peers));
	if (!names || !c->cfg->peers)
		abort();
	for (unsigned i = 0; i < n; i++) {
		names[i] = c->raw->peers[i].name;
		c->cfg->n_peers = i + 1; /* so that what is allocated gets freed */
		check_peer(c, i, &c->cfg->peers[i]);
	}
	check_unique(c, "peers", names, n);
	free(names);
	check_same_address(c);
	check_pools(c);
	for (unsigned i = 0; i < c->raw->secrets_count; i++) {
		const struct secret_entry *s = check_find_secret(c, c->raw->secrets[i].name);
		if (s && !s->used)
			check_warn(c, where_key(where_at("secrets[%u]", i), "name"),
				   "no peer uses the secret '%s'", s->name);
	}
}
