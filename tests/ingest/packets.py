"""Packets and captures made by hand: enough of Ethernet, IPv4, TCP, UDP, ICMP, DNS, HTTP and TLS for tests."""

import struct
from itertools import count
from socket import inet_aton

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
START = 1_795_521_600.0
A, CNAME, TXT, AAAA = 1, 5, 16, 28
_IDENTS = count(1)


def checksum(data):
    padded = data + b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def ethernet(packet):
    return b"\2\0\0\0\0\1" + b"\2\0\0\0\0\x0a" + b"\x08\x00" + packet


def ip(source, target, protocol, data):
    ends = inet_aton(source) + inet_aton(target)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(data), next(_IDENTS) & 0xFFFF, 0x4000, 64, protocol, 0)
    return head[:10] + struct.pack("!H", checksum(head + ends)) + ends + data


def _segment(source, target, protocol, data, place):
    pseudo = inet_aton(source) + inet_aton(target) + struct.pack("!BBH", 0, protocol, len(data))
    filled = data[:place] + struct.pack("!H", checksum(pseudo + data)) + data[place + 2 :]
    return ethernet(ip(source, target, protocol, filled))


def udp(source, source_port, target, target_port, data):
    head = struct.pack("!HHHH", source_port, target_port, 8 + len(data), 0)
    return _segment(source, target, 17, head + data, 6)


def tcp(source, target, numbers, flags, data=b""):
    head = struct.pack("!HHIIBBHHH", source[1], target[1], *numbers, 0x50, flags, 64_240, 0, 0)
    return _segment(source[0], target[0], 6, head + data, 16)


def name(text):
    return b"".join(bytes([len(part)]) + part.encode() for part in text.split(".")) + b"\0"


def dns(number, query, kind, answers=None, *, rcode=0):
    """Return a query, or where there are ``answers`` (name, type, ttl, data) a response."""
    flags = 0x0100 if answers is None else 0x8180 | rcode
    text = struct.pack("!HHHHHH", number, flags, 1, len(answers or ()), 0, 0)
    text += name(query) + struct.pack("!HH", kind, 1)
    for owner, of, ttl, data in answers or ():
        text += name(owner) + struct.pack("!HHIH", of, 1, ttl, len(data)) + data
    return text


def client_hello(server):
    names = struct.pack("!HHHBH", 0, len(server) + 5, len(server) + 3, 0, len(server)) + server.encode()
    body = b"\x03\x03" + b"\x11" * 32 + b"\0" + b"\0\4\x13\x01\xc0\x2f" + b"\1\0"
    body += struct.pack("!H", len(names)) + names
    shake = b"\1" + struct.pack("!I", len(body))[1:] + body
    return b"\x16\x03\x01" + struct.pack("!H", len(shake)) + shake


class Connection:
    """A TCP connection; ``packets`` are those so far."""

    def __init__(self, client, server):
        self._ends = (client, server)
        self._numbers = [1000, 5000]
        self.packets = []

    def _send(self, way, data, flags):
        (source, target), (mine, other) = self._ends[::way], self._numbers[::way]
        self.packets.append(tcp(source, target, (mine, other if flags & ACK else 0), flags, data))
        self._numbers[0 if way == 1 else 1] += len(data) + bool(flags & (SYN | FIN))
        return self

    def go(self, data=b"", flags=PSH | ACK):
        return self._send(1, data, flags)

    def back(self, data=b"", flags=PSH | ACK):
        return self._send(-1, data, flags)

    def open(self):
        return self.go(flags=SYN).back(flags=SYN | ACK).go(flags=ACK)

    def close(self):
        return self.go(flags=FIN | ACK).back(flags=FIN | ACK).go(flags=ACK)


def pcap(packets, *, start=START):
    """Return a capture file; the packets come an eighth of a second after each other."""
    text = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 1)
    for number, packet in enumerate(packets):
        micros = round((start + number / 8) * 1_000_000)
        text += struct.pack("<IIII", *divmod(micros, 1_000_000), len(packet), len(packet)) + packet
    return text


def pcapng(packets, *, start=START):
    """Return the same as pcapng."""

    def block(kind, body):
        body += b"\0" * (-len(body) % 4)
        size = struct.pack("<I", 12 + len(body))
        return struct.pack("<I", kind) + size + body + size

    text = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    text += block(1, struct.pack("<HHI", 1, 0, 262_144))
    for number, packet in enumerate(packets):
        micros = round((start + number / 8) * 1_000_000)
        head = struct.pack("<IIIII", 0, micros >> 32, micros & 0xFFFFFFFF, len(packet), len(packet))
        text += block(6, head + packet)
    return text
