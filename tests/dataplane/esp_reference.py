"""ESP on top of python-cryptography, for the cells that scapy gets wrong or does not know:

 - ESN with a separate HMAC: scapy leaves the high half out of the ICV
 - GCM with an ICV of 8 or 12 bytes, GMAC, HMAC-SHA-256 cut to 96 bits
 - UDP encapsulation over IPv6 in transport mode
 - AH with GMAC (RFC 4543 section 4), which no other implementation at hand has

Packets are bytes; offsets are those of RFC 791, 8200, 768 and 4303."""
import os
import struct

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.exceptions import InvalidSignature, InvalidTag

HASH = {"md5": hashes.MD5, "sha1": hashes.SHA1, "sha256": hashes.SHA256, "sha256_96": hashes.SHA256,
        "sha384": hashes.SHA384, "sha512": hashes.SHA512}
ICV = {"md5": 12, "sha1": 12, "sha256": 16, "sha256_96": 12, "sha384": 24, "sha512": 32}
KEY = {"md5": 16, "sha1": 20, "sha256": 32, "sha256_96": 32, "sha384": 48, "sha512": 64}
IV = {"null": 0, "des": 8, "3des": 8, "aes": 16, "aesctr": 8, "aesgmac": 8}
BLOCK = {"des": 8, "3des": 8, "aes": 16}


def ones_sum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total


def pseudo(ip, proto, length):
    if ip[0] >> 4 == 4:
        return ip[12:20] + struct.pack("!HH", proto, length)
    return ip[8:40] + struct.pack("!II", length, proto)


class Reference:
    def __init__(self, encr, integ, key, auth, spi):
        self.encr, self.integ, self.key, self.auth, self.spi = encr, integ, key, auth, spi
        self.aead = encr.startswith("aesg")
        self.salt = b""
        if self.aead or encr == "aesctr":
            self.key, self.salt = key[:-4], key[-4:]
        self.iv_len = IV.get(encr, 8)
        self.icv_len = ICV[integ] if integ != "none" else int(encr[6:]) if encr[6:].isdigit() else 16
        self.block = BLOCK.get(encr, 4)

    def _gcm(self, iv, tag=None):
        mode = modes.GCM(self.salt + iv, tag, min_tag_length=8)
        return Cipher(algorithms.AES(self.key), mode)

    def _cipher(self, iv):
        if self.encr == "aes":
            return Cipher(algorithms.AES(self.key), modes.CBC(iv))
        if self.encr == "aesctr":
            return Cipher(algorithms.AES(self.key), modes.CTR(self.salt + iv + b"\0\0\0\1"))
        return Cipher(algorithms.TripleDES(self.key), modes.CBC(iv)) if self.encr != "null" else None

    def _mac(self, data):
        h = hmac.HMAC(self.auth, HASH[self.integ]())
        h.update(data)
        return h.finalize()[:self.icv_len]

    def seal(self, payload, next_header, seq, esn):
        """The ESP packet of a payload, from its SPI on. seq: all 64 bits."""
        pad = -(len(payload) + 2) % self.block
        plain = payload + bytes(range(1, pad + 1)) + bytes([pad, next_header])
        iv = os.urandom(self.iv_len)
        low, high = seq & 0xffffffff, seq >> 32
        header = struct.pack("!II", self.spi, low)
        if self.aead:
            aad = struct.pack("!III", self.spi, high, low) if esn else header
            e = self._gcm(iv).encryptor()
            if self.encr == "aesgmac":
                e.authenticate_additional_data(aad + iv + plain)
                e.finalize()
                return header + iv + plain + e.tag
            e.authenticate_additional_data(aad)
            sealed = e.update(plain) + e.finalize()
            return header + iv + sealed + e.tag[:self.icv_len]
        cipher = self._cipher(iv)
        if cipher:
            e = cipher.encryptor()
            plain = e.update(plain) + e.finalize()
        body = header + iv + plain
        return body + self._mac(body + (struct.pack("!I", high) if esn else b""))

    def open(self, esp, high, esn):
        """(payload, next header, low half of the sequence number); ValueError when it is not right."""
        spi, low = struct.unpack("!II", esp[:8])
        iv, icv = esp[8:8 + self.iv_len], esp[-self.icv_len:]
        plain = esp[8 + self.iv_len:-self.icv_len]
        if spi != self.spi:
            raise ValueError("SPI")
        if self.aead:
            aad = struct.pack("!III", spi, high, low) if esn else esp[:8]
            d = self._gcm(iv, icv).decryptor()
            try:
                if self.encr == "aesgmac":
                    d.authenticate_additional_data(aad + iv + plain)
                else:
                    d.authenticate_additional_data(aad)
                    plain = d.update(plain)
                d.finalize()
            except InvalidTag:
                raise ValueError("ICV")
        else:
            body = esp[:-self.icv_len]
            if self._mac(body + (struct.pack("!I", high) if esn else b"")) != icv:
                raise ValueError("ICV")
            cipher = self._cipher(iv)
            if cipher:
                d = cipher.decryptor()
                plain = d.update(plain) + d.finalize()
        pad, next_header = plain[-2], plain[-1]
        if plain[-2 - pad:-2] != bytes(range(1, pad + 1)):
            raise ValueError("padding")
        return plain[:-2 - pad], next_header, low


def ip_header(src, dst, proto, length):
    """src and dst: packed addresses; length: of what follows."""
    if len(src) == 4:
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 7, 0, 61, proto, 0) + src + dst
        return head[:10] + struct.pack("!H", 0xffff ^ ones_sum(head)) + head[12:]
    return struct.pack("!IHBB", 6 << 28, length, proto, 61) + src + dst


def udp_wrap(ip_pseudo, esp, checksum):
    head = struct.pack("!HHHH", 4500, 4500, 8 + len(esp), 0)
    if not checksum:
        return head + esp
    value = 0xffff ^ ones_sum(ip_pseudo + head + esp)
    return head[:6] + struct.pack("!H", value or 0xffff) + esp


def header_with(header, proto, length):
    """An IP header without options that now has length bytes of proto behind it."""
    new = bytearray(header)
    if header[0] >> 4 == 6:
        new[4:7] = struct.pack("!HB", length, proto)
        return bytes(new)
    new[9] = proto
    new[2:4] = struct.pack("!H", 20 + length)
    new[10:12] = b"\0\0"
    new[10:12] = struct.pack("!H", 0xffff ^ ones_sum(bytes(new)))
    return bytes(new)


def without_mutable(packet, field_at, field_len):
    """RFC 4302 section 3.3.3: the packet, without IP options, as its ICV covers it."""
    p = bytearray(packet)
    if p[0] >> 4 == 6:
        p[0:4], p[7] = b"\x60\0\0\0", 0
    else:
        p[1], p[8], p[6:8], p[10:12] = 0, 0, b"\0\0", b"\0\0"
    p[field_at:field_at + field_len] = bytes(field_len)
    return bytes(p)


class AhGmac:
    """RFC 4543 section 4: the ICV field of AH holds an IV of 8 bytes and a tag of 16, and under IPv6 four more
    bytes follow (erratum 3643); for the computation all of the field is zero."""
    FIELD = 24

    def __init__(self, key, spi):
        self.key, self.salt, self.spi = key[:-4], key[-4:], spi

    def _tag(self, packet, at, iv, high, esn):
        e = Cipher(algorithms.AES(self.key), modes.GCM(self.salt + iv)).encryptor()
        e.authenticate_additional_data(without_mutable(packet, at, self.FIELD) + (struct.pack("!I", high) if esn else b""))
        e.finalize()
        return e.tag

    def encapsulate(self, packet, tunnel, seq, esn, outer):
        v6 = packet[0] >> 4 == 6
        header = ip_header(outer[0], outer[1], 51, 0) if tunnel else packet[:40 if v6 else 20]
        payload = packet if tunnel else packet[len(header):]
        size = 12 + self.FIELD + (4 if header[0] >> 4 == 6 else 0)
        inner = (41 if v6 else 4) if tunnel else packet[6 if v6 else 9]
        ah = struct.pack("!BBHII", inner, size // 4 - 2, 0, self.spi, seq & 0xffffffff) + bytes(size - 12)
        made = header_with(header, 51, size + len(payload)) + ah + payload
        at, iv = len(header) + 12, os.urandom(8)
        return made[:at] + iv + self._tag(made, at, iv, seq >> 32, esn) + made[at + self.FIELD:]

    def decapsulate(self, packet, tunnel, high, esn):
        head = 40 if packet[0] >> 4 == 6 else 20
        at, size = head + 12, 12 + self.FIELD + (4 if head == 40 else 0)
        next_header, words, _, spi, _ = struct.unpack("!BBHII", packet[head:at])
        if (words + 2) * 4 != size or spi != self.spi:
            raise ValueError("AH header")
        if self._tag(packet, at, packet[at:at + 8], high, esn) != packet[at + 8:at + self.FIELD]:
            raise ValueError("ICV")
        payload = packet[head + size:]
        return payload if tunnel else header_with(packet[:head], next_header, len(payload)) + payload


def encapsulate(packet, ref, tunnel, udp, seq, esn, outer):
    """An IP packet without options inside ESP; outer: (src, dst) of the tunnel."""
    v6 = packet[0] >> 4 == 6
    if tunnel:
        esp = ref.seal(packet, 41 if v6 else 4, seq, esn)
        header = ip_header(outer[0], outer[1], 50, 0)
    else:
        head = 40 if v6 else 20
        esp = ref.seal(packet[head:], packet[6 if v6 else 9], seq, esn)
        header = packet[:head]
    if udp:
        esp = udp_wrap(pseudo(header, 17, 8 + len(esp)), esp, header[0] >> 4 == 6)
    return header_with(header, 17 if udp else 50, len(esp)) + esp


def decapsulate(packet, ref, tunnel, udp, high, esn):
    """The inner packet; a transport packet as it was before ESP, but for TTL and checksum."""
    v6 = packet[0] >> 4 == 6
    head = 40 if v6 else 20
    esp = packet[head:]
    if packet[6 if v6 else 9] != (17 if udp else 50):
        raise ValueError("protocol")
    if udp:
        if struct.unpack("!HHH", esp[:6]) != (4500, 4500, len(esp)):
            raise ValueError("UDP header")
        esp = esp[8:]
    payload, next_header, low = ref.open(esp, high, esn)
    if tunnel:
        return payload
    return header_with(packet[:head], next_header, len(payload)) + payload
