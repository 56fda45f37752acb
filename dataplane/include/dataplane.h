/* The data plane's facade: all that control may know of it. No DPDK type appears here.
 *
 * Threads: dp_start() and every other function are called by the control thread, unless a comment
 * says otherwise. Worker lcores run inside the library. Callbacks run on the control thread, from
 * within dp_poll(). */
#ifndef SHRIKE_DATAPLANE_H
#define SHRIKE_DATAPLANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "sa_params.h"

#define DP_MAX_PORTS	 32 /* VLANs included */
#define DP_MAX_PORT_ADDR 8
#define DP_MAX_ROUTES	 1024
#define DP_MAX_WORKERS	 64
#define DP_MAX_ASSIGNED	 32
#define DP_NAME_LEN	 32

enum dp_idle {
	DP_IDLE_POLL,  /* never sleep: the default, for machines with cores to give */
	DP_IDLE_SLEEP, /* after many empty polls sleep some 50 us: for laboratories and demos */
};

/* Which clear packets a port takes in, by their source (RFC 3704). Addresses that nobody may send
 * from, and our own, are dropped in any case. */
enum dp_source_check {
	DP_SOURCE_STRICT = 0, /* the route to the source leaves through this port */
	DP_SOURCE_LOOSE,      /* there is a route to it */
	DP_SOURCE_OFF,
};

struct dp_port_cfg {
	char name[DP_NAME_LEN];	 /* for people and routes: "wan" */
	uint16_t vlan;		 /* the frames of device with this tag (IEEE 802.1Q, 1 to 4094), 0: those
				  * without; ports with the same device text share it */
	char device[256];	 /* "0000:3b:00.0", or a vdev: "net_af_packet0,iface=veth0" */
	struct ip_prefix addrs[DP_MAX_PORT_ADDR]; /* the host part is kept in addrs[].addr */
	unsigned n_addrs;
	uint16_t mtu;		 /* bytes of IP, 0 = 1500 */
	uint16_t clamp_mss;	 /* of SYNs that come in or leave here in the clear, see MSS_AUTO */
	enum dp_source_check source_check;
};

struct dp_route_cfg {
	struct ip_prefix dst;
	struct ip_addr via;	/* family IP_NONE: directly connected to port */
	unsigned port;		/* index into ports */
};

struct dp_cfg {
	struct dp_port_cfg ports[DP_MAX_PORTS];
	unsigned n_ports;
	struct dp_route_cfg *routes; /* borrowed during dp_start() */
	unsigned n_routes;
	uint16_t worker_cores[DP_MAX_WORKERS]; /* CPU numbers; one worker lcore each */
	unsigned n_workers;
	uint16_t control_core;	/* CPU for the control thread (EAL main lcore) */
	bool hugepages;		/* false: --no-huge */
	unsigned memory_mb;	/* 0 = 512 */
	char file_prefix[64];	/* empty: --in-memory */
	unsigned mbufs;		/* per port, 0 = 16384, or what many workers' queues need */
	unsigned buffer_size;	/* bytes of a frame that one packet buffer holds; 0: the largest frame.
				 * Larger ones take several, where the device can do that */
	unsigned sa_slots;	/* SA pairs per worker, a power of two, 0 = 4096 */
	enum dp_idle idle;
	bool vaes_off;		/* leave the choice of code to IPsec-MB, see dataplane/cpu.h */
	bool own_gcm_off;	/* AES-GCM by IPsec-MB, see dataplane/gcm/gcm.h */
	bool share_core;	/* workers may share a CPU with control or with each other */
};

/* A UDP path as seen from here. */
struct dp_udp_path {
	struct ip_addr local, remote;
	uint16_t local_port, remote_port; /* host order */
};

struct dp_callbacks {
	void *ctx;
	/* An IKE datagram for us: UDP 500, or 4500 with the non-ESP marker (already removed).
	 * data is borrowed for the call. */
	void (*on_ike)(void *ctx, const struct dp_udp_path *path, const uint8_t *data, size_t len);
	/* The lcore has stored this direction of the pair: packets may use it. */
	void (*on_sa_stored)(void *ctx, const struct sa_ref *ref, enum sa_dir dir);
	/* A limit was reached, hard or soft. */
	void (*on_sa_limit)(void *ctx, const struct sa_ref *ref, enum sa_dir dir, bool hard);
	/* A packet met a protecting policy that has no SA (rate-limited). */
	void (*on_acquire)(void *ctx, uint32_t policy);
	/* The newest packet of the pair, authentic and not a replay, came in UDP from another address or
	 * port than the inbound SA's: a NAT has changed its mapping. Once a second until the pair is
	 * replaced; its packets are taken from anywhere meanwhile. */
	void (*on_peer_moved)(void *ctx, const struct sa_ref *ref, const struct ip_addr *remote,
			      uint16_t port);
	/* ESP arrived with an SPI that we do not have (rate-limited). */
	void (*on_bad_spi)(void *ctx, const struct ip_addr *remote, uint32_t spi);
};

struct dp;

/* Starts EAL, ports and worker lcores. At most one data plane per process. Returns 0, or -errno
 * with a sentence in why. */
int dp_start(const struct dp_cfg *cfg, const struct dp_callbacks *cb, struct dp **out, char *why,
	     size_t why_size);
/* Stops the workers, frees every SA (wiped) and closes the ports. What was sent is flushed first. */
void dp_stop(struct dp *dp);

/* Drains the event and punt rings, answers ARP and ICMP echo, resolves neighbours. Call it often
 * (every 250 us or so). Returns the number of messages and packets handled. */
unsigned dp_poll(struct dp *dp);

/* Sends a UDP datagram from one of our addresses; with marker the four zero bytes of RFC 3948
 * section 2.2 go first. Waits for the neighbour if need be (a bounded queue). 0 or -errno. */
int dp_send_udp(struct dp *dp, const struct dp_udp_path *path, bool marker, const uint8_t *data,
		size_t len);

/* Whose IKE goes first when there is too much of it: messages with these cookies (8 bytes each; rcookie NULL: whatever
 * the other is), and those from this address. Counted: each true is to be followed by one false, at most. */
void dp_ike_known(struct dp *dp, const uint8_t *icookie, const uint8_t *rcookie, bool known);
void dp_peer_known(struct dp *dp, const struct ip_addr *addr, bool known);

/* Reserves a slot on a worker and a fresh SPI that names it. owner: worker index, or UINT16_MAX for
 * the least loaded one. 0, or -ENOSPC. */
int dp_sa_reserve(struct dp *dp, uint16_t owner, struct sa_ref *out);
/* Gives a reservation back: at once when nothing is installed there, otherwise as soon as the last
 * removal of the pair is confirmed. */
void dp_sa_release(struct dp *dp, const struct sa_ref *ref);

/* Builds the runtime SA and hands it to its owner; on_sa_stored() follows. Installing SA_OUT also
 * makes its policy send through this pair from then on (make before break); with spread only the
 * owner does, and the workers that own none of the policy's pairs. The keys in p are
 * copied; the caller wipes its own. Any number in a row is taken: commands wait for their ring.
 * 0, -ENOTSUP (no such transform), -ENOMEM, -EINVAL, -EEXIST. */
int dp_sa_install(struct dp *dp, const struct sa_params *p);
/* Takes a direction out of service; its memory is wiped and freed after the lcore confirmed. Workers
 * that still send through this pair (SA_OUT) send through the latest other pair that the policy has
 * in service (with spread: their own one first), or have no SA from then on. Idempotent. */
void dp_sa_remove(struct dp *dp, const struct sa_ref *ref, enum sa_dir dir);
/* Counters of an installed direction; false when there is none. */
bool dp_sa_stats(struct dp *dp, const struct sa_ref *ref, enum sa_dir dir, struct sa_stats *out);

/* Addresses of ours that belong to no port (Mode Config assigned them): what comes to them out of a tunnel
 * is for us, pings are answered; nobody reaches them in the clear. A route of the configuration to just
 * that address goes first: then a host behind us has it. Replaces the list of before; what is more than
 * DP_MAX_ASSIGNED is left out. */
void dp_assigned_set(struct dp *dp, const struct ip_addr *a, unsigned n);

/* Replaces the policies on every worker, atomically per worker. 0 or -errno with a sentence. */
int dp_spd_set(struct dp *dp, const struct spd_policy *p, size_t n, char *why, size_t why_size);

/* ------------------------------------------------------------------------- trace, capture --- */

enum dp_watch_what {
	DP_WATCH_TRACE,	 /* the way of packets, in words */
	DP_WATCH_FRAMES, /* frames that ports receive and send */
	DP_WATCH_SEALED, /* of those only ESP, AH and IKE */
	DP_WATCH_PLAIN,	 /* inner packets, after decryption and before encryption */
};

enum dp_watched_kind { DP_WATCHED_STORY, DP_WATCHED_RECEIVED, DP_WATCHED_SENT };

struct dp_watched {
	enum dp_watched_kind kind;
	unsigned worker;
	unsigned port;	   /* index; UINT_MAX: none */
	uint64_t wall_us;  /* since the epoch */
	uint32_t policy;   /* STORY: the last one that the packet met, UINT32_MAX = none */
	uint32_t wire_len; /* bytes of the packet; len may be less */
	/* STORY: lines of "stage\ttext\n", no terminating zero. Frames start at the Ethernet header,
	 * inner packets at the IP header. Borrowed for the call. */
	const uint8_t *data;
	size_t len;
};

#define DP_WATCH_ADDRS 8

struct dp_watch_cfg {
	enum dp_watch_what what;
	unsigned port;	/* FRAMES: only this one; UINT_MAX = all */
	uint32_t count; /* each worker stops after so many */
	uint32_t snap;	/* bytes copied of each packet, 0 = all */
	bool by_peer;	/* only packets from and to these addresses, or for these policies */
	struct ip_addr addr[DP_WATCH_ADDRS];
	unsigned n_addrs;
	const uint32_t *policies; /* ids; borrowed during the call */
	size_t n_policies;
	void (*on_packet)(void *ctx, const struct dp_watched *seen); /* from within dp_poll() */
	void *ctx;
};

/* Begins to trace or capture; one at a time. 0, -EBUSY or -ENOMEM with a sentence in why. The packets
 * that it looks for take longer, those of a trace each alone; the others do not. */
int dp_watch_start(struct dp *dp, const struct dp_watch_cfg *cfg, char *why, size_t why_size);
/* Ends it: no on_packet() from then on. Idempotent. */
void dp_watch_stop(struct dp *dp);
/* Packets that were wanted but found no room, of this watch (or the last one). */
uint64_t dp_watch_missed(const struct dp *dp);

/* ------------------------------------------------------------------------- statistics ------- */

struct dp_port_stats {
	char name[DP_NAME_LEN];
	uint8_t mac[6];
	bool link_up;
	uint16_t mtu;
	uint16_t vlan; /* its tag, 0: none. A device's own port counts all its frames, tagged ones too */
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes, rx_missed, rx_errors, tx_errors;
};

struct dp_lcore_stats {
	unsigned worker;      /* index */
	unsigned cpu;
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes;
	uint64_t esp_in_packets, esp_in_bytes;	 /* decrypted: inner packets and bytes */
	uint64_t esp_out_packets, esp_out_bytes; /* encrypted: inner packets and bytes */
	uint64_t handover_in, handover_out;	 /* packets from and to other workers */
	uint64_t bypassed, forwarded, punted, injected;
	uint64_t natt_keepalives;		 /* RFC 3948 keepalives seen (and dropped) */
	uint64_t reassembled, reassembled_from;	 /* packets to us, and the fragments they came in */
	double busy;	      /* share of time with work since the last call, 0..1 */
	unsigned sa_in, sa_out; /* installed now */
};

unsigned dp_port_count(const struct dp *dp);
void dp_port_stats(struct dp *dp, unsigned port, struct dp_port_stats *out);
unsigned dp_worker_count(const struct dp *dp);
void dp_lcore_stats(struct dp *dp, unsigned worker, struct dp_lcore_stats *out);

/* Drop reasons: 0..dp_drop_count()-1, each with a stable name ("replay_old") and a sentence. */
unsigned dp_drop_count(void);
const char *dp_drop_name(unsigned reason);
const char *dp_drop_text(unsigned reason);
uint64_t dp_drop_value(struct dp *dp, unsigned worker, unsigned reason);

/* Bytes of EAL memory that the data plane's own pools took at start (mbufs, rings, tables). */
uint64_t dp_pool_bytes(const struct dp *dp);
/* Versions and code paths for people: "DPDK 22.11.11, IPsec-MB 1.3.0 (AVX512)". */
const char *dp_versions(const struct dp *dp);

/* Registers a read-only DPDK telemetry command ("/shrike/...") that answers with the JSON text
 * which fn returns (malloc'd; freed here), or with DP_TELEMETRY_LONG where that has more than
 * DP_TELEMETRY_MAX bytes. fn runs on DPDK's telemetry thread. 0 or -errno. */
#define DP_TELEMETRY_MAX  8191
#define DP_TELEMETRY_LONG "longer than DPDK telemetry carries; ask shrikectl"
int dp_telemetry_register(const char *command, const char *help, char *(*fn)(void));

#endif
