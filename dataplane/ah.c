#include "ah.h"

#include <string.h>

#include "wire.h"

#define OPT_END      0
#define OPT_NOP      1
#define OPT_SECURITY 130 /* RFC 1108 */
#define OPT_ESEC     133
#define OPT_CIPSO    134
#define OPT_RA       148 /* router alert, RFC 2113 */
#define OPT_SDMD     149 /* RFC 1770 */
#define OPT_LSRR     131
#define OPT_SSRR     137

#define OPT6_PAD1    0
#define OPT6_MUTABLE 0x20 /* RFC 8200 section 4.2: the data may change on the way */

/* RFC 4302 appendix A1 */
static bool option_is_immutable(uint8_t type)
{
	return type == OPT_SECURITY || type == OPT_ESEC || type == OPT_CIPSO || type == OPT_RA ||
	       type == OPT_SDMD;
}

static bool options4_zero(uint8_t *opt, uint32_t len)
{
	for (uint32_t i = 0; i < len && opt[i] != OPT_END;) {
		if (opt[i] == OPT_NOP) {
			i++;
			continue;
		}
		if (i + 1 >= len || opt[i + 1] < 2 || i + opt[i + 1] > len)
			return false;
		/* the final destination would have to be put into the header */
		if (opt[i] == OPT_LSRR || opt[i] == OPT_SSRR)
			return false;
		uint8_t size = opt[i + 1];

		if (!option_is_immutable(opt[i]))
			memset(opt + i, 0, size);
		i += size;
	}
	return true;
}

static bool headers4_zero(uint8_t *ip, uint32_t len)
{
	if (len < IP4_LEN || ip4_header_len(ip) != len || ip4_is_fragment(ip))
		return false;
	ip[IP4_TOS] = 0;
	store_be16(ip + IP4_FRAG, 0);
	ip[IP4_TTL] = 0;
	store_be16(ip + IP4_SUM, 0);
	return options4_zero(ip + IP4_LEN, len - IP4_LEN);
}

/* Hop-by-hop or destination options. */
static bool options6_zero(uint8_t *opt, uint32_t len)
{
	for (uint32_t i = 0; i < len;) {
		if (opt[i] == OPT6_PAD1) {
			i++;
			continue;
		}
		if (i + 1 >= len || i + 2 + opt[i + 1] > len)
			return false;
		if (opt[i] & OPT6_MUTABLE)
			memset(opt + i + 2, 0, opt[i + 1]);
		i += 2u + opt[i + 1];
	}
	return true;
}

static bool headers6_zero(uint8_t *ip, uint32_t len)
{
	uint32_t at = IP6_LEN, size;
	uint8_t next = ip[IP6_NEXT];

	if (len < IP6_LEN)
		return false;
	store_be32(ip + IP6_VTF, 0x60000000);
	ip[IP6_HOPS] = 0;
	for (; at < len; at += size) {
		if (at + 8 > len)
			return false;
		size = 8 + ip[at + 1] * 8u;
		if (at + size > len)
			return false;
		if (next == PROTO_HOPOPTS || next == PROTO_DSTOPTS) {
			if (!options6_zero(ip + at + 2, size - 2))
				return false;
		} else if (next != PROTO_ROUTING || ip[at + 3] != 0) {
			return false; /* with no segments left it is as the sender predicted */
		}
		next = ip[at];
	}
	return true;
}

bool ah_mutable_zero(uint8_t *ip, uint32_t len)
{
	return ip_version(ip) == 4 ? headers4_zero(ip, len) : headers6_zero(ip, len);
}

bool ah_begin(struct ah_job *job)
{
	uint8_t *icv = job->ip + job->ah_off + AH_ICV, *behind = job->ip + job->total;

	memcpy(job->headers, job->ip, job->ah_off);
	if (!ah_mutable_zero(job->ip, job->ah_off)) {
		memcpy(job->ip, job->headers, job->ah_off);
		return false;
	}
	memcpy(job->icv, icv, job->icv_len);
	memset(icv, 0, job->icv_len);
	if (job->more) {
		memcpy(job->behind, behind, sizeof(job->behind));
		store_be32(behind, job->high);
	}
	return true;
}

void ah_end(const struct ah_job *job)
{
	memcpy(job->ip, job->headers, job->ah_off);
	memcpy(job->ip + job->ah_off + AH_ICV, job->icv, job->icv_len);
	if (job->more)
		memcpy(job->ip + job->total, job->behind, sizeof(job->behind));
}
