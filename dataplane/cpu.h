/* Which of IPsec-MB's code paths this CPU gets.
 *
 * IPsec-MB takes its 256-bit VAES code ("AVX2 type 2") only where the CPU also has GFNI, which
 * AMD's Zen 3 and others lack, although nothing but ZUC and its like needs it. Where the rest is
 * there and AVX-512 is not, this adds the GFNI bit to what the library believes to have found:
 * AES-GCM is then almost twice as fast. Never without proof: the library's own self-test has to
 * pass, and every algorithm of ours has to give what the library's ordinary code gives; and nothing
 * here or in crypto.c may call an algorithm that uses GFNI. Only with the static IPsec-MB below
 * .deps/. */
#ifndef SHRIKE_DATAPLANE_CPU_H
#define SHRIKE_DATAPLANE_CPU_H

#include <intel-ipsec-mb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Before the first cpu_mgr_new(): false leaves the choice to IPsec-MB. Control thread. */
void cpu_vaes_allow(bool allowed);
/* Hides these features (IMB_FEATURE_*) from IPsec-MB, to imitate a smaller CPU, and forgets what
 * was decided. For bench and tests. */
void cpu_hide(uint64_t features);

/* What Zen 3 lacks of what later CPUs have. */
#ifdef IMB_FEATURE_AVX_IFMA
#define CPU_ZEN3_LACKS \
	(IMB_FEATURE_AVX512_SKX | IMB_FEATURE_AVX512_IFMA | IMB_FEATURE_AVX_IFMA | IMB_FEATURE_GFNI)
#else
#define CPU_ZEN3_LACKS (IMB_FEATURE_AVX512_SKX | IMB_FEATURE_AVX512_IFMA | IMB_FEATURE_GFNI)
#endif

/* Likewise: false leaves AES-GCM to IPsec-MB. */
void cpu_gcm_allow(bool allowed);

/* A multi-buffer manager for one thread, or NULL. The first call decides for the process. */
IMB_MGR *cpu_mgr_new(void);

/* For people: "AVX2, VAES without GFNI (checked)". */
const char *cpu_path(const IMB_MGR *mb);
/* True when the VAES code was taken although GFNI is not there. */
bool cpu_vaes_forced(void);

/* True when AES-GCM is our own (gcm/gcm.h): the CPU can, has no AVX-512, for which IPsec-MB is faster,
 * and our code gave what IPsec-MB gives. */
bool cpu_gcm_own(void);

/* cpu_gcm.c: does our AES-GCM give what the manager's does? On false why says where not. */
bool cpu_gcm_same(IMB_MGR *mb, char *why, size_t why_size);

/* cpu_check.c: does every algorithm of ours, in direct calls and as jobs, give the same bytes with
 * both managers? On false why says which did not. */
bool cpu_same_results(IMB_MGR *ordinary, IMB_MGR *other, char *why, size_t why_size);

#endif
