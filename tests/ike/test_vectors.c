/* Negotiations between two other gateways, reproduced to the byte. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replay.h"

/* Values that are not for us to compute: the inputs, and the sender's own NAT-D hash, which these
 * peers fill with random bytes to force encapsulation. */
static bool not_ours(const char *name)
{
	static const char *const names[] = { "shared Diffie Hellman secret", "DH secret", "SPIs",
					     "received src_hash", NULL };

	for (unsigned i = 0; names[i]; i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

/* Every value that one side wrote down must be among those that we computed. */
static unsigned compare_side(const struct replay *r, const char *side)
{
	json_t *list = json_object_get(r->v->keys, side), *entry;
	uint8_t want[1024];
	unsigned matched = 0;
	size_t i;

	json_array_foreach(list, i, entry)
	{
		const char *name = json_string_value(json_array_get(entry, 0));
		const char *hex = json_string_value(json_array_get(entry, 1));
		if (not_ours(name))
			continue;
		size_t len = hex_decode(hex, want, sizeof(want));
		cr_expect(replay_has(r, name, want, len), "%s, %s: %s %s is not reproduced",
			  r->v->name, side, name, hex);
		matched++;
	}
	return matched;
}

static void run(const char *name, unsigned values, unsigned messages, unsigned hashes,
		unsigned signatures)
{
	struct replay *r = calloc(1, sizeof(*r));
	struct vector v;

	cr_assert(vector_load(name, &v));
	cr_assert(replay_run(r, &v), "%s: line %u: %s", name, r->error_line,
		  r->error ? r->error : "");
	unsigned matched = compare_side(r, "initiator") + compare_side(r, "responder");
	printf("%s: %u recorded values reproduced; %u messages decrypted, %u hashes, %u "
	       "signatures, "
	       "%u NAT-D pairs verified\n",
	       name, matched, r->decrypted, r->hashes, r->signatures, r->natd);
	cr_assert_eq(matched, values);
	cr_assert_eq(r->decrypted, messages);
	cr_assert_eq(r->hashes, hashes);
	cr_assert_eq(r->signatures, signatures);
	cr_assert_eq(r->natd, 2);
	free(r);
	vector_free(&v);
}

Test(vectors, main_psk)
{
	run("main-psk", 91, 7, 7, 0);
}

Test(vectors, main_psk_with_pfs)
{
	run("main-psk-pfs", 95, 7, 7, 0);
}

Test(vectors, main_psk_3des_md5)
{
	run("main-psk-3des", 95, 7, 7, 0);
}

Test(vectors, main_rsa_signatures)
{
	run("main-rsa", 95, 7, 5, 2);
}

Test(vectors, aggressive_psk)
{
	run("aggr-psk", 92, 6, 7, 0);
}

/* The comparison itself must be able to fail. */
Test(vectors, a_wrong_byte_is_noticed)
{
	struct replay *r = calloc(1, sizeof(*r));
	struct vector v;
	const uint8_t *msg;
	size_t len;

	cr_assert(vector_load("main-psk", &v));
	cr_assert(vector_isakmp(&v.packet[4], &msg, &len));
	v.file[msg + 40 - v.file] ^= 1;
	cr_assert_not(replay_run(r, &v));
	vector_free(&v);
	cr_assert(vector_load("main-psk", &v));
	cr_assert(vector_isakmp(&v.packet[3], &msg, &len)); /* the responder's nonce or key */
	v.file[msg + 60 - v.file] ^= 1;
	cr_assert_not(replay_run(r, &v));
	free(r);
	vector_free(&v);
}
