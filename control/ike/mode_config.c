/* Mode Config (draft-ietf-ipsec-isakmp-mode-cfg-05, and Cisco's Unity attributes): who has a pool
 * gives an address and what belongs to it, asked for (pull) or not (push). */
#include <stdio.h>
#include <string.h>

#include "access.h"
#include "bytes.h"

#define SPLIT_LEN    14 /* address, mask, and six bytes for protocol and ports that nobody uses */
#define VERSION_TEXT "shrike"

/* -------------------------------------------------------------------------------- giving ---- */

static uint32_t mask_of(uint8_t len)
{
	return len ? UINT32_MAX << (32 - len) : 0;
}

/* Is that wanted? p: the request; NULL: nobody asked, everything that any client knows. */
static bool wanted(const struct cfg_payload *p, const struct isakmp_sa *sa, uint16_t type)
{
	if (p)
		return cfg_attr(p, type, 0) != NULL;
	return type < UNITY_BANNER || sa->access->unity;
}

static void put_addrs(struct msgbuf *m, uint16_t type, const struct ip_addr *a, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		msg_attr(m, type, a[i].b, 4);
}

static void put_networks(struct msgbuf *m, uint16_t type, const struct ip_prefix *p, unsigned n,
			 size_t len)
{
	uint8_t v[SPLIT_LEN];

	for (unsigned i = 0; i < n; i++) {
		memset(v, 0, sizeof(v));
		memcpy(v, p[i].addr.b, 4);
		put_u32(v + 4, mask_of(p[i].len));
		msg_attr(m, type, v, len);
	}
}

/* Cisco's lists of networks are one attribute with all of them. */
static void put_unity_networks(struct msgbuf *m, uint16_t type, const struct ip_prefix *p,
			       unsigned n)
{
	uint8_t v[IKE_NETWORKS * SPLIT_LEN] = { 0 };

	for (unsigned i = 0; i < n; i++) {
		memcpy(v + i * SPLIT_LEN, p[i].addr.b, 4);
		put_u32(v + i * SPLIT_LEN + 4, mask_of(p[i].len));
	}
	if (n)
		msg_attr(m, type, v, n * SPLIT_LEN);
}

static void put_text(struct msgbuf *m, uint16_t type, const char *text)
{
	if (text[0])
		msg_attr(m, type, text, strlen(text));
}

static void put_settings(struct msgbuf *m, const struct isakmp_sa *sa, const struct cfg_payload *p)
{
	const struct ike_settings *s = &sa->peer->cfg.access->give;
	static const uint8_t host[4] = { 255, 255, 255, 255 };

	if (sa->access->leased.family != IP_NONE && wanted(p, sa, CFG_IP4_ADDRESS))
		msg_attr(m, CFG_IP4_ADDRESS, sa->access->leased.b, 4);
	if (sa->access->leased.family != IP_NONE && wanted(p, sa, CFG_IP4_NETMASK))
		msg_attr(m, CFG_IP4_NETMASK, host, 4);
	if (wanted(p, sa, CFG_IP4_DNS))
		put_addrs(m, CFG_IP4_DNS, s->dns, s->n_dns);
	if (wanted(p, sa, CFG_IP4_NBNS))
		put_addrs(m, CFG_IP4_NBNS, s->nbns, s->n_nbns);
	if (wanted(p, sa, CFG_IP4_SUBNET))
		put_networks(m, CFG_IP4_SUBNET, s->split, s->n_split, 8);
	if (p && wanted(p, sa, CFG_APPLICATION_VERSION))
		put_text(m, CFG_APPLICATION_VERSION, VERSION_TEXT);
	if (wanted(p, sa, UNITY_BANNER))
		put_text(m, UNITY_BANNER, s->banner);
	if (wanted(p, sa, UNITY_SAVE_PASSWORD))
		msg_attr_basic(m, UNITY_SAVE_PASSWORD, s->save_password);
	if (wanted(p, sa, UNITY_DOMAIN))
		put_text(m, UNITY_DOMAIN, s->domain);
	if (wanted(p, sa, UNITY_SPLIT_DNS))
		put_text(m, UNITY_SPLIT_DNS, s->split_dns);
	if (wanted(p, sa, UNITY_SPLIT_INCLUDE))
		put_unity_networks(m, UNITY_SPLIT_INCLUDE, s->split, s->n_split);
	if (wanted(p, sa, UNITY_LOCAL_LAN))
		put_unity_networks(m, UNITY_LOCAL_LAN, s->local_lan, s->n_local_lan);
}

/* False where the pool has nothing left. */
static bool lease(struct isakmp_sa *sa)
{
	struct access *a = sa->access;
	char text[ADDR_STR_LEN];

	if (a->leased.family != IP_NONE)
		return true;
	if (!sa->peer->pool || !pool_lease(sa, &a->leased))
		return false;
	ike_note(sa->ike, sa->peer, sa, "%s has the address %s", a->user,
		 ip_addr_str(&a->leased, text, sizeof(text)));
	return true;
}

/* Only what is fit to be shown; Unity's lists of names have commas or spaces between. */
static void take_words(const struct attr *a, char *out, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; !a->basic && i < a->value.len && n + 1 < size; i++) {
		uint8_t c = a->value.p[i];
		if (c == '\n' || (c >= ' ' && c < 0x7f))
			out[n++] = (char)c;
	}
	out[n] = '\0';
}

void config_pulled(struct exchange *x, const struct cfg_payload *p)
{
	struct isakmp_sa *sa = x->sa;
	struct access *a = sa->access;
	const struct attr *version = cfg_attr(p, CFG_APPLICATION_VERSION, 0);
	char text[80] = "";
	struct msgbuf m;
	size_t hash_at;

	if (!a->proved || !sa->peer->cfg.access->config || !sa->peer->pool) {
		ike_note(x->ike, sa->peer, sa, "%s asks for an address: %s", sa->peer->cfg.name,
			 a->proved ? "there is no pool for it"
				   : "too early, its user is not known");
		exchange_kill(x);
		return;
	}
	if (version)
		take_words(version, text, sizeof(text));
	if (text[0])
		ike_note(x->ike, sa->peer, sa, "%s has the software \"%s\"", a->user, text);
	if (cfg_attr(p, CFG_IP4_ADDRESS, 0) && !lease(sa)) {
		access_fail(sa, "no address is left for %s of %s: all of the pool are in use",
			    a->user, sa->peer->cfg.name);
		return;
	}
	a->unity |= cfg_attr(p, UNITY_SPLIT_INCLUDE, 0) != NULL; /* not all say so in a vendor ID */
	tx_begin_answer(x, CFG_REPLY, &m, &hash_at);
	put_settings(&m, sa, p);
	tx_send(x, &m, hash_at);
	access_done(sa); /* where the other side's ACK to the status got lost */
}

void config_push(struct isakmp_sa *sa)
{
	struct exchange *x;
	struct msgbuf m;
	size_t hash_at;

	if (!lease(sa)) {
		access_fail(sa, "no address is left for %s of %s: all of the pool are in use",
			    sa->access->user, sa->peer->cfg.name);
		return;
	}
	sa->access->tx_id++;
	x = tx_begin(sa, TX_PUSH, CFG_SET, &m, &hash_at);
	if (!x)
		return;
	put_settings(&m, sa, NULL);
	tx_send(x, &m, hash_at);
}

/* ------------------------------------------------------------------------------- getting ---- */

void config_pull(struct isakmp_sa *sa)
{
	static const uint16_t plain[] = { CFG_IP4_ADDRESS, CFG_IP4_NETMASK, CFG_IP4_DNS,
					  CFG_IP4_NBNS, CFG_IP4_SUBNET };
	static const uint16_t unity[] = { UNITY_BANNER,    UNITY_SAVE_PASSWORD, UNITY_DOMAIN,
					  UNITY_SPLIT_DNS, UNITY_SPLIT_INCLUDE, UNITY_LOCAL_LAN };
	struct exchange *x;
	struct msgbuf m;
	size_t hash_at;

	sa->access->tx_id++;
	x = tx_begin(sa, TX_PULL, CFG_REQUEST, &m, &hash_at);
	if (!x)
		return;
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		msg_attr(&m, plain[i], NULL, 0);
	msg_attr(&m, CFG_APPLICATION_VERSION, VERSION_TEXT, strlen(VERSION_TEXT));
	for (size_t i = 0; sa->access->unity && i < sizeof(unity) / sizeof(unity[0]); i++)
		msg_attr(&m, unity[i], NULL, 0);
	tx_send(x, &m, hash_at);
}

static void take_addr(const struct attr *a, struct ip_addr *out)
{
	if (!a->basic && a->value.len == 4)
		*out = ip_addr_v4(get_u32(a->value.p));
}

static void take_server(const struct attr *a, struct ip_addr *list, unsigned *n)
{
	if (!a->basic && a->value.len == 4 && *n < IKE_SERVERS)
		list[(*n)++] = ip_addr_v4(get_u32(a->value.p));
}

static bool has_network(const struct ip_prefix *list, unsigned n, const struct ip_prefix *p)
{
	for (unsigned i = 0; i < n; i++)
		if (list[i].len == p->len && ip_addr_equal(&list[i].addr, &p->addr))
			return true;
	return false;
}

/* Address and mask, in steps of so many bytes; a mask with holes is no network. */
static void take_networks(const struct attr *a, size_t step, struct ip_prefix *list, unsigned *n)
{
	for (size_t at = 0; !a->basic && at + step <= a->value.len && *n < IKE_NETWORKS;
	     at += step) {
		uint32_t addr = get_u32(a->value.p + at), mask = get_u32(a->value.p + at + 4);
		uint8_t len = (uint8_t)__builtin_popcount(mask);
		struct ip_prefix p = { ip_addr_v4(addr & mask), len };
		if (mask == mask_of(len) && !has_network(list, *n, &p))
			list[(*n)++] = p;
	}
}

static void take_one(struct ike_settings *s, const struct attr *a)
{
	switch (a->type) {
	case CFG_IP4_ADDRESS:
		take_addr(a, &s->address);
		return;
	case CFG_IP4_NETMASK:
		take_addr(a, &s->netmask);
		return;
	case CFG_IP4_DNS:
		take_server(a, s->dns, &s->n_dns);
		return;
	case CFG_IP4_NBNS:
		take_server(a, s->nbns, &s->n_nbns);
		return;
	case CFG_IP4_SUBNET:
		take_networks(a, 8, s->split, &s->n_split);
		return;
	case UNITY_SPLIT_INCLUDE:
		s->n_split = 0; /* says the same as the other, or more */
		take_networks(a, SPLIT_LEN, s->split, &s->n_split);
		return;
	case UNITY_LOCAL_LAN:
		take_networks(a, SPLIT_LEN, s->local_lan, &s->n_local_lan);
		return;
	case UNITY_SAVE_PASSWORD:
		s->save_password = a->num == 1;
		return;
	case UNITY_BANNER:
		take_words(a, s->banner, sizeof(s->banner));
		return;
	case UNITY_DOMAIN:
		take_words(a, s->domain, sizeof(s->domain));
		return;
	case UNITY_SPLIT_DNS:
		take_words(a, s->split_dns, sizeof(s->split_dns));
		return;
	case CFG_APPLICATION_VERSION:
		take_words(a, s->version, sizeof(s->version));
	}
}

/* The children that speak for that address get it; their pairs from before with another one go. */
void config_assign(struct peer *p)
{
	const struct ip_addr *a = &p->assigned->address;
	struct ike *ike = p->ike;
	struct child *c;

	TAILQ_FOREACH(c, &p->children, link) {
		if (c->dead || !c->cfg.assigned || ip_addr_equal(a, &c->cfg.sel.local.lo))
			continue;
		child_delete_pairs(c, "another address was assigned to us");
		c->cfg.sel.local = (struct ip_range){ *a, *a };
		if (ike->ops.policy_local)
			ike->ops.policy_local(ike->ops.ctx, c->cfg.policy, a);
	}
}

/* False after failing: there is no address in it. */
static bool take(struct isakmp_sa *sa, const struct cfg_payload *p)
{
	struct peer *peer = sa->peer;
	char text[ADDR_STR_LEN];
	struct ike_settings *s = peer->assigned;

	if (!s)
		s = peer->assigned = ike_alloc(sa->ike, sizeof(*s));
	if (!s) {
		access_fail(sa, "%s: out of memory", peer->cfg.name);
		return false;
	}
	memset(s, 0, sizeof(*s));
	for (unsigned i = 0; i < p->n; i++)
		take_one(s, &p->attr[i]);
	if (s->address.family == IP_NONE) {
		access_fail(sa, "%s gave us no address", peer->cfg.name);
		return false;
	}
	ike_note(sa->ike, peer, sa, "%s gave us the address %s", peer->cfg.name,
		 ip_addr_str(&s->address, text, sizeof(text)));
	sa->access->given = true;
	config_assign(peer);
	return true;
}

void config_replied(struct exchange *x, const struct cfg_payload *p)
{
	if (take(x->sa, p))
		access_done(x->sa);
}

void config_pushed(struct exchange *x, const struct cfg_payload *p)
{
	struct isakmp_sa *sa = x->sa;
	const struct ike_remote_cfg *cfg = sa->peer->cfg.access;
	struct msgbuf m;
	size_t hash_at;

	if (!cfg->config || cfg->has_pool || !sa->access->proved) {
		ike_note(x->ike, sa->peer, sa, "%s pushes a configuration that we did not ask for",
			 sa->peer->cfg.name);
		exchange_kill(x);
		return;
	}
	if (!take(sa, p))
		return;
	tx_begin_answer(x, CFG_ACK, &m, &hash_at);
	for (unsigned i = 0; i < p->n; i++) /* those that we took, empty */
		msg_attr(&m, p->attr[i].type, NULL, 0);
	tx_send(x, &m, hash_at);
	access_done(sa);
}
