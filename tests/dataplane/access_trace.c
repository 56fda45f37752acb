#include "access_trace.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define PAGE        4096ul
#define RANGES_MAX  512
#define STACKS_MAX  64
#define OPEN_MAX    8
#define TEXT_LEN    (256 * 1024)
#define TABLE_BITS  20
#define TRAP_FLAG   0x100 /* of EFLAGS: one instruction, then SIGTRAP */
#define FAULT_WRITE 2     /* of the page fault's error code */

struct open_page {
	uintptr_t page,
		next; /* next: the line behind the access, 0 = on another page, or read only */
	uint8_t behind[LINE];
};

/* All that the handlers use lies here, in memory that stays open. */
struct tracer {
	struct {
		uintptr_t from, to;
	} range[RANGES_MAX];
	unsigned n_ranges, n_open, who;
	bool on, parking;
	struct open_page open[OPEN_MAX];
	uintptr_t main_tls, stack[STACKS_MAX];
	pid_t tid[STACKS_MAX];
	unsigned n_tids, n_parked;
	char text[TEXT_LEN];
	struct access table[1u << TABLE_BITS];
};

/* A constant: where a variable would lie is closed. */
#define TRACER ((struct tracer *)0x510000000000ul)

/* errno and the like belong to whom we interrupt. */
static long protect(uintptr_t at, uintptr_t len, long how)
{
	long rc;

	__asm__ volatile("syscall"
			 : "=a"(rc)
			 : "a"(SYS_mprotect), "D"(at), "S"(len), "d"(how)
			 : "rcx", "r11", "memory");
	return rc;
}

static void note(uintptr_t at, bool written)
{
	uintptr_t line = at & ~(uintptr_t)(LINE - 1);
	uint32_t i = (uint32_t)(line / LINE * 0x9e3779b97f4a7c15ull >> (64 - TABLE_BITS));
	struct access *a = &TRACER->table[i];

	while (a->line && a->line != line)
		a = &TRACER->table[++i & ((1u << TABLE_BITS) - 1)];
	a->line = line;
	if (written)
		a->written |= (uint8_t)(1u << TRACER->who);
	else
		a->read |= (uint8_t)(1u << TRACER->who);
}

static bool is_ours(uintptr_t at)
{
	for (unsigned i = 0; i < TRACER->n_ranges; i++)
		if (at >= TRACER->range[i].from && at < TRACER->range[i].to)
			return true;
	return false;
}

static struct open_page *open_find(uintptr_t page)
{
	for (unsigned i = 0; i < TRACER->n_open; i++)
		if (TRACER->open[i].page == page)
			return &TRACER->open[i];
	return TRACER->n_open < OPEN_MAX ? &TRACER->open[TRACER->n_open++] : NULL;
}

/* A read opens for reading alone, so that a write of the same instruction faults, too. */
static void on_fault(int sig, siginfo_t *info, void *context)
{
	greg_t *reg = ((ucontext_t *)context)->uc_mcontext.gregs;
	uintptr_t at = (uintptr_t)info->si_addr, next = (at | (LINE - 1)) + 1;
	bool write = reg[REG_ERR] & FAULT_WRITE;
	struct open_page *o = TRACER->on && is_ours(at) ? open_find(at & ~(PAGE - 1)) : NULL;

	if (!o) {
		signal(sig, SIG_DFL); /* a real one: it comes again */
		return;
	}
	note(at, write);
	o->page = at & ~(PAGE - 1);
	protect(o->page, PAGE, write ? PROT_READ | PROT_WRITE : PROT_READ);
	o->next = write && next < o->page + PAGE ? next : 0;
	if (o->next)
		__builtin_memcpy(o->behind, (const void *)next, LINE);
	reg[REG_EFL] |= TRAP_FLAG;
}

static bool same(const uint8_t *a, const uint8_t *b)
{
	uint8_t diff = 0;

	for (unsigned i = 0; i < LINE; i++)
		diff |= a[i] ^ b[i];
	return diff == 0;
}

static void on_step(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)info;
	for (unsigned i = 0; i < TRACER->n_open; i++) {
		const struct open_page *o = &TRACER->open[i];
		if (o->next && !same(o->behind, (const uint8_t *)o->next))
			note(o->next, true);
		protect(o->page, PAGE, PROT_NONE);
	}
	TRACER->n_open = 0;
	((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
}

/* ------------------------------------------------------------------------- threads ---------- */

/* Where a thread is kept that must not run: what it has of its own is where its stack is. */
static void on_park(int sig)
{
	const struct timespec nap = { .tv_nsec = 2000000 };
	long rc;

	(void)sig;
	TRACER->stack[__atomic_fetch_add(&TRACER->n_parked, 1, __ATOMIC_ACQ_REL)] =
		(uintptr_t)__builtin_frame_address(0);
	while (__atomic_load_n(&TRACER->parking, __ATOMIC_ACQUIRE))
		__asm__ volatile("syscall"
				 : "=a"(rc)
				 : "a"(SYS_nanosleep), "D"(&nap), "S"(NULL)
				 : "rcx", "r11", "memory");
	__atomic_fetch_sub(&TRACER->n_parked, 1, __ATOMIC_ACQ_REL);
}

static bool is_known(pid_t tid)
{
	for (unsigned i = 0; i < TRACER->n_tids; i++)
		if (TRACER->tid[i] == tid)
			return true;
	return tid == gettid();
}

/* Of those that were told to park: some may have ended instead. */
static unsigned alive(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < TRACER->n_tids; i++)
		n += syscall(SYS_tgkill, getpid(), TRACER->tid[i], 0) == 0;
	return n;
}

/* Parks the threads that are not yet: true when there were any. Nothing here takes a lock. */
static bool park_more(int tasks)
{
	unsigned before = TRACER->n_tids;
	long n;

	lseek(tasks, 0, SEEK_SET);
	while ((n = syscall(SYS_getdents64, tasks, TRACER->text, TEXT_LEN)) > 0) {
		for (long at = 0; at < n;) {
			const struct dirent64 *entry = (const void *)(TRACER->text + at);
			pid_t tid = atoi(entry->d_name);
			at += entry->d_reclen;
			if (tid > 0 && !is_known(tid) && TRACER->n_tids < STACKS_MAX - 2 &&
			    syscall(SYS_tgkill, getpid(), tid, SIGUSR2) == 0)
				TRACER->tid[TRACER->n_tids++] = tid;
		}
	}
	while (__atomic_load_n(&TRACER->n_parked, __ATOMIC_ACQUIRE) < alive())
		usleep(100);
	return TRACER->n_tids > before;
}

static void park_all(void)
{
	int tasks = open("/proc/self/task", O_RDONLY | O_DIRECTORY);

	TRACER->n_tids = 0;
	__atomic_store_n(&TRACER->parking, true, __ATOMIC_RELEASE);
	while (park_more(tasks))
		;
	close(tasks);
}

static void unpark_all(void)
{
	__atomic_store_n(&TRACER->parking, false, __ATOMIC_RELEASE);
	while (__atomic_load_n(&TRACER->n_parked, __ATOMIC_ACQUIRE))
		usleep(100);
}

/* ------------------------------------------------------------------------- the memory ------- */

static bool has_stack(uintptr_t from, uintptr_t to)
{
	uintptr_t own = (uintptr_t)__builtin_frame_address(0), main_tls = TRACER->main_tls;

	for (unsigned i = 0; i < TRACER->n_parked; i++)
		if (TRACER->stack[i] >= from && TRACER->stack[i] < to)
			return true;
	return (own >= from && own < to) || (main_tls >= from && main_tls < to);
}

static void range_add(const char *line)
{
	unsigned long from, to;
	char how[8], name[128] = "";

	if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %127s", &from, &to, how, name) < 3 ||
	    strncmp(how, "rw", 2) != 0 || from == (uintptr_t)TRACER || strstr(name, "ld-linux") ||
	    strncmp(name, "[stack", 6) == 0 || strncmp(name, "[v", 2) == 0 || has_stack(from, to) ||
	    TRACER->n_ranges == RANGES_MAX)
		return;
	TRACER->range[TRACER->n_ranges].from = from;
	TRACER->range[TRACER->n_ranges++].to = to;
}

/* All that can be written, but for stacks with what is private to threads, and our own. */
static void ranges_find(void)
{
	int f = open("/proc/self/maps", O_RDONLY);
	size_t len = 0;
	long n;

	TRACER->n_ranges = 0;
	while (len < TEXT_LEN - 1 && (n = read(f, TRACER->text + len, TEXT_LEN - 1 - len)) > 0)
		len += (size_t)n;
	close(f);
	TRACER->text[len] = '\0';
	for (char *line = TRACER->text, *end; (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		range_add(line);
	}
}

uint64_t access_covered(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < TRACER->n_ranges; i++)
		sum += TRACER->range[i].to - TRACER->range[i].from;
	return sum;
}

static void protect_all(long how)
{
	for (unsigned i = 0; i < TRACER->n_ranges; i++)
		protect(TRACER->range[i].from, TRACER->range[i].to - TRACER->range[i].from, how);
}

void access_begin(unsigned who)
{
	park_all();
	ranges_find();
	TRACER->who = who;
	TRACER->on = true;
	protect_all(PROT_NONE);
}

void access_end(void)
{
	protect_all(PROT_READ | PROT_WRITE);
	TRACER->on = false;
	unpark_all();
}

const struct access *access_lines(unsigned *n)
{
	*n = 1u << TABLE_BITS;
	return TRACER->table;
}

bool access_init(void)
{
	struct sigaction fault = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER };
	struct sigaction step = { .sa_sigaction = on_step, .sa_flags = SA_SIGINFO | SA_NODEFER };
	struct sigaction park = { .sa_handler = on_park, .sa_flags = SA_RESTART };
	void *at = mmap(TRACER, sizeof(*TRACER), PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (at != TRACER)
		return false;
	TRACER->main_tls = (uintptr_t)pthread_self();
	return sigaction(SIGSEGV, &fault, NULL) == 0 && sigaction(SIGTRAP, &step, NULL) == 0 &&
	       sigaction(SIGUSR2, &park, NULL) == 0;
}
