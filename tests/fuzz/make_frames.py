#!/usr/bin/python3
"""Writes the first frames of corpus/fuzz_frame: one of each kind that the gateway knows.

Usage: make_frames.py DIRECTORY"""
import os, sys
from scapy.all import ARP, ICMP, IP, TCP, UDP, Dot1Q, Ether, IPOption, IPv6, Raw, fragment
from scapy.all import (ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr, IPv6ExtHdrDestOpt,
                       IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, fragment6)
from scapy.layers.ipsec import AH, ESP

wan = Ether(src='02:00:00:00:09:02', dst='02:00:00:00:09:01')
lan = Ether(src='02:00:00:00:01:07', dst='02:00:00:00:01:fe')
to_wan = IP(src='10.9.0.2', dst='10.9.0.1')
host = IP(src='10.1.0.7', dst='10.2.0.9')
frames = {
    'arp': Ether(src=wan.src, dst='ff:ff:ff:ff:ff:ff') / ARP(hwsrc=wan.src, psrc='10.9.0.2', pdst='10.9.0.1'),
    'arp-reply': wan / ARP(op=2, hwsrc=wan.src, psrc='10.9.0.254', hwdst=wan.dst, pdst='10.9.0.1'),
    'esp': wan / to_wan / ESP(spi=0x01000001, seq=1, data=bytes(60)),
    'esp-udp': wan / to_wan / UDP(sport=4500, dport=4500) / Raw(b'\1\0\0\1' + bytes(60)),
    'keepalive': wan / to_wan / UDP(sport=4500, dport=4500) / Raw(b'\xff'),
    'ike': wan / to_wan / UDP(sport=500, dport=500) / Raw(bytes(28)),
    'ike-4500': wan / to_wan / UDP(sport=4500, dport=4500) / Raw(bytes(32)),
    'ping': wan / to_wan / ICMP() / Raw(b'x' * 40),
    'tcp': lan / host / TCP(),
    'udp': lan / host / UDP(dport=53) / Raw(b'x' * 20),
    'bypass': lan / IP(src='10.1.0.7', dst='10.1.0.9') / UDP() / Raw(b'x'),
    'protected': lan / IP(src='10.1.0.7', dst='10.8.0.9') / UDP() / Raw(b'x'),
    'in-clear': wan / IP(src='10.2.0.9', dst='10.1.0.7') / UDP(),
    'ttl': lan / IP(src='10.1.0.7', dst='10.4.0.9', ttl=1) / UDP(),
    'too-big': lan / IP(src='10.1.0.7', dst='10.4.0.9', flags='DF') / UDP() / Raw(bytes(1600)),
    'big': lan / IP(src='10.1.0.7', dst='10.4.0.9') / UDP() / Raw(bytes(3000)),
    'options': lan / IP(src='10.1.0.7', dst='10.4.0.9', options=[IPOption(b'\x07\x07\x04\0\0\0\0')]) / UDP(),
    'source-route': lan / IP(src='10.1.0.7', dst='10.4.0.9', options=[IPOption(b'\x83\x07\x04\x0a\1\1\1')]) / UDP(),
    'vlan': lan / Dot1Q(vlan=5) / host / UDP(),
    'ip6': lan / IPv6() / UDP(),
}
six_us = IPv6(src='2001:db8:9::2', dst='2001:db8:9::1')
six = IPv6(src='2001:db8:1::7', dst='2001:db8:2::9')
nd = IPv6(src='2001:db8:1::7', dst='ff02::1:ff00:fe', hlim=255)
group = Ether(src=lan.src, dst='33:33:ff:00:00:fe')
frames |= {
    'ah': wan / to_wan / AH(spi=0x01000001, seq=1, icv=bytes(12)) / Raw(bytes(40)),
    'six-ns': group / nd / ICMPv6ND_NS(tgt='2001:db8:1::fe') / ICMPv6NDOptSrcLLAddr(lladdr=lan.src),
    'six-probe': group / IPv6(src='::', dst='ff02::1:ff00:fe', hlim=255) / ICMPv6ND_NS(tgt='2001:db8:1::fe'),
    'six-na': lan / IPv6(src='2001:db8:1::7', dst='2001:db8:1::fe', hlim=255) / ICMPv6ND_NA(tgt='2001:db8:1::7', S=1) / ICMPv6NDOptDstLLAddr(lladdr=lan.src),
    'six-ping': wan / IPv6(src='2001:db8:9::2', dst='2001:db8:9::1') / ICMPv6EchoRequest(data=b'x' * 40),
    'six-ike': wan / six_us / UDP(sport=500, dport=500) / Raw(bytes(28)),
    'six-ike-4500': wan / six_us / UDP(sport=4500, dport=4500) / Raw(bytes(32)),
    'six-esp': wan / six_us / ESP(spi=0x01000001, seq=1, data=bytes(60)),
    'six-esp-udp': wan / six_us / UDP(sport=4500, dport=4500) / Raw(b'\1\0\0\1' + bytes(60)),
    'six-ah': wan / six_us / IPv6ExtHdrDestOpt() / AH(spi=0x01000001, seq=1, icv=bytes(12)) / Raw(bytes(40)),
    'six-transit': lan / six / UDP(dport=53) / Raw(b'x' * 20),
    'six-ttl': lan / IPv6(src='2001:db8:1::7', dst='2001:db8:2:1::9', hlim=1) / UDP(),
    'six-big': lan / IPv6(src='2001:db8:1::7', dst='2001:db8:2:1::9') / UDP() / Raw(bytes(1600)),
    'six-options': lan / six / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / UDP(),
    'six-routing': lan / six / IPv6ExtHdrRouting(addresses=['2001:db8:1::1']) / UDP(),
}
for i, f in enumerate(fragment6(six_us / IPv6ExtHdrFragment(id=9) / UDP(sport=500, dport=500) / Raw(bytes(2900)), 1280)):
    frames['six-ike-piece-%d' % i] = wan / f
for i, f in enumerate(fragment(to_wan / UDP(sport=500, dport=500) / Raw(bytes(900)), 400)):
    frames['ike-piece-%d' % i] = wan / f
    frames['transit-piece-%d' % i] = lan / IP(src='10.1.0.7', dst='10.5.0.9', flags=f.flags, frag=f.frag, proto=17) / Raw(bytes(f.payload))
for name, f in frames.items():
    port = f.dst in (lan.dst, group.dst)
    for bits in (0, 2, 4):
        with open(os.path.join(sys.argv[1], '%s-%d' % (name, bits)), 'wb') as out:
            out.write(bytes([bits | port]) + bytes(f))
