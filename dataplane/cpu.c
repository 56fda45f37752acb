#include "cpu.h"

#include <rte_cpuflags.h>
#include <stdio.h>

#include "log.h"

/* What IPsec-MB wants for its VAES code without AVX-512, less GFNI. */
#define ALMOST_T2 \
	(IMB_CPUFLAGS_AVX2 | IMB_FEATURE_SHANI | IMB_FEATURE_VAES | IMB_FEATURE_VPCLMULQDQ)

static struct {
	bool allowed, decided, forced;
	bool gcm_allowed, gcm_own;
	uint64_t hidden;
	char path[64];
} cpu = { .allowed = true, .gcm_allowed = true };

#ifdef SHRIKE_IMB_STATIC
/* The linker puts __wrap_ in the place of IPsec-MB's own function (--wrap). */
uint64_t __real_cpu_feature_detect(void);
uint64_t __wrap_cpu_feature_detect(void);

uint64_t __wrap_cpu_feature_detect(void)
{
	uint64_t features = __real_cpu_feature_detect() & ~cpu.hidden;

	return cpu.forced ? features | IMB_FEATURE_GFNI : features;
}

static bool lever_fits(void)
{
	uint64_t features = __real_cpu_feature_detect() & ~cpu.hidden;

	return (features & ALMOST_T2) == ALMOST_T2 && !(features & IMB_FEATURE_GFNI) &&
	       (features & IMB_FEATURE_AVX512_SKX) != IMB_FEATURE_AVX512_SKX;
}
#else
static bool lever_fits(void)
{
	return false;
}
#endif

static IMB_MGR *mgr_new(void)
{
	IMB_MGR *mb = alloc_mb_mgr(0);

	if (!mb)
		return NULL;
	init_mb_mgr_auto(mb, NULL);
	if (imb_get_errno(mb)) {
		free_mb_mgr(mb);
		return NULL;
	}
	return mb;
}

static bool self_test_passed(const IMB_MGR *mb)
{
	return !(mb->features & IMB_FEATURE_SELF_TEST) ||
	       (mb->features & IMB_FEATURE_SELF_TEST_PASS);
}

static bool gcm_fits(void)
{
	const uint64_t needed = IMB_FEATURE_VAES | IMB_FEATURE_VPCLMULQDQ | IMB_FEATURE_AVX2;

	__builtin_cpu_init();
	if (cpu.hidden & needed || !__builtin_cpu_supports("avx2") || /* AVX2: by the kernel too */
	    rte_cpu_get_flag_enabled(RTE_CPUFLAG_VAES) != 1 ||
	    rte_cpu_get_flag_enabled(RTE_CPUFLAG_VPCLMULQDQ) != 1)
		return false;
	return cpu.hidden & IMB_FEATURE_AVX512_SKX || !__builtin_cpu_supports("avx512f");
}

static void decide_gcm(void)
{
	char why[128] = "no memory";
	IMB_MGR *mb;

	cpu.gcm_own = false;
	if (!cpu.gcm_allowed || !gcm_fits())
		return;
	mb = mgr_new();
	cpu.gcm_own = mb && cpu_gcm_same(mb, why, sizeof(why));
	if (!cpu.gcm_own)
		log_warn("our own AES-GCM is not used: %s", why);
	if (mb)
		free_mb_mgr(mb);
}

/* Both kinds of manager side by side. Leaves cpu.forced as decided. */
static void decide_vaes(void)
{
	IMB_MGR *ordinary, *fast;
	char why[128] = "no memory";

	cpu.forced = false;
	if (!cpu.allowed || !lever_fits())
		return;
	ordinary = mgr_new();
	cpu.forced = true;
	fast = mgr_new();
	if (fast && !self_test_passed(fast))
		snprintf(why, sizeof(why), "IPsec-MB's self-test failed");
	else if (ordinary && fast && cpu_same_results(ordinary, fast, why, sizeof(why)))
		why[0] = '\0';
	cpu.forced = why[0] == '\0';
	if (why[0])
		log_warn("the VAES code of IPsec-MB is not used: %s", why);
	if (ordinary)
		free_mb_mgr(ordinary);
	if (fast)
		free_mb_mgr(fast);
}

void cpu_vaes_allow(bool allowed)
{
	cpu.allowed = allowed;
	cpu.decided = false;
}

void cpu_gcm_allow(bool allowed)
{
	cpu.gcm_allowed = allowed;
	cpu.decided = false;
}

void cpu_hide(uint64_t features)
{
	cpu.hidden = features;
	cpu.decided = false;
}

/* Our own code is compared with IPsec-MB's ordinary one. */
static void decide(void)
{
	if (cpu.decided)
		return;
	cpu.decided = true;
	cpu.forced = false;
	decide_gcm();
	decide_vaes();
}

IMB_MGR *cpu_mgr_new(void)
{
	decide();
	return mgr_new();
}

bool cpu_gcm_own(void)
{
	decide();
	return cpu.gcm_own;
}

bool cpu_vaes_forced(void)
{
	return cpu.forced;
}

static const char *imb_path(const IMB_MGR *mb)
{
	switch (mb->used_arch) {
	case IMB_ARCH_SSE:
		return "SSE";
	case IMB_ARCH_AVX2:
		if (cpu.forced)
			return "AVX2, VAES without GFNI (checked)";
		return mb->features & IMB_FEATURE_VAES && mb->features & IMB_FEATURE_GFNI
			       ? "AVX2, VAES"
			       : "AVX2";
	case IMB_ARCH_AVX512:
		return mb->features & IMB_FEATURE_VAES && mb->features & IMB_FEATURE_GFNI
			       ? "AVX512, VAES"
			       : "AVX512";
	default:
		return "other";
	}
}

const char *cpu_path(const IMB_MGR *mb)
{
	snprintf(cpu.path, sizeof(cpu.path), "%s%s", imb_path(mb),
		 cpu.gcm_own ? ", own AES-GCM (checked)" : "");
	return cpu.path;
}
