# SPDX-License-Identifier: MIT
"""systemctl reload, with good files and with bad ones."""
import pytest

from harness.sockets import ask_tcp, connect, read_exactly
from machine.command import ctl, run
from machine.units import DEFAULT, SERVICE, is_active, pid, status, systemctl

ORDERS = ("127.0.0.1", 7000)


@pytest.fixture
def served(admin, closing):
    """A listener, and a client that stays connected."""
    admin.listener("orders", "ListenStream=127.0.0.1:7000", target="echo", dscp="CS1")
    admin.start()
    client = closing(connect(ORDERS))
    client.sendall(b"before")
    assert read_exactly(client, 6) == b"before"
    return client


def still_served(client):
    client.sendall(b"after")
    return read_exactly(client, 5) == b"after" and ask_tcp(DEFAULT, b"x") == b"Received"


def test_reload_is_in_force_when_systemctl_returns(admin, served, journal):
    daemon = pid()
    admin.listener("orders", target="echo", dscp="EF")
    admin.configure()
    systemctl("reload", SERVICE)
    assert ctl("get", "orders", "dscp").strip() == "EF"
    assert still_served(served) and pid() == daemon and is_active()
    journal.wait_kind("CONFIG_LOADED")


FAULTS = {
    "value": ('listeners = { orders = { dscp = "PURPLE"; }; };\n', "dscp"),
    "key": ('listeners = {\n  orders = { colour = "red"; };\n};\n', "colour"),
    "syntax": ("listeners = {\n", "syntax"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_bad_file_fails_the_reload_and_nothing_else(admin, served, journal, fault):
    text, word = FAULTS[fault]
    daemon = pid()
    bad = admin.write("/etc/sockq/sockqd.conf.d/zz-bad.conf", text)
    failed = run("systemctl", "reload", SERVICE)
    assert failed.returncode != 0 and SERVICE in failed.stderr

    journal.wait_kind("CONFIG_KEPT")
    faults = journal.kind("CONFIG_FAULT", SOCKQ_FILE=bad)
    assert faults and all(entry["SOCKQ_LINE"].isdigit() for entry in faults)
    assert any(word in entry["MESSAGE"] for entry in faults)
    assert f"{bad}:" in status(), "systemctl, which names the status when it fails, shows file and line there"

    assert is_active() and pid() == daemon and still_served(served)
    assert ctl("get", "orders", "dscp").strip() == "CS1"
    bad.unlink()
    systemctl("reload", SERVICE)
    assert still_served(served) and pid() == daemon


def test_reload_says_in_the_journal_what_sockqctl_says(admin, served, journal):
    """ExecReload= is sockqctl: who reads the unit's journal has file and line from it as well."""
    bad = admin.write("/etc/sockq/sockqd.conf.d/zz-bad.conf", FAULTS["value"][0])
    assert run("systemctl", "reload", SERVICE).returncode != 0
    journal.wait(lambda entry: f"{bad}:1" in entry["MESSAGE"], _SYSTEMD_UNIT=SERVICE, SYSLOG_IDENTIFIER="sockqctl")
