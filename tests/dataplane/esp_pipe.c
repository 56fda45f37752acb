/* The ESP stages behind a pipe, for esp_matrix.py: lines on standard input, one answer a line.
 *
 *   sa in|out esp|ah tunnel|transport ENCR BITS INTEG ESN UDP LOCAL REMOTE SEL-LOCAL SEL-REMOTE KEY
 * AUTH SPI SEQUENCE           -> ok, or error TEXT; "-" is an empty key, SEQUENCE the last one so
 * far df copy|set|clear, dscp copy|N, flow copy|zero: for the SAs that follow mtu N the outer MTU
 * of the outbound SA in L4-OFFSET FLAGS SEGMENT HEX   FLAGS: of "ua-" for UDP and AH; SEGMENT:
 * bytes an mbuf, 0 = one out FLAGS SEGMENT HEX            FLAGS: l = made by the gateway, t = in
 * transit
 *                             -> pkt HEX, or drop NAME
 *   counters                  -> late DUP ICV */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "esp_env.h"

#define MAX_PACKET 65535

static struct esp_env env;
static struct sa_params defaults;

static enum encr_alg encr_named(const char *name)
{
	for (unsigned a = ENCR_NONE; a < ENCR_COUNT; a++)
		if (strcmp(encr_info((enum encr_alg)a)->name, name) == 0)
			return (enum encr_alg)a;
	return ENCR_COUNT;
}

static enum integ_alg integ_named(const char *name)
{
	for (unsigned a = INTEG_NONE; a < INTEG_COUNT; a++)
		if (strcmp(integ_info((enum integ_alg)a)->name, name) == 0)
			return (enum integ_alg)a;
	return INTEG_COUNT;
}

/* Bytes read, or -1. */
static int unhex(const char *hex, uint8_t *out, size_t size)
{
	size_t n = 0;

	if (strcmp(hex, "-") == 0)
		return 0;
	for (; hex[0] && hex[1]; hex += 2, n++) {
		char byte[3] = { hex[0], hex[1] };

		if (n == size)
			return -1;
		out[n] = (uint8_t)strtoul(byte, NULL, 16);
	}
	return (int)n;
}

static void sa_command(char *args)
{
	char dir[8], proto[8], mode[16], encr[32], integ[32], key[128], auth[160];
	char local[64], remote[64], sel_local[128], sel_remote[128];
	struct sa_params p = defaults;
	unsigned bits, esn, udp, spi;
	uint64_t seq;
	struct sa *sa;

	if (sscanf(args,
		   "%7s %7s %15s %31s %u %31s %u %u %63s %63s %127s %127s %127s %159s %x %" SCNu64,
		   dir, proto, mode, encr, &bits, integ, &esn, &udp, local, remote, sel_local,
		   sel_remote, key, auth, &spi, &seq) != 16) {
		puts("error usage");
		return;
	}
	p.dir = strcmp(dir, "in") == 0 ? SA_IN : SA_OUT;
	p.ref = (struct sa_ref){ .spi = spi, .slot = spi & ((1u << ENV_SLOT_BITS) - 1) };
	p.spi = spi;
	p.proto = strcmp(proto, "ah") == 0 ? SA_AH : SA_ESP;
	p.mode = strcmp(mode, "transport") == 0 ? SA_TRANSPORT : SA_TUNNEL;
	p.encr = encr_named(encr);
	p.integ = integ_named(integ);
	p.key_bits = (uint16_t)bits;
	p.esn = esn;
	p.udp_encap = udp;
	p.local_port = p.remote_port = 4500;
	if (p.encr == ENCR_COUNT || p.integ == INTEG_COUNT || ip_addr_parse(local, &p.local) ||
	    ip_addr_parse(remote, &p.remote) || ip_range_parse(sel_local, &p.sel.local) ||
	    ip_range_parse(sel_remote, &p.sel.remote) || unhex(key, p.key, sizeof(p.key)) < 0 ||
	    unhex(auth, p.auth, sizeof(p.auth)) < 0) {
		puts("error value");
		return;
	}
	sa = esp_env_add(&env, &p);
	if (!sa) {
		printf("error %s\n", strerror(errno));
		return;
	}
	sa->seq = seq;
	puts("ok");
}

static void default_command(const char *what, const char *value)
{
	if (strcmp(what, "df") == 0)
		defaults.df = strcmp(value, "set") == 0     ? DF_SET
			      : strcmp(value, "clear") == 0 ? DF_CLEAR
							    : DF_COPY;
	else if (strcmp(what, "flow") == 0)
		defaults.copy_flow = strcmp(value, "copy") == 0;
	else if (strcmp(value, "copy") == 0)
		defaults.copy_dscp = true;
	else
		defaults.copy_dscp = false, defaults.dscp = (uint8_t)atoi(value);
	puts("ok");
}

static struct sa *only_sa(const struct sa_entry *table)
{
	return table[1].sa;
}

static void drop_print(const uint64_t *before)
{
	static const char *const names[] = {
#define X(name, text) #name,
		DROP_REASONS(X)
#undef X
	};

	for (unsigned i = 0; i < DROP_COUNT; i++)
		if (env.lc->count.drop[i] != before[i]) {
			printf("drop %s\n", names[i]);
			return;
		}
	puts("drop nothing");
}

static void packet_print(struct rte_mbuf *pkt)
{
	static char text[2 * MAX_PACKET + 1];
	static const char digits[] = "0123456789abcdef";
	char *to = text;

	for (struct rte_mbuf *seg = pkt; seg; seg = seg->next)
		for (unsigned i = 0; i < seg->data_len; i++) {
			uint8_t b = rte_pktmbuf_mtod(seg, uint8_t *)[i];
			*to++ = digits[b >> 4];
			*to++ = digits[b & 15];
		}
	*to = 0;
	printf("pkt %s\n", text);
}

static void packet_command(bool in, unsigned l4_off, const char *flags, unsigned seg,
			   const char *hex)
{
	static uint8_t data[MAX_PACKET];
	int len = unhex(hex, data, sizeof(data));
	uint64_t before[DROP_COUNT];
	struct rte_mbuf *pkt;
	struct pkt_meta *meta;
	void *punted;
	uint16_t n;

	if (len <= 0) {
		puts("error packet");
		return;
	}
	pkt = esp_env_chain(&env, data, (uint32_t)len, seg);
	meta = pkt_meta(pkt);
	memcpy(before, env.lc->count.drop, sizeof(before));
	if (in) {
		meta->l4_off = (uint8_t)l4_off;
		meta->flags = (uint8_t)((strchr(flags, 'u') ? PKT_UDP_ENCAP : 0) |
					(strchr(flags, 'a') ? PKT_AH : 0));
		n = stage_esp_in(env.lc, &pkt, 1);
	} else {
		meta->slot = 1;
		meta->flags = strchr(flags, 'l') ? PKT_LOCAL_OUT : 0;
		n = stage_esp_out(env.lc, &pkt, 1);
	}
	if (n == 1)
		packet_print(pkt), rte_pktmbuf_free(pkt);
	else
		drop_print(before);
	while (rte_ring_dequeue(env.lc->punt, &punted) == 0)
		rte_pktmbuf_free(punted);
	if (!esp_env_no_leak(&env))
		puts("error leak");
}

static void command(char *line)
{
	char word[16], value[32];
	unsigned l4_off, seg;
	int at = 0;

	line[strcspn(line, "\n")] = 0;
	if (strncmp(line, "sa ", 3) == 0)
		sa_command(line + 3);
	else if (sscanf(line, "in %u %31s %u %n", &l4_off, value, &seg, &at) == 3 && at)
		packet_command(true, l4_off, value, seg, line + at);
	else if (sscanf(line, "out %31s %u %n", value, &seg, &at) == 2 && at)
		packet_command(false, 0, value, seg, line + at);
	else if (sscanf(line, "mtu %u", &seg) == 1 && only_sa(env.lc->sa_out))
		only_sa(env.lc->sa_out)->outer_mtu = (uint16_t)seg, puts("ok");
	else if (strcmp(line, "counters") == 0 && only_sa(env.lc->sa_in))
		printf("%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", only_sa(env.lc->sa_in)->late_drops,
		       only_sa(env.lc->sa_in)->dup_drops, only_sa(env.lc->sa_in)->icv_drops);
	else if (sscanf(line, "%15s %31s", word, value) == 2)
		default_command(word, value);
	else
		puts("error command");
	fflush(stdout);
}

int main(void)
{
	static char line[2 * MAX_PACKET + 1024];

	esp_env_init(&env, false, 255);
	while (fgets(line, sizeof(line), stdin))
		command(line);
	return esp_env_done(&env) ? 0 : 1;
}
