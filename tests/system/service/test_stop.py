# SPDX-License-Identifier: MIT
"""What systemctl shows of a run, and how a run ends."""
import time

import pytest

from harness.sockets import connect, read_exactly, read_to_end
from harness.waiting import eventually
from machine.units import SERVICE, show, status, systemctl

ORDERS = ("127.0.0.1", 7000)


@pytest.fixture
def client(admin, closing):
    admin.daemon(drain_timeout="2s")
    admin.listener("orders", "ListenStream=127.0.0.1:7000", target="echo")
    admin.start()
    client = closing(connect(ORDERS))
    client.sendall(b"x")
    assert read_exactly(client, 1) == b"x"
    return client


def assert_ended_in_order():
    assert (show("Result"), show("ExecMainCode"), show("ExecMainStatus")) == ("success", "1", "0")


def test_status_shows_what_is_served(client):
    eventually(lambda: "1 flow" in show("StatusText"), lambda: show("StatusText"))
    assert "3 listeners" in show("StatusText")
    shown = status()
    assert "active (running)" in shown and f'Status: "{show("StatusText")[:9]}' in shown
    assert "sockqd(8)" in shown and "TriggeredBy:" in shown


def test_stop_without_flows_takes_no_drain_time(admin):
    admin.daemon(drain_timeout="60s")
    admin.start()
    begin = time.monotonic()
    systemctl("stop", SERVICE)
    assert time.monotonic() - begin < 2
    assert_ended_in_order()


def test_stop_ends_within_the_drain_time(client):
    """The client stays for longer than it may."""
    begin = time.monotonic()
    systemctl("stop", SERVICE)
    assert 2 <= time.monotonic() - begin < 2 + 3 + 1, "drain_timeout, and three seconds for the last bytes"
    assert_ended_in_order()
    assert read_to_end(client) == b""


def test_drain_may_take_longer_than_systemd_waits_by_itself(admin, client, journal):
    """EXTEND_TIMEOUT_USEC: TimeoutStopSec= is for daemons that say nothing."""
    admin.daemon(drain_timeout="60s")
    admin.configure()
    admin.drop_in("[Service]", "TimeoutStopSec=1s")
    systemctl("daemon-reload")
    systemctl("reload", SERVICE)
    systemctl("stop", "--no-block", SERVICE)
    eventually(lambda: show("StatusText").startswith("Draining: "), lambda: show("StatusText"))
    time.sleep(1.5)  # over systemd's patience, within ours
    client.sendall(b"last")
    assert read_exactly(client, 4) == b"last"
    client.close()
    eventually(lambda: show("ActiveState") == "inactive", status)
    assert_ended_in_order()
    assert not journal.entries(_PID=1, UNIT=SERVICE, PRIORITY=4), "systemd has nothing to complain about"
