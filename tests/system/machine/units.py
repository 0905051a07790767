# SPDX-License-Identifier: MIT
"""Units of the service manager."""
from pathlib import Path

from harness.waiting import eventually

from .command import must, run

SERVICE = "sockqd.service"
SOCKETS = ("sockqd-control.socket", "sockqd-tcp.socket", "sockqd-udp.socket")
EXAMPLES = Path("/usr/share/doc/sockq/examples/systemd")
DEFAULT = ("127.0.0.1", 8000)  # where sockqd-tcp.socket and sockqd-udp.socket listen


def systemctl(*words):
    return must("systemctl", *words)


def show(name, unit=SERVICE):
    """One property of a unit."""
    return systemctl("show", "--property", name, "--value", unit).strip()


def is_active(unit=SERVICE):
    return show("ActiveState", unit) == "active"


def pid():
    """Of the daemon; 0 while there is none."""
    return int(show("MainPID"))


def wait_active(unit=SERVICE):
    eventually(lambda: is_active(unit), lambda: f"{unit} to be active\n" + status(unit))


def wait_restarted(old_pid):
    """Until another process than that one serves."""
    eventually(lambda: pid() not in (0, old_pid) and is_active(), lambda: "a new process\n" + status())
    return pid()


def status(unit=SERVICE):
    """What an administrator sees."""
    return run("systemctl", "status", "--no-pager", "--full", unit).stdout
