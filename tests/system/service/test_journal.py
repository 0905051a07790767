# SPDX-License-Identifier: MIT
"""Events as an administrator finds them: by field, by MESSAGE_ID, with the text of the catalog."""
import re

import pytest

from harness.kinds import KINDS
from harness.sockets import connect, is_turned_away, read_exactly, udp_client
from machine.command import ctl, must, run
from machine.units import SERVICE, systemctl

ORDERS = ("127.0.0.1", 7000)


@pytest.fixture
def served(admin, journal):
    admin.daemon(log_level="debug")
    admin.listener("orders", "ListenStream=127.0.0.1:7000", target="echo", dscp="CS1")
    admin.start()
    return journal


def turned_away(admin):
    ctl("set", "orders", "deny=127.0.0.0/8")
    assert is_turned_away(ORDERS)


def bad_file(admin):
    bad = admin.write("/etc/sockq/sockqd.conf.d/zz-bad.conf", "listeners = { orders = { dscp = 99; }; };\n")
    assert run("systemctl", "reload", SERVICE).returncode != 0
    bad.unlink()


def corrupt(admin):
    ctl("set", "orders", "decompression=zlib")
    with connect(ORDERS) as client:
        client.sendall(b"this is not compressed at all")
        client.recv(1)


def connection(admin):
    with connect(ORDERS) as client:
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"


def closed(admin):
    with connect(ORDERS) as client:
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"
        ctl("close", "orders")


def changed(admin):
    ctl("set", "orders", "dscp=EF")


def unset(admin):
    ctl("set", "orders", "dscp=EF")
    ctl("unset", "orders")


def denied(admin):
    assert run("sockqctl", "set", "orders", "dscp=EF", user="nobody").returncode == 1


def refused(admin):
    assert run("sockqctl", "set", "orders", "congestion=nosuch").returncode == 1


def payload(admin):
    admin.listener("orders", target="journal")
    admin.configure()
    systemctl("reload", SERVICE)
    with connect(ORDERS) as client:
        client.sendall(b"a payload")


def removed(admin):
    admin.remove("orders")
    admin.configure()
    systemctl("reload", SERVICE)


# What is done, the kind of event that it makes, and fields by which the entry is found.
EVENTS = {
    "start": (lambda admin: None, "DAEMON_READY", {}),
    "stop": (lambda admin: systemctl("stop", SERVICE), "DAEMON_STOPPED", {}),
    "listener": (lambda admin: None, "LISTENER_ADDED", {"SOCKQ_LISTENER": "orders"}),
    "removed": (removed, "LISTENER_REMOVED", {"SOCKQ_LISTENER": "orders"}),
    "reload": (lambda admin: systemctl("reload", SERVICE), "CONFIG_LOADED", {}),
    "fault": (bad_file, "CONFIG_FAULT", {"SOCKQ_FILE": "/etc/sockq/sockqd.conf.d/zz-bad.conf", "SOCKQ_LINE": "1"}),
    "kept": (bad_file, "CONFIG_KEPT", {}),
    "set": (changed, "SETTING_CHANGED", {"SOCKQ_LISTENER": "orders", "SOCKQ_SETTING": "dscp", "SOCKQ_OLD": "CS1",
                                         "SOCKQ_NEW": "EF", "SOCKQ_UID": "0", "SOCKQ_SCOPE": "all",
                                         "SOCKQ_RESULT": "applied"}),
    "unset": (unset, "SETTING_UNSET", {"SOCKQ_SETTING": "dscp", "SOCKQ_OLD": "EF", "SOCKQ_NEW": "CS1"}),
    "refused": (refused, "SETTING_FAILED", {"SOCKQ_SETTING": "congestion", "ERRNO": "2"}),
    "denied": (denied, "ACCESS_DENIED", {"SOCKQ_UID": "65534", "SOCKQ_METHOD": "org.sockq.Control.Set"}),
    "opened": (connection, "FLOW_OPENED", {"SOCKQ_LISTENER": "orders"}),
    "closed": (connection, "FLOW_CLOSED", {"SOCKQ_LISTENER": "orders"}),
    "close": (closed, "FLOWS_CLOSED", {"SOCKQ_UID": "0"}),
    "turned-away": (turned_away, "FLOW_REFUSED", {"SOCKQ_LISTENER": "orders"}),
    "corrupt": (corrupt, "DECODE_FAILED", {"SOCKQ_LISTENER": "orders"}),
    "payload": (payload, "PAYLOAD", {"SOCKQ_LISTENER": "orders", "SOCKQ_PAYLOAD": "a payload"}),
    "level": (lambda admin: ctl("log-level", "info"), "LOG_LEVEL_CHANGED", {"SOCKQ_OLD": "debug", "SOCKQ_NEW": "info"}),
}


@pytest.mark.parametrize("event", EVENTS)
def test_event_is_found_by_id_and_by_fields_and_explained(admin, served, event):
    cause, kind, fields = EVENTS[event]
    cause(admin)
    entry = served.wait_kind(kind, **fields)
    assert entry["SYSLOG_IDENTIFIER"] == "sockqd" and entry["_SYSTEMD_UNIT"] == SERVICE

    for name, value in fields.items():
        assert any(found["__CURSOR"] == entry["__CURSOR"] for found in served.entries("-t", "sockqd", **{name: value}))
    explained = served.text("--catalog", f"MESSAGE_ID={KINDS[kind]}")
    assert re.search(r"^\S* ?Subject: \S", explained, re.M) and "man:sockq" in explained
    assert not re.search(r"@\w+@", explained), "every variable of the catalog has its field"


def test_every_kind_is_in_the_catalog():
    listed = must("journalctl", "--no-pager", "--dump-catalog", *KINDS.values())
    assert all(f"-- {message_id}" in listed for message_id in KINDS.values())
    assert len(re.findall("^Subject: ", listed, re.M)) == len(KINDS)


def test_payload_of_bytes_is_kept_as_it_came(admin, journal):
    admin.listener("orders", "ListenDatagram=127.0.0.1:7000", target="journal")
    admin.start()
    payload = bytes(range(256)) + b"\nPRIORITY=0\n"
    with udp_client(ORDERS) as client:
        client.send(payload)
    entry = journal.wait_kind("PAYLOAD", SOCKQ_LISTENER="orders")
    assert bytes(entry["SOCKQ_PAYLOAD"]) == payload and entry["PRIORITY"] == "6"


def test_readme_commands_find_who_changed_the_mark(served):
    ctl("set", "orders", "dscp=EF")
    served.wait_kind("SETTING_CHANGED")
    shown = served.text("-t", "sockqd", "SOCKQ_LISTENER=orders", "SOCKQ_SETTING=dscp")
    assert re.search(r"orders: dscp CS1 -> EF.*by uid 0", shown)
