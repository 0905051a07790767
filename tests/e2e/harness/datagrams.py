# SPDX-License-Identifier: MIT
"""UDP as fast programs use it: many datagrams in one call (UDP_SEGMENT), and joined ones received (UDP_GRO)."""
import contextlib
import os
import signal
import socket
import struct
from collections import namedtuple

from .hold import is_stopped
from .sockets import IPV6_TCLASS, udp_client
from .waiting import DEADLINE, eventually

SOL_UDP = 17
UDP_SEGMENT = 103
UDP_GRO = 104
_SO_RCVBUFFORCE = 33

Reply = namedtuple("Reply", "payload source tos")


def joins(sock):
    """Does the kernel join datagrams for who reads this socket?"""
    return bool(sock.getsockopt(SOL_UDP, UDP_GRO))


@contextlib.contextmanager
def stopped(daemon):
    """What is sent meanwhile waits in the daemon's sockets, and is received at once afterwards."""
    daemon.signal(signal.SIGSTOP)
    try:
        eventually(lambda: is_stopped(daemon.process.pid), "every thread to stop")
        yield
    finally:
        daemon.signal(signal.SIGCONT)


class FastClient:
    """Sends to one or more addresses of a family, and tells of each reply where it came from and its mark."""

    def __init__(self, host, gro=True):
        self.sock = udp_client(family=socket.AF_INET6 if ":" in host else socket.AF_INET, marks=True)
        self._v6 = self.sock.family == socket.AF_INET6
        self.sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE if os.geteuid() == 0 else socket.SO_RCVBUF, 4 << 20)
        if gro:
            self.sock.setsockopt(SOL_UDP, UDP_GRO, 1)
        self.joined = 0  # receive calls that brought more than one datagram
        self._replies = []

    def close(self):
        self.sock.close()

    def _send(self, address, data, tos, ancillary=()):
        ancillary = list(ancillary)
        if tos is not None:
            ancillary.append((socket.IPPROTO_IPV6, IPV6_TCLASS, struct.pack("i", tos)) if self._v6 else
                             (socket.IPPROTO_IP, socket.IP_TOS, struct.pack("i", tos)))
        assert self.sock.sendmsg([data], ancillary, 0, address) == len(data)

    def send(self, address, payload, tos=None):
        self._send(address, payload, tos)

    def send_joined(self, address, payloads, tos=None):
        """In one call: all of one size, the last one may be shorter."""
        size = len(payloads[0])
        assert all(len(payload) == size for payload in payloads[:-1]) and 0 < len(payloads[-1]) <= size
        self._send(address, b"".join(payloads), tos, [(SOL_UDP, UDP_SEGMENT, struct.pack("H", size))])

    def _receive(self):
        data, ancillary, flags, source = self.sock.recvmsg(65536, 512)
        assert not flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC)
        tos, size = None, len(data)
        for level, kind, value in ancillary:
            if (level, kind) == (socket.IPPROTO_IP, socket.IP_TOS):
                tos = value[0]
            elif (level, kind) == (socket.IPPROTO_IPV6, IPV6_TCLASS):
                tos, = struct.unpack("i", value[:4])
            elif (level, kind) == (SOL_UDP, UDP_GRO):
                size, = struct.unpack("i", value[:4])
        self.joined += size < len(data)
        for at in range(0, max(len(data), 1), max(size, 1)):
            self._replies.append(Reply(data[at:at + size], source[0], tos))

    def receive(self, count):
        """So many replies, in the order in which they came."""
        while len(self._replies) < count:
            self._receive()
        replies, self._replies = self._replies[:count], self._replies[count:]
        return replies

    def nothing_more(self):
        """True if no reply waits: to be asked when all expected ones have come."""
        self.sock.settimeout(0)
        try:
            self._receive()
        except BlockingIOError:
            return not self._replies
        finally:
            self.sock.settimeout(DEADLINE)
        return False
