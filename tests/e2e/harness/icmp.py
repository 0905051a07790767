# SPDX-License-Identifier: MIT
"""ICMP errors about datagrams, as routers, hosts and forgers send them."""
import socket
import struct

_UNREACHABLE, _PORT = 3, 3


def _checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def port_unreachable(source, destination):
    """The message that says: what `source` (host, port) sent to `destination` reached nobody. IPv4."""
    udp = struct.pack("!HHHH", source[1], destination[1], 9, 0)
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp) + 1, 0, 0, 64, socket.IPPROTO_UDP, 0,
                     socket.inet_aton(source[0]), socket.inet_aton(destination[0]))
    head = struct.pack("!BBHI", _UNREACHABLE, _PORT, 0, 0)
    return head[:2] + struct.pack("!H", _checksum(head + ip + udp)) + head[4:] + ip + udp


def raw_socket():
    """What sends them; needs root."""
    return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
