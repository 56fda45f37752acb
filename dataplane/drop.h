/* Every reason for which the packet path drops a packet: X(name, sentence). The name is the key in
 * the JSON; append only, so that dashboards keep working. */
#ifndef SHRIKE_DATAPLANE_DROP_H
#define SHRIKE_DATAPLANE_DROP_H

#define DROP_REASONS(X)                                                                            \
	X(eth_short, "frame shorter than its headers")                                             \
	X(eth_type, "Ethernet type that we do not route")                                          \
	X(eth_dst, "unicast frame for another station")                                            \
	X(ip_malformed, "IP header malformed, truncated or with a bad checksum")                   \
	X(ip_options, "IPv4 options that we do not forward (source routing)")                      \
	X(ip_fragment, "fragment of an outer packet")                                              \
	X(ip_martian, "source or destination address that must not appear on a wire")              \
	X(ip_ttl, "TTL expired in transit")                                                        \
	X(ip_not_ours, "packet for this host that nothing here listens for")                       \
	X(ip6_unsupported, "IPv6 packet on a path without IPv6")                                   \
	X(esp_short, "ESP packet shorter than its fixed parts")                                    \
	X(esp_no_sa, "ESP packet whose SPI names no SA")                                           \
	X(esp_addr, "ESP packet from or to an address that is not the SA's")                       \
	X(esp_encap, "ESP packet with, or without, UDP encapsulation against the SA")              \
	X(esp_align, "ciphertext length not a multiple of the block")                              \
	X(esp_icv, "integrity check failed")                                                       \
	X(esp_padding, "ESP trailer malformed after a good integrity check")                       \
	X(esp_next_header, "ESP next header does not fit the SA's mode")                           \
	X(esp_dummy, "ESP dummy packet (next header 59)")                                          \
	X(replay_old, "sequence number left of the replay window")                                 \
	X(replay_dup, "sequence number seen before")                                               \
	X(replay_zero, "sequence number zero")                                                     \
	X(sa_expired, "SA past its hard limit")                                                    \
	X(sa_seq_exhausted, "outbound sequence numbers used up")                                   \
	X(sel_mismatch, "inner packet outside of the SA's selectors")                              \
	X(inner_malformed, "inner packet malformed")                                               \
	X(ecn_invalid, "inner not ECN-capable under an outer congestion mark (RFC 6040)")          \
	X(spd_discard, "policy says discard, or no policy matched")                                \
	X(spd_no_sa, "policy protects, and there is no SA yet")                                    \
	X(spd_in_clear, "clear packet that a policy says must arrive protected")                   \
	X(too_big, "larger than the way out allows, and DF is set")                                \
	X(no_route, "no route")                                                                    \
	X(no_neighbour, "next hop not resolved")                                                   \
	X(no_headroom, "mbuf without room for the headers")                                        \
	X(no_mbuf, "no mbuf left")                                                                 \
	X(crypto_error, "crypto library refused the job")                                          \
	X(handover_full, "owner lcore's hand-over ring full")                                      \
	X(punt_full, "punt ring full")                                                             \
	X(punt_policed, "too many packets for the control thread")                                 \
	X(tx_full, "transmit queue full")                                                          \
	X(natt_malformed, "UDP 4500 datagram that is neither ESP, IKE nor a keepalive")            \
	X(arp_malformed, "ARP packet malformed, or not of Ethernet and IPv4")                      \
	X(ip6_extension, "IPv6 extension headers malformed, too many, or not all in sight")        \
	X(ip6_routing, "IPv6 routing header that wants to steer the packet")                       \
	X(ip6_multicast, "IPv6 multicast that nothing here listens for")                           \
	X(nd_malformed, "Neighbour Discovery malformed, or not from the link (RFC 4861)")          \
	X(source_check, "source address that does not route back through the port of arrival")     \
	X(transport_fragment, "fragment, which a transport mode SA cannot carry")                  \
	X(ah_malformed, "AH of a wrong length, or behind headers that it cannot cover")            \
	X(frag_malformed, "fragment empty, too small, uneven, or beyond 64 KB")                    \
	X(frag_overlap, "fragments of one packet that overlap, or one twice")                      \
	X(frag_limit, "fragments given up for newer ones, or too many of one packet")              \
	X(frag_timeout, "fragments whose other pieces did not come in time")                       \
	X(icmp_unbelieved, "ICMP about a packet that this gateway did not send")                   \
	X(port_down, "the way out is a port without a link")                                       \
	X(vlan_unknown, "tag of a VLAN that is no port here, or two tags")                         \
	X(ike_stranger, "more IKE from unknown senders than control is asked to look at")

enum drop_reason {
#define X(name, text) DROP_##name,
	DROP_REASONS(X)
#undef X
	DROP_COUNT
};

#endif
