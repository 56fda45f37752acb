/* A data plane and an engine of paper for the control side's tests: they answer with fixed figures and
 * remember what was asked. */
#ifndef TEST_FAKE_PLANES_H
#define TEST_FAKE_PLANES_H

#include "dataplane.h"
#include "ike.h"

struct fake {
	int up_rc, down_rc, rekey_rc; /* what ike_up() and so on answer */
	char asked[128];	      /* the last name given to one of them */
	bool child_established;
	unsigned extra_children; /* more established SA pairs, all alike */
	const char *last_error;
	/* trace and capture */
	int watch_rc;
	bool watching;
	struct dp_watch_cfg watch; /* the last one asked for */
	uint32_t watch_policies[4];
};

extern struct fake fake;

/* The one peer and its children that the engine of paper has. */
extern struct ike_peer_cfg fake_peer;

#endif
