/* Messages in fragments: cut and put together between two engines, and what an attacker can do with
 * them. fragment.h says what the rules are. */
#include <stdio.h>

#include "bytes.h"
#include "cert.h"
#include "fragment.h"
#include "pki.h"
#include "two_nodes.h"

#define SIZE    256 /* bytes of a packet */
#define HEADERS 28  /* of IP and UDP */
#define FILLERS 60  /* names that make a certificate of 3 KB */
#define SAVED   64  /* fragments that a tap keeps */

static struct cert_own *own[2];
static struct cert_store *trust;

static void cert_make(unsigned i, X509 *ca, EVP_PKEY *ca_key)
{
	char san[4096], why[CERT_WHY_LEN] = "";
	EVP_PKEY *key = pki_key("EC:P-256");
	size_t n = (size_t)snprintf(san, sizeof(san), "DNS:node%u", i);

	for (unsigned k = 0; k < FILLERS; k++)
		n += (size_t)snprintf(san + n, sizeof(san) - n,
				      ",DNS:a-name-that-is-only-there-to-be-long-%02u.example", k);
	X509 *cert = pki_cert(&(struct pki_cert){
		.cn = "node", .san = san, .issuer = ca, .issuer_key = ca_key, .key = key });
	cr_assert_eq(cert_own_load(pki_write_cert("own.pem", &cert, 1, false),
				   pki_write_key("own.key", key, NULL, 0600), NULL, &own[i], why,
				   sizeof(why)),
		     0, "%s", why);
	X509_free(cert);
	EVP_PKEY_free(key);
}

/* Two nodes with long certificates. */
static struct sim *long_certs(enum fragmentation mode0, enum fragmentation mode1)
{
	const enum fragmentation mode[2] = { mode0, mode1 };
	struct sim *s = two_nodes();
	EVP_PKEY *key = pki_key("EC:P-256");
	X509 *ca = pki_cert(&(struct pki_cert){ .cn = "Test CA", .key = key, .ca = true });
	char why[CERT_WHY_LEN] = "";

	trust = cert_store_new(CRL_IF_PRESENT);
	cr_assert_eq(
		cert_store_add_ca(trust, pki_write_cert("ca.pem", &ca, 1, false), why, sizeof(why)),
		0, "%s", why);
	for (unsigned i = 0; i < 2; i++) {
		struct ike_peer_cfg *p = sim_peer_cfg(s, i, 1 - i);
		cert_make(i, ca, key);
		p->auth = AUTH_ECDSA_256;
		p->own = own[i];
		p->trust = trust;
		p->fragmentation = mode[i];
		p->fragment_size = SIZE;
	}
	X509_free(ca);
	EVP_PKEY_free(key);
	pki_clean();
	return s;
}

static void long_certs_end(struct sim *s)
{
	two_nodes_end(s);
	cert_own_free(own[0]);
	cert_own_free(own[1]);
	cert_store_free(trust);
}

static struct ike_totals totals(struct sim *s, unsigned node)
{
	struct ike_totals t;

	ike_totals(sim_engine(s, node), &t);
	return t;
}

/* What the wire carried. */
struct wire {
	struct sim *s;
	unsigned fragments, too_long,
		first; /* too_long: packets beyond SIZE; first: of message 1 */
	bool natt, lossy;
	unsigned lost, seen;
};

static bool watch(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg, size_t *len)
{
	struct wire *w = ctx;
	bool fragment = msg[16] == PL_FRAGMENT;
	size_t marker = path->local_port == 4500 ? 4 : 0;

	(void)from;
	w->fragments += fragment;
	w->first += fragment && get_u32(msg + 8) == 0 && get_u32(msg + 12) == 0;
	w->too_long += *len + HEADERS + marker > SIZE;
	w->natt |= fragment && marker;
	cr_expect(!fragment || !(msg[19] & ISAKMP_FLAG_ENC),
		  "a fragment says that it is encrypted");
	/* a third, and not always the same ones of a set */
	if (w->lossy && fragment && (++w->seen * 2654435761u >> 24) % 3 == 0) {
		w->lost++;
		return false;
	}
	return true;
}

Test(fragment, parsing)
{
	uint8_t b[6] = { 0x12, 0x34, 7, 0xff, 0xaa, 0xbb };
	struct fragment f;

	cr_expect_eq(fragment_parse((struct view){ b, 6 }, &f), 0);
	cr_expect_eq(f.id, 0x1234);
	cr_expect_eq(f.number, 7);
	cr_expect(f.last, "other flags do not count");
	cr_expect(f.data.len == 2 && f.data.p == b + 4);
	b[3] = 0xfe;
	cr_expect_eq(fragment_parse((struct view){ b, 6 }, &f), 0);
	cr_expect_not(f.last);
	cr_expect_neq(fragment_parse((struct view){ b, 4 }, &f), 0, "without data");
	b[2] = 0;
	cr_expect_neq(fragment_parse((struct view){ b, 6 }, &f), 0, "number 0");
	b[2] = IKE_MAX_FRAGMENTS + 1;
	cr_expect_neq(fragment_parse((struct view){ b, 6 }, &f), 0, "number beyond the limit");
}

/* Announced by both: certificates go in fragments, and what is short goes whole. */
Test(fragment, both_sides_cut_and_join)
{
	struct sim *s = long_certs(FRAGMENTATION_YES, FRAGMENTATION_YES);
	struct wire w = { .s = s };

	sim_set_tap(s, watch, &w);
	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	for (unsigned i = 0; i < 2; i++) {
		struct ike_totals t = totals(s, i), o = totals(s, 1 - i);
		cr_expect_geq(t.fragments_out, 15, "node %u: %u", i, (unsigned)t.fragments_out);
		cr_expect_eq(t.fragments_in, o.fragments_out);
		cr_expect_geq(t.reassembled, 1);
		cr_expect_eq(t.fragments_dropped + t.fragment_sets_dropped, 0);
		cr_expect_eq(t.retransmits, 0);
	}
	cr_expect_eq(w.first, 0, "nothing was announced before message 1");
	long_certs_end(s);
}

/* Nobody has announced anything before the first message. */
Test(fragment, force_begins_with_the_first_message)
{
	struct sim *s = long_certs(FRAGMENTATION_FORCE, FRAGMENTATION_FORCE);
	struct wire w = { .s = s };

	for (unsigned i = 0; i < 2; i++) {
		struct ike_peer_cfg *p = sim_peer_cfg(s, i, 1 - i);
		p->force_encap = true;
		p->ike[1] = p->ike[2] = p->ike[0];
		p->ike[1].hash = HASH_SHA384;
		p->ike[2].hash = HASH_SHA512;
		p->n_ike = 3; /* so that message 1 is too long */
	}
	sim_set_tap(s, watch, &w);
	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	cr_expect_geq(w.first, 2);
	cr_expect_eq(w.too_long, 0, "%u packets are longer than %u bytes", w.too_long, SIZE);
	cr_expect(w.natt, "and on port 4500, where a marker takes 4 bytes");
	long_certs_end(s);
}

static void not_agreed(enum fragmentation mode0, enum fragmentation mode1)
{
	struct sim *s = long_certs(mode0, mode1);
	struct wire w = { .s = s };

	sim_set_tap(s, watch, &w);
	sim_start(s);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	cr_expect_eq(w.fragments, 0);
	cr_expect_gt(w.too_long, 0, "the certificates are longer than that");
	long_certs_end(s);
}

Test(fragment, not_when_the_initiator_does_not_want_it)
{
	not_agreed(FRAGMENTATION_YES, FRAGMENTATION_NO);
}

Test(fragment, not_when_the_responder_does_not_want_it)
{
	not_agreed(FRAGMENTATION_NO, FRAGMENTATION_YES);
}

/* Whoever said no gets none put together, and counts them. */
Test(fragment, no_takes_none)
{
	struct sim *s = long_certs(FRAGMENTATION_NO, FRAGMENTATION_FORCE);
	struct ike_totals t;

	sim_start(s);
	sim_run(s, 5 * SEC);
	t = totals(s, 0);
	cr_expect_gt(t.fragments_in, 0);
	cr_expect_eq(t.fragments_dropped, t.fragments_in);
	cr_expect_eq(t.reassembled, 0);
	cr_expect_null(node_sa(s, 0));
	long_certs_end(s);
}

/* Who has said, in the name of another connection, that it takes them, takes them. */
Test(fragment, what_was_announced_is_taken)
{
	struct sim *s = long_certs(FRAGMENTATION_YES, FRAGMENTATION_YES);
	struct isakmp_sa *sa;
	struct ike_totals t;

	sim_start(s);
	for (unsigned i = 0; i < 5000 && !(sim_engine(s, 0) && node_sa(s, 0)); i++)
		sim_run(s, SEC / 1000);
	sa = node_sa(s, 0);
	cr_assert(sa && sa->told_fragments);
	sa->peer->cfg.fragmentation = FRAGMENTATION_NO;
	sim_run(s, 5 * SEC);
	t = totals(s, 0);
	cr_expect_eq(t.fragments_dropped, 0);
	must_be_up(s);
	long_certs_end(s);
}

/* The sets of every transmission complete each other: with a third of the fragments lost, no set of
 * some fifteen ever comes through whole. */
Test(fragment, retransmissions_complete_each_other)
{
	struct sim *s = long_certs(FRAGMENTATION_YES, FRAGMENTATION_YES);
	struct wire w = { .s = s, .lossy = true };

	sim_set_tap(s, watch, &w);
	sim_start(s);
	sim_run(s, 20 * SEC);
	must_be_up(s);
	cr_expect_gt(w.lost, 10);
	cr_expect_gt(totals(s, 1).retransmits, 0);
	cr_expect_eq(totals(s, 0).phase1.failed + totals(s, 1).phase1.failed, 0);
	long_certs_end(s);
}

Test(fragment, lost_doubled_and_overtaking)
{
	struct sim *s = long_certs(FRAGMENTATION_YES, FRAGMENTATION_YES);

	sim_set_faults(s, SIM_LOSS | SIM_DUP);
	sim_start(s);
	sim_run(s, 60 * SEC);
	sim_set_faults(s, 0);
	sim_run(s, 60 * SEC);
	must_be_up(s);
	cr_expect_gt(totals(s, 0).reassembled, 0);
	long_certs_end(s);
}

/* --------------------------------------------------------------- order, duplicates, forgeries ----
 */

/* Keeps the fragments of node 1's last Main Mode message. */
struct saved {
	uint8_t msg[SAVED][SIZE];
	size_t len[SAVED];
	unsigned n;
	struct ike_path path;
	bool lose_answers; /* of node 0, in fragments */
	unsigned answers;
};

static bool save(void *ctx, unsigned from, struct ike_path *path, uint8_t *msg, size_t *len)
{
	struct saved *v = ctx;

	if (msg[16] != PL_FRAGMENT)
		return true;
	if (get_u16(msg + 32) < 3) /* message 3: the second that node 1 sent */
		return true;
	if (from == 0) {
		v->answers++;
		return !v->lose_answers;
	}
	if (v->n < SAVED && *len <= SIZE) {
		memcpy(v->msg[v->n], msg, *len);
		v->len[v->n++] = *len;
		v->path = path_back(path);
	}
	return false;
}

static uint64_t joined; /* messages until now */

/* Node 0 waits for message 5, whose fragments are in v. */
static struct sim *message_5(struct saved *v)
{
	struct sim *s = long_certs(FRAGMENTATION_YES, FRAGMENTATION_YES);

	sim_set_tap(s, save, v);
	sim_start(s);
	sim_run(s, SEC / 2);
	cr_assert_geq(v->n, 10);
	joined = totals(s, 0).reassembled;
	return s;
}

static void give(struct sim *s, const struct saved *v, unsigned i)
{
	ike_input(sim_engine(s, 0), &v->path, v->msg[i], v->len[i]);
}

Test(fragment, any_order_and_duplicates)
{
	struct saved v = { .n = 0 };
	struct sim *s = message_5(&v);
	struct ike_totals t;

	for (unsigned i = v.n; i-- > 1;) {
		give(s, &v, i);
		give(s, &v, i);
	}
	cr_expect_eq(totals(s, 0).reassembled - joined, 0);
	give(s, &v, 0);
	t = totals(s, 0);
	cr_expect_eq(t.reassembled - joined, 1);
	cr_expect_eq(t.fragment_sets_dropped, 0);
	sim_set_tap(s, NULL, NULL);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	long_certs_end(s);
}

/* A message that is repeated because its answer got lost is a duplicate as a whole: answered once
 * for each time that it was sent. */
Test(fragment, duplicates_of_the_whole_are_answered)
{
	struct saved v = { .lose_answers = true };
	struct sim *s = message_5(&v);

	for (unsigned i = 0; i < v.n; i++)
		give(s, &v, i);
	sim_run(s, SEC / 10); /* certificate and signature: jobs */
	unsigned one = v.answers;
	cr_expect_gt(one, 0);
	for (unsigned i = 0; i < v.n; i++)
		give(s, &v, i);
	cr_expect_eq(v.answers, one, "copies that the network made are no reason to answer");
	sim_run(s, SEC / 2);
	for (unsigned i = 3; i < v.n; i++) /* some of the second transmission get lost */
		give(s, &v, i);
	cr_expect_eq(v.answers, 2 * one);
	cr_expect_eq(totals(s, 0).duplicates, 1);
	cr_expect_eq(totals(s, 0).reassembled - joined, 1);
	sim_set_tap(s, NULL, NULL);
	sim_run(s, 10 * SEC);
	must_be_up(s);
	long_certs_end(s);
}

/* Somebody who sees the cookies puts in a fragment of his own: that set is worth nothing, the next
 * transmission is a new one. */
Test(fragment, contradictions_end_a_set)
{
	struct saved v = { .n = 0 };
	struct sim *s = message_5(&v);

	for (unsigned i = 0; i + 1 < v.n; i++)
		give(s, &v, i);
	v.msg[3][100] ^= 1;
	give(s, &v, 3);
	v.msg[3][100] ^= 1;
	give(s, &v, v.n - 1);
	cr_expect_eq(totals(s, 0).fragment_sets_dropped, 1);
	cr_expect_eq(totals(s, 0).reassembled - joined, 0);
	/* a last fragment in the middle of those that are there already, and one behind the last */
	v.msg[2][35] |= FRAGMENT_LAST;
	give(s, &v, 2);
	v.msg[2][35] = 0;
	cr_expect_eq(totals(s, 0).fragment_sets_dropped, 2);
	give(s, &v, 5);
	cr_expect_eq(totals(s, 0).fragment_sets_dropped, 3);
	cr_expect_eq(totals(s, 0).reassembled - joined, 0);
	for (unsigned i = 0; i < v.n; i++)
		give(s, &v, i);
	cr_expect_eq(totals(s, 0).reassembled - joined, 1);
	sim_set_tap(s, NULL, NULL);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	long_certs_end(s);
}

/* From another port it is another set: nobody else's fragments mix with these. */
Test(fragment, sources_do_not_mix)
{
	struct saved v = { .n = 0 };
	struct sim *s = message_5(&v);
	struct saved other = v;

	other.path.remote_port++;
	other.msg[3][100] ^= 1;
	give(s, &other, 3);
	for (unsigned i = 0; i < v.n; i++)
		give(s, &v, i);
	cr_expect_eq(totals(s, 0).reassembled - joined, 1);
	cr_expect_eq(totals(s, 0).fragment_sets_dropped, 0);
	sim_set_tap(s, NULL, NULL);
	sim_run(s, 5 * SEC);
	must_be_up(s);
	long_certs_end(s);
}

/* A fragment of data, under node 1's cookies in its exchange with node 0. */
static size_t forge(const struct saved *v, uint8_t *out, uint16_t id, uint8_t number, bool last,
		    const void *data, size_t len)
{
	memcpy(out, v->msg[0], 32);
	put_u32(out + 24, (uint32_t)(36 + len));
	put_u16(out + 30, (uint16_t)(8 + len));
	put_u16(out + 32, id);
	out[34] = number;
	out[35] = last ? FRAGMENT_LAST : 0;
	memcpy(out + 36, data, len);
	return 36 + len;
}

/* What is put together must be a message under the same cookies, and no fragment. */
Test(fragment, only_messages_come_of_it)
{
	struct saved v = { .n = 0 };
	struct sim *s = message_5(&v);
	struct ike *ike = sim_engine(s, 0);
	uint8_t out[2048], inner[64], nonsense[40] = { 1, 2, 3 };
	uint64_t in = totals(s, 0).messages_in;

	ike_input(ike, &v.path, out, forge(&v, out, 70, 1, true, nonsense, sizeof(nonsense)));
	cr_expect_eq(totals(s, 0).fragment_sets_dropped, 1);
	/* a fragment within a fragment */
	size_t len = forge(&v, inner, 71, 1, true, nonsense, 20);
	ike_input(ike, &v.path, out, forge(&v, out, 71, 1, true, inner, len));
	cr_expect_eq(totals(s, 0).fragment_sets_dropped, 2);
	/* another exchange's cookies */
	inner[16] = PL_HASH;
	inner[0] ^= 1;
	ike_input(ike, &v.path, out, forge(&v, out, 72, 1, true, inner, len));
	cr_expect_eq(totals(s, 0).fragment_sets_dropped, 3);
	cr_expect_eq(totals(s, 0).messages_in, in);
	/* a second payload, a wrong length, cookies that nobody has */
	uint64_t dropped = totals(s, 0).fragments_dropped;
	forge(&v, out, 73, 1, true, nonsense, 20);
	out[28] = PL_VENDOR;
	ike_input(ike, &v.path, out, 56);
	forge(&v, out, 73, 1, true, nonsense, 20);
	out[31]++;
	ike_input(ike, &v.path, out, 56);
	forge(&v, out, 73, 1, true, nonsense, 20);
	out[8] ^= 1;
	ike_input(ike, &v.path, out, 56);
	cr_expect_eq(totals(s, 0).fragments_dropped, dropped + 3);
	sim_set_tap(s, NULL, NULL);
	sim_run(s, 10 * SEC);
	must_be_up(s);
	long_certs_end(s);
}

static unsigned sets(struct sim *s)
{
	return sim_engine(s, 0)->n_fragment_sets;
}

/* Under the cookies of one half-open SA no more than a few sets of 16 KB, whatever comes; they go
 * with time. */
Test(fragment, memory_is_bounded_under_an_sa)
{
	struct saved v = { .n = 0 };
	struct sim *s = message_5(&v);
	struct ike *ike = sim_engine(s, 0);
	static uint8_t out[2048], data[1400];
	size_t before = ike_objects(ike);

	for (unsigned id = 1; id <= 200; id++)
		for (unsigned k = 1; k <= IKE_MAX_FRAGMENTS; k++)
			ike_input(ike, &v.path, out,
				  forge(&v, out, (uint16_t)(1000 + id), (uint8_t)k, false, data,
					sizeof(data)));
	cr_expect_leq(sets(s), IKE_FRAGMENT_SETS_SA);
	cr_expect_leq(ike_objects(ike) - before, IKE_FRAGMENT_SETS_SA * (IKE_MAX_MESSAGE + 4096));
	cr_expect_gt(totals(s, 0).fragment_sets_dropped, 190);
	cr_expect_eq(totals(s, 0).reassembled - joined, 0);
	sim_set_tap(s, NULL, NULL);
	sim_run(s, 8 * SEC);
	must_be_up(s);
	sim_run(s, 31 * SEC);
	cr_expect_eq(sets(s), 0);
	long_certs_end(s);
}

/* First messages: nobody proves his address, so less still; and only from those who are configured.
 */
Test(fragment, memory_is_bounded_for_first_messages)
{
	struct saved v = { .n = 0 };
	struct sim *s = message_5(&v);
	struct ike *ike = sim_engine(s, 0);
	struct ike_path stranger = v.path;
	static uint8_t out[2048], data[1000];
	unsigned had = sets(s);
	size_t before = ike_objects(ike);

	for (unsigned i = 0; i < 1000; i++) {
		size_t len = forge(&v, out, (uint16_t)i, (uint8_t)(1 + i % 6), false, data,
				   sizeof(data));
		put_u32(out, i / 6 + 1);
		memset(out + 8, 0, ISAKMP_COOKIE_LEN);
		stranger.remote.b[2] ^= 0x55;
		ike_input(ike, &stranger, out, len);
		stranger.remote.b[2] ^= 0x55;
		ike_input(ike, &v.path, out, len);
	}
	cr_expect_leq(sets(s) - had, IKE_FRAGMENT_FIRST_SOURCE);
	cr_expect_leq(ike_objects(ike) - before,
		      IKE_FRAGMENT_FIRST_SOURCE * (IKE_FRAGMENT_FIRST_BYTES + 4096));
	cr_expect_eq(totals(s, 0).fragments_dropped, 1000, "those of strangers");
	sim_set_tap(s, NULL, NULL);
	sim_run(s, 8 * SEC);
	must_be_up(s);
	long_certs_end(s);
}

/* What nobody completes goes after IKE_FRAGMENT_US, counted. */
Test(fragment, incomplete_sets_time_out)
{
	struct saved v = { .n = 0 };
	struct sim *s = message_5(&v);
	unsigned had = sets(s); /* message 3, as it was complete */

	give(s, &v, 0);
	cr_expect_eq(sets(s), had + 1);
	sim_run(s, 28 * SEC);
	cr_expect_eq(sets(s), had + 1);
	sim_run(s, 3 * SEC);
	cr_expect_eq(sets(s), 0);
	cr_expect_eq(totals(s, 0).fragment_sets_dropped, 1);
	sim_set_tap(s, NULL, NULL);
	long_certs_end(s);
}

/* The vendor ID with capability bits, without them, and with one for another exchange. */
Test(fragment, vendor_id_variants)
{
	static const struct {
		size_t len;
		uint8_t caps;
		bool takes, aggressive;
	} cases[] = { { 20, 0xc0, true, false }, { 20, 0x80, true, false },
		      { 16, 0, true, false },    { 20, 0x40, false, false },
		      { 15, 0, false, false },   { 20, 0x40, true, true },
		      { 20, 0x80, true, true } };
	uint8_t id[20] = { 0x40, 0x48, 0xb7, 0xd5, 0x6e, 0xbc, 0xe8, 0x85,
			   0x25, 0xe7, 0xde, 0x7f, 0x00, 0xd6, 0xc2, 0xd3 };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct payload_list l = { .n = 1 };
		struct isakmp_sa sa = { .phase1 = cases[i].aggressive ? EXCH_AGGRESSIVE
								      : EXCH_IDENTITY_PROTECTION };
		id[16] = cases[i].caps;
		l.p[0] = (struct payload){ .type = PL_VENDOR, .body = { id, cases[i].len } };
		vendor_read(&sa, &l);
		cr_expect_eq(sa.peer_fragments, cases[i].takes, "case %zu", i);
	}
}
