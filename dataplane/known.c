#include "known.h"

#include <string.h>

/* splitmix64's finish: whoever does not know the seed cannot aim at a place. */
static uint64_t mix(uint64_t z)
{
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

uint32_t known_cookies(const struct known *k, const uint8_t *icookie, const uint8_t *rcookie)
{
	uint64_t i, r = 0;

	memcpy(&i, icookie, sizeof(i));
	if (rcookie)
		memcpy(&r, rcookie, sizeof(r));
	return (uint32_t)(mix(mix(i ^ k->seed) + r) % KNOWN_PLACES);
}

uint32_t known_address(const struct known *k, const uint8_t *addr, size_t len)
{
	uint64_t a[2] = { 0, len };

	memcpy(a, addr, len < 8 ? len : 8);
	if (len > 8) {
		uint64_t low = 0;
		memcpy(&low, addr + 8, len - 8 < 8 ? len - 8 : 8);
		a[1] ^= mix(low);
	}
	return (uint32_t)(mix(mix(~a[0] ^ k->seed) + a[1]) % KNOWN_PLACES);
}

void known_change(struct known *k, uint32_t place, bool more)
{
	uint8_t n = k->count[place];

	if (n == UINT8_MAX || (n == 0 && !more))
		return;
	__atomic_store_n(&k->count[place], (uint8_t)(more ? n + 1 : n - 1), __ATOMIC_RELAXED);
}
