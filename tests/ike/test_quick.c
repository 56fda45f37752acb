/* What Quick Mode agrees on besides algorithms: protocol, mode, NAT, parallel pairs; seen in what the
 * data plane of each side is told. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "pitfall.h"

/* The SAs that the nodes' data planes were told to install, in order. */
#define SEEN 64
static struct {
	struct sa_params p[SEEN];
	unsigned n;
} told[2];
static int (*true_install[2])(void *, const struct sa_params *);

static int install_0(void *ctx, const struct sa_params *p)
{
	if (told[0].n < SEEN)
		told[0].p[told[0].n++] = *p;
	return true_install[0](ctx, p);
}

static int install_1(void *ctx, const struct sa_params *p)
{
	if (told[1].n < SEEN)
		told[1].p[told[1].n++] = *p;
	return true_install[1](ctx, p);
}

static void watch(struct sim *s)
{
	memset(told, 0, sizeof(told));
	for (unsigned i = 0; i < 2; i++) {
		struct ike *ike = sim_engine(s, i);
		true_install[i] = ike->ops.sa_install;
		ike->ops.sa_install = i ? install_1 : install_0;
	}
}

static const struct sa_params *last(unsigned node, enum sa_dir dir)
{
	for (unsigned i = told[node].n; i-- > 0;)
		if (told[node].p[i].dir == dir)
			return &told[node].p[i];
	cr_assert_fail("node %u has no SA", node);
	return NULL;
}

static void set_esp(struct sim *s, const char *text)
{
	char why[256];

	for (unsigned i = 0; i < 2; i++) {
		struct ike_child_cfg *c = &sim_peer_cfg(s, i, 1 - i)->children[0];
		size_t n = 0;
		cr_assert_eq(esp_proposal_parse(text, c->esp, IKE_CFG_TRANSFORMS, &n, why,
						sizeof(why)),
			     0, "%s", why);
		c->n_esp = (unsigned)n;
	}
}

/* The gateways' own addresses, as transport mode wants them. */
static void set_transport(struct sim *s)
{
	for (unsigned i = 0; i < 2; i++) {
		struct ike_peer_cfg *p = sim_peer_cfg(s, i, 1 - i);
		p->children[0].mode = SA_TRANSPORT;
		p->children[0].sel = (struct selector){ .local = { p->local, p->local },
							.remote = { p->remote, p->remote } };
	}
}

/* Every algorithm that can be configured is agreed on, keyed alike on both sides, and told to the
 * data plane as what it is. */
Test(quick, every_algorithm_reaches_the_data_plane)
{
	static const struct {
		const char *text;
		enum encr_alg encr;
		uint16_t bits;
		enum integ_alg integ;
		size_t key, auth;
		bool esn, ah;
	} rows[] = {
		{ "aes192-sha384", ENCR_AES_CBC, 192, INTEG_HMAC_SHA384_192, 24, 48, false, false },
		{ "aes256-sha512", ENCR_AES_CBC, 256, INTEG_HMAC_SHA512_256, 32, 64, false, false },
		{ "aes128-sha256_96", ENCR_AES_CBC, 128, INTEG_HMAC_SHA256_96, 16, 32, false, false },
		{ "aes256ctr-sha256-esn", ENCR_AES_CTR, 256, INTEG_HMAC_SHA256_128, 36, 32, true, false },
		{ "aes192gcm8-esn", ENCR_AES_GCM_8, 192, INTEG_NONE, 28, 0, true, false },
		{ "aes256gcm12", ENCR_AES_GCM_12, 256, INTEG_NONE, 36, 0, false, false },
		{ "aes128gmac", ENCR_AES_GMAC, 128, INTEG_NONE, 20, 0, false, false },
		{ "3des-md5", ENCR_3DES, 192, INTEG_HMAC_MD5_96, 24, 16, false, false },
		{ "des-sha1", ENCR_DES, 64, INTEG_HMAC_SHA1_96, 8, 20, false, false },
		{ "null-sha256", ENCR_NULL, 0, INTEG_HMAC_SHA256_128, 0, 32, false, false },
		{ "ah-sha256", ENCR_NONE, 0, INTEG_HMAC_SHA256_128, 0, 32, false, true },
		{ "ah-aes128gmac", ENCR_AES_GMAC, 128, INTEG_NONE, 20, 0, false, true },
		{ "ah-aes256gmac-esn", ENCR_AES_GMAC, 256, INTEG_NONE, 36, 0, true, true },
		{ "ah-sha1-esn", ENCR_NONE, 0, INTEG_HMAC_SHA1_96, 0, 20, true, true },
	};
	static const uint8_t zero[SA_AUTH_MAX];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sim *s = two_nodes();
		set_esp(s, rows[i].text);
		watch(s);
		sim_start(s);
		sim_run(s, 5 * SEC);
		must_be_up(s);
		const struct sa_params *in = last(0, SA_IN), *out = last(1, SA_OUT);
		cr_expect_eq(in->proto, rows[i].ah ? SA_AH : SA_ESP, "%s", rows[i].text);
		cr_expect_eq(in->encr, rows[i].encr, "%s", rows[i].text);
		cr_expect_eq(in->key_bits, rows[i].bits, "%s", rows[i].text);
		cr_expect_eq(in->integ, rows[i].integ, "%s", rows[i].text);
		cr_expect_eq(in->esn, rows[i].esn, "%s", rows[i].text);
		cr_expect_eq(in->proto, out->proto);
		cr_expect_eq(in->esn, out->esn);
		cr_expect_eq(in->integ, out->integ);
		cr_expect_arr_eq(in->key, out->key, sizeof(in->key), "%s", rows[i].text);
		cr_expect_arr_eq(in->auth, out->auth, sizeof(in->auth), "%s", rows[i].text);
		/* as long as the algorithm wants it, and not longer */
		cr_expect_arr_eq(in->key + rows[i].key, zero, SA_KEY_MAX - rows[i].key);
		cr_expect_arr_eq(in->auth + rows[i].auth, zero, SA_AUTH_MAX - rows[i].auth);
		if (rows[i].key >= 8)
			cr_expect_arr_neq(in->key + rows[i].key - 4, zero, 4, "%s",
					  rows[i].text);
		two_nodes_end(s);
	}
}

struct ah_deletes {
	struct isakmp_sa *sa;
	unsigned n;
};

static bool see_ah_delete(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg, size_t *len)
{
	struct ah_deletes *d = ctx;
	struct delete_payload del;
	struct payload_list l;
	uint8_t buf[INFO_MAX];

	(void)path;
	if (from == 1 && info_open(d->sa, msg, *len, buf, &l) && payload_find(&l, PL_DELETE, 0) &&
	    delete_parse(payload_find(&l, PL_DELETE, 0)->body, &del) == 0)
		d->n += del.proto == PROTO_AH;
	return true;
}

/* A DELETE names the protocol, and is obeyed for that protocol only. */
Test(quick, ah_is_deleted_as_ah)
{
	struct sim *s = two_nodes();
	struct ah_deletes d = { 0 };

	set_esp(s, "ah-sha256");
	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	d.sa = node_sa(s, 1);
	sim_set_tap(s, see_ah_delete, &d);
	cr_assert_eq(ike_down(sim_engine(s, 1), "node0/net0"), 0);
	sim_run(s, 2 * SEC);
	cr_expect_geq(d.n, 1);
	cr_expect_null(node_pair(s, 0), "the DELETE was not understood");
	sim_set_tap(s, NULL, NULL);
	two_nodes_end(s);
}

Test(quick, transport_mode)
{
	struct sim *s = two_nodes();

	set_transport(s);
	watch(s);
	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	for (unsigned i = 0; i < 2; i++) {
		const struct sa_params *p = last(i, SA_IN);
		cr_expect_eq(p->mode, SA_TRANSPORT);
		cr_expect(!p->udp_encap);
		cr_expect_eq(p->oa_remote.family, IP_NONE);
		cr_expect(ip_addr_equal(&p->sel.local.lo, &p->local));
	}
	two_nodes_end(s);
}

/* The initiator is one that knows no newer NAT traversal than that. */
static bool hide_newer(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg, size_t *len)
{
	static const uint8_t rfc[] = { 0x4a, 0x13, 0x1c, 0x81 }, draft3[] = { 0x7d, 0x94, 0x19, 0xa6 };
	const enum natt_version *version = ctx;

	(void)path;
	if (from != 1 || msg[18] != EXCH_IDENTITY_PROTECTION || get_u32(msg + 8) != 0)
		return true;
	for (size_t i = ISAKMP_HDR_LEN; i + 16 <= *len; i++)
		if ((*version < NATT_RFC3947 && memcmp(msg + i, rfc, 4) == 0) ||
		    (*version < NATT_DRAFT_03 && memcmp(msg + i, draft3, 4) == 0))
			msg[i] ^= 0xff;
	return true;
}

/* The initiator sits behind a NAT: it asks for its inner address, which means nothing to the
 * responder, who takes the one that it sees; and each learns what the other put into its checksums
 * (RFC 3947 section 5.2). */
static void transport_through_nat(enum natt_version version)
{
	struct sim *s = nodes_with(SIM_NAT, NULL, NULL);
	struct ip_addr inside = sim_peer_cfg(s, 1, 0)->local, outside = sim_peer_cfg(s, 0, 1)->remote;
	struct ip_addr hub = sim_peer_cfg(s, 0, 1)->local;

	cr_assert(!ip_addr_equal(&inside, &outside));
	set_transport(s);
	watch(s);
	sim_set_tap(s, hide_newer, &version);
	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	sim_set_tap(s, NULL, NULL);
	cr_expect_eq(node_sa(s, 0)->natt, version);
	const struct sa_params *p = last(0, SA_IN);
	cr_expect_eq(p->mode, SA_TRANSPORT);
	cr_expect(p->udp_encap);
	cr_expect(ip_addr_equal(&p->sel.remote.lo, &outside), "the address that it sees");
	cr_expect(ip_addr_equal(&p->oa_remote, &inside));
	if (version == NATT_RFC3947)
		cr_expect(ip_addr_equal(&p->oa_local, &hub));
	p = last(1, SA_IN);
	cr_expect(p->udp_encap);
	cr_expect(ip_addr_equal(&p->sel.local.lo, &inside));
	cr_expect(ip_addr_equal(&p->oa_remote, &hub));
	if (version == NATT_RFC3947)
		cr_expect(ip_addr_equal(&p->oa_local, &outside));
	two_nodes_end(s);
}

Test(quick, transport_mode_through_a_nat)
{
	transport_through_nat(NATT_RFC3947);
}

Test(quick, transport_mode_through_a_nat_with_the_drafts)
{
	transport_through_nat(NATT_DRAFT_03);
	transport_through_nat(NATT_DRAFT_02);
}

/* Somebody behind the NAT asks for another host than itself: that is no transport mode. */
Test(quick, transport_mode_through_a_nat_is_for_the_gateways_only)
{
	struct sim *s = nodes_with(SIM_NAT, NULL, NULL);

	set_transport(s);
	sim_peer_cfg(s, 1, 0)->children[0].sel.local.lo = ip_addr_v4(0xc0a80100);
	sim_start(s);
	sim_run(s, 5 * SEC);
	cr_expect_eq(sim_pairs(s, 0), 0);
	expect_text(sim_last_error(s, 0, 1), "match no child");
	two_nodes_end(s);
}

Test(quick, ah_behind_a_nat_is_refused_before_it_is_tried)
{
	struct sim *s = nodes_with(SIM_NAT, NULL, NULL);

	set_esp(s, "ah-sha256");
	sim_start(s);
	sim_run(s, 5 * SEC);
	cr_expect_eq(sim_pairs(s, 1), 0);
	expect_text(sim_last_error(s, 1, 0), "AH cannot pass the NAT");
	two_nodes_end(s);
}

static int install_not(void *ctx, const struct sa_params *p)
{
	(void)ctx;
	(void)p;
	return -ENOTSUP;
}

Test(quick, what_the_data_plane_cannot_do_is_named)
{
	struct sim *s = two_nodes();

	set_esp(s, "aes256ctr-sha384");
	sim_engine(s, 1)->ops.sa_install = install_not;
	sim_start(s);
	sim_run(s, 5 * SEC);
	cr_expect_eq(sim_pairs(s, 1), 0);
	expect_text(sim_last_error(s, 1, 0), "does not have aes256ctr-sha384 in tunnel mode");
	two_nodes_end(s);
}

/* ------------------------------------------------------------------- parallel pairs --------- */

#define PAIRS 4

struct numbered {
	struct sa_ref ref[PAIRS];
	uint32_t out[PAIRS];
	unsigned n, extra;
};

static void note_pair(void *ctx, const struct ike_child_info *i)
{
	struct numbered *l = ctx;

	if (!i->current)
		return;
	l->n++;
	if (i->pair < PAIRS && l->ref[i->pair].spi == 0) {
		l->ref[i->pair] = i->ref;
		l->out[i->pair] = i->spi_out;
	} else {
		l->extra++;
	}
}

static struct numbered pairs_of(struct sim *s, unsigned node)
{
	struct numbered l = { 0 };

	ike_child_foreach(sim_engine(s, node), note_pair, &l);
	return l;
}

static struct sim *parallel_up(unsigned at_hub)
{
	struct sim *s = two_nodes();

	sim_peer_cfg(s, 0, 1)->children[0].pairs = at_hub;
	sim_peer_cfg(s, 1, 0)->children[0].pairs = PAIRS;
	sim_start(s);
	sim_run(s, 5 * SEC);
	return s;
}

/* Both sides give a pair the same number, and so each its own lcore. */
Test(parallel, each_pair_has_its_number_and_lcore)
{
	struct sim *s = parallel_up(PAIRS);
	struct numbered a = pairs_of(s, 0), b = pairs_of(s, 1);

	cr_assert_eq(a.n, PAIRS);
	cr_assert_eq(b.n, PAIRS);
	cr_expect_eq(a.extra + b.extra, 0);
	for (unsigned i = 0; i < PAIRS; i++) {
		cr_expect_eq(a.ref[i].spi, b.out[i], "pair %u is another one at the other end", i);
		cr_expect_eq(a.ref[i].owner, i % SIM_WORKERS);
		cr_expect_eq(b.ref[i].owner, i % SIM_WORKERS);
	}
	two_nodes_end(s);
}

/* One is renewed, by either side or by both at once: it alone, and it keeps its number. */
Test(parallel, pairs_are_renewed_one_by_one)
{
	for (unsigned who = 1; who < 4; who++) {
		struct sim *s = parallel_up(PAIRS);
		struct numbered before = pairs_of(s, 0);
		for (unsigned node = 0; node < 2; node++) {
			struct peer *p = peer_find(sim_engine(s, node), node ? "node0" : "node1");
			struct pair *pair;
			if (!(who >> node & 1))
				continue;
			TAILQ_FOREACH(pair, &TAILQ_FIRST(&p->children)->pairs, link)
				if (pair->idx == 2)
					pair->rekey_due = true;
			peer_kick(p);
		}
		sim_run(s, 60 * SEC);
		struct numbered a = pairs_of(s, 0), b = pairs_of(s, 1);
		cr_expect_eq(a.n, PAIRS, "renewed by %u: %u pairs", who, a.n);
		cr_expect_eq(b.n, PAIRS);
		for (unsigned i = 0; i < PAIRS; i++) {
			cr_expect_eq(a.ref[i].spi, b.out[i]);
			cr_expect_eq(a.ref[i].spi != before.ref[i].spi, i == 2,
				     "pair %u, renewed by %u", i, who);
		}
		two_nodes_end(s);
	}
}

/* The other side wants fewer: it takes what is asked for, and leaves it alone. */
Test(parallel, the_side_that_wants_more_gets_it)
{
	struct sim *s = parallel_up(1);

	sim_run(s, 120 * SEC);
	cr_expect_eq(pairs_of(s, 0).n, PAIRS);
	cr_expect_eq(pairs_of(s, 1).n, PAIRS);
	cr_expect_lt(sim_totals(s).messages, 40, "they negotiate all the time");
	two_nodes_end(s);
}

Test(parallel, the_data_plane_learns_that_they_share)
{
	struct sim *s = two_nodes();

	sim_peer_cfg(s, 0, 1)->children[0].pairs = PAIRS;
	sim_peer_cfg(s, 1, 0)->children[0].pairs = PAIRS;
	watch(s);
	sim_start(s);
	sim_run(s, 5 * SEC);
	cr_expect(last(0, SA_OUT)->spread && last(1, SA_OUT)->spread);
	two_nodes_end(s);
	s = two_nodes();
	watch(s);
	sim_start(s);
	sim_run(s, 5 * SEC);
	cr_expect(!last(0, SA_OUT)->spread && !last(1, SA_OUT)->spread);
	two_nodes_end(s);
}

/* ----------------------------------------------------------------------- a NAT moves -------- */

/* Authenticated ESP is enough to follow a peer whose NAT took another port. */
Test(nat, esp_from_a_new_port_is_followed)
{
	struct sim *s = nodes_with(SIM_NAT, NULL, NULL);

	watch(s);
	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	uint16_t port = node_sa(s, 0)->path.remote_port;
	sim_rebind(s, 1);
	sim_run(s, 5 * SEC);
	cr_expect_eq(node_sa(s, 0)->path.remote_port, port + 1000);
	cr_expect_eq(last(0, SA_OUT)->remote_port, port + 1000, "the SA still sends to the old port");
	sim_run(s, 30 * SEC);
	must_be_up(s);
	two_nodes_end(s);
}

/* Without a NAT before the peer nothing moves it, whatever the source address of a packet says. */
Test(nat, who_is_behind_no_nat_does_not_move)
{
	for (unsigned forced = 0; forced < 2; forced++) {
		struct sim *s = two_nodes();
		struct ip_addr elsewhere = ip_addr_v4(0xcb007101);
		struct sa_ref ref;

		sim_peer_cfg(s, 0, 1)->force_encap = forced; /* the hub lies; node 1 does not */
		sim_start(s);
		sim_run(s, 5 * SEC);
		must_be_up(s);
		ref = node_pair(s, 0)->ref;
		struct ike_path path = node_sa(s, 0)->path;
		ike_peer_moved(sim_engine(s, 0), &ref, &elsewhere, 4711);
		cr_expect_arr_eq(&node_sa(s, 0)->path, &path, sizeof(path));
		two_nodes_end(s);
	}
}

/* ------------------------------------------------------------------- names by hand ---------- */

/* A list of networks is negotiated as many Quick Modes, and addressed by one name. */
Test(operator, a_list_of_networks_has_one_name)
{
	struct sim *s = nodes_with(0, NULL, NULL);

	for (unsigned i = 0; i < 2; i++) {
		struct ike_peer_cfg *p = sim_peer_cfg(s, i, 1 - i);
		p->children = realloc(p->children, 2 * sizeof(*p->children));
		p->n_children = 2;
		p->children[1] = p->children[0];
		snprintf(p->children[1].name, IKE_NAME_LEN, "net-2");
		snprintf(p->children[0].name, IKE_NAME_LEN, "net");
		snprintf(p->children[0].list, IKE_NAME_LEN, "net");
		snprintf(p->children[1].list, IKE_NAME_LEN, "net");
		p->children[1].policy++;
		p->children[1].sel.local.lo.b[2]++;
		p->children[1].sel.local.hi.b[2]++;
		p->children[1].sel.remote.lo.b[2]++;
		p->children[1].sel.remote.hi.b[2]++;
		p->children[0].start = p->children[1].start = START_PASSIVE;
	}
	sim_start(s);
	sim_run(s, SEC);
	cr_expect_eq(ike_up(sim_engine(s, 1), "node0/net-2"), 0);
	sim_run(s, 5 * SEC);
	cr_expect_eq(sim_pairs(s, 1), 1);
	cr_expect_eq(ike_up(sim_engine(s, 1), "node0/net"), 0);
	sim_run(s, 5 * SEC);
	cr_expect_eq(sim_pairs(s, 1), 2);
	cr_expect_eq(ike_up(sim_engine(s, 1), "node0/net"), -EALREADY);
	uint64_t before = sim_totals(s).messages;
	cr_expect_eq(ike_rekey(sim_engine(s, 1), "node0/net"), 0);
	sim_run(s, 5 * SEC);
	cr_expect_eq(sim_totals(s).messages, before + 6, "two Quick Modes");
	cr_expect_eq(ike_down(sim_engine(s, 1), "node0/net"), 0);
	sim_run(s, 5 * SEC);
	cr_expect_eq(sim_pairs(s, 1), 0);
	cr_expect_eq(ike_down(sim_engine(s, 1), "node0/net"), -EALREADY);
	cr_expect_eq(ike_down(sim_engine(s, 1), "node0/ne"), -ENOENT);
	two_nodes_end(s);
}

Test(operator, one_of_parallel_pairs_is_renewed_by_its_number)
{
	struct sim *s = parallel_up(PAIRS);
	struct numbered before = pairs_of(s, 1);

	cr_expect_eq(ike_rekey(sim_engine(s, 1), "node0/net0#3"), 0);
	sim_run(s, 60 * SEC);
	struct numbered after = pairs_of(s, 1);
	for (unsigned i = 0; i < PAIRS; i++)
		cr_expect_eq(before.ref[i].spi != after.ref[i].spi, i == 3, "pair %u", i);
	cr_expect_eq(ike_rekey(sim_engine(s, 1), "node0/net0#4"), -ENOTCONN);
	cr_expect_eq(ike_rekey(sim_engine(s, 1), "node0/net0#"), -ENOENT);
	cr_expect_eq(ike_rekey(sim_engine(s, 1), "node0/net0#x"), -ENOENT);
	cr_expect_eq(ike_rekey(sim_engine(s, 1), "node0/net0#1000"), -ENOENT);
	cr_expect_eq(ike_rekey(sim_engine(s, 1), "node0/#1"), -ENOENT);
	two_nodes_end(s);
}

/* The same integrity, once within ESP and once as AH: not the same child. */
Test(operator, a_reload_notices_a_change_from_esp_to_ah)
{
	struct sim *s = two_nodes();

	set_esp(s, "null-sha256");
	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	for (unsigned i = 0; i < 2; i++) {
		struct ike_peer_cfg *p = sim_peer_cfg(s, i, 1 - i);
		p->children[0].esp[0].encr = ENCR_NONE;
		cr_assert_eq(ike_peer_set(sim_engine(s, i), p), 0);
		p->children[0].esp[0].ah = true;
		cr_assert_eq(ike_peer_set(sim_engine(s, i), p), 0);
	}
	sim_run(s, 30 * SEC);
	must_be_up(s);
	cr_expect(node_pair(s, 0)->t.ah && node_pair(s, 1)->t.ah);
	two_nodes_end(s);
}
