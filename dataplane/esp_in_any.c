/* Inbound ESP and AH for everything but IPv4 in an IPv4 ESP tunnel: other families, AH, transport
 * mode. See esp_in.h for the steps. */
#include <rte_branch_prediction.h>

#include "esp_in.h"
#include "ip6.h"
#include "mss.h"

enum drop_reason in_any_measure6(struct in_pkt *p, const uint8_t *ip, uint32_t *end)
{
	const struct pkt_meta *meta = pkt_meta(p->pkt);

	if (ip_version(ip) != 6 || meta->l4_off < meta->l3_off + (uint32_t)IP6_LEN)
		return DROP_esp_short;
	*end = meta->l3_off + ip6_total(ip);
	p->outer_tos = (uint8_t)(load_be32(ip + IP6_VTF) >> 20);
	p->wrap |= WRAP_IP6;
	return KEEP;
}

/* RFC 4302 section 3.3.3.2.1: ICV and padding. Under IPv4 some pad to 8 bytes, too. */
enum drop_reason in_any_ah_check(struct in_pkt *p)
{
	uint32_t need = AH_LEN + (uint32_t)p->sa->iv_len + p->sa->icv_len;

	p->head = (p->esp[AH_PAYLOAD] + 2u) * 4;
	if (p->head < need || p->head > RTE_ALIGN_CEIL(need, 8u) || p->head > p->esp_len)
		return DROP_ah_malformed;
	if (p->wrap & WRAP_IP6 && p->head % 8)
		return DROP_ah_malformed;
	p->clen = p->esp_len - p->head;
	p->seq = load_be32(p->esp + AH_SEQ);
	return KEEP;
}

bool in_any_ah_begin(const struct in_pkt *p, struct ah_job *job)
{
	job->ip = rte_pktmbuf_mtod_offset(p->pkt, uint8_t *, pkt_meta(p->pkt)->l3_off);
	job->ah_off = (uint16_t)(p->esp - job->ip);
	job->total = job->ah_off + p->esp_len;
	job->high = (uint32_t)(p->seq >> 32);
	job->icv_len = p->sa->iv_len + p->sa->icv_len;
	job->more = p->sa->flags & SA_F_ESN ? AH_MORE : 0;
	return ah_begin(job);
}

/* RFC 4543 section 4: the ICV field is IV and tag, zero as a whole for the computation (RFC 4302 section
 * 3.3.3). */
enum drop_reason in_any_ah_gmac(struct lcore *lc, const struct in_pkt *p)
{
	uint8_t nonce[12], tag[16];
	struct ah_job job;

	if (!in_any_ah_begin(p, &job))
		return DROP_ah_malformed;
	memcpy(nonce, &p->sa->salt, 4);
	memcpy(nonce + 4, job.icv, 8);
	crypto_gmac(lc->mb, p->sa, job.ip, job.total + job.more, nonce, tag);
	ah_end(&job);
	return crypto_tag_equal(tag, job.icv + 8, p->sa->icv_len) ? KEEP : DROP_esp_icv;
}

/* ------------------------------------------------------------------------------ payload ----- */

/* Behind the ICV: what ESP or AH carried. */
static enum drop_reason payload_find(const struct in_pkt *p, uint32_t *len, uint8_t *next)
{
	enum drop_reason why = KEEP;

	if (p->wrap & WRAP_AH) {
		*len = p->clen;
		*next = p->esp[AH_NEXT];
	} else {
		why = trailer_read(p->esp + p->head, p->clen, len, next);
	}
	if (why == KEEP && *next == NEXT_NONE)
		return DROP_esp_dummy;
	return why;
}

/* Transport mode: the IP header moves up to the payload, of which len bytes follow, and names it.
 * Returns its new place, and in total the packet's length; NULL: its headers are malformed. */
static uint8_t *header_move(const struct in_pkt *p, uint8_t next, uint32_t len, uint32_t *total)
{
	uint8_t *from = rte_pktmbuf_mtod_offset(p->pkt, uint8_t *, pkt_meta(p->pkt)->l3_off);
	uint32_t keep = (uint32_t)(p->esp - from) - (p->wrap & WRAP_UDP ? UDP_LEN : 0);
	uint8_t *ip = p->esp + p->head - keep;
	struct ip6_chain chain;

	*total = keep + len;
	if (!(p->wrap & WRAP_IP6)) {
		memmove(ip, from, keep);
		ip[IP4_PROTO] = next;
		store_be16(ip + IP4_TOTAL, (uint16_t)*total);
		ip4_sum_set(ip);
		return ip;
	}
	if (ip6_chain_read(from, keep, &chain) != KEEP || chain.l4_off != keep)
		return NULL;
	memmove(ip, from, keep);
	ip[chain.next_at] = next;
	store_be16(ip + IP6_PAYLOAD, (uint16_t)(*total - IP6_LEN));
	return ip;
}

/* ------------------------------------------------------------------------------ inner ------- */

/* Fills total with the packet's own length, see inner4_check(). */
static enum drop_reason inner6_check(const uint8_t *ip, uint32_t len, uint32_t *total,
				     struct ip6_chain *chain)
{
	if (len < IP6_LEN || ip_version(ip) != 6)
		return DROP_inner_malformed;
	*total = ip6_total(ip);
	if (*total > len)
		return DROP_inner_malformed;
	return ip6_chain_read(ip, *total, chain);
}

static bool in_range(const uint8_t *addr, const uint8_t *lo, const uint8_t *hi)
{
	return memcmp(addr, lo, 16) >= 0 && memcmp(addr, hi, 16) <= 0;
}

/* RFC 4301 section 5.2; the protocol is that behind the extension headers, and fragments that are
 * not the first have no ports. */
static bool selector6_match(const struct sa *sa, const uint8_t *ip, uint32_t total,
			    const struct ip6_chain *chain)
{
	const struct sa_sel4 *sel = &sa->sel4;
	const struct sa_sel6 *addr = &sa->sel6;
	const uint8_t *l4 = ip + chain->l4_off;

	if (!in_range(ip + IP6_SRC, addr->remote_lo, addr->remote_hi) ||
	    !in_range(ip + IP6_DST, addr->local_lo, addr->local_hi))
		return false;
	if (sel->proto && chain->proto != sel->proto)
		return false;
	if (!sel->local_port && !sel->remote_port)
		return true;
	if ((chain->frag & IP6F_OFFSET_MASK) || !proto_has_ports(chain->proto) ||
	    total < chain->l4_off + 4u)
		return false;
	return (!sel->remote_port || load_be16(l4) == sel->remote_port) &&
	       (!sel->local_port || load_be16(l4 + 2) == sel->local_port);
}

static enum drop_reason ecn6_combine(uint8_t *ip, uint8_t outer_tos)
{
	uint32_t vtf = load_be32(ip + IP6_VTF);
	int out = ecn_combine((uint8_t)(vtf >> 20) & ECN_MASK, outer_tos & ECN_MASK);

	if (out < 0)
		return DROP_ecn_invalid;
	store_be32(ip + IP6_VTF, (vtf & ~((uint32_t)ECN_MASK << 20)) | (uint32_t)out << 20);
	return KEEP;
}

/* ------------------------------------------------------------------------------ checksums --- */

/* RFC 3948 section 3.1.2: a NAT has changed the addresses that the checksum was computed with. The
 * ICV says that the rest is as it was sent, so it is computed anew. */
static void l4_sum_fix(uint8_t *ip, uint8_t proto, uint32_t l4_off, uint32_t total)
{
	uint8_t *l4 = ip + l4_off, *at;
	uint32_t len = total - l4_off;
	uint16_t sum;

	if (proto == PROTO_TCP && len >= 20) {
		at = l4 + 16;
	} else if (proto == PROTO_UDP && len >= UDP_LEN) {
		at = l4 + UDP_SUM;
		if (load_be16(at) == 0) /* none was wanted */
			return;
		len = load_be16(l4 + UDP_LENGTH);
		if (len < UDP_LEN || len > total - l4_off)
			return;
	} else if (proto == PROTO_ICMP6 && len >= ICMP_LEN) {
		at = l4 + ICMP_SUM;
	} else {
		return;
	}
	store_be16(at, 0);
	if (ip_version(ip) == 6) {
		sum = (uint16_t)~ip6_l4_sum(ip, proto, l4, len);
	} else {
		uint8_t pseudo[4] = { [1] = proto };

		store_be16(pseudo + 2, (uint16_t)len);
		sum = (uint16_t)~sum_fold(
			sum_add(sum_add(sum_add(0, ip + IP4_SRC, 8), pseudo, 4), l4, len));
	}
	if (sum == 0 && proto == PROTO_UDP)
		sum = 0xffff;
	memcpy(at, &sum, sizeof(sum));
}

/* ------------------------------------------------------------------------------ accept ------ */

static enum drop_reason accept4(struct lcore *lc, struct in_pkt *p, uint8_t *ip, uint32_t len)
{
	const struct sa *sa = p->sa;
	uint32_t total;
	enum drop_reason why = inner4_check(ip, len, &total);

	if (why != KEEP)
		return why;
	if (!selector4_match(&sa->sel4, ip, total))
		return DROP_sel_mismatch;
	if (sa->flags & SA_F_FIX_SUM && !ip4_is_fragment(ip))
		l4_sum_fix(ip, ip[IP4_PROTO], ip4_header_len(ip), total);
	if (sa->flags & SA_F_CLAMP_MSS)
		mss_clamp_sa(sa, ip, total);
	if (sa->path == SA_PATH_TUNNEL) {
		why = ecn4_combine(ip, p->outer_tos);
		if (why != KEEP)
			return why;
	}
	in_finish(lc, p, ip, total, ip4_header_len(ip));
	return KEEP;
}

static enum drop_reason accept6(struct lcore *lc, struct in_pkt *p, uint8_t *ip, uint32_t len)
{
	const struct sa *sa = p->sa;
	struct ip6_chain chain;
	uint32_t total;
	enum drop_reason why = inner6_check(ip, len, &total, &chain);

	if (why != KEEP)
		return why;
	if (!selector6_match(sa, ip, total, &chain))
		return DROP_sel_mismatch;
	if (sa->flags & SA_F_FIX_SUM && !chain.frag)
		l4_sum_fix(ip, chain.proto, chain.l4_off, total);
	if (sa->flags & SA_F_CLAMP_MSS)
		mss_clamp_sa(sa, ip, total);
	if (sa->path == SA_PATH_TUNNEL) {
		why = ecn6_combine(ip, p->outer_tos);
		if (why != KEEP)
			return why;
	}
	in_finish(lc, p, ip, total, RTE_MIN(chain.l4_off, UINT8_MAX));
	return KEEP;
}

enum drop_reason in_any_accept(struct lcore *lc, struct in_pkt *p)
{
	const struct sa *sa = p->sa;
	uint8_t *ip = p->esp + p->head, next;
	uint32_t len;
	enum drop_reason why = payload_find(p, &len, &next);

	if (why != KEEP)
		return why;
	if (sa->path == SA_PATH_TRANSPORT) {
		ip = header_move(p, next, len, &len);
		if (!ip)
			return DROP_inner_malformed;
	} else if (next != sa->next) {
		return DROP_esp_next_header;
	}
	return sa->sel.local.lo.family == IP_V6 ? accept6(lc, p, ip, len) : accept4(lc, p, ip, len);
}
