#include "esp_ref.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "wire.h"

static const EVP_CIPHER *cipher(const struct sa_params *p)
{
	switch (p->encr) {
	case ENCR_3DES:
	case ENCR_DES:
		return EVP_des_ede3_cbc();
	case ENCR_NULL:
		return EVP_enc_null();
	case ENCR_AES_CTR:
		return p->key_bits == 128   ? EVP_aes_128_ctr()
		       : p->key_bits == 192 ? EVP_aes_192_ctr()
					    : EVP_aes_256_ctr();
	case ENCR_AES_CBC:
		return p->key_bits == 128   ? EVP_aes_128_cbc()
		       : p->key_bits == 192 ? EVP_aes_192_cbc()
					    : EVP_aes_256_cbc();
	default:
		return p->key_bits == 128   ? EVP_aes_128_gcm()
		       : p->key_bits == 192 ? EVP_aes_192_gcm()
					    : EVP_aes_256_gcm();
	}
}

static unsigned icv_len(const struct sa_params *p)
{
	return encr_info(p->encr)->aead ? encr_info(p->encr)->icv_len
					: integ_info(p->integ)->icv_len;
}

static void check(int ok)
{
	if (ok != 1)
		abort();
}

/* Over data and, with ESN, the high half of the sequence number. */
static void hmac(const struct sa_params *p, const uint8_t *data, uint32_t len, uint32_t high,
		 uint8_t *out)
{
	const struct integ_info *info = integ_info(p->integ);
	uint32_t more = p->esn ? 4 : 0;
	uint8_t *copy = malloc(len + 4);
	unsigned n;

	memcpy(copy, data, len);
	store_be32(copy + len, high);
	if (!HMAC(EVP_get_digestbyname(hash_info(info->hash)->openssl), p->auth, info->key_len,
		  copy, len + more, out, &n))
		abort();
	free(copy);
}

/* RFC 4543 section 4 over a packet whose mutable fields and ICV field are zero. */
static void ah_gmac(const struct sa_params *p, const uint8_t *pkt, uint32_t len, uint32_t high,
		    const uint8_t *iv, uint8_t *tag)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t nonce[12], number[4];
	int n;

	memcpy(nonce, p->key + p->key_bits / 8, 4);
	memcpy(nonce + 4, iv, 8);
	store_be32(number, high);
	check(EVP_CipherInit_ex(ctx, cipher(p), NULL, p->key, nonce, 1));
	check(EVP_CipherUpdate(ctx, NULL, &n, pkt, (int)len));
	if (p->esn)
		check(EVP_CipherUpdate(ctx, NULL, &n, number, 4));
	check(EVP_CipherFinal_ex(ctx, tag, &n));
	check(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, tag));
	EVP_CIPHER_CTX_free(ctx);
}

/* GCM over n bytes in place, or GMAC over them; nonce = salt | iv; aad = SPI | sequence number (|
 * iv). */
static bool gcm(const struct sa_params *p, bool enc, const uint8_t *esp, uint32_t high,
		uint8_t *data, uint32_t n, uint8_t *tag)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	bool gmac = p->encr == ENCR_AES_GMAC;
	uint8_t nonce[12], number[4];
	int len;
	bool ok;

	memcpy(nonce, p->key + p->key_bits / 8, 4);
	memcpy(nonce + 4, esp + 8, 8);
	store_be32(number, high);
	check(EVP_CipherInit_ex(ctx, cipher(p), NULL, p->key, nonce, enc));
	check(EVP_CipherUpdate(ctx, NULL, &len, esp, 4));
	if (p->esn)
		check(EVP_CipherUpdate(ctx, NULL, &len, number, 4));
	check(EVP_CipherUpdate(ctx, NULL, &len, esp + 4, gmac ? 12 : 4));
	check(EVP_CipherUpdate(ctx, gmac ? NULL : data, &len, data, (int)n));
	if (!enc)
		check(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, (int)icv_len(p), tag));
	ok = EVP_CipherFinal_ex(ctx, data + n, &len) == 1;
	if (enc)
		check(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, (int)icv_len(p), tag));
	EVP_CIPHER_CTX_free(ctx);
	return ok;
}

static void crypt(const struct sa_params *p, bool enc, const uint8_t *iv, uint8_t *data, uint32_t n)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t block[16] = { [15] = 1 }, key[64];
	int len;

	memcpy(key, p->key, sizeof(p->key));
	if (p->encr ==
	    ENCR_DES) { /* the same key three times: DES alone is in the legacy provider */
		memcpy(key + 8, p->key, 8);
		memcpy(key + 16, p->key, 8);
	}
	if (p->encr == ENCR_AES_CTR) {
		memcpy(block, p->key + p->key_bits / 8, 4);
		memcpy(block + 4, iv, 8);
		iv = block;
	}
	check(EVP_CipherInit_ex(ctx, cipher(p), NULL, key, iv, enc));
	check(EVP_CIPHER_CTX_set_padding(ctx, 0));
	check(EVP_CipherUpdate(ctx, data, &len, data, (int)n));
	EVP_CIPHER_CTX_free(ctx);
}

/* ------------------------------------------------------------------ outer header ------------ */

static uint32_t head_len(const struct sa_params *p)
{
	return p->local.family == IP_V6 ? IP6_LEN : IP4_LEN;
}

static bool outer4_sound(const struct sa_params *p, const uint8_t *pkt, uint32_t len, uint8_t proto)
{
	return pkt[0] == 0x45 && load_be16(pkt + IP4_TOTAL) == len && ip4_sum_ok(pkt) &&
	       load_be32(pkt + IP4_SRC) == ip_addr_to_v4(&p->local) &&
	       load_be32(pkt + IP4_DST) == ip_addr_to_v4(&p->remote) && pkt[IP4_PROTO] == proto;
}

static bool outer6_sound(const struct sa_params *p, const uint8_t *pkt, uint32_t len, uint8_t proto)
{
	return pkt[0] >> 4 == 6 && ip6_total(pkt) == len && pkt[IP6_NEXT] == proto &&
	       memcmp(pkt + IP6_SRC, p->local.b, 16) == 0 &&
	       memcmp(pkt + IP6_DST, p->remote.b, 16) == 0;
}

/* Returns the offset of the ESP or AH header, or -1. */
static int outer_check(const struct sa_params *p, const uint8_t *pkt, uint32_t len)
{
	uint8_t proto = p->udp_encap ? PROTO_UDP : (uint8_t)p->proto;
	uint32_t head = head_len(p);
	const uint8_t *udp = pkt + head;

	if (len < head + 8)
		return -1;
	if (!(head == IP4_LEN ? outer4_sound(p, pkt, len, proto)
			      : outer6_sound(p, pkt, len, proto)))
		return -1;
	if (!p->udp_encap)
		return (int)head;
	if (load_be16(udp) != p->local_port || load_be16(udp + 2) != p->remote_port ||
	    load_be16(udp + 4) != len - head)
		return -1;
	if (head == IP4_LEN ? load_be16(udp + 6) != 0
			    : ip6_l4_sum(pkt, PROTO_UDP, udp, len - head) != 0xffff)
		return -1;
	return (int)head + 8;
}

/* p is the receiver's: the packet comes from its remote. */
static void outer_write(const struct sa_params *p, uint8_t *out, uint32_t total)
{
	uint8_t proto = p->udp_encap ? PROTO_UDP : (uint8_t)p->proto;
	uint32_t head = head_len(p);

	memset(out, 0, head);
	if (head == IP6_LEN) {
		out[0] = 0x60;
		store_be16(out + IP6_PAYLOAD, (uint16_t)(total - IP6_LEN));
		out[IP6_NEXT] = proto;
		out[IP6_HOPS] = 60;
		memcpy(out + IP6_SRC, p->remote.b, 16);
		memcpy(out + IP6_DST, p->local.b, 16);
	} else {
		out[0] = 0x45;
		store_be16(out + IP4_TOTAL, (uint16_t)total);
		out[IP4_TTL] = 60;
		out[IP4_PROTO] = proto;
		store_be32(out + IP4_SRC, ip_addr_to_v4(&p->remote));
		store_be32(out + IP4_DST, ip_addr_to_v4(&p->local));
		ip4_sum_set(out);
	}
	if (p->udp_encap) {
		store_be16(out + head, p->remote_port);
		store_be16(out + head + 2, p->local_port);
		store_be16(out + head + 4, (uint16_t)(total - head));
		store_be16(out + head + 6, 0);
	}
}

/* ------------------------------------------------------------------ AH ---------------------- */

/* Of the ICV, and of an IV before it. */
static uint32_t ah_field_len(const struct sa_params *p)
{
	return encr_info(p->encr)->iv_len + icv_len(p);
}

static uint32_t ah_len(const struct sa_params *p)
{
	uint32_t len = AH_LEN + ah_field_len(p);

	return p->local.family == IP_V6 ? (len + 7) & ~7u : len;
}

/* The ICV of a packet whose IP header has no options; an IV stands in its place already. */
static void ah_icv(const struct sa_params *p, const uint8_t *pkt, uint32_t len, uint32_t high,
		   uint8_t *tag)
{
	uint8_t *copy = malloc(len);
	uint32_t head = head_len(p);

	memcpy(copy, pkt, len);
	if (head == IP6_LEN) {
		store_be32(copy, 0x60000000);
		copy[IP6_HOPS] = 0;
	} else {
		copy[IP4_TOS] = copy[IP4_TTL] = 0;
		store_be16(copy + IP4_FRAG, 0);
		store_be16(copy + IP4_SUM, 0);
	}
	memset(copy + head + AH_ICV, 0, ah_field_len(p));
	if (p->encr == ENCR_AES_GMAC)
		ah_gmac(p, copy, len, high, pkt + head + AH_ICV, tag);
	else
		hmac(p, copy, len, high, tag);
	free(copy);
}

static int ah_open(const struct sa_params *p, const uint8_t *pkt, uint32_t len, uint32_t high,
		   uint8_t *out, uint32_t *seq, uint8_t *next)
{
	int off = outer_check(p, pkt, len);
	uint8_t tag[64];
	const uint8_t *ah = pkt + off;
	uint32_t size = ah_len(p);

	if (off < 0 || len < (uint32_t)off + size || (ah[AH_PAYLOAD] + 2u) * 4 != size ||
	    load_be32(ah + AH_SPI) != p->spi)
		return -1;
	ah_icv(p, pkt, len, high, tag);
	if (memcmp(tag, ah + AH_ICV + encr_info(p->encr)->iv_len, icv_len(p)))
		return -1;
	*seq = load_be32(ah + AH_SEQ);
	*next = ah[AH_NEXT];
	memcpy(out, ah + size, len - (uint32_t)off - size);
	return (int)(len - (uint32_t)off - size);
}

uint32_t esp_ref_seal_ah(const struct sa_params *p, uint64_t seq, const uint8_t *plain,
			 uint32_t len, uint8_t next, uint8_t *out)
{
	uint32_t off = head_len(p), size = ah_len(p), total = off + size + len;
	unsigned iv_len = encr_info(p->encr)->iv_len;
	uint8_t *ah = out + off, tag[64];

	outer_write(p, out, total);
	memset(ah, 0, size);
	ah[AH_NEXT] = next;
	ah[AH_PAYLOAD] = (uint8_t)(size / 4 - 2);
	store_be32(ah + AH_SPI, p->spi);
	store_be32(ah + AH_SEQ, (uint32_t)seq);
	memcpy(ah + size, plain, len);
	for (unsigned i = 0; i < iv_len; i++)
		ah[AH_ICV + i] = (uint8_t)(seq * 31 + i * 7 + 1);
	ah_icv(p, out, total, (uint32_t)(seq >> 32), tag);
	memcpy(ah + AH_ICV + iv_len, tag, icv_len(p));
	return total;
}

/* ------------------------------------------------------------------ ESP --------------------- */

int esp_ref_open_esn(const struct sa_params *p, const uint8_t *pkt, uint32_t len, uint32_t high,
		     uint8_t *out, uint32_t *seq, uint8_t *next)
{
	unsigned iv_len = encr_info(p->encr)->iv_len, icv = icv_len(p);
	int off = outer_check(p, pkt, len);
	const uint8_t *esp = pkt + off;
	uint8_t tag[64];
	uint32_t clen, pad;

	if (p->proto == SA_AH)
		return ah_open(p, pkt, len, high, out, seq, next);
	if (off < 0 || len < off + 8 + iv_len + icv + 2 || load_be32(esp) != p->spi)
		return -1;
	*seq = load_be32(esp + 4);
	clen = len - (uint32_t)off - 8 - iv_len - icv;
	memcpy(out, esp + 8 + iv_len, clen);
	memcpy(tag, pkt + len - icv, icv);
	if (encr_info(p->encr)->aead) {
		if (!gcm(p, false, esp, high, out, clen, tag))
			return -1;
	} else {
		hmac(p, esp, 8 + iv_len + clen, high, tag);
		if (memcmp(tag, pkt + len - icv, icv))
			return -1;
		crypt(p, false, esp + 8, out, clen);
	}
	*next = out[clen - 1];
	pad = out[clen - 2];
	if (pad + 2 > clen)
		return -1;
	for (uint32_t i = 0; i < pad; i++)
		if (out[clen - 2 - pad + i] != i + 1)
			return -1;
	return (int)(clen - 2 - pad);
}

int esp_ref_open(const struct sa_params *p, const uint8_t *pkt, uint32_t len, uint8_t *out,
		 uint32_t *seq, uint8_t *next)
{
	return esp_ref_open_esn(p, pkt, len, 0, out, seq, next);
}

uint32_t esp_ref_trailer(const struct sa_params *p, uint8_t *plain, uint32_t len, uint8_t next)
{
	uint32_t block = encr_info(p->encr)->block_len, pad = 0;

	if (block < 4)
		block = 4;
	while ((len + 2) % block)
		plain[len++] = (uint8_t)++pad;
	plain[len++] = (uint8_t)pad;
	plain[len++] = next;
	return len;
}

uint32_t esp_ref_seal(const struct sa_params *p, uint64_t seq, const uint8_t *plain, uint32_t len,
		      uint8_t *out)
{
	unsigned iv_len = encr_info(p->encr)->iv_len, icv = icv_len(p);
	uint32_t off = head_len(p) + (p->udp_encap ? 8 : 0), high = (uint32_t)(seq >> 32);
	uint8_t *esp = out + off, *data = esp + 8 + iv_len;
	uint32_t total = off + 8 + iv_len + len + icv;
	uint8_t tag[64];

	outer_write(p, out, total);
	store_be32(esp, p->spi);
	store_be32(esp + 4, (uint32_t)seq);
	for (unsigned i = 0; i < iv_len; i++)
		esp[8 + i] = (uint8_t)(seq * 31 + i * 7 + 1);
	memcpy(data, plain, len);
	if (encr_info(p->encr)->aead) {
		gcm(p, true, esp, high, data, len, tag);
	} else {
		crypt(p, true, esp + 8, data, len);
		hmac(p, esp, 8 + iv_len + len, high, tag);
	}
	memcpy(data + len, tag, icv);
	return total;
}
