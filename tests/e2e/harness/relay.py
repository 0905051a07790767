# SPDX-License-Identifier: MIT
"""Both ends of relayed flows: who connects, and the upstream that the daemon connects to."""
import random
import socket
import threading
from collections import namedtuple

from .sockets import address_of, connect, open_socket
from .traffic import Tally
from .waiting import DEADLINE

Pair = namedtuple("Pair", "client server")


def text_of(sock):
    """A listening or bound socket, as the configuration names it."""
    if sock.family == socket.AF_UNIX:
        return "unix:" + sock.getsockname()
    protocol = "tcp" if sock.type == socket.SOCK_STREAM else "udp"
    host, port = address_of(sock)[:2]
    return f"{protocol}:[{host}]:{port}" if ":" in host else f"{protocol}:{host}:{port}"


def open_upstream(kind, path=None, backlog=4096):
    """kind as for open_socket(), or "unix"."""
    if kind != "unix":
        sock = open_socket(kind, backlog=backlog)
    else:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.bind(str(path))
        sock.listen(backlog)
    sock.settimeout(DEADLINE)
    return sock


def accept(upstream):
    sock, _ = upstream.accept()
    sock.settimeout(DEADLINE)
    return sock


class Relay:
    """A daemon with a listener "orders" that forwards, and its upstreams. close() is for those of its pairs."""

    def __init__(self, daemon, upstreams):
        self.daemon, self.upstreams = daemon, upstreams
        self._made = []

    def pair(self, address=None, upstream=0, **options):
        """One flow: the client's socket and the upstream's."""
        client = connect(address or self.daemon.address, **options)
        self._made.append(client)
        server = accept(self.upstreams[upstream])
        self._made.append(server)
        return Pair(client, server)

    def close(self):
        for sock in self._made:
            sock.close()


class Mover(threading.Thread):
    """Sends pieces of random sizes, then says that this was all; `sent` is what."""

    _BLOCK = random.Random(1).randbytes(1 << 20)

    def __init__(self, sock, size, rng, largest=200_000):
        super().__init__(daemon=True)
        self.sent = Tally()
        self.error = None
        self._sock, self._size, self._rng, self._largest = sock, size, rng, largest
        self.start()

    def run(self):
        try:
            left = self._size
            while left > 0:
                size = min(left, self._rng.choice((1, 100, 1400, 17_000, self._largest)), 1 + self._rng.randrange(self._largest))
                at = self._rng.randrange(len(self._BLOCK) - size)
                piece = memoryview(self._BLOCK)[at:at + size]
                self.sent.add(piece)
                self._sock.sendall(piece)
                left -= size
            self._sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            self.error = error


class Reader(threading.Thread):
    """Reads to the end; `received` is what, `error` what ended it instead."""

    def __init__(self, sock, pause=None):
        super().__init__(daemon=True)
        self.received = Tally()
        self.error = None
        self._sock, self._pause = sock, pause
        self.start()

    def run(self):
        try:
            while data := self._sock.recv(1 << 18):
                self.received.add(data)
                if self._pause:
                    self._pause.wait(0.002)
        except OSError as error:
            self.error = error


def exchange(one, other, size, seed=1):
    """`size` bytes each way at once; all of them must arrive, and the end of both."""
    ways = [(Mover(a, size, random.Random(seed + i)), Reader(b)) for i, (a, b) in enumerate(((one, other), (other, one)))]
    for mover, reader in ways:
        mover.join(4 * DEADLINE), reader.join(4 * DEADLINE)
        assert (mover.error, reader.error) == (None, None)
        assert reader.received == mover.sent, f"{mover.sent.size} bytes sent, other {reader.received.size} received"
