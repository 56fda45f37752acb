#include "esp_ref.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "wire.h"

static const EVP_CIPHER *cipher(const struct sa_params *p)
{
	if (p->encr == ENCR_3DES)
		return EVP_des_ede3_cbc();
	if (p->encr == ENCR_NULL)
		return EVP_enc_null();
	if (p->encr == ENCR_AES_CBC)
		return p->key_bits == 128   ? EVP_aes_128_cbc()
		       : p->key_bits == 192 ? EVP_aes_192_cbc()
					    : EVP_aes_256_cbc();
	return p->key_bits == 128   ? EVP_aes_128_gcm()
	       : p->key_bits == 192 ? EVP_aes_192_gcm()
				    : EVP_aes_256_gcm();
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

static void hmac(const struct sa_params *p, const uint8_t *data, uint32_t len, uint8_t *out)
{
	const struct integ_info *info = integ_info(p->integ);
	unsigned n;

	if (!HMAC(EVP_get_digestbyname(hash_info(info->hash)->openssl), p->auth, info->key_len, data,
		  len, out, &n))
		abort();
}

/* GCM over n bytes in place; nonce = salt | iv; aad = the ESP header. */
static bool gcm(const struct sa_params *p, bool enc, const uint8_t *esp, uint8_t *data, uint32_t n,
		uint8_t *tag)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t nonce[12];
	int len;
	bool ok;

	memcpy(nonce, p->key + p->key_bits / 8, 4);
	memcpy(nonce + 4, esp + 8, 8);
	check(EVP_CipherInit_ex(ctx, cipher(p), NULL, p->key, nonce, enc));
	check(EVP_CipherUpdate(ctx, NULL, &len, esp, 8));
	check(EVP_CipherUpdate(ctx, data, &len, data, (int)n));
	if (!enc)
		check(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, (int)icv_len(p), tag));
	ok = EVP_CipherFinal_ex(ctx, data + len, &len) == 1;
	if (enc)
		check(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, (int)icv_len(p), tag));
	EVP_CIPHER_CTX_free(ctx);
	return ok;
}

static void cbc(const struct sa_params *p, bool enc, const uint8_t *iv, uint8_t *data, uint32_t n)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int len;

	check(EVP_CipherInit_ex(ctx, cipher(p), NULL, p->key, iv, enc));
	check(EVP_CIPHER_CTX_set_padding(ctx, 0));
	check(EVP_CipherUpdate(ctx, data, &len, data, (int)n));
	EVP_CIPHER_CTX_free(ctx);
}

/* Returns the offset of the ESP header, or -1. */
static int outer_check(const struct sa_params *p, const uint8_t *pkt, uint32_t len)
{
	if (len < 28 || pkt[0] != 0x45 || load_be16(pkt + IP4_TOTAL) != len || !ip4_sum_ok(pkt))
		return -1;
	if (load_be32(pkt + IP4_SRC) != ip_addr_to_v4(&p->local) ||
	    load_be32(pkt + IP4_DST) != ip_addr_to_v4(&p->remote))
		return -1;
	if (!p->udp_encap)
		return pkt[IP4_PROTO] == PROTO_ESP ? 20 : -1;
	if (pkt[IP4_PROTO] != PROTO_UDP || load_be16(pkt + 20) != p->local_port ||
	    load_be16(pkt + 22) != p->remote_port || load_be16(pkt + 24) != len - 20 ||
	    load_be16(pkt + 26) != 0)
		return -1;
	return 28;
}

int esp_ref_open(const struct sa_params *p, const uint8_t *pkt, uint32_t len, uint8_t *out,
		 uint32_t *seq, uint8_t *next)
{
	unsigned iv_len = encr_info(p->encr)->iv_len, icv = icv_len(p);
	int off = outer_check(p, pkt, len);
	const uint8_t *esp = pkt + off;
	uint8_t tag[64];
	uint32_t clen, pad;

	if (off < 0 || len < off + 8 + iv_len + icv + 2 || load_be32(esp) != p->spi)
		return -1;
	*seq = load_be32(esp + 4);
	clen = len - (uint32_t)off - 8 - iv_len - icv;
	memcpy(out, esp + 8 + iv_len, clen);
	memcpy(tag, pkt + len - icv, icv);
	if (encr_info(p->encr)->aead) {
		if (!gcm(p, false, esp, out, clen, tag))
			return -1;
	} else {
		hmac(p, esp, 8 + iv_len + clen, tag);
		if (memcmp(tag, pkt + len - icv, icv))
			return -1;
		cbc(p, false, esp + 8, out, clen);
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

uint32_t esp_ref_seal(const struct sa_params *p, uint32_t seq, const uint8_t *plain, uint32_t len,
		      uint8_t *out)
{
	unsigned iv_len = encr_info(p->encr)->iv_len, icv = icv_len(p), off = p->udp_encap ? 28 : 20;
	uint8_t *esp = out + off, *data = esp + 8 + iv_len;
	uint32_t total = off + 8 + iv_len + len + icv;
	uint8_t tag[64];

	memset(out, 0, off);
	out[0] = 0x45;
	store_be16(out + IP4_TOTAL, (uint16_t)total);
	out[IP4_TTL] = 60;
	out[IP4_PROTO] = p->udp_encap ? PROTO_UDP : PROTO_ESP;
	/* p is the receiver's: the packet comes from its remote */
	store_be32(out + IP4_SRC, ip_addr_to_v4(&p->remote));
	store_be32(out + IP4_DST, ip_addr_to_v4(&p->local));
	ip4_sum_set(out);
	if (p->udp_encap) {
		store_be16(out + 20, p->remote_port);
		store_be16(out + 22, p->local_port);
		store_be16(out + 24, (uint16_t)(total - 20));
	}
	store_be32(esp, p->spi);
	store_be32(esp + 4, seq);
	for (unsigned i = 0; i < iv_len; i++)
		esp[8 + i] = (uint8_t)(seq * 31 + i * 7 + 1);
	memcpy(data, plain, len);
	if (encr_info(p->encr)->aead) {
		gcm(p, true, esp, data, len, tag);
	} else {
		cbc(p, true, esp + 8, data, len);
		hmac(p, esp, 8 + iv_len + len, tag);
	}
	memcpy(data + len, tag, icv);
	return total;
}
