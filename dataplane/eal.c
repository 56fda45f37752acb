/* Starting DPDK's environment from our configuration. */
#include <errno.h>
#include <rte_bus_pci.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_memory.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "dp.h"

#define ARG_LEN  512 /* --lcores with DP_MAX_WORKERS pairs of numbers */
#define ARGS_MAX (24 + DP_MAX_PORTS * 2)

struct args {
	char text[ARGS_MAX][ARG_LEN];
	char *argv[ARGS_MAX + 1];
	int argc;
};

__attribute__((format(printf, 2, 3))) static void arg(struct args *a, const char *fmt, ...)
{
	va_list ap;

	if (a->argc == ARGS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(a->text[a->argc], ARG_LEN, fmt, ap);
	va_end(ap);
	a->argv[a->argc] = a->text[a->argc];
	a->argv[++a->argc] = NULL;
}

static bool cores_sound(const struct dp_cfg *cfg, char *why, size_t why_size)
{
	cpu_set_t have, used;

	CPU_ZERO(&used);
	CPU_SET(cfg->control_core, &used);
	if (sched_getaffinity(0, sizeof(have), &have))
		CPU_ZERO(&have);
	for (unsigned i = 0; i < cfg->n_workers; i++) {
		uint16_t core = cfg->worker_cores[i];
		if (!CPU_ISSET(core, &have)) {
			snprintf(why, why_size, "CPU %u does not exist or may not be used here",
				 core);
			return false;
		}
		if (CPU_ISSET(core, &used) && !cfg->share_core) {
			snprintf(why, why_size,
				 "CPU %u is wanted twice; workers poll and need a CPU each, unless "
				 "share-core is on",
				 core);
			return false;
		}
		CPU_SET(core, &used);
	}
	if (CPU_ISSET(cfg->control_core, &have))
		return true;
	snprintf(why, why_size, "CPU %u, for control, does not exist or may not be used here",
		 cfg->control_core);
	return false;
}

/* Worker i is DPDK lcore i + 1; two lcores may sit on one CPU. */
static void lcore_args(struct args *a, const struct dp_cfg *cfg)
{
	char map[ARG_LEN];
	size_t n = (size_t)snprintf(map, sizeof(map), "--lcores=0@%u", cfg->control_core);

	for (unsigned i = 0; i < cfg->n_workers && n < sizeof(map); i++)
		n += (size_t)snprintf(map + n, sizeof(map) - n, ",%u@%u", i + 1,
				      cfg->worker_cores[i]);
	arg(a, "%s", map);
	arg(a, "--main-lcore=0");
}

static bool uses_device(const struct dp_cfg *cfg, const char *driver)
{
	for (unsigned i = 0; i < cfg->n_ports; i++)
		if (strncmp(cfg->ports[i].device, driver, strlen(driver)) == 0)
			return true;
	return false;
}

/* --in-memory shares nothing with other processes and leaves no files, but needs huge pages.
 * Without them DPDK falls back to one region of ordinary memory, and --no-shconf does the same. */
static void memory_args(struct args *a, const struct dp_cfg *cfg)
{
	arg(a, "-m");
	arg(a, "%u", cfg->memory_mb ? cfg->memory_mb : 512);
	if (!cfg->hugepages)
		arg(a, "--no-huge");
	if (cfg->file_prefix[0])
		arg(a, "--file-prefix=%s", cfg->file_prefix);
	else
		arg(a, cfg->hugepages ? "--in-memory" : "--no-shconf");
	/* a vhost-user back end maps every file of ours, and takes no more than eight */
	if (cfg->hugepages && uses_device(cfg, "net_virtio_user"))
		arg(a, "--single-file-segments");
}

static bool device_is_pci(const char *device)
{
	struct rte_pci_addr addr;
	char name[64];

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(device, ","), device);
	return rte_pci_addr_parse(name, &addr) == 0;
}

static void device_args(struct args *a, const struct dp_cfg *cfg)
{
	unsigned pci = 0;

	for (unsigned i = 0; i < cfg->n_ports; i++) {
		if (!device_is_pci(cfg->ports[i].device))
			continue;
		arg(a, "-a");
		arg(a, "%s", cfg->ports[i].device);
		pci++;
	}
	if (pci == 0)
		arg(a, "--no-pci");
}

int eal_start(const struct dp_cfg *cfg, char *why, size_t why_size)
{
	static struct args a; /* EAL keeps pointers to them */
	int rc;

	if (!cores_sound(cfg, why, why_size))
		return -EINVAL;
	a.argc = 0;
	arg(&a, "shrike");
	lcore_args(&a, cfg);
	memory_args(&a, cfg);
	device_args(&a, cfg);
	arg(&a, "--log-level=*:error");
	rc = rte_eal_init(a.argc, a.argv);
	if (rc >= 0)
		return 0;
	snprintf(why, why_size, "DPDK does not start: %s%s", rte_strerror(rte_errno),
		 cfg->hugepages ? " (are there enough huge pages?)" : "");
	return rte_errno ? -rte_errno : -EIO;
}

/* ------------------------------------------------------------------------- core dumps ------- */

static int hide_list(const struct rte_memseg_list *msl, void *arg_unused)
{
	(void)arg_unused;
	if (msl->base_va && !msl->external)
		madvise(msl->base_va, msl->len, MADV_DONTDUMP);
	return 0;
}

/* EAL reserves address space once and maps pages into it later, which resets the advice. */
static void hide_new(enum rte_mem_event type, const void *addr, size_t len, void *arg_unused)
{
	(void)arg_unused;
	if (type == RTE_MEM_EVENT_ALLOC)
		madvise((void *)(uintptr_t)addr, len, MADV_DONTDUMP);
}

void eal_hide_from_dumps(void)
{
	rte_memseg_list_walk(hide_list, NULL);
	/* only --no-huge has no such events: its memory is all there already */
	rte_mem_event_callback_register("shrike-dontdump", hide_new, NULL);
}
