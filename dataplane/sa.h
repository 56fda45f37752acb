/* The runtime SA: built whole by control, then touched by its owner lcore alone.
 *
 * Layout: one hot cache line of constants, one of counters, the header template (outbound), then the
 * keys, and behind them the replay window (inbound). Only as much memory as the transform and the
 * window need: with very many SAs the pages that are touched cost more than anything else. */
#ifndef SHRIKE_DATAPLANE_SA_H
#define SHRIKE_DATAPLANE_SA_H

#include <intel-ipsec-mb.h>
#include <rte_common.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gcm/gcm.h"
#include "sa_params.h"

#define SA_HDR_ROOM	  128 /* the header template lies at the end of this much */
#define SA_REPLAY_DEFAULT 1024
#define SA_REPLAY_MIN	  64
#define SA_REPLAY_MAX	  4096
/* RFC 6479: the ring is twice the window, so that the word being cleared is never part of it. */
#define SA_REPLAY_WORDS (2 * SA_REPLAY_MAX / 64)

struct lcore;

/* Bit flags chosen at build time, or set by the lcore. */
enum sa_flags {
	SA_F_ESN = 1 << 0,
	SA_F_COPY_FLOW = 1 << 1,
	SA_F_DEAD = 1 << 2,    /* lcore: rw; a hard limit was reached */
	SA_F_SOFT = 1 << 3,    /* lcore: rw; the soft event was raised */
	SA_F_COPY_DSCP = 1 << 4,
	SA_F_SEQ_END = 1 << 5, /* lcore: rw; dead because the sequence numbers are used up */
	SA_F_CLAMP_MSS = 1 << 7,
	SA_F_DEVICE_SUM = 1 << 8, /* OUT: the device writes the UDP checksum; control, before it is stored */
	SA_F_FIX_SUM = 1 << 6, /* IN: a NAT may have changed addresses that a checksum covers */
};

/* How the lcore processes packets of this SA: chosen once, when the SA is built. */
enum sa_crypto {
	SA_GCM_OWN, /* our own code, all packets of a burst; any length of key */
	SA_GCM_128, /* one direct call of IPsec-MB a packet */
	SA_GCM_192,
	SA_GCM_256,
	SA_GMAC_128, /* likewise; nothing is encrypted */
	SA_GMAC_192,
	SA_GMAC_256,
	SA_CHAIN,   /* cipher and HMAC as jobs over the whole burst; from here on: chained */
	SA_CHAIN_ALONE, /* likewise, one job at a time (3DES, DES; see crypto.c) */
};

/* The way through the stages: the most frequent case apart, all others by what they have in common. */
enum sa_path {
	SA_PATH_ESP4,	   /* ESP tunnel, IPv4 in IPv4 */
	SA_PATH_TUNNEL,	   /* any other tunnel: families mixed, AH */
	SA_PATH_TRANSPORT, /* ESP or AH behind the packet's own IP header */
};

/* What is around the payload on the wire: the packet's must be the SA's. */
enum sa_wrap {
	WRAP_UDP = 1 << 0, /* RFC 3948 */
	WRAP_IP6 = 1 << 1, /* outer IPv6 */
	WRAP_AH = 1 << 2,
};

/* An IPv4 selector as the inbound check wants it; addresses in host order. */
struct sa_sel4 {
	uint32_t local_lo, local_hi;
	uint32_t remote_lo, remote_hi;
	uint16_t local_port, remote_port; /* 0 = any */
	uint8_t proto;			  /* 0 = any */
};

/* The addresses of an IPv6 selector; ports and protocol are those of sel4. */
struct sa_sel6 {
	uint8_t local_lo[16], local_hi[16];
	uint8_t remote_lo[16], remote_hi[16];
};

/* Keys of a cipher and HMAC transform. */
struct sa_chain {
	alignas(64) uint8_t key_enc[16 * 15]; /* expanded AES keys */
	alignas(64) uint8_t key_dec[16 * 15];
	uint64_t des[3][IMB_DES_KEY_SCHED_SIZE / 8];
	const void *des_keys[3];
	uint64_t iv_seed; /* OUT: the IV's counter block is the sequence number XOR this */
	alignas(64) uint8_t hmac_ipad[64], hmac_opad[64]; /* precomputed HMAC states */
	IMB_JOB job;	  /* every field that does not change from packet to packet */
};

struct sa {
	/* --- constants, written by control before the SA is handed over --- */
	uint32_t spi;	      /* host order */
	uint32_t salt;	      /* as it lies in the nonce */
	uint8_t dir;	      /* enum sa_dir */
	uint8_t crypto;	      /* enum sa_crypto */
	uint8_t iv_len, icv_len;
	uint8_t pad_to;	      /* ciphertext multiple, bytes: 4, 8 or 16 */
	uint8_t hdr_len;      /* what is put in front of the payload: outer IP (tunnel), UDP, ESP
			       * header and IV, or AH */
	uint8_t esp_off;      /* from there to the ESP or AH header */
	uint8_t l3_len;	      /* of the outer IP header; transport: 0 */
	uint8_t df;	      /* enum df_policy */
	uint8_t dscp_ecn;     /* OUT: outer DSCP when it is not copied, in the place of a TOS byte */
	uint16_t outer_mtu;   /* control: rw (atomic), by route and path, see pmtu.h; 0 = port's */
	union {
		uint32_t hdr_sum;   /* OUT: the template's constant 16-bit words, summed up */
		uint32_t window_at; /* IN: bytes from here to the replay window */
	};
	uint32_t remote_v4, local_v4; /* outer addresses, host order */
	uint16_t window_mask; /* IN: words of the replay ring, less one */
	uint16_t window_bits; /* IN: packets that the window covers */
	uint8_t path;	      /* enum sa_path */
	uint8_t wrap;	      /* enum sa_wrap */
	uint8_t next;	      /* tunnel: next header of an inner packet, NEXT_IPV4 or NEXT_IPV6 */
	uint8_t tail_len;     /* of the ICV behind the ciphertext: 0 with AH */
	struct sa_sel4 sel4;  /* IN: what the inner packet must match */

	/* --- lcore: rw, control: ro (statistics, without a lock) --- */
	alignas(64) uint32_t flags; /* enum sa_flags */
	uint16_t peer_port;   /* IN, in UDP: where the peer's packets come from; control: rw */
	uint16_t moved_s;     /* IN: second (its low bits) of the last EVT_PEER_MOVED */
	uint64_t seq;	      /* OUT: last used; IN: highest seen */
	uint64_t seq_check;   /* OUT: at this sequence number look at the limits */
	uint64_t packets, bytes;
	uint64_t packets_check, bytes_check; /* from here on look at the limits */
	uint64_t last_used_tsc;

	union {
		/* OUT: what goes before the ciphertext, right-aligned */
		alignas(64) uint8_t hdr[SA_HDR_ROOM];
		/* IN: like sel4, for inner IPv6 */
		alignas(64) struct sa_sel6 sel6;
	};

	/* --- cold --- */
	uint64_t late_drops, dup_drops, icv_drops, other_drops; /* lcore: rw */
	uint64_t soft_bytes, hard_bytes, soft_packets, hard_packets; /* UINT64_MAX = none */
	uint64_t soft_seq, hard_seq; /* OUT */
	uint32_t slot;
	uint32_t size; /* of all of this, with keys and window */
	uint16_t owner;
	uint8_t encr;	      /* enum encr_alg */
	uint8_t integ;	      /* enum integ_alg */
	uint16_t key_bits;
	uint8_t mode;	      /* enum sa_mode */
	uint16_t clamp_mss;   /* see MSS_AUTO */
	uint32_t policy;
	uint32_t next_hop;    /* of the outer destination, UINT32_MAX = look it up */
	struct selector sel;
	struct ip_addr local, remote;
	uint16_t local_port, remote_port; /* of the UDP encapsulation, host order */

	/* --- constants again: keys. No more of it is there than the transform needs --- */
	union {
		struct sa_chain chain;
		struct gcm_key_data gcm;
		struct gcm_key own;
	};
};
_Static_assert(offsetof(struct sa, flags) == 64, "the constants fill one line");
_Static_assert(offsetof(struct sa, hdr) == 128, "the counters fill one line");
_Static_assert(offsetof(struct sa, sel6) % 64 == 0, "one line");

/* IN: one bit a packet, SA_REPLAY_WORDS at most; window_mask says how many. */
static inline uint64_t *sa_window(const struct sa *sa)
{
	return (uint64_t *)((uintptr_t)sa + sa->window_at);
}

/* Builds a runtime SA in NUMA-local, wiped-on-free memory; socket: NUMA node or SOCKET_ID_ANY.
 * NULL with errno set: ENOTSUP (no such transform), ENOMEM, EINVAL. */
struct sa *sa_build(IMB_MGR *mb, const struct sa_params *p, int socket);
/* Wipes and frees; NULL is fine. Control thread only, after the lcore has let go. */
void sa_free(struct sa *sa);

/* Looks at the limits of an SA after a packet, and raises each event once: soft first, then hard,
 * with which the SA is dead (SA_F_DEAD). */
void sa_limits(struct lcore *lc, struct sa *sa);

/* True when a packet has crossed a threshold: time to call sa_limits(). */
static inline bool sa_limits_due(const struct sa *sa)
{
	return sa->packets >= sa->packets_check || sa->bytes >= sa->bytes_check ||
	       sa->seq >= sa->seq_check;
}

/* ---------------------------------------------------------------- SPI-addressed tables ------ */

/* An SPI is generation | owner | slot, from the most significant bit down. */
struct spi_layout {
	uint8_t slot_bits, owner_bits; /* generation has the rest: at least 8 bits, never zero */
};

static inline uint32_t spi_slot(const struct spi_layout *l, uint32_t spi)
{
	return spi & ((1u << l->slot_bits) - 1);
}

static inline uint32_t spi_owner(const struct spi_layout *l, uint32_t spi)
{
	return (spi >> l->slot_bits) & ((1u << l->owner_bits) - 1);
}

struct sa_entry {
	uint32_t spi; /* compared with the packet's; 0 = empty */
	uint32_t pad;
	struct sa *sa;
};

#endif
