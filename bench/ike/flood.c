/* shrike_flood: first messages of Main Mode from forged sources, at a rate, for a time, out of one
 * network interface. The message is one that the engine itself would send; cookies and sources
 * differ from packet to packet. Counts what comes back to those sources. For laboratories: it sends
 * to one gateway on the link, and never more than --count. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bytes.h"
#include "node.h"
#include "secret.h"

#define ETH_LEN   14
#define IP_LEN    20
#define UDP_LEN   8
#define HEADERS   (ETH_LEN + IP_LEN + UDP_LEN)
#define BATCH     64
#define FRAME_MAX 1514
#define MOST      10000000ull /* packets of a run, whatever is asked for */

struct options {
	const char *interface;
	uint8_t gateway_mac[6];
	uint32_t gateway, net, mask;
	unsigned per_second;
	double seconds;
	uint64_t count;
	bool minimal; /* no vendor IDs: the shortest message that is still answered */
};

struct flood {
	struct options o;
	int out, in;
	uint8_t mac[6];
	uint8_t frame[BATCH][FRAME_MAX];
	size_t len;
	uint64_t rng, sent, bytes_out, answers, bytes_in, refused;
};

static uint64_t next_random(uint64_t *s)
{
	uint64_t z = (*s += 0x9e3779b97f4a7c15ull);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static uint32_t address(const char *text)
{
	struct in_addr a;

	if (inet_pton(AF_INET, text, &a) != 1) {
		fprintf(stderr, "%s is no IPv4 address\n", text);
		exit(2);
	}
	return ntohl(a.s_addr);
}

/* What an initiator of ours would begin with. */
static size_t message_make(const struct options *o, uint8_t *out)
{
	struct peer_plan plan = { .ike_proposal = "aes256-aes128-sha256-sha1-modp2048-x25519",
				  .esp_proposal = "aes128gcm16",
				  .gateway = ip_addr_v4(o->gateway),
				  .children = 1 };
	struct ike_peer_cfg cfg;
	struct message m;
	struct node node;
	size_t len;

	if (o->minimal)
		plan.ike_proposal = "aes256-sha256-modp2048";
	if (node_init(&node, NULL, NULL) != 0 || peer_cfg_make(&plan, 0, false, &cfg) != 0 ||
	    ike_peer_set(node.ike, &cfg) != 0 || ike_up(node.ike, "p0") != 0)
		abort();
	peer_cfg_done(&cfg);
	node_settle(&node);
	if (!messages_get(&node.out, &m) || m.len > FRAME_MAX - HEADERS)
		abort();
	len = m.len;
	memcpy(out, m.data, len);
	free(m.data);
	node_free(&node);
	if (o->minimal) { /* header and SA payload alone */
		len = 28u + get_u16(out + 30);
		out[28] = 0;
		put_u32(out + 24, (uint32_t)len);
	}
	return len;
}

static uint16_t ip_sum(const uint8_t *ip)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < IP_LEN; i += 2)
		sum += get_u16(ip + i);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t) ~(sum + (sum >> 16));
}

static void frames_prepare(struct flood *f)
{
	for (unsigned i = 0; i < BATCH; i++) {
		uint8_t *e = f->frame[i], *ip = e + ETH_LEN, *udp = ip + IP_LEN;
		size_t len = message_make(&f->o, e + HEADERS);

		memcpy(e, f->o.gateway_mac, 6);
		memcpy(e + 6, f->mac, 6);
		put_u16(e + 12, ETHERTYPE_IP);
		ip[0] = 0x45;
		put_u16(ip + 2, (uint16_t)(IP_LEN + UDP_LEN + len));
		ip[8] = 64;
		ip[9] = IPPROTO_UDP;
		put_u32(ip + 16, f->o.gateway);
		put_u16(udp, 500);
		put_u16(udp + 2, 500);
		put_u16(udp + 4, (uint16_t)(UDP_LEN + len));
		f->len = HEADERS + len;
	}
}

static void frame_forge(struct flood *f, uint8_t *e)
{
	uint64_t r = next_random(&f->rng);
	uint8_t *ip = e + ETH_LEN, *isakmp = e + HEADERS;

	put_u32(ip + 12, f->o.net | ((uint32_t)r & ~f->o.mask));
	put_u16(ip + 10, 0);
	put_u16(ip + 10, ip_sum(ip));
	r = next_random(&f->rng) | 1;
	memcpy(isakmp, &r, 8);
}

static void batch_send(struct flood *f, unsigned n)
{
	struct mmsghdr m[BATCH] = { 0 };
	struct iovec v[BATCH];
	int sent;

	for (unsigned i = 0; i < n; i++) {
		frame_forge(f, f->frame[i]);
		v[i] = (struct iovec){ f->frame[i], f->len };
		m[i].msg_hdr.msg_iov = &v[i];
		m[i].msg_hdr.msg_iovlen = 1;
	}
	sent = sendmmsg(f->out, m, n, 0);
	if (sent < 0)
		sent = 0;
	f->sent += (unsigned)sent;
	f->bytes_out += (unsigned)sent * (f->len - ETH_LEN);
	f->refused += n - (unsigned)sent;
}

static void answers_count(struct flood *f)
{
	uint8_t e[FRAME_MAX];
	ssize_t n;

	while ((n = recv(f->in, e, sizeof(e), MSG_DONTWAIT)) > 0) {
		if (n < HEADERS || get_u16(e + 12) != ETHERTYPE_IP ||
		    get_u32(e + ETH_LEN + 12) != f->o.gateway ||
		    (get_u32(e + ETH_LEN + 16) & f->o.mask) != f->o.net)
			continue;
		f->answers++;
		f->bytes_in += get_u16(e + ETH_LEN + 2);
	}
}

static int socket_open(const struct flood *f, int protocol)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
				  .sll_protocol = htons((uint16_t)protocol),
				  .sll_ifindex = (int)if_nametoindex(f->o.interface) };
	int fd = socket(AF_PACKET, SOCK_RAW, htons((uint16_t)protocol)), one = 1, size = 8 << 20;

	/* past the queues, and past whoever else listens on this interface */
	setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0) {
		perror(f->o.interface);
		exit(1);
	}
	return fd;
}

static double run(struct flood *f)
{
	uint64_t start = node_clock_us(), now = start, most = f->o.count < MOST ? f->o.count : MOST;
	uint64_t end = start + (uint64_t)(f->o.seconds * 1e6);

	while (now < end && f->sent < most) {
		double due = (double)(now - start) / 1e6 * f->o.per_second - (double)f->sent;
		unsigned n = due < 1 ? 0 : due < BATCH ? (unsigned)due : BATCH;
		if (n)
			batch_send(f, n);
		if (due < BATCH) {
			struct timespec nap = { .tv_nsec = 200000 };
			answers_count(f);
			nanosleep(&nap, NULL);
		}
		now = node_clock_us();
	}
	double seconds = (double)(node_clock_us() - start) / 1e6;
	usleep(200000);
	answers_count(f);
	return seconds;
}

static void usage(FILE *to)
{
	fputs("Usage: shrike_flood --interface IF --gateway ADDR --mac MAC [options]\n"
	      "  --sources NET/LEN   forged sources (10.128.0.0/9)\n"
	      "  --per-second N      packets (100000)\n"
	      "  --seconds S         how long (30)\n"
	      "  --count N           at most so many packets (and never more than ten million)\n"
	      "  --minimal           messages without vendor IDs\n",
	      to);
}

static void sources_read(struct options *o, char *text)
{
	char *slash = strchr(text, '/');
	int len = slash ? atoi(slash + 1) : 32;

	if (slash)
		*slash = '\0';
	o->net = address(text);
	o->mask = len <= 0 ? 0 : len >= 32 ? UINT32_MAX : ~(UINT32_MAX >> len);
}

static struct options options_read(int argc, char **argv)
{
	static const struct option longs[] = { { "interface", required_argument, NULL, 'i' },
					       { "gateway", required_argument, NULL, 'g' },
					       { "mac", required_argument, NULL, 'm' },
					       { "sources", required_argument, NULL, 's' },
					       { "per-second", required_argument, NULL, 'p' },
					       { "seconds", required_argument, NULL, 't' },
					       { "count", required_argument, NULL, 'c' },
					       { "minimal", no_argument, NULL, 'M' },
					       { "help", no_argument, NULL, 'h' },
					       { 0 } };
	struct options o = { .net = 0x0a800000,
			     .mask = 0xff800000,
			     .per_second = 100000,
			     .seconds = 30,
			     .count = MOST };
	uint8_t *mac = o.gateway_mac;
	int c;

	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (c == 'i')
			o.interface = optarg;
		else if (c == 'g')
			o.gateway = address(optarg);
		else if (c == 'm' && sscanf(optarg, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", mac, mac + 1,
					    mac + 2, mac + 3, mac + 4, mac + 5) != 6)
			exit(2);
		else if (c == 's')
			sources_read(&o, optarg);
		else if (c == 'p')
			o.per_second = (unsigned)atoi(optarg);
		else if (c == 't')
			o.seconds = atof(optarg);
		else if (c == 'c')
			o.count = strtoull(optarg, NULL, 10);
		else if (c == 'M')
			o.minimal = true;
		else if (c == 'h' || c == '?') {
			usage(c == 'h' ? stdout : stderr);
			exit(c == 'h' ? 0 : 2);
		}
	}
	if (!o.interface || !o.gateway) {
		usage(stderr);
		exit(2);
	}
	return o;
}

int main(int argc, char **argv)
{
	static struct flood f;
	struct ifreq ifr = { 0 };

	f.o = options_read(argc, argv);
	secret_init(8 << 20);
	f.rng = node_clock_us();
	f.out = socket_open(&f, 0);
	f.in = socket_open(&f, ETH_P_IP);
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", f.o.interface);
	if (ioctl(f.out, SIOCGIFHWADDR, &ifr) != 0) {
		perror(f.o.interface);
		return 1;
	}
	memcpy(f.mac, ifr.ifr_hwaddr.sa_data, 6);
	frames_prepare(&f);
	double seconds = run(&f);
	printf("{\"sent\":%llu,\"seconds\":%.3f,\"per_second\":%.0f,\"not_taken\":%llu,\"bytes_"
	       "out\":%llu,"
	       "\"answers\":%llu,\"bytes_in\":%llu,\"amplification\":%.4f}\n",
	       (unsigned long long)f.sent, seconds, (double)f.sent / seconds,
	       (unsigned long long)f.refused, (unsigned long long)f.bytes_out,
	       (unsigned long long)f.answers, (unsigned long long)f.bytes_in,
	       f.bytes_out ? (double)f.bytes_in / (double)f.bytes_out : 0.0);
	close(f.out);
	close(f.in);
	return 0;
}
