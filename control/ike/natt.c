/* NAT traversal: RFC 3947 and its drafts 02 and 03, which differ in payload and mode numbers only.
 */
#include <string.h>

#include "engine.h"
#include "secret.h"

static uint8_t natd_type(const struct isakmp_sa *sa)
{
	return sa->natt == NATT_RFC3947 ? PL_NAT_D : PL_NAT_D_DRAFT;
}

static bool natd_hash(const struct isakmp_sa *sa, const struct ip_addr *a, uint16_t port,
		      uint8_t *out)
{
	return ike_natd_hash(sa->t.hash, sa->icookie, sa->rcookie, a, port, out) == 0;
}

/* Is it the hash of that address and port? What came to port 4500 because of a NAT (Aggressive Mode's
 * message 3) may still be about port 500. */
static bool natd_is(const struct isakmp_sa *sa, struct view hash, const struct ip_addr *a,
		    uint16_t port)
{
	size_t len = hash_info(sa->t.hash)->len;
	uint8_t want[HASH_MAX_LEN];

	if (hash.len != len)
		return false;
	return (natd_hash(sa, a, port, want) && memcmp(hash.p, want, len) == 0) ||
	       (sa->path.local_port == 4500 && natd_hash(sa, a, 500, want) &&
		memcmp(hash.p, want, len) == 0);
}

/* The destination first, then the source. A wrong source makes the other side see a NAT before us:
 * that is how encapsulation is forced. */
void natt_write(struct msgbuf *m, const struct isakmp_sa *sa, enum hash_alg hash)
{
	uint8_t h[HASH_MAX_LEN];
	size_t len = hash_info(hash)->len;

	if (sa->natt == NATT_NONE)
		return;
	if (natd_hash(sa, &sa->path.remote, sa->path.remote_port, h))
		msg_payload(m, natd_type(sa), h, len);
	if (natd_hash(sa, &sa->path.local, sa->path.local_port, h)) {
		if (sa->peer->cfg.force_encap)
			h[0] ^= 0xff;
		msg_payload(m, natd_type(sa), h, len);
	}
}

void natt_read(struct isakmp_sa *sa, const struct payload_list *l)
{
	const struct payload *p = payload_find(l, natd_type(sa), 0);

	if (sa->natt == NATT_NONE)
		return;
	if (!p) {
		sa->natt = NATT_NONE; /* it announced NAT-T and does not do it */
		return;
	}
	sa->nat_local = !natd_is(sa, p->body, &sa->path.local, sa->path.local_port);
	sa->nat_remote = true;
	for (unsigned k = 1; (p = payload_find(l, natd_type(sa), k)); k++)
		if (natd_is(sa, p->body, &sa->path.remote, sa->path.remote_port))
			sa->nat_remote = false;
	sa->encap = sa->nat_local || sa->nat_remote || sa->peer->cfg.force_encap;
	if (sa->encap)
		ike_note(sa->ike, sa->peer, sa, "UDP encapsulation: %s",
			 sa->nat_local && sa->nat_remote ? "both sides are behind a NAT"
			 : sa->nat_local                 ? "we are behind a NAT"
			 : sa->nat_remote                ? "the peer is behind a NAT"
							 : "forced by the configuration");
}

void natt_oa_write(struct msgbuf *m, const struct isakmp_sa *sa, bool initiator)
{
	const struct ip_addr *own = &sa->path.local, *other = &sa->path.remote;
	const struct ip_addr *both[2] = { initiator ? own : other, initiator ? other : own };
	bool rfc = sa->natt == NATT_RFC3947;

	/* the drafts know only the sender's own */
	for (unsigned i = 0; i < (rfc ? 2 : 1); i++) {
		const struct ip_addr *a = rfc ? both[i] : own;
		msg_open(m, rfc ? PL_NAT_OA : PL_NAT_OA_DRAFT);
		msg_put_u8(m, a->family == IP_V6 ? ID_IPV6_ADDR : ID_IPV4_ADDR);
		msg_put_u8(m, 0);
		msg_put_u16(m, 0);
		msg_put(m, a->b, ip_addr_len(a));
		msg_close(m);
	}
}

/* The body is that of an identity with an address in it. */
static struct ip_addr oa_parse(const struct payload *p)
{
	struct ip_addr none = { .family = IP_NONE };
	struct ip_range r;
	struct ike_id id;

	if (!p || ike_id_parse(p->body, &id) != 0 ||
	    (id.type != ID_IPV4_ADDR && id.type != ID_IPV6_ADDR) || ike_id_to_range(&id, &r) != 0)
		return none;
	return r.lo;
}

void natt_oa_read(struct exchange *x, const struct payload_list *l)
{
	struct qm *q = &x->qm;
	bool rfc = x->sa->natt == NATT_RFC3947;
	uint8_t type = rfc ? PL_NAT_OA : PL_NAT_OA_DRAFT;
	struct ip_addr first = oa_parse(payload_find(l, type, 0));
	struct ip_addr second = oa_parse(payload_find(l, type, 1));

	q->oa_local = q->oa_remote = (struct ip_addr){ .family = IP_NONE };
	if (!rfc || second.family == IP_NONE) {
		q->oa_remote = first; /* one alone is the sender's own */
		return;
	}
	/* the initiator's first, whoever sends */
	q->oa_local = x->initiator ? first : second;
	q->oa_remote = x->initiator ? second : first;
}

void natt_float(struct isakmp_sa *sa)
{
	if (!sa->encap || sa->path.local_port != 500)
		return;
	sa->path.local_port = 4500;
	sa->path.remote_port = 4500;
}

uint16_t natt_encap(const struct isakmp_sa *sa, enum sa_mode mode)
{
	bool tunnel = mode == SA_TUNNEL;

	if (!sa->encap)
		return tunnel ? ENCAP_TUNNEL : ENCAP_TRANSPORT;
	if (sa->natt == NATT_RFC3947)
		return tunnel ? ENCAP_UDP_TUNNEL : ENCAP_UDP_TRANSPORT;
	return tunnel ? ENCAP_UDP_TUNNEL_DRAFT : ENCAP_UDP_TRANSPORT_DRAFT;
}
