# SPDX-License-Identifier: MIT
"""systemd listens; the daemon comes when somebody wants something."""
import itertools

import pytest

from harness.sockets import ask_tcp, ask_udp
from machine.command import ctl_json
from machine.units import DEFAULT, EXAMPLES, SERVICE, SOCKETS, is_active, pid, show, systemctl, wait_active

HELLO = b"Hello, Server"

FIRST_TRAFFIC = {
    "tcp": lambda: ask_tcp(DEFAULT, HELLO) == b"Received",
    "tcp6": lambda: ask_tcp(("::1", 8000), HELLO) == b"Received",
    "udp": lambda: ask_udp(DEFAULT, HELLO) == b"Received",
    "udp6": lambda: ask_udp(("::1", 8000), HELLO) == b"Received",
    "control": lambda: ctl_json("status")["state"] == "serving",
}


def test_sockets_listen_while_no_daemon_runs(admin):
    admin.sockets()
    assert all(is_active(socket) for socket in SOCKETS)
    assert pid() == 0


@pytest.mark.parametrize("kind", FIRST_TRAFFIC)
def test_first_traffic_starts_the_daemon(admin, kind):
    admin.sockets()
    assert pid() == 0
    assert FIRST_TRAFFIC[kind]()
    wait_active()
    assert pid() != 0


def test_every_kind_of_traffic_is_served_by_one_daemon(admin):
    admin.sockets()
    assert all(ask() for ask in FIRST_TRAFFIC.values())
    wait_active()
    served = pid()
    assert all(ask() for ask in FIRST_TRAFFIC.values())
    assert pid() == served and show("NRestarts") == "0"


def test_start_returns_when_everything_is_served(admin):
    """Type=notify: who comes after systemctl start needs no second try."""
    admin.start()
    assert is_active() and ctl_json("status")["state"] == "serving"
    assert all(ask() for ask in FIRST_TRAFFIC.values())


NAMES = ("a-last", "m-middle", "z-first")


@pytest.mark.parametrize("order", itertools.permutations(range(3)), ids=str)
def test_names_decide_whatever_the_order_of_the_sockets(admin, order):
    """Which descriptor comes first depends on the version of systemd and on which unit was started when."""
    for i in order:
        admin.listener(NAMES[i], f"ListenStream=127.0.0.1:{7000 + i}", f"ListenDatagram=127.0.0.1:{7000 + i}",
                       f"ListenStream=[::1]:{7000 + i}", reply=NAMES[i])
    admin.start()
    for i, name in enumerate(NAMES):
        for ask, host in (ask_tcp, "127.0.0.1"), (ask_udp, "127.0.0.1"), (ask_tcp, "::1"):
            assert ask((host, 7000 + i), HELLO) == name.encode()
    served = {listener["name"]: listener["sockets"] for listener in ctl_json("listeners")["listeners"]}
    assert all(len(served[name]) == 3 for name in NAMES)
    assert {socket["origin"] for sockets in served.values() for socket in sockets} == {"systemd"}


def test_listener_is_added_as_the_readme_says(admin):
    """By the example of a socket unit. The restart starts it, and who is connected to others waits meanwhile."""
    admin.start()
    unit = "sockqd-orders.socket"
    admin.socket(unit, EXAMPLES.joinpath(unit).read_text())
    admin.listener("orders", reply="ordered")
    admin.configure()
    systemctl("enable", unit)
    try:
        systemctl("restart", SERVICE)
        assert ask_tcp(("127.0.0.1", 7000), HELLO) == ask_udp(("127.0.0.1", 7000), HELLO) == b"ordered"
        assert is_active(unit) and ask_tcp(DEFAULT, HELLO) == b"Received"
    finally:
        systemctl("disable", unit)
