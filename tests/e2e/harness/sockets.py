# SPDX-License-Identifier: MIT
"""Listening sockets as a .socket unit makes them, and plain clients as people write them."""
import functools
import random
import select
import socket
import struct

from .waiting import DEADLINE

IP_RECVTOS = 13
IP_PKTOPTIONS = 9
IPV6_2292PKTOPTIONS = 6
IPV6_RECVTCLASS = 66
IPV6_TCLASS = 67

LOOPBACK = {"4": "127.0.0.1", "6": "::1", "46": "::"}


def open_socket(kind, host=None, port=0, backlog=4096):
    """kind: "tcp4", "tcp6", "tcp46" (dual-stack), "udp4", ... Bound to the loopback address (dual-stack: the wildcard)."""
    protocol, version = kind[:3], kind[3:]
    family = socket.AF_INET if version == "4" else socket.AF_INET6
    sock = socket.socket(family, socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM)
    if protocol == "tcp":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, version == "6")
    sock.bind((host or LOOPBACK[version], port))
    if protocol == "tcp":
        sock.listen(backlog)
    return sock


@functools.cache
def have_ipv6():
    try:
        open_socket("tcp6").close()
        return True
    except OSError:
        return False


def free_port():
    """A port that was free a moment ago on every address, TCP and UDP, for what the daemon binds itself. Below the
    kernel's own range, so that no client gets it meanwhile."""
    for _ in range(100):
        port = random.randrange(12000, 32000)
        try:
            for kind in ("tcp46", "udp46") if have_ipv6() else ("tcp4", "udp4"):
                open_socket(kind, port=port).close()
            return port
        except OSError:
            pass
    raise AssertionError("no free port")


def address_of(sock, host=None):
    """Where a client reaches a socket; `host` for one of a wildcard's addresses."""
    name = sock.getsockname()
    return (host or {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(name[0], name[0]), name[1])


def set_tos(sock, tos):
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, tos)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_TCLASS, tos)


def get_tos(sock, level=None):
    if (level or sock.family) == socket.AF_INET6:
        return sock.getsockopt(socket.IPPROTO_IPV6, IPV6_TCLASS) & 0xFC
    return sock.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) & 0xFC


def connect(address, tos=None, source=None, options=(), deadline=DEADLINE):
    """A connected TCP client. `options`: (level, name, value) set before connect()."""
    sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_STREAM)
    sock.settimeout(deadline)
    for option in options:
        sock.setsockopt(*option)
    if tos is not None:
        set_tos(sock, tos)
    if source:
        sock.bind((source, 0))
    sock.connect(address[:2])
    return sock


def udp_client(address=None, tos=None, deadline=DEADLINE, marks=False, family=None):
    """A UDP client, connected when given an address; with `marks` it asks for the marks it receives."""
    family = family or (socket.AF_INET6 if address and ":" in address[0] else socket.AF_INET)
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.settimeout(deadline)
    if tos is not None:
        set_tos(sock, tos)
    if marks:
        sock.setsockopt(socket.IPPROTO_IP, IP_RECVTOS, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVTCLASS, 1)
    if address:
        sock.connect(address[:2])
    return sock


def _mark_of(ancillary):
    for level, kind, data in ancillary:
        if (level, kind) == (socket.IPPROTO_IP, socket.IP_TOS):
            return data[0]
        if (level, kind) == (socket.IPPROTO_IPV6, IPV6_TCLASS):
            return struct.unpack("i", data[:4])[0]
    return None


def receive_marked(sock):
    """One datagram and the TOS byte that it carried (a udp_client(marks=True))."""
    data, ancillary, _, _ = sock.recvmsg(65536, 256)
    return data, _mark_of(ancillary)


def ask_udp(address, payload, tos=None, marks=False):
    with udp_client(address, tos=tos, marks=marks) as sock:
        sock.send(payload)
        return receive_marked(sock) if marks else sock.recv(65536)


def ask_tcp(address, payload, **options):
    with connect(address, **options) as sock:
        sock.sendall(payload)
        return sock.recv(65536)


def read_exactly(sock, size):
    data = bytearray()
    while len(data) < size:
        piece = sock.recv(size - len(data))
        assert piece, f"connection ended after {len(data)} of {size} bytes"
        data += piece
    return bytes(data)


def read_to_end(sock):
    data = bytearray()
    while piece := sock.recv(65536):
        data += piece
    return bytes(data)


def reset(sock):
    """Closes with a reset, whatever is under way."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def send_until_stuck(sock, data, most):
    """Sends `data` over and over until the peer has taken nothing for a while, or `most` bytes; how many it took.
    The socket is left non-blocking."""
    sock.setblocking(False)
    sent = 0
    while sent < most and select.select([], [sock], [], 0.5)[1]:
        try:
            sent += sock.send(memoryview(data)[sent % len(data):])
        except BlockingIOError:
            pass
    return sent


def is_turned_away(address, **options):
    """Is a client accepted and then reset (or closed) without a byte? The reset may come before connect() returns."""
    try:
        with connect(address, **options) as sock:
            sock.sendall(b"x")
            return sock.recv(1) == b""
    except (ConnectionResetError, BrokenPipeError):
        return True


def is_refused(address):
    """Does nobody listen there?"""
    try:
        connect(address).close()
        return False
    except ConnectionRefusedError:
        return True


def arm_traffic_class(sock):
    """Lets received_traffic_class() see what comes (TCP over IPv6 only)."""
    sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVTCLASS, 1)


def received_traffic_class(sock):
    """The traffic class of the latest segment that a TCP over IPv6 socket received, or None."""
    data = sock.getsockopt(socket.IPPROTO_IPV6, IPV6_2292PKTOPTIONS, 256)
    while len(data) >= 16:
        size, level, kind = struct.unpack("Nii", data[:16])
        if (level, kind) == (socket.IPPROTO_IPV6, IPV6_TCLASS):
            return struct.unpack("i", data[16:20])[0]
        data = data[(size + 7) & ~7:]
    return None
