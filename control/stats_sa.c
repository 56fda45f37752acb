/* Statistics of peers, Main Mode SAs and Quick Mode SAs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hex.h"
#include "stats_sa.h"

#define COUNT(v) ((json_int_t)(v))

struct walk {
	const struct stats_source *source;
	const char *peer; /* of leases: only this one's */
	json_t *out;
};

static json_t *id_json(const struct ike_id *id)
{
	char buf[IKE_MAX_ID * 4 + 1];

	if (id->type == 0)
		return json_null();
	return json_pack("{s:s, s:s}", "type", ike_id_type_name(id->type), "value",
			 ike_id_str(id, buf, sizeof(buf)));
}

static json_t *path_json(const struct ip_addr *a, uint16_t port)
{
	char buf[ADDR_STR_LEN];

	return json_pack("{s:s, s:i}", "address", ip_addr_str(a, buf, sizeof(buf)), "port",
			 (int)port);
}

static json_t *addr_json(const struct ip_addr *a)
{
	char buf[ADDR_STR_LEN];

	return a->family == IP_NONE ? json_null() : json_string(ip_addr_str(a, buf, sizeof(buf)));
}

static const char *state_name(enum ike_sa_state s)
{
	return s == IKE_SA_CONNECTING  ? "connecting" :
	       s == IKE_SA_ESTABLISHED ? "established" :
	       s == IKE_SA_REKEYED     ? "rekeyed" :
					 "closing";
}

/* ----------------------------------------------------------------------- Main Mode ---------- */

static void add_main_mode(void *ctx, const struct ike_sa_info *i)
{
	struct walk *w = ctx;
	char text[TRANSFORM_STR_LEN], icookie[2 * ISAKMP_COOKIE_LEN + 1],
		rcookie[2 * ISAKMP_COOKIE_LEN + 1];
	json_t *o;

	o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:{s:b, s:b}, s:o, s:o}", "peer",
		      i->peer, "state", state_name(i->state), "role",
		      i->initiator ? "initiator" : "responder", "exchange",
		      i->phase1 == EXCH_AGGRESSIVE ? "aggressive" : "main", "initiator_cookie",
		      hex_str(i->icookie, ISAKMP_COOKIE_LEN, icookie), "responder_cookie",
		      hex_str(i->rcookie, ISAKMP_COOKIE_LEN, rcookie), "local",
		      path_json(&i->path.local, i->path.local_port), "remote",
		      path_json(&i->path.remote, i->path.remote_port), "nat", "local",
		      i->nat_local, "remote", i->nat_remote, "local_id", id_json(&i->local_id),
		      "remote_id", id_json(&i->remote_id));
	json_object_set_new(o, "algorithms",
			    i->t.encr == ENCR_NONE ?
				    json_null() :
				    json_string(ike_transform_str(&i->t, text, sizeof(text))));
	json_object_set_new(o, "user", i->user[0] ? json_string(i->user) : json_null());
	json_object_set_new(o, "leased", addr_json(&i->leased));
	json_object_set_new(o, "age", json_real((double)i->age_us / 1e6));
	json_object_set_new(o, "lifetime_left", json_real((double)i->life_left_us / 1e6));
	json_object_set_new(o, "negotiation_ms", json_real((double)i->negotiation_us / 1e3));
	json_object_set_new(o, "quick_modes", json_integer(i->quick_modes));
	json_array_append_new(w->out, o);
}

/* ---------------------------------------------------------------------- Quick Mode ---------- */

static void path_text(struct text *t, const char *key, const struct ip_addr *a, uint16_t port)
{
	char buf[ADDR_STR_LEN];

	text_put(t, key);
	text_put(t, "{\"address\":\"");
	text_put(t, ip_addr_str(a, buf, sizeof(buf)));
	text_put(t, "\",\"port\":");
	text_number(t, port);
	text_put(t, "}");
}

static void number_text(struct text *t, const char *key, uint64_t v)
{
	text_put(t, key);
	text_number(t, v);
}

/* What both directions of a pair have in common: most of it, so it is written once. */
static void pair_text(struct text *t, const struct ike_child_info *i)
{
	char alg[TRANSFORM_STR_LEN], local[RANGE_STR_LEN], remote[RANGE_STR_LEN];

	text_put(t, !i->established ? ",\"state\":\"negotiating\"" :
		    i->current	    ? ",\"state\":\"current\"" :
				      ",\"state\":\"replaced\"");
	text_put(t, i->mode == SA_TUNNEL ? ",\"mode\":\"tunnel\"" : ",\"mode\":\"transport\"");
	text_put(t, i->udp_encap ? ",\"udp_encapsulation\":true" : ",\"udp_encapsulation\":false");
	text_put(t, ",\"algorithms\":\"");
	text_put(t, esp_transform_str(&i->t, alg, sizeof(alg)));
	text_put(t, "\",\"selectors\":{\"local\":\"");
	text_put(t, ip_range_str(&i->sel.local, local, sizeof(local)));
	text_put(t, "\",\"remote\":\"");
	text_put(t, ip_range_str(&i->sel.remote, remote, sizeof(remote)));
	number_text(t, "\",\"protocol\":", i->sel.proto);
	number_text(t, ",\"local_port\":", i->sel.local_port);
	number_text(t, ",\"remote_port\":", i->sel.remote_port);
	path_text(t, "},\"local\":", &i->path.local, i->path.local_port);
	path_text(t, ",\"remote\":", &i->path.remote, i->path.remote_port);
	text_put(t, i->t.ah ? ",\"protocol\":\"ah\"" : ",\"protocol\":\"esp\"");
	number_text(t, ",\"pair\":", i->pair);
	number_text(t, ",\"lcore\":", i->ref.owner);
	text_put(t, ",\"age\":");
	text_fraction(t, i->age_us, 6);
	text_put(t, ",\"lifetime_left\":");
	text_fraction(t, i->life_left_us, 6);
	text_put(t, ",\"negotiation_ms\":");
	text_fraction(t, i->negotiation_us, 3);
}

static void direction_text(struct text *t, const struct stats_source *s, const struct ike_child_info *i,
			   enum sa_dir dir, const struct text *both)
{
	struct sa_stats c = { 0 };
	bool installed = dp_sa_stats(s->dp, &i->ref, dir, &c);
	char spi[16];

	text_put(t, t->len ? ",{\"peer\":" : "{\"peer\":");
	text_json(t, i->peer);
	text_put(t, ",\"child\":");
	text_json(t, i->child);
	text_put(t, dir == SA_IN ? ",\"direction\":\"in\",\"spi\":\"" :
				   ",\"direction\":\"out\",\"spi\":\"");
	snprintf(spi, sizeof(spi), "%08x", dir == SA_IN ? i->ref.spi : i->spi_out);
	text_put(t, spi);
	text_put(t, installed ? "\",\"installed\":true" : "\",\"installed\":false");
	text_add(t, both->p, both->len);
	number_text(t, ",\"packets\":", c.packets);
	number_text(t, ",\"bytes\":", c.bytes);
	number_text(t, ",\"replay_drops\":", c.replay_drops);
	number_text(t, ",\"late_drops\":", c.late_drops);
	number_text(t, ",\"duplicate_drops\":", c.dup_drops);
	number_text(t, ",\"icv_drops\":", c.icv_drops);
	number_text(t, ",\"other_drops\":", c.other_drops);
	number_text(t, ",\"sequence\":", c.seq);
	text_put(t, "}");
}

/* ---------------------------------------------------------------------------- peers --------- */

/* What a child has, summed over its SAs; found by "peer/child" in a table that is built once, so
 * that thousands of children stay linear. */
struct child_sum {
	char name[2 * IKE_NAME_LEN + 2];
	unsigned current;
	bool negotiating;
	uint64_t in_packets, in_bytes, out_packets, out_bytes;
};

struct sums {
	const struct stats_source *source;
	struct child_sum *sum;
	size_t n, cap;
	json_t *peers, *by_peer; /* by_peer: name -> best state of its Main Mode SAs */
};

static int sum_cmp(const void *a, const void *b)
{
	return strcmp(((const struct child_sum *)a)->name, ((const struct child_sum *)b)->name);
}

static void sum_add(void *ctx, const struct ike_child_info *i)
{
	struct sums *s = ctx;
	struct sa_stats in = { 0 }, out = { 0 };

	if (s->n == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 64;
		struct child_sum *sum = realloc(s->sum, cap * sizeof(*sum));
		if (!sum)
			return;
		s->sum = sum;
		s->cap = cap;
	}
	dp_sa_stats(s->source->dp, &i->ref, SA_IN, &in);
	dp_sa_stats(s->source->dp, &i->ref, SA_OUT, &out);
	struct child_sum *c = &s->sum[s->n++];
	*c = (struct child_sum){ .current = i->established && i->current,
				 .negotiating = !i->established,
				 .in_packets = in.packets,
				 .in_bytes = in.bytes,
				 .out_packets = out.packets,
				 .out_bytes = out.bytes };
	snprintf(c->name, sizeof(c->name), "%s/%s", i->peer, i->child);
}

/* Sorts, and folds the SAs of a child into one entry. */
static void sums_fold(struct sums *s)
{
	size_t n = 0;

	if (s->n == 0)
		return;
	qsort(s->sum, s->n, sizeof(*s->sum), sum_cmp);
	for (size_t i = 1; i < s->n; i++) {
		struct child_sum *to = &s->sum[n], *c = &s->sum[i];
		if (strcmp(to->name, c->name) != 0) {
			s->sum[++n] = *c;
			continue;
		}
		to->current += c->current;
		to->negotiating |= c->negotiating;
		to->in_packets += c->in_packets;
		to->in_bytes += c->in_bytes;
		to->out_packets += c->out_packets;
		to->out_bytes += c->out_bytes;
	}
	s->n = n + 1;
}

static void note_peer_state(void *ctx, const struct ike_sa_info *i)
{
	struct sums *s = ctx;

	/* established beats everything; any state beats none */
	if (i->state == IKE_SA_ESTABLISHED || !json_object_get(s->by_peer, i->peer))
		json_object_set_new(s->by_peer, i->peer, json_string(state_name(i->state)));
}

static json_t *peer_child_json(const struct sums *s, const struct ike_peer_cfg *peer,
			       const struct ike_child_cfg *cfg, uint64_t sum[4])
{
	struct child_sum key = { 0 }, none = { 0 };
	const struct child_sum *c = NULL;
	char sel[SELECTOR_STR_LEN];

	bool clear = s->source->policy_clear && s->source->policy_clear[cfg->policy];

	snprintf(key.name, sizeof(key.name), "%s/%s", peer->name, cfg->name);
	if (s->n)
		c = bsearch(&key, s->sum, s->n, sizeof(key), sum_cmp);
	if (!c)
		c = &none;
	sum[0] += c->in_packets;
	sum[1] += c->in_bytes;
	sum[2] += c->out_packets;
	sum[3] += c->out_bytes;
	return json_pack("{s:s, s:s, s:s, s:i, s:I, s:I, s:I, s:I}", "name", cfg->name, "state",
			 clear		? "clear" :
			 c->current	? "up" :
			 c->negotiating ? "negotiating" :
					  "down",
			 "selectors", selector_str(&cfg->sel, sel, sizeof(sel)), "pairs",
			 (int)c->current, "in_packets", COUNT(c->in_packets), "in_bytes",
			 COUNT(c->in_bytes), "out_packets", COUNT(c->out_packets), "out_bytes",
			 COUNT(c->out_bytes));
}

static json_t *addrs_json(const struct ip_addr *a, unsigned n)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < n; i++)
		json_array_append_new(list, addr_json(&a[i]));
	return list;
}

static json_t *networks_json(const struct ip_prefix *p, unsigned n)
{
	char buf[RANGE_STR_LEN];
	json_t *list = json_array();

	for (unsigned i = 0; i < n; i++)
		json_array_append_new(list, json_string(ip_prefix_str(&p[i], buf, sizeof(buf))));
	return list;
}

/* What Mode Config gave us; null: nothing. Its texts come from the peer. */
static json_t *assigned_json(struct ike *ike, const char *peer)
{
	const struct ike_settings *s = ike_assigned(ike, peer);

	if (!s)
		return json_null();
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:s, s:s, s:s, s:b}", "address",
			 addr_json(&s->address), "dns", addrs_json(s->dns, s->n_dns), "nbns",
			 addrs_json(s->nbns, s->n_nbns), "split",
			 networks_json(s->split, s->n_split), "local_lan",
			 networks_json(s->local_lan, s->n_local_lan), "domain", s->domain,
			 "split_dns", s->split_dns, "banner", s->banner, "save_password",
			 s->save_password);
}

static void add_lease(void *ctx, const struct ike_lease *l)
{
	struct walk *w = ctx;

	if (strcmp(l->peer, w->peer) == 0 && l->active)
		json_array_append_new(w->out, json_pack("{s:o, s:s}", "address",
							addr_json(&l->address), "user", l->user));
}

static json_t *pool_json(struct ike *ike, const char *peer)
{
	struct walk w = { .peer = peer };
	char range[RANGE_STR_LEN];
	struct ike_pool_info i;

	if (!ike_pool_info(ike, peer, &i))
		return json_null();
	w.out = json_array();
	ike_lease_foreach(ike, add_lease, &w);
	return json_pack("{s:s, s:i, s:i, s:i, s:o}", "range",
			 ip_range_str(&i.range, range, sizeof(range)), "size", (int)i.size, "active",
			 (int)i.active, "kept", (int)i.kept, "leases", w.out);
}

static void add_peer(void *ctx, const struct ike_peer_cfg *cfg, const char *last_error)
{
	struct sums *s = ctx;
	char local[ADDR_STR_LEN], remote[ADDR_STR_LEN];
	const json_t *state = json_object_get(s->by_peer, cfg->name);
	uint64_t sum[4] = { 0 };
	json_t *children = json_array();
	json_int_t up = 0;

	for (unsigned i = 0; i < cfg->n_children; i++) {
		json_t *child = peer_child_json(s, cfg, &cfg->children[i], sum);
		up += strcmp(json_string_value(json_object_get(child, "state")), "up") == 0;
		json_array_append_new(children, child);
	}
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:I, s:i, s:I, s:I, s:I, s:I, s:s, s:o}", "name",
			      cfg->name, "local", ip_addr_str(&cfg->local, local, sizeof(local)),
			      "remote", ip_addr_str(&cfg->remote, remote, sizeof(remote)), "state",
			      state ? json_string_value(state) : "down", "children_up", up,
			      "children_configured", (int)cfg->n_children, "in_packets",
			      COUNT(sum[0]), "in_bytes", COUNT(sum[1]), "out_packets", COUNT(sum[2]),
			      "out_bytes", COUNT(sum[3]), "last_error", last_error ? last_error : "",
			      "children", children);
	json_object_set_new(o, "pool", pool_json(s->source->ike, cfg->name));
	json_object_set_new(o, "assigned", assigned_json(s->source->ike, cfg->name));
	json_array_append_new(s->peers, o);
}

/* ------------------------------------------------------------------ one peer as text -------- */

struct peer_view {
	struct walk main_mode;
	struct sums sums;
	struct text *quick_mode; /* NULL: not wanted */
	bool peers;
};

static void see_sa(void *ctx, const struct ike_sa_info *i)
{
	struct peer_view *v = ctx;

	if (v->main_mode.out)
		add_main_mode(&v->main_mode, i);
	if (v->peers)
		note_peer_state(&v->sums, i);
}

static void see_child(void *ctx, const struct ike_child_info *i)
{
	struct peer_view *v = ctx;
	struct text both = { 0 };

	if (v->peers)
		sum_add(&v->sums, i);
	if (!v->quick_mode)
		return;
	pair_text(&both, i);
	direction_text(v->quick_mode, v->sums.source, i, SA_IN, &both);
	direction_text(v->quick_mode, v->sums.source, i, SA_OUT, &both);
	v->quick_mode->failed |= both.failed;
	text_free(&both);
}

static void see_peer(void *ctx, const struct ike_peer_cfg *cfg, const char *last_error)
{
	struct peer_view *v = ctx;

	if (!v->peers)
		return;
	sums_fold(&v->sums);
	add_peer(&v->sums, cfg, last_error);
}

static int text_dumped(const char *p, size_t len, void *to)
{
	text_add(to, p, len);
	return 0;
}

/* Elements behind those that are there; takes the list. */
static void elements_text(struct text *t, json_t *list)
{
	json_t *o;
	size_t i;

	json_array_foreach(list, i, o) {
		text_put(t, t->len ? "," : "");
		json_dump_callback(o, text_dumped, t, JSON_COMPACT | JSON_REAL_PRECISION(15));
	}
	json_decref(list);
}

bool stats_peer_text(const struct stats_source *s, struct ike_walk *walk, struct text *peers,
		     struct text *main_mode, struct text *quick_mode)
{
	struct peer_view v = { .main_mode = { .source = s, .out = main_mode ? json_array() : NULL },
			  .sums = { .source = s },
			  .quick_mode = quick_mode,
			  .peers = peers != NULL };
	struct ike_visitor visitor = { .ctx = &v, .sa = see_sa, .child = see_child, .peer = see_peer };

	if (peers) {
		v.sums.peers = json_array();
		v.sums.by_peer = json_object();
	}
	bool more = ike_walk_step(walk, &visitor);
	if (peers)
		elements_text(peers, v.sums.peers);
	if (main_mode)
		elements_text(main_mode, v.main_mode.out);
	json_decref(v.sums.by_peer);
	free(v.sums.sum);
	return more;
}
