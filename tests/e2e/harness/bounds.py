# SPDX-License-Identifier: MIT
"""Nothing else is disturbed, memory and CPU are bounded: seen from outside while others do their worst."""
import os
import re
from pathlib import Path

import pytest

from .daemon import is_sanitized
from .sockets import connect, read_exactly
from .waiting import eventually

_MEGABYTE = 1 << 20


class Bystander:
    """A well-behaved client of the listener "beside" and a control session (serve(beside=True)), there before the
    trouble begins. Memory is measured from this moment on."""

    def __init__(self, daemon):
        self._daemon = daemon
        self._proc = Path(f"/proc/{daemon.process.pid}")
        self.client = connect(daemon.beside)
        self.session = daemon.varlink()
        self.assert_served()
        self._start = self._memory("VmRSS")

    def close(self):
        self.session.close()
        self.client.close()

    def _memory(self, name):
        text = (self._proc / "status").read_text()
        return int(re.search(rf"{name}:\s*(\d+) kB", text).group(1)) * 1024

    def _busy_seconds(self):
        """{thread: seconds on a CPU or waiting for one}: on a busy machine a spinning thread gets little of it."""
        busy = {}
        for task in (self._proc / "task").iterdir():
            running, waiting, _ = (task / "schedstat").read_text().split()
            busy[task.name] = (int(running) + int(waiting)) / 1e9
        return busy

    def fds(self):
        return len(os.listdir(self._proc / "fd"))

    def assert_served(self):
        self.client.sendall(b"still here")
        assert read_exactly(self.client, 10) == b"still here"
        assert self.session.call("Status")["state"] == "serving"

    def assert_grown_below(self, megabytes):
        """The peak, not what is left of it. Sanitizers keep freed memory and records of their own."""
        grown = (self._memory("VmHWM") - self._start) / _MEGABYTE
        bound = 4 * megabytes + 400 if is_sanitized() else megabytes
        assert grown < bound, f"the daemon grew by {grown:.0f} MiB"

    def _busiest(self, seconds):
        """How long the busiest thread was busy meanwhile."""
        before = self._busy_seconds()
        deadline = self.client.gettimeout()
        self.client.settimeout(seconds)
        with pytest.raises(TimeoutError):
            self.client.recv(1)
        self.client.settimeout(deadline)
        return max(now - before.get(thread, 0) for thread, now in self._busy_seconds().items())

    def assert_quiet(self, seconds=1.0):
        """While nothing happens but that clients wait, every thread sleeps, but for a look now and then, once it has done what
        there was to do."""
        eventually(lambda: self._busiest(seconds) < 0.6 * seconds, f"{seconds} s in which no thread was busy")

    def wait_fds(self, count):
        eventually(lambda: self.fds() <= count, lambda: f"{count} descriptors; open: {self.fds()}")
