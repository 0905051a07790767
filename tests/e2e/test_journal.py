# SPDX-License-Identifier: MIT
"""Journal entries with their fields, as journald receives them."""
import os
import re

import pytest

from harness.config import one_listener
from harness.daemon import as_user
from harness.journal import Journal
from harness.kinds import KINDS
from harness.sockets import connect, read_exactly, udp_client
from harness.varlink import VarlinkError

pytestmark = pytest.mark.root


@pytest.fixture
def journal(closing):
    return closing(Journal())


@pytest.fixture
def serve_to_journal(serve, journal):
    return lambda *kinds, **keys: serve(*kinds, start_options=under(journal), **keys)


def under(journal):
    return {"prefix": journal.prefix, "journal": True}


def test_change_is_an_entry_with_its_fields(serve_to_journal, journal):
    daemon = serve_to_journal("tcp4", profile={"dscp": "CS1"})
    daemon.set(settings={"dscp": "EF"})
    entry = journal.wait(MESSAGE_ID=KINDS["SETTING_CHANGED"], SOCKQ_SETTING="dscp")
    assert entry["SOCKQ_LISTENER"] == b"orders"
    assert (entry["SOCKQ_OLD"], entry["SOCKQ_NEW"]) == (b"CS1", b"EF")
    assert entry["SOCKQ_UID"] == str(os.getuid()).encode() and entry["PRIORITY"] == b"5"
    assert entry["SOCKQ_SCOPE"] and entry["SOCKQ_RESULT"]
    assert entry["SYSLOG_IDENTIFIER"] == b"sockqd" and b"dscp" in entry["MESSAGE"]
    assert daemon.log() == [], "nothing is said twice"


def test_change_by_a_reload_is_an_entry_like_any_other(serve_to_journal, journal):
    daemon = serve_to_journal("tcp4", profile={"dscp": "CS1", "ttl": 9})
    daemon.write(one_listener(profile={"dscp": "EF", "ttl": 9}))
    assert daemon.ctl("reload").status == 0
    entry = journal.wait(MESSAGE_ID=KINDS["SETTING_CHANGED"])
    assert [entry["SOCKQ_" + name] for name in ("LISTENER", "SETTING", "OLD", "NEW", "SCOPE", "RESULT", "UID")] == \
        [b"orders", b"dscp", b"CS1", b"EF", b"all", b"applied", str(os.getuid()).encode()]
    assert journal.wait(MESSAGE_ID=KINDS["CONFIG_LOADED"])["SOCKQ_UID"] == str(os.getuid()).encode()
    assert len([e for e in journal.entries() if e["MESSAGE_ID"].decode() == KINDS["SETTING_CHANGED"]]) == 1


def test_life_of_a_daemon_in_message_ids(serve_to_journal, journal):
    daemon = serve_to_journal("tcp4")
    assert daemon.ctl("reload").status == 0
    daemon.stop()
    seen = {entry["MESSAGE_ID"].decode() for entry in journal.entries()}
    for kind in ("DAEMON_STARTED", "DAEMON_READY", "CONFIG_LOADED", "DAEMON_STOPPING", "DAEMON_STOPPED"):
        assert KINDS[kind] in seen, kind


def test_payload_is_kept_byte_for_byte(serve_to_journal, journal):
    daemon = serve_to_journal("udp4", target="journal")
    payload = bytes(range(256)) + b"\nPRIORITY=0\n"
    with udp_client(daemon.address) as client:
        client.send(payload)
        peer = "{}:{}".format(*client.getsockname())
    entry = journal.wait(MESSAGE_ID=KINDS["PAYLOAD"])
    assert entry["SOCKQ_PAYLOAD"] == payload
    assert entry["SOCKQ_LISTENER"] == b"orders" and entry["SOCKQ_PEER"] == peer.encode() and entry["PRIORITY"] == b"6"


def test_flow_of_an_event_is_named(serve_to_journal, journal):
    daemon = serve_to_journal("tcp4", target="echo", decompression="zlib")
    with connect(daemon.address) as client:
        client.sendall(b"this is not compressed at all")
        entry = journal.wait(MESSAGE_ID=KINDS["DECODE_FAILED"])
        assert entry["SOCKQ_PEER"] == "{}:{}".format(*client.getsockname()).encode()
        assert re.fullmatch(rb"\d+\.\d+\.\d+", entry["SOCKQ_FLOW"])


def test_refused_call_is_an_entry(serve_to_journal, journal):
    daemon = serve_to_journal("tcp4")
    done = daemon.ctl("set", "orders", "dscp=EF", prefix=as_user("--clear-groups"))
    assert done.status == 1
    entry = journal.wait(MESSAGE_ID=KINDS["ACCESS_DENIED"])
    assert entry["SOCKQ_UID"] == b"65534" and entry["SOCKQ_METHOD"].endswith(b"Set")


def test_stats_carry_counters_as_fields(serve_to_journal, journal):
    daemon = serve_to_journal("tcp4", target="echo", daemon={"stats_interval": "1s"})
    with connect(daemon.address) as client:
        client.sendall(b"0123456789")
        read_exactly(client, 10)
        entry = journal.wait(MESSAGE_ID=KINDS["STATS"], SOCKQ_RX_BYTES="10", SOCKQ_TX_BYTES="10")
    assert entry["SOCKQ_LISTENER"] == b"orders" and entry["SOCKQ_ACCEPTED"] == b"1"


def test_failed_change_names_the_errno(serve_to_journal, journal):
    daemon = serve_to_journal("tcp4")
    with pytest.raises(VarlinkError):
        daemon.set(settings={"congestion": "nosuch"})
    entry = journal.wait(MESSAGE_ID=KINDS["SETTING_FAILED"])
    assert entry["SOCKQ_SETTING"] == b"congestion"
    assert entry["ERRNO"] == b"2"


def test_repeated_errors_are_rate_limited_and_say_how_many(serve_to_journal, journal):
    daemon = serve_to_journal("udp4", target="echo", decompression="zlib")
    count = 200
    with udp_client(daemon.address) as client:
        for _ in range(count):
            client.send(b"not compressed")
        daemon.wait_counters(decode_errors=count)
    daemon.stop()
    told = [e for e in journal.entries() if e.get("MESSAGE_ID") == KINDS["DECODE_FAILED"].encode()]
    assert 1 <= len(told) < 50
    held_back = sum(int(e["SOCKQ_SUPPRESSED"]) for e in journal.entries() if "SOCKQ_SUPPRESSED" in e)
    assert len(told) + held_back == count


def test_stuck_journal_holds_nothing_up(serve, closing):
    """A journal that is never read: its queue is full after a few entries."""
    daemon = serve("tcp4", target="echo", start_options=under(closing(Journal(stuck=True))))
    for i in range(500):
        daemon.set(settings={"ttl": str(i % 200 + 1)})
    with connect(daemon.address) as client:
        client.sendall(b"still here")
        assert read_exactly(client, 10) == b"still here"
    assert daemon.call("Status")["state"] == "serving"
