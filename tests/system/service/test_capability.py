# SPDX-License-Identifier: MIT
"""mark and priority 7, without CAP_NET_ADMIN and with the drop-in that gives it."""
import pytest

from harness.sockets import ask_tcp
from machine.command import ctl, run
from machine.kernel import socket_options
from machine.units import EXAMPLES, SERVICE, is_active, systemctl

ORDERS = ("127.0.0.1", 7000)
SETTINGS = {"mark": "0x2a", "priority": "7"}


@pytest.fixture(params=["without", "with"])
def capable(request, admin):
    if request.param == "with":
        admin.drop_in(EXAMPLES.joinpath("net-admin.conf").read_text())
    return request.param == "with"


@pytest.mark.parametrize("name", SETTINGS)
def test_runtime_change(admin, capable, name):
    admin.listener("orders", "ListenStream=127.0.0.1:7000")
    admin.start()
    before = ctl("get", "orders", name).strip()
    done = run("sockqctl", "set", "orders", f"{name}={SETTINGS[name]}")
    assert (done.returncode == 0) == capable, done.stdout + done.stderr
    assert ctl("get", "orders", name).strip() == (SETTINGS[name] if capable else before)
    if not capable:
        assert "CAP_NET_ADMIN" in done.stdout + done.stderr
    assert ask_tcp(ORDERS, b"x") == b"Received"


def test_settings_of_the_files(admin, journal, capable):
    """Without the capability the listener is served all the same, and the journal says without what."""
    admin.listener("orders", "ListenStream=127.0.0.1:7000", mark="0x2a", priority=7)
    admin.start()
    assert is_active() and ask_tcp(ORDERS, b"x") == b"Received"
    assert socket_options(7000)["tcp"].mark == (0x2a if capable else 0)
    if capable:
        assert not journal.kind("SETTING_FAILED")
    else:
        for name in SETTINGS:
            told = journal.wait_kind("SETTING_FAILED", SOCKQ_LISTENER="orders", SOCKQ_SETTING=name)
            assert "CAP_NET_ADMIN" in told["MESSAGE"]


def test_taken_back_when_the_drop_in_goes(admin, journal):
    """A mark that an earlier run could set goes from the socket although this run could not set it."""
    admin.drop_in(EXAMPLES.joinpath("net-admin.conf").read_text())
    admin.listener("orders", "ListenStream=127.0.0.1:7000")
    admin.start()
    ctl("set", "orders", "mark=0x2a")
    assert socket_options(7000)["tcp"].mark == 0x2a
    systemctl("restart", SERVICE)
    assert socket_options(7000)["tcp"].mark == 0
