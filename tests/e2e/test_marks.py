# SPDX-License-Identifier: MIT
"""Marks, seen on the wire (root) or by the receiver (everybody)."""
import socket
import subprocess
import sys

import pytest

from harness.sockets import (address_of, arm_traffic_class, ask_udp, connect, get_tos, read_exactly, receive_marked,
                             received_traffic_class, udp_client)
from harness.wire import Capture

EF, CS1, AF41, LE = 46, 8, 34, 1
FAMILIES = [("tcp4", "127.0.0.1"), ("tcp6", "::1"), ("tcp46", "127.0.0.1"), ("tcp46", "::1")]
DATAGRAM_FAMILIES = [("udp4", "127.0.0.1"), ("udp6", "::1"), ("udp46", "127.0.0.1"), ("udp46", "::1")]


def talk(client, message):
    client.sendall(message)
    assert read_exactly(client, len(message)) == message


@pytest.mark.wire
@pytest.mark.parametrize("kind, host", FAMILIES)
def test_stream_is_marked_from_the_syn_ack_and_changes_live(serve, kind, host):
    daemon = serve(kind, target="echo", profile={"dscp": "EF"})
    address = address_of(daemon.listening[0], host)
    with Capture(address[1]) as wire, connect(address) as client:
        talk(client, b"before")
        result = daemon.set(settings={"dscp": "AF41"})
        talk(client, b"after")
        assert {p.dscp for p in wire.sent(flags="SA")} == {EF}
        assert {p.dscp for p in wire.sent(containing=b"before")} == {EF}
        assert {p.dscp for p in wire.sent(containing=b"after")} == {AF41}
        key, = result["keys"]
        assert (key["outcome"], key["failed"], key["old"], key["requested"]) == ("applied", 0, "EF", "AF41")
        assert [r["value"] for r in key["effective"]] == ["AF41"]
        with connect(address) as late:
            talk(late, b"late")
            assert {p.dscp for p in wire.sent(flags="SA")[1:]} == {AF41}
            assert {p.dscp for p in wire.sent(containing=b"late")} == {AF41}


@pytest.mark.wire
@pytest.mark.parametrize("kind, host", DATAGRAM_FAMILIES)
def test_datagrams_are_marked_and_change_live(serve, kind, host):
    daemon = serve(kind, target="echo", profile={"dscp": "EF"})
    address = address_of(daemon.listening[0], host)
    with Capture(address[1]) as wire, udp_client(address) as client:
        client.send(b"before")
        assert client.recv(64) == b"before"
        daemon.set(settings={"dscp": "LE"})
        client.send(b"after")
        assert client.recv(64) == b"after"
        assert [p.dscp for p in wire.sent(containing=b"before")] == [EF]
        assert [p.dscp for p in wire.sent(containing=b"after")] == [LE]


@pytest.mark.parametrize("kind, host", DATAGRAM_FAMILIES)
def test_receiver_of_datagrams_sees_the_change(serve, kind, host):
    daemon = serve(kind, target="echo", profile={"dscp": "EF"})
    with udp_client(address_of(daemon.listening[0], host), marks=True) as client:
        client.send(b"before")
        assert receive_marked(client) == (b"before", EF << 2)
        daemon.set(settings={"tos": "0x10"})
        client.send(b"after")
        assert receive_marked(client) == (b"after", 0x10)
    assert daemon.value("dscp") == ("4", "listener (runtime)")
    assert daemon.value("tos")[0] == "0x10"


@pytest.mark.parametrize("kind", ["tcp6", "tcp46"])
def test_receiver_of_a_stream_over_ipv6_sees_the_change(serve, kind):
    daemon = serve(kind, target="echo", profile={"dscp": "EF"})
    with connect(address_of(daemon.listening[0], "::1")) as client:
        arm_traffic_class(client)
        talk(client, b"before")
        assert received_traffic_class(client) & 0xFC == EF << 2
        daemon.set(settings={"dscp": "CS1"})
        talk(client, b"after")
        assert received_traffic_class(client) & 0xFC == CS1 << 2


@pytest.mark.wire
@pytest.mark.parametrize("kind, host", FAMILIES)
def test_profile_change_reaches_every_flow(serve, kind, host):
    daemon = serve(kind, target="echo", profile={"dscp": "CS1"})
    address = address_of(daemon.listening[0], host)
    with Capture(address[1]) as wire, connect(address) as one, connect(address) as two:
        talk(one, b"hello"), talk(two, b"hello")
        daemon.set("profile:base", {"dscp": "EF"})
        talk(one, b"one"), talk(two, b"two")
        assert {p.dscp for p in wire.sent(containing=b"one") + wire.sent(containing=b"two")} == {EF}


@pytest.mark.wire
@pytest.mark.parametrize("kind, host", FAMILIES)
def test_new_only_leaves_established_flows_alone(serve, kind, host):
    daemon = serve(kind, target="echo", profile={"dscp": "CS1"})
    address = address_of(daemon.listening[0], host)
    with Capture(address[1]) as wire, connect(address) as old:
        talk(old, b"first")
        daemon.set(settings={"dscp": "EF"}, new_only=True)
        talk(old, b"second")
        with connect(address) as new:
            talk(new, b"third")
        assert [p.dscp for p in wire.sent(flags="SA")] == [CS1, EF]
        assert {p.dscp for p in wire.sent(containing=b"second")} == {CS1}
        assert {p.dscp for p in wire.sent(containing=b"third")} == {EF}


@pytest.mark.wire
@pytest.mark.parametrize("kind, host", FAMILIES)
def test_stream_reflects_the_mark_received(serve, kind, host):
    """The SYN-ACK keeps the base mark; the answer carries what the client's handshake carried."""
    daemon = serve(kind, target="echo", profile={"dscp": "reflect"})
    address = address_of(daemon.listening[0], host)
    with Capture(address[1]) as wire, connect(address, tos=AF41 << 2) as client:
        talk(client, b"mirror")
        assert [p.dscp for p in wire.sent(flags="SA")] == [0]
        assert {p.dscp for p in wire.sent(containing=b"mirror")} == {AF41}


@pytest.mark.parametrize("kind, host", DATAGRAM_FAMILIES)
def test_datagrams_reflect_the_mark_of_each(serve, kind, host):
    daemon = serve(kind, target="echo", profile={"dscp": "reflect"})
    with udp_client(address_of(daemon.listening[0], host), marks=True) as client:
        for mark in (EF, LE, 0, AF41, 63):
            level, option = (socket.IPPROTO_IPV6, 67) if ":" in host else (socket.IPPROTO_IP, socket.IP_TOS)
            client.setsockopt(level, option, mark << 2)
            client.send(b"x")
            assert receive_marked(client) == (b"x", mark << 2)


def test_reflect_does_not_mirror_ecn(serve):
    """An answer must not claim congestion that its own path has not seen."""
    daemon = serve("udp4", target="echo", profile={"dscp": "reflect"})
    _, tos = ask_udp(daemon.address, b"x", tos=EF << 2 | 3, marks=True)
    assert tos == EF << 2


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_many_datagrams_in_a_burst_carry_the_mark_each(serve, host):
    daemon = serve("udp46", target="echo", profile={"dscp": "EF"})
    with udp_client(address_of(daemon.listening[0], host), marks=True) as client:
        for i in range(200):
            client.send(b"%d" % i)
        assert [receive_marked(client) for _ in range(200)] == [(b"%d" % i, EF << 2) for i in range(200)]


@pytest.mark.wire
@pytest.mark.ipv6
def test_ttl_and_hop_limit(serve):
    daemon = serve("tcp46", target="echo", profile={"ttl": "33"})
    for host in ("127.0.0.1", "::1"):
        address = address_of(daemon.listening[0], host)
        with Capture(address[1]) as wire, connect(address) as client:
            talk(client, b"before")
            daemon.set(settings={"ttl": "44"})
            talk(client, b"after")
            daemon.call("Unset", target="orders")
            assert {p.ttl for p in wire.sent(containing=b"before")} == {33}
            assert {p.ttl for p in wire.sent(containing=b"after")} == {44}


@pytest.mark.wire
def test_inherit_keeps_the_mark_of_the_socket_unit(serve):
    daemon = serve("tcp4", target="echo", prepare=lambda s: s.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, CS1 << 2))
    with Capture(daemon.address[1]) as wire, connect(daemon.address) as client:
        talk(client, b"unit")
        daemon.set(settings={"dscp": "EF"})
        talk(client, b"runtime")
        daemon.call("Unset", target="orders", settings=["dscp"])
        talk(client, b"again")
        for text, mark in ((b"unit", CS1), (b"runtime", EF), (b"again", CS1)):
            assert {p.dscp for p in wire.sent(containing=text)} == {mark}


@pytest.mark.wire
def test_priority_stays_behind_a_change_of_the_mark(serve):
    """IP_TOS overwrites SO_PRIORITY; the one that was asked for must survive."""
    daemon = serve("tcp4", target="echo", profile={"dscp": "CS1", "priority": "5"})
    with connect(daemon.address) as client:
        talk(client, b"x")
        result = daemon.set(settings={"dscp": "EF"})
        assert [key["setting"] for key in result["keys"]] == ["dscp"]
        again = daemon.set(settings={"priority": "5"})
        assert again["keys"][0]["effective"] == [{"value": "5", "sockets": again["keys"][0]["applied"]}]
    assert daemon.listening[0].getsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY) == 5
    assert get_tos(daemon.listening[0]) == EF << 2


CLIENT = """
import socket, sys
sock = socket.create_connection((sys.argv[1], int(sys.argv[2])), 30)
for line in sys.stdin:
    sock.sendall(line.encode())
    received = b""
    while len(received) < len(line):
        received += sock.recv(1024)
    print(received.decode(), end="", flush=True)
"""


@pytest.mark.wire
@pytest.mark.parametrize("version", ["v4", "v6"])
def test_next_host_counts_the_marks(make_daemon, link, version):
    """Across a veth pair, as a router or the peer's own rules see them."""
    host = (link.V4 if version == "v4" else link.V6)["server"]
    port = 7007
    endpoint = f"tcp:{host}:{port}" if version == "v4" else f"tcp:[{host}]:{port}"
    daemon = make_daemon({"profiles": {"base": {"dscp": "CS1"}},
                          "listeners": {"orders": {"target": "echo", "profile": "base", "listen": [endpoint]}}},
                         prefix=link.command("server")).start()
    link.count("client", port, [0, CS1, EF])
    client = subprocess.Popen([*link.command("client"), sys.executable, "-c", CLIENT, host, str(port)],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        def talk_there(line):
            client.stdin.write(line)
            client.stdin.flush()
            assert client.stdout.readline() == line
        talk_there("before\n")
        before = link.counted("client")
        assert before[CS1] >= 2 and before[EF] == before[0] == 0
        daemon.set(settings={"dscp": "EF"})
        talk_there("after\n")
        after = link.counted("client")
        assert after[CS1] == before[CS1] and after[EF] >= 1 and after[0] == 0
    finally:
        client.stdin.close()
        client.wait(30)
        client.stdout.close()
