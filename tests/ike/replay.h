/* Plays a recorded negotiation through our parser and key derivation as a third party that knows
 * the pre-shared key and the Diffie-Hellman secrets: decrypts every message, checks every hash and
 * signature in it, and collects each value that it computed under the name that the recording uses.
 */
#ifndef SHRIKE_TESTS_REPLAY_H
#define SHRIKE_TESTS_REPLAY_H

#include <stdbool.h>

#include "keymat.h"
#include "message.h"
#include "proposal.h"
#include "vectors.h"

#define REPLAY_MAX_VALUES 128
#define REPLAY_MAX_MSG    2048

struct replay_value {
	char name[40];
	uint8_t data[1024];
	size_t len;
};

/* One ISAKMP message, decrypted. */
struct replay_msg {
	uint8_t buf[REPLAY_MAX_MSG];
	size_t len;
	struct isakmp_hdr hdr;
	struct payload_list list;
	unsigned dir; /* 0: from the initiator */
};

struct replay {
	const struct vector *v;
	const char *error; /* first thing that went wrong, or NULL */
	unsigned error_line;
	struct replay_msg msg[VECTOR_MAX_PACKETS];
	unsigned n_msgs;

	struct view ke[2], nonce[2], id[2], cert[2];
	struct sa_payload offer, answer; /* phase 1 */
	struct ike_choice choice;
	struct ike_keys keys;
	bool have_keys;
	uint8_t phase1_iv[IKE_MAX_BLOCK]; /* moves on with every phase 1 message */

	uint32_t msgid;       /* of the phase 2 exchange at hand */
	unsigned in_exchange; /* messages of it so far */
	uint8_t phase2_iv[IKE_MAX_BLOCK];
	struct sa_payload qm_offer, qm_answer;
	struct view qm_nonce[2], qm_ke[2];
	struct esp_choice esp;
	bool have_esp;

	struct replay_value value[REPLAY_MAX_VALUES];
	unsigned n_values;
	unsigned decrypted, hashes, signatures, natd; /* what was checked inside the messages */
};

/* A large struct: on the heap. False with r->error when anything does not fit. */
bool replay_run(struct replay *r, const struct vector *v);
/* True when that value was computed under that name. */
bool replay_has(const struct replay *r, const char *name, const uint8_t *data, size_t len);

#endif
