# SPDX-License-Identifier: MIT
"""A journald of our own: the native protocol's socket in a private /run, and the entries that arrive on it."""
import array
import os
import shutil
import socket
import struct
import tempfile
import threading

from .waiting import eventually


_QUIT = b"QUIT"


def parse(data):
    """{field: bytes} of one entry in the native protocol."""
    fields, at = {}, 0
    while at < len(data):
        end = data.index(b"\n", at)
        name, equals, value = data[at:end].partition(b"=")
        at = end + 1
        if not equals:
            size, = struct.unpack("<Q", data[at : at + 8])
            value = data[at + 8 : at + 8 + size]
            at += 8 + size + 1
        fields[name.decode()] = value
    return fields


class Journal:
    """As root. A command run under .prefix sees this journal; start it with JOURNAL_STREAM (Daemon(journal=True)).

    stuck: nothing is ever read."""

    def __init__(self, stuck=False):
        self._folder = tempfile.mkdtemp(prefix="sockq-run-")
        os.makedirs(self._folder + "/systemd/journal")
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(self._folder + "/systemd/journal/socket")
        self._entries = []
        self._thread = None if stuck else threading.Thread(target=self._receive)
        if self._thread:
            self._thread.start()
        self.prefix = ["unshare", "--mount", "sh", "-c", f'mount --bind {self._folder} /run && exec "$@"', "sh"]

    def _receive(self):
        while True:
            fds = array.array("i")
            data, ancillary, _, _ = self._sock.recvmsg(1 << 20, socket.CMSG_SPACE(4))
            if data == _QUIT:
                return
            for _, _, value in ancillary:  # a large entry comes as a memfd
                fds.frombytes(value[:4])
            for fd in fds:
                data = os.pread(fd, 1 << 24, 0)
                os.close(fd)
            self._entries.append(parse(data))

    def entries(self):
        return list(self._entries)

    def wait(self, **fields):
        """The first entry whose fields have these values (text)."""
        def found():
            return next((e for e in self.entries()
                         if all(e.get(name) == value.encode() for name, value in fields.items())), None)
        return eventually(found, lambda: f"journal entry {fields}; there are {self.entries()}")

    def close(self):
        if self._thread:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as quitter:
                quitter.sendto(_QUIT, self._folder + "/systemd/journal/socket")
            self._thread.join()
        self._sock.close()
        shutil.rmtree(self._folder)
