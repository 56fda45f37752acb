/* What keeps an ISAKMP SA: NAT keepalives, where its peer is, whether the peer is alive, and whether
 * anybody needs it. */
#include <string.h>

#include "bytes.h"
#include "isakmp_sa.h"

void sa_keepalive_timer(void *arg)
{
	struct isakmp_sa *sa = arg;
	struct ike *ike = sa->ike;

	ike->ops.keepalive(ike->ops.ctx, &sa->path);
	timer_set(&ike->timers, &sa->keepalive, ike_now(ike) + KEEPALIVE_US);
}

static bool same_end(const struct ike_path *a, const struct ip_addr *remote, uint16_t port)
{
	return ip_addr_equal(&a->remote, remote) && a->remote_port == port;
}

/* Only who sits behind a NAT changes its address unasked (RFC 3947 section 7): with anybody else
 * a packet whose source was forged on the way would take the traffic elsewhere. */
void sa_moved(struct isakmp_sa *sa, const struct ip_addr *remote, uint16_t port)
{
	struct ike_path old = sa->path;
	char addr[ADDR_STR_LEN];

	if (!sa->nat_remote || same_end(&old, remote, port))
		return;
	sa->path.remote = *remote;
	sa->path.remote_port = port;
	ike_note(sa->ike, sa->peer, sa, "the peer is now at %s, UDP port %u",
		 ip_addr_str(remote, addr, sizeof(addr)), port);
	if (sa->state == IKE_SA_ESTABLISHED)
		peer_moved(sa->peer, &old);
}

void sa_heard(struct isakmp_sa *sa, const struct ike_path *path)
{
	sa->last_rx_us = ike_now(sa->ike);
	sa->dpd_tries = 0;
	if (sa->state == IKE_SA_CONNECTING)
		sa->path = *path; /* Main Mode floats to port 4500 */
	else if (path->local_port == sa->path.local_port)
		sa_moved(sa, &path->remote, path->remote_port);
}

/* Nobody needs it any more: its peer has no pairs and wants none. */
void sa_idle_timer(void *arg)
{
	struct isakmp_sa *sa = arg;
	uint64_t now = ike_now(sa->ike), idle = sa->peer->cfg.idle_s * SECOND;
	uint64_t since = sa->established_us;

	if (since < sa->peer->used_us)
		since = sa->peer->used_us;
	if (peer_needs_phase1(sa->peer) || sa_negotiates(sa))
		since = now;
	if (sa->state != IKE_SA_ESTABLISHED)
		return;
	if (now < since + idle)
		timer_set(&sa->ike->timers, &sa->idle, since + idle);
	else
		sa_close(sa, "idle: there was no SA pair for the time of idle-timeout");
}

/* RFC 3706: asks only when nothing was heard, and with the same number until it is answered. What
 * comes in under the peer's ESP SAs is a sign of life as well; on demand, one is missed only when
 * something went out that should have been answered. Sets *again to when to look again where it is
 * too early. */
static bool dpd_due(struct isakmp_sa *sa, uint64_t now, uint64_t *again)
{
	uint64_t idle = sa->peer->cfg.dpd_s * SECOND, heard = sa->last_rx_us;
	uint64_t in = peer_last_packet(sa->peer, &sa->path, SA_IN);

	if (in > heard)
		heard = in;
	*again = heard + idle;
	if (now < *again) {
		sa->dpd_tries = 0;
		return false;
	}
	*again = now + idle;
	return !sa->peer->cfg.dpd_on_demand || sa->dpd_tries > 0 ||
	       peer_last_packet(sa->peer, &sa->path, SA_OUT) > heard;
}

void sa_dpd_timer(void *arg)
{
	struct isakmp_sa *sa = arg;
	struct ike *ike = sa->ike;
	uint64_t now = ike_now(ike), again;
	uint8_t spi[2 * ISAKMP_COOKIE_LEN], seq[4];

	if (!dpd_due(sa, now, &again)) {
		timer_set(&ike->timers, &sa->dpd, again);
		return;
	}
	if (sa->dpd_tries > retry_count(sa->peer)) {
		peer_lost(sa->peer, sa);
		return;
	}
	if (sa->dpd_seq == 0)
		sa->dpd_seq = ike_random32(ike) >> 1 | 1;
	memcpy(spi, sa->icookie, ISAKMP_COOKIE_LEN);
	memcpy(spi + ISAKMP_COOKIE_LEN, sa->rcookie, ISAKMP_COOKIE_LEN);
	put_u32(seq, sa->dpd_seq);
	info_notify(sa, PROTO_ISAKMP, N_DPD, spi, sizeof(spi), seq, sizeof(seq));
	timer_set(&ike->timers, &sa->dpd, now + (retry_ms(sa->peer) * 1000ull << sa->dpd_tries));
	sa->dpd_tries++;
}

void sa_dpd_ack(struct isakmp_sa *sa, uint32_t seq)
{
	if (seq == sa->dpd_seq)
		sa->dpd_seq++;
}
