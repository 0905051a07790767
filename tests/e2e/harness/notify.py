# SPDX-License-Identifier: MIT
"""The service manager's side of sd_notify(3): messages, and the file descriptor store."""
import array
import os
import socket
import threading

from .waiting import DEADLINE


class NotifySocket:
    """Records every message as a dict, keeps what is stored with FDSTORE=1. One for all starts of a daemon."""

    def __init__(self, path):
        self.path = path
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(path)
        os.chmod(path, 0o666)
        self._changed = threading.Condition()
        self._messages = []
        self.store = []  # (name, fd)
        self._thread = threading.Thread(target=self._receive, daemon=True)
        self._thread.start()

    def _receive(self):
        while True:
            fds = array.array("i")
            try:
                data, ancillary, _, _ = self._sock.recvmsg(65536, socket.CMSG_SPACE(256 * fds.itemsize))
            except OSError:
                return
            for level, kind, value in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    fds.frombytes(value[: len(value) - len(value) % fds.itemsize])
            message = dict(line.split("=", 1) for line in data.decode().split("\n") if "=" in line)
            if "QUIT" in message:
                return
            self._keep(message, list(fds))
            with self._changed:
                self._messages.append(message)
                self._changed.notify_all()

    def _keep(self, message, fds):
        name = message.get("FDNAME", "stored")
        if message.get("FDSTOREREMOVE") == "1":
            for _, fd in [entry for entry in self.store if entry[0] == name]:
                os.close(fd)
            self.store = [entry for entry in self.store if entry[0] != name]
        if message.get("FDSTORE") == "1":
            self.store += [(name, fd) for fd in fds]
        else:
            for fd in fds:  # BARRIER=1: closing it is the answer
                os.close(fd)

    def mark(self):
        """A position to look on from."""
        with self._changed:
            return len(self._messages)

    def messages(self, since=0):
        with self._changed:
            return list(self._messages[since:])

    def wait(self, condition, what, since=0, deadline=DEADLINE, alive=lambda: True):
        """The first message that fulfils the condition; None when alive() turns false first."""
        def found():
            return next((m for m in self._messages[since:] if condition(m)), None)
        with self._changed:
            for _ in range(int(deadline * 10)):
                message = found()
                if message:
                    return message
                if not alive():
                    return None
                self._changed.wait(0.1)
        raise AssertionError(f"no {what} within {deadline:.0f} s; messages: {self.messages(since)}")

    def wait_key(self, key, value=None, since=0, deadline=DEADLINE):
        return self.wait(lambda m: key in m and value in (None, m[key]), f"{key}={value or ''}", since, deadline)

    def close(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as quitter:
            quitter.sendto(b"QUIT=1", self.path)
        self._thread.join()
        self._sock.close()
        os.unlink(self.path)
        for _, fd in self.store:
            os.close(fd)
        self.store = []
