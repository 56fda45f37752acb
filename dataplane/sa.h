/* The runtime SA: built whole by control, then touched by its owner lcore alone.
 *
 * Layout: one hot line of constants and one of counters per direction; keys and expanded key tables
 * apart, at the end, so that they can be prefetched as soon as the SA is known. */
#ifndef SHRIKE_DATAPLANE_SA_H
#define SHRIKE_DATAPLANE_SA_H

#include <intel-ipsec-mb.h>
#include <rte_common.h>
#include <stdbool.h>
#include <stdint.h>

#include "sa_params.h"

#define SA_HDR_MAX	  80 /* outer IPv6 or IPv4 header + UDP + ESP + IV */
#define SA_REPLAY_DEFAULT 1024
#define SA_REPLAY_MAX	  4096

struct lcore;

/* Bit flags chosen at build time. */
enum sa_flags {
	SA_F_UDP = 1 << 0,
	SA_F_ESN = 1 << 1,
	SA_F_DEAD = 1 << 2,    /* lcore: rw; a hard limit was reached */
	SA_F_SOFT = 1 << 3,    /* lcore: rw; the soft event was raised */
	SA_F_COPY_DSCP = 1 << 4,
};

struct sa {
	/* --- constants, written by control before the SA is handed over --- */
	uint32_t spi;	      /* host order */
	uint32_t slot;
	uint16_t owner;
	uint8_t dir;	      /* enum sa_dir */
	uint8_t encr;	      /* enum encr_alg */
	uint8_t integ;	      /* enum integ_alg */
	uint8_t iv_len, icv_len;
	uint8_t pad_to;	      /* ciphertext multiple, bytes: 4, 8 or 16 */
	uint8_t hdr_len;      /* bytes of hdr[]: outer IP, UDP, ESP header, IV */
	uint8_t l3_len;	      /* of the outer IP header */
	uint8_t df;	      /* enum df_policy */
	uint8_t mode;	      /* enum sa_mode */
	uint16_t key_bits;
	uint16_t outer_mtu;   /* refined by control when the route changes; 0 = port's */
	uint32_t salt;	      /* as it lies in the nonce */
	uint32_t policy;
	uint32_t next_hop;    /* of the outer destination, UINT32_MAX = look it up */
	struct selector sel;  /* IN: what the inner packet must match */
	uint64_t soft_bytes, hard_bytes, soft_packets, hard_packets; /* UINT64_MAX = none */

	/* --- lcore: rw, control: ro (statistics, without a lock) --- */
	alignas(64) uint32_t flags; /* enum sa_flags */
	uint64_t seq;	      /* OUT: last used; IN: highest seen */
	uint64_t iv_counter;  /* OUT, CBC: the next IV's counter block */
	uint64_t packets, bytes;
	uint64_t replay_drops, icv_drops, other_drops;
	uint64_t last_used_tsc;
	alignas(64) uint64_t window[SA_REPLAY_MAX / 64]; /* IN: one bit a packet */
	uint32_t window_bits; /* constant */

	/* --- constants again: header template and keys --- */
	alignas(64) uint8_t hdr[SA_HDR_MAX]; /* OUT: what goes before the ciphertext */
	struct ip_addr local, remote;
	uint16_t local_port, remote_port;
	alignas(64) uint8_t key_enc[16 * 15]; /* expanded encryption keys (CBC, CTR, IV block) */
	alignas(64) uint8_t key_dec[16 * 15];
	uint8_t hmac_ipad[64], hmac_opad[64]; /* IPsec-MB's precomputed HMAC states */
	alignas(64) struct gcm_key_data gcm;  /* last: large, unused by other transforms */
};

/* Builds a runtime SA in NUMA-local, wiped-on-free memory; socket: NUMA node or SOCKET_ID_ANY.
 * NULL with errno set: ENOTSUP (no such transform), ENOMEM, EINVAL. */
struct sa *sa_build(IMB_MGR *mb, const struct sa_params *p, int socket);
/* Wipes and frees; NULL is fine. Control thread only, after the lcore has let go. */
void sa_free(struct sa *sa);

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
