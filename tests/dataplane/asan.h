/* Whether AddressSanitizer is in this program, and its fences around memory that must not be touched. */
#ifndef SHRIKE_TESTS_DATAPLANE_ASAN_H
#define SHRIKE_TESTS_DATAPLANE_ASAN_H

#if defined(__SANITIZE_ADDRESS__) /* gcc */
#define WITH_ASAN 1
#elif defined(__has_feature) /* clang */
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif

#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n)   ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

#endif
