#include "random.h"

#include <errno.h>
#include <openssl/rand.h>
#include <stdint.h>
#include <string.h>

#include "secret.h"

int random_bytes(void *buf, size_t len)
{
	static _Thread_local uint8_t supply[4096];
	static _Thread_local size_t left; /* at its end */

	if (len > sizeof(supply))
		return RAND_bytes(buf, (int)len) == 1 ? 0 : -EIO;
	if (len > left) {
		if (RAND_bytes(supply, sizeof(supply)) != 1)
			return -EIO;
		left = sizeof(supply);
	}
	uint8_t *from = supply + sizeof(supply) - left;
	memcpy(buf, from, len);
	secret_wipe(from, len);
	left -= len;
	return 0;
}
