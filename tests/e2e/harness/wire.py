# SPDX-License-Identifier: MIT
"""What is on the wire: a packet socket on the loopback interface (root), IPv4 and IPv6 headers taken apart.

A packet is seen before its receiver sees it, so whoever has read a reply finds its packet here.
"""
import ctypes
import os
import socket
import struct
from dataclasses import dataclass

from .waiting import eventually

_ETH_P_ALL = 3
_PACKET_HOST = 0
_SO_RCVBUFFORCE = 33
_SO_ATTACH_FILTER = 26
_FLAGS = "FSRPAUEC"  # bit 0 first


def why_not():
    """None, or why nothing can be captured here."""
    if os.geteuid() != 0:
        return "a packet socket needs root"
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0).close()
    except OSError as error:
        return f"no packet socket: {error.strerror}"
    return None


@dataclass(frozen=True)
class Packet:
    version: int
    protocol: str
    source: tuple
    destination: tuple
    tos: int
    ttl: int
    flags: str  # TCP: of "FSRPAUEC", those that are set
    payload: bytes

    @property
    def dscp(self):
        return self.tos >> 2

    @property
    def ecn(self):
        return self.tos & 3


def parse(data):
    """A Packet, or None for what is neither TCP nor UDP over IP."""
    if not data or data[0] >> 4 not in (4, 6):
        return None
    if data[0] >> 4 == 4:
        header, tos, ttl, number = (data[0] & 15) * 4, data[1], data[8], data[9]
        total = struct.unpack("!H", data[2:4])[0] or len(data)
        hosts = [socket.inet_ntop(socket.AF_INET, data[i : i + 4]) for i in (12, 16)]
    else:
        header, tos, ttl, number = 40, (data[0] & 15) << 4 | data[1] >> 4, data[7], data[6]
        total = 40 + struct.unpack("!H", data[4:6])[0]
        hosts = [socket.inet_ntop(socket.AF_INET6, data[i : i + 16]) for i in (8, 24)]
    if number not in (socket.IPPROTO_TCP, socket.IPPROTO_UDP):
        return None
    segment = data[header:total]
    ports = struct.unpack("!HH", segment[:4])
    if number == socket.IPPROTO_TCP:
        flags = "".join(name for bit, name in enumerate(_FLAGS) if segment[13] & 1 << bit)
        payload = segment[(segment[12] >> 4) * 4 :]
    else:
        flags, payload = "", segment[8:]
    return Packet(data[0] >> 4, "tcp" if flags else "udp", (hosts[0], ports[0]), (hosts[1], ports[1]), tos, ttl, flags,
                  payload)


def only(sock, port):
    """The kernel passes what comes from or goes to this port alone, so that others' traffic does not push it out. bpf(4) has the
    opcodes; the packet begins with its IP header."""
    byte, half, half_at_x, ip_header_to_x, shift, equals, done = 0x30, 0x28, 0x48, 0xB1, 0x74, 0x15, 0x06
    program = [
        (byte, 0, 0, 0),
        (shift, 0, 0, 4),
        (equals, 0, 5, 4),
        (ip_header_to_x, 0, 0, 0),
        (half_at_x, 0, 0, 0),
        (equals, 8, 0, port),
        (half_at_x, 0, 0, 2),
        (equals, 6, 5, port),
        (equals, 0, 4, 6),
        (half, 0, 0, 40),
        (equals, 3, 0, port),
        (half, 0, 0, 42),
        (equals, 1, 0, port),
        (done, 0, 0, 0),
        (done, 0, 0, 1 << 18),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(program), ctypes.addressof(code)))


class Capture:
    """Packets from and to one port of the loopback interface, from the moment it is made."""

    def __init__(self, port, interface="lo"):
        self._port = port
        self._packets = []
        self._sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        self._sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 16 << 20)
        only(self._sock, port)
        self._sock.bind((interface, _ETH_P_ALL))
        self._sock.setblocking(False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._sock.close()

    def packets(self):
        """All of them so far."""
        while True:
            try:
                data, link = self._sock.recvfrom(1 << 17)
            except BlockingIOError:
                return self._packets
            packet = parse(data) if link[2] == _PACKET_HOST else None
            if packet:
                self._packets.append(packet)

    def sent(self, source=None, flags=None, containing=None):
        """Packets that left from our port (or `source`), with exactly these TCP flags, with this in the payload."""
        return [p for p in self.packets()
                if p.source[1] == self._port and (source is None or p.source[0] == source)
                and (flags is None or p.flags == flags) and (containing is None or containing in p.payload)]

    def wait_sent(self, **which):
        return eventually(lambda: self.sent(**which), lambda: f"packet {which}; seen: {self.packets()}")
