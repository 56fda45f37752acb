/* The choice of IPsec-MB's code: on a CPU that is made to look like one with VAES but without GFNI.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "cpu.h"

#define NEEDED (IMB_FEATURE_SHANI | IMB_FEATURE_VAES | IMB_FEATURE_VPCLMULQDQ | IMB_FEATURE_AVX2)

#ifdef SHRIKE_IMB_STATIC
#define ARCH_TYPE(mb) ((mb)->used_arch_type)
#else
#define ARCH_TYPE(mb) 0 /* IPsec-MB 1.3 does not tell, and these tests are skipped with it */
#endif

static bool cpu_can(void)
{
	IMB_MGR *mb = cpu_mgr_new();
	bool can = (mb->features & NEEDED) == NEEDED;

	free_mb_mgr(mb);
#ifndef SHRIKE_IMB_STATIC
	can = false;
#endif
	if (!can)
		cr_skip("no VAES here, or IPsec-MB is the system's");
	return can;
}

static IMB_MGR *imitate(uint64_t lacks, bool allowed)
{
	cpu_hide(lacks);
	cpu_vaes_allow(allowed);
	return cpu_mgr_new();
}

Test(cpu, vaes_is_taken_without_gfni)
{
	IMB_MGR *mb;

	if (!cpu_can())
		return;
	mb = imitate(CPU_ZEN3_LACKS, true);
	cr_assert(cpu_vaes_forced());
	cr_expect_eq(mb->used_arch, IMB_ARCH_AVX2);
	cr_expect_eq(ARCH_TYPE(mb), 2);
	cr_expect(strstr(cpu_path(mb), "checked"));
	free_mb_mgr(mb);
}

Test(cpu, not_when_forbidden)
{
	IMB_MGR *mb;

	if (!cpu_can())
		return;
	mb = imitate(CPU_ZEN3_LACKS, false);
	cr_expect_not(cpu_vaes_forced());
	cr_expect_eq(ARCH_TYPE(mb), 1);
	free_mb_mgr(mb);
}

Test(cpu, not_without_vaes)
{
	IMB_MGR *mb;

	if (!cpu_can())
		return;
	mb = imitate(CPU_ZEN3_LACKS | IMB_FEATURE_VAES, true);
	cr_expect_not(cpu_vaes_forced());
	free_mb_mgr(mb);
}

/* One bit of one tag is wrong in every tenth call. */
static aes_gcm_enc_dec_t true_gcm;

static void wrong_gcm(const struct gcm_key_data *key, struct gcm_context_data *ctx, uint8_t *out,
		      const uint8_t *in, uint64_t len, const uint8_t *iv, const uint8_t *aad,
		      uint64_t aad_len, uint8_t *tag, uint64_t tag_len)
{
	static unsigned calls;

	true_gcm(key, ctx, out, in, len, iv, aad, aad_len, tag, tag_len);
	if (++calls % 10 == 0)
		tag[15] ^= 1;
}

/* Wrong only where all is additional data. */
static void wrong_gmac(const struct gcm_key_data *key, struct gcm_context_data *ctx, uint8_t *out,
		       const uint8_t *in, uint64_t len, const uint8_t *iv, const uint8_t *aad,
		       uint64_t aad_len, uint8_t *tag, uint64_t tag_len)
{
	true_gcm(key, ctx, out, in, len, iv, aad, aad_len, tag, tag_len);
	if (aad_len > 1000)
		tag[0] ^= 1;
}

Test(cpu, a_difference_is_found)
{
	IMB_MGR *one = cpu_mgr_new(), *two = cpu_mgr_new();
	char why[128] = "";

	cr_assert(cpu_same_results(one, two, why, sizeof(why)), "%s", why);
	true_gcm = two->gcm256_enc;
	two->gcm256_enc = wrong_gcm;
	cr_expect_not(cpu_same_results(one, two, why, sizeof(why)));
	cr_expect(strstr(why, "AES-256-GCM"), "%s", why);
	two->gcm256_enc = true_gcm;

	two->gcm256_enc = wrong_gmac;
	cr_expect_not(cpu_same_results(one, two, why, sizeof(why)));
	two->gcm256_enc = true_gcm;

	two->keyexp_192 = two->keyexp_256;
	cr_expect_not(cpu_same_results(one, two, why, sizeof(why)));
	cr_expect(strstr(why, "AES-192-CBC"), "%s", why);
	free_mb_mgr(one);
	free_mb_mgr(two);
}
