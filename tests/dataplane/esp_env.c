#include "esp_env.h"

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_ring_elem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu.h"
#include "crypto.h"
#include "ip6.h"
#include "wire.h"

static void fail(const char *what)
{
	fprintf(stderr, "esp_env: %s: %s\n", what, rte_strerror(rte_errno));
	exit(2);
}

static void eal_once(bool huge)
{
	/* 22.11 refuses --in-memory together with --no-huge */
	static char args[][24] = { "test", "--no-pci", "--no-telemetry", "--log-level=error", "-m", "256",
				   "-l", "0", "--no-huge", "--no-shconf" };
	static bool done;
	char *argv[11] = { 0 };
	int argc = 10;

	if (done)
		return;
	if (huge) {
		strcpy(args[8], "--in-memory");
		argc = 9;
	}
	for (int i = 0; i < argc; i++)
		argv[i] = args[i];
	if (rte_eal_init(argc, argv) < 0)
		fail("EAL");
	done = true;
}

static struct rte_ring *ring(const char *name, unsigned elem)
{
	struct rte_ring *r = rte_ring_create_elem(name, elem, 1024, SOCKET_ID_ANY, 0);

	if (!r)
		fail(name);
	return r;
}

void esp_env_init(struct esp_env *env, bool huge, unsigned mbufs)
{
	size_t slots = 1u << ENV_SLOT_BITS;
	struct lcore *lc;

	eal_once(huge);
	lc = aligned_alloc(64, (sizeof(*lc) + 63) & ~63ul);
	memset(lc, 0, sizeof(*lc));
	lc->n_workers = 2;
	lc->spi = (struct spi_layout){ ENV_SLOT_BITS, ENV_OWNER_BITS };
	lc->sa_in = calloc(slots, sizeof(*lc->sa_in));
	lc->sa_out = calloc(slots, sizeof(*lc->sa_out));
	lc->evt = ring("evt", sizeof(struct evt));
	lc->punt = ring("punt", sizeof(void *));
	lc->handover[0] = ring("inbox0", sizeof(void *));
	lc->handover[1] = ring("inbox1", sizeof(void *));
	lc->backlog.size = event_backlog_size((uint32_t)slots);
	lc->backlog.evt = calloc(lc->backlog.size, sizeof(struct evt));
	lc->tsc_hz = rte_get_tsc_hz();
	lc->now_tsc = rte_rdtsc();
	lc->mb = cpu_mgr_new();
	if (!lc->mb)
		fail("crypto manager");
	env->pool = rte_pktmbuf_pool_create("env", mbufs, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
					    SOCKET_ID_ANY);
	if (!env->pool)
		fail("pool");
	env->jumbo = rte_pktmbuf_pool_create("jumbo", 7, 0, 0, UINT16_MAX, SOCKET_ID_ANY);
	if (!env->jumbo)
		fail("jumbo pool");
	lc->pool = env->pool;
	lc->jumbo = env->jumbo;
	env->lc = lc;
}

bool esp_env_no_leak(const struct esp_env *env)
{
	return rte_mempool_in_use_count(env->pool) == 0 && rte_mempool_in_use_count(env->jumbo) == 0;
}

bool esp_env_done(struct esp_env *env)
{
	struct lcore *lc = env->lc;
	void *pkt;
	bool clean;

	while (rte_ring_dequeue(lc->punt, &pkt) == 0)
		rte_pktmbuf_free(pkt);
	clean = esp_env_no_leak(env);
	for (size_t i = 0; i < 1u << ENV_SLOT_BITS; i++) {
		sa_free(lc->sa_in[i].sa);
		sa_free(lc->sa_out[i].sa);
	}
	rte_ring_free(lc->evt);
	rte_ring_free(lc->punt);
	rte_ring_free(lc->handover[0]);
	rte_ring_free(lc->handover[1]);
	rte_mempool_free(env->pool);
	rte_mempool_free(env->jumbo);
	free_mb_mgr(lc->mb);
	free(lc->backlog.evt);
	free(lc->sa_in);
	free(lc->sa_out);
	free(lc);
	return clean;
}

static struct ip_range range(uint32_t lo, uint32_t hi)
{
	return (struct ip_range){ ip_addr_v4(lo), ip_addr_v4(hi) };
}

struct sa_params esp_env_params(enum sa_dir dir, uint32_t spi, enum encr_alg encr,
				uint16_t key_bits, enum integ_alg integ, bool udp)
{
	struct sa_params p = {
		.ref = { .spi = spi, .slot = spi & ((1u << ENV_SLOT_BITS) - 1) },
		.dir = dir,
		.spi = spi,
		.proto = SA_ESP,
		.mode = SA_TUNNEL,
		.encr = encr,
		.key_bits = key_bits,
		.integ = integ,
		.udp_encap = udp,
		.local_port = 4500,
		.remote_port = 4500,
		.copy_dscp = true,
	};
	struct ip_addr a = ip_addr_v4(0x0a090001), b = ip_addr_v4(0x0a090002);
	struct ip_range left = range(0x0a010000, 0x0a01ffff), right = range(0x0a020000, 0x0a02ffff);
	uint32_t x = spi * 2654435761u + 1;

	p.local = dir == SA_OUT ? a : b;
	p.remote = dir == SA_OUT ? b : a;
	p.sel.local = dir == SA_OUT ? left : right;
	p.sel.remote = dir == SA_OUT ? right : left;
	for (unsigned i = 0; i < sizeof(p.key); i++)
		p.key[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
	for (unsigned i = 0; i < sizeof(p.auth); i++)
		p.auth[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
	return p;
}

void esp_env_form(struct sa_params *p, enum esp_form form)
{
	static const char *const nets[] = { "2001:db8:1::/48", "2001:db8:2::/48" };
	static const char *const gates[] = { "2001:db8:9::1", "2001:db8:9::2" };
	bool out = p->dir == SA_OUT;
	bool outer6 = form == FORM_TUNNEL46 || form == FORM_TUNNEL66 || form == FORM_TRANSPORT6 ||
		      form == FORM_AH_TUNNEL66 || form == FORM_AH_TRANSPORT6;
	bool inner6 = form == FORM_TUNNEL64 || form == FORM_TUNNEL66 || form == FORM_AH_TUNNEL66;

	if (outer6) {
		ip_addr_parse(gates[!out], &p->local);
		ip_addr_parse(gates[out], &p->remote);
	}
	if (inner6) {
		ip_range_parse(nets[!out], &p->sel.local);
		ip_range_parse(nets[out], &p->sel.remote);
	}
	if (form == FORM_TRANSPORT4 || form == FORM_TRANSPORT6 || form >= FORM_AH_TRANSPORT4) {
		p->mode = SA_TRANSPORT;
		p->sel.local = (struct ip_range){ p->local, p->local };
		p->sel.remote = (struct ip_range){ p->remote, p->remote };
	}
	if (form < FORM_AH_TUNNEL44)
		return;
	p->proto = SA_AH;
	p->udp_encap = false;
	if (p->encr == ENCR_AES_GMAC)
		return;
	p->encr = ENCR_NONE;
	p->key_bits = 0;
	if (p->integ == INTEG_NONE)
		p->integ = INTEG_HMAC_SHA1_96;
}

struct sa *esp_env_add(struct esp_env *env, const struct sa_params *p)
{
	struct sa_entry *table = p->dir == SA_IN ? env->lc->sa_in : env->lc->sa_out;
	struct sa *sa = sa_build(env->lc->mb, p, SOCKET_ID_ANY);

	if (!sa)
		return NULL;
	sa_free(table[p->ref.slot].sa);
	table[p->ref.slot] = (struct sa_entry){ .spi = p->ref.spi, .sa = sa };
	return sa;
}

void esp_env_remove(struct esp_env *env, enum sa_dir dir, uint32_t spi)
{
	struct sa_entry *table = dir == SA_IN ? env->lc->sa_in : env->lc->sa_out;
	struct sa_entry *e = &table[spi_slot(&env->lc->spi, spi)];

	sa_free(e->sa);
	*e = (struct sa_entry){ 0 };
}

void esp_env_inner_bytes(const struct inner_spec *s, uint8_t *ip)
{
	uint32_t x = s->seed * 2654435761u + 12345;

	for (unsigned i = 20; i < s->total; i++)
		ip[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
	memset(ip, 0, 20);
	ip[0] = 0x45;
	ip[IP4_TOS] = s->tos;
	store_be16(ip + IP4_TOTAL, s->total);
	store_be16(ip + IP4_ID, (uint16_t)s->seed);
	store_be16(ip + IP4_FRAG, s->frag);
	ip[IP4_TTL] = s->ttl ? s->ttl : 64;
	ip[IP4_PROTO] = s->proto ? s->proto : PROTO_UDP;
	store_be32(ip + IP4_SRC, s->src ? s->src : 0x0a010005);
	store_be32(ip + IP4_DST, s->dst ? s->dst : 0x0a020009);
	ip4_sum_set(ip);
	if (s->total >= 28 && (s->sport || s->dport)) {
		store_be16(ip + 20, s->sport);
		store_be16(ip + 22, s->dport);
	}
}

struct rte_mbuf *esp_env_inner(struct esp_env *env, const struct inner_spec *spec, uint32_t slot)
{
	struct rte_mbuf *pkt = rte_pktmbuf_alloc(env->pool);

	if (!pkt)
		fail("no mbuf");
	esp_env_inner_bytes(spec, (uint8_t *)rte_pktmbuf_append(pkt, spec->total));
	memset(pkt_meta(pkt), 0, sizeof(struct pkt_meta));
	pkt_meta(pkt)->slot = slot;
	return pkt;
}

struct rte_mbuf *esp_env_chain(struct esp_env *env, const uint8_t *data, uint32_t len, uint32_t seg)
{
	struct rte_mbuf *head = NULL, *part;
	uint32_t done = 0, n;

	do {
		n = seg ? RTE_MIN(seg, len - done) : len;
		part = rte_pktmbuf_alloc(env->pool);
		if (!part || rte_pktmbuf_tailroom(part) < n)
			fail("no mbuf");
		memcpy(rte_pktmbuf_append(part, (uint16_t)n), data + done, n);
		done += n;
		if (!head)
			head = part;
		else if (rte_pktmbuf_chain(head, part))
			fail("too many segments");
	} while (done < len);
	memset(pkt_meta(head), 0, sizeof(struct pkt_meta));
	return head;
}

struct rte_mbuf *esp_env_packet(struct esp_env *env, const uint8_t *data, uint32_t len, bool udp)
{
	struct rte_mbuf *pkt = rte_pktmbuf_alloc(env->pool);

	if (!pkt)
		fail("no mbuf");
	memcpy(rte_pktmbuf_append(pkt, (uint16_t)len), data, len);
	*pkt_meta(pkt) = (struct pkt_meta){ .l4_off = udp ? 28 : 20,
					    .flags = udp ? PKT_UDP_ENCAP : 0 };
	return pkt;
}

void esp_env_turn(struct rte_mbuf *pkt)
{
	const uint8_t *ip = rte_pktmbuf_mtod(pkt, const uint8_t *);
	bool v6 = ip_version(ip) == 6;
	uint32_t head = v6 ? IP6_LEN : ip4_header_len(ip);
	uint8_t proto = ip[v6 ? IP6_NEXT : IP4_PROTO];
	struct ip6_chain chain;

	if (v6 && ip6_chain_read(ip, pkt->data_len, &chain) == DROP_COUNT) {
		head = chain.l4_off;
		proto = chain.proto;
	}
	*pkt_meta(pkt) = (struct pkt_meta){
		.l4_off = (uint8_t)(head + (proto == PROTO_UDP ? 8 : 0)),
		.flags = proto == PROTO_UDP ? PKT_UDP_ENCAP : proto == PROTO_AH ? PKT_AH : 0,
	};
}

bool esp_env_event(struct esp_env *env, struct evt *out)
{
	return rte_ring_sc_dequeue_elem(env->lc->evt, out, sizeof(*out)) == 0;
}
