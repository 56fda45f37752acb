/* Parallel SA pairs have the same selectors, so nothing in Quick Mode says which of them a new pair is
 * to replace: the responder could only guess. Between two of us the initiator says it, with a notify
 * of private use in message 1 whose data is the pair's number. It is sent only to a peer whose vendor
 * ID says that it knows it; with any other, one side makes all pairs and the other follows its
 * DELETEs, see pair_succeeds(). */
#include "bytes.h"
#include "engine.h"

void pair_index_tell(struct msgbuf *m, const struct pair *pair)
{
	msg_open(m, PL_NOTIFY);
	msg_put_u32(m, DOI_IPSEC);
	msg_put_u8(m, PROTO_ESP);
	msg_put_u8(m, 4);
	msg_put_u16(m, N_PAIR_INDEX);
	msg_put_u32(m, pair->ref.spi);
	msg_put_u16(m, (uint16_t)pair->idx);
	msg_close(m);
}

bool pair_index_read(const struct payload_list *l, unsigned *idx)
{
	const struct payload *p;
	struct notify n;

	for (unsigned k = 0; (p = payload_find(l, PL_NOTIFY, k)); k++) {
		if (notify_parse(p->body, &n) != 0 || n.type != N_PAIR_INDEX || n.data.len != 2)
			continue;
		*idx = get_u16(n.data.p);
		return *idx < IKE_MAX_PAIRS;
	}
	return false;
}
