#include "sa.h"

#include <errno.h>
#include <openssl/rand.h>
#include <rte_byteorder.h>
#include <rte_malloc.h>
#include <string.h>

#include "crypto.h"
#include "lcore.h"
#include "secret.h"

/* Ask for a successor when three quarters of the sequence numbers are used. */
#define SEQ32_LAST   UINT32_MAX
#define SEQ32_SOFT   (SEQ32_LAST - SEQ32_LAST / 4)
#define OUTER_TTL    64
#define PORT_ESP_UDP 4500

static int window_init(struct sa *sa, const struct sa_params *p)
{
	uint32_t bits = p->replay_window ? p->replay_window : SA_REPLAY_DEFAULT;

	if (bits < SA_REPLAY_MIN || bits > SA_REPLAY_MAX || (bits & (bits - 1)))
		return -EINVAL;
	sa->window_bits = bits;
	sa->window_mask = 2 * bits / 64 - 1;
	return 0;
}

static int sel4_init(struct sa *sa, const struct selector *s)
{
	if (s->local.lo.family != IP_V4 || s->remote.lo.family != IP_V4)
		return -ENOTSUP;
	sa->sel4 = (struct sa_sel4){
		.local_lo = ip_addr_to_v4(&s->local.lo),
		.local_hi = ip_addr_to_v4(&s->local.hi),
		.remote_lo = ip_addr_to_v4(&s->remote.lo),
		.remote_hi = ip_addr_to_v4(&s->remote.hi),
		.local_port = s->local_port,
		.remote_port = s->remote_port,
		.proto = s->proto,
	};
	return 0;
}

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, (uint16_t)(v >> 16));
	put16(p + 2, (uint16_t)v);
}

/* The outer header, right-aligned in hdr[]. Length, TOS, identification, DF and checksum of the IP
 * header, the UDP length, sequence number and IV stay zero: esp_out fills them in. */
static void header_init(struct sa *sa, const struct sa_params *p)
{
	uint8_t *ip = sa->hdr + SA_HDR_ROOM - sa->hdr_len;
	uint8_t *l4 = ip + sa->l3_len;

	ip[0] = 0x45;
	ip[8] = OUTER_TTL;
	ip[9] = p->udp_encap ? 17 : SA_ESP;
	put32(ip + 12, sa->local_v4);
	put32(ip + 16, sa->remote_v4);
	for (unsigned i = 0; i < 20; i += 2)
		sa->hdr_sum += (uint32_t)(ip[i] << 8 | ip[i + 1]);
	if (p->udp_encap) {
		/* zero UDP checksum: RFC 3948 section 2.1 */
		put16(l4, p->local_port ? p->local_port : PORT_ESP_UDP);
		put16(l4 + 2, p->remote_port ? p->remote_port : PORT_ESP_UDP);
	}
	put32(ip + sa->esp_off, sa->spi);
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
	sa->soft_seq = p->dir == SA_OUT ? SEQ32_SOFT : UINT64_MAX;
	sa->hard_seq = p->dir == SA_OUT ? SEQ32_LAST : UINT64_MAX;
	sa->packets_check = RTE_MIN(sa->soft_packets, sa->hard_packets);
	sa->bytes_check = RTE_MIN(sa->soft_bytes, sa->hard_bytes);
	sa->seq_check = sa->soft_seq;
}

static int params_check(const struct sa_params *p)
{
	if (p->proto != SA_ESP || p->mode != SA_TUNNEL || p->esn)
		return -ENOTSUP;
	if (p->local.family != IP_V4 || p->remote.family != IP_V4)
		return -ENOTSUP;
	if (!p->spi || p->dscp > 63 || (p->dir != SA_IN && p->dir != SA_OUT))
		return -EINVAL;
	return crypto_supported(p->encr, p->key_bits, p->integ) ? 0 : -ENOTSUP;
}

static void constants_init(struct sa *sa, const struct sa_params *p)
{
	const struct encr_info *encr = encr_info(p->encr);

	sa->spi = p->spi;
	sa->slot = p->ref.slot;
	sa->owner = p->ref.owner;
	sa->dir = (uint8_t)p->dir;
	sa->encr = (uint8_t)p->encr;
	sa->integ = (uint8_t)p->integ;
	sa->key_bits = p->key_bits;
	sa->mode = (uint8_t)p->mode;
	sa->policy = p->policy;
	sa->next_hop = UINT32_MAX;
	sa->sel = p->sel;
	sa->local = p->local;
	sa->remote = p->remote;
	sa->local_v4 = ip_addr_to_v4(&p->local);
	sa->remote_v4 = ip_addr_to_v4(&p->remote);
	sa->local_port = p->local_port;
	sa->remote_port = p->remote_port;
	sa->iv_len = encr->iv_len;
	sa->icv_len = encr->aead ? encr->icv_len : integ_info(p->integ)->icv_len;
	sa->pad_to = RTE_MAX(encr->block_len, 4);
	sa->l3_len = 20;
	sa->esp_off = (uint8_t)(sa->l3_len + (p->udp_encap ? 8 : 0));
	sa->hdr_len = (uint8_t)(sa->esp_off + 8 + sa->iv_len);
	sa->df = (uint8_t)p->df;
	sa->dscp_ecn = (uint8_t)(p->dscp << 2);
	sa->flags = (p->udp_encap ? SA_F_UDP : 0) | (p->copy_dscp ? SA_F_COPY_DSCP : 0);
}

struct sa *sa_build(IMB_MGR *mb, const struct sa_params *p, int socket)
{
	struct sa *sa;
	int err = params_check(p);

	if (err) {
		errno = -err;
		return NULL;
	}
	sa = rte_zmalloc_socket("sa", sizeof(*sa), RTE_CACHE_LINE_SIZE, socket);
	if (!sa) {
		errno = ENOMEM;
		return NULL;
	}
	constants_init(sa, p);
	limits_init(sa, p);
	err = crypto_sa_init(mb, sa, p);
	if (err)
		goto fail;
	if (p->dir == SA_IN) {
		err = window_init(sa, p);
		if (!err)
			err = sel4_init(sa, &p->sel);
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
	secret_wipe(sa, sizeof(*sa));
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
		event_raise(lc, sa, EVT_SA_SOFT, soft_bytes ? LIMIT_BYTES : soft_packets ? LIMIT_PACKETS
											  : LIMIT_SEQUENCE);
		sa->flags |= SA_F_SOFT;
		sa->packets_check = sa->hard_packets;
		sa->bytes_check = sa->hard_bytes;
		sa->seq_check = sa->hard_seq;
	}
	if (!(sa->flags & SA_F_DEAD) && (hard_bytes || hard_packets || hard_seq)) {
		event_raise(lc, sa, EVT_SA_HARD, hard_bytes ? LIMIT_BYTES : hard_packets ? LIMIT_PACKETS
											  : LIMIT_SEQUENCE);
		sa->flags |= SA_F_DEAD | (hard_seq ? SA_F_SEQ_END : 0);
	}
}
