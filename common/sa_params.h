/* What control tells the data plane about one direction of an SA pair: everything that is needed to
 * build the runtime SA, and nothing of its runtime state. */
#ifndef SHRIKE_COMMON_SA_PARAMS_H
#define SHRIKE_COMMON_SA_PARAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "addr.h"
#include "alg.h"

#define SA_KEY_MAX  36 /* AES-256 and a 4-byte salt */
#define SA_AUTH_MAX 64

/* The largest MSS that a TCP SYN may announce: 0 = any, or a number, or what the MTU of the way allows. */
#define MSS_AUTO UINT16_MAX
#define MSS_MIN	 128

enum sa_dir { SA_IN = 0, SA_OUT = 1 };
enum sa_mode { SA_TUNNEL = 1, SA_TRANSPORT = 2 };
enum sa_proto { SA_ESP = 50, SA_AH = 51 };

/* What to do with the outer DF bit (RFC 4301 section 8.1). */
enum df_policy { DF_COPY = 0, DF_SET, DF_CLEAR };

/* The place of an SA pair: chosen by the data plane when control reserves it. Both directions of a
 * pair live at the same slot of the same worker lcore; spi is ours, so it names the inbound SA. */
struct sa_ref {
	uint32_t spi;	/* host order: generation | owner | slot */
	uint32_t slot;	/* index in the owner's tables */
	uint16_t owner; /* worker index, 0-based (not a DPDK lcore id) */
};

struct sa_params {
	struct sa_ref ref;     /* the pair's place */
	enum sa_dir dir;
	uint32_t spi;	       /* this direction's SPI, host order: ref.spi for SA_IN */
	uint32_t policy;       /* policy id that this pair serves, see struct spd_policy */
	bool spread;	       /* one of several parallel pairs of its policy: every worker sends
				* through its own where it has one */
	enum sa_proto proto;
	enum sa_mode mode;

	enum encr_alg encr;    /* AH: ENCR_NONE, and integ says which HMAC; or ENCR_AES_GMAC */
	uint16_t key_bits;     /* without the salt */
	enum integ_alg integ;
	bool esn;
	uint8_t key[SA_KEY_MAX];   /* cipher key, then the salt; lengths follow from encr/key_bits */
	uint8_t auth[SA_AUTH_MAX]; /* length from integ */

	struct ip_addr local, remote;	   /* outer addresses, ours and the peer's */
	bool udp_encap;			   /* RFC 3948 */
	uint16_t local_port, remote_port;  /* of the UDP encapsulation, host order */
	/* Transport mode in UDP, SA_IN: the addresses that the peer had in mind when it made the
	 * transport checksum, ours and its own (RFC 3947 section 5.2, RFC 3948 section 3.1.2);
	 * IP_NONE where it did not say. */
	struct ip_addr oa_local, oa_remote;
	struct selector sel;		   /* what the pair may carry */

	uint32_t replay_window;	 /* packets, 0 = default (1024); power of two 64..4096 */
	enum df_policy df;
	bool copy_dscp;		 /* inner DSCP to the outer header */
	uint8_t dscp;		 /* outer DSCP when not copied */
	uint16_t clamp_mss;	 /* of SYNs that the pair carries, see MSS_AUTO */
	bool copy_flow;		 /* inner flow label to an outer IPv6 header; otherwise it is 0 */

	/* Limits counted by the lcore; 0 = none. Soft raises an event, hard also stops the SA. */
	uint64_t soft_bytes, hard_bytes;
	uint64_t soft_packets, hard_packets;
};

/* Counters of one SA direction, a snapshot. */
struct sa_stats {
	uint64_t packets, bytes; /* inner packets and their bytes */
	uint64_t replay_drops;	 /* late_drops + dup_drops */
	uint64_t late_drops;	 /* left of the replay window */
	uint64_t dup_drops;	 /* seen before, or number zero */
	uint64_t icv_drops;	 /* failed integrity checks */
	uint64_t other_drops;	 /* selector mismatch, malformed, expired, ... */
	uint64_t seq;		 /* highest sequence number sent or seen */
	uint64_t last_used_us;	 /* monotonic time of the last good packet, 0 = never */
};

enum policy_action { POLICY_DISCARD = 0, POLICY_BYPASS, POLICY_PROTECT };

/* One entry of the SPD, in order: the first match decides. id is stable across replacements of the
 * SPD, so that SA pairs stay attached to their policy. No match: discard. */
struct spd_policy {
	uint32_t id; /* 0..SPD_MAX_POLICIES-1 */
	enum policy_action action;
	struct selector sel; /* local = the side behind us */
	/* PROTECT: the other gateway, or our own address towards it where that is not known: says
	 * which port is outside. IP_NONE: unknown. */
	struct ip_addr gateway;
};

#define SPD_MAX_POLICIES 131072

#endif
