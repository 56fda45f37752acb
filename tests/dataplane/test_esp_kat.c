/* Known answers: draft-mcgrew-gcm-test-01 (GCM and GMAC as ESP uses them, RFC 4106 and 4543), RFC
 * 3602 (AES-CBC), RFC 3686 (AES-CTR), RFC 4868 (HMAC-SHA2), through the functions that the stages
 * call or, where the document has a whole packet, through the stage. */
#include <criterion/criterion.h>
#include <errno.h>
#include <openssl/hmac.h>
#include <string.h>

#include "cpu.h"
#include "crypto.h"
#include "esp_env.h"
#include "wire.h"

static struct esp_env env;

static void setup(void)
{
	esp_env_init(&env, false, 127);
}

static void teardown(void)
{
	esp_env_done(&env);
}

static unsigned unhex(const char *hex, uint8_t *out)
{
	unsigned n = 0;

	for (; hex[0] && hex[1]; hex += 2) {
		unsigned v;

		cr_assert_eq(sscanf(hex, "%2x", &v), 1);
		out[n++] = (uint8_t)v;
	}
	return n;
}

struct gcm_kat {
	uint16_t bits;
	const char *key, *nonce, *aad, *plain, *cipher, *tag;
};

static const struct gcm_kat gcm_kats[] = {
	{ 128, "4c80cdefbb5d10da906ac73c3613a634", "2e443b684956ed7e3b244cfe",
	  "000043218765432100000000",
	  "45000048699a000080114db7c0a80102c0a801010a9bf15638d3010000010000"
	  "00000000045f736970045f756470037369700963796265726369747902646b00"
	  "0021000101020201",
	  "fecf537e729d5b07dc30df528dd22b768d1b98736696a6fd348509fa13ceac34"
	  "cfa2436f14a3f3cf65925bf1f4a13c5d15b21e1884f5ff6247aeabb786b93bce"
	  "61bc17d768fd9732",
	  "459018148f6cbe722fd04796562dfdb4" },
	{ 192, "feffe9928665731c6d6a8f9467308308feffe9928665731c", "cafebabefacedbaddecaf888",
	  "0000a5f80000000a",
	  "45000028a4ad4000400678800a01038f0a010612802306b8cb712602dd6bb03e501016d075680001",
	  "a5b1f8066029aea40e598b8122de02420938b3ab33f828e687b8858b5bfbdbd0315b27452144cc77",
	  "95457b9652037f5318027b5b4cd7a636" },
	{ 256, "abbccddef00112233445566778899aababbccddef00112233445566778899aab",
	  "112233440102030405060708", "4a2cbfe300000002",
	  "4500003069a6400080062690c0a801029389155e0a9e008b2dc57ee000000000"
	  "7002400020bf0000020405b40101040201020201",
	  "ff425c9b724599df7a3bcd510194e00d6a78107f1b0b1cbf06efae9d65a5d763"
	  "748a637985771d347f0545659f14e99def842d8e",
	  "b335f4eecfdbf831824b4c4915956c96" },
};

/* Our own code, through its own calls. */
static void own_check(const struct sa *sa, const struct gcm_kat *k)
{
	uint8_t nonce[16] = { 0 }, aad[32] = { 0 }, cipher[128], plain[128], want[16];
	uint8_t data[2][128 + GCM_BEHIND];
	struct gcm_op op[2];
	unsigned n = unhex(k->plain, plain);

	unhex(k->nonce, nonce);
	unhex(k->cipher, cipher);
	unhex(k->tag, want);
	for (unsigned i = 0; i < 2; i++) {
		memcpy(data[i], plain, n);
		op[i] = (struct gcm_op){ .key = &sa->own, .data = data[i], .len = n };
		op[i].aad_len = unhex(k->aad, aad);
		op[i].aad = _mm_loadu_si128((const __m128i *)aad);
		op[i].nonce = _mm_loadu_si128((const __m128i *)nonce);
	}
	gcm_encrypt(op, 2);
	for (unsigned i = 0; i < 2; i++) {
		cr_assert_arr_eq(data[i], cipher, n);
		cr_assert_arr_eq(data[i] + n, want, 16);
	}
	gcm_decrypt(op, 2);
	for (unsigned i = 0; i < 2; i++) {
		cr_assert_arr_eq(data[i], plain, n);
		cr_assert_arr_eq((uint8_t *)&op[i].tag, want, 16);
	}
}

static void gcm_check(void)
{
	for (size_t i = 0; i < sizeof(gcm_kats) / sizeof(gcm_kats[0]); i++) {
		const struct gcm_kat *k = &gcm_kats[i];
		struct sa_params p = esp_env_params(SA_OUT, ENV_SPI(1), ENCR_AES_GCM_16, k->bits,
						    INTEG_NONE, false);
		uint8_t nonce[12], aad[32], data[128], cipher[128], plain[128], tag[16],
			want_tag[16];
		struct gcm_context_data ctx;
		unsigned n, aad_len;
		struct sa *sa;

		unhex(k->key, p.key);
		unhex(k->nonce, nonce);
		memcpy(p.key + k->bits / 8, nonce, 4); /* the salt */
		aad_len = unhex(k->aad, aad);
		n = unhex(k->plain, plain);
		unhex(k->cipher, cipher);
		unhex(k->tag, want_tag);
		sa = esp_env_add(&env, &p);
		cr_assert(sa);
		cr_assert_arr_eq((uint8_t *)&sa->salt, nonce, 4);
		if (sa->crypto == SA_GCM_OWN) {
			own_check(sa, k);
			continue;
		}
		memcpy(data, plain, n);
		crypto_gcm_encrypt(env.lc->mb, sa, &ctx, data, n, nonce, aad, aad_len, tag);
		cr_assert_arr_eq(data, cipher, n, "vector %zu", i);
		cr_assert_arr_eq(tag, want_tag, 16, "vector %zu", i);
		crypto_gcm_decrypt(env.lc->mb, sa, &ctx, data, n, nonce, aad, aad_len, tag);
		cr_assert_arr_eq(data, plain, n);
		cr_assert_arr_eq(tag, want_tag, 16);
	}
}

/* With what this CPU chooses, and with IPsec-MB. */
Test(esp_kat, gcm, .init = setup, .fini = teardown)
{
	gcm_check();
	cpu_gcm_allow(false);
	gcm_check();
	cpu_gcm_allow(true);
}

struct cbc_kat {
	uint16_t bits;
	const char *key, *iv, *plain, *cipher;
};

/* RFC 3602 section 4 cases 1 to 4; NIST SP 800-38A F.2.5 for 256 bits. */
static const struct cbc_kat cbc_kats[] = {
	{ 128, "06a9214036b8a15b512e03d534120006", "3dafba429d9eb430b422da802c9fac41",
	  "53696e676c6520626c6f636b206d7367", "e353779c1079aeb82708942dbe77181a" },
	{ 128, "c286696d887c9aa0611bbb3e2025a45a", "562e17996d093d28ddb3ba695a2e6f58",
	  "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
	  "d296cd94c2cccf8a3a863028b5e1dc0a7586602d253cfff91b8266bea6d61ab1" },
	{ 128, "6c3ea0477630ce21a2ce334aa746c2cd", "c782dc4c098c66cbd9cd27d825682c81",
	  "5468697320697320612034382d62797465206d657373616765202865"
	  "786163746c7920332041455320626c6f636b7329",
	  "d0a02b3836451753d493665d33f0e8862dea54cdb293abc7506939276772f8d5"
	  "021c19216bad525c8579695d83ba2684" },
	{ 128, "56e47a38c5598974bc46903dba290349", "8ce82eefbea0da3c44699ed7db51b7d9",
	  "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf"
	  "c0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf",
	  "c30e32ffedc0774e6aff6af0869f71aa0f3af07a9a31a9c684db207eb0ef8e4e"
	  "35907aa632c3ffdf868bb7b29d3d46ad83ce9f9a102ee99d49a53e87f4c3da55" },
	{ 256, "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
	  "000102030405060708090a0b0c0d0e0f",
	  "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51",
	  "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d" },
};

/* Inbound decryption of an ESP packet around the known ciphertext. */
Test(esp_kat, cbc_decrypt, .init = setup, .fini = teardown)
{
	for (size_t i = 0; i < sizeof(cbc_kats) / sizeof(cbc_kats[0]); i++) {
		const struct cbc_kat *k = &cbc_kats[i];
		struct sa_params p = esp_env_params(SA_IN, ENV_SPI(1), ENCR_AES_CBC, k->bits,
						    INTEG_HMAC_SHA1_96, false);
		uint8_t packet[128] = { 0 }, plain[64], tag[CRYPTO_TAG_MAX];
		struct crypto_op op = { .esp = packet, .tag = tag };
		unsigned n;

		unhex(k->key, p.key);
		unhex(k->iv, packet + 8);
		n = unhex(k->cipher, packet + 24);
		unhex(k->plain, plain);
		op.sa = esp_env_add(&env, &p);
		cr_assert(op.sa);
		op.esp_len = 24 + n;
		crypto_chain_run(env.lc->mb, &op, 1);
		cr_assert(op.ok);
		cr_assert_arr_eq(packet + 24, plain, n, "vector %zu", i);
	}
}

struct ctr_kat {
	uint16_t bits;
	const char *key, *nonce, *iv, *plain, *cipher;
};

#define ONE_BLOCK  "53696e676c6520626c6f636b206d7367"
#define TWO_BLOCKS "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

/* RFC 3686 section 6, test vectors 1 to 9. */
static const struct ctr_kat ctr_kats[] = {
	{ 128, "ae6852f8121067cc4bf7a5765577f39e", "00000030", "0000000000000000", ONE_BLOCK,
	  "e4095d4fb7a7b3792d6175a3261311b8" },
	{ 128, "7e24067817fae0d743d6ce1f32539163", "006cb6db", "c0543b59da48d90b", TWO_BLOCKS,
	  "5104a106168a72d9790d41ee8edad388eb2e1efc46da57c8fce630df9141be28" },
	{ 128, "7691be035e5020a8ac6e618529f9a0dc", "00e0017b", "27777f3f4a1786f0",
	  TWO_BLOCKS "20212223",
	  "c1cf48a89f2ffdd9cf4652e9efdb72d74540a42bde6d7836d59a5ceaaef31053"
	  "25b2072f" },
	{ 192, "16af5b145fc9f579c175f93e3bfb0eed863d06ccfdb78515", "00000048", "36733c147d6d93cb",
	  ONE_BLOCK, "4b55384fe259c9c84e7935a003cbe928" },
	{ 192, "7c5cb2401b3dc33c19e7340819e0f69c678c3db8e6f6a91a", "0096b03b", "020c6eadc2cb500d",
	  TWO_BLOCKS, "453243fc609b23327edfaafa7131cd9f8490701c5ad4a79cfc1fe0ff42f4fb00" },
	{ 192, "02bf391ee8ecb159b959617b0965279bf59b60a786d3e0fe", "0007bdfd", "5cbd60278dcc0912",
	  TWO_BLOCKS "20212223",
	  "96893fc55e5c722f540b7dd1ddf7e758d288bc95c69165884536c811662f2188"
	  "abee0935" },
	{ 256, "776beff2851db06f4c8a0542c8696f6c6a81af1eec96b4d37fc1d689e6c1c104", "00000060",
	  "db5672c97aa8f0b2", ONE_BLOCK, "145ad01dbf824ec7560863dc71e3e0c0" },
	{ 256, "f6d66d6bd52d59bb0796365879eff886c66dd51a5b6a99744b50590c87a23884", "00faac24",
	  "c1585ef15a43d875", TWO_BLOCKS,
	  "f05e231b3894612c49ee000b804eb2a9b8306b508f839d6a5530831d9344af1c" },
	{ 256, "ff7a617ce69148e4f1726e2f43581de2aa62d9f805532edff1eed687fb54153d", "001cc5b7",
	  "51a51d70a1c11148", TWO_BLOCKS "20212223",
	  "eb6c52821d0bbbf7ce7594462aca4faab407df866569fd07f48cc0b583d6071f"
	  "1ec0e6b8" },
};

Test(esp_kat, ctr, .init = setup, .fini = teardown)
{
	for (size_t i = 0; i < sizeof(ctr_kats) / sizeof(ctr_kats[0]); i++) {
		const struct ctr_kat *k = &ctr_kats[i];

		for (int dir = SA_IN; dir <= SA_OUT; dir++) {
			struct sa_params p =
				esp_env_params((enum sa_dir)dir, ENV_SPI(1), ENCR_AES_CTR, k->bits,
					       INTEG_HMAC_SHA1_96, false);
			uint8_t packet[128] = { 0 }, want[64], tag[CRYPTO_TAG_MAX];
			struct crypto_op op = { .esp = packet, .tag = tag };
			unsigned n = unhex(dir == SA_IN ? k->cipher : k->plain, packet + 16);

			unhex(k->key, p.key);
			unhex(k->nonce, p.key + k->bits / 8);
			unhex(dir == SA_IN ? k->plain : k->cipher, want);
			unhex(k->iv, packet + 8);
			op.sa = esp_env_add(&env, &p);
			cr_assert(op.sa);
			memcpy(op.iv, &op.sa->salt, 4);
			memcpy(op.iv + 4, packet + 8, 8);
			op.esp_len = 16 + n;
			crypto_chain_run(env.lc->mb, &op, 1);
			cr_assert(op.ok);
			cr_assert_arr_eq(packet + 16, want, n, "vector %zu direction %d", i + 1,
					 dir);
		}
	}
}

struct hmac_kat {
	enum integ_alg integ;
	uint8_t key;      /* all of its bytes; 0: "Jefe" again and again, 1: 1, 2, 3, ... */
	const char *data; /* NULL: 50 bytes of fill */
	uint8_t fill;
	const char *tag;
};

#define JEFE "what do ya want for nothing?"

/* RFC 4868 section 2.7.2, AUTH test cases 1 to 3 of each hash, and AUTH256-4. */
static const struct hmac_kat hmac_kats[] = {
	{ INTEG_HMAC_SHA256_128, 0x0b, "Hi There", 0, "198a607eb44bfbc69903a0f1cf2bbdc5" },
	{ INTEG_HMAC_SHA256_128, 0, JEFE, 0, "167f928588c5cc2eef8e3093caa0e87c" },
	{ INTEG_HMAC_SHA256_128, 0xaa, NULL, 0xdd, "cdcb1220d1ecccea91e53aba3092f962" },
	{ INTEG_HMAC_SHA256_128, 1, NULL, 0xcd, "372efcf9b40b35c2115b1346903d2ef4" },
	{ INTEG_HMAC_SHA384_192, 0x0b, "Hi There", 0,
	  "b6a8d5636f5c6a7224f9977dcf7ee6c7fb6d0c48cbdee973" },
	{ INTEG_HMAC_SHA384_192, 0, JEFE, 0, "2c7353974f1842fd66d53c452ca42122b28c0b594cfb184d" },
	{ INTEG_HMAC_SHA384_192, 0xaa, NULL, 0xdd,
	  "809f439be00274321d4a538652164b53554a508184a0c316" },
	{ INTEG_HMAC_SHA512_256, 0x0b, "Hi There", 0,
	  "637edc6e01dce7e6742a99451aae82df23da3e92439e590e43e761b33e910fb8" },
	{ INTEG_HMAC_SHA512_256, 0, JEFE, 0,
	  "cb370917ae8a7ce28cfd1d8f4705d6141c173b2a9362c15df235dfb251b15454" },
	{ INTEG_HMAC_SHA512_256, 0xaa, NULL, 0xdd,
	  "2ee7acd783624ca9398710f3ee05ae41b9f9b0510c87e49e586cc9bf961733d8" },
};

static void hmac_key(const struct hmac_kat *k, struct sa_params *p)
{
	for (unsigned i = 0; i < integ_info(k->integ)->key_len; i++)
		p->auth[i] = k->key == 0   ? (uint8_t) "Jefe"[i % 4]
			     : k->key == 1 ? (uint8_t)(i + 1)
					   : k->key;
}

/* With NULL encryption the job is the HMAC alone, over what stands in the ESP header's place. */
Test(esp_kat, hmac_sha2, .init = setup, .fini = teardown)
{
	for (size_t i = 0; i < sizeof(hmac_kats) / sizeof(hmac_kats[0]); i++) {
		const struct hmac_kat *k = &hmac_kats[i];
		struct sa_params p =
			esp_env_params(SA_IN, ENV_SPI(1), ENCR_NULL, 0, k->integ, false);
		uint8_t packet[64], want[64], tag[CRYPTO_TAG_MAX];
		struct crypto_op op = { .esp = packet, .esp_len = 50, .tag = tag };
		unsigned tag_len = unhex(k->tag, want);

		memset(packet, k->fill, sizeof(packet));
		if (k->data) {
			op.esp_len = (uint32_t)strlen(k->data);
			memcpy(packet, k->data, op.esp_len);
		}
		hmac_key(k, &p);
		op.sa = esp_env_add(&env, &p);
		cr_assert(op.sa);
		crypto_chain_run(env.lc->mb, &op, 1);
		cr_assert(op.ok);
		cr_assert_eq(tag_len, integ_info(k->integ)->icv_len);
		cr_assert_arr_eq(tag, want, tag_len, "vector %zu", i);
	}
}

/* ------------------------------------------------------------------ whole packets ----------- */

struct packet_kat {
	enum encr_alg encr;
	enum sa_mode mode;
	const char *key;   /* and salt */
	const char *esp;   /* without ICV, unless the transform has one */
	const char *inner; /* transport: the payload */
};

static const struct packet_kat packet_kats[] = {
	/* RFC 3602 section 4 cases 5 to 8 */
	{ ENCR_AES_CBC, SA_TRANSPORT, "90d382b410eeba7ad938c46cec1a82bf",
	  "0000432100000001e96e8c08ab465763fd098d45dd3ff893f663c25d325c18c6a9453e194e120849"
	  "a4870b66cc6b9965330013b4898dc856a4699e523a55db080b59ec3a8e4b7e52775b07d1db34ed9c"
	  "538ab50c551b874aa269add047ad2d5913ac19b7cfbad4a6",
	  "08000ebda70a00008e9c083db95b070008090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	  "202122232425262728292a2b2c2d2e2f3031323334353637" },
	{ ENCR_AES_CBC, SA_TRANSPORT, "90d382b410eeba7ad938c46cec1a82bf",
	  "000043210000000869d08df7d203329db093fc4924e5bd80f51995881ec4e0c4488987ce742e8109"
	  "689bb379d2d750c0d915dca346a89f75",
	  "0800b5e8a80a0500a69c083d0b660e00777777777777777777777777" },
	{ ENCR_AES_CBC, SA_TUNNEL, "0123456789abcdef0123456789abcdef",
	  "0000876500000002f4e765244f6407adf13dc1380f673f37773b5241a4c449225e4f3ce5ed611b0c"
	  "237ca96cf74a93013c1b0ea1a0cf70f8e4ecaec78ac53aad7a0f022b859243c647752e94a859352b"
	  "8a4d4d2decd136e5c177f132ad3fbfb2201ac9904c74ee0a109e0ca1e4dfe9d5a100b842f1c22f0d",
	  "45000054090400004001f988c0a87b03c0a87bc808009f76a90a0100b49c083d02a2040008090a0b"
	  "0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f30313233"
	  "34353637" },
	{ ENCR_AES_CBC, SA_TUNNEL, "0123456789abcdef0123456789abcdef",
	  "000087650000000585d47224b5f3dd5d2101d4ea8dffab2215b92683819596a8047232cc00f7048f"
	  "e45318e11f8a0f62ede3c3fc61203bb50f980a08c9843fd3a1b06d5c07ff9639b7eb7dfb3512e5de"
	  "435e7207ed971ef3d2726d9b5ef6affc6d17a0decbb13892",
	  "45000044090c00004001f990c0a87b03c0a87bc80800d63caa0a0200c69c083da3de0300ffffffff"
	  "ffffffffffffffffffffffffffffffffffffffffffffffffffffffff" },
	/* draft-mcgrew-gcm-test-01, as RFC 4543 uses GCM */
	{ ENCR_AES_GMAC, SA_TRANSPORT, "4c80cdefbb5d10da906ac73c3613a63422433c64",
	  "0000432100000007000000000000000045000030da3a00008001df3bc0a80005c0a800010800c6cd"
	  "020007006162636465666768696a6b6c6d6e6f707172737401020201"
	  "f2a9a836e155106aa8dcd618e4099aaa",
	  "45000030da3a00008001df3bc0a80005c0a800010800c6cd020007006162636465666768696a6b6c"
	  "6d6e6f7071727374" },
};

static void outer_write(uint8_t *ip, unsigned total)
{
	memset(ip, 0, 20);
	ip[0] = 0x45;
	store_be16(ip + IP4_TOTAL, (uint16_t)total);
	ip[IP4_TTL] = 64;
	ip[IP4_PROTO] = PROTO_ESP;
	store_be32(ip + IP4_SRC, 0xc0a87b03);
	store_be32(ip + IP4_DST, 0xc0a87b64);
	ip4_sum_set(ip);
}

/* RFC 3602 packets have no ICV; ESP without one is not for us, so one is added. */
Test(esp_kat, packets, .init = setup, .fini = teardown)
{
	for (size_t i = 0; i < sizeof(packet_kats) / sizeof(packet_kats[0]); i++) {
		const struct packet_kat *k = &packet_kats[i];
		bool aead = encr_info(k->encr)->aead;
		uint8_t packet[512], want[256];
		unsigned n = unhex(k->esp, packet + 20), want_len = unhex(k->inner, want), icv;
		unsigned head = k->mode == SA_TRANSPORT ? 20 : 0;
		struct sa_params p =
			esp_env_params(SA_IN, load_be32(packet + 20), k->encr, 128,
				       aead ? INTEG_NONE : INTEG_HMAC_SHA256_128, false);
		struct rte_mbuf *pkt;

		p.mode = k->mode;
		p.local = ip_addr_v4(0xc0a87b64);
		p.remote = ip_addr_v4(0xc0a87b03);
		ip_range_parse("0.0.0.0-255.255.255.255", &p.sel.local);
		p.sel.remote = p.sel.local;
		unhex(k->key, p.key);
		cr_assert(esp_env_add(&env, &p));
		if (!aead) {
			HMAC(EVP_sha256(), p.auth, 32, packet + 20, n, packet + 20 + n, &icv);
			n += 16;
		}
		outer_write(packet, 20 + n);
		pkt = esp_env_packet(&env, packet, 20 + n, false);
		cr_assert_eq(stage_esp_in(env.lc, &pkt, 1), 1, "packet %zu", i);
		cr_assert_eq(pkt->data_len, head + want_len, "packet %zu", i);
		cr_assert_arr_eq(rte_pktmbuf_mtod_offset(pkt, uint8_t *, head), want, want_len);
		if (head)
			cr_assert(rte_pktmbuf_mtod(pkt, uint8_t *)[IP4_PROTO] == PROTO_ICMP &&
				  ip4_sum_ok(rte_pktmbuf_mtod(pkt, uint8_t *)));
		rte_pktmbuf_free(pkt);
	}
}

static void refused(struct sa_params p, int error)
{
	errno = 0;
	cr_assert_null(sa_build(env.lc->mb, &p, SOCKET_ID_ANY));
	cr_assert_eq(errno, error);
}

Test(esp_kat, unsupported, .init = setup, .fini = teardown)
{
	struct sa_params good =
		esp_env_params(SA_IN, ENV_SPI(1), ENCR_AES_GCM_16, 128, INTEG_NONE, false);
	struct sa_params p = good;

	p.integ = INTEG_HMAC_SHA1_96;
	refused(p, ENOTSUP);
	p = good, p.key_bits = 160;
	refused(p, ENOTSUP);
	p = good, p.encr = ENCR_AES_CTR; /* without integrity */
	refused(p, ENOTSUP);
	p = good, p.encr = ENCR_NULL;
	refused(p, ENOTSUP);
	p = good, p.proto = SA_AH;
	refused(p, ENOTSUP);
	p = good, p.replay_window = 100;
	refused(p, EINVAL);
	p = good, p.replay_window = 8192;
	refused(p, EINVAL);
	p = good, p.spi = 0;
	refused(p, EINVAL);
	p = good, p.mode = (enum sa_mode)0;
	refused(p, EINVAL);
	p = good, p.local.family = IP_V6; /* outer addresses of two families */
	refused(p, EINVAL);
	p.remote.family = IP_V6;
	p.mode = SA_TRANSPORT; /* IPv4 selectors behind an IPv6 header */
	refused(p, EINVAL);
	p = good, p.proto = SA_AH, p.encr = ENCR_NONE, p.integ = INTEG_HMAC_SHA1_96;
	p.udp_encap = true;
	refused(p, EINVAL);
	sa_free(NULL);
}
