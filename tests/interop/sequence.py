#!/usr/bin/env python3
"""Sets the sequence numbers of a running shrike's outbound SAs (32 bits) as far as if thousands of millions of packets
had gone: so many that MARGIN more reach the soft limit, where the SA is to be replaced.

    sequence.py PID MARGIN      prints how many SAs that were

An SA is known by its limits, which stand side by side in it (soft_seq, hard_seq), and the same soft limit in seq_check,
behind the sequence number itself; up to now that must be what it has counted in packets. See struct sa in dataplane/sa.h.
"""
import os
import struct
import sys
import time

LAST = 0xffffffff  # SEQ32_LAST in dataplane/sa.c
SOFT = LAST - LAST // 4
LIMITS = struct.pack("=QQ", SOFT, LAST)
CHECK = struct.pack("=Q", SOFT)
NEAR = 1024  # all that is in one SA


def regions(pid):
    with open(f"/proc/{pid}/maps", encoding="ascii") as f:
        for line in f:
            where, mode = line.split()[:2]
            if mode.startswith("rw"):
                yield (int(n, 16) for n in where.split("-"))


def places(mem, pid):
    """Addresses of sequence numbers."""
    for start, end in regions(pid):
        try:
            data = os.pread(mem, end - start, start)
        except OSError:
            continue
        at = data.find(LIMITS)
        while at >= 0:
            check = data.rfind(CHECK, max(0, at - NEAR), at)
            if check >= 8:
                seq, packets = struct.unpack_from("=Q8xQ", data, check - 8)
                if 0 < seq < SOFT and seq - packets < 64:
                    yield start + check - 8
            at = data.find(LIMITS, at + 1)


def main():
    pid, margin = int(sys.argv[1]), int(sys.argv[2])
    mem = os.open(f"/proc/{pid}/mem", os.O_RDWR)
    found = list(places(mem, pid))
    for address in found:
        for _ in range(20):  # a worker may just be counting
            os.pwrite(mem, struct.pack("=Q", SOFT - margin), address)
            time.sleep(0.01)
            if struct.unpack("=Q", os.pread(mem, 8, address))[0] >= SOFT - margin:
                break
    print(len(found))
    return not found


if __name__ == "__main__":
    sys.exit(main())
