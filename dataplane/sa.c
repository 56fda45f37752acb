#include "sa.h"

#include <errno.h>
#include <openssl/rand.h>
#include <rte_byteorder.h>
#include <rte_malloc.h>
#include <string.h>

#include "crypto.h"
#include "esp.h"
#include "lcore.h"
#include "secret.h"
#include "wire.h"

/* Ask for a successor when three quarters of the sequence numbers are used. */
#define SEQ32_LAST UINT32_MAX
#define SEQ32_SOFT (SEQ32_LAST - SEQ32_LAST / 4)
#define SEQ64_SOFT (UINT64_MAX - UINT64_MAX / 4)
#define OUTER_TTL  64

static uint32_t window_bits(const struct sa_params *p)
{
	return p->replay_window ? p->replay_window : SA_REPLAY_DEFAULT;
}

/* Bytes of an SA: what all have, keys and window. */
static size_t sa_size(const struct sa_params *p)
{
	size_t keys = offsetof(struct sa, chain) + crypto_keys_size(p);

	return RTE_ALIGN_CEIL(keys, RTE_CACHE_LINE_SIZE) +
	       (p->dir == SA_IN ? 2 * window_bits(p) / 8 : 0);
}

static int window_init(struct sa *sa, const struct sa_params *p)
{
	uint32_t bits = window_bits(p);

	if (bits < SA_REPLAY_MIN || bits > SA_REPLAY_MAX || (bits & (bits - 1)))
		return -EINVAL;
	sa->window_bits = (uint16_t)bits;
	sa->window_mask = (uint16_t)(2 * bits / 64 - 1);
	sa->window_at = sa->size - 2 * bits / 8;
	return 0;
}

static void selectors_init(struct sa *sa, const struct selector *s)
{
	sa->sel4 = (struct sa_sel4){
		.local_port = s->local_port,
		.remote_port = s->remote_port,
		.proto = s->proto,
	};
	if (s->local.lo.family == IP_V4) {
		sa->sel4.local_lo = ip_addr_to_v4(&s->local.lo);
		sa->sel4.local_hi = ip_addr_to_v4(&s->local.hi);
		sa->sel4.remote_lo = ip_addr_to_v4(&s->remote.lo);
		sa->sel4.remote_hi = ip_addr_to_v4(&s->remote.hi);
		return;
	}
	memcpy(sa->sel6.local_lo, s->local.lo.b, 16);
	memcpy(sa->sel6.local_hi, s->local.hi.b, 16);
	memcpy(sa->sel6.remote_lo, s->remote.lo.b, 16);
	memcpy(sa->sel6.remote_hi, s->remote.hi.b, 16);
}

static void outer4_init(struct sa *sa, uint8_t *ip, uint8_t proto)
{
	ip[IP4_VER_IHL] = 0x45;
	ip[IP4_TTL] = OUTER_TTL;
	ip[IP4_PROTO] = proto;
	store_be32(ip + IP4_SRC, sa->local_v4);
	store_be32(ip + IP4_DST, sa->remote_v4);
	for (unsigned i = 0; i < IP4_LEN; i += 2)
		sa->hdr_sum += load_be16(ip + i);
}

static void outer6_init(const struct sa *sa, uint8_t *ip, uint8_t proto)
{
	ip[IP6_VTF] = 0x60;
	ip[IP6_NEXT] = proto;
	ip[IP6_HOPS] = OUTER_TTL;
	memcpy(ip + IP6_SRC, sa->local.b, 16);
	memcpy(ip + IP6_DST, sa->remote.b, 16);
}

/* What is put in front of the payload, right-aligned in hdr[]. Length, TOS, identification, DF and
 * checksum of an IPv4 header, length, traffic class and flow label of an IPv6 header, UDP length
 * and checksum, sequence number, IV, ICV and AH's next header (transport) stay zero: esp_out fills
 * them in. */
static void header_init(struct sa *sa, const struct sa_params *p)
{
	uint8_t *front = sa->hdr + SA_HDR_ROOM - sa->hdr_len, *esp = front + sa->esp_off;
	uint8_t proto = p->udp_encap ? PROTO_UDP : (uint8_t)p->proto;

	if (p->mode == SA_TUNNEL && p->local.family == IP_V4)
		outer4_init(sa, front, proto);
	else if (p->mode == SA_TUNNEL)
		outer6_init(sa, front, proto);
	if (p->udp_encap) {
		store_be16(esp - UDP_LEN + UDP_SPORT,
			   p->local_port ? p->local_port : PORT_IKE_NATT);
		store_be16(esp - UDP_LEN + UDP_DPORT,
			   p->remote_port ? p->remote_port : PORT_IKE_NATT);
	}
	if (p->proto == SA_ESP) {
		store_be32(esp + ESP_SPI, sa->spi);
		return;
	}
	esp[AH_NEXT] = sa->next;
	esp[AH_PAYLOAD] = (uint8_t)((sa->hdr_len - sa->esp_off) / 4 - 2);
	store_be32(esp + AH_SPI, sa->spi);
}

static uint64_t limit(uint64_t v)
{
	return v ? v : UINT64_MAX;
}

static void limits_init(struct sa *sa, const struct sa_params *p)
{
	sa->soft_bytes = limit(p->soft_bytes);
	sa->hard_bytes = limit(p->hard_bytes);
	sa->soft_packets = limit(p->soft_packets);
	sa->hard_packets = limit(p->hard_packets);
	sa->soft_seq = sa->hard_seq = UINT64_MAX;
	if (p->dir == SA_OUT) {
		sa->soft_seq = p->esn ? SEQ64_SOFT : SEQ32_SOFT;
		sa->hard_seq = p->esn ? UINT64_MAX : SEQ32_LAST;
	}
	sa->packets_check = RTE_MIN(sa->soft_packets, sa->hard_packets);
	sa->bytes_check = RTE_MIN(sa->soft_bytes, sa->hard_bytes);
	sa->seq_check = sa->soft_seq;
}

static bool same_family(const struct ip_addr *a, const struct ip_addr *b)
{
	return a->family == b->family && (a->family == IP_V4 || a->family == IP_V6);
}

static int params_check(const struct sa_params *p)
{
	if (!p->spi || p->dscp > 63 || (p->dir != SA_IN && p->dir != SA_OUT) ||
	    (p->proto != SA_ESP && p->proto != SA_AH) ||
	    (p->mode != SA_TUNNEL && p->mode != SA_TRANSPORT))
		return -EINVAL;
	if (!same_family(&p->local, &p->remote) ||
	    !same_family(&p->sel.local.lo, &p->sel.remote.lo))
		return -EINVAL;
	/* transport: the inner packet has the outer header; AH covers what a NAT changes */
	if ((p->mode == SA_TRANSPORT && p->sel.local.lo.family != p->local.family) ||
	    (p->proto == SA_AH && p->udp_encap))
		return -EINVAL;
	return crypto_supported(p) ? 0 : -ENOTSUP;
}

static enum sa_path path_of(const struct sa_params *p)
{
	if (p->mode == SA_TRANSPORT)
		return SA_PATH_TRANSPORT;
	return p->proto == SA_ESP && p->local.family == IP_V4 && p->sel.local.lo.family == IP_V4
		       ? SA_PATH_ESP4
		       : SA_PATH_TUNNEL;
}

/* RFC 4302 section 3.3.3.2.1: all of AH is a multiple of 4 bytes under IPv4, of 8 under IPv6. RFC 4543
 * section 4: GMAC's IV is part of it. */
static uint8_t ah_len(const struct sa *sa, const struct sa_params *p)
{
	unsigned unit = p->local.family == IP_V6 ? 8 : 4;

	return (uint8_t)RTE_ALIGN_CEIL(AH_LEN + sa->iv_len + sa->icv_len, unit);
}

static void lengths_init(struct sa *sa, const struct sa_params *p)
{
	const struct encr_info *encr = encr_info(p->encr);

	sa->iv_len = encr->iv_len;
	sa->icv_len = encr->aead ? encr->icv_len : integ_info(p->integ)->icv_len;
	sa->pad_to = p->proto == SA_AH ? 1 : RTE_MAX(encr->block_len, 4);
	sa->tail_len = p->proto == SA_AH ? 0 : sa->icv_len;
	if (p->mode == SA_TUNNEL)
		sa->l3_len = p->local.family == IP_V6 ? IP6_LEN : IP4_LEN;
	sa->esp_off = (uint8_t)(sa->l3_len + (p->udp_encap ? UDP_LEN : 0));
	sa->hdr_len = (uint8_t)(sa->esp_off +
				(p->proto == SA_AH ? ah_len(sa, p) : ESP_HDR_LEN + sa->iv_len));
}

static uint32_t flags_of(const struct sa_params *p)
{
	uint32_t flags = 0;

	if (p->esn)
		flags |= SA_F_ESN;
	if (p->copy_dscp)
		flags |= SA_F_COPY_DSCP;
	if (p->copy_flow)
		flags |= SA_F_COPY_FLOW;
	if (p->clamp_mss)
		flags |= SA_F_CLAMP_MSS;
	/* RFC 3948 section 3.1.2: the checksum was made with the addresses before the NAT */
	if (p->mode == SA_TRANSPORT && p->udp_encap)
		flags |= SA_F_FIX_SUM;
	return flags;
}

static void constants_init(struct sa *sa, const struct sa_params *p)
{
	sa->spi = p->spi;
	sa->slot = p->ref.slot;
	sa->owner = p->ref.owner;
	sa->dir = (uint8_t)p->dir;
	sa->encr = (uint8_t)p->encr;
	sa->integ = (uint8_t)p->integ;
	sa->key_bits = p->key_bits;
	sa->mode = (uint8_t)p->mode;
	sa->policy = p->policy;
	sa->clamp_mss = p->clamp_mss;
	sa->next_hop = UINT32_MAX;
	sa->sel = p->sel;
	sa->local = p->local;
	sa->remote = p->remote;
	if (p->local.family == IP_V4) {
		sa->local_v4 = ip_addr_to_v4(&p->local);
		sa->remote_v4 = ip_addr_to_v4(&p->remote);
	}
	sa->local_port = p->local_port;
	sa->remote_port = p->remote_port;
	sa->peer_port = p->remote_port ? p->remote_port : PORT_IKE_NATT;
	sa->path = (uint8_t)path_of(p);
	sa->wrap = (uint8_t)((p->udp_encap ? WRAP_UDP : 0) | (p->proto == SA_AH ? WRAP_AH : 0) |
			     (p->local.family == IP_V6 ? WRAP_IP6 : 0));
	if (p->mode == SA_TUNNEL)
		sa->next = p->sel.local.lo.family == IP_V6 ? NEXT_IPV6 : NEXT_IPV4;
	sa->df = (uint8_t)p->df;
	sa->dscp_ecn = (uint8_t)(p->dscp << 2);
	sa->flags = flags_of(p);
	lengths_init(sa, p);
}

struct sa *sa_build(IMB_MGR *mb, const struct sa_params *p, int socket)
{
	struct sa *sa;
	int err = params_check(p);

	if (err) {
		errno = -err;
		return NULL;
	}
	sa = rte_zmalloc_socket("sa", sa_size(p), RTE_CACHE_LINE_SIZE, socket);
	if (!sa) {
		errno = ENOMEM;
		return NULL;
	}
	sa->size = (uint32_t)sa_size(p);
	constants_init(sa, p);
	limits_init(sa, p);
	err = crypto_sa_init(mb, sa, p);
	if (err)
		goto fail;
	if (p->dir == SA_IN) {
		err = window_init(sa, p);
		selectors_init(sa, &p->sel);
	} else {
		header_init(sa, p);
		if (sa->crypto >= SA_CHAIN &&
		    RAND_bytes((uint8_t *)&sa->chain.iv_seed, sizeof(sa->chain.iv_seed)) != 1)
			err = -EIO;
	}
	if (!err)
		return sa;
fail:
	sa_free(sa);
	errno = -err;
	return NULL;
}

void sa_free(struct sa *sa)
{
	if (!sa)
		return;
	secret_wipe(sa, sa->size);
	rte_free(sa);
}

static void event_raise(struct lcore *lc, const struct sa *sa, enum evt_op op, enum sa_limit which)
{
	struct evt evt = {
		.op = op,
		.slot = sa->slot,
		.spi = sa->spi,
		.policy = sa->policy,
		.dir = sa->dir,
		.limit = (uint8_t)which,
	};

	lcore_event(lc, &evt);
}

void sa_limits(struct lcore *lc, struct sa *sa)
{
	bool soft_bytes = sa->bytes >= sa->soft_bytes, hard_bytes = sa->bytes >= sa->hard_bytes;
	bool soft_packets = sa->packets >= sa->soft_packets;
	bool hard_packets = sa->packets >= sa->hard_packets;
	bool hard_seq = sa->seq >= sa->hard_seq;

	if (!(sa->flags & SA_F_SOFT) && (soft_bytes || soft_packets || sa->seq >= sa->soft_seq)) {
		event_raise(lc, sa, EVT_SA_SOFT,
			    soft_bytes     ? LIMIT_BYTES
			    : soft_packets ? LIMIT_PACKETS
					   : LIMIT_SEQUENCE);
		sa->flags |= SA_F_SOFT;
		sa->packets_check = sa->hard_packets;
		sa->bytes_check = sa->hard_bytes;
		sa->seq_check = sa->hard_seq;
	}
	if (!(sa->flags & SA_F_DEAD) && (hard_bytes || hard_packets || hard_seq)) {
		event_raise(lc, sa, EVT_SA_HARD,
			    hard_bytes     ? LIMIT_BYTES
			    : hard_packets ? LIMIT_PACKETS
					   : LIMIT_SEQUENCE);
		sa->flags |= SA_F_DEAD | (hard_seq ? SA_F_SEQ_END : 0);
	}
}
