#include "reassembly.h"

#include <rte_branch_prediction.h>
#include <rte_jhash.h>
#include <rte_malloc.h>
#include <rte_random.h>

#include "esp.h"
#include "ip6.h"

#define WAYS 4
#define SETS (REASSEMBLY_PACKETS / WAYS)

/* What the pieces of a packet have in common. */
struct frag_key {
	uint8_t src[16], dst[16]; /* an IPv4 address: the first four bytes */
	uint32_t id;
	uint8_t proto, family;
	uint8_t from_esp; /* what came protected never mixes with what came clear */
	uint8_t pad;
};

/* One piece as its header describes it. */
struct piece {
	struct frag_key key;
	uint16_t off, len; /* of what follows the IP header, in bytes */
	uint16_t header;   /* bytes of IP header, or up to the end of the fragment header */
	uint8_t ecn;
	bool more;
};

struct held {
	struct rte_mbuf *pkt; /* the first with its IP header, others without */
	uint16_t off, len;
};

struct packet {
	struct frag_key key;
	uint64_t due;	  /* TSC of its end, 0: free */
	uint64_t serial;  /* the larger, the later it began; 0: free */
	uint16_t n, got;  /* pieces, bytes in them */
	uint16_t total;	  /* bytes behind the IP header, 0 = the last piece has not come */
	uint8_t ecn_seen; /* bit n: a piece had ECN field n */
	bool dead;	  /* pieces overlapped: what else comes is dropped */
	struct held piece[REASSEMBLY_PIECES]; /* by offset */
};

struct reassembly {
	uint32_t seed;
	uint32_t held;
	uint64_t serial;
	struct packet packet[REASSEMBLY_PACKETS];
};

static void piece4_read(struct piece *p, const uint8_t *ip)
{
	uint16_t frag = load_be16(ip + IP4_FRAG);

	memcpy(p->key.src, ip + IP4_SRC, 4);
	memcpy(p->key.dst, ip + IP4_DST, 4);
	p->key.id = load_be16(ip + IP4_ID);
	p->key.proto = ip[IP4_PROTO];
	p->header = (uint16_t)ip4_header_len(ip);
	p->ecn = ip[IP4_TOS] & ECN_MASK;
	p->off = (uint16_t)((frag & IP4_OFFSET_MASK) * 8);
	p->len = (uint16_t)(load_be16(ip + IP4_TOTAL) - p->header);
	p->more = frag & IP4_MF;
}

/* RFC 8200 section 4.5. The next header of later pieces may differ from the first's, which counts: it
 * is no part of the key. */
static bool piece6_read(struct piece *p, const uint8_t *ip, uint32_t len)
{
	struct ip6_chain chain;

	if (len < IP6_LEN || ip6_chain_read(ip, len, &chain) != DROP_COUNT || !chain.frag_at ||
	    ip6_total(ip) != len)
		return false;
	memcpy(p->key.src, ip + IP6_SRC, 16);
	memcpy(p->key.dst, ip + IP6_DST, 16);
	p->key.id = load_be32(ip + chain.frag_at + IP6F_ID);
	p->header = (uint16_t)(chain.frag_at + IP6F_LEN);
	p->ecn = ip[IP6_VTF + 1] >> 4 & ECN_MASK;
	p->off = chain.frag & IP6F_OFFSET_MASK;
	p->len = (uint16_t)(len - p->header);
	p->more = chain.frag & IP6F_MF;
	return true;
}

static bool piece_read(struct piece *p, struct rte_mbuf *pkt)
{
	const uint8_t *ip = rte_pktmbuf_mtod(pkt, const uint8_t *);
	unsigned least = REASSEMBLY_LEAST;

	memset(p, 0, sizeof(*p));
	p->key.family = ip_version(ip) == 4 ? IP_V4 : IP_V6;
	p->key.from_esp = pkt_meta(pkt)->flags & PKT_FROM_ESP;
	if (p->key.family == IP_V4) {
		piece4_read(p, ip);
		least = (68u - p->header) & ~7u;
	} else if (!piece6_read(p, ip, rte_pktmbuf_pkt_len(pkt))) {
		return false;
	}
	if (p->len == 0 || p->off + p->len > UINT16_MAX - p->header)
		return false;
	return !p->more || (p->len % 8 == 0 && p->len >= least);
}

uint16_t reassembly_worker(const struct lcore *lc, struct rte_mbuf *pkt)
{
	const uint8_t *ip = rte_pktmbuf_mtod(pkt, const uint8_t *);
	uint32_t words[9] = { 0 }, n = 3;
	struct ip6_chain chain;

	if (ip_version(ip) == 4) {
		memcpy(words, ip + IP4_SRC, 8);
		words[2] = load_be16(ip + IP4_ID);
	} else if (ip6_chain_read(ip, rte_pktmbuf_data_len(pkt), &chain) == DROP_COUNT) {
		memcpy(words, ip + IP6_SRC, 32);
		words[8] = load_be32(ip + chain.frag_at + IP6F_ID);
		n = 9;
	}
	return (uint16_t)(rte_jhash_32b(words, n, lc->reassembly_seed) % lc->n_workers);
}

/* ------------------------------------------------------------------------- the table -------- */

static void packet_clear(struct lcore *lc, struct packet *p, enum drop_reason why)
{
	for (unsigned i = 0; i < p->n; i++)
		pkt_drop(lc, p->piece[i].pkt, why);
	lc->reassembly->held -= p->n;
	p->n = 0;
}

static void packet_free(struct lcore *lc, struct packet *p, enum drop_reason why)
{
	packet_clear(lc, p, why);
	p->due = p->serial = 0;
}

static struct packet *oldest_of(struct packet *p, unsigned n)
{
	struct packet *oldest = NULL;

	for (unsigned i = 0; i < n; i++)
		if (p[i].n && (!oldest || p[i].serial < oldest->serial))
			oldest = &p[i];
	return oldest;
}

/* The packet's place, or a fresh one; the oldest of its set gives way. */
static struct packet *packet_find(struct lcore *lc, const struct frag_key *key)
{
	struct reassembly *r = lc->reassembly;
	uint32_t set = rte_jhash(key, sizeof(*key), r->seed) % SETS;
	struct packet *way = &r->packet[set * WAYS], *place = &way[0];

	for (unsigned i = 0; i < WAYS; i++) {
		if (way[i].due && memcmp(&way[i].key, key, sizeof(*key)) == 0)
			return &way[i];
		if (way[i].serial < place->serial)
			place = &way[i];
	}
	if (place->due)
		packet_free(lc, place, DROP_frag_limit);
	memset(place, 0, offsetof(struct packet, piece));
	place->key = *key;
	place->serial = ++r->serial;
	place->due = lc->now_tsc + lc->tsc_hz * REASSEMBLY_SECONDS;
	lc->reassembly_due = RTE_MIN(lc->reassembly_due, place->due);
	return place;
}

void reassembly_expire(struct lcore *lc)
{
	struct reassembly *r = lc->reassembly;

	lc->reassembly_due = UINT64_MAX;
	if (!r)
		return;
	for (unsigned i = 0; i < REASSEMBLY_PACKETS; i++) {
		struct packet *p = &r->packet[i];
		if (p->due && p->due <= lc->now_tsc)
			packet_free(lc, p, DROP_frag_timeout);
		else if (p->due)
			lc->reassembly_due = RTE_MIN(lc->reassembly_due, p->due);
	}
}

/* ------------------------------------------------------------------------- pieces ----------- */

enum fit { FIT, FIT_DUPLICATE, FIT_OVERLAP };

/* Where a piece belongs among those that are there. */
static enum fit piece_place(const struct packet *p, const struct piece *new, unsigned *at)
{
	unsigned i = 0;

	while (i < p->n && p->piece[i].off < new->off)
		i++;
	*at = i;
	if (i < p->n && p->piece[i].off == new->off && p->piece[i].len == new->len)
		return FIT_DUPLICATE;
	if (i > 0 && p->piece[i - 1].off + p->piece[i - 1].len > new->off)
		return FIT_OVERLAP;
	if (i < p->n && new->off + new->len > p->piece[i].off)
		return FIT_OVERLAP;
	/* behind the end, or an end before what is there: the same lie */
	if (p->total && (new->off + new->len > p->total || !new->more))
		return FIT_OVERLAP;
	if (!new->more && p->n && p->piece[p->n - 1].off > new->off)
		return FIT_OVERLAP;
	return FIT;
}

static void piece_put(struct lcore *lc, struct packet *p, const struct piece *new,
		      struct rte_mbuf *pkt, unsigned at)
{
	if (new->off)
		rte_pktmbuf_adj(pkt, new->header);
	memmove(&p->piece[at + 1], &p->piece[at], (p->n - at) * sizeof(p->piece[0]));
	p->piece[at] = (struct held){ pkt, new->off, new->len };
	p->n++;
	p->got = (uint16_t)(p->got + new->len);
	p->ecn_seen |= (uint8_t)(1u << new->ecn);
	if (!new->more)
		p->total = (uint16_t)(new->off + new->len);
	lc->reassembly->held++;
}

/* RFC 3168 section 5.3: a mark on one piece is a mark on the packet, which must know marks. */
static enum drop_reason ecn_join(const struct packet *p, uint8_t *ip)
{
	if (!(p->ecn_seen & 1 << ECN_CE))
		return DROP_COUNT;
	if (p->ecn_seen & 1)
		return DROP_ecn_invalid;
	if (ip_version(ip) == 4)
		ip[IP4_TOS] |= ECN_CE;
	else
		ip[IP6_VTF + 1] |= ECN_CE << 4;
	return DROP_COUNT;
}

static bool header4_join(struct rte_mbuf *whole)
{
	uint8_t *ip = rte_pktmbuf_mtod(whole, uint8_t *);

	store_be16(ip + IP4_TOTAL, (uint16_t)rte_pktmbuf_pkt_len(whole));
	store_be16(ip + IP4_FRAG, 0);
	ip4_sum_set(ip);
	return true;
}

/* The fragment header goes. */
static bool header6_join(struct rte_mbuf *whole)
{
	uint8_t *ip = rte_pktmbuf_mtod(whole, uint8_t *);
	struct ip6_chain chain;

	if (ip6_chain_read(ip, rte_pktmbuf_data_len(whole), &chain) != DROP_COUNT || !chain.frag_at)
		return false;
	ip[chain.frag_next_at] = ip[chain.frag_at + IP6F_NEXT];
	memmove(ip + IP6F_LEN, ip, chain.frag_at);
	ip = (uint8_t *)rte_pktmbuf_adj(whole, IP6F_LEN);
	store_be16(ip + IP6_PAYLOAD, (uint16_t)(rte_pktmbuf_pkt_len(whole) - IP6_LEN));
	return true;
}

/* One segment: what comes next wants to read and write it as one. */
static struct rte_mbuf *packet_join(struct lcore *lc, struct packet *p)
{
	struct rte_mbuf *whole = p->piece[0].pkt;
	enum drop_reason bad;
	uint8_t *ip;

	for (unsigned i = 1; i < p->n; i++)
		rte_pktmbuf_chain(whole, p->piece[i].pkt);
	lc->reassembly->held -= p->n;
	lc->count.reassembled++;
	lc->count.reassembled_from += p->n;
	p->n = 0;
	p->due = p->serial = 0;
	whole = pkt_rebuild(lc, whole, RTE_PKTMBUF_HEADROOM, 0);
	if (!whole)
		return NULL;
	ip = rte_pktmbuf_mtod(whole, uint8_t *);
	bad = ecn_join(p, ip);
	if (bad == DROP_COUNT &&
	    !(ip_version(ip) == 4 ? header4_join(whole) : header6_join(whole)))
		bad = DROP_frag_malformed;
	if (bad != DROP_COUNT) {
		pkt_drop(lc, whole, bad);
		return NULL;
	}
	return whole;
}

struct rte_mbuf *reassembly_add(struct lcore *lc, struct rte_mbuf *pkt)
{
	struct reassembly *r = lc->reassembly;
	struct packet *p;
	struct piece new;
	unsigned at;
	enum fit fit;

	if (!piece_read(&new, pkt)) {
		pkt_drop(lc, pkt, DROP_frag_malformed);
		return NULL;
	}
	p = packet_find(lc, &new.key);
	fit = p->dead ? FIT_OVERLAP : piece_place(p, &new, &at);
	if (fit == FIT_OVERLAP) {
		packet_clear(lc, p, DROP_frag_overlap);
		p->dead = true;
	}
	if (fit != FIT) {
		pkt_drop(lc, pkt, DROP_frag_overlap);
		return NULL;
	}
	if (p->n == REASSEMBLY_PIECES) {
		packet_free(lc, p, DROP_frag_limit);
		pkt_drop(lc, pkt, DROP_frag_limit);
		return NULL;
	}
	piece_put(lc, p, &new, pkt, at);
	if (p->total && p->got == p->total)
		return packet_join(lc, p);
	if (r->held > REASSEMBLY_HELD)
		packet_free(lc, oldest_of(r->packet, REASSEMBLY_PACKETS), DROP_frag_limit);
	return NULL;
}

/* ------------------------------------------------------------------------- life ------------- */

struct reassembly *reassembly_new(int socket)
{
	struct reassembly *r = rte_zmalloc_socket("reassembly", sizeof(*r), 64, socket);

	if (r)
		r->seed = (uint32_t)rte_rand();
	return r;
}

void reassembly_free(struct reassembly *r)
{
	for (unsigned i = 0; r && i < REASSEMBLY_PACKETS; i++)
		for (unsigned j = 0; j < r->packet[i].n; j++)
			rte_pktmbuf_free(r->packet[i].piece[j].pkt);
	rte_free(r);
}
