# SPDX-License-Identifier: MIT
"""Streams that are checked at both ends: what an echo listener sends back, decoded by Python's zlib, is what was sent,
whatever is changed meanwhile."""
import hashlib
import socket
import threading
import zlib

from .sockets import connect
from .waiting import DEADLINE

ZLIB, GZIP = 0x78, 0x1F  # the first byte of each format; content() holds neither
WBITS = {"zlib": zlib.MAX_WBITS, "gzip": zlib.MAX_WBITS | 16}
_ANY = zlib.MAX_WBITS | 32
_INNOCENT = bytes(byte + 1 if byte in (ZLIB, GZIP, 0x0A, 0x0D) else byte for byte in range(256))
_TEXT = b" ".join(b"2024-05-01 12:00:%02d order %d of customer %d accepted" % (i % 60, i, i * 13 % 997) for i in range(2000))


def content(rng, size):
    """Bytes that no format begins with and without line ends: some compress well, some not at all."""
    if rng.random() < 0.3:
        return rng.randbytes(size).translate(_INNOCENT)
    start = rng.randrange(len(_TEXT) // 2)
    return (_TEXT[start:] * (size // (len(_TEXT) // 2) + 1))[:size]


class Tally:
    """How much, and which, so that two can be compared without keeping it all."""

    def __init__(self):
        self.size = 0
        self._digest = hashlib.blake2b()

    def add(self, data):
        self.size += len(data)
        self._digest.update(data)

    def __eq__(self, other):
        return (self.size, self._digest.digest()) == (other.size, other._digest.digest())


class Decoder:
    """Plain content(), streams of either format, members one after the other, in any mixture."""

    def __init__(self):
        self._member = None

    def feed(self, data):
        text = bytearray()
        while data:
            if self._member is None:
                begin = next((i for i, byte in enumerate(data) if byte in (ZLIB, GZIP)), len(data)) \
                    if ZLIB in data or GZIP in data else len(data)
                text += data[:begin]
                data = data[begin:]
                if not data:
                    break
                self._member = zlib.decompressobj(wbits=_ANY)
            text += self._member.decompress(data)
            data = self._member.unused_data
            if self._member.eof:
                self._member = None
        return bytes(text)

    def is_whole(self):
        """Has the last member its trailer?"""
        return self._member is None


class Plain:
    """In place of a decoder, where the bytes may be any."""

    def feed(self, data):
        return data

    def is_whole(self):
        return True


class Encoder:
    """One compressed stream with random flushes."""

    def __init__(self, rng, format_, levels=range(1, 10)):
        self._rng = rng
        self._coder = zlib.compressobj(rng.choice(levels), wbits=WBITS[format_])

    def encode(self, data):
        coded = self._coder.compress(data)
        if self._rng.random() < 0.5:
            coded += self._coder.flush(zlib.Z_SYNC_FLUSH)
        return coded

    def end(self):
        return self._coder.flush()


class Stream:
    """One connection to an echo listener. Bytes are sent by a thread of its own and read by run()."""

    def __init__(self, address, pieces, encoder=None, decoder=None, source=None, deadline=4 * DEADLINE):
        self.sent, self.received = Tally(), Tally()
        self._pieces = pieces
        self._encoder = encoder
        self._decoder = decoder or Decoder()
        self._sender_error = None
        self.sock = connect(address, source=source, deadline=deadline)

    def _send(self):
        try:
            for piece in self._pieces:
                self.sent.add(piece)
                self.sock.sendall(self._encoder.encode(piece) if self._encoder else piece)
            if self._encoder:
                self.sock.sendall(self._encoder.end())
            self.sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            self._sender_error = error

    def run(self):
        """To the end of both directions; every byte must have come back."""
        sender = threading.Thread(target=self._send, daemon=True)
        sender.start()
        try:
            while data := self.sock.recv(1 << 16):
                self.received.add(self._decoder.feed(data))
            sender.join()
        finally:
            self.sock.close()
        if self._sender_error:
            raise self._sender_error
        assert self._decoder.is_whole(), f"the last member ends without its trailer after {self.received.size} bytes"
        assert self.received == self.sent, f"sent {self.sent.size} bytes, other {self.received.size} came back"


def random_compression(rng, formats=("zlib", "gzip")):
    """A value of the setting."""
    kind = rng.randrange(4)
    if kind == 0:
        return "off"
    format_ = rng.choice(formats)
    return format_ if kind == 1 else f"{format_}:{rng.randint(1, 9)}"
