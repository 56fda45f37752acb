/* The parts of the configuration that only a start reads: system, ports, routes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config_check.h"
#include "config_value.h"

static bool check_core(struct check *c, struct where w, const char *text, uint16_t *out)
{
	long cpus = sysconf(_SC_NPROCESSORS_CONF);
	uint64_t v;

	if (value_number(text, &v) != 0) {
		check_error(c, w, "'%s' is not a CPU number", text);
		return false;
	}
	if (v >= (uint64_t)cpus) {
		check_error(c, w, "CPU %s does not exist here: this machine has 0 to %ld", text,
			    cpus - 1);
		return false;
	}
	*out = (uint16_t)v;
	return true;
}

static void check_cores(struct check *c, struct where w)
{
	const struct raw_system *sys = &c->raw->system;
	struct dp_cfg *dp = &c->cfg->dp;

	check_bool(c, where_key(w, "share-core"), sys->share_core, &dp->share_core);
	if (sys->control_core)
		check_core(c, where_key(w, "control-core"), sys->control_core, &dp->control_core);
	if (sys->worker_cores_count > DP_MAX_WORKERS) {
		check_error(c, where_key(w, "worker-cores"), "at most %d worker cores are possible",
			    DP_MAX_WORKERS);
		return;
	}
	if (!sys->worker_cores)
		dp->worker_cores[dp->n_workers++] = 1;
	for (unsigned i = 0; i < sys->worker_cores_count; i++)
		if (check_core(c, where_item(w, "worker-cores", i), sys->worker_cores[i],
			       &dp->worker_cores[dp->n_workers]))
			dp->n_workers++;
	if (dp->share_core || dp->n_workers < sys->worker_cores_count)
		return;
	for (unsigned i = 0; i < dp->n_workers; i++) {
		if (dp->worker_cores[i] == dp->control_core)
			check_error(c, where_item(w, "worker-cores", i),
				    "CPU %u is the control core: a worker polls without pause, so "
				    "give it another, or say share-core: yes",
				    dp->control_core);
		for (unsigned j = 0; j < i; j++)
			if (dp->worker_cores[j] == dp->worker_cores[i])
				check_error(c, where_item(w, "worker-cores", i),
					    "CPU %u appears twice; say share-core: yes if that is "
					    "meant",
					    dp->worker_cores[i]);
	}
}

static void check_directories(struct check *c, struct where w)
{
	const struct raw_system *sys = &c->raw->system;
	struct config *cfg = c->cfg;
	char file[CONFIG_PATH_MAX] = "stats.json";

	strcpy(cfg->run_dir, "/run/shrike");
	check_text(c, where_key(w, "run-dir"), sys->run_dir, cfg->run_dir,
		   sizeof(cfg->run_dir) - 32);
	/* a UNIX socket's path has 108 bytes; control.sock and shrike.lock go behind it */
	if (strlen(cfg->run_dir) > 90)
		check_error(c, where_key(w, "run-dir"), "run-dir is longer than 90 characters");
	if (sys->run_dir && sys->run_dir[0] != '/')
		check_error(c, where_key(w, "run-dir"), "run-dir must be an absolute path");
	check_text(c, where_key(w, "stats-file"), sys->stats_file, file, sizeof(file) - 96);
	snprintf(cfg->stats_file, sizeof(cfg->stats_file), "%.91s%s%.150s",
		 file[0] == '/' ? "" : cfg->run_dir, file[0] == '/' ? "" : "/", file);
	strcpy(file, "leases.json");
	check_text(c, where_key(w, "leases-file"), sys->leases_file, file, sizeof(file) - 96);
	snprintf(cfg->leases_file, sizeof(cfg->leases_file), "%.91s%s%.150s",
		 file[0] == '/' ? "" : cfg->run_dir, file[0] == '/' ? "" : "/", file);
	check_text(c, where_key(w, "key-export"), sys->key_export, cfg->key_export,
		   sizeof(cfg->key_export));
	if (sys->key_export && sys->key_export[0] != '/')
		check_error(c, where_key(w, "key-export"), "key-export must be an absolute path");
	else if (sys->key_export)
		check_warn(c, where_key(w, "key-export"),
			   "the keys of all SAs are written to %s: whoever reads them reads all "
			   "traffic",
			   sys->key_export);
}

void check_system(struct check *c)
{
	static const char *const idle_words[] = { "poll", "sleep" };
	static const char *const vaes_words[] = { "auto", "no" };
	static const char *const gcm_words[] = { "auto", "ipsec-mb" };
	const struct raw_system *sys = &c->raw->system;
	struct where w = where_at("system");
	struct dp_cfg *dp = &c->cfg->dp;
	uint64_t memory = 512ull << 20, slots = 4096, mbufs = 0, buffer = 0, interval = 10000, threads = 1;
	unsigned idle = DP_IDLE_POLL, vaes = 0, gcm = 0;

	dp->hugepages = true;
	check_cores(c, w);
	check_bool(c, where_key(w, "hugepages"), sys->hugepages, &dp->hugepages);
	check_size(c, where_key(w, "memory"), sys->memory, 64ull << 20, 1ull << 40, &memory);
	dp->memory_mb = (unsigned)(memory >> 20);
	if (sys->file_prefix && sys->file_prefix[0])
		check_name(c, where_key(w, "file-prefix"), sys->file_prefix, dp->file_prefix,
			   sizeof(dp->file_prefix));
	check_word(c, where_key(w, "idle"), sys->idle, idle_words, 2, &idle);
	dp->idle = (enum dp_idle)idle;
	check_word(c, where_key(w, "vaes"), sys->vaes, vaes_words, 2, &vaes);
	dp->vaes_off = vaes == 1;
	check_word(c, where_key(w, "gcm"), sys->gcm, gcm_words, 2, &gcm);
	dp->own_gcm_off = gcm == 1;
	if (check_number(c, where_key(w, "sa-slots"), sys->sa_slots, 16, 1 << 20, &slots) &&
	    (slots & (slots - 1)) != 0)
		check_error(c, where_key(w, "sa-slots"), "sa-slots must be a power of two");
	dp->sa_slots = (unsigned)slots;
	check_number(c, where_key(w, "mbufs"), sys->mbufs, 512, 1 << 24, &mbufs);
	dp->mbufs = (unsigned)mbufs;
	check_size(c, where_key(w, "buffer-size"), sys->buffer_size, 1024, 16384, &buffer);
	dp->buffer_size = (unsigned)buffer;
	check_directories(c, w);
	check_duration(c, where_key(w, "stats-interval"), sys->stats_interval, 0, 86400000,
		       &interval);
	if (interval > 0 && interval < 100)
		check_error(c, where_key(w, "stats-interval"),
			    "stats-interval must be 0 (never) or at least 100ms");
	c->cfg->stats_interval_ms = (uint32_t)interval;
	check_number(c, where_key(w, "dh-threads"), sys->dh_threads, 1, 64, &threads);
	c->cfg->dh_threads = (unsigned)threads;
}

/* ------------------------------------------------------------------------------- ports ------ */

/* "0000:3b:00.0" or "3b:00.0" */
static bool is_pci(const char *text)
{
	unsigned domain, bus, dev, fn;
	int n = 0;

	if (sscanf(text, "%4x:%2x:%2x.%1x%n", &domain, &bus, &dev, &fn, &n) == 4 && !text[n])
		return true;
	n = 0;
	return sscanf(text, "%2x:%2x.%1x%n", &bus, &dev, &fn, &n) == 3 && !text[n];
}

static void check_device(struct check *c, struct where w, const char *text,
			 struct dp_port_cfg *port)
{
	if (!check_text(c, w, text, port->device, sizeof(port->device)))
		return;
	if (!is_pci(text) && strncmp(text, "net_", 4) != 0 && strncmp(text, "virtio_user", 11) != 0)
		check_error(c, w,
			    "'%s' is neither a PCI address (0000:3b:00.0) nor a DPDK virtual "
			    "device (net_af_packet0,iface=eth0)",
			    text);
}

/* RFC 4291 section 2.4: what is no host's unicast address. */
static bool is_unicast6(const struct ip_addr *a)
{
	static const uint8_t zero[15], mapped[12] = { [10] = 0xff, 0xff };

	return a->b[0] != 0xff && !(memcmp(a->b, zero, 15) == 0 && a->b[15] <= 1) &&
	       memcmp(a->b, mapped, 12) != 0;
}

static bool is_link_local(const struct ip_addr *a)
{
	return a->family == IP_V6 && a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

static void check_interface6(struct check *c, struct where w, const char *text,
			     const struct ip_prefix *p, struct dp_port_cfg *port)
{
	char a[ADDR_STR_LEN];

	if (is_link_local(&p->addr))
		check_error(c, w, "'%s': a port with IPv6 makes its link-local address from its MAC",
			    text);
	else if (!is_unicast6(&p->addr))
		check_error(c, w, "%s cannot be an interface's address",
			    ip_addr_str(&p->addr, a, sizeof(a)));
	else
		port->addrs[port->n_addrs++] = *p;
}

/* What an interface's address may not be. */
static void check_interface(struct check *c, struct where w, const char *text,
			    struct dp_port_cfg *port)
{
	struct ip_prefix p;
	char a[ADDR_STR_LEN];

	if (value_interface(text, &p) != 0) {
		check_error(c, w, "'%s' is not an interface address with its mask, like 10.9.0.1/24",
			    text);
		return;
	}
	if (p.addr.family == IP_V6) {
		check_interface6(c, w, text, &p, port);
		return;
	}
	struct ip_range r = ip_range_from_prefix(&p);
	uint32_t v = ip_addr_to_v4(&p.addr);
	if (p.len < 31 && (ip_addr_equal(&p.addr, &r.lo) || ip_addr_equal(&p.addr, &r.hi)))
		check_error(c, w, "'%s' is the %s address of its network, not a host's", text,
			    ip_addr_equal(&p.addr, &r.lo) ? "first" : "broadcast");
	else if (v == 0 || v >> 28 >= 14 || v >> 24 == 127)
		check_error(c, w, "%s cannot be an interface's address",
			    ip_addr_str(&p.addr, a, sizeof(a)));
	else
		port->addrs[port->n_addrs++] = p;
}

static bool prefixes_overlap(const struct ip_prefix *a, const struct ip_prefix *b)
{
	struct ip_range x = ip_range_from_prefix(a), y = ip_range_from_prefix(b);

	return ip_addr_cmp(&x.lo, &y.hi) <= 0 && ip_addr_cmp(&y.lo, &x.hi) <= 0;
}

/* Two ports of one device: different VLANs, or one of them none. */
static void check_shared(struct check *c, unsigned i, const struct dp_port_cfg *port,
			 const struct dp_port_cfg *other)
{
	const struct dp_port_cfg *whole = port->vlan ? other : port, *vlan = port->vlan ? port : other;

	if (port->vlan == other->vlan && port->vlan)
		check_error(c, where_key(where_at("ports[%u]", i), "vlan"),
			    "port '%s' is VLAN %u of this device already", other->name, port->vlan);
	else if (port->vlan == other->vlan)
		check_error(c, where_key(where_at("ports[%u]", i), "device"),
			    "port '%s' uses this device already; another port of it needs a 'vlan'",
			    other->name);
	else if (!whole->vlan && vlan->mtu > whole->mtu)
		check_error(c, where_key(where_at("ports[%u]", i), "mtu"),
			    "a VLAN's mtu (%u) is at most that of its device (%u, port '%s')", vlan->mtu,
			    whole->mtu, whole->name);
}

/* Two ports must not both claim a network, nor the same device. */
static void check_overlap(struct check *c, unsigned i)
{
	const struct dp_port_cfg *port = &c->cfg->dp.ports[i];
	char x[ADDR_STR_LEN + 4], y[ADDR_STR_LEN + 4];

	for (unsigned j = 0; j < i; j++) {
		const struct dp_port_cfg *other = &c->cfg->dp.ports[j];
		if (port->device[0] && strcmp(port->device, other->device) == 0)
			check_shared(c, i, port, other);
		for (unsigned k = 0; k < port->n_addrs * other->n_addrs; k++) {
			const struct ip_prefix *p = &port->addrs[k % port->n_addrs],
					       *q = &other->addrs[k / port->n_addrs];
			if (prefixes_overlap(p, q))
				check_error(c, where_key(where_at("ports[%u]", i), "addresses"),
					    "%s overlaps %s of port '%s'",
					    ip_prefix_str(p, x, sizeof(x)),
					    ip_prefix_str(q, y, sizeof(y)), other->name);
		}
	}
}

void check_clamp_mss(struct check *c, struct where w, const char *text, uint16_t *out)
{
	uint64_t v = 0;

	*out = 0;
	if (!text || strcmp(text, "no") == 0)
		return;
	if (strcmp(text, "auto") == 0)
		*out = MSS_AUTO;
	else if (value_number(text, &v) != 0 || v < MSS_MIN || v > 9600)
		check_error(c, w, "'%s' is neither 'no', 'auto' nor a number from %d to 9600", text,
			    MSS_MIN);
	else
		*out = (uint16_t)v;
}

static bool speaks_six(const struct dp_port_cfg *port)
{
	for (unsigned i = 0; i < port->n_addrs; i++)
		if (port->addrs[i].addr.family == IP_V6)
			return true;
	return false;
}

void check_ports(struct check *c)
{
	static const char *const source_words[] = { "strict", "loose", "off" };
	const char *names[DP_MAX_PORTS];
	struct dp_cfg *dp = &c->cfg->dp;
	unsigned n = c->raw->ports_count;

	if (n > DP_MAX_PORTS) {
		check_error(c, where_at("ports[%d]", DP_MAX_PORTS), "at most %d ports are possible",
			    DP_MAX_PORTS);
		n = DP_MAX_PORTS;
	}
	for (unsigned i = 0; i < n; i++) {
		const struct raw_port *raw = &c->raw->ports[i];
		struct dp_port_cfg *port = &dp->ports[i];
		struct where w = where_at("ports[%u]", i);
		uint64_t mtu = 1500, vlan = 0;
		unsigned source = DP_SOURCE_STRICT;

		names[i] = raw->name;
		check_name(c, where_key(w, "name"), raw->name, port->name, sizeof(port->name));
		check_device(c, where_key(w, "device"), raw->device, port);
		check_number(c, where_key(w, "vlan"), raw->vlan, 1, 4094, &vlan);
		port->vlan = (uint16_t)vlan;
		check_number(c, where_key(w, "mtu"), raw->mtu, 576, 9600, &mtu);
		port->mtu = (uint16_t)mtu;
		check_clamp_mss(c, where_key(w, "clamp-mss"), raw->clamp_mss, &port->clamp_mss);
		check_word(c, where_key(w, "source-check"), raw->source_check, source_words, 3,
			   &source);
		port->source_check = (enum dp_source_check)source;
		if (raw->addresses_count > DP_MAX_PORT_ADDR)
			check_error(c, where_item(w, "addresses", DP_MAX_PORT_ADDR),
				    "a port has at most %d addresses", DP_MAX_PORT_ADDR);
		for (unsigned k = 0; k < raw->addresses_count && k < DP_MAX_PORT_ADDR; k++)
			check_interface(c, where_item(w, "addresses", k), raw->addresses[k], port);
		check_overlap(c, i);
		if (port->mtu < 1280 && speaks_six(port))
			check_error(c, where_key(w, "mtu"), "IPv6 needs an mtu of at least 1280");
	}
	dp->n_ports = n;
	check_unique(c, "ports", names, n);
}

/* ------------------------------------------------------------------------------ routes ------ */

/* The port whose network holds a, or -1. */
static int port_of(const struct dp_cfg *dp, const struct ip_addr *a)
{
	struct ip_range host = { .lo = *a, .hi = *a };

	for (unsigned i = 0; i < dp->n_ports; i++) {
		for (unsigned k = 0; k < dp->ports[i].n_addrs; k++) {
			struct ip_range net = ip_range_from_prefix(&dp->ports[i].addrs[k]);
			if (ip_range_contains(&net, &host))
				return (int)i;
		}
	}
	return -1;
}

static int port_named(const struct dp_cfg *dp, const char *name)
{
	for (unsigned i = 0; i < dp->n_ports; i++)
		if (strcmp(dp->ports[i].name, name) == 0)
			return (int)i;
	return -1;
}

static void check_route(struct check *c, unsigned i, struct dp_route_cfg *route)
{
	const struct raw_route *raw = &c->raw->routes[i];
	struct where w = where_at("routes[%u]", i);
	const struct dp_cfg *dp = &c->cfg->dp;
	int named = -1, port;

	check_prefix(c, where_key(w, "to"), raw->to, &route->dst);
	if (!raw->via && !raw->port)
		check_error(c, w, "a route needs 'via' (the next gateway) or 'port'");
	if (raw->port && (named = port_named(dp, raw->port)) < 0)
		check_error(c, where_key(w, "port"), "there is no port '%s'", raw->port);
	if (named >= 0)
		route->port = (unsigned)named;
	if (!raw->via || !check_addr(c, where_key(w, "via"), raw->via, &route->via))
		return;
	if (is_link_local(&route->via)) {
		if (named < 0 && !raw->port)
			check_error(c, where_key(w, "via"),
				    "%s is on every link: say on which with 'port'", raw->via);
		else if (named >= 0 && !speaks_six(&dp->ports[named]))
			check_error(c, where_key(w, "via"), "port '%s' has no IPv6 address",
				    raw->port);
		return;
	}
	port = port_of(dp, &route->via);
	if (port < 0 || (named >= 0 && named != port))
		check_error(c, where_key(w, "via"), "%s is not in a network of %s%s%s", raw->via,
			    named >= 0 ? "port '" : "any port", named >= 0 ? raw->port : "",
			    named >= 0 ? "'" : "");
	else
		route->port = (unsigned)port;
}

void check_routes(struct check *c)
{
	struct dp_cfg *dp = &c->cfg->dp;
	unsigned n = c->raw->routes_count;

	if (n > DP_MAX_ROUTES) {
		check_error(c, where_at("routes[%d]", DP_MAX_ROUTES),
			    "at most %d routes are possible", DP_MAX_ROUTES);
		return;
	}
	dp->routes = calloc(n + 1, sizeof(*dp->routes));
	if (!dp->routes)
		abort();
	for (unsigned i = 0; i < n; i++) {
		check_route(c, i, &dp->routes[i]);
		for (unsigned j = 0; j < i; j++)
			if (dp->routes[i].dst.len == dp->routes[j].dst.len &&
			    ip_addr_equal(&dp->routes[i].dst.addr, &dp->routes[j].dst.addr) &&
			    dp->routes[i].dst.addr.family != IP_NONE)
				check_error(c, where_key(where_at("routes[%u]", i), "to"),
					    "there is a route to %s already", c->raw->routes[i].to);
	}
	dp->n_routes = n;
}
