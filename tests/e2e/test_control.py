# SPDX-License-Identifier: MIT
"""The control socket as any Varlink client may use or abuse it."""
import json
import os
import select
import shutil
import subprocess

import pytest

from harness.config import one_listener
from harness.daemon import as_user
from harness.sockets import ask_tcp, connect, open_socket, read_exactly
from harness.varlink import INTERFACE, VarlinkError
from harness.waiting import eventually


@pytest.fixture
def daemon(serve):
    return serve("tcp4", target="echo")


def call_bytes(method, **rest):
    return json.dumps({"method": f"{INTERFACE}.{method}", **rest}).encode() + b"\0"


def still_serves(daemon):
    assert daemon.call("Status")["state"] == "serving"
    assert ask_tcp(daemon.address, b"x") == b"x"


@pytest.mark.parametrize("message", [
    b"not json", b"[]", b'"text"', b"{}", b'{"method": 5}', b'{"method": null}', b"{\"method\": \"a.b\", \"x\": 1}",
    b'{"method": "org.sockq.Control.Status", "more": 1}', b'{"method": "org.sockq.Control.Status", "oneway": "yes"}',
    b'{"method": "org.sockq.Control.Status", "more": true, "oneway": true}',
    b'{"method": "org.sockq.Control.Status", "parameters": []}', b'{"method": "x.Y", "method": "x.Z"}',
    b'{"method": "\xff.Y"}', b"[" * 100_000, b'{"method": "a.B"} trailing', b"", b'{"method": NaN}',
])
def test_malformed_call_closes_the_session(daemon, message):
    with daemon.varlink() as session:
        session.send_raw(message + b"\0")
        assert session.receive() is None
    still_serves(daemon)


def test_endless_message_closes_the_session(daemon):
    with daemon.varlink() as session:
        with pytest.raises((ConnectionError, AssertionError)):
            for _ in range(64):
                session.send_raw(b'{"x":"' + b"x" * (1 << 20))
            assert session.receive() is None, "64 MiB without an end were taken"
            raise ConnectionError
    still_serves(daemon)


def test_call_in_pieces(daemon):
    with daemon.varlink() as session:
        for byte in call_bytes("Status"):
            session.send_raw(bytes([byte]))
        assert session.reply()["state"] == "serving"


def test_half_a_message_harms_nobody(daemon, closing):
    half = closing(daemon.varlink())
    half.send_raw(call_bytes("Status")[:-5])
    gone = daemon.varlink()
    gone.send_raw(call_bytes("Status")[:-5])
    gone.close()
    still_serves(daemon)
    half.send_raw(call_bytes("Status")[-5:])
    assert half.reply()["state"] == "serving"


def test_pipelined_calls_are_answered_in_order(daemon):
    with daemon.varlink() as session:
        session.send_raw(b"".join(call_bytes("Get", parameters={"target": "orders", "setting": name})
                                  for name in ("io_buffer", "nodelay", "compression")) + call_bytes("Status"))
        assert [session.reply()["value"] for _ in range(3)] == ["64K", "true", "off"]
        assert session.reply()["pid"] == daemon.process.pid


@pytest.mark.parametrize("parameters", ["absent", None, {}])
def test_no_parameters_in_three_ways(daemon, parameters):
    with daemon.varlink() as session:
        session.send_raw(call_bytes("Status") if parameters == "absent" else call_bytes("Status", parameters=parameters))
        assert session.reply()["state"] == "serving"


@pytest.mark.parametrize("method, parameters, name", [
    ("Get", {"target": "orders", "setting": "dscp", "colour": "red"}, "colour"),
    ("Get", {"target": "orders", "setting": 5}, "setting"),
    ("Get", {"target": "orders"}, "setting"),
    ("Set", {"target": "orders", "settings": ["dscp"]}, "settings"),
    ("Set", {"target": "orders", "settings": {"dscp": 46}}, "settings"),
    ("Set", {"target": "orders", "settings": {"dscp": "EF"}, "new_only": "yes"}, "new_only"),
    ("SetLogLevel", {"level": "loud"}, "level"),
    ("Status", {"verbose": True}, "verbose"),
])
def test_unknown_and_ill_typed_parameters_are_named(daemon, method, parameters, name):
    with daemon.varlink() as session:
        with pytest.raises(VarlinkError) as caught:
            session.call(method, parameters)
        assert caught.value.name == "org.varlink.service.InvalidParameter"
        assert caught.value.parameters == {"parameter": name}
        assert session.call("Status")["state"] == "serving", "the session goes on"


@pytest.mark.parametrize("method, error, parameters", [
    ("org.sockq.Control.Dance", "MethodNotFound", {"method": "org.sockq.Control.Dance"}),
    ("org.sockq.Nothing.Status", "InterfaceNotFound", {"interface": "org.sockq.Nothing"}),
])
def test_unknown_method(daemon, method, error, parameters):
    with pytest.raises(VarlinkError) as caught:
        daemon.call(method)
    assert (caught.value.name, caught.value.parameters) == (f"org.varlink.service.{error}", parameters)


@pytest.mark.parametrize("method", ["Flows", "Monitor"])
def test_streams_need_more(daemon, method):
    with pytest.raises(VarlinkError) as caught:
        daemon.call(method)
    assert caught.value.name == "org.varlink.service.ExpectedMore"


def test_more_on_a_plain_method_gives_one_reply(daemon):
    with daemon.varlink() as session:
        session.send("Status", more=True)
        assert "continues" not in session.receive()


def test_oneway_is_done_and_not_answered(daemon):
    with daemon.varlink() as session:
        session.send("Set", {"target": "orders", "settings": {"dscp": "EF"}}, oneway=True)
        session.send("Nonsense", oneway=True)
        session.send("Get", {"target": "orders", "setting": "dscp"})
        assert session.reply()["value"] == "EF"


def test_service_interface(daemon):
    with daemon.varlink() as session:
        info = session.call("org.varlink.service.GetInfo")
        assert set(info["interfaces"]) == {"org.varlink.service", INTERFACE}
        assert info["product"] and info["version"] == daemon.call("Status")["version"]
        text = session.call("org.varlink.service.GetInterfaceDescription", interface=INTERFACE)["description"]
        assert text.startswith("#") or text.startswith("interface")
        for word in ("interface org.sockq.Control", "method Set(", "error ConfigurationInvalid"):
            assert word in text
        with pytest.raises(VarlinkError) as caught:
            session.call("org.varlink.service.GetInterfaceDescription", interface="a.b")
        assert caught.value.name == "org.varlink.service.InterfaceNotFound"


def test_client_that_reads_nothing_harms_nobody(daemon, closing):
    """It may ask for a great deal; others and the traffic go on, and the daemon does not keep it all."""
    slow = daemon.varlink()
    slow.sock.settimeout(0.05)
    steady = closing(connect(daemon.address))
    try:
        for _ in range(20_000):
            slow.send("Show")
    except (TimeoutError, ConnectionError):
        pass
    for _ in range(20):
        steady.sendall(b"still here")
        assert read_exactly(steady, 10) == b"still here"
        still_serves(daemon)
    slow.close()
    still_serves(daemon)


def test_monitor_that_reads_nothing_harms_nobody(daemon, closing):
    slow = closing(daemon.varlink())
    slow.send("Monitor", {"level": "debug"}, more=True)
    with daemon.varlink() as session:
        for i in range(2000):
            session.call("Set", target="orders", settings={"ttl": str(i % 200 + 1)})
    still_serves(daemon)


def is_answered(session):
    try:
        session.send("Status")
        return session.receive() is not None
    except ConnectionError:
        return False


def test_many_sessions_of_one_user_are_limited(daemon):
    sessions = []
    try:
        for _ in range(200):
            sessions.append(daemon.varlink())
        answered = sum(is_answered(session) for session in sessions)
        assert 10 <= answered < 200
        assert ask_tcp(daemon.address, b"x") == b"x"
    finally:
        for session in sessions:
            session.close()
    eventually(lambda: daemon.ctl("status").status == 0, "a session to be free again")


def test_monitor_streams_what_happens(daemon, closing):
    watcher = closing(daemon.varlink())
    watcher.send("Monitor", {"level": "info"}, more=True)

    event = {"kind": None}
    while event["kind"] != "setting-changed":  # the end of the start may come before it
        if not select.select([watcher.sock], [], [], 0.1)[0]:  # until it is known as a watcher
            daemon.set(settings={"dscp": "EF"})
            daemon.call("Unset", target="orders")
            continue
        event = watcher.receive()
        assert event["continues"] is True
        event = event["parameters"]
    fields = event["fields"]
    assert event["level"] == "notice" and event["dropped"] == 0 and event["time_usec"] > 1_600_000_000_000_000
    assert fields["SOCKQ_LISTENER"] == "orders" and fields["SOCKQ_SETTING"] == "dscp" and fields["SOCKQ_NEW"] == "EF"
    assert fields["SOCKQ_UID"] == str(os.getuid())
    assert watcher.receive()["parameters"]["kind"] == "setting-unset"


@pytest.mark.workers
def test_flows_come_in_parts(daemon, closing):
    clients = [closing(connect(daemon.address)) for _ in range(200)]
    for client in clients:
        client.sendall(b"x")
        read_exactly(client, 1)
    with daemon.varlink() as session:
        parts = [part["flows"] for part in session.stream("Flows")]
    assert len(parts) >= 4 and max(map(len, parts)) <= 64
    ids = [flow["id"] for part in parts for flow in part]
    assert len(ids) == len(set(ids)) == 200


@pytest.mark.workers
def test_close_of_flows(daemon, closing):
    clients = {source: closing(connect(daemon.address, source=source)) for source in ("127.0.0.5", "127.0.0.6", "127.0.0.7")}
    for client in clients.values():
        client.sendall(b"x")
        read_exactly(client, 1)
    flow = next(f for f in daemon.flows() if f["peer"].startswith("127.0.0.5:"))
    assert daemon.call("Close", flow=flow["id"])["closed"] == 1
    assert clients["127.0.0.5"].recv(1) == b""
    assert daemon.call("Close", source="127.0.0.6/32")["closed"] == 1
    assert clients["127.0.0.6"].recv(1) == b""
    clients["127.0.0.7"].sendall(b"y")
    assert read_exactly(clients["127.0.0.7"], 1) == b"y"
    with pytest.raises(VarlinkError):
        daemon.call("Close")
    clients["127.0.0.5"].close()
    clients["127.0.0.6"].close()
    daemon.wait_flows(1)
    late = closing(connect(daemon.address))
    late.sendall(b"x")
    read_exactly(late, 1)
    with pytest.raises(VarlinkError) as caught:
        daemon.call("Close", flow=flow["id"])
    assert caught.value.name == "NoSuchFlow"
    assert len(daemon.flows()) == 2, "an old id never names a new flow"


# Access

CALL = """
import json, socket, sys
sock = socket.socket(socket.AF_UNIX)
sock.connect(sys.argv[1])
sock.sendall(json.dumps({"method": sys.argv[2]}).encode() + b"\\0")
reply = b""
while not reply.endswith(b"\\0"):
    piece = sock.recv(65536)
    assert piece
    reply += piece
print(json.loads(reply[:-1]).get("error", "done"))
"""


def call_as(daemon, groups, method):
    name = method if "." in method else f"{INTERFACE}.{method}"
    done = subprocess.run([*as_user(*groups), "/usr/bin/python3", "-c", CALL, daemon.control, name],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


DENIED = "org.varlink.service.PermissionDenied"


@pytest.mark.root
@pytest.mark.parametrize("method", ["Status", "Set", "Reload", "Show", "Close", "SetLogLevel"])
def test_stranger_is_refused_and_leaves_a_line(daemon, method):
    mark = daemon.log_mark()
    assert call_as(daemon, ["--clear-groups"], method) == DENIED
    line = daemon.wait_log(rf"<4>.*{method}", since=mark).string
    assert "65534" in line


@pytest.mark.root
def test_stranger_may_ask_who_this_is(daemon):
    assert call_as(daemon, ["--clear-groups"], "org.varlink.service.GetInfo") == "done"


@pytest.mark.root
def test_groups_by_their_numbers(make_daemon, closing, tmp_path):
    """sockq may look, sockq-admin may change; the groups come from a private /etc/group."""
    groups = tmp_path / "group"
    groups.write_text(open("/etc/group").read() + "sockq:x:61001:\nsockq-admin:x:61002:\n")
    under = ["unshare", "--mount", "sh", "-c", f'mount --bind {groups} /etc/group && exec "$@"', "sh"]
    daemon = make_daemon(one_listener(), sockets=[("orders", closing(open_socket("tcp4")))], prefix=under).start()
    look, admin = ["--groups=61001"], ["--groups=61002"]
    assert call_as(daemon, look, "Status") == "done"
    assert call_as(daemon, look, "Reload") == DENIED
    assert call_as(daemon, admin, "Status") == "done"
    assert call_as(daemon, admin, "Reload") == "done"
    assert call_as(daemon, ["--groups=61003"], "Status") == DENIED


@pytest.mark.root
def test_own_uid_may_change(make_daemon, closing):
    daemon = make_daemon(one_listener(), sockets=[("orders", closing(open_socket("tcp4")))], control_passed=True,
                         prefix=as_user("--clear-groups")).start()
    assert call_as(daemon, ["--clear-groups"], "Reload") == "done"


@pytest.mark.root
def test_sockqctl_tells_a_refusal(daemon):
    done = daemon.ctl("status", prefix=as_user("--clear-groups"))
    assert done.status == 1 and "sockq" in done.err.lower()


# Other clients

@pytest.mark.parametrize("words", [
    ["info"], ["list-interfaces"], ["introspect", INTERFACE], ["call", INTERFACE + ".Status", "{}"],
    ["call", "--more", INTERFACE + ".Flows", "{}"],
])
def test_varlinkctl(daemon, words):
    if not shutil.which("varlinkctl"):
        pytest.skip("varlinkctl is not installed (systemd 255 and later have it)")
    place = 2 if words[1:2] == ["--more"] else 1
    done = subprocess.run(["varlinkctl", *words[:place], "unix:" + daemon.control, *words[place:]], capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 0, done.stderr
