/* Outbound ESP and AH for everything but IPv4 in an IPv4 ESP tunnel: other families, AH, transport
 * mode. See esp_out.h for the steps. */
#include <rte_branch_prediction.h>

#include "esp_out.h"
#include "ip6.h"

/* ------------------------------------------------------------------------------ check ------- */

static enum drop_reason check4(struct out_pkt *o, const uint8_t *ip)
{
	uint32_t len = o->pkt->data_len, ihl;

	if (len < IP4_LEN)
		return DROP_inner_malformed;
	ihl = ip4_header_len(ip);
	o->len = load_be16(ip + IP4_TOTAL);
	if (ihl < IP4_LEN || o->len < ihl || o->len > len)
		return DROP_inner_malformed;
	o->tos = ip[IP4_TOS];
	o->frag = load_be16(ip + IP4_FRAG);
	if (ip[IP4_TTL] <= 1 && !(pkt_meta(o->pkt)->flags & PKT_LOCAL_OUT))
		return DROP_ip_ttl;
	return KEEP;
}

static enum drop_reason check6(struct out_pkt *o, const uint8_t *ip)
{
	uint32_t vtf;

	if (o->pkt->data_len < IP6_LEN || ip6_total(ip) > o->pkt->data_len)
		return DROP_inner_malformed;
	vtf = load_be32(ip + IP6_VTF);
	o->len = ip6_total(ip);
	o->tos = (uint8_t)(vtf >> 20);
	o->flow = vtf & 0xfffff;
	o->frag = IP4_DF; /* routers never fragment IPv6 */
	if (ip[IP6_HOPS] <= 1 && !(pkt_meta(o->pkt)->flags & PKT_LOCAL_OUT))
		return DROP_ip_ttl;
	return KEEP;
}

/* RFC 4303 section 3.1.1: ESP and AH come behind all headers that are there, and carry whole
 * packets only. The packet is its own outer one, so it must go from us to the peer. */
static enum drop_reason transport4(const struct sa *sa, struct out_pkt *o, const uint8_t *ip)
{
	if (ip4_is_fragment(ip))
		return DROP_transport_fragment;
	if (load_be32(ip + IP4_SRC) != sa->local_v4 || load_be32(ip + IP4_DST) != sa->remote_v4)
		return DROP_sel_mismatch;
	o->keep = ip4_header_len(ip);
	o->next = ip[IP4_PROTO];
	return KEEP;
}

static enum drop_reason transport6(const struct sa *sa, struct out_pkt *o, const uint8_t *ip)
{
	struct ip6_chain chain;
	enum drop_reason why = ip6_chain_read(ip, o->len, &chain);

	if (why != KEEP)
		return why;
	if (chain.frag_at)
		return DROP_transport_fragment;
	if (memcmp(ip + IP6_SRC, sa->local.b, 16) || memcmp(ip + IP6_DST, sa->remote.b, 16))
		return DROP_sel_mismatch;
	if (chain.l4_off + (uint32_t)sa->esp_off > UINT8_MAX)
		return DROP_ip6_extension;
	o->keep = chain.l4_off;
	o->next = chain.proto;
	o->next_at = chain.next_at;
	return KEEP;
}

/* Sizes. An IPv6 packet that any link carries is never too big: the outer one is fragmented. Nor is one in transport
 * mode, which is our own: its fragments come behind ESP or AH (RFC 4303 section 3.3.4). */
static enum drop_reason measure(const struct sa *sa, struct out_pkt *o, bool v6)
{
	uint32_t body = o->len - o->keep;

	o->clen = body;
	if (!(sa->wrap & WRAP_AH))
		o->clen = (body + 2 + sa->pad_to - 1) & ~(uint32_t)(sa->pad_to - 1);
	o->total = o->keep + sa->hdr_len + o->clen + sa->tail_len;
	if (o->total > UINT16_MAX)
		return DROP_too_big;
	if (!sa->outer_mtu || o->total <= sa->outer_mtu)
		return KEEP;
	if (v6 && (o->len <= IP6_MTU_MIN || sa->path == SA_PATH_TRANSPORT)) {
		o->frag = 0;
		return KEEP;
	}
	if (!v6 && sa->df == DF_CLEAR && !(sa->wrap & WRAP_IP6)) /* as in esp_out.c */
		return KEEP;
	return o->frag & IP4_DF ? DROP_too_big : KEEP;
}

enum drop_reason out_any_check(const struct sa *sa, struct out_pkt *o)
{
	const uint8_t *ip = rte_pktmbuf_mtod(o->pkt, const uint8_t *);
	bool v6 = sa->sel.local.lo.family == IP_V6;
	enum drop_reason why;

	if (o->pkt->data_len == 0 || ip_version(ip) != sa->sel.local.lo.family)
		return DROP_inner_malformed;
	why = v6 ? check6(o, ip) : check4(o, ip);
	if (why != KEEP)
		return why;
	o->next = sa->next;
	if (sa->path == SA_PATH_TRANSPORT) {
		why = v6 ? transport6(sa, o, ip) : transport4(sa, o, ip);
		if (why != KEEP)
			return why;
	}
	return measure(sa, o, v6);
}

/* ------------------------------------------------------------------------------ write ------- */

static void tunnel4_write(const struct sa *sa, const struct out_pkt *o, uint8_t *ip, uint64_t seq)
{
	uint16_t frag = sa->df == DF_COPY ? o->frag & IP4_DF : sa->df == DF_SET ? IP4_DF : 0;

	ip[IP4_TOS] = outer_tos(sa, o->tos);
	store_be16(ip + IP4_TOTAL, (uint16_t)o->total);
	store_be16(ip + IP4_ID, (uint16_t)seq);
	store_be16(ip + IP4_FRAG, frag);
	ip4_sum_set(ip);
}

static void tunnel6_write(const struct sa *sa, const struct out_pkt *o, uint8_t *ip)
{
	uint32_t flow = sa->flags & SA_F_COPY_FLOW ? o->flow : 0;

	store_be32(ip + IP6_VTF, 6u << 28 | (uint32_t)outer_tos(sa, o->tos) << 20 | flow);
	store_be16(ip + IP6_PAYLOAD, (uint16_t)(o->total - IP6_LEN));
}

/* The packet's own header, now in front of ESP or AH. */
static void transport_write(const struct sa *sa, const struct out_pkt *o, uint8_t *ip)
{
	uint8_t proto = sa->wrap & WRAP_UDP ? PROTO_UDP : sa->wrap & WRAP_AH ? PROTO_AH : PROTO_ESP;

	if (ip_version(ip) == 4) {
		ip[IP4_PROTO] = proto;
		store_be16(ip + IP4_TOTAL, (uint16_t)o->total);
		ip4_sum_set(ip);
	} else {
		ip[o->next_at] = proto;
		store_be16(ip + IP6_PAYLOAD, (uint16_t)(o->total - IP6_LEN));
	}
}

/* RFC 4301 section 5.1.2.1: a packet in transit loses one before it is encrypted. */
static void ttl_decrement(const struct out_pkt *o, uint8_t *ip)
{
	if (pkt_meta(o->pkt)->flags & PKT_LOCAL_OUT)
		return;
	if (ip_version(ip) == 4)
		ip4_ttl_decrement(ip);
	else
		ip[IP6_HOPS]--;
}

uint8_t *out_any_write(const struct sa *sa, const struct out_pkt *o, uint64_t seq)
{
	uint8_t *ip = o->body - o->keep, *front = ip - sa->hdr_len;
	uint8_t *esp = front + o->keep + sa->esp_off;
	uint32_t body = o->len - o->keep;

	ttl_decrement(o, ip);
	if (o->keep)
		memmove(front, ip, o->keep);
	memcpy(front + o->keep, sa->hdr + SA_HDR_ROOM - sa->hdr_len, sa->hdr_len);
	if (sa->path == SA_PATH_TRANSPORT)
		transport_write(sa, o, front);
	else if (sa->wrap & WRAP_IP6)
		tunnel6_write(sa, o, front);
	else
		tunnel4_write(sa, o, front, seq);
	if (sa->wrap & WRAP_UDP)
		store_be16(esp - UDP_LEN + UDP_LENGTH,
			   (uint16_t)(o->total - o->keep - sa->esp_off + UDP_LEN));
	if (sa->wrap & WRAP_AH) {
		esp[AH_NEXT] = o->next;
		store_be32(esp + AH_SEQ, (uint32_t)seq);
	} else {
		store_be32(esp + ESP_SEQ, (uint32_t)seq);
		trailer_write(o->body + body, o->clen - body - 2, o->next);
	}
	return front;
}

bool out_ah_begin(const struct sa *sa, const struct out_pkt *o, uint8_t *front, uint64_t seq,
		  struct ah_job *job)
{
	job->ip = front;
	job->total = o->total;
	job->high = (uint32_t)(seq >> 32);
	job->ah_off = (uint16_t)(o->keep + sa->esp_off);
	job->icv_len = sa->iv_len + sa->icv_len;
	job->more = sa->flags & SA_F_ESN ? AH_MORE : 0;
	return ah_begin(job);
}

bool out_ah_gmac(struct lcore *lc, const struct sa *sa, const struct out_pkt *o, uint8_t *front,
		 uint64_t seq)
{
	uint8_t nonce[12], tag[16], *field = front + o->keep + sa->esp_off + AH_ICV;
	struct ah_job job;

	if (!out_ah_begin(sa, o, front, seq, &job))
		return false;
	memcpy(nonce, &sa->salt, 4);
	store_be32(nonce + 4, (uint32_t)(seq >> 32));
	store_be32(nonce + 8, (uint32_t)seq);
	crypto_gmac(lc->mb, sa, front, job.total + job.more, nonce, tag);
	ah_end(&job);
	memcpy(field, nonce + 4, 8);
	memcpy(field + 8, tag, sizeof(tag));
	return true;
}

/* RFC 8200 section 8.1 asks for a checksum where RFC 3948, which knows IPv4 only, wants zero. RFC
 * 6936 would allow zero between peers that agree on it; IKE has no word for that, and a receiver
 * that does not expect it drops the packet. */
void out_udp6_sum(uint8_t *ip, uint8_t *udp)
{
	uint16_t sum;

	store_be16(udp + UDP_SUM, 0);
	sum = (uint16_t)~ip6_l4_sum(ip, PROTO_UDP, udp, load_be16(udp + UDP_LENGTH));
	if (sum == 0)
		sum = 0xffff;
	memcpy(udp + UDP_SUM, &sum, sizeof(sum));
}

void out_udp6_sum_later(struct rte_mbuf *pkt, uint8_t *ip, uint32_t udp_off)
{
	uint8_t *udp = ip + udp_off, tail[8] = { [7] = PROTO_UDP };
	uint16_t sum;

	memcpy(tail + 2, udp + UDP_LENGTH, 2); /* 32 bits */
	sum = sum_fold(sum_add(sum_add(0, ip + IP6_SRC, 32), tail, 8));
	memcpy(udp + UDP_SUM, &sum, sizeof(sum));
	pkt->l2_len = ETH_LEN;
	pkt->l3_len = udp_off & 0x1ff;
	pkt->ol_flags |= RTE_MBUF_F_TX_IPV6 | RTE_MBUF_F_TX_UDP_CKSUM;
}
