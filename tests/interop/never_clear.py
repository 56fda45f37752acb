#!/usr/bin/env python3
"""The hosts, the attacker and the judge of never-clear.sh. Every payload is made of a mark.

  host SITE DIR       sends from 10.SITE.K.1 to 10.OTHER.K.1 for K = 0, 1, 2: UDP of all sizes, with DF and
                      without, to die on the way or not, pings; what arrives is counted in DIR/got.SITE.
                      While DIR/burst holds a K it sends that child bursts of 500 packets.
  forge IF MAC SITE   sends clear packets from the other site's addresses to the hosts of SITE, by way of
                      the gateway with that MAC, as somebody on the wire could
  scan FILE [FROM]    prints how many frames of a pcap, from that byte on, hold the mark of the hosts, that of
                      the forger, and ESP; and the byte where the last whole frame ends
"""
import os, random, select, socket, struct, sys, time

MARK = b'PLAINTEXT-MARK->'
FORGED = b'FORGED-IN-CLEAR>'
SIZES = (20, 64, 300, 900, 1300, 1372, 1400, 1472, 1473, 2200, 5000)
IP_MTU_DISCOVER, PMTUDISC_DONT, PMTUDISC_PROBE = 10, 0, 3

def payload(mark, n):
    return (mark * (n // len(mark) + 1))[:max(n, len(mark))]

def checksum(data):
    if len(data) % 2:
        data += b'\0'
    s = sum(struct.unpack('!%dH' % (len(data) // 2), data))
    while s >> 16:
        s = (s & 0xffff) + (s >> 16)
    return ~s & 0xffff

def echo_request(n):
    data = payload(MARK, n)
    head = struct.pack('!BBHHH', 8, 0, 0, 77, 1)
    return struct.pack('!BBHHH', 8, 0, checksum(head + data), 77, 1) + data

class Child:
    """One pair of networks: a UDP socket that may fragment, one that may not, and one for pings."""
    def __init__(self, site, k):
        own, self.other = '10.%d.%d.1' % (site, k), '10.%d.%d.1' % (3 - site, k)
        self.udp, self.df = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in 'ab')
        self.udp.bind((own, 7000))
        self.df.bind((own, 7001))
        self.udp.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_DONT)
        self.df.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_PROBE)
        self.icmp = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        self.icmp.bind((own, 0))
        for s in self.sockets():
            s.setblocking(False)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        self.got = 0

    def sockets(self):
        return self.udp, self.df, self.icmp

    def send_one(self):
        kind, size = random.random(), random.choice(SIZES)
        try:
            if kind < 0.15:
                self.icmp.sendto(echo_request(min(size, 1400)), (self.other, 0))
                return
            s = self.df if kind < 0.5 and size <= 1472 else self.udp
            s.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, random.choice((64, 64, 64, 2, 1)))
            port = random.choice((7000, 7000, 500, 4500, 53))
            s.sendto(payload(MARK, size), (self.other, port))
        except OSError:
            pass # no gateway now, no buffers: the next one

    def receive(self):
        for s in (self.udp, self.df):
            try:
                while MARK in s.recv(65535):
                    self.got += 1
            except OSError:
                pass
        try:
            while self.icmp.recv(65535):
                pass
        except OSError:
            pass

def host(site, where):
    children = [Child(site, k) for k in range(3)]
    out = os.path.join(where, 'got.%d' % site)
    written = 0
    while True:
        try:
            with open(os.path.join(where, 'burst')) as f:
                flooded = children[int(f.read())]
            for _ in range(500):
                flooded.send_one()
        except (OSError, ValueError):
            pass
        for _ in range(2):
            for c in children:
                c.send_one()
        for c in children:
            c.receive()
        if time.monotonic() > written + 0.1:
            with open(out + '.new', 'w') as f:
                f.write(' '.join(str(c.got) for c in children) + '\n')
            os.rename(out + '.new', out)
            written = time.monotonic()
        time.sleep(0.02)

def forge(iface, mac, site):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    s.bind((iface, 0))
    dst, src = bytes.fromhex(mac.replace(':', '')), b'\x02\0\0\0\x66\x66'
    n = 0
    while True:
        n += 1
        k = n % 3
        addresses = socket.inet_aton('10.%d.%d.1' % (3 - site, k)), socket.inet_aton('10.%d.%d.1' % (site, k))
        if n % 2: # the same from "inside": to have it encrypted
            addresses = addresses[1], addresses[0]
        data = payload(FORGED, 100)
        udp = struct.pack('!HHHH', 7000, 7000, 8 + len(data), 0) + data
        ip = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 20 + len(udp), n & 0xffff, 0, 64, 17, 0, *addresses)
        ip = ip[:10] + struct.pack('!H', checksum(ip)) + ip[12:]
        try:
            s.send(dst + src + b'\x08\0' + ip + udp)
        except OSError:
            pass
        time.sleep(0.05)

def frames(name, start):
    """Each frame, and where it ends."""
    with open(name, 'rb') as f:
        order = '<' if f.read(4) in (b'\xd4\xc3\xb2\xa1', b'\x4d\x3c\xb2\xa1') else '>'
        f.seek(start)
        data = f.read()
    at = 0
    while at + 16 <= len(data):
        n = struct.unpack(order + 'I', data[at + 8:at + 12])[0]
        at += 16 + n
        if at <= len(data):
            yield data[at - n:at], start + at

def is_esp(f):
    return f[12:14] == b'\x08\0' and (f[23] == 50 or f[23] == 17 and f[36:38] == b'\x11\x94' and f[42:46] != bytes(4))

def scan(name, start):
    clear = forged = esp = 0
    shown = []
    for f, start in frames(name, start):
        if MARK in f: # twice the mark and a half is in any piece of a payload, but for the last bytes
            clear += 1
            shown.append(f)
        forged += FORGED in f
        esp += is_esp(f)
    print(clear, forged, esp, start)
    for f in shown[:5]:
        print('  in the clear: proto %d, %s to %s, %d bytes: %s' % (
            f[23], socket.inet_ntoa(f[26:30]), socket.inet_ntoa(f[30:34]), len(f), f[14:60].hex()), file=sys.stderr)

mode, args = sys.argv[1], sys.argv[2:]
if mode == 'host':
    host(int(args[0]), args[1])
elif mode == 'forge':
    forge(args[0], args[1], int(args[2]))
else:
    scan(args[0], int(args[1]) if args[1:] else 24)
