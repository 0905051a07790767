# SPDX-License-Identifier: MIT
"""What a test sets up on the machine, and what is taken back when it is over."""
from pathlib import Path

from harness.config import render
from harness.waiting import eventually

from .command import must
from .units import SERVICE, SOCKETS, systemctl

_CONFIG = Path("/etc/sockq/sockqd.conf.d/test.conf")
_UNITS = Path("/run/systemd/system")


class Admin:
    """Describe, then start(). What the package brings is there as well. Listeners of tests have ports from 7000 on."""

    def __init__(self):
        self._tree = {"daemon": {"drain_timeout": "1s"}}
        self._files = []
        self._sockets = []

    def write(self, path, text):
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path not in self._files:
            self._files.append(path)
        path.write_text(text)
        return path

    def daemon(self, **keys):
        self._tree["daemon"].update(keys)

    def profile(self, name, **keys):
        self._tree.setdefault("profiles", {})[name] = keys

    def listener(self, name, *socket_lines, **keys):
        """An entry of the configuration and, with lines for it ("ListenStream=..."), a socket unit test-NAME.socket."""
        self._tree.setdefault("listeners", {})[name] = {"target": "ack", **keys}
        if socket_lines:
            lines = ["[Socket]", f"Service={SERVICE}", f"FileDescriptorName={name}", *socket_lines, ""]
            self.socket(f"test-{name}.socket", "\n".join(lines))

    def socket(self, unit, text):
        """A socket unit; systemd does not know of it yet."""
        self.write(_UNITS / unit, text)
        self._sockets.append(unit)

    def remove(self, name):
        """From the configuration; its sockets stay."""
        del self._tree["listeners"][name]

    def drop_in(self, *lines, unit=SERVICE):
        self.write(_UNITS / f"{unit}.d" / "test.conf", "\n".join([*lines, ""]))

    def configure(self):
        """Writes the drop-in of the configuration as it was described so far."""
        self.write(_CONFIG, render(self._tree))

    def _reload_units(self):
        """If there is anything to read."""
        if any(path.is_relative_to(_UNITS) for path in self._files):
            systemctl("daemon-reload")

    def sockets(self):
        """Everything is in force, the sockets listen, and no daemon runs."""
        self.configure()
        self._reload_units()
        systemctl("stop", SERVICE)
        systemctl("start", *SOCKETS)
        for unit in self._sockets:
            systemctl("start", unit)

    def start(self):
        self.sockets()
        systemctl("start", SERVICE)

    def close(self):
        # Sockets first: a client that waits would start the daemon again.
        if self._sockets:
            systemctl("stop", *self._sockets)
        systemctl("stop", SERVICE)
        for path in self._files:
            path.unlink(missing_ok=True)
        self._reload_units()
        systemctl("reset-failed")
        # systemd closes what it stops in the background.
        eventually(lambda: not must("ss", "--no-header", "--listening", "--tcp", "--udp", "sport >= :7000 and sport < :7100"),
                   "the ports to be free")
