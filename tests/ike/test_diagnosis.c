/* What is wrong, as data: each misconfiguration between two nodes, what either side makes of it,
 * and the lines that would mend it. Node 1 initiates. */
#include <stdio.h>

#include "two_nodes.h"

/* Runs until everything has been tried and given up once. */
static void try_for(struct sim *s, unsigned seconds)
{
	sim_start(s);
	sim_run(s, seconds * SEC);
}

static const struct ike_diagnosis *must(struct sim *s, unsigned node, enum ike_diag code)
{
	const struct ike_diagnosis *d = sim_diagnosis(s, node, code);

	cr_assert_not_null(d, "node %u does not say %s, but: %s", node, diagnosis_code_name(code),
			   sim_last_error(s, node, 1 - node));
	return d;
}

static const char *address(const char *before, const struct ip_addr *a, const char *after)
{
	static char text[4][128];
	static unsigned next;
	char *buf = text[next++ % 4], addr[ADDR_STR_LEN];

	snprintf(buf, 128, "%s%s%s", before, ip_addr_str(a, addr, sizeof(addr)), after);
	return buf;
}

static void expect_difference(const struct ike_diagnosis *d, unsigned i, const char *what,
			      const char *ours, const char *theirs)
{
	cr_assert_lt(i, d->n_diff);
	cr_expect_str_eq(d->diff[i].what, what);
	cr_expect_str_eq(d->diff[i].ours, ours);
	cr_expect_str_eq(d->diff[i].theirs, theirs);
}

Test(diagnosis, every_kind_has_a_name)
{
	for (unsigned i = 0; i < IKE_DIAG_COUNT; i++)
		for (unsigned k = 0; k < i; k++)
			cr_expect_str_neq(diagnosis_code_name(i), diagnosis_code_name(k));
}

Test(diagnosis, phase1_transform)
{
	struct sim *s = two_nodes();

	sim_peer_cfg(s, 0, 1)->ike[0].group = 14;
	try_for(s, 2);
	const struct ike_diagnosis *d = must(s, 0, IKE_DIAG_PHASE1_TRANSFORM);
	cr_expect_eq(d->offer, 1);
	cr_expect_eq(d->transform, 1);
	cr_expect(!d->probable && !d->degraded && !d->initiator);
	expect_difference(d, 0, "GROUP", "modp2048", "ecp256");
	cr_expect_str_eq(d->mend, "proposals: [aes128-sha256-modp2048, aes128-sha256-ecp256]");
	cr_expect_str_eq(d->where, "peer node1");
	cr_expect_str_eq(d->text,
			 "no phase 1 proposal of node1 is acceptable: offer 1, transform 1: "
			 "only GROUP differs: peer ecp256, ours modp2048");
	/* the initiator hears that without proof */
	d = must(s, 1, IKE_DIAG_PHASE1_REFUSED);
	cr_expect(d->probable && d->initiator && !d->hint.proved);
	expect_text(d->mend, "proposals: [aes128-sha256-ecp256, aes256-");
	sim_run(s, 80 * SEC); /* and says it again, with all that, when it gives up */
	expect_text(sim_last_error(s, 1, 0), "NO-PROPOSAL-CHOSEN");
	two_nodes_end(s);
}

Test(diagnosis, phase1_several_differ)
{
	struct sim *s = two_nodes();

	sim_peer_cfg(s, 0, 1)->ike[0] =
		(struct ike_transform){ ENCR_AES_CBC, 256, HASH_SHA512, 14 };
	sim_peer_cfg(s, 1, 0)->ike[0] = (struct ike_transform){ ENCR_3DES, 192, HASH_SHA1, 2 };
	try_for(s, 2);
	const struct ike_diagnosis *d = must(s, 0, IKE_DIAG_PHASE1_TRANSFORM);
	cr_expect_eq(d->n_diff, 3);
	expect_difference(d, 1, "HASH", "sha512", "sha1");
	expect_text(d->mend, "3des-sha1-modp1024]  # weak: ");
	two_nodes_end(s);
}

Test(diagnosis, pre_shared_key)
{
	struct sim *s = nodes_with(0, "secret", "Secret");

	try_for(s, 90);
	const struct ike_diagnosis *d = must(s, 0, IKE_DIAG_PSK);
	cr_expect(d->probable);
	cr_expect_str_eq(d->secret, "secret-1");
	expect_text(d->mend, "secret: secret-1  # ");
	cr_expect_null(strstr(d->mend, "secret:  "));
	expect_text(must(s, 1, IKE_DIAG_PSK)->text, "(secret secret-0)");
	cr_expect_null(sim_diagnosis(s, 1, IKE_DIAG_NATT_BLOCKED));
	two_nodes_end(s);
}

Test(diagnosis, identity)
{
	struct sim *s = two_nodes();

	ike_id_from_text("somebody.else", &sim_peer_cfg(s, 0, 1)->remote_id);
	try_for(s, 90);
	const struct ike_diagnosis *d = must(s, 0, IKE_DIAG_IDENTITY);
	expect_difference(d, 0, "ID", "FQDN somebody.else", "FQDN node1");
	cr_expect_str_eq(d->mend, "remote-id: \"node1\"");
	d = must(s, 1, IKE_DIAG_OUR_IDENTITY); /* not the secret: it says what it did not like */
	expect_text(d->mend, "local-id: \"node1\"");
	cr_expect_null(sim_diagnosis(s, 1, IKE_DIAG_PSK));
	two_nodes_end(s);
}

/* Node 1 initiates, and does not believe the answer: node 0 hears of it when its SA stands already. */
Test(diagnosis, identity_of_the_responder)
{
	struct sim *s = two_nodes();

	ike_id_from_text("somebody.else", &sim_peer_cfg(s, 1, 0)->remote_id);
	try_for(s, 90);
	must(s, 1, IKE_DIAG_IDENTITY);
	const struct ike_diagnosis *d = must(s, 0, IKE_DIAG_OUR_IDENTITY);
	cr_expect(!d->initiator);
	cr_expect_eq(d->message, 6);
	expect_text(d->mend, "local-id: \"node0\"");
	two_nodes_end(s);
}

/* A peer that has done with us says nothing about who we are. */
Test(diagnosis, an_ordinary_delete_is_none)
{
	struct sim *s = two_nodes();

	try_for(s, 2);
	must_be_up(s);
	cr_assert_eq(ike_down(sim_engine(s, 1), "node0"), 0);
	sim_run(s, 10 * SEC);
	cr_expect_null(sim_diagnosis(s, 0, IKE_DIAG_OUR_IDENTITY));
	two_nodes_end(s);
}

/* Node 1 says its inner address, node 0 expects the one that it sees. */
Test(diagnosis, identity_behind_a_nat)
{
	struct sim *s = nodes_with(SIM_NAT, NULL, NULL);

	sim_peer_cfg(s, 1, 0)->local_id.type = 0;
	sim_peer_cfg(s, 0, 1)->remote_id.type = 0;
	try_for(s, 5);
	const struct ike_diagnosis *d = must(s, 0, IKE_DIAG_IDENTITY);
	cr_expect(d->nat);
	const struct ip_addr *seen = &sim_peer_cfg(s, 0, 1)->remote,
			     *inner = &sim_peer_cfg(s, 1, 0)->local;
	cr_assert_not(ip_addr_equal(seen, inner));
	expect_difference(d, 0, "ID", address("IPv4 address ", seen, ""),
			  address("IPv4 address ", inner, ""));
	cr_expect_str_eq(d->mend, address("remote-id: \"", inner, "\""));
	expect_text(d->text, "behind a NAT");
	two_nodes_end(s);
}

Test(diagnosis, selectors)
{
	struct sim *s = two_nodes();
	struct selector *sel = &sim_peer_cfg(s, 0, 1)->children[0].sel;

	sel->local.hi = ip_addr_v4(ip_addr_to_v4(&sel->local.lo) | 127);
	sel->proto = 6;
	sel->local_port = 80;
	try_for(s, 3);
	const struct ike_diagnosis *d = must(s, 0, IKE_DIAG_SELECTORS);
	cr_expect_str_eq(d->child, "net0");
	expect_difference(d, 1, "LOCAL", "10.0.0.0/25", "10.0.0.0/24");
	expect_difference(d, 2, "PROTOCOL", "6", "any");
	expect_difference(d, 3, "LOCAL-PORT", "80", "any");
	cr_expect_eq(d->n_diff, 4);
	cr_expect_str_eq(d->mend, "local: [10.0.0.0/24]\nprotocol: 0\nlocal-port: 0");
	cr_expect_str_eq(d->where, "peer node1, child net0");
	d = must(s, 1, IKE_DIAG_SELECTORS);
	cr_expect(d->initiator && d->hint.proved);
	expect_difference(d, 0, "SELECTORS", "10.1.0.0/24 === 10.0.0.0/24", "not told");
	two_nodes_end(s);
}

Test(diagnosis, selectors_that_nothing_is_near)
{
	struct sim *s = two_nodes();
	struct selector *sel = &sim_peer_cfg(s, 0, 1)->children[0].sel;

	sel->local.lo = sel->local.hi = ip_addr_v4(0x0b000001);
	sel->remote.lo = sel->remote.hi = ip_addr_v4(0x0b000002);
	try_for(s, 3);
	const struct ike_diagnosis *d = must(s, 0, IKE_DIAG_SELECTORS);
	cr_expect_str_eq(d->child, "");
	cr_expect_str_eq(d->where, "peer node1, children");
	expect_text(d->mend, "- name: new\n  local: [10.0.0.0/24]\n  remote: [10.1.0.0/24]\n"
			     "  proposals: [aes128gcm16]");
	two_nodes_end(s);
}

static void pfs(uint16_t ours, uint16_t theirs, const char *mend, const char *guess)
{
	struct sim *s = two_nodes();

	sim_peer_cfg(s, 0, 1)->children[0].esp[0].group = ours;
	sim_peer_cfg(s, 1, 0)->children[0].esp[0].group = theirs;
	try_for(s, 3);
	const struct ike_diagnosis *d = must(s, 0, IKE_DIAG_PFS);
	cr_expect_eq(d->n_diff, 1);
	cr_expect_str_eq(d->mend, mend);
	d = must(s, 1, IKE_DIAG_PHASE2_REFUSED);
	cr_expect(d->probable);
	expect_text(d->mend, guess);
	two_nodes_end(s);
}

Test(diagnosis, pfs_wanted_by_the_responder)
{
	pfs(19, 0, "proposals: [aes128gcm16]",
	    "proposals: [aes128gcm16-ecp256]  # if it wants PFS");
}

Test(diagnosis, pfs_with_other_groups)
{
	pfs(19, 14, "proposals: [aes128gcm16-modp2048]",
	    "proposals: [aes128gcm16]  # if it wants no PFS");
}

Test(diagnosis, phase2_transform)
{
	struct sim *s = two_nodes();

	sim_peer_cfg(s, 1, 0)->children[0].esp[0] = (struct esp_transform){
		.encr = ENCR_AES_CBC, .key_bits = 256, .integ = INTEG_HMAC_SHA256_128
	};
	try_for(s, 3);
	const struct ike_diagnosis *d = must(s, 0, IKE_DIAG_PHASE2_TRANSFORM);
	expect_difference(d, 0, "ENCR", "AES-GCM-16 with 128 bits", "AES-CBC with 256 bits");
	expect_difference(d, 1, "AUTH", "none", "HMAC-SHA256-128");
	cr_expect_str_eq(d->mend, "proposals: [aes128gcm16, aes256-sha256]");
	must(s, 1, IKE_DIAG_PHASE2_REFUSED);
	two_nodes_end(s);
}

Test(diagnosis, mode)
{
	struct sim *s = two_nodes();

	sim_peer_cfg(s, 0, 1)->children[0].mode = SA_TRANSPORT;
	try_for(s, 3);
	const struct ike_diagnosis *d = must(s, 0, IKE_DIAG_MODE);
	expect_difference(d, 0, "MODE", "transport", "tunnel");
	cr_expect_str_eq(d->mend, "mode: tunnel");
	expect_text(d->text, "only MODE differs: peer asks tunnel, path needs transport");
	two_nodes_end(s);
}

static bool drop_all_of_4500(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg,
			     size_t *len)
{
	(void)ctx;
	(void)from;
	(void)msg;
	(void)len;
	return path->local_port != 4500;
}

Test(diagnosis, natt_blocked)
{
	struct sim *s = nodes_with(SIM_NAT, NULL, NULL);

	sim_set_tap(s, drop_all_of_4500, NULL);
	try_for(s, 90);
	const struct ike_diagnosis *d = must(s, 1, IKE_DIAG_NATT_BLOCKED);
	cr_expect_eq(d->port, 4500);
	cr_expect(d->probable);
	must(s, 0, IKE_DIAG_NATT_BLOCKED);
	cr_expect_null(sim_diagnosis(s, 1, IKE_DIAG_PSK));
	two_nodes_end(s);
}

static bool drop_all(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg, size_t *len)
{
	(void)ctx;
	(void)path;
	(void)msg;
	(void)len;
	return from != 0;
}

Test(diagnosis, silent)
{
	struct sim *s = two_nodes();

	sim_set_tap(s, drop_all, NULL);
	try_for(s, 90);
	const struct ike_diagnosis *d = must(s, 1, IKE_DIAG_SILENT);
	cr_expect_eq(d->port, 500);
	cr_expect_eq(d->message, 1);
	cr_expect_eq(d->sent, 6);
	expect_text(d->mend, address("remote: ", &sim_peer_cfg(s, 1, 0)->remote, "  # "));
	two_nodes_end(s);
}

Test(diagnosis, other_exchange_and_version)
{
	struct sim *s = two_nodes();
	uint8_t msg[28] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	struct ike_path path = { sim_peer_cfg(s, 0, 1)->local, sim_peer_cfg(s, 0, 1)->remote, 500,
				 500 };

	try_for(s, 2);
	msg[16] = PL_SA;
	msg[17] = 0x10;
	msg[18] = EXCH_AGGRESSIVE;
	msg[27] = sizeof(msg);
	ike_input(sim_engine(s, 0), &path, msg, sizeof(msg));
	expect_difference(must(s, 0, IKE_DIAG_EXCHANGE), 0, "EXCHANGE", "IKEv1 Main Mode",
			  "IKEv1 Aggressive Mode");
	sim_run(s, 6 * SEC);
	msg[17] = 0x20;
	msg[18] = 34;
	ike_input(sim_engine(s, 0), &path, msg, sizeof(msg));
	expect_difference(must(s, 0, IKE_DIAG_EXCHANGE), 0, "EXCHANGE", "IKEv1 Main Mode", "IKEv2");
	must_be_up(s); /* and nothing more came of it */
	two_nodes_end(s);
}

/* Its answer to our first message is one of IKEv2's. */
static bool answers_v2(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg, size_t *len)
{
	(void)ctx;
	(void)path;
	(void)len;
	if (from == 0) {
		msg[17] = 0x20;
		msg[18] = 34;
	}
	return true;
}

Test(diagnosis, answered_in_another_version)
{
	struct sim *s = two_nodes();

	sim_set_tap(s, answers_v2, NULL);
	try_for(s, 90);
	const struct ike_diagnosis *d = must(s, 1, IKE_DIAG_EXCHANGE);
	cr_expect(d->initiator);
	expect_text(sim_last_error(s, 1, 0),
		    "node0 does not speak IKEv1 Main Mode: it answers with IKEv2");
	two_nodes_end(s);
}

Test(diagnosis, truncation)
{
	struct sim *s = two_nodes();

	for (unsigned i = 0; i < 2; i++)
		sim_peer_cfg(s, i, 1 - i)->children[0].esp[0] = (struct esp_transform){
			.encr = ENCR_AES_CBC, .key_bits = 256, .integ = INTEG_HMAC_SHA256_128
		};
	try_for(s, 3);
	must_be_up(s);
	struct pair *pair = node_pair(s, 0);
	ike_sa_garbled(sim_engine(s, 0), &pair->ref, 12);
	const struct ike_diagnosis *d = must(s, 0, IKE_DIAG_TRUNCATION);
	cr_expect(d->degraded && d->probable);
	expect_difference(d, 0, "ICV", "128", "96");
	cr_expect_str_eq(d->mend, "proposals: [aes256-sha256_96]");
	expect_text(d->text, "(12 of 12, aes256-sha256, SPI ");
	two_nodes_end(s);
}

Test(diagnosis, integrity_of_other_algorithms)
{
	struct sim *s = two_nodes();

	try_for(s, 3);
	ike_sa_garbled(sim_engine(s, 0), &node_pair(s, 0)->ref, 8);
	must(s, 0, IKE_DIAG_INTEGRITY);
	two_nodes_end(s);
}

static const struct ike_diagnosis *lives(struct sim *s, uint32_t phase1, uint32_t phase2,
					 uint64_t kb)
{
	sim_peer_cfg(s, 1, 0)->life_s = phase1;
	sim_peer_cfg(s, 1, 0)->children[0].life_s = phase2;
	sim_peer_cfg(s, 1, 0)->children[0].life_kb = kb;
	try_for(s, 3);
	must_be_up(s);
	return sim_diagnosis(s, 0, IKE_DIAG_LIFETIME);
}

Test(diagnosis, lifetime_of_phase1)
{
	struct sim *s = two_nodes();
	const struct ike_diagnosis *d = lives(s, 7200, 1800, 0);

	cr_assert_not_null(d);
	cr_expect(d->degraded);
	expect_difference(d, 0, "SECONDS", "3600 s", "7200 s");
	cr_expect_str_eq(d->mend, "lifetime: 2h");
	cr_expect_str_eq(d->where, "peer node1");
	cr_expect_str_eq(sim_last_error(s, 0, 1), ""); /* it is no error */
	two_nodes_end(s);
}

Test(diagnosis, lifetime_of_phase2)
{
	struct sim *s = two_nodes();
	const struct ike_diagnosis *d = lives(s, 3600, 90 * 60, 0);

	cr_assert_not_null(d);
	expect_difference(d, 0, "SECONDS", "1800 s", "5400 s");
	cr_expect_str_eq(d->mend, "lifetime: 90m");
	cr_expect_str_eq(d->where, "peer node1, child net0");
	two_nodes_end(s);
}

/* Told by RESPONDER-LIFETIME; and a tenth more or less is agreement. */
Test(diagnosis, lifetime_as_the_initiator)
{
	struct sim *s = two_nodes();

	cr_expect_null(lives(s, 3900, 1700, 0));
	two_nodes_end(s);
	s = two_nodes();
	sim_peer_cfg(s, 0, 1)->children[0].life_s = 600;
	lives(s, 3600, 1800, 0);
	const struct ike_diagnosis *d = must(s, 1, IKE_DIAG_LIFETIME);
	expect_difference(d, 0, "SECONDS", "1800 s", "600 s");
	cr_expect_str_eq(d->mend, "lifetime: 10m");
	two_nodes_end(s);
}
