/* ESP that two other gateways exchanged, recorded with its keys: stage_esp_in() must open it. */
#include <criterion/criterion.h>
#include <string.h>

#include "esp_env.h"
#include "vectors.h"
#include "wire.h"

struct recording {
	const char *name;
	enum encr_alg encr;
	uint16_t bits;
	enum integ_alg integ;
};

static const struct recording recordings[] = {
	{ "aggr-psk", ENCR_AES_CBC, 128, INTEG_HMAC_SHA1_96 },
	{ "main-psk", ENCR_AES_GCM_16, 128, INTEG_NONE },
	{ "main-psk-3des", ENCR_3DES, 192, INTEG_HMAC_MD5_96 },
	{ "main-psk-pfs", ENCR_AES_CBC, 256, INTEG_HMAC_SHA256_128 },
	{ "main-rsa", ENCR_AES_CBC, 256, INTEG_HMAC_SHA256_128 },
};

static struct esp_env env;

static void setup(void)
{
	esp_env_init(&env, false, 255);
	env.lc->spi.owner_bits = 0; /* the SPIs are somebody else's */
}

static void teardown(void)
{
	cr_assert(esp_env_done(&env), "mbufs leaked");
}

/* The inbound SA of one side: the keys are named after who encrypts with them. */
static void sa_add(const struct recording *r, const struct vector *v, const char *side)
{
	bool to_initiator = strcmp(side, "initiator") == 0;
	const char *peer = to_initiator ? "responder" : "initiator";
	struct sa_params p;
	uint32_t spi[2];
	char name[64];

	cr_assert(vector_spis(v, side, spi));
	/* esp_env_params(): SA_IN is at 10.9.0.2, which was the responder */
	p = esp_env_params(SA_IN, spi[0], r->encr, r->bits, r->integ, true);
	if (to_initiator) {
		struct ip_addr a = p.local;
		struct ip_range s = p.sel.local;

		p.local = p.remote;
		p.remote = a;
		p.sel.local = p.sel.remote;
		p.sel.remote = s;
	}
	snprintf(name, sizeof(name), "encryption %s key", peer);
	cr_assert_eq(vector_key(v, side, name, 0, p.key, sizeof(p.key)),
		     r->bits / 8u + encr_info(r->encr)->salt_len);
	snprintf(name, sizeof(name), "integrity %s key", peer);
	if (r->integ != INTEG_NONE)
		cr_assert_eq(vector_key(v, side, name, 0, p.auth, sizeof(p.auth)),
			     integ_info(r->integ)->key_len);
	cr_assert(esp_env_add(&env, &p), "%s", r->name);
}

/* An echo request or reply between the two networks, whole and with good checksums. */
static void ping_check(struct rte_mbuf *pkt)
{
	const uint8_t *ip = rte_pktmbuf_mtod(pkt, const uint8_t *);
	uint32_t src = load_be32(ip + IP4_SRC) >> 16, dst = load_be32(ip + IP4_DST) >> 16;

	cr_assert_eq(pkt->data_len, 84);
	cr_assert_eq(ip[IP4_PROTO], PROTO_ICMP);
	cr_assert((src == 0x0a01 && dst == 0x0a02 && ip[20] == 8) ||
		  (src == 0x0a02 && dst == 0x0a01 && ip[20] == 0));
	cr_assert_eq(sum_fold(sum_add(0, ip + 20, 64)), 0xffff, "ICMP checksum");
}

Test(esp_vectors, recorded_packets_decrypt, .init = setup, .fini = teardown)
{
	for (size_t i = 0; i < sizeof(recordings) / sizeof(recordings[0]); i++) {
		static struct vector v;
		unsigned opened = 0;

		cr_assert(vector_load(recordings[i].name, &v));
		sa_add(&recordings[i], &v, "initiator");
		sa_add(&recordings[i], &v, "responder");
		for (unsigned k = 0; k < v.n; k++) {
			const uint8_t *esp;
			struct rte_mbuf *pkt;
			size_t len;

			if (!vector_esp(&v.packet[k], &esp, &len))
				continue;
			pkt = esp_env_packet(&env, v.packet[k].ip, (uint32_t)v.packet[k].ip_len, true);
			cr_assert_eq(stage_esp_in(env.lc, &pkt, 1), 1, "%s packet %u",
				     recordings[i].name, k + 1);
			ping_check(pkt);
			rte_pktmbuf_free(pkt);
			opened++;
		}
		cr_assert_eq(opened, 6, "%s: %u ESP packets", recordings[i].name, opened);
		vector_free(&v);
	}
}
