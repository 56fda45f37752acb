#!/usr/bin/python3
"""The cryptographic packet path against encoders and decoders that are not ours: every algorithm x mode x
families x encapsulation x ESN, both ways. Prints the table, then the cases that need more than a cell.

Usage: esp_matrix.py ESP_PIPE [--only TEXT]

A cell is one character: s = scapy, r = esp_reference.py (where scapy cannot, see there), X = wrong.
Each cell: what the stage makes is opened by the other side and is the packet that went in, with sound outer
headers; what the other side makes is opened by the stage, likewise. Half of the cells do it once more with a
packet of several mbufs."""
import ipaddress
import os
import random
import struct
import subprocess
import sys
import warnings

warnings.filterwarnings("ignore")
import logging  # noqa: E402

logging.getLogger("scapy").setLevel(logging.ERROR)
from cryptography.hazmat.primitives import hashes  # noqa: E402
from cryptography.hazmat.primitives.hmac import HMAC  # noqa: E402
from scapy.layers.inet import IP, UDP  # noqa: E402
from scapy.layers.inet6 import (  # noqa: E402
    HBHOptUnknown, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop, PadN)
from scapy.layers import ipsec  # noqa: E402
from scapy.layers.inet import IPOption  # noqa: E402

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import esp_reference as ref  # noqa: E402

ipsec.AUTH_ALGOS["SHA2-256-96"] = ipsec.AuthAlgo("SHA2-256-96", mac=HMAC, digestmod=hashes.SHA256, icv_size=12)
SCAPY_ENCR = {"aesgcm16": "AES-GCM", "aes": "AES-CBC", "aesctr": "AES-CTR", "3des": "3DES", "des": "DES",
              "null": "NULL"}
SCAPY_INTEG = {"md5": "HMAC-MD5-96", "sha1": "HMAC-SHA1-96", "sha256": "SHA2-256-128", "sha384": "SHA2-384-192",
               "sha512": "SHA2-512-256", "sha256_96": "SHA2-256-96", "none": None}
INTEGS = ["md5", "sha1", "sha256_96", "sha256", "sha384", "sha512"]
GATE = {4: ("10.9.0.1", "10.9.0.2"), 6: ("2001:db8:9::1", "2001:db8:9::2")}  # the stage's side, the peer's
NET = {4: ("10.1.0.0/16", "10.2.0.0/16"), 6: ("2001:db8:1::/48", "2001:db8:2::/48")}
HOST = {4: ("10.1.0.5", "10.2.0.9"), 6: ("2001:db8:1::5", "2001:db8:2::9")}
SPI = 0xa5000001
failures = 0


class Pipe:
    def __init__(self, program):
        self.p = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, line):
        self.p.stdin.write(line + "\n")
        self.p.stdin.flush()
        answer = self.p.stdout.readline().strip()
        if answer.startswith("error") or not answer:
            raise RuntimeError("%s -> %s" % (line[:200], answer))
        return answer

    def packet(self, line):
        """Bytes, or the name of the drop reason."""
        kind, value = self.ask(line).split(" ", 1)
        return bytes.fromhex(value) if kind == "pkt" else value

    def out(self, data, seg=0, transit=False):
        return self.packet("out %s %d %s" % ("t" if transit else "l", seg, data.hex()))

    def into(self, data, seg=0):
        v6 = data[0] >> 4 == 6
        at, proto = (40, data[6]) if v6 else ((data[0] & 15) * 4, data[9])
        while v6 and proto in (0, 43, 60):
            proto, at = data[at], at + 8 + data[at + 1] * 8
        flags = "u" if proto == 17 else "a" if proto == 51 else "-"
        return self.packet("in %d %s %d %s" % (at + (8 if proto == 17 else 0), flags, seg, data.hex()))


class Cell:
    """One combination; knows both sides of it."""

    def __init__(self, alg, mode, udp=False, esn=False, proto="esp"):
        self.encr, self.bits, self.integ = alg
        self.tunnel = mode[0] == "t"
        self.inner, self.outer = int(mode[1]), int(mode[-1])
        self.udp, self.esn, self.proto = udp, esn, proto
        salt = 4 if self.encr.startswith("aesg") or self.encr == "aesctr" else 0
        rng = random.Random(repr((alg, mode, udp, esn, proto)))
        self.key = bytes(rng.getrandbits(8) for _ in range(self.bits // 8 + salt))
        self.auth = bytes(rng.getrandbits(8) for _ in range(ref.KEY.get(self.integ, 0)))
        self.size = rng.randrange(28, 1300)
        self.large = rng.randrange(2000, 9000)
        if proto == "esp":
            self.ref = ref.Reference(self.encr, self.integ, self.key, self.auth, SPI)
        else:
            self.ref = ref.AhGmac(self.key, SPI) if self.encr == "aesgmac" else None

    def by_scapy(self):
        if self.proto == "ah":
            return self.encr == "none"
        if self.encr not in SCAPY_ENCR or (self.esn and self.integ != "none"):
            return False
        return not (self.udp and self.outer == 6 and not self.tunnel)

    def install(self, pipe, direction, seq=0):
        gates, sel = GATE[self.outer], NET[self.inner]
        if not self.tunnel:
            sel = gates
        pipe.ask("sa %s %s %s %s %d %s %d %d %s %s %s %s %s %s %08x %d" % (
            direction, self.proto, "tunnel" if self.tunnel else "transport", self.encr, self.bits, self.integ,
            self.esn, self.udp, *gates, *sel, self.key.hex() or "-", self.auth.hex() or "-", SPI, seq))

    def scapy_sa(self, from_peer, seq=1):
        a, b = GATE[self.outer][::-1] if from_peer else GATE[self.outer]
        header = (IP if self.outer == 4 else IPv6)(src=a, dst=b) if self.tunnel else None
        args = {} if self.proto == "ah" else {
            "crypt_algo": SCAPY_ENCR[self.encr], "crypt_key": self.key,
            "nat_t_header": UDP(sport=4500, dport=4500) if self.udp else None}
        return ipsec.SecurityAssociation(
            ipsec.AH if self.proto == "ah" else ipsec.ESP, spi=SPI, seq_num=seq & 0xffffffff,
            auth_algo=SCAPY_INTEG[self.integ], auth_key=self.auth, tunnel_header=header, esn_en=self.esn,
            esn=seq >> 32, **args)

    def hosts(self, from_peer):
        pair = HOST[self.inner] if self.tunnel else GATE[self.outer]
        return pair[::-1] if from_peer else pair

    def packet(self, from_peer, size=None, tos=0):
        """An inner packet: UDP with a good checksum, size bytes of payload less than the whole."""
        src, dst = self.hosts(from_peer)
        payload = bytes(i * 7 & 255 for i in range((size or self.size) - 8))
        if self.inner == 4:
            return bytes(IP(src=src, dst=dst, tos=tos, id=77) / UDP(sport=1000, dport=2000) / payload)
        return bytes(IPv6(src=src, dst=dst, tc=tos) / UDP(sport=1000, dport=2000) / payload)

    def seal(self, data, seq, scapy):
        if scapy:
            cls = IP if data[0] >> 4 == 4 else IPv6
            made = bytes(self.scapy_sa(True, seq).encrypt(cls(data)))
            if self.udp and self.outer == 4:  # scapy 2.5 states the UDP length without ESP
                made = made[:24] + struct.pack("!H", len(made) - 20) + made[26:]
            return made
        outer = [ipaddress.ip_address(x).packed for x in GATE[self.outer][::-1]]
        if self.proto == "ah":
            return self.ref.encapsulate(data, self.tunnel, seq, self.esn, outer)
        return ref.encapsulate(data, self.ref, self.tunnel, self.udp, seq, self.esn, outer)

    def open(self, data, high, scapy):
        if scapy:
            cls = IP if data[0] >> 4 == 4 else IPv6
            sa = self.scapy_sa(False, high << 32)
            return bytes(sa.decrypt(cls(data), esn=high))
        if self.proto == "ah":
            return self.ref.decapsulate(data, self.tunnel, high, self.esn)
        return ref.decapsulate(data, self.ref, self.tunnel, self.udp, high, self.esn)


def outer_sound(cell, data, seq):
    """What neither decoder looks at."""
    v6 = data[0] >> 4 == 6
    a, b = (ipaddress.ip_address(x).packed for x in GATE[cell.outer])
    if v6:
        assert (data[8:24], data[24:40]) == (a, b), "outer addresses"
        assert len(data) == 40 + struct.unpack("!H", data[4:6])[0], "payload length"
        at, proto = 40, data[6]
    else:
        assert (data[12:16], data[16:20]) == (a, b), "outer addresses"
        assert len(data) == struct.unpack("!H", data[2:4])[0], "total length"
        assert ref.ones_sum(data[:20]) == 0xffff, "header checksum"
        at, proto = 20, data[9]
    assert proto == (17 if cell.udp else 50 if cell.proto == "esp" else 51), "protocol"
    if cell.udp:
        assert struct.unpack("!HHH", data[at:at + 6]) == (4500, 4500, len(data) - at), "UDP header"
        if v6:
            assert ref.ones_sum(ref.pseudo(data, 17, len(data) - at) + data[at:]) == 0xffff, "UDP checksum"
        else:
            assert data[at + 6:at + 8] == b"\0\0", "UDP checksum"
        at += 8
    at += 4 if cell.proto == "ah" else 0
    assert struct.unpack("!II", data[at:at + 8]) == (SPI, seq & 0xffffffff), "SPI and sequence number"
    if cell.tunnel:
        assert data[7 if v6 else 8] == 64, "outer TTL"


def cell_run(pipe, cell):
    scapy = cell.by_scapy()
    start = 0x100000005 if cell.esn else 5
    cell.install(pipe, "out", start)
    cell.install(pipe, "in", start)
    packets = [(cell.size, 0)] + [(cell.large, 1500)] * (cell.udp == cell.esn)
    for i, (size, seg) in enumerate(packets):
        seq = start + 1 + i
        data = cell.packet(False, size)
        made = pipe.out(data, seg)
        assert isinstance(made, bytes), "out: dropped as %s" % made
        outer_sound(cell, made, seq)
        assert cell.open(made, seq >> 32, scapy) == data, "out: another packet"
        data = cell.packet(True, size)
        got = pipe.into(cell.seal(data, seq, scapy), seg)
        assert isinstance(got, bytes), "in: dropped as %s" % got
        assert got == data, "in: another packet"
    return "s" if scapy else "r"


def check(name, ok, detail=""):
    global failures
    print("%s %s%s" % ("ok  " if ok else "FAIL", name, "" if ok else ": " + str(detail)))
    failures += not ok


def matrix(pipe, only):
    global failures
    algs = [("aesgcm%d" % icv, bits, "none") for icv in (8, 12, 16) for bits in (128, 192, 256)]
    algs += [("aesgmac", bits, "none") for bits in (128, 192, 256)]
    algs += [(e, bits, i) for e in ("aes", "aesctr") for bits in (128, 192, 256) for i in INTEGS]
    algs += [(e, bits, i) for e, bits in (("3des", 192), ("des", 64), ("null", 0)) for i in INTEGS]
    rows = [("esp", a) for a in algs] + [("ah", ("none", 0, i)) for i in INTEGS]
    rows += [("ah", ("aesgmac", bits, "none")) for bits in (128, 192, 256)]
    modes = ["t44", "t46", "t64", "t66", "p4", "p6"]
    cells = 0
    print("t = tunnel (inner, outer family), p = transport; each: plain, UDP, plain with ESN, UDP with ESN")
    print("%-26s %s" % ("", " ".join("%-4s" % m for m in modes)))
    for proto, alg in rows:
        name = "%s %s" % (proto.upper(), "-".join(str(x) for x in alg if x not in ("none", 0)))
        if only and only not in name:
            continue
        line, wrong = [], []
        for mode in modes:
            text = ""
            for esn, udp in ((False, False), (False, True), (True, False), (True, True)):
                if proto == "ah" and udp:
                    text += "."
                    continue
                cell = Cell(alg, mode, udp, esn, proto)
                cells += 1
                try:
                    text += cell_run(pipe, cell)
                except (AssertionError, ValueError, ipsec.IPSecIntegrityError) as e:
                    text += "X"
                    wrong.append("%s udp=%d esn=%d: %s" % (mode, udp, esn, e))
            line.append(text)
        print("%-26s %s" % (name, " ".join(line)), flush=True)
        for w in wrong[:4]:
            print("    " + w)
        failures += len(wrong)
    print("%d cells, each both ways; %d wrong" % (cells, failures))


# ------------------------------------------------------------------------------ ESN over 2^32

def esn_crossing(pipe):
    """The low half wraps while packets are out of order (RFC 4303 appendix A)."""
    for alg, proto in ((("aesgcm16", 128, "none"), "esp"), (("aesgmac", 128, "none"), "esp"),
                       (("aes", 256, "sha256"), "esp"), (("none", 0, "sha1"), "ah"),
                       (("aesgmac", 256, "none"), "ah")):
        for mode in ("t44", "t66"):
            cell = Cell(alg, mode, False, True, proto)
            scapy, edge = cell.by_scapy(), 1 << 32
            name = "ESN over 2^32, %s %s, %s, %s" % (proto, "-".join(map(str, alg)), mode,
                                                     "scapy" if scapy else "reference")
            cell.install(pipe, "out", edge - 3)
            data = cell.packet(False)
            made = [pipe.out(data) for _ in range(5)]
            opened = [cell.open(m, (edge - 2 + i) >> 32, scapy) == data for i, m in enumerate(made)]
            check(name + ": out", all(opened), opened)
            cell.install(pipe, "in", edge - 3)
            data = cell.packet(True)
            numbers = [edge - 2, edge + 4, edge - 1, edge, edge + 1, edge - 4, edge + 3]
            sealed = {n: cell.seal(data, n, scapy) for n in numbers}
            got = [pipe.into(sealed[n]) == data for n in numbers]
            check(name + ": in, out of order", all(got), got)
            again = [pipe.into(sealed[n]) for n in numbers]
            check(name + ": in, each again", again == ["replay_dup"] * len(numbers), again)
            wrong = [pipe.into(cell.seal(data, n, scapy)) for n in (2 * edge + 10, 2 * edge - 3)]
            check(name + ": in, another high half", wrong == ["esp_icv"] * 2, wrong)


# ------------------------------------------------------------------------------ headers

ECN = {(0, 0): 0, (0, 1): 1, (0, 2): 2, (0, 3): 3, (1, 0): 0, (1, 1): 1, (1, 2): 1, (1, 3): 3,
       (2, 0): 0, (2, 1): 1, (2, 2): 2, (2, 3): 3, (3, 0): None, (3, 1): 3, (3, 2): 3, (3, 3): 3}  # outer, inner


def tos_of(data):
    return struct.unpack("!I", data[:4])[0] >> 20 & 255 if data[0] >> 4 == 6 else data[1]


def tos_set(data, tos):
    if data[0] >> 4 == 6:
        word = struct.unpack("!I", data[:4])[0] & 0xf00fffff | tos << 20
        return struct.pack("!I", word) + data[4:]
    head = bytearray(data[:20])
    head[1], head[10:12] = tos, b"\0\0"
    head[10:12] = struct.pack("!H", 0xffff ^ ref.ones_sum(bytes(head)))
    return bytes(head) + data[20:]


def header_rules(pipe):
    for mode in ("t44", "t46", "t64", "t66"):
        cell = Cell(("aesgcm16", 128, "none"), mode)
        cell.install(pipe, "in")
        bad, seq = [], 0
        for (outer, inner), want in ECN.items():
            seq += 1
            data = cell.packet(True, tos=0xb8 | inner)
            got = pipe.into(tos_set(cell.seal(data, seq, True), outer))
            if (got == "ecn_invalid") != (want is None) or (want is not None and got != tos_set(data, 0xb8 | want)):
                bad.append((outer, inner, got))
        check("ECN inbound (RFC 6040), %s" % mode, not bad, bad)
        for policy, dscp in (("copy", None), ("46", 46)):
            pipe.ask("dscp " + policy)
            cell.install(pipe, "out")
            got = [tos_of(pipe.out(cell.packet(False, tos=t))) for t in range(0, 256, 5)]
            want = [t if dscp is None else dscp << 2 | t & 3 for t in range(0, 256, 5)]
            check("DSCP %s and ECN outbound, %s" % (policy, mode), got == want, got)
        pipe.ask("dscp copy")
        data = cell.packet(False)
        data = data[:7 if cell.inner == 6 else 8] + b"\x01" + data[8 if cell.inner == 6 else 9:]
        check("TTL 1 in transit, %s" % mode, pipe.out(data, transit=True) == "ip_ttl")
        data = cell.packet(False)
        opened = cell.open(pipe.out(data, transit=True), 0, True)
        at = 7 if cell.inner == 6 else 8
        check("TTL less by one in transit, %s" % mode, opened[at] == data[at] - 1 and len(opened) == len(data) and
              (cell.inner == 6 or ref.ones_sum(opened[:20]) == 0xffff))
    for policy in ("copy", "zero"):
        pipe.ask("flow " + policy)
        cell = Cell(("aesgcm16", 128, "none"), "t66")
        cell.install(pipe, "out")
        data = struct.pack("!I", 0x60012345) + cell.packet(False)[4:]
        got = struct.unpack("!I", pipe.out(data)[:4])[0] & 0xfffff
        check("flow label %s" % policy, got == (0x12345 if policy == "copy" else 0), hex(got))
    for policy, want in (("copy", 0x4000), ("set", 0x4000), ("clear", 0)):
        pipe.ask("df " + policy)
        cell = Cell(("aesgcm16", 128, "none"), "t64")
        cell.install(pipe, "out")
        got = struct.unpack("!H", pipe.out(cell.packet(False))[6:8])[0]
        check("DF %s, IPv6 in IPv4" % policy, got == want, hex(got))
    pipe.ask("df copy")


def sizes(pipe):
    """IPv6 is too big as if DF were set, but never below 1280 bytes (RFC 8200 section 5)."""
    for mode in ("t64", "t66"):
        cell = Cell(("aesgcm16", 128, "none"), mode)
        cell.install(pipe, "out")
        pipe.ask("mtu 1300")
        check("1280 bytes of IPv6 always fit, %s" % mode, isinstance(pipe.out(cell.packet(False, 1240)), bytes))
        check("1281 do not, %s" % mode, pipe.out(cell.packet(False, 1241)) == "too_big")
    cell = Cell(("aes", 128, "sha1"), "p4")
    cell.install(pipe, "out")
    pipe.ask("mtu 1400")
    biggest = max(s for s in range(1200, 1400) if isinstance(pipe.out(
        (lambda d: d[:6] + b"\x40\0" + d[8:])(cell.packet(False, s))), bytes))
    check("transport: the largest with DF", biggest == 1400 - 20 - 8 - 16 - 12 - (1400 - 56) % 16 - 2, biggest)
    data = cell.packet(False)
    check("transport: no fragments", pipe.out(data[:6] + b"\x20\0" + data[8:]) == "transport_fragment")


# ------------------------------------------------------------------------------ AH

def ah_headers(pipe):
    """Options and extension headers, RFC 4302 section 3.3.3.1, with scapy on the other side."""
    cell = Cell(("none", 0, "sha256"), "p4", proto="ah")
    src, dst = cell.hosts(True)
    options = [IPOption(b"\x94\x04\x00\x00"), IPOption(b"\x44\x0c\x05\x00" + bytes(8)), IPOption(b"\x01" * 4)]
    data = bytes(IP(src=src, dst=dst, options=options, id=9) / UDP(sport=1, dport=2) / (b"x" * 100))
    cell.install(pipe, "in")
    made = bytearray(cell.seal(data, 1, True))
    check("AH in, IPv4 options, scapy", pipe.into(bytes(made)) == data)
    made = bytearray(cell.seal(data, 2, True))
    made[24 + 4], made[8], made[1] = 0x77, 12, 0x20  # the timestamp option, TTL, TOS: mutable
    check("AH in, what may change on the way has changed", isinstance(pipe.into(resum(made)), bytes))
    made = bytearray(cell.seal(data, 3, True))
    made[22] = 1  # the router alert: immutable
    check("AH in, an immutable option has changed", pipe.into(resum(made)) == "esp_icv")
    made = bytearray(cell.seal(data, 3, True))
    made[4] ^= 1
    check("AH in, the identification has changed", pipe.into(resum(made)) == "esp_icv")
    made = bytearray(cell.seal(data, 3, True))
    made[24:26] = b"\x83\x0c"
    check("AH in, a source route", pipe.into(resum(made)) == "ah_malformed")
    cell.install(pipe, "out")
    src, dst = cell.hosts(False)
    data = bytes(IP(src=src, dst=dst, options=options, id=9) / UDP(sport=1, dport=2) / (b"x" * 100))
    check("AH out, IPv4 options, scapy", cell.open(pipe.out(data), 0, True) == data)

    cell = Cell(("none", 0, "sha512"), "p6", proto="ah")
    mutable, fixed = HBHOptUnknown(otype=0x3e, optlen=4, optdata=b"abcd"), HBHOptUnknown(otype=0x1e, optlen=6,
                                                                                           optdata=b"fghijk")

    def v6(from_peer):
        src, dst = cell.hosts(from_peer)
        return bytes(IPv6(src=src, dst=dst) / IPv6ExtHdrHopByHop(options=[mutable, fixed]) /
                     IPv6ExtHdrDestOpt(options=[PadN(otype=1, optlen=4, optdata=bytes(4)), mutable]) /
                     UDP(sport=1, dport=2) / (b"y" * 64))
    data = v6(True)
    cell.install(pipe, "in")
    check("AH in, IPv6 extension headers, scapy", pipe.into(cell.seal(data, 1, True)) == data)
    at = data.index(b"abcd")
    made = bytearray(cell.seal(data, 2, True))
    made[at:at + 4], made[1], made[7] = b"ABCD", 0x55, 9
    check("AH in, mutable option, flow label and hop limit changed", isinstance(pipe.into(bytes(made)), bytes))
    made = bytearray(cell.seal(data, 3, True))
    made[data.index(b"fghijk")] ^= 1
    check("AH in, fixed option changed", pipe.into(bytes(made)) == "esp_icv")
    made = bytearray(cell.seal(data, 3, True))
    made[data.index(b"fghijk") - 1] = 200
    check("AH in, option longer than its header", pipe.into(bytes(made)) == "ah_malformed")
    data = v6(False)
    cell.install(pipe, "out")
    check("AH out, IPv6 extension headers, scapy", cell.open(pipe.out(data), 0, True) == data)
    made = pipe.out(data)
    check("AH out, nothing else has changed", made[40:56] + made[57:72] == data[40:56] + data[57:72])
    for proto, mode in (("ah", "t44"), ("esp", "p6")):
        cell = Cell(("none", 0, "sha1") if proto == "ah" else ("aesgcm16", 128, "none"), mode, proto=proto)
        cell.install(pipe, "in")
        made = cell.seal(cell.packet(True), 1, True)
        cut = [pipe.into(made[:n]) for n in range(28, len(made), 3) if cut_ok(made, n)]
        check("%s %s cut short anywhere" % (proto, mode), not any(isinstance(c, bytes) for c in cut), cut[:3])


def cut_ok(made, n):
    return n >= (60 if made[0] >> 4 == 6 else 40)


def resum(made):
    head = bytearray(made)
    n = (head[0] & 15) * 4
    head[10:12] = b"\0\0"
    head[10:12] = struct.pack("!H", 0xffff ^ ref.ones_sum(bytes(head[:n])))
    return bytes(head)


def transport_behind_nat(pipe):
    """RFC 3948 section 3.1.2: the checksum was computed with the address before the NAT."""
    for mode in ("p4", "p6"):
        cell = Cell(("aesgcm16", 128, "none"), mode, udp=True)
        cell.install(pipe, "in")
        for seq, proto in enumerate(("udp", "tcp"), 1):
            src, dst = cell.hosts(True)
            data = bytearray(cell.packet(True, 200))
            at = 40 if cell.inner == 6 else 20
            if proto == "tcp":
                data[6 if cell.inner == 6 else 9] = 6
                if cell.inner == 4:
                    data = bytearray(resum(data))
                data[at + 12] = 0x50
            field = at + (6 if proto == "udp" else 16)
            data[field:field + 2] = b"\x12\x34"
            got = pipe.into(cell.seal(bytes(data), seq, cell.by_scapy()))
            number = 17 if proto == "udp" else 6
            ok = isinstance(got, bytes) and ref.ones_sum(ref.pseudo(got, number, len(got) - at) + got[at:]) == 0xffff
            check("transport behind a NAT: %s checksum, %s" % (proto, mode), ok, got)


def selectors(pipe):
    """RFC 4301 section 5.2 for IPv6; IPv4 is in test_esp_in.c."""
    cell = Cell(("aesgcm16", 128, "none"), "t64")
    cell.install(pipe, "in")
    bad = []
    for seq, (src, dst) in enumerate((("2001:db8:1::1", HOST[6][0]), (HOST[6][1], "2001:db8:3::1"),
                                      ("2001:db8:2:ffff::1", "2001:db8:1::")), 1):
        data = bytes(IPv6(src=src, dst=dst) / UDP() / b"abcd")
        bad.append(pipe.into(cell.seal(data, seq, True)))
    check("IPv6 selectors", bad[:2] == ["sel_mismatch"] * 2 and isinstance(bad[2], bytes), bad)
    data = Cell(("aesgcm16", 128, "none"), "t44").packet(True)
    check("IPv4 out of an SA for IPv6", pipe.into(cell.seal(data, 9, True)) == "esp_next_header")


def main():
    only = sys.argv[sys.argv.index("--only") + 1] if "--only" in sys.argv else None
    pipe = Pipe(sys.argv[1])
    matrix(pipe, only)
    for part in (esn_crossing, header_rules, sizes, ah_headers, transport_behind_nat, selectors):
        part(pipe)
    pipe.p.stdin.close()
    check("no mbuf leaked", pipe.p.wait() == 0)
    print("%d failures" % failures)
    return failures > 0


if __name__ == "__main__":
    sys.exit(main())
