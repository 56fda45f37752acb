#!/usr/bin/env python3
"""relay.py IF1 IF2 STATS: passes every Ethernet frame between two interfaces, but for what goes wrong.

  --loss P       drops P percent of the IKE packets (UDP 500, and 4500 with the non-ESP marker)
  --jitter MS    delays each IKE packet by up to MS milliseconds at random, so that they overtake each other
  --twice P      sends P percent of the IKE packets twice
  --no-fragments drops all fragments of IPv4 packets, as many firewalls do
  --seed N       of the random numbers

SIGUSR1 ends and begins all that. At SIGTERM one line goes to STATS: what was passed, lost, doubled and overtaken. (This stands in for "tc netem",
which many kernels do not have.)"""
import argparse
import heapq
import random
import select
import signal
import socket
import struct
import time

ETH_P_ALL = 3
OUTGOING = 4


def ipv4(frame):
    """The IPv4 packet in a frame, or None."""
    return frame[14:] if frame[12:14] == b"\x08\x00" and len(frame) >= 34 else None


def is_fragment(packet):
    return struct.unpack("!H", packet[6:8])[0] & 0x3fff != 0


def is_ike(packet):
    start = (packet[0] & 15) * 4
    if packet[9] != 17 or is_fragment(packet) or len(packet) < start + 12:
        return False
    source, to = struct.unpack("!HH", packet[start:start + 4])
    return 500 in (source, to) or (4500 in (source, to) and packet[start + 8:start + 12] == bytes(4))


class Relay:
    def __init__(self, options):
        self.options = options
        self.rng = random.Random(options.seed)
        self.sockets = []
        for name in options.interfaces:
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            s.bind((name, 0))
            self.sockets.append(s)
        self.calm = False
        self.queue, self.order, self.latest = [], 0, [0, 0]
        self.counts = dict.fromkeys(("frames", "ike", "lost", "twice", "overtaken", "fragments_dropped"), 0)

    def copies(self, packet):
        """How many copies of the packet go on, and whether it may be delayed."""
        o = self.options
        if packet is None or self.calm:
            return 1, False
        if o.no_fragments and is_fragment(packet):
            self.counts["fragments_dropped"] += 1
            return 0, False
        if not is_ike(packet):
            return 1, False
        self.counts["ike"] += 1
        if self.rng.random() * 100 < o.loss:
            self.counts["lost"] += 1
            return 0, True
        if self.rng.random() * 100 < o.twice:
            self.counts["twice"] += 1
            return 2, True
        return 1, True

    def take(self, side):
        frame, address = self.sockets[side].recvfrom(65536)
        if address[2] == OUTGOING:
            return
        self.counts["frames"] += 1
        n, late = self.copies(ipv4(frame))
        for _ in range(n):
            self.order += 1
            delay = self.rng.random() * self.options.jitter / 1000 if late else 0
            heapq.heappush(self.queue, (time.monotonic() + delay, self.order, 1 - side, frame))

    def send_due(self):
        """Sends what is due; returns seconds until the next is."""
        while self.queue and self.queue[0][0] <= time.monotonic():
            _, order, side, frame = heapq.heappop(self.queue)
            self.counts["overtaken"] += order < self.latest[side]
            self.latest[side] = max(self.latest[side], order)
            try:
                self.sockets[side].send(frame)
            except OSError:
                pass  # longer than the interface takes
        return self.queue[0][0] - time.monotonic() if self.queue else 1

    def run(self):
        while True:
            ready, _, _ = select.select(self.sockets, [], [], max(0, self.send_due()))
            for s in ready:
                self.take(self.sockets.index(s))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("interfaces", nargs=2)
    p.add_argument("stats")
    p.add_argument("--loss", type=float, default=0)
    p.add_argument("--twice", type=float, default=0)
    p.add_argument("--jitter", type=float, default=0)
    p.add_argument("--no-fragments", action="store_true")
    p.add_argument("--seed", type=int, default=1)
    options = p.parse_args()
    relay = Relay(options)

    def end(*_):
        raise SystemExit

    def toggle(*_):
        relay.calm = not relay.calm

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGUSR1, toggle)
    try:
        relay.run()
    finally:
        with open(options.stats, "w", encoding="ascii") as f:
            f.write(" ".join(f"{k}={v}" for k, v in relay.counts.items()) + "\n")


if __name__ == "__main__":
    main()
