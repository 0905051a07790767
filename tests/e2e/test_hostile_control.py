# SPDX-License-Identifier: MIT
"""Clients of the control socket that mean harm."""
import json
import os
import subprocess
import sys

import pytest

from harness.bounds import Bystander
from harness.sockets import ask_tcp
from harness.varlink import INTERFACE, VarlinkError
from harness.waiting import eventually

MESSAGE_LIMIT = 1 << 20
SESSIONS_PER_USER = 64


@pytest.fixture
def daemon(serve):
    return serve("tcp4", target="echo", beside=True)


@pytest.fixture
def bystander(daemon, closing):
    return closing(Bystander(daemon))


def session_of(daemon):
    """A new session; with a full backlog the kernel does not let a Unix client wait."""
    def opened():
        try:
            return daemon.varlink()
        except BlockingIOError:
            return None
    return eventually(opened, "a place in the backlog of the control socket")


def status_call(text):
    """A call of Status with these parameters, JSON as it is."""
    return b'{"method": "%s.Status", "parameters": %s}\0' % (INTERFACE.encode(), text)


def is_closed(session):
    """Is the session over, without an answer?"""
    return session.receive() is None


def test_message_of_100_megabytes(daemon, bystander):
    mark = daemon.log_mark()
    block = b"x" * (1 << 20)
    with daemon.varlink() as session:
        try:
            session.send_raw(status_call(b'{"x": "').rstrip(b"}\0"))
            for _ in range(100):
                session.send_raw(block)
                bystander.assert_served()
            session.send_raw(b'"}}\0')
        except ConnectionError:
            pass
        assert is_closed(session)
    daemon.wait_log("control session .*closed: message too long", since=mark)
    bystander.assert_grown_below(16)


def test_largest_message_is_taken_and_one_byte_more_is_not(daemon, bystander):
    shell = len(status_call(b'{"x": ""}'))
    with daemon.varlink() as session:
        session.send_raw(status_call(b'{"x": "%s"}' % (b"x" * (MESSAGE_LIMIT - shell))))
        with pytest.raises(VarlinkError) as caught:
            session.reply()
        assert caught.value.parameters == {"parameter": "x"}
        try:
            session.send_raw(status_call(b'{"x": "%s"}' % (b"x" * (MESSAGE_LIMIT - shell + 2))))
        except ConnectionError:
            pass
        assert is_closed(session)
    bystander.assert_served()


def test_unfinished_messages_in_every_session(daemon, bystander):
    """As much as one user can make the daemon keep."""
    piece = status_call(b'{"x": "%s"}' % (b"x" * (MESSAGE_LIMIT - 1000)))[:-10]
    sessions = []
    try:
        for _ in range(SESSIONS_PER_USER - 2):
            sessions.append(session_of(daemon))
            sessions[-1].send_raw(piece)
        bystander.assert_served()
        bystander.assert_grown_below(2 * SESSIONS_PER_USER + 16)
    finally:
        for session in sessions:
            session.close()
    eventually(lambda: daemon.ctl("status").status == 0, "a session to be free again")


@pytest.mark.parametrize("nested", [
    b"[" * 2000 + b"]" * 2000,
    b'{"a":' * 2000 + b"1" + b"}" * 2000,
    b"[" * 400_000 + b"]" * 400_000,
    b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    b'[{"a":' * 100_000,
], ids=["arrays", "objects", "many-arrays", "many-objects", "unfinished"])
def test_deep_nesting(daemon, bystander, nested):
    mark = daemon.log_mark()
    with daemon.varlink() as session:
        session.send_raw(status_call(nested))
        assert is_closed(session)
    daemon.wait_log("control session .*closed: malformed message", since=mark)
    bystander.assert_served()
    bystander.assert_grown_below(32)


@pytest.mark.parametrize("method, parameters", [
    ("Set", {"target": "orders", "settings": {"dscp": "EF\0junk"}}),
    ("Set", {"target": "orders\0junk", "settings": {"dscp": "EF"}}),
    ("Set", {"target": "orders", "settings": {"dscp\0junk": "EF"}}),
    ("Set", {"target": "orders", "settings": {"dscp": "EF"}, "source": "127.0.0.1\0/8"}),
    ("Set\0junk", {"target": "orders", "settings": {"dscp": "EF"}}),
], ids=["value", "target", "setting", "source", "method"])
def test_nul_in_a_string_is_never_its_end(daemon, bystander, method, parameters):
    before = daemon.value("dscp")
    with daemon.varlink() as session:
        session.send(method, parameters)
        answer = session.receive()
        assert answer is None or "error" in answer
    assert daemon.value("dscp") == before
    bystander.assert_served()


def test_raw_nul_ends_the_message(daemon, bystander):
    before = daemon.value("dscp")
    with daemon.varlink() as session:
        session.send_raw(b'{"method": "%s.Set", "parameters": {"target": "orders", "settings": {"dscp": "EF\0"}}}\0' %
                         INTERFACE.encode())
        assert is_closed(session)
    assert daemon.value("dscp") == before
    bystander.assert_served()


@pytest.mark.parametrize("text", [
    b'"\\ud800"', b'"\xc0\x80"', b'"\xed\xa0\x80"', b'"\xf8\x88\x80\x80\x80"', b"1e999999", b"-", b'"\\x"', b"[1,]",
])
def test_what_only_looks_like_json(daemon, bystander, text):
    with daemon.varlink() as session:
        session.send_raw(status_call(b'{"x": %s}' % text))
        assert is_closed(session)
    bystander.assert_served()


def test_log_cannot_be_forged(daemon, bystander):
    """Line ends, priorities and terminal sequences in names that the log repeats."""
    mark = daemon.log_mark()
    evil = "x\n<0>sockqd is on fire\r\x1b[2J"
    with daemon.varlink() as session:
        for method, parameters in (("Set", {"target": evil, "settings": {"dscp": "EF"}}),
                                   ("Set", {"target": "orders", "settings": {evil: "EF"}}),
                                   ("Set", {"target": "orders", "settings": {"congestion": evil}}),
                                   ("Get", {"target": "orders", "setting": evil}),
                                   ("SetLogLevel", {"level": evil}), (f"{INTERFACE}.{evil}", {})):
            with pytest.raises(VarlinkError):
                session.call(method, parameters)
        session.call("Set", target="orders", settings={"dscp": "EF"})
    daemon.wait_log("dscp", since=mark)
    for line in daemon.log(mark):
        assert line.startswith("<") and not line.startswith("<0>") and "\x1b" not in line and "\r" not in line, line
    bystander.assert_served()


def test_change_of_very_many_and_very_long_settings(daemon, bystander):
    with daemon.varlink() as session:
        for settings in ({f"setting_{i}": "1" for i in range(5_000)}, {"dscp": "E" * 900_000}, {"E" * 900_000: "1"},
                         {"allow": ",".join(f"10.{i >> 8 & 255}.{i & 255}.0/24" for i in range(60_000))}):
            session.send("Set", {"target": "orders", "settings": settings})
            answer = session.receive()
            assert answer is None or len(json.dumps(answer)) < 4 << 20
            assert answer is None or "error" in answer
            bystander.assert_served()
    bystander.assert_grown_below(128)


@pytest.mark.parametrize("method, settings", [("Set", {f"setting_{i}": "" for i in range(40_000)}), ("Unset", ["ttl"] * 140_000)],
                         ids=["set", "unset"])
def test_change_of_more_settings_than_there_are(daemon, bystander, method, settings):
    """Refused before each is looked up and gets a suggestion."""
    with daemon.varlink() as session:
        with pytest.raises(VarlinkError) as caught:
            session.call(method, {"target": "orders", "settings": settings})
    assert caught.value.name == "org.varlink.service.InvalidParameter"
    assert caught.value.parameters == {"parameter": "settings"}
    bystander.assert_served()
    bystander.assert_grown_below(64)


def test_ten_thousand_sessions_of_one_user(daemon, bystander):
    """Those beyond the limit are told so by being closed; those within it go on; the log is not flooded."""
    mark, most = daemon.log_mark(), 0
    for _ in range(50):
        sessions = [session_of(daemon) for _ in range(200)]
        try:
            for session in sessions:
                try:
                    session.send("Status")
                except ConnectionError:
                    pass
            most = max(most, sum(session.receive() is not None for session in sessions))
        finally:
            for session in sessions:
                session.close()
        bystander.assert_served()
    assert 1 <= most < SESSIONS_PER_USER
    daemon.wait_log("refused: too many sessions of this user", since=mark)
    assert len(daemon.log(mark)) < 1000
    bystander.assert_grown_below(32)
    eventually(lambda: daemon.ctl("status").status == 0, "a session to be free again")
    bystander.assert_quiet()


# Opens so many sessions, says when they are open, keeps them until its input ends.
STRANGER = """
import socket, sys
sessions = []
while len(sessions) < int(sys.argv[2]):
    sessions.append(socket.socket(socket.AF_UNIX))
    sessions[-1].connect(sys.argv[1])
    try:
        sessions[-1].sendall(b'{"method": "org.varlink.service.GetInfo"}\\0')
    except ConnectionError:
        pass
kept = 0
for session in sessions:
    try:
        kept += session.recv(65536) != b""
    except ConnectionError:
        pass
print(kept, flush=True)
sys.stdin.read()
"""


@pytest.mark.root
def test_strangers_cannot_keep_an_administrator_out(daemon):
    """Several users take every session that they can get: 10,000 in all, most of them refused."""
    strangers = []
    try:
        for uid in range(61000, 61010):
            strangers.append(subprocess.Popen([sys.executable, "-c", STRANGER, daemon.control, "1000"], text=True,
                                              user=uid, group=uid, extra_groups=[], stdin=subprocess.PIPE,
                                              stdout=subprocess.PIPE))
        kept = [int(stranger.stdout.readline()) for stranger in strangers]
        assert max(kept) <= SESSIONS_PER_USER and 192 <= sum(kept) < 256
        assert daemon.ctl("status").status == 0
        daemon.set(settings={"dscp": "EF"})
        assert ask_tcp(daemon.address, b"x") == b"x"
    finally:
        for stranger in strangers:
            stranger.communicate("")
    assert os.path.exists(daemon.control)
    assert daemon.call("Status")["state"] == "serving"
