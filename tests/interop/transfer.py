#!/usr/bin/python3
"""Sends bytes over TCP and proves that they arrived as they were sent.

  transfer.py serve PORT                 answers every client, until killed
  transfer.py put|get HOST PORT BYTES [SOURCE]
                                         prints "BYTES SECONDS" and exits 0 when both SHA-256 agree

The bytes come from a seeded generator, so that each side knows by itself what ought to arrive."""
import hashlib
import random
import socket
import socketserver
import struct
import sys
import time

HEADER = struct.Struct("!cQQ")  # direction, bytes, seed
CHUNK = 1 << 16


def chunks(size, seed):
    source = random.Random(seed)
    while size > 0:
        n = min(size, CHUNK)
        yield source.randbytes(n)
        size -= n


def send_all(sock, size, seed):
    digest = hashlib.sha256()
    for chunk in chunks(size, seed):
        digest.update(chunk)
        sock.sendall(chunk)
    return digest.digest()


def receive_all(sock, size):
    digest = hashlib.sha256()
    while size > 0:
        data = sock.recv(min(size, CHUNK))
        if not data:
            raise ConnectionError("closed with %d bytes missing" % size)
        digest.update(data)
        size -= len(data)
    return digest.digest()


def receive_exact(sock, size):
    data = b""
    while len(data) < size:
        part = sock.recv(size - len(data))
        if not part:
            raise ConnectionError("closed early")
        data += part
    return data


class Answer(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.settimeout(60)
        way, size, seed = HEADER.unpack(receive_exact(self.request, HEADER.size))
        if way == b"p":
            self.request.sendall(receive_all(self.request, size))
        else:
            send_all(self.request, size, seed)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    address_family = socket.AF_INET6  # both families

    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


def client(way, host, port, size, source):
    seed = random.SystemRandom().getrandbits(64)
    start = time.monotonic()
    with socket.create_connection((host, port), timeout=60, source_address=(source, 0)) as sock:
        sock.sendall(HEADER.pack(way[0].encode(), size, seed))
        if way == "put":
            ours = send_all(sock, size, seed)
            theirs = receive_exact(sock, 32)
        else:
            theirs = receive_all(sock, size)
            expected = hashlib.sha256()
            for chunk in chunks(size, seed):
                expected.update(chunk)
            ours = expected.digest()
    if ours != theirs:
        sys.exit("the bytes differ")
    print("%d %.2f" % (size, time.monotonic() - start))


def main(args):
    if len(args) == 2 and args[0] == "serve":
        Server(("::", int(args[1])), Answer).serve_forever()
    elif len(args) in (4, 5) and args[0] in ("put", "get"):
        client(args[0], args[1], int(args[2]), int(args[3]), args[4] if len(args) == 5 else "")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
