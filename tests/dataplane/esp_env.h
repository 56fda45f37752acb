/* What the ESP tests, fuzz targets and the benchmark share: an lcore without ports, SA parameters
 * and inner packets. */
#ifndef SHRIKE_TESTS_ESP_ENV_H
#define SHRIKE_TESTS_ESP_ENV_H

#include <rte_mempool.h>
#include <stdbool.h>
#include <stdint.h>

#include "lcore.h"

#define ENV_SLOT_BITS  11
#define ENV_OWNER_BITS 2
#define ENV_SPI(slot)  (0xa5u << 24 | (uint32_t)(slot)) /* generation a5, owner 0 */

struct esp_env {
	struct lcore *lc;
	struct rte_mempool *pool, *jumbo;
};

/* EAL (once a process: no huge pages unless asked, no PCI, nothing shared), an lcore with SA
 * tables, rings, pool and crypto manager. Stops the process with a message on failure. */
void esp_env_init(struct esp_env *env, bool huge, unsigned mbufs);
/* Frees it; every mbuf must be back in the pool, which the return value tells. */
bool esp_env_done(struct esp_env *env);
bool esp_env_no_leak(const struct esp_env *env);

/* Parameters of one direction of a tunnel 10.9.0.1 - 10.9.0.2 that carries 10.1.0.0/16 to
 * 10.2.0.0/16. Keys are a function of the SPI, so that both directions of the same SPI fit
 * together: SA_IN is what the peer of SA_OUT would have. */
struct sa_params esp_env_params(enum sa_dir dir, uint32_t spi, enum encr_alg encr,
				uint16_t key_bits, enum integ_alg integ, bool udp);
/* Forms that an SA can have, in every mix of families; FORM_TUNNEL44 is what esp_env_params() gives. */
enum esp_form {
	FORM_TUNNEL44,
	FORM_TUNNEL46, /* inner IPv4, outer IPv6 */
	FORM_TUNNEL64,
	FORM_TUNNEL66,
	FORM_TRANSPORT4,
	FORM_TRANSPORT6,
	FORM_AH_TUNNEL44,
	FORM_AH_TUNNEL66,
	FORM_AH_TRANSPORT4,
	FORM_AH_TRANSPORT6,
	FORM_COUNT
};
/* Gives p this form: IPv6 is 2001:db8:9::1 - 2001:db8:9::2 with 2001:db8:1::/48 to 2001:db8:2::/48;
 * transport mode has the gateways' addresses as selectors. AH: GMAC stays, of others the HMAC alone, SHA-1 with AEAD. */
void esp_env_form(struct sa_params *p, enum esp_form form);
/* Builds and stores an SA; the slot follows from the SPI. NULL: errno says why. */
struct sa *esp_env_add(struct esp_env *env, const struct sa_params *p);
void esp_env_remove(struct esp_env *env, enum sa_dir dir, uint32_t spi);

/* An inner UDP packet of total bytes (20 and more), data at its IP header, meta.slot set. The
 * payload is a function of seed. */
struct inner_spec {
	uint32_t src, dst; /* 0: 10.1.0.5 and 10.2.0.9 */
	uint16_t sport, dport;
	uint16_t total;
	uint16_t frag;
	uint8_t ttl;	   /* 0: 64 */
	uint8_t tos;
	uint8_t proto;	   /* 0: UDP */
	uint32_t seed;
};
void esp_env_inner_bytes(const struct inner_spec *spec, uint8_t *out);
struct rte_mbuf *esp_env_inner(struct esp_env *env, const struct inner_spec *spec, uint32_t slot);

/* A chain of mbufs with at most seg bytes each (0: one mbuf); meta is zero. */
struct rte_mbuf *esp_env_chain(struct esp_env *env, const uint8_t *data, uint32_t len, uint32_t seg);
/* A packet from bytes that start at the IP header; inbound meta as stage_classify() leaves it. */
struct rte_mbuf *esp_env_packet(struct esp_env *env, const uint8_t *data, uint32_t len, bool udp);
/* Makes what stage_esp_out() left arrive at stage_esp_in(). */
void esp_env_turn(struct rte_mbuf *pkt);

/* Takes one event; false when there is none. */
bool esp_env_event(struct esp_env *env, struct evt *out);

#endif
