/* What stage_esp_in() must refuse, each under its own name, and what it changes on the way. */
#include <criterion/criterion.h>
#include <rte_ring.h>
#include <stdlib.h>
#include <string.h>

#include "esp_env.h"
#include "esp_ref.h"
#include "wire.h"

#define SPI ENV_SPI(5)

static struct esp_env env;
static struct sa_params in;	/* the SA at SPI */
static uint32_t next_seq;

static void add_sa(enum encr_alg encr, uint16_t bits, enum integ_alg integ, bool udp)
{
	in = esp_env_params(SA_IN, SPI, encr, bits, integ, udp);
	cr_assert(esp_env_add(&env, &in));
	next_seq = 1;
}

static void setup(void)
{
	esp_env_init(&env, false, 1023);
	add_sa(ENCR_AES_GCM_16, 128, INTEG_NONE, false);
}

static void teardown(void)
{
	cr_assert(esp_env_done(&env), "mbufs leaked");
}

/* A good inner packet from the peer's side: 10.1 to 10.2 is what the inbound SA carries. */
static uint32_t inner(uint8_t *out, struct inner_spec spec)
{
	if (!spec.total)
		spec.total = 60;
	esp_env_inner_bytes(&spec, out);
	return spec.total;
}

static struct rte_mbuf *seal(uint32_t seq, const uint8_t *plain, uint32_t len)
{
	uint8_t outer[2048];

	len = esp_ref_seal(&in, seq, plain, len, outer);
	return esp_env_packet(&env, outer, len, in.udp_encap);
}

static struct rte_mbuf *good_packet(uint32_t seq, struct inner_spec spec)
{
	uint8_t plain[2048];
	uint32_t len = inner(plain, spec);

	return seal(seq, plain, esp_ref_trailer(&in, plain, len, 4));
}

static uint64_t drops(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < DROP_COUNT; i++)
		sum += env.lc->count.drop[i];
	return sum;
}

/* The packet must be dropped, for this reason and no other. */
#define refuse(pkt_, reason)                                                                       \
	do {                                                                                       \
		struct rte_mbuf *refuse_pkt = (pkt_);                                              \
		uint64_t before = env.lc->count.drop[DROP_##reason], all = drops();                \
		cr_assert_eq(stage_esp_in(env.lc, &refuse_pkt, 1), 0, "not refused: " #reason);    \
		cr_assert_eq(env.lc->count.drop[DROP_##reason], before + 1, "not " #reason);       \
		cr_assert_eq(drops(), all + 1);                                                    \
	} while (0)

static struct rte_mbuf *accept(struct rte_mbuf *pkt)
{
	cr_assert_eq(stage_esp_in(env.lc, &pkt, 1), 1);
	return pkt;
}

#define pass(pkt_) rte_pktmbuf_free(accept(pkt_))

Test(esp_in, icv_every_bit, .init = setup, .fini = teardown)
{
	static const struct {
		enum encr_alg encr;
		uint16_t bits;
		enum integ_alg integ;
	} t[] = { { ENCR_AES_GCM_16, 256, INTEG_NONE },
		  { ENCR_AES_GCM_8, 128, INTEG_NONE },
		  { ENCR_AES_CBC, 128, INTEG_HMAC_SHA256_128 },
		  { ENCR_AES_CBC, 256, INTEG_HMAC_SHA512_256 } };

	for (unsigned i = 0; i < 4; i++) {
		struct rte_mbuf *pkt;
		uint32_t len;

		add_sa(t[i].encr, t[i].bits, t[i].integ, false);
		pkt = good_packet(7, (struct inner_spec){ 0 });
		len = pkt->data_len;
		rte_pktmbuf_free(pkt);
		/* every byte from the sequence number on */
		for (uint32_t off = 24; off < len; off++) {
			pkt = good_packet(7, (struct inner_spec){ 0 });
			rte_pktmbuf_mtod(pkt, uint8_t *)[off] ^= (uint8_t)(1 << off % 8);
			refuse(pkt, esp_icv);
		}
		cr_assert_eq(env.lc->sa_in[5].sa->icv_drops, len - 24);
		cr_assert_eq(env.lc->sa_in[5].sa->seq, 0, "a forged packet moved the window");
		pass(good_packet(7, (struct inner_spec){ 0 }));
	}
}

Test(esp_in, replay, .init = setup, .fini = teardown)
{
	struct sa *sa = env.lc->sa_in[5].sa;

	pass(good_packet(1, (struct inner_spec){ 0 }));
	refuse(good_packet(1, (struct inner_spec){ 0 }), replay_dup);
	refuse(good_packet(0, (struct inner_spec){ 0 }), replay_zero);
	pass(good_packet(5000, (struct inner_spec){ 0 }));
	refuse(good_packet(5000 - 1024, (struct inner_spec){ 0 }), replay_old);
	pass(good_packet(5000 - 1023, (struct inner_spec){ 0 }));
	cr_assert_eq(sa->dup_drops, 2);
	cr_assert_eq(sa->late_drops, 1);
	cr_assert_eq(sa->packets, 3);
	cr_assert_eq(sa->bytes, 180);
}

/* Two copies in one burst both pass the first look; one of them must not pass the second. */
Test(esp_in, duplicate_in_one_burst, .init = setup, .fini = teardown)
{
	struct rte_mbuf *pkts[4] = { good_packet(3, (struct inner_spec){ 0 }),
				     good_packet(3, (struct inner_spec){ 0 }),
				     good_packet(4000, (struct inner_spec){ 0 }),
				     good_packet(4, (struct inner_spec){ 0 }) };

	cr_assert_eq(stage_esp_in(env.lc, pkts, 4), 2);
	cr_assert_eq(env.lc->count.drop[DROP_replay_dup], 1);
	cr_assert_eq(env.lc->count.drop[DROP_replay_old], 1);
	rte_pktmbuf_free(pkts[0]);
	rte_pktmbuf_free(pkts[1]);
}

Test(esp_in, lengths, .init = setup, .fini = teardown)
{
	for (uint32_t len = 20; len < 20 + 8 + 8 + 16 + 4; len++) {
		uint8_t outer[128] = { 0x45 };
		struct rte_mbuf *pkt;

		store_be16(outer + IP4_TOTAL, (uint16_t)len);
		store_be32(outer + IP4_SRC, 0x0a090001);
		store_be32(outer + IP4_DST, 0x0a090002);
		store_be32(outer + 20, SPI);
		store_be32(outer + 24, 1);
		pkt = esp_env_packet(&env, outer, len, false);
		refuse(pkt, esp_short);
	}
	for (unsigned cut = 1; cut < 4; cut++) {
		struct rte_mbuf *pkt = good_packet(1, (struct inner_spec){ 0 });
		uint8_t *ip = rte_pktmbuf_mtod(pkt, uint8_t *);

		rte_pktmbuf_trim(pkt, (uint16_t)cut);
		store_be16(ip + IP4_TOTAL, pkt->data_len);
		refuse(pkt, esp_align);
	}
	/* the header claims more than there is */
	struct rte_mbuf *pkt = good_packet(1, (struct inner_spec){ 0 });

	store_be16(rte_pktmbuf_mtod(pkt, uint8_t *) + IP4_TOTAL, (uint16_t)(pkt->data_len + 4));
	refuse(pkt, esp_short);
	/* bytes behind the IP packet do not count */
	pkt = good_packet(1, (struct inner_spec){ 0 });
	memset(rte_pktmbuf_append(pkt, 9), 0xee, 9);
	pass(pkt);
}

Test(esp_in, cbc_alignment, .init = setup, .fini = teardown)
{
	struct rte_mbuf *pkt;

	add_sa(ENCR_AES_CBC, 128, INTEG_HMAC_SHA1_96, false);
	pkt = good_packet(1, (struct inner_spec){ 0 });
	rte_pktmbuf_trim(pkt, 4);
	store_be16(rte_pktmbuf_mtod(pkt, uint8_t *) + IP4_TOTAL, pkt->data_len);
	refuse(pkt, esp_align);
}

Test(esp_in, outer_addresses_and_encapsulation, .init = setup, .fini = teardown)
{
	struct rte_mbuf *pkt = good_packet(1, (struct inner_spec){ 0 });

	rte_pktmbuf_mtod(pkt, uint8_t *)[15]++;
	refuse(pkt, esp_addr);
	pkt = good_packet(1, (struct inner_spec){ 0 });
	rte_pktmbuf_mtod(pkt, uint8_t *)[19]++;
	refuse(pkt, esp_addr);
	in.udp_encap = true;
	refuse(good_packet(1, (struct inner_spec){ 0 }), esp_encap);
	add_sa(ENCR_AES_GCM_16, 128, INTEG_NONE, true);
	in.udp_encap = false;
	refuse(good_packet(1, (struct inner_spec){ 0 }), esp_encap);
	/* a NAT may change the port */
	in.udp_encap = true;
	in.remote_port = 1024;
	pass(good_packet(1, (struct inner_spec){ 0 }));
	/* a UDP length beyond the IP packet */
	pkt = good_packet(2, (struct inner_spec){ 0 });
	store_be16(rte_pktmbuf_mtod(pkt, uint8_t *) + 24, 1000);
	refuse(pkt, natt_malformed);
}

Test(esp_in, padding, .init = setup, .fini = teardown)
{
	uint8_t plain[512];
	uint32_t len = inner(plain, (struct inner_spec){ .total = 62 }), n;

	/* 8 bytes of padding, each wrong in turn */
	for (unsigned bad = 0; bad < 8; bad++) {
		n = len;
		for (uint8_t i = 1; i <= 8; i++)
			plain[n++] = i;
		plain[n - 8 + bad] ^= 0x40;
		plain[n++] = 8;
		plain[n++] = 4;
		refuse(seal(next_seq++, plain, n), esp_padding);
	}
	/* a pad length beyond the packet; then exactly all of it */
	plain[n - 2] = 255;
	refuse(seal(next_seq++, plain, n), esp_padding);
	memset(plain, 0, 4);
	plain[0] = 1, plain[1] = 2, plain[2] = 2, plain[3] = 4;
	refuse(seal(next_seq++, plain, 4), inner_malformed);
	/* the maximum, 255 bytes, is fine */
	len = inner(plain, (struct inner_spec){ .total = 63 });
	for (unsigned i = 1; i <= 255; i++)
		plain[len++] = (uint8_t)i;
	plain[len++] = 255;
	plain[len++] = 4;
	pass(seal(next_seq++, plain, len));
}

Test(esp_in, next_header, .init = setup, .fini = teardown)
{
	static const struct {
		uint8_t next;
		enum drop_reason why;
	} t[] = { { 59, DROP_esp_dummy }, { 41, DROP_esp_next_header }, { 6, DROP_esp_next_header },
		  { 50, DROP_esp_next_header }, { 0, DROP_esp_next_header } };

	for (unsigned i = 0; i < 5; i++) {
		uint8_t plain[128];
		uint32_t len = inner(plain, (struct inner_spec){ 0 });
		struct rte_mbuf *pkt = seal(next_seq++, plain,
					    esp_ref_trailer(&in, plain, len, t[i].next));

		cr_assert_eq(stage_esp_in(env.lc, &pkt, 1), 0);
		cr_assert_eq(env.lc->count.drop[t[i].why], i == 0 ? 1 : i);
	}
}

static struct rte_mbuf *with_inner_byte(unsigned off, uint8_t value, bool fix_sum)
{
	uint8_t plain[128];
	uint32_t len = inner(plain, (struct inner_spec){ 0 });

	plain[off] = value;
	if (fix_sum)
		ip4_sum_set(plain);
	return seal(next_seq++, plain, esp_ref_trailer(&in, plain, len, 4));
}

Test(esp_in, inner_header, .init = setup, .fini = teardown)
{
	refuse(with_inner_byte(0, 0x65, true), inner_malformed);  /* version 6 */
	refuse(with_inner_byte(0, 0x44, true), inner_malformed);  /* header of 16 bytes */
	refuse(with_inner_byte(0, 0x40, true), inner_malformed);
	refuse(with_inner_byte(3, 61, true), inner_malformed);	  /* longer than the payload */
	refuse(with_inner_byte(3, 19, true), inner_malformed);	  /* shorter than the header */
	refuse(with_inner_byte(2, 0xff, true), inner_malformed);
	refuse(with_inner_byte(10, 0x5a, false), inner_malformed); /* checksum */
	pass(with_inner_byte(8, 17, true));
}

/* Traffic flow confidentiality padding behind the inner packet is cut off (RFC 4303 section 2.7). */
Test(esp_in, tfc_padding_is_trimmed, .init = setup, .fini = teardown)
{
	uint8_t plain[256];
	uint32_t len = inner(plain, (struct inner_spec){ 0 });
	struct rte_mbuf *pkt;

	memset(plain + len, 0xaa, 100);
	pkt = accept(seal(1, plain, esp_ref_trailer(&in, plain, len + 100, 4)));
	cr_assert_eq(pkt->pkt_len, 60);
	cr_assert_eq(pkt->data_len, 60);
	rte_pktmbuf_free(pkt);
}

Test(esp_in, selectors, .init = setup, .fini = teardown)
{
	refuse(good_packet(next_seq++, (struct inner_spec){ .src = 0x0a00ffff }), sel_mismatch);
	refuse(good_packet(next_seq++, (struct inner_spec){ .src = 0x0a020000 }), sel_mismatch);
	refuse(good_packet(next_seq++, (struct inner_spec){ .dst = 0x0a01ffff }), sel_mismatch);
	refuse(good_packet(next_seq++, (struct inner_spec){ .dst = 0x0a030000 }), sel_mismatch);
	pass(good_packet(next_seq++, (struct inner_spec){ .src = 0x0a010000, .dst = 0x0a02ffff }));
	cr_assert_eq(env.lc->sa_in[5].sa->other_drops, 4);

	in.sel.proto = PROTO_UDP;
	cr_assert(esp_env_add(&env, &in));
	refuse(good_packet(next_seq++, (struct inner_spec){ .proto = PROTO_TCP }), sel_mismatch);
	pass(good_packet(next_seq++, (struct inner_spec){ 0 }));
	/* fragments match as long as no port is asked for */
	pass(good_packet(next_seq++, (struct inner_spec){ .frag = 100 }));

	in.sel.local_port = 53;
	cr_assert(esp_env_add(&env, &in));
	pass(good_packet(next_seq++, (struct inner_spec){ .sport = 999, .dport = 53 }));
	refuse(good_packet(next_seq++, (struct inner_spec){ .sport = 53, .dport = 54 }), sel_mismatch);
	refuse(good_packet(next_seq++, (struct inner_spec){ .sport = 9, .dport = 53, .frag = 100 }),
	       sel_mismatch);
	refuse(good_packet(next_seq++, (struct inner_spec){ .total = 23 }), sel_mismatch);
	in.sel.local_port = 0;
	in.sel.remote_port = 53;
	cr_assert(esp_env_add(&env, &in));
	pass(good_packet(next_seq++, (struct inner_spec){ .sport = 53, .dport = 1 }));
	refuse(good_packet(next_seq++, (struct inner_spec){ .sport = 1, .dport = 53 }), sel_mismatch);
}

/* RFC 6040 figure 4: outer by inner; -1 = drop. */
Test(esp_in, ecn, .init = setup, .fini = teardown)
{
	static const int want[4][4] = { /* inner: not, ECT(1), ECT(0), CE */
		[0] = { 0, 1, 2, 3 },
		[1] = { 0, 1, 1, 3 },
		[2] = { 0, 1, 2, 3 },
		[3] = { -1, 3, 3, 3 },
	};

	for (uint8_t outer = 0; outer < 4; outer++) {
		for (uint8_t i = 0; i < 4; i++) {
			struct rte_mbuf *pkt = good_packet(next_seq++,
							   (struct inner_spec){ .tos = 0xb8 | i });
			uint8_t *ip = rte_pktmbuf_mtod(pkt, uint8_t *);

			ip[IP4_TOS] = outer;
			if (want[outer][i] < 0) {
				refuse(pkt, ecn_invalid);
				continue;
			}
			pkt = accept(pkt);
			ip = rte_pktmbuf_mtod(pkt, uint8_t *);
			cr_assert_eq(ip[IP4_TOS], 0xb8 | want[outer][i], "outer %u inner %u", outer, i);
			cr_assert(ip4_sum_ok(ip));
			rte_pktmbuf_free(pkt);
		}
	}
}

Test(esp_in, unknown_spi_and_other_owner, .init = setup, .fini = teardown)
{
	struct rte_mbuf *pkt;
	struct evt evt;
	void *got;

	in.spi = SPI + 1; /* an empty slot */
	refuse(good_packet(1, (struct inner_spec){ 0 }), esp_no_sa);
	in.spi = SPI ^ 1u << 31; /* another generation */
	refuse(good_packet(1, (struct inner_spec){ 0 }), esp_no_sa);
	in.spi = SPI | 3u << ENV_SLOT_BITS; /* a worker that does not exist */
	refuse(good_packet(1, (struct inner_spec){ 0 }), esp_no_sa);
	/* one event for all of them */
	cr_assert(esp_env_event(&env, &evt));
	cr_assert_eq(evt.op, EVT_BAD_SPI);
	cr_assert_eq(evt.spi, SPI + 1);
	cr_assert_eq(ip_addr_to_v4(&evt.remote), 0x0a090001);
	cr_assert_not(esp_env_event(&env, &evt));

	in.spi = SPI | 1u << ENV_SLOT_BITS; /* worker 1 */
	pkt = good_packet(1, (struct inner_spec){ 0 });
	cr_assert_eq(stage_esp_in(env.lc, &pkt, 1), 0);
	lcore_flush(env.lc);
	cr_assert_eq(env.lc->count.handover_out, 1);
	cr_assert_eq(rte_ring_dequeue(env.lc->handover[1], &got), 0);
	cr_assert_eq(got, pkt);
	rte_pktmbuf_free(got);
}

/* Good and bad mixed: the good ones come first and in order. */
Test(esp_in, order, .init = setup, .fini = teardown)
{
	struct rte_mbuf *pkts[64];
	uint16_t n;

	for (uint32_t i = 0; i < 64; i++) {
		pkts[i] = good_packet(i + 1, (struct inner_spec){ .seed = i });
		if (i % 3 == 1)
			rte_pktmbuf_mtod(pkts[i], uint8_t *)[60] ^= 1;
	}
	n = stage_esp_in(env.lc, pkts, 64);
	cr_assert_eq(n, 64 - 21);
	for (uint32_t i = 0, k = 0; i < 64; i++) {
		if (i % 3 == 1)
			continue;
		cr_assert_eq(load_be16(rte_pktmbuf_mtod(pkts[k], uint8_t *) + IP4_ID), i);
		rte_pktmbuf_free(pkts[k++]);
	}
	cr_assert_eq(env.lc->count.drop[DROP_esp_icv], 21);
}

/* Shared, indirect and chained packets are copied, never written. */
Test(esp_in, not_ours_alone, .init = setup, .fini = teardown)
{
	struct rte_mbuf *pkt = good_packet(1, (struct inner_spec){ .total = 100 }), *other, *head;
	uint8_t before[256], want[100];
	uint32_t len = pkt->data_len;

	inner(want, (struct inner_spec){ .total = 100 });
	memcpy(before, rte_pktmbuf_mtod(pkt, uint8_t *), len);
	rte_mbuf_refcnt_update(pkt, 1);
	other = accept(pkt);
	cr_assert_neq(other, pkt);
	cr_assert_arr_eq(rte_pktmbuf_mtod(pkt, uint8_t *), before, len, "a shared packet was written");
	cr_assert_arr_eq(rte_pktmbuf_mtod(other, uint8_t *), want, 100);
	rte_pktmbuf_free(other);
	rte_pktmbuf_free(pkt);

	pkt = good_packet(2, (struct inner_spec){ .total = 100 });
	memcpy(before, rte_pktmbuf_mtod(pkt, uint8_t *), len);
	other = rte_pktmbuf_clone(pkt, env.pool);
	*pkt_meta(other) = *pkt_meta(pkt);
	other = accept(other);
	cr_assert_arr_eq(rte_pktmbuf_mtod(pkt, uint8_t *), before, len, "an indirect one was written");
	cr_assert_arr_eq(rte_pktmbuf_mtod(other, uint8_t *), want, 100);
	rte_pktmbuf_free(other);
	rte_pktmbuf_free(pkt);

	/* cut in two at every place */
	for (uint16_t cut = 1; cut < len; cut++) {
		pkt = good_packet(2u + cut, (struct inner_spec){ .total = 100 });
		head = rte_pktmbuf_alloc(env.pool);
		memcpy(rte_pktmbuf_append(head, cut), rte_pktmbuf_mtod(pkt, void *), cut);
		*pkt_meta(head) = *pkt_meta(pkt);
		rte_pktmbuf_adj(pkt, cut);
		cr_assert_eq(rte_pktmbuf_chain(head, pkt), 0);
		other = accept(head);
		cr_assert_eq(other->nb_segs, 1);
		cr_assert_arr_eq(rte_pktmbuf_mtod(other, uint8_t *), want, 100);
		rte_pktmbuf_free(other);
	}
}

Test(esp_in, limits, .init = setup, .fini = teardown)
{
	struct evt evt;

	in.soft_packets = 3;
	in.hard_packets = 5;
	in.hard_bytes = 100000;
	cr_assert(esp_env_add(&env, &in));
	for (uint32_t i = 1; i <= 5; i++) {
		pass(good_packet(i, (struct inner_spec){ 0 }));
		cr_assert_eq(esp_env_event(&env, &evt), i == 3 || i == 5);
		if (i == 3)
			cr_assert(evt.op == EVT_SA_SOFT && evt.limit == LIMIT_PACKETS);
	}
	cr_assert(evt.op == EVT_SA_HARD && evt.dir == SA_IN && evt.spi == SPI);
	refuse(good_packet(6, (struct inner_spec){ 0 }), sa_expired);
	cr_assert_not(esp_env_event(&env, &evt));
}
