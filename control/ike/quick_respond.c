/* Quick Mode's first message as the responder sees it: which child, which transform. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "access.h"
#include "bytes.h"
#include "diagnose.h"
#include "quick_mode.h"

/* Our view of the selectors that the initiator asks for. 0 or -EINVAL. */
static int qm_selector(const struct exchange *x, const struct inmsg *m, struct selector *out)
{
	const struct payload *pi = payload_find(&m->list, PL_ID, 0);
	const struct payload *pr = payload_find(&m->list, PL_ID, 1);
	struct ike_id i, r;

	if (!pi) { /* RFC 2409 section 5.5: without identities, the two gateways themselves */
		*out = (struct selector){
			.local = { x->sa->path.local, x->sa->path.local },
			.remote = { x->sa->path.remote, x->sa->path.remote },
		};
		return 0;
	}
	if (ike_id_parse(pi->body, &i) != 0 || ike_id_parse(pr->body, &r) != 0 ||
	    i.proto != r.proto)
		return -EINVAL;
	*out = (struct selector){ .proto = i.proto, .local_port = r.port, .remote_port = i.port };
	if (ike_id_to_range(&i, &out->remote) != 0 || ike_id_to_range(&r, &out->local) != 0)
		return -EINVAL;
	return out->local.lo.family == out->remote.lo.family ? 0 : -EINVAL;
}

/* Only an exact match counts: a narrower answer cannot be expressed in Quick Mode. */
static struct child *qm_find_exact(struct peer *peer, const struct selector *sel)
{
	struct child *c;

	TAILQ_FOREACH(c, &peer->children, link)
		if (!c->dead && selector_equal(&c->cfg.sel, sel))
			return c;
	return NULL;
}

static bool is_one(const struct ip_range *r)
{
	return ip_addr_equal(&r->lo, &r->hi);
}

/* Behind a NAT the initiator's own address means nothing here, nor does ours to it where we are
 * behind one: in transport mode both stand for the ends of the path (RFC 3947 section 5.2). */
static struct child *qm_find_translated(struct exchange *x, const struct selector *sel)
{
	const struct isakmp_sa *sa = x->sa;
	const struct ip_addr *own = &x->qm.oa_remote;
	struct selector seen = *sel;
	struct child *c;

	if (!sa->encap || !is_one(&sel->local) || !is_one(&sel->remote) ||
	    (own->family != IP_NONE && !ip_addr_equal(own, &sel->remote.lo)))
		return NULL;
	seen.local = (struct ip_range){ sa->path.local, sa->path.local };
	seen.remote = (struct ip_range){ sa->path.remote, sa->path.remote };
	c = qm_find_exact(sa->peer, &seen);
	return c && c->cfg.mode == SA_TRANSPORT ? c : NULL;
}

static bool is_everything(const struct ip_range *r)
{
	static const struct ip_range all = { { .family = IP_V4 },
					     { .family = IP_V4, .b = { 255, 255, 255, 255 } } };

	return ip_range_equal(r, &all);
}

/* Cisco's clients ask for everything, and leave it to the split networks that they were told, and to
 * the gateway, what passes: the identities are echoed, the SA carries what the child says. */
static struct child *qm_find_unity(struct exchange *x, const struct selector *sel)
{
	const struct isakmp_sa *sa = x->sa;
	struct child *c;

	if (!sa->access || !sa->access->unity || !is_everything(&sel->local))
		return NULL;
	TAILQ_FOREACH(c, &sa->peer->children, link)
		if (!c->dead && c->cfg.pooled && access_holds(sa, c) &&
		    ip_range_equal(&c->cfg.sel.remote, &sel->remote) && c->cfg.sel.proto == sel->proto)
			return c;
	return NULL;
}

static struct child *qm_find_child(struct exchange *x, const struct selector *sel)
{
	struct child *c = qm_find_exact(x->sa->peer, sel);

	if (!c)
		c = qm_find_translated(x, sel);
	if (!c) {
		c = qm_find_unity(x, sel);
		x->qm.everything = c != NULL;
	}
	return c;
}

static unsigned qm_pending(const struct isakmp_sa *sa)
{
	const struct exchange *x;
	unsigned n = 0;

	TAILQ_FOREACH(x, &sa->exchanges, link)
		n += !x->dead && !x->done && x->type == EXCH_QUICK && !x->initiator;
	return n;
}

void quick_mode_respond(struct isakmp_sa *sa, struct inmsg *m)
{
	struct exchange *x;

	if (sa->ike->closing || qm_pending(sa) >= MAX_PENDING_QUICK) {
		sa->ike->totals.dropped++;
		return;
	}
	x = exchange_new(sa, EXCH_QUICK, false, m->hdr.msgid);
	if (!x)
		return;
	exchange_receive(x, m);
	if (x->n_seen == 0)
		exchange_kill(x);
	else if (sa_msgid_use(sa, m->hdr.msgid) != 0 && !x->dead)
		exchange_kill(x);
}

/* The Main Mode SA has carried what it may: the peer's wish is fulfilled under a new one, which we make
 * where we can, or else the peer when this one is gone. True after failing the exchange. */
static bool qm_beyond_limit(struct exchange *x)
{
	struct isakmp_sa *sa = x->sa;
	struct child *child = x->qm.child;
	uint32_t limit = sa->peer->cfg.quick_limit;
	struct pair *pair;

	/* This one is counted already. Where both sides begin what each takes for the last one, it is the
	 * maker's of the Main Mode SA: if both refused, neither would have any. */
	if (!sa_quick_beyond(sa, sa->initiator))
		return false;
	exchange_fail(x, N_NO_PROPOSAL_CHOSEN,
		      "%s asks for another Quick Mode for %s, but one Main Mode SA may carry %u of "
		      "them (quick-mode-limit or master-pfs)",
		      sa->peer->cfg.name, child->cfg.name, limit);
	if (!peer_may_initiate(sa->peer)) {
		sa_retire(sa, GRACE_US); /* once the Quick Modes under way are done */
		return true;
	}
	child->wanted = true;
	TAILQ_FOREACH(pair, &child->pairs, link)
		pair->rekey_due |= !pair->dead && pair->state == PAIR_LIVE;
	peer_kick(sa->peer);
	return true;
}

/* Chooses child and transform. Returns false after failing the exchange. */
static bool qm_choose(struct exchange *x, const struct inmsg *m)
{
	struct qm *q = &x->qm;
	struct view body = need(m, PL_SA)->body;
	const char *name = x->sa->peer->cfg.name, *bad = "";
	struct ike_diagnosis d;
	struct mismatch why;
	struct selector sel;
	char addr[RANGE_STR_LEN];

	if (sa_payload_parse(body, &x->ike->offer, &bad) != 0) {
		exchange_fail(x, N_BAD_PROPOSAL_SYNTAX, "the phase 2 offer of %s is malformed: %s",
			      name, bad);
		return false;
	}
	if (x->ike->offer.n_proposals && x->ike->offer.proposals[0].spi.len == 4)
		q->choice.spi = get_u32(x->ike->offer.proposals[0].spi.p);
	if (qm_selector(x, m, &sel) != 0) {
		exchange_fail(x, N_INVALID_ID_INFORMATION,
			      "the phase 2 identities of %s are no addresses", name);
		return false;
	}
	natt_oa_read(x, &m->list);
	q->child = qm_find_child(x, &sel);
	if (!q->child) {
		diag_selectors(&d, x->sa, &sel);
		exchange_diagnose(x, N_INVALID_ID_INFORMATION, &d);
		return false;
	}
	if (q->child->cfg.pooled && !access_holds(x->sa, q->child)) {
		exchange_fail(x, N_INVALID_ID_INFORMATION,
			      "%s asks for the address %s, which is not leased to it", name,
			      ip_range_str(&sel.remote, addr, sizeof(addr)));
		return false;
	}
	if (q->child->down) {
		exchange_fail(x, N_NO_PROPOSAL_CHOSEN, "%s asks for %s, which is down by command",
			      name, q->child->cfg.name);
		return false;
	}
	if (qm_beyond_limit(x))
		return false;
	uint32_t spi = q->choice.spi;
	struct esp_policy policy = qm_policy(x, q->child);
	if (esp_offer_choose(&x->ike->offer, &policy, &q->choice, &why) != 0) {
		q->choice.spi = spi;
		diag_mismatch(&d, x->sa, q->child, &why);
		exchange_diagnose(x, N_NO_PROPOSAL_CHOSEN, &d);
		return false;
	}
	return true;
}

void qm_handle_1(struct exchange *x, const struct inmsg *m)
{
	struct qm *q = &x->qm;
	struct view body = need(m, PL_SA)->body;
	const struct payload *id_i = payload_find(&m->list, PL_ID, 0);
	const struct payload *id_r = payload_find(&m->list, PL_ID, 1);

	x->sa->asked = true;
	if (!qm_choose(x, m))
		return;
	q->group = q->choice.t.group;
	q->have_ids = id_i != NULL;
	q->indexed = pair_index_read(&m->list, &q->idx);
	if (!q->indexed)
		q->idx = child_pick_index(q->child);
	if (!qm_take(x, m, q->group))
		return;
	q->pair = pair_new(q->child, q->idx, false, x);
	if (!q->pair || buf_set(x->ike, &q->sa_body, body.p, body.len) != 0 ||
	    qm_nonce(x, &x->nr) != 0 ||
	    (id_i && buf_set(x->ike, &q->id_i, id_i->body.p, id_i->body.len) != 0) ||
	    (id_r && buf_set(x->ike, &q->id_r, id_r->body.p, id_r->body.len) != 0)) {
		qm_no_memory(x);
		return;
	}
	q->pair->indexed = q->indexed;
	q->pair->everything = q->everything;
	qm_compute(x, q->group);
}
