#!/usr/bin/python3
"""Pings one host with every size of a range, each until it is answered (three times at most), and compares
what comes back byte for byte.

  sweep.py FROM TO FIRST LAST [STEP] [df]

Sizes are those of the data behind the ICMP header. With df no packet may be cut on its way: then there must
be one size up to which all are answered and above which none leaves. Prints one line; exit code 0: every size
was answered, or with df: up to the limit, which is printed."""
import errno
import os
import select
import socket
import struct
import sys
import time

WINDOW = 24
IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, DONT, DO = 10, 23, 0, 2
IP_RECVERR = 11


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    total = (total & 0xffff) + (total >> 16)
    return ~(total + (total >> 16)) & 0xffff


class Pinger:
    def __init__(self, source, target, df):
        self.six = ":" in target
        self.target, self.df = target, df
        self.ident = os.getpid() & 0xffff
        family = socket.AF_INET6 if self.six else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_RAW, 58 if self.six else 1)
        self.sock.bind((source, 0))
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        level, option = (41, IPV6_MTU_DISCOVER) if self.six else (0, IP_MTU_DISCOVER)
        self.sock.setsockopt(level, option, DO if df else DONT)

    def send(self, size):
        """False: the kernel knows that it is too large."""
        data = bytes((size + i * 7) & 0xff for i in range(size))
        head = struct.pack("!BBHHH", 128 if self.six else 8, 0, 0, self.ident, size)
        if not self.six:  # the kernel computes that of ICMPv6
            head = head[:2] + struct.pack("!H", checksum(head + data)) + head[4:]
        try:
            self.sock.sendto(head + data, (self.target, 0))
        except OSError as e:
            if e.errno != errno.EMSGSIZE:
                raise
            return False
        return True

    def receive(self, timeout):
        """The sizes that were answered rightly."""
        while select.select([self.sock], [], [], timeout)[0]:
            timeout = 0
            pkt = self.sock.recv(65536)
            icmp = pkt if self.six else pkt[(pkt[0] & 15) * 4:]
            kind, _, _, ident, size = struct.unpack("!BBHHH", icmp[:8])
            if kind != (129 if self.six else 0) or ident != self.ident:
                continue
            if icmp[8:] != bytes((size + i * 7) & 0xff for i in range(size)):
                sys.exit("%d bytes came back changed" % size)
            yield size


def run(pinger, sizes):
    """(answered, refused)"""
    answered, refused = set(), set()
    for _ in range(3):
        waiting = set()
        for size in [s for s in sizes if s not in answered and s not in refused]:
            if not pinger.send(size):
                refused.add(size)
                continue
            waiting.add(size)
            deadline = time.monotonic() + 2
            while len(waiting) >= WINDOW and time.monotonic() < deadline:
                for got in pinger.receive(0.05):
                    answered.add(got)
                    waiting.discard(got)
            if len(waiting) >= WINDOW:
                waiting.clear()
        deadline = time.monotonic() + 2
        while waiting and time.monotonic() < deadline:
            for got in pinger.receive(0.1):
                answered.add(got)
                waiting.discard(got)
    return answered, refused


def main(args):
    df = args[-1] == "df"
    args = args[:-1] if df else args
    first, last = int(args[2]), int(args[3])
    step = int(args[4]) if len(args) > 4 else 1
    sizes = list(range(first, last + 1, step))
    answered, refused = run(Pinger(args[0], args[1], df), sizes)
    missing = [s for s in sizes if s not in answered and s not in refused]
    largest = max(answered, default=0)
    if df and not missing and answered and (not refused or largest < min(refused)):
        print("%d sizes answered, up to %d; %d larger ones refused" % (len(answered), largest, len(refused)))
    elif not df and not missing and not refused:
        print("all %d sizes from %d to %d answered" % (len(answered), first, last))
    else:
        sys.exit("%d answered, %d refused, %d lost: %s" % (len(answered), len(refused), len(missing), missing[:12]))


main(sys.argv[1:])
