# SPDX-License-Identifier: MIT
"""The life of the packages on a machine that runs."""
import threading
from pathlib import Path

import pytest

from harness.sockets import ask_tcp, ask_udp, connect, is_refused, read_exactly
from harness.waiting import eventually
from machine.command import ctl, ctl_json, must, run
from machine.packages import install, next_version, packages, purge, remove, version
from machine.units import DEFAULT, SERVICE, SOCKETS, is_active, pid, show, systemctl

UNITS = (SERVICE, *SOCKETS)
CONFIG = Path("/etc/sockq/sockqd.conf")
DROP_IN = Path("/etc/sockq/sockqd.conf.d/mine.conf")


@pytest.fixture
def installed():
    install(packages())
    yield
    DROP_IN.unlink(missing_ok=True)  # nobody's but the administrator's: it would stay
    purge()


@pytest.fixture
def newer(tmp_path):
    """One whose configuration file has changed, too."""
    def change(tree):
        config = tree / CONFIG.relative_to("/")
        config.write_text(config.read_text() + "# Changed by the maintainer.\n")
    return next_version(tmp_path, change)


def is_served():
    return ask_tcp(DEFAULT, b"x") == ask_udp(DEFAULT, b"x") == b"Received" and ctl_json("status")["state"] == "serving"


def test_install_serves_at_once_and_after_every_boot(installed):
    assert all(is_active(unit) for unit in UNITS) and is_served()
    assert all(run("systemctl", "is-enabled", unit).stdout.strip() == "enabled" for unit in UNITS)
    assert systemctl("list-units", "--failed", "--no-legend").strip() == ""
    assert must("getent", "passwd", "sockq-daemon") and must("getent", "group", "sockq", "sockq-admin")


def test_upgrade_restarts_the_daemon_and_not_the_sockets(installed, newer):
    since = {unit: show("ActiveEnterTimestampMonotonic", unit) for unit in SOCKETS}
    old, before = pid(), version()
    install(newer)
    assert version() != before
    assert pid() not in (0, old) and is_served()
    assert since == {unit: show("ActiveEnterTimestampMonotonic", unit) for unit in SOCKETS}


def test_client_in_the_queue_of_an_upgrade_is_served(installed, newer, closing):
    """The old daemon still has a flow to finish when the client comes, and accepts nobody any more."""
    old = pid()
    last = closing(connect(DEFAULT))
    last.sendall(b"x")
    assert read_exactly(last, 8) == b"Received"
    upgrade = threading.Thread(target=install, args=(newer,))
    upgrade.start()
    eventually(lambda: ctl_json("status")["state"] == "draining", "the drain")
    waiting = closing(connect(DEFAULT))
    waiting.sendall(b"x")
    assert pid() == old
    last.close()
    assert read_exactly(waiting, 8) == b"Received"
    upgrade.join()
    assert pid() not in (0, old)


def test_nobody_is_refused_while_an_upgrade_runs(installed, newer):
    answers, stop = [], threading.Event()

    def traffic():
        while not stop.is_set():
            answers.append((ask_tcp(DEFAULT, b"x"), ask_udp(DEFAULT, b"x")))

    client = threading.Thread(target=traffic)
    client.start()
    try:
        install(newer)
    finally:
        stop.set()
        client.join()
    assert set(answers) == {(b"Received", b"Received")}


def test_upgrade_keeps_what_the_administrator_has_written(installed, newer):
    CONFIG.write_text(CONFIG.read_text().replace('"CS0"', '"AF11"'))
    DROP_IN.write_text('listeners = { default-udp = { dscp = "AF41"; }; };\n')
    install(newer)
    assert ctl("get", "default-tcp", "dscp").strip() == "AF11"
    assert ctl("get", "default-udp", "dscp").strip() == "AF41"
    assert CONFIG.with_suffix(".conf.dpkg-dist").exists(), "the maintainer's lies beside it"


def test_upgrade_brings_the_configuration_that_nobody_has_edited(installed, newer):
    install(newer)
    assert CONFIG.read_text().endswith("# Changed by the maintainer.\n")


def test_upgrade_leaves_what_was_switched_off(installed, newer):
    systemctl("disable", "--now", "sockqd-udp.socket")
    systemctl("restart", SERVICE)
    install(newer)
    assert not is_active("sockqd-udp.socket") and is_active("sockqd-tcp.socket")
    assert [listener["name"] for listener in ctl_json("listeners")["listeners"] if listener["sockets"]]


def test_upgrade_with_a_fault_in_the_configuration_can_be_repaired(installed, newer):
    DROP_IN.write_text("listeners = { default-udp = { dscp = \"PURPLE\"; }; };\n")
    run("dpkg", "--force-confold", "--install", *newer)
    assert all(is_active(unit) for unit in SOCKETS)
    DROP_IN.unlink()
    with connect(DEFAULT) as client:
        client.sendall(b"x")
        assert read_exactly(client, 8) == b"Received"
    must("dpkg", "--configure", "--pending")
    assert is_served()


def test_remove_stops_everything_and_keeps_the_configuration(installed):
    CONFIG.write_text(CONFIG.read_text().replace('"CS0"', '"AF11"'))
    remove()
    eventually(lambda: is_refused(DEFAULT), "nobody to listen")
    assert not any(is_active(unit) for unit in UNITS)
    assert CONFIG.exists()
    install(packages())
    assert is_served() and ctl("get", "default-tcp", "dscp").strip() == "AF11"


def test_purge_leaves_nothing_and_install_begins_anew(installed):
    CONFIG.write_text(CONFIG.read_text().replace('"CS0"', '"AF11"'))
    purge()
    assert must("find", "/", "/run", "-xdev", "-path", "/tmp", "-prune", "-o", "-name", "*sockq*", "-print") == ""
    install(packages())
    assert is_served() and ctl("get", "default-tcp", "dscp").strip() == "CS0"
