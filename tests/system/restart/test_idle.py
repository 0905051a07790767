# SPDX-License-Identifier: MIT
"""exit_on_idle: the daemon goes when nothing is left to do, systemd brings it back for the next packet, none is lost."""
import time

import pytest

from harness.sockets import ask_tcp, ask_udp, connect
from harness.waiting import eventually
from machine.command import ctl, ctl_json
from machine.units import DEFAULT, SOCKETS, is_active, show, status

ASK = {
    "tcp": lambda: ask_tcp(DEFAULT, b"x") == b"Received",
    "udp": lambda: ask_udp(DEFAULT, b"x") == b"Received",
    "control": lambda: ctl_json("status")["state"] == "serving",
}


@pytest.fixture
def idle(admin):
    admin.daemon(exit_on_idle="1s")
    admin.start()


def wait_gone():
    eventually(lambda: show("ActiveState") == "inactive", status)


@pytest.mark.parametrize("kind", ASK)
def test_goes_and_comes_back(idle, journal, kind):
    wait_gone()
    journal.wait_kind("DAEMON_IDLE")
    assert (show("Result"), show("ExecMainStatus"), show("NRestarts")) == ("success", "0", "0")
    assert all(is_active(socket) for socket in SOCKETS)
    assert ASK[kind]() and is_active()


def test_stays_for_a_flow_and_for_a_runtime_change(idle, closing):
    client = closing(connect(DEFAULT))
    time.sleep(3)
    assert is_active()
    ctl("set", "default-tcp", "dscp=EF")
    client.close()
    time.sleep(3)
    assert is_active()
    ctl("unset", "default-tcp")
    wait_gone()


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_no_packet_is_lost_around_the_end(idle, kind):
    """One at many moments around the one at which the daemon goes."""
    wait_gone()
    for i in range(6):
        life = (int(show("ExecMainExitTimestampMonotonic")) - int(show("ExecMainStartTimestampMonotonic"))) / 1e6
        assert ASK[kind]()
        until = int(show("ExecMainStartTimestampMonotonic")) / 1e6 + life + (i - 3) * 0.01
        time.sleep(max(until - time.monotonic(), 0))
        assert ASK[kind]()
        wait_gone()
    assert all(is_active(socket) for socket in SOCKETS)
