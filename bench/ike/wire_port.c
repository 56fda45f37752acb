#include "wire_port.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bytes.h"

#define ETH_LEN   14
#define IP_LEN    20
#define UDP_LEN   8
#define ARP_LEN   28
#define BUFFER    (16 << 20) /* of the socket */
#define ASK_TRIES 30
#define ASK_MS    100
#define FRAME_MAX 9000

struct wire_port {
	int fd;
	uint32_t gateway, own;
	uint8_t mac[6], gateway_mac[6];
	bool found; /* the gateway's station */
	uint16_t ip_id;
	uint8_t in[FRAME_MAX], out[FRAME_MAX];
};

int wire_fd(const struct wire_port *w)
{
	return w->fd;
}

static uint16_t ip_sum(const uint8_t *ip)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < IP_LEN; i += 2)
		sum += get_u16(ip + i);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t) ~(sum + (sum >> 16));
}

/* ---------------------------------------------------------------------------------- ARP ----- */

static void arp_write(struct wire_port *w, uint16_t op, const uint8_t *to, uint32_t from,
		      uint32_t target)
{
	uint8_t *f = w->out, *arp = f + ETH_LEN;

	memcpy(f, to, 6);
	memcpy(f + 6, w->mac, 6);
	put_u16(f + 12, ETHERTYPE_ARP);
	put_u16(arp, 1);
	put_u16(arp + 2, ETHERTYPE_IP);
	arp[4] = 6;
	arp[5] = 4;
	put_u16(arp + 6, op);
	memcpy(arp + 8, w->mac, 6);
	put_u32(arp + 14, from);
	memcpy(arp + 18, to, 6);
	put_u32(arp + 24, target);
	if (send(w->fd, f, ETH_LEN + ARP_LEN, 0) < 0)
		perror("ARP");
}

static void arp_take(struct wire_port *w, const uint8_t *arp, size_t len)
{
	uint32_t sender, target;

	if (len < ARP_LEN)
		return;
	sender = get_u32(arp + 14);
	target = get_u32(arp + 24);
	if (sender == w->gateway) {
		memcpy(w->gateway_mac, arp + 8, 6);
		w->found = true;
	}
	if (get_u16(arp + 6) == 1 && target >> 24 == 10 && target != w->gateway && target != sender)
		arp_write(w, 2, arp + 8, target, sender);
}

static bool gateway_find(struct wire_port *w)
{
	static const uint8_t all[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	struct pollfd fd = { .fd = w->fd, .events = POLLIN };
	struct ike_path path;
	const uint8_t *msg;
	size_t len;

	for (unsigned i = 0; i < ASK_TRIES && !w->found; i++) {
		arp_write(w, 1, all, w->own, w->gateway);
		poll(&fd, 1, ASK_MS);
		while (!w->found && wire_receive(w, &path, &msg, &len))
			;
	}
	return w->found;
}

/* ---------------------------------------------------------------------------- open, close --- */

static bool bind_to(struct wire_port *w, const char *interface)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	struct ifreq ifr = { 0 };
	int size = BUFFER;

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", interface);
	if (ioctl(w->fd, SIOCGIFHWADDR, &ifr) != 0)
		return false;
	memcpy(w->mac, ifr.ifr_hwaddr.sa_data, 6);
	at.sll_ifindex = (int)if_nametoindex(interface);
	setsockopt(w->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	setsockopt(w->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	return bind(w->fd, (struct sockaddr *)&at, sizeof(at)) == 0;
}

struct wire_port *wire_open(const char *interface, uint32_t gateway, uint32_t own)
{
	struct wire_port *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->gateway = gateway;
	w->own = own;
	w->fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(ETH_P_ALL));
	if (w->fd < 0 || !bind_to(w, interface)) {
		perror(interface);
		wire_close(w);
		return NULL;
	}
	if (!gateway_find(w)) {
		fprintf(stderr, "%s: the gateway does not answer\n", interface);
		wire_close(w);
		return NULL;
	}
	return w;
}

void wire_close(struct wire_port *w)
{
	if (!w)
		return;
	if (w->fd >= 0)
		close(w->fd);
	free(w);
}

/* ----------------------------------------------------------------------------- datagrams ---- */

void wire_send(struct wire_port *w, const struct ike_path *path, const uint8_t *msg, size_t len)
{
	size_t marker = path->remote_port == 4500 ? 4 : 0, udp_len = UDP_LEN + marker + len;
	uint8_t *f = w->out, *ip = f + ETH_LEN, *udp = ip + IP_LEN;

	if (ETH_LEN + IP_LEN + udp_len > FRAME_MAX)
		return;
	memcpy(f, w->gateway_mac, 6);
	memcpy(f + 6, w->mac, 6);
	put_u16(f + 12, ETHERTYPE_IP);
	memset(ip, 0, IP_LEN + UDP_LEN + marker);
	ip[0] = 0x45;
	put_u16(ip + 2, (uint16_t)(IP_LEN + udp_len));
	put_u16(ip + 4, ++w->ip_id);
	ip[8] = 64;
	ip[9] = IPPROTO_UDP;
	put_u32(ip + 12, ip_addr_to_v4(&path->local));
	put_u32(ip + 16, ip_addr_to_v4(&path->remote));
	put_u16(ip + 10, ip_sum(ip));
	put_u16(udp, path->local_port);
	put_u16(udp + 2, path->remote_port);
	put_u16(udp + 4, (uint16_t)udp_len); /* no checksum: IPv4 allows it */
	memcpy(udp + UDP_LEN + marker, msg, len);
	if (send(w->fd, f, ETH_LEN + IP_LEN + udp_len, 0) < 0)
		return; /* lost */
}

static bool udp_read(uint8_t *ip, size_t len, struct ike_path *path, const uint8_t **msg,
		     size_t *msg_len)
{
	uint8_t *udp = ip + IP_LEN;
	size_t udp_len;

	if (len < IP_LEN + UDP_LEN || ip[0] != 0x45 || ip[9] != IPPROTO_UDP ||
	    (get_u16(ip + 6) & 0x3fff))
		return false;
	udp_len = get_u16(udp + 4);
	*path = (struct ike_path){ .local = ip_addr_v4(get_u32(ip + 16)),
				   .remote = ip_addr_v4(get_u32(ip + 12)),
				   .local_port = get_u16(udp + 2),
				   .remote_port = get_u16(udp) };
	if (udp_len < UDP_LEN || udp_len > len - IP_LEN)
		return false;
	*msg = udp + UDP_LEN;
	*msg_len = udp_len - UDP_LEN;
	if (path->local_port == 500)
		return true;
	if (path->local_port != 4500 || *msg_len < 4 || get_u32(*msg) != 0)
		return false;
	*msg += 4;
	*msg_len -= 4;
	return true;
}

bool wire_receive(struct wire_port *w, struct ike_path *path, const uint8_t **msg, size_t *len)
{
	struct sockaddr_ll from;
	socklen_t from_len = sizeof(from);
	ssize_t n;

	while ((n = recvfrom(w->fd, w->in, sizeof(w->in), MSG_DONTWAIT, (struct sockaddr *)&from,
			     &from_len)) > 0) {
		from_len = sizeof(from);
		if (n < ETH_LEN || from.sll_pkttype == PACKET_OUTGOING)
			continue;
		if (get_u16(w->in + 12) == ETHERTYPE_ARP)
			arp_take(w, w->in + ETH_LEN, (size_t)n - ETH_LEN);
		else if (get_u16(w->in + 12) == ETHERTYPE_IP &&
			 udp_read(w->in + ETH_LEN, (size_t)n - ETH_LEN, path, msg, len))
			return true;
	}
	return false;
}
