/* Our own AES-GCM against OpenSSL's: bursts of packets of any length, keys and additional data.
 * SHRIKE_GCM_BURSTS=N runs N bursts instead of a few. */
#include <criterion/criterion.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cpu.h"
#include "gcm/gcm.h"

#define BURST_MAX  8
#define LEN_MAX    9000
#define BURSTS     4000
#define COMMON_MAX 3000 /* most packets are not longer */

static uint64_t seed = 88172645463325252ull;

static uint32_t rnd(uint32_t below)
{
	seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
	return (uint32_t)(seed >> 20) % below;
}

static void rnd_bytes(uint8_t *to, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = (uint8_t)rnd(256);
}

static bool usable(void)
{
	cpu_gcm_allow(true);
	if (cpu_gcm_own())
		return true;
	/* on CPUs with AVX-512 IPsec-MB is preferred, but ours runs */
	cpu_hide(CPU_ZEN3_LACKS);
	if (cpu_gcm_own())
		return true;
	cr_skip("no VAES here");
	return false;
}

/* A packet with what it was made of. */
struct packet {
	struct gcm_key key;
	uint8_t raw[32];
	unsigned bits;
	alignas(16) uint8_t nonce[16], aad[16];
	uint8_t clear[LEN_MAX + 64], data[LEN_MAX + 64];
	unsigned offset; /* of the data in its buffer: any alignment */
	unsigned len, aad_len;
};

static struct packet packets[BURST_MAX];

static void packet_of(struct packet *p, unsigned len, unsigned bits)
{
	p->bits = bits;
	p->offset = rnd(32);
	p->len = len;
	p->aad_len = 8 + 4 * rnd(2);
	rnd_bytes(p->raw, sizeof(p->raw));
	rnd_bytes(p->nonce, sizeof(p->nonce));
	memset(p->aad, 0, sizeof(p->aad));
	rnd_bytes(p->aad, p->aad_len);
	rnd_bytes(p->clear, p->offset + len + GCM_BEHIND);
	memcpy(p->data, p->clear, sizeof(p->data));
	gcm_key_init(&p->key, p->raw, p->bits / 8);
}

static void packet_make(struct packet *p, unsigned len)
{
	packet_of(p, len, 128 + 64 * rnd(3));
}

static struct gcm_op op_of(struct packet *p)
{
	return (struct gcm_op){ .key = &p->key,
				.data = p->data + p->offset,
				.len = p->len,
				.aad_len = p->aad_len,
				.nonce = _mm_load_si128((const __m128i *)p->nonce),
				.aad = _mm_load_si128((const __m128i *)p->aad) };
}

/* OpenSSL's answer over the clear packet. */
static void reference(const struct packet *p, uint8_t *cipher, uint8_t *tag)
{
	static EVP_CIPHER_CTX *ctx;
	const EVP_CIPHER *alg = p->bits == 128   ? EVP_aes_128_gcm()
				: p->bits == 192 ? EVP_aes_192_gcm()
						 : EVP_aes_256_gcm();
	int n;

	if (!ctx)
		ctx = EVP_CIPHER_CTX_new();
	cr_assert(EVP_EncryptInit_ex(ctx, alg, NULL, p->raw, p->nonce) == 1 &&
		  EVP_EncryptUpdate(ctx, NULL, &n, p->aad, (int)p->aad_len) == 1 &&
		  EVP_EncryptUpdate(ctx, cipher, &n, p->clear + p->offset, (int)p->len) == 1 &&
		  EVP_EncryptFinal_ex(ctx, cipher + n, &n) == 1 &&
		  EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, 16, tag) == 1);
}

static void burst_check(unsigned n)
{
	struct gcm_op op[BURST_MAX];
	uint8_t cipher[LEN_MAX + 64], tag[BURST_MAX][16];

	for (unsigned i = 0; i < n; i++)
		op[i] = op_of(&packets[i]);
	gcm_encrypt(op, n);
	for (unsigned i = 0; i < n; i++) {
		struct packet *p = &packets[i];
		uint8_t *end = p->data + p->offset + p->len;

		reference(p, cipher, tag[i]);
		cr_assert(memcmp(p->data, p->clear, p->offset) == 0, "wrote before the data");
		cr_assert(memcmp(op[i].data, cipher, p->len) == 0 && memcmp(end, tag[i], 16) == 0,
			  "packet %u of %u, %u bytes, AES-%u", i, n, p->len, p->bits);
		cr_assert(memcmp(end + 16, p->clear + p->offset + p->len + 16, GCM_BEHIND - 16) ==
				  0,
			  "wrote behind the tag of %u bytes", p->len);
		memcpy(end, p->clear + p->offset + p->len, 16);
	}
	gcm_decrypt(op, n);
	for (unsigned i = 0; i < n; i++) {
		struct packet *p = &packets[i];

		cr_assert(memcmp(p->data, p->clear, p->offset + p->len + GCM_BEHIND) == 0 &&
				  memcmp(&op[i].tag, tag[i], 16) == 0,
			  "packet %u of %u back, %u bytes, AES-%u", i, n, p->len, p->bits);
	}
}

Test(gcm, every_length)
{
	if (!usable())
		return;
	for (unsigned len = 0; len < COMMON_MAX; len++) {
		/* twice the same, then another: two together, and one alone */
		packet_make(&packets[0], len);
		packet_make(&packets[1], len);
		packet_make(&packets[2], rnd(LEN_MAX));
		packet_make(&packets[3], len);
		burst_check(4);
	}
}

Test(gcm, random_bursts, .timeout = 36000)
{
	const char *text = getenv("SHRIKE_GCM_BURSTS");
	unsigned long bursts = text ? strtoul(text, NULL, 10) : BURSTS;

	if (!usable())
		return;
	for (unsigned long k = 0; k < bursts; k++) {
		unsigned n = 1 + rnd(BURST_MAX);

		/* mostly small ones, which go by twos where they fit together */
		for (unsigned i = 0; i < n; i++)
			packet_make(&packets[i], rnd(4) ? rnd(130) : rnd(COMMON_MAX));
		burst_check(n);
	}
}

/* Small packets of as many pairs of blocks and the same key size, of which some two wait for the next two, now
 * and then with another between them. */
Test(gcm, twos_after_twos)
{
	if (!usable())
		return;
	for (unsigned k = 0; k < BURSTS; k++) {
		unsigned n = 2 + rnd(BURST_MAX - 1), pairs = 1 + rnd(4), bits = 128 + 64 * rnd(3);

		for (unsigned i = 0; i < n; i++) {
			unsigned most = 32 * pairs - 16;

			packet_of(&packets[i], most - rnd(pairs == 1 ? 17 : 32), bits);
			if (rnd(10) == 0)
				packet_make(&packets[i], rnd(300));
		}
		burst_check(n);
	}
}

/* n packets of len bytes, GCM_BEHIND bytes behind which memory ends. */
static void at_the_end(uint8_t *const *end, unsigned n, unsigned len)
{
	struct gcm_op op[2];
	uint8_t cipher[LEN_MAX + 64], tag[16];

	for (unsigned i = 0; i < n; i++) {
		packet_of(&packets[i], len, 128);
		op[i] = op_of(&packets[i]);
		op[i].data = end[i] - GCM_BEHIND - len;
		memcpy(op[i].data, packets[i].clear + packets[i].offset, len);
	}
	gcm_encrypt(op, n);
	for (unsigned i = 0; i < n; i++) {
		reference(&packets[i], cipher, tag);
		cr_assert(memcmp(op[i].data, cipher, len) == 0 &&
			  memcmp(op[i].data + len, tag, 16) == 0);
	}
	gcm_decrypt(op, n);
	for (unsigned i = 0; i < n; i++) {
		reference(&packets[i], cipher, tag);
		cr_assert(memcmp(&op[i].tag, tag, 16) == 0);
	}
}

Test(gcm, nothing_past_the_room)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *map =
		mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *end[2] = { map + page, map + 3 * page };

	if (!usable())
		return;
	cr_assert(map != MAP_FAILED && mprotect(map + page, page, PROT_NONE) == 0 &&
		  mprotect(map + 3 * page, page, PROT_NONE) == 0);
	for (unsigned len = 0; len < 1500; len++) {
		at_the_end(end, 1, len);
		at_the_end(end, 2, len);
	}
	munmap(map, 4 * page);
}

/* The check before the first packet finds what is wrong. */
static aes_gcm_enc_dec_t true_gcm;

static void wrong_gcm(const struct gcm_key_data *key, struct gcm_context_data *ctx, uint8_t *out,
		      const uint8_t *in, uint64_t len, const uint8_t *iv, const uint8_t *aad,
		      uint64_t aad_len, uint8_t *tag, uint64_t tag_len)
{
	true_gcm(key, ctx, out, in, len, iv, aad, aad_len, tag, tag_len);
	if (len == 257)
		tag[3] ^= 0x10;
}

Test(gcm, a_difference_is_found)
{
	IMB_MGR *mb = cpu_mgr_new();
	char why[128] = "";

	if (!usable())
		return;
	cr_assert(cpu_gcm_same(mb, why, sizeof(why)), "%s", why);
	true_gcm = mb->gcm192_enc;
	mb->gcm192_enc = wrong_gcm;
	cr_expect_not(cpu_gcm_same(mb, why, sizeof(why)));
	cr_expect_str_eq(why, "AES-192-GCM over 257 bytes is not IPsec-MB's");
	free_mb_mgr(mb);
}

Test(gcm, the_choice)
{
	if (!usable())
		return;
	cpu_gcm_allow(false);
	cr_expect_not(cpu_gcm_own());
	cpu_gcm_allow(true);
	cpu_hide(CPU_ZEN3_LACKS | IMB_FEATURE_VAES);
	cr_expect_not(cpu_gcm_own());
}
