/* SA payloads for tests: written by the code under test or by hand, and parsed. */
#ifndef SHRIKE_TESTS_IKE_SA_MSG_H
#define SHRIKE_TESTS_IKE_SA_MSG_H

#include "proposal.h"

struct sa_msg {
	uint8_t buf[4096];
	struct msgbuf m;
	struct payload_list list;
	struct sa_payload *sa;
	char why[256];
};

void sa_begin(struct sa_msg *s);
/* Parses what was written. */
void sa_end(struct sa_msg *s);
void sa_free(struct sa_msg *s);

/* A transform by hand: attributes as (type, value) pairs, basic. */
struct hand_attr {
	uint16_t type, value;
};

/* One proposal with one transform; spi 0: none. Parsed. */
void hand_sa(struct sa_msg *s, uint8_t proto, uint8_t id, uint32_t spi, const struct hand_attr *a,
	     unsigned n);

#define HAND(s, proto, id, spi, ...)                                                    \
	do {                                                                            \
		static const struct hand_attr attrs_[] = { __VA_ARGS__ };               \
		hand_sa(s, proto, id, spi, attrs_, sizeof(attrs_) / sizeof(attrs_[0])); \
	} while (0)

#endif
