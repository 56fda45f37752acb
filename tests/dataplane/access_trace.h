/* Which cache lines code reads and writes: every access, not only those that leave another value behind.
 *
 * While it is on, all other threads are stopped, and no page of the process can be accessed but stacks. An access
 * faults; it is noted, and its page opened for the one instruction. The traced code makes no system calls that read or
 * write memory elsewhere. Linux on x86-64.
 *
 * An access that reaches into a second line of the page counts for the first one, and for the second where it changes
 * something there. */
#ifndef SHRIKE_TESTS_DATAPLANE_ACCESS_TRACE_H
#define SHRIKE_TESTS_DATAPLANE_ACCESS_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#define LINE 64

struct access {
	uintptr_t line;	       /* its address, 0: none */
	uint8_t read, written; /* bit 1 << who */
};

/* In the main thread. False where it cannot work (another tool has the signals, or the memory is somewhere else). */
bool access_init(void);
/* who: 0 to 7. The code between the two runs some thousand times slower. */
void access_begin(unsigned who);
void access_end(void);

/* All of them, in no order; n entries, some of them empty. */
const struct access *access_lines(unsigned *n);
/* Bytes that were closed. */
uint64_t access_covered(void);

#endif
